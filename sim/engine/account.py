"""What an execution does to an account. A positive fee is a cost, and is kept apart from the balance."""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.rows import Address
from hftd.types import ERR_DATA
from sim.model.custom import custom_fee
from sim.model.latency import exchange_at, lane_at
from sim.model.layout import (
    ASSET_LINEAR,
    FEE_CUSTOM,
    FEE_ON_QTY,
    FEE_ON_VALUE,
    lane_dtype,
    offset_of,
)
from sim.model.queue import own_order_at

LANE_TO_EXCH = offset_of(lane_dtype, "to_exch")
LANE_TO_LOCAL = offset_of(lane_dtype, "to_local")
LANE_INDEX = offset_of(lane_dtype, "index")
LANE_STATE = offset_of(lane_dtype, "state")


@inline
def fee_of(exchange: Address, order: Address, amount: float):
    """The fee of an execution: on its value, on its quantity, or flat; and what its side pays on the value."""
    x = exchange_at(exchange)
    o = own_order_at(order)
    rate = x.maker_fee if o.maker != 0 else x.taker_fee
    if x.fee_model == FEE_CUSTOM:
        fee = custom_fee(exchange, order, amount)
    elif x.fee_model == FEE_ON_VALUE:
        fee = rate * amount
    elif x.fee_model == FEE_ON_QTY:
        fee = rate * o.exec_qty
    else:
        fee = rate
    side_rate = x.buyer_fee if o.side > 0 else x.seller_fee
    return fee + side_rate * amount if side_rate != 0.0 else fee


@inline
def book_execution(exchange: Address, order: Address) -> None:
    """Book an order's last execution: a buy takes the amount from the balance.

    The amount is contract size times price times quantity for a linear asset; for an inverse one, whose contract is
    worth a fixed sum of the quote currency, contract size times quantity divided by price.
    """
    x = exchange_at(exchange)
    o = own_order_at(order)
    lane = lane_at(o.lane)
    state = lane.state
    price = o.exec_price_tick * x.book.tick_size
    if x.asset_model == ASSET_LINEAR:
        amount = x.contract_size * price * o.exec_qty
    elif price > 0.0:
        amount = x.contract_size * o.exec_qty / price
    else:
        # It would be worth infinitely much: the run ends here.
        x.error = ERR_DATA
        return
    state.position += o.exec_qty * o.side
    state.balance -= amount * o.side
    lane.last_fee = fee_of(exchange, order, amount)
    state.fee += lane.last_fee
    state.num_trades += 1
    state.trading_volume += o.exec_qty
    state.trading_value += amount
