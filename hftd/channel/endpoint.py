"""Rings, queues, bells and doorbells for Python: for connectors, tools and tests. Bots and the replay use the
compiled functions themselves.
"""


# pyright: basic, reportCallIssue=false, reportArgumentType=false

import os
import select
from typing import Any, Final, Generic, TypeVar

import msgspec
import numpy as np
from numba import types

from hftd import wire
from hftd.channel.layout import BROKEN, LAPPED, MAX_BOTS, MAX_MESSAGE_BYTES, MESSAGE, NOTHING
from hftd.channel.memory import Link, MarketRing
from hftd.channel.queue import queue_claim, queue_commit, queue_peek, queue_release
from hftd.channel.ring import market_copy, market_tail
from hftd.channel.wait import bell_ring, doorbell_arm, doorbell_ring
from hftd.compiled.jit import entry
from hftd.compiled.native import copy_bytes, load_i64, store_i64
from hftd.compiled.text import BYTES, address_of
from hftd.errors import ProtocolError
from hftd.rows import Address, Ns

_Message = TypeVar("_Message")
_RINGS_MAX: Final = MAX_BOTS + 1
"""That one look takes; what is left makes `Doorbells.fd` readable again."""


@entry((types.int64, types.int64, BYTES))
def _send(queue: Address, stamp: Ns, message: bytes):
    address = queue_claim(queue, len(message))
    if address <= 0:
        return address
    copy_bytes(address, address_of(message), len(message))
    queue_commit(queue, stamp)
    return 1


@entry("int64(int64, int64, int64)")
def _receive(queue: Address, scratch: Address, out: Address):
    status, address, length, stamp = queue_peek(queue)
    if status == MESSAGE:
        # Copied before it is looked at: the other side can write it at any moment.
        copy_bytes(scratch, address, length)
        store_i64(out, length)
        store_i64(out + 8, stamp)
        queue_release(queue)
    return status


@entry("int64(int64, int64, int64)")
def _tap(ring: Address, scratch: Address, out: Address):
    status, address, length, stamp, after = market_copy(ring, load_i64(out), scratch)
    store_i64(out, after)
    store_i64(out + 8, address - scratch)
    store_i64(out + 16, length)
    store_i64(out + 24, stamp)
    return status


@entry("int64(int64)")
def _tail(ring: Address):
    return market_tail(ring)


@entry("void(int64)")
def ring_bell(bot_page: Address):
    """Wake the bot whose page is at this address."""
    bell_ring(bot_page)


@entry("void(int64, int64)")
def ring_doorbell(fd: int, asleep_address: Address):
    """Wake the daemon if it sleeps; after requests were sent."""
    doorbell_ring(fd, asleep_address)


@entry("void(int64)")
def _arm(asleep_address: Address):
    doorbell_arm(asleep_address)


class QueueWriter:
    """Writes messages into a link's queue.

    Args:
        queue: The descriptor: `link.responses` for a daemon, `link.requests` for a bot.
    """

    def __init__(self, queue: np.ndarray[Any, Any]) -> None:
        self._queue = queue
        self._address = queue.ctypes.data
        self._encode = wire.encoder.encode
        self._send = _send.direct

    def send(self, message: wire.Response | wire.Request, stamp: int) -> bool:
        """Hand a message over; False if the queue is full (or never takes one so long).

        Raises:
            ProtocolError: The reader wrote nonsense into its position.
        """
        sent = self._send(self._address, stamp, self._encode(message))
        if sent < 0:
            raise ProtocolError(
                "the reader of a queue wrote nonsense into its position", hint="end its lease"
            )
        return sent == 1

    def statistics(self) -> dict[str, int]:
        """Messages sent, bytes sent."""
        return {"records": int(self._queue["records"][0]), "bytes": int(self._queue["position"][0])}


class QueueReader(Generic[_Message]):
    """Reads messages from a link's queue.

    Args:
        queue: The descriptor: `link.requests` for a daemon, `link.responses` for a bot.
        decoder: `wire.request_decoder` or `wire.response_decoder`.
    """

    def __init__(self, queue: np.ndarray[Any, Any], decoder: "msgspec.msgpack.Decoder[_Message]") -> None:
        self._queue = queue
        self._address = queue.ctypes.data
        self._decode = decoder.decode
        self._scratch = np.empty(MAX_MESSAGE_BYTES, np.uint8)
        self._view = memoryview(self._scratch)
        self._out = np.zeros(2, np.int64)
        self._addresses = self._scratch.ctypes.data, self._out.ctypes.data
        self._receive = _receive.direct

    def receive(self) -> tuple[int, _Message] | None:
        """The next message with its stamp, or None.

        Raises:
            ProtocolError: The writer wrote nonsense; the queue is of no use any more.
        """
        status = self._receive(self._address, *self._addresses)
        if status == NOTHING:
            return None
        if status == BROKEN:
            raise ProtocolError("a queue's frames are broken", hint="end the lease and attach again")
        length, stamp = int(self._out[0]), int(self._out[1])
        try:
            return stamp, self._decode(self._view[:length])
        except Exception as error:
            # Too deeply nested, no UTF-8, out of range: decoders raise more than their own errors.
            raise ProtocolError(
                f"a queue holds what is no message of it: {error}", hint="end the lease and attach again"
            ) from error

    def statistics(self) -> dict[str, int]:
        """Messages received, bytes received."""
        return {"records": int(self._queue["records"][0]), "bytes": int(self._queue["position"][0])}


class MarketTap:
    """Reads a market ring from Python, from now on, disturbing nobody; in a lossy ring it may be lapped.

    In a lossless ring nobody waits for a tap, so there too it may miss messages, and counts that as a lap.

    Args:
        ring: The ring.
        position: Where it begins, a position of the ring's; -1 for what comes from now on.
    """

    def __init__(self, ring: MarketRing, position: int = -1) -> None:
        self._ring = ring
        self._scratch = np.empty(MAX_MESSAGE_BYTES, np.uint8)
        self._view = memoryview(self._scratch)
        self._out = np.zeros(4, np.int64)
        self._addresses = self._scratch.ctypes.data, self._out.ctypes.data
        self._tap = _tap.direct
        self._out[0] = position if position >= 0 else _tail(ring.address)
        self.records = 0
        self.lapped = 0

    def read(self) -> tuple[int, wire.Response] | None:
        """The next message with its stamp, or None if there is none yet.

        Raises:
            ProtocolError: The ring holds what no producer of ours writes.
        """
        status = self._tap(self._ring.address, *self._addresses)
        if status == LAPPED:
            # Its next position is the tail: what is missed is missed, and counted.
            self.lapped += 1
            status = self._tap(self._ring.address, *self._addresses)
        if status in (NOTHING, LAPPED):
            return None
        start, length, stamp = (int(value) for value in self._out[1:])
        try:
            if status == BROKEN:
                raise msgspec.DecodeError("its frames are broken")
            message = wire.response_decoder.decode(self._view[start : start + length])
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"the market ring can't be read: {error}") from error
        self.records += 1
        return stamp, message

    def statistics(self) -> dict[str, int]:
        """Messages read, times lapped, position."""
        return {"records": self.records, "lapped": self.lapped, "position": int(self._out[0])}


class Doorbells:
    """The eventfds by which bots wake a daemon, one for each, all behind one descriptor of the daemon's own.

    Give `fd` to `loop.add_reader`. The callback calls `clear`, reads all queues until they are empty, calls `arm` for
    each link, and reads them once more. The daemon never reads an eventfd: what a bot does with its own, which is an
    open file that both have, neither blocks the daemon nor takes away another's rings.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._fds: set[int] = set()
        self._arm = _arm.direct

    @property
    def fd(self) -> int:
        """What is readable when one rang; it stays with the daemon."""
        return self._epoll.fileno()

    def make(self) -> int:
        """A new eventfd for a bot, or for the daemon's other threads."""
        fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            # By edges: each write counts, whatever the counter holds.
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        except BaseException:
            os.close(fd)
            raise
        self._fds.add(fd)
        return fd

    def free(self, fd: int) -> None:
        """Close one of them; again does nothing."""
        if fd in self._fds:
            self._fds.discard(fd)
            self._epoll.unregister(fd)
            os.close(fd)

    def arm(self, link: Link) -> None:
        """Ask the link's bot to ring; then look at its queue once more."""
        self._arm(link.daemon_asleep_address)

    def clear(self) -> bool:
        """Take the rings that came; whether there were any."""
        return bool(self._epoll.poll(0, _RINGS_MAX))

    def close(self) -> None:
        """Close all of them; again does nothing."""
        for fd in list(self._fds):
            self.free(fd)
        self._epoll.close()


class Doorbell:
    """An eventfd by which the threads of one process wake each other: give `fd` to `loop.add_reader` or a poll.

    For processes that need not trust each other there are `Doorbells`.
    """

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._arm = _arm.direct

    def arm(self, link: Link) -> None:
        """Ask the link's other side to ring; then look at its queue once more."""
        self._arm(link.daemon_asleep_address)

    def clear(self) -> bool:
        """Take the rings that came; whether there were any."""
        try:
            return os.eventfd_read(self.fd) > 0
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close it; again does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
