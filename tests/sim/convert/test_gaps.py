"""Windows in which a recording misses something, on their way into the archive."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.recording import Begin, Broken, End, Gap, Note, Whole, encode, quality_path
from hftd.rows import BOOK_BACK, BOOK_LOST
from hftd.types import EXCH_EVENT, KIND_MASK, LOCAL_EVENT, event_dtype
from sim.archive import read_events
from sim.archive.gaps import read_gaps
from sim.archive.write import ArchiveWriter, write_events
from sim.checks import validate
from sim.convert import convert
from sim.convert.rows.gaps import GapMarks, placed
from tests.sim.checks.market import in_both_orders, sound_rows

START = 1_723_161_255_000_000_000
MS = 1_000_000


def recording(folder: Path, notes: list[Note] | None) -> Path:
    """A minute of changes, one each 10 ms, with what its recorder noted."""
    ms = START // MS - 1
    book = {"lastUpdateId": 99, "E": ms, "T": ms, "bids": [["100.0", "1"]], "asks": [["101.0", "1"]]}
    lines = [f"{START} {json.dumps(book)}"]
    for number in range(100, 200):
        ns = START + (number - 99) * 10 * MS
        ms = ns // MS - 3
        event = {
            "e": "depthUpdate",
            "E": ms,
            "T": ms,
            "s": "BTCUSDT",
            "U": number,
            "u": number,
            "pu": number - 1,
        }
        lines.append(f"{ns} " + json.dumps(event | {"b": [["100.0", f"{number}"]], "a": []}))
    path = folder / "btcusdt.txt"
    path.write_text("\n".join(lines) + "\n")
    if notes is not None:
        quality_path(path).write_bytes(b"".join(encode(note) + b"\n" for note in notes) + b'{"torn')
    return path


def at(ms: int) -> int:
    return START + ms * MS


def test_the_windows_are_in_the_archive_and_the_book_is_lost_and_back_in_its_rows(tmp_path: Path):
    notes: list[Note] = [
        Begin(at(0)),
        Whole(at(0)),
        Broken(at(300), at(325), "torn"),
        Whole(at(500)),
        End(at(1000), "over"),
    ]
    output = tmp_path / "day.npz"
    report = convert([recording(tmp_path, notes)], output)
    assert report.gaps == [Gap(at(300), at(325), at(500), "book", "torn")]
    assert list(read_gaps(output)) == report.gaps
    rows = read_events(output)
    kinds = rows["ev"] & KIND_MASK
    for flag, clock in ((LOCAL_EVENT, "local_ts"), (EXCH_EVENT, "exch_ts")):
        seen = rows[(rows["ev"] & flag) != 0]
        assert (np.diff(seen[clock]) >= 0).all()
        marks = seen[(seen["ev"] & KIND_MASK) >= BOOK_LOST]
        assert marks["local_ts"].tolist() == [at(325), at(500)]
        # As if sent with what was received last before.
        assert (marks["exch_ts"] <= marks["local_ts"] - 3 * MS).all()
        assert (marks["ev"] & KIND_MASK).tolist() == [BOOK_LOST, BOOK_BACK]
    assert (kinds >= BOOK_LOST).sum() == 4
    assert (rows["local_ts"] - rows["exch_ts"]).min() >= 0
    check = validate([output])
    assert check.missing == report.gaps
    assert check.is_sound, check.problems


def test_without_notes_nothing_is_said(tmp_path: Path):
    output = tmp_path / "day.npz"
    plain = convert([recording(tmp_path, None)], output)
    assert plain.gaps == [] == list(read_gaps(output))
    assert not (read_events(output)["ev"] & KIND_MASK >= BOOK_LOST).any()


def test_who_reads_the_rows_alone_sees_no_other_member(tmp_path: Path):
    rows = np.zeros(5, event_dtype)
    for level in (0, 1, 6):
        path = tmp_path / f"{level}.npz"
        with ArchiveWriter(path, event_dtype, level=level) as writer:
            writer.write(rows)
            writer.gaps = [Gap(1, 2, 3)]
        with np.load(path) as archive:
            assert archive["data"].tobytes() == rows.tobytes()
        assert read_events(path).tobytes() == rows.tobytes()
        assert list(read_gaps(path)) == [Gap(1, 2, 3)]
    write_events(tmp_path / "plain.npz", rows)
    assert list(read_gaps(tmp_path / "plain.npz")) == []


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_marks_stand_in_their_order_whatever_the_blocks(size: int):
    rows = np.zeros(100, event_dtype)
    rows["ev"] = EXCH_EVENT | LOCAL_EVENT | 1
    rows["exch_ts"] = 10 * np.arange(100) + 1000
    rows["local_ts"] = rows["exch_ts"] + 25
    gaps = placed(
        [Gap(0, 0, 1100), Gap(1500, 1512, 1600), Gap(1590, 1595, 1700), Gap(1900, 1990, 9999)], 0, 1025, 2015
    )
    marks = GapMarks(gaps)
    made = np.concatenate([*(marks.mixed(rows[at : at + size]) for at in range(0, 100, size)), *marks.rest()])
    for flag, clock in ((LOCAL_EVENT, "local_ts"), (EXCH_EVENT, "exch_ts")):
        seen = made[(made["ev"] & flag) != 0]
        assert (np.diff(seen[clock]) >= 0).all()
        found = seen[(seen["ev"] & KIND_MASK) >= BOOK_LOST]
        assert found["local_ts"].tolist() == [1025, 1100, 1512, 1700, 1990, 2015]
        assert (found["exch_ts"] <= found["local_ts"] - 22).all()
        assert (found["ev"] & KIND_MASK).tolist() == [BOOK_LOST, BOOK_BACK] * 3
    assert made[made["ev"] & KIND_MASK < BOOK_LOST].tobytes() == rows.tobytes()


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 400),
    windows=st.lists(st.tuples(*[st.integers(-100, 1100)] * 3), max_size=8),
)
def test_marks_keep_both_orders_where_messages_overtake_each_other(
    seed: int, size: int, windows: list[tuple[int, int, int]]
):
    received = sound_rows(seed % 20, 40)
    received["exch_ts"] += np.arange(len(received))
    latencies = np.random.default_rng(seed).integers(1_000_000, 150_000_000, len(received))
    received["local_ts"] = received["exch_ts"] + latencies
    rows = in_both_orders(received)
    first, last = int(rows["local_ts"].min()), int(rows["local_ts"].max())
    step = (last - first) // 1000
    wanted = [Gap(first + a * step, first + b * step, first + c * step) for a, b, c in map(sorted, windows)]
    gaps = placed(wanted, 0, first, last)
    marks = GapMarks(gaps)
    blocks = [marks.mixed(rows[at : at + size]) for at in range(0, len(rows), size)]
    made = np.concatenate([*blocks, *marks.rest()])
    assert made[made["ev"] & KIND_MASK < BOOK_LOST].tobytes() == rows.tobytes()
    for flag, clock in ((LOCAL_EVENT, "local_ts"), (EXCH_EVENT, "exch_ts")):
        seen = made[(made["ev"] & flag) != 0]
        assert (np.diff(seen[clock]) >= 0).all()
        found = seen[(seen["ev"] & KIND_MASK) >= BOOK_LOST]
        ends = found["local_ts"].tolist()
        assert ends == sorted(ends)
        for gap in gaps:
            # At each moment the book is lost if a window says so.
            for ns in (gap.noticed_ns, gap.until_ns - 1):
                if gap.noticed_ns < gap.until_ns:
                    assert np.searchsorted(ends, ns, "right") % 2 == 1
        # As early as an engine may need to know it, and no later than it is known.
        assert (found["exch_ts"] <= found["local_ts"]).all()
