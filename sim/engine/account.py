"""What an execution does to an account. A positive fee is a cost, and is kept apart from the balance."""

# pyright: basic

from hftd.jit import inline
from hftd.native import record_at
from sim.engine.latency import exchange_at, lane_at
from sim.engine.layout import ASSET_LINEAR, FEE_ON_QTY, FEE_ON_VALUE, bus_dtype, lane_dtype, offset_of

LANE_TO_EXCH = offset_of(lane_dtype, "to_exch")
LANE_TO_LOCAL = offset_of(lane_dtype, "to_local")
LANE_INDEX = offset_of(lane_dtype, "index")
LANE_STATE = offset_of(lane_dtype, "state")
bus_record_at = record_at(bus_dtype)


@inline
def fee_of(exchange, side, maker, qty, amount):
    """The fee of an execution: on its value, on its quantity, or flat; and what its side pays on the value."""
    x = exchange_at(exchange)
    rate = x.maker_fee if maker != 0 else x.taker_fee
    if x.fee_model == FEE_ON_VALUE:
        fee = rate * amount
    elif x.fee_model == FEE_ON_QTY:
        fee = rate * qty
    else:
        fee = rate
    side_rate = x.buyer_fee if side > 0 else x.seller_fee
    return fee + side_rate * amount if side_rate != 0.0 else fee


@inline
def book_execution(exchange, lane, side, exec_price_tick, exec_qty, maker):
    """Book an execution: a buy takes the amount from the balance.

    The amount is contract size times price times quantity for a linear asset; for an inverse one, whose contract is
    worth a fixed sum of the quote currency, contract size times quantity divided by price.
    """
    x = exchange_at(exchange)
    state = lane_at(lane).state
    price = exec_price_tick * x.book.tick_size
    if x.asset_model == ASSET_LINEAR:
        amount = x.contract_size * price * exec_qty
    else:
        amount = x.contract_size * exec_qty / price
    state.position += exec_qty * side
    state.balance -= amount * side
    state.fee += fee_of(exchange, side, maker, exec_qty, amount)
    state.num_trades += 1
    state.trading_volume += exec_qty
    state.trading_value += amount
