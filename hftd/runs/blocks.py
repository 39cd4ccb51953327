"""A file that grows by whole blocks, and can be read at any moment, after a kill -9 too.

::

    "HFTDRUN1" | block | block | ...       block = mark | name, 16 bytes | length u32 | CRC-32 u32 | bytes

A reader takes blocks until one is not whole: what is behind that is told as so many bytes, and passed over.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

MAGIC: Final = b"HFTDRUN1"
_MARK: Final = b"\xb7B"
_HEADER: Final = struct.Struct("<2s16sII")
BLOCK_BYTES_MAX: Final = 1 << 26
"""Of one block; a longer one is taken for damage."""


class BlockWriter:
    """Writes such a file, one system call a block; what is at the path is replaced. A context manager.

    Raises:
        OSError: By any of the methods, such as that the disk is full: the file is good up to the block before.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._size = 0
        self._put(MAGIC)

    def write(self, name: str, data: bytes) -> None:
        """Append a block."""
        check = zlib.crc32(data, zlib.crc32(name.encode()))
        self._put(_HEADER.pack(_MARK, name.encode(), len(data), check) + data)

    def _put(self, data: bytes) -> None:
        if self._file.write(data) != len(data):
            # A disk that is nearly full takes a part. Without it the next block would stand behind damage.
            self._file.truncate(self._size)
            raise OSError(28, "No space left on device")
        self._size += len(data)

    def close(self) -> None:
        """Close it; again does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Blocks:
    """The whole blocks of a file's bytes, to be iterated over.

    Attributes:
        torn_bytes: Behind the last whole block; known once all are taken.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.torn_bytes = 0

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        at = len(MAGIC)
        while at + _HEADER.size <= len(self._data):
            mark, name, length, check = _HEADER.unpack_from(self._data, at)
            begin = at + _HEADER.size
            block = self._data[begin : begin + length]
            name = name.rstrip(b"\0")
            if mark != _MARK or length > BLOCK_BYTES_MAX or zlib.crc32(block, zlib.crc32(name)) != check:
                break
            if len(block) < length:
                break
            yield name.decode("ascii", "replace"), block
            at = begin + length
        self.torn_bytes = len(self._data) - at
