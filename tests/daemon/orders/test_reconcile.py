import msgspec
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import (
    BY_STREAM,
    CONFIRMED,
    SET_ASIDE,
    UNTOLD,
    Execution,
    Holding,
    Outcome,
    Query,
    Report,
)
from daemon.orders.reconcile import DIFFERS_NS
from hftd.constants import BUY, CANCELED, NEW, PARTIALLY_FILLED
from tests.daemon.orders.model import INSTRUMENT, SYMBOL, TrueOrder
from tests.daemon.orders.test_life_cycles import ALL, GONE, PART, RESTS, place, told
from tests.daemon.orders.world import BEGIN_NS, SECOND, World


def foreign(world: World, client_id: str = "web_1", qty: int = 5) -> TrueOrder:
    order = TrueOrder(client_id, f"x{client_id}", SYMBOL, BUY, 0, 0, 990, qty, exch_ns=world.exchange.exch_ns)
    world.exchange.orders[client_id] = order
    return order


def test_what_was_missed_is_told_as_if_it_had_come_by_itself(world):
    place(world)
    order = world.exchange.open_orders()[0]
    world.exchange.fill(order, 3)
    world.exchange.fill(order, 7)
    world.exchange.events.clear()
    world.advance(SECOND)
    result = world.reconcile()
    assert result.missed_executions == 2
    world.flush()
    assert told(world) == [RESTS, PART, ALL]
    assert world.reconcile().is_settled
    world.check()


def test_a_cancellation_that_was_missed_is_found_by_a_query(world):
    place(world)
    world.exchange._end(world.exchange.open_orders()[0], CANCELED)
    world.exchange.events.clear()
    world.advance(SECOND)
    result = world.reconcile()
    assert len(result.queried) == 1
    assert not result.is_settled
    assert told(world) == [RESTS], "that it is not listed proves nothing"
    world.flush()
    assert told(world) == [RESTS, GONE]
    assert world.reconcile().is_settled


def test_an_order_sent_after_the_list_was_asked_for_is_not_missed_in_it(world):
    world.ask_exchange()
    world.advance(1)
    world.submit("a", 1)
    world.flush()
    queries = sum(isinstance(one, Query) for one in world.commands)
    assert world.answer().queried == ()
    assert sum(isinstance(one, Query) for one in world.commands) == queries
    world.check()


def test_orders_that_are_not_ours_are_left_alone_and_counted(world):
    order = foreign(world)
    world.manager.on_report(world.exchange.report(order, BY_STREAM), world.now_ns)
    result = world.reconcile()
    assert result.foreign == 1
    assert result.adopted == ()
    world.advance(60 * SECOND)
    world.tick()
    world.manager.halt("all of it", world.now_ns)
    world.flush()
    assert order.is_open
    assert world.manager.snapshot(world.now_ns).foreign_orders == 1


def test_executions_that_are_not_ours_change_the_account_and_no_bot(world):
    order = foreign(world)
    world.exchange.fill(order, 5)
    world.flush()
    assert world.manager.store.ledgers[SYMBOL].account_lots == 5
    assert world.manager.store.ledgers[SYMBOL].other_lots == 5
    assert world.bots["a"].state.position == 0
    assert world.reconcile().differences == ()


def lost(world: World, *, bots: tuple[str, ...] = ("a",)) -> World:
    """The connector's successor, whose journal is gone."""
    successor = World(bots=(), names_executions=world.exchange.names_executions)
    successor.now_ns = world.now_ns
    successor.exchange = world.exchange
    successor.bots = world.bots
    successor.run = world.run + 5
    successor.manager = successor.start()
    successor.exchange.events.clear()
    successor.advance(1)
    successor.manager.on_connection(True, successor.now_ns)
    for name in bots:
        successor.bots[name].orders.clear()
        successor.attach(name)
    return successor


def test_an_order_of_ours_that_no_journal_knows_is_adopted_for_its_bot(world):
    place(world)
    world.exchange.fill(world.exchange.open_orders()[0], 3)
    successor = lost(world)
    world.bots["a"].updates.clear()
    result = successor.reconcile()
    assert len(result.adopted) == 1
    assert world.bots["a"].orders[1].status in (NEW, PARTIALLY_FILLED)
    assert world.bots["a"].orders[1].leaves_qty == 0.007
    successor.cancel("a", 1)
    successor.flush()
    assert world.exchange.open_orders() == []
    assert told(successor)[-1] == GONE


def test_an_adopted_order_whose_bot_does_not_come_is_cancelled(world):
    place(world)
    successor = lost(world, bots=())
    successor.reconcile()
    assert len(world.exchange.open_orders()) == 1
    successor.settle()
    assert world.exchange.open_orders() == []


def test_an_adopted_order_waits_for_its_bot_and_is_told_to_it(world):
    place(world)
    successor = lost(world, bots=())
    successor.reconcile()
    successor.advance(SECOND)
    world.bots["a"].orders.clear()
    successor.attach("a")
    assert world.bots["a"].orders[1].status == NEW
    successor.settle()
    assert len(world.exchange.open_orders()) == 1
    successor.cancel("a", 1)
    successor.settle()
    assert world.exchange.open_orders() == []
    successor.check(is_exact=False)


def test_an_order_that_is_adopted_does_not_take_the_id_of_a_younger_one(world):
    place(world)
    successor = lost(world)
    successor.submit("a", 1, price_tick=998)
    successor.flush()
    older, _ = world.exchange.open_orders()
    assert len(successor.reconcile().adopted) == 1
    successor.cancel("a", 1)
    successor.flush()
    assert world.exchange.open_orders() == [older]
    # The other one ends with the bot.
    successor.manager.detach("a", successor.now_ns)
    successor.settle()
    assert world.exchange.open_orders() == []


def test_a_fill_of_an_order_that_no_journal_knows_is_its_bots(world):
    place(world, lots=4)
    successor = lost(world)
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    successor.flush()
    assert world.bots["a"].state.position == 0.004
    successor.settle()
    successor.check(is_exact=False)


def test_executions_that_tell_no_client_id_wait_until_the_order_is_known(world):
    world.submit("a", 1, lots=4)
    world.arrive(reply="unknown")
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.exchange.events.clear()
    world.advance(1)
    result = world.reconcile()
    assert not result.is_settled
    assert world.manager.store.ledgers[SYMBOL].other_lots == 0, "not taken for somebody else's"
    world.settle()
    assert world.bots["a"].state.position == 0.004
    world.check()


def test_an_execution_whose_order_the_exchange_does_not_find_yet_is_nobodys_until_it_does(world):
    world.reconcile()
    ids = world.manager.store.ids
    client_id = ids.make("a", 3)
    execution = Execution(
        symbol=SYMBOL,
        trade_id="77",
        client_id=UNTOLD,
        exch_order_id="x77",
        side=BUY,
        price_tick=1000,
        qty_lots=4,
        is_maker=True,
        fee=0.01,
        fee_asset="USDT",
        exch_ns=world.exchange.exch_ns,
    )
    world.exchange.position_lots = 4
    ledger = world.manager.store.ledgers[SYMBOL]
    for known, position, others in ((UNTOLD, 0, 0), (client_id, 4, 0)):
        world.advance(SECOND)
        asked_ns = world.now_ns
        one = msgspec.structs.replace(execution, client_id=known)
        world.manager.reconcile([], [one], world.exchange.holdings(), asked_ns, world.now_ns + 1)
        assert ledger.book("a").position_lots == position
        assert ledger.other_lots == others


def test_executions_that_are_not_to_be_had_are_written_off(world):
    place(world, lots=4)
    world.reconcile()
    order = world.exchange.open_orders()[0]
    world.exchange.fill(order, 4)
    world.exchange.events.clear()
    world.exchange.trades.clear()
    for _ in range(10):
        world.advance(SECOND)
        world.tick()
        world.reconcile()
        world.flush()
    assert world.manager.counters.written_off_lots == 4
    assert world.bots["a"].orders[1].is_inactive
    assert not world.manager.store.alive
    ledger = world.manager.store.ledgers[SYMBOL]
    assert ledger.account_lots == 4, "the position is the exchange's"
    assert ledger.other_lots == 4
    assert world.manager.counters.differences == 1


def missed_while_set_aside(world):
    """An order that filled, while what the exchange says of the instrument can't all be taken over."""
    place(world, lots=4)
    world.reconcile()
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.exchange.events.clear()
    aside = msgspec.structs.replace(
        INSTRUMENT, is_trading=False, trouble=SET_ASIDE, why="a fill is on no lot"
    )
    world.manager.on_instruments([aside], world.now_ns)
    trades, world.exchange.trades = world.exchange.trades, []
    for _ in range(200):
        world.advance(SECOND)
        world.tick()
        world.reconcile()
        world.flush()
    return trades


def test_executions_of_an_instrument_that_is_set_aside_are_not_written_off(world):
    missed_while_set_aside(world)
    assert world.manager.counters.written_off_lots == 0
    assert world.manager.counters.differences == 0


def test_a_restart_counts_the_executions_of_an_instrument_that_was_set_aside_however_long(kept):
    trades = missed_while_set_aside(kept)
    kept.exchange.trades = trades
    kept.crash()
    kept.manager.on_connection(True, kept.now_ns)
    assert kept.manager.executions_since_ns(SYMBOL) < trades[0].exch_ns
    kept.settle()
    ledger = kept.manager.store.ledgers[SYMBOL]
    assert ledger.books["a"].position_lots == ledger.account_lots == 4
    assert kept.manager.counters.differences == 0
    # From then on it is as the others.
    assert kept.manager.executions_since_ns(SYMBOL) > trades[0].exch_ns


def test_a_position_that_differs_is_published_when_it_stays_so(world):
    world.reconcile()
    world.exchange.position_lots = 9
    world.advance(SECOND)
    result = world.reconcile()
    assert result.differences == ()
    assert not result.is_settled
    assert world.manager.reconcile_due_ns() == world.now_ns + DIFFERS_NS
    world.advance(DIFFERS_NS)
    (difference,) = world.reconcile().differences
    assert (difference.symbol, difference.expected_lots, difference.account_lots) == (SYMBOL, 0, 9)
    assert world.manager.snapshot(world.now_ns).account[0].position == 0.009
    assert world.reconcile().is_settled


def test_a_position_that_the_exchange_says_nothing_of_stays_what_it_was(world):
    place(world, lots=4)
    world.reconcile()
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.flush()
    untold = Holding(SYMBOL, 0, 0.0, 0, is_told=False)
    for _ in range(3):
        world.advance(10 * SECOND)
        result = world.manager.reconcile([], [], [untold], world.now_ns - 1, world.now_ns)
        assert result.differences == ()
        assert result.is_settled
    ledger = world.manager.store.ledgers[SYMBOL]
    assert ledger.books["a"].position_lots == ledger.account_lots == 4
    assert world.manager.counters.forced_closes == 0


def test_a_position_that_was_there_before_is_no_difference(world):
    world.exchange.position_lots = 9
    world.manager.on_holding(Holding(SYMBOL, 9, 100.0, BEGIN_NS), world.now_ns)
    assert world.manager.reconcile_due_ns() <= world.now_ns, "what is there is asked for, not concluded"
    assert world.reconcile().differences == ()
    assert world.manager.store.ledgers[SYMBOL].other_lots == 9
    assert world.manager.counters.differences == 0


def test_a_position_that_runs_ahead_of_its_execution_is_no_difference(world):
    place(world, lots=4)
    world.reconcile()
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.manager.on_holding(world.exchange.holdings()[0], world.now_ns)
    world.flush()
    world.manager.on_holding(world.exchange.holdings()[0], world.now_ns)
    world.advance(10 * SECOND)
    assert world.reconcile().differences == ()
    world.check()


def test_a_position_of_before_an_execution_is_not_believed(world):
    place(world, lots=4)
    world.reconcile()
    old = Holding(SYMBOL, 0, 0.0, world.exchange.exch_ns - SECOND)
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.flush()
    world.manager.on_holding(old, world.now_ns)
    assert world.manager.store.ledgers[SYMBOL].differs_since_ns == 0


def test_after_a_gap_in_the_connection_executions_since_the_last_reconciliation_are_asked_for(world):
    world.reconcile()
    settled_ns = world.now_ns
    world.advance(3600 * SECOND)
    assert settled_ns - 61 * SECOND < world.manager.executions_since_ns(SYMBOL) < settled_ns


def test_each_connection_wants_a_reconciliation(world):
    world.reconcile()
    assert world.manager.reconcile_due_ns() > world.now_ns + 1000 * SECOND
    world.manager.on_connection(False, world.now_ns)
    world.manager.on_connection(True, world.now_ns)
    assert world.manager.reconcile_due_ns() <= world.now_ns


def test_symbols_of_a_restored_journal_are_named_before_they_are_known(kept):
    from daemon.orders.ids.client_ids import ClientIds
    from daemon.orders.journal import Journal
    from daemon.orders.state import Store

    place(kept)
    kept.manager.store.journal.close()
    store = Store(ClientIds("t", 9), Journal.open(kept.path))
    assert store.waiting_symbols() == [SYMBOL]
    store.add_instrument(INSTRUMENT)
    assert store.waiting_symbols() == []
    assert len(store.alive) == 1
    store.journal.close()


@given(st.text(max_size=40), st.integers(-5, 12), st.integers(-10, 10), st.integers(-10, 10))
def test_no_report_is_too_odd(client_id, status, price, lots):
    world = World()
    place(world)
    for name in (client_id, "t:" + client_id, world.latest["a", 1]):
        execution = Execution(
            symbol=SYMBOL,
            trade_id="1",
            client_id=name,
            exch_order_id="",
            side=1,
            price_tick=price,
            qty_lots=max(1, lots),
            is_maker=True,
            fee=0.0,
            fee_asset="",
            exch_ns=0,
        )
        report = Report(
            source=BY_STREAM,
            client_id=name,
            exch_order_id="",
            symbol=SYMBOL,
            side=1,
            order_type=0,
            time_in_force=0,
            status=status,
            price_tick=price,
            qty_lots=lots,
            cum_lots=lots,
            exch_ns=0,
            execution=execution,
        )
        world.manager.on_report(report, world.now_ns)
    world.manager.on_outcome(Outcome(10**9, CONFIRMED), world.now_ns)


def test_a_missing_execution_asks_for_a_reconciliation_not_too_often(world):
    place(world)
    world.reconcile()
    world.exchange.fill(world.exchange.open_orders()[0], 3)
    world.exchange.events.clear()
    world.cancel("a", 1)
    world.flush()
    first_ns = world.manager.reconcile_due_ns()
    assert world.now_ns < first_ns < world.now_ns + 2 * SECOND
    world.exchange.trades.clear()
    world.advance(SECOND)
    world.reconcile()
    assert world.manager.reconcile_due_ns() >= world.now_ns + SECOND


def test_a_missing_execution_is_still_looked_for_a_day_after_a_crash(kept):
    place(kept)
    kept.exchange.fill(kept.exchange.open_orders()[0], 3)
    kept.exchange.events.clear()
    kept.cancel("a", 1)
    kept.arrive()
    kept.reply()
    kept.crash()
    kept.advance(86_400 * SECOND)
    kept.manager.on_connection(True, kept.now_ns)
    kept.tick()
    kept.attach("a")
    kept.reconcile()
    kept.flush()
    assert kept.bots["a"].state.position == 0.003
    kept.settle()
    kept.check()


def test_an_adopted_order_is_not_left_behind_by_a_second_crash(tmp_path):
    first = World()
    place(first)
    second = World(tmp_path, bots=())
    second.exchange, second.run = first.exchange, 5
    second.reconcile()
    assert len(second.manager.store.alive) == 1
    second.crash()
    second.settle()
    assert first.exchange.open_orders() == []
