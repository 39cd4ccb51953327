"""The trade socket: orders as messages, acknowledged when they were received."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.mishaps import PageError
from sim.exchange.accounts.processing import Params, ReplyLostError, perform
from sim.exchange.bybit.api import TRADE, Batch, Route, charge, limit_headers
from sim.exchange.bybit.errors import Error, error_of, refusal, wrong
from sim.exchange.bybit.orders import words_of
from sim.exchange.bybit.rest import stamp_of
from sim.exchange.bybit.sockets import active_s, authenticate, connection_id
from sim.exchange.core import Exchange
from sim.exchange.rules.auth import Stamp
from sim.exchange.rules.refusals import RefusedError, Why
from sim.exchange.streams.connection import Connection, Tasks, texts

_PENDING_MAX: Final = 10_000
_IDS_MAX: Final = 1_000_000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Session:
    """A connection of the trade socket."""

    def __init__(self, connection: Connection, address: str) -> None:
        self.connection = connection
        self.address = address
        self.account: Account | None = None
        self.seen: dict[str, None] = {}
        self.pending = 0
        self.is_ending = False
        """Whether its node restarts, and takes no requests any more."""

    def say(self, req_id: Any, op: str, error: Error | None, more: dict[str, Any] | None = None) -> bytes:
        """The answer to a message."""
        said: dict[str, Any] = {"reqId": req_id} if req_id else {}
        said |= {"retCode": error.code if error else 0, "retMsg": error.msg if error else "OK", "op": op}
        payload = _encode(said | (more or {}) | {"connId": connection_id(self.connection)})
        self.connection.send(payload)
        return payload


class TradeServer:
    """Answers the trade socket's connections.

    Args:
        exchange: The exchange.
        tasks: Does what is asked.
    """

    def __init__(self, exchange: Exchange, tasks: Tasks) -> None:
        self._exchange = exchange
        self._tasks = tasks

    async def serve(
        self, socket: web.WebSocketResponse, connection: Connection, request: web.BaseRequest
    ) -> None:
        """Answer one connection until it ends."""
        connection.kind = "trade"
        connection.quiet_s = active_s(request.rel_url.query.get("max_active_time", ""))
        session = Session(connection, request.remote or "?")
        await texts(socket, connection, lambda text: self.on_text(session, text))

    def on_text(self, session: Session, text: str) -> None:
        """A message has come: any is a sign of life."""
        session.connection.on_pong()
        op = req_id = ""
        try:
            try:
                asked: Any = _decode(text)
                op, req_id = str(asked.get("op", "")), asked.get("reqId", "")
            except (msgspec.DecodeError, AttributeError):
                raise wrong("the message is no JSON object") from None
            if op == "ping":
                session.say(req_id, "pong", None, {"data": [str(self._exchange.clock.server_ms())]})
            elif op == "auth":
                self._auth(session, asked.get("args"))
                session.say(req_id, op, None)
            else:
                self._begin(session, asked, req_id, op)
        except RefusedError as refused:
            session.say(req_id if isinstance(req_id, str) else "", op, error_of(refused), {"data": {}})

    def _auth(self, session: Session, args: Any) -> None:
        if session.account is not None:
            raise refusal(20001, "Repeat auth")
        try:
            session.account = authenticate(self._exchange, args)
        except RefusedError as refused:
            # A key that nobody has has this code here, too: 10003 are too many sessions.
            raise refusal(10004, error_of(refused).msg) from None

    def _begin(self, session: Session, asked: dict[str, Any], req_id: Any, op: str) -> None:
        route, args, header = TRADE.get(op), asked.get("args"), asked.get("header")
        if route is None:
            raise refusal(10404, "op type is not found")
        if not isinstance(req_id, str) or len(req_id) > 36:
            raise wrong("reqId invalid")
        if req_id in session.seen:
            raise refusal(20006, "Duplicate reqId")
        if req_id and len(session.seen) < _IDS_MAX:
            session.seen[req_id] = None
        if session.account is None:
            raise refusal(10005, "Request not authorized")
        if session.pending >= _PENDING_MAX:
            raise refusal(20003, "Too frequent requests under the same session")
        if not isinstance(args, list) or len(args) != 1:
            raise wrong("args must have exactly one element")
        stamp = self._exchange.auth.check_time(stamp_of(header if isinstance(header, dict) else {}))
        session.pending += 1
        self._tasks.begin(self._do(session, session.account, req_id, op, route, words_of(args[0]), stamp))

    async def _do(
        self,
        session: Session,
        account: Account,
        req_id: str,
        op: str,
        route: Route,
        params: Params,
        stamp: Stamp,
    ) -> None:
        exchange, error = self._exchange, None
        result: Any = {}
        try:
            result = await self._perform(session, account, op, route, params, stamp)
        except RefusedError as refused:
            error = error_of(refused)
            if refused.why is Why.UNAVAILABLE:
                session.is_ending = True
                error = Error(10019, "The current service is restarting, please reconnect.", 200, 0)
        except PageError:
            error = error_of(RefusedError(Why.UNKNOWN_OUTCOME))
        except ReplyLostError:
            return
        finally:
            session.pending -= 1
        result, said = result if isinstance(result, Batch) else (result, {})
        header = limit_headers(exchange, account, route, error)
        header |= {"Traceid": f"{exchange.next_id(1):032x}", "Timenow": str(exchange.clock.server_ms())}
        more = {"data": result, "retExtInfo": said, "header": header}
        payload = session.say(req_id, op, error, more)
        if exchange.chaos.strikes("reply_doubled"):
            session.connection.send(payload)

    async def _perform(
        self, session: Session, account: Account, op: str, route: Route, params: Params, stamp: Stamp
    ) -> Any:
        if session.is_ending:
            raise RefusedError(Why.UNAVAILABLE)
        charge(self._exchange, account, route)
        return await perform(self._exchange, route.operation, account, params, session.address, stamp, op)
