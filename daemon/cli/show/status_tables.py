"""A report on daemons for people."""

import math
import sys
from typing import TextIO

from rich.table import Table
from rich.text import Text

from daemon.cli.asking import Report
from daemon.cli.show import text
from daemon.cli.show.console import Console
from hftd.constants import reason_name
from hftd.control import status
from hftd.control.protocol import runtime_dir

_PIPE_WIDTH = 400
_ORDERS_SHOWN = 20
_REFUSALS_SHOWN = 20


def show_report(report: Report, *, stream: TextIO | None = None) -> None:
    """All daemons, one after the other."""
    file = sys.stdout if stream is None else stream
    console = Console(file=file, width=None if file.isatty() else _PIPE_WIDTH)
    if not report.daemons and not report.silent:
        console.print(f"no daemon runs in {runtime_dir()}", markup=False)
    for number, daemon in enumerate(report.daemons):
        if number:
            console.print()
        _show_daemon(console, daemon)
    for silent in report.silent:
        console.print(Text.assemble((f"{silent.channel}: ", "red bold"), silent.error))


def _show_daemon(console: Console, daemon: status.DaemonStatus) -> None:
    channels = ", ".join(channel.name for channel in daemon.channels) or daemon.name
    what = f"{daemon.kind} {daemon.venue}".strip()
    console.print(Text.assemble((channels, "bold"), f"  {what}, pid {daemon.pid}, hftd {daemon.version}"))
    clock = text.moment(daemon.now_ns)
    up = f", up {_age(daemon.now_ns - daemon.started_ns)}" if daemon.started_ns > 0 else ""
    console.print(f"clock {clock}{up}", markup=False, style="dim")
    if daemon.is_halted:
        console.print(Text(f"HALTED: {daemon.halt_reason or 'no reason given'}", style="red bold"))
    if daemon.connections:
        console.print(_connections(daemon))
    console.print(_markets(daemon))
    if daemon.bots:
        console.print(_bots(daemon))
        orders = [(bot.name, order) for bot in daemon.bots for order in bot.orders]
        if orders:
            console.print(_orders(orders))
        left = max(len(orders) - _ORDERS_SHOWN, 0) + sum(bot.orders_left_out for bot in daemon.bots)
        if left:
            console.print(f"and {left:,} more open orders; --json shows them", style="dim", markup=False)
    if any(bot.positions for bot in daemon.bots) or daemon.account:
        console.print(_positions(daemon))
    if daemon.balances:
        console.print(_balances(daemon.balances))
    limits = [("account", used) for used in daemon.limits]
    limits += [(bot.name, used) for bot in daemon.bots for used in bot.limits]
    if limits:
        console.print(_limits(limits))
    if daemon.refusals:
        console.print(_refusals(daemon.refusals[:_REFUSALS_SHOWN]))
        if (left := len(daemon.refusals) - _REFUSALS_SHOWN) > 0:
            console.print(
                f"and {left:,} more kinds of refusals; --json shows them", style="dim", markup=False
            )
    if daemon.foreign_orders:
        console.print(f"{daemon.foreign_orders:,} open orders of others are left alone", markup=False)
    counted = ", ".join(f"{_counter(name)} {n:,}" for name, n in daemon.counters.items() if n)
    if counted:
        console.print(f"{counted}; all else 0", style="dim", markup=False)
    for alert in daemon.alerts:
        age = f" (for {_age(alert.age_ns)})" if alert.age_ns >= 0 else ""
        console.print(Text.assemble(("warning: ", "yellow bold"), alert.text, (age, "dim")))
    if not daemon.alerts:
        # A replay's are said once, of the run as a whole.
        for warning in daemon.warnings:
            console.print(Text.assemble(("warning: ", "yellow bold"), warning))


def _counter(name: str) -> str:
    """A counter's name for people: `refused_38` counts the orders that were refused with REASON_HALTED."""
    what, _, number = name.rpartition("_")
    if what == "refused" and number.isdecimal():
        return f"refused with {reason_name(int(number))}"
    return name.replace("_", " ")


def _age(age_ns: int) -> str:
    return text.NOTHING if age_ns < 0 else text.duration(age_ns / 1e9)


def _table(*columns: str) -> Table:
    """Names to the left, numbers to the right: a column named `=x` is of numbers."""
    table = Table()
    for column in columns:
        right = column.startswith("=")
        table.add_column(column.removeprefix("="), justify="right" if right else "left", no_wrap=True)
    return table


def _state(is_good: bool, good: str, bad: str) -> Text:
    return Text(good if is_good else bad, style="green" if is_good else "red bold")


def _connections(daemon: status.DaemonStatus) -> Table:
    table = _table("connection", "state", "=for", "=reconnects", "=messages", "=errors", "last error")
    for one in daemon.connections:
        since = daemon.now_ns - one.since_ns if one.since_ns > 0 else -1
        table.add_row(
            Text(one.name),
            _state(one.is_up, "up", "down"),
            _age(since),
            f"{one.reconnects:,}",
            f"{one.messages:,}",
            f"{one.errors:,}",
            Text(one.last_error),
        )
    return table


def _markets(daemon: status.DaemonStatus) -> Table:
    table = _table(
        "channel", "symbol", "book", "orders", "=bid", "=ask", "=feed age", "=rows", "=gaps", "=resyncs"
    )
    for channel in daemon.channels:
        for market in channel.markets:
            sides = [math.nan if side is None else side for side in (market.best_bid, market.best_ask)]
            bid, ask = text.exact(sides)
            table.add_row(
                Text(channel.name),
                Text(market.symbol),
                _state(market.book_is_valid, "valid", "not valid"),
                _state(market.orders_are_connected, "connected", "disconnected"),
                bid,
                ask,
                _age(market.feed_age_ns),
                f"{market.rows:,}",
                f"{market.gaps:,}",
                f"{market.resyncs:,}",
            )
    return table


def _bots(daemon: status.DaemonStatus) -> Table:
    table = _table(
        "bot", "state", "=pid", "on end", "symbols", "=open", "=requests", "=refused", "=fills", "=lapped"
    )
    for bot in daemon.bots:
        policy = f"{bot.on_end}{', pull quotes' if bot.pull_quotes else ''}"
        table.add_row(
            Text(bot.name),
            _state(bot.is_attached, "attached", "gone"),
            str(bot.pid or text.NOTHING),
            policy,
            Text(", ".join(bot.symbols)),
            f"{len(bot.orders) + bot.orders_left_out:,}",
            f"{bot.requests:,}",
            f"{bot.refused:,}",
            f"{bot.fills:,}",
            f"{bot.lapped:,}",
        )
    return table


def _orders(orders: list[tuple[str, status.OpenOrder]]) -> Table:
    table = _table(
        "bot",
        "symbol",
        "=order id",
        "client id",
        "side",
        "=price",
        "=qty",
        "=left",
        "status",
        "request",
        "=age",
    )
    for bot, order in orders[:_ORDERS_SHOWN]:
        table.add_row(
            Text(bot),
            Text(order.symbol),
            str(order.order_id),
            Text(order.client_id),
            Text(order.side, style="green" if order.side == "buy" else "red"),
            *(text.exact([value])[0] for value in (order.price, order.qty, order.leaves_qty)),
            Text(order.status),
            Text(order.request, style="red" if order.request == "unknown" else ""),
            _age(order.age_ns),
        )
    return table


def _refusals(refusals: list[status.Refusal]) -> Table:
    table = _table("refused to", "symbol", "reason", "=count", "=last", "words")
    for one in refusals:
        hint = f"; {one.hint}" if one.hint else ""
        table.add_row(
            Text(one.bot),
            Text(one.symbol),
            Text(one.name),
            f"{one.count:,}",
            _age(one.age_ns),
            Text(f"{one.words}{hint}"),
        )
    return table


def _positions(daemon: status.DaemonStatus) -> Table:
    table = _table("whose", "symbol", "=position", "=balance", "=fee", "=trades", "=volume")
    for whose, one in ((bot.name, position) for bot in daemon.bots for position in bot.positions):
        table.add_row(
            Text(whose),
            Text(one.symbol),
            text.exact([one.position])[0],
            text.money([one.balance])[0],
            text.money([one.fee])[0],
            f"{one.num_trades:,}",
            text.exact([one.trading_volume])[0],
        )
    for one in daemon.account:
        # Of the account the position alone is known: others may trade in it as well.
        table.add_row("account", Text(one.symbol), text.exact([one.position])[0], *[text.NOTHING] * 4)
    return table


def _balances(balances: list[status.Balance]) -> Table:
    table = _table("asset", "=balance", "=free", "=locked")
    for one in balances:
        table.add_row(
            Text(one.asset), *(text.exact([value])[0] for value in (one.total, one.free, one.locked))
        )
    return table


def _limits(limits: list[tuple[str, status.Used]]) -> Table:
    table = _table("whose", "limit", "=used", "=of", "=%")
    for whose, one in limits:
        share = 100 * one.used / one.limit if one.limit else math.nan
        style = "red bold" if share >= 90 else "yellow" if share >= 70 else ""
        table.add_row(
            Text(whose),
            Text(one.name),
            text.exact([one.used])[0],
            text.exact([one.limit])[0] if one.limit else text.NOTHING,
            Text(f"{share:.0f}" if math.isfinite(share) else text.NOTHING, style=style),
        )
    return table
