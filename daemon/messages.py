"""What order management and a venue's session say to each other: commands, outcomes, reports.

Order management (:mod:`daemon.orders`) holds no socket and reads no clock. It gives a venue's session *commands*; the
session gives back one *outcome* for each command, and *reports* of what the exchange said by itself, in any order and
any number of times. A report is a fact about one order; applying it twice, late, or before its command's outcome must
come to the same.

Prices are in ticks and quantities in lots of the :class:`Instrument`, as integers, so that nothing is rounded; times
are nanoseconds since the epoch, on the exchange's clock where they are named ``exch_ns``. Sides, order types, times in
force and states are the codes of :mod:`hftd.constants`.
"""

from decimal import Decimal
from typing import Final

import msgspec

# How a request ended. A time out is UNKNOWN, never REFUSED: it is resolved by asking (`Query`).
CONFIRMED: Final = "confirmed"
REFUSED: Final = "refused"
UNKNOWN: Final = "unknown"

# Why an instrument is not traded, `Instrument.trouble`.
STEPS_CHANGED: Final = "steps_changed"
"""The exchange has another tick or lot than this process counts in."""
NOT_TRADING: Final = "not_trading"
DELISTED: Final = "delisted"
SET_ASIDE: Final = "set_aside"
"""Something of it can't be taken over: an order, fill or position off the lot."""

# Where a report comes from.
BY_REPLY: Final = "reply"
BY_STREAM: Final = "stream"
BY_QUERY: Final = "query"


class Instrument(msgspec.Struct, frozen=True):
    """An instrument of the exchange, with its filters.

    Attributes:
        number: By which the channel's messages name it.
        symbol: The exchange's name of it, in the exchange's spelling.
        tick_size: Price step; `price = price_tick * tick_size`.
        lot_size: Quantity step.
        min_qty_lots: The least quantity of an order.
        max_qty_lots: The largest quantity of an order; 0: no limit.
        min_notional: Smallest price * quantity of an order, in the quote currency; 0 for none.
        price_figures: So many significant figures a price may have that is not a whole number; 0: as many as it likes.
            The tick is then the finest that any price has, and a power of ten.
        contract_size: Of one unit of quantity; `inverse` contracts are worth contract_size / price.
        is_trading: False while no orders are taken in it, by the exchange or by this process.
        trouble: Why not, as the key of a warning: `STEPS_CHANGED`, `NOT_TRADING`, `DELISTED` or `SET_ASIDE`.
        why: The same for people, behind the symbol and a colon.
        replaces: A modification other than a reduction (`Modify.is_reduction`) ends the order at the exchange and makes
            another one of the same client id, with another id of the exchange's.
        renames: The other one has another client id as well, `Modify.new_client_id`.
        is_spot: What is traded is held as balances of `base` and `quote`, and not as a position.
    """

    number: int
    symbol: str
    tick_size: Decimal
    lot_size: Decimal
    min_qty_lots: int = 1
    max_qty_lots: int = 0
    market_max_qty_lots: int = 0
    min_notional: float = 0.0
    price_figures: int = 0
    contract_size: float = 1.0
    inverse: bool = False
    is_trading: bool = True
    base: str = ""
    quote: str = ""
    trouble: str = ""
    why: str = ""
    is_spot: bool = False
    replaces: bool = False
    renames: bool = False


class Submit(msgspec.Struct, frozen=True, array_like=True, tag="submit"):
    """Send a new order.

    Attributes:
        request: Number of the command, unique in this process; the outcome names it.
        client_id: The order's id with the exchange, ours; made and journalled before the send.
        price_tick: 0 for a MARKET order.
    """

    request: int
    client_id: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    price_tick: int
    qty_lots: int
    reduce_only: bool = False


class Modify(msgspec.Struct, frozen=True, array_like=True, tag="modify"):
    """Change an open order's price and quantity.

    Attributes:
        qty_lots: The new total quantity, what is executed already included.
        exch_order_id: The exchange's id, empty while it is not known.
        time_in_force: The order's, where it has to be made anew.
        done_lots: Of the quantity, what is known to be executed. Of an order that has replaced others, both are the
            exchange's present order's; what the others executed and is still to be told makes it less than 0.
        is_reduction: Nothing but the quantity changes, and to less: where the exchange can, the order keeps its place.
        new_client_id: What the other order is called (`Instrument.renames`); else empty.
    """

    request: int
    client_id: str
    exch_order_id: str
    symbol: str
    side: int
    price_tick: int
    qty_lots: int
    time_in_force: int = 0
    done_lots: int = 0
    is_reduction: bool = False
    new_client_id: str = ""


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """Cancel an open order."""

    request: int
    client_id: str
    exch_order_id: str
    symbol: str


class Query(msgspec.Struct, frozen=True, array_like=True, tag="query"):
    """Ask what became of an order. Its outcome is CONFIRMED with a report, REFUSED if the exchange knows no such
    order, or UNKNOWN.
    """

    request: int
    client_id: str
    exch_order_id: str
    symbol: str


Command = Submit | Modify | Cancel | Query


UNTOLD: Final = "?"
"""`Execution.client_id` where the exchange does not say it yet, and has to be asked again."""


class Execution(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One fill. Counted once by (symbol, trade_id, side): both sides of a self-trade have one trade id.

    Attributes:
        client_id: Of its order; empty where the exchange does not find one, UNTOLD where it may find one later.
        price_tick: Its price; the nearest one if it is between two ticks.
        fee: What was paid, in `fee_asset`; negative for a rebate.
        price: The exact price if that is on no tick (of an order from before a change of the tick), else 0.
        is_forced: The order was the exchange's own: a liquidation, a deleveraging, a settlement or delivery.
    """

    symbol: str
    trade_id: str
    client_id: str
    exch_order_id: str
    side: int
    price_tick: int
    qty_lots: int
    is_maker: bool
    fee: float
    fee_asset: str
    exch_ns: int
    price: float = 0.0
    is_forced: bool = False


class Totals(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What an order has executed in all, where the exchange tells no single executions with ids.

    Attributes:
        avg_price: Of all that is executed.
        fee: Paid for it in `fee_asset`; negative for a rebate.
        is_maker: Whether the last of it made the market, as far as that is known.
    """

    avg_price: float
    fee: float = 0.0
    fee_asset: str = ""
    is_maker: bool = False


class Report(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What the exchange says of one order.

    Attributes:
        source: BY_REPLY, BY_STREAM or BY_QUERY.
        client_id: The order's id; one that is not ours is somebody else's order, which is left alone.
        status: NEW, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED or REJECTED.
        price_tick: The order's price now.
        qty_lots: Its total quantity now.
        cum_lots: Executed so far.
        exch_ns: When the exchange made it so.
        execution: The fill that this report is about, if it is about one.
        has_fee: False if the execution's fee is not known yet (a short form of the fill).
        reason: Why, where the exchange says so: a REASON_* of hftd.constants, 0 if not.
        is_off_grid: Its price, or the fill's, is on no tick; `price_tick` is the nearest.
        forced_lots: What the exchange's own order closed just now, if that is told without the id of a trade
            (`execution` is None then); at `forced_price`.
        totals: With `cum_lots`, in place of executions: these are the differences to what was told before. None where
            the exchange tells executions by their ids.
    """

    source: str
    client_id: str
    exch_order_id: str
    symbol: str
    side: int
    order_type: int
    time_in_force: int
    status: int
    price_tick: int
    qty_lots: int
    cum_lots: int
    exch_ns: int
    execution: Execution | None = None
    has_fee: bool = True
    reason: int = 0
    is_off_grid: bool = False
    forced_lots: int = 0
    forced_price: float = 0.0
    totals: Totals | None = None


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """How a command ended.

    Attributes:
        request: The command's number.
        kind: CONFIRMED, REFUSED or UNKNOWN.
        reason: For REFUSED a REASON_* of hftd.constants.
        message: The exchange's own words; log, status and the bot are told them.
        report: The order's state as the reply gives it, if it does.
        exch_ns: When the exchange handled it, 0 if unknown.
        code: The exchange's own number of what is wrong, 0 if it has none.
        hint: What a person can do about it, if the venue knows.
        former: Of a modification that ends the order and makes another one: the order that ended. Without `report`,
            another one was not made.
    """

    request: int
    kind: str
    reason: int = 0
    message: str = ""
    report: Report | None = None
    exch_ns: int = 0
    code: int = 0
    hint: str = ""
    former: Report | None = None


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """The account's position in an instrument, as the exchange says it; `qty_lots` is negative when short.

    Attributes:
        is_told: False: it says nothing of the instrument, not even that there is no position; the rest means nothing.
    """

    symbol: str
    qty_lots: int
    entry_price: float
    exch_ns: int
    is_told: bool = True


class Funds(msgspec.Struct, frozen=True, array_like=True):
    """What a spot account has of an asset, in its units; orders lock what they would pay with."""

    asset: str
    free: Decimal
    locked: Decimal
    exch_ns: int


class Transfer(msgspec.Struct, frozen=True, array_like=True):
    """A deposit, a withdrawal, or whatever else changed a spot account's balance and is no execution."""

    asset: str
    amount: Decimal
    exch_ns: int


class Funding(msgspec.Struct, frozen=True, array_like=True):
    """A payment for holding a position over a moment, counted once by its id.

    Attributes:
        symbol: For which; empty where the exchange does not say.
        amount: In the asset; below 0: paid.
        payment_id: The exchange's, or what tells it apart from others.
        told_by: BY_STREAM or BY_QUERY, where the two have ids of their own: then what one tells is compared with what
            the other has told.
    """

    symbol: str
    asset: str
    amount: float
    exch_ns: int
    payment_id: str
    told_by: str = ""
