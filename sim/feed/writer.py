"""Making a prepared archive: in a thread, once, while it is read.

The file grows under a name of its own, locked as long as somebody makes it. Who finds it locked follows it; who finds
it unlocked finds what a process left that was killed, and begins anew. When it is whole it is renamed to the name by
which runs find it. Nothing relies on the disk's order of writing: each part has a checksum, which readers compare.
"""

import errno
import fcntl
import hashlib
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from isal import isal_zlib

from hftd.errors import UsageError
from hftd.rows import ROW_BYTES
from sim.archive.stream import EventReader
from sim.feed import cache, layout
from sim.feed.known import Seen, remember
from sim.feed.layout import (
    ALIGN,
    COMPLETE,
    GROWING,
    HEADER_BYTES,
    KEEP_ALL,
    MAGIC,
    VERSION,
    Facts,
    aligned,
    header_dtype,
)
from sim.feed.make import BlockMaker, Made, Wanted

_CLAIMS_MAX: Final = 100
"""So often a part's name may change hands while one is claimed."""
_BYTES_PER_ROW: Final = 32
"""A prepared row takes at least that; where there is less room, making is not begun."""


def claim(part: Path) -> tuple[int, bool]:
    """Open a part, and become the one that makes it unless somebody does.

    Returns:
        A handle, and whether it is to be written.

    Raises:
        OSError: The folder can't be written.
    """
    for _ in range(_CLAIMS_MAX):
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return handle, False
        except BaseException:
            os.close(handle)
            raise
        stat = os.fstat(handle)
        try:
            is_there = is_same_file(part.lstat(), stat)
        except FileNotFoundError:
            is_there = False
        if is_there and not stat.st_size:
            return handle, True
        if is_there:
            # Of one that was killed. Others may still read it, so it is not cut but replaced.
            cache.discard(part)
        os.close(handle)
    raise OSError(f"{part} changes hands too often")


def is_same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether a name and a handle are of the same file."""
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


class Writer:
    """Makes one prepared archive.

    Args:
        seen: The source.
        wanted: What for.
        root: The cache's folder.
        part: The file's name while it grows.
        handle: The file, locked; the writer closes it.
    """

    def __init__(self, seen: Seen, wanted: Wanted, root: Path, part: Path, handle: int) -> None:
        self.path = seen.path
        self._seen = seen
        self.wanted = wanted
        self.records: list[Any] = []
        """Of the blocks that can be read."""
        self.facts: Facts | None = None
        self.count = 0
        self.error: BaseException | None = None
        """What ended it early."""
        self.is_done = False
        self.changed = threading.Condition()
        self.entry: Path | None = None
        self._root = root
        self._part = part
        self._handle = handle
        self._at = HEADER_BYTES
        self._digest = hashlib.sha256()
        self._stop = threading.Event()
        self._header = np.zeros(1, header_dtype)
        self._reader = EventReader(seen.path, block_rows=layout.BLOCK_ROWS, digest=self._digest)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Make it: at once if it is of one block, else in a thread.

        Raises:
            DataError: The source can't be opened.
        """
        try:
            self._reader.__enter__()
        except BaseException:
            self._drop()
            raise
        self.count = self._reader.count
        if self.count <= layout.BLOCK_ROWS:
            self._run()
            return
        self._thread = threading.Thread(target=self._run, name="prepare", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give it up, unless it is written to its end, which is waited for."""
        if self.count and len(self.records) * layout.BLOCK_ROWS < self.count:
            self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def wait_block(self, number: int) -> Any:
        """The record of a block, waited for; None if the source has no such block.

        Raises:
            BaseException: What ended the writing before it.
        """
        with self.changed:
            while number >= len(self.records) and not self.is_done:
                self.changed.wait()
            if number < len(self.records):
                return self.records[number]
            if self.error is not None:
                raise self.error
            return None

    def wait(self) -> None:
        """Wait until it is whole.

        Raises:
            BaseException: What ended it early.
        """
        with self.changed:
            while not self.is_done:
                self.changed.wait()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            try:
                self._write_all()
            finally:
                self._reader.close()
        except BaseException as raised:
            # Those who wait for blocks get it.
            error = raised
        finally:
            if error is not None:
                self._drop()
            else:
                os.close(self._handle)
            with self.changed:
                self.error, self.is_done = error, True
                self.changed.notify_all()

    def _drop(self) -> None:
        self._discard_part()
        os.close(self._handle)

    def _owns_part(self) -> bool:
        """Whether the part's name is still that of the file that is written here.

        Somebody may have taken it away, and another run begun anew under that name.
        """
        try:
            return is_same_file(self._part.lstat(), os.fstat(self._handle))
        except FileNotFoundError:
            return False

    def _discard_part(self) -> None:
        if self._owns_part():
            cache.discard(self._part)

    def _write_all(self) -> None:
        stat = self._reader.stat
        room = os.statvfs(self._root)
        row_bytes = _BYTES_PER_ROW + (ROW_BYTES if self.wanted.keep == KEEP_ALL else 0)
        if room.f_bavail * room.f_frsize < self.count * row_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        header = self._header[0]
        header["magic"], header["version"], header["state"] = MAGIC, VERSION, GROWING
        header["count"], header["block_rows"] = self.count, layout.BLOCK_ROWS
        header["tick_size"], header["lot_size"] = self.wanted.tick_size, self.wanted.lot_size
        header["by_order"], header["keep"] = int(self.wanted.by_order), self.wanted.keep
        header["source_size"] = stat.st_size
        header["path"] = np.void(os.fsencode(self.path.absolute())[:2048].ljust(2048, b"\0"))
        maker = BlockMaker(self.wanted)
        first_row = 0
        is_wrong = False
        for rows in self._reader.blocks():
            if self._stop.is_set():
                raise StoppedError
            if first_row == 0:
                self.facts = Facts.of_rows(rows, self.wanted.tick_size)
                self.facts.fill(header)
            made = maker.make(rows, first_row)
            is_wrong |= bool(made.record[0]["sides"]["error"].any())
            self._publish(made)
            first_row += len(rows)
        if is_wrong:
            # Its blocks can be read by those who are at it; nobody finds it later.
            self._discard_part()
            return
        now = self._reader.stat_now()
        if (now.st_size, now.st_mtime_ns) != (stat.st_size, stat.st_mtime_ns):
            # What was hashed is neither what it was nor what it is.
            self._discard_part()
            return
        self._complete(stat)

    def _publish(self, made: Made) -> None:
        record = made.record[0]
        record["offset"] = self._at
        record["record_crc"] = cache.record_crc(record)
        self._write(made.record.view(np.uint8), self._at)
        for offset, part in made.parts:
            self._write(part, self._at + offset)
        self._at = aligned(self._at + int(record["size"]), ALIGN)
        self._header[0]["published"] += 1
        self._write_header()
        with self.changed:
            self.records.append(record)
            self.changed.notify_all()

    def _write(self, part: Any, at: int) -> None:
        view = memoryview(part)
        while view:
            size = os.pwrite(self._handle, view, at)
            view, at = view[size:], at + size

    def _write_header(self) -> None:
        header = self._header
        header[0]["crc"] = cache.header_crc(header.tobytes())
        self._write(header.view(np.uint8), 0)

    def _complete(self, stat: os.stat_result) -> None:
        table = b"".join(record.tobytes() for record in self.records)
        header = self._header[0]
        header["table_at"], header["table_crc"] = self._at, isal_zlib.crc32(table)
        header["digest"] = np.void(self._digest.digest())
        self._write(table, self._at)
        header["state"] = COMPLETE
        self._write_header()
        if not self._owns_part():
            # Nobody could find it. Those who are at it read it to the end.
            return
        digest = self._digest.hexdigest()
        if self._seen.may_be_mapped and digest != self._seen.digest:
            # It was changed since, whatever its times say.
            self._discard_part()
            return
        entry = cache.entry_path(self._root, stat.st_size, digest, self.wanted)
        if not self._seen.may_be_mapped:
            remember(self._root, stat, digest)
        with suppress(FileNotFoundError):
            self._part.replace(entry)
        self.entry = entry
        # What the limit is was looked at when the run began; if it was made nonsense since, the next run says so.
        with suppress(OSError, UsageError):
            cache.prune(keep=entry)


class StoppedError(Exception):
    """Nobody wants it any more."""
