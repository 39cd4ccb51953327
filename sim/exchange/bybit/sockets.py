"""The public and the private socket: topics, and who hears them.

Heartbeats are the client's. A request with one topic that is wrong subscribes none of them.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from aiohttp import web

from sim.exchange.accounts.accounts import Account
from sim.exchange.bybit.errors import error_of
from sim.exchange.bybit.feeds import TOPIC, BybitFeed
from sim.exchange.core import Exchange
from sim.exchange.rules.refusals import RefusedError, Why
from sim.exchange.streams.connection import Connection, texts
from sim.exchange.streams.streams import Listener

TOPICS_MAX: Final = 21_000
"""Characters of all topics of a connection."""
_USER: Final = re.compile(
    r"(order|execution|execution\.fast|position)(?:\.linear)?|(wallet|greeks|dcp\.future|dcp\.spot|dcp\.option)"
)
_SWITCH: Final = "dcp.future"
_ACTIVE: Final = re.compile(r"([0-9]{1,3})(s|m)")
_OPS: Final = ("subscribe", "unsubscribe")
_NO_JSON: Final = "Failed to decode incoming data:readObjectStart: expect { or n, but found something else"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def active_s(given: str) -> float:
    """How long a private or trade socket may be silent, by `max_active_time`: 30s to 600s, or 1m to 10m; else 0."""
    found = _ACTIVE.fullmatch(given)
    seconds = int(found[1]) * (60 if found[2] == "m" else 1) if found else 0
    return float(seconds) if 30 <= seconds <= 600 else 0.0


def authenticate(exchange: Exchange, args: Any) -> Account:
    """The account of an `auth` message: key, when it expires, signature.

    Raises:
        RefusedError: It is nobody's, or not in time.
    """
    key, expires, sign = [*args, "", "", ""][:3] if isinstance(args, list) else ("", "", "")
    account = exchange.auth.account(str(key))
    exchange.auth.verify(account, f"GET/realtime{expires}".encode(), str(sign))
    if not str(expires).isdecimal() or int(expires) <= exchange.clock.server_ms():
        raise RefusedError(Why.LATE)
    return account


def connection_id(connection: Connection) -> str:
    """A connection's name on the wire."""
    return f"local{connection.number:016x}-{connection.number:x}"


class Client:
    """A connection, and what it has subscribed.

    Args:
        exchange: The exchange.
        connection: The connection.
        is_private: Whether its topics are an account's; else they are the market's.
    """

    def __init__(self, exchange: Exchange, connection: Connection, is_private: bool) -> None:
        self._exchange = exchange
        self._connection = connection
        self._is_private = is_private
        self._account: Account | None = None
        self._topics: dict[str, Listener] = {}
        connection.on_end.append(self._on_end)

    def _on_end(self) -> None:
        for listener in self._topics.values():
            self._exchange.streams.drop(listener)
        self._life()

    def _life(self) -> None:
        """A dead-man switch counts from here: from each message, and from the end of the connection."""
        if self._account is not None and _SWITCH in self._topics:
            self._exchange.matching.sign_of_life(self._account)

    def on_text(self, text: str) -> None:
        """A message has come: any is a sign of life."""
        self._connection.on_pong()
        try:
            asked: Any = _decode(text)
        except msgspec.DecodeError:
            self._say("", "", _NO_JSON)
            return
        fields = asked if isinstance(asked, dict) else {}
        op, req_id, args = fields.get("op"), fields.get("req_id"), fields.get("args", [])
        if op == "ping":
            self._pong(req_id)
        elif op == "auth" and self._is_private:
            self._auth(req_id, args)
        elif op in _OPS and isinstance(args, list) and all(isinstance(one, str) for one in args):
            why = self._why_not(args) if op == "subscribe" else ""
            self._say(op, req_id, why)
            for topic in () if why else args:
                if op == "subscribe":
                    self._subscribe(topic)
                elif (listener := self._topics.pop(topic, None)) is not None:
                    self._unsubscribe(listener)
        else:
            self._say("", req_id, "error:invalid op")
        self._life()

    def _say(self, op: str, req_id: Any, why_not: str, said: str = "") -> None:
        """The answer to a message; the private socket does not repeat an id that was not sent."""
        content = {"success": not why_not, "ret_msg": why_not or said}
        content |= {"conn_id": connection_id(self._connection), "op": op}
        if req_id or not self._is_private:
            content["req_id"] = req_id or ""
        self._connection.send(_encode(content))

    def _pong(self, req_id: Any) -> None:
        if not self._is_private:
            self._say("ping", req_id, "", "pong")
            return
        content = {"req_id": req_id} if req_id else {}
        content |= {"op": "pong", "args": [str(self._exchange.clock.server_ms())]}
        self._connection.send(_encode(content | {"conn_id": connection_id(self._connection)}))

    def _auth(self, req_id: Any, args: Any) -> None:
        try:
            self._account = authenticate(self._exchange, args)
            self._say("auth", req_id, "")
        except RefusedError as refused:
            self._say("auth", req_id, error_of(refused).msg)

    def _why_not(self, args: list[str]) -> str:
        """Why a request subscribes nothing; empty: it does."""
        if self._is_private and self._account is None:
            return "error:request not authorized"
        if not args or sum(len(one) for one in [*self._topics, *args]) > TOPICS_MAX:
            return "error:args size is invalid"
        seen: set[str] = set()
        for topic in args:
            found = (_USER if self._is_private else TOPIC).fullmatch(topic)
            if found is None or not (self._is_private or found[2] in self._exchange.instruments):
                return f"error:handler not found,topic:{topic}"
            # A topic of all categories and that of a single one exclude each other.
            name = found[1] or found[2] if self._is_private else topic
            if topic in self._topics or name in seen:
                return f"error:already subscribed,topic:{topic}"
            seen.add(name)
        return ""

    def _subscribe(self, topic: str) -> None:
        """A book and a ticker begin with a snapshot; an account's topics begin with nothing, and bear this name."""
        exchange, listener = self._exchange, Listener(self._connection)
        self._topics[topic] = listener
        if not self._is_private:
            if exchange.streams.subscribe(listener, topic):
                feed = exchange.feeds[exchange.instruments[topic.rpartition(".")[2]].number]
                assert isinstance(feed, BybitFeed)
                if (first := feed.first(topic)) is not None:
                    self._connection.send(first)
            return
        found = _USER.fullmatch(topic)
        if found is None or self._account is None or exchange.chaos.strikes("silent_subscription"):
            return
        kind = found[1] or found[2]
        was, becomes = f'"topic":"{kind}"'.encode(), f'"topic":"{topic}"'.encode()
        listener.wrap = lambda _key, body: body.replace(was, becomes, 1)
        exchange.users.listen(self._account.user_key, listener, frozenset((kind,)))

    def _unsubscribe(self, listener: Listener) -> None:
        self._exchange.streams.drop(listener)
        if self._account is not None:
            self._exchange.users.leave(self._account.user_key, listener)


class TopicServer:
    """Serves connections of a kind.

    Args:
        exchange: The exchange.
        kind: `public` or `private`.
    """

    def __init__(self, exchange: Exchange, kind: str) -> None:
        self._exchange = exchange
        self._kind = kind

    async def serve(
        self, socket: web.WebSocketResponse, connection: Connection, request: web.BaseRequest
    ) -> None:
        """Serve one connection until it ends."""
        connection.kind = self._kind
        is_private = self._kind == "private"
        if is_private:
            connection.quiet_s = active_s(request.rel_url.query.get("max_active_time", ""))
        await texts(socket, connection, Client(self._exchange, connection, is_private).on_text)
