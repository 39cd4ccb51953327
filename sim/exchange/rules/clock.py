"""The exchange's times.

The *market's time* is that of the archive's rows; the engine runs on it. The *exchange's time* is what clients are
told and what their signatures are checked against. By default a market of another day is played as if it were today:
the exchange's time is the system's, and the market's time is moved by a whole number of seconds, so that milliseconds
of one are milliseconds of the other. Both go in whole milliseconds, as the exchange's stamps do: what a client reads
in a stamp is when its request met the market, to the nanosecond.
"""

from collections.abc import Callable
from typing import Final

from hftd.clock import running_ns

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000

WALL: Final = "wall"
MARKET: Final = "market"


class ExchangeClock:
    """Maps the system's time to the market's and the exchange's.

    Args:
        speed: How many times as fast as it was the market goes; 0 if it only goes when it is told (`move_to`).
        shows: `WALL`: the exchange's time is the system's; `MARKET`: it is the market's.
        offset_ms: By how much the exchange's time is off, beside that.
        wall: Reads the system's time, in nanoseconds.
    """

    def __init__(
        self,
        speed: float = 1.0,
        shows: str = WALL,
        offset_ms: int = 0,
        wall: Callable[[], int] = running_ns,
    ) -> None:
        self.speed = speed
        self.shows = shows
        self.offset_ms = offset_ms
        self._wall = wall
        self._market_start_ns = 0
        self._wall_start_ns = 0
        self._now_ns = 0

    def start(self, market_ns: int, wall_ns: int | None = None) -> None:
        """The market begins at this time of its own: now, or when the system's clock shows `wall_ns`."""
        self._wall_start_ns = self._wall() if wall_ns is None else wall_ns
        if self.speed == 1.0:
            # Whole seconds apart: the market has begun less than a second ago.
            self._market_start_ns = self._wall_start_ns - (self._wall_start_ns - market_ns) // SECOND * SECOND
        else:
            self._market_start_ns = market_ns
        self._now_ns = market_ns - market_ns % MS

    def market_ns(self) -> int:
        """The market's time, in whole milliseconds; it never goes back."""
        if self.speed > 0.0:
            passed_ns = self._wall() - self._wall_start_ns
            if self.speed != 1.0:
                passed_ns = int(passed_ns * self.speed)
            now_ns = self._market_start_ns + passed_ns
            self._now_ns = max(self._now_ns, now_ns - now_ns % MS)
        return self._now_ns

    def move_to(self, market_ns: int) -> None:
        """Move the market's time; for a clock of speed 0."""
        self._now_ns = max(self._now_ns, market_ns - market_ns % MS)

    def stamp_ms(self, market_ns: int) -> int:
        """The exchange's time of a moment of the market, in milliseconds."""
        return self.true_ms(market_ns) + self.offset_ms

    def true_ms(self, market_ns: int) -> int:
        """As `stamp_ms`, without the offset."""
        if self.shows == MARKET or self.speed == 0.0:
            return market_ns // MS
        passed_ns = market_ns - self._market_start_ns
        if self.speed != 1.0:
            passed_ns = int(passed_ns / self.speed)
        return (self._wall_start_ns + passed_ns) // MS

    def server_ms(self) -> int:
        """The exchange's time now, in milliseconds."""
        if self.shows == MARKET or self.speed == 0.0:
            return self.market_ns() // MS + self.offset_ms
        return self._wall() // MS + self.offset_ms

    def seconds_until(self, market_ns: int) -> float:
        """How long until then, on the system's clock; 0 for a clock that is moved by hand."""
        if self.speed <= 0.0:
            return 0.0
        return max((market_ns - self.market_ns()) / self.speed / SECOND, 0.0)
