"""What order management knows: orders, books, bots, executions; and its copy in the journal.

Rows that changed are collected and written in one call (`write`), before anything that follows from them leaves.

Limits: finished orders are remembered for `REMEMBER_NS`, and at most `MAX_REMEMBERED` of them, the oldest forgotten
first. A late fill of a forgotten order is still counted, since its id tells whose it is; but no order is made of it.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec
import structlog

from daemon.messages import SET_ASIDE, Instrument
from daemon.orders.bot import Bot
from daemon.orders.checkpoint import checkpoint, steps_of
from daemon.orders.ids.client_ids import MAX_BOT, ClientId, ClientIds, bot_hash, is_placeholder
from daemon.orders.ids.trades import Traded, Trades
from daemon.orders.journal import (
    At,
    Begin,
    BotRow,
    Forgotten,
    Halt,
    Journal,
    Refused,
    Row,
    Settled,
    Steps,
)
from daemon.orders.money import earning
from daemon.orders.money.balances import Wallet
from daemon.orders.money.kept import Kept
from daemon.orders.money.profit import Day, Funded, Paid, Watch
from daemon.orders.order import NEVER, Order, interrupt, rescale, retime, scaled
from daemon.orders.positions import BotBook, Forced, Ledger
from hftd import wire
from hftd.constants import BUY
from hftd.errors import DataError, RefusedError

GAP_NS: Final = 500_000_000
"""How long a missing execution is waited for before a reconciliation is wanted."""
AGAIN_NS: Final = 1_000_000_000
"""Between two reconciliations for the same missing execution."""
OVERLAP_NS: Final = 60_000_000_000
"""Executions are asked for from so long before the last reconciliation: clocks differ, and the lists lag."""
REMEMBER_NS: Final = 600_000_000_000
MAX_REMEMBERED: Final = 20_000
MAX_BOTS_KNOWN: Final = 1024
"""Bots that the journal remembers; those without orders and positions are forgotten first."""

_log = structlog.get_logger("hftd.orders")


class Store:
    """All of it; see the module.

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
        self.other_ids: dict[str, Order] = {}
        """Orders by the client ids that they have beside the first one."""
        self.alive: dict[str, Order] = {}
        self.by_id: dict[tuple[str, str, int], Order] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.by_number: dict[int, Ledger] = {}
        self.bots: dict[str, Bot] = {}
        self.hashes: dict[int, str] = {}
        self.trades = Trades()
        self.wallet = Wallet()
        self.settled_ns = 0
        self.forgotten_ts = 0
        self.birth_ns = 0
        self.halt_reason = ""
        self.halt_ends = False
        """A limit was reached: the bots' end policies are applied all the same."""
        self.money = Kept()
        self.by_totals = False
        """The exchange tells no executions with ids, but what each order has executed in all."""
        self.orders_sent = 0
        self.gaps: dict[str, int] = {}
        """Orders whose executions are missing, by client id, and since when."""
        self.wanted_ns = NEVER
        """When a reconciliation is wanted for anything but a gap."""
        self._reconciled_ns = 0
        self.is_restored = False
        self.own = {ids.identity}
        """The numbers of this connector in its orders' ids: this one, and those that it had."""
        self.adopts_old = True
        """Whether ids of before connectors had numbers are taken for this one's."""
        self.unfit: dict[str, str] = {}
        """Instruments of which the journal holds what is not a whole number of today's lots, and what."""
        self.off_grid: set[str] = set()
        """Client ids of open orders whose price is on no tick: they were sent before the exchange changed it."""
        self._run = ids.run
        self._finished: deque[tuple[int, str]] = deque()
        self._dirty_orders: dict[str, Order] = {}
        self._dirty_books: dict[tuple[str, str], BotBook] = {}
        self._rows: list[Row] = []
        self._notes: list[Row] = []
        self.waiting: dict[str, list[Order | BotBook]] = {}
        """By symbol, rows of the journal that are not taken over: its instrument is not known, or is unfit."""
        self.steps: dict[str, Steps] = {}
        """The steps in which these are; of the others those of the start."""
        self.closed = 0
        """Orders that were finished since the journal's file was begun."""
        if journal is not None:
            self.own |= journal.identities.keys()
            self._take(journal.take_rows())
            self._rows.append(self.run_row())

    def run_row(self) -> Begin:
        """This run, as the journal has it."""
        ids = self.ids
        account = self.journal.account if self.journal is not None else ""
        return Begin(ids.prefix, ids.run, self.settled_ns, account, ids.identity)

    # --- Whose an order is --------------------------------------------------------------------------------------

    def read_own(self, client_id: str) -> ClientId | None:
        """What the id of an order of this connector says; None for all others."""
        found = self.ids.read(client_id)
        if found is None:
            return None
        is_own = found.identity in self.own if found.identity else self.adopts_old
        return found if is_own else None

    def find(self, client_id: str) -> Order | None:
        """An order by any of its client ids."""
        return self.orders.get(client_id) or self.other_ids.get(client_id)

    def is_ours(self, client_id: str) -> bool:
        """Whether an order is this connector's."""
        return self.find(client_id) is not None or self.read_own(client_id) is not None

    # --- What changes -------------------------------------------------------------------------------------------

    def add(self, order: Order) -> None:
        """A new order."""
        self._note_run()
        self.orders[order.client_id] = order
        self._name(order)
        self._open(order)
        self.touch(order)

    def _name(self, order: Order) -> None:
        """Of orders with one id the bot means the one that is open, then the last; one that was adopted (without a
        bot's time) was made earlier.
        """
        known = self.by_id.get((order.bot, order.symbol, order.order_id))
        if known is None or known.finished_ns or (order.local_ts and not order.finished_ns):
            self.by_id[order.bot, order.symbol, order.order_id] = order

    def make_id(self, order: Order) -> str:
        """Another client id for an order, of what is to take its place."""
        client_id = self.ids.make(order.bot, order.order_id)
        self._note_run()
        order.other_ids = (*order.other_ids, client_id)
        self.other_ids[client_id] = order
        return client_id

    def _note_run(self) -> None:
        if self.ids.run != self._run:
            self._run = self.ids.run
            self._rows.append(self.run_row())
            if self.journal is not None:
                self.journal.keep(self.ids.identity, self._run)

    def _open(self, order: Order) -> None:
        self.alive[order.client_id] = order
        self.bot(order.bot).alive[order.client_id] = order
        self.weigh(order)

    def weigh(self, order: Order) -> None:
        """Count an order's exposure as it is now."""
        lots = order.exposure_lots
        more = lots - order.exposed_lots
        ledger = self.ledgers[order.symbol]
        if ledger.wallet is not None:
            ledger.wallet.weigh(ledger, order)
        if more:
            order.exposed_lots = lots
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
        self.off_grid.discard(order.client_id)
        self._finished.append((now_ns, order.client_id))
        self.closed += 1

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
        if ledger.symbol not in self.unfit:
            self._rows.append(steps_of(ledger))

    def settled(self, settled_ns: int, but: Collection[str] = ()) -> None:
        """The executions up to then, by the exchange's clock, are counted, but for those of some instruments."""
        for symbol, ledger in self.ledgers.items():
            held_ns = (ledger.unsettled_ns or self.settled_ns) if symbol in but else 0
            if ledger.unsettled_ns == held_ns:
                continue
            ledger.unsettled_ns = held_ns
            if symbol in self.unfit:
                self.steps[symbol] = msgspec.structs.replace(self.steps[symbol], unsettled_ns=held_ns)
                self._rows.append(self.steps[symbol])
            else:
                self.steps_changed(ledger)
        self.settled_ns = settled_ns
        self._rows.append(Settled(settled_ns))

    # --- Executions that are missing, and when to reconcile -------------------------------------------------------

    def want(self, due_ns: int) -> None:
        """Ask for a reconciliation, then or earlier."""
        self.wanted_ns = min(self.wanted_ns, due_ns)

    def reconciling(self, now_ns: int) -> None:
        """A reconciliation begins: none is wanted any more."""
        self.wanted_ns = NEVER
        self._reconciled_ns = now_ns

    @property
    def reconcile_due_ns(self) -> int:
        """When one is wanted; the oldest gap stands first."""
        if not self.gaps:
            return self.wanted_ns
        gap_ns = next(iter(self.gaps.values())) + GAP_NS
        return min(self.wanted_ns, max(gap_ns, self._reconciled_ns + AGAIN_NS))

    def note_gap(self, order: Order, now_ns: int) -> None:
        """Whether executions of an order are missing."""
        if order.gap_lots > 0:
            self.gaps.setdefault(order.client_id, now_ns)
        elif self.gaps:
            self.gaps.pop(order.client_id, None)

    def since_ns(self, symbol: str) -> int:
        """From which exchange time on executions of an instrument are needed."""
        ledger = self.ledgers.get(symbol)
        unsettled_ns = ledger.unsettled_ns if ledger else 0
        return max(0, min(self.settled_ns, unsettled_ns or self.settled_ns) - OVERLAP_NS)

    # --- Other changes --------------------------------------------------------------------------------------------

    def forced(self, book: BotBook, row: Forced) -> None:
        """The exchange closed a part of a bot's position; its book is changed already."""
        self._rows.append(row)
        self._dirty_books[book.bot, book.symbol] = book
        self.bot(book.bot).forced[row.symbol] = row

    def book_changed(self, book: BotBook) -> None:
        """A bot's book changed by what was written otherwise."""
        self._dirty_books[book.bot, book.symbol] = book

    def halted(self, reason: str, bot: str = "", ends: bool = False, by: str = "") -> None:
        """Halted, all or one bot (or, empty, nobody any more: a person has seen to what was the matter)."""
        self._take_halt(row := Halt(reason, bot, ends, by))
        self._rows.append(row)

    def _take_halt(self, row: Halt) -> None:
        if row.bot:
            self.bot(row.bot).halt_reason = row.reason
            return
        self.halt_reason, self.halt_ends = row.reason, row.ends
        if not row.reason:
            for bot in self.bots.values():
                bot.forced.clear()
                bot.halt_reason = ""

    def is_limited(self, bot: Bot) -> bool:
        """Whether a limit on money is reached, the bot's or the account's."""
        return bool(bot.halt_reason) or self.halt_ends

    def bot(self, name: str) -> Bot:
        """A bot by its name, made known if it is not."""
        bot = self.bots.get(name)
        if bot is None:
            bot = self.bots[name] = Bot(BotRow(name))
            mark = int(name[1:]) & MAX_BOT if is_placeholder(name) else bot_hash(name)
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
            bot.forced |= stand_in.forced
        self.money.days.rename(old, new)

    def forget(self, now_ns: int) -> None:
        """Let go of orders that were finished long ago."""
        finished, sought = self._finished, []
        while finished and (now_ns - finished[0][0] > REMEMBER_NS or len(finished) > MAX_REMEMBERED):
            finished_ns, client_id = one = finished.popleft()
            order = self.orders.get(client_id)
            if order is None or order.finished_ns != finished_ns:
                continue
            if client_id in self.gaps and len(sought) < MAX_REMEMBERED:
                # Its executions are still looked for.
                sought.append(one)
                continue
            del self.orders[client_id]
            for other in order.other_ids:
                self.other_ids.pop(other, None)
            self.forgotten_ts = max(self.forgotten_ts, order.local_ts)
            self.gaps.pop(client_id, None)
            self._dirty_orders.pop(client_id, None)
            order.cum_lots = order.executed_lots + order.written_off_lots
            self.weigh(order)
            if self.owns_id(order):
                del self.by_id[order.bot, order.symbol, order.order_id]
        finished.extendleft(reversed(sought))

    def _forget_bots(self) -> None:
        for name, bot in list(self.bots.items()):
            is_there = bot.is_attached or bot.row.has_lease or bot.alive or bot.row.is_ending
            if is_there or bot.forced or bot.halt_reason:
                continue
            books = [ledger.books[name] for ledger in self.ledgers.values() if name in ledger.books]
            if any(book.position_lots or book.buy_lots or book.sell_lots for book in books):
                continue
            del self.bots[name]
            self.money.forget(name)
            self.hashes.pop(bot_hash(name), None)
            for ledger in self.ledgers.values():
                if book := ledger.books.pop(name, None):
                    self.money.moved(ledger.settles_in, earning.ended(ledger, book).total)
                    # What the journal has of it is over as well.
                    self._dirty_books.pop((name, ledger.symbol), None)
                    self._rows.append(BotBook(name, ledger.symbol))
            return

    # --- The journal --------------------------------------------------------------------------------------------

    @property
    def is_dirty(self) -> bool:
        """Whether something is to be written."""
        return bool(self._dirty_orders or self._rows or self._dirty_books or self.money.has_changed)

    @property
    def changed_books(self) -> Collection[tuple[str, str]]:
        """Bots and symbols whose books changed since the last write."""
        return self._dirty_books.keys()

    def note(self, row: Row) -> None:
        """For those who read the journal. That the exchange refused is written with what follows from that."""
        (self._notes if isinstance(row, Refused) and row.client_id else self._rows).append(row)

    def write(self, now_ns: int) -> None:
        """Write what changed, and when that was.

        Raises:
            OSError: It could not be written.
        """
        rows = [At(now_ns), *self._notes, *self._rows]
        rows += [*self._dirty_books.values(), *self.money.take_changed(), *self._dirty_orders.values()]
        self._rows, self._notes = [], []
        self._dirty_books.clear()
        self._dirty_orders.clear()
        if self.journal is not None:
            self.journal.write(rows)

    def rows(self) -> Iterator[Row]:
        """All that is known, as rows of a journal."""
        for piece in checkpoint(self):
            yield from piece

    def begin(self, now_ns: int) -> None:
        """The first moment of this process."""
        self.birth_ns = now_ns
        for order in self.orders.values():
            retime(order, now_ns)
        # The journal has them as they were made; they are forgotten as they ended.
        self._finished = deque(sorted((min(at_ns, now_ns), one) for at_ns, one in self._finished))
        self.gaps = {one: min(at_ns, now_ns) for one, at_ns in self.gaps.items()}

    # --- Restoring ----------------------------------------------------------------------------------------------

    def _take(self, rows: list[Row]) -> None:
        """Sort what a journal holds: the last row of each thing counts."""
        orders: dict[str, Order] = {}
        books: dict[tuple[str, str], BotBook] = {}
        for row in rows:
            if isinstance(row, Order):
                before = orders.get(row.client_id)
                if before is not None and before.local_ts and not row.local_ts:
                    # It was forgotten, and adopted afterwards: there may be a younger one with its id.
                    self.forgotten_ts = max(self.forgotten_ts, before.local_ts)
                    del orders[row.client_id]
                orders[row.client_id] = row
            elif isinstance(row, BotBook):
                books[row.bot, row.symbol] = row
            elif isinstance(row, Traded):
                self.trades.restore(row)
            elif isinstance(row, BotRow):
                self.bot(row.name).row = row
            elif isinstance(row, Steps):
                self.steps[row.symbol] = row
            elif isinstance(row, Forced):
                self.bot(row.bot).forced[row.symbol] = row
            elif isinstance(row, Halt):
                self._take_halt(row)
            elif isinstance(row, Day | Watch | Funded | Paid):
                self.money.restore(row)
            elif isinstance(row, Forgotten):
                self.forgotten_ts = max(self.forgotten_ts, row.orders_ts)
                self.trades.forget_before(row.trades)
                self.money.forgotten_ns = max(self.money.forgotten_ns, row.payments_ns)
            elif isinstance(row, Begin | Settled):
                self.settled_ns = row.settled_ns or self.settled_ns
                self.is_restored = True
        for row in (*books.values(), *orders.values()):
            self.waiting.setdefault(row.symbol, []).append(row)

    def waiting_positions(self, name: str) -> list[str]:
        """Instruments that are not traded yet, and in which the journal has a position of a bot, or orders that may
        make one.
        """
        return [
            symbol
            for symbol, rows in self.waiting.items()
            if any(
                row.position_lots if isinstance(row, BotBook) else not row.finished_ns or row.gap_lots
                for row in rows
                if row.bot == name
            )
        ]

    def waiting_symbols(self) -> list[str]:
        """Instruments that the journal names and that are not known: the exchange does not list them."""
        return sorted({*self.waiting, *self.steps} - set(self.ledgers))

    def left_in(self, symbol: str) -> tuple[int, int]:
        """What the journal holds of an instrument and is set aside: bots' accounts, and orders that were open."""
        rows = self.waiting.get(symbol, ())
        books = sum(isinstance(row, BotBook) for row in rows)
        return books, sum(isinstance(row, Order) and not row.finished_ns for row in rows)

    def state(self, name: str, ledger: Ledger) -> wire.State:
        """A bot's account in an instrument.

        Of an instrument whose rows are set aside it is the journal's, in the steps in which the journal has it.
        """
        for row in self.waiting.get(ledger.symbol, ()):
            if isinstance(row, BotBook) and row.bot == name:
                steps = self.steps[ledger.symbol]
                instrument = msgspec.structs.replace(
                    ledger.instrument,
                    tick_size=Decimal(steps.tick_size),
                    lot_size=Decimal(steps.lot_size),
                )
                return Ledger(instrument).state(row)
        return ledger.state(ledger.book(name))

    def add_instrument(self, instrument: Instrument) -> None:
        """Make an instrument known, and restore what the journal holds of it.

        If that is not a whole number of today's lots, it stays in the journal as it is, and the instrument is not
        traded.
        """
        symbol = instrument.symbol
        ledger = self.ledgers.get(symbol)
        if ledger is None:
            ledger = self.ledgers[symbol] = Ledger(instrument)
            ledger.days = self.money.days
            # What such an account has is told as balances; there is no position to be compared.
            ledger.wallet = self.wallet if instrument.is_spot else None
            ledger.has_holding = instrument.is_spot
            try:
                self._restore_rows(ledger)
            except DataError as error:
                self.unfit[symbol] = error.what
                _log.error("item_set_aside", what="journal", symbol=symbol, why=error.what)
        self.by_number.pop(ledger.number, None)
        if symbol in self.unfit:
            instrument = msgspec.structs.replace(
                instrument, is_trading=False, trouble=SET_ASIDE, why=self.unfit[symbol]
            )
        ledger.describe(instrument)
        if ledger.wallet is not None:
            ledger.wallet.add(ledger)
        self.by_number[instrument.number] = ledger

    def _restore_rows(self, ledger: Ledger) -> None:
        symbol, instrument = ledger.symbol, ledger.instrument
        waiting = self.waiting.get(symbol, [])
        steps = self.steps.get(symbol)
        tick, lot = Fraction(1), Fraction(1)
        other_lots = 0
        if steps is not None:
            tick = Fraction(steps.tick_size) / Fraction(instrument.tick_size)
            lot = Fraction(steps.lot_size) / Fraction(instrument.lot_size)
            ledger.unsettled_ns = steps.unsettled_ns
            other_lots = scaled(steps.other_lots, lot, symbol)
        books = [row for row in waiting if isinstance(row, BotBook)]
        positions = [] if instrument.is_spot else [scaled(book.position_lots, lot, symbol) for book in books]
        if instrument.is_spot and steps is not None:
            # What is not a whole number of today's lots is dust.
            amounts = [book.position_lots * Decimal(steps.lot_size) + book.dust for book in books]
            splits = [ledger.split(amount) for amount in amounts]
            positions = [lots for lots, _ in splits]
            for book, (_, dust) in zip(books, splits, strict=True):
                book.dust = dust
        elif instrument.is_spot:
            positions = [book.position_lots for book in books]
        for row in waiting:
            if isinstance(row, Order) and row.gap_lots:
                # What is missing of it could not be told from what was rounded.
                scaled(row.cum_lots, lot, symbol)
                scaled(row.done_lots, lot, symbol)
        # From here on nothing can fail.
        self.waiting.pop(symbol, None)
        if steps is not None:
            ledger.other_lots = ledger.account_lots = other_lots
            ledger.has_holding = steps.has_holding or instrument.is_spot
        for book, position_lots in zip(books, positions, strict=True):
            if steps is not None and lot != 1:
                book.position_lots = position_lots
                volume = book.volume_lots * Decimal(steps.lot_size) + book.volume_dust
                book.volume_lots, book.volume_dust = ledger.split(volume)
                if book.start is not None:
                    book.start.lots *= float(lot)
            book.buy_lots = book.sell_lots = 0
            ledger.books[book.bot] = book
            for asset, fee in book.other_fees.items():
                ledger.foreign_fees[asset] = ledger.foreign_fees.get(asset, 0.0) + fee
            ledger.account_lots += book.position_lots
            self.bot(book.bot)
        for row in waiting:
            if isinstance(row, Order):
                if tick != 1 or lot != 1:
                    rescale(row, tick, lot)
                self._restore(row)
                if (tick != 1 or lot != 1) and not row.finished_ns:
                    row.query_due_ns = 0
        if steps is None or tick != 1 or lot != 1:
            self.steps_changed(ledger)
        if tick != 1 or lot != 1:
            # In the same record: what the journal has of it counts in the old steps, and would be read by the new ones.
            self._rows += waiting

    def _restore(self, order: Order) -> None:
        """An order as the journal has it."""
        interrupt(order)
        if self.birth_ns:
            retime(order, self.birth_ns)
        self.orders[order.client_id] = order
        for other in order.other_ids:
            self.other_ids[other] = order
        self._name(order)
        if order.finished_ns:
            if order.gap_lots > 0:
                self.gaps[order.client_id] = order.finished_ns
            # Whoever waited for its end is gone, and for an answer to what it left open; one that comes back asks.
            order.told, order.modify, order.cancel_ts = True, None, 0
            self._finished.append((order.finished_ns, order.client_id))
            self.weigh(order)
            return
        if order.gap_lots > 0:
            self.gaps[order.client_id] = order.submitted_ns
        if order.is_unsure:
            order.query_due_ns = 0
        self._open(order)
