"""What the converters are measured on: real captures, generated files, and what the reference does with each."""

import contextlib
import gzip
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.convert_captures import CAPTURES
from sim.convert import Options

MS = 1_735_689_600_012
_LINES = 250_000
_BOOKS = 20_000
_ROWS_MAX = 20_000_000
"""What the reference reserves."""
_LATENCY_NS = 5_000_000


class Case(NamedTuple):
    """One conversion, by both.

    Attributes:
        name: What it is called in the table.
        venue: hftd's converter.
        inputs: Its inputs.
        theirs: The reference's conversion of the same messages; None where it is not installed.
        rows_are_comparable: Whether its rows can be compared as they are.
        options: Of hftd's converter.
    """

    name: str
    venue: str
    inputs: list[Path]
    theirs: Callable[[Path], object] | None
    rows_are_comparable: bool = True
    options: Options = Options()


def data(name: str) -> Path:
    """A real capture."""
    return Path(os.environ.get("HFTD_TEST_DATA", "../shared/data")) / name


def reference(
    module: str, arguments: Callable[[Path], tuple[Any, ...]], function: str = "convert"
) -> Callable[[Path], object] | None:
    """One of the reference's converters, as a function of the output; None where it is not installed."""
    try:
        found = __import__(f"hftbacktest.data.utils.{module}", fromlist=[function])
    except ImportError:
        return None
    merge = found.correct_event_order

    def within_bounds(rows, by_exch, by_local):
        # Its merge reads one index beyond the last and may crash; with one more it does not.
        return merge(rows, np.append(by_exch, 0), np.append(by_local, 0))

    found.correct_event_order = within_bounds

    def run(output: Path) -> object:
        with contextlib.redirect_stdout(io.StringIO()):
            return getattr(found, function)(*arguments(output))

    return run


def cases(folder: Path) -> list[Case]:
    """Those for which there is data; generated files are put into the folder."""
    found: list[Case] = []
    for name, venue in (
        ("binancefutures_btcusdt_20240808.gz", "binancefutures"),
        ("binancecoinm_btcusd_perp_20240808.gz", "binancecoinm"),
    ):
        capture = data(name)
        if capture.is_file():
            theirs = reference("binancefutures", lambda output, path=capture: (str(path), str(output)))
            found.append(Case(venue, venue, [capture], theirs, options=Options(hftbacktest_rows=True)))
    spot = data("binancespot_btcusdt_20240808.gz")
    if spot.is_file():
        alike = as_futures(spot, folder / "alike.gz")
        theirs = reference("binancefutures", lambda output: (str(alike), str(output)))
        found.append(
            Case("binancespot", "binancespot", [spot], theirs, options=Options(hftbacktest_rows=True))
        )
    depth, trades = history(folder)
    theirs = reference("binancehistmktdata", lambda output: (str(depth), str(trades), str(output)))
    found.append(Case("binancehistory (generated)", "binancehistory", [depth, trades], theirs, False))
    return found + generated(folder)


def generated(folder: Path) -> list[Case]:
    """Captures of other venues, made from seeds, that give the reference's rows but for its rounded numbers."""
    inputs = {venue: make(folder, _BOOKS) for venue, make in CAPTURES.items()}

    def arguments(venue: str, *more: Any) -> Callable[[Path], tuple[Any, ...]]:
        paths = [str(path) for path in inputs[venue]]
        return lambda output: (*paths, *more[:-1], str(output), *more[-1])

    theirs = {
        "bybit": reference("bybit", arguments("bybit", (0, _ROWS_MAX)), "convert_depth"),
        "bybithistory": reference("bybithistmktdata", arguments("bybithistory", (_ROWS_MAX, _LATENCY_NS))),
        "hyperliquid": reference("hyperliquid", arguments("hyperliquid", 0.1, 0.001, 20, (0, _ROWS_MAX))),
        "mexc": reference("mexc", arguments("mexc", (0, _ROWS_MAX))),
    }
    plain = Options(hftbacktest_rows=True)
    later = Options(hftbacktest_rows=True, latency_ns=_LATENCY_NS)
    return [
        Case(
            f"{venue} (generated)",
            venue,
            paths,
            theirs[venue],
            venue == "bybit",
            later if venue == "bybithistory" else plain,
        )
        for venue, paths in inputs.items()
    ]


def as_futures(spot: Path, target: Path) -> Path:
    """Spot's messages with the fields of futures that they lack, on which the reference fails."""
    latest = 0
    lines: list[bytes] = []
    for text in gzip.decompress(spot.read_bytes()).splitlines():
        message = json.loads(text[20:])
        content = message.get("data", message)
        if content.get("e") == "trade":
            content["X"] = "MARKET"
        elif content.get("e") == "depthUpdate":
            content["T"] = content["E"]
        else:
            content.setdefault("T", latest)
            if "B" in content:
                content["e"] = "bookTicker"
        latest = max(latest, content["T"])
        lines.append(text[:20] + json.dumps(message, separators=(",", ":")).encode() + b"\n")
    target.write_bytes(gzip.compress(b"".join(lines), 6))
    return target


def history(folder: Path) -> tuple[Path, Path]:
    """An order book's updates and trades as tables, from a seed."""
    chance = random.Random(1)
    depth = ["symbol,timestamp,trans_id,first_update_id,last_update_id,side,update_type,price,qty"]
    trades = ["id,price,qty,quote_qty,time,is_buyer_maker"]
    time = MS
    for number in range(_LINES):
        time += chance.choice((0, 0, 0, 1, 5))
        px = f"{50_000 + chance.randint(-4000, 4000) / 10:.1f}"
        side, qty = chance.choice("ab"), chance.randint(0, 9999) / 1000
        depth.append(f"BTCUSDT,{time},{number},{number},{number},{side},set,{px},{qty}")
        if number % 3 == 0:
            trades.append(f"{number},{px},{qty},1.5,{time},{'true' if side == 'a' else 'false'}")
    paths = folder / "depth.csv", folder / "trades.csv"
    for path, lines in zip(paths, (depth, trades), strict=True):
        path.write_text("\n".join(lines) + "\n")
    return paths
