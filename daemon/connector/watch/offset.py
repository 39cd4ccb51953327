"""How far an exchange's clock is from ours, from requests that it answered with its time.

An answer was made somewhere between the send and the receipt, so the offset is known to half the round trip
(D. L. Mills, RFC 5905, section 8). The sample with the least error counts until it is old: clocks drift.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from daemon.warnings import Warn

SAMPLES_MAX: Final = 16
DRIFT_NS_PER_S: Final = 50_000
"""How far two clocks may part in a second (50 ppm): by that a sample's error grows with its age."""
OFF_NS: Final = 1_000_000_000
"""A clock of this machine that is farther off is told of, and so is a step of so much."""
SHOWN_NS: Final = 3_600_000_000_000
"""How long a step is shown."""
_MS_NS: Final = 1_000_000

_log = structlog.get_logger("hftd.connector")


@dataclass(frozen=True, slots=True)
class _Sample:
    offset_ns: int
    error_ns: int
    at_ns: int

    def error_at(self, now_ns: int) -> int:
        return self.error_ns + abs(now_ns - self.at_ns) * DRIFT_NS_PER_S // 1_000_000_000


class ClockOffset:
    """The estimate; 0 and unknown until the first sample."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES_MAX)
        self._best: _Sample | None = None
        self.steps = 0
        """How often a clock turned out to have been set."""
        self._former_ns = 0
        self._former_until_ns = 0
        self._parted_ns = 0
        self._parted_at_ns = 0

    def sample(self, sent_ns: int, server_ms: int, received_ns: int) -> None:
        """Take an answer: its server time, and when by our clock the request was sent and the answer came."""
        if received_ns < sent_ns:
            # Our clock was set back in between: this says nothing.
            return
        # A time in whole milliseconds is on average half of one later than it says.
        server_ns = server_ms * _MS_NS + _MS_NS // 2
        error_ns = (received_ns - sent_ns + 1) // 2 + _MS_NS // 2
        new = _Sample(server_ns - (sent_ns + received_ns) // 2, error_ns, received_ns)
        kept = [one for one in self._samples if _agree(one, new)]
        if len(kept) < len(self._samples):
            self.steps += 1
            self._former_ns, self._former_until_ns = self.offset_ns, received_ns
            by_ns = new.offset_ns - self.offset_ns
            _log.warning("exchange_clock_jumped", by_s=round(by_ns / 1e9, 3))
            if abs(by_ns) >= OFF_NS:
                self._parted_ns, self._parted_at_ns = by_ns, received_ns
        self._samples = deque([*kept, new], maxlen=SAMPLES_MAX)
        self._best = min(self._samples, key=lambda one: one.error_at(received_ns))

    @property
    def is_known(self) -> bool:
        """Whether there was a sample."""
        return self._best is not None

    @property
    def offset_ns(self) -> int:
        """What to add to our clock to get the exchange's."""
        return self._best.offset_ns if self._best else 0

    def error_ns(self, now_ns: int) -> int:
        """How far off the estimate may be; -1 if there is none."""
        return self._best.error_at(now_ns) if self._best else -1

    def corrected_ns(self, now_ns: int) -> int:
        """A moment of our clock by the exchange's clock; of one before the last step, the earlier that it may be."""
        if now_ns < self._former_until_ns:
            return now_ns + min(self.offset_ns, self._former_ns)
        return now_ns + self.offset_ns

    def warnings(self, now_ns: int, wall_ns: int) -> Iterator[Warn]:
        """What of it a person should know.

        Args:
            now_ns: On the clock that the samples are on.
            wall_ns: On the system's, which may be another one by now.
        """
        if self._best is None:
            return
        off_ns = wall_ns - self.corrected_ns(now_ns)
        if abs(off_ns) > OFF_NS + self._best.error_at(now_ns):
            way = "ahead of" if off_ns > 0 else "behind"
            yield Warn(
                "clock_off",
                f"this machine's clock is {abs(off_ns) / 1e9:.1f} s {way} the exchange's: orders are stamped "
                "with the exchange's time all the same, but times in records are off too; set it",
            )
        if self._parted_ns and now_ns - self._parted_at_ns < SHOWN_NS:
            yield Warn(
                "clock_stepped",
                f"the exchange's clock and ours went apart by {self._parted_ns / 1e9:.1f} s at once: this machine "
                "stood still (a virtual machine that was paused?), or the exchange's clock was set",
                "exchange",
            )

    def corrected_ms(self, now_ns: int) -> int:
        """The same in milliseconds, for a request's ``timestamp``."""
        return (now_ns + self.offset_ns) // _MS_NS


def _agree(one: _Sample, new: _Sample) -> bool:
    return abs(one.offset_ns - new.offset_ns) <= one.error_at(new.at_ns) + new.error_ns
