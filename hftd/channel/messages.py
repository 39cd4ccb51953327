"""The data plane's messages in compiled code: the same values as :mod:`hftd.wire`, in flat records.

Each message but Feed is a table of 8-byte words, one a field in the order of the Struct, so one reader and
one writer serve them all: it is told which words are floats and which are unsigned. A reader fills the
record at an address and returns whether the bytes were that message, whole, with nothing after it.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from typing import Any, Final

import msgspec
import numpy as np

from hftd import wire
from hftd.channel.layout import MAX_ROWS
from hftd.compiled import msgpack
from hftd.compiled.jit import inline
from hftd.compiled.native import load_f64, load_i64, store_f64, store_i64
from hftd.rows import ROW_BYTES, Address


def _tag(kind: type[msgspec.Struct]) -> int:
    tag = kind.__struct_config__.tag
    assert isinstance(tag, int)
    return tag


# The first element of each message, and the record of its fields.
FEED: Final = _tag(wire.Feed)
STATUS: Final = _tag(wire.Status)
ORDER_UPDATE: Final = _tag(wire.OrderUpdate)
STATE: Final = _tag(wire.State)
SPLICE: Final = _tag(wire.Splice)
NOTICE: Final = _tag(wire.Notice)
SUBMIT: Final = _tag(wire.Submit)
MODIFY: Final = _tag(wire.Modify)
CANCEL: Final = _tag(wire.Cancel)
RESYNC: Final = _tag(wire.Resync)
INQUIRE: Final = _tag(wire.Inquire)

status_dtype = np.dtype(wire.columns(wire.Status))
order_update_dtype = np.dtype(wire.columns(wire.OrderUpdate))
state_dtype = np.dtype(wire.columns(wire.State))
splice_dtype = np.dtype(wire.columns(wire.Splice))
submit_dtype = np.dtype(wire.columns(wire.Submit))
modify_dtype = np.dtype(wire.columns(wire.Modify))
cancel_dtype = np.dtype(wire.columns(wire.Cancel))
inquire_dtype = np.dtype(wire.columns(wire.Inquire))

FIELDS_MESSAGE_BYTES: Final = 3 + 1 + 9 * len(order_update_dtype)
"""No message but Feed is longer: claim that much of scratch before writing one."""


@inline
def read_fields(
    address: Address, end: Address, record: Address, tag: int, count: int, floats: int, unsigned: int
):
    """Read a message of `count` fields into the words at `record`; False if it is not that message, whole.

    Bit k of `floats` and of `unsigned` says that field k is a float64, or a uint64 kept in an int64's bits.
    """
    elements, at = msgpack.read_array(address, end)
    if at == 0 or elements != count + 1:
        return False
    found, at = msgpack.read_int(at, end)
    if at == 0 or found != tag:
        return False
    for k in range(count):
        word = record + 8 * k
        if (floats >> k) & 1:
            number, at = msgpack.read_float(at, end)
            if at == 0:
                return False
            store_f64(word, number)
        else:
            if (unsigned >> k) & 1:
                value, at = msgpack.read_uint(at, end)
            else:
                value, at = msgpack.read_int(at, end)
            if at == 0:
                return False
            store_i64(word, value)
    return at == end


@inline
def write_fields(address: Address, record: Address, tag: int, count: int, floats: int, unsigned: int):
    """Write the message whose fields are the words at `record`; returns its length in bytes."""
    at = msgpack.write_int(msgpack.write_array(address, count + 1), tag)
    for k in range(count):
        word = record + 8 * k
        if (floats >> k) & 1:
            at = msgpack.write_float(at, load_f64(word))
        elif (unsigned >> k) & 1:
            at = msgpack.write_uint(at, load_i64(word))
        else:
            at = msgpack.write_int(at, load_i64(word))
    return at - address


def _mask(dtype: np.dtype[Any], kind: str) -> int:
    assert dtype.names is not None
    return sum(1 << k for k, name in enumerate(dtype.names) if dtype[name].kind == kind)


def _reader(name: str, dtype: np.dtype[Any], tag: int) -> Any:
    count, floats, unsigned = len(dtype), _mask(dtype, "f"), _mask(dtype, "u")

    def read(address: Address, end: Address, record: Address):
        return read_fields(address, end, record, tag, count, floats, unsigned)

    read.__name__ = name
    return inline(read)


def message_writer(name: str, dtype: np.dtype[Any], tag: int) -> Any:
    """A function `write(address, record) -> length` for the message with that number and these fields."""
    count, floats, unsigned = len(dtype), _mask(dtype, "f"), _mask(dtype, "u")

    def write(address: Address, record: Address):
        return write_fields(address, record, tag, count, floats, unsigned)

    write.__name__ = name
    return inline(write)


# read_X(address, end, record) -> bool fills the record of X_dtype; write_X(address, record) -> length.
read_status = _reader("read_status", status_dtype, STATUS)
write_status = message_writer("write_status", status_dtype, STATUS)
read_order_update = _reader("read_order_update", order_update_dtype, ORDER_UPDATE)
write_order_update = message_writer("write_order_update", order_update_dtype, ORDER_UPDATE)
read_state = _reader("read_state", state_dtype, STATE)
write_state = message_writer("write_state", state_dtype, STATE)
read_splice = _reader("read_splice", splice_dtype, SPLICE)
write_splice = message_writer("write_splice", splice_dtype, SPLICE)
read_submit = _reader("read_submit", submit_dtype, SUBMIT)
write_submit = message_writer("write_submit", submit_dtype, SUBMIT)
read_modify = _reader("read_modify", modify_dtype, MODIFY)
write_modify = message_writer("write_modify", modify_dtype, MODIFY)
read_cancel = _reader("read_cancel", cancel_dtype, CANCEL)
write_cancel = message_writer("write_cancel", cancel_dtype, CANCEL)
read_inquire = _reader("read_inquire", inquire_dtype, INQUIRE)
write_inquire = message_writer("write_inquire", inquire_dtype, INQUIRE)


@inline
def read_tag(address: Address, end: Address):
    """The number of the message that begins at an address, or -1 if there is none."""
    elements, at = msgpack.read_array(address, end)
    if at == 0 or elements == 0:
        return -1
    tag, at = msgpack.read_int(at, end)
    if at == 0 or tag < 0:
        return -1
    return tag


_NOTICE_ELEMENTS = 1 + len(wire.Notice.__struct_fields__)


@inline
def read_notice(address: Address, end: Address):
    """Whether this is a Notice, and its instrument; its words are for Python."""
    elements, at = msgpack.read_array(address, end)
    if at == 0 or elements != _NOTICE_ELEMENTS:
        return False, 0
    tag, at = msgpack.read_int(at, end)
    if at == 0 or tag != NOTICE:
        return False, 0
    instrument, at = msgpack.read_int(at, end)
    return at != 0, instrument


@inline
def read_feed(address: Address, end: Address):
    """(ok, instrument, address of the rows, number of rows) of a Feed; the rows stay where they are."""
    elements, at = msgpack.read_array(address, end)
    if at == 0 or elements != 3:
        return False, 0, 0, 0
    tag, at = msgpack.read_int(at, end)
    if at == 0 or tag != FEED:
        return False, 0, 0, 0
    instrument, at = msgpack.read_int(at, end)
    if at == 0:
        return False, 0, 0, 0
    rows, length, at = msgpack.read_bin(at, end)
    if at != end or length % ROW_BYTES != 0 or length > MAX_ROWS * ROW_BYTES:
        return False, 0, 0, 0
    return True, instrument, rows, length // ROW_BYTES


@inline
def feed_length(instrument: int, rows: int):
    """The bytes of a Feed with so many rows."""
    size = rows * ROW_BYTES
    return 2 + msgpack.int_size(instrument) + msgpack.bin_header_size(size) + size


@inline
def write_feed_header(address: Address, instrument: int, rows: int):
    """Write a Feed but for its rows; returns the address where the caller puts them."""
    at = msgpack.write_int(msgpack.write_array(address, 3), FEED)
    at = msgpack.write_int(at, instrument)
    return msgpack.write_bin_header(at, rows * ROW_BYTES)


@inline
def read_resync(address: Address, end: Address):
    """Whether this is a Resync."""
    return (
        end - address == 2 and read_tag(address, end) == RESYNC and msgpack.read_array(address, end)[0] == 1
    )


@inline
def write_resync(address: Address):
    """Write a Resync; returns its length."""
    return msgpack.write_int(msgpack.write_array(address, 1), RESYNC) - address
