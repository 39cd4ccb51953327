"""How long each kind of request takes, by hand."""

import pytest

from hftd.errors import OrderError
from hftd.types import CANCELED, EXPIRED, FILLED, GTC, GTX, LIMIT, NEW, NONE, REPLACED
from sim.backtest import HashMapMarketDepthBacktest
from sim.feed.asset import BacktestAsset
from tests.sim.engine.market import START, asset, latency_rows, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)


def begin(*ways, lines=(), change=lambda made: made):
    hbt = HashMapMarketDepthBacktest(
        [change(asset(rows(*levels(), *lines, END)).separate_order_latency(*ways))]
    )
    hbt.elapse(0)
    return hbt


def last(hbt):
    """The times of the last answer after the beginning: asked, at the exchange, answered."""
    return tuple(ts - START for ts in hbt.order_latency(0))


def test_each_kind_of_request_has_its_own_latency():
    hbt = begin(100, 30, 7, 1000)
    hbt.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
    assert last(hbt) == (0, 100, 1100)
    hbt.modify(0, 1, 97.0, 2.0, True)
    assert last(hbt) == (1100, 1130, 2130)
    hbt.cancel(0, 1, True)
    assert last(hbt) == (2130, 2137, 3137)
    hbt.submit_buy_order(0, 2, 101.0, 1.0, GTC, LIMIT, True)
    assert last(hbt) == (3137, 3237, 4237)
    assert hbt.orders(0).get(2).status == FILLED


def test_a_faster_request_does_not_overtake_a_slower_one():
    hbt = begin(100, 30, 7, 0)
    hbt.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
    hbt.submit_buy_order(0, 2, 98.0, 2.0, GTX, LIMIT, False)
    hbt.cancel(0, 1, False)
    hbt.wait_order_response(0, 1, 10_000)
    # Sent at 100: the cancellation arrives with the order before it.
    assert hbt.current_timestamp == START + 200
    assert (hbt.orders(0).get(1).status, hbt.orders(0).get(2).status) == (CANCELED, NEW)


@pytest.mark.parametrize("same_price", [True, False])
def test_a_modification_that_is_refused_on_its_way_restores_price_and_quantity(same_price):
    hbt = begin(10, -50, 10, 10)
    hbt.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
    asked = START + 20
    price, qty = (98.0, 1.0) if same_price else (97.0, 5.0)
    assert hbt.modify(0, 1, price, qty, False) == 0
    order = hbt.orders(0).get(1)
    assert (order.req, order.price, order.qty, order.cancellable) == (REPLACED, price, qty, False)
    hbt.wait_order_response(0, 1, 10_000)
    assert hbt.current_timestamp == asked + 50
    assert (order.req, order.status, order.price, order.qty, order.leaves_qty) == (NONE, NEW, 98.0, 2.0, 2.0)
    # The exchange never saw it: there the order is as it was, and it can be canceled.
    assert last(hbt) == (0, 10, 20)
    assert hbt.cancel(0, 1, True) == 0
    assert (order.status, order.price, order.qty) == (CANCELED, 98.0, 2.0)


def test_a_modification_that_is_refused_after_an_execution_leaves_what_the_exchange_said():
    hbt = begin(
        10, -500, 10, 10,
        lines=[("sell", 100, 98.0, 12.0), ("sell", 900, 97.0, 1.0)],
        change=lambda made: made.partial_fill_exchange(),
    )  # fmt: skip
    hbt.submit_buy_order(0, 1, 98.0, 6.0, GTX, LIMIT, True)
    hbt.modify(0, 1, 97.0, 9.0, False)
    hbt.elapse(600)
    order = hbt.orders(0).get(1)
    assert (order.req, order.price, order.qty, order.leaves_qty) == (NONE, 98.0, 6.0, 4.0)
    hbt.elapse(400)
    assert (order.status, hbt.position(0)) == (FILLED, 6.0)


@pytest.mark.parametrize(
    ("ways", "accepts", "moves", "cancels"),
    [
        ((-40, 5, 5, 5), False, None, None),
        ((5, -40, 5, 5), True, False, True),
        ((5, 5, -40, 5), True, True, False),
    ],
)
def test_a_negative_latency_refuses_only_its_kind_of_request(ways, accepts, moves, cancels):
    hbt = begin(*ways)
    hbt.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
    order = hbt.orders(0).get(1)
    if not accepts:
        assert (order.status, hbt.current_timestamp, hbt.order_latency(0)) == (EXPIRED, START + 40, None)
        return
    assert order.status == NEW
    hbt.modify(0, 1, 97.0, 2.0, True)
    assert (order.price, order.req) == (97.0 if moves else 98.0, NONE)
    hbt.cancel(0, 1, True)
    assert (order.status == CANCELED, order.req) == (cancels, NONE)


def test_recorded_and_constant_latencies_may_be_mixed():
    recorded = latency_rows((0, 100, 150), (1000, 1300, 1500))
    hbt = begin(recorded, 20, recorded, 40)
    hbt.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
    assert last(hbt) == (0, 100, 140)
    hbt.modify(0, 1, 97.0, 2.0, True)
    assert last(hbt) == (140, 160, 200)
    hbt.elapse(300)
    # Halfway between the rows: 200 there.
    hbt.cancel(0, 1, True)
    assert last(hbt) == (500, 700, 740)


def test_a_negative_response_latency_is_refused():
    with pytest.raises(OrderError, match="response latency is -1"):
        BacktestAsset().separate_order_latency(1, 1, 1, -1)
    with pytest.raises(OrderError, match="response latency is -1"):
        BacktestAsset().constant_order_latency(1, -1)


def test_equal_separate_latencies_are_a_constant_one():
    seen = []
    for change in (
        lambda made: made.separate_order_latency(9, 9, 9, 5),
        lambda made: made.constant_order_latency(9, 5),
    ):
        hbt = HashMapMarketDepthBacktest([change(asset(rows(*levels(), END)))])
        hbt.elapse(0)
        hbt.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
        hbt.modify(0, 1, 97.0, 2.0, True)
        hbt.cancel(0, 1, True)
        seen.append(last(hbt))
    assert seen == [(28, 37, 42)] * 2


def test_a_factor_makes_each_way_of_every_model_longer_and_leaves_refusals_refusals():
    hbt = begin(100, 30, 7, 1000, change=lambda made: made.order_latency_factor(2.0))
    hbt.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
    assert last(hbt) == (0, 200, 2200)
    refused = begin(-1, -1, -1, 1000, change=lambda made: made.order_latency_factor(0.5))
    refused.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
    assert refused.orders(0).get(1).status == EXPIRED
    recorded = latency_rows((0, 10, 30), (1000, 1010, 1030))
    hbt = HashMapMarketDepthBacktest(
        [asset(rows(*levels(), END)).intp_order_latency(recorded).order_latency_factor(3.0)]
    )
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
    assert last(hbt) == (0, 30, 90)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_factor_is_above_0(factor):
    with pytest.raises(OrderError, match="factor of order latencies"):
        BacktestAsset().order_latency_factor(factor)
