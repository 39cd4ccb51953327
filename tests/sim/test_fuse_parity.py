"""The fused rows are those of HftBacktest 2.4.4, event by event, but where it loses sight of its best price."""

import ctypes

import numpy as np
import pytest

from hftd.book.fused_levels import NO_KEY, level_above, level_of
from hftd.types import (
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)
from sim import FuseMarketDepth
from sim.archive import read_events
from sim.convert import Options, convert
from sim.fuse import bbo_rows, fuse
from tests.sim.market import event_rows

pytestmark = [pytest.mark.parity, pytest.mark.thorough, pytest.mark.thorough]
TICK_SIZE, LOT_SIZE = 0.1, 0.001


def reference():
    binding = pytest.importorskip(
        "hftbacktest.binding", reason="the dependency group `parity` is not installed"
    )
    return binding.FuseMarketDepth(TICK_SIZE, LOT_SIZE)


def rows_of(depth):
    """The rows that HftBacktest's object has made."""
    from hftbacktest.binding import fusemarketdepth_fused_events

    count = ctypes.c_uint64(0)
    address = fusemarketdepth_fused_events(depth.ptr, ctypes.byref(count))
    if not count.value:
        return np.empty(0, event_dtype)
    buffer = (ctypes.c_uint8 * (event_dtype.itemsize * count.value)).from_address(address)
    return np.frombuffer(buffer, event_dtype).copy()


class Side:
    """A side of our book, to tell beforehand where HftBacktest goes wrong."""

    def __init__(self, depth, name):
        books = depth._books
        self.row = books.rows[0][name]
        self.address = books.addresses[0] + books.rows.dtype.fields[name][1]
        self.sign = int(self.row["sign"])

    def key(self, row):
        return self.sign * int(np.floor(row["px"] / TICK_SIZE + 0.5))

    def forgets_its_best(self, row):
        """An outdated row for a level that became the best: HftBacktest drops it, but moves its best price."""
        key = self.key(row)
        qty, ts = level_of(self.address, key)
        return key >= self.row["best"] and qty > 0 and row["exch_ts"] < ts

    def overlooks_a_level(self, row):
        """A clear: HftBacktest overlooks the level next to the last that it takes away."""
        key = self.key(row)
        return level_above(self.address, key - 2, key - 1) != NO_KEY


def random_stream(seed, count):
    """Bests and depth around a wandering price, with times that often go back."""
    random = np.random.default_rng(seed)
    rows = []
    late = int(random.choice([1, 5, 40]))
    for step in range(count):
        is_bid = bool(random.random() < 0.5)
        middle = 5000 + int(20 * np.sin(step / 60))
        away = int(random.geometric(0.2)) - 2
        tick = middle - away if is_bid else middle + away
        kind = random.choice(
            [DEPTH_EVENT, DEPTH_BBO_EVENT, DEPTH_SNAPSHOT_EVENT, DEPTH_CLEAR_EVENT], p=[0.6, 0.35, 0.04, 0.01]
        )
        qty = int(random.integers(1, 9)) * 0.25 * LOT_SIZE if random.random() < 0.1 else 0.0
        if kind == DEPTH_BBO_EVENT or random.random() < 0.6:
            qty = max(qty, int(random.integers(1, 20)) * LOT_SIZE)
        side = BUY_EVENT if is_bid else SELL_EVENT
        if kind == DEPTH_CLEAR_EVENT and random.random() < 0.3:
            side = 0
        ts = max(10 * step - int(random.integers(0, 10 * late)), 0)
        rows.append((int(kind) | side, ts, 10 * step + 1000, tick * TICK_SIZE, qty))
    return event_rows(*rows)


@pytest.mark.parametrize("seed", range(12))
def test_random_streams_fuse_to_the_same_rows(seed):
    ours, theirs = FuseMarketDepth(TICK_SIZE, LOT_SIZE), reference()
    sides = {BUY_EVENT: Side(ours, "bids"), SELL_EVENT: Side(ours, "asks")}
    rows = random_stream(seed, 1500)
    left_out = 0
    for i, row in enumerate(rows):
        kind = int(row["ev"]) & KIND_MASK
        side = sides.get(int(row["ev"]) & (BUY_EVENT | SELL_EVENT))
        if kind == DEPTH_CLEAR_EVENT:
            wrong = side is not None and side.overlooks_a_level(row)
        else:
            wrong = kind != DEPTH_BBO_EVENT and side.forgets_its_best(row)
        if wrong:
            left_out += 1
            continue
        ours.process_event(rows, i, True)
        theirs.process_event(rows, i, True)
        assert len(ours.fused_events) == len(rows_of(theirs)), i
    assert ours.fused_events.tobytes() == rows_of(theirs).tobytes()
    assert len(rows_of(theirs)) > 700
    assert left_out < 100


def test_an_outdated_row_leaves_the_best_price_where_it_is():
    bid = BUY_EVENT | DEPTH_EVENT
    rows = event_rows(
        (bid, 5, 100, 500.0, 1),
        (bid, 10, 100, 499.9, 1),
        (bid, 7, 100, 500.0, 0),
        # Older than what is known of 499.9, so it is dropped; HftBacktest then takes 499.9 for no best price ...
        (bid, 8, 100, 499.9, 0),
        # ... and does not delete it when a best bid below it comes.
        (BUY_EVENT | DEPTH_BBO_EVENT, 20, 100, 499.5, 1),
    )
    ours, theirs = FuseMarketDepth(TICK_SIZE, LOT_SIZE), reference()
    for i in range(len(rows)):
        ours.process_event(rows, i, True)
        theirs.process_event(rows, i, True)
    assert rows_of(theirs).tobytes() == ours.fused_events[:-1].tobytes()
    last = ours.fused_events[-1]
    assert (last["px"], last["qty"]) == (499.90000000000003, 0)


def test_a_clear_leaves_the_level_next_to_it_the_best():
    bid = BUY_EVENT | DEPTH_EVENT
    rows = event_rows(
        (bid, 1, 100, 500.0, 1),
        (bid, 1, 100, 499.9, 1),
        (BUY_EVENT | DEPTH_CLEAR_EVENT, 2, 100, 500.0, 0),
        (BUY_EVENT | DEPTH_BBO_EVENT, 20, 100, 499.5, 1),
    )
    ours, theirs = FuseMarketDepth(TICK_SIZE, LOT_SIZE), reference()
    for i in range(len(rows)):
        ours.process_event(rows, i, True)
        theirs.process_event(rows, i, True)
    assert rows_of(theirs).tobytes() == ours.fused_events[:-1].tobytes()
    assert (ours.fused_events[-1]["px"], ours.fused_events[-1]["qty"]) == (499.90000000000003, 0)


def test_a_real_capture_with_its_best_prices_fuses_to_the_same_rows(futures_capture, tmp_path):
    convert([futures_capture], tmp_path / "day.npz", options=Options(book_ticker=True))
    rows = bbo_rows(read_events(tmp_path / "day.npz"))
    kinds = rows["ev"] & np.uint64(KIND_MASK)
    is_seen = (rows["ev"] & np.uint64(LOCAL_EVENT)) != 0
    received = rows[is_seen & (kinds != TRADE_EVENT)].copy()
    received["ev"] &= np.uint64(~(LOCAL_EVENT | EXCH_EVENT) & 0xFFFF_FFFF)
    ours, theirs = FuseMarketDepth(TICK_SIZE, LOT_SIZE), reference()
    ours.process_events(received)
    for i in range(len(received)):
        theirs.process_event(received, i, True)
    assert (received["ev"] & np.uint64(KIND_MASK) == DEPTH_BBO_EVENT).sum() > 100_000
    assert ours.fused_events.tobytes() == rows_of(theirs).tobytes()
    # The local side of a fused archive is just that.
    archive = fuse(rows, TICK_SIZE, LOT_SIZE)
    local = archive[((archive["ev"] & np.uint64(LOCAL_EVENT)) != 0)].copy()
    local = local[(local["ev"] & np.uint64(KIND_MASK)) != TRADE_EVENT]
    local["ev"] &= np.uint64(~(LOCAL_EVENT | EXCH_EVENT) & 0xFFFF_FFFF)
    assert local.tobytes() == ours.fused_events.tobytes()
