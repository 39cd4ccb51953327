"""Two orders of one stream of rows, each sorted by its clock, made one that is valid for both.

As :mod:`sim.convert.order` does for rows that are all in memory, but on queues that are filled bit by bit: where the
next row of both orders is the same, it stays whole; else the earlier one goes first, and has the flag of its clock.
"""

# pyright: basic

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hftd.jit import inline, kernel
from hftd.native import copy_bytes, load_f64, load_i64, store_i64
from hftd.types import EXCH_EVENT, KIND_MASK, LOCAL_EVENT, event_dtype
from sim.checks.rows import is_priced, is_sound, is_time

_ROW: Final = 64
_BOTH: Final = EXCH_EVENT | LOCAL_EVENT
KEPT, NO_FLAG, NO_TIME, VALUE = range(4)


@kernel("int64(int64, int64, float64, int64)")
def judge_rows(rows, count, tick_size, target):
    """Write to `target` (uint8) for each row whether an engine takes it (`KEPT`), or why not."""
    for number in range(count):
        row = rows + number * _ROW
        ev, exch_ts, local_ts = load_i64(row), load_i64(row + 8), load_i64(row + 16)
        verdict = KEPT
        if ev & _BOTH == 0:
            verdict = NO_FLAG
        elif not (is_time(exch_ts) and is_time(local_ts)):
            verdict = NO_TIME
        elif is_priced(ev & KIND_MASK) and not is_sound(load_f64(row + 24), load_f64(row + 32), tick_size):
            verdict = VALUE
        store_i64(target + 8 * number, verdict)
    return count


@inline
def _put(row, dropped, target):
    copy_bytes(target, row, _ROW)
    store_i64(target, load_i64(row) & ~dropped)


@kernel("int64(int64, int64, int64, int64, int64, int64, int64, int64, int64, int64)")
def _merge(exch, exch_ids, exch_count, local, local_ids, local_count, is_last, position, target, limit):
    """Merge up to `limit` rows; stops where one queue is empty, unless these are the last. Returns how many."""
    i, j = load_i64(position), load_i64(position + 8)
    splits = load_i64(position + 16)
    out = 0
    while out < limit:
        has_exch, has_local = i < exch_count, j < local_count
        if not (has_exch and has_local) and (is_last == 0 or not (has_exch or has_local)):
            break
        a, b = exch + i * _ROW, local + j * _ROW
        to = target + out * _ROW
        if has_exch and has_local and load_i64(exch_ids + 8 * i) == load_i64(local_ids + 8 * j):
            _put(a, 0, to)
            i += 1
            j += 1
        elif has_exch and (
            not has_local
            or load_i64(a + 8) < load_i64(b + 8)
            or (load_i64(a + 8) == load_i64(b + 8) and load_i64(a + 16) <= load_i64(b + 16))
        ):
            splits += 1 if load_i64(a) & LOCAL_EVENT else 0
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
    rows = np.concatenate([part[0] for part in parts])
    return rows, np.concatenate([part[1] for part in parts])


class Merger:
    """Takes rows in both orders and gives them in one.

    Attributes:
        splits: Rows that became two.
    """

    def __init__(self) -> None:
        empty = np.empty(0, event_dtype), np.empty(0, np.int64)
        self._exch: Numbered = empty
        self._local: Numbered = empty
        self._position = np.zeros(3, np.int64)

    @property
    def splits(self) -> int:
        """Rows that became two."""
        return int(self._position[2])

    def push(self, exch: Numbered, local: Numbered, *, is_last: bool) -> NDArray[np.void]:
        """Take the next rows of both orders, and give those whose place is known."""
        self._exch = _joined([self._exch, exch])
        self._local = _joined([self._local, local])
        limit = len(self._exch[0]) + len(self._local[0])
        target = np.empty(limit, event_dtype)
        size = _merge.call(
            self._exch[0].ctypes.data,
            self._exch[1].ctypes.data,
            len(self._exch[0]),
            self._local[0].ctypes.data,
            self._local[1].ctypes.data,
            len(self._local[0]),
            int(is_last),
            self._position.ctypes.data,
            target.ctypes.data,
            limit,
        )
        i, j = int(self._position[0]), int(self._position[1])
        self._exch = self._exch[0][i:].copy(), self._exch[1][i:].copy()
        self._local = self._local[0][j:].copy(), self._local[1][j:].copy()
        self._position[:2] = 0
        return target[:size]
