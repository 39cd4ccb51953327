"""Mid prices from archives are those of a plain book; those from a record are its last row's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
    event_dtype,
)
from sim import ROIVectorMarketDepthBacktest
from sim.results.report.mids import find_data, has_best_prices, mids_from_archives, mids_from_rows
from tests.sim.market import LOT_SIZE, START_NS, TICK_SIZE, asset_of, event_rows, random_market
from tests.sim.stats.records import random_record
from tests.sim.test_fuse import conflated_market

BOTH = EXCH_EVENT | LOCAL_EVENT


def plain_mids(rows, times):
    """The same by dictionaries: bids that come to the best ask push it up, as the feed will say what became of it."""
    found = np.full(len(times), np.nan)
    books = {BUY_EVENT: {}, SELL_EVENT: {}}
    best = {BUY_EVENT: None, SELL_EVENT: None}
    at = 0
    for row in rows[(rows["ev"] & EXCH_EVENT) != 0]:
        while at < len(times) and times[at] < row["exch_ts"]:
            if None not in best.values():
                found[at] = (best[BUY_EVENT] + best[SELL_EVENT]) / 2 * TICK_SIZE
            at += 1
        if int(row["ev"]) & KIND_MASK != DEPTH_EVENT:
            continue
        mine = BUY_EVENT if int(row["ev"]) & BUY_EVENT else SELL_EVENT
        other = SELL_EVENT if mine == BUY_EVENT else BUY_EVENT
        up = mine == BUY_EVENT
        tick, qty = round(row["px"] / TICK_SIZE), row["qty"]
        if qty > 0:
            books[mine][tick] = qty
            if best[mine] is None or ((tick > best[mine]) == up and tick != best[mine]):
                best[mine] = tick
                if (best[other] is not None and (tick >= best[other]) == up) or tick == best[other]:
                    beyond = [t for t in books[other] if (t > tick if up else t < tick)]
                    best[other] = (min if up else max)(beyond) if beyond else None
        else:
            books[mine].pop(tick, None)
            if tick == best[mine]:
                behind = [t for t in books[mine] if (t < tick if up else t > tick)]
                best[mine] = (max if up else min)(behind) if behind else None
    return found


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 799))
def test_mids_are_those_of_a_plain_book_over_several_files(tmp_path_factory, seed, cut):
    folder = tmp_path_factory.mktemp("mids")
    rows = random_market(seed, 800)
    files = [folder / "a.npz", folder / "b.npz"]
    np.savez(files[0], data=rows[:cut])
    np.savez_compressed(files[1], data=rows[cut:])
    random = np.random.default_rng(seed)
    times = random.integers(rows["exch_ts"][0] - 1000, rows["exch_ts"][-1] + 1000, (3, 40))
    times[0, :5] = rows["exch_ts"][random.integers(0, 800, 5)]
    found = mids_from_archives(files, TICK_SIZE, LOT_SIZE, times)
    order = np.argsort(times, axis=None, kind="stable")
    expected = np.empty(times.size)
    expected[order] = plain_mids(rows, times.reshape(-1)[order])
    np.testing.assert_allclose(found, expected.reshape(times.shape))
    assert np.isfinite(found).any()


def test_archives_of_single_orders_have_mids_too(tmp_path):
    rows = np.zeros(4, event_dtype)
    rows["exch_ts"] = rows["local_ts"] = [10, 20, 30, 40]
    rows["ev"] = BOTH
    rows["ev"] |= np.array(
        [
            ADD_ORDER_EVENT | BUY_EVENT,
            ADD_ORDER_EVENT | SELL_EVENT,
            ADD_ORDER_EVENT | BUY_EVENT,
            CANCEL_ORDER_EVENT,
        ],
        np.uint64,
    )
    rows["px"], rows["qty"], rows["order_id"] = [99.0, 102.0, 100.0, 0.0], 1.0, [1, 2, 3, 3]
    np.savez(tmp_path / "l3.npz", data=rows)
    found = mids_from_archives([tmp_path / "l3.npz"], 1.0, 1.0, np.array([15, 20, 35, 39]))
    np.testing.assert_array_equal(found, [np.nan, 100.5, 101.0, 101.0])


def test_a_cleared_side_has_no_mid(tmp_path):
    rows = np.zeros(4, event_dtype)
    rows["exch_ts"] = rows["local_ts"] = [10, 10, 20, 30]
    kinds = [
        DEPTH_EVENT | BUY_EVENT,
        DEPTH_EVENT | SELL_EVENT,
        DEPTH_CLEAR_EVENT | BUY_EVENT,
        DEPTH_EVENT | BUY_EVENT,
    ]
    rows["ev"] = BOTH | np.array(kinds, np.uint64)
    rows["px"], rows["qty"] = [99.0, 101.0, 99.0, 98.0], 1.0
    np.savez(tmp_path / "a.npz", data=rows)
    found = mids_from_archives([tmp_path / "a.npz"], 1.0, 1.0, np.array([[12], [25]]))
    np.testing.assert_array_equal(found, [[100.0], [np.nan]])


def test_recorded_prices_are_those_of_the_last_row_and_none_beyond_the_record():
    rows = random_record(1, 10)
    stamps = rows["timestamp"]
    found = mids_from_rows(
        rows, np.array([stamps[0] - 1, stamps[0], stamps[4] + 1, stamps[-1], stamps[-1] + 1])
    )
    np.testing.assert_array_equal(
        found, [np.nan, rows["price"][0], rows["price"][4], rows["price"][9], np.nan]
    )


def test_archives_that_are_gone_are_said_and_broken_ones_are_errors(tmp_path):
    assert "names no archives" in find_data([])[1]
    assert "not there any more" in find_data([str(tmp_path / "gone.npz")])[1]
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError):
        mids_from_archives([tmp_path / "broken.npz"], 1.0, 1.0, np.array([1]))


def snapshot_rows():
    """A book before the market, without flags, as it need not have them."""
    return event_rows(
        *((DEPTH_SNAPSHOT_EVENT | BUY_EVENT, 0, 0, (190 - n) * TICK_SIZE, 1.0) for n in range(5)),
        *((DEPTH_SNAPSHOT_EVENT | SELL_EVENT, 0, 0, (212 + n) * TICK_SIZE, 1.0) for n in range(5)),
    )


@pytest.mark.parametrize("fuse_bbo", [True, False])
@pytest.mark.parametrize("with_snapshot", [True, False])
@pytest.mark.parametrize("roi", [None, (97.0, 104.0)])
def test_the_book_is_the_engines_with_fused_best_prices_a_snapshot_and_a_range(
    tmp_path, fuse_bbo, with_snapshot, roi
):
    # Both clocks see the rows in one order, a millisecond apart: what the bot sees then is what the exchange had.
    rows, _ = conflated_market(3, 300, late=False)
    cut = len(rows) // 3
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    np.savez(files[0], data=rows[:cut])
    np.savez(files[1], data=rows[cut:])
    how = {"fuse_bbo": fuse_bbo}
    asset = asset_of([str(file) for file in files], **how)
    if with_snapshot:
        how["initial_snapshot"] = tmp_path / "snapshot.npz"
        np.savez(how["initial_snapshot"], data=snapshot_rows())
        asset.initial_snapshot(str(how["initial_snapshot"]))
    if roi:
        how["roi"] = roi
        asset.roi_lb(roi[0]).roi_ub(roi[1])
    times = np.unique(rows["exch_ts"])[:-1]
    seen = np.full(len(times), np.nan)
    hbt = ROIVectorMarketDepthBacktest([asset])
    hbt.elapse(0)
    for number, time in enumerate(times):
        hbt.elapse(time + 1_000_000 - hbt.current_timestamp)
        depth = hbt.depth(0)
        seen[number] = (depth.best_bid + depth.best_ask) / 2
    hbt.close()
    found = mids_from_archives(files, TICK_SIZE, LOT_SIZE, times, **how)
    np.testing.assert_allclose(found, np.where(np.isfinite(seen), seen, np.nan))
    assert np.isfinite(found).sum() > 200


def test_fused_and_unfused_mids_differ_and_an_archive_with_best_prices_is_known(tmp_path):
    rows, _ = conflated_market(3, 300)
    np.savez(tmp_path / "a.npz", data=rows)
    np.savez(tmp_path / "plain.npz", data=random_market(1, 100))
    assert has_best_prices(tmp_path / "a.npz")
    assert not has_best_prices(tmp_path / "plain.npz")
    times = np.unique(rows["exch_ts"])
    fused, plain = (
        mids_from_archives([tmp_path / "a.npz"], TICK_SIZE, LOT_SIZE, times, fuse_bbo=fuse_bbo)
        for fuse_bbo in (True, False)
    )
    assert (fused != plain).sum() > len(times) / 2


def test_a_snapshot_that_is_gone_or_broken_is_said(tmp_path):
    np.savez(tmp_path / "a.npz", data=random_market(1, 100))
    assert "snapshot gone.npz is not there" in find_data([str(tmp_path / "a.npz")], "gone.npz")[1]
    broken = snapshot_rows()
    broken["px"][3] = np.nan
    np.savez(tmp_path / "broken.npz", data=broken)
    with pytest.raises(DataError, match="row 3 of the initial snapshot"):
        mids_from_archives(
            [tmp_path / "a.npz"], 1.0, 1.0, np.array([START_NS]), initial_snapshot=tmp_path / "broken.npz"
        )
