"""The four books of an account, held against each other: the exchange's, the connector's, the journal's, the bots'.

Everything is counted anew from the exchange's orders and trades, so that no sum is compared with itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.orders.account import BotBook
from daemon.orders.client_ids import ClientIds, bot_hash
from daemon.orders.journal import Traded, read_rows
from daemon.orders.machine import Order
from daemon.orders.manager import OrderManager
from hftd.constants import CANCELED, EXPIRED, FILLED, NEW, PARTIALLY_FILLED, REJECTED

LOT, TICK = 0.001, 0.1
MONEY = 1e8
STATES = {
    "NEW": NEW,
    "PARTIALLY_FILLED": PARTIALLY_FILLED,
    "FILLED": FILLED,
    "CANCELED": CANCELED,
    "EXPIRED": EXPIRED,
    "EXPIRED_IN_MATCH": EXPIRED,
    "REJECTED": REJECTED,
}


@dataclass
class Totals:
    """What a bot has traded."""

    lots: int = 0
    volume: int = 0
    trades: int = 0
    fee: float = 0.0
    balance: float = 0.0


@dataclass
class Truth:
    """The exchange's book of one account, by bot.

    Args:
        raw: `Account.truth()`, or what the control page's `/truth` says.
        prefix: Of the orders that are ours.
        bots: Their names.
    """

    raw: Mapping[str, Any]
    prefix: str
    bots: tuple[str, ...]
    orders: dict[str, Any] = field(default_factory=dict)
    foreign: dict[str, Any] = field(default_factory=dict)
    trades: dict[str, Any] = field(default_factory=dict)
    totals: dict[str, Totals] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    position: int = 0
    foreign_lots: int = 0

    def __post_init__(self) -> None:
        ids = ClientIds(self.prefix, 0)
        names = {bot_hash(name): name for name in self.bots}
        self.totals = {name: Totals() for name in self.bots}
        for order in self.raw["orders"]:
            found = ids.read(order["client_id"])
            if found is None:
                self.foreign[order["client_id"]] = order
            else:
                self.orders[order["client_id"]] = order
                self.owner[order["client_id"]] = names[found.bot]
        executed: dict[str, int] = {}
        for trade in self.raw["trades"]:
            side, lots = trade["side"], trade["lots"]
            executed[trade["client_id"]] = executed.get(trade["client_id"], 0) + lots
            if trade["client_id"] not in self.orders:
                self.foreign_lots += side * lots
                continue
            self.trades[str(trade["trade_id"])] = trade
            total = self.totals[self.owner[trade["client_id"]]]
            total.lots += side * lots
            total.volume += lots
            total.trades += 1
            total.fee += trade["fee"] / MONEY
            total.balance -= side * trade["money"] / MONEY
        self.position = sum(one["lots"] for one in self.raw["positions"])
        # The exchange's own books agree, or nothing below means anything.
        assert self.position == self.foreign_lots + sum(one.lots for one in self.totals.values())
        for order in self.raw["orders"]:
            assert order["executed_lots"] == executed.get(order["client_id"], 0), order
        listed = {
            one["order_id"] for one in self.raw["orders"] if one["status"] in ("NEW", "PARTIALLY_FILLED")
        }
        assert listed == set(self.raw["open_orders"])

    @property
    def open(self) -> dict[str, Any]:
        """Our open orders."""
        return {name: one for name, one in self.orders.items() if is_open(one)}


def is_open(order: Mapping[str, Any]) -> bool:
    """Whether an order of the exchange is open."""
    return order["status"] in ("NEW", "PARTIALLY_FILLED")


class Faults:
    """What does not agree."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def expect(self, name: str, ours: object, true: object) -> None:
        """Two books' words for one thing."""
        if ours != true:
            self.found.append(f"{name}: {ours!r}, the exchange has {true!r}")

    def near(self, name: str, ours: float, true: float, tolerance: float) -> None:
        """The same for sums of money."""
        if not abs(ours - true) <= tolerance:
            self.found.append(f"{name}: {ours!r}, the exchange has {true!r}")

    def say(self, what: str) -> None:
        """Something that must not be."""
        self.found.append(what)


def compare_orders(faults: Faults, truth: Truth, orders: Mapping[str, Order], whose: str) -> None:
    """Each order of the exchange is known as it is, and each that is known is the exchange's."""
    for client_id, true in truth.orders.items():
        known = orders.get(client_id)
        if known is None:
            faults.say(f"{whose}: the order {client_id} is forgotten; the exchange has {true}")
            continue
        name = f"{whose}: order {client_id}"
        faults.expect(f"{name} bot", known.bot, truth.owner[client_id])
        faults.expect(f"{name} is open", known.finished_ns == 0, is_open(true))
        faults.expect(f"{name} executed", known.cum_lots, true["executed_lots"])
        faults.expect(f"{name} executed, by its fills", known.executed_lots, true["executed_lots"])
        faults.expect(f"{name} written off", known.written_off_lots, 0)
        if is_open(true):
            faults.expect(
                f"{name} price, quantity", (known.price_tick, known.qty_lots), (true["tick"], true["lots"])
            )
        else:
            faults.expect(f"{name} state", known.status, STATES[true["status"]])
    for client_id, known in orders.items():
        if client_id not in truth.orders and not (
            known.finished_ns and known.executed_lots == 0 and known.status in (REJECTED, EXPIRED)
        ):
            faults.say(f"{whose}: the exchange never had {known}")


def compare_book(faults: Faults, name: str, book: BotBook, true: Totals) -> None:
    """A bot's position and money."""
    faults.expect(f"{name} position", book.position_lots, true.lots)
    faults.expect(f"{name} trades", book.num_trades, true.trades)
    faults.expect(f"{name} volume", book.volume_lots, true.volume)
    faults.near(f"{name} fee", book.fee, true.fee, 1e-6)
    faults.near(f"{name} balance", book.balance, true.balance, 1e-4)


def compare_manager(faults: Faults, truth: Truth, manager: OrderManager, symbol: str, whose: str) -> None:
    """What the connector knows."""
    store = manager.store
    ledger = store.ledgers[symbol]
    compare_orders(faults, truth, store.orders, whose)
    faults.expect(f"{whose}: open orders", sorted(store.alive), sorted(truth.open))
    faults.expect(f"{whose}: the account's position", ledger.account_lots, truth.position)
    faults.expect(f"{whose}: the position of others", ledger.other_lots, truth.foreign_lots)
    for name in truth.bots:
        compare_book(
            faults,
            f"{whose}: bot {name}",
            ledger.books.get(name) or BotBook(name, symbol),
            truth.totals[name],
        )
        counted = [one for one in store.alive.values() if one.bot == name]
        faults.expect(f"{whose}: bot {name}, open orders", len(store.bot(name).alive), len(counted))
    faults.expect(f"{whose}: executions missing", dict(store.gaps), {})


def compare_journal(faults: Faults, truth: Truth, path: Path, symbol: str) -> int:
    """What the file says, read row by row. Returns how many rows it has."""
    rows, good = read_rows(path.read_bytes(), path)
    faults.expect("journal: whole records", good, path.stat().st_size)
    orders: dict[str, Order] = {}
    books: dict[str, BotBook] = {}
    trades: dict[str, Traded] = {}
    fees: set[str] = set()
    for row in rows:
        if isinstance(row, Order):
            orders[row.client_id] = row
        elif isinstance(row, BotBook):
            books[row.bot] = row
        elif isinstance(row, Traded) and row.client_id in truth.orders:
            if row.trade_id not in trades or row.qty_lots:
                trades[row.trade_id] = row
            if row.has_fee:
                fees.add(row.trade_id)
        elif isinstance(row, Traded) and row.trade_id in truth.trades:
            # Of an order that the run did not know any more.
            trades.setdefault(row.trade_id, row)
    compare_orders(faults, truth, orders, "journal")
    for name in truth.bots:
        compare_book(
            faults, f"journal: bot {name}", books.get(name) or BotBook(name, symbol), truth.totals[name]
        )
    faults.expect("journal: executions", sorted(trades), sorted(truth.trades))
    for trade_id, row in trades.items():
        true = truth.trades.get(trade_id)
        if true is not None and row.qty_lots:
            told = row.client_id, row.side, row.price_tick, row.qty_lots
            faults.expect(
                f"journal: execution {trade_id}",
                told,
                (true["client_id"], true["side"], true["tick"], true["lots"]),
            )
    return len(rows)
