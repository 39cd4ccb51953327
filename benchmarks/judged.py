"""What the judges of queue models know, as this project's rows and orders, and one order played on them.

Both judges keep exact queues of order-by-order records in Databento's form (add A, cancel C, modify M, trade T, fill F,
clear R) and shadow orders that stand in these queues and move nothing. Each shadow is played by itself, as one order of
a backtest without latency: a bot's own orders would share what is traded.
"""

# pyright: basic

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hftd import GTC, GTX, LIMIT
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    FILL_EVENT,
    LOCAL_EVENT,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)
from sim import BacktestAsset, HashMapMarketDepthBacktest

PRICE_UNIT = 1e-9
"""Both judges have prices as whole billionths."""
SIDES = {"B": BUY_EVENT, "A": SELL_EVENT}
Model = Callable[[BacktestAsset], BacktestAsset]
Outcome = tuple[float, int | None]
"""The filled quantity, and when the first of it was filled."""

LEVEL_3: Model = lambda asset: asset.l3_fifo_queue_model()  # noqa: E731


@dataclass(frozen=True)
class Record:
    """An order-by-order record: nanoseconds, Databento's letters, billionths, lots."""

    ts: int
    action: str
    side: str
    price: int
    size: int
    order_id: int
    is_last: bool = True


@dataclass(frozen=True)
class Order:
    """A shadow order.

    Attributes:
        side: "B" or "A".
        price: Billionths.
        qty: Lots.
        ts: When it is sent.
        until: When it is canceled; None: never.
        latency_ns: On its way there.
        post_only: Whether it is refused where it would take.
    """

    side: str
    price: int
    qty: int
    ts: int
    until: int | None
    latency_ns: int = 0
    post_only: bool = True


def _rows(made: list[tuple[Any, ...]]) -> np.ndarray:
    rows = np.array(
        [(ev, ts, ts, px, qty, order_id, 0, 0.0) for ev, ts, px, qty, order_id in made], event_dtype
    )
    rows["ev"] |= np.uint64(EXCH_EVENT | LOCAL_EVENT)
    return rows


def order_rows(records: list[Record], *, requeues_unchanged: bool) -> np.ndarray:
    """Rows of single orders.

    Args:
        records: In their order.
        requeues_unchanged: A modification to the same price and quantity goes to the end of the queue, as queuetruth
            says of CME. A row of level 3 keeps its place then, so it is told as a cancellation and a new order.
    """
    made: list[tuple[Any, ...]] = []
    there: dict[int, tuple[int, int]] = {}
    for one in records:
        side, price = SIDES.get(one.side, 0), one.price * PRICE_UNIT
        kind, qty = (
            {"A": ADD_ORDER_EVENT, "M": MODIFY_ORDER_EVENT, "F": FILL_EVENT, "T": TRADE_EVENT}.get(
                one.action, CANCEL_ORDER_EVENT
            ),
            one.size,
        )
        if one.action == "R":
            there.clear()
            made.append((DEPTH_CLEAR_EVENT, one.ts, 0.0, 0.0, 0))
            continue
        if one.action == "C":
            # Of a part it is a modification here.
            qty = there.pop(one.order_id, (0, 0))[1] - one.size
            if qty > 0:
                kind = MODIFY_ORDER_EVENT
                there[one.order_id] = one.price, qty
        elif one.action in "AM":
            if requeues_unchanged and there.get(one.order_id) == (one.price, one.size):
                made.append((CANCEL_ORDER_EVENT | side, one.ts, price, one.size, one.order_id))
                kind = ADD_ORDER_EVENT
            there[one.order_id] = one.price, one.size
        made.append((kind | side, one.ts, price, max(qty, 0), one.order_id))
    return _rows(made)


def level_rows(records: list[Record]) -> np.ndarray:
    """Rows of levels: of each event the trades, then the levels as they are behind it."""
    made: list[tuple[Any, ...]] = []
    there: dict[int, tuple[str, int, int]] = {}
    levels: dict[tuple[str, int], int] = {}
    touched: dict[tuple[str, int], None] = {}

    def put(order_id: int, order: tuple[str, int, int] | None) -> None:
        for one, sign in ((there.pop(order_id, None), -1), (order, 1)):
            if one is not None:
                levels[one[:2]] = levels.get(one[:2], 0) + sign * one[2]
                touched[one[:2]] = None
        if order is not None:
            there[order_id] = order

    for one in records:
        if one.action == "R":
            there.clear(), levels.clear(), touched.clear()
            made.append((DEPTH_CLEAR_EVENT, one.ts, 0.0, 0.0, 0))
        elif one.action == "T":
            made.append((TRADE_EVENT | SIDES.get(one.side, 0), one.ts, one.price * PRICE_UNIT, one.size, 0))
        elif one.action in "AM":
            put(one.order_id, (one.side, one.price, one.size))
        elif one.action == "C" and one.order_id in there:
            side, price, qty = there[one.order_id]
            put(one.order_id, (side, price, qty - one.size) if qty > one.size else None)
        if one.is_last:
            for side, price in touched:
                made.append((DEPTH_EVENT | SIDES[side], one.ts, price * PRICE_UNIT, levels[side, price], 0))
            touched.clear()
    return _rows(made)


def play(rows: np.ndarray, tick_size: float, order: Order, model: Model) -> Outcome:
    """What becomes of an order that is alone."""
    asset = (
        BacktestAsset()
        .data([rows])
        .linear_asset(1.0)
        .constant_order_latency(order.latency_ns, 0)
        .tick_size(tick_size)
        .lot_size(1.0)
        .partial_fill_exchange()
    )
    hbt = HashMapMarketDepthBacktest([model(asset)])
    hbt.record_every(1 << 60)
    hbt.elapse(0)
    hbt.elapse(order.ts - hbt.current_timestamp)
    send = hbt.submit_buy_order if order.side == "B" else hbt.submit_sell_order
    send(0, 1, order.price * PRICE_UNIT, float(order.qty), GTX if order.post_only else GTC, LIMIT, False)
    last = int(rows["exch_ts"][-1]) + 1
    hbt.elapse((last if order.until is None else order.until) - hbt.current_timestamp)
    if order.until is not None and order.latency_ns:
        hbt.cancel(0, 1, False)
        hbt.elapse(max(last - hbt.current_timestamp, 0))
    fills = hbt.fills()
    hbt.close()
    return float(fills["qty"].sum()), int(fills["exch_ts"][0]) if len(fills) else None


def level_view(told: list[dict[str, Any]]) -> np.ndarray:
    """queuetruth's view of levels (`l2` of a replay), as rows."""
    made: list[tuple[Any, ...]] = []
    for one in told:
        kind, side, price = one["kind"], chr(one["side"]), one["price"]
        if kind == "clear":
            made.append((DEPTH_CLEAR_EVENT, one["ts_event"], 0.0, 0.0, 0))
        elif kind == "trade":
            side = SIDES.get(chr(one["aggressor"]), 0)
            made.append((TRADE_EVENT | side, one["ts_event"], price * PRICE_UNIT, one["trade_qty"], 0))
        else:
            made.append((DEPTH_EVENT | SIDES[side], one["ts_event"], price * PRICE_UNIT, one["new_qty"], 0))
    return _rows(made)
