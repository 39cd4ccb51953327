"""The row: what reads and writes it in compiled code agrees with numpy's fields, and who judges it with the limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.compiled import row_access
from hftd.compiled.arena import Arena
from hftd.compiled.jit import kernel
from hftd.compiled.layout import book_dtype
from hftd.hbt import feed
from hftd.hbt.local import AssetSpec, fill_book
from hftd.hbt.views import Depth
from hftd.rows import QTY_MAX, TICK_MAX, TS_MAX
from hftd.types import BUY_EVENT, DEPTH_EVENT, LOCAL_EVENT, event_dtype


@kernel("int64(int64, int64)")
def _rewrite(row, target):
    """A row written anew from what the accessors read of another one, moved by one nanosecond; its order."""
    r = row_access
    r.write_row(target, r.ev_of(row), r.exch_ts_of(row), r.local_ts_of(row), r.px_of(row), r.qty_of(row))
    r.set_ev(target, r.ev_of(target) | LOCAL_EVENT)
    r.set_local_ts(target, r.local_ts_of(target) + 1)
    r.set_px(target, -r.px_of(target))
    return r.order_id_of(row)


@kernel("int64(float64, float64, int64)")
def _judge(ticks, qty, ts):
    r = row_access
    return r.is_tick(ticks) + 2 * r.is_qty(qty) + 4 * r.is_sound(ticks, qty) + 8 * r.is_time(ts)


def test_a_row_is_read_and_written_as_numpy_sees_it():
    rows = np.zeros(2, event_dtype)
    rows[0] = (BUY_EVENT | DEPTH_EVENT, 5, 7, 98.5, 2.25, 11, 12, 13.5)
    rows[1] = (1, 1, 1, 1.0, 1.0, 1, 1, 1.0)
    assert _rewrite.call(rows[:1].ctypes.data, rows[1:].ctypes.data) == 11
    assert rows[1].item() == (LOCAL_EVENT | BUY_EVENT | DEPTH_EVENT, 5, 8, -98.5, 2.25, 0, 0, 0.0)


EDGES = [
    0.0,
    -0.0,
    0.5,
    -1.0,
    TICK_MAX - 1,
    TICK_MAX,
    QTY_MAX,
    math.nextafter(QTY_MAX, 0),
    math.inf,
    math.nan,
]


@given(
    st.one_of(st.sampled_from(EDGES + [-edge for edge in EDGES]), st.floats()),
    st.one_of(st.sampled_from(EDGES), st.floats()),
    st.one_of(
        st.sampled_from([TS_MAX, TS_MAX + 1, -TS_MAX, -TS_MAX - 1, -(1 << 63)]),
        st.integers(-(1 << 63), (1 << 63) - 1),
    ),
)
@settings(deadline=None)
def test_a_row_can_be_if_it_lies_within_the_limits(ticks, qty, ts):
    is_tick = abs(ticks) < TICK_MAX
    is_qty = 0.0 <= qty < QTY_MAX
    expected = is_tick + 2 * is_qty + 4 * (is_tick and is_qty) + 8 * (abs(ts) <= TS_MAX)
    assert _judge.call(float(ticks), qty, ts) == expected


@pytest.mark.parametrize("qty", [math.inf, QTY_MAX, -1.0, math.nan])
def test_a_book_takes_no_notice_of_a_quantity_that_can_not_be(qty):
    arena = Arena()
    memory = arena.records(book_dtype, 1)
    fill_book(memory[0], AssetSpec(1.0, 1.0), arena)
    address = int(memory.ctypes.data)
    rows = np.zeros(2, event_dtype)
    rows["ev"], rows["px"], rows["qty"] = BUY_EVENT | DEPTH_EVENT, [98.0, 99.0], [3.0, qty]
    feed.load_book.call(address, rows.ctypes.data, len(rows))
    assert Depth(address).best_bid_tick == 98
