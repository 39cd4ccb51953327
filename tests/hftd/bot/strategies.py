"""What the tests of live bots run. A bot writes what it saw into arrays that the test gave it."""

import numpy as np
from numba import njit

from hftd import (
    BUY,
    CONNECTED,
    DISCONNECTED,
    FILLED,
    GTC,
    GTX,
    LIMIT,
    MARKET,
)
from tests.hftd.bot import told

SECOND = 1_000_000_000


@njit
def watch(hbt):
    """Note each change of what it knows: alerts tell the test. A trade is the end."""
    book = way = 0
    while len(hbt.last_trades(0)) == 0:
        if hbt.elapse(5_000_000) != 0:
            return
        if hbt.book_state(0) != book:
            book = hbt.book_state(0)
            hbt.alert(0, 1, float(book))
        if hbt.connection(0) != way:
            way = hbt.connection(0)
            hbt.alert(0, 2, float(way))


@njit
def rest_and_wait(hbt, orders=3, seconds=60.0):
    """Rest some orders, tell when they are in, and wait; tell what they became when the daemon is back."""
    for i in range(orders):
        hbt.submit_buy_order(0, 100 + i, 99.0 - 0.1 * i, 1.0, GTC, LIMIT, True)
    hbt.alert(0, 10, 0.0)
    end = hbt.current_timestamp + int(seconds * SECOND)
    refused = False
    while hbt.current_timestamp < end:
        if hbt.elapse(5_000_000) != 0:
            return
        if hbt.connection(0) != CONNECTED and not refused:
            refused = True
            code = hbt.submit_buy_order(0, 900, 99.0, 1.0, GTC, LIMIT, False)
            hbt.alert(0, 11, float(code))
        if hbt.connection(0) == CONNECTED and refused:
            break
    hbt.elapse(300_000_000)
    for i in range(orders):
        order = hbt.orders(0).get(100 + i)
        hbt.alert(0, 100 + i, float(order.status))
    hbt.submit_buy_order(0, 901, 98.0, 1.0, GTC, LIMIT, True)
    hbt.alert(0, 12, float(hbt.orders(0).get(901).status))


@njit
def trade(hbt):
    """A little of everything that has an answer."""
    hbt.submit_buy_order(0, 1, 100.2, 0.5, GTC, MARKET, True)
    hbt.submit_buy_order(0, 2, 100.2, 0.5, GTX, LIMIT, True)
    hbt.alert(0, 20, float(hbt.orders(0).get(2).reason))
    hbt.submit_buy_order(0, 3, 99.0, 0.5, GTC, LIMIT, True)
    hbt.modify(0, 3, 98.0, 0.4, True)
    hbt.cancel(0, 3, True)
    hbt.submit_sell_order(0, 4, 100.0, 0.2, GTC, MARKET, True)
    state = hbt.state_values(0)
    hbt.alert(0, 21, state.position)
    hbt.alert(0, 22, state.balance)
    hbt.alert(0, 23, float(state.num_trades))
    hbt.alert(0, 24, state.fee)
    hbt.alert(0, 25, state.trading_volume)
    hbt.alert(0, 26, state.trading_value)
    latency = hbt.order_latency(0)
    if latency is not None:
        hbt.alert(0, 27, float(latency[2] - latency[0]))
    hbt.alert(
        0, 28, 1.0 if hbt.orders(0).get(1).status == FILLED and hbt.orders(0).get(1).side == BUY else 0.0
    )


@njit
def waits(hbt):
    """Time outs on the system's clock; then what comes."""
    start = hbt.current_timestamp
    hbt.alert(0, 30, float(hbt.wait_next_feed(True, 50_000_000)))
    hbt.alert(0, 31, float(hbt.current_timestamp - start))
    start = hbt.current_timestamp
    hbt.alert(0, 32, float(hbt.wait_order_response(0, 77, 50_000_000)))
    hbt.alert(0, 33, float(hbt.current_timestamp - start))
    hbt.alert(0, 34, 0.0)
    hbt.alert(0, 35, float(hbt.wait_next_feed(False, 30 * SECOND)))
    latency = hbt.feed_latency(0)
    if latency is not None:
        hbt.alert(0, 36, float(latency[1] - latency[0]))
    hbt.submit_buy_order(0, 1, 99.0, 0.5, GTC, LIMIT, False)
    hbt.alert(0, 37, float(hbt.wait_next_feed(True, 30 * SECOND)))
    hbt.alert(0, 38, float(hbt.wait_next_feed(False, 30 * SECOND)))
    hbt.alert(0, 39, float(len(hbt.last_trades(0))))
    hbt.alert(0, 40, hbt.last_trades(0)[0].qty)


@njit
def look(hbt):
    """What is there before anything happens."""
    hbt.alert(0, 50, hbt.position(0))
    hbt.alert(0, 51, float(len(hbt.orders(0))))
    hbt.alert(0, 52, hbt.depth(0).best_bid)
    hbt.alert(0, 53, 1.0 if hbt.depth(0).is_valid else 0.0)
    hbt.alert(0, 54, float(hbt.connection(0)))
    values = hbt.orders(0).values()
    while values.has_next():
        order = values.get()
        hbt.alert(0, 55, order.leaves_qty)


def lag(hbt):
    """Let the market go by, until the test opens the gate."""
    hbt.alert(0, 60, 0.0)
    told.gate.wait(90)
    hbt.elapse(500_000_000)
    hbt.alert(0, 61, hbt.depth(0).bid_qty_at_tick(1000))
    hbt.alert(0, 62, hbt.depth(0).is_valid)


@njit
def chatter(hbt, count=100_000):
    for i in range(count):
        hbt.alert(0, i, 0.0)


def hang(hbt):
    """Wait once, then for nothing that lets time pass until the test lets it go on; then wait again."""
    hbt.elapse(10_000_000)
    hbt.alert(0, 70, 0.0)
    told.gate.wait()
    code = hbt.elapse(3600 * SECOND)
    hbt.alert(0, 71, float(code))
    told.gone_on.set()


@njit
def two_legs(hbt):
    """Rest an order on each leg and tell each change of what a leg is worth, leg * 10 + ...; a trade is the end.

    A leg that is lost is sent an order and a cancel, and their codes are told; of one that is there again, what its
    order has become.
    """
    book, way = np.zeros(2, np.int64), np.full(2, CONNECTED)
    again = np.zeros(2, np.int64)
    for a in range(2):
        hbt.submit_buy_order(a, 100 + a, 99.0, 1.0, GTC, LIMIT, True)
    hbt.alert(0, 5, 0.0)
    while len(hbt.last_trades(0)) == 0:
        if hbt.elapse(5_000_000) != 0:
            return
        for a in range(2):
            if hbt.book_state(a) != book[a]:
                book[a] = hbt.book_state(a)
                hbt.alert(a, a * 10 + 1, float(book[a]))
            if hbt.connection(a) != way[a]:
                way[a] = hbt.connection(a)
                hbt.alert(a, a * 10 + 2, float(way[a]))
                if way[a] == DISCONNECTED:
                    code = hbt.submit_buy_order(a, 200, 98.0, 1.0, GTC, LIMIT, False)
                    hbt.alert(a, a * 10 + 3, float(code))
                    hbt.alert(a, a * 10 + 4, float(hbt.cancel(a, 100 + a, False)))
                else:
                    again[a] = hbt.current_timestamp + SECOND // 5
            if again[a] != 0 and hbt.current_timestamp > again[a]:
                again[a] = 0
                hbt.alert(a, a * 10 + 6, float(hbt.orders(a).get(100 + a).status))


@njit
def timeline(hbt):
    """Tell the rows of two legs as they are seen, leg * 10 + 7, and what was seen too early, 99; a trade is the end."""
    seen = np.zeros(2)
    hbt.alert(0, 5, 0.0)
    while len(hbt.last_trades(0)) == 0:
        if hbt.wait_next_feed(False, 60 * SECOND) == 1:
            return
        for a in range(2):
            qty = hbt.depth(a).bid_qty_at_tick(1000)
            if qty != seen[a]:
                seen[a] = qty
                hbt.alert(a, a * 10 + 7, qty)
            latency = hbt.feed_latency(a)
            if latency is not None and latency[1] > hbt.current_timestamp:
                hbt.alert(a, 99, float(latency[1] - hbt.current_timestamp))


@njit
def whole_sets(hbt, a=0, b=0, is_odd=False, window=1):
    """Says by alert 90 where a step sees parts of two sets; by 91 and 92 how many sets it saw and the last `a`."""
    size = window
    last, seen = 0, size - size
    while hbt.elapse(200_000) == 0:
        first = a
        # A wait in the middle of a step changes nothing in it.
        hbt.elapse(50_000)
        if first != a or b != 2 * a or is_odd != (a % 2 == 1):
            hbt.alert(0, 90, a)
        if a != last:
            last = a
            seen += 1
        if a == 1_000:
            break
    hbt.alert(0, 91, seen)
    hbt.alert(0, 92, last)


def whole_sets_in_python(hbt, a=0, b=0, is_odd=False, window=1):
    """The same, not compiled."""
    size = window
    last, seen = 0, size - size
    while hbt.elapse(200_000) == 0:
        first = a
        hbt.elapse(50_000)
        if first != a or b != 2 * a or is_odd != (a % 2 == 1):
            hbt.alert(0, 90, a)
        if a != last:
            last = a
            seen += 1
        if a == 1_000:
            break
    hbt.alert(0, 91, seen)
    hbt.alert(0, 92, last)
