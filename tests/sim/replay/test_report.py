"""A replay, a bot on it and a report of both: the figures are those of the backtest."""

import numpy as np
import pytest

from hftd.runfile import read_run
from hftd.types import BUY_EVENT, DEPTH_SNAPSHOT_EVENT, SELL_EVENT, event_dtype
from sim.results.report import report
from tests.sim.replay.harness import MAKER, Bench, futures, spot


@pytest.mark.thorough
def test_a_report_of_a_replay_and_its_bot_is_that_of_the_backtest(bench: Bench):
    snapshot = np.zeros(2, event_dtype)
    snapshot["ev"] = DEPTH_SNAPSHOT_EVENT | np.array([BUY_EVENT, SELL_EVENT], np.uint64)
    snapshot["px"], snapshot["qty"] = (10_000.0, 30_000.0), 1.0
    np.savez(bench.folder / "before.npz", data=snapshot)
    played = (futures(fuse_bbo="true", initial_snapshot='"before.npz"'), spot(roi="[15000.0, 25000.0]"))
    traded = (spot(), futures())
    config = bench.replay_config(*played, bots=["maker"])
    bot = bench.bot_config("maker", *traded, strategy=MAKER, interval_ns=10_000_000)
    replay = bench.replay(config, "--life", "life.npz")
    running = bench.bot(bot)
    for one in (running, replay):
        assert one.wait() == 0, one.stderr
    alone = bench.start(
        "backtest", "--config", config, "--bot", bot, "--date", "20220831", "--json",
        "--record", "alone.npz", "--explain",
    )  # fmt: skip
    assert alone.wait() == 0, alone.stderr
    ours = report(bot.with_suffix(".bot.npz"), life=bench.folder / "life.npz").to_dict()["runs"][0]
    theirs = report(bench.folder / "alone.npz").to_dict()["runs"][0]
    del ours["path"], theirs["path"]
    assert ours == theirs
    assert ours["assets"][0]["figures"]["OrderFillRatio"] > 0
    assert ours["assets"][1]["markouts"][2]["bps"] is not None
    told = read_run(bench.folder / "alone.npz").meta
    assert told is not None
    assert [asset.fuse_bbo for asset in told.assets] == [False, True]
    assert told.assets[0].roi == (15_000.0, 25_000.0)
    assert told.assets[1].initial_snapshot == str(bench.folder / "before.npz")
