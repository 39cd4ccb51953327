"""From the path of an archive to a result: `python -m benchmarks.archives [--rows 100000000] [--days 1] [--json]`.

One generated day, as deflated npz: hftd's first run, which prepares it meanwhile; its second, which maps what was
prepared; and the reference's, which reads the file with numpy. Each run is a process of its own that has compiled
and run the same strategy on a small file before; the time is that from the path to the end of the data, and the
memory is the process's highest resident size (VmHWM).
"""

# pyright: basic

import argparse
import importlib
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import environment, finish, start
from benchmarks.sides import LATENCY_NS, MAKER_FEE, MARKET_MAKER, QUEUE_POWER, TAKER_FEE, reference_module
from benchmarks.table import conditions, machine, text_table
from hftd.clock import monotonic_ns
from hftd.types import event_dtype
from sim.archive import write_blocks, write_events
from sim.generate import DEMO, generate_day
from strategies.market_making import market_making

FIRST = "hftd, first run"
SECOND = "hftd, second run"
REFERENCE = "reference"
_PIECE_ROWS = 1_000_000
_PIECE_S = 864.0
_BUSY = replace(DEMO[0], updates_per_s=3600.0, trades_per_s=28.0)
"""A hundred million rows in a day are a thousand a second: more than twice as many as the demo's market has."""
_SMALL_ROWS = 20_000
_PAUSE_NS = 1_000_000_000
_SEED = 20240808


def piece() -> np.ndarray:
    """Rows of a generated market that a day is made of."""
    return generate_day(_SEED, [_BUSY], "20240808", _PIECE_S)[_BUSY.symbol][:_PIECE_ROWS]


def write_days(folder: Path, rows: int, days: int, of: np.ndarray) -> list[Path]:
    """Archives of `rows` rows each: the piece again and again on a shifted clock, never in memory as a whole."""
    span_ns = int(max(of["local_ts"][-1], of["exch_ts"][-1]) - of["exch_ts"][0]) + _PAUSE_NS
    shifted = 0

    def blocks() -> Any:
        nonlocal shifted
        left = rows
        while left > 0:
            part = of[:left].copy()
            part["exch_ts"] += shifted * span_ns
            part["local_ts"] += shifted * span_ns
            shifted += 1
            left -= len(part)
            # In blocks of 32,768 rows, which the packing threads share.
            for at in range(0, len(part), 1 << 15):
                yield part[at : at + (1 << 15)]

    paths = [folder / f"day{number}.npz" for number in range(days)]
    for path in paths:
        write_blocks(path, event_dtype, rows, blocks())
    return paths


def opened(is_reference: bool, paths: list[str]) -> Any:
    """An `hbt` at the beginning."""
    module: Any = importlib.import_module("hftbacktest" if is_reference else "sim")
    asset = (
        module.BacktestAsset()
        .data(paths)
        .linear_asset(1.0)
        .constant_order_latency(LATENCY_NS, LATENCY_NS)
        .power_prob_queue_model3(QUEUE_POWER)
        .no_partial_fill_exchange()
        .trading_value_fee_model(MAKER_FEE, TAKER_FEE)
        .tick_size(0.1)
        .lot_size(0.001)
        .last_trades_capacity(0)
    )
    return module.HashMapMarketDepthBacktest([asset])


def run_side(side: str, small: str, paths: list[str]) -> dict[str, Any]:
    """In a child: compile on the small file, then run; seconds, memory, and where it ended."""
    is_reference = side == REFERENCE
    arguments = tuple(MARKET_MAKER.values())
    seconds = 0.0
    for files in ([small], paths):
        start_ns = monotonic_ns()
        hbt = opened(is_reference, files)
        market_making(hbt, *arguments)
        values = hbt.state_values(0)
        state = [float(getattr(values, name)) for name in ("position", "balance", "fee", "num_trades")]
        hbt.close()
        seconds = (monotonic_ns() - start_ns) / 1e9
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"side": side, "seconds": seconds, "peak_mb": int(peak.split()[1]) / 1024, "state": state}


def measure(rows: int, days: int, sides: list[str]) -> dict[str, Any]:
    """All sides on the same files, one after the other."""
    where: dict[str, Any] = machine()
    with tempfile.TemporaryDirectory(prefix="hftd-archives-") as name:
        folder = Path(name)
        of = piece()
        small = folder / "small.npz"
        write_events(small, of[:_SMALL_ROWS])
        paths = write_days(folder, rows, days, of)
        del of
        env = environment(HFTD_PREPARED_DIR=str(folder / "prepared"))
        found = []
        for side in sides:
            # Compiling takes memory too: it is over before anything is measured.
            finish(start(["benchmarks.archives", "--side", side, str(small), str(small)], env))
            child = start(["benchmarks.archives", "--side", side, str(small), *map(str, paths)], env)
            found.append(json.loads(finish(child).splitlines()[-1]))
        prepared = sum(path.stat().st_size for path in (folder / "prepared").glob("*.v*"))
        sizes = {"npz_bytes": sum(path.stat().st_size for path in paths), "prepared_bytes": prepared}
    where["load_1_min_after"] = os.getloadavg()[0]
    return {"rows": rows * days, "days": days, "machine": where, "sides": found, **sizes}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000, help="of one day")
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--no-reference", action="store_true", help="which needs all rows in memory")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        sys.stdout.write(json.dumps(run_side(options.side[0], options.side[1], options.side[2:])) + "\n")
        return
    has_reference = reference_module() is not None and not options.no_reference
    sides = [*([REFERENCE] if has_reference else []), FIRST, SECOND]
    found = measure(options.rows, options.days, sides)
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    theirs = next((side["seconds"] for side in found["sides"] if side["side"] == REFERENCE), None)
    table = [
        (
            side["side"],
            f"{side['seconds']:.2f}",
            f"{found['rows'] / side['seconds'] / 1e6:.1f}",
            f"{theirs / side['seconds']:.1f}" if theirs else "-",
            f"{side['peak_mb']:.0f}",
        )
        for side in found["sides"]
    ]
    sys.stdout.write(conditions(found["machine"]) + "\n")
    sys.stdout.write(
        f"{found['rows']:,} rows in {found['days']} file(s): {found['npz_bytes'] / 1e6:.0f} MB of npz,"
        f" {found['prepared_bytes'] / 1e6:.0f} MB prepared\n"
    )
    header = ("from path to result", "seconds", "M rows/s", "times the reference", "peak MB")
    sys.stdout.write(text_table(header, table) + "\n")


if __name__ == "__main__":
    main()
