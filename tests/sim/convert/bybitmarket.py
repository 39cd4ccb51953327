"""Captures of Bybit's streams and files of its history, in the documented formats, made from a seed."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

from .books import Book, Side, changes, texts


class BybitMarket:
    """Messages of one symbol; `expected` has the book after each message of the depth, by its local time."""

    def __init__(self, seed: int, symbol: str = "BTCUSDT", *, depth: int = 50) -> None:
        self.book = Book(seed)
        self.random = self.book.random
        self.symbol = symbol
        self.depth = depth
        self.update_id = 1000
        self.seq = 5_000_000
        self.sent: tuple[Side, Side] | None = None
        self.expected: list[tuple[int, Side, Side]] = []
        self.last_local_ns = 0

    def orderbook(self, depth: int | None = None, *, snapshot: bool = False) -> dict[str, Any]:
        """The next message of a depth: a snapshot at first, and always of depth 1."""
        depth = depth or self.depth
        bids, asks = self.book.top(depth)
        is_snapshot = snapshot or depth == 1 or self.sent is None
        self.seq += self.random.randint(1, 300)
        if depth == self.depth:
            self.update_id += 1
            if is_snapshot and self.sent is not None and depth > 1:
                self.update_id = 1
            before = ({}, {}) if is_snapshot or self.sent is None else self.sent
            self.sent = bids, asks
            sides = [texts(changes(before[0], bids)), texts(changes(before[1], asks))]
        else:
            sides = [texts(bids), texts(asks)]
        return {
            "topic": f"orderbook.{depth}.{self.symbol}",
            "type": "snapshot" if is_snapshot else "delta",
            "ts": self.book.time_ms + self.random.randint(2, 9),
            "data": {
                "s": self.symbol,
                "b": sides[0],
                "a": sides[1],
                "u": self.update_id,
                "seq": self.seq,
            },
            "cts": self.book.time_ms,
        }

    def trades(self, *, block: bool = False) -> dict[str, Any]:
        """A message of one to three trades."""
        data = [
            {
                "T": self.book.time_ms,
                "s": self.symbol,
                "S": self.random.choice(("Buy", "Sell")),
                "v": f"{self.random.randint(1, 900) / 1000:.3f}",
                "p": f"{(self.book.mid + self.random.choice((-1, 1))) / 100:.2f}",
                "L": "PlusTick",
                "i": f"{self.random.getrandbits(64):016x}",
                "BT": block,
                "RPI": False,
                "seq": self.seq,
            }
            for _ in range(self.random.randint(1, 3))
        ]
        sent_ms = self.book.time_ms + 1
        return {"topic": f"publicTrade.{self.symbol}", "type": "snapshot", "ts": sent_ms, "data": data}

    def tickers(self) -> dict[str, Any]:
        """A delta with some of the prices."""
        data = {"symbol": self.symbol, "markPrice": "200.01", "openInterest": "5", "fundingRate": "0.0001"}
        if self.random.random() < 0.5:
            data["indexPrice"] = "200.02"
        return {
            "topic": f"tickers.{self.symbol}",
            "type": "delta",
            "data": data,
            "cs": self.seq,
            "ts": self.book.time_ms,
        }

    def next_message(self) -> dict[str, Any]:
        """A book or trades, a little later."""
        self.book.step()
        if self.random.random() < 0.3:
            return self.trades()
        return self.orderbook(snapshot=self.random.random() < 0.02)

    def line(self, message: dict[str, Any], delay_ns: int = 12_000_000) -> bytes:
        """The line of the message that was just made, which arrives behind the one before."""
        local_ns = max(self.book.local_ns(delay_ns), self.last_local_ns + 1)
        self.last_local_ns = local_ns
        if message["topic"].startswith(f"orderbook.{self.depth}.") and self.sent is not None:
            self.expected.append((local_ns, *self.sent))
        return b"%d %s\n" % (local_ns, packed_json(message))


def packed_json(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def capture(seed: int, count: int = 300, **market: Any) -> list[bytes]:
    """Lines of one symbol: a snapshot of its book, then messages."""
    made = BybitMarket(seed, **market)
    lines = [made.line(made.orderbook())]
    return lines + [made.line(made.next_message()) for _ in range(count)]


TRADES_HEADER = (
    b"timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional\n"
)


def history(seed: int, count: int = 200, symbol: str = "XRPUSDT") -> tuple[list[bytes], list[bytes]]:
    """Lines of an order book archive, and of the trade file of that time with its header."""
    market = BybitMarket(seed, symbol, depth=500)
    books = [packed_json(market.orderbook()) + b"\n"]
    trades = [TRADES_HEADER]
    for _ in range(count):
        market.book.step()
        books.append(packed_json(market.orderbook(snapshot=market.random.random() < 0.02)) + b"\n")
        for _ in range(market.random.randint(0, 2)):
            tenth_us = market.book.time_ms * 10 + market.random.randint(0, 9)
            time = f"{tenth_us // 10_000}.{tenth_us % 10_000:04d}".rstrip("0").rstrip(".")
            side = market.random.choice(("Buy", "Sell"))
            px, qty = market.book.mid / 100, market.random.randint(1, 900)
            trades.append(
                f"{time},{symbol},{side},{qty},{px:.4f},PlusTick,8a1c-{qty},{qty * 1e8},{qty},{qty * px:.4f}\n".encode()
            )
    return books, trades


def zipped(path: Path, lines: list[bytes]) -> Path:
    """An order book archive as it is downloaded."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{path.stem}.data", b"".join(lines))
    return path


def packed(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(gzip.compress(b"".join(lines), 1))
    return path
