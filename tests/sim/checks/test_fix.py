"""A corrected copy: what was wrong is right, nothing else has changed, and the file is whole or not there."""

import math
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.clock import sleep
from hftd.errors import DataError, UsageError
from hftd.recording import Gap
from hftd.rows import BOOK_LOST
from hftd.types import EXCH_EVENT, KIND_MASK, LOCAL_EVENT, TRADE_EVENT, event_dtype
from sim.archive import check_events, read_events, write_events
from sim.archive.gaps import read_gaps
from sim.archive.write import ArchiveWriter
from sim.checks import FIXED, Limits, fix, validate
from sim.convert.rows.gaps import GapMarks
from tests.forks import Forked

from .market import LOT_SIZE, TICK_SIZE, in_both_orders, inserted, kinds, sound_rows
from .test_planted import trade_again

ROOT = Path(__file__).parents[3]
LIMITS = Limits(tick_size=TICK_SIZE, lot_size=LOT_SIZE)
BOTH = EXCH_EVENT | LOCAL_EVENT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fixed")


def overtaking(seed, messages=150):
    """As a converter writes it: messages overtake each other, so some rows are split; each row has times of its own."""
    received = sound_rows(seed, messages)
    numbers = np.arange(len(received))
    received["exch_ts"] += numbers
    rng = np.random.default_rng(seed)
    received["local_ts"] = received["exch_ts"] + rng.integers(1_000_000, 150_000_000, len(received))
    return in_both_orders(received)


def fixed(folder, rows, **options):
    source, output = folder / "bad.npz", folder / "good.npz"
    write_events(source, rows, level=0)
    report, _ = fix(source, output, limits=LIMITS, **options)
    return report, read_events(output)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_a_sound_archive_is_copied_row_for_row(folder, seed):
    rows = overtaking(seed)
    report, copy = fixed(folder, rows)
    assert copy.tobytes() == rows.tobytes()
    assert not report.is_changed


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), distance=st.integers(1, 60), held_rows=st.sampled_from([7, 100, 1 << 19]))
def test_rows_out_of_order_get_the_order_and_the_splits_that_the_converter_gives(
    folder, seed, distance, held_rows
):
    rows = overtaking(seed)
    rng = np.random.default_rng(seed)
    shuffled = rows[np.argsort(np.arange(len(rows)) + rng.uniform(0, distance, len(rows)), kind="stable")]
    report, copy = fixed(folder, shuffled, held_rows=held_rows)
    assert copy.tobytes() == rows.tobytes()
    assert (report.dropped, report.clock_correction_ns) == ({}, 0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), held_rows=st.integers(1, 50))
@pytest.mark.thorough
def test_single_rows_far_from_their_place_are_put_right_however_few_rows_are_held(folder, seed, held_rows):
    rows = overtaking(seed)
    rng = np.random.default_rng(seed)
    order = np.arange(len(rows)).tolist()
    for _ in range(5):
        order.insert(int(rng.integers(len(rows))), order.pop(int(rng.integers(len(rows)))))
    _, copy = fixed(folder, rows[order], held_rows=held_rows)
    assert copy.tobytes() == rows.tobytes()


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_whole_rows_that_are_out_of_order_are_split_as_those_of_a_capture(folder, seed):
    received = sound_rows(seed)
    received["exch_ts"] += np.arange(len(received))
    rng = np.random.default_rng(seed)
    received["local_ts"] = received["exch_ts"] + rng.integers(1_000_000, 150_000_000, len(received))
    expected = in_both_orders(received)
    report, copy = fixed(folder, received)
    assert copy.tobytes() == expected.tobytes()
    assert report.rows_split == len(expected) - len(received)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    shift_ns=st.sampled_from([0, 20_000_000, 3_000_000_000]),
    distance=st.sampled_from([0, 20]),
)
def test_a_corrected_copy_has_none_of_the_problems_that_are_said_to_be_fixed(
    folder, seed, shift_ns, distance
):
    rng = np.random.default_rng(seed)
    rows, _ = trade_again(sound_rows(seed), seed)
    # The last whole trade is not the one that comes again.
    last = np.flatnonzero((kinds(rows) == TRADE_EVENT) & ((rows["ev"] & np.uint64(BOTH)) == BOTH))[-1]
    rows = inserted(rows, int(last) + 1, rows[last])
    both = np.flatnonzero(((rows["ev"] & np.uint64(BOTH)) == BOTH) & (kinds(rows) != TRADE_EVENT))
    broken = rng.choice(both, 7, replace=False)
    for number, (name, value) in zip(
        broken.tolist(),
        (
            ("px", math.nan),
            ("px", -math.inf),
            ("qty", math.nan),
            ("qty", -1.0),
            ("exch_ts", 1 << 62),
            ("local_ts", -(1 << 62)),
        ),
        strict=False,
    ):
        # A clear has any price.
        rows["ev"][number] = (rows["ev"][number] & ~np.uint64(0xFF)) | np.uint64(1)
        rows[name][number] = value
    rows["ev"][broken[6]] &= ~np.uint64(BOTH)
    sane = np.abs(rows["local_ts"]) < 1 << 61
    rows["local_ts"][sane] -= shift_ns
    if distance:
        rows = rows[np.argsort(np.arange(len(rows)) + rng.uniform(0, distance, len(rows)), kind="stable")]
    report, copy = fixed(folder, rows, base_latency_ns=1000)
    check_events(copy)
    after = validate([folder / "good.npz"], limits=LIMITS)
    assert not FIXED & {problem.name for problem in after.problems}
    assert report.dropped["with a price or quantity that can't be"] == 4
    assert report.dropped["with a time that can't be"] == 2
    assert report.dropped["without the flag of a clock"] == 1
    assert report.rows_written == len(copy)
    if not distance:
        assert report.dropped["trades that came again"] == 1
        assert report.dropped["trades that were there twice"] == 1
        # Of the trade that came again both halves are gone.
        assert len(rows) - len(copy) == sum(report.dropped.values()) + 1
    if shift_ns:
        assert report.clock_correction_ns > 0
        assert after.latency["all"].min_ns == 1000


def test_a_clock_that_is_off_by_more_than_a_minute_is_left_and_said(folder):
    rows = sound_rows(3)
    rows["local_ts"] -= 300_000_000_000
    report, copy = fixed(folder, rows)
    assert report.clock_correction_ns == 0
    assert any("not believed" in sentence for sentence in report.not_fixed)
    assert copy.tobytes() == rows.tobytes()


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    wrong=st.sampled_from([("qty", -1.0), ("qty", math.inf), ("px", math.nan), ("local_ts", 1 << 62)]),
    clock=st.sampled_from([EXCH_EVENT, LOCAL_EVENT]),
    is_shuffled=st.booleans(),
)
def test_of_a_split_row_of_which_one_half_can_not_be_both_halves_go(folder, seed, wrong, clock, is_shuffled):
    rows = overtaking(seed)
    halves = ((rows["ev"] & np.uint64(BOTH)) == clock) & np.isin(kinds(rows), (1, 2))
    number = int(np.flatnonzero(halves)[seed % halves.sum()])
    others = rows.copy()
    others["ev"] ^= np.uint64(BOTH)
    other = next(n for n in range(len(rows)) if others[n].tobytes() == rows[number].tobytes())
    expected = np.delete(rows, [number, other])
    name, value = wrong
    rows[name][number] = value
    if is_shuffled:
        rng = np.random.default_rng(seed)
        rows = rows[np.argsort(np.arange(len(rows)) + rng.uniform(0, 20, len(rows)), kind="stable")]
    report, copy = fixed(folder, rows)
    assert copy.tobytes() == expected.tobytes()
    assert report.dropped["halves whose other half was dropped"] == 1
    assert not [sentence for sentence in report.not_fixed if sentence.startswith("lone_half")]


def test_halves_that_were_alone_before_are_left_and_said_with_what_to_do(folder):
    rows = overtaking(4)
    halves = np.flatnonzero((rows["ev"] & np.uint64(BOTH)) == EXCH_EVENT)
    alone = np.delete(rows, halves[3])
    report, copy = fixed(folder, alone)
    assert copy.tobytes() == alone.tobytes()
    (sentence,) = report.not_fixed
    assert sentence.startswith("lone_half: ")
    assert "(1)" in sentence
    assert "convert the capture again" in sentence


def test_what_is_not_put_right_is_said(folder):
    rows = sound_rows(3)
    number = int(np.flatnonzero(kinds(rows) == TRADE_EVENT)[3])
    rows["px"][number] += 0.05
    report, copy = fixed(folder, rows)
    assert copy.tobytes() == rows.tobytes()
    assert [sentence.partition(":")[0] for sentence in report.not_fixed] == ["off_tick"]


def test_equal_trades_of_a_venue_that_packs_them_in_one_message_are_kept(folder):
    rows = sound_rows(8, 400)
    # Not all of them: that would be an archive that is doubled as a whole.
    for number in np.flatnonzero(kinds(rows) == TRADE_EVENT)[::-2].tolist():
        rows = inserted(rows, number + 1, rows[number])
    report, copy = fixed(folder, rows)
    assert copy.tobytes() == rows.tobytes()
    (problem,) = [
        one for one in validate([folder / "bad.npz"], limits=LIMITS).problems if one.name == "trade_doubled"
    ]
    assert (problem.severity, report.dropped) == ("note", {})


@pytest.mark.parametrize("every", [2, 40])
def test_trades_with_equal_ids_are_doubles_whatever_their_share(folder, every):
    rows = sound_rows(8, 400)
    rows["order_id"] = np.arange(len(rows)) + 1
    plain = rows
    for number in np.flatnonzero(kinds(rows) == TRADE_EVENT)[::-every].tolist():
        rows = inserted(rows, number + 1, rows[number])
    report, copy = fixed(folder, rows)
    assert copy.tobytes() == plain.tobytes()
    assert report.dropped == {"trades that were there twice": len(rows) - len(plain)}


@pytest.mark.parametrize("clock", ["exch_ts", "local_ts"])
@pytest.mark.parametrize("ts", [-(1 << 63), -(1 << 63) + 1, (1 << 63) - 1, -(1 << 62), 1 << 62])
@pytest.mark.parametrize("swap", [False, True])
def test_a_row_without_a_time_is_dropped_wherever_its_time_lies(folder, clock, ts, swap):
    rows = sound_rows(5)
    bad = np.flatnonzero(kinds(rows) == 1)[7]
    expected = np.delete(rows, bad)
    rows[clock][bad] = ts
    if swap:
        rows[[-1, -2]] = rows[[-2, -1]]
    report, copy = fixed(folder, rows)
    check_events(copy)
    assert copy.tobytes() == expected.tobytes()
    assert report.dropped == {"with a time that can't be": 1}


def test_rows_far_out_of_order_in_numbers_are_refused_and_nothing_is_written(tmp_path):
    count = 1_200_000
    rows = np.zeros(count, event_dtype)
    rows["ev"] = BOTH | TRADE_EVENT | (1 << 29)
    rows["exch_ts"] = 1_723_161_600_000_000_000 + np.arange(count)[::-1] * 1000
    rows["local_ts"] = rows["exch_ts"] + 1000
    rows["px"], rows["qty"] = 1.0, 1.0
    write_events(tmp_path / "bad.npz", rows)
    with pytest.raises(DataError, match="rows are more than 1,000 rows away from their place"):
        fix(tmp_path / "bad.npz", tmp_path / "good.npz", held_rows=1000)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_the_archive_itself_is_not_written_over(tmp_path):
    write_events(tmp_path / "day.npz", sound_rows(1))
    with pytest.raises(UsageError, match="would replace the archive"):
        fix(tmp_path / "day.npz", tmp_path / "day.npz")


def test_an_archive_without_a_row_that_can_be_played_is_refused(tmp_path):
    rows = sound_rows(1)
    rows["ev"] &= ~np.uint64(BOTH)
    write_events(tmp_path / "day.npz", rows)
    with pytest.raises(DataError, match="no row that can be played"):
        fix(tmp_path / "day.npz", tmp_path / "good.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["day.npz"]


# A fix that is killed, or that finds no room.


def large_rows(tmp_path):
    """An archive that takes a second to fix, and what its copy is."""
    day = overtaking(1, 400)
    parts = []
    for number in range(60):
        part = day.copy()
        for name in ("exch_ts", "local_ts"):
            part[name] += number * 3_600_000_000_000
        parts.append(part)
    rows = np.concatenate(parts)
    expected = rows.copy()
    swapped = np.flatnonzero((rows["ev"] & np.uint64(BOTH)) == BOTH)[50]
    rows[[swapped, swapped + 1]] = rows[[swapped + 1, swapped]]
    write_events(tmp_path / "bad.npz", rows, level=0)
    return expected


CHILD = """
import sys
from pathlib import Path
from sim.checks import fix

def told(done, total):
    sys.stdout.write("x")
    sys.stdout.flush()

while True:
    fix(Path("bad.npz"), Path("good.npz"), held_rows=2000, progress=told)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_thirty_killed_fixes_leave_a_whole_file_or_none(tmp_path):
    expected = large_rows(tmp_path)
    rng = np.random.default_rng(7)
    for _ in range(30):
        with Forked(["-c", CHILD], cwd=tmp_path, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            # It is at work; then at any moment.
            assert child.stdout.read(1) == b"x"
            sleep(float(rng.uniform(0, 0.6)))
            child.send_signal(signal.SIGKILL)
            child.wait()
        if (tmp_path / "good.npz").exists():
            assert read_events(tmp_path / "good.npz").tobytes() == expected.tobytes()
    fix(tmp_path / "bad.npz", tmp_path / "good.npz")
    assert read_events(tmp_path / "good.npz").tobytes() == expected.tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.npz", "good.npz"]


@pytest.mark.thorough
def test_a_full_disk_is_one_message_and_leaves_nothing(tmp_path):
    large_rows(tmp_path)

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [sys.executable, "-m", "daemon.cli", "validate", "bad.npz", "--fix", "good.npz"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=limited,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "can't be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_progress_goes_forward_to_the_end(folder):
    rows = overtaking(3, 300)
    swapped = rows[np.argsort(np.arange(len(rows)) ^ 1)]
    for number, made in enumerate((rows, swapped)):
        told: list[float] = []

        def tell(done, total, told=told):
            told.append(done / total)

        write_events(folder / "bad.npz", made)
        fix(folder / "bad.npz", folder / f"good{number}.npz", progress=tell)
        assert told == sorted(told)
        assert (0 < told[0] <= 0.2, told[-1]) == (True, 1.0)


@pytest.mark.parametrize("early_ns", [0, 400_000_000])
def test_the_windows_in_which_something_is_missing_stay_on_the_clock_of_the_rows(
    tmp_path: Path, early_ns: int
):
    rows = sound_rows(3, 150)
    start = int(rows["local_ts"][0])
    gap = Gap(start + 1_000_000_000, start + 2_000_000_000, start + 3_000_000_000, "book", "torn")
    marks = GapMarks([gap])
    rows = np.concatenate([marks.mixed(rows), *marks.rest()])
    # The clock of who listened is behind: all rows arrive before they were sent.
    rows["local_ts"] -= early_ns
    source, output = tmp_path / "bad.npz", tmp_path / "good.npz"
    with ArchiveWriter(source, event_dtype) as writer:
        writer.write(rows)
        writer.gaps = [
            Gap(gap.from_ns - early_ns, gap.noticed_ns - early_ns, gap.until_ns - early_ns, "book", "torn")
        ]
    report, _ = fix(source, output, limits=LIMITS)
    assert bool(report.clock_correction_ns) == bool(early_ns)
    (kept,) = read_gaps(output)
    copy = read_events(output)
    lost = copy[(copy["ev"] & KIND_MASK) == BOOK_LOST]
    assert lost["local_ts"].tolist() == [kept.noticed_ns] * 2
    assert kept.from_ns == gap.from_ns - early_ns + report.clock_correction_ns
    assert (kept.until_ns - kept.from_ns, kept.why) == (2_000_000_000, "torn")
