"""A market out of a seed: archives of days that never were, for demos, tests and benchmarks.

A limit order book of each instrument is simulated with its order flow (:mod:`sim.generator.flow`) and
published as an exchange does: a snapshot, then depth differences every 30 to 100 ms and trades at once, with
a feed latency that grows in bursts. The same seed gives the same bytes, on any machine.

    from sim.generate import DEMO, generate_day, write_day

    rows = generate_day(7, DEMO, "20220831", duration_s=60.0)["BTCUSDT"]
    write_day("data", DEMO, seed=7, date="20220831")
"""

import contextlib
import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hftd.errors import DataError, OrderError, UsageError
from hftd.types import event_dtype, latency_dtype
from sim.generator.chance import seeded
from sim.generator.layout import (
    CHANGED_MAX,
    LAG_MS_MAX,
    STEP_ROWS_MAX,
    WINDOW,
    market_dtype,
    shared_dtype,
)

Progress = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""

_WARM_UP_S = 20
_REPORT_EVERY_S = 10
_CHUNK_ROWS = 1 << 17
_LATENCY_EVERY_NS = 100_000_000
_SECOND_NS = 1_000_000_000
_START_TICKS_MIN = 10_000
_START_TICKS_MAX = 1 << 40
# The state's parts in the order of the compiled functions' arguments.
_RUN = ("shared", "markets", "history", "books", "published", "changed", "dirty", "rows", "chance")
_SNAPSHOT = ("shared", "markets", "books", "published", "changed", "dirty", "rows", "chance")
_OPEN = ("markets", "books", "changed", "dirty", "chance")


@dataclass(frozen=True)
class MarketInstrument:
    """One instrument of a generated market. All instruments of a market follow one fair price.

    Attributes:
        channel: The channel that publishes it.
        symbol: Its name; no two instruments of a market have the same.
        tick_size: Price step, in quote currency.
        lot_size: Quantity step, in base currency.
        start_price: Price at the start; at least 10,000 ticks.
        trades_per_s: Market orders a second in normal times, without those that others or stale quotes
            set off: about twice as many again, and far more in bursts.
        updates_per_s: Limit orders and cancels a second.
        touch_qty: What the best level holds on average, in base currency.
        trade_qty: The scale of market orders, in base currency; their mean is about four times that.
        impact_ticks: By how much a market order of usual size moves the fair price.
        lag_ms: By how much it follows the shared fair price, 0 to 127.
        latency_ns: What the feed needs at least.
    """

    channel: str
    symbol: str
    tick_size: float
    lot_size: float
    start_price: float
    trades_per_s: float = 6.0
    updates_per_s: float = 700.0
    touch_qty: float = 1.5
    trade_qty: float = 0.012
    impact_ticks: float = 1.2
    lag_ms: int = 0
    latency_ns: int = 2_000_000


DEMO: Final = (
    MarketInstrument("demofutures", "BTCUSDT", 0.1, 0.001, 20_250.0),
    MarketInstrument(
        "demospot",
        "BTCBUSD",
        0.1,
        0.0001,
        20_257.0,
        trades_per_s=4.0,
        updates_per_s=500.0,
        touch_qty=0.6,
        trade_qty=0.006,
        impact_ticks=1.0,
        lag_ms=12,
        latency_ns=3_500_000,
    ),
)
"""The market of the demo: a future, and a spot pair that follows it."""
DEMO_DATE: Final = "20220831"
DEMO_SEED: Final = 20220831
DEMO_DURATION_S: Final = 900.0


def generate_day(
    seed: int,
    instruments: Sequence[MarketInstrument] = DEMO,
    date: str = DEMO_DATE,
    duration_s: float = DEMO_DURATION_S,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Simulate the first `duration_s` seconds of a day.

    Args:
        seed: Any integer. Another one gives another market.
        instruments: At least one.
        date: The day, YYYYMMDD; the market opens at its midnight UTC.
        duration_s: Exchange time, up to a day, in seconds.
        progress: Told how far it is.

    Returns:
        Rows of `event_dtype` by symbol, each in order on both clocks: `DEPTH_CLEAR` and `DEPTH_SNAPSHOT`
        first, then `DEPTH` and `TRADE`. Every row is for the exchange and the local side.

    Raises:
        UsageError: A date, duration or instrument that can't be.
    """
    # The compiled code is loaded here, so that importing this module costs nothing.
    from sim.generator.flow import run, take_snapshot

    start_ns = _midnight_ns(date)
    _check(instruments, duration_s)
    end_ns = start_ns + int(duration_s * 1000.0) * 1_000_000
    state = _opened(seed, instruments, start_ns - _WARM_UP_S * _SECOND_NS)
    markets, rows = state["markets"], state["rows"]
    parts: list[list[np.ndarray]] = [[] for _ in instruments]
    # The books settle before anyone looks; what they publish meanwhile is dropped.
    _run_until(run, state, start_ns, None)
    take_snapshot(*(state[name] for name in _SNAPSHOT))
    now_ns = start_ns
    while now_ns < end_ns:
        now_ns = min(now_ns + _REPORT_EVERY_S * _SECOND_NS, end_ns)
        _run_until(run, state, now_ns, parts)
        if progress is not None:
            progress(1.0 - (end_ns - now_ns) / (end_ns - start_ns))
    _take(markets, rows, parts)
    return {item.symbol: np.concatenate(found) for item, found in zip(instruments, parts, strict=True)}


def generate_latencies(seed: int, channel: str, feeds: Sequence[np.ndarray]) -> np.ndarray:
    """Order latencies of one channel, that go with its feed.

    Args:
        seed: Any integer.
        channel: The channel's name; each has its own numbers.
        feeds: The rows of the channel's instruments, as :func:`generate_day` gives them.

    Returns:
        Rows of `latency_dtype`, one each 100 ms of the feeds' time. A refused request has an `exch_ts` of 0.

    Raises:
        DataError: The feeds are empty.
    """
    from sim.generator.latency import fill_latencies

    rows = np.concatenate(list(feeds)) if feeds else np.empty(0, event_dtype)
    if not len(rows):
        raise DataError("no rows to take latencies from", where=channel)
    if len(feeds) > 1:
        rows = rows[np.argsort(rows["local_ts"], kind="stable")]
    start_ns = int(rows["exch_ts"].min())
    count = int((int(rows["exch_ts"].max()) - start_ns) // _LATENCY_EVERY_NS) + 2
    out = np.zeros(count, latency_dtype)
    fill_latencies(rows, out, start_ns, _LATENCY_EVERY_NS, seeded(seed, f"latency/{channel}"))
    return out


def write_day(
    folder: str | os.PathLike[str],
    instruments: Sequence[MarketInstrument] = DEMO,
    *,
    seed: int = DEMO_SEED,
    date: str = DEMO_DATE,
    duration_s: float = DEMO_DURATION_S,
    pattern: str = "{channel}/{symbol}_{date}.npz",
    latency_pattern: str = "{channel}/latency_{date}.npz",
    compress: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Simulate a day and write its archives (npz, key `data`).

    A file is complete or not there: it is written beside its place and then moved.

    Args:
        folder: Where the patterns start; made if it is not there.
        instruments: As for :func:`generate_day`.
        seed: As for :func:`generate_day`.
        date: As for :func:`generate_day`.
        duration_s: As for :func:`generate_day`.
        pattern: The archive of an instrument; may use {channel}, {symbol}, {date}.
        latency_pattern: The order latencies of a channel; may use {channel}, {date}.
        compress: Deflate the archives: a fifth of the size, several times the time to write and read.
        progress: Told how far it is.

    Returns:
        The files written: archives in the order of the instruments, then latencies in the order of the
        channels.

    Raises:
        UsageError: As for :func:`generate_day`, or a pattern that gives two instruments one file.
    """
    targets = [Path(folder) / _named(pattern, item.channel, item.symbol, date) for item in instruments]
    channels = list(dict.fromkeys(item.channel for item in instruments))
    targets += [Path(folder) / _named(latency_pattern, channel, None, date) for channel in channels]
    if len(set(targets)) < len(targets):
        raise UsageError(
            "two instruments or channels would share a file",
            where=f"{pattern} and {latency_pattern}",
            hint="Use {channel} and {symbol} in the pattern.",
        )
    by_symbol = generate_day(seed, instruments, date, duration_s, progress)
    latencies = [
        generate_latencies(seed, channel, [by_symbol[i.symbol] for i in instruments if i.channel == channel])
        for channel in channels
    ]
    for path, rows in zip(targets, [*by_symbol.values(), *latencies], strict=True):
        _write(path, rows, compress)
    return targets


def _opened(seed: int, instruments: Sequence[MarketInstrument], start_ns: int) -> dict[str, np.ndarray]:
    """All state of a market that is about to start, by the names of the compiled functions' arguments."""
    from sim.generator.flow import open_books

    n = len(instruments)
    shared = np.zeros(1, shared_dtype)
    shared["now_ns"] = start_ns
    shared["volatility"] = 1.0
    shared["regime"] = 1
    markets = np.zeros(n, market_dtype)
    for market, item in zip(markets, instruments, strict=True):
        _fill_market(market, item, start_ns)
    # Half of the window at most, less what the book reaches to either side.
    shared["bound"] = min(0.25, 0.45 * WINDOW / float(markets["start_tick"].max()))
    chance = np.stack([seeded(seed, f"{i.channel}/{i.symbol}") for i in instruments] + [seeded(seed, "fair")])
    state = {
        "shared": shared,
        "markets": markets,
        "history": np.zeros(LAG_MS_MAX + 1),
        "books": np.zeros((n, WINDOW), np.int64),
        "published": np.zeros((n, WINDOW), np.int64),
        "changed": np.zeros((n, CHANGED_MAX), np.int64),
        "dirty": np.zeros((n, WINDOW), np.uint8),
        "rows": np.zeros((n, _CHUNK_ROWS), event_dtype),
        "chance": chance,
    }
    open_books(*(state[name] for name in _OPEN))
    return state


def _fill_market(market: np.void, item: MarketInstrument, start_ns: int) -> None:
    start_tick = round(item.start_price / item.tick_size)
    market["start_tick"] = start_tick
    market["base_tick"] = start_tick - WINDOW // 2
    market["tick_size"] = item.tick_size
    market["lot_size"] = item.lot_size
    market["lag_ms"] = item.lag_ms
    market["trades_per_ms"] = item.trades_per_s / 1000.0
    market["updates_per_ms"] = item.updates_per_s / 1000.0
    market["touch_lots"] = max(item.touch_qty / item.lot_size, 1.0)
    market["trade_lots"] = max(item.trade_qty / item.lot_size, 0.5)
    market["impact"] = item.impact_ticks
    market["latency_ns"] = item.latency_ns
    market["anchor"] = WINDOW // 2 + 0.5
    market["patience"] = 2.0
    market["liquidity"] = 1.0
    for name in ("lean_short", "lean_middle", "lean_long"):
        market[name] = 1.0
    market["next_depth_ns"] = start_ns
    market["line_free_ns"] = start_ns
    market["local_ns"] = start_ns


def _run_until(
    run: Callable[..., None],
    state: Mapping[str, np.ndarray],
    until_ns: int,
    parts: list[list[np.ndarray]] | None,
) -> None:
    """Simulate up to a time; rows are taken away whenever a buffer fills (dropped without `parts`)."""
    while state["shared"]["now_ns"][0] < until_ns:
        run(*(state[name] for name in _RUN), until_ns)
        if state["markets"]["row_count"].max() > _CHUNK_ROWS - STEP_ROWS_MAX:
            _take(state["markets"], state["rows"], parts)


def _take(markets: np.ndarray, rows: np.ndarray, parts: list[list[np.ndarray]] | None) -> None:
    for i, count in enumerate(markets["row_count"]):
        if parts is not None:
            parts[i].append(rows[i, :count].copy())
    markets["row_count"] = 0


def _midnight_ns(date: str) -> int:
    try:
        day = datetime.datetime.strptime(date, "%Y%m%d").replace(tzinfo=datetime.UTC)
    except (ValueError, TypeError):
        raise UsageError(f"{date!r} is not a date", hint="Write YYYYMMDD, such as 20220831.") from None
    return int(day.timestamp()) * _SECOND_NS


def _check(instruments: Sequence[MarketInstrument], duration_s: float) -> None:
    if not 0.001 <= duration_s <= 86_400.0:
        raise UsageError(f"a duration of {duration_s} s can't be generated", hint="Take 0.001 to 86400.")
    if not instruments:
        raise UsageError("a market needs at least one instrument")
    symbols = [item.symbol for item in instruments]
    if len(set(symbols)) < len(symbols):
        raise UsageError("two instruments have the same symbol", where=", ".join(symbols))
    for item in instruments:
        where = f"{item.channel}:{item.symbol}"
        positive = {
            name: getattr(item, name)
            for name in ("tick_size", "lot_size", "trades_per_s", "updates_per_s", "touch_qty", "trade_qty")
        }
        for name, value in positive.items():
            if not 0.0 < value < 1e9:
                raise OrderError(f"{name} is {value}, it must be positive", where=where)
        if not _START_TICKS_MIN <= item.start_price / item.tick_size <= _START_TICKS_MAX:
            raise OrderError(
                f"start_price {item.start_price} is not 10,000 ticks of {item.tick_size} or more",
                where=where,
                hint="Take a finer tick or a higher price.",
            )
        if not 0 <= item.lag_ms <= LAG_MS_MAX:
            raise OrderError(f"lag_ms is {item.lag_ms}", where=where, hint=f"Take 0 to {LAG_MS_MAX}.")
        if not 0 <= item.latency_ns <= 100_000_000 or not 0.0 <= item.impact_ticks <= 100.0:
            raise OrderError("latency_ns must be 0 to 100 ms and impact_ticks 0 to 100", where=where)


def _named(pattern: str, channel: str, symbol: str | None, date: str) -> str:
    names = {"channel": channel, "date": date} | ({} if symbol is None else {"symbol": symbol})
    try:
        return pattern.format(**names)
    except (KeyError, IndexError, ValueError):
        raise UsageError(
            f"the pattern has a part that is not one of {', '.join(names)}", where=pattern
        ) from None


def _write(path: Path, rows: np.ndarray, compress: bool) -> None:
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            (np.savez_compressed if compress else np.savez)(file, data=rows)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise DataError(f"can't be written: {error.strerror or error}", where=str(path)) from None
