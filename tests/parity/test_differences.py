"""Where ours is another than the reference, on purpose: each test shows both, and docs/differences.md says why."""

import math

import numpy as np
import pytest

from hftd.errors import DataError
from hftd.types import (
    BUY_EVENT,
    CANCELED,
    DEPTH_SNAPSHOT_EVENT,
    ERR_INVALID_REQUEST,
    EXPIRED,
    FILLED,
    INVALID_MAX,
    INVALID_MIN,
    MARKET,
    NEW,
    NONE,
    SELL_EVENT,
)
from sim.backtest import HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from sim.feed.asset import BacktestAsset
from tests.parity.engines import END, buy
from tests.sim.engine.market import BOTH, START, asset, latency_rows, levels, rows

pytestmark = [pytest.mark.parity, pytest.mark.thorough, pytest.mark.thorough]


def test_a_clear_with_a_price_takes_every_level_beyond_it_and_finds_the_next_one(pair):
    data = rows(*levels(), ("clear bids", 1, 98.0, 0.0), ("clear asks", 1, 102.0, 0.0), END)
    theirs, ours = pair(data)
    for hbt in (theirs, ours):
        hbt.elapse(1)
    assert (theirs.depth(0).best_bid_tick, theirs.depth(0).best_ask_tick) == (96, 104)
    assert (ours.depth(0).best_bid_tick, ours.depth(0).best_ask_tick) == (97, 103)


def test_levels_that_a_crossing_left_behind_are_found_again(pair):
    # The reference forgets how deep its side goes when the best price is gone, and looks no deeper later.
    data = rows(("bid", 0, 99.0, 1.0), ("ask", 0, 98.0, 1.0), ("bid", 1, 97.0, 1.0), ("bid", 1, 97.0, 0.0),
                ("bid", 2, 101.0, 1.0), ("bid", 3, 101.0, 0.0), END)  # fmt: skip
    theirs, ours = pair(data)
    for hbt in (theirs, ours):
        hbt.elapse(3)
        assert hbt.depth(0).bid_qty_at_tick(99) == 1.0
    assert (theirs.depth(0).best_bid_tick, ours.depth(0).best_bid_tick) == (INVALID_MIN, 99)


def test_cancelling_a_filled_order_does_not_book_its_fill_again(pair):
    for hbt, position in zip(pair(rows(*levels(), END)), (2.0, 1.0), strict=True):
        hbt.elapse(0)
        buy(hbt, 101.0, wait=True)
        assert hbt.orders(0).get(1).status == FILLED
        hbt.cancel(0, 1, True)
        assert hbt.position(0) == position


def test_a_refused_modification_leaves_price_and_quantity_as_they_were(pair):
    for hbt, (tick, qty) in zip(pair(rows(*levels(), END)), ((95, 7.0), (98, 1.0)), strict=True):
        hbt.elapse(0)
        buy(hbt, 98.0, wait=True)
        hbt.cancel(0, 1, True)
        hbt.modify(0, 1, 95.0, 7.0, True)
        order = hbt.orders(0).get(1)
        assert (order.status, order.req, order.price_tick, order.qty) == (CANCELED, NONE, tick, qty)


@pytest.mark.parametrize("quantity", ["total", "remainder"])
def test_a_modification_that_loses_its_place_fills_the_new_quantity(pair, quantity):
    def change(made):
        return made.modify_model(quantity) if isinstance(made, BacktestAsset) else made

    for hbt, position in zip(pair(rows(*levels(), END), change), (1.0, 7.0), strict=True):
        hbt.elapse(0)
        buy(hbt, 98.0, wait=True)
        hbt.modify(0, 1, 101.0, 7.0, True)
        assert hbt.position(0) == position


@pytest.mark.parametrize(
    ("price", "qty"), [(math.nan, 1.0), (98.0, 0.0), (98.0, -1.0), (98.0, math.nan), (math.inf, 1.0)]
)
def test_an_order_that_can_not_be_one_is_refused_with_a_code(pair, price, qty):
    theirs, ours = pair(rows(*levels(), END))
    for hbt, code in ((theirs, 0), (ours, ERR_INVALID_REQUEST)):
        hbt.elapse(0)
        assert buy(hbt, price, qty) == code
    assert len(ours.orders(0)) == 0


def test_a_market_order_in_an_empty_book_expires(pair):
    theirs, ours = pair(rows(("bid", 0, 99.0, 1.0), END))
    for hbt in (theirs, ours):
        hbt.elapse(0)
        buy(hbt, 0.0, order_type=MARKET, wait=True)
    assert theirs.orders(0).get(1).exec_price_tick == INVALID_MAX
    assert (ours.orders(0).get(1).status, ours.state_values(0).balance) == (EXPIRED, 0.0)


def test_an_order_tells_its_tick_size(pair):
    for hbt, tick_size in zip(pair(rows(*levels(), END)), (98, 1.0), strict=True):
        hbt.elapse(0)
        buy(hbt, 98.0)
        assert hbt.orders(0).get(1).tick_size == tick_size


def test_the_best_quantities_in_a_range_of_interest_are_quantities(pair):
    theirs, ours = pair(rows(*levels(), END), roi=(90.0, 110.0))
    for hbt in (theirs, ours):
        hbt.elapse(0)
    assert (theirs.depth(0).best_bid_qty, theirs.depth(0).best_ask_qty) == (99.0, 101.0)
    assert (ours.depth(0).best_bid_qty, ours.depth(0).best_ask_qty) == (10.0, 10.0)


def test_a_level_outside_the_range_of_interest_has_no_quantity(pair):
    theirs, ours = pair(rows(*levels(), END), roi=(98.0, 102.0))
    for hbt in (theirs, ours):
        hbt.elapse(0)
    assert math.isnan(theirs.depth(0).bid_qty_at_tick(96))
    assert ours.depth(0).bid_qty_at_tick(96) == 0.0


def test_less_than_half_a_lot_is_no_level_in_a_range_of_interest_either(pair):
    theirs, ours = pair(rows(*levels(), ("bid", 1, 98.0, 0.4), ("bid", 1, 99.0, 0.0), END), roi=(90.0, 110.0))
    for hbt in (theirs, ours):
        hbt.elapse(1)
    assert (theirs.depth(0).best_bid_tick, ours.depth(0).best_bid_tick) == (98, 97)


def test_a_clear_of_asks_in_a_range_of_interest_takes_their_levels(pair):
    data = rows(*levels(), ("clear asks", 1, 102.0, 0.0), ("clear bids", 1, 98.0, 0.0), END)
    sums = []
    for hbt in pair(data, roi=(90.0, 110.0)):
        hbt.elapse(1)
        depth = hbt.depth(0)
        sums.append((depth.bid_depth.sum(), depth.ask_depth.sum(), depth.ask_qty_at_tick(101)))
    assert sums == [(30.0, 50.0, 10.0), (30.0, 30.0, 0.0)]


def test_without_bounds_a_range_of_interest_is_everything(reference):
    data = rows(*levels(), END)
    theirs = reference.ROIVectorMarketDepthBacktest([asset(data.copy(), made=reference.BacktestAsset())])
    ours = ROIVectorMarketDepthBacktest([asset(data)])
    for hbt in (theirs, ours):
        hbt.elapse(0)
    # There it is the one level at price 0, and the book stays empty.
    assert (theirs.depth(0).roi_lb_tick, theirs.depth(0).roi_ub_tick, len(theirs.depth(0).ask_depth)) == (
        0,
        0,
        1,
    )
    assert (theirs.depth(0).best_bid_tick, ours.depth(0).best_bid_tick) == (INVALID_MIN, 99)
    theirs.close()


def test_an_order_before_time_first_passes_starts_the_clock(pair):
    theirs, ours = pair(rows(*levels(), END))
    for hbt in (theirs, ours):
        buy(hbt, 98.0)
    assert theirs.orders(0).get(1).local_timestamp == INVALID_MAX
    assert ours.orders(0).get(1).local_timestamp == START == ours.current_timestamp


def test_time_does_not_go_back(pair):
    theirs, ours = pair(rows(*levels(), END))
    for hbt in (theirs, ours):
        hbt.elapse(1000)
    assert (theirs.elapse_bt(-500), theirs.current_timestamp) == (0, START + 500)
    assert (ours.elapse_bt(-500), ours.current_timestamp) == (ERR_INVALID_REQUEST, START + 1000)


def refusing(made):
    return made.intp_order_latency(LATENCIES)


LATENCIES = latency_rows((0, 100, 300), (1000, 1100, 1300), (2000, 0, 2700), (3000, 0, 3700), (4000, 0, 4900))


def test_a_request_that_is_refused_on_its_way_tells_no_latency(pair):
    theirs, ours = pair(rows(*levels(), END), refusing)
    for hbt in (theirs, ours):
        hbt.elapse(0)
        buy(hbt, 98.0, wait=True)
        accepted = START, START + 100, START + 300
        assert tuple(hbt.order_latency(0)) == accepted
        hbt.elapse(2200)
        hbt.cancel(0, 1, True)
        assert (hbt.orders(0).get(1).status, hbt.orders(0).get(1).req) == (NEW, NONE)
    assert theirs.order_latency(0)[1] == START + 100 and theirs.order_latency(0)[0] > START
    assert tuple(ours.order_latency(0)) == accepted


def test_the_answer_to_a_cancellation_tells_when_it_was_sent(pair):
    # The reference tells when the order was sent.
    for hbt, sent in zip(pair(rows(*levels(), END), entry_ns=10, response_ns=10), (0, 20), strict=True):
        hbt.elapse(0)
        buy(hbt, 98.0, wait=True)
        hbt.cancel(0, 1, True)
        assert tuple(hbt.order_latency(0)) == (START + sent, START + 30, START + 40)


def test_after_a_last_row_that_is_a_refusal_requests_are_refused_within_its_time(pair):
    theirs, ours = pair(rows(*levels(), END), refusing)
    for hbt in (theirs, ours):
        hbt.elapse(5000)
        buy(hbt, 98.0)
        hbt.elapse(1000)
    # The reference takes the time of the exchange, 0, for one: the answer comes in fifty years.
    assert theirs.orders(0).get(1).status == NONE
    assert ours.orders(0).get(1).status == EXPIRED


def test_an_offset_of_the_order_latency_does_not_lift_refusals(pair):
    # The reference adds it to the 0 that marks a refusal, which then is one no more.
    _, hbt = pair(rows(*levels(), END), lambda made: made.intp_order_latency(LATENCIES.copy(), 50))
    hbt.elapse(3500)
    buy(hbt, 98.0, wait=True)
    assert hbt.orders(0).get(1).status == EXPIRED


def test_a_feed_that_an_offset_moves_before_the_exchange_is_refused():
    # The reference ends the process.
    with pytest.raises(DataError, match="latency offset"):
        HashMapMarketDepthBacktest([asset(rows(*levels(), END, feed_ns=1000)).latency_offset(-3000)])


def test_the_quantity_ahead_is_never_negative_in_the_probability_models(pair):
    # Half a lot less than nothing is ahead: with a broken exponent that is no number in the reference, which
    # takes the order to the end of the queue.
    data = rows(*levels(), ("sell", 1, 98.0, 10.4), ("bid", 2, 98.0, 20.0), ("bid", 3, 98.0, 18.0),
                ("sell", 4, 98.0, 5.0), END)  # fmt: skip
    theirs, ours = pair(data, lambda made: made.power_prob_queue_model(1.5))
    for hbt in (theirs, ours):
        hbt.elapse(0)
        buy(hbt, 98.0, wait=True)
        hbt.elapse(100)
    assert theirs.orders(0).get(1).status == NEW
    assert ours.orders(0).get(1).status == FILLED


def test_a_snapshot_is_applied_by_the_rules_of_a_feed(pair):
    snapshot = rows(("bid", 0, 99.0, 1.0), ("bid", 0, 100.0, 0.0), ("ask", 0, 101.0, 1.0))
    side = snapshot["ev"] & np.uint64(BUY_EVENT | SELL_EVENT)
    snapshot["ev"] = np.uint64(BOTH | DEPTH_SNAPSHOT_EVENT) | side
    theirs, ours = pair(rows(END, END), lambda made: made.initial_snapshot(snapshot))
    for hbt in (theirs, ours):
        hbt.elapse(0)
    # A level of nothing is the best one there.
    assert (theirs.depth(0).best_bid_tick, ours.depth(0).best_bid_tick) == (100, 99)
