"""What the daemons' libraries log, as lines among a command's own on stderr; stdout is for results."""

import os
from collections.abc import Callable, MutableMapping
from typing import Any

from hftd.errors import UsageError

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Logger:
    """Hands each line, whatever its level, to `say`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        for name in (*LEVELS, "exception", "critical", "msg", "log"):
            setattr(self, name, say)


def _line(_logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
    trace = event.pop("exception", "")
    words = [str(event.pop("event", "")), *(f"{name}={value}" for name, value in event.items())]
    return "  ".join([f"{level}:", *words]) + (f"\n{trace}" if trace else "")


def _level(default: str) -> int:
    name = os.environ.get("HFTD_LOG", "").lower() or default
    if name not in LEVELS:
        raise UsageError(f"HFTD_LOG is {name!r}", hint=f"it is one of {', '.join(LEVELS)}")
    return LEVELS[name]


def log_events(log_format: str) -> None:
    """Log to stderr what a daemon does: JSON, a line an event, or for people; from `info` on, or the level in HFTD_LOG.

    Args:
        log_format: "json", "people", or "auto": for people if stderr is a terminal.

    Raises:
        UsageError: HFTD_LOG names no level.
    """
    import sys

    import structlog

    level = _level("info")
    is_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if is_json:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)]
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def log_to(say: Callable[[str], None]) -> None:
    """Say what is logged; from warnings on, or from the level in HFTD_LOG.

    Raises:
        UsageError: HFTD_LOG names no level.
    """
    import structlog

    level = _level("warning")
    structlog.configure(
        processors=[structlog.processors.format_exc_info, _line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Logger(say),
        cache_logger_on_first_use=False,
    )
