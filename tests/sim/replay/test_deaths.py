"""Whoever of a run dies or is told to stop: the others go on, it is said clearly, and nothing is left behind."""

import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

from hftd.clock import sleep
from tests.sim.replay.harness import MAKER, Bench, Scene, futures, result, spot


@pytest.fixture
def scene(bench: Bench) -> Scene:
    return Scene(bench)


def test_a_bot_that_is_killed_leaves_the_others_as_if_it_had_not_been_there(scene: Scene):
    scene.victim.signal(signal.SIGKILL)
    bots = scene.ends_well(as_alone=True)
    assert bots["victim"]["left"] == "it is gone"
    assert bots["other"]["left"] == "end of data"


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.thorough
def test_a_bot_that_is_told_to_stop_leaves_in_order_and_shows_what_it_came_to(scene: Scene, number: int):
    scene.victim.signal(number)
    assert scene.victim.wait() == 0, scene.victim.stderr
    assert scene.victim.json()["ended"] == "stopped"
    assert "Traceback" not in scene.victim.stderr
    assert scene.ends_well()["victim"]["left"] == "stopped"


@pytest.mark.thorough
def test_a_replay_that_is_killed_is_said_by_its_bots_with_what_they_came_to(scene: Scene):
    scene.replay.signal(signal.SIGKILL)
    for bot in (scene.victim, scene.other):
        assert bot.wait() == 4, bot.stderr
        assert bot.stderr.count("error:") == 1
        assert "channel fut: the daemon is gone" in bot.stderr
        assert "Traceback" not in bot.stderr
        document = bot.json()
        assert document["ended"] == "lost a channel"
        assert document["assets"][0]["symbol"] == "BTCUSDT"
    assert Path(scene.bench.folder / "other.bot.npz").is_file()


@pytest.mark.thorough
def test_a_replay_takes_the_name_of_one_that_was_killed(scene: Scene, bench: Bench):
    scene.replay.signal(signal.SIGKILL)
    scene.replay.wait()
    assert [path.name for path in bench.runtime.iterdir()] == ["fut.sock"], "a killed one can't tidy up"
    config = bench.replay_config(futures())
    bench.check_equal(config, bench.bot_config("again", futures(), seed=5))
    assert scene.bench.left_behind() == []


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.thorough
def test_a_replay_that_is_told_to_stop_tells_its_bots(scene: Scene, number: int):
    scene.replay.signal(number)
    assert scene.replay.wait() == 0, scene.replay.stderr
    assert scene.replay.json()["ended"] == "stopped"
    for bot in (scene.victim, scene.other):
        assert bot.wait() == 4, bot.stderr
        assert "channel fut: the daemon ends" in bot.stderr
    assert scene.bench.left_behind() == []


def test_a_replay_that_waits_for_bots_can_be_told_to_stop(bench: Bench):
    replay = bench.replay(bench.replay_config(futures()))
    replay.signal(signal.SIGINT)
    assert replay.wait() == 0
    assert replay.json()["ended"] == "stopped"
    assert bench.left_behind() == []


@pytest.mark.thorough
def test_a_second_replay_of_the_same_channels_is_refused_and_the_first_goes_on(bench: Bench):
    config = bench.replay_config(futures())
    bot = bench.bot_config("one", futures(), seed=6)
    replay = bench.replay(config)
    second = bench.replay(config, ready=False)
    assert second.wait() == 3
    assert "the channel 'fut' is served already by pid" in second.stderr
    running = bench.bot(bot)
    assert running.wait() == 0
    assert replay.wait() == 0
    bench.compare(config, (bot, running))


@pytest.mark.thorough
def test_a_strategy_that_never_lets_time_pass_ends_when_told_three_times(bench: Bench):
    config = bench.replay_config(futures())
    replay = bench.replay(config)
    bot = bench.bot(bench.bot_config("busy", futures(), strategy="never_waits"))
    replay.wait_for("waiting for the bot busy to go on")
    for _ in range(3):
        assert bot.process.poll() is None
        bot.signal(signal.SIGINT)
        sleep(0.2)
    assert bot.wait() == 130
    assert replay.wait() == 0
    assert replay.json()["ended"] == "no bots left"
    assert bench.left_behind() == []


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("fails_compiled", "it raised ValueError: the strategy's own mistake"),
        ("fails_plain", "it raised KeyError: 'missing' ("),
    ],
)
@pytest.mark.thorough
def test_a_strategy_that_raises_is_told_in_its_own_words_and_the_others_go_on(
    bench: Bench, strategy: str, words: str
):
    config = bench.replay_config(futures(), bots=["victim", "other"])
    replay = bench.replay(config)
    victim = bench.bot(bench.bot_config("victim", futures(), strategy=strategy))
    other = bench.bot(bench.bot_config("other", futures(), strategy=MAKER, interval_ns=10_000_000))
    assert victim.wait() == 2
    assert words in victim.stderr
    assert "Traceback" not in victim.stderr
    assert other.wait() == 0, other.stderr
    assert replay.wait() == 0, replay.stderr
    assert result(other)["ended"] == "end of data"
    assert [bot["left"] for bot in replay.json()["bots"] if bot["name"] == "victim"] == ["it failed"]
    assert bench.left_behind() == []


@pytest.mark.thorough
def test_a_bot_that_is_stopped_is_named_and_holds_the_run_up_until_it_goes_on(scene: Scene):
    scene.victim.signal(signal.SIGSTOP)
    scene.go_on()
    scene.replay.wait_for("waiting for the bot victim to go on")
    assert scene.other.process.poll() is None
    scene.victim.signal(signal.SIGCONT)
    assert scene.victim.wait() == 0
    scene.ends_well()


@pytest.mark.thorough
def test_a_bot_that_is_stopped_can_be_killed_and_the_run_goes_on(scene: Scene):
    scene.victim.signal(signal.SIGSTOP)
    scene.go_on()
    sleep(0.3)
    scene.victim.signal(signal.SIGKILL)
    scene.ends_well()


@pytest.mark.thorough
def test_bots_may_come_and_go_and_leave_no_descriptors_and_no_memory(bench: Bench):
    config = bench.replay_config(futures(), spot(), bots=["holder"])
    replay = bench.replay(config)
    holder = bench.bot(bench.bot_config("holder", futures(), strategy="never_waits"))
    replay.wait_for("waiting for the bot holder to go on")
    before = psutil.Process(replay.pid).num_fds()
    program = bench.folder / "come_and_go.py"
    program.write_text(
        "from hftd import Bot, Instrument\n"
        "both = [Instrument('fut', 'BTCUSDT', 0.1, 0.001), Instrument('spot', 'BTCBUSD', 0.1, 0.0001)]\n"
        "for number in range(50):\n"
        "    with Bot(both, name=f'guest{number % 7}') as bot:\n"
        "        assert bot.depth(0).best_bid > 0\n"
        "        assert len(bot.orders(0)) == 0\n"
        "import os\n"
        "print(len(os.listdir('/proc/self/fd')))\n"
    )
    guest = bench.python(program)
    assert guest.wait() == 0, guest.stderr
    assert int(guest.stdout) < 20
    sleep(0.2)
    process = psutil.Process(replay.pid)
    assert process.num_fds() <= before
    pieces = [one.path for one in process.memory_maps(grouped=False) if "memfd:hftd-link" in one.path]
    assert len(pieces) == 1, "the holder's"
    holder.signal(signal.SIGKILL)
    assert replay.wait() == 0
    assert len(replay.json()["bots"]) == 51
    assert bench.left_behind() == []


@pytest.mark.thorough
def test_more_orders_than_the_ring_holds_are_refused_and_those_sent_all_arrive(bench: Bench):
    config = bench.replay_config(futures())
    bench.run(config, bench.bot_config("floods", futures(), strategy="floods", orders=20_000))
    fills = np.load(bench.folder / "floods.bot.npz")["fills"]
    counts = {int(fill["order_id"]) - 20_001: round(fill["qty"] / 0.001) for fill in fills}
    sent, refused = counts[0], counts[1]
    assert sent + refused == 20_000
    assert refused > 0
    assert 2 not in counts, "no other code"
    assert counts[3] == sent, "each that was sent rests in the market"
