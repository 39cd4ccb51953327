"""The exchange's own Python client of Spot, unchanged, trades on the local exchange."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from tests.sim.exchange.client import KEY, SECRET, market
from tests.sim.exchange.spot_client import SpotClient, spot, trading
from tests.sim.exchange.test_client_library import LINES

pytest.importorskip("binance_sdk_spot", reason="the exchange's client library is not installed")

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01}
NAMED = {"symbol": "BTCUSDT", "orig_client_order_id": "a1"}


@contextlib.asynccontextmanager
async def library(settings: Any = None, **keys: Any) -> AsyncIterator[tuple[Any, SpotClient]]:
    """The library on a market that goes on for a while on the wall's clock."""
    from binance_common import configuration
    from binance_sdk_spot.spot import Spot

    keys = keys or {"api_secret": SECRET}
    async with trading(settings or spot(speed=1.0), market(*LINES)) as (exchange, client):
        rest = configuration.ConfigurationRestAPI(
            api_key=KEY, **keys, base_path=exchange.rest_url, retries=0, timeout=5000
        )
        api = configuration.ConfigurationWebSocketAPI(api_key=KEY, **keys, stream_url=exchange.urls["ws_api"])
        streams = configuration.ConfigurationWebSocketStreams(stream_url=exchange.stream_url)
        yield (
            Spot(config_rest_api=rest, config_ws_api=api, config_ws_streams=streams),
            client,
        )


async def test_it_trades_by_rest():
    from binance_common.errors import BadRequestError

    async with library() as (spot_client, client):
        rest = spot_client.rest_api

        async def ask(name: str, **params: Any) -> Any:
            return (await asyncio.to_thread(getattr(rest, name), **params)).data()

        (pair,) = (await ask("exchange_info", symbols=["BTCUSDT"])).symbols
        assert (pair.symbol, pair.default_self_trade_prevention_mode) == ("BTCUSDT", "EXPIRE_MAKER")
        assert (await ask("depth", symbol="BTCUSDT", limit=5)).bids[0][0] == "999.50000000"
        placed = await ask("new_order", **ORDER, price=999.0, new_client_order_id="a1")
        assert (placed.status, placed.client_order_id, placed.fills) == ("NEW", "a1", [])
        amended = await ask("order_amend_keep_priority", **NAMED, new_qty=0.006, new_client_order_id="a1")
        assert (amended.amended_order.qty, amended.amended_order.client_order_id) == ("0.00600000", "a1")
        assert (await ask("get_order", **NAMED)).order_id == placed.order_id
        assert len(await ask("get_open_orders", symbol="BTCUSDT")) == 1
        replaced = await ask(
            "order_cancel_replace",
            **ORDER,
            cancel_replace_mode="STOP_ON_FAILURE",
            cancel_order_id=placed.order_id,
            price=998.0,
            new_client_order_id="a2",
        )
        assert (replaced.cancel_result, replaced.new_order_response.client_order_id) == ("SUCCESS", "a2")
        cancelled = await ask("delete_order", symbol="BTCUSDT", orig_client_order_id="a2")
        assert (cancelled.status, cancelled.orig_client_order_id) == ("CANCELED", "a2")
        await ask("new_order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.01)
        (trade,) = await ask("my_trades", symbol="BTCUSDT")
        assert (trade.qty, trade.is_maker, trade.commission_asset) == ("0.01000000", False, "BTC")
        balances = {one.asset: one.free for one in (await ask("get_account")).balances}
        assert balances["BTC"] == "2.00998000"
        assert (await ask("account_commission", symbol="BTCUSDT")).standard_commission.maker == "0.00100000"
        assert [one.count for one in await ask("rate_limit_order")] == [2, 2]
        with pytest.raises(BadRequestError, match="PRICE_FILTER"):
            await ask("new_order", **ORDER, price=999.05)
        limited = await asyncio.to_thread(rest.ping)
        assert limited.rate_limits[0].count > 0
        assert len(client.truth()["trades"]) == 1


async def test_it_hears_the_market():
    async with library() as (spot_client, _):
        streams = await spot_client.websocket_streams.create_connection()
        heard: dict[str, asyncio.Queue[Any]] = {name: asyncio.Queue() for name in ("depth", "best")}
        try:
            depth = await streams.diff_book_depth(symbol="btcusdt", update_speed="100ms")
            depth.on("message", heard["depth"].put_nowait)
            best = await streams.book_ticker(symbol="btcusdt")
            best.on("message", heard["best"].put_nowait)
            first, second = [await asyncio.wait_for(heard["depth"].get(), 10.0) for _ in range(2)]
            assert first.u + 1 == second.U
            assert (await asyncio.wait_for(heard["best"].get(), 10.0)).b == "999.50000000"
        finally:
            await streams.close_connection(close_session=True)


async def test_it_trades_by_the_websocket_api_and_says_refusals_as_the_exchange_does():
    async with library() as (spot_client, client):
        api = await spot_client.websocket_api.create_connection()
        try:
            reply = await api.order_place(**ORDER, price=999.0, new_client_order_id="a1")
            assert reply.data().result.client_order_id == "a1"
            assert [limit.count for limit in reply.rate_limits] == [1, 1, 2]
            amended = await api.order_amend_keep_priority(**NAMED, new_qty=0.006, new_client_order_id="a1")
            assert amended.data().result.amended_order.qty == "0.00600000"
            assert (await api.order_status(**NAMED)).data().result.status == "NEW"
            assert (await api.order_cancel(**NAMED)).data().result.status == "CANCELED"
            refused = (await api.order_place(**ORDER, price=999.05)).data()
            assert refused["error"] == {"code": -1013, "msg": "Filter failure: PRICE_FILTER"}
            balances = (await api.account_status()).data().result.balances
            assert {one.asset: one.locked for one in balances}["USDT"] == "0.00000000"
        finally:
            await api.close_connection(close_session=True)
        assert client.truth()["orders"][0]["status"] == "CANCELED"


async def test_it_logs_on_with_an_ed25519_key_and_hears_its_orders():
    from Crypto.PublicKey import ECC

    key = ECC.generate(curve="ed25519")
    settings = spot(speed=1.0)
    account = replace(settings.accounts[0], public_key=key.public_key().export_key(format="PEM"))
    keys = {"private_key": key.export_key(format="PEM")}
    async with library(replace(settings, accounts=[account]), **keys) as (spot_client, client):
        api = await spot_client.websocket_api.create_connection()
        heard: asyncio.Queue[Any] = asyncio.Queue()
        try:
            assert (await api.session_logon()).data().result.api_key == KEY
            subscribed = await api.user_data_stream_subscribe()
            subscribed.stream.on("message", heard.put_nowait)
            await api.order_place(**ORDER, price=999.0, new_client_order_id="a1")
            report, position = [await asyncio.wait_for(heard.get(), 10.0) for _ in range(2)]
            assert (report.actual_instance.c, report.actual_instance.X) == ("a1", "NEW")
            locked = {one.a: one.l for one in position.actual_instance.B}
            assert locked["USDT"] == "9.99000000"
        finally:
            await api.close_connection(close_session=True)
        assert len(client.truth()["open_orders"]) == 1
