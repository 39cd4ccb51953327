"""A book that moves, made from a seed, and the book that rows of an archive give."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    KIND_MASK,
    SELL_EVENT,
)

EPOCH_MS = 1_733_011_200_000
Side = dict[int, int]
"""Lots by tick."""


class Book:
    """Both sides of a market: 60 levels each around a mid that wanders."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.mid = 20_000
        self.time_ms = EPOCH_MS
        self.bids: Side = {self.mid - k: self._lots() for k in range(1, 61)}
        self.asks: Side = {self.mid + k: self._lots() for k in range(1, 61)}

    def _lots(self) -> int:
        return self.random.randint(1, 5000)

    def step(self) -> None:
        """Let time go on, and some levels change; the mid may jump by more than the spread."""
        self.time_ms += self.random.choice((0, 1, 7, 100))
        self.mid += self.random.choice((0, 0, 0, 0, 1, -1, 2, -3, 12, -12))
        for tick in [tick for tick in self.bids if tick >= self.mid]:
            del self.bids[tick]
        for tick in [tick for tick in self.asks if tick <= self.mid]:
            del self.asks[tick]
        for _ in range(self.random.randint(0, 8)):
            away = self.random.randint(1, 60)
            side, tick = (
                (self.bids, self.mid - away) if self.random.random() < 0.5 else (self.asks, self.mid + away)
            )
            if tick in side and len(side) > 25 and self.random.random() < 0.4:
                del side[tick]
            else:
                side[tick] = self._lots()
        # Never less than the levels that a stream of the first ones sends.
        while len(self.bids) < 25:
            self.bids[min(self.bids, default=self.mid) - 1] = self._lots()
        while len(self.asks) < 25:
            self.asks[max(self.asks, default=self.mid) + 1] = self._lots()

    def top(self, levels: int) -> tuple[Side, Side]:
        """The first levels of both sides, best first."""
        bids = sorted(self.bids, reverse=True)[:levels]
        asks = sorted(self.asks)[:levels]
        return {tick: self.bids[tick] for tick in bids}, {tick: self.asks[tick] for tick in asks}

    def local_ns(self, delay_ns: int = 2_000_000) -> int:
        """When what was just sent arrives; now and then later than what follows."""
        late_ns = self.random.choice((0, 0, 0, 0, 30_000_000))
        return self.time_ms * 1_000_000 + delay_ns + late_ns + self.random.randint(0, 900_000)


def changes(before: Side, after: Side) -> Side:
    """What makes one side of the other."""
    gone = dict.fromkeys(before.keys() - after.keys(), 0)
    return gone | {tick: lots for tick, lots in after.items() if before.get(tick) != lots}


def texts(side: Side) -> list[list[str]]:
    """Levels as exchanges write them."""
    return [[f"{tick / 100:.2f}", f"{lots / 1000:.3f}"] for tick, lots in side.items()]


def followed(rows: np.ndarray) -> Iterator[tuple[int, Side, Side]]:
    """The book after each message, as (local time, bids, asks): rows of equal local time are one message."""
    bids: Side = {}
    asks: Side = {}
    at = 0
    while at < len(rows):
        local_ts = int(rows["local_ts"][at])
        while at < len(rows) and rows["local_ts"][at] == local_ts:
            _apply(rows[at], bids, asks)
            at += 1
        yield local_ts, dict(bids), dict(asks)


def _apply(row: Any, bids: Side, asks: Side) -> None:
    ev, tick = int(row["ev"]), round(float(row["px"]) * 100)
    kind, is_bid, is_ask = ev & KIND_MASK, bool(ev & BUY_EVENT), bool(ev & SELL_EVENT)
    if kind == DEPTH_CLEAR_EVENT:
        if is_bid or not is_ask:
            for other in [other for other in bids if not is_bid or other >= tick]:
                del bids[other]
        if is_ask or not is_bid:
            for other in [other for other in asks if not is_ask or other <= tick]:
                del asks[other]
    elif kind in (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT):
        assert is_bid != is_ask
        side = bids if is_bid else asks
        if row["qty"] > 0:
            side[tick] = round(float(row["qty"]) * 1000)
        else:
            side.pop(tick, None)
