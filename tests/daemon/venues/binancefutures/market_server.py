"""A market data server on loopback for tests: real sockets, and a script that says what goes over them."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

from aiohttp import WSCloseCode, WSMsgType, web


class MarketServer:
    """Streams and snapshots of Binance's futures, as a test has them.

    Attributes:
        snapshots: What `GET depth` answers, one after the other, the last one again and again; bytes, or an
            HTTP status with headers.
        on_subscribe: Called with the streams of each SUBSCRIBE before it is acknowledged.
        book_of: What it answers for a symbol, instead of `snapshots`.
        hanging: Symbols for which it answers nothing.
        refused: Streams that are refused, with all that are subscribed in the same message.
        is_mute: Subscriptions are acknowledged, and that is all.
        subscribed: All streams that were subscribed on the present connection.
        controls: All control messages on all connections.
        requests: Paths and queries of REST requests.
    """

    def __init__(self, routed: bool = True, prefix: str = "/fapi", version: str = "v1") -> None:
        self.snapshots: list[bytes | tuple[int, dict[str, str]]] = []
        self.on_subscribe: Callable[[list[str]], None] = lambda _streams: None
        self.is_mute = False
        self.book_of: dict[str, Callable[[], bytes]] = {}
        self.hanging: set[str] = set()
        self.refused: set[str] = set()
        self.subscribed: set[str] = set()
        self.controls: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.connections = 0
        self.pongs: list[bytes] = []
        self.socket: web.WebSocketResponse | None = None
        self.changed = asyncio.Condition()
        self._routed = routed
        self._prefix = prefix
        self._version = version
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        path = "/public/stream" if self._routed else "/stream"
        app.router.add_get(path, self._stream)
        app.router.add_get(f"{self._prefix}/{self._version}/depth", self._depth)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self.socket is not None:
            await self.socket.close()
        await self._runner.cleanup()

    @property
    def keys(self) -> dict[str, Any]:
        """The configuration that leads here."""
        keys = {"stream_url": f"ws://127.0.0.1:{self.port}/ws", "api_url": f"http://127.0.0.1:{self.port}"}
        if self._prefix == "/fapi":
            return {**keys, "routes": "2026" if self._routed else "old"}
        return {**keys, "public_path": "/public"} if self._routed else keys

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False, max_msg_size=0)
        await socket.prepare(request)
        self.connections += 1
        self.socket, self.subscribed = socket, set()
        await self._notify()
        async for message in socket:
            if message.type is WSMsgType.PONG:
                self.pongs.append(bytes(message.data))
            elif message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                await self._control(socket, json.loads(message.data))
            await self._notify()
        return socket

    async def _control(self, socket: web.WebSocketResponse, control: dict[str, Any]) -> None:
        self.controls.append(control)
        if control["method"] == "SUBSCRIBE" and self.refused & set(control["params"]):
            await socket.send_str(json.dumps({"error": {"code": 2, "msg": "Invalid"}, "id": control["id"]}))
            return
        if control["method"] == "SUBSCRIBE":
            self.on_subscribe(control["params"])
            self.subscribed |= set(control["params"])
        else:
            self.subscribed -= set(control["params"])
        await socket.send_str(json.dumps({"result": None, "id": control["id"]}))

    async def _depth(self, request: web.Request) -> web.Response:
        self.requests.append(str(request.rel_url))
        symbol = request.query["symbol"]
        if symbol in self.hanging:
            await asyncio.sleep(30.0)
        if (book_of := self.book_of.get(symbol)) is not None:
            await self._notify()
            return web.Response(body=book_of(), content_type="application/json")
        answer = self.snapshots.pop(0) if len(self.snapshots) > 1 else self.snapshots[0]
        await self._notify()
        if isinstance(answer, tuple):
            return web.Response(status=answer[0], headers=answer[1], text='{"code":-1003,"msg":"Too many"}')
        return web.Response(
            body=answer, content_type="application/json", headers={"X-MBX-USED-WEIGHT-1M": "20"}
        )

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds."""
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(condition), 10.0)

    async def send(self, *messages: bytes) -> None:
        """Send messages to the client."""
        assert self.socket is not None
        if not self.is_mute:
            for message in messages:
                await self.socket.send_str(message.decode())

    async def drop(self) -> None:
        """End the connection without a word of why."""
        assert self.socket is not None
        socket, self.socket = self.socket, None
        await socket.close(code=WSCloseCode.GOING_AWAY)


def wrapped(stream: str, event: dict[str, Any]) -> bytes:
    """An event of a combined stream."""
    return json.dumps({"stream": stream, "data": event}, separators=(",", ":")).encode()


def depth(u: int, pu: int, bids: list[Any] = [], asks: list[Any] = [], **more: Any) -> bytes:  # noqa: B006
    """A diff of BTCUSDT."""
    event = {"e": "depthUpdate", "E": 1000 + u, "T": 1000 + u, "s": "BTCUSDT", "U": pu + 1, "u": u, "pu": pu}
    return wrapped("btcusdt@depth@0ms", {**event, "b": bids, "a": asks, **more})


def of(symbol: str, message: bytes) -> bytes:
    """A message of BTCUSDT as one of another symbol."""
    text = message.decode()
    return text.replace("BTCUSDT", symbol).replace("btcusdt", symbol.lower()).encode()


def best(u: int, bid: str, ask: str, **more: Any) -> bytes:
    """Best prices of BTCUSDT."""
    event = {"e": "bookTicker", "u": u, "s": "BTCUSDT", "b": bid, "B": "1.5", "a": ask, "A": "2.5"}
    return wrapped("btcusdt@bookTicker", {**event, "T": 1000 + u, "E": 1000 + u, **more})


def trade(t: int, price: str = "100.0", **more: Any) -> bytes:
    """A trade of BTCUSDT."""
    event = {"e": "trade", "E": 1000 + t, "T": 1000 + t, "s": "BTCUSDT", "t": t, "p": price, "q": "0.5"}
    return wrapped("btcusdt@trade", {**event, "X": "MARKET", "m": True, **more})


def snapshot(last_id: int, bids: list[Any], asks: list[Any]) -> bytes:
    """The answer of `GET depth`."""
    return json.dumps(
        {"lastUpdateId": last_id, "E": 1000 + last_id, "T": 1000 + last_id, "bids": bids, "asks": asks}
    ).encode()
