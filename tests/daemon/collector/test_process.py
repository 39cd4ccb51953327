"""`hftd collect` as a process: killed, replaced, and with a disk that is full."""

import asyncio
import resource
import signal
from pathlib import Path

import pytest

from hftd.control import status
from tests.daemon.collector.harness import running, told
from tests.notified import Listener

# Real processes and their starts.
pytestmark = pytest.mark.thorough


async def test_a_collector_that_is_killed_and_started_again_says_what_is_missing_and_nothing_else_is(
    tmp_path: Path,
):
    async with running(tmp_path) as bench:
        for count in (1, 2, 3):
            child = await bench.spawn()
            await bench.until_noted(count)
            await asyncio.sleep(1.0)
            child.send_signal(signal.SIGKILL if count < 3 else signal.SIGTERM)
            await child.wait()
            await asyncio.sleep(0.3)
        assert child.returncode == 0
        assert [gap.why for gap in bench.book_gaps()] == ["the recording begins"] + [
            "the recorder was gone"
        ] * 2
        assert bench.lost() == []
        assert len(bench.files) == 1


async def test_one_process_takes_the_place_of_another_without_a_hole(tmp_path: Path):
    async with running(tmp_path) as bench:
        old = await bench.spawn()
        await bench.until_noted(1)
        new = await bench.spawn("--replace")
        assert await asyncio.wait_for(old.wait(), 60.0) == 0
        await bench.until_noted(2)
        await asyncio.sleep(1.0)
        found = await asyncio.to_thread(told)
        assert (found.kind, found.pid) == (status.COLLECTOR, new.pid)
        new.send_signal(signal.SIGTERM)
        assert await new.wait() == 0
        assert [gap.why for gap in bench.book_gaps()] == ["the recording begins"]
        assert bench.lost() == []


async def test_a_disk_that_is_full_costs_nothing_but_what_it_says(tmp_path: Path):
    async with running(tmp_path) as bench:
        child = await bench.spawn()
        await bench.until_noted(1)
        await asyncio.sleep(1.0)
        size = bench.files[0].stat().st_size
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
        for _ in range(100):
            found = await asyncio.to_thread(told)
            alerts = [one.key for one in found.alerts]
            # The writer refuses at once; what is said of the symbol follows within a quarter of a second.
            if "recording_paused" in alerts and not found.channels[0].markets[0].book_is_valid:
                break
            await asyncio.sleep(0.1)
        else:
            pytest.fail(f"it does not pause: {found}")
        assert bench.files[0].stat().st_size <= size + 100
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await bench.until_noted(2)
        await asyncio.sleep(1.0)
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0
        assert len(bench.book_gaps()) == 2
        assert bench.lost() == []


async def test_systemd_hears_that_a_collector_writes_lives_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with Listener(tmp_path, monkeypatch) as systemd:
        async with running(tmp_path) as bench:
            child = await bench.spawn()
            await asyncio.to_thread(systemd.until, "READY=1")
            assert bench.files, "it is ready when it writes"
            fed = await asyncio.to_thread(systemd.until, "WATCHDOG=1")
            assert "symbols whole" in fed
            child.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.1)
            assert not await asyncio.to_thread(systemd.is_fed_within, 2.0)
            child.send_signal(signal.SIGCONT)
            child.send_signal(signal.SIGTERM)
            await asyncio.to_thread(systemd.until, "STOPPING=1")
            assert await child.wait() == 0
