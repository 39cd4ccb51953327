"""Where the data says that the book is lost, a replay and its bots still come to the same as backtests."""

import json
import random
from functools import partial
from itertools import product

import numpy as np
import pytest

from hftd.constants import BOOK_INVALID, BOOK_VALID, EXPIRED, NEW, REASON_BOOK_NOT_VALID, REASON_NONE
from hftd.recording import Gap
from sim.convert.rows.gaps import GapMarks
from tests.sim.replay.harness import INTERPOLATED, MAKER, Bench, Scene, futures, result, spot, wait_until

MS = 1_000_000
BOTH = (futures(), spot())


def windows(seed: int, first: int, last: int) -> list[Gap]:
    """At the start, at the end, back to back, of a nanosecond and anywhere else."""
    chance = random.Random(seed)
    found = [Gap(first, first, first + 300 * MS), Gap(last - 700 * MS, last - 400 * MS, last)]
    for at in range(first + 1000 * MS, last - 1000 * MS, 800 * MS):
        noticed = at + chance.randrange(300 * MS)
        until = noticed + chance.choice((1, MS, chance.randrange(MS, 400 * MS)))
        found += [Gap(at, noticed, until), Gap(until, until, until + chance.randrange(1, 3 * MS))]
    return found


def lost(rows: np.ndarray, seed: int) -> np.ndarray:
    """As if something were missing again and again."""
    marks = GapMarks(windows(seed, int(rows["local_ts"].min()), int(rows["local_ts"].max())))
    return np.concatenate([marks.mixed(rows), *marks.rest()])


@pytest.mark.thorough
@pytest.mark.parametrize(("seed", "offset_ns", "days"), [(1, 0, 2), (2, 25 * MS, 1), (3, -MS // 4, 1)])
def test_lost_books_and_pulled_quotes_mean_the_same_over_channels(
    bench: Bench, seed: int, offset_ns: int, days: int
):
    dates = ("20220831", "20220901")[:days]
    for number, (symbol, date) in enumerate(product(("BTCUSDT", "BTCBUSD"), dates)):
        name = f"{symbol}_{date}.npz"
        bench.add_data(name, name, partial(lost, seed=4 * seed + number))
    names = ["pulls", "maker", "stays"]
    markets = (futures(feed_latency_offset_ns=offset_ns), spot(feed_latency_offset_ns=2 * offset_ns))
    latency = INTERPOLATED.replace("{data}", str(bench.data))
    config = bench.replay_config(*markets, bots=names, latency=latency, data=bench.folder)
    bots = [
        bench.bot_config("pulls", *BOTH, seed=seed, head="pull_quotes = true"),
        bench.bot_config(
            "maker", futures(), strategy=MAKER, interval_ns=10_000_000, head="pull_quotes = true"
        ),
        bench.bot_config("stays", *BOTH, seed=seed),
    ]
    running = bench.check_equal(config, *bots, date=f"{dates[0]}..{dates[-1]}")
    assert result(running[0]) != result(running[2])


@pytest.mark.thorough
def test_a_bot_that_comes_while_the_book_is_lost_hears_so_and_trades_once_it_is_back(bench: Bench):
    second = 1000 * MS

    def lost_for_two_seconds(rows: np.ndarray) -> np.ndarray:
        at = int(rows["local_ts"].min()) + second
        marks = GapMarks([Gap(at, at, at + 2 * second)])
        return np.concatenate([marks.mixed(rows), *marks.rest()])

    bench.add_data("BTCUSDT_20220831.npz", "BTCUSDT_20220831.npz", lost_for_two_seconds)
    scene = Scene(bench, after_ns=2 * second, data=bench.folder)
    path = bench.folder / "told.json"
    late = bench.bot(
        bench.bot_config(
            "late",
            futures(),
            strategy="tells_whether_it_may_trade",
            head="pull_quotes = true",
            path=str(path),
        )
    )
    wait_until(path.with_suffix(".here").exists, late)
    scene.ends_well(as_alone=True)
    assert late.wait() == 0, late.stderr
    assert json.loads(path.read_text()) == [
        [BOOK_INVALID, EXPIRED, REASON_BOOK_NOT_VALID],
        [BOOK_VALID, NEW, REASON_NONE],
    ]
