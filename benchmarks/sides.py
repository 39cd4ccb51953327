"""The two sides of a comparison in one process: hftd's engine, and the reference's, with equal models."""

# pyright: basic

from functools import lru_cache
from typing import Any

from benchmarks.market import Market
from hftd.clock import monotonic_ns

LATENCY_NS = 2_000_000
QUEUE_POWER = 3.0
MAKER_FEE = -0.00005
TAKER_FEE = 0.0007
STEP_NS = 10_000_000

MARKET_MAKER = {
    "half_spread_ticks": 8.0,
    "skew_ticks": 2.0,
    "order_qty": 0.01,
    "max_position": 0.1,
    "interval_ns": STEP_NS,
}
"""The parameters of `strategies.market_making`, in the order of its arguments."""

OURS = "hftd"
PREPARED = "hftd, prepared columns"
HASH_MAP = "reference, HashMap"
ROI_VECTOR = "reference, ROI vector"

State = dict[str, float]


def reference_module() -> Any:
    """The reference, None if it is not installed."""
    try:
        import hftbacktest
    except ImportError:
        return None
    return hftbacktest


def is_ours(side: str) -> bool:
    """Whether this side is hftd's engine."""
    return side in (OURS, PREPARED)


@lru_cache(maxsize=2)
def _prepared(market: Market) -> Any:
    from sim import Prepared

    return Prepared(market.rows, market.tick_size, market.lot_size)


def open_side(side: str, market: Market) -> Any:
    """An `hbt` at the beginning of the market."""
    if is_ours(side):
        from sim.backtest import HashMapMarketDepthBacktest
        from sim.feed.asset import BacktestAsset

        data = _prepared(market) if side == PREPARED else market.rows
        return HashMapMarketDepthBacktest([_described(BacktestAsset(), market, data)])
    reference = reference_module()
    asset = _described(reference.BacktestAsset(), market, market.rows)
    if side == ROI_VECTOR:
        asset = asset.roi_lb(market.roi[0]).roi_ub(market.roi[1])
        return reference.ROIVectorMarketDepthBacktest([asset])
    return reference.HashMapMarketDepthBacktest([asset])


def _described(asset: Any, market: Market, data: Any) -> Any:
    return (
        asset.data(data)
        .linear_asset(1.0)
        .constant_order_latency(LATENCY_NS, LATENCY_NS)
        .power_prob_queue_model3(QUEUE_POWER)
        .no_partial_fill_exchange()
        .trading_value_fee_model(MAKER_FEE, TAKER_FEE)
        .tick_size(market.tick_size)
        .lot_size(market.lot_size)
        .last_trades_capacity(0)
    )


def timed_run(side: str, market: Market, strategy: Any, arguments: tuple[Any, ...]) -> tuple[float, State]:
    """Seconds of one run, without opening and closing, and where it ended."""
    hbt = open_side(side, market)
    start_ns = monotonic_ns()
    strategy(hbt, *arguments)
    seconds = (monotonic_ns() - start_ns) / 1e9
    if is_ours(side):
        hbt.check()
    values = hbt.state_values(0)
    state = {name: float(getattr(values, name)) for name in ("position", "balance", "fee", "num_trades")}
    hbt.close()
    return seconds, state
