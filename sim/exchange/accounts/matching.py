"""Matching: orders come in, are matched, are executed and end; the accounts and the users' events follow."""

import random
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from hftd.types import EXPIRED, FOK, GTC, GTX, IOC, LIMIT, MARKET
from sim.exchange.accounts.accounts import Account, NewOrder, Order, Position, Trade
from sim.exchange.accounts.margin import check_band, check_margin, check_match, crosses, own_orders_met
from sim.exchange.playback.market import Market, Update
from sim.exchange.rules.clock import ExchangeClock
from sim.exchange.rules.instruments import ALL_ORDERS, Instrument
from sim.exchange.rules.refusals import RefusedError, Why

_ENGINE_TIF: Final = {"GTC": GTC, "GTD": GTC, "GTX": GTX, "FOK": FOK, "IOC": IOC}
_ENGINE_KIND: Final = {"LIMIT": LIMIT, "MARKET": MARKET}

# Why an order expired.
BY_SELF_TRADE: Final = "self-trade"
BY_IOC: Final = "immediate-or-cancel"
BY_REDUCE_ONLY: Final = "reduce-only"
BY_LIQUIDATION: Final = "liquidation"
BY_TIME: Final = "time"
BY_DELISTING: Final = "delisting"
BY_MARKET: Final = "market"


class Forced(NamedTuple):
    """How an exchange closes a position by itself.

    Attributes:
        client_id: Of its order; `{}` stands for a number. Without it all have the same.
        kind: The order's type.
        status: The order's at first.
        what: Of its executions: what the user's event says.
        ends_orders: Why the account's open orders in the instrument expire first; empty: they stay.
    """

    client_id: str
    kind: str
    status: str
    what: str
    ends_orders: str


class Events(Protocol):
    """Who is told what happens to orders and accounts."""

    def on_order(self, order: Order, what: str, ts_ns: int, trade: Trade | None = None) -> None:
        """An order: NEW, TRADE, CANCELED, EXPIRED, AMENDMENT or CALCULATED."""
        ...

    def on_account(self, account: Account, position: Position, ts_ns: int) -> None:
        """A balance and a position."""
        ...


class OrderLimits(Protocol):
    """Counts an account's orders."""

    def count_order(self, account: Account) -> None:
        """Count one; refuses one too many."""
        ...

    def give_back(self, account: Account) -> None:
        """An order is executed for the first time."""
        ...


class Fill(NamedTuple):
    """An execution, as the market has it: `ts_ns` is the market's time."""

    tick: int
    lots: int
    ts_ns: int
    maker: bool
    trade_id: int


def _whole_steps(order: Order, lots: int) -> int:
    """What is executed of an order, in steps of its instrument, where the market's grid is finer: the rest waits."""
    order.held_lots += lots
    done = order.held_lots
    if done < order.leaves_lots:
        done -= done % order.instrument.step_lots
    order.held_lots -= done
    return done


class Matching:
    """Takes orders that a venue has read, gives them to the market, and books what comes of it.

    Args:
        accounts: In the order of their lanes.
        clock: The exchange's.
        events: Is told.
        limits: Counts an account's orders.
        forced: How the exchange closes positions by itself.
        modifies_max: Modifications of one order.
        seed: Of the holes between order ids.
        symbols: Of all instruments, listed or not.
    """

    def __init__(
        self,
        accounts: list[Account],
        clock: ExchangeClock,
        events: Events,
        limits: OrderLimits,
        forced: Mapping[str, Forced],
        modifies_max: int,
        seed: int,
        symbols: list[str],
    ) -> None:
        self.accounts = accounts
        self.market: Market | None = None
        self._clock = clock
        self._events = events
        self._limits = limits
        self._forced_by = forced
        self._modifies_max = modifies_max
        self._random = random.Random(f"{seed}/orders")  # noqa: S311 - it must repeat
        self._engine_orders: dict[int, Order] = {}
        self._last_engine_id = 0
        self._forced = 0
        self._last_order_id = 8_389_765_000_000_000
        self._last_trade_ids = dict.fromkeys(symbols, 6_000_000_000)
        self._timed: dict[int, Order] = {}

    # Requests.

    def place(self, account: Account, new: NewOrder, *, counts: bool = True) -> Order:
        """A new order; returns it as it stands when it has met the market. One of a batch was counted with it."""
        market = self._market()
        if new.client_id and new.client_id in account.open_by_client_id:
            raise RefusedError(Why.DOUBLED_CLIENT_ID)
        if counts:
            self._limits.count_order(account)
        check_margin(account, new, market)
        check_match(account, new, market)
        order = self._order(account, new)
        blocked = self._prevent_self_trade(order, market)
        meets_own = new.stp == "NONE" and not new.reduce_only
        trades_with = own_orders_met(order, market) if meets_own else []
        updates: list[Update] = []
        if not blocked and not trades_with:
            updates = self._send(order)
            done = any(update.executed for update in updates)
            if new.tif == "FOK" and not done and not new.expires_unfit:
                del self._engine_orders[order.engine_id]
                raise RefusedError(Why.NOT_FILLED)
        account.opened(order)
        account.count("orders")
        if new.expire_ms:
            self._timed[order.order_id] = order
        self._events.on_order(order, "NEW", market.now_ns)
        if blocked:
            self._end(order, "EXPIRED_IN_MATCH", "EXPIRED", market.now_ns, BY_SELF_TRADE)
        if trades_with:
            self._trade_with_own(order, trades_with)
            if order.leaves_lots:
                updates = self._send(order)
        self.on_updates(updates)
        return order

    def check_amendable(self, order: Order) -> None:
        """Whether an order may be modified at all, before it is looked at how.

        Raises:
            RefusedError: It may not.
        """
        if order.instrument.takes != ALL_ORDERS:
            raise RefusedError(Why.NO_AMENDS)
        if order.kind != "LIMIT":
            raise RefusedError(Why.NOT_LIMIT)

    def amend(self, order: Order, tick: int, lots: int, *, counts: bool = True) -> None:
        """Another price and quantity; the order goes to the end of the queue, or ends if nothing of it would remain."""
        market, account, instrument = self._market(), order.account, order.instrument
        check_band(market, instrument, order.side, tick)
        if not order.asked.reduce_only:
            instrument.check_value(tick, lots, Why.AMENDED_VALUE_LOW)
        if tick == order.tick and lots == order.lots:
            raise RefusedError(Why.NOT_CHANGED)
        if order.modifies >= self._modifies_max:
            raise RefusedError(Why.TOO_MANY_AMENDS)
        if counts:
            self._limits.count_order(account)
        account.count("modifies")
        takes = order.tif == "GTX" and crosses(market, instrument, order.side, tick)
        self._withdraw(order)
        if takes or lots <= order.executed_lots:
            order.ended_by = "amendment" if takes else ""
            self._end(order, "CANCELED", "CANCELED", market.now_ns)
            return
        order.tick, order.lots = tick, lots
        account.reserve(order)
        order.modifies += 1
        order.updated_ms = self.now_ms
        updates = self._send(order)
        self._events.on_order(order, "AMENDMENT", market.now_ns)
        self.on_updates(updates)

    def reduce(self, order: Order, lots: int, client_id: str) -> None:
        """A quantity that is not larger, and another client id; the order keeps its place in the queue."""
        market, account = self._market(), order.account
        assert lots <= order.lots
        if lots == order.lots:
            raise RefusedError(Why.NOT_CHANGED)
        if lots <= order.executed_lots + order.held_lots:
            raise RefusedError(Why.QTY_LOW)
        if order.modifies >= self._modifies_max:
            raise RefusedError(Why.TOO_MANY_AMENDS)
        if account.open_by_client_id.get(client_id, order) is not order:
            raise RefusedError(Why.DOUBLED_CLIENT_ID)
        account.count("modifies")
        order.lots = lots
        order.modifies += 1
        order.updated_ms = self.now_ms
        account.rename(order, client_id)
        account.reserve(order)
        # What the market has of it began when it was last sent.
        asked = lots - order.sent_lots
        market.reduce(order.instrument.number, account.number, order.engine_id, order.tick, asked)
        self._events.on_order(order, "AMENDMENT", market.now_ns)

    def close_by_hand(
        self, account: Account, instrument: Instrument, client_id: str, share: float
    ) -> Order | None:
        """The account's owner closes a part of its position at the market; None where there is nothing to close.

        Raises:
            RefusedError: The rules are the same for him.
        """
        held = account.held(instrument, "BOTH")
        step = instrument.step_lots
        lots = int(abs(held) * share) // step * step
        if not lots:
            return None
        instrument.check_takes(only_reduces=True)
        instrument.check_lots(lots * instrument.grid_lot_units, at_market=True)
        return self.place(
            account,
            NewOrder(
                instrument=instrument,
                side=-1 if held > 0 else 1,
                kind="MARKET",
                tif="GTC",
                tick=0,
                lots=lots,
                reduce_only=True,
                client_id=client_id,
                stp="EXPIRE_MAKER",
            ),
            counts=False,
        )

    def force_close(self, account: Account, instrument: Instrument, why: str, share: float = 1.0) -> int:
        """The exchange closes an account's positions in an instrument, at the middle of the best prices.

        Args:
            account: Whose.
            instrument: In what.
            why: One of the venue's ways.
            share: How much of each position, in whole steps; at least one.

        Returns:
            How many orders it took.
        """
        forced, market = self._forced_by[why], self._market()
        if forced.ends_orders:
            for order in self._open_in(account, instrument.symbol):
                self.end(order, what="EXPIRED", reason=forced.ends_orders)
        touch = market.touch(instrument.number)
        tick = (touch.bid_tick + touch.ask_tick) // 2 if touch.bid_lots and touch.ask_lots else 0
        held = [one for one in account.positions.values() if one.instrument is instrument and one.lots]
        for position in held if tick > 0 else ():
            step, all_lots = instrument.step_lots, abs(position.lots)
            lots = max(int(all_lots * share) // step * step, min(step, all_lots)) if share < 1.0 else all_lots
            self._forced += 1
            new = NewOrder(
                instrument=instrument,
                side=-1 if position.lots > 0 else 1,
                kind=forced.kind,
                tif="IOC",
                tick=tick,
                lots=lots,
                position_side=position.side,
                client_id=forced.client_id.format(self.now_ms * 1_000_000 + self._forced),
            )
            order = self._order(account, new)
            account.opened(order)
            order.status = forced.status
            self._events.on_order(order, "NEW", market.now_ns)
            self._execute(
                order, Fill(tick, lots, market.now_ns, False, self._next_trade_id(instrument)), forced.what
            )
            account.count(f"positions closed by {why}")
        return len(held)

    def _open_in(self, account: Account, symbol: str) -> list[Order]:
        return [one for one in account.open_orders.values() if not symbol or one.instrument.symbol == symbol]

    def cancel_all(self, account: Account, symbol: str, *, by_switch: bool = False) -> int:
        """The end of all orders in an instrument, or, of "", of all. Returns how many there were."""
        orders = self._open_in(account, symbol)
        for order in orders:
            order.ended_by = "switch" if by_switch else ""
            self.end(order)
        return len(orders)

    def sign_of_life(self, account: Account) -> None:
        """A dead-man switch that watches an account's connections (`Account.switch_s`) begins its countdown again."""
        account.is_watched = True
        if account.switch_s:
            account.countdowns[""] = self.passed_ms + 1000 * account.switch_s

    def end(self, order: Order, *, what: str = "CANCELED", reason: str = "") -> None:
        """Take an open order out of the market, and say so."""
        self._withdraw(order)
        self._end(order, what, what, self._market().now_ns, reason)

    def _prevent_self_trade(self, order: Order, market: Market) -> bool:
        """What the order would meet of its own account ends, or the order does. Returns whether the order does."""
        met = own_orders_met(order, market)
        if met and order.asked.stp in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
            for other in met:
                self._withdraw(other)
                other.prevented_by = order
                self._end(other, "EXPIRED_IN_MATCH", "EXPIRED", market.now_ns, BY_SELF_TRADE)
        order.prevented_by = met[0] if met else None
        return bool(met) and order.asked.stp in ("EXPIRE_TAKER", "EXPIRE_BOTH")

    def _trade_with_own(self, order: Order, met: list[Order]) -> None:
        """An order that does not mind trades with its own account: one trade id, for both sides."""
        now_ns = self._market().now_ns
        for other in sorted(met, key=lambda one: (one.tick * order.side, one.order_id)):
            lots = min(order.leaves_lots, other.leaves_lots)
            if not lots:
                return
            self._withdraw(other)
            trade_id = self._next_trade_id(order.instrument)
            order.account.count("self-trades")
            self._execute(order, Fill(other.tick, lots, now_ns, False, trade_id))
            self._execute(other, Fill(other.tick, lots, now_ns, True, trade_id))
            if other.is_open:
                self.on_updates(self._send(other))

    def _next_trade_id(self, instrument: Instrument) -> int:
        self._last_trade_ids[instrument.symbol] += 1
        return self._last_trade_ids[instrument.symbol]

    # The market.

    def _order(self, account: Account, new: NewOrder) -> Order:
        self._last_order_id += 1 + self._random.randrange(1000)
        order_id = self._last_order_id
        self._last_engine_id += 1
        return Order(
            order_id,
            new.client_id or self.new_client_id(order_id),
            account,
            new.instrument,
            new,
            new.side,
            new.tick,
            new.lots,
            self.now_ms,
            self.now_ms,
            self._last_engine_id,
        )

    def new_client_id(self, order_id: int) -> str:
        """What the exchange calls what its client has not named."""
        return f"x-{order_id:x}{self._random.getrandbits(40):010x}"

    def _send(self, order: Order) -> list[Update]:
        self._engine_orders[order.engine_id] = order
        order.sent_lots = order.executed_lots
        kind = _ENGINE_KIND[order.kind]
        return self._market().place(
            order.instrument.number,
            order.account.number,
            order.engine_id,
            order.side,
            kind,
            IOC if order.kind == "MARKET" else _ENGINE_TIF[order.tif],
            order.tick,
            order.leaves_lots,
        )

    def _withdraw(self, order: Order) -> None:
        """Take an order out of the market without a word; it may come back under another id."""
        self._market().cancel(order.instrument.number, order.account.number, order.engine_id)
        self._engine_orders.pop(order.engine_id, None)
        self._last_engine_id += 1
        order.engine_id = self._last_engine_id
        order.held_lots = 0

    def on_updates(self, updates: list[Update]) -> None:
        """What the engine says of orders."""
        for update in updates:
            order = self._engine_orders.get(update.order_id)
            if order is None:
                continue
            if update.executed:
                lots = _whole_steps(order, update.lots)
                if lots:
                    trade_id = self._next_trade_id(order.instrument)
                    self._execute(order, Fill(update.price_tick, lots, update.ts_ns, update.maker, trade_id))
            elif update.status == EXPIRED:
                reason = BY_MARKET if order.kind == "MARKET" else BY_IOC
                self._end(order, "EXPIRED", "EXPIRED", update.ts_ns, reason)

    def _execute(self, order: Order, fill: Fill, what: str = "TRADE") -> None:
        account, lots = order.account, fill.lots
        now_ms = self._clock.stamp_ms(fill.ts_ns)
        trade = Trade(fill.trade_id, order, fill.tick, lots, 0, 0, 0, fill.maker, now_ms, fill.ts_ns)
        if not order.executed_lots:
            self._limits.give_back(account)
        position = account.executed(order, trade)
        if order.status == "FILLED":
            self._forget(order)
        self._events.on_order(order, what, fill.ts_ns, trade)
        if position is None:
            return
        self._events.on_account(account, position, fill.ts_ns)
        if abs(position.lots) < abs(position.lots - order.side * lots):
            self._displace(account, position, fill.ts_ns)

    def _displace(self, account: Account, position: Position, ts_ns: int) -> None:
        """Orders that only reduce can't be larger than what is left: the newest go first."""
        room = abs(position.lots)
        for order in list(account.open_orders.values()):
            if not order.asked.reduce_only or order.instrument is not position.instrument:
                continue
            if order.asked.position_side != position.side:
                continue
            if order.side * position.lots < 0 and order.leaves_lots <= room:
                room -= order.leaves_lots
                continue
            self._withdraw(order)
            self._end(order, "EXPIRED", "EXPIRED", ts_ns, BY_REDUCE_ONLY)

    def _end(self, order: Order, status: str, what: str, ts_ns: int, reason: str = "") -> None:
        order.status = status
        order.reason = reason
        order.updated_ms = self._clock.stamp_ms(ts_ns)
        self._forget(order)
        self._events.on_order(order, what, ts_ns)

    def _forget(self, order: Order) -> None:
        order.account.closed(order)
        self._engine_orders.pop(order.engine_id, None)
        self._timed.pop(order.order_id, None)

    # Time.

    def on_time(self) -> None:
        """Orders whose time is over, and dead-man switches that were not refreshed."""
        now_ms = self.now_ms
        for order in [one for one in self._timed.values() if one.asked.expire_ms <= now_ms]:
            self.end(order, what="EXPIRED", reason=BY_TIME)
        for account in self.accounts:
            for symbol, deadline_ms in list(account.countdowns.items()):
                if self.passed_ms >= deadline_ms:
                    del account.countdowns[symbol]
                    account.count("countdowns fired")
                    self.cancel_all(account, symbol, by_switch=True)

    @property
    def now_ms(self) -> int:
        """The exchange's time of the moment up to which the market has gone."""
        return self._clock.stamp_ms(self._market().now_ns)

    @property
    def passed_ms(self) -> int:
        """The same, however far its clock is off: a clock that is set lets no dead-man switch fire."""
        return self.now_ms - self._clock.offset_ms

    def _market(self) -> Market:
        assert self.market is not None
        return self.market
