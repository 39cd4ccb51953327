"""Databento's files: books that come out right, prices, times and flags."""

import struct
from collections import Counter
from decimal import Decimal

import databento_dbn as dbn
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sim
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    KIND_MASK,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.convert.venues.databento.dbn import read_metadata
from sim.convert.venues.databento.mbp import KNOWN_MAX

from .dbn_files import (
    INSTRUMENT,
    LAST,
    SNAPSHOT,
    START_NS,
    TICK,
    TOP,
    UNDEFINED,
    Levels,
    Orders,
    metadata,
    ours,
    trade,
    write,
)


def kinds(rows):
    return (rows["ev"] & KIND_MASK).tolist()


def book_of(rows):
    """The orders that are left, by id, as (price, quantity)."""
    orders = {}
    for row in rows:
        kind, order_id = int(row["ev"]) & KIND_MASK, int(row["order_id"])
        if kind == DEPTH_CLEAR_EVENT:
            orders.clear()
        elif kind == ADD_ORDER_EVENT:
            assert order_id not in orders
            orders[order_id] = (row["px"], row["qty"])
        elif kind == MODIFY_ORDER_EVENT:
            assert order_id in orders
            orders[order_id] = (row["px"], row["qty"])
        elif kind == CANCEL_ORDER_EVENT:
            del orders[order_id]
    return orders


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_orders_that_are_left_are_those_of_the_market(tmp_path, seed):
    market = Orders(seed, unit_ns=1_000_000)
    market.snapshot()
    for step in range(2000):
        market.step()
        if step == 1000:
            market.snapshot(0)
    rows, report = ours(write(tmp_path / "day.dbn.zst", metadata(dbn.Schema.MBO), market.records))
    received = rows[np.argsort(rows["local_ts"], kind="stable")]
    left = book_of(rows[(rows["ev"] & (1 << 31)) != 0])
    assert len(received)
    assert left == {k: (px / 1e9, size) for k, (_, px, size) in market.orders.items()}
    assert report.lines == len(market.records)
    assert report.unreadable == []


def test_the_engine_follows_the_orders_without_a_warning(tmp_path):
    market = Orders(4, unit_ns=1_000_000)
    market.snapshot()
    for _ in range(1500):
        market.step()
    last_ns = market.time_ns
    # Time goes on until the last row.
    market.time_ns += 10_000_000
    market.put("T", "B", 4_750_000_000_000, 1, flags=LAST)
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records))
    asset = sim.BacktestAsset().data(rows).tick_size(0.25).lot_size(1.0).linear_asset(50.0)
    asset.constant_order_latency(1, 1).trading_value_fee_model(0.0, 0.0)
    asset.l3_fifo_queue_model().no_partial_fill_exchange()
    hbt = sim.HashMapMarketDepthBacktest([asset])
    hbt.elapse(last_ns + 2_000_000 - int(rows["local_ts"][0]))
    depth = hbt.depth(0)
    for side, qty_at in (("B", depth.bid_qty_at_tick), ("A", depth.ask_qty_at_tick)):
        levels: Counter[int] = Counter()
        for at, price, size in market.orders.values():
            levels[price // TICK] += size if at == side else 0
        assert {tick: qty_at(tick) for tick in levels} == levels
    assert hbt.warnings() == []


@pytest.mark.parametrize("limit", [1, 10])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_levels_that_a_record_shows_are_those_of_the_book_behind_it(tmp_path, seed, limit):
    market = Levels(seed, limit)
    shown = []
    for _ in range(400):
        market.step()
        shown.append((market.time_ns, market.shown()))
    schema = dbn.Schema.MBP_10 if limit == 10 else dbn.Schema.MBP_1
    rows, report = ours(write(tmp_path / "day.dbn.zst", metadata(schema), market.records))
    sides = {BUY_EVENT: {}, SELL_EVENT: {}}
    at = 0
    for time_ns, (bids, asks) in shown:
        while at < len(rows) and rows["exch_ts"][at] <= time_ns:
            row = rows[at]
            kind = int(row["ev"]) & KIND_MASK
            if kind == DEPTH_CLEAR_EVENT:
                sides = {BUY_EVENT: {}, SELL_EVENT: {}}
            elif kind in (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT):
                side = sides[int(row["ev"]) & (BUY_EVENT | SELL_EVENT)]
                side[float(row["px"])] = float(row["qty"])
                if not row["qty"]:
                    del side[float(row["px"])]
            at += 1
        best = sorted(sides[BUY_EVENT].items(), reverse=True)
        assert best[: len(bids)] == [(tick * TICK / 1e9, qty) for tick, qty in bids]
        assert len(bids) == limit or len(best) == len(bids)
        best = sorted(sides[SELL_EVENT].items())
        assert best[: len(asks)] == [(tick * TICK / 1e9, qty) for tick, qty in asks]
    assert at == len(rows)
    assert DEPTH_CLEAR_EVENT in kinds(rows)[:2]
    assert report.rows_by_kind["trade"] == sum(str(record.action) == "T" for record in market.records)
    assert report.crossed.times == 0


def level(px, qty):
    return dbn.BidAskPair(bid_px=px * TICK, bid_sz=qty)


def best_bid(px, qty, time_ns, action="A", side="B"):
    return dbn.MBP1Msg(
        publisher_id=1,
        instrument_id=INSTRUMENT,
        ts_event=START_NS + time_ns,
        price=px * TICK,
        size=1,
        action=dbn.Action(action),
        side=dbn.Side(side),
        depth=0,
        ts_recv=START_NS + time_ns + 5,
        flags=LAST,
        levels=level(px, qty),
    )


def test_a_level_out_of_sight_stays_until_a_record_tells_that_it_is_gone(tmp_path):
    records = [best_bid(100, 5, 0), best_bid(101, 3, 10), best_bid(100, 4, 20), best_bid(99, 1, 30)]
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBP_1), records))
    changes = [(float(row["px"]), float(row["qty"])) for row in rows[1:]]
    assert changes == [(25.0, 5), (25.25, 3), (25.25, 0), (25.0, 4), (25.0, 0), (24.75, 1)]


def test_levels_out_of_sight_can_be_deleted_instead(tmp_path):
    records = [best_bid(100, 5, 0), best_bid(101, 3, 10), best_bid(100, 4, 20)]
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.MBP_1), records)
    rows, _ = ours(path, keep_far_levels=False)
    changes = [(float(row["px"]), float(row["qty"])) for row in rows[1:]]
    assert changes == [(25.0, 5), (25.0, 0), (25.25, 3), (25.25, 0), (25.0, 4)]


def test_levels_that_are_remembered_are_bounded(tmp_path):
    count = KNOWN_MAX + 1000
    records = [best_bid(1000 + k, 1, k) for k in range(count)] + [best_bid(1, 1, count)]
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBP_1), records))
    gone = rows["px"][(rows["qty"] == 0) & ((rows["ev"] & KIND_MASK) == DEPTH_EVENT)]
    assert sorted(gone) == [(1000 + k) * 0.25 for k in range(count)]
    assert (np.diff(gone[: KNOWN_MAX // 4]) > 0).all()


def test_trades_have_the_side_of_who_took(tmp_path):
    sides = [dbn.Side.BID, dbn.Side.ASK, dbn.Side.NONE]
    records = [trade(TICK, side=side, size=7) for side in sides]
    rows, report = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.TRADES), records))
    assert kinds(rows) == [TRADE_EVENT] * 3
    assert [int(ev) & (BUY_EVENT | SELL_EVENT) for ev in rows["ev"]] == [BUY_EVENT, SELL_EVENT, 0]
    assert rows["qty"].tolist() == [7, 7, 7]
    assert report.notes == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 2), min_size=1, max_size=200))
def test_prices_are_the_nearest_doubles(tmp_path, prices):
    records = [trade(price) for price in prices]
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.TRADES), records))
    assert rows["px"].tolist() == [float(Decimal(price) / 10**9) for price in prices]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_all_versions_are_read_and_their_symbols_known(tmp_path, version):
    head = metadata(dbn.Schema.TRADES, version=version)
    _, report = ours(write(tmp_path / "day.dbn", head, [trade(TICK)]))
    assert report.symbol == "ESH4"
    found = read_metadata(head, True, tmp_path)
    assert found is not None
    assert (found[0].version, found[0].dataset, found[1]) == (version, "GLBX.MDP3", len(head))


def test_records_with_sending_times_are_read(tmp_path):
    def longer(record):
        data = bytearray(bytes(record)[:48])
        data[0] = 14
        return bytes(data) + struct.pack("<Q", START_NS + 9)

    head = metadata(dbn.Schema.TRADES, ts_out=True)
    rows, report = ours(write(tmp_path / "day.dbn", head, [longer(trade(TICK)), longer(trade(2 * TICK))]))
    assert rows["px"].tolist() == [0.25, 0.5]
    assert report.unreadable == []


def test_a_snapshot_without_a_clear_after_other_orders_clears(tmp_path):
    days = []
    for seed in (1, 2):
        market = Orders(seed)
        market.time_ns += seed * 10**13
        market.snapshot(20, has_clear=False)
        days.append(write(tmp_path / f"{seed}.dbn", metadata(dbn.Schema.MBO), market.records))
    rows, report = ours(*days)
    assert kinds(rows) == [ADD_ORDER_EVENT] * 20 + [DEPTH_CLEAR_EVENT] + [ADD_ORDER_EVENT] * 20
    assert sum("begins without a clear" in note for note in report.notes) == 1


def test_an_order_of_the_top_takes_the_place_of_its_side(tmp_path):
    market = Orders(1)
    for price, order_id in ((400 * TICK, 0), (401 * TICK, 9), (UNDEFINED, 0)):
        market.put("A", "B", price, 5, order_id, LAST | TOP)
        market.time_ns += 10_000_000
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records))
    assert kinds(rows) == [3, 10, 3, 10, 3]
    assert rows["order_id"].tolist() == [0, 1, 0, 9, 0]
    assert ((rows["ev"] & BUY_EVENT) != 0).all()


def test_flags_that_warn_are_told(tmp_path):
    market = Orders(1)
    market.put("A", "B", 400 * TICK, 5, 1, LAST | 8)
    market.put("A", "B", 400 * TICK, 5, 2, LAST | 4)
    _, report = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records))
    assert sum("1 records are flagged" in note for note in report.notes) == 2


def test_a_snapshot_flag_gives_both_clocks_the_time_of_the_snapshot(tmp_path):
    market = Orders(1)
    market.put("R", "N", UNDEFINED, 0, 0, SNAPSHOT, ts_event=5, ts_recv=START_NS + 77)
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records))
    assert (rows["exch_ts"][0], rows["local_ts"][0], rows["px"][0]) == (START_NS + 77, START_NS + 77, 0.0)
