"""Orders of which it is not known what became of them: answers that are lost, late, doubled or out of order."""

import random

import pytest

from hftd.constants import CANCELED, EXPIRED, FILLED, IOC, NEW, PARTIALLY_FILLED
from tests.scenarios.driver import scenario, sold


@pytest.mark.parametrize("is_stream_silent", [False, True])
@scenario()
async def test_an_order_whose_ack_is_lost_is_found_there(s, is_stream_silent):
    bot = s.bot()
    if is_stream_silent:
        await s.control("silence", stream=s.case.streams["user"], seconds=30)
    s.fails("place")
    bot.place(1, -5, 10)
    await s.until(lambda: bot.orders[1].status == NEW, 30.0)
    assert s.requests == [("place", 10)]
    assert s.open == [(1, -5, 10)]


@scenario()
async def test_an_order_that_was_lost_on_its_way_is_over_and_not_sent_again(s):
    bot = s.bot()
    s.mute("orders")
    bot.place(1, -5, 10)
    await s.until(lambda: bot.orders[1].status == EXPIRED)
    assert s.requests == []
    s.tear("orders")
    await s.settled()
    bot.place(1, -6, 10)
    await s.sleep(0.5)
    assert s.open == [(1, -6, 10)]


@scenario()
async def test_an_order_whose_ack_is_lost_and_that_was_filled_at_once_is_filled_once(s):
    bot = s.bot()
    await s.control("silence", stream=s.case.streams["user"], seconds=5)
    s.fails("place")
    bot.place(1, 10, 10, tif=IOC)
    await s.until(lambda: bot.orders[1].status == FILLED)
    await s.sleep(20.0)
    assert sum(bot.fills(1)) == bot.position == s.position == 10


@scenario()
async def test_an_order_whose_cancel_is_not_answered_is_cancelled(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    s.fails("cancel")
    bot.cancel(1)
    await s.until(lambda: bot.orders[1].status == CANCELED)
    assert s.open == []


@scenario(happens=[sold(10)])
async def test_a_cancel_that_is_lost_on_its_way_is_sent_again(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    s.mute("orders")
    bot.cancel(1)
    await s.sleep(1.0)
    assert s.open == [(1, -5, 10)]
    s.tear("orders")
    await s.until(lambda: s.open == [])
    await s.until(lambda: bot.orders[1].status == CANCELED)


@scenario(happens=[sold(4)])
async def test_a_modification_whose_ack_is_lost_is_found_done(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    s.fails("modify")
    bot.modify(1, -6, 20)
    await s.until(lambda: not bot.orders[1].req)
    assert s.open == [(1, -6, 20)]
    assert bot.lots(1) == 20


@scenario()
async def test_a_modification_that_is_lost_on_its_way_leaves_the_order_as_it_was(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    s.mute("orders")
    bot.modify(1, -6, 20)
    await s.sleep(1.0)
    s.tear("orders")
    await s.until(lambda: not bot.orders[1].req)
    assert s.open == [(1, -5, 10)]
    assert bot.lots(1) == 10


@scenario(sections={"chaos": {"event_doubled": 1.0, "reply_doubled": 1.0}}, happens=[sold(4), sold(6)])
async def test_what_is_told_twice_counts_once(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    bot.modify(1, -5, 12)
    await s.sleep(0.2)
    await s.market(0.5)
    await s.market(0.5)
    assert bot.fills(1) == [4, 6]
    assert bot.position == s.position == 10
    bot.cancel(1)
    await s.sleep(0.5)
    assert bot.orders[1].status == CANCELED


CONFUSED = {"event_shuffled": 1.0, "event_late": 1.0, "reply_late": 1.0, "late_ms": 400.0}


@pytest.mark.parametrize("seed", [1, 2, pytest.param(3, marks=pytest.mark.thorough)])
@scenario(happens=[sold(4), sold(3), sold(3)])
async def test_events_that_come_in_any_order_come_to_the_same(s, seed):
    await s.control("chaos", CONFUSED | {"seed": seed})
    bot = s.bot()
    bot.place(1, -5, 10)
    bot.place(2, 10, 7, tif=IOC)
    bot.place(3, -8, 10)
    await s.sleep(0.3)
    bot.cancel(3)
    for _ in range(3):
        await s.market(0.05)
    await s.until(lambda: bot.position == s.position == 17)
    await s.until(lambda: bot.orders[1].status == bot.orders[2].status == FILLED)
    await s.until(lambda: bot.orders[3].status == CANCELED)
    assert sum(bot.fills(1)) == 10


@scenario(sections={"chaos": {"event_lost": 1.0}}, happens=[sold(4), sold(6)])
async def test_fills_that_are_never_told_are_found_by_asking(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    await s.market()
    await s.until(lambda: bot.position == 4, 120.0)
    await s.market()
    await s.until(lambda: bot.orders[1].status == FILLED, 120.0)
    assert bot.position == s.position == 10


@scenario()
async def test_an_outcome_stays_unknown_while_the_exchange_does_not_answer_and_is_found_when_it_does(s):
    bot = s.bot()
    await s.control("silence", stream=s.case.streams["user"], seconds=40)
    for one in ("one order", "query", "open orders"):
        s.fails(one, "error", times=0, seconds=30, status=503)
    s.fails("place")
    bot.place(1, -5, 10)
    await s.sleep(25.0)
    # Neither there nor gone: nobody may say what it is.
    assert bot.orders[1].req == NEW
    assert s.requests == [("place", 10)]
    await s.control("mend")
    await s.until(lambda: bot.orders[1].status == NEW and not bot.orders[1].req)


@scenario()
async def test_an_order_that_is_too_long_on_its_way_is_not_done_any_more(s):
    bot = s.bot()
    s.fails("place", "slow", ms=9_000)
    bot.place(1, -5, 10)
    await s.until(lambda: bot.orders[1].status == EXPIRED)
    await s.sleep(30.0)
    assert s.truth["orders"] == []
    assert len(s.requests) == 1


@scenario()
async def test_an_order_that_is_long_on_its_way_is_there(s):
    bot = s.bot()
    s.fails("place", "slow", ms=4_900)
    bot.place(1, -5, 10)
    await s.until(lambda: bot.orders[1].status == NEW)
    assert EXPIRED not in {getattr(one, "status", 0) for one in bot.said}
    assert s.open == [(1, -5, 10)]


@pytest.mark.parametrize("path", ["place", "modify", "cancel"])
@scenario()
async def test_a_timeout_at_the_exchange_is_no_refusal(s, path):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    s.refuses("timed out", path)
    if path == "place":
        bot.place(2, -6, 10)
    elif path == "modify":
        bot.modify(1, -6, 20)
    else:
        bot.cancel(1)
    await s.settled()
    # It was not done; a cancel is repeated.
    assert s.open == ([] if path == "cancel" else [(1, -5, 10)])
    assert all(not one.req for one in bot.orders.values())


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.thorough)])
@scenario(happens=[sold(3, -k % 4 - 4) for k in range(30)], between=0)
async def test_in_a_storm_with_kills_no_order_is_lost_or_doubled(s, seed):
    await s.control("chaos", seed=seed)
    bot = s.bot()
    numbers = random.Random(seed)
    for number in range(1, 91):
        if number % 3 == 0:
            bot.place(number, 20, 1 + number % 5, tif=IOC)
        else:
            bot.place(number, -4 - number % 4, 1 + number % 5)
        quiet = [n for n, one in bot.orders.items() if one.status in (NEW, PARTIALLY_FILLED) and not one.req]
        if quiet and number % 2:
            chosen = numbers.choice(quiet)
            if numbers.random() < 0.5:
                bot.cancel(chosen)
            else:
                bot.modify(chosen, -4 - numbers.randrange(4), numbers.randrange(1, 9))
        await (s.market(0.05) if number % 3 == 0 else s.sleep(0.1))
        if number % 40 == 0:
            await s.restart(needs_book=False)
    await s.control("chaos", seed="off")
    await s.control("mend")
    await s.control("speak")
    await s.control("unban")
    await s.settled(900.0)


@scenario(sections={"chaos": {"young_unseen": 1.0, "late_ms": 800.0}})
async def test_an_order_that_a_query_does_not_find_yet_is_not_given_up(s):
    bot = s.bot()
    await s.control("silence", stream=s.case.streams["user"], seconds=20)
    s.fails("place")
    bot.place(1, -5, 10)
    s.tear("orders")
    await s.until(lambda: bot.orders[1].status == NEW, 60.0)
    assert s.open == [(1, -5, 10)]
    assert EXPIRED not in {getattr(one, "status", 0) for one in bot.said}
