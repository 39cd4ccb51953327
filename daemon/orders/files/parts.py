"""Parts: what a journal's file was before the one that took its place. They are never changed again, and never deleted.

A part is named `<journal>.<number>-<when it ended, UTC>`, as in ``orders.journal.000012-20240808T120000Z``. Once it is
packed it has ``.zst`` behind that: a row of zstd frames, each of a piece and with a checksum, so that damage takes one
piece alone. The journal has its own number, so that none is used twice even if parts are moved away.
"""

import contextlib
import datetime
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import zstandard

from daemon.orders.files.records import create, sync_folder, write_all

PACKED: Final = ".zst"
NEW: Final = ".new"
"""The end of the names of files in the making."""
PIECE_BYTES: Final = 1 << 20
LEVEL: Final = 3
FRAME: Final = b"\x28\xb5\x2f\xfd"
"""Each frame begins with it."""
_NS: Final = 1_000_000_000
_TIME: Final = "%Y%m%dT%H%M%SZ"


class Part(NamedTuple):
    """One of them.

    Attributes:
        path: The file; packed if it ends so.
        number: They are numbered as they ended.
        ended_ns: When that was, in whole seconds.
    """

    path: Path
    number: int
    ended_ns: int

    @property
    def is_packed(self) -> bool:
        """Whether it is."""
        return self.path.name.endswith(PACKED)


def name_of(journal: Path, number: int, ended_ns: int) -> Path:
    """What a part is called before it is packed."""
    ended = datetime.datetime.fromtimestamp(max(0, ended_ns) // _NS, datetime.UTC)
    return journal.with_name(f"{journal.name}.{number:06}-{ended.strftime(_TIME)}")


def _pattern(journal: Path, end: str) -> re.Pattern[str]:
    return re.compile(re.escape(journal.name) + r"\.(\d{6,18})-(\d{8}T\d{6}Z)" + end)


def parts_of(journal: Path) -> list[Part]:
    """A journal's parts, the oldest first; of one that is there packed and unpacked, the unpacked one.

    Two of one number are both in it: there was a second journal of that name.

    What has a second name as the journal itself was never ended.
    """
    pattern = _pattern(journal, f"({re.escape(PACKED)})?")
    try:
        here = journal.stat().st_ino
    except FileNotFoundError:
        here = 0
    found: dict[tuple[int, int], Part] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(journal.parent) as entries:
        for entry in entries:
            match = pattern.fullmatch(entry.name)
            if match is None or entry.inode() == here:
                continue
            with contextlib.suppress(ValueError):
                ended = datetime.datetime.strptime(match[2], _TIME).replace(tzinfo=datetime.UTC)
                part = Part(Path(entry.path), int(match[1]), int(ended.timestamp()) * _NS)
                if part[1:] not in found or not part.is_packed:
                    found[part[1:]] = part
    return [found[one] for one in sorted(found)]


def tidy(journal: Path) -> None:
    """Take away what a process that was killed left in the making; the journal must be locked.

    Raises:
        OSError: It can't be done.
    """
    made = _pattern(journal, re.escape(PACKED + NEW))
    ended = _pattern(journal, "")
    try:
        here = journal.stat().st_ino
    except FileNotFoundError:
        here = 0
    for path in list(journal.parent.iterdir()):
        is_made = path.name == journal.name + NEW or made.fullmatch(path.name)
        # What has a second name as the journal was never ended: the next file had not taken its place.
        if is_made or (ended.fullmatch(path.name) and path.stat().st_ino == here):
            path.unlink()


def pack(part: Path, is_wanted: Callable[[], bool] = lambda: True) -> bool:
    """Pack a part that ended; whether that was done. At any moment it is there, packed or not.

    Args:
        part: The file.
        is_wanted: Asked between pieces: False gives up.

    Raises:
        OSError: It can't be written, or read; it stays as it is.
    """
    packed = part.with_name(part.name + PACKED)
    if not packed.exists():
        data = part.read_bytes()
        fresh = packed.with_name(packed.name + NEW)
        fd = create(fresh)
        try:
            packer = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
            for at in range(0, len(data), PIECE_BYTES):
                if not is_wanted():
                    fresh.unlink(missing_ok=True)
                    return False
                write_all(fd, packer.compress(data[at : at + PIECE_BYTES]))
            os.fsync(fd)
        except OSError:
            # On a full disk it would take the room that is wanted.
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        finally:
            os.close(fd)
        if b"".join(piece for _, piece in unpack(fresh.read_bytes()) if piece is not None) != data:
            raise OSError(f"what was packed of {part} reads otherwise")
        fresh.replace(packed)
        sync_folder(part.parent)
    part.unlink()
    return True


def unpack(data: bytes) -> Iterator[tuple[int, bytes | None]]:
    """The pieces of a packed part, and where each stands in the packed file; None for what can't be unpacked."""
    at = 0
    while at < len(data):
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        piece: bytes | None = None
        with contextlib.suppress(zstandard.ZstdError):
            piece = unpacker.decompress(memoryview(data)[at : at + 2 * PIECE_BYTES])
        if piece is None or not unpacker.eof:
            yield at, None
            after = data.find(FRAME, at + 1)
            at = after if after >= 0 else len(data)
            continue
        yield at, piece
        at = min(len(data), at + 2 * PIECE_BYTES) - len(unpacker.unused_data)
