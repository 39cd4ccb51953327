"""Orders on legs: refused, partial, late; what may still fill is never forgotten."""

import math

import pytest

from hftd.types import BUY, SELL
from strategies import legs as module
from strategies.legs import LEG_FREE, LEG_IDS, LEG_LATE, LEG_WAITING
from tests.strategies.plain import MS, SECOND, Scripted, described, latencies, plain, steady

_PAUSE = 10 * MS
_TIMEOUT = 50 * MS


@pytest.fixture
def legs(monkeypatch):
    plain(monkeypatch, module)
    return module


def _on(*latency_ns, qty=100.0, lot_size=1.0):
    hbt = Scripted([described(steady(2_000, qty=qty), latencies(*latency_ns), lot_size)])
    hbt.elapse(5 * MS)
    return hbt


def _watch(legs, hbt, made):
    state = legs.watch(hbt, made, 0, _TIMEOUT, _PAUSE)
    hbt.clear_inactive_orders(0)
    return state


def test_an_order_that_fills_leaves_its_leg_free_and_unharmed(legs):
    hbt, made = _on(MS), legs.make_legs(1)
    assert legs.send(hbt, made, 0, BUY, 3.0, 0.001, _PAUSE) == 3.0
    assert _watch(legs, hbt, made) == LEG_WAITING
    assert legs.send(hbt, made, 0, BUY, 3.0, 0.001, _PAUSE) == 0.0, "one at a time"
    hbt.elapse(5 * MS)
    assert _watch(legs, hbt, made) == LEG_FREE
    assert hbt.position(0) == 3.0 and made[0].failures == 0 and len(hbt.orders(0)) == 0


def test_refusals_in_a_row_pause_a_leg_twice_as_long_each_time(legs):
    hbt, made = _on(-MS, -MS, -MS, MS), legs.make_legs(1)
    pauses = []
    for failures in (1, 2, 3):
        assert legs.send(hbt, made, 0, SELL, 1.0, 0.001, _PAUSE) == 1.0
        hbt.elapse(2 * MS)
        assert _watch(legs, hbt, made) == LEG_FREE
        assert made[0].failures == failures
        assert legs.send(hbt, made, 0, SELL, 1.0, 0.001, _PAUSE) == 0.0, "it pauses"
        pauses.append(made[0].retry_ns - hbt.current_timestamp)
        hbt.elapse(pauses[-1])
    assert pauses == [_PAUSE, 2 * _PAUSE, 4 * _PAUSE]
    legs.send(hbt, made, 0, SELL, 1.0, 0.001, _PAUSE)
    hbt.elapse(5 * MS)
    _watch(legs, hbt, made)
    assert made[0].failures == 0 and hbt.position(0) == -1.0


def test_the_pause_has_an_end(legs):
    made = legs.make_legs(1)
    for _ in range(100):
        legs.note_failure(made[0], 0, _PAUSE)
    assert made[0].retry_ns == 64 * _PAUSE


def test_what_can_not_be_sent_pauses_the_leg_too(legs):
    hbt, made = _on(MS), legs.make_legs(1)
    hbt.submit_buy_order = lambda *_: 19  # pyright: ignore[reportAttributeAccessIssue]
    assert legs.send(hbt, made, 0, BUY, 1.0, 0.001, _PAUSE) == 0.0
    assert (
        made[0].failures == 1 and made[0].order_id == 0 and not legs.is_ready(made, 0, hbt.current_timestamp)
    )


def test_a_partial_fill_is_no_failure_and_the_rest_may_be_sent_at_once(legs):
    hbt, made = _on(MS, qty=2.0), legs.make_legs(1)
    legs.send(hbt, made, 0, BUY, 5.0, 0.0, _PAUSE)
    hbt.elapse(5 * MS)
    assert _watch(legs, hbt, made) == LEG_FREE
    assert hbt.position(0) == 2.0 and made[0].failures == 0
    assert legs.send(hbt, made, 0, BUY, 3.0, 0.0, _PAUSE) == 3.0


def test_a_late_order_counts_as_one_failure_and_as_exposure_until_its_end_is_known(legs):
    hbt, made = _on(200 * MS), legs.make_legs(1)
    legs.send(hbt, made, 0, BUY, 4.0, 0.001, _PAUSE)
    hbt.elapse(_TIMEOUT + MS)
    for _ in range(3):
        assert _watch(legs, hbt, made) == LEG_LATE
        assert made[0].failures == 1
        assert legs.send(hbt, made, 0, BUY, 4.0, 0.001, _PAUSE) == 0.0, "it may still fill"
        assert legs.open_exposure(hbt, (0.5,), 0, 1) == (0.0, 0.0, 2.0, 0.0)
        hbt.elapse(10 * MS)
    hbt.elapse(200 * MS)
    assert _watch(legs, hbt, made) == LEG_FREE
    assert hbt.position(0) == 4.0 and made[0].failures == 0, "it filled after all"
    assert legs.open_exposure(hbt, (0.5,), 0, 1) == (0.0, 0.0, 0.0, 0.0)


def test_a_late_order_that_is_refused_in_the_end_is_one_failure(legs):
    hbt, made = _on(-200 * MS), legs.make_legs(1)
    legs.send(hbt, made, 0, BUY, 4.0, 0.001, _PAUSE)
    hbt.elapse(_TIMEOUT + MS)
    assert _watch(legs, hbt, made) == LEG_LATE
    hbt.elapse(SECOND)
    assert _watch(legs, hbt, made) == LEG_FREE
    assert hbt.position(0) == 0.0 and made[0].failures == 1


def test_ids_that_an_earlier_run_left_behind_are_passed_over(legs):
    hbt, made = _on(200 * MS), legs.make_legs(1)
    for i in range(3):
        hbt.submit_buy_order(0, LEG_IDS + i, 9_000.0, 1.0, 0, 0, False)
    legs.send(hbt, made, 0, BUY, 1.0, 0.001, _PAUSE)
    assert made[0].order_id == LEG_IDS + 3
    assert legs.open_exposure(hbt, (1.0,), 0, 1)[2] == 4.0


@pytest.mark.parametrize(
    ("qty", "lot_size", "lots"),
    [(0.3, 0.1, 3), (0.29999, 0.1, 2), (0.7, 0.001, 700), (5.0, 10.0, 0), (-1.0, 0.1, 0), (math.nan, 0.1, 0)],
)
def test_quantities_are_whole_lots(legs, qty, lot_size, lots):
    assert legs.whole_lots(qty, lot_size) == pytest.approx(lots * lot_size)


def test_less_than_a_lot_is_not_sent_and_harms_nothing(legs):
    hbt, made = _on(MS, lot_size=0.5), legs.make_legs(1)
    assert legs.send(hbt, made, 0, BUY, 0.49, 0.001, _PAUSE) == 0.0
    assert legs.send(hbt, made, 0, BUY, 1.3, 0.001, _PAUSE) == 1.0
    assert made[0].failures == 0


def test_the_price_to_take_is_that_of_the_last_level_it_takes(legs):
    hbt = _on(MS, qty=2.0)
    depth = hbt.depth(0)
    assert [legs.price_to_take(depth, BUY, qty) for qty in (1.0, 2.0, 2.5, 10.0)] == [
        10_001,
        10_001,
        10_002,
        10_005,
    ]
    assert [legs.price_to_take(depth, SELL, qty) for qty in (2.0, 4.5)] == [9_999, 9_997]
    assert math.isnan(legs.price_to_take(depth, BUY, 10.5))


def test_the_limit_is_never_beyond_the_slippage_nor_on_the_wrong_side_of_the_best_price(legs):
    depth = _on(MS).depth(0)
    assert [legs.taking_tick(depth, BUY, s) for s in (0.0, 0.00019, 0.001)] == [10_001, 10_002, 10_011]
    assert [legs.taking_tick(depth, SELL, s) for s in (0.0, 0.00019, 0.001)] == [9_999, 9_998, 9_990]


def test_prices_that_are_old_not_valid_or_of_a_lost_exchange_can_not_be_used(legs):
    hbt = _on(MS)
    assert legs.is_usable(hbt, 0, 20 * MS)
    hbt.connect(0, False)
    assert not legs.is_usable(hbt, 0, 20 * MS)
    hbt.connect(0)
    hbt.trust(0, False)
    assert not legs.is_usable(hbt, 0, 20 * MS)
    hbt.trust(0)
    assert not legs.is_usable(hbt, 0, 3 * MS), "the last row is older"
    assert not legs.is_usable(Scripted([described(steady(100))]), 0, SECOND), "no row came yet"


@pytest.mark.parametrize(
    ("side", "net", "open_qtys", "leg", "quote"),
    [
        (BUY, 0.0, (0.0, 0.0, 0.0, 0.0), 5.0, 5.0),
        (BUY, 2.0, (1.0, 9.0, 0.0, 0.0), 2.0, 2.0),
        (BUY, -2.0, (1.0, 0.0, 0.0, 0.0), 6.0, 4.0),  # the hedge that buys 2 comes first
        (BUY, -2.0, (1.0, 0.0, 2.0, 0.0), 4.0, 4.0),
        (SELL, 2.0, (0.0, 1.0, 0.0, 0.0), 6.0, 4.0),
        (SELL, 2.0, (0.0, 1.0, 0.0, 2.0), 4.0, 4.0),
        (SELL, 2.0, (0.0, 1.0, 0.0, 4.0), 2.0, 2.0),  # a late hedge and a roll-back may both fill
    ],
)
def test_room_is_left_for_whatever_may_fill(legs, side, net, open_qtys, leg, quote):
    assert legs.leg_room(side, net, open_qtys, 5.0) == leg
    assert legs.quote_room(side, net, open_qtys, 5.0) == quote


@pytest.mark.parametrize(
    ("qty", "unit", "other", "common"),
    [
        (1.0, 0.3, 0.2, 0.6),
        (1.3, 0.001, 0.25, 1.25),
        (5.0, 1.0, 0.1, 5.0),
        (0.5, 1.0, 0.1, 0.0),
        (9.0, 1.0, 0.12345678, 0.0),
    ],
)
def test_two_exchanges_trade_in_steps_that_both_have(legs, qty, unit, other, common):
    assert legs.common_lots(qty, unit, other) == pytest.approx(common)
    assert legs.common_lots(qty, other, unit) == pytest.approx(common)


def test_an_exposure_is_evened_out_where_that_costs_least_of_those_that_can(legs):
    def chosen(fees, lost=()):
        hbt = Scripted(
            [described(steady(500)), described(steady(500, 10_002)), described(steady(500, 10_001))]
        )
        hbt.elapse(5 * MS)
        for asset_no in lost:
            hbt.connect(asset_no, False)
        return legs.even_out(hbt, legs.make_legs(3), (1.0,) * 3, fees, 2.0, 2.0, 0.001, SECOND, _PAUSE)

    assert chosen((0.0, 0.0, 0.0)) == 1, "the best price"
    assert chosen((0.0, 0.0002, 0.0)) == 2, "after fees"
    assert chosen((0.0, 0.0, 0.0), lost=[1]) == 2
    assert chosen((0.0, 0.0, 0.0), lost=[0, 1, 2]) == -1


def _two(first, second=MS, lasts_ms=2_000):
    return Scripted([described(steady(lasts_ms), latencies(*one)) for one in ((first,), (second,))])


def _moved(legs, hbt, made, targets, for_ms=500):
    """What `move` says, in order, without repetitions."""
    said = []
    for _ in range(for_ms // 5):
        code = legs.move(hbt, made, targets, 0.001, _TIMEOUT, _PAUSE, SECOND, 2)
        hbt.clear_inactive_orders(-1)
        if said[-1:] != [code]:
            said.append(code)
        hbt.elapse(5 * MS)
    return said


def test_positions_are_moved_to_their_targets_and_back(legs):
    hbt, made = _two(MS), legs.make_legs(2)
    hbt.elapse(5 * MS)
    assert _moved(legs, hbt, made, (3.0, -2.0)) == [legs.MOVE_UNDER_WAY, legs.MOVE_DONE]
    assert (hbt.position(0), hbt.position(1)) == (3.0, -2.0)
    assert _moved(legs, hbt, made, (0.0, 0.0)) == [legs.MOVE_UNDER_WAY, legs.MOVE_DONE]
    assert (hbt.position(0), hbt.position(1)) == (0.0, 0.0)
    assert len(hbt.requests()) == 4


@pytest.mark.parametrize("latency_ns", [-MS, 150 * MS])
def test_a_target_that_is_taken_back_is_undone_whether_the_failed_leg_fills_later_or_not(legs, latency_ns):
    hbt, made = _two(latency_ns), legs.make_legs(2)
    hbt.elapse(5 * MS)
    said = _moved(legs, hbt, made, (3.0, -3.0), 90)
    assert said == [legs.MOVE_UNDER_WAY, legs.MOVE_FAILED]
    assert (hbt.position(0), hbt.position(1)) == (0.0, -3.0)
    assert _moved(legs, hbt, made, (0.0, 0.0))[-1] == legs.MOVE_DONE
    assert (hbt.position(0), hbt.position(1)) == (0.0, 0.0)
    assert made[0].failures == 0, "what went wrong is over"


def test_an_asset_that_can_not_be_used_fails_after_the_timeout_only(legs):
    hbt, made = _two(MS), legs.make_legs(2)
    hbt.elapse(5 * MS)
    hbt.trust(0, False)
    assert _moved(legs, hbt, made, (3.0, 0.0), 40) == [legs.MOVE_UNDER_WAY]
    assert _moved(legs, hbt, made, (3.0, 0.0), 40) == [legs.MOVE_UNDER_WAY, legs.MOVE_FAILED]
    assert not len(hbt.requests())
    hbt.trust(0)
    assert _moved(legs, hbt, made, (3.0, 0.0), 40)[-1] == legs.MOVE_DONE
