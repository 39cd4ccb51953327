"""Instruments and limits: ``GET /fapi/v1/exchangeInfo``.

::

    {"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":2400}, ...],
     "symbols":[{"symbol":"BTCUSDT","contractType":"PERPETUAL","status":"TRADING","baseAsset":"BTC",
       "quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"0.10", ...},
         {"filterType":"LOT_SIZE","stepSize":"0.001","minQty":"0.001","maxQty":"1000"}, ...]}]}

``pricePrecision`` and ``quantityPrecision`` are not the steps, and are not read. What happens to a contract is said as
it happens on the stream ``!contractInfo``::

    {"e":"contractInfo","E":1669647330128,"s":"IOTAUSDT","ps":"IOTAUSDT","ct":"PERPETUAL","dt":4133404800000,
     "ot":1569398400000,"cs":"TRADING","st":1}

In steps every price and quantity of this process is counted: by whoever writes requests, reads answers, keeps orders
and books. So there is one `Catalog`, and what it says of a symbol's steps does not change while the process runs.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

import msgspec

from daemon.orders.messages import DELISTED, NOT_TRADING, SET_ASIDE, STEPS_CHANGED, Instrument
from daemon.venues.steps import NumberError, OffGridError, Step, decimal_of, float_of

_SYMBOL: Final = re.compile(r"[\w.-]{1,64}")
"""Letters of any alphabet occur; what would have to be escaped in a request does not."""


# Numbers with limits: what is beyond them is nonsense, and must not get as far as a 64-bit field.
Ms = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]
"""A time in Unix milliseconds."""
Id = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]
Code = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class WireError(ValueError):
    """Bytes of the exchange that can't be read: not JSON, of other types, or with impossible values."""


class OddItemError(WireError):
    """One item that can be read and can't be taken over: its symbol is not known, or its quantity is on no lot."""

    def __init__(self, symbol: str, why: str) -> None:
        super().__init__(why)
        self.symbol = symbol


class Odd(msgspec.Struct, frozen=True):
    """An item of a list that is set aside, so that it does not spoil the others.

    Attributes:
        what: What it is, such as "open order".
        key: By which it is known among those.
        client_id: Of an order; likewise `exch_order_id`.
        blocks: Whether its symbol is not to be traded for it.
    """

    what: str
    symbol: str
    key: str
    why: str
    client_id: str = ""
    exch_order_id: str = ""
    blocks: bool = True


DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what was expected."""


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


class _Symbol(msgspec.Struct, frozen=True):
    symbol: str
    status: str = ""
    baseAsset: str = ""  # noqa: N815
    quoteAsset: str = ""  # noqa: N815
    filters: list[_Filter] = []


class _ExchangeInfo(msgspec.Struct, frozen=True):
    rateLimits: list[msgspec.Raw]  # noqa: N815
    symbols: list[msgspec.Raw]


class _OnlySymbol(msgspec.Struct, frozen=True):
    symbol: str = ""


class Contract(msgspec.Struct, frozen=True):
    """What ``!contractInfo`` says of a contract; `st` 2 are those of another exchange, COIN-M."""

    e: str = ""
    s: str = ""
    cs: str = ""
    st: int = 1


_info = msgspec.json.Decoder(_ExchangeInfo)
_symbol = msgspec.json.Decoder(_Symbol)
_rate_limit = msgspec.json.Decoder(RateLimitText)
_only_symbol = msgspec.json.Decoder(_OnlySymbol)


class Steps(msgspec.Struct, frozen=True):
    """A symbol with its price and quantity steps, ready for use."""

    symbol: str
    tick: Step
    lot: Step


def steps_of(instruments: Iterable[Instrument]) -> dict[str, Steps]:
    """The steps by symbol."""
    return {one.symbol: Steps(one.symbol, Step(one.tick_size), Step(one.lot_size)) for one in instruments}


def known_steps(symbol: str, steps: Mapping[str, Steps]) -> Steps:
    """The steps of a symbol.

    Raises:
        OddItemError: It is not known.
    """
    known = steps.get(symbol)
    if known is None:
        raise OddItemError(symbol, f"the symbol {symbol[:80]!r} is not known")
    return known


def price_of(steps: Steps, text: str) -> tuple[int, float]:
    """A price in ticks, and 0; or, if it is on no tick, the nearest tick and the price itself.

    Orders of before a change of the tick keep their prices and are matched at them.

    Raises:
        NumberError: It is no number.
    """
    try:
        return steps.tick.count(text), 0.0
    except OffGridError:
        return steps.tick.nearest(text), float_of(text)


def lots_of(steps: Steps, text: str) -> int:
    """A quantity in lots.

    Raises:
        OddItemError: It is on no lot.
        NumberError: It is no number.
    """
    try:
        return steps.lot.count(text)
    except OffGridError as error:
        raise OddItemError(steps.symbol, f"a quantity of {steps.symbol}: {error}") from None


def whole_lots_of(steps: Steps, text: str) -> int:
    """A quantity in lots, what is left over not counted.

    Raises:
        NumberError: It is no number.
    """
    try:
        return steps.lot.count(text)
    except OffGridError:
        return int(decimal_of(text) / steps.lot.size)


class ExchangeInfo(msgspec.Struct, frozen=True):
    """What exchangeInfo says.

    Attributes:
        limits: By the limiter's name: how many in how many nanoseconds.
        unread: Symbols whose description makes no sense, with what is wrong; they can't be traded.
        odd: The same by symbol, as far as that can be read.
    """

    instruments: list[Instrument]
    limits: dict[str, tuple[int, int]]
    unread: list[str]
    odd: dict[str, str] = {}


def read_exchange_info(body: bytes) -> ExchangeInfo:
    """Read the answer of exchangeInfo. One symbol that makes no sense does not spoil the others.

    Raises:
        WireError: It is none.
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
            instruments.append(_instrument(len(instruments), _symbol.decode(raw)))
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


def _instrument(number: int, symbol: _Symbol) -> Instrument:
    name = symbol.symbol
    if not _SYMBOL.fullmatch(name):
        raise WireError(f"the symbol {name[:80]!r} has characters that can't be sent")
    filters = {one.filterType: one for one in symbol.filters}
    prices, quantities = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    if prices is None or quantities is None:
        raise WireError(f"{name} has no PRICE_FILTER or no LOT_SIZE")
    tick, lot = Step(decimal_of(prices.tickSize)), Step(decimal_of(quantities.stepSize))
    market = filters.get("MARKET_LOT_SIZE")
    notional = filters.get("MIN_NOTIONAL")
    return Instrument(
        number=number,
        symbol=name,
        tick_size=tick.size,
        lot_size=lot.size,
        min_qty_lots=max(1, _lots(lot, quantities.minQty, up=True)),
        max_qty_lots=_lots(lot, quantities.maxQty),
        market_max_qty_lots=_lots(lot, market.maxQty) if market else 0,
        min_notional=float_of(notional.notional) if notional else 0.0,
        is_trading=symbol.status == _TRADING,
        base=symbol.baseAsset,
        quote=symbol.quoteAsset,
        trouble="" if symbol.status == _TRADING else NOT_TRADING,
        why="" if symbol.status == _TRADING else _status_text(symbol.status),
    )


_TRADING: Final = "TRADING"


def _status_text(status: str) -> str:
    return f"its status at the exchange is {status[:40]!r}: new orders are refused until it is {_TRADING!r} again"


def _lots(lot: Step, text: str, *, up: bool = False) -> int:
    """A quantity limit in lots, to the inside if it is between two lots; 0 if there is none."""
    if not text:
        return 0
    count, rest = divmod(decimal_of(text), lot.size)
    return int(count) + (1 if up and rest else 0)


class Catalog:
    """The instruments of the exchange, as this process counts in them: numbers and steps in one place.

    A symbol keeps the number and the steps with which it was seen first. If the exchange changes its tick or lot, or
    delists it, or says something of it that can't be taken over, it is there all the same, is not traded, and says why
    (`Instrument.trouble`). A change of steps holds until the process ends, even if the exchange takes it back: an
    answer that flaps between old and new is not to be traded on.

    Args:
        steps: By symbol; kept filled, and never changed for a symbol that is there.
    """

    def __init__(self, steps: dict[str, Steps]) -> None:
        self.steps = steps
        self.instruments: dict[str, Instrument] = {}
        self._described: dict[str, Instrument] = {}
        self._listed: set[str] = set()
        self._moved: dict[str, str] = {}
        self._odd: dict[str, str] = {}
        self._set_aside: dict[str, str] = {}

    def take(self, info: ExchangeInfo) -> list[Instrument]:
        """Take over an answer of exchangeInfo. Returns all instruments, those that are listed no more included.

        Raises:
            WireError: It lists none, and some are known: a sick answer must not look like the end of all contracts.
        """
        if self._listed and not info.instruments:
            raise WireError("exchangeInfo lists no symbol")
        self._listed = {one.symbol for one in info.instruments}
        self._odd = info.odd
        for one in info.instruments:
            symbol = one.symbol
            first = self._described.get(symbol)
            if first is None:
                self._described[symbol] = msgspec.structs.replace(one, number=len(self._described))
                self.steps.setdefault(symbol, Steps(symbol, Step(one.tick_size), Step(one.lot_size)))
            elif (one.tick_size, one.lot_size) != (first.tick_size, first.lot_size):
                # Its other limits are in lots of today's.
                self._moved[symbol] = _moved_text(first, one)
            else:
                self._described[symbol] = msgspec.structs.replace(one, number=first.number)
        self.instruments = {symbol: self._judged(symbol) for symbol in self._described}
        return list(self.instruments.values())

    def hear(self, contract: Contract) -> Instrument | None:
        """The exchange says what happens to a contract; the instrument, if it is not traded from now on."""
        known = self._described.get(contract.s)
        if known is None or not contract.cs or contract.cs == _TRADING or known.trouble:
            return None
        self._described[contract.s] = msgspec.structs.replace(
            known, is_trading=False, trouble=NOT_TRADING, why=_status_text(contract.cs)
        )
        self.instruments[contract.s] = one = self._judged(contract.s)
        return one

    def set_aside(self, symbols: Mapping[str, str]) -> list[Instrument]:
        """Symbols of which something is set aside, and why; the instruments of which that is news."""
        news = [
            symbol
            for symbol in self._set_aside.keys() | symbols.keys()
            if self._set_aside.get(symbol) != symbols.get(symbol) and symbol in self._described
        ]
        self._set_aside = dict(symbols)
        for symbol in news:
            self.instruments[symbol] = self._judged(symbol)
        return [self.instruments[symbol] for symbol in news]

    def _judged(self, symbol: str) -> Instrument:
        """An instrument with what is the matter with it, the worst first."""
        known = self._described[symbol]
        if symbol in self._moved:
            trouble, why = STEPS_CHANGED, self._moved[symbol]
        elif symbol in self._odd:
            trouble, why = (
                SET_ASIDE,
                f"its description can't be read, so orders are refused: {self._odd[symbol]}",
            )
        elif symbol not in self._listed:
            trouble, why = DELISTED, "the exchange lists it no more: orders are refused"
        elif symbol in self._set_aside and not known.trouble:
            trouble, why = SET_ASIDE, self._set_aside[symbol]
        else:
            return known
        return msgspec.structs.replace(known, is_trading=False, trouble=trouble, why=why)


def _moved_text(first: Instrument, now: Instrument) -> str:
    said = [
        f"its {name} is {new} at the exchange and {old} here"
        for name, old, new in (
            ("tick_size", first.tick_size, now.tick_size),
            ("lot_size", first.lot_size, now.lot_size),
        )
        if old != new
    ]
    return (
        f"{' and '.join(said)}: new orders and changes are refused, its open orders are cancelled; give its bots the "
        "new steps, then restart the connector"
    )


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


def counts_of_reply(limits: Sequence[RateLimitText]) -> dict[str, int]:
    """What the exchange counted, by the limiter's names, from a WebSocket API reply.

    Its request weight is a pool of its own, ``ws_weight_1m``.
    """
    counts: dict[str, int] = {}
    for one in limits:
        name = limit_name(one.rateLimitType, one.interval, one.intervalNum)
        if name and one.count >= 0:
            counts[f"ws_{name}" if name.startswith("weight") else name] = one.count
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
