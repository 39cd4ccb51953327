"""What a report is made of."""

# pyright: basic

from typing import Any, Final

import msgspec
import numpy as np

from hftd.errors import UsageError
from hftd.runfile import AssetMeta, RunMeta
from sim.results.explain import FillsByCause
from sim.results.report.figures import currency
from sim.results.report.missing import Missing, MissingTable, missing_table
from sim.stats import pnl
from sim.stats.frame import Frame
from sim.stats.markouts import Markout

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


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a report is made.

    Attributes:
        resample: The sampling of the ratios: a duration such as "10s".
        book_size: Capital that figures are divided by; None for units of money.
        split: "day", "hour", "month" or "none": the rows of the table of periods.
        trading_days_per_year: What a year is for annual figures.
        valued_at: Of assets whose money is the coin of another: that one's name, by theirs.
    """

    resample: str = "10s"
    book_size: float | None = None
    split: str = "day"
    trading_days_per_year: float = 365
    valued_at: dict[str, str] = {}


class AssetReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is to say of one asset of a run, or of all together.

    Attributes:
        name: Its name.
        meta: What is known of it; None of all together.
        figures: Values by name; None where there is none.
        why: Why a figure has none, by its name.
        periods: The table of days.
        split: Profit and loss, split; None of all together if an asset has none.
        markouts: At each horizon; empty of all together.
        markouts_from: Where their prices are from.
        frame: The columns to draw: timestamp, price, position, equity_wo_fee, fee; empty if there is nothing.
        done: The executions.
        latencies: Order latencies.
        orders: What became of its orders.
        valued_at: The number of the asset at whose price its money is added to that of the others; None: as it is.
        missing: Windows in which something is missing of its data; empty of all together.
    """

    name: str
    meta: AssetMeta | None
    figures: dict[str, float | None]
    why: dict[str, str]
    periods: list[Period]
    split: pnl.Split | None
    markouts: list[Markout]
    markouts_from: str
    frame: Any
    done: Any
    latencies: Any
    orders: Any
    valued_at: int | None = None
    missing: list[Missing] = []

    @property
    def currency(self) -> str:
        """What its money is counted in: that of all together is the quote currency."""
        return currency(self.meta is not None and self.meta.is_inverse)


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """Several assets of a run.

    Attributes:
        names: Of the assets.
        exposures: The signed value of each position over time, in the common currency; not in `to_dict`.
        gross_max: The largest sum of the values of all positions, long or short.
        gross_mean: Its mean.
        net_max: The largest sum of the signed values, as a size.
        net_mean: The mean of that sum's size.
        samples: Of the correlations.
        prices: The correlation of each asset's returns of the price with each other's; None where there is none.
        pnl: The correlation of the changes of their equity after fees.
    """

    names: list[str]
    exposures: list[Any]
    gross_max: float
    gross_mean: float
    net_max: float
    net_mean: float
    samples: int
    prices: list[list[float | None]]
    pnl: list[list[float | None]]

    def to_dict(self) -> dict[str, Any]:
        """All but what is only drawn."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "exposures"}


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is to say of a run.

    Attributes:
        name: What to call it.
        path: Its file.
        meta: What the file says of it.
        assets: One entry an asset.
        whole: All assets together; the asset itself if there is one only; None if they can't be added up.
        notes: What a reader must know: sources, what is missing, what was odd.
        fills: By asset and cause, as `hftd explain` counts them; empty without a whole life of the orders.
        portfolio: Several assets together; None of one, or where they can't be added up.
    """

    name: str
    path: str
    meta: RunMeta | None
    assets: list[AssetReport]
    whole: AssetReport | None
    notes: list[str]
    fills: list[FillsByCause] = []
    portfolio: Portfolio | None = None

    @property
    def days(self) -> float:
        """From the first row to the last of its assets, in days; 0 without rows."""
        spans = [one.frame["timestamp"][[0, -1]].astype("int64") for one in self.assets if len(one.frame)]
        if not spans:
            return 0.0
        return float(max(span[1] for span in spans) - min(span[0] for span in spans)) / 86_400e9

    def missing(self) -> MissingTable | None:
        """The windows in which something is missing of the data of its assets; None where there are none."""
        return missing_table([(asset.name, asset.missing) for asset in self.assets])


def periods(frame: Frame, how: str) -> list[Period]:
    """The rows of the table.

    Args:
        frame: Columns of a record, not resampled.
        how: "day", "hour", "month" or "none".

    Raises:
        UsageError: There would be more than `PERIODS_MAX` rows, or `how` is something else.
    """
    if how not in SPLITS:
        raise UsageError(f"`split` must be one of {', '.join(SPLITS)}, is {how!r}")
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
