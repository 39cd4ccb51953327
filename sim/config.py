"""What `replay.toml` says: which data plays in which channel, through which models."""

import re
from typing import Annotated, Any, Literal

import msgspec

from hftd.config import Section, check_file_pattern, check_name, check_range, check_unique, quoted

_CUSTOM_NAME = re.compile(r".+:[A-Za-z_][A-Za-z0-9_]*")
_Positive = Annotated[float, msgspec.Meta(gt=0)]

MAX_LATENCY_NS = 366 * 86_400 * 1_000_000_000
"""A constant latency that is longer is a mistake."""

_Latency = Annotated[int, msgspec.Meta(gt=-MAX_LATENCY_NS, lt=MAX_LATENCY_NS)]


class ConstantLatency(Section, frozen=True, tag="constant", tag_field="model"):
    """Every order takes the same time.

    Attributes:
        entry_ns: From the request to the exchange; negative means the exchange's gateway refuses the request,
            and the notice arrives after that time.
        response_ns: From the exchange back to the bot.
    """

    entry_ns: _Latency
    response_ns: _Latency

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.response_ns < 0:
            raise ValueError(
                f"`response_ns` must not be negative, is {self.response_ns}: a response can't arrive before "
                "the exchange has sent it (only entry_ns may be negative, which means a refusal)"
            )


class InterpolatedLatency(Section, frozen=True, tag="interpolated", tag_field="model"):
    """Latencies as they were recorded, interpolated between the rows of latency files.

    Attributes:
        files: A pattern such as `"../data/{channel}/latency_{date}.npz"`.
        offset_ns: Added once to entry and once to response.
    """

    files: str
    offset_ns: _Latency = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_file_pattern("files", self.files)


class IntpLatency(InterpolatedLatency, frozen=True, tag="intp", tag_field="model"):
    """`intp`: another name of `interpolated`, after HftBacktest's `intp_order_latency`."""


class SeparateLatency(Section, frozen=True, tag="separate", tag_field="model"):
    """Each kind of request has a latency of its own.

    Attributes:
        new_ns: Of a new order; negative, as for `modify_ns` and `cancel_ns`, is a refusal.
        modify_ns: Of a modification.
        cancel_ns: Of a cancellation.
        response_ns: From the exchange back to the bot.
    """

    new_ns: _Latency
    modify_ns: _Latency
    cancel_ns: _Latency
    response_ns: _Latency

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.response_ns < 0:
            raise ValueError(
                f"`response_ns` must not be negative, is {self.response_ns}: a response can't arrive before "
                "the exchange has sent it (only requests may be refused by a negative latency)"
            )


class _Custom(Section, frozen=True):
    """A custom model, see :mod:`sim.models`.

    Attributes:
        name: `"path/to/models.py:name"` or `"module:name"` of the model, or of a function that makes one; paths are
            relative to this file.
        parameters: Arguments of the function, by name.
    """

    name: str
    parameters: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _CUSTOM_NAME.fullmatch(self.name):
            raise ValueError(
                f"`name` must be 'module:function' or 'path/to/file.py:function', is {quoted(self.name)}"
            )


class CustomLatency(_Custom, frozen=True, tag="custom", tag_field="model"):
    """A custom latency."""


class RiskAverseQueue(Section, frozen=True, tag="risk_averse", tag_field="model"):
    """Only trades at the price move an order forward in its queue."""


class PowerQueue(Section, frozen=True, tag="power", tag_field="model"):
    """Probability of a decrease behind the order: f(back) / (f(back) + f(front)), f(x) = x^n."""

    n: _Positive


class PowerQueue2(Section, frozen=True, tag="power2", tag_field="model"):
    """Probability of a decrease behind the order: f(back) / f(back + front), f(x) = x^n."""

    n: _Positive


class PowerQueue3(Section, frozen=True, tag="power3", tag_field="model"):
    """Probability of a decrease behind the order: 1 - f(front / (front + back)), f(x) = x^n."""

    n: _Positive


class LogQueue(Section, frozen=True, tag="log", tag_field="model"):
    """As `power`, with f(x) = ln(1 + x)."""


class LogQueue2(Section, frozen=True, tag="log2", tag_field="model"):
    """As `power2`, with f(x) = ln(1 + x)."""


class ThroughQueue(Section, frozen=True, tag="through", tag_field="model"):
    """A bound: orders fill only when the market goes through their price, never by a trade at it."""


class FrontQueue(Section, frozen=True, tag="front", tag_field="model"):
    """A bound: nothing is ever ahead of an order."""


class CustomQueue(_Custom, frozen=True, tag="custom", tag_field="model"):
    """A custom queue model."""


class L3FifoQueue(Section, frozen=True, tag="l3_fifo", tag_field="model"):
    """The data are the market's single orders, and own orders stand among them first in, first out."""


class ValueFee(Section, frozen=True, tag="value", tag_field="model"):
    """Fees on the traded value: 0.0002 is 2 basis points, a negative fee is a rebate.

    Attributes:
        maker: Of an execution that made liquidity.
        taker: Of one that took it.
        buyer: What a buyer pays on the value besides, such as a stamp duty.
        seller: What a seller pays.
    """

    maker: float
    taker: float
    buyer: float = 0.0
    seller: float = 0.0


class QtyFee(Section, frozen=True, tag="quantity", tag_field="model"):
    """Fees for each unit of quantity; `buyer` and `seller` are on the value, as with every model."""

    maker: float
    taker: float
    buyer: float = 0.0
    seller: float = 0.0


class FlatFee(Section, frozen=True, tag="flat", tag_field="model"):
    """A fee for each execution, whatever its size."""

    maker: float
    taker: float
    buyer: float = 0.0
    seller: float = 0.0


class CustomFee(_Custom, frozen=True, tag="custom", tag_field="model"):
    """A custom fee model; `buyer` and `seller` are on the value besides."""

    buyer: float = 0.0
    seller: float = 0.0


class CustomExchange(_Custom, frozen=True, tag="custom", tag_field="model"):
    """An exchange with custom rules.

    Attributes:
        partial_fill: Whether fills may be partial.
    """

    partial_fill: bool = False


Fee = ValueFee | QtyFee | FlatFee | CustomFee
OrderLatency = ConstantLatency | InterpolatedLatency | SeparateLatency | CustomLatency | IntpLatency
LevelQueue = RiskAverseQueue | PowerQueue | PowerQueue2 | PowerQueue3 | LogQueue | LogQueue2
"""What estimates a place in the queue from price levels, without functions of the user's."""
Queue = LevelQueue | ThroughQueue | FrontQueue | L3FifoQueue | CustomQueue


class AssetSection(Section, frozen=True):
    """One of `[[channels.instruments]]`: an instrument and its models.

    Attributes:
        symbol: Its name in the channel and in the pattern of files.
        tick_size: The price's step.
        lot_size: The quantity's step.
        order_latency: How long orders and their responses travel.
        order_latency_factor: Every order latency is multiplied by it, each way.
        fee: What a trade costs.
        queue: How an order's place in the queue is estimated.
        exchange: How the exchange fills orders.
        share_trades: Whether a bot's orders at one price share a trade's quantity, by queue place.
        modify: What the quantity of a modification is: `total`, that of the whole order, against which counts what was
            executed before (Binance, Bybit, OKX), or `remainder`, what is left to be filled (HftBacktest).
        asset: How value follows from price and quantity.
        contract_size: Units of the underlying in one contract.
        feed_latency_offset_ns: Added to the local time of each row of market data.
        initial_snapshot: A pattern of files that hold the book before the first row.
        roi: The range of interest of the market depth, `[lower, upper]` in prices; absent, the depth is
            unbounded.
        fuse_bbo: Whether best-bid-offer rows (kind 5) are fused with the depth; else they change no book.
    """

    symbol: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    tick_size: _Positive
    lot_size: _Positive
    order_latency: OrderLatency
    fee: Fee
    order_latency_factor: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0
    queue: Queue = RiskAverseQueue()
    exchange: Literal["no_partial_fill", "partial_fill"] | CustomExchange = "no_partial_fill"
    share_trades: bool = False
    modify: Literal["total", "remainder"] = "total"
    asset: Literal["linear", "inverse"] = "linear"
    contract_size: _Positive = 1.0
    feed_latency_offset_ns: int = 0
    initial_snapshot: str | None = None
    roi: tuple[float, float] | None = None
    fuse_bbo: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("roi", self.roi)
        if self.initial_snapshot is not None:
            check_file_pattern("initial_snapshot", self.initial_snapshot)


class ChannelSection(Section, frozen=True):
    """One of `[[channels]]`: what a live connector would be.

    Attributes:
        name: The channel's.
        instruments: What it carries; at least one.
        latency_offset_ns: How much further away the exchange is than where its data were recorded: added to the local
            time of each row, and to each way of an order, of all instruments; below 0 for a bot that is nearer.
    """

    name: str
    instruments: Annotated[list[AssetSection], msgspec.Meta(min_length=1)]
    latency_offset_ns: _Latency = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("name", self.name)
        check_unique("instrument", [one.symbol for one in self.instruments])
        for one in self.instruments if self.latency_offset_ns else ():
            self._check_offset(one)

    def _check_offset(self, one: AssetSection) -> None:
        """The offset must leave refusals refusals, and all else none."""
        match one.order_latency:
            case CustomLatency():
                raise ValueError(
                    f"`latency_offset_ns` can't be added to the custom order latency of {quoted(one.symbol)}: "
                    "add it in the model, and take `feed_latency_offset_ns` for the rows"
                )
            case ConstantLatency(entry_ns=entry_ns, response_ns=response_ns):
                ways = (entry_ns, response_ns)
            case SeparateLatency(
                new_ns=new_ns, modify_ns=modify_ns, cancel_ns=cancel_ns, response_ns=response_ns
            ):
                ways = (new_ns, modify_ns, cancel_ns, response_ns)
            case _:
                ways = ()
        if any(abs(way_ns) + self.latency_offset_ns < 0 for way_ns in ways):
            raise ValueError(
                f"`latency_offset_ns` of {self.latency_offset_ns} takes more from the order latency of "
                f"{quoted(one.symbol)} than there is"
            )


class ReplaySection(Section, frozen=True):
    """`[replay]`: the run.

    Attributes:
        data: A pattern of archives such as `"../data/{channel}/{symbol}_{date}.npz"`.
        bots: The names of the bots to wait for before time starts; empty, the first that comes.
    """

    data: str
    bots: list[str] = []  # noqa: RUF012 - msgspec copies it

    def __post_init__(self) -> None:
        super().__post_init__()
        check_file_pattern("data", self.data)
        for name in self.bots:
            check_name("bots", name)
        check_unique("bot", self.bots)


class ReplayConfig(Section, frozen=True):
    """A replay's whole configuration."""

    replay: ReplaySection
    channels: Annotated[list[ChannelSection], msgspec.Meta(min_length=1)]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unique("channel", [channel.name for channel in self.channels])
