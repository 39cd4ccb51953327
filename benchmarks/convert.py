"""Convert captures: hftd's converters and the reference's in turns, and the memory that they take.

Run it with `python -m benchmarks.convert [--runs 5] [--lines 200000] [--json]`; real captures are looked for in
`HFTD_TEST_DATA`, files of other formats are generated.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.convert_cases import Case, cases, data
from benchmarks.processes import ROOT, environment
from benchmarks.table import Row, conditions, machine, ratios, shown, spread, text_table
from hftd.clock import monotonic_ns
from hftd.compiled.jit import on_compiled
from sim.archive import check_events, read_events
from sim.convert import convert

NAME = "binancefutures_btcusdt_20240808.gz"
OURS = "hftd"
REFERENCE = "reference"


def seconds_of(work: Callable[[], object]) -> float:
    start_ns = monotonic_ns()
    work()
    return (monotonic_ns() - start_ns) / 1e9


def measure_case(case: Case, runs: int, folder: Path) -> dict[str, Any]:
    """Both converters in turns, after one run of each that compiles."""
    ours_path, theirs_path = folder / "ours.npz", folder / "theirs.npz"
    theirs = case.theirs
    work: dict[str, Callable[[], object]] = {
        OURS: lambda: convert(case.inputs, ours_path, venue=case.venue, options=case.options),
    }
    if theirs is not None:
        work[REFERENCE] = lambda: theirs(theirs_path)
    for run in work.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, run in work.items():
            times[name].append(seconds_of(run))
    rows = read_events(ours_path)
    check_events(rows)
    figures: dict[str, Any] = {
        "rows": len(rows),
        "seconds": {name: spread(found) for name, found in times.items()},
        "archive_bytes": {OURS: ours_path.stat().st_size},
    }
    if theirs is not None:
        figures["ratio"] = ratios(times[REFERENCE], times[OURS])
        figures["archive_bytes"][REFERENCE] = theirs_path.stat().st_size
        if case.rows_are_comparable:
            figures["rows_are_equal"] = rows.tobytes() == np.load(theirs_path)["data"].tobytes()
    return figures


def measure_memory(lines: int, names: list[str]) -> dict[str, Any]:
    """The memory of a long conversion by each, in processes of their own."""
    found: dict[str, Any] = {}
    for name in names:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.convert_memory", name, str(lines)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            check=True,
        )
        found[name] = json.loads(done.stdout)
    return found


def measure(runs: int = 5, lines: int = 200_000) -> dict[str, Any]:
    """All figures."""
    compiled: list[float] = []
    on_compiled.append(lambda _, seconds: compiled.append(seconds))
    figures: dict[str, Any] = {"runs": runs, "lines": lines, "machine": machine()}
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as name:
        folder = Path(name)
        found = cases(folder)
        figures["cases"] = {case.name: measure_case(case, runs, folder) for case in found}
        capture = data(NAME)
        if capture.is_file():
            path = folder / "read.npz"
            convert([capture], path)
            rows = read_events(path)
            figures["reading"] = {
                "rows": len(rows),
                "unpacking_s": min(
                    seconds_of(lambda: gzip.decompress(capture.read_bytes())) for _ in range(runs)
                ),
                "check_s": min(seconds_of(lambda: check_events(rows)) for _ in range(runs + 1)),
                "read_s": min(seconds_of(lambda: read_events(path)) for _ in range(runs)),
                "numpy_read_s": min(seconds_of(lambda: np.load(path)["data"]) for _ in range(runs)),
            }
        with_reference = any(case.theirs for case in found)
    figures["memory"] = measure_memory(lines, [OURS, REFERENCE] if with_reference else [OURS])
    figures["compiled_s"] = sum(compiled)
    figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
    return figures


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    rows: list[Row] = []
    for name, case in figures["cases"].items():
        rows += [[f"{name}, {who}", f"{shown(found, 1.0, 3)} s"] for who, found in case["seconds"].items()]
        if "ratio" in case:
            rows.append([f"{name}, {REFERENCE} / {OURS}", f"{shown(case['ratio'])} times as long"])
        if "rows_are_equal" in case:
            rows.append([f"{name}, rows are equal", "yes" if case["rows_are_equal"] else "NO"])
        sizes = ", ".join(f"{who} {size / 1e6:.2f} MB" for who, size in case["archive_bytes"].items())
        rows.append([f"{name}, archive of {case['rows']:,} rows", sizes])
    for who, found in figures["memory"].items():
        more = (found["after"] - found["before"]) / 1e6
        what = f"{found['rows'] / 1e6:.1f} M rows of a generated capture, {who}"
        rows.append([what, f"{more:,.0f} MB above {found['before'] / 1e6:,.0f} MB, {found['seconds']:.1f} s"])
    if figures["compiled_s"] > 0.05:
        rows.append([f"the first runs of {OURS} compiled for", f"{figures['compiled_s']:.1f} s"])
    if "reading" in figures:
        reading = figures["reading"]
        count = reading["rows"] / 1e6
        rows.append([f"unpacking {NAME} alone", f"{reading['unpacking_s']:.3f} s"])
        rows.append(["reading its archive", f"{count / reading['read_s']:.1f} M rows/s"])
        rows.append(["reading it with numpy", f"{count / reading['numpy_read_s']:.1f} M rows/s"])
        rows.append(["checking its rows", f"{count / reading['check_s']:.0f} M rows/s"])
    return ["convert", "median (min - max)"], rows


def notes(figures: dict[str, Any]) -> list[str]:
    """What else must be known to read the table."""
    about = [f"{figures['runs']} turns; memory: resident, of a process of its own"]
    if "reading" not in figures:
        about.append(f"there is no capture {NAME}: set HFTD_TEST_DATA")
    return [*about, conditions(figures["machine"])]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each, after one that compiles")
    parser.add_argument("--lines", type=int, default=200_000, help="of the capture whose memory is measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.runs, options.lines)
    if options.json:
        print(json.dumps(figures))
        return
    print("\n".join(notes(figures)))
    print(text_table(*table(figures)))


if __name__ == "__main__":
    main()
