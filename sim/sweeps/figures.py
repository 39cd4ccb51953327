"""What is kept of a point's day: one row of figures."""

import warnings as python_warnings
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.bot.result import BotResult
from sim.stats.metrics import SR, MaxDrawdown, MaxPositionValue, Sortino
from sim.stats.record import InverseAssetRecord, LinearAssetRecord
from sim.sweeps.play import Failure, Outcome
from sim.sweeps.points import Value

SAMPLE_SECONDS = 10
"""Equity is looked at that often, as `sim.stats` does."""


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """Where one asset of a point's day stands at its end; units as in `hftd.bot.result.AssetResult`."""

    symbol: str
    channel: str
    position: float
    balance: float
    fee: float
    num_trades: int
    trading_volume: float
    trading_value: float
    equity: float | None
    price: float | None


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of equity from sample to sample: sums of their powers, from which those of several days are made.

    Attributes:
        count: How many.
        sum1: Their sum.
        sum2: The sum of their squares.
        sum3: Of their third powers.
        sum4: Of their fourth powers.
    """

    count: int = 0
    sum1: float = 0.0
    sum2: float = 0.0
    sum3: float = 0.0
    sum4: float = 0.0


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What a point came to on a day. What has no value is None.

    Attributes:
        point: Its number.
        date: The day, `YYYYMMDD`.
        parameters: What the sweep set, by name.
        status: "ok" or "failed".
        reason: Why it failed.
        equity: At the end, after fees, of all assets together, where their money is of one kind; what a day begins
            with is 0, so this is its profit.
        fee: Fees paid.
        fills: Executions.
        traded_value: Their value.
        highest: The highest equity, 0 at least.
        lowest: The lowest, 0 at most.
        max_drawdown: The deepest fall of equity below its highest before, in money.
        sharpe: The Sharpe ratio of the changes of equity, annualised, as `sim.stats.SR` has it.
        sortino: The same by the losses.
        max_position_value: The largest value of the position, long or short.
        moments: Of the changes of equity.
        ended: How the run ended.
        warnings: What was odd.
        assets: Asset by asset.
    """

    point: int
    date: str
    parameters: dict[str, Value]
    status: str = "ok"
    reason: str = ""
    equity: float | None = None
    fee: float | None = None
    fills: int | None = None
    traded_value: float | None = None
    highest: float | None = None
    lowest: float | None = None
    max_drawdown: float | None = None
    sharpe: float | None = None
    sortino: float | None = None
    max_position_value: float | None = None
    moments: Moments = Moments()
    ended: str = ""
    warnings: list[str] = []
    assets: list[Asset] = []


def row_of(point: int, date: str, parameters: dict[str, Value], outcome: Outcome) -> Row:
    """The row of a point's day."""
    if isinstance(outcome, Failure):
        return Row(point=point, date=date, parameters=parameters, status="failed", reason=outcome.reason)
    assets = [
        Asset(**{name: _finite(getattr(one, name)) for name in Asset.__struct_fields__})
        for one in outcome.assets
    ]
    # Money of an inverse asset is its coin: it is not added to another one's.
    is_one_money = len(outcome.assets) == 1 or not any(one.inverse for one in outcome.assets)
    figures, moments = _figures(outcome) if is_one_money else ({}, Moments())
    warnings = outcome.warnings
    if not is_one_money:
        warnings = [*warnings, "the assets' money is of different kinds, so it is not added up"]
    return Row(
        point=point,
        date=date,
        parameters=parameters,
        equity=_finite(float(sum(one.equity for one in outcome.assets))) if is_one_money else None,
        fee=float(sum(one.fee for one in outcome.assets)) if is_one_money else None,
        fills=sum(one.num_trades for one in outcome.assets),
        traded_value=float(sum(one.trading_value for one in outcome.assets)) if is_one_money else None,
        moments=moments,
        ended=outcome.ended,
        warnings=warnings,
        assets=assets,
        **figures,
    )


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _figures(outcome: BotResult) -> tuple[dict[str, Any], Moments]:
    """Figures of the equity of all assets together."""
    if not len(outcome.records):
        return {}, Moments()
    frames = []
    for number, asset in enumerate(outcome.assets):
        kind = InverseAssetRecord if asset.inverse else LinearAssetRecord
        record = (
            kind(outcome.records[:, number]).contract_size(asset.contract_size).resample(f"{SAMPLE_SECONDS}s")
        )
        frames.append(record.stats([]).columns)
    first = frames[0]
    whole = first.with_columns(
        equity_wo_fee=_sum(frames, "equity_wo_fee"),
        fee=_sum(frames, "fee"),
        position_value_=_sum(frames, "position_value_"),
    )
    equity = whole["equity_wo_fee"] - whole["fee"]
    equity = equity[np.isfinite(equity)]
    if not len(equity):
        return {}, Moments()
    with python_warnings.catch_warnings():
        # Where the strategy slept for longer a window has no sample.
        python_warnings.simplefilter("ignore", UserWarning)
        found = (
            LinearAssetRecord(whole)
            .resample(None)
            .stats([MaxDrawdown, SR, Sortino, MaxPositionValue])
            .splits[-1]
        )
    values = {
        "highest": max(float(equity.max()), 0.0),
        "lowest": min(float(equity.min()), 0.0),
        "max_drawdown": found["MaxDrawdown"],
        "sharpe": found["SR"],
        "sortino": found["Sortino"],
        "max_position_value": found["MaxPositionValue"],
    }
    changes = np.diff(equity)
    sums = [float((changes**power).sum()) for power in (1, 2, 3, 4)]
    moments = Moments(count=len(changes), sum1=sums[0], sum2=sums[1], sum3=sums[2], sum4=sums[3])
    return {name: None if value is None else _finite(float(value)) for name, value in values.items()}, moments


def _sum(frames: list[Any], name: str) -> NDArray[np.float64]:
    """A column of all assets; they are looked at together, so their rows are of the same times."""
    total = np.array(frames[0][name], np.float64)
    for frame in frames[1:]:
        total += frame[name]
    return total
