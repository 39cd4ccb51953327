"""What fails in the event loop where nobody waits for it: it is counted, logged, shown, and not endured without end."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

import structlog

from daemon.warnings import Warn
from hftd.clock import monotonic_ns

LOGGED_MAX: Final = 20
"""With their traces, within `WINDOW_NS`; the others are counted."""
MANY: Final = 1000
"""So many within `WINDOW_NS`, and the connector ends in order: what should be done is not done."""
WINDOW_NS: Final = 10_000_000_000

_log = structlog.get_logger("hftd.connector")


class Mishaps:
    """Errors of callbacks, and of tasks that nobody waits for.

    Args:
        stop: Ends the connector in order.

    Attributes:
        count: Since the start.
        is_too_much: Whether the connector ends because of them.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.count = 0
        self.is_too_much = False
        self._stop = stop
        self._last = ""
        self._window_ns = 0
        self._in_window = 0

    def on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The event loop's exception handler; it never raises."""
        self.count += 1
        now_ns = monotonic_ns()
        if now_ns - self._window_ns > WINDOW_NS:
            self._window_ns, self._in_window = now_ns, 0
        self._in_window += 1
        if self._in_window >= MANY and not self.is_too_much:
            self.is_too_much = True
            self._stop()
        error = context.get("exception")
        # Not the context's own words: they show what the callback was called with.
        self._last = type(error).__name__ if error is not None else "an error without an exception"
        if self._in_window <= LOGGED_MAX:
            _log.error("callback_failed", why=str(error or context.get("message", "")), exc_info=error)

    def warnings(self) -> Iterator[Warn]:
        """What of it needs a person."""
        if self.count:
            yield Warn(
                "callbacks_failed",
                f"{self.count:,} callbacks of the event loop failed, the last with {self._last}: "
                "the log has their traces; please report it with them",
            )
