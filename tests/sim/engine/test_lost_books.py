"""A book that the data says is lost for a while."""

import numpy as np
from numpy.typing import NDArray

from hftd.constants import BOOK_INVALID, BOOK_VALID, REASON_BOOK_NOT_VALID
from hftd.rows import BOOK_BACK, BOOK_LOST
from hftd.types import CANCELED, EXCH_EVENT, GTC, LIMIT, LOCAL_EVENT, NEW, event_dtype
from sim.backtest import HashMapMarketDepthBacktest
from sim.feed.asset import BacktestAsset
from tests.sim.engine.market import START, levels, rows

MS = 1_000_000


def market() -> NDArray[np.void]:
    """A book that is lost from 100 ms to 200 ms."""
    marks = np.zeros(4, event_dtype)
    marks["ev"] = [flag | kind for kind in (BOOK_LOST, BOOK_BACK) for flag in (EXCH_EVENT, LOCAL_EVENT)]
    marks["exch_ts"] = marks["local_ts"] = [START + ms * MS for ms in (100, 100, 200, 200)]
    moves = [("bid", ms * MS, 95.0, float(ms)) for ms in range(10, 1000, 10)]
    made = np.concatenate([rows(*levels()), rows(*moves), marks])
    return made[np.argsort(made["local_ts"], kind="stable")]


def backtest(entry_ns: int = 5 * MS):
    asset = BacktestAsset().data([market()]).tick_size(1.0).lot_size(1.0)
    asset.constant_order_latency(entry_ns, 2 * MS)
    return HashMapMarketDepthBacktest([asset])


def test_a_strategy_sees_that_the_book_is_not_valid_and_that_it_is_again():
    hbt = backtest()
    states: list[int] = []
    while hbt.elapse(50 * MS) == 0 and len(states) < 6:
        states.append(hbt.book_state(0))
    assert states == [BOOK_VALID, BOOK_INVALID, BOOK_INVALID, BOOK_VALID, BOOK_VALID, BOOK_VALID]
    assert hbt.close() == 0


def test_quotes_are_pulled_and_new_orders_refused_until_it_is():
    hbt = backtest()
    hbt.pull_quotes()
    hbt.elapse(20 * MS)
    hbt.submit_buy_order(0, 1, 98.0, 1.0, GTC, LIMIT, True)
    hbt.submit_sell_order(0, 2, 103.0, 1.0, GTC, LIMIT, True)
    order = hbt.orders(0).get(1)
    assert order is not None
    assert order.status == NEW
    hbt.elapse(START + 106 * MS - hbt.current_timestamp)
    assert [one.status for one in (hbt.orders(0).get(1), hbt.orders(0).get(2)) if one] == [NEW, NEW]
    hbt.elapse(5 * MS)
    for number in (1, 2):
        order = hbt.orders(0).get(number)
        assert order is not None
        assert order.status == CANCELED
        assert order.reason == REASON_BOOK_NOT_VALID
    hbt.submit_buy_order(0, 3, 98.0, 1.0, GTC, LIMIT, True)
    order = hbt.orders(0).get(3)
    assert order is not None
    assert order.reason == REASON_BOOK_NOT_VALID
    hbt.elapse(START + 210 * MS - hbt.current_timestamp)
    hbt.submit_buy_order(0, 4, 98.0, 1.0, GTC, LIMIT, True)
    order = hbt.orders(0).get(4)
    assert order is not None
    assert order.status == NEW
    assert hbt.close() == 0


def test_an_order_that_is_on_its_way_when_the_book_is_lost_is_pulled_too():
    hbt = backtest(entry_ns=30 * MS)
    hbt.pull_quotes()
    hbt.elapse(90 * MS)
    hbt.submit_buy_order(0, 1, 98.0, 1.0, GTC, LIMIT, False)
    hbt.elapse(START + 150 * MS - hbt.current_timestamp)
    order = hbt.orders(0).get(1)
    assert order is not None
    assert order.status == CANCELED
    assert hbt.close() == 0


def test_without_pulling_orders_stay():
    hbt = backtest()
    hbt.elapse(20 * MS)
    hbt.submit_buy_order(0, 1, 98.0, 1.0, GTC, LIMIT, True)
    hbt.elapse(150 * MS)
    order = hbt.orders(0).get(1)
    assert order is not None
    assert order.status == NEW
    hbt.submit_buy_order(0, 2, 98.0, 1.0, GTC, LIMIT, True)
    order = hbt.orders(0).get(2)
    assert order is not None
    assert order.status == NEW
    assert hbt.close() == 0
