"""Records of a book's first levels (Databento's MBP-1 and MBP-10) to depth rows, in compiled code.

Each record tells all of the first one or ten levels of both sides. Rows are made of what differs from what is known:

- Within the prices that the record tells of, from the best to its last level, the book is the record: levels that it
  does not have are deleted, others are set. A record with fewer levels than it could have tells of all there are.
- A level behind the last one, which better ones pushed out, stays as it was last seen. It is still there, and a queue
  at its price is; whether its quantity changed meanwhile is known when it comes into sight again. (Deleting it would
  put an own order there to the queue's front.)

So the levels that records show are always exact, and those behind are the last that was seen of them. All
deletions of a record come before its other rows, so that the book is not crossed in between.

Known levels stand in memory from the worst to the best, so that changes at the top move nothing.
"""

# pyright: basic

from typing import Any, Final

from hftd.compiled.jit import inline
from hftd.compiled.json_numbers import decimal
from hftd.compiled.native import load_i64, load_u32, move_bytes, stack_bytes, store_i64, store_u8
from hftd.rows import EXACT_MAX, Address, Ns
from hftd.types import BUY_EVENT, DEPTH_EVENT, SELL_EVENT
from hftd.venues.message import add_row

UNDEFINED: Final = 0x7FFF_FFFF_FFFF_FFFF
"""The price of a level that is not there."""
KNOWN_MAX: Final = 4096
"""Levels of a side that are remembered; when there are more, the farthest quarter is deleted."""
_LEVEL: Final = 16
SIDE_BYTES: Final = KNOWN_MAX * _LEVEL + 8 + 16 * _LEVEL
"""Of a side: how many levels are known, then each one's price and quantity; all int64, prices in 1e-9."""
_GIVEN_BYTES: Final = 32


@inline
def price_of(fixed):
    """A price in units of 1e-9 as the nearest double."""
    if -EXACT_MAX <= fixed <= EXACT_MAX:
        return fixed / 1e9
    # Too large to be exact as a double before it is divided: its digits go the way of a text's.
    text = stack_bytes(32)
    left = fixed if fixed > 0 else -fixed
    p = text + 24
    for k in range(21):
        if k == 9:
            store_u8(p, 46)
        else:
            store_u8(p, 48 + left % 10)
            left //= 10
        p -= 1
    store_u8(text + 25, 0)
    value, _ = decimal(p + 1, text + 25)
    return value if fixed > 0 else -value


@inline
def _given_px(levels: Address, number: int, is_bid: bool):
    return load_i64(levels + number * _GIVEN_BYTES + (0 if is_bid else 8))


@inline
def _given_qty(levels: Address, number: int, is_bid: bool):
    return load_u32(levels + number * _GIVEN_BYTES + (16 if is_bid else 20))


@inline
def given_count(levels: Address, limit: int, is_bid: bool):
    """How many levels a record has of a side; -1 where they are not in the order of their prices."""
    count = 0
    while count < limit and _given_px(levels, count, is_bid) != UNDEFINED:
        if _given_px(levels, count, is_bid) < -UNDEFINED:
            return -1
        if count:
            step = _given_px(levels, count, is_bid) > _given_px(levels, count - 1, is_bid)
            same = _given_px(levels, count, is_bid) == _given_px(levels, count - 1, is_bid)
            if same or step == is_bid:
                return -1
        count += 1
    for number in range(count, limit):
        if _given_px(levels, number, is_bid) != UNDEFINED:
            return -1
    return count


@inline
def _first_told(known, levels: Address, given, limit: int, is_bid: bool):
    """The place of the worst known level that the record tells of."""
    place = load_i64(known)
    if given < limit:
        return 0
    last = _given_px(levels, given - 1, is_bid)
    while place > 0:
        px = load_i64(known + 8 + (place - 1) * _LEVEL)
        if (px < last) if is_bid else (px > last):
            break
        place -= 1
    return place


@inline
def _put(s: Any, kind: int, is_bid: bool, px: float, qty: float, exch_ts: Ns, local_ts: Ns):
    add_row(s, kind | (BUY_EVENT if is_bid else SELL_EVENT), exch_ts, local_ts, price_of(px), float(qty))


@inline
def change_levels(
    s: Any, known, levels: Address, given, limit: int, is_bid: bool, kind: int, exch_ts: Ns, local_ts: Ns
):
    """Append the deletions of a side's known levels that the record tells are gone, or the levels that changed.

    Args:
        s: The state.
        known: Where the known levels of the side are.
        levels: Where the record's levels are.
        given: How many it has of the side.
        limit: How many it could have.
        is_bid: Which side.
        kind: 0: the deletions. Else rows of this kind for what is new or changed; after that all is remembered.
        exch_ts: When it happened.
        local_ts: When it was received.
    """
    low = _first_told(known, levels, given, limit, is_bid)
    place = load_i64(known) - 1
    number = 0
    while place >= low or number < given:
        sign = 1 if is_bid else -1
        px_known = load_i64(known + 8 + place * _LEVEL) if place >= low else -UNDEFINED * sign
        px_given = _given_px(levels, number, is_bid) if number < given else -UNDEFINED * sign
        is_known = place >= low and px_known * sign >= px_given * sign
        is_given = number < given and px_given * sign >= px_known * sign
        px, qty = px_known, 0
        if is_given:
            px, qty = px_given, _given_qty(levels, number, is_bid)
            number += 1
        is_new = not is_known or load_i64(known + 8 + place * _LEVEL + 8) != qty
        if is_known:
            place -= 1
        if is_given == (kind != 0) and is_new:
            _put(s, kind if kind else DEPTH_EVENT, is_bid, px, qty, exch_ts, local_ts)
    if kind == 0:
        return
    for number in range(given):
        at = known + 8 + (low + given - 1 - number) * _LEVEL
        store_i64(at, _given_px(levels, number, is_bid))
        store_i64(at + 8, _given_qty(levels, number, is_bid))
    store_i64(known, low + given)
    _forget_far(s, known, is_bid, exch_ts, local_ts)


@inline
def _forget_far(s: Any, known, is_bid: bool, exch_ts: Ns, local_ts: Ns):
    count = load_i64(known)
    if count <= KNOWN_MAX:
        return
    gone = KNOWN_MAX // 4
    for place in range(gone):
        _put(s, DEPTH_EVENT, is_bid, load_i64(known + 8 + place * _LEVEL), 0, exch_ts, local_ts)
    move_bytes(known + 8, known + 8 + gone * _LEVEL, (count - gone) * _LEVEL)
    store_i64(known, count - gone)
