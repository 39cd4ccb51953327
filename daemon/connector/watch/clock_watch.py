"""Whether the machine's clock was set, the machine slept, or this process stood still.

None of this is an error by itself: no duration and no deadline is measured by a clock that can be set. But what
happened meanwhile was not heard, stamps in records jump, and whoever runs the machine should know.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from daemon.warnings import LOOK_EVERY_S, Warn
from hftd.clock import boot_ns, monotonic_ns, wall_ns

STEP_NS: Final = 250_000_000
"""A clock that jumps by so much was set; what NTP does bit by bit moves all clocks alike."""
SLEPT_NS: Final = 1_000_000_000
STOOD_NS: Final = 5_000_000_000
SHOWN_NS: Final = 3_600_000_000_000
"""How long a step is shown."""
_BRACKET_NS: Final = 50_000_000
"""Clocks that could not be read within so short a time are not compared."""

_log = structlog.get_logger("hftd.connector")


@dataclass(frozen=True, slots=True)
class Clocks:
    """All clocks at one moment, in nanoseconds."""

    wall_ns: int
    boot_ns: int
    monotonic_ns: int


def read_clocks() -> Clocks | None:
    """Read them; None if something came between the readings."""
    first_ns = monotonic_ns()
    wall, boot, last_ns = wall_ns(), boot_ns(), monotonic_ns()
    return Clocks(wall, boot, first_ns) if last_ns - first_ns < _BRACKET_NS else None


class ClockWatch:
    """Compares each reading of the clocks with the one before.

    Attributes:
        steps: How often the clock was set.
        sleeps: How often the machine slept.
        stands: How often this process stood still.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.sleeps = 0
        self.stands = 0
        self._last: Clocks | None = None
        self._step_ns = 0
        self._stepped_boot_ns = 0
        self._slept_ns = 0
        self._slept_boot_ns = 0

    def look(self, now: Clocks) -> tuple[bool, bool]:
        """Take a reading, about `LOOK_EVERY_S` after the one before.

        Returns:
            Whether the exchange is to be asked for the account, and whether all connections are to be made anew.
        """
        last, self._last = self._last, now
        if last is None:
            return False, False
        step_ns = (now.wall_ns - now.boot_ns) - (last.wall_ns - last.boot_ns)
        slept_ns = (now.boot_ns - now.monotonic_ns) - (last.boot_ns - last.monotonic_ns)
        stood_ns = now.monotonic_ns - last.monotonic_ns - int(LOOK_EVERY_S * 1e9)
        if abs(step_ns) >= STEP_NS:
            self.steps += 1
            self._step_ns, self._stepped_boot_ns = step_ns, now.boot_ns
            _log.warning("system_clock_set", by_s=round(step_ns / 1e9, 3))
        if slept_ns >= SLEPT_NS:
            self.sleeps += 1
            self._slept_ns, self._slept_boot_ns = slept_ns, now.boot_ns
            _log.warning("machine_slept", for_s=round(slept_ns / 1e9, 1))
        if stood_ns >= STOOD_NS:
            self.stands += 1
            _log.warning("process_paused", for_s=round(stood_ns / 1e9, 1))
        slept = slept_ns >= SLEPT_NS
        return slept or stood_ns >= STOOD_NS or abs(step_ns) >= STEP_NS, slept

    def warnings(self, now_boot_ns: int) -> Iterator[Warn]:
        """What of it a person should know, for an hour."""
        if self.steps and now_boot_ns - self._stepped_boot_ns < SHOWN_NS:
            way = "forward" if self._step_ns > 0 else "back"
            yield Warn(
                "clock_stepped",
                f"the system's clock was set {way} by {abs(self._step_ns) / 1e9:.3f} s ({self.steps} times so far): "
                "orders go on, but stamps in records jump; let NTP keep the clock by small steps",
            )
        if self.sleeps and now_boot_ns - self._slept_boot_ns < SHOWN_NS:
            yield Warn(
                "machine_slept",
                f"the machine slept for {self._slept_ns / 1e9:.1f} s: nothing was heard and no order was "
                "cancelled meanwhile; switch suspend off on a machine that trades",
            )
