"""Streams: who listens to which one of the market, and to which account's events; and what is lost on the way."""

import fnmatch
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from sim.exchange.accounts import Account, Order, Position, Trade
from sim.exchange.chaos import Chaos
from sim.exchange.clock import ExchangeClock
from sim.exchange.connection import Connection

SILENT_MAX: Final = 100
USER: Final = "user"
"""The name of user data among the streams that can be silenced."""

Event = tuple[str, Any]
"""Its kind, and what the venue writes as JSON."""


class Listener:
    """A connection that streams go to.

    Args:
        connection: The connection.
        serves: Whether its path serves a stream; without it, it serves all.
    """

    def __init__(self, connection: Connection, serves: Callable[[str], bool] = bool) -> None:
        self.connection = connection
        self.serves = serves
        self.names: dict[str, None] = {}
        self.wrap: Callable[[str, bytes], bytes] | None = None
        """What becomes of a message before it is sent, by the name of its stream."""


class Streams:
    """The streams of the market, and who listens to each.

    Args:
        chaos: Silences, doubles, delays.
        pattern_of: The pattern of all streams of the instrument that a stream is of.
        delay_ns: How long the way to the clients takes this time.
    """

    def __init__(
        self, chaos: Chaos, pattern_of: Callable[[str], str], delay_ns: Callable[[], int] = int
    ) -> None:
        self._pattern_of = pattern_of
        self._delay_ns = delay_ns
        self._chaos = chaos
        self._listeners: dict[str, dict[Listener, None]] = {}
        self._silent: dict[str, int] = {}
        self._now_ms = 0

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
            pattern = name if numbers.random() < 0.5 else self._pattern_of(name)
            self._chaos.count("silences")
            self.silence(pattern, numbers.expovariate(1.0 / max(self._chaos.settings.silence_for_s, 0.001)))

    def is_silent(self, name: str) -> bool:
        """Whether a stream says nothing now."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._silent)

    def heard(self, name: str) -> bool:
        """Whether anyone listens."""
        return name in self._listeners

    def subscribe(self, listener: Listener, name: str) -> bool:
        """Add a stream; one that the path does not serve, or that chaos silences, is confirmed and says nothing.

        Returns:
            Whether it is new and will be heard: where a stream begins with a snapshot, the venue now sends it.
        """
        if name in listener.names:
            return False
        listener.names[name] = None
        if not listener.serves(name) or self._chaos.strikes("silent_subscription"):
            return False
        self._listeners.setdefault(name, {})[listener] = None
        return True

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
        delay_ns = self._delay_ns()
        for listener in list(listeners):
            message = payload if listener.wrap is None else listener.wrap(name, payload)
            late_ns = delay_ns + chaos.late_ns("feed_late")
            listener.connection.send(message, late_ns)
            if chaos.strikes("feed_doubled"):
                listener.connection.send(message, late_ns)

    def describe(self) -> dict[str, int]:
        """How many listen to each stream."""
        return {name: len(listeners) for name, listeners in self._listeners.items()}


class UserStreams:
    """Who hears an account's events, each in a queue of its connection: they may be late, doubled, shuffled or lost.

    Args:
        clock: The exchange's.
        chaos: Delays, doubles, loses.
        orders: What the venue says of an order: order, what, trade, its time and now in milliseconds.
        accounts: What it says of a balance and a position: account, position, its time and now in milliseconds.
        is_silent: Whether user data says nothing now.
        delay_ns: How long the way to the clients takes this time.
    """

    def __init__(
        self,
        clock: ExchangeClock,
        chaos: Chaos,
        orders: Callable[[Order, str, Trade | None, int, int], Iterable[Event]],
        accounts: Callable[[Account, Position, int, int], Iterable[Event]],
        is_silent: Callable[[], bool],
        delay_ns: Callable[[], int] = int,
    ) -> None:
        self._clock = clock
        self._chaos = chaos
        self._orders = orders
        self._of_account = accounts
        self._is_silent = is_silent
        self._delay_ns = delay_ns
        self._listeners: dict[str, list[tuple[Listener, frozenset[str]]]] = {}
        self._encoder = msgspec.json.Encoder()
        self.events_sent = 0

    def listen(self, key: str, listener: Listener, kinds: frozenset[str] = frozenset()) -> None:
        """A connection wants the events under a key (`Account.user_key`), of some kinds or all.

        A key that nobody has is not refused, and has no events.
        """
        entry = listener, kinds
        self._listeners.setdefault(key, []).append(entry)
        listener.connection.on_end.append(lambda: self._drop(key, entry))

    def _drop(self, key: str, entry: tuple[Listener, frozenset[str]]) -> None:
        listeners = self._listeners.get(key, [])
        if entry in listeners:
            listeners.remove(entry)
        if not listeners:
            self._listeners.pop(key, None)

    def on_order(self, order: Order, what: str, ts_ns: int, trade: Trade | None = None) -> None:
        """Something happened to an order."""
        if listeners := self._heard(order.account):
            times = self._clock.stamp_ms(ts_ns), self._clock.server_ms()
            self._emit(order.account, listeners, self._orders(order, what, trade, *times))

    def on_account(self, account: Account, position: Position, ts_ns: int) -> None:
        """A balance and a position have changed."""
        if listeners := self._heard(account):
            times = self._clock.stamp_ms(ts_ns), self._clock.server_ms()
            self._emit(account, listeners, self._of_account(account, position, *times))

    def tell(self, account: Account, content: Any) -> None:
        """Say something to all who listen to an account, whatever else happens."""
        body = self._encoder.encode(content)
        for listener, _ in self._heard(account):
            self._send(listener, account.user_key, body, 0, "")

    def _heard(self, account: Account) -> list[tuple[Listener, frozenset[str]]]:
        return self._listeners.get(account.user_key, []) if account.user_key else []

    def _emit(
        self, account: Account, listeners: list[tuple[Listener, frozenset[str]]], events: Iterable[Event]
    ) -> None:
        for kind, content in events:
            if self._is_silent():
                return
            body = self._encoder.encode(content)
            for listener, kinds in list(listeners):
                if not kinds or kind in kinds:
                    self._mishandle(listener, account.user_key, kind, body)

    def _mishandle(self, listener: Listener, key: str, kind: str, body: bytes) -> None:
        chaos = self._chaos
        if chaos.strikes("event_lost"):
            return
        delay_ns = self._delay_ns() + chaos.late_ns("event_late")
        queue = kind
        if chaos.strikes("event_shuffled"):
            queue = "*"
            delay_ns += int(chaos.of("event_shuffled/ns").random() * chaos.settings.late_ms * 1e6)
        self._send(listener, key, body, delay_ns, queue)
        if chaos.strikes("event_doubled"):
            again_ns = int(chaos.of("event_doubled/ns").random() * chaos.settings.late_ms * 1e6)
            self._send(listener, key, body, delay_ns + again_ns, "*")

    def _send(self, listener: Listener, key: str, body: bytes, delay_ns: int, queue: str) -> None:
        if listener.wrap is not None:
            body = listener.wrap(key, body)
        self.events_sent += 1
        listener.connection.send(body, delay_ns, queue)
