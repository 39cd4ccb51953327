"""What happens to orders that their bot does not mind any more: ends of leases, halts, books that are not valid.

A bot's end policy holds from the moment its lease is over. After a restart of the connector nobody has a lease; bots
that had one get `ORPHAN_NS` to come back, counted from the first connection, before their policies are applied.
Flattening waits until all of the bot's orders are finished, executions included; then it closes the bot's position by
reduce-only market orders, at most `FLATTEN_TRIES` of them.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from daemon.orders.account import Ledger
from daemon.orders.client_ids import bot_hash
from daemon.orders.courier import Courier
from daemon.orders.journal import BotRow
from daemon.orders.limits import BotLimits
from daemon.orders.machine import NEVER, Order
from daemon.orders.requests import Requests
from daemon.orders.snapshot import Counters
from daemon.orders.store import Bot, Store, is_placeholder
from hftd.channel import status, wire
from hftd.constants import (
    BUY,
    IOC,
    MARKET,
    REASON_BOOK_NOT_VALID,
    REASON_HALTED,
    REASON_LEASE_ENDED,
    REASON_REDUCE_ONLY,
    SELL,
)

ORPHAN_NS: Final = 10_000_000_000
FLATTEN_TRIES: Final = 20
FLATTEN_PAUSE_NS: Final = 1_000_000_000
FLATTEN_IDS: Final = 1 << 63
"""Orders that close a bot's position have ids from here on, which no bot uses."""

_log = structlog.get_logger("hftd.orders")


class Endings:
    """See the module."""

    def __init__(self, store: Store, courier: Courier, requests: Requests, counters: Counters) -> None:
        self._store = store
        self._courier = courier
        self._requests = requests
        self._counters = counters
        self._flattened = 0

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
        bot.flatten_tries = 0
        bot.flatten_due_ns = now_ns
        bot.row = BotRow(row.name, row.on_end, row.pull_quotes, is_ending=row.on_end == "flatten")
        self._store.bot_changed(bot)
        if row.on_end != "keep":
            for order in list(bot.alive.values()):
                self._cancel(order, REASON_LEASE_ENDED, now_ns)

    def _cancel(self, order: Order, reason: int, now_ns: int) -> None:
        if not order.cancel_wanted:
            order.reason = reason
        self._courier.want_cancel(order, now_ns)
        self._store.touch(order)

    def adopted(self, order: Order, now_ns: int) -> None:
        """An order of ours was found at the exchange, and the journal did not know it."""
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
                    _log.warning("a bot did not come back, its end policy is applied", bot=bot.name)
                    self._end(bot, now_ns)
                else:
                    due_ns = min(due_ns, bot.away_since_ns + ORPHAN_NS)
            if bot.row.is_ending and not bot.is_attached:
                due_ns = min(due_ns, self._flatten(bot, now_ns))
        return due_ns

    def order_ended(self, order: Order, now_ns: int) -> None:
        """An order is finished, executions included."""
        bot = self._store.bots[order.bot]
        if not bot.row.is_ending:
            return
        bot.flatten_due_ns = min(bot.flatten_due_ns, now_ns + FLATTEN_PAUSE_NS)
        if order.reduce_only and order.reason == REASON_REDUCE_ONLY:
            _log.warning("nothing is left to reduce in the account", bot=bot.name, symbol=order.symbol)
            self._stop_flattening(bot)

    def _stop_flattening(self, bot: Bot) -> None:
        row = bot.row
        bot.row = BotRow(row.name, row.on_end, row.pull_quotes)
        self._store.bot_changed(bot)

    def _flatten(self, bot: Bot, now_ns: int) -> int:
        """Close a bot's position, once its orders are finished; when to look again."""
        store = self._store
        if bot.alive or any(store.orders[one].bot == bot.name for one in store.gaps):
            return now_ns + FLATTEN_PAUSE_NS
        if bot.flatten_due_ns > now_ns:
            return bot.flatten_due_ns
        if not self._courier.is_up or store.halt_reason:
            return now_ns + FLATTEN_PAUSE_NS
        held = [
            ledger
            for ledger in store.ledgers.values()
            if bot.name in ledger.books and ledger.books[bot.name].position_lots
        ]
        if not held or bot.flatten_tries >= FLATTEN_TRIES:
            if held:
                _log.error("a bot's position could not be closed", bot=bot.name)
                self._counters.not_flattened += 1
            self._stop_flattening(bot)
            return NEVER
        bot.flatten_tries += 1
        bot.flatten_due_ns = now_ns + FLATTEN_PAUSE_NS
        for ledger in held:
            self._close(bot, ledger, now_ns)
        return bot.flatten_due_ns

    def _close(self, bot: Bot, ledger: Ledger, now_ns: int) -> None:
        lots = ledger.books[bot.name].position_lots
        instrument = ledger.instrument
        most = instrument.market_max_qty_lots or instrument.max_qty_lots or abs(lots)
        qty_lots = min(abs(lots), most)
        self._flattened += 1
        message = wire.Submit(
            ledger.number,
            FLATTEN_IDS | self._store.ids.made,
            SELL if lots > 0 else BUY,
            MARKET,
            IOC,
            0,
            ledger.qty(qty_lots),
            now_ns,
        )
        _log.info("closing a bot's position", bot=bot.name, symbol=ledger.symbol, lots=-lots)
        self._requests.place(bot, ledger, message, qty_lots, now_ns, reduce_only=True)

    # --- Halts and books ----------------------------------------------------------------------------------------

    def halt(self, reason: str, now_ns: int) -> None:
        """See `OrderManager.halt`."""
        self._store.halted(reason or "no reason given")
        for order in list(self._store.alive.values()):
            self._cancel(order, REASON_HALTED, now_ns)

    def cancel_all(self, symbol: str, reason: int, now_ns: int) -> None:
        """Cancel all orders in an instrument."""
        for order in list(self._store.alive.values()):
            if order.symbol == symbol:
                self._cancel(order, reason, now_ns)

    def resume(self) -> None:
        """See `OrderManager.resume`."""
        if self._store.halt_reason:
            self._store.halted("")

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


def _is_orphaned(bot: Bot) -> bool:
    """Whether a bot without a lease has orders that nobody is about to end, and did not ask to keep them."""
    if bot.row.is_ending or (bot.row.on_end == "keep" and not is_placeholder(bot.name)):
        return False
    return any(not order.cancel_wanted for order in bot.alive.values())
