"""Binance COIN-M Futures, as the local exchange's framework asks for it (`sim/exchange/venue.py`)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from sim.exchange.accounts.matching import BY_DELISTING, Forced
from sim.exchange.accounts.processing import Operation
from sim.exchange.binance.errors import CODES
from sim.exchange.binance.family import Binance, BinanceConfig, BinanceServer, endpoints_of
from sim.exchange.binance.feeds import BinanceFeed
from sim.exchange.binance.orders import FORCED
from sim.exchange.binance.payloads import DELIVERY_MS, PERPETUAL, Payloads
from sim.exchange.binancecoinm import api
from sim.exchange.rules.config import ExchangeConfig, SymbolSection
from sim.exchange.rules.instruments import ALL_ORDERS, NO_ORDERS, REDUCING, Instrument
from sim.exchange.rules.refusals import Why
from sim.exchange.venue import LocalVenue

_NUMBERS: Final = {
    Why.LATE_AT_ENGINE: -4188,
    Why.VALUE_LOW: -4178,
    Why.AMENDED_VALUE_LOW: -4178,
    Why.NOT_LIMIT: -4196,
    Why.NOT_CHANGED: -4197,
    Why.TOO_MANY_AMENDS: -4198,
    Why.NO_AMENDS: -4199,
}
"""Its own numbers; since the products were merged those of USD-M may come instead."""
_OWN_CODES: Final = CODES | {why: (code, *CODES[why][1:]) for why, code in _NUMBERS.items()}


class CoinmServer(BinanceServer, frozen=True):
    """`[exchange]`.

    Attributes:
        unrouted: See `BinanceServer`.
        numbers: Which numbers errors have that both products have: COIN-M's `own`, or those of USD-M (`sister`).
        hides: Positions in contracts that do not trade are left out where neither an asset nor a pair is named
            (`unnamed`), or whatever is asked (`all`).
    """

    unrouted: Literal["public", "all", "closed"] = "all"
    numbers: Literal["own", "sister"] = "own"
    hides: Literal["unnamed", "all"] = "unnamed"


class CoinmSymbol(SymbolSection, frozen=True):
    """One of `[[symbols]]`: a contract of 100 USD, unless it says otherwise."""

    symbol: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{1,20}_(PERP|[0-9]{6})$")] = "BTCUSD_PERP"
    tick_size: str = "0.1"
    lot_size: str = "1"
    quote: str = "USD"
    contract_size: str = "100"
    inverse: bool = True
    min_price: str = "1000"
    max_price: str = "4520958"
    min_qty: str = "1"
    max_qty: str = "1000000"
    market_max_qty: str = "60000"
    min_notional: str = "0"
    maker_fee: str = "0.0001"
    taker_fee: str = "0.0005"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("lot_size", "contract_size"):
            if not getattr(self, key).isdigit():
                raise ValueError(f"`{key}` must be a whole number, is {getattr(self, key)!r}")
        if not self.inverse:
            raise ValueError("`inverse` must be true")


class CoinmConfig(BinanceConfig, frozen=True, kw_only=True):
    """The whole configuration."""

    symbols: Annotated[list[CoinmSymbol], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [CoinmSymbol()]
    )
    exchange: CoinmServer = CoinmServer()


class CoinmFeed(BinanceFeed):
    """One contract's streams."""

    tells_rpi: ClassVar[bool] = False

    def mark_text(self, mark: str) -> str:
        """No mean."""
        return f'"P":"{mark}"'

    def funding_text(self, paid_ms: int) -> str:
        """What is delivered has no funding."""
        if self.instrument.symbol.endswith("_PERP"):
            return super().funding_text(paid_ms)
        return '"r":"","T":0'


class BinanceCoinm(Binance):
    """See `LocalVenue` and `Product`."""

    name: ClassVar[str] = "binancecoinm"
    config_type: ClassVar[type[ExchangeConfig]] = CoinmConfig
    server_type: ClassVar[type[BinanceServer]] = CoinmServer
    statuses: ClassVar[Mapping[str, int]] = {
        "TRADING": ALL_ORDERS,
        "TRADING_HALT": REDUCING,
        "PRE_DELIVERING": REDUCING,
        "TRADING_CANCEL_ONLY": NO_ORDERS,
        "PENDING_TRADING": NO_ORDERS,
        "SETTLING": NO_ORDERS,
        "DELIVERING": NO_ORDERS,
        "DELIVERED": NO_ORDERS,
    }
    ended: ClassVar[tuple[str, str]] = ("DELIVERING", "DELIVERED")
    halts: ClassVar[Sequence[str]] = (
        "TRADING_HALT",
        "PRE_DELIVERING",
        "PENDING_TRADING",
        "TRADING_CANCEL_ONLY",
    )
    forced: ClassVar[Mapping[str, Forced]] = FORCED | {
        "settlement": Forced("delivery_autoclose-{}", "MARKET", "NEW", "TRADE", BY_DELISTING)
    }
    prefix: ClassVar[str] = "/dapi"
    number: ClassVar[int] = 2
    endpoints: ClassVar[Sequence[str]] = endpoints_of(prefix)
    sockets: ClassVar[Mapping[str, str]] = {"ws_api": "/ws-dapi/v1"}
    says: ClassVar[Payloads] = api.SAYS
    rest: ClassVar[Mapping[tuple[str, str], Operation]] = api.REST
    ws_methods: ClassVar[Mapping[str, Operation]] = api.WS_METHODS
    feed_type: ClassVar[type[BinanceFeed]] = CoinmFeed
    lists_one: ClassVar[bool] = True
    orders_page: ClassVar[tuple[int, int]] = (50, 100)
    trades_page: ClassVar[tuple[int, int]] = (50, 1000)
    limits_10s: ClassVar[bool] = False
    weight_told: ClassVar[bool] = False
    ws_pool: ClassVar[str] = "rest"
    bad_json: ClassVar[tuple[int, str]] = (-1000, "Invalid JSON request.")

    def __init__(self, exchange: Any) -> None:
        super().__init__(exchange)
        server = self.server if isinstance(self.server, CoinmServer) else CoinmServer()
        self.codes = _OWN_CODES if server.numbers == "own" else CODES
        self.hides_all = server.hides == "all"

    def on_status(self, instrument: Instrument, status: str) -> None:
        """The stream is one of both products: something of the other's comes with it, by a name that is not here."""
        self.publish_contract("BTCUSDT", "BTCUSDT", PERPETUAL, DELIVERY_MS, status, 1)
        super().on_status(instrument, status)


VENUE: type[LocalVenue] = BinanceCoinm
