"""The figures of an asset, and of all assets together, by name; and why one has no value."""

# pyright: basic

import warnings
from typing import Any, Final

import numpy as np

from sim.results.report.shapes import Options
from sim.stats import metrics, pnl
from sim.stats.executions import Executions, Orders
from sim.stats.frame import Frame
from sim.stats.markouts import Markout
from sim.stats.record import compute_metrics
from sim.stats.sampling import resample

METRICS: Final = (
    metrics.Ret,
    metrics.AnnualRet,
    metrics.SR,
    metrics.Sortino,
    metrics.MaxDrawdown,
    metrics.ReturnOverMDD,
    metrics.ReturnOverTrade,
    metrics.NumberOfTrades,
    metrics.DailyNumberOfTrades,
    metrics.TradingVolume,
    metrics.DailyTradingVolume,
    metrics.TradingValue,
    metrics.DailyTradingValue,
    metrics.MaxPositionValue,
    metrics.MeanPositionValue,
    metrics.MedianPositionValue,
)


def ratios(
    columns: Frame, options: Options, notes: list[str], name: str, problem: str
) -> tuple[dict[str, float | None], dict[str, str]]:
    """The figures that the samples of a record give, and why one has none."""
    kwargs = {"book_size": options.book_size, "trading_days_per_year": options.trading_days_per_year}
    if not len(columns):
        keys = [figure for metric in METRICS for figure in _names(metric)]
        return dict.fromkeys(keys), dict.fromkeys(keys, problem)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values, why = compute_metrics(resample(columns, options.resample), METRICS, kwargs)
    if any("interval" in str(one.message) for one in caught):
        notes.append(
            f"{name}: the record has gaps: some samples are further apart than {options.resample}; ratios are "
            "annualised by the median distance."
        )
    del values["start"], values["end"]
    figures = {key.replace("Turnover", "TradingValue"): _finite(value) for key, value in values.items()}
    return figures, {key.replace("Turnover", "TradingValue"): problem or text for key, text in why.items()}


def _names(metric: type[metrics.Metric]) -> list[str]:
    return [metric().name]  # pyright: ignore[reportAttributeAccessIssue]


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def of_positions(
    columns: Frame,
    figures: dict[str, float | None],
    why: dict[str, str],
    options: Options,
    problem: str,
) -> None:
    """Add the figures that all rows give, sampled or not."""
    if len(columns):
        figures["MaxPosition"] = float(np.nanmax(np.abs(columns["position"])))
        figures["Fees"] = float(columns["fee"][-1] - 0.0)
        worth = columns["position_value_"]
        if options.book_size and not np.isnan(worth).all():
            figures["MaxLeverage"] = float(np.nanmax(worth)) / options.book_size
    for key in ("MaxPosition", "Fees", "MaxLeverage"):
        if key not in figures:
            figures[key] = None
            no_capital = key == "MaxLeverage" and not options.book_size
            why[key] = "no book size was given" if no_capital else problem or "no row has a price"


def of_orders(done: Executions, sent: Orders, figures: dict[str, float | None], why: dict[str, str]) -> None:
    """Add those of orders and executions."""
    figures["OrderFillRatio"] = sent.filled / sent.sent if sent.sent else None
    figures["QtyFillRatio"] = sent.qty_filled / sent.qty_sent if sent.qty_sent > 0 else None
    for key in ("OrderFillRatio", "QtyFillRatio"):
        if figures[key] is None:
            why[key] = (
                "no orders were sent"
                if sent.source
                else "the orders were not recorded: set [record] orders = true, or record their life"
            )
    total = float(done.qty.sum())
    figures["MakerShare"] = float(done.qty[done.is_maker].sum()) / total if total > 0 else None
    if figures["MakerShare"] is None:
        why["MakerShare"] = "nothing was filled" if done.source else "the file has no executions"


def of_split(
    parts: pnl.Split, outs: list[Markout], figures: dict[str, float | None], why: dict[str, str]
) -> None:
    """Add those of the split and of the markouts."""
    figures |= {"NetPnl": parts.total, "SpreadCaptured": parts.spread, "Inventory": parts.inventory}
    if parts.spread is None:
        figures["NetPnl"] = None
        why |= dict.fromkeys(("NetPnl", "SpreadCaptured", "Inventory"), parts.why)
    for out in outs:
        key = f"Markout {out.name}"
        figures[key] = out.bps
        if out.bps is None:
            why[key] = out.why
