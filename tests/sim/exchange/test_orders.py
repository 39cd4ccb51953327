"""What becomes of orders, as the replies and the user's events tell it."""

import asyncio

from msgspec.structs import replace

from sim.exchange.rules.config import LatencySection
from tests.sim.exchange.client import SYMBOL, at, config, market, running


def told(events: list[dict]) -> list[tuple]:
    """(what, state, executed) of each order event."""
    return [(e["o"]["x"], e["o"]["X"], e["o"]["z"]) for e in events if e["e"] == "ORDER_TRADE_UPDATE"]


async def test_an_order_that_rests_is_acknowledged_and_told_as_new():
    async with running() as (_, client):
        user = await client.user_stream()
        reply = await client.place(newClientOrderId="a1")
        assert (reply["status"], reply["clientOrderId"], reply["price"], reply["origQty"]) == (
            "NEW",
            "a1",
            "999.00",
            "0.010",
        )
        event = await user.next()
        assert told([event]) == [("NEW", "NEW", "0.000")]
        assert (event["o"]["c"], event["o"]["i"], event["o"]["p"]) == ("a1", reply["orderId"], "999.00")


async def test_an_order_fills_as_the_maker_when_a_trade_goes_through_its_price():
    async with running(data=market(("sell", 5, 998.9, 0.5))) as (exchange, client):
        user = await client.user_stream()
        await client.place(newClientOrderId="a1")
        exchange.move_to(at(5))
        _, lite, trade, account = await user.take(4)
        assert (lite["e"], lite["L"], lite["l"], lite["m"]) == ("TRADE_LITE", "999.00", "0.010", True)
        assert told([trade]) == [("TRADE", "FILLED", "0.010")]
        assert trade["o"]["t"] == lite["t"]
        # 999.00 * 0.010 * 0.0002
        assert (trade["o"]["n"], trade["o"]["N"]) == ("0.00199800", "USDT")
        assert trade["T"] == account["T"] == at(5) // 1_000_000
        assert account["a"]["P"][0]["pa"] == "0.010"
        assert account["a"]["B"][0]["wb"] == "99999.99800200"


async def test_a_taker_walks_the_book_level_by_level():
    async with running() as (_, client):
        user = await client.user_stream()
        await client.place(type="MARKET", timeInForce=None, price=None, quantity="2.500")
        events = await user.all()
        fills = [e["o"] for e in events if e["e"] == "ORDER_TRADE_UPDATE" and e["o"]["x"] == "TRADE"]
        assert [(o["L"], o["l"], o["z"], o["X"]) for o in fills] == [
            ("1000.50", "1.000", "1.000", "PARTIALLY_FILLED"),
            ("1000.60", "1.000", "2.000", "PARTIALLY_FILLED"),
            ("1000.70", "0.500", "2.500", "FILLED"),
        ]
        assert len({o["t"] for o in fills}) == 3
        assert not any(o["m"] for o in fills)


async def test_a_whole_fills_exchange_fills_a_taker_at_the_best_price():
    async with running(config(replace(SYMBOL, exchange="no_partial_fill"))) as (_, client):
        await client.place(type="MARKET", timeInForce=None, price=None, quantity="2.500")
        assert [(one["price"], one["qty"]) for one in client.truth()["trades"]] == [("1000.50", "2.500")]


async def test_the_reply_waits_for_the_fill_where_the_result_is_wanted():
    async with running() as (_, client):
        market_order = {"type": "MARKET", "timeInForce": None, "price": None}
        assert (await client.place(**market_order))["status"] == "NEW"
        reply = await client.place(**market_order, newOrderRespType="RESULT")
        assert (reply["status"], reply["executedQty"]) == ("FILLED", "0.010")
        # Of a good-till-cancelled order the reply does not say it.
        assert (await client.place(price="1000.5", newOrderRespType="RESULT"))["status"] == "NEW"


async def test_what_an_ioc_order_can_not_fill_expires():
    async with running() as (_, client):
        user = await client.user_stream()
        await client.place(timeInForce="IOC", price="1000.5", quantity="1.500")
        events = await user.all()
        assert told(events) == [
            ("NEW", "NEW", "0.000"),
            ("TRADE", "PARTIALLY_FILLED", "1.000"),
            ("EXPIRED", "EXPIRED", "1.000"),
        ]
        assert [e["o"]["er"] for e in events if e["e"] == "ORDER_TRADE_UPDATE"][-1] == "2"


async def test_post_only_and_fok_orders_that_can_not_be_are_refused_without_an_event():
    async with running() as (_, client):
        user = await client.user_stream()
        assert await client.refused(timeInForce="GTX", price="1000.5") == -5022
        assert await client.refused(timeInForce="FOK", price="1000.5", quantity="1.500") == -5021
        assert await user.all() == []
        assert client.truth()["orders"] == []


async def test_a_cancelled_order_is_cancelled_once():
    async with running() as (_, client):
        user = await client.user_stream()
        await client.place(newClientOrderId="a1")
        assert (await client.cancel("a1"))["status"] == "CANCELED"
        assert await client.code("DELETE", "v1/order", symbol="BTCUSDT", origClientOrderId="a1") == -2011
        assert told(await user.all()) == [("NEW", "NEW", "0.000"), ("CANCELED", "CANCELED", "0.000")]


async def test_a_client_id_may_be_used_again_when_its_order_is_over():
    async with running() as (_, client):
        first = await client.place(newClientOrderId="a1")
        assert await client.refused(newClientOrderId="a1") == -4116
        await client.cancel("a1")
        second = await client.place(newClientOrderId="a1")
        found = await client.good("GET", "v1/order", symbol="BTCUSDT", origClientOrderId="a1")
        assert found["orderId"] == second["orderId"] != first["orderId"]


async def test_a_modified_order_keeps_its_id_and_loses_its_place():
    # The queue at 999.0 is 1.0; the first order is ahead of the modified one by its place alone.
    async with running(data=market(("sell", 5, 999.0, 1.015))) as (exchange, client):
        user = await client.user_stream()
        before = await client.place(newClientOrderId="a1", price="999.1")
        after = await client.modify("a1", "999.0", "0.020")
        assert (after["orderId"], after["price"], after["origQty"]) == (before["orderId"], "999.00", "0.020")
        assert told(await user.take(2))[1] == ("AMENDMENT", "NEW", "0.000")
        exchange.move_to(at(5))
        assert client.truth()["orders"][0]["executed_lots"] == 15


async def test_a_modification_below_what_is_executed_cancels():
    async with running(data=market(("sell", 5, 999.0, 1.015))) as (exchange, client):
        await client.place(newClientOrderId="a1", quantity="0.020")
        exchange.move_to(at(5))
        user = await client.user_stream()
        assert (await client.modify("a1", "998.9", "0.015"))["status"] == "CANCELED"
        assert told(await user.all()) == [("CANCELED", "CANCELED", "0.015")]


async def test_a_modified_post_only_order_that_would_take_is_cancelled():
    async with running() as (_, client):
        await client.place(newClientOrderId="a1", timeInForce="GTX")
        assert (await client.modify("a1", "1000.5", "0.010"))["status"] == "CANCELED"
        assert client.truth()["trades"] == []


async def test_a_modification_may_take():
    async with running() as (_, client):
        user = await client.user_stream()
        await client.place(newClientOrderId="a1")
        await client.modify("a1", "1000.5", "0.010")
        assert told(await user.all())[1:] == [("AMENDMENT", "NEW", "0.000"), ("TRADE", "FILLED", "0.010")]


async def test_a_refused_modification_leaves_the_order():
    async with running() as (_, client):
        await client.place(newClientOrderId="a1")
        for price, quantity, code in (
            ("999.0", "0.010", -5027),
            ("999.05", "0.010", -4014),
            ("999.0", "0.001", -5029),
            ("1200.0", "0.010", -4016),
        ):
            assert await client.code("PUT", "v1/order", **client.modified("a1", price, quantity)) == code
        assert await client.code("PUT", "v1/order", **client.modified("none", "998.0", "0.010")) == -2013
        (order,) = client.truth()["orders"]
        assert (order["status"], order["price"], order["modifies"]) == ("NEW", "999.00", 0)


async def test_only_one_modification_of_an_order_is_under_way():
    latency = LatencySection(entry_ms=(30.0, 30.0))
    async with running(config(latency=latency)) as (_, client):
        await client.place(newClientOrderId="a1")
        first, second = await asyncio.gather(
            client.modify("a1", "998.0", "0.010"),
            client.call("PUT", "v1/order", **client.modified("a1", "997.0", "0.010")),
        )
        assert (first["price"], second[1]["code"]) == ("998.00", -5043)
        await client.modify("a1", "997.0", "0.010")


async def test_all_orders_of_an_instrument_are_cancelled_at_once():
    async with running() as (_, client):
        for number in range(3):
            await client.place(newClientOrderId=f"a{number}")
        reply = await client.good("DELETE", "v1/allOpenOrders", symbol="BTCUSDT")
        assert reply == {"code": 200, "msg": "The operation of cancel all open order is done."}
        assert client.truth()["open_orders"] == []


async def test_a_dead_man_switch_that_is_not_refreshed_cancels():
    async with running() as (exchange, client):
        await client.place()
        await client.good("POST", "v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=100)
        exchange.move_to(at(99))
        await client.good("POST", "v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=100)
        exchange.move_to(at(198))
        assert len(client.truth()["open_orders"]) == 1
        exchange.move_to(at(199))
        assert client.truth()["open_orders"] == []


async def test_a_dead_man_switch_is_switched_off_by_zero():
    async with running() as (exchange, client):
        await client.place()
        await client.good("POST", "v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=100)
        await client.good("POST", "v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=0)
        exchange.move_to(at(1000))
        assert len(client.truth()["open_orders"]) == 1


async def test_an_order_good_till_a_date_expires_then():
    async with running() as (exchange, client):
        now_ms = exchange.clock.server_ms()
        assert await client.refused(timeInForce="GTD", goodTillDate=now_ms + 599_000) == -5040
        await client.place(timeInForce="GTD", goodTillDate=now_ms + 700_000)
        exchange.move_to(at(700_001))
        assert client.truth()["orders"][0]["status"] == "EXPIRED"


async def test_orders_that_only_reduce_need_a_position_and_go_with_it():
    async with running() as (_, client):
        assert await client.refused(side="SELL", price="1001.0", reduceOnly="true") == -2022
        await client.place(type="MARKET", timeInForce=None, price=None, quantity="0.020")
        assert await client.refused(side="SELL", price="1001.0", quantity="0.021", reduceOnly="true") == -2022
        await client.place(
            side="SELL", price="1001.0", quantity="0.020", reduceOnly="true", newClientOrderId="r"
        )
        user = await client.user_stream()
        await client.place(side="SELL", type="MARKET", timeInForce=None, price=None, quantity="0.005")
        events = [e["o"] for e in await user.all() if e["e"] == "ORDER_TRADE_UPDATE"]
        assert [(o["X"], o["er"]) for o in events if o["c"] == "r"] == [("EXPIRED", "4")]


async def test_an_account_does_not_trade_with_itself():
    async with running() as (_, client):
        await client.place(price="1000.0", newClientOrderId="maker")
        await client.place(side="SELL", price="999.9", newClientOrderId="taker")
        states = {one["client_id"]: one["status"] for one in client.truth()["orders"]}
        assert states == {"maker": "EXPIRED_IN_MATCH", "taker": "NEW"}


async def test_by_choice_the_newer_order_ends_instead():
    async with running() as (_, client):
        await client.place(price="1000.0", newClientOrderId="maker")
        await client.place(
            side="SELL", price="999.9", newClientOrderId="taker", selfTradePreventionMode="EXPIRE_TAKER"
        )
        states = {one["client_id"]: one["status"] for one in client.truth()["orders"]}
        assert states == {"maker": "NEW", "taker": "EXPIRED_IN_MATCH"}


async def test_long_and_short_positions_stand_apart_in_hedge_mode():
    async with running() as (_, client):
        await client.good("POST", "v1/positionSide/dual", dualSidePosition="true")
        taker = {"type": "MARKET", "timeInForce": None, "price": None}
        assert await client.refused(**taker) == -4061
        await client.place(**taker, positionSide="LONG", quantity="0.020")
        await client.place(**taker, side="SELL", positionSide="SHORT", quantity="0.010")
        held = {one["side"]: one["lots"] for one in client.truth()["positions"]}
        assert held == {"LONG": 20, "SHORT": -10}
        assert await client.refused(**taker, side="SELL", positionSide="LONG", quantity="0.021") == -2022


async def test_several_orders_in_one_request_succeed_and_fail_by_themselves():
    import json

    async with running() as (_, client):
        orders = [
            client.order(newClientOrderId="a"),
            client.order(price="999.05"),
            client.order(newClientOrderId="b"),
        ]
        replies = await client.good("POST", "v1/batchOrders", batchOrders=json.dumps(orders))
        assert [one.get("code", one.get("clientOrderId")) for one in replies] == ["a", -4014, "b"]
        assert client.headers["X-MBX-ORDER-COUNT-10S"] == "5"
        replies = await client.good(
            "DELETE", "v1/batchOrders", symbol="BTCUSDT", origClientOrderIdList=json.dumps(["a", "x", "b"])
        )
        assert [one.get("code", one.get("status")) for one in replies] == ["CANCELED", -2011, "CANCELED"]


async def test_a_price_may_be_taken_from_the_book():
    async with running() as (_, client):
        assert (await client.place(price=None, priceMatch="QUEUE"))["price"] == "999.50"
        assert (await client.place(price=None, priceMatch="QUEUE_5"))["price"] == "999.10"
        assert (await client.place(price=None, priceMatch="OPPONENT"))["price"] == "1000.50"
        assert await client.refused(priceMatch="QUEUE") == -1106
        assert await client.refused(price=None, priceMatch="BEST") == -5037
