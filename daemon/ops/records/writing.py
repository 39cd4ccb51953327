"""Tables as CSV, JSON and Parquet.

Texts come from bots' names, exchanges' words and ids: control characters are left out everywhere, and in CSV what a
spreadsheet would take for a formula gets an apostrophe before it. Numbers are written as they are, without exponents.
"""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from daemon.ops.records.views import Cell
from hftd.errors import UsageError

_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_DIGITS: Final = 18
"""Decimal places of numbers in Parquet; a column of finer ones is text."""
_WHOLE_MAX: Final = Decimal(10) ** 19


def plain(cell: Cell) -> Any:
    """A cell without characters that nobody sees; decimals as texts."""
    if isinstance(cell, str):
        return _UNSEEN.sub(" ", cell)
    return number(cell) if isinstance(cell, Decimal) else cell


def number(value: Decimal) -> str:
    """A decimal in digits: no exponent, no zeros behind that say nothing."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _csv(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int | Decimal):
        return str(plain(cell))
    # Tabs and line ends are spaces by now.
    text = plain(cell)
    return f"'{text}" if (cell[:1] in "\t\r\n" and cell) or text.lstrip().startswith(_FORMULA) else text


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]], file: TextIO) -> None:
    """Write a table with a heading."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv(cell) for cell in row])


def write_json(columns: Sequence[str], rows: Iterable[Sequence[Cell]], file: TextIO) -> None:
    """Write one document: a list of objects, one a line. Decimals are strings, so that they stay exact."""
    encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
    before = "[\n"
    for row in rows:
        file.write(before + encode(dict(zip(columns, map(plain, row), strict=True))).decode())
        before = ",\n"
    file.write("[]\n" if before == "[\n" else "\n]\n")


def write_parquet(columns: Sequence[str], rows: Iterable[Sequence[Cell]], path: Path) -> None:
    """Write a table with typed columns. All of it is in memory.

    Raises:
        UsageError: polars is not installed.
    """
    try:
        import polars
    except ImportError:
        raise UsageError("--parquet needs polars", hint="pip install 'hftd[polars]', or take --csv") from None
    table = list(rows)
    series = []
    for index, name in enumerate(columns):
        cells = [row[index] for row in table]
        if any(isinstance(cell, Decimal) for cell in cells):
            fits = all(
                not isinstance(cell, Decimal) or (_places(cell) <= _DIGITS and abs(cell) < _WHOLE_MAX)
                for cell in cells
            )
            dtype = polars.Decimal(38, _DIGITS) if fits else polars.String
            values = cells if fits else [plain(cell) for cell in cells]
        else:
            values = [plain(cell) for cell in cells]
            dtype = next((_TYPES[type(cell)](polars) for cell in values if cell is not None), polars.String)
        series.append(polars.Series(name, values, dtype=dtype))
    polars.DataFrame(series).write_parquet(path)


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else _DIGITS + 1


_TYPES: Final[dict[type, Callable[[Any], Any]]] = {
    bool: lambda polars: polars.Boolean,
    int: lambda polars: polars.Int64,
    str: lambda polars: polars.String,
}
