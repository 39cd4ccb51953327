"""What a market maker comes to on files, and how they are made."""

from pathlib import Path
from typing import Any

import numpy as np

from sim.archive import write_events
from sim.backtest import HashMapMarketDepthBacktest
from sim.feed.asset import BacktestAsset
from sim.feed.layout import KEEP_SOME
from sim.feed.make import Wanted
from sim.generate import DEMO, generate_day
from strategies.market_making import market_making

MAKER = (8.0, 2.0, 0.01, 0.1, 10_000_000)
WANTED = Wanted(DEMO[0].tick_size, DEMO[0].lot_size, False, KEEP_SOME)


def some_day(seed: int = 3, seconds: float = 8.0) -> np.ndarray:
    """A few seconds of a market."""
    return generate_day(seed, DEMO[:1], "20220831", duration_s=seconds)[DEMO[0].symbol]


def on_disk(path: Path, rows: np.ndarray) -> Path:
    """The rows as an archive."""
    write_events(path, rows)
    return path


def maker_on(*data: Any) -> Any:
    """A backtest over files or arrays."""
    asset = (
        BacktestAsset()
        .data(list(data))
        .tick_size(DEMO[0].tick_size)
        .lot_size(DEMO[0].lot_size)
        .last_trades_capacity(1000)
        .constant_order_latency(1_000_000, 1_000_000)
        .power_prob_queue_model3(3.0)
    )
    return HashMapMarketDepthBacktest([asset])


def result_of(hbt: Any) -> bytes:
    """Records, fills and rows of a market maker's run."""
    hbt.record_every(10_000_000)
    market_making(hbt, *MAKER)
    hbt.check()
    assert len(hbt.fills()) > 0
    hbt.engine.stop()
    return hbt.records().tobytes() + hbt.fills().tobytes() + str(hbt.rows()).encode()
