"""The WebSocket API: requests with an id, on one connection, answered when they are done."""

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.mishaps import PageError
from sim.exchange.accounts.processing import NOTHING, SIGNED, Operation, Params, ReplyLostError, perform
from sim.exchange.binance.errors import error_of, missing, refusal
from sim.exchange.binance.product import Product, product_of
from sim.exchange.binance.queries import rate_limit
from sim.exchange.binance.rest import long_count, sorted_payload, stamp_of, word
from sim.exchange.binance.times import in_microseconds, shutdown_event
from sim.exchange.core import Exchange
from sim.exchange.rules.auth import Stamp
from sim.exchange.rules.refusals import RefusedError, Why
from sim.exchange.streams.connection import Connection, Tasks, texts

_PENDING_MAX: Final = 10_000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Session:
    """What a connection of the WebSocket API has of its own."""

    def __init__(self, connection: Connection, address: str, shows_limits: bool, connected_ms: int) -> None:
        self.connection = connection
        self.address = address
        self.shows_limits = shows_limits
        self.account: Account | None = None
        self.logged_on_ms = 0
        self.connected_ms = connected_ms
        self.pending = 0
        self.fine = False
        """Whether times are told in microseconds."""
        self.facts: dict[str, Any] = {}
        """What a product says of it besides."""


class WsApi:
    """Answers the WebSocket API's connections.

    Args:
        exchange: The exchange.
        tasks: Does what is asked.
    """

    facts: ClassVar[Mapping[str, Any]] = {}
    """What a product says besides of a session that has only begun."""

    def __init__(self, exchange: Exchange, tasks: Tasks) -> None:
        self._exchange = exchange
        self._tasks = tasks
        self._logged_on: dict[Session, None] = {}

    @property
    def _product(self) -> Product:
        return product_of(self._exchange)

    async def serve(
        self, socket: web.WebSocketResponse, connection: Connection, request: web.BaseRequest
    ) -> None:
        """Answer one connection until it ends."""
        connection.kind = "ws-api"
        if self._product.tells_shutdown:
            clock = self._exchange.clock
            connection.notice = lambda: b'{"event":' + shutdown_event(clock.server_ms()) + b"}"
        address = request.remote or "?"
        # Counted, and not refused: requests on the connection are.
        with contextlib.suppress(RefusedError):
            self._exchange.limits.charge(address, self._product.connect_weight, self._product.ws_pool)
        query = parse_qs(request.rel_url.raw_query_string)
        shows_limits = query.get("returnRateLimits", ["true"])[0] != "false"
        session = Session(connection, address, shows_limits, self._exchange.clock.server_ms())
        session.facts |= self.facts
        session.fine = self._product.fine_times and query.get("timeUnit", [""])[0] == "MICROSECOND"
        await texts(socket, connection, lambda text: self.on_text(session, text))

    def on_text(self, session: Session, text: str) -> None:
        """A message has come."""
        try:
            asked: Any = _decode(text)
        except msgspec.DecodeError:
            code, msg = self._product.bad_json
            self._refuse(session, None, refusal(code, msg))
            return
        number = None
        try:
            if not isinstance(asked, dict):
                raise refusal(-1135, "JSON Request is invalid.")
            given, method, raw = asked.get("id"), asked.get("method"), asked.get("params") or {}
            if not isinstance(given, (int, str, type(None))) or (isinstance(given, str) and len(given) > 36):
                raise refusal(-1135, "'id' is invalid.")
            number = given
            if not isinstance(method, str) or not isinstance(raw, dict):
                raise refusal(-1135, "'method' or 'params' is invalid.")
            if session.pending >= _PENDING_MAX:
                raise refusal(-1003, "Too many requests in flight.", 429)
        except RefusedError as refused:
            self._refuse(session, number, refused)
            return
        params = {str(key): word(value) for key, value in raw.items()}
        session.pending += 1
        self._tasks.begin(self._do(session, number, method, params))

    async def _do(self, session: Session, number: Any, method: str, params: Params) -> None:
        account: Account | None = None
        operation = self._product.ws_methods.get(method)
        orders = operation is not None and operation.changes
        try:
            own = self.of_session(session, method)
            if own is not None:
                account, result = await self._perform(session, own, params, method)
            elif method.startswith("session."):
                self._exchange.limits.charge(session.address, 2, self._product.ws_pool)
                result = self._session(session, method, params)
            elif operation is None:
                raise _unknown_method(method)
            else:
                account, result = await self._perform(session, operation, params, method)
        except RefusedError as refused:
            self._refuse(session, number, refused, account or session.account, orders=orders)
            return
        except PageError as page:
            error = refusal(-1000, "An unknown error occurred while processing the request.", page.status)
            self._refuse(session, number, error, account or session.account, orders=orders)
            return
        except ReplyLostError:
            return
        finally:
            session.pending -= 1
        reply: dict[str, Any] = {"id": number, "status": 200, "result": result}
        self._reply(session, reply, account, orders=orders, hidden=params.get("returnRateLimits") == "false")

    def of_session(self, session: Session, method: str) -> Operation | None:
        """What a product has besides that concerns the connection."""

    async def _perform(
        self, session: Session, operation: Operation, params: Params, method: str
    ) -> tuple[Account | None, Any]:
        exchange, weight = self._exchange, operation.weight_of(params)
        pool = self._product.ws_pool
        exchange.limits.charge(session.address, weight, pool)
        if operation.changes and pool != "rest":
            exchange.limits.charge(session.address, weight, "rest")
        account: Account | None = None
        stamp: Stamp | None = None
        if operation.needs != NOTHING:
            account = self._who(session, params)
        if operation.needs == SIGNED and account is not None:
            stamp = self._check(session, account, params)
        result = await perform(exchange, operation, account, params, session.address, stamp, method)
        if operation.is_free:
            exchange.limits.refund(session.address, weight, pool)
        return account, result

    def _who(self, session: Session, params: Params) -> Account:
        """The account of the key that the request names, or of the session."""
        if params.get("apiKey"):
            return self._exchange.auth.account(params["apiKey"])
        if session.account is None:
            raise RefusedError(Why.NO_KEY)
        return session.account

    def _check(self, session: Session, account: Account, params: Params) -> Stamp:
        if not params.get("timestamp"):
            raise missing("timestamp")
        auth = self._exchange.auth
        if params.get("signature") or params.get("apiKey") or session.account is None:
            auth.verify(account, sorted_payload(params), params.get("signature", ""))
        return auth.check_time(stamp_of(params, fine=self._product.fine_times))

    def _session(self, session: Session, method: str, params: Params) -> Any:
        """Log on and off."""
        auth, clock = self._exchange.auth, self._exchange.clock
        if method == "session.logon":
            account = auth.account(params.get("apiKey", ""))
            if not params.get("timestamp"):
                raise missing("timestamp")
            auth.verify(account, sorted_payload(params), params.get("signature", ""), ed25519_only=True)
            auth.check_time(stamp_of(params, fine=self._product.fine_times))
            session.account = account
            if session not in self._logged_on:
                self._logged_on[session] = None
                session.connection.on_end.append(lambda: self._logged_on.pop(session, None))
            session.logged_on_ms = clock.server_ms()
        elif method == "session.logout":
            session.account = None
            self.on_logout(session)
        elif method != "session.status":
            raise _unknown_method(method)
        account = session.account
        return {
            "apiKey": account.api_key if account else None,
            "authorizedSince": session.logged_on_ms if account else None,
            "connectedSince": session.connected_ms,
            "returnRateLimits": session.shows_limits,
            "serverTime": clock.server_ms(),
        } | session.facts

    def revoke(self, account: Account) -> None:
        """A key is revoked: sessions that are logged on with it are told, and are so no more."""
        for session in [one for one in self._logged_on if one.account is account]:
            session.account = None
            self.on_logout(session)
            self._refuse(session, None, RefusedError(Why.UNKNOWN_KEY))

    def on_logout(self, session: Session) -> None:
        """What ends with a logon."""

    def _refuse(
        self,
        session: Session,
        number: Any,
        refused: RefusedError,
        account: Account | None = None,
        *,
        orders: bool = False,
    ) -> None:
        error = error_of(refused, self._product.codes)
        body = error.body()
        if error.retry_s:
            now_ms = self._exchange.clock.server_ms()
            body["data"] = {"serverTime": now_ms, "retryAfter": now_ms + 1000 * error.retry_s}
        self._reply(session, {"id": number, "status": error.status, "error": body}, account, orders=orders)

    def _reply(
        self,
        session: Session,
        reply: dict[str, Any],
        account: Account | None,
        *,
        orders: bool,
        hidden: bool = False,
    ) -> None:
        if session.shows_limits and not hidden:
            reply["rateLimits"] = self._rate_limits(session.address, account if orders else None)
        payload = in_microseconds(_encode(reply)) if session.fine else _encode(reply)
        session.connection.send(payload)
        if self._exchange.chaos.strikes("reply_doubled"):
            session.connection.send(payload)

    def _rate_limits(self, address: str, account: Account | None) -> list[dict[str, Any]]:
        limits, settings, product = self._exchange.limits, self._exchange.limits.settings, self._product
        limit = settings.weight_1m if product.ws_pool == "rest" else settings.ws_api_weight_1m
        used = limits.used(address, product.ws_pool)
        if account is None:
            return [rate_limit("REQUEST_WEIGHT", "MINUTE", 1, limit) | {"count": used}]
        ten_s, long = limits.order_counts(account)[0], product.long_window
        count = {"count": long_count(self._exchange, account)}
        told = [rate_limit("ORDERS", long.interval, 1, getattr(settings, long.setting)) | count]
        if product.limits_10s:
            told.insert(0, rate_limit("ORDERS", "SECOND", 10, settings.orders_10s) | {"count": ten_s})
        if product.weight_told:
            return [*told, rate_limit("REQUEST_WEIGHT", "MINUTE", 1, limit) | {"count": used}]
        return [rate_limit("REQUEST_WEIGHT", "MINUTE", 1, -1) | {"count": -1}, *told]


def _unknown_method(method: str) -> RefusedError:
    return refusal(-1130, f"Unknown method '{method}'.")
