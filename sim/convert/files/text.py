"""The contents of inputs, in blocks: gzip, zip, zstd or plain, unpacked as they are read, with what is broken said.

What could be unpacked before the damage is given; a capture whose recorder was killed ends like that.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from hftd.errors import DataError
from sim.convert.files import zipped, zst
from sim.convert.files.inflate import GZIP, READ_SIZE, TOO_EARLY, Blocks, inflated

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_FOREIGN: Final = {
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"7z\xbc\xaf\x27\x1c": "7-zip",
    b"PAR1": "parquet",
    b"\x93NUMPY": "a numpy array, as archives hold it",
    b"DBN": "DBN of Databento",
}


_HINTS: Final = {
    _FOREIGN[b"\x93NUMPY"]: "an archive needs no conversion: `hftd inspect` shows what is in it",
    _FOREIGN[b"DBN"]: "it is read by `hftd convert databento`",
}


class Part:
    """What is read from its beginning to its end on its own: a file, or one of those in a zip file.

    Args:
        name: What it is called in reports.
        path: The name as a path, for what depends on how a file is called.
        size: Its packed bytes, about.
        unpack: Gives its contents, once for each call; notes in this object how far it is, and what is broken.

    Attributes:
        position: How many packed bytes were read.
        damage: What was found broken, in sentences; filled while its blocks are taken.
        number: Its number among the names of a conversion.
    """

    def __init__(self, name: str, path: Path, size: int, unpack: "Callable[[Part], Iterator[bytes]]") -> None:
        self.name = name
        self.path = path
        self.size = size
        self.position = 0
        self.damage: list[str] = []
        self.number = -1
        self._unpack = unpack

    def blocks(self) -> Iterator[bytes]:
        """Its contents from the beginning, in blocks that end anywhere.

        Raises:
            DataError: It can't be read, or is of a kind that is not unpacked.
        """
        self.position = 0
        self.damage = []
        return self._unpack(self)

    def start(self, size: int) -> tuple[bytes, bool]:
        """Its first bytes, at least so many if there are so many; and whether these are all."""
        text = b""
        at_end = True
        for block in self.blocks():
            text += block
            if len(text) >= size:
                at_end = False
                break
        self.position = 0
        self.damage = []
        return text, at_end


class TextFile:
    """One input.

    Args:
        path: The file.
        is_binary: Whether the venue's files are no text.

    Attributes:
        path: The file.
        size: Its size in bytes, as it is on the disk.
    """

    def __init__(self, path: Path, *, is_binary: bool = False) -> None:
        self.path = path
        self._is_binary = is_binary
        self._parts: list[Part] | None = None
        self._damage: list[str] = []
        try:
            self.size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from None
        if not path.is_file():
            raise DataError("the input is not a file", where=str(path))

    @property
    def damage(self) -> list[str]:
        """What was found broken so far, in sentences."""
        return self._damage + [sentence for part in self._parts or () for sentence in part.damage]

    @property
    def position(self) -> int:
        """How many bytes of the file were read."""
        parts = self._parts or []
        return min(self.size, sum(part.position for part in parts))

    def parts(self) -> list[Part]:
        """What the input consists of, as the file has it.

        Raises:
            DataError: The file can't be read, or a zip file's contents can't be unpacked.
        """
        if self._parts is None:
            try:
                with self.path.open("rb") as file:
                    start = file.read(8)
                    is_zip = start.startswith(zipped.MAGIC)
                    self._parts = self._members(file) if is_zip else [self._whole(start)]
            except OSError as error:
                raise _unreadable(self.path, error) from None
        return self._parts

    def blocks(self) -> Iterator[bytes]:
        """All parts' contents, one after the other."""
        for part in self.parts():
            yield from part.blocks()

    def _whole(self, start: bytes) -> Part:
        def unpack(part: Part) -> Iterator[bytes]:
            with self.path.open("rb") as file:
                if start.startswith(_GZIP_MAGIC):
                    blocks = self._gzip_blocks(file, part)
                elif start.startswith(zst.MAGIC):
                    blocks = self._said(file, zst.unpacked(file), part, f"{self.path}: the zstd data")
                else:
                    blocks = self._plain_blocks(file, part)
                yield from self._text(blocks)

        return Part(str(self.path), self.path, self.size, lambda part: self._guarded(unpack(part)))

    def _guarded(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from blocks
        except OSError as error:
            raise _unreadable(self.path, error) from None

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
                        hint=_HINTS.get(kind, "inputs are text, as it is or packed with gzip, zip or zstd"),
                    )
                block = block.removeprefix(_BOM)
            is_first = False
            yield block

    def _plain_blocks(self, file: BinaryIO, part: Part) -> Iterator[bytes]:
        while block := file.read(READ_SIZE * 8):
            part.position += len(block)
            yield block

    def _said(self, file: BinaryIO, blocks: Blocks, part: Part, what: str, start: int = 0) -> Iterator[bytes]:
        """The blocks; at their end, what is wrong with them is noted."""
        while True:
            try:
                block = next(blocks)
            except StopIteration as stop:
                part.position = file.tell() - start
                if stop.value == TOO_EARLY:
                    part.damage.append(f"{what} {TOO_EARLY}; what stands before it was kept")
                elif stop.value:
                    part.damage.append(
                        f"{what} is broken before byte {file.tell()} ({stop.value}); "
                        "what stands before it was kept, the rest is lost"
                    )
                return
            part.position = file.tell() - start
            yield block

    def _gzip_blocks(self, file: BinaryIO, part: Part) -> Iterator[bytes]:
        # A file may hold several gzip streams one after the other, as a recorder that appends leaves it.
        while not part.damage:
            yield from self._said(file, inflated(file, GZIP), part, f"{self.path}: the gzip data")
            if part.damage or not self._finds_gzip(file, part):
                return

    def _finds_gzip(self, file: BinaryIO, part: Part) -> bool:
        """Go to the next stream, over zeros; False at the end."""
        while chunk := file.read(READ_SIZE):
            rest = chunk.lstrip(b"\0")
            if rest:
                file.seek(-len(rest), 1)
                if _GZIP_MAGIC.startswith(rest[:2]):
                    return True
                part.damage.append(f"{self.path}: bytes behind the end of gzip are ignored")
                break
        part.position = self.size
        return False

    def _members(self, file: BinaryIO) -> list[Part]:
        found, is_whole = zipped.members(file, str(self.path))
        if not is_whole:
            self._damage.append(
                f"{self.path}: the zip file's directory is missing or broken, so it was cut off; what stands "
                "before that was kept"
            )
        # What the directory and the headers take is told with the last one.
        rest = self.size - sum(max(member.packed_size, 0) for member in found[:-1])
        sizes = [max(member.packed_size, 0) for member in found[:-1]] + [max(rest, 0)]
        return [self._member(member, size) for member, size in zip(found, sizes, strict=False)]

    def _member(self, member: zipped.Member, size: int) -> Part:
        name = f"{self.path}/{member.name}"

        def unpack(part: Part) -> Iterator[bytes]:
            with self.path.open("rb") as file:
                blocks = zipped.unpacked(file, member)
                yield from self._text(self._said(file, blocks, part, f"{name}: the zip data", member.at))
            part.position = size

        return Part(name, self.path / member.name, size, lambda part: self._guarded(unpack(part)))


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"the input can't be read: {error.strerror or error}", where=str(path))
