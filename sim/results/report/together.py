"""All assets of a run together."""

# pyright: basic

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.results.report.periods import periods
from sim.results.report.shapes import AssetReport, Options
from sim.results.report.values import of_orders, ratios
from sim.stats import pnl
from sim.stats.executions import Executions, Orders
from sim.stats.frame import Frame
from sim.stats.markouts import NAMES


def together(assets: list[AssetReport], options: Options, notes: list[str]) -> AssetReport | None:
    """All assets together, in the quote currency: that of an inverse asset at its own price of the moment."""
    if not all(len(one.frame) for one in assets):
        notes.append("There is no sum of the assets: one of them has no rows.")
        return None
    times = assets[0].frame["timestamp"]
    if any(not np.array_equal(one.frame["timestamp"], times) for one in assets[1:]):
        notes.append("There is no sum of the assets: they were recorded at different times.")
        return None
    total: dict[str, Any] = {"timestamp": times}
    for key in ("equity_wo_fee", "fee", "trading_value_", "num_trades_", "position_value_"):
        total[key] = sum(_in_quote(one, key) for one in assets)
    total["trading_volume_"] = np.zeros(len(times))
    total["position"] = total["price"] = np.full(len(times), np.nan)
    columns = Frame(total)
    if any(one.meta is not None and one.meta.is_inverse for one in assets):
        notes.append(
            "All together: inverse assets are counted in the quote currency, at their price of the moment."
        )
    problem = "" if len(times) > 1 else "the record has one row"
    figures, why = ratios(columns, options, notes, "all together", problem)
    for key in ("TradingVolume", "DailyTradingVolume", "MaxPosition"):
        figures[key], why[key] = None, "quantities of different instruments don't add up"
    splits = [one.split for one in assets]
    linear = not any(one.meta is not None and one.meta.is_inverse for one in assets)
    figures["Fees"] = float(columns["fee"][-1])
    worth = columns["position_value_"]
    figures["MaxLeverage"] = None
    if options.book_size and not np.isnan(worth).all():
        figures["MaxLeverage"] = float(np.nanmax(worth)) / options.book_size
    else:
        why["MaxLeverage"] = "no book size was given" if not options.book_size else "no row has a price"
    added = _added(splits) if linear else None
    of_orders(
        _joined([one.done for one in assets]), _sum_orders([one.orders for one in assets]), figures, why
    )
    for key, field in (("NetPnl", "total"), ("SpreadCaptured", "spread"), ("Inventory", "inventory")):
        figures[key] = getattr(added, field) if added is not None else None
        if figures[key] is None:
            why[key] = "an asset has none" if linear else "an inverse asset's is in another currency"
    for number, name in enumerate(NAMES):
        key = f"Markout {name}"
        figures[key] = _mean_markout(assets, number)
        if figures[key] is None:
            why[key] = "no asset has one"
    return AssetReport(
        name="all together",
        meta=None,
        figures=figures,
        why=why,
        periods=periods(columns, options.split),
        split=added,
        markouts=[],
        markouts_from="",
        frame=columns,
        done=None,
        latencies=None,
        orders=None,
    )


def _mean_markout(assets: list[AssetReport], number: int) -> float | None:
    """By the turnover of the assets that have one."""
    known = [
        (one.markouts[number].bps, float(np.nansum(one.frame["trading_value_"])))
        for one in assets
        if one.markouts and one.markouts[number].bps is not None
    ]
    weight = sum(value for _, value in known)
    return sum((bps or 0.0) * value for bps, value in known) / weight if weight > 0 else None


def _in_quote(one: AssetReport, key: str) -> NDArray[Any]:
    column = one.frame[key]
    if key == "equity_wo_fee" and not (one.meta is not None and one.meta.is_inverse):
        # A flat position is worth nothing, whatever the price: an asset that waits for its book does not hide the rest.
        column = np.where(np.isnan(column) & (one.frame["position"] == 0), one.frame["balance"], column)
    if one.meta is not None and one.meta.is_inverse and key != "num_trades_":
        return column * one.frame["price"]
    return np.nan_to_num(column) if key == "position_value_" else column


def _added(splits: list[pnl.Split | None]) -> pnl.Split | None:
    known = [one for one in splits if one is not None]
    if len(known) < len(splits):
        return None
    return pnl.Split(
        spread=sum(one.spread or 0.0 for one in known),
        inventory=sum(one.inventory or 0.0 for one in known),
        fees=sum(one.fees for one in known),
        total=sum(one.total for one in known),
        source="; ".join(dict.fromkeys(one.source for one in known)),
        unexplained=sum(one.unexplained for one in known),
        is_exact=all(one.is_exact for one in known),
    )


def _sum_orders(each: list[Orders]) -> Orders:
    return Orders(
        next((one.source for one in each if one.source), ""),
        sum(one.sent for one in each),
        sum(one.filled for one in each),
        sum(one.qty_sent for one in each),
        sum(one.qty_filled for one in each),
    )


def _joined(each: list[Executions]) -> Executions:
    fields = [name for name in Executions.__dataclass_fields__ if name != "source"]
    source = next((one.source for one in each if one.source), "")
    return Executions(source, *(np.concatenate([getattr(one, name) for one in each]) for name in fields))
