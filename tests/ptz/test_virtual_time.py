"""Virtual time: it jumps, it keeps the order, and it says so when nothing will ever come."""

from __future__ import annotations

import asyncio
import time

import pytest

from ptz.virtual_time import NothingToWaitFor, TimeLimit, run_virtual


def test_an_hour_passes_at_once() -> None:
    async def hour() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began_s = time.monotonic()
    assert run_virtual(hour(), start_s=100.0) == pytest.approx(3700.0)
    assert time.monotonic() - began_s < 1.0


def test_timers_of_several_tasks_come_in_order() -> None:
    async def main() -> list[tuple[float, str]]:
        seen: list[tuple[float, str]] = []
        loop = asyncio.get_running_loop()

        async def tick(name: str, every_s: float) -> None:
            for _ in range(3):
                await asyncio.sleep(every_s)
                seen.append((round(loop.time(), 6), name))

        await asyncio.gather(tick("slow", 0.5), tick("quick", 0.2))
        return seen

    assert run_virtual(main()) == [
        (0.2, "quick"), (0.4, "quick"), (0.5, "slow"), (0.6, "quick"), (1.0, "slow"), (1.5, "slow"),
    ]  # fmt: skip


def test_a_timeout_ends_a_wait_for_what_never_comes() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 5.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(5.0)


def test_waiting_for_nothing_is_told() -> None:
    async def main() -> None:
        await asyncio.sleep(2.5)
        await asyncio.Event().wait()

    with pytest.raises(NothingToWaitFor, match=r"2\.5"):
        run_virtual(main())


def test_a_limit_ends_tasks_that_go_on_for_ever() -> None:
    ended: list[float] = []

    async def beat() -> None:
        try:
            while True:
                await asyncio.sleep(0.1)
        finally:
            await asyncio.sleep(1.0)
            ended.append(asyncio.get_running_loop().time())

    async def main() -> None:
        task = asyncio.create_task(beat())
        await asyncio.Event().wait()
        await task

    with pytest.raises(TimeLimit):
        run_virtual(main(), limit_s=10.0)
    assert ended == [pytest.approx(11.0, abs=0.2)]


def test_queues_and_callbacks_work_as_always() -> None:
    async def main() -> int:
        queue: asyncio.Queue[int] = asyncio.Queue(1)

        async def feed() -> None:
            for number in range(100):
                await queue.put(number)

        feeding = asyncio.create_task(feed())
        total = 0
        for _ in range(100):
            total += await queue.get()
        await feeding
        return total

    assert run_virtual(main()) == 4950
