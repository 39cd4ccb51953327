"""The streams' connections: which path serves what, and what clients may say on them."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from sim.exchange.binance.listen_keys import is_listen_key
from sim.exchange.binance.product import product_of
from sim.exchange.binance.times import in_microseconds, shutdown_event
from sim.exchange.core import Exchange
from sim.exchange.streams.connection import Connection, texts
from sim.exchange.streams.streams import Listener

PUBLIC: Final = "public"
MARKET: Final = "market"
PRIVATE: Final = "private"
_PUBLIC_KINDS: Final = re.compile(
    r"(?:bookTicker|trade|depth(?:5|10|20)?(?:@(?:0|100|250|500)ms)?|rpiDepth@500ms)"
)
_PATH: Final = re.compile(r"(?:/(public|market|private))?/(ws|stream)(?:/(.*))?")
_METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def class_of(name: str) -> str:
    """The class of a stream: that of the paths which serve it."""
    if name == "!bookTicker":
        return PUBLIC
    _, _, kind = name.partition("@")
    return PUBLIC if _PUBLIC_KINDS.fullmatch(kind) else MARKET


def wrapped(name: str, payload: bytes) -> bytes:
    """A message of a combined stream."""
    return b'{"stream":"' + name.encode() + b'","data":' + payload + b"}"


class StreamServer:
    """Serves the streams' connections.

    Args:
        exchange: The exchange.
        unrouted: What the older paths serve: PUBLIC streams, `all`, or nothing (`closed`).
        routed: What the paths of a class serve: that `class`, or `all`.
    """

    def __init__(self, exchange: Exchange, unrouted: str, routed: str) -> None:
        self._exchange = exchange
        self._unrouted = unrouted
        self._routed = routed

    def serves(self, path: str) -> bool:
        """Whether a path is one of streams."""
        found = _PATH.fullmatch(path)
        routes = product_of(self._exchange).has_routes
        return found is not None and (routes if found[1] else self._unrouted != "closed")

    async def serve(
        self, socket: web.WebSocketResponse, connection: Connection, request: web.BaseRequest
    ) -> None:
        """Serve one connection until it ends."""
        found = _PATH.fullmatch(request.path)
        assert found is not None
        route, form, rest = found[1], found[2], found[3] or ""
        connection.kind = route or "unrouted"
        serves = self._classes(route)
        listener = Listener(connection, lambda name: class_of(name) in serves)
        hears_users = PRIVATE in serves
        listener.wrap = wrapped if form == "stream" else None
        connection.on_end.append(lambda: self._exchange.streams.drop(listener))
        pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
        if product_of(self._exchange).fine_times and ("timeUnit", "MICROSECOND") in pairs:
            listener.finish = in_microseconds
        if product_of(self._exchange).tells_shutdown:
            clock = self._exchange.clock
            connection.notice = lambda: listener.written("!serverShutdown", shutdown_event(clock.server_ms()))
        names = [name for name in rest.split("/") if name]
        names += [name for key, value in pairs if key == "streams" for name in value.split("/") if name]
        for name in names:
            if not is_listen_key(name):
                self._exchange.streams.subscribe(listener, name)
            elif hears_users:
                self._listen(listener, name, frozenset())
        if hears_users:
            self._listen_to_pairs(listener, pairs)
        await texts(
            socket,
            connection,
            lambda text: connection.send(_encode(self._answer(listener, hears_users, text))),
            self._exchange.config.limits.stream_messages_1s,
        )

    def _classes(self, route: str | None) -> frozenset[str]:
        if (self._routed if route else self._unrouted) == "all":
            return frozenset((PUBLIC, MARKET, PRIVATE))
        return frozenset((route or PUBLIC,))

    def _listen_to_pairs(self, listener: Listener, pairs: list[tuple[str, str]]) -> None:
        """`listenKey=..&events=A/B&listenKey=..`: each list of events is of the key before it."""
        keys: list[list[str]] = []
        for name, value in pairs:
            if name == "listenKey":
                keys.append([value, ""])
            elif name == "events" and keys:
                keys[-1][1] = value
        for key, events in keys:
            self._listen(listener, key, frozenset(one for one in events.split("/") if one))

    def _listen(self, listener: Listener, key: str, events: frozenset[str]) -> None:
        listener.connection.kind = PRIVATE
        self._exchange.users.listen(key, listener, events)

    def _answer(self, listener: Listener, hears_users: bool, text: str) -> dict[str, Any]:
        try:
            asked: Any = _decode(text)
        except msgspec.DecodeError as error:
            asked, found = None, {"code": 3, "msg": f"Invalid JSON: {error}"}
        else:
            found = self._done(listener, hears_users, asked)
        if "code" not in found or not product_of(self._exchange).wraps_faults:
            return found
        number = asked.get("id") if isinstance(asked, dict) else None
        return {"error": {name: found[name] for name in ("code", "msg")}, "id": number}

    def _done(self, listener: Listener, hears_users: bool, asked: Any) -> dict[str, Any]:
        if not isinstance(asked, dict) or "method" not in asked:
            return {"code": 2, "msg": "Invalid request: missing field `method`"}
        number, method, params = asked.get("id"), asked["method"], asked.get("params", [])
        if not isinstance(number, (int, str, type(None))):
            return {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer or a string"}
        if method in _METHODS:
            if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
                return {"code": 2, "msg": "Invalid request: params must be an array of strings", "id": number}
            for name in params:
                self._subscribe(listener, hears_users, method, name)
            return {"result": None, "id": number}
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(listener.names), "id": number}
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(listener, method, params, number)
        return {
            "code": 2,
            "msg": f"Invalid request: unknown variant `{method}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
            "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`",
        }

    def _subscribe(self, listener: Listener, hears_users: bool, method: str, name: str) -> None:
        streams = self._exchange.streams
        if method == "UNSUBSCRIBE":
            streams.unsubscribe(listener, name)
        elif is_listen_key(name):
            if hears_users:
                self._listen(listener, name, frozenset())
        elif len(listener.names) < self._exchange.config.limits.streams_max:
            streams.subscribe(listener, name)

    @staticmethod
    def _property(listener: Listener, method: str, params: Any, number: Any) -> dict[str, Any]:
        if not isinstance(params, list) or not params or params[0] != "combined":
            return {"code": 2, "msg": "Invalid request: unknown property", "id": number}
        if method == "GET_PROPERTY":
            return {"result": listener.wrap is not None, "id": number}
        if len(params) != 2 or not isinstance(params[1], bool):
            return {"code": 2, "msg": "Invalid request: property must be a boolean", "id": number}
        listener.wrap = wrapped if params[1] else None
        return {"result": None, "id": number}
