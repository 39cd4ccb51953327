"""What a user may rely on: a connector that is told to end does, whatever comes at the same moment."""

import asyncio
from types import SimpleNamespace

import pytest

from daemon.connector import reconciling
from daemon.connector.reconciling import ASKED_MAX, QUIET_MAX, Reconciler
from daemon.connector.venue import AnsweredError
from daemon.messages import Holding
from daemon.orders.order import NEVER
from hftd.clock import wall_ns
from hftd.errors import HftdError

S = 1_000_000_000


async def test_a_reconciler_that_is_cancelled_as_the_connection_comes_up_ends():
    orders = SimpleNamespace(reconcile_due_ns=lambda: wall_ns() + 10**18)
    reconciler = Reconciler(SimpleNamespace(), orders, 60.0, 1)
    running = asyncio.create_task(reconciler.run())
    # Until it waits; then both come within one turn of the loop.
    for _ in range(5):
        await asyncio.sleep(0)
    reconciler.on_connection(True)
    reconciler.on_connection(False)
    # The wait is over now, but the task that waited has not gone on yet.
    await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5.0)
    assert done
    assert running.cancelled()


class World:
    """An account with a clock of its own: who asks what, and when."""

    def __init__(self, symbols=(), held=()):
        self.now_ns = 1_000 * S
        self.wanted_ns = NEVER
        self.error = None
        self.refused = set()
        self.payments_error = None
        self.paid = []
        self.asked = []
        self.times = []
        self.given = []
        self.held = dict(held)
        self.ledgers = {
            name: SimpleNamespace(account_lots=0, counted_ns=0, has_holding=True, wallet=None, unsettled_ns=0)
            for name in symbols
        }
        self.store = SimpleNamespace(orders={}, gaps={}, alive={}, ledgers=self.ledgers)
        self.settled_ns = 500 * S
        self.is_settled = True
        self.reconciler = Reconciler(self, self, 60.0, 1)

    # The session.

    async def open_orders(self):
        self.times.append(self.now_ns)
        if self.error is not None:
            raise self.error
        return []

    async def holdings(self):
        return [
            Holding(symbol, lots or 0, 0.0, 0, is_told=lots is not None) for symbol, lots in self.held.items()
        ]

    async def payments(self, since_ns):
        self.paid.append(self.now_ns)
        if self.payments_error is not None:
            raise self.payments_error
        return []

    async def funds(self):
        return None

    async def executions(self, symbol, since_ns, _is_counted):
        self.asked.append((symbol, since_ns))
        if symbol in self.refused:
            raise AnsweredError("refused")
        return []

    # Order management.

    is_counted = None

    def symbols(self):
        return sorted(self.ledgers)

    def executions_since_ns(self, _symbol):
        return self.settled_ns

    def payments_since_ns(self):
        return self.settled_ns

    def on_payments(self, payments, asked_ns, now_ns):
        pass

    def reconcile_due_ns(self):
        return self.wanted_ns

    def reconcile(self, _orders, _executions, _holdings, asked_ns, _now_ns, *, unasked, funds):
        self.given.append(unasked)
        if not unasked:
            self.settled_ns = asked_ns
        return SimpleNamespace(
            missed_executions=0, adopted=(), queried=(), foreign=0, differences=(), is_settled=self.is_settled
        )

    # Time.

    async def live(self, seconds):
        """Let time pass, in steps of a look."""
        end_ns = self.now_ns + int(seconds * S)
        while self.now_ns < end_ns:
            if self.reconciler._is_due():
                await self.reconciler._try()
            self.now_ns += S // 4

    def pauses_s(self):
        return [(after - before) / S for before, after in zip(self.times, self.times[1:], strict=False)]


@pytest.fixture
def world_of(monkeypatch):
    def make(*args, **more):
        world = World(*args, **more)
        monkeypatch.setattr(reconciling, "running_ns", lambda: world.now_ns)
        world.reconciler.on_connection(True)
        return world

    return make


async def test_failed_reconciliations_wait_ever_longer_though_one_is_wanted_all_the_time(world_of):
    world = world_of()
    world.error = HftdError("no")
    world.wanted_ns = 0
    await world.live(300)
    pauses = world.pauses_s()
    assert len(world.times) <= 20
    assert pauses[0] >= 0.5
    assert min(pauses[6:]) >= 15.0
    assert [one.key for one in world.reconciler.warnings()] == ["not_reconciled"]
    world.error = None
    await world.live(60)
    assert list(world.reconciler.warnings()) == []


async def test_one_that_is_wanted_for_another_reason_goes_once(world_of):
    world = world_of()
    world.error = HftdError("no")
    world.wanted_ns = 1_000 * S
    await world.live(100)
    count = len(world.times)
    world.wanted_ns = world.now_ns
    await world.live(3)
    assert len(world.times) == count + 1


async def test_a_ban_is_waited_for(world_of):
    world = world_of()
    world.error = HftdError("banned")
    world.error.wait_s = 600.0
    world.wanted_ns = 0
    await world.live(590)
    assert len(world.times) == 1


async def test_connections_that_come_and_go_are_no_way_around_the_pauses(world_of):
    world = world_of()
    world.error = HftdError("no")
    for _ in range(40):
        await world.live(0.25)
        world.reconciler.on_connection(False)
        world.reconciler.on_connection(True)
    assert len(world.times) <= 11


async def test_one_that_is_wanted_without_end_is_spaced(world_of):
    world = world_of()
    world.wanted_ns = 0
    await world.live(120)
    assert len(world.times) <= 12 + 24 + 24


async def test_an_account_with_many_symbols_costs_no_more_than_so_many_questions(world_of):
    symbols = [f"S{k:03}" for k in range(300)]
    world = world_of(symbols)
    await world.live(1)
    assert len(world.asked) == QUIET_MAX
    # In turn, until each one was asked about.
    await world.live(60 * 300 / QUIET_MAX + 60)
    assert {symbol for symbol, _ in world.asked} == set(symbols)


async def test_symbols_whose_position_differs_are_asked_about_first_and_what_must_wait_is_not_concluded_from(
    world_of,
):
    symbols = [f"S{k:03}" for k in range(300)]
    world = world_of(symbols, held=[(one, 5) for one in symbols[100:200]])
    await world.reconciler._try()
    asked = {symbol for symbol, _ in world.asked}
    assert len(asked) == ASKED_MAX
    assert asked < set(symbols[100:200])
    assert world.given == [frozenset(symbols[100:200]) - asked]
    await world.live(240)
    assert {symbol for symbol, _ in world.asked} >= set(symbols[100:200])
    # Though they differ for ever.
    assert len(world.asked) <= 80 * 4


async def test_what_orders_executed_before_the_start_is_not_settled_until_each_symbol_was_asked_about(
    world_of,
):
    symbols = [f"S{k:03}" for k in range(ASKED_MAX + 5)]
    world = world_of(symbols)
    # All have open orders in the journal; the account's positions tell nothing of fills that have cancelled out.
    world.store.alive = {one: SimpleNamespace(symbol=one) for one in symbols}
    await world.reconciler._try()
    assert world.given == [frozenset(symbols[ASKED_MAX:])]
    await world.live(5)
    assert {symbol for symbol, _ in world.asked} == set(symbols)
    assert all(since_ns == 500 * S for symbol, since_ns in world.asked[: len(symbols)])
    assert world.given[-1] == frozenset()


async def test_what_is_not_settled_yet_is_asked_about_whatever_else_is_known_of_it(world_of):
    world = world_of(["A", "B"])
    world.ledgers["A"].unsettled_ns = 400 * S
    world.refused = {"A"}
    await world.live(5)
    assert all(one == {"A"} for one in world.given)


async def test_a_symbol_whose_position_is_not_told_is_no_more_urgent_than_others(world_of):
    symbols = [f"S{k:03}" for k in range(300)]
    world = world_of(symbols, held=[(one, None) for one in symbols[100:200]])
    for one in symbols[100:200]:
        world.ledgers[one].account_lots = 5
        world.ledgers[one].has_holding = False
    await world.reconciler._try()
    assert len(world.asked) == QUIET_MAX
    assert world.given == [frozenset()]


async def test_a_position_that_the_exchange_says_nothing_of_is_a_warning_while_there_is_one_here(world_of):
    world = world_of(["A", "B"], held=[("A", None), ("B", None)])
    world.ledgers["A"].account_lots = 3
    await world.reconciler._once()
    assert [(one.key, one.symbol) for one in world.reconciler.warnings()] == [("position_not_told", "A")]
    world.held = {"A": 3, "B": 0}
    await world.reconciler._once()
    assert list(world.reconciler.warnings()) == []


async def test_one_symbol_that_can_not_be_asked_about_does_not_hold_up_the_others(world_of):
    world = world_of(["A", "B"], held=[("A", 5), ("B", 5)])
    world.refused = {"A"}
    await world.live(60)
    assert all(one == {"A"} for one in world.given)
    questions = [symbol for symbol, _ in world.asked]
    assert questions.count("A") <= 8
    assert [one.key for one in world.reconciler.warnings()] == ["executions_not_fetched"]
    world.refused = set()
    await world.live(300)
    assert world.given[-1] == frozenset()
    assert list(world.reconciler.warnings()) == []


async def test_fills_are_asked_for_from_when_that_symbol_was_asked_about_last(world_of):
    world = world_of(["A"], held=[("A", 5)])
    await world.reconciler._try()
    first_ns = world.now_ns
    world.held = {}
    world.ledgers["A"].counted_ns = -1
    world.ledgers.update(
        {
            f"B{k}": SimpleNamespace(account_lots=0, counted_ns=-1, unsettled_ns=0)
            for k in range(QUIET_MAX + 1)
        }
    )
    for _ in range(3):
        world.now_ns += 60 * S
        await world.reconciler._try()
    world.held = {"A": 5}
    await world.reconciler._try()
    asked = [since_ns for symbol, since_ns in world.asked if symbol == "A"]
    assert asked[0] == 500 * S
    assert all(since_ns >= first_ns for since_ns in asked[1:])
    assert asked[-1] <= world.now_ns


async def test_fills_that_were_fetched_but_not_taken_over_are_fetched_again(world_of):
    world = world_of(["A", "B"], {"A": 5, "B": 5})
    await world.reconciler._try()
    since_ns = world.settled_ns
    fetch = world.executions

    async def fails_for_b(symbol, *args):
        if symbol == "B":
            raise HftdError("torn")
        return await fetch(symbol, *args)

    world.executions = fails_for_b
    world.now_ns += 600 * S
    await world.reconciler._try()
    world.executions = fetch
    world.asked.clear()
    world.now_ns += 600 * S
    await world.reconciler._try()
    assert dict(world.asked)["A"] <= since_ns


async def test_a_position_that_is_heard_of_for_the_first_time_has_its_fills_asked_for(world_of):
    world = world_of(["AUSDT", "BUSDT"], {"AUSDT": 5, "BUSDT": 5})
    world.symbols = list
    world.ledgers["AUSDT"].has_holding = False
    world.reconciler.on_connection(True)
    await world.live(1)
    assert [symbol for symbol, _ in world.asked] == ["AUSDT"]


async def test_payments_that_can_not_be_asked_for_hold_nothing_else_up_and_are_told(world_of):
    world = world_of(["A"])
    world.payments_error = AnsweredError("no such endpoint")
    await world.live(60.0 * 4)
    assert world.reconciler.failures == 0
    assert len(world.given) >= 4, "the account is compared all the same"
    assert len(world.paid) >= 3
    assert [one.key for one in world.reconciler.warnings()] == ["payments_not_fetched"]
    world.payments_error = None
    await world.live(61.0)
    assert list(world.reconciler.warnings()) == []
    asked = len(world.paid)
    await world.live(500.0)
    assert len(world.paid) == asked, "every ten minutes"
    world.reconciler.on_connection(True)
    await world.live(2.0)
    assert len(world.paid) == asked + 1, "and after each connect"
