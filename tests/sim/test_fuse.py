"""Best bids and offers fused with conflated depth: one stream, archives, backtests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError, OrderError, UsageError
from hftd.types import (
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)
from sim import FuseMarketDepth, HashMapMarketDepthBacktest
from sim.feed.columns import Prepared
from sim.fuse import bbo_rows, fuse
from tests.sim.market import BOTH, LOT_SIZE, START_NS, TICK_SIZE, asset_of, event_rows

BID, ASK = BUY_EVENT, SELL_EVENT
FLAGS = np.uint64(BOTH)


def fused(rows, tick_size=1.0, lot_size=1.0):
    """What a stream of rows comes to, as (is bid, price, quantity)."""
    depth = FuseMarketDepth(tick_size, lot_size)
    depth.process_events(rows)
    return [(bool(row["ev"] & np.uint64(BID)), row["px"], row["qty"]) for row in depth.fused_events]


def stream(*rows):
    """Rows of (kind and side, exchange time, price, quantity), received a little later."""
    return event_rows(*((ev, ts, ts + 5, px, qty) for ev, ts, px, qty in rows))


def test_a_best_bid_becomes_a_depth_row_and_deletes_the_bids_above_it():
    rows = stream(
        (BID | DEPTH_EVENT, 1, 98, 5),
        (BID | DEPTH_EVENT, 1, 99, 5),
        (BID | DEPTH_EVENT, 1, 100, 5),
        (BID | DEPTH_BBO_EVENT, 2, 98, 7),
    )
    assert fused(rows)[3:] == [(True, 98, 7), (True, 99, 0), (True, 100, 0)]


def test_a_best_ask_at_or_below_bids_deletes_them_and_the_asks_below_it():
    rows = stream(
        (BID | DEPTH_EVENT, 1, 99, 5),
        (BID | DEPTH_EVENT, 1, 100, 5),
        (ASK | DEPTH_EVENT, 1, 101, 5),
        (ASK | DEPTH_BBO_EVENT, 2, 100, 1),
        (ASK | DEPTH_BBO_EVENT, 3, 103, 2),
    )
    assert fused(rows)[3:] == [
        (False, 100, 1),
        (True, 100, 0),
        (False, 103, 2),
        (False, 100, 0),
        (False, 101, 0),
    ]


def test_depth_that_is_older_than_the_best_price_is_dropped():
    rows = stream(
        (BID | DEPTH_EVENT, 1, 100, 5),
        (BID | DEPTH_BBO_EVENT, 9, 100, 4),
        (BID | DEPTH_EVENT, 8, 100, 3),
        (ASK | DEPTH_EVENT, 8, 100, 3),
        (BID | DEPTH_EVENT, 8, 99, 3),
    )
    assert fused(rows) == [(True, 100, 5), (True, 100, 4), (True, 99, 3)]


def test_a_best_of_no_quantity_says_that_its_side_is_empty_and_nothing_of_the_other():
    rows = stream(
        (BID | DEPTH_EVENT, 1, 100, 5),
        (ASK | DEPTH_EVENT, 1, 101, 5),
        (ASK | DEPTH_EVENT, 1, 102, 5),
        (ASK | DEPTH_BBO_EVENT, 2, 0, 0),
        (ASK | DEPTH_BBO_EVENT, 3, 103, 1),
    )
    assert fused(rows)[3:] == [(False, 101, 0), (False, 102, 0), (False, 103, 1)]


def test_deletions_carry_the_times_and_the_clocks_of_the_row_that_caused_them():
    rows = event_rows(
        (BOTH | BID | DEPTH_EVENT, 1, 2, 100, 5),
        (LOCAL_EVENT | BID | DEPTH_BBO_EVENT, 7, 9, 99, 1),
    )
    depth = FuseMarketDepth(1.0, 1.0)
    depth.process_events(rows)
    last = depth.fused_events[-1]
    assert (last["exch_ts"], last["local_ts"]) == (7, 9)
    assert last["ev"] == LOCAL_EVENT | BID | DEPTH_EVENT


def test_rows_that_are_not_added_still_make_the_book():
    rows = stream((BID | DEPTH_EVENT, 1, 100, 5), (BID | DEPTH_BBO_EVENT, 2, 99, 1))
    depth = FuseMarketDepth(1.0, 1.0)
    depth.process_event(rows, 0, False)
    depth.process_event(rows, 1, True)
    assert list(depth.fused_events["px"]) == [99, 100]


@pytest.mark.parametrize("far", [3e6, 2e7])
def test_levels_far_from_the_market_are_kept_and_deleted_like_all_others(far):
    rows = stream(
        (BID | DEPTH_EVENT, 1, 100, 5),
        (ASK | DEPTH_EVENT, 1, far, 5),
        (ASK | DEPTH_EVENT, 1, far + 1, 5),
        (ASK | DEPTH_EVENT, 1, 101, 5),
        (BID | DEPTH_BBO_EVENT, 2, far, 1),
        (BID | DEPTH_BBO_EVENT, 3, 50, 1),
    )
    assert fused(rows)[4:] == [
        (True, far, 1),
        (False, 101, 0),
        (False, far, 0),
        (True, 50, 1),
        (True, 100, 0),
        (True, far, 0),
    ]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ((BID | DEPTH_EVENT, 1, np.nan, 5), "not a number"),
        ((BID | DEPTH_EVENT, 1, 100, np.inf), "not a number"),
        ((BID | DEPTH_BBO_EVENT, 1, 100, -1), "negative quantity"),
        ((DEPTH_EVENT, 1, 100, 1), "of no side"),
        ((BID | TRADE_EVENT, 1, 100, 1), "of a kind that can't be fused"),
    ],
)
def test_a_row_that_can_not_be_fused_is_named_and_those_before_it_are_kept(row, what):
    depth = FuseMarketDepth(1.0, 1.0)
    with pytest.raises(DataError, match=rf"row 1 \(.*{what}"):
        depth.process_events(stream((BID | DEPTH_EVENT, 1, 100, 5), row))
    assert len(depth.fused_events) == 1


def test_mistakes_in_its_use_are_named():
    with pytest.raises(OrderError, match="tick_size"):
        FuseMarketDepth(0.0, 1.0)
    depth = FuseMarketDepth(1.0, 1.0)
    with pytest.raises(DataError, match="the rows are float64"):
        depth.process_events(np.zeros(3))
    with pytest.raises(UsageError, match="no row 3"):
        depth.process_event(np.zeros(3, event_dtype), 3, True)
    depth.close()
    with pytest.raises(UsageError, match="closed"):
        depth.process_events(np.zeros(0, event_dtype))


# --- Archives -------------------------------------------------------------------------------------------------------


def conflated_market(seed, count=1500, late=True):
    """An archive with each best price as it changes, and depth gathered over 50 changes, on two feeds.

    With `late` the depth may arrive after best prices that are newer.

    Returns the archive and the true best prices: (time, is bid, tick).
    """
    random = np.random.default_rng(seed)
    books = {True: {}, False: {}}
    sent = {True: {}, False: {}}
    rows, truth = [], []
    ts = START_NS
    for step in range(count):
        ts += int(random.integers(1, 2_000_000))
        middle = 200 + int(8 * np.sin(step / 90))
        is_bid = bool(random.random() < 0.5)
        sign = -1 if is_bid else 1
        book = books[is_bid]
        tick = middle + sign * int(random.geometric(0.35))
        book[tick] = 0 if random.random() < 0.25 else int(random.integers(1, 50))
        # Nobody stands in the other's way.
        for side in (True, False):
            for crossed in [t for t in books[side] if (t >= middle if side else t <= middle)]:
                books[side][crossed] = 0
        for side, best_of in ((True, max), (False, min)):
            alive = [t for t, lots in books[side].items() if lots]
            if not alive:
                continue
            best = best_of(alive)
            flag = BID if side else ASK
            rows.append(
                (
                    BOTH | flag | DEPTH_BBO_EVENT,
                    ts,
                    ts + 1_000_000,
                    best * TICK_SIZE,
                    books[side][best] * LOT_SIZE,
                )
            )
            truth.append((ts, side, best))
        if step % 50 == 49:
            arrives = ts + (int(random.integers(1_000_000, 4_000_000)) if late else 1_000_000)
            for side, flag in ((True, BID), (False, ASK)):
                for t, lots in books[side].items():
                    if sent[side].get(t, 0) != lots:
                        rows.append((BOTH | flag | DEPTH_EVENT, ts, arrives, t * TICK_SIZE, lots * LOT_SIZE))
                        sent[side][t] = lots
    return ordered(event_rows(*rows)), truth


def ordered(rows):
    """Rows in an order that both clocks allow: those out of place on the local clock are split."""
    by_local = rows[np.argsort(rows["local_ts"], kind="stable")].copy()
    by_exch = rows[np.argsort(rows["exch_ts"], kind="stable")].copy()
    if (np.diff(by_local["exch_ts"]) >= 0).all():
        return by_local
    by_local["ev"] ^= np.uint64(EXCH_EVENT)
    by_exch["ev"] ^= np.uint64(LOCAL_EVENT)
    return np.concatenate([by_exch, by_local])


def in_both_orders(rows):
    return all(
        (np.diff(rows[name][(rows["ev"] & np.uint64(flag)) != 0]) >= 0).all()
        for name, flag in (("exch_ts", EXCH_EVENT), ("local_ts", LOCAL_EVENT))
    )


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_the_fused_book_shows_every_change_of_the_best_prices(seed):
    rows, truth = conflated_market(seed, 400)
    made = fuse(rows, TICK_SIZE, LOT_SIZE)
    assert in_both_orders(made)
    assert not ((made["ev"] & np.uint64(KIND_MASK)) == DEPTH_BBO_EVENT).any()
    hbt = HashMapMarketDepthBacktest([asset_of(made)])
    hbt.elapse(0)
    last = {}
    for ts, is_bid, tick in truth:
        last[is_bid] = tick
        if ts != truth[-1][0] and len(last) == 2:
            hbt.elapse(ts + 1_000_000 - hbt.current_timestamp)
            depth = hbt.depth(0)
            assert (depth.best_bid_tick if is_bid else depth.best_ask_tick) == tick


def test_each_clock_has_a_book_of_its_own_where_the_streams_arrive_in_another_order():
    # The depth of time 10 arrives after the best bid of time 20, which is then known to be newer.
    rows = event_rows(
        (BOTH | BID | DEPTH_EVENT, 1, 2, 100, 5),
        (EXCH_EVENT | BID | DEPTH_EVENT, 10, 40, 100, 3),
        (BOTH | BID | DEPTH_BBO_EVENT, 20, 30, 100, 2),
        (LOCAL_EVENT | BID | DEPTH_EVENT, 10, 40, 100, 3),
    )
    made = fuse(rows, 1.0, 1.0)
    of_exch = made[(made["ev"] & np.uint64(EXCH_EVENT)) != 0]
    of_local = made[(made["ev"] & np.uint64(LOCAL_EVENT)) != 0]
    assert list(of_exch["qty"]) == [5, 3, 2]
    assert list(of_local["qty"]) == [5, 2]
    assert in_both_orders(made)


def test_fusing_leaves_an_archive_without_best_prices_that_repeats_no_level_as_it_is():
    rows = event_rows(
        (BOTH | BID | DEPTH_EVENT, 1, 2, 100, 5),
        (BOTH | ASK | DEPTH_EVENT, 1, 2, 101, 5),
        (BOTH | BID | TRADE_EVENT, 2, 3, 101, 5),
        (BOTH | 101, 2, 3, np.nan, np.nan),
        (BOTH | DEPTH_CLEAR_EVENT, 3, 4, 0, 0),
        (BOTH | BID | DEPTH_SNAPSHOT_EVENT, 3, 4, 99, 5),
    )
    assert fuse(rows, 1.0, 1.0).tobytes() == rows.tobytes()


def test_user_events_become_best_prices_by_their_kinds():
    rows = event_rows((BOTH | 103, 1, 2, 100, 5), (LOCAL_EVENT | 104, 1, 2, 101, 5), (BOTH | 101, 1, 2, 7, 0))
    made = bbo_rows(rows)
    assert list(made["ev"]) == [
        BOTH | BID | DEPTH_BBO_EVENT,
        LOCAL_EVENT | ASK | DEPTH_BBO_EVENT,
        BOTH | 101,
    ]
    assert rows["ev"][0] == BOTH | 103


# --- Backtests ------------------------------------------------------------------------------------------------------


def last_book(*assets):
    hbt = HashMapMarketDepthBacktest(list(assets))
    hbt._goto_end()
    hbt.check()
    return hbt.depth(0).snapshot().tobytes(), hbt.rows()


def test_an_asset_that_fuses_runs_as_on_the_fused_archive():
    rows, _ = conflated_market(1)
    assert last_book(asset_of(rows, fuse_bbo=True)) == last_book(asset_of(fuse(rows, TICK_SIZE, LOT_SIZE)))
    assert last_book(asset_of(rows, fuse_bbo=True)) != last_book(asset_of(rows))


def test_fusing_goes_on_from_file_to_file_and_starts_from_the_snapshot():
    rows, _ = conflated_market(2, late=False)
    cut = next(i for i in range(900, len(rows)) if rows["exch_ts"][i] != rows["exch_ts"][i - 1])
    whole = asset_of(fuse(rows, TICK_SIZE, LOT_SIZE))
    assert last_book(asset_of([rows[:cut], rows[cut:]], fuse_bbo=True)) == last_book(whole)
    snapshot = np.frombuffer(last_book(whole)[0], event_dtype)
    later = event_rows((BOTH | BID | DEPTH_BBO_EVENT, START_NS, START_NS, 1.0, 1.0))
    book = last_book(asset_of(later, fuse_bbo=True, initial_snapshot=snapshot))[0]
    bids = [row["px"] for row in np.frombuffer(book, event_dtype) if row["ev"] & np.uint64(BID)]
    assert len(snapshot) > 5
    assert bids == [1.0]


def test_best_prices_change_no_book_unless_they_are_fused():
    rows, _ = conflated_market(3)
    kinds = rows["ev"] & np.uint64(KIND_MASK)
    assert last_book(asset_of(rows))[0] == last_book(asset_of(rows[kinds != DEPTH_BBO_EVENT]))[0]


def test_a_row_that_can_not_be_fused_stops_the_backtest_with_its_number_and_place():
    rows, _ = conflated_market(4, 100)
    rows["px"][7] = np.nan
    hbt = HashMapMarketDepthBacktest([asset_of(rows, fuse_bbo=True)])
    hbt._goto_end()
    with pytest.raises(DataError, match=r"the array of asset 0: row 7 .*not a number"):
        hbt.check()


def test_a_latency_offset_with_which_a_row_would_not_arrive_after_it_is_sent_is_refused():
    rows, _ = conflated_market(5, 100)
    hbt = HashMapMarketDepthBacktest([asset_of(rows, latency_offset=-999_999)])
    hbt._goto_end()
    hbt.check()
    with pytest.raises(DataError, match=r"row \d+ .*does not arrive after it is sent"):
        HashMapMarketDepthBacktest([asset_of(rows, latency_offset=-1_000_000)])


def test_prepared_rows_are_not_fused_and_it_is_said():
    prepared = Prepared(conflated_market(6, 100)[0], TICK_SIZE, LOT_SIZE)
    with pytest.raises(DataError, match="prepared can't be fused"):
        HashMapMarketDepthBacktest([asset_of(prepared, fuse_bbo=True)])
