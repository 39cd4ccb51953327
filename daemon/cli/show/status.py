"""A report on daemons."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from daemon.cli.asking import Report
from daemon.cli.legs import BotLegs
from daemon.cli.show import text
from hftd.constants import reason_name
from hftd.control import status
from hftd.control.protocol import runtime_dir
from sim.results.parts import Cell, Line, Part, Rows, Table, line, warnings

_ORDERS_SHOWN = 20
_REFUSALS_SHOWN = 20
_OUTCOMES = "filled", "cancelled", "expired", "refused", "unknown"


def daemons(report: Report) -> Iterator[Part]:
    """All daemons, one after the other."""
    if not report.daemons and not report.silent:
        yield line(f"no daemon runs in {runtime_dir()}")
    for number, daemon in enumerate(report.daemons):
        if number:
            yield line()
        yield from _daemon(daemon)
    for bot in report.bots:
        yield line()
        yield from _legs(bot)
    for silent in report.silent:
        yield line((f"{silent.channel}: ", "red bold"), silent.error)


def _daemon(daemon: status.DaemonStatus) -> Iterator[Part]:
    channels = ", ".join(channel.name for channel in daemon.channels) or daemon.name
    what = f"{daemon.kind} {daemon.venue}".strip()
    yield line((channels, "bold"), f"  {what}, pid {daemon.pid}, hftd {daemon.version}")
    up = f", up {_age(daemon.now_ns - daemon.started_ns)}" if daemon.started_ns > 0 else ""
    yield line(f"clock {text.moment(daemon.now_ns)}{up}", style="dim")
    if daemon.is_halted:
        yield line(f"HALTED: {daemon.halt_reason or 'no reason given'}", style="red bold")
    for bot in daemon.bots:
        if bot.halt_reason:
            yield line(f"HALTED: {bot.name}: {bot.halt_reason}", style="red bold")
    if daemon.connections:
        yield _connections(daemon)
    yield _markets(daemon)
    if daemon.bots:
        yield from _bots(daemon)
    for table in (_latencies(daemon), _executed(daemon.bots), _markouts(daemon.bots)):
        if table is not None:
            yield table
    if any(bot.positions for bot in daemon.bots) or daemon.account:
        yield _positions(daemon)
    if any(bot.profits for bot in daemon.bots) or daemon.profits or daemon.days:
        yield _profits(daemon)
    if daemon.balances:
        yield _balances(daemon.balances)
    limits = [("account", used) for used in daemon.limits]
    limits += [(bot.name, used) for bot in daemon.bots for used in bot.limits]
    if limits:
        yield _limits(limits)
    if daemon.refusals:
        yield _refusals(daemon.refusals[:_REFUSALS_SHOWN])
        yield from _more(len(daemon.refusals) - _REFUSALS_SHOWN, "kinds of refusals")
    if daemon.foreign_orders:
        yield line(f"{daemon.foreign_orders:,} open orders of others are left alone")
    counted = ", ".join(f"{_counter(name)} {n:,}" for name, n in daemon.counters.items() if n)
    if counted:
        yield line(f"{counted}; all else 0", style="dim")
    for alert in daemon.alerts:
        age = f" (for {_age(alert.age_ns)})" if alert.age_ns >= 0 else ""
        yield line(("warning: ", "yellow bold"), alert.text, (age, "dim"))
    if not daemon.alerts:
        # A replay's are said once, of the run as a whole.
        yield from warnings(daemon.warnings)


def _more(left: int, what: str) -> Iterable[Line]:
    return [line(f"and {left:,} more {what}; --json shows them", style="dim")] if left > 0 else []


def _counter(name: str) -> str:
    """A counter's name for people: `refused_38` counts the orders that were refused with REASON_HALTED."""
    what, _, number = name.rpartition("_")
    if what == "refused" and number.isdecimal():
        return f"refused with {reason_name(int(number))}"
    return name.replace("_", " ")


def _age(age_ns: int) -> str:
    return text.NOTHING if age_ns < 0 else text.duration(age_ns / 1e9)


def _state(is_good: bool, good: str, bad: str) -> Cell:
    return (good, "green") if is_good else (bad, "red bold")


def _counts(of: Any, *names: str) -> list[Cell]:
    return [f"{getattr(of, name):,}" for name in names]


def _connections(daemon: status.DaemonStatus) -> Table:
    rows: Rows = []
    for one in daemon.connections:
        since = _age(daemon.now_ns - one.since_ns if one.since_ns > 0 else -1)
        counts = _counts(one, "reconnects", "messages", "errors")
        rows.append([one.name, _state(one.is_up, "up", "down"), since, *counts, one.last_error])
    columns = ("connection", "state", "=for", "=reconnects", "=messages", "=errors", "last error")
    return Table(columns, rows, keys=1)


def _markets(daemon: status.DaemonStatus) -> Table:
    rows: Rows = []
    for channel, market in ((one, market) for one in daemon.channels for market in one.markets):
        sides = [math.nan if side is None else side for side in (market.best_bid, market.best_ask)]
        rows.append(
            [
                channel.name,
                market.symbol,
                _state(market.book_is_valid, "valid", "not valid"),
                # A collector has none.
                text.NOTHING
                if daemon.kind == status.COLLECTOR
                else _state(market.orders_are_connected, "connected", "disconnected"),
                *text.exact(sides),
                _age(market.feed_age_ns),
                *_counts(market, "rows", "gaps", "resyncs"),
            ]
        )
    columns = "channel", "symbol", "book", "orders", "=bid", "=ask", "=feed age", "=rows", "=gaps", "=resyncs"
    return Table(columns, rows, keys=2)


def _bots(daemon: status.DaemonStatus) -> Iterator[Part]:
    rows: Rows = [
        [
            bot.name,
            ("halted", "red bold") if bot.halt_reason else _state(bot.is_attached, "attached", "gone"),
            str(bot.pid or text.NOTHING),
            f"{bot.on_end}{', pull quotes' if bot.pull_quotes else ''}",
            ", ".join(bot.symbols),
            f"{len(bot.orders) + bot.orders_left_out:,}",
            *_counts(bot, "requests", "refused", "fills", "lapped"),
        ]
        for bot in daemon.bots
    ]
    columns = (
        "bot",
        "state",
        "=pid",
        "on end",
        "symbols",
        "=open",
        "=requests",
        "=refused",
        "=fills",
        "=lapped",
    )
    yield Table(columns, rows, keys=1)
    orders = [(bot.name, order) for bot in daemon.bots for order in bot.orders]
    if orders:
        yield _orders(orders[:_ORDERS_SHOWN])
    left_out = sum(bot.orders_left_out for bot in daemon.bots)
    yield from _more(max(len(orders) - _ORDERS_SHOWN, 0) + left_out, "open orders")


def _orders(orders: list[tuple[str, status.OpenOrder]]) -> Table:
    rows: Rows = [
        [
            bot,
            order.symbol,
            str(order.order_id),
            order.client_id,
            (order.side, "green" if order.side == "buy" else "red"),
            *(text.exact([value])[0] for value in (order.price, order.qty, order.leaves_qty)),
            order.status,
            (order.request, "red" if order.request == "unknown" else ""),
            _age(order.age_ns),
        ]
        for bot, order in orders
    ]
    numbers = "=price", "=qty", "=left"
    columns = "bot", "symbol", "=order id", "client id", "side", *numbers, "status", "request", "=age"
    return Table(columns, rows, keys=3)


def _legs(bot: BotLegs) -> Iterator[Part]:
    """A bot over all of its daemons."""
    yield line((bot.name, "bold"))
    yield line(f"bot on {text.count(len(bot.legs), 'leg')}, pid {bot.pid or text.NOTHING}", style="dim")
    rows: Rows = [
        [
            leg.channel,
            leg.symbol or text.NOTHING,
            _state(not leg.troubles, "ready", ", ".join(leg.troubles)),
            text.NOTHING if leg.position is None else text.exact([leg.position])[0],
            *(text.NOTHING if count is None else f"{count:,}" for count in (leg.open_orders, leg.fills)),
        ]
        for leg in bot.legs
    ]
    yield Table(("channel", "symbol", "state", "=position", "=open", "=fills"), rows, keys=2)


def _refusals(refusals: list[status.Refusal]) -> Table:
    rows: Rows = []
    for one in refusals:
        words = f"{one.words}{f'; {one.hint}' if one.hint else ''}"
        rows.append([one.bot, one.symbol, one.name, f"{one.count:,}", _age(one.age_ns), words])
    return Table(("refused to", "symbol", "reason", "=count", "=last", "words"), rows, keys=3)


def _positions(daemon: status.DaemonStatus) -> Table:
    rows: Rows = []
    for whose, one in ((bot.name, position) for bot in daemon.bots for position in bot.positions):
        money = text.money([one.balance])[0], text.money([one.fee])[0]
        position, volume = text.exact([one.position])[0], text.exact([one.trading_volume])[0]
        rows.append([whose, one.symbol, position, *money, f"{one.num_trades:,}", volume])
    for one in daemon.account:
        # Of the account the position alone is known: others may trade in it as well.
        rows.append(["account", one.symbol, text.exact([one.position])[0], *[text.NOTHING] * 4])
    return Table(("whose", "symbol", "=position", "=balance", "=fee", "=trades", "=volume"), rows, keys=2)


def _profits(daemon: status.DaemonStatus) -> Table:
    """What was earned today, by whom; and by all on the days before."""
    rows: Rows = []
    found = [(bot.name, "today", one) for bot in daemon.bots for one in bot.profits]
    found += [("account", "today", one) for one in daemon.profits]
    found += [("account", text.moment(one.day_ns)[:10], one) for one in daemon.days]
    for whose, day, one in found:
        amounts = [one.total, one.realised, one.unrealised, one.fee, one.funding]
        style = "red" if one.total < 0 else "green" if one.total > 0 else ""
        shown = text.money(amounts)
        rows.append([whose, day, one.asset, (shown[0], style), *shown[1:]])
    parts = "=profit", "=realised", "=unrealised", "=fee", "=funding"
    return Table(("whose", "day (UTC)", "in", *parts), rows, keys=3)


def _balances(balances: list[status.Balance]) -> Table:
    rows: Rows = []
    for one in balances:
        rows.append([one.asset, *(text.exact([value])[0] for value in (one.total, one.free, one.locked))])
    return Table(("asset", "=balance", "=free", "=locked"), rows, keys=1)


def _limits(limits: list[tuple[str, status.Used]]) -> Table:
    rows: Rows = []
    for whose, one in limits:
        share = 100 * one.used / one.limit if one.limit else math.nan
        style = "red bold" if share >= 90 else "yellow" if share >= 70 else ""
        percent = f"{share:.0f}" if math.isfinite(share) else text.NOTHING
        limit = text.exact([one.limit])[0] if one.limit else text.NOTHING
        # A bucket that empties steadily has a tail of decimals, which say nothing.
        used = text.exact(
            [round(one.used, 2) if abs(one.used) >= 10 else float(f"{round(one.used, 8):.4g}")]
        )[0]
        rows.append([whose, one.name, used, limit, (percent, style)])
    return Table(("whose", "limit", "=used", "=of", "=%"), rows, keys=2)


def _latencies(daemon: status.DaemonStatus) -> Table | None:
    """How long market data and requests take; the exchange's clock is a part of all but the round trip."""
    found = [
        (market.symbol, market.latency)
        for channel in daemon.channels
        for market in channel.markets
        if market.latency is not None
    ]
    found += [(bot.name, one) for bot in daemon.bots for one in bot.latencies]
    rows: Rows = [
        [
            whose,
            one.name,
            *(f"{ns / 1e6:,.2f}" for ns in (one.quantile_ns(0.5), one.quantile_ns(0.99), one.max_ns)),
            f"{one.count:,}",
        ]
        for whose, one in found
        if one.count
    ]
    return (
        Table(("of", "latency", "=p50 ms", "=p99 ms", "=longest ms", "=count"), rows, keys=2)
        if rows
        else None
    )


def _executed(bots: list[status.Bot]) -> Table | None:
    """How orders ended."""
    rows: Rows = []
    for bot in bots:
        if ended := sum(bot.outcomes.values()):
            counts = [bot.outcomes.get(name, 0) for name in _OUTCOMES]
            rows.append([bot.name, *(f"{count:,}" for count in counts), f"{100 * counts[0] / ended:.1f}"])
    return (
        Table(("orders of", *(f"={name}" for name in _OUTCOMES), "=filled %"), rows, keys=1) if rows else None
    )


def _markouts(bots: list[status.Bot]) -> Table | None:
    """What executions were worth some time later, of their value in basis points too."""
    rows: Rows = [
        [
            bot.name,
            one.asset,
            f"{one.after_ns / 1e9:g} s",
            f"{one.count:,}",
            (text.money([one.gain])[0], "red" if one.gain < 0 else "green" if one.gain > 0 else ""),
            f"{1e4 * one.gain / one.value:+.2f}" if one.value else text.NOTHING,
        ]
        for bot in bots
        for one in bot.markouts
        if one.count
    ]
    return Table(("fills of", "in", "after", "=count", "=markout", "=bp"), rows, keys=3) if rows else None
