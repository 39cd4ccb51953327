"""The four books of an account, held against each other: the exchange's, the connector's, the journal's, the bots'.

Everything is counted anew from the exchange's orders and trades, so that no sum is compared with itself; in decimal
numbers, since steps may change in between.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from daemon.messages import SET_ASIDE
from daemon.ops.records.reading import History
from daemon.orders.files.parts import unpack
from daemon.orders.ids.client_ids import ClientIds, bot_hash
from daemon.orders.ids.trades import Traded
from daemon.orders.journal import Row, Steps, read_rows
from daemon.orders.manager import OrderManager
from daemon.orders.order import Order
from daemon.orders.positions import BotBook, Forced
from daemon.orders.state import REMEMBER_NS
from hftd.constants import CANCELED, EXPIRED, FILLED, NEW, PARTIALLY_FILLED, REJECTED

PREFIX = "soak"
"""Of the orders of the soak's connector."""
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


class Step(NamedTuple):
    """In which ticks and lots an instrument is counted."""

    tick: Decimal
    lot: Decimal


class Asked(NamedTuple):
    """What a bot asked for: `what` is place or modify; the price is 0 for market orders."""

    what: str
    symbol: str
    side: str
    price: Decimal
    qty: Decimal


class Tolerance(NamedTuple):
    """How near sums of money must come, in the asset in which they are settled."""

    fee: float = 1e-6
    balance: float = 1e-4


LINEAR = Tolerance()


@dataclass
class Totals:
    """What a bot has traded in an instrument."""

    qty: Decimal = Decimal(0)
    volume: Decimal = Decimal(0)
    trades: int = 0
    fee: float = 0.0
    balance: float = 0.0
    value: float = 0.0
    foreign_fees: dict[str, float] = field(default_factory=dict)


@dataclass
class Truth:
    """The exchange's book of one account, by bot.

    Args:
        raw: `Account.truth()`, in words that all exchanges share.
        bots: Their names.
        forced_ids: How client ids of the exchange's own orders begin.
        inverse: By instrument, of those that are settled in their base: how much of the quote a contract is.
        tolerance: Of money.
        bases: By spot instrument, what is traded there: fees may be taken in it.

    Attributes:
        rounded: By instrument, how far finished orders may be rounded, if steps changed.
        forced: By instrument, how much the exchange sold and bought of its own accord.
    """

    raw: Mapping[str, Any]
    bots: tuple[str, ...]
    forced_ids: tuple[str, ...]
    orders: dict[str, Any] = field(default_factory=dict)
    foreign: list[Any] = field(default_factory=list)
    trades: dict[str, Any] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=dict)
    others: dict[str, Decimal] = field(default_factory=dict)
    rounded: dict[str, Decimal] = field(default_factory=dict)
    forced: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    inverse: Mapping[str, Decimal] = field(default_factory=dict)
    tolerance: Tolerance = LINEAR
    bases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {bot_hash(name): name for name in self.bots}
        self._totals: dict[tuple[str, str], Totals] = {}
        ids = {}
        for order in self.raw["orders"]:
            found = self._read(order["client_id"])
            if found is None:
                self.foreign.append(order)
            else:
                self.orders[order["client_id"]] = order
                self.owner[order["client_id"]] = names[found.bot]
            ids[order["order_id"]] = order["client_id"]
        executed: Counter[int] = Counter()
        others_fees: dict[str, Decimal] = {}
        for trade in self.raw["trades"]:
            symbol, qty = trade["symbol"], trade["side"] * Decimal(trade["qty"])
            executed[trade["order_id"]] += trade["lots"]
            if trade["client_id"].startswith(self.forced_ids):
                sold, bought = self.forced.get(symbol, (Decimal(0), Decimal(0)))
                self.forced[symbol] = (sold - qty, bought) if qty < 0 else (sold, bought + qty)
            fee = self._base_fee(trade)
            if trade["client_id"] not in self.orders:
                self.others[symbol] = self.others.get(symbol, Decimal(0)) + qty
                others_fees[symbol] = others_fees.get(symbol, Decimal(0)) + fee
                continue
            self.trades[trade_key(symbol, trade["trade_id"], trade["side"])] = trade
            total = self._totals.setdefault((self.owner[trade["client_id"]], symbol), Totals())
            self._add(total, trade)
        for one in self.raw["positions"]:
            self.positions[one["symbol"]] = self.positions.get(one["symbol"], Decimal(0)) + Decimal(
                one["qty"]
            )
        # The exchange's own books agree, or nothing below means anything.
        for symbol, position in self.positions.items():
            mine = sum((total.qty for (_, at), total in self._totals.items() if at == symbol), Decimal(0))
            others = self.others.get(symbol, Decimal(0)) - others_fees.get(symbol, Decimal(0))
            assert position == others + mine, symbol
        for order in self.raw["orders"]:
            assert order["executed_lots"] == executed[order["order_id"]], order
        listed = {
            one["order_id"] for one in self.raw["orders"] if one["status"] in ("NEW", "PARTIALLY_FILLED")
        }
        assert listed == set(self.raw["open_orders"])

    def sum_of(self, trades: Iterable[Mapping[str, Any]]) -> Totals:
        """What a bot's executions come to."""
        total = Totals()
        for trade in trades:
            self._add(total, trade)
        return total

    def _add(self, total: Totals, trade: Mapping[str, Any]) -> None:
        qty, base_fee = trade["side"] * Decimal(trade["qty"]), self._base_fee(trade)
        total.qty += qty - base_fee
        total.volume += abs(qty)
        total.trades += 1
        # One in the base counts by its value, as if the base had been sold for it.
        worth = float(base_fee * Decimal(trade["price"]))
        fee, asset = trade["fee"] / MONEY, trade["fee_asset"]
        if self._is_foreign(trade):
            total.foreign_fees[asset] = total.foreign_fees.get(asset, 0.0) + fee
        else:
            total.fee += worth or fee
        money = self.money(trade)
        total.balance += worth - trade["side"] * money
        total.value += money

    def money(self, trade: Mapping[str, Any]) -> float:
        """What a trade is worth: of an inverse contract without the exchange's rounding, which must be to a unit."""
        size = self.inverse.get(trade["symbol"])
        if size is None:
            return trade["money"] / MONEY
        worth = size * Decimal(trade["qty"]) / Decimal(trade["price"])
        assert abs(worth * int(MONEY) - trade["money"]) <= Decimal("0.5"), trade
        return float(worth)

    def _base_fee(self, trade: Mapping[str, Any]) -> Decimal:
        """What an execution cost in the base; 0 where its fee was taken in something else."""
        is_base = trade["fee_asset"] == self.bases.get(trade["symbol"])
        return trade["fee"] / Decimal(int(MONEY)) if is_base else Decimal(0)

    def _is_foreign(self, trade: Mapping[str, Any]) -> bool:
        """Whether a spot execution's fee was taken in neither base nor quote: without a rate it is kept apart."""
        base = self.bases.get(trade["symbol"])
        quote = trade["symbol"].removeprefix(base or "")
        return base is not None and trade["fee_asset"] not in (base, quote)

    def _read(self, client_id: str) -> Any:
        return ClientIds(PREFIX, 0).read(client_id)

    def total(self, bot: str, symbol: str) -> Totals:
        """What a bot has traded in an instrument."""
        return self._totals.get((bot, symbol)) or Totals()

    @property
    def symbols(self) -> list[str]:
        """In which bots have traded."""
        return sorted({symbol for _, symbol in self._totals})

    @property
    def open(self) -> dict[str, Any]:
        """Our open orders."""
        return {name: one for name, one in self.orders.items() if is_open(one)}


def trade_key(symbol: str, trade_id: object, side: int) -> str:
    """One side of a trade: a self-trade has one id for both."""
    return f"{symbol} {trade_id} {side}"


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
            self.found.append(f"{name}: {ours!s}, the exchange has {true!s}")

    def near(self, name: str, ours: float, true: float, tolerance: float) -> None:
        """The same for sums of money."""
        if not abs(ours - true) <= tolerance:
            self.found.append(f"{name}: {ours!r}, the exchange has {true!r}")

    def say(self, what: str) -> None:
        """Something that must not be."""
        self.found.append(what)


def steps_of(manager: OrderManager) -> dict[str, Step]:
    """In which steps order management counts."""
    return {
        symbol: Step(Decimal(str(one.instrument.tick_size)), Decimal(str(one.instrument.lot_size)))
        for symbol, one in manager.store.ledgers.items()
    }


def compare_requests(faults: Faults, truth: Truth, asked: Mapping[tuple[str, int], Iterable[Asked]]) -> int:
    """All that the exchange was asked for is what a bot asked for, to the last digit. Returns how much that was.

    What only reduces and was asked for by no bot closes what a dead one left. A bot modifies what remains of an order,
    the exchange wants the whole: what is known to be executed by then comes on top.
    """
    count = 0
    names = {bot_hash(name): name for name in truth.bots}
    wanted = {key: set(value) for key, value in asked.items()}
    executed: dict[str, set[Decimal]] = {}
    for trade in truth.trades.values():
        # Their short forms, which say no total, may come in another order.
        sums = executed.setdefault(trade["client_id"], {Decimal(0)})
        sums |= {one + Decimal(trade["qty"]) for one in sums}
    for one in truth.raw["requests"]:
        found = truth._read(one["client_id"])
        if found is None:
            continue
        count += 1
        price = Decimal(one["price"] or 0)
        told = Asked(one["what"], one["symbol"], one["side"], price, Decimal(one["qty"]))
        ours = wanted.get((names.get(found.bot, "?"), found.order_id), set())
        done = executed.get(one["client_id"], {Decimal(0)}) if one["what"] == "modify" else {Decimal(0)}
        if told.what == "modify" and not one["price"]:
            # It changes the quantity alone, and names no price.
            ours = {each._replace(price=price) for each in ours}
        if one["only_reduces"] or any(told._replace(qty=told.qty - part) in ours for part in done):
            continue
        faults.say(f"sent otherwise than asked: {one}")
    return count


def compare_orders(
    faults: Faults,
    truth: Truth,
    orders: Mapping[str, tuple[Order, Step]],
    whose: str,
    forgotten: Collection[str] = (),
) -> None:
    """Each order of the exchange is known as it is, and each that is known is the exchange's.

    Those in `forgotten` need not be known if they are not open.
    """
    for client_id, true in truth.orders.items():
        known, step = orders.get(client_id, (None, None))
        if known is None or step is None:
            if client_id in forgotten and not is_open(true):
                continue
            faults.say(f"{whose}: the order {client_id} is forgotten; the exchange has {true}")
            continue
        name = f"{whose}: order {client_id}"
        faults.expect(f"{name} bot", known.bot, truth.owner[client_id])
        faults.expect(f"{name} is open", known.finished_ns == 0, is_open(true))
        executed = Decimal(true["executed_qty"])
        # A finished one may have been rounded to coarser lots than today's; accounts never are.
        coarsest = Decimal(0) if is_open(true) else truth.rounded.get(true["symbol"], Decimal(0))
        for what, lots in (("executed", known.cum_lots), ("executed, by its fills", known.executed_lots)):
            if abs(lots * step.lot - executed) >= (coarsest or step.lot):
                faults.expect(f"{name} {what}", lots * step.lot, executed)
        faults.expect(f"{name} written off", known.written_off_lots, 0)
        if is_open(true):
            # One of before a change of steps may be on no tick of today's: then the nearest is known.
            price = Decimal(true["price"])
            if price % step.tick:
                price = (
                    known.price_tick * step.tick
                    if abs(known.price_tick * step.tick - price) < step.tick
                    else price
                )
            faults.expect(f"{name} price", known.price_tick * step.tick, price)
            faults.expect(f"{name} quantity", known.qty_lots * step.lot, Decimal(true["qty"]))
        else:
            faults.expect(f"{name} state", known.status, STATES[true["status"]])
    for client_id, (known, _) in orders.items():
        if client_id not in truth.orders and not (
            known.finished_ns and known.executed_lots == 0 and known.status in (REJECTED, EXPIRED)
        ):
            faults.say(f"{whose}: the exchange never had {known}")


def compare_book(
    faults: Faults,
    name: str,
    book: BotBook,
    step: Step,
    true: Totals,
    forced: tuple[Decimal, Decimal] | None,
    booked: Decimal | None = None,
    tolerance: Tolerance = LINEAR,
) -> None:
    """A bot's position and money.

    Args:
        faults: What does not agree.
        name: Of the book.
        book: What is known of the bot.
        step: In which it is.
        true: By the bot's own trades.
        forced: How much the exchange sold and bought of its own accord, None if it did not.
        booked: What of that the journal says was the bot's.
        tolerance: Of money.
    """
    position = book.position_lots * step.lot + book.dust
    if forced is not None:
        # Whose it was the exchange does not say, but it can't be more than it did.
        part = position - true.qty
        if not -forced[0] <= part <= forced[1]:
            faults.say(f"{name} position: {position}, by its own trades {true.qty}, forced {forced}")
        if booked is not None:
            faults.expect(f"{name} forced", part, booked)
        return
    faults.expect(f"{name} position", position, true.qty)
    faults.expect(f"{name} trades", book.num_trades, true.trades)
    faults.expect(f"{name} volume", book.volume_lots * step.lot + book.volume_dust, true.volume)
    faults.near(f"{name} fee", book.fee, true.fee, tolerance.fee)
    faults.near(f"{name} balance", book.balance, true.balance, tolerance.balance)
    faults.near(f"{name} value", book.trading_value, true.value, tolerance.balance)


def rows_of(path: Path) -> list[Row]:
    """All that was ever written into a journal, its parts included."""
    history = History(path)
    rows = [entry.row for entry in history.entries()]
    assert not history.damage, history.damage
    return rows


def long_finished(path: Path, now_ns: int) -> set[str]:
    """Orders in a journal that were finished so long ago, if it is `now_ns`, that they may be forgotten."""
    finished: dict[str, int] = {}
    for file in History(path).paths:
        data = file.read_bytes()
        if file.suffix == ".zst":
            data = b"".join(piece or b"" for _, piece in unpack(data))
        for row in read_rows(data, file)[0]:
            if isinstance(row, Order):
                # Checkpoints have them as they were restored: nothing in them lies ahead of the clock of that time.
                earlier = finished.get(row.client_id) or row.finished_ns
                finished[row.client_id] = min(row.finished_ns, earlier)
    return {name for name, at_ns in finished.items() if at_ns and now_ns - at_ns > REMEMBER_NS}


def compare_manager(
    faults: Faults, truth: Truth, manager: OrderManager, whose: str, forgotten: Collection[str] = ()
) -> None:
    """What the connector knows; the orders in `forgotten` it need not."""
    store = manager.store
    steps = steps_of(manager)
    known = {
        name: (order, steps[order.symbol]) for name, order in store.orders.items() if order.symbol in steps
    }
    compare_orders(faults, truth, known, whose, forgotten)
    faults.expect(f"{whose}: open orders", sorted(store.alive), sorted(truth.open))
    for symbol, ledger in store.ledgers.items():
        is_aside = symbol in store.unfit or ledger.instrument.trouble == SET_ASIDE
        if is_aside and symbol not in truth.symbols:
            # Somebody else's, and set aside: what there is of it does not fit today's lots.
            continue
        if symbol in truth.bases and symbol not in truth.symbols:
            # Somebody else's, perhaps of before it was listed here: what there is of it is in the balances.
            continue
        position, lot = truth.positions.get(symbol, Decimal(0)), steps[symbol].lot
        held = sum(one.position_lots for one in ledger.books.values()) + ledger.other_lots
        if symbol in truth.bases:
            # Fees leave parts of lots; what the account has is its balances.
            faults.expect(f"{whose}: all positions in {symbol}", held, ledger.account_lots)
        else:
            faults.expect(f"{whose}: the account's position in {symbol}", ledger.account_lots * lot, position)
            faults.expect(f"{whose}: all positions in {symbol}", held * lot, position)
        if symbol not in truth.forced:
            others = truth.others.get(symbol, Decimal(0))
            faults.expect(f"{whose}: the position of others in {symbol}", ledger.other_lots * lot, others)
        for name in truth.bots:
            compare_book(
                faults,
                f"{whose}: bot {name}, {symbol}",
                ledger.books.get(name) or BotBook(name, symbol),
                steps[symbol],
                truth.total(name, symbol),
                truth.forced.get(symbol),
                tolerance=truth.tolerance,
            )
    for name in truth.bots:
        counted = [one for one in store.alive.values() if one.bot == name]
        faults.expect(f"{whose}: bot {name}, open orders", len(store.bot(name).alive), len(counted))
    faults.expect(f"{whose}: executions missing", dict(store.gaps), {})


def compare_journal(faults: Faults, truth: Truth, path: Path, now: Mapping[str, Step]) -> int:
    """What the file says, read row by row. Returns how many rows it has.

    Args:
        faults: What does not agree.
        truth: The exchange's book.
        path: The file.
        now: In which steps rows are counted before it says so itself.
    """
    good = read_rows(path.read_bytes(), path)[1]
    rows = rows_of(path)
    faults.expect("journal: whole records", good, path.stat().st_size)
    orders: dict[str, tuple[Order, Step]] = {}
    books: dict[tuple[str, str], tuple[BotBook, Step]] = {}
    trades: dict[str, tuple[Traded, Step]] = {}
    booked: dict[tuple[str, str], Decimal] = {}
    steps = dict(now)
    for row in rows:
        if isinstance(row, Steps):
            steps[row.symbol] = Step(Decimal(row.tick_size), Decimal(row.lot_size))
        elif isinstance(row, Order):
            orders[row.client_id] = row, steps[row.symbol]
        elif isinstance(row, BotBook):
            books[row.bot, row.symbol] = row, steps[row.symbol]
        elif isinstance(row, Forced):
            qty = row.side * row.qty_lots * steps[row.symbol].lot
            booked[row.bot, row.symbol] = booked.get((row.bot, row.symbol), Decimal(0)) + qty
        elif isinstance(row, Traded):
            key = trade_key(row.symbol, row.trade_id, row.side)
            if row.client_id in truth.orders:
                if key not in trades or row.qty_lots:
                    trades[key] = row, steps[row.symbol]
            elif key in truth.trades:
                # Of an order that the run did not know any more.
                trades.setdefault(key, (row, steps[row.symbol]))
    compare_orders(faults, truth, orders, "journal")
    for symbol in truth.symbols:
        for name in truth.bots:
            book, step = books.get((name, symbol)) or (BotBook(name, symbol), steps[symbol])
            compare_book(
                faults,
                f"journal: bot {name}, {symbol}",
                book,
                step,
                truth.total(name, symbol),
                truth.forced.get(symbol),
                booked.get((name, symbol), Decimal(0)),
                truth.tolerance,
            )
    faults.expect("journal: executions", sorted(trades), sorted(truth.trades))
    for key, (row, step) in trades.items():
        true = truth.trades.get(key)
        if true is not None and row.qty_lots:
            told = row.client_id, row.side, row.qty_lots * step.lot
            faults.expect(
                f"journal: execution {key}", told, (true["client_id"], true["side"], Decimal(true["qty"]))
            )
            if not Decimal(true["price"]) % step.tick:
                faults.expect(
                    f"journal: execution {key} price", row.price_tick * step.tick, Decimal(true["price"])
                )
    return len(rows)
