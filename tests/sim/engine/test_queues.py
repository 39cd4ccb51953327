"""Queue models at their limits; that they are right is shown beside the reference."""

import pytest

from hftd.types import FILLED, GTC, GTX, LIMIT, NEW
from sim.backtest import HashMapMarketDepthBacktest
from tests.sim.engine.market import asset, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)


def status_after(change, traded, scale=1.0):
    """An order with 10 ahead and 10 behind, of which 5 go away; then trades at its price."""
    data = rows(*levels(), ("bid", 1, 98.0, 20.0), ("bid", 2, 98.0, 15.0), ("sell", 3, 98.0, traded), END)
    data["qty"] *= scale
    hbt = HashMapMarketDepthBacktest([change(asset(data).lot_size(scale))])
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, scale, GTX, LIMIT, True)
    hbt.elapse(100)
    return hbt.orders(0).get(1).status


@pytest.mark.parametrize("n", [3.0, 400.0, 1e6])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
def test_an_exponent_beyond_what_numbers_hold_means_what_it_says(n, scale):
    # Half of the decrease is ahead: 7.5 are left.
    for traded, status in ((7.9, NEW), (8.1, FILLED)):
        assert status_after(lambda made: made.power_prob_queue_model(n), traded, scale) == status
    # Nearly all of it is: about 5.
    if n > 3.0:
        for traded, status in ((5.4, NEW), (5.6, FILLED)):
            assert status_after(lambda made: made.power_prob_queue_model2(n), traded, scale) == status
    # Nearly none of it is: about 10.
    for traded, status in ((9.7 if n == 3.0 else 10.4, NEW), (10.6, FILLED)):
        assert status_after(lambda made: made.power_prob_queue_model3(n), traded, scale) == status


def test_with_the_risk_averse_model_only_trades_move_an_order():
    for traded, status in ((10.4, NEW), (10.6, FILLED)):
        assert status_after(lambda made: made.risk_adverse_queue_model(), traded) == status


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(("shared", "fills"), [(False, 3), (True, 2)])
def test_orders_at_one_price_share_a_trade_if_asked(partial, shared, fills):
    # 10 stand before each own bid of 2 at 99; 14 are sold there: enough for two orders, if they share.
    data = rows(*levels(), ("sell", 50_000, 99.0, 14.0), ("mark price", 1_000_000, 0.0, 0.0))
    made = asset(data).share_trades(shared)
    hbt = HashMapMarketDepthBacktest([made.partial_fill_exchange() if partial else made])
    hbt.record_every(1 << 60)
    hbt.elapse(0)
    for order_id in (1, 2, 3):
        assert hbt.submit_buy_order(0, order_id, 99.0, 2.0, GTC, LIMIT, False) == 0
    hbt.elapse(500_000)
    assert list(hbt.fills()["order_id"]) == [1, 2, 3][:fills]
    assert hbt.position(0) == 2.0 * fills


def test_what_is_left_of_a_shared_trade_is_what_the_next_order_gets():
    data = rows(
        *levels(),
        ("sell", 50_000, 99.0, 13.0),
        ("sell", 60_000, 99.0, 3.0),
        ("mark price", 1_000_000, 0.0, 0.0),
    )
    hbt = HashMapMarketDepthBacktest([asset(data).share_trades().partial_fill_exchange()])
    hbt.record_every(1 << 60)
    hbt.elapse(0)
    for order_id in (1, 2):
        hbt.submit_buy_order(0, order_id, 99.0, 4.0, GTC, LIMIT, False)
    hbt.elapse(500_000)
    # Of the first trade 10 pass before each: 3 are left for the first order, then nothing for the second.
    assert [(row["order_id"], row["qty"]) for row in hbt.fills()] == [(1, 3.0), (1, 1.0), (2, 2.0)]


def test_of_the_bounds_one_fills_by_the_first_trade_and_one_only_when_the_market_goes_through():
    def first_fill(change, *lines):
        made = change(asset(rows(*levels(), *lines, END)))
        hbt = HashMapMarketDepthBacktest([made])
        hbt.record_every(1 << 60)
        hbt.elapse(0)
        hbt.submit_buy_order(0, 1, 98.0, 1.0, GTX, LIMIT, True)
        hbt.elapse(1000)
        return list(hbt.fills()["price"])

    at_the_price = [("sell", 100 + number, 98.0, 1000.0) for number in range(3)]
    through, front = (lambda made: made.through_queue_model()), (lambda made: made.front_queue_model())
    assert first_fill(through, *at_the_price) == []
    assert len(first_fill(through, *at_the_price, ("sell", 200, 97.0, 1.0))) == 1
    assert len(first_fill(front, ("sell", 100, 98.0, 1.0))) == 1
    # Of a whole level that goes away nothing is the order's.
    assert first_fill(front, ("bid", 100, 98.0, 0.0)) == []


def test_at_the_front_partial_fills_take_what_is_traded():
    made = asset(
        rows(*levels(), ("sell", 100, 98.0, 2.0), ("bid", 150, 98.0, 50.0), ("sell", 200, 98.0, 1.0), END)
    )
    hbt = HashMapMarketDepthBacktest([made.front_queue_model().partial_fill_exchange()])
    hbt.record_every(1 << 60)
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 5.0, GTX, LIMIT, True)
    hbt.elapse(1000)
    assert list(hbt.fills()["qty"]) == [2.0, 1.0]
