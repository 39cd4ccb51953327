"""A daemon's status as rows of tables, which a page and a terminal draw in the same way.

Cells are plain values; how one is drawn, its column's kind says:

- ``text``; ``words``: one that may be long; ``cut``: one of which the beginning is enough; ``name``: whose row it is;
  ``at``: the daemon's name, which says nothing where there is only one
- ``state``: a text and its tone ("good", "warn", "bad", "dim" or ""); ``side``: "buy" or "sell"
- ``count``: an integer; ``figure``: a price or quantity, exact; ``share``: a part of 1; ``used``: the same of a limit
- ``amount``: of money, or anything rounded; ``money``: the same, good above 0 and bad below; ``points``: basis points
- ``amounts``: pairs of an amount and its asset; ``earned``: the same, good above 0 and bad below
- ``ns``: a duration; ``since``: when, in milliseconds of the monotonic clock, so that its age can be shown
- ``time``: when, in microseconds since the epoch
- ``markouts``: pairs of a horizon in nanoseconds and basis points

None stands for what is not known. No text holds anything that a terminal or a browser would not print.
"""

import datetime
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec

from hftd.control import status

TEXT_MAX: Final = 300
"""So many characters of a text are shown."""
ROWS_MAX: Final = 2000
"""So many rows of a table; the others are counted."""
TROUBLE, NORMAL, GONE = 0, 1, 2
"""Ranks: what is wrong stands first, what a daemon that is gone has said stands last."""

_INT_MAX: Final = 9 * 10**15
"""A browser's numbers are exact up to a little more."""
_QUANTILES: Final = (0.5, 0.9, 0.99, 0.999)


class Column(msgspec.Struct, frozen=True):
    """A column of a table.

    Attributes:
        title: Its head.
        kind: See the module.
        is_minor: It is left out where there is little room.
    """

    title: str
    kind: str = "text"
    is_minor: bool = False


class Table(msgspec.Struct, frozen=True):
    """A table.

    Attributes:
        title: Its head.
        columns: In order.
        is_wide: It wants a whole page's width.
        is_newest_first: It is ordered by its keys, the highest first; else by rank and key, the lowest first.
    """

    title: str
    columns: tuple[Column, ...]
    is_wide: bool = False
    is_newest_first: bool = False


Row = tuple[int, list[Any]]
"""Its rank, and a cell for each column."""
Rows = dict[str, Row]
"""By key."""


def _columns(told: str) -> tuple[Column, ...]:
    """Columns, each as "title", or "title:kind", with a "?" at the end if it is minor."""
    parts = [(one.rstrip("?").partition(":"), one.endswith("?")) for one in told.split(" | ")]
    return tuple(Column(title, kind or "text", is_minor) for (title, _, kind), is_minor in parts)


TABLES: Final = {
    "daemons": Table(
        "Daemons",
        _columns(
            "daemon:name | state:state | gone for:since | what | up for:since | pid? | version? | foreign orders:count?"
        ),
    ),
    "connections": Table(
        "Connections",
        _columns(
            "connection:name | at:at | state:state | for:since | reconnects:count | errors:count? | messages:count? | "
            "last error?"
        ),
    ),
    "bots": Table(
        "Bots",
        _columns(
            "bot:name | at:at | state:state | profit today:earned | open:count | fills:count | refused:count | "
            "filled:share? | unknown:count? | requests:count? | lapped:count? | attached for:since? | symbols:cut?"
        ),
        is_wide=True,
    ),
    "positions": Table(
        "Positions",
        _columns(
            "symbol:name | whose | at:at | position:figure | fee:amount | trades:count? | volume:figure? | "
            "balance:money?"
        ),
    ),
    "limits": Table("Limits", _columns("limit:name | whose | at:at | used:amount | of:amount | share:used")),
    "books": Table(
        "Books",
        _columns(
            "symbol:name | at:at | book:state | bid:figure | ask:figure | feed age:ns | latency p50:ns? | p99:ns | "
            "orders:state | rows:count? | gaps:count? | resyncs:count?"
        ),
        is_wide=True,
    ),
    "orders": Table(
        "Open orders",
        _columns(
            "symbol:name | bot | at:at | side:side | price:figure | left:figure | of:figure? | status | asked:state | "
            "age:since | client id? | order id?"
        ),
        is_wide=True,
    ),
    "fills": Table(
        "Fills",
        _columns(
            "time:time | symbol:name | bot | at:at | side:side | price:figure | qty:figure | fee:amounts? | as? | "
            "markouts, bp:markouts | client id?"
        ),
        is_wide=True,
        is_newest_first=True,
    ),
    "latencies": Table(
        "Latency since the start",
        _columns("whose:name | at:at | leg | p50:ns | p90:ns? | p99:ns | p99.9:ns? | max:ns | count:count?"),
    ),
    "markouts": Table(
        "Markouts",
        _columns(
            "bot:name | at:at | after:ns | fills:count | bp of value:points | gain:money | value:amount?"
        ),
    ),
    "profits": Table(
        "Profit by day (UTC)",
        _columns(
            "whose:name | at:at | day | in | total:money | realised:money | unrealised:money | fee:amount | "
            "funding:money | in all:money"
        ),
        is_wide=True,
    ),
    "refusals": Table(
        "Refusals",
        _columns("reason:name | bot | at:at | symbol | count:count | last:since | code? | words:words"),
        is_wide=True,
    ),
    "balances": Table(
        "Balances", _columns("asset:name | at:at | total:figure | free:figure | locked:figure")
    ),
    "events": Table(
        "Log",
        _columns("time:time | level:state | at:at | event:name | text:words"),
        is_wide=True,
        is_newest_first=True,
    ),
}
"""All tables but the warnings, in the order in which a page shows them."""

WARNINGS: Final = Table("Warnings", _columns("text:words | daemon:name | for:since | key"))


def plain(text: str) -> str:
    """A text from outside: short, in one line, without what a terminal or a browser would obey."""
    if len(text) > TEXT_MAX:
        text = f"{text[: TEXT_MAX - 3]}..."
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def quantiles(latency: status.Latency, shares: Sequence[float]) -> list[int | None]:
    """So many nanoseconds each share of what was measured took at most: a bucket's upper end, or the longest of all."""
    if latency.count <= 0:
        return [None] * len(shares)
    upto = list(accumulate(latency.counts))
    places = [bisect_left(upto, math.ceil(share * latency.count)) for share in shares]
    bounds, longest = latency.bounds_ns, latency.max_ns
    return [
        min(bounds[place], longest or bounds[place]) if place < len(bounds) else longest for place in places
    ]


class Since:
    """Ages as moments that stay what they are: an age told a second later must not look like another moment."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, ...], int] = {}
        self._now: dict[tuple[str, ...], int] = {}
        self._now_ms = 0

    def begin(self, now_ns: int) -> None:
        """The next round of questions was answered now, by the monotonic clock."""
        self._before, self._now = self._now, {}
        self._now_ms = now_ns // 1_000_000

    def of(self, age_ns: int, *key: str) -> int | None:
        """When that was, in milliseconds of the monotonic clock; None for an age below 0."""
        if age_ns < 0:
            return None
        found = self._now_ms - _whole(age_ns // 1_000_000)
        before = self._before.get(key)
        if before is not None and abs(found - before) < 1000:
            found = before
        self._now[key] = found
        return found


def rows_of(daemon: status.DaemonStatus, since: Since) -> dict[str, Rows]:
    """What a daemon says, as rows of all `TABLES`, and of "warnings"."""
    return {name: _keyed(make(daemon, since)) for name, make in _MAKERS.items()}


def _whole(value: float) -> int:
    return int(max(-_INT_MAX, min(_INT_MAX, value)))


def _keyed(rows: Iterator[tuple[Sequence[object], int, list[Any]]]) -> Rows:
    made: Rows = {}
    seen: Counter[str] = Counter()
    for parts, rank, cells in rows:
        key = plain(" \u00b7 ".join(map(str, parts)))
        seen[key] += 1
        # Two rows that can't be told apart are two rows.
        made[f"{key} #{seen[key]}" if seen[key] > 1 else key] = rank, list(map(_cell, cells))
    return made


def _cell(value: Any) -> Any:
    """A value as any program can take it."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= TEXT_MAX and value.isprintable() else plain(value)
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is int:
        return value if -_INT_MAX <= value <= _INT_MAX else _whole(value)
    return [_cell(one) for one in value] if kind is list else value


def _state(is_good: bool, good: str, bad: str) -> list[str]:
    return [good, "good"] if is_good else [bad, "bad"]


def _rank(is_good: bool) -> int:
    return NORMAL if is_good else TROUBLE


def _duration(ns: int) -> int | None:
    return None if ns < 0 else ns


def _stamp(ns: int) -> str:
    return f"{max(0, _whole(ns // 1000)):016d}"


_Made = Iterator[tuple[Sequence[object], int, list[Any]]]
"""Of each row: what its key is made of, its rank, its cells."""


def _warnings(daemon: status.DaemonStatus, since: Since) -> _Made:
    name = daemon.name
    for one in daemon.alerts:
        at = since.of(one.age_ns, "warning", name, one.key, one.symbol)
        yield (name, one.key, one.symbol), TROUBLE, [one.text, name, at, one.key]
    if not daemon.alerts:
        # A replay's have no keys.
        for text in daemon.warnings:
            yield (name, text), TROUBLE, [text, name, None, ""]


def _daemons(daemon: status.DaemonStatus, since: Since) -> _Made:
    up = since.of(daemon.now_ns - daemon.started_ns if daemon.started_ns > 0 else -1, "up", daemon.name)
    what = f"{daemon.kind} {daemon.venue}".strip()
    state = ["halted", "bad"] if daemon.is_halted else ["answers", "good"]
    cells = [daemon.name, state, None, what, up, str(daemon.pid), daemon.version, daemon.foreign_orders]
    yield (daemon.name,), _rank(not daemon.is_halted), cells


def _bots(daemon: status.DaemonStatus, since: Since) -> _Made:
    departed = {one.bot: one for one in daemon.departed}
    for bot in daemon.bots:
        left = None if bot.is_attached else departed.pop(bot.name, None)
        if bot.is_attached:
            departed.pop(bot.name, None)
            state = ["halted", "bad"] if bot.halt_reason else ["attached", "good"]
        else:
            state = _gone(left)
        ends = bot.outcomes
        ended = sum(ends.values())
        yield (
            (bot.name, daemon.name),
            _rank(state[1] != "bad"),
            [
                bot.name,
                daemon.name,
                state,
                [[one.total, one.asset] for one in bot.profits],
                len(bot.orders) + bot.orders_left_out,
                bot.fills,
                bot.refused,
                ends.get("filled", 0) / ended if ended else None,
                ends.get("unknown", 0) if ends else None,
                bot.requests,
                bot.lapped,
                since.of(
                    daemon.now_ns - bot.since_ns if bot.since_ns > 0 else -1, "bot", daemon.name, bot.name
                ),
                ", ".join(bot.symbols),
            ],
        )
    for one in departed.values():
        yield (
            (one.bot, daemon.name),
            _rank(one.is_orderly),
            [one.bot, daemon.name, _gone(one), *[None] * 9, ""],
        )


def _gone(left: status.Departed | None) -> list[str]:
    if left is None:
        return ["gone", "bad"]
    return ["ended", "dim"] if left.is_orderly else [f"died: {left.reason}", "bad"]


def _positions(daemon: status.DaemonStatus, _: Since) -> _Made:
    for bot in daemon.bots:
        for one in bot.positions:
            if one.position or one.num_trades:
                figures = [one.position, one.fee, one.num_trades, one.trading_volume, one.balance]
                yield (
                    (one.symbol, bot.name, daemon.name),
                    NORMAL,
                    [one.symbol, bot.name, daemon.name, *figures],
                )
    for one in daemon.account:
        # Of the account the position alone is known: others may trade in it as well.
        cells = [one.symbol, "account", daemon.name, one.position, None, None, None, None]
        yield (one.symbol, "", daemon.name), NORMAL, cells


def _profits(daemon: status.DaemonStatus, _: Since) -> _Made:
    told = [("account", one, 0) for one in daemon.profits]
    told += [("account", one, number) for number, one in enumerate(daemon.days, 1)]
    told += [(bot.name, one, 0) for bot in daemon.bots for one in bot.profits]
    for whose, one, number in told:
        day = _day(one.day_ns)
        parts = [one.total, one.realised, one.unrealised, one.fee, one.funding, one.in_all]
        key = "" if whose == "account" else whose, daemon.name, f"{number:04d}", one.asset
        yield key, NORMAL, [whose, daemon.name, day if number else f"{day}, today", one.asset, *parts]


def _day(ns: int) -> str:
    try:
        return f"{datetime.datetime.fromtimestamp(ns / 1e9, datetime.UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "?"


def _books(daemon: status.DaemonStatus, _: Since) -> _Made:
    for channel in daemon.channels:
        for one in channel.markets:
            latency = one.latency
            yield (
                (one.symbol, channel.name),
                _rank(one.book_is_valid and one.orders_are_connected),
                [
                    one.symbol,
                    channel.name,
                    _state(one.book_is_valid, "valid", "not valid"),
                    one.best_bid,
                    one.best_ask,
                    _duration(one.feed_age_ns),
                    *(quantiles(latency, (0.5, 0.99)) if latency else (None, None)),
                    _state(one.orders_are_connected, "connected", "disconnected"),
                    one.rows,
                    one.gaps,
                    one.resyncs,
                ],
            )


def _orders(daemon: status.DaemonStatus, since: Since) -> _Made:
    for bot in daemon.bots:
        for one in bot.orders:
            is_unknown = one.request == "unknown"
            ids = bot.name, daemon.name, one.client_id, str(one.order_id)
            yield (
                (one.symbol, *ids),
                _rank(not is_unknown),
                [
                    *(
                        one.symbol,
                        bot.name,
                        daemon.name,
                        one.side,
                        one.price,
                        one.leaves_qty,
                        one.qty,
                        one.status,
                    ),
                    [one.request, "bad" if is_unknown else ""],
                    since.of(one.age_ns, "order", *ids, one.symbol),
                    *(one.client_id, str(one.order_id)),
                ],
            )


def _fills(daemon: status.DaemonStatus, _: Since) -> _Made:
    horizons = {bot.name: [one.after_ns for one in bot.markouts] for bot in daemon.bots}
    for one in daemon.fills:
        after = zip(horizons.get(one.bot, ()), one.markouts, strict=False)
        known = [[ns, 1e4 * gain / one.price] for ns, gain in after if gain is not None and one.price]
        role = "" if one.is_maker is None else "maker" if one.is_maker else "taker"
        fee = [[one.fee, one.fee_asset]]
        cells = [
            one.ns // 1000,
            one.symbol,
            one.bot,
            daemon.name,
            one.side,
            one.price,
            one.qty,
            fee,
            role,
            known,
        ]
        yield (_stamp(one.ns), daemon.name, one.symbol, one.client_id), NORMAL, [*cells, one.client_id]


def _markouts(daemon: status.DaemonStatus, _: Since) -> _Made:
    for bot in daemon.bots:
        for one in bot.markouts:
            points = 1e4 * one.gain / one.value if one.value else None
            cells = [bot.name, daemon.name, one.after_ns, one.count, points, one.gain, one.value]
            yield (bot.name, daemon.name, f"{_whole(one.after_ns):020d}"), NORMAL, cells


def _latencies(daemon: status.DaemonStatus, _: Since) -> _Made:
    found = [(bot.name, one) for bot in daemon.bots for one in bot.latencies]
    for channel in daemon.channels:
        found += [(one.symbol, one.latency) for one in channel.markets if one.latency]
    for whose, one in found:
        if one.count:
            figures = [*quantiles(one, _QUANTILES), one.max_ns, one.count]
            yield (whose, daemon.name, one.name), NORMAL, [whose, daemon.name, one.name, *figures]


def _limits(daemon: status.DaemonStatus, _: Since) -> _Made:
    found = [("account", one) for one in daemon.limits]
    found += [(bot.name, one) for bot in daemon.bots for one in bot.limits]
    for whose, one in found:
        share = one.used / one.limit if one.limit else None
        cells = [one.name, whose, daemon.name, one.used, one.limit or None, share]
        yield (daemon.name, whose, one.name), _rank(share is None or share < 0.9), cells


def _refusals(daemon: status.DaemonStatus, since: Since) -> _Made:
    for one in daemon.refusals:
        key = one.name, one.bot, daemon.name, one.symbol, str(one.code)
        words = "; ".join(filter(None, (one.words, one.hint)))
        code = str(one.code) if one.code else ""
        at = since.of(one.age_ns, "refusal", *key)
        yield key, NORMAL, [one.name, one.bot, daemon.name, one.symbol, one.count, at, code, words]


def _connections(daemon: status.DaemonStatus, since: Since) -> _Made:
    for one in daemon.connections:
        at = since.of(daemon.now_ns - one.since_ns if one.since_ns > 0 else -1, "link", daemon.name, one.name)
        counts = [one.reconnects, one.errors, one.messages]
        cells = [one.name, daemon.name, _state(one.is_up, "up", "down"), at, *counts, one.last_error]
        yield (daemon.name, one.name), _rank(one.is_up), cells


def _balances(daemon: status.DaemonStatus, _: Since) -> _Made:
    for one in daemon.balances:
        yield (one.asset, daemon.name), NORMAL, [one.asset, daemon.name, one.total, one.free, one.locked]


def _events(daemon: status.DaemonStatus, _: Since) -> _Made:
    for one in daemon.events:
        tone = "bad" if one.level in ("error", "critical") else "warn" if one.level == "warning" else "dim"
        cells = [one.ns // 1000, [one.level, tone], daemon.name, one.key, one.text]
        yield (_stamp(one.ns), daemon.name, one.key), NORMAL, cells


_MAKERS: Final[Mapping[str, Callable[[status.DaemonStatus, Since], _Made]]] = {
    "warnings": _warnings,
    "daemons": _daemons,
    "bots": _bots,
    "positions": _positions,
    "profits": _profits,
    "books": _books,
    "orders": _orders,
    "fills": _fills,
    "markouts": _markouts,
    "latencies": _latencies,
    "limits": _limits,
    "refusals": _refusals,
    "connections": _connections,
    "balances": _balances,
    "events": _events,
}
