"""REST: a request's bytes to an operation, and its outcome to a reply's bytes."""

from urllib.parse import parse_qsl, unquote

import msgspec
from aiohttp import web

from sim.exchange.binancefutures.accounts import Account
from sim.exchange.binancefutures.api import KEY, NOTHING, REST, SIGNED, Operation
from sim.exchange.binancefutures.checks import Params
from sim.exchange.binancefutures.errors import ApiError, bad_signature, missing
from sim.exchange.binancefutures.outages import PAGE, PageError
from sim.exchange.binancefutures.processing import ReplyLostError, Stamp, perform
from sim.exchange.binancefutures.venue import Venue

_encode = msgspec.json.Encoder().encode


class RestServer:
    """Answers requests.

    Args:
        venue: The exchange.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        address, name = request.remote or "?", f"{request.method} {request.path}"
        operation = REST.get((request.method, request.path))
        if operation is None:
            return _reply(
                404, {"code": -5000, "msg": f"Path {request.path}, Method {request.method} is invalid"}, {}
            )
        account: Account | None = None
        headers: dict[str, str] = {}
        try:
            query = request.rel_url.raw_query_string
            body = await _body(request)
            params = _params(query, body)
            # What is refused for its weight is counted too.
            weight = operation.weight if isinstance(operation.weight, int) else operation.weight(params)
            headers["X-MBX-USED-WEIGHT-1M"] = str(self._venue.gate.used(address) + weight)
            self._venue.gate.charge(address, weight)
            stamp = None
            if operation.needs != NOTHING:
                account = self._venue.gate.by_key(request.headers.get("X-MBX-APIKEY", ""))
            if operation.needs == SIGNED and account is not None:
                stamp = self._check(account, query, body, params)
            account_needed = account if operation.needs in (KEY, SIGNED) else None
            result = await perform(self._venue, operation, account_needed, params, address, stamp, name)
            return _reply(200, result, headers | self._order_counts(operation, account))
        except ApiError as error:
            return _reply(
                error.status, error.body(), headers | self._order_counts(operation, account) | error.headers
            )
        except PageError as page:
            return web.Response(body=PAGE, status=page.status, content_type="text/html")
        except ReplyLostError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)

    def _order_counts(self, operation: Operation, account: Account | None) -> dict[str, str]:
        """What an account has used, on replies to orders only."""
        if account is None or not operation.changes:
            return {}
        counts = self._venue.gate.order_counts(account)
        return {"X-MBX-ORDER-COUNT-10S": str(counts["10S"]), "X-MBX-ORDER-COUNT-1M": str(counts["1M"])}

    def _check(self, account: Account, query: str, body: str, params: Params) -> Stamp:
        """Signature and time of a signed request."""
        payload, signature = signed_part(query, body)
        if not params.get("timestamp"):
            raise missing("timestamp")
        self._venue.gate.verify(account, payload, signature)
        return Stamp(*self._venue.gate.check_time(params["timestamp"], params.get("recvWindow", "")))


async def _body(request: web.BaseRequest) -> str:
    if not request.can_read_body:
        return ""
    try:
        # Of a megabyte at most (aiohttp's default).
        return (await request.read()).decode("latin-1")
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(-1101, "Too many parameters; the request is too large.", 413) from None


def _params(query: str, body: str) -> Params:
    """Parameters of the query and of a form body; those of the query win."""
    pairs = parse_qsl(body, keep_blank_values=True) + parse_qsl(query, keep_blank_values=True)
    return dict(pairs)


def signed_part(query: str, body: str) -> tuple[bytes, str]:
    """What was signed, as it was sent, and the signature, which must be the last parameter of query or body.

    Raises:
        ApiError: There is none, or it stands elsewhere.
    """
    for name, part in (("body", body), ("query", query)):
        at = part.rfind("signature=")
        if at < 0 or (at > 0 and part[at - 1] != "&"):
            continue
        value = part[at + len("signature=") :]
        if "&" in value:
            raise bad_signature()
        rest = part[: max(at - 1, 0)]
        payload = query + rest if name == "body" else rest + body
        return payload.encode("latin-1"), unquote(value)
    raise missing("signature")


def _reply(status: int, content: object, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=_encode(content), status=status, headers=headers, content_type="application/json"
    )
