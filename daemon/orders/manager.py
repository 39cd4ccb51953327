"""All orders of an account: bots' requests in, commands to the venue and updates to the bots out."""

from collections.abc import Callable, Sequence

import msgspec

from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits, BotLimits
from daemon.orders.messages import Command, Execution, Holding, Instrument, Outcome, Report
from daemon.orders.reconcile import Reconciliation
from hftd.channel import wire

Update = wire.OrderUpdate | wire.State


class OrderManager:
    """The orders, positions and limits of one account.

    No method waits, opens a socket or reads a clock. `emit` and `send` are called before a method returns, after what
    they tell is in the journal; they may call back into the manager (a venue that refuses at once).

    Args:
        prefix: The beginning of our orders' ids; another connector on the same account needs another one.
        run: This process's number, `client_ids.run_number(now_ns, journal.last_run)`.
        limits: The account's.
        journal: Where orders and executions are kept, None to keep nothing. What it holds is restored, instrument by
            instrument, in `add_instrument`.
        emit: Publishes to one bot. Called only for bots that are attached.
        send: Hands a command to the venue.
    """

    def __init__(
        self,
        *,
        prefix: str,
        run: int,
        limits: AccountLimits,
        journal: Journal | None,
        emit: Callable[[str, Update], None],
        send: Callable[[Command], None],
    ) -> None:
        raise NotImplementedError

    def add_instrument(self, instrument: Instrument) -> None:
        """Make an instrument known, or known anew (its filters changed); before anything else names it."""
        raise NotImplementedError

    def symbols(self) -> list[str]:
        """The instruments that orders, positions or the journal name: those to ask about at a start."""
        raise NotImplementedError

    def attach(
        self, bot: str, instruments: Sequence[int], limits: BotLimits, on_end: str, now_ns: int
    ) -> list[Update]:
        """A bot has a lease. Returns what it is told: its open orders and its State in each instrument.

        Raises:
            RefusedError: Another bot has the same hash in its orders' ids.
        """
        raise NotImplementedError

    def told(self, bot: str) -> list[Update]:
        """The same for a bot that is attached and asks again (Resync)."""
        raise NotImplementedError

    def detach(self, bot: str, now_ns: int) -> None:
        """A bot's lease is over: apply its end policy."""
        raise NotImplementedError

    def request(self, bot: str, message: wire.Submit | wire.Modify | wire.Cancel, now_ns: int) -> None:
        """What a bot asks for. It is answered by `emit`, now or later."""
        raise NotImplementedError

    def on_outcome(self, outcome: Outcome, now_ns: int) -> None:
        """How a command ended."""
        raise NotImplementedError

    def on_report(self, report: Report, now_ns: int) -> None:
        """What the exchange said by itself."""
        raise NotImplementedError

    def on_holding(self, holding: Holding, now_ns: int) -> None:
        """The account's position in an instrument."""
        raise NotImplementedError

    def on_connection(self, is_up: bool, now_ns: int) -> None:
        """Whether commands can be sent; False at the start. Call `reconcile` after each True."""
        raise NotImplementedError

    def on_book(
        self, instrument: int, best_bid_tick: int, best_ask_tick: int, is_valid: bool, now_ns: int
    ) -> None:
        """The best prices, INVALID_MIN and INVALID_MAX where there are none, and whether they are worth anything."""
        raise NotImplementedError

    def executions_since_ns(self, symbol: str) -> int:
        """From which exchange time on a reconciliation needs the executions of an instrument."""
        raise NotImplementedError

    def reconcile_due_ns(self) -> int:
        """When the next reconciliation is wanted besides those after connects; NEVER if none is."""
        raise NotImplementedError

    def reconcile(
        self,
        open_orders: Sequence[Report],
        executions: Sequence[Execution],
        holdings: Sequence[Holding],
        asked_ns: int,
        now_ns: int,
    ) -> Reconciliation:
        """Take over what the exchange says of the whole account.

        Args:
            open_orders: All open orders of the account.
            executions: Of all `symbols()`, since `executions_since_ns`.
            holdings: Of all instruments with a position.
            asked_ns: When the first of these was asked for, on our clock.
            now_ns: Now.
        """
        raise NotImplementedError

    def tick(self, now_ns: int) -> int:
        """Do what is due: ask about unknown outcomes, repeat cancels, end what bots left. Returns when next."""
        raise NotImplementedError

    def halt(self, reason: str, now_ns: int) -> None:
        """Cancel all orders and refuse new ones until `resume`; a restart of the connector stays halted."""
        raise NotImplementedError

    def resume(self, now_ns: int) -> None:
        """Take orders again."""
        raise NotImplementedError

    def snapshot(self) -> msgspec.Struct:
        """What `hftd status` shows."""
        raise NotImplementedError
