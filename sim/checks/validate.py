"""Checking archives: one pass over each, in bounded memory, whatever their size."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.clock import monotonic_ns
from hftd.compiled import jit
from hftd.errors import UsageError
from hftd.rows import BOOK_BACK, BOOK_LOST
from hftd.types import DEPTH_CLEAR_EVENT, INVALID_MAX, INVALID_MIN
from sim.archive.gaps import read_gaps
from sim.archive.stream import EventReader
from sim.checks import layout
from sim.checks.checker import Checker, Limits
from sim.checks.figures import DRIFT_NS_MIN, drift_of, latency_of, spread_of
from sim.checks.problems import DOUBLED_MIN, DOUBLED_SHARE, KINDS, SEVERITIES
from sim.checks.report import (
    NOTE,
    WARNING,
    Drift,
    FileRows,
    Latency,
    Place,
    Problem,
    Series,
    Trades,
    Validation,
)

Progress = Callable[[float, float], None]
"""Called with the rows that are done, and how many there are as far as that is known."""

KIND_NAMES: Final = {
    1: "depth",
    2: "trade",
    3: "depth clear",
    4: "depth snapshot",
    5: "best bid and offer",
    10: "add order",
    11: "cancel order",
    12: "modify order",
    13: "fill",
    BOOK_LOST: "book lost",
    BOOK_BACK: "book back",
}


def named_kinds(counts: np.ndarray) -> dict[str, int]:
    """Rows by the names of their kinds, from 256 counts."""
    return {
        KIND_NAMES.get(kind, f"user event {kind}" if kind >= 100 else f"unknown kind {kind}"): int(
            counts[kind]
        )
        for kind in np.flatnonzero(counts).tolist()
    }


def validate(
    files: Sequence[Path | str], *, limits: Limits | None = None, progress: Progress | None = None
) -> Validation:
    """Check archives of consecutive days of one instrument, as one.

    Args:
        files: In the order of time.
        limits: By what they are judged; what it leaves open is guessed from the first rows.
        progress: Told of each block.

    Raises:
        UsageError: There is no file.
        DataError: A file is missing, broken, or no archive of events.
    """
    return examine(files, limits=limits, progress=progress)[0]


def examine(
    files: Sequence[Path | str], *, limits: Limits | None = None, progress: Progress | None = None
) -> tuple[Validation, Series]:
    """As `validate`, with the archives over time, for a picture."""
    report, checker = run(files, limits or Limits(), progress)
    series = Series(
        start_ts=checker.start_ts,
        width_ns=1 << int(checker.series["bits"][0]),
        buckets=checker.buckets[: int(checker.series["used"][0])],
        tick_size=checker.tick_size,
    )
    return report, series


def run(
    files: Sequence[Path | str],
    limits: Limits,
    progress: Progress | None = None,
    *,
    also: Callable[[NDArray[np.void], int], None] | None = None,
) -> tuple[Validation, Checker]:
    """Check archives, and give the checker back, too.

    Args:
        files: In the order of time.
        limits: By what they are judged.
        progress: Told of each block.
        also: Called with each block and the number of its first row in its file, before it is checked.
    """
    if not files:
        raise UsageError("there is no archive to check")
    start_ns = monotonic_ns()
    with _compiled() as compiled_s:
        checker, spans = _checked(files, limits, progress, also)
    seconds = (monotonic_ns() - start_ns) / 1e9 - sum(compiled_s)
    return _report(checker, spans, max(seconds, 0.0)), checker


@contextlib.contextmanager
def _compiled() -> Iterator[list[float]]:
    """The seconds of what is compiled meanwhile: the first run's, and no part of how fast a check is."""
    seconds: list[float] = []

    def done(_name: str, taken_s: float) -> None:
        seconds.append(taken_s)

    jit.on_compiled.append(done)
    try:
        yield seconds
    finally:
        jit.on_compiled.remove(done)


def _checked(
    files: Sequence[Path | str],
    limits: Limits,
    progress: Progress | None,
    also: Callable[[NDArray[np.void], int], None] | None,
) -> tuple[Checker, list[FileRows]]:
    """All files through one checker."""
    checker: Checker | None = None
    spans: list[FileRows] = []
    for number, file in enumerate(files):
        with EventReader(file) as reader:
            for block in reader.blocks():
                if checker is None:
                    checker = Checker(block, limits)
                if not len(spans) > number:
                    checker.begin_file(number)
                    spans.append(_begin_span(checker, str(file)))
                if also is not None:
                    also(block, int(checker.rows["row"][0]))
                checker.feed(block)
                if progress is not None:
                    done = int(checker.rows["row"][0])
                    progress(number + done / reader.count, len(files))
        assert checker is not None, "a reader gives at least one row"
        checker.end_file()
        _end_span(checker, spans[-1])
        spans[-1].torn_bytes = reader.torn_bytes
    assert checker is not None
    checker.finish()
    return checker, spans


def _begin_span(checker: Checker, file: str) -> FileRows:
    checker.rows["exch_first"] = checker.rows["local_first"] = INVALID_MAX
    return FileRows(
        file=file, rows=0, exch_first_ts=None, exch_last_ts=None, local_first_ts=None, local_last_ts=None
    )


def _end_span(checker: Checker, span: FileRows) -> None:
    rows = checker.rows[0]
    span.rows = int(rows["row"])
    if rows["exch_first"] != INVALID_MAX:
        span.exch_first_ts, span.exch_last_ts = int(rows["exch_first"]), int(rows["exch_last"])
    if rows["local_first"] != INVALID_MAX:
        span.local_first_ts, span.local_last_ts = int(rows["local_first"]), int(rows["local_last"])


def _report(checker: Checker, spans: list[FileRows], seconds: float) -> Validation:
    rows, trades = checker.rows[0], checker.books[0]
    drift = drift_of(checker.start_ts, checker.buckets[: int(checker.series["used"][0])])
    problems = _problems(checker, [span.file for span in spans])
    if drift is not None and abs(drift.total_ns) > max(DRIFT_NS_MIN, 8 * drift.scatter_ns):
        problems.append(_drift_problem(drift))
    problems.sort(key=lambda problem: SEVERITIES.index(problem.severity))
    return Validation(
        files=spans,
        rows=checker.count,
        rows_by_kind=named_kinds(checker.kinds - checker.pair_kinds),
        split_rows=int(checker.halves["pairs"][0]),
        tick_size=checker.tick_size,
        tick_guessed=checker.limits.tick_size is None,
        lot_size=checker.lot_size,
        lot_guessed=checker.limits.lot_size is None,
        gap_ns=checker.gap_ns,
        gap_guessed=checker.limits.gap_ns is None,
        jump_ns=checker.limits.jump_ns,
        px_min=float(rows["px_min"]) if rows["px_min"] <= rows["px_max"] else None,
        px_max=float(rows["px_max"]) if rows["px_min"] <= rows["px_max"] else None,
        latency=latencies(checker),
        drift=drift,
        spread=spread_of(checker.spreads, int(trades["spread_max"])),
        trades=Trades(
            count=int(checker.trades["trades"][0]),
            at_best=int(trades["trades_at"]),
            inside=int(trades["trades_inside"]),
            through=int(trades["trades_through"]),
            behind=int(trades["trades_behind"]),
            unknown=int(trades["trades_unknown"]),
        ),
        problems=problems,
        notes=_notes(checker, spans),
        seconds=seconds,
        missing=[gap for span in spans for gap in read_gaps(span.file)],
    )


def latencies(checker: Checker) -> dict[str, Latency]:
    """The feed's latencies by `all`, `book` and `trades`, as far as there are any."""
    rows = checker.rows[0]
    book = (int(rows["book_min"]), int(rows["book_max"]))
    trade = (int(rows["trade_min"]), int(rows["trade_max"]))
    found = {
        "all": latency_of(checker.bins.sum(axis=0), min(book[0], trade[0]), max(book[1], trade[1])),
        "book": latency_of(checker.bins[0], *book),
        "trades": latency_of(checker.bins[1], *trade),
    }
    return {name: latency for name, latency in found.items() if latency is not None}


def _problems(checker: Checker, files: list[str]) -> list[Problem]:
    found: list[Problem] = []
    for number in np.flatnonzero(checker.problems["count"]).tolist():
        kind = KINDS[number]
        record = checker.problems[number]
        problem = Problem(
            name=kind.name,
            severity=kind.severity,
            what=kind.what,
            hint=kind.hint,
            count=int(record["count"]),
            unit=kind.unit,
            total=int(record["total"]) if kind.unit else 0,
            most=int(record["most"]) if kind.unit else 0,
            first=[
                _place(place, files, kind.unit)
                for place in record["places"][: min(int(record["count"]), layout.FIRST_MAX)]
                if place["event"]["ev"]
            ],
        )
        if number == layout.TRADE_DOUBLED and not doubles_count(checker):
            problem.severity = NOTE
            problem.hint = "so many that the venue seems to put several equal trades in a message"
        if number == layout.OFF_LOT and checker.limits.lot_size is None:
            # Orders that are older than a change of the lot size stand in books for years.
            problem.severity = NOTE
        found.append(problem)
    return found


def doubles_count(checker: Checker) -> int:
    """How many trades are doubles; 0 where there are so many equal ones that they must be meant."""
    trades = checker.trades[0]
    doubles = int(trades["doubles"])
    beyond = doubles - checker.span_trades // 2
    is_whole = trades["odd_groups"] == 0
    if checker.span_trades and (
        is_whole or beyond <= max(DOUBLED_MIN, DOUBLED_SHARE * int(trades["trades"]))
    ):
        # What is doubled as a whole is meant to be there once, however much it is.
        return doubles
    return doubles if doubles <= max(DOUBLED_MIN, DOUBLED_SHARE * int(trades["trades"])) else 0


def _place(place: Any, files: list[str], unit: str) -> Place:
    event = place["event"]
    px, qty = float(event["px"]), float(event["qty"])
    return Place(
        file=files[int(place["file"])],
        row=int(place["row"]),
        exch_ts=int(event["exch_ts"]),
        local_ts=int(event["local_ts"]),
        ev=int(event["ev"]),
        px=px if np.isfinite(px) else None,
        qty=qty if np.isfinite(qty) else None,
        amount=int(place["extra"]) if unit else None,
    )


def _drift_problem(drift: Drift) -> Problem:
    return Problem(
        name="drift",
        severity=WARNING,
        what="the local clock runs away from the exchange's, by the least latencies over time",
        hint="latencies at the two ends of the archive are not to be compared",
        count=1,
        unit="ns",
        total=abs(drift.total_ns),
        most=abs(drift.total_ns),
    )


def _notes(checker: Checker, spans: list[FileRows]) -> list[str]:
    notes = [
        f"the last {span.torn_bytes:,} bytes of {span.file} are a piece that was not written to its end: passed over"
        for span in spans
        if span.torn_bytes
    ]
    rows, books = checker.rows[0], checker.books[0]
    if checker.span_trades:
        notes.append(
            f"{checker.span_trades:,} of {int(checker.trades['trades'][0]):,} trades stand in spans in which each is "
            "there an even number of times"
        )
    for name, given, guessed, size in (
        ("tick size", checker.limits.tick_size, checker.guess.tick_size, checker.tick_size),
        ("lot size", checker.limits.lot_size, checker.guess.lot_size, checker.lot_size),
    ):
        if given is None:
            how = "guessed from the first rows" if guessed else "taken because none could be guessed"
            notes.append(f"the {name} {size:.12g} was {how}")
    if not checker.by_order and checker.guess.has_levels:
        if not rows["snapshots"] and not checker.kinds[DEPTH_CLEAR_EVENT]:
            notes.append("there is no snapshot: the book is known only as far as updates touch it")
    if checker.by_order and checker.guess.has_levels:
        notes.append("there are levels and single orders: the book was made from the orders")
    if rows["local_last"] == INVALID_MIN:
        notes.append("no row has the flag of the local side: a bot would see nothing")
    if rows["exch_last"] == INVALID_MIN:
        notes.append("no row has the flag of the exchange: nothing would ever be filled")
    notes += [
        f"{spans[number].file}: more than {layout.HALVES_MAX:,} rows of one clock wait for their other half: "
        "halves were not paired"
        for number in checker.unpaired_files
    ]
    dropped = _dropped_levels(checker)
    if dropped:
        notes.append(f"{dropped:,} levels far away from the others had no room in the book")
    if books["is_changed"]:
        raise AssertionError("the last message was not ended")
    return notes


def _dropped_levels(checker: Checker) -> int:
    from hftd.compiled.layout import book_dtype
    from hftd.hbt.views import view

    pair = view(int(checker.books["bids"][0]), book_dtype, 2)
    return int(pair["far_dropped"].sum())
