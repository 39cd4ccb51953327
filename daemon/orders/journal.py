"""What survives the process: orders, executions and books, in an append-only file.

::

    "HFTDJNL1" | record | record | ...       record = mark | length u32 | CRC-32 u32 | msgpack array of rows

A row is the whole of one thing as it is now (an order, a bot's book) or one thing that happened (an execution), so a
replay takes the last row of each and needs no order of events. Rows that belong together are one record, which is there
whole or not at all: an execution is never known without what it made of the book. Records are written before what they
say is done: an order's before it is sent.

A `write` is all that it takes to survive the process, a kill -9 included: the kernel has it then. A loss of power may
take what the disk was not told to keep (`sync`); what is lost so is learned again from the exchange.

Limits: a record has at most `MAX_RECORD_BYTES`. A file beyond `rotate_bytes` is rewritten with what is still known, and
the one before is kept beside it as `<name>.1`; so two files of about that size are all there is.
"""

import contextlib
import errno
import fcntl
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from daemon.histogram import Histogram
from daemon.orders.ids.client_ids import MAX_IDENTITY, MAX_SHORT_RUN
from daemon.orders.money.profit import Day, Funded, Paid, Watch
from daemon.orders.order import Order
from daemon.orders.positions import BotBook, Forced, Traded
from hftd.clock import monotonic_ns
from hftd.errors import ConfigError, DataError

MAGIC: Final = b"HFTDJNL1"
MARK: Final = b"\xa7J"
HEADER: Final = struct.Struct("<2sII")
MAX_RECORD_BYTES: Final = 1 << 26
ROWS_A_RECORD: Final = 1000
"""When a file is rewritten."""
ROTATE_BYTES: Final = 64 << 20

_log = structlog.get_logger("hftd.orders")


class Begin(msgspec.Struct, array_like=True, tag="begin"):
    """A run begins, or its file is rewritten.

    Attributes:
        settled_ns: Up to then the executions of the exchange are all counted.
        account: Whose orders these are, as `Journal.claim` was told; empty if it was not.
        identity: The connector's number in its orders' ids, to which the run belongs; 0 in old journals.
    """

    prefix: str
    run: int
    settled_ns: int = 0
    account: str = ""
    identity: int = 0


class BotRow(msgspec.Struct, array_like=True, tag="bot"):
    """A bot: how its lease ends, and whether it has one.

    Attributes:
        is_ending: Its position is to be flattened.
    """

    name: str
    on_end: str = "cancel"
    pull_quotes: bool = False
    has_lease: bool = False
    is_ending: bool = False


class Steps(msgspec.Struct, array_like=True, tag="steps"):
    """In which ticks and lots an instrument's rows count, and what of the account's position is no bot's.

    Attributes:
        unsettled_ns: Executions of this one are counted only up to then; 0: up to when the account's are (`Settled`).
    """

    symbol: str
    tick_size: str
    lot_size: str
    other_lots: int = 0
    has_holding: bool = False
    unsettled_ns: int = 0


class Settled(msgspec.Struct, array_like=True, tag="settled"):
    """Up to then the executions of the exchange are all counted."""

    settled_ns: int


class Halt(msgspec.Struct, array_like=True, tag="halt"):
    """Halted for this reason; empty: nobody and nothing is any more.

    Attributes:
        bot: Who is; empty: all.
        ends: A limit was reached: the bots' end policies are applied.
    """

    reason: str
    bot: str = ""
    ends: bool = False


Row = (
    Begin | Order | BotBook | Traded | BotRow | Forced | Steps | Settled | Halt | Day | Watch | Funded | Paid
)

_decode = msgspec.msgpack.Decoder(list[Row]).decode
_encode = msgspec.msgpack.Encoder().encode


class Journal:
    """The file, open for writing by this process alone. `Journal.open` makes one.

    Attributes:
        path: The file.
        rows: What it held when it was opened; whoever restores from it takes them (`take_rows`).
        last_run: The highest run number of the old form that wrote into it, 0 if none did.
        torn_bytes: How much was cut off its end, because a last write was not completed.
        size: Of the file now, in bytes.
        account: Whose it is, empty if nobody said.
        identities: The connector's numbers in its orders' ids, each with its highest run; the last one is in use.
    """

    def __init__(self, path: Path, fd: int, lock: int, rows: list[Row], size: int, torn_bytes: int) -> None:
        self.path = path
        self.rows = rows
        self.last_run = max(
            (row.run for row in rows if isinstance(row, Begin) and not row.identity), default=0
        )
        self.account = next(
            (row.account for row in reversed(rows) if isinstance(row, Begin) and row.account), ""
        )
        self.torn_bytes = torn_bytes
        self.size = size
        self.rotate_bytes = ROTATE_BYTES
        self._fd = fd
        self._lock = lock
        self.identities: dict[int, int] = {}
        self.writes = Histogram()
        # The one that the lock's file keeps is what a journal that was moved away had.
        for identity, run in (
            *_kept(lock),
            *((row.identity, row.run) for row in rows if isinstance(row, Begin)),
        ):
            if identity:
                self.identities[identity] = max(run, self.identities.pop(identity, 0))
        self._is_broken = False

    def claim(self, account: str, *, is_same: bool = False) -> None:
        """Say whose orders and positions it holds, before they are taken over.

        Args:
            account: Something that another account does not have, such as a hash of its key.
            is_same: It is the same account even if it is named otherwise now, since its key was changed.

        Raises:
            DataError: It is another account's: its positions must not become this one's.
        """
        is_used = any(not isinstance(row, Begin) for row in self.rows)
        if self.account and self.account != account and is_used and not is_same:
            raise DataError(
                "the journal is that of another account or exchange, or of another key of this account",
                where=str(self.path),
                hint="another account (a testnet's is one), and an account at another exchange, needs another "
                "`journal`; if only the key of the same account was changed, start once with --same-account",
            )
        self.account = account

    def begin(self, fresh: int) -> tuple[int, int]:
        """The connector's number in its orders' ids, and the number of the run that begins now.

        Args:
            fresh: For a connector that has no number yet: a random one, above 0.
        """
        if not self.identities:
            self.identities[fresh] = 0
        identity, run = next(reversed(self.identities.items()))
        if run >= MAX_SHORT_RUN:
            identity, run = fresh, 0
        self.keep(identity, run + 1)
        return identity, run + 1

    def keep(self, identity: int, run: int) -> None:
        """Keep number and run beside the journal, where they are found even if that is lost."""
        self.identities[identity] = run
        # The journal itself has them, too.
        with contextlib.suppress(OSError):
            text = f"{identity:06x} {run}\n".encode()
            os.pwrite(self._lock, text, 0)
            os.ftruncate(self._lock, len(text))

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        rotate_bytes: int = ROTATE_BYTES,
        on_damage: Literal["refuse", "keep_beginning"] = "refuse",
    ) -> "Journal":
        """Open or create it, and read what it holds.

        Args:
            path: The file; its folder must exist.
            rotate_bytes: Beyond this it is rewritten.
            on_damage: What to do about a file that is damaged in the middle. "keep_beginning" moves it aside to
                `<name>.damaged` and goes on with what stands before the damage.

        Raises:
            ConfigError: Another process writes it, or its folder can't be used.
            DataError: It is damaged in the middle, or is not a journal.
        """
        # One file has one lock, by whatever name it is opened.
        path = path.resolve()
        lock = _lock(path)
        try:
            journal = cls._open(path, lock, on_damage)
        except OSError as error:
            os.close(lock)
            raise ConfigError(
                f"the journal can't be written: {error.strerror}",
                where=str(path),
                hint="is its disk full, or is it another user's?",
            ) from None
        except BaseException:
            os.close(lock)
            raise
        journal.rotate_bytes = rotate_bytes
        return journal

    @classmethod
    def _open(cls, path: Path, lock: int, on_damage: str) -> "Journal":
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise ConfigError(f"the journal can't be read: {error.strerror}", where=str(path)) from None
        rows, good = read_rows(data, path)
        damage = find_damage(data, good)
        if damage:
            if on_damage == "refuse":
                raise DataError(
                    f"the journal is damaged at byte {good:,}; whole records follow from byte {damage:,} on",
                    where=str(path),
                    hint="move it away: the connector then learns its open orders, and what was executed lately, from "
                    "the exchange, and its bots' totals begin at 0; or open it with on_damage = 'keep_beginning', "
                    "which keeps what stands before the damage",
                )
            path.with_name(path.name + ".damaged").write_bytes(data)
            _log.warning("journal_damaged", journal=str(path), kept=good, of=len(data))
        torn_bytes = len(data) - good
        if torn_bytes and not damage:
            _log.warning(
                "journal_record_incomplete",
                journal=str(path),
                bytes=torn_bytes,
            )
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, good)
            os.lseek(fd, good, os.SEEK_SET)
            if good == 0:
                _write_all(fd, MAGIC)
                good = len(MAGIC)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd, lock, rows, good, torn_bytes)

    def take_rows(self) -> list[Row]:
        """What the file held; once."""
        rows, self.rows = self.rows, []
        return rows

    def write(self, rows: list[Row]) -> None:
        """Write rows as one record, in one call.

        Raises:
            OSError: It can't be written. The file is cut back to where it was, and takes nothing until `rewrite` has
                put everything into a new one.
        """
        if self._is_broken:
            return
        begin_ns = monotonic_ns()
        record = _record(rows)
        try:
            _write_all(self._fd, record)
        except OSError:
            # Half a record would make what follows it unreadable.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)
                os.lseek(self._fd, self.size, os.SEEK_SET)
            self._is_broken = True
            raise
        self.size += len(record)
        self.writes.add(monotonic_ns() - begin_ns)

    @property
    def is_broken(self) -> bool:
        """Whether a write failed, or the file was taken away; until `rewrite` nothing is kept."""
        return self._is_broken

    def look(self) -> bool:
        """Whether the file is still where it was; one that was taken away is broken."""
        try:
            there, ours = self.path.stat(), os.fstat(self._fd)
            is_there = (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
        except OSError:
            is_there = False
        self._is_broken = self._is_broken or not is_there
        return is_there

    @property
    def is_full(self) -> bool:
        """Whether it is time to rewrite it."""
        return self._is_broken or self.size > self.rotate_bytes

    def rewrite(self, rows: Iterable[Row]) -> None:
        """Begin a new file with these rows; the old one is kept as `<name>.1`. It blocks until the disk has it.

        Raises:
            OSError: It can't be written, or another process writes one there by now; the old file stays in use.
        """
        self._keep_lock()
        fresh = self.path.with_name(self.path.name + ".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            left = list(rows)
            data = MAGIC + b"".join(
                _record(left[i : i + ROWS_A_RECORD]) for i in range(0, len(left), ROWS_A_RECORD)
            )
            _write_all(fd, data)
            os.fsync(fd)
            old = self.path.with_name(self.path.name + ".1")
            if self.path.exists():
                with contextlib.suppress(FileNotFoundError):
                    old.unlink()
                os.link(self.path, old)
            fresh.replace(self.path)
        except BaseException:
            os.close(fd)
            # On a full disk it would take the room that is wanted.
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        os.close(self._fd)
        self._fd = fd
        self._is_broken = False
        self.size = len(data)
        # What is still known may be more than a file should have; then it grows on for as much again.
        self.rotate_bytes = max(self.rotate_bytes, 2 * self.size)
        _sync_folder(self.path.parent)

    def _keep_lock(self) -> None:
        """Lock the place again if the lock was taken away with the file: somebody else may have begun one there."""
        try:
            there, ours = _lock_path(self.path).stat(), os.fstat(self._lock)
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return
        except FileNotFoundError:
            pass
        try:
            lock = _lock(self.path)
        except ConfigError as error:
            raise OSError(errno.EBUSY, error.what) from None
        os.close(self._lock)
        self._lock = lock
        if self.identities:
            self.keep(*next(reversed(self.identities.items())))

    def sync(self) -> None:
        """Have the disk keep what was written, against a loss of power; it may block for milliseconds.

        A kill of the process loses nothing even without it.
        """
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close it; again does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            os.close(self._lock)
            self._fd = -1


def _record(rows: list[Row]) -> bytes:
    payload = _encode(rows)
    return HEADER.pack(MARK, len(payload), zlib.crc32(payload)) + payload


def read_rows(data: bytes, path: Path) -> tuple[list[Row], int]:
    """The rows of a journal's bytes, and how many bytes they and the beginning take.

    Raises:
        DataError: This is not a journal, or one of another version.
    """
    if len(data) < len(MAGIC):
        if not MAGIC.startswith(data):
            raise _no_journal(path)
        return [], 0
    if not data.startswith(MAGIC):
        raise _no_journal(path)
    rows: list[Row] = []
    at = len(MAGIC)
    while True:
        payload = _payload(data, at)
        if payload is None:
            return rows, at
        try:
            rows += _decode(payload)
        except msgspec.MsgspecError as error:
            raise DataError(
                f"the record at byte {at:,} is whole, but this version can't read it: {error}",
                where=str(path),
                hint="go on with the version that wrote it, or move the file away: then the connector learns its "
                "open orders from the exchange",
            ) from None
        at += HEADER.size + len(payload)


def find_damage(data: bytes, at: int) -> int:
    """Where the next whole record stands after a broken one at `at`; 0 if none does, so that only the end is torn."""
    if at == 0 or at >= len(data):
        return 0
    at = data.find(MARK, at + 1)
    while at >= 0:
        if _payload(data, at) is not None:
            return at
        at = data.find(MARK, at + 1)
    return 0


def _payload(data: bytes, at: int) -> bytes | None:
    if at + HEADER.size > len(data):
        return None
    mark, length, crc = HEADER.unpack_from(data, at)
    start = at + HEADER.size
    if mark != MARK or length > MAX_RECORD_BYTES or start + length > len(data):
        return None
    payload = data[start : start + length]
    return payload if zlib.crc32(payload) == crc else None


def _no_journal(path: Path) -> DataError:
    return DataError(
        "this is not a journal of orders of this version",
        where=str(path),
        hint="is it another file? Else move it away: the connector then learns its open orders from the exchange",
    )


def _kept(lock: int) -> list[tuple[int, int]]:
    """Number and run of the connector, as the lock's file keeps them."""
    try:
        identity, run = os.pread(lock, 64, 0).split()
        found = int(identity, 16), int(run)
    except (OSError, ValueError):
        return []
    return [found] if 0 < found[0] <= MAX_IDENTITY and found[1] >= 0 else []


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _lock(path: Path) -> int:
    beside = _lock_path(path)
    try:
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"the journal's folder can't be used: {error.strerror}", where=str(path)) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ConfigError(
            "another process writes this journal",
            where=str(path),
            hint="a connector for this account runs already; stop it, or give this one another journal",
        ) from None
    return lock


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
