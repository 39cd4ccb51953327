"""A whole connector to Bybit, and its local exchange: answers that are receipts, and a switch for the whole account."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from daemon.connector.config import Credentials
from daemon.connector.secrets import Secret
from daemon.connector.service import Connector
from daemon.venues.bybit.config import BybitConfig
from daemon.venues.bybit.session import VENUE
from hftd.constants import REASON_POST_ONLY
from hftd.types import CANCELED, EXPIRED, FILLED, GTC, GTX, IOC, LIMIT, NEW
from sim.exchange.bybit.config import BybitConfig as ExchangeConfig
from sim.exchange.bybit.venue import VENUE as Bybit
from sim.exchange.config import AccountSection, GenerateSection, MarketSection, SymbolSection
from sim.exchange.servers.server import LocalExchange
from tests.daemon.connector.harness import CHANNEL, KEY, SECRET, Whole, bot_of, in_thread, wait_for_book


@asynccontextmanager
async def running(tmp_path, **keys):
    """A local exchange, and a connector that serves `CHANNEL`."""
    config = ExchangeConfig(
        symbols=[SymbolSection(symbol="BTCUSDT", tick_size="0.1", lot_size="0.001")],
        market=MarketSection(generate=GenerateSection(duration_s=300.0, updates_per_s=300.0)),
        accounts=[AccountSection(name="one", api_key=KEY, secret=SECRET)],
    )
    async with LocalExchange(Bybit, config) as served:
        stream_url = served.urls["public"].partition("/v5")[0]
        urls = {"stream_url": stream_url, "api_url": served.rest_url}
        connector = Connector(
            CHANNEL,
            VENUE,
            BybitConfig(**urls, symbols=("BTCUSDT",), **keys),
            Credentials(api_key=Secret(KEY), secret=Secret(SECRET)),
            tmp_path / "orders.journal",
            seed=1,
        )
        serving = asyncio.create_task(connector.run())
        whole = Whole(served, connector, serving)
        try:
            await whole.until(lambda: hasattr(connector, "server") and bool(connector.bots.books.markets()))
            await whole.until_valid()
            yield whole
        finally:
            connector.stop()
            await asyncio.wait_for(serving, 30.0)


async def test_a_bot_trades_and_its_account_is_the_exchanges(tmp_path):
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
                bot.submit_buy_order(0, 3, depth.best_ask + 20, 0.01, GTX, LIMIT, True)
                bot.elapse(300_000_000)
                assert bot.orders(0).get(3).reason == REASON_POST_ONLY
                assert bot.orders(0).get(3).status in (CANCELED, EXPIRED)
                assert bot.cancel(0, 1, True) == 0
                assert bot.orders(0).get(1).status == CANCELED
                values = bot.state_values(0)
                return bot.position(0), values.balance, values.fee, values.num_trades

        position, balance, fee, num_trades = await in_thread(trade)
        truth = whole.exchange.truth(KEY)
        executions = truth["trades"]
        assert num_trades == len(executions) > 0
        assert position == 0.01
        assert balance == pytest.approx(-sum(float(one["price"]) * float(one["qty"]) for one in executions))
        assert fee == pytest.approx(sum(one["fee"] for one in executions) / 1e8)
        assert truth["open_orders"] == []


async def test_the_accounts_switch_does_not_fire_while_the_connector_lives_and_is_quiet(tmp_path):
    async with running(tmp_path, dcp_window_s=3) as whole:

        def rest():
            with bot_of() as bot:
                wait_for_book(bot)
                bot.submit_buy_order(0, 1, bot.depth(0).best_bid - 50, 0.01, GTC, LIMIT, True)
                bot.elapse(7_000_000_000)
                return bot.orders(0).get(1).status

        assert await in_thread(rest) == NEW
        assert "countdowns fired" not in whole.exchange.truth(KEY)["counters"]
