"""Spot's streams: each instrument has ids of its own, and an event begins where the one before ended.

So there is no `pu`: `U` is always the last `u` + 1 (sheet B.4). A best bid or ask has an id inside the next event's.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from sim.exchange.binance.feeds import BinanceFeed
from sim.exchange.binance.payloads import money
from sim.exchange.binancespot.payloads import padded
from sim.exchange.core import Exchange
from sim.exchange.playback.market import Market
from sim.exchange.playback.tape import Level
from sim.exchange.rules.instruments import Instrument

TRADES_MAX: Final = 1000
_FIRST_ID: Final = 22_415_664_000


class SpotFeed(BinanceFeed):
    """One instrument's streams."""

    speeds: ClassVar[Mapping[int, tuple[str, ...]]] = {100: ("@100ms",), 1000: ("", "@1000ms")}
    # No stream has each event by itself: what can't be subscribed to by this name is never said.
    raw_depth: ClassVar[str] = ""

    def __init__(self, exchange: Exchange, instrument: Instrument, market: Market) -> None:
        super().__init__(exchange, instrument, market)
        self.trades: deque[dict[str, Any]] = deque(maxlen=TRADES_MAX)

    def ids_of(self, exchange: Exchange) -> Callable[[int], int]:
        """Of this instrument alone."""
        last = _FIRST_ID + exchange.config.exchange.ids_seed

        def further(by: int) -> int:
            nonlocal last
            last += by
            return last

        return further

    def after_last(self) -> int:
        """There are no holes."""
        return self.last_id + 1

    def texts(self, levels: Any) -> list[tuple[str, str]]:
        """With 8 digits."""
        return [(padded(price), padded(qty)) for price, qty in super().texts(levels)]

    def on_trade(self, side: int, tick: int, lots: int, time_ms: int, now_ms: int) -> None:
        """See `Feed`."""
        super().on_trade(side, tick, lots, time_ms, now_ms)
        ((price, qty),) = self.texts([(tick, lots)])
        value = money(self.instrument.notional(tick, lots))
        trade = {"id": self._trade_id, "price": price, "qty": qty, "quoteQty": value, "time": time_ms}
        self.trades.append(trade | {"isBuyerMaker": side < 0, "isBestMatch": True})

    def trade_text(self, number: int, price: str, qty: str, maker: str, time_ms: int, now_ms: int) -> str:
        """Of no product; `M` is there and means nothing."""
        return (
            f'{{"e":"trade","E":{now_ms},"s":"{self.instrument.symbol}","t":{number},"p":"{price}","q":"{qty}"'
            f',"T":{time_ms},"m":{maker},"M":true}}'
        )

    def agg_trade_text(
        self, number: int, trade: int, price: str, qty: str, maker: str, time_ms: int, now_ms: int
    ) -> str:
        """The same."""
        return (
            f'{{"e":"aggTrade","E":{now_ms},"s":"{self.instrument.symbol}","a":{number},"p":"{price}","q":"{qty}"'
            f',"f":{trade},"l":{trade},"T":{time_ms},"m":{maker},"M":true}}'
        )

    def best_text(self, number: int, best: str, time_ms: int, now_ms: int) -> str:  # noqa: ARG002
        """Neither kind nor time."""
        return f'{{"u":{number},"s":"{self.instrument.symbol}",{best}}}'

    def depth_text(self, ids: tuple[int, int, int], bids: str, asks: str, time_ms: int, now_ms: int) -> str:  # noqa: ARG002
        """Without the engine's time."""
        first, last, _ = ids
        return (
            f'{{"e":"depthUpdate","E":{now_ms},"s":"{self.instrument.symbol}","U":{first},"u":{last}'
            f',"b":{bids},"a":{asks}}}'
        )

    def best_levels_text(
        self,
        ids: tuple[int, int, int],
        bids: str,
        asks: str,
        time_ms: int,  # noqa: ARG002
        now_ms: int,  # noqa: ARG002
    ) -> str:
        """Neither kind nor symbol."""
        return f'{{"lastUpdateId":{ids[1]},"bids":{bids},"asks":{asks}}}'

    def snapshot(self, limit: int, now_ms: int) -> dict[str, Any]:
        """Without times."""
        made = super().snapshot(limit, now_ms)
        return {name: made[name] for name in ("lastUpdateId", "bids", "asks")}

    def best_query(self) -> dict[str, str]:
        """The best prices as queries have them."""
        best: list[Level] = list(self.best())
        (bid, bid_qty), (ask, ask_qty) = self.texts(best)
        return {"bidPrice": bid, "bidQty": bid_qty, "askPrice": ask, "askQty": ask_qty}
