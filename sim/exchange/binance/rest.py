"""REST: a request to an operation, and its outcome to a reply."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.processing import NOTHING, SIGNED, Operation, Params, perform
from sim.exchange.binance.errors import Error, error_of, missing, refusal
from sim.exchange.binance.product import product_of
from sim.exchange.binance.times import in_microseconds, unit_of
from sim.exchange.core import Exchange
from sim.exchange.rules.auth import Stamp
from sim.exchange.rules.refusals import RefusedError, Why
from sim.exchange.venue import HttpReply, HttpRequest

WINDOW_DEFAULT_MS: Final = 5000
_WHOLE: Final = re.compile(r"[0-9]{1,16}")
_ENCODED: Final = re.compile(rb"[A-Za-z0-9\-._~%=&+!'()*]*")
"""What nothing else may stand beside in what is signed: all other characters are percent-encoded."""
_MICROSECONDS_FROM: Final = 10**15
"""A time of so much is in microseconds."""
_encode = msgspec.json.Encoder().encode


async def answer(exchange: Exchange, request: HttpRequest) -> HttpReply:
    """Answer one request; its path is below the product's prefix."""
    product = product_of(exchange)
    name = f"{request.method} {request.path}"
    operation = None
    if request.path.startswith(product.prefix):
        operation = product.rest.get((request.method, request.path.removeprefix(product.prefix)))
    if operation is None:
        msg = f"Path {request.path}, Method {request.method} is invalid"
        return HttpReply(404, Error(-5000, msg, 404, 0).body())
    account: Account | None = None
    headers: dict[str, str] = {}
    try:
        if request.body is None:
            raise refusal(-1101, "Too many parameters; the request is too large.", 413)
        # Those of the query win.
        pairs = parse_qsl(request.body, keep_blank_values=True)
        params = dict(pairs + parse_qsl(request.query, keep_blank_values=True))
        # What is refused for its weight is counted too.
        unit = unit_of(product.fine_times, request.headers.get("X-MBX-TIME-UNIT", ""))
        weight = operation.weight_of(params)
        headers["X-MBX-USED-WEIGHT-1M"] = str(exchange.limits.used(request.address) + weight)
        exchange.limits.charge(request.address, weight)
        stamp = None
        if operation.needs != NOTHING:
            account = exchange.auth.account(request.headers.get("X-MBX-APIKEY", ""))
        if operation.needs == SIGNED and account is not None:
            stamp = _check(exchange, account, request, params)
        result = await perform(exchange, operation, account, params, request.address, stamp, name)
        if operation.is_free:
            exchange.limits.refund(request.address, weight)
            headers["X-MBX-USED-WEIGHT-1M"] = str(exchange.limits.used(request.address))
        if unit:
            result = msgspec.Raw(in_microseconds(_encode(result)))
        return HttpReply(200, result, headers | _order_counts(exchange, operation, account))
    except RefusedError as refused:
        error = error_of(refused, product.codes)
        retry = {"Retry-After": str(error.retry_s)} if error.retry_s else {}
        headers |= _order_counts(exchange, operation, account) | retry
        return HttpReply(error.status, error.body(), headers)


def _order_counts(exchange: Exchange, operation: Operation, account: Account | None) -> dict[str, str]:
    """What an account has used, on replies to orders only."""
    if account is None or not operation.changes:
        return {}
    long = product_of(exchange).long_window
    counts = {"10S": exchange.limits.order_counts(account)[0], long.header: long_count(exchange, account)}
    return {f"X-MBX-ORDER-COUNT-{name}": str(count) for name, count in counts.items()}


def long_count(exchange: Exchange, account: Account) -> int:
    """How many orders of an account are counted in the product's longer window."""
    return exchange.limits.count(account.api_key, "orders", product_of(exchange).long_window.window_ms)


def _check(exchange: Exchange, account: Account, request: HttpRequest, params: Params) -> Stamp:
    """Signature and time of a signed request."""
    payload, signature = signed_part(request.query, request.body or "")
    if not params.get("timestamp"):
        raise missing("timestamp")
    product = product_of(exchange)
    if product.must_encode and not _ENCODED.fullmatch(payload):
        raise RefusedError(Why.BAD_SIGNATURE)
    exchange.auth.verify(account, payload, signature)
    return exchange.auth.check_time(stamp_of(params, fine=product.fine_times))


def signed_part(query: str, body: str) -> tuple[bytes, str]:
    """What was signed, as it was sent, and the signature, which must be the last parameter of query or body.

    Raises:
        RefusedError: There is none, or it stands elsewhere.
    """
    for name, part in (("body", body), ("query", query)):
        at = part.rfind("signature=")
        if at < 0 or (at > 0 and part[at - 1] != "&"):
            continue
        value = part[at + len("signature=") :]
        if "&" in value:
            raise RefusedError(Why.BAD_SIGNATURE)
        rest = part[: max(at - 1, 0)]
        payload = query + rest if name == "body" else rest + body
        return payload.encode("latin-1"), unquote(value)
    raise RefusedError(Why.NO_SIGNATURE)


def sorted_payload(params: Params) -> bytes:
    """What a request of the WebSocket API signs: all parameters by name, without the signature."""
    return "&".join(f"{k}={params[k]}" for k in sorted(params) if k != "signature").encode()


def stamp_of(params: Params, *, fine: bool = False) -> Stamp:
    """Time and window of a signed request, which has a time; where times are fine it may be in microseconds.

    Raises:
        RefusedError: They are not numbers.
    """
    timestamp, window = params["timestamp"], params.get("recvWindow", "")
    if not _WHOLE.fullmatch(timestamp):
        raise missing("timestamp")
    if fine and re.fullmatch(r"[0-9]{1,5}\.[0-9]{1,3}", window):
        window = window.partition(".")[0]
    if window and not _WHOLE.fullmatch(window):
        raise missing("recvWindow")
    time_ms = int(timestamp)
    if fine and time_ms >= _MICROSECONDS_FROM:
        time_ms //= 1000
    return Stamp(time_ms, int(window) if window else WINDOW_DEFAULT_MS)


def word(value: Any) -> str:
    """A value of JSON as the text that it would be in a query."""
    return str(value).lower() if isinstance(value, bool) else str(value)
