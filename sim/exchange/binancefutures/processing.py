"""A request's way through the exchange: to the matching engine and back, with all that may go wrong on it."""

import asyncio
from typing import Any, Final, NamedTuple

from sim.exchange.binancefutures import errors
from sim.exchange.binancefutures.accounts import Account, Request
from sim.exchange.binancefutures.api import CANCEL, MODIFY, PLACE, SIGNED, Operation
from sim.exchange.binancefutures.checks import Params
from sim.exchange.binancefutures.errors import ApiError
from sim.exchange.binancefutures.outages import refuse
from sim.exchange.binancefutures.venue import Venue

_NS: Final = 1_000_000_000


class ReplyLostError(Exception):
    """The request was processed, or not, and nobody will say."""


class Stamp(NamedTuple):
    """When a signed request was made, and how long it may take."""

    time_ms: int
    window_ms: int


async def perform(
    venue: Venue,
    operation: Operation,
    account: Account | None,
    params: Params,
    address: str,
    stamp: Stamp | None,
    name: str = "",
) -> Any:
    """Do what was asked.

    Args:
        venue: The exchange.
        operation: What.
        account: Whose, if it is anybody's.
        params: With what.
        address: From where.
        stamp: When it was made.
        name: As which: method and path, or the WebSocket API's method.

    Returns:
        The reply's content.

    Raises:
        ApiError: It is refused, or the exchange says that it does not know.
        ReplyLostError: There is no reply.
        PageError: Something before the exchange answers.
    """
    if account is not None and operation in (PLACE, MODIFY):
        account.asked(_request("place" if operation is PLACE else "modify", params))
    rule = venue.outages.find(name, params) if venue.outages.rules else None
    if rule is not None:
        refuse(rule)
        if rule.kind == "slow":
            await _pause(int(rule.ms * 1_000_000))
    _mishaps_before(venue, operation, params, address)
    result = await _in_turn(venue, operation, account, params, stamp)
    if rule is not None and rule.kind == "lost":
        raise ReplyLostError
    if rule is not None and rule.kind == "stale" and not operation.changes:
        return venue.outages.old(name, params, result)
    return result


async def _in_turn(
    venue: Venue, operation: Operation, account: Account | None, params: Params, stamp: Stamp | None
) -> Any:
    if operation is not MODIFY or account is None:
        return await _perform(venue, operation, account, params, stamp)
    # One modification of an order at a time.
    named = (account.number, params.get("orderId") or params.get("origClientOrderId", ""))
    if named in venue.modifying:
        raise errors.modify_pending()
    venue.modifying.add(named)
    try:
        return await _perform(venue, operation, account, params, stamp)
    finally:
        venue.modifying.discard(named)


async def _perform(
    venue: Venue, operation: Operation, account: Account | None, params: Params, stamp: Stamp | None
) -> Any:
    if operation.changes:
        await _pause(venue.latency_ns("entry_ms"))
    venue.pump()
    if operation.changes and stamp is not None:
        if venue.clock.server_ms() - stamp.time_ms > stamp.window_ms:
            raise errors.outside_engine_window()
    mishap = _mishap_of_reply(venue, operation)
    if mishap is not None and venue.chaos.half("done"):
        # The exchange's gateway has lost the way to the engine.
        raise mishap
    result: Any = None
    error: ApiError | None = None
    try:
        result = operation.run(venue, account, params)
    except ApiError as refused:
        error = refused
    lost = operation.needs == SIGNED and venue.chaos.strikes("reply_lost")
    delay_ns = venue.chaos.late_ns("reply_late")
    if operation.changes:
        delay_ns += venue.latency_ns("reply_ms")
    await _pause(delay_ns)
    if lost:
        raise ReplyLostError
    if mishap is not None:
        raise mishap
    if error is not None:
        raise error
    return result


def _request(what: str, params: Params) -> Request:
    client_id = params.get("newClientOrderId") or params.get("origClientOrderId", "")
    return Request(
        what,
        client_id,
        params.get("symbol", ""),
        params.get("side", ""),
        params.get("type", ""),
        params.get("price", ""),
        params.get("quantity", ""),
        params.get("reduceOnly", "") == "true",
    )


def _mishaps_before(venue: Venue, operation: Operation, params: Params, address: str) -> None:
    """The exchange refuses, and has done nothing."""
    chaos = venue.chaos
    if chaos.strikes("ban"):
        venue.gate.ban(address, chaos.settings.ban_s)
        venue.gate.check_ban(address)
    if chaos.strikes("too_many_requests"):
        raise ApiError(-1003, "Too many requests; current limit is exceeded.", 429, {"Retry-After": "1"})
    if operation.needs == SIGNED and chaos.strikes("busy_failed"):
        raise errors.unavailable()
    if not operation.changes:
        return
    if operation in (PLACE, MODIFY) and chaos.strikes("too_many_orders"):
        raise errors.too_many_orders()
    only_reduces = operation is CANCEL or params.get("reduceOnly", "") == "true"
    if not only_reduces and chaos.strikes("throttled"):
        raise errors.throttled()


def _mishap_of_reply(venue: Venue, operation: Operation) -> ApiError | None:
    if not operation.changes:
        return None
    if venue.chaos.strikes("busy_unknown"):
        return errors.unknown_status()
    if venue.chaos.strikes("timeout_unknown"):
        return errors.timed_out()
    return None


async def _pause(delay_ns: int) -> None:
    if delay_ns > 0:
        await asyncio.sleep(delay_ns / _NS)
