import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, event_dtype
from sim.convert.order import Ordered, survey

times = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 1)), min_size=1, max_size=60
)


def rows_of(pairs):
    rows = np.zeros(len(pairs), event_dtype)
    for number, (exch_ts, local_ts, px) in enumerate(pairs):
        rows[number] = (DEPTH_EVENT, exch_ts, local_ts, px, 0, 0, number, 0)
    return rows


def ordered(rows, shift=0):
    result = Ordered(rows, survey(rows), shift)
    merged = np.concatenate([*result.blocks(), np.empty(0, event_dtype)])
    assert len(merged) == result.count
    return merged


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
