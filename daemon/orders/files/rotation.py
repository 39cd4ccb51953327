"""How a new file takes the place of a journal's while records go on being written, without waiting for the disk.

::

    FILLING     the checkpoint is collected piece by piece; records that are written meanwhile are noted
    SAVING      a thread writes checkpoint and records into <journal>.new, and has the disk keep them; again, while
                there are more
    SWITCHING   each record is written into both files; the thread gives the old one its second name as a part, renames
                the new one to the journal, and has the disk keep the names
    DONE        the new file is the journal, the old one a part

Whenever the process is killed, the journal's name stands for a file with every record that was let out: the old one
until the rename, the new one after it. The order's path makes the same `write` as ever, while the names change two.

Limits: records that wait in memory, `TAIL_MAX` bytes; beyond that the rotation is given up.
"""

import contextlib
import errno
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Final

from daemon.orders.files.parts import NEW
from daemon.orders.files.records import create, cut, sync_folder, write_all

FILLING: Final = "filling"
SAVING: Final = "saving"
SWITCHING: Final = "switching"
DONE: Final = "done"
FAILED: Final = "failed"

SMALL: Final = 1 << 16
"""So many bytes are written at once before the names change; of more the thread takes care first."""
TAIL_MAX: Final = 64 << 20


class Rotation:
    """One; see the module. Any method may raise OSError; then `close` it.

    Args:
        path: The journal.
        part: What its file is to be called.
        worker: Runs what may wait for the disk.
    """

    def __init__(self, path: Path, part: Path, worker: Executor) -> None:
        self.path = path
        self.part = part
        self.state = FILLING
        self.size = self.checkpoint_bytes = 0
        self._worker = worker
        self._new = path.with_name(path.name + NEW)
        self.fd = create(self._new)
        self._pieces: list[bytes] = []
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._job: Future[None] | None = None

    @property
    def is_filling(self) -> bool:
        """Whether pieces are still taken."""
        return self.state == FILLING

    def fill(self, piece: bytes) -> None:
        """The next piece of the new file, while it is filled."""
        self._pieces.append(piece)

    def filled(self, piece: bytes) -> None:
        """The last piece: what is written from the rotation's beginning on follows it."""
        self._pieces.append(piece)
        self.checkpoint_bytes = sum(map(len, self._pieces))
        self._save()

    def add(self, record: bytes) -> None:
        """A record was written into the old file."""
        if self.state == SWITCHING:
            try:
                write_all(self.fd, record)
            except OSError:
                cut(self.fd, self.size)
                raise
            self.size += len(record)
            return
        if self.state == FAILED:
            return
        self._tail.append(record)
        self._tail_bytes += len(record)
        if self._tail_bytes > TAIL_MAX:
            self.state = FAILED

    def go_on(self, before_switch: Callable[[], None]) -> str:
        """See whether the thread is done, and take the next step; the state.

        Args:
            before_switch: Called before the names change; if it raises, they do not.

        Raises:
            OSError: It failed; the old file is the journal still.
        """
        job = self._job
        if job is not None and not job.done():
            return self.state
        if job is not None and (error := job.exception()) is not None:
            raise error if isinstance(error, OSError) else OSError(errno.EIO, str(error))
        if self.state == FAILED:
            raise OSError(errno.ETIMEDOUT, "the disk is too slow to begin a new file")
        self._job = None
        if job is None:
            return self.state
        if self.state == SAVING and self._tail_bytes > SMALL:
            self._save()
        elif self.state == SAVING:
            before_switch()
            tail, self._tail = b"".join(self._tail), []
            write_all(self.fd, tail)
            self.size += len(tail)
            self.state = SWITCHING
            self._job = self._worker.submit(self._switch)
        elif self.state == SWITCHING:
            self.state = DONE
        return self.state

    def finish(self) -> bool:
        """Wait for the thread; whether the new file is the journal by now. Nothing is begun any more."""
        if self._job is None:
            return self.state == DONE
        return self._job.exception() is None and self.state == SWITCHING

    def close(self) -> None:
        """Give it up, after `go_on` has raised or `finish`: the new file is not the journal."""
        with contextlib.suppress(OSError):
            os.close(self.fd)
        # On a full disk it would take the room that is wanted.
        with contextlib.suppress(OSError):
            self._new.unlink()

    # In the thread.

    def _save(self) -> None:
        self.state = SAVING
        data = b"".join((*self._pieces, *self._tail))
        self._pieces, self._tail, self._tail_bytes = [], [], 0
        self.size += len(data)
        self._job = self._worker.submit(self._write, data)

    def _write(self, data: bytes) -> None:
        write_all(self.fd, data)
        os.fsync(self.fd)

    def _switch(self) -> None:
        # No fsync of the file: it would hold up what is written into it just now.
        os.link(self.path, self.part)
        try:
            self._new.replace(self.path)
        except OSError:
            self.part.unlink()
            raise
        with contextlib.suppress(OSError):
            # A loss of power before the disk has the names brings the old file back, as it was written last.
            sync_folder(self.path.parent)
