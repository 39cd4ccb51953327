"""The folder of prepared archives: which there are, of which source, and how much room they may take.

A source is known by its content: the name of an entry holds the SHA-256 of the file it was made from.
"""

import fcntl
import math
import os
import re
import shutil
import stat as stats
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from isal import isal_zlib

from hftd.compiled.jit import cache_dir, source_hash
from hftd.errors import DataError, UsageError
from sim.feed import known, layout
from sim.feed.known import Seen, digest_of, hex_of, remember
from sim.feed.layout import (
    COMPLETE,
    HEADER_BYTES,
    KEEP_ALL,
    KEEP_SOME,
    MAGIC,
    RECORD_BYTES,
    VERSION,
    block_dtype,
    header_dtype,
)
from sim.feed.make import Wanted

MAX_BYTES: Final = 64 << 30
"""The entries together, and a quarter of the disk, unless `$HFTD_PREPARED_MAX_GB` says otherwise."""
_MOST_GB: Final = 1 << 30
"""No disk is larger."""
# The code's hash is missing in names of the first version.
_ENTRY: Final = re.compile(
    r"([0-9a-f]{1,16})-([0-9a-f]{64})-([0-9a-f]{16})(?:-([0-9a-f]{16}))?\.v([0-9]{1,6})"
)
_PART: Final = re.compile(r"[0-9a-f]{64}-[0-9a-f]{16}(?:-[0-9a-f]{16})?\.v[0-9]{1,6}\.part")
_READING: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
OTHER_CODE: Final = "other code"
"""The use of what another state of the sources made, of hftd or of what compiles it."""
_KEEPS: Final = {KEEP_SOME: "backtest", KEEP_ALL: "backtest, replay"}


@dataclass(frozen=True)
class Entry:
    """A prepared archive in the cache.

    Attributes:
        path: Its file.
        source: The file that it was made from, where that was then.
        tick_size: Of the asset.
        lot_size: Of the asset.
        by_order: Whether it is of a market of single orders.
        use: For what: "backtest", or "backtest, replay"; `OTHER_CODE` if this code does not read it.
        rows: Those of the source.
        size_bytes: On the disk.
        used_ns: When a run last opened it.
    """

    path: Path
    source: str
    tick_size: float
    lot_size: float
    by_order: bool
    use: str
    rows: int
    size_bytes: int
    used_ns: int


def folder() -> Path:
    """Where prepared archives are: `$HFTD_PREPARED_DIR`, else `prepared` beside the compiled code.

    Raises:
        OSError: It can't be made.
    """
    named = os.environ.get("HFTD_PREPARED_DIR")
    path = Path(named) if named else cache_dir() / "prepared"
    (path / "known").mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def max_bytes() -> int:
    """How much room the entries may take together.

    Raises:
        UsageError: `$HFTD_PREPARED_MAX_GB` is not a number.
    """
    asked = asked_bytes()
    return min(MAX_BYTES, shutil.disk_usage(folder()).total // 4) if asked is None else asked


def asked_bytes() -> int | None:
    """What `$HFTD_PREPARED_MAX_GB` says; None if it is not set, or empty.

    Raises:
        UsageError: The text is not a number.
    """
    text = os.environ.get("HFTD_PREPARED_MAX_GB", "").strip()
    if not text:
        return None
    with suppress(ValueError):
        size_gb = float(text)
        if 0 <= size_gb < math.inf:
            return int(min(size_gb, _MOST_GB) * (1 << 30))
    raise UsageError(
        f"$HFTD_PREPARED_MAX_GB is {text!r}",
        hint="it must be a number of gigabytes without a unit, such as 64 or 0.5; or leave it unset",
    )


def purpose(wanted: Wanted) -> str:
    """A name for what an entry depends on besides its source."""
    tick, lot = float(wanted.tick_size).hex(), float(wanted.lot_size).hex()
    return hex_of(layout.BLOCK_ROWS, tick, lot, wanted.by_order, wanted.keep)[:16]


def code() -> str:
    """A name for the code that makes entries: all sources that take part in it, and the tools that compile them.

    What other code made is never read, and goes as what was not used for long.
    """
    return source_hash("sim.feed.writer")


def entry_path(root: Path, size: int, digest: str, wanted: Wanted) -> Path:
    """The file of an entry."""
    return root / f"{size:x}-{digest}-{purpose(wanted)}-{code()}.v{VERSION}"


def part_path(root: Path, seen: Seen, wanted: Wanted) -> Path:
    """The file of an entry that is being made."""
    return root / f"{seen.identity}-{purpose(wanted)}-{code()}.v{VERSION}.part"


def suitable(wanted: Wanted) -> list[Wanted]:
    """The entries that will do, the best first."""
    return list(dict.fromkeys([wanted._replace(keep=KEEP_ALL), wanted]))


def find(root: Path, seen: Seen, wanted: Wanted) -> Path | None:
    """The complete entry of a source that will do, if there is one.

    A source whose hash is not known is hashed only if there is an entry of a file just as large.

    Raises:
        DataError: The source can't be read.
    """
    digest, stat = seen.digest, seen.stat
    if digest is None:
        uses = [purpose(one) for one in suitable(wanted)]
        candidates = [
            name
            for name in _listed(root)
            if (match := _ENTRY.fullmatch(name))
            and match[1] == f"{stat.st_size:x}"
            and match[3] in uses
            and match[4] == code()
        ]
        if not candidates:
            return None
        digest, stat = digest_of(seen.path)
        remember(root, stat, digest)
    for one in suitable(wanted):
        entry = entry_path(root, stat.st_size, digest, one)
        if _is_ours(entry):
            return entry
    return None


def _listed(root: Path) -> list[str]:
    """The entries and parts, of all versions. The folder may be one in which a user has other files."""
    return [name for name, is_ours in _sorted_out(root) if is_ours]


def _sorted_out(root: Path) -> list[tuple[str, bool]]:
    """All names in the folder, and whether they are of entries and parts. What is not is never touched."""
    found: list[tuple[str, bool]] = []
    with suppress(OSError), os.scandir(root) as listing:
        found += ((one.name, _is_named(one.name) and one.is_file(follow_symlinks=False)) for one in listing)
    return sorted(found)


def _is_named(name: str) -> bool:
    return bool(_ENTRY.fullmatch(name) or _PART.fullmatch(name))


def _is_ours(path: Path) -> bool:
    try:
        return _is_named(path.name) and stats.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def foreign_files() -> list[str]:
    """What else stands in the folder: none of it is ever touched."""
    return [name for name, is_ours in _sorted_out(folder()) if not is_ours and name != "known"]


class NotWholeError(Exception):
    """A file is not a complete prepared archive."""


def read_header(handle: int) -> Any:
    """The header of a prepared archive.

    Raises:
        NotWholeError: It is another kind of file, or of another version.
    """
    raw = os.pread(handle, header_dtype.itemsize, 0)
    if len(raw) < header_dtype.itemsize:
        raise NotWholeError("it is too short")
    header = np.frombuffer(raw, header_dtype)[0]
    if header["magic"] != MAGIC or header["version"] != VERSION:
        raise NotWholeError("it is of another version, or something else")
    if header["crc"] != header_crc(raw):
        raise NotWholeError("the header's checksum is wrong")
    return header


def header_crc(raw: bytes) -> int:
    """The checksum of a header, which stands in its last word."""
    return isal_zlib.crc32(raw[: header_dtype.itemsize - 8])


def record_crc(record: Any) -> int:
    """The checksum of a block's record, which stands in its last word."""
    return isal_zlib.crc32(record.tobytes()[: block_dtype.itemsize - 8])


def read_table(handle: int, header: Any) -> Any:
    """The records of a complete file's blocks.

    Raises:
        NotWholeError: The file is not complete, was cut off or changed.
    """
    if header["state"] != COMPLETE:
        raise NotWholeError("it is not complete")
    size = int(header["published"]) * block_dtype.itemsize
    at = int(header["table_at"])
    if at < HEADER_BYTES or size <= 0 or os.fstat(handle).st_size != at + size:
        raise NotWholeError("its size is wrong")
    raw = os.pread(handle, size, at)
    if len(raw) != size or isal_zlib.crc32(raw) != header["table_crc"]:
        raise NotWholeError("the table's checksum is wrong")
    return np.frombuffer(raw, block_dtype)


def entries() -> list[Entry]:
    """The complete entries, the last used first."""
    root = folder()
    return _entries_of(root, _listed(root))


def _entries_of(root: Path, names: list[str]) -> list[Entry]:
    found: list[Entry] = []
    for name in names:
        match = _ENTRY.fullmatch(name)
        if match is None or match[5] != str(VERSION):
            continue
        with suppress(OSError, NotWholeError):
            handle = os.open(root / name, _READING)
            try:
                header, stat = read_header(handle), os.fstat(handle)
            finally:
                os.close(handle)
            found.append(
                Entry(
                    path=root / name,
                    source=bytes(header["path"]).rstrip(b"\0").decode(errors="replace"),
                    tick_size=float(header["tick_size"]),
                    lot_size=float(header["lot_size"]),
                    by_order=bool(header["by_order"]),
                    use=_KEEPS.get(int(header["keep"]), "?") if match[4] == code() else OTHER_CODE,
                    rows=int(header["count"]),
                    size_bytes=stat.st_size,
                    used_ns=stat.st_mtime_ns,
                )
            )
    return sorted(found, key=lambda entry: -entry.used_ns)


def discard(path: Path) -> None:
    """Take an entry or a part out of the cache; who reads it reads on. Nothing else is taken away."""
    if _is_ours(path):
        with suppress(OSError):
            path.unlink()


def check(path: Path) -> str:
    """Read all of an entry. Returns what is wrong with it, empty if nothing is."""
    try:
        handle = os.open(path, _READING)
    except OSError as error:
        return f"it can't be read: {error.strerror or error}"
    try:
        for number, record in enumerate(read_table(handle, read_header(handle))):
            raw = os.pread(handle, int(record["size"]), int(record["offset"]))
            if len(raw) != record["size"] or raw[: block_dtype.itemsize] != record.tobytes():
                return f"block {number} is not what the table says"
            if isal_zlib.crc32(raw[RECORD_BYTES:]) != record["crc"]:
                return f"the checksum of block {number} is wrong"
    except NotWholeError as error:
        return str(error)
    except OSError as error:
        return f"it can't be read: {error.strerror or error}"
    finally:
        os.close(handle)
    return ""


@dataclass(frozen=True)
class Pruned:
    """What was taken out of the cache.

    Attributes:
        files: How many.
        size_bytes: What they took.
    """

    files: int
    size_bytes: int


def prune(limit_bytes: int | None = None, keep: Path | None = None) -> Pruned:
    """Take out what is of no use any more, then the least recently used, until the rest takes no more than a limit.

    Files that are in use go on being read; their room gets free when that ends. Only regular files with the names of
    entries and parts are taken out, whatever else stands in the folder.

    Args:
        limit_bytes: For all entries together; None for the default.
        keep: An entry that was just made, which stays, and so do those of other code as long as there is room: another
            installation may use them. Without it they are of no use.

    Raises:
        UsageError: The default is not a number.
    """
    limit_bytes = max_bytes() if limit_bytes is None else limit_bytes
    root = folder()
    listed = _listed(root)
    whole = [entry for entry in _entries_of(root, listed) if keep is not None or entry.use != OTHER_CODE]
    names = {entry.path.name for entry in whole}
    gone: list[Path] = []
    size_bytes = 0

    def drop(path: Path, size: int) -> None:
        nonlocal size_bytes
        discard(path)
        gone.append(path)
        size_bytes += size

    for name in listed:
        if name not in names and not _is_under_way(root / name):
            with suppress(OSError):
                drop(root / name, (root / name).stat().st_size)
    total = 0
    for entry in whole:
        total += entry.size_bytes
        if total > limit_bytes and entry.path != keep:
            drop(entry.path, entry.size_bytes)
            total -= entry.size_bytes
    known.prune(root)
    return Pruned(len(gone), size_bytes)


def _is_under_way(path: Path) -> bool:
    """Whether a process is making it."""
    try:
        handle = os.open(path, _READING)
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def require_folder() -> Path:
    """As `folder`, for commands.

    Raises:
        DataError: It can't be made.
    """
    try:
        return folder()
    except OSError as error:
        raise DataError(
            f"the cache's folder can't be made: {error.strerror or error}",
            where=os.environ.get("HFTD_PREPARED_DIR", str(cache_dir())),
            hint="set $HFTD_PREPARED_DIR to a folder that you may write",
        ) from None
