"""The trading side against the local exchange, which was written from the same facts by other hands."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest

from daemon.connector.limiter import Limiter
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import CONFIRMED, REFUSED, UNKNOWN, Cancel, Modify, Query, Submit
from daemon.session.trading.account import TradingConfig
from daemon.session.trading.sending import SendLimits
from daemon.venues.binance.signing import make_signer
from daemon.venues.binancefutures.session import trading_of
from hftd import constants as c
from sim.exchange.binancefutures.venue import BinanceFutures
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.config import (
    AccountSection,
    ExchangeConfig,
    GenerateSection,
    LimitsSection,
    MarketSection,
    ServerSection,
    SymbolSection,
)
from sim.exchange.servers.server import LocalExchange

from .conftest import API_KEY, SECRET
from .scripted import Core, until
from .test_signing import PEM

NEW = (c.NEW, c.PARTIALLY_FILLED)


@asynccontextmanager
async def exchange_and_trading(*, pem="", chaos=None, limits=None, server=None, **config):
    """A local exchange with a quiet market, and a trading side connected to it."""
    account = {"secret": SECRET}
    if pem:
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            PublicFormat,
            load_pem_private_key,
        )

        public = load_pem_private_key(pem.encode(), None).public_key()
        account = {
            "public_key": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        }
    exchange = LocalExchange(
        BinanceFutures,
        ExchangeConfig(
            symbols=[SymbolSection(symbol="BTCUSDT", tick_size="0.10", lot_size="0.001")],
            accounts=[AccountSection(name="a", api_key=API_KEY, **account)],
            market=MarketSection(
                generate=GenerateSection(duration_s=60.0, updates_per_s=60.0, trades_per_s=2.0)
            ),
            exchange=server or ServerSection(),
            limits=limits or LimitsSection(),
        ),
    )
    core = Core()
    settings = {"backoff_s": 0.01, "backoff_max_s": 0.1, "send": SendLimits(reply_timeout_s=1.0)} | config
    async with exchange, aiohttp.ClientSession() as session:
        trading = trading_of(
            TradingConfig(exchange.urls["ws_api"], **settings),
            exchange.rest_url,
            f"{exchange.stream_url}/private",
            make_signer(API_KEY, pem or SECRET),
            session,
            core.handlers(),
            limiter=Limiter([]),
            offset=ClockOffset(),
        )
        task = asyncio.create_task(trading.run())
        try:
            await until(lambda: core.connections == [True] or task.done(), "the connection", 30.0)
            if settings.get("order_path") != "rest":
                await until(lambda: trading._sender.socket is not None, "the order socket")
            if chaos:
                exchange.set_chaos(chaos)
            yield exchange, trading, core
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def place(request, client_id, *, price_tick=590000, qty=10, tif=c.GTC, side=c.BUY, kind=c.LIMIT):
    return Submit(request, client_id, "BTCUSDT", side, kind, tif, 0 if kind == c.MARKET else price_tick, qty)


async def settled(core, *requests):
    await until(lambda: all(core.outcome(request) for request in requests), f"the outcomes of {requests}")
    return [core.outcome(request) for request in requests]


def trades_told(core):
    """Lots by trade id, counted once, from user events."""
    return {
        int(one.execution.trade_id): one.execution.qty_lots
        for one in core.reports
        if one.execution is not None
    }


def orders_of(exchange):
    return {one["client_id"]: one for one in exchange.truth(API_KEY)["orders"]}


async def test_an_order_of_a_session_that_is_logged_on_lives_as_the_exchange_says():
    async with exchange_and_trading(pem=PEM) as (_exchange, trading, core):
        trading.send(place(1, "hftd-1", tif=c.GTX))
        (placed,) = await settled(core, 1)
        trading.send(Modify(2, "hftd-1", placed.report.exch_order_id, "BTCUSDT", c.BUY, 590010, 20))
        (amended,) = await settled(core, 2)
        assert (amended.report.price_tick, amended.report.qty_lots) == (590010, 20)
        assert [one.client_id for one in await trading.open_orders()] == ["hftd-1"]
        trading.send(Query(3, "hftd-1", "", "BTCUSDT"))
        trading.send(Query(4, "never", "", "BTCUSDT"))
        trading.send(Cancel(5, "hftd-1", "", "BTCUSDT"))
        asked, missing, cancelled = await settled(core, 3, 4, 5)
        assert asked.report.status in NEW and cancelled.report.status == c.CANCELED
        assert (missing.kind, missing.reason) == (REFUSED, c.REASON_UNKNOWN_ORDER)
        await until(lambda: any(one.status == c.CANCELED for one in core.reports), "the event")
        assert [one.status for one in core.reports] == [c.NEW, c.NEW, c.CANCELED]
        assert await trading.open_orders() == []


async def test_fills_are_told_once_each_and_are_those_of_the_exchange():
    async with exchange_and_trading() as (exchange, trading, core):
        trading.send(place(1, "hftd-1", kind=c.MARKET))
        trading.send(place(2, "hftd-2", side=c.SELL, kind=c.MARKET, qty=4))
        trading.send(place(3, "hftd-3", price_tick=610000, tif=c.IOC, qty=5))
        await settled(core, 1, 2, 3)
        await until(lambda: sum(1 for one in core.reports if one.status == c.FILLED) == 3, "the fills")
        truth = exchange.truth(API_KEY)
        assert trades_told(core) == {one["trade_id"]: one["lots"] for one in truth["trades"]}
        executions = await trading.executions("BTCUSDT", 0)
        told = {
            one.execution.trade_id: one.execution for one in core.reports if one.execution and one.has_fee
        }
        assert {one.trade_id: one for one in executions} == told
        assert [round(one.fee * 1e8) for one in executions] == [one["fee"] for one in truth["trades"]]
        (holding,) = await trading.holdings()
        assert holding.qty_lots == 11 == truth["positions"][0]["lots"] and core.holdings[-1].qty_lots == 11
        (balance,) = await trading.balances()
        assert round(balance.wallet * 1e8) == truth["balance"]


async def test_refusals_carry_their_reasons():
    async with exchange_and_trading() as (_exchange, trading, core):
        trading.send(place(1, "post", price_tick=610000, tif=c.GTX))
        trading.send(place(2, "fok", tif=c.FOK))
        trading.send(place(3, "notional", qty=1, price_tick=400))
        trading.send(Submit(4, "reduce", "BTCUSDT", c.SELL, c.MARKET, c.GTC, 0, 5, True))
        trading.send(place(5, "same"))
        trading.send(place(6, "same"))
        trading.send(place(7, "much", qty=10**6, kind=c.MARKET))
        trading.send(Cancel(8, "nobody", "", "BTCUSDT"))
        outcomes = await settled(core, *range(1, 9))
        assert [one.reason for one in outcomes] == [
            c.REASON_POST_ONLY,
            c.REASON_FOK,
            c.REASON_FILTER,
            c.REASON_REDUCE_ONLY,
            0,
            c.REASON_DUPLICATE,
            c.REASON_FILTER,
            c.REASON_UNKNOWN_ORDER,
        ]


@pytest.mark.parametrize("busy", ["busy_unknown", "timeout_unknown"])
async def test_what_may_have_been_done_is_unknown(busy):
    async with exchange_and_trading(chaos=ChaosSection(**{busy: 1.0})) as (_exchange, trading, core):
        for request in range(1, 7):
            trading.send(place(request, f"hftd-{request}"))
        assert {one.kind for one in await settled(core, *range(1, 7))} == {UNKNOWN}


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("busy_failed", c.REASON_EXCHANGE),
        ("throttled", c.REASON_RATE_LIMIT),
        ("too_many_orders", c.REASON_RATE_LIMIT),
        ("too_many_requests", c.REASON_RATE_LIMIT),
        ("ban", c.REASON_RATE_LIMIT),
    ],
)
@pytest.mark.parametrize("path", ["ws", "rest"])
async def test_what_surely_was_not_done_is_refused(trouble, reason, path):
    async with exchange_and_trading(chaos=ChaosSection(**{trouble: 1.0}), order_path=path) as (
        exchange,
        trading,
        core,
    ):
        trading.send(place(1, "hftd-1"))
        (outcome,) = await settled(core, 1)
        assert (outcome.kind, outcome.reason) == (REFUSED, reason)
        assert orders_of(exchange) == {}


async def test_a_listen_key_is_kept_alive_beyond_its_life():
    async with exchange_and_trading(limits=LimitsSection(listen_key_s=1.0), extend_every_s=0.3) as (
        _exchange,
        trading,
        core,
    ):
        await asyncio.sleep(2.0)
        trading.send(place(1, "hftd-1"))
        await until(lambda: core.reports, "the event")
        assert core.connections == [True]


async def test_the_limits_of_the_exchange_are_kept_and_its_counts_believed():
    limits = LimitsSection(orders_10s=20)
    async with exchange_and_trading(limits=limits) as (exchange, trading, core):
        for request in range(1, 41):
            trading.send(place(request, f"hftd-{request}"))
        outcomes = await settled(core, *range(1, 41))
        assert [one.kind for one in outcomes] == [CONFIRMED] * 20 + [REFUSED] * 20
        assert len(orders_of(exchange)) == 20
        assert trading._limiter.statistics(2**62)["orders_10s"]["used_max"] == 20
        trading.send(Cancel(41, "hftd-1", "", "BTCUSDT"))
        assert (await settled(core, 41))[0].kind == CONFIRMED


async def test_cancel_all_and_the_countdown_end_all_orders():
    async with exchange_and_trading(countdown_s=0) as (_exchange, trading, core):
        trading.send(place(1, "hftd-1"))
        trading.send(place(2, "web_2"))
        await settled(core, 1, 2)
        await trading.cancel_all("BTCUSDT")
        assert await trading.open_orders() == []
        trading.send(place(3, "hftd-3"))
        await settled(core, 3)
        await trading.countdown("BTCUSDT", 200)
        await until(
            lambda: any(one.client_id == "hftd-3" and one.status == c.CANCELED for one in core.reports),
            "the end",
        )
