"""The figures of an asset, and of all assets together, by name; and why one has no value."""

# pyright: basic

import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError
from hftd.runfile import RunFile
from sim.results.explain import life_of
from sim.results.report.portfolio import in_common
from sim.results.report.shapes import AssetReport, Options, periods
from sim.stats import metrics, pnl
from sim.stats.executions import Executions, Orders
from sim.stats.frame import Frame
from sim.stats.markouts import NAMES, Markout
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


VALUE_MAX: Final = 1e100
"""Of products and sums of such values each is a number still."""
_HINT: Final = "the file is broken, or what wrote it computed with wrong prices"


def check_life(run: RunFile) -> None:
    """Refuse a life of other columns.

    Raises:
        DataError: It has some.
    """
    if run.life is not None:
        life_of(run)


def check_values(run: RunFile, number: int, done: Executions) -> None:
    """Refuse values of which no figures can be made.

    Args:
        run: The run.
        number: The asset.
        done: Its executions.

    Raises:
        DataError: A value is infinite or beyond `VALUE_MAX`, or missing where it is needed; or the price of an
            inverse contract is 0.
    """
    meta, rows = run.asset(number), run.records[number]
    where = f"{run.path}, {meta.symbol}"
    if not 0 < meta.contract_size <= VALUE_MAX:
        raise DataError(f"the contract size is {meta.contract_size:g}", where=where, hint=_HINT)
    for name in ("position", "balance", "fee", "trading_volume", "trading_value"):
        _check(rows[name], f"`{name}` of row", where)
    _check(rows["price"], "`price` of row", where, may_be_nan=True, is_divisor=meta.is_inverse)
    _check(done.qty, "the quantity of execution", where)
    _check(done.price, "the price of execution", where, is_divisor=meta.is_inverse)
    _check(done.fee, "the fee of execution", where, may_be_nan=True)
    _check(done.mid, "the mid price at execution", where, may_be_nan=True, is_divisor=meta.is_inverse)


def _check(
    values: NDArray[Any], what: str, where: str, *, may_be_nan: bool = False, is_divisor: bool = False
) -> None:
    sizes = np.abs(values)
    is_good = sizes <= VALUE_MAX
    if is_divisor:
        is_good &= sizes >= 1 / VALUE_MAX
    if may_be_nan:
        is_good |= np.isnan(values)
    if not is_good.all():
        first = int(np.argmin(is_good))
        raise DataError(
            f"{what} {first:,} is {values[first]:g}: no figures can be made of that", where=where, hint=_HINT
        )


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
        total[key] = sum(in_common(one, key, assets) for one in assets)
    total["trading_volume_"] = np.zeros(len(times))
    total["position"] = total["price"] = np.full(len(times), np.nan)
    columns = Frame(total)
    if any(one.meta is not None and one.meta.is_inverse for one in assets):
        notes.append(
            "All together: inverse assets are counted in the quote currency, at their price of the moment."
        )
    notes += [
        f"All together: {one.name}'s money is counted at the price of {assets[one.valued_at].name} of the moment."
        for one in assets
        if one.valued_at is not None
    ]
    problem = "" if len(times) > 1 else "the record has one row"
    figures, why = ratios(columns, options, notes, "all together", problem)
    for key in ("TradingVolume", "DailyTradingVolume", "MaxPosition"):
        figures[key], why[key] = None, "quantities of different instruments don't add up"
    splits = [one.split for one in assets]
    linear = not any(
        (one.meta is not None and one.meta.is_inverse) or one.valued_at is not None for one in assets
    )
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
            why[key] = "an asset has none" if linear else "an asset's is in another currency"
    if added is None and not any(one.meta is not None and one.meta.is_inverse for one in assets):
        equity = columns["equity_wo_fee"] - columns["fee"]
        known = equity[~np.isnan(equity)]
        if len(known) and all(one is not None for one in splits):
            figures["NetPnl"] = float(known[-1] - known[0])
            why.pop("NetPnl")
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
