"""What a user may rely on: a bot trades through the connector as in a replay, and nothing of it is left behind."""

import asyncio

import pytest

from hftd import wire
from hftd.bot.bot import Bot, Instrument
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import ask
from hftd.errors import WrongBotError
from hftd.types import CANCELED, FILLED, GTC, GTX, IOC, LIMIT, NEW
from tests.daemon.connector.harness import (
    CHANNEL,
    KEY,
    bot_of,
    in_thread,
    running,
    wait_for_book,
)


async def test_a_bot_places_changes_and_cancels_and_takes_and_its_account_is_the_exchanges(tmp_path):
    async with running(tmp_path) as whole:

        def trade():
            with bot_of() as bot:
                wait_for_book(bot)
                depth = bot.depth(0)
                assert bot.submit_buy_order(0, 1, depth.best_bid - 30, 0.01, GTX, LIMIT, True) == 0
                assert bot.orders(0).get(1).status == NEW
                assert bot.modify(0, 1, depth.best_bid - 31, 0.02, True) == 0
                assert bot.orders(0).get(1).qty == 0.02
                assert bot.submit_buy_order(0, 2, depth.best_ask + 20, 0.01, IOC, LIMIT, True) == 0
                bot.elapse(300_000_000)
                assert bot.orders(0).get(2).status == FILLED
                assert bot.position(0) == 0.01
                assert bot.cancel(0, 1, True) == 0
                assert bot.orders(0).get(1).status == CANCELED
                values = bot.state_values(0)
                return values.balance, values.fee, values.num_trades

        balance, fee, num_trades = await in_thread(trade)
        truth = whole.exchange.truth(KEY)
        # One, or several where the best level held less.
        executions = truth["trades"]
        assert num_trades == len(executions) > 0
        value = sum(float(one["price"]) * float(one["qty"]) for one in executions)
        assert balance == pytest.approx(-value)
        assert fee == pytest.approx(value * 0.0005)
        assert truth["open_orders"] == []


async def test_sigterm_ends_the_leases_as_the_bots_asked_for_before_it_leaves(tmp_path):
    async with running(tmp_path) as whole:
        await whole.until_valid()
        started = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hold():
            with bot_of() as bot:
                wait_for_book(bot)
                bot.submit_buy_order(0, 5, bot.depth(0).best_bid - 40, 0.01, GTC, LIMIT, True)
                loop.call_soon_threadsafe(started.set)
                for _ in range(600):
                    if reason := bot.lost():
                        return reason
                    bot.elapse(50_000_000)
                return ""

        holding = asyncio.ensure_future(in_thread(hold))
        await started.wait()
        assert len(whole.open_orders) == 1
        whole.connector.stop()
        await whole.serving
        assert whole.open_orders == []
        assert "the connector ends" in await holding


@pytest.mark.parametrize(
    ("symbol", "tick_size", "lot_size", "what", "hint"),
    [
        ("BTCUSD", 0.1, 0.001, "no instrument 'BTCUSD'", "BTCUSDT"),
        ("btcusd", 0.1, 0.001, "no instrument 'btcusd'", "BTCUSDT"),
        ("BTCUSDT", 0.01, 0.001, "tick_size 0.1", "tick_size = 0.1"),
        ("BTCUSDT", 0.1, 0.01, "lot_size 0.001", "lot_size = 0.001"),
    ],
)
async def test_a_wrong_instrument_is_refused_with_the_right_one(
    tmp_path, symbol, tick_size, lot_size, what, hint
):
    async with running(tmp_path):

        def attach():
            Bot([Instrument(CHANNEL, symbol, tick_size, lot_size)], name="mm").detach()

        with pytest.raises(WrongBotError) as failure:
            await in_thread(attach)
        assert failure.value.exit_code == 2
        assert what in failure.value.what
        assert hint in failure.value.hint


async def test_a_symbol_is_followed_when_a_bot_asks_for_it_and_stays(tmp_path):
    async with running(tmp_path) as whole:

        def look():
            with bot_of("eth", symbol="ETHUSDT") as bot:
                wait_for_book(bot)

        await in_thread(look)
        await whole.until_valid("ETHUSDT")
        rows = [market.rows for market in whole.connector.bots.books.markets()]
        await whole.until(
            lambda: all(
                market.rows > before
                for market, before in zip(whole.connector.bots.books.markets(), rows, strict=True)
            )
        )


async def test_the_status_from_outside_tells_books_bots_orders_and_limits(tmp_path):
    async with running(tmp_path) as whole:
        await whole.until_valid()

        def trade():
            with bot_of() as bot:
                wait_for_book(bot)
                bot.submit_buy_order(0, 9, bot.depth(0).best_bid - 40, 0.01, GTC, LIMIT, True)
                return ask(CHANNEL, wire.ASK_STATUS, status.DaemonStatus, monotonic_ns() + 5_000_000_000)[1]

        told = await in_thread(trade)
        assert told.kind == status.CONNECTOR
        assert told.venue == "binancefutures"
        (market,) = told.channels[0].markets
        assert market.book_is_valid
        assert market.best_bid < market.best_ask
        assert market.rows > 0
        assert 0 <= market.feed_age_ns < 5_000_000_000
        (bot,) = told.bots
        assert (bot.name, [order.order_id for order in bot.orders]) == ("mm", [9])
        assert bot.pid > 0
        assert 0 <= bot.unread_bytes <= told.channels[0].ring_bytes
        assert {one.name: one.count for one in bot.latencies} == {"entry": 1, "response": 1, "round trip": 1}
        assert 0 < market.latency.count <= market.messages
        # On one machine nothing takes longer, and both have one clock.
        assert market.latency.quantile_ns(0.5) < 1_000_000_000
        assert abs(told.clock_ahead_ns) <= told.clock_error_ns + 1_000_000_000
        assert told.reconciled_age_ns >= 0
        assert told.journal_bytes > 0
        assert told.journal_writes.count > 0
        assert {"weight_1m", "orders_10s"} <= {limit.name for limit in told.limits}
        assert [one.is_up for one in told.connections] == [True, True, True]


async def test_a_spinning_connector_trades_as_well(tmp_path):
    async with running(tmp_path, config={"spin": True}) as whole:
        await whole.until_valid()

        def trade():
            with bot_of() as bot:
                wait_for_book(bot)
                for order_id in range(20):
                    assert (
                        bot.submit_buy_order(0, order_id, bot.depth(0).best_bid - 40, 0.01, GTC, LIMIT, True)
                        == 0
                    )
                    assert bot.cancel(0, order_id, True) == 0

        await in_thread(trade)
        assert whole.open_orders == []
