"""Data and descriptions that can't be simulated: one error that says what and where."""

import numpy as np
import pytest

from hftd.errors import DataError, HftdError, OrderError
from hftd.types import END_OF_DATA, ERR_DATA, EXCH_EVENT, GTX, LIMIT, LOCAL_EVENT, event_dtype
from sim.asset import BacktestAsset
from sim.backtest import HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from tests.sim.engine.market import START, asset, backtest, latency_rows, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)


def error_of(hbt):
    """What a run over bad data says; the strategy only sees code 100, again and again."""
    while (code := hbt.elapse(1_000)) == 0:
        pass
    assert code == ERR_DATA
    assert hbt.elapse(1_000) == ERR_DATA
    assert hbt.wait_next_feed(True, 1_000) == ERR_DATA
    with pytest.raises(HftdError) as raised:
        hbt.check()
    return raised.value


@pytest.mark.parametrize(("clock", "seen"), [("exch_ts", EXCH_EVENT), ("local_ts", LOCAL_EVENT)])
@pytest.mark.parametrize("at", [1, 9, 40_000])
def test_rows_that_go_back_in_time_are_told_with_their_place(clock, seen, at):
    data = np.repeat(rows(*levels(), seen=seen | LOCAL_EVENT | EXCH_EVENT), 5000)
    data["exch_ts"] = data["local_ts"] = START + np.arange(len(data)) // 3 * 1000
    was = int(data[clock][at - 1])
    data[clock][at] = was - 1
    error = error_of(backtest(data))
    assert isinstance(error, DataError)
    assert f"row {at} " in error.what and f"by {clock}, which was {was} before" in error.what
    assert "the array" in error.where
    assert "sort" in error.hint


def test_a_file_that_begins_before_the_last_one_ended_is_told_by_its_name(tmp_path):
    for number, ts in enumerate((5_000, 4_000)):
        np.savez(tmp_path / f"{number}.npz", data=rows(*levels(ts), ("bid", ts, 50.0, 1.0)))
    made = asset(rows(*levels()))
    made.model.data = [str(tmp_path / "0.npz"), str(tmp_path / "1.npz")]
    error = error_of(HashMapMarketDepthBacktest([made]))
    assert "row 0 " in error.what and "1.npz" in error.where


@pytest.mark.parametrize("kind", ["bid", "ask", "buy", "sell", "trade"])
@pytest.mark.parametrize(
    ("px", "qty"), [(np.nan, 1.0), (np.inf, 1.0), (1e300, 1.0), (98.0, np.nan), (98.0, np.inf)]
)
def test_a_price_or_quantity_that_is_not_a_number_is_told(kind, px, qty):
    error = error_of(backtest(rows(*levels(), (kind, 5, px, qty), END)))
    assert "row 10 " in error.what and "not a number" in error.what


def test_a_negative_quantity_is_told():
    error = error_of(backtest(rows(*levels(), ("bid", 5, 98.0, -1.0), END)))
    assert "row 10 " in error.what and "negative" in error.what


def test_rows_of_the_users_own_kinds_may_hold_anything():
    hbt = backtest(rows(*levels(), ("mark price", 5, np.nan, -np.inf), END))
    assert hbt.elapse(10) == 0
    hbt.check()


def test_what_came_before_a_bad_row_counts():
    data = np.repeat(rows(*levels()), 4000)
    data["exch_ts"] = data["local_ts"] = START + np.arange(len(data)) * 10
    data["px"][35_000] = np.nan
    hbt = backtest(data)
    assert hbt.elapse(1_000) == 0
    hbt.submit_buy_order(0, 1, 150.0, 1.0, 0, LIMIT, True)
    while hbt.elapse(1_000) == 0:
        pass
    assert hbt.position(0) == 1.0


def test_an_empty_array_is_an_error():
    assert "no rows" in error_of(backtest(np.zeros(0, event_dtype))).what


def test_rows_that_nobody_sees_end_the_data_at_once():
    hbt = backtest(rows(*levels(), seen=0))
    assert hbt.elapse(10) == END_OF_DATA
    assert hbt.submit_buy_order(0, 1, 98.0, 1.0, GTX, LIMIT, False) == END_OF_DATA
    assert len(hbt.orders(0)) == 0
    hbt.check()


@pytest.mark.parametrize(
    "data", [np.zeros(3), np.zeros(3, np.int64), np.zeros((2, 2), event_dtype), [1, 2], None, 7]
)
def test_data_that_is_no_rows_is_refused(data):
    with pytest.raises(DataError, match="must"):
        BacktestAsset().data(data)


def test_a_file_that_is_not_there_is_told_by_its_name(tmp_path):
    error = error_of(
        HashMapMarketDepthBacktest(
            [BacktestAsset().data(str(tmp_path / "none.npz")).tick_size(1).lot_size(1)]
        )
    )
    assert "none.npz" in str(error)


@pytest.mark.parametrize("field", ["tick_size", "lot_size"])
@pytest.mark.parametrize("value", [None, 0.0, -0.1, float("nan"), float("inf")])
def test_an_asset_without_a_step_of_prices_or_quantities_is_refused(field, value):
    made = BacktestAsset().data(rows(*levels()))
    for name in ("tick_size", "lot_size"):
        if name != field:
            getattr(made, name)(1.0)
        elif value is not None:
            getattr(made, name)(value)
    with pytest.raises(OrderError, match=field):
        HashMapMarketDepthBacktest([made])


def test_an_asset_without_data_and_a_backtest_without_assets_are_refused():
    with pytest.raises(DataError, match="no feed data"):
        HashMapMarketDepthBacktest([BacktestAsset().tick_size(1.0).lot_size(1.0)])
    with pytest.raises(OrderError, match="no asset"):
        HashMapMarketDepthBacktest([])


def test_a_range_of_interest_that_is_none_is_refused():
    with pytest.raises(OrderError, match="range of interest"):
        ROIVectorMarketDepthBacktest([asset(rows(*levels())).roi_lb(105.0).roi_ub(95.0)])


def test_an_asset_may_serve_backtests_of_both_kinds():
    made = asset(rows(*levels(), END)).roi_lb(98.0).roi_ub(102.0)
    whole, part = HashMapMarketDepthBacktest([made]), ROIVectorMarketDepthBacktest([made])
    for hbt, qty in ((whole, 10.0), (part, 0.0)):
        hbt.elapse(0)
        assert (hbt.depth(0).best_bid_tick, hbt.depth(0).bid_qty_at_tick(97)) == (99, qty)


@pytest.mark.parametrize("n", [0.0, -1.0, float("nan"), float("inf")])
def test_an_exponent_that_means_nothing_is_refused(n):
    for name in ("power_prob_queue_model", "power_prob_queue_model2", "power_prob_queue_model3"):
        with pytest.raises(OrderError, match="positive"):
            getattr(asset(rows(*levels())), name)(n)


def test_order_latencies_that_go_back_in_time_or_are_none_are_refused():
    for data, what in (
        (latency_rows((100, 150, 200), (50, 150, 200)), "row 1"),
        (latency_rows(), "no order latencies"),
    ):
        with pytest.raises(DataError, match=what):
            HashMapMarketDepthBacktest([asset(rows(*levels(), END)).intp_order_latency(data)])


def test_an_asset_that_is_not_there_is_told():
    hbt = backtest(rows(*levels(), END))
    for read in (hbt.depth, hbt.orders, hbt.position, hbt.state_values, hbt.last_trades, hbt.feed_latency):
        with pytest.raises(IndexError, match="there is no asset 1: the bot has 1"):
            read(1)
