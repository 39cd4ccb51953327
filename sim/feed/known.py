"""Which file a source is: its content's SHA-256, or what is known of a file that was hashed before.

A file that was hashed once is known again by its place on the disk and its times, so that its bytes are not read a
second time. The times of a file that was changed just before are not trusted, for a second change might not show in
them; and never those of a file whose rows stand in it as they are, for somebody may have them mapped into memory
writable, and a change through a mapping may show late in its times or never.
"""

import hashlib
import os
import re
import stat as stats
import zipfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hftd.clock import wall_ns
from sim.archive import npz

_SETTLED_NS: Final = 2_000_000_000
"""Times of files are that coarse at worst."""
_KNOWN_MAX: Final = 4096
"""So many files are known by their times."""
_HASH_BYTES: Final = 4 << 20
_NAME: Final = re.compile(r"[0-9a-f]{64}")
"""What a file is named after that is known by its times, and all that stands in it."""
_looked_at: "dict[tuple[Any, ...], Seen] | None" = None
"""What was found by `looking_once`; None where each look is one of its own."""


@dataclass(frozen=True)
class Seen:
    """A source as it was found.

    Attributes:
        path: The file.
        stat: What the system says of it.
        digest: Its SHA-256, if that is known; of a file that may be mapped it always is.
        may_be_mapped: Whether its rows stand in it as they are, so that its times tell nothing.
    """

    path: Path
    stat: os.stat_result
    digest: str | None
    may_be_mapped: bool

    @property
    def identity(self) -> str:
        """A name for the file as it is now."""
        if self.may_be_mapped and self.digest is not None:
            return self.digest
        return identity(self.stat)


def look_at(root: Path, path: Path) -> Seen:
    """Look at a source; if it may be mapped, all of it is hashed.

    Raises:
        DataError: It can't be read.
    """
    with npz.reading(str(path)):
        stat = path.stat()
    if _looked_at is None:
        return _look_at(path, root, stat)
    key = path, *_times(stat)
    if key not in _looked_at:
        _looked_at[key] = _look_at(path, root, stat)
    return _looked_at[key]


@contextmanager
def looking_once() -> Generator[None, None, None]:
    """Files are looked at once meanwhile: what runs there, in several threads too, is one question to the same data.

    Nothing else tells a file that was changed in place and had its times set back from what it was before.
    """
    global _looked_at
    before, _looked_at = _looked_at, {} if _looked_at is None else _looked_at
    try:
        yield
    finally:
        _looked_at = before


def _times(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _look_at(path: Path, root: Path, stat: os.stat_result) -> Seen:
    # Only packed files are remembered.
    digest = _recall(root, stat)
    if digest is None and _may_be_mapped(path):
        digest, stat = digest_of(path)
        return Seen(path, stat, digest, may_be_mapped=True)
    return Seen(path, stat, digest, may_be_mapped=False)


def _may_be_mapped(path: Path) -> bool:
    """Whether a file is an npy file, or an npz file that is not packed."""
    with npz.reading(str(path)), path.open("rb") as file:
        start = file.read(8)
        if start.startswith(npz.NPY_MAGIC):
            return True
        npz.check_magic(start, str(path))
        return npz.find_member(file, str(path)).compress_type == zipfile.ZIP_STORED


def digest_of(path: Path) -> tuple[str, os.stat_result]:
    """The SHA-256 of a file, and what the system says of it."""
    digest = hashlib.sha256()
    with npz.reading(str(path)), path.open("rb") as file:
        stat = os.fstat(file.fileno())
        while part := file.read(_HASH_BYTES):
            digest.update(part)
    return digest.hexdigest(), stat


def hex_of(*parts: Any) -> str:
    """A name for a few values."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def identity(stat: os.stat_result) -> str:
    """A name for a packed file as it is now."""
    # The word keeps it apart from the names of older versions, which remembered files that may be mapped too.
    return hex_of("packed", *_times(stat))


def remember(root: Path, stat: os.stat_result, digest: str) -> None:
    """Know a file again by its place and times, if these are old enough to be trusted."""
    if wall_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) < _SETTLED_NS:
        return
    with suppress(OSError):
        (root / "known" / identity(stat)).write_text(digest)


def _recall(root: Path, stat: os.stat_result) -> str | None:
    with suppress(OSError, UnicodeDecodeError):
        digest = (root / "known" / identity(stat)).read_text()
        if _NAME.fullmatch(digest):
            return digest
    return None


def prune(root: Path) -> None:
    """Forget the files that were seen first, if there are too many."""
    with suppress(OSError):
        found: list[tuple[int, str]] = []
        for one in os.scandir(root / "known"):
            stat = one.stat(follow_symlinks=False)
            # One that was torn as it was written is shorter.
            if _NAME.fullmatch(one.name) and stats.S_ISREG(stat.st_mode) and stat.st_size <= 64:
                found.append((stat.st_mtime_ns, one.path))
        for _, path in sorted(found)[: max(len(found) - _KNOWN_MAX, 0)]:
            Path(path).unlink()
