"""Tables that cut no figure, however narrow the terminal is."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 4_000


def put_table(console: Console, headings: Sequence[tuple[str, bool]], rows: Sequence[Sequence[Text]]) -> None:
    """Print a row for each entry where that fits, else a column for each, in as many tables as it takes.

    Args:
        console: Where to.
        headings: The columns' names, and whether they are numbers, which stand to the right.
        rows: Their cells, one for each heading.
    """
    wide = Table()
    for name, is_number in headings:
        wide.add_column(name, justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        wide.add_row(*row)
    if _fits(console, wide):
        console.print(wide)
        return
    begin = 0
    while begin < len(rows):
        end = begin + 1
        made = _tall(headings, rows[begin:end])
        while end < len(rows) and _fits(console, more := _tall(headings, rows[begin : end + 1])):
            made, end = more, end + 1
        console.print(made)
        begin = end


def _fits(console: Console, table: Table) -> bool:
    return console.measure(table, options=console.options.update(width=_UNBOUNDED)).maximum <= console.width


def _tall(headings: Sequence[tuple[str, bool]], rows: Sequence[Sequence[Text]]) -> Table:
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    for _ in rows:
        table.add_column(justify="right", overflow="fold")
    for number, (name, _) in enumerate(headings):
        table.add_row(Text(name), *(row[number] for row in rows))
    return table
