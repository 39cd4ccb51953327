"""Three pairs of three currencies: residuals of half-done triangles are closed or undone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import BUY, SELL
from strategies import triangular_arbitrage as module
from strategies.legs import ALERT_LEG_FAILED, ALERT_ROLLED_BACK
from tests.strategies.plain import MS, Scripted, described, latencies, plain, steady

_LASTS_MS = 500
_PARAMETERS = {
    "fees": (0.0001,),
    "margin": 0.0001,
    "order_qty": 4.0,
    "least_a": 1.0,
    "least_b": 1.0,
    "slippage": 0.01,
    "leg_timeout_ns": 40 * MS,
    "retry_ns": 10 * MS,
    "attempts": 2,
    "pause_ns": 10_000 * MS,
    "rest_ns": 0,
    "stale_ns": 60 * MS,
    "interval_ns": 5 * MS,
}


@pytest.fixture
def strategy(monkeypatch):
    plain(monkeypatch, module)
    return module.triangular_arbitrage


def _triangle(cross_mid, *waits, lot_of_a=1.0, lasts_ms=_LASTS_MS):
    """A costs 10,000 and B 20,000,000 of C, so B costs 2,000 of A, give or take; tick sizes of 1."""
    mids = (10_000, 20_000_000, cross_mid)
    given_waits = [*waits, *[MS] * (3 - len(waits))]
    wait = [one if isinstance(one, tuple) else (one,) for one in given_waits]
    return Scripted(
        [
            described(steady(lasts_ms, mid, qty=100_000.0), latencies(*one), lot)
            for mid, one, lot in zip(mids, wait, (lot_of_a, 1.0, 1.0), strict=True)
        ]
    )


def _left(hbt):
    crossed = hbt.state_values(2)
    return hbt.position(0) + crossed.balance, hbt.position(1) + crossed.position


def _sides(hbt):
    return [(int(row["asset_no"]), int(row["side"]), float(row["qty"])) for row in hbt.requests()]


def test_a_cross_rate_that_is_consistent_is_left_alone(strategy):
    hbt = _triangle(2_000)
    strategy(hbt, **_PARAMETERS)
    assert not len(hbt.requests())


@pytest.mark.parametrize(
    ("cross_mid", "sent"),
    [
        (1_990, [(2, BUY, 4.0), (0, BUY, 4 * 1_991.0), (1, SELL, 4.0)]),
        (2_010, [(2, SELL, 4.0), (0, SELL, 4 * 2_009.0), (1, BUY, 4.0)]),
    ],
)
def test_three_legs_are_sent_at_once_and_leave_nothing_open(strategy, cross_mid, sent):
    hbt = _triangle(cross_mid)
    strategy(hbt, **_PARAMETERS)
    assert _sides(hbt)[:3] == sent
    assert len(set(hbt.requests()["timestamp"][:3])) == 1
    assert _left(hbt) == (0.0, 0.0)
    money = sum(hbt.state_values(a).balance for a in (0, 1))
    assert money > 0.0 and len(hbt.requests()) % 3 == 0


@pytest.mark.parametrize(("waits", "first_closed"), [(((-MS, MS),), 0), ((MS, (-MS, MS)), 1)])
def test_a_leg_that_is_refused_is_done_by_the_next_order(strategy, waits, first_closed):
    hbt = _triangle(1_990, *waits)
    strategy(hbt, **_PARAMETERS)
    assert _sides(hbt)[3][0] == first_closed
    assert _left(hbt) == (0.0, 0.0)


def test_a_cross_leg_that_is_refused_has_both_others_closed_again(strategy):
    hbt = _triangle(1_990, MS, MS, (-MS, 200 * MS))
    strategy(hbt, **_PARAMETERS)
    assert sorted(_sides(hbt)[3:5]) == [(0, SELL, 4 * 1_991.0), (1, BUY, 4.0)]


@pytest.mark.parametrize("bad", [0, 1])
def test_a_leg_that_can_not_be_done_is_undone_on_the_cross_and_nothing_is_begun(strategy, bad):
    hbt = _triangle(1_990, *[-MS if asset_no == bad else MS for asset_no in (0, 1)])
    strategy(hbt, **_PARAMETERS)
    left_a, left_b = _left(hbt)
    # Less than a unit of B in A, for want of smaller lots.
    assert left_b == 0.0 and abs(left_a) < (2_100 if bad == 0 else 1.0)
    assert [alert[1] for alert in hbt.alerts][:2] == [ALERT_LEG_FAILED, ALERT_ROLLED_BACK]
    assert hbt.position(bad) == 0.0


def test_there_is_a_rest_between_two_triangles(strategy):
    hbt = _triangle(1_990)
    strategy(hbt, **_PARAMETERS | {"rest_ns": 200 * MS})
    begun = hbt.requests()["timestamp"][::3]
    assert len(begun) == 3 and all(begun[1:] - begun[:-1] >= 200 * MS)


def test_a_leg_that_is_late_and_fills_after_it_was_undone_is_closed(strategy):
    hbt = _triangle(1_990, MS, (150 * MS, MS))
    strategy(hbt, **_PARAMETERS)
    assert _left(hbt) == (0.0, 0.0)
    assert [alert[1] for alert in hbt.alerts] == [ALERT_LEG_FAILED, ALERT_ROLLED_BACK]


def test_without_roll_back_what_is_open_waits(strategy):
    hbt = _triangle(1_990, MS, -MS)
    strategy(hbt, **_PARAMETERS, roll_back=False)
    assert _left(hbt) == (0.0, 4.0)
    assert ALERT_ROLLED_BACK not in [alert[1] for alert in hbt.alerts]


def test_nothing_is_begun_while_one_of_the_three_is_lost(strategy):
    hbt = _triangle(1_990)
    hbt.trust(1, False)
    strategy(hbt, **_PARAMETERS)
    assert not len(hbt.requests())


def test_what_rounding_leaves_is_closed_when_it_makes_a_lot(strategy):
    hbt = _triangle(1_990, lot_of_a=5_000.0)
    strategy(hbt, **_PARAMETERS | {"least_a": 5_000.0})
    assert abs(_left(hbt)[0]) < 5_000.0 and _left(hbt)[1] == 0.0
    lots = [qty / 5_000.0 for asset_no, _, qty in _sides(hbt) if asset_no == 0]
    assert lots and all(one == int(one) for one in lots)


@pytest.mark.parametrize(
    ("left_a", "left_b", "is_bad_a", "is_bad_b", "qty"),
    [
        (0.0, 3.0, False, True, 3.0),
        (6.0, -3.0, False, True, -3.0),
        (8.0, 0.0, True, False, -4.0),
        (-8.0, 3.0, True, True, 3.0),
        (4.0, -3.0, True, True, -2.0),
        (4.0, 3.0, True, True, 0.0),  # it would go back and forth
    ],
)
def test_what_can_not_be_closed_is_turned_into_what_can(left_a, left_b, is_bad_a, is_bad_b, qty):
    assert module.qty_to_undo.py_func(left_a, left_b, 2.0, is_bad_a, is_bad_b) == qty


@pytest.mark.thorough
@settings(max_examples=20, deadline=None)
@given(*[st.lists(st.sampled_from([MS, -MS, 5 * MS, -30 * MS, 60 * MS]), min_size=1, max_size=5)] * 3)
def test_whatever_fails_little_is_left_open_in_the_end(first, second, cross):
    with pytest.MonkeyPatch.context() as patch:
        plain(patch, module)
        hbt = _triangle(1_990, (*first, MS), (*second, MS), (*cross, MS), lasts_ms=2_500)
        # One triangle, so that none is under way at the end.
        module.triangular_arbitrage(hbt, **_PARAMETERS | {"rest_ns": 10_000 * MS})
    left_a, left_b = _left(hbt)
    assert abs(left_a) < 1.0 and left_b == 0.0
