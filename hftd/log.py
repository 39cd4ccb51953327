"""Loggers that cost a start nothing: structlog is imported when something is said."""

import sys
from typing import Any


class LazyLogger:
    """As structlog's logger of that name.

    Args:
        name: Of the logger.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        import structlog

        if structlog.is_configured():
            return getattr(structlog.get_logger(self._name), method)
        # stdout is for results.
        return getattr(structlog.wrap_logger(structlog.PrintLogger(sys.stderr)), method)
