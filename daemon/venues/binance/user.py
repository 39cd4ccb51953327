"""Events of the user data stream. Pure: bytes in, values out.

::

    {"e":"ORDER_TRADE_UPDATE","E":1568879465651,"T":1568879465650,"o":{"s":"BTCUSDT","c":"cid","S":"SELL","o":"LIMIT",
     "f":"GTC","q":"0.001","p":"9910","x":"NEW","X":"NEW","i":8886774,"l":"0","z":"0","L":"0","N":"USDT","n":"0",
     "T":1568879465650,"t":0,"m":false,"er":"0", ..}}
    {"e":"TRADE_LITE","E":..,"T":..,"s":"BTCUSDT","q":"0.040","p":"0","m":false,"c":"cid","S":"BUY","L":"64089.20",
     "l":"0.040","t":109100866,"i":8886774}
    {"e":"ACCOUNT_UPDATE","E":..,"T":..,"a":{"m":"ORDER","B":[{"a":"USDT","wb":"122624.1", ..}],
     "P":[{"s":"BTCUSDT","pa":"20","ep":"6563.6","ps":"BOTH", ..}]}}
    {"e":"listenKeyExpired","E":..,"listenKey":".."}

`x` is what happened (NEW, TRADE, CANCELED, EXPIRED, AMENDMENT, CALCULATED), `X` the order's state after it; `l`, `L`
the last fill, `z` all fills, `ap` their average price, `t` the trade's id (0 for none, which a liquidation's may be),
`n`, `N` its fee, `m` maker, `er` why it expired.

An account's update of the reason (`a.m`) FUNDING_FEE is a payment of funding: `bc` is by how much a balance changed,
`S` the symbol where it is told; of an isolated position its symbol stands in `P`.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from daemon.messages import BY_STREAM, Execution, Funding, Holding, Report
from daemon.session.catalog import Steps, known_steps, lots_of, price_of
from daemon.session.errors import DECODE_ERRORS, Odd, WireError
from daemon.session.facts import AccessExpired, Balance, Event, Other
from daemon.session.steps import NumberError, float_of
from daemon.venues.binance.account import position_of
from daemon.venues.binance.codes import EXPIRY_REASONS, SIDES, STATUSES, TIMES_IN_FORCE, is_forced
from daemon.venues.binance.instruments import Id, Ms
from hftd import constants as c

_MS_NS: Final = 1_000_000


class _Order(msgspec.Struct, frozen=True):
    s: str
    c: str
    S: str
    X: str
    i: Id
    q: str
    p: str
    z: str
    x: str = ""
    o: str = "LIMIT"
    f: str = "GTC"
    l: str = "0"  # noqa: E741 - the exchange's names
    L: str = "0"
    ap: str = "0"
    n: str | None = "0"
    N: str | None = ""
    T: Ms = 0
    t: Id = 0
    m: bool = False
    er: str = "0"


class _OrderTradeUpdate(msgspec.Struct, frozen=True, tag_field="e", tag="ORDER_TRADE_UPDATE"):
    o: _Order
    T: Ms = 0
    E: Ms = 0


class _TradeLite(msgspec.Struct, frozen=True, tag_field="e", tag="TRADE_LITE"):
    s: str
    c: str
    S: str
    i: Id
    t: Id
    l: str  # noqa: E741
    L: str
    q: str = "0"
    p: str = "0"
    m: bool = False
    T: Ms = 0


class _AccountBalance(msgspec.Struct, frozen=True):
    a: str
    wb: str


class _Payment(msgspec.Struct, frozen=True):
    a: str
    bc: str
    wb: str = ""


class _AccountPosition(msgspec.Struct, frozen=True):
    s: str
    pa: str
    ep: str = "0"
    ps: str = "BOTH"


class _Account(msgspec.Struct, frozen=True):
    m: str = ""
    S: object = ""
    B: list[msgspec.Raw] = []
    P: list[msgspec.Raw] = []


class _AccountUpdate(msgspec.Struct, frozen=True, tag_field="e", tag="ACCOUNT_UPDATE"):
    a: _Account
    T: Ms = 0
    E: Ms = 0


class _ListenKeyExpired(msgspec.Struct, frozen=True, tag_field="e", tag="listenKeyExpired"):
    E: Ms = 0


class _Any(msgspec.Struct, frozen=True):
    e: str = ""


_event = msgspec.json.Decoder(_OrderTradeUpdate | _TradeLite | _AccountUpdate | _ListenKeyExpired)
_any = msgspec.json.Decoder(_Any)
_balance = msgspec.json.Decoder(_AccountBalance)
_payment = msgspec.json.Decoder(_Payment)
_position = msgspec.json.Decoder(_AccountPosition)
_KNOWN: Final = frozenset({"ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE", "listenKeyExpired"})


def read_event(data: bytes, steps: Mapping[str, Steps], odd: list[Odd] | None = None) -> list[Event]:
    """What a message of the user data stream says.

    A TRADE_LITE becomes a report with `status` NONE and `cum_lots` 0: it knows the fill and nothing else of the order.

    Args:
        data: The message.
        steps: The symbols that are known.
        odd: Takes what of an account's event can't be taken over, so that the rest of it can; None: it is an error.

    Raises:
        OddItemError: An order's symbol is not known, or a quantity of it is on no lot.
        WireError: It can't be read.
    """
    try:
        event = _event.decode(data)
    except DECODE_ERRORS as error:
        name = _name_of(data)
        if name and name not in _KNOWN:
            return [Other(name)]
        raise WireError(f"a user event {name!r}: {error}") from None
    try:
        if isinstance(event, _OrderTradeUpdate):
            return [_order_report(event, known_steps(event.o.s, steps))]
        if isinstance(event, _TradeLite):
            return [_lite_report(event, known_steps(event.s, steps))]
        if isinstance(event, _AccountUpdate):
            return _account_values(event, steps, odd)
    except (KeyError, NumberError) as error:
        raise WireError(f"a user event: {error}") from None
    return [AccessExpired()]


def odd_of_event(data: bytes, why: str) -> tuple[list[Odd], str]:
    """What of an order's event that can't be taken over is set aside: the order, if it is open, and its fill.

    Returns:
        That, and the exchange's id of the order if it has ended, else "".
    """
    try:
        event = _event.decode(data)
    except DECODE_ERRORS:
        return [], ""
    if isinstance(event, _TradeLite):
        return [Odd("fill", event.s, f"{event.t} {event.S}", why, event.c, str(event.i))], ""
    if not isinstance(event, _OrderTradeUpdate):
        return [], ""
    order, odd = event.o, []
    if order.x in ("TRADE", "CALCULATED") and order.t > 0:
        odd.append(Odd("fill", order.s, f"{order.t} {order.S}", why, order.c, str(order.i)))
    if STATUSES.get(order.X) not in (c.NEW, c.PARTIALLY_FILLED):
        return odd, str(order.i)
    return [*odd, Odd("open order", order.s, str(order.i), why, order.c, str(order.i))], ""


def _name_of(data: bytes) -> str:
    try:
        return _any.decode(data).e[:80]
    except DECODE_ERRORS:
        return ""


def _order_report(event: _OrderTradeUpdate, steps: Steps) -> Report:
    order = event.o
    side, exch_ns = SIDES[order.S], (order.T or event.T) * _MS_NS
    last_lots = lots_of(steps, order.l)
    price_tick, exact = price_of(steps, order.p)
    execution = None
    is_forced_fill = last_lots > 0 and (
        order.x == "CALCULATED" or (order.x == "TRADE" and is_forced(order.c))
    )
    if order.x in ("TRADE", "CALCULATED") and last_lots > 0 and order.t > 0:
        last_tick, last_exact = price_of(steps, order.L)
        exact = exact or last_exact
        execution = Execution(
            symbol=order.s,
            trade_id=str(order.t),
            client_id=order.c,
            exch_order_id=str(order.i),
            side=side,
            price_tick=last_tick,
            qty_lots=last_lots,
            is_maker=order.m,
            fee=float_of(order.n) if order.n else 0.0,
            fee_asset=order.N or "",
            exch_ns=exch_ns,
            price=last_exact,
            is_forced=is_forced_fill,
        )
    return Report(
        source=BY_STREAM,
        client_id=order.c,
        exch_order_id=str(order.i),
        symbol=order.s,
        side=side,
        order_type=c.MARKET if order.o == "MARKET" else c.LIMIT,
        time_in_force=TIMES_IN_FORCE.get(order.f, c.GTC),
        status=STATUSES[order.X],
        price_tick=price_tick,
        qty_lots=lots_of(steps, order.q),
        cum_lots=lots_of(steps, order.z),
        exch_ns=exch_ns,
        execution=execution,
        reason=_reason(order),
        is_off_grid=exact != 0.0,
        forced_lots=last_lots if is_forced_fill and execution is None else 0,
        forced_price=float_of(order.L) or float_of(order.ap) if is_forced_fill else 0.0,
    )


def _reason(order: _Order) -> int:
    """Why the exchange ended the order, REASON_NONE if it was filled, cancelled on request, or goes on."""
    if order.x == "CALCULATED":
        return c.REASON_LIQUIDATION
    if order.X == "EXPIRED_IN_MATCH":
        return c.REASON_SELF_TRADE
    if order.X == "EXPIRED":
        reason = EXPIRY_REASONS.get(order.er, 0)
        if reason not in (0, c.REASON_EXPIRED):
            return reason
        if order.f == "GTX":
            return c.REASON_POST_ONLY
        return c.REASON_FOK if order.f == "FOK" else c.REASON_EXPIRED
    if order.X in ("CANCELED", "REJECTED"):
        return EXPIRY_REASONS.get(order.er, 0)
    return c.REASON_NONE


def _lite_report(event: _TradeLite, steps: Steps) -> Report:
    side, exch_ns = SIDES[event.S], event.T * _MS_NS
    price_tick, exact = price_of(steps, event.p)
    last_tick, last_exact = price_of(steps, event.L)
    is_forced_fill, last_lots = is_forced(event.c), lots_of(steps, event.l)
    execution = (
        None
        if event.t <= 0
        else Execution(
            symbol=event.s,
            trade_id=str(event.t),
            client_id=event.c,
            exch_order_id=str(event.i),
            side=side,
            price_tick=last_tick,
            qty_lots=last_lots,
            is_maker=event.m,
            fee=0.0,
            fee_asset="",
            exch_ns=exch_ns,
            price=last_exact,
            is_forced=is_forced_fill,
        )
    )
    return Report(
        source=BY_STREAM,
        client_id=event.c,
        exch_order_id=str(event.i),
        symbol=event.s,
        side=side,
        order_type=c.LIMIT,
        time_in_force=c.GTC,
        status=c.NONE,
        price_tick=price_tick,
        qty_lots=lots_of(steps, event.q),
        cum_lots=0,
        exch_ns=exch_ns,
        execution=execution,
        has_fee=False,
        is_off_grid=(exact or last_exact) != 0.0,
    )


def _account_values(event: _AccountUpdate, steps: Mapping[str, Steps], odd: list[Odd] | None) -> list[Event]:
    exch_ms = event.T or event.E
    values: list[Event] = []

    def take(raw: msgspec.Raw, what: str, read: Callable[[msgspec.Raw], Event | None]) -> None:
        try:
            value = read(raw)
        except (*DECODE_ERRORS, NumberError, WireError) as error:
            why = error if isinstance(error, WireError) else WireError(f"a {what} of a user event: {error}")
            if odd is None:
                raise why from None
            odd.append(Odd(what, getattr(error, "symbol", ""), getattr(error, "symbol", ""), str(why)))
        else:
            if value is not None:
                values.append(value)

    def position(raw: msgspec.Raw) -> Holding | None:
        one = _position.decode(raw)
        return position_of(one.s, one.pa, one.ep, one.ps, exch_ms, steps)

    def balance(raw: msgspec.Raw) -> Balance:
        one = _balance.decode(raw)
        return Balance(one.a, float_of(one.wb), exch_ms * _MS_NS)

    for raw in event.a.P:
        take(raw, "position", position)
    symbols = [one.symbol for one in values if isinstance(one, Holding)]
    named = event.a.S if isinstance(event.a.S, str) else ""
    symbol = named or (symbols[0] if len(symbols) == 1 else "")

    def funding(raw: msgspec.Raw) -> Funding | None:
        one = _payment.decode(raw)
        amount = float_of(one.bc)
        # It has no id of its own, and may come on two connections.
        payment_id = f"{exch_ms} {symbol} {one.a} {one.bc} {one.wb}"
        return Funding(symbol, one.a, amount, exch_ms * _MS_NS, payment_id, BY_STREAM) if amount else None

    for raw in event.a.B:
        take(raw, "balance", balance)
        if event.a.m == "FUNDING_FEE":
            take(raw, "payment of funding", funding)
    return values
