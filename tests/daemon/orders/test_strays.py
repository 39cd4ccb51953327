"""Connectors on one account: each has its own orders, and those of one that is gone are somebody's duty."""

from dataclasses import replace

import msgspec
import pytest

from daemon.messages import BY_STREAM, REFUSED, STEPS_CHANGED, UNKNOWN, Cancel, Outcome, Submit
from daemon.orders.commands import Kin
from daemon.orders.ids.client_ids import ClientIds
from daemon.orders.ids.trades import Traded, Trades
from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits
from daemon.orders.manager import OrderManager
from hftd.constants import BUY, CANCELED, REASON_NOT_TRADING, SELL
from tests.daemon.orders.model import INSTRUMENT, SECOND, SYMBOL
from tests.daemon.orders.test_life_cycles import place
from tests.daemon.orders.world import World

A, B = 0xA1, 0xB2


class Connector(World):
    """A connector with a number, on an exchange that it may share."""

    identity = A

    def start(self, **_options: object) -> OrderManager:
        journal = Journal.open(self.path) if self.path else None
        identity, self.run = journal.begin(self.identity) if journal else (self.identity, self.run + 1)
        manager = OrderManager(
            prefix="t",
            run=self.run,
            identity=identity,
            limits=AccountLimits(self_trade="allow"),
            journal=journal,
            emit=self.emit,
            send=self.send,
        )
        manager.add_instrument(INSTRUMENT)
        return manager


class Second(Connector):
    identity = B


def beside(first: World) -> Second:
    """A second connector on the first one's account, with bots of the same names and no journal."""
    second = Second(bots=("a",))
    second.now_ns, second.exchange = first.now_ns, first.exchange
    second.manager.strays.guard_ns = 120 * SECOND
    return second


def kin_of(second: World, dead_since_ns: int = 0, prefix: str = "t") -> None:
    second.manager.strays.look = lambda _now_ns: {A: Kin(A, "conna", prefix, dead_since_ns)}
    second.manager.strays.look_around(second.now_ns)


def keys(world: World) -> list[str]:
    return [one.key for one in world.manager.warnings()]


def later(world: World, seconds: int) -> None:
    """Time passes, with what a connector does in it."""
    for _ in range(seconds):
        world.advance(SECOND)
        world.tick()
        world.flush()


def test_a_second_connector_with_the_same_prefix_never_touches_the_first_ones_orders():
    first = Connector()
    place(first)
    second = beside(first)
    kin_of(second)
    result = second.reconcile()
    assert (result.adopted, result.foreign) == ((), 1)
    later(second, 300)
    second.reconcile()
    assert len(first.exchange.open_orders()) == 1
    assert not second.manager.store.alive
    assert "other_connector" in keys(second)
    assert not second.manager.is_ours(first.latest["a", 1])
    first.exchange.fill(first.exchange.open_orders()[0], 10)
    second.flush()
    second.reconcile()
    assert second.bots["a"].state.position == 0, "nor counts its fills for a bot of the same name"
    assert second.manager.store.ledgers[SYMBOL].account_lots == 10


def test_orders_of_a_connector_that_is_gone_are_cancelled_as_the_dead_man_switch_would_have():
    first = Connector()
    place(first)
    second = beside(first)
    kin_of(second, dead_since_ns=second.now_ns)
    second.reconcile()
    assert "orders_of_other_connector" in keys(second)
    later(second, 100)
    second.reconcile()
    later(second, 5)
    assert len(first.exchange.open_orders()) == 1, "it may still come back"
    later(second, 20)
    second.reconcile()
    later(second, 2)
    assert first.exchange.open_orders() == []
    assert second.manager.strays.cancelled == 1
    second.reconcile()
    assert keys(second) == []


def test_orders_of_a_connector_that_comes_back_are_its_own_again():
    first = Connector()
    place(first)
    second = beside(first)
    kin_of(second, dead_since_ns=second.now_ns - 200 * SECOND)
    second.reconcile()
    assert len(second.manager.strays) == 1
    kin_of(second)
    later(second, 60)
    second.reconcile()
    assert len(first.exchange.open_orders()) == 1
    assert len(second.manager.strays) == 0


@pytest.mark.parametrize("guard_ns", [0, 120 * SECOND])
def test_orders_of_a_connector_that_is_not_known_here_are_left_alone_and_shown(guard_ns):
    first = Connector()
    place(first)
    second = beside(first)
    second.manager.strays.guard_ns = guard_ns
    second.reconcile()
    later(second, 300)
    assert len(first.exchange.open_orders()) == 1
    (warning,) = [one for one in second.manager.warnings() if one.key == "orders_of_other_connector"]
    assert "0000a1" in warning.symbol
    assert "lately" not in warning.text
    second.manager.on_report(first.exchange.report(first.exchange.open_orders()[0], BY_STREAM), second.now_ns)
    (warning,) = [one for one in second.manager.warnings() if one.key == "orders_of_other_connector"]
    assert "lately" in warning.text


def test_orders_of_before_connectors_had_numbers_are_adopted_unless_two_could():
    old = World()
    place(old)
    second = beside(old)
    kin_of(second)
    assert second.reconcile().adopted == ()
    kin_of(second, prefix="other")
    assert len(second.reconcile().adopted) == 1


def test_a_connector_whose_journal_was_moved_away_knows_its_orders_by_what_stands_beside(tmp_path):
    first = Connector(tmp_path)
    place(first)
    client_id = first.latest["a", 1]
    first.manager.store.journal.close()
    first.path.unlink()
    first.manager = first.start()
    assert first.manager.is_ours(client_id)
    first.manager.on_connection(True, first.now_ns)
    assert first.reconcile().adopted == (client_id,)
    first.bots["a"].orders.clear()
    first.attach("a")
    first.submit("a", 2, lots=1)
    first.flush()
    assert len({order.client_id for order in first.exchange.open_orders()}) == 2


def test_a_numbers_runs_go_on_in_one_journal_and_are_written_before_their_first_order(tmp_path):
    one = Connector(tmp_path)
    assert one.run == 1
    one.manager.store.ids.made = (1 << 18) - 1
    one.submit("a", 1)
    assert one.manager.store.ids.run == 2
    one.manager.store.journal.close()
    data = one.path.read_bytes()
    one.path.with_name("orders.journal.lock").write_text("nonsense")
    journal = Journal.open(one.path)
    assert one.path.read_bytes() == data
    assert journal.begin(5) == (A, 3)
    journal.close()


def test_an_own_order_that_can_not_be_taken_over_is_cancelled():
    world = Connector()
    place(world)
    order = world.exchange.open_orders()[0]
    client_id = ClientIds("t", 9, A).make("a", 7)
    world.exchange.orders[client_id] = stray = replace(
        order, client_id=client_id, exch_order_id="777", fills=[]
    )
    world.manager.on_stray(SYMBOL, client_id, stray.exch_order_id, world.now_ns)
    assert "stray_order" in keys(world)
    later(world, 2)
    assert stray.status == CANCELED
    assert order.is_open
    assert keys(world) == []
    world.manager.on_stray(SYMBOL, "web_1", "5", world.now_ns)
    assert len(world.manager.strays) == 0, "others' orders are left alone"


def test_a_cancel_of_a_stray_is_repeated_with_longer_and_longer_pauses():
    world = Connector()
    world.manager.on_stray(SYMBOL, ClientIds("t", 9, A).make("a", 7), "1", world.now_ns)
    for _ in range(600):
        world.advance(SECOND // 10)
        world.tick()
        for command, _, _ in world.requests:
            assert type(command) is Cancel
            world.manager.on_outcome(Outcome(command.request, UNKNOWN), world.now_ns)
        world.requests.clear()
    sent = sum(type(one) is Cancel for one in world.commands)
    assert 5 <= sent <= 12


def test_a_stray_that_is_listed_again_and_again_keeps_its_pauses():
    world = Connector()
    client_id = ClientIds("t", 9, A).make("a", 7)
    for second in range(60):
        # As a reconciliation goes: what can't be read is told while the list is fetched, and is not in it.
        asked_ns = world.now_ns
        world.advance(SECOND // 2)
        if second < 50:
            world.manager.on_stray(SYMBOL, client_id, "1", world.now_ns)
        world.manager.reconcile((), (), (), asked_ns, world.now_ns)
        assert len(world.manager.strays) == (second < 50)
        world.tick()
        for command, _, _ in world.requests:
            world.manager.on_outcome(Outcome(command.request, REFUSED, REASON_NOT_TRADING), world.now_ns)
        world.requests.clear()
        world.advance(SECOND // 2)
    assert 5 <= sum(type(one) is Cancel for one in world.commands) <= 10


# --- Instruments that change ----------------------------------------------------------------------------------------


def test_when_an_instruments_steps_change_its_orders_are_cancelled_and_new_ones_refused(world):
    place(world)
    changed = msgspec.structs.replace(INSTRUMENT, is_trading=False, trouble=STEPS_CHANGED, why="...")
    world.manager.on_instruments([changed], world.now_ns)
    world.flush()
    assert world.exchange.open_orders() == []
    places = sum(isinstance(one, Submit) for one in world.commands)
    world.submit("a", 2)
    world.flush()
    assert world.bots["a"].orders[2].is_inactive
    assert world.bots["a"].updates[-1].reason == REASON_NOT_TRADING
    assert sum(isinstance(one, Submit) for one in world.commands) == places
    world.manager.store.ledgers[SYMBOL].has_holding = True
    assert world.reconcile().differences == ()


# --- Self-trades ----------------------------------------------------------------------------------------------------


def test_both_sides_of_a_self_trade_count(world):
    world.submit("a", 1, lots=4)
    world.submit("a", 2, side=SELL, lots=4)
    world.flush()
    buy, sell = world.exchange.open_orders()
    world.exchange.fill(buy, 4)
    number = len(world.exchange.trades) - 1
    world.exchange.fill(sell, 4)
    same = {"trade_id": world.exchange.trades[number].trade_id}
    world.exchange.trades[-1] = sold = msgspec.structs.replace(world.exchange.trades[-1], **same)
    sell.fills[-1] = sold
    for k, event in enumerate(world.exchange.events):
        if event.execution is not None and event.side == SELL:
            world.exchange.events[k] = msgspec.structs.replace(
                event, execution=msgspec.structs.replace(event.execution, **same)
            )
    world.flush()
    state = world.bots["a"].state
    assert (state.num_trades, state.position, state.trading_volume) == (2, 0.0, 0.008)
    world.advance(SECOND)
    assert world.reconcile().missed_executions == 0
    world.check()


def test_executions_of_journals_without_sides_count_for_both():
    trades = Trades()
    trades.note("X", "1", 5, True)
    assert trades.knows("X", "1", BUY)
    assert trades.is_complete("X", "1", SELL)
    trades.note("X", "2", 5, True, BUY)
    assert not trades.knows("X", "2", SELL)
    assert list(trades.rows()) == [Traded("X", "1", 5, True), Traded("X", "2", 5, True, side=BUY)]


def test_whose_an_execution_is_is_known_until_its_fee_is():
    trades = Trades()
    trades.note("X", "1", 5, False, BUY, "a1")
    restored = Trades()
    for row in trades.rows():
        restored.note(row.symbol, row.trade_id, row.exch_ns, row.has_fee, row.side, row.client_id)
    assert restored.whose("X", "1", BUY) == "a1"
    assert restored.whose("X", "1", SELL) == ""
    restored.note("X", "1", 5, True, BUY)
    assert restored.whose("X", "1", BUY) == ""


def test_sides_of_executions_survive_a_restart(kept):
    kept.submit("a", 1, lots=4)
    kept.flush()
    kept.exchange.fill(kept.exchange.open_orders()[0], 4)
    kept.flush()
    trade = kept.exchange.trades[0]
    kept.manager.store.journal.rewrite(kept.manager.store.rows())
    kept.crash()
    trades = kept.manager.store.trades
    assert trades.is_complete(SYMBOL, trade.trade_id, BUY)
    assert not trades.knows(SYMBOL, trade.trade_id, SELL)
    assert [one.side for one in kept.manager.store.rows() if isinstance(one, Traded)] == [BUY]


def test_an_execution_between_two_ticks_is_counted_at_its_own_price(world):
    place(world, lots=4)
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    for k, event in enumerate(world.exchange.events):
        if event.execution is not None:
            execution = msgspec.structs.replace(event.execution, price=99.97)
            world.exchange.events[k] = msgspec.structs.replace(event, execution=execution)
    world.flush()
    assert world.bots["a"].state.balance == pytest.approx(-99.97 * 0.004)


def test_an_order_between_two_ticks_is_shown_while_it_is_open(world):
    place(world)
    report = world.exchange.report(world.exchange.open_orders()[0], BY_STREAM)
    world.manager.on_report(msgspec.structs.replace(report, is_off_grid=True), world.now_ns)
    assert keys(world) == ["off_grid_order"]
    world.cancel("a", 1)
    world.flush()
    assert keys(world) == []
