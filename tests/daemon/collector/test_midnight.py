"""The end of a day, with a clock that shows a moment before midnight, real files and the real commands."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import daemon.collector.service as service
import hftd.clock as clock
from daemon.cli.run.archiving import Archiver
from daemon.collector.files import day_of
from hftd.clock import stamp_ns
from hftd.recording import DAY_NS, End, Snapshot, Whole, quality_path, read_notes
from sim.archive import read_events
from sim.archive.gaps import read_gaps
from tests.daemon.collector.harness import running

# Days that really end, and commands in processes of their own.
pytestmark = pytest.mark.thorough


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> int:
    """All clocks of the day show two seconds before a midnight, and go on from there. Returns the day that begins."""
    now_ns = clock.wall_ns()
    day = day_of(now_ns) + 1
    step_ns = day * DAY_NS - 2_000_000_000 - now_ns
    wall_ns, anchor_ns = clock.wall_ns, clock._ANCHOR_NS
    monkeypatch.setattr(clock, "wall_ns", lambda: wall_ns() + step_ns)
    monkeypatch.setattr(clock, "_ANCHOR_NS", anchor_ns + step_ns)
    monkeypatch.setattr(clock, "_stamp_ns", 0)
    monkeypatch.setattr(service, "CONVERT_AFTER_S", 0.5)
    return day


async def test_a_day_that_is_over_is_made_an_archive_and_validated(tmp_path: Path, late: int):
    async with running(tmp_path) as bench:
        archiver = Archiver(tmp_path / "raw", tmp_path / "archives", "zstd")
        archives = tmp_path / "archives" / "binancefutures"
        done: list[str] = []

        async def convert(*of: Any) -> str:
            done.append(await archiver(*of))
            return done[-1]

        collector = await bench.start(convert=convert)
        await bench.until(lambda: bool(done), 120.0)
        assert done == [""]
        await bench.stop(collector)
        assert bench.lost() == []
        first, second = bench.files
        (archive,) = archives.glob("*.npz")
        assert archive.stem == first.name.partition(".")[0]
        rows = read_events(archive)
        assert len(rows) > 100
        assert rows["local_ts"].max() < late * DAY_NS <= stamp_ns()
        (gap,) = read_gaps(archive)
        assert gap.why == "the recording begins"
        # The second day has a book of its own, and goes on from the first.
        notes = read_notes(quality_path(second))
        assert any(isinstance(note, Snapshot) for note in notes)
        assert sum(isinstance(note, Whole) for note in notes) == 1
        assert isinstance(read_notes(quality_path(first))[-1], End)


async def test_a_day_that_can_t_be_made_an_archive_is_a_warning_and_its_files_stay(tmp_path: Path, late: int):
    (tmp_path / "archives").write_text("in the way")
    async with running(tmp_path) as bench:
        archiver = Archiver(tmp_path / "raw", tmp_path / "archives", "zstd")
        collector = await bench.start(convert=archiver)
        await bench.until(lambda: bool(collector._failed_days))
        alerts = {one.key: one.text for one in collector.status().alerts}
        assert "was not made an archive" in alerts["day_not_converted"]
        await bench.until_whole(collector)
        await bench.stop(collector)
        assert len(bench.files) == 2
        assert bench.lost() == []


async def test_what_convert_says_of_files_that_it_can_t_read_is_what_is_shown(tmp_path: Path, late: int):
    raw = tmp_path / "raw" / "binancefutures"
    async with running(tmp_path) as bench:
        collector = await bench.start()
        await bench.until(lambda: len(bench.files) == 2)
        await bench.stop(collector)
        name = bench.files[0].name
    shutil.rmtree(raw)
    raw.mkdir()
    (raw / name).write_bytes(b"nothing that was recorded\n" * 100)
    problem = await Archiver(tmp_path / "raw", tmp_path / "archives", "zstd")(
        "binancefutures", "BTCUSDT", late - 1
    )
    assert "hftd convert ended with" in problem
