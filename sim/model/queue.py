"""Queue models: how much quantity is ahead of an own order at its price.

`front_qty` starts as the level's quantity. A trade at the price takes from it, and a change of the level moves it as
the model says. The order is reached when less than minus half a lot is ahead of it.

The probability models follow E. Rigtorp, "Estimating order queue position" (2013): the part of a level's decrease
that trades do not explain is split between what is ahead of the order and what is behind it by a probability.

Two bound them all: of one, no trade at the price ever reaches the order; of the other, nothing is ever ahead of it.
"""

# pyright: basic

import math

from hftd.compiled.jit import inline
from hftd.compiled.native import record_at
from hftd.rows import Address, Ns
from sim.model.custom import (
    custom_depth,
    custom_enter,
    custom_reached_lots,
    custom_trade,
    exchange_at,
    lots_of,
)
from sim.model.layout import (
    QUEUE_CUSTOM,
    QUEUE_FRONT,
    QUEUE_LOG,
    QUEUE_LOG2,
    QUEUE_POWER,
    QUEUE_POWER2,
    QUEUE_RISK_ADVERSE,
    QUEUE_THROUGH,
    own_order_dtype,
)

own_order_at = record_at(own_order_dtype)


@inline
def probability_behind(model: int, power: float, front: float, back: float):
    """The probability that a decrease happens behind the order; `front` and `back` are not negative."""
    if front + back <= 0.0:
        return 1.0
    if model == QUEUE_LOG:
        f_back = math.log(1.0 + back)
        total = f_back + math.log(1.0 + front)
        # Of what 1 + x does not show, the logarithm is x.
        return f_back / total if total > 0.0 else back / (back + front)
    if model == QUEUE_LOG2:
        total = math.log(1.0 + (back + front))
        return math.log(1.0 + back) / total if total > 0.0 else back / (back + front)
    if model == QUEUE_POWER:
        f_back = back**power
        total = f_back + front**power
        if total == 0.0 or total == math.inf:
            # The power is beyond what a number can be: that of the ratio is not.
            return 1.0 / (1.0 + (front / back) ** power) if back > 0.0 else 0.0
        return f_back / total
    if model == QUEUE_POWER2:
        total = (back + front) ** power
        if total == 0.0 or total == math.inf:
            return (back / (back + front)) ** power
        return back**power / total
    return 1.0 - (front / (front + back)) ** power


@inline
def queue_enter(exchange: Address, order: Address, level_qty: float, now_ns: Ns) -> None:
    """An order joins a level: all that stands there is ahead of it."""
    o = own_order_at(order)
    o.front_qty = level_qty
    o.cum_trade_qty = 0.0
    model = exchange_at(exchange).queue_model
    if model == QUEUE_CUSTOM:
        custom_enter(exchange, order, level_qty, now_ns)
    elif model == QUEUE_FRONT:
        o.front_qty = 0.0


@inline
def queue_trade(exchange: Address, order: Address, qty: float, now_ns: Ns) -> None:
    """A trade at the order's price takes from what is ahead of it."""
    o = own_order_at(order)
    model = exchange_at(exchange).queue_model
    if model == QUEUE_CUSTOM:
        custom_trade(exchange, order, qty, now_ns)
        return
    if model == QUEUE_THROUGH:
        return
    o.front_qty -= qty
    o.cum_trade_qty += qty


@inline
def queue_depth(exchange: Address, order: Address, before_qty: float, after_qty: float, now_ns: Ns) -> None:
    """The level's quantity changed by something that the trades so far do not explain."""
    x = exchange_at(exchange)
    o = own_order_at(order)
    model = x.queue_model
    if model == QUEUE_CUSTOM:
        custom_depth(exchange, order, before_qty, after_qty, now_ns)
        return
    if model == QUEUE_FRONT:
        return
    if model == QUEUE_RISK_ADVERSE or model == QUEUE_THROUGH:
        o.front_qty = min(o.front_qty, after_qty)
        return
    # The trades since the last change are in the new quantity already.
    decrease = before_qty - after_qty - o.cum_trade_qty
    o.cum_trade_qty = 0.0
    if decrease < 0.0:
        o.front_qty = min(o.front_qty, after_qty)
        return
    # A trade may leave the front a rounding error below zero; a power of that would be NaN.
    front = max(o.front_qty, 0.0)
    back = before_qty - front
    behind = probability_behind(model, x.queue_power, front, max(back, 0.0))
    estimate = front - (1.0 - behind) * decrease + min(back - behind * decrease, 0.0)
    o.front_qty = min(estimate, after_qty)


@inline
def queue_reached_lots(exchange: Address, order: Address, now_ns: Ns):
    """How many lots of trades went beyond what was ahead of the order; more than 0 if it is reached."""
    x = exchange_at(exchange)
    if x.queue_model == QUEUE_CUSTOM:
        return custom_reached_lots(exchange, order, now_ns)
    if x.queue_model == QUEUE_THROUGH:
        return 0
    return lots_of(-own_order_at(order).front_qty, x.book.lot_size)
