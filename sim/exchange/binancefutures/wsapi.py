"""The WebSocket API: requests with an id, on one connection, answered when they are done."""

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from aiohttp import WSMsgType, web

from sim.exchange.binancefutures.accounts import Account
from sim.exchange.binancefutures.api import NOTHING, SIGNED, WS_API, Operation
from sim.exchange.binancefutures.checks import Params
from sim.exchange.binancefutures.errors import ApiError, bad_key_format, missing
from sim.exchange.binancefutures.outages import PageError
from sim.exchange.binancefutures.processing import ReplyLostError, Stamp, perform
from sim.exchange.binancefutures.signing import sorted_payload
from sim.exchange.binancefutures.venue import Venue
from sim.exchange.connection import Connection

HANDSHAKE_WEIGHT: Final = 5
_PENDING_MAX: Final = 10_000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Session:
    """What a connection of the WebSocket API has of its own."""

    def __init__(self, connection: Connection, address: str, shows_limits: bool) -> None:
        self.connection = connection
        self.address = address
        self.shows_limits = shows_limits
        self.account: Account | None = None
        self.logged_on_ms = 0
        self.connected_ms = 0
        self.pending = 0


class WsApiServer:
    """Answers the WebSocket API's connections.

    Args:
        venue: The exchange.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Drop what is under way."""
        for task in self._tasks:
            task.cancel()

    async def serve(
        self, socket: web.WebSocketResponse, connection: Connection, request: web.BaseRequest
    ) -> None:
        """Answer one connection until it ends."""
        connection.kind = "ws-api"
        query = parse_qs(request.rel_url.raw_query_string)
        shows_limits = query.get("returnRateLimits", ["true"])[0] != "false"
        session = _Session(connection, request.remote or "?", shows_limits)
        session.connected_ms = self._venue.clock.server_ms()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                connection.received += 1
                self._on_text(session, message.data)
            elif message.type is WSMsgType.PING:
                connection.pong(bytes(message.data))
            elif message.type is WSMsgType.PONG:
                connection.on_pong()
            else:
                connection.close(1003)

    def _on_text(self, session: _Session, text: str) -> None:
        try:
            asked: Any = _decode(text)
        except msgspec.DecodeError:
            asked = None
        if not isinstance(asked, dict):
            self._refuse(session, None, ApiError(-1135, "JSON Request is invalid."))
            return
        number, method, raw = asked.get("id"), asked.get("method"), asked.get("params") or {}
        if not isinstance(number, (int, str, type(None))) or (isinstance(number, str) and len(number) > 36):
            self._refuse(session, None, ApiError(-1135, "'id' is invalid."))
            return
        if not isinstance(method, str) or not isinstance(raw, dict):
            self._refuse(session, number, ApiError(-1135, "'method' or 'params' is invalid."))
            return
        params = {str(key): _word(value) for key, value in raw.items()}
        if session.pending >= _PENDING_MAX:
            self._refuse(session, number, ApiError(-1003, "Too many requests in flight.", 429))
            return
        self._begin(session, number, method, params)

    def _begin(self, session: _Session, number: Any, method: str, params: Params) -> None:
        # Tasks begin in the order in which they are made: requests reach the engine as they came. What has come is
        # done, even if its connection ends meanwhile.
        task = asyncio.ensure_future(self._do(session, number, method, params))
        session.pending += 1
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(session, done))

    def _done(self, session: _Session, task: asyncio.Task[None]) -> None:
        session.pending -= 1
        self._tasks.discard(task)

    async def _do(self, session: _Session, number: Any, method: str, params: Params) -> None:
        account: Account | None = None
        operation = WS_API.get(method)
        orders = operation is not None and operation.changes
        try:
            if method.startswith("session."):
                self._venue.gate.charge(session.address, 2, "ws-api")
                result = self._session(session, method, params)
            elif operation is None:
                raise _unknown_method(method)
            else:
                account, result = await self._perform(session, operation, params, method)
        except ApiError as error:
            self._refuse(session, number, error, account or session.account, orders=orders)
            return
        except PageError as page:
            error = ApiError(-1000, "An unknown error occurred while processing the request.", page.status)
            self._refuse(session, number, error, account or session.account, orders=orders)
            return
        except ReplyLostError:
            return
        reply: dict[str, Any] = {"id": number, "status": 200, "result": result}
        self._reply(session, reply, account, orders=orders, hidden=params.get("returnRateLimits") == "false")

    async def _perform(
        self, session: _Session, operation: Operation, params: Params, method: str
    ) -> tuple[Account | None, Any]:
        gate = self._venue.gate
        weight = operation.weight if isinstance(operation.weight, int) else operation.weight(params)
        gate.charge(session.address, weight, "ws-api")
        if operation.changes:
            gate.charge(session.address, weight, "rest")
        account: Account | None = None
        stamp: Stamp | None = None
        if operation.needs != NOTHING:
            account = self._who(session, params)
        if operation.needs == SIGNED and account is not None:
            stamp = self._check(session, account, params)
        result = await perform(self._venue, operation, account, params, session.address, stamp, method)
        return account, result

    def _who(self, session: _Session, params: Params) -> Account:
        """The account of the key that the request names, or of the session."""
        if params.get("apiKey"):
            return self._venue.gate.by_key(params["apiKey"])
        if session.account is None:
            raise bad_key_format()
        return session.account

    def _check(self, session: _Session, account: Account, params: Params) -> Stamp:
        if not params.get("timestamp"):
            raise missing("timestamp")
        if params.get("signature") or params.get("apiKey") or session.account is None:
            self._venue.gate.verify(account, sorted_payload(params), params.get("signature", ""))
        return Stamp(*self._venue.gate.check_time(params["timestamp"], params.get("recvWindow", "")))

    def _session(self, session: _Session, method: str, params: Params) -> Any:
        """Log on and off."""
        if method == "session.logon":
            account = self._venue.gate.by_key(params.get("apiKey", ""))
            if not params.get("timestamp"):
                raise missing("timestamp")
            self._venue.gate.verify(
                account, sorted_payload(params), params.get("signature", ""), ed25519_only=True
            )
            self._venue.gate.check_time(params["timestamp"], params.get("recvWindow", ""))
            session.account = account
            session.logged_on_ms = self._venue.clock.server_ms()
        elif method == "session.logout":
            session.account = None
        elif method != "session.status":
            raise _unknown_method(method)
        account = session.account
        return {
            "apiKey": account.api_key if account else None,
            "authorizedSince": session.logged_on_ms if account else None,
            "connectedSince": session.connected_ms,
            "returnRateLimits": session.shows_limits,
            "serverTime": self._venue.clock.server_ms(),
        }

    def _refuse(
        self,
        session: _Session,
        number: Any,
        error: ApiError,
        account: Account | None = None,
        *,
        orders: bool = False,
    ) -> None:
        body: dict[str, Any] = error.body()
        if "Retry-After" in error.headers:
            now_ms = self._venue.clock.server_ms()
            retry_ms = now_ms + 1000 * int(error.headers["Retry-After"])
            body["data"] = {"serverTime": now_ms, "retryAfter": retry_ms}
        reply = {"id": number, "status": error.status, "error": body}
        self._reply(session, reply, account, orders=orders)

    def _reply(
        self,
        session: _Session,
        reply: dict[str, Any],
        account: Account | None,
        *,
        orders: bool,
        hidden: bool = False,
    ) -> None:
        if session.shows_limits and not hidden:
            reply["rateLimits"] = self._venue.gate.rate_limits(session.address, account, orders=orders)
        payload = _encode(reply)
        session.connection.send(payload)
        if self._venue.chaos.strikes("reply_doubled"):
            session.connection.send(payload)


def _unknown_method(method: str) -> ApiError:
    return ApiError(-1130, f"Unknown method '{method}'.")


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
