"""Files that appear whole or not at all: written beside their place under another name, synced, then renamed.

A writer that is killed leaves such a file behind. It holds a lock on it while it lives, so the next writer of
the same file can tell what is left over, and removes it.
"""

import fcntl
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

SUFFIX: Final = ".tmp"
_TRIES_MAX: Final = 8


def sweep(path: Path) -> int:
    """Remove what killed writers of `path` left beside it; returns how many files that were."""
    removed = 0
    # As mkstemp makes them: a user's own file of a similar name is not ours to remove.
    ours = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}{re.escape(SUFFIX)}")
    with suppress(OSError):
        for found in path.parent.iterdir():
            if ours.fullmatch(found.name):
                removed += _sweep_one(found)
    return removed


def _sweep_one(found: Path) -> int:
    with suppress(OSError):
        handle = os.open(found, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.unlink()
        finally:
            os.close(handle)
        return 1
    return 0


def _open_beside(path: Path) -> tuple[int, Path]:
    """A new file beside `path`, locked."""
    for _ in range(_TRIES_MAX):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent)
        try:
            # Where a file system has no locks, what a killed writer leaves stays.
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            # Another writer may have taken it for left over before it was locked.
            if os.fstat(handle).st_nlink:
                return handle, Path(name)
        except BaseException:
            os.close(handle)
            with suppress(OSError):
                Path(name).unlink()
            raise
        os.close(handle)
    raise OSError(f"a new file beside {path} was removed {_TRIES_MAX} times")


def open_spool(path: Path) -> BinaryIO:
    """A file beside `path` that has no name: it is gone when it is closed, or its process dies.

    Raises:
        OSError: It can't be made.
    """
    sweep(path)
    handle, name = _open_beside(path)
    try:
        name.unlink()
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "w+b", buffering=0)


class Replacement:
    """A file that takes the place of `path` when it is committed.

    Attributes:
        path: The place.
        file: What to write to, and seek in.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            OSError: The folder is missing or can't be written.
        """
        self.path = path
        sweep(path)
        handle, self._name = _open_beside(path)
        self.file: BinaryIO = os.fdopen(handle, "wb")
        self._is_open = True

    def commit(self) -> None:
        """Put it on the disk, and in its place.

        Raises:
            OSError: The disk is full or broken; nothing has changed then, and `drop` is still to be called.
        """
        self.file.flush()
        # mkstemp makes files that only their owner may read; an archive gets what any new file would.
        mask = os.umask(0)
        os.umask(mask)
        os.fchmod(self.file.fileno(), 0o666 & ~mask)
        os.fsync(self.file.fileno())
        self._name.replace(self.path)
        self._is_open = False
        self.file.close()
        _sync_folder(self.path.parent)

    def drop(self) -> None:
        """Remove it, unless it was committed."""
        if not self._is_open:
            return
        self._is_open = False
        with suppress(OSError):
            self._name.unlink()
        # What was buffered is written at closing, which may fail as the write before did.
        with suppress(OSError):
            self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()


def _sync_folder(folder: Path) -> None:
    # Some file systems can't sync a folder; the file itself is on the disk already.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
