"""What recording the life of orders costs: `python -m benchmarks.life [--json] [--repeat 5] [--times 20]`.

The market maker at steps of 10 ms on columns that were prepared before, with and without the recording, in turns.
"""

# pyright: basic

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.market import Market, market
from benchmarks.sides import MARKET_MAKER, PREPARED, open_side
from benchmarks.table import Row, conditions, machine, ratios, shown, spread, text_table
from hftd.clock import monotonic_ns
from strategies.market_making import market_making


def timed(of: Market, *, recorded: bool) -> tuple[float, int, bytes]:
    """Seconds of a run, the rows that were recorded, and where its account ended."""
    hbt = open_side(PREPARED, of)
    if recorded:
        hbt.record_life()
    start_ns = monotonic_ns()
    market_making(hbt, *MARKET_MAKER.values())
    seconds = (monotonic_ns() - start_ns) / 1e9
    hbt.check()
    rows = len(hbt.life()) + hbt.life_dropped if recorded else 0
    ended = hbt.engine.lanes[0][0]["state"].tobytes()
    hbt.close()
    return seconds, rows, ended


def measure(repeat: int, times: int) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as temporary:
        of = market(times, Path(temporary))
    seconds: dict[bool, list[float]] = {False: [], True: []}
    ends: set[bytes] = set()
    rows = 0
    # The first turn compiles.
    for turn in range(repeat + 1):
        for recorded in seconds:
            took, count, ended = timed(of, recorded=recorded)
            rows = max(rows, count)
            ends.add(ended)
            if turn:
                seconds[recorded].append(took)
    where = machine()
    where["load_1_min_after"] = where["load_1_min"]
    return {
        "market": of.name,
        "rows": len(of.rows),
        "repeat": repeat,
        "machine": where,
        "life_rows": rows,
        "rows_per_s": {
            str(on): spread([len(of.rows) / one for one in found]) for on, found in seconds.items()
        },
        "ratio": ratios(seconds[True], seconds[False]),
        "accounts_are_equal": len(ends) == 1,
    }


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    found = figures["rows_per_s"]
    rows: list[Row] = [
        ["without", f"{shown(found['False'], 1e-6)} M rows/s"],
        [f"with, {figures['life_rows']:,} rows of lives", f"{shown(found['True'], 1e-6)} M rows/s"],
        ["time with / without", f"{shown(figures['ratio'], 1.0, 2)} times"],
        ["accounts equal", "yes" if figures["accounts_are_equal"] else "NO"],
    ]
    return ["market maker, the life of orders", "median (min - max)"], rows


def notes(figures: dict[str, Any]) -> list[str]:
    """What else must be known to read the table."""
    what = f"{figures['rows']:,} rows; {figures['repeat']} turns; steps of 10 ms"
    return [f"{figures['market']}: {what}; prepared columns", conditions(figures["machine"])]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeat", type=int, default=5, help="turns; each runs both sides once")
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
