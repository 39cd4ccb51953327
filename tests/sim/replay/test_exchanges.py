"""Three exchanges in one run by the shipped configuration: over channels and in one process, on one timeline."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from hftd.config import load
from hftd.errors import ConfigError
from hftd.hbt.local import AssetSpec
from sim.backtest import Backtest
from sim.config import ReplayConfig
from sim.generate import MARKETS, write_market
from sim.run import assets_of
from tests.sim.replay.harness import DATE, ROOT, Bench, Instrument
from tests.sim.replay.test_lost_books import lost

_CROSS = MARKETS["cross"]
_FEED = 2


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped configurations, beside a short day of the market that they are for."""
    folder = tmp_path_factory.mktemp("cross")
    write_market(folder / "data" / "cross", _CROSS, seed=5, date=DATE, duration_s=12.0)
    (folder / "configs").mkdir()
    for name in ("cross.toml", "bot-cross.toml"):
        shutil.copy(ROOT / "configs" / name, folder / "configs")
    return folder


def test_three_channels_come_to_the_same_as_a_backtest_bit_for_bit(bench: Bench, cross: Path):
    instruments = [
        Instrument(one.channel, one.symbol, one.tick_size, one.lot_size) for one in _CROSS.instruments
    ]
    bench.check_equal(cross / "configs" / "cross.toml", bench.bot_config("chaos", *instruments, seed=91))


@pytest.mark.thorough
def test_the_shipped_bot_quotes_on_all_three_exchanges(bench: Bench, cross: Path):
    bot = bench.folder / "bot-cross.toml"
    shutil.copy(cross / "configs" / "bot-cross.toml", bot)
    bench.check_equal(cross / "configs" / "cross.toml", bot)
    with np.load(bot.with_suffix(".bot.npz")) as run:
        assert set(run["fills"]["asset_no"]) == {0, 1, 2}


@pytest.mark.thorough
def test_lost_books_of_three_exchanges_pull_the_same_quotes_over_channels(bench: Bench, cross: Path):
    folder = shutil.copytree(cross, bench.folder / "cross")
    for number, one in enumerate(_CROSS.instruments):
        path = folder / "data" / "cross" / one.channel / f"{one.symbol}_{DATE}.npz"
        np.savez(path, data=lost(np.load(path)["data"], number))
    config = folder / "configs" / "cross.toml"
    config.write_text(config.read_text().replace("bots = []", 'bots = ["a", "b"]'))
    instruments = [
        Instrument(one.channel, one.symbol, one.tick_size, one.lot_size) for one in _CROSS.instruments
    ]
    bots = [
        bench.bot_config(name, *instruments, seed=seed, head="pull_quotes = true")
        for name, seed in (("a", 92), ("b", 93))
    ]
    bench.check_equal(config, *bots)


def test_rows_of_three_exchanges_stand_on_one_timeline_by_when_they_were_received(cross: Path):
    config = load(cross / "configs" / "cross.toml", ReplayConfig)
    assets = assets_of(config, cross / "configs", [DATE])
    specs = [AssetSpec(one.model.tick_size, one.model.lot_size) for one in assets]
    hbt = Backtest([one.model for one in assets], [], specs, is_quiet=True)
    received = []
    for channel, asset in zip(config.channels, assets, strict=True):
        rows = np.load(str(asset.model.data[0]))["data"]
        received.append(rows["local_ts"] + channel.latency_offset_ns)
    expected = np.unique(np.concatenate(received))
    seen = []
    # Each moment at which something arrives, whoever sent it, is a moment of the strategy.
    while hbt.wait_next_feed(False, 10_000_000_000) == _FEED:
        now_ns = hbt.current_timestamp
        seen.append(now_ns)
        feeds = [hbt.feed_latency(number) for number in range(3)]
        assert max(feed[1] for feed in feeds if feed is not None) == now_ns
    hbt.close()
    # The last row comes with the end of the data.
    assert seen == expected[:-1].tolist()
    # The offsets of the places are in it: what was received first there is not what is received first here.
    assert len({channel.latency_offset_ns for channel in config.channels}) == 3


def _with(cross: Path, old: str, new: str) -> Path:
    text = (cross / "configs" / "cross.toml").read_text()
    assert old in text
    path = cross / "configs" / "changed.toml"
    path.write_text(text.replace(old, new))
    return path


def test_the_offset_of_a_channel_moves_rows_and_orders_and_leaves_refusals_refusals(cross: Path):
    recorded = (
        'order_latency = { model = "interpolated", files = "../data/cross/{channel}/latency_{date}.npz" }'
    )
    constant = 'order_latency = { model = "separate", new_ns = -2_000_000, modify_ns = 2_000_000, '
    constant += "cancel_ns = 3_000_000, response_ns = 4_000_000 }"
    config = load(_with(cross, recorded, constant), ReplayConfig)
    (asset,) = (one for one in assets_of(config, cross / "configs", [DATE]) if one.channel == "bybit")
    assert asset.model.feed_offset_ns == 30_000_000
    assert [one.constant_ns for one in asset.model.latencies] == [
        -32_000_000,
        32_000_000,
        33_000_000,
        34_000_000,
    ]
    recorded_there = assets_of(
        load(cross / "configs" / "cross.toml", ReplayConfig), cross / "configs", [DATE]
    )
    assert [one.model.latencies[0].offset_ns for one in recorded_there] == [-1_800_000, 30_000_000, 1_000_000]


def test_an_offset_that_takes_more_than_there_is_is_refused(cross: Path):
    recorded = (
        'order_latency = { model = "interpolated", files = "../data/cross/{channel}/latency_{date}.npz" }'
    )
    constant = 'order_latency = { model = "constant", entry_ns = 1_000_000, response_ns = 1_000_000 }'
    with pytest.raises(ConfigError, match="latency_offset_ns"):
        load(_with(cross, recorded, constant), ReplayConfig)
