"""An asset's files, in their order, on their way into the streams of its two sides."""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.compiled.arena import Arena
from hftd.compiled.layout import book_dtype
from hftd.errors import DataError
from hftd.hbt.local import fill_book
from hftd.rows import ROW_BYTES, TS_MAX
from hftd.types import INVALID_MIN, LOCAL_EVENT, event_dtype
from sim.archive import EventReader, read_events
from sim.feed import cache, layout, prepare
from sim.feed.asset import AssetModel, as_rows
from sim.feed.blocks import take_block
from sim.feed.checks import check_first_rows, late_row_error
from sim.feed.columns import Prepared, kinds_of, row_error, set_buffers, wrong_row
from sim.feed.layout import KEEP_ALL, KEEP_SOME, Facts
from sim.feed.make import Wanted
from sim.feed.source import Ahead, Source
from sim.feed.sources import Block, Unpacked
from sim.fuse import ArchiveFuser
from sim.model.layout import PREPARE_NO_TIME, PREPARE_UNSORTED, stream_dtype

_HEAD_ROWS = 1024
"""Looked at when a backtest is made: of a file that is wrong altogether, the first rows are."""


def load_rows(source: Any) -> NDArray[Any]:
    """All rows of a file or an array at once."""
    if isinstance(source, Prepared):
        return source.rows
    if isinstance(source, np.ndarray):
        return as_rows(source, event_dtype, "the data")
    return read_events(Path(source))


class Feed:
    """One asset's data.

    Args:
        asset_no: The asset's number.
        model: Its description.
        streams: The records of its streams, the exchange's side and the local one.
        addresses: Where they stand.
        wants_rows: Whether the local side reads rows, not columns: in a replay.
        warnings: Where warnings go.
    """

    def __init__(
        self,
        asset_no: int,
        model: AssetModel,
        streams: list[Any],
        addresses: list[int],
        *,
        wants_rows: bool,
        warnings: list[str],
    ) -> None:
        self.asset_no = asset_no
        self.model = model
        self.on_block_over: Callable[[], None] | None = None
        """Called before rows that can't be read again are let go."""
        self.on_file_over: Callable[[], None] | None = None
        """Called before the rows of a file that was published to its end are let go."""
        self.file_rows: dict[int, int] = {}
        """How many rows the files have that were opened."""
        self._streams = streams
        self._addresses = addresses
        self._wants_rows = wants_rows
        self._warnings = warnings
        keep = KEEP_ALL if wants_rows or model.by_order else KEEP_SOME
        self._wanted = Wanted(model.tick_size, model.lot_size, model.by_order, keep)
        self._arrays: dict[int, NDArray[Any]] = {}
        self._sources: dict[int, Source | Unpacked] = {}
        self._ahead: tuple[int, Ahead] | None = None
        self._checked: set[int] = set()
        self._blocks: list[Block | None] = [None, None]
        self._block_nos = [-1, -1]
        self._whole = _WholeFuser(model) if model.fuse_bbo else None
        self._fusers: list[ArchiveFuser | None] = [None, None]
        # An array may stand between files whose rows are fused with it: then all go through the same hands.
        has_files = any(isinstance(one, (str, Path)) for one in model.data)
        self._fuses_files = model.fuse_bbo and has_files
        if has_files:
            # A wrong limit is said now, not when the first file was prepared.
            cache.asked_bytes()

    def check_heads(self) -> None:
        """Look at the first rows of all files, before anything happens.

        Raises:
            HftdError: A file can't be read, is empty or holds something else, or one of its first rows is wrong.
        """
        arena = Arena()
        books = arena.records(book_dtype, 1)
        fill_book(books[0], self.model.spec(), arena)
        streams = arena.records(stream_dtype, 2)
        for is_local, stream in enumerate(streams):
            stream["book"] = books.ctypes.data
            stream["is_local"] = is_local
            stream["offset_ns"] = self.model.feed_offset_ns
            stream["kinds"] = kinds_of(by_order=self.model.by_order, is_local=is_local == 1)
            stream["last_ts"] = INVALID_MIN
            set_buffers(stream, arena, _HEAD_ROWS)
        for file_no, source in enumerate(self.model.data):
            if isinstance(source, Prepared):
                continue
            if isinstance(source, np.ndarray):
                rows = source[:_HEAD_ROWS]
            else:
                with EventReader(source) as reader:
                    rows = reader.head(_HEAD_ROWS)
            if not len(rows):
                raise DataError("there are no rows", where=self.where(file_no))
            self._check_offset(file_no, rows)
            for is_local, stream in enumerate(streams):
                stream["row"] = rows.ctypes.data
                stream["rows_end"] = rows.ctypes.data + rows.nbytes
                prepare.prepare.call(streams.ctypes.data + is_local * stream_dtype.itemsize)
                if stream["error"]:
                    raise row_error(stream, rows, self.where(file_no))

    # What the engine asks.

    def next(self, is_local: int) -> bool:
        """Give a side its next rows. Returns whether there are any.

        Raises:
            HftdError: They can't be read, or are wrong.
        """
        stream = self._streams[is_local]
        if self._blocks[is_local] is not None:
            # What it points to will be gone in a moment.
            stream["segment"] = stream["segments_end"] = 0
        file_no = int(stream["file_no"])
        if self._take_block(stream, is_local, file_no):
            return True
        if is_local and 0 <= file_no < len(self.model.data) - 1 and self.on_file_over is not None:
            self.on_file_over()
        while True:
            file_no = int(stream["file_no"]) + 1
            stream["file_no"] = file_no
            self._block_nos[is_local], self._blocks[is_local] = -1, None
            self._let_go()
            if file_no >= len(self.model.data):
                return False
            if self.is_in_blocks(file_no):
                if self._take_block(stream, is_local, file_no):
                    return True
                continue
            rows = self.rows_of(file_no)
            stream["rows_base"] = 0
            stream["row"] = rows.ctypes.data
            stream["rows_end"] = rows.ctypes.data + rows.nbytes
            source = self.model.data[file_no]
            if isinstance(source, Prepared) and stream["book"]:
                source.play_into(stream)
            if not len(rows):
                raise DataError("there are no rows", where=self.where(file_no))
            return True

    def is_in_blocks(self, file_no: int) -> bool:
        """Whether a file comes block by block."""
        return self._fuses_files or isinstance(self.model.data[file_no], (str, Path))

    # Blocks.

    def _take_block(self, stream: Any, is_local: int, file_no: int) -> bool:
        """Give a side the next block of a file; False if there is none."""
        if not 0 <= file_no < len(self.model.data) or not self.is_in_blocks(file_no):
            return False
        source = self._source(file_no)
        while True:
            if is_local and self._block_nos[1] >= 0 and self.on_block_over and not source.is_lasting:
                self.on_block_over()
            number = self._block_nos[is_local] + 1
            block = source.take(number, is_local)
            if block is None:
                return False
            self._block_nos[is_local] = number
            self._blocks[is_local] = block
            if file_no not in self._checked:
                self._checked.add(file_no)
                check_first_rows(self.model, source.facts, self.where(file_no), self._warnings)
            if self._play(stream, is_local, file_no, block):
                return True

    def _play(self, stream: Any, is_local: int, file_no: int, block: Block) -> bool:
        """Point a stream to a block; False if there is nothing for it in there."""
        record = block.record
        side = record["sides"][is_local]
        shift_ns = int(stream["offset_ns"]) if is_local else 0
        if shift_ns < 0 and int(record["latency_ns"]) + shift_ns <= 0:
            raise self._late_row(file_no, record, shift_ns)
        if is_local and self._wants_rows:
            stream["row"] = block.rows
            stream["rows_end"] = block.rows + ROW_BYTES * int(record["kept"])
            return bool(record["kept"])
        if side["error"]:
            last_ts = int(side["error_last_ts"])
            raise wrong_row(
                int(side["error"]),
                int(side["error_row"]),
                side["error_event"],
                "local_ts" if is_local else "exch_ts",
                # Of a first row the one before is in the file before.
                max(last_ts + shift_ns if last_ts != INVALID_MIN else last_ts, int(stream["last_ts"])),
                self.where(file_no),
            )
        if not side["segments"]:
            return False
        first_ts, last_ts = int(side["first_ts"]) + shift_ns, int(side["last_ts"]) + shift_ns
        wrong = 0
        if not -TS_MAX <= first_ts <= last_ts <= TS_MAX:
            wrong = PREPARE_NO_TIME
        elif first_ts < stream["last_ts"]:
            wrong = PREPARE_UNSORTED
        if wrong:
            raise wrong_row(
                wrong,
                int(side["first_row"]),
                side["first_event"],
                "local_ts" if is_local else "exch_ts",
                int(stream["last_ts"]),
                self.where(file_no),
            )
        stream["rows_base"] = block.rows
        stream["ticks"], stream["qtys"] = block.ticks[is_local], block.qtys[is_local]
        stream["row"] = stream["rows_end"] = 0
        stream["last_ts"] = last_ts
        stream["rows_done"] += side["count"]
        take_block.call(
            self._addresses[is_local],
            block.segments[is_local],
            int(side["segments"]),
            int(record["low_tick"]),
            int(record["high_tick"]),
            int(side["window_tick"]),
        )
        return True

    def _source(self, file_no: int) -> Source | Unpacked:
        if file_no in self._sources:
            return self._sources[file_no]
        if self._fuses_files:
            source: Source | Unpacked = self._fused(file_no)
        elif self._ahead is not None and self._ahead[0] == file_no:
            source = self._ahead[1].take()
            self._ahead = None
        else:
            source = self._open(file_no)
        self._sources[file_no] = source
        self.file_rows[file_no] = source.count
        shift_ns = self.model.feed_offset_ns
        if shift_ns < 0 and source.table is not None:
            # All of it is known: what is wrong at the end is said at the start.
            late = np.flatnonzero(source.table["latency_ns"] + shift_ns <= 0)
            if len(late):
                least = int(source.table["latency_ns"].min())
                raise self._late_row(file_no, source.table[late[0]], shift_ns, least)
        if isinstance(source, Source) and self._ahead is None and self._has_file(file_no + 1):
            self._ahead = (file_no + 1, Ahead(source, lambda: self._open(file_no + 1)))
        return source

    def _has_file(self, file_no: int) -> bool:
        return file_no < len(self.model.data) and isinstance(self.model.data[file_no], (str, Path))

    def _open(self, file_no: int) -> Source:
        return Source(Path(self.model.data[file_no]), self._wanted, self._warn)  # pyright: ignore

    def _warn(self, text: str) -> None:
        # One folder is in the way of all files: it is said once.
        reason = text.partition(": the cache")[2]
        if not any(reason and reason in warning for warning in self._warnings):
            self._warnings.append(text)

    def _late_row(self, file_no: int, record: Any, shift_ns: int, least_ns: int | None = None) -> DataError:
        """The error of a row that would arrive before it is sent: the first one of a block."""
        least_ns = int(record["latency_ns"]) if least_ns is None else least_ns
        number, event = int(record["latency_row"]), record["latency_event"]
        source = self.model.data[file_no]
        if isinstance(source, (str, Path)) and not self._fuses_files:
            with EventReader(source, block_rows=layout.BLOCK_ROWS) as reader:
                rows = next(
                    rows
                    for at, rows in enumerate(reader.blocks())
                    if at * layout.BLOCK_ROWS == record["first_row"]
                )
                received = (rows["ev"] & np.uint64(LOCAL_EVENT)) != 0
                late = received & (rows["local_ts"] - rows["exch_ts"] + shift_ns <= 0)
                first = int(late.argmax())
                number, event = int(record["first_row"]) + first, rows[first].copy()
        return late_row_error(number, event, shift_ns, least_ns, self.where(file_no))

    # Fused files: each side fuses for itself, in bounded memory.

    def _fused(self, file_no: int) -> Unpacked:
        source = self.model.data[file_no]
        count = len(load_rows(source)) if not isinstance(source, (str, Path)) else 0
        if not count:
            with EventReader(Path(source), block_rows=layout.BLOCK_ROWS) as reader:  # pyright: ignore
                count = reader.count
        return Unpacked(lambda side: self._fused_pieces(file_no, side), self._wanted, count)

    def _fused_pieces(self, file_no: int, side: int) -> Iterator[NDArray[Any]]:
        fuser = self._fusers[side]
        if fuser is None:
            fuser = self._fusers[side] = new_fuser(self.model)
        first_row = 0
        for rows in _pieces(self.model.data[file_no]):
            try:
                fused = fuser.fuse(rows, first_row)
            except DataError as error:
                raise DataError(error.what, where=self.where(file_no), hint=error.hint) from None
            first_row += len(rows)
            for at in range(0, len(fused), layout.BLOCK_ROWS):
                yield fused[at : at + layout.BLOCK_ROWS]

    # Rows in memory.

    def rows_of(self, file_no: int) -> NDArray[Any]:
        """All rows of a file, kept until both sides are done with it."""
        if file_no not in self._arrays:
            rows = load_rows(self.model.data[file_no])
            self._check_offset(file_no, rows)
            if self._whole is not None:
                rows = self._whole.fuse(file_no, rows, self.where(file_no))
            if file_no not in self._checked:
                self._checked.add(file_no)
                facts = Facts.of_rows(rows, self.model.tick_size)
                check_first_rows(self.model, facts, self.where(file_no), self._warnings)
            self._arrays[file_no] = rows
            self.file_rows[file_no] = len(rows)
        return self._arrays[file_no]

    def _check_offset(self, file_no: int, rows: NDArray[Any]) -> None:
        """A bot may not see a row before the exchange has sent it."""
        shift_ns = self.model.feed_offset_ns
        if shift_ns >= 0:
            return
        received = np.flatnonzero(rows["ev"] & np.uint64(LOCAL_EVENT))
        latencies_ns = rows["local_ts"][received] - rows["exch_ts"][received]
        if len(latencies_ns) and latencies_ns.min() + shift_ns <= 0:
            number = int(received[(latencies_ns + shift_ns <= 0).argmax()])
            least = int(latencies_ns.min())
            raise late_row_error(number, rows[number], shift_ns, least, self.where(file_no))

    def published(self) -> tuple[int, int, int]:
        """How far the local side of a replay is: the file, the block of it, and the address of the next row."""
        stream = self._streams[1]
        return int(stream["file_no"]), max(self._block_nos[1], 0), int(stream["row"])

    def rows_block(self, file_no: int, block_no: int) -> tuple[int, int, Any] | None:
        """The rows of a block: their address, their bytes and what keeps them; None if there is no such block.

        An array is one block.
        """
        if not self.is_in_blocks(file_no):
            rows = self.rows_of(file_no)
            return (int(rows.ctypes.data), rows.nbytes, rows) if block_no == 0 else None
        is_held = file_no == self._streams[1]["file_no"] and block_no == self._block_nos[1]
        block = self._blocks[1] if is_held else self._source(file_no).take(block_no, 1)
        if block is None:
            return None
        return block.rows, ROW_BYTES * int(block.record["kept"]), block

    # What becomes of them.

    def _let_go(self) -> None:
        """Forget the files that both sides are done with; the last one is kept."""
        behind = min(int(stream["file_no"]) for stream in self._streams)
        for opened in (self._arrays, self._sources):
            for done in [number for number in opened if number < min(behind, len(self.model.data) - 1)]:
                if opened is self._sources:
                    self._sources[done].stop()
                del opened[done]

    def stop(self) -> None:
        """The run is over: what is half prepared is given up."""
        if self._ahead is not None:
            self._ahead[1].cancel()
            self._ahead = None
        for source in self._sources.values():
            source.stop()

    def where(self, file_no: int) -> str:
        """A file's name, for errors."""
        source = self.model.data[min(file_no, len(self.model.data) - 1)]
        name = str(source) if isinstance(source, (str, Path)) else "the array"
        return f"{name} of asset {self.model.name or self.asset_no}"

    def row_error(self, is_local: int) -> DataError:
        """What is wrong with the row at which a stream stopped."""
        stream = self._streams[is_local]
        file_no = int(stream["file_no"])
        block = self._blocks[is_local]
        if self.is_in_blocks(file_no) and block is not None:
            size = ROW_BYTES * int(block.record["kept"])
            held = (ctypes.c_uint8 * size).from_address(block.rows)
            rows, first_row = np.frombuffer(memoryview(held), event_dtype), int(block.record["first_row"])
        else:
            rows, first_row = self.rows_of(file_no), 0
        return row_error(stream, rows, self.where(file_no), first_row)


def new_fuser(model: AssetModel) -> ArchiveFuser:
    """What fuses an asset's rows, from its first file on."""
    snapshot = None if model.initial_snapshot is None else load_rows(model.initial_snapshot)
    return ArchiveFuser(model.tick_size, model.lot_size, snapshot)


def _pieces(source: Any) -> Iterator[NDArray[Any]]:
    if isinstance(source, (str, Path)):
        with EventReader(source, block_rows=layout.BLOCK_ROWS) as reader:
            yield from reader.blocks()
        return
    rows = load_rows(source)
    for at in range(0, len(rows), layout.BLOCK_ROWS):
        yield rows[at : at + layout.BLOCK_ROWS]


class _WholeFuser:
    """Fuses whole files with those before them, which for a file that is read again come first."""

    def __init__(self, model: AssetModel) -> None:
        self._model = model
        self._fuser: ArchiveFuser | None = None
        self._done = 0

    def fuse(self, file_no: int, rows: NDArray[Any], where: str) -> NDArray[Any]:
        """The fused rows of a file."""
        if self._fuser is None or self._done != file_no:
            self._fuser = new_fuser(self._model)
            for before in range(file_no):
                self._fuser.fuse(load_rows(self._model.data[before]))
        try:
            rows = self._fuser.fuse(rows)
        except DataError as error:
            raise DataError(error.what, where=where, hint=error.hint) from None
        self._done = file_no + 1
        return rows
