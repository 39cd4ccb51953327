"""The queues of a live channel: bots with a lease, which of them have requests, whose turn it is, and answers out.

Requests are taken turn by turn: each bot has its share, and none the loop's whole time.
"""

# pyright: reportCallIssue=false, reportArgumentType=false

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import structlog
from numba import types

from daemon.orders.limits import BotLimits
from daemon.orders.manager import Update
from hftd import wire
from hftd.channel.endpoint import QueueReader
from hftd.channel.layout import MAX_BOTS, NOTHING, REQUEST_BYTES
from hftd.channel.memory import BotPage, Link
from hftd.channel.queue import queue_claim, queue_commit, queue_peek
from hftd.channel.ring import next_stamp
from hftd.channel.wait import bell_ring, doorbell_arm
from hftd.clock import monotonic_ns
from hftd.compiled.jit import entry
from hftd.compiled.native import copy_bytes, load_i64
from hftd.compiled.text import BYTES, address_of
from hftd.errors import HftdError, ProtocolError
from hftd.rows import Address

_I64: Final = types.int64
_PAIR: Final = 16  # bytes: the address of the request queue's descriptor, the address of `daemon_asleep`


@entry((_I64, _I64, _I64, BYTES))
def _answer(queue: Address, clock: Address, page: Address, message: bytes):
    """1 if the message is in the bot's queue, 0 if that is full, -1 if the bot broke it."""
    address = queue_claim(queue, len(message))
    if address <= 0:
        return address
    copy_bytes(address, address_of(message), len(message))
    queue_commit(queue, next_stamp(clock))
    if page != 0:
        bell_ring(page)
    return 1


@entry((_I64, _I64, _I64))
def _next_ready(table: Address, start: int, count: int):
    """The first bot from `start` on whose request queue is not empty (or is broken); -1 if there is none."""
    for k in range(start, count):
        if queue_peek(load_i64(table + k * _PAIR))[0] != NOTHING:
            return k
    return -1


@entry((_I64, _I64))
def _arm(table: Address, count: int):
    """Ask all bots to ring. Then look at their queues once more."""
    for k in range(count):
        doorbell_arm(load_i64(table + k * _PAIR + 8))
    return 0


class LinkTable:
    """The request queues of all bots, in one place for compiled code."""

    def __init__(self) -> None:
        self._table = np.zeros((MAX_BOTS, 2), np.int64)
        self._address = int(self._table.ctypes.data)
        self._count = 0
        self._next_ready = _next_ready.direct
        self._arm = _arm.direct

    def set(self, links: "list[tuple[int, int]]") -> None:
        """The addresses of each bot's request descriptor and of its `daemon_asleep`."""
        self._count = len(links)
        if links:
            self._table[: len(links)] = links

    def next_ready(self, start: int = 0) -> int:
        """The first bot, from `start` on, that has requests; -1 if none has."""
        return self._next_ready(self._address, start, self._count)

    def arm(self) -> None:
        """Have all bots ring when they have requests; then look at the queues once more."""
        self._arm(self._address, self._count)


answer = _answer
"""`answer.direct(queue, clock, page, message)`: put a message into a bot's queue and wake it; page 0 does not wake."""


Asked = wire.Submit | wire.Modify | wire.Cancel | wire.Inquire


class Orders(Protocol):
    """What is asked of order management here; `daemon.orders.manager.OrderManager` is it."""

    def attach(
        self, bot: str, instruments: Sequence[int], limits: BotLimits, on_end: str, now_ns: int
    ) -> list[Update]:
        """A bot has a lease; what it is told."""
        ...

    def told(self, bot: str, now_ns: int) -> list[Update]:
        """The same again."""
        ...

    def detach(self, bot: str, now_ns: int) -> None:
        """Its lease is over."""
        ...

    def request(self, bot: str, message: Asked, now_ns: int, *, is_late: bool = False) -> None:
        """What it asks for; late if it is too old to be sent."""
        ...


@dataclass(slots=True)
class AttachedBot:
    """A bot with a lease."""

    hello: wire.Hello
    page: BotPage
    link: Link
    doorbell_fd: int
    numbers: frozenset[int]
    reader: "QueueReader[wire.Request]"
    since_ns: int
    requests: int = 0
    updates: int = 0
    resyncs: int = 0
    failed: int = 0
    is_lost: bool = False
    progress: tuple[int, int] = (0, 0)
    quiet_ns: int = 0
    name: str = field(init=False)
    queue: int = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.hello.bot
        self.queue = int(self.link.responses.ctypes.data)


BURST: Final = 64
ROUND_NS: Final = 10_000_000
LAST_NS: Final = 20_000_000
"""For what a bot that is gone had still written; of what is left then only the cancels of a bot whose orders stay."""
REQUESTS_MAX: Final = REQUEST_BYTES // 8
"""More than a queue holds."""

_log = structlog.get_logger("hftd.connector")


class Turns:
    """Takes what bots ask.

    Args:
        table: Their request queues, in the order of `bots`.
        bots: Those with a lease; the list itself, which changes.
        on_request: Handles one request, given its bot and the frame's stamp, too.
        lose: Takes a lease for a reason, later.
    """

    def __init__(
        self,
        table: LinkTable,
        bots: list[AttachedBot],
        on_request: Callable[[AttachedBot, int, wire.Request], None],
        lose: Callable[[AttachedBot, str], None],
    ) -> None:
        self._table = table
        self._order = bots
        self._on_request = on_request
        self._lose = lose
        self._first = 0
        self.is_due = False
        """Whether more is taken in the loop's next round."""

    def drain(self) -> None:
        """Take what bots ask, up to `BURST` of each; what is left is taken in the loop's next round."""
        index = self._table.next_ready()
        if index < 0:
            return
        until_ns = monotonic_ns() + ROUND_NS
        # Who is first changes, for the time may be over before the last one's turn.
        self._first = first = (self._first + 1) % len(self._order)
        for start, end in ((first, len(self._order)), (0, first)):
            index = self._table.next_ready(start)
            while 0 <= index < end:
                bot = self._order[index]
                if not bot.is_lost and not self._take(bot, BURST):
                    self._drain_again()
                if monotonic_ns() > until_ns:
                    self._drain_again()
                    return
                index = self._table.next_ready(index + 1)

    def _drain_again(self) -> None:
        """In the loop's next round. One at a time, however many bots want it: else bots that write without end would
        double them each round, and nothing else would have its turn.
        """
        if not self.is_due:
            self.is_due = True
            asyncio.get_running_loop().call_soon(self._drain_on)

    def _drain_on(self) -> None:
        self.is_due = False
        self.drain()

    def _take(self, bot: AttachedBot, most: int) -> bool:
        """Take a bot's requests, `most` of them; whether those were all."""
        try:
            for _ in range(most):
                received = bot.reader.receive()
                if received is None:
                    return True
                self._on_request(bot, *received)
                if type(received[1]) is wire.Resync:
                    # It costs as much as many others.
                    return False
        except ProtocolError as error:
            self._lose(bot, f"it wrote nonsense into its request queue: {error.what}")
            return True
        except HftdError as error:
            bot.failed += 1
            if bot.failed & (bot.failed - 1) == 0:
                _log.error("bot_request_failed", bot=bot.name, error=str(error), times=bot.failed)
        except Exception as error:
            # It may be half done. The end policy puts it in order.
            self._lose(bot, f"a request of its could not be taken: {type(error).__name__}: {error}")
            _log.exception("bot_request_failed", bot=bot.name)
            return True
        return False

    def take_last(self, bot: AttachedBot) -> None:
        """Take what a bot that is gone had still written."""
        until_ns = monotonic_ns() + LAST_NS
        is_kept = bot.hello.on_end == "keep"
        left_out = failed = 0
        try:
            for _ in range(REQUESTS_MAX):
                received = bot.reader.receive()
                if received is None:
                    break
                message = received[1]
                if monotonic_ns() > until_ns and not (is_kept and type(message) is wire.Cancel):
                    left_out += 1
                elif type(message) is not wire.Resync:
                    try:
                        self._on_request(bot, *received)
                    except Exception as error:
                        failed += 1
                        if failed == 1:
                            _log.error("departed_bot_request_failed", bot=bot.name, error=str(error))
        except ProtocolError as error:
            _log.error("departed_bot_queue_invalid", bot=bot.name, error=error.what)
        if left_out:
            _log.warning("departed_bot_requests_dropped", bot=bot.name, count=left_out)
