"""Custom models: a pro-rata queue, a latency that grows with the message rate, a fee tiered by volume.

Run by the tests; copy what you need.
"""

import numpy as np
from numba import njit

from sim import CustomFee, CustomLatency, CustomQueue

# --- A pro-rata queue ---------------------------------------------------------------------------------------------
#
# A trade is shared among all orders at its price in proportion to their quantity, whoever came first. `user0` of an
# order keeps the quantity of its level, `user1` what it has earned and not been given yet.


@njit
def pro_rata_enter(state, order, market, level_qty):
    """The level's quantity does not hold ours."""
    order.user0 = level_qty
    order.user1 = 0.0


@njit
def pro_rata_trade(state, order, market, qty):
    """Our share of the trade, by quantity."""
    total = order.user0 + order.leaves_qty
    order.user1 += qty * order.leaves_qty / total
    order.user0 = max(order.user0 - qty, 0.0)


@njit
def pro_rata_depth(state, order, market, before_qty, after_qty):
    """Others came or went."""
    order.user0 = after_qty


@njit
def pro_rata_reached(state, order, market):
    """Whole lots only: allocations are rounded down, the rest is kept for the next trade."""
    lots = np.floor(order.user1 / market.lot_size + 1e-9)
    if lots < state.least_lots:
        return 0.0
    order.user1 -= lots * market.lot_size
    return lots * market.lot_size


def pro_rata_queue(least_lots: int = 1) -> CustomQueue:
    """A pro-rata queue that gives no less than so many lots at a time; use it with partial fills."""
    state = np.array([(least_lots,)], [("least_lots", "f8")])
    return CustomQueue(pro_rata_enter, pro_rata_trade, pro_rata_depth, pro_rata_reached, state)


# --- A latency that grows with the message rate -------------------------------------------------------------------

LOAD = np.dtype(
    [
        ("base_ns", "f8"),
        ("ns_per_row", "f8"),
        ("window_ns", "f8"),
        ("rate", "f8"),
        ("rows", "f8"),
        ("ts", "f8"),
    ]
)


@njit
def _measure(state, market):
    """Rows in a window of time, as an exponential average."""
    passed = max(market.now_ns - state.ts, 0.0)
    rows = market.rows_seen - state.rows
    state.rate = state.rate * np.exp(-passed / state.window_ns) + rows
    state.rows = market.rows_seen
    state.ts = market.now_ns
    return state.rate


@njit
def loaded_entry(state, request, market):
    """A busy matching engine takes longer."""
    return np.int64(state.base_ns + state.ns_per_row * _measure(state, market))


@njit
def loaded_response(state, market):
    """So do its answers."""
    return np.int64(state.base_ns + state.ns_per_row * _measure(state, market))


def loaded_latency(base_ns: float, ns_per_row: float, window_ns: float = 1e8) -> CustomLatency:
    """Base latency, and so much for each row of market data in the last window."""
    state = np.zeros(1, LOAD)
    state["base_ns"], state["ns_per_row"], state["window_ns"] = base_ns, ns_per_row, window_ns
    return CustomLatency(loaded_entry, loaded_response, state)


# --- A fee tiered by traded volume ----------------------------------------------------------------------------------

TIERS = np.dtype([("value", "f8"), ("from_value", "f8", (3,)), ("maker", "f8", (3,)), ("taker", "f8", (3,))])


@njit
def tiered_fee(state, order, amount):
    """The rate of the tier that the value traded so far has reached."""
    tier = 0
    for i in range(3):
        if state.value >= state.from_value[i]:
            tier = i
    state.value += amount
    return (state.maker[tier] if order.maker != 0 else state.taker[tier]) * amount


def tiered_fees() -> CustomFee:
    """Three tiers."""
    state = np.zeros(1, TIERS)
    state["from_value"] = (0.0, 10_000.0, 50_000.0)
    state["maker"] = (0.0002, 0.0001, -0.00005)
    state["taker"] = (0.0007, 0.0005, 0.0003)
    return CustomFee(tiered_fee, state)
