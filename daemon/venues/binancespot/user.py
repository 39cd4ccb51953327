"""The account's events at Binance Spot, its balances and fills. Pure: bytes in, values out.

Events come on the WebSocket API, each with the number of its subscription::

    {"subscriptionId":0,"event":{"e":"executionReport","E":1768640962931,"s":"BTCUSDT","c":"a1","S":"BUY","o":"LIMIT",
     "f":"GTC","q":"0.0001","p":"80000.0","x":"NEW","X":"NEW","r":"NONE","i":55472337221,"l":"0","z":"0","L":"0",
     "n":"0","N":null,"T":1768640962931,"t":-1,"m":false,"C":"", ..}}
    {"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":..,"u":..,"B":[{"a":"BTC","f":"0.1","l":"0.0"}]}}
    {"subscriptionId":0,"event":{"e":"balanceUpdate","E":..,"a":"BTC","d":"100.0","T":..}}
    {"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":..}}
    {"event":{"e":"serverShutdown","E":..}}

`x` is what happened, `X` the order's state after it; `C` is the order's id where `c` is that of a cancel; `l`, `L` the
last fill, `z` all fills, `t` the trade's id (-1 for none), `n`, `N` its fee, `m` maker, `eR` why it expired.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from daemon.messages import BY_STREAM, Execution, Funds, Report, Transfer
from daemon.session.catalog import Steps, known_steps, lots_of, price_of
from daemon.session.errors import DECODE_ERRORS, Odd, WireError
from daemon.session.facts import AccessExpired, Commission, Event, Leaving, Other
from daemon.session.steps import NumberError, decimal_of, float_of
from daemon.venues.binance.account import TradeText
from daemon.venues.binance.codes import POST_ONLY_TYPE, SIDES, STATUSES, TIMES_IN_FORCE
from daemon.venues.binance.instruments import Id, Ms
from hftd import constants as c

_MS_NS: Final = 1_000_000

REASONS: Final = MappingProxyType(
    {
        "REJECTED": c.REASON_EXCHANGE,
        "EXCHANGE_CANCELED": c.REASON_NOT_TRADING,
        "UNFILLED_IOC_QUANTITY_EXPIRED": c.REASON_EXPIRED,
        "UNFILLED_FOK_ORDER_EXPIRED": c.REASON_FOK,
        "INSUFFICIENT_LIQUIDITY": c.REASON_EXPIRED,
        "EXECUTION_RULE_PRICE_RANGE_EXCEEDED": c.REASON_FILTER,
        "INSUFFICIENT_BALANCES": c.REASON_MARGIN,
        "WOULD_MATCH_IMMEDIATELY": c.REASON_POST_ONLY,
    }
)
"""REASON_* of `eR` and `r`."""


class _ExecutionReport(msgspec.Struct, frozen=True, tag_field="e", tag="executionReport"):
    s: str
    c: str
    S: str
    X: str
    i: Id
    q: str
    p: str
    z: str
    x: str = ""
    C: str = ""
    o: str = "LIMIT"
    f: str = "GTC"
    l: str = "0"  # noqa: E741 - the exchange's names
    L: str = "0"
    n: str | None = "0"
    N: str | None = ""
    T: Ms = 0
    E: Ms = 0
    t: Id = -1
    m: bool = False
    r: str = ""
    eR: str = ""  # noqa: N815


class _AccountPosition(msgspec.Struct, frozen=True, tag_field="e", tag="outboundAccountPosition"):
    B: list[msgspec.Raw]
    u: Ms = 0
    E: Ms = 0


class _BalanceUpdate(msgspec.Struct, frozen=True, tag_field="e", tag="balanceUpdate"):
    a: str
    d: str
    T: Ms = 0
    E: Ms = 0


class _Terminated(msgspec.Struct, frozen=True, tag_field="e", tag="eventStreamTerminated"):
    E: Ms = 0


class _Shutdown(msgspec.Struct, frozen=True, tag_field="e", tag="serverShutdown"):
    E: Ms = 0


_Told = _ExecutionReport | _AccountPosition | _BalanceUpdate | _Terminated | _Shutdown


class _Message(msgspec.Struct, frozen=True):
    event: _Told | None = None
    status: int = 0


class _Name(msgspec.Struct, frozen=True):
    e: str = ""


class _OnlyName(msgspec.Struct, frozen=True):
    event: _Name = _Name()


class _StreamBalance(msgspec.Struct, frozen=True):
    a: str
    f: str
    l: str  # noqa: E741


class _Balance(msgspec.Struct, frozen=True):
    asset: str
    free: str
    locked: str


class _Account(msgspec.Struct, frozen=True):
    balances: list[msgspec.Raw]
    updateTime: Ms = 0  # noqa: N815
    canTrade: bool = True  # noqa: N815


class _Trade(msgspec.Struct, frozen=True):
    symbol: str
    id: Id
    orderId: Id  # noqa: N815
    price: str
    qty: str
    time: Ms
    isBuyer: bool  # noqa: N815
    isMaker: bool = False  # noqa: N815
    commission: str = "0"
    commissionAsset: str = ""  # noqa: N815


class _Rates(msgspec.Struct, frozen=True):
    maker: str = "0"
    taker: str = "0"


class _Commission(msgspec.Struct, frozen=True):
    symbol: str
    standardCommission: _Rates  # noqa: N815
    specialCommission: _Rates = _Rates()  # noqa: N815
    taxCommission: _Rates = _Rates()  # noqa: N815


_message = msgspec.json.Decoder(_Message)
_name = msgspec.json.Decoder(_OnlyName)
_KNOWN: Final = frozenset(
    ("executionReport", "outboundAccountPosition", "balanceUpdate", "eventStreamTerminated", "serverShutdown")
)


def read_event(data: bytes, steps: Mapping[str, Steps], odd: list[Odd] | None = None) -> list[Event]:
    """What a message of the user data stream says; see the family's.

    Raises:
        OddItemError: An order's symbol is not known, or a quantity of it is on no lot.
        WireError: It can't be read.
    """
    event = _decoded(data)
    if isinstance(event, Other | AccessExpired):
        return [event]
    try:
        if isinstance(event, _ExecutionReport):
            return [_report(event, known_steps(event.s, steps))]
        if isinstance(event, _AccountPosition):
            return list(_funds(event.B, (event.u or event.E) * _MS_NS, odd))
        if isinstance(event, _BalanceUpdate):
            return [Transfer(event.a, decimal_of(event.d), (event.T or event.E) * _MS_NS)]
    except (KeyError, NumberError) as error:
        raise WireError(f"a user event: {error}") from None
    return [AccessExpired() if isinstance(event, _Terminated) else Leaving()]


def _decoded(data: bytes) -> _Told | Other | AccessExpired:
    try:
        message = _message.decode(data)
    except DECODE_ERRORS as error:
        try:
            name = _name.decode(data).event.e[:80]
        except DECODE_ERRORS:
            name = ""
        if name and name not in _KNOWN:
            return Other(name)
        raise WireError(f"a user event {name!r}: {error}") from None
    if message.event is not None:
        return message.event
    # An answer to nothing: the key was taken back, or the exchange could not read a request.
    return AccessExpired() if message.status == 401 else Other("answer")


def odd_of_event(data: bytes, why: str) -> tuple[list[Odd], str]:
    """What of an order's event that can't be taken over is set aside: the order, if it is open, and its fill.

    Returns:
        That, and the exchange's id of the order if it has ended, else "".
    """
    try:
        event = _decoded(data)
    except WireError:
        return [], ""
    if not isinstance(event, _ExecutionReport):
        return [], ""
    name, number, odd = event.C or event.c, str(event.i), []
    if event.x == "TRADE" and event.t > 0:
        odd.append(Odd("fill", event.s, f"{event.t} {event.S}", why, name, number))
    if STATUSES.get(event.X) not in (c.NEW, c.PARTIALLY_FILLED):
        return odd, number
    return [*odd, Odd("open order", event.s, number, why, name, number)], ""


def _report(event: _ExecutionReport, steps: Steps) -> Report:
    side, exch_ns = SIDES[event.S], (event.T or event.E) * _MS_NS
    client_id, exch_order_id = event.C or event.c, str(event.i)
    price_tick, exact = price_of(steps, event.p)
    execution = None
    last_lots = lots_of(steps, event.l)
    if event.x == "TRADE" and last_lots > 0 and event.t >= 0:
        last_tick, last_exact = price_of(steps, event.L)
        exact = exact or last_exact
        execution = Execution(
            symbol=event.s,
            trade_id=str(event.t),
            client_id=client_id,
            exch_order_id=exch_order_id,
            side=side,
            price_tick=last_tick,
            qty_lots=last_lots,
            is_maker=event.m,
            fee=float_of(event.n) if event.n else 0.0,
            fee_asset=event.N or "",
            exch_ns=exch_ns,
            price=last_exact,
        )
    return Report(
        source=BY_STREAM,
        client_id=client_id,
        exch_order_id=exch_order_id,
        symbol=event.s,
        side=side,
        order_type=c.MARKET if event.o == "MARKET" else c.LIMIT,
        time_in_force=c.GTX if event.o == POST_ONLY_TYPE else TIMES_IN_FORCE.get(event.f, c.GTC),
        status=STATUSES[event.X],
        price_tick=price_tick,
        qty_lots=lots_of(steps, event.q),
        cum_lots=lots_of(steps, event.z),
        exch_ns=exch_ns,
        execution=execution,
        reason=_reason(event),
        is_off_grid=exact != 0.0,
    )


def _reason(event: _ExecutionReport) -> int:
    """Why the exchange ended the order, REASON_NONE if it was filled, cancelled on request, or goes on."""
    if event.X == "EXPIRED_IN_MATCH":
        return c.REASON_SELF_TRADE
    if event.X == "EXPIRED":
        return REASONS.get(event.eR, c.REASON_FOK if event.f == "FOK" else c.REASON_EXPIRED)
    return REASONS.get(event.r, c.REASON_EXCHANGE) if event.X == "REJECTED" else c.REASON_NONE


def _funds(items: list[msgspec.Raw], exch_ns: int, odd: list[Odd] | None) -> list[Funds]:
    found: list[Funds] = []
    for raw in items:
        try:
            try:
                one = msgspec.json.decode(raw, type=_StreamBalance)
                asset, free, locked = one.a, one.f, one.l
            except DECODE_ERRORS:
                one = msgspec.json.decode(raw, type=_Balance)
                asset, free, locked = one.asset, one.free, one.locked
            found.append(Funds(asset, decimal_of(free), decimal_of(locked), exch_ns))
        except (*DECODE_ERRORS, NumberError) as error:
            if odd is None:
                raise WireError(f"a balance: {error}") from None
            odd.append(Odd("balance", "", str(error)[:80], f"it can't be read: {error}"))
    return found


def read_account(body: bytes, odd: list[Odd] | None = None) -> tuple[list[Funds], bool]:
    """All balances, from the answer of ``GET account``, and whether the account may trade.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        account = msgspec.json.decode(body, type=_Account)
    except DECODE_ERRORS as error:
        raise WireError(f"the account: {error}") from None
    return _funds(account.balances, account.updateTime * _MS_NS, odd), account.canTrade


def read_trades(body: bytes, odd: list[Odd]) -> list[TradeText]:
    """The fills of one page of ``GET myTrades``, oldest first, as the family has them; what can't be read is odd.

    Raises:
        WireError: It is no list.
    """
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except DECODE_ERRORS as error:
        raise WireError(f"fills: {error}") from None
    found: list[TradeText] = []
    for raw in items:
        try:
            one = msgspec.json.decode(raw, type=_Trade)
        except DECODE_ERRORS as error:
            odd.append(Odd("fill", "", str(error)[:80], f"it can't be read: {error}"))
            continue
        side = "BUY" if one.isBuyer else "SELL"
        found.append(
            TradeText(
                one.symbol,
                one.id,
                one.orderId,
                side,
                one.price,
                one.qty,
                one.time,
                one.isMaker,
                one.commission,
                one.commissionAsset,
            )
        )
    return sorted(found, key=lambda one: one.id)


def read_commission(body: bytes) -> Commission:
    """The fee rates of ``GET account/commission``: the sum of what it is made of.

    Raises:
        WireError: The bytes are not what was expected.
    """
    try:
        one = msgspec.json.decode(body, type=_Commission)
        parts = (one.standardCommission, one.specialCommission, one.taxCommission)
        return Commission(
            one.symbol,
            float(sum(decimal_of(part.maker) for part in parts)),
            float(sum(decimal_of(part.taker) for part in parts)),
        )
    except (*DECODE_ERRORS, NumberError) as error:
        raise WireError(f"fee rates: {error}") from None
