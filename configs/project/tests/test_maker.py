"""What the strategy does on a minute of a generated market, with the project's configurations."""

from pathlib import Path

import numpy as np
import pytest

from hftd.bot.config import BotConfig
from hftd.config import load
from sim.config import ReplayConfig
from sim.generate import DEMO, DEMO_DATE, write_day
from sim.run import backtest

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


@pytest.fixture(scope="module")
def bot():
    return load(CONFIGS / "bot.toml", BotConfig)


@pytest.fixture(scope="module")
def result(bot, tmp_path_factory):
    data = tmp_path_factory.mktemp("market") / "data"
    write_day(data, DEMO[:1], seed=7, duration_s=60.0)
    # The paths in replay.toml count from the folder that is given here.
    return backtest(load(CONFIGS / "replay.toml", ReplayConfig), data, bot, CONFIGS, [DEMO_DATE])


def test_it_buys_and_sells(result):
    assert {1, -1} <= set(result.fills["side"])
    assert result.fills["maker"].all()


def test_its_position_stays_within_the_limit(bot, result):
    position = np.cumsum(result.fills["side"] * result.fills["qty"])
    assert np.abs(position).max() <= bot.parameters["max_position"] + 1e-9


def test_the_account_is_what_the_fills_came_to(result):
    fills, asset = result.fills, result.assets[0]
    assert asset.balance == pytest.approx(-(fills["side"] * fills["qty"] * fills["price"]).sum())
    assert asset.position == pytest.approx((fills["side"] * fills["qty"]).sum())
