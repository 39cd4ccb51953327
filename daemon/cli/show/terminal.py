"""The terminal: how lines and tables are written there. Nothing else of the command line knows rich's tables."""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table as RichTable
from rich.text import Text

from sim.results.parts import Cell, Facts, Line, Part, Table

PIPE_WIDTH = 400
_UNBOUNDED = 4_000
# Escapes would reach the terminal; the marks of direction would turn what stands around them.
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Console(rich.console.Console):
    """A console for names that are not ours: no markup in brackets, no emoji codes, no control characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich's, without the characters that a terminal would obey."""
        for segment in super().render(renderable, options):
            if segment.control or not _UNSHOWN.search(segment.text):
                yield segment
            else:
                yield Segment(_UNSHOWN.sub("", segment.text), segment.style)


def show(parts: Iterable[Part], stream: TextIO | None = None) -> None:
    """Write lines and tables.

    Args:
        parts: In order.
        stream: Where to; None is stdout.
    """
    file = sys.stdout if stream is None else stream
    is_terminal = file.isatty()
    # A file or a pipe has no width: nothing is wrapped or cut there, and nothing filled up with spaces.
    console = Console(file=file, width=None if is_terminal else PIPE_WIDTH)

    def write(renderable: RenderableType, *, soft_wrap: bool = False) -> None:
        if is_terminal:
            console.print(renderable, soft_wrap=soft_wrap)
            return
        with console.capture() as written:
            console.print(renderable, soft_wrap=soft_wrap)
        file.write("\n".join(line.rstrip(" ") for line in written.get().split("\n")))

    for part in parts:
        if isinstance(part, Table):
            for table in _tables(part, console):
                write(table)
        elif isinstance(part, Facts):
            write(_facts(part))
        else:
            write(_line(part), soft_wrap=not part.wraps)


def _text(cell: Cell) -> Text:
    return Text(cell) if isinstance(cell, str) else Text(cell[0], style=cell[1])


def _plain(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _line(line: Line) -> RenderableType:
    text = Text.assemble(*line.spans, style=line.style)
    return Padding(text, (0, 0, 0, line.indent)) if line.indent else text


def _facts(facts: Facts) -> RichTable:
    table = RichTable(show_header=False, box=None, pad_edge=False)
    table.add_column(style=facts.style, no_wrap=True, justify="right" if facts.right else "left")
    table.add_column(overflow="fold")
    for label, value in facts.pairs:
        table.add_row(label, Text(value.rstrip()))
    return table


def _tables(table: Table, console: Console) -> Iterable[RichTable]:
    """The table; where it is too wide and may be turned, a column for each row, in as many tables as it takes."""
    wide = _wide(table)
    if table.keys is None or _fits(console, wide):
        yield wide
        return
    rows, begin = table.rows, 0
    while begin < len(rows):
        end = begin + 1
        made = _turned(table, rows[begin:end])
        while end < len(rows) and _fits(console, more := _turned(table, rows[begin : end + 1])):
            made, end = more, end + 1
        yield made
        begin = end


def _fits(console: Console, table: RichTable) -> bool:
    return console.measure(table, options=console.options.update(width=_UNBOUNDED)).maximum <= console.width


def _empty(table: Table, *, show_header: bool = True) -> RichTable:
    if table.is_boxed:
        return RichTable(title=table.title or None, title_justify="left", show_header=show_header)
    return RichTable(box=None, pad_edge=False, header_style="dim", show_header=show_header)


def _wide(table: Table) -> RichTable:
    made = _empty(table)
    for column in table.columns:
        name = column.lstrip("=~")
        folds = "~" in column[: len(column) - len(name)]
        made.add_column(
            Text(name),
            justify="right" if column.startswith("=") else "left",
            no_wrap=not folds,
            overflow="fold" if folds and not table.is_boxed else "ellipsis",
        )
    for row in table.rows:
        if row:
            made.add_row(*map(_text, row))
        else:
            made.add_section()
    return made


def _turned(table: Table, rows: Sequence[Sequence[Cell]]) -> RichTable:
    """A column for each row, below its key."""
    keys = table.keys or 0
    made = _empty(table, show_header=keys > 0)
    names = [column.lstrip("=~") for column in table.columns]
    made.add_column(names[0] if keys == 1 else "", no_wrap=True)
    for row in rows:
        made.add_column(Text("\n".join(map(_plain, row[:keys]))), justify="right", overflow="fold")
    for number, name in enumerate(names[keys:], keys):
        made.add_row(Text(name), *(_text(row[number]) for row in rows))
    return made
