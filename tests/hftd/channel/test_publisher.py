"""What a connector publishes from Python is what msgspec would write, and taps can read it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd import wire
from hftd.channel.endpoint import MarketTap
from hftd.channel.layout import BOT_WAKE, MARKET_DATA, MARKET_ROWS, MAX_BOTS, MAX_ROWS, MODE_SYSTEM
from hftd.channel.memory import BotPage, ClockPage, MarketRing
from hftd.channel.publisher import MarketPublisher
from hftd.errors import ProtocolError, UsageError
from hftd.types import event_dtype
from tests.hftd.channel.programs import corrupt


def rows_of(count: int) -> np.ndarray:
    rows = np.zeros(count, event_dtype)
    for column in event_dtype.names or ():
        rows[column] = np.arange(count) * 3 + 1
    return rows


@pytest.fixture
def clock():
    with ClockPage.make(1, MODE_SYSTEM) as made:
        yield made


def test_a_feed_has_the_very_bytes_of_msgspec_in_the_ring(clock: ClockPage):
    for instrument in (0, 200, 70_000, -5, 2**40):
        with MarketRing.make(1 << 18, lossless=False) as ring:
            rows = rows_of(20)
            MarketPublisher(ring, clock).publish(instrument, rows)
            expected = wire.encoder.encode(wire.Feed(instrument, rows.tobytes()))
            import ctypes

            frame = ctypes.string_at(ring.address + MARKET_DATA, 16 + -(-len(expected) // 8) * 8)
            assert int.from_bytes(frame[:4], "little") == len(expected)
            assert frame.endswith(expected)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2500), min_size=1, max_size=5))
def test_a_tap_reads_all_rows_in_order_with_stamps_that_grow(counts: list[int]):
    with ClockPage.make(1, MODE_SYSTEM) as clock, MarketRing.make(1 << 21, lossless=False) as ring:
        publisher, tap = MarketPublisher(ring, clock), MarketTap(ring)
        last = 0
        for instrument, count in enumerate(counts):
            publisher.publish(instrument, rows_of(count))
            got = b""
            while (found := tap.read()) is not None:
                stamp, feed = found
                assert isinstance(feed, wire.Feed)
                assert (feed.instrument, stamp) == (instrument, last + 1)
                assert len(feed.rows) <= MAX_ROWS * 64
                got += feed.rows
                last = stamp
            assert got == rows_of(count).tobytes()
        assert publisher.statistics()["rows"] == sum(counts) == ring.word(MARKET_ROWS)
        assert tap.statistics()["records"] == publisher.statistics()["records"]


def test_rows_need_neither_be_contiguous_nor_writable(clock: ClockPage):
    with MarketRing.make(1 << 18, lossless=False) as ring:
        publisher, tap = MarketPublisher(ring, clock), MarketTap(ring)
        rows = rows_of(30)
        frozen = np.frombuffer(rows.tobytes(), event_dtype)
        for some in (rows[::3], rows[::-1], frozen, rows[5:5]):
            publisher.publish(1, some)
            if len(some):
                assert tap.read()[1] == wire.Feed(1, some.tobytes())  # pyright: ignore
        assert tap.read() is None


@pytest.mark.parametrize("rows", [np.zeros(3), np.zeros(64, np.uint8), np.zeros((2, 2), event_dtype)])
def test_rows_of_another_form_are_an_error_that_names_it(clock: ClockPage, rows: np.ndarray):
    with MarketRing.make(1 << 18, lossless=False) as ring, pytest.raises(UsageError, match="dtype"):
        MarketPublisher(ring, clock).publish(1, rows)


def test_a_small_ring_gets_small_messages(clock: ClockPage):
    with MarketRing.make(1024, lossless=False) as ring:
        publisher, tap = MarketPublisher(ring, clock), MarketTap(ring)
        publisher.publish(1, rows_of(11))
        sizes = [len(tap.read()[1].rows) // 64 for _ in range(2)]  # pyright: ignore
        assert (sizes, tap.read()) == ([7, 4], None)
        with pytest.raises(ProtocolError, match="longer than the ring"):
            publisher.send(wire.Feed(1, bytes(1024)))


def test_a_tap_that_is_lapped_counts_it_and_reads_on(clock: ClockPage):
    with MarketRing.make(4096, lossless=False) as ring:
        publisher, tap = MarketPublisher(ring, clock), MarketTap(ring)
        for _ in range(10):
            publisher.publish(1, rows_of(10))
        assert tap.read() is None
        publisher.send(wire.Status(1, wire.BOOK_VALID))
        assert tap.read() == (11, wire.Status(1, wire.BOOK_VALID))
        assert tap.statistics() == {"records": 1, "lapped": 1, "position": tap.statistics()["position"]}


def test_a_broken_ring_is_an_error_and_not_a_crash(clock: ClockPage):
    with MarketRing.make(4096, lossless=False) as ring:
        publisher, tap = MarketPublisher(ring, clock), MarketTap(ring)
        publisher.send(wire.Status(1, 1))
        corrupt(ring.address, 0, -1)
        with pytest.raises(ProtocolError, match="frames are broken"):
            tap.read()


def test_all_bots_of_a_channel_are_woken_by_each_publish(clock: ClockPage):
    with MarketRing.make(1 << 18, lossless=False) as ring, BotPage.make() as one, BotPage.make() as two:
        publisher = MarketPublisher(ring, clock)
        publisher.add_bot(one)
        publisher.publish(1, rows_of(1))
        publisher.add_bot(two)
        publisher.send(wire.Status(1, 1))
        publisher.remove_bot(one)
        publisher.publish(1, rows_of(1))
        assert (one.word(BOT_WAKE), two.word(BOT_WAKE)) == (2, 2)
        for _ in range(MAX_BOTS - 1):
            publisher.add_bot(one)
        with pytest.raises(UsageError, match=f"at most {MAX_BOTS}"):
            publisher.add_bot(two)


def test_a_publisher_that_can_not_wait_takes_no_lossless_ring(clock: ClockPage):
    with MarketRing.make(1 << 18, lossless=True) as ring, pytest.raises(UsageError, match="lossless"):
        MarketPublisher(ring, clock)
