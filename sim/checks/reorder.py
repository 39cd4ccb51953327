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
from sim.checks.merge import END_TS, Numbered

HELD_ROWS: Final = 1 << 17
STRAGGLERS_MAX: Final = 1 << 19


class Scout:
    """The first pass: finds the stragglers of one clock.

    Args:
        clock: `exch_ts` or `local_ts`.
        held_rows: How many rows are held back.
        where: The file, for the error.
    """

    def __init__(self, clock: str, held_rows: int, where: str) -> None:
        self.clock = clock
        self._cutoffs: list[int] = []
        self._least: list[int] = []
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
        self._cutoffs.append(self._cutoff)
        self._least.append(int(keys.min()) if len(keys) else END_TS)

    def cutoffs(self) -> list[int]:
        """After each block, the time up to which rows can go on: `END_TS` where no more come.

        Where later blocks have but later rows, none need be held: so a clock of few rows does not stop the other.
        """
        least = np.append(np.array(self._least[1:], np.int64), END_TS)[: len(self._least)]
        later = np.minimum.accumulate(least[::-1])[::-1]
        return np.maximum(np.array(self._cutoffs, np.int64), later).tolist()

    def late(self) -> Numbered:
        """The stragglers, in the order of the file."""
        if not self._late:
            return np.empty(0, event_dtype), np.empty(0, np.int64)
        return (
            np.concatenate([rows for rows, _ in self._late]),
            np.concatenate([ids for _, ids in self._late]),
        )


class Sorter:
    """The second pass: gives the rows of one clock in order, those of equal times in the order of the file.

    Args:
        scout: That of the first pass, over the same blocks.

    Attributes:
        floor: The least time that can still come; `END_TS` when all rows have been given.
    """

    def __init__(self, scout: Scout) -> None:
        self._clock = scout.clock
        self._cutoffs = iter(scout.cutoffs())
        self.floor = int(np.iinfo(np.int64).min)
        self._held: Numbered = np.empty(0, event_dtype), np.empty(0, np.int64)
        rows, ids = scout.late()
        self._late_ids = ids
        order = np.argsort(rows[self._clock], kind="stable")
        self._late: Numbered = rows[order], ids[order]

    def push(self, rows: NDArray[np.void], ids: NDArray[np.int64]) -> Numbered:
        """Take the next block, and give the rows whose place is known."""
        self.floor = cutoff = next(self._cutoffs)
        # All others of a straggler's time stand before it in the file, and have come when the cutoff is beyond it.
        due = int(np.searchsorted(self._late[0][self._clock], cutoff, side="left"))
        rows, ids = self._sorted(
            [self._held, self._new(rows, ids), (self._late[0][:due], self._late[1][:due])]
        )
        self._late = self._late[0][due:], self._late[1][due:]
        gone = int(np.searchsorted(rows[self._clock], cutoff, side="right"))
        self._held = rows[gone:].copy(), ids[gone:].copy()
        return rows[:gone], ids[:gone]

    def finish(self) -> Numbered:
        """The rows that were held back."""
        rest = self._sorted([self._held, self._late])
        self._held = self._late = rest[0][:0], rest[1][:0]
        return rest

    def _new(self, rows: NDArray[np.void], ids: NDArray[np.int64]) -> Numbered:
        """A block without its stragglers, which are here already."""
        if not len(ids):
            return rows, ids
        low, high = np.searchsorted(self._late_ids, [ids[0], ids[-1] + 1])
        if low == high:
            return rows, ids
        late = np.searchsorted(ids, self._late_ids[low:high])
        return np.delete(rows, late), np.delete(ids, late)

    def _sorted(self, parts: list[Numbered]) -> Numbered:
        rows = np.concatenate([part[0] for part in parts])
        ids = np.concatenate([part[1] for part in parts])
        keys = np.ascontiguousarray(rows[self._clock])
        if (keys[1:] >= keys[:-1]).all():
            return rows, ids
        order = np.argsort(keys, kind="stable")
        return rows[order], ids[order]
