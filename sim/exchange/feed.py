"""One instrument's streams, as far as all exchanges have them: when something is said, not how.

A venue's feed says it: it derives from `Feed` and publishes what it is told of to `Streams`.
"""

from collections.abc import Iterable, Sequence

from sim.exchange.chaos import Chaos
from sim.exchange.clock import ExchangeClock
from sim.exchange.instruments import Instrument
from sim.exchange.market import Market, Touch
from sim.exchange.streams import Streams
from sim.exchange.tape import BBO, TRADE, Level, Message

_NOTHING = Touch(0, 0, 0, 0)


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
