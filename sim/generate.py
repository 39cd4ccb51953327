"""Markets out of a seed: archives of days that never were, for demos, tests and benchmarks.

A limit order book of each instrument is simulated with its order flow (:mod:`sim.generator.flow`) and
published as an exchange does: a snapshot, then depth differences every 30 to 100 ms and trades at once, with
a feed latency that grows in bursts. The same seed gives the same bytes, on any machine.

    from sim.generate import MARKETS, generate_market, write_market

    day = generate_market(MARKETS["cross"], seed=7, date="20220831", duration_s=60.0)
    day.rows["bybit", "BTCUSDT"], day.latencies["bybit"]
    write_market("data/cross", MARKETS["cross"], seed=7, effect=0.5)
"""

import contextlib
import datetime
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hftd.errors import DataError, UsageError
from hftd.types import event_dtype, latency_dtype
from sim.funding import funding_dtype
from sim.generator.chance import seeded
from sim.generator.market import Market, MarketInstrument, check_market, market_of
from sim.generator.markets import DEMO, MARKETS
from sim.generator.premium import Premium
from sim.generator.state import RUN, SNAPSHOT, State, opened
from sim.generator.toml import ARCHIVES, LATENCIES, replay_toml

if TYPE_CHECKING:
    from sim.generator.orders import OrderedMarket

__all__ = [
    "DEMO",
    "MARKETS",
    "Market",
    "MarketDay",
    "MarketInstrument",
    "generate_day",
    "generate_latencies",
    "generate_market",
    "write_day",
    "write_market",
]

Progress = Callable[[float], None]
"""Called with the share that is done, 0 to 1."""
Name = tuple[str, str]
"""A channel and a symbol."""

_WARM_UP_S = 20
_REPORT_EVERY_S = 10
_CHUNK_ROWS = 1 << 17
_LATENCY_EVERY_NS = 100_000_000
_SECOND_NS = 1_000_000_000

DEMO_DATE: Final = "20220831"
DEMO_SEED: Final = 20220831
DEMO_DURATION_S: Final = 900.0


@dataclass(frozen=True)
class MarketDay:
    """A generated day.

    Attributes:
        rows: Rows of `event_dtype` by channel and symbol, each in order on both clocks and for both sides:
            `DEPTH_CLEAR` and `DEPTH_SNAPSHOT` first, then `DEPTH` and `TRADE`; of an instrument that is wanted by order
            `ADD_ORDER`, `CANCEL_ORDER`, `MODIFY_ORDER`, `FILL` and `TRADE`. One with funding has user events each
            second: index price, mark price, funding rate.
        latencies: Order latencies, rows of `latency_dtype`, by channel.
        funding: Rows of `funding_dtype` by channel and symbol, of instruments that have funding.
    """

    rows: dict[Name, np.ndarray]
    latencies: dict[str, np.ndarray]
    funding: dict[Name, np.ndarray]


def generate_day(
    seed: int,
    instruments: Sequence[MarketInstrument] = DEMO,
    date: str = DEMO_DATE,
    duration_s: float = DEMO_DURATION_S,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Simulate the first `duration_s` seconds of a day of instruments that all follow one fair price.

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
    market = market_of(instruments)
    symbols = [item.symbol for item in instruments]
    if len(set(symbols)) < len(symbols):
        raise UsageError("two instruments have the same symbol", where=", ".join(symbols))
    rows, _ = _simulated(seed, market, date, duration_s, progress)
    return {symbol: found for (_, symbol), found in rows.items()}


def generate_market(
    market: Market,
    seed: int = DEMO_SEED,
    date: str = DEMO_DATE,
    duration_s: float = DEMO_DURATION_S,
    effect: float = 1.0,
    progress: Progress | None = None,
) -> MarketDay:
    """Simulate the first `duration_s` seconds of a market's day, with the order latencies of its channels.

    Args:
        market: One of `MARKETS`, or another.
        seed: As for :func:`generate_day`.
        date: As for :func:`generate_day`.
        duration_s: As for :func:`generate_day`.
        effect: How much of the market's effect is there, 0 to 1: see :meth:`Market.with_effect`.
        progress: Told how far it is.

    Raises:
        UsageError: A date, duration, effect or market that can't be.
    """
    rows, funding = _simulated(seed, market.with_effect(effect), date, duration_s, progress)
    latencies = {
        channel: generate_latencies(
            seed, channel, [found for (of, _), found in rows.items() if of == channel]
        )
        for channel in _channels(market.instruments)
    }
    return MarketDay(rows, latencies, funding)


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
    pattern: str = ARCHIVES,
    latency_pattern: str = LATENCIES,
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
    day = market_of(instruments)
    targets = _targets(Path(folder), day, date, pattern, latency_pattern)
    found = generate_market(day, seed, date, duration_s, 1.0, progress)
    for path, rows in zip(targets, [*found.rows.values(), *found.latencies.values()], strict=True):
        _write(path, rows, compress)
    return targets


def write_market(
    folder: str | os.PathLike[str],
    market: Market,
    *,
    seed: int = DEMO_SEED,
    date: str = DEMO_DATE,
    duration_s: float = DEMO_DURATION_S,
    effect: float = 1.0,
    compress: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Simulate a market's day and write it with a configuration that replays it.

    Files are `{channel}/{symbol}_{date}.npz`, `{channel}/latency_{date}.npz`, `replay.toml`, and of instruments with
    funding `{channel}/funding_{symbol}_{date}.npz`. Each is complete or not there.

    Args:
        folder: Made if it is not there.
        market: As for :func:`generate_market`.
        seed: As for :func:`generate_day`.
        date: As for :func:`generate_day`.
        duration_s: As for :func:`generate_day`.
        effect: As for :func:`generate_market`.
        compress: As for :func:`write_day`.
        progress: Told how far it is.

    Returns:
        The files written; the last is `replay.toml`.

    Raises:
        UsageError: As for :func:`generate_market`.
        DataError: One can't be written.
    """
    base = Path(folder)
    targets = _targets(base, market, date, ARCHIVES, LATENCIES)
    found = generate_market(market, seed, date, duration_s, effect, progress)
    for path, rows in zip(targets, [*found.rows.values(), *found.latencies.values()], strict=True):
        _write(path, rows, compress)
    for (channel, symbol), rows in found.funding.items():
        targets.append(base / channel / f"funding_{symbol}_{date}.npz")
        _write(targets[-1], rows, compress)
    targets.append(base / "replay.toml")
    _beside(targets[-1], lambda path: path.write_text(replay_toml(market), encoding="utf-8"))
    return targets


def _channels(instruments: Sequence[MarketInstrument]) -> list[str]:
    return list(dict.fromkeys(item.channel for item in instruments))


def _targets(folder: Path, market: Market, date: str, pattern: str, latency_pattern: str) -> list[Path]:
    targets = [folder / _named(pattern, item.channel, item.symbol, date) for item in market.instruments]
    targets += [
        folder / _named(latency_pattern, channel, None, date) for channel in _channels(market.instruments)
    ]
    if len(set(targets)) < len(targets):
        raise UsageError(
            "two instruments or channels would share a file",
            where=f"{pattern} and {latency_pattern}",
            hint="Use {channel} and {symbol} in the pattern.",
        )
    return targets


def _simulated(
    seed: int, market: Market, date: str, duration_s: float, progress: Progress | None
) -> tuple[dict[Name, np.ndarray], dict[Name, np.ndarray]]:
    """Rows and funding of a market's day."""
    # The compiled code is loaded here, so that importing this module costs nothing.
    from sim.generator.flow import run, take_snapshot

    start_ns = _midnight_ns(date)
    if not 0.001 <= duration_s <= 86_400.0:
        raise UsageError(f"a duration of {duration_s} s can't be generated", hint="Take 0.001 to 86400.")
    check_market(market)
    end_ns = start_ns + int(duration_s * 1000.0) * 1_000_000
    state = opened(seed, market, start_ns - _WARM_UP_S * _SECOND_NS, _CHUNK_ROWS)
    taking = _Taking(seed, market, state)
    # The books settle before anyone looks; what they publish meanwhile is dropped.
    _run_until(run, state, start_ns, taking.drop)
    take_snapshot(*(state[name] for name in SNAPSHOT))
    taking.open(start_ns)
    premiums = [Premium(market, i, start_ns) for i, item in enumerate(market.instruments) if item.funding_s]
    step_s = 1 if premiums else _REPORT_EVERY_S
    now_ns = start_ns
    while now_ns < end_ns:
        now_ns = min(now_ns + step_s * _SECOND_NS, end_ns)
        _run_until(run, state, now_ns, taking.take)
        if premiums and now_ns < end_ns:
            taking.take()
            for premium in premiums:
                taking.parts[premium.number].append(premium.told(state, now_ns))
        if progress is not None:
            progress(1.0 - (end_ns - now_ns) / (end_ns - start_ns))
    taking.take()
    names = [(item.channel, item.symbol) for item in market.instruments]
    rows = {name: np.concatenate(found) for name, found in zip(names, taking.parts, strict=True)}
    return rows, {names[one.number]: np.array(one.paid, funding_dtype) for one in premiums}


def _run_until(run: Callable[..., None], state: State, until_ns: int, take: Callable[[], None]) -> None:
    """Simulate up to a time; rows are taken away whenever a buffer fills."""
    while state["clocks"]["now_ns"][0] < until_ns:
        run(*(state[name] for name in RUN), until_ns)
        if state["clocks"]["now_ns"][0] < until_ns:
            take()


class _Taking:
    """Takes rows out of the buffers; those of instruments that are wanted by order are made of their logs."""

    def __init__(self, seed: int, market: Market, state: State) -> None:
        self._seed = seed
        self._instruments = market.instruments
        self._state = state
        self._ordered: dict[int, OrderedMarket] = {}
        self.parts: list[list[np.ndarray]] = [[] for _ in market.instruments]

    def open(self, now_ns: int) -> None:
        """The market opens: from here on it is taken down order by order where that is wanted."""
        for i, item in enumerate(self._instruments):
            if item.by_order:
                from sim.generator.orders import OrderedMarket

                market = self._state["markets"][i]
                self._ordered[i] = OrderedMarket(
                    self._seed, item.name, market, self._state["books"][i], now_ns
                )
                market["is_logged"] = 1

    def drop(self) -> None:
        self._state["markets"]["row_count"] = 0

    def take(self) -> None:
        markets = self._state["markets"]
        for i, part in enumerate(self.parts):
            if i in self._ordered:
                part.append(self._ordered[i].take(self._state["logs"][i, : markets[i]["log_count"]]))
            else:
                part.append(self._state["rows"][i, : markets[i]["row_count"]].copy())
        markets["row_count"] = 0
        markets["log_count"] = 0


def _midnight_ns(date: str) -> int:
    try:
        day = datetime.datetime.strptime(date, "%Y%m%d").replace(tzinfo=datetime.UTC)
    except (ValueError, TypeError):
        raise UsageError(f"{date!r} is not a date", hint="Write YYYYMMDD, such as 20220831.") from None
    return int(day.timestamp()) * _SECOND_NS


def _named(pattern: str, channel: str, symbol: str | None, date: str) -> str:
    names = {"channel": channel, "date": date} | ({} if symbol is None else {"symbol": symbol})
    try:
        return pattern.format(**names)
    except (KeyError, IndexError, ValueError):
        raise UsageError(
            f"the pattern has a part that is not one of {', '.join(names)}", where=pattern
        ) from None


def _write(path: Path, rows: np.ndarray, compress: bool) -> None:
    def save(beside: Path) -> None:
        with beside.open("wb") as file:
            (np.savez_compressed if compress else np.savez)(file, data=rows)

    _beside(path, save)


def _beside(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place and move it there, so that it is complete or not there."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise DataError(f"can't be written: {error.strerror or error}", where=str(path)) from None
