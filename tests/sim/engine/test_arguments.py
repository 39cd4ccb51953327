"""What a plain Python strategy may pass, and what it is told where that is no number."""

import numpy as np
import pytest

from hftd.errors import OrderError
from hftd.hbt.recorder import Recorder
from hftd.types import ALL_ASSETS, ERR_INVALID_REQUEST, ERR_NO_SUCH_ASSET, GTX, LIMIT
from tests.sim.engine.market import backtest, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)
GOOD = {
    "submit_buy_order": (0, 1, 98.0, 1.0, GTX, LIMIT, False),
    "submit_sell_order": (0, 2, 102.0, 1.0, GTX, LIMIT, False),
    "modify": (0, 1, 97.0, 1.0, False),
    "cancel": (0, 1, False),
    "elapse": (1,),
    "wait_next_feed": (True, 1),
    "wait_order_response": (0, 1, 1),
    "clear_inactive_orders": (0,),
    "clear_last_trades": (0,),
    "clear_user_events": (0,),
    "depth": (0,),
    "orders": (0,),
    "position": (0,),
    "state_values": (0,),
    "last_trades": (0,),
    "user_events": (0,),
    "feed_latency": (0,),
    "order_latency": (0,),
    "book_state": (0,),
    "connection": (0,),
    "alert": (0, 1, 1.0),
}
CASES = [(name, at) for name, arguments in GOOD.items() for at in range(len(arguments))]


@pytest.fixture
def hbt():
    made = backtest(rows(*levels(), END))
    made.elapse(0)
    return made


@pytest.mark.parametrize("wrong", [None, "1", [1], 1j, np.arange(2)])
def test_what_is_no_number_is_told_by_its_place_and_nothing_is_done(hbt, wrong):
    for name, at in CASES:
        arguments = list(GOOD[name])
        arguments[at] = wrong
        with pytest.raises(OrderError, match="must be a number"):
            getattr(hbt, name)(*arguments)
    for read in (
        hbt.orders(0).get,
        hbt.orders(0).__contains__,
        hbt.depth(0).bid_qty_at_tick,
        hbt.depth(0).ask_qty_at_tick,
    ):
        with pytest.raises(OrderError, match="must be a number"):
            read(wrong)
    assert (len(hbt.orders(0)), hbt.current_timestamp) == (0, backtest_start(hbt))


def backtest_start(hbt):
    return int(hbt._session["start_ns"][0])


@pytest.mark.parametrize(
    "order_id", [1 << 64, (1 << 64) + 1, -(1 << 63) - 1, 10**30, float("nan"), float("inf")]
)
def test_an_id_that_does_not_fit_is_no_other_order(hbt, order_id):
    assert hbt.submit_buy_order(0, 1, 98.0, 1.0, GTX, LIMIT, True) == 0
    for ask in (
        lambda: hbt.submit_buy_order(0, order_id, 98.0, 1.0, GTX, LIMIT, False),
        lambda: hbt.cancel(0, order_id, False),
        lambda: hbt.modify(0, order_id, 97.0, 1.0, False),
        lambda: hbt.orders(0).get(order_id),
    ):
        with pytest.raises(OrderError, match="the order id is"):
            ask()
    assert [order.order_id for order in hbt.orders(0).values()] == [1]


def test_numbers_that_mean_nothing_have_the_codes_that_compiled_code_gets(hbt):
    for price, qty in ((float("nan"), 1.0), (10**400, 1.0), (98.0, float("nan")), (98.0, -(10**400))):
        assert hbt.submit_buy_order(0, 1, price, qty, GTX, LIMIT, False) == ERR_INVALID_REQUEST
    assert hbt.cancel(7, 1, False) == ERR_NO_SUCH_ASSET
    assert hbt.elapse(float("nan")) == ERR_INVALID_REQUEST
    for clear in (hbt.clear_inactive_orders, hbt.clear_last_trades, hbt.clear_user_events):
        clear(ALL_ASSETS)
        with pytest.raises(IndexError, match="there is no asset 3"):
            clear(3)
        with pytest.raises(OrderError, match="the asset number is"):
            clear(float("nan"))
    with pytest.raises(OrderError, match="the asset number is"):
        hbt.depth(1 << 70)


def test_numbers_of_numpy_are_numbers(hbt):
    assert (
        hbt.submit_buy_order(
            np.int64(0), np.uint64(2**64 - 1), np.float32(98), np.float64(1), GTX, LIMIT, np.bool_(True)
        )
        == 0
    )
    assert np.uint64(2**64 - 1) in hbt.orders(np.int8(0))
    assert hbt.elapse(np.float64(5)) == 0


def test_a_recorder_takes_numbers_and_backtests():
    for made in ((None, 10), (1, "10"), (1, float("nan"))):
        with pytest.raises(OrderError):
            Recorder(*made)
    for hbt in (None, 1, "hbt"):
        with pytest.raises(OrderError, match="can be recorded"):
            Recorder(1, 10).recorder.record(hbt)
