"""Two legs at once where prices are far apart: half-done pairs are evened out, and nothing is begun before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import BUY, SELL
from strategies import cross_exchange_arbitrage as module
from strategies.legs import ALERT_LEG_FAILED
from tests.strategies.plain import MS, Scripted, described, latencies, moving, plain, steady

_LASTS_MS = 500
_PARAMETERS = {
    "fees": (0.0002,),
    "margin": 0.0005,
    "exit_margin": 0.0,
    "order_qty": 2.0,
    "max_position": 2.0,
    "max_unhedged": 2.0,
    "min_hedge_qty": 1.0,
    "slippage": 0.002,
    "leg_timeout_ns": 40 * MS,
    "retry_ns": 10 * MS,
    "stale_ns": 60 * MS,
    "interval_ns": 5 * MS,
}


@pytest.fixture
def strategy(monkeypatch):
    plain(monkeypatch, module)
    return module.cross_exchange_arbitrage


def _moves(first, *later, qty=100.0, lasts_ms=_LASTS_MS):
    return moving(lasts_ms, (0, first), *later, qty=qty)


def _pair(second, first_latency=None, second_latency=None, qty=100.0):
    return Scripted([described(steady(_LASTS_MS, qty=qty), first_latency), described(second, second_latency)])


def _sides(hbt):
    return [(int(row["asset_no"]), int(row["side"]), float(row["qty"])) for row in hbt.requests()]


@pytest.mark.parametrize(("away", "is_traded"), [(10, False), (12, True), (-12, True)])
def test_both_legs_are_sent_at_once_where_the_gap_pays_fees_and_margin(strategy, away, is_traded):
    # Of a gap of 12 ticks 2 are the half spreads and 4 the fees, which leaves just more than 5.
    hbt = _pair(steady(_LASTS_MS, 10_000 + away))
    strategy(hbt, **_PARAMETERS)
    assert bool(len(hbt.requests())) == is_traded
    if is_traded:
        sold, bought = (1, 0) if away > 0 else (0, 1)
        assert _sides(hbt) == [(sold, SELL, 2.0), (bought, BUY, 2.0)]
        assert len(set(hbt.requests()["timestamp"])) == 1
        assert abs(hbt.exposure()) == 0.0 and hbt.position(sold) == -2.0


def test_positions_are_closed_when_the_gap_has_turned(strategy):
    hbt = _pair(_moves(10_012, (200, 9_993)))
    strategy(hbt, **_PARAMETERS)
    assert hbt.seen[-1] == (0.0, 0.0) and (2.0, -2.0) in hbt.seen


def test_a_gap_that_only_closes_is_waited_for(strategy):
    hbt = _pair(_moves(10_012, (200, 10_000)))
    strategy(hbt, **_PARAMETERS)
    assert hbt.seen[-1] == (2.0, -2.0)
    cheap = _pair(_moves(10_012, (200, 10_000)))
    strategy(cheap, **_PARAMETERS | {"exit_margin": -0.0007})
    assert cheap.seen[-1] == (0.0, 0.0)


@pytest.mark.parametrize("latency_ns", [-MS, 150 * MS])
def test_a_pair_that_is_half_done_is_evened_out_and_none_is_begun_before(strategy, latency_ns):
    hbt = _pair(steady(_LASTS_MS, 10_012), latencies(latency_ns, MS))
    strategy(hbt, **_PARAMETERS)
    assert abs(hbt.exposure()) == 0.0
    assert hbt.worst <= _PARAMETERS["max_unhedged"]
    codes = [alert[1] for alert in hbt.alerts]
    assert codes == ([] if latency_ns < 0 else [ALERT_LEG_FAILED])
    assert (0.0, -2.0) in hbt.seen, "it was half done"


def test_half_a_pair_is_rolled_back_where_the_other_exchange_is_lost(strategy):
    hbt = Scripted(
        [described(steady(_LASTS_MS), latencies(-MS)), described(steady(_LASTS_MS, 10_012))],
        (3, lambda hbt: hbt.connect(0, False)),
    )
    strategy(hbt, **_PARAMETERS)
    assert hbt.seen[-1] == (0.0, 0.0) and (0.0, -2.0) in hbt.seen
    assert _sides(hbt)[:3] == [(1, SELL, 2.0), (0, BUY, 2.0), (1, BUY, 2.0)]
    assert len(hbt.requests()) == 3, "nothing is begun with an exchange that is lost"


def test_no_more_is_traded_than_stands_there(strategy):
    hbt = _pair(steady(_LASTS_MS, 10_012, qty=1.0))
    strategy(hbt, **_PARAMETERS)
    assert {qty for _, _, qty in _sides(hbt)} == {1.0}
    assert hbt.seen[-1] == (2.0, -2.0)


def test_prices_that_are_old_are_not_traded_on(strategy):
    hbt = Scripted([described(steady(100)), described(_moves(10_000, (300, 10_012)))])
    strategy(hbt, **_PARAMETERS)
    assert not len(hbt.requests())


def test_contracts_and_lots_of_two_exchanges_may_differ(strategy):
    hbt = Scripted(
        [described(steady(_LASTS_MS), lot_size=0.3), described(steady(_LASTS_MS, 10_012), lot_size=2.0)],
        sizes=(1.0, 0.1),
    )
    strategy(hbt, **_PARAMETERS | {"min_hedge_qty": 0.3}, contract_sizes=(1.0, 0.1))
    assert hbt.seen[-1] == pytest.approx((1.8, -18.0))
    requests = hbt.requests()
    for asset_no, lot_size in enumerate((0.3, 2.0)):
        lots = requests["qty"][requests["asset_no"] == asset_no] / lot_size
        assert len(lots) and np.allclose(lots, np.round(lots))


@pytest.mark.thorough
@settings(max_examples=20, deadline=None)
@given(
    *[st.lists(st.sampled_from([MS, -MS, 5 * MS, -30 * MS, 60 * MS, 120 * MS]), min_size=1, max_size=5)] * 2,
    st.integers(-20, 20),
    st.sampled_from([1.0, 100.0]),
)
def test_whatever_fails_the_exposure_has_its_limit_and_ends_even(first, second, away, qty):
    with pytest.MonkeyPatch.context() as patch:
        plain(patch, module)
        hbt = Scripted(
            [
                described(steady(2_500, qty=qty), latencies(*first, MS)),
                described(
                    _moves(10_012, (150, 10_000 + away), qty=qty, lasts_ms=2_500), latencies(*second, MS)
                ),
            ]
        )
        module.cross_exchange_arbitrage(hbt, **_PARAMETERS)
    assert hbt.worst <= _PARAMETERS["max_unhedged"]
    assert abs(hbt.exposure()) == 0.0
