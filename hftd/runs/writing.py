"""A run is written while it goes on, beside it: what compiled code has recorded, once a second, in blocks.

It is done by a thread of its own, which waits for the disk as long as that takes; neither the strategy nor the thread
that minds the leases does. What was counted in one look is written in the next, so that rows are whole.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from hftd.log import LazyLogger
from hftd.runs.blocks import BlockWriter

EVERY_S: Final = 1.0
_ROWS_A_BLOCK: Final = 1 << 15

Growing = Callable[[], Iterator[tuple[str, NDArray[Any]]]]
"""By name the rows of each array that grows, as far as they are there now; the arrays' order and number stay."""

_log = LazyLogger("hftd.bot")


class RunWriter:
    """Writes a run's file while the run goes on; a context manager.

    Args:
        path: The file; it is begun anew.
        growing: What is recorded.
        describe: The run's description as JSON; it is written when it has changed.
        bot: The bot's name, for the log.

    Attributes:
        failed: Why it was ended before the run was; empty if it was not. The run goes on without it.
    """

    def __init__(self, path: Path, growing: Growing, describe: Callable[[], bytes], bot: str) -> None:
        self.failed = ""
        self._path = path
        self._growing = growing
        self._describe = describe
        self._bot = bot
        self._written: list[int] = []
        self._seen: list[int] = []
        self._described = b""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        # A disk that does not answer keeps no bot from ending.
        self._thread.join(5.0)

    def _run(self) -> None:
        try:
            with BlockWriter(self._path) as file:
                while not self._stop.is_set():
                    self._look(file)
                    self._stop.wait(EVERY_S)
                # What was counted last, and what came since.
                self._look(file)
                self._look(file)
        except Exception as error:
            self.failed = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            _log.warning("recording_failed", bot=self._bot, path=str(self._path), why=self.failed)

    def _look(self, file: BlockWriter) -> None:
        text = self._describe()
        if text != self._described:
            file.write("meta", text)
            self._described = text
        arrays = list(self._growing())
        self._seen += [0] * (len(arrays) - len(self._seen))
        self._written += [0] * (len(arrays) - len(self._written))
        for number, (name, rows) in enumerate(arrays):
            for at in range(self._written[number], self._seen[number], _ROWS_A_BLOCK):
                part = rows[at : min(at + _ROWS_A_BLOCK, self._seen[number])]
                file.write(name, np.ascontiguousarray(part).tobytes())
                self._written[number] = at + len(part)
            self._seen[number] = len(rows)
