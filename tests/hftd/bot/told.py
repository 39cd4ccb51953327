"""The hooks of the tests: they hand on to the test that runs."""

import threading
from typing import Any

play: Any = None
gate = threading.Event()
gone_on = threading.Event()


def order(note: Any) -> None:
    play.orders.append(note)


def error(note: Any) -> None:
    play.errors.append(note)


def alert(note: Any) -> None:
    play.alerts.append((note.code, note.value))


def raising(note: Any) -> None:
    raise ValueError("no")
