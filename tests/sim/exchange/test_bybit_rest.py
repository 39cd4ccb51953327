"""Bybit as a venue of the local exchange: REST."""

import json
from typing import Any
from urllib.parse import unquote

import pytest
from msgspec.structs import replace

from hftd.config import load
from sim.exchange.bybit.config import BybitConfig, BybitServer
from sim.exchange.bybit.ids import number_of, order_uuid
from sim.exchange.bybit.payloads import trim
from tests.laws import ROOT
from tests.sim.exchange.bybit_client import BybitClient, bybit, hex_of, running_bybit
from tests.sim.exchange.client import KEY, SYMBOL, at, market


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"KEY": "nobody"}, 10003),
        ({"SIGN": "0" * 64}, 10004),
        ({"TIMESTAMP": "soon"}, 10001),
        ({"RECV-WINDOW": "60001"}, 10001),
    ],
)
async def test_a_request_whose_headers_are_wrong_is_refused(wrong: dict[str, str], code: int):
    async with running_bybit() as (_, client):
        query = "accountType=UNIFIED"
        reply = await client.raw("GET", "account/wallet-balance", query, client.signed(query, **wrong))
        assert (reply["retCode"], client.status) == (code, 200)


@pytest.mark.parametrize(("off_ms", "code"), [(-5001, 10002), (-5000, 0), (999, 0), (1000, 10002)])
async def test_the_clock_has_a_window(off_ms: int, code: int):
    async with running_bybit() as (_, client):
        query = "accountType=UNIFIED"
        headers = client.signed(query, TIMESTAMP=str(client.now_ms + off_ms))
        assert (await client.raw("GET", "account/wallet-balance", query, headers))["retCode"] == code


async def test_what_is_signed_are_the_bytes_that_were_sent():
    async with running_bybit() as (_, client):
        body = '{"category": "linear",  "settleCoin":"USDT"}'
        assert (await client.raw("POST", "order/cancel-all", body, client.signed(body)))["retCode"] == 0
        again = json.dumps(json.loads(body))
        reply = await client.raw("POST", "order/cancel-all", body, client.signed(again))
        # A signature that is wrong is answered with what was signed.
        assert reply["retCode"] == 10004 and reply["retMsg"].endswith(f"{KEY}5000{body}]")


async def test_signatures_are_those_of_the_document():
    text = "1658384314791XXXXXXXXXX5000category=linear&symbol=BTCUSDT"
    wanted = "e484b40c9ec80ab7802e36e24d7c08c8eadc3809d209c57aa1f44b055ce09386"
    assert hex_of("bybit-secret-0123456789", text) == wanted


async def test_an_id_is_a_uuid_that_leads_back_to_its_number():
    for number in (1, 8_389_765_000_000_123, (1 << 64) - 1):
        assert number_of(order_uuid(number)) == str(number)
    assert number_of("1") == number_of("x") == number_of(order_uuid(5).replace("5", "6")) == "0"


async def test_instruments_come_in_pages():
    symbols = [replace(SYMBOL, symbol=f"S{number}USDT") for number in range(5)]
    symbols.append(replace(SYMBOL, symbol="NEWUSDT", status="PreLaunch"))
    async with running_bybit(bybit(symbols=symbols)) as (_, client):
        found, cursor = [], ""
        while True:
            reply = (await client.get("market/instruments-info", limit=2, cursor=cursor))["result"]
            found += [one["symbol"] for one in reply["list"]]
            cursor = reply["nextPageCursor"]
            if not cursor:
                break
        # Without a status only what is traded is listed.
        assert found == [f"S{number}USDT" for number in range(5)]
        (row,) = await client.rows("market/instruments-info", symbol="NEWUSDT")
        assert row["status"] == "PreLaunch"
        assert row["lotSizeFilter"]["qtyStep"] == "0.001" and row["priceFilter"]["tickSize"] == "0.10"


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"symbol": "NOPEUSDT"}, 10001),
        ({"qty": 1}, 10001),
        ({"qty": "0.0001"}, 10001),
        ({"price": "999.05"}, 10001),
        ({"price": "1900"}, 110003),
        ({"qty": "0.004", "price": "999.0"}, 110094),
        ({"positionIdx": 1}, 10001),
        ({"timeInForce": "RPI"}, 10001),
        ({"orderLinkId": "a b"}, 10001),
        ({"triggerPrice": "900"}, 10001),
        ({"reduceOnly": True}, 110017),
        ({"qty": "900"}, 110007),
    ],
)
async def test_an_order_that_can_not_be_is_refused_with_its_code(order: dict[str, Any], code: int):
    async with running_bybit() as (_, client):
        assert await client.refused(**order) == code
        assert client.truth()["orders"] == []


async def test_a_link_id_is_never_free_again():
    async with running_bybit() as (_, client):
        first = await client.place(orderLinkId="a1")
        assert await client.refused(orderLinkId="a1") == 110072
        await client.post("order/cancel", symbol="BTCUSDT", orderId=first)
        assert await client.refused(orderLinkId="a1") == 110072
        # One that was not given is not made up.
        assert (await client.named(await client.place()))["orderLinkId"] == ""


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"timeInForce": "PostOnly", "price": "1001.0"}, "EC_PostOnlyWillTakeLiquidity"),
        ({"timeInForce": "FOK", "price": "1000.5", "qty": "9"}, "EC_NoEnoughQtyToFill"),
        ({"timeInForce": "IOC", "price": "999.0"}, "EC_NoImmediateQtyToFill"),
        ({"timeInForce": "IOC", "price": "1000.5", "qty": "9"}, "EC_CancelForNoFullFill"),
    ],
)
async def test_an_order_that_can_not_live_is_acknowledged_and_ends(order: dict[str, str], reason: str):
    async with running_bybit() as (_, client):
        row = await client.named(await client.place(**order))
        assert (row["orderStatus"], row["cancelType"], row["rejectReason"]) == (
            "Cancelled",
            "UNKNOWN",
            reason,
        )
        assert row["leavesQty"] == ""


async def test_an_order_is_amended_and_never_below_what_is_filled():
    async with running_bybit(data=market(("sell", 5, 998.9, 1.004))) as (exchange, client):
        order_id = await client.place(price="999.0", qty="0.010")

        async def amend(**changes: str) -> int:
            reply = await client.post("order/amend", symbol="BTCUSDT", orderId=order_id, **changes)
            return reply["retCode"]

        assert await amend(qty="0.020") == 0
        assert await amend(price="999.0") == 10001
        row = await client.named(order_id)
        assert (row["price"], row["qty"], row["orderStatus"]) == ("999", "0.02", "New")
        exchange.move_to(at(5))
        filled = client.truth()["orders"][0]["executed_qty"]
        assert filled != "0.000"
        # The whole order has been filled: it is too late.
        assert await amend(qty="0.030") == 110001
        assert (await client.post("order/amend", symbol="BTCUSDT", orderId="x", qty="1"))["retCode"] == 110001


async def test_a_cancel_that_comes_too_late_is_said_so():
    async with running_bybit(data=market(("bid", 10, 999.5, 2.0))) as (exchange, client):
        order_id = await client.place(orderType="Market", price=None)
        exchange.move_to(at(10))
        reply = await client.post("order/cancel", symbol="BTCUSDT", orderId=order_id)
        assert (reply["retCode"], reply["result"]) == (110001, {})
        # A market order is shown as the limit that it became.
        assert (await client.named(order_id))["price"] == "1050"


async def cursors(client: BybitClient, path: str, limit: int, **params: Any) -> list[list[Any]]:
    """All pages, the first empty one included; ten at most."""
    pages: list[list[Any]] = []
    cursor = ""
    while len(pages) < 10:
        more = params | ({"cursor": cursor} if cursor else {})
        reply = (await client.get(path, limit=limit, symbol="BTCUSDT", **more))["result"]
        pages.append(reply["list"])
        cursor = reply["nextPageCursor"]
        if not cursor:
            break
        assert unquote(cursor) != cursor
    return pages


@pytest.mark.parametrize("endless", [False, True])
async def test_the_last_page_has_a_cursor_and_what_comes_after_it_is_empty(endless: bool):
    async with running_bybit(bybit(endless_cursor=endless)) as (_, client):
        made = [await client.place() for _ in range(5)]
        pages = await cursors(client, "order/realtime", 2)
        found = [[one["orderId"] for one in page] for page in pages]
        assert sorted(one for page in found[:3] for one in page) == sorted(made)
        assert [len(page) for page in found[:3]] == [2, 2, 1]
        if endless:
            assert len(found) == 10 and found[3] == found[9] != []
        else:
            assert found[3:] == [[]]


async def test_executions_come_in_pages_and_know_their_orders():
    async with running_bybit() as (_, client):
        for _ in range(3):
            await client.place(orderType="Market", price=None, qty="0.010")
        pages = await cursors(client, "execution/list", 2)
        rows = [one for page in pages for one in page]
        assert len({one["execId"] for one in rows}) == len(rows) == 3
        assert {one["orderId"] for one in rows} == {
            order_uuid(one["order_id"]) for one in client.truth()["orders"]
        }
        (position,) = await client.rows("position/list", symbol="BTCUSDT")
        assert (position["side"], position["size"], position["avgPrice"]) == ("Buy", "0.03", "1000.5")
        (wallet,) = await client.rows("account/wallet-balance", accountType="UNIFIED")
        assert wallet["coin"][0]["walletBalance"] == trim(f"{client.truth()['balance'] / 1e8:.8f}")


async def test_an_execution_says_which_order_of_the_exchange_s_own_it_was():
    async with running_bybit() as (exchange, client):
        await client.place(orderType="Market", price=None, qty="0.010")
        core = exchange.core
        for why in ("adl", "liquidation"):
            core.matching.force_close(core.accounts[0], core.instrument("BTCUSDT"), why, 0.5)
        rows = await client.rows("execution/list", symbol="BTCUSDT")
        assert sorted(one["execType"] for one in rows) == ["AdlTrade", "BustTrade", "Trade"]
        (bust,) = await client.rows("execution/list", symbol="BTCUSDT", execType="BustTrade")
        assert (bust["orderLinkId"], bust["orderType"], bust["side"]) == ("", "Market", "Sell")


async def test_limits_are_counted_by_the_second_and_said_in_headers():
    async with running_bybit(bybit(orders_1s=2)) as (exchange, client):
        await client.place()
        assert (client.headers["X-Bapi-Limit"], client.headers["X-Bapi-Limit-Status"]) == ("2", "1")
        await client.place()
        assert await client.refused() == 10006
        reset_ms = int(client.headers["X-Bapi-Limit-Reset-Timestamp"])
        assert 0 < reset_ms - client.now_ms <= 1000
        # Each family has a limit of its own; and of a batch a part is taken.
        batch = [client.order() for _ in range(3)]
        reply = await client.post("order/create-batch", request=batch)
        assert [one["code"] for one in reply["retExtInfo"]["list"]] == [0, 0, 10006]
        assert [bool(one["orderId"]) for one in reply["result"]["list"]] == [True, True, False]
        exchange.move_to(at(0) + (reset_ms - at(0) // 1_000_000) * 1_000_000)
        await client.place()


async def test_everything_is_cancelled_at_once():
    async with running_bybit() as (_, client):
        assert (await client.post("order/cancel-all"))["retCode"] == 10001
        made = {await client.place() for _ in range(3)}
        reply = await client.post("order/cancel-all", settleCoin="USDT")
        assert {one["orderId"] for one in reply["result"]["list"]} == made
        assert (await client.post("order/cancel-all", symbol="BTCUSDT"))["result"]["list"] == []
        assert len(await client.rows("order/history", symbol="BTCUSDT")) == 3
        assert await client.rows("order/realtime", symbol="BTCUSDT") == []
        assert len(await client.rows("order/realtime", symbol="BTCUSDT", openOnly=1)) == 3


async def test_modes_change_only_where_nothing_stands_in_the_way():
    async with running_bybit() as (_, client):

        async def switch(mode: int) -> int:
            return (await client.post("position/switch-mode", symbol="BTCUSDT", mode=mode))["retCode"]

        assert await switch(0) == 110025
        order_id = await client.place()
        assert await switch(3) == 110028
        await client.post("order/cancel", symbol="BTCUSDT", orderId=order_id)
        assert await switch(3) == 0
        assert await client.refused() == 10001
        await client.place(positionIdx=2, side="Sell", orderType="Market", price=None)
        rows = await client.rows("position/list", symbol="BTCUSDT")
        assert [(one["positionIdx"], one["side"], one["size"]) for one in rows] == [
            (1, "", "0"),
            (2, "Sell", "0.01"),
        ]
        assert await switch(0) == 110024
        leverage = {"symbol": "BTCUSDT", "buyLeverage": "5", "sellLeverage": "5"}
        assert (await client.post("position/set-leverage", **leverage))["retCode"] == 110043


async def test_a_path_that_there_is_not_is_said():
    async with running_bybit() as (_, client):
        assert (await client.get("no/such"))["retCode"] == 10017
        assert client.status == 404
        assert (await client.get("order/realtime", category="spot", symbol="BTCUSDT"))["retCode"] == 10001
        reply = await client.raw("POST", "order/create", "no json", client.signed("no json"))
        assert reply["retCode"] == 10001


def test_the_configuration_of_the_project_is_good():
    settings = load(ROOT / "configs" / "exchange-bybit.toml", BybitConfig)
    assert settings.exchange == BybitServer(port=9080, control_port=9081)
