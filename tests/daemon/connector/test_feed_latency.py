"""The latency of a market's feed: of each message the age of its last row, by the exchange's clock."""

from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.connector.market.books import Books
from daemon.messages import Instrument
from hftd.channel.layout import MODE_SYSTEM
from hftd.channel.memory import ClockPage, MarketRing
from hftd.channel.publisher import MarketPublisher
from hftd.types import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, TRADE_EVENT, event_dtype

NOW_NS = 1_790_000_000_000_000_000
FLAGS = EXCH_EVENT | LOCAL_EVENT | BUY_EVENT
AGES = st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=4)


def instrument(number: int) -> Instrument:
    return Instrument(number, f"S{number}", Decimal("0.1"), Decimal("0.001"))


def rows_of(ages: list[int], kind: int, now_ns: int = NOW_NS):
    rows = np.zeros(len(ages), event_dtype)
    rows["ev"] = FLAGS | kind
    rows["px"] = 100.0 - 0.1 * np.arange(len(ages))
    rows["qty"] = 1.0
    rows["local_ts"] = now_ns
    rows["exch_ts"] = now_ns - np.array(ages)
    return rows


@pytest.fixture(scope="module")
def publisher() -> Iterator[MarketPublisher]:
    with MarketRing.make(lossless=False) as ring, ClockPage.make(1, MODE_SYSTEM) as clock:
        yield MarketPublisher(ring, clock)


@given(
    messages=st.lists(st.tuples(AGES, st.booleans()), max_size=10),
    ahead_ns=st.integers(-(10**12), 10**12),
    is_fused=st.booleans(),
)
def test_each_message_counts_once_by_its_last_row_however_odd_its_time_is(
    publisher, messages, ahead_ns, is_fused
):
    books = Books(publisher, is_fused, lambda *_: None)
    market = books.follow(instrument(0))
    books.set_ahead(ahead_ns)
    for ages, is_book in messages:
        books.on_rows(0, rows_of(ages, DEPTH_EVENT if is_book else TRADE_EVENT), is_book)
    told = market.latency.told("feed")
    wanted = [ages[-1] + ahead_ns for ages, _ in messages]
    assert told.count == len(wanted)
    assert told.max_ns == max([0, *wanted])
    assert told.sum_ns == sum(max(0, one) for one in wanted)
    assert told.count_up_to(10**9) == sum(one <= 10**9 for one in wanted)


def test_nothing_counts_before_the_exchanges_clock_is_known_or_without_a_time(publisher):
    books = Books(publisher, True, lambda *_: None)
    first = books.follow(instrument(0))
    books.on_rows(0, rows_of([5_000_000], DEPTH_EVENT), True)
    assert first.latency.told("feed").count == 0
    books.set_ahead(0)
    timeless = rows_of([NOW_NS], DEPTH_EVENT)
    assert timeless["exch_ts"][0] == 0
    books.on_rows(0, timeless, True)
    books.on_rows(0, timeless[:0], True)
    books.on_rows(0, timeless[:0], False)
    assert first.latency.told("feed").count == 0
    # One that is followed later counts from its first message on.
    later = books.follow(instrument(1))
    books.on_rows(1, rows_of([5_000_000], DEPTH_EVENT), True)
    assert later.latency.told("feed").max_ns == 5_000_000


def test_a_message_that_needs_more_room_than_there_is_counts_once(publisher):
    books = Books(publisher, True, lambda *_: None)
    market = books.follow(instrument(0))
    books.set_ahead(0)
    books.on_rows(0, rows_of([7_000_000] * 5_000, DEPTH_EVENT), True)
    assert market.rows >= 5_000
    assert market.latency.told("feed").count == 1
