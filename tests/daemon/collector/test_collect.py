"""A collector and a local exchange: what it wrote is what the exchange said, but for the windows that it reports."""

import asyncio
from pathlib import Path

import pytest

from tests.daemon.collector.harness import VENUES, continuity, running


@pytest.mark.parametrize("venue", VENUES)
async def test_what_an_exchange_says_is_recorded_each_message_once(tmp_path: Path, venue: str):
    async with running(tmp_path, venue) as bench:
        collector = await bench.start()
        await bench.until_whole(collector)
        await asyncio.sleep(0.8)
        await bench.stop(collector)
        lines = bench.lines()
        assert len(lines) > 50
        assert bench.lost() == []
        assert [gap.why for gap in bench.book_gaps()] == ["the recording begins"]
        messages = [message for _, message in lines]
        assert len(set(messages)) == len(messages)
        if venue != "bybit":
            assert continuity(lines, "depth") == []
            assert continuity(lines, "trade") == []


async def test_a_gap_in_the_sequence_is_a_window_and_ends_with_a_book_that_was_asked_for(tmp_path: Path):
    async with running(tmp_path) as bench:
        collector = await bench.start()
        recorder = await bench.recorder(collector)
        await bench.until_whole(collector)
        await asyncio.sleep(0.3)
        for feed in bench.exchange.core.feeds:
            feed.gaps = 5
        await bench.until(lambda: recorder.gaps > 0)
        await bench.until_whole(collector)
        await asyncio.sleep(0.3)
        await bench.stop(collector)
        begin, gap = bench.book_gaps()
        assert "are missing" in gap.why
        holes = continuity(bench.lines(), "depth")
        assert len(holes) == 1
        assert gap.from_ns <= holes[0][0] <= holes[0][1] <= gap.until_ns
        snapshots = [ns for ns, line in bench.lines() if b"lastUpdateId" in line]
        assert snapshots[-1] == gap.until_ns
        assert begin.until_ns == snapshots[0]


async def test_one_connection_that_breaks_leaves_no_hole_where_there_are_two(tmp_path: Path):
    async with running(tmp_path) as bench:
        collector = await bench.start()
        await bench.until_whole(collector)
        for _ in range(3):
            first = next(one for one in bench.exchange.connections.values() if one.kind == "public")
            first.tear()
            await asyncio.sleep(0.6)
        await bench.stop(collector)
        assert [gap.why for gap in bench.book_gaps()] == ["the recording begins"]
        assert bench.lost() == []
        assert continuity(bench.lines(), "depth") == continuity(bench.lines(), "trade") == []


@pytest.mark.parametrize(
    "venue",
    # One whose books are asked for, one whose books are streamed; the others do what these do.
    [
        one if one in ("binancefutures", "bybit") else pytest.param(one, marks=pytest.mark.thorough)
        for one in VENUES
    ],
)
async def test_a_network_that_is_gone_for_a_while_is_a_window(tmp_path: Path, venue: str):
    async with running(tmp_path, venue) as bench:
        collector = await bench.start(connections=1)
        await bench.until_whole(collector)
        await asyncio.sleep(0.3)
        await bench.exchange.disconnect()
        await asyncio.sleep(0.3)
        await bench.exchange.connect()
        await bench.until_whole(collector)
        await asyncio.sleep(0.5)
        await bench.stop(collector)
        assert len(bench.book_gaps()) == 2
        assert bench.lost() == []


async def test_connections_end_as_planned_without_a_hole(tmp_path: Path):
    async with running(tmp_path) as bench:
        collector = await bench.start(connections=1, venue={"connection_life_s": 1.0})
        await bench.until_whole(collector)
        supervision = collector.venues[0].slots[0].supervision
        await bench.until(lambda: supervision.planned_ends >= 2)
        await asyncio.sleep(0.7)
        await bench.stop(collector)
        assert [gap.why for gap in bench.book_gaps()] == ["the recording begins"]
        assert bench.lost() == []


async def test_a_new_collector_takes_the_place_of_the_old_one_without_a_hole(tmp_path: Path):
    async with running(tmp_path) as bench:
        old = await bench.start()
        await bench.until_whole(old)
        new = await bench.start(replaces=True)
        await bench.until_whole(new)
        await asyncio.sleep(0.3)
        await bench.stop(old)
        await bench.until(lambda: new.server is not None)
        await asyncio.sleep(0.5)
        await bench.stop(new)
        assert len(bench.files) == 2
        assert [gap.why for gap in bench.book_gaps()] == ["the recording begins"]
        assert bench.lost() == []


async def test_a_disk_below_the_floor_pauses_in_order_and_goes_on(tmp_path: Path):
    async with running(tmp_path) as bench:
        collector = await bench.start()
        await bench.until_whole(collector)
        collector.writer._floor = 1 << 62
        await bench.until(lambda: "floor" in collector.writer.trouble)
        await bench.until(lambda: any(one.key == "recording_paused" for one in collector.status().alerts))
        recorder = await bench.recorder(collector)
        await bench.until(lambda: recorder.is_paused)
        await asyncio.sleep(0.7)
        sizes = [path.stat().st_size for path in bench.files]
        await asyncio.sleep(0.7)
        assert [path.stat().st_size for path in bench.files] == sizes
        collector.writer._floor = 0
        await bench.until_whole(collector)
        await asyncio.sleep(0.7)
        await bench.stop(collector)
        assert len(bench.book_gaps()) == 2
        assert "floor" in bench.book_gaps()[1].why
        assert bench.lost() == []
