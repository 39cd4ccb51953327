"""Strategies of several assets on generated markets: with what they live on they earn, without it they do not."""

import pytest

from benchmarks.strategies_pnl import CASES, run_day

_SECONDS = 300.0
_BY_NAME = {case.name: case for case in CASES}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", ["cross-making", "cross-arbitrage", "triangle"])
def test_prices_that_are_apart_are_traded_for_a_gain(name):
    with_it = run_day(_BY_NAME[name], 1, 1.0, _SECONDS)
    without = run_day(_BY_NAME[name], 1, 0.0, _SECONDS)
    assert with_it.fills > 20 and with_it.pnl > 0.0
    assert without.pnl < 0.2 * with_it.pnl and without.fills < with_it.fills


@pytest.mark.parametrize("name", ["pairs", "basis"])
def test_what_comes_back_is_traded_for_more_than_what_wanders(name):
    with_it = sum(run_day(_BY_NAME[name], seed, 1.0, 900.0).pnl for seed in (1, 2))
    without = sum(run_day(_BY_NAME[name], seed, 0.0, 900.0).pnl for seed in (1, 2))
    assert with_it > 0.0
    assert with_it > without
