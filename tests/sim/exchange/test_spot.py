"""What Binance Spot does otherwise than its futures: balances, fees, orders and their ends, by its documentation."""

import re
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from hftd.config import load
from sim.exchange.binancespot.venue import SpotConfig, SpotLimits, SpotServer, SpotSymbol
from tests.laws import ROOT
from tests.sim.exchange.client import at, market
from tests.sim.exchange.spot_client import PAIR, SpotClient, spot, trading

UNIT = 10**8
# Falls through the bids and comes back through the asks.
THROUGH = market(("sell", 10, 998.0, 5.0), ("bid", 20, 999.5, 1.0), ("buy", 30, 1002.0, 5.0))


def test_the_configuration_of_the_project_is_good():
    settings = load(ROOT / "configs" / "exchange-binancespot.toml", SpotConfig)
    assert [(one.symbol, one.spot, one.fee_asset_price) for one in settings.symbols] == [
        ("BTCUSDT", True, "600")
    ]
    assert settings.exchange == SpotServer(port=9080, control_port=9081)
    assert settings.limits == SpotLimits()


@pytest.mark.parametrize(
    "section", [{"spot": False}, {"inverse": True}, {"contract_size": "2"}, {"fee_asset_discount": "1.5"}]
)
def test_pairs_that_can_not_be_are_said(section: dict[str, Any]):
    with pytest.raises(msgspec.ValidationError, match=r"spot|fee_asset_discount"):
        msgspec.convert(section, SpotSymbol)


async def test_an_order_locks_what_it_pays_with_and_its_end_frees_it():
    async with trading() as (_, client):
        await client.place(newClientOrderId="a")
        await client.place(newClientOrderId="b", side="SELL", price="1001.0", quantity="0.5")
        assert client.wallet("USDT") == (10_000 * UNIT, 999 * UNIT // 100)
        assert client.wallet("BTC") == (2 * UNIT, UNIT // 2)
        await client.cancel("a")
        await client.cancel("b")
        assert (client.wallet("USDT"), client.wallet("BTC")) == ((10_000 * UNIT, 0), (2 * UNIT, 0))


async def test_nothing_is_spent_or_sold_that_is_not_free():
    short = (-2010, "Account has insufficient balance for requested action.")
    async with trading() as (_, client):
        assert await client.why(quantity="10.020") == short
        assert await client.why(side="SELL", price="1001.0", quantity="2.001") == short
        await client.place(quantity="10.000")
        assert await client.why(quantity="0.020") == short
        # At 1,000.5, 1,000.6 ... 20 levels of 1: what the market asks counts, not its best price.
        assert await client.why(type="MARKET", quantity="0.010") == short
        await client.place(side="SELL", price="1001.0", quantity="1.500")
        assert await client.why(type="MARKET", side="SELL", quantity="0.501") == short
        await client.place(type="MARKET", side="SELL", quantity="0.500")


async def test_the_fee_is_taken_from_what_is_received():
    async with trading() as (_, client):
        bought = await client.place(type="MARKET", quantity="0.010")
        (fill,) = bought["fills"]
        assert (fill["price"], fill["commission"], fill["commissionAsset"]) == (
            "1000.50000000",
            "0.00002000",
            "BTC",
        )
        assert client.wallet("BTC")[0] == 2 * UNIT + UNIT // 100 * 998 // 1000
        assert client.wallet("USDT")[0] == 10_000 * UNIT - 10_005 * UNIT // 1000
        (fill,) = (await client.place(type="MARKET", side="SELL", quantity="0.010"))["fills"]
        assert (fill["price"], fill["commission"], fill["commissionAsset"]) == (
            "999.50000000",
            "0.01999000",
            "USDT",
        )
        mine = await client.good("GET", "v3/myTrades", symbol="BTCUSDT")
        assert [(one["isBuyer"], one["isMaker"], one["quoteQty"]) for one in mine] == [
            (True, False, "10.00500000"),
            (False, False, "9.99500000"),
        ]


async def test_fees_are_paid_in_the_asset_for_fees_while_there_is_enough_of_it():
    settings = spot(fee_asset="BNB", funds={"USDT": "10000", "BTC": "2", "BNB": "0.00004"})
    async with trading(settings) as (_, client):
        fills = [(await client.place(type="MARKET", quantity="0.010"))["fills"][0] for _ in range(2)]
        # 0.2 % of 10.005, at 500, with a quarter less.
        assert [(one["commission"], one["commissionAsset"]) for one in fills] == [
            ("0.00003002", "BNB"),
            ("0.00002000", "BTC"),
        ]
        assert client.wallet("BNB")[0] == 4000 - 3002
        told = await client.good("GET", "v3/account/commission", symbol="BTCUSDT")
        assert (told["standardCommission"]["taker"], told["discount"]["discount"]) == (
            "0.00200000",
            "0.75000000",
        )


async def test_the_books_of_base_and_quote_are_closed_after_trades_on_both_sides():
    async with trading(data=THROUGH) as (exchange, client):
        await client.place(quantity="0.100")
        await client.place(side="SELL", price="1001.0", quantity="0.200")
        exchange.move_to(at(40))
        truth = client.truth()
        assert truth["open_orders"] == [] and truth["positions"] == []
        base, quote = 2 * UNIT, 10_000 * UNIT
        for one in truth["trades"]:
            base += one["side"] * int(float(one["qty"]) * UNIT)
            quote -= one["side"] * one["money"]
            base -= one["fee"] if one["fee_asset"] == "BTC" else 0
            quote -= one["fee"] if one["fee_asset"] == "USDT" else 0
        assert len(truth["trades"]) == 2
        assert (client.wallet("BTC"), client.wallet("USDT")) == ((base, 0), (quote, 0))
        found = await client.good("GET", "v3/account", omitZeroBalances="true")
        assert {"asset": "BTC", "free": "1.89990000", "locked": "0.00000000"} in found["balances"]


async def test_replies_are_as_long_as_asked_for_and_makers_are_only_acknowledged():
    async with trading() as (_, client):
        short = {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
        assert set(await client.place(newOrderRespType="ACK")) == short
        result = await client.place(newOrderRespType="RESULT")
        assert (result["price"], result["origQty"], result["cummulativeQuoteQty"]) == (
            "999.00000000",
            "0.01000000",
            "0.00000000",
        )
        assert "fills" not in result and (await client.place())["fills"] == []
        assert set(await client.place(type="LIMIT_MAKER", newClientOrderId="m")) == short
        found = await client.good("GET", "v3/order", symbol="BTCUSDT", origClientOrderId="m")
        assert (found["type"], found["timeInForce"], found["status"]) == ("LIMIT_MAKER", "GTC", "NEW")


@pytest.mark.parametrize(
    ("params", "code", "said"),
    [
        ({"price": "999.05"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "999.000000001"}, -1111, "Precision"),
        ({"quantity": "0.0105"}, -1013, "Filter failure: LOT_SIZE"),
        ({"type": "MARKET", "quantity": "130"}, -1013, "Filter failure: MARKET_LOT_SIZE"),
        ({"quantity": "0.001"}, -1013, "Filter failure: NOTIONAL"),
        ({"price": "6000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"price": "100"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"type": "LIMIT_MAKER", "price": "1000.5"}, -2010, "immediately match and take"),
        ({"type": "LIMIT_MAKER", "timeInForce": "GTC"}, -1106, "timeInForce"),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce"),
        ({"timeInForce": None}, -1102, "timeInForce"),
        ({"type": "STOP_LOSS"}, -1116, "orderType"),
        ({"selfTradePreventionMode": "DECREMENT"}, -1013, "does not allow"),
        ({"newClientOrderId": "a b"}, -1100, "newClientOrderId"),
        ({"symbol": "BTCUSDC"}, -1121, "Invalid symbol"),
    ],
)
async def test_orders_that_break_a_rule_are_refused_with_the_exchanges_words(
    params: dict[str, Any], code: int, said: str
):
    async with trading() as (_, client):
        found = await client.why(**params)
        assert found[0] == code and said in found[1]
        assert client.truth()["orders"] == []


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"timeInForce": "IOC", "quantity": "2.000", "price": "1000.5"}, "UNFILLED_IOC_QUANTITY_EXPIRED"),
        ({"timeInForce": "FOK", "quantity": "2.000", "price": "1000.5"}, "UNFILLED_FOK_ORDER_EXPIRED"),
    ],
)
async def test_what_can_not_be_filled_at_once_expires_and_says_why(params: dict[str, Any], why: str):
    async with trading() as (_, client):
        stream = await client.user_stream()
        assert (await client.place(**params))["status"] == "EXPIRED"
        reports = [one["event"] for one in await stream.all() if one["event"]["e"] == "executionReport"]
        assert (reports[0]["x"], reports[0]["X"]) == ("NEW", "NEW")
        assert (reports[-1]["x"], reports[-1]["X"], reports[-1]["eR"]) == ("EXPIRED", "EXPIRED", why)
        assert client.wallet("USDT")[1] == 0


async def test_a_market_order_can_be_for_an_amount_of_the_quote():
    async with trading() as (_, client):
        reply = await client.place(type="MARKET", quantity=None, quoteOrderQty="1500.9")
        # 1 at 1,000.5 and the rest at 1,000.6, in whole steps.
        assert (reply["executedQty"], reply["origQuoteOrderQty"]) == ("1.50000000", "1500.90000000")
        assert await client.why(type="MARKET", quoteOrderQty="10") == (
            -1128,
            "Combination of optional parameters invalid.",
        )


async def test_a_client_id_is_free_again_when_its_order_is_over():
    async with trading() as (_, client):
        first = await client.place(newClientOrderId="a")
        assert await client.why(newClientOrderId="a") == (-2010, "Duplicate order sent.")
        await client.cancel("a")
        second = await client.place(newClientOrderId="a")
        found = await client.good("GET", "v3/order", symbol="BTCUSDT", origClientOrderId="a")
        assert found["orderId"] == second["orderId"] != first["orderId"]


async def test_a_cancel_has_an_id_of_its_own_in_its_reply_and_its_event():
    async with trading() as (_, client):
        stream = await client.user_stream()
        placed = await client.place(newClientOrderId="a")
        reply = await client.cancel("a", newClientOrderId="end")
        assert (reply["origClientOrderId"], reply["clientOrderId"]) == ("a", "end")
        new, _, ended, balances = [one["event"] for one in await stream.take(4)]
        assert (new["c"], new["C"], new["w"], new["N"]) == ("a", "", True, None)
        assert (ended["x"], ended["c"], ended["C"], ended["i"]) == ("CANCELED", "end", "a", placed["orderId"])
        assert balances["B"][-1] == {"a": "USDT", "f": "10000.00000000", "l": "0.00000000"}
        assert await client.why("DELETE", "v3/order", symbol="BTCUSDT", origClientOrderId="a") == (
            -2011,
            "Unknown order sent.",
        )
        await client.place(newClientOrderId="b")
        named = {"symbol": "BTCUSDT", "origClientOrderId": "b"}
        assert (await client.why("DELETE", "v3/order", **named, orderId=placed["orderId"]))[0] == -2011
        restricted = await client.why(
            "DELETE", "v3/order", **named, cancelRestrictions="ONLY_PARTIALLY_FILLED"
        )
        assert restricted == (-2011, "Order was not canceled due to cancel restrictions.")
        all_ended = await client.good("DELETE", "v3/openOrders", symbol="BTCUSDT")
        assert [(one["origClientOrderId"], one["status"]) for one in all_ended] == [("b", "CANCELED")]
        assert (await client.why("DELETE", "v3/openOrders", symbol="BTCUSDT"))[0] == -2011


async def test_an_amended_order_keeps_its_place_and_loses_its_name_unless_that_is_said_again():
    # The first order has 1 before it, whoever comes later 3.
    data = market(("bid", 10, 999.0, 3.0), ("sell", 20, 999.0, 1.05))
    async with trading(data=data) as (exchange, client):
        stream = await client.user_stream()
        placed = await client.place(newClientOrderId="a", quantity="0.100")
        exchange.move_to(at(15))
        await client.place(newClientOrderId="late", quantity="0.100")
        reply = await client.amend("a", "0.04")
        amended = reply["amendedOrder"]
        assert (amended["qty"], amended["origClientOrderId"], amended["orderId"]) == (
            "0.04000000",
            "a",
            placed["orderId"],
        )
        assert amended["clientOrderId"] != "a" and amended["cumulativeQuoteQty"] == "0.00000000"
        report = (await stream.take(5))[-1]["event"]
        assert (report["x"], report["X"], report["c"], report["q"]) == (
            "REPLACED",
            "NEW",
            amended["clientOrderId"],
            "0.04000000",
        )
        assert client.wallet("USDT")[1] == 999 * 14 * UNIT // 100
        exchange.move_to(at(25))
        done = {one["client_id"]: (one["status"], one["executed_qty"]) for one in client.truth()["orders"]}
        assert done == {amended["clientOrderId"]: ("FILLED", "0.04000"), "late": ("NEW", "0.00000")}


@pytest.mark.parametrize(
    ("qty", "code", "said"),
    [
        ("0.010", -2038, "The requested action would change no state; rejecting."),
        ("0.020", -2038, "Order amend (quantity increase) is not supported."),
        ("0.0055", -1013, "Filter failure: LOT_SIZE"),
        ("0.001", -1013, "Filter failure: NOTIONAL"),
    ],
)
async def test_amendments_that_can_not_be_leave_the_order_as_it_was(qty: str, code: int, said: str):
    async with trading() as (_, client):
        await client.place(newClientOrderId="a")
        named = {"symbol": "BTCUSDT", "origClientOrderId": "a", "newQty": qty}
        assert await client.why("PUT", "v3/order/amend/keepPriority", **named) == (code, said)
        assert [(one["client_id"], one["lots"]) for one in client.truth()["orders"]] == [("a", 10)]
        missing = {"symbol": "BTCUSDT", "origClientOrderId": "none", "newQty": "0.005"}
        assert await client.why("PUT", "v3/order/amend/keepPriority", **missing) == (
            -2038,
            "Unknown order sent.",
        )


async def replaced(client: SpotClient, old: str, **params: Any) -> tuple[int, Any]:
    asked = client.order(cancelReplaceMode="STOP_ON_FAILURE", cancelOrigClientOrderId=old) | params
    return await client.call("POST", "v3/order/cancelReplace", **asked)


async def test_cancel_replace_says_what_became_of_both_halves():
    async with trading() as (_, client):
        await client.place(newClientOrderId="a")
        status, reply = await replaced(client, "a", newClientOrderId="b", price="998.0")
        assert (status, reply["cancelResult"], reply["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
        assert (reply["cancelResponse"]["origClientOrderId"], reply["newOrderResponse"]["clientOrderId"]) == (
            "a",
            "b",
        )
        status, reply = await replaced(client, "a")
        assert (status, reply["code"], reply["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
        status, reply = await replaced(client, "a", cancelReplaceMode="ALLOW_FAILURE", newClientOrderId="c")
        assert (status, reply["code"], reply["data"]["newOrderResult"]) == (409, -2021, "SUCCESS")
        status, reply = await replaced(client, "b", quantity="100")
        assert (status, reply["code"], reply["data"]["cancelResult"]) == (409, -2021, "SUCCESS")
        assert reply["data"]["newOrderResponse"]["code"] == -2010
        status, reply = await replaced(client, "a", cancelReplaceMode="ALLOW_FAILURE", quantity="100")
        assert (status, reply["code"]) == (400, -2022)
        # A filter is looked at before anything is ended.
        status, reply = await replaced(client, "c", price="998.05")
        assert (status, reply["code"]) == (400, -1013)
        assert [client.truth()["orders"][-1]["client_id"], client.truth()["orders"][-1]["status"]] == [
            "c",
            "NEW",
        ]


async def test_own_orders_that_would_meet_end_by_self_trade_prevention():
    async with trading() as (_, client):
        maker = await client.place(newClientOrderId="maker", price="999.9")
        stream = await client.user_stream()
        await client.place(newClientOrderId="taker", side="SELL", price="999.9")
        reports = [one["event"] for one in await stream.all() if one["event"]["e"] == "executionReport"]
        (ended,) = [one for one in reports if one["x"] == "TRADE_PREVENTION"]
        assert (ended["c"], ended["X"], ended["i"], ended["A"]) == (
            "maker",
            "EXPIRED_IN_MATCH",
            maker["orderId"],
            "0.01000000",
        )
        assert "eR" not in ended and ended["V"] == "EXPIRE_MAKER"
        reply = await client.place(side="BUY", price="999.9", selfTradePreventionMode="EXPIRE_TAKER")
        assert (reply["status"], reply["preventedQuantity"]) == ("EXPIRED_IN_MATCH", "0.01000000")


async def test_a_halted_pair_takes_no_orders_and_lets_them_be_cancelled():
    async with trading() as (exchange, client):
        await client.place(newClientOrderId="a")
        exchange.core.change("BTCUSDT", {"status": "CANCEL_ONLY"})
        assert await client.why() == (-2010, "Market is closed.")
        assert (await client.cancel("a"))["status"] == "CANCELED"
        info = await client.good("GET", "v3/exchangeInfo", symbol="BTCUSDT")
        assert info["symbols"][0]["status"] == "CANCEL_ONLY"
        await client.good("GET", "v3/exchangeInfo", symbolStatus="TRADING")
        exchange.core.delist("BTCUSDT")
        assert (await client.why())[0] == -1121


async def test_filters_and_limits_are_those_that_are_told():
    async with trading() as (_, client):
        (pair,) = (info := await client.good("GET", "v3/exchangeInfo", symbols='["BTCUSDT"]'))["symbols"]
        filters = {one["filterType"]: one for one in pair["filters"]}
        assert filters["LOT_SIZE"]["stepSize"] == "0.00100000"
        assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
        assert [(one["rateLimitType"], one["interval"], one["limit"]) for one in info["rateLimits"]] == [
            ("REQUEST_WEIGHT", "MINUTE", 6000),
            ("ORDERS", "DAY", 200_000),
            ("ORDERS", "SECOND", 100),
            ("RAW_REQUESTS", "MINUTE", 300_000),
        ]


async def test_an_order_that_is_done_costs_no_weight_and_one_that_is_executed_is_not_counted():
    async with trading() as (_, client):
        await client.place()
        assert client.headers["X-MBX-USED-WEIGHT-1M"] == "0"
        assert (client.headers["X-MBX-ORDER-COUNT-10S"], client.headers["X-MBX-ORDER-COUNT-1D"]) == ("1", "1")
        await client.place(type="MARKET")
        assert client.headers["X-MBX-ORDER-COUNT-1D"] == "1"
        await client.why(price="999.05")
        assert client.headers["X-MBX-USED-WEIGHT-1M"] == "1"
        limits = await client.good("GET", "v3/rateLimit/order")
        assert [(one["interval"], one["count"]) for one in limits] == [("SECOND", 1), ("DAY", 1)]


async def test_a_day_has_so_many_orders():
    limits = SpotLimits(orders_1d=2, fills_give_back=False)
    async with trading(spot(limits=limits)) as (_, client):
        await client.place()
        await client.place()
        assert (await client.why())[0] == -1015


async def test_listen_keys_are_gone():
    async with trading() as (_, client):
        for method in ("POST", "PUT", "DELETE"):
            status, _ = await client.raw(method, "/api/v3/userDataStream", "")
            assert status == 410


async def test_what_is_signed_must_be_percent_encoded_and_times_may_be_fine():
    async with trading() as (exchange, client):
        bare = client.sign({"symbol": "BTCUSDT", "origClientOrderId": "a:b"}).partition("&signature=")[0]
        for query, code in ((bare, -2013), (bare.replace("%3A", ":"), -1022)):
            signature = client.ws_signature(query)
            _, content = await client.raw("GET", "/api/v3/order", f"{query}&signature={signature}")
            assert content["code"] == code
        fine = {"timestamp": exchange.clock.server_ms() * 1000, "recvWindow": "5000.5"}
        assert (await client.good("GET", "v3/account", **fine))["accountType"] == "SPOT"
        headers = {"X-MBX-TIME-UNIT": "MICROSECOND"}
        async with client.session.get(f"{exchange.rest_url}/api/v3/time", headers=headers) as reply:
            assert re.fullmatch(r'\{"serverTime":[0-9]{16}\}', await reply.text())


async def test_names_need_not_be_ascii():
    settings = spot(symbol=replace(PAIR, symbol="币安人生USDT"))
    async with trading(settings) as (exchange, client):
        placed = await client.place()
        assert placed["symbol"] == "币安人生USDT"
        api = await client.ws_api()
        asked = client.ws_params(symbol="币安人生USDT", orderId=placed["orderId"])
        assert (await api.ask(id=1, method="order.status", params=asked))["result"]["status"] == "NEW"
        stream = await client.stream("/stream?streams=币安人生usdt@bookTicker")
        exchange.move_to(at(1))
        assert await stream.all() == []
