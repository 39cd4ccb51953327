"""zstd streams, unpacked in blocks of a bounded size; one that is cut off is noticed.

The decoder takes a stream that ends too early for one that ends there, so the frames are followed here too: their
headers say how long each block is (RFC 8878, section 3.1).
"""

from io import RawIOBase
from typing import Any, BinaryIO, Final

import zstandard

from sim.convert.files.inflate import READ_SIZE, TOO_EARLY, Blocks

MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = 0x184D2A50
_OUTPUT_SIZE: Final = 128 << 10
"""That of the longest block: what stands before one that is broken is given."""
_ID_SIZES: Final = (0, 1, 2, 4)
_CONTENT_SIZES: Final = (0, 2, 4, 8)
_RAW, _RLE, _PACKED, _RESERVED = range(4)


class Frames:
    """Follows the frames of a stream whose bytes are given in any pieces.

    Attributes:
        is_whole: Whether the bytes so far end with a frame.
    """

    def __init__(self) -> None:
        self.is_whole = True
        self._held = b""
        self._skip = 0
        self._is_inside = False
        self._has_checksum = False

    def feed(self, data: bytes) -> None:
        """Go on with more bytes."""
        if self._skip >= len(data):
            self._skip -= len(data)
            self._note()
            return
        data = self._held + data[self._skip :]
        self._skip = 0
        at = 0
        while at < len(data):
            size = self._block(data, at) if self._is_inside else self._header(data, at)
            if size < 0:
                break
            at += size
        self._skip = max(0, at - len(data))
        self._held = data[at:]
        self._note()

    def _note(self) -> None:
        self.is_whole = not (self._skip or self._held or self._is_inside)

    def _header(self, data: bytes, at: int) -> int:
        """How long the frame's header is, or a frame to be skipped; -1 if it is not all there."""
        if len(data) < at + 8:
            return -1
        magic = int.from_bytes(data[at : at + 4], "little")
        if magic & ~0xF == _SKIPPABLE:
            return 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        flags = data[at + 4]
        is_single = bool(flags & 0x20)
        content = _CONTENT_SIZES[flags >> 6] or int(is_single)
        self._has_checksum = bool(flags & 4)
        self._is_inside = True
        return 5 + (not is_single) + _ID_SIZES[flags & 3] + content

    def _block(self, data: bytes, at: int) -> int:
        if len(data) < at + 3:
            return -1
        word = int.from_bytes(data[at : at + 3], "little")
        size = 3 + (1 if (word >> 1) & 3 == _RLE else word >> 3)
        if word & 1:
            self._is_inside = False
            size += 4 * self._has_checksum
        return size


class _Source(RawIOBase):
    """The file, as far as the decoder takes it."""

    def __init__(self, file: BinaryIO, frames: Frames) -> None:
        self._file = file
        self._frames = frames

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        data = self._file.read(len(view))
        self._frames.feed(data)
        view[: len(data)] = data
        return len(data)


def unpacked(file: BinaryIO) -> Blocks:
    """Unpack the frames at the file's position until its end."""
    frames = Frames()
    source: Any = _Source(file, frames)
    reader = zstandard.ZstdDecompressor().stream_reader(source, read_size=READ_SIZE, read_across_frames=True)
    try:
        while block := reader.read1(_OUTPUT_SIZE):
            yield block
    except zstandard.ZstdError as error:
        return str(error)
    return "" if frames.is_whole else TOO_EARLY
