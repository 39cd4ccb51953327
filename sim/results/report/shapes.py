"""What a report is made of."""

from typing import Any

import msgspec

from hftd.runfile import AssetMeta, RunMeta
from sim.results.explain import FillsByCause
from sim.results.report.labels import currency
from sim.results.report.periods import Period
from sim.stats import pnl
from sim.stats.markouts import Markout


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a report is made.

    Attributes:
        resample: The sampling of the ratios: a duration such as "10s".
        book_size: Capital that figures are divided by; None for units of money.
        split: "day", "hour", "month" or "none": the rows of the table of periods.
        trading_days_per_year: What a year is for annual figures.
    """

    resample: str = "10s"
    book_size: float | None = None
    split: str = "day"
    trading_days_per_year: float = 365


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

    @property
    def currency(self) -> str:
        """What its money is counted in: that of all together is the quote currency."""
        return currency(self.meta is not None and self.meta.is_inverse)


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
    """

    name: str
    path: str
    meta: RunMeta | None
    assets: list[AssetReport]
    whole: AssetReport | None
    notes: list[str]
    fills: list[FillsByCause] = []

    @property
    def days(self) -> float:
        """From the first row to the last of its assets, in days; 0 without rows."""
        spans = [one.frame["timestamp"][[0, -1]].astype("int64") for one in self.assets if len(one.frame)]
        if not spans:
            return 0.0
        return float(max(span[1] for span in spans) - min(span[0] for span in spans)) / 86_400e9
