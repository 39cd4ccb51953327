"""Lines of captures to rows: blocks of text to the venue's compiled reader, rows into a buffer that grows."""

import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from hftd.clock import monotonic_ns
from hftd.errors import DataError
from hftd.jit import Kernel
from hftd.types import event_dtype
from sim.convert import state as scanning
from sim.convert.state import Scan
from sim.convert.text import TextFile

LINE_SIZE_MAX: Final = 64 << 20
"""A longer line is passed over; the longest that an exchange sends, a whole book, is below 1 MiB."""
PROGRESS_NS: Final = 100_000_000
"""Progress is told at most this often."""
_ROWS_AT_FIRST: Final = 1 << 16

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


OpenInput = Callable[[Scan, bytes, bool, Path], int]


class Venue(msgspec.Struct, frozen=True):
    """A converter.

    Attributes:
        name: What it is called.
        read_lines: Its compiled reader of lines.
        kinds: The names of its user events.
        open_input: Looks at what stands before the lines of each file, such as the header of a table: called
            with the scan, the bytes from the file's beginning, whether they are all there are, and the path;
            sets `table` of the state to 0 or more, and returns how many bytes are not for the reader, or -1
            if it must see more. Only for readers that come back with OPENING while `table` is -1.
        set_up: Called with the scan and the options before anything is read: prepares a state of the reader's own.
        check: Called with the scan, the options and the inputs when all was read; raises what makes an archive
            impossible, and returns notes for the report.
        keeps_case: Symbols are told apart by upper and lower case.
        arrange: The inputs in the order in which they are read; without it, as they are given.
        is_binary: Its inputs are no text.
    """

    name: str
    read_lines: Kernel
    kinds: Mapping[int, str]
    open_input: OpenInput | None = None
    set_up: Callable[[Scan, Any], None] | None = None
    check: Callable[[Scan, Any, str], list[str]] | None = None
    keeps_case: bool = False
    arrange: Callable[[Sequence[TextFile]], list[TextFile]] | None = None
    is_binary: bool = False


class Rows:
    """A buffer of rows that grows without copying: pages that nobody wrote to take no memory."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(
            -1, _ROWS_AT_FIRST * event_dtype.itemsize, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        )
        self.capacity = _ROWS_AT_FIRST

    def grow(self) -> None:
        """Make room for twice as many rows; they may move."""
        self.capacity *= 2
        try:
            self._memory.resize(self.capacity * event_dtype.itemsize)
        except (OSError, MemoryError):
            raise DataError(
                f"there is no memory for {self.capacity:,} rows of 64 bytes",
                hint="convert the capture in parts",
            ) from None

    @property
    def address(self) -> int:
        """Where the rows are, until the buffer grows."""
        return np.frombuffer(self._memory, np.uint8, 1).ctypes.data

    def first(self, count: int) -> np.ndarray:
        """The first rows, without a copy; the buffer can't grow while they are held."""
        return np.frombuffer(self._memory, event_dtype, count)


class Reading:
    """Lines of all inputs to rows."""

    def __init__(
        self,
        venue: Venue,
        *,
        symbol: str | None,
        mark_price: bool,
        book_ticker: bool,
        progress: Progress | None,
    ) -> None:
        self._venue = venue
        self._progress = progress
        self._told_ns = monotonic_ns()
        self._path = Path()
        self.scan = Scan()
        self.rows = Rows()
        self.snapshots: list[tuple[int, int]] = []
        self.lines = 0
        self.bytes_text = 0
        record = self.scan.record
        record["wants_mark"] = mark_price
        record["wants_ticker"] = book_ticker
        if symbol:
            self.scan.choose(symbol if venue.keeps_case else symbol.upper())

    def read(self, files: Sequence[TextFile]) -> None:
        """Read all files to their ends."""
        bytes_total = sum(file.size for file in files)
        bytes_before = 0
        with ThreadPoolExecutor(1, thread_name_prefix="unpack") as pool:
            for number, file in enumerate(files):
                self.scan.record["file"] = number
                self.scan.record["line"] = 0
                self.scan.record["table"] = -1
                self._path = file.path
                carry = b""
                is_passing_over = False
                for block in _ahead(file.blocks(), pool):
                    self.bytes_text += len(block)
                    if is_passing_over:
                        cut = block.find(b"\n") + 1
                        if not cut:
                            continue
                        block, is_passing_over = block[cut:], False
                    carry = self._block(carry + block, at_end=False)
                    if len(carry) > LINE_SIZE_MAX:
                        self._pass_over()
                        carry, is_passing_over = b"", True
                    self._tell(bytes_before + file.position, bytes_total)
                self.scan.record["is_damaged"] = bool(file.damage)
                self._block(carry, at_end=True)
                self.lines += int(self.scan.record["line"])
                bytes_before += file.size
        if self._progress is not None:
            self._progress(bytes_total, bytes_total)

    def _block(self, text: bytes, *, at_end: bool) -> bytes:
        """Read the lines of a block; returns the beginning of the line that the block cuts."""
        if not text and not at_end:
            return b""
        record = self.scan.record
        held = np.frombuffer(text or b"\0", np.uint8)
        record["text"] = held.ctypes.data
        record["size"] = len(text)
        record["at_end"] = at_end
        record["consumed"] = 0
        while True:
            record["rows"] = self.rows.address
            record["row_capacity"] = self.rows.capacity
            code = self._venue.read_lines.call(self.scan.address)
            if code == scanning.ROWS_FULL:
                self.rows.grow()
            elif code == scanning.OPENING and self._venue.open_input is not None:
                start = int(record["consumed"])
                size = self._venue.open_input(self.scan, text[start:], at_end, self._path)
                if size < 0:
                    return text[start:]
                record["consumed"] = start + size
            elif code == scanning.SNAPSHOT:
                self.snapshots.append((int(record["snapshot_row"]), int(record["row_count"])))
            else:
                return text[int(record["consumed"]) :]

    def _pass_over(self) -> None:
        record = self.scan.record
        record["line"] += 1
        record["ignored"][scanning.LENGTH] += 1
        if record["bad_count"] < scanning.PLACES_MAX:
            self.scan.bad_places[int(record["bad_count"])] = (
                record["file"],
                record["line"],
                0,
                scanning.LENGTH,
                0,
                0,
            )
        record["bad_count"] += 1

    def _tell(self, done: int, total: int) -> None:
        if self._progress is None:
            return
        now_ns = monotonic_ns()
        if now_ns - self._told_ns >= PROGRESS_NS:
            self._told_ns = now_ns
            self._progress(done, total)

    def drop_snapshots(self) -> None:
        """Take the snapshots' rows out: in a capture of several symbols they may be another's."""
        if not self.snapshots:
            return
        record = self.scan.record
        rows = self.rows.first(int(record["row_count"]))
        kept = np.ones(len(rows), bool)
        for start, stop in self.snapshots:
            kept[start:stop] = False
        left = rows[kept]
        rows[: len(left)] = left
        record["row_count"] = len(left)
        record["ignored"][scanning.LOST_SNAPSHOT] += len(self.snapshots)
        record["used"][4] = 0


def _ahead(blocks: Iterator[bytes], pool: ThreadPoolExecutor) -> Iterator[bytes]:
    """The blocks, of which the next is made in the pool meanwhile."""
    following = pool.submit(next, blocks, None)
    while (block := following.result()) is not None:
        following = pool.submit(next, blocks, None)
        yield block
