"""The market's streams: what is said of each message of the recorded market, and under which ids.

Update ids are the exchange's, not the instrument's, so an event's ids have holes before them and in them (sheet, 1.4).
Of an event with the ids U..u, a best bid or ask that came with it has an id inside, and comes before it.
"""

import random
from collections.abc import Callable
from typing import Any, Final

from sim.exchange.binancefutures.instruments import Instrument
from sim.exchange.binancefutures.topics import Topics
from sim.exchange.chaos import Chaos
from sim.exchange.clock import MS, ExchangeClock
from sim.exchange.market import Market, Touch
from sim.exchange.tape import BBO, TRADE, Level, Message

SPEEDS_MS: Final = (100, 250, 500)
_STALE_MS: Final = 2000
_FUNDING_MS: Final = 8 * 3_600_000


class Feed:
    """One instrument's streams.

    Args:
        instrument: The instrument.
        market: Where its book is.
        topics: Who listens.
        ids: Gives the next id of the exchange, a number of ids further.
        chaos: Leaves out, doubles, and makes worse.
        seed: Of holes between ids.
    """

    def __init__(
        self,
        instrument: Instrument,
        market: Market,
        topics: Topics,
        ids: Callable[[int], int],
        chaos: Chaos,
        seed: int,
    ) -> None:
        self.instrument = instrument
        self._market = market
        self._topics = topics
        self._ids = ids
        self._chaos = chaos
        self._random = random.Random(f"{seed}/{instrument.symbol}/ids")  # noqa: S311 - it must repeat
        self._name = instrument.symbol.lower()
        self._topic = {
            kind: f"{self._name}@{kind}"
            for kind in ("depth@0ms", "bookTicker", "trade", "aggTrade", "depth", "depth@250ms")
        }
        self.last_u = ids(1)
        self._next_first = self._after_last()
        self._bbo_since = False
        self._trade_id = 5_266_583_934
        self._agg_id = 5_933_013
        self._touch = Touch(0, 0, 0, 0)
        self._bbo: tuple[Level, Level] = ((0, 0), (0, 0))
        self.last_tick = 0
        self._collected: dict[int, _Collected] = {}
        self._marked: dict[str, int] = {}
        self._old: tuple[int, dict[str, Any]] | None = None
        self.time_ms = 0
        self.gaps = 0
        """Depth messages to be left out."""

    def play(self, market: Market) -> None:
        """Another market goes on in place of this; ids go on as well."""
        self._market = market
        self._touch = Touch(0, 0, 0, 0)
        self._bbo = ((0, 0), (0, 0))
        self._old = None

    def _after_last(self) -> int:
        """The first id of the next event: nearly always with a hole before it."""
        hole = 0 if self._random.random() < 0.03 else 1 + self._random.randrange(60)
        return self.last_u + 1 + hole

    # Messages of the market.

    def on_message(self, message: Message, time_ms: int, now_ms: int) -> None:
        """Publish a message."""
        self.time_ms = time_ms
        if message.kind == TRADE:
            self._trade(message, time_ms, now_ms)
        elif message.kind == BBO:
            bid = message.bids[0] if message.bids else self._bbo[0]
            ask = message.asks[0] if message.asks else self._bbo[1]
            self._best(bid, ask, time_ms, now_ms)
        else:
            self._depth(message.bids, message.asks, time_ms, now_ms)

    def _trade(self, message: Message, time_ms: int, now_ms: int) -> None:
        bought = bool(message.bids)
        tick, lots = message.bids[0] if bought else message.asks[0]
        self.last_tick = tick
        self._trade_id += 1
        self._agg_id += 1
        s, price, qty = self.instrument.symbol, self.instrument.price(tick), self.instrument.qty(lots)
        maker = "false" if bought else "true"
        if self._topics.heard(self._topic["trade"]):
            self._publish(
                self._topic["trade"],
                f'{{"e":"trade","E":{now_ms},"T":{time_ms},"s":"{s}","t":{self._trade_id},"p":"{price}","q":"{qty}"'
                f',"X":"MARKET","m":{maker},"st":1}}',
            )
        if self._topics.heard(self._topic["aggTrade"]):
            self._publish(
                self._topic["aggTrade"],
                f'{{"e":"aggTrade","E":{now_ms},"s":"{s}","a":{self._agg_id},"p":"{price}","q":"{qty}","nq":"{qty}"'
                f',"f":{self._trade_id},"l":{self._trade_id},"T":{time_ms},"m":{maker},"st":1}}',
            )

    def _best(self, bid: Level, ask: Level, time_ms: int, now_ms: int) -> None:
        self._bbo = (bid, ask)
        # Inside the ids of the depth event that will tell of it.
        u = self._ids(1 + self._random.randrange(20))
        if u < self._next_first:
            u = self._ids(self._next_first - u + self._random.randrange(20))
        self._bbo_since = True
        topic = self._topic["bookTicker"]
        if not self._topics.heard(topic):
            return
        i = self.instrument
        self._publish(
            topic,
            f'{{"e":"bookTicker","u":{u},"s":"{i.symbol}","ps":"{i.symbol}","b":"{i.price(bid[0])}","B":"{i.qty(bid[1])}"'
            f',"a":"{i.price(ask[0])}","A":"{i.qty(ask[1])}","T":{time_ms},"E":{now_ms},"st":1}}',
        )

    def _depth(self, bids: list[Level], asks: list[Level], time_ms: int, now_ms: int) -> None:
        if not self._market.tapes[self.instrument.number].has_bbo:
            touch = self._market.touch(self.instrument.number)
            if touch != self._touch:
                self._touch = touch
                if touch.bid_lots and touch.ask_lots:
                    best = (touch.bid_tick, touch.bid_lots), (touch.ask_tick, touch.ask_lots)
                    self._best(*best, time_ms, now_ms)
        previous, first = self.last_u, self._next_first
        self.last_u = self._ids(1 + len(bids) + len(asks) + self._random.randrange(40))
        if self.last_u < first:
            self.last_u = self._ids(first - self.last_u + self._random.randrange(40))
        self._next_first = self._after_last()
        self._bbo_since = False
        for collected in self._collected.values():
            collected.add(first, self.last_u, bids, asks, time_ms)
        topic = self._topic["depth@0ms"]
        if self._topics.heard(topic):
            self._publish_depth(topic, first, self.last_u, previous, bids, asks, time_ms, now_ms)

    def _publish_depth(
        self,
        topic: str,
        first: int,
        last: int,
        previous: int,
        bids: list[Level],
        asks: list[Level],
        time_ms: int,
        now_ms: int,
    ) -> None:
        chaos = self._chaos
        if self.gaps > 0:
            self.gaps -= 1
            return
        if chaos.strikes("feed_gap"):
            return
        if chaos.strikes("unknown_level"):
            far = self._market.touch(self.instrument.number).bid_tick // 2 + chaos.of(
                "unknown_level/tick"
            ).randrange(999)
            bids = [*bids, (max(far, 1), 0)]
        self._publish(topic, self._depth_text(first, last, previous, bids, asks, time_ms, now_ms))

    def _depth_text(
        self,
        first: int,
        last: int,
        previous: int,
        bids: list[Level],
        asks: list[Level],
        time_ms: int,
        now_ms: int,
    ) -> str:
        s = self.instrument.symbol
        return (
            f'{{"e":"depthUpdate","E":{now_ms},"T":{time_ms},"s":"{s}","ps":"{s}","U":{first},"u":{last}'
            f',"pu":{previous},"b":{self._levels_text(bids)},"a":{self._levels_text(asks)},"st":1}}'
        )

    def _levels_text(self, levels: list[Level]) -> str:
        price, qty = self.instrument.price, self.instrument.qty
        return "[" + ",".join([f'["{price(tick)}","{qty(lots)}"]' for tick, lots in levels]) + "]"

    def _publish(self, topic: str, text: str) -> None:
        self._topics.publish(topic, text.encode())

    # Streams that collect.

    def on_time(self, market_ns: int, clock: ExchangeClock) -> None:
        """Publish what was collected, at each full interval."""
        now_ms = market_ns // MS
        for speed_ms in SPEEDS_MS:
            topics = self._collecting(speed_ms)
            if not topics:
                self._collected.pop(speed_ms, None)
                continue
            collected = self._collected.get(speed_ms)
            if collected is None:
                self._collected[speed_ms] = _Collected(self.last_u, now_ms // speed_ms)
                continue
            if now_ms // speed_ms == collected.interval:
                continue
            collected.interval = now_ms // speed_ms
            if not collected.last:
                continue
            first, last, previous, bids, asks, time_ms = collected.take()
            for topic in topics:
                args = (first, last, previous, bids, asks, time_ms, clock.server_ms())
                if "depth@" in topic or topic.endswith("@depth"):
                    self._publish_depth(topic, *args)
                else:
                    self._publish_partial(topic, *args)

        self._publish_mark(now_ms, clock)

    def _publish_mark(self, now_ms: int, clock: ExchangeClock) -> None:
        """The mark price, each second or three: here the middle of the best prices."""
        for suffix, interval_ms in (("@1s", 1000), ("", 3000)):
            topic = f"{self._name}@markPrice{suffix}"
            interval = now_ms // interval_ms
            if interval == self._marked.get(topic) or not self._topics.heard(topic):
                continue
            self._marked[topic] = interval
            s, mark = self.instrument.symbol, self.instrument.price(self.mark_tick())
            sent_ms = clock.server_ms()
            paid_ms = (sent_ms // _FUNDING_MS + 1) * _FUNDING_MS
            self._publish(
                topic,
                f'{{"e":"markPriceUpdate","E":{sent_ms},"s":"{s}","p":"{mark}","ap":"{mark}","P":"{mark}","i":"{mark}"'
                f',"r":"0.00010000","T":{paid_ms},"st":1}}',
            )

    def _collecting(self, speed_ms: int) -> list[str]:
        suffixes = [f"@{speed_ms}ms"] if speed_ms != 250 else ["", "@250ms"]
        found = []
        for suffix in suffixes:
            for kind in ("depth", "depth5", "depth10", "depth20"):
                topic = f"{self._name}@{kind}{suffix}"
                if self._topics.heard(topic):
                    found.append(topic)
        return found

    def _publish_partial(
        self,
        topic: str,
        first: int,
        last: int,
        previous: int,
        _bids: list[Level],
        _asks: list[Level],
        time_ms: int,
        now_ms: int,
    ) -> None:
        count = int(topic.split("@")[1].removeprefix("depth"))
        bids = self._market.levels(self.instrument.number, 1, count)
        asks = self._market.levels(self.instrument.number, -1, count)
        self._publish(topic, self._depth_text(first, last, previous, bids, asks, time_ms, now_ms))

    # Asked for.

    def snapshot(self, limit: int, now_ms: int) -> dict[str, Any]:
        """The book as REST gives it."""
        number, i = self.instrument.number, self.instrument
        if self._old is not None and self._chaos.strikes("stale_snapshot"):
            old = self._old[1]
            return old | {"bids": old["bids"][:limit], "asks": old["asks"][:limit]}
        last = self.last_u
        if not self._bbo_since and self._chaos.strikes("inside_snapshot"):
            # Nothing has changed since the last event, but the exchange's ids went on: the next one spans this.
            current = self._ids(1)
            last = max(current, self._next_first)
            if last > current:
                self._ids(last - current)
        made = {
            "lastUpdateId": last,
            "E": now_ms,
            "T": self.time_ms,
            "bids": [[i.price(tick), i.qty(lots)] for tick, lots in self._market.levels(number, 1, limit)],
            "asks": [[i.price(tick), i.qty(lots)] for tick, lots in self._market.levels(number, -1, limit)],
        }
        if self._old is None or now_ms - self._old[0] > _STALE_MS:
            self._old = (now_ms, made)
        return made

    def best(self) -> tuple[Level, Level]:
        """The best bid and ask as they were last published."""
        if self._market.tapes[self.instrument.number].has_bbo and self._bbo[0][1]:
            return self._bbo
        touch = self._market.touch(self.instrument.number)
        return (touch.bid_tick, touch.bid_lots), (touch.ask_tick, touch.ask_lots)

    def mark_tick(self) -> int:
        """The middle of the best prices, rounded down; the last trade's price where a side is empty."""
        touch = self._market.touch(self.instrument.number)
        if touch.bid_lots and touch.ask_lots:
            return (touch.bid_tick + touch.ask_tick) // 2
        return self.last_tick


class _Collected:
    """What changed since a stream's last event."""

    def __init__(self, last_u: int, interval: int) -> None:
        self.previous = last_u
        self.interval = interval
        self.first = self.last = 0
        self.time_ms = 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def add(self, first: int, last: int, bids: list[Level], asks: list[Level], time_ms: int) -> None:
        """An event of the book."""
        self.first = self.first or first
        self.last = last
        self.time_ms = time_ms
        self.bids.update(bids)
        self.asks.update(asks)

    def take(self) -> tuple[int, int, int, list[Level], list[Level], int]:
        """First, last and previous id, bids, asks, time; and begin anew."""
        taken = (
            self.first,
            self.last,
            self.previous,
            sorted(self.bids.items(), reverse=True),
            sorted(self.asks.items()),
            self.time_ms,
        )
        self.previous = self.last
        self.first = self.last = 0
        self.bids, self.asks = {}, {}
        return taken
