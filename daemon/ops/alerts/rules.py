"""What is the matter, by the states that daemons tell one after the other: no clock, no socket, no message.

Most rules look at one state by itself. Those that look at what has changed (a counter that grew, refusals within a
minute, the profit's move) remember, by daemon, no more than they need; a daemon that was started anew begins at 0.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from daemon.ops.alerts.config import AlertConfig, PnlSection
from daemon.orders.snapshot import ORDINARY
from hftd.constants import (
    REASON_BOOK_NOT_VALID,
    REASON_DISCONNECTED,
    REASON_HALTED,
    REASON_LIQUIDATION,
)
from hftd.control import status

EVENT_NS: Final = 60_000_000_000
"""What happens at a moment is the matter for so long."""
MINUTE_NS: Final = 60_000_000_000
SAMPLES_MAX: Final = 240
"""Of a window, at most so many values are kept."""
PROBLEMS_MAX: Final = 500
"""So many at a time are looked after; that there are more is one of them."""
KNOWN_MAX: Final = 256
"""Daemons that were seen; further ones are watched, but not missed."""

DIFFERENCES: Final = ("differences", "balance_differences", "forced_closes", "missed_executions")
"""Counters of a connector that grow when the exchange's account is not what was recorded."""
NO_REFUSALS: Final = ORDINARY | {
    REASON_BOOK_NOT_VALID,
    REASON_DISCONNECTED,
    REASON_HALTED,
    REASON_LIQUIDATION,
}
"""Reasons of refusals that do not count: the ordinary ones, and those whose cause is an alert by itself."""
BY_WARNING: Final = {
    "orders_not_connected": "connection_lost",
    "journal_broken": "halted",
    "sick": "halted",
    "outcomes_unknown": "outcome_unknown",
    "position_differs": "reconciliation",
    "position_not_told": "reconciliation",
    "balance_differs": "reconciliation",
    "balance_negative": "reconciliation",
    "not_reconciled": "reconciliation",
    "executions_not_fetched": "reconciliation",
    "forced_close": "reconciliation",
    "limit_reached": "limit_reached",
    "limit_near": "limit_reached",
    "bot_lost_lease": "bot_died",
    "bot_hangs": "bot_died",
    "clock_off": "clock_off",
    "clock_stepped": "clock_off",
    "clock_unknown": "clock_off",
    "disk_nearly_full": "disk_low",
    "disk_low": "disk_low",
    "recording_paused": "disk_low",
    "recording_gap": "recording_gap",
    "recording_silent": "recording_gap",
}
"""The rules of a daemon's warnings; of all others it is `warning`."""
TOLD_OTHERWISE: Final = frozenset({"connection_down", "book_not_valid", "halted", "orders_refused"})
"""Warnings that a rule knows by the state itself."""
OF_CONNECTIONS: Final = frozenset({"orders_not_connected", "no_dead_man_switch"})
"""Warnings that say no more where a connection is down."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one look.

    Attributes:
        now_ns: When, on the monotonic clock.
        daemons: Those that answered.
        silent: Channels whose daemon did not.
        free: By folder, the bytes that are free on its disk.
        undelivered: By target, why nothing gets there.
        unkept: Why what is told can't be kept; "" if it can.
    """

    now_ns: int
    daemons: Sequence[status.DaemonStatus] = ()
    silent: Sequence[str] = ()
    free: Mapping[str, int] = {}
    undelivered: Mapping[str, str] = {}
    unkept: str = ""


class Problem(msgspec.Struct, frozen=True):
    """Something that is the matter now; what it is about is said by all but the text.

    Attributes:
        rule: Of `RULES`.
        daemon: Its name; "" for this process and its machine.
        subject: A connection, symbol, bot or whatever else there are several of.
        text: What is the matter, as it came: not cleaned.
    """

    rule: str
    daemon: str
    subject: str
    text: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is."""
        return self.rule, self.daemon, self.subject


class KeptDaemon(msgspec.Struct, frozen=True):
    """A daemon that was seen.

    Attributes:
        name: Its name.
        started_ns: When it started.
        counts: Counters that are watched.
    """

    name: str
    started_ns: int
    counts: dict[str, int]


class _Memory:
    """What one daemon said before."""

    def __init__(self, started_ns: int, is_restarted: bool, counts: Mapping[str, int] = {}) -> None:
        self.started_ns = started_ns
        self.is_restarted = is_restarted
        self.counts = dict(counts)
        self._grown: dict[str, tuple[int, int]] = {}
        self._windows: dict[str, deque[tuple[int, float]]] = {}
        self._is_new = not is_restarted

    def settle(self) -> None:
        """The first state was looked at: what grows from here on has grown."""
        self._is_new = False

    def grew(self, name: str, count: int, now_ns: int) -> int:
        """By how much a counter grew since it last stood still for `EVENT_NS`; 0 if it did not within that time."""
        before = self.counts.get(name, count if self._is_new else 0)
        self.counts[name] = count
        by, at_ns = self._grown.get(name, (0, 0))
        if now_ns - at_ns > EVENT_NS:
            by = 0
        if count > before:
            by, at_ns = by + count - before, now_ns
        self._grown[name] = by, at_ns
        return by

    def window(
        self, name: str, value: float, now_ns: int, length_ns: int, begin: float | None = None
    ) -> tuple[float, float, float]:
        """The first, lowest and highest of a value within a time, the one of now included.

        Args:
            name: The value's.
            value: What it is now.
            now_ns: Now.
            length_ns: The time.
            begin: What it was before it was first seen, unless the daemon itself is seen for the first time.
        """
        kept = self._windows.get(name)
        if kept is None:
            kept = self._windows[name] = deque()
            if begin is not None and not self._is_new:
                kept.append((now_ns, begin))
        while kept and now_ns - kept[0][0] > length_ns:
            kept.popleft()
        if not kept or now_ns - kept[-1][0] >= length_ns / SAMPLES_MAX:
            kept.append((now_ns, value))
        values = [one for _, one in kept]
        return values[0], min(*values, value), max(*values, value)


class Rules:
    """Finds what is the matter.

    Args:
        config: What is an alert.
    """

    def __init__(self, config: AlertConfig) -> None:
        self._config = config
        self._off = frozenset(config.rules.off)
        self._memories: dict[str, _Memory] = {}
        self._away_ns: dict[str, int] = {}

    def find(self, found: Round) -> tuple[dict[tuple[str, str, str], Problem], set[str]]:
        """What is the matter now.

        Returns:
            The problems by their key, and the daemons of which nothing is known at the moment: what was the matter
            there neither goes on nor is over.
        """
        problems: dict[tuple[str, str, str], Problem] = {}
        left_out = 0
        for one in self._all(found):
            if one.rule in self._off:
                continue
            if len(problems) < PROBLEMS_MAX:
                problems.setdefault(one.key, one)
            else:
                left_out += 1
        if left_out:
            more = Problem("warning", "", "more", f"{left_out:,} further problems are not told one by one")
            problems[more.key] = more
        return problems, self._held({one.name for one in found.daemons})

    def kept(self) -> tuple[KeptDaemon, ...]:
        """The daemons that were seen, to be kept."""
        return tuple(KeptDaemon(name, one.started_ns, one.counts) for name, one in self._memories.items())

    def restore(self, kept: Iterable[KeptDaemon]) -> None:
        """Go on from what an earlier process kept: what grew since then has grown."""
        for one in islice(kept, KNOWN_MAX):
            self._memories[one.name] = _Memory(one.started_ns, False, one.counts)

    def _held(self, answered: set[str]) -> set[str]:
        return (set(self._memories) | set(self._config.watch.daemons)) - answered

    def _all(self, found: Round) -> Iterator[Problem]:
        yield from self._down(found)
        for daemon in found.daemons:
            if daemon.kind == status.REPLAY:
                continue
            memory = self._memory(daemon)
            yield from self._of_daemon(daemon, memory, found.now_ns)
            memory.settle()
        floor = self._config.rules.disk_free_gb * 1e9
        for folder, free in found.free.items():
            if free < floor:
                yield Problem("disk_low", "", folder, f"{free / 1e9:.1f} GB are free on the disk of {folder}")
        for target, why in found.undelivered.items():
            yield Problem("delivery", "", target, f"alerts do not reach {target}: {why}")
        if found.unkept:
            text = f"what is told can't be kept, and is told again after a restart: {found.unkept}"
            yield Problem("warning", "", "state", text)

    def _memory(self, daemon: status.DaemonStatus) -> _Memory:
        memory = self._memories.get(daemon.name)
        if memory is None or memory.started_ns != daemon.started_ns:
            memory = _Memory(daemon.started_ns, memory is not None)
            # A connector that waits for its exchange has that name only until the exchange is there.
            is_passing = any(one.key == "waits_for_exchange" for one in daemon.alerts)
            if daemon.name in self._memories or (len(self._memories) < KNOWN_MAX and not is_passing):
                self._memories[daemon.name] = memory
        return memory

    def _down(self, found: Round) -> Iterator[Problem]:
        answered = {one.name for one in found.daemons}
        served = {channel for one in found.daemons for channel in one.served}
        for name in sorted({*self._held(answered), *found.silent} - answered):
            if name in found.silent:
                yield Problem("daemon_down", name, "", "it does not answer")
            elif name not in served:
                yield Problem("daemon_down", name, "", "it is gone: no process serves that name")

    def _of_daemon(self, daemon: status.DaemonStatus, memory: _Memory, now_ns: int) -> Iterator[Problem]:
        name = daemon.name
        if memory.grew("restarts", int(memory.is_restarted), now_ns):
            yield Problem("daemon_restarted", name, "", f"it was started anew, as process {daemon.pid}")
        if daemon.is_halted:
            why = daemon.halt_reason or "no reason was given"
            yield Problem("halted", name, "", f"halted, new orders are refused until `hftd resume`: {why}")
        for bot in daemon.bots:
            if bot.halt_reason:
                yield Problem("halted", name, bot.name, f"{bot.name} is halted: {bot.halt_reason}")
        for connection in daemon.connections:
            if not connection.is_up:
                why = connection.last_error or "it has not been up yet"
                text = f"the connection {connection.name} is down: {why}"
                yield Problem("connection_lost", name, connection.name, text)
        yield from self._markets(daemon, memory, now_ns)
        yield from self._orders(daemon, memory, now_ns)
        for one in daemon.departed:
            if not one.is_orderly:
                text = f"the bot {one.bot} ended otherwise than in order: {one.reason}"
                yield Problem("bot_died", name, one.bot, text)
        yield from self._limits(daemon)
        for number, section in enumerate(self._config.pnl):
            if section.daemon in ("", name):
                yield from _pnl(section, number, daemon, memory, now_ns)
        yield from self._warnings(daemon)

    def _markets(self, daemon: status.DaemonStatus, memory: _Memory, now_ns: int) -> Iterator[Problem]:
        for channel in daemon.channels:
            for market in channel.markets:
                if daemon.kind == status.COLLECTOR:
                    subject = f"{channel.name} {market.symbol}"
                    if gaps := memory.grew(f"gaps {subject}", market.gaps, now_ns):
                        text = f"{gaps:,} gaps in the recording of {subject}"
                        yield Problem("recording_gap", daemon.name, subject, text)
                elif not market.book_is_valid:
                    text = f"the book of {market.symbol} is not valid"
                    yield Problem("book_not_valid", daemon.name, market.symbol, text)

    def _orders(self, daemon: status.DaemonStatus, memory: _Memory, now_ns: int) -> Iterator[Problem]:
        unsure = [order for bot in daemon.bots for order in bot.orders if order.request == "unknown"]
        if unsure:
            named = ", ".join(f"{one.symbol} {one.client_id}" for one in unsure[:3])
            text = f"what became of {len(unsure)} requests is not known; it is asked for: {named}"
            yield Problem("outcome_unknown", daemon.name, "", text)
        for counter in DIFFERENCES:
            if by := memory.grew(counter, daemon.counters.get(counter, 0), now_ns):
                text = f"the exchange's account was not what was recorded: {by:,} {counter.replace('_', ' ')}"
                yield Problem("reconciliation", daemon.name, counter, text)
        refused: Counter[str] = Counter()
        last: dict[str, status.Refusal] = {}
        for one in daemon.refusals:
            if one.reason not in NO_REFUSALS:
                refused[one.bot] += one.count
                last.setdefault(one.bot, one)
        for bot, count in refused.items():
            first, _, _ = memory.window(f"refusals {bot}", count, now_ns, MINUTE_NS, begin=0.0)
            if count - first >= self._config.rules.refusals_per_min:
                why = f"{last[bot].name} {last[bot].words}"
                text = (
                    f"{count - first:.0f} requests of {bot} were refused within a minute, the last one: {why}"
                )
                yield Problem("refusals", daemon.name, bot, text)

    def _limits(self, daemon: status.DaemonStatus) -> Iterator[Problem]:
        for who, limits in (("", daemon.limits), *((bot.name, bot.limits) for bot in daemon.bots)):
            for one in limits:
                if one.limit > 0 and one.used >= self._config.rules.limit_share * one.limit:
                    whose = f" of {who}" if who else ""
                    text = f"{one.name}{whose}: {one.used:g} of {one.limit:g}"
                    yield Problem("limit_reached", daemon.name, f"{who} {one.name}".strip(), text)

    def _warnings(self, daemon: status.DaemonStatus) -> Iterator[Problem]:
        is_down = any(not one.is_up for one in daemon.connections)
        for one in daemon.alerts:
            key = one.key
            if key in TOLD_OTHERWISE or key in self._config.rules.ignored_warnings:
                continue
            if is_down and key in OF_CONNECTIONS:
                continue
            rule = BY_WARNING.get(key, "warning")
            subject = f"{key} {one.symbol}".strip()
            if key == "outcomes_unknown":
                # The same as of the orders themselves, of which not all are shown.
                subject = ""
            elif rule == "bot_died":
                subject = one.symbol
            yield Problem(rule, daemon.name, subject, one.text)


def _pnl(
    section: PnlSection, number: int, daemon: status.DaemonStatus, memory: _Memory, now_ns: int
) -> Iterator[Problem]:
    whose = section.bot or "all bots"
    for one in _profits(section, daemon):
        subject = f"{number} {one.asset}"
        if section.below is not None and one.total < section.below:
            text = f"today's profit of {whose} is {one.total:.8g} {one.asset}, below {section.below:g}"
            yield Problem("pnl", daemon.name, f"{subject} below", text)
        # That of a day begins anew at midnight.
        if section.move is not None and one.in_all is not None:
            length_ns = int(section.within_min * MINUTE_NS)
            _, lowest, highest = memory.window(f"pnl {subject}", one.in_all, now_ns, length_ns)
            for way, move in (("up", one.in_all - lowest), ("down", highest - one.in_all)):
                if move > section.move:
                    text = f"the profit of {whose} went {way} by {move:.8g} {one.asset}"
                    yield Problem(
                        "pnl", daemon.name, f"{subject} {way}", f"{text} within {section.within_min:g} min"
                    )


def _profits(section: PnlSection, daemon: status.DaemonStatus) -> Iterator[status.Profit]:
    found = daemon.profits
    if section.bot:
        found = [one for bot in daemon.bots if bot.name == section.bot for one in bot.profits]
    yield from (one for one in found if section.asset in ("", one.asset))
