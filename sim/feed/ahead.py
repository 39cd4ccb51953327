"""Making the next file of a run ready while one is played."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from hftd.errors import HftdError

_ONE: Final = threading.Lock()
"""At most one file is made ahead at a time in a process."""
_LOOK_S: Final = 0.05


class Ahead:
    """A source that is opened ahead, as soon as the one before it is made.

    Args:
        before: The source that is played now.
        open_source: Opens the next; it is called once, here or when it is taken.
    """

    def __init__(self, before: Any, open_source: Callable[[], Any]) -> None:
        self._open = open_source
        self._lock = threading.Lock()
        self._source: Any = None
        self._over = threading.Event()
        self._before = before
        if before.is_complete:
            # Nothing is under way that it would disturb; and if it is complete too, this takes microseconds.
            self._before = None
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        if self._before is not None:
            self._before.wait()
            self._before = None
        while not self._over.is_set():
            if _ONE.acquire(timeout=_LOOK_S):
                break
        else:
            return
        try:
            # What is wrong with the file is said when it is its turn.
            with suppress(HftdError, OSError):
                with self._lock:
                    if self._over.is_set():
                        return
                    self._source = self._open()
                self._source.will_need()
                self._source.wait()
        finally:
            _ONE.release()

    def take(self) -> Any:
        """The source, for its turn has come.

        Raises:
            HftdError: It can't be opened.
        """
        self._over.set()
        with self._lock:
            if self._source is None:
                self._source = self._open()
            return self._source

    def cancel(self) -> None:
        """It will not be needed."""
        self._over.set()
        with self._lock:
            if self._source is not None:
                self._source.stop()
