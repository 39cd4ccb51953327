"""Captures of a Binance futures stream, made from a seed."""

import gzip
import itertools
import json
import random
from pathlib import Path
from typing import Any

EPOCH_MS = 1_661_904_000_000


class Market:
    """A book that moves, and the messages that an exchange sends of it."""

    def __init__(self, seed: int, symbol: str = "BTCUSDT") -> None:
        self.random = random.Random(seed)
        self.symbol = symbol
        self.time_ms = EPOCH_MS
        self.update_id = 1000
        self.trade_id = 1
        self.mid = 200_000

    def _level(self, tick: int, is_gone: bool = False) -> list[str]:
        qty = 0 if is_gone else self.random.randint(1, 5000)
        return [f"{tick / 10:.2f}", f"{qty / 1000:.3f}"]

    def _stamp(self) -> dict[str, Any]:
        self.time_ms += self.random.choice((0, 0, 1, 5, 50))
        return {"E": self.time_ms + 1, "T": self.time_ms, "s": self.symbol}

    def depth(self) -> dict[str, Any]:
        previous, self.update_id = self.update_id, self.update_id + self.random.randint(2, 60)
        away = [self.random.randint(1, 400) for _ in range(self.random.randint(0, 12))]
        bids = [self._level(self.mid - k, self.random.random() < 0.4) for k in sorted(away, reverse=True)]
        asks = [self._level(self.mid + k, self.random.random() < 0.4) for k in sorted(away)]
        ids = {"U": previous + 1, "u": self.update_id, "pu": previous}
        return {"e": "depthUpdate", **self._stamp(), **ids, "b": bids, "a": asks}

    def trade(self, kind: str = "MARKET") -> dict[str, Any]:
        self.trade_id += 1
        px, qty = self._level(self.mid + self.random.choice((-1, 1)))
        m = self.random.random() < 0.5
        return {"e": "trade", **self._stamp(), "t": self.trade_id, "p": px, "q": qty, "X": kind, "m": m}

    def ticker(self) -> dict[str, Any]:
        (bid, bid_qty), (ask, ask_qty) = self._level(self.mid - 1), self._level(self.mid + 1)
        best = {"b": bid, "B": bid_qty, "a": ask, "A": ask_qty}
        return {"e": "bookTicker", "u": self.update_id, **best, **self._stamp()}

    def mark_price(self) -> dict[str, Any]:
        stamp = self._stamp()
        prices = {"p": "20001.10", "P": "20002.20", "i": "20000.55", "r": "0.00010000"}
        return {"e": "markPriceUpdate", **stamp, "T": stamp["T"] + 8 * 3_600_000, **prices}

    def snapshot(self, levels: int = 50) -> dict[str, Any]:
        stamp = self._stamp()
        bids = [self._level(self.mid - 1 - k) for k in range(levels)]
        asks = [self._level(self.mid + 1 + k) for k in range(levels)]
        times = {"E": stamp["E"], "T": stamp["T"]}
        return {"lastUpdateId": self.update_id, **times, "bids": bids, "asks": asks}

    def message(self) -> dict[str, Any]:
        kind = self.random.choice((self.depth, self.depth, self.trade, self.ticker))
        return kind()

    def local_ns(self, delay_ns: int = 2_000_000) -> int:
        """When the last message arrives: now and then later than the next one."""
        late_ns = self.random.choice((0, 0, 0, 40_000_000))
        return self.time_ms * 1_000_000 + delay_ns + late_ns + self.random.randint(0, 900_000)

    def arrived(self, message: dict[str, Any], delay_ns: int = 2_000_000, *, combined: bool = True) -> bytes:
        """The line of the message that was just made."""
        return line(self.local_ns(delay_ns), message, combined=combined)


_STREAMS = {"depthUpdate": "depth@0ms", "trade": "trade", "bookTicker": "bookTicker"}


def line(local_ts: int, message: dict[str, Any], *, combined: bool = True) -> bytes:
    """A line of a capture."""
    if combined and "e" in message:
        stream = _STREAMS.get(message["e"], message["e"])
        message = {"stream": f"{message.get('s', 'btcusdt').lower()}@{stream}", "data": message}
    return f"{local_ts} ".encode() + json.dumps(message, separators=(",", ":")).encode() + b"\n"


def capture(
    seed: int, count: int = 300, *, combined: bool = True, symbol: str = "BTCUSDT", delay_ns: int = 2_000_000
) -> list[bytes]:
    """Lines of one symbol: a snapshot, then messages."""
    market = Market(seed, symbol)
    lines = [market.arrived(market.snapshot(), delay_ns)]
    lines += [market.arrived(market.message(), delay_ns, combined=combined) for _ in range(count)]
    return lines


def steady(lines: list[bytes]) -> list[bytes]:
    """The lines with local times that never go back, as one recorder writes them."""
    times = itertools.accumulate((int(text[:19]) for text in lines), lambda a, b: max(a + 1, b))
    return [b"%d%s" % (time, text[19:]) for time, text in zip(times, lines, strict=True)]


def packed(path: Path, lines: list[bytes]) -> Path:
    """Write a capture with gzip."""
    path.write_bytes(gzip.compress(b"".join(lines), 1))
    return path
