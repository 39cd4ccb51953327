"""Instruments: ``GET /v5/market/instruments-info``.

::

    {"retCode":0,"result":{"category":"linear","list":[{"symbol":"BTCUSDT","status":"Trading","baseCoin":"BTC",
      "quoteCoin":"USDT","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"maxOrderQty":"1190.000",
      "minOrderQty":"0.001","qtyStep":"0.001","maxMktOrderQty":"500.000","minNotionalValue":"5"}}],
      "nextPageCursor":"first%3DZRXUSDT%26last%3D.."}}
"""

import re
from typing import Any, Final, TypeVar

import msgspec

from daemon.messages import NOT_TRADING, Instrument
from daemon.session.catalog import ExchangeInfo
from daemon.session.errors import DECODE_ERRORS, WireError
from daemon.session.steps import NumberError, Step, decimal_of, float_of

TRADING: Final = "Trading"
_SYMBOL: Final = re.compile(r"[\w.-]{1,64}")
T = TypeVar("T")


class _List(msgspec.Struct, frozen=True):
    list: list[msgspec.Raw]
    nextPageCursor: str = ""  # noqa: N815


class _Page(msgspec.Struct, frozen=True):
    result: _List


class _Prices(msgspec.Struct, frozen=True):
    tickSize: str  # noqa: N815


class _Lots(msgspec.Struct, frozen=True):
    qtyStep: str  # noqa: N815
    minOrderQty: str = ""  # noqa: N815
    maxOrderQty: str = ""  # noqa: N815
    maxMktOrderQty: str = ""  # noqa: N815
    minNotionalValue: str = ""  # noqa: N815


class _Symbol(msgspec.Struct, frozen=True):
    symbol: str
    priceFilter: _Prices  # noqa: N815
    lotSizeFilter: _Lots  # noqa: N815
    status: str = ""
    baseCoin: str = ""  # noqa: N815
    quoteCoin: str = ""  # noqa: N815


class _OnlySymbol(msgspec.Struct, frozen=True):
    symbol: str = ""


_page: Final = msgspec.json.Decoder(_Page)
_symbol: Final = msgspec.json.Decoder(_Symbol)
_only_symbol: Final = msgspec.json.Decoder(_OnlySymbol)


def decoded(data: bytes | msgspec.Raw, kind: type[T] | Any, what: str) -> Any:
    """Bytes as values of a type.

    Raises:
        WireError: They are something else.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except DECODE_ERRORS as error:
        raise WireError(f"{what}: {error}") from None


def read_page(body: bytes, what: str) -> tuple[list[msgspec.Raw], str]:
    """The items of a page, still raw, and the cursor to the next one.

    Raises:
        WireError: It is no page.
    """
    try:
        result = _page.decode(body).result
    except DECODE_ERRORS as error:
        raise WireError(f"{what}: {error}") from None
    return result.list, result.nextPageCursor


def symbol_of(raw: msgspec.Raw) -> str:
    """Whose an item is that is otherwise unreadable; empty if even that is."""
    try:
        return _only_symbol.decode(raw).symbol
    except DECODE_ERRORS:
        return ""


def read_instruments(items: list[msgspec.Raw]) -> ExchangeInfo:
    """Read the instruments of all pages. One that makes no sense does not spoil the others."""
    instruments: list[Instrument] = []
    unread: list[str] = []
    odd: dict[str, str] = {}
    for raw in items:
        try:
            instruments.append(_instrument(len(instruments), _symbol.decode(raw)))
        except (*DECODE_ERRORS, NumberError, WireError) as error:
            unread.append(str(error))
            odd[symbol_of(raw)] = str(error)
    return ExchangeInfo(instruments, {}, unread, odd)


def _instrument(number: int, symbol: _Symbol) -> Instrument:
    name, lots = symbol.symbol, symbol.lotSizeFilter
    if not _SYMBOL.fullmatch(name):
        raise WireError(f"the symbol {name[:80]!r} has characters that can't be sent")
    tick, lot = Step(decimal_of(symbol.priceFilter.tickSize)), Step(decimal_of(lots.qtyStep))
    is_trading = symbol.status == TRADING
    return Instrument(
        number=number,
        symbol=name,
        tick_size=tick.size,
        lot_size=lot.size,
        min_qty_lots=max(1, _whole(lot, lots.minOrderQty, up=True)),
        max_qty_lots=_whole(lot, lots.maxOrderQty),
        market_max_qty_lots=_whole(lot, lots.maxMktOrderQty),
        min_notional=float_of(lots.minNotionalValue) if lots.minNotionalValue else 0.0,
        is_trading=is_trading,
        base=symbol.baseCoin,
        quote=symbol.quoteCoin,
        trouble="" if is_trading else NOT_TRADING,
        why="" if is_trading else _status_text(symbol.status),
    )


def _status_text(status: str) -> str:
    return (
        f"its status at the exchange is {status[:40]!r}: new orders are refused until it is {TRADING!r} again"
    )


def _whole(lot: Step, text: str, *, up: bool = False) -> int:
    """A quantity limit in lots, to the inside if it is between two lots; 0 if there is none."""
    if not text:
        return 0
    count, rest = divmod(decimal_of(text), lot.size)
    return int(count) + (1 if up and rest else 0)
