"""Asking the exchange for the whole account, and giving its answer to order management, which takes it over.

What is asked: all open orders, all positions or balances, and the fills of those symbols that can have changed. Whoever
has neither orders nor fills, and the position that was expected, is asked about in turn, a few each time. A
reconciliation therefore costs no more for an account with many symbols (`ASKED_MAX`).

When: after each connect, now and then, and when order management wants it. After one that failed the next one waits,
by a back-off, whoever wants it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import aiohttp
import structlog

from daemon.connector.supervise import Backoff
from daemon.connector.venue import AnsweredError, Session
from daemon.messages import Execution, Holding
from daemon.orders.manager import OrderManager
from daemon.warnings import Warn
from hftd.clock import running_ns
from hftd.errors import HftdError

UNSETTLED_S: Final = 1.0
"""While something is left to ask again, it is asked after so long at first."""
SOON_S: Final = 0.5
"""Order management may want one so soon after the last one, if that did not fail."""
SOON_MAX: Final = 12
"""So many in a minute may come so soon. Then `SPACED_S` are between two, and as much longer as they ask for more."""
SPACED_S: Final = 5.0
SPACED_A_SYMBOL_S: Final = 0.5
EAGER_MAX: Final = 8
"""So many in a row that leave something open are repeated when order management wants it; then by the back-off."""
LIMIT_S: Final = 30.0
LOOK_EVERY_S: Final = 0.25
PAYMENTS_EVERY_S: Final = 600.0
"""So often payments of funding are asked for, and after each connect: most are heard of by the stream."""
PAYMENTS_WITHIN_S: Final = 10.0
PAYMENTS_AGAIN_S: Final = 30.0
"""And again after a question that failed."""
ASKED_MAX: Final = 20
"""Of so many symbols the fills are asked for in one reconciliation; what must wait is asked for in the next one."""
QUIET_MAX: Final = 5
"""Of these, so many in which nothing can have changed."""
SHOWN_MAX: Final = 5
FAILED_SHOWN: Final = 3
"""A reconciliation that failed so often in a row needs somebody's attention, and so does one symbol's part of it."""

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
        self._seed = seed
        self._backoff = Backoff(UNSETTLED_S, LIMIT_S, seed)
        self._is_up = False
        self._wake = asyncio.Event()
        self._due_ns = 0
        self._not_before_ns = 0
        self._failed_for: int | None = None  # what order management wanted when one failed; None: none did
        self._asked_ns: dict[str, int] = {}  # when a symbol's fills were last asked for
        self._times: deque[int] = deque(maxlen=SOON_MAX)
        self._payments_due_ns = 0  # when payments of funding are to be asked for
        self._payments_failed = 0  # how often in a row they could not be
        self._payments_why = ""
        self._asked = 0  # of how many symbols the last one asked
        self._settled_ns = (
            -1
        )  # when that was asked of which order management last said that all of it is known
        self._refused: dict[
            str, tuple[Backoff, int, str]
        ] = {}  # symbols that can't be asked: not before, and why
        self._untold: set[str] = set()  # symbols of whose positions the exchange says nothing
        self._why = ""
        self.done = 0
        self.failures = 0
        self.foreign = 0
        self.last_ns = -1
        self.done_ns = -1
        """When the last one that came to an end did."""

    @property
    def retries(self) -> int:
        """How often one was repeated since the last one failed, or left something open."""
        return self._backoff.count

    def on_connection(self, is_up: bool) -> None:
        """Orders can be sent, or not."""
        self._is_up = is_up
        if is_up:
            self._due_ns = 0
            self._payments_due_ns = 0
            # At once, but connections that come and go are no way around the pauses.
            self._not_before_ns = min(self._not_before_ns, self.last_ns + int(UNSETTLED_S * 1e9))
            self._wake.set()

    async def run(self) -> None:
        """Reconcile when it is due, until cancelled."""
        while True:
            if self._is_due():
                await self._try()
            self._wake.clear()
            # Not by `wait_for`: before Python 3.12 it swallows a cancellation that comes with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()

    def _is_due(self) -> bool:
        now_ns = running_ns()
        if not self._is_up:
            return False
        wanted_ns = self._orders.reconcile_due_ns()
        if now_ns >= self._not_before_ns:
            return now_ns >= min(self._due_ns, wanted_ns)
        if self._failed_for is None or now_ns < wanted_ns or wanted_ns == self._failed_for:
            return False
        # It is wanted for another reason than the one that failed: once, and not at once.
        return now_ns >= self.last_ns + int(UNSETTLED_S * 1e9)

    async def _try(self) -> None:
        error: Exception | None = None
        wanted_ns = self._orders.reconcile_due_ns()
        is_early = running_ns() < self._not_before_ns
        try:
            is_settled = await self._once()
        except (HftdError, aiohttp.ClientError, OSError, ValueError) as found:
            error, is_settled = found, False
        except Exception as found:
            # A fault of ours about one item must not end the connector while orders are open.
            error, is_settled = found, False
            _log.exception("reconciliation_crashed")
        now_ns = self.last_ns = running_ns()
        if is_settled:
            self._backoff.reset()
            self._why = ""
            self._failed_for = None
            self._due_ns = now_ns + self._every_ns
            self._not_before_ns = now_ns + self._pause_ns(now_ns)
            return
        wait_s = self._backoff.next_s(error)
        self._due_ns = now_ns + int(wait_s * 1e9)
        if error is None:
            self._why = ""
            if not self._refused and self._backoff.failures <= EAGER_MAX:
                # Something is under way: order management knows better when that will be over.
                self._failed_for = None
                self._not_before_ns = now_ns + self._pause_ns(now_ns)
                return
        self._not_before_ns = self._due_ns
        # One that came early has had its turn, whatever it is wanted for now.
        self._failed_for = self._orders.reconcile_due_ns() if is_early or error is None else wanted_ns
        if error is not None:
            self.failures += 1
            self._why = str(error) or type(error).__name__
            _log.warning("reconciliation_failed", why=self._why, again_in_s=round(wait_s, 3))

    def _pause_ns(self, now_ns: int) -> int:
        """How long no other one may come, though it be wanted."""
        times = self._times
        is_spent = len(times) == SOON_MAX and now_ns - times[0] < 60_000_000_000
        times.append(now_ns)
        return int((SPACED_S + SPACED_A_SYMBOL_S * self._asked if is_spent else SOON_S) * 1e9)

    async def _once(self) -> bool:
        asked_ns = running_ns()
        open_orders = await self._session.open_orders()
        holdings = await self._session.holdings()
        self._untold = {one.symbol for one in holdings if not one.is_told}
        funds = await self._session.funds()
        executions, asked, unasked = await self._executions(holdings)
        before_ns = self._since_ns()
        found = self._orders.reconcile(
            open_orders, executions, holdings, asked_ns, running_ns(), unasked=unasked, funds=funds
        )
        # Not before: what was fetched and not taken over has to be fetched again.
        self._asked_ns |= dict.fromkeys(asked, asked_ns)
        if self._since_ns() != before_ns:
            self._settled_ns = asked_ns
        self.done += 1
        self.done_ns = running_ns()
        self.foreign = found.foreign
        if found.missed_executions or found.adopted or found.queried or found.differences:
            _log.warning(
                "account_differed",
                missed_executions=found.missed_executions,
                adopted=list(found.adopted),
                queried=list(found.queried),
                differences=[
                    {"symbol": one.symbol, "expected": one.expected_lots, "account": one.account_lots}
                    for one in found.differences
                ],
            )
        await self._ask_for_payments(asked_ns)
        return found.is_settled and not unasked

    async def _ask_for_payments(self, now_ns: int) -> None:
        """Funding that the stream did not tell, as while it was down. Orders and positions do not wait for it."""
        if now_ns < self._payments_due_ns:
            return
        try:
            async with asyncio.timeout(PAYMENTS_WITHIN_S):
                payments = await self._session.payments(self._orders.payments_since_ns())
        except (HftdError, aiohttp.ClientError, OSError, ValueError) as error:
            self._payments_failed += 1
            self._payments_why = str(error) or type(error).__name__
            self._payments_due_ns = now_ns + int(PAYMENTS_AGAIN_S * 1e9)
            _log.warning("payments_not_fetched", why=self._payments_why, again_in_s=PAYMENTS_AGAIN_S)
            return
        if payments is not None:
            self._orders.on_payments(payments, now_ns, running_ns())
        self._payments_failed = 0
        self._payments_due_ns = now_ns + int(PAYMENTS_EVERY_S * 1e9)

    # ---- fills

    def _since_ns(self, symbol: str = "") -> int:
        return self._orders.executions_since_ns(symbol)

    async def _executions(
        self, holdings: Sequence[Holding]
    ) -> tuple[list[Execution], list[str], frozenset[str]]:
        """The fills of the symbols that are to be asked about, these symbols, and those that could not be asked about.

        One symbol whose question is refused does not hold up the others'.
        """
        executions: list[Execution] = []
        asked: list[str] = []
        failed: dict[str, str] = {}
        must, live, quiet = self._symbols(holdings)
        wanted = [*must, *live, *quiet]
        # What orders of before this process executed meanwhile would be lost if a later moment counted as settled.
        needed = {*must, *(one for one in live if one not in self._asked_ns)}
        unasked = needed.intersection(wanted[ASKED_MAX:])
        self._asked = min(len(wanted), ASKED_MAX)
        for symbol in wanted[:ASKED_MAX]:
            refused = self._refused.get(symbol)
            if refused is not None and running_ns() < refused[1]:
                if symbol in needed:
                    unasked.add(symbol)
                continue
            since_ns = self._since_ns(symbol)
            if self._settled_ns >= 0:
                # As far back as to when this one was asked about, whenever the others were.
                since_ns += min(0, self._asked_ns.get(symbol, self._settled_ns) - self._settled_ns)
            try:
                executions += await self._session.executions(symbol, since_ns, self._orders.is_counted)
            except (AnsweredError, ValueError) as error:
                backoff = refused[0] if refused else Backoff(UNSETTLED_S, 10 * LIMIT_S, self._seed)
                wait_s = backoff.next_s(error)
                self._refused[symbol] = backoff, running_ns() + int(wait_s * 1e9), str(error)
                unasked.add(symbol)
                failed[symbol] = str(error)
            else:
                self._refused.pop(symbol, None)
                asked.append(symbol)
        if failed:
            self.failures += 1
            _log.warning(
                "reconciliation_failed",
                why="executions could not be fetched",
                symbols=dict(list(failed.items())[:SHOWN_MAX]),
                count=len(failed),
            )
        return executions, asked, frozenset(unasked)

    def _symbols(self, holdings: Sequence[Holding]) -> tuple[list[str], list[str], list[str]]:
        """The symbols whose fills must be known before the account is, those that trade, and others."""
        store = self._orders.store
        positions = {one.symbol: one.qty_lots for one in holdings if one.is_told}
        incomplete = {store.orders[client_id].symbol for client_id in store.gaps}
        trading = {order.symbol for order in store.alive.values()}
        must: list[str] = []
        live: list[str] = []
        quiet: list[str] = []
        # A position that is heard of for the first time may come from fills of while nobody listened.
        first = (one for one in positions if one in store.ledgers and not store.ledgers[one].has_holding)
        for symbol in sorted({*self._orders.symbols(), *first}):
            ledger = store.ledgers.get(symbol)
            if ledger is None:
                quiet.append(symbol)
            elif (
                symbol in incomplete
                or ledger.unsettled_ns
                or (
                    ledger.wallet.differs(ledger)
                    if ledger.wallet is not None
                    else symbol not in self._untold and positions.get(symbol, 0) != ledger.account_lots
                )
            ):
                must.append(symbol)
            elif symbol in trading or (
                ledger.counted_ns and ledger.counted_ns >= self._asked_ns.get(symbol, 0)
            ):
                live.append(symbol)
            else:
                quiet.append(symbol)
        for one in (must, live, quiet):
            one.sort(key=lambda symbol: self._asked_ns.get(symbol, 0))
        return must, live, quiet[:QUIET_MAX]

    def warnings(self) -> Iterator[Warn]:
        """What needs a person."""
        if self._backoff.failures >= FAILED_SHOWN and self._why:
            yield Warn(
                "not_reconciled",
                f"the account could not be compared with the exchange's {self._backoff.failures} times in a row: "
                f"{self._why}",
            )
        if self._payments_failed >= FAILED_SHOWN:
            yield Warn(
                "payments_not_fetched",
                f"payments of funding could not be fetched {self._payments_failed} times in a row, so profits may lack "
                f"some: {self._payments_why}",
            )
        for symbol, (backoff, _, why) in self._refused.items():
            if backoff.failures >= FAILED_SHOWN:
                yield Warn(
                    "executions_not_fetched",
                    f"{symbol}: could not fetch its executions {backoff.failures} times in a row, so its position is "
                    f"not compared: {why}",
                    symbol,
                )
        for symbol in sorted(self._untold):
            ledger = self._orders.store.ledgers.get(symbol)
            if ledger is not None and ledger.account_lots:
                yield Warn(
                    "position_not_told",
                    f"{symbol}: the exchange says nothing of its position, so {ledger.account_lots} lots here are not "
                    "compared with it: look it up there",
                    symbol,
                )
