"""What a user may rely on: a bot trades through the connector as in a replay, and nothing of it is left behind."""

import asyncio

import aiohttp
import pytest

from daemon.connector.report import status_of
from hftd.bot.bot import Bot, Instrument
from hftd.channel import wire
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import ask
from hftd.errors import RefusedError
from hftd.types import CANCELED, FILLED, GTC, GTX, IOC, LIMIT, NEW
from sim.exchange.chaos import ChaosSection
from sim.exchange.config import GenerateSection, MarketSection, ServerSection
from tests.daemon.connector.harness import (
    CHANNEL,
    KEY,
    bot_of,
    exchange_config,
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


async def test_the_orders_of_a_bot_that_is_gone_end_as_it_asked_for(tmp_path):
    async with running(tmp_path) as whole:
        await whole.until_valid()

        def leave(name, end, away):
            def run():
                with bot_of(name, end) as bot:
                    wait_for_book(bot)
                    bot.submit_buy_order(0, 5, bot.depth(0).best_bid - away, 0.01, GTC, LIMIT, True)

            return run

        await in_thread(leave("keeper", "keep", 40))
        await in_thread(leave("canceller", "cancel", 50))
        await whole.until(lambda: len(whole.open_orders) == 1)

        def come_back():
            with bot_of("keeper", "cancel") as bot:
                return bot.orders(0).get(5).status, len(bot.orders(0))

        assert await in_thread(come_back) == (NEW, 1)
        await whole.until(lambda: whole.open_orders == [])


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


async def test_market_data_alone_needs_no_keys_and_orders_are_refused(tmp_path):
    exchange = exchange_config(exchange=ServerSection(clock_offset_ms=-45_000))
    async with running(tmp_path, has_keys=False, exchange=exchange) as whole:

        def look():
            with bot_of() as bot:
                for _ in range(300):
                    if bot.depth(0).best_bid > 0:
                        break
                    bot.elapse(50_000_000)
                assert bot.depth(0).best_bid > 0
                bot.submit_buy_order(0, 5, bot.depth(0).best_bid - 40, 0.01, GTC, LIMIT, True)
                return bot.orders(0).get(5).status

        assert await in_thread(look) != NEW
        # What is recorded should have the right time all the same.
        await whole.until(lambda: "clock_off" in {one.key for one in status_of(whole.connector).alerts})


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

        with pytest.raises(RefusedError) as failure:
            await in_thread(attach)
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


async def test_a_halt_from_outside_cancels_everything_and_a_resume_lets_orders_through_again(tmp_path):
    async with running(tmp_path) as whole:
        await whole.until_valid()

        def trade():
            with bot_of() as bot:
                wait_for_book(bot)

                def submit(order_id):
                    bot.submit_buy_order(0, order_id, bot.depth(0).best_bid - 40, 0.01, GTC, LIMIT, True)
                    return bot.orders(0).get(order_id).status

                def asked(what):
                    return ask(CHANNEL, what, status.Halted, monotonic_ns() + 5_000_000_000)[1].is_halted

                assert submit(1) == NEW
                assert asked(wire.ASK_HALT)
                bot.elapse(500_000_000)
                assert bot.orders(0).get(1).status == CANCELED
                assert submit(2) != NEW
                assert not asked(wire.ASK_RESUME)
                assert submit(3) == NEW

        await in_thread(trade)


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


@pytest.mark.parametrize(
    ("seed", "best_prices"),
    [
        (2, "fused"),
        pytest.param(1, "none", marks=pytest.mark.slow),
        pytest.param(3, "fused", marks=pytest.mark.slow),
    ],
)
async def test_after_any_weather_the_book_is_the_exchanges_level_for_level(tmp_path, seed, best_prices):
    weather = ChaosSection(
        seed=seed,
        feed_gap=0.03,
        feed_doubled=0.05,
        feed_late=0.02,
        unknown_level=0.1,
        stale_snapshot=0.3,
        inside_snapshot=0.5,
        refused_connection=0.2,
        close_s=2.0,
        tear_s=3.0,
    )
    # A book with many gaps waits 10 s for each further snapshot: calm weather lasts longer than two such waits.
    exchange = exchange_config(
        exchange=ServerSection(speed=2.0),
        market=MarketSection(generate=GenerateSection(seed=seed, duration_s=72.0, updates_per_s=200.0)),
        chaos=weather,
    )
    config = {"best_prices": best_prices}
    async with running(tmp_path, exchange=exchange, config=config, has_keys=False) as whole:
        await asyncio.sleep(4.0)
        whole.exchange.set_chaos(ChaosSection())
        market = whole.connector.bots.books.markets()[0]
        await asyncio.wait_for(whole.exchange.over.wait(), 60)
        await whole.until(lambda: market.is_valid)
        async with aiohttp.ClientSession() as http:
            url = f"{whole.exchange.rest_url}/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
            async with http.get(url) as answer:
                book = await answer.json()

        def ours() -> list[tuple[int, float]]:
            rows = market.as_rows(0)[1:]
            return sorted((round(row["px"] / 0.1), round(float(row["qty"]), 6)) for row in rows)

        theirs = sorted((round(float(px) / 0.1), float(qty)) for px, qty in book["bids"] + book["asks"])
        lowest, highest = theirs[0][0], theirs[-1][0]
        await whole.until(lambda: [level for level in ours() if lowest <= level[0] <= highest] == theirs)
        feed = whole.connector.session.market.feed(0)
        assert feed.resyncs > 1
