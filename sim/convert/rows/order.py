"""One order of rows that is valid for both clocks, whatever their number, in little memory.

The exchange's side reads an archive by `exch_ts`, the local side by `local_ts`. Where the two disagree (a
message overtook another, or a recorder wrote one late), a row is split in two: one with the flag of the
exchange at its place by `exch_ts`, one with the local flag at its place by `local_ts`. All other rows carry
both flags.

Rows are sorted in chunks as they come, and kept in a spool: a chunk in the order of both clocks once, else once
for each clock. Then the chunks of each clock are merged, and the two clocks' orders with each other, as
HftBacktest's `correct_event_order` does (2.4.4, which reads beyond its indices at the end). Two rows that are
next by either clock are the same if both their times are the same: where one of several rows of equal times was
split, all are, before another becomes next.
"""

# pyright: basic

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import load_i64, load_u8, store_i64
from hftd.compiled.row_access import copy_row, ev_of, exch_ts_of, local_ts_of, set_ev, set_local_ts
from hftd.rows import EXCH_TS, FVAL, LOCAL_TS, ROW_BYTES, Address
from hftd.types import EXCH_EVENT, KIND_MASK, LOCAL_EVENT, TRADE_EVENT, event_dtype
from sim.convert.rows.spool import Spool
from sim.convert.rows.survey import MARK, Survey

_BOTH: Final = EXCH_EVENT | LOCAL_EVENT
_BLOCK_ROWS: Final = 1 << 15
_WINDOW_ROWS: Final = 1 << 13
_WINDOW_ROWS_MIN: Final = 64
_WINDOWS_ROWS: Final = 1 << 17
"""About so many rows of a clock are in memory at once, unless more runs overlap than that gives windows."""
_DONE, _EXCH_EMPTY, _LOCAL_EMPTY = 0, 1, 2

# A lane is one clock's order: the address of its heap of runs, how many are in it, the address of their table,
# where in a row the clock's time is, and the address of the bits of trades that do not count. Of each run the table
# has its next row's time (or an earlier one), the addresses of its next row and behind its window, and how many rows
# there are behind the window.
_RUN: Final = 32


@inline
def _is_before(table, a, b: Any):
    time_a, time_b = load_i64(table + a * _RUN), load_i64(table + b * _RUN)
    return time_a < time_b or (time_a == time_b and a < b)


@inline
def _sink(lane: Address):
    """Put the run at the heap's top at its place."""
    heap, size, table = load_i64(lane), load_i64(lane + 8), load_i64(lane + 16)
    run = load_i64(heap)
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        least = load_i64(heap + child * 8)
        if child + 1 < size and _is_before(table, load_i64(heap + child * 8 + 8), least):
            child += 1
            least = load_i64(heap + child * 8)
        if not _is_before(table, least, run):
            break
        store_i64(heap + place * 8, least)
        place = child
    store_i64(heap + place * 8, run)


@inline
def _is_again(lane: Address, row: Address):
    """Whether the row is a trade that is there twice, and does not count."""
    bits, number = load_i64(lane + 32), load_i64(row + FVAL)
    if bits == 0 or number == 0 or ev_of(row) & KIND_MASK != TRADE_EVENT:
        return False
    return (load_u8(bits + (number >> 3)) >> (number & 7)) & 1 != 0


@inline
def _next_row(lane: Address, drops_marked):
    """The address of the lane's next row; 0 where its run's window is empty, -1 where no row is left."""
    while load_i64(lane + 8):
        run = load_i64(lane + 16) + load_i64(load_i64(lane)) * _RUN
        row = load_i64(run + 8)
        if row == load_i64(run + 16):
            if load_i64(run + 24):
                return 0
            size = load_i64(lane + 8) - 1
            store_i64(lane + 8, size)
            store_i64(load_i64(lane), load_i64(load_i64(lane) + size * 8))
            _sink(lane)
            continue
        time = load_i64(row + load_i64(lane + 24))
        if time != load_i64(run):
            store_i64(run, time)
            _sink(lane)
            continue
        if (drops_marked and ev_of(row) & MARK) or _is_again(lane, row):
            store_i64(run + 8, row + ROW_BYTES)
            continue
        return row
    return -1


@inline
def _advance(lane: Address):
    run = load_i64(lane + 16) + load_i64(load_i64(lane)) * _RUN
    store_i64(run + 8, load_i64(run + 8) + ROW_BYTES)


@inline
def _put(row: Address, flags: int, shift, target: Address, has_numbers: bool):
    copy_row(target, row)
    set_ev(target, (ev_of(row) & ~MARK) | flags)
    set_local_ts(target, local_ts_of(row) + shift)
    if has_numbers and ev_of(row) & KIND_MASK == TRADE_EVENT:
        # The trade's number, see `sim.convert.rows.again`.
        store_i64(target + FVAL, 0)


@kernel("int64(int64, int64, int64, int64, int64, int64, int64, int64)")
def _merge(
    by_exch, by_local, drops_marked, has_numbers: bool, shift, target: Address, limit: int, written
) -> int:
    """Merge up to `limit` rows into `target`; `written` takes how many, the result is why it came back."""
    out = load_i64(written)
    code = _DONE
    a = _next_row(by_exch, drops_marked)
    b = _next_row(by_local, drops_marked)
    while out < limit:
        if a == 0 or b == 0:
            code = _EXCH_EMPTY if a == 0 else _LOCAL_EMPTY
            break
        if a < 0 and b < 0:
            break
        is_both = False
        is_exch = b < 0
        if a > 0 and b > 0:
            exch_a, exch_b = exch_ts_of(a), exch_ts_of(b)
            local_a, local_b = local_ts_of(a), local_ts_of(b)
            is_both = exch_a == exch_b and local_a == local_b
            is_exch = exch_a < exch_b or (exch_a == exch_b and local_a <= local_b)
        flags = _BOTH if is_both else EXCH_EVENT if is_exch else LOCAL_EVENT
        _put(a if is_exch or is_both else b, flags, shift, target + out * ROW_BYTES, has_numbers)
        out += 1
        if is_both or is_exch:
            _advance(by_exch)
            a = _next_row(by_exch, drops_marked)
        if is_both or not is_exch:
            _advance(by_local)
            b = _next_row(by_local, drops_marked)
    store_i64(written, out)
    return code


@kernel("int64(int64, int64, int64, int64)")
def _gather(rows: Address, numbers, count: int, target: Address) -> int:
    for number in range(count):
        row = rows + load_i64(numbers + number * 8) * ROW_BYTES
        copy_row(target + number * ROW_BYTES, row)
    return 0


class _Lane:
    """The runs of one clock, and the windows of those that are being merged."""

    def __init__(self, spool: Spool, clock_at: int) -> None:
        self._spool = spool
        self._clock_at = clock_at
        self._places: list[int] = []
        self._counts: list[int] = []
        self._firsts: list[int] = []
        self._windows: dict[int, np.ndarray] = {}
        self._fills = 0

    def add(self, place: int, count: int, first_ts: int) -> None:
        self._places.append(place)
        self._counts.append(count)
        self._firsts.append(first_ts)

    def start(self, again: int) -> int:
        """Put the runs in a heap; returns the lane's address for the kernel. `again`: the address of the bits, or 0."""
        size = len(self._places)
        self._table = np.zeros((size, 4), np.int64)
        self._table[:, 0] = self._firsts
        self._table[:, 3] = self._counts
        self._heap = np.argsort(self._table[:, 0], kind="stable")
        self._lane = np.array([self._heap.ctypes.data, size, self._table.ctypes.data, self._clock_at, again])
        return self._lane.ctypes.data

    def fill(self) -> None:
        """Read the next rows of the run at the heap's top."""
        run = int(self._heap[0])
        row = self._table[run]
        left = int(row[3])
        self._fills += 1
        if self._fills >= len(self._windows):
            self._drop_exhausted()
        size = max(_WINDOW_ROWS_MIN, min(_WINDOW_ROWS, _WINDOWS_ROWS // (len(self._windows) + 1)))
        count = min(left, size)
        place = self._places[run] + self._counts[run] - left
        window = self._spool.read(place, count, bytearray(count * ROW_BYTES))
        self._windows[run] = window
        row[1] = window.ctypes.data
        row[2] = row[1] + len(window) * ROW_BYTES
        row[3] = left - len(window)

    def _drop_exhausted(self) -> None:
        self._fills = 0
        for run in list(self._windows):
            if self._table[run, 1] == self._table[run, 2]:
                del self._windows[run]

    @property
    def rows_left(self) -> int:
        """Rows behind the windows."""
        return int(self._table[:, 3].sum())


class Ordering:
    """Takes rows in the order in which they were received, and gives them in one that is valid for both clocks.

    ::

        with Ordering(output) as ordering:
            ordering.add(rows)
            ...
            for block in ordering.blocks(shift_ns):

    Args:
        output: What must wait on the disk waits beside this file.

    Attributes:
        survey: What the rows are like.
        spool: Where they wait.
    """

    def __init__(self, output: Path) -> None:
        self.survey = Survey()
        self.spool = Spool(output)
        self._by_exch = _Lane(self.spool, EXCH_TS)
        self._by_local = _Lane(self.spool, LOCAL_TS)

    def add(self, rows: np.ndarray) -> None:
        """Take a chunk of rows of `event_dtype` without flags; they are copied.

        Raises:
            DataError: There is no room for them on the disk.
        """
        if not len(rows):
            return
        chunk = self.survey.add(rows)
        place = -1
        if chunk["exch_sorted"] or chunk["local_sorted"]:
            place = self.spool.append(rows)
        for lane, clock in ((self._by_exch, "exch"), (self._by_local, "local")):
            of_clock = place
            if not chunk[f"{clock}_sorted"]:
                of_clock = self.spool.append(_sorted(rows, f"{clock}_ts"), keeps=True)
            lane.add(of_clock, len(rows), int(chunk[f"{clock}_min"]))

    def blocks(
        self,
        local_shift_ns: int,
        *,
        drops_marked: bool = False,
        has_numbers: bool = False,
        again: np.ndarray | None = None,
    ) -> Iterator[np.ndarray]:
        """The rows in their order, with flags; to be taken once.

        Args:
            local_shift_ns: Added to each `local_ts`.
            drops_marked: Leave rows with `MARK` out.
            has_numbers: Trades have numbers instead of ids, which are taken away.
            again: The bits of the numbers that do not count, see `sim.convert.rows.again.TradeIds`.

        Yields:
            Rows, at most 32,768, valid until the next are taken.
        """
        bits = 0 if again is None else again.ctypes.data
        by_exch, by_local = self._by_exch.start(bits), self._by_local.start(bits)
        block = np.empty(_BLOCK_ROWS, event_dtype)
        written = np.zeros(1, np.int64)
        while True:
            code = _merge.call(
                by_exch,
                by_local,
                drops_marked,
                has_numbers,
                local_shift_ns,
                block.ctypes.data,
                _BLOCK_ROWS,
                written.ctypes.data,
            )
            if code == _EXCH_EMPTY:
                self._by_exch.fill()
                continue
            if code == _LOCAL_EMPTY:
                self._by_local.fill()
                continue
            if written[0]:
                yield block[: written[0]]
            if written[0] < _BLOCK_ROWS:
                return
            written[0] = 0

    @property
    def rows_left(self) -> int:
        """About how many rows `blocks` did not reach yet, by the local clock."""
        return self._by_local.rows_left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.spool.__exit__(kind, error, trace)


def _sorted(rows: np.ndarray, clock: str) -> np.ndarray:
    numbers = np.argsort(rows[clock], kind="stable")
    target = np.empty_like(rows)
    _gather.call(rows.ctypes.data, numbers.ctypes.data, len(rows), target.ctypes.data)
    return target
