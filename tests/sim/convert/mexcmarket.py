"""Captures of MEXC, of contracts and of spot's JSON streams, in the documented formats, made from a seed."""

import json
from typing import Any

from .books import Book, Side, changes


class MexcMarket:
    """Messages of one symbol; `expected` has the book after each message of differences, by its local time."""

    def __init__(self, seed: int, *, is_spot: bool = False, levels: int = 20) -> None:
        self.book = Book(seed)
        self.random = self.book.random
        self.is_spot = is_spot
        self.symbol = "SOLUSDT" if is_spot else "BTC_USDT"
        self.levels = levels
        self.version = 4_474_505_330
        self.sent: tuple[Side, Side] = self.book.top(1000)
        self.expected: list[tuple[int, Side, Side]] = []
        self.last_local_ns = 0

    def _levels(self, side: Side) -> list[Any]:
        if self.is_spot:
            return [{"p": f"{tick / 100:.2f}", "v": f"{lots / 1000:.3f}"} for tick, lots in side.items()]
        return [[tick / 100, lots / 1000, 1 + lots % 3] for tick, lots in side.items()]

    def _message(self, name: str, body: dict[str, Any], suffix: str = "") -> dict[str, Any]:
        if self.is_spot:
            stream = f"spot@public.{name}.v3.api"
            body["e"] = stream
            return {
                "c": f"{stream}@{self.symbol}{suffix}",
                "d": body,
                "s": self.symbol,
                "t": self.book.time_ms,
            }
        sent_ms = self.book.time_ms + 4
        return {"symbol": self.symbol, "data": body, "channel": f"push.{name}", "ts": sent_ms}

    def depth(self, count: int = 1) -> dict[str, Any]:
        """The changes since the last message, as `count` versions."""
        before, self.sent = self.sent, self.book.top(1000)
        sides = [self._levels(changes(old, new)) for old, new in zip(before, self.sent, strict=True)]
        begin, self.version = self.version + 1, self.version + count
        if self.is_spot:
            body = {name: side for name, side in zip(("bids", "asks"), sides, strict=True) if side}
            return self._message("increase.depth", {**(body or {"bids": []}), "r": str(self.version)})
        body = {"asks": sides[1], "bids": sides[0], "version": self.version, "cts": self.book.time_ms}
        if count > 1:
            body |= {"begin": begin, "end": self.version}
        return self._message("depth", body)

    def full(self) -> dict[str, Any]:
        """The first levels of the book that the last differences made."""
        bids = dict(list(self.sent[0].items())[: self.levels])
        asks = dict(list(self.sent[1].items())[: self.levels])
        body: dict[str, Any] = {"bids": self._levels(bids), "asks": self._levels(asks)}
        if self.is_spot:
            return self._message("limit.depth", {**body, "r": str(self.version)}, f"@{self.levels}")
        return self._message("depth.full", {**body, "version": self.version, "cts": self.book.time_ms})

    def answer(self) -> dict[str, Any]:
        """A request's answer: the whole book."""
        body: dict[str, Any] = {
            name: self._levels(side) for name, side in zip(("bids", "asks"), self.sent, strict=True)
        }
        if self.is_spot:
            levels = {name: [list(level.values()) for level in side] for name, side in body.items()}
            return {"lastUpdateId": self.version, **levels, "timestamp": self.book.time_ms}
        return {
            "success": True,
            "code": 0,
            "data": {**body, "version": self.version, "timestamp": self.book.time_ms},
        }

    def deals(self, count: int = 2) -> dict[str, Any]:
        """A message of trades."""
        made: list[dict[str, Any]] = []
        for _ in range(count):
            px = (self.book.mid + self.random.choice((-1, 1))) / 100
            qty = self.random.randint(1, 900)
            side = self.random.choice((1, 2))
            if self.is_spot:
                made.append({"p": f"{px:.2f}", "v": f"{qty / 1000:.3f}", "S": side, "t": self.book.time_ms})
            else:
                made.append({"p": px, "v": qty, "T": side, "O": 3, "M": 1, "t": self.book.time_ms, "i": "1"})
        if self.is_spot:
            return self._message("deals", {"deals": made})
        message = self._message("deal", {})
        # One trade came as an object of its own until 2025.
        message["data"] = made[0] if count == 1 else made
        return message

    def next_message(self) -> dict[str, Any]:
        """Differences, a whole book or trades, a little later."""
        self.book.step()
        kind = self.random.random()
        if kind < 0.25:
            return self.deals(self.random.randint(1, 3))
        return self.full() if kind < 0.4 else self.depth(1 if self.is_spot else self.random.choice((1, 1, 5)))

    def line(self, message: dict[str, Any], delay_ns: int = 12_000_000) -> bytes:
        """The line of the message that was just made, which arrives behind the one before."""
        local_ns = max(self.book.local_ns(delay_ns), self.last_local_ns + 1)
        self.last_local_ns = local_ns
        self.expected.append((local_ns, *self.sent))
        return b"%d %s\n" % (local_ns, json.dumps(message, separators=(",", ":")).encode())


def capture(seed: int, count: int = 300, *, delay_ns: int = 12_000_000, **market: Any) -> list[bytes]:
    """Lines of one symbol: a whole book, then messages."""
    made = MexcMarket(seed, **market)
    lines = [made.line(made.full(), delay_ns)]
    return lines + [made.line(made.next_message(), delay_ns) for _ in range(count)]
