"""Instruments and limits: ``GET exchangeInfo``.

::

    {"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":2400}, ...],
     "symbols":[{"symbol":"BTCUSDT","contractType":"PERPETUAL","status":"TRADING","baseAsset":"BTC",
       "quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.10", ...},
         {"filterType":"LOT_SIZE","stepSize":"0.001","minQty":"0.001","maxQty":"1000"}, ...]}]}

Inverse contracts (COIN-M) have ``contractStatus`` instead of ``status``, and ``contractSize``, so much of the quote::

    {"symbol":"BTCUSD_PERP","pair":"BTCUSD","contractStatus":"TRADING","contractSize":100,"marginAsset":"BTC",
     "baseAsset":"BTC","quoteAsset":"USD","filters":[...]}

Spot has no contracts, and another filter for an order's worth::

    {"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC","isSpotTradingAllowed":true,
     "filters":[{"filterType":"NOTIONAL","minNotional":"0.0001", ...}, ...]}

``pricePrecision`` and ``quantityPrecision`` are not the steps, and are not read. What happens to a contract is said as
it happens on the stream ``!contractInfo``::

    {"e":"contractInfo","E":1669647330128,"s":"IOTAUSDT","ps":"IOTAUSDT","ct":"PERPETUAL","dt":4133404800000,
     "ot":1569398400000,"cs":"TRADING","st":1}
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec

from daemon.messages import NOT_TRADING, Instrument
from daemon.session.catalog import ExchangeInfo
from daemon.session.errors import DECODE_ERRORS, WireError
from daemon.session.steps import NumberError, Step, decimal_of, float_of

_SYMBOL: Final = re.compile(r"[\w.-]{1,64}")
"""Letters of any alphabet occur; what would have to be escaped in a request does not."""


# Numbers with limits: what is beyond them is nonsense, and must not get as far as a 64-bit field.
Ms = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]
"""A time in Unix milliseconds."""
Id = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]
Code = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


_Size = Annotated[float, msgspec.Meta(gt=0, le=1e15)]


class RateLimitText(msgspec.Struct, frozen=True):
    """A limit as exchangeInfo and the WebSocket API's replies give it; `count` is what was used of it."""

    rateLimitType: str  # noqa: N815
    interval: str
    intervalNum: Count  # noqa: N815
    limit: Count = 0
    count: Count = -1


class _Filter(msgspec.Struct, frozen=True):
    filterType: str  # noqa: N815
    tickSize: str = ""  # noqa: N815
    stepSize: str = ""  # noqa: N815
    minQty: str = ""  # noqa: N815
    maxQty: str = ""  # noqa: N815
    notional: str = "0"
    minNotional: str = "0"  # noqa: N815


class _Symbol(msgspec.Struct, frozen=True):
    symbol: str
    status: str = ""
    baseAsset: str = ""  # noqa: N815
    quoteAsset: str = ""  # noqa: N815
    marginAsset: str = ""  # noqa: N815
    contractStatus: str = ""  # noqa: N815
    contractSize: _Size | None = None  # noqa: N815
    isSpotTradingAllowed: bool = True  # noqa: N815
    filters: list[_Filter] = []


class _ExchangeInfo(msgspec.Struct, frozen=True):
    rateLimits: list[msgspec.Raw]  # noqa: N815
    symbols: list[msgspec.Raw]


class _OnlySymbol(msgspec.Struct, frozen=True):
    symbol: str = ""


class Contract(msgspec.Struct, frozen=True):
    """What ``!contractInfo`` says of a contract; `st` is 1 for USD-M, 2 for COIN-M, 0 if it does not say."""

    e: str = ""
    s: str = ""
    cs: str = ""
    st: int = 0


_info = msgspec.json.Decoder(_ExchangeInfo)
_symbol = msgspec.json.Decoder(_Symbol)
_rate_limit = msgspec.json.Decoder(RateLimitText)
_only_symbol = msgspec.json.Decoder(_OnlySymbol)


def read_exchange_info(body: bytes, *, is_inverse: bool = False, is_spot: bool = False) -> ExchangeInfo:
    """Read the answer of exchangeInfo. One symbol that makes no sense does not spoil the others.

    Args:
        body: The answer.
        is_inverse: It describes inverse contracts.
        is_spot: It describes pairs of assets.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        info = _info.decode(body)
    except DECODE_ERRORS as error:
        raise WireError(f"exchangeInfo: {error}") from None
    instruments: list[Instrument] = []
    unread: list[str] = []
    odd: dict[str, str] = {}
    for raw in info.symbols:
        try:
            instruments.append(_instrument(len(instruments), _symbol.decode(raw), is_inverse, is_spot))
        except (*DECODE_ERRORS, NumberError, WireError) as error:
            unread.append(str(error))
            odd[_symbol_of(raw)] = str(error)
    limits: dict[str, tuple[int, int]] = {}
    for raw in info.rateLimits:
        try:
            one = _rate_limit.decode(raw)
        except DECODE_ERRORS as error:
            unread.append(f"a rate limit: {error}")
            continue
        name, interval_ns = limit_name(one.rateLimitType, one.interval, one.intervalNum), _interval_ns(one)
        if name and interval_ns and one.limit > 0:
            limits[name] = (one.limit, interval_ns)
    return ExchangeInfo(instruments, limits, unread, odd)


def _symbol_of(raw: msgspec.Raw) -> str:
    try:
        return _only_symbol.decode(raw).symbol
    except DECODE_ERRORS:
        return ""


def _instrument(number: int, symbol: _Symbol, is_inverse: bool, is_spot: bool) -> Instrument:
    name, size = symbol.symbol, 1.0
    status = symbol.contractStatus if is_inverse else symbol.status
    if not _SYMBOL.fullmatch(name):
        raise WireError(f"the symbol {name[:80]!r} has characters that can't be sent")
    filters = {one.filterType: one for one in symbol.filters}
    prices, quantities = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    if prices is None or quantities is None:
        raise WireError(f"{name} has no PRICE_FILTER or no LOT_SIZE")
    if is_inverse:
        # What an order is worth hangs on it: without it there is none.
        if symbol.contractSize is None or symbol.marginAsset != symbol.baseAsset:
            raise WireError(f"{name} has no contractSize, or is not margined in its base")
        size = symbol.contractSize
    tick, lot = Step(decimal_of(prices.tickSize)), Step(decimal_of(quantities.stepSize))
    market = filters.get("MARKET_LOT_SIZE")
    least = filters.get("MIN_NOTIONAL") or filters.get("NOTIONAL")
    is_trading = status == TRADING and symbol.isSpotTradingAllowed
    return Instrument(
        number=number,
        symbol=name,
        tick_size=tick.size,
        lot_size=lot.size,
        min_qty_lots=max(1, _lots(lot, quantities.minQty, up=True)),
        max_qty_lots=_lots(lot, quantities.maxQty),
        market_max_qty_lots=_lots(lot, market.maxQty) if market else 0,
        min_notional=float_of(least.minNotional if is_spot else least.notional) if least else 0.0,
        contract_size=size,
        inverse=is_inverse,
        is_trading=is_trading,
        base=symbol.baseAsset,
        quote=symbol.quoteAsset,
        trouble="" if is_trading else NOT_TRADING,
        why="" if is_trading else status_text(status),
        is_spot=is_spot,
        replaces=is_spot,
    )


TRADING: Final = "TRADING"


def status_text(status: str) -> str:
    """Why a symbol of this status is not traded."""
    return (
        f"its status at the exchange is {status[:40]!r}: new orders are refused until it is {TRADING!r} again"
    )


def _lots(lot: Step, text: str, *, up: bool = False) -> int:
    """A quantity limit in lots, to the inside if it is between two lots; 0 if there is none."""
    if not text:
        return 0
    count, rest = divmod(decimal_of(text), lot.size)
    return int(count) + (1 if up and rest else 0)


_LETTERS: Final = {"SECOND": "s", "MINUTE": "m", "HOUR": "h", "DAY": "d"}
_SECONDS: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}
_KINDS: Final = {"REQUEST_WEIGHT": "weight", "ORDERS": "orders", "RAW_REQUESTS": "requests"}


def limit_name(kind: str, interval: str, number: int) -> str:
    """The limiter's name of a limit, such as ``weight_1m`` or ``orders_10s``; empty if it is of an unknown kind."""
    if kind not in _KINDS or interval not in _LETTERS:
        return ""
    return f"{_KINDS[kind]}_{number}{_LETTERS[interval]}"


def _interval_ns(one: RateLimitText) -> int:
    return _SECONDS.get(one.interval, 0) * one.intervalNum * 1_000_000_000


def counts_of_reply(limits: Sequence[RateLimitText], ws_pool: str = "ws_") -> dict[str, int]:
    """What the exchange counted, by the limiter's names, from a WebSocket API reply.

    Request weight is in the pool of that prefix, ``ws_weight_1m``. A count of -1, as COIN-M has it, says nothing.
    """
    counts: dict[str, int] = {}
    for one in limits:
        name = limit_name(one.rateLimitType, one.interval, one.intervalNum)
        if name and one.count >= 0:
            counts[f"{ws_pool}{name}" if name.startswith("weight") else name] = one.count
    return counts


_HEADERS: Final = (("x-mbx-used-weight-", "weight_"), ("x-mbx-order-count-", "orders_"))


def counts_of_headers(headers: Mapping[str, str]) -> dict[str, int]:
    """The same from the headers of a REST answer, ``X-MBX-USED-WEIGHT-1M`` and ``X-MBX-ORDER-COUNT-10S``."""
    counts: dict[str, int] = {}
    for header, value in headers.items():
        header = header.lower()
        for start, name in _HEADERS:
            if header.startswith(start) and value.isascii() and value.isdigit() and len(value) < 16:
                counts[name + header.removeprefix(start)] = int(value)
    return counts
