"""Sweeps of the restless strategy over small markets, in a folder."""

from pathlib import Path

import numpy as np

from hftd.bot.config import BotConfig
from hftd.config import load
from sim.config import ReplayConfig
from sim.sweeps.play import Setup, play
from tests.sim.market import LOT_SIZE, TICK_SIZE, random_market

DAYS = ("20220831", "20220901")
ARRAYS = ("records", "fills", "order_latency", "orders")
USUAL = {
    "order_latency": '{ model = "constant", entry_ns = 700_000, response_ns = 900_000 }',
    "queue": '{ model = "power3", n = 3.0 }',
    "fee": '{ model = "value", maker = -0.00005, taker = 0.0007 }',
}


def write_run(folder: Path, *, symbols=("X",), rows=1500, pull_quotes=False, strategy=None, **keys):
    """The configurations of a run, and its archives."""
    for number, symbol in enumerate(symbols):
        for day, date in enumerate(DAYS):
            if not (folder / f"{symbol}_{date}.npz").exists():
                market = random_market(10 * number + day, rows)
                for clock in ("exch_ts", "local_ts"):
                    market[clock] += day * 86_400_000_000_000
                np.savez_compressed(folder / f"{symbol}_{date}.npz", data=market)
    replay = ["[replay]", 'data = "{symbol}_{date}.npz"', "[[channels]]", 'name = "c"']
    named = strategy or f"{Path(__file__).parent / 'restless.py'}:restless"
    bot = ["[bot]", 'name = "b"', f'strategy = "{named}"', f"pull_quotes = {str(pull_quotes).lower()}"]
    for symbol in symbols:
        sizes = [f'symbol = "{symbol}"', f"tick_size = {TICK_SIZE}", f"lot_size = {LOT_SIZE}"]
        replay += ["[[channels.instruments]]", *sizes]
        replay += [f"{key} = {value}" for key, value in (USUAL | keys).items()]
        bot += [
            "[[instruments]]",
            'channel = "c"',
            *sizes,
            "last_trades_capacity = 100",
            "user_events_capacity = 3",
        ]
    bot += ["[record]", "interval_ms = 100", "orders = true"]
    (folder / "replay.toml").write_text("\n".join(replay) + "\n")
    (folder / "bot.toml").write_text("\n".join(bot) + "\n")


def setup_of(folder: Path) -> Setup:
    """What the points of a run have in common."""
    replay, bot = load(folder / "replay.toml", ReplayConfig), load(folder / "bot.toml", BotConfig)
    return Setup(replay, folder, bot, folder)


def outcomes(setup, points, *, alone, dates=DAYS[:1]):
    """What becomes of points."""
    found = []
    play(setup, list(dates), points, lambda number, outcome: found.append(outcome), alone=alone)
    return found


def told(outcome):
    """All that a run came to, but the time that it took."""
    if not hasattr(outcome, "records"):
        return outcome.reason
    arrays = tuple(getattr(outcome, name).tobytes() for name in ARRAYS)
    # As bits: NaN is equal to itself.
    assets = tuple(repr(asset) for asset in outcome.assets)
    return arrays, assets, outcome.ended, outcome.events, outcome.sim_seconds, tuple(outcome.warnings)
