"""The prepared blocks of one file, from wherever they can be read, and of the next one of a run, made ready ahead."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from hftd.errors import HftdError
from sim.archive.stream import EventReader
from sim.feed import cache, layout
from sim.feed.known import look_at
from sim.feed.layout import Facts
from sim.feed.make import Wanted, load_kernels
from sim.feed.sources import (
    Block,
    Blocks,
    Complete,
    Followed,
    LostError,
    NoRoomError,
    Own,
    StalledError,
    Unpacked,
)
from sim.feed.writer import Writer, claim, is_same_file

_TRIES_MAX: Final = 8
"""So often the blocks may have to be found anew before they are made without the cache."""
_ONE: Final = threading.Lock()
"""At most one file is made ahead at a time in a process."""
_LOOK_S: Final = 0.05


def _pieces_of(path: Path) -> Iterator[NDArray[Any]]:
    with EventReader(path, block_rows=layout.BLOCK_ROWS) as reader:
        yield from reader.blocks()


class Source:
    """The prepared blocks of a file.

    Args:
        path: An archive.
        wanted: What for.
        on_warning: Told, once, why the cache is not used.

    Raises:
        DataError: The file is missing or broken.
    """

    def __init__(self, path: Path, wanted: Wanted, on_warning: Callable[[str], None]) -> None:
        self.path = path
        self.wanted = wanted
        self._on_warning = on_warning
        self._tries = 0
        self._from: Blocks = self._open()

    @property
    def count(self) -> int:
        """The rows of the file."""
        return self._from.count

    @property
    def facts(self) -> Facts:
        """What the checks of its first rows found; after the first block was taken."""
        return self._from.facts

    @property
    def is_lasting(self) -> bool:
        """Whether blocks that were taken can be taken again cheaply."""
        return self._from.is_lasting

    @property
    def table(self) -> NDArray[Any] | None:
        """The records of all blocks, if nothing is left to be made; else None."""
        return self._from.table

    def take(self, number: int, side: int) -> Block | None:
        """A block, waited for; None behind the last.

        Raises:
            DataError: The source is damaged before it.
        """
        while True:
            try:
                return self._from.take(number, side)
            except LostError as lost:
                if isinstance(lost, (NoRoomError, StalledError)):
                    self._tries = _TRIES_MAX
                self._from = self._open(str(lost))

    def make_ready(self) -> None:
        """It will be read soon: wait until this process has made it, if it does."""
        self._from.will_need()
        self._from.wait()

    def stop(self) -> None:
        """The run is over: what is half made is given up."""
        self._from.stop()

    def _open(self, reason: str = "") -> Blocks:
        while self._tries < _TRIES_MAX:
            self._tries += 1
            try:
                return self._open_cached()
            except StalledError as stalled:
                reason = str(stalled)
                break
            except LostError as lost:
                reason = str(lost)
            except FileNotFoundError:
                # It is made anew at the next try.
                reason = "its folder is removed again and again"
            except OSError as error:
                reason = error.strerror or str(error)
                break
        self._on_warning(
            f"{self.path}: the cache of prepared archives is not used: {reason}; this run unpacks the file for itself"
        )
        with EventReader(self.path, block_rows=layout.BLOCK_ROWS) as reader:
            count = reader.count
        return Unpacked(lambda _side: _pieces_of(self.path), self.wanted, count)

    def _open_cached(self) -> Blocks:
        root = cache.folder()
        seen = look_at(root, self.path)
        entry = cache.find(root, seen, self.wanted)
        if entry is not None:
            handle = os.open(entry, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return Complete(handle, entry)
            except cache.NotWholeError as error:
                cache.discard(entry)
                raise LostError(str(error)) from None
        part = cache.part_path(root, seen, self.wanted)
        # Who follows waits for blocks, not for compilers.
        load_kernels()
        handle, is_ours = claim(part)
        if not is_ours:
            return Followed(handle)
        if cache.find(root, seen, self.wanted) is not None:
            # Somebody finished it between the two looks.
            cache.discard(part)
            os.close(handle)
            raise LostError("it was made meanwhile")
        # The writer's handle has the lock, which ends with it; this one is the reader's.
        try:
            reading = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(handle)
            raise
        if not is_same_file(os.fstat(reading), os.fstat(handle)):
            os.close(reading)
            os.close(handle)
            raise LostError("it was taken away")
        writer = Writer(seen, self.wanted, root, part, handle)
        try:
            writer.start()
        except BaseException:
            os.close(reading)
            raise
        return Own(reading, writer)


class Ahead:
    """A source that is opened ahead, as soon as the one before it is made.

    Args:
        before: The source that is played now.
        open_source: Opens the next; it is called once, here or when it is taken.
    """

    def __init__(self, before: Source, open_source: Callable[[], Source]) -> None:
        self._open = open_source
        self._lock = threading.Lock()
        self._source: Source | None = None
        self._over = threading.Event()
        # Where nothing is under way, there is nothing that it would disturb.
        self._before = before if before.table is None else None
        self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        if self._before is not None:
            self._before.make_ready()
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
                self._source.make_ready()
        finally:
            _ONE.release()

    def take(self) -> Source:
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
