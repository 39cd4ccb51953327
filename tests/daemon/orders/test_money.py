"""What is earned and lost by day, and the limits on it."""

import math
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import BY_QUERY, BY_STREAM, REFUSED, UNKNOWN, Funding, Outcome, Submit
from daemon.orders.journal import Halt, read_rows
from daemon.orders.limits import AccountLimits, BotLimits, narrowed
from daemon.orders.money import earning
from daemon.orders.money.kept import Kept
from daemon.orders.money.profit import DAY_NS, Days, Funded, Profit, closed_part
from daemon.orders.money.watching import UNMARKED_NS
from daemon.orders.positions import BotBook, Ledger
from hftd import wire
from hftd.constants import (
    BUY,
    REASON_BOOK_NOT_VALID,
    REASON_HALTED,
    REASON_MARGIN,
    SELL,
)
from hftd.errors import RefusedError
from tests.daemon.orders.model import FEE_A_LOT, INSTRUMENT, SYMBOL
from tests.daemon.orders.test_limits import reason
from tests.daemon.orders.world import BEGIN_NS, NUMBER, SECOND, World

TO_MIDNIGHT_NS = DAY_NS - BEGIN_NS % DAY_NS


def begun(folder=None, *, bid: int = 999, ask: int = 1001, **options) -> World:
    """An account that was compared, with a valid book."""
    world = World(folder, **options)
    world.reconcile()
    book(world, bid, ask)
    return world


def book(world: World, bid: int = 999, ask: int = 1001, *, is_valid: bool = True) -> None:
    world.manager.on_book(NUMBER, bid, ask, is_valid, world.now_ns)


def trade(world: World, order_id: int, side: int, tick: int, lots: int = 10, bot: str = "a") -> None:
    """A limit order that is filled at once."""
    assert world.submit(bot, order_id, side, tick, lots)
    world.flush()
    order = world.exchange.named(world.latest[bot, order_id])
    assert order is not None
    world.exchange.fill(order, lots)
    world.flush()


def shown(world: World, bot: str = "") -> Profit:
    found = world.manager.snapshot(world.now_ns)
    profits = next(one.profits for one in found.bots if one.name == bot) if bot else found.profits
    assert len(profits) == 1
    one = profits[0]
    assert one.total == pytest.approx(one.realised + one.unrealised - one.fee + one.funding)
    return Profit(one.realised, one.unrealised, one.fee, one.funding)


def look(world: World, ns: int = SECOND) -> None:
    world.advance(ns)
    world.tick()
    world.flush()


def new_orders(world: World, since: int = 0) -> list[Submit]:
    return [one for one in world.commands[since:] if isinstance(one, Submit) and not one.reduce_only]


# --- What is earned ------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(-20, 20).filter(bool), st.floats(0.5, 200.0)), max_size=30),
    st.sampled_from([1, -1]),
    st.floats(0.5, 200.0),
)
def test_realised_and_unrealised_are_what_the_cash_and_the_position_are_worth(trades, sign, mark):
    cost, held, cash, realised = 0.0, 0, 0.0, 0.0
    for lots, price in trades:
        amount = abs(lots) * (price if sign > 0 else 1 / price)
        cost, more = closed_part(cost, held, lots, amount, sign)
        held += lots
        realised += more
        cash -= math.copysign(amount, lots)
        if not held:
            assert cost == 0.0
    value = held * (mark if sign > 0 else 1 / mark)
    assert realised + sign * (value - cost) == pytest.approx(sign * (cash + value), abs=1e-6)


def test_profit_of_a_day_has_its_four_parts():
    world = begun()
    trade(world, 1, BUY, 1000, 10)
    trade(world, 2, SELL, 1010, 4)
    book(world, 1019, 1021)
    world.manager.on_funds(Funding(SYMBOL, "USDT", -0.5, world.now_ns, "f1"), world.now_ns)
    world.manager.on_funds(Funding(SYMBOL, "USDT", -0.5, world.now_ns, "f1"), world.now_ns)
    look(world)
    profit = shown(world, "a")
    assert profit.realised == pytest.approx(4 * 10 * 0.1 * 0.001)
    assert profit.unrealised == pytest.approx(6 * 20 * 0.1 * 0.001)
    assert profit.fee == pytest.approx(14 * FEE_A_LOT)
    assert profit.funding == -0.5, "once, though it was told twice"
    assert shown(world) == profit


def test_the_profit_of_an_inverse_contract_is_in_coin():
    instrument = msgspec.structs.replace(INSTRUMENT, inverse=True, contract_size=100.0, lot_size=Decimal(1))
    ledger = Ledger(instrument)
    bot = BotBook("a", SYMBOL)
    earning.executed(ledger, bot, 0, 3, 300 / 100.0, 100.0, 0)
    bot.position_lots = 3
    earning.executed(ledger, bot, 3, -1, 100 / 125.0, 125.0, 0)
    bot.position_lots = 2
    ledger.mark = 160.0
    assert bot.realised == pytest.approx(100 * (1 / 100 - 1 / 125))
    assert earning.unrealised(ledger, bot) == pytest.approx(200 * (1 / 100 - 1 / 160))


def test_funding_is_shared_by_position_and_what_is_no_bots_is_the_accounts():
    world = begun(bots=("a", "b"))
    trade(world, 1, BUY, 1000, 30, "a")
    trade(world, 1, SELL, 1000, 10, "b")
    world.manager.on_funds(Funding(SYMBOL, "USDT", -2.0, world.now_ns, "f1"), world.now_ns)
    world.manager.on_funds(Funding("", "BNB", -1.0, world.now_ns, "f2"), world.now_ns)
    look(world)
    assert shown(world, "a").funding == pytest.approx(-3.0)
    assert shown(world, "b").funding == pytest.approx(1.0)
    ledger = world.manager.store.ledgers[SYMBOL]
    ledger.account_lots, ledger.other_lots = 40, 20
    world.manager.on_funds(Funding(SYMBOL, "USDT", 4.0, world.now_ns + 1, "f3"), world.now_ns)
    assert shown(world, "a").funding == pytest.approx(0.0), "it has 30 of 40, and others have 10"
    assert shown(world, "b").funding == pytest.approx(0.0)
    profits = {one.asset: one.funding for one in world.manager.snapshot(world.now_ns).profits}
    assert profits == {"USDT": pytest.approx(0.0), "BNB": -1.0}, "half of the last was nobody's"


def test_a_day_ends_at_midnight_and_the_next_begins_at_nothing(tmp_path):
    world = begun(tmp_path)
    trade(world, 1, BUY, 1000, 10)
    world.advance(TO_MIDNIGHT_NS - SECOND)
    book(world, 1009, 1011)
    look(world, 2 * SECOND)
    book(world, 1029, 1031)
    look(world)
    assert shown(world, "a") == Profit(0.0, pytest.approx(10 * 20 * 0.1 * 0.001), 0.0, 0.0)
    (day,) = world.manager.snapshot(world.now_ns).days
    assert day.day_ns == BEGIN_NS // DAY_NS * DAY_NS
    assert day.unrealised == pytest.approx(10 * 10 * 0.1 * 0.001)
    assert day.fee == pytest.approx(10 * FEE_A_LOT)
    world.crash()
    look(world)
    assert world.manager.snapshot(world.now_ns).days == [day]


def test_what_is_heard_after_midnight_counts_on_its_own_day():
    """And the day that has begun is what it would have been, had it been heard at once."""
    found = []
    for is_late in (False, True):
        world = begun()
        trade(world, 1, BUY, 800, 10)
        assert world.submit("a", 2, SELL, 1000, 4)
        world.flush()
        look(world, TO_MIDNIGHT_NS - SECOND)
        order = world.exchange.named(world.latest["a", 2])
        assert order is not None
        world.exchange.fill(order, 4)
        if is_late:
            look_without = world.exchange.events[:]
            world.exchange.events.clear()
            look(world, 2 * SECOND)
            world.exchange.events += look_without
            world.flush()
        else:
            world.flush()
            look(world, 2 * SECOND)
        book(world, 1004, 1006)
        look(world)
        (day,) = world.manager.snapshot(world.now_ns).days
        found.append((shown(world, "a"), day))
    (now, day), (late, late_day) = found
    for name in ("realised", "unrealised", "fee", "funding"):
        assert getattr(late, name) == pytest.approx(getattr(now, name)), name
        assert getattr(late_day, name) == pytest.approx(getattr(day, name)), name
    assert day.realised == pytest.approx(4 * 200 * 0.1 * 0.001)


def test_profit_is_the_same_after_a_kill(tmp_path):
    world = begun(tmp_path)
    trade(world, 1, BUY, 1000, 10)
    trade(world, 2, SELL, 1013, 7)
    world.manager.on_funds(Funding(SYMBOL, "USDT", 0.3, world.now_ns, "f1"), world.now_ns)
    look(world)
    before = shown(world, "a")
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    book(world)
    world.manager.on_funds(Funding(SYMBOL, "USDT", 0.3, world.now_ns, "f1"), world.now_ns)
    world.attach("a")
    look(world)
    assert shown(world, "a") == before


def test_a_kill_over_midnight_leaves_each_day_what_it_was(tmp_path):
    """What was executed meanwhile counts on its day; the position is valued at the first valid book."""
    world = begun(tmp_path, on_end="keep")
    trade(world, 1, BUY, 1000, 10)
    assert world.submit("a", 2, SELL, 1010, 4)
    world.flush()
    look(world, TO_MIDNIGHT_NS - SECOND)
    order = world.exchange.named(world.latest["a", 2])
    assert order is not None
    world.exchange.fill(order, 4)
    world.crash()
    world.advance(2 * SECOND)
    world.manager.on_connection(True, world.now_ns)
    world.tick()
    book(world, 1019, 1021)
    world.reconcile()
    world.attach("a")
    look(world)
    (day,) = world.manager.snapshot(world.now_ns).days
    assert day.day_ns == BEGIN_NS // DAY_NS * DAY_NS
    assert day.realised == pytest.approx(4 * 10 * 0.1 * 0.001)
    assert day.unrealised == pytest.approx(6 * 20 * 0.1 * 0.001)
    assert day.fee == pytest.approx(14 * FEE_A_LOT)
    profit = shown(world, "a")
    assert profit.total == pytest.approx(0.0)


def test_a_journal_that_is_rewritten_keeps_profits_halts_and_payments(tmp_path):
    limits = {"max_drawdown": 50.0}
    world = begun(
        tmp_path, limits=BotLimits(max_day_loss=4.0), account=AccountLimits(self_trade="allow", **limits)
    )
    trade(world, 1, BUY, 1000, 10)
    world.manager.on_funds(Funding(SYMBOL, "USDT", -2.0, world.now_ns, "f1"), world.now_ns)
    look(world, TO_MIDNIGHT_NS)
    book(world)
    look(world)
    store = world.manager.store
    assert store.bots["a"].halt_reason
    before = shown(world, "a"), world.manager.snapshot(world.now_ns).days, dict(store.money.watches)
    store.journal.rewrite(store.rows())
    world.crash()
    book(world)
    world.manager.on_connection(True, world.now_ns)
    world.manager.on_funds(Funding(SYMBOL, "USDT", -2.0, world.now_ns, "f1"), world.now_ns)
    look(world)
    store = world.manager.store
    assert store.bots["a"].halt_reason
    after = shown(world, "a"), world.manager.snapshot(world.now_ns).days, dict(store.money.watches)
    assert after == before


def test_what_a_forgotten_bot_earned_stays_the_accounts(tmp_path, monkeypatch):
    monkeypatch.setattr("daemon.orders.state.MAX_BOTS_KNOWN", 2)
    world = begun(tmp_path, bots=("a", "b", "c"), account=AccountLimits(max_drawdown=5.2, self_trade="allow"))
    trade(world, 1, BUY, 1000, 10, "a")
    trade(world, 2, SELL, 1000, 10, "a")
    world.manager.detach("a", world.now_ns)
    look(world)
    before = shown(world)
    world.manager.detach("b", world.now_ns)
    assert "a" not in world.manager.store.bots
    look(world)
    assert shown(world) == before
    assert reason(world, 1, "c") == 0, "it is no loss, nor a gain"
    world.crash()
    look(world)
    assert shown(world) == before
    world.manager.on_connection(True, world.now_ns)
    world.reconcile()
    book(world)
    world.attach("c")
    trade(world, 3, BUY, 1000, 1, "c")
    assert reason(world, 4, "c") == REASON_HALTED


def test_days_that_are_too_many_are_forgotten_the_oldest_first(monkeypatch):
    monkeypatch.setattr("daemon.orders.money.profit.DAYS_MAX", 3)
    days = Days()
    for day in range(5):
        days.add(day, "a", "USDT", fee=1.0)
    assert days.last(9) == [4, 3, 2]
    days.rename("a", "b")
    assert [row.bot for row in days.of(4)] == ["b"]
    assert len(list(days.rows())) == 3


# --- Limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["bot", "account"])
@pytest.mark.parametrize("limits", [{"max_day_loss": 4.0}, {"max_drawdown": {"USDT": 4.0}}])
def test_a_limit_that_is_reached_halts_cancels_and_stays_over_a_restart(tmp_path, owner, limits):
    world = begun(
        tmp_path,
        bots=("a", "b"),
        account=AccountLimits(self_trade="allow", **limits) if owner == "account" else None,
        limits=BotLimits(**limits) if owner == "bot" else None,
    )
    assert reason(world, 9, price_tick=990) == 0
    world.flush()
    trade(world, 1, BUY, 1000, 10)
    assert reason(world, 2) == 0, "a loss of 2.5"
    trade(world, 3, SELL, 1000, 10)
    assert reason(world, 4) == REASON_HALTED
    world.flush()
    assert world.bots["a"].orders[9].is_inactive
    assert reason(world, 1, "b") == (REASON_HALTED if owner == "account" else 0)
    sent = len(world.commands)
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    world.reconcile()
    book(world)
    world.attach("a")
    world.bots["a"].orders.clear()
    assert reason(world, 5) == REASON_HALTED
    keys = {one.key for one in world.manager.warnings()}
    assert ("halted" if owner == "account" else "bot_halted") in keys
    look(world)
    assert new_orders(world, sent) == []
    world.manager.resume(world.now_ns)
    assert reason(world, 6) == 0
    trade(world, 7, BUY, 1000, 10)
    assert reason(world, 8) == 0, "what is lost counts from the resume"
    trade(world, 10, SELL, 1000, 10)
    assert reason(world, 11) == REASON_HALTED


def test_a_limit_is_reached_by_the_market_alone():
    world = begun(limits=BotLimits(max_drawdown=3.2))
    trade(world, 1, BUY, 1000, 10)
    look(world)
    book(world, 1999, 2001)
    look(world)
    assert reason(world, 2) == 0
    book(world, 499, 501)
    look(world)
    assert reason(world, 3) == 0, "3 below the highest, fee included"
    world.manager.on_book(NUMBER, -1100, -1098, True, world.now_ns)
    look(world)
    assert reason(world, 4) == REASON_HALTED


def test_a_drawdown_counts_from_before_the_first_execution():
    world = begun(limits=BotLimits(max_drawdown=2.4))
    assert world.submit("a", 1, BUY, 1000, 10)
    world.flush()
    order = world.exchange.named(world.latest["a", 1])
    assert order is not None
    world.exchange.fill(order, 10)
    world.exchange.events[:] = [one for one in world.exchange.events if one.has_fee]
    world.flush()
    assert reason(world, 2) == REASON_HALTED
    world.manager.resume(world.now_ns)
    look(world)
    assert reason(world, 3) == 0


def test_a_profit_that_is_no_number_halts():
    world = begun(limits=BotLimits(max_day_loss=4.0))
    trade(world, 1, BUY, 1000, 10)
    world.manager.store.ledgers[SYMBOL].book("a").fee = math.nan
    look(world)
    assert reason(world, 2) == REASON_HALTED


def test_the_order_that_waits_to_be_sent_is_taken_back():
    """A bot asks for a new order, and before that leaves an execution comes by which the limit is reached."""
    world = begun(limits=BotLimits(max_day_loss=2.75))
    assert world.submit("a", 1, BUY, 1000, 10)
    assert world.submit("a", 2, SELL, 500, 10)
    world.flush()
    for order_id in (1, 2):
        order = world.exchange.named(world.latest["a", order_id])
        assert order is not None
        world.exchange.fill(order, 10)
    emit = world.manager._emit

    def eager(name, update):
        emit(name, update)
        if getattr(update, "executed", 0) and 99 not in world.bots["a"].orders:
            world.submit("a", 99)
            assert world.manager.commands.in_flight, "it is on its way"
            while world.exchange.events:
                world.event()

    world.manager._emit = eager
    sent = len(world.commands)
    world.flush()
    assert world.bots["a"].orders[99].is_inactive
    assert new_orders(world, sent) == []
    assert reason(world, 3) == REASON_HALTED


def test_after_a_limit_is_reached_the_end_policy_closes_the_position():
    world = begun(limits=BotLimits(max_day_loss=2.0), on_end="flatten")
    trade(world, 1, BUY, 1000, 10)
    world.exchange.take_lots = 10
    look(world)
    (close,) = [one for one in world.commands if isinstance(one, Submit) and one.reduce_only]
    assert (close.side, close.qty_lots) == (SELL, 10)
    look(world, 6 * SECOND)
    assert "not_flattened" in {one.key for one in world.manager.warnings()}
    assert world.manager.store.bots["a"].is_attached
    assert reason(world, 2) == REASON_HALTED


def test_without_a_value_of_its_position_a_bot_with_a_limit_may_only_reduce_it():
    world = begun(limits=BotLimits(max_day_loss=100.0))
    trade(world, 1, BUY, 1000, 10)
    book(world, is_valid=False)
    look(world)
    assert reason(world, 2) == 0, "for a while the last value holds"
    look(world, UNMARKED_NS)
    assert reason(world, 3) == REASON_BOOK_NOT_VALID
    assert reason(world, 4, side=SELL, price_tick=1005) == 0
    keys = {one.key for one in world.manager.warnings()}
    assert "profit_unknown" in keys
    book(world)
    look(world)
    assert reason(world, 5) == 0


def test_until_the_account_was_compared_after_a_restart_a_bot_with_a_limit_sends_nothing_new(tmp_path):
    world = World(tmp_path, limits=BotLimits(max_day_loss=100.0))
    book(world)
    assert reason(world, 1) == 0
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    book(world)
    world.attach("a")
    assert reason(world, 2) == REASON_BOOK_NOT_VALID
    world.reconcile()
    assert reason(world, 3) == 0


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        (
            {"max_refusals_per_min": 3},
            lambda request: Outcome(request, REFUSED, REASON_MARGIN, "no", code=-2019),
        ),
        ({"max_unknown_per_min": 3}, lambda request: Outcome(request, UNKNOWN)),
    ],
)
def test_too_many_refusals_or_unknown_outcomes_in_a_minute_halt(limits, outcome):
    world = World(limits=BotLimits(**limits))
    for number in range(5):
        if number == 2:
            # Two are forgotten.
            world.advance(61 * SECOND)
        assert reason(world, number + 1) == 0, number
        world.manager.on_outcome(outcome(world.requests.pop(0)[0].request), world.now_ns)
        world.requests.clear()
    assert reason(world, 10) == REASON_HALTED
    world.manager.resume(world.now_ns)
    assert reason(world, 11) == 0


def test_a_halt_is_lifted_though_its_bot_is_away(tmp_path):
    world = begun(tmp_path, limits=BotLimits(max_day_loss=4.0))
    trade(world, 1, BUY, 1000, 10)
    trade(world, 2, SELL, 1000, 10)
    assert world.manager.store.bots["a"].halt_reason
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    world.manager.resume(world.now_ns)
    book(world)
    world.reconcile()
    world.attach("a")
    look(world)
    assert reason(world, 3) == 0
    trade(world, 4, BUY, 1000, 10)
    assert reason(world, 5) == 0
    trade(world, 6, SELL, 1000, 10)
    assert reason(world, 7) == REASON_HALTED


def test_a_persons_halt_is_not_taken_for_a_limits():
    world = begun(limits=BotLimits(max_day_loss=4.0), on_end="flatten")
    trade(world, 1, BUY, 1000, 10)
    world.manager.halt("lunch", world.now_ns)
    look(world)
    assert not [one for one in world.commands if isinstance(one, Submit) and one.reduce_only]
    world.manager.resume(world.now_ns)
    trade(world, 2, SELL, 1000, 10)
    assert reason(world, 3) == REASON_HALTED, "the resume did not begin its loss anew"


def test_a_fault_in_what_was_lost_halts_where_there_is_a_limit(monkeypatch):
    world = begun(limits=BotLimits(max_day_loss=4.0))
    trade(world, 1, BUY, 1000, 10)
    monkeypatch.setattr(earning, "today", lambda *_: 1 / 0)
    look(world)
    assert reason(world, 2) == REASON_HALTED


def test_an_asset_that_no_limit_names_is_refused():
    with pytest.raises(RefusedError, match="settles in USDT, for which `max_drawdown`"):
        World(limits=BotLimits(max_drawdown={"BTC": 1.0}))


@pytest.mark.parametrize("bad", [0, -1.0, {"USDT": -5.0}, "much"])
def test_an_amount_that_is_none_is_refused(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"max_day_loss": bad}, AccountLimits)
    assert msgspec.convert({"max_day_loss": {"USDT": 5}}, BotLimits).max_day_loss == {"USDT": 5.0}


def test_the_narrower_of_the_bots_own_limits_and_the_connectors_holds():
    own = wire.Limits(day_loss=5.0, drawdown=7.0)
    both = narrowed(BotLimits(max_day_loss={"USDT": 9.0, "BTC": 1.0}, max_drawdown=6.0), own, False)
    assert both.max_day_loss == {"USDT": 5.0, "BTC": 1.0}
    assert both.max_drawdown == 6.0
    assert narrowed(BotLimits(), own, False).max_day_loss == 5.0


def test_limits_show_what_is_used_and_warn_when_they_are_nearly_reached():
    world = begun(limits=BotLimits(max_day_loss=3.0))
    trade(world, 1, BUY, 1000, 10)
    found = world.manager.snapshot(world.now_ns)
    used = {one.name: (one.used, one.limit) for bot in found.bots for one in bot.limits}
    assert used["loss of the day, USDT"] == (pytest.approx(2.5), 3.0)
    assert "limit_near" in {one.key for one in world.manager.warnings()}


def test_a_journal_of_before_profits_is_read(tmp_path):
    world = begun(tmp_path)
    trade(world, 1, BUY, 1000, 10)
    rows, _ = read_rows(world.path.read_bytes(), world.path)
    old = [
        msgspec.convert(msgspec.to_builtins(row)[:13], BotBook) if isinstance(row, BotBook) else row
        for row in rows
    ]
    journal = world.manager.store.journal
    journal.rewrite(old)
    world.crash()
    book(world, 1009, 1011)
    look(world)
    book(world, 1019, 1021)
    look(world)
    profit = shown(world, "a")
    assert profit.unrealised == pytest.approx(10 * 10 * 0.1 * 0.001), "it counts from the first valid book"
    assert profit.fee == 0.0
    assert Halt("x") == msgspec.convert(["halt", "x"], Halt)


def told(kept: Kept, at_s: float, amount: float, by: str, name: str, symbol: str = SYMBOL) -> bool:
    row = Funded(symbol, "USDT", amount, int(at_s * 1e9), f"{by} {name}", by)
    return not kept.is_counted(row) and kept.count(row)


def test_a_payment_that_is_told_in_two_ways_is_counted_once():
    kept = Kept()
    assert told(kept, 1000.0, -0.5, BY_STREAM, "a")
    assert not told(kept, 1002.0, -0.5, BY_QUERY, "1"), "the same one, by another clock"
    assert told(kept, 1002.0, -0.4, BY_QUERY, "2")
    assert not told(kept, 1000.0, -0.4, BY_STREAM, "b", symbol=""), (
        "the stream was late and named no instrument"
    )
    assert told(kept, 29_800.0, -0.5, BY_QUERY, "3"), "eight hours later"
    assert told(kept, 29_800.0, -0.5, BY_QUERY, "4", symbol="OTHER")
    assert sum(one.amount for one in kept.funded()) == pytest.approx(-1.9)


payments = st.lists(st.tuples(st.sampled_from([-0.5, 0.25]), st.booleans(), st.booleans()), max_size=12)


@given(payments, st.randoms(use_true_random=False))
def test_whatever_way_tells_a_payment_first_and_however_often_the_sum_is_right(made, rng):
    """Each is told by the stream, by queries, or by both; queries come again, and the journal is read in between."""
    kept = Kept()
    ways: list[tuple[int, str]] = []
    for number, (_, streamed, queried) in enumerate(made):
        ways += [(number, BY_STREAM)] * streamed + [(number, BY_QUERY)] * (
            2 if queried or not streamed else 0
        )
    rng.shuffle(ways)
    for number, by in ways:
        if rng.random() < 0.2:
            kept, rows = Kept(), list(kept.rows())
            for row in rows:
                kept.restore(msgspec.json.decode(msgspec.json.encode(row), type=Funded))
        told(kept, 3600.0 * (number + 1), made[number][0], by, str(number))
    assert sum(one.amount for one in kept.funded()) == pytest.approx(sum(amount for amount, *_ in made))
