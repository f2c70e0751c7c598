"""Listing and removing segments. The cases are in core/tests/segments.rs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import expect_line

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Spawn


def test_segments_are_listed_and_the_dead_are_removed(tmp_path: Path, spawn: Spawn) -> None:
    domain = eshm.Domain(tmp_path, "t_")
    script = """
        import sys, eshm
        master = eshm.Endpoint("killed", role="master", domain=eshm.Domain(sys.argv[1], "t_"))
        master.send(b"unread")
        print("open", flush=True)
        sys.stdin.read()
    """
    child = spawn(script, str(tmp_path))
    expect_line(child, "open")
    child.kill()
    child.wait()
    (tmp_path / "t_text").write_text("a text")
    with eshm.Endpoint("living", role="master", domain=domain, mode=0o640):
        killed, living, text = domain.segments()
        assert (living.name, living.kind, living.reason) == ("living", "current", "")
        assert living.path == str(tmp_path / "t_living")
        assert (living.owner, living.mode) == (os.geteuid(), 0o640)
        assert living.size == (tmp_path / "t_living").stat().st_size
        assert living.since is not None
        assert abs(living.since - time.time()) < 60
        assert living.view is not None
        assert (living.view.master.state, living.view.slave.state) == ("alive", "absent")
        assert killed.view is not None
        assert killed.view.master.state == eshm.PeerState.DEAD
        assert killed.view.master_to_slave.waiting == 1
        assert (text.kind, text.view) == (eshm.SegmentKind.FOREIGN, None)
        assert "the size is 6 bytes" in text.reason

        dry = eshm.find_dead(domain=domain)
        assert [segment.name for segment in dry.removed] == ["killed"]
        assert len(eshm.segments(domain=domain)) == 3
        done = domain.remove_dead()
        assert [segment.name for segment in done.removed] == ["killed"]
        reasons = {left.segment.name: left.reason for left in done.left}
        assert reasons == {"living": f"its master lives (pid {os.getpid()})", "text": text.reason}
    assert [path.name for path in tmp_path.iterdir()] == ["t_text"]


def test_the_environment_chooses_the_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESHM_DIRECTORY", str(tmp_path))
    eshm.Endpoint("left", role="master", auto_cleanup=False).close()
    assert [segment.name for segment in eshm.segments()] == ["left"]
    assert [segment.name for segment in eshm.remove_dead().removed] == ["left"]
    monkeypatch.setenv("ESHM_DIRECTORY", str(tmp_path / "missing"))
    with pytest.raises(eshm.AttachError, match="cannot read the directory"):
        eshm.segments()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_a_close_warns_of_a_name_that_stays(tmp_path: Path, spawn: Spawn) -> None:
    tmp_path.chmod(0o1777)
    for parent in list(tmp_path.parents)[:-2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    domain = eshm.Domain(tmp_path, "t_")
    eshm.Endpoint("left", role="master", domain=domain, auto_cleanup=False, mode=0o666).close()
    os.chown(tmp_path / "t_left", 1, 1)
    script = """
        import os, sys, warnings, eshm
        os.setuid(65534)
        domain = eshm.Domain(sys.argv[1], "t_")
        master = eshm.Endpoint("left", role="master", domain=domain, any_owner=True, mode=0o666)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            master.close()
        print(caught[0].category.__name__, "has the sticky bit" in str(caught[0].message), flush=True)
    """
    expect_line(spawn(script, str(tmp_path)), "RuntimeWarning True")
