"""Compiled programs for the tests: the inline functions of hftd.channel made callable, and whole loops."""

# ruff: noqa: SIM110 (compiled loops)
# pyright: basic

import ctypes
import mmap

import numpy as np

from hftd.channel import messages
from hftd.channel.layout import BROKEN, LAPPED, LINE, MARKET_DATA, MAX_MESSAGE_BYTES, MESSAGE, NOTHING
from hftd.channel.queue import queue_claim, queue_commit, queue_peek, queue_release
from hftd.channel.ring import (
    market_claim,
    market_commit,
    market_copy,
    market_free,
    market_need,
    market_next,
    market_tail,
    next_stamp,
)
from hftd.channel.wait import (
    bell_ring,
    bell_seen,
    bell_wait,
    doorbell_arm,
    doorbell_ring,
    doorbell_wait,
    wait_ask,
    wait_asked,
    wait_grant,
    wait_granted,
)
from hftd.clock import steady_ns
from hftd.compiled import msgpack
from hftd.compiled.jit import entry, inline
from hftd.compiled.native import (
    load_acquire,
    load_i64,
    load_u8,
    pause,
    store_f64,
    store_i64,
    store_release,
    store_u8,
)


class Arena:
    """Memory whose last byte is followed by a page that nobody may touch: reading on kills the process."""

    def __init__(self, size: int = MAX_MESSAGE_BYTES + 8192) -> None:
        page = mmap.PAGESIZE
        self.size = -(-size // page) * page
        self._map = mmap.mmap(-1, self.size + page)
        self._array = np.frombuffer(self._map, np.uint8)
        self.start = self._array.ctypes.data
        self.end = self.start + self.size
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(self.end), ctypes.c_size_t(page), 0) == 0

    def place(self, data: bytes) -> int:
        """The address of the bytes, which end where the arena ends."""
        self._map[self.size - len(data) : self.size] = data
        return self.end - len(data)

    def read(self, address: int, length: int) -> bytes:
        offset = address - self.start
        return self._map[offset : offset + length]


INT, UINT, FLOAT, BOOL, NIL, BIN, ARRAY = range(7)


@entry("int64(int64, int64, int64, int64)")
def read_value(kind, address, end, out):
    """The address after; the value's bits at `out`, a bin's length at `out + 8`."""
    if kind == INT:
        value, after = msgpack.read_int(address, end)
        store_i64(out, value)
    elif kind == UINT:
        value, after = msgpack.read_uint(address, end)
        store_i64(out, value)
    elif kind == FLOAT:
        number, after = msgpack.read_float(address, end)
        store_f64(out, number)
    elif kind == BOOL:
        value, after = msgpack.read_bool(address, end)
        store_i64(out, value)
    elif kind == NIL:
        after = msgpack.read_nil(address, end)
    elif kind == BIN:
        value, length, after = msgpack.read_bin(address, end)
        store_i64(out, value)
        store_i64(out + 8, length)
    else:
        value, after = msgpack.read_array(address, end)
        store_i64(out, value)
    return after


@entry("int64(int64, int64, int64, int64)")
def write_value(kind, address, bits, length):
    """The address after; `bits` is the value, its bits, or the address of a bin's bytes."""
    if kind == INT:
        assert_size = msgpack.int_size(bits)
        after = msgpack.write_int(address, bits)
        return after if after - address == assert_size else -1
    if kind == UINT:
        return msgpack.write_uint(address, bits)
    if kind == FLOAT:
        return msgpack.write_float(address, msgpack.float_of_bits(bits))
    if kind == BOOL:
        return msgpack.write_bool(address, bits)
    if kind == NIL:
        return msgpack.write_nil(address)
    if kind == BIN:
        return msgpack.write_bin(address, bits, length)
    return msgpack.write_array(address, bits)


@entry("int64(int64, int64, int64, int64)")
def read_message(tag, address, end, record):
    """1 if the bytes are the message with this tag; a Feed's instrument, rows and count go to the record."""
    ok = False
    if tag == messages.FEED:
        ok, instrument, rows, count = messages.read_feed(address, end)
        store_i64(record, instrument)
        store_i64(record + 8, rows)
        store_i64(record + 16, count)
    elif tag == messages.STATUS:
        ok = messages.read_status(address, end, record)
    elif tag == messages.ORDER_UPDATE:
        ok = messages.read_order_update(address, end, record)
    elif tag == messages.STATE:
        ok = messages.read_state(address, end, record)
    elif tag == messages.SPLICE:
        ok = messages.read_splice(address, end, record)
    elif tag == messages.SUBMIT:
        ok = messages.read_submit(address, end, record)
    elif tag == messages.MODIFY:
        ok = messages.read_modify(address, end, record)
    elif tag == messages.CANCEL:
        ok = messages.read_cancel(address, end, record)
    elif tag == messages.INQUIRE:
        ok = messages.read_inquire(address, end, record)
    elif tag == messages.RESYNC:
        ok = messages.read_resync(address, end)
    return 1 if ok else 0


@entry("int64(int64, int64)")
def read_tag(address, end):
    return messages.read_tag(address, end)


@entry("int64(int64, int64, int64)")
def write_message(tag, address, record):
    """The message's length; of a Feed, that of what stands before the rows."""
    if tag == messages.FEED:
        return messages.write_feed_header(address, load_i64(record), load_i64(record + 8)) - address
    if tag == messages.STATUS:
        return messages.write_status(address, record)
    if tag == messages.ORDER_UPDATE:
        return messages.write_order_update(address, record)
    if tag == messages.STATE:
        return messages.write_state(address, record)
    if tag == messages.SPLICE:
        return messages.write_splice(address, record)
    if tag == messages.SUBMIT:
        return messages.write_submit(address, record)
    if tag == messages.MODIFY:
        return messages.write_modify(address, record)
    if tag == messages.CANCEL:
        return messages.write_cancel(address, record)
    if tag == messages.INQUIRE:
        return messages.write_inquire(address, record)
    return messages.write_resync(address)


# One step of a ring or a queue. Messages are patterns of a seed, so that every byte is known.


@inline
def _fill(address, length, seed):
    for k in range(length):
        store_u8(address + k, (seed * 31 + k * 7) & 0xFF)


@inline
def _is_filled(address, length, seed):
    for k in range(length):
        if load_u8(address + k) != (seed * 31 + k * 7) & 0xFF:
            return False
    return True


@entry("int64(int64, int64, int64, int64)")
def ring_publish(ring, length, seed, commit):
    address = market_claim(ring, length)
    if address == 0:
        return 0
    _fill(address, length, seed)
    if commit:
        market_commit(ring, seed)
    return address


@entry("int64(int64, int64, int64, int64, int64)")
def ring_consume(ring, cursor, scratch, in_place, out):
    """The status; at out: next cursor, length, stamp, whether the bytes are the stamp's, address modulo 8."""
    if in_place:
        status, address, length, stamp, after = market_next(ring, cursor)
    else:
        status, address, length, stamp, after = market_copy(ring, cursor, scratch)
    store_i64(out, after)
    store_i64(out + 8, length)
    store_i64(out + 16, stamp)
    if status == MESSAGE:
        store_i64(out + 24, 1 if _is_filled(address, length, stamp) else 0)
        store_i64(out + 32, (address + length) & 7)
    return status


@entry("int64(int64, int64, int64)")
def ring_room(ring, what, argument):
    if what == 0:
        return market_free(ring, argument)
    if what == 1:
        return market_need(ring, argument)
    return market_tail(ring)


@entry("int64(int64, int64, int64)")
def queue_put(queue, length, seed):
    address = queue_claim(queue, length)
    if address > 0:
        _fill(address, length, seed)
        queue_commit(queue, seed)
    return address


@entry("int64(int64, int64, int64)")
def queue_take(queue, release, out):
    """The status; at out: length, stamp, whether the bytes are the stamp's."""
    status, address, length, stamp = queue_peek(queue)
    store_i64(out, length)
    store_i64(out + 8, stamp)
    if status == MESSAGE:
        store_i64(out + 16, 1 if _is_filled(address, length, stamp) else 0)
        if release:
            queue_release(queue)
    return status


# Loops of whole processes. Each record is words of its number, so a torn one shows.


@inline
def _record_length(number):
    return 8 * (1 + (number * 7) % 23)


@inline
def _write_record(address, length, number):
    for k in range(length >> 3):
        store_i64(address + 8 * k, number * 1_000_003 + k)


@inline
def _is_record(address, length, number):
    if length != _record_length(number):
        return False
    for k in range(length >> 3):
        if load_i64(address + 8 * k) != number * 1_000_003 + k:
            return False
    return True


@inline
def _step_aside(turns):
    """Wait a little for the other side; now and then sleep, for it may need this very core."""
    if turns & 0xFF:
        pause()
    else:
        doorbell_wait(-1, 0, 50_000)


CURSORS = LINE
"""Bytes between two consumers' cursors in the page of a lossless run."""


@entry("int64(int64, int64, int64, int64, int64, int64)", nogil=True)
def produce(ring, clock, records, bots, bot_count, cursors):
    """Publish numbered records; with `cursors`, wait for all consumers' cursors there."""
    waits = 0
    for _ in range(records):
        number = load_i64(clock + 384) + 1
        length = _record_length(number)
        if cursors != 0:
            deadline_ns = steady_ns() + 60_000_000_000
            while True:
                slowest = load_acquire(cursors)
                for k in range(1, bot_count):
                    slowest = min(slowest, load_acquire(cursors + k * CURSORS))
                if market_free(ring, slowest) >= market_need(ring, length):
                    break
                waits += 1
                _step_aside(waits)
                if waits & 0xFFF == 0 and steady_ns() > deadline_ns:
                    return -waits
        address = market_claim(ring, length)
        _write_record(address, length, number)
        market_commit(ring, next_stamp(clock))
        for k in range(bot_count):
            bell_ring(load_i64(bots + 8 * k))
    return waits


@entry("int64(int64, int64, int64, int64, int64, int64, int64)", nogil=True)
def consume(ring, bot_page, cursor_address, scratch, last, slow, out):
    """Read until record `last`, from the first; at out: records, laps, torn, gaps without a lap.

    With a cursor address (lossless) in place, else by copies. `slow` spins that much at each record.
    """
    cursor = load_acquire(cursor_address) if cursor_address != 0 else 0
    expected = 1
    records = laps = torn = gaps = 0
    idle_ns = 0
    status = NOTHING
    while True:
        seen = bell_seen(bot_page)
        if cursor_address != 0:
            status, address, length, stamp, after = market_next(ring, cursor)
        else:
            status, address, length, stamp, after = market_copy(ring, cursor, scratch)
        if status == NOTHING:
            start_ns = steady_ns()
            bell_wait(bot_page, seen, 20_000, 100_000_000)
            idle_ns += steady_ns() - start_ns
            if idle_ns > 20_000_000_000:
                break
            continue
        idle_ns = 0
        cursor = after
        if status == LAPPED:
            laps += 1
            expected = 0
            if load_acquire(ring + 384) >= last and market_tail(ring) == cursor:
                break
            continue
        if status == BROKEN:
            break
        if expected != 0 and stamp != expected:
            gaps += 1
        expected = stamp + 1
        if not _is_record(address, length, stamp):
            torn += 1
        records += 1
        if cursor_address != 0:
            store_release(cursor_address, cursor)
        for _ in range(slow):
            pause()
        if stamp >= last:
            break
    store_i64(out, records)
    store_i64(out + 8, laps)
    store_i64(out + 16, torn)
    store_i64(out + 24, gaps)
    return status


@entry("int64(int64, int64)", nogil=True)
def put_records(queue, records):
    """Write numbered records, waiting where the queue is full; returns how often it was."""
    full = 0
    for number in range(1, records + 1):
        length = _record_length(number)
        while True:
            address = queue_claim(queue, length)
            if address > 0:
                break
            if address < 0:
                return -1
            full += 1
            _step_aside(full)
            if full > 50_000_000:
                return -2
        _write_record(address, length, number)
        queue_commit(queue, number)
    return full


@entry("int64(int64, int64)", nogil=True)
def take_records(queue, records):
    """Read numbered records; returns how many were right until the first that was not."""
    idle = 0
    number = 1
    while number <= records:
        status, address, length, stamp = queue_peek(queue)
        if status == NOTHING:
            idle += 1
            _step_aside(idle)
            if idle > 50_000_000:
                break
            continue
        idle = 0
        if status != MESSAGE or stamp != number or not _is_record(address, length, number):
            break
        queue_release(queue)
        number += 1
    return number - 1


@entry("int64(int64, int64, int64, int64)", nogil=True)
def wait_bell(bot_page, seen, spin_ns, timeout_ns):
    if seen < 0:
        return bell_seen(bot_page)
    return bell_wait(bot_page, seen, spin_ns, timeout_ns)


@entry("int64(int64, int64, int64, int64)", nogil=True)
def doorbell(what, fd, asleep, timeout_ns):
    if what == 0:
        doorbell_arm(asleep)
        return 0
    if what == 1:
        doorbell_ring(fd, asleep)
        return 0
    return doorbell_wait(fd, asleep, timeout_ns)


@entry("int64(int64, int64, int64)")
def wait_words(what, bot_page, argument):
    if what == 0:
        return wait_ask(bot_page, argument, 5, 7, -1)
    if what == 1:
        return wait_asked(bot_page)
    if what == 2:
        wait_grant(bot_page, argument)
        return 0
    return wait_granted(bot_page)


@entry("int64(int64, int64, int64)")
def corrupt(ring, offset, value):
    """Write a word into a ring's data."""
    store_i64(ring + MARKET_DATA + offset, value)
    return 0
