"""What a connector may rely on: any bytes are a message, or one counted error; never a crash, never half a row."""

import json
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daemon.session.errors import WireError
from daemon.session.facts import ControlReply, UnknownEvent
from daemon.session.market.snapshots import read_book
from daemon.venues.binance import wire
from hftd.types import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT
from hftd.venues.binance import market
from hftd.venues.reader import BEST, BOOK, DEPTH, TRADES, MarketReader, best_prices
from tests.daemon.venues.binancefutures.market_server import best, depth, snapshot, trade

MESSAGES = [
    depth(120, 100, [["100.1", "2.0"], ["99.0", "0"]], [["100.2", "1"]], st=1, ps="BTCUSDT"),
    best(121, "100.1", "100.2", st=1),
    trade(7, X="MARKET", m=False, st=1),
    b'{"result":null,"id":1}',
    b'{"code":2,"msg":"Invalid request: unknown variant"}',
]
MS_NS = 1_000_000
READER = MarketReader(market.read_futures)


def take(message: bytes) -> None:
    """Whatever it is, it is a message with rows of finite numbers, or a WireError, or a counted oddity."""
    read = READER.read(message, 5)
    if read is None:
        try:
            other = wire.read_other(message)
        except WireError as error:
            assert str(error)
        else:
            assert isinstance(other, ControlReply | UnknownEvent)
    elif read.rows is not None:
        assert np.isfinite(read.rows["px"]).all()
        assert (read.rows["qty"] >= 0).all() and np.isfinite(read.rows["qty"]).all()
        assert (read.rows["exch_ts"] >= 0).all()
        assert read.kind == TRADES or read.last_id >= 0


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(MESSAGES), st.data())
def test_a_message_that_is_cut_anywhere_is_one_error(message, data):
    cut = message[: data.draw(st.integers(0, len(message) - 1))]
    assert READER.read(cut, 5) is None
    with pytest.raises(WireError):
        wire.read_other(cut)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(MESSAGES), st.data())
def test_bytes_that_were_changed_break_nothing(message, data):
    changed = bytearray(message)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    take(bytes(changed))


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**400), 10**400),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=20),
        st.sampled_from(["nan", "inf", "1e999", "-0", "0x1", "9" * 400, "1_0", " 1", "1,0"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(MESSAGES[:3]), values, st.data())
@example(MESSAGES[0], 10**400, None)
@pytest.mark.thorough
def test_fields_of_other_types_and_huge_numbers_break_nothing(message, value, data):
    event = json.loads(message)
    key = data.draw(st.sampled_from(sorted(event["data"]))) if data else "T"
    event["data"][key] = value
    take(json.dumps(event).encode())


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
@example(b"")
@example(b"[]")
@example(b"{}")
@example(b"null")
@example(b"[" * 100_000)
@example(b'{"stream":"a","data":' + b'{"x":' * 5000)
@example(b'{"stream":"btcusdt@trade","data":{"e":"trade"}}')
def test_any_bytes_at_all_break_nothing(message):
    take(message)


@given(st.dictionaries(st.text(min_size=2, max_size=6), values, max_size=5))
def test_fields_that_are_not_known_change_nothing(more):
    event = json.loads(MESSAGES[0])
    plain = READER.read(MESSAGES[0], 5).rows.copy()
    event["data"] = {**more, **event["data"]}
    assert (READER.read(json.dumps(event).encode(), 5).rows == plain).all()


@pytest.mark.parametrize("name", ["aggTrade", "markPriceUpdate", "serverShutdown", "x" * 1000])
def test_an_event_that_is_not_known_is_counted_by_its_name(name):
    for message in ({"stream": "s", "data": {"e": name}}, {"e": name, "E": 1}):
        data = json.dumps(message).encode()
        assert READER.read(data, 5) is None
        assert wire.read_other(data) == UnknownEvent(name[:64])


def test_answers_to_subscriptions_are_told_from_events():
    assert wire.read_other(b'{"result":null,"id":1}').problem == ""
    assert "Invalid request" in wire.read_other(MESSAGES[4]).problem
    assert "boo" in wire.read_other(b'{"error":{"code":-1,"msg":"boo"},"id":3}').problem


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), max_size=40),
    st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), max_size=40),
)
def test_levels_are_rows_with_the_same_numbers_to_the_last_bit(bids, asks):
    texts = [[[repr(px), repr(qty)] for px, qty in side] for side in (bids, asks)]
    rows = READER.read(depth(9, 8, *texts), 5).rows
    assert len(rows) == len(bids) + len(asks)
    for row, (px, qty), side in zip(
        rows, [*bids, *asks], [BUY_EVENT] * len(bids) + [SELL_EVENT] * len(asks), strict=True
    ):
        assert struct.pack("dd", row["px"], row["qty"]) == struct.pack("dd", px, qty)
        assert int(row["ev"]) == EXCH_EVENT | LOCAL_EVENT | DEPTH_EVENT | side
        assert int(row["exch_ts"]) == 1009 * 1_000_000


def test_more_levels_than_any_message_has_find_room_and_more_than_that_are_refused():
    reader = MarketReader(market.read_futures)
    assert len(reader.read(depth(9, 8, [["1.5", "2"]] * 20_000, []), 2).rows) == 20_000
    many = [["1.5", "2"]] * 20_000
    assert len(reader.read(snapshot(10, many, many), 2).rows) == 40_002
    read = reader.read(depth(9, 8, [["1", "2"]] * 300_000, []), 2)
    assert (read.last_id, read.rows) == (9, None)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120))
def test_a_snapshot_of_any_bytes_is_one_or_an_error(body):
    with pytest.raises(WireError):
        read_book(READER, body)
    read = read_book(READER, snapshot(10, [["1", "2"]], []))
    assert (read.kind, read.last_id, best_prices(read.rows)[0]) == (BOOK, 10, 1.0)


@pytest.mark.parametrize(
    "levels",
    [
        '[["1"]]',
        '[["1","2"]',
        '[["1","x"]]',
        '["1","2"]',
        "{}",
        '"[]"',
        '[["nan","1"]]',
        "[[1,2],]",
        "null",
        "[]]",
    ],
)
def test_levels_that_are_none_give_no_rows_at_all(levels):
    message = b'{"stream":"s","data":{"e":"depthUpdate","T":1,"U":1,"u":2,"pu":0,"b":%s,"a":[["1","2"]]}}'
    read = READER.read(message % levels.encode(), 5)
    assert read is None or read.rows is None


@pytest.mark.parametrize("m", ["1", "null", '"true"x', "[]", "nothing"])
def test_a_trade_whose_side_is_not_said_is_none(m):
    message = b'{"stream":"s","data":{"e":"trade","T":1,"p":"1","q":"1","X":"MARKET","m":%s}}'
    assert READER.read(message % b"false", 5).rows is not None
    assert READER.read(message % m.encode(), 5) is None


def test_spots_best_prices_carry_the_latest_time_of_the_messages_before():
    reader = MarketReader(market.read_spot)
    best_price = b'{"stream":"x@bookTicker","data":{"u":7,"s":"X","b":"1.5","B":"2","a":"1.6","A":"3"}}'
    assert len(reader.read(best_price, 9).rows) == 0, "of no known time"
    assert reader.read(snapshot(10, [["1", "2"]], []).replace(b'"T"', b'"x"'), 9) is None
    change = (
        b'{"stream":"x@depth","data":{"e":"depthUpdate","E":1723161255208,"s":"X",'
        b'"U":5,"u":6,"b":[["1","2"]],"a":[]}}'
    )
    read = reader.read(change, 9)
    assert (read.kind, read.previous_id, read.last_id) == (DEPTH, 4, 6)
    read = reader.read(best_price, 10)
    assert (read.kind, read.last_id, best_prices(read.rows)) == (BEST, 7, (1.5, 1.6))
    assert {int(row["exch_ts"]) for row in read.rows} == {1723161255208 * MS_NS}
