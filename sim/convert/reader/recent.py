"""The levels that changed last, to bring a book from a snapshot that came late to where the stream is; compiled code.

A capture has a snapshot where its answer arrived; the stream is ahead of it by then. Changes of a later update stand
before the snapshot, which would set back the levels that they changed. What they set is set again behind the snapshot's
rows, when these arrive, with the exchange time of the latest of them.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.jit import inline
from hftd.compiled.native import load_f64, load_i64, record_at, store_f64, store_i64
from hftd.compiled.row_access import ev_of, px_of, qty_of
from hftd.rows import ROW_BYTES, Address, Ns
from hftd.venues.message import CLOCK_JUMP_NS, add_row

RECENT_MAX: Final = 4096
"""So many changes of levels are remembered: those of some seconds."""
_SLOT: Final = 48

recent_dtype = np.dtype([("count", "i8"), ("slots", "i8", (RECENT_MAX * _SLOT // 8,))], align=True)
"""The levels that changed last, each as ev, price, quantity, update id, exchange time and local time."""

_fields: Any = recent_dtype.fields
_SLOTS: Final[int] = _fields["slots"][1]
_recent_at = record_at(recent_dtype)


@inline
def _slot_at(recent: Address, number: int) -> Address:
    return recent + _SLOTS + (number % RECENT_MAX) * _SLOT


@inline
def remember(s: Any, recent: Address, row: int, update_id: int, exch_ts: Ns, local_ts: Ns) -> None:
    """Keep the changes of the rows from `row` on."""
    r = _recent_at(recent)
    for number in range(row, s.row_count):
        at = s.rows + number * ROW_BYTES
        slot = _slot_at(recent, r.count)
        store_i64(slot, ev_of(at))
        store_f64(slot + 8, px_of(at))
        store_f64(slot + 16, qty_of(at))
        store_i64(slot + 24, update_id)
        store_i64(slot + 32, exch_ts)
        store_i64(slot + 40, local_ts)
        r.count += 1


@inline
def _is_behind(slot: Address, update_id: int, local_ts: Ns) -> bool:
    """Whether a change is one that the snapshot does not have, and that arrived before it."""
    return load_i64(slot + 24) > update_id and load_i64(slot + 40) <= local_ts


@inline
def set_again(s: Any, recent: Address, update_id: int, exch_ts: Ns, local_ts: Ns) -> bool:
    """Append rows for what changed behind the snapshot of that id, whose rows were appended.

    Returns:
        Whether all of that is remembered.
    """
    count = _recent_at(recent).count
    first = max(count - RECENT_MAX, 0)
    for number in range(first, count):
        slot = _slot_at(recent, number)
        if _is_behind(slot, update_id, local_ts):
            # One wrong time does not move the book.
            later_ts = load_i64(slot + 32)
            exch_ts = max(exch_ts, later_ts) if later_ts <= exch_ts + CLOCK_JUMP_NS else exch_ts
    for number in range(first, count):
        slot = _slot_at(recent, number)
        if _is_behind(slot, update_id, local_ts):
            add_row(s, load_i64(slot), exch_ts, local_ts, load_f64(slot + 8), load_f64(slot + 16))
    return first == 0 or load_i64(_slot_at(recent, first) + 24) <= update_id
