"""Captures in the formats of Bybit, Hyperliquid and MEXC, made from a seed: cases of `benchmarks.convert`."""

import gzip
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_EPOCH_MS = 1_733_011_200_000
Levels = list[tuple[int, int]]
"""Ticks and lots, best first."""


def _books(seed: int, count: int, levels: int) -> Iterator[tuple[int, Levels, Levels]]:
    """Times in ms and the first levels of both sides; a few levels change from one to the next."""
    chance = random.Random(seed)
    lots: dict[int, int] = {}
    mid = 100_000
    time_ms = _EPOCH_MS
    for _ in range(count):
        time_ms += chance.randint(1, 20)
        mid += chance.choice((0, 0, 0, 0, 0, 1, -1))
        for _ in range(6):
            lots[mid + chance.choice((-1, 1)) * chance.randint(1, levels)] = chance.randint(1, 9999)
        bids = [(mid - k, lots.setdefault(mid - k, chance.randint(1, 9999))) for k in range(1, levels + 1)]
        asks = [(mid + k, lots.setdefault(mid + k, chance.randint(1, 9999))) for k in range(1, levels + 1)]
        yield time_ms, bids, asks


def _changes(before: Levels, after: Levels) -> Levels:
    old, new = dict(before), dict(after)
    gone = [(tick, 0) for tick in old if tick not in new]
    return gone + [(tick, lots) for tick, lots in after if old.get(tick) != lots]


def _pairs(levels: Levels) -> list[list[str]]:
    return [[f"{tick / 10:.1f}", f"{lots / 1000:.3f}"] for tick, lots in levels]


def _objects(levels: Levels, px: str, qty: str, **more: Any) -> list[dict[str, Any]]:
    return [{px: f"{tick / 10:.1f}", qty: f"{lots / 1000:.3f}", **more} for tick, lots in levels]


def _bybit(count: int, levels: int) -> Iterator[tuple[int, dict[str, Any]]]:
    before: tuple[Levels, Levels] = [], []
    for number, (time_ms, bids, asks) in enumerate(_books(1, count, levels)):
        data = {
            "s": "BTCUSDT",
            "b": _pairs(_changes(before[0], bids)),
            "a": _pairs(_changes(before[1], asks)),
            "u": 1000 + number,
            "seq": 5000 + 7 * number,
        }
        before = bids, asks
        kind = "delta" if number else "snapshot"
        topic = f"orderbook.{levels}.BTCUSDT"
        yield time_ms, {"topic": topic, "type": kind, "ts": time_ms + 3, "data": data, "cts": time_ms}
        if number % 3 == 0:
            trade = {"T": time_ms, "s": "BTCUSDT", "S": "Buy", "v": "0.020", "p": "10000.1", "L": "PlusTick"}
            data = [trade | {"i": f"{number:032x}", "BT": False, "RPI": False}]
            yield (
                time_ms,
                {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": time_ms + 1, "data": data},
            )


def _hyperliquid(count: int) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, (time_ms, bids, asks) in enumerate(_books(2, count, 20)):
        levels = [_objects(side, "px", "sz", n=3) for side in (bids, asks)]
        yield time_ms, {"channel": "l2Book", "data": {"coin": "BTC", "time": time_ms, "levels": levels}}
        if number % 3 == 0:
            trade = {
                "coin": "BTC",
                "side": "B",
                "px": "10000.1",
                "sz": "0.02",
                "time": time_ms,
                "tid": number,
            }
            trade |= {"hash": "0x" + "de" * 32, "users": ["0x" + "1f" * 20, "0x" + "2e" * 20]}
            yield time_ms, {"channel": "trades", "data": [trade]}


def _mexc(count: int) -> Iterator[tuple[int, dict[str, Any]]]:
    before: tuple[Levels, Levels] = [], []
    for number, (time_ms, bids, asks) in enumerate(_books(3, count, 50)):
        body = {
            "bids": _objects(_changes(before[0], bids), "p", "v"),
            "asks": _objects(_changes(before[1], asks), "p", "v"),
            "r": str(1000 + number),
        }
        before = bids, asks
        yield time_ms, _spot("increase.depth", body, time_ms)
        if number % 3 == 0:
            deal = {"p": "10000.1", "v": "0.02", "S": 1, "t": time_ms}
            yield time_ms, _spot("deals", {"deals": [deal]}, time_ms)


def _spot(name: str, body: dict[str, Any], time_ms: int) -> dict[str, Any]:
    stream = f"spot@public.{name}.v3.api"
    return {"c": f"{stream}@BTCUSDT", "d": body | {"e": stream}, "s": "BTCUSDT", "t": time_ms}


def _packed(path: Path, messages: Iterator[tuple[int, dict[str, Any]]]) -> list[Path]:
    with gzip.open(path, "wb", 6) as file:
        for number, (time_ms, message) in enumerate(messages):
            local_ns = (time_ms + 12) * 1_000_000 + number % 1000
            file.write(b"%d %s\n" % (local_ns, json.dumps(message, separators=(",", ":")).encode()))
    return [path]


def bybit(folder: Path, count: int) -> list[Path]:
    """The stream's book of 50 levels and trades."""
    return _packed(folder / "bybit.gz", _bybit(count, 50))


def hyperliquid(folder: Path, count: int) -> list[Path]:
    """Whole books of 20 levels and trades."""
    return _packed(folder / "hyperliquid.gz", _hyperliquid(count))


def mexc(folder: Path, count: int) -> list[Path]:
    """Spot's differences and trades in JSON."""
    return _packed(folder / "mexc.gz", _mexc(count))


def bybithistory(folder: Path, count: int) -> list[Path]:
    """An archive of the book of 500 levels, and a file of trades."""
    books, trades = folder / "2024-12-01_BTCUSDT_ob500.data.zip", folder / "BTCUSDT2024-12-01.csv.gz"
    with (
        zipfile.ZipFile(books, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("2024-12-01_BTCUSDT_ob500.data", "w") as messages,
        gzip.open(trades, "wb", 6) as rows,
    ):
        rows.write(
            b"timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional\n"
        )
        for time_ms, message in _bybit(count, 500):
            if message["topic"].startswith("orderbook"):
                messages.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
            seconds = time_ms / 1000
            rows.write(b"%.4f,BTCUSDT,Buy,0.02,10000.1,PlusTick,8a1c,2e9,0.02,200.002\n" % seconds)
    return [books, trades]


CAPTURES: dict[str, Callable[[Path, int], list[Path]]] = {
    "bybit": bybit,
    "bybithistory": bybithistory,
    "hyperliquid": hyperliquid,
    "mexc": mexc,
}
"""What makes the inputs of each converter."""
