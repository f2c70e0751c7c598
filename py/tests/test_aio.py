"""An endpoint in an event loop."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import eshm
from conftest import PATIENCE, fill, segment_file

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from conftest import Spawn

#: The threads that a process with endpoints has beside its own: those of the core, and the one that logs.
KNOWN_THREADS = ("eshm-monitor", "eshm-register", "eshm-logging")


#: What runs a scenario, set by the fixture below.
_run: Callable[..., None] = asyncio.run


@pytest.fixture(params=["asyncio", "uvloop"], autouse=True)
def _loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs each test under either loop."""
    global _run  # noqa: PLW0603
    before = _run
    _run = asyncio.run if request.param == "asyncio" else pytest.importorskip("uvloop").run
    yield
    _run = before


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Runs a scenario, which must start no thread."""
    before = set(threads())

    async def checked() -> None:
        await scenario
        # A thread has its name a moment after its start.
        while set(threads()) - before:
            await asyncio.sleep(0.001)

    _run(asyncio.wait_for(checked(), PATIENCE))


def threads() -> list[str]:
    """The threads of this process, but those that any process with endpoints has."""
    tasks = Path("/proc/self/task")
    names = {task.name: (task / "comm").read_text().strip() for task in tasks.iterdir()}
    logging = {str(thread.native_id) for thread in threading.enumerate() if thread.name in KNOWN_THREADS}
    return [
        f"{name} {task}" for task, name in names.items() if name not in KNOWN_THREADS and task not in logging
    ]


async def opened(name: str) -> tuple[eshm.AsyncEndpoint, eshm.AsyncEndpoint]:
    return await eshm.AsyncEndpoint.open(name, role="master"), await eshm.AsyncEndpoint.open(
        name, role="slave"
    )


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


def test_an_endpoint_in_a_second_loop_is_refused_while_the_first_waits(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            waiting = asyncio.create_task(slave.recv())
            await asyncio.sleep(0)

            def other() -> None:
                with pytest.raises(RuntimeError, match="another event loop"):
                    asyncio.run(slave.recv())

            thread = threading.Thread(target=other)
            thread.start()
            thread.join(PATIENCE)
            await master.send(b"for the first")
            assert await waiting == b"for the first"

    run(scenario())


def test_a_forked_child_is_told_so(name: str, spawn: Spawn) -> None:
    child = spawn(f"""
    import asyncio, os, eshm

    async def expect_forked(robot):
        for call in (robot.recv(), robot.send(b""), robot.wait_for_peer()):
            try:
                await call
            except eshm.ForkedError:
                continue
            os._exit(1)
        robot.close()
        os._exit(0)

    async def main():
        async with (
            await eshm.AsyncEndpoint.open({name!r}, role="master") as robot,
            await eshm.AsyncEndpoint.open({name!r}, role="slave") as slave,
        ):
            waiting = asyncio.create_task(robot.recv())
            await asyncio.sleep(0.01)
            if (child := os.fork()) == 0:
                asyncio.events._set_running_loop(None)
                asyncio.run(expect_forked(robot))
            assert os.waitpid(child, 0)[1] == 0
            await slave.send(b"goes on")
            assert await waiting == b"goes on"

    asyncio.run(main())
    """)
    _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, errors


def test_waiting_tasks_are_told_of_the_peers_close_whatever_they_await(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with slave:
            fill(slave.endpoint)
            calls = (slave.recv(), slave.recv(), slave.read(), slave.send(b"no room"))
            tasks = [asyncio.create_task(call) for call in calls]
            await asyncio.sleep(0.01)
            master.close()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(outcome, eshm.PeerClosedError)

    run(scenario())


def test_messages_values_and_room_are_awaited_side_by_side(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            fill(slave.endpoint)
            for number in range(20):
                tasks = [
                    asyncio.create_task(call)
                    for call in (slave.recv(), slave.read(), slave.send(bytes(100_000)))
                ]
                await asyncio.sleep(0)
                order = ["message", "value", "room"]
                random.Random(number).shuffle(order)
                for event in order:
                    if event == "message":
                        await master.send(b"message")
                        assert await tasks[0] == b"message"
                    elif event == "value":
                        master.write(b"value")
                        assert await tasks[1] == b"value"
                    else:
                        while not tasks[2].done():
                            await master.recv()
                            await asyncio.sleep(0)
                fill(slave.endpoint)

    run(scenario())


def test_nothing_stays_registered_when_nobody_waits(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(slave.recv(), 0.001)
            master.write(b"value")
            await master.send(b"nobody waits for it")
            loop = asyncio.get_running_loop()
            removed = False
            while not removed:
                await asyncio.sleep(0.001)
                removed = not loop.remove_reader(slave.endpoint.fileno())
                if not removed:
                    # It was registered: as before.
                    assert slave._watch is not None
                    loop.add_reader(slave.endpoint.fileno(), slave._watch._on_readable)
            slave._watch = None
            assert await slave.recv() == b"nobody waits for it"
            assert await slave.read() == b"value"

    run(scenario())


def test_an_idle_loop_sleeps(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            fill(slave.endpoint)
            calls = (slave.recv(), slave.read(), slave.send(b"no room"))
            tasks = [asyncio.create_task(call) for call in calls]
            await asyncio.sleep(0.05)
            tasks[1].cancel()
            master.write(b"nobody reads it")
            await asyncio.sleep(0.05)
            assert slave._watch is not None
            calls_before = slave._watch.calls
            await asyncio.sleep(0.1)
            assert slave._watch.calls - calls_before < 10
            for task in tasks:
                task.cancel()

    run(scenario())


def test_loans_and_borrowing(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            borrowing = asyncio.create_task(slave.borrow())
            await asyncio.sleep(0)
            with await master.loan(4) as loan:
                memoryview(loan)[:] = b"lent"
                loan.send()
            with await borrowing as borrowed:
                assert bytes(borrowed) == b"lent"
            with await master.loan_array((2, 3), np.int32) as array_loan:
                array_loan.array[:] = [[1, 2, 3], [4, 5, 6]]
                array_loan.send()
            with await slave.borrow() as borrowed:
                assert np.frombuffer(borrowed, np.int32).tolist() == [1, 2, 3, 4, 5, 6]
            count = fill(master.endpoint)
            lending = asyncio.create_task(master.loan(10))
            await asyncio.sleep(0.01)
            assert not lending.done()
            for _ in range(count):
                await slave.recv()
            with await lending as loan:
                assert len(loan) == 10
            assert slave.try_recv() is None

    run(scenario())


def test_a_waiting_task_leaves_what_another_has_borrowed(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            reading = asyncio.create_task(slave.read())
            await asyncio.sleep(0.01)
            await master.send(b"borrowed")
            with await slave.borrow() as borrowed:
                master.write(b"value")
                await asyncio.sleep(0.05)
                assert bytes(borrowed) == b"borrowed"
                assert not reading.done()
            assert await reading == b"value"

    run(scenario())


def test_batches(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            messages = [b"%d" % number for number in range(100_000)]
            sending = asyncio.create_task(master.send_many(iter(messages)))
            received: list[bytes] = []
            while len(received) < len(messages):
                received += await slave.recv_many(1000)
            await sending
            assert received == messages
            assert await slave.recv_many(0) == []
            records = np.arange(200_000).reshape(-1, 2)
            sending = asyncio.create_task(master.send_records(records))
            found = np.empty((1000, 2), records.dtype)
            total = 0
            while total < len(records):
                count = await slave.recv_into(found)
                assert np.array_equal(found[:count], records[total : total + count])
                total += count
            await sending

    run(scenario())


def test_a_cancelled_batch_tells_how_much_of_it_was_sent(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:
            sending = asyncio.create_task(master.send_many([bytes(1000)] * 10_000))
            await asyncio.sleep(0.01)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await sending
            sent = caught.value.sent  # type: ignore[attr-defined]
            assert 0 < sent < 10_000
            assert len(slave.endpoint.recv_many()) == sent

    run(scenario())


def test_time_outs_and_groups_as_people_use_them(name: str) -> None:
    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave:

            async def receive_in_time() -> None:
                async with asyncio.timeout(0.01):
                    await slave.recv()

            with pytest.raises(TimeoutError):
                await receive_in_time()
            results: list[bytes] = []

            async def receive() -> None:
                results.append(await slave.recv())

            async def fail_in_a_group() -> None:
                async with asyncio.TaskGroup() as group:
                    group.create_task(receive())
                    group.create_task(slave.read())
                    await asyncio.sleep(0.001)
                    raise ValueError

            with pytest.raises(ExceptionGroup):
                await fail_in_a_group()
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(receive())
                await asyncio.sleep(0)
                for number in range(3):
                    await master.send(b"%d" % number)
            assert results == [b"0", b"1", b"2"]

            # A flood does not keep the loop from other tasks.
            async def flood() -> None:
                while True:
                    await master.send(b"x")
                    await slave.recv()

            with pytest.raises(TimeoutError):
                await asyncio.wait_for(flood(), 0.05)

    run(scenario())


def test_it_works_under_anyio(name: str) -> None:
    anyio: Any = pytest.importorskip("anyio")

    async def scenario() -> None:
        master, slave = await opened(name)
        async with master, slave, anyio.create_task_group() as group:
            with anyio.move_on_after(0.01) as scope:
                await slave.recv()
            assert scope.cancelled_caught
            group.start_soon(master.send, b"any")
            with anyio.fail_after(PATIENCE):
                assert await slave.recv() == b"any"

    anyio.run(scenario, backend_options={"use_uvloop": _run is not asyncio.run})


@pytest.mark.parametrize("seed", range(8))
def test_random_cancellations_lose_double_and_reorder_nothing(name: str, seed: int) -> None:
    chance = random.Random(seed)

    async def scenario() -> None:
        master, slave = await opened(name)
        received: list[int] = []
        sent: list[int] = []
        values: list[int] = []
        async with master, slave:

            async def receive() -> None:
                if chance.random() < 0.5:
                    received.append(int(await slave.recv()))
                else:
                    received.extend(map(int, await slave.recv_many(3)))

            async def read() -> None:
                values.append(int(await slave.read()))

            async def send(number: int) -> None:
                await master.send(b"%04000d" % number)
                sent.append(number)

            tasks: list[asyncio.Task[None]] = []
            for number in range(600):
                verbs: list[Callable[[], Coroutine[Any, Any, None]]] = [receive, read, partial(send, number)]
                verb = chance.choice(verbs)
                tasks.append(asyncio.create_task(verb()))
                if chance.random() < 0.3:
                    master.write(b"%d" % number)
                if chance.random() < 0.4:
                    chance.choice(tasks).cancel()
                await asyncio.sleep(chance.choice([0, 0, 0.0001]))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            while (message := slave.try_recv()) is not None:
                received.append(int(message))
        assert received == sent
        assert values == sorted(set(values))

    run(scenario())


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
