"""What assets and models cost: `python -m benchmarks.models [--json] [--repeat 5] [--times 20]`.

The market maker at steps of 10 ms on columns that were prepared before, so that nothing but the run is compared: ten
assets beside one of them, by the cost of a row, and custom models beside the same models built in.
"""

# pyright: basic

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from benchmarks.market import Market, market
from benchmarks.sides import LATENCY_NS, MAKER_FEE, MARKET_MAKER, QUEUE_POWER, STEP_NS, TAKER_FEE
from benchmarks.strategies import no_op
from benchmarks.table import Row, conditions, machine, ratios, shown, spread, text_table
from hftd.clock import monotonic_ns
from sim import BacktestAsset, CustomFee, CustomLatency, CustomQueue, HashMapMarketDepthBacktest, Prepared
from strategies.market_making import market_making

ASSETS = 10
_APART_NS = 3_700_000
"""The assets' markets are shifted by this, so that their rows mix."""

ONE = "one asset"
TEN = f"{ASSETS} assets"
BUILT_IN = "built in"
STRATEGIES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "no-op": (no_op, (STEP_NS,)),
    # It computes its quotes and looks at its orders, but may hold nothing, and so sends none.
    "market maker that sends nothing": (
        market_making,
        tuple((MARKET_MAKER | {"max_position": -1.0}).values()),
    ),
    "market maker": (market_making, tuple(MARKET_MAKER.values())),
}


@njit
def _enter(state, order, market, level_qty):
    order.front_qty = level_qty
    order.cum_trade_qty = 0.0


@njit
def _trade(state, order, market, qty):
    order.front_qty -= qty
    order.cum_trade_qty += qty


@njit
def _depth(state, order, market, before_qty, after_qty):
    change = before_qty - after_qty - order.cum_trade_qty
    order.cum_trade_qty = 0.0
    if change < 0.0:
        order.front_qty = min(order.front_qty, after_qty)
        return
    front = max(order.front_qty, 0.0)
    back = before_qty - front
    behind = 1.0
    if front + max(back, 0.0) > 0.0:
        behind = 1.0 - (front / (front + max(back, 0.0))) ** state.n
    front = front - (1.0 - behind) * change + min(back - behind * change, 0.0)
    order.front_qty = min(front, after_qty)


@njit
def _reached(state, order, market):
    lots = np.round(order.front_qty / market.lot_size)
    return -lots * market.lot_size if lots < 0.0 else 0.0


@njit
def _fee(state, order, amount):
    return amount * (state.maker if order.maker else state.taker)


@njit
def _entry(state, request, market):
    return state.latency_ns


@njit
def _response(state, market):
    return state.latency_ns


def _queue() -> CustomQueue:
    return CustomQueue(_enter, _trade, _depth, _reached, np.array([(QUEUE_POWER,)], [("n", "f8")]))


def _fees() -> CustomFee:
    return CustomFee(_fee, np.array([(MAKER_FEE, TAKER_FEE)], [("maker", "f8"), ("taker", "f8")]))


def _latency() -> CustomLatency:
    return CustomLatency(_entry, _response, np.array([(LATENCY_NS,)], [("latency_ns", "i8")]))


OWN: dict[str, Any] = {
    "a custom queue model": lambda asset: asset.custom_queue_model(_queue()),
    "a custom fee": lambda asset: asset.custom_fee_model(_fees()),
    "a custom latency": lambda asset: asset.custom_order_latency(_latency()),
    "all three custom": lambda asset: (
        asset.custom_queue_model(_queue()).custom_fee_model(_fees()).custom_order_latency(_latency())
    ),
}


def _asset(of: Market, data: Prepared) -> BacktestAsset:
    return (
        BacktestAsset()
        .data(data)
        .linear_asset(1.0)
        .constant_order_latency(LATENCY_NS, LATENCY_NS)
        .power_prob_queue_model3(QUEUE_POWER)
        .no_partial_fill_exchange()
        .trading_value_fee_model(MAKER_FEE, TAKER_FEE)
        .tick_size(of.tick_size)
        .lot_size(of.lot_size)
    )


def timed(assets: list[BacktestAsset], strategy: str) -> tuple[float, tuple[float, ...]]:
    """Seconds of a run, and each asset's number of trades."""
    function, arguments = STRATEGIES[strategy]
    hbt = HashMapMarketDepthBacktest(assets)
    start_ns = monotonic_ns()
    function(hbt, *arguments)
    seconds = (monotonic_ns() - start_ns) / 1e9
    hbt.check()
    trades = tuple(float(hbt.state_values(k).num_trades) for k in range(hbt.num_assets))
    hbt.close()
    return seconds, trades


def measure(repeat: int, times: int) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as temporary:
        of = market(times // 2, Path(temporary))
    # Long enough for the first touch of the memory, which every asset has to pay, not to count.
    parts = []
    for k in range(ASSETS):
        rows = of.rows.copy()
        rows["exch_ts"] += k * _APART_NS
        rows["local_ts"] += k * _APART_NS
        parts.append(Prepared(rows, of.tick_size, of.lot_size))
    rows_of = {TEN: ASSETS * len(of.rows)}
    costs: dict[str, dict[str, list[float]]] = {
        name: {side: [] for side in (ONE, TEN)} for name in STRATEGIES
    }
    costs["market maker"].update({side: [] for side in OWN})
    trades: dict[str, tuple[float, ...]] = {}
    # The first turn compiles, and touches the memory.
    for turn in range(repeat + 1):
        for name in STRATEGIES:
            found = {ONE: timed([_asset(of, parts[0])], name)}
            found[TEN] = timed([_asset(of, data) for data in parts], name)
            if name == "market maker":
                for side, changed in OWN.items():
                    found[side] = timed([changed(_asset(of, parts[0]))], name)
                    trades[side] = found[side][1]
                trades[ONE] = found[ONE][1]
            if turn:
                for side, (took, _) in found.items():
                    costs[name][side].append(took / rows_of.get(side, len(of.rows)))
    where = machine()
    where["load_1_min_after"] = where["load_1_min"]
    return {
        "market": of.name,
        "rows": len(of.rows),
        "repeat": repeat,
        "machine": where,
        "strategies": {name: _summary(found) for name, found in costs.items()},
        "trades": trades,
        "trades_are_equal": all(found == trades[ONE] for found in trades.values()),
    }


def _summary(costs: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "rows_per_s": {side: spread([1.0 / cost for cost in found]) for side, found in costs.items()},
        "cost_of_a_row": {side: ratios(found, costs[ONE]) for side, found in costs.items() if side != ONE},
    }


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    rows: list[Row] = []
    for name, found in figures["strategies"].items():
        for side, rate in found["rows_per_s"].items():
            rows.append([name, side, f"{shown(rate, 1e-6)} M rows/s"])
        for side, ratio in found["cost_of_a_row"].items():
            rows.append(
                [name, f"a row with {side} / with {ONE}, {BUILT_IN}", f"{shown(ratio, 1.0, 2)} times"]
            )
    rows.append(["market maker", "trades equal, one's own and built in", _yes(figures["trades_are_equal"])])
    return ["strategy", "what", "median (min - max)"], rows


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


def notes(figures: dict[str, Any]) -> list[str]:
    """What else must be known to read the table."""
    what = f"{figures['rows']:,} rows an asset; {figures['repeat']} turns; steps of 10 ms"
    return [f"{figures['market']}: {what}; prepared columns", conditions(figures["machine"])]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeat", type=int, default=5, help="turns; each runs every side once")
    parser.add_argument("--times", type=int, default=20, help="how often the capture is repeated")
    options = parser.parse_args()
    figures = measure(options.repeat, options.times)
    if options.json:
        print(json.dumps(figures))
        return
    print("\n".join(notes(figures)))
    print(text_table(*table(figures)))


if __name__ == "__main__":
    main()
