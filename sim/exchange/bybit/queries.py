"""What can be asked without changing anything: of the market, and of an account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

from sim.exchange.accounts.accounts import Account, Order, Payment, Trade
from sim.exchange.accounts.processing import Params
from sim.exchange.bybit import payloads
from sim.exchange.bybit.config import settings_of
from sim.exchange.bybit.errors import wrong
from sim.exchange.bybit.feeds import BybitFeed
from sim.exchange.bybit.ids import execution_uuid, number_of, order_uuid
from sim.exchange.bybit.orders import CATEGORY, check_category, named_instrument, whole
from sim.exchange.core import Exchange
from sim.exchange.rules.instruments import Instrument
from sim.exchange.rules.refusals import RefusedError, Why

_WEEK_MS: Final = 7 * 86_400_000
_CLOSED_MAX: Final = 500
_NEVER_MS: Final = 1 << 60


def feed_of(exchange: Exchange, instrument: Instrument) -> BybitFeed:
    """An instrument's topics."""
    feed = exchange.feeds[instrument.number]
    assert isinstance(feed, BybitFeed)
    return feed


# The market.


def server_time(exchange: Exchange, _account: None, _params: Params) -> Any:
    """The exchange's time."""
    now_ms = exchange.clock.server_ms()
    return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}


def instruments(exchange: Exchange, _account: None, params: Params) -> Any:
    """All instruments that can be traded, or of a status, page by page."""
    check_category(params)
    symbol, status = params.get("symbol", ""), params.get("status", "")
    found = [one for one in exchange.instruments.values() if not symbol or one.symbol == symbol]
    if symbol and not found:
        raise RefusedError(Why.UNKNOWN_SYMBOL)
    # Without a name and a status only what is traded is listed.
    wanted = status or ("" if symbol else "Trading")
    found = [one for one in found if not wanted or one.status == wanted]
    limit, first = whole(params, "limit", 500, 1000) or 1, 0
    names = [one.symbol for one in found]
    cursor = params.get("cursor", "")
    if cursor:
        if cursor not in names:
            raise wrong("cursor invalid")
        first = names.index(cursor)
    page, rest = found[first : first + limit], names[first + limit :]
    rows = [payloads.instrument_row(one) for one in page]
    return {"category": CATEGORY, "list": rows, "nextPageCursor": rest[0] if rest else ""}


def book(exchange: Exchange, _account: None, params: Params) -> Any:
    """The book."""
    feed = feed_of(exchange, named_instrument(exchange, params))
    return feed.snapshot(whole(params, "limit", 25, 1000) or 25, exchange.clock.server_ms())


def tickers(exchange: Exchange, _account: None, params: Params) -> Any:
    """Of an instrument, or of all."""
    check_category(params)
    wanted = [named_instrument(exchange, params)] if params.get("symbol") else exchange.instruments.values()
    return {"category": CATEGORY, "list": [feed_of(exchange, one).ticker() for one in wanted]}


def recent_trades(exchange: Exchange, _account: None, params: Params) -> Any:
    """The last trades, the newest first."""
    i = named_instrument(exchange, params)
    trades = feed_of(exchange, i).recent[-(whole(params, "limit", 500, 1000) or 500) :]
    names = {"execId": "i", "price": "p", "size": "v", "side": "S", "time": "T", "seq": "seq"}
    flags = {"symbol": i.symbol, "isBlockTrade": False, "isRPITrade": False}
    rows = [flags | {name: str(one[key]) for name, key in names.items()} for one in reversed(trades)]
    return {"category": CATEGORY, "list": rows}


# An account's orders and executions.


def _page(
    exchange: Exchange,
    params: Params,
    rows: Sequence[Any],
    key: Callable[[Any], tuple[int, str]],
    most: int,
    default: int,
) -> tuple[list[Any], str]:
    """A page of rows, the newest first, and the cursor of the next.

    A cursor names the first and the last row of its page, percent-encoded. The last page has one too; what comes after
    it is empty.
    """
    ordered = sorted(rows, key=key, reverse=True)
    limit = max(whole(params, "limit", default, most), 1)
    cursor = params.get("cursor", "")
    first = 0
    if cursor:
        last_id, _, last_ms = cursor.rpartition(",")[2].rpartition(":")
        if not last_ms.isdecimal():
            raise wrong("cursor invalid")
        older = (int(last_ms), last_id)
        first = sum(1 for one in ordered if key(one) >= older)
    page = ordered[first : first + limit]
    if not page and cursor and settings_of(exchange).endless_cursor:
        page = ordered[-limit:]
    if not page:
        return [], ""
    ends = [":".join((name, str(at_ms))) for at_ms, name in (key(page[0]), key(page[-1]))]
    return page, quote(",".join(ends), safe="")


def _meant(exchange: Exchange, params: Params, *, needed: bool) -> Callable[[Instrument], bool]:
    """Whether a query means an instrument: by its symbol, else by its base, else by what it is settled in."""
    check_category(params)
    p = params.get
    if p("symbol"):
        symbol = named_instrument(exchange, params).symbol
        return lambda one: one.symbol == symbol
    if p("baseCoin"):
        return lambda one: one.base == p("baseCoin")
    if not p("settleCoin") and needed:
        raise wrong("one of symbol, baseCoin, settleCoin is required")
    return lambda one: p("settleCoin", one.margin_asset) == one.margin_asset


def _is_unseen(exchange: Exchange, order: Order) -> bool:
    """What queries read may be behind the matching engine."""
    chaos = exchange.chaos
    if chaos.settings.young_unseen <= 0.0:
        return False
    age_ms = exchange.matching.now_ms - order.created_ms
    return age_ms < chaos.settings.late_ms and chaos.strikes("young_unseen")


def _named(params: Params, order: Order) -> bool:
    if params.get("orderId"):
        return str(order.order_id) == number_of(params["orderId"])
    return not params.get("orderLinkId") or order.asked.client_id == params["orderLinkId"]


def _orders(exchange: Exchange, params: Params, rows: list[Order]) -> Any:
    page, cursor = _page(
        exchange, params, rows, lambda one: (one.created_ms, order_uuid(one.order_id)), 50, 20
    )
    found = [payloads.order_query(exchange, one) for one in page if not _is_unseen(exchange, one)]
    return {"category": CATEGORY, "nextPageCursor": cursor, "list": found}


def realtime(exchange: Exchange, account: Account, params: Params) -> Any:
    """Open orders; one that is named is found when it is over, too."""
    is_named = bool(params.get("orderId") or params.get("orderLinkId"))
    meant = _meant(exchange, params, needed=not is_named)
    if is_named:
        chosen = list(account.orders.values())
    elif params.get("openOnly", "0") == "1":
        chosen = [one for one in account.orders.values() if not one.is_open][-_CLOSED_MAX:]
    else:
        chosen = list(account.open_orders.values())
    return _orders(exchange, params, [one for one in chosen if meant(one.instrument) and _named(params, one)])


def _between(params: Params) -> tuple[int, int]:
    start, end = whole(params, "startTime", 0), whole(params, "endTime", 0)
    if start and end and not 0 <= end - start <= _WEEK_MS:
        raise wrong("the time range exceeds 7 days")
    if end and not start:
        return end - _WEEK_MS, end
    return start, end or (start + _WEEK_MS if start else _NEVER_MS)


def history(exchange: Exchange, account: Account, params: Params) -> Any:
    """Orders that are over."""
    meant, (start, end) = _meant(exchange, params, needed=False), _between(params)
    chosen = [one for one in account.orders.values() if not one.is_open and start <= one.created_ms <= end]
    return _orders(exchange, params, [one for one in chosen if meant(one.instrument) and _named(params, one)])


def executions(exchange: Exchange, account: Account, params: Params) -> Any:
    """Executions, of all kinds or of one; payments of funding are some."""
    meant, (start, end) = _meant(exchange, params, needed=False), _between(params)
    wanted = params.get("execType", "")

    def key(one: Trade | Payment) -> tuple[int, str]:
        if isinstance(one, Payment):
            return one.time_ms, payloads.payment_uuid(one)
        return one.time_ms, execution_uuid(one.trade_id, one.order.order_id)

    chosen: list[Trade | Payment] = [
        one
        for one in account.trades
        if wanted in ("", payloads.kind_of(one))
        and start <= one.time_ms <= end
        and meant(one.order.instrument)
        and _named(params, one.order)
    ]
    if wanted in ("", payloads.FUNDING) and not params.get("orderId") and not params.get("orderLinkId"):
        chosen += [one for one in account.payments if start <= one.time_ms <= end and meant(one.instrument)]
    page, cursor = _page(exchange, params, chosen, key, 100, 50)
    rows = [
        payloads.payment_row(one) if isinstance(one, Payment) else payloads.execution_row(exchange, one)
        for one in page
    ]
    return {"category": CATEGORY, "nextPageCursor": cursor, "list": rows}


def positions(exchange: Exchange, account: Account, params: Params) -> Any:
    """Positions: of an instrument that is named, empty ones too."""
    if not params.get("symbol") and not params.get("settleCoin"):
        raise wrong("symbol or settleCoin is required")
    meant = _meant(exchange, params, needed=True)
    sides = ("LONG", "SHORT") if account.hedge else ("BOTH",)
    rows = [
        payloads.position_row(exchange, account, account.position(one, side), "avgPrice")
        for one in exchange.instruments.values()
        for side in sides
        if meant(one) and (params.get("symbol") or account.held(one, side))
    ]
    whole(params, "limit", 20, 200)
    return {"category": CATEGORY, "nextPageCursor": "", "list": rows}


# The account.


def wallet_balance(exchange: Exchange, account: Account, params: Params) -> Any:
    """What the account has."""
    if params.get("accountType") != "UNIFIED":
        raise wrong("accountType only support UNIFIED.")
    coins = {one for one in params.get("coin", "").split(",") if one}
    return {"list": [payloads.wallet_row(exchange, account, coins)]}


def fee_rate(exchange: Exchange, _account: Account, params: Params) -> Any:
    """Rates of an instrument, or of all."""
    meant = _meant(exchange, params, needed=False)
    rows = [
        {"symbol": one.symbol, "baseCoin": "", "makerFeeRate": maker, "takerFeeRate": taker}
        for one in exchange.instruments.values()
        if meant(one)
        for maker, taker in [(payloads.money(one.maker_rate), payloads.money(one.taker_rate))]
    ]
    return {"category": CATEGORY, "list": rows}


def account_info(_exchange: Exchange, account: Account, _params: Params) -> Any:
    """Modes."""
    switch = {"dcpStatus": "ON" if account.switch_s else "OFF", "timeWindow": account.switch_s or 10}
    modes = {"marginMode": "REGULAR_MARGIN", "unifiedMarginStatus": 5, "spotHedgingStatus": "OFF"}
    return modes | switch | {"smpGroup": 0, "isMasterTrader": False, "updatedTime": str(payloads.ONBOARD_MS)}


def dcp_info(_exchange: Exchange, account: Account, _params: Params) -> Any:
    """The dead-man switch."""
    info = {"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": str(account.switch_s)}
    return {"dcpInfos": [info] if account.switch_s else []}


def key_info(_exchange: Exchange, account: Account, _params: Params) -> Any:
    """What the key may do."""
    number, may = account.number + 1, {"ContractTrade": ["Order", "Position"], "Wallet": []}
    key = {"id": str(number), "userID": number, "note": account.name, "apiKey": account.api_key, "uta": 1}
    return key | {
        "readOnly": 0,
        "permissions": may,
        "ips": ["*"],
        "type": 1,
        "expiredAt": "",
        "createdAt": "",
    }
