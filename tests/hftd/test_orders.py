"""The local side's table of orders against a dictionary."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from hftd.compiled.layout import asset_dtype
from hftd.hbt.arguments import order_id as signed
from hftd.hbt.hbt import Hbt
from hftd.hbt.local import AssetSpec
from hftd.hbt.orders import add_order, clear_inactive, find_order, order_at, remove_order
from hftd.types import CANCELED, EXPIRED, FILLED, GTX, LIMIT, NEW
from tests.sim.engine.market import backtest, levels, rows

ADD, REMOVE, CLEAR = range(3)


@njit
def drive(asset, ops, ids, statuses, found):
    """Add, remove and clear orders; found[i] is whether the id was known before step i."""
    for i in range(len(ops)):
        address = find_order(asset, ids[i])
        found[i] = address != 0
        if ops[i] == ADD and address == 0:
            order_at(add_order(asset, ids[i])).status = statuses[i]
        elif ops[i] == REMOVE and address != 0:
            # As if nothing were inactive: the count of those is kept by whoever sets a status.
            order_at(address).status = NEW
            remove_order(asset, address)
        elif ops[i] == CLEAR:
            clear_inactive(asset)


GOLDEN_INVERSE = pow(0x9E3779B97F4A7C15, -1, 1 << 64)
"""Its multiples are spread by the index over neighbouring homes: the worst ids for it."""


@st.composite
def histories(draw):
    pool = draw(
        st.sampled_from(
            [
                [n * (1 << 57) for n in range(128)],
                [n * GOLDEN_INVERSE % (1 << 64) for n in range(200)],
                [n << 48 for n in range(200)],
                list(range(300)),
                [(1 << 63) + n for n in range(200)] + list(range(20)),
                [(1 << 64) - 1 - n * n for n in range(200)] + [0],
            ]
        )
    )
    pool = [signed(order_id) for order_id in pool]
    ids = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=400))
    seed = draw(st.integers(0, 1 << 32))
    rng = np.random.default_rng(seed)
    ops = rng.choice([ADD, REMOVE], len(ids), p=[0.7, 0.3])
    return ops.astype(np.int64), np.array(ids, np.int64)


@given(histories())
@settings(max_examples=150, deadline=None)
def test_every_order_is_found_by_its_id_and_listed_by_its_age(history):
    ops, ids = history
    hbt = Hbt([AssetSpec(1.0, 1.0)])
    found = np.zeros(len(ops), np.bool_)
    drive(hbt._asset(0), ops, ids, np.full(len(ops), NEW), found)
    known: dict[int, None] = {}
    for step, (op, order_id) in enumerate(zip(ops.tolist(), ids.tolist(), strict=True)):
        assert found[step] == (order_id in known)
        if op == ADD:
            known.setdefault(order_id)
        else:
            known.pop(order_id, None)
    orders = hbt.orders(0)
    assert [signed(order.order_id) for order in orders.values()] == list(known)
    assert len(orders) == len(known)
    for order_id in set(ids.tolist()):
        assert (order_id in orders) == (order_id in known)
        order = orders.get(order_id)
        assert (order is not None and signed(order.order_id) == order_id) == (order_id in known)


def test_the_memory_of_orders_that_are_gone_is_used_again():
    hbt = Hbt([AssetSpec(1.0, 1.0)])
    ids = np.repeat(np.arange(5000), 2)
    ops = np.tile([ADD, REMOVE], 5000)
    drive(hbt._asset(0), ops, ids, np.full(len(ops), NEW), np.zeros(len(ops), np.bool_))
    assert hbt._assets["orders"]["used_slots"][0] == 1
    assert asset_dtype["orders"]["count"].kind == "i"


def five_orders():
    """A backtest with orders 1 to 5 in the market, of which 2, 3 and 5 are cancelled."""
    hbt = backtest(rows(*levels(), ("mark price", 1000, 0.0, 0.0)))
    hbt.elapse(0)
    for order_id in range(1, 6):
        assert hbt.submit_buy_order(0, order_id, 95.0, 1.0, GTX, LIMIT, True) == 0
    for order_id in (2, 3, 5):
        assert hbt.cancel(0, order_id, True) == 0
    return hbt


def visit(hbt, seen):
    """Visit the orders, and clear the inactive ones when standing behind the first."""
    values = hbt.orders(0).values()
    count = 0
    while values.has_next():
        order = values.get()
        seen[count] = order.order_id
        count += 1
        if count == 1:
            hbt.clear_inactive_orders(0)
    return count


def test_an_iterator_goes_on_behind_orders_that_are_removed_under_it():
    for function in (visit, njit(visit)):
        seen = np.zeros(8, np.int64)
        count = function(five_orders(), seen)
        assert seen[:count].tolist() == [1, 4]


def nest(hbt, seen):
    """Every pair of orders, by two nested loops."""
    count = 0
    outer = hbt.orders(0).values()
    while outer.has_next():
        first = outer.get()
        inner = hbt.orders(0).values()
        while inner.has_next():
            second = inner.get()
            seen[count] = 10 * first.order_id + second.order_id
            count += 1
    return count


def test_loops_over_orders_nest():
    expected = [10 * first + second for first in range(1, 6) for second in range(1, 6)]
    for function in (nest, njit(nest)):
        seen = np.zeros(64, np.int64)
        count = function(five_orders(), seen)
        assert seen[:count].tolist() == expected


def test_only_inactive_orders_are_cleared():
    hbt = five_orders()
    hbt.submit_buy_order(0, 6, 101.0, 1.0, 0, LIMIT, True)  # filled
    hbt.submit_buy_order(0, 7, 101.0, 1.0, GTX, LIMIT, True)  # expired
    hbt.submit_buy_order(0, 8, 95.0, 1.0, GTX, LIMIT, False)  # not answered yet
    status = {order.order_id: order.status for order in hbt.orders(0).values()}
    assert (status[2], status[6], status[7], status[8]) == (CANCELED, FILLED, EXPIRED, 0)
    hbt.clear_inactive_orders(0)
    assert [order.order_id for order in hbt.orders(0).values()] == [1, 4, 8]
