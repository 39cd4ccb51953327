"""The records of a zip file of one large member, which is what an npz archive is, and of small ones behind it.

The true sizes always stand in the zip64 field, so that a record's length does not depend on them and it can be
set right once they are known. APPNOTE.TXT of PKWARE, sections 4.3 to 4.5.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Final

MEMBER: Final = b"data.npy"
_U32_MAX: Final = 0xFFFFFFFF
_DOS_DATE: Final = (1 << 5) | 1
"""1 January 1980: equal rows make equal files."""


def _method(level: int) -> int:
    return 8 if level else 0


def local_header(level: int, crc: int, packed_size: int, size: int) -> bytes:
    """What stands before the member."""
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


def small_member(name: bytes, data: bytes, at: int) -> tuple[bytes, bytes]:
    """A member that is stored as it is, at byte `at` of the file: what stands there, and its entry of the directory."""
    crc, size = zlib.crc32(data), len(data)
    sizes = (0, 0, _DOS_DATE, crc, size, size, len(name))
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, *sizes, 0)
    is_far = at >= _U32_MAX
    extra = struct.pack("<HHQ", 1, 8, at) if is_far else b""
    entry = struct.pack(
        "<IHHHHHHIIIHHHHHII",
        *(0x02014B50, 45, 45, 0),
        *sizes,
        *(len(extra), 0, 0, 0, 0o600 << 16, _U32_MAX if is_far else at),
    )
    return local + name + data, entry + name + extra


def central_directory(
    level: int, crc: int, packed_size: int, size: int, at: int, others: Sequence[bytes] = ()
) -> bytes:
    """What stands behind the members, at byte `at` of the file; `others` are the entries of the small ones."""
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
    entry += MEMBER + extra + b"".join(others)
    count = 1 + len(others)
    end64 = b""
    if is_large:
        behind = at + len(entry)
        end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, len(entry), at)
        end64 += struct.pack("<IIQI", 0x07064B50, 0, behind, 1)
    end = struct.pack(
        "<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(entry), _U32_MAX if is_large else at, 0
    )
    return entry + end64 + end
