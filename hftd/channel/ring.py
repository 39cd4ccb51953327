"""The broadcast ring of market data: one producer, any number of consumers, none of which the producer sees.

After Agrona's broadcast buffer: the producer announces how far it will write (`tail_intent`) before it
writes a frame, and how far it wrote (`tail`) after it. What a consumer copied is whole if, after the copy,
the intent has not passed its position by more than the capacity; otherwise the producer lapped it, and it
must resync.

In a lossless ring (replay) the producer also waits until the slowest consumer's cursor leaves room, so
consumers may read frames where they are. `ring` is everywhere the address of the mapped piece
(:mod:`hftd.channel.layout`).
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from hftd.channel.layout import (
    BROKEN,
    CLOCK_STAMP,
    FRAME_HEADER,
    FRAME_KIND,
    FRAME_LENGTH,
    FRAME_STAMP,
    KIND_FILLER,
    KIND_MESSAGE,
    LAPPED,
    MARKET_CAPACITY,
    MARKET_CLAIMED,
    MARKET_CLAIMED_END,
    MARKET_DATA,
    MARKET_LOSSLESS,
    MARKET_RECORDS,
    MARKET_ROWS,
    MARKET_TAIL,
    MARKET_TAIL_INTENT,
    MAX_MESSAGE_BYTES,
    MESSAGE,
    NOTHING,
)
from hftd.compiled.jit import inline
from hftd.compiled.native import (
    copy_bytes,
    fence_acquire,
    fence_release,
    load_acquire,
    load_i64,
    load_u32,
    store_i64,
    store_release,
    store_u32,
)
from hftd.rows import Address, Ns


@inline
def frame_size(length: int):
    """The bytes of a frame with a message of that length."""
    return FRAME_HEADER + ((length + 7) & -8)


@inline
def message_limit(capacity: int):
    """The longest message that a ring takes: what fits wherever the tail is, once the ring is empty."""
    return min(MAX_MESSAGE_BYTES, (capacity >> 1) - FRAME_HEADER)


@inline
def write_filler(frame: Address, to_end: int):
    """Close the end of a buffer, which may have room for half a header only."""
    store_u32(frame + FRAME_LENGTH, to_end)
    store_u32(frame + FRAME_KIND, KIND_FILLER)


@inline
def write_header(frame: Address, length: int):
    """Begin a frame; returns the address of the message's first byte."""
    store_u32(frame + FRAME_LENGTH, length)
    store_u32(frame + FRAME_KIND, KIND_MESSAGE)
    size = frame_size(length)
    if length & 7:
        store_i64(frame + FRAME_HEADER, 0)  # The padding is zero, not what was here before.
    return frame + size - length


@inline
def market_need(ring: Address, length: int):
    """How many bytes of the ring a message takes now, a filler at the buffer's end included."""
    capacity = load_i64(ring + MARKET_CAPACITY)
    to_end = capacity - (load_i64(ring + MARKET_TAIL) & (capacity - 1))
    size = frame_size(length)
    if size > to_end:
        return to_end + size
    return size


@inline
def market_free(ring: Address, slowest_cursor: int):
    """Bytes that can be written without passing the slowest consumer; -1 if its cursor can't be."""
    capacity = load_i64(ring + MARKET_CAPACITY)
    unread = load_i64(ring + MARKET_TAIL) - slowest_cursor
    if unread < 0 or unread > capacity:
        return -1
    return capacity - unread


@inline
def market_claim(ring: Address, length: int):
    """The address for a message of `length` bytes, or 0 if that is longer than the ring takes.

    Nobody sees the message before `market_commit`. A claim that is not committed is taken back by the next
    one.
    """
    capacity = load_i64(ring + MARKET_CAPACITY)
    if length < 0 or length > message_limit(capacity):
        return 0
    tail = load_i64(ring + MARKET_TAIL)
    offset = tail & (capacity - 1)
    size = frame_size(length)
    position = tail
    if size > capacity - offset:
        position = tail + capacity - offset
    end = position + size
    store_i64(ring + MARKET_CLAIMED, position)
    store_i64(ring + MARKET_CLAIMED_END, end)
    # The intent never goes back: what a claim that was taken back wrote over is lost to slow consumers too.
    if end > load_i64(ring + MARKET_TAIL_INTENT):
        store_release(ring + MARKET_TAIL_INTENT, end)
    fence_release()
    if position != tail:
        write_filler(ring + MARKET_DATA + offset, capacity - offset)
    return write_header(ring + MARKET_DATA + (position & (capacity - 1)), length)


@inline
def market_commit(ring: Address, stamp: Ns):
    """Publish the claimed message; without a claim it does nothing."""
    end = load_i64(ring + MARKET_CLAIMED_END)
    tail = load_i64(ring + MARKET_TAIL)
    if end <= tail:
        return
    capacity = load_i64(ring + MARKET_CAPACITY)
    position = load_i64(ring + MARKET_CLAIMED)
    store_i64(ring + MARKET_DATA + (position & (capacity - 1)) + FRAME_STAMP, stamp)
    store_i64(ring + MARKET_RECORDS, load_i64(ring + MARKET_RECORDS) + 1)
    store_release(ring + MARKET_TAIL, end)


@inline
def market_count_rows(ring: Address, rows: int):
    """Add to the ring's counter of rows."""
    store_i64(ring + MARKET_ROWS, load_i64(ring + MARKET_ROWS) + rows)


@inline
def market_tail(ring: Address):
    """The position after the last message: where a consumer begins that wants what comes next."""
    return load_acquire(ring + MARKET_TAIL)


@inline
def _is_lapped(ring: Address, cursor: int, capacity: int):
    fence_acquire()
    return load_i64(ring + MARKET_TAIL_INTENT) - cursor > capacity


@inline
def market_next(ring: Address, cursor: int):
    """Find the message at a cursor, and leave it where it is: for lossless rings, and to peek at others.

    Returns:
        (status, address of the message, its length, its stamp, next cursor). The status is NOTHING, MESSAGE,
        LAPPED (then the next cursor is the tail) or BROKEN. In a lossy ring the bytes may be overwritten at
        any moment: use `market_copy`.
    """
    capacity = load_i64(ring + MARKET_CAPACITY)
    is_lossy = load_i64(ring + MARKET_LOSSLESS) == 0
    tail = load_acquire(ring + MARKET_TAIL)
    for _ in range(2):  # A filler, if there is one, and the message after it.
        unread = tail - cursor
        if unread == 0:
            return NOTHING, 0, 0, 0, cursor
        if unread > capacity or (is_lossy and _is_lapped(ring, cursor, capacity)):
            return LAPPED, 0, 0, 0, tail
        if unread < 0 or cursor & 7:
            return BROKEN, 0, 0, 0, cursor
        offset = cursor & (capacity - 1)
        to_end = capacity - offset
        frame = ring + MARKET_DATA + offset
        length = load_u32(frame + FRAME_LENGTH)
        kind = load_u32(frame + FRAME_KIND)
        stamp = load_i64(frame + FRAME_STAMP) if to_end >= FRAME_HEADER else 0
        if is_lossy and _is_lapped(ring, cursor, capacity):
            return LAPPED, 0, 0, 0, tail
        if kind == KIND_FILLER:
            if unread < to_end:
                return BROKEN, 0, 0, 0, cursor
            cursor += to_end
            continue
        size = frame_size(length)
        if kind != KIND_MESSAGE or size > to_end or size > unread or length > message_limit(capacity):
            return BROKEN, 0, 0, 0, cursor
        return MESSAGE, frame + size - length, length, stamp, cursor + size
    return BROKEN, 0, 0, 0, cursor


@inline
def market_copy(ring: Address, cursor: int, scratch: Address):
    """As `market_next`, with the message copied to `scratch`, whole or not at all.

    Args:
        ring: Address of the ring.
        cursor: The consumer's position.
        scratch: Address, divisible by 8, of `MAX_MESSAGE_BYTES`.

    Returns:
        As `market_next`; the address lies in the scratch buffer, and the message ends on an 8-byte boundary
        there too.
    """
    status, address, length, stamp, after = market_next(ring, cursor)
    if status == BROKEN and _is_lapped(ring, cursor, load_i64(ring + MARKET_CAPACITY)):
        # A tap of a lossless ring, for which nobody waits: the header was overwritten while it was read.
        return LAPPED, 0, 0, 0, load_acquire(ring + MARKET_TAIL)
    if status != MESSAGE:
        return status, address, length, stamp, after
    padding = -length & 7
    copy_bytes(scratch, address - padding, length + padding)
    # A filler before the frame only makes this stricter.
    if _is_lapped(ring, cursor, load_i64(ring + MARKET_CAPACITY)):
        return LAPPED, 0, 0, 0, load_acquire(ring + MARKET_TAIL)
    return MESSAGE, scratch + padding, length, stamp, after


@inline
def next_stamp(clock: Address):
    """The daemon's next stamp: one count over all its rings, kept in its clock page; for one thread."""
    stamp = load_i64(clock + CLOCK_STAMP) + 1
    store_i64(clock + CLOCK_STAMP, stamp)
    return stamp
