"""A request's way through the exchange: to the matching engine and back, with all that may go wrong on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.exchange.accounts.accounts import Account, Request
from sim.exchange.accounts.mishaps import refuse
from sim.exchange.rules.auth import Stamp
from sim.exchange.rules.refusals import RefusedError, Why

if TYPE_CHECKING:
    from sim.exchange.core import Exchange

Params = dict[str, str]

# What a request must bring.
NOTHING: Final = 0
KEY: Final = 1
SIGNED: Final = 2

_NS: Final = 1_000_000_000


class Operation(NamedTuple):
    """What can be asked of an exchange, whichever way it is asked.

    Attributes:
        run: Does it: exchange, account (None for what needs none), parameters; returns the reply.
        needs: NOTHING, KEY or SIGNED.
        weight: What it costs, or what that is with some parameters.
        changes: Whether it reaches the matching engine: it takes its time, and can be lost on the way.
        what: `place`, `modify` or `cancel`, of one order; else empty.
        is_free: Whether it costs nothing once it is done: its weight is only counted where it is refused.
    """

    run: Callable[[Any, Any, Params], Any]
    needs: int
    weight: int | Callable[[Params], int]
    changes: bool = False
    what: str = ""
    is_free: bool = False

    def weight_of(self, params: Params) -> int:
        """What it costs with some parameters."""
        return self.weight if isinstance(self.weight, int) else self.weight(params)


class ReplyLostError(Exception):
    """The request was processed, or not, and nobody will say."""


async def perform(
    exchange: Exchange,
    operation: Operation,
    account: Account | None,
    params: Params,
    address: str,
    stamp: Stamp | None,
    name: str = "",
) -> Any:
    """Do what was asked.

    Args:
        exchange: The exchange.
        operation: What.
        account: Whose, if it is anybody's.
        params: With what.
        address: From where.
        stamp: When it was made.
        name: As which: method and path, or as a WebSocket names it.

    Returns:
        The reply's content.

    Raises:
        RefusedError: It is refused, or the exchange says that it does not know.
        ReplyLostError: There is no reply.
        PageError: Something before the exchange answers.
    """
    request: Request | None = None
    if operation.what:
        request = exchange.venue.request(operation.what, params)
        if account is not None and operation.what != "cancel":
            account.asked(request)
    rule = exchange.outages.find(name, params) if exchange.outages.rules else None
    if rule is not None:
        refuse(rule)
        if rule.kind == "slow":
            await _pause(int(rule.ms * 1_000_000))
    _mishaps_before(exchange, operation, request, address)
    result = await _in_turn(exchange, operation, account, request, params, stamp)
    if rule is not None and rule.kind == "lost":
        raise ReplyLostError
    if rule is not None and rule.kind == "stale" and not operation.changes:
        return exchange.outages.old(name, params, result)
    return result


async def _in_turn(
    exchange: Exchange,
    operation: Operation,
    account: Account | None,
    request: Request | None,
    params: Params,
    stamp: Stamp | None,
) -> Any:
    if operation.what != "modify" or account is None or request is None:
        return await _perform(exchange, operation, account, params, stamp)
    # One modification of an order at a time.
    named = account.number, request.order_id or request.client_id
    if named in exchange.modifying:
        raise RefusedError(Why.AMEND_PENDING)
    exchange.modifying.add(named)
    try:
        return await _perform(exchange, operation, account, params, stamp)
    finally:
        exchange.modifying.discard(named)


async def _perform(
    exchange: Exchange, operation: Operation, account: Account | None, params: Params, stamp: Stamp | None
) -> Any:
    if operation.changes:
        await _pause(exchange.latency_ns("entry_ms"))
    exchange.pump()
    if operation.changes and stamp is not None:
        if exchange.clock.server_ms() - stamp.time_ms > stamp.window_ms:
            raise RefusedError(Why.LATE_AT_ENGINE)
    mishap = _mishap_of_reply(exchange, operation)
    if mishap is not None and exchange.chaos.half("done"):
        # The exchange's gateway has lost the way to the engine.
        raise mishap
    result: Any = None
    error: RefusedError | None = None
    try:
        result = operation.run(exchange, account, params)
    except RefusedError as refused:
        error = refused
    lost = operation.needs == SIGNED and exchange.chaos.strikes("reply_lost")
    delay_ns = exchange.chaos.late_ns("reply_late")
    if operation.changes:
        delay_ns += exchange.latency_ns("reply_ms")
    await _pause(delay_ns)
    if lost:
        raise ReplyLostError
    if mishap is not None:
        raise mishap
    if error is not None:
        raise error
    return result


def _mishaps_before(exchange: Exchange, operation: Operation, request: Request | None, address: str) -> None:
    """The exchange refuses, and has done nothing."""
    chaos = exchange.chaos
    if chaos.strikes("ban"):
        exchange.limits.ban(address, chaos.settings.ban_s)
        exchange.limits.check_ban(address)
    if chaos.strikes("too_many_requests"):
        raise RefusedError(Why.FLOODED, retry_s=1)
    if operation.needs == SIGNED and chaos.strikes("busy_failed"):
        raise RefusedError(Why.UNAVAILABLE)
    if not operation.changes:
        return
    is_order = operation.what in ("place", "modify")
    if is_order and chaos.strikes("too_many_orders"):
        raise RefusedError(Why.TOO_MANY_ORDERS)
    only_reduces = operation.what == "cancel" or (request is not None and request.only_reduces)
    if not only_reduces and chaos.strikes("throttled"):
        raise RefusedError(Why.THROTTLED)


def _mishap_of_reply(exchange: Exchange, operation: Operation) -> RefusedError | None:
    if not operation.changes:
        return None
    if exchange.chaos.strikes("busy_unknown"):
        return RefusedError(Why.UNKNOWN_OUTCOME)
    if exchange.chaos.strikes("timeout_unknown"):
        return RefusedError(Why.TIMED_OUT)
    return None


async def _pause(delay_ns: int) -> None:
    if delay_ns > 0:
        await asyncio.sleep(delay_ns / _NS)
