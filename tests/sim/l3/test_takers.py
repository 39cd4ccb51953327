"""Who took and who made: own orders on a feed that tells fills of takers and icebergs' refills, as CME's does."""

import os
from pathlib import Path

import numpy as np
import pytest

from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    FILL_EVENT,
    FILLED,
    GTC,
    MODIFY_ORDER_EVENT,
    TRADE_EVENT,
)
from sim import BacktestAsset, HashMapMarketDepthBacktest
from tests.parity.l3 import dbn
from tests.sim.l3.exact import ExactExchange
from tests.sim.l3.market import STEP_NS, TICK_SIZE
from tests.sim.l3.story import buy, describe, rows, sell, upto

ADD, CANCEL, MODIFY, FILL, TRADE = (
    ADD_ORDER_EVENT,
    CANCEL_ORDER_EVENT,
    MODIFY_ORDER_EVENT,
    FILL_EVENT,
    TRADE_EVENT,
)
BOOK = ((1, ADD, 1, 1, 100, 5), (1, ADD, -1, 2, 102, 5))
ROOT = Path(__file__).resolve().parents[3]


def engine(*told, whole=True):
    return HashMapMarketDepthBacktest([describe(BacktestAsset(), rows(*told), whole=whole)])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("side", [1, -1])
def test_the_fill_of_an_order_that_was_moved_to_take_fills_nobody_at_its_old_price(side, whole):
    own, other = (100, 102) if side > 0 else (102, 100)
    behind = (3, ADD, side, 3, own, 5)
    took = (
        (5, TRADE, side, 3, other, 5),
        (5, FILL, side, 3, other, 5),
        (5, FILL, -side, 2 if side > 0 else 1, other, 5),
    )
    gone = ((5, CANCEL, side, 3, own, 5), (5, CANCEL, -side, 2 if side > 0 else 1, other, 5))
    hbt = engine(*BOOK, behind, *took, *gone, whole=whole)
    upto(hbt, 1)
    (buy if side > 0 else sell)(hbt, 1, own, 1)
    upto(hbt, 6)
    assert hbt.position(0) == 0


def test_a_fill_at_a_better_price_than_the_orders_own_is_the_makers():
    # An auction fills all at one price: whoever would have paid more is filled as well.
    hbt = engine(*BOOK, (3, ADD, 1, 3, 100, 5), (5, FILL, 1, 3, 99, 5))
    upto(hbt, 1)
    buy(hbt, 1, 100, 1)
    upto(hbt, 6)
    assert hbt.position(0) == 1


@pytest.mark.parametrize(
    ("told", "position"),
    [
        ([(FILL, 5), (MODIFY, 5)], 1),  # a refill after all of it
        ([(FILL, 3), (MODIFY, 5)], 1),  # and after a part
        ([(FILL, 2), (FILL, 2), (MODIFY, 1)], 0),  # what two fills left
        ([(FILL, 2), (MODIFY, 3), (FILL, 2), (MODIFY, 1)], 0),
        ([(MODIFY, 3), (MODIFY, 2)], 0),
        ([(FILL, 2), (MODIFY, 3), (MODIFY, 2)], 0),
        ([(FILL, 5)], 1),  # the next fill is of a part that was hidden
    ],
)
def test_an_order_with_more_than_its_fills_left_goes_behind_all_at_its_price(told, position):
    events = [(3 + 2 * n, kind, 1, 1, 100, qty) for n, (kind, qty) in enumerate(told)]
    hbt = engine(*BOOK, *events, (31, FILL, 1, 1, 100, 1))
    upto(hbt, 1)
    buy(hbt, 1, 100, 1)
    upto(hbt, 30)
    assert hbt.position(0) == 0
    upto(hbt, 32)
    assert hbt.position(0) == position


def test_a_refill_of_fractions_is_told_from_rounding():
    # 0.7 - 0.1 is less than 0.6.
    hbt = engine((1, ADD, 1, 1, 100, 0.7), BOOK[1], (3, FILL, 1, 1, 100, 0.1), (4, MODIFY, 1, 1, 100, 0.6),
                 (6, FILL, 1, 1, 100, 0.6))  # fmt: skip
    upto(hbt, 1)
    buy(hbt, 1, 100, 1)
    upto(hbt, 7)
    assert hbt.position(0) == 0


def capture_orders():
    """The book of a real session before it began; nothing where there is no capture."""
    folder = Path(os.environ.get("HFTD_TEST_DATA", ROOT / "../shared/data"))
    path = folder / "databento_esh4_mbo_20231224.dbn.zst"
    if not path.exists():
        pytest.skip(f"there is no capture {path}: set HFTD_TEST_DATA")
    found = dbn.read(path)
    found = found[(found["ev"] & 0xFF) == ADD_ORDER_EVENT]
    sides = np.where((found["ev"] & BUY_EVENT) != 0, 1, -1).tolist()
    ticks = np.round(found["px"] / TICK_SIZE).astype(int).tolist()
    return list(zip(found["order_id"].tolist(), sides, ticks, found["qty"].astype(int).tolist(), strict=True))


@pytest.mark.parametrize("market", ["a new market", "the book of a real session"])
def test_shadow_orders_are_filled_when_an_exact_queue_says_so(market):
    steps, every = 4_000, 8
    exchange = ExactExchange(5, capture_orders() if market != "a new market" else ())
    placed = []
    for step in range(2, steps):
        exchange.happen()
        if step % every == 0:
            side = 1 if exchange.rng.random() < 0.5 else -1
            tick = exchange.passive_tick(side, int(exchange.rng.integers(0, 2)))
            placed.append((step, len(placed) + 1, side, tick))
            exchange.place_shadow(len(placed), side, tick)
    exchange.step += 1_000
    exchange.tell(TRADE, 1, 0, 100, 1)
    data = exchange.rows()
    # The feed has both kinds of rows that are to be told apart.
    kinds = data["ev"] & 0xFF
    assert (kinds == FILL).sum() > 300
    hbt = HashMapMarketDepthBacktest([describe(BacktestAsset(), data)])
    hbt.elapse(0)
    for step, order_id, side, tick in placed:
        hbt.elapse(step * STEP_NS + STEP_NS // 2 - hbt.current_timestamp)
        submit = hbt.submit_buy_order if side > 0 else hbt.submit_sell_order
        submit(0, order_id, tick * TICK_SIZE, 1.0, GTC, 0, False)
    hbt.elapse((steps + 100) * STEP_NS - hbt.current_timestamp)
    found = {}
    for shadow in exchange.shadows:
        order = hbt.orders(0).get(shadow.order_id)
        found[shadow.order_id] = order.exch_timestamp // STEP_NS if order.status == FILLED else None
    expected = {shadow.order_id: shadow.reached for shadow in exchange.shadows}
    assert len(expected) > 400
    assert sum(reached is not None for reached in expected.values()) > 200
    wrong = {key: (found[key], reached) for key, reached in expected.items() if found[key] != reached}
    assert wrong == {}
    assert hbt.warnings() == []
