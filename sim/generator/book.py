# pyright: basic
"""One simulated book: levels that are added to, cancelled from and eaten.

`book` holds signed lots by window index (bids above zero, asks below), `changed` the indices that changed
since the last depth message, `dirty` a mark on each of those. `log` takes down each order that joins or leaves a level,
if the instrument is wanted order by order (:mod:`sim.generator.orders`).
"""

import numpy as np

from hftd.compiled.jit import inline
from hftd.rows import Lots
from sim.generator.chance import exponential, heavy, uniform
from sim.generator.layout import CHANGED_MAX, DEPTH, LEANING_LEVELS, WINDOW

_BIGGEST_LOTS = 20_000


@inline
def mark(m, changed, dirty, index: int):
    """Remember that a level changed. The caller leaves room: see `CHANGED_MAX`."""
    if dirty[index] == 0 and m.changed_count < CHANGED_MAX:
        dirty[index] = 1
        changed[m.changed_count] = index
        m.changed_count += 1


@inline
def note(m, log, index: int, is_bid, lots: Lots, is_trade):
    """Take down that lots joined (above zero) or left (below) a level at the time of the event."""
    if m.is_logged != 0:
        entry = log[m.log_count]
        entry.exch_ns = m.event_ns
        entry.index = index
        entry.lots = lots
        entry.is_bid = is_bid
        entry.is_trade = is_trade
        m.log_count += 1


@inline
def level_target(m, index: int, distance: int, is_bid) -> float:
    """Lots that a level holds on average: much at the touch, little behind it, more at round prices.

    Near the touch it leans to where the fair price will take the quotes, if the instrument's queues do.
    """
    if distance == 0:
        share = 1.0
    else:
        share = m.depth_share + 0.2 * distance / (distance + 150.0)
    if m.lean != 0.0 and distance < LEANING_LEVELS:
        share *= 1.0 + m.lean if is_bid else 1.0 - m.lean
    tick = m.base_tick + index
    if tick % 100 == 0:
        share *= 5.0
    elif tick % 50 == 0:
        share *= 3.0
    elif tick % 10 == 0:
        share *= 1.8
    return m.touch_lots * m.liquidity * share + 1.0


@inline
def _round_lots(lots: Lots) -> Lots:
    """Down to 1, 2, 3 ... 9 times a power of ten, as people type sizes."""
    unit = 1
    while lots >= unit * 10:
        unit *= 10
    return lots // unit * unit


@inline
def order_lots(scale: float, s) -> Lots:
    """The size of an order: heavy-tailed; a third round numbers, a fifth the smallest possible few lots."""
    kind = uniform(s)
    if kind < 0.2:
        return 1 + int(uniform(s) * 5.0)
    lots = min(1 + int(scale * (heavy(s) - 0.7)), _BIGGEST_LOTS)
    return _round_lots(lots) if kind < 0.53 else lots


@inline
def _next_level(book, index: int, step: int) -> int:
    """The next index from `index` on, going by `step`, with orders of that side; -1 if none is near."""
    side = -step
    for _ in range(4 * DEPTH):
        if index <= 0 or index >= WINDOW - 1:
            return -1
        if book[index] * side > 0:
            return index
        index += step
    return -1


@inline
def find_best(m, book, changed, dirty, log, is_bid):
    """Move the best price off an emptied level; a side that ran dry gets an order at once."""
    if is_bid:
        found = _next_level(book, m.best_bid, -1)
        if found < 0:
            found = max(m.best_bid - 1, 1)
            book[found] = int(m.touch_lots)
            note(m, log, found, True, int(m.touch_lots), False)
            mark(m, changed, dirty, found)
        m.best_bid = found
    else:
        found = _next_level(book, m.best_ask, 1)
        if found < 0:
            found = min(m.best_ask + 1, WINDOW - 2)
            book[found] = -int(m.touch_lots)
            note(m, log, found, False, int(m.touch_lots), False)
            mark(m, changed, dirty, found)
        m.best_ask = found


@inline
def add(m, book, changed, dirty, log, index: int, is_bid, lots: Lots):
    """A limit order joins a level; the caller keeps it off the other side."""
    if is_bid:
        book[index] += lots
        m.best_bid = max(m.best_bid, index)
    else:
        book[index] -= lots
        m.best_ask = min(m.best_ask, index)
    note(m, log, index, is_bid, lots, False)
    mark(m, changed, dirty, index)


@inline
def take_away(m, book, changed, dirty, log, index: int, is_bid, lots: Lots, is_trade):
    """Lots leave a level, by a cancel or a trade; the caller takes no more than there are."""
    book[index] += -lots if is_bid else lots
    note(m, log, index, is_bid, -lots, is_trade)
    mark(m, changed, dirty, index)
    if book[index] == 0 and index == (m.best_bid if is_bid else m.best_ask):
        find_best(m, book, changed, dirty, log, is_bid)


@inline
def target_touch(m, is_bid) -> int:
    """The best price that the makers want to show; wider while trades come in a burst."""
    burst = (m.buy_fast + m.sell_fast) / (m.trades_per_ms + 1e-9)
    half_ticks = m.half_ticks + min(0.06 * burst, m.burst_ticks)
    if is_bid:
        return min(int(np.floor(m.anchor - half_ticks)), m.best_ask - 1)
    return max(int(np.ceil(m.anchor + half_ticks)), m.best_bid + 1)


@inline
def update_level(m, book, changed, dirty, log, s):
    """A limit order or a cancel somewhere near the touch, whichever brings the level to its usual size."""
    is_bid = uniform(s) < 0.5
    distance = int(3.0 * (1.0 / uniform(s) - 1.0))
    if distance > DEPTH:
        return
    touch = target_touch(m, is_bid)
    index = touch - distance if is_bid else touch + distance
    if index < 1 or index > WINDOW - 2:
        return
    lots = abs(book[index])
    target = level_target(m, index, distance, is_bid)
    if uniform(s) * (target + lots) < target:
        joining = 1 + int(m.order_share * target * exponential(s))
        add(m, book, changed, dirty, log, index, is_bid, joining)
    elif lots > 0:
        leaving = min(lots, 1 + int(2.0 * m.order_share * target * exponential(s)))
        if uniform(s) < (m.vanish_share if distance == 0 else 0.4):
            leaving = lots
        take_away(m, book, changed, dirty, log, index, is_bid, leaving, False)


@inline
def improve(m, book, changed, dirty, log, is_bid, s):
    """A maker steps into a spread that is wider than it need be."""
    index = target_touch(m, is_bid)
    if index < 1 or index > WINDOW - 2:
        return
    lots = 1 + int(0.15 * m.touch_lots * m.liquidity * exponential(s))
    add(m, book, changed, dirty, log, index, is_bid, lots)


@inline
def pull_stale(m, book, changed, dirty, log, is_bid, s):
    """A maker takes away a quote that the fair price has passed."""
    index = m.best_bid if is_bid else m.best_ask
    lots = abs(book[index])
    leaving = lots if uniform(s) < 0.5 else 1 + int(uniform(s) * (lots - 1))
    take_away(m, book, changed, dirty, log, index, is_bid, leaving, False)


@inline
def fill_book(m, book, changed, dirty, log, s):
    """The book before the first event: `DEPTH` levels of each side, some of them empty."""
    for is_bid in (True, False):
        touch = target_touch(m, is_bid)
        for distance in range(DEPTH):
            index = touch - distance if is_bid else touch + distance
            target = level_target(m, index, distance, is_bid)
            if distance == 0 or uniform(s) < 0.85:
                add(m, book, changed, dirty, log, index, is_bid, 1 + int(target * exponential(s)))
