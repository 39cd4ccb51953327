"""Bots, order management and the tiny exchange, with everything between them under the test's control."""

import random
from collections import Counter
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import msgspec

from daemon.messages import UNKNOWN, Command, Outcome, Report, Submit
from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits, BotLimits
from daemon.orders.manager import OrderManager, Update
from hftd import wire
from hftd.constants import (
    CANCELED,
    EXPIRED,
    FILLED,
    NEW,
    NONE,
    PARTIALLY_FILLED,
    REJECTED,
    REPLACED,
)
from tests.daemon.orders.model import FEE_A_LOT, INSTRUMENT, MS, SECOND, SYMBOL, Exchange, TrueOrder

NUMBER = INSTRUMENT.number
LOT = float(INSTRUMENT.lot_size)
BEGIN_NS = 1_790_000_000 * SECOND


@dataclass
class LocalOrder:
    local_ts: int
    status: int = NONE
    req: int = NONE
    price_tick: int = 0
    qty: float = 0.0
    leaves_qty: float = 0.0
    prior: tuple[int, float] = (0, 0.0)
    reason: int = 0

    @property
    def is_inactive(self) -> bool:
        return self.status in (EXPIRED, FILLED, CANCELED)


class BotModel:
    """A bot's side of an order, by the rules of `hftd/hbt/orders.py`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.orders: dict[int, LocalOrder] = {}
        self.updates: list[wire.OrderUpdate | wire.State] = []
        self.notices: list[wire.Notice] = []
        self.state = wire.State(
            instrument=NUMBER,
            position=0.0,
            balance=0.0,
            fee=0.0,
            num_trades=0,
            trading_volume=0.0,
            trading_value=0.0,
        )
        self.forgets = False

    def apply(self, update: Update) -> None:
        if isinstance(update, wire.Notice):
            self.notices.append(update)
            return
        self.updates.append(update)
        if isinstance(update, wire.State):
            assert update.num_trades >= self.state.num_trades or self.forgets, "the account went back"
            self.state = update
            return
        if update.executed:
            assert update.exec_qty > 0
            assert update.num_trades > self.state.num_trades or self.forgets, (
                "an execution that does not count"
            )
            self.state = wire.State(
                instrument=update.instrument,
                position=update.position,
                balance=update.balance,
                fee=update.fee,
                num_trades=update.num_trades,
                trading_volume=update.trading_volume,
                trading_value=update.trading_value,
            )
        order = self.orders.get(update.order_id)
        if order is None:
            if update.req == REJECTED:
                return
            order = self.orders[update.order_id] = LocalOrder(update.local_ts)
        if update.req != REJECTED:
            order.qty, order.leaves_qty = update.qty, update.leaves_qty
            order.price_tick, order.status, order.req = update.price_tick, update.status, update.req
            order.reason = update.reason
        elif update.local_ts == order.local_ts:
            if order.req == NEW or update.status == EXPIRED:
                order.status = EXPIRED
            elif order.req == REPLACED:
                order.price_tick, order.qty = order.prior
            order.req = NONE
            order.reason = update.reason


class Inline(Executor):
    """Does at once what a thread would do."""

    def submit(self, fn, /, *args, **kwargs):
        job: Future = Future()
        try:
            job.set_result(fn(*args, **kwargs))
        except Exception as error:
            job.set_exception(error)
        return job


class Killed(Exception):
    """The process ends here."""


class World:
    """One account.

    Args:
        folder: For the journal; None for none.
        names_executions: See `Exchange`.
        bots: Their names.
    """

    exchange_type = Exchange
    by_totals = False
    instrument = INSTRUMENT

    def __init__(
        self,
        folder: Path | None = None,
        *,
        names_executions: bool = False,
        bots: tuple[str, ...] = ("a",),
        account: AccountLimits | None = None,
        limits: BotLimits | None = None,
        on_end: str = "cancel",
    ) -> None:
        self.now_ns = BEGIN_NS
        self.path = folder / "orders.journal" if folder else None
        self.exchange = self.exchange_type(names_executions)
        self.exchange.now_ns = self.now_ns
        self.account = account or AccountLimits(self_trade="allow")
        self.limits = limits or BotLimits()
        self.on_end = on_end
        self.bots = {name: BotModel(name) for name in bots}
        self.requests: list[tuple[Command, int, int]] = []
        self.replies: list[Outcome] = []
        self.commands: list[Command] = []
        self.latest: dict[tuple[str, int], str] = {}
        self.snapshots: list[tuple[int, list[Report], list, list]] = []
        self.die_in_send = False
        self.run = 0
        self.lives = 0
        self.manager = self.start()
        self.manager.on_connection(True, self.now_ns)
        for name in bots:
            self.attach(name)

    # --- Processes ----------------------------------------------------------------------------------------------

    def start(self, **options: object) -> OrderManager:
        journal = Journal.open(self.path, worker=Inline(), **options) if self.path else None  # type: ignore[arg-type]
        self.run += 1
        self.lives += 1
        manager = OrderManager(
            prefix="t",
            run=self.run,
            limits=self.account,
            journal=journal,
            emit=self.emit,
            send=self.send,
            by_totals=self.by_totals,
        )
        manager.add_instrument(self.instrument)
        return manager

    def crash(self, torn_bytes: int = 0) -> None:
        """Kill the connector; its connections and leases end with it."""
        journal = self.manager.store.journal
        assert journal is not None and self.path is not None
        journal.close()
        self.replies.clear()
        self.exchange.events.clear()
        self.snapshots.clear()
        if torn_bytes:
            # Until the exchange is asked, the connector knows less than its bots.
            for bot in self.bots.values():
                bot.forgets = True
            data = self.path.read_bytes()
            self.path.write_bytes(data[: max(8, len(data) - torn_bytes)])
        self.manager = self.start()

    def attach(self, name: str) -> None:
        bot = self.bots[name]
        held = [(order_id, order) for order_id, order in bot.orders.items() if not order.is_inactive]
        for update in self.manager.attach(name, [NUMBER], self.limits, self.on_end, self.now_ns):
            bot.apply(update)
        for order_id, order in held:
            self.ask(name, wire.Inquire(NUMBER, order_id, order.local_ts))

    def emit(self, name: str, update: Update) -> None:
        assert self.manager.store.bots[name].is_attached
        self.bots[name].apply(update)

    def send(self, command: Command) -> None:
        if self.die_in_send:
            self.die_in_send = False
            raise Killed
        self.commands.append(command)
        self.requests.append((command, self.now_ns, self.lives))
        if isinstance(command, Submit):
            order = self.manager.store.orders[command.client_id]
            self.latest[order.bot, order.order_id] = command.client_id

    def advance(self, ns: int) -> None:
        self.now_ns += ns
        self.exchange.now_ns = self.now_ns

    def tick(self) -> int:
        return self.manager.tick(self.now_ns)

    # --- Bots ---------------------------------------------------------------------------------------------------

    def ask(self, name: str, message: wire.Submit | wire.Modify | wire.Cancel | wire.Inquire) -> None:
        self.manager.request(name, message, self.now_ns)

    def submit(
        self,
        name: str,
        order_id: int,
        side: int = 1,
        price_tick: int = 1000,
        lots: int = 10,
        *,
        time_in_force: int = 0,
        order_type: int = 0,
    ) -> bool:
        """As a session does it; False if the id is in use."""
        bot = self.bots[name]
        known = bot.orders.get(order_id)
        if known is not None and not known.is_inactive:
            return False
        qty = lots / 1000
        self.latest.pop((name, order_id), None)
        bot.orders[order_id] = LocalOrder(
            self.now_ns, req=NEW, price_tick=price_tick, qty=qty, leaves_qty=qty
        )
        self.ask(
            name,
            wire.Submit(
                instrument=NUMBER,
                order_id=order_id,
                side=side,
                order_type=order_type,
                time_in_force=time_in_force,
                price_tick=price_tick,
                qty=qty,
                local_ts=self.now_ns,
            ),
        )
        return True

    def modify(self, name: str, order_id: int, price_tick: int, lots: int) -> bool:
        order = self.bots[name].orders.get(order_id)
        if order is None or order.req != NONE:
            return False
        order.prior = order.price_tick, order.qty
        order.price_tick, order.qty, order.req, order.local_ts = (
            price_tick,
            lots / 1000,
            REPLACED,
            self.now_ns,
        )
        self.ask(
            name,
            wire.Modify(
                instrument=NUMBER,
                order_id=order_id,
                price_tick=price_tick,
                qty=lots / 1000,
                local_ts=self.now_ns,
            ),
        )
        return True

    def cancel(self, name: str, order_id: int) -> bool:
        order = self.bots[name].orders.get(order_id)
        if order is None or order.req != NONE:
            return False
        order.req, order.local_ts = CANCELED, self.now_ns
        self.ask(name, wire.Cancel(NUMBER, order_id, self.now_ns))
        return True

    # --- Pipes --------------------------------------------------------------------------------------------------

    def arrive(
        self, i: int = 0, *, crosses: bool = False, take_lots: int = 0, reply: str = "given"
    ) -> Outcome:
        """A request reaches the exchange; its reply is given, lost (nothing comes), or unknown (said so)."""
        command, sent_ns, life = self.requests.pop(i)
        self.exchange.next_crosses, self.exchange.take_lots = crosses, take_lots
        outcome = self.exchange.handle(command, sent_ns)
        if life != self.lives:
            # Whoever sent it is dead, and so is the connection for its reply.
            return outcome
        if reply == "given":
            self.replies.append(outcome)
        elif reply == "unknown":
            self.replies.append(Outcome(command.request, UNKNOWN))
        return outcome

    def lose_request(self, i: int = 0, *, is_said: bool = True) -> None:
        command, _, life = self.requests.pop(i)
        if is_said and life == self.lives:
            self.replies.append(Outcome(command.request, UNKNOWN))

    def reply(self, i: int = 0) -> None:
        self.manager.on_outcome(self.replies.pop(i), self.now_ns)

    def event(self, i: int = 0, *, keep: bool = False) -> Report:
        events = self.exchange.events
        report = events[i] if keep else events.pop(i)
        self.manager.on_report(report, self.now_ns)
        return report

    def flush(self) -> None:
        """Everything arrives."""
        for _ in range(1000):
            if self.requests:
                self.arrive()
            elif self.replies:
                self.reply()
            elif self.exchange.events:
                self.event()
            else:
                return
        raise AssertionError("it never ends")

    # --- Reconciliation -----------------------------------------------------------------------------------------

    def ask_exchange(self) -> None:
        since_ns = self.manager.executions_since_ns(SYMBOL)
        self.snapshots.append(
            (
                self.now_ns,
                self.exchange.listed(),
                self.exchange.executions(since_ns),
                self.exchange.holdings(),
            )
        )

    def answer(self, i: int = 0):
        asked_ns, listed, executions, holdings = self.snapshots.pop(i)
        return self.manager.reconcile(listed, executions, holdings, asked_ns, self.now_ns)

    def reconcile(self):
        self.ask_exchange()
        return self.answer(-1)

    def settle(self) -> None:
        """Time passes with good connections, until nothing is open that time can close."""
        self.manager.on_connection(True, self.now_ns)
        self.snapshots.clear()
        calm = 0
        for _ in range(60):
            self.flush()
            self.advance(1 * SECOND + 1)
            self.tick()
            self.flush()
            result = self.reconcile()
            self.flush()
            calm = calm + 1 if result.is_settled and not self.manager.commands.in_flight else 0
            if calm >= 12:
                return
        raise AssertionError(f"it does not settle: {result}, {self.manager.commands.in_flight}")

    # --- What must hold -----------------------------------------------------------------------------------------

    def true_orders(self, name: str) -> list[TrueOrder]:
        ids = self.manager.store.ids
        from daemon.orders.ids.client_ids import bot_hash

        return [
            order
            for order in self.exchange.orders.values()
            if (found := ids.read(order.client_id)) and found.bot == bot_hash(name)
        ]

    def check(self, *, is_exact: bool = True) -> None:
        """Manager, bots and exchange agree."""
        store = self.manager.store
        for true in self.exchange.orders.values():
            known = store.find(true.client_id)
            if store.ids.read(true.client_id) is None:
                continue
            if true.is_open:
                assert known is not None and known.client_id in store.alive, true
                assert (known.price_tick, known.qty_lots) == (true.price_tick, true.qty_lots)
            if known is not None:
                assert bool(known.finished_ns) is not true.is_open, (true, known)
                assert known.cum_lots == true.cum_lots, (known, true)
                assert known.status == true.status or true.is_open, (true, known)
                if is_exact:
                    assert known.executed_lots == true.cum_lots, (true, known)
                    assert known.written_off_lots == 0
        open_orders = [store.find(one.client_id) for one in self.exchange.open_orders()]
        assert set(store.alive) == {one.client_id for one in open_orders if one is not None}
        assert store.ledgers[SYMBOL].account_lots == self.exchange.position_lots
        for bot in self.bots.values():
            self._check_bot(bot, is_exact)
            if self.lives == 1:
                self._check_outcomes(bot)

    def _check_outcomes(self, bot: BotModel) -> None:
        """Each order that has ended is counted once, by how it has."""
        outcomes = self.manager.store.bots[bot.name].outcomes
        ended = Counter(order.status for order in self.true_orders(bot.name) if not order.is_open)
        assert outcomes["filled"] == ended[FILLED]
        assert outcomes["cancelled"] == ended[CANCELED]
        # What is refused as it would take has expired for the bot, and was never an order of the exchange's.
        assert outcomes["expired"] >= ended[EXPIRED]
        known = [one for one in self.manager.store.orders.values() if one.bot == bot.name and one.finished_ns]
        assert sum(outcomes.values()) == len(known)

    def _check_bot(self, bot: BotModel, is_exact: bool) -> None:
        store = self.manager.store
        ledger = store.ledgers[SYMBOL]
        fills = [fill for order in self.true_orders(bot.name) for fill in order.fills]
        book = ledger.book(bot.name)
        assert book.position_lots == sum(fill.side * fill.qty_lots for fill in fills)
        # Several executions may be told as one.
        assert book.num_trades == len(fills) or (self.by_totals and book.num_trades <= len(fills))
        assert book.volume_lots == sum(fill.qty_lots for fill in fills)
        assert abs(book.fee - sum(fill.qty_lots for fill in fills) * FEE_A_LOT) < 1e-9
        value = sum(fill.side * fill.qty_lots * fill.price_tick for fill in fills) * LOT * 0.1
        assert abs(book.balance + value) < 1e-6
        alive = [one for one in store.alive.values() if one.bot == bot.name]
        assert book.buy_lots == sum(one.exposure_lots for one in alive if one.side == 1)
        assert book.sell_lots == sum(one.exposure_lots for one in alive if one.side == -1)
        assert len(store.bot(bot.name).alive) == len(alive)
        if not store.bots[bot.name].is_attached:
            return
        assert bot.state == ledger.state(book), "the bot was told another account"
        told = sum(isinstance(one, wire.OrderUpdate) and one.executed for one in bot.updates)
        assert told <= len(fills) or not is_exact, "an execution was told twice"
        for order_id, local in bot.orders.items() if is_exact else ():
            self._check_local(bot, order_id, local)
        for one in alive:
            if store.owns_id(one):
                assert not bot.orders[one.order_id].is_inactive

    def _check_local(self, bot: BotModel, order_id: int, local: LocalOrder) -> None:
        assert local.req == NONE, (order_id, local)
        client_id = self.latest.get((bot.name, order_id))
        true = self.exchange.named(client_id or "")
        if true is None:
            assert local.is_inactive, (order_id, local)
            return
        if true.is_open:
            assert local.status in (NEW, PARTIALLY_FILLED)
            assert local.price_tick == true.price_tick
            assert round(local.leaves_qty / LOT) == true.qty_lots - true.cum_lots
        elif true.status == FILLED:
            assert local.status == FILLED, (local, true)
        else:
            assert local.status in (CANCELED, EXPIRED), (local, true)


def shuffled(seed: int, items: list) -> list:
    items = list(items)
    random.Random(seed).shuffle(items)
    return items


__all__ = [
    "BEGIN_NS",
    "LOT",
    "MS",
    "NUMBER",
    "SECOND",
    "BotModel",
    "Inline",
    "Killed",
    "World",
    "msgspec",
    "shuffled",
]
