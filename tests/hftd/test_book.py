"""The compiled book against one of dictionaries, however its rows reach it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.compiled.arena import Arena
from hftd.compiled.layout import book_dtype
from hftd.hbt import feed
from hftd.hbt.local import AssetSpec, fill_book
from hftd.hbt.views import Depth
from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    INVALID_MAX,
    INVALID_MIN,
    LOCAL_EVENT,
    SELL_EVENT,
    event_dtype,
)
from sim.backtest import Backtest
from sim.feed.asset import BacktestAsset
from tests.parity.model import Book
from tests.sim.engine import market

FAR = 1 << 52
WINDOW_EDGES = (0, 1, (3 << 20) - 1, 3 << 20, (1 << 22) - 1, 1 << 22, -1, -(1 << 21))


@st.composite
def feeds(draw):
    """Rows near one price, near the edges of what is kept in plain arrays, and anywhere."""
    origin = draw(st.sampled_from([0, 5, 100, -3, 1 << 21, 3 << 20, 1 << 22, 60_000_000, -1_000_000_000]))
    near = st.integers(origin - 8, origin + 8)
    edges = st.sampled_from(WINDOW_EDGES).map(lambda edge: origin + edge)
    ticks = st.one_of(near, near, near, edges, st.integers(-FAR, FAR))
    qtys = st.sampled_from([0.0, 0.0, 0.4, 0.5, 1.0, 3.0, 250.0])
    side = st.sampled_from([BUY_EVENT, SELL_EVENT])
    kind = st.sampled_from([DEPTH_EVENT] * 4 + [DEPTH_SNAPSHOT_EVENT])
    level = st.tuples(st.builds(int.__or__, kind, side), ticks.map(float), qtys)
    prices = st.one_of(ticks.map(float), st.sampled_from([math.inf, -math.inf, math.nan, 1e300, -1e300]))
    clear = st.tuples(
        st.sampled_from([0, BUY_EVENT, SELL_EVENT]).map(DEPTH_CLEAR_EVENT.__or__), prices, st.just(0.0)
    )
    lines = draw(st.lists(st.one_of(level, level, level, level, level, clear), min_size=1, max_size=60))
    rows = np.zeros(len(lines), event_dtype)
    for number, (row, (ev, px, qty)) in enumerate(zip(rows, lines, strict=True)):
        row["ev"], row["px"], row["qty"] = EXCH_EVENT | LOCAL_EVENT | ev, px, qty
        row["exch_ts"] = row["local_ts"] = number // 3
    return rows


def model(rows, roi=None):
    """The book of dictionaries after these rows."""
    book = Book(1.0, 1.0)
    for row in rows:
        kind = int(row["ev"]) & 0xFF
        is_outside = roi is not None and kind != DEPTH_CLEAR_EVENT and not roi[0] <= row["px"] <= roi[1]
        if not is_outside:
            book.apply(int(row["ev"]), float(row["px"]), float(row["qty"]))
    return book


def assert_same(depth, book, rows):
    assert depth.best_bid_tick == (INVALID_MIN if book.best_bid_tick is None else book.best_bid_tick)
    assert depth.best_ask_tick == (INVALID_MAX if book.best_ask_tick is None else book.best_ask_tick)
    assert depth.best_bid_qty == (0.0 if book.best_bid_tick is None else book.bids.levels[book.best_bid_tick])
    for px in rows["px"][np.abs(rows["px"]) <= FAR]:
        tick = int(px)
        assert depth.bid_qty_at_tick(tick) == book.bids.levels.get(tick, 0.0)
        assert depth.ask_qty_at_tick(tick) == book.asks.levels.get(-tick, 0.0)


@given(feeds())
@settings(max_examples=300, deadline=None)
@pytest.mark.thorough
def test_a_book_holds_every_level_at_any_price(rows):
    arena = Arena()
    memory = arena.records(book_dtype, 1)
    fill_book(memory[0], AssetSpec(1.0, 1.0), arena)
    address = int(memory.ctypes.data)
    feed.load_book.call(address, rows.ctypes.data, len(rows))
    assert_same(Depth(address), model(rows), rows)


def sides(hbt):
    """The book of the bot and that of the exchange."""
    return hbt.depth(0), Depth(int(hbt.engine.exchanges.ctypes.data))


@given(feeds(), st.sampled_from([None, (-5.0, 5.0), (98.0, 103.0), (59_999_990.0, 60_000_004.0)]))
@settings(max_examples=200, deadline=None)
def test_both_sides_of_a_backtest_hold_every_level_at_any_price(rows, roi):
    asset = BacktestAsset().data(np.append(rows, last(rows))).tick_size(1.0).lot_size(1.0)
    if roi is not None:
        asset.roi_lb(roi[0]).roi_ub(roi[1])
    hbt = Backtest([asset.model])
    assert hbt.elapse(len(rows)) == 0
    for depth in sides(hbt):
        assert_same(depth, model(rows, roi), rows)


def last(rows):
    """A row that says nothing, for time to pass until."""
    row = rows[-1:].copy()
    row["ev"], row["px"] = EXCH_EVENT | LOCAL_EVENT | 100, 0.0
    row["exch_ts"] = row["local_ts"] = 10 * len(rows)
    return row


@given(feeds())
@settings(max_examples=100, deadline=None)
def test_a_snapshot_gives_the_book_that_its_rows_would_give_as_a_feed(rows):
    asset = BacktestAsset().data(last(rows)).initial_snapshot(rows).tick_size(1.0).lot_size(1.0)
    hbt = Backtest([asset.model])
    hbt.elapse(0)
    for depth in sides(hbt):
        assert_same(depth, model(rows), rows)


@pytest.mark.parametrize("side", ["clear bids", "clear asks", "clear"])
@pytest.mark.parametrize("px", [0.0, 100.0, math.nan, math.inf, 1e300, -1e300])
@pytest.mark.parametrize("origin", [100.0, 60_000_000.0])
def test_an_empty_book_may_be_cleared(side, px, origin):
    clears = [(side, 3, px, 0.0), (side, 3, math.nan, 0.0), (side, 3, math.nan, 0.0)]
    first = [(side, 0, px, 0.0), (side, 1, px, 0.0), ("bid", 2, origin, 1.0)]
    data = market.rows(*first, *clears, ("ask", 4, origin, 1.0), ("buy", 9, origin, 1.0))
    hbt = market.backtest(data)
    assert hbt.elapse(5) == 0
    assert hbt.depth(0).best_ask == origin
