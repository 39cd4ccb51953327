"""What a script gives that can't be: told where it is given."""

from typing import Any

import pytest

import sim
from hftd.errors import DataError, OrderError
from hftd.types import END_OF_DATA, ERR_INVALID_REQUEST
from sim.asset import BacktestAsset
from sim.backtest import HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from tests.sim.engine.market import asset, backtest, latency_rows, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)


NO_NUMBERS = ("1.0", None, [1.0])


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize(
    "name",
    [
        "tick_size",
        "lot_size",
        "roi_lb",
        "roi_ub",
        "last_trades_capacity",
        "user_events_capacity",
        "latency_offset",
        "linear_asset",
        "inverse_asset",
        "power_prob_queue_model",
    ],
)
def test_what_is_no_number_is_refused_where_it_is_given(name, value):
    with pytest.raises(OrderError, match="must be a"):
        getattr(BacktestAsset(), name)(value)


@pytest.mark.parametrize("value", [*NO_NUMBERS, float("nan")])
@pytest.mark.parametrize(
    "name",
    ["trading_value_fee_model", "trading_qty_fee_model", "flat_per_trade_fee_model", "directional_fees"],
)
def test_fees_that_are_no_numbers_are_refused_where_they_are_given(name, value):
    with pytest.raises(OrderError, match="a fee is"):
        getattr(BacktestAsset(), name)(value, 0.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**63, -1e300])
@pytest.mark.parametrize("name", ["last_trades_capacity", "user_events_capacity", "latency_offset"])
def test_what_no_whole_number_can_be_is_refused_where_it_is_given(name, value):
    with pytest.raises(OrderError, match="must be below"):
        getattr(BacktestAsset(), name)(value)


@pytest.mark.parametrize("bound", [float("nan"), float("inf"), -float("inf")])
def test_a_range_of_interest_without_bounds_is_refused(bound):
    with pytest.raises(OrderError, match="range of interest"):
        ROIVectorMarketDepthBacktest([asset(rows(*levels())).roi_lb(95.0).roi_ub(bound)])


def test_no_recorded_latencies_are_an_error_and_not_no_latency():
    nothing: list[Any] = [[], 5, None]
    for given in nothing:
        with pytest.raises(DataError, match="order latenc"):
            BacktestAsset().intp_order_latency(given)
    with pytest.raises(OrderError, match="offset"):
        BacktestAsset().intp_order_latency(latency_rows((0, 10, 20)), 2**62)
    for given in nothing:
        with pytest.raises(DataError, match="snapshot"):
            BacktestAsset().initial_snapshot(given)


@pytest.mark.parametrize(
    "name", ["custom_queue_model", "custom_fee_model", "custom_order_latency", "custom_exchange"]
)
@pytest.mark.parametrize("value", [None, 1.0, sim.BacktestAsset])
def test_a_model_of_another_class_is_refused_where_it_is_given(name, value):
    with pytest.raises(OrderError, match=r"must be a Custom"):
        getattr(BacktestAsset(), name)(value)


@pytest.mark.parametrize(("assets", "size"), [(0, 10), (-1, 10), (1, 0), (1, -5), (1, 2**60)])
def test_a_recorder_of_a_size_that_can_not_be_is_refused(assets, size):
    with pytest.raises(OrderError, match="recorder"):
        sim.Recorder(assets, size)


@pytest.mark.parametrize("step", ["x", None])
def test_steps_that_are_no_numbers_are_refused_where_rows_are_prepared(step):
    for steps in ((step, 1.0), (1.0, step)):
        with pytest.raises(OrderError, match="must be a number"):
            sim.Prepared(rows(*levels()), *steps)


def test_a_backtest_of_anything_but_a_list_of_assets_is_refused():
    one = asset(rows(*levels()))
    wrong: list[Any] = [one, None, ["x"], [one, one.model]]
    for given in wrong:
        with pytest.raises(OrderError, match="list of BacktestAsset"):
            HashMapMarketDepthBacktest(given)


def test_in_plain_python_a_duration_that_is_none_is_refused_and_an_endless_one_reaches_the_end():
    for name in ("elapse", "elapse_bt"):
        hbt = backtest(rows(*levels(), END))
        assert getattr(hbt, name)(float("nan")) == ERR_INVALID_REQUEST
        assert getattr(hbt, name)(float("inf")) == END_OF_DATA
