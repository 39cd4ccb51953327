"""Figures of a record, by the names, parameters and definitions of HftBacktest 2.4.4.

Where that one is wrong these are right, and docs/report.md lists where. Each figure is computed from a
:class:`sim.stats.frame.Frame` with the columns of a record and those that
:class:`sim.stats.record.Record` adds: `equity_wo_fee`, `trading_value_`, `trading_volume_`, `num_trades_` (of each
row alone) and `position_value_`. Where a figure has no value it is NaN or infinite, and `why` says why.
"""

# pyright: basic

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sim.stats.frame import Frame
from sim.stats.sampling import samples_per_day, total_days


def net_equity(df: Frame) -> NDArray[np.float64]:
    """Equity after fees, of the rows that have one: without a price there is none."""
    equity = df["equity_wo_fee"] - df["fee"]
    return equity[~np.isnan(equity)]


def _ratio(a: float, b: float) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(a, b))


def _position_values(df: Frame) -> NDArray[np.float64]:
    values = df["position_value_"] if "position_value_" in df else np.abs(df["position"]) * df["price"]
    return values[~np.isnan(values)]


class Metric(ABC):
    """A figure of a record. Custom metrics derive from it."""

    @abstractmethod
    def compute(self, df: Frame, context: dict[str, Any]) -> Mapping[str, Any]:
        """The figure.

        Args:
            df: The record's columns; `df["timestamp"]` is of datetime64[ns].
            context: The figures computed so far, by name, with `start` and `end`.

        Returns:
            Values by name.
        """
        raise NotImplementedError

    def why(self, df: Frame) -> str:
        """Why the figure has no finite value."""
        if len(df) < 2:
            return "the period has one row"
        if len(net_equity(df)) < 2:
            return "fewer than two rows have a price"
        if total_days(df["timestamp"]) == 0:
            return "no time passes"
        return "it can't be divided by zero"


class _Figure(Metric):
    """A metric of one value.

    Args:
        name: Of the figure; None: `default`.
        book_size: Capital that the figure is divided by; None for units of money.
    """

    default: ClassVar[str] = ""

    def __init__(self, name: str | None = None) -> None:
        self.name = name if name is not None else self.default
        self.book_size: float | None = None

    def _value(self, df: Frame) -> Any:
        raise NotImplementedError

    def compute(self, df: Frame, context: dict[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002
        """See `Metric.compute`."""
        value = self._value(df)
        return {self.name: value if self.book_size is None else _ratio(value, self.book_size)}


class Ret(_Figure):
    """Return: equity after fees at the end less that at the start.

    Args:
        name: Of the figure; default `Return`.
        book_size: Capital that the figure is divided by; None for units of money.
    """

    default = "Return"

    def __init__(self, name: str | None = None, book_size: float | None = None) -> None:
        super().__init__(name)
        self.book_size = book_size

    def _value(self, df: Frame) -> float:
        equity = net_equity(df)
        return float(equity[-1] - equity[0]) if len(equity) else float("nan")


class AnnualRet(Ret):
    """Return a year.

    Args:
        name: Of the figure; default `AnnualReturn`.
        book_size: Capital that the figure is divided by; None for units of money.
        trading_days_per_year: 252, or 365 for markets that never close.
    """

    default = "AnnualReturn"

    def __init__(
        self, name: str | None = None, book_size: float | None = None, trading_days_per_year: float = 252
    ) -> None:
        super().__init__(name, book_size)
        self.trading_days_per_year = trading_days_per_year

    def compute(self, df: Frame, context: dict[str, Any]) -> Mapping[str, Any]:
        """See `Metric.compute`."""
        pnl = super().compute(df, context)[self.name]
        return {self.name: _ratio(pnl, total_days(df["timestamp"])) * self.trading_days_per_year}


class SR(_Figure):
    """Sharpe ratio of the changes of equity from sample to sample, annualised; the benchmark is 0.

    Args:
        name: Of the figure; default `SR`.
        trading_days_per_year: 252, or 365 for markets that never close. The ratio is multiplied by the root of the
            samples a year, so it depends on the sampling interval.
    """

    default = "SR"

    def __init__(self, name: str | None = None, trading_days_per_year: float = 252) -> None:
        super().__init__(name)
        self.trading_days_per_year = trading_days_per_year

    def _deviation(self, pnl: NDArray[np.float64]) -> float:
        return float(pnl.std(ddof=1)) if len(pnl) > 1 else float("nan")

    def _value(self, df: Frame) -> float:
        pnl = np.diff(net_equity(df))
        samples = samples_per_day(df["timestamp"]) * self.trading_days_per_year
        mean = float(pnl.mean()) if len(pnl) else float("nan")
        return _ratio(mean, self._deviation(pnl)) * float(np.sqrt(samples))

    def why(self, df: Frame) -> str:
        """See `Metric.why`."""
        pnl = np.diff(net_equity(df))
        if len(pnl) >= 1 and not pnl.any():
            return "the equity never changed"
        if len(pnl) == 1:
            return "one change of equity has no deviation"
        return super().why(df)


class Sortino(SR):
    """Sortino ratio: as the Sharpe ratio, by the root mean square of the losses; default name `Sortino`."""

    default = "Sortino"

    def _deviation(self, pnl: NDArray[np.float64]) -> float:
        return float(np.sqrt((np.minimum(0.0, pnl) ** 2).mean())) if len(pnl) else float("nan")

    def why(self, df: Frame) -> str:
        """See `Metric.why`."""
        pnl = np.diff(net_equity(df))
        if pnl.any() and not (pnl < 0).any():
            return "no interval made a loss"
        return super().why(df)


class MaxDrawdown(Ret):
    """The deepest fall of equity after fees below its highest value before; parameters as of `Ret`."""

    default = "MaxDrawdown"

    def _value(self, df: Frame) -> float:
        equity = net_equity(df)
        return float((np.maximum.accumulate(equity) - equity).max()) if len(equity) else float("nan")

    def compute(self, df: Frame, context: dict[str, Any]) -> Mapping[str, Any]:
        """See `Metric.compute`."""
        return {name: abs(value) for name, value in super().compute(df, context).items()}


class ReturnOverMDD(_Figure):
    """Return by the maximum drawdown, both in units of money."""

    default = "ReturnOverMDD"

    def _value(self, df: Frame) -> float:
        return _ratio(Ret()._value(df), MaxDrawdown()._value(df))

    def why(self, df: Frame) -> str:
        """See `Metric.why`."""
        equity = net_equity(df)
        if len(equity) and not (np.diff(equity) < 0).any():
            return "the equity never fell"
        return super().why(df)


class ReturnOverTrade(_Figure):
    """Return by the traded value: what a unit of turnover earned."""

    default = "ReturnOverTrade"

    def _value(self, df: Frame) -> float:
        return _ratio(Ret()._value(df), TradingValue()._value(df))

    def why(self, df: Frame) -> str:
        """See `Metric.why`."""
        return super().why(df) if np.nansum(df["trading_value_"]) else "nothing was traded"


class _Traded(_Figure):
    """The sum of a column, by the capital, or a day, or as it is."""

    column: ClassVar[str] = ""
    is_daily: ClassVar[bool] = False

    def _value(self, df: Frame) -> Any:
        return np.nansum(df[self.column]).item()

    def compute(self, df: Frame, context: dict[str, Any]) -> Mapping[str, Any]:
        """See `Metric.compute`."""
        total = super().compute(df, context)[self.name]
        return {self.name: _ratio(total, total_days(df["timestamp"])) if self.is_daily else total}


class NumberOfTrades(_Traded):
    """How many trades there were."""

    column = "num_trades_"
    default = "NumberOfTrades"


class DailyNumberOfTrades(NumberOfTrades):
    """How many trades there were a day of 24 hours."""

    default = "DailyNumberOfTrades"
    is_daily = True


class TradingVolume(_Traded):
    """How much was traded, in the instrument's units."""

    column = "trading_volume_"
    default = "TradingVolume"


class DailyTradingVolume(TradingVolume):
    """How much was traded a day of 24 hours, in the instrument's units."""

    default = "DailyTradingVolume"
    is_daily = True


class TradingValue(_Traded):
    """The value of all trades; by the capital, if that is given: the turnover.

    Args:
        name: Of the figure; default `TradingValue`, or `Turnover` with a `book_size`.
        book_size: Capital that the figure is divided by; None for units of money.
    """

    column = "trading_value_"

    def __init__(self, name: str | None = None, book_size: float | None = None) -> None:
        default = ("Daily" if self.is_daily else "") + ("TradingValue" if book_size is None else "Turnover")
        super().__init__(name if name is not None else default)
        self.book_size = book_size


class DailyTradingValue(TradingValue):
    """The value of the trades of a day of 24 hours, or the turnover; default `DailyTradingValue`, `DailyTurnover`."""

    is_daily = True


class MaxPositionValue(_Figure):
    """The largest value of the position, long or short."""

    default = "MaxPositionValue"

    def _of(self, values: NDArray[np.float64]) -> float:
        return float(values.max())

    def _value(self, df: Frame) -> float:
        values = _position_values(df)
        return self._of(values) if len(values) else float("nan")

    def why(self, df: Frame) -> str:
        """See `Metric.why`."""
        return "no row has a price" if not len(_position_values(df)) else super().why(df)


class MeanPositionValue(MaxPositionValue):
    """The mean value of the position, long or short."""

    default = "MeanPositionValue"

    def _of(self, values: NDArray[np.float64]) -> float:
        return float(values.mean())


class MedianPositionValue(MaxPositionValue):
    """The median value of the position, long or short."""

    default = "MedianPositionValue"

    def _of(self, values: NDArray[np.float64]) -> float:
        return float(np.median(values))


class MaxLeverage(MaxPositionValue):
    """The largest value of the position by the capital.

    Args:
        name: Of the figure; default `MaxLeverage`.
        book_size: Capital.
    """

    default = "MaxLeverage"

    def __init__(self, name: str | None = None, book_size: float = 0.0) -> None:
        if book_size <= 0.0:
            warnings.warn("book_size should be positive.", UserWarning, stacklevel=2)
        super().__init__(name)
        self.capital = book_size

    def _of(self, values: NDArray[np.float64]) -> float:
        return _ratio(float(values.max()), self.capital)

    def why(self, df: Frame) -> str:
        """See `Metric.why`."""
        return "there is no book_size" if self.capital <= 0.0 else super().why(df)
