"""A whole connector to Spot, and its local exchange: balances from the bot's order to its account, fees and all."""

import asyncio
import random
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from daemon.connector.config import Credentials
from daemon.connector.report import status_of
from daemon.connector.secrets import Secret
from daemon.connector.service import Connector
from daemon.venues.binancespot.config import BinanceSpotConfig
from daemon.venues.binancespot.session import VENUE
from hftd.bot.bot import Bot, Instrument
from hftd.constants import REASON_MARGIN, REASON_POST_ONLY
from hftd.types import CANCELED, EXPIRED, FILLED, GTC, GTX, IOC, LIMIT, NEW
from sim.exchange.binancespot.venue import BinanceSpot, SpotConfig, SpotLimits, SpotSymbol
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.config import AccountSection, GenerateSection, MarketSection
from sim.exchange.servers.server import LocalExchange
from tests.daemon.connector.harness import CHANNEL, KEY, SECRET, Whole, in_thread, wait_for_book

SYMBOL = "BTCUSDT"


@asynccontextmanager
async def running(tmp_path, *, account=None, exchange=None, **keys):
    """A local exchange of one pair, and a connector that serves `CHANNEL`."""
    account = {"balances": {"BTC": "2", "USDT": "500000"}} | (account or {})
    config = SpotConfig(
        market=MarketSection(generate=GenerateSection(duration_s=300.0, updates_per_s=300.0)),
        accounts=[AccountSection(name="one", api_key=KEY, secret=SECRET, **account)],
        **({"symbols": [SpotSymbol(base="BTC", quote="USDT")]} | (exchange or {})),
    )
    async with LocalExchange(BinanceSpot, config) as served:
        urls = {
            "stream_url": served.stream_url,
            "api_url": served.rest_url,
            "ws_api_url": served.urls["ws_api"],
        }
        connector = Connector(
            CHANNEL,
            VENUE,
            BinanceSpotConfig(**urls, symbols=("btcusdt",), **keys),
            Credentials(api_key=Secret(KEY), secret=Secret(SECRET)),
            tmp_path / "orders.journal",
            seed=1,
        )
        serving = asyncio.create_task(connector.run())
        whole = Whole(served, connector, serving)
        try:
            await whole.until(lambda: hasattr(connector, "server") and bool(connector.bots.books.markets()))
            await whole.until_valid(SYMBOL)
            await whole.until(lambda: connector.orders.store.wallet.is_known)
            yield whole
        finally:
            connector.stop()
            await asyncio.wait_for(serving, 30.0)


def bot_of() -> Bot:
    return Bot([Instrument(CHANNEL, SYMBOL, 0.01, 0.00001)], name="mm", end="cancel")


def earned(trades, price):
    """What executions made of base and quote, and what fees in a third asset were worth."""
    base = quote = Decimal(0)
    for one in trades:
        side = 1 if one["side"] in (1, "BUY") else -1
        qty, fee = Decimal(str(one["qty"])), Decimal(str(one["fee"])) / 10**8
        base += side * qty
        quote -= side * qty * Decimal(str(one["price"]))
        if one["fee_asset"] == "BTC":
            base -= fee
        elif one["fee_asset"] == "USDT":
            quote -= fee
        else:
            quote -= fee * price
    return base, quote


async def test_a_bot_trades_a_pair_and_its_account_is_what_its_balances_changed_by(tmp_path):
    async with running(tmp_path) as whole:
        before = {one.asset: one.total for one in status_of(whole.connector).balances}
        assert before == {"BTC": 2.0, "USDT": 500_000.0}

        def trade():
            with bot_of() as bot:
                wait_for_book(bot)
                depth = bot.depth(0)
                assert bot.submit_buy_order(0, 1, depth.best_bid - 30, 0.001, GTX, LIMIT, True) == 0
                assert bot.orders(0).get(1).status == NEW
                # Another price: another order at the exchange, the same one here.
                assert bot.modify(0, 1, depth.best_bid - 31, 0.002, True) == 0
                assert (bot.orders(0).get(1).status, bot.orders(0).get(1).qty) == (NEW, 0.002)
                # Less of it: it keeps its place.
                assert bot.modify(0, 1, depth.best_bid - 31, 0.0015, True) == 0
                assert bot.orders(0).get(1).qty == 0.0015
                assert bot.submit_buy_order(0, 2, depth.best_ask + 50, 0.01, IOC, LIMIT, True) == 0
                bot.elapse(300_000_000)
                assert bot.orders(0).get(2).status == FILLED
                assert bot.position(0) == 0.00999, "a thousandth was taken as the fee"
                assert bot.submit_buy_order(0, 3, depth.best_ask + 50, 0.001, GTX, LIMIT, True) == 0
                assert (bot.orders(0).get(3).status, bot.orders(0).get(3).reason) == (
                    EXPIRED,
                    REASON_POST_ONLY,
                )
                bot.submit_sell_order(0, 4, depth.best_ask + 90, 2.1, GTC, LIMIT, True)
                assert bot.orders(0).get(4).reason == REASON_MARGIN
                assert bot.submit_sell_order(0, 5, depth.best_bid - 50, 0.004, IOC, LIMIT, True) == 0
                bot.elapse(300_000_000)
                assert bot.orders(0).get(5).status == FILLED
                assert bot.cancel(0, 1, True) == 0
                assert bot.orders(0).get(1).status == CANCELED
                values = bot.state_values(0)
                return values.position, values.balance, values.fee, values.num_trades

        position, balance, fee, num_trades = await in_thread(trade)
        truth = whole.exchange.truth(KEY)
        base, quote = earned(truth["trades"], 0)
        assert num_trades == len(truth["trades"]) > 0 and truth["open_orders"] == []
        assert position == float(base) == 0.00599
        assert balance - fee == pytest.approx(float(quote), abs=1e-6)
        await asyncio.sleep(0.5)
        after = {one.asset: (one.total, one.free) for one in status_of(whole.connector).balances}
        assert after["BTC"] == (pytest.approx(2.0 + float(base)), pytest.approx(2.0 + float(base)))
        assert after["USDT"] == (
            pytest.approx(500_000.0 + float(quote)),
            pytest.approx(500_000.0 + float(quote)),
        )
        assert status_of(whole.connector).counters["balance_differences"] == 0


CHAOS = ChaosSection(
    seed=7,
    reply_lost=0.05,
    reply_late=0.3,
    reply_doubled=0.1,
    event_lost=0.03,
    event_late=0.3,
    event_doubled=0.1,
    event_shuffled=0.1,
    timeout_unknown=0.05,
    busy_unknown=0.03,
    throttled=0.03,
    late_ms=150.0,
    close_s=6.0,
    tear_s=8.0,
)


def quote(seconds: float) -> None:
    """Two quotes that move with the market, and a trade now and then."""
    rng = random.Random(3)
    with bot_of() as bot:
        wait_for_book(bot)
        next_id = 10
        ids: dict[int, int] = {}
        for k in range(int(seconds / 0.04)):
            bot.elapse(40_000_000)
            depth = bot.depth(0)
            if not 0 < depth.best_bid < depth.best_ask:
                continue
            for side in (1, -1):
                price = (depth.best_bid if side == 1 else depth.best_ask) - side * rng.choice([0, 0.5, 3])
                order = bot.orders(0).get(ids.get(side, 0))
                if order is None or order.status in (CANCELED, FILLED, EXPIRED):
                    next_id += 1
                    ids[side] = next_id
                    submit = bot.submit_buy_order if side == 1 else bot.submit_sell_order
                    submit(0, next_id, price, 0.002, rng.choice([GTC, GTX]), LIMIT, False)
                elif order.cancellable and rng.random() < 0.5:
                    bot.modify(0, ids[side], price, rng.choice([0.001, 0.002, 0.003]), False)
                elif order.cancellable and rng.random() < 0.1:
                    bot.cancel(0, ids[side], False)
            if k % 20 == 7:
                next_id += 1
                bot.submit_buy_order(0, next_id, depth.best_ask + 1, 0.001, IOC, LIMIT, False)
            bot.clear_inactive_orders(0)


@pytest.mark.parametrize("fee_asset", ["", "BNB"])
@pytest.mark.thorough
async def test_in_bad_weather_bot_connector_and_exchange_agree_in_the_end(tmp_path, fee_asset):
    account = {"balances": {"BTC": "2", "USDT": "500000", "BNB": "50"}, "fee_asset": fee_asset}
    symbol = SpotSymbol(base="BTC", quote="USDT", fee_asset_price="600" if fee_asset else "0")
    keys = {"symbols": [symbol], "limits": SpotLimits(orders_10s=0, orders_1d=0)}
    async with running(tmp_path, account=account, exchange=keys) as whole:
        whole.exchange.set_chaos(CHAOS)
        await in_thread(lambda: quote(12.0))
        whole.exchange.set_chaos(ChaosSection())
        orders = whole.connector.orders

        def agree() -> bool:
            truth = whole.exchange.truth(KEY)
            state = orders.store.ledgers[SYMBOL].state(orders.store.ledgers[SYMBOL].book("mm"))
            return (
                not truth["open_orders"]
                and not orders.store.alive
                and state.num_trades == len(truth["trades"])
            )

        await whole.until(agree)
        trades = whole.exchange.truth(KEY)["trades"]
        assert trades
        assert any(one.former for one in orders.store.orders.values()), "orders were replaced"
        base, quote_ = earned(trades, 0)
        ledger = orders.store.ledgers[SYMBOL]
        book = ledger.book("mm")
        assert ledger.state(book).position == pytest.approx(float(base), abs=1e-9)
        assert book.balance - book.fee == pytest.approx(float(quote_), abs=1e-6)
        fees = sum(one["fee"] for one in trades if one["fee_asset"] == "BNB") / 1e8
        assert book.other_fees.get("BNB", 0.0) == pytest.approx(fees)
        await asyncio.sleep(8.0)
        counters = status_of(whole.connector).counters
        assert counters["balance_differences"] == 0, "executions explain all that changed"
        wallets = {one["asset"]: one["balance"] for one in whole.exchange.truth(KEY)["wallets"]}
        purses = orders.store.wallet.purses
        assert {asset: int(purses[asset].total * 10**8) for asset in wallets} == wallets
        assert all(not one.ours and not one.others for one in purses.values())
