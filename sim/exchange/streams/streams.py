"""Streams: who listens to which one of the market, and to which account's events; and what is lost on the way.

A venue's feed derives from `Feed`, which says when something is said, and publishes how it is said.
"""

import fnmatch
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from sim.exchange.accounts.accounts import Account, Order, Position, Trade
from sim.exchange.playback.market import Market, Touch
from sim.exchange.playback.tape import BBO, TRADE, Level, Message
from sim.exchange.rules.chaos import Chaos
from sim.exchange.rules.clock import ExchangeClock
from sim.exchange.rules.instruments import Instrument
from sim.exchange.streams.connection import Connection

SILENT_MAX: Final = 100
USER: Final = "user"
"""The name of user data among the streams that can be silenced."""

_NOTHING = Touch(0, 0, 0, 0)

Event = tuple[str, Any]
"""Its kind, and what the venue writes as JSON."""


GARBLED_MAX: Final = 1000
"""Messages that are to be garbled; with more the oldest are let be."""
_PRICE: Final = re.compile(rb'\["[0-9.]+"')


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
        self.finish: Callable[[bytes], bytes] | None = None
        """What becomes of it then."""

    def written(self, name: str, payload: bytes) -> bytes:
        """A message as it is sent."""
        if self.wrap is not None:
            payload = self.wrap(name, payload)
        return payload if self.finish is None else self.finish(payload)


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
        self._garbled: deque[tuple[str, bool]] = deque(maxlen=GARBLED_MAX)
        self._now_ms = 0

    def garble(self, pattern: str, messages: int, *, is_torn: bool = False) -> None:
        """The next messages of streams whose names are like a pattern can't be read.

        Args:
            pattern: Of names.
            messages: How many.
            is_torn: Half of them is missing; else their prices are none.
        """
        self._garbled.extend([(pattern, is_torn)] * messages)

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
        if self._garbled and fnmatch.fnmatchcase(name, self._garbled[0][0]):
            _, is_torn = self._garbled.popleft()
            payload = payload[: len(payload) // 2] if is_torn else _PRICE.sub(rb'["-"', payload)
        for listener in list(listeners):
            message = listener.written(name, payload)
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

    def leave(self, key: str, listener: Listener) -> None:
        """A connection wants them no more."""
        for entry in [one for one in self._listeners.get(key, []) if one[0] is listener]:
            self._drop(key, entry)

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

    def say(self, account: Account, events: Iterable[Event]) -> None:
        """Say something of an account that is neither an order nor a position."""
        if listeners := self._heard(account):
            self._emit(account, listeners, events)

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
        self.events_sent += 1
        listener.connection.send(listener.written(key, body), delay_ns, queue)


class Feed:
    """One instrument's streams.

    Args:
        instrument: The instrument.
        market: Where its book is.
        streams: Who listens.
        chaos: Leaves out, doubles, and makes worse.
    """

    def __init__(self, instrument: Instrument, market: Market, streams: Streams, chaos: Chaos) -> None:
        self.instrument = instrument
        self.market = market
        self.streams = streams
        self.chaos = chaos
        self.time_ms = 0
        """Of the last message."""
        self.last_tick = 0
        """Of the last trade."""
        self.last_id = 0
        """Of the book's last event."""
        self.gaps = 0
        """Depth messages to be left out."""
        self._touch = _NOTHING
        self._bbo: tuple[Level, Level] = ((0, 0), (0, 0))

    def play(self, market: Market) -> None:
        """Another market goes on in place of this; ids go on as well."""
        self.market = market
        self._touch = _NOTHING
        self._bbo = ((0, 0), (0, 0))

    def restart(self) -> bool:
        """The book's streams begin anew, where the exchange has them begin with a snapshot; whether it does."""
        return False

    # What a venue says; times are the exchange's, of the event and of now, in milliseconds.

    def on_trade(self, side: int, tick: int, lots: int, time_ms: int, now_ms: int) -> None:
        """A trade; the side is the taker's."""

    def on_best(self, bid: Level, ask: Level, time_ms: int, now_ms: int) -> None:
        """The best prices changed; where they follow from the depth, its event comes after this."""

    def on_depth(self, bids: list[Level], asks: list[Level], time_ms: int, now_ms: int) -> None:
        """Levels changed."""

    def on_time(self, market_ns: int, clock: ExchangeClock) -> None:
        """The market has gone on to a time: what comes at intervals."""

    # Messages of the market.

    def on_message(self, message: Message, time_ms: int, now_ms: int) -> None:
        """A message of the market."""
        self.time_ms = time_ms
        if message.kind == TRADE:
            side, levels = (1, message.bids) if message.bids else (-1, message.asks)
            self.last_tick = levels[0][0]
            self.on_trade(side, *levels[0], time_ms, now_ms)
        elif message.kind == BBO:
            bid = message.bids[0] if message.bids else self._bbo[0]
            ask = message.asks[0] if message.asks else self._bbo[1]
            self._best(bid, ask, time_ms, now_ms)
        else:
            if not self._has_bbo:
                self._look_at_best(time_ms, now_ms)
            self.on_depth(message.bids, message.asks, time_ms, now_ms)

    def _look_at_best(self, time_ms: int, now_ms: int) -> None:
        touch = self.market.touch(self.instrument.number)
        if touch != self._touch:
            self._touch = touch
            if touch.bid_lots and touch.ask_lots:
                best = (touch.bid_tick, touch.bid_lots), (touch.ask_tick, touch.ask_lots)
                self._best(*best, time_ms, now_ms)

    def _best(self, bid: Level, ask: Level, time_ms: int, now_ms: int) -> None:
        self._bbo = (bid, ask)
        self.on_best(bid, ask, time_ms, now_ms)

    @property
    def _has_bbo(self) -> bool:
        return self.market.tapes[self.instrument.number].has_bbo

    def spoiled(self, bids: list[Level]) -> list[Level] | None:
        """The bids of a depth message with what chaos adds to them; None: the message is left out."""
        chaos = self.chaos
        if self.gaps > 0:
            self.gaps -= 1
            return None
        if chaos.strikes("feed_gap"):
            return None
        if chaos.strikes("unknown_level"):
            far = self.market.touch(self.instrument.number).bid_tick // 2
            far += chaos.of("unknown_level/tick").randrange(999)
            bids = [*bids, (max(far, 1), 0)]
        return bids

    # Asked for.

    def levels(self, side: int, limit: int) -> list[Level]:
        """A side's best levels, from the best outwards."""
        return self.market.levels(self.instrument.number, side, limit)

    def texts(self, levels: Iterable[Level]) -> Sequence[tuple[str, str]]:
        """Prices and quantities as text."""
        price, qty = self.instrument.price, self.instrument.qty
        return [(price(tick), qty(lots)) for tick, lots in levels]

    def best(self) -> tuple[Level, Level]:
        """The best bid and ask as they were last published."""
        if self._has_bbo and self._bbo[0][1]:
            return self._bbo
        touch = self.market.touch(self.instrument.number)
        return (touch.bid_tick, touch.bid_lots), (touch.ask_tick, touch.ask_lots)

    def mark_tick(self) -> int:
        """The middle of the best prices, rounded down; the last trade's price where a side is empty."""
        touch = self.market.touch(self.instrument.number)
        if touch.bid_lots and touch.ask_lots:
            return (touch.bid_tick + touch.ask_tick) // 2
        return self.last_tick


class Collected:
    """What changed since a stream's last event, for streams that come at intervals.

    Args:
        last_id: Of the event before.
        interval: In which one the next event is collected.
    """

    def __init__(self, last_id: int, interval: int) -> None:
        self.previous = last_id
        self.interval = interval
        self.first = self.last = 0
        self.time_ms = 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def add(self, first: int, last: int, bids: list[Level], asks: list[Level], time_ms: int) -> None:
        """An event of the book, with its ids."""
        self.first = self.first or first
        self.last = last
        self.time_ms = time_ms
        self.bids.update(bids)
        self.asks.update(asks)

    def take(self) -> tuple[int, int, int, list[Level], list[Level], int]:
        """First, last and previous id, bids, asks, time; and begin anew."""
        bids, asks = sorted(self.bids.items(), reverse=True), sorted(self.asks.items())
        taken = self.first, self.last, self.previous, bids, asks, self.time_ms
        self.previous = self.last
        self.first = self.last = 0
        self.bids, self.asks = {}, {}
        return taken
