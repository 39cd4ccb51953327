"""An exchange where a modification ends the order and makes another one, as spot markets have it."""

import msgspec
import pytest

from daemon.messages import (
    BY_QUERY,
    BY_REPLY,
    BY_STREAM,
    CONFIRMED,
    REFUSED,
    UNKNOWN,
    Modify,
    Outcome,
    Report,
)
from daemon.orders.replacing import FORMER_MAX, GRACE_NS
from hftd.constants import (
    BUY,
    CANCELED,
    FILLED,
    GTX,
    NEW,
    REASON_FILTER,
    REASON_POST_ONLY,
    REJECTED,
)
from tests.daemon.orders.model import INSTRUMENT, MS, Exchange, TrueOrder
from tests.daemon.orders.seeds import run
from tests.daemon.orders.world import SECOND, World


class ReplacingExchange(Exchange):
    """Orders are whole here, and what is said is about one of their lives."""

    ids = 1000

    def report(self, order, source, execution=None, has_fee=True) -> Report:
        report = super().report(order, source, execution, has_fee)
        past = getattr(order, "past_lots", 0)
        return msgspec.structs.replace(
            report, qty_lots=report.qty_lots - past, cum_lots=report.cum_lots - past
        )

    def _amend(self, command: Modify, order: TrueOrder) -> Outcome:
        if command.is_reduction:
            past = getattr(order, "past_lots", 0)
            if command.qty_lots <= order.cum_lots - past:
                return Outcome(command.request, REFUSED, REASON_FILTER)
            order.qty_lots = command.qty_lots + past
            order.exch_ns = self.exch_ns
            self._say(order)
            return self._confirm(command, order)
        wanted = command.qty_lots - command.done_lots
        self._end(order, CANCELED)
        former = self.report(order, BY_REPLY)
        if self.next_crosses and order.time_in_force == GTX:
            return Outcome(command.request, REFUSED, REASON_POST_ONLY, exch_ns=self.exch_ns, former=former)
        ReplacingExchange.ids += 1
        order.__dict__["past_lots"] = order.cum_lots
        order.exch_order_id = str(100_000 + ReplacingExchange.ids)
        order.status, order.price_tick, order.qty_lots = NEW, command.price_tick, order.cum_lots + wanted
        order.exch_ns = self.exch_ns
        self._say(order)
        return msgspec.structs.replace(self._confirm(command, order), former=former)


class ReplacingWorld(World):
    exchange_type = ReplacingExchange
    instrument = msgspec.structs.replace(INSTRUMENT, replaces=True)


def test_however_it_is_told_a_replaced_order_is_one_order():
    for seed in range(200):
        run(seed, 80, bool(seed % 2), world_type=ReplacingWorld)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_however_it_is_told_a_replaced_order_is_one_order_in_thousands_of_worlds():
    for seed in range(4000):
        run(seed, 200, bool(seed % 2), world_type=ReplacingWorld)


def order_of(world):
    return next(iter(world.manager.store.alive.values()))


def resting(lots=10) -> World:
    world = ReplacingWorld()
    world.submit("a", 1, BUY, 1000, lots)
    world.flush()
    return world


def test_the_new_order_takes_the_place_of_the_old_one_for_the_same_bot_order():
    world = resting()
    world.exchange.fill(order := next(iter(world.exchange.orders.values())), 4)
    world.flush()
    world.modify("a", 1, 1001, 8)
    command = world.requests[0][0]
    assert (command.qty_lots, command.done_lots, command.is_reduction) == (12, 4, False)
    world.flush()
    known = order_of(world)
    assert (known.exch_order_id, known.qty_lots, known.done_lots) == (order.exch_order_id, 12, 4)
    assert world.bots["a"].orders[1].status == NEW and world.bots["a"].orders[1].leaves_qty == 0.008
    world.exchange.fill(order, 8)
    world.flush()
    assert world.bots["a"].orders[1].status == FILLED
    world.check()


def test_a_reduction_keeps_the_order():
    world = resting()
    world.modify("a", 1, 1000, 5)
    assert world.requests[0][0].is_reduction
    number = next(iter(world.exchange.orders.values())).exch_order_id
    world.flush()
    assert (order_of(world).exch_order_id, order_of(world).qty_lots) == (number, 5)
    world.check()


def test_a_reduction_of_an_order_that_has_replaced_one_is_of_the_order_that_is_there():
    world = resting()
    world.exchange.fill(next(iter(world.exchange.orders.values())), 4)
    world.flush()
    world.modify("a", 1, 1001, 8)
    world.flush()
    world.modify("a", 1, 1001, 5)
    command = world.requests[0][0]
    assert (command.qty_lots, command.is_reduction) == (5, True), "and not 9 with what the old one executed"
    world.flush()
    assert world.bots["a"].orders[1].leaves_qty == 0.005
    world.settle()
    world.check()


def test_the_cancellation_of_the_old_one_is_no_end_until_it_is_known_that_there_is_no_new_one():
    world = resting()
    world.modify("a", 1, 1001, 8)
    world.arrive(reply="unknown")
    world.event()
    assert order_of(world).status == NEW, "CANCELED of the old one"
    world.event()
    assert order_of(world).price_tick == 1001 and order_of(world).modify is None
    world.settle()
    world.check()


def test_a_new_one_that_is_refused_leaves_no_order_and_says_why():
    world = ReplacingWorld()
    world.submit("a", 1, BUY, 1000, 10, time_in_force=GTX)
    world.flush()
    world.modify("a", 1, 1001, 8)
    world.arrive(crosses=True)
    world.flush()
    local = world.bots["a"].orders[1]
    assert local.status == CANCELED and not world.manager.store.alive
    refused = [one for one in world.bots["a"].updates if getattr(one, "req", 0) == REJECTED]
    assert [one.reason for one in refused] == [REASON_POST_ONLY]
    world.check()


def test_what_the_old_one_executes_meanwhile_is_no_part_of_the_new_one():
    world = resting()
    world.modify("a", 1, 1001, 8)
    true = next(iter(world.exchange.orders.values()))
    world.exchange.fill(true, 3)
    events, world.exchange.events = world.exchange.events, []
    world.flush()
    known = order_of(world)
    assert (known.qty_lots, known.cum_lots, known.done_lots) == (11, 3, 0)
    world.exchange.events = events
    world.flush()
    assert (known.qty_lots, known.done_lots, known.leaves_lots) == (11, 3, 8)
    world.settle()
    world.check()


def test_an_order_that_was_taken_to_have_ended_and_lives_is_cancelled():
    world = resting()
    world.modify("a", 1, 1001, 8)
    command = world.requests.pop()[0]
    known, old = order_of(world), order_of(world).exch_order_id

    def told(number, status, source):
        exch_ns = world.exchange.exch_ns
        return Report(
            source=source,
            client_id=known.client_id,
            exch_order_id=number,
            symbol=known.symbol,
            side=BUY,
            order_type=0,
            time_in_force=0,
            status=status,
            price_tick=1000,
            qty_lots=10,
            cum_lots=0,
            exch_ns=exch_ns,
        )

    world.manager.on_outcome(Outcome(command.request, UNKNOWN), world.now_ns)
    world.advance(MS)
    world.manager.on_report(told(old, CANCELED, BY_STREAM), world.now_ns)
    assert not known.finished_ns
    world.advance(GRACE_NS + SECOND)
    world.tick()
    query = next(one for one, *_ in reversed(world.requests) if type(one).__name__ == "Query")
    world.manager.on_outcome(
        Outcome(query.request, CONFIRMED, report=told(old, CANCELED, BY_QUERY)), world.now_ns
    )
    assert known.finished_ns and known.status == CANCELED
    world.manager.on_report(told(str(int(old) + 7), NEW, BY_STREAM), world.now_ns)
    assert not known.finished_ns and known.cancel_wanted


def test_word_of_an_order_of_long_ago_changes_nothing():
    world = resting()
    for k in range(2 * FORMER_MAX):
        world.exchange.fill(next(iter(world.exchange.orders.values())), 1)
        world.flush()
        world.modify("a", 1, 1001 + k % 2, 20)
        world.flush()
    known = order_of(world)
    assert len(known.former) == FORMER_MAX
    before = msgspec.structs.asdict(known)
    late = Report(
        source=BY_STREAM,
        client_id=known.client_id,
        exch_order_id="1000",
        symbol=known.symbol,
        side=BUY,
        order_type=0,
        time_in_force=0,
        status=CANCELED,
        price_tick=1000,
        qty_lots=10,
        cum_lots=1,
        exch_ns=1,
    )
    world.manager.on_report(late, world.now_ns)
    after = msgspec.structs.asdict(known)
    assert {name for name in before if before[name] != after[name]} <= {"seen_ns"}
    world.settle()
    world.check()
