"""Whether a symbol that says nothing is quiet or dead: the exchange is asked.

A connection may live while one symbol's streams on it, or one of them, are dead. Silence alone does not tell: a quiet
market is silent too. So each symbol, and each of its streams, has its own deadline, by what is usual for it, and
whoever is silent for longer is asked about over REST, with a few levels of the book (or the last trade):

- Nothing has changed since what was heard last: it is quiet.
- Something has, and `GRACE_S` later the stream has said nothing of it: it is dead. It is subscribed anew, and if it was
  the book's, the book is not valid until it is synchronised again.
- There is no answer: after a while the book is not valid, until it is heard or verified.

Limits: `IN_FLIGHT_MAX` questions at a time, `A_MINUTE` within a minute, each symbol's ever more seldom while it stays
silent.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import structlog

from daemon.connector.supervise import Backoff
from daemon.connector.watch.unreadable import Unreadable
from daemon.session.errors import EXPECTED, WireError
from daemon.session.facts import MarketFacts, Reader
from daemon.session.market.feeds import Feed
from daemon.session.market.snapshots import read_book
from daemon.session.rest import Rest
from daemon.warnings import Warn
from hftd.clock import monotonic_ns
from hftd.venues.reader import best_prices

TIMEOUT_S: Final = 5.0
GRACE_S: Final = 1.0
"""What changed may be on its way for so long."""
IN_FLIGHT_MAX: Final = 4
A_MINUTE: Final = 120
USUAL: Final = 2
"""A symbol that is usually silent for so long may be silent for twice that,"""
USUAL_MAX: Final = 10
"""but not longer than so many times the deadline."""
UNVERIFIED: Final = 3
"""Silent for so many deadlines, and the exchange does not answer: the book is not valid any more."""
UNASKED: Final = 10
"""Or for so many, and it was not its turn yet."""
TRADES: Final = 6
"""Trades are rarer than changes of the book: their deadline is so many times the book's."""
QUIET_MAX: Final = 6
"""A symbol that was found quiet is asked about again after so many deadlines at most."""
TRADES_MAX_S: Final = 600.0
NOT_VALID_S: Final = 5.0
"""A book that is not valid for longer needs somebody's attention."""

DEPTH: Final = "depth"
BEST: Final = "best"
TRADE: Final = "trade"

_log = structlog.get_logger("hftd.market")


class _Pulse:
    """How often something of a symbol is heard, and when it is to be asked about."""

    __slots__ = ("backoff", "dead_at_ns", "due_ns", "is_busy", "quiet", "seen_ns", "sure_ns", "usual_ns")

    def __init__(self, seed: int) -> None:
        self.seen_ns = 0
        self.usual_ns = 0
        self.sure_ns = 0  # when it was heard last, or found quiet
        self.due_ns = 0
        self.quiet = 0  # how often it was found quiet since it was heard
        self.is_busy = False
        self.dead_at_ns = 0  # when it had been heard last when it was found dead; 0: it is not
        self.backoff = Backoff(1.0, 60.0, seed)

    def hear(self, heard_ns: int) -> None:
        """It was heard at that time."""
        if heard_ns == self.seen_ns:
            return
        if self.seen_ns:
            self.usual_ns = max(heard_ns - self.seen_ns, self.usual_ns - (self.usual_ns >> 4))
        if self.dead_at_ns and heard_ns > self.dead_at_ns:
            self.dead_at_ns = 0
        self.seen_ns = self.sure_ns = heard_ns
        self.quiet = 0
        self.due_ns = 0
        self.backoff.reset()

    def deadline_ns(self, least_ns: int) -> int:
        """After how much silence it is asked about."""
        return max(least_ns, min(USUAL * self.usual_ns, USUAL_MAX * least_ns))


class _Pulses:
    def __init__(self, seed: int) -> None:
        self.of = {kind: _Pulse(seed) for kind in (DEPTH, BEST, TRADE)}


class Liveness:
    """Looks after the symbols of one connection.

    Args:
        facts: What to ask.
        reader: Reads the answers.
        rest: Where the exchange is asked.
        unreadable: Where the dead are counted.
        stale_s: The least deadline of a book.
        again: Subscribes streams anew.
        resync: The book is lost: make it anew, given why.
        set_valid: The book is doubted (False, given why), or found right after it was (True).
        is_streamed: Books come whole in the streams: what the exchange's book is as of says nothing of them, so two
            answers are compared, between which nothing was heard.
        seed: Of the waits.
    """

    def __init__(
        self,
        facts: MarketFacts,
        reader: Reader,
        rest: Rest,
        unreadable: Unreadable,
        stale_s: float,
        *,
        again: Callable[[tuple[str, ...]], None],
        resync: Callable[[Feed, str], None],
        set_valid: Callable[[Feed, bool, str], None],
        is_streamed: bool = False,
        seed: int,
    ) -> None:
        self._facts = facts
        self._reader = reader
        self._is_streamed = is_streamed
        self._rest = rest
        self._unreadable = unreadable
        self._stale_ns = int(stale_s * 1e9)
        self._again = again
        self._resync = resync
        self._set_valid = set_valid
        self._seed = seed
        self._pulses: dict[int, _Pulses] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked_ns: deque[int] = deque(maxlen=A_MINUTE)
        self.asked = 0
        self.found_quiet = 0
        self.found_dead = 0
        self.failures = 0

    def clear(self) -> None:
        """The connection is gone; what was usual is remembered."""
        for task in self._tasks:
            task.cancel()
        for pulses in self._pulses.values():
            for pulse in pulses.of.values():
                pulse.seen_ns = pulse.due_ns = pulse.dead_at_ns = pulse.quiet = 0
                pulse.is_busy = False

    def look(self, feeds: Iterable[Feed], now_ns: int) -> None:
        """See who is silent, and ask about them; called about once a second."""
        waiting: list[tuple[int, Feed, str, _Pulse, int]] = []
        for feed in feeds:
            pulses = self._pulses.get(feed.number)
            if pulses is None:
                pulses = self._pulses[feed.number] = _Pulses(self._seed + feed.number)
            for kind, heard_ns, least_ns in self._heard(feed, now_ns):
                pulse = pulses.of[kind]
                pulse.hear(heard_ns)
                deadline_ns = pulse.deadline_ns(least_ns)
                unsure_ns = now_ns - pulse.sure_ns
                if now_ns - heard_ns < deadline_ns:
                    continue
                if kind == DEPTH and unsure_ns >= UNASKED * deadline_ns:
                    self._set_valid(
                        feed, False, f"it is silent for {unsure_ns / 1e9:.0f} s, and not verified"
                    )
                if now_ns >= pulse.due_ns and not pulse.is_busy:
                    waiting.append((pulse.sure_ns, feed, kind, pulse, deadline_ns))
        waiting.sort(key=lambda one: one[0])
        for _, feed, kind, pulse, deadline_ns in waiting:
            if not self._has_room(now_ns):
                return
            self._asked_ns.append(now_ns)
            self.asked += 1
            pulse.is_busy = True
            task = asyncio.create_task(self._ask(feed, kind, pulse, deadline_ns))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _heard(self, feed: Feed, now_ns: int) -> Iterator[tuple[str, int, int]]:
        """What of a symbol may be silent: which, when it was heard, and the least deadline.

        The first message after a subscription is the subscriptions' to look after. A part that is silent is
        looked after by itself only while the rest of the symbol lives: else all of it is subscribed anew.
        """
        book_ns = max(feed.depth_ns, feed.best_ns)
        if not book_ns:
            return
        yield DEPTH, book_ns, self._stale_ns
        if now_ns - book_ns < self._stale_ns:
            if feed.best_ns:
                yield BEST, feed.best_ns, self._stale_ns
            if feed.trade_ns:
                yield TRADE, feed.trade_ns, TRADES * self._stale_ns

    def _has_room(self, now_ns: int) -> bool:
        times = self._asked_ns
        is_spent = len(times) == A_MINUTE and now_ns - times[0] < 60_000_000_000
        return len(self._tasks) < IN_FLIGHT_MAX and not is_spent

    async def _ask(self, feed: Feed, kind: str, pulse: _Pulse, deadline_ns: int) -> None:
        asked_ns = monotonic_ns()
        heard_ns = pulse.seen_ns
        try:
            is_changed = await (self._has_traded(feed) if kind == TRADE else self._has_changed(feed, kind))
            if is_changed:
                await asyncio.sleep(GRACE_S)
        except Exception as error:
            if not isinstance(error, EXPECTED):
                _log.exception("stream_check_crashed", symbol=feed.instrument.symbol)
            self.failures += 1
            now_ns = monotonic_ns()
            pulse.due_ns = now_ns + int(pulse.backoff.next_s(error) * 1e9)
            if pulse.backoff.failures == 1:
                _log.warning(
                    "stream_check_failed",
                    symbol=feed.instrument.symbol,
                    stream=kind,
                    why=str(error),
                )
            if kind == DEPTH and now_ns - pulse.sure_ns >= UNVERIFIED * deadline_ns:
                self._set_valid(feed, False, f"it is silent, and could not be verified: {error}")
            return
        finally:
            pulse.is_busy = False
        now_ns = monotonic_ns()
        pulse.backoff.reset()
        if self._heard_ns(feed, kind) > heard_ns:
            pulse.due_ns = now_ns + deadline_ns
        elif is_changed:
            self._is_dead(feed, kind, pulse, now_ns)
        else:
            self.found_quiet += 1
            pulse.sure_ns = asked_ns
            pulse.due_ns = now_ns + min(1 << pulse.quiet, QUIET_MAX) * deadline_ns
            pulse.quiet += 1
            if kind == DEPTH and feed.sync.is_joined:
                self._set_valid(feed, True, "")

    @staticmethod
    def _heard_ns(feed: Feed, kind: str) -> int:
        if kind == DEPTH:
            return max(feed.depth_ns, feed.best_ns)
        return feed.best_ns if kind == BEST else feed.trade_ns

    def _is_dead(self, feed: Feed, kind: str, pulse: _Pulse, now_ns: int) -> None:
        self.found_dead += 1
        pulse.quiet += 1
        pulse.due_ns = now_ns + int(min(self._stale_ns << min(pulse.quiet, 16), TRADES_MAX_S * 1e9))
        pulse.dead_at_ns = pulse.seen_ns
        symbol, silent_s = feed.instrument.symbol, (now_ns - pulse.seen_ns) / 1e9
        self._unreadable.count(f"dead {kind} streams" if kind != DEPTH else "dead symbols")
        _log.warning(
            "stream_silent",
            symbol=symbol,
            stream="all" if kind == DEPTH else kind,
            silent_s=round(silent_s, 1),
        )
        if kind == DEPTH:
            self._again(feed.streams)
            self._resync(
                feed, f"its streams are silent for {silent_s:.0f} s, and the exchange's book has changed"
            )
        else:
            self._again(tuple(one for one in feed.streams if self._facts.part_of(one) == kind))

    # ---- what the exchange says

    async def _has_changed(self, feed: Feed, kind: str) -> bool:
        """Whether the book is another one than what was heard last."""
        asked = self._facts.ask_levels(feed.instrument.symbol)
        body = await self._rest.ask(
            asked.path, asked.params, weight=asked.weight, auth="none", tries=1, timeout_s=TIMEOUT_S
        )
        snapshot = read_book(self._reader, body)
        if snapshot.rows is None:
            raise WireError("levels that are no levels")
        if self._is_streamed:
            heard_ns, levels = feed.depth_ns, snapshot.rows["px"].tobytes() + snapshot.rows["qty"].tobytes()
            (known_ns, known), feed.asked = feed.asked, (heard_ns, levels)
            return known_ns == heard_ns and known != levels
        said, last_id = best_prices(snapshot.rows), snapshot.last_id
        # Prices that are older than the book say nothing of it.
        if feed.best_id >= 0 and (kind == BEST or feed.best_id >= feed.sync.last_id):
            best = self._reader.read(feed.best_message, 0)
            if best is not None and best_prices(best.rows) != said:
                return True
        return kind == DEPTH and last_id > feed.newest_id

    async def _has_traded(self, feed: Feed) -> bool:
        """Whether there was a trade after the one that was heard last, and not just now."""
        asked = self._facts.ask_trades(feed.instrument.symbol)
        body = await self._rest.ask(
            asked.path, asked.params, weight=asked.weight, auth="none", tries=1, timeout_s=TIMEOUT_S
        )
        return self._facts.read_last_trade_ms(body) > feed.trade_ms

    # ---- what is shown

    def warnings(self, feeds: Iterable[Feed]) -> Iterator[Warn]:
        """What needs a person."""
        now_ns = monotonic_ns()
        for feed in feeds:
            symbol = feed.instrument.symbol
            if not feed.is_valid and (lasted_s := (now_ns - feed.invalid_ns) / 1e9) > NOT_VALID_S:
                yield Warn(
                    "book_not_valid",
                    f"{symbol}: the book is not valid for {lasted_s:.0f} s: {feed.why}",
                    symbol,
                )
            pulses = self._pulses.get(feed.number)
            dead = [kind for kind, one in pulses.of.items() if one.dead_at_ns] if pulses else []
            if dead:
                yield Warn(
                    "stream_silent",
                    f"{symbol}: {'its streams say' if DEPTH in dead else f'the stream {dead[0]} says'} nothing while "
                    "the exchange's market moves: subscribed anew, ever more seldom",
                    symbol,
                )
