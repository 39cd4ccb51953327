"""What a user gives that is wrong: one message that says what, where and what to do, and the documented exit code."""

import json
import signal
from collections.abc import Callable

import numpy as np
import pytest

from hftd.channel.layout import PROTOCOL_VERSION
from hftd.types import EXCH_EVENT
from tests.sim.replay.harness import SLOW_ANSWERS, Bench, Process, Scene, futures, spot


def is_told(process: Process, code: int, *words: str) -> None:
    """It ended with that code and one message that has these words."""
    assert process.wait() == code, process.stderr
    assert process.stderr.count("error:") == 1, process.stderr
    for word in words:
        assert word in process.stderr
    assert "Traceback" not in process.stderr
    assert "Exception ignored" not in process.stderr
    assert process.stdout == "", "stdout is for results"


Rows = np.ndarray
FIRST = 5000


def unsorted(rows: Rows) -> Rows:
    rows["local_ts"][FIRST] -= 1_000_000_000
    return rows


def unsorted_exch(rows: Rows) -> Rows:
    rows["exch_ts"][FIRST] -= 1_000_000_000
    return rows


def nan_price(rows: Rows) -> Rows:
    rows["px"][FIRST] = np.nan
    return rows


def huge_price_seen_by_bots_only(rows: Rows) -> Rows:
    rows["px"][FIRST] = 1e300
    rows["ev"][FIRST] &= ~np.uint64(EXCH_EVENT)
    return rows


def negative_qty(rows: Rows) -> Rows:
    rows["qty"][FIRST] = -1.0
    return rows


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (unsorted, "goes back in time by local_ts"),
        pytest.param(unsorted_exch, "goes back in time by exch_ts", marks=pytest.mark.thorough),
        pytest.param(nan_price, "a price or quantity that is not a number", marks=pytest.mark.thorough),
        (huge_price_seen_by_bots_only, "a price or quantity that is not a number"),
        pytest.param(negative_qty, "a negative quantity", marks=pytest.mark.thorough),
    ],
)
@pytest.mark.thorough
def test_a_row_that_is_wrong_in_the_middle_of_a_run_is_named(
    bench: Bench, change: Callable[[Rows], Rows], words: str
):
    days = "20220831..20220901"
    bench.add_data("BTCUSDT_20220831.npz", "BTCUSDT_20220831.npz", lambda rows: rows)
    bench.add_data("BTCUSDT_20220901.npz", "BTCUSDT_20220901.npz", change)
    config = bench.replay_config(futures(), data=bench.folder)
    bot_config = bench.bot_config("one", futures(), seed=1)
    replay = bench.replay(config, date=days)
    bot = bench.bot(bot_config)
    told = (f"row {FIRST} (", words, "BTCUSDT_20220901.npz of asset fut:BTCUSDT")
    is_told(replay, 2, *told)
    assert bot.wait() == 4
    assert f"channel fut: the daemon failed: row {FIRST} (" in bot.stderr
    assert bot.json()["ended"] == "lost a channel"
    if change in (unsorted, huge_price_seen_by_bots_only):
        is_told(bench.start("backtest", "--config", config, "--bot", bot_config, "--date", days), 2, *told)
    assert bench.left_behind() == []


def test_a_day_without_a_file_is_said_with_the_days_that_there_are(bench: Bench):
    config = bench.replay_config(futures())
    replay = bench.replay(config, date="20990101", ready=False)
    is_told(replay, 2, "BTCUSDT_20990101.npz", "there is 20220831, 20220901, 20220902")


@pytest.mark.thorough
def test_files_that_are_no_archives_are_refused(bench: Bench):
    name = "BTCUSDT_20220831.npz"
    whole = (bench.data / name).read_bytes()
    rows = np.load(bench.data / name)["data"]
    broken = {
        "truncated": (lambda path: path.write_bytes(whole[: len(whole) // 2]), "broken"),
        "foreign": (lambda path: path.write_bytes(b"<html>no such file</html>"), "neither npz nor npy"),
        "no_data": (lambda path: np.savez(path, other=rows), "no array 'data'"),
        "floats": (lambda path: np.savez(path, data=np.zeros((9, 6))), "HftBacktest 1"),
        "latencies": (
            lambda path: np.savez(path, data=np.zeros(3, [("req_ts", "i8")])),
            "exch_ts is missing",
        ),
        "empty": (lambda path: np.savez(path, data=rows[:0]), "no rows of market data"),
    }
    config = bench.replay_config(futures(), data=bench.folder)
    for write, words in broken.values():
        write(bench.folder / name)
        is_told(bench.replay(config, ready=False), 2, words, name)
    assert bench.left_behind() == []


def test_a_tick_size_that_does_not_fit_the_archive_is_said_with_the_first_row(bench: Bench):
    config = bench.replay_config(futures(tick_size=0.25))
    words = ("prices are no multiples of the tick size 0.25, first 20", "in row ", "set the tick_size")
    is_told(bench.replay(config, ready=False), 2, *words)
    bot = bench.bot_config("one", futures(tick_size=0.25))
    is_told(bench.start("backtest", "--config", config, "--bot", bot, "--date", "20220831"), 2, *words)


@pytest.mark.thorough
def test_a_few_prices_off_the_tick_are_a_warning(bench: Bench):
    def odd(rows: Rows) -> Rows:
        rows["px"][[100, 200, 300]] += 0.03
        return rows

    bench.add_data("BTCUSDT_20220831.npz", "BTCUSDT_20220831.npz", odd)
    config = bench.replay_config(futures(), data=bench.folder)
    bot = bench.bot_config("one", futures(), strategy="keeps_quoting")
    replay, _ = bench.run(config, bot)
    alone = bench.backtest(config, bot)
    for process in (replay, alone):
        (warning,) = process.json()["warnings"]
        assert " prices are no multiples of the tick size 0.1, first 202" in warning
        assert ": 3 of 7,3" in warning
        assert "in row 100; they are rounded" in warning


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"strategy": "no_such_module:f"}, ["there is no module 'no_such_module'"]),
        ({"strategy": "strategies.market_making:market_makin"}, ["did you mean 'market_making'?"]),
        (
            {"strategy": "strategies.market_making:market_making", "half_spred_ticks": 1},
            ["half_spread_ticks"],
        ),
        ({"strategy": "strategies.market_making:market_making", "interval_ns": 0.5}, ["a whole number"]),
        ({"strategy": "chaos", "head": "spinn_us = 5"}, ["spinn_us", "did you mean 'spin_us'"]),
    ],
)
def test_a_bot_that_is_described_wrongly_is_told_before_a_daemon_hears_of_it(bench: Bench, config, words):
    path = bench.bot_config("one", futures(), **config)
    is_told(bench.start("bot", "--config", path), 2, *words)


@pytest.mark.thorough
def test_a_channel_that_is_not_there_is_said_with_those_that_are(bench: Bench):
    bot = bench.bot_config("one", futures("nowhere"), head="attach_s = 0.5")
    is_told(
        bench.start("bot", "--config", bot),
        2,
        "there is no channel 'nowhere'",
        "start `hftd replay`",
        "the bot waited 0.5 s for it (`attach_s` of [bot])",
    )
    bench.replay(bench.replay_config(futures("fut"), spot("spot")))
    is_told(
        bench.start("bot", "--config", bot),
        2,
        "there is no channel 'nowhere'",
        "channels that run: fut, spot",
    )


def test_a_bot_that_is_started_first_says_what_it_waits_for_and_ctrl_c_ends_it(bench: Bench):
    waiting = bench.start("bot", "--config", bench.bot_config("one", futures("nowhere")))
    waiting.wait_for("waiting_for_channel")
    waiting.wait_for("served=none")
    waiting.signal(signal.SIGINT)
    assert waiting.wait() == 130
    assert "nowhere" in waiting.stderr
    assert "Traceback" not in waiting.stderr


@pytest.mark.parametrize(
    ("instrument", "words"),
    [
        (spot("fut"), ["the channel fut has no instrument 'BTCBUSD'", "it has BTCUSDT"]),
        (futures(tick_size=0.5), ["the bot's tick_size is 0.5, but the run's is 0.1"]),
        (futures(lot_size=0.5), ["the bot's lot_size is 0.5, but the run's is 0.001"]),
    ],
)
@pytest.mark.thorough
def test_an_instrument_that_the_run_has_not_is_refused_with_what_it_has(bench: Bench, instrument, words):
    replay = bench.replay(bench.replay_config(futures()))
    is_told(bench.start("bot", "--config", bench.bot_config("one", instrument)), 2, *words)
    assert "caller_refused" in replay.stderr
    assert replay.process.poll() is None


@pytest.mark.thorough
def test_a_second_bot_of_the_same_name_is_refused_and_the_first_goes_on(bench: Bench):
    config = bench.replay_config(futures(), bots=["same", "other"])
    bench.environment["HFTD_LOG"] = "info"
    replay = bench.replay(config)
    path = bench.bot_config("same", futures(), seed=3)
    first = bench.bot(path)
    replay.wait_for("bot_attached")
    is_told(bench.start("bot", "--config", path), 2, "a bot named 'same' is attached already (pid")
    other = bench.bot(bench.bot_config("other", futures(), seed=4))
    for one in (first, other, replay):
        assert one.wait() == 0, one.stderr
    bench.compare(config, (path, first))


@pytest.mark.thorough
def test_a_bot_that_writes_nonsense_is_sent_away_and_the_others_go_on(bench: Bench):
    scene = Scene(bench)
    hostile = bench.python("-m", "tests.sim.replay.hostile", "fut", "BTCUSDT")
    assert hostile.wait() == 0, hostile.stderr
    told = json.loads(hostile.stdout)
    sent_away = "it wrote into its rings what the protocol does not know"
    version = f"fut: the daemon says: this side speaks protocol version {PROTOCOL_VERSION}"
    assert told.pop("another version").startswith(version)
    assert len(told) > 10
    assert told == dict.fromkeys(told, sent_away)
    assert scene.replay.stderr.count("is sent away: it wrote into its rings") == len(told)
    scene.ends_well(as_alone=True)


@pytest.mark.thorough
def test_a_bot_with_more_answers_on_their_way_than_have_room_is_sent_away_alone(bench: Bench):
    config = bench.replay_config(futures(), bots=["flood", "other"], latency=SLOW_ANSWERS)
    replay = bench.replay(config)
    paths = [
        bench.bot_config("flood", futures(), strategy="asks_too_much"),
        bench.bot_config("other", futures(), seed=4),
    ]
    flood, other = (bench.bot(path) for path in paths)
    assert flood.wait() == 4, flood.stderr
    assert "lost its channel fut: more than 262144 answers to its orders are on their way" in flood.stderr
    for one in (other, replay):
        assert one.wait() == 0, one.stderr
    bench.compare(config, (paths[1], other), fills=False)
