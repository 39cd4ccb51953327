"""A market of single orders over channels: the bot sees what it sees in one process."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from hftd.clock import sleep
from hftd.recording import Gap
from hftd.types import ADD_ORDER_EVENT, BUY_EVENT, SELL_EVENT, event_dtype
from sim.archive import write_events
from sim.convert.rows.gaps import GapMarks
from tests.forks import Forked
from tests.sim.l3.market import BOTH, TICK_SIZE, Market

ROOT = Path(__file__).resolve().parents[3]
DATE = "20240103"
START_NS = 1_704_240_000_000_000_000

REPLAY = """
[replay]
data = "{{channel}}_{{symbol}}_{{date}}.npz"
bots = ["mm"]

[[channels]]
name = "orders"

[[channels.instruments]]
symbol = "ES"
tick_size = 0.25
lot_size = 1.0
order_latency = {{ model = "constant", entry_ns = 700, response_ns = 900 }}
queue = {{ model = "l3_fifo" }}
exchange = "{exchange}"
initial_snapshot = "snapshot_{{date}}.npz"
fee = {{ model = "quantity", maker = 0.1, taker = 0.2 }}
"""
BOT = """
[bot]
name = "mm"
strategy = "strategies.market_making:market_making"
pull_quotes = {pulls}

[[instruments]]
channel = "orders"
symbol = "ES"
tick_size = 0.25
lot_size = 1.0

[parameters]
half_spread_ticks = 1.0
skew_ticks = 0.1
order_qty = 2.0
max_position = 20.0
interval_ns = 2_000
"""


@pytest.fixture(scope="module")
def data():
    """The rows of a day, and those of the orders that stood before it."""
    orders = [(1 + i, side, 1000 - side * (1 + i), 5 + i) for i in range(9) for side in (1, -1)]
    orders = [(2 * order_id + (side > 0), side, tick, qty) for order_id, side, tick, qty in orders]
    market = Market(11, crossing=0.03, bad=0.02, clears=0.002, orders=orders, start_ns=START_NS)
    before = [
        (BOTH | ADD_ORDER_EVENT | (BUY_EVENT if side > 0 else SELL_EVENT), START_NS - 9, START_NS - 9,
         tick * TICK_SIZE, qty, order_id, 0, 0.0)
        for order_id, side, tick, qty in orders
    ]  # fmt: skip
    return market.rows(4000), np.array(before, event_dtype)


def lost(rows):
    """As if the book were lost for a while, again and again."""
    first, last = int(rows["local_ts"].min()), int(rows["local_ts"].max())
    step = (last - first) // 20
    marks = GapMarks([Gap(at, at + step // 20, at + step // 4) for at in range(first, last, step)])
    return np.concatenate([marks.mixed(rows), *marks.rest()])


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("exchange", "pulls"),
    [
        ("no_partial_fill", "false"),
        pytest.param("partial_fill", "false", marks=pytest.mark.thorough),
        pytest.param("no_partial_fill", "true", marks=pytest.mark.thorough),
    ],
)
def test_replay_and_bot_give_the_result_of_the_backtest(tmp_path, data, exchange, pulls):
    write_events(tmp_path / f"orders_ES_{DATE}.npz", lost(data[0]) if pulls == "true" else data[0])
    write_events(tmp_path / f"snapshot_{DATE}.npz", data[1])
    (tmp_path / "replay.toml").write_text(REPLAY.format(exchange=exchange))
    (tmp_path / "bot.toml").write_text(BOT.format(pulls=pulls))
    with tempfile.TemporaryDirectory(prefix="hftd-t-") as runtime:
        environment = os.environ | {"HFTD_RUNTIME_DIR": runtime, "PYTHONPATH": str(ROOT)}

        def start(*arguments):
            return Forked(
                ["daemon.cli", *arguments],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

        def result(process):
            out, err = process.communicate(timeout=500)
            assert process.returncode == 0, err
            return json.loads(out)

        alone = result(
            start("backtest", "--config", "replay.toml", "--bot", "bot.toml", "--date", DATE, "--json",
                  "--record", "alone.npz")
        )  # fmt: skip
        replay = start("replay", "--config", "replay.toml", "--date", DATE, "--json")
        try:
            while replay.poll() is None and not Path(runtime, "orders.sock").exists():
                sleep(0.05)
            apart = result(start("bot", "--config", "bot.toml", "--json", "--record", "apart.npz"))
            assert replay.wait(60) == 0, replay.stderr.read()
        finally:
            replay.kill()
            replay.communicate()
    assert alone.pop("seconds") * apart.pop("seconds") > 0
    assert alone == apart
    assert alone["assets"][0]["num_trades"] > 50
    with np.load(tmp_path / "alone.npz") as one, np.load(tmp_path / "apart.npz") as other:
        assert sorted(one) == sorted(other)
        # `meta` names the run's data files, which a bot does not know.
        for name in set(one) - {"meta"}:
            assert one[name].tobytes() == other[name].tobytes()
