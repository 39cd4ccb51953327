"""The table of days: what each came to, so that the days add up to the run."""

# pyright: basic

from typing import Final

import msgspec
import numpy as np

from hftd.errors import UsageError
from sim.stats.frame import Frame

_UNITS: Final = {"day": "D", "hour": "h", "month": "M"}
SPLITS: Final = (*_UNITS, "none")
PERIODS_MAX: Final = 2_000
"""More rows are no table."""


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One day, hour or month (UTC).

    Attributes:
        name: Such as "2022-08-31".
        pnl: Equity after fees at its end less that at the end of the one before (of the first: at its first row);
            None without a price.
        fees: Paid in it.
        trades: Executions in it.
        value: Their value.
        drawdown: The deepest fall below the highest equity in it; None without a price.
        position_value: The largest value of the position in it; None without a price.
    """

    name: str
    pnl: float | None
    fees: float
    trades: int
    value: float
    drawdown: float | None
    position_value: float | None


def periods(frame: Frame, how: str) -> list[Period]:
    """The rows of the table.

    Args:
        frame: Columns of a record, not resampled.
        how: "day", "hour", "month" or "none".

    Raises:
        UsageError: There would be more than `PERIODS_MAX` rows, or `how` is something else.
    """
    if how not in SPLITS:
        raise UsageError(f"{how!r} is no way to split a run", hint=f"there are {', '.join(SPLITS)}")
    if how == "none" or not len(frame):
        return []
    names = frame["timestamp"].astype(f"datetime64[{_UNITS[how]}]")
    first = np.flatnonzero(np.concatenate(([True], names[1:] != names[:-1])))
    if len(first) > PERIODS_MAX:
        raise UsageError(
            f"the run has {len(first):,} {how}s, and a table has {PERIODS_MAX:,} rows at most",
            hint="split by month",
        )
    found: list[Period] = []
    equity = frame["equity_wo_fee"] - frame["fee"]
    before: float | None = None
    for start, end in zip(first, [*first[1:], len(frame)], strict=True):
        known = equity[start:end][~np.isnan(equity[start:end])]
        gain = drawdown = None
        if len(known):
            base = float(known[0]) if before is None else before
            gain = float(known[-1]) - base
            path = np.concatenate(([base], known))
            drawdown = float((np.maximum.accumulate(path) - path).max())
            before = float(known[-1])
        worth = frame["position_value_"][start:end]
        worth = worth[~np.isnan(worth)]
        fee_before = frame["fee"][start - 1] if start else frame["fee"][0]
        found.append(
            Period(
                name=str(names[start]).replace("T", " "),
                pnl=gain,
                fees=float(frame["fee"][end - 1] - fee_before),
                trades=int(frame["num_trades_"][start:end].sum()),
                value=float(np.nansum(frame["trading_value_"][start:end])),
                drawdown=drawdown,
                position_value=float(worth.max()) if len(worth) else None,
            )
        )
    return found
