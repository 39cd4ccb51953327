"""A report's figures as a table on a terminal."""

import sys

from rich.table import Table
from rich.text import Text

from daemon.cli.show.console import Console
from sim.results.report import Report
from sim.results.report.labels import LABELS, SHORT_DAYS, named, shown

_PIPE_WIDTH = 400
_REASONS_MAX = 40
_COLUMNS_MAX = 8
"""More have no place on a terminal; the page has them."""


def show_report(made: Report) -> None:
    """A row for each figure, a column for each asset, or for each run of several; then what must be known."""
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    if len(made.runs) == 1:
        run = made.runs[0]
        columns = [(asset.name, asset) for asset in run.assets]
        if run.whole is not None and len(run.assets) > 1:
            columns.append((run.whole.name, run.whole))
    else:
        columns = [(run.name, run.whole) for run in made.runs if run.whole is not None]
    table = Table()
    table.add_column("")
    for name, _ in columns[:_COLUMNS_MAX]:
        table.add_column(Text(name), justify="right", no_wrap=True)
    is_short = any(run.days < SHORT_DAYS for run in made.runs)
    table.add_row("Money is in the", *(section.currency for _, section in columns[:_COLUMNS_MAX]))
    table.add_section()
    group = ""
    for label in LABELS:
        if group and label.group != group:
            table.add_section()
        group = label.group
        cells = [
            shown(label, section.figures.get(label.key), made.options.book_size)
            for _, section in columns[:_COLUMNS_MAX]
        ]
        table.add_row(named(label, made.options.resample, is_short=is_short), *cells)
    console.print(table)
    reasons = {
        f"{label.text}: {section.why[label.key]}"
        for label in LABELS
        for _, section in columns
        if label.key in section.why
    }
    for reason in sorted(reasons)[:_REASONS_MAX]:
        console.print(Text(f"\u2013 {reason}", style="dim"))
    for run in made.runs:
        for note in dict.fromkeys(run.notes):
            console.print(Text(f"{run.name}: {note}" if len(made.runs) > 1 else note, style="dim"))
