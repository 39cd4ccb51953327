"""What a connector may rely on: any bytes are a message, or one counted error; never a crash, never half a row."""

import json
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daemon.connector.market.rows import RowWriter
from daemon.session.errors import WireError
from daemon.venues.binance import wire
from hftd.types import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT
from tests.daemon.venues.binancefutures.market_server import best, depth, snapshot, trade

MESSAGES = [
    depth(120, 100, [["100.1", "2.0"], ["99.0", "0"]], [["100.2", "1"]], st=1, ps="BTCUSDT"),
    best(121, "100.1", "100.2", st=1),
    trade(7, X="MARKET", m=False, st=1),
    b'{"result":null,"id":1}',
    b'{"code":2,"msg":"Invalid request: unknown variant"}',
]
WRITER = RowWriter()
MS_NS = 1_000_000


def rows_of(read):
    """What the session makes of a message."""
    match read.data:
        case wire.DepthUpdate(exch_ms=time_ms, bids=bids, asks=asks):
            return WRITER.depth(bids, asks, time_ms * MS_NS, 5)
        case wire.BookTicker() as one:
            bid, ask = (one.bid, one.bid_qty), (one.ask, one.ask_qty)
            return WRITER.best(bid, ask, wire.AS_EVENTS, one.exch_ms * MS_NS, 5)
        case wire.Trade() as one:
            return WRITER.trade(one.price, one.qty, SELL_EVENT, one.exch_ms * MS_NS, 5)


def take(message: bytes) -> None:
    """Whatever it is, it is a message with rows of finite numbers, or a WireError, or a counted oddity."""
    try:
        read = wire.read_stream(message)
    except WireError as error:
        assert str(error)
        return
    if isinstance(read, wire.StreamMessage):
        rows = rows_of(read)
        if rows is not None:
            assert np.isfinite(rows["px"]).all()
            assert np.isfinite(rows["qty"]).all()
            assert (rows["exch_ts"] >= 0).all()
    else:
        assert isinstance(read, wire.ControlReply | wire.UnknownEvent)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(MESSAGES), st.data())
def test_a_message_that_is_cut_anywhere_is_one_error(message, data):
    cut = message[: data.draw(st.integers(0, len(message) - 1))]
    with pytest.raises(WireError):
        wire.read_stream(cut)


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
    plain = rows_of(wire.read_stream(MESSAGES[0])).copy()
    event["data"] = {**more, **event["data"]}
    assert (rows_of(wire.read_stream(json.dumps(event).encode())) == plain).all()


@pytest.mark.parametrize("name", ["aggTrade", "markPriceUpdate", "serverShutdown", "x" * 1000])
def test_an_event_that_is_not_known_is_counted_by_its_name(name):
    for message in ({"stream": "s", "data": {"e": name}}, {"e": name, "E": 1}):
        read = wire.read_stream(json.dumps(message).encode())
        assert read == wire.UnknownEvent(name[:64])


def test_answers_to_subscriptions_are_told_from_events():
    assert wire.read_stream(b'{"result":null,"id":1}').problem == ""
    assert "Invalid request" in wire.read_stream(MESSAGES[4]).problem
    assert "boo" in wire.read_stream(b'{"error":{"code":-1,"msg":"boo"},"id":3}').problem


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), max_size=40),
    st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), max_size=40),
)
def test_levels_are_rows_with_the_same_numbers_to_the_last_bit(bids, asks):
    texts = [[[repr(px), repr(qty)] for px, qty in side] for side in (bids, asks)]
    read = wire.read_stream(depth(9, 8, *texts))
    rows = rows_of(read)
    assert len(rows) == len(bids) + len(asks)
    for row, (px, qty), side in zip(
        rows, [*bids, *asks], [BUY_EVENT] * len(bids) + [SELL_EVENT] * len(asks), strict=True
    ):
        assert struct.pack("dd", row["px"], row["qty"]) == struct.pack("dd", px, qty)
        assert int(row["ev"]) == EXCH_EVENT | LOCAL_EVENT | DEPTH_EVENT | side
        assert int(row["exch_ts"]) == 1009 * 1_000_000


def test_more_levels_than_any_message_has_find_room_and_more_than_that_are_refused():
    many = msgspec.Raw(json.dumps([["1.5", "2"]] * 20_000).encode())
    none = msgspec.Raw(b"[]")
    writer = RowWriter()
    assert len(writer.depth(many, none, 1, 2)) == 20_000
    assert len(writer.snapshot(many, many, 1, 2)) == 40_002
    too_many = msgspec.Raw(json.dumps([["1", "2"]] * 300_000).encode())
    assert writer.depth(too_many, none, 1, 2) is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120))
def test_a_snapshot_of_any_bytes_is_one_or_an_error(body):
    with pytest.raises(WireError):
        wire.read_snapshot(body)
    read = wire.read_snapshot(snapshot(10, [["1", "2"]], []))
    assert read.last_id == 10


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
    try:
        read = wire.read_stream(message % levels.encode())
    except WireError:
        return
    assert rows_of(read) is None
