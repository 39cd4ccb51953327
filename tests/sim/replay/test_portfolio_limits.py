"""The limits over all instruments of a bot (`[portfolio]`) refuse the same over channels as in a backtest."""

import pytest

from tests.sim.replay.harness import Bench, futures, result, spot


def _limits(gross: float, net: float) -> str:
    return f"[portfolio]\ngross_value = {gross}\nnet_value = {net}"


@pytest.mark.thorough
@pytest.mark.parametrize("inverse", [False, True])
def test_what_portfolio_limits_refuse_is_the_same_over_channels(bench: Bench, inverse: bool):
    # An inverse contract is worth its size whatever its price, and the bot hears of both from the daemon.
    contract = {"asset": '"inverse"', "contract_size": 20_000.0} if inverse else {}
    markets = (futures(**contract), spot(contract_size=2.0))
    heads = {
        "gross": _limits(250.0, 0.0),
        "net": _limits(0.0, 120.0),
        "both": _limits(400.0, 150.0),
        "free": "",
    }
    config = bench.replay_config(*markets, bots=list(heads))
    # One of them has the instruments the other way around than the run.
    bots = [
        bench.bot_config(name, *((futures(), spot())[:: -1 if name == "both" else 1]), seed=5, head=head)
        for name, head in heads.items()
    ]
    told = [result(one) for one in bench.check_equal(config, *bots)]
    for one in told[:-1]:
        assert any("[portfolio] refused" in warning for warning in one["warnings"])
        assert one["num_fills"] != told[-1]["num_fills"]
    assert not any("[portfolio]" in warning for warning in told[-1]["warnings"])
