"""Sound archives out of a seed: a book that is never crossed, trades at its best prices, both clocks in order."""

import random

import numpy as np

from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)

BOTH = EXCH_EVENT | LOCAL_EVENT
START_NS = 1_723_161_600_000_000_000
TICK_SIZE, LOT_SIZE = 0.1, 0.001
SIDES = {1: BUY_EVENT, -1: SELL_EVENT}


class Market:
    """Makes messages; no row leaves the book crossed or locked, and no two messages share a time."""

    def __init__(self, seed, start_ns=START_NS):
        self.random = random.Random(seed)
        self.exch_ts = start_ns
        self.local_ts = start_ns + 2_000_000
        self.books = {1: set(), -1: set()}
        self.rows = []
        self.sequence = 0

    def row(self, kind, side, tick, lots):
        px, qty = round(tick * TICK_SIZE, 1), round(lots * LOT_SIZE, 3)
        flags = BOTH | kind | SIDES.get(side, 0)
        self.rows.append((flags, self.exch_ts, self.local_ts, px, qty, 0, 0, 0.0))

    def step(self):
        self.exch_ts += self.random.randint(1_000_000, 200_000_000)
        self.local_ts = max(self.local_ts + 1_000, self.exch_ts + self.random.randint(1_000_000, 5_000_000))

    def best(self, side):
        return max(self.books[1]) if side > 0 else min(self.books[-1])

    def snapshot(self):
        for side in (1, -1):
            self.row(DEPTH_CLEAR_EVENT, side, 100_000 - side * 500, 0)
            for k in range(1, 31):
                tick = 100_000 - side * k
                self.books[side].add(tick)
                self.row(DEPTH_SNAPSHOT_EVENT, side, tick, self.random.randint(1, 5000))

    def depth(self):
        self.step()
        for _ in range(self.random.randint(2, 8)):
            side = self.random.choice((1, -1))
            if self.random.random() < 0.4 and len(self.books[side]) > 10:
                tick = self.random.choice(sorted(self.books[side]))
                self.books[side].discard(tick)
                self.row(DEPTH_EVENT, side, tick, 0)
            else:
                tick = self.best(-side) - side * self.random.randint(1, 40)
                self.books[side].add(tick)
                self.row(DEPTH_EVENT, side, tick, self.random.randint(1, 5000))

    def trade(self):
        self.step()
        side = self.random.choice((1, -1))
        self.row(TRADE_EVENT, side, self.best(-side), self.random.randint(1, 900))


def sound_rows(seed, messages=120, start_ns=START_NS):
    """A day with a snapshot, then depth messages and trades; a trade is the last."""
    market = Market(seed, start_ns)
    market.snapshot()
    for _ in range(messages):
        market.trade() if market.random.random() < 0.4 else market.depth()
    market.trade()
    return np.array(market.rows, event_dtype)


def kinds(rows):
    return (rows["ev"] & np.uint64(0xFF)).astype(int)


def message_starts(rows):
    """The numbers of the rows with which a message begins, but for the first message."""
    return np.flatnonzero(np.diff(rows["local_ts"]) != 0) + 1


def changed(rows, number, **fields):
    """A copy with another row."""
    made = rows.copy()
    for name, value in fields.items():
        made[name][number] = value
    return made


def inserted(rows, number, *more):
    """A copy with rows before row `number`; `more` are rows of the archive with fields replaced."""
    return np.concatenate((rows[:number], np.array([row.item() for row in more], event_dtype), rows[number:]))


def like(row, **fields):
    """A row with other fields."""
    made = row.copy()
    for name, value in fields.items():
        made[name] = value
    return made
