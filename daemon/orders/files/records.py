"""Records: pieces of a file of which each is there whole or not at all.

::

    "HFTDJNL1" | record | record | ...       record = mark | length u32 | CRC-32 u32 | payload
"""

import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import Final

MAGIC: Final = b"HFTDJNL1"
MARK: Final = b"\xa7J"
HEADER: Final = struct.Struct("<2sII")
MAX_RECORD_BYTES: Final = 1 << 26


def pack(payload: bytes) -> bytes:
    """A record of this."""
    return HEADER.pack(MARK, len(payload), zlib.crc32(payload)) + payload


def payload_at(data: bytes, at: int) -> bytes | None:
    """What the record holds that begins there; None if none does, or if it is not whole."""
    if at + HEADER.size > len(data):
        return None
    mark, length, crc = HEADER.unpack_from(data, at)
    start = at + HEADER.size
    if mark != MARK or length > MAX_RECORD_BYTES or start + length > len(data):
        return None
    payload = data[start : start + length]
    return payload if zlib.crc32(payload) == crc else None


def find_damage(data: bytes, at: int) -> int:
    """Where the next whole record stands after a broken one at `at`; 0 if none does, so that only the end is torn."""
    if at == 0 or at >= len(data):
        return 0
    at = data.find(MARK, at + 1)
    while at >= 0:
        if payload_at(data, at) is not None:
            return at
        at = data.find(MARK, at + 1)
    return 0


def write_all(fd: int, data: bytes) -> None:
    """Write all of it.

    Raises:
        OSError: A part may be written.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def cut(fd: int, size: int) -> None:
    """Cut a file back to where it was: half a record would make what follows it unreadable."""
    with contextlib.suppress(OSError):
        os.ftruncate(fd, size)
        os.lseek(fd, size, os.SEEK_SET)


def create(path: Path) -> int:
    """Begin a file, which only its owner may read; the descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def sync_folder(folder: Path) -> None:
    """Have the disk keep the names in a folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
