"""Convert a capture: hftd's converter and the reference's in turns, and plain unpacking as a bound.

Run it with `python -m benchmarks.convert [--runs 7] [--json]`; the capture is looked for in `HFTD_TEST_DATA`.
"""

import argparse
import contextlib
import gzip
import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import Row, conditions, machine, ratios, shown, spread, text_table
from hftd.clock import monotonic_ns
from hftd.jit import on_compiled
from sim.archive import check_events, read_events
from sim.convert import convert

NAME = "binancefutures_btcusdt_20240808.gz"
OURS = "hftd"
REFERENCE = "reference"
UNPACKING = "unpacking alone"


def seconds_of(work: Callable[[], object]) -> float:
    start_ns = monotonic_ns()
    work()
    return (monotonic_ns() - start_ns) / 1e9


def reference_converter() -> Callable[[Path, Path], object] | None:
    try:
        from hftbacktest.data.utils import binancefutures as reference
    except ImportError:
        return None
    merge = reference.correct_event_order

    def within_bounds(rows, by_exch, by_local):
        # Its merge reads one index beyond the last and may crash; with one more it does not.
        return merge(rows, np.append(by_exch, 0), np.append(by_local, 0))

    reference.correct_event_order = within_bounds

    def run(capture: Path, output: Path) -> object:
        with contextlib.redirect_stdout(io.StringIO()):
            return reference.convert(str(capture), str(output))

    return run


def measure(runs: int) -> dict[str, Any]:
    """All figures; without the capture, only that it is not there."""
    capture = Path(os.environ.get("HFTD_TEST_DATA", "../shared/data")) / NAME
    if not capture.is_file():
        return {"missing": NAME}
    theirs = reference_converter()
    compiled: list[float] = []
    on_compiled.append(lambda _, seconds: compiled.append(seconds))
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as folder:
        ours_path, theirs_path = Path(folder, "ours.npz"), Path(folder, "theirs.npz")
        work: dict[str, Callable[[], object]] = {OURS: lambda: convert([capture], ours_path)}
        if theirs is not None:
            work[REFERENCE] = lambda: theirs(capture, theirs_path)
        work[UNPACKING] = lambda: len(gzip.decompress(capture.read_bytes()))
        figures: dict[str, Any] = {"capture": capture.name, "runs": runs, "machine": machine()}
        first = {name: seconds_of(run) for name, run in work.items()}
        times: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(runs):
            for name, run in work.items():
                times[name].append(seconds_of(run))
        rows = read_events(ours_path)
        figures |= {
            "rows": len(rows),
            "capture_bytes": capture.stat().st_size,
            "first_s": first,
            "compiled_s": sum(compiled),
            "seconds": {name: spread(found) for name, found in times.items()},
            "archive_bytes": {OURS: ours_path.stat().st_size},
            "check_s": min(seconds_of(lambda: check_events(rows)) for _ in range(runs + 1)),
            "read_s": min(seconds_of(lambda: read_events(ours_path)) for _ in range(runs)),
            "numpy_read_s": min(seconds_of(lambda: np.load(ours_path)["data"]) for _ in range(runs)),
        }
        if theirs is not None:
            figures["archive_bytes"][REFERENCE] = theirs_path.stat().st_size
            figures["rows_are_equal"] = rows.tobytes() == np.load(theirs_path)["data"].tobytes()
            figures["ratio"] = ratios(times[REFERENCE], times[OURS])
        figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
        return figures


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    if "missing" in figures:
        return ["convert", "median (min - max)"], []
    rows: list[Row] = [[name, f"{shown(found, 1.0, 3)} s"] for name, found in figures["seconds"].items()]
    if "ratio" in figures:
        rows.append([f"{REFERENCE} / {OURS}", f"{shown(figures['ratio'])} times as long"])
        rows.append(["rows are equal", "yes" if figures["rows_are_equal"] else "NO"])
    for name, size in figures["archive_bytes"].items():
        rows.append([f"archive of {name}", f"{size / 1e6:.2f} MB"])
    rows.append([f"the first run of {OURS} compiled for", f"{figures['compiled_s']:.1f} s"])
    count = figures["rows"] / 1e6
    rows.append(["reading the archive", f"{count / figures['read_s']:.1f} M rows/s"])
    rows.append(["reading it with numpy", f"{count / figures['numpy_read_s']:.1f} M rows/s"])
    rows.append(["checking its rows", f"{count / figures['check_s']:.0f} M rows/s"])
    return ["convert", "median (min - max)"], rows


def notes(figures: dict[str, Any]) -> list[str]:
    """What else must be known to read the table."""
    if "missing" in figures:
        return [f"there is no capture {figures['missing']}: set HFTD_TEST_DATA"]
    size = f"{figures['capture_bytes'] / 1e6:.1f} MB, {figures['rows']:,} rows"
    return [f"{figures['capture']}: {size}; {figures['runs']} turns", conditions(figures["machine"])]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="of each, after one that compiles")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.runs)
    if options.json:
        print(json.dumps(figures))
        return
    print("\n".join(notes(figures)))
    if "missing" not in figures:
        print(text_table(*table(figures)))


if __name__ == "__main__":
    main()
