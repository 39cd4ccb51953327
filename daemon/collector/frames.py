"""Frames: pieces of a packed file that stand for themselves, so that one can be appended to a file at any time.

A file is a sequence of zstd frames (RFC 8878), or of gzip members (RFC 1952), which all readers take for one stream. A
frame is packed in memory and written as a whole. What a power failure tears is the last one: `whole_size` says where
the whole ones end, without unpacking. zstd's blocks say how long they are; a gzip member of ours has its size in an
extra field of its header, the subfield "HF".
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

import zstandard
from isal import isal_zlib

Compression = Literal["zstd", "gzip"]

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = 0x184D2A50
_GZIP_HEADER: Final = struct.Struct("<10sHBBHQ")
_GZIP_START: Final = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"
_GZIP_END: Final = struct.Struct("<II")
_PIECE: Final = 4096
_ISAL_LEVEL_MAX: Final = 3
TORN_MAX: Final = 256 << 20
"""A torn frame of more is not looked into."""


class Frame(Protocol):
    """A frame in the making."""

    def add(self, data: bytes) -> None:
        """Pack more bytes."""
        ...

    def end(self) -> bytes:
        """The whole frame."""
        ...


class _Zstd:
    def __init__(self, level: int) -> None:
        self._packer = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
        self._parts: list[bytes] = []

    def add(self, data: bytes) -> None:
        if part := self._packer.compress(data):
            self._parts.append(part)

    def end(self) -> bytes:
        self._parts.append(self._packer.flush())
        return b"".join(self._parts)


class _Gzip:
    def __init__(self, level: int) -> None:
        make: Any = isal_zlib.compressobj if level <= _ISAL_LEVEL_MAX else zlib.compressobj
        self._packer = make(level, zlib.DEFLATED, -15)
        self._parts: list[bytes] = []
        self._crc = self._size = 0

    def add(self, data: bytes) -> None:
        self._crc = isal_zlib.crc32(data, self._crc)
        self._size += len(data)
        if part := self._packer.compress(data):
            self._parts.append(part)

    def end(self) -> bytes:
        packed = b"".join([*self._parts, self._packer.flush()])
        size = _GZIP_HEADER.size + len(packed) + _GZIP_END.size
        header = _GZIP_HEADER.pack(_GZIP_START, 12, ord("H"), ord("F"), 8, size)
        return header + packed + _GZIP_END.pack(self._crc, self._size & 0xFFFFFFFF)


def new_frame(compression: Compression, level: int) -> Frame:
    """Begin a frame."""
    return _Zstd(level) if compression == "zstd" else _Gzip(level)


def suffix_of(compression: Compression) -> str:
    """How names of such files end."""
    return ".zst" if compression == "zstd" else ".gz"


def whole_size(handle: int, compression: Compression) -> tuple[int, int]:
    """Where the whole frames of a file end, and where the last of them begins (both 0 without one).

    Raises:
        ValueError: There is something else in the file.
    """
    measure = _zstd_end if compression == "zstd" else _gzip_end
    size = os.fstat(handle).st_size
    at = last = 0
    while at < size:
        end = measure(handle, at, size)
        if end < 0:
            break
        at, last = end, at
    return at, last


def _zstd_end(handle: int, start: int, size: int) -> int:
    """Where the frame at `start` ends; -1 if it is not all there."""
    head = os.pread(handle, 18, start)
    if len(head) >= 4 and int.from_bytes(head[:4], "little") & ~0xF == _SKIPPABLE:
        end = start + 8 + int.from_bytes(head[4:8], "little")
        return end if len(head) >= 8 and end <= size else -1
    if not _ZSTD_MAGIC.startswith(head[:4]) and not head.startswith(_ZSTD_MAGIC):
        raise ValueError("what is there is no zstd")
    if len(head) < 6:
        return -1
    flags = head[4]
    is_single = bool(flags & 0x20)
    at = start + 5 + (not is_single) + (0, 1, 2, 4)[flags & 3] + ((0, 2, 4, 8)[flags >> 6] or int(is_single))
    while at + 3 <= size:
        word = int.from_bytes(os.pread(handle, 3, at), "little")
        at += 3 + (1 if (word >> 1) & 3 == 1 else word >> 3)
        if word & 1:
            at += 4 * bool(flags & 4)
            return at if at <= size else -1
    return -1


def _gzip_end(handle: int, start: int, size: int) -> int:
    head = os.pread(handle, _GZIP_HEADER.size, start)
    if len(head) < _GZIP_HEADER.size:
        if not _GZIP_START.startswith(head[:10]) and not head.startswith(_GZIP_START):
            raise ValueError("what is there is no gzip of a collector")
        return -1
    begin, _, first, second, _, length = _GZIP_HEADER.unpack(head)
    if begin != _GZIP_START or (first, second) != (ord("H"), ord("F")):
        raise ValueError("what is there is no gzip of a collector")
    return start + length if start + length <= size else -1


def unpack(data: bytes, compression: Compression) -> bytes:
    """What a frame holds; of one that is torn, as much as can be unpacked."""
    if compression == "zstd":
        return _by_pieces(zstandard.ZstdDecompressor().decompressobj().decompress, data, zstandard.ZstdError)
    return _by_pieces(zlib.decompressobj(31).decompress, data, zlib.error)


def _by_pieces(decompress: Callable[[bytes], bytes], data: bytes, error: type[Exception]) -> bytes:
    found = bytearray()
    with contextlib.suppress(error):
        for at in range(0, len(data), _PIECE):
            found += decompress(data[at : at + _PIECE])
    return bytes(found)
