"""The order book by price level, in compiled code.

Quantities stand in one array for each side, indexed by tick, so an update is a store. The arrays are reserved, not
touched, memory; levels beyond their window go to short sorted arrays ("far levels"), so no price is ever lost.

The rules are those of a book made from a feed of absolute quantities (semantics of HftBacktest's depth): a level
of less than half a lot is no level; a bid at or above the best ask moves the best ask up to the next ask above it
and leaves the levels between where they are, because the feed will say what became of them.

Functions take the address of a :data:`hftd.compiled.layout.book_dtype`.
"""

# pyright: basic

from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import MAX_FAR_LEVELS, WINDOW_TICKS, book_dtype
from hftd.compiled.native import load_f64, load_i64, move_bytes, record_at, round_away, store_f64, store_i64
from hftd.types import INVALID_MAX, INVALID_MIN

book_at = record_at(book_dtype)

_MAX_TICK = float(1 << 60)
_INFINITE = float("inf")


@inline
def level_qty(qty, lot_size):
    """The quantity that a level keeps: 0 if it rounds to no lot."""
    return qty if qty >= 0.5 * lot_size else 0.0


@inline
def reset_bounds(book):
    """No best price, no level: what a book says of itself when it is empty."""
    b = book_at(book)
    b.best_bid_tick = INVALID_MIN
    b.best_ask_tick = INVALID_MAX
    b.low_bid_tick = INVALID_MAX
    b.high_bid_tick = INVALID_MIN
    b.low_ask_tick = INVALID_MAX
    b.high_ask_tick = INVALID_MIN
    b.far_bids = 0
    b.far_asks = 0


@inline
def place_window(book, tick):
    """Choose the ticks that stand in plain arrays, around the first price seen; from 0 where that is near.

    They begin at a multiple of a quarter, so that the days of an instrument mostly have the same ones.
    """
    b = book_at(book)
    quarter = WINDOW_TICKS // 4
    b.base_tick = 0 if 0 <= tick < 3 * quarter else (tick // quarter - 2) * quarter
    b.window_ticks = WINDOW_TICKS


@inline
def _far_position(ticks, count, tick):
    """The index of the first far level at or above a tick."""
    low = 0
    high = count
    while low < high:
        middle = (low + high) >> 1
        if load_i64(ticks + 8 * middle) < tick:
            low = middle + 1
        else:
            high = middle
    return low


@inline
def _far_qty(ticks, qtys, count, tick):
    i = _far_position(ticks, count, tick)
    if i < count and load_i64(ticks + 8 * i) == tick:
        return load_f64(qtys + 8 * i)
    return 0.0


@inline
def _far_set(ticks, qtys, count, tick, qty):
    """Set a far level; returns the new count, or -1 where there is no room."""
    i = _far_position(ticks, count, tick)
    if i < count and load_i64(ticks + 8 * i) == tick:
        if qty > 0.0:
            store_f64(qtys + 8 * i, qty)
            return count
        rest = 8 * (count - i - 1)
        move_bytes(ticks + 8 * i, ticks + 8 * (i + 1), rest)
        move_bytes(qtys + 8 * i, qtys + 8 * (i + 1), rest)
        return count - 1
    if qty <= 0.0:
        return count
    if count == MAX_FAR_LEVELS:
        return -1
    rest = 8 * (count - i)
    move_bytes(ticks + 8 * (i + 1), ticks + 8 * i, rest)
    move_bytes(qtys + 8 * (i + 1), qtys + 8 * i, rest)
    store_i64(ticks + 8 * i, tick)
    store_f64(qtys + 8 * i, qty)
    return count + 1


@inline
def bid_qty(book, tick):
    """The quantity of a bid level, 0 where there is none."""
    b = book_at(book)
    i = tick - b.base_tick
    if 0 <= i < b.window_ticks:
        return load_f64(b.bids + 8 * i)
    return _far_qty(b.far_bid_ticks, b.far_bid_qtys, b.far_bids, tick)


@inline
def ask_qty(book, tick):
    """The quantity of an ask level, 0 where there is none."""
    b = book_at(book)
    i = tick - b.base_tick
    if 0 <= i < b.window_ticks:
        return load_f64(b.asks + 8 * i)
    return _far_qty(b.far_ask_ticks, b.far_ask_qtys, b.far_asks, tick)


@kernel("float64(int64, int64, int64)")
def far_qty(book, side, tick):
    """The quantity of a level, wherever it is: what a strategy calls for a tick outside the window."""
    if side > 0:
        return bid_qty(book, tick)
    return ask_qty(book, tick)


@inline
def bid_below(book, tick):
    """The highest bid level below a tick, INVALID_MIN if there is none."""
    b = book_at(book)
    base = b.base_tick
    n = b.far_bids
    # Far levels above the window, then the window, then far levels below it.
    i = _far_position(b.far_bid_ticks, n, tick) - 1
    far = load_i64(b.far_bid_ticks + 8 * i) if i >= 0 else INVALID_MIN
    if far >= base + b.window_ticks:
        return far
    bids = b.bids - 8 * base
    low = b.low_bid_tick
    t = min(tick - 1, b.high_bid_tick)
    while t >= low:
        if load_f64(bids + 8 * t) > 0.0:
            return t
        t -= 1
    return far


@inline
def ask_above(book, tick):
    """The lowest ask level above a tick, INVALID_MAX if there is none."""
    b = book_at(book)
    base = b.base_tick
    n = b.far_asks
    i = _far_position(b.far_ask_ticks, n, tick + 1)
    far = load_i64(b.far_ask_ticks + 8 * i) if i < n else INVALID_MAX
    if far < base:
        return far
    asks = b.asks - 8 * base
    high = b.high_ask_tick
    t = max(tick + 1, b.low_ask_tick)
    while t <= high:
        if load_f64(asks + 8 * t) > 0.0:
            return t
        t += 1
    return far


@inline
def set_bid(book, tick, qty):
    """Set a bid level (qty as of `level_qty`); keeps the best prices right. Returns the quantity before."""
    b = book_at(book)
    if b.window_ticks == 0:
        place_window(book, tick)
    i = tick - b.base_tick
    if 0 <= i < b.window_ticks:
        address = b.bids + 8 * i
        before = load_f64(address)
        store_f64(address, qty)
        if qty > 0.0:
            b.low_bid_tick = min(b.low_bid_tick, tick)
            b.high_bid_tick = max(b.high_bid_tick, tick)
    else:
        before = _far_qty(b.far_bid_ticks, b.far_bid_qtys, b.far_bids, tick)
        count = _far_set(b.far_bid_ticks, b.far_bid_qtys, b.far_bids, tick, qty)
        if count < 0:
            b.far_dropped += 1
            return before
        b.far_bids = count
    if qty > 0.0:
        if tick > b.best_bid_tick:
            b.best_bid_tick = tick
            if tick >= b.best_ask_tick:
                b.best_ask_tick = ask_above(book, tick)
    elif tick == b.best_bid_tick:
        b.best_bid_tick = bid_below(book, tick)
    return before


@inline
def set_ask(book, tick, qty):
    """Set an ask level (qty as of `level_qty`); keeps the best prices right. Returns the quantity before."""
    b = book_at(book)
    if b.window_ticks == 0:
        place_window(book, tick)
    i = tick - b.base_tick
    if 0 <= i < b.window_ticks:
        address = b.asks + 8 * i
        before = load_f64(address)
        store_f64(address, qty)
        if qty > 0.0:
            b.low_ask_tick = min(b.low_ask_tick, tick)
            b.high_ask_tick = max(b.high_ask_tick, tick)
    else:
        before = _far_qty(b.far_ask_ticks, b.far_ask_qtys, b.far_asks, tick)
        count = _far_set(b.far_ask_ticks, b.far_ask_qtys, b.far_asks, tick, qty)
        if count < 0:
            b.far_dropped += 1
            return before
        b.far_asks = count
    if qty > 0.0:
        if tick < b.best_ask_tick:
            b.best_ask_tick = tick
            if tick <= b.best_bid_tick:
                b.best_bid_tick = bid_below(book, tick)
    elif tick == b.best_ask_tick:
        b.best_ask_tick = ask_above(book, tick)
    return before


@inline
def change_bid(book, tick, qty):
    """Another quantity, not zero, for a bid level that is there; the best prices stay as they are."""
    b = book_at(book)
    i = tick - b.base_tick
    if 0 <= i < b.window_ticks:
        store_f64(b.bids + 8 * i, qty)
    else:
        _far_set(b.far_bid_ticks, b.far_bid_qtys, b.far_bids, tick, qty)


@inline
def change_ask(book, tick, qty):
    """Another quantity, not zero, for an ask level that is there; the best prices stay as they are."""
    b = book_at(book)
    i = tick - b.base_tick
    if 0 <= i < b.window_ticks:
        store_f64(b.asks + 8 * i, qty)
    else:
        _far_set(b.far_ask_ticks, b.far_ask_qtys, b.far_asks, tick, qty)


@inline
def _zero(qtys, base, low, high):
    # Not a range: of an empty side the bounds are the least and the greatest integer, and its length overflows.
    tick = low
    while tick <= high:
        address = qtys + 8 * (tick - base)
        # Reading leaves untouched memory untouched.
        if load_f64(address) != 0.0:
            store_f64(address, 0.0)
        tick += 1


@inline
def _clear_tick(price, tick_size):
    """A price in ticks, held within what an int64 can tell."""
    return round_away(min(max(price / tick_size, -_MAX_TICK), _MAX_TICK))


@inline
def clear_bids(book, price, tick_size):
    """Take away the bids at a price and above, or all of them if the price is not a number or infinite."""
    b = book_at(book)
    if not -_INFINITE < price < _INFINITE:
        _zero(b.bids, b.base_tick, b.low_bid_tick, b.high_bid_tick)
        b.far_bids = 0
        b.best_bid_tick = INVALID_MIN
        b.low_bid_tick = INVALID_MAX
        b.high_bid_tick = INVALID_MIN
        return
    upto = _clear_tick(price, tick_size)
    _zero(b.bids, b.base_tick, max(upto, b.low_bid_tick), b.high_bid_tick)
    b.far_bids = _far_position(b.far_bid_ticks, b.far_bids, upto)
    if b.best_bid_tick >= upto:
        b.best_bid_tick = bid_below(book, upto)


@inline
def clear_asks(book, price, tick_size):
    """Take away the asks at a price and below, or all of them if the price is not a number or infinite."""
    b = book_at(book)
    if not -_INFINITE < price < _INFINITE:
        _zero(b.asks, b.base_tick, b.low_ask_tick, b.high_ask_tick)
        b.far_asks = 0
        b.best_ask_tick = INVALID_MAX
        b.low_ask_tick = INVALID_MAX
        b.high_ask_tick = INVALID_MIN
        return
    upto = _clear_tick(price, tick_size)
    _zero(b.asks, b.base_tick, b.low_ask_tick, min(upto, b.high_ask_tick))
    gone = _far_position(b.far_ask_ticks, b.far_asks, upto + 1)
    rest = b.far_asks - gone
    move_bytes(b.far_ask_ticks, b.far_ask_ticks + 8 * gone, 8 * rest)
    move_bytes(b.far_ask_qtys, b.far_ask_qtys + 8 * gone, 8 * rest)
    b.far_asks = rest
    if b.best_ask_tick <= upto:
        b.best_ask_tick = ask_above(book, upto)


@inline
def clear_book(book):
    """Take away every level of both sides."""
    clear_bids(book, float("inf"), 1.0)
    clear_asks(book, float("inf"), 1.0)


@kernel("int64(int64, int64, int64, int64)")
def write_levels(book, side, out, capacity):
    """Write a book's levels from the best price outwards as pairs of tick and quantity. Returns how many there are.

    Levels beyond the opposite best, which a crossing left behind, are not the market's and are left out.
    """
    b = book_at(book)
    count = 0
    tick = b.best_bid_tick if side > 0 else b.best_ask_tick
    while tick != INVALID_MIN and tick != INVALID_MAX:
        if count < capacity:
            store_i64(out + 16 * count, tick)
            store_f64(out + 16 * count + 8, bid_qty(book, tick) if side > 0 else ask_qty(book, tick))
        count += 1
        tick = bid_below(book, tick) if side > 0 else ask_above(book, tick)
    return count
