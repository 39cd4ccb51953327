"""The publisher of market data that connectors use from Python: one compiled call for each batch of rows.

The Feed's msgpack is written by compiled code, not by msgspec: the rows have to be copied into the ring
anyway, and so they are copied once. The bytes are those that msgspec gives, which a test holds.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from typing import Any, Final

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from hftd import wire
from hftd.channel.layout import MARKET_CAPACITY, MARKET_RECORDS, MARKET_ROWS, MAX_BOTS, MAX_ROWS
from hftd.channel.memory import BotPage, ClockPage, MarketRing
from hftd.channel.messages import feed_length, write_feed_header
from hftd.channel.ring import market_claim, market_commit, market_count_rows, message_limit, next_stamp
from hftd.channel.wait import bell_ring
from hftd.compiled.jit import entry, inline
from hftd.compiled.native import copy_bytes, load_i64
from hftd.compiled.text import BYTES, address_of
from hftd.errors import ProtocolError, UsageError
from hftd.rows import ROW_BYTES, Address
from hftd.types import event_dtype

# The publisher's state: ring, clock, number of bots, addresses of their pages.
_RING: Final = 0
_CLOCK: Final = 8
_BELLS: Final = 16
_PAGES: Final = 24
_FEED_HEADER_MAX: Final = 16


@inline
def _ring_bells(state: Address):
    for k in range(load_i64(state + _BELLS)):
        bell_ring(load_i64(state + _PAGES + 8 * k))


@inline
def _copy_rows(target: Address, source: Address, stride: int, count: int):
    if stride == ROW_BYTES:
        copy_bytes(target, source, count * ROW_BYTES)
    else:
        for k in range(count):
            copy_bytes(target + k * ROW_BYTES, source + k * stride, ROW_BYTES)


@inline
def publish_rows(state: Address, instrument: int, source: Address, stride: int, count: int):
    """Publish rows that lie `stride` bytes apart, and wake the bots; `state` is a `MarketPublisher.address`."""
    ring = load_i64(state + _RING)
    clock = load_i64(state + _CLOCK)
    left = count
    most = min(MAX_ROWS, (message_limit(load_i64(ring + MARKET_CAPACITY)) - _FEED_HEADER_MAX) // ROW_BYTES)
    while left > 0:
        part = min(left, most)
        address = market_claim(ring, feed_length(instrument, part))
        _copy_rows(write_feed_header(address, instrument, part), source, stride, part)
        market_count_rows(ring, part)
        market_commit(ring, next_stamp(clock))
        source += part * stride
        left -= part
    _ring_bells(state)


@entry((types.int64, types.int64, types.Array(from_dtype(event_dtype), 1, "A", readonly=True)))
def _publish_rows(state: Address, instrument: int, rows):
    publish_rows(state, instrument, address_of(rows), rows.strides[0], len(rows))
    return 0


@entry((types.int64, BYTES))
def _publish_message(state: Address, message: bytes):
    ring = load_i64(state + _RING)
    address = market_claim(ring, len(message))
    if address == 0:
        return 0
    copy_bytes(address, address_of(message), len(message))
    market_commit(ring, next_stamp(load_i64(state + _CLOCK)))
    _ring_bells(state)
    return 1


class MarketPublisher:
    """Publishes rows of events to all bots of a channel, and wakes them. It never waits.

    Args:
        ring: The channel's ring, a lossy one; it must stay open while the publisher is used.
        clock: The daemon's clock page, which counts the stamps.
    """

    def __init__(self, ring: MarketRing, clock: ClockPage) -> None:
        if ring.is_lossless:
            raise UsageError(
                "a market publisher never waits, so it can't write a lossless ring",
                hint="make the ring with lossless=False",
            )
        if ring.capacity < 4 * (ROW_BYTES + _FEED_HEADER_MAX):
            raise UsageError(f"a ring of {ring.capacity} bytes is too small for a row of events")
        self._ring = ring
        self._pages: list[BotPage] = []
        self._state = np.zeros(3 + MAX_BOTS, np.int64)
        self._state[:2] = ring.address, clock.address
        self.address = int(self._state.ctypes.data)
        """For compiled code that publishes (`publish_rows`)."""
        self._publish_rows = _publish_rows.direct
        self._publish_message = _publish_message.direct

    def publish(self, instrument: int, rows: np.ndarray[Any, Any]) -> None:
        """Publish rows of `event_dtype`, shape (n,); more than `MAX_ROWS` go in several messages.

        Raises:
            UsageError: The rows are of another dtype.
        """
        if rows.dtype != event_dtype or rows.ndim != 1:
            raise UsageError(
                f"rows to publish have the dtype {rows.dtype} and {rows.ndim} dimensions",
                hint="give a one-dimensional array of hftd.event_dtype",
            )
        self._publish_rows(self.address, instrument, rows)

    def send(self, message: wire.Response) -> None:
        """Publish any other message, such as a Status.

        Raises:
            ProtocolError: It is longer than the ring takes.
        """
        data = wire.encoder.encode(message)
        if not self._publish_message(self.address, data):
            raise ProtocolError(f"a message of {len(data)} bytes is longer than the ring takes")

    def add_bot(self, page: BotPage) -> None:
        """Wake this bot from now on.

        Raises:
            UsageError: There are `MAX_BOTS` already.
        """
        if len(self._pages) == MAX_BOTS:
            raise UsageError(f"a channel has at most {MAX_BOTS} bots")
        self._pages.append(page)
        self._write_pages()

    def remove_bot(self, page: BotPage) -> None:
        """Wake it no more; call this before its page is closed."""
        self._pages.remove(page)
        self._write_pages()

    def _write_pages(self) -> None:
        self._state[2] = len(self._pages)
        self._state[3 : 3 + len(self._pages)] = [page.address for page in self._pages]

    def statistics(self) -> dict[str, int]:
        """Messages and rows published, bots that are woken, bytes that the ring holds."""
        return {
            "records": self._ring.word(MARKET_RECORDS),
            "rows": self._ring.word(MARKET_ROWS),
            "bots": len(self._pages),
            "capacity": self._ring.capacity,
        }
