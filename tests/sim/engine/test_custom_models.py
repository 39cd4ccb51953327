"""Custom models, and the worked examples of the docs."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

import sim
from hftd.errors import StrategyError
from sim.generate import DEMO, generate_day

_EXAMPLES = Path(__file__).parents[3] / "docs" / "examples" / "custom_models.py"


@pytest.fixture(scope="module")
def examples():
    spec = importlib.util.spec_from_file_location("custom_models", _EXAMPLES)
    module = importlib.util.module_from_spec(spec)
    sys.modules["custom_models"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows():
    return generate_day(7, DEMO[:1], "20220831", 60.0)[DEMO[0].symbol]


@njit
def quote_around(hbt, qty):
    """One buy and one sell at the touch, for as long as there is data."""
    while hbt.elapse(10_000_000) == 0:
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        if not (depth.best_bid > 0 and depth.best_ask > 0):
            continue
        values = hbt.orders(0).values()
        while values.has_next():
            order = values.get()
            wanted = depth.best_bid_tick if order.side == 1 else depth.best_ask_tick
            if order.price_tick != wanted and order.cancellable:
                hbt.cancel(0, order.order_id, False)
        orders = hbt.orders(0)
        if depth.best_bid_tick not in orders and hbt.position(0) < 10 * qty:
            hbt.submit_buy_order(0, depth.best_bid_tick, depth.best_bid, qty, 1, 0, False)
        if depth.best_ask_tick not in orders and hbt.position(0) > -10 * qty:
            hbt.submit_sell_order(0, depth.best_ask_tick, depth.best_ask, qty, 1, 0, False)


def asset(rows):
    return (
        sim.BacktestAsset()
        .data(rows)
        .tick_size(0.1)
        .lot_size(0.001)
        .constant_order_latency(2_000_000, 2_000_000)
        .power_prob_queue_model3(3.0)
        .trading_value_fee_model(0.0002, 0.0007)
    )


def run(described, qty=0.01):
    hbt = sim.HashMapMarketDepthBacktest([described])
    hbt.record_every(1_000_000_000)
    quote_around(hbt, qty)
    hbt.check()
    return hbt


@njit
def enter(state, order, market, level_qty):
    state.entered += 1


@njit
def trade(state, order, market, qty):
    order.front_qty -= qty
    order.cum_trade_qty += qty


@njit
def depth(state, order, market, before_qty, after_qty):
    decrease = before_qty - after_qty - order.cum_trade_qty
    order.cum_trade_qty = 0.0
    if decrease < 0.0:
        order.front_qty = min(order.front_qty, after_qty)
        return
    front = max(order.front_qty, 0.0)
    back = before_qty - front
    behind = 1.0
    if front + max(back, 0.0) > 0.0:
        behind = 1.0 - (front / (front + max(back, 0.0))) ** 3.0
    estimate = front - (1.0 - behind) * decrease + min(back - behind * decrease, 0.0)
    order.front_qty = min(estimate, after_qty)


@njit
def reached(state, order, market):
    return -order.front_qty


def test_a_built_in_queue_model_written_as_a_custom_one_gives_the_same_fills(rows):
    state = np.zeros(1, [("entered", "i8")])
    mine = run(asset(rows).custom_queue_model(sim.CustomQueue(enter, trade, depth, reached, state)))
    theirs = run(asset(rows))
    assert len(theirs.fills()) > 10
    assert mine.fills().tobytes() == theirs.fills().tobytes()
    # The state is the user's own, and was written.
    assert state["entered"][0] > len(theirs.fills())


def test_a_pro_rata_queue_fills_small_pieces_often(rows, examples):
    ours = run(asset(rows).custom_queue_model(examples.pro_rata_queue()).partial_fill_exchange(), 0.5)
    fifo = run(asset(rows).partial_fill_exchange(), 0.5)
    assert len(ours.fills()) > len(fifo.fills())
    assert np.median(ours.fills()["qty"]) < 0.5
    assert ours.position(0) == pytest.approx((ours.fills()["qty"] * ours.fills()["side"]).sum())


def test_a_latency_that_grows_with_the_message_rate_is_longer_in_a_burst(rows, examples):
    quiet = run(asset(rows).custom_order_latency(examples.loaded_latency(2e6, 0.0)))
    assert quiet.fills().tobytes() == run(asset(rows)).fills().tobytes()
    busy = run(asset(rows).custom_order_latency(examples.loaded_latency(2e6, 1e4)))
    request, exchange, _ = busy.order_latency(0)
    assert exchange - request > 2_000_000
    assert busy.fills().tobytes() != quiet.fills().tobytes()


def test_a_tiered_fee_falls_as_the_volume_grows(rows, examples):
    hbt = run(asset(rows).custom_fee_model(examples.tiered_fees()))
    value, fee = 0.0, 0.0
    for fill in hbt.fills():
        rate = 0.0002 if value < 10_000 else 0.0001 if value < 50_000 else -0.00005
        amount = fill["price"] * fill["qty"]
        fee += rate * amount
        value += amount
    assert value > 10_000
    assert hbt.state_values(0).fee == pytest.approx(fee)


@njit
def nobody(state, order, market):
    return False


@njit
def half(state, order, market):
    return order.leaves_qty / 2.0


def test_an_exchange_that_admits_nothing_fills_nothing(rows):
    hbt = run(asset(rows).custom_exchange(sim.CustomExchange(admit=nobody)))
    assert len(hbt.fills()) == 0


def test_an_exchange_may_fill_half_of_what_the_market_goes_through(rows):
    hbt = run(asset(rows).partial_fill_exchange().custom_exchange(sim.CustomExchange(cross=half)), 0.01)
    fills = hbt.fills()
    assert (fills["qty"] < 0.0099).any()
    assert hbt.position(0) == pytest.approx((fills["qty"] * fills["side"]).sum())


def plain(state, order, amount):
    return 0.0


@njit
def mistaken(state, order, amount):
    return order.no_such_field


def test_a_model_that_is_not_compiled_or_can_not_be_is_refused_with_its_name(rows):
    with pytest.raises(StrategyError, match="plain"):
        run(asset(rows).custom_fee_model(sim.CustomFee(plain)))
    with pytest.raises(StrategyError, match="mistaken"):
        run(asset(rows).custom_fee_model(sim.CustomFee(mistaken)))
    with pytest.raises(StrategyError, match="state"):
        run(asset(rows).custom_fee_model(sim.CustomFee(mistaken, np.zeros(3))))
