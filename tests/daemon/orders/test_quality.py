"""Latencies of requests, outcomes of orders, and what fills are worth some time later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import REFUSED, Outcome
from daemon.orders.quality import fills
from daemon.orders.quality.fills import FILLS_MAX, HORIZONS_NS, LATE_NS
from hftd.constants import BUY, REASON_MARGIN, REASON_RATE_LIMIT, SELL
from tests.daemon.orders.model import FEE_A_LOT
from tests.daemon.orders.test_money import begun, book, trade
from tests.daemon.orders.world import BEGIN_NS, LOT, MS, SECOND, World


def shown(world: World, bot: str = "a"):
    return next(one for one in world.manager.snapshot(world.now_ns).bots if one.name == bot)


def sums(world: World, bot: str = "a") -> dict[str, tuple[int, int]]:
    return {one.name: (one.count, one.sum_ns // MS) for one in shown(world, bot).latencies}


def asked(world: World, there_ms: int, back_ms: int, **options) -> None:
    """The request that was sent last gets to the exchange and is answered."""
    world.advance(there_ms * MS)
    world.arrive(**options)
    world.advance(back_ms * MS)
    world.reply()


# --- Latencies --------------------------------------------------------------------------------------------------------


def test_new_orders_changes_and_cancels_are_timed_and_nothing_else(world):
    world.submit("a", 1)
    asked(world, 3, 5)
    assert sums(world) == {"entry": (1, 3), "response": (1, 5), "round trip": (1, 8)}
    world.modify("a", 1, 1001, 10)
    asked(world, 10, 20)
    world.cancel("a", 1)
    asked(world, 100, 200)
    wanted = {"entry": (3, 113), "response": (3, 225), "round trip": (3, 338)}
    assert sums(world) == wanted
    world.flush()
    world.submit("a", 2)
    world.flush()
    world.exchange.fill(world.exchange.open_orders()[0], 10)
    world.flush()
    assert sums(world) == {leg: (count + 1, ms) for leg, (count, ms) in wanted.items()}


def test_what_the_exchange_did_not_answer_is_not_timed(world):
    world.submit("a", 1)
    world.advance(MS)
    world.arrive(reply="unknown")
    world.reply()
    # It is asked what became of it; that answer is none to the request.
    world.flush()
    world.submit("a", 2)
    (request, *_), *_ = world.requests
    world.lose_request(is_said=False)
    refusal = Outcome(request.request, REFUSED, REASON_RATE_LIMIT, "no room")
    world.manager.on_outcome(refusal, world.now_ns)
    assert sums(world) == {}


def test_a_refusal_without_a_time_of_the_exchange_has_a_round_trip_alone(world):
    world.submit("a", 1)
    (request, *_), *_ = world.requests
    world.lose_request(is_said=False)
    world.advance(7 * MS)
    world.manager.on_outcome(Outcome(request.request, REFUSED, REASON_MARGIN, "no", code=-2019), world.now_ns)
    assert sums(world) == {"round trip": (1, 7)}


@given(st.integers(-(10**18), 10**18))
def test_legs_are_parted_by_the_exchanges_clock_as_it_is_known_and_one_below_zero_counts(ahead_ns):
    world = World()
    world.manager.store.to_exchange = lambda now_ns: now_ns + ahead_ns
    world.submit("a", 1)
    asked(world, 3, 5)
    entry, response, both = shown(world).latencies
    assert entry.count == response.count == both.count == 1
    assert entry.max_ns == max(0, 3 * MS - ahead_ns)
    assert response.max_ns == max(0, 5 * MS + ahead_ns)
    assert both.max_ns == 8 * MS


# --- Outcomes ---------------------------------------------------------------------------------------------------------
# `World.check` compares them with the exchange's own in all interleavings.


def test_orders_are_counted_by_their_ends_once_each(world):
    trade(world, 1, BUY, 1000)
    world.submit("a", 2)
    world.flush()
    world.cancel("a", 2)
    world.flush()
    world.submit("a", 3)
    (request, *_), *_ = world.requests
    world.lose_request(is_said=False)
    for _ in range(2):
        world.manager.on_outcome(
            Outcome(request.request, REFUSED, REASON_MARGIN, "no", code=-2019), world.now_ns
        )
    world.submit("a", 4)
    world.lose_request()
    world.settle()
    wanted = {"filled": 1, "cancelled": 1, "expired": 0, "refused": 1, "unknown": 1}
    assert shown(world).outcomes == wanted
    for report in world.exchange.listed():
        world.manager.on_report(report, world.now_ns)
    world.reconcile()
    assert shown(world).outcomes == wanted


def test_an_order_that_was_given_up_and_lives_is_counted_as_what_becomes_of_it(world):
    world.submit("a", 1)
    (request, *_), *_ = world.requests
    world.lose_request()
    world.settle()
    assert shown(world).outcomes["unknown"] == 1
    world.exchange.handle(request, world.now_ns)
    world.settle()
    assert shown(world).outcomes == {"filled": 0, "cancelled": 1, "expired": 0, "refused": 0, "unknown": 0}


def test_an_end_of_before_a_restart_is_not_counted_again(tmp_path):
    world = World(tmp_path)
    trade(world, 1, BUY, 1000)
    world.submit("a", 2)
    world.flush()
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    world.attach("a")
    world.cancel("a", 2)
    world.settle()
    outcomes = shown(world).outcomes
    assert (outcomes["filled"], outcomes["cancelled"]) == (0, 1)


# --- Fills and markouts -----------------------------------------------------------------------------------------------


def test_markouts_are_by_how_much_the_middle_has_moved_in_a_fills_favour():
    world = begun()
    trade(world, 1, BUY, 999)
    trade(world, 2, SELL, 1001, 4)
    for at_ns, middle in zip(HORIZONS_NS, (1002, 1001, 990), strict=True):
        world.advance(at_ns - (world.now_ns - BEGIN_NS))
        book(world, middle - 1, middle + 1)
        world.tick()
    first, second = world.manager.fills()
    assert first.markouts == pytest.approx([0.3, 0.2, -0.9])
    assert second.markouts == pytest.approx([-0.1, 0.0, 1.1])
    told = shown(world).markouts
    assert [(one.after_ns, one.asset, one.count) for one in told] == [(ns, "USDT", 2) for ns in HORIZONS_NS]
    assert [one.value for one in told] == pytest.approx([(10 * 99.9 + 4 * 100.1) * LOT] * 3)
    gains = [(10 * a + 4 * b) * LOT for a, b in zip(first.markouts, second.markouts, strict=True)]
    assert [one.gain for one in told] == pytest.approx(gains)
    assert world.manager.counters.missed_markouts == 0


def test_markouts_of_inverse_contracts_are_in_their_coin():
    world = begun()
    ledger = world.manager.store.ledgers["BTCUSDT"]
    ledger.inverse, ledger.contract_size, ledger.settles_in = True, 100.0, "BTC"
    trade(world, 1, BUY, 999)
    trade(world, 2, SELL, 1001, 4)
    book(world, 1009, 1011)
    world.advance(SECOND)
    world.tick()
    first, *_ = shown(world).markouts
    coins = [100 * lots * LOT * (1 / price - 1 / 101.0) for lots, price in ((10, 99.9), (-4, 100.1))]
    assert (first.asset, first.count) == ("BTC", 2)
    assert first.gain == pytest.approx(sum(coins))
    assert first.value == pytest.approx(100 * (10 / 99.9 + 4 / 100.1) * LOT)
    assert world.manager.fills()[0].markouts[0] == pytest.approx(1.1)


def test_a_markout_with_a_book_that_is_not_valid_or_too_late_is_missed_and_the_next_ones_are_taken():
    world = begun()
    trade(world, 1, BUY, 999)
    book(world, is_valid=False)
    world.advance(SECOND)
    world.tick()
    book(world)
    world.advance(9 * SECOND + LATE_NS + 1)
    world.tick()
    world.advance(50 * SECOND - 1)
    world.tick()
    (fill,) = world.manager.fills()
    assert fill.markouts[:2] == [None, None]
    assert fill.markouts[2] == pytest.approx(0.1)
    assert [one.count for one in shown(world).markouts] == [0, 0, 1]
    assert world.manager.counters.missed_markouts == 2


def test_the_next_look_is_wanted_when_the_next_markout_is_due():
    world = begun()
    trade(world, 1, BUY, 999)
    assert world.tick() <= world.now_ns + SECOND
    world.advance(SECOND)
    world.tick()
    assert world.manager.fills()[0].markouts == [pytest.approx(0.1), None, None]


def test_a_fill_that_is_heard_of_late_has_no_markouts_of_before():
    world = begun()
    world.submit("a", 1, BUY, 999)
    world.flush()
    world.exchange.fill(world.exchange.open_orders()[0], 10)
    world.exchange.events.clear()
    world.advance(11 * SECOND)
    world.reconcile()
    world.tick()
    (fill,) = world.manager.fills()
    assert fill.ns == BEGIN_NS
    assert fill.order_id == 1
    assert fill.markouts == [None, None, None]
    world.advance(49 * SECOND)
    world.tick()
    assert world.manager.fills()[0].markouts[2] == pytest.approx(0.1)


def test_fills_are_told_with_fee_and_maker_and_the_last_ones_alone(monkeypatch):
    monkeypatch.setattr(fills, "WAITING_MAX", 3)
    world = begun()
    for number in range(FILLS_MAX + 2):
        trade(world, number + 1, BUY if number % 2 else SELL, 1001 - 2 * (number % 2), 2)
        world.advance(MS)
    told = world.manager.fills()
    assert len(told) == FILLS_MAX
    assert [one.order_id for one in told] == list(range(3, FILLS_MAX + 3))
    last = told[-1]
    assert (last.bot, last.symbol, last.side, last.qty) == ("a", "BTCUSDT", "buy", 2 * LOT)
    assert (last.price, last.fee, last.fee_asset) == (pytest.approx(99.9), 2 * FEE_A_LOT, "USDT")
    assert last.is_maker is not None
    assert last.client_id == world.latest["a", FILLS_MAX + 2]
    assert world.manager.counters.missed_markouts == 3 * (FILLS_MAX - 1)
