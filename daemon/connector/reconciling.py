"""Asking the exchange for the whole account, and giving its answer to order management, which takes it over."""

import asyncio
import contextlib
from typing import Final

import aiohttp
import structlog

from daemon.connector.supervise import Backoff
from daemon.connector.venue import Session
from daemon.orders.manager import OrderManager
from daemon.orders.messages import Execution
from hftd.clock import running_ns
from hftd.errors import HftdError

UNSETTLED_S: Final = 1.0
"""While something is left to ask again, it is asked after so long at first."""
LOOK_EVERY_S: Final = 0.25

_log = structlog.get_logger("hftd.connector")


class Reconciler:
    """Reconciles after each connect, now and then, and whenever order management wants it.

    Args:
        session: The exchange.
        orders: Who takes the answer.
        every_s: How often, at least.
        seed: Of the jitter.
    """

    def __init__(self, session: Session, orders: OrderManager, every_s: float, seed: int) -> None:
        self._session = session
        self._orders = orders
        self._every_ns = int(every_s * 1e9)
        self._backoff = Backoff(UNSETTLED_S, 30.0, seed)
        self._is_up = False
        self._wake = asyncio.Event()
        self._due_ns = 0
        self.done = 0
        self.failures = 0
        self.foreign = 0
        self.last_ns = -1

    def on_connection(self, is_up: bool) -> None:
        """Orders can be sent, or not."""
        self._is_up = is_up
        if is_up:
            self._due_ns = 0
            self._backoff.reset()
            self._wake.set()

    async def run(self) -> None:
        """Reconcile when it is due, until cancelled."""
        while True:
            if not self._is_due():
                self._wake.clear()
                # Not by `wait_for`: before Python 3.12 it swallows a cancellation that comes with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._wake.wait()
                continue
            try:
                settled = await self._once()
            except (HftdError, aiohttp.ClientError, OSError, ValueError) as error:
                self.failures += 1
                settled = False
                _log.warning("the account could not be reconciled", why=str(error) or type(error).__name__)
            if settled:
                self._backoff.reset()
                self._due_ns = running_ns() + self._every_ns
            else:
                self._due_ns = running_ns() + int(self._backoff.next_s() * 1e9)

    def _is_due(self) -> bool:
        return self._is_up and running_ns() >= min(self._due_ns, self._orders.reconcile_due_ns())

    async def _once(self) -> bool:
        asked_ns = running_ns()
        asked_exch_ns = self._session.exchange_ns(asked_ns)
        open_orders = await self._session.open_orders()
        executions: list[Execution] = []
        for symbol in self._orders.symbols():
            since_ns = self._orders.executions_since_ns(symbol)
            executions += await self._session.executions(symbol, since_ns, self._orders.is_counted)
        holdings = await self._session.holdings()
        found = self._orders.reconcile(
            open_orders, executions, holdings, asked_ns, running_ns(), asked_exch_ns
        )
        self.done += 1
        self.last_ns = running_ns()
        self.foreign = found.foreign
        if found.missed_executions or found.adopted or found.queried or found.differences:
            _log.warning(
                "the exchange's account was not what was known",
                missed_executions=found.missed_executions,
                adopted=list(found.adopted),
                queried=list(found.queried),
                differences=[
                    {"symbol": one.symbol, "expected": one.expected_lots, "account": one.account_lots}
                    for one in found.differences
                ],
            )
        return found.is_settled
