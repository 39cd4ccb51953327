"""Bots that come while others trade."""

import json
from typing import Any

import numpy as np
import pytest

from hftd.clock import monotonic_ns
from hftd.types import BUY_EVENT, DEPTH_CLEAR_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, KIND_MASK
from tests.sim.replay.harness import MAKER, Bench, Scene, futures, result, wait_until

DAYS = "20220831..20220902"


def book_at(rows: np.ndarray, now_ns: int) -> tuple[dict[int, float], dict[int, float]]:
    """A book made by hand: bids and asks by tick."""
    bids: dict[int, float] = {}
    asks: dict[int, float] = {}
    for row in rows[rows["local_ts"] <= now_ns]:
        kind = int(row["ev"]) & KIND_MASK
        if kind == DEPTH_CLEAR_EVENT:
            bids, asks = {}, {}
        elif kind in (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT):
            side = bids if int(row["ev"]) & BUY_EVENT else asks
            side[round(row["px"] / 0.1)] = float(row["qty"])
    return {t: q for t, q in bids.items() if q > 0}, {t: q for t, q in asks.items() if q > 0}


@pytest.mark.parametrize(
    "after_ns",
    [
        2_000_000_000,
        pytest.param(15_000_000_000, marks=pytest.mark.slow),
        pytest.param(31_000_000_000, marks=pytest.mark.thorough),
    ],
)
@pytest.mark.thorough
def test_a_late_bot_finds_the_book_of_the_moment_and_only_its_own_orders(bench: Bench, after_ns: int):
    scene = Scene(bench, after_ns=after_ns, date=DAYS)
    path = bench.folder / "book.json"
    config = bench.bot_config("late", futures(), strategy="tells_the_book", path=str(path))
    late = bench.bot(config)
    wait_until(path.exists, late)
    bots = scene.ends_well()
    assert late.wait() == 0, late.stderr

    found: dict[str, Any] = json.loads(path.read_text())
    days = [
        np.load(bench.data / f"BTCUSDT_{day}.npz")["data"] for day in ("20220831", "20220901", "20220902")
    ]
    rows = np.concatenate(days)
    assert found["now_ns"] == min(rows["exch_ts"].min(), rows["local_ts"].min()) + after_ns
    assert found["orders"] == 0
    bids, asks = book_at(rows, found["now_ns"])
    best_bid, best_ask = max(bids), min(asks)
    assert best_bid < best_ask
    near = {str(t): q for t, q in bids.items() if t > best_bid - 400}
    assert found["bids"] == pytest.approx(near)
    assert found["asks"] == pytest.approx({str(t): q for t, q in asks.items() if t < best_ask + 400})
    fills = np.load(config.with_suffix(".bot.npz"))["fills"]
    assert [int(number) for number in fills["order_id"]] == [1]
    assert bots["late"] == {"name": "late", "orders": 1, "fills": 1, "left": "strategy returned"}
    assert bots["other"]["fills"] > 0


@pytest.mark.thorough
def test_with_a_speed_the_run_follows_the_wall_clock_and_bots_trade(bench: Bench):
    config = bench.replay_config(futures())
    replay = bench.replay(config, "--speed", "8")
    start_ns = monotonic_ns()
    maker = bench.bot(bench.bot_config("maker", futures(), strategy=MAKER, interval_ns=10_000_000))
    assert maker.wait() == 0, maker.stderr
    assert replay.wait() == 0, replay.stderr
    took_s = (monotonic_ns() - start_ns) / 1e9
    summary = replay.json()
    assert summary["ended"] == "end of data"
    assert 12.0 / 8 * 0.9 < summary["seconds"] < 12.0 / 8 * 3
    assert took_s > 12.0 / 8 * 0.9
    assert result(maker)["num_fills"] > 0
    assert result(maker)["ended"] == "end of data"
    assert bench.left_behind() == []


@pytest.mark.thorough
def test_with_a_speed_whatever_a_strategy_can_do_works(bench: Bench):
    config = bench.replay_config(futures(), bots=["a", "b"])
    replay = bench.replay(config, "--speed", "12")
    bots = [bench.bot(bench.bot_config(name, futures(), seed=seed)) for name, seed in (("a", 91), ("b", 92))]
    for one in (*bots, replay):
        assert one.wait() == 0, one.stderr
    for bot in bots:
        assert result(bot)["ended"] == "end of data"
        assert result(bot)["events"] == 7365
