"""One run of requests on a market of single orders: on the model, on the engine, and on the reference's engine."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from numba import njit

from hftd.types import GTC, GTX, INVALID_MAX, INVALID_MIN, LIMIT, NEW, PARTIALLY_FILLED, TRADE_EVENT
from tests.sim.l3.market import LOT_SIZE, START_TICK, STEP_NS, TICK_SIZE, Market

NOTHING, SUBMIT, CANCEL, MODIFY = range(4)
IDS = 24
NO_TICK = 1 << 60

request_dtype = np.dtype(
    [(name, "i8") for name in ("op", "order_id", "side", "away", "qty", "time_in_force")], align=True
)
seen_dtype = np.dtype(
    [
        ("best", "i8", (2,)),
        ("best_qty", "f8", (2,)),
        ("position", "f8"),
        ("num_trades", "i8"),
        ("status", "i8", (IDS,)),
        ("leaves_qty", "f8", (IDS,)),
        ("exec_tick", "i8", (IDS,)),
    ],
    align=True,
)
account_dtype = np.dtype([(name, "f8") for name in ("balance", "fee", "volume", "value")])


@dataclass
class Case:
    rows: np.ndarray
    requests: np.ndarray
    # What the reference's engine reads must be kept for it, and it writes there.
    kept: list[np.ndarray] = field(default_factory=list)


def make(seed, *, moves=300, market=None, **kinds):
    """A market and what a bot asks for, a request a step."""
    market = market or Market(seed, **kinds)
    rows = market.rows(moves)
    # One more row after everything, so that time goes on until then.
    market.now_ns += 5 * STEP_NS
    market.row(TRADE_EVENT, 1, 0, START_TICK, 1)
    rows = np.array(market.made, rows.dtype)
    rng = np.random.default_rng(seed + 1)
    steps = int((rows["exch_ts"][-1] - rows["exch_ts"][0]) // STEP_NS) - 2
    requests = np.zeros(steps, request_dtype)
    for request in requests:
        request["op"] = rng.choice(4, p=[0.35, 0.4, 0.1, 0.15])
        request["order_id"] = rng.integers(1, IDS)
        request["side"] = 1 if rng.random() < 0.5 else -1
        # Below zero is beyond the best of its own side, so it may take.
        request["away"] = rng.choice([-2, -1, 0, 0, 0, 1, 1, 2, 4])
        request["qty"] = rng.integers(1, 8)
        request["time_in_force"] = GTC if rng.random() < 0.3 else GTX
    return Case(rows, requests)


@njit
def own_tick(side, away, best, opposite):
    """The price of a new order, away from the best of its side; where there is none, from where prices are."""
    if not -NO_TICK < best < NO_TICK:
        return START_TICK - side * (3 + away)
    return best - side * away


@njit
def quiet_tick(side, away, best, opposite):
    """A price to move an order to, so that it does not take."""
    if not -NO_TICK < opposite < NO_TICK:
        return START_TICK - side * (3 + away)
    return opposite - side * (abs(away) + 1)


@njit
def drive(hbt, requests, seen, account, tick_size):
    """Ask for one thing between each two steps of the market, and note what can be seen then."""
    hbt.elapse(500)
    for n in range(len(requests)):
        q = requests[n]
        depth = hbt.depth(0)
        best = depth.best_bid_tick if q.side > 0 else depth.best_ask_tick
        opposite = depth.best_ask_tick if q.side > 0 else depth.best_bid_tick
        order_id = np.uint64(q.order_id)
        orders = hbt.orders(0)
        known = False
        open_ = False
        side = q.side
        values = orders.values()
        while values.has_next():
            order = values.get()
            if order.order_id == order_id:
                known = True
                open_ = order.status == NEW or order.status == PARTIALLY_FILLED
                side = np.int64(order.side)
        if q.op == SUBMIT and not known:
            price = own_tick(q.side, q.away, best, opposite) * tick_size
            if q.side > 0:
                hbt.submit_buy_order(0, q.order_id, price, float(q.qty), q.time_in_force, LIMIT, False)
            else:
                hbt.submit_sell_order(0, q.order_id, price, float(q.qty), q.time_in_force, LIMIT, False)
        elif q.op == CANCEL and open_:
            hbt.cancel(0, q.order_id, False)
        elif q.op == MODIFY and open_:
            opposite = depth.best_ask_tick if side > 0 else depth.best_bid_tick
            price = quiet_tick(side, q.away, best, opposite) * tick_size
            hbt.modify(0, q.order_id, price, float(q.qty), False)
        hbt.elapse(400)
        row = seen[n]
        row.best[0] = depth.best_bid_tick
        row.best[1] = depth.best_ask_tick
        # The quantity at a tick that is no level is that of none.
        row.best_qty[0] = depth.bid_qty_at_tick(depth.best_bid_tick) if row.best[0] != INVALID_MIN else 0.0
        row.best_qty[1] = depth.ask_qty_at_tick(depth.best_ask_tick) if row.best[1] != INVALID_MAX else 0.0
        state = hbt.state_values(0)
        row.position = state.position
        row.num_trades = state.num_trades
        account[n].balance = state.balance
        account[n].fee = state.fee
        account[n].volume = state.trading_volume
        account[n].value = state.trading_value
        values = hbt.orders(0).values()
        while values.has_next():
            order = values.get()
            i = np.int64(order.order_id)
            row.status[i] = np.int64(order.status)
            row.leaves_qty[i] = order.leaves_qty
            row.exec_tick[i] = order.exec_price_tick
        hbt.elapse(STEP_NS - 400)
    return 0


def describe(asset, case, *, whole=True):
    """The asset, on either engine's builder."""
    case.kept.append(case.rows.copy())
    asset.data(case.kept[-1]).tick_size(TICK_SIZE).lot_size(LOT_SIZE).linear_asset(50.0)
    asset.constant_order_latency(1, 1).trading_value_fee_model(0.0001, 0.0003).l3_fifo_queue_model()
    return asset.no_partial_fill_exchange() if whole else asset.partial_fill_exchange()


def on_engine(hbt, case):
    """Returns (what was seen, the account)."""
    seen = np.zeros(len(case.requests), seen_dtype)
    account = np.zeros(len(case.requests), account_dtype)
    drive(hbt, case.requests, seen, account, TICK_SIZE)
    hbt.close()
    return seen, account


def on_model(model, case):
    """What is to be seen."""
    seen = np.zeros(len(case.requests), seen_dtype)
    rows = list(case.rows)
    start_ns = int(rows[0]["exch_ts"])
    for n, q in enumerate(case.requests):
        while rows and int(rows[0]["exch_ts"]) <= start_ns + n * STEP_NS:
            model.row(rows.pop(0))
        _ask(model, SimpleNamespace(**{name: int(q[name]) for name in q.dtype.names}))
        out = seen[n]
        for i, side in enumerate((1, -1)):
            out["best"][i] = model.best[side]
            out["best_qty"][i] = model.qty(side, model.best[side])
        out["position"], out["num_trades"] = model.position, model.trades
        for order in model.own.values():
            out["status"][order.order_id] = order.status
            out["leaves_qty"][order.order_id] = order.qty
            out["exec_tick"][order.order_id] = order.exec_tick
    return seen


def _ask(model, q):
    order = model.own.get(q.order_id)
    if q.op == SUBMIT and order is None:
        tick = own_tick.py_func(q.side, q.away, model.best[q.side], model.best[-q.side])
        model.submit(q.order_id, q.side, tick, float(q.qty), q.time_in_force)
        model.own[q.order_id].time_in_force = q.time_in_force
    elif order is not None and order.status in (NEW, PARTIALLY_FILLED):
        if q.op == CANCEL:
            model.cancel(q.order_id)
        elif q.op == MODIFY:
            tick = quiet_tick.py_func(order.side, q.away, model.best[order.side], model.best[-order.side])
            model.modify(q.order_id, tick, float(q.qty), order.time_in_force)


def first_difference(left, right):
    """Where two runs part, as a sentence; empty if they are equal."""
    for name in left.dtype.names:
        differs = np.flatnonzero((left[name] != right[name]).reshape(len(left), -1).any(axis=1))
        if len(differs):
            n = differs[0]
            return f"{name} at step {n}: {left[name][n]} and {right[name][n]}"
    return ""
