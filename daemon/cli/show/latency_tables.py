"""Order latencies, for people."""

from typing import TYPE_CHECKING, TextIO

from rich.table import Table
from rich.text import Text

from daemon.cli.show.checking import console_of, counts, facts_table, span

if TYPE_CHECKING:
    from sim.tools import LatencyReport

_MS = 1e6
_WAYS = (("entry", "entry"), ("response", "response"), ("round trip", "round_trip"))


def show_latencies(report: "LatencyReport", *, stream: TextIO | None = None) -> None:
    """Percentiles of both ways, and what was put right."""
    console = console_of(stream)
    name = report.output or ", ".join(report.files)
    console.print(Text(f"{name}: {report.rows:,} rows of order latencies", style="bold"))
    facts = [("requests", span(report.first_ts, report.last_ts))]
    if report.output:
        facts.append(
            (
                "read",
                f"{report.rows_read:,} rows of {len(report.files)} file{'s' if len(report.files) > 1 else ''}",
            )
        )
    facts.append(("refused", f"{report.refused:,}"))
    if report.changed:
        facts.append(("put right", counts(report.changed)))
    console.print(facts_table(facts))
    console.print(way_table(report))
    for sentence in report.notes:
        console.print(Text.assemble(("note: ", "cyan"), sentence))


def way_table(report: "LatencyReport") -> Table:
    """Percentiles in milliseconds."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("latency, ms", no_wrap=True)
    for name in ("rows", "min", "1%", "10%", "50%", "90%", "99%", "99.9%", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, field in _WAYS:
        found = getattr(report, field)
        if found is None:
            continue
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
        table.add_row(name, f"{found.rows:,}", *(f"{value / _MS:,.3f}" for value in values))
    return table
