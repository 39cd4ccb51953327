"""What the exchange says against what order management believes; the exchange wins.

The rules, and what makes each one safe:

- Executions are counted as if they had come by themselves; they are known by their ids, so once.
- An open order of ours that is not known is adopted. One that is not ours is left alone, and so is one of another
  connector of ours (`commands.py`): each has a number of its own in its orders' ids.
- An order that is believed open and is not listed is asked about. That it is not listed proves nothing: it may have
  been sent, or changed, after the list was made.
- Executions that the exchange's totals speak of and that are not listed `SETTLE_NS` after they were missed are written
  off: the order's total is right, the books lack them, and the difference shows in the position.
- A position that differs from what executions made it is believed when it differs a second time, `DIFFERS_NS` later:
  the first time an execution may be on its way. What it lost is booked to the bots that held it (`positions.py`).
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
import structlog

from daemon.messages import SET_ASIDE, STEPS_CHANGED, UNTOLD, Execution, Funds, Holding, Report, Transfer
from daemon.orders.commands import Strays
from daemon.orders.ids.client_ids import UNTOLD_ORDER
from daemon.orders.order import DONE, NEVER, SENT, Order, write_off
from daemon.orders.positions import Ledger
from daemon.orders.reports import Reports
from daemon.orders.state import GAP_NS
from hftd.constants import NEW, PARTIALLY_FILLED

SETTLE_NS: Final = 5_000_000_000
DIFFERS_NS: Final = 2_000_000_000

_UNREADABLE: Final = (STEPS_CHANGED, SET_ASIDE)
"""Troubles of instruments of which some of what the exchange says could not be taken over."""

_log = structlog.get_logger("hftd.orders")


class Difference(msgspec.Struct, frozen=True):
    """An account's position that was not what its fills had made of it.

    Attributes:
        expected_lots: By what was known.
        account_lots: By the exchange, and from here on.
    """

    symbol: str
    expected_lots: int
    account_lots: int


class Reconciliation(msgspec.Struct, frozen=True):
    """What a reconciliation found.

    Attributes:
        missed_executions: Counted now, as if they had come by themselves.
        adopted: Client ids of orders of ours that only the exchange knew.
        queried: Client ids of orders that are asked about, since the exchange does not list them as open.
        foreign: Open orders that are not ours; they are left alone.
        differences: Positions that were not what was expected.
        is_settled: Nothing is left to ask again: no query under way, no execution missing.
    """

    missed_executions: int
    adopted: tuple[str, ...]
    queried: tuple[str, ...]
    foreign: int
    differences: tuple[Difference, ...]
    is_settled: bool


class AccountReconciler:
    """Compares the exchange's account with ours, and takes it over; see the module.

    Args:
        reports: Takes single orders and executions.
        strays: Cancels open orders that are nobody's.
    """

    def __init__(self, reports: Reports, strays: Strays) -> None:
        self._reports = reports
        self._strays = strays
        self._store = reports.store
        self._commands = reports.commands
        self._updates = reports.updates
        self._counters = reports.counters

    # --- Positions ------------------------------------------------------------------------------------------------

    def on_holding(self, holding: Holding, now_ns: int) -> None:
        """The exchange says a position by itself."""
        ledger = self._store.ledgers.get(holding.symbol)
        if ledger is None or holding.exch_ns < ledger.last_execution_ns:
            return
        if ledger.has_holding:
            self._compare(ledger, holding.qty_lots, now_ns, is_asked=False)
        else:
            # Whether an execution is in it already, this can't tell.
            self._store.want(now_ns)

    def _compare(self, ledger: Ledger, lots: int, now_ns: int, *, is_asked: bool) -> Difference | None:
        if ledger.instrument.trouble in _UNREADABLE:
            # What the exchange says of it may be among what could not be taken over.
            return None
        expected = ledger.account_lots
        if not ledger.has_holding:
            # The first that is heard of it: what is there was there before.
            ledger.take_holding(lots)
            self._store.steps_changed(ledger)
            if lots == expected or not self._store.is_restored:
                return None
            return self._publish(ledger, expected)
        if lots == expected:
            ledger.differs_since_ns = 0
            return None
        if not ledger.differs_since_ns or ledger.differs_lots != lots - expected:
            ledger.differs_since_ns = now_ns
            ledger.differs_lots = lots - expected
            self._store.want(now_ns + DIFFERS_NS)
            return None
        if not is_asked or now_ns - ledger.differs_since_ns < DIFFERS_NS:
            self._store.want(ledger.differs_since_ns + DIFFERS_NS)
            return None
        self._reports.forced.difference(ledger, lots, now_ns)
        ledger.take_holding(lots)
        self._store.steps_changed(ledger)
        return self._publish(ledger, expected)

    def _publish(self, ledger: Ledger, expected: int) -> Difference:
        self._counters.differences += 1
        _log.warning(
            "position_differed",
            symbol=ledger.symbol,
            expected=ledger.qty(expected),
            account=ledger.qty(ledger.account_lots),
            no_bots=ledger.qty(ledger.other_lots),
        )
        for name in ledger.books:
            self._updates.account(name, ledger)
        return Difference(ledger.symbol, expected, ledger.account_lots)

    # --- Balances -------------------------------------------------------------------------------------------------

    def on_funds(self, funds: Funds | Transfer, now_ns: int) -> None:
        """The exchange says a balance by itself, or that one was changed by what is no execution."""
        wallet = self._store.wallet
        if isinstance(funds, Transfer):
            wallet.on_transfer(funds)
        else:
            wallet.on_funds(funds, now_ns, self._store.want)

    def _compare_funds(
        self, funds: Sequence[Funds], unknown: Collection[str], asked_ns: int, now_ns: int
    ) -> None:
        """All balances; of those that missing executions may have changed nothing is concluded."""
        store = self._store
        symbols = {*unknown, *(store.orders[client_id].symbol for client_id in store.gaps)}
        ledgers = [store.ledgers[symbol].instrument for symbol in symbols if symbol in store.ledgers]
        assets = {asset for one in ledgers for asset in (one.base, one.quote)}
        store.wallet.take(funds, asked_ns, now_ns, assets, self._store.want)

    # --- The whole ------------------------------------------------------------------------------------------------

    def reconcile(
        self,
        open_orders: Sequence[Report],
        executions: Sequence[Execution],
        holdings: Sequence[Holding],
        asked_ns: int,
        now_ns: int,
        unasked: Collection[str] = (),
        funds: Sequence[Funds] | None = None,
    ) -> Reconciliation:
        """See `OrderManager.reconcile`."""
        store = self._store
        store.reconciling(now_ns)
        self._counters.reconciliations += 1
        listed: set[str] = set()
        adopted: list[str] = []
        foreign: list[Report] = []
        for report in open_orders:
            listed.add(report.client_id)
            order = store.find(report.client_id)
            if order is not None:
                listed.add(order.client_id)
            elif self._adopt(report, asked_ns):
                adopted.append(report.client_id)
            else:
                foreign.append(report)
                continue
            self._reports.take_report(report, now_ns, asked_ns)
        self._strays.forget_unlisted(listed, asked_ns)
        self._strays.listed([one for one in foreign if not store.is_ours(one.client_id)], now_ns)
        missed, deferred = self._count(executions, now_ns)
        if deferred or unasked:
            store.want(now_ns + GAP_NS)
        # Some of what the exchange says of these could not be taken over: nothing is concluded from it.
        unread = {one.symbol for one in store.ledgers.values() if one.instrument.trouble in _UNREADABLE}
        unknown = unread.union(unasked)
        self._counters.missed_executions += missed
        queried = self._ask_about_unlisted(listed, asked_ns, now_ns)
        for client_id in adopted:
            self._settle_adopted(store.orders[client_id], now_ns)
        self._write_off(asked_ns, now_ns, unknown)
        unknown |= deferred
        if store.by_totals:
            # What these have executed is known when they are told of, and not by a list of executions.
            unknown |= {order.symbol for order in store.alive.values() if order.client_id not in listed}
        differences = self._compare_all(holdings, unknown, asked_ns, now_ns)
        if funds is not None:
            self._compare_funds(funds, unknown, asked_ns, now_ns)
        store.settled(store.to_exchange(asked_ns), but=unknown)
        self._counters.foreign_orders = len(foreign)
        return Reconciliation(
            missed_executions=missed,
            adopted=tuple(adopted),
            queried=tuple(queried),
            foreign=len(foreign),
            differences=tuple(differences),
            is_settled=not queried
            and not store.gaps
            and store.wanted_ns == NEVER
            and not any(order.is_unsure for order in store.alive.values()),
        )

    def _adopt(self, report: Report, asked_ns: int) -> bool:
        """Make an order of a report about one of ours that is not known; whether it is ours."""
        store = self._store
        ours = store.read_own(report.client_id)
        if ours is None or report.symbol not in store.ledgers:
            return False
        if report.symbol in store.unfit:
            # What the journal has of it is in other lots than the report.
            self._strays.add(
                report.symbol, report.client_id, report.exch_order_id, store.unfit[report.symbol], asked_ns
            )
            return False
        if report.status not in (NEW, PARTIALLY_FILLED):
            return False
        if ours.order_id == UNTOLD_ORDER:
            why = "no journal knows it, and its id does not tell which order of its bot it is"
            self._strays.add(report.symbol, report.client_id, report.exch_order_id, why, asked_ns)
            return False
        bot = store.bot(store.bot_of_hash(ours.bot)).name
        order = Order(
            client_id=report.client_id,
            bot=bot,
            order_id=ours.order_id,
            symbol=report.symbol,
            side=report.side,
            order_type=report.order_type,
            time_in_force=report.time_in_force,
            reduce_only=False,
            price_tick=report.price_tick,
            qty_lots=report.qty_lots,
            local_ts=0,
            submitted_ns=asked_ns,
            submit_phase=DONE,
            terms_exch_ns=report.exch_ns,
            exch_order_id=report.exch_order_id,
        )
        if report.totals is not None:
            # What it executed in its former life was counted then, or never will be.
            order.cum_lots = order.written_off_lots = order.base_lots = report.cum_lots
            order.value = report.totals.avg_price * report.cum_lots
            order.fee = report.totals.fee
            self._counters.written_off_lots += report.cum_lots
        store.add(order)
        self._counters.adopted += 1
        _log.warning("order_adopted", client_id=report.client_id, bot=bot)
        return True

    def _settle_adopted(self, order: Order, now_ns: int) -> None:
        """What an adopted order executed in its former life was counted then, or never will be."""
        if order.gap_lots > 0:
            order.base_lots = order.done_lots
            self._counters.written_off_lots += write_off(order)
            self._store.touch(order)
            self._store.note_gap(order, now_ns)
        self._reports.adopted(order, now_ns)

    def _count(self, executions: Sequence[Execution], now_ns: int) -> tuple[int, set[str]]:
        """Count executions that were missed. Some can't be told whose they are until an order's query is answered."""
        store = self._store
        by_exchange = {
            (order.symbol, order.exch_order_id): order
            for order in store.orders.values()
            if order.exch_order_id
        }
        for order in store.orders.values():
            by_exchange |= {(order.symbol, one.exch_order_id): order for one in order.former}
        unnamed = {order.symbol for order in store.alive.values() if not order.exch_order_id}
        missed = 0
        deferred: set[str] = set()
        for execution in sorted(executions, key=lambda one: one.exch_ns):
            order = store.find(execution.client_id) or by_exchange.get(
                (execution.symbol, execution.exch_order_id)
            )
            if order is not None:
                missed += self._reports.take_execution(order, execution, now_ns)
            elif execution.client_id == UNTOLD or (not execution.client_id and execution.symbol in unnamed):
                if not store.trades.is_complete(execution.symbol, execution.trade_id, execution.side):
                    deferred.add(execution.symbol)
            else:
                missed += self._reports.count_apart(execution, True, now_ns)
        return missed, deferred

    def _ask_about_unlisted(self, listed: set[str], asked_ns: int, now_ns: int) -> list[str]:
        queried: list[str] = []
        for order in list(self._store.alive.values()):
            if order.client_id in listed or order.submit_phase == SENT:
                continue
            if max(order.submitted_ns, order.seen_ns) < asked_ns:
                if order.query_due_ns == NEVER:
                    self._commands.ask(order, now_ns)
                    self._commands.work(order, now_ns)
                queried.append(order.client_id)
        return queried

    def _write_off(self, asked_ns: int, now_ns: int, unknown: Collection[str]) -> None:
        store = self._store
        for client_id, since_ns in list(store.gaps.items()):
            if store.orders[client_id].symbol in unknown:
                continue
            if asked_ns - since_ns < SETTLE_NS:
                self._store.want(since_ns + SETTLE_NS)
                continue
            order = store.orders[client_id]
            lots = write_off(order)
            self._counters.written_off_lots += lots
            _log.error("executions_written_off", client_id=client_id, lots=lots)
            self._reports.written_off(order, now_ns)

    def _compare_all(
        self, holdings: Sequence[Holding], unknown: set[str], asked_ns: int, now_ns: int
    ) -> list[Difference]:
        """Positions; an instrument that is not among them is flat, and one that is not told of whatever it was."""
        found = {holding.symbol: holding for holding in holdings}
        differences: list[Difference] = []
        gaps = unknown | {self._store.orders[client_id].symbol for client_id in self._store.gaps}
        for symbol, ledger in self._store.ledgers.items():
            holding = found.get(symbol)
            if ledger.counted_ns >= asked_ns or symbol in gaps or ledger.wallet is not None:
                # An execution came meanwhile, or is to come; or there are balances instead.
                continue
            if holding is not None and not holding.is_told:
                continue
            if holding is None and not ledger.has_holding and ledger.account_lots == 0:
                ledger.has_holding = True
                continue
            difference = self._compare(ledger, holding.qty_lots if holding else 0, now_ns, is_asked=True)
            if difference is not None:
                differences.append(difference)
        return differences
