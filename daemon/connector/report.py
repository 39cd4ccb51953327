"""What a connector tells tools that ask from outside."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from daemon import log_writer
from daemon.messages import STEPS_CHANGED
from daemon.orders.manager import OrderManager
from daemon.warnings import Recent, Warn
from hftd.channel.layout import (
    BOT_LAPPED,
    BOT_PID,
    LINK_MARKET_CURSOR,
    MARKET_RECORDS,
    MARKET_ROWS,
    MARKET_TAIL,
)
from hftd.clock import boot_ns, monotonic_ns, running_ns
from hftd.control import recent, status
from hftd.types import INVALID_MAX, INVALID_MIN
from hftd.version import __version__

if TYPE_CHECKING:
    from daemon.connector.market.books import FollowedMarket
    from daemon.connector.service import Connector

DOWN_S: Final = 5.0
"""What comes back within this needs nobody."""
MANY_RESYNCS: Final = 10
REFRESHES_SHOWN: Final = 3
"""The instruments could not be asked for so often in a row, which is within some seconds of the first time."""
ROOM_MIN: Final = 256 << 20
"""Of the journal's disk: its two files, and the log for a while."""
ROOM_EVERY_NS: Final = 10_000_000_000
COUNTED: Final = {
    "unreadable": (
        "unreadable",
        "messages about the account can't be read: the log has them; please report it",
    ),
    "failed_events": (
        "failed_events",
        "messages about the account could not be handled: the log has the traces; please report it",
    ),
    "countdown_failures": (
        "countdown_failing",
        "times the exchange's dead-man switch could not be set or refreshed: the log says why",
    ),
    "clock_failures": ("clock_unknown", "times the exchange's time could not be asked for: the log says why"),
    "user_stream_silent": (
        "user_stream_silent",
        "times the account's stream said nothing of an order or a fill: it was connected anew",
    ),
}
"""Counters of a session that may not grow, with the key of their warning and what it says behind the number."""


def status_of(connector: "Connector") -> status.DaemonStatus:
    """All that a connector knows of itself."""
    now_ns = running_ns()
    bots, session = connector.bots, connector.session
    known = connector.orders.snapshot(now_ns)
    ahead_ns, clock_error_ns = session.clock()
    is_armed, switch_age_ns = session.switch()
    journal, reconciled_ns = connector.orders.store.journal, connector.reconciler.done_ns
    server = connector.server
    alerts = connector.warnings.look(monotonic_ns())
    counters = {
        **known.counters,
        **session.counters(),
        **connector.lag.counters(),
        "bots_dropped": bots.dropped,
        "callbacks_failed": connector.mishaps.count,
        "log_dropped": log_writer.dropped(),
        "clock_steps": connector.clock_watch.steps,
        "machine_sleeps": connector.clock_watch.sleeps,
        "stood_still": connector.clock_watch.stands,
        "reconciled": connector.reconciler.done,
        "reconcile_failures": connector.reconciler.failures,
        "retries: reconciliation": connector.reconciler.retries,
        "resyncs_of_bots": sum(bot.resyncs for bot in bots.attached),
        "bots_attached": server.statistics.attached,
        "bots_refused": server.statistics.refused,
    }
    channel = status.Channel(
        name=connector.name,
        markets=[_market(connector, market) for market in bots.books.markets()],
        records=bots.ring.word(MARKET_RECORDS),
        rows=bots.ring.word(MARKET_ROWS),
        ring_bytes=bots.ring.capacity,
    )
    return status.DaemonStatus(
        kind=status.CONNECTOR,
        name=connector.name,
        pid=connector.pid,
        version=__version__,
        now_ns=now_ns,
        venue=connector.venue.name,
        started_ns=connector.started_ns,
        is_halted=known.is_halted,
        halt_reason=known.halt_reason,
        clock_ahead_ns=None if clock_error_ns < 0 else ahead_ns,
        clock_error_ns=clock_error_ns,
        switch_is_armed=is_armed,
        switch_age_ns=switch_age_ns,
        reconciled_age_ns=now_ns - reconciled_ns if reconciled_ns >= 0 else -1,
        journal_bytes=0 if journal is None else journal.size,
        journal_writes=None if journal is None else journal.writes.told("write"),
        channels=[channel],
        bots=[_with_link(connector, bot) for bot in known.bots],
        account=known.account,
        balances=known.balances,
        limits=[*known.limits, *session.limits()],
        connections=session.connections(),
        foreign_orders=known.foreign_orders,
        counters=counters,
        warnings=[one.text for one in alerts],
        alerts=alerts,
        refusals=known.refusals,
        departed=bots.departed(),
        fills=connector.orders.fills(),
        events=recent.events(),
        profits=known.profits,
        days=known.days,
    )


def _market(connector: "Connector", market: "FollowedMarket") -> status.Market:
    number = market.instrument.number
    tick_size = float(market.instrument.tick_size)
    bid, ask = market.best_ticks
    counted = connector.session.market_counters(number)
    return status.Market(
        symbol=market.instrument.symbol,
        instrument=number,
        book_is_valid=market.is_valid,
        orders_are_connected=connector.bots.is_connected,
        best_bid=None if bid == INVALID_MIN else bid * tick_size,
        best_ask=None if ask == INVALID_MAX else ask * tick_size,
        feed_age_ns=monotonic_ns() - market.last_ns if market.last_ns else -1,
        rows=market.rows,
        messages=counted.get("messages", 0),
        gaps=counted.get("gaps", 0),
        resyncs=counted.get("resyncs", 0),
        latency=market.latency.told("feed"),
    )


def _with_link(connector: "Connector", bot: status.Bot) -> status.Bot:
    """A bot with what only its link knows."""
    for attached in connector.bots.attached:
        if attached.name == bot.name:
            page = attached.page
            # The bot writes how far it has read: what can't be is not shown.
            unread = connector.bots.ring.word(MARKET_TAIL) - attached.link.word(LINK_MARKET_CURSOR)
            return msgspec.structs.replace(
                bot,
                pid=page.word(BOT_PID),
                lapped=page.word(BOT_LAPPED),
                unread_bytes=min(unread, connector.bots.ring.capacity) if unread >= 0 else -1,
                channels=list(attached.hello.channels),
            )
    return bot


class Watch:
    """What of a connector is a state only when it is compared with what was.

    Args:
        journal: The journal's path; None for none.
    """

    def __init__(self, journal: Path | None) -> None:
        self._journal = journal
        self._recent = Recent()
        self._room = -1
        self._room_ns = 0

    def grew(self, name: str, count: int) -> bool:
        """Whether a counter grew within the last minute."""
        return self._recent.grew(name, count, monotonic_ns())

    def room(self) -> int:
        """Bytes that are free on the journal's disk, as of some seconds ago; -1 if that is not known."""
        if self._journal is None:
            return -1
        now_ns = monotonic_ns()
        if not self._room_ns or now_ns - self._room_ns > ROOM_EVERY_NS:
            self._room_ns = now_ns
            try:
                found = os.statvfs(self._journal.parent)
                self._room = found.f_bavail * found.f_frsize
            except OSError:
                self._room = -1
        return self._room


def _limits_that_miss(connector: "Connector") -> Iterator[Warn]:
    """Limits are given by names, and one that is misspelt limits nothing."""
    limited, instruments = connector.config.bots, connector.bots.instruments
    for bot in connector.orders.store.bots.values():
        if limited and bot.is_attached and bot.name not in limited:
            yield Warn(
                "bot_not_limited",
                f"{bot.name}: the configuration limits {', '.join(sorted(limited))}, and not this bot: give it a "
                f"[bots.{bot.name}], which may be empty",
                bot.name,
            )
    for name, limits in limited.items():
        for symbol in limits.instruments:
            if len(instruments) and symbol.upper() not in instruments:
                yield Warn(
                    "limit_of_no_instrument",
                    f"[bots.{name}.instruments.{symbol}] limits nothing: the exchange has no {symbol}",
                    f"{name} {symbol}",
                )


def warnings_of(connector: "Connector") -> Iterator[Warn]:
    """What of the connector itself needs a person."""
    watch, bots = connector.watch, connector.bots
    yield from connector.mishaps.warnings()
    yield from connector.clock_watch.warnings(boot_ns())
    if trouble := log_writer.trouble():
        yield Warn("log_dropped", trouble)
    if not connector.trades:
        yield Warn("no_keys", "without keys: market data alone, every order is refused")
    elif not bots.is_connected:
        yield Warn(
            "orders_not_connected",
            "orders can't be sent, or what becomes of them is not heard: the connections say why",
            after_s=DOWN_S,
        )
    yield from connector.health.warnings()
    yield from connector.watchdog.warnings()
    yield from bots.warnings()
    for market in bots.books.markets():
        symbol = market.instrument.symbol
        if market.unfused:
            yield Warn("unfused", f"{symbol}: {market.unfused} batches of rows could not be fused", symbol)
        if not market.is_valid:
            instrument = bots.instruments.get(symbol)
            is_stopped = instrument is not None and instrument.trouble == STEPS_CHANGED
            why = (
                "its steps have changed" if is_stopped else "it is being synchronised, or its feed is silent"
            )
            yield Warn(
                "book_not_valid",
                f"{symbol}: the book is not valid: {why}",
                symbol,
                after_s=DOWN_S,
            )
    if connector.refreshes_failed >= REFRESHES_SHOWN:
        yield Warn(
            "instruments_not_refreshed",
            f"the exchange's instruments could not be asked for {connector.refreshes_failed} times in a row, so "
            f"changes of steps and halts may go unheard: {connector.refresh_why}",
        )
    instruments = bots.instruments
    used = {market.instrument.symbol for market in bots.books.markets()} | set(connector.orders.symbols())
    for symbol in sorted(used):
        instrument = instruments.get(symbol)
        if instrument is not None and instrument.trouble:
            yield Warn(instrument.trouble, f"{symbol}: {instrument.why}", symbol)
    for one in connector.session.connections():
        if not one.is_up:
            why = one.last_error or "it has not been up yet"
            yield Warn("connection_down", f"the connection {one.name} is down: {why}", one.name)
    for bot in bots.attached:
        lapped = bot.page.word(BOT_LAPPED)
        if watch.grew(f"lapped {bot.name}", lapped):
            yield Warn(
                "bot_lapped",
                f"{bot.name}: the market went by it unseen {lapped:,} times: its strategy takes too long, or it has "
                "too little of the processor",
                bot.name,
            )
        if watch.grew(f"resyncs {bot.name}", bot.resyncs // MANY_RESYNCS):
            yield Warn(
                "bot_resyncs",
                f"{bot.name}: it asked for all books anew {bot.resyncs:,} times: it can't keep up with the market",
                bot.name,
            )
    yield from _limits_that_miss(connector)
    counters = connector.session.counters()
    for name, (key, text) in COUNTED.items():
        count = counters.get(name, 0)
        if watch.grew(name, count):
            yield Warn(key, f"{count:,} {text}", name)
    # A stream that says nothing is no message.
    odd = {
        name.removeprefix("odd: "): count
        for name, count in counters.items()
        if name.startswith("odd: ") and not name.startswith("odd: silent")
    }
    if watch.grew("odd", sum(odd.values())):
        yield Warn(
            "odd_messages",
            f"{sum(odd.values()):,} messages of the exchange can't be used ({', '.join(odd)[:200]}): the log has them",
        )
    room = watch.room()
    if 0 <= room < ROOM_MIN:
        yield Warn(
            "disk_nearly_full",
            f"{room >> 20:,} MiB are left on the disk of the journal: when it is full no orders are taken; make room",
        )


def line_of(connector: "Connector") -> str:
    """How it is, in a line, for `systemctl status`."""
    bots = connector.bots
    books = [market.is_valid for market in bots.books.markets()]
    parts = [f"{sum(books)} of {len(books)} books valid", f"bots: {len(bots.attached)}"]
    if connector.trades:
        parts.append("orders connected" if bots.is_connected else "orders NOT connected")
    if reason := connector.orders.store.halt_reason:
        parts.append(f"HALTED: {reason}")
    if told := connector.warnings.told:
        parts.append(told)
    return ", ".join(parts)


def tap_of(connector: "Connector") -> status.Tap:
    """What a tap must know."""
    return status.Tap(
        daemon=connector.venue.name,
        pid=connector.pid,
        instruments=[
            status.TappedInstrument(
                instrument=market.instrument.number,
                symbol=market.instrument.symbol,
                tick_size=float(market.instrument.tick_size),
                lot_size=float(market.instrument.lot_size),
                book=market.as_rows(running_ns()).tobytes(),
            )
            for market in connector.bots.books.markets()
        ],
        position=connector.bots.ring.word(MARKET_TAIL),
    )


def unfinished(orders: OrderManager) -> int:
    """How much of what was sent, or is to be cancelled or flattened, has no answer yet."""
    return orders.unfinished()
