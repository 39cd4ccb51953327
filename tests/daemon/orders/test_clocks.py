"""A clock of ours that is off, or was set between two lives, loses no fill and decides nothing early."""

from pathlib import Path

import pytest

from daemon.messages import Command
from daemon.orders.commands import GRACE_NS
from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits
from daemon.orders.manager import OrderManager
from daemon.orders.order import Order
from tests.daemon.orders.model import INSTRUMENT, SECOND
from tests.daemon.orders.world import BEGIN_NS, World


class OffWorld(World):
    """A world whose exchange is `ahead_ns` behind our clock, as the offset says once it is known."""

    def __init__(self, folder: Path | None, ahead_ns: int, *, is_known: bool = True) -> None:
        self.ahead_ns = ahead_ns
        self.is_known = is_known
        super().__init__(folder)
        self.exchange.now_ns = self.now_ns - ahead_ns

    def start(self, **options: object) -> OrderManager:
        manager = super().start(**options)
        manager.store.to_exchange = lambda now_ns: now_ns - (self.ahead_ns if self.is_known else 0)
        return manager

    def send(self, command: Command) -> None:
        super().send(command)
        # A request is stamped with the exchange's time.
        self.requests[-1] = (command, self.now_ns - self.ahead_ns, self.lives)

    def advance(self, ns: int) -> None:
        self.now_ns += ns
        self.exchange.now_ns = self.now_ns - self.ahead_ns


@pytest.mark.parametrize("ahead_s", [-3600, -61, 0, 61, 3600])
def test_a_fill_whose_event_is_lost_is_found_however_far_our_clock_is_off(ahead_s):
    world = OffWorld(None, ahead_s * SECOND)
    for _ in range(3):
        world.advance(5 * SECOND)
        world.reconcile()
    assert world.submit("a", 1)
    world.flush()
    world.exchange.fill(world.exchange.open_orders()[0], 10)
    world.exchange.events.clear()
    world.settle()
    assert world.bots["a"].state.position == pytest.approx(0.01)
    assert world.manager.counters.written_off_lots == 0
    assert abs(world.manager.store.settled_ns - world.exchange.now_ns) < 2 * SECOND


def test_up_to_when_executions_are_counted_is_set_anew_once_the_offset_is_known():
    world = OffWorld(None, 300 * SECOND, is_known=False)
    store = world.manager.store
    assert store.settled_ns == BEGIN_NS
    world.is_known = True
    world.manager.on_connection(False, world.now_ns)
    world.manager.on_connection(True, world.now_ns)
    assert store.settled_ns == BEGIN_NS - 300 * SECOND


def test_a_journal_of_a_clock_that_was_ahead_does_not_hide_what_is_executed_now(tmp_path):
    world = OffWorld(tmp_path, 600 * SECOND, is_known=False)
    world.advance(SECOND)
    world.reconcile()
    world.is_known = True
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    assert world.manager.store.settled_ns <= world.exchange.now_ns


@pytest.mark.parametrize("step_s", [-3600, 3600])
def test_no_time_of_grace_has_passed_and_none_lies_ahead_after_a_restart_with_another_clock(tmp_path, step_s):
    world = World(tmp_path)
    assert world.submit("a", 1)
    sent_ns = world.now_ns
    world.crash()
    world.requests.clear()
    now_ns = sent_ns + step_s * SECOND
    world.manager.on_connection(True, now_ns)
    (order,) = world.manager.store.alive.values()
    assert isinstance(order, Order)
    assert order.submitted_ns <= now_ns
    assert now_ns - max(order.submitted_ns, order.seen_ns) < GRACE_NS


def test_what_is_late_in_the_journal_is_put_into_our_clock_when_its_instrument_comes_late(tmp_path):
    world = World(tmp_path)
    assert world.submit("a", 1)
    world.flush()
    journal = world.manager.store.journal
    assert journal is not None
    journal.close()
    manager = OrderManager(
        prefix="t",
        run=2,
        limits=AccountLimits(),
        journal=Journal.open(tmp_path / "orders.journal"),
        emit=lambda _bot, _update: None,
        send=lambda _command: None,
    )
    early_ns = world.now_ns - 3600 * SECOND
    manager.on_connection(True, early_ns)
    manager.add_instrument(INSTRUMENT)
    (order,) = manager.store.alive.values()
    assert max(order.submitted_ns, order.seen_ns, order.terms_ns) <= early_ns
