"""Convert generated captures of Bybit, Hyperliquid and MEXC: hftd's converters and the reference's in turns.

Run it with `python -m benchmarks.convert_venues [--runs 3] [--messages 20000] [--json]`. Both make the same rows
(`hftbacktest_rows`); that they do is what the parity tests look at.
"""

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.convert import seconds_of
from benchmarks.convert_captures import CAPTURES
from benchmarks.table import Row, conditions, machine, ratios, shown, spread, text_table
from sim.convert import Options, convert

OURS = "hftd"
REFERENCE = "reference"
_ROWS_MAX = 20_000_000
"""What the reference reserves."""


def _theirs() -> dict[str, Callable[[list[Path], Path], object]]:
    """The reference's converters by the names of ours; none where it is not installed."""
    try:
        from hftbacktest.data.utils import bybit, bybithistmktdata, hyperliquid, mexc
    except ImportError:
        return {}
    for module in (bybit, bybithistmktdata, hyperliquid, mexc):
        merge = module.correct_event_order
        # Its merge reads one index beyond the last and may crash; with one more it does not.
        module.correct_event_order = lambda rows, by_exch, by_local, merge=merge: merge(
            rows, np.append(by_exch, 0), np.append(by_local, 0)
        )
    size = {"buffer_size": _ROWS_MAX}
    return {
        "bybit": lambda paths, output: bybit.convert_depth(str(paths[0]), str(output), **size),
        "bybithistory": lambda paths, output: bybithistmktdata.convert(
            str(paths[0]), str(paths[1]), str(output), feed_latency=5_000_000, **size
        ),
        "hyperliquid": lambda paths, output: hyperliquid.convert(
            str(paths[0]), 0.1, 0.001, output_filename=str(output), **size
        ),
        "mexc": lambda paths, output: mexc.convert(str(paths[0]), str(output), **size),
    }


def _options(venue: str) -> Options:
    return Options(hftbacktest_rows=True, latency_ns=5_000_000 if venue == "bybithistory" else 0)


def _measure_one(
    venue: str, theirs: Callable[[list[Path], Path], object] | None, messages: int, runs: int
) -> Any:
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as folder:
        inputs = CAPTURES[venue](Path(folder), messages)
        ours_path, theirs_path = Path(folder, "ours.npz"), Path(folder, "theirs.npz")
        options = _options(venue)
        report = convert(inputs, ours_path, venue=venue, options=options)
        work: dict[str, Callable[[], object]] = {
            OURS: lambda: convert(inputs, ours_path, venue=venue, options=options)
        }
        if theirs is not None:
            work[REFERENCE] = lambda: theirs(inputs, theirs_path)
        times: dict[str, list[float]] = {name: [] for name in work}
        with contextlib.redirect_stdout(io.StringIO()):
            for run in range(runs + 1):
                for name, call in work.items():
                    seconds = seconds_of(call)
                    # The first turn of each compiles.
                    if run:
                        times[name].append(seconds)
        found: dict[str, Any] = {
            "rows": report.rows,
            "text_bytes": report.bytes_text,
            "seconds": {name: spread(values) for name, values in times.items()},
        }
        if theirs is not None:
            found["ratio"] = ratios(times[REFERENCE], times[OURS])
            with np.load(theirs_path) as archive:
                found["rows_of_reference"] = len(archive["data"])
        return found


def measure(runs: int, messages: int) -> dict[str, Any]:
    """All figures."""
    theirs = _theirs()
    figures: dict[str, Any] = {"runs": runs, "messages": messages, "machine": machine(), "venues": {}}
    for venue in CAPTURES:
        figures["venues"][venue] = _measure_one(venue, theirs.get(venue), messages, runs)
    figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
    return figures


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    rows: list[Row] = []
    for venue, found in figures["venues"].items():
        seconds = found["seconds"]
        rate = found["text_bytes"] / 1e6 / seconds[OURS]["median"]
        theirs = f"{shown(seconds[REFERENCE], 1.0, 2)} s" if REFERENCE in seconds else ""
        ratio = shown(found["ratio"]) if "ratio" in found else ""
        rows.append([venue, f"{shown(seconds[OURS], 1.0, 2)} s", f"{rate:.0f} MB/s", theirs, ratio])
    return ["convert", OURS, "text", REFERENCE, "times as long"], rows


def notes(figures: dict[str, Any]) -> list[str]:
    """What else must be known to read the table."""
    sizes = ", ".join(
        f"{venue} {found['text_bytes'] / 1e6:.0f} MB and {found['rows']:,} rows"
        for venue, found in figures["venues"].items()
    )
    return [
        f"generated captures of {figures['messages']:,} books each: {sizes}; {figures['runs']} turns",
        conditions(figures["machine"]),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each, after one that compiles")
    parser.add_argument("--messages", type=int, default=20_000, help="books in each capture")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.runs, options.messages)
    if options.json:
        print(json.dumps(figures))
        return
    print("\n".join(notes(figures)))
    print(text_table(*table(figures)))


if __name__ == "__main__":
    main()
