"""The exchange's own Python client of each product, unchanged, trades on the local exchange."""

import asyncio
import importlib
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from sim.exchange.rules.config import AccountSection
from tests.sim.exchange.client import KEY, SECRET, coinm, config, market, running

# A market that goes on for a while on the wall's clock.
LINES = [
    (side, ms, px, 1.0 + ms // 1000)
    for ms in range(10, 20_000, 10)
    for side, px in (("bid", 999.5), ("ask", 1000.5))
]


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """A product and its client: names that differ, and how numbers are written."""

    package: str
    client: str
    config: Any
    symbol: str
    qtys: tuple[float, float]
    bid: str
    modified: tuple[str, str]
    traded: str
    asset: str
    counts: list[int]
    version: str
    by_symbol: bool

    def of(self, exchange: Any, **keys: Any) -> Any:
        """The client of an exchange."""
        sdk = pytest.importorskip(self.package, reason="the exchange's client library is not installed")
        common = importlib.import_module("binance_common.configuration")
        return getattr(sdk, self.client)(
            config_rest_api=common.ConfigurationRestAPI(
                **keys, base_path=exchange.rest_url, retries=0, timeout=5000
            ),
            config_ws_api=common.ConfigurationWebSocketAPI(**keys, stream_url=exchange.urls["ws_api"]),
            config_ws_streams=common.ConfigurationWebSocketStreams(stream_url=exchange.stream_url),
        )

    def order(self, **more: Any) -> dict[str, Any]:
        """A limit order to buy."""
        order = {"symbol": self.symbol, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC"}
        return order | {"quantity": self.qtys[0]} | more

    def modification(self) -> dict[str, Any]:
        """Another quantity and price."""
        order = {"symbol": self.symbol, "side": "BUY", "quantity": self.qtys[1]}
        return order | {"price": 998.5, "orig_client_order_id": "a1"}


USDM = Library(
    package="binance_sdk_derivatives_trading_usds_futures",
    client="DerivativesTradingUsdsFutures",
    config=config,
    symbol="BTCUSDT",
    qtys=(0.01, 0.02),
    bid="999.50",
    modified=("998.50", "0.020"),
    traded="0.010",
    asset="USDT",
    counts=[1, 1],
    version="_v3",
    by_symbol=True,
)
COINM = Library(
    package="binance_sdk_derivatives_trading_coin_futures",
    client="DerivativesTradingCoinFutures",
    config=coinm,
    symbol="BTCUSD_PERP",
    qtys=(1, 2),
    bid="999.5",
    modified=("998.5", "2"),
    traded="1",
    asset="BTC",
    counts=[-1, 1],
    version="",
    by_symbol=False,
)
both = pytest.mark.parametrize("library", [USDM, COINM], ids=["usdm", "coinm"])


@both
async def test_it_trades_by_rest(library: Library):
    symbol = library.symbol
    async with running(library.config(speed=1.0), market(*LINES)) as (exchange, client):
        rest = library.of(exchange, api_key=KEY, api_secret=SECRET).rest_api

        async def ask(name: str, **params: Any) -> Any:
            reply = await asyncio.to_thread(getattr(rest, name), **params)
            return reply.data()

        assert (await ask("exchange_information")).symbols[0].symbol == symbol
        book = await ask("order_book", symbol=symbol, limit=5)
        assert book.bids[0][0] == library.bid
        placed = await ask("new_order", **library.order(price=999.0, new_client_order_id="a1"))
        assert (placed.status, placed.client_order_id) == ("NEW", "a1")
        changed = await ask("modify_order", **library.modification())
        assert (changed.price, changed.orig_qty) == library.modified
        assert len(await ask("current_all_open_orders", symbol=symbol)) == 1
        assert (
            await ask("query_order", symbol=symbol, orig_client_order_id="a1")
        ).order_id == placed.order_id
        assert (await ask("cancel_order", symbol=symbol, order_id=placed.order_id)).status == "CANCELED"
        await ask("new_order", symbol=symbol, side="BUY", type="MARKET", quantity=library.qtys[0])
        asked = {"symbol": symbol} if library.by_symbol else {"margin_asset": library.asset}
        (position,) = await ask(f"position_information{library.version}", **asked)
        assert position.position_amt == library.traded
        (trade,) = await ask("account_trade_list", symbol=symbol)
        assert (trade.qty, trade.maker) == (library.traded, False)
        (balance,) = await ask(f"futures_account_balance{library.version}")
        assert balance.asset == library.asset
        (asset,) = (await ask(f"account_information{library.version}")).assets
        assert asset.wallet_balance == balance.balance
        core = exchange.core
        (payment,) = core.mishaps.fund(core.accounts[0], core.instruments[symbol], Decimal("0.001"))
        (income,) = await ask("get_income_history", income_type="FUNDING_FEE", start_time=payment.time_ms)
        assert (income.symbol, income.asset, income.time) == (symbol, library.asset, payment.time_ms)
        assert Decimal(income.income) == Decimal(payment.amount).scaleb(-8) < 0
        await ask("auto_cancel_all_open_orders", symbol=symbol, countdown_time=100_000)
        assert (await ask("cancel_all_open_orders", symbol=symbol)).code == 200
        from binance_common.errors import BadRequestError

        with pytest.raises(BadRequestError, match=r"tick size|Precision"):
            await ask("new_order", **library.order(price=999.05))
        assert len(client.truth()["trades"]) == 1


@both
async def test_it_hears_the_market_and_its_own_orders(library: Library):
    async with running(library.config(speed=1.0), market(*LINES)) as (exchange, client):
        found = library.of(exchange, api_key=KEY, api_secret=SECRET)
        streams = found.websocket_streams
        await streams.create_connection()
        heard: dict[str, asyncio.Queue[Any]] = {name: asyncio.Queue() for name in ("depth", "best", "user")}
        try:
            depth = await streams.diff_book_depth_streams(symbol=library.symbol.lower(), update_speed="100ms")
            depth.on("message", heard["depth"].put_nowait)
            best = await streams.individual_symbol_book_ticker_streams(symbol=library.symbol.lower())
            best.on("message", heard["best"].put_nowait)
            started = await asyncio.to_thread(found.rest_api.start_user_data_stream)
            user = await streams.user_data(started.data().listen_key)
            user.on("message", heard["user"].put_nowait)
            first, second = [await asyncio.wait_for(heard["depth"].get(), 10.0) for _ in range(2)]
            assert second.pu == first.u
            assert (await asyncio.wait_for(heard["best"].get(), 10.0)).b == library.bid
            await client.place(newClientOrderId="a1")
            event = await asyncio.wait_for(heard["user"].get(), 10.0)
            assert event.actual_instance.o.c == "a1"
        finally:
            await streams.close_connection()


@pytest.mark.parametrize(
    ("library", "kind"),
    [(USDM, "hmac"), (USDM, "ed25519"), (COINM, "hmac")],
    ids=["usdm", "usdm-ed25519", "coinm"],
)
async def test_it_trades_by_the_websocket_api(library: Library, kind: str):
    from Crypto.PublicKey import ECC

    key = ECC.generate(curve="ed25519")
    settings = library.config(speed=1.0)
    account = replace(settings.accounts[0], public_key=key.public_key().export_key(format="PEM"))
    async with running(replace(settings, accounts=[account]), market(*LINES)) as (exchange, client):
        keys = {"api_secret": SECRET} if kind == "hmac" else {"private_key": key.export_key(format="PEM")}
        api = library.of(exchange, api_key=KEY, **keys).websocket_api
        await api.create_connection()
        try:
            reply = await api.new_order(**library.order(price=999.0, new_client_order_id="a1"))
            assert reply.data().result.client_order_id == "a1"
            assert [limit.count for limit in reply.rate_limits][:2] == library.counts
            reply = await api.modify_order(**library.modification())
            assert reply.data().result.price == library.modified[0]
            named = {"symbol": library.symbol, "orig_client_order_id": "a1"}
            assert (await api.query_order(**named)).data().result.status == "NEW"
            assert (await api.cancel_order(**named)).data().result.status == "CANCELED"
            if not library.version:
                (position,) = (await api.position_information()).data().result
                assert position.position_amt == "0"
                (balance,) = (await api.futures_account_balance()).data().result
                assert balance.asset == library.asset
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
        rest = USDM.of(exchange, api_key=KEY, private_key=key.export_key(format="PEM")).rest_api
        reply = await asyncio.to_thread(rest.futures_account_balance_v3)
        assert reply.data()[0].asset == "USDT"
