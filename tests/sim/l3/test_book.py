"""The book that is made from single orders, row by row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.book.book import write_levels
from hftd.compiled.arena import Arena
from hftd.compiled.layout import MAX_MARKET_ORDERS, book_dtype, level_dtype
from hftd.hbt import feed
from hftd.hbt.local import AssetSpec, fill_book, fill_market_orders, left_out_of_market_orders, market_orders
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    FILL_EVENT,
    INVALID_MAX,
    INVALID_MIN,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    event_dtype,
)
from tests.sim.l3.market import BOTH, TICK_SIZE, Market
from tests.sim.l3.model import Model

ADD_BID, ADD_ASK = ADD_ORDER_EVENT | BUY_EVENT, ADD_ORDER_EVENT | SELL_EVENT


class Book:
    """A book record, with what a test asks of it."""

    def __init__(self, roi=None, lot_size=1.0):
        self._arena = Arena()
        self._book = self._arena.records(book_dtype, 1)
        fill_book(self._book[0], AssetSpec(TICK_SIZE, lot_size, roi=roi), self._arena)
        self._orders = fill_market_orders(self._book[0], self._arena)

    def apply(self, rows):
        feed.load_book.call(self._book.ctypes.data, rows.ctypes.data, len(rows))
        return self

    def row(self, ev, order_id=0, tick=0, qty=0.0):
        return self.apply(np.array([(BOTH | ev, 1, 1, tick * TICK_SIZE, qty, order_id, 0, 0.0)], event_dtype))

    @property
    def best(self):
        return int(self._book[0]["best_bid_tick"]), int(self._book[0]["best_ask_tick"])

    def levels(self, side):
        """The levels that are the market's, from the best."""
        found = np.empty(10_000, level_dtype)
        count = write_levels.call(self._book.ctypes.data, side, found.ctypes.data, len(found))
        return {int(tick): float(qty) for tick, qty in found[:count]}

    @property
    def orders(self):
        """(id, side, tick, quantity) of each order, the oldest first."""
        kept = market_orders(self._orders[0])
        kept = kept[np.argsort(kept["arrival"])]
        ids = kept["order_id"].view("u8")
        return [
            (int(order_id), int(one["side"]), int(one["price_tick"]), float(one["qty"]))
            for order_id, one in zip(ids, kept, strict=True)
        ]

    @property
    def left_out(self):
        return left_out_of_market_orders(self._book[0])

    @property
    def records_used(self):
        return int(self._orders[0]["used_slots"])


def shift(rows, ticks):
    """The same market somewhere else."""
    moved = rows.copy()
    moved["px"] += ticks * TICK_SIZE
    return moved


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([0, -5_000, 10_000_000, -3_000_000]),
)
def test_orders_levels_and_best_prices_are_those_of_plain_lists(seed, crossing, bad, ticks):
    rows = Market(seed, crossing=crossing, bad=bad, clears=0.01).rows(250)
    book, model = Book(), Model()
    # The window of plain arrays is placed by the first price; here the market is far outside of it now and then.
    book.row(ADD_BID, 77, 0, 1.0).row(CANCEL_ORDER_EVENT, 77)
    for row, moved in zip(rows, shift(rows, ticks), strict=True):
        model.row(row)
        book.apply(np.array([moved], event_dtype))
        best = [model.best[side] for side in (1, -1)]
        assert book.best == tuple(b if abs(b) >= INVALID_MAX else b + ticks for b in best)
    for side in (1, -1):
        market = [tick for tick in model.ticks(side) if (tick - model.best[side]) * side <= 0]
        assert book.levels(side) == {tick + ticks: model.qty(side, tick) for tick in market}
    queues = {(side, tick - ticks): [] for _, side, tick, _ in book.orders}
    for order_id, side, tick, qty in book.orders:
        queues[side, tick - ticks].append((order_id, qty))
    assert queues == {
        key: [(order.order_id, order.qty) for order in queue] for key, queue in model.queues.items() if queue
    }
    assert bool(book.left_out) == (model.left_out > 0)


def test_an_order_that_is_modified_to_less_keeps_its_place_and_one_to_more_loses_it():
    book = Book().row(ADD_BID, 1, 100, 5).row(ADD_BID, 2, 100, 5).row(ADD_BID, 3, 100, 5)
    book.row(MODIFY_ORDER_EVENT | BUY_EVENT, 1, 100, 4).row(MODIFY_ORDER_EVENT | BUY_EVENT, 2, 100, 6)
    assert [order_id for order_id, *_ in book.orders] == [1, 3, 2]
    assert book.levels(1) == {100: 15.0}


def test_a_fill_changes_nothing_until_the_feed_says_what_is_left():
    book = Book().row(ADD_ASK, 1, 100, 5).row(FILL_EVENT | SELL_EVENT, 1, 100, 5)
    assert book.levels(-1) == {100: 5.0}
    assert book.row(CANCEL_ORDER_EVENT | SELL_EVENT, 1, 100, 5).best == (INVALID_MIN, INVALID_MAX)


def test_asks_that_a_bid_crossed_show_again_when_it_is_gone():
    book = Book().row(ADD_ASK, 1, 100, 5).row(ADD_ASK, 2, 101, 5).row(ADD_ASK, 3, 105, 5)
    assert book.row(ADD_BID, 4, 103, 1).best == (103, 105)
    assert book.row(CANCEL_ORDER_EVENT | BUY_EVENT, 4, 103, 1).best == (INVALID_MIN, 100)
    assert book.levels(-1) == {100: 5.0, 101: 5.0, 105: 5.0}
    assert book.row(ADD_BID, 5, 103, 1).row(DEPTH_CLEAR_EVENT | BUY_EVENT).best == (INVALID_MIN, 100)


def test_a_clear_takes_the_orders_of_its_side_whatever_its_price():
    book = Book().row(ADD_BID, 1, 99, 5).row(ADD_ASK, 2, 101, 5).row(DEPTH_CLEAR_EVENT | BUY_EVENT, 0, 50)
    assert book.orders == [(2, -1, 101, 5.0)]
    assert book.row(ADD_BID, 1, 98, 3).best == (98, 101)
    assert book.row(DEPTH_CLEAR_EVENT).orders == []
    assert book.row(ADD_BID, 1, 97, 3).best == (97, INVALID_MAX)
    assert book.left_out == []


def test_rows_that_make_no_sense_are_left_out_and_said():
    book = Book().row(ADD_BID, 1, 100, 5).row(ADD_BID, 1, 101, 5).row(ADD_ORDER_EVENT, 2, 100, 5)
    book.row(CANCEL_ORDER_EVENT, 3).row(MODIFY_ORDER_EVENT, 3, 100, 1).row(FILL_EVENT, 3, 100, 1)
    assert book.orders == [(1, 1, 100, 5.0)]
    assert book.left_out == [
        "3 rows named an order that is not in the book",
        "1 rows added an order that is in the book",
        "1 rows added an order without a side",
    ]


@pytest.mark.parametrize("px", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_a_price_that_can_be_no_tick_changes_nothing(px):
    book = Book().row(ADD_BID, 1, 100, 5).row(ADD_BID, 2, px, 5).row(MODIFY_ORDER_EVENT, 1, px, 5)
    assert book.orders == [(1, 1, 100, 5.0)]


def test_levels_in_a_feed_of_orders_change_nothing():
    book = Book().row(ADD_BID, 1, 100, 5).row(DEPTH_EVENT | BUY_EVENT, 0, 104, 5)
    assert book.levels(1) == {100: 5.0}


def test_orders_outside_the_range_of_interest_are_kept_but_make_no_level():
    book = Book(roi=(90 * TICK_SIZE, 110 * TICK_SIZE)).row(ADD_BID, 1, 89, 5).row(ADD_BID, 2, 90, 5)
    book.row(ADD_ASK, 3, 111, 5)
    assert book.best == (90, INVALID_MAX)
    assert book.row(MODIFY_ORDER_EVENT, 1, 95, 5).row(MODIFY_ORDER_EVENT, 3, 110, 2).best == (95, 110)
    assert book.row(MODIFY_ORDER_EVENT, 1, 80, 5).best == (90, 110)


def test_any_id_of_64_bits_is_an_id():
    ids = [0, 1, 2**63 - 1, 2**63, 2**64 - 1]
    book = Book()
    for order_id in ids:
        book.row(ADD_BID, order_id, 100, 1)
    assert [order_id for order_id, *_ in book.orders] == ids
    for order_id in ids:
        book.row(CANCEL_ORDER_EVENT | BUY_EVENT, order_id)
    assert book.orders == []
    assert book.left_out == []


def test_fractions_of_lots_that_cancel_out_leave_no_level():
    book = Book(lot_size=0.001)
    for order_id, qty in enumerate((0.1, 0.2, 0.3)):
        book.row(ADD_BID, order_id, 100, qty)
    for order_id in range(3):
        book.row(CANCEL_ORDER_EVENT, order_id)
    assert book.best == (INVALID_MIN, INVALID_MAX)


def test_orders_that_are_gone_leave_their_room_to_others():
    rows = np.zeros(200_000, event_dtype)
    rows["ev"][::2] = BOTH | ADD_BID
    rows["ev"][1::2] = BOTH | CANCEL_ORDER_EVENT
    rows["order_id"] = np.repeat(np.arange(100_000, dtype="u8"), 2)
    rows["px"], rows["qty"] = 25.0, 1.0
    assert Book().apply(rows).records_used == 1


def test_one_order_more_than_there_is_room_for_is_left_out_and_said():
    rows = np.zeros(MAX_MARKET_ORDERS + 1, event_dtype)
    rows["ev"] = BOTH | ADD_BID
    rows["order_id"] = np.arange(len(rows))
    rows["px"], rows["qty"] = 25.0, 1.0
    book = Book().apply(rows)
    assert book.levels(1) == {100: float(MAX_MARKET_ORDERS)}
    assert book.left_out == ["1 rows added an order for which there was no room: 1,048,576 have"]
    # And there is room again when one has gone.
    assert book.row(CANCEL_ORDER_EVENT, 5).row(ADD_ASK, 2**40, 101, 1).best == (100, 101)
