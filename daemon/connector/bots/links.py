"""Links of a live channel in compiled code: answers out, and which bots have requests."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from typing import Final

import numpy as np
from numba import types

from hftd.channel.layout import MAX_BOTS, NOTHING
from hftd.channel.queue import queue_claim, queue_commit, queue_peek
from hftd.channel.ring import next_stamp
from hftd.channel.wait import bell_ring, doorbell_arm, doorbell_disarm
from hftd.compiled.jit import entry
from hftd.compiled.native import copy_bytes, load_i64
from hftd.compiled.text import BYTES, address_of

_I64: Final = types.int64
_PAIR: Final = 16  # bytes: the address of the request queue's descriptor, the address of `daemon_asleep`


@entry((_I64, _I64, _I64, BYTES))
def _answer(queue, clock, page, message):
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
def _next_ready(table, start, count):
    """The first bot from `start` on whose request queue is not empty (or is broken); -1 if there is none."""
    for k in range(start, count):
        if queue_peek(load_i64(table + k * _PAIR))[0] != NOTHING:
            return k
    return -1


@entry((_I64, _I64))
def _arm(table, count):
    """Ask all bots to ring. Then look at their queues once more."""
    for k in range(count):
        doorbell_arm(load_i64(table + k * _PAIR + 8))
    return 0


@entry((_I64, _I64))
def _disarm(table, count):
    for k in range(count):
        doorbell_disarm(load_i64(table + k * _PAIR + 8))
    return 0


class LinkTable:
    """The request queues of all bots, in one place for compiled code."""

    def __init__(self) -> None:
        self._table = np.zeros((MAX_BOTS, 2), np.int64)
        self._address = int(self._table.ctypes.data)
        self._count = 0
        self._next_ready = _next_ready.direct
        self._arm = _arm.direct
        self._disarm = _disarm.direct

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

    def disarm(self) -> None:
        """No rings are needed while somebody looks all the time."""
        self._disarm(self._address, self._count)


answer = _answer
"""`answer.direct(queue, clock, page, message)`: put a message into a bot's queue and wake it; page 0 does not wake."""
