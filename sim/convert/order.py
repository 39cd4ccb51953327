"""One order of rows that is valid for both clocks.

The exchange's side reads an archive by `exch_ts`, the local side by `local_ts`. Where the two disagree (a
message overtook another, or a recorder wrote one late), a row is split in two: one with the flag of the
exchange at its place by `exch_ts`, one with the local flag at its place by `local_ts`. All other rows carry
both flags.

The two orders are merged as HftBacktest's `correct_event_order` does (2.4.4, which reads beyond its indices
at the end).
"""

# pyright: basic

from collections.abc import Iterator
from typing import Final

import numpy as np

from hftd.jit import inline, kernel
from hftd.native import load_i64, store_i64
from hftd.types import EXCH_EVENT, KIND_MASK, LOCAL_EVENT, event_dtype

_ROW: Final = 64
_BOTH: Final = EXCH_EVENT | LOCAL_EVENT
_BLOCK_ROWS: Final = 1 << 15

survey_dtype = np.dtype(
    [
        ("exch_sorted", "i8"),
        ("local_sorted", "i8"),
        ("exch_min", "i8"),
        ("exch_max", "i8"),
        ("local_min", "i8"),
        ("local_max", "i8"),
        ("latency_min", "i8"),
        ("kinds", "i8", (256,)),
    ],
    align=True,
)
"""What `survey` finds: times in nanoseconds, rows of each kind, and whether they are in a clock's order."""


@kernel("int64(int64, int64, int64)")
def _survey(rows, count, target):
    exch_sorted, local_sorted = 1, 1
    exch_min = exch_max = exch_last = load_i64(rows + 8)
    local_min = local_max = local_last = load_i64(rows + 16)
    latency_min = local_last - exch_last
    for at in range(rows, rows + count * _ROW, _ROW):
        kind = target + 56 + (load_i64(at) & KIND_MASK) * 8
        exch_ts = load_i64(at + 8)
        local_ts = load_i64(at + 16)
        exch_sorted &= exch_ts >= exch_last
        local_sorted &= local_ts >= local_last
        exch_last, local_last = exch_ts, local_ts
        exch_min, exch_max = min(exch_min, exch_ts), max(exch_max, exch_ts)
        local_min, local_max = min(local_min, local_ts), max(local_max, local_ts)
        latency_min = min(latency_min, local_ts - exch_ts)
        store_i64(kind, load_i64(kind) + 1)
    store_i64(target, exch_sorted)
    store_i64(target + 8, local_sorted)
    store_i64(target + 16, exch_min)
    store_i64(target + 24, exch_max)
    store_i64(target + 32, local_min)
    store_i64(target + 40, local_max)
    store_i64(target + 48, latency_min)
    return 0


def survey(rows: np.ndarray) -> np.void:
    """Look once through rows of `event_dtype`, at least one; returns a `survey_dtype` record."""
    found = np.zeros(1, survey_dtype)
    _survey.call(rows.ctypes.data, len(rows), found.ctypes.data)
    return found[0]


@inline
def _row_at(rows, index, number):
    return rows + (load_i64(index + number * 8) if index else number) * _ROW


@inline
def _put(row, flags, shift, target):
    store_i64(target, load_i64(row) | flags)
    store_i64(target + 8, load_i64(row + 8))
    store_i64(target + 16, load_i64(row + 16) + shift)
    for offset in range(24, _ROW, 8):
        store_i64(target + offset, load_i64(row + offset))


@kernel("int64(int64, int64, int64, int64, int64, int64, int64, int64)")
def _merge(rows, count, by_exch, by_local, position, shift, target, limit):
    """Merge up to `limit` rows into `target` (0: only count), going on at `position`, two numbers."""
    exch_number = load_i64(position)
    local_number = load_i64(position + 8)
    out = 0
    while out < limit:
        if exch_number < count and local_number < count:
            a = _row_at(rows, by_exch, exch_number)
            b = _row_at(rows, by_local, local_number)
            exch_a, exch_b = load_i64(a + 8), load_i64(b + 8)
            local_a, local_b = load_i64(a + 16), load_i64(b + 16)
            is_both = a == b
            is_exch = exch_a < exch_b or (exch_a == exch_b and local_a <= local_b)
        elif exch_number < count:
            a = b = _row_at(rows, by_exch, exch_number)
            is_both, is_exch = False, True
        elif local_number < count:
            a = b = _row_at(rows, by_local, local_number)
            is_both, is_exch = False, False
        else:
            break
        if is_both:
            row, flags = a, _BOTH
            exch_number += 1
            local_number += 1
        elif is_exch:
            row, flags = a, EXCH_EVENT
            exch_number += 1
        else:
            row, flags = b, LOCAL_EVENT
            local_number += 1
        if target:
            _put(row, flags, shift, target + out * _ROW)
        out += 1
    store_i64(position, exch_number)
    store_i64(position + 8, local_number)
    return out


class Ordered:
    """The merged rows of `rows`, made block by block as they are taken.

    Args:
        rows: Rows of `event_dtype` without flags, as they were received; kept, not copied.
        found: What `survey` found about them.
        local_shift_ns: Added to each `local_ts`.

    Attributes:
        count: How many rows `blocks` gives.
    """

    def __init__(self, rows: np.ndarray, found: np.void, local_shift_ns: int) -> None:
        self._rows = rows
        self._shift = local_shift_ns
        self._by_exch = None if found["exch_sorted"] else np.argsort(rows["exch_ts"], kind="stable")
        self._by_local = None if found["local_sorted"] else np.argsort(rows["local_ts"], kind="stable")
        self.count = self._merge(np.zeros(2, np.int64), None, 2 * len(rows))

    def _merge(self, position: np.ndarray, target: np.ndarray | None, limit: int) -> int:
        return _merge.call(
            self._rows.ctypes.data,
            len(self._rows),
            0 if self._by_exch is None else self._by_exch.ctypes.data,
            0 if self._by_local is None else self._by_local.ctypes.data,
            position.ctypes.data,
            self._shift,
            0 if target is None else target.ctypes.data,
            limit,
        )

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows, in new arrays of at most 32,768."""
        position = np.zeros(2, np.int64)
        while True:
            block = np.empty(_BLOCK_ROWS, event_dtype)
            size = self._merge(position, block, _BLOCK_ROWS)
            if size:
                yield block[:size]
            if size < _BLOCK_ROWS:
                return
