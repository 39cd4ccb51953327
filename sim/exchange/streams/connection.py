"""A WebSocket connection as the exchange sees it: what it sends, late or never, and how it ends.

Frames are written to the transport as they are made, so sending needs no task and no lock; how far a client may fall
behind is limited.
"""

import asyncio
import heapq
import itertools
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from hftd.clock import monotonic_ns
from sim.exchange.rules.chaos import Chaos

_TEXT: Final = 0x81
_PING: Final = 0x89
_PONG: Final = 0x8A
_CLOSE: Final = 0x88
_NS: Final = 1_000_000_000


def frame(kind: int, payload: bytes) -> bytes:
    """A frame from a server (RFC 6455, 5.2: not masked)."""
    size = len(payload)
    if size < 126:
        return bytes((kind, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", kind, 126, size) + payload
    return struct.pack("!BBQ", kind, 127, size) + payload


class Connection:
    """One client's connection.

    Args:
        socket: Its WebSocket, after the handshake.
        transport: That of its socket.
        number: Of all connections so far.
        path: What the client asked for.
        chaos: May delay and end it.
        outbox_bytes: How far the client may fall behind.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        number: int,
        path: str,
        chaos: Chaos,
        outbox_bytes: int,
    ) -> None:
        self.number = number
        self.path = path
        self.kind = ""
        self.sent = 0
        self.received = 0
        self.dropped = 0
        self.opened_ns = monotonic_ns()
        self.last_pong_ns = self.opened_ns
        self.quiet_s = 0.0
        """How long it may give no sign of life; 0: as `[limits]` says."""
        self.on_end: list[Callable[[], None]] = []
        self.notice: Callable[[], bytes] | None = None
        """What is said before a close that is planned."""
        self._notice_s = 0.0
        self._socket = socket
        self._transport = transport
        self._chaos = chaos
        self._outbox_bytes = outbox_bytes
        self._loop = asyncio.get_running_loop()
        self._late: list[tuple[int, int, bytes]] = []
        self._numbers = itertools.count()
        self._last_due_ns: dict[str, int] = {}
        self._hold_until_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._mishaps: list[asyncio.TimerHandle] = []
        self.is_closed = False

    # Sending.

    def send(self, payload: bytes, delay_ns: int = 0, key: str = "") -> None:
        """Send a text message.

        Args:
            payload: Its bytes.
            delay_ns: How much later.
            key: Messages of one key stay in their order; empty: in that of all without a delay.
        """
        if self.is_closed:
            return
        if delay_ns == 0 and not self._late and self._hold_until_ns == 0:
            self._write(_TEXT, payload)
            return
        now_ns = monotonic_ns()
        due_ns = max(now_ns + delay_ns, self._hold_until_ns, self._last_due_ns.get(key, 0))
        if key != "*":
            self._last_due_ns[key] = due_ns
        heapq.heappush(self._late, (due_ns, next(self._numbers), payload))
        if due_ns <= now_ns:
            self._flush()
        else:
            self._arm()

    def _write(self, kind: int, payload: bytes) -> None:
        if self.is_closed or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > self._outbox_bytes:
            self.dropped += 1
            self._chaos.count("slow clients closed")
            self.abort()
            return
        self.sent += 1
        self._transport.write(frame(kind, payload))

    def _flush(self) -> None:
        now_ns = monotonic_ns()
        while self._late and self._late[0][0] <= now_ns:
            self._write(_TEXT, heapq.heappop(self._late)[2])
        if now_ns >= self._hold_until_ns:
            self._hold_until_ns = 0
        if not self._late:
            self._last_due_ns.clear()
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._late and not self.is_closed:
            delay_s = max(self._late[0][0] - monotonic_ns(), 0) / _NS
            self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._flush()

    def ping(self, payload: bytes) -> None:
        """Ask for a sign of life."""
        self._write(_PING, payload)

    def pong(self, payload: bytes) -> None:
        """Answer a ping."""
        self._write(_PONG, payload)

    def on_pong(self) -> None:
        """The client lives."""
        self.last_pong_ns = monotonic_ns()

    # Mishaps.

    def hold(self, seconds: float) -> None:
        """Send nothing for a while; it comes later, all at once."""
        self._hold_until_ns = max(self._hold_until_ns, monotonic_ns() + int(seconds * _NS))
        self._loop.call_later(seconds, self._flush)

    def start_mishaps(self, life_s: float, notice_s: float = 0.0) -> None:
        """Close it at the end of its life, and let happen to it what chaos says."""
        self._notice_s = notice_s
        self._after(life_s, self.retire)
        for name, act in (("close_s", self._closed_by_chaos), ("tear_s", self._torn_by_chaos)):
            seconds = self._chaos.next_s(name)
            if seconds > 0.0:
                self._after(seconds, act)
        self._stall()

    def _after(self, seconds: float, act: Callable[[], Any]) -> None:
        self._mishaps.append(self._loop.call_later(seconds, act))

    def _closed_by_chaos(self) -> None:
        self._chaos.count("closes")
        self.retire()

    def _torn_by_chaos(self) -> None:
        self._chaos.count("tears")
        self.tear()

    def _stall(self) -> None:
        seconds = self._chaos.next_s("stall_s")
        if seconds > 0.0:
            self._after(seconds, self._stalled_by_chaos)

    def _stalled_by_chaos(self) -> None:
        self._chaos.count("stalls")
        self.hold(self._chaos.settings.stall_ms / 1000.0)
        self._stall()

    # The end.

    def retire(self) -> None:
        """Close it as planned: where the venue says so before, a while after that."""
        if self.notice is None or self.is_closed:
            self.close(WSCloseCode.GOING_AWAY)
            return
        self.send(self.notice())
        self._after(self._notice_s, lambda: self.close(WSCloseCode.GOING_AWAY))

    def close(self, code: int = WSCloseCode.GOING_AWAY, reason: str = "") -> None:
        """Say goodbye and close; what is late is lost."""
        if self.is_closed:
            return
        self._write(_CLOSE, struct.pack("!H", code) + reason.encode())
        self._ended()
        self._transport.close()

    def tear(self) -> None:
        """Break off in the middle of a frame."""
        if self.is_closed:
            return
        if not self._transport.is_closing():
            self._transport.write(struct.pack("!BBH", _TEXT, 126, 4000) + b'{"e":"')
        self._ended()
        self._loop.call_later(0.01, self._transport.abort)

    def abort(self) -> None:
        """Drop it without a word."""
        self._ended()
        self._transport.abort()

    def _ended(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for handle in self._mishaps:
            handle.cancel()
        self._late.clear()
        for act in self.on_end:
            act()

    def ended(self) -> None:
        """The client is gone."""
        self._ended()

    def describe(self) -> dict[str, Any]:
        """For the control page."""
        return {
            "number": self.number,
            "kind": self.kind,
            "path": self.path,
            "sent": self.sent,
            "received": self.received,
            "late": len(self._late),
        }


async def texts(
    socket: web.WebSocketResponse, connection: Connection, on_text: Callable[[str], None], per_second: int = 0
) -> None:
    """Read a connection until it ends.

    Args:
        socket: Its WebSocket.
        connection: The connection.
        on_text: Given each text message.
        per_second: How many messages of any kind may come in a second; with one more it is closed. 0: any number.
    """
    window, count = 0, 0
    async for message in socket:
        second = monotonic_ns() // _NS
        window, count = (second, 1) if second != window else (window, count + 1)
        if per_second and count > per_second:
            connection.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")
            return
        if message.type is WSMsgType.TEXT:
            connection.received += 1
            on_text(message.data)
        elif message.type is WSMsgType.PING:
            connection.pong(bytes(message.data))
        elif message.type is WSMsgType.PONG:
            connection.on_pong()
        else:
            connection.close(WSCloseCode.UNSUPPORTED_DATA)


class Tasks:
    """Requests of connections that are under way. What has come is done, even if its connection ends meanwhile."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin one. Tasks begin in the order in which they are made: requests reach the engine as they came."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Drop what is under way."""
        for task in self._tasks:
            task.cancel()
