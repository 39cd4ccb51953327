"""The exchange's side of a market of levels in plain Python: what the life of orders must say, from their arrivals.

It is given the rows of the market and the requests as they arrived, and tells what happened to the orders. It shares
nothing with the engine but the constants, and looks at every order for every row.
"""

import math
from dataclasses import dataclass

from hftd.hbt import life
from hftd.types import (
    BUY_EVENT,
    EXCH_EVENT,
    EXPIRED,
    FILLED,
    FOK,
    GTX,
    IOC,
    KIND_MASK,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    REASON_EXPIRED,
    REASON_FOK,
    REASON_NONE,
    REASON_POST_ONLY,
    REASON_UNKNOWN_ORDER,
    SELL_EVENT,
    TRADE_EVENT,
)
from tests.parity.model import Book

COMPARED = (
    "ts", "order_id", "kind", "cause", "qty", "leaves_qty", "front_qty", "exec_px", "event_px", "event_qty",
    "level_qty", "best_bid", "best_ask", "status", "reason",
)  # fmt: skip


@dataclass
class Order:
    order_id: int
    side: int
    tick: int
    qty: float
    leaves: float
    time_in_force: int
    order_type: int
    front: float = -1.0
    traded: float = 0.0
    status: int = 0


def half_up(x):
    """To the nearest integer, halves away from zero."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def behind(queue, front, back):
    """The probability that what left stood behind the order."""
    name, n = queue
    if front + back <= 0.0:
        return 1.0
    if name.startswith("log"):
        f = math.log1p
    else:
        f = lambda x: x**n  # noqa: E731
    if name in ("log", "power"):
        return f(back) / (f(back) + f(front))
    if name in ("log2", "power2"):
        return f(back) / f(back + front)
    return 1.0 - f(front / (front + back))


class Slow:
    """Args:
    asset: As `tests.parity.engines` has it.
    shared: Whether orders at one price share a trade.
    """

    def __init__(self, asset, *, shared=False):
        self.asset, self.shared = asset, shared
        self.book = Book(asset.tick_size, asset.lot_size)
        self.orders = []
        self.told = []

    # What is told.

    def tell(
        self, ts, order, kind, cause=0, reason=REASON_NONE, *, rests=True, best=None, level=None, **more
    ):
        bid, ask = best or (self.book.best_bid_tick, self.book.best_ask_tick)
        price = lambda tick: 0.0 if tick is None else tick * self.asset.tick_size  # noqa: E731
        row = dict.fromkeys(COMPARED, 0.0) | {
            "ts": ts, "order_id": order.order_id, "kind": kind, "cause": cause, "reason": reason, "qty": order.qty,
            "leaves_qty": order.leaves, "front_qty": order.front if rests else -1.0, "status": order.status,
            "level_qty": self.level(order.side, order.tick) if level is None else level,
            "best_bid": price(bid), "best_ask": price(ask),
        }  # fmt: skip
        self.told.append(row | more)

    def level(self, side, tick):
        one = self.book.bids if side > 0 else self.book.asks
        return one.levels.get(tick * side, 0.0)

    def own(self, side, ticks=lambda _: True):
        """Own orders of a side, the price that is met first first, then the oldest."""
        found = [order for order in self.orders if order.side == side and ticks(order.tick)]
        return sorted(found, key=lambda order: -order.tick * side)

    def moved(self, ts, order, front, cause, event, **more):
        """The queue ahead of an order is another one."""
        change, order.front = front - order.front, front
        if change != 0.0:
            more |= {"qty": change, "event_px": event[0] * self.asset.tick_size, "event_qty": event[1]}
            self.tell(ts, order, life.LIFE_QUEUE, cause, **more)

    # The market.

    def row(self, row):
        ev, ts = int(row["ev"]), int(row["exch_ts"])
        if not ev & EXCH_EVENT:
            return
        kind, px, qty = ev & KIND_MASK, float(row["px"]), float(row["qty"])
        if kind == TRADE_EVENT and ev & (BUY_EVENT | SELL_EVENT):
            # A buyer takes from the sells.
            self.trade(ts, -1 if ev & BUY_EVENT else 1, half_up(px / self.asset.tick_size), qty)
        elif kind in (1, 4) and ev & (BUY_EVENT | SELL_EVENT):
            self.depth(ts, 1 if ev & BUY_EVENT else -1, ev, px, qty)
        else:
            self.book.apply(ev, px, qty)

    def depth(self, ts, side, ev, px, qty):
        tick = half_up(px / self.asset.tick_size)
        before, best = self.level(side, tick), (self.book.best_bid_tick, self.book.best_ask_tick)
        self.book.apply(ev, px, qty)
        after = self.level(side, tick)
        for order in self.own(side, lambda one: one == tick):
            gone = before - after - order.traded
            cause, front = life.CAUSE_DEPTH, max(order.front, 0.0)
            if self.asset.queue[0] == "risk_adverse":
                cause, front = life.CAUSE_CAP, min(order.front, after)
            elif gone < 0.0:
                cause, front = life.CAUSE_CAP, min(order.front, after)
                order.traded = 0.0
            else:
                back = before - front
                part = behind(self.asset.queue, front, max(back, 0.0))
                front = min(front - (1.0 - part) * gone + min(back - part * gone, 0.0), after)
                order.traded = 0.0
            self.moved(ts, order, front, cause, (tick, after), best=best, level=before)
        now = self.book.best_bid_tick if side > 0 else self.book.best_ask_tick
        was = best[0] if side > 0 else best[1]
        if now is not None and (was is None or (now - was) * side > 0):
            event = (now, self.level(side, now))
            for order in self.own(-side, lambda one: (one - now) * side <= 0):
                self.fill(ts, order, order.leaves, life.CAUSE_CROSSED, event)

    def trade(self, ts, side, tick, qty):
        for order in self.own(side, lambda one: (one - tick) * side > 0):
            self.fill(ts, order, order.leaves, life.CAUSE_TRADED_THROUGH, (tick, qty))
        lot, left = self.asset.lot_size, qty
        for order in self.own(side, lambda one: one == tick):
            given = left if self.shared else qty
            order.traded += qty
            if given <= 0.0:
                continue
            self.moved(ts, order, order.front - given, life.CAUSE_TRADE, (tick, qty))
            lots = half_up(-order.front / lot)
            if lots <= 0:
                # What took from the market's queue takes from that of the orders behind it as well.
                continue
            some = lots * lot
            is_all = not self.asset.partial or half_up((order.leaves - some) / lot) <= 0
            took = order.leaves if is_all else some
            if not is_all:
                self.moved(ts, order, 0.0, life.CAUSE_FILL, (tick, qty))
            self.fill(ts, order, took, life.CAUSE_REACHED, (tick, qty))
            left = given - took if given - took >= 0.5 * lot else 0.0

    def fill(self, ts, order, qty, cause, event, *, price=None):
        order.leaves -= qty
        if half_up(order.leaves / self.asset.lot_size) <= 0:
            order.leaves, order.status = 0.0, FILLED
            self.orders = [one for one in self.orders if one is not order]
        else:
            order.status = PARTIALLY_FILLED
        self.tell(
            ts, order, life.LIFE_FILL, cause, rests=cause != life.CAUSE_TAKEN, qty=qty,
            exec_px=(order.tick if price is None else price) * self.asset.tick_size,
            event_px=event[0] * self.asset.tick_size, event_qty=event[1],
        )  # fmt: skip

    # Requests.

    def arrive(self, row):
        ts, order_id, cause = int(row["ts"]), int(row["order_id"]), row["cause"]
        tick = half_up(float(row["px"]) / self.asset.tick_size)
        there = next((one for one in self.orders if one.order_id == order_id), None)
        qty = float(row["qty"])
        if cause == life.CAUSE_REQUEST_NEW:
            new = Order(
                order_id, int(row["side"]), tick, qty, qty, int(row["time_in_force"]), int(row["order_type"])
            )
            self.match(ts, new)
        elif there is None:
            self.told.append(
                {"ts": ts, "order_id": order_id, "kind": life.LIFE_REJECTED, "reason": REASON_UNKNOWN_ORDER}
            )
        elif cause == life.CAUSE_REQUEST_CANCEL:
            self.orders.remove(there)
            there.status = 4
            self.tell(ts, there, life.LIFE_CANCELED)
        elif tick == there.tick and qty <= there.leaves:
            there.qty = there.leaves = qty
            self.tell(ts, there, life.LIFE_REPLACED)
        else:
            self.orders.remove(there)
            there.tick, there.qty, there.leaves = tick, qty, qty
            self.tell(ts, there, life.LIFE_REPLACED, life.CAUSE_NEW_PLACE, rests=False)
            self.match(ts, there)

    def match(self, ts, order):
        best = self.book.best_ask_tick if order.side > 0 else self.book.best_bid_tick
        is_market = order.order_type == MARKET
        takes = best is not None and (is_market or (order.tick - best) * order.side >= 0)
        if takes and (is_market or order.time_in_force != GTX):
            self.take(ts, order, best)
        elif takes:
            self.expire(ts, order, REASON_POST_ONLY)
        elif is_market or order.time_in_force in (IOC, FOK):
            self.expire(
                ts, order, REASON_FOK if order.time_in_force == FOK and not is_market else REASON_EXPIRED
            )
        else:
            order.status, order.traded = NEW, 0.0
            order.front = self.level(order.side, order.tick)
            self.orders.append(order)
            self.tell(ts, order, life.LIFE_ACCEPTED)

    def expire(self, ts, order, reason):
        order.status = EXPIRED
        self.tell(ts, order, life.LIFE_EXPIRED, reason=reason, rests=False)

    def take(self, ts, order, best):
        side, is_market = order.side, order.order_type == MARKET
        opposite = self.book.asks if side > 0 else self.book.bids
        # The best price as it is kept may be beyond levels that a crossing hid.
        ticks = sorted((level * -side for level in opposite.levels), key=lambda tick: tick * side)
        ticks = [tick for tick in ticks if (tick - best) * side >= 0]
        if not self.asset.partial:
            self.fill(ts, order, order.leaves, life.CAUSE_TAKEN, (best, self.level(-side, best)), price=best)
            return
        within = [tick for tick in ticks if is_market or (tick - order.tick) * side <= 0]
        rests = not is_market and order.time_in_force not in (IOC, FOK)
        if not is_market and order.time_in_force == FOK:
            there = sum(self.level(-side, tick) for tick in within)
            if half_up(there / self.asset.lot_size) < half_up(order.leaves / self.asset.lot_size):
                self.expire(ts, order, REASON_FOK)
                return
        for tick in within:
            if rests and tick == order.tick:
                break
            some = self.level(-side, tick)
            self.fill(ts, order, min(some, order.leaves), life.CAUSE_TAKEN, (tick, some), price=tick)
            if order.status == FILLED:
                return
        if rests:
            event = (order.tick, self.level(-side, order.tick))
            self.fill(ts, order, order.leaves, life.CAUSE_TAKEN, event)
        else:
            self.expire(ts, order, REASON_EXPIRED)


def expected(asset, rows, arrivals, *, shared=False):
    """What the life must tell of the exchange's side after each arrival and each row of the market.

    Args:
        asset: The asset.
        rows: The market's, in order.
        arrivals: The rows of the kind ARRIVAL, in order.
        shared: Whether orders at one price share a trade.

    Returns:
        Rows as dictionaries of what is to be compared.
    """
    slow = Slow(asset, shared=shared)
    market = [row for row in rows if int(row["ev"]) & EXCH_EVENT]
    at = 0
    for arrival in [*arrivals, None]:
        # Data comes before requests of the same time.
        while at < len(market) and (arrival is None or market[at]["exch_ts"] <= arrival["ts"]):
            slow.row(market[at])
            at += 1
        if arrival is not None:
            slow.arrive(arrival)
    return slow.told
