"""A corrected copy of an archive, in bounded memory, and what was changed in it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, UsageError
from hftd.recording import Gap
from hftd.types import EXCH_EVENT, INVALID_MAX, LOCAL_EVENT, event_dtype
from sim.archive.gaps import read_gaps
from sim.archive.stream import EventReader
from sim.archive.write import LEVEL, ArchiveWriter
from sim.checks import layout
from sim.checks.checker import Checker, Limits
from sim.checks.halves import judged, prints_of, widows
from sim.checks.merge import KEPT, NO_FLAG, NO_TIME, Merger, Numbered
from sim.checks.pairs import print_rows
from sim.checks.reorder import HELD_ROWS, Scout, Sorter
from sim.checks.report import Problem, Validation
from sim.checks.validate import Progress, doubles_count, run

CORRECTION_NS_MAX: Final = 60_000_000_000
"""A clock that is behind by more is not corrected: a single wrong time would move the whole archive."""
_BLOCK_ROWS: Final = 1 << 17
FIXED: Final = frozenset(
    {
        "exch_order",
        "local_order",
        "no_flag",
        "no_time",
        "price",
        "qty",
        "negative_qty",
        "negative_latency",
        "trade_again",
        "trade_doubled",
        "span_doubled",
    }
)
"""The problems that a corrected copy does not have any more, unless `Fixed.not_fixed` says so."""


class Fixed(msgspec.Struct, kw_only=True):
    """What `fix` changed, and what it left.

    Attributes:
        source: The archive.
        output: The corrected copy.
        rows_read: Rows of the archive.
        rows_written: Rows of the copy.
        dropped: Rows that are not in the copy, by reason.
        rows_out_of_order: Rows that stood behind a later one, by `exch_ts` and `local_ts`.
        rows_split: Rows with both flags that became two.
        clock_correction_ns: Added to each local time.
        not_fixed: Sentences on what is still wrong.
        bytes_written: The size of the copy.
    """

    source: str
    output: str
    rows_read: int = 0
    rows_written: int = 0
    dropped: dict[str, int] = {}
    rows_out_of_order: dict[str, int] = {}
    rows_split: int = 0
    clock_correction_ns: int = 0
    not_fixed: list[str] = []
    bytes_written: int = 0

    @property
    def is_changed(self) -> bool:
        """Whether the copy differs from the archive."""
        return bool(self.dropped or any(self.rows_out_of_order.values()) or self.clock_correction_ns)

    def to_dict(self) -> dict[str, Any]:
        """As plain dicts, lists, numbers and strings."""
        return msgspec.to_builtins(self)


_REASONS: Final = {
    NO_FLAG: "without the flag of a clock",
    NO_TIME: "with a time that can't be",
}
_VALUE: Final = "with a price or quantity that can't be"
_WIDOW: Final = "halves whose other half was dropped"
_AGAIN, _DOUBLED = "trades that came again", "trades that were there twice"


class _Sieve:
    """Reads an archive again and again, without the rows that are to be dropped, and with the clock put right."""

    def __init__(self, path: Path, tick_size: float, block_rows: int) -> None:
        self.path = path
        self.tick_size = tick_size
        self.shift_ns = 0
        self.again: NDArray[np.int64] = np.empty(0, np.int64)
        self.doubled: NDArray[np.int64] = np.empty(0, np.int64)
        self.halves_doubles = False
        self.widows: Counter[int] = Counter()
        self.dropped: Counter[str] = Counter()
        self._block_rows = block_rows

    def blocks(self, progress: Progress | None = None) -> Iterator[Numbered]:
        """Rows and their numbers."""
        self.dropped.clear()
        seen: Counter[tuple[int, int]] = Counter()
        widows_left = self.widows.copy()
        at = 0
        with EventReader(self.path, block_rows=self._block_rows) as reader:
            for block in reader.blocks():
                is_kept = self._judged(block)
                if widows_left:
                    self._drop_widows(block, is_kept, widows_left)
                if len(self.again) or len(self.doubled):
                    self._drop_doubles(block, is_kept, seen)
                rows = block[is_kept]
                rows["local_ts"] += self.shift_ns
                yield rows, np.flatnonzero(is_kept) + at
                at += len(block)
                if progress is not None:
                    progress(at, reader.count)

    def _judged(self, block: NDArray[np.void]) -> NDArray[np.bool_]:
        verdicts = judged(block, self.tick_size)
        for verdict in np.unique(verdicts[verdicts != KEPT]).tolist():
            self.dropped[_REASONS.get(verdict, _VALUE)] += int((verdicts == verdict).sum())
        return verdicts == KEPT

    def _drop_widows(self, block: NDArray[np.void], is_kept: NDArray[np.bool_], left: Counter[int]) -> None:
        prints = prints_of(block)
        is_one = is_kept & np.isin(prints, np.fromiter(left, np.int64, len(left)))
        for number in np.flatnonzero(is_one).tolist():
            if left[int(prints[number])]:
                left[int(prints[number])] -= 1
                is_kept[number] = False
                self.dropped[_WIDOW] += 1

    def _drop_doubles(
        self, block: NDArray[np.void], is_kept: NDArray[np.bool_], seen: Counter[tuple[int, int]]
    ) -> None:
        prints = np.empty(len(block), np.int64)
        print_rows.call(block.ctypes.data, len(block), prints.ctypes.data)
        is_again = is_kept & np.isin(prints, self.again)
        is_kept &= ~is_again
        # A half is no trade of its own: trades are counted where the local side sees them.
        has_local = (block["ev"] & np.uint64(LOCAL_EVENT)) != 0
        self.dropped[_AGAIN] += int((is_again & has_local).sum())
        for number in np.flatnonzero(is_kept & np.isin(prints, self.doubled)).tolist():
            # The first one stays, on each clock. Of a doubled span it is every second one: equal ones may be meant.
            flags = int(block["ev"][number]) & (EXCH_EVENT | LOCAL_EVENT)
            clocks = [flag for flag in (EXCH_EVENT, LOCAL_EVENT) if flags & flag]
            if all(self._is_double(seen[int(prints[number]), flag]) for flag in clocks):
                is_kept[number] = False
                self.dropped[_DOUBLED] += int(has_local[number])
            for flag in clocks:
                seen[int(prints[number]), flag] += 1

    def _is_double(self, before: int) -> bool:
        return before % 2 == 1 if self.halves_doubles else before > 0


def _of_clock(rows: NDArray[np.void], ids: NDArray[np.int64], flag: int) -> Numbered:
    chosen = (rows["ev"] & np.uint64(flag)) != 0
    return (rows, ids) if chosen.all() else (rows[chosen], ids[chosen])


_PASSES: Final = 5
"""Over an archive that is out of order: a check, stragglers, a check in order, stragglers without what is dropped,
and writing."""


def _share(progress: Progress | None, number: int, size: int = 1) -> Progress | None:
    """The progress of one pass as that of all of them."""
    if progress is None:
        return None
    return lambda done, total: progress(number + size * done / total, _PASSES)


def _scouted(sieve: _Sieve, held_rows: int, progress: Progress | None) -> tuple[Scout, Scout]:
    """The first pass over both clocks."""
    scouts = Scout("exch_ts", held_rows, str(sieve.path)), Scout("local_ts", held_rows, str(sieve.path))
    for rows, ids in sieve.blocks(progress):
        for scout, flag in zip(scouts, (EXCH_EVENT, LOCAL_EVENT), strict=True):
            scout.push(*_of_clock(rows, ids, flag))
    return scouts


def _checked_in_order(
    sieve: _Sieve, held_rows: int, limits: Limits, progress: Progress | None
) -> Checker | None:
    """What the local side would see if the rows were in its order: doubles and latencies depend on that."""
    sorter = Sorter(_scouted(sieve, held_rows, _share(progress, 1))[1])
    checker: Checker | None = None

    def feed(rows: NDArray[np.void]) -> None:
        nonlocal checker
        if len(rows):
            checker = checker or Checker(rows, limits)
            checker.feed(np.ascontiguousarray(rows))

    for rows, ids in sieve.blocks(_share(progress, 2)):
        feed(sorter.push(*_of_clock(rows, ids, LOCAL_EVENT))[0])
    feed(sorter.finish()[0])
    return checker


def _set_up(sieve: _Sieve, checker: Checker, report: Fixed, base_latency_ns: int) -> None:
    """Decide what is dropped as a double and by how much the clock is moved."""
    trades, rows = checker.trades[0], checker.rows[0]
    agains, sames, doubles = int(trades["agains"]), int(trades["sames"]), doubles_count(checker)
    for count in (agains, sames):
        if count > layout.DOUBLES_MAX:
            report.not_fixed.append(
                f"trade_again: only the first {layout.DOUBLES_MAX:,} of {count:,} repeated trades were dropped"
            )
    sieve.again = np.sort(checker.again[: min(agains, layout.DOUBLES_MAX)])
    sieve.halves_doubles = checker.span_trades > 0 and not sames
    sieve.doubled = np.unique(np.concatenate((checker.same[:sames], checker.doubled[:doubles])))
    least = min(int(rows["book_min"]), int(rows["trade_min"]))
    if least < 0:
        shift_ns = base_latency_ns - least
        if shift_ns > CORRECTION_NS_MAX:
            report.not_fixed.append(
                f"negative_latency: the clock would have to be moved by {shift_ns / 1e9:,.1f} s; more than "
                f"{CORRECTION_NS_MAX // 1_000_000_000} s is not believed"
            )
        else:
            sieve.shift_ns = report.clock_correction_ns = shift_ns
    elif least == INVALID_MAX:
        report.not_fixed.append("there is no row with a feed latency, so the clocks were not looked at")


def fix(
    source: Path | str,
    output: Path | str,
    *,
    limits: Limits | None = None,
    base_latency_ns: int = 0,
    level: int = LEVEL,
    held_rows: int = HELD_ROWS,
    progress: Progress | None = None,
) -> tuple[Fixed, Validation]:
    """Write a corrected copy of an archive: rows in the order of both clocks, without those that can't be played.

    Rows without a clock's flag, without a time, or with a price or quantity that can't be are dropped; of a split row
    both halves go if one of them can't be. So are trades that are there twice; where rows arrive before they were sent,
    all local times are moved by the greatest such amount. Nothing else is changed, and an archive without these
    problems is copied row for row. Rows that are out of order are put in order and split where the clocks disagree, as
    the converters do. The windows in which something is missing stay with it, on the clock of the copy.

    Args:
        source: The archive.
        output: The copy; it appears whole, or not at all.
        limits: By what doubled trades and jumps are told.
        base_latency_ns: Added to the clock's correction, where there is one.
        level: Deflate's level of the copy.
        held_rows: How many rows are held in memory for each clock to be sorted.
        progress: Told how far it is, over all passes.

    Returns:
        What was changed, and what the archive was like before.

    Raises:
        UsageError: The output is the archive itself.
        DataError: The archive can't be read, is out of order beyond what can be sorted, has no sound row, or the copy
            can't be written.
    """
    source, output = Path(source), Path(output)
    limits = limits or Limits()
    if source.exists() and output.exists() and source.samefile(output):
        raise UsageError("the corrected copy would replace the archive", where=str(source))
    if output.suffix != ".npz":
        raise UsageError(f"the output {output.name!r} is no .npz file")
    if base_latency_ns < 0:
        raise UsageError("the base latency is negative")
    before, checker = run([source], limits, _share(progress, 0))
    report = Fixed(source=str(source), output=str(output), rows_read=before.rows)
    report.rows_out_of_order = {name: before.count(name) for name in ("exch_order", "local_order")}
    is_sorted = not any(report.rows_out_of_order.values())
    sieve = _Sieve(source, checker.tick_size, min(_BLOCK_ROWS, max(held_rows, 1)))
    sieve.widows, lone_dropped = widows(checker.lone_halves, checker.tick_size)
    lone_dropped += sieve.widows.total()
    if checker.unpaired_files:
        report.not_fixed.append(
            f"lone_half: more than {layout.HALVES_MAX:,} rows of one clock wait for their other half, so it was not "
            "looked whether a half that is dropped has another one"
        )
    if not is_sorted:
        checker = _checked_in_order(sieve, held_rows, limits, progress)
        if checker is None:
            raise _no_rows(source)
    _set_up(sieve, checker, report, base_latency_ns)
    with ArchiveWriter(output, event_dtype, level=level) as writer:
        if is_sorted:
            for rows, _ in sieve.blocks(_share(progress, 1, _PASSES - 1)):
                writer.write(rows)
        else:
            report.rows_split = _write_in_order(sieve, held_rows, writer, progress)
        if not writer.count:
            raise _no_rows(source)
        writer.gaps = [_moved(gap, sieve.shift_ns) for gap in read_gaps(source)]
    report.rows_written, report.bytes_written = writer.count, writer.bytes_written
    report.dropped = {reason: count for reason, count in sieve.dropped.items() if count}
    report.not_fixed += [
        _left(problem, count)
        for problem in before.problems
        if problem.name not in FIXED
        and (count := problem.count - (lone_dropped if problem.name == "lone_half" else 0)) > 0
    ]
    return report, before


def _moved(gap: Gap, by_ns: int) -> Gap:
    return Gap(gap.from_ns + by_ns, gap.noticed_ns + by_ns, gap.until_ns + by_ns, gap.kind, gap.why)


def _write_in_order(sieve: _Sieve, held_rows: int, writer: ArchiveWriter, progress: Progress | None) -> int:
    """Write the rows in the order of both clocks; returns how many became two."""
    by_exch, by_local = (Sorter(scout) for scout in _scouted(sieve, held_rows, _share(progress, 3)))
    merger = Merger()
    for rows, ids in sieve.blocks(_share(progress, 4)):
        exch = by_exch.push(*_of_clock(rows, ids, EXCH_EVENT))
        local = by_local.push(*_of_clock(rows, ids, LOCAL_EVENT))
        writer.write(merger.push(exch, local, exch_floor=by_exch.floor, local_floor=by_local.floor))
    writer.write(merger.push(by_exch.finish(), by_local.finish()))
    return merger.splits


def _no_rows(source: Path) -> DataError:
    return DataError(
        "the archive has no row that can be played", where=str(source), hint="nothing was written"
    )


def _left(problem: Problem, count: int) -> str:
    advice = f"; {problem.hint}" if problem.name == "lone_half" else ""
    return f"{problem.name}: {problem.what} ({count:,}){advice}"
