"""The messages of the data plane are the same for msgspec and for compiled code."""

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hftd import wire
from hftd.channel import messages
from hftd.channel.layout import MAX_MESSAGE_BYTES, MAX_ROWS
from tests.hftd.channel.programs import Arena, read_message, read_tag, write_message

ARENA = Arena()
RECORD = np.zeros(32, np.int64)
I64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-200, 200)
U64 = st.integers(0, 2**64 - 1)
F64 = st.floats(allow_nan=False)

DTYPES = {
    wire.Status: (messages.STATUS, messages.status_dtype),
    wire.OrderUpdate: (messages.ORDER_UPDATE, messages.order_update_dtype),
    wire.State: (messages.STATE, messages.state_dtype),
    wire.Splice: (messages.SPLICE, messages.splice_dtype),
    wire.Submit: (messages.SUBMIT, messages.submit_dtype),
    wire.Modify: (messages.MODIFY, messages.modify_dtype),
    wire.Cancel: (messages.CANCEL, messages.cancel_dtype),
    wire.Inquire: (messages.INQUIRE, messages.inquire_dtype),
}


def made(kind: type[msgspec.Struct]) -> st.SearchStrategy[msgspec.Struct]:
    dtype = DTYPES[kind][1]
    columns = {"i": I64, "u": U64, "f": F64}
    return st.builds(kind, **{name: columns[dtype[name].kind] for name in dtype.names or ()})


any_message = st.one_of([made(kind) for kind in DTYPES])


def read(tag: int, data: bytes) -> bool:
    return read_message(tag, ARENA.place(data), ARENA.end, RECORD.ctypes.data) == 1


@pytest.mark.parametrize("kind", DTYPES)
def test_a_record_has_the_fields_of_the_struct_in_its_order(kind: type[msgspec.Struct]):
    tag, dtype = DTYPES[kind]
    assert dtype.names == kind.__struct_fields__
    assert kind.__struct_config__.tag == tag
    assert dtype.itemsize == 8 * len(dtype.names)


@given(any_message)
@pytest.mark.thorough
def test_a_message_of_msgspec_is_read_and_written_alike_by_compiled_code(message: msgspec.Struct):
    tag, dtype = DTYPES[type(message)]
    data = wire.encoder.encode(message)
    assert read_tag(ARENA.place(data), ARENA.end) == tag
    assert read(tag, data)
    record = RECORD[: len(dtype.names or ())].copy().view(dtype)
    assert tuple(record[0].item()) == msgspec.structs.astuple(message)
    length = write_message(tag, ARENA.start, record.ctypes.data)
    assert ARENA.read(ARENA.start, length) == data
    assert len(data) <= messages.FIELDS_MESSAGE_BYTES


@pytest.mark.thorough
@given(I64, st.integers(0, 40) | st.sampled_from([MAX_ROWS - 1, MAX_ROWS]))
@example(-(2**63), MAX_ROWS)
def test_a_feed_has_the_bytes_of_msgspec_and_its_rows_are_found_where_they_are(instrument: int, count: int):
    rows = bytes(range(64)) * count
    data = wire.encoder.encode(wire.Feed(instrument, rows))
    assert len(data) <= MAX_MESSAGE_BYTES
    assert read(messages.FEED, data)
    assert RECORD[0] == instrument
    assert RECORD[1] == ARENA.end - len(rows)
    assert RECORD[2] == count
    RECORD[:2] = instrument, count
    length = write_message(messages.FEED, ARENA.start, RECORD.ctypes.data)
    assert ARENA.read(ARENA.start, length) + rows == data


@pytest.mark.parametrize("size", [1, 63, 65, (MAX_ROWS + 1) * 64])
def test_a_feed_with_part_of_a_row_or_too_many_is_malformed(size: int):
    assert not read(
        messages.FEED, wire.encoder.encode(wire.Feed(1, bytes(size)))[-MAX_MESSAGE_BYTES - 4000 :]
    )


def test_a_resync_is_two_bytes_that_both_sides_know():
    data = wire.encoder.encode(wire.Resync())
    length = write_message(messages.RESYNC, ARENA.start, 0)
    assert ARENA.read(ARENA.start, length) == data
    assert read(messages.RESYNC, data)
    assert not read(messages.RESYNC, wire.encoder.encode(wire.Splice(1)))


small_feeds = st.builds(wire.Feed, I64, st.integers(0, 3).map(lambda n: bytes(64 * n)))


@given(any_message | small_feeds | st.just(wire.Resync()), st.data())
def test_a_message_that_is_cut_off_is_malformed_for_every_reader(
    message: msgspec.Struct, data: st.DataObject
):
    encoded = wire.encoder.encode(message)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    assert not any(read(tag, cut) for tag in range(24))


@given(any_message | small_feeds, st.data())
def test_a_damaged_message_is_malformed_or_reads_as_msgspec_reads_it(
    message: msgspec.Struct, data: st.DataObject
):
    encoded = bytearray(wire.encoder.encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    tag = type(message).__struct_config__.tag
    if read(tag, bytes(encoded)):
        decoded = msgspec.msgpack.decode(encoded, type=type(message))
        if isinstance(decoded, wire.Feed):
            assert RECORD[0] == decoded.instrument
        else:
            dtype = DTYPES[type(message)][1]
            record = RECORD[: len(dtype.names or ())].view(dtype)[0].item()
            for ours, theirs in zip(record, msgspec.structs.astuple(decoded), strict=True):
                assert ours == theirs or ours != ours


@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_a_reader_leave_the_message(data: bytes):
    for tag in range(24):
        read(tag, data)
    assert -1 <= read_tag(ARENA.place(data), ARENA.end) < 2**63


@given(any_message, st.binary(min_size=1, max_size=3))
def test_bytes_after_a_message_make_it_malformed(message: msgspec.Struct, more: bytes):
    assert not read(DTYPES[type(message)][0], wire.encoder.encode(message) + more)
