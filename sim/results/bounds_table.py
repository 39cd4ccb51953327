"""What a run comes to under other models, as a table."""

import math

from hftd.runs.bounds import Bounds
from sim.results.parts import Cell, Rows, Table

_NOTHING = "-"


def bounds_table(found: Bounds) -> Table:
    """A row a variant; the run itself first."""
    own = found.variants[0].pnl
    rows: Rows = []
    kind = ""
    for one in found.variants:
        if kind and one.kind != kind:
            rows.append([])
        kind = one.kind
        name: Cell = (one.name, "bold") if one.kind == "own" else one.name
        if one.error:
            rows.append([name, _NOTHING, _NOTHING, _NOTHING, _NOTHING, (one.error, "yellow")])
            continue
        apart = None if own is None or one.pnl is None or one.kind == "own" else one.pnl - own
        rows.append([name, _amount(one.pnl), _amount(apart), f"{one.trades:,}", _amount(one.fee), ""])
    columns = ("~", "=P&L", "=apart", "=trades", "=fees", "~")
    return Table(columns, rows, keys=1, title="Under other models")


def _amount(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return _NOTHING
    return f"{value + 0.0:,.{2 if abs(value) >= 100 else 4}f}"
