"""The pieces of shared memory: made, sealed, checked and mapped.

Each is a memfd, so nothing has a name in /dev/shm and the kernel frees it with its last owner. All are sealed
against shrinking and growing: a piece that shrinks kills its readers by SIGBUS, so the receiver looks for
the seals before it maps. What a bot may not write is also sealed against new writable mappings
(F_SEAL_FUTURE_WRITE), which leaves the one that its maker already has.
"""

import fcntl
import mmap
import os
import struct
import weakref
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import numpy as np

from hftd.channel import layout
from hftd.channel.queue import queue_dtype
from hftd.errors import ProtocolError

F_SEAL_FUTURE_WRITE: Final = 0x10
"""linux/fcntl.h; Python names it since 3.14."""
SIZE_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def word_at(address: int) -> Any:
    """One int64 word of memory as an array of one element, for code that looks from Python."""
    import ctypes

    return np.ctypeslib.as_array((ctypes.c_int64 * 1).from_address(address))


def _free(mapping: mmap.mmap, fd: int) -> None:
    mapping.close()
    os.close(fd)


class Piece:
    """A mapped memfd. Its `fd` is sent to the other side; `close` unmaps it, once.

    After `close` its address must not be used: end all compiled code that knows it first.
    """

    kind: ClassVar[str] = "piece"
    magic: ClassVar[int] = 0
    is_bots: ClassVar[bool] = True
    """Whether bots may write it."""

    def __init__(self, fd: int, size: int, writable: bool) -> None:
        self.size = size
        self.fd = fd
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        # Pages are made now, not at the first lap through the ring.
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        self._map = mmap.mmap(fd, size, flags=flags, prot=protection)
        self.address: int = np.frombuffer(self._map, np.uint8).ctypes.data
        self._free = weakref.finalize(self, _free, self._map, fd)
        # When the process ends the kernel frees it; compiled code in a thread may still be looking at it.
        self._free.atexit = False

    @classmethod
    def _make(cls, size: int, words: dict[int, int]) -> Self:
        fd = os.memfd_create(f"hftd-{cls.kind.replace(' ', '-')}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
            made = cls(fd, size, True)
        except BaseException:
            os.close(fd)
            raise
        try:
            made._write_words({layout.VERSION: layout.PROTOCOL_VERSION, **words})
            seals = SIZE_SEALS | (0 if cls.is_bots else F_SEAL_FUTURE_WRITE) | fcntl.F_SEAL_SEAL
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
            made._write_words({layout.MAGIC: cls.magic})
        except BaseException:
            made.close()
            raise
        return made

    @classmethod
    def open(cls, fd: int) -> Self:
        """Check and map a piece that the other side made; the fd is this object's now, errors included.

        Raises:
            ProtocolError: It is not that piece, of another version, or not sealed.
        """
        try:
            size = os.fstat(fd).st_size
            cls._check_seals(fd)
            header = os.pread(fd, 64, 0)
            cls._check_header(header, size)
            return cls(fd, size, cls.is_bots)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def _check_seals(cls, fd: int) -> None:
        wanted = SIZE_SEALS | (0 if cls.is_bots else F_SEAL_FUTURE_WRITE)
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError:
            raise cls._wrong("is no sealed memory at all") from None
        if seals & wanted != wanted:
            raise cls._wrong(f"has the seals {seals:#x}, not {wanted:#x}")

    @classmethod
    def _check_header(cls, header: bytes, size: int) -> None:
        if len(header) < 64:
            raise cls._wrong(f"has {size} bytes, too few for its header")
        words = struct.unpack("8q", header)
        if words[0] != cls.magic:
            raise cls._wrong("is another kind of memory")
        if words[1] != layout.PROTOCOL_VERSION:
            raise ProtocolError(
                f"the {cls.kind} has protocol version {words[1]}, this is {layout.PROTOCOL_VERSION}",
                hint="run the same version of hftd on both sides",
            )
        expected = cls._expected_size(words)
        if size != expected:
            raise cls._wrong(f"has {size} bytes instead of {expected}")

    @classmethod
    def _expected_size(cls, words: tuple[int, ...]) -> int:  # noqa: ARG003
        return layout.PAGE_BYTES

    @classmethod
    def _wrong(cls, what: str) -> ProtocolError:
        return ProtocolError(
            f"the {cls.kind} that the other side sent {what}",
            hint="it is not an hftd of this version; run the same version of hftd on both sides",
        )

    def _write_words(self, words: dict[int, int]) -> None:
        for offset, value in words.items():
            struct.pack_into("q", self._map, offset, value)

    def word(self, offset: int) -> int:
        """The int64 at an offset, for status and tests; compiled code reads with acquire where it matters."""
        return struct.unpack_from("q", self._map, offset)[0]

    def set_word(self, offset: int, value: int) -> None:
        """Store an int64 at an offset."""
        struct.pack_into("q", self._map, offset, value)

    @property
    def closed(self) -> bool:
        """Whether it was unmapped."""
        return not self._free.alive

    def close(self) -> None:
        """Unmap it and close its fd; again does nothing."""
        self._free()
        self.address = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ClockPage(Piece):
    """The daemon's clock."""

    kind = "clock page"
    magic = layout.CLOCK_MAGIC
    is_bots = False

    @classmethod
    def make(cls, clock_id: int, mode: int) -> Self:
        """Make one: `clock_id` is a number in 1..2**63-1 that no other daemon has; mode as in the layout."""
        assert 0 < clock_id < 1 << 63
        assert mode in (layout.MODE_SYSTEM, layout.MODE_SIMULATED)
        return cls._make(
            layout.PAGE_BYTES,
            {layout.CLOCK_ID: clock_id, layout.CLOCK_MODE: mode, layout.CLOCK_PID: os.getpid()},
        )


def _is_capacity(capacity: int) -> bool:
    in_range = layout.MIN_RING_BYTES <= capacity <= layout.MAX_RING_BYTES
    return in_range and capacity & (capacity - 1) == 0


class MarketRing(Piece):
    """A channel's broadcast ring."""

    kind = "market ring"
    magic = layout.MARKET_MAGIC
    is_bots = False

    @classmethod
    def make(cls, capacity: int = layout.MARKET_BYTES, *, lossless: bool) -> Self:
        """Make one with `capacity` bytes of data, a power of two."""
        assert _is_capacity(capacity), capacity
        return cls._make(
            layout.HEADER_BYTES + capacity,
            {
                layout.MARKET_CAPACITY: capacity,
                layout.MARKET_LOSSLESS: int(lossless),
                layout.MARKET_PID: os.getpid(),
            },
        )

    @classmethod
    def _expected_size(cls, words: tuple[int, ...]) -> int:
        capacity = words[layout.MARKET_CAPACITY // 8]
        if not _is_capacity(capacity):
            raise cls._wrong(f"says that it has a capacity of {capacity} bytes")
        return layout.HEADER_BYTES + capacity

    @property
    def capacity(self) -> int:
        """Bytes of data."""
        return self.size - layout.HEADER_BYTES

    @property
    def is_lossless(self) -> bool:
        """Whether the producer waits for the consumers."""
        return self.word(layout.MARKET_LOSSLESS) != 0


class Link(Piece):
    """A bot's request and response queues.

    Attributes:
        requests: This side's descriptor of the request queue, of `queue_dtype`; keep the link while it is
            used.
        responses: The same of the response queue.
    """

    kind = "link"
    magic = layout.LINK_MAGIC

    def __init__(self, fd: int, size: int, writable: bool) -> None:
        super().__init__(fd, size, writable)
        self.requests = np.zeros(1, queue_dtype)
        self.responses = np.zeros(1, queue_dtype)

    @classmethod
    def make(
        cls, request_bytes: int = layout.REQUEST_BYTES, response_bytes: int = layout.RESPONSE_BYTES
    ) -> Self:
        """Make one with queues of these capacities, powers of two."""
        assert _is_capacity(request_bytes), request_bytes
        assert _is_capacity(response_bytes), response_bytes
        made = cls._make(
            layout.HEADER_BYTES + request_bytes + response_bytes,
            {layout.LINK_REQUEST_CAPACITY: request_bytes, layout.LINK_RESPONSE_CAPACITY: response_bytes},
        )
        made._describe(request_bytes, response_bytes)
        return made

    @classmethod
    def open(cls, fd: int) -> Self:
        """Check and map the link that a daemon made."""
        opened = super().open(fd)
        # The header can be written by both sides: sizes are taken once, and must still add up.
        request_bytes = opened.word(layout.LINK_REQUEST_CAPACITY)
        response_bytes = opened.size - layout.HEADER_BYTES - request_bytes
        if not (_is_capacity(request_bytes) and _is_capacity(response_bytes)):
            opened.close()
            raise cls._wrong("changed its sizes meanwhile")
        opened._describe(request_bytes, response_bytes)
        return opened

    @classmethod
    def _expected_size(cls, words: tuple[int, ...]) -> int:
        capacities = words[layout.LINK_REQUEST_CAPACITY // 8], words[layout.LINK_RESPONSE_CAPACITY // 8]
        if not all(map(_is_capacity, capacities)):
            raise cls._wrong(f"says that it has capacities of {capacities} bytes")
        return layout.HEADER_BYTES + sum(capacities)

    def _describe(self, request_bytes: int, response_bytes: int) -> None:
        base = self.address
        for queue, data, capacity, tail, head in (
            (self.requests, 0, request_bytes, layout.LINK_REQUEST_TAIL, layout.LINK_REQUEST_HEAD),
            (
                self.responses,
                request_bytes,
                response_bytes,
                layout.LINK_RESPONSE_TAIL,
                layout.LINK_RESPONSE_HEAD,
            ),
        ):
            queue["data"] = base + layout.LINK_DATA + data
            queue["capacity"] = capacity
            queue["tail"] = base + tail
            queue["head"] = base + head

    @property
    def daemon_asleep_address(self) -> int:
        """Where the daemon says that it sleeps."""
        return self.address + layout.LINK_DAEMON_ASLEEP


class BotPage(Piece):
    """A bot's page: its wake word and what it waits for."""

    kind = "bot page"
    magic = layout.BOT_MAGIC

    @classmethod
    def make(cls) -> Self:
        """Make this process's page."""
        return cls._make(layout.PAGE_BYTES, {layout.BOT_PID: os.getpid()})
