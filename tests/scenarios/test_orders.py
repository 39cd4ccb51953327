"""An order's life: placed, filled, changed, cancelled, and what comes in between."""

import pytest

from hftd.constants import (
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTX,
    IOC,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    REASON_FOK,
    REASON_POST_ONLY,
    REASON_SELF_TRADE,
    SELL,
)
from tests.scenarios.driver import scenario, sold

LATE = {"latency": {"entry_ms": [20.0, 20.0]}}
"""Requests are long on their way."""


@scenario()
async def test_an_order_is_placed_and_rests_at_its_price(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    assert bot.orders[1].status == NEW
    assert s.open == [(1, -5, 10)]


@scenario(happens=[sold(4), sold(6)])
async def test_an_order_is_filled_in_parts(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    await s.market()
    assert (bot.orders[1].status, bot.lots(1)) == (PARTIALLY_FILLED, 6)
    await s.market()
    assert bot.orders[1].status == FILLED
    assert bot.fills(1) == [4, 6]
    assert bot.position == s.position == 10


@scenario()
async def test_an_order_is_cancelled(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    bot.cancel(1)
    await s.sleep(0.1)
    assert bot.orders[1].status == CANCELED
    assert s.open == []


@pytest.mark.parametrize(("ticks", "lots"), [(-7, 10), (-5, 3), (-4, 20)])
@scenario()
async def test_an_order_is_modified(s, ticks, lots):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    bot.modify(1, ticks, lots)
    await s.sleep(0.1)
    assert (bot.orders[1].status, bot.lots(1)) == (NEW, lots)
    assert s.open == [(1, ticks, lots)]


@scenario(happens=[sold(4), sold(20, -6)])
async def test_what_is_modified_after_a_partial_fill_is_what_remains(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    await s.market()
    bot.modify(1, -6, 9)
    await s.sleep(0.1)
    assert s.open == [(1, -6, 9)]
    assert bot.lots(1) == 9
    await s.market()
    assert s.position == bot.position == 13


@scenario(happens=[sold(10)], sections=LATE)
async def test_an_order_that_is_filled_while_a_modification_is_on_its_way_is_filled_at_its_old_price(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    bot.modify(1, -9, 30)
    await s.market(0.3)
    assert bot.orders[1].status == FILLED
    assert s.open == []
    assert s.position == bot.position == 10


@scenario(happens=[sold(4)], sections=LATE)
async def test_a_modification_that_a_fill_overtakes_leaves_no_more_than_was_asked_for(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    bot.modify(1, -6, 8)
    await s.market(0.3)
    # The whole is what was asked for when nothing was executed; another order in its place has all of it to do.
    left = 4 if s.case.has_positions else 8
    assert s.open == [(1, -6, left)]
    assert bot.lots(1) == left


@scenario(happens=[sold(7)], sections=LATE)
async def test_a_modification_to_less_than_is_executed_meanwhile_ends_the_order_or_is_refused(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    bot.modify(1, -6, 5)
    await s.market(0.3)
    assert s.open in (([], [(1, -5, 3)]) if s.case.has_positions else ([(1, -6, 5)],))
    assert s.position == bot.position == 7


@scenario(happens=[sold(10)], sections=LATE)
async def test_an_order_that_is_filled_while_its_cancel_is_on_its_way_is_filled(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    bot.cancel(1)
    await s.market(0.3)
    assert bot.orders[1].status == FILLED
    assert s.position == bot.position == 10


@scenario(happens=[sold(4)], sections=LATE)
async def test_a_part_that_is_filled_while_the_cancel_is_on_its_way_counts(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    bot.cancel(1)
    await s.market(0.3)
    assert bot.orders[1].status == CANCELED
    assert s.position == bot.position == 4
    assert s.open == []


@scenario(sections={"latency": {"reply_ms": [80.0, 80.0]}})
async def test_an_order_whose_fill_is_told_before_its_ack_is_filled_once(s):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    await s.sleep(0.05)
    assert s.position == 10
    await s.sleep(0.3)
    assert bot.orders[1].status == FILLED
    assert sum(bot.fills(1)) == bot.position == 10


@scenario(sections={"latency": {"event_ms": [300.0, 300.0]}})
async def test_an_order_whose_ack_comes_long_before_its_fill_is_filled_once(s):
    bot = s.bot()
    bot.place(1, 10, 10, tif=IOC)
    await s.sleep(0.8)
    assert bot.orders[1].status == FILLED
    assert sum(bot.fills(1)) == bot.position == s.position == 10


@scenario()
async def test_what_an_immediate_order_can_not_take_expires(s):
    bot = s.bot()
    bot.place(1, 10, 60, tif=IOC)
    await s.sleep(0.2)
    assert bot.orders[1].status in (CANCELED, EXPIRED)
    assert s.position == bot.position == 50
    assert s.open == []


@scenario()
async def test_a_fill_or_kill_order_that_can_not_be_filled_takes_nothing(s):
    bot = s.bot()
    bot.place(1, 10, 60, tif=FOK)
    await s.sleep(0.2)
    assert (bot.orders[1].status, bot.orders[1].reason) == (EXPIRED, REASON_FOK)
    assert s.position == bot.position == 0


@scenario()
async def test_a_market_order_takes_both_ways(s):
    bot = s.bot()
    bot.place(1, 0, 10, kind=MARKET, tif=IOC)
    await s.sleep(0.2)
    assert s.position == bot.position == 10
    bot.place(2, 0, 25, side=SELL, kind=MARKET, tif=IOC)
    await s.sleep(0.2)
    assert s.position == bot.position == -15


@scenario()
async def test_a_post_only_order_that_crosses_is_refused_and_one_that_does_not_rests(s):
    bot = s.bot()
    bot.place(1, 10, 10, tif=GTX)
    bot.place(2, -5, 10, tif=GTX)
    await s.sleep(0.2)
    assert (bot.orders[1].status, bot.orders[1].reason) == (EXPIRED, REASON_POST_ONLY)
    assert s.open == [(1, -5, 10)]
    assert s.trades == []


@scenario(sections=LATE)
async def test_an_order_that_is_cancelled_before_its_ack_is_cancelled(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.001)
    bot.cancel(1)
    await s.sleep(1.0)
    assert bot.orders[1].status in (CANCELED, EXPIRED)
    assert s.open == []


@scenario()
async def test_an_order_that_would_meet_another_bots_is_not_sent(s):
    one, other = s.bot("one"), s.bot("other")
    one.place(1, -5, 10)
    await s.sleep(0.1)
    other.place(1, -5, 10, side=SELL)
    await s.sleep(0.1)
    assert other.orders[1].reason == REASON_SELF_TRADE
    assert s.requests == [("place", 10)]


@scenario(happens=[sold(12)])
async def test_the_fills_of_two_bots_are_each_its_own(s):
    one, other = s.bot("one"), s.bot("other")
    one.place(1, -5, 10)
    await s.sleep(0.1)
    other.place(1, -5, 10)
    await s.sleep(0.1)
    await s.market()
    assert (one.fills(1), other.fills(1)) == ([10], [10])
    assert (one.position, other.position, s.position) == (10, 10, 20)


@scenario()
async def test_numbers_of_orders_are_used_again(s):
    bot = s.bot()
    for lots in (10, 11, 12):
        bot.place(1, -5, lots)
        await s.sleep(0.1)
        bot.cancel(1)
        await s.sleep(0.1)
    bot.place(1, -6, 13)
    await s.sleep(0.1)
    assert s.open == [(1, -6, 13)]
    assert s.requests == [("place", 10), ("place", 11), ("place", 12), ("place", 13)]
