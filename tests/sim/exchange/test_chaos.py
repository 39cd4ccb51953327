"""Each mishap does what it says, and a seed brings the same bad luck again."""

import asyncio

import aiohttp
import pytest

from sim.exchange.rules.chaos import ChaosSection, storm
from sim.exchange.rules.config import LatencySection
from tests.sim.exchange.client import Client, at, config, market, running

TAKER = {"type": "MARKET", "timeInForce": None, "price": None}


def bad(**settings) -> ChaosSection:
    return ChaosSection(seed=5, **({"inside_snapshot": 0.0} | settings))


async def test_a_lost_reply_says_nothing_of_the_order_which_is_there():
    async with running(config(chaos=bad(reply_lost=1.0))) as (_, client):
        with pytest.raises(aiohttp.ClientError):
            await client.place(newClientOrderId="a1")
        assert [one["client_id"] for one in client.truth()["orders"]] == ["a1"]
        api = await client.ws_api()
        params = client.ws_params(**client.order(newClientOrderId="a2"))
        await api.socket.send_json({"id": 1, "method": "order.place", "params": params})
        assert await api.all() == []
        assert len(client.truth()["orders"]) == 2


@pytest.mark.parametrize(
    ("mishap", "status", "code"), [("busy_unknown", 503, -1000), ("timeout_unknown", 408, -1007)]
)
async def test_where_the_status_is_unknown_half_were_done(mishap: str, status: int, code: int):
    async with running(config(chaos=bad(**{mishap: 1.0}))) as (_, client):
        for _ in range(60):
            got, content = await client.call("POST", "v1/order", **client.order())
            assert (got, content["code"]) == (status, code)
        assert 15 < len(client.truth()["orders"]) < 45


async def test_the_three_meanings_of_503_are_told_apart_by_their_words():
    words = {"busy_unknown": "Unknown error, please check your request or try again later."}
    words |= {"busy_failed": "Service Unavailable."}
    for mishap, text in words.items():
        async with running(config(chaos=bad(**{mishap: 1.0}))) as (_, client):
            assert (await client.call("POST", "v1/order", **client.order()))[1]["msg"] == text
    async with running(config(chaos=bad(throttled=1.0))) as (_, client):
        assert (await client.call("POST", "v1/order", **client.order()))[1]["code"] == -1008


async def test_what_is_unavailable_or_throttled_was_not_done():
    async with running(config(chaos=bad(busy_failed=0.5, throttled=0.5))) as (_, client):
        replies = [await client.call("POST", "v1/order", **client.order()) for _ in range(40)]
        done = [content["orderId"] for status, content in replies if status == 200]
        assert [one["order_id"] for one in client.truth()["orders"]] == done
        assert 0 < len(done) < 40


async def test_cancels_and_orders_that_only_reduce_are_not_throttled():
    async with running(config()) as (exchange, client):
        await client.place(**TAKER)
        await client.place(newClientOrderId="a1")
        exchange.set_chaos(bad(throttled=1.0))
        assert await client.refused() == -1008
        await client.cancel("a1")
        await client.place(**TAKER, side="SELL", reduceOnly="true")


@pytest.mark.parametrize(
    ("mishap", "status", "code"),
    [("too_many_orders", 429, -1015), ("too_many_requests", 429, -1003), ("ban", 418, -1003)],
)
async def test_limits_strike_where_they_are_not_reached(mishap: str, status: int, code: int):
    async with running(config(chaos=bad(**{mishap: 1.0}))) as (_, client):
        got, content = await client.call("POST", "v1/order", **client.order())
        assert (got, content["code"]) == (status, code)
        assert ("Retry-After" in client.headers) == (code == -1003)


async def test_doubled_events_are_the_same_twice():
    async with running(config(chaos=bad(event_doubled=1.0, late_ms=5.0))) as (_, client):
        user = await client.user_stream()
        await client.place(**TAKER)
        events = [repr(one) for one in await user.all()]
        assert len(events) == 8
        assert len(set(events)) == 4


async def test_lost_events_never_come():
    async with running(config(chaos=bad(event_lost=1.0))) as (_, client):
        user = await client.user_stream()
        await client.place(**TAKER)
        assert await user.all() == []


async def placed_many(client: Client, count: int = 60) -> list[str]:
    user = await client.user_stream()
    for number in range(count):
        await client.place(newClientOrderId=f"a{number}")
    return [one["o"]["c"] for one in await user.all(0.3)]


async def test_late_events_of_a_kind_keep_their_order():
    async with running(config(chaos=bad(event_late=0.5, late_ms=30.0))) as (_, client):
        assert await placed_many(client) == [f"a{n}" for n in range(60)]


async def test_shuffled_events_do_not():
    async with running(config(chaos=bad(event_shuffled=0.5, late_ms=30.0))) as (_, client):
        found = await placed_many(client)
        assert sorted(found) == sorted(f"a{n}" for n in range(60))
        assert found != [f"a{n}" for n in range(60)]


@pytest.mark.parametrize(("reply_ms", "event_ms", "first"), [(40.0, 0.0, "event"), (0.0, 40.0, "reply")])
async def test_the_reply_comes_before_the_event_or_after_it(reply_ms: float, event_ms: float, first: str):
    latency = LatencySection(reply_ms=(reply_ms, reply_ms), event_ms=(event_ms, event_ms))
    async with running(config(latency=latency)) as (_, client):
        user = await client.user_stream()
        waits = {
            asyncio.ensure_future(client.place()): "reply",
            asyncio.ensure_future(user.next()): "event",
        }
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        assert [waits[one] for one in done] == [first]
        await asyncio.wait(rest)


async def test_an_order_takes_its_way_to_the_engine():
    latency = LatencySection(entry_ms=(30.0, 30.0))
    async with running(config(latency=latency), market(("sell", 5, 998.0, 9.0))) as (exchange, client):
        placing = asyncio.ensure_future(client.place())
        await asyncio.sleep(0.01)
        exchange.move_to(at(5))
        order = await placing
        # It came when the trade was over.
        assert order["updateTime"] == at(5) // 1_000_000
        assert client.truth()["trades"] == []


async def test_a_gap_breaks_the_chain_of_ids():
    lines = [("bid", ms, 999.0, 1.0 + ms) for ms in range(1, 21)]
    async with running(data=market(*lines)) as (exchange, client):
        stream = await client.stream("/public/ws/btcusdt@depth@0ms")
        exchange.move_to(at(10))
        exchange.force_gap("BTCUSDT")
        exchange.move_to(at(20))
        events = await stream.take(19)
        broken = [i for i in range(1, 19) if events[i]["pu"] != events[i - 1]["u"]]
        assert broken == [10]


async def test_a_silent_subscription_is_confirmed():
    async with running(config(chaos=bad(silent_subscription=1.0)), market(("buy", 5, 1000.5, 1.0))) as (
        exchange,
        client,
    ):
        stream = await client.stream("/public/ws")
        assert (await stream.ask(method="SUBSCRIBE", params=["btcusdt@trade"], id=1))["result"] is None
        exchange.move_to(at(5))
        assert await stream.all() == []


async def test_a_stale_snapshot_is_older_than_the_stream():
    lines = [("bid", ms, 999.0, 1.0 + ms) for ms in range(1, 21)]
    async with running(config(chaos=bad(stale_snapshot=1.0)), market(*lines)) as (exchange, client):
        first = await client.good("GET", "v1/depth", symbol="BTCUSDT", limit=20)
        exchange.move_to(at(10))
        stream = await client.stream("/public/ws/btcusdt@depth@0ms")
        exchange.move_to(at(20))
        second = await client.good("GET", "v1/depth", symbol="BTCUSDT", limit=20)
        assert first["lastUpdateId"] == second["lastUpdateId"] < (await stream.next())["pu"]


async def test_a_level_that_was_never_there_is_deleted():
    chaos = bad(unknown_level=1.0)
    async with running(config(chaos=chaos), market(("bid", 5, 999.0, 2.0))) as (exchange, client):
        stream = await client.stream("/public/ws/btcusdt@depth@0ms")
        exchange.move_to(at(5))
        event = await stream.next()
        assert [qty for _, qty in event["b"]] == ["2.000", "0.000"]


async def test_connections_are_closed_and_torn():
    for mishap, kind in (("close_s", aiohttp.WSMsgType.CLOSE), ("tear_s", None)):
        async with running(config(chaos=bad(**{mishap: 0.05}))) as (exchange, client):
            socket = await client.session.ws_connect(exchange.stream_url + "/public/ws")
            message = await asyncio.wait_for(socket.receive(), 5.0)
            assert kind is None or message.type is kind
            assert message.type is not aiohttp.WSMsgType.TEXT
            assert exchange.connections == {}


async def test_a_stalled_connection_sends_later_and_in_order():
    lines = [("buy", ms, 1000.5, 0.1) for ms in range(1, 101)]
    async with running(data=market(*lines)) as (exchange, client):
        stream = await client.stream("/public/ws/btcusdt@trade")
        (connection,) = exchange.connections.values()
        exchange.move_to(at(10))
        connection.hold(0.2)
        for ms in range(11, 101):
            exchange.move_to(at(ms))
        assert len(await stream.all(0.05)) == 10
        assert [one["t"] - 5266583934 for one in await stream.all(0.4)] == list(range(11, 101))


async def test_a_listen_key_expires_early():
    async with running(config(chaos=bad(listen_key_s=0.05), speed=1.0)) as (_, client):
        user = await client.user_stream()
        assert (await user.next())["e"] == "listenKeyExpired"


async def test_the_clock_steps():
    async with running(config(chaos=bad(clock_step_s=0.02, clock_step_ms=500.0), speed=1.0)) as (exchange, _):
        seen = set()
        for _ in range(20):
            await asyncio.sleep(0.02)
            seen.add(exchange.clock.offset_ms)
        assert len(seen) > 3
        assert max(map(abs, seen)) <= 500


async def test_a_young_order_may_not_be_found():
    async with running(config(chaos=bad(young_unseen=1.0, late_ms=100.0))) as (exchange, client):
        await client.place(newClientOrderId="a1")
        assert await client.code("GET", "v1/order", symbol="BTCUSDT", origClientOrderId="a1") == -2013
        assert await client.good("GET", "v1/openOrders") == []
        exchange.move_to(at(100))
        await client.good("GET", "v1/order", symbol="BTCUSDT", origClientOrderId="a1")


async def outcomes(seed: int) -> list[object]:
    settings = ChaosSection(
        seed=seed, busy_unknown=0.1, busy_failed=0.1, throttled=0.1, event_lost=0.2, too_many_orders=0.1
    )
    async with running(config(chaos=settings)) as (_, client):
        user = await client.user_stream()
        found: list[object] = []
        for number in range(80):
            status, content = await client.call(
                "POST", "v1/order", **client.order(newClientOrderId=f"a{number}")
            )
            found.append((status, content.get("code")))
        return [*found, [one["o"]["c"] for one in await user.all()], client.truth()["open_orders"]]


async def test_the_same_seed_brings_the_same_and_another_another():
    first = await outcomes(1)
    assert await outcomes(1) == first
    assert await outcomes(2) != first


async def test_in_a_storm_what_the_exchange_says_in_the_end_is_what_it_did():
    """A client that believes nothing but what it has asked comes to the exchange's own account."""
    lines = [
        (side, ms, px, 1.0) for ms in range(5, 1500, 5) for side, px in (("sell", 998.9), ("buy", 1001.1))
    ]
    settings = config(chaos=storm(11))
    async with running(settings, market(*lines)) as (exchange, client):
        for number in range(250):
            exchange.move_to(at(5 * number))
            side, price = ("BUY", "999.0") if number % 2 else ("SELL", "1001.0")
            try:
                await client.call(
                    "POST", "v1/order", **client.order(side=side, price=price, newClientOrderId=f"a{number}")
                )
                if number % 5 == 0:
                    await client.call("DELETE", "v1/allOpenOrders", symbol="BTCUSDT")
            except aiohttp.ClientError:
                continue
        assert sum(exchange.chaos.counters.values()) > 50
        exchange.set_chaos(ChaosSection())
        exchange.core.limits.unban()
        truth = client.truth()
        assert len(truth["trades"]) > 100
        trades = await client.good("GET", "v1/userTrades", symbol="BTCUSDT", limit=1000)
        assert [one["id"] for one in trades] == [one["trade_id"] for one in truth["trades"]]
        orders = await client.good("GET", "v1/allOrders", symbol="BTCUSDT", limit=1000)
        assert [(one["orderId"], one["status"], one["executedQty"]) for one in orders] == [
            (one["order_id"], one["status"], one["executed_qty"]) for one in truth["orders"]
        ]
        still = await client.good("GET", "v1/openOrders", symbol="BTCUSDT")
        assert [one["orderId"] for one in still] == truth["open_orders"]
