# pyright: basic
"""The market order by order (level 3): which orders the lots of a level are, and what the exchange says of each.

What happens at the levels is :mod:`sim.generator.flow`'s, and taken down in a log. Here each entry becomes rows.
Lots that join are an order at the end of its price's queue. Lots that trade are the oldest orders', each of which is
told by a fill and by a cancel or a modification. Lots that are cancelled are mostly the newest orders'; one that keeps
a part is modified, which leaves it its place. So the levels that a book makes of these rows are those of the market by
levels of the same seed, at every moment.

Each entry is a message of its own, sent at once, over a line with delays like those of the feed of levels.
"""

from typing import Final

import numpy as np
from numba import njit

from hftd.compiled.jit import caching_in, inline, kernels_dir
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    EXCH_EVENT,
    FILL_EVENT,
    LOCAL_EVENT,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    event_dtype,
)
from sim.generator.chance import exponential, seeded, uniform
from sim.generator.layout import DEPTH, LOG_MAX, WINDOW, log_dtype, market_dtype
from sim.generator.publish import arrival, write_row, write_trade

ORDERS_MAX: Final = 1 << 17
"""Orders that stand at a time; lots that join when there are as many go to the last order at their price."""
_ROWS_MAX = 3 * LOG_MAX + 2 * (ORDERS_MAX + LOG_MAX)
"""Rows of a full log at most: three an entry, and two for each order that trades or is cancelled."""
_STEPS_BACK_MAX = 32

_BOTH = EXCH_EVENT | LOCAL_EVENT

order_dtype = np.dtype(
    [("order_id", "i8"), ("lots", "i8"), ("ahead", "i8"), ("behind", "i8")], align=True
)  # `ahead` and `behind`: numbers of the neighbours in the queue, -1 for none
pool_dtype = np.dtype([("used", "i8"), ("free", "i8"), ("next_id", "i8")], align=True)


@inline
def _write(m, rows, kind, is_bid, exch_ns, local_ns, index, lots, order_id):
    ev = _BOTH | (BUY_EVENT if is_bid else SELL_EVENT) | kind
    write_row(m, rows, ev, exch_ns, local_ns, index, lots)
    rows[m.row_count - 1].order_id = order_id


@inline
def _join(m, p, oldest, newest, orders, rows, index, is_bid, lots, exch_ns, local_ns):
    """Lots join a level as an order, behind all."""
    last = newest[index]
    if p.free >= 0:
        number = p.free
        p.free = orders[number].behind
    elif p.used < len(orders):
        number = p.used
        p.used += 1
    elif last >= 0:
        orders[last].lots += lots
        _write(
            m,
            rows,
            MODIFY_ORDER_EVENT,
            is_bid,
            exch_ns,
            local_ns,
            index,
            orders[last].lots,
            orders[last].order_id,
        )
        return
    else:
        return
    order = orders[number]
    order.order_id = p.next_id
    order.lots = lots
    order.ahead = last
    order.behind = -1
    p.next_id += 1
    if last >= 0:
        orders[last].behind = number
    else:
        oldest[index] = number
    newest[index] = number
    _write(m, rows, ADD_ORDER_EVENT, is_bid, exch_ns, local_ns, index, lots, order.order_id)


@inline
def _leave(m, p, oldest, newest, orders, rows, number, index, is_bid, lots, exch_ns, local_ns):
    """An order loses lots, or goes with all that it has."""
    order = orders[number]
    if lots < order.lots:
        order.lots -= lots
        _write(m, rows, MODIFY_ORDER_EVENT, is_bid, exch_ns, local_ns, index, order.lots, order.order_id)
        return
    _write(m, rows, CANCEL_ORDER_EVENT, is_bid, exch_ns, local_ns, index, order.lots, order.order_id)
    if order.ahead >= 0:
        orders[order.ahead].behind = order.behind
    else:
        oldest[index] = order.behind
    if order.behind >= 0:
        orders[order.behind].ahead = order.ahead
    else:
        newest[index] = order.ahead
    order.behind = p.free
    p.free = number


@inline
def _trade(m, p, oldest, newest, orders, rows, index, is_bid, lots, exch_ns, local_ns):
    """A taker eats lots of the oldest orders at a price."""
    write_trade(m, rows, exch_ns, local_ns, index, lots, not is_bid)
    while lots > 0 and oldest[index] >= 0:
        number = oldest[index]
        filled = min(lots, orders[number].lots)
        _write(m, rows, FILL_EVENT, is_bid, exch_ns, local_ns, index, filled, orders[number].order_id)
        _leave(m, p, oldest, newest, orders, rows, number, index, is_bid, filled, exch_ns, local_ns)
        lots -= filled


@inline
def _cancel(m, p, oldest, newest, orders, rows, index, is_bid, lots, exch_ns, local_ns, s):
    """Orders at a price are cancelled; mostly those that came last."""
    while lots > 0 and newest[index] >= 0:
        number = newest[index]
        for _ in range(_STEPS_BACK_MAX):
            if orders[number].ahead < 0 or uniform(s) < 0.4:
                break
            number = orders[number].ahead
        leaving = min(lots, orders[number].lots)
        _leave(m, p, oldest, newest, orders, rows, number, index, is_bid, leaving, exch_ns, local_ns)
        lots -= leaving


def _begin(markets, pool, oldest, newest, orders, book, rows, now_ns, s):
    """Clear both sides, and add the orders that stand when the market opens: bids down, then asks up.

    Args:
        markets: market_dtype[1], a copy of the instrument's.
        pool: pool_dtype[1].
        oldest: i8[WINDOW], the first order at each price, -1 for none.
        newest: i8[WINDOW], the last one.
        orders: order_dtype[ORDERS_MAX].
        book: i8[WINDOW], lots; bids above zero, asks below.
        rows: event_dtype[_ROWS_MAX].
        now_ns: Exchange time.
        s: u8[4], the generator.
    """
    m = markets[0]
    p = pool[0]
    local_ns = arrival(m, now_ns, 2 * DEPTH, s)
    _write(m, rows, DEPTH_CLEAR_EVENT, True, now_ns, local_ns, m.best_bid, 0, 0)
    _write(m, rows, DEPTH_CLEAR_EVENT, False, now_ns, local_ns, m.best_ask, 0, 0)
    for k in range(WINDOW):
        is_bid = k <= m.best_bid
        index = m.best_bid - k if is_bid else k
        left = book[index] if is_bid else -book[index]
        mean = 0.2 * left
        while left > 0:
            lots = min(1 + int(mean * exponential(s)), left)
            _join(m, p, oldest, newest, orders, rows, index, is_bid, lots, now_ns, local_ns)
            left -= lots


def _go_on(markets, pool, oldest, newest, orders, log, rows, s):
    """Make the rows of a log; arguments as for `_begin`, `log` is log_dtype[LOG_MAX at most]."""
    m = markets[0]
    p = pool[0]
    for i in range(len(log)):
        entry = log[i]
        index, lots, is_bid = entry.index, entry.lots, entry.is_bid != 0
        local_ns = arrival(m, entry.exch_ns, 1, s)
        if lots > 0:
            _join(m, p, oldest, newest, orders, rows, index, is_bid, lots, entry.exch_ns, local_ns)
        elif entry.is_trade != 0:
            _trade(m, p, oldest, newest, orders, rows, index, is_bid, -lots, entry.exch_ns, local_ns)
        else:
            _cancel(m, p, oldest, newest, orders, rows, index, is_bid, -lots, entry.exch_ns, local_ns, s)


with caching_in(kernels_dir(__name__)):
    begin = njit(cache=True, nogil=True)(_begin)
    go_on = njit(cache=True, nogil=True)(_go_on)


class OrderedMarket:
    """The orders of one instrument, and the rows that tell of them.

    Args:
        seed: The run's.
        name: The instrument's; each has its own numbers.
        market: market_dtype, the instrument's state when the market opens.
        book: i8[WINDOW], its levels then.
        now_ns: Exchange time then.
    """

    def __init__(self, seed: int, name: str, market: np.void, book: np.ndarray, now_ns: int) -> None:
        self._markets = np.array([market], market_dtype)
        self._markets["row_count"] = 0
        self._rows = np.empty(_ROWS_MAX, event_dtype)
        pool = np.zeros(1, pool_dtype)
        pool["free"] = -1
        pool["next_id"] = 1
        queues = np.full((2, WINDOW), -1, np.int64)
        self._state = (self._markets, pool, queues[0], queues[1], np.zeros(ORDERS_MAX, order_dtype))
        self._chance = seeded(seed, f"orders/{name}")
        begin(*self._state, book, self._rows, now_ns, self._chance)

    def take(self, log: np.ndarray) -> np.ndarray:
        """The rows of a log (log_dtype), behind what the opening has left: event_dtype, in order on both clocks."""
        assert log.dtype == log_dtype
        go_on(*self._state, log, self._rows, self._chance)
        taken = self._rows[: int(self._markets["row_count"][0])].copy()
        self._markets["row_count"] = 0
        return taken
