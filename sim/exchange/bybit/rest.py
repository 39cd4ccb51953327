"""REST: a request to an operation, and its outcome to a reply."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.processing import SIGNED, Params, perform
from sim.exchange.bybit.api import REST, Batch, Route, charge, limit_headers
from sim.exchange.bybit.errors import Error, envelope, error_of, refusal, wrong
from sim.exchange.bybit.orders import words_of
from sim.exchange.core import Exchange
from sim.exchange.rules.auth import Stamp
from sim.exchange.rules.refusals import RefusedError, Why
from sim.exchange.venue import HttpReply, HttpRequest

WINDOW_DEFAULT_MS: Final = 5000
_WHOLE: Final = re.compile(r"[0-9]{1,16}")


async def answer(exchange: Exchange, request: HttpRequest) -> HttpReply:
    """Answer one request."""
    route = REST.get((request.method, request.path))
    if route is None:
        return _reply(exchange, None, None, {}, error=Error(10017, "Path not found.", 404, 0))
    account: Account | None = None
    try:
        exchange.limits.charge(request.address, 1)
        if request.method == "GET" and request.body:
            raise refusal(10001, "a GET request has no body", 403)
        stamp = None
        if route.operation.needs == SIGNED:
            account, stamp = _check(exchange, request)
            charge(exchange, account, route)
        params = _params(request)
        name = f"{request.method} {request.path}"
        result = await perform(exchange, route.operation, account, params, request.address, stamp, name)
        return _reply(exchange, route, account, result)
    except RefusedError as refused:
        return _reply(exchange, route, account, {}, error=error_of(refused))


def _reply(
    exchange: Exchange, route: Route | None, account: Account | None, result: Any, error: Error | None = None
) -> HttpReply:
    now_ms = exchange.clock.server_ms()
    said = None
    if isinstance(result, Batch):
        result, said = result
    headers = {
        "Ret_code": str(error.code if error else 0),
        "Traceid": f"{exchange.next_id(1):032x}",
        "Timenow": str(now_ms),
    }
    if route is not None:
        headers |= limit_headers(exchange, account, route, error)
    return HttpReply(error.status if error else 200, envelope(result, now_ms, error, said), headers)


def _params(request: HttpRequest) -> Params:
    """The query, or the JSON in the body.

    Raises:
        RefusedError: There is none that can be read.
    """
    if request.method == "GET":
        return dict(parse_qsl(request.query, keep_blank_values=True))
    if request.body is None:
        raise wrong("the body is too large")
    try:
        return words_of(msgspec.json.decode(request.body.encode("latin-1")))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise wrong("the body is no JSON") from None


def _check(exchange: Exchange, request: HttpRequest) -> tuple[Account, Stamp]:
    """Key, time and signature: of the bytes that were sent."""
    h = request.headers
    account = exchange.auth.account(h.get("X-BAPI-API-KEY", ""))
    stamp = stamp_of(h)
    exchange.auth.check_time(stamp)
    payload = request.query if request.method == "GET" else request.body or ""
    window = h.get("X-BAPI-RECV-WINDOW", "")
    signed = f"{h.get('X-BAPI-TIMESTAMP', '')}{account.api_key}{window}{payload}"
    try:
        exchange.auth.verify(account, signed.encode("latin-1"), h.get("X-BAPI-SIGN", ""))
    except RefusedError as refused:
        if refused.why is Why.NO_SIGNATURE:
            raise
        raise refusal(10004, f"error sign! origin_string[{signed}]") from None
    return account, stamp


def stamp_of(headers: Mapping[str, Any]) -> Stamp:
    """When a request was made, and how long it may take.

    Raises:
        RefusedError: They are not numbers.
    """
    time, window = (str(headers.get(f"X-BAPI-{name}", "")) for name in ("TIMESTAMP", "RECV-WINDOW"))
    if not _WHOLE.fullmatch(time):
        raise wrong("X-BAPI-TIMESTAMP invalid")
    if window and not _WHOLE.fullmatch(window):
        raise wrong("X-BAPI-RECV-WINDOW invalid")
    return Stamp(int(time), int(window) if window else WINDOW_DEFAULT_MS)
