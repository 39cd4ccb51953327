"""How often, and for how long, the book of an archive was crossed: a bid at or above an ask after a message.

A book that is crossed shows that messages are missing, doubled or of another symbol. Which levels hold a
quantity is kept as a bit for each tick between the lowest and the highest price, with one bit above for each
64 of them, so that the next best is found at once; quantities do not matter here.
"""

# pyright: basic

import math
from typing import Final

import msgspec
import numpy as np

from hftd.jit import inline, kernel
from hftd.native import load_f64, load_i64, store_i64
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

_ROW: Final = 64
_DECIMALS_MAX: Final = 12
_TICKS_MAX: Final = 1 << 28
"""A wider range of prices is not followed; the bits of both sides would take more than 64 MiB."""
_PLACES_MAX: Final = 16


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
def _is_depth(ev):
    kind = ev & KIND_MASK
    # A row that is only the exchange's is not part of what was received.
    is_local = not (ev & EXCH_EVENT) or bool(ev & LOCAL_EVENT)
    return is_local and kind in (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, DEPTH_CLEAR_EVENT)


@inline
def _in_units(px, unit_count):
    return np.int64(round(px * unit_count))


@kernel("int64(int64, int64, int64)")
def _tick_of(rows, count, target):
    """Find the decimals, lowest, highest and greatest common step of the prices, in units of 10^-decimals.

    Returns 0 if there is no price, -1 if they have more decimals than can be told.
    """
    decimals, unit_count = 0, 1.0
    seen = 0
    for at in range(rows, rows + count * _ROW, _ROW):
        px = load_f64(at + 24)
        if not _is_depth(load_i64(at)) or not math.isfinite(px):
            continue
        seen += 1
        while abs(px * unit_count - round(px * unit_count)) > min(1e-9 * abs(px * unit_count), 1e-3):
            if decimals == _DECIMALS_MAX:
                return -1
            decimals += 1
            unit_count *= 10.0
        if abs(px * unit_count) > 4e15:
            return -1
    if seen == 0:
        return 0
    lowest, highest, step, first = 0, 0, 0, 0
    is_first = True
    for at in range(rows, rows + count * _ROW, _ROW):
        px = load_f64(at + 24)
        if not _is_depth(load_i64(at)) or not math.isfinite(px):
            continue
        price = _in_units(px, unit_count)
        if is_first:
            first = lowest = highest = price
            is_first = False
        lowest, highest = min(lowest, price), max(highest, price)
        rest = abs(price - first)
        if step == 0 or rest % step:
            while rest:
                step, rest = rest, step % rest
    store_i64(target, np.int64(unit_count))
    store_i64(target + 8, lowest)
    store_i64(target + 16, highest)
    store_i64(target + 24, max(step, 1))
    return 1


@inline
def _next_bit(words, count, number, step):
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
def _next_level(bits, count, tick, step):
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
def _set_level(bits, count, tick, is_there):
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
def _change(bits, count, best, tick, is_there, step):
    """Set or drop a level of a side whose worse prices lie in steps of `step`; returns the new best."""
    _set_level(bits, count, tick, is_there)
    if is_there:
        return tick if best < 0 or (best - tick) * step > 0 else best
    return _next_level(bits, count, tick, step) if tick == best else best


@inline
def _clear(bits, count, best, px, tick, step):
    """Drop the levels from the best to the tick, or all if the price is not finite; returns the new best."""
    while best >= 0 and (not math.isfinite(px) or (tick - best) * step >= 0):
        _set_level(bits, count, best, False)
        best = _next_level(bits, count, best, step)
    return best


@kernel("int64(int64, int64, int64, int64, int64, int64)")
def _follow(rows, row_count, scale, bids, asks, target):
    """Run the book through the rows; `scale` is what `_tick_of` found, `target` takes what `Crossed` says."""
    units = float(load_i64(scale))
    lowest, step = load_i64(scale + 8), load_i64(scale + 24)
    count = load_i64(scale + 32)
    best_bid, best_ask = -1, -1
    is_crossed = False
    since = last = 0
    times = total = longest = 0
    end = rows + row_count * _ROW
    at = rows
    while at < end:
        if not _is_depth(load_i64(at)):
            at += _ROW
            continue
        exch_ts, local_ts = load_i64(at + 8), load_i64(at + 16)
        # One message: the rows of equal times.
        while at < end and load_i64(at + 8) == exch_ts and load_i64(at + 16) == local_ts:
            ev, px, qty = load_i64(at), load_f64(at + 24), load_f64(at + 32)
            at += _ROW
            if not _is_depth(ev):
                continue
            tick = (_in_units(px, units) - lowest) // step if math.isfinite(px) else 0
            is_clear = ev & KIND_MASK == DEPTH_CLEAR_EVENT
            is_one_sided = (ev & BUY_EVENT != 0) != (ev & SELL_EVENT != 0)
            if is_clear and (ev & BUY_EVENT or not is_one_sided):
                best_bid = _clear(bids, count, best_bid, px, tick, -1)
            if is_clear and (ev & SELL_EVENT or not is_one_sided):
                best_ask = _clear(asks, count, best_ask, px, tick, 1)
            if is_clear or not math.isfinite(px):
                continue
            if ev & BUY_EVENT:
                best_bid = _change(bids, count, best_bid, tick, qty > 0, -1)
            elif ev & SELL_EVENT:
                best_ask = _change(asks, count, best_ask, tick, qty > 0, 1)
        if is_crossed:
            total += max(local_ts - last, 0)
        last = local_ts
        was_crossed = is_crossed
        is_crossed = best_bid >= 0 and best_ask >= 0 and best_bid >= best_ask
        if is_crossed and not was_crossed:
            if times < _PLACES_MAX:
                store_i64(target + 24 + times * 8, local_ts)
            times += 1
            since = local_ts
        if was_crossed:
            longest = max(longest, local_ts - since)
    store_i64(target, times)
    store_i64(target + 8, total)
    store_i64(target + 16, longest)
    return 0


def crossed_books(rows: np.ndarray, local_shift_ns: int = 0) -> Crossed:
    """Follow the book through rows of `event_dtype` in the order in which they were received.

    Args:
        rows: Rows with flags or without; rows of the exchange alone are passed over.
        local_shift_ns: Added to the times that are given back.
    """
    scale = np.zeros(5, np.int64)
    known = _tick_of.call(rows.ctypes.data, len(rows), scale.ctypes.data)
    if known == 0:
        return Crossed()
    _, lowest, highest, step, _ = scale.tolist()
    if known < 0 or (highest - lowest) // step >= _TICKS_MAX:
        return Crossed(checked=False)
    count = (highest - lowest) // step // 64 + 1
    scale[4] = count
    bids, asks = (np.zeros(count + count // 64 + 1, np.int64) for _ in range(2))
    found = np.zeros(3 + _PLACES_MAX, np.int64)
    _follow.call(
        rows.ctypes.data,
        len(rows),
        scale.ctypes.data,
        bids.ctypes.data,
        asks.ctypes.data,
        found.ctypes.data,
    )
    times, total_ns, longest_ns, *places = found.tolist()
    first = [place + local_shift_ns for place in places[: min(times, _PLACES_MAX)]]
    return Crossed(times=times, total_ns=total_ns, longest_ns=longest_ns, first_local_ts=first)
