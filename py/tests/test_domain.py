"""A domain is a directory and a prefix. core/tests/domain.rs has the cases."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import segment_file

if TYPE_CHECKING:
    from pathlib import Path


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_one_name_in_two_domains_is_two_segments(tmp_path: Path) -> None:
    for prefix in ["a_", "b_", ""]:
        domain = eshm.Domain(tmp_path, prefix)
        master = eshm.Endpoint("robot", role="master", domain=domain, auto_cleanup=False)
        with master, eshm.Endpoint("robot", role="slave", domain=domain) as slave:
            master.send(prefix.encode())
            assert eshm.Observer("robot", domain=domain).look().master_to_slave.waiting == 1
            assert slave.recv() == prefix.encode()
    assert names(tmp_path) == ["a_robot", "b_robot", "robot"]


def test_domains_compare_and_hash_by_value(tmp_path: Path) -> None:
    domain = eshm.Domain(tmp_path, "a_")
    assert (domain.directory, domain.prefix) == (str(tmp_path), "a_")
    assert domain == eshm.Domain(str(tmp_path), "a_")
    assert hash(domain) == hash(eshm.Domain(str(tmp_path), "a_"))
    assert domain != eshm.Domain(tmp_path, "b_")
    assert repr(domain) == f'Domain("{tmp_path}", "a_")'


def test_the_environment_fills_in_missing_parts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ESHM_DIRECTORY", raising=False)
    monkeypatch.setenv("ESHM_PREFIX", "")
    assert eshm.Domain() == eshm.Domain("/dev/shm", "eshm_")
    with eshm.Endpoint(name, role="master"):
        assert segment_file(name).exists()
    monkeypatch.setenv("ESHM_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("ESHM_PREFIX", "env_")
    assert eshm.Domain() == eshm.Domain(tmp_path, "env_")
    assert eshm.Domain(prefix="mine_") == eshm.Domain(tmp_path, "mine_")
    with eshm.Endpoint("robot", role="master"), eshm.ESHM("slave-of-none", role=eshm.ESHMRole.AUTO):
        assert names(tmp_path) == ["env_robot", "env_slave-of-none"]
        eshm.Observer("robot")
    monkeypatch.setenv("ESHM_DIRECTORY", "here")
    with pytest.raises(eshm.InvalidError, match=r'ESHM_DIRECTORY is "here"; expected an absolute path'):
        eshm.Endpoint("robot")
    with pytest.raises(eshm.InvalidError, match="ESHM_DIRECTORY"):
        eshm.Observer("robot")


def test_an_async_endpoint_takes_a_domain(tmp_path: Path) -> None:
    async def main() -> None:
        domain = eshm.Domain(tmp_path, "a_")
        async with await eshm.AsyncEndpoint.open("robot", role="master", domain=domain):
            assert names(tmp_path) == ["a_robot"]

    asyncio.run(main())


def test_invalid_domains_are_refused(tmp_path: Path) -> None:
    with pytest.raises(eshm.InvalidError, match='the directory is "relative"; expected an absolute path'):
        eshm.Domain("relative")
    for prefix in ["a/b", "..", "a\0", "p" * 65]:
        with pytest.raises(eshm.InvalidError, match=r"the prefix is .*; expected 0 to 64 bytes"):
            eshm.Domain(tmp_path, prefix)
    longest = eshm.Domain(tmp_path, "p" * 64)
    with pytest.raises(eshm.InvalidError, match="is too long; expected 1 to 191 bytes"):
        eshm.Endpoint("n" * 192, domain=longest)
    with eshm.Endpoint("n" * 191, domain=longest, role="master"):
        assert len(os.listdir(tmp_path)[0]) == 255  # noqa: PTH208 - the names, not the paths
