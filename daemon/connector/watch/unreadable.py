"""Messages that can't be read: counted, and logged with their bytes, but never so many that the log is flooded."""

from collections import Counter
from typing import Any, Final

from hftd.clock import monotonic_ns

LOGGED_A_MINUTE: Final = 20
BYTES_SHOWN: Final = 600
KINDS_MAX: Final = 256
"""Different kinds that are counted apart; others count as "other"."""


class Lines:
    """At most `LOGGED_A_MINUTE` lines of a log; how many were left out is said with the first one of a later minute.

    Args:
        log: A structlog logger.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._minute = -1
        self._logged = 0
        self._unlogged = 0

    def may_log(self) -> bool:
        """Whether one more may be written now; else it is counted."""
        minute = monotonic_ns() // 60_000_000_000
        if minute != self._minute:
            if self._unlogged:
                self._log.warning("unreadable_not_logged", count=self._unlogged)
            self._minute, self._logged, self._unlogged = minute, 0, 0
        if self._logged >= LOGGED_A_MINUTE:
            self._unlogged += 1
            return False
        self._logged += 1
        return True


class Unreadable:
    """What one connection got and could not use.

    Args:
        log: A structlog logger, bound to whose messages these are.
    """

    def __init__(self, log: Any) -> None:
        self.counts: Counter[str] = Counter()
        self._log = log
        self._lines = Lines(log)

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()

    def count(self, kind: str) -> bool:
        """Count one of a kind; whether it was the first of the kind."""
        if kind not in self.counts and len(self.counts) >= KINDS_MAX:
            kind = "other"
        self.counts[kind] += 1
        return self.counts[kind] == 1

    def note(self, kind: str, what: str, message: bytes | str) -> None:
        """Count a message of a kind, and log it with its bytes unless many were logged within a minute."""
        self.count(kind)
        if not self._lines.may_log():
            return
        shown = message[:BYTES_SHOWN]
        self._log.warning(
            "message_unusable",
            kind=kind,
            what=what[:300],
            size=len(message),
            message=repr(shown) if len(message) <= BYTES_SHOWN else f"{shown!r}...",
        )
