"""What the exchange does to instruments and accounts, and what fails while the rest works."""

import asyncio
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from sim.exchange.binancefutures.venue import BinanceFutures
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.config import ExchangeConfig
from sim.exchange.servers.server import LocalExchange
from tests.sim.exchange.client import ACCOUNTS, KEY, SYMBOL, Client, at, config, market, running

FINE = replace(SYMBOL, grid_tick="0.01", grid_lot="0.0001")


async def pull(exchange: LocalExchange, client: Client, page: str, **query: Any) -> Any:
    async with client.session.post(exchange.control_url + page, params=query) as reply:
        content = await reply.json()
        assert reply.status == 200, content
        return content


async def told(client: Client, symbol: str = "BTCUSDT") -> dict[str, Any]:
    info = await client.good("GET", "v1/exchangeInfo")
    (found,) = [one for one in info["symbols"] if one["symbol"] == symbol]
    return found | {one["filterType"]: one for one in found["filters"]}


# Instruments.


async def test_steps_become_finer_and_coarser_and_resting_orders_keep_their_price():
    async with running(config(FINE)) as (exchange, client):
        assert await client.refused(price="999.05") == -4014
        assert await client.refused(price="999.001") == -1111
        await pull(exchange, client, "/change", symbol="BTCUSDT", tick_size="0.01", lot_size="0.0001")
        assert (await told(client))["PRICE_FILTER"]["tickSize"] == "0.01"
        await client.place(price="999.05", quantity="0.0101", newClientOrderId="fine")
        await pull(exchange, client, "/change", symbol="BTCUSDT", tick_size="0.50", lot_size="0.0100")
        assert (await told(client))["LOT_SIZE"]["stepSize"] == "0.0100"
        (order,) = await client.good("GET", "v1/openOrders", symbol="BTCUSDT")
        assert (float(order["price"]), float(order["origQty"])) == (999.05, 0.0101)
        assert await client.code("PUT", "v1/order", **client.modified("fine", "999.05", "0.0100")) == -4014
        assert await client.code("PUT", "v1/order", **client.modified("fine", "999.00", "0.0101")) == -4023
        await client.modify("fine", "999.00", "0.0200")
        assert (await client.cancel("fine"))["status"] == "CANCELED"


async def test_an_order_at_an_old_price_is_filled_at_it():
    async with running(config(FINE), market(("sell", 5, 998.0, 9.0))) as (exchange, client):
        exchange.core.change("BTCUSDT", {"tick_size": "0.01"})
        await client.place(price="999.03")
        exchange.core.change("BTCUSDT", {"tick_size": "0.10"})
        exchange.move_to(at(5))
        (trade,) = await client.good("GET", "v1/userTrades", symbol="BTCUSDT")
        assert trade["price"] == "999.03"


async def test_steps_that_the_market_can_not_hold_are_refused():
    async with running() as (exchange, client):
        for changes in (
            {"tick_size": "0.01"},
            {"lot_size": "0.0001"},
            {"tick_size": "x"},
            {"quote": "X"},
            {"status": "X"},
            {"symbol": "X"},
        ):
            query = {"symbol": "BTCUSDT"} | changes
            async with client.session.post(exchange.control_url + "/change", params=query) as reply:
                assert reply.status == 400
        assert (await told(client))["PRICE_FILTER"]["tickSize"] == "0.10"
        with pytest.raises(ValueError, match="multiple of `grid_tick`"):
            replace(SYMBOL, grid_tick="0.03")


async def test_filters_change():
    async with running() as (exchange, client):
        await pull(
            exchange, client, "/change", symbol="BTCUSDT", min_notional="100", max_orders="1", min_qty="0.002"
        )
        assert await client.refused() == -4164
        assert await client.refused(quantity="0.001") == -4004
        await client.place(quantity="0.2")
        assert await client.refused(quantity="0.2") == -2025
        assert (await told(client))["MAX_NUM_ORDERS"]["limit"] == 1


@pytest.mark.parametrize(
    ("status", "opens", "reduces", "modifies"),
    [
        ("TRADING", 0, 0, 0),
        ("BREAK", -4140, 0, -5024),
        ("PRE_DELISTING", -4140, 0, -5024),
        ("SETTLING", -4108, -4108, -5024),
        ("PENDING_TRADING", -4108, -4108, -5024),
    ],
)
async def test_a_status_is_told_and_says_which_orders_are_taken(status, opens, reduces, modifies):
    async with running() as (exchange, client):
        stream = await client.stream("/market/ws/!contractInfo")
        await client.place(type="MARKET", timeInForce=None, price=None)
        await client.place(newClientOrderId="a1")
        await pull(exchange, client, "/change", symbol="BTCUSDT", status="HALT")
        assert (await stream.next())["cs"] == "HALT"
        await pull(exchange, client, "/change", symbol="BTCUSDT", status=status)
        event = await stream.next()
        assert (event["e"], event["s"], event["cs"], event["st"]) == ("contractInfo", "BTCUSDT", status, 1)
        assert (await told(client))["status"] == status

        async def code(method: str, params: dict[str, Any]) -> int:
            http, content = await client.call(method, "v1/order", **params)
            return 0 if http == 200 else content["code"]

        assert await code("POST", client.order(newClientOrderId="a2")) == opens
        assert await code("PUT", client.modified("a1", "998.0", "0.010")) == modifies
        reducing = client.order(side="SELL", price="1100.0", reduceOnly="true", quantity="0.005")
        assert await code("POST", reducing | {"price": "1001.0"}) == reduces
        # Cancels are taken in any status.
        await client.cancel("a1")


async def test_a_delisted_instrument_is_known_no_more_and_can_be_listed_again():
    async with running(data=market(("bid", 5, 999.5, 2.0))) as (exchange, client):
        stream, depth = (
            await client.stream("/market/ws/!contractInfo"),
            await client.stream("/public/ws/btcusdt@depth@0ms"),
        )
        user = await client.user_stream()
        await client.place(type="MARKET", timeInForce=None, price=None)
        await client.place(newClientOrderId="a1")
        await user.all()
        await pull(exchange, client, "/delist", symbol="BTCUSDT")
        assert [one["cs"] for one in await stream.take(2)] == ["SETTLING", "CLOSE"]
        events = await user.all()
        ends = [(e["o"]["c"], e["o"]["X"], e["o"]["er"]) for e in events if e["e"] == "ORDER_TRADE_UPDATE"]
        assert ends[0] == ("a1", "EXPIRED", "7")
        assert ends[-1][0].startswith("settlement_autoclose-")
        assert (await client.good("GET", "v1/exchangeInfo"))["symbols"] == []
        for method, path in (("GET", "v1/depth"), ("GET", "v1/openOrders"), ("GET", "v1/userTrades")):
            assert await client.code(method, path, symbol="BTCUSDT") == -1121
        assert await client.refused() == -1121
        assert await client.good("GET", "v3/positionRisk") == []
        exchange.move_to(at(5))
        assert await depth.all() == []
        await pull(exchange, client, "/list", symbol="BTCUSDT", status="PENDING_TRADING")
        assert (await told(client))["status"] == "PENDING_TRADING"


async def test_an_instrument_that_is_not_listed_yet_comes():
    other = replace(SYMBOL, symbol="ETHUSDT", listed=False)
    settings = ExchangeConfig(
        symbols=[SYMBOL, other], accounts=ACCOUNTS, exchange=config().exchange, chaos=config().chaos
    )
    exchange = LocalExchange(BinanceFutures, settings, rows={"BTCUSDT": market(), "ETHUSDT": market()})
    async with exchange, aiohttp.ClientSession() as session:
        client = Client(exchange, session)
        stream = await client.stream("/market/ws/!contractInfo")
        assert await client.refused(symbol="ETHUSDT") == -1121
        await pull(exchange, client, "/list", symbol="ETHUSDT")
        event = await stream.next()
        assert (event["s"], event["cs"]) == ("ETHUSDT", "TRADING")
        await client.place(symbol="ETHUSDT")
        # What was done in it before does not come back in the other one.
        assert [one["symbol"] for one in await client.good("GET", "v1/openOrders")] == ["ETHUSDT"]


# Positions that the exchange or the owner closes.


@pytest.mark.parametrize(
    ("why", "client_id", "first", "execution"),
    [
        ("liquidation", "autoclose-", "NEW", "CALCULATED"),
        ("insurance", "autoclose-", "NEW_INSURANCE", "CALCULATED"),
        ("adl", "adl_autoclose", "NEW_ADL", "CALCULATED"),
        ("settlement", "settlement_autoclose-", "NEW", "TRADE"),
    ],
)
async def test_the_exchange_closes_a_position(why, client_id, first, execution):
    async with running() as (exchange, client):
        await client.place(type="MARKET", timeInForce=None, price=None)
        await client.place(newClientOrderId="rests")
        user = await client.user_stream()
        done = await pull(exchange, client, "/force", api_key=KEY, symbol="BTCUSDT", why=why, share="0.5")
        assert done == {"closed": 1}
        events = await user.all()
        orders = [one["o"] for one in events if one["e"] == "ORDER_TRADE_UPDATE"]
        if why != "adl":
            assert (orders[0]["c"], orders[0]["X"], orders[0]["er"]) == (
                "rests",
                "EXPIRED",
                "7" if why == "settlement" else "5",
            )
            orders = orders[1:]
        new, done = orders
        assert new["c"].startswith(client_id)
        assert (new["x"], new["X"]) == ("NEW", first)
        assert (done["x"], done["X"], done["S"], done["l"]) == (execution, "FILLED", "SELL", "0.005")
        (account,) = [one for one in events if one["e"] == "ACCOUNT_UPDATE"]
        assert account["a"]["P"][0]["pa"] == "0.005"
        assert (await client.good("GET", "v1/userTrades", symbol="BTCUSDT"))[-1]["id"] == done["t"]
        assert (await client.good("GET", "v3/positionRisk"))[0]["positionAmt"] == "0.005"


async def test_the_owner_trades_by_hand():
    async with running() as (exchange, client):
        user = await client.user_stream()
        by_hand = {"api_key": KEY, "symbol": "BTCUSDT"}
        placed = await pull(
            exchange,
            client,
            "/order",
            **by_hand,
            side="BUY",
            type="MARKET",
            quantity="0.020",
            newClientOrderId="web_1",
        )
        assert placed["status"] == "FILLED"
        await client.place(newClientOrderId="a1")
        assert (await pull(exchange, client, "/cancel", **by_hand, origClientOrderId="a1"))[
            "status"
        ] == "CANCELED"
        closed = await pull(exchange, client, "/close-position", **by_hand)
        assert (closed["side"], closed["executedQty"], closed["reduceOnly"]) == ("SELL", "0.020", True)
        assert await pull(exchange, client, "/close-position", **by_hand) == {"closed": 0}
        assert len([one for one in await user.all() if one["e"] == "ACCOUNT_UPDATE"]) == 2
        async with client.session.post(
            exchange.control_url + "/cancel", params=by_hand | {"orderId": "1"}
        ) as reply:
            assert "-2011" in (await reply.json())["error"]


async def test_an_order_that_trades_with_its_own_account_has_one_trade_id_for_both_sides():
    async with running() as (_, client):
        user = await client.user_stream()
        await client.place(price="999.8", quantity="0.010", newClientOrderId="worse")
        await client.place(price="1000.0", quantity="0.010", newClientOrderId="better")
        sell = {
            "side": "SELL",
            "price": "999.8",
            "selfTradePreventionMode": "NONE",
            "newClientOrderId": "taker",
        }
        await client.place(**sell, quantity="0.025")
        trades = await client.good("GET", "v1/userTrades", symbol="BTCUSDT")
        pairs = [(one["id"], one["side"], one["price"], one["qty"], one["maker"]) for one in trades]
        first, second = trades[0]["id"], trades[2]["id"]
        assert pairs == [
            (first, "SELL", "1000.00", "0.010", False),
            (first, "BUY", "1000.00", "0.010", True),
            (second, "SELL", "999.80", "0.010", False),
            (second, "BUY", "999.80", "0.010", True),
        ]
        told = [
            one["o"]
            for one in await user.all()
            if one["e"] == "ORDER_TRADE_UPDATE" and one["o"]["x"] == "TRADE"
        ]
        assert [(one["c"], one["t"]) for one in told] == [
            ("taker", first),
            ("better", first),
            ("taker", second),
            ("worse", second),
        ]
        (position,) = await client.good("GET", "v3/positionRisk", symbol="BTCUSDT")
        assert position["positionAmt"] == "0.000"
        (order,) = await client.good("GET", "v1/openOrders", symbol="BTCUSDT")
        assert (order["clientOrderId"], order["executedQty"]) == ("taker", "0.020")


async def test_margin_is_refused_when_there_is_none():
    async with running() as (exchange, client):
        await pull(exchange, client, "/balance", api_key=KEY, balance="1")
        assert await client.refused() == -2019
        await pull(exchange, client, "/balance", api_key=KEY, balance="1000")
        await client.place()


# Endpoints, streams and limits.


async def test_one_endpoint_fails_and_the_others_work():
    async with running() as (exchange, client):
        path = "GET /fapi/v1/openOrders"
        await pull(exchange, client, "/fail", path=path, times=2)
        assert [(await client.call("GET", "v1/openOrders"))[0] for _ in range(3)] == [503, 503, 200]
        await pull(exchange, client, "/fail", path=path, kind="html", status=502)
        await client.good("GET", "v3/balance")
        for status in (502, 200):
            if status == 200:
                await pull(exchange, client, "/mend")
                await pull(exchange, client, "/fail", path="GET /fapi/*/openOrders", kind="html", status=200)
            url = f"{exchange.rest_url}/fapi/v1/openOrders?{client.sign({})}"
            async with client.session.get(url, headers={"X-MBX-APIKEY": KEY}) as reply:
                assert (reply.status, reply.content_type) == (status, "text/html")
                assert (await reply.text()).startswith("<!DOCTYPE html>")
        await pull(exchange, client, "/mend")
        before = await client.good("GET", "v1/openOrders")
        await pull(exchange, client, "/fail", path=path, kind="stale")
        assert await client.good("GET", "v1/openOrders") == before == []
        await client.place(newClientOrderId="a1")
        assert await client.good("GET", "v1/openOrders") == []
        await pull(exchange, client, "/mend")
        assert len(await client.good("GET", "v1/openOrders")) == 1
        status = await (await client.session.get(exchange.control_url + "/status")).json()
        assert status["chaos"]["outage: stale"] == 2


async def test_some_orders_are_refused_with_the_code_and_words_that_were_asked_for():
    async with running() as (exchange, client):
        words = "Market order rejected: the best opposite price is outside of the band."
        rule = {"path": "order.place", "code": -4131, "status": 400, "msg": words, "params": "type=MARKET"}
        async with client.session.post(exchange.control_url + "/fail", json=rule) as reply:
            assert reply.status == 200
        api = await client.ws_api()
        market_order = client.order(type="MARKET", timeInForce=None, price=None, newClientOrderId="m")
        refused = await api.ask(id=1, method="order.place", params=client.ws_params(**market_order))
        assert (refused["status"], refused["error"]) == (400, {"code": -4131, "msg": words})
        assert (await api.ask(id=2, method="order.place", params=client.ws_params(**client.order())))[
            "status"
        ] == 200
        # It is written down what was asked for, whatever became of it.
        asked = [
            (one["client_id"], one["kind"], one["price"], one["qty"]) for one in client.truth()["requests"]
        ]
        assert asked[0] == ("m", "MARKET", "", "0.010")
        assert asked[1][1:] == ("LIMIT", "999.0", "0.010")
        async with client.session.post(exchange.control_url + "/fail", json=rule | {"kind": "odd"}) as reply:
            assert reply.status == 400


async def test_an_endpoint_is_slow():
    async with running() as (exchange, client):
        await pull(exchange, client, "/fail", path="GET /fapi/v3/balance", kind="slow", ms=200, times=1)
        slow = asyncio.ensure_future(client.good("GET", "v3/balance"))
        await client.good("GET", "v1/time")
        assert not slow.done()
        await slow


async def test_one_stream_falls_silent_while_its_connection_lives():
    async with running(data=market(*(("bid", ms, 999.5, 1.0 + ms) for ms in range(5, 50, 5)))) as (
        exchange,
        client,
    ):
        stream = await client.stream("/public/stream?streams=btcusdt@depth@0ms/btcusdt@bookTicker")
        user = await client.user_stream()
        await pull(exchange, client, "/silence", stream="btcusdt@depth*", seconds=3600)
        exchange.move_to(at(10))
        assert {one["stream"] for one in await stream.all()} == {"btcusdt@bookTicker"}
        await pull(exchange, client, "/silence", stream="user", seconds=3600)
        await pull(exchange, client, "/silence", stream="btcusdt@*", seconds=3600)
        exchange.move_to(at(20))
        await client.place()
        assert await stream.all() == []
        assert await user.all() == []
        assert await stream.ask(method="LIST_SUBSCRIPTIONS", id=1)
        await pull(exchange, client, "/speak")
        exchange.move_to(at(30))
        assert {one["stream"] for one in await stream.all()} == {"btcusdt@depth@0ms", "btcusdt@bookTicker"}


async def test_limits_are_lowered_and_shared_with_another_client():
    async with running() as (exchange, client):
        await client.good("GET", "v1/time")
        used = int(client.headers["X-MBX-USED-WEIGHT-1M"])
        await pull(exchange, client, "/use", weight=500)
        await client.good("GET", "v1/time")
        assert int(client.headers["X-MBX-USED-WEIGHT-1M"]) == used + 501
        await pull(exchange, client, "/limits", weight_1m=100, orders_10s=1)
        assert (await client.call("GET", "v1/time"))[0] == 429
        assert int(client.headers["Retry-After"]) > 0
        await pull(exchange, client, "/unban")
        rates = (await client.good("GET", "v1/exchangeInfo"))["rateLimits"]
        assert [one["limit"] for one in rates] == [100, 1200, 1]
        await client.place()
        assert await client.refused() == -1015


# By chaos.


@pytest.mark.parametrize(
    ("settings", "counted"),
    [
        ({"outage_s": 1.0}, "outages"),
        ({"steps_s": 1.0}, "steps changed"),
        ({"halt_s": 1.0}, "halts"),
        ({"forced_s": 1.0}, "closed by force"),
        ({"by_hand_s": 1.0}, "closed by hand"),
        ({"shared_s": 1.0}, "weight used by others"),
        ({"silence_s": 1.0}, "silences"),
    ],
)
async def test_they_come_by_a_seed_and_are_counted(settings, counted):
    async def run(seed: int) -> dict[str, int]:
        chaos = ChaosSection(seed=seed, inside_snapshot=0.0, **settings)
        async with running(
            config(FINE), market(*(("bid", ms, 999.5, 1.0 + ms) for ms in range(1, 30_000, 100)))
        ) as (
            exchange,
            client,
        ):
            stream = await client.stream("/public/ws/btcusdt@trade")
            assert await stream.ask(method="LIST_SUBSCRIPTIONS", id=1)
            await client.place(type="MARKET", timeInForce=None, price=None, quantity="5")
            exchange.set_chaos(chaos)
            for ms in range(0, 30_000, 50):
                exchange.move_to(at(ms))
            return exchange.chaos.counters

    first = await run(3)
    assert sum(count for name, count in first.items() if name.startswith(counted)) > (
        0 if "closed" in counted else 5
    )
    assert await run(3) == first
