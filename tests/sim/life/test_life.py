"""The life of orders, on random markets with random programs."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hftd.errors import UsageError
from hftd.hbt import life
from hftd.types import END_OF_DATA
from tests.parity import random_runs
from tests.parity.engines import ours
from tests.sim.life import checks
from tests.sim.life.slow import expected

pytestmark = pytest.mark.timeout(600)
"""The first test compiles what notes the lives."""

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def run(made, *, recorded=True, shared=False, rows_max=None):
    """Returns (what was seen, the backtest)."""
    hbt = ours(made.assets)
    for exchange in hbt.engine.exchanges:
        exchange["share_trades"] = int(shared)
    hbt.record_every(1 << 60)
    if recorded:
        hbt.record_life(rows_max)
    return random_runs.run(hbt, made), hbt


def before_the_end(made):
    """The program up to the end of the data: afterwards the bot's clock stays, and the exchange is ahead of it."""
    (codes, *_), _ = run(copy.deepcopy(made), recorded=False)
    ended = np.flatnonzero(codes == END_OF_DATA)
    return replace(made, program=made.program[: ended[0] + 1]) if len(ended) else made


def differs(got, want):
    """Where a row is not as wanted: (name, is, should be)."""
    return [
        (name, got[name].item(), value)
        for name, value in want.items()
        if not np.isclose(float(got[name]), float(value), rtol=1e-9, atol=1e-9)
    ]


@SETTINGS
@given(st.integers(0, 1 << 30), st.booleans(), st.booleans(), st.booleans())
@pytest.mark.thorough
def test_a_recorded_run_is_the_run_that_it_is_without(seed, partial, roi, shared):
    made = random_runs.case(seed, partial=partial, roi=roi)
    seen, hbt = run(copy.deepcopy(made), shared=shared)
    plain, unrecorded = run(made, recorded=False, shared=shared)
    for left, right in zip(seen, plain, strict=True):
        assert left.tobytes() == right.tobytes()
    assert hbt.fills().tobytes() == unrecorded.fills().tobytes()
    with pytest.raises(UsageError, match="not recorded"):
        unrecorded.life()


@SETTINGS
@given(st.integers(0, 1 << 30), st.booleans(), st.booleans(), st.booleans())
def test_a_life_adds_up_to_the_account_and_to_what_the_bot_knows(seed, partial, roi, shared):
    made = random_runs.case(seed, partial=partial, roi=roi)
    _, hbt = run(made, shared=shared)
    rows = hbt.life()
    checks.is_well_formed(rows)
    checks.queues_add_up(rows)
    for asset_no, asset in enumerate(made.assets):
        lane = hbt.engine.lanes[asset_no][0]["state"]

        def amount_of(price, qty, asset=asset):
            if asset.inverse:
                return asset.contract_size * qty / price
            return asset.contract_size * price * qty

        checks.account_is_that_of_the_fills(rows, asset_no, lane, amount_of)
        checks.answers_are_what_the_bot_knows(rows, hbt, asset_no)
    fills, told = hbt.fills(), rows[(rows["kind"] == life.LIFE_ANSWER) & (rows["qty"] > 0.0)]
    assert len(fills) == len(told)


def test_these_worlds_have_every_cause_that_levels_can_have():
    causes = set()
    for seed in range(40):
        made = before_the_end(random_runs.case(seed, partial=seed % 2 == 0))
        causes |= set(run(made)[1].life()["cause"].tolist())
    assert causes >= {
        life.CAUSE_TRADE,
        life.CAUSE_DEPTH,
        life.CAUSE_CAP,
        life.CAUSE_FILL,
        life.CAUSE_TRADED_THROUGH,
        life.CAUSE_REACHED,
        life.CAUSE_CROSSED,
        life.CAUSE_TAKEN,
        life.CAUSE_NEW_PLACE,
    }


@settings(SETTINGS, max_examples=150)
@given(st.integers(0, 1 << 30), st.booleans(), st.booleans())
@pytest.mark.thorough
def test_what_a_life_tells_is_what_a_slow_exchange_tells(seed, partial, shared):
    made = before_the_end(random_runs.case(seed, partial=partial))
    _, hbt = run(made, shared=shared)
    rows = hbt.life()
    assert (np.diff(rows["ts"]) >= 0).all()
    for asset_no, asset in enumerate(made.assets):
        mine = rows[(rows["asset"] == asset_no) & ~np.isin(rows["kind"], checks.LOCAL)]
        arrivals = mine[mine["kind"] == life.LIFE_ARRIVAL]
        # One that never got there is refused before an exchange could have a say.
        mine = mine[(mine["kind"] != life.LIFE_ARRIVAL) & (mine["reason"] != 41)]
        wanted = expected(asset, np.concatenate(asset.data), arrivals, shared=shared)
        for got, want in zip(mine, wanted, strict=False):
            assert not differs(got, want), (got["ts"], got["order_id"], want["kind"])
        assert len(mine) <= len(wanted)
        # The exchange got at least as far as the bot's clock.
        assert all(want["ts"] > hbt.current_timestamp for want in wanted[len(mine) :])
