"""An exchange where what takes the place of a modified order has another client id, as well as another exchange id."""

import msgspec
import pytest

from daemon.messages import BY_QUERY, CONFIRMED, REFUSED, Modify, Outcome, Query
from daemon.orders.replacing import GRACE_NS
from daemon.orders.state import REMEMBER_NS
from hftd.constants import CANCELED, REASON_MARGIN, REASON_UNKNOWN_ORDER
from tests.daemon.orders.model import INSTRUMENT
from tests.daemon.orders.seeds import run
from tests.daemon.orders.test_life_cycles import GONE, NO, RESTS, last, place, told
from tests.daemon.orders.test_replacing import ReplacingExchange
from tests.daemon.orders.world import LOT, SECOND, World


class RenamingExchange(ReplacingExchange):
    """It knows an order by the client id that it has now; what was replaced ended under the one before."""

    def __init__(self, names_executions: bool = False) -> None:
        super().__init__(names_executions)
        self.now_called: dict[str, str] = {}
        self.ended: dict[str, object] = {}
        self.refuses_new = False

    def named(self, client_id):
        while client_id in self.now_called:
            client_id = self.now_called[client_id]
        return self.orders.get(client_id)

    def handle(self, command, sent_ns) -> Outcome:
        if isinstance(command, Query) and command.client_id in self.ended:
            report = msgspec.structs.replace(self.ended[command.client_id], source=BY_QUERY)
            return Outcome(command.request, CONFIRMED, report=report)
        return super().handle(command, sent_ns)

    def _amend(self, command, order) -> Outcome:
        if command.is_reduction:
            assert not command.new_client_id
            return super()._amend(command, order)
        old = order.client_id
        assert command.new_client_id not in (old, "")
        if self.refuses_new:
            self._end(order, CANCELED)
            return Outcome(command.request, REFUSED, REASON_MARGIN, exch_ns=self.exch_ns)
        events, self.events = self.events, []
        outcome = super()._amend(command, order)
        if outcome.former is not None:
            self.ended[old] = outcome.former
        if outcome.kind == CONFIRMED:
            order.client_id = command.new_client_id
            self.orders[order.client_id] = self.orders.pop(old)
            self.now_called[old] = order.client_id
            self.events[-1] = msgspec.structs.replace(self.events[-1], client_id=order.client_id)
            outcome = msgspec.structs.replace(
                outcome, report=msgspec.structs.replace(outcome.report, client_id=order.client_id)
            )
        elif outcome.former is not None:
            del self.ended[old]
        self.events = [*events, *self.events]
        return outcome


class RenamingWorld(World):
    exchange_type = RenamingExchange
    instrument = msgspec.structs.replace(INSTRUMENT, replaces=True, renames=True)


def test_however_it_is_told_a_renamed_order_is_one_order():
    for seed in range(200):
        run(seed, 80, loses_power=False, world_type=RenamingWorld)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_however_it_is_told_a_renamed_order_is_one_order_in_thousands_of_worlds():
    for seed in range(200, 4000):
        run(seed, 200, loses_power=False, world_type=RenamingWorld)


@pytest.fixture
def renaming() -> World:
    return RenamingWorld()


def only(world):
    (order,) = world.manager.store.alive.values()
    return order


def test_the_bot_sees_one_order_and_later_commands_name_the_new_one(renaming):
    world = renaming
    place(world, lots=4)
    first = only(world)
    world.modify("a", 1, 1001, 6)
    sent = world.commands[-1]
    assert isinstance(sent, Modify) and sent.client_id == first.client_id != sent.new_client_id
    assert world.manager.is_ours(sent.new_client_id)
    world.flush()
    assert only(world) is first and first.name == sent.new_client_id
    assert told(world) == [RESTS, RESTS]
    assert (last(world).qty, last(world).price_tick) == (6 * LOT, 1001)
    world.modify("a", 1, 1002, 6)
    assert world.commands[-1].client_id == sent.new_client_id
    world.flush()
    world.cancel("a", 1)
    world.flush()
    assert told(world)[-1] == GONE
    world.check()


def test_cancel_done_but_new_refused_ends_the_order(renaming):
    world = renaming
    place(world, lots=4)
    world.exchange.refuses_new = True
    world.modify("a", 1, 1001, 6)
    world.arrive()
    world.event()
    assert world.manager.store.alive, "another one may be taking its place"
    world.reply()
    world.settle()
    assert told(world) == [RESTS, NO, GONE]
    world.check()


@pytest.mark.parametrize("refuses_new", [False, True])
def test_a_lost_reply_is_asked_for_by_both_client_ids_at_their_pace(renaming, refuses_new):
    world = renaming
    place(world, lots=4)
    world.exchange.refuses_new = refuses_new
    world.modify("a", 1, 1001, 6)
    sent = world.commands[-1]
    world.arrive(reply="unknown")
    world.exchange.events.clear()
    world.reply()
    begin_ns = world.now_ns
    while refuses_new and world.manager.store.alive:
        world.flush()
        world.advance(SECOND // 4)
        world.tick()
        assert world.now_ns - begin_ns < 3 * GRACE_NS
    world.settle()
    asked = [command.client_id for command in world.commands if isinstance(command, Query)]
    assert asked[0] == sent.new_client_id
    assert len(asked) < 20, "not without a pause"
    if refuses_new:
        assert set(asked) == {sent.client_id, sent.new_client_id}
        assert told(world) == [RESTS, NO, GONE]
    else:
        assert told(world) == [RESTS, RESTS]
        assert only(world).name == sent.new_client_id
    world.check()


def test_a_confirmation_without_a_report_is_asked_about(renaming):
    world = renaming
    place(world, lots=4)
    world.modify("a", 1, 1001, 6)
    world.arrive()
    world.exchange.events.clear()
    request = world.replies.pop().request
    world.manager.on_outcome(Outcome(request, CONFIRMED), world.now_ns)
    assert told(world) == [RESTS], "which order there is now is not known"
    world.settle()
    assert told(world) == [RESTS, RESTS]
    world.check()


def test_a_restart_finds_what_took_the_place_by_its_own_client_id(tmp_path):
    world = RenamingWorld(tmp_path)
    place(world, lots=4)
    world.modify("a", 1, 1001, 6)
    world.arrive()
    for _ in range(2):
        world.crash()
        world.manager.on_connection(True, world.now_ns)
        world.attach("a")
        world.settle()
        assert only(world).name == world.exchange.open_orders()[0].client_id
        assert world.manager.counters.adopted == 0
        world.check()


def test_a_cancel_is_sent_to_both_until_one_is_found(renaming):
    world = renaming
    place(world, lots=4)
    world.modify("a", 1, 1001, 6)
    world.lose_request(is_said=False)
    world.manager.halt("a test", world.now_ns)
    outcome = world.arrive()
    assert (outcome.kind, outcome.reason) == (REFUSED, REASON_UNKNOWN_ORDER), "the new one is not there"
    world.settle()
    assert not world.exchange.open_orders()
    world.check()


def test_ids_of_forgotten_orders_are_forgotten(renaming):
    world = renaming
    for _ in range(3):
        place(world, lots=4)
        world.modify("a", 1, 1001, 6)
        world.flush()
        world.cancel("a", 1)
        world.flush()
    store = world.manager.store
    assert len(store.other_ids) == 3
    world.advance(REMEMBER_NS + SECOND)
    world.tick()
    assert not store.orders and not store.other_ids
