"""A replay and its bots come to the same as backtests, bit for bit: orders, fills, times, states."""

import os
import random
import signal
import threading

import numpy as np
import pytest

from hftd.clock import sleep
from tests.sim.replay.harness import INTERPOLATED, MAKER, Bench, Process, futures, result, spot

BOTH = (futures("both"), spot("both"))


def test_a_bot_over_one_channel_equals_the_backtest(bench: Bench):
    config = bench.replay_config(futures())
    bench.check_equal(config, bench.bot_config("one", futures(), seed=1))


def test_bots_that_do_whatever_a_strategy_can_do_each_equal_their_own_backtest(bench: Bench):
    # All kinds of waits and requests, driven by all that a bot sees: one difference changes all that follows.
    names = ["a", "b", "c", "d"]
    config = bench.replay_config(*BOTH, bots=names)
    bots = [bench.bot_config(name, *BOTH, seed=number) for number, name in enumerate(names)]
    bench.check_equal(config, *bots)


@pytest.mark.thorough
def test_bots_with_other_instruments_and_another_order_of_them_equal_their_backtests(bench: Bench):
    config = bench.replay_config(futures(), spot(), bots=["as_run", "reversed", "futures", "spot"])
    bots = [
        bench.bot_config("as_run", futures(), spot(), seed=11),
        bench.bot_config("reversed", spot(), futures(), seed=12),
        bench.bot_config("futures", futures(), seed=13),
        bench.bot_config("spot", spot(), seed=14),
    ]
    bench.check_equal(config, *bots)


@pytest.mark.thorough
def test_latencies_that_change_and_refuse_give_the_same_over_channels(bench: Bench):
    config = bench.replay_config(futures(), spot(), bots=["x", "y"], latency=INTERPOLATED)
    bots = [bench.bot_config(name, futures(), spot(), seed=seed) for name, seed in (("x", 21), ("y", 22))]
    bench.check_equal(config, *bots)


@pytest.mark.thorough
def test_several_days_are_one_run_over_channels_too(bench: Bench):
    days = "20220831..20220902"
    config = bench.replay_config(*BOTH, bots=["a", "b"], latency=INTERPOLATED)
    bots = [bench.bot_config(name, *BOTH, seed=seed) for name, seed in (("a", 31), ("b", 32))]
    for one in bench.check_equal(config, *bots, date=days):
        assert result(one)["sim_seconds"] > 2 * 13


@pytest.mark.thorough
def test_a_plain_python_strategy_comes_to_the_same_as_the_compiled_one(bench: Bench):
    config = bench.replay_config(*BOTH, bots=["plain", "compiled"])
    plain = bench.bot_config("plain", *BOTH, strategy="plain_chaos", seed=41, actions=400)
    compiled = bench.bot_config("compiled", *BOTH, strategy="chaos", seed=41, actions=400)
    bench.check_equal(config, plain, compiled)
    fills = [np.load(path.with_suffix(".bot.npz"))["fills"].tobytes() for path in (plain, compiled)]
    assert fills[0] == fills[1]


@pytest.mark.thorough
def test_a_wait_longer_than_the_rings_are_long_loses_nothing(bench: Bench):
    def forty_times(rows: np.ndarray) -> np.ndarray:
        span_ns = int(rows["local_ts"].max()) - int(rows["exch_ts"].min()) + 1_000_000
        parts = np.concatenate([rows] * 40)
        for name in ("exch_ts", "local_ts"):
            parts[name] += np.repeat(np.arange(40) * span_ns, len(rows))
        return parts

    for symbol in ("BTCUSDT", "BTCBUSD"):
        bench.add_data(f"{symbol}_20220831.npz", f"{symbol}_20220831.npz", forty_times)
    # 16 MiB hold 262,144 rows; here are twice as many in one channel.
    config = bench.replay_config(*BOTH, bots=["sleeper", "maker"], data=bench.folder)
    sleeper = bench.bot_config("sleeper", *BOTH, strategy="sleeps_through", interval_ms=10_000)
    maker = bench.bot_config("maker", *BOTH, strategy=MAKER, interval_ns=100_000_000)
    running = bench.check_equal(config, sleeper, maker)
    assert result(running[0])["events"] > 2 * 262_144


@pytest.mark.thorough
def test_what_a_bot_sends_after_the_data_is_answered_as_in_a_backtest(bench: Bench):
    config = bench.replay_config(futures(), bots=["waits", "goes_on"])
    bots = [
        bench.bot_config(name, futures(), strategy="trades_after_the_end", wait=wait)
        for name, wait in (("waits", True), ("goes_on", False))
    ]
    bench.check_equal(config, *bots)


@pytest.mark.thorough
def test_ranges_of_interest_and_feed_offsets_mean_the_same_over_channels(bench: Bench):
    def narrow(low: float, high: float) -> dict[str, list[float]]:
        return {"roi": [low, high]}

    config = bench.replay_config(
        futures(**narrow(20_200.0, 20_300.0), feed_latency_offset_ns=3_000_000),
        spot(feed_latency_offset_ns=-1_000_000),
        bots=["all", "part"],
    )
    every = bench.bot_config("all", futures(), spot(), seed=51)
    part = bench.bot_config("part", futures(**narrow(20_240.0, 20_270.0)), spot(), seed=52)
    bench.check_equal(config, every, part)


@pytest.mark.thorough
def test_a_run_that_starts_from_a_snapshot_starts_from_it_over_channels_too(bench: Bench):
    def snapshot(rows: np.ndarray) -> np.ndarray:
        return rows[rows["ev"] & 0xFF == 4]

    def rest(rows: np.ndarray) -> np.ndarray:
        return rows[(rows["ev"] & 0xFF != 4) & (rows["ev"] & 0xFF != 3)]

    bench.add_data("BTCUSDT_20220831.npz", "start_20220831.npz", snapshot)
    bench.add_data("BTCUSDT_20220831.npz", "BTCUSDT_20220831.npz", rest)
    asset = futures(initial_snapshot=f'"{bench.folder}/start_{{date}}.npz"')
    config = bench.replay_config(asset, data=bench.folder)
    bench.check_equal(config, bench.bot_config("one", futures(), seed=61))


@pytest.mark.thorough
def test_ten_thousand_short_waits_on_one_core_come_to_the_same(bench: Bench):
    bench.cpus = {min(os.sched_getaffinity(0))}
    config = bench.replay_config(*BOTH, bots=["a", "b"])
    chaos = bench.bot_config("a", *BOTH, seed=71)
    maker = bench.bot_config("b", *BOTH, strategy=MAKER, interval_ns=1_000_000)
    bench.check_equal(config, chaos, maker)


@pytest.mark.thorough
def test_processes_that_are_stopped_now_and_then_only_take_longer(bench: Bench):
    config = bench.replay_config(*BOTH, bots=["a", "b"])
    bots = [
        bench.bot_config(name, *BOTH, strategy=MAKER, interval_ns=interval_ns)
        for name, interval_ns in (("a", 150_000), ("b", 200_000))
    ]
    replay = bench.replay(config)
    running = [bench.bot(bot) for bot in bots]
    replay.wait_for("playing")
    stopper = threading.Thread(target=_stop_now_and_then, args=([replay, *running], random.Random(7)))
    stopper.start()
    for one in (*running, replay):
        assert one.wait() == 0, one.stderr
    stopper.join()
    bench.compare(config, *zip(bots, running, strict=True))


def _stop_now_and_then(processes: list[Process], chance: random.Random) -> None:
    for _ in range(60):
        alive = [one for one in processes if one.process.poll() is None]
        if not alive:
            return
        chosen = chance.choice(alive)
        chosen.process.send_signal(signal.SIGSTOP)
        sleep(chance.choice((0.001, 0.01, 0.05)))
        chosen.process.send_signal(signal.SIGCONT)
        sleep(chance.choice((0.0, 0.003)))


@pytest.mark.slow
def test_ten_runs_in_a_row_are_one_as_the_other(bench: Bench):
    config = bench.replay_config(futures(), spot(), bots=["a", "b"], latency=INTERPOLATED)
    bots = [bench.bot_config(name, futures(), spot(), seed=seed) for name, seed in (("a", 81), ("b", 82))]
    bench.check_equal(config, *bots)
    first = [path.with_suffix(".bot.npz").read_bytes() for path in bots]
    for _ in range(9):
        bench.run(config, *bots)
        assert [path.with_suffix(".bot.npz").read_bytes() for path in bots] == first


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sixteen_bots_in_one_run_each_equal_their_own_backtest(bench: Bench):
    names = [f"bot{number}" for number in range(16)]
    config = bench.replay_config(*BOTH, bots=names, latency=INTERPOLATED)
    bench.check_equal(config, *(bench.bot_config(n, *BOTH, seed=100 + i) for i, n in enumerate(names)))
