"""The compiled loops of the channel's benchmark, and the process on the other side of it."""

# pyright: basic

import sys

import numpy as np

from hftd.channel.layout import (
    LAPPED,
    LINK_DATA,
    MARKET_CAPACITY,
    MARKET_DATA,
    MAX_MESSAGE_BYTES,
    MESSAGE,
    NOTHING,
)
from hftd.channel.memory import BotPage, Link, MarketRing
from hftd.channel.messages import feed_length, read_feed, write_feed_header
from hftd.channel.ring import (
    market_claim,
    market_commit,
    market_copy,
    market_free,
    market_need,
    market_next,
    next_stamp,
)
from hftd.channel.wait import bell_ring, bell_seen, bell_wait
from hftd.clock import steady_ns
from hftd.compiled.jit import entry
from hftd.compiled.native import copy_bytes, load_acquire, load_i64, pause, store_i64, store_release
from hftd.compiled.row_access import local_ts_of, px_of
from hftd.rows import ROW_BYTES

WAIT_NS = 10_000_000_000
"""Whoever waits longer gives up, so that a dead other side does not hang a benchmark."""


@entry("int64(int64, int64, int64, int64, int64, int64)", nogil=True)
def receive(ring, page, scratch, count, spin_ns, samples):
    """As a bot: wait, copy, read the Feed; a sample is now minus the first row's local_ts, in ns."""
    cursor = 0
    taken = 0
    while taken < count:
        seen = bell_seen(page)
        status, address, length, _, after = market_copy(ring, cursor, scratch)
        if status == NOTHING:
            if bell_wait(page, seen, spin_ns, WAIT_NS) == seen:
                return taken
            continue
        cursor = after
        if status != MESSAGE:
            return -1
        ok, _, rows, _ = read_feed(address, address + length)
        if not ok:
            return -2
        store_i64(samples + 8 * taken, steady_ns() - local_ts_of(rows))
        taken += 1
    return taken


@entry("int64(int64, int64, int64, int64)", nogil=True)
def wake(page, words, count, gap_ns):
    """The bound of a wake-up: a time in a word, and the bell; no ring. `gap_ns` apart."""
    for k in range(count):
        until_ns = steady_ns() + gap_ns
        while steady_ns() < until_ns:
            pause()
        store_release(words, steady_ns())
        bell_ring(page)
        deadline_ns = steady_ns() + WAIT_NS
        while load_acquire(words + 128) != k + 1:
            if steady_ns() > deadline_ns:
                return k
    return count


@entry("int64(int64, int64, int64, int64, int64)", nogil=True)
def woken(page, words, count, spin_ns, samples):
    """The other side of `wake`."""
    last = 0
    for k in range(count):
        while True:
            seen = bell_seen(page)
            sent = load_acquire(words)
            if sent != last:
                break
            if bell_wait(page, seen, spin_ns, WAIT_NS) == seen:
                return k
        store_i64(samples + 8 * k, steady_ns() - sent)
        last = sent
        store_release(words + 128, k + 1)
    return count


@entry("int64(int64, int64, int64, int64, int64, int64)", nogil=True)
def pump(ring, clock, cursor, batch, messages, source):
    """As a replay: publish Feeds of `batch` rows into a lossless ring."""
    length = feed_length(0, batch)
    deadline_ns = steady_ns() + 6 * WAIT_NS
    slowest = load_acquire(cursor)
    for _ in range(messages):
        need = market_need(ring, length)
        # The consumer's word is looked at only when what is known of it does not do.
        while market_free(ring, slowest) < need:
            slowest = load_acquire(cursor)
            pause()
            if steady_ns() > deadline_ns:
                return 0
        address = market_claim(ring, length)
        copy_bytes(write_feed_header(address, 0, batch), source, batch * ROW_BYTES)
        market_commit(ring, next_stamp(clock))
    while load_acquire(cursor) != load_i64(ring + 256):
        pause()
        if steady_ns() > deadline_ns:
            return 0
    return messages


@entry("float64(int64, int64, int64)", nogil=True)
def drain(ring, cursor_address, messages):
    """The other side of `pump`: read each Feed where it is, and look at each row's price."""
    cursor = load_acquire(cursor_address)
    total = 0.0
    taken = idle = 0
    while taken < messages:
        status, address, length, _, after = market_next(ring, cursor)
        if status == NOTHING:
            pause()
            idle += 1
            if idle > 2_000_000_000:
                break
            continue
        if status == LAPPED:
            break
        _, _, rows, count = read_feed(address, address + length)
        for k in range(count):
            total += px_of(rows + k * ROW_BYTES)
        cursor = after
        store_release(cursor_address, cursor)
        taken += 1
    return total


@entry("int64(int64, int64, int64, int64)", nogil=True)
def copy_only(ring, batch, messages, source):
    """The bound of `pump`: copy the same rows into the same memory, one thread, nobody told."""
    capacity = load_i64(ring + MARKET_CAPACITY)
    size = batch * ROW_BYTES
    position = 0
    for _ in range(messages):
        if position + size > capacity:
            position = 0
        copy_bytes(ring + MARKET_DATA + position, source, size)
        position += size + 24
    return position


@entry("int64(int64, int64, int64)")
def copy_once(target, source, size):
    """The bound of a publish from CPython: the same call, and the copy alone."""
    copy_bytes(target, source, size)
    return 0


def _bot(role: str, fds: list[int], count: int, parameter: int) -> None:
    """Run one role; say when it is ready, and write the samples to the last fd."""
    samples = np.zeros(count if role != "drain" else 1, np.int64)
    scratch = np.zeros(MAX_MESSAGE_BYTES // 8 + 1, np.int64)
    {"receive": receive, "woken": woken, "drain": drain}[role].compiled()
    pieces = [MarketRing.open(fds[0]), BotPage.open(fds[1]), Link.open(fds[2])]
    ring, page, link = (piece.address for piece in pieces)
    print("ready", flush=True)
    if role == "receive":
        taken = receive(ring, page, scratch.ctypes.data, count, parameter, samples.ctypes.data)
    elif role == "woken":
        taken = woken(page, link + LINK_DATA, count, parameter, samples.ctypes.data)
    else:
        drain(ring, link + LINK_DATA, count)
        taken = 0
    sys.stdout.write(",".join(map(str, samples[: max(taken, 0)].tolist())) + "\n")


if __name__ == "__main__":
    _bot(sys.argv[1], list(map(int, sys.argv[2].split(","))), int(sys.argv[3]), int(sys.argv[4]))
