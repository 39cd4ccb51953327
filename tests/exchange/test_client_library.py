"""The exchange's own Python client, unchanged, trades on the local exchange."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from sim.exchange.config import AccountSection
from tests.exchange.client import KEY, SECRET, config, market, running

sdk = pytest.importorskip(
    "binance_sdk_derivatives_trading_usds_futures", reason="the exchange's client library is not installed"
)

SYMBOL = "BTCUSDT"
# A market that goes on for a while on the wall's clock.
LINES = [
    (side, ms, px, 1.0 + ms / 100)
    for ms in range(10, 20_000, 10)
    for side, px in (("bid", 999.5), ("ask", 1000.5))
]


def client_of(exchange: Any, **keys: Any) -> Any:
    from binance_common.configuration import (
        ConfigurationRestAPI,
        ConfigurationWebSocketAPI,
        ConfigurationWebSocketStreams,
    )

    return sdk.DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(**keys, base_path=exchange.rest_url, retries=0, timeout=5000),
        config_ws_api=ConfigurationWebSocketAPI(**keys, stream_url=exchange.urls["ws_api"]),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=exchange.stream_url),
    )


async def test_it_trades_by_rest():
    async with running(config(speed=1.0), market(*LINES)) as (exchange, client):
        rest = client_of(exchange, api_key=KEY, api_secret=SECRET).rest_api

        async def ask(name: str, **params: Any) -> Any:
            reply = await asyncio.to_thread(getattr(rest, name), **params)
            return reply.data()

        assert (await ask("exchange_information")).symbols[0].symbol == SYMBOL
        book = await ask("order_book", symbol=SYMBOL, limit=5)
        assert book.bids[0][0] == "999.50"
        order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01}
        placed = await ask("new_order", **order, price=999.0, new_client_order_id="a1")
        assert (placed.status, placed.client_order_id) == ("NEW", "a1")
        changed = await ask(
            "modify_order", symbol=SYMBOL, side="BUY", quantity=0.02, price=998.5, orig_client_order_id="a1"
        )
        assert (changed.price, changed.orig_qty) == ("998.50", "0.020")
        assert len(await ask("current_all_open_orders", symbol=SYMBOL)) == 1
        assert (
            await ask("query_order", symbol=SYMBOL, orig_client_order_id="a1")
        ).order_id == placed.order_id
        assert (await ask("cancel_order", symbol=SYMBOL, order_id=placed.order_id)).status == "CANCELED"
        await ask("new_order", symbol=SYMBOL, side="BUY", type="MARKET", quantity=0.01)
        (position,) = await ask("position_information_v3", symbol=SYMBOL)
        assert position.position_amt == "0.010"
        (trade,) = await ask("account_trade_list", symbol=SYMBOL)
        assert (trade.qty, trade.maker) == ("0.010", False)
        (balance,) = await ask("futures_account_balance_v3")
        assert balance.asset == "USDT"
        await ask("auto_cancel_all_open_orders", symbol=SYMBOL, countdown_time=100_000)
        assert (await ask("cancel_all_open_orders", symbol=SYMBOL)).code == 200
        from binance_common.errors import BadRequestError

        with pytest.raises(BadRequestError, match="tick size"):
            await ask("new_order", **order, price=999.05)
        assert len(client.truth()["trades"]) == 1


async def test_it_hears_the_market_and_its_own_orders():
    async with running(config(speed=1.0), market(*LINES)) as (exchange, client):
        library = client_of(exchange, api_key=KEY, api_secret=SECRET)
        streams = library.websocket_streams
        await streams.create_connection()
        heard: dict[str, asyncio.Queue[Any]] = {name: asyncio.Queue() for name in ("depth", "best", "user")}
        try:
            depth = await streams.diff_book_depth_streams(symbol="btcusdt", update_speed="100ms")
            depth.on("message", heard["depth"].put_nowait)
            best = await streams.individual_symbol_book_ticker_streams(symbol="btcusdt")
            best.on("message", heard["best"].put_nowait)
            started = await asyncio.to_thread(library.rest_api.start_user_data_stream)
            user = await streams.user_data(started.data().listen_key)
            user.on("message", heard["user"].put_nowait)
            first, second = [await asyncio.wait_for(heard["depth"].get(), 10.0) for _ in range(2)]
            assert second.pu == first.u
            assert (await asyncio.wait_for(heard["best"].get(), 10.0)).b == "999.50"
            await client.place(newClientOrderId="a1")
            event = await asyncio.wait_for(heard["user"].get(), 10.0)
            assert event.actual_instance.o.c == "a1"
        finally:
            await streams.close_connection()


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
async def test_it_trades_by_the_websocket_api(kind: str):
    from Crypto.PublicKey import ECC

    key = ECC.generate(curve="ed25519")
    account = AccountSection(
        name="one", api_key=KEY, secret=SECRET, public_key=key.public_key().export_key(format="PEM")
    )
    async with running(replace(config(speed=1.0), accounts=[account]), market(*LINES)) as (exchange, client):
        keys = {"api_secret": SECRET} if kind == "hmac" else {"private_key": key.export_key(format="PEM")}
        api = client_of(exchange, api_key=KEY, **keys).websocket_api
        await api.create_connection()
        try:
            order = {
                "symbol": SYMBOL,
                "side": "BUY",
                "type": "LIMIT",
                "time_in_force": "GTC",
                "quantity": 0.01,
            }
            reply = await api.new_order(**order, price=999.0, new_client_order_id="a1")
            assert reply.data().result.client_order_id == "a1"
            assert [limit.count for limit in reply.rate_limits][:2] == [1, 1]
            reply = await api.modify_order(
                symbol=SYMBOL, side="BUY", quantity=0.02, price=998.5, orig_client_order_id="a1"
            )
            assert reply.data().result.price == "998.50"
            reply = await api.query_order(symbol=SYMBOL, orig_client_order_id="a1")
            assert reply.data().result.status == "NEW"
            reply = await api.cancel_order(symbol=SYMBOL, orig_client_order_id="a1")
            assert reply.data().result.status == "CANCELED"
        finally:
            await api.close_connection()
        assert client.truth()["orders"][0]["status"] == "CANCELED"


async def test_a_session_that_is_logged_on_with_an_ed25519_key_signs_no_more():
    import base64

    from Crypto.PublicKey import ECC
    from Crypto.Signature import eddsa

    key = ECC.generate(curve="ed25519")
    account = AccountSection(name="one", api_key=KEY, public_key=key.public_key().export_key(format="PEM"))
    async with running(replace(config(), accounts=[account])) as (exchange, client):
        api = await client.ws_api()
        params = {"apiKey": KEY, "timestamp": exchange.clock.server_ms()}
        payload = f"apiKey={KEY}&timestamp={params['timestamp']}".encode()
        signature = base64.b64encode(eddsa.new(key, "rfc8032").sign(payload)).decode()
        reply = await api.ask(id=1, method="session.logon", params=params | {"signature": signature[::-1]})
        assert reply["error"]["code"] == -1022
        reply = await api.ask(id=2, method="session.logon", params=params | {"signature": signature})
        assert reply["result"]["apiKey"] == KEY
        order = client.order(newClientOrderId="a1", timestamp=exchange.clock.server_ms())
        assert (await api.ask(id=3, method="order.place", params=order))["status"] == 200
        assert (await api.ask(id=4, method="session.status"))["result"]["apiKey"] == KEY
        await api.ask(id=5, method="session.logout")
        assert (await api.ask(id=6, method="order.place", params=order))["error"]["code"] == -2014


async def test_it_signs_rest_with_an_ed25519_key():
    from Crypto.PublicKey import ECC

    key = ECC.generate(curve="ed25519")
    account = AccountSection(name="one", api_key=KEY, public_key=key.public_key().export_key(format="PEM"))
    async with running(replace(config(speed=1.0), accounts=[account])) as (exchange, _):
        rest = client_of(exchange, api_key=KEY, private_key=key.export_key(format="PEM")).rest_api
        reply = await asyncio.to_thread(rest.futures_account_balance_v3)
        assert reply.data()[0].asset == "USDT"
