"""One socket: its streams are subscribed, heard and watched."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import aiohttp
import structlog

from daemon.collector.recorder import Recorder
from daemon.collector.source import Source
from daemon.connector.supervise import ConnectionBrokenError, first_to_end, planned_life_s
from daemon.connector.watch.unreadable import Unreadable
from daemon.session.errors import WireError
from daemon.session.facts import ControlReply, Leaving, UnknownEvent
from daemon.session.manners import beat
from daemon.session.market.socket import connected, hear
from daemon.session.market.subscriptions import Subscriptions
from hftd.clock import monotonic_ns

WATCH_S: Final = 0.25

_log = structlog.get_logger("hftd.collect")


class Link:
    """See the module; it lives as long as its socket.

    Args:
        source: How the exchange speaks.
        recorders: By stream, who is told.
        http: For the connection.
        name: For the log.
        seed: Of when it ends as planned.
        on_up: Told once it is connected.

    Attributes:
        is_leaving: Set when it is time for another one: soon the exchange will end this one. It goes on meanwhile.
        is_complete: Set when every symbol is heard on it, and goes on without a hole if the others end.
        progress_ns: When it last looked after its connection, or began to make one (monotonic).
        reader: Reads its messages; what has no time of its own it gives that of the messages before.
    """

    def __init__(
        self,
        source: Source,
        recorders: Mapping[str, Recorder],
        http: aiohttp.ClientSession,
        name: str,
        seed: int,
        unreadable: Unreadable,
        on_up: Callable[[], None],
    ) -> None:
        self._source = source
        self._recorders = recorders
        self._silent = set(recorders.values())
        self._http = http
        self._name = name
        self._life_ns = int(planned_life_s(source.life_s, seed) * 1e9)
        self._on_up = on_up
        self._unreadable = unreadable
        self.reader = source.facts.reader()
        self.reader.keep_trade_ids()
        self._subscriptions = Subscriptions(source.facts, source.first_message_s)
        self._up_ns = self._received_ns = 0
        self.progress_ns = monotonic_ns()
        self.is_leaving = asyncio.Event()
        self.is_complete = asyncio.Event()
        self.messages = 0

    async def run(self) -> None:
        """Connect, and record until the end of the connection.

        Raises:
            ConnectionBrokenError: The exchange ended it, or it is silent.
            aiohttp.ClientError, OSError: It could not be made, or broke.
        """
        source = self._source
        async with connected(self._http, source.url) as socket:
            self._up_ns = self._received_ns = monotonic_ns()
            self._on_up()
            _log.info("collect_connected", connection=self._name, url=source.url)
            self._subscribe()
            parts: list[Coroutine[Any, Any, None]] = [
                hear(socket, self._on_message, self._unreadable),
                self._subscriptions.run(socket),
                self._watch(socket),
            ]
            if source.heartbeat is not None:
                parts.append(beat(source.heartbeat, socket, lambda: self._received_ns))
            await first_to_end(*parts)

    def _subscribe(self) -> None:
        """All of a symbol's streams in one message, its depth at last: once that is heard, all are there."""
        symbols = list(dict.fromkeys(self._recorders.values()))
        each = len(symbols[0].streams)
        size = max(self._source.facts.streams_a_message // each, 1)
        for start in range(0, len(symbols), size):
            chosen = symbols[start : start + size]
            self._subscriptions.subscribe(tuple(stream for one in chosen for stream in reversed(one.streams)))

    def again(self, streams: Sequence[str]) -> None:
        """Subscribe streams anew."""
        self._subscriptions.again(tuple(streams))

    @property
    def refused(self) -> Mapping[str, str]:
        """Streams that the exchange refuses, and why."""
        return self._subscriptions.refused

    def _on_message(self, message: bytes, now_ns: int) -> None:
        self._received_ns = monotonic_ns()
        self.messages += 1
        read = self.reader.read(message, now_ns)
        if read is None:
            self._on_other(message)
            return
        recorder = self._recorders.get(read.stream)
        if recorder is None:
            self._unreadable.note("not subscribed", read.stream, message)
            return
        self._subscriptions.heard(read.stream)
        recorder.on_message(self, read, message, now_ns)
        if self._silent and recorder.is_joined_by(self):
            self._silent.discard(recorder)
            if not self._silent:
                self.is_complete.set()

    def _on_other(self, message: bytes) -> None:
        try:
            read = self._source.facts.read_other(message)
        except WireError as error:
            self._unreadable.note("unreadable", str(error), message)
            return
        if isinstance(read, Leaving):
            self.is_leaving.set()
        elif isinstance(read, UnknownEvent):
            self._unreadable.count(f"event {read.name}")
        elif isinstance(read, ControlReply):
            self._subscriptions.answered(read.id, read.problem)
            if read.problem:
                self._unreadable.note(
                    "refused", f"the exchange refused a subscription: {read.problem}", message
                )

    async def _watch(self, socket: "aiohttp.ClientWebSocketResponse[Any]") -> None:
        """Notice what does not happen, and when it is time for another one."""
        stale_ns = int(self._source.stale_after_s * 1e9)
        pinged = False
        while True:
            await asyncio.sleep(min(WATCH_S, self._source.stale_after_s / 4))
            self.progress_ns = now_ns = monotonic_ns()
            if now_ns - self._up_ns >= self._life_ns:
                self.is_leaving.set()
            silent_ns = now_ns - self._received_ns
            if silent_ns >= stale_ns and self.messages:
                raise ConnectionBrokenError(f"nothing came for {silent_ns / 1e9:.1f} s")
            if silent_ns >= stale_ns // 2 and not pinged and self._source.heartbeat is None:
                await socket.ping()
            pinged = silent_ns >= stale_ns // 2
            if late := self._subscriptions.late(now_ns):
                if not self.is_heard:
                    raise ConnectionBrokenError(
                        f"{len(late)} streams were subscribed, and none says anything: is the route right? "
                        f"({self._source.url})"
                    )
                self._subscriptions.again(late)

    @property
    def is_heard(self) -> bool:
        """Whether any symbol was heard on it."""
        return any(one.is_heard_by(self) for one in self._recorders.values())
