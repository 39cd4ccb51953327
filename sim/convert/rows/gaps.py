"""Windows in which something is missing, from a recorder's notes: where they stand among the rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError
from hftd.recording import Gap, gaps_of, quality_path, read_notes
from hftd.rows import BOOK_BACK, BOOK_LOST
from hftd.types import EXCH_EVENT, LOCAL_EVENT, event_dtype


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

    Each stands twice, received at the time at which who listened knew: for the local side in the order of `local_ts`,
    and for the exchange's as if sent with what was received last before. So an engine knows of it beforehand, whatever
    offset it adds to local times.

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
        self._sent = self._received = 0
        self._sent_ns: int | None = None
        self._received_ns: int | None = None
        self._before_ns: int | None = None

    def mixed(self, block: NDArray[Any]) -> NDArray[Any]:
        """A block of rows, in order, with the marks that belong before or between them."""
        if self._received == len(self._marks) or not len(block):
            return block
        sent = np.flatnonzero(block["ev"] & np.uint64(EXCH_EVENT))
        received = np.flatnonzero(block["ev"] & np.uint64(LOCAL_EVENT))
        exch_ts, local_ts = block["exch_ts"][sent], block["local_ts"][received]
        places: list[int] = []
        rows: list[NDArray[Any]] = []
        for number, (ns, kind) in enumerate(self._marks[self._received :], self._received):
            at = int(np.searchsorted(local_ts, ns, "left" if kind == BOOK_LOST else "right"))
            if at == len(received) and not (len(sent) and exch_ts[-1] >= ns):
                break
            last_ns = int(block["exch_ts"][received[at - 1]]) if at else self._received_ns
            if last_ns is None:
                last_ns = int(block["exch_ts"][0])
            last_ns = min(last_ns, ns)
            if number == self._sent:
                # Behind what was sent before it, as far as that is still to be written, and behind other marks.
                self._before_ns = last_ns if self._before_ns is None else max(self._before_ns, last_ns)
                behind = int(np.searchsorted(exch_ts, self._before_ns, "right"))
                sent_ns = int(exch_ts[behind - 1]) if behind else self._sent_ns
                places.append(int(sent[behind - 1]) + 1 if behind else 0)
                rows.append(_row(EXCH_EVENT, kind, last_ns if sent_ns is None else sent_ns, ns))
                self._sent += 1
            if number == self._received and at < len(received):
                places.append(int(received[at]))
                rows.append(_row(LOCAL_EVENT, kind, last_ns, ns))
                self._received += 1
        if len(sent):
            self._sent_ns = int(exch_ts[-1])
        if len(received):
            self._received_ns = int(block["exch_ts"][received[-1]])
        return np.insert(block, places, np.concatenate(rows)) if rows else block

    def rest(self) -> Iterator[NDArray[Any]]:
        """The marks behind the last row."""
        for number, (ns, kind) in enumerate(self._marks[self._received :], self._received):
            if number >= self._sent:
                yield _row(EXCH_EVENT, kind, ns if self._sent_ns is None else min(self._sent_ns, ns), ns)
            yield _row(LOCAL_EVENT, kind, ns if self._received_ns is None else min(self._received_ns, ns), ns)
        self._sent = self._received = len(self._marks)


def _row(flag: int, kind: int, exch_ts: int, local_ts: int) -> NDArray[Any]:
    row = np.zeros(1, event_dtype)
    row["ev"], row["exch_ts"], row["local_ts"] = flag | kind, exch_ts, local_ts
    return row
