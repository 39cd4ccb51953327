"""What bots ask for: checked against the limits, then sent; refusals are answered at once.

Refused are, in this order: what comes while account or bot is halted, or can't send; an id that is in use; a quantity
or price that is not valid; what the exchange's filters forbid; what does more than reduce a position that the exchange
closed in part, or while it is not known what was lost; what the limits of bot and account forbid; what would meet
another bot's order. Cancels always pass.
"""

from typing import Final

from daemon.orders.bot import Bot
from daemon.orders.commands import Commands
from daemon.orders.limits import (
    AccountLimits,
    BotLimits,
    CompiledLimits,
    RateGate,
    check_filters,
    side_lots,
)
from daemon.orders.order import DONE, Order
from daemon.orders.positions import Ledger
from daemon.orders.snapshot import Counters, Refusals
from daemon.orders.state import REMEMBER_NS, Store
from daemon.orders.updates import Update, Updates
from hftd import wire
from hftd.constants import (
    BUY,
    EXPIRED,
    GTC,
    INVALID_MAX,
    INVALID_MIN,
    IOC,
    LIMIT,
    MARKET,
    NEW,
    NONE,
    PARTIALLY_FILLED,
    REASON_BOOK_NOT_VALID,
    REASON_DISCONNECTED,
    REASON_DUPLICATE,
    REASON_FILTER,
    REASON_FORGOTTEN,
    REASON_HALTED,
    REASON_LIMIT_ORDERS,
    REASON_LIMIT_RATE,
    REASON_LIQUIDATION,
    REASON_NEVER_SENT,
    REASON_NONE,
    REASON_OFF_GRID,
    REASON_RATE_LIMIT,
    REASON_SELF_TRADE,
    REASON_UNKNOWN_ORDER,
    REJECTED,
    SELL,
)
from hftd.errors import ProtocolError
from hftd.rows import LOTS_MAX, TICK_MAX, Lots

_OFF_GRID: Final = 1e-6
"""In lots: a quantity that is farther from a whole number of them is refused."""

Request = wire.Submit | wire.Modify | wire.Cancel | wire.Inquire


class BotRequests:
    """Takes the bots' requests.

    Args:
        store: What is known.
        commands: Sends.
        updates: Answers.
        limits: The account's.
        counters: Counts.
        refusals: Keeps what is refused here, by bot.
    """

    def __init__(
        self,
        store: Store,
        commands: Commands,
        updates: Updates,
        limits: AccountLimits,
        counters: Counters,
        refusals: Refusals,
    ) -> None:
        self._store = store
        self._commands = commands
        self._updates = updates
        self._counters = counters
        self._refusals = refusals
        self._blocks_forced = limits.on_forced_close != "tell"
        self.limits = limits
        self.order_rate = RateGate(limits.max_orders_per_s)
        self._compiled: dict[str, CompiledLimits] = {}

    def instrument_changed(self, symbol: str) -> None:
        """An instrument's description is new."""
        ledger = self._store.ledgers[symbol]
        self._compiled[symbol] = CompiledLimits(self.limits, ledger)
        for bot in self._store.bots.values():
            if symbol in bot.by_symbol:
                bot.by_symbol[symbol] = CompiledLimits(bot.limits, ledger)

    def set_limits(self, bot: Bot, limits: BotLimits, symbols: list[str]) -> None:
        """A bot's limits, for the instruments that it trades."""
        if limits.max_orders_per_s != bot.limits.max_orders_per_s:
            bot.order_rate = RateGate(limits.max_orders_per_s)
        bot.limits = limits
        bot.by_symbol = {symbol: CompiledLimits(limits, self._store.ledgers[symbol]) for symbol in symbols}

    def take(self, name: str, message: Request, now_ns: int, is_late: bool = False) -> None:
        """See `OrderManager.request`."""
        bot = self._store.bots.get(name)
        if bot is None or not bot.is_attached:
            self._counters.unheard_requests += 1
            return
        ledger = self._store.by_number.get(message.instrument)
        if ledger is None or ledger.symbol not in bot.by_symbol:
            raise ProtocolError(
                f"the bot {name!r} sent a request for the instrument {message.instrument}, which it does not trade",
                hint="end its lease",
            )
        bot.requests += 1
        if is_late and isinstance(message, wire.Submit | wire.Modify):
            self._refuse(bot, ledger, message, REASON_NEVER_SENT, now_ns)
            return
        if isinstance(message, wire.Submit):
            self._submit(bot, ledger, message, now_ns)
            return
        order = self._store.by_id.get((name, ledger.symbol, message.order_id))
        if isinstance(message, wire.Modify):
            self._modify(bot, ledger, message, order, now_ns)
        elif isinstance(message, wire.Cancel):
            self._cancel(bot, ledger, message, order, now_ns)
        else:
            self._inquire(bot, ledger, message, order, now_ns)

    def _refuse(
        self, bot: Bot, ledger: Ledger, message: wire.Submit | wire.Modify, reason: int, now_ns: int
    ) -> None:
        self._counters.refuse(reason)
        self._refusals.note_own(bot.name, ledger.symbol, reason, now_ns)
        self._updates.no_order(bot.name, ledger, message, reason, now_ns)

    # --- New orders ---------------------------------------------------------------------------------------------

    def _submit(self, bot: Bot, ledger: Ledger, message: wire.Submit, now_ns: int) -> None:
        store = self._store
        lots = _lots(ledger, message.qty)
        reason = self._check_submit(bot, ledger, message, lots, now_ns)
        if reason:
            self._refuse(bot, ledger, message, reason, now_ns)
            return
        bot.order_rate.take(now_ns)
        self.order_rate.take(now_ns)
        self.send(bot, ledger, message, lots, now_ns)
        store.orders_sent += 1

    def send(
        self,
        bot: Bot,
        ledger: Ledger,
        message: wire.Submit,
        lots: int,
        now_ns: int,
        reduce_only: bool = False,
    ) -> None:
        """Make an order and send it, unchecked."""
        order = Order(
            client_id=self._store.ids.make(bot.name, message.order_id),
            bot=bot.name,
            order_id=message.order_id,
            symbol=ledger.symbol,
            side=message.side,
            order_type=message.order_type,
            time_in_force=message.time_in_force,
            reduce_only=reduce_only,
            price_tick=0 if message.order_type == MARKET else message.price_tick,
            qty_lots=lots,
            local_ts=message.local_ts,
            submitted_ns=now_ns,
        )
        self._store.add(order)
        self._commands.submit(order)

    def _check_submit(self, bot: Bot, ledger: Ledger, message: wire.Submit, lots: int, now_ns: int) -> int:
        store, side, tick = self._store, message.side, message.price_tick
        if reason := self._check_ready(bot, ledger):
            return reason
        known = store.by_id.get((bot.name, ledger.symbol, message.order_id))
        if known is not None and not (known.finished_ns and known.told):
            return REASON_DUPLICATE
        is_market = message.order_type == MARKET
        if (
            lots <= 0
            or side not in (BUY, SELL)
            or message.order_type not in (LIMIT, MARKET)
            or not GTC <= message.time_in_force <= IOC
            or not (is_market or -TICK_MAX < tick < TICK_MAX)
            or not 0 <= message.order_id < 1 << 64
        ):
            return REASON_OFF_GRID
        if reason := check_filters(ledger, is_market, tick, lots, is_modify=False):
            return reason
        if bot.limits.max_open_orders is not None and len(bot.alive) >= bot.limits.max_open_orders:
            return REASON_LIMIT_ORDERS
        if len(store.alive) >= self.limits.max_open_orders:
            return REASON_LIMIT_ORDERS
        if reason := self._check_risk(bot, ledger, side, tick, lots, is_market, 0, now_ns):
            return reason
        if ledger.wallet is None:
            return REASON_NONE
        return ledger.wallet.check(ledger, side, tick, lots, is_market=is_market)

    def _check_ready(self, bot: Bot, ledger: Ledger) -> int:
        if self._store.halt_reason or bot.halt_reason:
            return REASON_HALTED
        if not self._commands.is_up:
            return REASON_DISCONNECTED
        if bot.limits.pull_quotes and not ledger.is_book_valid:
            return REASON_BOOK_NOT_VALID
        return REASON_NONE

    def _check_risk(
        self,
        bot: Bot,
        ledger: Ledger,
        side: int,
        tick: int,
        lots: int,
        is_market: bool,
        replaced_lots: int,
        now_ns: int,
    ) -> int:
        """The limits of bot and account, for an order of so many lots in place of one of `replaced_lots`."""
        if bot.forced and self._blocks_forced and ledger.symbol in bot.forced:
            if not _reduces(ledger, bot.name, side, lots, replaced_lots):
                return REASON_LIQUIDATION
        if bot.is_blind and not _reduces(ledger, bot.name, side, lots, replaced_lots):
            return REASON_BOOK_NOT_VALID
        own, account = bot.by_symbol[ledger.symbol], self._compiled[ledger.symbol]
        if is_market:
            if own.has_notional or account.has_notional:
                tick = ledger.best_ask_tick if side == BUY else ledger.best_bid_tick
                if not ledger.is_book_valid or tick in (INVALID_MAX, INVALID_MIN):
                    return REASON_BOOK_NOT_VALID
        else:
            if own.has_band and (reason := own.check_price(ledger, side, tick)):
                return reason
            if account.has_band and (reason := account.check_price(ledger, side, tick)):
                return reason
        book = ledger.book(bot.name)
        if own.has_sizes:
            open_lots = side_lots(book, side) - replaced_lots
            if reason := own.check(ledger, book.position_lots, side, tick, lots, open_lots):
                return reason
        if account.has_sizes:
            open_lots = side_lots(ledger, side) - replaced_lots
            if reason := account.check(ledger, ledger.account_lots, side, tick, lots, open_lots):
                return reason
        if self.limits.self_trade == "refuse" and side_lots(ledger, -side) > side_lots(book, -side):
            if self._meets_another(bot.name, ledger, side, tick, is_market):
                return REASON_SELF_TRADE
        if not (bot.order_rate.is_open(now_ns) and self.order_rate.is_open(now_ns)):
            return REASON_LIMIT_RATE
        return REASON_NONE

    def _meets_another(self, bot: str, ledger: Ledger, side: int, tick: int, is_market: bool) -> bool:
        """Whether another bot's order stands at or before this price.

        A market order is taken to reach the best price; what it reaches behind that is the exchange's to prevent.
        """
        if is_market:
            tick = ledger.best_ask_tick if side == BUY else ledger.best_bid_tick
            if not ledger.is_book_valid or tick in (INVALID_MAX, INVALID_MIN):
                return True
        for name in ledger.books:
            if name != bot:
                first = self._first_tick(name, ledger, -side)
                if first is not None and (tick - first) * side >= 0:
                    return True
        return False

    def _first_tick(self, name: str, ledger: Ledger, side: int) -> int | None:
        """The best price of a bot's open orders of a side, what they are being changed to included."""
        key = name, side
        try:
            return ledger.extremes[key]
        except KeyError:
            pass
        first: int | None = None
        for order in self._store.bot(name).alive.values():
            if order.symbol == ledger.symbol and order.side == side and order.rests:
                tick = order.price_tick
                if order.modify is not None and (order.modify.price_tick - tick) * side > 0:
                    tick = order.modify.price_tick
                if first is None or (tick - first) * side > 0:
                    first = tick
        ledger.extremes[key] = first
        return first

    # --- Requests about orders ----------------------------------------------------------------------------------

    def _modify(
        self, bot: Bot, ledger: Ledger, message: wire.Modify, order: Order | None, now_ns: int
    ) -> None:
        lots = _lots(ledger, message.qty)
        reason = self._check_modify(bot, ledger, message, order, lots, now_ns)
        if reason or order is None:
            self._refuse(bot, ledger, message, reason, now_ns)
            return
        # The bot's quantity is the new remainder; the exchange wants the total.
        total = order.done_lots + lots
        if message.price_tick == order.price_tick and total == order.qty_lots:
            # The exchange would refuse it: nothing is to be changed.
            order.stays_partial = order.shown_status == PARTIALLY_FILLED
            order.base_lots = order.done_lots
            self._store.touch(order)
            self._updates.answer(order, message.local_ts, now_ns, exch_ns=0)
            return
        bot.order_rate.take(now_ns)
        self.order_rate.take(now_ns)
        self._commands.modify(order, message.price_tick, total, message.local_ts, now_ns)
        self._store.touch(order)

    def _check_modify(
        self,
        bot: Bot,
        ledger: Ledger,
        message: wire.Modify,
        order: Order | None,
        lots: int,
        now_ns: int,
    ) -> int:
        if order is None or order.finished_ns or order.cancel_wanted:
            return REASON_UNKNOWN_ORDER
        if reason := self._check_ready(bot, ledger):
            return reason
        if order.submit_phase != DONE or order.modify is not None:
            # The exchange takes one at a time.
            return REASON_RATE_LIMIT
        if not order.rests:
            return REASON_FILTER
        if lots <= 0 or not -TICK_MAX < message.price_tick < TICK_MAX:
            return REASON_OFF_GRID
        if reason := check_filters(ledger, False, message.price_tick, lots, is_modify=True):
            return reason
        tick = message.price_tick
        if reason := self._check_risk(bot, ledger, order.side, tick, lots, False, order.exposed_lots, now_ns):
            return reason
        if ledger.wallet is None:
            return REASON_NONE
        return ledger.wallet.check(ledger, order.side, tick, lots, is_market=False, client_id=order.client_id)

    def _cancel(
        self, bot: Bot, ledger: Ledger, message: wire.Cancel, order: Order | None, now_ns: int
    ) -> None:
        if order is None or (order.finished_ns and order.told):
            self._updates.no_order(bot.name, ledger, message, REASON_UNKNOWN_ORDER, now_ns)
            return
        # The end of the order answers it, whoever brings that about.
        order.cancel_ts = order.cancel_ts or message.local_ts
        self._store.touch(order)
        self._commands.want_cancel(order, now_ns)

    def _inquire(
        self, bot: Bot, ledger: Ledger, message: wire.Inquire, order: Order | None, now_ns: int
    ) -> None:
        if order is None:
            store = self._store
            may_be_forgotten = (
                abs(now_ns - message.local_ts) > REMEMBER_NS
                or message.local_ts <= store.forgotten_ts
                or ledger.symbol in store.unfit
            )
            reason = REASON_FORGOTTEN if may_be_forgotten else REASON_NEVER_SENT
            self._updates.no_order(bot.name, ledger, message, reason, now_ns, status=EXPIRED)
        elif order.finished_ns and order.told:
            if order.status == REJECTED:
                self._updates.no_order(bot.name, ledger, message, order.reason, now_ns, status=EXPIRED)
            else:
                self._updates.answer(order, message.local_ts, now_ns, reason=order.reason)
        elif order.finished_ns or order.status == NONE or not order.rests or order.modify or order.cancel_ts:
            # Something is under way whose end is told anyhow.
            return
        else:
            self._updates.answer(order, message.local_ts, now_ns)

    def told(self, name: str, now_ns: int) -> list[Update]:
        """See `OrderManager.told`."""
        store = self._store
        bot = store.bots[name]
        told: list[Update] = []
        for order in store.orders.values():
            if order.bot != name or (order.finished_ns and order.told) or not self._updates.is_heard(order):
                continue
            status = PARTIALLY_FILLED if order.finished_ns else order.shown_status
            req = NEW if status == NONE else NONE
            told.append(self._updates.update(order, status, now_ns, req=req, exch_ns=0))
        return [*told, *(store.state(name, store.ledgers[symbol]) for symbol in bot.symbols)]


def _reduces(ledger: Ledger, bot: str, side: int, lots: int, replaced_lots: int) -> bool:
    """Whether an order, and all that the bot has open on its side, can only make the bot's position smaller."""
    book = ledger.book(bot)
    return lots + side_lots(book, side) - replaced_lots <= -book.position_lots * side


def _lots(ledger: Ledger, qty: float) -> Lots:
    """The quantity in lots; 0 if it is not a whole number of them, or too many."""
    exact = qty * ledger.lot_den / ledger.lot_num
    if not 0.0 < exact < LOTS_MAX:
        return 0
    lots = round(exact)
    return lots if abs(exact - lots) <= _OFF_GRID * max(1.0, exact * 1e-6) else 0
