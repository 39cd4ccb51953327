"""What the life of orders adds up to is what the reference's account comes to."""

import pytest

from hftd.hbt import life
from tests.parity import random_runs
from tests.parity.engines import ours, theirs

pytestmark = pytest.mark.parity


@pytest.mark.thorough
def test_the_fills_of_a_life_come_to_the_reference_s_account(reference):
    trades = 0
    for seed in range(5_000_000, 5_000_060):
        made = random_runs.case(seed)
        with theirs(reference, made.assets) as hbt:
            expected = random_runs.run(hbt, made)
        hbt = ours(made.assets)
        hbt.record_life()
        seen = random_runs.run(hbt, made)
        assert random_runs.differences(made, expected, seen) == []
        rows = hbt.life()
        for asset_no, asset in enumerate(made.assets):
            told = rows[
                (rows["asset"] == asset_no) & (rows["kind"] == life.LIFE_ANSWER) & (rows["qty"] > 0.0)
            ]
            account = expected[2][-1, asset_no]
            assert account["num_trades"] == len(told)
            assert account["volume"] == pytest.approx(told["qty"].sum(), abs=1e-9)
            amounts = asset.amounts(told["exec_px"], told["qty"])
            assert account["balance"] == pytest.approx(-(amounts * told["side"]).sum(), abs=1e-6)
            assert account["fee"] == pytest.approx(
                asset.fees_of(amounts, told["qty"], told["maker"]).sum(), abs=1e-6
            )
            trades += len(told)
    assert trades > 100
