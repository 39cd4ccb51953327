"""The order of rows on both clocks, by the names and arguments of HftBacktest's `data.validation`.

They take rows in memory. Whole files, of any size, are the matter of `hftd validate --fix` (:mod:`sim.checks`).
"""

# pyright: basic

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.compiled.jit import kernel
from hftd.compiled.native import load_i64
from hftd.compiled.row_access import copy_row, ev_of, exch_ts_of, local_ts_of, set_ev
from hftd.errors import CURE, DataError
from hftd.rows import ROW_BYTES
from hftd.types import EXCH_EVENT, LOCAL_EVENT, event_dtype
from sim.feed.asset import as_rows


class RowOrderError(DataError, ValueError):
    """Rows are not in the order of a clock; a ValueError as well, as scripts expect it."""


def correct_local_timestamp(data: NDArray[Any], base_latency: float) -> NDArray[Any]:
    """Move the local clock of rows, in place, so that none arrives before it was sent.

    Args:
        data: Rows of `event_dtype`.
        base_latency: The least latency that is left then, in the unit of the rows' times.

    Returns:
        The same rows. Those of which none has a negative latency are not changed.
    """
    rows = as_rows(data, event_dtype, "the data")
    if len(rows):
        latency = int((rows["local_ts"] - rows["exch_ts"]).min())
        if latency < 0:
            data["local_ts"] += int(base_latency) - latency
    return data


@kernel("int64(int64, int64, int64, int64, int64)")
def _merge(rows, count, by_exch, by_local, out):
    """Merge two orders of the same rows. Returns how many were written, or -1 - n where the orders disagree on ties."""
    i = j = made = 0
    while i < count or j < count:
        exch = rows + ROW_BYTES * load_i64(by_exch + 8 * min(i, count - 1))
        local = rows + ROW_BYTES * load_i64(by_local + 8 * min(j, count - 1))
        flags = EXCH_EVENT | LOCAL_EVENT
        if i == count:
            flags = LOCAL_EVENT
        elif j == count:
            flags = EXCH_EVENT
        else:
            exch_ahead = exch_ts_of(local) - exch_ts_of(exch)
            if exch_ahead == 0:
                exch_ahead = local_ts_of(local) - local_ts_of(exch)
            if exch_ahead > 0:
                flags = EXCH_EVENT
            elif exch_ahead < 0:
                flags = LOCAL_EVENT
            elif ev_of(exch) != ev_of(local):
                return -1 - i
        row = out + ROW_BYTES * made
        copy_row(row, local if flags == LOCAL_EVENT else exch)
        set_ev(row, ev_of(row) | flags)
        made += 1
        i += int(flags != LOCAL_EVENT)
        j += int(flags != EXCH_EVENT)
    return made


def correct_event_order(
    data: NDArray[Any], sorted_exch_index: NDArray[Any], sorted_local_index: NDArray[Any]
) -> NDArray[Any]:
    """Put rows in one order that is valid for both clocks.

    A row whose place is not the same on both is split in two, each of which only one side sees.

    Args:
        data: Rows of `event_dtype`.
        sorted_exch_index: `np.argsort(data["exch_ts"], kind="stable")`.
        sorted_local_index: `np.argsort(data["local_ts"], kind="stable")`.

    Returns:
        New rows.

    Raises:
        DataError: The indices are of another length, name no row, or put rows of equal times in different orders.
    """
    rows = as_rows(data, event_dtype, "the data")
    orders = [np.ascontiguousarray(index, np.int64) for index in (sorted_exch_index, sorted_local_index)]
    for index in orders:
        if index.shape != (len(rows),) or (len(rows) and not 0 <= index.min() <= index.max() < len(rows)):
            raise DataError(f"an index of {len(index)} does not sort {len(rows)} rows")
    out = np.zeros(2 * len(rows), event_dtype)
    by_exch, by_local = (int(index.ctypes.data) for index in orders)
    made = _merge.call(rows.ctypes.data, len(rows), by_exch, by_local, out.ctypes.data)
    if made < 0:
        raise DataError(
            f"rows of equal times are in different orders, from place {-1 - made} of the exchange's order on",
            hint='sort with np.argsort(..., kind="stable")',
        )
    return out[:made].copy()


def validate_event_order(data: NDArray[Any]) -> None:
    """Check that rows are in the order of both clocks.

    Raises:
        RowOrderError: They are not (it is a ValueError, too).
    """
    rows = as_rows(data, event_dtype, "the data")
    for name, field, flag in (("exchange", "exch_ts", EXCH_EVENT), ("local", "local_ts", LOCAL_EVENT)):
        seen = np.flatnonzero(rows["ev"] & np.uint64(flag))
        late = np.flatnonzero(np.diff(rows[field][seen]) < 0)
        if len(late):
            raise RowOrderError(
                f"{name} events are out of order: row {int(seen[late[0] + 1]):,} goes back by {field}",
                hint=f"correct_event_order sorts rows in memory, {CURE} a file",
            )
