"""Custom models that fail: the run ends with an error that names the function, and nothing is made up."""

import math

import numpy as np
import pytest
from numba import njit

import sim
from hftd.errors import StrategyError
from hftd.types import END_OF_DATA, ERR_DATA, ERR_INVALID_REQUEST, FOK, GTC, IOC, LIMIT
from tests.sim.engine.market import asset, backtest, levels, rows

MARKET = [*levels(), *(("sell", 100 + 10 * k, 99.0, 4.0) for k in range(20)), ("bid", 600, 99.0, 2.0)]
END = [("ask", 700, 98.0, 1.0), ("mark price", 1_000_000, 0.0, 0.0)]


@njit
def nothing(state, order, market, qty):
    pass


@njit
def nothing_of_depth(state, order, market, before_qty, after_qty):
    pass


@njit
def none_reached(state, order, market):
    return 0.0


@njit
def at_once(state, request, market):
    return 1


@njit
def back_at_once(state, market):
    return 1


# Each fails at every call, for something is divided by zero.


@njit
def _fails(state):
    state.calls += 1
    return 1 // max(1 - state.calls, 0)


@njit
def failing(state, order, other):
    return float(_fails(state))


@njit
def failing_to_be_told(state, order, market, qty):
    _fails(state)


@njit
def failing_to_be_told_of_depth(state, order, market, before_qty, after_qty):
    _fails(state)


@njit
def failing_response(state, market):
    return _fails(state)


def counted():
    return np.zeros(1, [("calls", "i8")])


def queue(**functions):
    given = {"enter": nothing, "trade": nothing, "depth": nothing_of_depth, "reached": none_reached}
    return sim.CustomQueue(**{**given, **functions}, state=counted())


FAILING = [
    ("custom_queue_model", lambda: queue(enter=failing_to_be_told), "CustomQueue.enter (failing_to_be_told)"),
    ("custom_queue_model", lambda: queue(trade=failing_to_be_told), "CustomQueue.trade"),
    ("custom_queue_model", lambda: queue(depth=failing_to_be_told_of_depth), "CustomQueue.depth"),
    ("custom_queue_model", lambda: queue(reached=failing), "CustomQueue.reached"),
    ("custom_fee_model", lambda: sim.CustomFee(failing, counted()), "CustomFee.fee"),
    (
        "custom_order_latency",
        lambda: sim.CustomLatency(failing, back_at_once, counted()),
        "CustomLatency.entry",
    ),
    (
        "custom_order_latency",
        lambda: sim.CustomLatency(at_once, failing_response, counted()),
        "CustomLatency.response",
    ),
    ("custom_exchange", lambda: sim.CustomExchange(admit=failing, state=counted()), "CustomExchange.admit"),
    ("custom_exchange", lambda: sim.CustomExchange(cross=failing, state=counted()), "CustomExchange.cross"),
]


def trade_on(described):
    hbt = sim.HashMapMarketDepthBacktest([described])
    assert hbt.elapse(10) == 0
    for order_id, tick in enumerate((99, 99, 98)):
        hbt.submit_buy_order(0, order_id, tick, 1.0, GTC, LIMIT, False)
    while (code := hbt.elapse(50)) == 0:
        pass
    return hbt, code


@pytest.mark.parametrize(("method", "model", "where"), FAILING)
def test_a_model_that_raises_ends_the_run_with_its_name(method, model, where, capfd):
    hbt, code = trade_on(getattr(asset(rows(*MARKET, *END)), method)(model()))
    assert code == ERR_DATA
    assert hbt.elapse(50) == END_OF_DATA
    with pytest.raises(StrategyError, match="raised an exception") as raised:
        hbt.check()
    assert where in raised.value.where
    # Numba would print each exception, and go on with what happens to stand in the memory.
    told = capfd.readouterr().err.splitlines()
    assert [line for line in told if not line.startswith("  ")] == told[:1]
    assert told[0].startswith("hftd: the backtest stopped before the end of its data")
    assert math.isfinite(hbt.state_values(0).fee)


@njit
def not_a_number(state, order, other):
    return np.nan


@njit
def infinite(state, order, other):
    return np.inf


@njit
def no_latency_back(state, market):
    return np.nan


@njit
def forever(state, request, market):
    return 2**63 - 1


@pytest.mark.parametrize("fee", [not_a_number, infinite])
def test_a_fee_that_is_no_number_ends_the_run_and_is_not_booked(fee):
    hbt, code = trade_on(asset(rows(*MARKET, *END)).custom_fee_model(sim.CustomFee(fee)))
    assert code == ERR_DATA
    assert hbt.state_values(0).fee == 0.0
    with pytest.raises(StrategyError, match="no number"):
        hbt.check()


@pytest.mark.parametrize(
    "model",
    [
        sim.CustomLatency(not_a_number, back_at_once),
        sim.CustomLatency(forever, back_at_once),
        sim.CustomLatency(at_once, no_latency_back),
    ],
)
def test_a_latency_that_is_none_ends_the_run(model):
    hbt, code = trade_on(asset(rows(*MARKET, *END)).custom_order_latency(model))
    assert code == ERR_DATA
    with pytest.raises(StrategyError, match="no latency below a year"):
        hbt.check()


@pytest.mark.parametrize("partial", [False, True])
def test_a_model_that_says_infinite_fills_all_of_the_order_and_one_that_says_no_number_nothing(partial):
    for said, position in ((infinite, 2.0), (not_a_number, 0.0)):
        described = asset(rows(*MARKET, ("mark price", 1_000, 0.0, 0.0)))
        if partial:
            described.partial_fill_exchange()
        hbt, code = trade_on(described.custom_queue_model(queue(reached=said)))
        assert code == END_OF_DATA
        hbt.check()
        assert hbt.position(0) == position


def test_two_functions_of_one_name_that_close_over_different_values_are_two():
    def flat(value):
        @njit
        def fee(state, order, amount):
            return value

        return sim.CustomFee(fee)

    for value in (1.0, 2.0, 1.0):
        hbt, _ = trade_on(asset(rows(*MARKET, *END)).custom_fee_model(flat(value)))
        assert hbt.state_values(0).fee == value * hbt.state_values(0).num_trades > 0.0


def test_what_was_compiled_of_a_model_is_kept():
    from sim.models import compile_model

    compile_model(sim.CustomFee(infinite))
    assert all(one.cache_hits for one in compile_model(sim.CustomFee(infinite)).keep[1:])


def test_a_state_of_objects_is_refused():
    with pytest.raises(StrategyError, match="state"):
        trade_on(
            asset(rows(*MARKET, *END)).custom_fee_model(sim.CustomFee(infinite, np.zeros(1, [("a", "O")])))
        )


@pytest.mark.parametrize("lot_size", [1e-18, 1e-300])
@pytest.mark.parametrize("partial", [False, True])
def test_more_lots_than_can_be_told_apart_are_refused(lot_size, partial):
    described = asset(rows(*MARKET, *END)).lot_size(lot_size)
    if partial:
        described.partial_fill_exchange()
    hbt = sim.HashMapMarketDepthBacktest([described])
    hbt.elapse(10)
    assert hbt.submit_buy_order(0, 1, 99.0, 10.0, GTC, LIMIT, False) == ERR_INVALID_REQUEST
    assert hbt.submit_buy_order(0, 2, 99.0, lot_size, GTC, LIMIT, True) == 0
    assert hbt.modify(0, 2, 99.0, 10.0, False) == ERR_INVALID_REQUEST
    # What the market has may be more: it reaches the order, and is enough to take all of one.
    assert hbt.submit_buy_order(0, 3, 101.0, lot_size, FOK, LIMIT, True) == 0
    assert hbt.submit_sell_order(0, 4, 97.0, lot_size, IOC, LIMIT, True) == 0
    hbt.elapse(500)
    hbt.check()
    assert hbt.state_values(0).num_trades == 3
    assert hbt.position(0) == pytest.approx(lot_size)


def test_a_trade_of_any_quantity_reaches_an_order():
    hbt = backtest(rows(*levels(), ("sell", 100, 99.0, 1e299), *END))
    hbt.elapse(10)
    hbt.submit_buy_order(0, 1, 99.0, 1.0, GTC, LIMIT, False)
    hbt.elapse(200)
    assert hbt.position(0) == 1.0
