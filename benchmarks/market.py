"""The market of the benchmarks: a real capture, repeated on a shifted clock, or else a generated one."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hftd.types import KIND_MASK, TRADE_EVENT, event_dtype
from sim.archive import read_events
from sim.convert import convert
from sim.generate import DEMO, generate_day

CAPTURE = "binancefutures_btcusdt_20240808.gz"
ROI_MARGIN = 0.1
"""The range of interest reaches that part of the price beyond the lowest and the highest trade."""

_PAUSE_NS = 1_000_000_000
_GENERATED_S = 600.0
_SEED = 20240808


@dataclass(frozen=True, eq=False)
class Market:
    """One instrument's rows.

    Attributes:
        name: What they are, for whoever reads the figures.
        rows: Shape (n,), `event_dtype`.
        tick_size: The price's step.
        lot_size: The quantity's step.
        roi: The lowest and highest price of interest.
        is_real: Whether they were captured at an exchange.
    """

    name: str
    rows: np.ndarray
    tick_size: float
    lot_size: float
    roi: tuple[float, float]
    is_real: bool


def market(times: int, folder: Path) -> Market:
    """The capture in `HFTD_TEST_DATA`, converted and repeated.

    Args:
        times: How often.
        folder: For the archive on the way.
    """
    capture = Path(os.environ.get("HFTD_TEST_DATA", "../shared/data")) / CAPTURE
    if capture.is_file():
        archive = folder / "capture.npz"
        convert([capture], archive)
        rows = read_events(archive)
        name = f"{CAPTURE}, {len(rows):,} rows, {times} times"
    else:
        rows = generate_day(_SEED, DEMO[:1], "20240808", _GENERATED_S)[DEMO[0].symbol]
        name = f"a generated market (there is no {CAPTURE}), {len(rows):,} rows, {times} times"
    trades = rows["px"][(rows["ev"] & np.uint64(KIND_MASK)) == TRADE_EVENT]
    roi = (float(trades.min()) * (1.0 - ROI_MARGIN), float(trades.max()) * (1.0 + ROI_MARGIN))
    return Market(name, repeated(rows, times), 0.1, 0.001, roi, capture.is_file())


def repeated(rows: np.ndarray, times: int) -> np.ndarray:
    """The rows `times` times, each copy behind the one before it on both clocks."""
    spans = [int(rows[clock].max()) - int(rows[clock].min()) for clock in ("exch_ts", "local_ts")]
    shift_ns = max(spans) + _PAUSE_NS
    out = np.empty(len(rows) * times, event_dtype)
    for number in range(times):
        part = out[number * len(rows) : (number + 1) * len(rows)]
        part[:] = rows
        part["exch_ts"] += number * shift_ns
        part["local_ts"] += number * shift_ns
    return out
