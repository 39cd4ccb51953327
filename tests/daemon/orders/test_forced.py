"""What the exchange closes by itself, and what others trade: whose it is, what bots are told, what follows from it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import BY_STREAM, Execution, Holding, Report, Submit
from daemon.orders.limits import AccountLimits
from daemon.orders.positions import BotBook, Ledger, split
from hftd import wire
from hftd.constants import (
    ALERT_FORCED_CLOSE,
    BUY,
    FILLED,
    LIMIT,
    REASON_HALTED,
    REASON_LIQUIDATION,
    SELL,
)
from tests.daemon.orders.model import INSTRUMENT, SECOND, SYMBOL
from tests.daemon.orders.test_life_cycles import last
from tests.daemon.orders.world import NUMBER, World


def holding_world(lots_of: dict[str, int], **options) -> World:
    """Bots with positions that their own orders made."""
    world = World(bots=tuple(lots_of), **options)
    for name, lots in lots_of.items():
        if not lots:
            continue
        world.submit(name, 1, side=BUY if lots > 0 else SELL, lots=abs(lots))
        world.flush()
        world.exchange.fill(world.exchange.open_orders()[0], abs(lots))
        world.flush()
    world.advance(SECOND)
    world.reconcile()
    return world


def execute(
    world: World, side: int, lots: int, trade_id: str, *, client_id="autoclose-1", forced=True, has_fee=True
) -> None:
    """Somebody else's order executes, in the account's name."""
    world.exchange.position_lots += side * lots
    execution = Execution(
        symbol=SYMBOL,
        trade_id=trade_id,
        client_id=client_id,
        exch_order_id="99",
        side=side,
        price_tick=900,
        qty_lots=lots,
        is_maker=False,
        fee=0.5 * lots if has_fee else 0.0,
        fee_asset="USDT",
        exch_ns=world.exchange.exch_ns,
        is_forced=forced,
    )
    report = Report(
        source=BY_STREAM,
        client_id=client_id,
        exch_order_id="99",
        symbol=SYMBOL,
        side=side,
        order_type=LIMIT,
        time_in_force=3,
        status=FILLED,
        price_tick=900,
        qty_lots=lots,
        cum_lots=lots,
        exch_ns=world.exchange.exch_ns,
        execution=execution,
        has_fee=has_fee,
    )
    world.manager.on_report(report, world.now_ns)


def positions(world: World) -> dict[str, int]:
    ledger = world.manager.store.ledgers[SYMBOL]
    return {name: book.position_lots for name, book in ledger.books.items()}


@given(
    st.lists(st.integers(-50, 50), max_size=6),
    st.integers(-50, 50),
    st.sampled_from((BUY, SELL)),
    st.integers(1, 300),
)
def test_a_forced_close_takes_what_is_nobodys_first_and_never_more_of_a_bot_than_it_holds(
    held, other, side, lots
):
    ledger = Ledger(INSTRUMENT)
    for number, position in enumerate(held):
        ledger.books[f"b{number}"] = BotBook(f"b{number}", SYMBOL, position)
    ledger.other_lots = other
    parts = split(ledger, side, lots)
    sign = -side
    assert all(0 < part <= book.position_lots * sign for book, part in parts)
    free = max(0, other * sign)
    total = sum(max(0, position * sign) for position in held)
    taken = sum(part for _, part in parts)
    assert taken == min(max(0, lots - free), total)
    for book, part in parts:
        assert abs(part - taken * book.position_lots * sign / total) <= len(parts), "in proportion"


def test_a_liquidation_is_booked_to_the_bots_that_held_and_they_are_told():
    world = holding_world({"a": 60, "b": 20, "c": -10})
    execute(world, SELL, 40, "liq1")
    assert positions(world) == {"a": 30, "b": 10, "c": -10}
    ledger = world.manager.store.ledgers[SYMBOL]
    assert (ledger.account_lots, ledger.other_lots) == (30, 0)
    assert ledger.books["a"].fee == pytest.approx(60 * 0.25 + 15.0)
    assert ledger.books["a"].num_trades == 2
    for name in ("a", "b"):
        assert world.bots[name].state == ledger.state(ledger.books[name])
        (notice,) = world.bots[name].notices
        assert (notice.kind, notice.reason) == (wire.NOTICE_FORCED_CLOSE, REASON_LIQUIDATION)
        assert notice.position == world.bots[name].state.position
    assert world.bots["c"].notices == []
    assert {one.symbol for one in world.manager.warnings() if one.key == "forced_close"} == {
        "a BTCUSDT",
        "b BTCUSDT",
    }
    execute(world, SELL, 40, "liq1")
    assert positions(world)["a"] == 30, "once"


def test_a_fee_that_comes_after_the_short_form_goes_to_the_same_bots():
    world = holding_world({"a": 60, "b": 20})
    execute(world, SELL, 40, "adl", client_id="adl_autoclose", has_fee=False)
    world.exchange.position_lots += 40  # `execute` counts it again
    execute(world, SELL, 40, "adl", client_id="adl_autoclose")
    fees = {name: book.fee for name, book in world.manager.store.ledgers[SYMBOL].books.items()}
    assert fees == {"a": pytest.approx(60 * 0.25 + 15.0), "b": pytest.approx(20 * 0.25 + 5.0)}


def test_a_position_that_shrank_without_an_execution_is_no_bots_any_more():
    world = holding_world({"a": 60})
    world.manager.on_book(NUMBER, 950, 960, True, world.now_ns)
    world.exchange.position_lots = 0
    world.manager.on_holding(Holding(SYMBOL, 0, 0.0, world.exchange.exch_ns), world.now_ns)
    assert positions(world) == {"a": 60}, "an execution may be on its way"
    world.advance(3 * SECOND)
    world.reconcile()
    assert positions(world) == {"a": 0}
    assert world.bots["a"].state.position == 0.0
    assert world.bots["a"].state.balance == pytest.approx(0.06 * (95.0 - 100.0))
    assert not any(one.key == "position_differs" for one in world.manager.warnings())


def test_what_somebody_holds_beside_the_bots_is_taken_first():
    world = holding_world({"a": 10})
    execute(world, BUY, 50, "web1", client_id="web_1", forced=False)
    assert positions(world) == {"a": 10}
    (warning,) = [one for one in world.manager.warnings() if one.key == "position_differs"]
    assert "0.06" in warning.text
    assert "0.01" in warning.text
    assert [one.kind for one in world.bots["a"].notices] == [wire.NOTICE_BY_HAND]
    execute(world, SELL, 50, "liq1")
    assert positions(world) == {"a": 10}
    execute(world, SELL, 4, "liq2")
    assert positions(world) == {"a": 6}


def test_a_trade_by_hand_is_booked_to_nobody_even_where_the_account_holds_less_than_the_bot():
    world = holding_world({"a": 10})
    execute(world, SELL, 10, "web1", client_id="web_1", forced=False)
    world.advance(3 * SECOND)
    world.reconcile()
    world.advance(3 * SECOND)
    world.reconcile()
    assert positions(world) == {"a": 10}
    assert any(one.key == "position_differs" for one in world.manager.warnings())


def test_after_it_orders_that_only_reduce_pass_and_others_are_refused_until_somebody_resumes():
    world = holding_world({"a": 10})
    execute(world, SELL, 4, "liq1")
    world.submit("a", 5, side=SELL, price_tick=1010, lots=7)
    assert last(world).reason == REASON_LIQUIDATION
    world.submit("a", 6, side=SELL, price_tick=1010, lots=6)
    assert isinstance(world.requests[-1][0], Submit)
    world.flush()
    world.submit("a", 7, side=SELL, price_tick=1010, lots=1)
    assert last(world).reason == REASON_LIQUIDATION, "what is open on that side counts"
    world.submit("a", 8, side=BUY, lots=1)
    assert last(world).reason == REASON_LIQUIDATION
    world.manager.resume(world.now_ns)
    world.submit("a", 9, side=BUY, lots=1)
    assert isinstance(world.requests[-1][0], Submit)
    assert not any(one.key == "forced_close" for one in world.manager.warnings())


@pytest.mark.parametrize(("policy", "reason"), [("halt", REASON_HALTED), ("tell", 0)])
def test_it_halts_or_only_tells_if_so_configured(policy, reason):
    world = holding_world({"a": 10}, account=AccountLimits(self_trade="allow", on_forced_close=policy))
    execute(world, SELL, 4, "liq1")
    sent = len(world.commands)
    world.submit("a", 5, side=BUY, lots=1)
    assert last(world).reason == reason
    assert len(world.commands) - sent == (0 if reason else 1)


def test_a_restart_knows_of_it_and_books_nothing_twice(tmp_path):
    world = holding_world({"a": 60, "b": 20}, folder=tmp_path)
    execute(world, SELL, 40, "liq1")
    before = {
        name: msgspec.structs.astuple(book)
        for name, book in world.manager.store.ledgers[SYMBOL].books.items()
    }
    world.crash()
    after = {
        name: msgspec.structs.astuple(book)
        for name, book in world.manager.store.ledgers[SYMBOL].books.items()
    }
    assert after == before
    world.manager.on_connection(True, world.now_ns)
    for name in ("a", "b"):
        world.attach(name)
    execute(world, SELL, 40, "liq1")
    world.exchange.position_lots += 40
    assert positions(world) == {"a": 30, "b": 10}
    world.submit("a", 5, side=BUY, lots=1)
    assert last(world).reason == REASON_LIQUIDATION
    journal = world.manager.store.journal
    assert journal is not None
    journal.rewrite(world.manager.store.rows())
    world.crash()
    assert set(world.manager.store.bots["a"].forced) == {SYMBOL}


def test_a_bot_that_is_being_flattened_does_not_sell_what_the_exchange_has_sold():
    world = holding_world({"a": 10}, on_end="flatten")
    world.manager.detach("a", world.now_ns)
    execute(world, SELL, 10, "liq1")
    for _ in range(5):
        world.tick()
        world.advance(SECOND)
    assert not any(isinstance(one, Submit) and one.reduce_only for one in world.commands)
    assert not world.manager.store.bots["a"].row.is_ending


def test_the_code_of_the_alert_is_none_that_a_strategy_would_choose():
    assert ALERT_FORCED_CLOSE < 0


@pytest.mark.parametrize(
    ("told", "price"),
    [
        ([(20, 57.0), (40, 54.0)], 55.0),
        ([(60, 57.03)], 57.03),
        ([], 95.0),
        ([(60, 0.0)], 95.0),
    ],
)
def test_a_forced_close_without_the_id_of_a_trade_is_booked_once_at_the_price_that_was_told(told, price):
    world = holding_world({"a": 60})
    world.manager.on_book(NUMBER, 950, 960, True, world.now_ns)
    for lots, at in told:
        report = Report(
            source=BY_STREAM,
            client_id="autoclose-9",
            exch_order_id="99",
            symbol=SYMBOL,
            side=SELL,
            order_type=LIMIT,
            time_in_force=3,
            status=FILLED,
            price_tick=900,
            qty_lots=lots,
            cum_lots=lots,
            exch_ns=world.exchange.exch_ns,
            reason=REASON_LIQUIDATION,
            forced_lots=lots,
            forced_price=at,
        )
        world.manager.on_report(report, world.now_ns)
    assert positions(world) == {"a": 60}, "the list of executions may have it"
    world.exchange.position_lots = 0
    world.manager.on_holding(Holding(SYMBOL, 0, 0.0, world.exchange.exch_ns), world.now_ns)
    world.advance(3 * SECOND)
    world.reconcile()
    assert positions(world) == {"a": 0}
    assert world.bots["a"].state.balance == pytest.approx(0.06 * (price - 100.0))


def test_the_price_of_one_forced_close_is_not_that_of_a_later_one():
    world = holding_world({"a": 60})
    world.manager.on_book(NUMBER, 950, 960, True, world.now_ns)
    report = Report(
        source=BY_STREAM,
        client_id="autoclose-9",
        exch_order_id="99",
        symbol=SYMBOL,
        side=SELL,
        order_type=LIMIT,
        time_in_force=3,
        status=FILLED,
        price_tick=900,
        qty_lots=10,
        cum_lots=10,
        exch_ns=world.exchange.exch_ns,
        forced_lots=10,
        forced_price=57.0,
    )
    world.manager.on_report(report, world.now_ns)
    world.advance(61 * SECOND)
    world.exchange.position_lots = 0
    world.manager.on_holding(Holding(SYMBOL, 0, 0.0, world.exchange.exch_ns), world.now_ns)
    world.advance(3 * SECOND)
    world.reconcile()
    assert world.bots["a"].state.balance == pytest.approx(0.06 * (95.0 - 100.0))
