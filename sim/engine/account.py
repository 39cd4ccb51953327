"""What an execution does to an account. A positive fee is a cost, and is kept apart from the balance."""

# pyright: basic

from hftd.jit import inline
from hftd.native import record_at
from sim.engine.latency import exchange_at, lane_at
from sim.engine.layout import bus_dtype, lane_dtype, offset_of

LANE_TO_EXCH = offset_of(lane_dtype, "to_exch")
LANE_TO_LOCAL = offset_of(lane_dtype, "to_local")
LANE_INDEX = offset_of(lane_dtype, "index")
LANE_STATE = offset_of(lane_dtype, "state")
bus_record_at = record_at(bus_dtype)


@inline
def book_execution(exchange, lane, side, exec_price_tick, exec_qty, maker):
    """Linear asset: the amount is contract size times price times quantity; a buy takes it from the balance."""
    x = exchange_at(exchange)
    state = lane_at(lane).state
    amount = x.contract_size * (exec_price_tick * x.book.tick_size) * exec_qty
    state.position += exec_qty * side
    state.balance -= amount * side
    state.fee += (x.maker_fee if maker != 0 else x.taker_fee) * amount
    state.num_trades += 1
    state.trading_volume += exec_qty
    state.trading_value += amount
