"""A real book of single orders: the E-mini S&P 500 future, an hour before its week began.

The capture is what stands there, 8,725 orders; what happens on it afterwards is a random market that goes on from it.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import sim
from hftd.types import BUY_EVENT
from tests.parity.l3 import dbn
from tests.parity.l3.test_random import compare
from tests.sim.l3 import runs
from tests.sim.l3.market import FEED_LATENCY_NS, STEP_NS, TICK_SIZE, Market

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def capture():
    folder = Path(os.environ.get("HFTD_TEST_DATA", ROOT / "../shared/data"))
    path = folder / "databento_esh4_mbo_20231224.dbn.zst"
    if not path.exists():
        pytest.skip(f"there is no capture {path}: set HFTD_TEST_DATA")
    rows = dbn.read(path)
    # The orders are older than the message that tells of them; here they come with it.
    rows["exch_ts"] = rows["local_ts"] - FEED_LATENCY_NS
    return rows


def test_the_book_of_the_capture_is_the_sum_of_its_orders(capture):
    last = capture[-1:].copy()
    last["ev"] = 0
    data = np.concatenate([capture, last])
    case = runs.Case(data, np.zeros(0, runs.request_dtype))
    hbt = sim.HashMapMarketDepthBacktest([runs.describe(sim.BacktestAsset(), case)])
    hbt.elapse(FEED_LATENCY_NS)
    ticks = np.round(capture["px"] / TICK_SIZE).astype(int)
    bids = (capture["ev"] & BUY_EVENT) != 0
    depth = hbt.depth(0)
    assert depth.best_bid_tick == ticks[bids].max()
    assert depth.best_ask_tick == ticks[~bids].min()
    for tick in np.unique(ticks):
        assert depth.bid_qty_at_tick(tick) == capture["qty"][bids & (ticks == tick)].sum()
        assert depth.ask_qty_at_tick(tick) == capture["qty"][~bids & (ticks == tick)].sum()
    assert hbt.warnings() == []


@pytest.mark.parity
@pytest.mark.thorough
def test_a_bot_on_the_capture_sees_the_same_on_both_engines(reference, capture):
    def cases(seeds):
        ticks = np.round(capture["px"] / TICK_SIZE).astype(int).tolist()
        sides = np.where((capture["ev"] & BUY_EVENT) != 0, 1, -1).tolist()
        orders = list(
            zip(capture["order_id"].tolist(), sides, ticks, capture["qty"].astype(int).tolist(), strict=True)
        )
        for seed in seeds:
            market = Market(seed, orders=orders, start_ns=int(capture["exch_ts"][-1]) + STEP_NS)
            case = runs.make(seed, moves=150, market=market)
            case.rows = np.concatenate([capture, case.rows])
            yield f"seed {seed}", case

    wrong, _equal, _different, fills = compare(reference, cases(range(2)))
    assert wrong == []
    assert fills > 5
