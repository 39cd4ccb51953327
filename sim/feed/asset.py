"""An asset of a backtest: its data and the models of its exchange.

`BacktestAsset` has the names and arguments of HftBacktest's builder, so its scripts run unchanged.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, OrderError
from hftd.hbt.local import AssetSpec, Contract
from hftd.types import event_dtype, latency_dtype
from sim import given
from sim.config import MAX_LATENCY_NS
from sim.feed.columns import Prepared
from sim.model.layout import (
    ASSET_INVERSE,
    ASSET_LINEAR,
    EXCHANGE_PARTIAL_FILLS,
    EXCHANGE_WHOLE_FILLS,
    FEE_CUSTOM,
    FEE_FLAT,
    FEE_ON_QTY,
    FEE_ON_VALUE,
    MODIFY_REMAINDER,
    MODIFY_TOTAL,
    QUEUE_CUSTOM,
    QUEUE_FRONT,
    QUEUE_L3_FIFO,
    QUEUE_LOG,
    QUEUE_LOG2,
    QUEUE_POWER,
    QUEUE_POWER2,
    QUEUE_POWER3,
    QUEUE_RISK_ADVERSE,
    QUEUE_THROUGH,
)
from sim.models import CustomExchange, CustomFee, CustomLatency, CustomQueue

Source = str | Path | NDArray[Any]
"""A file of rows, or the rows."""

Feed = Source | Prepared
"""Feed data: a file of rows, the rows, or rows that were prepared."""

Latency = int | float | Source | list[Source]
"""Nanoseconds, or recorded orders."""


@dataclass(frozen=True)
class OrderLatency:
    """How long one way of orders takes: always the same, or as it was recorded.

    Args:
        constant_ns: The latency, where there is no recording; negative (but for a response) refuses the request.
        data: Recorded orders, `latency_dtype`, in time order.
        offset_ns: Added to what was recorded, on each way.
    """

    constant_ns: int = 0
    data: tuple[Source, ...] = ()
    offset_ns: int = 0

    def load(self, where: str) -> NDArray[Any]:
        """The rows of the recording, in time order, with the offset added to each way."""
        return load_latencies(self.data, self.offset_ns, where)


@dataclass
class AssetModel:
    """All that the engine must know of an asset."""

    name: str = ""
    data: list[Feed] = field(default_factory=list)
    initial_snapshot: Source | None = None
    tick_size: float = 0.0
    must_fit_ticks: bool = False
    """Whether data with many prices off the tick is an error; else it is a warning."""
    lot_size: float = 0.0
    roi_lb: float = 0.0
    roi_ub: float = 0.0
    last_trades_capacity: int = 0
    user_events_capacity: int = 0
    feed_offset_ns: int = 0
    fuse_bbo: bool = False
    asset_model: int = ASSET_LINEAR
    contract_size: float = 1.0
    fee_model: int = FEE_ON_VALUE
    maker_fee: float = 0.0
    taker_fee: float = 0.0
    buyer_fee: float = 0.0
    seller_fee: float = 0.0
    exchange_model: int = EXCHANGE_WHOLE_FILLS
    share_trades: bool = False
    modify_model: int = MODIFY_TOTAL
    queue_model: int = QUEUE_LOG2
    queue_power: float = 0.0
    custom_queue: CustomQueue | None = None
    custom_fee: CustomFee | None = None
    custom_latency: CustomLatency | None = None
    custom_exchange: CustomExchange | None = None
    latencies: list[OrderLatency] = field(default_factory=lambda: [OrderLatency()] * 4)
    latency_factor: float = 1.0

    def set_latency(self, entry: OrderLatency, response: OrderLatency) -> None:
        """One latency for all requests, and that of the answers."""
        self.latencies = [entry, entry, entry, response]

    @property
    def contract(self) -> Contract:
        """What a position is worth."""
        return Contract(self.contract_size, self.asset_model == ASSET_INVERSE)

    @property
    def by_order(self) -> bool:
        """Whether the market is known order by order."""
        return self.queue_model == QUEUE_L3_FIFO

    def spec(self) -> AssetSpec:
        """What the local side must know."""
        roi = (self.roi_lb, self.roi_ub) if (self.roi_lb, self.roi_ub) != (0.0, 0.0) else None
        return AssetSpec(
            self.tick_size,
            self.lot_size,
            self.last_trades_capacity,
            roi,
            self.name,
            self.user_events_capacity,
        )


def as_rows(data: Any, dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """An array of rows as the engine reads it, or a DataError that says what is wrong with it."""
    if not isinstance(data, np.ndarray):
        raise DataError(
            f"{what} is {type(data).__name__}, but must be a file name or an array",
            hint=f"its dtype is {dtype}",
        )
    if data.dtype != dtype:
        raise DataError(f"{what} has the dtype {data.dtype}", hint=f"it must be {dtype}")
    if data.ndim != 1:
        raise DataError(f"{what} has {data.ndim} dimensions, but must have one")
    return np.ascontiguousarray(data)


def load_latencies(sources: Sequence[Source], offset_ns: int, where: str) -> NDArray[Any]:
    """Read the rows of recorded order latencies, in time order, with the offset added to each way."""
    parts: list[NDArray[Any]] = []
    for source in sources:
        if isinstance(source, np.ndarray):
            rows = source
        else:
            from sim.archive import read_latencies

            rows = read_latencies(Path(source))
        parts.append(as_rows(rows, latency_dtype, "the order latency data"))
    if not parts or not sum(map(len, parts)):
        raise DataError("there are no order latencies to interpolate", where=where, hint="give rows or files")
    rows = np.concatenate(parts)
    late = np.flatnonzero(np.diff(rows["req_ts"]) < 0)
    if len(late):
        at = int(late[0]) + 1
        raise DataError(
            f"the order latencies go back in time at row {at}: {rows['req_ts'][at]} after {rows['req_ts'][at - 1]}",
            where=where,
            hint="sort the rows by req_ts, and give the files in time order",
        )
    # A refusal has no time at the exchange, so nothing can be added to it.
    if offset_ns:
        rows["exch_ts"] += np.where(rows["exch_ts"] > 0, offset_ns, 0)
        rows["resp_ts"] += 2 * offset_ns
    return rows


class BacktestAsset:
    """An asset of a backtest, described step by step: each method returns the asset itself.

    The defaults are HftBacktest's: no latency, the `log_prob_queue_model2`, whole fills, a linear asset of size 1
    and no fees. `tick_size` and `lot_size` must be given.
    """

    def __init__(self) -> None:
        self.model = AssetModel()

    def data(self, data: Feed | list[Feed]) -> Self:
        """Add feed data: npz files, arrays of `event_dtype` or what was prepared of them, in time order."""
        for source in data if isinstance(data, list) else [data]:
            if isinstance(source, Prepared):
                self.model.data.append(source)
            elif isinstance(source, np.ndarray):
                self.add_data(source)
            else:
                self.add_file(source)
        return self

    def add_file(self, data: str | Path) -> Self:
        """Add an npz file of feed data."""
        if not isinstance(data, (str, Path)):  # pyright: ignore[reportUnnecessaryIsInstance]
            as_rows(data, event_dtype, "the feed data")
        self.model.data.append(data)
        return self

    def add_data(self, data: NDArray[Any]) -> Self:
        """Add an array of feed data."""
        self.model.data.append(as_rows(data, event_dtype, "the feed data"))
        return self

    def initial_snapshot(self, data: Source) -> Self:
        """The order book before the data begins: an npz file or an array of depth snapshot rows."""
        if isinstance(data, np.ndarray):
            data = as_rows(data, event_dtype, "the initial snapshot")
        self.model.initial_snapshot = given.source(data, "the initial snapshot")
        return self

    def tick_size(self, tick_size: float) -> Self:
        """The smallest step of prices."""
        self.model.tick_size = given.number(tick_size, "tick_size")
        return self

    def lot_size(self, lot_size: float) -> Self:
        """The smallest step of quantities."""
        self.model.lot_size = given.number(lot_size, "lot_size")
        return self

    def roi_lb(self, roi_lb: float) -> Self:
        """The lowest price of interest."""
        self.model.roi_lb = given.number(roi_lb, "roi_lb")
        return self

    def roi_ub(self, roi_ub: float) -> Self:
        """The highest price of interest."""
        self.model.roi_ub = given.number(roi_ub, "roi_ub")
        return self

    def last_trades_capacity(self, capacity: int) -> Self:
        """How many trades `last_trades` may hold; 0, the default, to keep none."""
        self.model.last_trades_capacity = given.whole(capacity, "last_trades_capacity")
        return self

    def user_events_capacity(self, capacity: int) -> Self:
        """How many user events (kinds from 100) `user_events` holds until it is cleared; 0, the default: none."""
        self.model.user_events_capacity = given.whole(capacity, "user_events_capacity")
        return self

    def latency_offset(self, latency_offset: int) -> Self:
        """Nanoseconds to add to the feed's latency."""
        self.model.feed_offset_ns = given.whole(latency_offset, "the latency offset")
        return self

    def fuse_bbo(self, fuse: bool = True) -> Self:
        """Fuse best-bid-offer rows (kind 5) with the depth as it is loaded; else they change no book."""
        self.model.fuse_bbo = fuse
        return self

    def parallel_load(self, parallel_load: bool) -> Self:  # noqa: ARG002
        """Accepted for HftBacktest's scripts; it changes no result."""
        return self

    def linear_asset(self, contract_size: float) -> Self:
        """A contract worth its size times the price."""
        return self._asset(ASSET_LINEAR, contract_size)

    def inverse_asset(self, contract_size: float) -> Self:
        """A contract worth a fixed sum of the quote currency, settled in the base currency."""
        return self._asset(ASSET_INVERSE, contract_size)

    def _asset(self, model: int, contract_size: float) -> Self:
        self.model.contract_size = given.positive(contract_size, "the contract size")
        self.model.asset_model = model
        return self

    def constant_order_latency(self, entry_latency: int, resp_latency: int) -> Self:
        """The same order latency always, in nanoseconds; a negative entry latency refuses every request after it."""
        return self.separate_order_latency(entry_latency, entry_latency, entry_latency, resp_latency)

    def separate_order_latency(
        self, new: Latency, modify: Latency, cancel: Latency, response: Latency
    ) -> Self:
        """An order latency of its own for each kind of request, and for the answers.

        Args:
            new: Of new orders: nanoseconds, or recorded orders as `intp_order_latency` takes them.
            modify: Of modifications, in the same form.
            cancel: Of cancels, in the same form.
            response: Of answers, in the same form; not negative.
        """
        latencies = [_latency(way) for way in (new, modify, cancel, response)]
        if latencies[-1].constant_ns < 0:
            raise OrderError(
                f"the response latency is {response} ns, but an answer can't come before what it answers",
                hint="a refusal is a negative entry latency",
            )
        self.model.custom_latency = None
        self.model.latencies = latencies
        return self

    def constant_latency(self, entry_latency: int, resp_latency: int) -> Self:
        """The former name of `constant_order_latency`."""
        warnings.warn("constant_latency() is now constant_order_latency()", DeprecationWarning, stacklevel=2)
        return self.constant_order_latency(entry_latency, resp_latency)

    def intp_order_latency(self, data: Source | list[Source], latency_offset: int = 0) -> Self:
        """Order latency interpolated between recorded orders.

        Args:
            data: An npz file, a list of them, or an array of `latency_dtype`, in time order.
            latency_offset: Nanoseconds to add to the way there and to the way back.
        """
        offset_ns = given.whole(latency_offset, "the offset of the order latency", MAX_LATENCY_NS)
        files = data if isinstance(data, list) else [given.source(data, "the order latency data")]
        recorded = _latency(files, offset_ns)
        self.model.custom_latency = None
        self.model.set_latency(recorded, recorded)
        return self

    def _queue(self, model: int, power: float = 0.0) -> Self:
        if model in (QUEUE_POWER, QUEUE_POWER2, QUEUE_POWER3):
            power = given.positive(power, "the queue model's n")
        self.model.queue_model, self.model.queue_power = model, float(power)
        self.model.custom_queue = None
        return self

    def risk_adverse_queue_model(self) -> Self:
        """Only trades at the price move an order forward."""
        return self._queue(QUEUE_RISK_ADVERSE)

    def log_prob_queue_model(self) -> Self:
        """Decreases are split by f(back) / (f(back) + f(front)), f(x) = ln(1 + x)."""
        return self._queue(QUEUE_LOG)

    def log_prob_queue_model2(self) -> Self:
        """Decreases are split by f(back) / f(back + front), f(x) = ln(1 + x)."""
        return self._queue(QUEUE_LOG2)

    def power_prob_queue_model(self, n: float) -> Self:
        """Decreases are split by f(back) / (f(back) + f(front)), f(x) = x^n."""
        return self._queue(QUEUE_POWER, n)

    def power_prob_queue_model2(self, n: float) -> Self:
        """Decreases are split by f(back) / f(back + front), f(x) = x^n."""
        return self._queue(QUEUE_POWER2, n)

    def power_prob_queue_model3(self, n: float) -> Self:
        """Decreases are split by 1 - f(front / (front + back)), f(x) = x^n."""
        return self._queue(QUEUE_POWER3, n)

    def through_queue_model(self) -> Self:
        """A bound: an order fills only when the market goes through its price, never by a trade at it."""
        return self._queue(QUEUE_THROUGH)

    def front_queue_model(self) -> Self:
        """A bound: nothing is ever ahead of an order, so the first trade at its price reaches it."""
        return self._queue(QUEUE_FRONT)

    def l3_fifo_queue_model(self) -> Self:
        """The feed is the market's single orders (kinds 10 to 13), and own orders stand among them by arrival.

        Rows of levels (kinds 1 and 4) change nothing then. The rules: :mod:`hftd.book.market_orders` for the book,
        :mod:`sim.engine.orders` for fills, whole and partial.
        """
        return self._queue(QUEUE_L3_FIFO)

    def custom_queue_model(self, model: CustomQueue) -> Self:
        """A custom queue model."""
        self.model.custom_queue = given.model(model, CustomQueue)
        self.model.queue_model = QUEUE_CUSTOM
        return self

    def custom_fee_model(self, model: CustomFee) -> Self:
        """A custom fee model."""
        self.model.custom_fee = given.model(model, CustomFee)
        self.model.fee_model = FEE_CUSTOM
        return self

    def order_latency_factor(self, factor: float) -> Self:
        """Multiply every order latency, of whichever model, each way: 0.5 for shorter ones, 2 for longer ones.

        A refusal stays one, and its notice takes so much shorter or longer.
        """
        self.model.latency_factor = given.positive(factor, "the factor of order latencies")
        return self

    def custom_order_latency(self, model: CustomLatency) -> Self:
        """A custom order latency."""
        self.model.custom_latency = given.model(model, CustomLatency)
        return self

    def custom_exchange(self, model: CustomExchange) -> Self:
        """An exchange with custom rules, beside those for whole or partial fills."""
        self.model.custom_exchange = given.model(model, CustomExchange)
        return self

    def no_partial_fill_exchange(self) -> Self:
        """Orders fill whole, takers at the opposite best; the default."""
        self.model.exchange_model = EXCHANGE_WHOLE_FILLS
        return self

    def partial_fill_exchange(self) -> Self:
        """Makers fill by what trades leave behind the queue ahead of them, takers walk the opposite book."""
        self.model.exchange_model = EXCHANGE_PARTIAL_FILLS
        return self

    def share_trades(self, shared: bool = True) -> Self:
        """The orders of a bot at one price share a trade's quantity, by queue place.

        Without it, as in HftBacktest, each of them is given all of it. Markets of single orders always share.
        """
        self.model.share_trades = bool(shared)
        return self

    def modify_model(self, quantity: Literal["total", "remainder"]) -> Self:
        """What the quantity of a modification is: `total`, the whole order's, or `remainder`: see docs/models.md."""
        if quantity not in ("total", "remainder"):
            raise OrderError(f"the quantity of a modification is {quantity!r}", hint="total or remainder")
        self.model.modify_model = MODIFY_TOTAL if quantity == "total" else MODIFY_REMAINDER
        return self

    def _fees(self, model: int, maker_fee: float, taker_fee: float) -> Self:
        self.model.maker_fee = given.finite(maker_fee, "a fee")
        self.model.taker_fee = given.finite(taker_fee, "a fee")
        self.model.fee_model, self.model.custom_fee = model, None
        return self

    def trading_value_fee_model(self, maker_fee: float, taker_fee: float) -> Self:
        """Fees as a part of the value traded; negative for a rebate."""
        return self._fees(FEE_ON_VALUE, maker_fee, taker_fee)

    def trading_qty_fee_model(self, maker_fee: float, taker_fee: float) -> Self:
        """Fees for each unit of quantity traded."""
        return self._fees(FEE_ON_QTY, maker_fee, taker_fee)

    def flat_per_trade_fee_model(self, maker_fee: float, taker_fee: float) -> Self:
        """A fee for each execution, whatever its size."""
        return self._fees(FEE_FLAT, maker_fee, taker_fee)

    def directional_fees(self, buyer_fee: float, seller_fee: float) -> Self:
        """What the buyer or the seller pays on the value besides, such as a stamp duty; with every fee model."""
        self.model.buyer_fee = given.finite(buyer_fee, "a fee")
        self.model.seller_fee = given.finite(seller_fee, "a fee")
        return self


def _latency(latency: Latency, offset_ns: int = 0) -> OrderLatency:
    if isinstance(latency, int | float | np.number):
        if not abs(float(latency)) < MAX_LATENCY_NS:
            raise OrderError(
                f"an order latency is {latency} ns",
                hint=f"it must be below {MAX_LATENCY_NS:,} ns, a year",
            )
        return OrderLatency(int(latency))
    data = tuple(latency) if isinstance(latency, list) else (latency,)
    if not data:
        # Without rows it would be a latency of 0.
        raise DataError("there are no order latencies to interpolate", hint="give rows or files")
    return OrderLatency(
        data=tuple(given.source(one, "the order latency data") for one in data), offset_ns=offset_ns
    )
