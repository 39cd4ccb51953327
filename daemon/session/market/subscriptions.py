"""Subscriptions on one connection: sent no faster than the exchange takes them, and watched for a first message.

The answer to a SUBSCRIBE proves nothing: a stream on the wrong route is acknowledged, and then stays silent. A refusal
is of the whole message: its streams are subscribed again in halves, until those that are refused stand alone.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, Literal

import aiohttp

from daemon.session.facts import MarketFacts
from hftd.clock import monotonic_ns

AGAIN_MAX_S: Final = 600.0
"""A stream that stays silent is subscribed again, at first after the deadline, in the end every so many seconds."""


UNANSWERED_MAX: Final = 64
"""Messages whose answers are waited for; with more the oldest are taken for accepted."""
ALONE_MAX: Final = 20
"""So many silent streams are subscribed again one by one, so that one that is refused does not take others with it."""


class _Silent:
    """A stream that has not said anything yet."""

    __slots__ = ("again_s", "due_ns")

    def __init__(self, again_s: float) -> None:
        self.again_s = again_s
        self.due_ns = 0


class Subscriptions:
    """What is to be sent, and which streams have not said anything yet.

    Args:
        facts: How streams are subscribed.
        first_message_s: How long a stream may be silent after its subscription.
    """

    def __init__(self, facts: MarketFacts, first_message_s: float) -> None:
        self._facts = facts
        self._first_message_s = first_message_s
        self._todo: deque[tuple[Literal["SUBSCRIBE", "UNSUBSCRIBE"], tuple[str, ...]]] = deque()
        self._silent: dict[str, _Silent] = {}
        self._wake = asyncio.Event()
        self._number = 0
        self._unanswered: dict[int, tuple[str, ...]] = {}
        self.refused: dict[str, str] = {}
        """Streams that the exchange refuses, and why."""

    def clear(self) -> None:
        """A new connection begins."""
        self._todo.clear()
        self._silent.clear()
        self._unanswered.clear()
        self.refused.clear()

    def subscribe(self, streams: tuple[str, ...]) -> None:
        """Subscribe streams, as soon as may be."""
        self._ask("SUBSCRIBE", streams)

    def again(self, streams: tuple[str, ...]) -> None:
        """Unsubscribe streams and subscribe them anew."""
        size = 1 if len(streams) <= ALONE_MAX else self._facts.streams_a_message
        for start in range(0, len(streams), size):
            part = streams[start : start + size]
            if any(streams == part and method == "SUBSCRIBE" for method, streams in self._todo):
                continue
            self._ask("UNSUBSCRIBE", part)
            self._ask("SUBSCRIBE", part)

    def answered(self, number: object, problem: str) -> tuple[str, ...]:
        """A message was answered; `problem` is empty if all is well. Returns the one stream that was refused."""
        streams = self._unanswered.pop(number, ()) if isinstance(number, int) else ()
        if not problem or not streams:
            return ()
        if len(streams) == 1:
            self.refused[streams[0]] = problem
            return streams
        middle = len(streams) // 2
        self._ask("SUBSCRIBE", streams[:middle])
        self._ask("SUBSCRIBE", streams[middle:])
        return ()

    def silent(self) -> Iterator[str]:
        """The streams that were silent beyond their first message's deadline, and still are."""
        return (stream for stream, one in self._silent.items() if one.again_s > self._first_message_s)

    def _ask(self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: tuple[str, ...]) -> None:
        for start in range(0, len(streams), self._facts.streams_a_message):
            self._todo.append((method, streams[start : start + self._facts.streams_a_message]))
        self._wake.set()

    def heard(self, stream: str) -> None:
        """A stream says something."""
        if self._silent and self._silent.pop(stream, None) is not None:
            self.refused.pop(stream, None)

    def late(self, now_ns: int) -> tuple[str, ...]:
        """The streams whose first message is overdue; each is named again later, ever more seldom."""
        late = tuple(stream for stream, silent in self._silent.items() if 0 < silent.due_ns <= now_ns)
        for stream in late:
            silent = self._silent[stream]
            silent.again_s = min(2 * silent.again_s, AGAIN_MAX_S)
            silent.due_ns = now_ns + int(silent.again_s * 1e9)
        return late

    async def run(self, socket: "aiohttp.ClientWebSocketResponse[Any]") -> None:
        """Send what is to be sent, until cancelled."""
        while True:
            while self._todo:
                method, streams = self._todo.popleft()
                self._number += 1
                await socket.send_str(self._facts.control(method, streams, self._number))
                if method == "SUBSCRIBE":
                    self._expect(streams)
                    self._unanswered[self._number] = streams
                    if len(self._unanswered) > UNANSWERED_MAX:
                        del self._unanswered[next(iter(self._unanswered))]
                await asyncio.sleep(1.0 / self._facts.controls_a_second)
            self._wake.clear()
            await self._wake.wait()

    def _expect(self, streams: tuple[str, ...]) -> None:
        for stream in streams:
            silent = self._silent.setdefault(stream, _Silent(self._first_message_s))
            silent.due_ns = max(silent.due_ns, monotonic_ns() + int(self._first_message_s * 1e9))
