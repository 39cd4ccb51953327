"""What a connector tells tools that ask from outside."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from daemon import log_writer
from daemon.orders.manager import OrderManager
from daemon.warnings import Warn
from hftd.channel import status
from hftd.channel.layout import BOT_LAPPED, BOT_PID, MARKET_RECORDS, MARKET_ROWS, MARKET_TAIL
from hftd.clock import boot_ns, monotonic_ns, running_ns
from hftd.types import INVALID_MAX, INVALID_MIN
from hftd.version import __version__

if TYPE_CHECKING:
    from daemon.connector.books import FollowedMarket
    from daemon.connector.service import Connector


def status_of(connector: "Connector") -> status.DaemonStatus:
    """All that a connector knows of itself."""
    now_ns = running_ns()
    bots, session = connector.bots, connector.session
    known = connector.orders.snapshot(now_ns)
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
        channels=[channel],
        bots=[_with_link(connector, bot) for bot in known.bots],
        account=known.account,
        limits=[*known.limits, *session.limits()],
        connections=session.connections(),
        foreign_orders=known.foreign_orders,
        counters=counters,
        warnings=[one.text for one in alerts],
        alerts=alerts,
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
    )


def _with_link(connector: "Connector", bot: status.Bot) -> status.Bot:
    """A bot with what only its link knows."""
    for attached in connector.bots.attached:
        if attached.name == bot.name:
            page = attached.page
            return msgspec.structs.replace(bot, pid=page.word(BOT_PID), lapped=page.word(BOT_LAPPED))
    return bot


def warnings_of(connector: "Connector") -> Iterator[Warn]:
    """What of the connector itself needs a person."""
    yield from connector.mishaps.warnings()
    yield from connector.clock_watch.warnings(boot_ns())
    if trouble := log_writer.trouble():
        yield Warn("log_dropped", trouble)
    if not connector.trades:
        yield Warn("no_keys", "without keys: market data alone, every order is refused")
    for market in connector.bots.books.markets():
        symbol = market.instrument.symbol
        if market.unfused:
            yield Warn("unfused", f"{symbol}: {market.unfused} batches of rows could not be fused", symbol)
    instruments = connector.bots.instruments
    used = {market.instrument.symbol for market in connector.bots.books.markets()} | set(
        connector.orders.symbols()
    )
    for symbol in sorted(used):
        instrument = instruments.get(symbol)
        if instrument is not None and instrument.trouble:
            yield Warn(instrument.trouble, f"{symbol}: {instrument.why}", symbol)
    for one in connector.session.connections():
        if not one.is_up:
            why = one.last_error or "it has not been up yet"
            yield Warn("connection_down", f"the connection {one.name} is down: {why}", one.name)


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
    store = orders.store
    orders_left = sum(1 for order in store.alive.values() if order.cancel_wanted)
    return len(orders.courier.in_flight) + orders_left + sum(bot.row.is_ending for bot in store.bots.values())
