"""The control page: what the exchange knows, and the strings to pull. Chaos does not reach it."""

from __future__ import annotations

import html
import ipaddress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from hftd.errors import HftdError, UsageError
from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.limits import LOOPBACK
from sim.exchange.accounts.mishaps import Rule
from sim.exchange.rules.chaos import ChaosSection, storm
from sim.exchange.rules.config import LimitsSection
from sim.exchange.rules.instruments import MONEY_DIGITS, parse, show
from sim.exchange.rules.refusals import RefusedError

if TYPE_CHECKING:
    from sim.exchange.servers.server import LocalExchange

_encode = msgspec.json.Encoder().encode

_HELP: Final = """\
GET  /                            this page
GET  /status                      everything but the accounts' histories
GET  /truth?api_key=KEY           all orders, trades, positions and balances of an account
POST /close?kind=K&tear=1         close connections of a kind, as /status names it; without kind all; planned=1: as at
                                  the end of their life, which some venues tell of before
POST /clock?offset_ms=N           set the exchange's clock off
POST /expire?api_key=KEY          let what its user events are heard by expire; without api_key all
POST /gap?symbol=S&messages=N     leave out depth messages
POST /garble?stream=P&messages=N  messages of streams like P can't be read: prices are none, or torn=1: half is missing
POST /restart?symbol=S             books begin anew, where they begin with a snapshot in the stream; without symbol all
POST /chaos?seed=N                everything at once; seed=off: nothing; or settings as a JSON body
POST /ban?seconds=N               ban 127.0.0.1 (418); /unban lifts all bans
POST /limits?weight_1m=N          other limits: weight_1m, ws_api_weight_1m, orders_10s, orders_1m, bans_after, ban_s
POST /use?weight=N                another client on 127.0.0.1 has used so much
POST /fail?path=P&kind=K          an endpoint fails: P is method and path, or a WebSocket's method, * is anything;
                                  K is error (status, code, msg), html (status), slow (ms), stale or lost; seconds,
                                  times, share and params limit it; or a JSON body. /mend ends all of them
POST /silence?stream=P&seconds=N  streams like P (user: user data) say nothing; /speak ends all of them
POST /change?symbol=S&tick_size=X steps, filters, status and max_orders of an instrument, as [[symbols]] has them
POST /delist?symbol=S             its orders expire, its positions are settled, it is known no more
POST /list?symbol=S&status=X      it is listed, for the first time or again
POST /force?api_key=KEY&symbol=S  the exchange closes a share of a position: why=liquidation, insurance, adl, settlement
POST /order?api_key=KEY&symbol=S  an order by the owner's hand, in the venue's words
POST /cancel?api_key=KEY&symbol=S by the owner's hand: in the venue's words, else all in the instrument
POST /close-position?api_key=KEY&symbol=S   the owner closes a share of a position at the market
POST /fund?api_key=KEY&symbol=S&rate=R   a moment of funding: who is long pays R of the position's value
POST /balance?api_key=KEY&balance=X   what the account has; of asset=A, if it has several
POST /revoke?api_key=KEY           nobody has that key any more
POST /network?up=0                stop listening, drop all connections; up=1: listen again
POST /rewind?market_ns=M&at_ns=N  the market begins again, at its time M and when the system's clock shows N; without
                                  them with its first message, and now. Exchanges that are given the same go together
POST /end                         the market's data ends here: it stands still
"""


class ControlServer:
    """Answers the control page's requests.

    Args:
        exchange: What it controls.
    """

    def __init__(self, exchange: LocalExchange) -> None:
        self._exchange = exchange

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if why := foreign(request, self._exchange.config.exchange.host):
            return _json(403, {"error": why})
        query = dict(request.rel_url.query)
        try:
            if request.method == "GET" and request.path == "/":
                return web.Response(text=self._page(), content_type="text/html")
            if request.method == "GET":
                return _json(200, self._read(request.path, query))
            body = await request.read() if request.can_read_body else b""
            return _json(200, await self._pull(request.path, query, body))
        except (UsageError, KeyError, ValueError, msgspec.ValidationError, msgspec.DecodeError) as error:
            return _json(400, {"error": str(error)})
        except HftdError as error:
            return _json(500, {"error": str(error)})

    def _read(self, path: str, query: dict[str, str]) -> Any:
        if path == "/status":
            return self.status()
        if path == "/truth":
            return self._exchange.truth(self._account(query.get("api_key", "")).api_key)
        raise UsageError(f"there is no {path}")

    async def _pull(self, path: str, query: dict[str, str], body: bytes) -> Any:
        exchange, core = self._exchange, self._exchange.core
        match path:
            case "/close":
                tear, planned = query.get("tear", "0") == "1", query.get("planned", "0") == "1"
                closed = exchange.close_connections(query.get("kind", ""), tear=tear, planned=planned)
                return {"closed": closed}
            case "/clock":
                exchange.clock.offset_ms = int(_needed(query, "offset_ms"))
            case "/expire":
                exchange.expire_listen_keys(query.get("api_key", ""))
            case "/revoke":
                account = self._account(query.get("api_key", ""))
                core.auth.revoke(account)
                exchange.venue.on_revoke(account)
            case "/gap":
                exchange.force_gap(query.get("symbol", ""), int(query.get("messages", "1")))
            case "/garble":
                is_torn = query.get("torn", "0") == "1"
                core.streams.garble(
                    _needed(query, "stream"), int(query.get("messages", "1")), is_torn=is_torn
                )
            case "/restart":
                exchange.restart_feeds(query.get("symbol", ""))
            case "/chaos":
                exchange.set_chaos(_chaos(query, body))
            case "/ban":
                core.limits.ban(query.get("address", LOOPBACK), float(query.get("seconds", "10")))
            case "/unban":
                core.limits.unban()
            case "/limits":
                core.limits.settings = _changed(core.limits.settings, query)
            case "/use":
                core.limits.use_up(int(_needed(query, "weight")), query.get("address", LOOPBACK))
            case "/fail":
                core.outages.add(
                    msgspec.json.decode(body, type=Rule)
                    if body
                    else msgspec.convert(query, Rule, strict=False)
                )
            case "/mend":
                core.outages.mend()
            case "/silence":
                core.streams.silence(_needed(query, "stream"), float(query.get("seconds", "10")))
            case "/speak":
                core.streams.speak()
            case "/network":
                await exchange.disconnect()
                if query.get("up", "1") == "1":
                    await exchange.connect()
            case "/rewind":
                times = (query.get(name) for name in ("market_ns", "at_ns"))
                core.rewind(*(int(time) if time else None for time in times))
            case "/end":
                core.market.end()
            case _:
                return self._trade(path, query)
        return {"done": path}

    def _trade(self, path: str, query: dict[str, str]) -> Any:
        """What changes instruments and accounts; the market goes on to now first."""
        core = self._exchange.core
        core.pump()
        symbol = query.pop("symbol", "")
        match path:
            case "/change":
                return self._exchange.venue.describe_instrument(core.change(symbol, query))
            case "/delist":
                core.delist(symbol)
            case "/list":
                core.list_again(symbol, query.get("status", ""))
            case "/force" | "/order" | "/cancel" | "/close-position" | "/balance" | "/fund":
                return self._act(path, self._account(query.pop("api_key", "")), symbol, query)
            case _:
                raise UsageError(f"there is no {path}")
        return {"done": path}

    def _act(self, path: str, account: Account, symbol: str, query: dict[str, str]) -> Any:
        core, venue = self._exchange.core, self._exchange.venue
        share = float(query.get("share", "1"))
        try:
            match path:
                case "/order":
                    order = venue.place(account, {"symbol": symbol} | query, counts=False)
                    return venue.describe_order(order)
                case "/cancel" if not query:
                    return {"cancelled": core.matching.cancel_all(account, symbol)}
                case "/cancel":
                    return venue.describe_order(venue.cancel(account, {"symbol": symbol} | query))
                case "/close-position":
                    order = core.mishaps.close_by_hand(account, core.instrument(symbol), share)
                    return venue.describe_order(order) if order is not None else {"closed": 0}
                case "/fund":
                    return self._fund(account, symbol, _needed(query, "rate"))
                case "/balance":
                    asset, text = query.get("asset", account.main.asset), _needed(query, "balance")
                    if asset not in account.wallets:
                        raise UsageError(f"there is no {asset!r}; there are {', '.join(account.wallets)}")
                    try:
                        balance = parse(text, MONEY_DIGITS)
                    except ValueError:
                        raise UsageError(
                            f"`balance` must be a number of at most {MONEY_DIGITS} decimals, is {text!r}"
                        ) from None
                    wallet, was = account.wallets[asset], account.wallets[asset].balance
                    wallet.balance = balance
                    venue.on_balance(account, wallet, wallet.balance - was)
                    return {"balance": wallet.balance}
        except RefusedError as refused:
            code, msg = venue.refusal(refused)
            raise UsageError(f"{code}: {msg}") from None
        why = query.get("why", "liquidation")
        if why not in venue.forced:
            raise UsageError(f"there is no {why!r}; there are {', '.join(venue.forced)}")
        return {"closed": core.matching.force_close(account, core.instrument(symbol), why, share)}

    def _fund(self, account: Account, symbol: str, text: str) -> Any:
        core = self._exchange.core
        try:
            rate = Decimal(text)
        except ArithmeticError:
            rate = Decimal("nan")
        if not (rate.is_finite() and abs(rate) < 1):
            raise UsageError(f"`rate` must be a number between -1 and 1, such as 0.0001, is {text!r}")
        instrument = core.instrument(symbol)
        if instrument.is_spot:
            raise UsageError("there is no funding on a spot market")
        return {
            "paid": [show(-one.amount, MONEY_DIGITS) for one in core.mishaps.fund(account, instrument, rate)]
        }

    def _account(self, api_key: str) -> Account:
        for account in self._exchange.core.accounts:
            if account.api_key == api_key:
                return account
        names = ", ".join(one.name for one in self._exchange.core.accounts)
        raise UsageError(
            f"there is no account with the API key {api_key!r} (`api_key=`); the accounts are {names}, their keys "
            "stand in the exchange's configuration"
        )

    def status(self) -> dict[str, Any]:
        """Everything but the accounts' histories."""
        exchange, core = self._exchange, self._exchange.core
        return {
            "rest_url": exchange.rest_url,
            "stream_url": exchange.stream_url,
            **{f"{name}_url": exchange.urls[name] for name in exchange.venue.sockets},
            "server_ms": exchange.clock.server_ms(),
            "clock_offset_ms": exchange.clock.offset_ms,
            "market_ns": core.market.now_ns,
            # By how much the exchange's stamps are later than the market's times; exact where the speed is 1.
            "market_shift_ms": exchange.clock.true_ms(core.market.now_ns) - core.market.now_ns // 1_000_000,
            "market_is_over": core.market.is_over,
            "symbols": [self._symbol(number) for number in range(len(core.feeds))],
            "accounts": [
                {
                    "name": account.name,
                    "balance": account.main.balance,
                    "balances": {one.asset: one.balance for one in account.wallets.values()},
                    "orders": len(account.orders),
                    "trades": len(account.trades),
                    "open": [
                        {
                            "client_id": order.client_id,
                            "symbol": order.instrument.symbol,
                            "side": order.side,
                            "price": order.instrument.price(order.tick),
                            "qty": order.instrument.qty(order.lots),
                            "executed": order.instrument.qty(order.executed_lots),
                            "status": order.status,
                        }
                        for order in account.open_orders.values()
                    ],
                    "positions": {
                        f"{symbol} {side}": position.instrument.qty(position.lots)
                        for (symbol, side), position in account.positions.items()
                    },
                    "counters": account.counters,
                }
                for account in core.accounts
            ],
            "connections": [connection.describe() for connection in exchange.connections.values()],
            "streams": core.streams.describe(),
            "chaos": exchange.chaos.counters,
            "outages": [msgspec.to_builtins(rule) for rule in core.outages.rules],
        }

    def _symbol(self, number: int) -> dict[str, Any]:
        feed = self._exchange.core.feeds[number]
        bid, ask = feed.best()
        i = feed.instrument
        return {
            "symbol": i.symbol,
            "status": i.status if i.is_listed else "not listed",
            "tick_size": i.section.tick_size,
            "lot_size": i.section.lot_size,
            "bid": i.price(bid[0]),
            "bid_qty": i.qty(bid[1]),
            "ask": i.price(ask[0]),
            "ask_qty": i.qty(ask[1]),
            "last_id": feed.last_id,
        }

    def _page(self) -> str:
        status = self.status()
        parts = [
            "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=2><title>hftd exchange</title>"
        ]
        parts.append(
            "<style>body{font:14px monospace;margin:2em}td,th{padding:2px 12px;text-align:left}</style>"
        )
        parts.append(f"<h1>hftd exchange</h1><p>{html.escape(status['rest_url'])}</p>")
        parts += [f"<h2>{name}</h2>{_table(status[name])}" for name in ("symbols", "accounts", "connections")]
        parts += [f"<h2>{name}</h2>{_table([status[name]])}" for name in ("streams", "chaos") if status[name]]
        parts.append(f"<h2>help</h2><pre>{html.escape(_HELP)}</pre>")
        return "".join(parts)


def _changed(limits: LimitsSection, query: dict[str, str]) -> LimitsSection:
    return msgspec.convert(msgspec.to_builtins(limits) | query, LimitsSection, strict=False)


def foreign(request: web.BaseRequest, host: str) -> str:
    """Why a request is not one for this page by whoever runs it; empty if it is.

    A web page of somebody else can have a browser on this machine send requests here: to a name of its own that leads
    to this address (the Host says so), or straight to this address (the Origin says so). Programs send no Origin.

    Args:
        request: What came.
        host: The address that was configured.
    """
    named = request.headers.get("Host", "")
    # Ports in it are not compared: the name is what a foreign page can't choose.
    name = named.rpartition("]")[0].strip("[") if named.startswith("[") else named.partition(":")[0]
    at = request.get_extra_info("sockname")
    own = {"localhost", host.strip("[]").lower(), str(at[0]) if at else ""} - {"", "0.0.0.0", "::"}  # noqa: S104
    if name.lower() not in own and not _is_loopback(name):
        return f"this page is not at {named[:100]!r}: name the address that `hftd exchange` has said"
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{named}":
        return f"a page of {origin[:100]!r} has no business here"
    if (
        request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        and request.method != "GET"
    ):
        return "another page has no business here"
    return ""


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _needed(query: dict[str, str], name: str) -> str:
    if name not in query:
        raise UsageError(f"it needs `{name}=`")
    return query[name]


def _chaos(query: dict[str, str], body: bytes) -> ChaosSection:
    if body:
        return msgspec.json.decode(body, type=ChaosSection)
    seed = _needed(query, "seed")
    return ChaosSection() if seed == "off" else storm(int(seed))


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "<p>none</p>"
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{lines}</table>"


def _json(status: int, content: Any) -> web.Response:
    return web.Response(body=_encode(content), status=status, content_type="application/json")
