"""Accounts: wallets and positions, orders and trades. All of it in whole ticks, lots and units of money.

States, kinds and times in force are the framework's own words, and stand in `truth` as they are here; a venue writes
them as its exchange does.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sim.exchange.rules.config import AccountSection
from sim.exchange.rules.instruments import MONEY_DIGITS, RATE, Instrument, divide, parse

BUY: Final = 1
SELL: Final = -1

OPEN_STATES: Final = frozenset(("NEW", "PARTIALLY_FILLED"))

# What becomes of orders that are over is kept for this many of them, for each account.
HISTORY_MAX: Final = 2_000_000


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was asked for, checked for what it says of itself.

    Attributes:
        kind: LIMIT or MARKET; of those that the exchange makes itself whatever it calls them.
        tif: GTC, GTD, IOC, FOK, or GTX for post-only.
        position_side: BOTH; LONG or SHORT in an account that holds them apart.
        client_id: Empty: the exchange gives it one.
        stp: What ends where it would meet orders of its own account: EXPIRE_TAKER, EXPIRE_MAKER, EXPIRE_BOTH, or NONE.
        expire_ms: When a GTD order ends.
        expires_unfit: Where a post-only order would take, or a fill-or-kill order can't be filled, it is taken and
            expires; else it is refused.
        echo: What the venue says of the order again, and nobody else looks at.
    """

    instrument: Instrument
    side: int
    kind: str
    tif: str
    tick: int
    lots: int
    position_side: str = "BOTH"
    reduce_only: bool = False
    client_id: str = ""
    stp: str = "NONE"
    expire_ms: int = 0
    expires_unfit: bool = False
    echo: Mapping[str, Any] = {}


class Order(msgspec.Struct):
    """An order.

    Attributes:
        asked: As it was asked for.
        tick: As ordered, or as last modified.
        lots: As ordered, or as last modified.
        engine_id: Under which it stands in the market; another one after each modification.
        worth: What its executions are worth, in parts of a unit of money (`Instrument.worth`).
        reserved: What its account has set aside for what is not executed.
        reason: Why it expired: one of `matching`'s words.
        held_lots: Executed by the market, and not a whole step yet.
        fees: Of its executions.
        realized: Their profit.
        ended_by: What ended it in its owner's stead: `switch`, or `amendment`, of a post-only order that would then
            take.
        request_id: What the request that ended it is called, where such requests have ids of their own.
        former_id: The client id that it had before it was changed.
        sent_lots: Executed when it was last put into the market.
        prevented_by: The account's other order that a self-trade was prevented with.
    """

    order_id: int
    client_id: str
    account: "Account"
    instrument: Instrument
    asked: NewOrder
    side: int
    tick: int
    lots: int
    created_ms: int
    updated_ms: int
    engine_id: int
    executed_lots: int = 0
    worth: int = 0
    reserved: int = 0
    status: str = "NEW"
    modifies: int = 0
    reason: str = ""
    held_lots: int = 0
    fees: int = 0
    realized: int = 0
    ended_by: str = ""
    request_id: str = ""
    former_id: str = ""
    sent_lots: int = 0
    prevented_by: "Order | None" = None

    @property
    def kind(self) -> str:
        """LIMIT, MARKET, or what the exchange calls its own."""
        return self.asked.kind

    @property
    def tif(self) -> str:
        """GTC, GTD, IOC, FOK or GTX."""
        return self.asked.tif

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
        money: What it is worth, in the margin asset, as fee and profit are; of a spot instrument in the quote.
        fee_asset: In which the fee is, where it is not the margin asset.
        market_ns: When it happened, by the market's time.
    """

    trade_id: int
    order: Order
    tick: int
    lots: int
    money: int
    fee: int
    realized: int
    maker: bool
    time_ms: int
    market_ns: int
    fee_asset: str = ""


class Payment(msgspec.Struct, frozen=True):
    """A payment of funding.

    Attributes:
        lots: The position that it is for; negative for a short one.
        tick: The mark.
        rate: What who is long pays of the position's value, as it was given.
        amount: In units of money of the margin asset; below 0 it was paid.
    """

    payment_id: int
    instrument: Instrument
    lots: int
    tick: int
    rate: str
    amount: int
    time_ms: int


class Request(msgspec.Struct, frozen=True):
    """What was asked for, in the words in which it came.

    Attributes:
        what: `place` or `modify`.
        only_reduces: Whether it may only reduce a position.
        order_id: The exchange's, where that names an order.
    """

    what: str
    client_id: str
    symbol: str
    side: str
    kind: str
    price: str
    qty: str
    only_reduces: bool
    order_id: str = ""


class Position(msgspec.Struct):
    """A position in an instrument.

    Attributes:
        lots: Negative for a short one.
        cost: What it was entered for, in parts of a unit of money (`Instrument.worth`).
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
        worth = self.instrument.worth
        held = abs(self.lots)
        if self.lots * side >= 0:
            self.lots += side * lots
            self.cost += worth(tick, lots)
            return 0
        closed = min(held, lots)
        cost = divide(self.cost * closed, held)
        realized = self.instrument.gain(cost, worth(tick, closed), -side)
        self.cost -= cost
        self.lots += side * closed
        if lots > closed:
            self.lots = side * (lots - closed)
            self.cost = worth(tick, lots - closed)
        self.realized += realized
        return realized

    def entry_price(self) -> str:
        """At which price it was entered, on average."""
        return self.instrument.average(self.cost, self.lots)

    def profit(self, tick: int) -> int:
        """What it has won at a price and not realized."""
        worth = self.instrument.worth(tick, abs(self.lots))
        return self.instrument.gain(self.cost, worth, 1 if self.lots > 0 else -1) if self.lots else 0


class Wallet(msgspec.Struct):
    """What an account has of an asset.

    Attributes:
        reserved: What its open orders are worth; of spot instruments it is locked.
    """

    asset: str
    start_balance: int
    balance: int
    fees: int = 0
    realized: int = 0
    reserved: int = 0
    updated_ms: int = 0

    @property
    def free(self) -> int:
        """What is not locked; only of an account of spot instruments is it what can be spent."""
        return max(self.balance - self.reserved, 0)


class Account:
    """An account and all it has ever done.

    Args:
        number: Its lane in the market.
        section: Its configuration.
        assets: Those of all instruments (`Instrument.assets`); it has a wallet of each, and of what its section names.
    """

    def __init__(self, number: int, section: AccountSection, assets: list[str]) -> None:
        self.number = number
        self.section = section
        self.name = section.name
        self.api_key = section.api_key
        self.hedge = section.hedge
        self.leverage = section.leverage
        self.wallets: dict[str, Wallet] = {}
        for asset in dict.fromkeys([*assets, *section.balances, *filter(None, [section.fee_asset])]):
            amount = parse(section.balances.get(asset, section.balance), MONEY_DIGITS)
            self.wallets[asset] = Wallet(asset, amount, amount)
        self.positions: dict[tuple[str, str], Position] = {}
        self.orders: dict[int, Order] = {}
        self.open_orders: dict[int, Order] = {}
        self.open_by_client_id: dict[str, Order] = {}
        self.last_by_client_id: dict[str, Order] = {}
        self.trades: list[Trade] = []
        self.payments: list[Payment] = []
        self.user_key = ""
        """Under which its user events go out now; empty: nobody can hear them."""
        self.countdowns: dict[str, int] = {}
        """When (`Matching.passed_ms`) a dead-man switch cancels the orders in a symbol, or, of "", all of them."""
        self.is_watched = False
        """Whether a connection has ever asked to be watched by the account's dead-man switch."""
        self.switch_s = 0
        """How long those of its connections that a dead-man switch watches may be silent; 0: there is no switch."""
        self.counters: dict[str, int] = {}
        self.requests: list[Request] = []

    @property
    def main(self) -> Wallet:
        """The first wallet."""
        return next(iter(self.wallets.values()))

    def wallet(self, instrument: Instrument) -> Wallet:
        """That of an instrument's margin asset."""
        return self.wallets[instrument.margin_asset]

    def paying(self, instrument: Instrument, side: int) -> Wallet:
        """What an order sets its value aside of: of a spot instrument a seller pays with the base."""
        sells = instrument.is_spot and side < 0
        return self.wallets[instrument.base if sells else instrument.margin_asset]

    def asked(self, request: Request) -> None:
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

    def held(self, instrument: Instrument, side: str) -> int:
        """The lots of a position; 0 where there is none."""
        found = self.positions.get((instrument.symbol, side))
        return found.lots if found is not None else 0

    def reserve(self, order: Order) -> None:
        """Set aside what the rest of an order is worth; nothing for one that is over."""
        is_open = order.order_id in self.open_orders
        wanted = price_of(order.instrument, order.side, order.tick, order.leaves_lots) if is_open else 0
        self.paying(order.instrument, order.side).reserved += wanted - order.reserved
        order.reserved = wanted

    def opened(self, order: Order) -> None:
        """A new order is in the market, or was."""
        self.orders[order.order_id] = order
        self.last_by_client_id[order.client_id] = order
        self.open_orders[order.order_id] = order
        self.open_by_client_id[order.client_id] = order
        self.reserve(order)
        if len(self.orders) > HISTORY_MAX:
            self._forget()

    def closed(self, order: Order) -> None:
        """An order is over."""
        if self.open_orders.pop(order.order_id, None) is not None:
            self.open_by_client_id.pop(order.client_id, None)
            self.reserve(order)

    def rename(self, order: Order, client_id: str) -> None:
        """An open order is called otherwise from now on."""
        order.former_id = order.client_id
        self.open_by_client_id.pop(order.client_id, None)
        order.client_id = client_id
        self.open_by_client_id[client_id] = self.last_by_client_id[client_id] = order

    def executed(self, order: Order, trade: Trade) -> Position | None:
        """An execution of an order, without its fee and its profit, which are computed here.

        Returns:
            The position; in spot instruments there is no such thing.
        """
        instrument = order.instrument
        if instrument.is_spot:
            # Once the market has ended its time stands still, but no execution is before its order: clients take
            # the latest balance.
            trade.time_ms = max(trade.time_ms, order.created_ms)
        worth = instrument.worth(trade.tick, trade.lots)
        order.executed_lots += trade.lots
        order.worth += worth
        order.updated_ms = trade.time_ms
        order.status = "PARTIALLY_FILLED" if order.leaves_lots else "FILLED"
        self.reserve(order)
        trade.money = instrument.money(worth)
        position = self._exchanged(order, trade) if instrument.is_spot else self._held(order, trade, worth)
        order.fees += trade.fee
        order.realized += trade.realized
        self.count("trades")
        self.trades.append(trade)
        if len(self.trades) > HISTORY_MAX:
            del self.trades[: HISTORY_MAX // 10]
            self.count("trades forgotten")
        return position

    def _held(self, order: Order, trade: Trade, worth: int) -> Position:
        """An execution in a contract changes a position."""
        instrument, wallet = order.instrument, self.wallet(order.instrument)
        position = self.position(instrument, order.asked.position_side)
        trade.realized = position.book(order.side, trade.tick, trade.lots)
        trade.fee = instrument.fee(worth, instrument.maker_rate if trade.maker else instrument.taker_rate)
        wallet.fees += trade.fee
        wallet.realized += trade.realized
        wallet.balance += trade.realized - trade.fee
        position.updated_ms = wallet.updated_ms = trade.time_ms
        return position

    def _exchanged(self, order: Order, trade: Trade) -> None:
        """An execution in a spot instrument changes balances."""
        instrument, side = order.instrument, order.side
        base, quote = self.wallets[instrument.base], self.wallets[instrument.quote]
        amount = instrument.base_amount(trade.lots)
        base.balance += side * amount
        quote.balance -= side * trade.money
        rate = instrument.maker_rate if trade.maker else instrument.taker_rate
        paid = self.wallets.get(self.section.fee_asset)
        fee = instrument.fee_in_asset(trade.money, rate) if paid is not None else None
        if paid is None or fee is None or fee > paid.free:
            paid, received = (base, amount) if side > 0 else (quote, trade.money)
            fee = divide(received * rate, RATE)
        trade.fee, trade.fee_asset = fee, paid.asset
        paid.balance -= fee
        paid.fees += fee
        base.updated_ms = quote.updated_ms = paid.updated_ms = trade.time_ms

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
        """All of it, for tests: whole ticks, lots and units of 1e-8 of the margin asset."""
        wallets = [msgspec.structs.asdict(one) for one in self.wallets.values()]
        return {
            "name": self.name,
            "api_key": self.api_key,
            # Of the first wallet: most venues have one.
            **{key: wallets[0][key] for key in ("balance", "start_balance", "fees", "realized")},
            "wallets": wallets,
            "positions": [
                {
                    "symbol": p.instrument.symbol,
                    "side": p.side,
                    "lots": p.lots,
                    "qty": p.instrument.qty(p.lots),
                    "cost": p.instrument.money(p.cost),
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


def price_of(instrument: Instrument, side: int, tick: int, lots: int) -> int:
    """What an order sets aside: its value, or, of one that sells a spot instrument, what it sells."""
    if instrument.is_spot and side < 0:
        return instrument.base_amount(lots)
    return instrument.notional(tick, lots)


def _order_truth(order: Order) -> dict[str, Any]:
    i = order.instrument
    names = ("order_id", "client_id", "side", "tick", "lots", "executed_lots")
    names += ("status", "modifies", "created_ms", "updated_ms")
    return {name: getattr(order, name) for name in names} | {
        "symbol": i.symbol,
        "type": order.kind,
        "time_in_force": order.tif,
        "position_side": order.asked.position_side,
        "reduce_only": order.asked.reduce_only,
        "price": i.price(order.tick),
        "qty": i.qty(order.lots),
        "executed_qty": i.qty(order.executed_lots),
        "money": i.money(order.worth),
    }


def _trade_truth(trade: Trade) -> dict[str, Any]:
    order, i = trade.order, trade.order.instrument
    names = ("trade_id", "tick", "lots", "money", "fee", "realized", "maker", "time_ms", "market_ns")
    return {name: getattr(trade, name) for name in names} | {
        "order_id": order.order_id,
        "client_id": order.client_id,
        "symbol": i.symbol,
        "side": order.side,
        "position_side": order.asked.position_side,
        "price": i.price(trade.tick),
        "qty": i.qty(trade.lots),
        "fee_asset": trade.fee_asset or i.margin_asset,
    }
