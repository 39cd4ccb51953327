"""Exchanges that tell no executions with ids, but what an order has executed in all: quantity, average price, fee."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import BY_QUERY, BY_STREAM, Execution, Report, Totals
from hftd.constants import FILLED, IOC, NEW, PARTIALLY_FILLED
from tests.daemon.orders.model import FEE_A_LOT, SYMBOL, Exchange
from tests.daemon.orders.seeds import run
from tests.daemon.orders.test_life_cycles import ALL, PART, RESTS, last, place, told
from tests.daemon.orders.world import LOT, SECOND, World


class TotalsExchange(Exchange):
    """It tells totals in place of executions."""

    def report(self, order, source, execution=None, has_fee=True) -> Report:
        value = sum(fill.qty_lots * fill.price_tick / 10 for fill in order.fills)
        totals = Totals(
            avg_price=value / order.cum_lots if order.cum_lots else 0.0,
            fee=FEE_A_LOT * order.cum_lots,
            fee_asset="USDT",
            is_maker=True,
        )
        return msgspec.structs.replace(super().report(order, source), totals=totals)

    def fill(self, order, lots, *, is_maker=True) -> None:
        events, self.events = self.events, []
        super().fill(order, lots, is_maker=is_maker)
        # The short form is not told.
        self.events = [*events, self.events[-1]]

    def executions(self, since_ns) -> list[Execution]:
        return []


class TotalsWorld(World):
    exchange_type = TotalsExchange
    by_totals = True


def test_however_totals_are_told_all_agree_in_the_end():
    for seed in range(200):
        run(seed, 80, loses_power=False, world_type=TotalsWorld)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_however_totals_are_told_all_agree_in_the_end_in_thousands_of_worlds():
    for seed in range(200, 6500):
        run(seed, 120, loses_power=False, world_type=TotalsWorld)


@pytest.fixture
def telling() -> World:
    """One bot at such an exchange."""
    return TotalsWorld()


def says(world: World, cum_lots: int, avg_price: float, fee: float = 0.0, later_ns: int = 0) -> Report:
    """What the exchange says of the one order."""
    order = next(iter(world.exchange.orders.values()))
    return msgspec.structs.replace(
        world.exchange.report(order, BY_STREAM),
        cum_lots=cum_lots,
        status=NEW if not cum_lots else PARTIALLY_FILLED if cum_lots < order.qty_lots else FILLED,
        exch_ns=world.exchange.exch_ns + later_ns,
        totals=Totals(avg_price=avg_price, fee=fee, fee_asset="USDT"),
    )


def hear(world: World, *reports: Report) -> None:
    for report in reports:
        world.manager.on_report(report, world.now_ns)


def book(world: World):
    return world.manager.store.ledgers[SYMBOL].book("a")


def test_executions_are_the_differences_of_totals(telling):
    world = telling
    place(world, lots=4, price_tick=1010)
    hear(world, says(world, 1, 100.0, 0.25, 1))
    assert (last(world).exec_qty, last(world).exec_price_tick, last(world).executed) == (LOT, 1000, 1)
    hear(world, says(world, 3, 100.2, 0.75, 2))
    assert last(world).exec_qty == pytest.approx(2 * LOT)
    assert last(world).exec_price_tick == 1003, "(3 * 100.2 - 100.0) / 2"
    assert last(world).leaves_qty == pytest.approx(LOT)
    hear(world, says(world, 4, 100.4, 1.0, 3))
    assert told(world) == [RESTS, PART, PART, ALL]
    assert (book(world).position_lots, book(world).num_trades) == (4, 3)
    assert book(world).balance == pytest.approx(-4 * LOT * 100.4)
    assert book(world).fee == pytest.approx(1.0)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_totals_that_come_again_or_out_of_order_count_once(order):
    world = TotalsWorld()
    place(world, lots=4)
    known = [says(world, lots, 100.0 + lots / 10, lots * 0.25, lots) for lots in range(5)]
    hear(world, *(known[lots] for lots in order))
    most = max(order)
    assert book(world).position_lots == most
    assert book(world).volume_lots == most
    assert book(world).fee == pytest.approx(most * 0.25)
    assert book(world).balance == pytest.approx(-most * LOT * (100.0 + most / 10))
    assert sum(update[2] for update in told(world)) == book(world).num_trades <= most
    assert world.manager.store.gaps == {}


def test_a_fee_that_is_told_after_its_execution_is_counted_once(telling):
    world = telling
    place(world, lots=4)
    hear(world, says(world, 2, 100.0, 0.0, 1))
    assert book(world).fee == 0.0
    hear(world, *[says(world, 2, 100.0, 0.5, 2)] * 2)
    assert (book(world).fee, book(world).num_trades) == (0.5, 1)
    assert world.bots["a"].state.fee == 0.5
    hear(world, says(world, 2, 100.0, 0.0, 1))
    assert book(world).fee == 0.5, "one of before the fee was known"
    hear(world, says(world, 4, 100.0, 1.0, 3))
    assert book(world).fee == 1.0


def test_a_rebate_lowers_the_fees(telling):
    world = telling
    place(world, lots=4)
    hear(world, says(world, 1, 100.0, -0.25, 1), says(world, 2, 100.0, -0.5, 2))
    assert book(world).fee == -0.5


def test_what_an_order_executed_while_nobody_listened_is_learned_by_asking(telling):
    world = telling
    world.submit("a", 1, lots=4, time_in_force=IOC)
    world.arrive(take_lots=3, reply="unknown")
    world.exchange.events.clear()
    world.settle()
    assert (book(world).position_lots, book(world).num_trades) == (3, 1)
    assert world.manager.counters.differences == 0
    world.check()


def test_a_position_is_not_compared_before_it_is_known_what_its_orders_executed(telling):
    world = telling
    place(world, lots=4)
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.exchange.events.clear()
    for _ in range(4):
        # The order is not listed any more; the question about it gets no answer.
        world.advance(3 * SECOND)
        assert not world.reconcile().differences
    world.settle()
    assert world.manager.counters.differences == world.manager.counters.forced_closes == 0
    assert book(world).position_lots == 4
    world.check()


def test_a_restart_goes_on_from_what_was_counted(tmp_path):
    world = TotalsWorld(tmp_path)
    place(world, lots=4)
    hear(world, says(world, 1, 100.0, 0.25, 1))
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    world.attach("a")
    hear(world, says(world, 1, 100.0, 0.25, 1), says(world, 3, 100.2, 0.75, 2))
    assert (book(world).position_lots, book(world).num_trades) == (3, 2)
    assert book(world).balance == pytest.approx(-3 * LOT * 100.2)
    assert book(world).fee == pytest.approx(0.75)


def test_an_order_that_is_adopted_counts_only_what_it_executes_from_then_on(tmp_path):
    world = TotalsWorld(tmp_path)
    place(world, lots=4)
    world.exchange.fill(world.exchange.open_orders()[0], 1)
    world.flush()
    world.manager.store.journal.close()
    world.path.unlink()
    world.manager = world.start()
    world.bots["a"].forgets = True
    world.manager.on_connection(True, world.now_ns)
    world.attach("a")
    world.reconcile()
    assert world.manager.counters.adopted == 1
    assert book(world).position_lots == 0
    world.exchange.fill(world.exchange.open_orders()[0], 2)
    world.flush()
    assert (book(world).position_lots, book(world).fee) == (2, 0.5)
    (order,) = world.manager.store.alive.values()
    assert (order.cum_lots, order.gap_lots, order.leaves_lots) == (3, 0, 1)


def test_totals_of_an_order_that_is_not_known_are_nobodys(telling):
    world = telling
    place(world, lots=4)
    stranger = msgspec.structs.replace(says(world, 2, 100.0, 0.5, 1), client_id="somebody", source=BY_QUERY)
    hear(world, stranger)
    assert book(world).position_lots == 0
    assert world.manager.counters.foreign_reports == 1
