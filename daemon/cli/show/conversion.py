"""A conversion's report, for people."""

import sys
from typing import TYPE_CHECKING, TextIO

from rich.table import Table
from rich.text import Text

from daemon.cli.show import text
from daemon.cli.show.console import Console

if TYPE_CHECKING:
    from sim.convert.report import Report
    from sim.convert.rows.crossed import Crossed

_SHOWN_MAX = 5
_PIPE_WIDTH = 400


def show_conversion(report: "Report", *, stream: TextIO | None = None) -> None:
    """What was converted, what the capture is like, and what is wrong with it."""
    file = sys.stdout if stream is None else stream
    # A file or a pipe has no width: nothing is wrapped there.
    console = Console(file=file, width=None if file.isatty() else _PIPE_WIDTH)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for label, value in _facts(report):
        table.add_row(label, Text(value.rstrip()))
    console.print(
        Text(f"{report.output}: {report.rows:,} rows of {report.symbol or report.venue}", style="bold")
    )
    console.print(table)
    for sentence in report.notes:
        console.print(Text.assemble(("note: ", "cyan"), sentence))
    for place in report.unreadable[:_SHOWN_MAX]:
        console.print(Text.assemble(("line: ", "yellow"), f"{place.file}:{place.line}: {place.what}"))
    for sentence in report.damage:
        console.print(Text.assemble(("damage: ", "red bold"), sentence))


def _facts(report: "Report") -> list[tuple[str, str]]:
    sequence = report.sequence
    facts = [
        ("rows", _counts(report.rows_by_kind)),
        ("split by clock", f"{report.rows_split:,}"),
        ("exchange time", _span(report.exch.first_ts, report.exch.last_ts)),
        ("local time", _span(report.local.first_ts, report.local.last_ts)),
        (
            "least latency",
            f"{report.latency_min_ns / 1e6:,.3f} ms; corrected by {report.clock_correction_ns:,} ns",
        ),
        ("gaps", _gaps(sequence.gaps, sequence.repeats)),
        ("crossed book", _crossed(report.crossed)),
        ("lines", f"{report.lines:,}: {_counts(report.lines_by_kind)}"),
    ]
    for label, counts in (
        ("lines without rows", report.ignored),
        ("not converted", report.not_converted),
        ("exchange's errors", report.exchange_errors),
    ):
        if counts:
            facts.append((label, _counts(counts)))
    speed = f"{text.size(report.bytes_text)} of text in {text.duration(report.seconds)}"
    facts.append(("took", f"{speed}, {_rate(report.megabytes_per_second)}"))
    return facts


def _rate(megabytes_per_second: float) -> str:
    if megabytes_per_second < 1:
        return f"{megabytes_per_second * 1e3:,.1f} kB/s"
    return f"{megabytes_per_second:,.0f} MB/s"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _gaps(gaps: int, repeats: int) -> str:
    if not gaps and not repeats:
        return "none"
    return f"{gaps:,} with updates missing, {repeats:,} repeated or late"


def _crossed(crossed: "Crossed") -> str:
    if not crossed.checked:
        return "not checked: the prices are too far apart"
    if not crossed.times:
        return "never"
    total_ms, longest_ms = crossed.total_ns / 1e6, crossed.longest_ns / 1e6
    return f"{text.count(crossed.times, 'time')}, {total_ms:,.1f} ms in all, the longest {longest_ms:,.1f} ms"


def _span(first_ns: int, last_ns: int) -> str:
    return f"{text.moment(first_ns)} to {text.moment(last_ns)}, {text.duration((last_ns - first_ns) / 1e9)}"
