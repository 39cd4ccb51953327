"""The limits of a bot over all of its instruments, in a backtest; the same code holds on channels."""

import pytest

from hftd.hbt.local import Contract
from hftd.types import BUY, ERR_PORTFOLIO_LIMIT, GTC, LIMIT, SELL
from sim.backtest import HashMapMarketDepthBacktest
from tests.sim.market import LOT_SIZE, asset_of, random_market

_MODELS = {
    "constant_order_latency": (1, 1),
    "risk_adverse_queue_model": (),
    "trading_value_fee_model": (0.0, 0.0),
}


_LINEAR = (Contract(), Contract())


def _hbt(gross=0.0, net=0.0, contracts=_LINEAR):
    assets = []
    for seed in (1, 2):
        rows = random_market(seed, 20_000)
        rows["px"] += 1_000.0
        assets.append(asset_of(rows, **_MODELS))
    hbt = HashMapMarketDepthBacktest(assets)
    hbt.limit_portfolio(contracts, gross, net)
    hbt.elapse(100_000_000)
    return hbt


def _mid(hbt, asset_no):
    depth = hbt.depth(asset_no)
    return (depth.best_bid + depth.best_ask) / 2


def _rest(hbt, asset_no, order_id, side, qty):
    """Leave an order far from the market."""
    depth = hbt.depth(asset_no)
    submit, price = (
        (hbt.submit_buy_order, depth.best_bid - 500 * depth.tick_size)
        if side == BUY
        else (hbt.submit_sell_order, depth.best_ask + 500 * depth.tick_size)
    )
    return submit(asset_no, order_id, price, qty, GTC, LIMIT, False)


def test_open_orders_of_all_assets_count_towards_the_gross_value():
    qty = 10 * LOT_SIZE
    hbt = _hbt(gross=2.5 * qty * 1_010.0)
    assert 900.0 < _mid(hbt, 0) < 1_150.0
    assert _rest(hbt, 0, 1, BUY, qty) == 0
    # The other side of the same asset does not add: only one of the two can make the position larger.
    assert _rest(hbt, 0, 2, SELL, qty) == 0
    assert _rest(hbt, 1, 3, SELL, qty) == 0
    assert _rest(hbt, 1, 4, SELL, qty) == ERR_PORTFOLIO_LIMIT
    assert hbt.orders(1).get(4) is None
    assert any("refused 1 requests" in warning for warning in hbt.warnings())
    # A cancel passes, and makes room.
    hbt.elapse(10_000_000)
    assert hbt.cancel(1, 3, True) == 0
    assert _rest(hbt, 1, 5, BUY, qty) == 0
    hbt.close()


def test_long_and_short_of_different_assets_are_set_off_in_the_net_value():
    qty = 10 * LOT_SIZE
    hbt = _hbt(net=1.5 * qty * 1_010.0)
    depth = hbt.depth(0)
    assert hbt.submit_buy_order(0, 1, depth.best_ask + 20 * depth.tick_size, qty, GTC, LIMIT, True) == 0
    assert hbt.position(0) == qty
    assert _rest(hbt, 1, 2, BUY, qty) == ERR_PORTFOLIO_LIMIT
    depth = hbt.depth(1)
    assert hbt.submit_sell_order(1, 3, depth.best_bid - 20 * depth.tick_size, qty, GTC, LIMIT, True) == 0
    assert hbt.position(1) == -qty
    # Now there is room on either side.
    assert _rest(hbt, 1, 4, BUY, qty) == 0
    hbt.close()


def test_what_makes_a_position_smaller_is_never_refused():
    qty = 10 * LOT_SIZE
    hbt = _hbt()
    depth = hbt.depth(0)
    assert hbt.submit_buy_order(0, 1, depth.best_ask + 20 * depth.tick_size, qty, GTC, LIMIT, True) == 0
    hbt.limit_portfolio(_LINEAR, qty, qty)
    assert _rest(hbt, 0, 2, BUY, LOT_SIZE) == ERR_PORTFOLIO_LIMIT
    assert _rest(hbt, 0, 3, SELL, qty) == 0
    hbt.close()


def test_a_modification_counts_with_what_it_adds():
    qty = 10 * LOT_SIZE
    hbt = _hbt(gross=1.5 * qty * 1_010.0)
    assert _rest(hbt, 0, 1, BUY, qty) == 0
    hbt.elapse(10_000_000)
    price = hbt.orders(0).get(1).price
    assert hbt.modify(0, 1, price, 2 * qty, False) == ERR_PORTFOLIO_LIMIT
    assert hbt.orders(0).get(1).qty == qty
    assert hbt.modify(0, 1, price - hbt.depth(0).tick_size, qty, True) == 0
    hbt.close()


@pytest.mark.parametrize(("size", "code"), [(1_000.0, ERR_PORTFOLIO_LIMIT), (100.0, 0)])
def test_an_inverse_contract_is_worth_its_size(size, code):
    qty = 10 * LOT_SIZE
    hbt = _hbt(gross=500.0 * qty, contracts=(Contract(size, True), Contract()))
    assert _rest(hbt, 0, 1, BUY, qty) == code
    hbt.close()
