"""Who listens to which stream, and which streams a path serves."""

import fnmatch
import re
from collections.abc import Callable
from typing import Final

from sim.exchange.chaos import Chaos
from sim.exchange.connection import Connection

PUBLIC: Final = "public"
MARKET: Final = "market"
PRIVATE: Final = "private"

SILENT_MAX: Final = 100
USER: Final = "user"
"""The name of user data among the streams that can be silenced."""

_PUBLIC_KINDS: Final = re.compile(
    r"(?:bookTicker|trade|depth(?:5|10|20)?(?:@(?:0|100|250|500)ms)?|rpiDepth@500ms)"
)


def class_of(name: str) -> str:
    """The class of a stream: that of the paths which serve it."""
    if name == "!bookTicker":
        return PUBLIC
    _, _, kind = name.partition("@")
    return PUBLIC if _PUBLIC_KINDS.fullmatch(kind) else MARKET


class Listener:
    """A connection that streams go to.

    Args:
        connection: The connection.
        serves: The classes of streams that its path serves.
        combined: Whether messages are wrapped with their stream's name.
    """

    def __init__(self, connection: Connection, serves: frozenset[str], combined: bool) -> None:
        self.connection = connection
        self.serves = serves
        self.combined = combined
        self.names: dict[str, None] = {}


class Topics:
    """The streams of the market, and who listens to each.

    Args:
        chaos: Silences, doubles, delays.
    """

    def __init__(self, chaos: Chaos) -> None:
        self._chaos = chaos
        self._listeners: dict[str, dict[Listener, None]] = {}
        self._silent: dict[str, int] = {}
        self._now_ms = 0
        self.delay_ns: Callable[[], int] = int

    def silence(self, pattern: str, seconds: float) -> None:
        """Streams whose names are like a pattern say nothing for so long; their connections live."""
        self._silent[pattern] = self._now_ms + int(seconds * 1000)
        while len(self._silent) > SILENT_MAX:
            self._silent.pop(next(iter(self._silent)))

    def speak(self) -> None:
        """All streams say what they have to say."""
        self._silent.clear()

    def on_time(self, now_ms: int) -> None:
        """Silences end, and chaos makes new ones."""
        self._now_ms = now_ms
        for pattern in [one for one, until_ms in self._silent.items() if now_ms >= until_ms]:
            del self._silent[pattern]
        if self._listeners and self._chaos.is_due("silence_s", now_ms):
            numbers = self._chaos.of("silence")
            name = numbers.choice(sorted(self._listeners))
            pattern = name if numbers.random() < 0.5 else name.partition("@")[0] + "@*"
            self._chaos.count("silences")
            self.silence(pattern, numbers.expovariate(1.0 / max(self._chaos.settings.silence_for_s, 0.001)))

    def is_silent(self, name: str) -> bool:
        """Whether a stream says nothing now."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._silent)

    def heard(self, name: str) -> bool:
        """Whether anyone listens."""
        return name in self._listeners

    def subscribe(self, listener: Listener, name: str) -> None:
        """Add a stream; one that the path does not serve, or that chaos silences, is confirmed and says nothing."""
        if name in listener.names:
            return
        listener.names[name] = None
        if class_of(name) not in listener.serves or self._chaos.strikes("silent_subscription"):
            return
        self._listeners.setdefault(name, {})[listener] = None

    def unsubscribe(self, listener: Listener, name: str) -> None:
        """Take a stream away."""
        listener.names.pop(name, None)
        listeners = self._listeners.get(name)
        if listeners is not None:
            listeners.pop(listener, None)
            if not listeners:
                del self._listeners[name]

    def drop(self, listener: Listener) -> None:
        """A connection ended."""
        for name in list(listener.names):
            self.unsubscribe(listener, name)

    def publish(self, name: str, payload: bytes) -> None:
        """Send a message to all who listen to a stream."""
        listeners = self._listeners.get(name)
        if not listeners or (self._silent and self.is_silent(name)):
            return
        chaos = self._chaos
        wrapped = b""
        delay_ns = self.delay_ns()
        for listener in list(listeners):
            message = payload
            if listener.combined:
                wrapped = wrapped or b'{"stream":"' + name.encode() + b'","data":' + payload + b"}"
                message = wrapped
            late_ns = delay_ns + chaos.late_ns("feed_late")
            listener.connection.send(message, late_ns)
            if chaos.strikes("feed_doubled"):
                listener.connection.send(message, late_ns)

    def describe(self) -> dict[str, int]:
        """How many listen to each stream."""
        return {name: len(listeners) for name, listeners in self._listeners.items()}
