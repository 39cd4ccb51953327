"""A venue that does exactly what a test tells it to: public, private and trade sockets, and REST, on loopback."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from daemon.connector.limiter import Limiter
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import Submit
from daemon.orders.ids.client_ids import ClientIds
from daemon.session.facts import Handlers
from daemon.session.trading.account import TradingConfig
from daemon.session.trading.sending import SendLimits
from daemon.venues.bybit.config import BybitConfig
from daemon.venues.bybit.facts import HEARTBEAT, LIMITS
from daemon.venues.bybit.session import trading_of
from daemon.venues.bybit.signing import HmacSigner
from hftd.clock import wall_ns
from hftd.constants import BUY, GTX, LIMIT

API_KEY, SECRET = "testkeytestkey", "a secret that nobody has"
IDS = ClientIds("mm", 7, 123456)


def place(request, client_id="", tif=GTX, symbol="BTCUSDT"):
    return Submit(request, client_id or IDS.make("bot", request), symbol, BUY, LIMIT, tif, 431870, 100)


def row(args, status="New", **changes):
    """An order of the order topic, from the arguments that it was placed with."""
    return {
        "category": "linear",
        "symbol": args["symbol"],
        "orderId": f"id-{args['orderLinkId']}",
        "orderLinkId": args["orderLinkId"],
        "side": args.get("side", "Buy"),
        "orderStatus": status,
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "timeInForce": args.get("timeInForce", "PostOnly"),
        "price": args.get("price", "43187.0"),
        "qty": args.get("qty", "0.100"),
        "cumExecQty": "0",
        "orderType": "Limit",
        "updatedTime": str(wall_ns() // 10**6),
    } | changes


def fill(args, exec_id="e1", qty="0.100", **changes):
    """A fill of the execution topic."""
    return {
        "category": "linear",
        "symbol": args["symbol"],
        "execId": exec_id,
        "execType": "Trade",
        "execPrice": args.get("price", "43187.0"),
        "execQty": qty,
        "execFee": "0.02",
        "feeCurrency": "USDT",
        "execTime": str(wall_ns() // 10**6),
        "orderId": f"id-{args['orderLinkId']}",
        "orderLinkId": args["orderLinkId"],
        "side": args.get("side", "Buy"),
        "isMaker": True,
        "extraFees": "",
    } | changes


def symbol_row(symbol="BTCUSDT", tick="0.10", lot="0.001", **changes):
    """An instrument."""
    return {
        "symbol": symbol,
        "status": "Trading",
        "baseCoin": symbol[:3],
        "quoteCoin": "USDT",
        "priceFilter": {"tickSize": tick},
        "lotSizeFilter": {"qtyStep": lot, "minOrderQty": lot, "maxOrderQty": "100", "minNotionalValue": "5"},
    } | changes


class Venue:
    """The server. `answers` maps an op to what answers it; `rest` a path to what it answers."""

    def __init__(self):
        self.requests = []  # (op or path, arguments) of orders
        self.asked = []  # (path, parameters) of all REST requests
        self.publics, self.privates, self.trades = [], [], []
        self.pings = []
        self.subscribed = []  # (kind of the socket, op, topics)
        self.answers = {}
        self.rest = {}
        self.bad_topics = set()
        self.after_subscribe = None
        self.is_login_good = True
        self.is_mute = False
        self.lists = {}

    def app(self):
        app = web.Application()
        app.router.add_get("/v5/public/linear", self._public)
        app.router.add_get("/v5/private", self._private)
        app.router.add_get("/v5/trade", self._trade)
        app.router.add_route("*", "/v5/{name:.*}", self._rest)
        return app

    async def _public(self, request):
        return await self._talk(request, self.publics, "public")

    async def _private(self, request):
        return await self._talk(request, self.privates, "private")

    async def _talk(self, request, sockets, kind):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sockets.append(socket)
        async for message in socket:
            asked = json.loads(message.data)
            op, number = asked["op"], asked.get("req_id", "")
            if op == "ping":
                self.pings.append(kind)
                if not self.is_mute:
                    await socket.send_json(
                        {"success": True, "ret_msg": "pong", "conn_id": "c", "req_id": number, "op": "ping"}
                    )
                continue
            if op == "auth":
                is_good = self.is_login_good
                await socket.send_json({"success": is_good, "ret_msg": "" if is_good else "no", "op": "auth"})
                continue
            self.subscribed.append((kind, op, asked["args"]))
            bad = self.bad_topics & set(asked["args"])
            text = f"error:handler not found,topic:{sorted(bad)[0]}" if bad else ""
            await socket.send_json({"success": not bad, "ret_msg": text, "req_id": number, "op": op})
            if self.after_subscribe is not None and op == "subscribe" and not bad:
                await self.after_subscribe(socket, asked["args"])
        return socket

    async def _trade(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.trades.append(socket)
        async for message in socket:
            asked = json.loads(message.data)
            if asked["op"] == "auth":
                code = 0 if self.is_login_good else 10004
                await socket.send_json({"retCode": code, "retMsg": "", "op": "auth", "connId": "c"})
                continue
            if asked["op"] == "ping":
                self.pings.append("trade")
                await socket.send_json(
                    {"retCode": 0, "retMsg": "OK", "op": "pong", "data": [], "connId": "c"}
                )
                continue
            args = asked["args"][0]
            self.requests.append((asked["op"], args))
            answer = self.answers.get(asked["op"], self.acknowledge)
            result = answer(asked)
            if asyncio.iscoroutine(result):
                result = await result
            if result is not None and not socket.closed:
                await socket.send_json(result)
        return socket

    @staticmethod
    def acknowledge(asked, code=0, words="OK", **header):
        args = asked["args"][0]
        names = {"orderId": f"id-{args.get('orderLinkId')}", "orderLinkId": args.get("orderLinkId", "")}
        return {
            "reqId": asked["reqId"],
            "retCode": code,
            "retMsg": words,
            "op": asked["op"],
            "data": {} if code else names,
            "header": header,
            "connId": "c",
        }

    async def _rest(self, request):
        path = f"/v5/{request.match_info['name']}"
        params = json.loads(await request.read()) if request.method == "POST" else dict(request.query)
        self.asked.append((path, params))
        if path.startswith("/v5/order/") and ("orderLinkId" in params or "orderId" in params):
            self.requests.append((path, params))
        answer = self.rest.get(path)
        if answer is not None:
            result = answer(params)
            if asyncio.iscoroutine(result):
                result = await result
            if isinstance(result, web.StreamResponse):
                return result
            if "retCode" in result:
                return web.json_response(result)
            return web.json_response({"retCode": 0, "retMsg": "OK", "result": result, "time": self.now_ms})
        if path == "/v5/market/instruments-info":
            result = {"list": [symbol_row(), symbol_row("ETHUSDT", "0.01", "0.01")], "nextPageCursor": ""}
        elif path == "/v5/user/query-api":
            result = {"readOnly": 0, "permissions": {"ContractTrade": ["Order", "Position"]}}
        elif path in ("/v5/order/create", "/v5/order/amend", "/v5/order/cancel"):
            result = {"orderId": f"id-{params.get('orderLinkId')}", "orderLinkId": params.get("orderLinkId")}
        else:
            result = {"list": self.lists.get(path, []), "nextPageCursor": ""}
        return web.json_response({"retCode": 0, "retMsg": "OK", "result": result, "time": self.now_ms})

    @property
    def now_ms(self):
        return wall_ns() // 10**6

    async def tell(self, topic, *items):
        """Send an event on all private sockets."""
        for socket in self.privates:
            if not socket.closed:
                await socket.send_json({"topic": topic, "creationTime": self.now_ms, "data": list(items)})


class Core:
    """What order management would be told."""

    def __init__(self):
        self.outcomes, self.reports, self.holdings, self.balances, self.connections = [], [], [], [], []
        self.funds = []

    def handlers(self):
        return Handlers(
            self.outcomes.append,
            self.reports.append,
            self.holdings.append,
            self.connections.append,
            self.balances.append,
            self.funds.append,
        )

    def outcome(self, request):
        found = [one for one in self.outcomes if one.request == request]
        assert len(found) <= 1, "a command has one outcome"
        return found[0] if found else None


async def until(condition, what="it", seconds=10.0):
    """Wait for a condition; that it comes true is what is tested, not when."""
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} did not happen")


@asynccontextmanager
async def served(venue):
    """The venue on a port; gives the configuration that leads there."""
    runner = web.AppRunner(venue.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield {"stream_url": f"ws://{host}", "api_url": f"http://{host}"}
    finally:
        await runner.cleanup()


@asynccontextmanager
async def trading_with(venue, *, keys=(), heartbeat=HEARTBEAT, is_healthy=lambda: True, wait=True, **config):
    """A trading side that is connected to a venue."""
    async with served(venue) as hosts, aiohttp.ClientSession() as session:
        where = BybitConfig(**{"dcp_window_s": 0, "state_wait_s": 0.3, **hosts, **dict(keys)})
        core = Core()
        settings = {
            "backoff_s": 0.01,
            "backoff_max_s": 0.05,
            "send": SendLimits(reply_timeout_s=0.5),
        } | config
        trading = trading_of(
            TradingConfig(where.orders_url(), order_prefix="mm", countdown_s=0.0, **settings),
            where,
            HmacSigner(API_KEY, SECRET),
            session,
            core.handlers(),
            limiter=Limiter(LIMITS),
            offset=ClockOffset(),
            is_healthy=is_healthy,
            heartbeat=heartbeat,
        )
        task = asyncio.create_task(trading.run())
        try:
            if wait:
                await until(lambda: core.connections == [True] or task.done(), "the connection")
                if settings.get("order_path") != "rest":
                    await until(lambda: trading._sender.socket is not None or task.done(), "the order socket")
            trading.task = task
            yield trading, core
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
