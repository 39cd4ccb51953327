"""Whole books of the first levels, sent again and again, to rows of what changed; in code that numba compiles.

The first book of a capture clears what was there and sets its levels (kinds 3 and 4). Each later one is compared
with the one before: rows (kind 1) for the levels that are new or have another quantity, then rows of quantity 0 for
those that are gone. So the book is the exchange's after each message, and a queue is only touched where a level
changed; a clear and a snapshot each time would hide from queue models what left a level.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.jit import inline
from hftd.compiled.native import load_f64, record_at, store_f64
from hftd.compiled.row_access import px_of, qty_of
from hftd.rows import ROW_BYTES, Address, Ns
from hftd.types import BUY_EVENT, DEPTH_EVENT, SELL_EVENT
from hftd.venues.message import add_row

LEVELS_MAX: Final = 1000
"""Levels of a side; a book with more is unreadable. The deepest that an exchange sends has 1,000."""
ROWS_EXTRA: Final = 2 * LEVELS_MAX + 16
"""Rows that a message may give beyond its levels: those that are gone, and a clear."""

book_dtype = np.dtype(
    [
        ("is_known", "i8"),
        ("buffer", "i8"),
        ("keeps_far", "i8"),
        ("counts", "i8", (4,)),
        ("levels", "f8", (4 * LEVELS_MAX * 2,)),
    ],
    align=True,
)
"""The book before: buffer and side name one of four lists of (price, quantity); zeros are no book."""

_fields: Any = book_dtype.fields
_LEVELS: Final[int] = _fields["levels"][1]
_LIST_SIZE: Final = LEVELS_MAX * 16

_book_at = record_at(book_dtype)


@inline
def _list_of(book: Address, buffer: int, side: int):
    return book + _LEVELS + (buffer * 2 + side) * _LIST_SIZE


@inline
def _find(levels: Address, count: int, px: float, hint: int):
    """The number of the level of that price, looked for from `hint` on and around; -1 if there is none."""
    for k in range(count):
        number = hint + k
        if number >= count:
            number -= count
        if load_f64(levels + number * 16) == px:
            return number
    return -1


@inline
def _remember(s: Any, book: Address, buffer: int, side: int, row: int, count: int):
    """Keep the levels of the rows from `row` on in a list."""
    target = _list_of(book, buffer, side)
    at = s.rows + row * ROW_BYTES
    for k in range(count):
        store_f64(target + k * 16, px_of(at + k * ROW_BYTES))
        store_f64(target + k * 16 + 8, qty_of(at + k * ROW_BYTES))


@inline
def _keep_changed(
    s: Any, before, before_count: int, after, after_count: int, ev: int, exch_ts: Ns, local_ts: Ns
):
    hint = 0
    for k in range(after_count):
        px, qty = load_f64(after + k * 16), load_f64(after + k * 16 + 8)
        number = _find(before, before_count, px, hint)
        if number >= 0:
            hint = number + 1 if number + 1 < before_count else 0
            if load_f64(before + number * 16 + 8) == qty:
                continue
        add_row(s, ev, exch_ts, local_ts, px, qty)


@inline
def _add_gone(
    s: Any, before, before_count: int, after, after_count: int, worse: int, ev: int, exch_ts: Ns, local_ts: Ns
):
    """Rows of quantity 0 for levels that are no longer there.

    `worse` is 1 where higher prices are worse, -1 where lower ones are, and 0 where levels behind the last one
    are gone too.
    """
    hint = 0
    for k in range(before_count):
        px = load_f64(before + k * 16)
        number = _find(after, after_count, px, hint)
        if number >= 0:
            hint = number + 1 if number + 1 < after_count else 0
            continue
        if worse and after_count and (px - load_f64(after + (after_count - 1) * 16)) * worse > 0:
            continue
        add_row(s, ev, exch_ts, local_ts, px, 0.0)


@inline
def take_book(s: Any, book: Address, row: int, bids: int, asks: int, exch_ts: Ns, local_ts: Ns):
    """Turn the rows of a whole book into those of its changes.

    Args:
        s: The reader's state.
        book: The address of a `book_dtype` record: the book before.
        row: The number of a clear's row; rows of a snapshot follow it, those of the bids first, best first.
        bids: How many bids there are, at most LEVELS_MAX.
        asks: How many asks.
        exch_ts: When it happened.
        local_ts: When it was received.
    """
    b = _book_at(book)
    buffer = 1 - b.buffer
    before = b.buffer
    _remember(s, book, buffer, 0, row + 1, bids)
    _remember(s, book, buffer, 1, row + 1 + bids, asks)
    b.counts[buffer * 2] = bids
    b.counts[buffer * 2 + 1] = asks
    b.buffer = buffer
    if not b.is_known:
        b.is_known = 1
        return
    s.row_count = row
    for side in range(2):
        ev = DEPTH_EVENT | (SELL_EVENT if side else BUY_EVENT)
        _keep_changed(
            s,
            _list_of(book, before, side),
            b.counts[before * 2 + side],
            _list_of(book, buffer, side),
            b.counts[buffer * 2 + side],
            ev,
            exch_ts,
            local_ts,
        )
    for side in range(2):
        ev = DEPTH_EVENT | (SELL_EVENT if side else BUY_EVENT)
        worse = (1 if side else -1) if b.keeps_far else 0
        _add_gone(
            s,
            _list_of(book, before, side),
            b.counts[before * 2 + side],
            _list_of(book, buffer, side),
            b.counts[buffer * 2 + side],
            worse,
            ev,
            exch_ts,
            local_ts,
        )
