"""A bare client of the exchange, and small exchanges for it."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import aiohttp
from msgspec.structs import replace
from numpy.typing import NDArray

from sim.exchange.binancecoinm.venue import BinanceCoinm, CoinmConfig, CoinmServer, CoinmSymbol
from sim.exchange.binancefutures.venue import BinanceFutures, BinanceServer
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.config import (
    AccountSection,
    ExchangeConfig,
    LatencySection,
    LimitsSection,
    SymbolSection,
)
from sim.exchange.servers.server import LocalExchange
from tests.sim.engine.market import START, rows

KEY, SECRET = "key-one", "secret-one"
OTHER_KEY, OTHER_SECRET = "key-two", "secret-two"
MS = 1_000_000
SYMBOL = SymbolSection(
    symbol="BTCUSDT",
    tick_size="0.10",
    lot_size="0.001",
    maker_fee="0.0002",
    taker_fee="0.0005",
    min_notional="5",
)
ACCOUNTS = [
    AccountSection(name="one", api_key=KEY, secret=SECRET, balance="100000", leverage=5),
    AccountSection(name="two", api_key=OTHER_KEY, secret=OTHER_SECRET, balance="100000", leverage=5),
]
PUBLIC = "/public/stream?streams="
CONTRACT = CoinmSymbol(maker_fee="0.0002", taker_fee="0.0005", min_price="100")


def book(
    mid: float = 1000.0, levels: int = 20, qty: float = 1.0, ts: int = 0
) -> list[tuple[str, int, float, float]]:
    """Levels of a tick each, from half a unit away on both sides of a price."""
    return [
        (side, ts, round(mid + sign * (0.5 + 0.1 * away), 1), qty)
        for away in range(levels)
        for side, sign in (("bid", -1), ("ask", 1))
    ]


def market(*lines: tuple[str, int, float, float]) -> NDArray[Any]:
    """A book around 1000 and what comes after it: (kind, milliseconds, price, quantity)."""
    return rows(*book(), *((kind, ts * MS, px, qty) for kind, ts, px, qty in lines))


def config(
    symbol: SymbolSection = SYMBOL,
    accounts: list[AccountSection] | None = None,
    limits: LimitsSection | None = None,
    chaos: ChaosSection | None = None,
    latency: LatencySection | None = None,
    **server: Any,
) -> ExchangeConfig:
    """An exchange whose market moves when it is told to."""
    return ExchangeConfig(
        symbols=[symbol],
        accounts=accounts or ACCOUNTS,
        limits=limits or LimitsSection(stream_messages_1s=0),
        chaos=chaos or ChaosSection(inside_snapshot=0.0),
        latency=latency or LatencySection(),
        exchange=BinanceServer(**({"speed": 0.0} | server)),
    )


def coinm(chaos: ChaosSection | None = None, **server: Any) -> CoinmConfig:
    """The same of inverse contracts."""
    accounts = [replace(one, balance="10") for one in ACCOUNTS]
    return CoinmConfig(
        symbols=[CONTRACT],
        accounts=accounts,
        limits=LimitsSection(stream_messages_1s=0),
        chaos=chaos or ChaosSection(inside_snapshot=0.0),
        exchange=CoinmServer(**({"speed": 0.0} | server)),
    )


class Client:
    """Speaks to the exchange as an account."""

    def __init__(
        self, exchange: LocalExchange, session: aiohttp.ClientSession, key: str = KEY, secret: str = SECRET
    ) -> None:
        self.exchange = exchange
        self.session = session
        self.key, self.secret = key, secret
        self.headers: dict[str, str] = {}
        self.prefix = getattr(exchange.core.venue, "prefix", "/fapi")
        self.symbol = exchange.core.config.symbols[0].symbol

    def sign(self, params: dict[str, Any]) -> str:
        query = urlencode({"timestamp": self.exchange.clock.server_ms()} | params)
        return (
            f"{query}&signature={hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()}"
        )

    async def raw(
        self, method: str, path: str, query: str, body: str = "", key: str | None = None
    ) -> tuple[int, Any]:
        headers = {"X-MBX-APIKEY": self.key if key is None else key}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        url = aiohttp.client.URL(f"{self.exchange.rest_url}{path}?{query}", encoded=True)
        async with self.session.request(method, url, data=body or None, headers=headers) as reply:
            self.headers = dict(reply.headers)
            return reply.status, await reply.json()

    async def call(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        return await self.raw(method, f"{self.prefix}/{path}", self.sign(params))

    async def good(self, method: str, path: str, **params: Any) -> Any:
        status, content = await self.call(method, path, **params)
        assert status == 200, content
        return content

    async def code(self, method: str, path: str, **params: Any) -> int:
        status, content = await self.call(method, path, **params)
        assert status != 200, content
        return content["code"]

    def order(self, **params: Any) -> dict[str, Any]:
        defaults = {
            "symbol": self.symbol,
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.010" if self.prefix == "/fapi" else "10",
        }
        merged = defaults | {"price": "999.0"} | params
        return {name: value for name, value in merged.items() if value is not None}

    async def place(self, **params: Any) -> Any:
        return await self.good("POST", "v1/order", **self.order(**params))

    async def refused(self, **params: Any) -> int:
        return await self.code("POST", "v1/order", **self.order(**params))

    async def cancel(self, client_id: str) -> Any:
        return await self.good("DELETE", "v1/order", symbol=self.symbol, origClientOrderId=client_id)

    async def modify(self, client_id: str, price: str, quantity: str, **params: Any) -> Any:
        return await self.good("PUT", "v1/order", **self.modified(client_id, price, quantity, **params))

    def modified(self, client_id: str, price: str, quantity: str, **params: Any) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "side": "BUY",
            "origClientOrderId": client_id,
            "price": price,
            "quantity": quantity,
        } | params

    def truth(self) -> dict[str, Any]:
        return self.exchange.truth(self.key)

    async def stream(self, path: str) -> "Stream":
        return Stream(await self.session.ws_connect(self.exchange.stream_url + path, autoping=False))

    async def user_stream(self, more: str = "") -> "Stream":
        key = (await self.good("POST", "v1/listenKey"))["listenKey"]
        return await self.stream(f"/private/ws?listenKey={key}{more}")

    async def ws_api(self) -> "Stream":
        return Stream(await self.session.ws_connect(self.exchange.urls["ws_api"], autoping=False))

    def ws_params(self, **params: Any) -> dict[str, Any]:
        """Parameters of a signed request of the WebSocket API."""
        params |= {"apiKey": self.key, "timestamp": self.exchange.clock.server_ms()}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        return params | {
            "signature": hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        }


class Stream:
    """A WebSocket connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self) -> Any:
        """The next message; None at the end."""
        message = await asyncio.wait_for(self.socket.receive(), 10.0)
        return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else None

    async def take(self, count: int) -> list[Any]:
        return [await self.next() for _ in range(count)]

    async def all(self, quiet_s: float = 0.1) -> list[Any]:
        """All until nothing comes for a while."""
        found = []
        with contextlib.suppress(TimeoutError):
            while True:
                message = await asyncio.wait_for(self.socket.receive(), quiet_s)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return found
                found.append(json.loads(message.data))
        return found

    async def ask(self, **message: Any) -> Any:
        await self.socket.send_json(message)
        return await self.next()


@contextlib.asynccontextmanager
async def running(
    settings: ExchangeConfig | None = None, data: NDArray[Any] | None = None
) -> AsyncIterator[tuple[LocalExchange, Client]]:
    """A running exchange and a client of its first account."""
    settings = settings or config()
    venue = BinanceCoinm if isinstance(settings, CoinmConfig) else BinanceFutures
    symbol = settings.symbols[0].symbol
    exchange = LocalExchange(venue, settings, rows={symbol: market() if data is None else data})
    async with exchange, aiohttp.ClientSession() as session:
        yield exchange, Client(exchange, session)


def at(milliseconds: int) -> int:
    """A moment of the market."""
    return START + milliseconds * MS
