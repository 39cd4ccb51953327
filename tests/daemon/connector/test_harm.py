"""A bot can harm itself alone: whatever it writes, rings or leaves out, the others trade on."""

import asyncio
import fcntl
import gc
import os
import time

import pytest

from daemon.connector.bots.bots import BURST, COMPILING_NS
from daemon.messages import Submit
from hftd import wire
from hftd.channel.layout import BOT_COMPILING, BOT_OVER, BOT_STEPS
from hftd.clock import wall_ns
from hftd.types import BUY, BUY_EVENT, GTC, LIMIT
from tests.daemon.connector.test_bots import serving, until
from tests.hftd.channel.hostile import POISON


@pytest.mark.parametrize("message", POISON, ids=lambda message: f"{message[:6].hex()}-{len(message)}")
@pytest.mark.parametrize("is_last_word", [False, True])
async def test_a_message_that_can_not_be_decoded_ends_its_bots_lease_and_nothing_else(message, is_last_word):
    async with serving() as (channel, come):
        evil, other = await come("evil"), await come("other")
        evil.submit(7)
        await until(lambda: len(channel.sent) == 1)
        evil.write(message)
        if is_last_word:
            evil.attachment.socket.close()
        else:
            evil.ring()
        await until(lambda: [bot.name for bot in channel.bots.attached] == ["other"])
        if not is_last_word:
            assert "nonsense" in evil.attachment.lost()
            (warning,) = channel.bots.warnings()
            assert (warning.key, warning.symbol) == ("bot_lost_lease", "evil")
        assert all(order.cancel_wanted for order in channel.orders.store.alive.values()), "its end policy"
        # Its page is not mapped any more, and is not rung.
        channel.publish((BUY_EVENT, 99.9, 1.0))
        other.submit(1)
        await until(lambda: any(type(command) is Submit for command in channel.sent[1:]))
        await come("evil")
        assert channel.bots.warnings() == []


async def test_whatever_a_request_makes_raise_costs_the_bot_that_asked_its_lease_alone(monkeypatch):
    async with serving() as (channel, come):
        evil, other = await come("evil"), await come("other")
        request = channel.orders.request

        def failing(bot: str, *more: object, **named: object) -> None:
            if bot == "evil":
                raise OverflowError("int too large to convert to float")
            request(bot, *more, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(channel.orders, "request", failing)
        evil.submit(1)
        other.submit(2)
        await until(lambda: [bot.name for bot in channel.bots.attached] == ["other"])
        await until(lambda: len(channel.sent) == 1)
        assert "OverflowError: int too large" in evil.attachment.lost()


@pytest.mark.parametrize("failing", ["request", "detach"])
async def test_an_end_of_a_lease_goes_to_its_end_whatever_fails_on_the_way(monkeypatch, failing):
    async with serving() as (channel, come):
        bot, other = await come("mm"), await come("other")
        bot.submit(1)
        await until(lambda: len(channel.sent) == 1)
        bot.ask(
            wire.Submit(
                instrument=0,
                order_id=2,
                side=BUY,
                order_type=LIMIT,
                time_in_force=GTC,
                price_tick=1000,
                qty=0.1,
                local_ts=wall_ns(),
            ),
            ring=False,
        )

        def fails(*_more: object, **_named: object) -> None:
            raise MemoryError

        with monkeypatch.context() as patched:
            patched.setattr(channel.orders, failing, fails)
            bot.attachment.socket.close()
            await until(lambda: [one.name for one in channel.bots.attached] == ["other"])
        if failing == "request":
            assert all(order.cancel_wanted for order in channel.orders.store.alive.values())
        assert channel.bots.publisher.statistics()["bots"] == 1
        channel.publish((BUY_EVENT, 99.9, 1.0))
        other.submit(3)
        await until(lambda: len(channel.sent) >= 2)


async def test_a_bot_that_takes_its_own_rings_back_costs_the_others_nothing_and_itself_some_milliseconds():
    async with serving() as (channel, come):
        evil, other = await come("evil"), await come("other")
        fd = evil.attachment.doorbell_fd
        assert os.fstat(fd).st_ino
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)
        for _ in range(20):
            os.eventfd_write(fd, 1)
            os.eventfd_read(fd)
            await asyncio.sleep(0)
        other.submit(1)
        await until(lambda: len(channel.sent) == 1)
        # Nobody rings for this one.
        evil.ask(
            wire.Submit(
                instrument=0,
                order_id=2,
                side=BUY,
                order_type=LIMIT,
                time_in_force=GTC,
                price_tick=1000,
                qty=0.1,
                local_ts=wall_ns(),
            ),
            ring=False,
        )
        await until(lambda: len(channel.sent) == 2)


async def test_a_bots_order_waits_for_a_few_requests_of_one_that_floods_and_not_for_all():
    async with serving() as (channel, come):
        evil, other = await come("evil"), await come("other")
        written = 0
        while evil.ask(wire.Cancel(0, 999, wall_ns()), ring=False):
            written += 1
        assert written > 10 * BURST
        evil.ring()
        other.submit(1)
        while not channel.sent:  # noqa: ASYNC110 (each turn of the loop counts)
            await asyncio.sleep(0)
        assert channel.bots.attached[0].requests <= 4 * BURST


async def test_books_are_told_again_once_a_round_however_often_a_bot_asks():
    async with serving() as (channel, come):
        evil, other = await come("evil"), await come("other")
        for _ in range(500):
            evil.ask(wire.Resync(), ring=False)
        evil.ring()
        other.submit(1)
        most = before = 0
        while not channel.sent:
            await asyncio.sleep(0)
            now = channel.bots.attached[0].resyncs
            most, before = max(most, now - before), now
        # One look for the bell, one after it was armed, and one for what was left.
        assert 0 < most <= 3


@pytest.mark.parametrize("on_end", ["cancel", "keep"])
async def test_what_a_bot_wrote_before_its_end_is_taken_for_a_bounded_time_but_cancels_of_kept_orders_all(
    on_end, monkeypatch
):
    async with serving() as (channel, come):
        bot = await come("mm", on_end=on_end)
        bot.submit(1)
        await until(lambda: len(channel.sent) == 1)
        taken: list[type] = []
        request = channel.orders.request

        def slowly(name: str, message: wire.Request, *more: object, **named: object) -> None:
            taken.append(type(message))
            if type(message) is wire.Submit:
                time.sleep(0.002)
            request(name, message, *more, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(channel.orders, "request", slowly)
        for order_id in range(2, 502):
            bot.ask(
                wire.Submit(
                    instrument=0,
                    order_id=order_id,
                    side=BUY,
                    order_type=LIMIT,
                    time_in_force=GTC,
                    price_tick=1000,
                    qty=0.1,
                    local_ts=wall_ns(),
                ),
                ring=False,
            )
        bot.ask(wire.Cancel(0, 1, wall_ns()), ring=False)
        bot.attachment.socket.close()
        await until(lambda: not channel.bots.attached)
        assert taken.count(wire.Submit) < 60
        assert (wire.Cancel in taken) is (on_end == "keep")
        # Whether by its own cancel or by the end policy.
        first = next(order for order in channel.orders.store.alive.values() if order.order_id == 1)
        assert first.cancel_wanted


async def test_a_bot_whose_strategy_makes_no_step_loses_its_lease_when_its_time_is_over_and_not_before():
    async with serving() as (channel, come):
        bot = await come("mm", watchdog_s=10.0)
        patient, unwatched = await come("patient", watchdog_s=10_000.0), await come("unwatched")
        bot.submit(1)
        await until(lambda: len(channel.sent) == 1)

        async def pass_s(seconds: float) -> list[str]:
            channel.bots.watch(int(seconds * 1e9))
            await asyncio.sleep(0.01)
            return [one.name for one in channel.bots.attached]

        everybody = ["mm", "patient", "unwatched"]
        assert await pass_s(1000) == everybody, "it has not begun: its strategy may be compiling"
        for one in (bot, patient, unwatched):
            one.page.set_word(BOT_STEPS, 1)
        assert await pass_s(0.25) == everybody
        assert await pass_s(9) == everybody
        bot.page.set_word(BOT_STEPS, 2)
        assert await pass_s(9) == everybody, "a step begins its time anew"
        assert await pass_s(9) == everybody
        bot.page.set_word(BOT_COMPILING, 1)
        assert await pass_s(0.25) == everybody
        assert await pass_s(COMPILING_NS / 1e9 - 1) == everybody, "a bot that compiles does not hang"
        bot.page.set_word(BOT_COMPILING, 2)
        assert await pass_s(0.25) == everybody
        assert await pass_s(9) == everybody
        assert await pass_s(1.1) == ["patient", "unwatched"]
        assert "its strategy made no step for 10 s" in bot.attachment.lost()
        assert bot.page.word(BOT_OVER) == 1
        assert all(order.cancel_wanted for order in channel.orders.store.alive.values())
        (warning,) = channel.bots.warnings()
        assert (warning.key, warning.symbol) == ("bot_hangs", "mm")
        await come("mm")
        assert channel.bots.warnings() == []


async def test_a_connector_that_stood_still_takes_no_bot_for_hung(monkeypatch):
    async with serving() as (channel, come):
        bot = await come("mm", watchdog_s=1.0)
        bot.page.set_word(BOT_STEPS, 1)
        await asyncio.sleep(0.02)
        channel.bots.looked_ns -= 3_600_000_000_000
        await asyncio.sleep(0.05)
        assert [one.name for one in channel.bots.attached] == ["mm"]


async def test_leases_leave_nothing_behind_however_many_there_are():
    def open_fds() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    async with serving() as (channel, come):
        await come("first")
        (await come("second")).close()
        await until(lambda: len(channel.bots.attached) == 1)
        before = open_fds()
        for k in range(100):
            bot = await come(f"bot{k}")
            if k % 2:
                bot.write(POISON[0])
            bot.close()
        await until(lambda: len(channel.bots.attached) == 1)
        assert open_fds() == before
