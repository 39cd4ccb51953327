"""Convert vendors' files (Tardis, Databento): hftd's converters and the reference's in turns.

Run it with `python -m benchmarks.convert_vendors [--lines 1000000] [--runs 5] [--json]`. The files are generated, as
there are none of the vendors that may be passed on. The reference reads DBN with Databento's package `databento`; in
its place stands a frame that was made before, so its time has no reading of the file in it.
"""

import argparse
import contextlib
import importlib
import io
import json
import random
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.convert import OURS, REFERENCE, seconds_of
from benchmarks.table import Row, conditions, machine, ratios, shown, spread, text_table
from hftd.compiled.jit import on_compiled
from sim.archive import read_events
from sim.convert import convert

START_US = 1_661_904_000_000_000
MBO = np.dtype("u1,u1,<u2,<u4,<i8,<u8,<i8,<u4,u1,u1,S1,S1,<i8,<i4,<u4")


def tardis_files(folder: Path, lines: int) -> list[Path]:
    """A file of trades and one of the book, plain: `lines` in all, a tenth of them trades."""
    chance = random.Random(1)
    book, trades = [], []
    now, mid = START_US, 200_000
    for number in range(1000):
        side, sign = ("bid", -1) if number % 2 else ("ask", 1)
        stamp = f"binance-futures,BTCUSDT,{now},{now + 3_000}"
        book.append(f"{stamp},true,{side},{(mid + sign * (number + 1)) / 10:.1f},{number + 1}\n")
    for number in range(1000, lines):
        now += chance.choice((0, 0, 150, 900))
        stamp = f"binance-futures,BTCUSDT,{now},{now + 3_000 + chance.randrange(400)}"
        mid += chance.choice((-1, 0, 0, 0, 1))
        if chance.random() < 0.1:
            side = chance.choice(("buy", "sell"))
            trades.append(f"{stamp},{number},{side},{mid / 10:.1f},{chance.randrange(1, 5000) / 1000:g}\n")
            continue
        is_bid = chance.random() < 0.5
        tick = mid - chance.randrange(1, 500) if is_bid else mid + chance.randrange(1, 500)
        qty = 0 if chance.random() < 0.3 else chance.randrange(1, 5000) / 1000
        book.append(f"{stamp},false,{'bid' if is_bid else 'ask'},{tick / 10:.1f},{qty:g}\n")
    columns = "exchange,symbol,timestamp,local_timestamp"
    paths = [folder / "trades.csv", folder / "incremental_book_L2.csv"]
    paths[0].write_text(f"{columns},id,side,price,amount\n{''.join(trades)}")
    paths[1].write_text(f"{columns},is_snapshot,side,price,amount\n{''.join(book)}")
    return paths


def dbn_file(folder: Path, records: int) -> tuple[Path, np.ndarray]:
    """A file of orders that are added and cancelled, and its records."""
    chance = np.random.default_rng(1)
    found = np.zeros(records, MBO)
    found["f0"], found["f1"], found["f2"], found["f3"] = 14, 160, 1, 17077
    found["f4"] = START_US * 1000 + np.cumsum(chance.integers(1, 200, records)) * 1000
    found["f12"] = found["f4"] + chance.integers(100, 900, records) * 1000
    pairs = np.arange(records) // 2
    found["f5"] = 6_412_777_162_812 + pairs
    found["f6"] = (19_000 + chance.integers(-50, 50, records)[pairs]) * 250_000_000
    found["f7"] = chance.integers(1, 50, records)[pairs]
    found["f8"] = 128
    found["f10"] = np.where(np.arange(records) % 2, b"C", b"A")
    found["f11"] = np.where(pairs % 2, b"A", b"B")
    head = b"GLBX.MDP3".ljust(16, b"\0") + struct.pack("<HQQQBBBH", 0, START_US * 1000, 0, 0, 1, 0, 0, 71)
    head = head.ljust(100, b"\0") + bytes(20)
    path = folder / "orders.dbn"
    path.write_bytes(b"DBN\x03" + struct.pack("<I", len(head)) + head + found.tobytes())
    return path, found


def _bounded(module: Any) -> None:
    """Give the reference's merge an index more than there are rows: it reads one beyond, and may crash."""
    merge = module.correct_event_order
    module.correct_event_order = lambda rows, by_exch, by_local: merge(
        rows, np.append(by_exch, 0), np.append(by_local, 0)
    )


def reference_tardis(files: list[Path], rows_max: int) -> Callable[[Path], object] | None:
    try:
        module = importlib.import_module("hftbacktest.data.utils.tardis")
    except ImportError:
        return None
    _bounded(module)
    given = [str(path) for path in files]
    return lambda output: module.convert(given, str(output), buffer_size=rows_max)


def reference_databento(path: Path, records: np.ndarray) -> Callable[[Path], object] | None:
    try:
        import polars as pl

        frame = pl.DataFrame(
            {
                "action": records["f10"].astype(str),
                "side": records["f11"].astype(str),
                "price": records["f6"] / 1e9,
                "size": records["f7"],
                "order_id": records["f5"],
                "flags": records["f8"],
            }
        ).with_columns(pl.Series("ts_event", records["f4"]).cast(pl.Datetime("ns", "UTC")))
        index = pl.Series("ts_recv", records["f12"]).cast(pl.Datetime("ns", "UTC"))
        stand_in: Any = ModuleType("databento")
        stand_in.DBNStore = type(
            "Store",
            (),
            {
                "from_bytes": staticmethod(lambda _: stand_in.DBNStore()),
                "to_df": lambda _: _Indexed(frame, index),
            },
        )

        class _Indexed(pl.DataFrame):
            def __init__(self, data: Any, index: Any) -> None:
                super().__init__(data)
                self.index = index

        sys.modules.setdefault("databento", stand_in)
        module = importlib.import_module("hftbacktest.data.utils.databento")
    except ImportError:
        return None
    _bounded(module)
    return lambda output: module.convert(str(path), None, str(output))


def measure(lines: int, runs: int) -> dict[str, Any]:
    """All figures."""
    compiled: list[float] = []
    on_compiled.append(lambda _, seconds: compiled.append(seconds))
    figures: dict[str, Any] = {"lines": lines, "runs": runs, "machine": machine(), "vendors": {}}
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as name:
        folder = Path(name)
        files = tardis_files(folder, lines)
        orders, records = dbn_file(folder, lines)
        cases = {
            "tardis": (files, reference_tardis(files, 3 * lines)),
            "databento": ([orders], reference_databento(orders, records)),
        }
        for vendor, (inputs, theirs) in cases.items():
            figures["vendors"][vendor] = _measured(vendor, inputs, theirs, folder, runs)
    figures["compiled_s"] = sum(compiled)
    figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
    return figures


def _measured(
    vendor: str, inputs: list[Path], theirs: Callable[[Path], object] | None, folder: Path, runs: int
) -> dict[str, Any]:
    ours_path, theirs_path = folder / "ours.npz", folder / "theirs.npz"
    work: dict[str, Callable[[], object]] = {OURS: lambda: convert(inputs, ours_path, venue=vendor)}
    if theirs is not None:
        work[REFERENCE] = lambda: theirs(theirs_path)
    times: dict[str, list[float]] = {name: [] for name in work}
    with contextlib.redirect_stdout(io.StringIO()):
        for run in work.values():
            run()
        for _ in range(runs):
            for name, run in work.items():
                times[name].append(seconds_of(run))
    rows = read_events(ours_path)
    found: dict[str, Any] = {
        "bytes": sum(path.stat().st_size for path in inputs),
        "rows": len(rows),
        "seconds": {name: spread(values) for name, values in times.items()},
    }
    if theirs is not None:
        found["ratio"] = ratios(times[REFERENCE], times[OURS])
        expected = np.load(theirs_path)["data"]
        names = ("ev", "px", "qty", "order_id", "ival")
        found["rows_are_equal"] = len(rows) == len(expected) and all(
            np.array_equal(rows[name], expected[name]) for name in names
        )
    return found


def table(figures: dict[str, Any]) -> tuple[Row, list[Row]]:
    """The figures as a header and rows."""
    rows: list[Row] = []
    for vendor, found in figures["vendors"].items():
        rows += [
            [f"{vendor}: {name}", f"{shown(spent, 1.0, 2)} s"] for name, spent in found["seconds"].items()
        ]
        if "ratio" in found:
            rows.append([f"{vendor}: {REFERENCE} / {OURS}", f"{shown(found['ratio'])} times as long"])
            rows.append([f"{vendor}: rows are equal", "yes" if found["rows_are_equal"] else "NO"])
    return ["convert vendors' files", "median (min - max)"], rows


def notes(figures: dict[str, Any]) -> list[str]:
    """What else must be known to read the table."""
    sizes = ", ".join(
        f"{vendor} {found['bytes'] / 1e6:.0f} MB, {found['rows']:,} rows"
        for vendor, found in figures["vendors"].items()
    )
    return [
        f"generated files: {sizes}; {figures['runs']} turns",
        "the reference is given Databento's records as a frame, so it reads no file there",
        conditions(figures["machine"]),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--lines", type=int, default=1_000_000, help="of Tardis's files; records of Databento's"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each, after one that compiles")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.lines, options.runs)
    if options.json:
        print(json.dumps(figures))
        return
    print("\n".join(notes(figures)))
    print(text_table(*table(figures)))


if __name__ == "__main__":
    main()
