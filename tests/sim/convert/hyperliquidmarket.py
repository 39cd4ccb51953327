"""Captures of Hyperliquid, in the documented format, made from a seed."""

import json
from typing import Any

from .books import Book, Side


def _levels(side: Side) -> list[dict[str, Any]]:
    return [
        {"px": f"{tick / 100:.2f}", "sz": f"{lots / 1000:.3f}", "n": 1 + lots % 7}
        for tick, lots in side.items()
    ]


class HyperliquidMarket:
    """Messages of one coin; `expected` has the book after each message of it, by its local time."""

    def __init__(self, seed: int, coin: str = "BTC", *, levels: int = 20) -> None:
        self.book = Book(seed)
        self.random = self.book.random
        self.coin = coin
        self.levels = levels
        self.sent: tuple[Side, Side] = {}, {}
        self.expected: list[tuple[int, Side, Side]] = []
        self.last_local_ns = 0

    def l2_book(self) -> dict[str, Any]:
        """The first levels of both sides."""
        self.sent = self.book.top(self.levels)
        levels = [_levels(side) for side in self.sent]
        return {"channel": "l2Book", "data": {"coin": self.coin, "time": self.book.time_ms, "levels": levels}}

    def trades(self, count: int = 2) -> dict[str, Any]:
        """A message of trades."""
        data = [
            {
                "coin": self.coin,
                "side": self.random.choice("AB"),
                "px": f"{(self.book.mid + self.random.choice((-1, 1))) / 100:.2f}",
                "sz": f"{self.random.randint(1, 900) / 1000:.3f}",
                "hash": "0x00",
                "time": self.book.time_ms,
                "tid": self.random.getrandbits(50),
                "users": ["0x1f", "0x2e"],
            }
            for _ in range(count)
        ]
        return {"channel": "trades", "data": data}

    def bbo(self) -> dict[str, Any]:
        """The best level of each side."""
        bids, asks = self.book.top(1)
        best = [_levels(side)[0] for side in (bids, asks)]
        return {"channel": "bbo", "data": {"coin": self.coin, "time": self.book.time_ms, "bbo": best}}

    def next_message(self) -> dict[str, Any]:
        """A book or trades, a little later."""
        self.book.step()
        return self.trades() if self.random.random() < 0.3 else self.l2_book()

    def line(self, message: dict[str, Any], delay_ns: int = 300_000_000) -> bytes:
        """The line of the message that was just made, which arrives behind the one before."""
        local_ns = max(self.book.local_ns(delay_ns), self.last_local_ns + 1)
        self.last_local_ns = local_ns
        if message["channel"] == "l2Book":
            self.expected.append((local_ns, *self.sent))
        return b"%d %s\n" % (local_ns, json.dumps(message, separators=(",", ":")).encode())


def capture(seed: int, count: int = 300, *, delay_ns: int = 300_000_000, **market: Any) -> list[bytes]:
    """Lines of one coin: its book, then messages."""
    made = HyperliquidMarket(seed, **market)
    lines = [made.line(made.l2_book(), delay_ns)]
    return lines + [made.line(made.next_message(), delay_ns) for _ in range(count)]
