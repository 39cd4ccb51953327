import pytest

from daemon.orders.ending import FLATTEN_TRIES, ORPHAN_NS
from daemon.orders.limits import BotLimits
from daemon.orders.messages import REFUSED, Outcome, Place, Withdraw
from hftd.constants import (
    CANCELED,
    IOC,
    MARKET,
    REASON_BOOK_NOT_VALID,
    REASON_LEASE_ENDED,
    REASON_REDUCE_ONLY,
    SELL,
)
from hftd.errors import RefusedError
from tests.orders.test_life_cycles import GONE, RESTS, last, place, told
from tests.orders.world import NUMBER, SECOND, World


def flattening(world: World) -> list[Place]:
    return [one for one in world.commands if isinstance(one, Place) and one.reduce_only]


def with_position(**options) -> World:
    """A bot that is 6 lots long, with an order to sell more."""
    world = World(on_end="flatten", **options)
    place(world, lots=6)
    world.exchange.fill(world.exchange.open_orders()[0], 6)
    world.submit("a", 2, side=SELL, price_tick=1010, lots=4)
    world.flush()
    return world


def test_the_end_of_a_lease_cancels_the_bots_orders_and_no_others():
    world = World(bots=("a", "b"))
    world.submit("a", 1)
    world.submit("b", 1)
    world.submit("a", 2)  # still on its way
    world.arrive()
    world.arrive()
    world.flush()
    world.manager.detach("a", world.now_ns)
    world.settle()
    assert [one.client_id for one in world.exchange.open_orders()] == [world.latest["b", 1]]
    assert told(world, "b") == [RESTS]
    world.check()


def test_an_order_that_is_on_its_way_when_the_lease_ends_is_not_left_behind(world):
    world.submit("a", 1)
    world.manager.detach("a", world.now_ns)
    assert [type(one[0]) for one in world.requests] == [Place, Withdraw]
    world.arrive(1)
    world.settle()
    assert world.exchange.open_orders() == []


def test_keep_keeps_them_and_the_bot_is_told_when_it_comes_back():
    world = World(on_end="keep")
    place(world)
    world.manager.detach("a", world.now_ns)
    world.exchange.fill(world.exchange.open_orders()[0], 3)
    world.settle()
    assert len(world.exchange.open_orders()) == 1
    world.bots["a"].orders.clear()
    world.bots["a"].updates.clear()
    world.attach("a")
    assert told(world) == [(5, 0, 0)]
    assert last(world).leaves_qty == 0.007
    assert world.bots["a"].state.position == 0.003
    world.check()


def test_flatten_cancels_and_then_closes_the_bots_position():
    world = with_position()
    world.manager.detach("a", world.now_ns)
    assert flattening(world) == []
    world.tick()
    assert flattening(world) == [], "not before the cancels are confirmed"
    world.flush()
    world.tick()
    (command,) = flattening(world)
    assert (command.side, command.order_type, command.time_in_force, command.qty_lots) == (
        SELL,
        MARKET,
        IOC,
        6,
    )
    world.arrive(take_lots=6)
    world.flush()
    assert world.exchange.position_lots == 0
    for _ in range(5):
        world.advance(SECOND)
        world.tick()
    assert len(flattening(world)) == 1
    assert not world.manager.store.bots["a"].row.is_ending
    world.check()


def test_flatten_waits_for_executions_that_are_missing():
    world = with_position()
    world.exchange.fill(world.exchange.open_orders()[0], 1)
    world.exchange.events.clear()
    world.manager.detach("a", world.now_ns)
    world.arrive()
    world.reply()  # CANCELED, with 1 executed that was not seen
    world.exchange.events.clear()
    world.advance(SECOND)
    world.tick()
    assert flattening(world) == []
    world.reconcile()
    world.advance(SECOND)
    world.tick()
    assert flattening(world)[0].qty_lots == 5


def test_flatten_goes_on_with_what_is_left_but_not_for_ever():
    world = with_position()
    world.manager.detach("a", world.now_ns)
    world.flush()
    for _ in range(100):
        world.advance(SECOND)
        world.tick()
        while world.requests:
            world.arrive(take_lots=0)
        world.flush()
    assert len(flattening(world)) == FLATTEN_TRIES
    assert world.manager.counters.not_flattened == 1


def test_flatten_goes_in_pieces_that_the_exchange_takes():
    import msgspec

    from tests.orders.model import INSTRUMENT

    world = with_position()
    world.manager.add_instrument(msgspec.structs.replace(INSTRUMENT, market_max_qty_lots=4))
    world.manager.detach("a", world.now_ns)
    world.flush()
    for _ in range(6):
        world.tick()
        while world.requests:
            world.arrive(take_lots=9)
        world.flush()
        world.advance(SECOND)
    assert [one.qty_lots for one in flattening(world)] == [4, 2]
    assert world.exchange.position_lots == 0


def test_flatten_ends_where_the_account_has_nothing_to_reduce():
    world = with_position()
    world.manager.detach("a", world.now_ns)
    world.flush()
    world.tick()
    command = world.requests.pop()[0]
    world.manager.on_outcome(Outcome(command.request, REFUSED, REASON_REDUCE_ONLY), world.now_ns)
    for _ in range(5):
        world.advance(SECOND)
        world.tick()
    assert len(flattening(world)) == 1


def test_a_bot_that_comes_back_stops_being_flattened():
    world = with_position()
    world.manager.detach("a", world.now_ns)
    world.attach("a")
    world.flush()
    for _ in range(3):
        world.advance(SECOND)
        world.tick()
    assert flattening(world) == []
    assert world.bots["a"].state.position == 0.006


def test_flattening_goes_on_after_a_crash(tmp_path):
    world = with_position(folder=tmp_path)
    world.manager.detach("a", world.now_ns)
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    world.reconcile()
    for _ in range(5):
        world.tick()
        while world.requests:
            world.arrive(take_lots=6)
        world.flush()
        world.advance(SECOND)
    assert world.exchange.position_lots == 0
    assert world.exchange.open_orders() == []


def test_a_bot_that_does_not_come_back_after_a_crash_has_its_orders_cancelled(kept):
    place(kept)
    kept.crash()
    kept.advance(ORPHAN_NS)
    kept.tick()
    assert kept.requests == [], "counted from the first connection on"
    kept.manager.on_connection(True, kept.now_ns)
    kept.advance(ORPHAN_NS - 1)
    kept.tick()
    assert not any(isinstance(one[0], Withdraw) for one in kept.requests)
    kept.advance(1)
    kept.tick()
    kept.flush()
    assert kept.exchange.open_orders() == []


def test_a_bot_that_comes_back_in_time_keeps_its_orders(kept):
    place(kept)
    kept.crash()
    kept.manager.on_connection(True, kept.now_ns)
    kept.attach("a")
    kept.advance(2 * ORPHAN_NS)
    kept.tick()
    kept.flush()
    assert len(kept.exchange.open_orders()) == 1


def test_the_bot_is_told_why_its_orders_went():
    world = World(on_end="cancel")
    place(world)
    world.manager.detach("a", world.now_ns)
    world.bots["a"].updates.clear()
    world.attach("a")
    world.flush()
    assert told(world)[-1] == GONE
    assert last(world).reason == REASON_LEASE_ENDED


def test_quotes_are_pulled_while_the_book_is_not_valid_if_the_bot_asked_for_that():
    world = World(limits=BotLimits(pull_quotes=True))
    world.manager.on_book(NUMBER, 999, 1001, True, world.now_ns)
    place(world)
    world.manager.on_book(NUMBER, 999, 1001, True, world.now_ns)
    assert world.requests == []
    world.manager.on_book(NUMBER, 999, 1001, False, world.now_ns)
    assert [type(one[0]) for one in world.requests] == [Withdraw]
    world.flush()
    assert last(world).status == CANCELED
    assert last(world).reason == REASON_BOOK_NOT_VALID
    world.submit("a", 2)
    assert last(world).reason == REASON_BOOK_NOT_VALID
    world.manager.on_book(NUMBER, 999, 1001, True, world.now_ns)
    world.submit("a", 3)
    assert len(world.requests) == 1


def test_quotes_stay_if_the_bot_did_not_ask(world):
    world.manager.on_book(NUMBER, 999, 1001, True, world.now_ns)
    place(world)
    world.manager.on_book(NUMBER, 999, 1001, False, world.now_ns)
    assert world.requests == []


def test_two_bots_whose_marks_in_order_ids_are_equal_are_refused(world):
    name, other = "plumless", "buckeroo"  # which CRC-32 does not tell apart
    world.manager.attach(name, [NUMBER], BotLimits(), "cancel", world.now_ns)
    with pytest.raises(RefusedError, match="same mark"):
        world.manager.attach(other, [NUMBER], BotLimits(), "cancel", world.now_ns)


def test_requests_of_a_bot_without_a_lease_are_not_heard(world):
    world.manager.detach("a", world.now_ns)
    world.submit("a", 1)
    assert world.requests == []
    assert world.manager.counters.unheard_requests == 1
    world.manager.detach("a", world.now_ns)
    world.manager.detach("nobody", world.now_ns)
