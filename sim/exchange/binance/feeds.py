"""The market's streams: what is said of each message of the recorded market, and under which ids.

Update ids are the exchange's, not the instrument's, so an event's ids have holes before them and in them (sheet, 1.4).
Of an event with the ids U..u, a best bid or ask that came with it has an id inside, and comes before it.
"""

import random
from typing import Any, ClassVar, Final

from sim.exchange.binance.product import product_of
from sim.exchange.core import Exchange
from sim.exchange.instruments import Instrument
from sim.exchange.playback.clock import MS, ExchangeClock
from sim.exchange.playback.market import Market
from sim.exchange.playback.tape import Level
from sim.exchange.servers.streams import Collected, Feed

SPEEDS_MS: Final = (100, 250, 500)
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
    """

    tells_rpi: ClassVar[bool] = True

    def __init__(self, exchange: Exchange, instrument: Instrument, market: Market) -> None:
        super().__init__(instrument, market, exchange.streams, exchange.chaos)
        product = product_of(exchange)
        self._pair = product.says.pair(instrument)
        self._product = product.number
        self._ids = exchange.next_id
        seed = exchange.config.exchange.ids_seed
        self._random = random.Random(f"{seed}/{instrument.symbol}/ids")  # noqa: S311 - it must repeat
        self._name = instrument.symbol.lower()
        self._topic = {
            kind: f"{self._name}@{kind}" for kind in ("depth@0ms", "bookTicker", "trade", "aggTrade")
        }
        self.last_id = self._ids(1)
        self._next_first = self._after_last()
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

    def _after_last(self) -> int:
        """The first id of the next event: nearly always with a hole before it."""
        hole = 0 if self._random.random() < 0.03 else 1 + self._random.randrange(60)
        return self.last_id + 1 + hole

    # Messages of the market.

    def on_trade(self, side: int, tick: int, lots: int, time_ms: int, now_ms: int) -> None:
        """See `Feed`."""
        self._trade_id += 1
        self._agg_id += 1
        s, price, qty = self.instrument.symbol, self.instrument.price(tick), self.instrument.qty(lots)
        maker = "false" if side > 0 else "true"
        if self.streams.heard(self._topic["trade"]):
            self._publish(
                self._topic["trade"],
                f'{{"e":"trade","E":{now_ms},"T":{time_ms},"s":"{s}","t":{self._trade_id},"p":"{price}","q":"{qty}"'
                f',"X":"MARKET","m":{maker},"st":{self._product}}}',
            )
        if self.streams.heard(self._topic["aggTrade"]):
            no_rpi = f',"nq":"{qty}"' if self.tells_rpi else ""
            self._publish(
                self._topic["aggTrade"],
                f'{{"e":"aggTrade","E":{now_ms},"s":"{s}","a":{self._agg_id},"p":"{price}","q":"{qty}"{no_rpi}'
                f',"f":{self._trade_id},"l":{self._trade_id},"T":{time_ms},"m":{maker},"st":{self._product}}}',
            )

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
        i = self.instrument
        self._publish(
            topic,
            f'{{"e":"bookTicker","u":{u},"s":"{i.symbol}","ps":"{self._pair}","b":"{i.price(bid[0])}","B":"{i.qty(bid[1])}"'
            f',"a":"{i.price(ask[0])}","A":"{i.qty(ask[1])}","T":{time_ms},"E":{now_ms},"st":{self._product}}}',
        )

    def on_depth(self, bids: list[Level], asks: list[Level], time_ms: int, now_ms: int) -> None:
        """See `Feed`."""
        previous, first = self.last_id, self._next_first
        self.last_id = self._ids(1 + len(bids) + len(asks) + self._random.randrange(40))
        if self.last_id < first:
            self.last_id = self._ids(first - self.last_id + self._random.randrange(40))
        self._next_first = self._after_last()
        self._bbo_since = False
        for collected in self._collected.values():
            collected.add(first, self.last_id, bids, asks, time_ms)
        topic = self._topic["depth@0ms"]
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
            self._publish(topic, self._depth_text(ids, spoiled, asks, time_ms, now_ms))

    def _depth_text(
        self, ids: tuple[int, int, int], bids: list[Level], asks: list[Level], time_ms: int, now_ms: int
    ) -> str:
        s = self.instrument.symbol
        first, last, previous = ids
        return (
            f'{{"e":"depthUpdate","E":{now_ms},"T":{time_ms},"s":"{s}","ps":"{self._pair}","U":{first},"u":{last}'
            f',"pu":{previous},"b":{self._levels_text(bids)},"a":{self._levels_text(asks)},"st":{self._product}}}'
        )

    def _levels_text(self, levels: list[Level]) -> str:
        return "[" + ",".join([f'["{price}","{qty}"]' for price, qty in self.texts(levels)]) + "]"

    def _publish(self, topic: str, text: str) -> None:
        self.streams.publish(topic, text.encode())

    # Streams that collect.

    def on_time(self, market_ns: int, clock: ExchangeClock) -> None:
        """Publish what was collected, at each full interval, and the mark price."""
        now_ms = market_ns // MS
        for speed_ms in SPEEDS_MS:
            topics = self._collecting(speed_ms)
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
                    best = self.levels(1, count), self.levels(-1, count)
                    self._publish(topic, self._depth_text(ids, *best, time_ms, sent_ms))
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

    # What products say differently: parts of messages.

    def mark_text(self, mark: str) -> str:
        """Of the mark price: the mean and the estimated settlement price."""
        return f'"ap":"{mark}","P":"{mark}"'

    def funding_text(self, paid_ms: int) -> str:
        """Of the mark price: the rate, and when it is paid."""
        return f'"r":"0.00010000","T":{paid_ms}'

    def _collecting(self, speed_ms: int) -> list[str]:
        suffixes = [f"@{speed_ms}ms"] if speed_ms != 250 else ["", "@250ms"]
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
