"""What the family's products differ in: each venue says it in class attributes, and the family's files ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from sim.exchange.binance.listen_keys import ListenKeys
    from sim.exchange.binance.payloads import Payloads
    from sim.exchange.core import Exchange
    from sim.exchange.instruments import Instrument
    from sim.exchange.processing import Operation
    from sim.exchange.refusals import Why


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
        weight_told: Whether the WebSocket API tells the weight used on replies to orders; else it is -1 of -1.
        ws_pool: From which pool the WebSocket API's weights are taken.
        bad_json: Code and words of what is no JSON on the WebSocket API.
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
    weight_told: ClassVar[bool]
    ws_pool: ClassVar[str]
    bad_json: ClassVar[tuple[int, str]]


def product_of(exchange: Exchange) -> Product:
    """The product that an exchange is."""
    venue: Any = exchange.venue
    return venue


def is_of(instrument: Instrument, params: Mapping[str, str], says: Payloads) -> bool:
    """Whether a query of a symbol or a pair means an instrument; one of neither means all."""
    symbol, pair = params.get("symbol"), params.get("pair")
    return (not symbol or instrument.symbol == symbol) and (not pair or says.pair(instrument) == pair)
