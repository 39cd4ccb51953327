"""The engine beside the reference's: `python -m benchmarks.engine [--json] [--repeat 5] [--times 20]`.

One market, two strategies (one that only lets time pass, and the market maker), both at steps of 10 ms and
both the same functions for every engine. The sides run in turns, so that the machine's drift touches all of
them; each ratio is between two runs of one turn. Rates are rows of feed a second of the run alone, without
loading and compiling.
"""

# pyright: basic

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bound import Columns
from benchmarks.market import Market, market
from benchmarks.processes import replay_and_bot
from benchmarks.sides import (
    HASH_MAP,
    LATENCY_NS,
    MAKER_FEE,
    MARKET_MAKER,
    OURS,
    PREPARED,
    QUEUE_POWER,
    ROI_VECTOR,
    STEP_NS,
    TAKER_FEE,
    State,
    reference_module,
    timed_run,
)
from benchmarks.strategies import no_op
from benchmarks.table import Row, conditions, machine, ratios, shown, spread, text_table
from hftd.clock import monotonic_ns
from sim.archive import read_events, write_events
from strategies.market_making import market_making

CHANNELS = "hftd replay + hftd bot"
BOUND = "bare loop, prepared columns"
DATE = "20240808"
_SMALL_ROWS = 2_000
_LOADS = 3

STRATEGIES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no-op": (no_op, {"interval_ns": STEP_NS}, "benchmarks.strategies:no_op"),
    "market maker": (market_making, MARKET_MAKER, "strategies.market_making:market_making"),
}


def write_run(folder: Path, of: Market) -> None:
    """The same run as files, for the processes."""
    write_events(folder / f"market_{DATE}.npz", of.rows, level=0)
    (folder / "replay.toml").write_text(f"""
[replay]
data = "market_{{date}}.npz"
[[channels]]
name = "bench"
[[channels.instruments]]
symbol = "market"
tick_size = {of.tick_size}
lot_size = {of.lot_size}
order_latency = {{ model = "constant", entry_ns = {LATENCY_NS}, response_ns = {LATENCY_NS} }}
queue = {{ model = "power3", n = {QUEUE_POWER} }}
fee = {{ model = "value", maker = {MAKER_FEE}, taker = {TAKER_FEE} }}
""")
    for name, (_, parameters, where) in STRATEGIES.items():
        values = "\n".join(f"{key} = {value}" for key, value in parameters.items())
        (folder / f"{name}.toml").write_text(f"""
[bot]
name = "bench"
strategy = "{where}"
[[instruments]]
channel = "bench"
symbol = "market"
tick_size = {of.tick_size}
lot_size = {of.lot_size}
[parameters]
{values}
""")


def run_processes(folder: Path, strategy: str) -> tuple[float, State]:
    """As `timed_run`, over channels."""
    result = replay_and_bot(folder / "replay.toml", folder / f"{strategy}.toml", DATE, ["bench"])
    asset = result["assets"][0]
    state = {name: float(asset[name]) for name in ("position", "balance", "fee", "num_trades")}
    return result["seconds"], state


def compile_all(sides: list[str], of: Market) -> dict[str, dict[str, float]]:
    """Seconds of the first run of each strategy on a few rows: nearly all of it is compiling."""
    small = Market(of.name, of.rows[:_SMALL_ROWS].copy(), of.tick_size, of.lot_size, of.roi, of.is_real)
    found: dict[str, dict[str, float]] = {}
    for name, (function, parameters, _) in STRATEGIES.items():
        found[name] = {
            side: timed_run(side, small, function, tuple(parameters.values()))[0] for side in sides
        }
    return found


def load_seconds(folder: Path) -> dict[str, float]:
    """Reading the whole archive, which is stored without deflate, by hftd and by numpy: the best of a few."""
    path = folder / f"market_{DATE}.npz"
    found: dict[str, list[float]] = {"hftd": [], "numpy": []}
    for _ in range(_LOADS):
        start_ns = monotonic_ns()
        read_events(path)
        found["hftd"].append((monotonic_ns() - start_ns) / 1e9)
        start_ns = monotonic_ns()
        with np.load(path) as archive:
            _ = archive["data"]
        found["numpy"].append((monotonic_ns() - start_ns) / 1e9)
    return {name: min(seconds) for name, seconds in found.items()}


def measure(repeat: int, times: int) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as temporary:
        folder = Path(temporary)
        of = market(times, folder)
        write_run(folder, of)
        sides = [PREPARED, OURS]
        if reference_module() is not None:
            sides += [HASH_MAP, ROI_VECTOR]
        figures: dict[str, Any] = {
            "market": of.name,
            "rows": len(of.rows),
            "repeat": repeat,
            "machine": machine(),
            "first_run_s": compile_all(sides, of),
            "load_s": load_seconds(folder),
        }
        columns = Columns(of, STEP_NS)
        columns.run()
        # The first one writes the caches that the others read.
        for strategy in STRATEGIES:
            run_processes(folder, strategy)
        seconds: dict[str, dict[str, list[float]]] = {
            name: {side: [] for side in [*sides, CHANNELS, BOUND]} for name in STRATEGIES
        }
        ends: dict[str, dict[str, State]] = {name: {} for name in STRATEGIES}
        for _ in range(repeat):
            for name, (function, parameters, _) in STRATEGIES.items():
                for side in sides:
                    took, end = timed_run(side, of, function, tuple(parameters.values()))
                    seconds[name][side].append(took)
                    ends[name].setdefault(side, end)
                took, end = run_processes(folder, name)
                seconds[name][CHANNELS].append(took)
                ends[name].setdefault(CHANNELS, end)
                seconds[name][BOUND].append(columns.run())
        figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
        figures["prepare_rows_per_s"] = len(of.rows) / columns.prepare_s
        figures["strategies"] = {
            name: _summary(seconds[name], ends[name], len(of.rows)) for name in STRATEGIES
        }
        return figures


def _summary(seconds: dict[str, list[float]], ends: dict[str, State], rows: int) -> dict[str, Any]:
    rates = {side: [rows / took for took in found] for side, found in seconds.items()}
    pairs = [
        (PREPARED, HASH_MAP),
        (PREPARED, ROI_VECTOR),
        (OURS, HASH_MAP),
        (OURS, ROI_VECTOR),
        (CHANNELS, HASH_MAP),
        (CHANNELS, ROI_VECTOR),
        (PREPARED, BOUND),
    ]
    return {
        "rows_per_s": {side: spread(found) for side, found in rates.items()},
        "ratios": {
            f"{ours} / {theirs}": ratios(rates[ours], rates[theirs])
            for ours, theirs in pairs
            if ours in rates and theirs in rates
        },
        "ends": ends,
        "ends_are_equal": all(end == ends[OURS] for end in ends.values()),
    }


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    rows: list[Row] = []
    for name, found in figures["strategies"].items():
        for side, rate in found["rows_per_s"].items():
            rows.append([name, side, f"{shown(rate, 1e-6)} M rows/s"])
        for pair, ratio in found["ratios"].items():
            rows.append([name, pair, f"{shown(ratio, 1.0, 2)} times"])
        rows.append(
            [name, "position, balance, fee and trades equal", "yes" if found["ends_are_equal"] else "NO"]
        )
    for name, sides in figures["first_run_s"].items():
        for side, seconds in sides.items():
            rows.append([name, f"{side}, first call: compile or load", f"{seconds:.2f} s"])
    rows.append(
        ["", "preparing both sides' columns alone", f"{figures['prepare_rows_per_s'] / 1e6:.0f} M rows/s"]
    )
    for reader, seconds in figures["load_s"].items():
        rows.append(["", f"loading the archive (stored), {reader}", f"{seconds:.2f} s"])
    return ["strategy", "what", "median (min - max)"], rows


def notes(figures: dict[str, Any]) -> list[str]:
    """What else must be known to read the table."""
    return [
        f"{figures['market']}: {figures['rows']:,} rows; {figures['repeat']} turns; steps of 10 ms",
        conditions(figures["machine"]),
    ]


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
