"""The files in a zip file, unpacked in blocks; of one that was cut off, those that are there.

A zip file's directory stands at its end. Where that is missing, the files are found by the headers before each.
APPNOTE.TXT of PKWARE, section 4.3.
"""

import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec
from isal import isal_zlib

from hftd.errors import DataError
from sim.convert.files.inflate import RAW, READ_SIZE, TOO_EARLY, Blocks, inflated

MAGIC: Final = b"PK\x03\x04"
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_STORED, _DEFLATED = 0, 8
_METHODS: Final = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd", 95: "xz", 98: "PPMd"}
_ENCRYPTED, _SIZES_BEHIND = 1, 8
_U32_MAX: Final = 0xFFFFFFFF
_MEMBERS_MAX: Final = 10_000


class Member(msgspec.Struct, frozen=True):
    """A file in a zip file.

    Attributes:
        name: What it is called there.
        at: Where its packed bytes begin.
        method: How it is packed, as the format numbers it.
        packed_size: Its packed bytes; -1 where that is not known.
        crc: Its checksum; -1 where that is not known.
    """

    name: str
    at: int
    method: int
    packed_size: int
    crc: int


def members(file: BinaryIO, where: str) -> tuple[list[Member], bool]:
    """The files, without folders and what an operating system adds; and whether the directory is there.

    Raises:
        DataError: A file is encrypted or packed in another way than with deflate, or there are too many.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, EOFError):
        found, is_whole = list(_by_headers(file, where)), False
    else:
        if len(infos) > _MEMBERS_MAX:
            raise DataError(
                f"the zip file holds {len(infos):,} files, more than {_MEMBERS_MAX:,}", where=where
            )
        found = [_of_directory(file, info, where) for info in infos]
        is_whole = True
    found = [member for member in found if _is_data(member.name)]
    for member in found:
        if member.method not in (_STORED, _DEFLATED):
            method = _METHODS.get(member.method, f"method {member.method}")
            raise DataError(
                f"{member.name} in the zip file is packed with {method}, which is not supported",
                where=where,
                hint="unpack it first; a zip file's contents are stored, or packed with deflate",
            )
    return found, is_whole


def _is_data(name: str) -> bool:
    return not name.endswith("/") and not name.startswith("__MACOSX/")


def _of_directory(file: BinaryIO, info: zipfile.ZipInfo, where: str) -> Member:
    if info.flag_bits & _ENCRYPTED:
        raise _encrypted(info.filename, where)
    header = _header(file, info.header_offset)
    at = info.header_offset if header is None else header[0]
    return Member(info.filename, at, info.compress_type, info.compress_size, info.CRC)


def _header(file: BinaryIO, at: int) -> tuple[int, tuple[int, ...], bytes, bytes] | None:
    """Where the bytes behind a local header begin, its numbers, its name and its extra field."""
    file.seek(at)
    fixed = file.read(_LOCAL.size)
    if len(fixed) < _LOCAL.size or not fixed.startswith(MAGIC):
        return None
    numbers = _LOCAL.unpack(fixed)[1:]
    name, extra = file.read(numbers[-2]), file.read(numbers[-1])
    return at + _LOCAL.size + numbers[-2] + numbers[-1], numbers, name, extra


def _by_headers(file: BinaryIO, where: str) -> Iterator[Member]:
    """The files of a zip file without a directory; of the last one only a part may be there."""
    at = 0
    for _ in range(_MEMBERS_MAX):
        header = _header(file, at)
        if header is None:
            return
        behind, (_, flags, method, _, _, crc, packed_size, size, *_), name, extra = header
        if flags & _ENCRYPTED:
            raise _encrypted(name.decode("utf-8", "replace"), where)
        if packed_size == _U32_MAX or size == _U32_MAX:
            packed_size = _large_size(extra)
        is_known = not flags & _SIZES_BEHIND and packed_size >= 0
        yield Member(
            name.decode("utf-8", "replace"),
            behind,
            method,
            packed_size if is_known else -1,
            crc if is_known else -1,
        )
        if not is_known:
            return
        at = behind + packed_size


def _large_size(extra: bytes) -> int:
    """The packed size in a zip64 field."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1 and size >= 16 and at + 20 <= len(extra):
            return int(struct.unpack_from("<Q", extra, at + 12)[0])
        at += 4 + size
    return -1


def _encrypted(name: str, where: str) -> DataError:
    return DataError(f"{name} in the zip file is encrypted", where=where, hint="unpack it first")


def unpacked(file: BinaryIO, member: Member) -> Blocks:
    """Unpack a file; returns what is wrong with it."""
    file.seek(member.at)
    packed = member.method == _DEFLATED
    blocks = inflated(file, RAW) if packed else _stored(file, member.packed_size)
    crc = 0
    while True:
        try:
            block = next(blocks)
        except StopIteration as stop:
            problem = stop.value
            break
        crc = isal_zlib.crc32(block, crc)
        yield block
    if not problem and member.crc >= 0 and crc != member.crc:
        return "its checksum is wrong"
    return problem


def _stored(file: BinaryIO, size: int) -> Blocks:
    left = size if size >= 0 else 1 << 62
    while left:
        block = file.read(min(READ_SIZE, left))
        if not block:
            return TOO_EARLY
        left -= len(block)
        yield block
    return ""
