"""The connector is killed, and starts again; bots come and go, and what they leave ends as they said."""

import pytest

from daemon.messages import Cancel, Modify, Submit
from hftd.constants import CANCELED, EXPIRED, FILLED, IOC, NEW, REASON_NEVER_SENT
from tests.scenarios.driver import scenario, sold

MOMENTS = [
    "before a send",
    "after a send",
    "before a outcome",
    "after a outcome",
    "before a report",
    "after a report",
]


@pytest.mark.parametrize("moment", MOMENTS)
@scenario()
async def test_an_order_outlives_a_kill_at_each_moment(s, moment):
    bot = s.bot()
    s.fuse = moment
    bot.place(1, -5, 10)
    await s.until(lambda: s.program.is_dead)
    await s.sleep(1.0)
    await s.restart()
    await s.settled()
    if moment == "before a send":
        assert (bot.orders[1].status, bot.orders[1].reason) == (EXPIRED, REASON_NEVER_SENT)
        assert s.requests == []
        return
    assert bot.orders[1].status == NEW
    assert s.open == [(1, -5, 10)]
    assert s.requests == [("place", 10)]
    bot.cancel(1)
    await s.until(lambda: s.open == [])


@pytest.mark.parametrize("moment", ["after a send", "after a outcome", "before a report", "after a report"])
@scenario()
async def test_a_fill_outlives_a_kill_at_each_moment(s, moment):
    bot = s.bot()
    s.fuse = moment
    bot.place(1, 10, 10, tif=IOC)
    await s.until(lambda: s.program.is_dead)
    await s.sleep(1.0)
    await s.restart()
    await s.settled()
    assert bot.orders[1].status == FILLED
    assert bot.position == s.position == 10
    assert s.requests == [("place", 10)]


@scenario(happens=[sold(4), sold(6)])
async def test_fills_of_while_nobody_was_there_are_told_at_the_return(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    await s.market()
    s.kill()
    await s.market(5.0)
    await s.restart()
    await s.settled()
    assert bot.orders[1].status == FILLED
    assert bot.position == s.position == 10


@pytest.mark.parametrize("moment", ["before a send", "after a send", "before a outcome", "after a outcome"])
@scenario()
async def test_a_modification_outlives_a_kill_at_each_moment(s, moment):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    s.fuse, s.fuse_type = moment, Modify if "send" in moment else None
    bot.modify(1, -7, 20)
    await s.until(lambda: s.program.is_dead)
    await s.sleep(1.0)
    await s.restart()
    await s.settled()
    is_sent = moment != "before a send"
    assert s.open == [(1, -7, 20)] if is_sent else [(1, -5, 10)]
    assert bot.orders[1].status == NEW


@pytest.mark.parametrize("moment", ["before a send", "after a send", "before a outcome", "after a report"])
@scenario()
async def test_a_cancel_outlives_a_kill_at_each_moment(s, moment):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    s.fuse, s.fuse_type = moment, Cancel if "send" in moment else None
    bot.cancel(1)
    await s.until(lambda: s.program.is_dead)
    await s.sleep(1.0)
    await s.restart()
    # It was asked for: one that was not sent is sent now.
    await s.until(lambda: s.open == [])
    await s.settled()
    assert bot.orders[1].status == CANCELED


@scenario()
async def test_a_bot_that_does_not_come_back_after_a_kill_leaves_nothing(s):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    s.kill()
    await s.start()
    await s.until(lambda: s.open == [], 120.0)


@pytest.mark.parametrize("is_bot_back", [True, False])
@scenario()
async def test_an_open_order_is_adopted_without_its_journal(s, is_bot_back):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    s.kill()
    s.path.unlink()
    await s.start()
    if is_bot_back:
        bot.attach()
        await s.settled()
        assert (bot.orders[1].status, bot.lots(1)) == (NEW, 10)
        assert s.open == [(1, -5, 10)]
        bot.cancel(1)
    await s.until(lambda: s.open == [], 120.0)
    if not is_bot_back:
        # Whose it was is known when the bot has said its name.
        bot.attach()


@pytest.mark.parametrize("on_end", ["cancel", "keep", "flatten"])
@scenario()
async def test_a_bot_that_ends_leaves_what_it_asked_for(s, on_end):
    bot = s.bot(on_end=on_end)
    bot.place(1, 10, 10, tif=IOC)
    bot.place(2, -5, 10)
    await s.sleep(0.3)
    bot.detach()
    await s.settled()
    assert s.open == ([(1, -5, 10)] if on_end == "keep" else [])
    assert s.is_flat if on_end == "flatten" else s.position == 10


@pytest.mark.parametrize("on_end", ["cancel", "keep", "flatten"])
@scenario()
async def test_a_connector_that_is_stopped_leaves_what_the_bots_asked_for(s, on_end):
    bot = s.bot(on_end=on_end)
    bot.place(1, 10, 10, tif=IOC)
    bot.place(2, -5, 10)
    await s.sleep(0.3)
    await s.stop()
    assert s.open == ([(1, -5, 10)] if on_end == "keep" else [])
    assert s.is_flat if on_end == "flatten" else s.position == 10
    await s.start()


@scenario()
async def test_a_position_is_flattened_though_the_connector_is_killed_meanwhile(s):
    bot = s.bot(on_end="flatten")
    bot.place(1, 10, 10, tif=IOC)
    bot.place(2, -5, 10)
    await s.sleep(0.3)
    s.fuse, s.fuse_type = "after a send", Submit
    bot.detach()
    await s.until(lambda: s.program.is_dead)
    await s.start()
    await s.until(lambda: s.is_flat and s.open == [], 120.0)
    await s.settled()
    assert s.is_flat


@scenario()
async def test_a_bot_that_kept_its_orders_finds_them_after_a_kill(s):
    bot = s.bot(on_end="keep")
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    bot.detach()
    await s.sleep(0.2)
    s.kill()
    await s.start()
    await s.sleep(60.0)
    assert s.open == [(1, -5, 10)]
    bot.attach()
    await s.settled()
    assert (bot.orders[1].status, bot.lots(1)) == (NEW, 10)


@pytest.mark.parametrize("seconds", [2.0, 40.0])
@scenario(happens=[sold(4), sold(2)])
async def test_a_connector_that_stands_still_for_a_while_catches_up(s, seconds):
    bot = s.bot()
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    bot.place(2, -8, 10)
    s.program.is_stopped = True
    await s.market(0.5)
    await s.stand_still(seconds)
    await s.settled()
    assert bot.position == s.position == 4
    # A dead-man switch may have taken it for dead.
    assert s.open in ([(1, -8, 10), (1, -5, 6)], [])
    assert s.open or seconds > 10.0


@scenario(happens=[sold(10)])
async def test_kills_one_after_the_other_lose_nothing(s):
    bot = s.bot()
    for number in range(1, 5):
        s.fuse = MOMENTS[number]
        bot.place(number, -5 - number, 10)
        await s.until(lambda: s.program.is_dead)
        await s.restart()
        await s.sleep(0.3)
    await s.settled()
    assert s.open == [(1, -5 - number, 10) for number in (4, 3, 2, 1)]
    assert len(s.requests) == 4


@scenario()
async def test_somebody_elses_order_is_left_alone_whatever_comes(s):
    bot = s.bot()
    await s.by_hand("BUY", 10, -9)
    bot.place(1, -5, 10)
    await s.sleep(0.2)
    s.halt()
    await s.sleep(0.5)
    s.resume()
    await s.restart()
    bot.detach()
    await s.settled()
    assert s.open == [(1, -9, 10)]
