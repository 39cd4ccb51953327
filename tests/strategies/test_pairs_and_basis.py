"""A pair's spread and a future's basis: opened when away, closed when back or lost, undone when a leg fails."""

import math

import numpy as np
import pytest

from hftd.types import event_dtype
from strategies import basis_trading as basis_module
from strategies import pairs_trading as pairs_module
from strategies.legs import ALERT_LEG_FAILED, ALERT_ROLLED_BACK
from tests.sim.engine.market import START
from tests.strategies.plain import MS, Scripted, described, latencies, moving, plain, steady

_LASTS_MS = 1_500
_PAIR = {
    "notional": 40_000.0,
    "fees": (0.0001,),
    "entry_z": 2.0,
    "exit_z": 0.5,
    "stop_z": 8.0,
    "margin": 0.0001,
    "window": 40,
    "sample_ns": 10 * MS,
    "hold_ns": 10_000 * MS,
    "leg_timeout_ns": 50 * MS,
    "retry_ns": 10 * MS,
    "attempts": 2,
    "pause_ns": 10_000 * MS,
    "stale_ns": 100 * MS,
    "interval_ns": 5 * MS,
}
_BASIS = {
    "fees": (0.0001,),
    "margin": 0.0002,
    "exit_margin": 0.0003,
    "stop": 0.01,
    "order_qty": 3.0,
    "funding_every_ns": 3_600_000 * MS,
    "leg_timeout_ns": 50 * MS,
    "retry_ns": 10 * MS,
    "attempts": 2,
    "pause_ns": 10_000 * MS,
    "stale_ns": 100 * MS,
    "interval_ns": 5 * MS,
}


@pytest.fixture
def pairs(monkeypatch):
    plain(monkeypatch, pairs_module)
    return pairs_module.pairs_trading


@pytest.fixture
def basis(monkeypatch):
    plain(monkeypatch, basis_module)
    return basis_module.basis_trading


def _swinging(*later):
    """A price that swings by 2 ticks each 20 ms, so that there is a deviation, and then goes elsewhere."""
    swings = [(ms, 10_000 + 2 * (ms // 20 % 2)) for ms in range(0, 600, 20)]
    return moving(_LASTS_MS, *swings, *later)


def _run(strategy, second, parameters, first_latency=None, second_latency=None, first=None):
    hbt = Scripted(
        [
            described(steady(_LASTS_MS) if first is None else first, first_latency),
            described(second, second_latency),
        ]
    )
    strategy(hbt, **parameters)
    return hbt


@pytest.mark.parametrize(("to", "held"), [(10_030, (4.0, -3.0)), (9_970, (-4.0, 4.0))])
def test_a_spread_that_is_away_is_traded_back(pairs, to, held):
    hbt = _run(pairs, _swinging((600, to), (800, 10_001)), _PAIR)
    assert held in hbt.seen
    assert hbt.seen[-1] == (0.0, 0.0) and len(hbt.requests()) == 4
    sent = hbt.requests()
    assert sent["timestamp"][0] == sent["timestamp"][1], "both legs at once"
    assert sum(hbt.state_values(a).balance for a in (0, 1)) > 0.0


def test_a_spread_whose_way_back_does_not_pay_is_left_alone(pairs):
    assert not len(_run(pairs, _swinging((600, 10_008), (800, 10_001)), _PAIR).requests())
    assert len(_run(pairs, _swinging((600, 10_030), (800, 10_001)), _PAIR | {"fees": (0.0,)}).requests()) == 4


def test_a_spread_that_goes_on_is_given_up_and_not_opened_again_until_it_is_back(pairs):
    climbs = [(600 + 20 * i, 10_020 + 20 * i) for i in range(40)]
    hbt = _run(pairs, _swinging(*climbs), _PAIR | {"stop_z": 2.5, "entry_z": 1.2})
    assert hbt.seen[-1] == (0.0, 0.0)
    assert len(hbt.requests()) == 4


def test_a_position_is_given_up_after_its_time(pairs):
    hbt = _run(pairs, _swinging((600, 10_030)), _PAIR | {"hold_ns": 100 * MS})
    assert hbt.seen[-1] == (0.0, 0.0)
    closed = hbt.requests()["timestamp"][2] - hbt.requests()["timestamp"][0]
    assert 100 * MS <= closed <= 120 * MS


def test_a_pair_with_a_leg_that_is_refused_is_rolled_back(pairs):
    hbt = _run(pairs, _swinging((600, 10_030)), _PAIR, first_latency=latencies(-MS))
    assert hbt.seen[-1] == (0.0, 0.0) and (0.0, -3.0) in hbt.seen
    assert [alert[1] for alert in hbt.alerts] == [ALERT_LEG_FAILED, ALERT_ROLLED_BACK]


def test_the_hedge_ratio_is_measured(pairs):
    # Asset 1 moves half as much as asset 0, until it moves by itself.
    first = moving(_LASTS_MS, *((ms, 10_000 + 4 * (ms // 20 % 2)) for ms in range(0, 600, 20)))
    hbt = _run(pairs, _swinging((600, 10_030)), _PAIR | {"hedge_ratio": 0.0, "ratio_window": 40}, first=first)
    sent = hbt.requests()
    assert len(sent) and 1.0 <= sent["qty"][sent["asset_no"] == 0][0] <= 3.0


@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_the_slope_is_that_of_the_line(ratio):
    random = np.random.default_rng(1)
    x = random.normal(size=2_000)
    y = 5.0 + ratio * x + 0.1 * random.normal(size=2_000)
    assert pairs_module.slope.py_func(x, y) == pytest.approx(ratio, abs=0.02)
    assert math.isnan(pairs_module.slope.py_func(np.ones(5), np.arange(5.0)))


@pytest.mark.parametrize(("away", "held"), [(12, (3.0, -3.0)), (-12, (-3.0, 3.0))])
def test_a_basis_that_is_away_is_traded_until_it_is_back(basis, away, held):
    hbt = _run(basis, moving(_LASTS_MS, (0, 10_000 + away), (500, 10_000)), _BASIS)
    assert held in hbt.seen and hbt.seen[-1] == (0.0, 0.0)
    assert sum(hbt.state_values(a).balance for a in (0, 1)) == pytest.approx(3.0 * 8)


def test_the_spot_is_not_sold_short_where_it_must_not(basis):
    away = moving(_LASTS_MS, (0, 9_980))
    assert len(_run(basis, away, _BASIS).requests())
    assert not len(_run(basis, away, _BASIS | {"is_short_spot_allowed": False}).requests())


def test_a_basis_that_goes_the_wrong_way_is_given_up(basis):
    hbt = _run(basis, moving(_LASTS_MS, (0, 10_012), (500, 10_050)), _BASIS | {"stop": 0.003})
    assert hbt.seen[-1] == (0.0, 0.0) and (3.0, -3.0) in hbt.seen


def test_a_basis_with_a_leg_that_is_refused_is_rolled_back(basis):
    hbt = _run(basis, moving(_LASTS_MS, (0, 10_012)), _BASIS, second_latency=latencies(-MS))
    assert hbt.seen[-1] == (0.0, 0.0) and (3.0, 0.0) in hbt.seen
    assert [alert[1] for alert in hbt.alerts] == [ALERT_LEG_FAILED, ALERT_ROLLED_BACK]


def _with_rate(rate):
    """A future without a basis that tells its next funding rate."""
    made = steady(_LASTS_MS, 10_000, ("mark price", 50, rate, 0.0))
    made["ev"][made["ev"] & 0xFF == 100] += 2
    return made


@pytest.mark.parametrize(
    ("rate", "held"), [(0.002, (3.0, -3.0)), (-0.002, (-3.0, 3.0)), (0.0001, (0.0, 0.0))]
)
def test_funding_that_pays_for_the_trade_is_earned(basis, rate, held):
    hbt = Scripted([described(steady(_LASTS_MS)), described(_with_rate(rate)).user_events_capacity(10)])
    basis(hbt, **_BASIS)
    assert hbt.seen[-1] == held


def test_funding_that_is_far_away_does_not_count(basis):
    hbt = Scripted([described(steady(_LASTS_MS)), described(_with_rate(0.002)).user_events_capacity(10)])
    to_the_next = _BASIS["funding_every_ns"] - START % _BASIS["funding_every_ns"]
    basis(hbt, **_BASIS, funding_horizon_ns=to_the_next // 2)
    assert hbt.seen[-1] == (0.0, 0.0)


def test_the_last_rate_is_kept_through_other_events_and_nonsense():
    events = np.zeros(4, event_dtype).view(np.recarray)
    events["ev"] = [102, 101, 102, 102]
    events["px"] = [0.1, 7.0, 0.3, np.nan]
    assert basis_module.last_rate.py_func(events, 0.5) == 0.3
    assert basis_module.last_rate.py_func(events[:0], 0.5) == 0.5
