"""Connections that break, fall silent or are refused; and the exchange's dead-man switch."""

import random

import pytest

from daemon.orders.limits import BotLimits
from hftd.constants import CANCELED, FILLED, NEW
from tests.scenarios.driver import level, scenario, sold

ALL = ["market", "user", "orders"]


@pytest.mark.parametrize("which", ALL)
@scenario(happens=[sold(4), sold(6)])
async def test_a_connection_that_breaks_comes_again_and_nothing_is_lost(s, which):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    s.tear(which)
    await s.market()
    bot.place(2, -8, 10)
    await s.settled()
    await s.market()
    assert bot.orders[1].status == FILLED
    assert bot.position == s.position == 10


@pytest.mark.parametrize("what", ["place", "modify", "cancel"])
@scenario()
async def test_a_request_under_way_when_its_connection_breaks_is_found_out(s, what):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    s.tear("orders")
    if what == "place":
        bot.place(2, -6, 10)
    elif what == "modify":
        bot.modify(1, -7, 20)
    else:
        bot.cancel(1)
    await s.settled()
    assert len(s.requests) <= 2


@scenario(happens=[sold(4), sold(6)], between=120)
async def test_fills_that_a_silent_user_stream_does_not_tell_are_found(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    await s.control("silence", stream=s.case.streams["user"], seconds=100)
    await s.market()
    await s.until(lambda: bot.position == 4, 90.0)
    await s.control("speak")
    await s.settled()
    await s.market()
    assert bot.orders[1].status == FILLED


@scenario(happens=[sold(4)])
async def test_the_end_of_the_right_to_hear_is_noticed(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    await s.control("expire", api_key="")
    await s.sleep(2.0)
    await s.market(1.0)
    assert bot.position == s.position == 4


@scenario()
async def test_connections_that_the_exchange_closes_in_order_come_again(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    await s.control("close")
    await s.settled()
    assert s.open == [(1, -5, 10)]
    bot.cancel(1)
    await s.until(lambda: s.open == [])


@scenario(config=lambda case: {"connection_life_s": 40.0}, sections={"limits": {"life_s": 40.0}})
async def test_the_exchanges_end_of_a_connections_life_is_forestalled(s):
    bot = s.bot()
    for number in range(1, 31):
        bot.place(number, -5, 10)
        await s.sleep(2.0)
        assert bot.orders[number].status == NEW
        bot.cancel(number)
        await s.sleep(2.0)
        assert bot.orders[number].status == CANCELED
    assert s.connector.session.trading.orders_supervision.failures == 0
    assert s.connector.session.trading.user_supervision.failures == 0


@scenario(happens=[sold(4)])
async def test_fills_of_while_the_network_was_down_are_found(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    await s.control("network", up=0)
    await s.market(20.0)
    bot.place(2, -6, 10)
    await s.sleep(1.0)
    await s.control("network", up=1)
    await s.settled()
    assert bot.position == s.position == 4
    assert s.open == [(1, -5, 6)]


@scenario(happens=[level(-8, 20)])
async def test_a_gap_in_the_book_is_noticed_and_the_book_is_right_again(s):
    await s.control("gap", symbol=s.case.symbol, messages=2)
    await s.market(3.0)
    await s.until(lambda: s.is_ready and s.best == (-8, 10))
    assert sum(s.connector.session.market_counters(s.number)[one] for one in ("gaps", "resyncs")) > 0


@pytest.mark.parametrize("is_torn", [False, True], ids=["a price is none", "half of it is missing"])
@scenario(happens=[level(-8, 20)])
async def test_a_change_of_the_book_that_can_not_be_read_makes_it_invalid_at_once_and_it_comes_anew(
    s, is_torn
):
    bot = s.bot(limits=BotLimits(pull_quotes=True))
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    resyncs = s.connector.session.market_counters(s.number)["resyncs"]
    await s.control("garble", stream=s.case.streams["book"], torn=int(is_torn))
    await s.market(0.1)
    assert s.open == [], "the quotes are pulled before anything else comes"
    assert s.connector.session.counters()["odd: depth"] == 1
    await s.until(lambda: s.is_ready and s.best == (-8, 10) and s.book == s.true_book)
    assert s.connector.session.market_counters(s.number)["resyncs"] == resyncs + 1
    assert "odd_messages" in s.warnings


@scenario(config={"has_keys": False}, is_checked=False)
async def test_a_book_of_which_nothing_can_be_read_is_fetched_at_its_pace(s):
    asked, market = [], s.connector.session.market
    for part in (market._snapshots, market._subscriptions):
        part._ask = _noted(part._ask, asked)
    await s.control("garble", stream=s.case.streams["book"], messages=1000)
    await s.sleep(60.0)
    # A change comes each second.
    assert s.connector.session.counters()["odd: depth"] > 50
    assert 2 < len(asked) < 25
    await s.control("garble", stream="none", messages=1000)
    await s.until(lambda: s.is_ready and s.book == s.true_book, 120.0)


def _noted(ask, asked):
    def noting(*arguments):
        asked.append(arguments)
        return ask(*arguments)

    return noting


WEATHER = {
    "feed_gap": 0.03,
    "feed_doubled": 0.05,
    "feed_late": 0.02,
    "feed_restart_s": 3.0,
    "unknown_level": 0.1,
    "stale_snapshot": 0.3,
    "inside_snapshot": 0.5,
    "refused_connection": 0.2,
    "close_s": 3.0,
    "tear_s": 4.0,
}


def _changes(seed):
    numbers = random.Random(seed)
    sides = [numbers.choice((-1, 1)) for _ in range(300)]
    return [level(side * numbers.randrange(6, 60), numbers.choice((0, 20, 50, 80))) for side in sides]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.thorough)])
@scenario(happens=_changes(7), between=0, config=lambda case: {"has_keys": False}, is_checked=False)
async def test_after_any_weather_the_book_is_the_exchanges_level_for_level(s, seed):
    await s.control("chaos", WEATHER | {"seed": seed})
    for number in range(300):
        await s.market(0.03)
        if number == 250:
            await s.control("chaos", {"seed": seed})
    # A book with many gaps waits 10 s for each further snapshot.
    await s.until(lambda: s.is_ready and s.book == s.true_book, 120.0)
    assert s.connector.session.market_counters(s.number)["resyncs"] > 1


@pytest.mark.parametrize("does_pull", [True, False])
@scenario(happens=[level(-8, 20)])
async def test_a_bots_quotes_are_pulled_when_the_market_is_not_heard_if_it_wants_that(s, does_pull):
    bot = s.bot(limits=BotLimits(pull_quotes=does_pull))
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    s.tear("market")
    await s.sleep(0.3)
    assert s.open == ([] if does_pull else [(1, -5, 10)])
    await s.market()
    await s.until(lambda: s.is_ready and s.best == (-8, 10))


@scenario(happens=[level(-8, 20)])
async def test_a_book_that_falls_silent_is_not_taken_for_a_quiet_one(s):
    bot = s.bot(limits=BotLimits(pull_quotes=True))
    bot.place(1, -5, 10)
    await s.sleep(3.0)
    await s.control("silence", stream=s.case.streams["book"], seconds=60)
    await s.until(lambda: s.open == [])
    await s.market()
    await s.control("speak")
    await s.until(lambda: s.is_ready and s.best == (-8, 10))


@scenario(seconds=750)
async def test_in_a_ban_nothing_is_asked_and_after_it_all_is_well(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    await s.control("ban", seconds=30)
    await s.sleep(1.0)
    bot.place(2, -6, 10)
    bot.cancel(1)
    await s.until(lambda: (1, -5, 10) not in s.open, 60.0)
    # One of the exchanges says no end of its bans.
    await s.settled(700.0)
    assert bot.orders[1].status == CANCELED
    assert {one.bans for one in s.exchange.core.limits._addresses.values()} == {1}


@scenario(needs="switch", config=lambda case: {case.switch[0]: case.switch[1]})
async def test_the_dead_mans_switch_cancels_what_a_killed_connector_left(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(2.0)
    s.kill()
    await s.until(lambda: s.open == [], 1.5 * s.case.switch[1] + 10.0)
    await s.restart()
    await s.settled()
    assert bot.orders[1].status == CANCELED


@scenario(needs="switch", config=lambda case: {case.switch[0]: case.switch[1]})
async def test_the_dead_mans_switch_does_not_fire_while_the_connector_lives(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(3.5 * s.case.switch[1])
    is_armed, age_ns = s.act(s.connector.session.switch)
    assert is_armed
    # Countdowns are refreshed in time; the switch of an account is set once.
    assert 0 <= age_ns / 1e9 < s.case.switch[1] * (1.0 if s.case.switch[0] == "countdown_s" else 4.0)
    assert s.open == [(1, -5, 10)]
    assert "countdowns fired" not in s.truth["counters"]


@scenario(needs="switch", is_started=False, config=lambda case: {case.switch[0]: case.switch[1]})
async def test_a_dead_mans_switch_that_can_not_be_set_is_not_armed_until_it_can(s):
    s.fails("switch", "error", times=3)
    await s.start()
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(2.0)
    assert s.act(s.connector.session.switch) == (False, -1)
    await s.until(lambda: s.act(s.connector.session.switch)[0], 120.0)


@pytest.mark.parametrize("ms", [-20_000, 20_000])
@scenario()
async def test_a_clock_that_jumps_refuses_for_a_moment_and_is_measured_anew(s, ms):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    await s.control("clock", offset_ms=ms)
    bot.place(2, -6, 10)
    await s.sleep(5.0)
    bot.place(3, -7, 10)
    await s.sleep(1.0)
    assert bot.orders[3].status == NEW
    await s.settled()
    assert (1, -5, 10) in s.open


@pytest.mark.parametrize("ms", [-45_000, 45_000])
@scenario(is_started=False, happens=[sold(4)])
async def test_an_exchange_whose_clock_is_another_is_traded_by_its_own_time(s, ms):
    await s.control("clock", offset_ms=ms)
    await s.start()
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    await s.market()
    assert bot.fills(1) == [4]
    await s.restart()
    await s.settled()
    assert s.open == [(1, -5, 6)]


@scenario(happens=[sold(4)], between=120)
async def test_an_exchange_under_maintenance_is_waited_for(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    s.fails("*", "html", times=0, seconds=60, status=502)
    await s.control("close")
    await s.sleep(1.0)
    bot.place(2, -6, 10)
    bot.cancel(1)
    await s.market(40.0)
    await s.control("mend")
    await s.settled(300.0)
    assert s.position == bot.position == 4
    assert (1, -5, 6) not in s.open


@scenario()
async def test_what_a_reconciliation_asks_may_fail_for_a_while(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.5)
    for one in ("open orders", "executions", "positions"):
        s.fails(one, "html", times=0, seconds=20, status=502)
    s.tear("user")
    await s.sleep(15.0)
    assert "not_reconciled" in s.warnings
    await s.settled()
    assert "not_reconciled" not in s.warnings
    assert s.open == [(1, -5, 10)]
