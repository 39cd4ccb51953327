"""The engine's exchange side, driven by an exchange that runs: requests arrive when they arrive."""

# pyright: basic

from hftd.book.book import ask_above, ask_qty, bid_below, bid_qty, book_at
from hftd.compiled.jit import kernel
from hftd.compiled.layout import request_dtype
from hftd.compiled.native import call_code, copy_bytes, record_at, round_away, store_i64
from hftd.rows import Address, Ns
from hftd.types import INVALID_MAX, INVALID_MIN
from sim.engine.account import LANE_TO_LOCAL
from sim.engine.bus import UPDATES_MASK, bus_at, bus_pop
from sim.engine.exchange import BOOK, LANE_BYTES, push_request
from sim.engine.run import STREAM, engine_at, exchange_address, refill
from sim.model.latency import exchange_at
from sim.model.layout import NEVER, UPDATE_BYTES

request_at = record_at(request_dtype)


@kernel("int64(int64)")
def open_exchanges(engine: Address) -> int:
    """Prepare the first rows of each asset's exchange side. Returns 0, or an error."""
    for asset_no in range(engine_at(engine).num_assets):
        code = refill(engine, asset_no, exchange_address(engine, asset_no) + STREAM)
        if code != 0:
            return code
    return 0


@kernel("int64(int64, int64, int64, int64, int64)")
def step(engine: Address, asset_no: int, until_ns: Ns, out: Address, capacity: int) -> int:
    """Let all happen at an asset's exchange until then, and take away what it says of own orders.

    Args:
        engine: The engine's address.
        asset_no: The asset.
        until_ns: The market's time, included.
        out: Memory for `update_dtype` records; `arrive_ts` of each becomes its lane's number.
        capacity: How many fit; if so many came, there may be more: call again.

    Returns:
        How many came, or -1 if the data can't be read on.
    """
    call_code(engine_at(engine).fn_advance_exchange, (engine, asset_no, until_ns))
    exchange = exchange_address(engine, asset_no)
    x = exchange_at(exchange)
    if engine_at(engine).error != 0 or x.error != 0:
        return -1
    count = 0
    for lane_no in range(x.num_lanes):
        lane = x.lanes + lane_no * LANE_BYTES
        bus = bus_at(lane + LANE_TO_LOCAL)
        while bus.head_ts != NEVER and count < capacity:
            update = bus_pop(lane + LANE_TO_LOCAL, UPDATE_BYTES, UPDATES_MASK)
            target = out + count * UPDATE_BYTES
            copy_bytes(target, update, UPDATE_BYTES)
            store_i64(target, lane_no)
            count += 1
    return count


@kernel("int64(int64, int64, int64, int64, int64)")
def request(engine: Address, asset_no: int, lane_no: int, message: Address, now_ns: Ns) -> int:
    """Put a request (a `request_dtype` record) on a lane, to arrive now. The next step handles it."""
    exchange = exchange_address(engine, asset_no)
    lane = exchange_at(exchange).lanes + lane_no * LANE_BYTES
    push_request(exchange, lane, message, now_ns)
    return 0


@kernel("int64(int64, int64, int64)")
def touch(engine: Address, asset_no: int, out: Address) -> int:
    """Write the best bid and ask: tick, lots, tick, lots; lots are 0 where there is none."""
    book = exchange_address(engine, asset_no) + BOOK
    b = book_at(book)
    store_i64(out, b.best_bid_tick)
    store_i64(out + 16, b.best_ask_tick)
    bid = 0
    ask = 0
    if b.best_bid_tick != INVALID_MIN:
        bid = round_away(bid_qty(book, b.best_bid_tick) / b.lot_size)
    if b.best_ask_tick != INVALID_MAX:
        ask = round_away(ask_qty(book, b.best_ask_tick) / b.lot_size)
    store_i64(out + 8, bid)
    store_i64(out + 24, ask)
    return 0


@kernel("int64(int64, int64, int64, int64, int64)")
def levels(engine: Address, asset_no: int, side: int, out: Address, capacity: int) -> int:
    """Write a side's levels from the best outwards as pairs of tick and lots. Returns how many were written."""
    book = exchange_address(engine, asset_no) + BOOK
    b = book_at(book)
    count = 0
    tick = b.best_bid_tick if side > 0 else b.best_ask_tick
    while tick != INVALID_MIN and tick != INVALID_MAX and count < capacity:
        qty = bid_qty(book, tick) if side > 0 else ask_qty(book, tick)
        store_i64(out + 16 * count, tick)
        store_i64(out + 16 * count + 8, round_away(qty / b.lot_size))
        count += 1
        tick = bid_below(book, tick) if side > 0 else ask_above(book, tick)
    return count
