"""Windows in which something is missing, from a recorder's notes: where they stand among the rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError
from hftd.recording import Gap, gaps_of, quality_path, read_notes
from hftd.rows import BOOK_BACK, BOOK_LOST
from hftd.types import EXCH_EVENT, LOCAL_EVENT, event_dtype

_SIDES: Final = ((EXCH_EVENT, "exch_ts"), (LOCAL_EVENT, "local_ts"))


def recorded_gaps(inputs: Sequence[Path]) -> list[Gap]:
    """What the notes beside recordings say is missing; nothing where there are none.

    Raises:
        DataError: Notes can't be read.
    """
    found = [path for path in map(quality_path, inputs) if path.exists()]
    try:
        return gaps_of([read_notes(path) for path in found])
    except OSError as error:
        raise DataError(
            f"the notes of a recording can't be read: {error.strerror}", where=str(found[0])
        ) from None


def placed(gaps: Sequence[Gap], shift_ns: int, first_ns: int, last_ns: int) -> list[Gap]:
    """The windows on an archive's local clock, as far as its rows reach."""
    found: list[Gap] = []
    for gap in gaps:
        from_ns, noticed_ns, until_ns = (
            min(max(ns + shift_ns, first_ns), last_ns) for ns in (gap.from_ns, gap.noticed_ns, gap.until_ns)
        )
        if until_ns > from_ns:
            found.append(Gap(from_ns, noticed_ns, until_ns, gap.kind, gap.why))
    return found


class GapMarks:
    """Puts rows of `BOOK_LOST` and `BOOK_BACK` among others, for each window of the book.

    Each stands twice: for the local side by `local_ts`, for the exchange's by `exch_ts`, both at the time at which who
    listened knew.

    Args:
        gaps: The windows, by the clock of the rows.
    """

    def __init__(self, gaps: Sequence[Gap]) -> None:
        marks: list[tuple[int, int]] = []
        for gap in sorted((one for one in gaps if one.kind == "book"), key=lambda one: one.noticed_ns):
            if marks and gap.noticed_ns <= marks[-1][0]:
                marks[-1] = max(marks[-1][0], gap.until_ns), BOOK_BACK
            else:
                marks += [(gap.noticed_ns, BOOK_LOST), (gap.until_ns, BOOK_BACK)]
        self._marks = marks
        self._done = [0, 0]
        self._exch_ts = 0

    def mixed(self, block: NDArray[Any]) -> NDArray[Any]:
        """A block of rows, in order, with the marks that belong before or between them."""
        if self._done == [len(self._marks)] * 2:
            return block
        places: list[int] = []
        rows: list[NDArray[Any]] = []
        if not self._exch_ts and len(block):
            self._exch_ts = int(block["exch_ts"][0])
        for side, (flag, clock) in enumerate(_SIDES):
            seen = np.flatnonzero(block["ev"] & np.uint64(flag))
            times = block[clock][seen]
            while self._done[side] < len(self._marks) and len(times):
                ns, kind = self._marks[self._done[side]]
                at = int(np.searchsorted(times, ns, "left" if kind == BOOK_LOST else "right"))
                if at == len(times):
                    break
                places.append(int(seen[at]))
                # For the local side it arrives no sooner than what came before.
                exch_ts = ns if not side else int(block["exch_ts"][seen[at - 1]]) if at else self._exch_ts
                rows.append(_row(flag, kind, min(exch_ts, ns), ns))
                self._done[side] += 1
            if side and len(seen):
                self._exch_ts = int(block["exch_ts"][seen[-1]])
        return np.insert(block, places, np.concatenate(rows)) if rows else block

    def rest(self) -> Iterator[NDArray[Any]]:
        """The marks behind the last row."""
        for side, (flag, _) in enumerate(_SIDES):
            for ns, kind in self._marks[self._done[side] :]:
                yield _row(flag, kind, min(self._exch_ts, ns) if side else ns, ns)
            self._done[side] = len(self._marks)


def _row(flag: int, kind: int, exch_ts: int, local_ts: int) -> NDArray[Any]:
    row = np.zeros(1, event_dtype)
    row["ev"], row["exch_ts"], row["local_ts"] = flag | kind, exch_ts, local_ts
    return row
