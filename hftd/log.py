"""Loggers that cost a start nothing: structlog is imported, and set up, when something is said."""

from collections.abc import Callable
from typing import Any

_set_up: list[Callable[[], None]] = []


def set_up_with(function: Callable[[], None]) -> None:
    """Call this before the first thing is said, such as to direct the log to stderr."""
    _set_up[:] = [function]


class LazyLogger:
    """As structlog's logger of that name.

    Args:
        name: Of the logger.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import structlog

        if _set_up:
            _set_up.pop()()
        return getattr(structlog.get_logger(self._name), method)
