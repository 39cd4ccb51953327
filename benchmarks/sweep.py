"""A sweep's pass beside repeated backtests: `python -m benchmarks.sweep [--points 16,64] [--json]`.

The market maker at steps of 10 ms, each point with another half spread. Both sides play the same points on prepared
columns, in turns, and the results are compared. Rates are rows of feed times points a second of one core, with all that
a point costs: setting up, playing, and the result.
"""

# pyright: basic

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.engine import DATE, write_run
from benchmarks.market import market
from benchmarks.table import Row, conditions, machine, ratios, shown, spread, text_table
from hftd.bot.config import BotConfig
from hftd.clock import monotonic_ns
from hftd.config import load
from sim.config import ReplayConfig
from sim.sweeps.play import Failure, Outcome, Setup, play

ALONE = "a backtest for each point"
TOGETHER = "one pass"


def _points(count: int) -> list[dict[str, Any]]:
    return [{"half_spread_ticks": 4.0 + 16.0 * number / count} for number in range(count)]


def _told(outcome: Outcome) -> list[str]:
    return [outcome.reason] if isinstance(outcome, Failure) else [repr(asset) for asset in outcome.assets]


def _played(setup: Setup, points: list[dict[str, Any]], *, alone: bool) -> tuple[float, list[Any]]:
    """Seconds, and what each point came to."""
    found: list[Any] = []
    start_ns = monotonic_ns()
    play(setup, [DATE], points, lambda _, outcome: found.append(_told(outcome)), alone=alone)
    return (monotonic_ns() - start_ns) / 1e9, found


def measure(counts: list[int], repeat: int, times: int) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as temporary:
        folder = Path(temporary)
        of = market(times, folder)
        write_run(folder, of)
        replay, bot = (
            load(folder / "replay.toml", ReplayConfig),
            load(folder / "market maker.toml", BotConfig),
        )
        setup = Setup(replay, folder, bot, folder)
        for alone in (True, False):
            # Compiled and prepared before.
            _played(setup, _points(2), alone=alone)
        figures: dict[str, Any] = {
            "machine": machine(),
            "market": of.name,
            "rows": len(of.rows),
            "times": times,
            "repeat": repeat,
            "points": {},
        }
        for count in counts:
            rates: dict[str, list[float]] = {ALONE: [], TOGETHER: []}
            for _ in range(repeat):
                states = {}
                for name, alone in ((ALONE, True), (TOGETHER, False)):
                    seconds, states[name] = _played(setup, _points(count), alone=alone)
                    rates[name].append(len(of.rows) * count / seconds)
                if states[ALONE] != states[TOGETHER]:
                    raise RuntimeError("a pass and backtests do not come to the same")
            figures["points"][str(count)] = {
                "alone": spread(rates[ALONE]),
                "together": spread(rates[TOGETHER]),
                "ratio": ratios(rates[TOGETHER], rates[ALONE]),
            }
        figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
    return figures


def notes(figures: dict[str, Any]) -> list[str]:
    """What was measured."""
    return [
        conditions(figures["machine"]),
        f"{figures['market']} = {figures['rows']:,} rows; {figures['repeat']} turns; both sides came to the same.",
    ]


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """A row for each number of points."""
    header = ["points", f"{ALONE}, M row-points/s", f"{TOGETHER}, M row-points/s", "ratio"]
    rows: list[Row] = [
        [count, shown(of["alone"], 1e-6), shown(of["together"], 1e-6), shown(of["ratio"], digits=2)]
        for count, of in figures["points"].items()
    ]
    return header, rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--points", default="16,64,256")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    figures = measure([int(count) for count in options.points.split(",")], options.repeat, options.times)
    if options.json:
        print(json.dumps(figures))
        return
    print("\n".join(notes(figures)))
    print(text_table(*table(figures)))


if __name__ == "__main__":
    main()
