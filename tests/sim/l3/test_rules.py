"""The engine on random markets of single orders, against the rules written plainly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import BacktestAsset, HashMapMarketDepthBacktest
from tests.sim.l3 import runs
from tests.sim.l3.model import Model


def both(case, *, whole):
    hbt = HashMapMarketDepthBacktest([runs.describe(BacktestAsset(), case, whole=whole)])
    return runs.on_engine(hbt, case)[0], runs.on_model(Model(whole), case)


@pytest.mark.parametrize("whole", [True, False])
@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.05]),
    st.sampled_from([0.0, 0.02]),
    st.sampled_from([0.0, 0.1]),
)
def test_the_engine_does_what_the_rules_say(whole, seed, crossing, clears, bad):
    case = runs.make(seed, crossing=crossing, clears=clears, bad=bad)
    assert runs.first_difference(*both(case, whole=whole)) == ""
