"""Data and descriptions that can't be simulated: one error that says what and where."""

import numpy as np
import pytest
from numba import njit

from hftd.errors import DataError, HftdError, OrderError
from hftd.types import END_OF_DATA, ERR_DATA, EXCH_EVENT, GTX, LIMIT, LOCAL_EVENT, event_dtype
from sim.backtest import HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from sim.feed.asset import BacktestAsset
from tests.sim.engine.market import START, asset, backtest, latency_rows, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)


def error_of(make):
    """What a run over bad data says: when it is made, or the strategy sees code 100, then the end."""
    try:
        hbt = make()
    except HftdError as error:
        return error
    while (code := hbt.elapse(1_000)) == 0:
        pass
    assert code == ERR_DATA
    assert hbt.elapse(1_000) == END_OF_DATA
    assert hbt.wait_next_feed(True, 1_000) == END_OF_DATA
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
    error = error_of(lambda: backtest(data))
    assert isinstance(error, DataError)
    assert f"row {at} " in error.what and f"by {clock}, which was {was} before" in error.what
    assert "the array" in error.where
    assert "sort" in error.hint
    assert "hftd validate FILE --fix OUT.npz" in error.hint


def test_a_file_that_begins_before_the_last_one_ended_is_told_by_its_name(tmp_path):
    for number, ts in enumerate((5_000, 4_000)):
        np.savez(tmp_path / f"{number}.npz", data=rows(*levels(ts), ("bid", ts, 50.0, 1.0)))
    made = asset(rows(*levels()))
    made.model.data = [str(tmp_path / "0.npz"), str(tmp_path / "1.npz")]
    error = error_of(lambda: HashMapMarketDepthBacktest([made]))
    assert "row 0 " in error.what and "1.npz" in error.where


@pytest.mark.parametrize("kind", ["bid", "ask", "buy", "sell", "trade"])
@pytest.mark.parametrize(
    ("px", "qty"), [(np.nan, 1.0), (np.inf, 1.0), (1e300, 1.0), (98.0, np.nan), (98.0, np.inf)]
)
def test_a_price_or_quantity_that_is_not_a_number_is_told(kind, px, qty):
    error = error_of(lambda: backtest(rows(*levels(), (kind, 5, px, qty), END)))
    assert "row 10 " in error.what and "not a number" in error.what


def test_a_negative_quantity_is_told():
    error = error_of(lambda: backtest(rows(*levels(), ("bid", 5, 98.0, -1.0), END)))
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
    assert "no rows" in error_of(lambda: backtest(np.zeros(0, event_dtype))).what


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
        lambda: HashMapMarketDepthBacktest(
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


@pytest.mark.parametrize("clock", ["exch_ts", "local_ts"])
@pytest.mark.parametrize("ts", [2**63 - 1, 2**63 - 2, 2**62, -(2**62), -(2**63)])
def test_a_time_that_is_none_is_told(clock, ts):
    data = rows(*levels(), END)
    data[clock][-1 if ts > 0 else 0] = ts
    assert "has an impossible time" in error_of(lambda: backtest(data)).what


def test_times_may_count_from_before_any_epoch():
    data = rows(*levels(), END)
    for clock in ("exch_ts", "local_ts"):
        data[clock] -= START + 5_000
    hbt = backtest(data)
    assert hbt.elapse(1_000) == 0
    assert hbt.current_timestamp == -4_000


@pytest.mark.parametrize("exch_ts", [2**63 - 1, 2**62, START])
@pytest.mark.parametrize("resp_ts", [2**63 - 1, 2**62, START, 0, -(2**62)])
def test_a_recorded_latency_beyond_the_end_of_time_is_held_there(exch_ts, resp_ts):
    recorded = latency_rows((0, 10, 20), (0, 10, 20))
    recorded["exch_ts"][1], recorded["resp_ts"][1] = exch_ts, resp_ts
    hbt = HashMapMarketDepthBacktest([asset(rows(*levels(), END)).intp_order_latency(recorded)])
    hbt.elapse(10)
    for order_id in range(3):
        assert hbt.submit_buy_order(0, order_id, 98.0, 1.0, GTX, LIMIT, False) == 0
    now_ns = hbt.current_timestamp
    while hbt.elapse(2**60) == 0:
        assert hbt.current_timestamp > now_ns
        now_ns = hbt.current_timestamp
    hbt.elapse(2**63 - 1)
    hbt.check()


def test_a_mistake_of_ours_while_a_file_is_opened_is_raised_and_no_file_left_out(monkeypatch, tmp_path):
    def fails(*_):
        raise KeyError("ours")

    monkeypatch.setattr("sim.feed.feeding.Source", fails)
    made = asset(rows(*levels(), END))
    np.savez(tmp_path / "a.npz", data=rows(*levels()))
    made.model.data = [str(tmp_path / "a.npz"), *made.model.data]
    hbt = HashMapMarketDepthBacktest([made])
    assert hbt.elapse(10) == ERR_DATA
    with pytest.raises(KeyError, match="ours"):
        hbt.check()


@pytest.mark.parametrize(
    "model",
    [
        lambda made: made.log_prob_queue_model(),
        lambda made: made.log_prob_queue_model2(),
        lambda made: made.power_prob_queue_model(400.0),
        lambda made: made.power_prob_queue_model2(400.0),
        lambda made: made.power_prob_queue_model3(400.0),
    ],
)
def test_an_order_in_a_queue_of_the_smallest_quantities_fills_all_the_same(model, capfd):
    tiny = 1e-20
    market = levels(qty=10 * tiny)
    changes = [("bid", 20, 99.0, 8 * tiny), ("bid", 30, 99.0, 3 * tiny)]
    data = rows(*market, *changes, ("sell", 40, 99.0, 4 * tiny), END)
    described = asset(data).lot_size(tiny)
    model(described)
    hbt = HashMapMarketDepthBacktest([described])
    hbt.elapse(10)
    hbt.submit_buy_order(0, 1, 99.0, tiny, GTX, LIMIT, False)
    hbt.elapse(100)
    assert hbt.position(0) == tiny
    assert capfd.readouterr().err == ""


def test_a_tick_size_finer_than_the_datas_is_said():
    data = rows(*levels(), *(("bid", 100 + k, 50.0 + k, 1.0) for k in range(30)))
    hbt = HashMapMarketDepthBacktest([asset(data).tick_size(0.1)])
    assert hbt.elapse(1_000_000) in (0, END_OF_DATA)
    assert any("all prices looked at are multiples of" in warning for warning in hbt.warnings())
    hbt = backtest(data)
    assert hbt.elapse(1_000_000) in (0, END_OF_DATA)
    assert hbt.warnings() == []


@njit
def reads_an_asset_that_is_not_there(hbt):
    hbt.elapse(1_000)
    return hbt.depth(3).best_bid + hbt.position(-1)


def test_asking_for_an_asset_that_is_not_there_is_said_after_the_run():
    hbt = backtest(rows(*levels()))
    reads_an_asset_that_is_not_there(hbt)
    assert any("2 times for an asset that it does not have, last for number -1" in w for w in hbt.warnings())
