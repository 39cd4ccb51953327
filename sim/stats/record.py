"""Statistics of a recorded run, one asset at a time, as HftBacktest's `stats` has them."""

# pyright: basic

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, UsageError
from sim.stats.frame import Frame
from sim.stats.metrics import (
    SR,
    DailyNumberOfTrades,
    DailyTradingValue,
    MaxDrawdown,
    MaxPositionValue,
    Metric,
    Ret,
    ReturnOverMDD,
    ReturnOverTrade,
    Sortino,
)
from sim.stats.sampling import resample, split, to_ns
from sim.stats.summary import Summary
from sim.stats.tables import polars

_COLUMNS = ("timestamp", "price", "position", "balance", "fee")


def _moment(time: np.datetime64) -> datetime:
    """Without a zone, as polars shows times; they are UTC."""
    ns = int(time.astype("datetime64[ns]").astype(np.int64))
    seconds, rest = divmod(ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000, tzinfo=None)


def compute_metrics(
    df: Frame, metrics: Sequence[Metric | type[Metric]], kwargs: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The figures of a period by name, with its `start` and `end`, and why some have no value."""
    context: dict[str, Any] = {"start": _moment(df["timestamp"][0]), "end": _moment(df["timestamp"][-1])}
    notes: dict[str, str] = {}
    for metric in metrics:
        if isinstance(metric, type):
            known = inspect.signature(metric.__init__).parameters
            metric = metric(**{key: value for key, value in kwargs.items() if key in known})
        for name, value in _computed(metric, df, context).items():
            context[name] = value
            if isinstance(value, float | np.floating) and not np.isfinite(value):
                notes[name] = metric.why(df)
    return context, notes


def _computed(metric: Metric, df: Frame, context: dict[str, Any]) -> Mapping[str, Any]:
    """What a metric says. One that was written for DataFrames of polars asks arrays for what they have not."""
    try:
        return metric.compute(df, context)
    except AttributeError:
        if type(metric).__module__.startswith("hftd.") or polars() is None:
            raise
        return metric.compute(df.to_polars(), context)


class Stats:
    """Figures of a record and of its parts, and its picture.

    Attributes:
        columns: The record's columns after resampling, as arrays.
        splits: The figures of each part, the last of them those of the whole.
        kwargs: What the metrics were made with.
    """

    def __init__(
        self,
        entire: Frame,
        splits: list[dict[str, Any]],
        kwargs: Mapping[str, Any],
        notes: list[dict[str, str]],
    ) -> None:
        self.columns = entire
        self.splits = splits
        self.kwargs = kwargs
        self._notes = notes

    @property
    def entire(self) -> Any:
        """The record's columns after resampling: a polars DataFrame where polars is installed, else `columns`."""
        return self.columns.table()

    def summary(self, pretty: bool = False) -> Any:  # noqa: ARG002
        """The figures, a row for each part and one for the whole.

        Args:
            pretty: Taken for the reference's sake.

        Returns:
            A polars DataFrame where polars is installed, else `figures()`.
        """
        return self.figures().table()

    def figures(self) -> Summary:
        """The figures as a table that prints, with a note on each that has no value."""
        return Summary(self.splits, self._notes)

    def plot_matplotlib(self, price_as_ret: bool = False) -> Any:
        """As `plot`."""
        return self.plot(price_as_ret)

    def plot_holoviews(self, price_as_ret: bool = False) -> Any:
        """As `plot` with that backend, which is not supported: an error says so."""
        return self.plot(price_as_ret, "holoviews")

    def plot(
        self, price_as_ret: bool = False, backend: Literal["matplotlib", "holoviews"] = "matplotlib"
    ) -> Any:
        """Draw equity and position over time, with the price.

        Args:
            price_as_ret: Show the price as its cumulative return; only with a `book_size`.
            backend: "matplotlib" is the only one.

        Returns:
            A matplotlib figure.

        Raises:
            UsageError: The backend is another.
        """
        if backend != "matplotlib":
            raise UsageError(
                f"there is no backend {backend!r}",
                hint="`hftd report` makes a page that can be zoomed; backend='matplotlib' draws a figure",
            )
        from sim.stats.plot import draw

        return draw(self.columns, self.kwargs.get("book_size"), price_as_ret)


class Record(ABC):
    """The recorded states of one asset.

    Args:
        data: `record_dtype` rows, or another table with the columns timestamp, price, position, balance and fee.

    Raises:
        DataError: It is another kind of table.
    """

    DEFAULT_METRICS: ClassVar[tuple[type[Metric], ...]] = (
        SR,
        Sortino,
        Ret,
        MaxDrawdown,
        DailyNumberOfTrades,
        DailyTradingValue,
        ReturnOverMDD,
        ReturnOverTrade,
        MaxPositionValue,
    )

    def __init__(self, data: Any) -> None:
        self._contract_size = 1.0
        self._time_unit = "ns"
        self._frequency: str | None = "10s"
        self._partition: str | None = None
        self.df = Frame.of(data)
        missing = [name for name in _COLUMNS if name not in self.df]
        if missing and not ("equity_wo_fee" in self.df and set(missing) <= {"balance"}):
            raise DataError(
                f"the record has no column {', '.join(missing)}", hint=f"it has {', '.join(self.df)}"
            )

    def contract_size(self, contract_size: float) -> Self:
        """Units of the underlying in one contract; 1 if it isn't called."""
        self._contract_size = contract_size
        return self

    def time_unit(self, time_unit: str) -> Self:
        """What the timestamps count since the epoch: "ns" (the default), "us", "ms", "s" or "d"."""
        self._time_unit = time_unit
        return self

    def resample(self, frequency: str | None) -> Self:
        """Take one sample a window.

        Args:
            frequency: A duration such as "10s" (the default), "1m" or "1h"; None to take all rows as they are.
        """
        self._frequency = frequency
        return self

    def monthly(self) -> Self:
        """Have figures of each month too."""
        self._partition = "monthly"
        return self

    def daily(self) -> Self:
        """Have figures of each day too."""
        self._partition = "daily"
        return self

    def hourly(self) -> Self:
        """Have figures of each hour too."""
        self._partition = "hourly"
        return self

    @abstractmethod
    def _equity_wo_fee(self, df: Frame) -> NDArray[np.float64]: ...

    @abstractmethod
    def _value(self, qty: NDArray[np.float64], price: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a quantity is worth, not negative."""

    def _prepared(self, df: Frame) -> Frame:
        """With the columns that metrics need."""
        made: dict[str, NDArray[Any]] = {}
        traded = np.abs(_changes(df["position"]))
        if "num_trades_" not in df:
            # Without a count of its own, each change of the position is one trade.
            made["num_trades_"] = (
                _changes(df["num_trades"]) if "num_trades" in df else (traded > 0).astype(np.int64)
            )
        if "trading_volume_" not in df:
            made["trading_volume_"] = _changes(df["trading_volume"]) if "trading_volume" in df else traded
        if "trading_value_" not in df:
            made["trading_value_"] = (
                _changes(df["trading_value"])
                if "trading_value" in df
                else np.where(traded > 0, self._value(traded, df["price"]), 0.0)
            )
        if "equity_wo_fee" not in df:
            made["equity_wo_fee"] = self._equity_wo_fee(df)
        if "position_value_" not in df:
            made["position_value_"] = self._value(np.abs(df["position"]), df["price"])
        return df.with_columns(**made)

    def stats(self, metrics: Sequence[Metric | type[Metric]] | None = None, **kwargs: Any) -> Stats:
        """Compute figures.

        Args:
            metrics: Metrics, or classes of them, which are made with what they take of `kwargs`. Default:
                `DEFAULT_METRICS`.
            kwargs: `book_size`, `trading_days_per_year` and what other metrics take.

        Raises:
            DataError: The record has no row, or is not sorted by time.
            UsageError: No metric takes one of `kwargs`, or the sampling can't be understood.
        """
        chosen = tuple(metrics) if metrics is not None else self.DEFAULT_METRICS
        _check_kwargs(chosen, kwargs)
        if not len(self.df):
            raise DataError("the record has no rows", hint="has the strategy recorded, or time passed?")
        times = to_ns(self.df["timestamp"], self._time_unit)
        entire = self._prepared(self.df.with_columns(timestamp=times.astype("datetime64[ns]")))
        if self._frequency is not None:
            entire = resample(entire, self._frequency)
        computed = [compute_metrics(df, chosen, kwargs) for df in [*split(entire, self._partition), entire]]
        return Stats(entire, [values for values, _ in computed], kwargs, [notes for _, notes in computed])


def _changes(column: NDArray[Any]) -> NDArray[Any]:
    """From row to row; 0 in the first."""
    return np.diff(column, prepend=column[:1])


def _check_kwargs(metrics: Sequence[Metric | type[Metric]], kwargs: Mapping[str, Any]) -> None:
    # Those two are what any metric or the plot may take.
    known = {"book_size", "trading_days_per_year"}
    for metric in metrics:
        known |= set(inspect.signature(metric.__init__).parameters) - {"self"}
    for key in kwargs:
        if key not in known:
            raise UsageError(f"no metric takes {key!r}", hint=f"they take {', '.join(sorted(known))}")


class LinearAssetRecord(Record):
    """The record of an asset whose value is its quantity times its price, in the quote currency.

    Example::

        rows = np.load("run.npz")["0"]
        stats = LinearAssetRecord(rows).resample("10s").daily().stats(book_size=100_000)
        stats.summary()
    """

    def _equity_wo_fee(self, df: Frame) -> NDArray[np.float64]:
        return df["balance"] + df["position"] * df["price"] * self._contract_size

    def _value(self, qty: NDArray[np.float64], price: NDArray[np.float64]) -> NDArray[np.float64]:
        return qty * price * self._contract_size


class InverseAssetRecord(Record):
    """The record of an asset that is settled in its base currency: its value is quantity by price.

    Source of the rule: HftBacktest's inverse asset, whose balance counts what was paid for the position.
    """

    def _equity_wo_fee(self, df: Frame) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            worth = df["position"] / df["price"] * self._contract_size
        return -df["balance"] - worth

    def _value(self, qty: NDArray[np.float64], price: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return qty / price * self._contract_size
