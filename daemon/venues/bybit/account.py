"""The account: positions, balances, fills, fees, keys, server time. Pure: bytes in, values out.

::

    position/list      {"result":{"list":[{"positionIdx":0,"symbol":"BTCUSDT","side":"Buy","size":"0.010",
                        "avgPrice":"61800.3","updatedTime":"1617939110373", ..}],"nextPageCursor":".."}}
    wallet-balance     {"result":{"list":[{"coin":[{"coin":"USDT","walletBalance":"122607.3", ..}]}]}}
    execution/list     {"result":{"list":[{"symbol":"BTCUSDT","execId":"..","execType":"Trade", ..}], ..}}
    fee-rate           {"result":{"list":[{"symbol":"BTCUSDT","makerFeeRate":"0.0002","takerFeeRate":"0.00055"}]}}
    query-api          {"result":{"readOnly":0,"permissions":{"ContractTrade":["Order","Position"], ..}, ..}}
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from daemon.messages import Execution, Funding, Holding
from daemon.orders.ids.wire_ids import from_plain
from daemon.session.catalog import Steps, known_steps, lots_of, price_of
from daemon.session.errors import DECODE_ERRORS, OddItemError, WireError
from daemon.session.facts import Balance, Commission
from daemon.session.steps import NumberError, float_of
from daemon.venues.bybit.codes import FORCED, SIDES
from daemon.venues.bybit.instruments import decoded, read_page
from daemon.venues.bybit.orders import MS_NS, ms_of
from daemon.venues.bybit.wire import Ms


class _Position(msgspec.Struct, frozen=True):
    symbol: str
    size: str
    side: str = ""
    positionIdx: int = 0  # noqa: N815
    avgPrice: str = ""  # noqa: N815
    entryPrice: str = ""  # noqa: N815
    updatedTime: str = ""  # noqa: N815


class _Coin(msgspec.Struct, frozen=True):
    coin: str
    walletBalance: str  # noqa: N815


class _Wallet(msgspec.Struct, frozen=True):
    coin: list[_Coin] = []


class ExecutionText(msgspec.Struct, frozen=True):
    """A fill, as a question and the stream give it."""

    symbol: str
    execId: str  # noqa: N815
    orderId: str  # noqa: N815
    side: str
    execPrice: str  # noqa: N815
    execQty: str  # noqa: N815
    execTime: str  # noqa: N815
    execType: str = "Trade"  # noqa: N815
    orderLinkId: str = ""  # noqa: N815
    execFee: str = "0"  # noqa: N815
    feeCurrency: str = ""  # noqa: N815
    isMaker: bool = False  # noqa: N815
    leavesQty: str = ""  # noqa: N815
    extraFees: msgspec.Raw = msgspec.Raw(b"[]")  # noqa: N815


class _ExtraFee(msgspec.Struct, frozen=True):
    fee: str
    feeCoin: str = ""  # noqa: N815


class _Rate(msgspec.Struct, frozen=True):
    symbol: str
    makerFeeRate: str  # noqa: N815
    takerFeeRate: str  # noqa: N815


class _Time(msgspec.Struct, frozen=True):
    time: Ms


class _Key(msgspec.Struct, frozen=True):
    readOnly: int = 0  # noqa: N815
    permissions: dict[str, list[str]] = {}


class _KeyBody(msgspec.Struct, frozen=True):
    result: _Key


_extra_fees: Final = msgspec.json.Decoder(list[_ExtraFee])


def read_server_time(body: bytes) -> int:
    """The exchange's time in milliseconds."""
    return decoded(body, _Time, "the server's time").time


def problem_of_key(body: bytes) -> str:
    """Why a key can't trade, by what query-api says of it; empty if nothing is in the way, or it does not say."""
    key = decoded(body, _KeyBody, "the key's rights").result
    if key.readOnly:
        return "the API key may only read"
    rights = key.permissions.get("ContractTrade")
    if rights is not None and "Order" not in rights:
        return "the API key may not send orders of contracts"
    return ""


def is_hedge_mode(items: list[msgspec.Raw]) -> bool:
    """Whether a symbol's positions are kept apart by sides."""
    return any(decoded(one, _Position, "a position").positionIdx != 0 for one in items)


def position_of(item: msgspec.Raw, steps: Mapping[str, Steps], sent_ms: int = 0) -> Holding | None:
    """A position; None for what is left out: the empty sides of hedge mode, nothing of a symbol that is not known.

    Raises:
        OddItemError: It can't be taken over.
        WireError: A number makes no sense.
    """
    one = decoded(item, _Position, "a position")
    symbol, is_flat = one.symbol, not one.size.strip("0.")
    if is_flat and (one.positionIdx or symbol not in steps):
        return None
    if one.positionIdx:
        raise OddItemError(symbol, f"{symbol[:80]!r} has a {one.side[:20]!r} position: hedge mode")
    known = known_steps(symbol, steps)
    try:
        lots = lots_of(known, one.size)
        if not is_flat and one.side not in SIDES:
            raise OddItemError(symbol, f"a position in {symbol[:80]!r} is of the side {one.side[:20]!r}")
        entry = float_of(one.avgPrice or one.entryPrice or "0")
        exch_ms = ms_of(one.updatedTime) or sent_ms
        return Holding(symbol, -lots if one.side == "Sell" else lots, entry, exch_ms * MS_NS)
    except NumberError as error:
        raise WireError(f"the position in {symbol}: {error}") from None


def read_coins(item: msgspec.Raw, sent_ms: int = 0) -> list[Balance]:
    """The balances of a wallet.

    Raises:
        WireError: One makes no sense.
    """
    try:
        coins = decoded(item, _Wallet, "a wallet").coin
        return [Balance(one.coin, float_of(one.walletBalance or "0"), sent_ms * MS_NS) for one in coins]
    except NumberError as error:
        raise WireError(f"a wallet: {error}") from None


def execution_of(fill: ExecutionText, steps: Mapping[str, Steps]) -> Execution:
    """A fill. Its fee is all that is taken, the taxes of some countries included.

    Raises:
        OddItemError: The symbol is not known, or the quantity is on no lot.
        WireError: A number makes no sense.
    """
    known = known_steps(fill.symbol, steps)
    try:
        price_tick, exact = price_of(known, fill.execPrice)
        asset = _settles_in(fill)
        return Execution(
            symbol=fill.symbol,
            trade_id=fill.execId,
            client_id=from_plain(fill.orderLinkId),
            exch_order_id=fill.orderId,
            side=SIDES[fill.side],
            price_tick=price_tick,
            qty_lots=lots_of(known, fill.execQty),
            is_maker=fill.isMaker,
            fee=float_of(fill.execFee or "0") + _extra(fill.extraFees, asset),
            fee_asset=asset,
            exch_ns=ms_of(fill.execTime) * MS_NS,
            price=exact,
            is_forced=fill.execType in FORCED,
        )
    except (KeyError, NumberError) as error:
        raise WireError(f"fill {fill.execId[:40]} in {fill.symbol}: {error}") from None


def funding_of(fill: ExecutionText) -> Funding:
    """A payment of funding, which comes as an execution: `execFee` above 0 was paid.

    Raises:
        WireError: A number makes no sense.
    """
    try:
        paid = float_of(fill.execFee or "0")
        exch_ns = ms_of(fill.execTime) * MS_NS
    except NumberError as error:
        raise WireError(f"funding {fill.execId[:40]} in {fill.symbol}: {error}") from None
    return Funding(fill.symbol, _settles_in(fill), -paid, exch_ns, fill.execId)


def _settles_in(fill: ExecutionText) -> str:
    return fill.feeCurrency or ("USDT" if "USDT" in fill.symbol else "USDC")


def _extra(raw: msgspec.Raw, asset: str) -> float:
    """Fees beside the fee, which some accounts have; a text where there are none."""
    try:
        return sum(float_of(one.fee) for one in _extra_fees.decode(raw) if one.feeCoin in ("", asset))
    except DECODE_ERRORS:
        return 0.0


def read_commission(body: bytes) -> Commission:
    """The fee rates of a symbol.

    Raises:
        WireError: There are none.
    """
    items, _ = read_page(body, "fee rates")
    if not items:
        raise WireError("there are no fee rates")
    one = decoded(items[0], _Rate, "fee rates")
    try:
        return Commission(one.symbol, float_of(one.makerFeeRate), float_of(one.takerFeeRate))
    except NumberError as error:
        raise WireError(f"fee rates: {error}") from None
