"""The account: listen key, positions, balances, fills, fees, server time. Pure: bytes in, values out.

::

    POST listenKey     {"listenKey":"pqia.."}
    positionRisk       [{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"0.010","entryPrice":"61800.3", ..}]
    balance            [{"asset":"USDT","balance":"122607.3","availableBalance":"23.7","updateTime":1617939110373, ..}]
    userTrades         [{"symbol":"BTCUSDT","id":698759,"orderId":25851813,"side":"SELL","price":"7819.01",
                         "qty":"0.002","commission":"-0.07819010","commissionAsset":"USDT","time":1569514978020,
                         "maker":false, ..}]
    income             [{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-0.37500000","asset":"USDT",
                         "time":1570608000000,"tranId":9689322392,"tradeId":""}]   COIN-M: tranId is a text
    commissionRate     {"symbol":"BTCUSDT","makerCommissionRate":"0.0002","takerCommissionRate":"0.0004"}
"""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from daemon.messages import BY_QUERY, Execution, Funding, Holding
from daemon.session.catalog import Steps, known_steps, lots_of, price_of
from daemon.session.errors import DECODE_ERRORS, Odd, OddItemError, WireError
from daemon.session.facts import Balance, Commission
from daemon.session.steps import NumberError, float_of
from daemon.venues.binance.codes import SIDES, is_forced
from daemon.venues.binance.instruments import Id, Ms

_MS_NS: Final = 1_000_000
_LISTEN_KEY: Final = re.compile(r"[A-Za-z0-9._-]{1,256}", re.ASCII)

T = TypeVar("T")


class _ListenKey(msgspec.Struct, frozen=True):
    listenKey: str  # noqa: N815


class _Position(msgspec.Struct, frozen=True):
    symbol: str
    positionAmt: str  # noqa: N815
    entryPrice: str = "0"  # noqa: N815
    positionSide: str = "BOTH"  # noqa: N815
    updateTime: Ms = 0  # noqa: N815


class _Balance(msgspec.Struct, frozen=True):
    asset: str
    balance: str
    updateTime: Ms = 0  # noqa: N815


class TradeText(msgspec.Struct, frozen=True):
    """A fill in the answer of userTrades; it has no client order id."""

    symbol: str
    id: Id
    orderId: Id  # noqa: N815
    side: str
    price: str
    qty: str
    time: Ms
    maker: bool = False
    commission: str = "0"
    commissionAsset: str = ""  # noqa: N815


class IncomeText(msgspec.Struct, frozen=True):
    """A row of income."""

    incomeType: str  # noqa: N815
    income: str
    asset: str
    time: Ms
    tranId: Id | str  # noqa: N815 - a number on USD-M, a text on COIN-M
    symbol: str = ""


class _Commission(msgspec.Struct, frozen=True):
    symbol: str
    makerCommissionRate: str  # noqa: N815
    takerCommissionRate: str  # noqa: N815


class _ServerTime(msgspec.Struct, frozen=True):
    serverTime: Ms  # noqa: N815


class _OnlySymbol(msgspec.Struct, frozen=True):
    symbol: str = ""
    id: Id = 0


class _Dual(msgspec.Struct, frozen=True):
    dualSidePosition: bool  # noqa: N815


def _decoded(data: bytes, kind: type[T] | Any, what: str) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except DECODE_ERRORS as error:
        raise WireError(f"{what}: {error}") from None


def _items(data: bytes, kind: type[T], what: str, noun: str, odd: list[Odd] | None) -> list[T]:
    """The items of a list. One that can't be read goes to `odd`, or is the end of it if there is no such list."""
    items: list[T] = []
    for raw in _decoded(data, list[msgspec.Raw], what):
        try:
            items.append(msgspec.json.decode(raw, type=kind))
        except DECODE_ERRORS as error:
            if odd is None:
                raise WireError(f"{what}: {error}") from None
            try:
                names = msgspec.json.decode(raw, type=_OnlySymbol)
            except DECODE_ERRORS:
                names = _OnlySymbol()
            odd.append(Odd(noun, names.symbol, str(names.id or names.symbol), f"it can't be read: {error}"))
    return items


def read_listen_key(body: bytes) -> str:
    """The listen key, which is a secret.

    Raises:
        WireError: There is none; the message does not hold it.
    """
    key = _decoded(body, _ListenKey, "a listen key").listenKey
    if not _LISTEN_KEY.fullmatch(key):
        raise WireError("a listen key with invalid characters")
    return key


def read_server_time(body: bytes) -> int:
    """The exchange's time in milliseconds."""
    return _decoded(body, _ServerTime, "the server's time").serverTime


def read_is_hedge_mode(body: bytes) -> bool:
    """Whether the account keeps long and short positions apart."""
    return _decoded(body, _Dual, "the position mode").dualSidePosition


def read_holdings(body: bytes, steps: Mapping[str, Steps], odd: list[Odd] | None = None) -> list[Holding]:
    """The positions; symbols that are not listed are flat.

    Args:
        body: The answer.
        steps: The symbols that are known.
        odd: Takes the positions that can't be taken over: of symbols that are not known, off the lot, or of an account
            in hedge mode. None: the first of them is an error.

    Raises:
        WireError: It is no list of positions.
    """
    holdings: list[Holding] = []
    for one in _items(body, _Position, "positions", "position", odd):
        try:
            if (
                holding := position_of(
                    one.symbol, one.positionAmt, one.entryPrice, one.positionSide, one.updateTime, steps
                )
            ) is not None:
                holdings.append(holding)
        except WireError as error:
            if odd is None:
                raise
            odd.append(Odd("position", one.symbol, one.symbol, str(error)))
    return holdings


def position_of(
    symbol: str, amount: str, entry_price: str, side: str, time_ms: int, steps: Mapping[str, Steps]
) -> Holding | None:
    """A position from its texts; None for what is no position: the empty sides of hedge mode, or nothing of a symbol
    that is not known.

    Raises:
        OddItemError: It can't be taken over.
        WireError: A number makes no sense.
    """
    is_flat = not amount.strip("-0.")
    if is_flat and (side != "BOTH" or symbol not in steps):
        return None
    if side != "BOTH":
        raise OddItemError(symbol, f"{symbol[:80]!r} has a {side[:20]!r} position: hedge mode")
    return holding_of(symbol, amount, entry_price, time_ms, steps)


def holding_of(
    symbol: str, amount: str, entry_price: str, time_ms: int, steps: Mapping[str, Steps]
) -> Holding:
    """A position from its texts.

    Raises:
        OddItemError: The symbol is not known, or the position is on no lot.
        WireError: A number makes no sense.
    """
    known = known_steps(symbol, steps)
    try:
        return Holding(symbol, lots_of(known, amount), float_of(entry_price), time_ms * _MS_NS)
    except NumberError as error:
        raise WireError(f"the position in {symbol}: {error}") from None


def read_balances(body: bytes, odd: list[Odd] | None = None) -> list[Balance]:
    """The balances of all assets; one that makes no sense goes to `odd`, or is an error if there is no such list."""
    balances: list[Balance] = []
    for one in _items(body, _Balance, "balances", "balance", odd):
        try:
            balances.append(Balance(one.asset, float_of(one.balance), one.updateTime * _MS_NS))
        except NumberError as error:
            if odd is None:
                raise WireError(f"balances: {error}") from None
            odd.append(Odd("balance", one.asset, one.asset, str(error)))
    return balances


def read_trades(body: bytes, odd: list[Odd] | None = None) -> list[TradeText]:
    """The fills of one page, oldest first; one that can't be read goes to `odd`, or is an error without such a list."""
    return sorted(_items(body, TradeText, "fills", "fill", odd), key=lambda one: one.id)


def read_payments(body: bytes, odd: list[Odd]) -> list[IncomeText]:
    """The payments of funding of one page, oldest first; what can't be read goes to `odd`."""
    rows = _items(body, IncomeText, "income", "payment of funding", odd)
    return sorted((one for one in rows if one.incomeType == "FUNDING_FEE"), key=lambda one: one.time)


def payment_of(row: IncomeText) -> Funding:
    """A payment of funding as income tells it.

    Raises:
        WireError: A number makes no sense.
    """
    try:
        amount = float_of(row.income)
    except NumberError as error:
        raise WireError(f"payment of funding {row.tranId}: {error}") from None
    return Funding(
        row.symbol, row.asset, amount, row.time * _MS_NS, f"income {row.tranId} {row.symbol}", BY_QUERY
    )


def execution_of(trade: TradeText, client_id: str, steps: Mapping[str, Steps]) -> Execution:
    """A fill of userTrades, with its order's client id as it is known otherwise (empty if it is not).

    Raises:
        OddItemError: The symbol is not known, or the quantity is on no lot.
        WireError: A number makes no sense.
    """
    known = known_steps(trade.symbol, steps)
    try:
        price_tick, exact = price_of(known, trade.price)
        return Execution(
            symbol=trade.symbol,
            trade_id=str(trade.id),
            client_id=client_id,
            exch_order_id=str(trade.orderId),
            side=SIDES[trade.side],
            price_tick=price_tick,
            qty_lots=lots_of(known, trade.qty),
            is_maker=trade.maker,
            fee=float_of(trade.commission),
            fee_asset=trade.commissionAsset,
            exch_ns=trade.time * _MS_NS,
            price=exact,
            is_forced=is_forced(client_id),
        )
    except (KeyError, NumberError) as error:
        raise WireError(f"fill {trade.id} in {trade.symbol}: {error}") from None


def read_commission(body: bytes) -> Commission:
    """The fee rates."""
    one = _decoded(body, _Commission, "fee rates")
    try:
        return Commission(one.symbol, float_of(one.makerCommissionRate), float_of(one.takerCommissionRate))
    except NumberError as error:
        raise WireError(f"fee rates: {error}") from None
