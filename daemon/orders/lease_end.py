"""What happens to orders that their bot does not mind any more: ends of leases, halts, books that are not valid.

A bot's end policy holds from the moment its lease is over. After a restart of the connector nobody has a lease; bots
that had one get `ORPHAN_NS` to come back, counted from the first connection, before their policies are applied.
Flattening goes on instrument by instrument until the bot is flat, over restarts too. It waits until the bot's orders in
an instrument are finished, executions included, and closes the position by reduce-only market orders. An order that
closes nothing is followed by the next after 1, 1, 1, 2, 4 ... 30 s, without an end; over all instruments
there are at most `CLOSING_PER_S` orders a second. Where the account has nothing to reduce in the bot's direction, since
somebody else holds the opposite, it waits until it has. What is not closed is a warning. On a spot account what can be
closed may be below the exchange's least quantity or value: once its filters have refused that `QUICK_TRIES` times, it
waits until there is more.

Where a limit on money is reached (`money/watching.py`) orders are cancelled, and a bot whose end policy is to flatten
is flattened in the same way though it has its lease, until a person resumes.
"""

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from daemon.orders.bot import Bot, Flattening
from daemon.orders.commands import Commands
from daemon.orders.ids.client_ids import bot_hash, is_placeholder
from daemon.orders.journal import BotRow
from daemon.orders.limits import BotLimits, RateGate
from daemon.orders.order import NEVER, Order
from daemon.orders.positions import Ledger, known_tick
from daemon.orders.requests import BotRequests
from daemon.orders.snapshot import Counters, Refusals, is_stuck, whose
from daemon.orders.state import Store
from hftd import wire
from hftd.constants import (
    BUY,
    IOC,
    MARKET,
    REASON_BOOK_NOT_VALID,
    REASON_FILTER,
    REASON_HALTED,
    REASON_LEASE_ENDED,
    REASON_REDUCE_ONLY,
    REJECTED,
    SELL,
)
from hftd.control import status

ORPHAN_NS: Final = 10_000_000_000
FLATTEN_PAUSE_NS: Final = 1_000_000_000
FLATTEN_PAUSE_MAX_NS: Final = 30_000_000_000
QUICK_TRIES: Final = 3
CLOSING_PER_S: Final = 20
"""Closing orders of all bots together."""
FLATTEN_IDS: Final = 1 << 63
"""Orders that close a bot's position have ids from here on, which no bot uses."""

_log = structlog.get_logger("hftd.orders")


class LeaseEnds:
    """Ends leases, closes positions, halts; see the module."""

    def __init__(
        self, store: Store, commands: Commands, requests: BotRequests, counters: Counters, refusals: Refusals
    ) -> None:
        self._store = store
        self._commands = commands
        self._requests = requests
        self._counters = counters
        self._refusals = refusals
        self._closing = RateGate(CLOSING_PER_S)
        self.take_back: Callable[[int, str], None] = lambda _now_ns, _bot: None
        """Refuses new orders and changes that wait to be sent; those that close a position may go."""

    # --- Leases -------------------------------------------------------------------------------------------------

    def attach(
        self, name: str, instruments: Sequence[int], limits: BotLimits, on_end: str, now_ns: int
    ) -> None:
        """See `OrderManager.attach`."""
        store = self._store
        store.check_hash(name)
        stand_in = store.hashes.get(bot_hash(name), name)
        if is_placeholder(stand_in):
            store.rename(stand_in, name)
        bot = store.bot(name)
        ledgers = [store.by_number[number] for number in instruments]
        for ledger in ledgers:
            ledger.book(name)
        bot.symbols = [ledger.symbol for ledger in ledgers]
        self._requests.set_limits(bot, limits, bot.symbols)
        bot.row = BotRow(name, on_end, limits.pull_quotes, has_lease=True)
        bot.is_attached = True
        bot.since_ns = now_ns
        bot.away_since_ns = 0
        bot.flattening.clear()
        store.bot_changed(bot)

    def detach(self, name: str, now_ns: int) -> None:
        """See `OrderManager.detach`."""
        bot = self._store.bots.get(name)
        if bot is not None and bot.is_attached:
            bot.is_attached = False
            self._end(bot, now_ns)

    def _end(self, bot: Bot, now_ns: int) -> None:
        """The bot's lease is over."""
        row = bot.row
        bot.away_since_ns = 0
        bot.flattening.clear()
        bot.row = BotRow(row.name, row.on_end, row.pull_quotes, is_ending=row.on_end == "flatten")
        self._store.bot_changed(bot)
        if row.on_end != "keep":
            for order in list(bot.alive.values()):
                self._cancel(order, REASON_LEASE_ENDED, now_ns)

    def _cancel(self, order: Order, reason: int, now_ns: int) -> None:
        if not order.cancel_wanted:
            order.reason = reason
        self._commands.want_cancel(order, now_ns)
        self._store.touch(order)

    def adopted(self, order: Order, now_ns: int) -> None:
        """An order of ours was found at the exchange, or in the journal once its instrument was listed again."""
        bot = self._store.bot(order.bot)
        if (
            bot.is_attached
            or bot.away_since_ns
            or (bot.row.on_end == "keep" and not is_placeholder(bot.name))
        ):
            return
        if bot.row.has_lease or is_placeholder(bot.name) or not self._store.is_restored:
            # Its bot may come back for it.
            bot.away_since_ns = now_ns
        else:
            self._cancel(order, REASON_LEASE_ENDED, now_ns)

    def went_up(self, now_ns: int) -> None:
        """The exchange can be reached: from now on bots that should have a lease are waited for."""
        for bot in self._store.bots.values():
            if not bot.is_attached and not bot.away_since_ns and (bot.row.has_lease or _is_orphaned(bot)):
                bot.away_since_ns = now_ns

    # --- Time ---------------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> int:
        """Do what is due; when next."""
        due_ns = NEVER
        for bot in list(self._store.bots.values()):
            if bot.away_since_ns:
                if now_ns - bot.away_since_ns >= ORPHAN_NS:
                    _log.warning("bot_lease_expired", bot=bot.name)
                    self._end(bot, now_ns)
                else:
                    due_ns = min(due_ns, bot.away_since_ns + ORPHAN_NS)
            is_left = bot.row.is_ending and not bot.is_attached
            if is_left or (bot.row.on_end == "flatten" and self._store.is_limited(bot)):
                due_ns = min(due_ns, self._flatten(bot, now_ns))
        return due_ns

    def order_ended(self, order: Order, now_ns: int) -> None:
        """An order is finished, executions included."""
        bot = self._store.bots[order.bot]
        if not (order.reduce_only and (bot.row.is_ending or self._store.is_limited(bot))):
            return
        flattening = bot.flattening.setdefault(order.symbol, Flattening(now_ns))
        if order.executed_lots:
            flattening.tries = 0
            flattening.why = ""
            flattening.is_refused = False
        else:
            flattening.tries += 1
            words = self._refusals.last_words(bot.name, order.symbol, order.reason)
            flattening.why = f"refused, {words}" if order.status == REJECTED else "nobody took its order"
            flattening.is_refused = order.reason == REASON_REDUCE_ONLY
            flattening.is_filtered = order.reason == REASON_FILTER
        # The first tries follow each other quickly: what was refused for a moment is to be closed now.
        pause_ns = FLATTEN_PAUSE_NS << min(max(0, flattening.tries - QUICK_TRIES), 10)
        flattening.due_ns = now_ns + min(pause_ns, FLATTEN_PAUSE_MAX_NS)

    def _flatten(self, bot: Bot, now_ns: int) -> int:
        """Close a bot's positions, each instrument's by itself; when to look again."""
        store = self._store
        due_ns = NEVER
        for symbol, ledger in store.ledgers.items():
            book = ledger.books.get(bot.name)
            if book is None or not book.position_lots:
                bot.flattening.pop(symbol, None)
                continue
            flattening = bot.flattening.get(symbol)
            if flattening is None:
                flattening = bot.flattening[symbol] = Flattening(now_ns)
            due_ns = min(due_ns, self._flatten_in(bot, ledger, book.position_lots, flattening, now_ns))
            if not flattening.is_counted and is_stuck(flattening, now_ns):
                flattening.is_counted = True
                self._counters.not_flattened += 1
                _log.error(
                    "position_not_closed",
                    bot=bot.name,
                    symbol=symbol,
                    position=ledger.qty(book.position_lots),
                    why=flattening.why,
                )
        if due_ns != NEVER:
            return due_ns
        if bot.alive or store.waiting_positions(bot.name) or self._has_gaps(bot):
            return now_ns + FLATTEN_PAUSE_NS
        row = bot.row
        if not row.is_ending:
            # A limit is reached, and it has its lease; what it still executes is closed as well.
            return NEVER
        bot.row = BotRow(row.name, row.on_end, row.pull_quotes)
        store.bot_changed(bot)
        return NEVER

    def _has_gaps(self, bot: Bot, symbol: str = "") -> bool:
        """Whether executions of a bot's orders are missing."""
        orders = (self._store.orders[one] for one in self._store.gaps)
        return any(one.bot == bot.name and symbol in ("", one.symbol) for one in orders)

    def _flatten_in(self, bot: Bot, ledger: Ledger, lots: int, flattening: Flattening, now_ns: int) -> int:
        """Close a bot's position in an instrument, once its orders there are finished; when to look again."""
        store, symbol = self._store, ledger.symbol
        again_ns = now_ns + FLATTEN_PAUSE_NS
        if any(order.symbol == symbol for order in bot.alive.values()) or self._has_gaps(bot, symbol):
            return again_ns
        # What the account has in the bot's direction; another bot, or a hand, may hold the opposite. On a spot account
        # two bots have no position in common: what one traded is there, unless a hand has taken it back.
        side = 1 if lots > 0 else -1
        held = ledger.account_lots if ledger.wallet is None else lots + ledger.other_lots
        reducible = held * side
        qty_lots = min(abs(lots), reducible) if reducible > 0 else abs(lots)
        is_filtered = flattening.is_filtered and flattening.tries >= QUICK_TRIES
        is_small = is_filtered and _is_dust(ledger, bot.name, qty_lots)
        if is_small and not flattening.is_void:
            _log.warning("position_left", bot=bot.name, symbol=symbol, position=ledger.qty(qty_lots))
        is_void = is_small or (reducible <= 0 and (ledger.has_holding or flattening.is_refused))
        if flattening.is_void and not is_void:
            # What filters refused again and again is tried at its pace: its worth goes up and down with the price.
            flattening.due_ns = flattening.due_ns if is_filtered else now_ns
            flattening.why = ""
        flattening.is_void = is_void
        if is_void:
            what = "less to reduce than an order may be" if is_small else "nothing to reduce"
            flattening.why = f"the account has {what}: {whose(ledger, bot.name)}"
            return again_ns
        if flattening.due_ns > now_ns:
            return flattening.due_ns
        # A limit that is reached halts so that this is done; a person who halts looks first.
        is_broken = store.journal is not None and store.journal.is_broken
        is_halted = is_broken or (bool(store.halt_reason) and not store.halt_ends)
        if not self._commands.is_up or is_halted:
            if not flattening.tries:
                flattening.why = "halted" if is_halted else "orders can't be sent"
            return again_ns
        if not self._closing.is_open(now_ns):
            return now_ns + FLATTEN_PAUSE_NS // CLOSING_PER_S
        self._closing.take(now_ns)
        flattening.due_ns = again_ns
        self._close(bot, ledger, lots, qty_lots, now_ns)
        return again_ns

    def _close(self, bot: Bot, ledger: Ledger, lots: int, qty_lots: int, now_ns: int) -> None:
        instrument = ledger.instrument
        most = instrument.market_max_qty_lots or instrument.max_qty_lots or qty_lots
        qty_lots = min(qty_lots, most)
        message = wire.Submit(
            instrument=ledger.number,
            order_id=FLATTEN_IDS | self._store.ids.made,
            side=SELL if lots > 0 else BUY,
            order_type=MARKET,
            time_in_force=IOC,
            price_tick=0,
            qty=ledger.qty(qty_lots),
            local_ts=now_ns,
        )
        _log.info("position_closing", bot=bot.name, symbol=ledger.symbol, lots=-lots)
        self._requests.send(bot, ledger, message, qty_lots, now_ns, reduce_only=True)

    def unfinished(self) -> int:
        """How many bots have a position that is being closed, and can be."""
        return sum(bot.is_closing for bot in self._store.bots.values())

    # --- Halts and books ----------------------------------------------------------------------------------------

    def halt(self, reason: str, now_ns: int, bot: str = "", *, ends: bool = False, by: str = "") -> None:
        """Take no new orders, of all or of one bot, and cancel those that are open.

        Args:
            reason: For people.
            now_ns: Now.
            bot: Whose; empty: all.
            ends: A limit was reached: end policies are applied.
            by: The person who asks for it; empty: the connector.
        """
        # From here on none is taken; what is on its way to the exchange is taken back before anything else is done.
        self._store.halted(reason or "no reason given", bot, ends, by)
        self.take_back(now_ns, bot)
        alive = self._store.bots[bot].alive if bot else self._store.alive
        for order in list(alive.values()):
            self._cancel(order, REASON_HALTED, now_ns)

    def cancel_all(self, symbol: str, reason: int, now_ns: int) -> None:
        """Cancel all orders in an instrument."""
        for order in list(self._store.alive.values()):
            if order.symbol == symbol:
                self._cancel(order, reason, now_ns)

    def resume(self, by: str = "") -> None:
        """See `OrderManager.resume`."""
        bots = self._store.bots.values()
        if self._store.halt_reason or any(bot.forced or bot.halt_reason for bot in bots):
            self._store.halted("", by=by)
        for bot in bots:
            if not bot.row.is_ending:
                bot.flattening.clear()

    def halted(self) -> status.Halted:
        """How far a halt has got."""
        wanted = [order for order in self._store.alive.values() if order.cancel_wanted]
        cancelling = sum(1 for order in wanted if order.cancel_request)
        return status.Halted(
            is_halted=bool(self._store.halt_reason), cancelling=cancelling, left=len(wanted) - cancelling
        )

    def pull_quotes(self, ledger: Ledger, now_ns: int) -> None:
        """The book is not valid: cancel the orders of bots that asked for that."""
        for order in list(self._store.alive.values()):
            if order.symbol == ledger.symbol and self._store.bots[order.bot].row.pull_quotes:
                self._cancel(order, REASON_BOOK_NOT_VALID, now_ns)


def _is_dust(ledger: Ledger, name: str, lots: int) -> bool:
    """Whether so much of a bot's position on a spot account is less than an order may be, by the price as known."""
    instrument, book = ledger.instrument, ledger.books[name]
    if ledger.wallet is None:
        return False
    if lots < instrument.min_qty_lots:
        return True
    tick = known_tick(ledger, SELL if book.position_lots > 0 else BUY)
    average = book.trading_value / ledger.volume(book) if book.volume_lots else 0.0
    value = (ledger.price(tick) if tick else average) * ledger.qty(lots)
    return 0.0 < value < instrument.min_notional


def _is_orphaned(bot: Bot) -> bool:
    """Whether a bot without a lease has orders that nobody is about to end, and did not ask to keep them."""
    if bot.row.is_ending or (bot.row.on_end == "keep" and not is_placeholder(bot.name)):
        return False
    return any(not order.cancel_wanted for order in bot.alive.values())
