"""The market's streams: what is said of each message of the recorded market, and under which ids.

Update ids are the exchange's, not the instrument's, so an event's ids have holes before them and in them (sheet, 1.4).
Of an event with the ids U..u, a best bid or ask that came with it has an id inside, and comes before it.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from sim.exchange.binance.product import product_of
from sim.exchange.core import Exchange
from sim.exchange.playback.market import Market
from sim.exchange.playback.tape import Level
from sim.exchange.rules.clock import MS, ExchangeClock
from sim.exchange.rules.instruments import Instrument
from sim.exchange.streams.streams import Collected, Feed

_STALE_MS: Final = 2000
_FUNDING_MS: Final = 8 * 3_600_000


class BinanceFeed(Feed):
    """One instrument's streams.

    Args:
        exchange: The exchange.
        instrument: The instrument.
        market: Where its book is.

    Attributes:
        tells_rpi: Whether aggTrade tells the quantity that no retail order is part of.
        speeds: How often streams say what they collect, in milliseconds, and what their names then end with.
        raw_depth: The kind of the stream that has each event of the book by itself.
    """

    tells_rpi: ClassVar[bool] = True
    speeds: ClassVar[Mapping[int, tuple[str, ...]]] = {
        100: ("@100ms",),
        250: ("", "@250ms"),
        500: ("@500ms",),
    }
    raw_depth: ClassVar[str] = "depth@0ms"

    def __init__(self, exchange: Exchange, instrument: Instrument, market: Market) -> None:
        super().__init__(instrument, market, exchange.streams, exchange.chaos)
        product = product_of(exchange)
        self._pair = product.says.pair(instrument)
        self._product = product.number
        self._ids = self.ids_of(exchange)
        seed = exchange.config.exchange.ids_seed
        self._random = random.Random(f"{seed}/{instrument.symbol}/ids")  # noqa: S311 - it must repeat
        self._name = instrument.symbol.lower()
        self._topic = {
            kind: f"{self._name}@{kind}" for kind in (self.raw_depth, "bookTicker", "trade", "aggTrade")
        }
        self.last_id = self._ids(1)
        self._next_first = self.after_last()
        self._bbo_since = False
        self._trade_id = 5_266_583_934
        self._agg_id = 5_933_013
        self._collected: dict[int, Collected] = {}
        self._marked: dict[str, int] = {}
        self._old: tuple[int, dict[str, Any]] | None = None

    def play(self, market: Market) -> None:
        """See `Feed`."""
        super().play(market)
        self._old = None

    def ids_of(self, exchange: Exchange) -> Callable[[int], int]:
        """Gives the id that is so many further than the last one: all instruments have ids of one counter."""
        return exchange.next_id

    def after_last(self) -> int:
        """The first id of the next event: nearly always with a hole before it."""
        hole = 0 if self._random.random() < 0.03 else 1 + self._random.randrange(60)
        return self.last_id + 1 + hole

    # Messages of the market.

    def on_trade(self, side: int, tick: int, lots: int, time_ms: int, now_ms: int) -> None:
        """See `Feed`."""
        self._trade_id += 1
        self._agg_id += 1
        ((price, qty),) = self.texts([(tick, lots)])
        maker = "false" if side > 0 else "true"
        if self.streams.heard(self._topic["trade"]):
            text = self.trade_text(self._trade_id, price, qty, maker, time_ms, now_ms)
            self._publish(self._topic["trade"], text)
        if self.streams.heard(self._topic["aggTrade"]):
            text = self.agg_trade_text(self._agg_id, self._trade_id, price, qty, maker, time_ms, now_ms)
            self._publish(self._topic["aggTrade"], text)

    def on_best(self, bid: Level, ask: Level, time_ms: int, now_ms: int) -> None:
        """See `Feed`."""
        # Inside the ids of the depth event that will tell of it.
        u = self._ids(1 + self._random.randrange(20))
        if u < self._next_first:
            u = self._ids(self._next_first - u + self._random.randrange(20))
        self._bbo_since = True
        topic = self._topic["bookTicker"]
        if not self.streams.heard(topic):
            return
        (bid_price, bid_qty), (ask_price, ask_qty) = self.texts([bid, ask])
        best = f'"b":"{bid_price}","B":"{bid_qty}","a":"{ask_price}","A":"{ask_qty}"'
        self._publish(topic, self.best_text(u, best, time_ms, now_ms))

    def on_depth(self, bids: list[Level], asks: list[Level], time_ms: int, now_ms: int) -> None:
        """See `Feed`."""
        previous, first = self.last_id, self._next_first
        self.last_id = self._ids(1 + len(bids) + len(asks) + self._random.randrange(40))
        if self.last_id < first:
            self.last_id = self._ids(first - self.last_id + self._random.randrange(40))
        self._next_first = self.after_last()
        self._bbo_since = False
        for collected in self._collected.values():
            collected.add(first, self.last_id, bids, asks, time_ms)
        topic = self._topic[self.raw_depth]
        if self.streams.heard(topic):
            self._publish_depth(topic, (first, self.last_id, previous), bids, asks, time_ms, now_ms)

    def _publish_depth(
        self,
        topic: str,
        ids: tuple[int, int, int],
        bids: list[Level],
        asks: list[Level],
        time_ms: int,
        now_ms: int,
    ) -> None:
        spoiled = self.spoiled(bids)
        if spoiled is not None:
            sides = self._levels_text(spoiled), self._levels_text(asks)
            self._publish(topic, self.depth_text(ids, *sides, time_ms, now_ms))

    def _levels_text(self, levels: list[Level]) -> str:
        return "[" + ",".join([f'["{price}","{qty}"]' for price, qty in self.texts(levels)]) + "]"

    def _publish(self, topic: str, text: str) -> None:
        self.streams.publish(topic, text.encode())

    # Streams that collect.

    def on_time(self, market_ns: int, clock: ExchangeClock) -> None:
        """Publish what was collected, at each full interval, and the mark price."""
        now_ms = market_ns // MS
        for speed_ms, suffixes in self.speeds.items():
            topics = self._collecting(suffixes)
            if not topics:
                self._collected.pop(speed_ms, None)
                continue
            collected = self._collected.get(speed_ms)
            if collected is None:
                self._collected[speed_ms] = Collected(self.last_id, now_ms // speed_ms)
                continue
            if now_ms // speed_ms == collected.interval:
                continue
            collected.interval = now_ms // speed_ms
            if not collected.last:
                continue
            first, last, previous, bids, asks, time_ms = collected.take()
            ids, sent_ms = (first, last, previous), clock.server_ms()
            for topic in topics:
                if "depth@" in topic or topic.endswith("@depth"):
                    self._publish_depth(topic, ids, bids, asks, time_ms, sent_ms)
                else:
                    count = int(topic.split("@")[1].removeprefix("depth"))
                    best = [self._levels_text(self.levels(side, count)) for side in (1, -1)]
                    self._publish(topic, self.best_levels_text(ids, best[0], best[1], time_ms, sent_ms))
        self._publish_mark(now_ms, clock)

    def _publish_mark(self, now_ms: int, clock: ExchangeClock) -> None:
        """The mark price, each second or three: here the middle of the best prices."""
        for suffix, interval_ms in (("@1s", 1000), ("", 3000)):
            topic = f"{self._name}@markPrice{suffix}"
            interval = now_ms // interval_ms
            if interval == self._marked.get(topic) or not self.streams.heard(topic):
                continue
            self._marked[topic] = interval
            s, mark = self.instrument.symbol, self.instrument.price(self.mark_tick())
            sent_ms = clock.server_ms()
            paid_ms = (sent_ms // _FUNDING_MS + 1) * _FUNDING_MS
            self._publish(
                topic,
                f'{{"e":"markPriceUpdate","E":{sent_ms},"s":"{s}","p":"{mark}",{self.mark_text(mark)},"i":"{mark}"'
                f',{self.funding_text(paid_ms)},"st":{self._product}}}',
            )

    # What products say differently: messages, and parts of them.

    def trade_text(self, number: int, price: str, qty: str, maker: str, time_ms: int, now_ms: int) -> str:
        """A trade."""
        s = self.instrument.symbol
        return (
            f'{{"e":"trade","E":{now_ms},"T":{time_ms},"s":"{s}","t":{number},"p":"{price}","q":"{qty}"'
            f',"X":"MARKET","m":{maker},"st":{self._product}}}'
        )

    def agg_trade_text(
        self, number: int, trade: int, price: str, qty: str, maker: str, time_ms: int, now_ms: int
    ) -> str:
        """A trade, as the stream says it that takes those of one order together."""
        s, no_rpi = self.instrument.symbol, f',"nq":"{qty}"' if self.tells_rpi else ""
        return (
            f'{{"e":"aggTrade","E":{now_ms},"s":"{s}","a":{number},"p":"{price}","q":"{qty}"{no_rpi}'
            f',"f":{trade},"l":{trade},"T":{time_ms},"m":{maker},"st":{self._product}}}'
        )

    def best_text(self, number: int, best: str, time_ms: int, now_ms: int) -> str:
        """The best prices; `best` is the part with prices and quantities."""
        return (
            f'{{"e":"bookTicker","u":{number},"s":"{self.instrument.symbol}","ps":"{self._pair}",{best}'
            f',"T":{time_ms},"E":{now_ms},"st":{self._product}}}'
        )

    def depth_text(self, ids: tuple[int, int, int], bids: str, asks: str, time_ms: int, now_ms: int) -> str:
        """Levels that changed; the ids are the first, the last and the one before."""
        s = self.instrument.symbol
        first, last, previous = ids
        return (
            f'{{"e":"depthUpdate","E":{now_ms},"T":{time_ms},"s":"{s}","ps":"{self._pair}","U":{first},"u":{last}'
            f',"pu":{previous},"b":{bids},"a":{asks},"st":{self._product}}}'
        )

    def best_levels_text(
        self, ids: tuple[int, int, int], bids: str, asks: str, time_ms: int, now_ms: int
    ) -> str:
        """The best levels of a book."""
        return self.depth_text(ids, bids, asks, time_ms, now_ms)

    def mark_text(self, mark: str) -> str:
        """Of the mark price: the mean and the estimated settlement price."""
        return f'"ap":"{mark}","P":"{mark}"'

    def funding_text(self, paid_ms: int) -> str:
        """Of the mark price: the rate, and when it is paid."""
        return f'"r":"0.00010000","T":{paid_ms}'

    def _collecting(self, suffixes: tuple[str, ...]) -> list[str]:
        found = []
        for suffix in suffixes:
            for kind in ("depth", "depth5", "depth10", "depth20"):
                topic = f"{self._name}@{kind}{suffix}"
                if self.streams.heard(topic):
                    found.append(topic)
        return found

    # Asked for.

    def snapshot(self, limit: int, now_ms: int) -> dict[str, Any]:
        """The book as REST gives it."""
        if self._old is not None and self.chaos.strikes("stale_snapshot"):
            old = self._old[1]
            return old | {"bids": old["bids"][:limit], "asks": old["asks"][:limit]}
        last = self.last_id
        if not self._bbo_since and self.chaos.strikes("inside_snapshot"):
            # Nothing has changed since the last event, but the exchange's ids went on: the next one spans this.
            current = self._ids(1)
            last = max(current, self._next_first)
            if last > current:
                self._ids(last - current)
        made = {
            "lastUpdateId": last,
            "E": now_ms,
            "T": self.time_ms,
            "bids": self.texts(self.levels(1, limit)),
            "asks": self.texts(self.levels(-1, limit)),
        }
        if self._old is None or now_ms - self._old[0] > _STALE_MS:
            self._old = (now_ms, made)
        return made
