"""The queues of a link: one producer, one consumer, nothing lost; a full queue refuses.

Each side keeps a descriptor (`queue_dtype`) in memory of its own: where the queue is, how large, and how far
this side is. Of what the other side can write it believes nothing: its position must lie where it can be,
and the lengths of its frames inside what it says it wrote. Otherwise the queue is BROKEN: give the link up.
What is read in place may be changed meanwhile by a hostile writer, but never makes a reader leave the frame.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from typing import Final

import numpy as np

from hftd.channel.layout import (
    BROKEN,
    FRAME_KIND,
    FRAME_LENGTH,
    FRAME_STAMP,
    KIND_FILLER,
    KIND_MESSAGE,
    MESSAGE,
    NOTHING,
)
from hftd.channel.ring import frame_size, message_limit, write_filler, write_header
from hftd.compiled.jit import inline
from hftd.compiled.native import load_acquire, load_i64, load_u32, store_i64, store_release
from hftd.rows import Address, Ns

queue_dtype = np.dtype(
    [
        ("data", "i8"),  # Address of the buffer.
        ("capacity", "i8"),
        ("tail", "i8"),  # Address of the word that the producer writes.
        ("head", "i8"),  # Address of the word that the consumer writes.
        ("position", "i8"),  # How far this side is.
        ("other", "i8"),  # How far the other side was when last looked at.
        (
            "claimed",
            "i8",
        ),  # Where this side will be after commit or release; the position if there is nothing.
        ("records", "i8"),  # Messages committed or released.
    ]
)
"""One side's view of a queue; private to it."""

_DATA: Final = 0
_CAPACITY: Final = 8
_TAIL: Final = 16
_HEAD: Final = 24
_POSITION: Final = 32
_OTHER: Final = 40
_CLAIMED: Final = 48
_RECORDS: Final = 56


@inline
def queue_claim(queue: Address, length: int):
    """The address for a message of `length` bytes; 0 if there is no room for it, BROKEN (-1) if it broke.

    Args:
        queue: Address of the producer's descriptor.
        length: Bytes of the message.
    """
    capacity = load_i64(queue + _CAPACITY)
    if length < 0 or length > message_limit(capacity):
        return 0
    position = load_i64(queue + _POSITION)
    offset = position & (capacity - 1)
    to_end = capacity - offset
    size = frame_size(length)
    is_filled = size > to_end
    end = position + size + (to_end if is_filled else 0)
    head = load_i64(queue + _OTHER)
    if end - head > capacity:
        seen = load_acquire(load_i64(queue + _HEAD))
        if seen < head or seen > position or seen & 7:
            return BROKEN
        store_i64(queue + _OTHER, seen)
        if end - seen > capacity:
            return 0
    data = load_i64(queue + _DATA)
    store_i64(queue + _CLAIMED, end)
    frame = data + offset
    if is_filled:
        write_filler(frame, to_end)
        frame = data
    return write_header(frame, length)


@inline
def queue_commit(queue: Address, stamp: Ns):
    """Hand the claimed message over; without a claim it does nothing."""
    end = load_i64(queue + _CLAIMED)
    position = load_i64(queue + _POSITION)
    if end == position:
        return
    capacity = load_i64(queue + _CAPACITY)
    offset = position & (capacity - 1)
    # The frame begins at the buffer's start if a filler was needed, that is if it ends in the next round.
    if offset + (end - position) > capacity:
        offset = 0
    store_i64(load_i64(queue + _DATA) + offset + FRAME_STAMP, stamp)
    store_i64(queue + _POSITION, end)
    store_i64(queue + _RECORDS, load_i64(queue + _RECORDS) + 1)
    store_release(load_i64(queue + _TAIL), end)


@inline
def queue_peek(queue: Address):
    """(status, address, length, stamp) of the next message, which stays in place until `queue_release`.

    Args:
        queue: Address of the consumer's descriptor.

    Returns:
        The status is NOTHING, MESSAGE or BROKEN.
    """
    capacity = load_i64(queue + _CAPACITY)
    position = load_i64(queue + _POSITION)
    store_i64(queue + _CLAIMED, position)
    tail = load_i64(queue + _OTHER)
    if tail == position:
        seen = load_acquire(load_i64(queue + _TAIL))
        if seen < tail or seen - position > capacity or seen & 7:
            return BROKEN, 0, 0, 0
        store_i64(queue + _OTHER, seen)
        tail = seen
    at = position
    for _ in range(2):  # A filler, if there is one, and the message after it.
        unread = tail - at
        if unread == 0:
            # A filler is handed over together with the message after it.
            return (NOTHING if at == position else BROKEN), 0, 0, 0
        offset = at & (capacity - 1)
        to_end = capacity - offset
        frame = load_i64(queue + _DATA) + offset
        length = load_u32(frame + FRAME_LENGTH)
        kind = load_u32(frame + FRAME_KIND)
        if kind == KIND_FILLER:
            if unread < to_end:
                return BROKEN, 0, 0, 0
            at += to_end
            continue
        size = frame_size(length)
        if kind != KIND_MESSAGE or size > to_end or size > unread or length > message_limit(capacity):
            return BROKEN, 0, 0, 0
        store_i64(queue + _CLAIMED, at + size)
        return MESSAGE, frame + size - length, length, load_i64(frame + FRAME_STAMP)
    return BROKEN, 0, 0, 0


@inline
def queue_release(queue: Address):
    """Give the peeked message's room back; without one it does nothing."""
    end = load_i64(queue + _CLAIMED)
    if end == load_i64(queue + _POSITION):
        return
    store_i64(queue + _POSITION, end)
    store_i64(queue + _RECORDS, load_i64(queue + _RECORDS) + 1)
    store_release(load_i64(queue + _HEAD), end)
