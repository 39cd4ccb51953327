"""The points of a sweep over all its days."""

import math
from collections.abc import Sequence

import msgspec

from sim.stats.sampling import NS_PER_DAY, NS_PER_SECOND
from sim.sweeps.figures import SAMPLE_SECONDS, Moments, Row
from sim.sweeps.points import Value

TRADING_DAYS = 252
"""A year, as `sim.stats.SR` has them."""


class PointSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a point came to over all days. What has no value is None.

    Attributes:
        point: Its number.
        parameters: What the sweep set, by name.
        days: Days that were played to their end.
        failed: Days that failed.
        reason: Why the first of them did.
        equity: The profits of the days, added up.
        fee: Fees paid.
        fills: Executions.
        traded_value: Their value.
        return_by_value: What a unit of turnover earned.
        max_drawdown: The deepest fall of the equity of the days one behind the other below its highest before.
        sharpe: The Sharpe ratio of the changes of equity from sample to sample over all days, annualised.
        sharpe_daily: That of the profits of the days, annualised; None with fewer than two days.
        sortino: The mean of the days'.
        max_position_value: The largest of the days'.
        position: At the end of the last day, the first asset's.
        profits: Day by day.
    """

    point: int
    parameters: dict[str, Value]
    days: int
    failed: int
    reason: str
    equity: float | None
    fee: float
    fills: int
    traded_value: float
    return_by_value: float | None
    max_drawdown: float | None
    sharpe: float | None
    sharpe_daily: float | None
    sortino: float | None
    max_position_value: float | None
    position: float | None
    profits: list[float | None]


def summarize(rows: Sequence[Row]) -> list[PointSummary]:
    """Each point over all its days.

    Args:
        rows: Of all points and days, each point's in the order of the days.
    """
    by_point: dict[int, list[Row]] = {}
    for row in rows:
        by_point.setdefault(row.point, []).append(row)
    return [_summary(by_point[point]) for point in sorted(by_point)]


def _summary(rows: list[Row]) -> PointSummary:
    good = [row for row in rows if row.status == "ok"]
    failed = [row for row in rows if row.status != "ok"]
    profits = [row.equity for row in rows]
    known = [profit for profit in profits if profit is not None]
    value = sum(row.traded_value or 0.0 for row in good)
    total = sum(known) if known else None
    sortinos = [row.sortino for row in good if row.sortino is not None]
    positions = [row.max_position_value for row in good if row.max_position_value is not None]
    return PointSummary(
        point=rows[0].point,
        parameters=rows[0].parameters,
        days=len(good),
        failed=len(failed),
        reason=failed[0].reason if failed else "",
        equity=total,
        fee=sum(row.fee or 0.0 for row in good),
        fills=sum(row.fills or 0 for row in good),
        traded_value=value,
        return_by_value=total / value if total is not None and value > 0.0 else None,
        max_drawdown=_drawdown(good),
        sharpe=_sharpe([row.moments for row in good]),
        sharpe_daily=_daily(known),
        sortino=sum(sortinos) / len(sortinos) if sortinos else None,
        max_position_value=max(positions) if positions else None,
        position=good[-1].assets[0].position if good and good[-1].assets else None,
        profits=profits,
    )


def _drawdown(rows: list[Row]) -> float | None:
    """Of days one behind the other: within one, or from the highest equity before it to its lowest."""
    deepest, start, peak = 0.0, 0.0, 0.0
    for row in rows:
        if row.max_drawdown is None or row.highest is None or row.lowest is None or row.equity is None:
            return None
        deepest = max(deepest, row.max_drawdown, peak - (start + row.lowest))
        peak = max(peak, start + row.highest)
        start += row.equity
    return deepest if rows else None


def added(moments: Sequence[Moments]) -> Moments:
    """Those of all days together."""
    return Moments(
        count=sum(one.count for one in moments),
        sum1=math.fsum(one.sum1 for one in moments),
        sum2=math.fsum(one.sum2 for one in moments),
        sum3=math.fsum(one.sum3 for one in moments),
        sum4=math.fsum(one.sum4 for one in moments),
    )


def _sharpe(moments: Sequence[Moments]) -> float | None:
    whole = added(moments)
    if whole.count < 2:
        return None
    mean = whole.sum1 / whole.count
    variance = (whole.sum2 - whole.count * mean * mean) / (whole.count - 1)
    samples_a_day = NS_PER_DAY / (SAMPLE_SECONDS * NS_PER_SECOND)
    return mean / math.sqrt(variance) * math.sqrt(samples_a_day * TRADING_DAYS) if variance > 0.0 else None


def _daily(profits: Sequence[float]) -> float | None:
    if len(profits) < 2:
        return None
    mean = sum(profits) / len(profits)
    variance = sum((profit - mean) ** 2 for profit in profits) / (len(profits) - 1)
    return mean / math.sqrt(variance) * math.sqrt(TRADING_DAYS) if variance > 0.0 else None
