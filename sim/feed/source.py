"""The prepared blocks of a source, from wherever they are to be had.

In the order in which they are tried: a complete entry of the cache; the one that another process is making; one of
our own making; and, where the cache can't be written, rows that each side unpacks and prepares for itself.
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
from sim.archive.stream import EventReader
from sim.feed import cache, layout
from sim.feed.facts import Facts
from sim.feed.known import look_at
from sim.feed.layout import ALIGN, COMPLETE, HEADER_BYTES, RECORD_BYTES, aligned, block_dtype
from sim.feed.make import Wanted, load_kernels
from sim.feed.unpacked import Block, Unpacked
from sim.feed.writer import StoppedError, Writer, claim, is_same_file

_POLL_S: Final = 0.002
_POLLS_TO_LOCK: Final = 25
_STALLED_POLLS: Final = 5000
"""A maker that adds no block for so many looks, 10 s at least, is no longer waited for. Looks are counted and not
seconds: one that follows may have been stopped together with the one that it follows."""
_TRIES_MAX: Final = 8
"""So often the blocks may have to be found anew before they are made without the cache."""
_MAP: Final = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)


class LostError(Exception):
    """The blocks are no longer to be had from there."""


class NoRoomError(LostError):
    """They can't be written."""


class StalledError(LostError):
    """Their maker lives, but does not get on."""


class _Mapped:
    """Blocks of a file that is mapped one block at a time; what the sides share is mapped once."""

    is_lasting = True

    def __init__(self, handle: int, *, is_checked: bool) -> None:
        self.handle = handle
        self._is_checked = is_checked
        self._blocks: weakref.WeakValueDictionary[int, Block] = weakref.WeakValueDictionary()
        self._finalizer = weakref.finalize(self, os.close, handle)

    def record(self, number: int) -> Any:
        """The record of a block, waited for; None if there is no such block."""
        raise NotImplementedError

    def take(self, number: int, _side: int) -> Block | None:
        """A block; None behind the last."""
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

    def stop(self) -> None:
        """The run is over."""


class _Complete(_Mapped):
    """A complete entry."""

    def __init__(self, handle: int, path: Path) -> None:
        super().__init__(handle, is_checked=True)
        self._path = path
        header = cache.read_header(handle)
        self.table = cache.read_table(handle, header)
        self.facts = Facts.of_header(header)
        self.count = int(header["count"])
        with suppress(OSError):
            # The least recently used are pruned.
            os.utime(path)

    def record(self, number: int) -> Any:
        return self.table[number] if number < len(self.table) else None

    def take(self, number: int, side: int) -> Block | None:
        """A block; None behind the last. A file with one that is damaged is thrown away."""
        try:
            return super().take(number, side)
        except LostError:
            cache.discard(self._path)
            raise

    def will_need(self) -> None:
        """Ask for the first blocks, which will be read soon."""
        with suppress(OSError, AttributeError):
            os.posix_fadvise(self.handle, 0, 16 * int(self.table[0]["size"]), os.POSIX_FADV_WILLNEED)


class _Own(_Mapped):
    """What this process is making."""

    def __init__(self, handle: int, writer: Writer) -> None:
        super().__init__(handle, is_checked=False)
        self.writer = writer
        self.count = writer.count
        weakref.finalize(self, writer.stop)

    @property
    def facts(self) -> Facts:
        """Known from the first block on."""
        self.record(0)
        assert self.writer.facts is not None
        return self.writer.facts

    def record(self, number: int) -> Any:
        try:
            return self.writer.wait_block(number)
        except FileNotFoundError:
            raise LostError("its folder was removed") from None
        except OSError as error:
            raise NoRoomError(error.strerror or str(error)) from None
        except StoppedError:
            raise LostError("the run was over") from None

    def stop(self) -> None:
        self.writer.stop()


class _Followed(_Mapped):
    """What another process, or another run in this one, is making."""

    def __init__(self, handle: int) -> None:
        super().__init__(handle, is_checked=True)
        self._records: list[Any] = []
        self._at = HEADER_BYTES
        # Of a source that is broken from the start there will never be one.
        self._header = self._wait(0)

    @property
    def facts(self) -> Facts:
        """Known from the first block on."""
        self.record(0)
        return Facts.of_header(self._header)

    @property
    def count(self) -> int:
        """The source's rows."""
        return int(self._header["count"])

    def record(self, number: int) -> Any:
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


def _pieces_of(path: Path) -> Iterator[NDArray[Any]]:
    with EventReader(path, block_rows=layout.BLOCK_ROWS) as reader:
        yield from reader.blocks()


class Source:
    """The prepared blocks of a file.

    Args:
        path: An archive.
        wanted: What for.
        on_warning: Told, once, why the cache is not used.

    Raises:
        DataError: The file is missing or broken.
    """

    def __init__(self, path: Path, wanted: Wanted, on_warning: Callable[[str], None]) -> None:
        self.path = path
        self.wanted = wanted
        self._on_warning = on_warning
        self._tries = 0
        self._from: Any = self._open()

    @property
    def count(self) -> int:
        """The rows of the file."""
        return self._from.count

    @property
    def facts(self) -> Facts:
        """What the checks of its first rows found; after the first block was taken."""
        return self._from.facts

    @property
    def is_lasting(self) -> bool:
        """Whether blocks that were taken can be taken again cheaply."""
        return self._from.is_lasting

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be made."""
        return isinstance(self._from, _Complete)

    @property
    def table(self) -> NDArray[Any] | None:
        """The records of all blocks, if they are all there."""
        return self._from.table if isinstance(self._from, _Complete) else None

    def take(self, number: int, side: int) -> Block | None:
        """A block, waited for; None behind the last.

        Raises:
            DataError: The source is damaged before it.
        """
        while True:
            try:
                return self._from.take(number, side)
            except LostError as lost:
                if isinstance(lost, (NoRoomError, StalledError)):
                    self._tries = _TRIES_MAX
                self._from = self._open(str(lost))

    def will_need(self) -> None:
        """It will be read soon."""
        if isinstance(self._from, _Complete):
            self._from.will_need()

    def wait(self) -> None:
        """Wait until this process has made it, if it does."""
        if isinstance(self._from, _Own):
            with suppress(Exception):
                self._from.writer.wait()

    def stop(self) -> None:
        """The run is over: what is half made is given up."""
        self._from.stop()

    def _open(self, reason: str = "") -> Any:
        while self._tries < _TRIES_MAX:
            self._tries += 1
            try:
                return self._open_cached()
            except StalledError as stalled:
                reason = str(stalled)
                break
            except LostError as lost:
                reason = str(lost)
            except FileNotFoundError:
                # It is made anew at the next try.
                reason = "its folder is removed again and again"
            except OSError as error:
                reason = error.strerror or str(error)
                break
        self._on_warning(
            f"{self.path}: the cache of prepared archives is not used: {reason}; this run unpacks the file for itself"
        )
        with EventReader(self.path, block_rows=layout.BLOCK_ROWS) as reader:
            count = reader.count
        return Unpacked(lambda _side: _pieces_of(self.path), self.wanted, count)

    def _open_cached(self) -> Any:
        root = cache.folder()
        seen = look_at(root, self.path)
        entry = cache.find(root, seen, self.wanted)
        if entry is not None:
            handle = os.open(entry, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return _Complete(handle, entry)
            except cache.NotWholeError as error:
                cache.discard(entry)
                raise LostError(str(error)) from None
        part = cache.part_path(root, seen, self.wanted)
        # Who follows waits for blocks, not for compilers.
        load_kernels()
        handle, is_ours = claim(part)
        if not is_ours:
            return _Followed(handle)
        if cache.find(root, seen, self.wanted) is not None:
            # Somebody finished it between the two looks.
            cache.discard(part)
            os.close(handle)
            raise LostError("it was made meanwhile")
        # The writer's handle has the lock, which ends with it; this one is the reader's.
        try:
            reading = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(handle)
            raise
        if not is_same_file(os.fstat(reading), os.fstat(handle)):
            os.close(reading)
            os.close(handle)
            raise LostError("it was taken away")
        writer = Writer(seen, self.wanted, root, part, handle)
        try:
            writer.start()
        except BaseException:
            os.close(reading)
            raise
        return _Own(reading, writer)
