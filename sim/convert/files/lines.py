"""Lines of several captures as one, in the order of their local times; numba compiles what is done for each line.

Captures that follow each other are read one after the other. Where they overlap (streams that were recorded side by
side, two recorders, connections that take turns), their lines are merged: so a book is followed, and a message that
is there twice is seen, in the order in which it is played. Of captures that were not open yet none is unpacked, and
of each of the others a block is in memory.

A capture whose own lines are out of order is cut into runs that are sorted, and wait in a file beside the output.
Lines of equal times stay in their order; a line without a time stays behind the one before it.
"""

# pyright: basic

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.compiled.jit import inline, kernel
from hftd.compiled.json_numbers import integer
from hftd.compiled.native import copy_bytes, load_i64, load_u8, store_i64
from hftd.compiled.text import find_byte
from hftd.errors import DataError
from hftd.rows import TS_MAX, Address, Ns
from sim.archive.temps import open_spool

RUN_SIZE: Final = 32 << 20
"""About so many bytes of lines are sorted at once."""
READ_SIZE: Final = 256 << 10
_BLOCK_SIZE: Final = 1 << 20
_LINES_MAX: Final = 1 << 14
_FAR: Final = TS_MAX
_SOURCE: Final = 64
_DONE, _EMPTY, _CUT = 0, 1, 2


class OutOfOrder(Exception):  # noqa: N818 (no error: the lines are read once more, in order)
    """The lines of a capture are not in the order of their local times."""


class Lines(msgspec.Struct):
    """Whole lines in the order of their times.

    Attributes:
        text: The lines; only one that is `is_cut` has no newline at its end.
        numbers: Of each line its part's number and its number there, shape (n, 2).
        is_cut: It is one line, the last one of its part.
    """

    text: bytes
    numbers: NDArray[np.int64]
    is_cut: bool = False


@inline
def _time(p: Address, end: Address):
    """The time with which a line begins, as `_local_ts` of :mod:`sim.convert.reader.messages` reads it; -1 for none."""
    stop = p
    while stop < end and stop - p < 20 and load_u8(stop) != 32 and load_u8(stop) != 9:
        stop += 1
    if stop == end:
        return -1
    if stop - p == 19:
        high, low = integer(p, p + 10), integer(p + 10, stop)
        if high < 0 or low < 0 or high >= 4_600_000_000:
            return -1
        return high * 1_000_000_000 + low
    if stop - p == 16:
        value = integer(p, stop)
        return value * 1000 if 0 <= value < _FAR // 1000 else -1
    return -1


@kernel("int64(int64, int64, int64, int64, int64, int64)")
def _index(text: Address, size: int, last_ts: Ns, back_ns: Ns, starts, times) -> int:
    """Note where each line begins and its time; returns the number of lines, below zero where times go back.

    A line that is earlier than the one before by no more than `back_ns` stays behind it.
    """
    count = 0
    sign = 1
    p = text
    end = text + size
    while p < end:
        newline = find_byte(p, 10, end - p)
        stop = newline if newline else end
        time = _time(p, stop)
        if time < 0:
            time = last_ts
        if time < last_ts:
            if last_ts - time <= back_ns:
                time = last_ts
            else:
                sign = -1
        last_ts = time
        store_i64(starts + count * 8, p - text)
        store_i64(times + count * 8, time)
        count += 1
        p = stop + 1
    store_i64(starts + count * 8, size)
    return count * sign


@kernel("int64(int64, int64, int64, int64, int64, int64)")
def _gather(text: Address, starts, order, count: int, target: Address, target_starts) -> int:
    """Write the lines in an order, each with a newline behind it."""
    out = 0
    for k in range(count):
        number = load_i64(order + k * 8)
        at, stop = load_i64(starts + number * 8), load_i64(starts + number * 8 + 8)
        store_i64(target_starts + k * 8, out)
        copy_bytes(target + out, text + at, stop - at)
        out += stop - at
    return out


@kernel("int64(int64, int64, int64, int64, int64, int64, int64, int64)")
def _merge(
    sources, count: int, until_ts: Ns, target: Address, size: int, numbers, limit: int, written
) -> int:
    """Merge the sources' lines; `written` takes bytes and lines, the result is why it came back.

    A source: addresses of its text, starts, times and numbers; the next line, how many there are, whether it is a
    line that is cut.
    """
    out = lines = 0
    code = _DONE
    while lines < limit:
        best, best_ts = 0, _FAR
        for source in range(sources, sources + count * _SOURCE, _SOURCE):
            line = load_i64(source + 32)
            if line == load_i64(source + 40):
                code = _EMPTY
                break
            time = load_i64(load_i64(source + 16) + line * 8)
            if best == 0 or time < best_ts:
                best, best_ts = source, time
        if code == _EMPTY or best == 0 or best_ts >= until_ts:
            break
        if load_i64(best + 48):
            code = _CUT
            break
        line = load_i64(best + 32)
        at = load_i64(best + 8) + line * 8
        start, stop = load_i64(at), load_i64(at + 8)
        if out + stop - start > size:
            break
        copy_bytes(target + out, load_i64(best) + start, stop - start)
        place = load_i64(best + 24) + line * 16
        store_i64(numbers + lines * 16, load_i64(place))
        store_i64(numbers + lines * 16 + 8, load_i64(place + 8))
        out += stop - start
        lines += 1
        store_i64(best + 32, line + 1)
    store_i64(written, out)
    store_i64(written + 8, lines)
    return code


class _Block:
    """Lines of one source with their times."""

    def __init__(self, lines: Lines, last_ts: int, back_ns: int) -> None:
        text = lines.text
        count = len(lines.numbers)
        self.lines = lines
        self.bytes = np.frombuffer(text, np.uint8)
        self.starts = np.empty(count + 1, np.int64)
        self.times = np.empty(count, np.int64)
        found = _index.call(
            self.bytes.ctypes.data,
            len(text),
            last_ts,
            back_ns,
            self.starts.ctypes.data,
            self.times.ctypes.data,
        )
        self.is_sorted = found >= 0


class _Source:
    """Lines that come in the order of their times; `row` is what the kernel is told of them."""

    def __init__(self, first_ts: int, blocks: Iterator[Lines], back_ns: int) -> None:
        self.block: _Block | None = None
        self.row = np.zeros(_SOURCE // 8, np.int64)
        self._last_ts = first_ts
        self._back_ns = back_ns
        self._blocks = blocks

    def fill(self) -> bool:
        """Go to the next block; False if there is none."""
        lines = next(self._blocks, None)
        if lines is None:
            return False
        block = self.block = _Block(lines, self._last_ts, self._back_ns)
        if not block.is_sorted:
            raise OutOfOrder
        self._last_ts = int(block.times[-1])
        self.row[:7] = (
            block.bytes.ctypes.data,
            block.starts.ctypes.data,
            block.times.ctypes.data,
            lines.numbers.ctypes.data,
            0,
            len(block.times),
            lines.is_cut,
        )
        return True

    @property
    def next_ts(self) -> int:
        """The time of the next line."""
        return int(self.block.times[int(self.row[4])]) if self.block is not None else _FAR

    @property
    def taken_ts(self) -> int:
        """The time of the last line of the block that was taken."""
        number = int(self.row[4])
        return int(self.block.times[number - 1]) if self.block is not None and number else -_FAR

    @property
    def is_empty(self) -> bool:
        """Whether all lines of the block were taken."""
        return bool(self.row[4] == self.row[5])

    def rest(self) -> Lines:
        """The lines of the block that were not taken yet, which are taken then."""
        assert self.block is not None
        lines, line = self.block.lines, int(self.row[4])
        self.row[4] = self.row[5]
        if line == 0:
            return lines
        return Lines(lines.text[int(self.block.starts[line]) :], lines.numbers[line:], lines.is_cut)


Source = tuple[int, Callable[[], Iterator[Lines]]]
"""The time of the first line, and what gives the lines."""


def merged(sources: list[Source], back_ns: int = 0) -> Iterator[Lines]:
    """The lines of sources that are each in the order of their times, in that of all times.

    Args:
        sources: In the order of their first times. Where times are equal the line of the earlier one comes first.
        back_ns: A line that is earlier than the one before it in its source, by no more than that, stays behind it.

    Raises:
        OutOfOrder: The lines of a source go back in time.
    """
    waiting = list(reversed(sources))
    active: list[_Source] = []
    reached = -_FAR
    while waiting or active:
        while waiting and (not active or waiting[-1][0] <= min(source.next_ts for source in active)):
            first_ts, open_source = waiting.pop()
            source = _Source(first_ts, open_source(), back_ns)
            if not source.fill():
                continue
            if source.next_ts < reached:
                raise OutOfOrder
            active.append(source)
        if not active:
            return
        until_ts = waiting[-1][0] if waiting else _FAR + 1
        first = active[0]
        assert first.block is not None
        if len(active) == 1 and int(first.block.times[-1]) < until_ts:
            reached = int(first.block.times[-1])
            yield first.rest()
        else:
            yield from _stretch(active, until_ts)
            reached = max(reached, *(source.taken_ts for source in active))
        active = [source for source in active if not source.is_empty or source.fill()]


def _stretch(active: list[_Source], until_ts: int) -> Iterator[Lines]:
    """The next lines, until one of the blocks is empty or `until_ts` is reached."""
    table = np.stack([source.row for source in active])
    size = max(_BLOCK_SIZE, *(len(source.block.lines.text) for source in active if source.block))
    written = np.zeros(2, np.int64)
    code = _DONE
    while code == _DONE:
        target = np.empty(size, np.uint8)
        numbers = np.empty((_LINES_MAX, 2), np.int64)
        code = _merge.call(
            table.ctypes.data,
            len(active),
            until_ts,
            target.ctypes.data,
            size,
            numbers.ctypes.data,
            _LINES_MAX,
            written.ctypes.data,
        )
        used, count = written.tolist()
        if count:
            yield Lines(target[:used].tobytes(), numbers[:count].copy())
        elif code == _DONE:
            break
    for source, row in zip(active, table, strict=True):
        source.row[4] = row[4]
    if code == _CUT:
        yield min(active, key=lambda source: _FAR if source.is_empty else source.next_ts).rest()


class SortedRuns:
    """Runs of lines that are sorted, in a file without a name beside the output.

    Args:
        output: The file is made beside this one.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._file: BinaryIO | None = None
        self._end = 0

    def sources(self, blocks: Iterator[Lines], back_ns: int = 0) -> list[Source]:
        """Sort lines, and give them as sources.

        Args:
            blocks: The lines of one capture, in any order.
            back_ns: As of `merged`.

        Raises:
            DataError: There is no room for them on the disk.
        """
        found: list[Source] = []
        held: list[Lines] = []
        size = 0
        for lines in blocks:
            if lines.is_cut:
                lines = Lines(lines.text + b"\n", lines.numbers)
            held.append(lines)
            size += len(lines.text)
            if size >= RUN_SIZE:
                found.append(self._run(held, back_ns))
                held, size = [], 0
        if held:
            found.append(self._run(held, back_ns))
        return found

    def _run(self, held: list[Lines], back_ns: int) -> Source:
        lines = Lines(
            b"".join(lines.text for lines in held), np.concatenate([lines.numbers for lines in held])
        )
        block = _Block(lines, -_FAR, back_ns)
        count = len(block.times)
        order = np.argsort(block.times, kind="stable")
        target = np.empty(len(lines.text), np.uint8)
        starts = np.empty(count + 1, np.int64)
        _gather.call(
            block.bytes.ctypes.data,
            block.starts.ctypes.data,
            order.ctypes.data,
            count,
            target.ctypes.data,
            starts.ctypes.data,
        )
        starts[count] = len(target)
        numbers = lines.numbers[order]
        at = self._end
        for data in (target.data, starts.view(np.uint8).data, numbers.reshape(-1).view(np.uint8).data):
            self._write(data)
        first_ts = max(int(block.times[order[0]]), 0)
        return first_ts, lambda: self._read(at, len(target), count)

    def _write(self, data: memoryview) -> None:
        try:
            if self._file is None:
                self._file = open_spool(self._output)
            while data:
                size = os.pwrite(self._file.fileno(), data, self._end)
                self._end += size
                data = data[size:]
        except OSError as error:
            raise DataError(
                f"lines that are out of order can't be kept on the disk meanwhile: {error.strerror or error}",
                where=str(self._output.parent),
            ) from None

    def _read(self, at: int, size: int, count: int) -> Iterator[Lines]:
        assert self._file is not None
        handle = self._file.fileno()
        behind = at + size
        line = 0
        while line < count:
            # So many lines as the block holds, one at least.
            starts = _integers(handle, behind + line * 8, min(_LINES_MAX, count - line) + 1)
            lines = max(int(np.searchsorted(starts, starts[0] + READ_SIZE, "right")) - 1, 1)
            first, last = int(starts[0]), int(starts[lines])
            text = os.pread(handle, last - first, at + first)
            numbers = _integers(handle, behind + (count + 1) * 8 + line * 16, lines * 2)
            line += lines
            yield Lines(text, numbers.reshape(-1, 2))

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()


def _integers(handle: int, at: int, count: int) -> NDArray[np.int64]:
    return np.frombuffer(os.pread(handle, count * 8, at), np.int64)
