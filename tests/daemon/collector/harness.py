"""A collector and local exchanges in one loop, and what the exchanges have said in all."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from daemon.collector.config import CollectConfig, load_collect
from daemon.collector.recorder import Recorder
from daemon.collector.service import Collector
from hftd.clock import monotonic_ns, stamp_ns
from hftd.control import status
from hftd.control.asking import ask
from hftd.recording import Gap, Whole, gaps_of, quality_path, read_notes
from hftd.wire import ASK_STATUS
from sim.convert.files.text import TextFile
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.config import ExchangeConfig, GenerateSection, MarketSection
from sim.exchange.servers.server import LocalExchange
from sim.exchange.venue import find_venue, venue_names

VENUES = tuple(venue_names())
SYMBOLS = {"binancecoinm": "BTCUSD_PERP"}
TOLERANCE_NS = 300_000_000
"""Between what is said here and heard there, in a loop that does both."""


def told(name: str = "collect") -> status.DaemonStatus:
    """What a collector in a process of its own says of itself."""
    return ask(name, ASK_STATUS, status.DaemonStatus, monotonic_ns() + 5_000_000_000)[1]


def symbol_of(venue: str) -> str:
    """What is recorded of an exchange."""
    return SYMBOLS.get(venue, "BTCUSDT")


def exchange_config(
    venue: str,
    chaos: ChaosSection | None = None,
    *,
    updates_per_s: float = 200.0,
    trades_per_s: float = 20.0,
    **more: Any,
) -> ExchangeConfig:
    """A lively market."""
    kind = find_venue(venue)
    symbol: dict[str, Any] = {"symbol": symbol_of(venue)}
    if venue in ("binancefutures", "bybit"):
        symbol |= {"tick_size": "0.1", "lot_size": "0.001"}
    if venue == "binancespot":
        symbol |= {"base": "BTC", "quote": "USDT"}
    generate = GenerateSection(duration_s=600.0, updates_per_s=updates_per_s, trades_per_s=trades_per_s)
    made = {
        "market": msgspec.to_builtins(MarketSection(generate=generate)),
        "symbols": [symbol],
        "accounts": [{"name": "one", "api_key": "k" * 64, "secret": "s" * 64}],
        "chaos": msgspec.to_builtins(chaos or ChaosSection()),
        **more,
    }
    made["market"].pop("data", None)
    return msgspec.convert(made, kind.config_type)


@dataclass
class Tape:
    """What an exchange has published, whoever heard it: when, and what. Depth that it left out is marked."""

    said: list[tuple[int, str, bytes]] = field(default_factory=list)

    def listen(self, exchange: LocalExchange) -> None:
        """From now on."""
        streams = exchange.core.streams
        publish = streams.publish

        def noted(name: str, payload: bytes) -> None:
            self.said.append((stamp_ns(), name, payload))
            publish(name, payload)

        streams.publish = noted  # pyright: ignore[reportAttributeAccessIssue]


class Bench:
    """An exchange, and collectors that come and go.

    Args:
        folder: For files.
        venue: The exchange's name.
        exchange: It.
    """

    def __init__(self, folder: Path, venue: str, exchange: LocalExchange) -> None:
        self.folder = folder
        self.venue = venue
        self.exchange = exchange
        self.tape = Tape()
        self.tape.listen(exchange)
        self.collectors: list[tuple[Collector, asyncio.Task[None]]] = []
        self.children: list[asyncio.subprocess.Process] = []

    def toml(self, **more: Any) -> Path:
        """A configuration."""
        keys = {"folder": "raw", "frame_s": 0.5, "disk_floor_gb": 0.0, "archives": "archives"} | more
        venue = {
            "symbols": [symbol_of(self.venue)],
            "stream_url": self.exchange.stream_url,
            "api_url": self.exchange.rest_url,
            "stale_after_s": 2.0,
            "first_message_s": 3.0,
        } | keys.pop("venue", {})
        if self.venue == "hyperliquid":
            del venue["api_url"]
        if self.venue == "binancespot":
            # As the tape has them.
            venue["time_unit"] = "milliseconds"
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        text += f"[venues.{self.venue}]\n"
        text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in venue.items())
        path = self.folder / "collect.toml"
        path.write_text(text)
        return path

    async def start(self, *, replaces: bool = False, convert: Any = None, **more: Any) -> Collector:
        """Begin to record."""
        config, followed, folder, _ = load_collect(self.toml(**more))
        collector = Collector(
            config, followed, folder, replaces=replaces, convert=convert, seed=len(self.collectors)
        )
        self.collectors.append((collector, asyncio.create_task(collector.run())))
        return collector

    async def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until something holds."""
        end_ns = monotonic_ns() + int(seconds * 1e9)
        while not condition():
            assert monotonic_ns() < end_ns, "it never came to be"
            for _, task in self.collectors:
                if task.done():
                    task.result()
            await asyncio.sleep(0.02)

    async def recorder(self, collector: Collector) -> Recorder:
        """Of its only symbol."""
        await self.until(lambda: bool(collector.venues))
        return collector.venues[0].recorders[0]

    async def until_whole(self, collector: Collector) -> None:
        """Wait until all is recorded."""
        await self.until(
            lambda: (
                bool(collector.venues)
                and all(one.is_whole for venue in collector.venues for one in venue.recorders)
            )
        )

    async def stop(self, collector: Collector) -> None:
        """End in order."""
        collector.stop()
        await asyncio.wait_for(next(task for one, task in self.collectors if one is collector), 30.0)

    async def spawn(self, *more: str, **keys: Any) -> asyncio.subprocess.Process:
        """Begin to record in a process of its own."""
        arguments = (
            "-m",
            "daemon.cli",
            "collect",
            "--config",
            str(self.toml(**keys)),
            "--log",
            "json",
            *more,
        )
        child = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stderr=asyncio.subprocess.DEVNULL
        )
        self.children.append(child)
        return child

    async def until_noted(self, count: int, seconds: float = 60.0) -> None:
        """Wait until files say so often that all is whole."""

        def is_there() -> bool:
            # A process that begins makes the file first, and its quality file then.
            beside = [found for path in self.files if (found := quality_path(path)).exists()]
            notes = [note for path in beside for note in read_notes(path)]
            return sum(isinstance(note, Whole) for note in notes) >= count

        await self.until(is_there, seconds)

    # ---- what is there

    @property
    def files(self) -> list[Path]:
        """The recordings."""
        return sorted(path for path in (self.folder / "raw" / self.venue).glob("*.zst"))

    def lines(self) -> list[tuple[int, bytes]]:
        """All of them, by time."""
        found: list[tuple[int, bytes]] = []
        for path in self.files:
            file = TextFile(path)
            text = b"".join(block for part in file.parts() for block in part.blocks())
            assert file.damage == []
            for line in text.splitlines():
                ns, _, message = line.partition(b" ")
                found.append((int(ns), message))
        return sorted(found)

    def gaps(self) -> list[Gap]:
        """What the recordings say is missing."""
        return gaps_of([read_notes(quality_path(path)) for path in self.files])

    def book_gaps(self) -> list[Gap]:
        """Those of a book. On a busy machine a connection that is slow to open makes one of trades as well."""
        return [gap for gap in self.gaps() if gap.kind == "book"]

    def lost(self) -> list[tuple[int, str, bytes]]:
        """What the exchange said while it was recorded, and what is in no file and no window."""
        lines = self.lines()
        text = b"\n".join(message for _, message in lines)
        there = {message for _, message in lines}
        # As Binance's combined streams have it.
        there |= {message.partition(b'"data":')[2][:-1] for message in there}
        first_ns, last_ns = lines[0][0], lines[-1][0]
        windows = [(gap.from_ns - TOLERANCE_NS, gap.until_ns + TOLERANCE_NS) for gap in self.gaps()]
        return [
            (ns, name, payload)
            for ns, name, payload in self.tape.said
            if first_ns + TOLERANCE_NS < ns < last_ns - TOLERANCE_NS
            and is_wanted(name)
            and not any(start <= ns <= end for start, end in windows)
            and payload not in there
            and payload not in text
        ]


def is_wanted(stream: str) -> bool:
    """Whether a stream is one that is recorded in full: best prices say what is, not what has changed."""
    return not any(one in stream for one in ("ookTicker", "tickers", "markPrice", "bbo"))


def continuity(lines: list[tuple[int, bytes]], kind: Literal["depth", "trade"]) -> list[tuple[int, int]]:
    """Where ids of Binance's messages do not follow each other: (time of the one before, time of the one behind)."""
    found: list[tuple[int, int]] = []
    known, known_ns = -1, 0
    for ns, line in lines:
        data = json.loads(line)
        data = data.get("data", data)
        if kind == "depth" and data.get("e") == "depthUpdate":
            previous, last = data.get("pu", data["U"] - 1), data["u"]
        elif kind == "trade" and data.get("e") == "trade":
            previous, last = data["t"] - 1, data["t"]
        else:
            continue
        if known >= 0 and previous > known:
            found.append((known_ns, ns))
        known, known_ns = max(known, last), ns
    return found


@asynccontextmanager
async def running(
    folder: Path, venue: str = "binancefutures", config: ExchangeConfig | None = None
) -> AsyncIterator[Bench]:
    """A local exchange, and a bench for collectors."""
    async with LocalExchange(find_venue(venue), config or exchange_config(venue)) as exchange:
        bench = Bench(folder, venue, exchange)
        try:
            yield bench
        finally:
            for child in bench.children:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
            for collector, task in bench.collectors:
                collector.stop()
                if not task.done():
                    await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 30.0)


__all__ = [
    "VENUES",
    "Bench",
    "CollectConfig",
    "continuity",
    "exchange_config",
    "running",
    "symbol_of",
    "told",
]
