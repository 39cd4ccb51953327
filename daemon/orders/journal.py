"""What survives the process: orders, executions and books, in an append-only file.

A file is a row of records (`files/records.py`); each is a msgpack array of rows. A row is the whole of one thing as it
is now (an order, a bot's book) or one thing that happened (an execution), so a replay takes the last row of each and
needs no order of events. Rows that belong together are one record, which is there whole or not at all: an execution is
never known without what it made of the book. Records are written before what they say is done: an order's before it is
sent.

A `write` is all that it takes to survive the process, a kill -9 included: the kernel has it then. A loss of power may
take what the disk was not told to keep (`sync`); what is lost so is learned again from the exchange.

A file that is full becomes a part (`files/parts.py`), which is never changed or deleted again. The next one begins with
a *checkpoint*, all that is known then, followed by what was written since that was begun: `Checkpoint`, rows, `Tail`,
records. So a start reads one file of bounded size, and the parts one after the other have all that happened once: each
from behind its checkpoint to where the next one's tail begins (`Checkpoint.copied_from`).

Limits: a record has at most `MAX_RECORD_BYTES`. A file is full beyond `rotate_bytes`, or twice its checkpoint.
"""

import contextlib
import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from daemon.histogram import Histogram
from daemon.orders.files import parts
from daemon.orders.files.lock import Lock
from daemon.orders.files.records import (
    HEADER,
    MAGIC,
    create,
    cut,
    find_damage,
    pack,
    payload_at,
    sync_folder,
    write_all,
)
from daemon.orders.files.rotation import DONE, TAIL_MAX, Rotation
from daemon.orders.files.rows import (
    At,
    Begin,
    BotRow,
    Checkpoint,
    Forgotten,
    Halt,
    ParametersSet,
    Refused,
    Settled,
    Steps,
    Tail,
)
from daemon.orders.files.troubles import Troubles
from daemon.orders.ids.client_ids import MAX_IDENTITY, MAX_SHORT_RUN
from daemon.orders.ids.trades import Traded
from daemon.orders.money.profit import Day, Funded, Paid, Watch
from daemon.orders.order import Order
from daemon.orders.positions import BotBook, Forced
from hftd.clock import monotonic_ns
from hftd.errors import ConfigError, DataError

ROWS_A_RECORD: Final = 100
"""Of a checkpoint: what is encoded at one go."""
ROTATE_BYTES: Final = 8 << 20
ROTATE_ORDERS: Final = 20_000
START_BYTES: Final = 1 << 20
"""A start begins a new file if more than this stands behind the checkpoint of the one that it reads."""
_NEVER: Final = 1 << 62
NICE: Final = 10
"""Of the thread that packs parts: it is in nobody's way."""

_log = structlog.get_logger("hftd.orders")


Row = (
    Begin
    | Order
    | BotBook
    | Traded
    | BotRow
    | Forced
    | Steps
    | Settled
    | Halt
    | Day
    | Watch
    | Funded
    | Paid
    | At
    | Refused
    | ParametersSet
    | Forgotten
    | Checkpoint
    | Tail
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
        number: The file's, among the parts before it.
        account: Whose it is, empty if nobody said.
        identities: The connector's numbers in its orders' ids, each with its highest run; the last one is in use.
        rotate_orders: After so many orders were closed it is full as well.
    """

    def __init__(
        self, path: Path, fd: int, lock: Lock | None, rows: list[Row], size: int, torn_bytes: int
    ) -> None:
        self.path = path
        self.rows = rows
        self.last_run = max(
            (row.run for row in rows if isinstance(row, Begin) and not row.identity), default=0
        )
        self.account = next(
            (row.account for row in reversed(rows) if isinstance(row, Begin) and row.account), ""
        )
        self.torn_bytes = torn_bytes
        self.troubles = Troubles(path, torn_bytes)
        self.size = size
        self.rotate_bytes = ROTATE_BYTES
        self.rotate_orders = ROTATE_ORDERS
        self.worker: Executor | None = None
        self.number = _number(rows)
        self._checkpoint_bytes = 0
        self._is_new = False
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._fd = fd
        self._lock = lock
        self._next: Rotation | None = None
        self._pieces: Iterator[list[Row]] = iter(())
        self._is_closing = False
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
        if self._lock is not None:
            self._lock.keep(identity, run)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        rotate_bytes: int = ROTATE_BYTES,
        rotate_orders: int = ROTATE_ORDERS,
        on_damage: Literal["refuse", "keep_beginning"] = "refuse",
        worker: Executor | None = None,
    ) -> "Journal":
        """Open or create it, and read what it holds.

        Args:
            path: The file; its folder must exist.
            rotate_bytes: Beyond this a new one is begun.
            rotate_orders: Or after so many orders were closed.
            on_damage: What to do about a file that is damaged in the middle. "keep_beginning" moves it aside to
                `<name>.damaged` and goes on with what stands before the damage.
            worker: Does what may wait for the disk; None: a thread, from when there is something to do.

        Raises:
            ConfigError: Another process writes it, or its folder can't be used.
            DataError: It is damaged in the middle, or is not a journal.
        """
        # One file has one lock, by whatever name it is opened.
        path = path.resolve()
        lock = Lock(path)
        try:
            journal = cls._open(path, lock, on_damage)
        except OSError as error:
            lock.close()
            raise ConfigError(
                f"the journal can't be written: {error.strerror}",
                where=str(path),
                hint="is its disk full, or is it another user's?",
            ) from None
        except BaseException:
            lock.close()
            raise
        journal.rotate_bytes, journal.rotate_orders, journal.worker = rotate_bytes, rotate_orders, worker
        return journal

    @classmethod
    def _open(cls, path: Path, lock: Lock, on_damage: str) -> "Journal":
        parts.tidy(path)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise ConfigError(f"the journal can't be read: {error.strerror}", where=str(path)) from None
        checkpoint_bytes = 0
        rows: list[Row] = []
        good = begin_of(data, path)
        for end, record in read_records(data, path):
            # When it was written is for those who read the journal.
            rows += record[1:] if record and isinstance(record[0], At) else record
            good = end
            if record and isinstance(record[-1], Tail):
                checkpoint_bytes = good
        _refuse_lost(path, rows)
        damage = find_damage(data, good)
        if damage:
            if on_damage == "refuse":
                raise DataError(
                    f"the journal is damaged at byte {good:,}; whole records follow from byte {damage:,} on",
                    where=str(path),
                    hint="move it and its parts away: the connector then learns its open orders, and what was executed "
                    "lately, from the exchange, and its bots' totals begin at 0; or open it with on_damage = "
                    "'keep_beginning', which keeps what stands before the damage",
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
                write_all(fd, MAGIC)
                good = len(MAGIC)
        except BaseException:
            os.close(fd)
            raise
        journal = cls(path, fd, lock, rows, good, torn_bytes)
        journal.troubles.damaged_bytes = torn_bytes if damage else 0
        journal._checkpoint_bytes, journal._is_new = checkpoint_bytes, True
        return journal

    @classmethod
    def nowhere(cls) -> "Journal":
        """One that takes everything, keeps nothing and is never full."""
        path = Path(os.devnull)
        journal = cls(path, os.open(path, os.O_WRONLY | os.O_CLOEXEC), None, [], 0, 0)
        journal.rotate_bytes = journal.rotate_orders = _NEVER
        return journal

    def take_rows(self) -> list[Row]:
        """What the file held; once."""
        rows, self.rows = self.rows, []
        return rows

    def write(self, rows: list[Row]) -> None:
        """Write rows as one record, in one call.

        Raises:
            OSError: It can't be written. The file is cut back to where it was, and takes nothing until `rewrite` has
                put everything into a new one; until then records wait in memory (`_keep`).
        """
        begin_ns = monotonic_ns()
        record = _record(rows)
        if self._is_broken:
            self._keep(record)
            return
        try:
            write_all(self._fd, record)
            if self._next is not None:
                self._next.add(record)
        except OSError:
            cut(self._fd, self.size)
            self._is_broken = True
            self._keep(record)
            raise
        self.size += len(record)
        self.writes.add(monotonic_ns() - begin_ns)

    def _keep(self, record: bytes) -> None:
        """What happens while nothing can be written: `rewrite` writes it into the next file."""
        self._kept_bytes += len(record)
        if self._kept_bytes <= TAIL_MAX:
            self._kept.append(record)
        else:
            # A part of them would bring back what had changed since: all go, and the next file says so.
            self._kept = []

    @property
    def is_broken(self) -> bool:
        """Whether a write failed, or the file was taken away; until `rewrite` a kill of the process loses records."""
        return self._is_broken

    def look(self) -> bool:
        """Whether the file is still where it was; one that was taken away is broken."""
        try:
            there = self.path.stat()
            ours = [os.fstat(fd) for fd in (self._fd, *([self._next.fd] if self._next is not None else []))]
            is_there = (there.st_dev, there.st_ino) in [(one.st_dev, one.st_ino) for one in ours]
        except OSError:
            is_there = False
        self._is_broken = self._is_broken or not is_there
        return is_there

    # --- The next file ------------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether it is time for the next one."""
        if self._is_new and self.size - self._checkpoint_bytes > min(START_BYTES, self.rotate_bytes):
            return True
        return self._is_broken or self.size > max(self.rotate_bytes, 2 * self._checkpoint_bytes)

    @property
    def is_rotating(self) -> bool:
        """Whether the next one is being made."""
        return self._next is not None

    def rotate(self, pieces: Iterator[list[Row]], now_ns: int) -> None:
        """Begin the next file, without waiting for the disk; `go_on` does the rest.

        Args:
            pieces: What is known, as `Store.checkpoint` has it. They are taken one by one, and what changes meanwhile
                is written.
            now_ns: Now, on our clock.

        Raises:
            OSError: It can't be begun; this one stays in use.
        """
        self._is_new = False
        self._renew_lock()
        if self.worker is None:
            self.worker = ThreadPoolExecutor(1, "journal", _be_nice)
        self._next = Rotation(self.path, parts.name_of(self.path, self.number, now_ns), self.worker)
        self._pieces = pieces
        self._next.fill(MAGIC + _record([Checkpoint(self.number + 1, now_ns, self.size)]))

    def go_on(self) -> None:
        """The next step of what `rotate` has begun: a piece, or a look at what the thread has done.

        Raises:
            OSError: It failed; this file stays in use.
        """
        rotation = self._next
        if rotation is None:
            return
        try:
            if rotation.is_filling:
                piece = next(self._pieces, None)
                if piece is None:
                    rotation.filled(_record([Tail()]))
                elif piece:
                    rotation.fill(_record(piece))
                return
            if rotation.go_on(self._renew_lock) == DONE:
                self._take_over(rotation)
        except OSError:
            self._next = None
            rotation.close()
            raise

    def _take_over(self, rotation: Rotation) -> None:
        """The next file has taken this one's place."""
        self._next = None
        os.close(self._fd)
        self._fd, self.size, self._checkpoint_bytes = rotation.fd, rotation.size, rotation.checkpoint_bytes
        self.number += 1
        self.troubles.not_rotated = ""
        assert self.worker is not None
        self.worker.submit(self._pack)

    def _pack(self) -> None:
        """In the thread: pack the parts that are not, those that a process which was killed left as well."""
        for part in parts.parts_of(self.path):
            try:
                if not part.is_packed and not parts.pack(part.path, lambda: not self._is_closing):
                    return
            except Exception as error:
                _log.warning("journal_part_not_packed", part=str(part.path), error=str(error))
                self.troubles.not_packed = f"{part.path}: {error}"
                return
        self.troubles.not_packed = ""

    def rewrite(self, rows: Iterable[Row], now_ns: int = 0) -> None:
        """Begin the next file at once, since this one can't be written. It blocks until the disk has it.

        Raises:
            OSError: It can't be written, or another process writes one there by now; the old file stays in use.
        """
        if (rotation := self._next) is not None:
            self._next = None
            if rotation.finish():
                self._take_over(rotation)
            else:
                rotation.close()
        self._renew_lock()
        fresh = self.path.with_name(self.path.name + parts.NEW)
        fd = create(fresh)
        try:
            left = list(rows)
            # Where it was taken away, what is there is not what the next file follows.
            copied_from = self.size if self.look() else -1
            has_lost = self._kept_bytes > TAIL_MAX
            checkpoint = MAGIC + b"".join(
                _record(some)
                for some in (
                    [Checkpoint(self.number + 1, now_ns, copied_from, has_lost)],
                    *(left[i : i + ROWS_A_RECORD] for i in range(0, len(left), ROWS_A_RECORD)),
                    [Tail()],
                )
            )
            write_all(fd, checkpoint)
            tail = b"".join(self._kept)
            write_all(fd, tail)
            os.fsync(fd)
            if self.path.exists():
                os.link(self.path, parts.name_of(self.path, self.number, now_ns))
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
        self._kept, self._kept_bytes = [], 0
        self._checkpoint_bytes = len(checkpoint)
        self.size = len(checkpoint) + len(tail)
        self.number += 1
        sync_folder(self.path.parent)
        self.troubles.not_rotated = ""

    def _renew_lock(self) -> None:
        """Lock the place again if the lock was taken away with the file: somebody else may have begun one there."""
        if self._lock is not None and self._lock.renew() and self.identities:
            self.keep(*next(reversed(self.identities.items())))

    def sync(self) -> None:
        """Have the disk keep what was written, against a loss of power; it may block for milliseconds.

        A kill of the process loses nothing even without it.
        """
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close it; again does nothing. It waits for the thread, since nothing may be renamed without the lock."""
        if self._fd < 0:
            return
        self._is_closing = True
        if (rotation := self._next) is not None:
            self._next = None
            if rotation.finish():
                self._take_over(rotation)
            else:
                rotation.close()
        if self._is_broken and self._kept:
            # The disk may take it by now; half of a record at the end is cut off by the next start.
            with contextlib.suppress(OSError):
                write_all(self._fd, b"".join(self._kept))
        if isinstance(self.worker, ThreadPoolExecutor):
            self.worker.shutdown(cancel_futures=True)
        os.close(self._fd)
        if self._lock is not None:
            self._lock.close()
        self._fd = -1


def _refuse_lost(path: Path, rows: list[Row]) -> None:
    """See that a journal is not older than its parts.

    Raises:
        DataError: The one that followed them is gone. Without it positions would be forgotten in silence.
    """
    found = parts.parts_of(path)
    if not found or _number(rows) > found[-1].number:
        return
    last = found[-1].path
    raise DataError(
        f"the journal that followed its part {last.name} is not there",
        where=str(path),
        hint="put the file back. If it is lost, put the last part in its place (a packed one: "
        f"zstd -d --rm {last.name if last.suffix == parts.PACKED else last.name + parts.PACKED} -o {path.name}): "
        "positions are as they were when it ended, and what was executed since is learned from the exchange as far "
        "back as it tells. To begin with no positions, move the parts away as well",
    )


def _number(rows: list[Row]) -> int:
    """The number of the file that begins with these rows."""
    return rows[0].number if rows and isinstance(rows[0], Checkpoint) else 1


def _be_nice() -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)


def _record(rows: Sequence[Row]) -> bytes:
    return pack(_encode(rows))


def begin_of(data: bytes, path: Path) -> int:
    """Where the records of a journal's bytes begin; 0 if not even its beginning is there.

    Raises:
        DataError: This is not a journal, or one of another version.
    """
    if data.startswith(MAGIC):
        return len(MAGIC)
    if MAGIC.startswith(data):
        return 0
    raise DataError(
        "this is not a journal of orders of this version",
        where=str(path),
        hint="is it another file? Else move it and its parts away: the connector then learns its open orders from the "
        "exchange",
    )


def read_records(data: bytes, path: Path, at: int = len(MAGIC)) -> Iterator[tuple[int, list[Row]]]:
    """The records of a journal's bytes from a place on, up to the first that is not whole: its end, and its rows.

    Raises:
        DataError: One is of another version.
    """
    while (payload := payload_at(data, at)) is not None:
        try:
            rows = _decode(payload)
        except msgspec.MsgspecError as error:
            raise DataError(
                f"the record at byte {at:,} is whole, but this version can't read it: {error}",
                where=str(path),
                hint="go on with the version that wrote it, or move the file and its parts away: then the connector "
                "learns its open orders from the exchange",
            ) from None
        at += HEADER.size + len(payload)
        yield at, rows


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: it would look through all that is read again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def read_rows(data: bytes, path: Path) -> tuple[list[Row], int]:
    """The rows of a journal's bytes, and how many bytes they and the beginning take.

    Raises:
        DataError: This is not a journal, or one of another version.
    """
    rows: list[Row] = []
    good = begin_of(data, path)
    for end, record in read_records(data, path):
        rows += record
        good = end
    return rows, good


def _kept(lock: Lock | None) -> list[tuple[int, int]]:
    """Number and run of the connector, as the lock's file keeps them."""
    found = lock.kept() if lock is not None else None
    return [found] if found is not None and 0 < found[0] <= MAX_IDENTITY and found[1] >= 0 else []
