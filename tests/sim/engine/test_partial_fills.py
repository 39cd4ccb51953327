"""Partial fills: what is executed, at which prices, and that all of it is booked."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from hftd.types import (
    BUY,
    CANCELED,
    END_OF_DATA,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    GTX,
    IOC,
    LIMIT,
    MARKET,
    NEW,
    NONE,
    PARTIALLY_FILLED,
)
from sim import CustomExchange
from sim.backtest import HashMapMarketDepthBacktest
from tests.parity import random_runs
from tests.parity.model import Book
from tests.sim.engine.market import START, asset, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)


def begin(*lines, change=lambda made: made, **latency):
    """A backtest with partial fills at the beginning of these rows."""
    hbt = HashMapMarketDepthBacktest([change(asset(rows(*lines, END), **latency).partial_fill_exchange())])
    hbt.record_every(1 << 60)
    hbt.elapse(0)
    return hbt


def executions(hbt):
    return [(row["price"], row["qty"]) for row in hbt.fills()]


# Asks of 10 at 101 to 105, bids of 10 at 99 to 95.
TAKERS = [
    # order type, time in force, side, price, quantity; its state, what is left, its executions
    (LIMIT, FOK, 1, 102.0, 20.0, FILLED, 0.0, [(101.0, 10.0), (102.0, 10.0)]),
    (LIMIT, FOK, 1, 102.0, 21.0, EXPIRED, 21.0, []),
    (LIMIT, FOK, 1, 105.0, 50.0, FILLED, 0.0, [(101.0 + i, 10.0) for i in range(5)]),
    (LIMIT, FOK, 1, 200.0, 51.0, EXPIRED, 51.0, []),
    (LIMIT, FOK, 1, 100.0, 1.0, EXPIRED, 1.0, []),
    (LIMIT, IOC, 1, 102.0, 15.0, FILLED, 0.0, [(101.0, 10.0), (102.0, 5.0)]),
    (LIMIT, IOC, 1, 102.0, 25.0, EXPIRED, 5.0, [(101.0, 10.0), (102.0, 10.0)]),
    (LIMIT, IOC, 1, 100.0, 1.0, EXPIRED, 1.0, []),
    (LIMIT, GTC, 1, 101.0, 25.0, FILLED, 0.0, [(101.0, 25.0)]),
    (LIMIT, GTC, 1, 103.0, 25.0, FILLED, 0.0, [(101.0, 10.0), (102.0, 10.0), (103.0, 5.0)]),
    (LIMIT, GTC, 1, 103.0, 55.0, FILLED, 0.0, [(101.0, 10.0), (102.0, 10.0), (103.0, 35.0)]),
    (LIMIT, GTC, 1, 200.0, 55.0, FILLED, 0.0, [*[(101.0 + i, 10.0) for i in range(5)], (200.0, 5.0)]),
    (LIMIT, GTX, 1, 101.0, 1.0, EXPIRED, 1.0, []),
    (LIMIT, GTC, 1, 100.0, 1.0, NEW, 1.0, []),
    (MARKET, GTC, 1, 0.0, 12.0, FILLED, 0.0, [(101.0, 10.0), (102.0, 2.0)]),
    (MARKET, GTX, 1, float("nan"), 12.0, FILLED, 0.0, [(101.0, 10.0), (102.0, 2.0)]),
    (MARKET, FOK, 1, 0.0, 51.0, EXPIRED, 1.0, [(101.0 + i, 10.0) for i in range(5)]),
    (LIMIT, FOK, -1, 98.0, 21.0, EXPIRED, 21.0, []),
    (LIMIT, IOC, -1, 98.0, 25.0, EXPIRED, 5.0, [(99.0, 10.0), (98.0, 10.0)]),
    (LIMIT, GTC, -1, 98.0, 25.0, FILLED, 0.0, [(99.0, 10.0), (98.0, 15.0)]),
    (MARKET, IOC, -1, 0.0, 51.0, EXPIRED, 1.0, [(99.0 - i, 10.0) for i in range(5)]),
]


@pytest.mark.parametrize(
    ("order_type", "time_in_force", "side", "price", "qty", "status", "left", "done"), TAKERS
)
def test_a_taker_walks_the_book_from_the_best_price_outwards(
    order_type, time_in_force, side, price, qty, status, left, done
):
    hbt = begin(*levels())
    send = hbt.submit_buy_order if side == BUY else hbt.submit_sell_order
    assert send(0, 1, price, qty, time_in_force, order_type, True) == 0
    order = hbt.orders(0).get(1)
    assert (order.status, order.req, order.leaves_qty) == (status, NONE, left)
    assert executions(hbt) == done
    assert (hbt.fills()["maker"] == 0).all()
    assert hbt.position(0) == side * sum(qty for _, qty in done)
    assert hbt.state_values(0).balance == -side * sum(price * qty for price, qty in done)


def test_a_maker_is_filled_by_what_trades_leave_behind_the_queue():
    hbt = begin(*levels(), ("sell", 10, 98.0, 7.0), ("sell", 20, 98.0, 5.0), ("sell", 30, 98.0, 1.0),
                ("sell", 40, 97.0, 1.0))  # fmt: skip
    hbt.submit_buy_order(0, 1, 98.0, 6.0, GTX, LIMIT, True)
    seen = []
    for _ in range(4):
        hbt.elapse(10)
        order = hbt.orders(0).get(1)
        seen.append((order.status, order.leaves_qty, order.exec_qty, hbt.position(0)))
    # Ten were ahead: the second trade goes two beyond them, and the last goes through the price.
    assert seen == [
        (NEW, 6.0, 0.0, 0.0),
        (PARTIALLY_FILLED, 4.0, 2.0, 2.0),
        (PARTIALLY_FILLED, 3.0, 1.0, 3.0),
        (FILLED, 0.0, 3.0, 6.0),
    ]


def test_the_rest_of_a_partly_filled_order_is_canceled_or_kept_as_asked():
    for smaller, total, left in ((False, 0.0, 0.0), (True, 5.0, 3.0)):
        hbt = begin(*levels(), ("sell", 10, 98.0, 12.0), ("sell", 90, 98.0, 9.0), entry_ns=5, response_ns=5)
        hbt.submit_buy_order(0, 1, 98.0, 6.0, GTX, LIMIT, True)
        hbt.elapse(10)
        order = hbt.orders(0).get(1)
        assert (order.status, order.cancellable) == (PARTIALLY_FILLED, True)
        if smaller:
            hbt.modify(0, 1, 98.0, total, True)
            assert (order.status, order.qty, order.leaves_qty) == (PARTIALLY_FILLED, total, left)
        else:
            hbt.cancel(0, 1, True)
            assert (order.status, order.leaves_qty) == (CANCELED, 4.0)
        hbt.elapse(100)
        assert hbt.position(0) == 2.0 + left


def test_a_partly_filled_order_that_is_made_larger_goes_to_the_end_of_the_queue():
    hbt = begin(*levels(), ("sell", 10, 98.0, 12.0), ("sell", 50, 98.0, 9.0), ("sell", 60, 98.0, 3.0))
    hbt.submit_buy_order(0, 1, 98.0, 6.0, GTX, LIMIT, True)
    hbt.elapse(20)
    hbt.modify(0, 1, 98.0, 7.0, True)
    hbt.elapse(30)
    assert hbt.position(0) == 2.0
    hbt.elapse(20)
    assert hbt.position(0) == 4.0


@njit
def one_each(state, order, market):
    """One lot for whoever is asked, as long as there are any."""
    if state.lots == 0:
        return 0.0
    state.lots -= 1
    return market.lot_size


@pytest.mark.parametrize(("side", "price"), [(1, 98.0), (-1, 102.0)])
def test_a_crossing_that_gives_a_part_gives_it_by_queue_place(side, price):
    state = np.array([(3,)], [("lots", "i8")])
    line = ("ask", 10, 90.0, 1.0) if side == BUY else ("bid", 10, 110.0, 1.0)
    hbt = begin(
        *levels(), line, change=lambda made: made.custom_exchange(CustomExchange(cross=one_each, state=state))
    )
    send = hbt.submit_buy_order if side == BUY else hbt.submit_sell_order
    send(0, 9, price - side, 1.0, GTX, LIMIT, True)
    for order_id in (5, 3, 4):
        send(0, order_id, price, 1.0 if order_id == 3 else 2.0, GTX, LIMIT, True)
    hbt.elapse(20)
    # The better price first, and of one price the oldest.
    assert hbt.fills()["order_id"].tolist() == [5, 3, 4]
    assert (hbt.fills()["exch_ts"] == START + 10).all()


def upto_the_end(made):
    """The case without what comes after the data, where time stands still."""
    codes = random_runs.run(random_runs.ours(made.assets), made)[0]
    over = np.flatnonzero(codes == END_OF_DATA)
    return replace(made, program=made.program[: over[0]]) if len(over) else made


@given(st.integers(0, 1 << 40), st.booleans())
@settings(max_examples=80, deadline=None)
def test_every_execution_is_booked_and_no_quantity_is_lost(seed, whole_lots):
    made = upto_the_end(random_runs.with_own_ids(random_runs.case(seed, partial=True)))
    if whole_lots:
        made.program["lots"] += 0.25
    hbt = random_runs.ours(made.assets)
    hbt.record_every(1 << 60)
    _, _, assets, orders = random_runs.run(hbt, made)
    hbt.check()
    for asset_no, described in enumerate(made.assets):
        close = {"rel": 1e-9, "abs": 1e-9}
        own = hbt.fills()[hbt.fills()["asset_no"] == asset_no]
        state = hbt.state_values(asset_no)
        amounts = described.amounts(own["price"], own["qty"])
        assert state.num_trades == len(own)
        assert state.position == pytest.approx((own["qty"] * own["side"]).sum(), **close)
        assert state.trading_volume == pytest.approx(own["qty"].sum(), **close)
        assert state.trading_value == pytest.approx(amounts.sum(), **close)
        assert state.balance == pytest.approx(-(amounts * own["side"]).sum(), **close)
        assert state.fee == pytest.approx(described.fees_of(amounts, own["qty"], own["maker"]).sum(), **close)
        for order_id in range(made.order_ids):
            seen = orders[:, asset_no, order_id]
            known = seen["known"] == 1
            if not known.any():
                continue
            mine = own[own["order_id"] == order_id]
            # The account tells which of the fills the bot had learned of.
            filled = np.append(0.0, np.where(own["order_id"] == order_id, own["qty"], 0.0).cumsum())
            done = filled[assets["num_trades"][known, asset_no]]
            seen = seen[known]
            # At every step: what was executed and what is left are the order.
            assert np.allclose(done + seen["leaves_qty"], seen["qty"], rtol=0, atol=1e-9)
            assert ((seen["status"] == FILLED) == (seen["leaves_qty"] == 0.0)).all()
            takes_at_once = np.isin(seen["time_in_force"], [FOK, IOC]) | (seen["order_type"] == MARKET)
            assert not (takes_at_once & np.isin(seen["status"], [NEW, PARTIALLY_FILLED])).any()
            if seen["time_in_force"][0] == FOK and seen["order_type"][0] == LIMIT:
                assert not len(mine) or seen["status"][-1] in (FILLED, NONE)
            if seen["time_in_force"][0] == GTX and seen["order_type"][0] == LIMIT:
                assert mine["maker"].all()
            check_levels(described, mine[mine["maker"] == 0], seen[0])


def check_levels(described, taken, order):
    """What an order took are levels of the book, whole but for the last, or its limit at the end."""
    if not len(taken):
        return
    book = Book(described.tick_size, described.lot_size)
    for row in np.concatenate(described.data):
        if row["exch_ts"] <= taken["exch_ts"][0] and int(row["ev"]) & random_runs.EXCH_EVENT:
            book.apply(int(row["ev"]), float(row["px"]), float(row["qty"]))
    side = int(order["side"])
    opposite = book.asks if side == BUY else book.bids
    ticks = np.round(taken["price"] / described.tick_size).astype(int)
    if not described.partial:
        assert (len(taken), ticks[0] * -side) == (1, opposite.best)
        return
    expected = opposite.best
    for number, (tick, qty) in enumerate(zip(ticks * -side, taken["qty"], strict=True)):
        is_last = number == len(taken) - 1
        if is_last and order["time_in_force"] == GTC and order["order_type"] == LIMIT:
            assert tick == expected or tick == order["price_tick"] * -side
            if tick == order["price_tick"] * -side:
                return
        assert tick == expected
        level = opposite.levels[tick]
        assert qty == pytest.approx(level) if not is_last else qty <= level + 1e-9
        expected = opposite.below(tick)


@given(st.integers(0, 1 << 40))
@settings(max_examples=15, deadline=None)
def test_two_runs_with_partial_fills_are_equal_bit_for_bit(seed):
    made = random_runs.case(seed, partial=True)
    first, second = (random_runs.run(random_runs.ours(made.assets), made) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes()
