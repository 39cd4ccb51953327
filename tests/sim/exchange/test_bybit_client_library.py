"""Bybit's own Python client, unchanged, trades on the local exchange.

Its hosts are templates in modules of its own: they are set to the local exchange's addresses before a client is made.
"""

import asyncio
import copy
import queue
from typing import Any

import pytest

from tests.sim.exchange.bybit_client import bybit, running_bybit
from tests.sim.exchange.client import KEY, SECRET, market

pytest.importorskip("pybit", reason="the exchange's client library is not installed")

SYMBOL = "BTCUSDT"
# A market that goes on for a while on the wall's clock.
LINES = [
    (side, ms, px, 1.0 + ms / 100)
    for ms in range(10, 20_000, 10)
    for side, px in (("bid", 999.5), ("ask", 1000.5))
]
KEYS = {"testnet": False, "api_key": KEY, "api_secret": SECRET}
ORDER = {"symbol": SYMBOL, "side": "Buy", "orderType": "Limit", "qty": "0.010", "timeInForce": "PostOnly"}


@pytest.fixture
def pointed(monkeypatch: pytest.MonkeyPatch):
    """Points the library at an exchange."""
    import pybit._http_manager
    import pybit._websocket_trading
    import pybit.unified_trading

    def point(exchange: Any) -> Any:
        streams = f"{exchange.stream_url}/v5"
        monkeypatch.setattr(pybit._http_manager, "HTTP_URL", exchange.rest_url)
        monkeypatch.setattr(pybit.unified_trading, "PUBLIC_WSS", streams + "/public/{CHANNEL_TYPE}")
        monkeypatch.setattr(pybit.unified_trading, "PRIVATE_WSS", exchange.urls["private"])
        monkeypatch.setattr(pybit._websocket_trading, "TRADE_WSS", exchange.urls["trade"])
        return pybit.unified_trading

    return point


async def test_it_trades_by_rest(pointed: Any):
    async with running_bybit(bybit(speed=1.0), market(*LINES)) as (exchange, client):
        http = pointed(exchange).HTTP(**KEYS)

        async def ask(name: str, **params: Any) -> Any:
            if "category" not in params and not name.endswith(("wallet_balance", "time")):
                params["category"] = "linear"
            return (await asyncio.to_thread(getattr(http, name), **params))["result"]

        await ask("get_server_time")
        assert (await ask("get_instruments_info"))["list"][0]["symbol"] == SYMBOL
        assert (await ask("get_orderbook", symbol=SYMBOL))["b"][0][0] == "999.50"
        assert (await ask("get_fee_rates", symbol=SYMBOL))["list"][0]["takerFeeRate"] == "0.0005"
        placed = await ask("place_order", **ORDER, price="999.0", orderLinkId="a1")
        assert placed["orderLinkId"] == "a1"
        changed = await ask("amend_order", symbol=SYMBOL, orderLinkId="a1", qty="0.020", price="998.5")
        assert changed == placed
        (row,) = (await ask("get_open_orders", symbol=SYMBOL))["list"]
        assert (row["orderId"], row["price"], row["qty"]) == (placed["orderId"], "998.5", "0.02")
        await ask("cancel_order", symbol=SYMBOL, orderId=placed["orderId"])
        (row,) = (await ask("get_order_history", orderId=placed["orderId"]))["list"]
        assert (row["orderStatus"], row["cancelType"]) == ("Cancelled", "CancelByUser")
        await ask("place_order", symbol=SYMBOL, side="Buy", orderType="Market", qty="0.010")
        (position,) = (await ask("get_positions", symbol=SYMBOL))["list"]
        assert (position["side"], position["size"]) == ("Buy", "0.01")
        (trade,) = (await ask("get_executions", symbol=SYMBOL))["list"]
        assert (trade["execQty"], trade["isMaker"]) == ("0.01", False)
        (wallet,) = (await ask("get_wallet_balance", accountType="UNIFIED"))["list"]
        assert wallet["coin"][0]["coin"] == "USDT"
        await ask("set_leverage", symbol=SYMBOL, buyLeverage="7", sellLeverage="7")
        assert (await ask("cancel_all_orders", symbol=SYMBOL))["list"] == []
        from pybit.exceptions import InvalidRequestError

        with pytest.raises(InvalidRequestError, match="tick"):
            await ask("place_order", **ORDER, price="999.05")
        assert len(client.truth()["trades"]) == 1


async def test_it_hears_the_market_and_trades_by_message(pointed: Any):
    async with running_bybit(bybit(speed=1.0), market(*LINES)) as (exchange, client):
        library = pointed(exchange)
        heard: dict[str, queue.Queue[Any]] = {
            name: queue.Queue() for name in ("book", "ticker", "order", "execution", "reply")
        }

        async def take(name: str) -> Any:
            return await asyncio.to_thread(heard[name].get, timeout=10.0)

        def connect() -> list[Any]:
            return [
                library.WebSocket(channel_type="linear", testnet=False),
                library.WebSocket(channel_type="private", **KEYS),
                library.WebSocketTrading(**KEYS),
            ]

        public, private, trading = sockets = await asyncio.to_thread(connect)
        try:
            # The library goes on writing into what it has handed out.
            public.orderbook_stream(50, SYMBOL, lambda one: heard["book"].put(copy.deepcopy(one)))
            public.ticker_stream(SYMBOL, heard["ticker"].put)
            private.order_stream(heard["order"].put)
            private.execution_stream(heard["execution"].put)
            first, second = await take("book"), await take("book")
            assert second["data"]["u"] == first["data"]["u"] + 1
            assert (await take("ticker"))["data"]["bid1Price"] == "999.50"
            trading.place_order(
                heard["reply"].put, category="linear", **ORDER, price="999.0", orderLinkId="a1"
            )
            assert (await take("reply"))["data"]["orderLinkId"] == "a1"
            assert (await take("order"))["data"][0]["orderStatus"] == "New"
            named = {"category": "linear", "symbol": SYMBOL, "orderLinkId": "a1"}
            trading.amend_order(heard["reply"].put, **named, price="998.5")
            assert (await take("reply"))["retCode"] == 0
            assert (await take("order"))["data"][0]["price"] == "998.5"
            trading.cancel_order(heard["reply"].put, **named)
            assert (await take("reply"))["retCode"] == 0
            assert (await take("order"))["data"][0]["orderStatus"] == "Cancelled"
            taker = ORDER | {"orderType": "Market", "timeInForce": "IOC"}
            trading.place_order(heard["reply"].put, category="linear", **taker)
            assert (await take("execution"))["data"][0]["execPrice"] == "1000.5"
            assert (await take("order"))["data"][0]["orderStatus"] == "Filled"
        finally:
            for socket in sockets:
                await asyncio.to_thread(socket.exit)
        assert [one["status"] for one in client.truth()["orders"]] == ["CANCELED", "FILLED"]
