"""Options have the same names, and durations are seconds, wherever they are given or returned."""

from __future__ import annotations

import asyncio
import inspect

import pytest

import eshm
from conftest import OPTIONS


def test_an_endpoint_and_an_async_endpoint_have_the_same_options() -> None:
    assert list(inspect.signature(eshm.Endpoint).parameters) == ["name", *OPTIONS]
    assert list(eshm.EndpointOptions.__annotations__) == OPTIONS


def test_an_async_endpoint_passes_its_options_on(name: str) -> None:
    async def scenario() -> None:
        async with await eshm.AsyncEndpoint.open(name, role="master", stale_threshold=0.25) as robot:
            assert robot.endpoint.stats().stale_threshold == 0.25
        with pytest.raises(TypeError, match="unexpected keyword argument 'patience'"):
            await eshm.AsyncEndpoint.open(name, patience=1)  # type: ignore[call-arg]

    asyncio.run(scenario())


def test_durations_in_statistics_are_seconds(name: str) -> None:
    with eshm.Endpoint(name, role="master") as master:
        stats = master.stats()
        assert stats.stale_threshold == 0.1
        assert type(stats.room_wait_time) is float
    with eshm.ESHM(name, eshm.ESHMRole.MASTER) as legacy:
        assert legacy.get_stats()["stale_threshold"] == 100


def test_an_endpoint_tells_whether_it_is_closed(name: str) -> None:
    master = eshm.Endpoint(name, role="master")
    assert not master.closed
    with eshm.Endpoint(name, role="slave") as slave:
        master.close()
        assert not slave.closed
        assert master.closed
        master.close()
        assert master.closed
    assert slave.closed


def test_an_async_endpoint_tells_whether_it_is_closed(name: str) -> None:
    async def scenario() -> None:
        async with await eshm.AsyncEndpoint.open(name, role="master") as robot:
            assert not robot.closed
        assert robot.closed

    asyncio.run(scenario())
