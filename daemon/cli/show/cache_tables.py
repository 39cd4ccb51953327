"""Prepared archives, for people."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.table import Table
from rich.text import Text

from daemon.cli.show import text
from daemon.cli.show.console import Console

if TYPE_CHECKING:
    from sim.feed.preparing import Preparation

_PIPE_WIDTH = 400


def _console(stream: TextIO | None) -> Console:
    file = sys.stdout if stream is None else stream
    # A file or a pipe has no width: nothing is wrapped there.
    return Console(file=file, width=None if file.isatty() else _PIPE_WIDTH)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        justify = "right" if column in ("rows", "size", "tick", "lot", "took") else "left"
        table.add_column(column, justify=justify, overflow="fold")
    return table


def show_prepared(done: list["Preparation"], notes: list[str], *, stream: TextIO | None = None) -> None:
    """What was prepared, file by file."""
    console = _console(stream)
    table = _table("file", "tick", "lot", "for", "rows", "size", "took", "")
    for one in done:
        table.add_row(
            Text(one.source),
            f"{one.tick_size:g}",
            f"{one.lot_size:g}",
            one.use,
            f"{one.rows:,}",
            text.size(one.size_bytes),
            text.duration(one.seconds) if one.made else text.NOTHING,
            "" if one.made else "was there",
        )
    if done:
        console.print(table)
    for sentence in notes:
        console.print(Text.assemble(("note: ", "cyan"), sentence))


def show_cache(report: dict[str, Any], *, stream: TextIO | None = None) -> None:
    """What there is in the cache, and what was taken out."""
    console = _console(stream)
    for damaged in report.get("damaged", ()):
        where = Path(damaged["file"]).name
        console.print(
            Text.assemble(("damaged: ", "red bold"), f"{damaged['source']} ({where}): {damaged['what']}")
        )
    if "damaged" in report and not report["damaged"]:
        console.print("all checksums are right")
    if "pruned" in report:
        pruned = report["pruned"]
        console.print(
            f"taken out: {text.count(pruned['files'], 'file')}, {text.size(pruned['bytes'])}", markup=False
        )
    entries = report["entries"]
    limit = f"{text.size(report['bytes'])} of at most {text.size(report['max_bytes'])}"
    console.print(
        Text(f"{report['folder']}: {text.count(len(entries), 'prepared archive')}, {limit}", style="bold"),
        soft_wrap=True,
    )
    if foreign := report["foreign_files"]:
        console.print(f"other files in that folder, which are never touched: {foreign:,}", soft_wrap=True)
    if not entries:
        return
    table = _table("source", "tick", "lot", "for", "rows", "size", "last use")
    for entry in entries:
        table.add_row(
            Text(entry.source),
            f"{entry.tick_size:g}",
            f"{entry.lot_size:g}",
            entry.use,
            f"{entry.rows:,}",
            text.size(entry.size_bytes),
            text.moment(entry.used_ns),
        )
    console.print(table)
