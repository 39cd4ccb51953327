"""Checking rows before they are simulated, in one pass of compiled code."""

# pyright: basic

import math
from typing import Final, NamedTuple

import numpy as np

from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import load_i64, store_i64
from hftd.compiled.row_access import ev_of, exch_ts_of, local_ts_of, px_of, qty_of
from hftd.errors import CURE, DataError
from hftd.rows import QTY_MAX, ROW_BYTES, TICK_MAX, TS_MAX, Address, Ns
from hftd.types import (
    ADD_ORDER_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    FILL_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
    event_dtype,
)

_EXCH_ORDER, _LOCAL_ORDER, _NO_FLAG, _PRICE, _QTY, _NEGATIVE = range(6)
_PROBLEMS: Final = 6
_TICK_ROWS: Final = 1 << 16
_PRICED: Final = np.array([DEPTH_EVENT, TRADE_EVENT, DEPTH_SNAPSHOT_EVENT, ADD_ORDER_EVENT], np.uint64)
_LEVELS: Final = (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT)
_TELLING_PRICES: Final = 20
"""Fewer different prices may have a common step by chance."""
_NEVER: Final = -TS_MAX - 1
"""Earlier than any time of a row."""


class LastTimes(NamedTuple):
    """The last times of the rows checked, in nanoseconds; the next file of a run goes on from there."""

    exch_ts: int
    local_ts: int


@inline
def _problem(ev: int, exch_ts: Ns, local_ts: Ns, px: float, qty: float, exch_last, local_last):
    """The number of the first problem of a row that has one; -1 if it has none after all."""
    if ev & (EXCH_EVENT | LOCAL_EVENT) == 0:
        return _NO_FLAG
    if ev & EXCH_EVENT and exch_ts < exch_last:
        return _EXCH_ORDER
    if ev & LOCAL_EVENT and local_ts < local_last:
        return _LOCAL_ORDER
    kind = ev & KIND_MASK
    if kind >= USER_DEFINED_EVENT or kind in (DEPTH_CLEAR_EVENT, CANCEL_ORDER_EVENT):
        return -1
    if not math.isfinite(px):
        return _PRICE
    if not math.isfinite(qty):
        return _QTY
    return _NEGATIVE if qty < 0 else -1


@kernel("int64(int64, int64, int64)")
def _check(rows: Address, count: int, found: Address) -> int:
    """`found` takes the last times (in and out), then each problem's first row and number of rows."""
    exch_last, local_last = load_i64(found), load_i64(found + 8)
    bad_rows = 0
    for number in range(count):
        at = rows + number * ROW_BYTES
        ev, exch_ts, local_ts = ev_of(at), exch_ts_of(at), local_ts_of(at)
        px, qty = px_of(at), qty_of(at)
        is_exch = ev & EXCH_EVENT != 0
        is_local = ev & LOCAL_EVENT != 0
        is_early = (is_exch & (exch_ts < exch_last)) | (is_local & (local_ts < local_last))
        # px - px and qty - qty are 0 for finite numbers only; kinds that need none are told apart in
        # `_problem`.
        is_odd = (px - px != 0.0) | (qty - qty != 0.0) | (qty < 0.0)
        if is_early | is_odd | (not (is_exch | is_local)):
            problem = _problem(ev, exch_ts, local_ts, px, qty, exch_last, local_last)
            if problem >= 0:
                slot = found + 16 + problem * 16
                if load_i64(slot + 8) == 0:
                    store_i64(slot, number)
                store_i64(slot + 8, load_i64(slot + 8) + 1)
                bad_rows += 1
        exch_last = exch_ts if is_exch else exch_last
        local_last = local_ts if is_local else local_last
    store_i64(found, exch_last)
    store_i64(found + 8, local_last)
    return bad_rows


def check_events(rows: np.ndarray, where: str = "", *, after: LastTimes | None = None) -> LastTimes:
    """Check that rows can be simulated.

    Exchange times must not fall among the rows that the exchange sees, nor local times among those that the
    local side sees; each row is seen by one of them at least; prices and quantities of market data are
    finite, and no quantity is negative. A clear of the depth may have any price, and user-defined rows any
    values.

    Args:
        rows: Rows of `event_dtype`, one-dimensional and contiguous.
        where: The file, for the error.
        after: What the check of the run's file before gave back; rows must not be earlier.

    Returns:
        The last times of the rows, to be passed on to the check of the next file.

    Raises:
        DataError: Something is wrong; says the first such row, counted from 0, its values, and how many there
            are.
    """
    if rows.dtype != event_dtype or rows.ndim != 1 or not rows.flags.c_contiguous:
        raise DataError("these are not contiguous rows of event_dtype", where=where)
    found = np.zeros(2 + 2 * _PROBLEMS, np.int64)
    found[:2] = after or (_NEVER, _NEVER)
    if _check.call(rows.ctypes.data, len(rows), found.ctypes.data):
        raise _error(rows, found[2:].reshape(_PROBLEMS, 2), where, after)
    return LastTimes(int(found[0]), int(found[1]))


class OffTick(NamedTuple):
    """Prices that are no multiples of the tick size.

    Attributes:
        row: The first such row, counted from 0.
        px: Its price.
        count: How many rows are like that.
        looked_at: Of how many.
    """

    row: int
    px: float
    count: int
    looked_at: int


def find_off_tick(rows: np.ndarray, tick_size: float) -> OffTick | None:
    """Look whether the depth and trade rows at a file's start have prices in steps of a tick size.

    Args:
        rows: Rows of `event_dtype`; of a long file only the first 65,536 are looked at.
        tick_size: The step that they are to have.

    Returns:
        None if they all have.
    """
    numbers, px = _prices(rows)
    ticks = px / tick_size
    off = numbers[np.abs(ticks - np.rint(ticks)) > np.maximum(1e-4, np.abs(ticks) * 1e-12)]
    if not len(off):
        return None
    return OffTick(int(off[0]), float(rows["px"][off[0]]), len(off), len(numbers))


def find_coarser_tick(rows: np.ndarray, tick_size: float) -> float:
    """Look whether the prices at a file's start come in steps of several ticks: the tick size is finer than the data's.

    Args:
        rows: Rows of `event_dtype`; of a long file only the first 65,536 are looked at.
        tick_size: The step that they are to have.

    Returns:
        The step that all prices have; 0.0 if it is the tick size, or there are too few prices to tell.
    """
    px = _prices(rows)[1]
    ticks = np.unique(np.rint(px / tick_size))
    if len(ticks) < _TELLING_PRICES or np.abs(ticks).max() >= TICK_MAX:
        return 0.0
    step = int(np.gcd.reduce(ticks.astype(np.int64)))
    return step * tick_size if step > 1 else 0.0


def find_no_level(rows: np.ndarray, tick_size: float) -> int | None:
    """The first row of a snapshot whose price or quantity can't be one: books pass over it. None if all can."""
    is_level = np.isin(rows["ev"] & np.uint64(KIND_MASK), (*_LEVELS, ADD_ORDER_EVENT))
    sound = (np.abs(rows["px"] / tick_size) < TICK_MAX) & (rows["qty"] >= 0.0) & (rows["qty"] < QTY_MAX)
    wrong = np.flatnonzero(is_level & ~sound)
    return int(wrong[0]) if len(wrong) else None


def find_kinds(rows: np.ndarray) -> tuple[bool, bool]:
    """Whether there are levels (kinds 1 and 4), and whether there are single orders (kinds 10 to 13).

    Of a long file only the first 65,536 rows are looked at.
    """
    kinds = rows[:_TICK_ROWS]["ev"] & np.uint64(KIND_MASK)
    has_orders = bool(((kinds >= ADD_ORDER_EVENT) & (kinds <= FILL_EVENT)).any())
    return bool(np.isin(kinds, _LEVELS).any()), has_orders


def _prices(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and prices of the depth and trade rows at the start."""
    start = rows[:_TICK_ROWS]
    kinds = start["ev"] & np.uint64(KIND_MASK)
    is_market = np.isin(kinds, _PRICED)
    numbers = np.flatnonzero(is_market & np.isfinite(start["px"]))
    return numbers, start["px"][numbers]


def _error(rows: np.ndarray, problems: np.ndarray, where: str, after: LastTimes | None) -> DataError:
    """The error of the earliest row that is wrong."""
    number, problem, count = min(
        (int(row), k, int(count)) for k, (row, count) in enumerate(problems) if count
    )
    row = rows[number]
    values = f"ev {int(row['ev']):#x}, exch_ts {row['exch_ts']}, local_ts {row['local_ts']}"
    values += f", px {row['px']}, qty {row['qty']}"
    sort = f"{CURE} puts the rows in the order of both clocks, and splits those on whose place they disagree"
    convert = f"convert the capture again, or let {CURE} drop such rows"
    what, hint = {
        _EXCH_ORDER: ("exch_ts is earlier than in a row before", sort),
        _LOCAL_ORDER: ("local_ts is earlier than in a row before", sort),
        _NO_FLAG: (
            "neither the exchange nor the local side sees the row",
            f"set EXCH_EVENT, LOCAL_EVENT or both in ev, or let {CURE} drop such rows",
        ),
        _PRICE: ("the price is not finite", convert),
        _QTY: ("the quantity is not finite", convert),
        _NEGATIVE: ("the quantity is negative", convert),
    }[problem]
    if after is not None and number == 0 and problem in (_EXCH_ORDER, _LOCAL_ORDER):
        what += ", of the file before it"
        hint = "give a run's files in the order of time"
    others = f" ({count:,} rows are like that)" if count > 1 else ""
    return DataError(f"row {number:,}: {what}{others}: {values}", where=where, hint=hint)
