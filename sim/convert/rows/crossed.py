"""How often, and for how long, the book of an archive was crossed: a bid at or above an ask after a message.

A book that is crossed shows that messages are missing, doubled or of another symbol. Which levels hold a
quantity is kept as a bit for each tick between the lowest and the highest price, with one bit above for each
64 of them, so that the next best is found at once; quantities do not matter here. The range of the prices must
be known before (`PriceScale`); then the rows may come in blocks (`CrossedBooks`).
"""

# pyright: basic

import math
from typing import Any, Final

import msgspec
import numpy as np

from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import load_i64, record_at, store_i64
from hftd.compiled.row_access import ev_of, exch_ts_of, local_ts_of, px_of, qty_of
from hftd.rows import ROW_BYTES, Address, Tick
from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
)

_DECIMALS_MAX: Final = 12
_TICKS_MAX: Final = 1 << 28
"""A wider range of prices is not followed; the bits of both sides would take more than 64 MiB."""
_UNITS_MAX: Final = 4_000_000_000_000_000
_PLACES_MAX: Final = 16
_SPAN: Final = ("known", "lowest", "highest", "step")

scale_dtype = np.dtype(
    [
        ("known", "i8"),
        ("decimals", "i8"),
        ("units", "f8"),
        ("lowest", "i8"),
        ("highest", "i8"),
        ("step", "i8"),
        ("first", "i8"),
    ],
    align=True,
)
scale_at = record_at(scale_dtype)
book_dtype = np.dtype(
    [
        ("count", "i8"),
        ("bids", "i8"),
        ("asks", "i8"),
        ("best_bid", "i8"),
        ("best_ask", "i8"),
        ("is_open", "i8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("last", "i8"),
        ("is_crossed", "i8"),
        ("since", "i8"),
        ("times", "i8"),
        ("total", "i8"),
        ("longest", "i8"),
        ("first_local_ts", "i8", (_PLACES_MAX,)),
    ],
    align=True,
)
book_at = record_at(book_dtype)


class Crossed(msgspec.Struct, kw_only=True):
    """The crossed books of a run of rows.

    Attributes:
        checked: False where the prices are too far apart in ticks to be followed.
        times: How often the book became crossed.
        total_ns: For how long it was, by the local clock, from message to message.
        longest_ns: The longest time that it was.
        first_local_ts: When it became crossed, the first times.
    """

    checked: bool = True
    times: int = 0
    total_ns: int = 0
    longest_ns: int = 0
    first_local_ts: list[int] = []


@inline
def _is_depth(ev: int):
    kind = ev & KIND_MASK
    # A row that is only the exchange's is not part of what was received.
    is_local = not (ev & EXCH_EVENT) or bool(ev & LOCAL_EVENT)
    return is_local and kind in (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, DEPTH_CLEAR_EVENT)


@inline
def _has_side(ev: int):
    """Whether a row is of a side; a clear of none has no price."""
    return bool(ev & (BUY_EVENT | SELL_EVENT))


@inline
def _in_units(px: float, unit_count: int):
    return np.int64(round(px * unit_count))


@kernel("int64(int64, int64, int64)")
def _tick_of(rows: Address, count: int, scale: Address) -> int:
    """Go on finding decimals, lowest, highest, common step and first of the prices, in units of 10^-decimals.

    `scale` is a `scale_dtype` record; its `known` becomes 1 with the first price, and -1 for good where prices
    have more decimals than can be told.
    """
    s = scale_at(scale)
    if s.known < 0:
        return 0
    for at in range(rows, rows + count * ROW_BYTES, ROW_BYTES):
        px = px_of(at)
        ev = ev_of(at)
        if not _is_depth(ev) or not _has_side(ev) or not math.isfinite(px):
            continue
        while abs(px * s.units - round(px * s.units)) > min(1e-9 * abs(px * s.units), 1e-3):
            farthest = max(abs(s.lowest), abs(s.highest))
            if s.decimals == _DECIMALS_MAX or farthest > _UNITS_MAX // 10:
                s.known = -1
                return 0
            s.decimals += 1
            s.units *= 10.0
            s.lowest *= 10
            s.highest *= 10
            s.step *= 10
            s.first *= 10
        if abs(px * s.units) > _UNITS_MAX:
            s.known = -1
            return 0
        price = _in_units(px, s.units)
        if s.known == 0:
            s.known = 1
            s.first = s.lowest = s.highest = price
        s.lowest, s.highest = min(s.lowest, price), max(s.highest, price)
        rest = abs(price - s.first)
        if s.step == 0 or rest % s.step:
            step = s.step
            while rest:
                step, rest = rest, step % rest
            s.step = step
    return 0


@inline
def _next_bit(words: Address, count: int, number: int, step: int):
    """The next bit that is set, from `number` on in steps of `step` (1 or -1); -1 if there is none."""
    if number < 0 or number >= count * 64:
        return -1
    word = number >> 6
    bits = load_i64(words + word * 8)
    if step > 0:
        bits &= np.int64(-1) << (number & 63)
    elif (number & 63) != 63:
        bits &= (np.int64(1) << ((number & 63) + 1)) - 1
    while bits == 0:
        word += step
        if word < 0 or word >= count:
            return -1
        bits = load_i64(words + word * 8)
    k = 0 if step > 0 else 63
    while not (bits >> k) & 1:
        k += step
    return word * 64 + k


@inline
def _next_level(bits: Address, count: int, tick: Tick, step: int):
    """The next tick with a level, from `tick` on; -1 if there is none. The summary stands behind the bits."""
    if tick < 0 or tick >= count * 64:
        return -1
    word = tick >> 6
    near = _next_bit(bits + word * 8, 1, tick & 63, step)
    if near >= 0:
        return word * 64 + near
    word = _next_bit(bits + count * 8, (count + 63) >> 6, word + step, step)
    if word < 0:
        return -1
    return word * 64 + _next_bit(bits + word * 8, 1, 0 if step > 0 else 63, step)


@inline
def _set_level(bits: Address, count: int, tick: Tick, is_there: bool):
    at = bits + (tick >> 6) * 8
    above = bits + (count + (tick >> 12)) * 8
    mask = np.int64(1) << (tick & 63)
    mask_above = np.int64(1) << ((tick >> 6) & 63)
    if is_there:
        store_i64(at, load_i64(at) | mask)
        store_i64(above, load_i64(above) | mask_above)
    else:
        store_i64(at, load_i64(at) & ~mask)
        if load_i64(at) == 0:
            store_i64(above, load_i64(above) & ~mask_above)


@inline
def _change(bits: Address, count: int, best, tick: Tick, is_there: bool, step: int):
    """Set or drop a level of a side whose worse prices lie in steps of `step`; returns the new best."""
    _set_level(bits, count, tick, is_there)
    if is_there:
        return tick if best < 0 or (best - tick) * step > 0 else best
    return _next_level(bits, count, tick, step) if tick == best else best


@inline
def _clear(bits: Address, count: int, best, px: float, tick: Tick, step: int):
    """Drop the levels from the best to the tick, or all if the price is not finite; returns the new best."""
    while best >= 0 and (not math.isfinite(px) or (tick - best) * step >= 0):
        _set_level(bits, count, best, False)
        best = _next_level(bits, count, best, step)
    return best


@inline
def _end_message(s: Any):
    """Note whether the book is crossed now that the message's rows are all in."""
    if s.is_crossed:
        s.total += max(s.local_ts - s.last, 0)
    s.last = s.local_ts
    was_crossed = s.is_crossed
    s.is_crossed = s.best_bid >= 0 and s.best_ask >= 0 and s.best_bid >= s.best_ask
    if s.is_crossed and not was_crossed:
        if s.times < _PLACES_MAX:
            s.first_local_ts[s.times] = s.local_ts
        s.times += 1
        s.since = s.local_ts
    if was_crossed:
        s.longest = max(s.longest, s.local_ts - s.since)
    s.is_open = 0


@kernel("int64(int64, int64, int64, int64)")
def _follow(rows: Address, row_count: int, scale: Address, state: Address) -> int:
    """Go on running the book through rows; without any, the last message is ended."""
    t = scale_at(scale)
    s = book_at(state)
    count = s.count
    if row_count == 0 and s.is_open:
        _end_message(s)
    for at in range(rows, rows + row_count * ROW_BYTES, ROW_BYTES):
        ev = ev_of(at)
        if not _is_depth(ev):
            continue
        exch_ts, local_ts = exch_ts_of(at), local_ts_of(at)
        # One message: the rows of equal times.
        if s.is_open and (exch_ts != s.exch_ts or local_ts != s.local_ts):
            _end_message(s)
        s.is_open, s.exch_ts, s.local_ts = 1, exch_ts, local_ts
        px, qty = px_of(at), qty_of(at)
        tick = (_in_units(px, t.units) - t.lowest) // max(t.step, 1) if math.isfinite(px) else 0
        is_clear = ev & KIND_MASK == DEPTH_CLEAR_EVENT
        is_one_sided = (ev & BUY_EVENT != 0) != (ev & SELL_EVENT != 0)
        if is_clear and not _has_side(ev):
            # Whatever its price: all levels of both sides.
            px = math.inf
        if is_clear and (ev & BUY_EVENT or not is_one_sided):
            s.best_bid = _clear(s.bids, count, s.best_bid, px, tick, -1)
        if is_clear and (ev & SELL_EVENT or not is_one_sided):
            s.best_ask = _clear(s.asks, count, s.best_ask, px, tick, 1)
        if is_clear or not math.isfinite(px):
            continue
        if ev & BUY_EVENT:
            s.best_bid = _change(s.bids, count, s.best_bid, tick, qty > 0, -1)
        elif ev & SELL_EVENT:
            s.best_ask = _change(s.asks, count, s.best_ask, tick, qty > 0, 1)
    return 0


class PriceScale:
    """The ticks of the prices of depth rows, from chunk to chunk."""

    def __init__(self) -> None:
        self.record = np.zeros(1, scale_dtype)
        self.record["units"] = 1.0

    def add(self, rows: np.ndarray) -> None:
        """Look at more rows of `event_dtype`."""
        if len(rows):
            _tick_of.call(rows.ctypes.data, len(rows), self.record.ctypes.data)

    @property
    def count(self) -> int:
        """How many ticks the prices span; 0 where there are none, -1 where they can't be told or are too many."""
        known, lowest, highest, step = (int(self.record[name][0]) for name in _SPAN)
        if known <= 0:
            return known
        count = (highest - lowest) // max(step, 1) + 1
        return count if count <= _TICKS_MAX else -1


class CrossedBooks:
    """Follows the book through rows, from block to block.

    Args:
        scale: The ticks of all rows that will come.
    """

    def __init__(self, scale: PriceScale) -> None:
        self._scale = scale
        self._is_checked = scale.count >= 0
        self._state = np.zeros(1, book_dtype)
        if scale.count <= 0:
            return
        words = (scale.count - 1) // 64 + 1
        self._bits = [np.zeros(words + words // 64 + 1, np.int64) for _ in range(2)]
        self._state["count"] = words
        self._state["bids"], self._state["asks"] = (bits.ctypes.data for bits in self._bits)
        self._state["best_bid"] = self._state["best_ask"] = -1

    def add(self, rows: np.ndarray) -> None:
        """Go on with rows of `event_dtype` in the order in which they were received.

        Args:
            rows: Rows with flags or without; rows of the exchange alone are passed over.
        """
        if len(rows) and self._state["count"][0]:
            self._call(rows.ctypes.data, len(rows))

    def _call(self, address: int, count: int) -> None:
        _follow.call(address, count, self._scale.record.ctypes.data, self._state.ctypes.data)

    def result(self) -> Crossed:
        """What was found."""
        if not self._is_checked:
            return Crossed(checked=False)
        if self._state["count"][0]:
            self._call(0, 0)
        state = self._state[0]
        times = int(state["times"])
        return Crossed(
            times=times,
            total_ns=int(state["total"]),
            longest_ns=int(state["longest"]),
            first_local_ts=state["first_local_ts"][: min(times, _PLACES_MAX)].tolist(),
        )


def crossed_books(rows: np.ndarray, local_shift_ns: int = 0) -> Crossed:
    """Follow the book through rows of `event_dtype` in the order in which they were received.

    Args:
        rows: Rows with flags or without; rows of the exchange alone are passed over.
        local_shift_ns: Added to the times that are given back.
    """
    scale = PriceScale()
    scale.add(rows)
    books = CrossedBooks(scale)
    books.add(rows)
    found = books.result()
    found.first_local_ts = [ts + local_shift_ns for ts in found.first_local_ts]
    return found
