"""Calls of a user's models from the engine: by address, so the engine's own code stays compiled.

What the functions are and mean stands in :mod:`sim.models`.
"""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.compiled.native import call_code, call_float, load_i64, record_at, round_away
from hftd.rows import Address, Ns
from hftd.types import ERR_DATA
from sim.model.layout import (
    LATENCY_FAILED,
    MODEL_FUNCTIONS,
    QTY_FAILED,
    exchange_dtype,
    offset_of,
    segment_dtype,
)

exchange_at = record_at(exchange_dtype)
_MARKET = offset_of(exchange_dtype, "market")
_SEG_FIRST = offset_of(segment_dtype, "first_kind")
_ENTER, _TRADE, _DEPTH, _REACHED, _FEE, _ENTRY, _RESPONSE, _ADMIT, _CROSS = range(1, len(MODEL_FUNCTIONS) + 1)
_INFINITE = float("inf")
MAX_LOTS = float(1 << 62)


@inline
def lots_of(qty: float, lot_size: float):
    """A quantity in whole lots, held where an integer can tell them."""
    return round_away(min(qty / lot_size, MAX_LOTS))


@inline
def _fail(exchange: Address, function: int) -> None:
    """A user's function failed: the run ends here."""
    x = exchange_at(exchange)
    x.failed_function = function
    x.error = ERR_DATA


@inline
def tell_market(exchange: Address, now_ns: Ns):
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
def custom_enter(exchange: Address, order: Address, level_qty: float, now_ns: Ns) -> None:
    """A user's queue model: an order joins a level."""
    x = exchange_at(exchange)
    if call_code(x.fn_queue_enter, (x.queue_state, order, tell_market(exchange, now_ns), level_qty)) != 0:
        _fail(exchange, _ENTER)


@inline
def custom_trade(exchange: Address, order: Address, qty: float, now_ns: Ns) -> None:
    """A user's queue model: a trade at the order's price."""
    x = exchange_at(exchange)
    if call_code(x.fn_queue_trade, (x.queue_state, order, tell_market(exchange, now_ns), qty)) != 0:
        _fail(exchange, _TRADE)


@inline
def custom_depth(exchange: Address, order: Address, before_qty: float, after_qty: float, now_ns: Ns) -> None:
    """A user's queue model: the order's level changed."""
    x = exchange_at(exchange)
    market = tell_market(exchange, now_ns)
    if call_code(x.fn_queue_depth, (x.queue_state, order, market, before_qty, after_qty)) != 0:
        _fail(exchange, _DEPTH)


@inline
def custom_reached_lots(exchange: Address, order: Address, now_ns: Ns):
    """A user's queue model: how many lots of the order may fill."""
    x = exchange_at(exchange)
    qty = call_float(x.fn_queue_reached, (x.queue_state, order, tell_market(exchange, now_ns)))
    if qty == QTY_FAILED:
        _fail(exchange, _REACHED)
    # Not a number fills nothing.
    return lots_of(qty, x.book.lot_size) if qty > 0.0 else 0


@inline
def custom_admits(exchange: Address, order: Address, now_ns: Ns) -> bool:
    """A user's exchange: whether a new or moved order is taken."""
    x = exchange_at(exchange)
    answer = call_code(x.fn_admit, (x.exchange_state, order, tell_market(exchange, now_ns)))
    if answer < 0:
        _fail(exchange, _ADMIT)
    return answer > 0


@inline
def custom_cross_qty(exchange: Address, order: Address, now_ns: Ns):
    """A user's exchange: how much of a resting order fills when the market goes through its price."""
    x = exchange_at(exchange)
    qty = call_float(x.fn_cross, (x.exchange_state, order, tell_market(exchange, now_ns)))
    if qty == QTY_FAILED:
        _fail(exchange, _CROSS)
    return qty


@inline
def custom_fee(exchange: Address, order: Address, amount: float):
    """A user's fee of an execution; one that is no number ends the run."""
    x = exchange_at(exchange)
    fee = call_float(x.fn_fee, (x.fee_state, order, amount))
    if not -_INFINITE < fee < _INFINITE:
        _fail(exchange, _FEE)
        return 0.0
    return fee


@inline
def custom_entry_ns(exchange, model, request, request_ts):
    """A user's latency of a request."""
    latency_ns = call_code(model.function, (model.state, request, tell_market(exchange, request_ts)))
    if latency_ns == LATENCY_FAILED:
        _fail(exchange, _ENTRY)
        return 0
    return latency_ns


@inline
def custom_response_ns(exchange, model, exch_ts):
    """A user's latency of an answer, not negative."""
    latency_ns = call_code(model.function, (model.state, tell_market(exchange, exch_ts)))
    if latency_ns == LATENCY_FAILED:
        _fail(exchange, _RESPONSE)
    return max(latency_ns, 0)
