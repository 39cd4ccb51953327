"""Calls of a user's models from the engine: by address, so the engine's own code stays compiled.

What the functions are and mean stands in :mod:`sim.models`.
"""

# pyright: basic

from hftd.jit import inline
from hftd.native import call_code, call_float, load_i64, record_at, round_away
from sim.engine.layout import exchange_dtype, offset_of, segment_dtype

exchange_at = record_at(exchange_dtype)
_MARKET = offset_of(exchange_dtype, "market")
_SEG_FIRST = offset_of(segment_dtype, "first_kind")


@inline
def tell_market(exchange, now_ns):
    """Bring up to date what models are told; returns its address."""
    x = exchange_at(exchange)
    market = x.market
    market.now_ns = now_ns
    market.best_bid_tick = x.book.best_bid_tick
    market.best_ask_tick = x.book.best_ask_tick
    market.tick_size = x.book.tick_size
    market.lot_size = x.book.lot_size
    s = x.stream
    ahead = 0
    if s.segments_end != 0:
        # Rows of the prepared chunk that are still to come, from the segment that is next or under way.
        ahead = (load_i64(s.segments_end + _SEG_FIRST) >> 4) - (load_i64(s.segment + _SEG_FIRST) >> 4)
    market.rows_seen = s.rows_done - ahead
    return exchange + _MARKET


@inline
def custom_enter(exchange, order, level_qty, now_ns):
    """A user's queue model: an order joins a level."""
    x = exchange_at(exchange)
    call_code(x.fn_queue_enter, (x.queue_state, order, tell_market(exchange, now_ns), level_qty))


@inline
def custom_trade(exchange, order, qty, now_ns):
    """A user's queue model: a trade at the order's price."""
    x = exchange_at(exchange)
    call_code(x.fn_queue_trade, (x.queue_state, order, tell_market(exchange, now_ns), qty))


@inline
def custom_depth(exchange, order, before_qty, after_qty, now_ns):
    """A user's queue model: the order's level changed."""
    x = exchange_at(exchange)
    market = tell_market(exchange, now_ns)
    call_code(x.fn_queue_depth, (x.queue_state, order, market, before_qty, after_qty))


@inline
def custom_reached_lots(exchange, order, now_ns):
    """A user's queue model: how many lots of the order may fill."""
    x = exchange_at(exchange)
    qty = call_float(x.fn_queue_reached, (x.queue_state, order, tell_market(exchange, now_ns)))
    # Not a number fills nothing.
    return round_away(qty / x.book.lot_size) if qty > 0.0 and qty < 1e300 else 0


@inline
def custom_admits(exchange, order, now_ns):
    """A user's exchange: whether a new or moved order is taken."""
    x = exchange_at(exchange)
    return call_code(x.fn_admit, (x.exchange_state, order, tell_market(exchange, now_ns))) != 0


@inline
def custom_cross_qty(exchange, order, now_ns):
    """A user's exchange: how much of a resting order fills when the market goes through its price."""
    x = exchange_at(exchange)
    return call_float(x.fn_cross, (x.exchange_state, order, tell_market(exchange, now_ns)))
