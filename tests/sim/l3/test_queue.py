"""Own orders among the market's: who is filled, when, and by how much."""

import numpy as np
import pytest

from hftd.errors import DataError
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    CANCELED,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXPIRED,
    FILL_EVENT,
    FILLED,
    FOK,
    GTC,
    IOC,
    LIMIT,
    MODIFY_ORDER_EVENT,
    NEW,
    PARTIALLY_FILLED,
    TRADE_EVENT,
    event_dtype,
)
from sim import BacktestAsset, HashMapMarketDepthBacktest
from sim.feed.columns import Prepared
from tests.sim.l3 import runs
from tests.sim.l3.market import BOTH, LOT_SIZE, TICK_SIZE
from tests.sim.l3.story import buy, describe, rows, sell, upto

ADD, CANCEL, MODIFY, FILL, CLEAR = (
    ADD_ORDER_EVENT,
    CANCEL_ORDER_EVENT,
    MODIFY_ORDER_EVENT,
    FILL_EVENT,
    DEPTH_CLEAR_EVENT,
)
BOOK = ((1, ADD, 1, 1, 100, 5), (1, ADD, -1, 2, 102, 5))
"""A bid of 5 at 100 and an ask of 5 at 102."""


def engine(*told, whole=True):
    return HashMapMarketDepthBacktest([describe(BacktestAsset(), rows(*told), whole=whole)])


def status(hbt, order_id=1):
    return int(hbt.orders(0).get(order_id).status)


@pytest.fixture(params=[True, False], ids=["whole", "partial"])
def whole(request):
    return request.param


def test_an_order_waits_while_those_ahead_of_it_are_filled_and_is_filled_before_those_behind(whole):
    hbt = engine(*BOOK, (3, ADD, 1, 3, 100, 5), (5, FILL, 1, 1, 100, 5), (7, FILL, 1, 3, 100, 5), whole=whole)
    upto(hbt, 1)
    buy(hbt, 1, 100, 4)
    upto(hbt, 5)
    assert status(hbt) == NEW
    upto(hbt, 7)
    assert status(hbt) == FILLED
    assert hbt.position(0) == 4


def test_an_order_that_gets_less_keeps_its_place_and_one_that_gets_more_goes_behind_ours(whole):
    # The first is cut, so it stays ahead; then it grows, and is behind.
    told = ((3, MODIFY, 1, 1, 100, 4), (5, FILL, 1, 1, 100, 4), (7, MODIFY, 1, 1, 100, 9))
    hbt = engine(*BOOK, *told, (9, FILL, 1, 1, 100, 9), whole=whole)
    upto(hbt, 1)
    buy(hbt, 1, 100, 4)
    upto(hbt, 8)
    assert status(hbt) == NEW
    upto(hbt, 9)
    assert status(hbt) == FILLED


def test_an_order_that_moves_away_and_back_is_behind_ours(whole):
    told = ((3, MODIFY, 1, 1, 99, 5), (4, MODIFY, 1, 1, 100, 5), (6, FILL, 1, 1, 100, 5))
    hbt = engine(*BOOK, *told, whole=whole)
    upto(hbt, 1)
    buy(hbt, 1, 100, 4)
    upto(hbt, 5)
    assert status(hbt) == NEW
    upto(hbt, 6)
    assert status(hbt) == FILLED


def test_an_own_order_that_is_made_smaller_keeps_its_place_and_one_made_larger_loses_it(whole):
    told = ((3, ADD, 1, 3, 100, 10), (6, FILL, 1, 3, 100, 5), (9, FILL, 1, 3, 100, 5))
    for qty, step in ((3, 6), (5, 10)):
        hbt = engine(*BOOK, *told, (10, ADD, 1, 4, 100, 9), (10, FILL, 1, 4, 100, 9), whole=whole)
        upto(hbt, 1)
        buy(hbt, 1, 100, 4)
        upto(hbt, 4)
        hbt.modify(0, 1, 100 * TICK_SIZE, qty, False)
        upto(hbt, step - 1)
        assert status(hbt) == NEW
        upto(hbt, step)
        assert status(hbt) == FILLED
        assert hbt.position(0) == qty


def test_a_fill_at_a_worse_price_would_have_met_a_better_order_first_also_within_the_spread(whole):
    hbt = engine(*BOOK, (3, FILL, 1, 1, 100, 5), whole=whole)
    upto(hbt, 1)
    buy(hbt, 1, 101, 4)
    upto(hbt, 3)
    assert status(hbt) == FILLED
    assert hbt.orders(0).get(1).exec_price_tick == 101


def test_an_ask_that_is_added_at_the_price_of_an_own_bid_fills_it(whole):
    hbt = engine(*BOOK, (3, ADD, -1, 3, 101, 6), whole=whole)
    upto(hbt, 1)
    buy(hbt, 1, 101, 4)
    upto(hbt, 3)
    assert status(hbt) == FILLED
    assert hbt.orders(0).get(1).maker


def test_asks_that_show_again_fill_an_own_bid_that_came_meanwhile(whole):
    told = ((2, ADD, 1, 3, 103, 1), (5, CANCEL, 1, 3, 103, 1))
    hbt = engine(*BOOK, (1, ADD, -1, 4, 106, 5), *told, whole=whole)
    upto(hbt, 3)
    buy(hbt, 1, 104, 4)
    upto(hbt, 4)
    assert status(hbt) == NEW
    upto(hbt, 5)
    assert status(hbt) == FILLED


def test_trades_alone_fill_nothing_since_the_fills_tell_more(whole):
    hbt = engine(*BOOK, (3, TRADE_EVENT, -1, 0, 98, 50), whole=whole)
    upto(hbt, 1)
    buy(hbt, 1, 100, 4)
    upto(hbt, 4)
    assert status(hbt) == NEW


def test_a_clear_expires_the_own_orders_of_its_side(whole):
    hbt = engine(*BOOK, (3, CLEAR, 1, 0, 0, 0), (5, CLEAR, 0, 0, 0, 0), whole=whole)
    upto(hbt, 1)
    buy(hbt, 1, 100, 4)
    sell(hbt, 2, 102, 4)
    upto(hbt, 3)
    assert (status(hbt, 1), status(hbt, 2)) == (EXPIRED, NEW)
    upto(hbt, 5)
    assert status(hbt, 2) == EXPIRED
    assert hbt.position(0) == 0


def test_a_cancelled_own_order_is_out_of_the_queue(whole):
    hbt = engine(*BOOK, (3, ADD, 1, 3, 100, 5), (5, FILL, 1, 3, 100, 5), whole=whole)
    upto(hbt, 1)
    buy(hbt, 1, 100, 4)
    upto(hbt, 3)
    hbt.cancel(0, 1, False)
    upto(hbt, 5)
    assert status(hbt) == CANCELED
    assert hbt.position(0) == 0


def test_the_quantity_of_a_fill_goes_down_the_queue_of_own_orders():
    told = [(3, ADD, 1, 3, 100, 50), *((step, FILL, 1, 3, 100, 3) for step in (5, 6, 7))]
    hbt = engine(*BOOK, *told, whole=False)
    upto(hbt, 1)
    buy(hbt, 1, 100, 4)
    buy(hbt, 2, 100, 4)
    seen = []
    for step in (5, 6, 7):
        upto(hbt, step)
        seen.append([(status(hbt, i), hbt.orders(0).get(i).leaves_qty) for i in (1, 2)])
    assert seen == [
        [(PARTIALLY_FILLED, 1), (NEW, 4)],
        [(FILLED, 0), (PARTIALLY_FILLED, 2)],
        [(FILLED, 0), (FILLED, 0)],
    ]
    # Nine were filled in the market; the bot got the eight that it wanted.
    assert hbt.position(0) == 8


def test_the_better_own_order_gets_of_a_fill_first():
    hbt = engine(*BOOK, (3, ADD, 1, 3, 100, 50), (5, FILL, 1, 3, 100, 6), whole=False)
    upto(hbt, 1)
    buy(hbt, 1, 100, 4)
    buy(hbt, 2, 101, 4)
    upto(hbt, 5)
    assert [hbt.orders(0).get(i).leaves_qty for i in (1, 2)] == [2, 0]


def test_an_ask_at_the_price_of_an_own_bid_gives_what_it_has():
    hbt = engine(*BOOK, (3, ADD, -1, 3, 101, 3), (5, ADD, -1, 4, 100, 3), whole=False)
    upto(hbt, 1)
    buy(hbt, 1, 101, 5)
    upto(hbt, 3)
    assert (status(hbt), hbt.position(0)) == (PARTIALLY_FILLED, 3)
    upto(hbt, 5)
    assert (status(hbt), hbt.position(0)) == (FILLED, 5)


@pytest.mark.parametrize(("time_in_force", "got"), [(IOC, 7), (FOK, 0), (GTC, 9)])
def test_with_partial_fills_takers_walk_the_levels_that_the_orders_make(time_in_force, got):
    hbt = engine(*BOOK, (1, ADD, -1, 3, 102, 1), (1, ADD, -1, 4, 103, 1), whole=False)
    upto(hbt, 1)
    buy(hbt, 1, 103, 9, time_in_force)
    upto(hbt, 3)
    assert hbt.position(0) == got


def test_rows_of_levels_are_no_part_of_such_a_market_and_its_orders_are_none_of_a_market_of_levels():
    data = rows(*BOOK, (2, DEPTH_EVENT, 1, 0, 101, 5))
    hbt = HashMapMarketDepthBacktest([describe(BacktestAsset(), data)])
    upto(hbt, 3)
    assert (hbt.depth(0).best_bid_tick, hbt.depth(0).best_ask_tick) == (100, 102)
    levels = BacktestAsset().data(data).tick_size(TICK_SIZE).lot_size(LOT_SIZE)
    hbt = HashMapMarketDepthBacktest([levels])
    upto(hbt, 3)
    assert hbt.depth(0).best_bid_tick == 101


def test_orders_that_stood_before_the_data_begin_are_given_as_a_snapshot_of_orders():
    snapshot = rows((0, ADD, 1, 7, 99, 5), (0, ADD, 1, 8, 99, 5))[:-1]
    data = rows((1, TRADE_EVENT, 1, 0, 100, 1), (3, FILL, 1, 8, 99, 5), (4, CANCEL, 1, 8, 99, 5))
    hbt = HashMapMarketDepthBacktest([describe(BacktestAsset(), data).initial_snapshot(snapshot)])
    upto(hbt, 1)
    assert (hbt.depth(0).best_bid_tick, hbt.depth(0).best_bid_qty) == (99, 10)
    upto(hbt, 5)
    assert hbt.depth(0).best_bid_qty == 5


def test_a_snapshot_of_levels_is_refused():
    snapshot = rows((0, DEPTH_SNAPSHOT_EVENT, 1, 0, 99, 5))[:-1]
    asset = describe(BacktestAsset(), rows(*BOOK)).initial_snapshot(snapshot)
    with pytest.raises(DataError, match="holds levels"):
        HashMapMarketDepthBacktest([asset])


def test_rows_that_were_left_out_are_said_after_the_run():
    hbt = engine(*BOOK, (3, CANCEL, 1, 99, 100, 5), (4, FILL, 1, 98, 100, 5))
    upto(hbt, 5)
    assert hbt.warnings() == ["asset 0: 2 rows named an order that is not in the book"]


@pytest.mark.parametrize(
    ("kind", "px", "qty", "what"),
    [
        (ADD, float("nan"), 1.0, "not a number"),
        (MODIFY, float("inf"), 1.0, "not a number"),
        (FILL, 100.0, float("nan"), "not a number"),
        (ADD, 100.0, -1.0, "negative quantity"),
    ],
)
def test_an_order_without_a_sound_price_and_quantity_stops_the_run_and_says_where(kind, px, qty, what):
    data = rows(*BOOK, (2, kind, 1, 1, 100, 5))
    data["px"][2], data["qty"][2] = px, qty
    with pytest.raises(DataError, match=what) as caught:
        HashMapMarketDepthBacktest([describe(BacktestAsset(), data)])
    assert "row 2" in str(caught.value)


def test_a_cancel_needs_neither_price_nor_quantity():
    data = rows(*BOOK, (2, CANCEL, 1, 1, 100, 5))
    data["px"][2] = data["qty"][2] = np.nan
    hbt = HashMapMarketDepthBacktest([describe(BacktestAsset(), data)])
    upto(hbt, 3)
    assert np.isnan(hbt.depth(0).best_bid)


@pytest.mark.parametrize("by_order", [True, False])
def test_prepared_rows_and_rows_in_several_files_give_the_same_run(by_order):
    case = runs.make(5, crossing=0.05, clears=0.01)
    whole_run = runs.on_engine(HashMapMarketDepthBacktest([runs.describe(BacktestAsset(), case)]), case)
    cut = len(case.rows) // 3
    pieces = [case.rows[:cut], case.rows[cut : 2 * cut], case.rows[2 * cut :]]
    prepared = [Prepared(piece, TICK_SIZE, LOT_SIZE, by_order=by_order) for piece in pieces]
    for parts in (pieces, prepared):
        asset = runs.describe(BacktestAsset(), case)
        asset.model.data = []
        hbt = HashMapMarketDepthBacktest([asset.data(parts)])
        for ours, theirs in zip(runs.on_engine(hbt, case), whole_run, strict=True):
            assert (ours == theirs).all()


def test_rows_of_one_clock_reach_that_side_only():
    data = rows(*BOOK, (3, ADD, 1, 3, 101, 5))
    data["ev"][2] = BOTH & ~(1 << 30) | ADD | BUY_EVENT
    hbt = HashMapMarketDepthBacktest([describe(BacktestAsset(), data)])
    upto(hbt, 3)
    assert hbt.depth(0).best_bid_tick == 100
    # The exchange knows of the bid at 101.
    hbt.submit_sell_order(0, 1, 101 * TICK_SIZE, 2.0, GTC, LIMIT, False)
    upto(hbt, 5)
    assert (status(hbt), hbt.position(0)) == (FILLED, -2)


def test_an_empty_array_of_orders_is_a_named_error():
    asset = describe(BacktestAsset(), np.empty(0, event_dtype))
    with pytest.raises(DataError, match="no rows"):
        HashMapMarketDepthBacktest([asset])
