"""What Binance COIN-M says otherwise than USD-M, by its documentation."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from hftd.config import load
from sim.exchange.binancecoinm.venue import BinanceCoinm, CoinmConfig, CoinmServer, CoinmSymbol
from sim.exchange.core import Exchange
from sim.exchange.rules.config import GenerateSection
from sim.exchange.rules.instruments import ALL_ORDERS, Instrument
from tests.laws import ROOT
from tests.sim.exchange.client import CONTRACT, OTHER_KEY, OTHER_SECRET, Client, at, coinm, market, running

MOVES = market(("bid", 10, 999.5, 2.0), ("ask", 20, 1000.5, 3.0), ("trade", 30, 1000.0, 1.0))


async def by_request(client: Client, **params: Any) -> Any:
    """What an order placed by the WebSocket API is answered with."""
    api = await client.ws_api()
    return await api.ask(id=1, method="order.place", params=client.ws_params(**client.order(**params)))


def test_the_configuration_of_the_project_is_good():
    settings = load(ROOT / "configs" / "exchange-binancecoinm.toml", CoinmConfig)
    assert [(one.symbol, one.lot_size, one.inverse) for one in settings.symbols] == [
        ("BTCUSD_PERP", "1", True)
    ]
    assert settings.exchange == CoinmServer(port=9080, control_port=9081)


@pytest.mark.parametrize(
    "section",
    [{"symbol": "BTCUSDT"}, {"lot_size": "0.1"}, {"contract_size": "0.5"}, {"inverse": False}],
)
def test_contracts_that_can_not_be_are_said(section: dict[str, Any]):
    with pytest.raises(msgspec.ValidationError, match=next(iter(section))):
        msgspec.convert(section, CoinmSymbol)


async def test_replies_name_the_pair_and_do_not_pad_prices():
    async with running(coinm()) as (_, client):
        placed = await client.place(newClientOrderId="a")
        assert (placed["pair"], placed["price"], placed["origQty"]) == ("BTCUSD", "999", "10")
        assert not {"avgPrice", "cumBase", "goodTillDate"} & set(placed)
        await client.place(newClientOrderId="b", type="MARKET", price=None, timeInForce=None, quantity="3")
        found = await client.good("GET", "v1/order", symbol=client.symbol, origClientOrderId="b")
        assert (found["cumQuote"], found["executedQty"]) == ("300", "3")
        (trade, *_) = await client.good("GET", "v1/userTrades", pair="BTCUSD")
        assert (trade["marginAsset"], trade["commissionAsset"], trade["pair"]) == ("BTC", "BTC", "BTCUSD")
        # 100 dollars at 1,000.5, in coin.
        assert (trade["price"], trade["baseQty"]) == ("1000.5", "0.09995002")
        (row,) = await client.good("GET", "v1/positionRisk")
        assert (row["positionAmt"], row["isAutoAddMargin"]) == ("3", "false")


async def test_positions_are_those_of_all_contracts_and_balances_those_of_all_coins():
    ether = replace(CONTRACT, symbol="ETHUSD_261225", base="ETH", contract_size="10")
    settings = replace(coinm(), symbols=[CONTRACT, ether])
    exchange = Exchange(
        BinanceCoinm, settings, Path(), [], {"BTCUSD_PERP": market(), "ETHUSD_261225": market()}
    )
    account = exchange.accounts[0]
    ask = {
        path: BinanceCoinm.rest["GET", f"/v1/{path}"].run
        for path in ("positionRisk", "balance", "account", "exchangeInfo")
    }
    rows = ask["positionRisk"](exchange, account, {})
    assert [(one["symbol"], one["positionAmt"]) for one in rows] == [
        ("BTCUSD_PERP", "0"),
        ("ETHUSD_261225", "0"),
    ]
    assert [one["symbol"] for one in ask["positionRisk"](exchange, account, {"marginAsset": "ETH"})] == [
        "ETHUSD_261225"
    ]
    assert [one["asset"] for one in ask["balance"](exchange, account, {})] == ["BTC", "ETH"]
    assert [one["asset"] for one in ask["account"](exchange, account, {})["assets"]] == ["BTC", "ETH"]
    perpetual, quarter = ask["exchangeInfo"](exchange, None, {})["symbols"]
    assert (perpetual["contractType"], perpetual["contractStatus"], perpetual["contractSize"]) == (
        "PERPETUAL",
        "TRADING",
        100,
    )
    # Friday, 25 December 2026, 08:00 UTC.
    assert (quarter["pair"], quarter["deliveryDate"]) == ("ETHUSD", 1_798_185_600_000)


async def test_events_name_the_account_and_value_open_orders_in_coin():
    async with running(coinm()) as (_, client):
        stream = await client.user_stream()
        await client.place(newClientOrderId="a")
        event = await stream.next()
        order = event["o"]
        # 10 contracts of 100 dollars at 999.
        assert (order["b"], order["a"], order["ma"], order["n"]) == ("1.00100100", "0", "BTC", "0")
        await client.place(newClientOrderId="b", side="SELL", price="999.5", quantity="1")
        kinds = [one["e"] for one in await stream.all()]
        assert kinds == ["ORDER_TRADE_UPDATE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]
        assert event["i"].startswith("local")


def test_fees_and_entries_are_those_of_the_documentation():
    contract = Instrument(0, replace(CONTRACT, taker_fee="0.0004"), {"TRADING": ALL_ORDERS})
    worth = contract.worth(88_000, 1)
    assert (contract.money(worth), contract.fee(worth, contract.taker_rate)) == (1_136_364, 454)
    # The mean is harmonic: of 1 contract at 50,000 and 2 at 60,000.
    entry = contract.average(contract.worth(500_000, 1) + contract.worth(600_000, 2), 3)
    assert entry == f"{3 / (Decimal(1) / 50_000 + Decimal(2) / 60_000):.8f}"


async def test_modifications_that_change_nothing_are_refused_and_some_end_the_order():
    async with running(coinm()) as (_, client):
        await client.place(newClientOrderId="a")
        same = client.modified("a", "999.0", "10")
        assert await client.code("PUT", "v1/order", **same) == -4197
        await client.place(newClientOrderId="b", timeInForce="GTX")
        assert (await client.modify("b", "1000.5", "10"))["status"] == "CANCELED"
        await client.place(newClientOrderId="c", price="1000.5", quantity="2")
        done = (await client.good("GET", "v1/order", symbol=client.symbol, origClientOrderId="c"))["status"]
        assert done == "FILLED"


@pytest.mark.parametrize("tif", ["GTX", "FOK"])
async def test_orders_that_do_not_fit_are_refused_or_expire(tif: str):
    async with running(coinm()) as (_, client):
        unfit = {"timeInForce": tif, "price": "1000.5" if tif == "GTX" else "1000.0", "quantity": "5"}
        assert await client.refused(**unfit) == {"GTX": -5022, "FOK": -5021}[tif]
        assert client.truth()["orders"] == []
    async with running(coinm(unfit="expired")) as (_, client):
        stream = await client.user_stream()
        assert (await client.place(**unfit))["status"] == "NEW"
        assert [one["o"]["X"] for one in await stream.all()] == ["NEW", "EXPIRED"]
        assert client.truth()["open_orders"] == []


async def test_errors_have_the_products_own_numbers_or_those_of_its_sister():
    for numbers, code in (("own", -4197), ("sister", -5027)):
        async with running(coinm(numbers=numbers)) as (_, client):
            await client.place(newClientOrderId="a")
            assert await client.code("PUT", "v1/order", **client.modified("a", "999.0", "10")) == code


async def test_replies_to_orders_by_the_websocket_api_do_not_tell_the_weight():
    async with running(coinm()) as (exchange, client):
        reply = await by_request(client)
        assert [(one["rateLimitType"], one["limit"], one["count"]) for one in reply["rateLimits"]] == [
            ("REQUEST_WEIGHT", -1, -1),
            ("ORDERS", 1200, 1),
        ]
        api = await client.ws_api()
        await api.socket.send_str("{")
        assert (await api.next())["error"] == {"code": -1000, "msg": "Invalid JSON request."}
        reply = await api.ask(id=2, method="account.balance", params=client.ws_params())
        # One pool for both ways: twice 5 for connecting and 5 for this.
        assert reply["rateLimits"][0]["count"] == 15 == exchange.core.limits.used("127.0.0.1")


@pytest.mark.parametrize(
    ("path", "server", "is_heard"),
    [
        ("/ws/{}", {}, True),
        ("/stream?streams={}", {}, True),
        ("/public/ws/{}", {}, True),
        ("/market/ws/{}", {}, False),
        ("/private/ws/{}", {}, False),
        ("/market/ws/{}", {"routed": "all"}, True),
        ("/ws/{}", {"unrouted": "public"}, True),
    ],
)
async def test_streams_are_on_all_paths_and_the_wrong_class_is_silent(path: str, server: Any, is_heard: bool):
    async with running(coinm(**server), MOVES) as (exchange, client):
        stream = await client.stream(path.format("btcusd_perp@depth@0ms"))
        exchange.move_to(at(40))
        assert bool(await stream.all()) is is_heard


async def test_streams_tell_pair_and_product_and_have_one_counter_of_ids():
    async with running(coinm(), MOVES) as (exchange, client):
        stream = await client.stream(
            "/stream?streams=btcusd_perp@depth@0ms/btcusd_perp@bookTicker/!contractInfo"
        )
        exchange.move_to(at(40))
        said = [one["data"] for one in await stream.all()]
        assert {(one["ps"], one["st"]) for one in said} == {("BTCUSD", 2)}
        ids = [one["u"] for one in said if one["e"] == "bookTicker"]
        assert ids == sorted(ids)
        exchange.core.change("BTCUSD_PERP", {"status": "TRADING_HALT"})
        told = [one["data"] for one in await stream.all()]
        # The stream is that of both products.
        assert [(one["s"], one["st"], one["cs"]) for one in told] == [
            ("BTCUSDT", 1, "TRADING_HALT"),
            ("BTCUSD_PERP", 2, "TRADING_HALT"),
        ]


async def test_a_listen_key_is_said_again_and_one_that_nobody_has_is_silent():
    async with running(coinm()) as (exchange, client):
        key = await client.good("POST", "v1/listenKey")
        assert await client.good("PUT", "v1/listenKey") == key
        own = await client.stream(f"/ws/{key['listenKey']}")
        wrong = await client.stream(f"/ws/{key['listenKey'][::-1]}")
        other = Client(exchange, client.session, OTHER_KEY, OTHER_SECRET)
        await client.place()
        assert len(await own.all()) == 1
        assert await wrong.all() == []
        # The other account has a key of its own, and its orders are not heard by this one.
        assert (await other.good("POST", "v1/listenKey")) != key
        await other.place()
        assert await own.all() == []


async def test_the_countdown_is_that_of_a_contract():
    async with running(coinm()) as (exchange, client):
        await client.place(newClientOrderId="a")
        reply = await client.good("POST", "v1/countdownCancelAll", symbol=client.symbol, countdownTime=5)
        assert reply == {"symbol": "BTCUSD_PERP", "countdownTime": "5"}
        exchange.move_to(at(20))
        exchange.core.pump()
        assert client.truth()["orders"][0]["status"] == "CANCELED"


async def test_a_request_that_comes_late_to_the_engine_has_its_own_number():
    settings = replace(coinm(), latency=replace(coinm().latency, entry_ms=(50.0, 50.0)))
    async with running(replace(settings, exchange=replace(settings.exchange, speed=1.0))) as (_, client):
        assert await client.refused(recvWindow=10) == -4188


async def test_queries_by_pair_and_by_symbol():
    async with running(coinm()) as (_, client):
        await client.place(newClientOrderId="a")
        assert len(await client.good("GET", "v1/openOrders", pair="BTCUSD")) == 1
        assert await client.good("GET", "v1/openOrders", pair="ETHUSD") == []
        assert await client.code("GET", "v1/openOrders", symbol="ETHUSD_PERP") == -1121
        assert await client.code("GET", "v1/allOrders", pair="BTCUSD", orderId=1) == -1128
        assert await client.code("GET", "v1/allOrders", symbol=client.symbol, limit=101) == -1130
        book = await client.good("GET", "v1/depth", symbol=client.symbol, limit=5)
        assert (book["pair"], book["bids"][0]) == ("BTCUSD", ["999.5", "1"])


def test_a_generated_market_counts_whole_contracts_and_has_enough_of_them():
    settings = coinm()
    section = GenerateSection(seed=3, duration_s=5.0)
    settings = replace(settings, market=replace(settings.market, generate=section))
    exchange = Exchange(BinanceCoinm, settings, Path(), [])
    exchange.market.advance(exchange.market.start_ns + 4_000_000_000)
    bids = exchange.market.levels(0, 1, 20)
    assert len(bids) == 20
    assert sum(lots for _, lots in bids) > 1000


def test_patterns_of_endpoints_are_the_products():
    assert all("/fapi" not in one for one in BinanceCoinm.endpoints)
    assert "GET /dapi/*/order" in BinanceCoinm.endpoints
