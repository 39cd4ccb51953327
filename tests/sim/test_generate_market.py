"""The generated market looks like one: the facts that hold for liquid order books hold for it."""

import numpy as np
import pytest

from hftd.types import BUY_EVENT, KIND_MASK, TRADE_EVENT
from sim.generate import DEMO, generate_day
from tests.sim.touch import touches

_DURATION_S = 600


@pytest.fixture(scope="module")
def market():
    rows = generate_day(11, DEMO, duration_s=float(_DURATION_S))
    return {i.symbol: (rows[i.symbol], touches(rows[i.symbol], i.tick_size, i.lot_size)) for i in DEMO}


@pytest.fixture(params=[item.symbol for item in DEMO])
def instrument(market, request):
    return market[request.param]


def _trades(rows):
    """Time, tick and side (1 bought, -1 sold) of each taker's order, at its first price."""
    trades = rows[(rows["ev"] & np.uint64(KIND_MASK)) == TRADE_EVENT]
    first = np.append(True, np.diff(trades["exch_ts"]) != 0)
    side = np.where((trades["ev"] & np.uint64(BUY_EVENT)) != 0, 1, -1)
    ticks = np.round(trades["px"] / DEMO[0].tick_size).astype(int)
    return trades["exch_ts"][first], ticks[first], side[first]


def _mids(found, every_ns):
    start_ns = found[0, 0]
    grid = np.arange(start_ns, start_ns + _DURATION_S * 10**9, every_ns)
    at = np.searchsorted(found[:, 0], grid, side="right") - 1
    return (found[at, 1] + found[at, 2]) / 2


def _correlation(values, lag):
    return np.corrcoef(values[:-lag], values[lag:])[0, 1]


def test_the_spread_is_mostly_one_or_two_ticks_and_wider_now_and_then(instrument):
    spread = instrument[1][:, 2] - instrument[1][:, 1]
    assert spread.min() == 1
    assert (spread == 1).mean() > 0.5 and (spread <= 2).mean() > 0.9
    assert spread.max() >= 5


def test_takers_who_buy_are_followed_by_takers_who_buy(instrument):
    side = _trades(instrument[0])[2]
    assert _correlation(side, 1) > 0.1
    assert _correlation(side, 10) > 0.03


def test_trades_come_in_bursts(instrument):
    times = _trades(instrument[0])[0]
    counts = np.histogram(times, bins=_DURATION_S)[0]
    assert 3.0 < counts.mean() < 60.0
    # A Poisson process has as much variance as mean.
    assert counts.var() > 2.0 * counts.mean()


def test_volatility_comes_in_clusters_and_returns_have_heavy_tails(instrument):
    moves = np.abs(np.diff(_mids(instrument[1], 10**9)))
    assert np.mean([_correlation(moves, lag) for lag in range(1, 11)]) > 0.02
    steps = np.diff(_mids(instrument[1], 10**8))
    assert (steps**4).mean() / (steps**2).mean() ** 2 > 6.0
    # Prices rest, and then move by more than a tick.
    assert 0.05 < (steps != 0).mean() < 0.5


def test_prices_do_not_trend_by_construction(instrument):
    steps = np.diff(_mids(instrument[1], 10 * 10**9))
    assert abs(_correlation(steps, 1)) < 0.35


def test_trades_happen_at_the_touch_or_move_it(instrument):
    rows, found = instrument
    times, ticks, side = _trades(rows)
    at = np.maximum(np.searchsorted(found[:, 0], times) - 1, 0)
    beyond = np.where(side > 0, ticks - found[at, 2], found[at, 1] - ticks)
    assert (beyond == 0).mean() > 0.5
    assert np.abs(beyond).max() < 500
    # Buyers pay more than the price in the middle, sellers get less, as of the book a moment before.
    assert (beyond >= 0).mean() > 0.9


def test_large_trades_eat_more_than_one_level(instrument):
    rows = instrument[0]
    trades = rows[(rows["ev"] & np.uint64(KIND_MASK)) == TRADE_EVENT]
    levels = np.unique(trades["exch_ts"], return_counts=True)[1]
    assert 0.005 < (levels > 1).mean() < 0.3


def test_a_maker_five_ticks_from_the_mid_is_reached_on_both_sides(instrument):
    rows, found = instrument
    times, ticks, side = _trades(rows)
    at = np.maximum(np.searchsorted(found[:, 0], times) - 1, 0)
    distance = (ticks - (found[at, 1] + found[at, 2]) / 2) * side
    assert (distance[side > 0] >= 5).sum() > 50 and (distance[side < 0] >= 5).sum() > 50
    assert 0.35 < (side > 0).mean() < 0.65


def test_the_spread_widens_in_bursts_of_trades(instrument):
    rows, found = instrument
    times = _trades(rows)[0]
    recent = np.searchsorted(times, found[:, 0]) - np.searchsorted(times, found[:, 0] - 200_000_000)
    spread = found[:, 2] - found[:, 1]
    assert spread[recent >= 10].mean() > spread[recent == 0].mean() + 0.05


def test_the_two_instruments_move_together_and_the_future_leads(market):
    future, spot = (np.diff(_mids(market[item.symbol][1], 50_000_000)) for item in DEMO)
    slow = [np.diff(_mids(market[item.symbol][1], 5 * 10**9)) for item in DEMO]
    assert np.corrcoef(slow[0], slow[1])[0, 1] > 0.8
    leads = np.corrcoef(future[:-1], spot[1:])[0, 1]
    follows = np.corrcoef(spot[:-1], future[1:])[0, 1]
    assert leads > follows
