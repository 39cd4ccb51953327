"""Random requests, and everything that is said about them delivered in any order, twice, late or never: at the end
order management, bots and exchange agree.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hftd.constants import CANCELED, FOK, GTC, GTX, IOC, LIMIT, MARKET
from tests.daemon.orders.world import MS, SECOND, Killed, World

PICK = st.integers(0, 5)
IDS = st.integers(1, 4)
BOTS = ("a", "b")


class Interleavings(RuleBasedStateMachine):
    """One account with two bots; its pipes reorder, repeat and lose."""

    loses_power = False
    world_type = World

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.world = self.world_type(self.folder, names_executions=self.loses_power, bots=BOTS)
        self.was_torn = False

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.end()
        finally:
            if hasattr(self, "folder"):
                self.world.manager.store.journal.close()
                shutil.rmtree(self.folder)

    def end(self) -> None:
        self.world.die_in_send = False
        self.world.settle()
        self.world.check(is_exact=not self.was_torn)

    def guard(self, call, *arguments, **options) -> None:
        """Do it; if the process is killed in it, go on with a new one."""
        try:
            call(*arguments, **options)
        except Killed:
            self.restart(0)

    def restart(self, torn_bytes: int) -> None:
        world = self.world
        world.die_in_send = False
        world.crash(torn_bytes)
        self.guard(world.manager.on_connection, True, world.now_ns)
        for name in BOTS:
            self.guard(world.attach, name)

    # --- Bots ---------------------------------------------------------------------------------------------------

    @rule(
        bot=st.sampled_from(BOTS),
        order_id=IDS,
        side=st.sampled_from([1, -1]),
        lots=st.integers(1, 5),
        tick=st.integers(1000, 1003),
        kind=st.sampled_from(
            [(LIMIT, GTC), (LIMIT, GTC), (LIMIT, GTX), (LIMIT, IOC), (LIMIT, FOK), (MARKET, IOC)]
        ),
    )
    def submit(self, bot, order_id, side, lots, tick, kind) -> None:
        self.guard(
            self.world.submit, bot, order_id, side, tick, lots, order_type=kind[0], time_in_force=kind[1]
        )

    @rule(bot=st.sampled_from(BOTS), order_id=IDS, lots=st.integers(1, 6), tick=st.integers(1000, 1003))
    def modify(self, bot, order_id, lots, tick) -> None:
        self.guard(self.world.modify, bot, order_id, tick, lots)

    @rule(bot=st.sampled_from(BOTS), order_id=IDS)
    def cancel(self, bot, order_id) -> None:
        self.guard(self.world.cancel, bot, order_id)

    @rule(bot=st.sampled_from(BOTS))
    def bot_restarts(self, bot) -> None:
        world = self.world
        self.guard(world.manager.detach, bot, world.now_ns)
        if world.manager.store.bots[bot].is_attached:
            return
        world.bots[bot].orders.clear()
        self.guard(world.attach, bot)

    # --- The exchange and the pipes -----------------------------------------------------------------------------

    @precondition(lambda self: self.world.requests)
    @rule(
        i=PICK,
        crosses=st.booleans(),
        take=st.integers(0, 5),
        reply=st.sampled_from(["given", "given", "given", "unknown", "lost"]),
    )
    def arrive(self, i, crosses, take, reply) -> None:
        i %= len(self.world.requests)
        self.world.arrive(i, crosses=crosses, take_lots=take, reply=reply)

    @precondition(lambda self: self.world.requests)
    @rule(i=PICK, is_said=st.booleans())
    def lose_request(self, i, is_said) -> None:
        self.world.lose_request(i % len(self.world.requests), is_said=is_said)

    @precondition(lambda self: self.world.replies)
    @rule(i=PICK)
    def reply(self, i) -> None:
        self.guard(self.world.reply, i % len(self.world.replies))

    @precondition(lambda self: self.world.exchange.events)
    @rule(i=PICK, keep=st.booleans())
    def event(self, i, keep) -> None:
        self.guard(self.world.event, i % len(self.world.exchange.events), keep=keep)

    @precondition(lambda self: self.world.exchange.events)
    @rule(i=PICK)
    def lose_event(self, i) -> None:
        self.world.exchange.events.pop(i % len(self.world.exchange.events))

    @precondition(lambda self: self.world.exchange.open_orders())
    @rule(i=PICK, lots=st.integers(1, 5))
    def fill(self, i, lots) -> None:
        orders = self.world.exchange.open_orders()
        self.world.exchange.fill(orders[i % len(orders)], lots)

    @precondition(lambda self: self.world.exchange.open_orders())
    @rule(i=PICK)
    def somebody_cancels(self, i) -> None:
        orders = self.world.exchange.open_orders()
        self.world.exchange._end(orders[i % len(orders)], CANCELED)

    # --- Time, connections, processes ---------------------------------------------------------------------------

    @rule(ns=st.sampled_from([0, 1, MS // 2, MS, 300 * MS, SECOND, 3 * SECOND, 6 * SECOND, 11 * SECOND]))
    def time_passes(self, ns) -> None:
        self.world.advance(ns)
        self.guard(self.world.tick)

    @rule()
    def ask_exchange(self) -> None:
        if len(self.world.snapshots) < 3:
            self.world.ask_exchange()

    @precondition(lambda self: self.world.snapshots)
    @rule(i=PICK)
    def answer(self, i) -> None:
        self.guard(self.world.answer, i % len(self.world.snapshots))

    @rule(is_up=st.booleans())
    def connection(self, is_up) -> None:
        self.guard(self.world.manager.on_connection, is_up, self.world.now_ns)

    @rule()
    def halt(self) -> None:
        self.guard(self.world.manager.halt, "a test", self.world.now_ns)
        self.guard(self.world.manager.resume, self.world.now_ns)

    @rule()
    def kill(self) -> None:
        self.restart(0)

    @rule()
    def kill_while_sending(self) -> None:
        self.world.die_in_send = True


class PowerLosses(Interleavings):
    """As above; a crash may also lose the end of the journal."""

    loses_power = True

    @rule(torn_bytes=st.integers(1, 900))
    def lose_power(self, torn_bytes) -> None:
        self.was_torn = True
        self.restart(torn_bytes)


QUICK = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("machine", [Interleavings, PowerLosses])
def test_after_any_interleaving_manager_bots_and_exchange_agree(machine):
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("machine", [Interleavings, PowerLosses])
def test_after_very_many_interleavings_manager_bots_and_exchange_agree(machine):
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=200, stateful_step_count=60))


def test_busy_random_worlds_agree_in_the_end():
    from tests.daemon.orders.seeds import run

    for seed in range(400):
        run(seed, 80, loses_power=bool(seed % 2))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", range(8))
def test_thousands_of_busy_random_worlds_agree_in_the_end(block):
    from tests.daemon.orders.seeds import run

    for seed in range(1000 * block, 1000 * (block + 1)):
        run(seed, 200, loses_power=bool(seed % 2))
