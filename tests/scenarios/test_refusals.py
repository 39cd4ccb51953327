"""What an exchange refuses, and what hftd does not even send."""

import pytest

from daemon.orders.limits import BotLimits
from hftd.constants import (
    CANCELED,
    EXPIRED,
    NEW,
    REASON_EXCHANGE,
    REASON_FILTER,
    REASON_HALTED,
    REASON_LIMIT_NOTIONAL,
    REASON_LIMIT_POSITION,
    REASON_MARGIN,
    REASON_PERMISSION,
    REASON_RATE_LIMIT,
    REASON_REDUCE_ONLY,
)
from tests.scenarios.driver import scenario

REASONS = {
    "margin": REASON_MARGIN,
    "reduce only": REASON_REDUCE_ONLY,
    "no permission": REASON_PERMISSION,
    "other": REASON_EXCHANGE,
    "too many orders": REASON_RATE_LIMIT,
}


@scenario()
async def test_each_refusal_has_its_reason_and_nothing_is_sent_again(s):
    bot = s.bot()
    known = {why: reason for why, reason in REASONS.items() if why in s.case.codes}
    for number, (why, reason) in enumerate(known.items(), 1):
        s.refuses(why)
        bot.place(number, -5, 10)
        await s.sleep(2.0)
        assert (bot.orders[number].status, bot.orders[number].reason) == (EXPIRED, reason), why
    # The exchange counts orders by the minute, too.
    await s.sleep(65.0)
    bot.place(9, -5, 10)
    await s.sleep(0.5)
    assert s.open == [(1, -5, 10)]
    assert s.requests == [("place", 10)] * (len(known) + 1)


@scenario(sections={"accounts": [{"balance": "0.001"}]})
async def test_an_order_for_which_the_money_is_not_there_is_refused(s):
    bot = s.bot()
    bot.place(1, -5, 5000)
    await s.sleep(0.2)
    assert (bot.orders[1].status, bot.orders[1].reason) == (EXPIRED, REASON_MARGIN)
    assert s.open == []


@scenario()
async def test_a_filter_that_the_exchange_has_changed_refuses_and_is_learned(s):
    bot = s.bot()
    await s.control("change", symbol=s.case.symbol, max_qty=f"{8 * s.lot:f}")
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    assert (bot.orders[1].status, bot.orders[1].reason) == (EXPIRED, REASON_FILTER)
    bot.place(2, -5, 8)
    await s.sleep(0.2)
    assert s.open == [(1, -5, 8)]


@scenario()
async def test_what_the_filters_forbid_is_not_sent(s):
    bot = s.bot()
    bot.place(1, -5, 10**9)
    await s.sleep(0.2)
    assert (bot.orders[1].status, bot.orders[1].reason) == (EXPIRED, REASON_FILTER)
    assert s.requests == []


@scenario()
async def test_a_refused_modification_leaves_the_order_as_it_was(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    s.refuses("margin", "modify")
    bot.modify(1, -7, 30)
    await s.sleep(0.5)
    assert (bot.orders[1].status, bot.lots(1)) == (NEW, 10)
    assert s.open == [(1, -5, 10)]
    bot.modify(1, -7, 30)
    await s.sleep(0.5)
    assert s.open == [(1, -7, 30)]


@pytest.mark.parametrize("why", ["too many orders", "other"])
@scenario()
async def test_a_refused_cancel_is_repeated_until_the_order_is_gone(s, why):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.1)
    s.refuses(why, "cancel", times=2)
    bot.cancel(1)
    await s.until(lambda: s.open == [])
    await s.sleep(0.5)
    assert bot.orders[1].status == CANCELED


@scenario()
async def test_more_orders_than_the_exchange_takes_wait_or_are_refused_and_none_is_lost(s):
    bot = s.bot()
    for number in range(1, 41):
        bot.place(number, -5 - number % 4, 10)
    await s.sleep(5.0)
    placed = [number for number, one in bot.orders.items() if one.status == NEW]
    refused = {one.reason for one in bot.orders.values() if one.status == EXPIRED}
    assert len(s.open) == len(placed) >= 10
    assert refused <= {REASON_RATE_LIMIT}
    assert len(s.requests) == len(placed)


@scenario()
async def test_a_limit_of_the_bots_refuses_before_the_exchange_is_asked(s):
    bot = s.bot(limits=BotLimits(max_position=float(15 * s.lot)))
    bot.place(1, -5, 10)
    bot.place(2, -6, 10)
    await s.sleep(0.2)
    assert bot.orders[2].reason == REASON_LIMIT_POSITION
    assert s.requests == [("place", 10)]


@scenario()
async def test_a_limit_of_value_counts_what_a_contract_is_worth(s):
    bot = s.bot(limits=BotLimits(max_order_notional=10.5 * s.worth(-5)))
    bot.place(1, -5, 10)
    bot.place(2, -5, 11)
    await s.sleep(0.2)
    assert bot.orders[2].reason == REASON_LIMIT_NOTIONAL
    assert s.requests == [("place", 10)]


@scenario()
async def test_a_halt_cancels_all_and_refuses_until_the_owner_resumes(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    bot.place(2, -6, 10)
    await s.sleep(0.2)
    s.halt()
    await s.sleep(0.5)
    assert s.open == []
    assert {bot.orders[1].status, bot.orders[2].status} == {CANCELED}
    bot.place(3, -5, 10)
    await s.sleep(0.2)
    assert bot.orders[3].reason == REASON_HALTED
    assert "halted" in s.warnings
    s.resume()
    bot.place(4, -5, 10)
    await s.sleep(0.2)
    assert s.open == [(1, -5, 10)]
    assert "halted" not in s.warnings


@scenario()
async def test_a_halt_outlives_a_kill(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    s.halt()
    await s.restart()
    await s.until(lambda: s.open == [])
    bot.place(2, -5, 10)
    await s.sleep(0.2)
    assert bot.orders[2].reason == REASON_HALTED
    s.resume()
    bot.place(3, -5, 10)
    await s.sleep(0.2)
    assert s.open == [(1, -5, 10)]


@scenario(config={"has_keys": False}, is_checked=False)
async def test_without_a_key_there_is_market_data_and_orders_are_refused(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(2.0)
    assert bot.orders[1].status == EXPIRED
    assert s.requests == []
    # What is recorded should have the right time all the same.
    await s.control("clock", offset_ms=-45_000)
    await s.until(lambda: "clock_off" in s.warnings, 90.0)
