"""Outcomes that are not known, cancels that do not get through, orders that were given up."""

import msgspec
import pytest

from daemon.messages import REFUSED, UNKNOWN, Cancel, Outcome, Query
from daemon.orders.commands import GRACE_NS, OUTCOME_NS
from daemon.orders.state import REMEMBER_NS
from hftd import wire
from hftd.constants import (
    CANCELED,
    EXPIRED,
    FILLED,
    NEW,
    NONE,
    REASON_DISCONNECTED,
    REASON_EXCHANGE,
    REASON_FORGOTTEN,
    REASON_MARGIN,
    REASON_NEVER_SENT,
    REASON_RATE_LIMIT,
    REASON_UNKNOWN_ORDER,
)
from tests.daemon.orders.test_life_cycles import ALL, GONE, NO, PART, RESTS, last, place, told
from tests.daemon.orders.world import MS, NUMBER, SECOND


def count(world, kind):
    return sum(isinstance(command, kind) for command in world.commands)


def test_not_found_counts_only_when_the_request_can_not_arrive_any_more(world):
    world.submit("a", 1)
    late = world.requests.pop()
    world.manager.on_outcome(Outcome(late[0].request, UNKNOWN), world.now_ns)
    world.flush()
    assert told(world) == []
    world.advance(4 * SECOND)
    world.requests.append(late)
    world.flush()
    assert told(world) == [RESTS], "it came late"
    world.settle()
    world.check()


def test_an_order_that_is_never_found_is_over_after_the_grace_period(world):
    world.submit("a", 1)
    world.lose_request()
    world.reply()
    for _ in range(2 * GRACE_NS // SECOND):
        world.flush()
        world.advance(SECOND)
        world.tick()
    assert told(world) == [NO]
    assert last(world).reason == REASON_NEVER_SENT
    assert last(world).local_ts == world.bots["a"].orders[1].local_ts
    assert count(world, Query) <= 8, "the pace of the queries falls"
    assert world.submit("a", 1), "and its id is free"


def test_an_order_that_was_given_up_and_shows_up_is_cancelled_and_counted(world):
    world.submit("a", 1, lots=5)
    command, sent_ns, life = world.requests.pop()
    world.settle()
    assert told(world) == [NO]
    # The exchange took it in spite of its age.
    world.requests.append((command, world.now_ns, life))
    world.arrive()
    world.exchange.fill(world.exchange.open_orders()[0], 2)
    world.settle()
    assert world.exchange.open_orders() == []
    assert told(world) == [NO, RESTS, PART, GONE]
    assert world.manager.counters.revived == 1
    assert sent_ns < world.now_ns
    world.check()


def test_a_late_fill_of_an_order_whose_id_is_in_use_again_is_told_in_the_account_only(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 3)
    late = world.exchange.events[:]
    world.exchange.events.clear()
    world.cancel("a", 1)
    world.arrive()
    world.reply()
    world.exchange.events.clear()
    world.advance(6 * SECOND)
    world.tick()
    assert told(world) == [RESTS, GONE]
    world.submit("a", 1, price_tick=1007)
    world.flush()
    world.exchange.events.extend(late)
    world.flush()
    assert told(world) == [RESTS, GONE, RESTS]
    assert world.bots["a"].state.position == 0.003
    world.check()


def test_a_late_query_does_not_bring_a_finished_order_back(world):
    place(world)
    world.manager.commands.ask(world.manager.store.alive[world.commands[0].client_id], world.now_ns)
    world.tick()
    world.arrive()  # the query: NEW
    world.cancel("a", 1)
    world.arrive()
    world.reply(1)
    assert told(world) == [RESTS, GONE]
    world.reply()
    world.flush()
    assert told(world) == [RESTS, GONE]
    assert not world.manager.store.alive


def test_a_cancel_while_the_place_is_on_its_way_goes_at_once_and_again_when_the_order_is_there(world):
    world.submit("a", 1)
    world.bots["a"].orders[1].req = NONE
    world.cancel("a", 1)
    assert isinstance(world.requests[1][0], Cancel)
    world.arrive(1)  # it overtook the place: no such order
    world.reply()
    world.arrive(0)
    world.exchange.events.clear()
    world.reply()
    assert isinstance(world.requests[-1][0], Cancel), "sent again, at once"
    world.settle()
    assert told(world)[-1] == GONE
    world.check()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(UNKNOWN, 0), (REFUSED, REASON_RATE_LIMIT), (REFUSED, REASON_EXCHANGE), (REFUSED, REASON_UNKNOWN_ORDER)],
)
def test_a_cancel_is_repeated_until_the_order_is_finished(world, kind, reason):
    place(world)
    world.cancel("a", 1)
    for _ in range(4):
        world.requests = [one for one in world.requests if not isinstance(one[0], Cancel)]
        withdraw = [one for one in world.commands if isinstance(one, Cancel)][-1]
        world.manager.on_outcome(Outcome(withdraw.request, kind, reason), world.now_ns)
        assert told(world) == [RESTS], "an order that lives is not told to be gone"
        for _ in range(6):
            world.advance(SECOND)
            world.tick()
    assert count(world, Cancel) == 5
    world.settle()
    assert told(world) == [RESTS, GONE]
    assert world.exchange.open_orders() == []


def test_a_cancel_passes_even_while_the_fates_of_orders_are_not_heard(world):
    place(world)
    world.manager.on_connection(False, world.now_ns)
    world.cancel("a", 1)
    world.flush()
    assert told(world) == [RESTS, GONE]
    assert world.exchange.open_orders() == []


def test_a_cancel_for_which_there_is_no_way_goes_when_there_is_one(world):
    place(world)
    world.manager.on_connection(False, world.now_ns)
    world.cancel("a", 1)
    (withdraw, *_), *_ = world.requests
    world.requests.clear()
    world.manager.on_outcome(Outcome(withdraw.request, REFUSED, REASON_DISCONNECTED), world.now_ns)
    assert world.requests == []
    world.manager.on_connection(True, world.now_ns)
    assert isinstance(world.requests[0][0], Cancel)
    world.flush()
    assert told(world) == [RESTS, GONE]


def test_a_command_without_an_outcome_counts_as_unknown_after_a_while(world):
    place(world)
    world.modify("a", 1, 1001, 10)
    world.requests.clear()
    next_ns = world.tick()
    assert next_ns <= world.now_ns + OUTCOME_NS
    world.advance(OUTCOME_NS)
    world.tick()
    assert isinstance(world.commands[-1], Query)
    world.settle()
    assert told(world) == [RESTS, NO], "it never took place"
    assert world.bots["a"].orders[1].price_tick == 1000
    assert world.manager.commands.in_flight == {}
    world.check()


def test_a_modification_whose_reply_is_lost_is_found_by_asking(world):
    place(world)
    world.modify("a", 1, 1001, 6)
    world.arrive(reply="unknown")
    world.exchange.events.clear()
    world.reply()
    world.flush()
    assert told(world) == [RESTS, RESTS]
    assert (last(world).price_tick, last(world).qty) == (1001, 0.006)
    world.check()


def test_what_was_said_before_a_modification_does_not_undo_it(world):
    place(world)
    before = world.exchange.report(world.exchange.open_orders()[0], "stream")
    world.modify("a", 1, 1001, 6)
    world.flush()
    world.manager.on_report(before, world.now_ns)
    order = next(iter(world.manager.store.alive.values()))
    assert (order.price_tick, order.qty_lots) == (1001, 6)


def test_a_refused_place_tells_the_reason(world):
    world.submit("a", 1)
    command = world.requests.pop()[0]
    world.manager.on_outcome(Outcome(command.request, REFUSED, REASON_MARGIN), world.now_ns)
    assert told(world) == [NO]
    assert last(world).reason == REASON_MARGIN
    assert world.bots["a"].orders[1].status == EXPIRED


def test_an_order_that_lives_is_not_ended_by_a_refusal(world):
    world.submit("a", 1)
    world.arrive()
    world.event()
    command = world.commands[0]
    world.replies.clear()
    world.manager.on_outcome(Outcome(command.request, REFUSED, REASON_EXCHANGE), world.now_ns)
    world.flush()
    assert told(world) == [RESTS]
    world.check()


def test_a_late_outcome_of_a_command_that_was_given_up_is_still_news(world):
    world.submit("a", 1)
    world.arrive()
    world.exchange.events.clear()
    world.advance(OUTCOME_NS)
    world.tick()
    world.requests.clear()
    world.reply()
    assert told(world) == [RESTS]
    assert world.manager.counters.late_outcomes == 1


def test_a_bot_that_asks_what_became_of_an_order_is_told(world):
    place(world)
    world.submit("a", 2)
    world.flush()
    world.cancel("a", 2)
    world.flush()
    world.bots["a"].updates.clear()
    for order_id in (1, 2, 3):
        world.ask("a", wire.Inquire(NUMBER, order_id, world.now_ns - MS))
    assert told(world) == [RESTS, GONE, (EXPIRED, 6, 0)]
    assert last(world).reason == REASON_NEVER_SENT
    assert last(world).local_ts == world.now_ns - MS


def test_of_an_order_that_ended_long_ago_it_is_not_said_that_it_was_never_sent(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 10)
    world.flush()
    local_ts = world.bots["a"].orders[1].local_ts
    world.advance(REMEMBER_NS + 1)
    world.tick()
    world.ask("a", wire.Inquire(NUMBER, 1, local_ts))
    assert last(world).status == EXPIRED
    assert last(world).reason == REASON_FORGOTTEN


def test_a_bot_that_asks_about_an_order_with_a_request_under_way_is_told_when_that_ends(world):
    world.submit("a", 1)
    world.ask("a", wire.Inquire(NUMBER, 1, world.now_ns))
    assert told(world) == []
    world.flush()
    assert told(world) == [RESTS]


def test_executions_decide_that_an_order_is_filled_before_the_exchange_says_so(world):
    place(world, lots=4)
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.event(0)
    assert told(world) == [RESTS, ALL]
    assert world.bots["a"].orders[1].status == FILLED
    stale = msgspec.structs.replace(world.exchange.events[0], status=NEW, cum_lots=0, execution=None)
    world.manager.on_report(stale, world.now_ns)
    assert not world.manager.store.alive, "a reply of before the fills"
    world.flush()
    assert told(world) == [RESTS, ALL]


def test_somebody_else_cancelling_our_order_is_told(world):
    place(world)
    world.exchange._end(world.exchange.open_orders()[0], CANCELED)
    world.flush()
    assert told(world) == [RESTS, GONE]
    world.check()


def only(world):
    (order,) = world.manager.store.orders.values()
    return order


def test_what_was_said_before_a_modification_in_the_same_millisecond_does_not_undo_it(world):
    world.submit("a", 1)
    world.flush()
    before = world.exchange.report(world.exchange.open_orders()[0], "stream")
    world.modify("a", 1, 1001, 6)
    world.flush()
    world.manager.on_report(before, world.now_ns)
    assert (only(world).price_tick, only(world).qty_lots) == (1001, 6)


def test_what_was_said_long_before_does_not_confirm_a_modification_back(world):
    place(world)
    before = world.exchange.report(world.exchange.open_orders()[0], "stream")
    world.modify("a", 1, 1001, 10)
    world.flush()
    world.advance(MS)
    world.modify("a", 1, 1000, 10)
    world.manager.on_report(before, world.now_ns)
    assert only(world).modify is not None
    world.flush()
    assert only(world).price_tick == 1000
    world.check()


def test_what_the_exchange_lists_is_taken_over_also_if_it_changed_in_the_same_millisecond(world):
    world.submit("a", 1)
    world.flush()
    world.advance(1)
    world.exchange.open_orders()[0].price_tick = 1003  # by hand
    world.reconcile()
    assert world.bots["a"].orders[1].price_tick == 1003
    world.check()


def test_a_modification_that_arrives_late_is_not_taken_for_refused(world):
    place(world)
    modify_ts = world.now_ns
    world.modify("a", 1, 1001, 10)
    late = world.requests.pop()
    world.manager.on_outcome(Outcome(late[0].request, UNKNOWN), world.now_ns)
    for _ in range(4):
        world.flush()
        world.advance(SECOND)
        world.tick()
    assert told(world) == [RESTS], "as it was before, but that is no proof yet"
    world.requests.append(late)
    world.settle()
    assert told(world) == [RESTS, RESTS]
    assert (last(world).price_tick, last(world).local_ts) == (1001, modify_ts)


def test_an_order_that_may_have_become_larger_is_not_taken_for_filled(world):
    place(world, lots=4)
    world.modify("a", 1, 1000, 9)
    world.arrive()
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.event(1)  # the short fill, before all that tells of the modification
    assert told(world) == [RESTS, PART]
    world.flush()
    assert world.bots["a"].orders[1].leaves_qty == 0.005
    world.check()


def test_a_modification_that_is_refused_after_the_last_fill_leaves_a_filled_order(world):
    place(world, lots=4)
    world.modify("a", 1, 1000, 9)
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.event(0)
    world.exchange.events.clear()
    world.arrive()
    world.reply()
    assert told(world)[:3] == [RESTS, PART, NO]
    assert world.bots["a"].orders[1].status == FILLED
    world.settle()
    world.check()


def test_a_short_fill_of_an_order_that_was_given_up_counts_and_brings_it_back(world):
    world.submit("a", 1, lots=5)
    command, _, life = world.requests.pop()
    world.settle()
    world.requests.append((command, world.now_ns, life))
    world.arrive()
    world.exchange.fill(world.exchange.open_orders()[0], 2)
    world.event(1)  # TRADE_LITE alone
    assert told(world)[:2] == [NO, PART]
    assert isinstance(world.commands[-1], Cancel)
    world.settle()
    assert world.exchange.open_orders() == []
    world.check()


def test_an_order_that_was_there_is_not_given_up_for_one_answer(world):
    place(world)
    order = only(world)
    world.advance(60 * SECOND)
    world.manager.commands.ask(order, world.now_ns)
    for answers in range(3):
        world.tick()
        (request,) = (one for one in world.requests if isinstance(one[0], Query))
        world.requests.clear()
        world.manager.on_outcome(Outcome(request[0].request, REFUSED, REASON_UNKNOWN_ORDER), world.now_ns)
        assert bool(order.finished_ns) is (answers == 2)
        world.advance(5 * SECOND)
    assert told(world)[-1] == (EXPIRED, NONE, 0)
    assert last(world).reason == REASON_UNKNOWN_ORDER


@pytest.mark.parametrize(("tick", "lots"), [(1001, 10), (1000, 5)])
def test_an_execution_tells_the_time_of_the_request_that_a_simulation_tells(world, tick, lots):
    place(world)
    first_ts, modify_ts = world.bots["a"].orders[1].local_ts, world.now_ns
    world.modify("a", 1, tick, lots)
    world.flush()
    assert last(world).local_ts == modify_ts
    world.exchange.fill(world.exchange.open_orders()[0], 1)
    world.flush()
    # One that kept its place is still the first order.
    assert last(world).local_ts == (modify_ts if tick == 1001 else first_ts)
