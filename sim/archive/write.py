"""Writing archives: an npz file that appears whole or not at all.

The rows come in blocks, which a few threads pack at once (zlib works without the GIL); each block is a piece
of one deflate stream that the last one ends, so any reader of npz takes it. Not numpy's `savez_compressed`,
because that needs all rows in one array and packs them on one core at a level that takes three times as long
for a file that is a quarter smaller.
"""

import io
import itertools
import os
import struct
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from hftd.errors import DataError

MEMBER: Final = b"data.npy"
LEVEL: Final = 1
"""Deflate's level: 1 packs three times as fast as 6; 0 stores."""
_BLOCK_BYTES: Final = 2 << 20
_THREADS_MAX: Final = 4
_U32_MAX: Final = 0xFFFFFFFF
_DOS_DATE: Final = (1 << 5) | 1
"""1 January 1980: equal rows make equal files."""


def write_events(path: Path | str, rows: np.ndarray, *, level: int = LEVEL) -> None:
    """Write rows (events or latencies) as the npz archive `path`, key `data`.

    Args:
        path: The file; it is replaced as a whole, and on an error it stays as it was.
        rows: One-dimensional, of any dtype without objects.
        level: Deflate's level from 1 to 9; 0 stores the rows as they are: large, and the fastest to read.

    Raises:
        DataError: The folder does not exist or can't be written, or the disk is full.
    """
    rows = np.ascontiguousarray(rows)
    size = max(1, _BLOCK_BYTES // max(1, rows.dtype.itemsize))
    blocks = (rows[at : at + size] for at in range(0, len(rows), size))
    write_blocks(path, rows.dtype, len(rows), blocks, level=level)


def write_blocks(
    path: Path | str,
    dtype: "np.dtype[Any]",
    count: int,
    blocks: Iterable[np.ndarray],
    *,
    level: int = LEVEL,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write `count` rows that come in blocks as an npz archive; see `write_events`.

    A block must not be changed after it was given. At most twice as many blocks as threads are held.

    Args:
        path: The file.
        dtype: That of the rows.
        count: How many rows there will be.
        blocks: Contiguous arrays of them.
        level: Deflate's level.
        progress: Called with the rows packed and `count` after each block.

    Returns:
        The size of the file in bytes.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            size = _write(file, dtype, count, blocks, level, progress)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read; an archive gets what any new file would.
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(path)
    except BaseException as error:
        with suppress(OSError):
            Path(name).unlink()
        if isinstance(error, OSError):
            raise _unwritable(path, error) from None
        raise
    _sync_folder(path.parent)
    return size


def _sync_folder(folder: Path) -> None:
    # Some file systems can't sync a folder; the file itself is on the disk already.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _unwritable(path: Path, error: OSError) -> DataError:
    reason = error.strerror or str(error)
    return DataError(
        f"the archive can't be written: {reason}",
        where=str(path),
        hint="nothing was left behind; free room, or give another place",
    )


def _write(
    file: BinaryIO,
    dtype: "np.dtype[Any]",
    count: int,
    blocks: Iterable[np.ndarray],
    level: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """A zip file of one member: local header, data, central directory; the header is set right at the end."""
    file.write(_local_header(level, 0, 0, 0))
    start = file.tell()
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(header, described)
    crc = 0
    size = 0
    rows_done = 0

    def pieces() -> Iterator[memoryview]:
        nonlocal crc, size
        for block in itertools.chain([np.frombuffer(header.getvalue(), np.uint8)], blocks):
            piece = np.ascontiguousarray(block).view(np.uint8).data.cast("B")
            crc, size = zlib.crc32(piece, crc), size + len(piece)
            yield piece

    for packed, plain_size in _packed(pieces(), level):
        file.write(packed)
        rows_done = min(count, rows_done + plain_size // dtype.itemsize)
        if progress is not None:
            progress(rows_done, count)
    if size != len(header.getvalue()) + count * dtype.itemsize:
        raise AssertionError("the blocks do not hold as many rows as were announced")
    packed_size = file.tell() - start
    central_at = file.tell()
    file.write(_central_directory(level, crc, packed_size, size, central_at))
    total = file.tell()
    file.seek(0)
    file.write(_local_header(level, crc, packed_size, size))
    return total


def _pack(piece: memoryview, level: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)


def _packed(pieces: Iterator[memoryview], level: int) -> Iterator[tuple[bytes | memoryview, int]]:
    """The pieces as parts of one deflate stream, each with its size before; at level 0 as they are."""
    if level == 0:
        for piece in pieces:
            yield piece, len(piece)
        return
    threads = min(_THREADS_MAX, os.cpu_count() or 1)
    waiting: deque[tuple[Future[bytes], int]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="pack") as pool:
        for piece in pieces:
            waiting.append((pool.submit(_pack, piece, level), len(piece)))
            if len(waiting) >= 2 * threads:
                done, size = waiting.popleft()
                yield done.result(), size
        while waiting:
            done, size = waiting.popleft()
            yield done.result(), size
    # An empty last block ends the stream.
    yield zlib.compressobj(level, zlib.DEFLATED, -15).flush(), 0


def _method(level: int) -> int:
    return 8 if level else 0


def _local_header(level: int, crc: int, packed_size: int, size: int) -> bytes:
    # The true sizes stand in the zip64 field, so that the header's length does not depend on them.
    extra = struct.pack("<HHQQ", 1, 16, size, packed_size)
    fixed = struct.pack(
        "<IHHHHHIIIHH",
        0x04034B50,
        45,
        0,
        _method(level),
        0,
        _DOS_DATE,
        crc,
        _U32_MAX,
        _U32_MAX,
        len(MEMBER),
        len(extra),
    )
    return fixed + MEMBER + extra


def _central_directory(level: int, crc: int, packed_size: int, size: int, at: int) -> bytes:
    is_large = max(packed_size, size, at) >= _U32_MAX
    extra = struct.pack("<HHQQ", 1, 16, size, packed_size) if is_large else b""
    entry = struct.pack(
        "<IHHHHHHIIIHHHHHII",
        0x02014B50,
        45,
        45,
        0,
        _method(level),
        0,
        _DOS_DATE,
        crc,
        _U32_MAX if is_large else packed_size,
        _U32_MAX if is_large else size,
        len(MEMBER),
        len(extra),
        0,
        0,
        0,
        0o600 << 16,
        0,
    )
    entry += MEMBER + extra
    end64 = b""
    if is_large:
        behind = at + len(entry)
        end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, len(entry), at)
        end64 += struct.pack("<IIQI", 0x07064B50, 0, behind, 1)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry), _U32_MAX if is_large else at, 0)
    return entry + end64 + end
