"""Whether the connector does what it is there for. While it does not, the exchange's dead-man switch is not refreshed,
and cancels our orders in time.

Sick is a connector whose order management was not looked after for `TICK_LATE_S` (the event loop stands still, or came
back just now and has to catch up), whose journal can't be written, or that leaves bots' requests unread for
`UNREAD_S`. That orders can't be sent, or that the account's events do not come, the venue's session sees itself.
"""

from collections.abc import Callable, Iterator
from typing import Final

import structlog

from daemon.warnings import LOOK_EVERY_S, Recent, Warn
from hftd.clock import monotonic_ns

TICK_LATE_S: Final = 5.0
UNREAD_S: Final = 5.0
STALL_S: Final = 1.0
"""A stand-still of the event loop that is shown."""

_log = structlog.get_logger("hftd.connector")


class Health:
    """See the module.

    Args:
        is_journal_broken: Whether the journal can't be written.
        has_unread: Whether requests of bots wait.
        taken: How many were taken so far.

    Attributes:
        ticked_ns: When order management was last looked after (monotonic).
    """

    def __init__(
        self, is_journal_broken: Callable[[], bool], has_unread: Callable[[], bool], taken: Callable[[], int]
    ) -> None:
        self._is_journal_broken = is_journal_broken
        self._has_unread = has_unread
        self._taken = taken
        self.ticked_ns = monotonic_ns()
        self._looked_ns = 0
        self._was_taken = -1
        self._unread_since_ns = 0
        self._stalls = 0
        self._stalled_s = 0.0
        self._recent = Recent()

    def ticked(self) -> None:
        """Order management was looked after."""
        self.ticked_ns = monotonic_ns()

    def look(self, now_ns: int) -> None:
        """To be called each `LOOK_EVERY_S`, with the monotonic clock."""
        if self._looked_ns:
            late_s = (now_ns - self._looked_ns) / 1e9 - LOOK_EVERY_S
            if late_s >= STALL_S:
                self._stalls += 1
                self._stalled_s = late_s
                _log.warning("event_loop_stalled", for_s=round(late_s, 1))
        self._looked_ns = now_ns
        taken = self._taken()
        if taken != self._was_taken or not self._has_unread():
            self._was_taken = taken
            self._unread_since_ns = 0
        elif not self._unread_since_ns:
            self._unread_since_ns = now_ns

    @property
    def trouble(self) -> str:
        """What ails it, empty if nothing does."""
        now_ns = monotonic_ns()
        if self._is_journal_broken():
            return "the journal can't be written"
        late_s = (now_ns - self.ticked_ns) / 1e9
        if late_s > TICK_LATE_S:
            return f"order management was not looked after for {late_s:.0f} s"
        if self._unread_since_ns and (now_ns - self._unread_since_ns) / 1e9 > UNREAD_S:
            return f"requests of bots are not read for {(now_ns - self._unread_since_ns) / 1e9:.0f} s"
        return ""

    def warnings(self) -> Iterator[Warn]:
        """What of it needs a person."""
        if trouble := self.trouble:
            yield Warn(
                "sick",
                f"{trouble}: the exchange's dead-man switch is not refreshed, so that it cancels our orders; "
                "end this connector and start it again unless that goes by",
            )
        if self._recent.grew("stalls", self._stalls, monotonic_ns()):
            yield Warn(
                "loop_stalled",
                f"the connector stood still for {self._stalled_s:.1f} s ({self._stalls:,} times so far): nothing was "
                "sent or cancelled meanwhile; is the machine short of processors or memory?",
            )
