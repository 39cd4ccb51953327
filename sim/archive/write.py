"""Writing archives: an npz file that appears whole or not at all, its number of rows unknown before.

The rows are packed by a few threads at once (without the GIL) in pieces of 2 MiB; each is a part of one deflate
stream that the last one ends, so any reader of npz takes it. The array's header stands before them in a block of
that stream that is not packed: once the rows are counted it is set right in its place. Not numpy's
`savez_compressed`, because that needs all rows in one array and packs them on one core.

Levels 1 to 3 pack by ISA-L: on event rows its level 1 is several times as fast as zlib's, for a file that is a
little smaller and unpacks faster.
"""

import io
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from isal import isal_zlib

from hftd.errors import DataError
from hftd.recording import Gap
from sim.archive.gaps import GAPS, encode_gaps
from sim.archive.temps import Replacement
from sim.archive.zipped import central_directory, local_header, small_member

LEVEL: Final = 1
"""Deflate's level: 1 is the fastest; 0 stores."""
_ISAL_LEVEL_MAX: Final = 3
_PIECE_BYTES: Final = 2 << 20
_THREADS_MAX: Final = 4


class ArchiveWriter:
    """Writes an npz archive, key `data`, of as many rows as come.

    ::

        with ArchiveWriter(path, event_dtype) as writer:
            for rows in blocks:
                writer.write(rows)

    The file is there, whole, behind the `with`; where that is left by an exception, what was at the path before
    is untouched and nothing else is left. What a killed writer left is removed by the next one of the same path.

    Args:
        path: The file; it is replaced.
        dtype: That of the rows, without objects.
        level: Deflate's level from 1 to 9; 0 stores the rows as they are: large, and the fastest to read.

    Attributes:
        path: The file.
        gaps: Windows in which something is missing, which are kept with the rows; to be set before the end.
        count: Rows written so far.
        bytes_written: The size of the file, once it is there.

    Raises:
        DataError: The folder does not exist or can't be written, or the disk is full; by any of the methods.
    """

    def __init__(self, path: Path | str, dtype: "np.dtype[Any]", *, level: int = LEVEL) -> None:
        self.path = Path(path)
        self.gaps: Sequence[Gap] = ()
        self.count = 0
        self.bytes_written = 0
        self._dtype = dtype
        self._level = level
        self._crc = 0
        self._threads = min(_THREADS_MAX, os.cpu_count() or 1)
        # Pieces of one size, whatever the blocks that are given: equal rows make equal files.
        self._piece_size = max(1, _PIECE_BYTES // max(1, dtype.itemsize)) * dtype.itemsize
        self._piece = bytearray()
        self._packing: deque[Future[bytes]] = deque()

    def __enter__(self) -> Self:
        try:
            self._replacement = Replacement(self.path)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        try:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="pack")
            self._write(local_header(self._level, 0, 0, 0))
            self._write(self._described())
        except BaseException:
            self._replacement.drop()
            raise
        return self

    def write(self, rows: np.ndarray) -> None:
        """Append rows; they are copied, and may be changed afterwards.

        Args:
            rows: One-dimensional, of the writer's dtype.
        """
        if rows.dtype != self._dtype or rows.ndim != 1:
            raise DataError(
                f"rows of {rows.dtype} do not fit an archive of {self._dtype}", where=str(self.path)
            )
        if not len(rows):
            return
        self.count += len(rows)
        data = np.ascontiguousarray(rows).view(np.uint8).data.cast("B")
        at = 0
        while at < len(data):
            room = self._piece_size - len(self._piece)
            self._piece += data[at : at + room]
            at += room
            if len(self._piece) == self._piece_size:
                self._flush_piece()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._replacement.drop()

    def _finish(self) -> None:
        if self._piece:
            self._flush_piece()
        while self._packing:
            self._write(self._packing.popleft().result())
        if self._level:
            # An empty last block ends the stream.
            self._write(zlib.compressobj(self._level, zlib.DEFLATED, -15).flush())
        header = self._header()
        size = len(header) + self.count * self._dtype.itemsize
        crc = isal_zlib.crc32_combine(zlib.crc32(header), self._crc, size - len(header))
        file = self._replacement.file
        try:
            central_at = file.tell()
            packed_size = central_at - len(local_header(self._level, 0, 0, 0))
            others: list[bytes] = []
            if self.gaps:
                record, entry = small_member(GAPS, encode_gaps(self.gaps), central_at)
                file.write(record)
                others.append(entry)
            file.write(central_directory(self._level, crc, packed_size, size, file.tell(), others))
            self.bytes_written = file.tell()
            file.seek(0)
            file.write(local_header(self._level, crc, packed_size, size))
            file.write(self._described())
            self._replacement.commit()
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def _header(self) -> bytes:
        """The array's header; numpy leaves room in it, so that its length does not depend on the count."""
        header = io.BytesIO()
        described = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.count,),
        }
        np.lib.format.write_array_header_1_0(header, described)
        return header.getvalue()

    def _described(self) -> bytes:
        """The header as it stands in the file: in a deflate stream, a block that is not packed."""
        header = self._header()
        if not self._level:
            return header
        return struct.pack("<BHH", 0, len(header), len(header) ^ 0xFFFF) + header

    def _flush_piece(self) -> None:
        piece, self._piece = self._piece, bytearray()
        self._crc = isal_zlib.crc32(piece, self._crc)
        if not self._level:
            self._write(piece)
            return
        self._packing.append(self._pool.submit(_pack, piece, self._level))
        if len(self._packing) > self._threads:
            self._write(self._packing.popleft().result())

    def _write(self, data: bytes | bytearray) -> None:
        try:
            self._replacement.file.write(data)
        except OSError as error:
            raise _unwritable(self.path, error) from None


def write_events(path: Path | str, rows: np.ndarray, *, level: int = LEVEL) -> None:
    """Write rows (events or latencies) as the npz archive `path`, key `data`.

    Args:
        path: The file; it is replaced as a whole, and on an error it stays as it was.
        rows: One-dimensional, of any dtype without objects.
        level: Deflate's level from 1 to 9; 0 stores the rows as they are: large, and the fastest to read.

    Raises:
        DataError: The folder does not exist or can't be written, or the disk is full.
    """
    with ArchiveWriter(path, rows.dtype, level=level) as writer:
        writer.write(rows)


def write_blocks(
    path: Path | str,
    dtype: "np.dtype[Any]",
    count: int,
    blocks: Iterable[np.ndarray],
    *,
    level: int = LEVEL,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write `count` rows that come in blocks as an npz archive; see `ArchiveWriter`.

    Args:
        path: The file.
        dtype: That of the rows.
        count: How many rows there will be.
        blocks: Arrays of them; each may be changed when the next is taken.
        level: Deflate's level.
        progress: Called with the rows written and `count` after each block.

    Returns:
        The size of the file in bytes.
    """
    with ArchiveWriter(path, dtype, level=level) as writer:
        for block in blocks:
            writer.write(block)
            if progress is not None:
                progress(writer.count, count)
        if writer.count != count:
            raise AssertionError("the blocks do not hold as many rows as were announced")
    return writer.bytes_written


def _unwritable(path: Path, error: OSError) -> DataError:
    reason = error.strerror or str(error)
    return DataError(
        f"the archive can't be written: {reason}",
        where=str(path),
        hint="nothing was left behind; free room, or give another place",
    )


def _pack(piece: bytes | bytearray, level: int) -> bytes:
    make = isal_zlib.compressobj if level <= _ISAL_LEVEL_MAX else zlib.compressobj
    packer = make(level, zlib.DEFLATED, -15)
    return packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
