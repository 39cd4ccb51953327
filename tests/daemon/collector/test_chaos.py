"""Whatever an exchange does: nothing is missing that is not reported, and the archive is what was said."""

import asyncio
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from hftd.types import KIND_MASK, TRADE_EVENT
from sim.archive import read_events
from sim.checks import validate
from sim.convert import convert
from sim.exchange.rules.chaos import ChaosSection
from tests.daemon.collector.harness import (
    TOLERANCE_NS,
    VENUES,
    Bench,
    continuity,
    exchange_config,
    running,
    told,
)


def bad_luck(seed: int) -> ChaosSection:
    """What happens to streams and to questions about books."""
    return ChaosSection(
        seed=seed,
        feed_gap=0.004,
        feed_restart_s=4.0,
        feed_doubled=0.01,
        feed_late=0.01,
        late_ms=100.0,
        unknown_level=0.02,
        stale_snapshot=0.2,
        inside_snapshot=0.5,
        silent_subscription=0.02,
        refused_connection=0.1,
        close_s=3.0,
        tear_s=4.0,
        stall_s=5.0,
        stall_ms=300.0,
        busy_failed=0.05,
    )


def check(bench: Bench, folder: Path) -> None:
    """All that was said is there or in a window; and in the archive it is what the exchange's tape has."""
    assert bench.lost() == []
    windows = [(gap.from_ns, gap.until_ns) for gap in bench.gaps()]
    lines = bench.lines()
    if bench.venue != "bybit":
        for kind in ("depth", "trade"):
            for before, behind in continuity(lines, kind):
                assert any(start <= behind and before <= end for start, end in windows)
    output = folder / "day.npz"
    report = convert(bench.files, output, venue=bench.venue)
    assert report.crossed.checked
    rows = read_events(output)
    local = rows["local_ts"] - report.clock_correction_ns
    trades = rows["ev"] & KIND_MASK == TRADE_EVENT
    told = [(ns, payload) for ns, name, payload in bench.tape.said if "rade" in name]
    inside = [
        sum(payload.count(b'"p":') for ns, payload in told if start + TOLERANCE_NS < ns < end - TOLERANCE_NS)
        for start, end in whole_spans(bench)
    ]
    found = [
        int(np.count_nonzero(trades & (local > start) & (local < end))) for start, end in whole_spans(bench)
    ]
    assert all(has >= said for has, said in zip(found, inside, strict=True))
    assert [one.name for one in validate([output]).problems if one.severity == "error"] == []


def whole_spans(bench: Bench) -> list[tuple[int, int]]:
    """Between the windows."""
    gaps = bench.book_gaps()
    starts = [gap.until_ns for gap in gaps]
    ends = [*(gap.from_ns for gap in gaps[1:]), bench.lines()[-1][0]]
    return list(zip(starts, ends, strict=True))


async def run(
    folder: Path, venue: str, seed: int, seconds: float, connections: int, rate: float = 200.0
) -> None:
    """Record in bad weather; now and then another process takes over, or begins anew."""
    async with running(folder, venue, exchange_config(venue, bad_luck(seed), updates_per_s=rate)) as bench:
        collector = await bench.start(connections=connections)
        for number in range(3):
            await asyncio.sleep(seconds / 3)
            if number < 2:
                await bench.stop(collector)
                collector = await bench.start(connections=connections)
        await bench.until(lambda: bool(collector.venues) and collector.venues[0].recorders[0].messages > 0)
        await bench.stop(collector)
        check(bench, folder)


@pytest.mark.thorough
@pytest.mark.parametrize("venue", VENUES)
async def test_nothing_is_missing_in_bad_weather_that_is_not_reported(tmp_path: Path, venue: str):
    await run(tmp_path, venue, seed=5, seconds=5.0, connections=2)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("venue", VENUES)
async def test_nothing_is_missing_with_other_luck_either(tmp_path: Path, venue: str, seed: int):
    await run(tmp_path, venue, seed, seconds=9.0, connections=seed)


def resident(pid: int) -> int:
    """MiB of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_fast_market_with_tears_kills_gaps_and_a_full_disk(tmp_path: Path):
    # Some hundred messages a second, as much as the local exchange says beside the collectors.
    config = exchange_config("binancefutures", bad_luck(11), updates_per_s=1000.0, trades_per_s=400.0)
    fast = {"depth": "0ms"}
    grown: list[int] = []
    async with running(tmp_path, "binancefutures", config) as bench:

        async def measured(child: asyncio.subprocess.Process, seconds: float) -> None:
            await asyncio.sleep(3.0)
            before = resident(child.pid)
            await asyncio.sleep(seconds - 3.0)
            grown.append(resident(child.pid) - before)

        child = await bench.spawn(venue=fast)
        await bench.until_noted(1)
        await measured(child, 9.0)
        child.send_signal(signal.SIGKILL)
        await child.wait()
        child = await bench.spawn(venue=fast)
        await asyncio.sleep(6.0)
        limit = bench.files[0].stat().st_size + 100
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        await asyncio.sleep(3.0)
        assert "recording_paused" in [one.key for one in (await asyncio.to_thread(told)).alerts]
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await measured(child, 8.0)
        old, child = child, await bench.spawn("--replace", venue=fast)
        assert await asyncio.wait_for(old.wait(), 70.0) == 0
        await measured(child, 12.0)
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == 0
        assert "the recorder was gone" in [gap.why for gap in bench.gaps()]
        assert len(bench.lines()) > 15_000
        check(bench, tmp_path)
    # What is packed waits for its frame, and freed memory goes back late.
    assert all(one < 32 for one in grown), grown
