"""Two orders made one in bounded memory: each clock keeps its order, however few rows may wait."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import EXCH_EVENT, LOCAL_EVENT, event_dtype
from sim.archive import check_events
from sim.checks.merge import Merger
from sim.checks.reorder import Scout, Sorter

from .market import in_both_orders, sound_rows

BOTH = EXCH_EVENT | LOCAL_EVENT


def merged(rows, block_rows, held_rows, queued_rows):
    """What the passes of a fix make of the rows, and the most rows of a clock that had to wait."""
    clocks = {"exch_ts": EXCH_EVENT, "local_ts": LOCAL_EVENT}

    def blocks():
        for at in range(0, len(rows), block_rows):
            block, ids = rows[at : at + block_rows], np.arange(at, min(at + block_rows, len(rows)))
            masks = [(block["ev"] & np.uint64(flag)) != 0 for flag in clocks.values()]
            yield [(block[mask], ids[mask]) for mask in masks]

    scouts = [Scout(clock, held_rows, "rows") for clock in clocks]
    for parts in blocks():
        for scout, part in zip(scouts, parts, strict=True):
            scout.push(*part)
    exch, local = (Sorter(scout) for scout in scouts)
    merger = Merger(queued_rows)
    made, most = [], 0
    for parts in blocks():
        first, second = exch.push(*parts[0]), local.push(*parts[1])
        made.append(merger.push(first, second, exch_floor=exch.floor, local_floor=local.floor))
        most = max(most, *merger.waiting)
    made.append(merger.push(exch.finish(), local.finish()))
    assert merger.waiting == (0, 0)
    return np.concatenate(made), most


def of_clock(rows, flag):
    chosen = rows[(rows["ev"] & np.uint64(flag)) != 0].copy()
    chosen["ev"] &= ~np.uint64(BOTH)
    return chosen


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    block_rows=st.integers(1, 300),
    held_rows=st.integers(1, 200),
    queued_rows=st.integers(0, 300),
    ahead=st.sampled_from(["exch_ts", "local_ts"]),
)
def test_with_a_time_far_ahead_no_more_rows_wait_than_may_and_both_clocks_keep_their_order(
    seed, block_rows, held_rows, queued_rows, ahead
):
    rows = sound_rows(seed)
    rng = np.random.default_rng(seed)
    rows["exch_ts"] += np.arange(len(rows))
    rows["local_ts"] = rows["exch_ts"] + rng.integers(1_000_000, 150_000_000, len(rows))
    rows[ahead][len(rows) // 4] += 3_600_000_000_000
    made, most = merged(rows, block_rows, held_rows, queued_rows)
    assert most <= queued_rows
    check_events(made)
    expected = in_both_orders(rows)
    for flag in (EXCH_EVENT, LOCAL_EVENT):
        assert of_clock(made, flag).tobytes() == of_clock(expected, flag).tobytes()


@pytest.mark.parametrize("flag", [EXCH_EVENT, LOCAL_EVENT])
@pytest.mark.parametrize("others", [[], [0], [5, -1], [700, 702]])
def test_rows_of_a_clock_do_not_wait_for_one_that_has_few(flag, others):
    rows = np.zeros(20_000, event_dtype)
    rows["exch_ts"] = 1_723_161_600_000_000_000 + np.arange(len(rows)) * 1000
    rows["local_ts"] = rows["exch_ts"] + 5000
    rows["ev"], rows["px"], rows["qty"] = flag | 1 | (1 << 29), 100.0, 1.0
    rows["ev"][others] |= np.uint64(BOTH)
    # Out of order by a few rows, else nothing would be sorted.
    rows[[100, 103]] = rows[[103, 100]]
    made, most = merged(rows, 500, 500, 2000)
    check_events(made)
    assert most <= (500 if flag == LOCAL_EVENT or not others else 2000)
    for one, clock in ((EXCH_EVENT, "exch_ts"), (LOCAL_EVENT, "local_ts")):
        expected = of_clock(rows, one)
        assert of_clock(made, one).tobytes() == np.sort(expected, order=clock).tobytes()
