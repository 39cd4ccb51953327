"""The records of a zip file of one member, which is what an npz archive is.

The true sizes always stand in the zip64 field, so that a record's length does not depend on them and it can be
set right once they are known. APPNOTE.TXT of PKWARE, sections 4.3 to 4.5.
"""

import struct
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


def central_directory(level: int, crc: int, packed_size: int, size: int, at: int) -> bytes:
    """What stands behind the member, at byte `at` of the file."""
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
