"""What a script gives that can't be: told where it is given."""

from typing import Any

import numpy as np
import pytest
from numba import njit

import sim
from hftd.config import load
from hftd.errors import ConfigError, DataError, OrderError
from hftd.types import ADD_ORDER_EVENT, DEPTH_EVENT, END_OF_DATA, ERR_INVALID_REQUEST, GTC, LIMIT, NONE
from sim.backtest import HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from sim.config import ReplayConfig
from sim.feed.asset import BacktestAsset
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


@pytest.mark.parametrize(
    ("px", "qty"),
    [
        (float("nan"), 1.0),
        (float("inf"), 1.0),
        (1e17, 1.0),
        (98.0, float("nan")),
        (98.0, float("inf")),
        (98.0, 1e300),
        (98.0, -1.0),
    ],
)
def test_a_snapshot_with_what_can_be_no_level_is_refused_with_the_row(px, qty):
    snapshot = rows(*levels(), ("bid", 0, px, qty))
    with pytest.raises(DataError, match="row 10 of the initial snapshot"):
        HashMapMarketDepthBacktest([asset(rows(*levels(), END)).initial_snapshot(snapshot)])


def test_data_that_can_make_no_book_for_the_queue_model_are_warned_of():
    of_levels = rows(*levels(), END)
    of_orders = of_levels.copy()
    of_orders["ev"] = np.where(
        of_orders["ev"] & 0xFF == DEPTH_EVENT,
        of_orders["ev"] + (ADD_ORDER_EVENT - DEPTH_EVENT),
        of_orders["ev"],
    )
    of_orders["order_id"] = np.arange(len(of_orders))
    for data, by_order, what in (
        (of_levels, True, "no single orders"),
        (of_orders, False, "no levels"),
        (of_levels, False, ""),
        (of_orders, True, ""),
    ):
        described = asset(data)
        if by_order:
            described.l3_fifo_queue_model()
        hbt = HashMapMarketDepthBacktest([described])
        assert hbt.elapse(10) == 0
        assert (hbt.depth(0).best_bid_tick == 99) == (not what)
        assert [what in warning for warning in hbt.warnings()] == ([True] if what else [])


@njit
def first_two(hbt):
    values = hbt.orders(0).values()
    first, second, third = values.get(), values.get(), values.get()
    return first.order_id, second.order_id, third.status


def test_an_iterator_over_orders_that_is_at_its_end_gives_none_and_ends_no_process():
    hbt = backtest(rows(*levels(), END))
    hbt.elapse(0)
    assert first_two(hbt) == (0, 0, NONE)
    hbt.submit_buy_order(0, 7, 95.0, 1.0, GTC, LIMIT, False)
    assert first_two(hbt) == (7, 0, NONE)
    values = hbt.orders(0).values()
    assert values.get().order_id == 7
    assert values.next() is None
    with pytest.raises(OrderError, match="no further order"):
        values.get()


def test_an_offset_of_recorded_latencies_beyond_a_year_is_refused_in_a_configuration(tmp_path):
    path = tmp_path / "replay.toml"
    path.write_text(
        """
            [replay]
            data = "day.npz"
            [[channels]]
            name = "one"
            [[channels.instruments]]
            symbol = "x"
            tick_size = 1.0
            lot_size = 1.0
            order_latency = { model = "interpolated", files = "l.npz", offset_ns = 4611686018427387904 }
            fee = { model = "flat", maker = 0.0, taker = 0.0 }
            """
    )
    with pytest.raises(ConfigError, match="offset_ns"):
        load(path, ReplayConfig)


def test_a_row_that_can_not_be_is_told_when_the_backtest_is_made_and_a_good_run_closes_with_0():
    with pytest.raises(DataError, match="not a number"):
        backtest(rows(*levels(), ("bid", 5, float("nan"), 1.0), END))
    hbt = backtest(rows(*levels(), END))
    hbt.elapse(10)
    assert (hbt.close(), hbt.close()) == (0, 0)
