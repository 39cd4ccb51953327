"""A venue that does exactly what a test tells it to: for fates that an exchange only rarely has in store."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from daemon.connector.limiter import Limiter, RateLimit
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import Submit
from daemon.session.facts import Handlers
from daemon.session.trading.account import TradingConfig
from daemon.session.trading.sending import SendLimits
from daemon.venues.binance.signing import HmacSigner
from daemon.venues.binancefutures.session import trading_of
from hftd.clock import wall_ns
from hftd.constants import BUY, GTX, LIMIT

from .conftest import API_KEY, SECRET
from .test_account import INFO
from .test_orders import ORDER

SECOND_NS = 10**9


def place(request, client_id="a1", symbol="BTCUSDT"):
    return Submit(request, client_id, symbol, BUY, LIMIT, GTX, 431870, 100)


def order_of(params, **changes):
    name = params.get("newClientOrderId") or params.get("origClientOrderId")
    return ORDER | {"clientOrderId": name, "symbol": params["symbol"]} | changes


class Venue:
    """The server. `answers` maps a method of the WebSocket API, or "POST order", to what answers it."""

    prefix = "/fapi"
    user_path = "/private"
    info = INFO
    trading_of = staticmethod(trading_of)

    def __init__(self):
        self.requests = []  # (method, params), of orders in the order of their arrival
        self.sockets = []
        self.users = []
        self.user_keys = []
        self.listen_keys = 0
        self.extensions = []
        self.countdowns = []
        self.answers = {}
        self.rest_answers = {}
        self.clock_offset_ms = 0
        self.times_asked = 0
        self.is_ws_refused = False
        self.is_hedge = False
        self.logon = (200, {})
        self.arrived = asyncio.Event()

    def app(self):
        app = web.Application()
        app.router.add_get("/ws-api", self._ws_api)
        app.router.add_get(f"{self.user_path}/ws/{{key}}", self._user)
        app.router.add_route("*", f"{self.prefix}/{{version}}/{{name:.*}}", self._rest)
        return app

    async def _ws_api(self, request):
        if self.is_ws_refused:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            asked = json.loads(message.data)
            method, params = asked["method"], asked["params"]
            if method == "session.logon":
                status, body = self.logon
                await socket.send_json({"id": asked["id"], "status": status} | body)
                continue
            self._note(method, params)
            answer = self.answers.get(method, self.acknowledge)
            result = answer(asked)
            if asyncio.iscoroutine(result):
                result = await result
            if result is not None and not socket.closed:
                await socket.send_str(result if isinstance(result, str) else json.dumps(result))
        return socket

    def _note(self, method, params):
        self.requests.append((method, params))
        self.arrived.set()

    @staticmethod
    def acknowledge(asked):
        status = "CANCELED" if asked["method"] == "order.cancel" else "NEW"
        return {
            "id": asked["id"],
            "status": 200,
            "result": order_of(asked["params"], status=status),
            "rateLimits": [],
        }

    async def _user(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.users.append(socket)
        self.user_keys.append(request.match_info["key"])
        async for _ in socket:
            pass
        return socket

    async def _rest(self, request):
        name, params = request.match_info["name"], dict(request.query)
        answer = self.rest_answers.get(f"{request.method} {name}")
        if name == "order":
            self._note(f"{request.method} order", params)
        if answer is not None:
            result = answer(request)
            if asyncio.iscoroutine(result):
                result = await result
            if isinstance(result, web.StreamResponse):
                return result
            if result is not None:
                return web.json_response(result)
        if name == "time":
            self.times_asked += 1
            return web.json_response({"serverTime": wall_ns() // 10**6 + self.clock_offset_ms})
        if name == "exchangeInfo":
            return web.json_response(self.info)
        if name == "positionSide/dual":
            return web.json_response({"dualSidePosition": self.is_hedge})
        if name == "listenKey":
            if request.method == "POST":
                self.listen_keys += 1
                return web.json_response({"listenKey": f"listenkey{self.listen_keys}"})
            self.extensions.append(wall_ns())
            return web.json_response({})
        if name == "countdownCancelAll":
            self.countdowns.append((params["symbol"], int(params["countdownTime"])))
            return web.json_response(params)
        if name == "order":
            status = {"DELETE": "CANCELED"}.get(request.method, "NEW")
            return web.json_response(
                order_of(params, status=status),
                headers={"X-MBX-ORDER-COUNT-10S": "5", "X-MBX-USED-WEIGHT-1M": "11"},
            )
        return web.json_response([])

    async def tell(self, event):
        """Send a user event on all open connections."""
        for user in self.users:
            if not user.closed:
                await user.send_str(event if isinstance(event, str) else json.dumps(event))


class Core:
    """What order management would be told."""

    def __init__(self):
        self.outcomes, self.reports, self.holdings, self.balances, self.connections = [], [], [], [], []

    def handlers(self):
        return Handlers(
            self.outcomes.append,
            self.reports.append,
            self.holdings.append,
            self.connections.append,
            self.balances.append,
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
async def trading_with(
    venue, *, signer=None, limits=(), clock=None, is_healthy=lambda: True, wait=True, **config
):
    """A trading side that is connected to a venue."""
    runner = web.AppRunner(venue.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host = f"127.0.0.1:{runner.addresses[0][1]}"
    core = Core()
    settings = {"backoff_s": 0.01, "backoff_max_s": 0.05, "send": SendLimits(reply_timeout_s=0.5)} | config
    async with aiohttp.ClientSession() as session:
        trading = venue.trading_of(
            TradingConfig(f"ws://{host}/ws-api", **settings),
            f"http://{host}",
            f"ws://{host}{venue.user_path}",
            signer or HmacSigner(API_KEY, SECRET),
            session,
            core.handlers(),
            limiter=Limiter([RateLimit(*one) for one in limits]),
            offset=clock or ClockOffset(),
            is_healthy=is_healthy,
        )
        task = asyncio.create_task(trading.run())
        try:
            if wait:
                await until(lambda: core.connections == [True] or task.done(), "the connection")
                if settings.get("order_path") != "rest" and not venue.is_ws_refused:
                    await until(lambda: venue.sockets, "the order socket")
                    await until(lambda: trading._sender.socket is not None, "the order socket")
            yield trading, core
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await runner.cleanup()
