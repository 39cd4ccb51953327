import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.orders.limits import AccountLimits, BotLimits, InstrumentLimits, RateGate, narrowed
from hftd import wire
from hftd.constants import (
    BUY,
    GTX,
    INVALID_MAX,
    INVALID_MIN,
    LIMIT,
    MARKET,
    NEW,
    REASON_BOOK_NOT_VALID,
    REASON_DISCONNECTED,
    REASON_DUPLICATE,
    REASON_FILTER,
    REASON_HALTED,
    REASON_LIMIT_NOTIONAL,
    REASON_LIMIT_ORDERS,
    REASON_LIMIT_POSITION,
    REASON_LIMIT_PRICE,
    REASON_LIMIT_QTY,
    REASON_LIMIT_RATE,
    REASON_NOT_TRADING,
    REASON_OFF_GRID,
    REASON_SELF_TRADE,
    SELL,
)
from hftd.errors import ProtocolError
from tests.daemon.orders.model import INSTRUMENT
from tests.daemon.orders.test_life_cycles import NO, last, told
from tests.daemon.orders.world import NUMBER, SECOND, World

OPEN = 0


def reason(world: World, order_id: int = 1, bot: str = "a", **options) -> int:
    """Why an order is refused; 0 if it is sent."""
    before = len(world.bots[bot].updates)
    assert world.submit(bot, order_id, **options)
    updates = world.bots[bot].updates[before:]
    if not updates:
        return 0
    assert told(world, bot)[-1] == NO
    assert last(world, bot).exch_ts == 0, "the exchange had no part in it"
    assert world.bots[bot].orders[order_id].is_inactive
    return last(world, bot).reason


def test_an_order_within_the_limits_is_sent(world):
    assert reason(world) == 0
    assert len(world.requests) == 1


@pytest.mark.parametrize("owner", ["bot", "account"])
@pytest.mark.parametrize(
    ("limit", "good", "bad", "expected"),
    [
        ({"max_order_qty": 0.01}, {"lots": 10}, {"lots": 11}, REASON_LIMIT_QTY),
        ({"max_order_notional": 1.0}, {"lots": 10}, {"lots": 11}, REASON_LIMIT_NOTIONAL),
        ({"max_position": 0.01}, {"lots": 10}, {"lots": 11}, REASON_LIMIT_POSITION),
        ({"max_position_notional": 1.0}, {"lots": 10}, {"lots": 11}, REASON_LIMIT_POSITION),
        ({"price_band": 0.01}, {"price_tick": 1011}, {"price_tick": 1012}, REASON_LIMIT_PRICE),
        ({"price_band_ticks": 3}, {"price_tick": 1004}, {"price_tick": 1005}, REASON_LIMIT_PRICE),
    ],
)
def test_each_limit_refuses_with_its_reason(owner, limit, good, bad, expected):
    limits = {"limits": BotLimits(**limit)} if owner == "bot" else {"account": AccountLimits(**limit)}
    world = World(**limits)
    world.manager.on_book(NUMBER, 999, 1001, True, world.now_ns)
    assert reason(world, **bad) == expected
    assert reason(world, **good) == 0
    assert world.manager.counters.refused == {expected: 1}


def test_an_instrument_can_have_limits_of_its_own():
    limits = BotLimits(max_order_qty=1.0, instruments={"BTCUSDT": InstrumentLimits(max_order_qty=0.001)})
    world = World(limits=limits)
    assert reason(world, lots=2) == REASON_LIMIT_QTY
    assert reason(world, lots=1) == 0


def test_open_orders_count_into_the_position_as_if_they_filled():
    world = World(limits=BotLimits(max_position=0.01))
    assert reason(world, 1, lots=6) == 0
    assert reason(world, 2, lots=5) == REASON_LIMIT_POSITION
    assert reason(world, 3, lots=4) == 0
    assert reason(world, 4, side=SELL, lots=10) == 0, "the other side for itself"
    assert reason(world, 5, side=SELL, lots=1) == REASON_LIMIT_POSITION
    world.flush()
    for order in world.exchange.open_orders()[:2]:
        world.exchange.fill(order, 10)
    world.flush()
    assert reason(world, 6, lots=1) == REASON_LIMIT_POSITION
    assert reason(world, 7, side=SELL, lots=10) == 0, "from 10 long, with 10 on offer, to 10 short"
    world.cancel("a", 7)
    world.flush()


def test_a_cancelled_order_gives_its_room_back_and_a_modification_needs_only_the_difference():
    world = World(limits=BotLimits(max_position=0.01))
    assert reason(world, 1, lots=10) == 0
    world.flush()
    world.modify("a", 1, 1001, 11)
    assert last(world).reason == REASON_LIMIT_POSITION
    world.modify("a", 1, 1001, 9)
    assert len(world.requests) == 1
    assert reason(world, 2, lots=1) == REASON_LIMIT_POSITION, "until it is answered, it may be the old one"
    world.flush()
    assert reason(world, 2, lots=1) == 0
    world.flush()
    world.cancel("a", 1)
    world.flush()
    assert reason(world, 1, lots=9) == 0


def test_the_account_counts_all_bots():
    world = World(bots=("a", "b"), account=AccountLimits(max_position=0.01, max_open_orders=3))
    assert reason(world, 1, "a", lots=6) == 0
    assert reason(world, 1, "b", lots=6) == REASON_LIMIT_POSITION
    assert reason(world, 1, "b", lots=4) == 0
    assert reason(world, 2, "b", side=SELL, price_tick=1010, lots=4) == 0
    assert reason(world, 2, "a", side=SELL, price_tick=1010, lots=4) == REASON_LIMIT_ORDERS


def test_a_bot_has_at_most_so_many_open_orders():
    world = World(limits=BotLimits(max_open_orders=2))
    assert reason(world, 1) == 0
    assert reason(world, 2) == 0
    assert reason(world, 3) == REASON_LIMIT_ORDERS
    world.flush()
    world.cancel("a", 1)
    world.flush()
    assert reason(world, 4) == 0


def test_orders_and_modifications_come_at_most_so_often_and_cancels_always_pass():
    world = World(limits=BotLimits(max_orders_per_s=2))
    assert [reason(world, i) for i in (1, 2, 3)] == [0, 0, REASON_LIMIT_RATE]
    world.flush()
    world.modify("a", 1, 1001, 10)
    assert last(world).reason == REASON_LIMIT_RATE
    world.advance(SECOND // 2)
    world.modify("a", 1, 1001, 10)
    assert len(world.requests) == 1
    for _ in range(3):
        world.bots["a"].orders[2].req = 0
        world.cancel("a", 2)
    assert len(world.requests) == 2


@given(st.floats(0.1, 1000), st.lists(st.integers(0, 2 * SECOND), min_size=1, max_size=300))
def test_no_second_has_more_than_a_rate_gate_lets_through(per_s, pauses):
    order_rate = RateGate(per_s)
    now_ns, passed = 0, []
    for pause in pauses:
        now_ns += pause // 50
        if order_rate.is_open(now_ns):
            order_rate.take(now_ns)
            passed.append(now_ns)
    for begin in passed:
        within = sum(begin <= one < begin + SECOND for one in passed)
        assert within <= max(1, 2 * per_s + 1), "a burst of a second's worth, and what comes in that second"
    assert passed, "the first one passes"


def test_an_order_that_would_meet_another_bots_is_refused():
    world = World(bots=("a", "b"), account=AccountLimits())
    world.manager.on_book(NUMBER, 1000, 1002, True, world.now_ns)
    assert reason(world, 1, "b", side=SELL, price_tick=1005) == 0
    assert reason(world, 1, "a", side=BUY, price_tick=1005) == REASON_SELF_TRADE
    assert reason(world, 2, "a", side=BUY, price_tick=1004) == 0
    assert reason(world, 3, "b", side=SELL, price_tick=1004, time_in_force=GTX) == REASON_SELF_TRADE
    assert reason(world, 4, "a", side=SELL, price_tick=1004) == 0, "a bot's own are its own affair"
    assert reason(world, 5, "a", side=BUY, order_type=MARKET) == 0, "the best ask is before the other's"
    world.manager.on_book(NUMBER, 1000, 1005, True, world.now_ns)
    assert reason(world, 6, "a", side=BUY, order_type=MARKET) == REASON_SELF_TRADE
    world.flush()
    world.modify("b", 1, 1008, 10)
    assert reason(world, 7, "a", side=BUY, price_tick=1005) == REASON_SELF_TRADE, "it may still stand there"
    world.flush()
    assert reason(world, 8, "a", side=BUY, price_tick=1005) == 0
    world.modify("a", 2, 1008, 10)
    assert last(world).reason == REASON_SELF_TRADE


def test_a_price_band_needs_a_valid_book_with_that_side():
    world = World(limits=BotLimits(price_band=0.01))
    assert reason(world) == REASON_BOOK_NOT_VALID
    world.manager.on_book(NUMBER, 999, INVALID_MAX, True, world.now_ns)
    assert reason(world) == REASON_BOOK_NOT_VALID
    assert reason(world, side=SELL, price_tick=990) == 0
    world.manager.on_book(NUMBER, INVALID_MIN, 1001, True, world.now_ns)
    assert reason(world, 2, side=SELL) == REASON_BOOK_NOT_VALID
    assert reason(world, 3, price_tick=1) == 0, "far away on its own side is no danger"


@pytest.mark.parametrize("limit", ["max_order_notional", "max_position_notional"])
def test_a_sell_counts_at_what_it_would_execute_at_however_low_its_price(limit):
    world = World(limits=BotLimits(**{limit: 1.0}))
    assert reason(world, side=SELL, price_tick=1) == REASON_BOOK_NOT_VALID, "nobody knows at what"
    world.manager.on_book(NUMBER, 1000, 1001, True, world.now_ns)
    too_much = REASON_LIMIT_NOTIONAL if limit == "max_order_notional" else REASON_LIMIT_POSITION
    assert reason(world, side=SELL, price_tick=1, lots=11) == too_much
    assert reason(world, side=SELL, price_tick=1, lots=10) == 0
    world.flush()
    assert reason(world, 2, side=SELL, price_tick=2000, lots=6) == too_much, "above the bid at its own price"
    world.manager.on_book(NUMBER, 1000, 1001, False, world.now_ns)
    assert reason(world, 3, side=SELL, price_tick=1, lots=11) == too_much, "the last bid that was known"


def test_a_market_order_counts_at_the_opposite_best():
    world = World(limits=BotLimits(max_order_notional=1.0))
    assert reason(world, order_type=MARKET) == REASON_BOOK_NOT_VALID
    world.manager.on_book(NUMBER, 999, 1000, True, world.now_ns)
    assert reason(world, order_type=MARKET, lots=11) == REASON_LIMIT_NOTIONAL
    assert reason(world, order_type=MARKET, lots=10, price_tick=77) == 0
    assert world.commands[-1].price_tick == 0


@pytest.mark.parametrize(
    ("change", "options", "expected"),
    [
        ({"is_trading": False}, {}, REASON_NOT_TRADING),
        ({"min_qty_lots": 11}, {}, REASON_FILTER),
        ({"max_qty_lots": 9}, {}, REASON_FILTER),
        ({"market_max_qty_lots": 9}, {"order_type": MARKET}, REASON_FILTER),
        ({"market_max_qty_lots": 9}, {}, 0),
        ({"min_notional": 1.01}, {}, REASON_FILTER),
        ({"min_notional": 1.0}, {}, 0),
    ],
)
def test_the_exchanges_filters_save_the_way_there(world, change, options, expected):
    world.manager.add_instrument(msgspec.structs.replace(INSTRUMENT, **change))
    assert reason(world, **options) == expected


@pytest.mark.parametrize("qty", [0.0105, 0.0, -0.01, float("nan"), float("inf"), 1e300, 0.01 + 1e-8])
def test_a_quantity_that_is_no_whole_number_of_lots_is_refused(world, qty):
    world.ask(
        "a",
        wire.Submit(
            instrument=NUMBER,
            order_id=1,
            side=BUY,
            order_type=LIMIT,
            time_in_force=0,
            price_tick=1000,
            qty=qty,
            local_ts=world.now_ns,
        ),
    )
    assert last(world).reason == REASON_OFF_GRID


@given(st.integers(1, 10**9))
def test_every_whole_number_of_lots_is_one(lots):
    world = World()
    for qty in (lots / 1000, lots * 0.001):
        world.ask(
            "a",
            wire.Submit(
                instrument=NUMBER,
                order_id=1,
                side=BUY,
                order_type=LIMIT,
                time_in_force=0,
                price_tick=1000,
                qty=qty,
                local_ts=world.now_ns,
            ),
        )
        if world.commands:
            assert world.commands.pop().qty_lots == lots
        else:
            assert last(world).reason == REASON_DUPLICATE


@pytest.mark.parametrize(
    "wrong", [{"side": 0}, {"order_type": 2}, {"time_in_force": 4}, {"price_tick": 1 << 60}, {"order_id": -1}]
)
def test_what_no_session_lets_through_is_refused(world, wrong):
    good = {
        "instrument": NUMBER,
        "order_id": 1,
        "side": 1,
        "order_type": 0,
        "time_in_force": 0,
        "price_tick": 1000,
        "qty": 0.01,
        "local_ts": 1,
    }
    world.ask("a", wire.Submit(**good | wrong))
    assert last(world).reason == REASON_OFF_GRID


def test_an_instrument_that_the_bot_does_not_trade_breaks_the_protocol(world):
    with pytest.raises(ProtocolError, match="does not trade"):
        world.ask("a", wire.Cancel(NUMBER + 1, 1, 0))


def test_the_id_of_an_open_order_is_refused_also_from_a_former_life():
    world = World(on_end="keep")
    assert reason(world) == 0
    world.flush()
    world.manager.detach("a", world.now_ns)
    world.bots["a"].orders.clear()
    world.attach("a")
    assert world.bots["a"].orders[1].status == NEW, "it is told of it"
    world.bots["a"].orders.clear()
    assert reason(world) == REASON_DUPLICATE


def test_a_connection_that_is_down_refuses_at_once(world):
    world.manager.on_connection(False, world.now_ns)
    assert reason(world) == REASON_DISCONNECTED
    world.manager.on_connection(True, world.now_ns)
    assert reason(world) == 0


def test_a_halt_cancels_all_and_refuses_until_it_is_over(world):
    assert reason(world, 1) == 0
    world.flush()
    halted = world.manager.halt("lunch", world.now_ns)
    assert (halted.is_halted, halted.cancelling, halted.left) == (True, 1, 0)
    assert reason(world, 2) == REASON_HALTED
    world.modify("a", 1, 1001, 10)
    assert len(world.requests) == 1
    world.flush()
    assert last(world).reason == REASON_HALTED
    assert world.bots["a"].orders[1].is_inactive
    assert not world.manager.resume(world.now_ns).is_halted
    assert reason(world, 3) == 0


def test_a_bot_is_held_to_the_narrower_of_its_own_limits_and_the_connectors():
    limits = BotLimits(
        max_order_qty=1.0, max_position=2.0, instruments={"X": InstrumentLimits(max_order_qty=0.1)}
    )
    own = wire.Limits(order_qty=0.5, order_value=100.0, position=3.0, open_orders=4, orders_a_second=5.0)
    both = narrowed(limits, own, pull_quotes=True)
    assert (both.max_order_qty, both.max_order_notional, both.max_position) == (0.5, 100.0, 2.0)
    assert (both.max_open_orders, both.max_orders_per_s, both.pull_quotes) == (4, 5.0, True)
    assert both.instruments["X"].max_order_qty == 0.1
    assert both.instruments["X"].max_position == 3.0
    assert narrowed(limits, wire.Limits(), False) == limits


@pytest.mark.parametrize(
    "wrong", [{"max_positon": 1}, {"max_order_qty": -1}, {"max_open_orders": 0}, {"self_trade": "x"}]
)
def test_a_mistyped_limit_is_no_limit_that_is_ignored(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, AccountLimits)
