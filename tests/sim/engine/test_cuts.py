"""Results do not depend on how the data is cut, on how time is cut, or on how the strategy is run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from sim.backtest import Backtest, HashMapMarketDepthBacktest
from sim.feed.asset import BacktestAsset
from sim.generate import DEMO, generate_day, generate_latencies
from sim.model.layout import CHUNK_ROWS
from strategies.grid_trading import grid_trading
from strategies.market_making import has_book, market_making, quote
from tests.parity import interpret, random_runs

DAY = "20220831"


@pytest.fixture(scope="module")
def market():
    """A minute and a half of two instruments, and the order latencies of each."""
    feeds = generate_day(7, DEMO, DAY, duration_s=90.0)
    parts = []
    for instrument in DEMO:
        data = feeds[instrument.symbol]
        parts.append((instrument, data, generate_latencies(7, instrument.channel, [data])))
    assert len(parts[0][1]) > 2 * CHUNK_ROWS
    return parts


def assets(market, cut=lambda rows: [rows]):
    return [
        BacktestAsset()
        .data(cut(data))
        .tick_size(instrument.tick_size)
        .lot_size(instrument.lot_size)
        .intp_order_latency(latencies)
        .trading_value_fee_model(-0.00005, 0.0007)
        .last_trades_capacity(10_000)
        for instrument, data, latencies in market
    ]


def run(hbt, strategy, *arguments):
    """What came of it: records each 100 ms, fills, and the state at the end."""
    hbt.record_every(100_000_000)
    strategy(hbt, *arguments)
    hbt.check()
    states = [
        [getattr(hbt.state_values(a), name) for name in ("position", "balance", "fee")]
        for a in range(hbt.num_assets)
    ]
    return hbt.records().tobytes(), hbt.fills().tobytes(), states, hbt.rows()


MAKER = (8.0, 2.0, 0.01, 0.1, 10_000_000)


@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_the_cuts_of_the_data_do_not_matter(market, data):
    """Another cut moves all borders of the chunks that are prepared, in batches of one time too."""

    def cut(rows):
        at = st.integers(0, len(rows))
        near = st.sampled_from([CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 2 * CHUNK_ROWS])
        cuts = sorted(data.draw(st.lists(st.one_of(at, near), max_size=5)))
        return [part.copy() for part in np.split(rows, [c for c in cuts if c <= len(rows)]) if len(part)]

    whole = run(HashMapMarketDepthBacktest(assets(market)), market_making, *MAKER)
    parts = run(HashMapMarketDepthBacktest(assets(market, cut)), market_making, *MAKER)
    assert parts == whole


def test_a_batch_of_one_time_may_be_longer_than_a_chunk(market):
    instrument, data, latencies = market[0]
    data = data.copy()
    for name in ("exch_ts", "local_ts"):
        data[name] = data[name] // 60_000_000_000 * 60_000_000_000
    assert np.unique(data["local_ts"], return_counts=True)[1].max() > CHUNK_ROWS
    moved = [(instrument, data, latencies)]
    whole = run(HashMapMarketDepthBacktest(assets(moved)), market_making, *MAKER)
    for first in (1, 777, 5000):
        made = assets(moved, lambda rows, n=first: [rows[:n].copy(), rows[n:].copy()])
        assert run(HashMapMarketDepthBacktest(made), market_making, *MAKER) == whole


@njit
def quote_every(hbt, interval_ns, steps):
    """Quote around the mid price each interval, which passes in so many steps."""
    while True:
        for _ in range(steps):
            if hbt.elapse(interval_ns // steps) != 0:
                return
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        if has_book(depth):
            quote(hbt, 0, depth.best_bid_tick - 2, depth.best_ask_tick + 2, 0.01, 0.1)


def test_time_may_pass_in_any_number_of_steps(market):
    once, often = (
        run(HashMapMarketDepthBacktest(assets(market[:1])), quote_every, 100_000_000, steps)
        for steps in (1, 8)
    )
    assert len(once[1]) > 0
    # But for the records, which are taken at the first wake in an interval.
    assert once[1:] == often[1:]


@pytest.mark.parametrize(
    ("strategy", "arguments"),
    [
        (market_making, (8.0, 2.0, 0.01, 0.1, 50_000_000)),
        (grid_trading, (0.01, 5, 0.01, 0.1, 1.0, 30_000_000_000, 10_000_000_000, 5_000_000_000, 100_000_000)),
    ],
)
def test_a_plain_python_strategy_does_what_its_compiled_one_does(market, strategy, arguments):
    compiled = run(HashMapMarketDepthBacktest(assets(market)), strategy, *arguments)
    plain = run(HashMapMarketDepthBacktest(assets(market)), strategy.py_func, *arguments)
    assert plain == compiled


def test_a_plain_python_strategy_is_shown_what_a_compiled_one_is_shown(monkeypatch):
    cases = [random_runs.case(seed) for seed in range(40)]
    for made in cases:
        made.program = made.program.view(np.recarray)
    compiled = [random_runs.run(random_runs.ours(made.assets), made) for made in cases]
    for name in ("submit", "change", "act", "see_asset", "see_orders", "interpret"):
        monkeypatch.setattr(interpret, name, getattr(interpret, name).py_func)
    for made, expected in zip(cases, compiled, strict=True):
        for one, other in zip(expected, random_runs.run(random_runs.ours(made.assets), made), strict=True):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("strategy", "arguments"),
    [
        (market_making, MAKER),
        (grid_trading, (0.01, 5, 0.01, 0.1, 1.0, 30_000_000_000, 10_000_000_000, 5_000_000_000, 100_000_000)),
    ],
)
def test_the_strategies_trade_on_both_sides_and_keep_their_position_in_bounds(market, strategy, arguments):
    hbt = HashMapMarketDepthBacktest(assets(market))
    hbt.record_every(100_000_000)
    strategy(hbt, *arguments)
    hbt.check()
    assert hbt.warnings() == []
    fills, records = hbt.fills(), hbt.records()
    for asset_no in range(2):
        own = fills[fills["asset_no"] == asset_no]
        assert (own["side"] == 1).sum() > 3 and (own["side"] == -1).sum() > 3
        assert np.abs(np.cumsum(own["side"] * own["qty"])).max() <= 0.1 + 1e-9
        assert np.isfinite(records[:, asset_no]["price"][1:]).all()
        assert (np.diff(records[:, asset_no]["timestamp"]) > 0).all()


def test_an_asset_that_is_only_on_the_timeline_changes_nothing_but_the_time(market):
    models = [made.model for made in assets(market)]
    alone = Backtest(models[:1])
    beside = Backtest(models[:1], models[1:])
    first, second = (run(hbt, market_making, *MAKER) for hbt in (alone, beside))
    assert second[1] == first[1] and second[2] == first[2]
