"""Tables as scripts take them: DataFrames of polars where it is installed, else what they do with them."""

# pyright: basic

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

EXTRA = "pip install 'hftd[polars]'"
"""What installs polars."""


def polars() -> Any:
    """The module; None where it is not installed. It is imported when a table is asked for."""
    try:
        import polars as found  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return found


class Tabular:
    """What tables have in common with DataFrames."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def _rows_of_cells(self) -> Iterable[Iterable[Any]]:
        raise NotImplementedError

    def to_polars(self) -> Any:
        """A polars DataFrame; polars must be installed."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        what = f"{type(self).__name__} has no {name!r}"
        text = f"{what}: it is a table without polars, whose DataFrames may have it ({EXTRA})"
        raise AttributeError(text, name=name, obj=self)

    @property
    def height(self) -> int:
        """How many rows there are."""
        return len(self)

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    def table(self) -> Any:
        """A polars DataFrame where polars is installed, else this."""
        return self if polars() is None else self.to_polars()

    def write_csv(self, file: Any = None, *, include_header: bool = True) -> str | None:
        """Write the rows as text to a path or an open file; without one it is returned."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if include_header:
            writer.writerow(self.columns)
        writer.writerows([_cell(value) for value in row] for row in self._rows_of_cells())
        if file is None:
            return out.getvalue()
        if hasattr(file, "write"):
            file.write(out.getvalue())
        else:
            Path(file).write_text(out.getvalue())
        return None


def _cell(value: Any) -> Any:
    return value.isoformat(timespec="microseconds") if hasattr(value, "isoformat") else value
