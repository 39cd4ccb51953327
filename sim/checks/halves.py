"""Rows that are split, one for each clock, of which one half can't be: the other half has to go with it."""

from collections import Counter, defaultdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.rows import QTY_MAX, TICK_MAX, TS_MAX
from hftd.types import EXCH_EVENT, LOCAL_EVENT, event_dtype
from sim.checks.merge import KEPT, NO_FLAG, judge_rows
from sim.checks.pairs import print_halves

_FIELDS: Final = ("exch_ts", "local_ts", "px", "qty", "order_id", "ival", "fval")
_BOTH: Final = EXCH_EVENT | LOCAL_EVENT
_Half = tuple[int, int]
"""The clock's flag, and the number of the row among the lone halves."""


def prints_of(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """What tells halves from each other, shape (n,); 0 for rows that are not halves."""
    rows = np.ascontiguousarray(rows)
    prints = np.empty(len(rows), np.int64)
    print_halves.call(rows.ctypes.data, len(rows), prints.ctypes.data)
    return prints


def judged(rows: NDArray[np.void], tick_size: float) -> NDArray[np.int64]:
    """Whether an engine takes each row, shape (n,): see `sim.checks.merge.judge_rows`."""
    rows = np.ascontiguousarray(rows)
    verdicts = np.empty(len(rows), np.int64)
    judge_rows.call(rows.ctypes.data, len(rows), tick_size, verdicts.ctypes.data)
    return verdicts


def widows(lone: NDArray[np.void], tick_size: float) -> tuple[Counter[int], int]:
    """The halves whose other half can't be played, and is dropped.

    The two halves of a row are equal but for their clock. One with a price, quantity or time that can't be is taken
    for the other half of a lone one that equals it in all other fields.

    Args:
        lone: The rows of one clock without an equal row of the other, `sim.checks.layout.place_dtype`, each with how
            often it is there as `extra`.
        tick_size: By which prices are judged.

    Returns:
        How many rows of each print (see `prints_of`) are to be dropped, and how many of the lone halves can't be
        played.
    """
    rows = np.ascontiguousarray(lone["event"]).astype(event_dtype)
    verdicts = judged(rows, tick_size)
    left = {number: int(lone["extra"][number]) for number in np.flatnonzero(verdicts == KEPT).tolist()}
    bad = np.flatnonzero((verdicts != KEPT) & (verdicts != NO_FLAG)).tolist()
    prints = prints_of(rows)
    found: Counter[int] = Counter()
    by_key: dict[tuple[str, ...], dict[Any, list[int]]] = {}
    for number in bad:
        names = _sound_fields(rows[number], tick_size)
        if names not in by_key:
            by_key[names] = defaultdict(list)
            for other in reversed(left):
                by_key[names][_key(rows[other], names)].append(other)
        flags = int(rows["ev"][number]) & _BOTH
        others = by_key[names].get(_key(rows[number], names, flags ^ _BOTH), [])
        wanted = int(lone["extra"][number])
        while others and wanted:
            taken = min(wanted, left[others[-1]])
            if taken:
                found[int(prints[others[-1]])] += taken
            left[others[-1]] -= taken
            wanted -= taken
            if not left[others[-1]]:
                others.pop()
    return found, sum(int(lone["extra"][number]) for number in bad)


def _key(row: Any, names: tuple[str, ...], flags: int | None = None) -> tuple[Any, ...]:
    ev = int(row["ev"])
    return (ev if flags is None else ev & ~_BOTH | flags, *(row[name].tobytes() for name in names))


def _sound_fields(row: Any, tick_size: float) -> tuple[str, ...]:
    """The fields in which the other half has to be equal: those that can be."""
    px, qty = float(row["px"]), float(row["qty"])
    wrong = {
        "exch_ts": abs(int(row["exch_ts"])) > TS_MAX,
        "local_ts": abs(int(row["local_ts"])) > TS_MAX,
        "px": not -TICK_MAX < px / tick_size < TICK_MAX,
        "qty": not 0.0 <= qty < QTY_MAX,
    }
    return tuple(name for name in _FIELDS if not wrong.get(name, False))
