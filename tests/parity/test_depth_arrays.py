"""The book as arrays: a range of interest by tick, and a snapshot of all levels."""

import numpy as np
import pytest
from numba import njit

from hftd.types import BUY_EVENT, DEPTH_SNAPSHOT_EVENT, INVALID_MAX, INVALID_MIN, SELL_EVENT, event_dtype
from sim.backtest import HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from tests.parity import random_runs
from tests.parity.engines import ours, theirs
from tests.parity.model import Book
from tests.sim.engine.market import BOTH, asset, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)


@njit
def to_the_end(hbt):
    while hbt.elapse(1_000_000_000) == 0:
        pass


@njit
def snapshot_of(hbt, asset_no):
    depth = hbt.depth(asset_no)
    found = depth.snapshot()
    copied = found.copy()
    depth.snapshot_free(found)
    return copied


@njit
def arrays_of(hbt, asset_no):
    depth = hbt.depth(asset_no)
    return depth.roi_lb_tick, depth.roi_ub_tick, depth.bid_depth.copy(), depth.ask_depth.copy()


def begin(*lines, roi=None):
    made = asset(rows(*lines, END))
    if roi is None:
        hbt = HashMapMarketDepthBacktest([made])
    else:
        hbt = ROIVectorMarketDepthBacktest([made.roi_lb(roi[0]).roi_ub(roi[1])])
    hbt.elapse(0)
    return hbt


def test_a_range_of_interest_is_an_array_of_quantities_by_tick():
    hbt = begin(*levels(depth=3, qty=4.0), ("bid", 0, 98.0, 7.0), ("ask", 50, 101.0, 0.0), roi=(98.0, 102.0))
    compiled, depth = arrays_of(hbt, 0), hbt.depth(0)
    plain = depth.roi_lb_tick, depth.roi_ub_tick, depth.bid_depth, depth.ask_depth
    for low, high, bids, asks in (compiled, plain):
        assert (low, high) == (98, 102)
        # Levels at 97 and 103 are not of interest.
        assert bids.tolist() == [7.0, 4.0, 0.0, 0.0, 0.0]
        assert asks.tolist() == [0.0, 0.0, 0.0, 4.0, 4.0]
    # The arrays of Python are views of the book.
    hbt.elapse(60)
    assert plain[3].tolist() == [0.0, 0.0, 0.0, 0.0, 4.0]
    assert depth.best_ask_tick == 102


def test_a_book_without_a_range_of_interest_has_no_arrays():
    hbt = begin(*levels())
    low, high, bids, asks = arrays_of(hbt, 0)
    assert (low, high, len(bids), len(asks)) == (INVALID_MIN, INVALID_MAX, 0, 0)
    assert len(hbt.depth(0).bid_depth) == len(hbt.depth(0).ask_depth) == 0


@pytest.mark.parametrize("roi", [None, (90.0, 110.0)])
def test_a_snapshot_is_every_level_from_the_best_outwards(roi):
    far = [("bid", 0, 50.0, 2.0), ("ask", 0, 9e6, 3.0)] if roi is None else []
    hbt = begin(*levels(depth=2, qty=4.0), ("bid", 0, 99.0, 5.5), *far, roi=roi)
    bids = [(99.0, 5.5), (98.0, 4.0)] + ([(50.0, 2.0)] if far else [])
    asks = [(101.0, 4.0), (102.0, 4.0)] + ([(9e6, 3.0)] if far else [])
    for found in (hbt.depth(0).snapshot(), snapshot_of(hbt, 0)):
        assert found.dtype == event_dtype
        assert list(zip(found["px"], found["qty"], strict=True)) == bids + asks
        sides = [BUY_EVENT] * len(bids) + [SELL_EVENT] * len(asks)
        assert found["ev"].tolist() == [BOTH | DEPTH_SNAPSHOT_EVENT | side for side in sides]
        assert not found["exch_ts"].any() and not found["local_ts"].any()


def test_an_empty_book_has_an_empty_snapshot():
    hbt = begin(("mark price", 0, 0.0, 0.0))
    assert len(snapshot_of(hbt, 0)) == len(hbt.depth(0).snapshot()) == 0


def test_a_snapshot_begins_another_backtest_where_it_was_taken():
    first = begin(*levels(), ("bid", 0, 98.0, 3.0))
    made = asset(rows(END)).initial_snapshot(first.depth(0).snapshot())
    hbt = HashMapMarketDepthBacktest([made])
    hbt.elapse(0)
    assert hbt.depth(0).snapshot().tobytes() == first.depth(0).snapshot().tobytes()


def test_the_snapshot_of_a_random_market_is_that_of_a_plain_book():
    for seed in range(40):
        made = random_runs.case(seed)
        hbt = ours(made.assets)
        to_the_end(hbt)
        for asset_no, one in enumerate(made.assets):
            book = Book(one.tick_size, one.lot_size)
            for row in np.concatenate(one.data):
                if int(row["ev"]) & random_runs.LOCAL_EVENT:
                    book.apply(int(row["ev"]), float(row["px"]), float(row["qty"]))
            expected = []
            for side, sign in ((book.bids, 1), (book.asks, -1)):
                best = side.best
                ticks = sorted(
                    (tick for tick in side.levels if best is not None and tick <= best), reverse=True
                )
                expected += [(tick * sign, side.levels[tick]) for tick in ticks]
            found = hbt.depth(asset_no).snapshot()
            ticks = np.round(found["px"] / one.tick_size).astype(int)
            assert list(zip(ticks.tolist(), found["qty"].tolist(), strict=True)) == expected
            assert snapshot_of(hbt, asset_no).tobytes() == found.tobytes()


@pytest.mark.parity
@pytest.mark.thorough
def test_snapshots_and_arrays_are_the_references(reference):
    for seed in range(12):
        made = random_runs.case(seed)
        hbt = ours(made.assets)
        to_the_end(hbt)
        with theirs(reference, made.assets) as other:
            to_the_end(other)
            for asset_no in range(len(made.assets)):
                expected, found = snapshot_of(other, asset_no), snapshot_of(hbt, asset_no)
                for name in ("ev", "px", "qty"):
                    assert (expected[name] == found[name]).all()
        made = random_runs.case(1_000_000 + seed, roi=True)
        hbt = ours(made.assets)
        to_the_end(hbt)
        with theirs(reference, made.assets) as other:
            to_the_end(other)
            for asset_no in range(len(made.assets)):
                for theirs_, ours_ in zip(arrays_of(other, asset_no), arrays_of(hbt, asset_no), strict=True):
                    assert (np.asarray(theirs_) == np.asarray(ours_)).all()
