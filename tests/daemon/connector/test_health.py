"""A sick connector stops refreshing the exchange's dead-man switch, and says so."""

import asyncio

from daemon.connector.report import status_of
from daemon.connector.watch.health import STALL_S, TICK_LATE_S, UNREAD_S, Health
from daemon.warnings import LOOK_EVERY_S
from hftd.types import GTC, LIMIT
from tests.daemon.connector.harness import bot_of, in_thread, running, wait_for_book

COUNTDOWN_S = 3.0


async def test_the_exchange_cancels_the_orders_of_a_connector_that_is_sick_and_not_those_of_one_that_is_well(
    tmp_path,
):
    async with running(tmp_path, config={"countdown_s": COUNTDOWN_S}) as whole:
        await whole.until_valid()

        def quote():
            with bot_of("mm", "keep") as bot:
                wait_for_book(bot)
                bot.submit_buy_order(0, 5, bot.depth(0).best_bid - 60, 0.01, GTC, LIMIT, True)

        await in_thread(quote)
        await whole.until(lambda: len(whole.open_orders) == 1)
        await asyncio.sleep(1.3 * COUNTDOWN_S)
        assert len(whole.open_orders) == 1, "it is refreshed"
        whole.connector.health._is_journal_broken = lambda: True
        await whole.until(lambda: whole.open_orders == [])
        found = status_of(whole.connector)
        assert any(one.key == "sick" and "the journal can't be written" in one.text for one in found.alerts)


def test_what_makes_a_connector_sick(monkeypatch):
    now = [10**12]
    monkeypatch.setattr("daemon.connector.watch.health.monotonic_ns", lambda: now[0])
    unread, taken = [False], [0]
    health = Health(lambda: False, lambda: unread[0], lambda: taken[0])

    def passes(seconds: float, *, ticks: bool = True) -> None:
        now[0] += int(seconds * 1e9)
        if ticks:
            health.ticked()
        health.look(now[0])

    passes(LOOK_EVERY_S)
    assert (health.trouble, list(health.warnings())) == ("", [])
    now[0] += int((TICK_LATE_S + 1) * 1e9)
    assert "order management was not looked after for 6 s" in health.trouble
    passes(0)
    assert health.trouble == ""
    assert [one.key for one in health.warnings()] == ["loop_stalled"], "it stood still for longer than that"
    # Requests that wait are well while others are taken.
    unread[0] = True
    for _ in range(20):
        taken[0] += 1
        passes(LOOK_EVERY_S)
    assert health.trouble == ""
    for _ in range(int(UNREAD_S) + 2):
        passes(LOOK_EVERY_S)
    assert "requests of bots are not read" in health.trouble
    assert {one.key for one in health.warnings()} == {"sick", "loop_stalled"}
    unread[0] = False
    passes(LOOK_EVERY_S)
    assert health.trouble == ""
    for _ in range(70):
        passes(LOOK_EVERY_S + STALL_S / 2)
    assert list(health.warnings()) == []
