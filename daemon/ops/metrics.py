"""The states of running daemons as Prometheus metrics: base units, few labels. docs/metrics.md lists them.

A scrape asks the daemons' status sockets; nothing is counted here, so a process that starts later has the same totals.
What a daemon does not know (an age of something that never was, a price of an empty book) has no sample.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from hftd.control import status

_log = structlog.get_logger(__name__)

Ask = Callable[[], tuple[Sequence[status.DaemonStatus], Sequence[str]]]
"""Asks all daemons: the states of those that answered, and the channels whose daemon did not."""

GAUGE: Final = GaugeMetricFamily
COUNTER: Final = CounterMetricFamily
HISTOGRAM: Final = HistogramMetricFamily

METRICS: Final = {
    # name: (kind, labels beside the daemon's, what it says)
    "daemon_up": (GAUGE, (), "1: the daemon of this channel answered the last question; 0: it did not"),
    "build_info": (GAUGE, ("kind", "venue", "version"), "1, with the daemon's kind, exchange and version"),
    "start_time_seconds": (GAUGE, (), "When the daemon started, seconds since the epoch"),
    "halted": (GAUGE, (), "1: new orders are refused until `hftd resume`"),
    "warning": (GAUGE, ("key", "subject"), "1 for each state that needs a person, by its key"),
    "warning_age_seconds": (GAUGE, ("key", "subject"), "How long that state has lasted"),
    "events": (COUNTER, ("event",), "What else the daemon counts, by name"),
    "clock_ahead_seconds": (GAUGE, (), "How far the exchange's clock is ahead of this machine's"),
    "clock_error_seconds": (GAUGE, (), "How far off that may be"),
    "dead_man_armed": (
        GAUGE,
        (),
        "1: the exchange ends our orders if it hears nothing; no sample where there is nothing for it to end",
    ),
    "dead_man_age_seconds": (
        GAUGE,
        (),
        "Since its dead-man switch was refreshed, of several since the oldest was",
    ),
    "reconciled_age_seconds": (GAUGE, (), "Since the account was compared with the exchange's"),
    "reconcile_differences": (COUNTER, (), "Positions that were not what was expected"),
    "journal_size_bytes": (GAUGE, (), "Size of the journal"),
    "journal_write_seconds": (HISTOGRAM, (), "How long a record took to be written into it"),
    "foreign_orders": (GAUGE, (), "Open orders of the account that are not this daemon's"),
    "book_valid": (GAUGE, ("symbol",), "1: the book is synchronised and fresh"),
    "orders_connected": (GAUGE, ("symbol",), "1: orders can be sent, and their answers come"),
    "best_bid": (GAUGE, ("symbol",), "The best bid, in quote currency"),
    "best_ask": (GAUGE, ("symbol",), "The best ask, in quote currency"),
    "feed_age_seconds": (GAUGE, ("symbol",), "Since the last row of market data was published"),
    "feed_rows": (COUNTER, ("symbol",), "Rows of market data published"),
    "feed_messages": (COUNTER, ("symbol",), "Messages of market data received"),
    "feed_gaps": (COUNTER, ("symbol",), "Gaps found in the exchange's sequence"),
    "feed_resyncs": (COUNTER, ("symbol",), "Times that the book was synchronised"),
    "feed_latency_seconds": (
        HISTOGRAM,
        ("symbol",),
        "From the exchange's time in a message to when it was read here, by the exchange's clock",
    ),
    "ring_size_bytes": (GAUGE, (), "Size of the channel's market ring"),
    "ring_records": (COUNTER, (), "Records written to the market ring"),
    "connection_up": (GAUGE, ("connection",), "1: the connection to the exchange works"),
    "connection_changed_seconds": (
        GAUGE,
        ("connection",),
        "When it came up or went down, seconds since the epoch",
    ),
    "connection_reconnects": (COUNTER, ("connection",), "Times that it was made again"),
    "connection_messages": (COUNTER, ("connection",), "Messages received on it"),
    "connection_errors": (COUNTER, ("connection",), "Frames that could not be understood"),
    "limit_used": (GAUGE, ("bot", "limit"), "How much of a limit is used; bot is empty for the account's"),
    "limit_allowed": (GAUGE, ("bot", "limit"), "The limit; no sample where there is none"),
    "bot_halted": (
        GAUGE,
        ("bot",),
        "1: the bot has reached a limit, and its orders are refused until `hftd resume`",
    ),
    "profit": (
        GAUGE,
        ("bot", "asset", "part"),
        "Today's (UTC) profit: part is total, realised, unrealised, fee or funding; bot is empty for the account's",
    ),
    "equity": (
        GAUGE,
        ("bot", "asset"),
        "Profit since the journal began, with fees and funding; bot is empty for the account's",
    ),
    "bot_attached": (GAUGE, ("bot",), "1: the bot is attached; 0: it left orders or a position behind"),
    "bot_died": (
        GAUGE,
        ("bot",),
        "1: the bot ended otherwise than in order, and is not back; 0: it ended in order",
    ),
    "bot_requests": (COUNTER, ("bot",), "Requests that the bot sent"),
    "bot_updates": (COUNTER, ("bot",), "Updates that it was sent"),
    "bot_refused": (COUNTER, ("bot",), "Requests of the bot that were refused"),
    "bot_fills": (COUNTER, ("bot",), "Its executions"),
    "bot_laps": (COUNTER, ("bot",), "Times that the market went by it unseen"),
    "bot_unread_bytes": (GAUGE, ("bot",), "Of the market ring, what the bot has not read yet"),
    "order_latency_seconds": (
        HISTOGRAM,
        ("bot", "leg"),
        "How long requests took: leg is entry (there), response (back) or round_trip",
    ),
    "orders": (
        COUNTER,
        ("bot", "outcome"),
        "Finished orders: outcome is filled, cancelled, expired, refused or unknown",
    ),
    "fill_ratio": (GAUGE, ("bot",), "Share of them that were filled"),
    "markout": (
        GAUGE,
        ("bot", "asset", "after"),
        "What executions were worth more, so many seconds later, at the middle of the book; without fees",
    ),
    "markout_value": (COUNTER, ("bot", "asset", "after"), "Value traded in these executions"),
    "markout_fills": (COUNTER, ("bot", "asset", "after"), "Number of these executions"),
    "open_orders": (GAUGE, ("bot",), "Orders that are not finished"),
    "position": (
        GAUGE,
        ("bot", "symbol"),
        "Position in the instrument's unit; bot is empty for the account's",
    ),
    "fee": (GAUGE, ("bot", "symbol"), "Fees paid (below 0: received)"),
    "trades": (COUNTER, ("bot", "symbol"), "Executions in the instrument"),
    "traded_volume": (COUNTER, ("bot", "symbol"), "Quantity traded"),
    "traded_value": (COUNTER, ("bot", "symbol"), "Value traded"),
    "balance_total": (GAUGE, ("asset",), "What a spot account has"),
    "balance_free": (GAUGE, ("asset",), "Of that: not locked by open orders"),
    "refusals": (COUNTER, ("bot", "symbol", "reason"), "Requests refused, by reason"),
}
"""All metrics, without the prefix `hftd_`; a counter's name ends in `_total` when it is given out."""

BUCKETS_NS: Final = tuple(step * 10**power for power in range(4, 10) for step in (1, 2, 5))
"""Of the histograms given out, from 10 µs to 5 s: each is a bound of those that are kept."""

_ACCOUNT: Final = ""


class _Families:
    """The samples of one scrape, by metric. A label that is there twice keeps its first sample."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {
            name: kind(f"hftd_{name}", about, labels=("daemon", *labels))
            for name, (kind, labels, about) in METRICS.items()
        }
        self._seen: set[tuple[str, ...]] = set()

    def add(self, name: str, daemon: str, *labels: str, value: float | None) -> None:
        """Add a sample; None stands for "not known"."""
        key = (name, daemon, *labels)
        if value is None or key in self._seen:
            return
        self._seen.add(key)
        self._families[name].add_metric([daemon, *labels], float(value))  # pyright: ignore[reportAttributeAccessIssue]

    def add_histogram(self, name: str, daemon: str, *labels: str, of: status.Latency | None) -> None:
        """Add one; None and an empty one have no sample."""
        key = (name, daemon, *labels)
        if of is None or not of.count or key in self._seen:
            return
        self._seen.add(key)
        buckets = [(floatToGoString(bound / 1e9), float(of.count_up_to(bound))) for bound in BUCKETS_NS]
        self._families[name].add_metric(  # pyright: ignore[reportAttributeAccessIssue]
            [daemon, *labels], [*buckets, ("+Inf", float(of.count))], of.sum_ns / 1e9
        )

    def all(self) -> Iterable[Metric]:
        """Those that have a sample."""
        return [family for family in self._families.values() if family.samples]


def _seconds(ns: int) -> float | None:
    return None if ns < 0 else ns / 1e9


def _of_daemon(found: _Families, daemon: status.DaemonStatus) -> None:
    name = daemon.name
    for channel in {name, *daemon.served}:
        found.add("daemon_up", channel, value=1)
    found.add("build_info", name, daemon.kind, daemon.venue, daemon.version, value=1)
    found.add("start_time_seconds", name, value=_seconds(daemon.started_ns))
    found.add("halted", name, value=daemon.is_halted)
    found.add("foreign_orders", name, value=daemon.foreign_orders)
    if daemon.clock_ahead_ns is not None:
        found.add("clock_ahead_seconds", name, value=daemon.clock_ahead_ns / 1e9)
    found.add("clock_error_seconds", name, value=_seconds(daemon.clock_error_ns))
    found.add("dead_man_armed", name, value=daemon.switch_is_armed)
    found.add("dead_man_age_seconds", name, value=_seconds(daemon.switch_age_ns))
    found.add("reconciled_age_seconds", name, value=_seconds(daemon.reconciled_age_ns))
    found.add("reconcile_differences", name, value=daemon.counters.get("differences"))
    found.add("journal_size_bytes", name, value=daemon.journal_bytes or None)
    found.add_histogram("journal_write_seconds", name, of=daemon.journal_writes)
    for warning in daemon.alerts:
        found.add("warning", name, warning.key, warning.symbol, value=1)
        found.add("warning_age_seconds", name, warning.key, warning.symbol, value=_seconds(warning.age_ns))
    for event, count in daemon.counters.items():
        found.add("events", name, event, value=count)
    for connection in daemon.connections:
        found.add("connection_up", name, connection.name, value=connection.is_up)
        found.add("connection_changed_seconds", name, connection.name, value=_seconds(connection.since_ns))
        found.add("connection_reconnects", name, connection.name, value=connection.reconnects)
        found.add("connection_messages", name, connection.name, value=connection.messages)
        found.add("connection_errors", name, connection.name, value=connection.errors)
    for balance in daemon.balances:
        found.add("balance_total", name, balance.asset, value=balance.total)
        found.add("balance_free", name, balance.asset, value=balance.free)
    # The exchange's own numbers would be labels without an end: one sample a reason.
    refused: Counter[tuple[str, str, str]] = Counter()
    for refusal in daemon.refusals:
        refused[refusal.bot, refusal.symbol, refusal.name] += refusal.count
    for (bot, symbol, reason), count in refused.items():
        found.add("refusals", name, bot, symbol, reason, value=count)
    for one in daemon.departed:
        found.add("bot_died", name, one.bot, value=not one.is_orderly)
    _limits(found, name, _ACCOUNT, daemon.limits)
    _profits(found, name, _ACCOUNT, daemon.profits)
    _positions(found, name, _ACCOUNT, daemon.account)
    for channel in daemon.channels:
        # A collector's channels are exchanges, and a connector may have the same name.
        is_recorded = daemon.kind == status.COLLECTOR
        _of_channel(found, name if is_recorded else channel.name, channel, f"{channel.name} " * is_recorded)
    for bot in daemon.bots:
        _of_bot(found, name, bot)


def _of_channel(found: _Families, name: str, channel: status.Channel, prefix: str) -> None:
    found.add("ring_size_bytes", name, value=channel.ring_bytes)
    found.add("ring_records", name, value=channel.records)
    for market in channel.markets:
        symbol = prefix + market.symbol
        found.add("book_valid", name, symbol, value=market.book_is_valid)
        found.add("orders_connected", name, symbol, value=market.orders_are_connected)
        found.add("best_bid", name, symbol, value=market.best_bid)
        found.add("best_ask", name, symbol, value=market.best_ask)
        found.add("feed_age_seconds", name, symbol, value=_seconds(market.feed_age_ns))
        found.add("feed_rows", name, symbol, value=market.rows)
        found.add("feed_messages", name, symbol, value=market.messages)
        found.add("feed_gaps", name, symbol, value=market.gaps)
        found.add("feed_resyncs", name, symbol, value=market.resyncs)
        found.add_histogram("feed_latency_seconds", name, symbol, of=market.latency)


def _of_bot(found: _Families, name: str, bot: status.Bot) -> None:
    found.add("bot_attached", name, bot.name, value=bot.is_attached)
    found.add("bot_halted", name, bot.name, value=bool(bot.halt_reason))
    found.add("bot_requests", name, bot.name, value=bot.requests)
    found.add("bot_updates", name, bot.name, value=bot.updates)
    found.add("bot_refused", name, bot.name, value=bot.refused)
    found.add("bot_fills", name, bot.name, value=bot.fills)
    found.add("bot_laps", name, bot.name, value=bot.lapped)
    found.add("bot_unread_bytes", name, bot.name, value=bot.unread_bytes if bot.unread_bytes >= 0 else None)
    for latency in bot.latencies:
        leg = latency.name.replace(" ", "_")
        found.add_histogram("order_latency_seconds", name, bot.name, leg, of=latency)
    for outcome, count in bot.outcomes.items():
        found.add("orders", name, bot.name, outcome, value=count)
    if ended := sum(bot.outcomes.values()):
        found.add("fill_ratio", name, bot.name, value=bot.outcomes.get("filled", 0) / ended)
    for one in bot.markouts:
        labels = bot.name, one.asset, f"{one.after_ns / 1e9:g}"
        found.add("markout", name, *labels, value=one.gain)
        found.add("markout_value", name, *labels, value=one.value)
        found.add("markout_fills", name, *labels, value=one.count)
    found.add("open_orders", name, bot.name, value=len(bot.orders) + bot.orders_left_out)
    _limits(found, name, bot.name, bot.limits)
    _profits(found, name, bot.name, bot.profits)
    _positions(found, name, bot.name, bot.positions)


def _limits(found: _Families, name: str, bot: str, limits: Iterable[status.Used]) -> None:
    for limit in limits:
        found.add("limit_used", name, bot, limit.name, value=limit.used)
        found.add("limit_allowed", name, bot, limit.name, value=limit.limit or None)


def _profits(found: _Families, name: str, bot: str, profits: Iterable[status.Profit]) -> None:
    for one in profits:
        for part in ("total", "realised", "unrealised", "fee", "funding"):
            found.add("profit", name, bot, one.asset, part, value=getattr(one, part))
        found.add("equity", name, bot, one.asset, value=one.in_all)


def _positions(found: _Families, name: str, bot: str, positions: Iterable[status.Position]) -> None:
    for one in positions:
        found.add("position", name, bot, one.symbol, value=one.position)
        found.add("fee", name, bot, one.symbol, value=one.fee)
        found.add("trades", name, bot, one.symbol, value=one.num_trades)
        found.add("traded_volume", name, bot, one.symbol, value=one.trading_volume)
        found.add("traded_value", name, bot, one.symbol, value=one.trading_value)


class Daemons(Collector):
    """Asks the daemons at each scrape.

    Args:
        ask: Asks them.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: set[str] = set()

    def collect(self) -> Iterable[Metric]:
        """All metrics. A daemon that was there once and is gone is down, and stays so until this process ends."""
        daemons, silent = self._ask()
        found = _Families()
        for daemon in daemons:
            try:
                _of_daemon(found, daemon)
            except Exception as error:
                # The others are told of all the same.
                _log.warning("status_not_shown", daemon=daemon.name, error=repr(error))
            self._known.update(daemon.served)
            self._known.add(daemon.name)
        for channel in sorted({*silent, *self._known}):
            found.add("daemon_up", channel, value=0)
        self._known.update(silent)
        return found.all()

    def describe(self) -> Iterable[Metric]:
        """Nothing: asking at registration would ask daemons that need not be there yet."""
        return []


def exposition(ask: Ask) -> Callable[[], bytes]:
    """What answers a scrape, in Prometheus's text format 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Daemons(ask))
    return lambda: generate_latest(registry)
