"""Each strategy on a minute and a half of the demo's market: it trades, as a maker, and keeps its limits."""

import msgspec
import numpy as np
import pytest

from hftd.bot.config import BotConfig
from hftd.config import load
from sim.config import ReplayConfig
from sim.generate import DEMO, DEMO_DATE, write_day
from sim.run import backtest
from tests.laws import ROOT

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(600)]
QTY, MOST = 0.01, 0.03
MAKER = {"order_qty": QTY, "max_position": MOST}
SIGNAL = MAKER | {"half_spread_ticks": 4.0}
GROSS, NET, OWN = 900.0, 300.0, 600.0
PORTFOLIO = {
    "order_notional": 200.0,
    "half_spread_bp": 0.2,
    "gross_notional": GROSS,
    "net_notional": NET,
    "asset_notional": OWN,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """run(strategy, parameters) on the demo's two instruments."""
    data = tmp_path_factory.mktemp("market") / "data"
    write_day(data, DEMO, seed=3, duration_s=90.0)
    replay = load(ROOT / "configs" / "replay.toml", ReplayConfig)
    grid = load(ROOT / "configs" / "grid.toml", BotConfig)

    def run(name, parameters):
        section = msgspec.structs.replace(grid.bot, strategy=f"strategies.{name}:{name}")
        bot = msgspec.structs.replace(grid, bot=section, parameters=parameters)
        return backtest(replay, data, bot, ROOT / "configs", [DEMO_DATE])

    return run


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("imbalance_making", SIGNAL | {"window_ns": 10_000_000_000}),
        ("factor_making", SIGNAL | {"warm_up_ns": 20_000_000_000, "window_ns": 60_000_000_000}),
        ("queue_making", MAKER),
        ("level3_making", SIGNAL),
        ("portfolio_making", PORTFOLIO),
        ("portfolio_making", PORTFOLIO | {"levels": 3, "order_notional": 100.0}),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} parameters",
)
def test_a_strategy_makes_both_sides_within_its_limits(run, name, parameters):
    fills = run(name, parameters).fills
    assert {1, -1} <= set(fills["side"])
    assert fills["maker"].all()
    held = np.zeros((len(fills), 2))
    held[np.arange(len(fills)), fills["asset_no"]] = fills["side"] * fills["qty"]
    held = held.cumsum(axis=0)
    if "max_position" in parameters:
        assert np.abs(held).max() <= MOST + 1e-9
        return
    # A price moves a little between the order and its fill.
    values = held * fills["price"][:, None]
    assert np.abs(values).sum(axis=1).max() <= GROSS * 1.001
    assert np.abs(values.sum(axis=1)).max() <= NET * 1.001
    assert np.abs(values).max() <= OWN * 1.001


def test_what_forecasts_can_be_turned_off(run):
    plain = run("market_making", SIGNAL)
    blind = run("imbalance_making", SIGNAL | {"signal_ticks": 0.0, "window_ns": 20_000_000})
    assert abs(len(blind.fills) - len(plain.fills)) <= 2
    seeing = run("imbalance_making", SIGNAL | {"signal_ticks": 6.0, "window_ns": 20_000_000})
    assert seeing.fills.tobytes() != blind.fills.tobytes()
