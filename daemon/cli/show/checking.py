"""The report of a check of archives, for people."""

import sys
from typing import TYPE_CHECKING, TextIO

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from daemon.cli.show import text
from daemon.cli.show.console import Console

if TYPE_CHECKING:
    from sim.checks import Fixed, Problem, Validation
    from sim.checks.report import Latency

PIPE_WIDTH = 400
_COLORS = {"error": "red bold", "warning": "yellow", "note": "cyan"}
_MS = 1e6


def console_of(stream: TextIO | None = None) -> Console:
    """A console on a stream, stdout by default; a file or a pipe has no width, so nothing is wrapped there."""
    file = sys.stdout if stream is None else stream
    return Console(file=file, width=None if file.isatty() else PIPE_WIDTH)


def facts_table(facts: list[tuple[str, str]]) -> Table:
    """Labels and what they are."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in facts:
        table.add_row(label, Text(value))
    return table


def counts(by_name: dict[str, int]) -> str:
    """As in "depth 12, trade 3"."""
    return ", ".join(f"{name} {count:,}" for name, count in by_name.items()) or "none"


def span(first_ns: int | None, last_ns: int | None) -> str:
    """From when to when, and how long that is."""
    if first_ns is None or last_ns is None:
        return "none"
    return f"{text.moment(first_ns)} to {text.moment(last_ns)}, {text.duration((last_ns - first_ns) / 1e9)}"


def amount(value: int, unit: str) -> str:
    """Nanoseconds as a duration, other amounts with their unit."""
    if unit == "ns":
        if abs(value) < 1_000_000:
            return f"{value:,} ns"
        return text.duration(value / 1e9) if value >= 10**10 else f"{value / _MS:,.3f} ms"
    return f"{value:,} {unit}".rstrip()


def latency_table(latencies: dict[str, "Latency"], console: Console) -> Table:
    """Percentiles in milliseconds: a line for each kind of row, or a column each where the terminal is narrow."""
    lines = [["latency, ms", "rows", "min", "1%", "10%", "50%", "90%", "99%", "99.9%", "max"]]
    for name, found in latencies.items():
        values = (
            found.min_ns,
            found.p1_ns,
            found.p10_ns,
            found.p50_ns,
            found.p90_ns,
            found.p99_ns,
            found.p999_ns,
            found.max_ns,
        )
        lines.append([name, f"{found.rows:,}", *(f"{value / _MS:,.3f}" for value in values)])
    width = sum(max(map(len, column)) + 2 for column in zip(*lines, strict=True))
    if width > console.width:
        lines = [list(column) for column in zip(*lines, strict=True)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, heading in enumerate(lines[0]):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for line in lines[1:]:
        table.add_row(*line)
    return table


def show_validation(report: "Validation", *, rows: int = 3, stream: TextIO | None = None) -> None:
    """What is in the archives, and what is wrong with them."""
    console = console_of(stream)
    files = report.files
    name = files[0].file if len(files) == 1 else f"{len(files)} archives, {files[0].file} to {files[-1].file}"
    console.print(Text(f"{name}: {report.rows:,} rows", style="bold"))
    console.print(facts_table(_facts(report)))
    if report.latency:
        console.print(latency_table(report.latency, console))
    for sentence in report.notes:
        console.print(Text.assemble(("note: ", "cyan"), sentence))
    for problem in report.problems:
        _show_problem(console, problem, rows, several=len(files) > 1)
    verdict = _verdict(report)
    console.print(Text(verdict, style="green bold" if report.is_sound else "red bold"))


def _verdict(report: "Validation") -> str:
    kinds = {
        severity: sum(problem.severity == severity for problem in report.problems) for severity in _COLORS
    }
    if report.is_sound:
        return "sound" if not kinds["note"] else f"sound, with {_number(kinds['note'], 'note')}"
    return f"not sound: {_number(kinds['error'], 'kind')} of errors, {_number(kinds['warning'], 'kind')} of warnings"


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _facts(report: "Validation") -> list[tuple[str, str]]:
    first, last = report.files[0], report.files[-1]
    trades = report.trades
    facts = [
        ("rows", f"{counts(report.rows_by_kind)}; split by clock {report.split_rows:,}"),
        ("exchange time", span(first.exch_first_ts, last.exch_last_ts)),
        ("local time", span(first.local_first_ts, last.local_last_ts)),
        (
            "tick, lot",
            f"{_step(report.tick_size, report.tick_guessed)}, {_step(report.lot_size, report.lot_guessed)}",
        ),
        (
            "limits",
            (
                f"gap {text.duration(report.gap_ns / 1e9)}{' (by the first rows)' if report.gap_guessed else ''}, "
                f"jump {text.duration(report.jump_ns / 1e9)}"
            ),
        ),
    ]
    if report.px_min is not None and report.px_max is not None:
        facts.append(("prices", " to ".join(text.exact([report.px_min, report.px_max]))))
    if report.spread is not None:
        found = report.spread
        facts.append(
            (
                "spread",
                f"median {found.p50_ticks:,} ticks, 99% {found.p99_ticks:,}, widest {found.max_ticks:,}",
            )
        )
    if trades.count:
        facts.append(
            (
                "trades",
                (
                    f"{trades.count:,}: at the best price {trades.at_best:,}, inside the spread {trades.inside:,}, "
                    f"beyond the best {trades.through:,}, behind the book {trades.behind:,}, unknown {trades.unknown:,}"
                ),
            )
        )
    if report.drift is not None:
        drift = report.drift
        facts.append(
            (
                "clock drift",
                (
                    f"{drift.ns_per_s / 1e3:+,.2f} µs/s, {drift.total_ns / _MS:+,.3f} ms in all, "
                    f"scatter {drift.scatter_ns / _MS:,.3f} ms"
                ),
            )
        )
    facts.append(("took", f"{text.duration(report.seconds)}, {text.rate(report.rows, report.seconds)}"))
    return facts


def _step(size: float, is_guessed: bool) -> str:
    return f"{size:.12g}{' (guessed)' if is_guessed else ''}"


def _show_problem(console: Console, problem: "Problem", rows: int, *, several: bool) -> None:
    """A line with how often and how much, what it is, the first rows, and what to do; each indented under the line."""
    amounts = ""
    if problem.unit:
        most, total = amount(problem.most, problem.unit), amount(problem.total, problem.unit)
        amounts = f", most {most}, total {total}"
    console.print(
        Text.assemble(
            (f"{problem.severity:<8}", _COLORS[problem.severity]),
            (problem.name, "bold"),
            f" {problem.count:,}{amounts}",
        )
    )
    console.print(Padding(Text(problem.what), (0, 0, 0, 2)))
    if rows and problem.first:
        console.print(_places_table(problem, rows, several=several))
        if problem.count > rows:
            more = problem.count - min(rows, len(problem.first))
            console.print(Padding(Text(f"and {more:,} more"), (0, 0, 0, 4)))
    if problem.hint:
        console.print(Padding(Text(problem.hint, style="dim"), (0, 0, 0, 2)))


def _places_table(problem: "Problem", rows: int, *, several: bool) -> Table:
    """The first rows: what does not fit in a line goes on below their values, not at the left edge."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for place in problem.first[:rows]:
        px = "not finite" if place.px is None else f"{place.px:.12g}"
        qty = "not finite" if place.qty is None else f"{place.qty:.12g}"
        by = f", {amount(place.amount, problem.unit)}" if place.amount is not None else ""
        where = f"{place.file}: " if several else ""
        table.add_row(
            f"    row {place.row:,}:",
            Text(
                f"{where}ev {place.ev:#x}, px {px}, qty {qty}, exch_ts {place.exch_ts}, local_ts {place.local_ts}{by}"
            ),
        )
    return table


def show_fix(fixed: list["Fixed"], after: "Validation", *, stream: TextIO | None = None) -> None:
    """What was changed, and what the copies are like."""
    console = console_of(stream)
    for one in fixed:
        console.print()
        console.print(Text(f"{one.output}: {one.rows_written:,} rows", style="bold"))
        console.print(facts_table(_changes(one)))
        for sentence in one.not_fixed:
            console.print(Text.assemble(("not changed: ", "yellow"), sentence))
    left = [problem for problem in after.problems if problem.severity != "note"]
    names = ", ".join(f"{problem.name} ({problem.count:,})" for problem in left)
    console.print(
        Text(
            "the copy is sound" if not left else f"the copy still has {names}",
            style="green bold" if not left else "red bold",
        )
    )


def _changes(one: "Fixed") -> list[tuple[str, str]]:
    moved = {name.removesuffix("_order"): count for name, count in one.rows_out_of_order.items() if count}
    return [
        ("dropped", counts(one.dropped)),
        ("out of order", counts(moved)),
        ("split by clock", f"{one.rows_split:,}"),
        ("clock", f"moved by {one.clock_correction_ns:,} ns" if one.clock_correction_ns else "not moved"),
        ("size", text.size(one.bytes_written)),
    ]
