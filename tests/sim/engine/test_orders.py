"""What an exchange does to orders, and what a bot may rely on whatever it does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import (
    ALL_ASSETS,
    BUY,
    CANCELED,
    END_OF_DATA,
    ERR_INVALID_REQUEST,
    ERR_NO_SUCH_ASSET,
    ERR_ORDER_ID_EXISTS,
    ERR_ORDER_NOT_FOUND,
    ERR_REQUEST_IN_PROCESS,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    GTX,
    INVALID_MAX,
    IOC,
    LIMIT,
    MARKET,
    MARKET_FEED,
    NEW,
    NONE,
    ORDER_RESPONSE,
)
from sim.backtest import HashMapMarketDepthBacktest
from tests.parity import random_runs
from tests.sim.engine.market import START, asset, backtest, latency_rows, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)


def test_orders_at_one_tick_fill_by_price_and_then_by_queue_place():
    data = rows(*levels(), ("ask", 10, 90.0, 1.0), ("bid", 20, 130.0, 1.0), END)
    hbt = backtest(data)
    hbt.record_every(1)
    hbt.elapse(0)
    for order_id, price in ((11, 95.0), (12, 97.0), (13, 96.0), (14, 97.0), (15, 95.0), (16, 97.0)):
        hbt.submit_buy_order(0, order_id, price, 1.0, GTX, LIMIT, False)
    for order_id, price in ((21, 105.0), (22, 103.0), (23, 105.0), (24, 103.0)):
        hbt.submit_sell_order(0, order_id, price, 1.0, GTX, LIMIT, False)
    hbt.elapse(100)
    assert hbt.fills()["order_id"].tolist() == [12, 14, 16, 13, 11, 15, 22, 24, 21, 23]
    assert hbt.fills()["exch_ts"].tolist() == [START + 10] * 6 + [START + 20] * 4


@pytest.mark.parametrize(
    ("order_type", "time_in_force", "price", "status", "exec_tick"),
    [
        (LIMIT, GTC, 104.0, FILLED, 101),
        (LIMIT, GTX, 101.0, EXPIRED, 0),
        (LIMIT, FOK, 101.0, FILLED, 101),
        (LIMIT, IOC, 101.0, FILLED, 101),
        (LIMIT, FOK, 100.0, EXPIRED, 0),
        (LIMIT, IOC, 100.0, EXPIRED, 0),
        (LIMIT, GTC, 100.0, NEW, 0),
        (MARKET, GTX, float("nan"), FILLED, 101),
    ],
)
def test_a_taker_is_filled_whole_at_the_opposite_best_or_expires(
    order_type, time_in_force, price, status, exec_tick
):
    hbt = backtest(rows(*levels(qty=2.0), END))
    hbt.elapse(0)
    assert hbt.submit_buy_order(0, 1, price, 50.0, time_in_force, order_type, True) == 0
    order = hbt.orders(0).get(1)
    assert (order.status, order.exec_price_tick) == (status, exec_tick)
    assert hbt.position(0) == (50.0 if status == FILLED else 0.0)


def test_requests_that_can_not_be_are_refused_with_a_code():
    hbt = backtest(rows(*levels(), END), entry_ns=100, response_ns=100)
    hbt.elapse(0)
    assert hbt.submit_buy_order(0, 1, 98.0, 1.0, GTX, LIMIT, False) == 0
    assert hbt.submit_buy_order(0, 1, 98.0, 1.0, GTX, LIMIT, False) == ERR_ORDER_ID_EXISTS
    assert hbt.cancel(0, 1, False) == ERR_REQUEST_IN_PROCESS
    assert hbt.modify(0, 1, 97.0, 1.0, False) == ERR_REQUEST_IN_PROCESS
    assert hbt.cancel(0, 2, False) == ERR_ORDER_NOT_FOUND
    assert hbt.modify(0, 2, 97.0, 1.0, False) == ERR_ORDER_NOT_FOUND
    for asset_no in (1, -1, 1 << 62):
        assert hbt.submit_buy_order(asset_no, 3, 98.0, 1.0, GTX, LIMIT, False) == ERR_NO_SUCH_ASSET
        assert hbt.cancel(asset_no, 1, False) == ERR_NO_SUCH_ASSET
        assert hbt.modify(asset_no, 1, 98.0, 1.0, False) == ERR_NO_SUCH_ASSET
        assert hbt.wait_order_response(asset_no, 1, 5) == ERR_NO_SUCH_ASSET
    for time_in_force, order_type in ((4, LIMIT), (-1, LIMIT), (GTX, 2), (GTX, -1)):
        assert hbt.submit_buy_order(0, 3, 98.0, 1.0, time_in_force, order_type, False) == ERR_INVALID_REQUEST
    assert hbt.modify(0, 1, float("nan"), 1.0, False) in (ERR_INVALID_REQUEST, ERR_REQUEST_IN_PROCESS)
    hbt.elapse(300)
    for price, qty in ((float("nan"), 1.0), (97.0, 0.0), (97.0, float("nan")), (1e30, 1.0)):
        assert hbt.modify(0, 1, price, qty, False) == ERR_INVALID_REQUEST
    order = hbt.orders(0).get(1)
    assert (order.status, order.req, order.price, order.qty) == (NEW, NONE, 98.0, 1.0)


def test_an_id_may_be_used_again_once_its_order_was_cleared():
    hbt = backtest(rows(*levels(), END))
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 1.0, GTX, LIMIT, True)
    hbt.cancel(0, 1, True)
    assert hbt.submit_sell_order(0, 1, 103.0, 2.0, GTX, LIMIT, True) == ERR_ORDER_ID_EXISTS
    hbt.clear_inactive_orders(ALL_ASSETS)
    assert hbt.submit_sell_order(0, 1, 103.0, 2.0, GTX, LIMIT, True) == 0
    order = hbt.orders(0).get(1)
    assert (order.status, order.side, order.qty, order.price_tick) == (NEW, -1, 2.0, 103)


def test_ids_above_the_signed_range_are_ids():
    hbt = backtest(rows(*levels(), END))
    hbt.record_every(1)
    hbt.elapse(0)
    greatest = (1 << 64) - 1
    hbt.submit_buy_order(0, greatest, 101.0, 1.0, GTC, LIMIT, True)
    assert greatest in hbt.orders(0) and hbt.orders(0).get(greatest).order_id == greatest
    assert hbt.fills()["order_id"].tolist() == [greatest]


def test_order_latency_tells_of_the_last_answer():
    hbt = backtest(rows(*levels(), END), entry_ns=100, response_ns=30)
    hbt.elapse(0)
    assert hbt.order_latency(0) is None
    hbt.submit_buy_order(0, 1, 98.0, 1.0, GTX, LIMIT, True)
    assert hbt.order_latency(0) == (START, START + 100, START + 130)
    hbt.modify(0, 1, 97.0, 1.0, True)
    assert hbt.order_latency(0) == (START + 130, START + 230, START + 260)


def test_a_wait_for_any_answer_holds_every_exchange_at_its_moment():
    # The answer comes from asset 1 at 50; an order that is sent to asset 0 then arrives before its row at 60.
    quiet = rows(*levels(), ("ask", 60, 98.0, 1.0), ("ask", 900, 200.0, 1.0), END)
    other = rows(*levels(), END)
    hbt = HashMapMarketDepthBacktest([asset(quiet), asset(other, response_ns=50)])
    hbt.elapse(0)
    hbt.submit_buy_order(1, 1, 95.0, 1.0, GTX, LIMIT, False)
    hbt.wait_next_feed(False, 0)
    assert hbt.wait_next_feed(True, 1_000) == ORDER_RESPONSE
    assert hbt.current_timestamp == START + 50
    hbt.submit_buy_order(0, 1, 99.0, 1.0, GTX, LIMIT, False)
    hbt.elapse(100)
    order = hbt.orders(0).get(1)
    assert (order.status, order.exec_price_tick, order.exch_timestamp) == (FILLED, 99, START + 60)


def test_a_wait_ends_with_the_feed_the_answer_or_the_time():
    hbt = backtest(rows(*levels(), ("bid", 100, 99.0, 2.0), END), entry_ns=20, response_ns=20)
    assert hbt.wait_next_feed(False, 0) == MARKET_FEED
    hbt.submit_buy_order(0, 1, 98.0, 1.0, GTX, LIMIT, False)
    assert (hbt.wait_next_feed(True, 10), hbt.current_timestamp - START) == (0, 10)
    assert (hbt.wait_next_feed(True, 1000), hbt.current_timestamp - START) == (ORDER_RESPONSE, 40)
    assert (hbt.wait_next_feed(False, 1000), hbt.current_timestamp - START) == (MARKET_FEED, 100)
    hbt.cancel(0, 1, False)
    assert (hbt.wait_order_response(0, 9, 30), hbt.current_timestamp - START) == (0, 130)
    assert (hbt.wait_order_response(0, 1, 1000), hbt.current_timestamp - START) == (0, 140)
    assert hbt.orders(0).get(1).status == CANCELED


def test_after_the_end_of_the_data_time_stays():
    hbt = backtest(rows(*levels(), END))
    hbt.elapse(10)
    for _ in range(3):
        assert hbt.elapse(1 << 62) == END_OF_DATA
        assert hbt.wait_next_feed(True, 1000) == END_OF_DATA
        assert hbt.current_timestamp == START + 10
    assert hbt.ended
    assert hbt.submit_buy_order(0, 1, 98.0, 1.0, GTX, LIMIT, True) in (0, END_OF_DATA)
    assert hbt.orders(0).get(1).status == NEW


@pytest.mark.parametrize("duration", [INVALID_MAX, 1 << 70, 1e30])
def test_a_duration_beyond_all_time_reaches_the_end_of_the_data(duration):
    hbt = backtest(rows(*levels(), END))
    assert hbt.elapse(5) == 0
    assert hbt.elapse(duration) == END_OF_DATA


@pytest.mark.parametrize("duration", [-1, -(1 << 63), -(1 << 70), -1e30])
def test_a_negative_duration_is_refused(duration):
    hbt = backtest(rows(*levels(), END))
    hbt.elapse(5)
    assert hbt.elapse(duration) == ERR_INVALID_REQUEST
    assert hbt.wait_next_feed(True, duration) == ERR_INVALID_REQUEST
    assert hbt.wait_order_response(0, 1, duration) == ERR_INVALID_REQUEST
    assert hbt.current_timestamp == START + 5


def test_interpolated_latency_is_that_of_the_rows_around_the_request():
    made = asset(rows(*levels(), END)).intp_order_latency(latency_rows((0, 100, 200), (1000, 1300, 1600)))
    hbt = HashMapMarketDepthBacktest([made])
    hbt.elapse(500)
    hbt.submit_buy_order(0, 1, 98.0, 1.0, GTX, LIMIT, True)
    # Halfway: 200 there; the way back from 700 is halfway between 100 and 300.
    assert hbt.order_latency(0) == (START + 500, START + 700, START + 900)


@given(st.integers(0, 1 << 40))
@settings(max_examples=60, deadline=None)
def test_the_account_is_the_sum_of_the_fills_and_no_order_fills_twice(seed):
    made = random_runs.case(seed)
    hbt = random_runs.ours(made.assets)
    hbt.record_every(1)
    _, times, _, orders = random_runs.run(hbt, made)
    hbt.check()
    assert (np.diff(times) >= 0).all()
    fills = hbt.fills()
    for asset_no, described in enumerate(made.assets):
        own = fills[fills["asset_no"] == asset_no]
        state = hbt.state_values(asset_no)
        amounts = described.amounts(own["price"], own["qty"])
        close = {"rel": 1e-9, "abs": 1e-9}
        assert state.num_trades == len(own)
        assert state.position == pytest.approx((own["qty"] * own["side"]).sum(), **close)
        assert state.trading_volume == pytest.approx(own["qty"].sum(), **close)
        assert state.balance == pytest.approx(-(amounts * own["side"]).sum(), **close)
        assert state.fee == pytest.approx(described.fees_of(amounts, own["qty"], own["maker"]).sum(), **close)
        # Ids are used again, so an order is told by its id and when it was sent.
        rows_ = orders[:, asset_no].ravel()
        known = rows_[rows_["known"] == 1]
        assert (known["leaves_qty"] >= 0.0).all()
        assert ((known["status"] == FILLED) == (known["exec_qty"] > 0.0)).all()
        assert not (known["cancellable"][np.isin(known["status"], [FILLED, EXPIRED, CANCELED])]).any()
        assert set(np.unique(known["side"])) <= {BUY, -1}


@given(st.integers(0, 1 << 40))
@settings(max_examples=25, deadline=None)
def test_two_runs_are_equal_bit_for_bit(seed):
    first, second = (
        random_runs.run(random_runs.ours(made.assets), made) for made in [random_runs.case(seed)] * 2
    )
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes()
