"""Bybit as a venue of the local exchange: the public, the private and the trade socket."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.exchange.rules.chaos import ChaosSection, storm
from sim.exchange.rules.config import LatencySection
from sim.exchange.streams.windows import Window
from tests.sim.engine.market import rows
from tests.sim.exchange.bybit_client import LIMITS, BybitClient, bybit, running_bybit
from tests.sim.exchange.client import KEY, Stream, at, book, market

BOOK = "orderbook.50.BTCUSDT"


def sides_of(message: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {side: dict(message["data"][side]) for side in ("b", "a")}


def apply(sides: dict[str, dict[str, str]], message: dict[str, Any]) -> None:
    """What a delta changes; a level that is deleted was there."""
    for side, levels in sides.items():
        for price, qty in message["data"][side]:
            if qty == "0":
                del levels[price]
            else:
                levels[price] = qty


# The market.


async def test_a_window_has_its_size_after_each_delta():
    # A book of 60 levels a side, of which some go and some come.
    lines = [
        ("bid", 20, 999.5, 0.0),
        ("ask", 40, 1000.3, 2.0),
        ("bid", 60, 990.1, 5.0),
        ("ask", 80, 1000.5, 0.0),
    ]
    data = rows(*book(levels=60), *((kind, ms * 1_000_000, px, qty) for kind, ms, px, qty in lines))
    async with running_bybit(data=data) as (exchange, client):
        stream = await client.public(BOOK, "orderbook.1.BTCUSDT")
        first, best = await stream.take(2)
        assert (first["type"], list(first)[:3]) == ("snapshot", ["topic", "type", "ts"])
        assert list(best)[:3] == ["topic", "ts", "type"]
        sides, u = sides_of(first), first["data"]["u"]
        seq, deltas = first["data"]["seq"], 0
        for ms in (20, 40, 60, 80):
            exchange.move_to(at(ms))
            for message in await stream.all():
                if message["topic"] != BOOK:
                    # The smallest window is said whole.
                    assert message["type"] == "snapshot" and len(message["data"]["b"]) == 1
                    continue
                assert (message["type"], message["data"]["u"]) == ("delta", u + 1)
                assert message["data"]["seq"] > seq and message["cts"] == at(ms) // 1_000_000
                u, seq, deltas = u + 1, message["data"]["seq"], deltas + 1
                apply(sides, message)
                reply = (await client.get("market/orderbook", symbol="BTCUSDT", limit=50))["result"]
                assert sides == {side: dict(reply[side]) for side in ("b", "a")}
                assert {len(levels) for levels in sides.values()} == {50}
        # What happens below the window is not said.
        assert deltas == 3


@given(st.lists(st.dictionaries(st.integers(1, 30), st.integers(1, 5), max_size=12), min_size=1, max_size=6))
def test_whoever_applies_what_a_window_says_has_the_window(books: list[dict[int, int]]):
    window, known = Window(10, 0), {}
    for number, one in enumerate(books):
        changed, _ = window.renew(sorted(one.items(), reverse=True), [])
        assert [tick for tick, _ in changed] == sorted((tick for tick, _ in changed), reverse=True)
        for tick, lots in changed:
            known[tick] = lots
            if not lots:
                del known[tick]
        assert known == one == window.bids and window.number == number + 1


@pytest.mark.parametrize(
    ("topics", "why"),
    [
        (["orderbook.500.BTCUSDT"], "error:handler not found,topic:orderbook.500.BTCUSDT"),
        (["publicTrade.btcusdt"], "error:handler not found,topic:publicTrade.btcusdt"),
        (["order"], "error:handler not found,topic:order"),
        (["tickers.BTCUSDT"], "error:already subscribed,topic:tickers.BTCUSDT"),
        (
            ["publicTrade.BTCUSDT", "publicTrade.BTCUSDT"],
            "error:already subscribed,topic:publicTrade.BTCUSDT",
        ),
    ],
)
async def test_one_topic_that_is_wrong_voids_the_request(topics: list[str], why: str):
    async with running_bybit(data=market(("bid", 100, 999.5, 2.0), ("buy", 101, 1000.5, 0.5))) as (
        exchange,
        client,
    ):
        stream = await client.public("tickers.BTCUSDT")
        assert (await stream.next())["type"] == "snapshot"
        said = await stream.ask(op="subscribe", req_id="b", args=[BOOK, *topics])
        assert (said["success"], said["ret_msg"], said["req_id"]) == (False, why, "b")
        exchange.move_to(at(200))
        # The topic that was there before is.
        assert {one["topic"] for one in await stream.all()} == {"tickers.BTCUSDT"}


async def test_what_is_no_request_is_said_and_the_socket_stays():
    async with running_bybit() as (_, client):
        stream = await client.public(BOOK)
        await stream.next()
        await stream.socket.send_str("no json")
        assert (await stream.next())["ret_msg"].startswith("Failed to decode incoming data")
        assert (await stream.ask(op="nope"))["ret_msg"] == "error:invalid op"
        said = await stream.ask(op="unsubscribe", args=[BOOK])
        assert said["success"] and said["op"] == "unsubscribe"
        assert (await stream.ask(op="subscribe", args=[BOOK]))["success"]
        assert (await stream.next())["type"] == "snapshot"


async def test_trades_and_tickers_are_said():
    lines = [("buy", 100, 1000.5, 0.5), ("sell", 200, 999.5, 0.25), ("bid", 300, 999.4, 3.0)]
    async with running_bybit(data=market(*lines)) as (exchange, client):
        stream = await client.public("publicTrade.BTCUSDT", "tickers.BTCUSDT")
        full = (await stream.next())["data"]
        exchange.move_to(at(200))
        said = await stream.all()
        trades = [row for one in said if one["topic"].startswith("publicTrade") for row in one["data"]]
        assert [(one["S"], one["p"], one["v"]) for one in trades] == [
            ("Buy", "1000.50", "0.500"),
            ("Sell", "999.50", "0.250"),
        ]
        assert trades[1]["L"] == "MinusTick" and trades[1]["T"] == at(200) // 1_000_000
        (delta,) = (one for one in said if one["topic"].startswith("tickers"))
        assert delta["type"] == "delta" and 1 < len(delta["data"]) < len(full)
        assert delta["data"]["lastPrice"] == "999.50"
        newest = (await client.rows("market/recent-trade", symbol="BTCUSDT"))[0]
        assert newest["execId"] == trades[1]["i"]


async def test_a_book_that_restarts_begins_with_a_snapshot_whose_number_is_1():
    async with running_bybit(data=market(("bid", 100, 999.5, 2.0), ("bid", 200, 999.5, 3.0))) as (
        exchange,
        client,
    ):
        stream = await client.public(BOOK)
        await stream.next()
        async with client.session.post(exchange.control_url + "/restart?symbol=BTCUSDT") as reply:
            assert reply.status == 200
        said = await stream.next()
        assert (said["type"], said["data"]["u"]) == ("snapshot", 1)
        exchange.move_to(at(100))
        assert (await stream.next())["data"]["u"] == 2
        exchange.force_gap()
        exchange.move_to(at(200))
        assert await stream.all() == []
        exchange.set_chaos(ChaosSection(feed_restart_s=0.001))
        exchange.move_to(at(300))
        exchange.move_to(at(400))
        assert (await stream.next())["data"]["u"] == 1
        assert exchange.chaos.counters["feed restarts"] == 1


# Heartbeats and what an account hears.


async def test_each_socket_answers_a_heartbeat_in_its_shape():
    async with running_bybit() as (_, client):
        public, private = await client.socket("public"), await client.socket("private")
        trade = await client.socket("trade")
        said = await public.ask(op="ping", req_id="7")
        assert (said["ret_msg"], said["op"], said["req_id"]) == ("pong", "ping", "7")
        said = await private.ask(op="ping")
        assert said["op"] == "pong" and said["args"][0].isdecimal() and "req_id" not in said
        said = await trade.ask(op="ping")
        assert (said["retCode"], said["op"]) == (0, "pong") and said["data"][0].isdecimal()


async def test_a_client_that_says_nothing_is_cut():
    limits = type(LIMITS)(weight_1m=0, orders_10s=0, orders_1m=0, ping_s=0.02, pong_s=0.3)
    async with running_bybit(bybit(limits=limits, speed=1.0)) as (_, client):
        lives, dies = await client.socket("public"), await client.socket("public")
        # It has asked for longer.
        waits = await client.socket("private", "?max_active_time=30s")
        for _ in range(10):
            await lives.ask(op="ping")
            await asyncio.sleep(0.05)
        assert await dies.next() is None
        assert (await waits.ask(op="ping"))["op"] == "pong"


async def test_an_account_hears_nothing_before_it_has_said_who_it_is():
    async with running_bybit() as (_, client):
        stream = await client.socket("private")
        assert not (await stream.ask(op="subscribe", args=["order"]))["success"]
        for wrong in (client.auth(key="nobody"), client.auth(secret="x"), client.auth(in_ms=0)):
            assert not (await stream.ask(**wrong))["success"]
        assert (await stream.ask(**client.auth()))["success"]
        for unknown in ("orders", "wallet.linear", "dcp.linear", "order.spot", "publicTrade.BTCUSDT"):
            said = await stream.ask(op="subscribe", args=[unknown])
            assert said["ret_msg"] == f"error:handler not found,topic:{unknown}"
        # A topic of all categories and that of a single one exclude each other.
        assert not (await stream.ask(op="subscribe", args=["order", "order.linear"]))["success"]
        assert (await stream.ask(op="subscribe", args=["order.linear"], req_id="x"))["req_id"] == "x"
        await client.place(orderLinkId="a1")
        said = await stream.next()
        assert (said["topic"], said["data"][0]["orderLinkId"]) == ("order.linear", "a1")
        assert (await stream.ask(op="unsubscribe", args=["order.linear"]))["success"]
        await client.place()
        assert await stream.all() == []


async def test_an_execution_is_said_first_then_the_order_then_wallet_and_position():
    async with running_bybit() as (_, client):
        stream = await client.private("order", "execution", "execution.fast", "wallet", "position")
        order_id = await client.place(orderType="Market", price=None, orderLinkId="a1")
        fast, execution, order, wallet, position = [one["data"][0] for one in await stream.take(5)]
        assert fast["execId"] == execution["execId"] and "execFee" not in fast
        assert {one["orderId"] for one in (fast, execution, order)} == {order_id}
        assert (order["orderStatus"], order["cumExecFee"]) == ("Filled", execution["execFee"])
        assert execution["execFee"] == "0.0050025" and execution["feeRate"] == "0.0005"
        assert wallet["coin"][0]["walletBalance"] == "99999.9949975"
        assert (position["size"], position["entryPrice"]) == ("0.01", "1000.5")
        # An order that takes at once is not said to be new.
        assert await stream.all() == []


# Orders as messages.


async def acknowledged(stream: Stream, request: dict[str, Any]) -> int:
    said = await stream.ask(**request)
    assert (said["reqId"], said["op"]) == (request["reqId"], request["op"])
    return said["retCode"]


async def test_an_acknowledgement_is_no_outcome():
    async with running_bybit() as (_, client):
        trade, orders = await client.trade(), await client.private("order")
        crossing = client.order(timeInForce="PostOnly", price="1001.0", orderLinkId="a1")
        said = await trade.ask(**client.message("order.create", **crossing))
        assert (said["retCode"], said["data"]["orderLinkId"], said["retExtInfo"]) == (0, "a1", {})
        ended = (await orders.take(2))[1]["data"][0]
        assert (ended["orderStatus"], ended["rejectReason"]) == ("Cancelled", "EC_PostOnlyWillTakeLiquidity")
        assert ended["cancelType"] == "UNKNOWN"
        # What is refused at once is not heard.
        assert await acknowledged(trade, client.message("order.create", **client.order(qty="900"))) == 110007
        named = {"symbol": "BTCUSDT", "orderLinkId": "a1"}
        assert await acknowledged(trade, client.message("order.amend", **named, price="998.0")) == 110001
        assert await acknowledged(trade, client.message("order.cancel", **named)) == 110001
        assert await orders.all() == []


async def test_with_delays_the_acknowledgement_comes_first_or_last():
    for latency, first in (
        (LatencySection(event_ms=(50, 50)), "ack"),
        (LatencySection(reply_ms=(50, 50)), "event"),
    ):
        async with running_bybit(bybit(latency=latency)) as (_, client):
            trade, orders = await client.trade(), await client.private("order")
            await trade.socket.send_json(client.message("order.create", **client.order()))
            waits = {
                "ack": asyncio.ensure_future(trade.next()),
                "event": asyncio.ensure_future(orders.next()),
            }
            done, _ = await asyncio.wait(waits.values(), return_when=asyncio.FIRST_COMPLETED)
            assert done == {waits[first]}
            await asyncio.gather(*waits.values())


async def test_a_cancel_that_loses_the_race_is_acknowledged_and_filled_is_said_twice():
    async with running_bybit(bybit(race_ms=10), market(("bid", 100, 999.4, 1.0))) as (exchange, client):
        trade, orders = await client.trade(), await client.private("order")
        taker = client.order(orderType="Market", price=None, orderLinkId="a1")
        assert await acknowledged(trade, client.message("order.create", **taker)) == 0
        cancel = {"symbol": "BTCUSDT", "orderLinkId": "a1"}
        assert await acknowledged(trade, client.message("order.cancel", **cancel)) == 0
        first, second = [one["data"][0] for one in await orders.take(2)]
        assert first["orderStatus"] == second["orderStatus"] == "Filled"
        assert second["rejectReason"] == "EC_OrigClOrdIDDoesNotExist"
        exchange.move_to(at(100))
        assert await acknowledged(trade, client.message("order.cancel", **cancel)) == 110001


async def test_messages_that_are_wrong_are_refused_with_their_codes():
    async with running_bybit(bybit(orders_1s=1)) as (_, client):
        trade = await client.socket("trade")
        order = client.order()
        assert await acknowledged(trade, client.message("order.create", **order)) == 10005
        assert (await trade.ask(**client.auth(secret="x")))["retCode"] == 10004
        assert (await trade.ask(**client.auth()))["retCode"] == 0
        assert (await trade.ask(**client.auth()))["retCode"] == 20001
        assert await acknowledged(trade, client.message("order.nope", **order)) == 10404
        good = client.message("order.create", **order)
        assert await acknowledged(trade, good) == 0
        assert await acknowledged(trade, good) == 20006
        assert await acknowledged(trade, client.message("order.create", **order) | {"args": []}) == 10001
        assert await acknowledged(trade, client.message("order.create", **order) | {"header": {}}) == 10001
        late = {"X-BAPI-TIMESTAMP": client.now_ms - 5001}
        assert await acknowledged(trade, client.message("order.create", **order) | {"header": late}) == 10002
        said = await trade.ask(**client.message("order.create", **order))
        assert (said["retCode"], said["header"]["X-Bapi-Limit-Status"]) == (10006, "0")
        batch = client.message("order.cancel-batch", request=[{"symbol": "BTCUSDT", "orderId": "x"}])
        said = await trade.ask(**batch)
        assert (said["retCode"], said["retExtInfo"]["list"][0]["code"]) == (0, 110001)


# What goes wrong.


@pytest.mark.parametrize(
    ("chaos", "code"),
    [
        ({"busy_failed": 1.0}, 10019),
        ({"throttled": 1.0}, 10429),
        ({"too_many_orders": 1.0}, 10006),
        ({"too_many_requests": 1.0}, 10018),
        ({"busy_unknown": 1.0}, 10016),
        ({"timeout_unknown": 1.0}, 10000),
    ],
)
async def test_bad_luck_has_the_codes_of_the_exchange(chaos: dict[str, float], code: int):
    async with running_bybit(bybit(chaos=ChaosSection(**chaos))) as (exchange, client):
        trade = await client.trade()
        assert await acknowledged(trade, client.message("order.create", **client.order())) == code
        exchange.set_chaos(ChaosSection())
        # A node that restarts takes nothing more on that connection.
        then = await acknowledged(trade, client.message("order.create", **client.order()))
        assert then == (10019 if code == 10019 else 0)


async def test_an_acknowledgement_that_is_lost_leaves_its_order():
    async with running_bybit(bybit(chaos=ChaosSection(reply_lost=1.0))) as (_, client):
        trade, orders = await client.trade(), await client.private("order")
        await trade.socket.send_json(client.message("order.create", **client.order(orderLinkId="a1")))
        assert (await orders.next())["data"][0]["orderStatus"] == "New"
        assert await trade.all() == []


async def watched(client: BybitClient) -> Stream:
    reply = await client.post("order/disconnected-cancel-all", product="DERIVATIVES", timeWindow=10)
    assert reply["retCode"] == 0
    return await client.private("dcp.future", "order")


async def test_orders_end_when_the_watched_connections_are_gone_or_silent_for_the_window():
    async with running_bybit(data=market(("bid", 60_000, 999.5, 2.0))) as (exchange, client):
        first, other = await watched(client), await client.private("order")
        await client.place()
        exchange.move_to(at(9_000))
        await first.ask(op="ping")
        exchange.move_to(at(18_999))
        assert len(await client.rows("order/realtime", symbol="BTCUSDT")) == 1
        # Another connection of the account is no sign of life.
        exchange.move_to(at(19_001))
        said = [one["data"][0] for one in await other.all()]
        assert [(one["orderStatus"], one["cancelType"]) for one in said] == [
            ("New", "UNKNOWN"),
            ("Cancelled", "CancelByDCP"),
        ]
        # It speaks, and is gone.
        await client.place()
        await first.ask(op="ping")
        await first.socket.close()
        await asyncio.sleep(0.05)
        exchange.move_to(at(28_000))
        assert len(await client.rows("order/realtime", symbol="BTCUSDT")) == 1
        exchange.move_to(at(29_100))
        assert await client.rows("order/realtime", symbol="BTCUSDT") == []
        info = (await client.get("account/query-dcp-info"))["result"]["dcpInfos"]
        assert info[0]["timeWindow"] == "10"


async def test_without_a_window_nothing_is_cancelled():
    async with running_bybit(data=market(("bid", 60_000, 999.5, 2.0))) as (exchange, client):
        stream = await client.private("dcp.future")
        await client.place()
        await stream.socket.close()
        exchange.move_to(at(59_000))
        assert len(await client.rows("order/realtime", symbol="BTCUSDT")) == 1


async def test_in_a_storm_no_order_is_lost():
    lines = [("bid", ms, 999.5, 1.0 + ms / 10_000) for ms in range(10, 3_000, 10)]
    chaos = storm(3)
    async with running_bybit(bybit(chaos=chaos), market(*lines)) as (exchange, client):
        codes: dict[int, int] = {}
        for number in range(60):
            exchange.move_to(at(number * 40))
            try:
                reply = await client.post("order/create", **client.order(orderLinkId=f"a{number}"))
                codes[reply["retCode"]] = codes.get(reply["retCode"], 0) + 1
            except Exception:
                codes[-1] = codes.get(-1, 0) + 1
        exchange.set_chaos(ChaosSection())
        exchange.core.outages.mend()
        exchange.core.limits.unban()
        exchange.clock.offset_ms = 0
        found = {
            one["orderLinkId"] for one in await client.rows("order/realtime", symbol="BTCUSDT", limit=50)
        }
        more = (await client.get("order/realtime", symbol="BTCUSDT", limit=50))["result"]["nextPageCursor"]
        found |= {
            one["orderLinkId"]
            for one in await client.rows("order/realtime", symbol="BTCUSDT", limit=50, cursor=more)
        }
        placed = {one["client_id"] for one in exchange.truth(KEY)["orders"]}
        assert found == placed
        # All that was acknowledged is there, and some of what was not.
        assert codes[0] <= len(placed) and len(codes) > 2
