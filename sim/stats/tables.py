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


def no_such_name(table: Any, name: str) -> AttributeError:
    """The error of a name that a table has not: DataFrames have more of them."""
    return AttributeError(
        f"{type(table).__name__} has no {name!r}: it is a table without polars, whose DataFrames may have it ({EXTRA})",
        name=name,
        obj=table,
    )


def write_csv(
    columns: list[str], rows: Iterable[Iterable[Any]], file: Any, include_header: bool
) -> str | None:
    """Write a table as text; without a file it is returned."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if include_header:
        writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    if file is None:
        return out.getvalue()
    if hasattr(file, "write"):
        file.write(out.getvalue())
    else:
        Path(file).write_text(out.getvalue())
    return None


def _cell(value: Any) -> Any:
    return value.isoformat(timespec="microseconds") if hasattr(value, "isoformat") else value
