"""What is to be known of all rows before the first can be written, gathered chunk by chunk.

The clock correction needs the least latency of all. Rows of snapshots that do not name their symbol are marked
in `ev`, and counted apart: only at the end of a capture is it known whether they can be used.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.jit import kernel
from hftd.compiled.native import load_i64, store_i64
from hftd.compiled.row_access import ev_of, exch_ts_of, local_ts_of, set_ev
from hftd.rows import ROW_BYTES, TS_MAX, Address
from hftd.types import KIND_MASK

MARK: Final = 1 << 27
"""In `ev`, between the first pass and the second: the row is of a snapshot that names no symbol."""
_FAR: Final = TS_MAX + 1

survey_dtype = np.dtype(
    [
        ("count", "i8"),
        ("exch_min", "i8"),
        ("exch_max", "i8"),
        ("local_min", "i8"),
        ("local_max", "i8"),
        ("latency_min", "i8"),
        ("kinds", "i8", (256,)),
    ],
    align=True,
)
"""What rows are like: how many, their times in nanoseconds, and how many of each kind."""
_SURVEY: Final = survey_dtype.itemsize

chunk_dtype = np.dtype(
    [
        ("exch_sorted", "i8"),
        ("local_sorted", "i8"),
        ("exch_min", "i8"),
        ("local_min", "i8"),
    ],
    align=True,
)
"""What must be known of a chunk of rows to put it in a clock's order."""


@kernel("int64(int64, int64, int64, int64)")
def _survey(rows: Address, count: int, surveys, chunk) -> int:
    """Look at a chunk's rows; `surveys` are two: of rows without the mark, and of those with it."""
    exch_sorted, local_sorted = 1, 1
    exch_last = exch_least = exch_ts_of(rows)
    local_last = local_least = local_ts_of(rows)
    for at in range(rows, rows + count * ROW_BYTES, ROW_BYTES):
        ev = ev_of(at)
        target = surveys + (_SURVEY if ev & MARK else 0)
        exch_ts, local_ts = exch_ts_of(at), local_ts_of(at)
        exch_sorted &= exch_ts >= exch_last
        local_sorted &= local_ts >= local_last
        exch_last, local_last = exch_ts, local_ts
        exch_least, local_least = min(exch_least, exch_ts), min(local_least, local_ts)
        store_i64(target, load_i64(target) + 1)
        store_i64(target + 8, min(load_i64(target + 8), exch_ts))
        store_i64(target + 16, max(load_i64(target + 16), exch_ts))
        store_i64(target + 24, min(load_i64(target + 24), local_ts))
        store_i64(target + 32, max(load_i64(target + 32), local_ts))
        store_i64(target + 40, min(load_i64(target + 40), local_ts - exch_ts))
        kind = target + 48 + (ev & KIND_MASK) * 8
        store_i64(kind, load_i64(kind) + 1)
    store_i64(chunk, exch_sorted)
    store_i64(chunk + 8, local_sorted)
    store_i64(chunk + 16, exch_least)
    store_i64(chunk + 24, local_least)
    return 0


@kernel("int64(int64, int64)")
def mark_rows(rows: Address, count: int) -> int:
    """Mark rows as those of a snapshot that names no symbol."""
    for at in range(rows, rows + count * ROW_BYTES, ROW_BYTES):
        set_ev(at, ev_of(at) | MARK)
    return 0


class Survey:
    """What rows are like, from chunk to chunk."""

    def __init__(self) -> None:
        self._found = np.zeros(2, survey_dtype)
        for name, value in (("min", _FAR), ("max", -_FAR)):
            self._found[f"exch_{name}"] = value
            self._found[f"local_{name}"] = value
        self._found["latency_min"] = _FAR

    def add(self, rows: np.ndarray) -> Any:
        """Look at a chunk, of at least one row; returns a `chunk_dtype` record."""
        chunk = np.zeros(1, chunk_dtype)
        _survey.call(rows.ctypes.data, len(rows), self._found.ctypes.data, chunk.ctypes.data)
        return chunk[0]

    def result(self, *, drops_marked: bool = False) -> Any:
        """The `survey_dtype` record of all rows, or of those without the mark."""
        plain, marked = self._found.copy()
        if not drops_marked:
            for name in ("count", "kinds"):
                plain[name] += marked[name]
            for name in ("exch_min", "local_min", "latency_min"):
                plain[name] = min(plain[name], marked[name])
            for name in ("exch_max", "local_max"):
                plain[name] = max(plain[name], marked[name])
        return plain
