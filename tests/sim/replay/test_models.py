"""Partial fills, inverse contracts, every fee and custom models mean the same over channels as in a backtest."""

import numpy as np
import pytest

from tests.sim.replay.harness import ROOT, Bench, futures, result, spot

EXAMPLES = ROOT / "docs" / "examples" / "custom_models.py"


def fills_of(path):
    with np.load(path.with_suffix(".bot.npz")) as archive:
        return archive["fills"]


@pytest.mark.thorough
def test_partial_fills_and_all_kinds_of_contracts_and_fees_equal_the_backtest(bench: Bench):
    partial = {"exchange": '"partial_fill"'}
    inverse = {"asset": '"inverse"', "contract_size": 100.0}
    config = bench.replay_config(
        futures(fee='{ model = "flat", maker = 0.5, taker = 1.5, buyer = 0.001 }', **partial, **inverse),
        spot(fee='{ model = "quantity", maker = -1.0, taker = 2.0, seller = 0.002 }', **partial),
        bots=["a", "b"],
        latency='{ model = "separate", new_ns = 2_000_000, modify_ns = 300_000, cancel_ns = -50_000, response_ns = 7 }',
    )
    bots = [bench.bot_config(name, futures(), spot(), seed=seed) for name, seed in (("a", 91), ("b", 92))]
    for path, process in zip(bots, bench.check_equal(config, *bots), strict=True):
        fills = fills_of(path)
        # Some orders were filled in parts.
        assert len(np.unique(fills["order_id"])) < len(fills)
        assets = result(process)["assets"]
        for asset_no, asset in enumerate(assets):
            own = fills[fills["asset_no"] == asset_no]
            maker, buys = own["maker"] != 0, own["side"] > 0
            if asset["inverse"]:
                amounts = 100.0 * own["qty"] / own["price"]
                fee = np.where(maker, 0.5, 1.5) + np.where(buys, 0.001, 0.0) * amounts
                worth = -asset["balance"] - 100.0 * asset["position"] / asset["price"]
            else:
                amounts = own["qty"] * own["price"]
                fee = np.where(maker, -1.0, 2.0) * own["qty"] + np.where(buys, 0.0, 0.002) * amounts
                worth = asset["balance"] + asset["position"] * asset["price"]
            assert asset["position"] == pytest.approx((own["qty"] * own["side"]).sum())
            assert asset["balance"] == pytest.approx(-(amounts * own["side"]).sum())
            assert asset["fee"] == pytest.approx(fee.sum())
            assert asset["equity"] == pytest.approx(worth - asset["fee"])
        assert [asset["inverse"] for asset in assets] == [True, False]


@pytest.mark.thorough
def test_models_of_ones_own_equal_the_backtest(bench: Bench):
    def named(name: str, more: str = "") -> str:
        return f'{{ model = "custom", name = "{EXAMPLES}:{name}"{more} }}'

    latency = named("loaded_latency", ", parameters = { base_ns = 500_000.0, ns_per_row = 1000.0 }")
    config = bench.replay_config(
        futures(exchange='"partial_fill"', queue=named("pro_rata_queue"), fee=named("tiered_fees")),
        spot(fee=named("tiered_fees", ", seller = 0.001")),
        bots=["one"],
        latency=latency,
    )
    path = bench.bot_config("one", futures(), spot(), seed=95)
    bench.check_equal(config, path)


def test_a_model_that_can_not_be_loaded_ends_a_replay_with_its_place(bench: Bench):
    config = bench.replay_config(futures(queue=f'{{ model = "custom", name = "{EXAMPLES}:tiered_fees" }}'))
    process = bench.replay(config, ready=False)
    assert process.wait() == 2
    assert "`queue` of fut:BTCUSDT" in process.stderr and "must be a CustomQueue" in process.stderr
    assert "Traceback" not in process.stderr
