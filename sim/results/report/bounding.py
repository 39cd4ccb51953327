"""What a run comes to under other models, as a table."""

import math
from typing import NamedTuple

from hftd.runs.bounds import Bounds

_NOTHING = "-"


class BoundsTable(NamedTuple):
    """A row a variant, the run itself first.

    Attributes:
        title: Above it.
        columns: Headings; `=` before one says that it is of numbers.
        rows: A text for each column.
        kinds: Of each row, as of `hftd.runs.bounds.Variant`.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    kinds: list[str]


def bounds_table(found: Bounds) -> BoundsTable:
    """The variants as texts."""
    own = found.variants[0].pnl
    rows: list[list[str]] = []
    for one in found.variants:
        if one.error:
            rows.append([one.name, *[_NOTHING] * 4, one.error])
            continue
        apart = None if own is None or one.pnl is None or one.kind == "own" else one.pnl - own
        rows.append([one.name, _amount(one.pnl), _amount(apart), f"{one.trades:,}", _amount(one.fee), ""])
    kinds = [one.kind for one in found.variants]
    return BoundsTable("Under other models", ("~", "=P&L", "=apart", "=trades", "=fees", "~"), rows, kinds)


def _amount(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return _NOTHING
    return f"{value + 0.0:,.{2 if abs(value) >= 100 else 4}f}"
