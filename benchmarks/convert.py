"""Convert a capture: hftd's converter and the reference's in turns, and plain unpacking as a bound.

Run it with `python -m benchmarks.convert [--runs 7]`; the capture is looked for in `HFTD_TEST_DATA`.
"""

import argparse
import contextlib
import gzip
import io
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hftd.clock import monotonic_ns
from hftd.jit import on_compiled
from sim.archive import check_events, read_events
from sim.convert import convert

NAME = "binancefutures_btcusdt_20240808.gz"


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="of each, after one that compiles")
    runs = parser.parse_args().runs
    capture = Path(os.environ.get("HFTD_TEST_DATA", "../shared/data")) / NAME
    if not capture.is_file():
        sys.exit(f"there is no capture {capture}: set HFTD_TEST_DATA")
    theirs = reference_converter()
    compiled: list[float] = []
    on_compiled.append(lambda _, seconds: compiled.append(seconds))
    with tempfile.TemporaryDirectory() as folder:
        ours_path, theirs_path = Path(folder, "ours.npz"), Path(folder, "theirs.npz")
        work: dict[str, Callable[[], object]] = {"hftd": lambda: convert([capture], ours_path)}
        if theirs is not None:
            work["reference"] = lambda: theirs(capture, theirs_path)
        work["unpacking alone"] = lambda: len(gzip.decompress(capture.read_bytes()))
        first = {name: seconds_of(run) for name, run in work.items()}
        times: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(runs):
            for name, run in work.items():
                times[name].append(seconds_of(run))
        rows = read_events(ours_path)
        print(f"{capture.name}: {capture.stat().st_size / 1e6:.1f} MB, {len(rows):,} rows, {runs} runs each")
        for name in work:
            median = statistics.median(times[name])
            print(
                f"{name:16} median {median:.3f} s, best {min(times[name]):.3f} s, first {first[name]:.2f} s"
            )
        if compiled:
            print(f"the first run of hftd compiled for {sum(compiled):.1f} s, once for all processes")
        print(f"hftd writes {ours_path.stat().st_size / 1e6:.2f} MB", end="")
        if theirs is not None:
            ratio = statistics.median(times["reference"]) / statistics.median(times["hftd"])
            is_equal = rows.tobytes() == np.load(theirs_path)["data"].tobytes()
            print(f", the reference {theirs_path.stat().st_size / 1e6:.2f} MB; rows are equal: {is_equal}")
            print(f"hftd is {ratio:.1f} times as fast")
        else:
            print("; the reference is not installed")
        check_s = min(seconds_of(lambda: check_events(rows)) for _ in range(runs + 1))
        read_s = min(seconds_of(lambda: read_events(ours_path)) for _ in range(runs))
        numpy_s = min(seconds_of(lambda: np.load(ours_path)["data"]) for _ in range(runs))
        count = len(rows) / 1e6
        print(f"reading {count / read_s:.1f} M rows/s (numpy {count / numpy_s:.1f}), ", end="")
        print(f"checking {count / check_s:.0f} M rows/s")


if __name__ == "__main__":
    main()
