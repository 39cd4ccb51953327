import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)
from sim.convert.rows.crossed import CrossedBooks, PriceScale, crossed_books

BID, ASK = DEPTH_EVENT | BUY_EVENT, DEPTH_EVENT | SELL_EVENT


def rows_of(*rows):
    made = np.zeros(len(rows), event_dtype)
    for number, (local_ts, ev, px, qty) in enumerate(rows):
        made[number] = (ev, local_ts, local_ts, px, qty, 0, 0, 0)
    return made


def by_a_plain_book(rows):
    """Times, total and longest by a book of two dicts."""
    sides = {BUY_EVENT: {}, SELL_EVENT: {}}
    times = total = longest = since = last = 0
    is_crossed = False
    at = 0
    while at < len(rows):
        local_ts = int(rows[at]["local_ts"])
        while at < len(rows) and rows[at]["local_ts"] == local_ts:
            ev, px, qty = int(rows[at]["ev"]), float(rows[at]["px"]), float(rows[at]["qty"])
            side = BUY_EVENT if ev & BUY_EVENT else SELL_EVENT
            at += 1
            if ev & 0xFF == DEPTH_CLEAR_EVENT:
                gone = [p for p in sides[side] if (p >= px if side == BUY_EVENT else p <= px)]
                for price in gone:
                    del sides[side][price]
            elif qty > 0:
                sides[side][px] = qty
            else:
                sides[side].pop(px, None)
        if is_crossed:
            total += local_ts - last
            longest = max(longest, local_ts - since)
        last = local_ts
        was_crossed = is_crossed
        bids, asks = sides[BUY_EVENT], sides[SELL_EVENT]
        is_crossed = bool(bids and asks) and max(bids) >= min(asks)
        if is_crossed and not was_crossed:
            times, since = times + 1, local_ts
    return times, total, longest


updates = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from((BID, ASK, BID, ASK, DEPTH_CLEAR_EVENT | BUY_EVENT, DEPTH_CLEAR_EVENT | SELL_EVENT)),
        st.one_of(st.integers(0, 12), st.integers(0, 20_000)),
        st.sampled_from((0.0, 1.5, 2.0)),
    ),
    max_size=80,
)


@settings(deadline=None, max_examples=300)
@given(updates)
def test_crossed_books_are_those_of_a_plain_book(changes):
    local_ts = 0
    rows = []
    for step, ev, ticks, qty in changes:
        local_ts += step
        rows.append((local_ts, ev, round(ticks * 0.05, 2), qty))
    made = rows_of(*rows)
    found = crossed_books(made)
    assert (found.times, found.total_ns, found.longest_ns) == by_a_plain_book(made)


def test_a_crossing_is_counted_with_how_long_it_lasted():
    found = crossed_books(
        rows_of((10, BID, 99.9, 1), (10, ASK, 100.1, 1), (20, BID, 100.1, 1), (50, BID, 100.1, 0)),
        local_shift_ns=1000,
    )
    assert (found.times, found.total_ns, found.longest_ns, found.first_local_ts) == (1, 30, 30, [1020])


def test_trades_and_rows_of_the_exchange_alone_do_not_touch_the_book():
    found = crossed_books(
        rows_of(
            (1, BID, 9, 1), (1, ASK, 10, 1), (2, TRADE_EVENT | BUY_EVENT, 11, 1), (3, BID | EXCH_EVENT, 11, 1)
        )
    )
    assert found.times == 0


def test_prices_too_far_apart_are_said_not_to_be_checked():
    assert not crossed_books(rows_of((1, BID, 1e-8, 1), (2, BID, 2e-8, 1), (3, ASK, 1e7, 1))).checked


def test_no_rows_are_no_crossings():
    assert crossed_books(rows_of()).times == 0


@settings(deadline=None, max_examples=200)
@given(updates, st.integers(1, 12))
def test_blocks_make_no_difference_to_crossed_books(changes, size):
    local_ts = 0
    rows = []
    for step, ev, ticks, qty in changes:
        local_ts += step
        rows.append((local_ts, ev, round(ticks * 0.005, 3), qty))
    made = rows_of(*rows)
    scale = PriceScale()
    for at in range(0, len(made), size):
        scale.add(made[at : at + size])
    books = CrossedBooks(scale)
    for at in range(0, len(made), size):
        books.add(made[at : at + size])
    assert books.result() == crossed_books(made)


def test_rows_of_the_exchange_alone_do_not_end_a_message():
    found = crossed_books(
        rows_of(
            (1, BID, 9, 1),
            (1, ASK, 10, 1),
            (2, BID, 10, 1),
            (1, TRADE_EVENT | BUY_EVENT | EXCH_EVENT, 10, 1),
            (2, ASK, 10, 0),
        )
    )
    assert found.times == 0


def test_a_clear_without_a_side_takes_both_whatever_its_price():
    found = crossed_books(
        rows_of(
            (1, BID, 9, 1), (1, ASK, 10, 1), (2, DEPTH_CLEAR_EVENT, 0, 0), (3, BID, 12, 1), (4, ASK, 13, 1)
        )
    )
    assert found.times == 0
