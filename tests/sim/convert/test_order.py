from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, event_dtype
from sim.convert.rows import spool as spool_module
from sim.convert.rows.order import Ordering
from sim.convert.rows.survey import MARK, Survey

times = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 1)), min_size=1, max_size=60
)


def rows_of(pairs):
    rows = np.zeros(len(pairs), event_dtype)
    for number, (exch_ts, local_ts, px) in enumerate(pairs):
        rows[number] = (DEPTH_EVENT, exch_ts, local_ts, px, 0, 0, number, 0)
    return rows


def ordered(rows, shift=0, chunk=None, folder=Path(), **options):
    """The rows, given in chunks."""
    chunk = chunk or max(len(rows), 1)
    with Ordering(folder / "out.npz") as ordering:
        for at in range(0, len(rows), chunk):
            ordering.add(rows[at : at + chunk])
        blocks = [block.copy() for block in ordering.blocks(shift, **options)]
    return np.concatenate([*blocks, np.empty(0, event_dtype)])


@settings(deadline=None)
@given(times)
def test_each_clock_sees_each_row_once_and_in_its_order(pairs):
    rows = rows_of(pairs)
    merged = ordered(rows)
    by_exch = merged[merged["ev"] & EXCH_EVENT != 0]
    by_local = merged[merged["ev"] & LOCAL_EVENT != 0]
    assert (np.diff(by_exch["exch_ts"]) >= 0).all()
    assert (np.diff(by_local["local_ts"]) >= 0).all()
    # Rows of equal times stay in the order in which they came, and equal ones stand for each other.
    assert by_exch[["exch_ts", "local_ts", "px"]].tolist() == sorted(
        rows[["exch_ts", "local_ts", "px"]].tolist(), key=lambda row: row[0]
    )
    assert by_local[["exch_ts", "local_ts", "px"]].tolist() == sorted(
        rows[["exch_ts", "local_ts", "px"]].tolist(), key=lambda row: row[1]
    )
    assert ((merged["ev"] & (EXCH_EVENT | LOCAL_EVENT)) != 0).all()


def test_rows_in_the_order_of_both_clocks_are_not_split():
    rows = rows_of([(1, 5, 0), (1, 5, 1), (2, 6, 0), (9, 9, 1)])
    merged = ordered(rows)
    assert (merged["ev"] == DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT).all()
    assert merged["ival"].tolist() == [0, 1, 2, 3]


def test_a_row_that_was_overtaken_is_seen_by_each_clock_at_its_time():
    merged = ordered(rows_of([(1, 20, 0), (2, 10, 1)]), shift=100)
    assert merged[["ev", "exch_ts", "local_ts"]].tolist() == [
        (DEPTH_EVENT | EXCH_EVENT, 1, 120),
        (DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT, 2, 110),
        (DEPTH_EVENT | LOCAL_EVENT, 1, 120),
    ]


def test_many_rows_come_in_blocks_without_loss():
    count = 100_000
    rows = np.zeros(count, event_dtype)
    rows["exch_ts"] = np.arange(count)
    rows["local_ts"] = np.random.default_rng(1).permutation(count) // 7
    merged = ordered(rows)
    assert (merged["ev"] & EXCH_EVENT != 0).sum() == count
    assert (merged["ev"] & LOCAL_EVENT != 0).sum() == count
    assert (np.diff(merged["local_ts"][merged["ev"] & LOCAL_EVENT != 0]) >= 0).all()


@settings(deadline=None, max_examples=200)
@given(times, st.integers(1, 9))
def test_chunks_make_no_difference(pairs, chunk):
    rows = rows_of(pairs)
    assert ordered(rows, chunk=chunk).tobytes() == ordered(rows).tobytes()


def by_the_whole(rows):
    """The order of both clocks by sorting all rows at once, as HftBacktest does it."""
    by_exch = np.argsort(rows["exch_ts"], kind="stable").tolist()
    by_local = np.argsort(rows["local_ts"], kind="stable").tolist()
    made = []
    while by_exch or by_local:
        a, b = (rows[by[0]] if by else None for by in (by_exch, by_local))
        if by_exch and by_local and by_exch[0] == by_local[0]:
            made.append((a, EXCH_EVENT | LOCAL_EVENT))
            by_exch.pop(0), by_local.pop(0)
        elif by_exch and (not by_local or (a["exch_ts"], a["local_ts"]) <= (b["exch_ts"], b["local_ts"])):
            made.append((rows[by_exch.pop(0)], EXCH_EVENT))
        else:
            made.append((rows[by_local.pop(0)], LOCAL_EVENT))
    merged = np.array([row for row, _ in made], event_dtype)
    merged["ev"] |= np.array([flags for _, flags in made], np.uint64)
    return merged


@settings(deadline=None, max_examples=300)
@given(times, st.integers(1, 20))
def test_the_order_is_that_of_sorting_all_rows_at_once(pairs, chunk):
    rows = rows_of(pairs)
    assert ordered(rows, chunk=chunk).tobytes() == by_the_whole(rows).tobytes()


def test_rows_that_wait_on_the_disk_come_back_the_same(tmp_path, monkeypatch):
    rows = np.zeros(60_000, event_dtype)
    random = np.random.default_rng(3)
    rows["exch_ts"], rows["local_ts"] = random.integers(0, 50_000, (2, len(rows)))
    rows["ival"] = np.arange(len(rows))
    held = ordered(rows, chunk=1000)
    monkeypatch.setattr(spool_module, "MEMORY_MAX", 1 << 20)
    with Ordering(tmp_path / "out.npz") as ordering:
        for at in range(0, len(rows), 1000):
            ordering.add(rows[at : at + 1000])
        assert ordering.spool.is_in_file
        assert not list(tmp_path.iterdir())
        waited = np.concatenate([block.copy() for block in ordering.blocks(0)])
    assert waited.tobytes() == held.tobytes()


@settings(deadline=None, max_examples=100)
@given(times, st.integers(1, 9), st.lists(st.booleans(), min_size=60, max_size=60))
def test_rows_with_the_mark_can_be_left_out_at_the_end(pairs, chunk, marks):
    rows = rows_of(pairs)
    is_marked = np.array(marks[: len(rows)])
    marked = rows.copy()
    marked["ev"][is_marked] |= np.uint64(MARK)
    assert ordered(marked, chunk=chunk).tobytes() == ordered(rows).tobytes()
    left = rows[~is_marked]
    kept = ordered(marked, chunk=chunk, drops_marked=True)
    assert kept.tobytes() == (ordered(left).tobytes() if len(left) else b"")


@settings(deadline=None, max_examples=100)
@given(times, st.integers(1, 9), st.lists(st.booleans(), min_size=60, max_size=60))
def test_what_rows_are_like_is_known_with_and_without_those_with_the_mark(pairs, chunk, marks):
    rows = rows_of(pairs)
    is_marked = np.array(marks[: len(rows)])
    rows["ev"][is_marked] |= np.uint64(MARK)
    survey = Survey()
    for at in range(0, len(rows), chunk):
        survey.add(rows[at : at + chunk])
    for drops_marked in (False, True):
        found = survey.result(drops_marked=drops_marked)
        kept = rows[~is_marked] if drops_marked else rows
        assert found["count"] == len(kept) == found["kinds"][DEPTH_EVENT]
        if len(kept):
            latency = kept["local_ts"] - kept["exch_ts"]
            assert found["latency_min"] == latency.min()
            assert (found["exch_min"], found["exch_max"]) == (kept["exch_ts"].min(), kept["exch_ts"].max())
            assert (found["local_min"], found["local_max"]) == (
                kept["local_ts"].min(),
                kept["local_ts"].max(),
            )
