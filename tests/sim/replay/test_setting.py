"""A bot on a replay whose parameters are set: its file says so, and a backtest that sets them comes to the same."""

import signal

import numpy as np
import pytest

from hftd.clock import sleep
from hftd.runfile import read_run
from tests.sim.replay.harness import MAKER, Bench, Process, futures, result, rows_of, wait_until

pytestmark = pytest.mark.slow

UNHURRIED = """
import time

from hftd import GTX, LIMIT


def quote(hbt, half_spread_ticks=8.0, order_qty=0.01):
    while hbt.elapse(50_000_000) == 0:
        # A replay waits for it as long as it takes, so there is time to set something.
        time.sleep(0.015)
        hbt.clear_inactive_orders(0)
        depth, orders = hbt.depth(0), hbt.orders(0)
        if not depth.best_bid < depth.best_ask:
            continue
        middle = (depth.best_bid_tick + depth.best_ask_tick) / 2
        bid, ask = int(middle - half_spread_ticks), int(middle + half_spread_ticks)
        values = orders.values()
        while values.has_next():
            order = values.get()
            if order.cancellable and order.order_id not in (bid, ask):
                hbt.cancel(0, order.order_id, False)
        for tick, send in ((bid, hbt.submit_buy_order), (ask, hbt.submit_sell_order)):
            if tick not in orders:
                send(0, tick, tick * depth.tick_size, order_qty, GTX, LIMIT, False)
"""


def playing(bench: Bench, strategy: str, *options: str, **head: str) -> tuple[Process, Process, str]:
    """A replay, a bot on it, and the bot's configuration."""
    config = bench.replay_config(futures(), bots=["mm"])
    lines = "allow_set = true\n" + "\n".join(f"{key} = {value}" for key, value in head.items())
    bot = bench.bot_config("mm", futures(), strategy=strategy, head=lines, half_spread_ticks=8.0)
    replay = bench.start("replay", "--config", config, "--date", "20220831", "--progress", "none", *options)
    wait_until(lambda: any(bench.runtime.glob("*.sock")), replay)
    made = bench.start("bot", "--config", bot, "--record", "run.npz", "--json")
    return replay, made, str(bot)


def set_until_taken(bench: Bench, *values: str) -> dict[str, object]:
    """`hftd set` once the bot is there."""
    for _ in range(600):
        asked = bench.start("set", "mm", *values, "--json")
        if asked.wait() == 0:
            return asked.json()
        assert "no bot 'mm' runs" in asked.stderr or "no bot" in asked.stderr, asked.stderr
        sleep(0.05)
    raise AssertionError(asked.stderr)


def test_a_backtest_that_sets_the_same_at_the_same_times_comes_to_the_same(bench: Bench):
    (bench.folder / "unhurried.py").write_text(UNHURRIED)
    _, bot, config = playing(bench, "unhurried.py:quote")
    set_until_taken(bench, "half_spread_ticks=4", "order_qty=0.02")
    told = set_until_taken(bench, "half_spread_ticks=3")
    assert told["changes"] == 2
    refused = bench.start("set", "mm", "half_spread_ticks=x")
    assert refused.wait() == 2
    assert "must be a number" in refused.stderr
    assert bot.wait() == 0, bot.stderr
    ours = result(bot)
    meta = read_run(bench.folder / "run.npz").meta
    assert meta is not None
    assert [one.values for one in meta.changes] == [
        {"half_spread_ticks": 4.0, "order_qty": 0.02},
        {"half_spread_ticks": 3.0},
    ]
    assert meta.parameters["half_spread_ticks"] == 8.0
    names = ("backtest", "--config", "replay.toml", "--bot", config, "--date", "20220831", "--json")
    again = bench.start(*names, "--record", "again.npz", "--changes", "run.npz")
    assert again.wait() == 0, again.stderr
    assert ours == result(again)
    assert rows_of(bench.folder / "run.npz") == rows_of(bench.folder / "again.npz")
    without = bench.start(*names, "--record", "without.npz")
    assert without.wait() == 0, without.stderr
    assert ours["num_fills"] > 0
    assert rows_of(bench.folder / "run.npz") != rows_of(bench.folder / "without.npz")
    shown = bench.start("inspect", "run.npz")
    shown.wait()
    assert "half_spread_ticks 8.0 -> 4.0" in shown.stdout
    compared = bench.start("compare", "run.npz", "again.npz")
    assert compared.wait() == 0
    assert "parameters were set in run.npz" in compared.stderr


def test_a_bot_that_is_killed_leaves_a_run_that_opens(bench: Bench):
    replay, bot, _ = playing(bench, MAKER, "--speed", "2", report_every_s="0.5")
    set_until_taken(bench, "half_spread_ticks=2")
    path = bench.folder / "run.npz"
    wait_until(
        lambda: path.exists() and "position" in bot.stderr and len(read_run(path).records[0]) > 30, bot
    )
    sleep(1.2)
    before = len(read_run(path).records[0])
    bot.signal(signal.SIGKILL)
    bot.wait()
    run = read_run(path)
    assert len(run.records[0]) >= before
    assert run.meta is not None
    assert (run.meta.ended, len(run.meta.changes)) == ("killed, or still running", 1)
    assert "the bot was killed" in run.meta.warnings[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    torn = read_run(path)
    assert torn.meta is not None
    assert "torn block" in torn.meta.warnings[-1]
    assert sum(map(len, torn.tables.values())) + len(torn.records[0]) < sum(
        map(len, run.tables.values())
    ) + len(run.records[0])
    path.write_bytes(whole)
    for command in (["inspect", "run.npz"], ["report", "run.npz"]):
        shown = bench.start(*command)
        assert shown.wait() == 0, shown.stderr
    asked = bench.start("set", "mm")
    assert asked.wait() == 2
    assert "no bot 'mm' runs" in asked.stderr or "no daemon" in asked.stderr
    replay.close()
    assert np.all(np.diff(run.records[0]["timestamp"]) > 0)
