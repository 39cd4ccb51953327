"""Figures as a table that prints, and that becomes what other libraries take."""

# pyright: basic

import html
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from sim.stats.tables import Tabular

_WIDTH = 400


class Summary(Tabular):
    """A table of figures, a row for each period.

    Args:
        rows: Figures by name; the last row is that of the whole.
        notes: For each row, why a figure has no value, by its name.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], notes: Sequence[Mapping[str, str]]) -> None:
        self._rows = [dict(row) for row in rows]
        self._notes = [dict(note) for note in notes]

    @property
    def columns(self) -> list[str]:
        """The names of the figures."""
        return list(self._rows[0]) if self._rows else []

    @property
    def notes(self) -> list[str]:
        """Why figures have no value, one sentence each."""
        found: dict[str, int] = {}
        for note in self._notes:
            for name, why in note.items():
                sentence = f"{name}: {why}"
                found[sentence] = found.get(sentence, 0) + 1
        many = len(self._rows) > 1
        return [
            f"{text} ({count} of {len(self._rows)} rows)" if many else text for text, count in found.items()
        ]

    def _rows_of_cells(self) -> list[list[Any]]:
        return [[row.get(name) for name in self.columns] for row in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.to_dicts())

    def __getitem__(self, name: str) -> list[Any]:
        return [row.get(name) for row in self._rows]

    def to_dict(self) -> dict[str, list[Any]]:
        """A list for each column; what has no value is NaN, and `notes` says why."""
        return {name: self[name] for name in self.columns}

    def to_dicts(self) -> list[dict[str, Any]]:
        """A mapping for each row."""
        return [dict(row) for row in self._rows]

    def to_polars(self) -> Any:
        """A polars DataFrame; polars must be installed."""
        import polars  # pyright: ignore[reportMissingImports]

        return polars.DataFrame(self._rows)

    def to_pandas(self) -> Any:
        """A pandas DataFrame; pandas must be installed."""
        import pandas  # pyright: ignore[reportMissingImports]

        return pandas.DataFrame(self._rows)

    def __str__(self) -> str:
        from rich.console import Console
        from rich.table import Table

        table = Table()
        for name in self.columns:
            table.add_column(name, justify="left" if name in ("start", "end") else "right", no_wrap=True)
        for row in self._rows:
            table.add_row(*(_shown(row.get(name)) for name in self.columns))
        out = io.StringIO()
        console = Console(file=out, width=_WIDTH, highlight=False, markup=False)
        console.print(table)
        for note in self.notes:
            console.print(f"- {note}")
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        lines = (
            "<tr>" + "".join(f"<td>{html.escape(_shown(row.get(n)))}</td>" for n in self.columns) + "</tr>"
            for row in self._rows
        )
        notes = "".join(f"<p>- {html.escape(note)}</p>" for note in self.notes)
        return f"<table><tr>{head}</tr>{''.join(lines)}</table>{notes}"


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float | np.floating):
        return f"{value:.6g}" if np.isfinite(value) else "-"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    return str(value)
