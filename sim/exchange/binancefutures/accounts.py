"""Accounts: balances and positions, orders and trades. All of it in whole ticks, lots and units of money."""

from typing import Any, Final

import msgspec

from sim.exchange.binancefutures.instruments import Instrument
from sim.exchange.binancefutures.numbers import MONEY_DIGITS, divide, parse
from sim.exchange.config import AccountSection

BUY: Final = 1
SELL: Final = -1

OPEN_STATES: Final = frozenset(("NEW", "PARTIALLY_FILLED"))

# What becomes of orders that are over is kept for this many of them, for each account.
HISTORY_MAX: Final = 2_000_000


class Order(msgspec.Struct):
    """An order.

    Attributes:
        lots: As ordered, or as last modified.
        money: What its executions are worth.
        engine_id: Under which it stands in the market; another one after each modification.
        expire_ms: When a GTD order ends.
        reason: Why it expired: the event's `er`.
        held_lots: Executed by the market, and not a whole step yet.
    """

    order_id: int
    client_id: str
    account: "Account"
    instrument: Instrument
    side: int
    kind: str
    tif: str
    tick: int
    lots: int
    position_side: str
    reduce_only: bool
    stp: str
    price_match: str
    expire_ms: int
    created_ms: int
    updated_ms: int
    engine_id: int
    executed_lots: int = 0
    money: int = 0
    status: str = "NEW"
    modifies: int = 0
    reason: str = "0"
    held_lots: int = 0

    @property
    def is_open(self) -> bool:
        """Whether something can still happen to it."""
        return self.status in OPEN_STATES

    @property
    def leaves_lots(self) -> int:
        """What is not executed."""
        return self.lots - self.executed_lots


class Trade(msgspec.Struct):
    """An execution of an order.

    Attributes:
        market_ns: When it happened, by the market's time.
    """

    trade_id: int
    order_id: int
    client_id: str
    instrument: Instrument
    side: int
    position_side: str
    tick: int
    lots: int
    money: int
    fee: int
    realized: int
    maker: bool
    time_ms: int
    market_ns: int


class Request(msgspec.Struct, frozen=True):
    """What was asked for, in the words in which it came.

    Attributes:
        what: `place` or `modify`.
        only_reduces: Whether it may only reduce a position.
    """

    what: str
    client_id: str
    symbol: str
    side: str
    kind: str
    price: str
    qty: str
    only_reduces: bool


class Position(msgspec.Struct):
    """A position in an instrument.

    Attributes:
        lots: Negative for a short one.
        cost: What it was entered for.
        realized: The profit of what was closed, without fees.
    """

    instrument: Instrument
    side: str
    lots: int = 0
    cost: int = 0
    realized: int = 0
    updated_ms: int = 0

    def book(self, side: int, tick: int, lots: int) -> int:
        """An execution changes it. Returns the profit that it realized."""
        notional = self.instrument.notional
        held = abs(self.lots)
        if self.lots * side >= 0:
            self.lots += side * lots
            self.cost += notional(tick, lots)
            return 0
        closed = min(held, lots)
        cost = divide(self.cost * closed, held)
        realized = (notional(tick, closed) - cost) * -side
        self.cost -= cost
        self.lots += side * closed
        if lots > closed:
            self.lots = side * (lots - closed)
            self.cost = notional(tick, lots - closed)
        self.realized += realized
        return realized

    def entry_price(self) -> str:
        """At which price it was entered, on average."""
        return self.instrument.average(self.cost, self.lots)

    def profit(self, tick: int) -> int:
        """What it has won at a price and not realized."""
        value = self.instrument.notional(tick, abs(self.lots))
        return (value - self.cost) * (1 if self.lots > 0 else -1) if self.lots else 0


class Account:
    """An account and all it has ever done.

    Args:
        number: Its lane in the market.
        section: Its configuration.
    """

    def __init__(self, number: int, section: AccountSection) -> None:
        self.number = number
        self.section = section
        self.name = section.name
        self.api_key = section.api_key
        self.hedge = section.hedge
        self.leverage = section.leverage
        self.start_balance = self.balance = parse(section.balance, MONEY_DIGITS)
        self.fees = 0
        self.realized = 0
        self.positions: dict[tuple[str, str], Position] = {}
        self.orders: dict[int, Order] = {}
        self.open_orders: dict[int, Order] = {}
        self.open_by_client_id: dict[str, Order] = {}
        self.last_by_client_id: dict[str, Order] = {}
        self.trades: list[Trade] = []
        self.open_money = 0
        self.balance_ms = 0
        self.listen_key = ""
        self.listen_key_until_ms = 0
        self.order_times: dict[str, tuple[int, int]] = {}
        self.countdowns: dict[str, int] = {}
        self.counters: dict[str, int] = {}
        self.requests: list[Request] = []

    def asked(self, request: "Request") -> None:
        """An order or a modification has come, whatever becomes of it."""
        self.requests.append(request)
        if len(self.requests) > HISTORY_MAX:
            del self.requests[: HISTORY_MAX // 10]
            self.count("requests forgotten")

    def count(self, what: str) -> None:
        """Count something, for the control page."""
        self.counters[what] = self.counters.get(what, 0) + 1

    def position(self, instrument: Instrument, side: str) -> Position:
        """A position, made at the first use."""
        found = self.positions.get((instrument.symbol, side))
        if found is None:
            found = self.positions[instrument.symbol, side] = Position(instrument, side)
        return found

    def opened(self, order: Order) -> None:
        """A new order is in the market, or was."""
        self.orders[order.order_id] = order
        self.last_by_client_id[order.client_id] = order
        self.open_orders[order.order_id] = order
        self.open_by_client_id[order.client_id] = order
        self.open_money += order.instrument.notional(order.tick, order.lots)
        if len(self.orders) > HISTORY_MAX:
            self._forget()

    def closed(self, order: Order) -> None:
        """An order is over."""
        if self.open_orders.pop(order.order_id, None) is not None:
            self.open_by_client_id.pop(order.client_id, None)
            self.open_money -= order.instrument.notional(order.tick, order.leaves_lots)

    def traded(self, trade: Trade) -> None:
        """An execution."""
        self.trades.append(trade)
        if len(self.trades) > HISTORY_MAX:
            del self.trades[: HISTORY_MAX // 10]
            self.count("trades forgotten")

    def find(self, order_id: str | None, client_id: str | None, *, only_open: bool) -> Order | None:
        """An order by the exchange's id or, if there is none, by the client's."""
        if order_id is not None:
            try:
                number = int(order_id)
            except ValueError:
                return None
            return (self.open_orders if only_open else self.orders).get(number)
        return (self.open_by_client_id if only_open else self.last_by_client_id).get(client_id or "")

    def _forget(self) -> None:
        """The oldest orders that are over are not kept for ever."""
        for order_id in list(self.orders)[: HISTORY_MAX // 10]:
            if order_id not in self.open_orders:
                order = self.orders.pop(order_id)
                if self.last_by_client_id.get(order.client_id) is order:
                    del self.last_by_client_id[order.client_id]

    def truth(self) -> dict[str, Any]:
        """All of it, for tests: whole ticks, lots and units of 1e-8."""
        return {
            "name": self.name,
            "api_key": self.api_key,
            "balance": self.balance,
            "start_balance": self.start_balance,
            "fees": self.fees,
            "realized": self.realized,
            "positions": [
                {
                    "symbol": p.instrument.symbol,
                    "side": p.side,
                    "lots": p.lots,
                    "qty": p.instrument.qty(p.lots),
                    "cost": p.cost,
                    "entry_price": p.entry_price(),
                    "realized": p.realized,
                }
                for p in self.positions.values()
            ],
            "orders": [_order_truth(order) for order in self.orders.values()],
            "open_orders": list(self.open_orders),
            "trades": [_trade_truth(trade) for trade in self.trades],
            "requests": [msgspec.structs.asdict(one) for one in self.requests],
            "counters": self.counters,
        }


def _order_truth(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "client_id": order.client_id,
        "symbol": order.instrument.symbol,
        "side": order.side,
        "type": order.kind,
        "time_in_force": order.tif,
        "position_side": order.position_side,
        "reduce_only": order.reduce_only,
        "tick": order.tick,
        "lots": order.lots,
        "price": order.instrument.price(order.tick),
        "qty": order.instrument.qty(order.lots),
        "executed_lots": order.executed_lots,
        "executed_qty": order.instrument.qty(order.executed_lots),
        "money": order.money,
        "status": order.status,
        "modifies": order.modifies,
        "created_ms": order.created_ms,
        "updated_ms": order.updated_ms,
    }


def _trade_truth(trade: Trade) -> dict[str, Any]:
    return {
        "trade_id": trade.trade_id,
        "order_id": trade.order_id,
        "client_id": trade.client_id,
        "symbol": trade.instrument.symbol,
        "side": trade.side,
        "position_side": trade.position_side,
        "tick": trade.tick,
        "lots": trade.lots,
        "price": trade.instrument.price(trade.tick),
        "qty": trade.instrument.qty(trade.lots),
        "money": trade.money,
        "fee": trade.fee,
        "realized": trade.realized,
        "maker": trade.maker,
        "time_ms": trade.time_ms,
        "market_ns": trade.market_ns,
    }
