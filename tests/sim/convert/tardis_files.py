"""Tardis's CSV files, made from a seed in the format that Tardis documents."""

import gzip
import random
from collections.abc import Iterable
from pathlib import Path

BOOK = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
TICKER = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"
START_US = 1_661_904_000_000_000
TICK = 10
"""Ticks in one unit of price."""


class Day:
    """A market of a day: the lines of its book, trades and best bids and offers.

    Args:
        seed: Of all that happens.
        steps: Messages.
        delay_us: Between the exchange and the recorder; negative where the recorder's clock is behind.
        jitter_us: By how much that varies; more than a few and messages overtake each other.
        snapshots: Snapshots within the day, beside the one with which it begins.
        depth: Levels of a snapshot on each side, at most.
    """

    def __init__(
        self,
        seed: int,
        steps: int = 400,
        *,
        delay_us: int = 3_000,
        jitter_us: int = 2_000,
        snapshots: int = 2,
        depth: int = 8,
        exchange: str = "binance-futures",
        symbol: str = "BTCUSDT",
    ) -> None:
        self.random = random.Random(seed)
        self.name = f"{exchange},{symbol}"
        self.delay_us, self.jitter_us = delay_us, jitter_us
        self.time_us = START_US
        self.local_us = START_US + delay_us
        self.depth = depth
        self.mid = 200_000
        self.bids = {self.mid - k: self._qty() for k in range(1, 30)}
        self.asks = {self.mid + k: self._qty() for k in range(1, 30)}
        self.book: list[str] = []
        self.trades: list[str] = []
        self.ticker: list[str] = []
        self.snapshot()
        again = {steps * (k + 1) // (snapshots + 1) for k in range(snapshots)}
        for step in range(steps):
            if step in again:
                self.snapshot()
            self.random.choice((self.change, self.change, self.trade, self.best))()

    def _qty(self) -> int:
        return self.random.randint(1, 5000)

    def _stamp(self) -> str:
        self.time_us += self.random.choice((0, 7, 1_000, 25_000))
        late = self.random.randint(0, self.jitter_us) if self.jitter_us else 0
        self.local_us = max(self.local_us, self.time_us + self.delay_us + late)
        return f"{self.name},{self.time_us},{self.local_us}"

    def snapshot(self) -> None:
        stamp = self._stamp()
        for side, levels in (("bid", sorted(self.bids, reverse=True)), ("ask", sorted(self.asks))):
            of_side = self.bids if side == "bid" else self.asks
            self.book += [
                f"{stamp},true,{side},{_px(tick)},{_qty(of_side[tick])}" for tick in levels[: self.depth]
            ]

    def change(self) -> None:
        stamp = self._stamp()
        self.mid += self.random.randint(-2, 2)
        for side, levels in (("bid", self.bids), ("ask", self.asks)):
            sign = -1 if side == "bid" else 1
            for tick in [tick for tick in levels if (tick - self.mid) * sign <= 0]:
                del levels[tick]
                self.book.append(f"{stamp},false,{side},{_px(tick)},0")
            for _ in range(self.random.randint(1, 4)):
                tick = self.mid + sign * self.random.randint(1, 40)
                levels[tick] = 0 if self.random.random() < 0.3 else self._qty()
                self.book.append(f"{stamp},false,{side},{_px(tick)},{_qty(levels[tick])}")
                if not levels[tick]:
                    del levels[tick]

    def trade(self) -> None:
        side = self.random.choice(("buy", "buy", "sell", "sell", "unknown"))
        tick = self.mid + self.random.randint(-1, 1)
        number = self.random.randint(1, 1 << 40)
        self.trades.append(f"{self._stamp()},{number},{side},{_px(tick)},{_qty(self._qty())}")

    def best(self) -> None:
        bid, ask = max(self.bids), min(self.asks)
        bid, ask = min(bid + self.random.randint(0, 1), ask - 1), ask
        self.bids[bid] = self._qty()
        self.ticker.append(
            f"{self._stamp()},{_qty(self.asks[ask])},{_px(ask)},{_px(bid)},{_qty(self.bids[bid])}"
        )

    def write(self, folder: Path, suffix: str = ".csv.gz") -> dict[str, Path]:
        """The three files, by kind."""
        kinds = {
            "trades": (TRADES, self.trades),
            "incremental_book_L2": (BOOK, self.book),
            "book_ticker": (TICKER, self.ticker),
        }
        return {
            kind: table(folder / f"{kind}{suffix}", header, lines) for kind, (header, lines) in kinds.items()
        }


def _px(tick: int) -> str:
    return f"{tick / TICK:.1f}"


def _qty(lots: int) -> str:
    return f"{lots / 1000:g}"


def table(path: Path, header: str, lines: Iterable[str]) -> Path:
    """Write a file; packed with gzip if its name says so."""
    text = "".join(f"{line}\n" for line in (header, *lines)).encode()
    path.write_bytes(gzip.compress(text, 6, mtime=0) if path.suffix == ".gz" else text)
    return path
