import random

import msgspec
import pytest

from daemon.messages import BY_STREAM, CONFIRMED, REFUSED, Cancel, Execution, Outcome, Report, Submit
from daemon.orders.lease_end import CLOSING_PER_S, ORPHAN_NS
from daemon.orders.limits import BotLimits
from daemon.orders.order import UNSURE, Order
from hftd.constants import (
    CANCELED,
    EXPIRED,
    FILLED,
    IOC,
    MARKET,
    REASON_BOOK_NOT_VALID,
    REASON_FILTER,
    REASON_LEASE_ENDED,
    REASON_NEVER_SENT,
    REASON_RATE_LIMIT,
    REASON_REDUCE_ONLY,
    SELL,
)
from hftd.errors import RefusedError
from tests.daemon.orders.model import INSTRUMENT
from tests.daemon.orders.test_life_cycles import GONE, RESTS, last, place, told
from tests.daemon.orders.world import NUMBER, SECOND, World


def flattening(world: World) -> list[Submit]:
    return [one for one in world.commands if isinstance(one, Submit) and one.reduce_only]


def with_position(**options) -> World:
    """A bot that is 6 lots long, with an order to sell more."""
    world = World(on_end="flatten", **options)
    place(world, lots=6)
    world.exchange.fill(world.exchange.open_orders()[0], 6)
    world.submit("a", 2, side=SELL, price_tick=1010, lots=4)
    world.flush()
    return world


def test_the_end_of_a_lease_cancels_the_bots_orders_and_no_others():
    world = World(bots=("a", "b"))
    world.submit("a", 1)
    world.submit("b", 1)
    world.submit("a", 2)  # still on its way
    world.arrive()
    world.arrive()
    world.flush()
    world.manager.detach("a", world.now_ns)
    world.settle()
    assert [one.client_id for one in world.exchange.open_orders()] == [world.latest["b", 1]]
    assert told(world, "b") == [RESTS]
    world.check()


def test_an_order_that_is_on_its_way_when_the_lease_ends_is_not_left_behind(world):
    world.submit("a", 1)
    world.manager.detach("a", world.now_ns)
    assert [type(one[0]) for one in world.requests] == [Submit, Cancel]
    world.arrive(1)
    world.settle()
    assert world.exchange.open_orders() == []


def test_keep_keeps_them_and_the_bot_is_told_when_it_comes_back():
    world = World(on_end="keep")
    place(world)
    world.manager.detach("a", world.now_ns)
    world.exchange.fill(world.exchange.open_orders()[0], 3)
    world.settle()
    assert len(world.exchange.open_orders()) == 1
    world.bots["a"].orders.clear()
    world.bots["a"].updates.clear()
    world.attach("a")
    assert told(world) == [(5, 0, 0)]
    assert last(world).leaves_qty == 0.007
    assert world.bots["a"].state.position == 0.003
    world.check()


def test_flatten_cancels_and_then_closes_the_bots_position():
    world = with_position()
    world.manager.detach("a", world.now_ns)
    assert flattening(world) == []
    world.tick()
    assert flattening(world) == [], "not before the cancels are confirmed"
    world.flush()
    world.tick()
    (command,) = flattening(world)
    assert (command.side, command.order_type, command.time_in_force, command.qty_lots) == (
        SELL,
        MARKET,
        IOC,
        6,
    )
    world.arrive(take_lots=6)
    world.flush()
    assert world.exchange.position_lots == 0
    for _ in range(5):
        world.advance(SECOND)
        world.tick()
    assert len(flattening(world)) == 1
    assert not world.manager.store.bots["a"].row.is_ending
    world.check()


def test_flatten_waits_for_executions_that_are_missing():
    world = with_position()
    world.exchange.fill(world.exchange.open_orders()[0], 1)
    world.exchange.events.clear()
    world.manager.detach("a", world.now_ns)
    world.arrive()
    world.reply()  # CANCELED, with 1 executed that was not seen
    world.exchange.events.clear()
    world.advance(SECOND)
    world.tick()
    assert flattening(world) == []
    world.reconcile()
    world.advance(SECOND)
    world.tick()
    assert flattening(world)[0].qty_lots == 5


def seconds_of_closing(world: World, seconds: int) -> list[int]:
    """In which seconds closing orders are sent, if each takes nothing."""
    sent: list[int] = []
    for second in range(seconds):
        world.tick()
        sent += [second] * sum(isinstance(one[0], Submit) for one in world.requests)
        while world.requests:
            world.arrive(take_lots=0)
        world.flush()
        world.advance(SECOND)
    return sent


def test_flatten_goes_on_without_an_end_ever_more_slowly_and_is_told_of():
    world = with_position()
    world.manager.detach("a", world.now_ns)
    world.flush()
    waits = [1, 1, 1, 2, 4, 8, 16, 30, 30, 30]
    assert seconds_of_closing(world, 125) == [sum(waits[:n]) for n in range(len(waits) + 1)]
    assert world.manager.counters.not_flattened == 1
    (warning,) = world.manager.warnings()
    assert (warning.key, warning.symbol) == ("not_flattened", "a BTCUSDT")
    assert "0.006" in warning.text
    for _ in range(40):
        world.tick()
        while world.requests:
            world.arrive(take_lots=6)
        world.flush()
        world.advance(SECOND)
    assert world.exchange.position_lots == 0
    assert list(world.manager.warnings()) == []
    assert not world.manager.store.bots["a"].row.is_ending


def test_flatten_goes_in_pieces_that_the_exchange_takes():
    world = with_position()
    world.manager.add_instrument(msgspec.structs.replace(INSTRUMENT, market_max_qty_lots=4))
    world.manager.detach("a", world.now_ns)
    world.flush()
    for _ in range(6):
        world.tick()
        while world.requests:
            world.arrive(take_lots=9)
        world.flush()
        world.advance(SECOND)
    assert [one.qty_lots for one in flattening(world)] == [4, 2]
    assert world.exchange.position_lots == 0


def refuse_closing(world: World, reason: int, words: str, code: int) -> None:
    command = world.requests.pop()[0]
    assert isinstance(command, Submit) and command.reduce_only
    outcome = Outcome(command.request, REFUSED, reason, words, code=code)
    world.manager.on_outcome(outcome, world.now_ns)


def test_a_refusal_that_there_is_nothing_to_reduce_is_not_believed_while_the_account_has_the_position():
    world = with_position()
    world.manager.detach("a", world.now_ns)
    world.flush()
    world.reconcile()
    world.tick()
    refuse_closing(world, REASON_REDUCE_ONLY, "400 -2022 ReduceOnly Order is rejected.", -2022)
    warnings = {one.key: one.text for one in world.manager.warnings()}
    assert "-2022 ReduceOnly Order is rejected" in warnings["not_flattened"]
    world.advance(SECOND)
    world.tick()
    world.arrive(take_lots=6)
    world.flush()
    assert world.exchange.position_lots == 0


def test_where_somebody_else_holds_the_opposite_flattening_waits_and_says_whose_it_is():
    world = World(bots=("a", "b"), on_end="flatten")
    place(world, lots=6)
    world.exchange.fill(world.exchange.open_orders()[0], 6)
    world.submit("b", 1, side=SELL, price_tick=1010, lots=6)
    world.flush()
    world.exchange.fill(world.exchange.open_orders()[0], 6)
    world.flush()
    world.advance(SECOND)
    world.reconcile()
    world.manager.detach("a", world.now_ns)
    assert seconds_of_closing(world, 100) == [], "the account is flat: there is nothing to reduce"
    (warning,) = world.manager.warnings()
    assert "the bot b -0.006" in warning.text
    assert world.manager.unfinished() == 0, "a connector that ends does not wait for it"
    # The other one closes its own: now the account has the first bot's position.
    world.submit("b", 2, lots=6)
    world.flush()
    world.exchange.fill(world.exchange.open_orders()[0], 6)
    world.flush()
    world.tick()
    world.arrive(take_lots=6)
    world.flush()
    assert world.exchange.position_lots == 0
    assert world.manager.store.ledgers["BTCUSDT"].books["a"].position_lots == 0


def test_no_more_is_closed_than_the_account_has():
    world = with_position()
    world.exchange.position_lots = 4
    world.reconcile()  # somebody sold 2 by hand, and that is not known yet
    world.manager.detach("a", world.now_ns)
    world.flush()
    world.manager.store.ledgers["BTCUSDT"].take_holding(4)
    world.tick()
    assert [one.qty_lots for one in flattening(world)] == [4]


def test_trouble_in_one_instrument_does_not_hold_up_another():
    other = msgspec.structs.replace(INSTRUMENT, number=8, symbol="ETHUSDT")
    world = with_position()
    world.manager.add_instrument(other)
    ledger = world.manager.store.ledgers["ETHUSDT"]
    ledger.book("a").position_lots = ledger.account_lots = 50
    stuck = Order(
        client_id="x",
        bot="a",
        order_id=9,
        symbol="ETHUSDT",
        side=1,
        order_type=0,
        time_in_force=0,
        reduce_only=False,
        price_tick=1000,
        qty_lots=1,
        local_ts=0,
        submitted_ns=world.now_ns,
        submit_phase=UNSURE,
    )
    world.manager.store.add(stuck)
    world.manager.detach("a", world.now_ns)
    world.flush()
    world.tick()
    assert [(one.symbol, one.qty_lots) for one in flattening(world)] == [("BTCUSDT", 6)]


@pytest.mark.parametrize("seed", range(20))
def test_however_the_exchange_refuses_and_fills_in_part_all_instruments_end_flat(seed):
    """The tries of an instrument depend on it alone, and there are never more than allowed in a second."""
    rng = random.Random(seed)
    world = with_position()
    manager = world.manager
    real = {"BTCUSDT": 6}
    for number in range(8, 40):
        symbol = f"S{number}"
        manager.add_instrument(
            msgspec.structs.replace(
                INSTRUMENT, number=number, symbol=symbol, market_max_qty_lots=rng.randrange(3, 60)
            )
        )
        ledger = manager.store.ledgers[symbol]
        real[symbol] = rng.choice((-1, 1)) * rng.randrange(1, 150)
        ledger.book("a").position_lots = ledger.account_lots = real[symbol]
    manager.detach("a", world.now_ns)
    world.flush()
    trade = 0
    for second in range(900):
        if second == 300 and rng.random() < 0.5:
            rng = random.Random(-seed)
        manager.tick(world.now_ns)
        assert len(world.requests) <= CLOSING_PER_S
        while world.requests:
            command = world.requests.pop()[0]
            assert isinstance(command, Submit) and command.reduce_only
            if rng.random() < (0.7 if second < 300 else 0.1):
                reason = rng.choice((REASON_REDUCE_ONLY, REASON_FILTER, REASON_RATE_LIMIT, REASON_NEVER_SENT))
                manager.on_outcome(Outcome(command.request, REFUSED, reason, "no", code=-1), world.now_ns)
                continue
            lots = min(abs(real[command.symbol]), rng.randrange(command.qty_lots + 1))
            real[command.symbol] += command.side * lots
            trade += 1
            execution = Execution(
                symbol=command.symbol,
                trade_id=f"f{trade}",
                client_id=command.client_id,
                exch_order_id=f"x{trade}",
                side=command.side,
                price_tick=1000,
                qty_lots=lots,
                is_maker=False,
                fee=0.0,
                fee_asset="USDT",
                exch_ns=world.now_ns,
            )
            report = Report(
                source=BY_STREAM,
                client_id=command.client_id,
                exch_order_id=f"x{trade}",
                symbol=command.symbol,
                side=command.side,
                order_type=MARKET,
                time_in_force=IOC,
                status=FILLED if lots == command.qty_lots else EXPIRED,
                price_tick=0,
                qty_lots=command.qty_lots,
                cum_lots=lots,
                exch_ns=world.now_ns,
                execution=execution if lots else None,
            )
            manager.on_outcome(Outcome(command.request, CONFIRMED, report=report), world.now_ns)
        world.advance(SECOND)
    assert set(real.values()) == {0}
    assert not manager.store.bots["a"].row.is_ending


def test_a_bot_that_comes_back_stops_being_flattened():
    world = with_position()
    world.manager.detach("a", world.now_ns)
    world.attach("a")
    world.flush()
    for _ in range(3):
        world.advance(SECOND)
        world.tick()
    assert flattening(world) == []
    assert world.bots["a"].state.position == 0.006


def test_flattening_goes_on_after_a_crash(tmp_path):
    world = with_position(folder=tmp_path)
    world.manager.detach("a", world.now_ns)
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    world.reconcile()
    for _ in range(5):
        world.tick()
        while world.requests:
            world.arrive(take_lots=6)
        world.flush()
        world.advance(SECOND)
    assert world.exchange.position_lots == 0
    assert world.exchange.open_orders() == []


def test_a_bot_that_does_not_come_back_after_a_crash_has_its_orders_cancelled(kept):
    place(kept)
    kept.crash()
    kept.advance(ORPHAN_NS)
    kept.tick()
    assert kept.requests == [], "counted from the first connection on"
    kept.manager.on_connection(True, kept.now_ns)
    kept.advance(ORPHAN_NS - 1)
    kept.tick()
    assert not any(isinstance(one[0], Cancel) for one in kept.requests)
    kept.advance(1)
    kept.tick()
    kept.flush()
    assert kept.exchange.open_orders() == []


def test_a_bot_that_comes_back_in_time_keeps_its_orders(kept):
    place(kept)
    kept.crash()
    kept.manager.on_connection(True, kept.now_ns)
    kept.attach("a")
    kept.advance(2 * ORPHAN_NS)
    kept.tick()
    kept.flush()
    assert len(kept.exchange.open_orders()) == 1


def test_the_bot_is_told_why_its_orders_went():
    world = World(on_end="cancel")
    place(world)
    world.manager.detach("a", world.now_ns)
    world.bots["a"].updates.clear()
    world.attach("a")
    world.flush()
    assert told(world)[-1] == GONE
    assert last(world).reason == REASON_LEASE_ENDED


def test_quotes_are_pulled_while_the_book_is_not_valid_if_the_bot_asked_for_that():
    world = World(limits=BotLimits(pull_quotes=True))
    world.manager.on_book(NUMBER, 999, 1001, True, world.now_ns)
    place(world)
    world.manager.on_book(NUMBER, 999, 1001, True, world.now_ns)
    assert world.requests == []
    world.manager.on_book(NUMBER, 999, 1001, False, world.now_ns)
    assert [type(one[0]) for one in world.requests] == [Cancel]
    world.flush()
    assert last(world).status == CANCELED
    assert last(world).reason == REASON_BOOK_NOT_VALID
    world.submit("a", 2)
    assert last(world).reason == REASON_BOOK_NOT_VALID
    world.manager.on_book(NUMBER, 999, 1001, True, world.now_ns)
    world.submit("a", 3)
    assert len(world.requests) == 1


def test_quotes_stay_if_the_bot_did_not_ask(world):
    world.manager.on_book(NUMBER, 999, 1001, True, world.now_ns)
    place(world)
    world.manager.on_book(NUMBER, 999, 1001, False, world.now_ns)
    assert world.requests == []


def test_two_bots_whose_marks_in_order_ids_are_equal_are_refused(world):
    name, other = "plumless", "buckeroo"  # which CRC-32 does not tell apart
    world.manager.attach(name, [NUMBER], BotLimits(), "cancel", world.now_ns)
    with pytest.raises(RefusedError, match="same mark"):
        world.manager.attach(other, [NUMBER], BotLimits(), "cancel", world.now_ns)


def test_requests_of_a_bot_without_a_lease_are_not_heard(world):
    world.manager.detach("a", world.now_ns)
    world.submit("a", 1)
    assert world.requests == []
    assert world.manager.counters.unheard_requests == 1
    world.manager.detach("a", world.now_ns)
    world.manager.detach("nobody", world.now_ns)
