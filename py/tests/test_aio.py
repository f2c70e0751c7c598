"""An endpoint in an event loop."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import PATIENCE, fill, segment_file
from loops import opened, run

if TYPE_CHECKING:
    from conftest import Spawn


pytestmark = pytest.mark.usefixtures("either_loop")


def test_asyncio_is_imported_only_on_use() -> None:
    script = """
import sys, eshm
assert "asyncio" not in sys.modules
assert eshm.AsyncEndpoint and "asyncio" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=PATIENCE)


def test_two_endpoints_exchange_messages_in_one_loop(name: str) -> None:
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


def test_each_of_many_receivers_gets_one_message(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            receivers = [asyncio.create_task(slave.recv()) for _ in range(10)]
            await asyncio.sleep(0)
            for number in range(10):
                await master.send(b"%d" % number)
            assert [await receiver for receiver in receivers] == [b"%d" % number for number in range(10)]

    run(scenario())


def test_send_awaits_room_and_keeps_the_order(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            message = b"x" * (master.endpoint.max_message // 2)
            sends = [asyncio.create_task(master.send(b"%d" % number + message[9:])) for number in range(9)]
            for number in range(9):
                assert (await slave.recv()).startswith(b"%d" % number)
            await asyncio.gather(*sends)

    run(scenario())


def test_read_returns_the_latest_value(name: str) -> None:
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


def test_close_ends_an_awaited_call(name: str) -> None:
    async def scenario() -> None:
        master = await eshm.AsyncEndpoint.open(name, role="master")
        waiting = asyncio.create_task(master.recv())
        await asyncio.sleep(0)
        master.close()
        with pytest.raises(eshm.ClosedError):
            await waiting

    run(scenario())


def test_a_message_that_comes_after_a_time_out_is_there_after_a_close(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master:
            async with slave:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(slave.recv(), 0.05)
                await master.send(b"late")
                # A wait that goes on would have taken it by now.
                await asyncio.sleep(0.1)
            async with await eshm.AsyncEndpoint.open(name, role="slave") as successor:
                assert await successor.recv() == b"late"

    run(scenario())


def test_a_value_that_arrives_after_a_timeout_stays_unread(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(slave.read(), 0.05)
            master.endpoint.write(b"late")
            await asyncio.sleep(0.1)
            assert slave.endpoint.try_read() == b"late"

    run(scenario())


def test_a_try_recv_after_a_cancelled_receive_overtakes_nothing(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            for number in range(20):
                receiving = asyncio.create_task(slave.recv())
                await asyncio.sleep(0.001)
                receiving.cancel()
                await asyncio.wait([receiving])
                await master.send(b"%d" % (2 * number))
                await master.send(b"%d" % (2 * number + 1))
                assert slave.endpoint.try_recv() == b"%d" % (2 * number)
                assert await slave.recv() == b"%d" % (2 * number + 1)

    run(scenario())


def test_a_message_that_comes_with_the_cancellation_is_the_next_receivers(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            received = []
            for number in range(200):
                receiving = asyncio.create_task(slave.recv())
                await asyncio.sleep(0)
                master.endpoint.try_send(b"%d" % number)
                # It comes before, during or after the cancellation.
                await asyncio.sleep(number % 10 * 0.00002)
                receiving.cancel()
                await asyncio.wait([receiving])
                received.append(await slave.recv() if receiving.cancelled() else receiving.result())
            assert received == [b"%d" % number for number in range(200)]

    run(scenario())


def test_one_of_many_receivers_is_cancelled_and_the_others_keep_their_order(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            receivers = [asyncio.create_task(slave.recv()) for _ in range(5)]
            await asyncio.sleep(0.01)
            for index in (0, 3):
                receivers[index].cancel()
            for number in range(3):
                await master.send(b"%d" % number)
            assert [await receivers[index] for index in (1, 2, 4)] == [b"0", b"1", b"2"]
            assert slave.endpoint.try_recv() is None

    run(scenario())


def test_a_send_that_was_cancelled_was_not_sent(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            room = fill(master.endpoint)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(master.send(b"cancelled"), 0.05)
            sending = asyncio.create_task(master.send(b"next"))
            await asyncio.sleep(0)
            received: list[bytes] = []
            while len(received) <= room:
                received.append(await slave.recv())
            await sending
            assert received[room:] == [b"next"]
            await asyncio.sleep(0.1)
            assert slave.endpoint.try_recv() is None

    run(scenario())


def test_a_short_message_does_not_wait_for_the_room_of_a_cancelled_one(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            most = master.endpoint.max_message
            await master.send(bytes(most))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(master.send(bytes(most)), 0.05)
            await master.send(b"short")
            assert [len(await slave.recv()) for _ in range(2)] == [most, 5]

    run(scenario())


def test_awaiting_keeps_lent_memory(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            reading = asyncio.create_task(slave.read())
            await asyncio.sleep(0.01)
            await master.send(b"lent")
            with slave.endpoint.borrow(PATIENCE) as borrowed, memoryview(borrowed) as view:
                # The descriptor is readable meanwhile.
                await asyncio.sleep(0.1)
                assert not reading.done()
                assert view.tobytes() == b"lent"
            master.endpoint.write(b"value")
            assert await reading == b"value"

    run(scenario())


@pytest.mark.parametrize("verb", ["recv", "read", "send", "wait_for_peer"])
def test_close_ends_every_waiting_task(name: str, verb: str) -> None:
    async def scenario() -> None:
        master = await eshm.AsyncEndpoint.open(name, role="master")
        fill(master.endpoint)
        arguments = (b"message",) if verb == "send" else ()
        tasks = [asyncio.create_task(getattr(master, verb)(*arguments)) for _ in range(3)]
        await asyncio.sleep(0.01)
        master.close()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, eshm.ClosedError)

    run(scenario())


def test_a_closing_peer_ends_an_awaited_call(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with slave:
            receiving = asyncio.create_task(slave.recv())
            await asyncio.sleep(0.01)
            master.close()
            with pytest.raises(eshm.PeerClosedError):
                await receiving

    run(scenario())


def test_a_dropped_endpoint_with_a_cancelled_wait_is_closed(name: str) -> None:
    async def scenario() -> None:
        master = await eshm.AsyncEndpoint.open(name, role="master")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(master.recv(), 0.01)
        del master
        while segment_file(name).exists():
            await asyncio.sleep(0.001)

    run(scenario())


def test_an_endpoint_outlives_its_loop(name: str) -> None:
    with eshm.Endpoint(name, role="master") as master, eshm.Endpoint(name, role="slave") as slave:
        loop = asyncio.new_event_loop()
        aio = eshm.AsyncEndpoint(slave)
        receiving = loop.create_task(aio.recv())
        loop.run_until_complete(asyncio.sleep(0.01))
        # What `asyncio.run` does for its callers.
        receiving.cancel()
        loop.run_until_complete(asyncio.wait([receiving]))
        loop.close()
        master.send(b"for whoever comes")
        assert asyncio.run(aio.recv()) == b"for whoever comes"
        aio.close()


#: What a program may do with a wait before it exits, and its exit code.
EXITS = {
    "after a time-out": ("await asyncio.wait([asyncio.ensure_future(robot.recv())], timeout=0.05)", 0),
    "with a wait given up": ("await give_up(robot.recv(), 0.05)", 0),
    "with waits of each kind": (
        "await asyncio.wait([*map(asyncio.ensure_future, all_of(robot))], timeout=0.05)",
        0,
    ),
    "by sys.exit": ("asyncio.ensure_future(robot.recv()); await asyncio.sleep(0.05); sys.exit(3)", 3),
    "by an interrupt": (
        "asyncio.get_running_loop().call_later(0.05, signal.raise_signal, signal.SIGINT); await robot.recv()",
        -signal.SIGINT,
    ),
    "with a loop that is never closed": (
        "asyncio.ensure_future(robot.recv()); forget_loop(); await pause()",
        0,
    ),
}


@pytest.mark.parametrize("how", EXITS)
def test_a_process_exits_without_a_close(name: str, spawn: Spawn, how: str) -> None:
    what, status = EXITS[how]
    script = f"""
    import asyncio, signal, sys
    import eshm

    # A shell that starts the tests in the background has its children ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def all_of(robot):
        return robot.recv(), robot.read(), robot.wait_for_peer(), robot.send(bytes(200_000))

    async def give_up(call, limit):
        try:
            await asyncio.wait_for(call, limit)
        except asyncio.TimeoutError:
            pass

    def forget_loop():
        asyncio.get_running_loop().call_later(0.05, asyncio.get_running_loop().stop)

    async def pause():
        await asyncio.Event().wait()

    async def main():
        robot = await eshm.AsyncEndpoint.open({name!r}, role="master")
        robot.endpoint.send(bytes(200_000))
        {what}

    if {"never closed" in how}:
        loop = asyncio.new_event_loop()
        loop.create_task(main())
        loop.run_forever()
    else:
        asyncio.run(main())
    """
    child = spawn(script)
    _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == status, errors
    assert "Fatal" not in errors
