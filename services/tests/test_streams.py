"""One call of each kind, on items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conftest import LARGE, MAX_MESSAGE
from programs import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Pairing
    from programs import Server


def test_one_item(worker: Worker) -> None:
    assert worker.ask("item_get", id=7) == {"id": 7, "name": "item 7"}
    assert worker.ask("item_get", id=1_000_000) == {"id": 1_000_000, "name": "item 1000000"}


def test_the_server_streams(worker: Worker) -> None:
    assert worker.ask("item_list", first=3, count=2000) == {"count": 2000, "sum": sum(range(3, 2003))}
    assert worker.ask("item_list", first=1, count=0) == {"count": 0, "sum": 0}
    assert worker.ask("item_list", first=999_999, count=10) == {"count": 2, "sum": 1_999_999}
    assert worker.ask("item_list", first=1_000_001, count=10) == {"count": 0, "sum": 0}


def test_a_stream_that_is_cancelled_leaves_the_client_usable(worker: Worker) -> None:
    for _ in range(3):
        assert worker.ask("item_list", first=1, count=1_000_000, take=10) == {"count": 10, "sum": 55}
        assert worker.ask("echo", size=100) == {"size": 100}


def test_the_client_streams(worker: Worker) -> None:
    assert worker.ask("item_upload", first=5, count=2000) == {"count": 2000, "sum": sum(range(5, 2005))}
    assert worker.ask("item_upload", first=1, count=0) == {"count": 0, "sum": 0}


def test_both_stream(worker: Worker) -> None:
    texts = ["one", "zwei ß", "", "a\nb", "x" * 5000]
    assert worker.ask("item_chat", texts=texts) == {"texts": [text.upper() for text in texts]}
    assert worker.ask("item_chat", texts=[]) == {"texts": []}


def test_bytes_come_back(worker: Worker) -> None:
    for size in (0, 1, 63, 8192, 200_000):
        assert worker.ask("echo", size=size) == {"size": size}


def test_a_message_beyond_4_mb_comes_back(pairing: Pairing, one_seat: Callable[[str], Server]) -> None:
    address = one_seat(pairing.server).addresses[pairing.transport]
    with Worker(pairing.client, pairing.transport, address) as worker:
        size = 8 << 20
        assert MAX_MESSAGE < size < LARGE
        assert worker.ask("echo", size=size) == {"size": size}
        worker.close()
