"""Request limits of an exchange: tokens that come back one interval after they were taken.

Exchanges count in windows that begin where their clock says, and that moment reaches us late. Tokens that came back
evenly would allow twice the limit across such a border. Here what was taken comes back a whole interval (and one
slice) later, so that no window of the exchange, wherever it begins, holds more than its limit.

What the exchange counted itself (`Limiter.seen`) is believed where it is more than what is known here: somebody else
uses the account or the address, or another process did before.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hftd.clock import running_ns
from hftd.errors import UsageError

SLICES: Final = 64
"""Into so many an interval is cut: tokens come back up to one slice late, and memory is limited."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit.

    Attributes:
        name: What a cost names it by, such as ``weight_1m``.
        limit: So many in an interval.
        interval_ns: The interval's length.
        reserve: So many are kept for what is urgent, such as cancels.
    """

    name: str
    limit: int
    interval_ns: int
    reserve: int = 0

    def __post_init__(self) -> None:
        if self.limit < 1 or self.interval_ns < SLICES or not 0 <= self.reserve < self.limit:
            raise UsageError(
                f"the rate limit {self.name!r} is {self.limit} in {self.interval_ns} ns, {self.reserve} in reserve",
                hint="the limit must be 1 or more, the reserve smaller, the interval above 0",
            )


class _Window:
    """What was taken of one limit within its last interval, by slices."""

    def __init__(self, rate: RateLimit) -> None:
        self.rate = rate
        self.used = 0
        self.used_max = 0
        self._slice_ns = rate.interval_ns // SLICES
        self._slices: deque[list[int]] = deque()  # [number of the slice, taken in it]; at most SLICES + 2

    def expire(self, now_ns: int) -> None:
        """Give back what was taken an interval ago."""
        oldest = (now_ns - self.rate.interval_ns) // self._slice_ns
        while self._slices and self._slices[0][0] < oldest:
            self.used -= self._slices.popleft()[1]

    def add(self, cost: int, now_ns: int) -> None:
        number = now_ns // self._slice_ns
        if self._slices and self._slices[-1][0] >= number:
            # A clock that went back must not make room.
            self._slices[-1][1] += cost
        else:
            self._slices.append([number, cost])
        self.used += cost
        if self.used > self.used_max:
            self.used_max = self.used

    def wait_ns(self, cost: int, now_ns: int, is_urgent: bool) -> int:
        """0 if there is room, else how long until there is.

        Raises:
            UsageError: There is never so much.
        """
        rate = self.rate
        slices = self._slices
        # Most often the oldest slice is not over yet.
        if slices and slices[0][0] < (now_ns - rate.interval_ns) // self._slice_ns:
            self.expire(now_ns)
        room = rate.limit if is_urgent else rate.limit - rate.reserve
        if cost > room:
            raise UsageError(f"a request costs {cost} of {rate.name}, which allows {rate.limit}")
        excess = self.used + cost - room
        if excess <= 0:
            return 0
        for number, taken in self._slices:
            excess -= taken
            if excess <= 0:
                return max(1, (number + 1) * self._slice_ns + self.rate.interval_ns - now_ns)
        return self.rate.interval_ns


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
        self.refused = 0

    def set_limit(self, rate: RateLimit) -> None:
        """Add a limit, or replace the one of its name, as the exchange has told it; what was taken stays taken."""
        window = self._windows.setdefault(rate.name, _Window(rate))
        if window.rate.interval_ns != rate.interval_ns:
            fresh = _Window(rate)
            fresh.used_max = window.used_max
            self._windows[rate.name] = fresh
        else:
            window.rate = rate

    def take(self, cost: Mapping[str, int], now_ns: int, *, is_urgent: bool = False) -> int:
        """Take the tokens for one request, all or none.

        Args:
            cost: Tokens by the limit's name. A name without a limit costs nothing.
            now_ns: The time.
            is_urgent: May use the reserve.

        Returns:
            0: go ahead. Else how many nanoseconds to wait before asking again.

        Raises:
            UsageError: The cost is more than the limit ever allows.
        """
        wait_ns = self._banned_until_ns - now_ns
        if wait_ns < 0:
            wait_ns = 0
        windows = self._windows
        for name, count in cost.items():
            if name in windows:
                left_ns = windows[name].wait_ns(count, now_ns, is_urgent)
                if left_ns > wait_ns:
                    wait_ns = left_ns
        if wait_ns:
            self.refused += 1
            return wait_ns
        for name, count in cost.items():
            if name in windows:
                windows[name].add(count, now_ns)
        return 0

    async def wait(self, cost: Mapping[str, int], *, is_urgent: bool = False) -> None:
        """Take the tokens for one request as soon as there are enough.

        Raises:
            UsageError: The cost is more than the limit ever allows.
        """
        while True:
            wait_ns = self.take(cost, running_ns(), is_urgent=is_urgent)
            if wait_ns == 0:
                return
            await asyncio.sleep(wait_ns / 1e9)

    def seen(self, counts: Mapping[str, int], now_ns: int) -> None:
        """Take over what the exchange says was used in its present windows, where that is more than known here."""
        for name, count in counts.items():
            if window := self._windows.get(name):
                window.expire(now_ns)
                if count > window.used:
                    window.add(count - window.used, now_ns)

    def banned_until(self, until_ns: int) -> None:
        """Send nothing until then: the exchange said so (429 or 418). An earlier end does not shorten a later one."""
        self._banned_until_ns = max(self._banned_until_ns, until_ns)

    def is_banned(self, now_ns: int) -> bool:
        """Whether the exchange wants to hear nothing now."""
        return now_ns < self._banned_until_ns

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
