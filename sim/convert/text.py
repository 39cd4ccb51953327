"""The text of a capture, in blocks: gzip or plain, unpacked as it is read, with what is broken in it said.

What could be unpacked before the damage is given; a capture whose recorder was killed ends like that.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from hftd.errors import DataError

_READ_SIZE: Final = 128 << 10
BLOCK_SIZE_MAX: Final = 4 << 20
"""No block of text is longer, however much a few bytes unpack to."""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_FOREIGN: Final = {
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x93NUMPY": "a numpy array",
}


class TextFile:
    """One input.

    Attributes:
        path: The file.
        size: Its size in bytes, as it is on the disk.
        position: How many of them were read.
        damage: What was found broken, in sentences; filled while `blocks` goes on.
    """

    def __init__(self, path: Path, *, is_binary: bool = False) -> None:
        self.path = path
        self._is_binary = is_binary
        self.position = 0
        self.damage: list[str] = []
        try:
            self.size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from None
        if not path.is_file():
            raise DataError("the input is not a file", where=str(path))

    def blocks(self) -> Iterator[bytes]:
        """The text in blocks that end anywhere.

        Raises:
            DataError: The file can't be read, or is neither gzip nor text.
        """
        try:
            with self.path.open("rb") as file:
                start = file.read(4096)
                file.seek(0)
                if start.startswith(_GZIP_MAGIC):
                    yield from self._gzip_blocks(file)
                    return
                if not self._is_binary:
                    self._refuse_binary(start)
                while block := file.read(_READ_SIZE * 8):
                    self.position += len(block)
                    yield block
        except OSError as error:
            raise _unreadable(self.path, error) from None

    def _refuse_binary(self, start: bytes) -> None:
        kind = next((kind for magic, kind in _FOREIGN.items() if start.startswith(magic)), "")
        if kind or b"\0" in start:
            raise DataError(
                f"the input is {kind or 'binary data'}, neither gzip nor text",
                where=str(self.path),
                hint="a capture has lines of `<local time in ns> <json>`, packed with gzip or plain",
            )

    def _gzip_blocks(self, file: BinaryIO) -> Iterator[bytes]:
        # A file may hold several gzip streams one after the other, as a recorder that appends leaves it.
        decoder = None
        while chunk := file.read(_READ_SIZE):
            self.position += len(chunk)
            while chunk:
                if decoder is None:
                    chunk = chunk.lstrip(b"\0")
                    if not chunk:
                        break
                    if not _GZIP_MAGIC.startswith(chunk[:2]):
                        self.damage.append(f"{self.path}: bytes behind the end of gzip are ignored")
                        return
                    decoder = zlib.decompressobj(31)
                before = decoder.copy()
                try:
                    block = decoder.decompress(chunk, BLOCK_SIZE_MAX)
                except zlib.error as error:
                    yield from _salvaged(before, chunk)
                    self.damage.append(
                        f"{self.path}: the gzip data is broken before byte {self.position} ({error}); "
                        "what stands before it was kept, the rest is lost"
                    )
                    return
                if block:
                    yield block
                if decoder.eof:
                    chunk, decoder = decoder.unused_data, None
                else:
                    chunk = decoder.unconsumed_tail
        if decoder is not None:
            if rest := decoder.flush():
                yield rest
            if not decoder.eof:
                self.damage.append(
                    f"{self.path}: the gzip data ends too early; what stands before it was kept"
                )


def _salvaged(decoder: "zlib._Decompress", chunk: bytes) -> Iterator[bytes]:
    """What `chunk` unpacks to until the byte that is broken."""
    parts: list[bytes] = []
    size = 0
    try:
        for at in range(len(chunk)):
            part = decoder.decompress(chunk[at : at + 1])
            parts.append(part)
            size += len(part)
            if size > BLOCK_SIZE_MAX:
                yield b"".join(parts)
                parts, size = [], 0
    except zlib.error:
        pass
    yield b"".join(parts)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"the input can't be read: {error.strerror or error}", where=str(path))
