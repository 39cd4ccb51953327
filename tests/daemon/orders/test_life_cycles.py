"""Life cycles of orders, each with what its bot is told: what a simulation tells it. (a) to (j) are known to bite."""

import pytest

from daemon.messages import BY_QUERY, CONFIRMED, UNKNOWN, Cancel, Modify, Outcome, Query, Submit
from hftd import wire
from hftd.constants import (
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    GTX,
    IOC,
    MARKET,
    NEW,
    NONE,
    PARTIALLY_FILLED,
    REASON_EXPIRED,
    REASON_POST_ONLY,
    REASON_UNKNOWN_ORDER,
    REJECTED,
)
from tests.daemon.orders.model import FEE_A_LOT
from tests.daemon.orders.world import BEGIN_NS, LOT, MS, NUMBER, SECOND, World


def told(world: World, bot: str = "a") -> list[tuple[int, int, int]]:
    """Status, request and executed of the updates."""
    return [
        (update.status, update.req, update.executed)
        for update in world.bots[bot].updates
        if isinstance(update, wire.OrderUpdate)
    ]


def last(world: World, bot: str = "a") -> wire.OrderUpdate:
    return [one for one in world.bots[bot].updates if isinstance(one, wire.OrderUpdate)][-1]


def place(world: World, **options) -> None:
    """An order that is at the exchange, and known to be."""
    world.submit("a", 1, **options)
    world.flush()
    world.advance(MS)


RESTS = (NEW, NONE, 0)
PART = (PARTIALLY_FILLED, NONE, 1)
ALL = (FILLED, NONE, 1)
GONE = (CANCELED, NONE, 0)
OVER = (EXPIRED, NONE, 0)
NO = (NONE, REJECTED, 0)


def test_a_the_reply_comes_before_the_event(world):
    world.submit("a", 1)
    world.arrive()
    world.reply()
    assert told(world) == [RESTS]
    world.event()
    assert told(world) == [RESTS]
    update = last(world)
    assert (update.order_id, update.side, update.price_tick, update.qty, update.leaves_qty) == (
        1,
        BUY,
        1000,
        0.01,
        0.01,
    )
    assert update.local_ts == BEGIN_NS
    assert update.exch_ts == BEGIN_NS
    world.check()


def test_b_the_event_comes_before_the_reply(world):
    world.submit("a", 1)
    world.arrive()
    world.event()
    assert told(world) == [RESTS]
    world.reply()
    assert told(world) == [RESTS]
    world.check()


def test_c_the_short_fill_comes_first_then_the_full_one_then_the_reply(world):
    world.submit("a", 1, lots=4)
    world.arrive()
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.event(1)  # TRADE_LITE
    assert told(world) == [ALL]
    assert last(world).fee == 0.0, "not known yet"
    assert last(world).maker == 1, "that is known"
    assert last(world).position == 0.004
    world.event(1)  # TRADE
    world.event(0)  # NEW
    world.reply()
    assert told(world) == [ALL], "the quantity is counted once"
    assert world.bots["a"].state.fee == 4 * FEE_A_LOT, "the fee comes with the full one"
    assert world.bots["a"].state.num_trades == 1
    world.check()


def test_d_a_cancel_finds_no_order_while_its_last_fill_is_on_its_way(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 10)
    world.cancel("a", 1)
    world.arrive()
    world.reply()
    assert told(world) == [RESTS], "that there is no such order says nothing of how it ended"
    assert isinstance(world.commands[-1], Query)
    world.event(0)
    assert told(world) == [RESTS, ALL, NO], "as in a simulation: filled, then the cancel is refused"
    assert last(world).reason == REASON_UNKNOWN_ORDER
    world.flush()
    assert told(world) == [RESTS, ALL, NO]
    world.check()


def test_d_a_cancel_finds_no_order_and_the_fill_is_never_said(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 10)
    world.exchange.events.clear()
    world.cancel("a", 1)
    world.arrive()
    world.reply()
    world.arrive()
    world.reply()
    assert told(world) == [RESTS], "the query says FILLED, but the execution is missing"
    assert world.manager.reconcile_due_ns() <= world.now_ns + SECOND
    result = world.reconcile()
    assert result.missed_executions == 1
    assert told(world) == [RESTS, ALL, NO]
    world.check()


@pytest.mark.parametrize("reply_first", [True, False])
def test_e_the_reply_to_a_cancel_comes_before_or_after_the_event(world, reply_first):
    place(world)
    cancel_ts = world.now_ns
    world.cancel("a", 1)
    world.arrive()
    (world.reply if reply_first else world.event)()
    assert told(world) == [RESTS, GONE]
    assert last(world).local_ts == cancel_ts, "the answer to the cancel"
    assert last(world).leaves_qty == 0.01
    assert last(world).reason == 0
    (world.event if reply_first else world.reply)()
    assert told(world) == [RESTS, GONE]
    world.check()


def test_f_a_partial_fill_then_the_cancel(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 3)
    world.cancel("a", 1)
    world.arrive()
    world.flush()
    assert told(world) == [RESTS, PART, GONE]
    assert last(world).leaves_qty == 0.007
    assert last(world).exec_qty == 0.003
    world.check()


def test_f_a_cancellation_that_outruns_its_fill_is_told_after_it(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 3)
    world.cancel("a", 1)
    world.arrive()
    world.reply()
    assert told(world) == [RESTS], "the reply says 3 executed, which the bot has not seen"
    world.event(0)
    assert told(world) == [RESTS, PART, GONE]
    assert world.bots["a"].state.position == 0.003
    world.flush()
    assert told(world) == [RESTS, PART, GONE]
    world.check()


def test_f_a_cancellation_whose_fill_never_comes_is_told_after_a_while(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 3)
    world.exchange.events.clear()
    world.cancel("a", 1)
    world.arrive()
    world.reply()
    world.advance(6 * SECOND)
    world.tick()
    assert told(world) == [RESTS, GONE]
    assert world.manager.counters.untold_executions == 3
    world.reconcile()
    assert told(world)[2:] == [(CANCELED, NONE, 1)], "late fills still count"
    world.check()


def test_f_an_end_held_back_for_a_fill_that_then_came_leaves_nothing_to_do(world):
    place(world)
    order = world.exchange.open_orders()[0]
    world.exchange.fill(order, 10)
    world.manager.on_report(world.exchange.report(order, BY_QUERY), world.now_ns)
    assert told(world) == [RESTS]
    world.flush()
    assert told(world) == [RESTS, ALL]
    for _ in range(3):
        world.advance(3 * SECOND)
        assert world.tick() > world.now_ns, "an order of the past would be due for ever"


@pytest.mark.parametrize("reply_first", [True, False])
def test_g_the_reply_to_a_modification_comes_before_or_after_the_event(world, reply_first):
    place(world)
    modify_ts = world.now_ns
    world.modify("a", 1, 1001, 6)
    assert world.commands[-1] == Modify(
        request=2,
        client_id=world.commands[0].client_id,
        exch_order_id="1000",
        symbol="BTCUSDT",
        side=BUY,
        price_tick=1001,
        qty_lots=6,
    )
    world.arrive()
    (world.reply if reply_first else world.event)()
    assert told(world) == [RESTS, RESTS]
    assert (last(world).price_tick, last(world).qty, last(world).local_ts) == (1001, 0.006, modify_ts)
    (world.event if reply_first else world.reply)()
    assert told(world) == [RESTS, RESTS]
    world.check()


def test_g_a_modified_quantity_is_what_remains_as_in_a_simulation(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.flush()
    world.modify("a", 1, 1002, 6)
    assert world.commands[-1].qty_lots == 10, "the exchange is told the total"
    world.flush()
    assert last(world).status == NEW, "a moved order is a new one"
    assert (last(world).qty, last(world).leaves_qty) == (0.006, 0.006)
    world.exchange.fill(world.exchange.open_orders()[0], 1)
    world.flush()
    assert (last(world).status, last(world).qty, last(world).leaves_qty) == (PARTIALLY_FILLED, 0.006, 0.005)
    world.check()


def test_g_less_of_the_same_stays_partly_filled_as_in_a_simulation(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.flush()
    world.modify("a", 1, 1000, 5)
    world.flush()
    assert (last(world).status, last(world).qty, last(world).leaves_qty) == (PARTIALLY_FILLED, 0.005, 0.005)
    world.check()


def test_g_a_modification_below_what_is_executed_meanwhile_cancels(world):
    place(world)
    world.modify("a", 1, 1001, 3)
    world.exchange.fill(world.exchange.open_orders()[0], 5)
    world.arrive()
    world.flush()
    assert told(world) == [RESTS, PART, GONE, NO]
    assert last(world).reason == REASON_UNKNOWN_ORDER, "the modification came too late"
    world.check()


def test_g_a_modification_that_changes_nothing_is_answered_here(world):
    place(world)
    world.modify("a", 1, 1000, 10)
    assert world.requests == [], "the exchange would refuse it"
    assert told(world) == [RESTS, RESTS]
    assert world.bots["a"].orders[1].req == NONE
    world.check()


def test_g_a_second_modification_waits_for_no_answer_but_is_refused(world):
    place(world)
    world.modify("a", 1, 1001, 10)
    world.exchange.fill(world.exchange.open_orders()[0], 2)
    world.event(0)  # which lets the bot ask again
    assert world.modify("a", 1, 1002, 10)
    assert told(world)[-1] == NO
    assert world.bots["a"].orders[1].price_tick == 1000, "as it was before"
    assert len(world.requests) == 1
    world.flush()
    world.check()


def test_h_a_post_only_order_that_would_take_expires(world):
    world.submit("a", 1, time_in_force=GTX)
    world.arrive(crosses=True)
    world.reply()
    assert told(world) == [OVER]
    assert last(world).reason == REASON_POST_ONLY
    assert world.exchange.events == []
    world.check()


def test_h_a_post_only_order_that_a_modification_makes_taking_expires(world):
    place(world, time_in_force=GTX)
    modify_ts = world.now_ns
    world.modify("a", 1, 1005, 10)
    world.arrive(crosses=True)
    world.event()
    assert told(world) == [RESTS, OVER], "the exchange says CANCELED, a simulation EXPIRED"
    assert (last(world).local_ts, last(world).reason) == (modify_ts, REASON_POST_ONLY)
    world.flush()
    assert told(world) == [RESTS, OVER]
    world.check()


def test_i_a_fill_that_is_said_again_counts_once(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 3)
    world.event(1, keep=True)
    world.event(1, keep=True)
    world.event(0, keep=True)
    assert told(world) == [RESTS, PART]
    world.reconcile()
    world.flush()
    assert told(world) == [RESTS, PART]
    assert world.manager.counters.repeated_executions >= 3
    world.check()


@pytest.mark.parametrize("reply", ["unknown", "lost"])
def test_j_a_request_that_is_processed_and_whose_reply_is_lost_is_asked_for(world, reply):
    world.submit("a", 1)
    world.arrive(reply=reply)
    world.exchange.events.clear()
    if reply == "unknown":
        world.reply()
    else:
        world.advance(11 * SECOND)
        world.tick()
    assert isinstance(world.commands[-1], Query)
    assert told(world) == []
    world.flush()
    assert told(world) == [RESTS]
    world.check()


def test_orders_that_can_not_rest_are_told_by_their_fills_and_ends_as_in_a_simulation(world):
    world.submit("a", 1, order_type=MARKET, lots=4)
    world.submit("a", 2, time_in_force=IOC, lots=4)
    world.arrive(take_lots=4)
    world.arrive(take_lots=1)
    world.flush()
    by_id = {
        order_id: [
            (one.status, one.executed, one.reason)
            for one in world.bots["a"].updates
            if isinstance(one, wire.OrderUpdate) and one.order_id == order_id
        ]
        for order_id in (1, 2)
    }
    assert by_id[1] == [(FILLED, 1, 0)]
    assert by_id[2] == [(PARTIALLY_FILLED, 1, 0), (EXPIRED, 0, REASON_EXPIRED)]
    assert last(world).leaves_qty == 0.003
    world.check()


def test_an_order_is_journalled_before_it_is_sent(kept):
    seen = []
    journal = kept.manager.store.journal
    kept.manager._send = lambda command: seen.append((command, journal.path.read_bytes()))
    kept.submit("a", 1)
    command, data = seen[0]
    assert isinstance(command, Submit)
    assert command.client_id.encode() in data
    kept.manager.on_outcome(Outcome(command.request, CONFIRMED), kept.now_ns)
    kept.cancel("a", 1)
    assert isinstance(seen[1][0], Cancel)
    assert len(seen[1][1]) > len(data)


def test_a_venue_that_refuses_from_within_send_is_heard(world):
    def refuse(command):
        world.manager.on_outcome(Outcome(command.request, "refused", 40), world.now_ns)

    world.manager._send = refuse
    world.submit("a", 1)
    assert told(world) == [NO]
    assert world.bots["a"].orders[1].status == EXPIRED
    assert not world.manager.store.alive


def test_a_duplicate_id_at_the_exchange_is_our_own_order_sent_twice(world):
    world.submit("a", 1)
    command = world.requests[0][0]
    world.requests.append((command, world.now_ns, world.lives))
    world.arrive()
    world.replies.clear()
    world.arrive()
    world.exchange.events.clear()
    world.reply()
    assert told(world) == [], "it is not refused"
    world.flush()
    assert told(world) == [RESTS]
    world.check()


def test_the_bots_values_are_those_of_its_fills(world):
    place(world, lots=10)
    world.submit("a", 2, side=-1, price_tick=1010, lots=3)
    world.flush()
    world.exchange.fill(world.exchange.open_orders()[1], 3)
    world.exchange.fill(world.exchange.open_orders()[0], 10)
    world.flush()
    state = world.bots["a"].state
    assert state.position == 0.007
    assert state.balance == pytest.approx(3 * LOT * 101.0 - 10 * LOT * 100.0)
    assert state.fee == 13 * FEE_A_LOT
    assert (state.num_trades, state.trading_volume) == (2, 0.013)
    assert state.trading_value == pytest.approx(3 * LOT * 101.0 + 10 * LOT * 100.0)
    assert state.instrument == NUMBER
    world.check()


def test_an_outcome_that_is_unknown_is_never_taken_for_refused(world):
    world.submit("a", 1)
    world.lose_request(is_said=True)
    world.reply()
    for _ in range(8):
        # Not found, but it may still be on its way.
        world.flush()
        world.advance(SECOND)
        world.tick()
        assert told(world) == []
    world.settle()
    assert told(world) == [NO]
    assert world.bots["a"].orders[1].status == EXPIRED
    assert UNKNOWN == "unknown"
