"""The streams' connections: which path serves what, and what clients may say on them."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import WSMsgType, web

from hftd.clock import monotonic_ns
from sim.exchange.binancefutures.topics import MARKET, PRIVATE, PUBLIC, Listener
from sim.exchange.binancefutures.users import UserListener
from sim.exchange.binancefutures.venue import Venue
from sim.exchange.connection import Connection

_PATH: Final = re.compile(r"(?:/(public|market|private))?/(ws|stream)(?:/(.*))?")
_SECOND_NS: Final = 1_000_000_000
_METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class StreamServer:
    """Serves the streams' connections.

    Args:
        venue: The exchange.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def serves(self, path: str) -> bool:
        """Whether a path is one of streams."""
        found = _PATH.fullmatch(path)
        if found is None:
            return False
        return found[1] is not None or self._venue.config.exchange.unrouted != "closed"

    async def serve(
        self, socket: web.WebSocketResponse, connection: Connection, request: web.BaseRequest
    ) -> None:
        """Serve one connection until it ends."""
        found = _PATH.fullmatch(request.path)
        assert found is not None
        route, form, rest = found[1], found[2], found[3] or ""
        connection.kind = route or "unrouted"
        listener = Listener(connection, self._classes(route), combined=form == "stream")
        connection.on_end.append(lambda: self._venue.topics.drop(listener))
        pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
        names = [name for name in rest.split("/") if name]
        names += [name for key, value in pairs if key == "streams" for name in value.split("/") if name]
        for name in names:
            if self._venue.users.is_listen_key(name):
                self._listen(listener, name, frozenset())
            else:
                self._venue.topics.subscribe(listener, name)
        self._listen_to_pairs(listener, pairs)
        await self._read(socket, connection, listener)

    def _classes(self, route: str | None) -> frozenset[str]:
        if route is not None:
            return frozenset((route,))
        if self._venue.config.exchange.unrouted == "all":
            return frozenset((PUBLIC, MARKET, PRIVATE))
        return frozenset((PUBLIC,))

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
        if PRIVATE in listener.serves:
            listener.connection.kind = PRIVATE
            self._venue.users.listen(key, UserListener(listener.connection, events, listener.combined))

    async def _read(self, socket: web.WebSocketResponse, connection: Connection, listener: Listener) -> None:
        window, count = 0, 0
        limit = self._venue.config.limits.stream_messages_1s
        async for message in socket:
            second = monotonic_ns() // _SECOND_NS
            window, count = (second, 1) if second != window else (window, count + 1)
            if limit and count > limit:
                connection.close(1008, "Too many requests")
                return
            if message.type is WSMsgType.TEXT:
                connection.received += 1
                connection.send(_encode(self._answer(listener, message.data)))
            elif message.type is WSMsgType.PING:
                connection.pong(bytes(message.data))
            elif message.type is WSMsgType.PONG:
                connection.on_pong()
            else:
                connection.close(1003)

    def _answer(self, listener: Listener, text: str) -> dict[str, Any]:
        try:
            asked: Any = _decode(text)
        except msgspec.DecodeError as error:
            return {"code": 3, "msg": f"Invalid JSON: {error}"}
        if not isinstance(asked, dict) or "method" not in asked:
            return {"code": 2, "msg": "Invalid request: missing field `method`"}
        number, method, params = asked.get("id"), asked["method"], asked.get("params", [])
        if not isinstance(number, (int, str, type(None))):
            return {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer or a string"}
        if method in _METHODS:
            if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
                return {"code": 2, "msg": "Invalid request: params must be an array of strings", "id": number}
            return {"result": self._subscribe(listener, method, params), "id": number}
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(listener.names), "id": number}
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(listener, method, params, number)
        return {
            "code": 2,
            "msg": f"Invalid request: unknown variant `{method}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
            "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`",
        }

    def _subscribe(self, listener: Listener, method: str, names: list[str]) -> None:
        for name in names:
            if method == "UNSUBSCRIBE":
                self._venue.topics.unsubscribe(listener, name)
            elif self._venue.users.is_listen_key(name):
                self._listen(listener, name, frozenset())
            elif len(listener.names) < self._venue.config.limits.streams_max:
                self._venue.topics.subscribe(listener, name)

    @staticmethod
    def _property(listener: Listener, method: str, params: Any, number: Any) -> dict[str, Any]:
        if not isinstance(params, list) or not params or params[0] != "combined":
            return {"code": 2, "msg": "Invalid request: unknown property", "id": number}
        if method == "GET_PROPERTY":
            return {"result": listener.combined, "id": number}
        if len(params) != 2 or not isinstance(params[1], bool):
            return {"code": 2, "msg": "Invalid request: property must be a boolean", "id": number}
        listener.combined = params[1]
        return {"result": None, "id": number}
