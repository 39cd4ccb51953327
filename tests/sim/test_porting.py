"""Scripts written for HftBacktest run here: what they use, and the page that tells its users what changes."""

import re
from pathlib import Path

import numpy as np
import pytest
from numba import int64, njit
from numba.typed import Dict, List

import sim as hftbacktest
from sim import (
    BUY,
    BUY_EVENT,
    FILLED,
    GTC,
    GTX,
    LIMIT,
    MARKET,
    NEW,
    NONE,
    SELL,
    HashMapMarketDepthBacktest,
    Recorder,
    ROIVectorMarketDepthBacktest,
)
from tests.sim.market import asset_of, random_market

PAGE = Path(__file__).resolve().parents[2] / "docs" / "porting.md"
MODELS = {
    "linear_asset": 1.0,
    "constant_order_latency": (2_000_000, 3_000_000),
    "power_prob_queue_model": 2.0,
    "trading_value_fee_model": (-0.00005, 0.0007),
    "last_trades_capacity": 1000,
}


def in_range(**options):
    return asset_of(random_market(11), roi_lb=50.0, roi_ub=150.0, **MODELS, **options)


@njit
def is_mine(order, side):
    return order is not None and order.side == side


@njit
def mid_of(depth):
    return (depth.best_bid + depth.best_ask) / 2.0


@njit
def imbalance(depth, levels):
    low = depth.roi_lb_tick
    bids = depth.bid_depth[max(depth.best_bid_tick - levels - low, 0) : depth.best_bid_tick - low + 1].sum()
    asks = depth.ask_depth[depth.best_ask_tick - low : depth.best_ask_tick + levels - low].sum()
    return bids - asks


@njit
def equity(state, mid):
    return state.balance + state.position * mid - state.fee


@njit
def note(recorder, hbt):
    recorder.record(hbt)


@njit
def with_helpers(hbt, recorder, times, values):
    """Passes every object to functions of its own, and collects in typed lists."""
    while hbt.elapse(0.05 * 1e9) == 0:
        hbt.clear_inactive_orders(0)
        depth, orders, state = hbt.depth(0), hbt.orders(0), hbt.state_values(0)
        mid = mid_of(depth)
        skew = imbalance(depth, 10)
        if 1 not in orders:
            price = depth.best_bid if skew >= 0 else depth.best_bid - depth.tick_size
            hbt.submit_buy_order(0, 1, price, 0.02, GTX, LIMIT, False)
        elif is_mine(orders.get(1), BUY) and orders.get(1).cancellable:
            hbt.cancel(0, 1, False)
        if 2 not in orders:
            hbt.submit_sell_order(0, 2, depth.best_ask, 0.02, GTX, LIMIT, False)
        elif is_mine(orders.get(2), SELL) and orders.get(2).cancellable:
            hbt.cancel(0, 2, False)
        times.append(hbt.current_timestamp)
        values.append((skew, equity(state, mid)))
        note(recorder, hbt)


def test_helpers_take_hbt_depth_orders_order_state_and_recorder_as_arguments():
    hbt = ROIVectorMarketDepthBacktest([in_range()])
    recorder = Recorder(hbt.num_assets, 10_000)
    times = List.empty_list(int64)
    values = List([(0.0, 0.0)])
    with_helpers(hbt, recorder.recorder, times, values)
    rows = recorder.get(0)
    np.testing.assert_array_equal(rows["timestamp"], np.array(times))
    assert len(values) == len(times) + 1
    assert rows["num_trades"][-1] > 10
    expected = rows["balance"] + rows["position"] * rows["price"] - rows["fee"]
    np.testing.assert_allclose([value for _, value in values][1:], expected, rtol=1e-12, equal_nan=True)
    assert hbt.close() == 0


@njit
def by_name_and_position(hbt):
    hbt.elapse(duration=1e9)
    price = hbt.depth(asset_no=0).best_bid
    codes = List.empty_list(int64)
    codes.append(hbt.submit_buy_order(0, 1, price - 5.0, 1, GTC, LIMIT, True))
    codes.append(
        hbt.submit_buy_order(
            asset_no=0, order_id=2, price=price - 6.0, qty=1.0, time_in_force=GTC, order_type=LIMIT, wait=True
        )
    )
    codes.append(hbt.submit_sell_order(0, 3, 0.0, 0.01, time_in_force=GTC, order_type=MARKET, wait=True))
    codes.append(hbt.modify(asset_no=0, order_id=1, price=price - 7.0, qty=2.0, wait=True))
    codes.append(hbt.cancel(0, order_id=2, wait=False))
    codes.append(hbt.wait_order_response(0, 2, timeout=1 * 1e9))
    codes.append(hbt.wait_next_feed(include_order_resp=True, timeout=1e9))
    return codes


def test_arguments_go_by_position_and_by_name_and_durations_may_be_floats():
    hbt = HashMapMarketDepthBacktest([in_range()])
    codes = list(by_name_and_position(hbt))
    assert codes[:-1] == [0] * 6
    assert codes[-1] in (2, 3)
    orders = hbt.orders(0)
    assert orders.get(1).qty == 2.0
    assert orders.get(3).status == FILLED
    assert orders.get(3).exec_price > 0
    assert len(orders) == 3


@njit
def keyed_by_price(hbt, counts):
    while hbt.elapse(100_000_000) == 0:
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        wanted = Dict.empty(np.uint64, np.float64)
        for level in range(4):
            tick = depth.best_bid_tick - level
            wanted[np.uint64(tick)] = tick * depth.tick_size
        order_values = hbt.orders(0).values()
        while order_values.has_next():
            order = order_values.get()
            counts[int((order.status == NEW) and (order.req == NONE))] += 1
            if order.cancellable and order.order_id not in wanted:
                hbt.cancel(0, order.order_id, False)
        for order_id, price in wanted.items():
            if order_id not in hbt.orders(0):
                hbt.submit_buy_order(0, order_id, price, 0.01, GTX, LIMIT, False)


def test_order_ids_may_be_keys_of_typed_dicts():
    hbt = HashMapMarketDepthBacktest([in_range()])
    counts = np.zeros(2, np.int64)
    keyed_by_price(hbt, counts)
    assert counts[1] > 50
    assert hbt.position(0) > 0


@njit
def trades_by_field(hbt):
    bought = sold = 0.0
    most = 0
    latency = 0
    while hbt.elapse(10_000_000) == 0:
        trades = hbt.last_trades(0)
        for trade in trades:
            if trade.ev & BUY_EVENT == BUY_EVENT:
                bought += trade.px * trade.qty
            else:
                sold += trade.px * trade.qty
        if len(trades) > 0:
            most = max(most, trades[-1].local_ts)
        feed = hbt.feed_latency(0)
        if feed is not None:
            latency = feed[1] - feed[0]
        hbt.clear_last_trades(0)
        if len(hbt.last_trades(0)) != 0:
            return np.nan, np.nan, 0, 0
    return bought, sold, most, latency


def test_last_trades_are_records_with_fields_in_compiled_code_and_in_python():
    compiled = trades_by_field(HashMapMarketDepthBacktest([in_range()]))
    plain = trades_by_field.py_func(HashMapMarketDepthBacktest([in_range()]))
    assert compiled == plain
    assert compiled[0] > 0
    assert compiled[3] == 3_000_000


def test_the_package_stands_in_for_hftbacktest_under_its_name():
    asset = hftbacktest.BacktestAsset().data([random_market(12)]).tick_size(0.5).lot_size(0.01)
    hbt = hftbacktest.HashMapMarketDepthBacktest([asset])
    assert hbt.elapse(1e9) == 0
    assert (hftbacktest.BUY, hftbacktest.SELL, hftbacktest.GTX, hftbacktest.MARKET) == (1, -1, 1, 1)


def test_every_public_name_of_hftbacktest_that_a_backtest_needs_is_here():
    reference = pytest.importorskip("hftbacktest", reason="the dependency group `parity` is not installed")
    live = {"LiveInstrument", "HashMapMarketDepthLiveBot", "ROIVectorMarketDepthLiveBot"}
    for name in set(reference.__all__) - live:
        ours = getattr(hftbacktest, name)
        theirs = getattr(reference, name)
        if isinstance(theirs, int):
            assert ours == theirs, name


def test_the_snippets_of_the_page_for_its_users_run(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "day.npz", data=random_market(13))
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(snippets) == 6
    scope = {"__name__": "page"}
    for snippet in snippets:
        exec(compile(snippet, str(PAGE), "exec"), scope)
    assert len(scope["recorder"].get(0)) > 30
    assert scope["recorder"].get(0)["num_trades"][-1] > 0
    assert scope["signal"] > 0
    assert (tmp_path / "day_fused.npz").is_file()
