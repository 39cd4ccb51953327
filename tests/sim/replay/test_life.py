"""The life of orders over channels is that of the backtest."""

from pathlib import Path

import numpy as np
import pytest

from hftd.hbt.life import LIFE_FILL
from hftd.runfile import read_run
from sim.results.explain import explain, group
from tests.sim.replay.harness import INTERPOLATED, Bench, futures, spot

BOTH = (futures("both"), spot("both"))


def lived(path: Path) -> np.ndarray:
    life = read_run(path).life
    assert life is not None
    return life


def as_in_the_run(rows: np.ndarray, symbols: list[str], numbers: dict[str, int]) -> np.ndarray:
    """Rows of a backtest, by the run's numbers of the assets and in its order."""
    rows = rows.copy()
    rows["asset"] = np.array([numbers[symbol] for symbol in symbols])[rows["asset"]]
    return rows[np.lexsort((rows["seq"], rows["asset"], rows["ts"]))]


@pytest.mark.thorough
def test_what_a_replay_notes_of_each_bot_is_what_its_backtest_notes(bench: Bench):
    names = ["a", "b", "reversed"]
    config = bench.replay_config(*BOTH, bots=names, latency=INTERPOLATED)
    bots = [
        bench.bot_config("a", *BOTH, seed=51),
        bench.bot_config("b", *BOTH, seed=52),
        bench.bot_config("reversed", *BOTH[::-1], seed=53),
    ]
    replay = bench.replay(config, "--life", "life.npz")
    running = [bench.bot(bot) for bot in bots]
    for one in [*running, replay]:
        assert one.wait() == 0, one.stderr
    file = read_run(bench.folder / "life.npz")
    assert file.meta is not None
    numbers = {asset.symbol: number for number, asset in enumerate(file.meta.assets)}
    kinds: set[int] = set()
    for path in bots:
        target = path.with_suffix(".explained.npz")
        alone = bench.start(
            "backtest", "--config", config, "--bot", path, "--date", "20220831", "--json",
            "--record", target, "--explain",
        )  # fmt: skip
        assert alone.wait() == 0, alone.stderr
        explained = read_run(target)
        assert explained.meta is not None
        own = as_in_the_run(lived(target), [one.symbol for one in explained.meta.assets], numbers)
        theirs = lived(bench.folder / "life.npz")
        theirs = theirs[theirs["bot"] == file.meta.settings["bots"].index(path.stem)]
        theirs = theirs[np.lexsort((theirs["seq"], theirs["asset"], theirs["ts"]))]
        own["bot"], own["seq"], theirs["seq"] = theirs["bot"][0], 0, 0
        assert own.tobytes() == theirs.tobytes()
        kinds |= set(own["kind"].tolist())
        fills = np.load(path.with_suffix(".bot.npz"))["fills"]
        assert len(fills) == (own["kind"] == LIFE_FILL).sum() > 0
    assert kinds >= set(range(1, 13)), "the bots did not do all that can happen"
    assert explain(group(lived(bench.folder / "life.npz"))).orders > 0


@pytest.mark.thorough
def test_the_rows_that_have_no_room_are_counted_and_said(bench: Bench):
    config = bench.replay_config(*BOTH, bots=["a"])
    replay = bench.replay(config, "--life", "life.npz", "--life-rows", "10")
    bot = bench.bot(bench.bot_config("a", *BOTH, seed=51))
    for one in (bot, replay):
        assert one.wait() == 0, one.stderr
    file = read_run(bench.folder / "life.npz")
    assert file.meta is not None and file.life is not None
    assert len(file.life) == 20 < file.meta.life_dropped
    assert "had no room" in replay.json()["warnings"][-1]
