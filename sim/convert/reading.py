"""Inputs to rows: blocks of text to the venue's compiled reader, and its rows on to where they are put in order.

Three threads take turns over little memory: one unpacks the next block, one reads the lines of a block, and one
sorts the rows of the chunk before. All of them work without the GIL for most of their time.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from hftd.clock import monotonic_ns
from hftd.errors import DataError
from hftd.rows import ROW_BYTES
from hftd.types import event_dtype
from sim.convert.files.arrange import Placed, arranged, line_start
from sim.convert.files.lines import Lines, OutOfOrder, SortedRuns, Source, merged
from sim.convert.files.text import Part, TextFile
from sim.convert.reader import state as scanning
from sim.convert.reader.state import Scan
from sim.convert.reader.venue import Venue
from sim.convert.rows.again import TradeIds
from sim.convert.rows.crossed import PriceScale
from sim.convert.rows.order import Ordering
from sim.convert.rows.survey import mark_rows

LINE_SIZE_MAX: Final = 8 << 20
"""A longer line is passed over; the longest that an exchange sends, a whole book, is below 1 MiB."""
CHUNK_ROWS: Final = 1 << 17
"""So many rows are sorted at once; a reader's buffer holds more only where a line has more."""
PROGRESS_NS: Final = 100_000_000
"""Progress is told at most this often."""

_MERGED: Final = -1
"""The number of the file while lines of several are read as one."""

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


class Reading:
    """Lines of all inputs to rows.

    Args:
        venue: The converter.
        ordering: Takes the rows.
        symbol: The symbol to take from a capture of several.
        mark_price: Take mark prices.
        book_ticker: Take best bids and offers.
        output: What must wait on the disk waits beside this file.
        sorts: Put the lines of captures in the order of their local times first.
        progress: Called with the bytes read and all bytes.

    Attributes:
        scan: The reader's state.
        scale: The ticks of the prices.
        ids: The ids of trades.
        notes: What is to be said of the inputs.
        names: What was read, by the number that places have.
        keeps_case: Whether symbols are told apart by upper and lower case.
        snapshots: How many snapshots there were that do not name their symbol.
        lines: Lines read.
        bytes_text: Bytes of text.
    """

    def __init__(
        self,
        venue: Venue,
        ordering: Ordering,
        *,
        symbol: str | None,
        mark_price: bool,
        book_ticker: bool,
        progress: Progress | None,
        output: Path = Path(),
        sorts: bool | None = None,
    ) -> None:
        self._venue = venue
        self._sorts = sorts
        self._runs = SortedRuns(output)
        self.ids = TradeIds(output)
        self.notes: list[str] = []
        self._ordering = ordering
        self._progress = progress
        self._told_ns = monotonic_ns()
        self._path = Path()
        self._rows = np.empty(CHUNK_ROWS, event_dtype)
        self._other_rows = np.empty(CHUNK_ROWS, event_dtype)
        self._sorting: Future[None] | None = None
        self.scan = Scan()
        self.scale = PriceScale()
        self.names: list[str] = []
        self.snapshots = 0
        self.lines = 0
        self.bytes_text = 0
        record = self.scan.record
        record["back_ns"] = venue.back_ns
        record["wants_mark"] = mark_price
        record["wants_ticker"] = book_ticker
        if symbol:
            self.scan.choose(symbol if venue.keeps_case else symbol.upper())

    def read(self, files: Sequence[TextFile]) -> None:
        """Read all files to their ends, in the order of their times.

        Raises:
            OutOfOrder: The lines of a capture are not in the order of their times, and must be sorted.
        """
        look = self._venue.look or partial(line_start, self._venue.name)
        parts = [part for file in files for part in file.parts()]
        placed, self.notes = arranged(parts, look, as_given=self._sorts is None)
        for each in placed:
            each.part.number = len(self.names)
            self.names.append(each.part.name)
        bytes_total = sum(file.size for file in files)
        is_merged = self._venue.look is None and self._venue.open_input is None
        with (
            ThreadPoolExecutor(1, thread_name_prefix="unpack") as self._unpacking,
            ThreadPoolExecutor(1, thread_name_prefix="sort") as self._pool,
        ):
            is_plain = not is_merged or self._sorts is None or (len(placed) == 1 and not self._sorts)
            for _ in self._one_by_one(placed) if is_plain else self._as_one(placed):
                self._tell(files, bytes_total)
            self._drain()
            self._wait()
        if self._progress is not None:
            self._progress(bytes_total, bytes_total)

    def close(self) -> None:
        """Give back what waits on the disk."""
        self._runs.close()
        self.ids.close()

    def _one_by_one(self, placed: Sequence[Placed]) -> Iterator[None]:
        """Read parts one after the other, and come back after each block."""
        record = self.scan.record
        for each in placed:
            if each.start.is_book and self._sorts is not None and record["book_ts"] > each.start.first_ts:
                raise DataError(
                    "the file begins before the end of another one with the same book",
                    where=each.part.name,
                    hint="a book can be followed in one file at a time: give each day once",
                )
            yield from self._part(each.part)
            if self._sorts is False and record["lines_back"]:
                raise OutOfOrder

    def _as_one(self, placed: Sequence[Placed]) -> Iterator[None]:
        """Read lines of all parts in the order of their times, and come back after each block."""
        sources: list[Source] = []
        for each in placed:
            if self._sorts:
                sources += self._runs.sources(self._lines_of(each.part), self._venue.back_ns)
            else:
                sources.append((each.start.first_ts, lambda part=each.part: self._lines_of(part)))
        sources.sort(key=lambda source: source[0])
        record = self.scan.record
        for lines in merged(sources, self._venue.back_ns):
            record["file"], record["line"] = _MERGED, 0
            first = int(record["gap_count"] + record["repeat_count"]), int(record["bad_count"])
            if lines.is_cut:
                number = int(lines.numbers[0, 0])
                record["is_damaged"] = any(each.part.damage for each in placed if each.part.number == number)
            self._block(lines.text, at_end=lines.is_cut)
            self.lines += int(record["line"])
            for places, start in ((self.scan.gap_places, first[0]), (self.scan.bad_places, first[1])):
                for place in places[start:]:
                    if place["file"] == _MERGED:
                        place["file"], place["line"] = lines.numbers[place["line"] - 1]
            yield

    def _lines_of(self, part: Part) -> Iterator[Lines]:
        """The whole lines of a part, in blocks; the last one may have no newline."""
        carry = b""
        number = 1
        is_passing_over = False
        for block in _ahead(part.blocks(), self._unpacking):
            self.bytes_text += len(block)
            if is_passing_over:
                cut = block.find(b"\n") + 1
                if not cut:
                    continue
                block, is_passing_over = block[cut:], False
            end = block.rfind(b"\n") + 1
            if end:
                text = carry + block[:end]
                carry = block[end:]
                yield _numbered(text, part.number, number)
                number += text.count(b"\n")
            else:
                carry += block
            if len(carry) > LINE_SIZE_MAX:
                self._pass_over(part.number, number)
                self.lines += 1
                number += 1
                carry, is_passing_over = b"", True
        if carry:
            yield Lines(carry, np.array([[part.number, number]]), is_cut=True)

    def _part(self, part: Part) -> Iterator[None]:
        """Read a part of an input, and come back after each block."""
        record = self.scan.record
        record["file"] = part.number
        record["line"] = 0
        record["table"] = -1
        self._path = part.path
        carry = b""
        is_passing_over = False
        bytes_before = self.bytes_text
        for block in _ahead(part.blocks(), self._unpacking):
            self.bytes_text += len(block)
            if is_passing_over:
                cut = block.find(b"\n") + 1
                if not cut:
                    continue
                block, is_passing_over = block[cut:], False
            carry = self._block(carry + block, at_end=False)
            if len(carry) > LINE_SIZE_MAX:
                record["line"] += 1
                self._pass_over(part.number, int(record["line"]))
                carry, is_passing_over = b"", True
            yield
        record["is_damaged"] = bool(part.damage)
        if self.bytes_text > bytes_before:
            self._block(carry, at_end=True)
        self.lines += int(record["line"])

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
            record["rows"] = self._rows.ctypes.data
            record["row_capacity"] = len(self._rows)
            code = self._venue.read_lines.call(self.scan.address)
            if code == scanning.ROWS_FULL:
                self._make_room()
            elif code == scanning.OPENING and self._venue.open_input is not None:
                start = int(record["consumed"])
                size = self._venue.open_input(self.scan, text[start:], at_end, self._path)
                if size < 0:
                    return text[start:]
                record["consumed"] = start + size
            elif code == scanning.SNAPSHOT:
                self.snapshots += 1
                first = int(record["snapshot_row"])
                at = self._rows.ctypes.data + first * ROW_BYTES
                mark_rows.call(at, int(record["row_count"]) - first)
            else:
                return text[int(record["consumed"]) :]

    def _make_room(self) -> None:
        if int(self.scan.record["row_count"]):
            self._drain()
            return
        # One line that has more rows than a chunk.
        try:
            self._rows = np.empty(2 * len(self._rows), event_dtype)
        except MemoryError:
            raise DataError(f"there is no memory for {2 * len(self._rows):,} rows of one line") from None

    def _drain(self) -> None:
        """Give the rows away to be sorted, and go on with the other buffer."""
        record = self.scan.record
        count = int(record["row_count"])
        self._wait()
        self._sorting = self._pool.submit(self._take, self._rows[:count])
        self._rows, self._other_rows = self._other_rows, self._rows
        record["row_count"] = 0
        record["row_mark"] = 0

    def _take(self, rows: np.ndarray) -> None:
        self.scale.add(rows)
        self.ids.take(rows)
        self._ordering.add(rows)

    def _wait(self) -> None:
        if self._sorting is not None:
            self._sorting.result()

    def _pass_over(self, file: int, line: int) -> None:
        record = self.scan.record
        record["ignored"][scanning.LENGTH] += 1
        if record["bad_count"] < scanning.PLACES_MAX:
            self.scan.bad_places[int(record["bad_count"])] = (file, line, 0, scanning.LENGTH, 0, 0)
        record["bad_count"] += 1

    def _tell(self, files: Sequence[TextFile], total: int) -> None:
        if self._progress is None:
            return
        now_ns = monotonic_ns()
        if now_ns - self._told_ns >= PROGRESS_NS:
            self._told_ns = now_ns
            self._progress(sum(file.position for file in files), total)

    def leave_snapshots_out(self) -> None:
        """Count the snapshots that do not name their symbol as lost: in a capture of several they may be another's."""
        record = self.scan.record
        record["ignored"][scanning.LOST_SNAPSHOT] += self.snapshots
        record["used"][4] -= self.snapshots


def _numbered(text: bytes, part: int, first: int) -> Lines:
    numbers = np.empty((text.count(b"\n"), 2), np.int64)
    numbers[:, 0] = part
    numbers[:, 1] = np.arange(first, first + len(numbers))
    return Lines(text, numbers)


def _ahead(blocks: Iterator[bytes], pool: ThreadPoolExecutor) -> Iterator[bytes]:
    """The blocks, of which the next is made in the pool meanwhile."""
    following = pool.submit(next, blocks, None)
    while (block := following.result()) is not None:
        following = pool.submit(next, blocks, None)
        yield block
