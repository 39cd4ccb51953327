"""A simulated market that is about to start: its whole state as arrays for the compiled functions."""

from typing import Final

import numpy as np

from hftd.types import event_dtype
from sim.generator.chance import seeded
from sim.generator.layout import (
    CHANGED_MAX,
    DISLOCATIONS,
    LAG_MS_MAX,
    LOG_MAX,
    SPREAD,
    STEP_ROWS_MAX,
    WALK,
    WINDOW,
    clock_dtype,
    log_dtype,
    market_dtype,
    price_dtype,
)
from sim.generator.market import FAIR, Market, MarketInstrument, Price, Spread, Walk

_LN2 = 0.6931471805599453
_CONTAGION = 0.25
"""How much takers of one instrument excite those of another that has the same fair price."""

RUN: Final = (
    "clocks",
    "prices",
    "markets",
    "loadings",
    "contagion",
    "history",
    "books",
    "published",
    "changed",
    "dirty",
    "logs",
    "rows",
    "chance",
)
"""The state's parts in the order of the arguments of :func:`sim.generator.flow.run`."""
SNAPSHOT: Final = ("clocks", "markets", "books", "published", "changed", "dirty", "rows", "chance")
"""As `RUN`, of `take_snapshot`."""
_OPEN = ("markets", "books", "changed", "dirty", "logs", "chance")

State = dict[str, np.ndarray]


def opened(seed: int, market: Market, start_ns: int, chunk_rows: int) -> State:
    """All state of a market that is about to start, by the names of the compiled functions' arguments.

    Args:
        seed: Any integer.
        market: One that was checked.
        start_ns: Exchange time.
        chunk_rows: Rows of an instrument that there is room for, above `STEP_ROWS_MAX`.
    """
    from sim.generator.flow import open_books

    assert chunk_rows > STEP_ROWS_MAX
    instruments, prices = market.instruments, market.prices
    n, k = len(instruments), len(prices)
    clocks = np.zeros(1, clock_dtype)
    clocks["now_ns"] = start_ns
    numbers = {price.name: number for number, price in enumerate(prices)}
    loadings = np.zeros((n, k))
    markets = np.zeros(n, market_dtype)
    for i, item in enumerate(instruments):
        _fill_market(markets[i], item, start_ns)
        markets[i]["home"] = numbers[item.follows[0][0]]
        for name, loading in item.follows:
            loadings[i, numbers[name]] = loading
    # Half of the window at most, less what the book reaches to either side.
    bound = min(0.25, 0.45 * WINDOW / float(markets["start_tick"].max()))
    rows_of_prices = np.zeros(k, price_dtype)
    rows_of_prices["bound"] = bound / max(float(np.abs(loadings).sum(axis=1).max()), 1.0)
    for row, price in zip(rows_of_prices, prices, strict=True):
        _fill_price(row, price)
    same_home = markets["home"][:, None] == markets["home"][None, :]
    contagion = np.where(same_home, _CONTAGION, 0.0)
    np.fill_diagonal(contagion, 1.0)
    names = [f"{item.channel}/{item.symbol}" for item in instruments]
    names += [price.name if price.name == FAIR else f"price/{price.name}" for price in prices]
    state = {
        "clocks": clocks,
        "prices": rows_of_prices,
        "markets": markets,
        "loadings": loadings,
        "contagion": contagion,
        "history": np.zeros((k, LAG_MS_MAX + 1)),
        "books": np.zeros((n, WINDOW), np.int64),
        "published": np.zeros((n, WINDOW), np.int64),
        "changed": np.zeros((n, CHANGED_MAX), np.int64),
        "dirty": np.zeros((n, WINDOW), np.uint8),
        "logs": np.zeros((n, LOG_MAX), log_dtype),
        "rows": np.zeros((n, chunk_rows), event_dtype),
        "chance": np.stack([seeded(seed, name) for name in names]),
    }
    open_books(*(state[name] for name in _OPEN))
    return state


def _fill_price(row: np.void, price: Price) -> None:
    row["volatility"] = 1.0
    row["regime"] = 1
    if isinstance(price, Walk):
        row["kind"] = WALK
        row["scale"] = price.scale
        return
    pull_per_ms = _LN2 / (1000.0 * price.half_life_s)
    if isinstance(price, Spread):
        row["kind"] = SPREAD
        row["value"] = price.start
        row["mean"] = price.mean
        row["pull_per_ms"] = pull_per_ms * price.effect
        row["step_sd"] = price.sd * np.sqrt(2.0 * pull_per_ms)
    else:
        row["kind"] = DISLOCATIONS
        row["pull_per_ms"] = pull_per_ms
        row["shocks_per_ms"] = 1.0 / (1000.0 * price.every_s)
        row["shock"] = price.size * price.effect
        row["shock_max"] = price.size_max * price.effect


def _fill_market(market: np.void, item: MarketInstrument, start_ns: int) -> None:
    start_tick = round(item.start_price / item.tick_size)
    market["start_tick"] = start_tick
    market["base_tick"] = start_tick - WINDOW // 2
    market["tick_size"] = item.tick_size
    market["lot_size"] = item.lot_size
    market["lag_ms"] = item.lag_ms
    market["trades_per_ms"] = item.trades_per_s / 1000.0
    market["updates_per_ms"] = item.updates_per_s / 1000.0
    market["touch_lots"] = max(item.touch_qty / item.lot_size, 1.0)
    market["trade_lots"] = max(item.trade_qty / item.lot_size, 0.5)
    market["impact"] = item.impact_ticks
    market["latency_ns"] = item.latency_ns
    market["depth_share"] = item.depth_share
    market["half_ticks"] = item.half_spread_ticks
    market["burst_ticks"] = item.burst_ticks
    market["slack_ticks"] = item.slack_ticks
    market["pulls_per_ms"] = item.pulls_per_s / 1000.0
    market["patience_ticks"] = item.patience_ticks
    market["noise_ticks"] = item.noise_ticks
    market["order_share"] = item.order_share
    market["vanish_share"] = item.vanish_share
    market["queue_lean"] = item.queue_lean
    market["anchor"] = WINDOW // 2 + 0.5
    market["patience"] = item.patience_ticks
    market["liquidity"] = 1.0
    for name in ("lean_short", "lean_middle", "lean_long"):
        market[name] = 1.0
    market["next_depth_ns"] = start_ns
    market["line_free_ns"] = start_ns
    market["local_ns"] = start_ns
