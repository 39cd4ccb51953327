"""Sorting rows by one clock, in bounded memory.

Rows of an archive are nearly in order. A number of rows is held back, the rest goes on in order; that puts right
whatever is at most so many rows from its place, and a row whose time lies far ahead does no harm: it is held to the
end. What comes later than what went on already is a straggler. A first pass finds the stragglers, so that the second
can put each in at its place.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError
from hftd.types import event_dtype
from sim.checks.merge import Numbered

HELD_ROWS: Final = 1 << 19
STRAGGLERS_MAX: Final = 1 << 19


class Scout:
    """The first pass: finds the stragglers of one clock.

    Args:
        clock: `exch_ts` or `local_ts`.
        held_rows: How many rows are held back.
        where: The file, for the error.

    Attributes:
        cutoffs: After each block, the time up to which rows went on.
    """

    def __init__(self, clock: str, held_rows: int, where: str) -> None:
        self.clock = clock
        self.cutoffs: list[int] = []
        self._held_rows = held_rows
        self._where = where
        self._held = np.empty(0, np.int64)
        self._cutoff = np.iinfo(np.int64).min
        self._late: list[Numbered] = []
        self._late_count = 0

    def push(self, rows: NDArray[np.void], ids: NDArray[np.int64]) -> None:
        """Look at the next rows.

        Raises:
            DataError: There are too many stragglers.
        """
        keys = rows[self.clock]
        is_late = keys < self._cutoff
        if is_late.any():
            self._late.append((rows[is_late], ids[is_late]))
            self._late_count += int(is_late.sum())
            if self._late_count > STRAGGLERS_MAX:
                raise DataError(
                    f"more than {STRAGGLERS_MAX:,} rows are more than {self._held_rows:,} rows away from their place "
                    f"by {self.clock}",
                    where=self._where,
                    hint="these are no rows that a recorder wrote late: were files put together in the wrong order? "
                    "Nothing was written",
                )
            keys = keys[~is_late]
        held = np.sort(np.concatenate((self._held, keys)), kind="stable")
        gone = max(len(held) - self._held_rows, 0)
        if gone:
            self._cutoff = int(held[gone - 1])
            held = held[gone:].copy()
        self._held = held
        self.cutoffs.append(self._cutoff)

    def late(self) -> Numbered:
        """The stragglers, in the order of the file."""
        if not self._late:
            return np.empty(0, event_dtype), np.empty(0, np.int64)
        return (
            np.concatenate([rows for rows, _ in self._late]),
            np.concatenate([ids for _, ids in self._late]),
        )


class Sorter:
    """The second pass: gives the rows of one clock in order.

    Args:
        scout: That of the first pass, over the same blocks.
    """

    def __init__(self, scout: Scout) -> None:
        self._clock = scout.clock
        self._cutoffs = iter(scout.cutoffs)
        self._held = scout.late()
        self._late_ids = np.sort(self._held[1])

    def push(self, rows: NDArray[np.void], ids: NDArray[np.int64]) -> Numbered:
        """Take the next block, and give the rows whose place is known."""
        if len(self._late_ids):
            # They have been here from the start.
            is_new = ~np.isin(ids, self._late_ids, assume_unique=True)
            rows, ids = rows[is_new], ids[is_new]
        rows, ids = np.concatenate((self._held[0], rows)), np.concatenate((self._held[1], ids))
        rows, ids = self._sorted(rows, ids)
        gone = int(np.searchsorted(rows[self._clock], next(self._cutoffs), side="right"))
        self._held = rows[gone:].copy(), ids[gone:].copy()
        return rows[:gone], ids[:gone]

    def finish(self) -> Numbered:
        """The rows that were held back."""
        rows = self._sorted(*self._held)
        self._held = rows[0][:0], rows[1][:0]
        return rows

    def _sorted(self, rows: NDArray[np.void], ids: NDArray[np.int64]) -> Numbered:
        keys = rows[self._clock]
        if (np.diff(keys) >= 0).all() and not len(self._late_ids):
            return rows, ids
        order = np.lexsort((ids, keys)) if len(self._late_ids) else np.argsort(keys, kind="stable")
        return rows[order], ids[order]
