"""What hooks are told: left by the strategy's thread in a bounded queue in private memory, taken by the main thread.

The notes of orders and states are the messages as they came, with the asset's number as stamp. Where the queue is full
a note is dropped and counted: a strategy never waits for a hook.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

import msgspec
import numpy as np

from hftd import wire
from hftd.bot.layout import HOOK_QUEUE_ASLEEP, hook_queue_at, hook_queue_dtype, session_at
from hftd.channel.endpoint import Doorbell, QueueReader
from hftd.channel.messages import FIELDS_MESSAGE_BYTES, message_writer
from hftd.channel.queue import queue_claim, queue_commit, queue_dtype
from hftd.channel.wait import doorbell_arm, doorbell_disarm, doorbell_ring
from hftd.compiled.arena import Arena
from hftd.compiled.jit import entry, inline, kernel
from hftd.compiled.native import copy_bytes, record_at, stack_bytes
from hftd.rows import Address

CAPACITY = 1 << 20
"""Bytes of notes that wait for the main thread: about 8,000."""

_ALERT = 48
_alert_dtype = np.dtype([("asset_no", "i8"), ("code", "i8"), ("timestamp", "i8"), ("value", "f8")])
_alert_at = record_at(_alert_dtype)
_write_alert = message_writer("write_alert", _alert_dtype, _ALERT)


class Alert(msgspec.Struct, frozen=True, array_like=True, tag=_ALERT):
    """What a strategy said by `hbt.alert`.

    Attributes:
        asset_no: The asset.
        code: A number of the strategy's choice.
        timestamp: The strategy's clock.
        value: Another.
    """

    asset_no: int
    code: int
    timestamp: int
    value: float


Note = wire.OrderUpdate | wire.Status | wire.Notice | Alert
_decoder: "msgspec.msgpack.Decoder[Note]" = msgspec.msgpack.Decoder(Note)


@inline
def leave_for_hooks(notes: Address, message: Address, length: int, asset_no: int):
    """Copy a message for the main thread, and wake it."""
    n = hook_queue_at(notes)
    target = queue_claim(n.queue, length)
    if target <= 0:
        n.dropped += 1
        return
    copy_bytes(target, message, length)
    queue_commit(n.queue, asset_no)
    doorbell_ring(n.fd, notes + HOOK_QUEUE_ASLEEP)


@kernel("int64(int64, int64, int64, float64)")
def alert(session: Address, asset_no: int, code: int, value: float):
    """Leave an alert for the main thread."""
    words = stack_bytes(32)
    message = stack_bytes(FIELDS_MESSAGE_BYTES)
    a = _alert_at(words)
    a.asset_no = asset_no
    a.code = code
    a.timestamp = session_at(session).now_ns
    a.value = value
    leave_for_hooks(session_at(session).notes, message, _write_alert(message, words), asset_no)
    return 0


@entry("void(int64)")
def _arm(asleep: Address):
    doorbell_arm(asleep)


@entry("void(int64)")
def _disarm(asleep: Address):
    doorbell_disarm(asleep)


class HookQueue:
    """The queue of notes and its doorbell.

    Args:
        wants_orders: Whether the updates of orders are noted. A daemon's Notices always are.
        wants_states: Whether the states of books and connections are.
    """

    def __init__(self, *, wants_orders: bool, wants_states: bool) -> None:
        self._arena = Arena()
        self._doorbell = Doorbell()
        self.fd = self._doorbell.fd
        data = self._arena.reserve(CAPACITY)
        positions = self._arena.records(np.dtype("i8"), 32)
        queues = self._arena.records(queue_dtype, 2)
        queues["data"], queues["capacity"] = data, CAPACITY
        # A line apart: one is the strategy's thread's, one the main thread's.
        queues["tail"] = positions.ctypes.data
        queues["head"] = positions.ctypes.data + 128
        self._row = self._arena.records(hook_queue_dtype, 1)
        self._row["queue"] = queues[:1].ctypes.data
        self._row["fd"] = self.fd
        self._row["wants_orders"], self._row["wants_states"] = int(wants_orders), int(wants_states)
        self.address = int(self._row.ctypes.data)
        self._reader = QueueReader(queues[1:], _decoder)

    def install(self, session_row: np.ndarray) -> None:
        """Let a session leave its notes here."""
        session_row["notes"] = self.address
        session_row["fn_alert"] = alert.address

    def take(self) -> tuple[int, Note] | None:
        """The next note with its asset number, or None."""
        return self._reader.receive()

    def sleep(self) -> None:
        """Ask to be woken by `fd`; then look once more."""
        _arm(self.address + HOOK_QUEUE_ASLEEP)

    def awake(self) -> None:
        """Be woken no more."""
        _disarm(self.address + HOOK_QUEUE_ASLEEP)
        self._doorbell.clear()

    @property
    def dropped(self) -> int:
        """Notes that found no room."""
        return int(self._row["dropped"][0])

    def close(self) -> None:
        """Close the doorbell. No compiled code may be using it."""
        self._row["fd"] = -1
        self._doorbell.close()
