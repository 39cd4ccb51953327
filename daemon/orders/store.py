"""What order management knows: orders, books, bots, executions; and its copy in the journal.

Rows that changed are collected and written in one call (`write`), before anything that follows from them leaves.

Limits: finished orders are remembered for `REMEMBER_NS`, and at most `MAX_REMEMBERED` of them, the oldest forgotten
first. A late fill of a forgotten order is still counted, since its id tells whose it is; but no order is made of it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

import structlog

from daemon.orders.account import BotBook, Ledger, Trades
from daemon.orders.client_ids import ClientIds, bot_hash
from daemon.orders.journal import Begin, BotRow, Halt, Journal, Row, Settled, Steps, Traded
from daemon.orders.limits import BotLimits, CompiledLimits, RateGate
from daemon.orders.machine import NEVER, SENT, UNSURE, Order
from daemon.orders.messages import Instrument
from daemon.orders.restored import retime
from hftd.constants import BUY
from hftd.errors import DataError, RefusedError

REMEMBER_NS: Final = 600_000_000_000
MAX_REMEMBERED: Final = 20_000
MAX_BOTS_KNOWN: Final = 1024
"""Bots that the journal remembers; those without orders and positions are forgotten first."""

_log = structlog.get_logger("hftd.orders")


class Bot:
    """A bot that is attached, or left something behind.

    Attributes:
        row: What the journal keeps of it.
        away_since_ns: Since when it has had no lease though it should; 0 if that is not so.
        limits: Its limits by symbol, made ready.
        gate: Its order rate.
        alive: Its orders that are not finished.
        flatten_tries: Orders sent to close its positions; `flatten_due_ns` when the next may be.
    """

    def __init__(self, row: BotRow) -> None:
        self.row = row
        self.name = row.name
        self.is_attached = False
        self.away_since_ns = 0
        self.limits = BotLimits()
        self.by_symbol: dict[str, CompiledLimits] = {}
        self.gate = RateGate(None)
        self.symbols: list[str] = []
        self.since_ns = -1
        self.flatten_tries = 0
        self.flatten_due_ns = 0
        self.alive: dict[str, Order] = {}
        self.requests = 0
        self.updates = 0
        self.refused = 0
        self.fills = 0


class Store:
    """See the module.

    Args:
        ids: Makes and reads client ids.
        journal: None to keep nothing.
        to_exchange: A moment of our clock by the exchange's; see `OrderManager`.
    """

    def __init__(
        self, ids: ClientIds, journal: Journal | None, to_exchange: Callable[[int], int] = lambda at_ns: at_ns
    ) -> None:
        self.ids = ids
        self.journal = journal
        self.to_exchange = to_exchange
        self.orders: dict[str, Order] = {}
        self.alive: dict[str, Order] = {}
        self.by_id: dict[tuple[str, str, int], Order] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.by_number: dict[int, Ledger] = {}
        self.bots: dict[str, Bot] = {}
        self.hashes: dict[int, str] = {}
        self.trades = Trades()
        self.settled_ns = 0
        self.birth_ns = 0
        self.halt_reason = ""
        self.orders_sent = 0
        self.gaps: dict[str, int] = {}
        self.is_restored = False
        self._finished: deque[tuple[int, str]] = deque()
        self._dirty_orders: dict[str, Order] = {}
        self._dirty_books: dict[tuple[str, str], BotBook] = {}
        self._rows: list[Row] = []
        self._waiting: dict[str, list[Order | BotBook]] = {}
        self._steps: dict[str, Steps] = {}
        if journal is not None:
            self._take(journal.take_rows())
            self._rows.append(Begin(ids.prefix, ids.run, self.settled_ns, journal.account))

    # --- What changes -------------------------------------------------------------------------------------------

    def add(self, order: Order) -> None:
        """A new order."""
        self.orders[order.client_id] = order
        self.by_id[order.bot, order.symbol, order.order_id] = order
        self._open(order)
        self.touch(order)

    def _open(self, order: Order) -> None:
        self.alive[order.client_id] = order
        self.bot(order.bot).alive[order.client_id] = order
        self.weigh(order)

    def weigh(self, order: Order) -> None:
        """Count an order's exposure as it is now."""
        lots = order.exposure_lots
        more = lots - order.exposed_lots
        if more:
            order.exposed_lots = lots
            ledger = self.ledgers[order.symbol]
            book = ledger.book(order.bot)
            if order.side == BUY:
                book.buy_lots += more
                ledger.buy_lots += more
            else:
                book.sell_lots += more
                ledger.sell_lots += more

    def touch(self, order: Order) -> None:
        """An order changed: count its exposure, and write it into the journal."""
        self._dirty_orders[order.client_id] = order
        self.ledgers[order.symbol].extremes.pop((order.bot, order.side), None)
        self.weigh(order)

    def finished(self, order: Order, now_ns: int) -> None:
        """An order is not alive any more."""
        del self.alive[order.client_id]
        del self.bots[order.bot].alive[order.client_id]
        self._finished.append((now_ns, order.client_id))

    def revived(self, order: Order) -> None:
        """An order that was given up is alive."""
        self._open(order)
        key = order.bot, order.symbol, order.order_id
        self.by_id.setdefault(key, order)

    def owns_id(self, order: Order) -> bool:
        """Whether the bot means this order by its id; it may have used it for a new one."""
        return self.by_id.get((order.bot, order.symbol, order.order_id)) is order

    def traded(self, book: BotBook | None, row: Traded) -> None:
        """An execution was counted."""
        self._rows.append(row)
        if book is None:
            self.steps_changed(self.ledgers[row.symbol])
        else:
            self._dirty_books[book.bot, book.symbol] = book

    def steps_changed(self, ledger: Ledger) -> None:
        """What of an account's position is no bot's changed."""
        self._rows.append(self._steps_of(ledger))

    def settled(self, settled_ns: int) -> None:
        """The executions up to then, by the exchange's clock, are counted."""
        self.settled_ns = settled_ns
        self._rows.append(Settled(settled_ns))

    def halted(self, reason: str) -> None:
        """Halted (or, empty, not any more)."""
        self.halt_reason = reason
        self._rows.append(Halt(reason))

    def bot(self, name: str) -> Bot:
        """A bot by its name, made known if it is not."""
        bot = self.bots.get(name)
        if bot is None:
            bot = self.bots[name] = Bot(BotRow(name))
            mark = int(name[1:]) if is_placeholder(name) else bot_hash(name)
            self.hashes.setdefault(mark, name)
        return bot

    def check_hash(self, name: str) -> None:
        """Refuse a bot whose orders' ids could not be told from another's.

        Raises:
            RefusedError: So it is.
        """
        other = self.hashes.get(bot_hash(name), name)
        if other != name and not is_placeholder(other):
            raise RefusedError(
                f"the name {name!r} has the same mark in order ids as the bot {other!r}",
                hint="give one of them another name",
            )

    def bot_changed(self, bot: Bot) -> None:
        """Its lease or end policy changed."""
        self._rows.append(bot.row)
        if len(self.bots) > MAX_BOTS_KNOWN:
            self._forget_bots()

    def bot_of_hash(self, number: int) -> str:
        """The bot with that mark in its ids; a stand-in until one of that name attaches."""
        name = self.hashes.get(number)
        if name is None:
            name = f"?{number}"
        return name

    def rename(self, old: str, new: str) -> None:
        """The bot that a stand-in stood for has come."""
        self.hashes[bot_hash(new)] = new
        for order in list(self.orders.values()):
            if order.bot != old:
                continue
            self.by_id.pop((old, order.symbol, order.order_id), None)
            order.bot = new
            self.by_id.setdefault((new, order.symbol, order.order_id), order)
            self._dirty_orders[order.client_id] = order
        for ledger in self.ledgers.values():
            if left := ledger.books.pop(old, None):
                left.bot = new
                ledger.books[new] = left
                self._dirty_books[new, ledger.symbol] = left
        bot = self.bot(new)
        if stand_in := self.bots.pop(old, None):
            bot.alive |= stand_in.alive

    def forget(self, now_ns: int) -> None:
        """Let go of orders that were finished long ago."""
        finished = self._finished
        while finished and (now_ns - finished[0][0] > REMEMBER_NS or len(finished) > MAX_REMEMBERED):
            finished_ns, client_id = finished[0]
            if client_id in self.gaps and len(finished) <= 2 * MAX_REMEMBERED:
                # Its executions are still looked for.
                return
            finished.popleft()
            order = self.orders.get(client_id)
            if order is None or order.finished_ns != finished_ns:
                continue
            del self.orders[client_id]
            self.gaps.pop(client_id, None)
            self._dirty_orders.pop(client_id, None)
            order.cum_lots = order.executed_lots + order.written_off_lots
            self.weigh(order)
            if self.owns_id(order):
                del self.by_id[order.bot, order.symbol, order.order_id]

    def _forget_bots(self) -> None:
        for name, bot in list(self.bots.items()):
            if bot.is_attached or bot.row.has_lease or bot.alive or bot.row.is_ending:
                continue
            books = [ledger.books[name] for ledger in self.ledgers.values() if name in ledger.books]
            if any(book.position_lots or book.buy_lots or book.sell_lots for book in books):
                continue
            del self.bots[name]
            self.hashes.pop(bot_hash(name), None)
            for ledger in self.ledgers.values():
                ledger.books.pop(name, None)
            return

    # --- The journal --------------------------------------------------------------------------------------------

    @property
    def is_dirty(self) -> bool:
        """Whether something is to be written."""
        return bool(self._dirty_orders or self._rows)

    def write(self) -> None:
        """Write what changed.

        Raises:
            OSError: It could not be written.
        """
        rows = self._rows
        rows += self._dirty_books.values()
        rows += self._dirty_orders.values()
        self._rows = []
        self._dirty_books.clear()
        self._dirty_orders.clear()
        if self.journal is not None:
            self.journal.write(rows)

    def rows(self) -> Iterator[Row]:
        """All that is known, as rows of a journal."""
        account = self.journal.account if self.journal is not None else ""
        yield Begin(self.ids.prefix, self.ids.run, self.settled_ns, account)
        if self.halt_reason:
            yield Halt(self.halt_reason)
        for bot in self.bots.values():
            yield bot.row
        for symbol, ledger in self.ledgers.items():
            if ledger.books or ledger.other_lots or symbol in self._steps:
                yield self._steps_of(ledger)
                yield from ledger.books.values()
        for symbol, waiting in self._waiting.items():
            if symbol in self._steps:
                yield self._steps[symbol]
            yield from waiting
        for symbol, trade_id, exch_ns, has_fee in self.trades.rows():
            yield Traded(symbol, trade_id, exch_ns, has_fee)
        yield from self.orders.values()

    def _steps_of(self, ledger: Ledger) -> Steps:
        instrument = ledger.instrument
        return Steps(
            ledger.symbol,
            str(instrument.tick_size),
            str(instrument.lot_size),
            ledger.other_lots,
            ledger.has_holding,
        )

    def begin(self, now_ns: int) -> None:
        """The first moment of this process."""
        self.birth_ns = now_ns
        for order in self.orders.values():
            retime(order, now_ns)
        self._finished = deque((min(at_ns, now_ns), one) for at_ns, one in self._finished)
        self.gaps = {one: min(at_ns, now_ns) for one, at_ns in self.gaps.items()}

    # --- Restoring ----------------------------------------------------------------------------------------------

    def _take(self, rows: list[Row]) -> None:
        """Sort what a journal holds: the last row of each thing counts."""
        orders: dict[str, Order] = {}
        books: dict[tuple[str, str], BotBook] = {}
        for row in rows:
            if isinstance(row, Order):
                orders[row.client_id] = row
            elif isinstance(row, BotBook):
                books[row.bot, row.symbol] = row
            elif isinstance(row, Traded):
                self.trades.note(row.symbol, row.trade_id, row.exch_ns, row.has_fee)
            elif isinstance(row, BotRow):
                self.bot(row.name).row = row
            elif isinstance(row, Steps):
                self._steps[row.symbol] = row
            elif isinstance(row, Halt):
                self.halt_reason = row.reason
            else:
                self.settled_ns = row.settled_ns or self.settled_ns
                self.is_restored = True
        for row in (*books.values(), *orders.values()):
            self._waiting.setdefault(row.symbol, []).append(row)

    def waiting_symbols(self) -> list[str]:
        """Instruments that the journal names and that are not known yet."""
        return sorted({*self._waiting, *self._steps} - set(self.ledgers))

    def add_instrument(self, instrument: Instrument) -> None:
        """Make an instrument known, and restore what the journal holds of it.

        Raises:
            DataError: Its lots are others than the journal's, and what the journal holds is no whole number of them.
        """
        symbol = instrument.symbol
        ledger = self.ledgers.get(symbol)
        if ledger is not None:
            self.by_number.pop(ledger.number, None)
            ledger.describe(instrument)
            self.by_number[instrument.number] = ledger
            return
        ledger = self.ledgers[symbol] = Ledger(instrument)
        self.by_number[instrument.number] = ledger
        waiting = self._waiting.pop(symbol, [])
        steps = self._steps.get(symbol)
        tick, lot = Fraction(1), Fraction(1)
        if steps is not None:
            tick = Fraction(steps.tick_size) / Fraction(instrument.tick_size)
            lot = Fraction(steps.lot_size) / Fraction(instrument.lot_size)
            ledger.other_lots = ledger.account_lots = _scaled(steps.other_lots, lot, symbol)
            ledger.has_holding = steps.has_holding
        for row in waiting:
            if isinstance(row, BotBook):
                if lot != 1:
                    row.position_lots = _scaled(row.position_lots, lot, symbol)
                    row.volume_lots = round(row.volume_lots * lot)
                row.buy_lots = row.sell_lots = 0
                ledger.books[row.bot] = row
                ledger.account_lots += row.position_lots
                self.bot(row.bot)
            else:
                if tick != 1 or lot != 1:
                    _rescale(row, tick, lot)
                self._restore(row)
                if (tick != 1 or lot != 1) and not row.finished_ns:
                    row.query_due_ns = 0
        if steps is None or tick != 1 or lot != 1:
            self.steps_changed(ledger)

    def _restore(self, order: Order) -> None:
        """An order as the journal has it: what was under way is now unsure."""
        order.place_request = order.cancel_request = order.query_request = 0
        order.cancel_tries = order.query_tries = 0
        order.cancel_due_ns = order.query_due_ns = order.timer_ns = order.hold_until_ns = NEVER
        order.exposed_lots = 0
        if self.birth_ns:
            retime(order, self.birth_ns)
        self.orders[order.client_id] = order
        # They come in the order in which they were made: of those with one id, the bot means the last.
        self.by_id[order.bot, order.symbol, order.order_id] = order
        if order.finished_ns:
            if order.gap_lots > 0:
                self.gaps[order.client_id] = order.finished_ns
            # Whoever waited for its end is gone; one that comes back asks.
            order.told = True
            self._finished.append((order.finished_ns, order.client_id))
            self.weigh(order)
            return
        if order.place == SENT:
            order.place = UNSURE
        if order.amend is not None:
            order.amend.phase = UNSURE
        if order.gap_lots > 0:
            self.gaps[order.client_id] = order.placed_ns
        if order.is_unsure:
            order.query_due_ns = 0
        self._open(order)


def is_placeholder(name: str) -> bool:
    """Whether a bot's name stands in for one that is not known."""
    return name.startswith("?")


def _scaled(lots: int, factor: Fraction, symbol: str) -> int:
    scaled = lots * factor
    if scaled.denominator != 1:
        raise DataError(
            f"the journal holds {lots} lots of {symbol} that are no whole number of its lots of today",
            where=symbol,
            hint="the exchange changed its lot size; move the journal away, and it is learned anew what is open",
        )
    return int(scaled)


def _rescale(order: Order, tick: Fraction, lot: Fraction) -> None:
    """An order in other steps. What does not fit is rounded, and put right by the exchange's own answer."""
    order.price_tick = round(order.price_tick * tick)
    order.exec_price_tick = round(order.exec_price_tick * tick)
    for name in ("qty_lots", "cum_lots", "executed_lots", "written_off_lots", "base_lots", "exec_lots"):
        setattr(order, name, round(getattr(order, name) * lot))
    if order.amend is not None:
        order.amend.price_tick = round(order.amend.price_tick * tick)
        order.amend.qty_lots = round(order.amend.qty_lots * lot)
        order.amend.base_lots = round(order.amend.base_lots * lot)
