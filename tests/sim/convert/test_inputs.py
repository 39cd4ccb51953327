"""Several inputs: one after the other, or side by side."""

import gzip
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import EXCH_EVENT, LOCAL_EVENT
from sim.archive import check_events, read_events
from sim.convert import Options, convert
from sim.convert import reading as reading_module

from .captures import capture, packed, steady

TICKER = Options(book_ticker=True)


def converted(folder, *paths, progress=None, on_write=None):
    report = convert(paths, folder / "out.npz", options=TICKER, progress=progress, on_write=on_write)
    rows = read_events(folder / "out.npz")
    check_events(rows)
    return report, rows


def of_clock(rows, flag, clock):
    """The rows that a clock's side sees, those of equal times in any order."""
    seen = rows[rows["ev"] & np.uint64(flag) != 0].copy()
    seen["ev"] &= np.uint64(0xFF | (3 << 28))
    return np.sort(seen, order=[clock, *[name for name in seen.dtype.names if name != clock]])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 50), st.lists(st.integers(1, 199), max_size=4))
def test_a_capture_in_parts_is_the_capture(tmp_path_factory, seed, cuts):
    folder = tmp_path_factory.mktemp("parts")
    lines = steady(capture(seed, 200))
    edges = [0, *sorted(cuts), len(lines)]
    parts = [
        packed(folder / f"{number}.gz", lines[start:stop])
        for number, (start, stop) in enumerate(itertools.pairwise(edges))
    ]
    report, rows = converted(folder, *parts)
    whole, expected = converted(folder, packed(folder / "whole.gz", lines))
    assert rows.tobytes() == expected.tobytes()
    assert report.sequence == whole.sequence
    assert report.lines == whole.lines


@pytest.mark.parametrize("seed", range(4))
def test_streams_recorded_side_by_side_are_put_in_the_order_of_both_clocks(tmp_path, seed):
    lines = capture(seed, 600)
    depth = [text for text in lines if b"depthUpdate" in text or b"lastUpdateId" in text]
    others = [text for text in lines if text not in depth]
    files = packed(tmp_path / "depth.gz", depth), packed(tmp_path / "others.gz", others)
    report, rows = converted(tmp_path, *files)
    backwards = converted(tmp_path, *reversed(files))[1]
    expected = converted(tmp_path, packed(tmp_path / "whole.gz", lines))[1]
    for flag, clock in ((EXCH_EVENT, "exch_ts"), (LOCAL_EVENT, "local_ts")):
        assert (of_clock(rows, flag, clock) == of_clock(expected, flag, clock)).all()
        assert (of_clock(backwards, flag, clock) == of_clock(expected, flag, clock)).all()
    assert report.sequence.gaps == 0
    assert report.crossed.times == 0


def test_lines_are_counted_for_each_file(tmp_path):
    lines = capture(1, 50)
    first = packed(tmp_path / "a.gz", [*lines[:20], b"x\n", *lines[20:30]])
    second = packed(tmp_path / "b.gz", [*lines[30:40], b"y\n", *lines[40:]])
    report, _ = converted(tmp_path, first, second)
    assert [(place.file, place.line) for place in report.unreadable] == [(str(first), 21), (str(second), 11)]


def test_a_line_is_not_joined_with_that_of_the_next_file(tmp_path):
    lines = capture(1, 50)
    lines = steady(lines)
    first = packed(tmp_path / "a.gz", [*lines[:20], lines[20][:60]])
    second = packed(tmp_path / "b.gz", [lines[20][60:], *lines[21:]])
    report, rows = converted(tmp_path, first, second)
    assert [place.line for place in report.unreadable] == [21, 1]
    expected = converted(tmp_path, packed(tmp_path / "c.gz", lines[:20] + lines[21:]))[1]
    assert rows.tobytes() == expected.tobytes()


def test_damage_says_which_input_it_is(tmp_path):
    lines = capture(1, 2000)
    first = tmp_path / "a.gz"
    first.write_bytes(gzip.compress(b"".join(lines[:1000]))[:-2000])
    second = packed(tmp_path / "b.gz", lines[1000:])
    report, rows = converted(tmp_path, first, second)
    assert len(report.damage) == 1
    assert str(first) in report.damage[0]
    assert report.sequence.gaps == 1
    assert report.lines > 1500
    assert len(rows) == report.rows


def test_progress_is_told_of_reading_and_of_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(reading_module, "PROGRESS_NS", 0)
    path = packed(tmp_path / "a.gz", capture(1, 9000))
    read, written = [], []
    report, _ = converted(
        tmp_path, path, progress=lambda *so: read.append(so), on_write=lambda *so: written.append(so)
    )
    size = path.stat().st_size
    assert len(read) >= 2
    assert read[-1] == (size, size)
    assert all(0 <= done <= total == size for done, total in read)
    assert len(written) >= 2
    assert written[-1] == (report.rows, report.rows)
    assert all(0 <= done <= total for done, total in written)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 3000))
def test_the_size_of_chunks_and_blocks_makes_no_difference(tmp_path_factory, size):
    folder = tmp_path_factory.mktemp("chunks")
    path = packed(folder / "a.gz", capture(7, 400))
    expected = converted(folder, path)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading_module, "CHUNK_ROWS", size)
        assert converted(folder, path)[1].tobytes() == expected.tobytes()
