"""What a user may rely on: a backtest of what a live run saw, with the latencies it had, does what the run did.

What can't be equal is when things happen to the microsecond: a live strategy wakes some tenths of a millisecond after
it wanted to, and a row reaches it as late after the connector's stamp. So the day that is played keeps these moments
apart: messages are on a raster of 200 ms, the feed's way is 40 ms, the strategy looks 100 ms after each raster point,
its orders take 40 ms and their answers 20. Delays up to 60 ms then change nothing; a machine that stalls for longer
does. One more thing is let pass: a fill that comes in parts in one run and at once in the other, because trades and
changes of the book of one millisecond reach a bot in another order than they had in the exchange's engine. The
tolerance: times within 50 ms, and nine of ten orders, and of fills of an order at a price, in both runs.
"""

import msgspec
import numpy as np
import pytest

from hftd.bot.result import load_records
from hftd.clock import wall_ns
from sim.generate import DEMO, generate_day
from sim.results.compare import Comparison, pair_up
from tests.live.stack import ROOT, Stack

RASTER_NS = 200_000_000
TRADED_S = 40
TOLERANCE_NS = 50_000_000

EXCHANGE = """\
[exchange]
[market]
data = "day/{symbol}_{date}.npz"
[[symbols]]
symbol = "BTCUSDT"
tick_size = "0.1"
lot_size = "0.001"
[[accounts]]
name = "one"
api_key = "local-demo-key"
secret = "local-demo-secret"
[latency]
entry_ms = [40.0, 40.0]
reply_ms = [20.0, 20.0]
event_ms = [20.0, 20.0]
feed_ms = [40.0, 40.0]
"""
CONNECTOR = """\
symbols = ["BTCUSDT"]
journal = "orders.journal"
"""
BOT = """\
[bot]
name = "mm"
strategy = "{strategy}:aligned"
attach_s = {attach_s}
[[instruments]]
channel = "binancefutures"
symbol = "BTCUSDT"
tick_size = 0.1
lot_size = 0.001
[parameters]
begin_s = {begin_s}
end_s = {end_s}
[record]
interval_ms = 200
orders = true
"""
REPLAY = """\
[replay]
data = "seen/{symbol}_{date}.npz"
[[channels]]
name = "binancefutures"
[[channels.instruments]]
symbol = "BTCUSDT"
tick_size = 0.1
lot_size = 0.001
order_latency = { model = "interpolated", files = "latency.npz" }
queue = { model = "power3", n = 3.0 }
exchange = "partial_fill"
fee = { model = "value", maker = 0.0002, taker = 0.0005 }
"""


def write_day(folder):
    rows = generate_day(3, [DEMO[0]], "20220831", 120.0)["BTCUSDT"]
    rows["exch_ts"] -= rows["exch_ts"] % RASTER_NS
    (folder / "day").mkdir()
    np.savez(folder / "day" / "BTCUSDT_20220831.npz", data=rows)


def whole(fills):
    """Fills with the parts of one order at one time and price put together."""
    found = []
    for fill in fills:
        last = found[-1] if found else None
        if (
            last is not None
            and (fill["order_id"], fill["price"]) == (last["order_id"], last["price"])
            and fill["timestamp"] - last["timestamp"] < TOLERANCE_NS
        ):
            last["qty"] = round(last["qty"] + fill["qty"], 9)
        else:
            found.append(fill.copy())
    return np.array(found, fills.dtype)


def write_bot(folder, begin_s, attach_s):
    strategy = ROOT / "tests" / "live" / "aligned.py"
    text = BOT.format(strategy=strategy, begin_s=begin_s, end_s=begin_s + TRADED_S, attach_s=attach_s)
    (folder / "bot.toml").write_text(text)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_backtest_of_what_a_live_run_saw_sends_the_same_orders_and_has_the_same_fills(
    tmp_path, tmp_path_factory
):
    write_day(tmp_path)
    (tmp_path / "seen").mkdir()
    (tmp_path / "exchange.toml").write_text(EXCHANGE)
    (tmp_path / "replay.toml").write_text(REPLAY)
    with Stack(tmp_path, tmp_path_factory.mktemp("rt")) as stack:
        write_bot(tmp_path, 0, attach_s=0)
        # It finds no channel, but has compiled everything by then.
        assert stack.start("bot", "--config", "bot.toml").wait(250.0) == 2
        stack.exchange_and_connector(connector=CONNECTOR)
        tap = stack.start("tap", "binancefutures", "--save", "seen/BTCUSDT_20220831.npz")
        # Time for the bot to start.
        write_bot(tmp_path, wall_ns() // 1_000_000_000 + 15, attach_s=10)
        stack.run("bot", "--config", "bot.toml", "--record", "live.npz", "--latency", "latency.npz", "--json")
        stack.stop(tap)
        assert tap.returncode == 0, stack.said("tap")
    with Stack(tmp_path, tmp_path) as stack:
        arguments = ["--config", "replay.toml", "--bot", "bot.toml", "--date", "20220831"]
        stack.run("backtest", *arguments, "--record", "backtest.npz", "--json")
        compared = [
            "live.npz",
            "backtest.npz",
            "--tolerance-ms",
            "20",
            "--allow",
            "0.1",
            "--picture",
            "both.png",
        ]
        comparison = msgspec.json.decode(stack.run("compare", *compared, "--json"), type=Comparison)
    matched = {one.what: one for one in comparison.matched}
    assert matched["new"].both > 50
    assert matched["cancel"].both > 20
    for what in ("new", "cancel"):
        assert matched[what].live_only + matched[what].backtest_only <= 0.2 * matched[what].both
    live, backtest = (whole(load_records(tmp_path / name)["fills"]) for name in ("live.npz", "backtest.npz"))
    paired, _ = pair_up(live, backtest, TOLERANCE_NS)
    assert len(paired) > 20
    assert len(paired) >= 0.9 * max(len(live), len(backtest))
    assert (tmp_path / "both.png").stat().st_size > 10_000
