"""Reading an archive, as a whole or block by block: of any size, in bounded memory.

Unpacking runs in a thread of its own, up to two blocks ahead of whoever takes them, by isal, which inflates two to
three times as fast as zlib and without the GIL.
"""

import hashlib
import io
import mmap
import os
import queue
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Self

import numpy as np
from isal import igzip_lib, isal_zlib
from numpy.typing import NDArray

from hftd.errors import DataError
from hftd.types import event_dtype, latency_dtype
from sim.archive import npz

BLOCK_ROWS: Final = 1 << 17
_BUFFERS: Final = 3
"""One is with the taker, one waits for it, one is filled."""
_PACKED_BYTES: Final = 256 << 10
_PART_BYTES: Final = 256 << 10
"""At most that much is unpacked at once: it is copied into the block out of the processor's cache."""
_LOCAL_HEADER: Final = 30
_ENCRYPTED: Final = 0x1
_HASH_BYTES: Final = 4 << 20


class _Source(io.RawIOBase):
    """Bytes of an array from where a file stands, `size` of them in the file, with their checksum if there is one."""

    def __init__(self, read: Callable[[int], bytes], size: int, crc: int | None) -> None:
        self._read, self._left, self._crc, self._sum, self._at = read, size, crc, 0, 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at


class _Plain(_Source):
    """Stored as they are."""

    def readinto(self, target: Any) -> int:
        part = self._read(min(len(target), self._left, _PART_BYTES))
        target[: len(part)] = part
        self._left -= len(part)
        self._at += len(part)
        if self._crc is not None:
            self._sum = isal_zlib.crc32(part, self._sum)
            if not self._left and self._sum != self._crc:
                raise zipfile.BadZipFile("Bad CRC-32")
        return len(part)


class _Deflated(_Source):
    """Deflated."""

    def __init__(self, read: Callable[[int], bytes], size: int, crc: int) -> None:
        super().__init__(read, size, crc)
        self._inflate: Any = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)

    def readinto(self, target: Any) -> int:
        while not self._inflate.eof:
            packed = b""
            is_hungry = self._inflate.needs_input
            if is_hungry and self._left:
                packed = self._read(min(self._left, _PACKED_BYTES))
                self._left = self._left - len(packed) if packed else 0
            part = self._inflate.decompress(packed, min(len(target), _PART_BYTES))
            if part:
                target[: len(part)] = part
                self._sum = isal_zlib.crc32(part, self._sum)
                self._at += len(part)
                return len(part)
            # What it still held may have been a block without bytes: that is no end.
            if is_hungry and not packed and not self._inflate.eof:
                raise EOFError("its packed bytes end too early")
        if self._sum != self._crc:
            raise zipfile.BadZipFile("Bad CRC-32")
        # What stands behind the end of the packed bytes belongs to nothing.
        while self._left and (rest := self._read(min(self._left, _PACKED_BYTES))):
            self._left -= len(rest)
        return 0


class _Tap:
    """A file whose bytes are hashed on their way, in the file's order."""

    def __init__(self, file: IO[bytes], digest: "hashlib._Hash | None") -> None:
        self._file, self._digest = file, digest

    def start(self, offset: int) -> None:
        """Go to where the rows begin."""
        self._file.seek(0)
        if self._digest is None:
            self._file.seek(offset)
        else:
            self._digest.update(self._file.read(offset))

    def read(self, size: int) -> bytes:
        part = self._file.read(size)
        if self._digest is not None:
            self._digest.update(part)
        return part

    def finish(self) -> None:
        """Take in what stands behind the rows."""
        while self._digest is not None and self.read(_HASH_BYTES):
            pass


class EventReader:
    """The rows of an archive, in blocks; a context manager.

    Args:
        path: An npz file with the key `data`, deflated or stored, or an npy file.
        dtype: The rows' type: `event_dtype` or `latency_dtype`.
        block_rows: A block has that many rows; the last one may have fewer.
        digest: Updated with the bytes of the file, all of them when `blocks` has ended.

    Attributes:
        count: How many rows the archive announces.
        stat: What the system says of the file that was opened.
        torn_bytes: Behind the rows that a growing file (`hftd tap --save`) announces: those of a piece that was being
            written when its writer was killed, or is now. They are passed over; known when `blocks` has ended.

    Raises:
        DataError: On entering: the file is missing, broken, or holds something else. From `blocks`: it ends too
            early or is damaged, which only shows when that point is reached; the rows before it were given.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        dtype: "np.dtype[Any]" = event_dtype,
        block_rows: int = BLOCK_ROWS,
        digest: "hashlib._Hash | None" = None,
    ) -> None:
        self.path = Path(path)
        self.dtype = dtype
        self.block_rows = block_rows
        self.count = 0
        self.torn_bytes = 0
        self._is_growing = False
        self._digest = digest
        self._where = str(path)
        self._file: IO[bytes] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        assert self._file is None, "a reader reads once"
        try:
            with npz.reading(self._where):
                self._file = self.path.open("rb")
                self.stat = os.fstat(self._file.fileno())
                self._tap = _Tap(self._file, self._digest)
                self._source, size = self._open(self._file)
                hint = npz.latency_hint if self.dtype == latency_dtype else npz.event_hint
                self.count = npz.read_header(self._source, size, self.dtype, self._where, hint)
        except BaseException:
            self.close()
            raise
        if not self.count:
            self.close()
            kind = "order latencies" if self.dtype == latency_dtype else "market data"
            raise DataError(f"the archive holds no rows of {kind}", where=self._where)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; blocks that were given are no longer valid."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._file is not None:
            self._file.close()

    def stat_now(self) -> os.stat_result:
        """What the system says of the file now; it may have been changed meanwhile."""
        assert self._file is not None
        return os.fstat(self._file.fileno())

    def _open(self, file: IO[bytes]) -> tuple[_Source, int]:
        """The bytes of the array and how many there are."""
        start = file.read(8)
        if start.startswith(npz.NPY_MAGIC):
            # As `np.save` writes none: the second version, for which these headers are much too short.
            self._is_growing = start.startswith(npz.NPY_MAGIC + b"\x02")
            self._tap.start(0)
            return _Plain(self._tap.read, self.stat.st_size, None), self.stat.st_size
        npz.check_magic(start, self._where)
        info = npz.find_member(file, self._where)
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            return self._open_rare(file, info)
        file.seek(info.header_offset)
        header = file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or not header.startswith(npz.ZIP_MAGIC):
            raise zipfile.BadZipFile("no member where the directory says")
        name_size, extra_size = struct.unpack("<HH", header[26:30])
        self._tap.start(info.header_offset + _LOCAL_HEADER + name_size + extra_size)
        if info.compress_type == zipfile.ZIP_STORED:
            return _Plain(self._tap.read, info.file_size, info.CRC), info.file_size
        return _Deflated(self._tap.read, info.compress_size, info.CRC), info.file_size

    def _open_rare(self, file: IO[bytes], info: zipfile.ZipInfo) -> tuple[_Source, int]:
        """A member packed in another way is zipfile's matter, or its error."""
        self._tap = _Tap(file, None)
        if self._digest is not None:
            file.seek(0)
            while part := file.read(_HASH_BYTES):
                self._digest.update(part)
        # Closed with the file.
        member = zipfile.ZipFile(file).open(info)  # noqa: SIM115
        return _Plain(member.read, info.file_size, None), info.file_size

    def head(self, rows_max: int) -> NDArray[Any]:
        """The first rows, in memory of their own; instead of `blocks`.

        Raises:
            DataError: The file is damaged there.
        """
        with npz.reading(self._where):
            rows = np.empty(min(self.count, rows_max), self.dtype)
            self._fill(rows, 0)
            if len(rows) == self.count:
                self._end()
        return rows

    def blocks(self) -> Iterator[NDArray[Any]]:
        """The rows, shape (n,), of `dtype`; a block is valid until the next is taken.

        Raises:
            DataError: The file is damaged or ends too early.
        """
        if self.count <= self.block_rows:
            # Not worth a thread.
            yield self.head(self.count)
            return
        yield from self._from_thread()

    def _from_thread(self) -> Iterator[NDArray[Any]]:
        free: queue.SimpleQueue[NDArray[Any] | None] = queue.SimpleQueue()
        full: queue.SimpleQueue[NDArray[Any] | BaseException | None] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            free.put(self._buffer())
        self._thread = threading.Thread(target=self._run, args=(free, full), name="unpack", daemon=True)
        self._thread.start()
        try:
            while (block := full.get()) is not None:
                if isinstance(block, BaseException):
                    raise block
                yield block
                free.put(block)
        finally:
            self._stop.set()
            free.put(None)
            self._thread.join()

    def _buffer(self) -> NDArray[Any]:
        """Memory that goes back to the system when it is let go: one file after the other is read."""
        size = self.block_rows * self.dtype.itemsize
        return np.frombuffer(mmap.mmap(-1, max(size, 1)), self.dtype, self.block_rows)

    def _run(self, free: Any, full: Any) -> None:
        """In the thread: fill free buffers until the rows are over."""
        try:
            with npz.reading(self._where):
                at = 0
                while at < self.count:
                    buffer = free.get()
                    if buffer is None or self._stop.is_set():
                        return
                    # The last one may be shorter; nothing comes behind it.
                    block = buffer[: self.count - at]
                    self._fill(block, at)
                    at += len(block)
                    if at == self.count:
                        self._end()
                    full.put(block)
            full.put(None)
        except BaseException as error:
            # Whatever it is, the taker must hear of it, or it would wait for ever.
            full.put(error)

    def _fill(self, block: NDArray[Any], first_row: int) -> None:
        target = block.view(np.uint8).data.cast("B")
        at = 0
        while at < len(target):
            if self._stop.is_set():
                return
            size = self._source.readinto(target[at:])
            if not size:
                row = first_row + at // self.dtype.itemsize
                raise npz.broken(self._where, f"it ends in row {row:,} of {self.count:,}")
            at += size

    def _end(self) -> None:
        """Nothing may come behind the rows, and a zip's checksum is compared there."""
        if self._stop.is_set():
            return
        if self._source.read(1):
            if not self._is_growing:
                raise npz.broken(self._where, "there are bytes behind the rows")
            while part := self._source.read(_PART_BYTES):
                self.torn_bytes += len(part)
            self.torn_bytes += 1
        with suppress(OSError):
            self._tap.finish()


def read_events(path: Path | str) -> NDArray[Any]:
    """Read an archive of market data.

    Args:
        path: An npz file with the key `data`, or an npy file.

    Returns:
        Rows of `event_dtype`, one-dimensional, at least one, in memory of their own.

    Raises:
        DataError: The file is missing, broken or truncated, or holds something else; nothing is ever
            unpickled.
    """
    with EventReader(path) as reader:
        return reader.head(reader.count)


def read_latencies(path: Path | str) -> NDArray[Any]:
    """Read recorded order latencies, rows of `latency_dtype`; otherwise as `read_events`."""
    with EventReader(path, dtype=latency_dtype) as reader:
        return reader.head(reader.count)
