"""Request limits of an exchange: tokens that come back one interval after they were taken.

Exchanges count in windows that begin where their clock says, and that moment reaches us late. Tokens that came back
evenly would allow twice the limit across such a border. Here what was taken comes back a whole interval (and one
slice) later, so that no window of the exchange, wherever it begins, holds more than its limit.

What the exchange counted itself (`Limiter.seen`) is believed where it is more than what is known here: somebody else
uses the account or the address, or another process did before.

A limit is shared by classes of requests (`Priority`). Each class leaves those above it what is kept for them, whether
they use it now or not, so that a halt finds room for its cancels when everything else has used up its share.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from hftd.clock import running_ns
from hftd.errors import UsageError

SLICES: Final = 64
"""Into so many an interval is cut: tokens come back up to one slice late, and memory is limited."""


class Priority(IntEnum):
    """The classes of requests: what each is, and whom it leaves room for. The one place where this is said."""

    REGULAR = 0
    """What comes by itself: reconciliations, snapshots, instruments. Leaves the others theirs."""
    ORDERS = 1
    """New orders and changes, questions about single orders, and what orders can't go without: clock, listen key.
    Leaves room for what is urgent."""
    URGENT = 2
    """Cancels, halts and the dead-man switch. May use everything."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit.

    Attributes:
        name: What a cost names it by, such as ``weight_1m``.
        limit: So many in an interval.
        interval_ns: The interval's length.
        reserve: So many are kept for what is urgent, such as cancels.
        reserve_orders: So many more are kept from what is regular, for orders.
        planned: So many more are kept for what is urgent and comes in each interval, such as a dead-man switch.
    """

    name: str
    limit: int
    interval_ns: int
    reserve: int = 0
    reserve_orders: int = 0
    planned: int = 0

    def __post_init__(self) -> None:
        if (
            self.limit < 1
            or self.interval_ns < SLICES
            or self.reserve < 0
            or self.reserve + self.reserve_orders >= self.limit
        ):
            raise UsageError(
                f"the rate limit {self.name!r} is {self.limit} in {self.interval_ns} ns, "
                f"{self.reserve} + {self.reserve_orders} in reserve",
                hint="the limit must be 1 or more, the reserve smaller, the interval above 0",
            )

    def lowered(self, limit: int) -> "RateLimit":
        """The same with a smaller limit, its reserves smaller in proportion."""
        return replace(
            self,
            limit=limit,
            reserve=self.reserve * limit // self.limit,
            reserve_orders=self.reserve_orders * limit // self.limit,
        )


class _Window:
    """What was taken of one limit within its last interval, by slices and by class."""

    def __init__(self, rate: RateLimit) -> None:
        self.rate = rate
        self.used = 0
        self.used_max = 0
        self._by_class = [0, 0, 0]
        self._slice_ns = rate.interval_ns // SLICES
        # [number of the slice, taken in it by each class]; at most SLICES + 2
        self._slices: deque[list[int]] = deque()

    def expire(self, now_ns: int) -> None:
        """Give back what was taken an interval ago."""
        oldest = (now_ns - self.rate.interval_ns) // self._slice_ns
        by_class = self._by_class
        while self._slices and self._slices[0][0] < oldest:
            gone = self._slices.popleft()
            for one in range(len(by_class)):
                by_class[one] -= gone[1 + one]
        self.used = sum(by_class)

    def add(self, cost: int, now_ns: int, priority: int) -> None:
        number = now_ns // self._slice_ns
        if not self._slices or self._slices[-1][0] < number:
            # A clock that went back must not make room.
            self._slices.append([number, 0, 0, 0])
        self._slices[-1][1 + priority] += cost
        self._by_class[priority] += cost
        self.used += cost
        if self.used > self.used_max:
            self.used_max = self.used

    def _excess(self, cost: int, priority: int, by_class: Sequence[int]) -> int:
        """By how much a request is too much, if so much is used by each class; 0 or less: it is not."""
        rate = self.rate
        regular, orders, urgent = by_class
        excess = regular + orders + urgent + cost - rate.limit
        if priority == Priority.URGENT:
            return excess
        # What is above a class counts with what is kept for it, or with what it uses if that is more; and a request
        # that is larger than what is left so has its turn when nothing of its class is under way.
        held = max(urgent, rate.reserve + rate.planned)
        if priority == Priority.REGULAR:
            below, held = regular, held + max(orders, rate.reserve_orders)
        else:
            below = regular + orders
        return max(excess, below + cost - max(rate.limit - held, cost))

    def wait_ns(self, cost: int, now_ns: int, priority: int) -> int:
        """0 if there is room, else how long until there is.

        Raises:
            UsageError: There is never so much.
        """
        rate = self.rate
        slices = self._slices
        # Most often the oldest slice is not over yet.
        if slices and slices[0][0] < (now_ns - rate.interval_ns) // self._slice_ns:
            self.expire(now_ns)
        if cost > rate.limit:
            raise UsageError(f"a request costs {cost} of {rate.name}, which allows {rate.limit}")
        # Most often there is plenty.
        if self.used + cost <= rate.limit - rate.reserve - rate.planned - rate.reserve_orders:
            return 0
        by_class = self._by_class
        if self._excess(cost, priority, by_class) <= 0:
            return 0
        left = list(by_class)
        for number, *taken in slices:
            for one, count in enumerate(taken):
                left[one] -= count
            if self._excess(cost, priority, left) <= 0:
                return max(1, (number + 1) * self._slice_ns + rate.interval_ns - now_ns)
        return rate.interval_ns


class Limiter:
    """All limits of an account or an address.

    Args:
        limits: Each with its own name.
    """

    def __init__(self, limits: Sequence[RateLimit]) -> None:
        self._windows = {rate.name: _Window(rate) for rate in limits}
        if len(self._windows) != len(limits):
            raise UsageError("two rate limits have one name")
        self._banned_until_ns = 0
        self._ordinary_until_ns = 0
        self.refused = 0
        self.bans = 0
        self.lowered = 0
        """How often the exchange allowed less than it had said."""

    def set_limit(self, rate: RateLimit) -> None:
        """Add a limit, or replace the one of its name, as the exchange has told it; what was taken stays taken."""
        window = self._windows.setdefault(rate.name, _Window(rate))
        planned = window.rate.planned
        if planned and not rate.planned:
            rate = replace(rate, planned=planned)
        if window.rate.interval_ns != rate.interval_ns:
            fresh = _Window(rate)
            fresh.used_max = window.used_max
            self._windows[rate.name] = fresh
        else:
            window.rate = rate

    def plan(self, name: str, planned: int) -> None:
        """Keep so many tokens more in each interval for what is urgent and comes regularly."""
        if (window := self._windows.get(name)) is not None and window.rate.planned != planned:
            window.rate = replace(window.rate, planned=planned)

    def lower(self, name: str, limit: int) -> bool:
        """The exchange allows no more than this, until `set_limit` says otherwise. Whether that is news."""
        window = self._windows.get(name)
        if window is None or not 0 < limit < window.rate.limit:
            return False
        window.rate = window.rate.lowered(limit)
        self.lowered += 1
        return True

    def allow(self, name: str, limit: int) -> None:
        """The exchange has said what this account is allowed, be that more or less; reserves go with it."""
        window = self._windows.get(name)
        if window is not None and 0 < limit != window.rate.limit:
            window.rate = window.rate.lowered(limit)

    def limit_of(self, name: str) -> RateLimit | None:
        """A limit as it is now; None if no limit has this name."""
        window = self._windows.get(name)
        return window.rate if window is not None else None

    def take(
        self,
        cost: Mapping[str, int],
        now_ns: int,
        priority: Priority = Priority.ORDERS,
        *,
        is_apart: bool = False,
    ) -> int:
        """Take the tokens for one request, all or none.

        Args:
            cost: Tokens by the limit's name. A name without a limit costs nothing.
            now_ns: The time.
            priority: The request's class.
            is_apart: It goes another way than ordinary requests, so that only a ban of everything holds it up.

        Returns:
            0: go ahead. Else how many nanoseconds to wait before asking again.

        Raises:
            UsageError: The cost is more than the limit ever allows.
        """
        wait_ns = (self._banned_until_ns if is_apart else self._ordinary_until_ns) - now_ns
        if wait_ns < 0:
            wait_ns = 0
        windows = self._windows
        for name, count in cost.items():
            if name in windows:
                left_ns = windows[name].wait_ns(count, now_ns, priority)
                if left_ns > wait_ns:
                    wait_ns = left_ns
        if wait_ns:
            self.refused += 1
            return wait_ns
        for name, count in cost.items():
            if name in windows:
                windows[name].add(count, now_ns, priority)
        return 0

    async def wait(self, cost: Mapping[str, int], priority: Priority = Priority.ORDERS) -> None:
        """Take the tokens for one request as soon as there are enough.

        Raises:
            UsageError: The cost is more than the limit ever allows.
        """
        while True:
            wait_ns = self.take(cost, running_ns(), priority)
            if wait_ns == 0:
                return
            await asyncio.sleep(wait_ns / 1e9)

    def seen(self, counts: Mapping[str, int], now_ns: int) -> None:
        """Take over what the exchange says was used in its present windows, where that is more than known here."""
        for name, count in counts.items():
            if window := self._windows.get(name):
                window.expire(now_ns)
                if count > window.used:
                    window.add(count - window.used, now_ns, Priority.REGULAR)

    def banned_until(self, until_ns: int, *, is_all: bool = True) -> None:
        """Send nothing until then: the exchange said so (429 or 418). An earlier end does not shorten a later one.

        Args:
            until_ns: The end.
            is_all: False: only what goes the ordinary way is banned, as far as is known.
        """
        if until_ns > self._ordinary_until_ns:
            self.bans += 1
            self._ordinary_until_ns = until_ns
        if is_all:
            self._banned_until_ns = max(self._banned_until_ns, until_ns)

    def is_banned(self, now_ns: int) -> bool:
        """Whether the exchange wants to hear nothing now, at least not the ordinary way."""
        return now_ns < self._ordinary_until_ns

    def is_all_banned(self, now_ns: int) -> bool:
        """Whether the exchange wants to hear nothing now, whatever the way."""
        return now_ns < self._banned_until_ns

    def ban_left_s(self, now_ns: int) -> float:
        """How long the ban lasts still, in seconds; 0 without one."""
        return max(0, self._ordinary_until_ns - now_ns) / 1e9

    def statistics(self, now_ns: int) -> dict[str, dict[str, int]]:
        """Of each limit: used now, most used, limit, interval; for ``hftd status``."""
        for window in self._windows.values():
            window.expire(now_ns)
        return {
            name: {
                "used": window.used,
                "used_max": window.used_max,
                "limit": window.rate.limit,
                "interval_ns": window.rate.interval_ns,
            }
            for name, window in self._windows.items()
        }
