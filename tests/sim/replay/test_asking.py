"""Tools look at a running replay, and the run takes no notice."""

from pathlib import Path

import numpy as np
import pytest

from hftd.types import LOCAL_EVENT
from tests.sim.replay.harness import DATE, MAKER, Bench, Scene, futures, wait_until


@pytest.mark.thorough
def test_the_status_of_a_replay_shows_its_bots_with_their_orders_and_positions(bench: Bench):
    scene = Scene(bench)
    asked = bench.start("status", "--json")
    assert asked.wait() == 0, asked.stdout + asked.stderr
    (daemon,) = asked.json()["daemons"]
    assert (daemon["kind"], daemon["pid"], daemon["is_halted"]) == ("replay", scene.replay.pid, False)
    (channel,) = daemon["channels"]
    assert channel["markets"][0]["best_bid"] < channel["markets"][0]["best_ask"]
    bots = {bot["name"]: bot for bot in daemon["bots"]}
    assert set(bots) == {"victim", "other", "gate"}
    assert bots["victim"]["pid"] == scene.victim.pid
    assert {order["side"] for order in bots["other"]["orders"]} <= {"buy", "sell"}
    assert len(bots["other"]["orders"]) in (1, 2), "it has a quote a side"
    assert bots["other"]["positions"][0]["num_trades"] == bots["other"]["fills"]
    shown = bench.start("status")
    assert shown.wait() == 0, shown.stdout + shown.stderr
    assert "victim" in shown.stdout
    refused = bench.start("halt", "fut")
    assert refused.wait() == 3
    assert "can't be asked to halt" in refused.stderr
    scene.ends_well()


@pytest.mark.thorough
def test_a_tapped_replay_is_the_archive_again(bench: Bench):
    config = bench.replay_config(futures(), bots=["maker"])
    replay = bench.replay(config)
    tap = bench.start("tap", "fut", "--symbol", "BTCUSDT", "--save", "again.npz")

    wait_until(lambda: _taps(tap.pid), replay)
    bot = bench.bot(bench.bot_config("maker", futures(), strategy=MAKER))
    assert bot.wait() == 0, bot.stderr
    assert replay.wait() == 0, replay.stderr
    assert tap.wait() == 0, tap.stderr
    rows = np.load(bench.data / f"BTCUSDT_{DATE}.npz")["data"]
    np.testing.assert_array_equal(
        np.load(bench.folder / "again.npz")["data"], rows[(rows["ev"] & LOCAL_EVENT) != 0]
    )


def _taps(pid: int) -> bool:
    """Whether a process has a market ring mapped."""
    try:
        return "hftd-market-ring" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False
