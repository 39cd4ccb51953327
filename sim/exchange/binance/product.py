"""What the family's products differ in: each venue says it in class attributes, and the family's files ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol

from sim.exchange.accounts.limits import DAY_MS, MINUTE_MS

if TYPE_CHECKING:
    from sim.exchange.accounts.processing import Operation
    from sim.exchange.binance.listen_keys import ListenKeys
    from sim.exchange.binance.payloads import Payloads
    from sim.exchange.core import Exchange
    from sim.exchange.rules.instruments import Instrument
    from sim.exchange.rules.refusals import Why


class OrderWindow(NamedTuple):
    """A window in which an account's orders are counted, beside that of ten seconds.

    Attributes:
        interval: As limits name it.
        header: What the header that tells the count ends with.
        window_ms: How long it is.
        setting: The limit's name in `[limits]`.
    """

    interval: str
    header: str
    window_ms: int
    setting: str


A_MINUTE: Final = OrderWindow("MINUTE", "1M", MINUTE_MS, "orders_1m")
A_DAY: Final = OrderWindow("DAY", "1D", DAY_MS, "orders_1d")


class Product(Protocol):
    """One product, as the family's files see it.

    Attributes:
        prefix: Of all paths of REST.
        number: What streams say the product is, `st`.
        says: How orders, accounts and instruments are written.
        rest: By method and path, below the prefix.
        ws_methods: By method of the WebSocket API.
        codes: Code, words and HTTP status of each reason.
        keys: Its listen keys.
        expires_unfit: Whether post-only and fill-or-kill orders that can't be are taken and expire.
        lists_one: Whether queries of the market answer with a list where one instrument is named.
        orders_page: How many orders a query has that names no number, and at most.
        trades_page: Of executions.
        limits_10s: Whether exchangeInfo and replies tell the limit of orders in ten seconds.
        long_window: The other window of order counts.
        weight_told: Whether the WebSocket API tells the weight used on replies to orders; else it is -1 of -1.
        ws_pool: From which pool the WebSocket API's weights are taken.
        connect_weight: What a connection of the WebSocket API costs.
        bad_json: Code and words of what is no JSON on the WebSocket API.
        wraps_faults: Whether a fault on a stream's connection is inside of `error`.
        has_routes: Whether there are paths for each class of streams.
        must_encode: Whether what is signed must be percent-encoded, in REST.
        fine_times: Whether requests may say times in microseconds, and ask for them.
        tells_shutdown: Whether connections are told that they will be closed.
        page_window: How long a time pages may be of, and how a longer one is refused.
    """

    prefix: ClassVar[str]
    number: ClassVar[int]
    says: ClassVar[Payloads]
    rest: ClassVar[Mapping[tuple[str, str], Operation]]
    ws_methods: ClassVar[Mapping[str, Operation]]
    codes: Mapping[Why, tuple[int, str, int]]
    keys: ListenKeys
    expires_unfit: bool
    lists_one: ClassVar[bool]
    orders_page: ClassVar[tuple[int, int]]
    trades_page: ClassVar[tuple[int, int]]
    limits_10s: ClassVar[bool]
    long_window: ClassVar[OrderWindow]
    weight_told: ClassVar[bool]
    ws_pool: ClassVar[str]
    connect_weight: ClassVar[int]
    bad_json: ClassVar[tuple[int, str]]
    wraps_faults: ClassVar[bool]
    has_routes: ClassVar[bool]
    must_encode: ClassVar[bool]
    fine_times: ClassVar[bool]
    tells_shutdown: ClassVar[bool]
    page_window: ClassVar[tuple[int, int, str]]


def product_of(exchange: Exchange) -> Product:
    """The product that an exchange is."""
    venue: Any = exchange.venue
    return venue


def is_of(instrument: Instrument, params: Mapping[str, str], says: Payloads) -> bool:
    """Whether a query of a symbol or a pair means an instrument; one of neither means all."""
    symbol, pair = params.get("symbol"), params.get("pair")
    return (not symbol or instrument.symbol == symbol) and (not pair or says.pair(instrument) == pair)
