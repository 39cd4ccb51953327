"""User events: rows of kinds from 100 on, which change no book, but which a strategy can read."""

import numpy as np
import pytest
from numba import njit

from hftd.compiled.jit import kernel
from hftd.errors import OrderError
from hftd.hbt.feed import apply_rows
from hftd.hbt.hbt import Hbt
from hftd.hbt.local import AssetSpec
from hftd.types import ALL_ASSETS, KIND_MASK, LOCAL_EVENT, USER_DEFINED_EVENT
from sim import HashMapMarketDepthBacktest
from tests.sim.market import LOT_SIZE, TICK_SIZE, asset_of, random_market


@kernel("int64(int64, int64, int64)")
def apply(asset, rows, count):
    return apply_rows(asset, rows, count)


def user_rows(rows):
    kinds = rows["ev"] & np.uint64(KIND_MASK)
    return rows[(kinds >= USER_DEFINED_EVENT) & ((rows["ev"] & np.uint64(LOCAL_EVENT)) != 0)]


def collect(hbt, capacity):
    kept = np.empty(capacity, np.int64)
    times = np.empty(capacity, np.int64)
    count = 0
    while hbt.elapse(10_000_000) == 0:
        events = hbt.user_events(0)
        for i in range(len(events)):
            kept[count] = events[i].ival
            times[count] = events[i].local_ts
            count += 1
        hbt.clear_user_events(0)
    events = hbt.user_events(0)
    for i in range(len(events)):
        kept[count] = events[i].ival
        times[count] = events[i].local_ts
        count += 1
    return kept[:count], times[:count]


@pytest.mark.parametrize("offset_ns", [0, 5_000_000])
def test_a_compiled_strategy_reads_every_user_event_once_on_the_bots_clock(offset_ns):
    rows = random_market(1)
    asset = asset_of(rows, user_events_capacity=100, latency_offset=offset_ns)
    hbt = HashMapMarketDepthBacktest([asset])
    kept, times = njit(collect)(hbt, 4000)
    wanted = user_rows(rows)
    assert len(wanted) > 100
    np.testing.assert_array_equal(kept, wanted["ival"])
    np.testing.assert_array_equal(times, wanted["local_ts"] + offset_ns)
    assert hbt.warnings() == []


def test_plain_python_reads_what_compiled_code_reads():
    rows = random_market(2)
    found = [
        run(HashMapMarketDepthBacktest([asset_of(rows, user_events_capacity=100)]), 4000)
        for run in (njit(collect), collect)
    ]
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.thorough
def test_a_bot_keeps_the_same_user_events_from_its_channel_as_a_backtest_does():
    rows = random_market(3)
    backtest = HashMapMarketDepthBacktest([asset_of(rows, user_events_capacity=4000)])
    backtest._goto_end()
    bot = Hbt([AssetSpec(TICK_SIZE, LOT_SIZE, user_events_capacity=4000)])
    apply.call(bot._asset(0), rows.ctypes.data, len(rows))
    assert bot.user_events(0).tobytes() == backtest.user_events(0).tobytes()
    assert len(bot.user_events(0)) == len(user_rows(rows))


def test_without_a_capacity_none_are_kept_and_nothing_is_said():
    hbt = HashMapMarketDepthBacktest([asset_of(random_market(4))])
    hbt._goto_end()
    assert len(hbt.user_events(0)) == 0
    assert hbt.warnings() == []


def test_user_events_beyond_the_capacity_are_dropped_counted_and_warned_of():
    rows = random_market(5)
    hbt = HashMapMarketDepthBacktest([asset_of(rows, user_events_capacity=10)])
    hbt._goto_end()
    np.testing.assert_array_equal(hbt.user_events(0)["ival"], user_rows(rows)["ival"][:10])
    (warning,) = hbt.warnings()
    assert f"{len(user_rows(rows)) - 10} user events had no room" in warning
    hbt.clear_user_events(ALL_ASSETS)
    assert len(hbt.user_events(0)) == 0


def test_user_events_change_no_book_and_no_fill():
    rows = random_market(6)
    kinds = rows["ev"] & np.uint64(KIND_MASK)
    ends = []
    for data in (rows, rows[kinds < USER_DEFINED_EVENT]):
        hbt = HashMapMarketDepthBacktest([asset_of(data)])
        hbt._goto_end()
        ends.append(hbt.depth(0).snapshot().tobytes())
    assert ends[0] == ends[1]


def test_a_user_event_without_a_price_is_no_error():
    rows = random_market(7)
    kinds = rows["ev"] & np.uint64(KIND_MASK)
    rows["px"][kinds >= USER_DEFINED_EVENT] = np.nan
    hbt = HashMapMarketDepthBacktest([asset_of(rows, user_events_capacity=4000)])
    assert hbt._goto_end() == 1
    hbt.check()
    assert np.isnan(hbt.user_events(0)["px"]).all()


@pytest.mark.parametrize("capacity", [-1, 1 << 23])
def test_a_capacity_that_can_not_be_is_refused_by_name(capacity):
    with pytest.raises(OrderError, match="user_events_capacity"):
        HashMapMarketDepthBacktest([asset_of(random_market(8), user_events_capacity=capacity)])
