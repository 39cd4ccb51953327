"""Archives of Tardis's files are those of the reference's converter, row for row, but where that one is wrong.

The names of tests have no kind of file in them: the reference looks for that in a file's whole path.
"""

import contextlib
import io

import numpy as np
import pytest

from hftd.types import (
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
)
from sim.archive import read_events
from sim.convert import Options, convert

from .tardis_files import BOOK, START_US, Day, table

pytestmark = pytest.mark.parity
reference = pytest.importorskip("hftbacktest.data.utils.tardis", reason="the reference is not installed")


@pytest.fixture(autouse=True)
def within_bounds(monkeypatch):
    """Give the reference's merge an index more than there are rows: it reads one beyond, and may crash."""
    merge = reference.correct_event_order

    def bounded(rows, by_exch, by_local):
        return merge(rows, np.append(by_exch, 0), np.append(by_local, 0))

    monkeypatch.setattr(reference, "correct_event_order", bounded)


def theirs(files, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        return reference.convert(
            [str(path) for path in files], buffer_size=200_000, ss_buffer_size=10_000, **options
        )


def ours(files, folder, **options):
    options = Options(hftbacktest_rows=True, **options)
    report = convert(files, folder / "day.npz", venue="tardis", options=options)
    return read_events(folder / "day.npz"), report


def assert_equal(rows, expected):
    assert len(rows) == len(expected)
    assert rows.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("delay_us", [3_000, -70_000])
@pytest.mark.parametrize("snapshots", ["process", "ignore_sod", "ignore"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_day_gives_the_same_archive(tmp_path, seed, snapshots, delay_us):
    files = Day(seed, delay_us=delay_us).write(tmp_path)
    given = [files["trades"], files["incremental_book_L2"]]
    rows, report = ours(given, tmp_path, snapshots=snapshots)
    assert_equal(rows, theirs(given, snapshot_mode=snapshots))
    assert report.rows_split > 0
    assert (report.symbol, report.exit_code, report.unreadable) == ("BTCUSDT", 0, [])
    assert (report.clock_correction_ns > 0) == (delay_us < 0)


def test_a_day_in_which_nothing_overtakes_gives_the_same_archive(tmp_path):
    files = Day(4, jitter_us=0).write(tmp_path, ".csv")
    given = [files["trades"], files["incremental_book_L2"]]
    rows, report = ours(given, tmp_path)
    assert_equal(rows, theirs(given))
    assert report.rows_split == 0


def test_the_order_of_the_inputs_does_not_matter_here(tmp_path):
    files = Day(5).write(tmp_path)
    given = [files["trades"], files["incremental_book_L2"]]
    rows, report = ours(given[::-1], tmp_path)
    assert_equal(rows, theirs(given))
    assert report.inputs == [str(path) for path in given]


def test_several_days_give_the_same_archive(tmp_path):
    given = []
    for seed in (6, 7):
        (tmp_path / str(seed)).mkdir()
        given.append(Day(seed).write(tmp_path / str(seed)))
    given = [day[kind] for kind in ("trades", "incremental_book_L2") for day in given]
    rows, _ = ours(given, tmp_path, snapshots="ignore_sod")
    assert_equal(rows, theirs(given, snapshot_mode="ignore_sod"))


def theirs_fused(files, **options):
    kinds = ("trades", "incremental_book_L2", "book_ticker")
    with contextlib.redirect_stdout(io.StringIO()):
        return reference.convert_fuse(*(str(files[kind]) for kind in kinds), 0.1, 0.001, **options)


@pytest.mark.parametrize("jitter_us", [0, 2_000])
@pytest.mark.parametrize("seed", [9, 10, 11])
def test_the_fused_rows_that_a_bot_sees_are_the_same(tmp_path, seed, jitter_us):
    # Without snapshots within the day: the reference's clears overlook a level (tests/sim/test_fuse_parity.py).
    files = Day(seed, jitter_us=jitter_us, snapshots=0).write(tmp_path)
    rows, report = ours(list(files.values()), tmp_path, tick_size=0.1, lot_size=0.001)
    expected = theirs_fused(files)
    seen, theirs_seen = (found[(found["ev"] & LOCAL_EVENT) != 0] for found in (rows, expected))
    for name in ("local_ts", "exch_ts", "px", "qty"):
        assert np.array_equal(seen[name], theirs_seen[name]), name
    if not jitter_us:
        assert_equal(rows, expected)
    assert DEPTH_BBO_EVENT not in rows["ev"] & KIND_MASK
    assert report.rows_by_kind["best bid and offer"] > 100


def test_fused_too_only_the_first_snapshot_of_a_file_can_be_left_out(tmp_path):
    files = Day(12, snapshots=1).write(tmp_path)
    fused = {"tick_size": 0.1, "lot_size": 0.001}
    rows, report = ours(list(files.values()), tmp_path, snapshots="ignore_sod", **fused)
    assert report.lines_by_kind["depth snapshot"] == 16
    assert DEPTH_CLEAR_EVENT in rows["ev"] & KIND_MASK
    # The reference forgets after each line that it is no longer the first one.
    assert DEPTH_CLEAR_EVENT not in theirs_fused(files, snapshot_mode="ignore_sod")["ev"] & KIND_MASK


def test_a_later_snapshot_may_have_more_levels_than_the_first(tmp_path):
    day = Day(8, depth=1000)
    path = day.write(tmp_path)["incremental_book_L2"]
    _, report = ours([path], tmp_path)
    assert report.rows_by_kind["depth snapshot"] == sum(",true," in line for line in day.book)
    of_snapshots = (theirs([path])["ev"] & KIND_MASK) == DEPTH_SNAPSHOT_EVENT
    assert of_snapshots.sum() < report.rows_by_kind["depth snapshot"]


def levels(*rows):
    return [
        f"x,Y,{START_US + time},{START_US + time + 5},{snapshot},{side},{px},1"
        for time, snapshot, side, px in rows
    ]


def test_a_snapshot_with_which_a_file_ends_is_not_lost(tmp_path):
    lines = levels((0, "false", "bid", 10), (1, "true", "bid", 9), (1, "true", "ask", 11))
    path = table(tmp_path / "incremental_book_L2.csv", BOOK, lines)
    rows, _ = ours([path], tmp_path)
    assert (rows["ev"] & KIND_MASK).tolist() == [1, 3, 4, 3, 4]
    assert (theirs([path])["ev"] & KIND_MASK).tolist() == [1]


def test_a_side_that_a_snapshot_finds_empty_is_cleared(tmp_path):
    rows = ((0, "false", "ask", 12), (0, "false", "ask", 11), (1, "true", "bid", 9), (2, "false", "bid", 8))
    path = table(tmp_path / "incremental_book_L2.csv", BOOK, levels(*rows))
    clears, _ = ours([path], tmp_path)
    clears = clears[(clears["ev"] & KIND_MASK) == DEPTH_CLEAR_EVENT]
    assert clears["px"].tolist() == [9.0, 12.0]
    assert clears["ev"][1] & SELL_EVENT
    expected = theirs([path])
    assert ((expected["ev"] & KIND_MASK) == DEPTH_CLEAR_EVENT).sum() == 1


def test_a_snapshot_clears_as_far_as_it_reaches_in_whatever_order_it_comes(tmp_path):
    rows = ((0, "true", "bid", 8), (0, "true", "bid", 9), (2, "false", "bid", 7))
    path = table(tmp_path / "incremental_book_L2.csv", BOOK, levels(*rows))
    found, _ = ours([path], tmp_path)
    assert found["px"].tolist() == [8.0, 8.0, 9.0, 7.0]
    assert theirs([path])["px"].tolist() == [9.0, 8.0, 9.0, 7.0]
