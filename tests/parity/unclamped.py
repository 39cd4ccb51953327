"""The queue models as the reference has them: with a quantity ahead that may be slightly below zero.

Where fills are partial such a front moves by what a trade fills; a run that differs from the reference for that reason
is the same as the reference with these models in place of the built-in ones.
"""

import numpy as np
from numba import njit

from sim import CustomQueue

STATE = np.dtype([("is_log", "i8"), ("form", "i8"), ("n", "f8")])


@njit
def _f(state, x):
    return np.log(1.0 + x) if state.is_log != 0 else x**state.n


@njit
def enter(state, order, market, level_qty):
    """All is ahead, as the engine has it."""


@njit
def trade(state, order, market, qty):
    order.front_qty -= qty
    order.cum_trade_qty += qty


@njit
def depth(state, order, market, before_qty, after_qty):
    decrease = before_qty - after_qty - order.cum_trade_qty
    order.cum_trade_qty = 0.0
    front = order.front_qty
    if decrease >= 0.0:
        back = before_qty - front
        total = front + back if state.form == 3 else _f(state, back)
        total += _f(state, front) if state.form == 1 else 0.0
        if state.form == 2:
            total = _f(state, back + front)
        # Numba's division by zero is an error; the reference takes what is infinite for 1.
        behind = 1.0
        if total != 0.0:
            behind = 1.0 - _f(state, front / total) if state.form == 3 else _f(state, back) / total
        front = front - (1.0 - behind) * decrease + min(back - behind * decrease, 0.0)
    order.front_qty = min(front, after_qty)


@njit
def reached(state, order, market):
    qty = -order.front_qty
    if qty >= 0.5 * market.lot_size:
        order.front_qty = 0.0
        return qty
    return 0.0


def unclamped_queue(name: str, n: float) -> CustomQueue:
    """The model of `engines.Asset.queue`, a probability model."""
    form = 1 if name[-1] not in "23" else int(name[-1])
    return CustomQueue(enter, trade, depth, reached, np.array([(name.startswith("log"), form, n)], STATE))
