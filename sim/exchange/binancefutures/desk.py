"""The desk: orders come in, are matched, are executed and end; the accounts and the users' events follow."""

import random
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from hftd.types import EXPIRED, FOK, GTC, GTX, IOC, LIMIT, MARKET
from sim.exchange.binancefutures.accounts import Account, Order, Position, Trade
from sim.exchange.binancefutures.checks import (
    Params,
    Wanted,
    check_modified_notional,
    check_price,
    check_qty,
    check_tick,
    number,
    side_of,
    text,
    wanted,
)
from sim.exchange.binancefutures.errors import ApiError, bad_symbol, no_such_order, unknown_order_cancel
from sim.exchange.binancefutures.instruments import Instrument
from sim.exchange.binancefutures.room import check_match, check_room, crosses, own_orders_met
from sim.exchange.clock import ExchangeClock
from sim.exchange.market import Market, Update

_ENGINE_TIF: Final = {"GTC": GTC, "GTD": GTC, "GTX": GTX, "FOK": FOK, "IOC": IOC}
_ENGINE_KIND: Final = {"LIMIT": LIMIT, "MARKET": MARKET}

# Why an order expired.
BY_SELF_TRADE: Final = "1"
BY_IOC: Final = "2"
BY_REDUCE_ONLY: Final = "4"
BY_LIQUIDATION: Final = "5"
BY_TIME: Final = "6"
BY_DELISTING: Final = "7"
BY_MARKET: Final = "9"


class Forced(NamedTuple):
    """How the exchange closes a position by itself.

    Attributes:
        client_id: Of its order; `{}` stands for a number. That of an auto-deleveraging has none: all have the same.
        kind: The order's type.
        status: The order's at first.
        what: Of its executions: `x` of the event.
        ends_orders: Why the account's open orders in the instrument expire first; empty: they stay.
    """

    client_id: str
    kind: str
    status: str
    what: str
    ends_orders: str


FORCED: Final = {
    "liquidation": Forced("autoclose-{}", "LIQUIDATION", "NEW", "CALCULATED", BY_LIQUIDATION),
    "insurance": Forced("autoclose-{}", "LIQUIDATION", "NEW_INSURANCE", "CALCULATED", BY_LIQUIDATION),
    "adl": Forced("adl_autoclose", "LIMIT", "NEW_ADL", "CALCULATED", ""),
    "settlement": Forced("settlement_autoclose-{}", "MARKET", "NEW", "TRADE", BY_DELISTING),
}


class Events(Protocol):
    """Who is told what happens to orders and accounts."""

    def on_order(self, order: Order, what: str, ts_ns: int, trade: Trade | None = None) -> None:
        """An order: NEW, TRADE, CANCELED, EXPIRED, AMENDMENT or CALCULATED."""
        ...

    def on_account(self, account: Account, position: Position, ts_ns: int) -> None:
        """A balance and a position."""
        ...


def _count_nothing(_account: Account) -> None:
    """Where nobody counts orders."""


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


class Desk:
    """Takes requests for orders, gives them to the market, and books what comes of it.

    Args:
        instruments: By symbol, those that are listed; may change.
        accounts: In the order of their lanes.
        clock: The exchange's.
        events: Is told.
        modifies_max: Modifications of one order.
        seed: Of the holes between order ids.
        symbols: Of all instruments, listed or not.
    """

    def __init__(
        self,
        instruments: dict[str, Instrument],
        accounts: list[Account],
        clock: ExchangeClock,
        events: Events,
        modifies_max: int,
        seed: int,
        symbols: list[str],
    ) -> None:
        self.instruments = instruments
        """Those that are listed."""
        self.accounts = accounts
        self.market: Market | None = None
        self._clock = clock
        self._events = events
        self._modifies_max = modifies_max
        self._random = random.Random(f"{seed}/orders")  # noqa: S311 - it must repeat
        self._engine_orders: dict[int, Order] = {}
        self._last_engine_id = 0
        self._forced = 0
        self._last_order_id = 8_389_765_000_000_000
        self._last_trade_ids = dict.fromkeys(symbols, 6_000_000_000)
        self._timed: dict[int, Order] = {}
        self.count_order: Callable[[Account], None] = _count_nothing

    # Requests.

    def instrument(self, params: Params) -> Instrument:
        """The instrument that a request names."""
        found = self.instruments.get(text(params, "symbol"))
        if found is None:
            raise bad_symbol()
        return found

    def place(self, account: Account, params: Params, *, counts: bool = True) -> Order:
        """A new order; returns it as it stands when it has met the market. One of a batch was counted with it."""
        market = self._market()
        now_ms = self._clock.stamp_ms(market.now_ns)
        want = wanted(params, account, self.instrument(params), market, now_ms)
        if want.client_id and want.client_id in account.open_by_client_id:
            raise ApiError(-4116, "ClientOrderId is duplicated.")
        if counts:
            self.count_order(account)
        check_room(account, want, market)
        check_match(account, want, market)
        order = self._order(account, want, now_ms)
        blocked = self._prevent_self_trade(order, market)
        trades_with = [] if order.stp != "NONE" or order.reduce_only else own_orders_met(order, market)
        updates: list[Update] = []
        if not blocked and not trades_with:
            updates = self._send(order)
            if want.tif == "FOK" and not any(update.executed for update in updates):
                del self._engine_orders[order.engine_id]
                raise ApiError(
                    -5021,
                    "Due to the order could not be filled immediately, the FOK order has been rejected.",
                )
        account.opened(order)
        account.count("orders")
        if order.expire_ms:
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

    def modify(self, account: Account, params: Params, *, counts: bool = True) -> Order:
        """Another price and quantity; the order goes to the end of the queue, or ends if nothing of it would remain."""
        market = self._market()
        instrument = self.instrument(params)
        order = self._find(account, params, instrument)
        if order is None:
            raise no_such_order()
        side_of(params)
        if instrument.section.status != "TRADING":
            raise ApiError(-5024, "Symbol is not in trading status. Order amendment is not permitted.")
        if order.kind != "LIMIT":
            raise ApiError(-5025, "Only limit order is supported.")
        lots = check_qty(instrument, number(params, "quantity", instrument.qty_digits), "LIMIT")
        tick = check_tick(instrument, number(params, "price", instrument.price_digits))
        check_price(instrument, order.side, tick, market)
        if not order.reduce_only:
            check_modified_notional(instrument, tick, lots)
        if tick == order.tick and lots == order.lots:
            raise ApiError(-5027, "No need to modify the order.")
        if order.modifies >= self._modifies_max:
            raise ApiError(-5026, "Exceed maximum modify order limit.")
        if counts:
            self.count_order(account)
        account.count("modifies")
        ends = lots <= order.executed_lots or (
            order.tif == "GTX" and crosses(market, instrument, order.side, tick)
        )
        self._withdraw(order)
        if ends:
            self._end(order, "CANCELED", "CANCELED", market.now_ns)
            return order
        account.open_money += instrument.notional(tick, lots - order.executed_lots)
        account.open_money -= instrument.notional(order.tick, order.leaves_lots)
        order.tick, order.lots = tick, lots
        order.modifies += 1
        order.updated_ms = self._clock.stamp_ms(market.now_ns)
        updates = self._send(order)
        self._events.on_order(order, "AMENDMENT", market.now_ns)
        self.on_updates(updates)
        return order

    def cancel(self, account: Account, params: Params) -> Order:
        """The end of an order."""
        order = self._find(account, params, self.instrument(params))
        if order is None:
            raise unknown_order_cancel()
        self.end(order)
        return order

    def force_close(self, account: Account, instrument: Instrument, why: str, share: float = 1.0) -> int:
        """The exchange closes an account's positions in an instrument, at the middle of the best prices.

        Args:
            account: Whose.
            instrument: In what.
            why: One of `FORCED`.
            share: How much of each position, in whole steps; at least one.

        Returns:
            How many orders it took.
        """
        forced, market = FORCED[why], self._market()
        if forced.ends_orders:
            for order in self._open_in(account, instrument.symbol):
                self.end(order, what="EXPIRED", reason=forced.ends_orders)
        touch = market.touch(instrument.number)
        tick = (touch.bid_tick + touch.ask_tick) // 2 if touch.bid_lots and touch.ask_lots else 0
        held = [one for one in account.positions.values() if one.instrument is instrument and one.lots]
        for position in held if tick > 0 else ():
            step, all_lots = instrument.step_lots, abs(position.lots)
            lots = max(int(all_lots * share) // step * step, min(step, all_lots)) if share < 1.0 else all_lots
            now_ms = self._clock.stamp_ms(market.now_ns)
            self._forced += 1
            name = forced.client_id.format(now_ms * 1_000_000 + self._forced)
            side = -1 if position.lots > 0 else 1
            want = Wanted(
                instrument,
                side,
                forced.kind,
                "IOC",
                tick,
                lots,
                position.side,
                False,
                name,
                "NONE",
                "NONE",
                0,
                False,
            )
            order = self._order(account, want, now_ms)
            account.opened(order)
            order.status = forced.status
            self._events.on_order(order, "NEW", market.now_ns)
            self._execute(
                order, Fill(tick, lots, market.now_ns, False, self._next_trade_id(instrument)), forced.what
            )
            account.count(f"positions closed by {why}")
        return len(held)

    def _open_in(self, account: Account, symbol: str) -> list[Order]:
        return [order for order in account.open_orders.values() if order.instrument.symbol == symbol]

    def cancel_all(self, account: Account, symbol: str) -> int:
        """The end of all orders in an instrument. Returns how many there were."""
        orders = self._open_in(account, symbol)
        for order in orders:
            self.end(order)
        return len(orders)

    def end(self, order: Order, *, what: str = "CANCELED", reason: str = "0") -> None:
        """Take an open order out of the market, and say so."""
        self._withdraw(order)
        self._end(order, what, what, self._market().now_ns, reason)

    def _find(self, account: Account, params: Params, instrument: Instrument) -> Order | None:
        """The open order that a request names."""
        if not params.get("orderId") and not params.get("origClientOrderId"):
            raise ApiError(-1102, "Either orderId or origClientOrderId must be sent.")
        order = account.find(params.get("orderId") or None, params.get("origClientOrderId"), only_open=True)
        return order if order is not None and order.instrument is instrument else None

    def _prevent_self_trade(self, order: Order, market: Market) -> bool:
        """What the order would meet of its own account ends, or the order does. Returns whether the order does."""
        met = own_orders_met(order, market)
        if met and order.stp in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
            for other in met:
                self._withdraw(other)
                self._end(other, "EXPIRED_IN_MATCH", "EXPIRED", market.now_ns, BY_SELF_TRADE)
        return bool(met) and order.stp in ("EXPIRE_TAKER", "EXPIRE_BOTH")

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

    def _order(self, account: Account, want: Wanted, now_ms: int) -> Order:
        self._last_order_id += 1 + self._random.randrange(1000)
        order_id = self._last_order_id
        self._last_engine_id += 1
        return Order(
            order_id,
            want.client_id or f"x-{order_id:x}{self._random.getrandbits(40):010x}",
            account,
            want.instrument,
            want.side,
            want.kind,
            want.tif,
            want.tick,
            want.lots,
            want.position_side,
            want.reduce_only,
            want.stp,
            want.price_match,
            want.expire_ms,
            now_ms,
            now_ms,
            self._last_engine_id,
        )

    def _send(self, order: Order) -> list[Update]:
        self._engine_orders[order.engine_id] = order
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
        account, instrument = order.account, order.instrument
        tick, lots = fill.tick, fill.lots
        now_ms = self._clock.stamp_ms(fill.ts_ns)
        account.open_money -= instrument.notional(order.tick, lots)
        money = instrument.notional(tick, lots)
        order.executed_lots += lots
        order.money += money
        order.updated_ms = now_ms
        order.status = "PARTIALLY_FILLED" if order.leaves_lots else "FILLED"
        position = account.position(instrument, order.position_side)
        realized = position.book(order.side, tick, lots)
        position.updated_ms = account.balance_ms = now_ms
        fee = instrument.fee(money, instrument.maker_rate if fill.maker else instrument.taker_rate)
        account.fees += fee
        account.realized += realized
        account.balance += realized - fee
        account.count("trades")
        trade = Trade(
            fill.trade_id,
            order.order_id,
            order.client_id,
            instrument,
            order.side,
            order.position_side,
            tick,
            lots,
            money,
            fee,
            realized,
            fill.maker,
            now_ms,
            fill.ts_ns,
        )
        account.traded(trade)
        if order.status == "FILLED":
            self._forget(order)
        self._events.on_order(order, what, fill.ts_ns, trade)
        self._events.on_account(account, position, fill.ts_ns)
        if abs(position.lots) < abs(position.lots - order.side * lots):
            self._displace(account, position, fill.ts_ns)

    def _displace(self, account: Account, position: Position, ts_ns: int) -> None:
        """Orders that only reduce can't be larger than what is left: the newest go first."""
        room = abs(position.lots)
        for order in list(account.open_orders.values()):
            if not order.reduce_only or order.instrument is not position.instrument:
                continue
            if order.side * position.lots < 0 and order.leaves_lots <= room:
                room -= order.leaves_lots
                continue
            self._withdraw(order)
            self._end(order, "EXPIRED", "EXPIRED", ts_ns, BY_REDUCE_ONLY)

    def _end(self, order: Order, status: str, what: str, ts_ns: int, reason: str = "0") -> None:
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
        now_ms = self._clock.stamp_ms(self._market().now_ns)
        for order in [one for one in self._timed.values() if one.expire_ms <= now_ms]:
            self.end(order, what="EXPIRED", reason=BY_TIME)
        for account in self.accounts:
            for symbol, deadline_ms in list(account.countdowns.items()):
                if now_ms >= deadline_ms:
                    del account.countdowns[symbol]
                    account.count("countdowns fired")
                    self.cancel_all(account, symbol)

    def _market(self) -> Market:
        assert self.market is not None
        return self.market
