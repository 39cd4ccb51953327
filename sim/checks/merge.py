"""Two orders of one stream of rows, each sorted by its clock, made one that is valid for both.

As :mod:`sim.convert.rows.order` does for rows that are all in memory, but on queues that are filled bit by bit: where
the next row of both orders is the same, it stays whole; else the earlier one goes first, and has the flag of its clock.
"""

# pyright: basic

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import load_i64, store_i64
from hftd.compiled.row_access import (
    copy_row,
    ev_of,
    exch_ts_of,
    is_sound,
    is_time,
    local_ts_of,
    px_of,
    qty_of,
    set_ev,
)
from hftd.rows import ROW_BYTES, Address
from hftd.types import EXCH_EVENT, KIND_MASK, LOCAL_EVENT, event_dtype
from sim.checks.rows import is_priced

_BOTH: Final = EXCH_EVENT | LOCAL_EVENT
KEPT, NO_FLAG, NO_TIME, VALUE = range(4)
QUEUED_ROWS: Final = 1 << 20
"""So many rows of one clock wait for the other; with more, as where one of them has a time far ahead, they go first."""
END_TS: Final = (1 << 63) - 1
"""The least time that can still come of a clock that has no more rows."""


@kernel("int64(int64, int64, float64, int64)")
def judge_rows(rows: Address, count: int, tick_size: float, target: Address) -> int:
    """Write to `target` (uint8) for each row whether an engine takes it (`KEPT`), or why not."""
    for number in range(count):
        row = rows + number * ROW_BYTES
        ev, exch_ts, local_ts = ev_of(row), exch_ts_of(row), local_ts_of(row)
        verdict = KEPT
        if ev & _BOTH == 0:
            verdict = NO_FLAG
        elif not (is_time(exch_ts) and is_time(local_ts)):
            verdict = NO_TIME
        elif is_priced(ev & KIND_MASK) and not is_sound(px_of(row) / tick_size, qty_of(row)):
            verdict = VALUE
        store_i64(target + 8 * number, verdict)
    return count


@inline
def _put(row: Address, dropped, target: Address):
    copy_row(target, row)
    set_ev(target, ev_of(row) & ~dropped)


@kernel("int64(int64, int64, int64, int64, int64, int64, int64, int64, int64, int64, int64)")
def _merge(
    exch,
    exch_ids,
    exch_count,
    local,
    local_ids,
    local_count,
    exch_floor,
    local_floor,
    queued,
    position,
    target: Address,
) -> int:
    """Merge what can be merged; the floors are the least times that can still come. Returns how many rows."""
    i, j = load_i64(position), load_i64(position + 8)
    splits = load_i64(position + 16)
    out = 0
    while i < exch_count or j < local_count:
        has_exch, has_local = i < exch_count, j < local_count
        a, b = exch + i * ROW_BYTES, local + j * ROW_BYTES
        if not has_local and local_floor != END_TS and exch_count - i <= queued:
            break
        # A row that the exchange sent before all that can still come does not wait.
        if (
            not has_exch
            and exch_floor != END_TS
            and exch_ts_of(b) >= exch_floor
            and local_count - j <= queued
        ):
            break
        to = target + out * ROW_BYTES
        if has_exch and has_local and load_i64(exch_ids + 8 * i) == load_i64(local_ids + 8 * j):
            _put(a, 0, to)
            i += 1
            j += 1
        elif has_exch and (
            not has_local
            or exch_ts_of(a) < exch_ts_of(b)
            or (exch_ts_of(a) == exch_ts_of(b) and local_ts_of(a) <= local_ts_of(b))
        ):
            splits += 1 if ev_of(a) & LOCAL_EVENT else 0
            _put(a, LOCAL_EVENT, to)
            i += 1
        else:
            _put(b, EXCH_EVENT, to)
            j += 1
        out += 1
    store_i64(position, i)
    store_i64(position + 8, j)
    store_i64(position + 16, splits)
    return out


Numbered = tuple[NDArray[np.void], NDArray[np.int64]]
"""Rows, and their numbers in the input."""


def _joined(parts: list[Numbered]) -> Numbered:
    parts = [part for part in parts if len(part[1])] or parts[:1]
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0][0]), np.ascontiguousarray(parts[0][1])
    rows = np.concatenate([part[0] for part in parts])
    return rows, np.concatenate([part[1] for part in parts])


class Merger:
    """Takes rows in both orders and gives them in one.

    Args:
        queued_rows: How many rows of a clock may wait.

    Attributes:
        splits: Rows that became two.
    """

    def __init__(self, queued_rows: int = QUEUED_ROWS) -> None:
        self._queued_rows = queued_rows
        empty = np.empty(0, event_dtype), np.empty(0, np.int64)
        self._exch: Numbered = empty
        self._local: Numbered = empty
        self._position = np.zeros(3, np.int64)

    @property
    def splits(self) -> int:
        """Rows that became two."""
        return int(self._position[2])

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows of each clock that wait."""
        return len(self._exch[1]), len(self._local[1])

    def push(
        self, exch: Numbered, local: Numbered, *, exch_floor: int = END_TS, local_floor: int = END_TS
    ) -> NDArray[np.void]:
        """Take the next rows of both orders, and give those whose place is known.

        Args:
            exch: Rows in the order of the exchange's clock.
            local: Rows in the order of the local clock.
            exch_floor: The least `exch_ts` that can still come in `exch`; `END_TS`: there are no more.
            local_floor: The least `local_ts` that can still come in `local`; `END_TS`: there are no more.
        """
        self._exch = _joined([self._exch, exch])
        self._local = _joined([self._local, local])
        target = np.empty(len(self._exch[0]) + len(self._local[0]), event_dtype)
        size = _merge.call(
            self._exch[0].ctypes.data,
            self._exch[1].ctypes.data,
            len(self._exch[0]),
            self._local[0].ctypes.data,
            self._local[1].ctypes.data,
            len(self._local[0]),
            exch_floor,
            local_floor,
            self._queued_rows,
            self._position.ctypes.data,
            target.ctypes.data,
        )
        i, j = int(self._position[0]), int(self._position[1])
        self._exch = self._exch[0][i:].copy(), self._exch[1][i:].copy()
        self._local = self._local[0][j:].copy(), self._local[1][j:].copy()
        self._position[:2] = 0
        return target[:size]
