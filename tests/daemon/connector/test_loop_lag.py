"""The event loop's own standing still is measured, and not what others do to it."""

import asyncio
import multiprocessing
import os
import signal
import time

from daemon.connector.watch.loop_lag import LONG_NS, LoopLag

MS = 1_000_000


async def measured(act) -> LoopLag:
    lag = LoopLag()
    lag.start()
    try:
        await asyncio.sleep(0.4)
        await act()
        await asyncio.sleep(0.4)
    finally:
        lag.close()
    return lag


async def test_a_loop_that_is_held_up_is_seen():
    async def block() -> None:
        time.sleep(0.12)  # noqa: ASYNC251 - that is what is measured

    lag = await measured(block)
    assert lag.max_ns > 90 * MS
    assert lag.long == 1
    assert lag.counters()["loop_lags_long"] == 1


async def test_a_loop_that_computes_for_long_is_seen():
    async def compute() -> None:
        end = time.thread_time() + 0.12
        while time.thread_time() < end:
            pass

    assert (await measured(compute)).max_ns > 90 * MS


async def test_a_process_that_is_stopped_has_not_stood_still_by_itself():
    def go_on(pid: int) -> None:
        time.sleep(0.3)
        os.kill(pid, signal.SIGCONT)

    async def stop() -> None:
        helper = multiprocessing.get_context("fork").Process(target=go_on, args=(os.getpid(),))
        helper.start()
        os.kill(os.getpid(), signal.SIGSTOP)
        await asyncio.sleep(0.4)
        helper.join()

    assert (await measured(stop)).max_ns < 200 * MS


async def test_a_thread_that_has_no_processor_has_not_stood_still_by_itself(monkeypatch):
    lag = LoopLag()
    lag.start()
    waited = iter((0, 100 * MS, 100 * MS))
    monkeypatch.setattr(lag, "_run_delay_ns", lambda: next(waited, 100 * MS))
    lag._timer.cancel()
    lag._wait()
    time.sleep(0.1)  # noqa: ASYNC251 - that is what is measured
    await asyncio.sleep(0.4)
    lag.close()
    assert lag.max_ns < LONG_NS
