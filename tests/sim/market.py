"""Small markets, made up row by row or from a seed, and backtests on them."""

import numpy as np

from hftd.types import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
    event_dtype,
)
from sim import BacktestAsset

BOTH = EXCH_EVENT | LOCAL_EVENT
START_NS = 1_723_075_200_000_000_000
TICK_SIZE = 0.5
LOT_SIZE = 0.01


def event_rows(*rows):
    """Rows of (ev, exch_ts, local_ts, px, qty), with what else they hold zero."""
    made = np.zeros(len(rows), event_dtype)
    for i, row in enumerate(rows):
        made[i] = (*row, 0, 0, 0.0)
    return made


def random_market(seed, count=4000, feed_latency_ns=3_000_000):
    """A market around 100 whose rows are valid on both clocks: depth, trades and user events."""
    random = np.random.default_rng(seed)
    rows = np.zeros(count, event_dtype)
    rows["exch_ts"] = START_NS + np.sort(random.integers(0, count * 1_000_000, count))
    rows["local_ts"] = rows["exch_ts"] + feed_latency_ns
    kinds = random.choice([DEPTH_EVENT, TRADE_EVENT, USER_DEFINED_EVENT + 1], count, p=[0.8, 0.15, 0.05])
    is_bid = random.random(count) < 0.5
    sides = np.where(is_bid, BUY_EVENT, SELL_EVENT)
    rows["ev"] = BOTH | kinds | np.where(kinds > TRADE_EVENT, 0, sides)
    mid = 200 + np.round(6 * np.sin(np.arange(count) / 300)).astype(int)
    away = random.geometric(0.3, count)
    at_touch = (kinds == TRADE_EVENT) & (random.random(count) < 0.7)
    ticks = np.where(is_bid ^ (kinds == TRADE_EVENT), mid - away, mid + away)
    rows["px"] = np.where(at_touch, mid, ticks) * TICK_SIZE
    rows["qty"] = np.where(
        (kinds == DEPTH_EVENT) & (random.random(count) < 0.2), 0, random.integers(1, 300, count) * LOT_SIZE
    )
    rows["ival"] = np.arange(count)
    return rows


def asset_of(data, **options):
    """An asset with that data, and builder methods called by name."""
    asset = BacktestAsset().data(data).tick_size(TICK_SIZE).lot_size(LOT_SIZE)
    for name, value in options.items():
        getattr(asset, name)(*value) if isinstance(value, tuple) else getattr(asset, name)(value)
    return asset
