"""A whole connector to COIN-M, and its local exchange: inverse contracts from the bot's order to its account."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from daemon.connector.config import Credentials
from daemon.connector.report import status_of
from daemon.connector.secrets import Secret
from daemon.connector.service import Connector
from daemon.orders.limits import BotLimits
from daemon.venues.binancecoinm.config import BinanceCoinMConfig
from daemon.venues.binancecoinm.session import VENUE
from hftd.bot.bot import Bot, Instrument
from hftd.constants import REASON_LIMIT_NOTIONAL, REASON_POST_ONLY
from hftd.types import CANCELED, EXPIRED, FILLED, GTC, GTX, IOC, LIMIT, NEW
from sim.exchange.binancecoinm.venue import BinanceCoinm, CoinmConfig, CoinmSymbol
from sim.exchange.rules.config import AccountSection, GenerateSection, MarketSection
from sim.exchange.servers.server import LocalExchange
from tests.daemon.connector.harness import CHANNEL, KEY, SECRET, Whole, in_thread, wait_for_book

SYMBOL = "BTCUSD_PERP"
PATHS = {"public_path": "/public", "market_path": "/market", "private_path": "/private"}


@asynccontextmanager
async def running(tmp_path, **keys):
    """A local exchange of one inverse contract, and a connector that serves `CHANNEL`."""
    config = CoinmConfig(
        symbols=[CoinmSymbol()],
        market=MarketSection(generate=GenerateSection(duration_s=300.0, updates_per_s=300.0)),
        accounts=[AccountSection(name="one", api_key=KEY, secret=SECRET, balance="10")],
    )
    async with LocalExchange(BinanceCoinm, config) as served:
        urls = {
            "stream_url": served.stream_url,
            "api_url": served.rest_url,
            "ws_api_url": served.urls["ws_api"],
        }
        connector = Connector(
            CHANNEL,
            VENUE,
            BinanceCoinMConfig(**urls, symbols=(SYMBOL,), **keys),
            Credentials(api_key=Secret(KEY), secret=Secret(SECRET)),
            tmp_path / "orders.journal",
            seed=1,
        )
        serving = asyncio.create_task(connector.run())
        whole = Whole(served, connector, serving)
        try:
            await whole.until(lambda: hasattr(connector, "server") and bool(connector.bots.books.markets()))
            await whole.until_valid(SYMBOL)
            yield whole
        finally:
            connector.stop()
            await asyncio.wait_for(serving, 30.0)


async def test_a_bot_trades_contracts_on_a_path_a_class_and_its_account_is_the_exchanges_in_the_coin(
    tmp_path,
):
    limits = {"bots": {"mm": BotLimits(max_order_notional=2500.0)}}
    async with running(tmp_path, **PATHS, **limits) as whole:

        def trade():
            with Bot([Instrument(CHANNEL, SYMBOL, 0.1, 1)], name="mm", end="cancel") as bot:
                wait_for_book(bot)
                depth = bot.depth(0)
                assert bot.submit_buy_order(0, 1, depth.best_bid - 30, 10, GTX, LIMIT, True) == 0
                assert bot.orders(0).get(1).status == NEW
                assert bot.modify(0, 1, depth.best_bid - 31, 20, True) == 0
                assert bot.orders(0).get(1).qty == 20
                assert bot.submit_buy_order(0, 2, depth.best_ask + 20, 10, IOC, LIMIT, True) == 0
                bot.elapse(300_000_000)
                assert bot.orders(0).get(2).status == FILLED
                assert bot.submit_buy_order(0, 3, depth.best_ask + 20, 1, GTX, LIMIT, True) == 0
                assert (bot.orders(0).get(3).status, bot.orders(0).get(3).reason) == (
                    EXPIRED,
                    REASON_POST_ONLY,
                )
                # 26 contracts of 100 dollars, whatever the price.
                bot.submit_buy_order(0, 4, depth.best_bid - 30, 26, GTC, LIMIT, True)
                assert bot.orders(0).get(4).reason == REASON_LIMIT_NOTIONAL
                assert bot.position(0) == 10
                assert bot.cancel(0, 1, True) == 0
                assert bot.orders(0).get(1).status == CANCELED
                values = bot.state_values(0)
                return values.balance, values.fee, values.num_trades

        balance, fee, num_trades = await in_thread(trade)
        truth = whole.exchange.truth(KEY)
        executions = truth["trades"]
        assert num_trades == len(executions) > 0
        value = sum(100 * float(one["qty"]) / float(one["price"]) for one in executions)
        assert balance == pytest.approx(-value)
        assert fee == pytest.approx(sum(one["fee"] for one in executions) / 1e8)
        assert truth["open_orders"] == []
        holding = next(one for one in await whole.connector.session.holdings() if one.symbol == SYMBOL)
        assert (holding.qty_lots, holding.entry_price) == (10, pytest.approx(1000 / value))
        assert "orders_10s" in {one.name for one in status_of(whole.connector).limits}
