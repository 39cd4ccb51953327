"""The contents of inputs, in blocks: gzip, zip, zstd or plain, unpacked as they are read, with what is broken said.

What could be unpacked before the damage is given; a capture whose recorder was killed ends like that.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from hftd.errors import DataError
from sim.convert import zipped, zst
from sim.convert.inflate import GZIP, READ_SIZE, TOO_EARLY, Blocks, inflated

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_FOREIGN: Final = {
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"7z\xbc\xaf\x27\x1c": "7-zip",
    b"PAR1": "parquet",
    b"\x93NUMPY": "a numpy array",
}


class Part:
    """What is read from its beginning to its end on its own: a file, or one of those in a zip file.

    Attributes:
        name: What it is called in reports.
        path: The name as a path, for what depends on how a file is called.
        blocks: Its contents, in blocks that end anywhere.
    """

    def __init__(self, name: str, path: Path, blocks: Iterator[bytes]) -> None:
        self.name = name
        self.path = path
        self.blocks = blocks


class TextFile:
    """One input.

    Args:
        path: The file.
        is_binary: Whether the venue's files are no text.

    Attributes:
        path: The file.
        size: Its size in bytes, as it is on the disk.
        position: How many of them were read.
        damage: What was found broken, in sentences; filled while `parts` goes on.
    """

    def __init__(self, path: Path, *, is_binary: bool = False) -> None:
        self.path = path
        self.position = 0
        self.damage: list[str] = []
        self._is_binary = is_binary
        try:
            self.size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from None
        if not path.is_file():
            raise DataError("the input is not a file", where=str(path))

    def parts(self) -> Iterator[Part]:
        """What the input consists of; each is to be read before the next is taken.

        Raises:
            DataError: The file can't be read, or is of a kind that is not unpacked; the parts' blocks too.
        """
        try:
            with self.path.open("rb") as file:
                start = file.read(8)
                file.seek(0)
                if start.startswith(zipped.MAGIC):
                    yield from self._members(file)
                    return
                yield Part(str(self.path), self.path, self._guarded(self._blocks(file, start)))
        except OSError as error:
            raise _unreadable(self.path, error) from None

    def blocks(self) -> Iterator[bytes]:
        """All parts' contents, one after the other."""
        for part in self.parts():
            yield from part.blocks

    def _guarded(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from blocks
        except OSError as error:
            raise _unreadable(self.path, error) from None

    def _blocks(self, file: BinaryIO, start: bytes) -> Iterator[bytes]:
        if start.startswith(_GZIP_MAGIC):
            yield from self._text(self._gzip_blocks(file))
        elif start.startswith(zst.MAGIC):
            yield from self._text(self._said(file, zst.unpacked(file), f"{self.path}: the zstd data"))
        else:
            yield from self._text(self._plain_blocks(file))

    def _text(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The blocks; refuses what is no text."""
        is_first = True
        for block in blocks:
            if is_first and not self._is_binary:
                kind = next((kind for magic, kind in _FOREIGN.items() if block.startswith(magic)), "")
                if block[257:262] == b"ustar":
                    kind = "a tar archive"
                if kind or b"\0" in block[:4096]:
                    raise DataError(
                        f"the input is {kind or 'binary data'}, not text",
                        where=str(self.path),
                        hint="inputs are text, as it is or packed with gzip, zip or zstd",
                    )
                block = block.removeprefix(_BOM)
            is_first = False
            yield block

    def _plain_blocks(self, file: BinaryIO) -> Iterator[bytes]:
        while block := file.read(READ_SIZE * 8):
            self.position += len(block)
            yield block

    def _said(self, file: BinaryIO, blocks: Blocks, what: str) -> Iterator[bytes]:
        """The blocks; at their end, what is wrong with them is noted."""
        while True:
            try:
                block = next(blocks)
            except StopIteration as stop:
                self.position = file.tell()
                if stop.value == TOO_EARLY:
                    self.damage.append(f"{what} {TOO_EARLY}; what stands before it was kept")
                elif stop.value:
                    self.damage.append(
                        f"{what} is broken before byte {self.position} ({stop.value}); "
                        "what stands before it was kept, the rest is lost"
                    )
                return
            self.position = file.tell()
            yield block

    def _gzip_blocks(self, file: BinaryIO) -> Iterator[bytes]:
        # A file may hold several gzip streams one after the other, as a recorder that appends leaves it.
        while not self.damage:
            yield from self._said(file, inflated(file, GZIP), f"{self.path}: the gzip data")
            if self.damage or not self._finds_gzip(file):
                return

    def _finds_gzip(self, file: BinaryIO) -> bool:
        """Go to the next stream, over zeros; False at the end."""
        while chunk := file.read(READ_SIZE):
            rest = chunk.lstrip(b"\0")
            if rest:
                file.seek(-len(rest), 1)
                if _GZIP_MAGIC.startswith(rest[:2]):
                    return True
                self.damage.append(f"{self.path}: bytes behind the end of gzip are ignored")
                break
        self.position = self.size
        return False

    def _members(self, file: BinaryIO) -> Iterator[Part]:
        found, is_whole = zipped.members(file, str(self.path))
        if not is_whole:
            self.damage.append(
                f"{self.path}: the zip file's directory is missing or broken, so it was cut off; what stands "
                "before that was kept"
            )
        for member in found:
            name = f"{self.path}/{member.name}"
            blocks = self._said(file, zipped.unpacked(file, member), f"{name}: the zip data")
            yield Part(name, self.path / member.name, self._guarded(self._text(blocks)))
        self.position = self.size


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"the input can't be read: {error.strerror or error}", where=str(path))
