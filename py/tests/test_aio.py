"""An endpoint in an event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import eshm
from conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Coroutine


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, PATIENCE))


async def opened(name: str) -> tuple[eshm.AsyncEndpoint, eshm.AsyncEndpoint]:
    return await eshm.AsyncEndpoint.open(name, role="master"), await eshm.AsyncEndpoint.open(
        name, role="slave"
    )


def test_asyncio_is_imported_by_those_who_use_it() -> None:
    script = """
import sys, eshm
assert "asyncio" not in sys.modules
assert eshm.AsyncEndpoint and "asyncio" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE)


def test_an_exchange_in_one_loop(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            await asyncio.gather(master.wait_for_peer(), slave.wait_for_peer())

            async def answer() -> None:
                for _ in range(100):
                    await slave.send((await slave.recv()).data + b"!")

            echo = asyncio.create_task(answer())
            for number in range(100):
                await master.send(b"%d" % number)
                assert await master.recv() == b"%d!" % number
            await echo

    run(scenario())


def test_a_cancelled_receive_loses_nothing(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            for number in range(20):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(slave.recv(), 0.001)
                await master.send(b"%d" % number)
                assert await slave.recv() == b"%d" % number

    run(scenario())


def test_each_of_many_receivers_gets_a_message_of_its_own(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            receivers = [asyncio.create_task(slave.recv()) for _ in range(10)]
            await asyncio.sleep(0)
            for number in range(10):
                await master.send(b"%d" % number)
            assert [await receiver for receiver in receivers] == [b"%d" % number for number in range(10)]

    run(scenario())


def test_a_full_queue_is_awaited_and_the_order_kept(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            message = b"x" * (master.endpoint.max_message // 2)
            sends = [asyncio.create_task(master.send(b"%d" % number + message[9:])) for number in range(9)]
            for number in range(9):
                assert (await slave.recv()).startswith(b"%d" % number)
            await asyncio.gather(*sends)

    run(scenario())


def test_the_latest_value(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            news = asyncio.create_task(slave.read())
            await asyncio.sleep(0)
            master.endpoint.write(b"new")
            assert await news == b"new"

    run(scenario())


def test_iteration_ends_when_the_peer_closes(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with slave:
            async with master:
                await master.send(b"one")
                await master.send(b"two")
            assert [message async for message in slave] == [b"one", b"two"]

    run(scenario())


def test_a_close_ends_what_is_awaited(name: str) -> None:
    async def scenario() -> None:
        master = await eshm.AsyncEndpoint.open(name, role="master")
        waiting = asyncio.create_task(master.recv())
        await asyncio.sleep(0)
        master.close()
        with pytest.raises(eshm.ClosedError):
            await waiting

    run(scenario())
