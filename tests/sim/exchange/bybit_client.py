"""A bare client of the local exchange as Bybit, written from its documentation, and small exchanges for it."""

import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from numpy.typing import NDArray

from sim.exchange.bybit.config import BybitConfig, BybitServer
from sim.exchange.bybit.venue import Bybit
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.config import AccountSection, LatencySection, LimitsSection
from sim.exchange.servers.server import LocalExchange
from tests.sim.exchange.client import ACCOUNTS, KEY, SECRET, SYMBOL, Stream, market

LIMITS = LimitsSection(weight_1m=0, orders_10s=0, orders_1m=0, ping_s=30.0)


def bybit(
    accounts: list[AccountSection] | None = None,
    limits: LimitsSection = LIMITS,
    chaos: ChaosSection | None = None,
    latency: LatencySection | None = None,
    symbols: list[Any] | None = None,
    **server: Any,
) -> BybitConfig:
    """An exchange whose market moves when it is told to, without limits."""
    return BybitConfig(
        symbols=symbols or [SYMBOL],
        accounts=accounts or ACCOUNTS,
        limits=limits,
        chaos=chaos or ChaosSection(),
        latency=latency or LatencySection(),
        exchange=BybitServer(**({"speed": 0.0, "orders_1s": 0, "queries_1s": 0} | server)),
    )


def hex_of(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class BybitClient:
    """Speaks to the exchange as an account."""

    def __init__(self, exchange: LocalExchange, session: aiohttp.ClientSession) -> None:
        self.exchange = exchange
        self.session = session
        self.headers: dict[str, str] = {}
        self.status = 0
        self.requests = 0

    @property
    def now_ms(self) -> int:
        return self.exchange.clock.server_ms()

    def signed(self, payload: str, **other: Any) -> dict[str, str]:
        """Headers of a request."""
        head = {"KEY": KEY, "TIMESTAMP": str(self.now_ms), "RECV-WINDOW": "5000"} | other
        text = f"{head['TIMESTAMP']}{head['KEY']}{head['RECV-WINDOW']}{payload}"
        sign = other.get("SIGN", hex_of(SECRET, text))
        names = {"X-BAPI-API-KEY": head["KEY"], "X-BAPI-SIGN": sign}
        return names | {f"X-BAPI-{name}": str(head[name]) for name in ("TIMESTAMP", "RECV-WINDOW")}

    async def raw(self, method: str, path: str, payload: str, headers: dict[str, str]) -> Any:
        url = f"{self.exchange.rest_url}/v5/{path}" + (f"?{payload}" if method == "GET" and payload else "")
        data = payload if method == "POST" else None
        address = aiohttp.client.URL(url, encoded=True)
        async with self.session.request(method, address, data=data, headers=headers) as reply:
            self.headers, self.status = dict(reply.headers), reply.status
            return await reply.json()

    async def get(self, path: str, **params: Any) -> Any:
        """The whole reply to a signed query of linear contracts."""
        query = "&".join(f"{name}={value}" for name, value in ({"category": "linear"} | params).items())
        return await self.raw("GET", path, query, self.signed(query))

    async def rows(self, path: str, **params: Any) -> list[Any]:
        reply = await self.get(path, **params)
        assert reply["retCode"] == 0, reply
        return reply["result"]["list"]

    async def post(self, path: str, **params: Any) -> Any:
        """The whole reply to a signed request."""
        body = json.dumps({"category": "linear"} | params)
        return await self.raw("POST", path, body, self.signed(body))

    def order(self, **params: Any) -> dict[str, Any]:
        defaults = {
            "symbol": "BTCUSDT",
            "side": "Buy",
            "orderType": "Limit",
            "qty": "0.010",
            "price": "999.0",
        }
        return {name: value for name, value in (defaults | params).items() if value is not None}

    async def place(self, **params: Any) -> str:
        """The id of an order that is acknowledged."""
        reply = await self.post("order/create", **self.order(**params))
        assert reply["retCode"] == 0, reply
        return reply["result"]["orderId"]

    async def refused(self, **params: Any) -> int:
        return (await self.post("order/create", **self.order(**params)))["retCode"]

    async def named(self, order_id: str) -> Any:
        """An order, open or not."""
        (row,) = await self.rows("order/realtime", orderId=order_id)
        return row

    def truth(self) -> dict[str, Any]:
        return self.exchange.truth(KEY)

    async def socket(self, name: str, more: str = "") -> Stream:
        return Stream(await self.session.ws_connect(self.exchange.urls[name] + more, autoping=False))

    async def public(self, *topics: str) -> Stream:
        stream = await self.socket("public")
        said = await stream.ask(op="subscribe", req_id="s", args=list(topics))
        assert said["success"], said
        return stream

    def auth(self, key: str = KEY, secret: str = SECRET, in_ms: int = 10_000) -> dict[str, Any]:
        expires = self.now_ms + in_ms
        return {"op": "auth", "args": [key, expires, hex_of(secret, f"GET/realtime{expires}")]}

    async def private(self, *topics: str, more: str = "") -> Stream:
        stream = await self.socket("private", more)
        assert (await stream.ask(**self.auth()))["success"]
        if topics:
            assert (await stream.ask(op="subscribe", args=list(topics)))["success"]
        return stream

    async def trade(self) -> Stream:
        stream = await self.socket("trade")
        assert (await stream.ask(**self.auth()))["retCode"] == 0
        return stream

    def message(self, op: str, **order: Any) -> dict[str, Any]:
        """A request of the trade socket."""
        self.requests += 1
        header = {"X-BAPI-TIMESTAMP": str(self.now_ms)}
        args = [{"category": "linear"} | order]
        return {"reqId": f"r{self.requests}", "header": header, "op": op, "args": args}


@contextlib.asynccontextmanager
async def running_bybit(
    settings: BybitConfig | None = None, data: NDArray[Any] | None = None
) -> AsyncIterator[tuple[LocalExchange, BybitClient]]:
    """A running exchange and a client of its first account."""
    settings = settings or bybit()
    rows = {one.symbol: market() if data is None else data for one in settings.symbols}
    exchange = LocalExchange(Bybit, settings, rows=rows)
    async with exchange, aiohttp.ClientSession() as session:
        yield exchange, BybitClient(exchange, session)
