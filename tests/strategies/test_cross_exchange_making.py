"""Quotes on one exchange hedged on another: each fill is hedged or rolled back, and the exposure has its limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import BUY, FILLED, SELL
from strategies import cross_exchange_making as module
from strategies.legs import ALERT_LEG_FAILED, ALERT_ROLLED_BACK, LEG_IDS
from tests.sim.engine.market import START
from tests.strategies.plain import MS, Scripted, described, latencies, plain, steady

_LASTS_MS = 600
_SELLS = ("sell", 100, 9_900.0, 50.0)
_BUYS = ("buy", 100, 10_100.0, 50.0)
_PARAMETERS = {
    "fees": (0.0004, 0.0),
    "margin": 0.0001,
    "lean_at_max": 0.0,
    "order_qty": 2.0,
    "max_position": 6.0,
    "max_unhedged": 4.0,
    "min_hedge_qty": 1.0,
    "slippage": 0.001,
    "hedge_timeout_ns": 40 * MS,
    "attempts": 2,
    "retry_ns": 10 * MS,
    "pause_ns": 100 * MS,
    "stale_ns": 60 * MS,
    "interval_ns": 5 * MS,
}


@pytest.fixture
def strategy(monkeypatch):
    plain(monkeypatch, module)
    return module.cross_exchange_making


def _market(*extra, hedge=None, hedge_qty=100.0, script=(), quoted=1):
    return Scripted(
        [
            described(steady(_LASTS_MS, qty=hedge_qty), hedge),
            *(described(steady(_LASTS_MS, 10_000, *extra)) for _ in range(quoted)),
        ],
        *script,
    )


def _quotes(hbt, asset_no):
    return {(order.side, order.price_tick, order.leaves_qty) for order in hbt.open_orders(asset_no)}


def _noted(into, asset_no):
    return lambda hbt: into.append(_quotes(hbt, asset_no))


def test_quotes_stand_where_their_hedge_earns_the_margin_after_fees(strategy):
    seen = []
    strategy(_market(script=[(90, _noted(seen, 1))]), **_PARAMETERS)
    # 5 basis points below 9,999 and above 10,001: 9,994.0005 and 10,006.0005.
    assert seen == [{(BUY, 9_994, 2.0), (SELL, 10_007, 2.0)}]


@pytest.mark.parametrize(("trade", "position"), [(_SELLS, 2.0), (_BUYS, -2.0)])
def test_a_fill_is_hedged_at_once(strategy, trade, position):
    hbt = _market(trade)
    strategy(hbt, **_PARAMETERS)
    assert hbt.seen[-1] == (-position, position)
    hedges = [row for row in hbt.requests() if row["asset_no"] == 0]
    assert [(row["side"], row["qty"]) for row in hedges] == [(-np.sign(position), 2.0)]
    # The trade is at 100 ms, and its news takes one more.
    assert hedges[0]["timestamp"] == START + 101 * MS


def test_what_a_hedge_leaves_is_hedged_by_the_next_one(strategy):
    hbt = _market(_SELLS, hedge_qty=2.0)
    strategy(
        hbt, **_PARAMETERS | {"slippage": 0.0, "order_qty": 2.0, "max_unhedged": 4.0} | {"min_hedge_qty": 1.0}
    )
    assert hbt.seen[-1] == (-2.0, 2.0)
    thin = _market(_SELLS, hedge_qty=1.0)
    strategy(thin, **_PARAMETERS | {"slippage": 0.0})
    assert thin.seen[-1] == (-2.0, 2.0)
    assert [row["qty"] for row in thin.requests() if row["asset_no"] == 0] == [2.0, 1.0]


def test_a_hedge_that_is_refused_again_and_again_is_rolled_back_and_quotes_are_pulled(strategy):
    seen = []
    hbt = _market(_SELLS, hedge=latencies(-MS), script=[(150, _noted(seen, 1))])
    strategy(hbt, **_PARAMETERS)
    assert hbt.seen[-1] == (0.0, 0.0) and seen == [set()]
    assert len([row for row in hbt.requests() if row["asset_no"] == 0]) == _PARAMETERS["attempts"]
    assert [alert[:2] for alert in hbt.alerts] == [(0, ALERT_LEG_FAILED), (1, ALERT_ROLLED_BACK)]
    assert hbt.open_orders(1), "after the pause it quotes again"


def test_without_roll_back_what_is_open_waits_for_the_hedge(strategy):
    hbt = _market(_SELLS, hedge=latencies(*[-MS] * 4, MS))
    strategy(hbt, **_PARAMETERS, roll_back=False)
    assert hbt.seen[-1] == (-2.0, 2.0)
    assert (0.0, 2.0) in hbt.seen and len([row for row in hbt.requests() if row["asset_no"] == 0]) == 5


def test_a_late_hedge_that_fills_after_the_roll_back_is_hedged_back(strategy):
    hbt = _market(_SELLS, hedge=latencies(150 * MS, MS))
    strategy(hbt, **_PARAMETERS)
    assert (0.0, 0.0) in hbt.seen[-100:] and (-2.0, 0.0) in hbt.seen, "both filled"
    assert hbt.seen[-1] == (0.0, 0.0)
    assert hbt.worst <= _PARAMETERS["max_unhedged"]


def test_a_late_hedge_is_not_rolled_back_where_both_would_be_too_much(strategy):
    hbt = _market(_SELLS, hedge=latencies(150 * MS, MS))
    strategy(hbt, **_PARAMETERS | {"max_unhedged": 2.0, "max_position": 2.0, "min_hedge_qty": 1.0})
    assert hbt.worst <= 2.0
    assert abs(hbt.exposure()) < 1.0


@pytest.mark.parametrize("how", ["connect", "trust"])
def test_quotes_are_pulled_while_the_hedge_is_lost_and_an_open_leg_is_closed(strategy, how):
    seen = []
    lost = (102, lambda hbt: getattr(hbt, how)(0, False))
    back = (300, lambda hbt: getattr(hbt, how)(0))
    looks = [(ms, _noted(seen, 1)) for ms in (99, 130, 320, 450)]
    hbt = _market(_SELLS, hedge=latencies(-MS, MS), script=[lost, back, *looks])
    strategy(hbt, **_PARAMETERS)
    assert [bool(quotes) for quotes in seen] == [True, False, False, True]
    assert hbt.seen[-1] == (0.0, 0.0) and (0.0, 2.0) in hbt.seen
    sent_ms = (hbt.requests()["timestamp"] - START) / MS
    to_hedge_ms = sent_ms[hbt.requests()["asset_no"] == 0]
    assert not ((to_hedge_ms > 103) & (to_hedge_ms < 300)).any(), (
        "nothing is sent to an exchange that is lost"
    )


def test_a_hedge_exchange_that_falls_silent_is_not_believed(strategy):
    seen = []
    silent = steady(_LASTS_MS)
    silent = silent[(silent["local_ts"] < silent["local_ts"][0] + 200 * MS)]
    hbt = Scripted(
        [described(silent), described(steady(_LASTS_MS))], (190, _noted(seen, 1)), (300, _noted(seen, 1))
    )
    strategy(hbt, **_PARAMETERS)
    assert [bool(quotes) for quotes in seen] == [True, False]


def test_an_exchange_that_is_lost_loses_its_own_quotes_only(strategy):
    seen = [[], []]
    looks = [(ms, _noted(seen[a - 1], a)) for ms in (90, 150, 300) for a in (1, 2)]
    hbt = _market(
        quoted=2, script=[(100, lambda hbt: hbt.trust(2, False)), (200, lambda hbt: hbt.trust(2)), *looks]
    )
    strategy(hbt, **_PARAMETERS)
    assert [len(quotes) for quotes in seen[0]] == [2, 2, 2]
    assert [len(quotes) for quotes in seen[1]] == [2, 0, 2]


def test_contracts_and_lots_of_two_exchanges_may_differ(strategy):
    # Quoted in contracts of a tenth, lots of 5; hedged in lots of 0.25.
    hbt = Scripted(
        [
            described(steady(_LASTS_MS), lot_size=0.25),
            described(steady(_LASTS_MS, 10_000, _SELLS), lot_size=5.0),
        ],
        sizes=(1.0, 0.1),
    )
    strategy(hbt, **_PARAMETERS | {"order_qty": 1.7, "min_hedge_qty": 0.25}, contract_sizes=(1.0, 0.1))
    assert hbt.seen[-1] == (-1.5, 15.0)
    requests = hbt.requests()
    for asset_no, lot_size in enumerate((0.25, 5.0)):
        lots = requests["qty"][requests["asset_no"] == asset_no] / lot_size
        assert len(lots) and np.array_equal(lots, np.round(lots))


def test_the_quotes_lean_against_a_position(strategy):
    seen = []
    hbt = _market(_SELLS, script=[(300, _noted(seen, 1))])
    strategy(hbt, **_PARAMETERS | {"lean_at_max": 0.0009})
    # A third of the largest position: 3 basis points lower.
    assert seen == [{(BUY, 9_991, 2.0), (SELL, 10_004, 2.0)}]


def test_the_mean_basis_is_measured_before_anything_is_quoted(strategy):
    seen = []
    hbt = Scripted(
        [described(steady(_LASTS_MS)), described(steady(_LASTS_MS, 10_100))],
        (150, _noted(seen, 1)),
        (400, _noted(seen, 1)),
    )
    strategy(hbt, **_PARAMETERS, basis_window_ns=200 * MS)
    assert seen == [set(), {(BUY, 10_093, 2.0), (SELL, 10_107, 2.0)}]


def test_an_order_that_stands_well_is_left_alone(strategy):
    hbt = _market()
    strategy(hbt, **_PARAMETERS)
    assert len(hbt.requests()) == 2


@pytest.mark.thorough
@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from([MS, -MS, 5 * MS, -30 * MS, 60 * MS, 120 * MS]), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(20, 300), st.booleans()), max_size=12),
    st.sampled_from([1.0, 2.0, 100.0]),
    st.booleans(),
)
def test_whatever_fails_the_exposure_has_its_limit_and_ends_hedged(waits, trades, hedge_qty, is_rolled_back):
    with pytest.MonkeyPatch.context() as patch:
        plain(patch, module)
        extra = [
            ("buy" if is_buy else "sell", ms, 10_100.0 if is_buy else 9_900.0, 50.0) for ms, is_buy in trades
        ]
        hbt = Scripted(
            [
                described(steady(2_000, qty=hedge_qty, every_ms=40), latencies(*waits, MS)),
                described(steady(2_000, 10_000, *extra, every_ms=40)),
            ]
        )
        module.cross_exchange_making(hbt, **_PARAMETERS, roll_back=is_rolled_back)
    assert hbt.worst <= _PARAMETERS["max_unhedged"]
    assert abs(hbt.exposure()) < 1.0
    ids = [row["order_id"] for row in hbt.requests() if row["asset_no"] == 0]
    assert all(order_id >= LEG_IDS for order_id in ids)
    assert all(order.status != FILLED for order in hbt.open_orders(0))
