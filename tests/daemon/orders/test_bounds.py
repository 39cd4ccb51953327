"""What is kept is bounded, and what is forgotten is still not counted twice."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import Execution, Instrument
from daemon.orders import state as stores
from daemon.orders.ids.trades import FEE_ONLY, KNOWN_TRADE, NEW_TRADE, OLD_TRADE, Trades
from daemon.orders.journal import Journal
from daemon.orders.positions import Ledger
from hftd.constants import BUY, SELL
from tests.daemon.orders.model import INSTRUMENT, SYMBOL
from tests.daemon.orders.test_life_cycles import place
from tests.daemon.orders.world import SECOND, World


def test_an_hours_worth_of_orders_leaves_little_behind(world, monkeypatch):
    monkeypatch.setattr(stores, "MAX_REMEMBERED", 100)
    for i in range(2000):
        world.submit("a", i % 5)
        world.flush()
        order = world.exchange.open_orders()[0]
        world.exchange.fill(order, 3)
        world.flush()
        world.cancel("a", i % 5)
        world.flush()
        world.advance(SECOND)
        world.tick()
        world.exchange.orders.clear()
    manager = world.manager
    assert len(manager.store.orders) <= 101
    assert len(manager.store.by_id) <= 101
    assert manager.store.alive == {}
    assert len(manager.commands.in_flight) == 0
    assert len(manager.commands._timers) < 50
    assert manager.store.gaps == {}
    assert len(manager.store._finished) <= 101
    assert manager._out == manager._out.__class__()
    assert world.bots["a"].state.num_trades == 2000


def test_finished_orders_are_forgotten_after_a_while_and_late_fills_still_count(world):
    place(world)
    order = world.exchange.open_orders()[0]
    world.exchange.fill(order, 3)
    late = [one for one in world.exchange.events if one.execution]
    world.exchange.events.clear()
    world.exchange._end(order, 4)
    world.flush()
    world.exchange.trades.clear()
    for _ in range(20):
        world.advance(60 * SECOND)
        world.tick()
        world.reconcile()
        world.flush()
    assert world.manager.store.orders == {}
    again = [
        msgspec.structs.replace(
            one, execution=msgspec.structs.replace(one.execution, exch_ns=world.exchange.exch_ns)
        )
        for one in late
    ]
    world.exchange.events.extend(again)
    world.flush()
    assert world.bots["a"].state.position == 0.003
    assert world.bots["a"].state.num_trades == 1
    assert world.manager.store.orders == {}, "and no order is made of it"


def test_executions_beyond_the_memory_are_not_counted_again():
    trades = Trades(limit=3)
    assert [trades.note("X", str(i), 100 + i, True) for i in range(5)] == [NEW_TRADE] * 5
    assert len(trades) == 3
    assert trades.note("X", "4", 104, True) == KNOWN_TRADE
    assert trades.note("X", "0", 100, True) == OLD_TRADE
    assert trades.note("X", "other", 101, True) == OLD_TRADE, "it may be one that was forgotten"
    assert trades.note("Y", "0", 100, True) == NEW_TRADE, "each instrument for itself"


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=40))
def test_an_execution_is_new_once_and_its_fee_once(messages):
    trades = Trades()
    news, fees = set(), set()
    for number, has_fee in messages:
        found = trades.note("X", str(number), 1, has_fee)
        if found == NEW_TRADE:
            assert number not in news
            news.add(number)
        if found in (NEW_TRADE, FEE_ONLY) and has_fee:
            assert number not in fees
            fees.add(number)
    assert news == {number for number, _ in messages}
    assert fees == {number for number, has_fee in messages if has_fee}


def execution(side: int, price_tick: int, lots: int, fee: float = 0.0, asset: str = "") -> Execution:
    return Execution(
        symbol=SYMBOL,
        trade_id="1",
        client_id="",
        exch_order_id="",
        side=side,
        price_tick=price_tick,
        qty_lots=lots,
        is_maker=True,
        fee=fee,
        fee_asset=asset,
        exch_ns=0,
    )


def test_a_linear_book_is_reckoned_as_the_simulator_does():
    ledger = Ledger(msgspec.structs.replace(INSTRUMENT, contract_size=2.0))
    book = ledger.book("a")
    ledger.count(book, execution(BUY, 1000, 5, 0.1, "USDT"), True, 1)
    ledger.count(book, execution(SELL, 1010, 2, -0.05), True, 1)
    state = ledger.state(book)
    assert state.position == 0.003
    assert state.balance == pytest.approx(2.0 * (-100.0 * 0.005 + 101.0 * 0.002))
    assert state.fee == pytest.approx(0.05)
    assert (state.num_trades, state.trading_volume) == (2, 0.007)
    assert state.trading_value == pytest.approx(2.0 * (100.0 * 0.005 + 101.0 * 0.002))


def test_an_inverse_book_is_reckoned_as_the_simulator_does():
    instrument = Instrument(
        number=1,
        symbol=SYMBOL,
        tick_size=Decimal("0.1"),
        lot_size=Decimal(1),
        contract_size=100.0,
        inverse=True,
        base="BTC",
        quote="USD",
    )
    ledger = Ledger(instrument)
    book = ledger.book("a")
    ledger.count(book, execution(BUY, 500_000, 10, 0.00001, "BTC"), True, 1)
    ledger.count(book, execution(SELL, 510_000, 4), True, 1)
    state = ledger.state(book)
    assert state.position == 6.0
    assert state.balance == pytest.approx(-100.0 * 10 / 50_000 + 100.0 * 4 / 51_000)
    assert state.trading_value == pytest.approx(100.0 * 10 / 50_000 + 100.0 * 4 / 51_000)
    assert state.fee == 0.00001
    assert ledger.notional(500_000, 10) == 1000.0


def test_a_fee_in_another_asset_is_kept_apart_and_said():
    world = World()
    ledger = world.manager.store.ledgers[SYMBOL]
    ledger.count(ledger.book("a"), execution(BUY, 1000, 5, 0.1, "BNB"), True, 1)
    assert ledger.state(ledger.book("a")).fee == 0.0
    assert ledger.foreign_fees == {"BNB": 0.1}
    assert any("BNB" in one.text for one in world.manager.warnings())


@pytest.mark.parametrize("lot", ["0.001", "0.1", "1", "10", "0.05", "0.00001", "0.3"])
@given(lots=st.integers(0, 10**7))
def test_quantities_are_the_floats_nearest_to_their_decimals(lot, lots):
    ledger = Ledger(msgspec.structs.replace(INSTRUMENT, lot_size=Decimal(lot)))
    assert ledger.qty(lots) == float(lots * Decimal(lot))


def test_an_instrument_whose_steps_changed_is_restored_in_the_new_ones(kept):
    place(kept, lots=10)
    kept.exchange.fill(kept.exchange.open_orders()[0], 4)
    kept.flush()
    kept.manager.store.journal.close()
    finer = msgspec.structs.replace(INSTRUMENT, lot_size=Decimal("0.0001"), tick_size=Decimal("0.01"))
    kept.manager = World.start(kept)
    # `start` gave it today's steps already; a store by itself takes the finer ones.
    kept.manager.store.journal.close()
    from daemon.orders.ids.client_ids import ClientIds

    restored = stores.Store(ClientIds("t", 9), Journal.open(kept.path))
    restored.add_instrument(finer)
    (order,) = restored.alive.values()
    assert (order.price_tick, order.qty_lots, order.executed_lots) == (10_000, 100, 40)
    assert restored.ledgers[SYMBOL].books["a"].position_lots == 40
    restored.write(1)
    restored.journal.close()
    # And once more: what the journal had in the old steps is not read by the new ones.
    again = stores.Store(ClientIds("t", 10), Journal.open(kept.path))
    again.add_instrument(finer)
    (order,) = again.alive.values()
    assert (order.price_tick, order.qty_lots, order.executed_lots) == (10_000, 100, 40)
    assert again.ledgers[SYMBOL].books["a"].position_lots == 40
    again.journal.close()


def test_what_fits_todays_lots_no_more_stays_in_the_journal_and_its_symbol_is_not_traded(kept):
    place(kept, lots=10)
    kept.exchange.fill(kept.exchange.open_orders()[0], 4)
    kept.flush()
    kept.manager.store.journal.close()
    from daemon.orders.ids.client_ids import ClientIds

    coarser = stores.Store(ClientIds("t", 10), Journal.open(kept.path))
    coarser.add_instrument(msgspec.structs.replace(INSTRUMENT, lot_size=Decimal("0.003")))
    coarser.add_instrument(msgspec.structs.replace(INSTRUMENT, symbol="ETHUSDT", number=8))
    ledger = coarser.ledgers[SYMBOL]
    assert not ledger.instrument.is_trading
    assert coarser.ledgers["ETHUSDT"].instrument.is_trading
    assert "no whole number" in coarser.unfit[SYMBOL]
    coarser.add_instrument(msgspec.structs.replace(INSTRUMENT, lot_size=Decimal("0.003"), min_notional=5.0))
    assert not ledger.instrument.is_trading, "a new description does not make it fit"
    # The bot's account is told as the journal has it, and what is executed meanwhile waits for steps that fit.
    assert coarser.state("a", ledger).position == 0.004
    coarser.settled(coarser.settled_ns + 10**12, but=[SYMBOL])
    assert ledger.unsettled_ns == coarser.settled_ns - 10**12
    coarser.steps_changed(ledger)
    coarser.write(1)
    coarser.journal.rewrite(coarser.rows())
    coarser.journal.close()
    again = stores.Store(ClientIds("t", 11), Journal.open(kept.path))
    again.add_instrument(INSTRUMENT)
    assert again.ledgers[SYMBOL].books["a"].position_lots == 4
    assert len(again.alive) == 1
    assert again.ledgers[SYMBOL].unsettled_ns == ledger.unsettled_ns
    again.journal.close()


def test_missing_executions_that_fit_todays_lots_no_more_are_not_rounded(kept):
    place(kept, lots=10)
    kept.exchange.fill(kept.exchange.open_orders()[0], 10)
    kept.exchange.events.clear()
    order = next(iter(kept.manager.store.alive.values()))
    order.cum_lots = 10
    kept.manager.store.touch(order)
    kept.manager.store.write(kept.now_ns)
    kept.manager.store.journal.close()
    from daemon.orders.ids.client_ids import ClientIds

    for lot, is_unfit in (("0.003", True), ("0.001", False)):
        store = stores.Store(ClientIds("t", 10), Journal.open(kept.path))
        store.add_instrument(msgspec.structs.replace(INSTRUMENT, lot_size=Decimal(lot)))
        assert (SYMBOL in store.unfit) == is_unfit
        assert store.waiting_positions("a") == [SYMBOL] * is_unfit, "its end policy waits for them"
        store.journal.rewrite(store.rows())
        store.journal.close()
    assert [one.gap_lots for one in store.orders.values()] == [10]


def test_bots_without_anything_left_are_forgotten_beyond_a_number(monkeypatch):
    monkeypatch.setattr(stores, "MAX_BOTS_KNOWN", 5)
    world = World(bots=tuple("abcdefghij"))
    for name in "abcdefghi":
        world.manager.detach(name, world.now_ns)
    for _ in range(8):
        world.manager.attach("j", [7], world.limits, "cancel", world.now_ns)
    assert len(world.manager.store.bots) <= 6
    assert "j" in world.manager.store.bots


def test_a_snapshot_shows_orders_positions_limits_and_counters(world):
    place(world)
    world.submit("a", 2, side=SELL, price_tick=1010)
    world.modify("a", 1, 1001, 7)
    snapshot = world.manager.snapshot(world.now_ns)
    (bot,) = snapshot.bots
    assert [(one.side, one.price, one.status, one.request) for one in bot.orders] == [
        ("buy", 100.0, "new", "modify"),
        ("sell", 101.0, "pending", "new"),
    ]
    assert {one.name: one.used for one in snapshot.limits}["open orders"] == 2
    assert snapshot.counters["orders_sent"] == 2
    world.flush()
    world.exchange.fill(world.exchange.open_orders()[0], 2)
    world.flush()
    world.cancel("a", 2)
    (bot,) = world.manager.snapshot(world.now_ns).bots
    assert [(one.status, one.request, one.leaves_qty) for one in bot.orders] == [
        ("partially filled", "", 0.005),
        ("new", "cancel", 0.01),
    ]
    assert bot.positions[0].position == 0.002
    assert bot.fills == 1
    msgspec.json.encode(snapshot)


def test_an_execution_with_the_id_of_another_one_is_noticed():
    trades = Trades()
    day_ns = 86_400_000_000_000
    assert trades.note("BTCUSDT", "7", day_ns, True) == NEW_TRADE
    assert trades.note("BTCUSDT", "7", day_ns + 1_000_000, True) == KNOWN_TRADE
    assert trades.reused == 0
    assert trades.note("BTCUSDT", "7", 2 * day_ns, True) == KNOWN_TRADE
    assert trades.reused == 1
