"""From captures to an archive: what all venues share.

The inputs are read in blocks, and the venue's compiled reader makes rows of their lines; these wait, in sorted
chunks, in a file beside the output. When all are there, so that the clock correction is known, the chunks are
merged to one order that is valid for both clocks, packed and written. So the memory that this takes does not
depend on the size of the inputs; the disk must have room for 64 bytes a row, and 64 more for rows that are not in
the order of both clocks.
"""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np

from hftd.clock import monotonic_ns
from hftd.compiled.jit import kernels
from hftd.errors import DataError, UsageError
from hftd.types import TRADE_EVENT, event_dtype
from sim.archive.write import LEVEL, ArchiveWriter
from sim.convert.files.lines import OutOfOrder
from sim.convert.files.others import other_file, what_is
from sim.convert.files.text import TextFile
from sim.convert.reader import state as scanning
from sim.convert.reader.venue import Venue
from sim.convert.reading import Progress, Reading
from sim.convert.report import Break, Place, Report, Span
from sim.convert.report import Sequence as SequenceReport
from sim.convert.rows.crossed import CrossedBooks
from sim.convert.rows.gaps import GapMarks, placed, recorded_gaps
from sim.convert.rows.order import Ordering
from sim.fuse import ArchiveFuser

_LARGE_CORRECTION_NS: Final = 60_000_000_000
_LINE_HINT: Final = 'a line is `<local time in ns> <json>`, such as `1723161255088176367 {"e":"trade",...}`'
_LISTED: Final = 12
_KNOWN_BY: Final = 4096
"""So many bytes of a file, or its first block, tell what it is."""
"""Symbols that an error lists."""
_CALLED_ALWAYS: Final = (
    "sim.convert.rows.again.",
    "sim.convert.rows.crossed.",
    "sim.convert.rows.order.",
    "sim.convert.rows.survey.",
)
"""The modules whose kernels every conversion calls."""
_PLAIN_KINDS: Final = {1: "depth", 2: "trade", 3: "depth clear", 4: "depth snapshot", 5: "best bid and offer"}


class Options(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to convert.

    Attributes:
        mark_price: Take mark price updates, as user events.
        book_ticker: Take best bids and offers (`bookTicker`), as user events.
        symbol: The symbol to take from a capture of several; None: the only one.
        base_latency_ns: Added to the clock correction where there is one: the least latency that is believed.
        snapshots: Of Tardis's books: "process" all snapshots, "ignore_sod" (those with which a day's file begins,
            which Tardis adds to each), or "ignore" all.
        strict: Refuse a capture with damage or with unreadable lines, instead of saying so.
        level: Deflate's level of the archive, 0 (stored) to 9.
        depth: Of a capture with books of several depths: the levels a side of the one to take; None: the only one.
        latency_ns: Of inputs without local times: how long after it was sent a message arrives.
        keep_far_levels: Of books of the first levels: a level that falls behind the last one is kept as it was.
            None: of Databento's MBP it is, of others not.
        tick_size: With `lot_size`: best bids and offers (rows of kind 5, such as Tardis's book_ticker) are fused with
            the depth at these sizes, as `sim.fuse.fuse` does with an archive.
        lot_size: See `tick_size`.
        hftbacktest_rows: Choose times and rows as HftBacktest's converter does, where that is no better or worse.
    """

    mark_price: bool = False
    book_ticker: bool = False
    symbol: str | None = None
    base_latency_ns: int = 0
    snapshots: Literal["process", "ignore_sod", "ignore"] = "process"
    strict: bool = False
    level: int = LEVEL
    depth: int | None = None
    latency_ns: int = 0
    keep_far_levels: bool | None = None
    tick_size: float | None = None
    lot_size: float | None = None
    hftbacktest_rows: bool = False


def convert_with(
    venue: Venue,
    inputs: Sequence[Path],
    output: Path,
    *,
    options: Options,
    progress: Progress | None = None,
    on_write: Progress | None = None,
) -> Report:
    """Convert captures, taken as one; see `sim.convert.convert`."""
    _checked(venue, inputs, output, options)
    _fuser(options)
    _compile(venue)
    start_ns = monotonic_ns()
    convert_once = partial(_convert_once, venue, inputs, output, options, progress, on_write, start_ns)
    if options.hftbacktest_rows:
        return convert_once(None)
    try:
        return convert_once(False)
    except OutOfOrder:
        return convert_once(True)


def _convert_once(
    venue: Venue,
    inputs: Sequence[Path],
    output: Path,
    options: Options,
    progress: Progress | None,
    on_write: Progress | None,
    start_ns: int,
    sorts: bool | None,
) -> Report:
    """Convert, with lines that are sorted before (True), that must be in order (False), or may be in any (None).

    Raises:
        OutOfOrder: Lines are not in the order of their local times.
    """
    files = _checked(venue, inputs, output, options)
    fuser = _fuser(options)
    with ExitStack() as closing:
        ordering = closing.enter_context(Ordering(output))
        reading = Reading(
            venue,
            ordering,
            symbol=options.symbol,
            mark_price=options.mark_price,
            book_ticker=options.book_ticker,
            progress=progress,
            output=output,
            sorts=sorts,
        )
        closing.callback(reading.close)
        if venue.open_input is not None and not venue.is_binary:
            _refuse_others(venue, files)
        if venue.set_up is not None:
            venue.set_up(reading.scan, options)
        reading.read(files)
        symbol, drops_marked = _checked_symbol(reading, options, inputs)
        own_notes = venue.check(reading.scan, options, _where(inputs)) if venue.check is not None else []
        damage = [sentence for file in files for sentence in file.damage] + reading.scan.damage
        unreadable = _unreadable(reading)
        if options.strict:
            _refuse_damage(damage, unreadable, int(reading.scan.record["bad_count"]))
        found = ordering.survey.result(drops_marked=drops_marked)
        again, agains = reading.ids.again()
        if agains:
            reading.scan.record["ignored"][scanning.TRADE_AGAIN] += agains
            found["count"] -= agains
            found["kinds"][TRADE_EVENT] -= agains
        count = int(found["count"])
        if not count:
            raise _no_rows(venue, reading, inputs, damage)
        latency_min_ns = int(found["latency_min"])
        shift_ns = options.base_latency_ns - latency_min_ns if latency_min_ns < 0 else 0
        books = CrossedBooks(reading.scale)
        rows_ordered = 0
        local_min_ns, local_max_ns = (int(found[f"local_{end}"]) + shift_ns for end in ("min", "max"))
        gaps = placed(recorded_gaps(inputs), shift_ns, local_min_ns, local_max_ns)
        marks = GapMarks(gaps)
        with ArchiveWriter(output, event_dtype, level=options.level) as writer:
            blocks = ordering.blocks(
                shift_ns, drops_marked=drops_marked, has_numbers=reading.ids.count > 0, again=again
            )
            for block in blocks:
                books.add(block)
                rows_ordered += len(block)
                writer.write(marks.mixed(block if fuser is None else fuser.fuse(block)))
                if on_write is not None:
                    on_write(max(count - ordering.rows_left, 0), count)
            for row in marks.rest():
                writer.write(row)
            writer.gaps = gaps
    if on_write is not None:
        on_write(writer.count, writer.count)
    record = reading.scan.record
    crossed = books.result()
    seconds = (monotonic_ns() - start_ns) / 1e9
    kinds = {**_PLAIN_KINDS, **venue.kinds}
    return Report(
        venue=venue.name,
        symbol=symbol,
        inputs=[str(file.path) for file in sorted(files, key=_first_part)],
        output=str(output),
        lines=reading.lines,
        lines_by_kind=_named(record["used"], kinds),
        rows=writer.count,
        rows_by_kind=_named(found["kinds"], kinds),
        rows_split=rows_ordered - count,
        exch=Span(first_ts=int(found["exch_min"]), last_ts=int(found["exch_max"])),
        local=Span(first_ts=local_min_ns, last_ts=local_max_ns),
        latency_min_ns=latency_min_ns,
        clock_correction_ns=shift_ns,
        sequence=_sequence(reading),
        gaps=gaps,
        crossed=crossed,
        ignored=_named(record["ignored"], scanning.REASONS),
        unreadable=unreadable,
        not_converted=reading.scan.counts(scanning.EVENTS),
        exchange_errors=reading.scan.counts(scanning.ERRORS),
        symbols=reading.scan.counts(scanning.SYMBOLS),
        lines_in_us=int(record["lines_in_us"]),
        damage=damage,
        notes=own_notes
        + _said_again(agains)
        + reading.notes
        + _notes(reading, options, found["kinds"], shift_ns, crossed.checked),
        bytes_read=sum(file.position for file in files),
        bytes_text=reading.bytes_text,
        bytes_written=writer.bytes_written,
        seconds=seconds,
        megabytes_per_second=reading.bytes_text / 1e6 / max(seconds, 1e-9),
    )


def _refuse_others(venue: Venue, files: Sequence[TextFile]) -> None:
    """Refuse tables that are known to be of another kind: without a header one may look like those of the venue."""
    for part in (part for file in files for part in file.parts()):
        text, _ = part.start(_KNOWN_BY)
        other = what_is(text, part.path) if text else None
        if other is not None and other.venue != venue.name:
            raise other_file(other, part.path)


def _first_part(file: TextFile) -> int:
    """The number of the first part of a file that was read; files of which none was are the last."""
    return min((part.number for part in file.parts() if part.number >= 0), default=1 << 62)


def _said_again(count: int) -> list[str]:
    if not count:
        return []
    return [
        f"trades that were there before, by their ids: {count:,}, which were left out; each trade counts once"
    ]


def _compile(venue: Venue) -> None:
    """Compile or load what every conversion calls, so that it is not in the time that the conversion takes."""
    venue.read_lines.compiled()
    for name, kernel in kernels.items():
        if name.startswith(_CALLED_ALWAYS):
            kernel.compiled()


_OF_SOME_VENUES: Final = (
    "depth",
    "latency_ns",
    "keep_far_levels",
    "hftbacktest_rows",
    "snapshots",
    "tick_size",
    "lot_size",
)


def _check_options(venue: Venue, options: Options) -> None:
    """Refuse what this venue's converter would not look at."""
    plain = Options()
    for name in _OF_SOME_VENUES:
        if getattr(options, name) != getattr(plain, name) and name not in venue.takes:
            taken = ", ".join(venue.takes) or "none of this kind"
            raise UsageError(
                f"the converter {venue.name} has no option {name}", hint=f"its own options: {taken}"
            )
    if options.latency_ns < 0:
        raise UsageError(f"the latency {options.latency_ns} ns is below zero")


def _fuser(options: Options) -> ArchiveFuser | None:
    if (options.tick_size is None) != (options.lot_size is None):
        raise UsageError("to fuse, both the tick size and the lot size must be given")
    if options.tick_size is None or options.lot_size is None:
        return None
    return ArchiveFuser(options.tick_size, options.lot_size)


def _checked(venue: Venue, inputs: Sequence[Path], output: Path, options: Options) -> list[TextFile]:
    """The inputs, opened for reading; refuses what can be seen to be wrong before the work begins."""
    if not inputs:
        raise UsageError("there is no input to convert")
    _check_options(venue, options)
    if output.suffix != ".npz":
        raise UsageError(
            f"the output {output.name!r} is no .npz file", hint="give a name such as btcusdt_20240808.npz"
        )
    if not output.parent.is_dir():
        raise DataError(
            "the output's folder does not exist",
            where=str(output.parent),
            hint=f"make it with `mkdir -p {shlex.quote(str(output.parent))}`",
        )
    if not 0 <= options.level <= 9:
        raise UsageError(f"the level {options.level} is not from 0 (stored) to 9")
    for path in inputs:
        if path.exists() and output.exists() and path.samefile(output):
            raise UsageError("the output is one of the inputs", where=str(path))
    return [TextFile(path, is_binary=venue.is_binary) for path in inputs]


def _checked_symbol(reading: Reading, options: Options, inputs: Sequence[Path]) -> tuple[str, bool]:
    """The symbol that was taken, and whether snapshots that do not name theirs are left out.

    Refuses a capture of several of which none was chosen.
    """
    scan = reading.scan
    counts = scan.counts(scanning.SYMBOLS)
    shown = [f"{name} ({count:,} lines)" for name, count in list(counts.items())[:_LISTED]]
    listed = ", ".join(shown) + (f" and {len(counts) - _LISTED} more" if len(counts) > _LISTED else "")
    where = _where(inputs)
    if scan.asked is not None and scan.asked not in counts:
        raise DataError(
            f"the capture has no lines of {scan.asked}",
            where=where,
            hint=f"it has {listed}" if listed else "none of its lines names a symbol",
        )
    if len(counts) > 1 or scan.record["symbols_beyond"]:
        if options.symbol is None:
            raise DataError(
                f"the capture has several symbols: {listed}",
                where=where,
                hint="an archive holds one: choose it with the option symbol",
            )
        reading.leave_snapshots_out()
    return scan.symbol, len(counts) > 1 or bool(scan.record["symbols_beyond"])


def _refuse_damage(damage: list[str], unreadable: list[Place], count: int) -> None:
    if damage:
        raise DataError(damage[0], hint="nothing was written; without strict the rest is converted")
    if unreadable:
        first = unreadable[0]
        raise DataError(
            f"{count:,} lines can't be read; the first: {first.what}",
            where=f"{first.file}:{first.line}",
            hint="nothing was written; without strict the rest is converted",
        )


def _no_rows(venue: Venue, reading: Reading, inputs: Sequence[Path], damage: list[str]) -> DataError:
    where = _where(inputs)
    if damage:
        return DataError(f"nothing can be converted: {damage[0]}", where=where)
    if reading.bytes_text == 0:
        return DataError("the capture is empty", where=where)
    reasons = _named(reading.scan.record["ignored"], scanning.REASONS)
    said = "; ".join(f"{reason}: {count:,}" for reason, count in reasons.items())
    return DataError(
        f"none of {reading.lines:,} {'records' if venue.is_binary else 'lines'} gives a row ({said or 'empty'})",
        where=where,
        hint="" if venue.open_input else _LINE_HINT,
    )


def _where(inputs: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in inputs)


def _named(counts: Any, names: Mapping[int, str]) -> dict[str, int]:
    return {
        names.get(number, f"kind {number}"): int(counts[number]) for number in np.nonzero(counts)[0].tolist()
    }


def _unreadable(reading: Reading) -> list[Place]:
    scan = reading.scan
    places = scan.bad_places[: int(scan.record["bad_count"])].tolist()
    return [
        Place(file=reading.names[file], line=line, what=scanning.REASONS[reason])
        for file, line, _, reason, _, _ in places
    ]


def _sequence(reading: Reading) -> SequenceReport:
    scan = reading.scan
    gaps, repeats = int(scan.record["gap_count"]), int(scan.record["repeat_count"])
    return SequenceReport(
        gaps=gaps,
        repeats=repeats,
        first=[
            Break(
                file=reading.names[file], line=line, local_ts=local_ts, expected_id=expected, previous_id=got
            )
            for file, line, local_ts, _, expected, got in scan.gap_places[: gaps + repeats].tolist()
        ],
    )


def _notes(reading: Reading, options: Options, kinds: Any, shift_ns: int, is_checked: bool) -> list[str]:
    record = reading.scan.record
    notes: list[str] = []
    in_ns, in_us = int(record["lines_in_ns"]), int(record["lines_in_us"])
    if in_us:
        share = "all lines" if not in_ns else f"{in_us:,} lines, while {in_ns:,} have nanoseconds"
        notes.append(f"local times are in microseconds: {share}")
    if shift_ns > _LARGE_CORRECTION_NS:
        notes.append(f"the clock correction of {shift_ns / 1e9:.1f} s is large: is one line's time wrong?")
    # By rows, not by messages: a message of levels may begin the book, as whole books do.
    if kinds[1] and not kinds[3] and not kinds[4]:
        notes.append("there is no snapshot: the book is known only as far as updates touch it")
    if reading.snapshots and not record["used"][4]:
        notes.append("snapshots do not name a symbol: those of this capture of several were left out")
    if not is_checked:
        notes.append("crossed books were not looked for: the prices span too many ticks")
    if record["others"]:
        notes.append(
            f"{int(record['others']):,} lines have names beyond the {scanning.NAMES_MAX} that are counted"
        )
    if options.base_latency_ns and not shift_ns:
        notes.append("the base latency was not used: no row came before it was sent")
    return notes
