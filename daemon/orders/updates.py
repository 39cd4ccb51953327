"""What bots are told: for each situation the update that a simulation gives (`sim/engine/own.py`, `exchange.py`).

A bot's quantities are those of its own making: after a modification they count from there, `leaves_qty` is what
executions have left, and an order is filled or cancelled for it only when all of its executions have been told. So a
cancellation that outruns a fill waits for it (`HOLD_NS` at most).

An order whose id the bot has used again since is not named to it any more: of such a late execution it gets the State.
"""

from collections import deque

from daemon.messages import Command
from daemon.orders.order import Order, ended_by_modify
from daemon.orders.positions import Ledger
from daemon.orders.state import Store
from hftd import wire
from hftd.constants import (
    CANCELED,
    EXPIRED,
    FILLED,
    NONE,
    PARTIALLY_FILLED,
    REASON_NONE,
    REASON_POST_ONLY,
    REASON_UNKNOWN_ORDER,
    REJECTED,
)

Update = wire.OrderUpdate | wire.State | wire.Notice
Sent = tuple[str, Update] | Command
"""What leaves order management: an update for a bot, or a command."""


class Updates:
    """Makes the updates for bots, and queues them for those that are attached.

    Args:
        store: What is known.
        out: Where they go.
    """

    def __init__(self, store: Store, out: deque[Sent]) -> None:
        self._store = store
        self._out = out

    def _put(self, bot: str, update: Update) -> None:
        known = self._store.bots[bot]
        known.updates += 1
        self._out.append((bot, update))

    def order(self, order: Order, now_ns: int) -> None:
        """How an order stands."""
        if self.is_heard(order):
            self._put(order.bot, self.update(order, order.shown_status, now_ns, reason=REASON_NONE))

    def answer(
        self,
        order: Order,
        local_ts: int,
        now_ns: int,
        exch_ns: int | None = None,
        reason: int = REASON_NONE,
    ) -> None:
        """How an order stands after the request of that time."""
        if self.is_heard(order):
            update = self.update(
                order, order.shown_status, now_ns, local_ts=local_ts, exch_ns=exch_ns, reason=reason
            )
            self._put(order.bot, update)

    def execution(self, order: Order, exch_ns: int, now_ns: int) -> None:
        """An execution of an order was counted; with the last one it is filled."""
        bot = self._store.bots[order.bot]
        bot.fills += 1
        is_last = order.finished_ns != 0 and order.gap_lots <= 0 and order.status == FILLED
        status = order.status if is_last or order.told else PARTIALLY_FILLED
        if self.is_heard(order):
            self._put(order.bot, self.update(order, status, now_ns, executed=1, exch_ns=exch_ns))
        else:
            self.state(order)
        if is_last and not order.told:
            order.told = True
            self._refuse_pending(order, now_ns)

    def state(self, order: Order) -> None:
        """The account, in an order's instrument."""
        self.account(order.bot, self._store.ledgers[order.symbol])

    def account(self, name: str, ledger: Ledger) -> None:
        """A bot's account in an instrument."""
        bot = self._store.bots.get(name)
        if bot is not None and bot.is_attached and ledger.symbol in bot.by_symbol:
            self._put(name, ledger.state(ledger.book(name)))

    def notice(
        self,
        name: str,
        ledger: Ledger,
        kind: int,
        reason: int,
        words: str,
        *,
        order_id: int = 0,
        code: int = 0,
    ) -> None:
        """Words for whoever runs a bot."""
        bot = self._store.bots.get(name)
        if bot is not None and bot.is_attached and ledger.symbol in bot.by_symbol:
            said = words[: wire.MAX_NOTICE_CHARS]
            position = ledger.position(ledger.book(name))
            self._put(
                name,
                wire.Notice(
                    instrument=ledger.number,
                    kind=kind,
                    order_id=order_id,
                    reason=reason,
                    code=code,
                    position=position,
                    words=said,
                ),
            )

    def end(self, order: Order, now_ns: int) -> None:
        """An order is finished, and no execution of it is missing. Requests that it left open are refused."""
        if order.told:
            return
        order.told = True
        status, local_ts, reason = order.status, order.local_ts, order.reason
        if ended_by_modify(order) and order.modify is not None:
            # The simulator lets a post-only order expire that a modification would have made taking.
            status, local_ts, reason = EXPIRED, order.modify.local_ts, REASON_POST_ONLY
            order.modify = None
        elif status == CANCELED and order.cancel_ts:
            local_ts = order.cancel_ts
            order.cancel_ts = 0
        if self.is_heard(order):
            if status == REJECTED:
                self._put(order.bot, self.update(order, NONE, now_ns, req=REJECTED, reason=reason))
            else:
                update = self.update(order, status, now_ns, local_ts=local_ts, reason=reason)
                self._put(order.bot, update)
        self._refuse_pending(order, now_ns)

    def _refuse_pending(self, order: Order, now_ns: int) -> None:
        modify, cancel_ts = order.modify, order.cancel_ts
        order.modify = None
        order.cancel_ts = 0
        if modify is not None:
            self.refusal(order, modify.local_ts, REASON_UNKNOWN_ORDER, now_ns)
        if cancel_ts and order.status != CANCELED:
            self.refusal(order, cancel_ts, REASON_UNKNOWN_ORDER, now_ns)

    def refusal(self, order: Order, local_ts: int, reason: int, now_ns: int, exch_ns: int = 0) -> None:
        """A request about an order was refused; the order is what it was."""
        if self.is_heard(order):
            self._store.bots[order.bot].refused += 1
            update = self.update(
                order, NONE, now_ns, req=REJECTED, local_ts=local_ts, exch_ns=exch_ns, reason=reason
            )
            self._put(order.bot, update)

    def is_heard(self, order: Order) -> bool:
        """Whether its bot is there, trades the instrument, and means this order by its id."""
        bot = self._store.bots[order.bot]
        return bot.is_attached and order.symbol in bot.by_symbol and self._store.owns_id(order)

    def update(
        self,
        order: Order,
        status: int,
        now_ns: int,
        *,
        req: int = NONE,
        executed: int = 0,
        local_ts: int | None = None,
        exch_ns: int | None = None,
        reason: int = REASON_NONE,
    ) -> wire.OrderUpdate:
        """The update that says so."""
        ledger = self._store.ledgers[order.symbol]
        book = ledger.books[order.bot]
        qty = ledger.qty
        return wire.OrderUpdate(
            instrument=ledger.number,
            order_id=order.order_id,
            status=status,
            req=req,
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            maker=order.maker,
            price_tick=order.price_tick,
            qty=qty(order.qty_lots - order.base_lots),
            leaves_qty=0.0 if status == FILLED else qty(order.leaves_lots),
            exec_qty=qty(order.exec_lots),
            exec_price_tick=order.exec_price_tick,
            exch_ts=order.exch_ns if exch_ns is None else exch_ns,
            local_ts=order.local_ts if local_ts is None else local_ts,
            recv_ts=now_ns,
            executed=executed,
            position=ledger.position(book),
            balance=book.balance,
            fee=book.fee,
            num_trades=book.num_trades,
            trading_volume=ledger.volume(book),
            trading_value=book.trading_value,
            reason=reason,
        )

    def no_order(
        self,
        bot: str,
        ledger: Ledger,
        message: wire.Submit | wire.Modify | wire.Cancel | wire.Inquire,
        reason: int,
        now_ns: int,
        status: int = NONE,
    ) -> None:
        """A request was refused, and there is no order that it made or was about."""
        known = self._store.bots[bot]
        known.refused += 1
        book = ledger.book(bot)
        submit = message if isinstance(message, wire.Submit) else None
        sent = message if isinstance(message, wire.Submit | wire.Modify) else None
        state = ledger.state(book)
        update = wire.OrderUpdate(
            instrument=message.instrument,
            order_id=message.order_id,
            status=status,
            req=REJECTED,
            side=submit.side if submit else 0,
            order_type=submit.order_type if submit else 0,
            time_in_force=submit.time_in_force if submit else 0,
            maker=0,
            price_tick=sent.price_tick if sent else 0,
            qty=sent.qty if sent else 0.0,
            leaves_qty=0.0,
            exec_qty=0.0,
            exec_price_tick=0,
            exch_ts=0,
            local_ts=message.local_ts,
            recv_ts=now_ns,
            executed=0,
            position=state.position,
            balance=state.balance,
            fee=state.fee,
            num_trades=state.num_trades,
            trading_volume=state.trading_volume,
            trading_value=state.trading_value,
            reason=reason,
        )
        self._put(bot, update)
