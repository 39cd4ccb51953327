"""Where the prepared blocks of a file come from: a complete entry of the cache, one that another process is making, one
of this process's making, or rows that each side unpacks and prepares for itself.
"""

import fcntl
import mmap
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from hftd.clock import sleep
from sim.feed import cache, layout
from sim.feed.layout import ALIGN, COMPLETE, HEADER_BYTES, RECORD_BYTES, Facts, aligned, block_dtype
from sim.feed.make import BlockMaker, Made, Wanted
from sim.feed.writer import StoppedError, Writer

_POLL_S: Final = 0.002
_POLLS_TO_LOCK: Final = 25
_STALLED_POLLS: Final = 5000
"""A maker that adds no block for so many looks, 10 s at least, is no longer waited for. Looks are counted and not
seconds: one that follows may have been stopped together with the one that it follows."""
_MAP: Final = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)


class Blocks:
    """The blocks of a file, in order: what all sources of them have.

    Attributes:
        count: The rows of the file.
        is_lasting: Whether blocks that were taken can be taken again cheaply.
        table: The records of all blocks, if nothing is left to be made; else None.
    """

    count: int
    is_lasting = True
    table: NDArray[Any] | None = None

    @property
    def facts(self) -> Facts:
        """What the checks of its first rows found; after the first block was taken."""
        raise NotImplementedError

    def take(self, number: int, side: int) -> "Block | None":
        """A block, waited for; None behind the last.

        Raises:
            LostError: It can't be read from there any more.
            DataError: The file is damaged before it.
        """
        raise NotImplementedError

    def will_need(self) -> None:
        """It will be read soon."""

    def wait(self) -> None:
        """Wait until this process has made it, if it does."""

    def stop(self) -> None:
        """The run is over: what is half made is given up."""


class Block:
    """A block in memory; it may be let go when nothing points into it any more.

    Attributes:
        number: Its number.
        record: `block_dtype`.
        segments: The address of each side's segments.
        ticks: The address of each side's ticks.
        qtys: The address of each side's quantities.
        rows: The address of the rows that were kept.
    """

    def __init__(self, number: int, record: Any, place: Callable[[int], int], owner: Any) -> None:
        self.number = number
        self.record = record
        sides = record["sides"]
        self.segments = [place(int(side["segments_at"])) for side in sides]
        self.ticks = [place(int(side["ticks_at"])) for side in sides]
        self.qtys = [place(int(side["qtys_at"])) for side in sides]
        self.rows = place(int(record["rows_at"]))
        self._owner = owner


class LostError(Exception):
    """The blocks can no longer be read from there."""


class NoRoomError(LostError):
    """They can't be written."""


class StalledError(LostError):
    """Their maker lives, but does not get on."""


class _Mapped(Blocks):
    """Blocks of a file that is mapped one block at a time; what the sides share is mapped once."""

    def __init__(self, handle: int, *, is_checked: bool) -> None:
        self.handle = handle
        self._header: Any = None
        self._is_checked = is_checked
        self._blocks: weakref.WeakValueDictionary[int, Block] = weakref.WeakValueDictionary()
        self._finalizer = weakref.finalize(self, os.close, handle)

    @property
    def facts(self) -> Facts:
        """See `Blocks`."""
        self.record(0)
        return Facts.of_header(self._header)

    def record(self, number: int) -> Any:
        """The record of a block, waited for; None if there is no such block."""
        raise NotImplementedError

    def take(self, number: int, side: int) -> Block | None:  # noqa: ARG002 - both have the same
        """See `Blocks`."""
        block = self._blocks.get(number)
        if block is None:
            record = self.record(number)
            if record is None:
                return None
            block = self._blocks[number] = self._map(number, record)
        return block

    def _map(self, number: int, record: Any) -> Block:
        size, offset = int(record["size"]), int(record["offset"])
        if os.fstat(self.handle).st_size < offset + size:
            raise LostError("it was cut off")
        mapped = mmap.mmap(self.handle, size, flags=_MAP, prot=mmap.PROT_READ, offset=offset)
        held = np.frombuffer(mapped, np.uint8)
        if self._is_checked:
            if held[: block_dtype.itemsize].tobytes() != record.tobytes():
                raise LostError("a block's record is not what the table says")
            if isal_zlib.crc32(held[RECORD_BYTES:]) != record["crc"]:
                raise LostError("a block's checksum is wrong")
        address = int(held.ctypes.data)
        return Block(number, record, lambda at: address + at, held)


class Complete(_Mapped):
    """A complete entry."""

    def __init__(self, handle: int, path: Path) -> None:
        super().__init__(handle, is_checked=True)
        self._path = path
        self._header = cache.read_header(handle)
        self._records = self.table = cache.read_table(handle, self._header)
        self.count = int(self._header["count"])
        with suppress(OSError):
            # The least recently used are pruned.
            os.utime(path)

    def record(self, number: int) -> Any:
        """See `_Mapped`."""
        return self._records[number] if number < len(self._records) else None

    def take(self, number: int, side: int) -> Block | None:
        """See `Blocks`; a file with a block that is damaged is thrown away."""
        try:
            return super().take(number, side)
        except LostError:
            cache.discard(self._path)
            raise

    def will_need(self) -> None:
        """Ask for the first blocks."""
        with suppress(OSError, AttributeError):
            os.posix_fadvise(self.handle, 0, 16 * int(self._records[0]["size"]), os.POSIX_FADV_WILLNEED)


class Own(_Mapped):
    """What this process is making."""

    def __init__(self, handle: int, writer: Writer) -> None:
        super().__init__(handle, is_checked=False)
        self.writer, self.count = writer, writer.count
        weakref.finalize(self, writer.stop)

    @property
    def facts(self) -> Facts:
        """See `Blocks`."""
        self.record(0)
        assert self.writer.facts is not None
        return self.writer.facts

    def record(self, number: int) -> Any:
        """See `_Mapped`."""
        try:
            return self.writer.wait_block(number)
        except FileNotFoundError:
            raise LostError("its folder was removed") from None
        except OSError as error:
            raise NoRoomError(error.strerror or str(error)) from None
        except StoppedError:
            raise LostError("the run was over") from None

    def wait(self) -> None:
        """See `Blocks`; what ended it early is told to who takes a block."""
        with suppress(Exception):
            self.writer.wait()

    def stop(self) -> None:
        """See `Blocks`."""
        self.writer.stop()


class Followed(_Mapped):
    """What another process, or another run in this one, is making."""

    def __init__(self, handle: int) -> None:
        super().__init__(handle, is_checked=True)
        self._records: list[Any] = []
        self._at = HEADER_BYTES
        # Of a source that is broken from the start there will never be one.
        self._header = self._wait(0)
        self.count = int(self._header["count"])

    def record(self, number: int) -> Any:
        """See `_Mapped`."""
        while number >= len(self._records):
            if number * layout.BLOCK_ROWS >= self.count:
                return None
            if len(self._records) >= self._header["published"]:
                self._header = self._wait(len(self._records))
            raw = os.pread(self.handle, block_dtype.itemsize, self._at)
            if len(raw) != block_dtype.itemsize:
                raise LostError("it was cut off")
            record = np.frombuffer(raw, block_dtype)[0]
            if record["record_crc"] != cache.record_crc(record) or record["offset"] != self._at:
                raise LostError("a block's record is damaged")
            self._records.append(record)
            self._at = aligned(self._at + int(record["size"]), ALIGN)
        return self._records[number]

    def _wait(self, number: int) -> Any:
        """Wait until there is a block more, or the end of them, but not for ever. Returns the header."""
        polls = 0
        while True:
            header = self._read()
            if header is not None and (header["published"] > number or header["state"] == COMPLETE):
                return header
            polls += 1
            if polls % _POLLS_TO_LOCK == 0 and self._is_deserted():
                # It may have been finished between the two looks.
                header = self._read()
                if header is not None and (header["published"] > number or header["state"] == COMPLETE):
                    return header
                raise LostError("its maker is gone")
            if polls >= _STALLED_POLLS:
                raise StalledError(
                    f"the run that makes it has added nothing for {_STALLED_POLLS * _POLL_S:.3g} s (is it stopped?)"
                )
            sleep(_POLL_S)

    def _read(self) -> Any:
        try:
            return cache.read_header(self.handle)
        except cache.NotWholeError:
            # Not written yet, or read while it was written.
            return None

    def _is_deserted(self) -> bool:
        try:
            fcntl.flock(self.handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        fcntl.flock(self.handle, fcntl.LOCK_UN)
        return True


class Unpacked(Blocks):
    """Blocks that each side makes for itself, one after the other, in memory.

    Args:
        pieces: Gives the source's rows in pieces of at most `BLOCK_ROWS`, each time anew.
        wanted: What for.
        count: The source's rows.
    """

    is_lasting = False

    def __init__(self, pieces: Callable[[int], Iterator[NDArray[Any]]], wanted: Wanted, count: int) -> None:
        self.count = count
        self._pieces = pieces
        self._wanted = wanted
        self._sides: list[Iterator[Block] | None] = [None, None]
        self._next = [0, 0]
        self._facts: Facts | None = None

    @property
    def facts(self) -> Facts:
        """See `Blocks`."""
        assert self._facts is not None
        return self._facts

    def take(self, number: int, side: int) -> Block | None:
        """The next block of a side, whose last one ends with that; None behind the last."""
        blocks = self._sides[side]
        if blocks is None or number < self._next[side]:
            blocks = self._sides[side] = self._blocks(side)
            self._next[side] = 0
        while True:
            block = next(blocks, None)
            self._next[side] += 1
            if block is None or block.number == number:
                return block

    def _blocks(self, side: int) -> Iterator[Block]:
        maker = BlockMaker(self._wanted)
        first_row = 0
        for number, rows in enumerate(self._pieces(side)):
            if self._facts is None:
                self._facts = Facts.of_rows(rows, self._wanted.tick_size)
            made = maker.make(rows, first_row)
            first_row += len(rows)
            yield Block(number, made.record[0], _placing(made), (made, rows))


def _placing(made: Made) -> Callable[[int], int]:
    places = {offset: int(part.ctypes.data) for offset, part in made.parts}
    # A part of nothing stands nowhere.
    return lambda at: places.get(at, 0)
