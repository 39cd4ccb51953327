"""Rows that were prepared before give the same results as rows that are not."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError
from hftd.types import ERR_DATA
from sim import Prepared
from sim.backtest import HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from sim.generate import DEMO, generate_day
from strategies.market_making import market_making
from tests.parity import random_runs
from tests.sim.engine.market import START, asset, levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)
MAKER = (8.0, 2.0, 0.01, 0.1, 10_000_000)


@pytest.fixture(scope="module")
def day():
    """Half a minute of a market."""
    return generate_day(3, DEMO[:1], "20220831", duration_s=30.0)[DEMO[0].symbol]


def prepared(data, **more):
    return Prepared(data, DEMO[0].tick_size, DEMO[0].lot_size, **more)


def described(data, change=lambda made: made, tick_size=DEMO[0].tick_size, lot_size=DEMO[0].lot_size):
    made = asset().data(data).tick_size(tick_size).lot_size(lot_size).last_trades_capacity(1000)
    return change(made.constant_order_latency(1_000_000, 1_000_000).power_prob_queue_model3(3.0))


def run(hbt):
    """What a market maker comes to, and the backtest."""
    hbt.record_every(10_000_000)
    market_making(hbt, *MAKER)
    hbt.check()
    assert len(hbt.fills()) > 10
    return hbt.records().tobytes() + hbt.fills().tobytes(), hbt


def plays(hbt, source):
    """Whether both sides of a backtest's first asset ended with columns of this source."""
    ends = {int(stream["segments_end"]) for stream in source._streams}
    return ends == {int(hbt.engine.stream(0, side)["segments_end"]) for side in (0, 1)}


@given(st.integers(0, 1 << 40), st.booleans(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_prepared_rows_give_the_same_bit_for_bit(seed, roi, partial):
    # With several files, offsets of the feed, ranges of interest, and prices beyond the window.
    made = random_runs.case(seed, roi=roi, partial=partial)
    seen = []
    for is_prepared in (False, True):
        assets = [replace(one, prepared=is_prepared) for one in made.assets]
        seen.append(random_runs.run(random_runs.ours(assets), replace(made, assets=assets)))
    for streamed, kept in zip(*seen, strict=True):
        assert streamed.tobytes() == kept.tobytes()


def test_a_run_reads_the_columns_that_were_made(day, tmp_path):
    expected, _ = run(HashMapMarketDepthBacktest([described(day)]))
    np.savez(tmp_path / "day.npz", data=day)
    for source in (prepared(day), prepared(tmp_path / "day.npz"), prepared(str(tmp_path / "day.npz"))):
        found, hbt = run(HashMapMarketDepthBacktest([described(source)]))
        assert found == expected and plays(hbt, source)
        # As often as wanted.
        found, hbt = run(HashMapMarketDepthBacktest([described(source)]))
        assert found == expected and plays(hbt, source)


@pytest.mark.parametrize("shift_ticks", [0, 60_000_000])
def test_a_day_may_be_prepared_in_parts_and_mixed_with_what_is_not(day, tmp_path, shift_ticks):
    day = day.copy()
    day["px"] += shift_ticks * DEMO[0].tick_size
    cuts = [1, len(day) // 3, 2 * len(day) // 3]
    parts = np.split(day, cuts)
    np.savez(tmp_path / "part.npz", data=parts[1])
    expected, _ = run(HashMapMarketDepthBacktest([described(day)]))
    every = [prepared(part) for part in parts]
    found, hbt = run(HashMapMarketDepthBacktest([described(every)]))
    assert found == expected and plays(hbt, every[-1])
    mixed = [parts[0], tmp_path / "part.npz", every[2], parts[3]]
    assert run(HashMapMarketDepthBacktest([described(mixed)]))[0] == expected
    mixed = [every[0], str(tmp_path / "part.npz"), parts[2], every[3]]
    found, hbt = run(HashMapMarketDepthBacktest([described(mixed)]))
    assert found == expected and plays(hbt, every[-1])


def test_an_offset_of_the_feed_and_a_range_of_interest_are_prepared_for(day):
    mid = float(np.median(day["px"][day["px"] > 0]))
    roi = (mid - 20.0, mid + 20.0)

    def change(made):
        return made.latency_offset(3_000_000).roi_lb(roi[0]).roi_ub(roi[1])

    expected, _ = run(ROIVectorMarketDepthBacktest([described(day, change)]))
    source = prepared(day, roi=roi, latency_offset=3_000_000)
    found, hbt = run(ROIVectorMarketDepthBacktest([described(source, change)]))
    assert found == expected and plays(hbt, source)


@pytest.mark.parametrize(
    "other",
    [
        {"tick_size": 0.2},
        {"tick_size": 0.05},
        {"lot_size": 0.01},
        {"roi": (20_000.0, 20_300.0)},
        {"latency_offset": 5_000_000},
    ],
    ids=lambda other: next(iter(other)),
)
@pytest.mark.parametrize("shift_ticks", [0, 60_000_000])
def test_rows_that_were_prepared_for_another_asset_are_prepared_again(day, other, shift_ticks):
    day = day.copy()
    day["px"] += shift_ticks * DEMO[0].tick_size
    expected, _ = run(HashMapMarketDepthBacktest([described(day)]))
    steps = {"tick_size": DEMO[0].tick_size, "lot_size": DEMO[0].lot_size}
    if "roi" in other:
        other = {"roi": tuple(price + shift_ticks * DEMO[0].tick_size for price in other["roi"])}
    source = Prepared(day, **(steps | other))
    found, hbt = run(HashMapMarketDepthBacktest([described(source)]))
    assert found == expected and not plays(hbt, source)


def test_a_snapshot_may_come_before_what_is_prepared(day):
    data = rows(*levels(), ("bid", 10, 99.0, 3.0), END)
    snapshot = rows(("bid", 0, 90.0, 4.0), ("ask", 0, 120.0, 5.0))
    for source in (data, Prepared(data, 1.0, 1.0)):
        hbt = HashMapMarketDepthBacktest([asset().data(source).initial_snapshot(snapshot)])
        hbt.elapse(20)
        depth = hbt.depth(0)
        assert [depth.bid_qty_at_tick(90), depth.ask_qty_at_tick(120), depth.best_bid_qty] == [4.0, 5.0, 3.0]


def test_backtests_in_threads_share_what_is_prepared(day):
    source = prepared(day)
    expected, _ = run(HashMapMarketDepthBacktest([described(day)]))
    found = []

    def work():
        for _ in range(3):
            found.append(run(HashMapMarketDepthBacktest([described(source)]))[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 12


def test_what_is_wrong_with_rows_is_told_when_they_are_prepared(tmp_path):
    for change, what in (
        (("bid", -5, 98.0, 1.0), "row 10 .*goes back in time"),
        (("bid", 5, float("nan"), 1.0), "row 10 .*not a number"),
        (("bid", 5, 98.0, -1.0), "row 10 .*negative"),
    ):
        data = rows(*levels(), change, END)
        with pytest.raises(DataError, match=what) as raised:
            Prepared(data, 1.0, 1.0)
        assert "the array" in raised.value.where
        np.savez(tmp_path / "bad.npz", data=data)
        with pytest.raises(DataError, match=what) as raised:
            Prepared(tmp_path / "bad.npz", 1.0, 1.0)
        assert "bad.npz" in raised.value.where
    with pytest.raises(DataError, match="dtype"):
        Prepared(np.zeros(3), 1.0, 1.0)


def test_prepared_parts_that_are_not_in_time_order_are_an_error_of_the_run():
    parts = [Prepared(rows(*levels(ts)), 1.0, 1.0) for ts in (5000, 4000)]
    hbt = HashMapMarketDepthBacktest([asset().data(parts)])
    assert hbt.elapse(1) == ERR_DATA
    with pytest.raises(DataError, match=r"row 0 .*goes back in time"):
        hbt.check()


def test_no_rows_are_an_error_of_the_run():
    hbt = HashMapMarketDepthBacktest([asset().data(Prepared(rows(), 1.0, 1.0))])
    assert hbt.elapse(1) == ERR_DATA
    with pytest.raises(DataError, match="no rows"):
        hbt.check()
    hbt = HashMapMarketDepthBacktest([asset().data(Prepared(rows(*levels(), seen=0), 1.0, 1.0))])
    assert hbt.elapse(1) == 1
    assert hbt.current_timestamp > START
