"""Fees and contracts, by hand."""

import math

import numpy as np
import pytest
from numba import njit

from hftd.errors import DataError, OrderError
from hftd.hbt.local import Contract
from hftd.types import GTC, GTX, LIMIT
from sim import CustomFee
from sim.backtest import HashMapMarketDepthBacktest
from sim.feed.asset import BacktestAsset
from tests.sim.engine.market import asset, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)
LINES = (*levels(), ("sell", 10, 97.0, 1.0), END)


def trade(change, lines=LINES):
    """Buy 2 at 98 as the maker, then sell 3 at 99 as the taker; the account."""
    hbt = HashMapMarketDepthBacktest([change(asset(rows(*lines)))])
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
    hbt.elapse(20)
    hbt.submit_sell_order(0, 2, 99.0, 3.0, GTC, LIMIT, True)
    hbt.check()
    return hbt.state_values(0)


@njit
def thousandth(state, order, amount):
    return amount / 1000.0


@pytest.mark.parametrize(
    ("change", "fee"),
    [
        (lambda made: made.trading_value_fee_model(0.01, 0.02), 0.01 * 196.0 + 0.02 * 297.0),
        (lambda made: made.trading_value_fee_model(-0.01, 0.0), -0.01 * 196.0),
        (lambda made: made.trading_qty_fee_model(0.5, 0.25), 0.5 * 2.0 + 0.25 * 3.0),
        (lambda made: made.flat_per_trade_fee_model(0.5, 0.25), 0.75),
        (lambda made: made.custom_fee_model(CustomFee(thousandth)), 0.196 + 0.297),
    ],
    ids=["value", "rebate", "quantity", "flat", "custom"],
)
def test_fees_are_those_of_the_maker_and_the_taker_and_of_the_side(change, fee):
    assert trade(change).fee == pytest.approx(fee)
    # What a side pays on the value comes on top, whatever the model, in whatever order they are given.
    both = fee + 0.125 * 196.0 + 0.0625 * 297.0
    assert trade(lambda made: change(made).directional_fees(0.125, 0.0625)).fee == pytest.approx(both)
    assert trade(lambda made: change(made.directional_fees(0.125, 0.0625))).fee == pytest.approx(both)
    assert trade(lambda made: change(made).directional_fees(0.0, 0.0625)).fee == pytest.approx(
        fee + 0.0625 * 297.0
    )


def test_a_linear_contract_is_worth_its_size_times_the_price():
    state = trade(lambda made: made.linear_asset(0.01).trading_value_fee_model(0.0, 1.0))
    assert (state.position, state.num_trades, state.trading_volume) == (-1.0, 2, 5.0)
    assert state.balance == pytest.approx(0.01 * (3 * 99 - 2 * 98))
    assert state.trading_value == pytest.approx(0.01 * (3 * 99 + 2 * 98))
    assert state.fee == pytest.approx(0.01 * 3 * 99)


def test_an_inverse_contract_is_worth_its_size_divided_by_the_price():
    state = trade(lambda made: made.inverse_asset(100.0).trading_value_fee_model(0.0, 1.0))
    assert (state.position, state.num_trades, state.trading_volume) == (-1.0, 2, 5.0)
    # A buyer gets base currency for the contract's sum at the price, so the signs are those of a linear one turned.
    assert state.balance == pytest.approx(100.0 * (3 / 99 - 2 / 98))
    assert state.trading_value == pytest.approx(100.0 * (3 / 99 + 2 / 98))
    assert state.fee == pytest.approx(100.0 * 3 / 99)
    contract = Contract(100.0, inverse=True)
    equity = contract.equity(state.balance, state.position, state.fee, 99.0)
    assert equity == pytest.approx(200.0 / 98 - 200.0 / 99 - state.fee)


def test_a_round_trip_of_an_inverse_contract_earns_the_difference_of_the_reciprocals():
    # Bought at 98 and sold at 99: 100 / 98 - 100 / 99 of the base currency for each contract.
    contract = Contract(100.0, inverse=True)
    bought = -(100.0 / 98)
    assert contract.equity(bought, 1.0, 0.0, 99.0) == pytest.approx(100 / 98 - 100 / 99)
    assert contract.equity(bought + 100.0 / 99, 0.0, 0.0, 50.0) == pytest.approx(100 / 98 - 100 / 99)
    assert math.isnan(contract.equity(bought, 1.0, 0.0, math.nan))
    assert math.isnan(contract.equity(bought, 1.0, 0.0, 0.0))
    assert contract.equity(0.0, 0.0, 0.25, math.nan) == -0.25


def test_an_inverse_contract_filled_at_no_price_ends_the_run_with_an_error():
    lines = [("bid", 0, -1.0, 5.0), ("ask", 0, 0.0, 5.0), ("bid", 0, -2.0, 5.0), END]
    hbt = HashMapMarketDepthBacktest([asset(rows(*lines)).inverse_asset(1.0)])
    hbt.elapse(0)
    assert hbt.submit_buy_order(0, 1, 0.0, 1.0, GTC, LIMIT, True) == 100
    assert hbt.elapse(1) == 1
    with pytest.raises(DataError, match="inverse") as raised:
        hbt.check()
    assert "asset 0" in raised.value.where
    assert hbt.state_values(0).fee == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_fees_and_sizes_that_are_no_numbers_are_refused(value):
    for name in (
        "trading_value_fee_model",
        "trading_qty_fee_model",
        "flat_per_trade_fee_model",
        "directional_fees",
    ):
        with pytest.raises(OrderError, match="fee"):
            getattr(BacktestAsset(), name)(0.0, value)
    for size in (value, 0.0, -1.0):
        for name in ("linear_asset", "inverse_asset"):
            with pytest.raises(OrderError, match="contract size"):
                getattr(BacktestAsset(), name)(size)
    with pytest.raises(OrderError, match="latency"):
        BacktestAsset().constant_order_latency(value, 0)


def test_numbers_of_numpy_are_numbers():
    made = asset(rows(*LINES)).separate_order_latency(
        np.int64(7), np.int32(8), np.float32(9.0), np.uint16(10)
    )
    assert [way.constant_ns for way in made.model.latencies] == [7, 8, 9, 10]
