"""The order book by price level, in compiled code.

Quantities stand in one array for each side, indexed by tick, so an update is a store. The arrays are reserved, not
touched, memory; levels beyond their window go to short sorted arrays ("far levels"), so no price is ever lost.

The rules are those of a book made from a feed of absolute quantities (semantics of HftBacktest's depth): a level
of less than half a lot is no level; a bid at or above the best ask moves the best ask up to the next ask above it
and leaves the levels between where they are, because the feed will say what became of them.

Functions take the address of a :data:`hftd.compiled.layout.book_dtype`.
"""

# pyright: basic

from typing import Any, Final, NamedTuple

from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import MAX_FAR_LEVELS, WINDOW_TICKS, book_dtype, offset_of
from hftd.compiled.native import load_f64, load_i64, move_bytes, record_at, round_away, store_f64, store_i64
from hftd.rows import Address, Tick
from hftd.types import INVALID_MAX, INVALID_MIN

book_at = record_at(book_dtype)

_MAX_TICK = float(1 << 60)
_INFINITE = float("inf")


@inline
def level_qty(qty: float, lot_size: float):
    """The quantity that a level keeps: 0 if it rounds to no lot."""
    return qty if qty >= 0.5 * lot_size else 0.0


@inline
def place_window(book: Address, tick: Tick):
    """Choose the ticks that stand in plain arrays, around the first price seen; from 0 where that is near.

    They begin at a multiple of a quarter, so that the days of an instrument mostly have the same ones.
    """
    b = book_at(book)
    quarter = WINDOW_TICKS // 4
    b.base_tick = 0 if 0 <= tick < 3 * quarter else (tick // quarter - 2) * quarter
    b.window_ticks = WINDOW_TICKS


@inline
def _far_position(ticks, count: int, tick: Tick):
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
def _far_qty(ticks, qtys, count: int, tick: Tick):
    i = _far_position(ticks, count, tick)
    if i < count and load_i64(ticks + 8 * i) == tick:
        return load_f64(qtys + 8 * i)
    return 0.0


@inline
def _far_set(ticks, qtys, count: int, tick: Tick, qty: float):
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
def _zero(qtys: Address, base: Tick, low: Tick, high: Tick) -> None:
    # Not a range: of an empty side the bounds are the least and the greatest integer, and its length overflows.
    tick = low
    while tick <= high:
        address = qtys + 8 * (tick - base)
        # Reading leaves untouched memory untouched.
        if load_f64(address) != 0.0:
            store_f64(address, 0.0)
        tick += 1


@inline
def _clear_tick(price: float, tick_size: float) -> Tick:
    """A price in ticks, held within what an int64 can tell."""
    return round_away(min(max(price / tick_size, -_MAX_TICK), _MAX_TICK))


class _Side(NamedTuple):
    """Where a side stands in a :data:`hftd.compiled.layout.book_dtype`, as offsets, and which prices are better."""

    is_bids: bool
    levels: int
    best: int
    low: int
    high: int
    far_ticks: int
    far_qtys: int
    far_count: int
    nowhere: Tick
    """The best price of a side without levels."""


def _side_named(name: str, nowhere: Tick) -> _Side:
    fields = f"{name}s", f"best_{name}_tick", f"low_{name}_tick", f"high_{name}_tick"
    far = f"far_{name}_ticks", f"far_{name}_qtys", f"far_{name}s"
    offsets = [offset_of(book_dtype, field) for field in (*fields, *far)]
    return _Side(name == "bid", *offsets, nowhere=nowhere)


_BIDS: Final = _side_named("bid", INVALID_MIN)
_ASKS: Final = _side_named("ask", INVALID_MAX)

# Bids and asks are one code, compiled once for each side: what a side is made of are constants of its functions.


def _reading(side: _Side) -> tuple[Any, Any]:
    """The functions that read a side."""
    is_bids, levels, low, high, nowhere = side.is_bids, side.levels, side.low, side.high, side.nowhere
    far_ticks, far_qtys, far_count = side.far_ticks, side.far_qtys, side.far_count

    @inline
    def qty_at(book: Address, tick: Tick) -> float:
        """The quantity of a level, 0 where there is none."""
        b = book_at(book)
        i = tick - b.base_tick
        if 0 <= i < b.window_ticks:
            return load_f64(load_i64(book + levels) + 8 * i)
        count = load_i64(book + far_count)
        return _far_qty(load_i64(book + far_ticks), load_i64(book + far_qtys), count, tick)

    @inline
    def next_worse(book: Address, tick: Tick) -> Tick:
        """The best level that is worse than a tick; INVALID_MIN of bids, INVALID_MAX of asks if there is none."""
        b = book_at(book)
        base = b.base_tick
        ticks, count = load_i64(book + far_ticks), load_i64(book + far_count)
        # Far levels better than the window, then the window, then far levels worse than it.
        i = _far_position(ticks, count, tick) - 1 if is_bids else _far_position(ticks, count, tick + 1)
        far = load_i64(ticks + 8 * i) if 0 <= i < count else nowhere
        if (far >= base + b.window_ticks) if is_bids else (far < base):
            return far
        qtys = load_i64(book + levels) - 8 * base
        lowest, highest = load_i64(book + low), load_i64(book + high)
        t = min(tick - 1, highest) if is_bids else max(tick + 1, lowest)
        while (t >= lowest) if is_bids else (t <= highest):
            if load_f64(qtys + 8 * t) > 0.0:
                return t
            t += -1 if is_bids else 1
        return far

    return qty_at, next_worse


bid_qty, bid_below = _reading(_BIDS)
ask_qty, ask_above = _reading(_ASKS)


@kernel("float64(int64, int64, int64)")
def far_qty(book: Address, side: int, tick: Tick) -> float:
    """The quantity of a level, wherever it is: what a strategy calls for a tick outside the window."""
    if side > 0:
        return bid_qty(book, tick)
    return ask_qty(book, tick)


def _writing(side: _Side, opposite: _Side, next_worse: Any, next_opposite: Any) -> tuple[Any, Any, Any]:
    """The functions that change a side."""
    is_bids, levels, low, high, nowhere = side.is_bids, side.levels, side.low, side.high, side.nowhere
    far_ticks, far_qtys, far_count = side.far_ticks, side.far_qtys, side.far_count
    best, opposite_best = side.best, opposite.best

    @inline
    def set_level(book: Address, tick: Tick, qty: float) -> float:
        """Set a level (qty as of `level_qty`); keeps the best prices right. Returns the quantity before."""
        b = book_at(book)
        if b.window_ticks == 0:
            place_window(book, tick)
        i = tick - b.base_tick
        if 0 <= i < b.window_ticks:
            address = load_i64(book + levels) + 8 * i
            before = load_f64(address)
            store_f64(address, qty)
            if qty > 0.0:
                store_i64(book + low, min(load_i64(book + low), tick))
                store_i64(book + high, max(load_i64(book + high), tick))
        else:
            ticks, qtys, count = (
                load_i64(book + far_ticks),
                load_i64(book + far_qtys),
                load_i64(book + far_count),
            )
            before = _far_qty(ticks, qtys, count, tick)
            count = _far_set(ticks, qtys, count, tick, qty)
            if count < 0:
                b.far_dropped += 1
                return before
            store_i64(book + far_count, count)
        best_tick = load_i64(book + best)
        if qty > 0.0:
            if (tick > best_tick) if is_bids else (tick < best_tick):
                store_i64(book + best, tick)
                opposite_tick = load_i64(book + opposite_best)
                if (tick >= opposite_tick) if is_bids else (tick <= opposite_tick):
                    store_i64(book + opposite_best, next_opposite(book, tick))
        elif tick == best_tick:
            store_i64(book + best, next_worse(book, tick))
        return before

    @inline
    def change_level(book: Address, tick: Tick, qty: float) -> None:
        """Another quantity, not zero, for a level that is there; the best prices stay as they are."""
        b = book_at(book)
        i = tick - b.base_tick
        if 0 <= i < b.window_ticks:
            store_f64(load_i64(book + levels) + 8 * i, qty)
        else:
            count = load_i64(book + far_count)
            _far_set(load_i64(book + far_ticks), load_i64(book + far_qtys), count, tick, qty)

    @inline
    def clear_side(book: Address, price: float, tick_size: float) -> None:
        """Take away the levels at a price and better, or all if the price is not a number or infinite."""
        b = book_at(book)
        qtys, lowest, highest = load_i64(book + levels), load_i64(book + low), load_i64(book + high)
        if not -_INFINITE < price < _INFINITE:
            _zero(qtys, b.base_tick, lowest, highest)
            store_i64(book + far_count, 0)
            store_i64(book + best, nowhere)
            store_i64(book + low, INVALID_MAX)
            store_i64(book + high, INVALID_MIN)
            return
        upto = _clear_tick(price, tick_size)
        ticks, count = load_i64(book + far_ticks), load_i64(book + far_count)
        if is_bids:
            _zero(qtys, b.base_tick, max(upto, lowest), highest)
            store_i64(book + far_count, _far_position(ticks, count, upto))
        else:
            _zero(qtys, b.base_tick, lowest, min(upto, highest))
            gone = _far_position(ticks, count, upto + 1)
            rest = count - gone
            move_bytes(ticks, ticks + 8 * gone, 8 * rest)
            move_bytes(load_i64(book + far_qtys), load_i64(book + far_qtys) + 8 * gone, 8 * rest)
            store_i64(book + far_count, rest)
        best_tick = load_i64(book + best)
        if (best_tick >= upto) if is_bids else (best_tick <= upto):
            store_i64(book + best, next_worse(book, upto))

    return set_level, change_level, clear_side


set_bid, change_bid, clear_bids = _writing(_BIDS, _ASKS, bid_below, ask_above)
set_ask, change_ask, clear_asks = _writing(_ASKS, _BIDS, ask_above, bid_below)


@inline
def clear_book(book: Address):
    """Take away every level of both sides."""
    clear_bids(book, float("inf"), 1.0)
    clear_asks(book, float("inf"), 1.0)


@kernel("int64(int64, int64, int64, int64)")
def write_levels(book: Address, side: int, out, capacity: int) -> int:
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
