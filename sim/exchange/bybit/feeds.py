"""The market's topics: books as windows of so many levels, trades, tickers.

A book's topic begins with a snapshot; then come deltas at an interval, each with the next `u`. A level that leaves the
window is sent with quantity 0, one that comes in with what it has, so that after each message both sides have exactly
as many levels as there are, the window's size at most. `seq` (the feed's `last_id`) orders all that is said of an
instrument; it jumps.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sim.exchange.bybit.ids import uuid_of
from sim.exchange.bybit.payloads import trim
from sim.exchange.playback.market import Market
from sim.exchange.playback.tape import BBO, TRADE, Level, Message
from sim.exchange.rules.clock import ExchangeClock
from sim.exchange.rules.instruments import Instrument
from sim.exchange.streams.streams import Feed
from sim.exchange.streams.windows import Window

if TYPE_CHECKING:
    from sim.exchange.core import Exchange

INTERVALS_MS: Final = {1: 10, 50: 20, 200: 100, 1000: 200}
"""How often a book of so many levels is said."""
TOPIC: Final = re.compile(r"(?:orderbook\.(1|50|200|1000)|publicTrade|tickers)\.([A-Z0-9_]+)")
_REPEAT_MS: Final = 3000
_TICKER_MS: Final = 100
_RECENT_MAX: Final = 1000
_FUNDING_MS: Final = 8 * 3_600_000
_encode = msgspec.json.Encoder().encode


class BybitFeed(Feed):
    """One instrument's topics.

    Args:
        exchange: The exchange.
        instrument: The instrument.
        market: Where its book is.
    """

    def __init__(self, exchange: Exchange, instrument: Instrument, market: Market) -> None:
        super().__init__(instrument, market, exchange.streams, exchange.chaos)
        self._clock = exchange.clock
        seed = exchange.config.exchange.ids_seed
        self._random = random.Random(f"{seed}/{instrument.symbol}/seq")  # noqa: S311 - it must repeat
        self.last_id = 546_137_962_055 + self._random.randrange(1 << 20)
        self._windows = {
            depth: Window(depth, 1_000_000 + self._random.randrange(1_000_000)) for depth in INTERVALS_MS
        }
        self._direction = "ZeroPlusTick"
        self._traded_tick = 0
        self._ticker: dict[str, Any] = {}
        self._ticker_interval = 0
        self.recent: list[dict[str, Any]] = []
        """The last trades, the newest last."""

    def play(self, market: Market) -> None:
        """See `Feed`: the service restarts."""
        super().play(market)
        self.restart()

    def restart(self) -> bool:
        """See `Feed`: all books begin again with a snapshot whose `u` is 1."""
        for window in self._windows.values():
            window.number = 0
            if self.streams.heard(self._book(window)):
                self._renew(window)
                self.streams.publish(self._book(window), self._written(window))
            else:
                window.is_live = False
        return True

    # Messages of the market.

    def on_trade(self, side: int, tick: int, lots: int, time_ms: int, now_ms: int) -> None:
        """See `Feed`."""
        before, self._traded_tick = self._traded_tick, tick
        if before and tick != before:
            self._direction = "PlusTick" if tick > before else "MinusTick"
        elif not self._direction.startswith("Zero"):
            self._direction = f"Zero{self._direction}"
        trade = {
            "T": time_ms,
            "s": self.instrument.symbol,
            "S": "Buy" if side > 0 else "Sell",
            "v": self.instrument.qty(lots),
            "p": self.instrument.price(tick),
            "L": self._direction,
            "i": uuid_of(self._random.getrandbits(64), self._random.getrandbits(64)),
            "BT": False,
            "RPI": False,
            "seq": self.last_id,
        }
        self.recent.append(trade)
        if len(self.recent) > 2 * _RECENT_MAX:
            del self.recent[:_RECENT_MAX]
        topic = f"publicTrade.{self.instrument.symbol}"
        if self.streams.heard(topic):
            self.streams.publish(
                topic, _encode({"topic": topic, "type": "snapshot", "ts": now_ms, "data": [trade]})
            )

    def on_message(self, message: Message, time_ms: int, now_ms: int) -> None:
        """See `Feed`: all that is said has its place in the sequence."""
        self.last_id += 1 + self._random.randrange(40)
        if message.kind not in (TRADE, BBO):
            for window in self._windows.values():
                window.is_stale = True
        super().on_message(message, time_ms, now_ms)

    def on_time(self, market_ns: int, clock: ExchangeClock) -> None:
        """See `Feed`: books and tickers, each at its interval."""
        now_ms = clock.stamp_ms(market_ns)
        for depth, window in self._windows.items():
            interval = now_ms // INTERVALS_MS[depth]
            if interval == window.interval:
                continue
            window.interval = interval
            if self.streams.heard(self._book(window)):
                if window.is_stale:
                    self._say_changes(window, now_ms)
                elif depth == 1 and now_ms - window.said_ms >= _REPEAT_MS:
                    window.said_ms = now_ms
                    self.streams.publish(self._book(window), self._written(window))
            else:
                window.is_live = False
        if now_ms // _TICKER_MS != self._ticker_interval:
            self._ticker_interval = now_ms // _TICKER_MS
            self._say_ticker()

    # Books.

    def _book(self, window: Window) -> str:
        return f"orderbook.{window.depth}.{self.instrument.symbol}"

    def _renew(self, window: Window) -> tuple[list[Level], list[Level]]:
        return window.renew(self.levels(1, window.depth), self.levels(-1, window.depth))

    def _say_changes(self, window: Window, now_ms: int) -> None:
        bids, asks = self._renew(window)
        if not bids and not asks:
            window.number -= 1
            return
        window.said_ms = now_ms
        if (spoiled := self.spoiled(bids)) is not None:
            self.streams.publish(self._book(window), self._written(window, (spoiled, asks)))

    def _written(self, window: Window, changed: tuple[list[Level], list[Level]] | None = None) -> bytes:
        """A snapshot, or a delta of what changed; the smallest book has snapshots only."""
        is_delta = changed is not None and window.depth > 1
        bids, asks = (
            [
                (price, qty if lots else "0")
                for (price, qty), (_, lots) in zip(self.texts(side), side, strict=True)
            ]
            for side in (changed if changed is not None and is_delta else window.sides())
        )
        data = {"s": self.instrument.symbol, "b": bids, "a": asks, "u": window.number, "seq": self.last_id}
        kind, sent = {"type": "delta" if is_delta else "snapshot"}, {"ts": self._clock.server_ms()}
        head = {"topic": self._book(window)} | (kind | sent if window.depth > 1 else sent | kind)
        return _encode(head | {"data": data, "cts": self.time_ms})

    def first(self, topic: str) -> bytes | None:
        """With what a topic begins for a new listener; None: with nothing."""
        kind, _, rest = topic.partition(".")
        if kind == "tickers":
            # Others that listen have heard all up to what was said last.
            self._ticker = self._ticker or self.ticker()
            return self._written_ticker("snapshot", self._ticker)
        if kind != "orderbook":
            return None
        window = self._windows[int(rest.partition(".")[0])]
        if not window.is_live:
            self._renew(window)
        return self._written(window)

    def snapshot(self, limit: int, now_ms: int) -> dict[str, Any]:
        """The book as REST gives it; its `u` is that of the largest window."""
        bids, asks = (self.texts(self.levels(side, limit)) for side in (1, -1))
        ids = {"u": self._windows[1000].number, "seq": self.last_id, "ts": now_ms, "cts": self.time_ms}
        return {"s": self.instrument.symbol, "b": bids, "a": asks} | ids

    # Tickers.

    def ticker(self) -> dict[str, Any]:
        """All of a ticker."""
        i, mark_tick = self.instrument, self.mark_tick()
        mark, last = i.price(mark_tick), i.price(self.last_tick or mark_tick)
        (bid, bid_lots), (ask, ask_lots) = self.best()
        paid_ms = (self._clock.server_ms() // _FUNDING_MS + 1) * _FUNDING_MS
        lasts = ("lastPrice", "prevPrice24h", "prevPrice1h", "highPrice24h", "lowPrice24h")
        zeros = ("price24hPcnt", "openInterest", "openInterestValue", "turnover24h", "volume24h")
        said = {"symbol": i.symbol, "tickDirection": self._direction, "markPrice": mark, "indexPrice": mark}
        said |= dict.fromkeys(lasts, last) | dict.fromkeys(zeros, "0")
        said |= {"nextFundingTime": str(paid_ms), "fundingRate": "0.0001", "fundingIntervalHour": "8"}
        said |= {"fundingCap": "0.005", "bid1Price": i.price(bid), "bid1Size": trim(i.qty(bid_lots))}
        return said | {"ask1Price": i.price(ask), "ask1Size": trim(i.qty(ask_lots))}

    def _written_ticker(self, kind: str, data: dict[str, Any]) -> bytes:
        topic = f"tickers.{self.instrument.symbol}"
        sent = {"cs": self.last_id, "ts": self._clock.server_ms()}
        return _encode({"topic": topic, "type": kind, "data": data} | sent)

    def _say_ticker(self) -> None:
        topic = f"tickers.{self.instrument.symbol}"
        if not self.streams.heard(topic):
            self._ticker = {}
            return
        now = self.ticker()
        changed = {key: value for key, value in now.items() if self._ticker.get(key) != value}
        self._ticker = now
        if changed:
            said = {"symbol": self.instrument.symbol} | changed
            self.streams.publish(topic, self._written_ticker("delta", said))
