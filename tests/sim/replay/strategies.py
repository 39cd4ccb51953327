"""Strategies that try everything; a test's bots load them by this file's path."""

import json
import types
from pathlib import Path

from numba import njit

from hftd.clock import sleep
from hftd.types import BUY, FOK, GTC, GTX, IOC, LIMIT, MARKET

FIRST_HASH = 1469598103934665603
PRIME = 1099511628211


@njit(nogil=True)
def mixed(state, value):
    """FNV-1a over whole words, kept below 2**62."""
    return ((int(state) ^ int(value)) * PRIME) & 0x3FFFFFFFFFFFFFFF


@njit(nogil=True)
def seen(hbt, state, code):
    """A hash of all that a strategy can see, and of all that it saw before."""
    state = mixed(state, code)
    state = mixed(state, hbt.current_timestamp)
    for asset_no in range(hbt.num_assets):
        state = mixed(state, hbt.book_state(asset_no))
        depth = hbt.depth(asset_no)
        state = mixed(state, depth.best_bid_tick)
        state = mixed(state, depth.best_ask_tick)
        if depth.best_bid_tick > 0 and depth.best_ask_tick < 1 << 40:
            state = mixed(state, int(depth.best_bid_qty * 1e6 + 0.5))
            state = mixed(state, int(depth.best_ask_qty * 1e6 + 0.5))
            for away in range(1, 6):
                state = mixed(state, int(depth.bid_qty_at_tick(depth.best_bid_tick - away) * 1e6 + 0.5))
                state = mixed(state, int(depth.ask_qty_at_tick(depth.best_ask_tick + away) * 1e6 + 0.5))
        state = mixed(state, int(hbt.position(asset_no) * 1e6 + 1e9))
        for trade in hbt.last_trades(asset_no):
            state = mixed(state, trade["local_ts"])
            state = mixed(state, int(trade["px"] * 100.0))
        hbt.clear_last_trades(asset_no)
        feed = hbt.feed_latency(asset_no)
        if feed is not None:
            state = mixed(mixed(state, feed[0]), feed[1])
        order_latency = hbt.order_latency(asset_no)
        if order_latency is not None:
            state = mixed(mixed(mixed(state, order_latency[0]), order_latency[1]), order_latency[2])
        values = hbt.orders(asset_no).values()
        # Their sum, since it does not depend on the order in which they come.
        total = 0
        while values.has_next():
            order = values.get()
            total += order.order_id * 31 + order.status * 7 + order.req * 3 + order.price_tick
            total += int(order.leaves_qty * 1e6 + 0.5) + order.exch_timestamp % 1_000_003
        state = mixed(state, total)
    return state


@njit(nogil=True)
def chaos(hbt, seed=1, longest_ns=200_000_000, actions=1_000_000, waits=True):
    """Do what a hash of everything seen so far says: one difference anywhere, and nothing after it is the same."""
    state = mixed(FIRST_HASH, seed)
    order_id = 1
    code = 0
    for _ in range(actions):
        state = seen(hbt, state, code)
        asset_no = (state >> 7) % hbt.num_assets
        what = (state >> 13) % 20
        number = (state >> 23) & 0xFFFF
        code = 0
        if what < 4:
            code = hbt.elapse((number * 1000) % 20_000_000)
        elif what == 4:
            code = hbt.elapse(0)
        elif what == 5:
            code = hbt.elapse((longest_ns >> 16) * number)
        elif what < 9:
            code = hbt.wait_next_feed(what == 6 or what == 7, number * 1000)
        elif what == 9:
            last = max(order_id - 1 - number % 3, 1)
            code = hbt.wait_order_response(asset_no, last, number * 2000)
        elif what < 15:
            depth = hbt.depth(asset_no)
            if depth.best_bid_tick > 0 and depth.best_ask_tick < 1 << 40:
                away = number % 13 - 3
                kind = (state >> 41) % 12
                time_in_force = GTX if kind < 7 else GTC if kind < 9 else IOC if kind == 9 else FOK
                order_type = MARKET if kind == 11 else LIMIT
                qty = (1 + number % 9) * depth.lot_size
                wait = waits and (state >> 47) % 6 == 0
                if (state >> 37) % 2 == 0:
                    price = (depth.best_bid_tick - away) * depth.tick_size
                    code = hbt.submit_buy_order(
                        asset_no, order_id, price, qty, time_in_force, order_type, wait
                    )
                else:
                    price = (depth.best_ask_tick + away) * depth.tick_size
                    code = hbt.submit_sell_order(
                        asset_no, order_id, price, qty, time_in_force, order_type, wait
                    )
                order_id += 1
        else:
            # An order of the last ones: moved, made smaller or larger, canceled.
            chosen = max(order_id - 1 - number % 7, 1)
            orders = hbt.orders(asset_no)
            if chosen in orders:
                order = orders.get(chosen)
                wait = waits and (state >> 47) % 6 == 0
                if what < 18:
                    move = (number >> 4) % 5 - 2
                    qty = order.leaves_qty + (number % 3 - 1) * hbt.depth(asset_no).lot_size
                    price = (order.price_tick + (move if order.side == BUY else -move)) * order.tick_size
                    code = hbt.modify(asset_no, chosen, price, qty, wait)
                else:
                    code = hbt.cancel(asset_no, chosen, wait)
            if number % 4 == 0:
                hbt.clear_inactive_orders(asset_no)
        if code == 1:
            return


def _plain(function, **names):
    """The same strategy, not compiled."""
    python = function.py_func
    return types.FunctionType(python.__code__, python.__globals__ | names, argdefs=python.__defaults__)


plain_chaos = _plain(chaos, seen=_plain(seen, mixed=mixed.py_func), mixed=mixed.py_func)


@njit(nogil=True)
def sleeps_through(hbt, nap_ns=86_400_000_000_000):
    """One order a side that may rest, then a wait longer than the data."""
    hbt.elapse(1_000_000_000)
    for asset_no in range(hbt.num_assets):
        depth = hbt.depth(asset_no)
        hbt.submit_buy_order(asset_no, 1, depth.best_bid, depth.lot_size, GTX, LIMIT, False)
        hbt.submit_sell_order(asset_no, 2, depth.best_ask, depth.lot_size, GTX, LIMIT, False)
    while hbt.elapse(nap_ns) == 0:
        pass


@njit(nogil=True)
def trades_after_the_end(hbt, wait=False):
    """Sells what it bought when the data is over."""
    hbt.elapse(1_000_000_000)
    price = hbt.depth(0).best_ask
    hbt.submit_buy_order(0, 1, price, 0.005, GTC, MARKET, True)
    while hbt.elapse(10_000_000) == 0:
        pass
    hbt.submit_sell_order(0, 2, price, 0.005, GTC, MARKET, wait)
    # Too short for the way there and back: time goes on while something is on its way.
    for _ in range(20):
        hbt.elapse(400_000)
    hbt.elapse(1_000_000_000)
    hbt.submit_buy_order(0, 3, price * 1.01, 0.003, GTC, LIMIT, wait)
    hbt.elapse(1_000_000_000)


@njit(nogil=True)
def keeps_quoting(hbt, interval_ns=10_000_000, price_ticks=1000):
    """An order on each side far from the market, and then nothing but time."""
    hbt.elapse(interval_ns)
    for asset_no in range(hbt.num_assets):
        depth = hbt.depth(asset_no)
        low = (depth.best_bid_tick - price_ticks) * depth.tick_size
        hbt.submit_buy_order(asset_no, 1, low, depth.lot_size, GTC, LIMIT, False)
    while hbt.elapse(interval_ns) == 0:
        pass


@njit(nogil=True)
def never_waits(hbt):
    """Keeps busy without letting time pass, after a second."""
    hbt.elapse(1_000_000_000)
    while hbt.depth(0).best_bid > 0.0:
        hbt.clear_last_trades(0)


def gate(hbt, path="", after_ns=2_000_000_000):
    """Holds the run up some time after its start, until there is a file."""
    hbt.elapse(after_ns)
    Path(path).with_suffix(".here").touch()
    while not (Path(path).exists() or hbt.stopped):
        sleep(0.005)
    while hbt.elapse(100_000_000) == 0:
        pass


@njit(nogil=True)
def fails_compiled(hbt):
    """Raises after a while."""
    hbt.elapse(1_000_000_000)
    raise ValueError("the strategy's own mistake")


def fails_plain(hbt):
    """Raises after a while."""
    hbt.elapse(1_000_000_000)
    return {}["missing"]


@njit(nogil=True)
def floods(hbt, orders=20_000):
    """Submits more than a ring holds without letting time pass, then counts what arrived."""
    hbt.elapse(1_000_000_000)
    depth = hbt.depth(0)
    price = (depth.best_bid_tick - 500) * depth.tick_size
    sent = 0
    refused = 0
    other = 0
    for order_id in range(1, orders + 1):
        code = hbt.submit_buy_order(0, order_id, price, depth.lot_size, GTC, LIMIT, False)
        if code == 0:
            sent += 1
        elif code == 17:
            refused += 1
        else:
            other += 1
    hbt.elapse(1_000_000_000)
    resting = 0
    values = hbt.orders(0).values()
    while values.has_next():
        order = values.get()
        if order.status == 1 and order.req == 0:
            resting += 1
    # What it found is told by fills: so many lots each.
    best = hbt.depth(0).best_ask
    for number, count in enumerate((sent, refused, other, resting)):
        if count > 0:
            hbt.submit_buy_order(0, orders + 1 + number, best * 1.01, count * 0.001, GTC, LIMIT, True)
    hbt.elapse(1_000_000_000)


def tells_the_book(hbt, path=""):
    """Writes the book that it finds when it comes, then trades a little."""
    depth = hbt.depth(0)
    bids = {}
    asks = {}
    for away in range(400):
        bid_tick, ask_tick = depth.best_bid_tick - away, depth.best_ask_tick + away
        bids[bid_tick] = depth.bid_qty_at_tick(bid_tick)
        asks[ask_tick] = depth.ask_qty_at_tick(ask_tick)
    found = {
        "now_ns": hbt.current_timestamp,
        "bids": {tick: qty for tick, qty in bids.items() if qty > 0},
        "asks": {tick: qty for tick, qty in asks.items() if qty > 0},
        "orders": len(hbt.orders(0)),
    }
    part = Path(path).with_suffix(".part")
    part.write_text(json.dumps(found))
    part.rename(path)
    hbt.elapse(50_000_000)
    hbt.submit_buy_order(0, 1, depth.best_ask * 1.01, 0.002, GTC, LIMIT, True)
    hbt.elapse(50_000_000)


def tells_whether_it_may_trade(hbt, path=""):
    """Writes the state of the book that it finds when it comes and 1.5 s later, and what becomes of an order then."""
    Path(path).with_suffix(".here").touch()
    found = []
    for order_id in (1, 2):
        depth = hbt.depth(0)
        hbt.submit_buy_order(0, order_id, depth.best_bid - 50 * depth.tick_size, 0.002, GTC, LIMIT, True)
        order = hbt.orders(0).get(order_id)
        found.append([hbt.book_state(0), order.status, order.reason])
        hbt.elapse(1_500_000_000)
    part = Path(path).with_suffix(".part")
    part.write_text(json.dumps(found))
    part.rename(path)


@njit(nogil=True)
def asks_too_much(hbt, orders=4_000):
    """Has more and more answers on their way to it, until it is told that it is over."""
    hbt.elapse(1_000_000_000)
    depth = hbt.depth(0)
    price = (depth.best_bid_tick - 500) * depth.tick_size
    order_id = 1
    code = 0
    while code == 0:
        for _ in range(orders):
            hbt.submit_buy_order(0, order_id, price, depth.lot_size, FOK, LIMIT, False)
            order_id += 1
        code = hbt.elapse(1_000_000)
