"""`hftd backtest --bounds`: the same run under other models, each equal to the backtest that says so itself."""

import json
from typing import Any

import pytest

from hftd.bot.config import BotConfig
from hftd.bot.strategy import load_strategy
from hftd.config import load
from hftd.runs.bounds import Variant
from sim.config import ReplayConfig
from sim.results.bounds import changes_for, pnl_of, run_bounds, told
from sim.run import backtest
from tests.sim.replay.harness import DATE, INTERPOLATED, MAKER, Bench, futures, spot

QUEUES = {
    "filled only when traded through": '{ model = "through" }',
    "front of the queue": '{ model = "front" }',
    "risk_averse": '{ model = "risk_averse" }',
    "log": '{ model = "log" }',
    "log2": '{ model = "log2" }',
    "power, n = 3": '{ model = "power", n = 3 }',
    "power2, n = 3": '{ model = "power2", n = 3 }',
}
FACTORS = {"latency x 0.5": 0.5, "latency x 2": 2.0}


def check_each_variant(bench: Bench, latency: str, strategy: str, **parameters: Any) -> None:
    bot_path = bench.bot_config("b", futures(), spot(), strategy=strategy, **parameters)
    bot = load(bot_path, BotConfig)

    def run(**more: Any):
        path = bench.replay_config(futures(**more), spot(**more), latency=latency)
        return load(path, ReplayConfig), path.parent, bot, bot_path.parent, [DATE]

    wanted = run()
    own = backtest(*wanted)
    made = load_strategy(bot.bot.strategy, bot.parameters, bot_path.parent)
    found = run_bounds(*wanted, own, made)
    assert [one.name for one in found.variants[1:]] == [*QUEUES, *FACTORS]
    assert not any(one.error for one in found.variants)
    assert sum(one.trades for one in found.variants) > 0
    for one in found.variants:
        more: dict[str, Any] = {}
        if one.name in QUEUES:
            more["queue"] = QUEUES[one.name]
        elif one.name in FACTORS:
            more["order_latency_factor"] = FACTORS[one.name]
        alone = backtest(*run(**more))
        assert (one.pnl, one.trades) == (pnl_of(alone), sum(asset.num_trades for asset in alone.assets))
        assert one.volume == sum(asset.trading_volume for asset in alone.assets)
        assert one.fee == sum(asset.fee for asset in alone.assets)
    # The bounds are that far apart that they are different runs.
    assert len({one.pnl for one in found.variants}) > 4


def test_each_variant_equals_the_backtest_whose_configuration_says_the_same(bench: Bench):
    check_each_variant(bench, INTERPOLATED, "chaos", seed=5)


@pytest.mark.thorough
def test_a_plain_python_strategy_has_bounds_too(bench: Bench):
    check_each_variant(bench, INTERPOLATED, "plain_chaos", seed=5, actions=300)


def test_the_command_tells_them_as_a_table_a_sentence_json_and_a_page(bench: Bench):
    config = bench.replay_config(futures())
    bot = bench.bot_config("b", futures(), strategy=MAKER)
    run = bench.folder / "run.npz"
    given = ["backtest", "--config", config, "--bot", bot, "--date", DATE, "--bounds"]
    shown = bench.start(*given, "--record", run)
    assert shown.wait() == 0, shown.stderr
    assert "filled only when traded through" in shown.stdout
    assert "% of the spread is the queue model" in " ".join(shown.stdout.split())
    asked = bench.start(*given, "--json")
    assert asked.wait() == 0, asked.stderr
    bounds = asked.json()["bounds"]
    assert bounds["variants"][0]["name"] == "as configured"
    assert bounds["between_bounds"][0] <= bounds["between_bounds"][1]
    report = bench.start("report", run, "-o", "page.html")
    assert report.wait() == 0, report.stderr
    page = (bench.folder / "page.html").read_text()
    assert bounds["sentence"].replace("&", "&amp;") in page
    assert "front of the queue" in page
    made = bench.start("report", run, "--json")
    assert made.wait() == 0, made.stderr
    assert json.loads(made.stdout)["runs"][0]["bounds"] == bounds


def test_without_levels_there_is_no_queue_to_estimate(bench: Bench):
    config = load(bench.replay_config(futures(queue='{ model = "l3_fifo" }')), ReplayConfig)
    assert [change.kind for change in changes_for(config)] == ["latency", "latency"]


def test_the_sentence_says_how_much_of_the_spread_is_the_queue_models():
    kinds = [("own", 120.0), ("bound", 40.0), ("bound", 310.0), ("queue", 50.0), ("latency", 90.0)]
    found = told([Variant(name=kind, kind=kind, pnl=pnl) for kind, pnl in kinds])
    assert found.queue_share == 0.7
    assert found.sentence == (
        "P&L 120.0; 40.00 to 310.0 between the bounds; 50.00 to 120.0 between queue models; "
        "90.00 to 120.0 between latencies; 70 % of the spread is the queue model"
    )
    assert found.notes == []
    outside = told([Variant(name="own", kind="own", pnl=-1.0), Variant(name="b", kind="bound", pnl=3.0)])
    assert "not what a strategy makes of its fills" in outside.notes[0]
    unknown = told([Variant(name="own", kind="own"), Variant(name="b", kind="bound", error="it raised")])
    assert unknown.sentence == "P&L is not known: there is no price"
    assert unknown.notes == ["without a result: b: it raised"]
