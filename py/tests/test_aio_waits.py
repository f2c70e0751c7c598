"""An endpoint in an event loop: several waits at once, other loops, batches and memory in place."""

from __future__ import annotations

import asyncio
import random
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import eshm
import loops
from conftest import PATIENCE, fill
from loops import opened, run

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from conftest import Spawn

pytestmark = pytest.mark.usefixtures("either_loop")


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

    anyio.run(scenario, backend_options={"use_uvloop": loops.runner[0] is not asyncio.run})


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
