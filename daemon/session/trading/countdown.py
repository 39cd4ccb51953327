"""The exchange's dead-man switch: a countdown for each symbol in which we have orders, refreshed in time.

A refresh costs weight and is for one symbol, so symbols cost weight in proportion, whatever happens in them. What
that comes to is planned: it may take `SHARE` of the request weight, which the limiter keeps from everything else, and
refreshes come as often as that allows. `LATEST` of the countdown is the longest time between two of them; a first
order in one more symbol than can be kept so is refused.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from random import Random
from typing import Final

import structlog

from daemon.connector.limiter import Limiter
from daemon.connector.supervise import Backoff
from daemon.session.errors import EXPECTED
from daemon.warnings import Warn
from hftd.clock import monotonic_ns

SHARE: Final = 0.5
LATEST: Final = 2 / 3
LATE: Final = 0.75
"""A refresh that was confirmed so much of the countdown ago, or more, is overdue."""
FIRST_S: Final = 10.0
"""A first refresh that is not confirmed after this is overdue."""
IN_FLIGHT_MAX: Final = 16
TICK_S: Final = 0.25
IDLE_S: Final = 150.0
"""A symbol in which nobody had an order for so long, in any list of open orders, is let go."""
OFF_TRIES: Final = 3
"""Then a countdown that could not be switched off runs out: there is nothing of ours for it to cancel."""

_MINUTE_NS: Final = 60_000_000_000

_log = structlog.get_logger("hftd.connector")


class _Watch:
    """A symbol's countdown."""

    __slots__ = ("active_ns", "backoff", "confirmed_ns", "due_ns", "is_busy", "is_ending", "since_ns")

    def __init__(self, now_ns: int, seed: int) -> None:
        self.since_ns = now_ns
        self.confirmed_ns = 0  # when the last refresh that was confirmed was sent; 0: never
        self.due_ns = now_ns
        self.active_ns = now_ns
        self.is_busy = False
        self.is_ending = False
        self.backoff = Backoff(1.0, 15.0, seed)


class Countdowns:
    """The countdowns of one account.

    Args:
        put: Sets a symbol's countdown, in milliseconds, at the exchange.
        limiter: Where their weight is planned.
        countdown_s: Seconds that they are set to; 0 turns them off.
        every_s: How often they are refreshed if there are few.
        may_refresh: Whether all is well; else they are left to run out.
        counts: Where failures are counted.
        seed: Of the waits.
        limit: The limiter's name of what a refresh counts in, and how much is its `weight`.
    """

    def __init__(
        self,
        put: Callable[[str, int], Awaitable[None]],
        limiter: Limiter,
        *,
        countdown_s: float,
        every_s: float,
        may_refresh: Callable[[], bool],
        counts: Counter[str],
        seed: int,
        limit: str,
        weight: int,
    ) -> None:
        self._put = put
        self._limit = limit
        self._weight = weight
        self._limiter = limiter
        self._countdown_s = countdown_s
        self._every_s = every_s
        self._may_refresh = may_refresh
        self._counts = counts
        self._seed = seed
        self._random = Random(seed)  # noqa: S311 - no secret
        self._wanted = asyncio.Event()
        self._watches: dict[str, _Watch] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # at most IN_FLIGHT_MAX
        self._paced_ns = 0
        self.watched: set[str] = set()
        """The symbols whose countdown is kept."""
        self.placed: set[str] = set()
        """The symbols in which an order was placed since the last list of open orders; the sender notes them."""

    # ---- which symbols

    @property
    def capacity(self) -> int:
        """How many symbols can be kept."""
        share = self._share()
        return 1 << 30 if not share else max(1, int(share * self._countdown_s * LATEST / 60 / self._weight))

    def _share(self) -> float:
        """How much of the weight of a minute is for countdowns; 0 if there is no limit."""
        limit = self._limiter.limit_of(self._limit)
        return 0.0 if limit is None else limit.limit * SHARE * _MINUTE_NS / limit.interval_ns

    @property
    def every_s(self) -> float:
        """How often each is refreshed, with as many as there are."""
        share = self._share()
        needed_s = len(self.watched) * self._weight * 60 / share if share else 0.0
        return min(max(self._every_s, needed_s), max(self._every_s, self._countdown_s * LATEST))

    def has_room(self) -> bool:
        """Whether one more symbol's countdown can be kept."""
        return self._countdown_s <= 0 or len(self.watched) < self.capacity

    def watch(self, symbols: Iterable[str]) -> None:
        """Keep these symbols' countdowns, however many there are."""
        if self._countdown_s <= 0:
            self.watched.update(symbols)
            return
        now_ns = monotonic_ns()
        for symbol in symbols:
            watch = self._watches.get(symbol)
            if watch is None:
                self._watches[symbol] = _Watch(now_ns, self._seed + len(self._watches))
            elif watch.is_ending:
                watch.is_ending = False
                watch.active_ns = now_ns
                watch.confirmed_ns, watch.since_ns, watch.due_ns = 0, now_ns, now_ns
            self.watched.add(symbol)
        self._plan()
        self._wanted.set()

    def forget(self, symbol: str) -> None:
        """Do not refresh this one any more; the caller switches it off."""
        self.watched.discard(symbol)
        self._watches.pop(symbol, None)
        self._plan()

    def begin_list(self) -> set[str]:
        """The open orders are about to be listed. Returns what `end_list` wants."""
        placed, self.placed = self.placed, set()
        return placed

    def end_list(self, placed: set[str], ours: set[str], anybodys: set[str]) -> None:
        """The open orders were listed: let go of symbols that have had none for long.

        Args:
            placed: What `begin_list` returned.
            ours: The symbols with open orders of ours.
            anybodys: The symbols with open orders of anybody: switching off a countdown that another
                connector of the account relies on is not for us, and letting it run out would cancel their orders.
        """
        if ours - self.watched:
            self.watch(ours)
        now_ns = monotonic_ns()
        for symbol, watch in self._watches.items():
            if symbol in anybodys or symbol in placed or symbol in self.placed:
                watch.active_ns = now_ns
            elif now_ns - watch.active_ns > IDLE_S * 1e9 and not watch.is_ending:
                # Whoever places an order from now on finds it not watched, and asks for it anew.
                self.watched.discard(symbol)
                watch.is_ending = True
                watch.due_ns = 0
                watch.backoff.reset()
        self._plan()
        self._wanted.set()

    def _plan(self) -> None:
        limit = self._limiter.limit_of(self._limit)
        if self._countdown_s > 0 and limit is not None:
            weight = len(self.watched) * self._weight * 60 / self.every_s
            a_minute = _MINUTE_NS / limit.interval_ns
            self._limiter.plan(self._limit, int(min(weight, self._share()) / a_minute))

    # ---- refreshing

    async def run(self) -> None:
        """Refresh them, until cancelled."""
        tick_s = min(TICK_S, self._every_s / 4)
        try:
            while True:
                if self._may_refresh():
                    self._start_due(monotonic_ns())
                self._wanted.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(tick_s):
                        await self._wanted.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_due(self, now_ns: int) -> None:
        due = [
            (watch.confirmed_ns, symbol, watch)
            for symbol, watch in self._watches.items()
            if watch.due_ns <= now_ns and not watch.is_busy
        ]
        # The one that was refreshed the longest ago first, one that never was before all.
        due.sort(key=lambda one: one[:2])
        pace_ns = int(self.every_s * 0.25e9 / max(1, len(self.watched)))
        hurry_ns = now_ns - int(LATEST * self._countdown_s * 1e9)
        for confirmed_ns, symbol, watch in due:
            if len(self._tasks) >= IN_FLIGHT_MAX:
                return
            if confirmed_ns > hurry_ns:
                # So that many that are due do not come all at once.
                if now_ns < self._paced_ns:
                    return
                self._paced_ns = now_ns + pace_ns
            watch.is_busy = True
            task = asyncio.create_task(self._one(symbol, watch), name=f"countdown of {symbol}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, symbol: str, watch: _Watch) -> None:
        is_off = watch.is_ending
        sent_ns = monotonic_ns()
        try:
            await self._put(symbol, 0 if is_off else int(self._countdown_s * 1000))
        except EXPECTED as error:
            self._counts["countdown_failures"] += 1
            if watch.backoff.failures == 0:
                _log.warning("countdown_not_refreshed", symbol=symbol, why=str(error))
            watch.due_ns = monotonic_ns() + int(watch.backoff.next_s(error) * 1e9)
            if is_off and watch.is_ending and watch.backoff.failures >= OFF_TRIES:
                self._watches.pop(symbol, None)
        else:
            self._counts["countdowns"] += 1
            watch.backoff.reset()
            if not is_off:
                # The second one comes somewhere within the time, so that symbols that began together part.
                share = 1.0 if watch.confirmed_ns else self._random.random()
                watch.confirmed_ns = sent_ns
                watch.due_ns = sent_ns + int(self.every_s * share * 1e9)
            elif watch.is_ending:
                self._watches.pop(symbol, None)
            else:
                # An order was placed while it was switched off.
                watch.due_ns = 0
        finally:
            watch.is_busy = False
            self._wanted.set()

    # ---- what is shown

    def ages_s(self) -> dict[str, float]:
        """Of each symbol how long ago its last confirmed refresh was sent; -1 if there was none."""
        now_ns = monotonic_ns()
        return {
            symbol: (now_ns - one.confirmed_ns) / 1e9 if one.confirmed_ns else -1.0
            for symbol, one in self._watches.items()
            if not one.is_ending
        }

    def warnings(self) -> Iterator[Warn]:
        """What needs a person."""
        now_ns = monotonic_ns()
        late_s = self._countdown_s * LATE
        for symbol, one in self._watches.items():
            if one.is_ending:
                continue
            age_s = (now_ns - (one.confirmed_ns or one.since_ns)) / 1e9
            if one.confirmed_ns and age_s > late_s:
                yield Warn(
                    "countdown_late",
                    f"{symbol}: the dead-man switch was last refreshed {age_s:.0f} s ago: the exchange cancels all "
                    f"orders in it after {self._countdown_s:g} s",
                    symbol,
                )
            elif not one.confirmed_ns and age_s > min(FIRST_S, late_s):
                yield Warn(
                    "countdown_late",
                    f"{symbol}: the dead-man switch could not be set for {age_s:.0f} s: orders in it stay if this "
                    "connector dies",
                    symbol,
                )
        if self._countdown_s > 0 and len(self.watched) > self.capacity:
            yield Warn(
                "too_many_symbols",
                f"there are orders in {len(self.watched)} symbols, and the request limits allow to refresh the "
                f"dead-man switch of {self.capacity}: cancel some, raise countdown_s, or use another address",
            )
