"""A market maker on six minutes of a real market sees the same on the reference and on ours, at every step."""

import math

import numpy as np
import pytest

from hftd.types import BUY_EVENT, DEPTH_SNAPSHOT_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, event_dtype
from tests.parity import maker
from tests.parity.engines import Asset, latencies, ours, theirs

pytestmark = [pytest.mark.parity, pytest.mark.thorough, pytest.mark.thorough]

QUEUES = {
    "risk_adverse": ("risk_adverse", 0.0),
    "log": ("log", 0.0),
    "log2": ("log2", 0.0),
    "power 1": ("power", 1.0),
    "power 2": ("power", 2.0),
    "power 3": ("power", 3.0),
    "power3 3": ("power3", 3.0),
}
LATENCIES = ("constant", "zero", "interpolated", "refusing")


def latency_of(name, rows):
    if name == "constant":
        return 1_000_000, 1_500_000
    if name == "zero":
        return 0, 0
    rng = np.random.default_rng(1)
    first_ts, last_ts = int(rows["local_ts"][0]), int(rows["local_ts"][-1])
    return latencies(rng, first_ts, last_ts, refusals=name == "refusing", step=200_000_000)


def steps_of(assets, step_ns):
    last = max(int(rows["local_ts"].max()) for asset in assets for rows in asset.data)
    first = min(int(rows["exch_ts"].min()) for asset in assets for rows in asset.data)
    return math.ceil((last - first + 1_000_000_000) / step_ns) + 10


def compare(reference, step_ns, assets, for_theirs=None, half_ticks=1.0):
    """The trades, after everything was found to be the same."""
    steps = steps_of(assets, step_ns)
    with theirs(reference, for_theirs or assets) as hbt:
        expected = maker.run(hbt, step_ns, steps, half_ticks)
    hbt = ours(assets)
    seen = maker.run(hbt, step_ns, steps, half_ticks)
    hbt.check()
    assert len(expected[0]) == len(seen[0])
    wrong = np.argwhere(expected[0] != seen[0])
    assert not len(wrong), told(maker.INTS, wrong, expected[0], seen[0])
    wrong = np.argwhere(~np.isclose(expected[1], seen[1], rtol=1e-9, atol=1e-7))
    assert not len(wrong), told(maker.FLOATS, wrong, expected[1], seen[1])
    return int(seen[0][-1, maker.INTS.index("num_trades")])


def told(names, wrong, expected, seen):
    step, column = wrong[0]
    return f"step {step}: {names[column]} is {expected[step, column]} there and {seen[step, column]} here"


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("queue", QUEUES)
def test_a_market_maker_sees_the_same_with_each_queue_and_latency_model(reference, capture, queue, latency):
    for step_ns in (1_000_000, 10_000_000, 100_000_000):
        asset = Asset([capture], queue=QUEUES[queue], latency=latency_of(latency, capture))
        assert compare(reference, step_ns, [asset]) > 100


@pytest.mark.parametrize("latency", ["constant", "interpolated"])
def test_offsets_of_feed_and_order_latency_mean_the_same(reference, capture, latency):
    # The reference moves the times of an array that it is given: it gets its own.
    asset = Asset(
        [capture], latency=latency_of(latency, capture), feed_offset=3_000_000, latency_offset=700_000
    )
    assert compare(reference, 10_000_000, [asset]) > 100


def test_a_range_of_interest_means_the_same(reference, capture):
    prices = capture["px"][capture["px"] > 0]
    roi = float(prices.min()) // 100 * 100 + 500, float(np.median(prices)) + 1000
    assert compare(reference, 10_000_000, [Asset([capture], roi=roi)]) > 100


def test_the_same_day_in_several_files_and_arrays_gives_the_same(reference, capture):
    cuts = [1, 1000, 100_000, 100_001, 300_000]
    parts = [part.copy() for part in np.split(capture, cuts)]
    assert compare(reference, 10_000_000, [Asset(parts)], [Asset([capture])]) > 100


def test_a_snapshot_before_the_day_means_the_same(reference, capture):
    rows = capture[200_000:].copy()
    mid = round(float(np.median(rows["px"][:1000])) / 0.1)
    snapshot = np.zeros(400, event_dtype)
    for i in range(200):
        for row, side, sign in ((snapshot[2 * i], BUY_EVENT, -1), (snapshot[2 * i + 1], SELL_EVENT, 1)):
            row["ev"] = EXCH_EVENT | LOCAL_EVENT | DEPTH_SNAPSHOT_EVENT | side
            row["px"], row["qty"] = (mid + sign * (i + 1)) * 0.1, 0.5 + i / 100
    assert compare(reference, 10_000_000, [Asset([rows], snapshot=snapshot)]) > 10


def test_a_second_asset_on_the_timeline_changes_nothing_for_the_first(reference, capture):
    shifted = capture[:200_000].copy()
    for name in ("exch_ts", "local_ts"):
        shifted[name] += 37_000_000
    shifted["px"] += 12.5
    assets = [Asset([capture[:200_000]]), Asset([shifted], queue=("log", 0.0), latency=(0, 20_000_000))]
    assert compare(reference, 10_000_000, assets) > 50
