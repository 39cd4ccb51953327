"""A replay and its bots come to the same as backtests, bit for bit."""

from tests.replay.harness import Bench, futures, spot


def test_a_bot_over_one_channel_equals_the_backtest(bench: Bench):
    config = bench.replay_config(futures())
    bench.check_equal(config, bench.bot_config("one", futures(), seed=1))


def test_a_bot_over_two_channels_equals_the_backtest(bench: Bench):
    config = bench.replay_config(futures(), spot())
    bench.check_equal(config, bench.bot_config("two", futures(), spot(), seed=2))


def test_several_bots_in_one_replay_each_equal_their_own_backtest(bench: Bench):
    config = bench.replay_config(futures("both"), spot("both"), bots=["a", "b", "c"])
    bots = [
        bench.bot_config(name, futures("both"), spot("both"), seed=seed)
        for name, seed in zip("abc", (3, 4, 5))
    ]
    bench.check_equal(config, *bots)
