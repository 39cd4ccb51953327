"""Where the data says that the book is lost, a replay and its bots still come to the same as backtests."""

import numpy as np
import pytest

from hftd.recording import Gap
from sim.convert.rows.gaps import GapMarks
from tests.sim.replay.harness import INTERPOLATED, MAKER, Bench, futures, result


def lost(rows: np.ndarray) -> np.ndarray:
    """As if a second were missing again and again, noticed after a while."""
    first, last = int(rows["local_ts"].min()), int(rows["local_ts"].max())
    step = (last - first) // 7
    gaps = [Gap(at, at + step // 10, at + step // 3) for at in range(first + step // 2, last, step)]
    marks = GapMarks(gaps)
    return np.concatenate([marks.mixed(rows), *marks.rest()])


@pytest.mark.thorough
def test_lost_books_and_pulled_quotes_mean_the_same_over_channels(bench: Bench):
    bench.add_data("BTCUSDT_20220831.npz", "BTCUSDT_20220831.npz", lost)
    names = ["pulls", "maker", "stays"]
    latency = INTERPOLATED.replace("{data}", str(bench.data))
    config = bench.replay_config(futures(), bots=names, latency=latency, data=bench.folder)
    pulls = bench.bot_config("pulls", futures(), seed=91, head="pull_quotes = true")
    maker = bench.bot_config(
        "maker", futures(), strategy=MAKER, interval_ns=10_000_000, head="pull_quotes = true"
    )
    stays = bench.bot_config("stays", futures(), seed=91)
    running = bench.check_equal(config, pulls, maker, stays)
    assert result(running[0]) != result(running[2])
