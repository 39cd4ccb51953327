"""What this process has logged last, for those that ask its daemon: the last `KEPT_MAX` events that a person may want.

Whoever sets up the log fills it (`daemon.cli.logs`); whoever answers with a status reads it.
"""

from collections import deque
from typing import Final

from hftd.clock import wall_ns
from hftd.control import status

KEPT_MAX: Final = 100
TEXT_MAX: Final = 500
"""So many characters of an event's text are kept."""

_kept: deque[status.Event] = deque(maxlen=KEPT_MAX)


def keep(level: str, key: str, text: str) -> None:
    """Keep an event; the oldest one goes. The text must be free of secrets."""
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]}..."
    _kept.append(status.Event(ns=wall_ns(), level=level, key=key, text=text))


def events() -> list[status.Event]:
    """Those that are kept, the last one last."""
    return list(_kept)
