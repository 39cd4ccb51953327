"""Where partial fills are others than the reference's, on purpose, as test_differences.py shows the rest."""

import pytest

from hftd.types import (
    CANCELED,
    EXPIRED,
    FILLED,
    IOC,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
)
from tests.parity.engines import END, buy, sell
from tests.sim.engine.market import levels, rows

pytestmark = pytest.mark.parity


def partial(made):
    return made.partial_fill_exchange().flat_per_trade_fee_model(1.0, 1.0)


@pytest.fixture
def parts(pair):
    """Both engines, with partial fills and a fee of 1 a trade, at the beginning of the rows."""

    def make(*lines, **latency):
        both = pair(rows(*lines, END), partial, **latency)
        for hbt in both:
            hbt.elapse(0)
        return both

    return make


def account(hbt):
    state = hbt.state_values(0)
    return state.position, state.balance, state.fee, state.num_trades


def order(hbt):
    found = hbt.orders(0).get(1)
    return found.status, found.leaves_qty, found.exec_qty, found.exec_price_tick


def test_a_makers_partial_execution_is_booked_when_it_happens(parts):
    theirs, ours = parts(*levels(), ("sell", 5, 98.0, 12.0), ("sell", 9, 98.0, 5.0))
    for hbt in (theirs, ours):
        buy(hbt, 98.0, 6.0, wait=True)
        hbt.elapse(6)
        assert order(hbt) == (PARTIALLY_FILLED, 4.0, 2.0, 98)
    assert account(theirs) == (0.0, 0.0, 0.0, 0)
    assert account(ours) == (2.0, -196.0, 1.0, 1)
    for hbt in (theirs, ours):
        hbt.elapse(6)
        assert order(hbt) == (FILLED, 0.0, 4.0, 98)
    # Only the last execution is booked there.
    assert account(theirs) == (4.0, -392.0, 1.0, 1)
    assert account(ours) == (6.0, -588.0, 2.0, 2)


def test_a_taker_books_every_level_that_it_takes(parts):
    theirs, ours = parts(*levels())
    for hbt in (theirs, ours):
        buy(hbt, 103.0, 25.0, wait=True)
        assert order(hbt) == (FILLED, 0.0, 5.0, 103)
    assert account(theirs) == (5.0, -515.0, 1.0, 1)
    assert account(ours) == (25.0, -(1010.0 + 1020.0 + 515.0), 3.0, 3)


def test_a_partly_filled_ioc_order_books_what_it_took(parts):
    theirs, ours = parts(*levels())
    for hbt in (theirs, ours):
        buy(hbt, 102.0, 25.0, time_in_force=IOC, wait=True)
        assert order(hbt) == (EXPIRED, 5.0, 10.0, 102)
    assert account(theirs) == (0.0, 0.0, 0.0, 0)
    assert account(ours) == (20.0, -2030.0, 2.0, 2)


def test_a_sell_is_filled_at_its_limit_at_once_as_a_buy_is(parts):
    # The reference takes the level at a sell's limit first, and then the remainder at the same price.
    theirs, ours = parts(*levels())
    for hbt in (theirs, ours):
        sell(hbt, 98.0, 25.0, wait=True)
    assert order(theirs) == (FILLED, 0.0, 5.0, 98)
    assert order(ours) == (FILLED, 0.0, 15.0, 98)
    theirs, ours = parts(*levels())
    for hbt in (theirs, ours):
        buy(hbt, 102.0, 25.0, wait=True)
        assert order(hbt) == (FILLED, 0.0, 15.0, 102)


def test_an_order_whose_remainder_is_filled_exactly_leaves_the_book(parts):
    lines = *levels(), ("sell", 5, 98.0, 16.0), ("sell", 9, 98.0, 5.0)
    theirs, ours = parts(*lines)
    for hbt in (theirs, ours):
        buy(hbt, 98.0, 6.0, wait=True)
        hbt.elapse(6)
        assert order(hbt)[0] == FILLED
    # There it is filled once more, which ends the run with an error.
    assert theirs.elapse(6) not in (0, 1)
    assert ours.elapse(6) == 0
    assert account(ours)[0] == 6.0
    theirs, ours = parts(*lines)
    for hbt, status in ((theirs, CANCELED), (ours, FILLED)):
        buy(hbt, 98.0, 6.0, wait=True)
        hbt.elapse(6)
        hbt.cancel(0, 1, True)
        assert order(hbt)[0] == status


def test_a_market_order_takes_levels_however_far_they_are(parts):
    # The reference looks at a hundred ticks.
    theirs, ours = parts(("bid", 0, 99.0, 10.0), ("ask", 0, 101.0, 10.0), ("ask", 0, 300.0, 10.0))
    for hbt in (theirs, ours):
        buy(hbt, 0.0, 15.0, order_type=MARKET, wait=True)
    assert order(theirs) == (EXPIRED, 5.0, 10.0, 101)
    assert order(ours) == (FILLED, 0.0, 5.0, 300)


def test_a_market_order_with_partial_fills_expires_in_an_empty_book(parts):
    theirs, ours = parts(("bid", 0, 99.0, 1.0))
    for hbt in (theirs, ours):
        buy(hbt, 0.0, order_type=MARKET, wait=True)
        assert order(hbt)[0] == EXPIRED


def test_the_answer_to_a_modification_tells_the_last_execution(parts):
    # There it tells the state and the execution that the bot knew of when it asked. Of the new total of 3 here, 2 were
    # executed before.
    theirs, ours = parts(*levels(), ("sell", 250, 98.0, 12.0), entry_ns=100, response_ns=100)
    for hbt, known in ((theirs, (NEW, 3.0, 0.0, 0)), (ours, (PARTIALLY_FILLED, 1.0, 2.0, 98))):
        buy(hbt, 98.0, 6.0, wait=True)
        hbt.modify(0, 1, 98.0, 3.0, False)
        hbt.elapse(300)
        assert order(hbt) == known
