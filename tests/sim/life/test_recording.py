"""Recording the life of orders: what it is asked for, its bounds, and custom models."""

import numpy as np
import pytest
from numba import njit

from hftd.errors import UsageError
from hftd.hbt import life
from hftd.types import (
    FILLED,
    GTX,
    IOC,
    LIMIT,
    NEW,
    REASON_EXCHANGE,
    REASON_NEVER_SENT,
    REASON_UNKNOWN_ORDER,
    REJECTED,
)
from sim import HashMapMarketDepthBacktest
from sim.models import CustomExchange, CustomQueue
from tests.sim.engine.market import START, asset, backtest, levels, rows
from tests.sim.life import checks

pytestmark = pytest.mark.timeout(600)
"""The first test compiles what notes the lives."""

END = ("mark price", 1_000_000, 0.0, 0.0)
STORY = (
    *levels(),
    ("bid", 100, 98.0, 20.0),
    ("sell", 200, 98.0, 3.0),
    ("bid", 300, 98.0, 12.0),
    ("sell", 400, 98.0, 14.0),
    END,
)


@njit
def enter(state, order, market, level_qty):
    order.front_qty = level_qty / 2.0


@njit
def trade(state, order, market, qty):
    order.front_qty -= qty / 2.0


@njit
def depth(state, order, market, before_qty, after_qty):
    order.front_qty = np.nan if after_qty < before_qty else order.front_qty


@njit
def reached(state, order, market):
    # A model may also have its say here.
    order.front_qty = 1.5
    return 0.0


@njit
def admit(state, order, market):
    return order.qty < 5.0


def kinds_of(life_rows, order_id=1):
    return [life.kind_name(row["kind"]) for row in life_rows[life_rows["order_id"] == order_id]]


def test_what_is_ahead_is_what_a_model_of_one_s_own_leaves_and_never_not_a_number():
    made = asset(rows(*STORY)).custom_queue_model(CustomQueue(enter, trade, depth, reached))
    hbt = HashMapMarketDepthBacktest([made])
    hbt.record_life()
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 8.0, GTX, LIMIT, True)
    hbt.elapse(500)
    told = hbt.life()
    checks.is_well_formed(told)
    queue = told[told["kind"] == life.LIFE_QUEUE]
    assert told["front_qty"][told["kind"] == life.LIFE_ACCEPTED].tolist() == [5.0]
    assert list(zip(queue["cause"].tolist(), queue["front_qty"].tolist(), strict=True)) == [
        (life.CAUSE_TRADE, 1.5),
        (life.CAUSE_DEPTH, -1.0),
        (life.CAUSE_TRADE, 1.5),
    ]
    assert queue["qty"].tolist() == [-3.5, -2.5, 2.5]


def test_what_an_exchange_of_one_s_own_does_not_take_expires_for_its_reason():
    hbt = HashMapMarketDepthBacktest([asset(rows(*STORY)).custom_exchange(CustomExchange(admit=admit))])
    hbt.record_life()
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 8.0, GTX, LIMIT, True)
    told = hbt.life()
    assert kinds_of(told) == ["request new", "arrival", "expired", "answer"]
    assert told["reason"][2] == REASON_EXCHANGE


def test_a_request_that_is_refused_on_its_way_never_arrives():
    hbt = backtest(rows(*STORY), entry_ns=-20, response_ns=5)
    hbt.record_life()
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 8.0, GTX, LIMIT, True)
    told = hbt.life()
    assert kinds_of(told) == ["request new", "rejected", "answer"]
    assert told["ts"].tolist() == [START, START, START + 20]
    assert told["reason"][1:].tolist() == [REASON_NEVER_SENT] * 2


def test_a_cancel_that_comes_after_the_fill_is_refused_and_says_so():
    hbt = backtest(rows(*STORY), entry_ns=10, response_ns=20)
    hbt.record_life()
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 2.0, GTX, LIMIT, True)
    hbt.elapse(395 - 30)
    hbt.cancel(0, 1, False)
    hbt.elapse(100)
    told = hbt.life()
    refused = told[told["kind"] == life.LIFE_REJECTED]
    assert refused["ts"].tolist() == [START + 405]
    assert refused["cause"].tolist() == [life.CAUSE_REQUEST_CANCEL]
    assert refused["reason"].tolist() == [REASON_UNKNOWN_ORDER]
    assert kinds_of(told)[-4:] == ["arrival", "rejected", "answer", "answer"]
    assert told["status"][told["kind"] == life.LIFE_ANSWER].tolist() == [NEW, FILLED, REJECTED]


def test_an_order_that_is_moved_tells_of_its_new_place_and_one_that_is_cut_keeps_the_old():
    hbt = backtest(rows(*STORY))
    hbt.record_life()
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 8.0, GTX, LIMIT, True)
    hbt.modify(0, 1, 98.0, 4.0, True)
    hbt.modify(0, 1, 97.0, 4.0, True)
    told = hbt.life()
    replaced = told[told["kind"] == life.LIFE_REPLACED]
    assert replaced["cause"].tolist() == [life.CAUSE_NONE, life.CAUSE_NEW_PLACE]
    assert replaced["front_qty"].tolist() == [10.0, -1.0]
    assert told["front_qty"][told["kind"] == life.LIFE_ACCEPTED].tolist() == [10.0, 10.0]
    assert told["px"][told["kind"] == life.LIFE_ACCEPTED].tolist() == [98.0, 97.0]


def test_rows_beyond_the_bound_are_counted_and_said_and_the_first_ones_are_kept():
    def run(rows_max):
        hbt = backtest(rows(*STORY))
        hbt.record_life(rows_max)
        hbt.elapse(0)
        for order_id in range(1, 9):
            hbt.submit_buy_order(0, order_id, 101.0, 1.0, IOC, LIMIT, True)
        return hbt

    whole, cut = run(None), run(7)
    assert whole.life_dropped == 0
    assert cut.life_dropped == len(whole.life()) - 7
    assert cut.life().tobytes() == whole.life()[:7].tobytes()
    assert any("had no room" in warning for warning in cut.warnings())
    assert not any("had no room" in warning for warning in whole.warnings())


def test_what_can_not_be_recorded_is_an_error_that_says_how_it_can():
    hbt = backtest(rows(*STORY))
    with pytest.raises(UsageError, match="record_life") as caught:
        hbt.life()
    assert "record_life" in str(caught.value)
    for rows_max in (0, -1, 1 << 40):
        with pytest.raises(UsageError, match="can't be kept"):
            hbt.record_life(rows_max)
    hbt.record_life(5)
    with pytest.raises(UsageError, match="already"):
        hbt.record_life(5)
    assert len(hbt.life()) == 0
