"""Spot's streams, its WebSocket API and its user data by subscription."""

import base64
import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.servers.server import LocalExchange
from tests.sim.exchange.client import KEY, OTHER_KEY, OTHER_SECRET, at, market
from tests.sim.exchange.spot_client import SpotClient, spot, trading

MOVES = market(
    *[
        (side, ms, px, 2.0 + ms / 1000)
        for ms in range(10, 600, 20)
        for side, px in (("bid", 999.5), ("ask", 1000.5), ("ask", 1003.0))
    ],
    ("buy", 600, 1000.5, 0.25),
)


async def moved(exchange: LocalExchange, until_ms: int, step_ms: int = 50) -> None:
    for ms in range(0, until_ms + 1, step_ms):
        exchange.move_to(at(ms))


async def test_depth_events_follow_each_other_without_holes_and_best_prices_are_inside_of_them():
    async with trading(data=MOVES) as (exchange, client):
        stream = await client.stream("/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker")
        await moved(exchange, 700)
        said = [(one["stream"], one["data"]) for one in await stream.all()]
        depth = [data for name, data in said if name == "btcusdt@depth@100ms"]
        assert len(depth) > 4 and set(depth[0]) == {"e", "E", "s", "U", "u", "b", "a"}
        assert all(after["U"] == before["u"] + 1 for before, after in itertools.pairwise(depth))
        best = [data for name, data in said if name == "btcusdt@bookTicker"]
        assert set(best[0]) == {"u", "s", "b", "B", "a", "A"} and best[0]["b"] == "999.50000000"
        first, last = depth[0]["U"], depth[-1]["u"]
        assert all(first <= one["u"] <= last for one in best if one["u"] >= first)
        book = await client.good("GET", "v3/depth", symbol="BTCUSDT", limit=5)
        assert set(book) == {"lastUpdateId", "bids", "asks"} and book["bids"][0][0] == "999.50000000"


@pytest.mark.parametrize(
    ("share", "where"), [(0.0, "at the end of an event"), (1.0, "inside of the next one")]
)
async def test_a_snapshot_joins_the_events_by_the_rule(share: float, where: str):
    chaos = ChaosSection(inside_snapshot=share)
    async with trading(spot(chaos), MOVES) as (exchange, client):
        stream = await client.stream("/ws/btcusdt@depth@100ms")
        await moved(exchange, 310)
        before = await stream.all()
        last = (await client.good("GET", "v3/depth", symbol="BTCUSDT", limit=5000))["lastUpdateId"]
        await moved(exchange, 600)
        events = [*before, *await stream.all()]
        (joins, *_) = [one for one in events if one["u"] > last]
        assert joins["U"] <= last + 1 <= joins["u"]


async def test_streams_that_are_not_there_are_confirmed_and_silent_and_other_faults_are_wrapped():
    async with trading(data=MOVES) as (exchange, client):
        stream = await client.stream("/ws")
        ask = stream.ask
        assert await ask(method="SUBSCRIBE", params=["btcusdt@depth@0ms", "nope@trade"], id=1) == {
            "result": None,
            "id": 1,
        }
        faulty = await ask(method="SUBSCRIBE", params="btcusdt@trade", id=2)
        assert (faulty["error"]["code"], faulty["id"], set(faulty)) == (2, 2, {"error", "id"})
        assert (await ask(method="NONE", id="x"))["error"]["code"] == 2
        await moved(exchange, 300)
        assert await stream.all() == []
        await ask(method="UNSUBSCRIBE", params=["nope@trade"], id=3)
        assert (await ask(method="LIST_SUBSCRIPTIONS", id=4))["result"] == ["btcusdt@depth@0ms"]
        for path in ("/public/ws", "/market/ws", "/private/ws"):
            with pytest.raises(Exception, match="404"):
                await client.stream(path)


async def test_trades_and_best_levels_are_said_as_the_exchange_does():
    async with trading(data=MOVES) as (exchange, client):
        stream = await client.stream("/stream?streams=btcusdt@trade/btcusdt@aggTrade/btcusdt@depth5@100ms")
        await moved(exchange, 700)
        said = {one["stream"]: one["data"] for one in await stream.all()}
        trade = said["btcusdt@trade"]
        assert (trade["p"], trade["q"], trade["m"], trade["M"]) == (
            "1000.50000000",
            "0.25000000",
            False,
            True,
        )
        assert said["btcusdt@aggTrade"]["f"] == trade["t"]
        assert set(said["btcusdt@depth5@100ms"]) == {"lastUpdateId", "bids", "asks"}
        assert len(said["btcusdt@depth5@100ms"]["bids"]) == 5
        (found,) = await client.good("GET", "v3/trades", symbol="BTCUSDT")
        assert (found["id"], found["quoteQty"], found["isBuyerMaker"]) == (trade["t"], "250.12500000", False)


async def test_times_are_in_microseconds_for_who_asks():
    async with trading(data=MOVES) as (exchange, client):
        fine = await client.stream("/stream?streams=btcusdt@trade/btcusdt@depth@100ms&timeUnit=MICROSECOND")
        coarse = await client.stream("/stream?streams=btcusdt@trade")
        user = await client.user_stream("?timeUnit=MICROSECOND")
        await moved(exchange, 700)
        await client.place()
        said = [one["data"] for one in await fine.all()]
        assert {len(str(one["E"])) for one in said} == {16}
        assert all(len(str(one["u"])) < 13 for one in said if one["e"] == "depthUpdate")
        (trade,) = [one for one in said if one["e"] == "trade"]
        assert trade["T"] == (await coarse.next())["data"]["T"] * 1000
        report, position = [one["event"] for one in await user.all()]
        assert {len(str(report[name])) for name in "ETOW"} == {16} and len(str(position["u"])) == 16


async def test_events_come_by_a_signed_subscription_for_each_account_on_the_connection():
    async with trading() as (exchange, client):
        other = SpotClient(exchange, client.session, OTHER_KEY, OTHER_SECRET)
        api = await client.user_stream()
        again = await api.ask(id=1, method="userDataStream.subscribe.signature", params=client.ws_params())
        assert again["error"]["code"] == -2035
        second = await api.ask(id=2, method="userDataStream.subscribe.signature", params=other.ws_params())
        assert second["result"] == {"subscriptionId": 1}
        await other.place()
        event = await api.next()
        assert (event["subscriptionId"], event["event"]["e"]) == (1, "executionReport")
        await api.next()
        assert (await api.ask(id=3, method="session.subscriptions"))["result"] == [
            {"subscriptionId": 0},
            {"subscriptionId": 1},
        ]
        end = "userDataStream.unsubscribe"
        assert (await api.ask(id=4, method=end, params={"subscriptionId": 1}))["result"] == {}
        assert (await api.ask(id=5, method=end, params={"subscriptionId": 1}))["error"]["code"] == -2036
        await other.place()
        await client.place()
        assert [one["subscriptionId"] for one in await api.all()] == [0, 0]


async def test_a_listener_of_the_old_kind_hears_nothing():
    async with trading() as (_, client):
        stream = await client.stream(f"/ws/{'a' * 60}")
        await client.place()
        assert await stream.all() == []
        api = await client.ws_api()
        assert "error" in await api.ask(id=1, method="userDataStream.start", params={"apiKey": KEY})


async def test_an_order_says_its_executions_and_then_the_balances():
    async with trading() as (_, client):
        stream = await client.user_stream()
        await client.place(newClientOrderId="a", type="MARKET")
        events = [one["event"] for one in await stream.all()]
        kinds = [(one["e"], one.get("x")) for one in events]
        assert kinds == [
            ("executionReport", "NEW"),
            ("outboundAccountPosition", None),
            ("executionReport", "TRADE"),
            ("outboundAccountPosition", None),
        ]
        traded, position = events[2:]
        assert (traded["X"], traded["l"], traded["Y"], traded["n"], traded["N"], traded["m"]) == (
            "FILLED",
            "0.01000000",
            "10.00500000",
            "0.00002000",
            "BTC",
            False,
        )
        assert position["B"][0] == {"a": "BTC", "f": "2.00998000", "l": "0.00000000"}


async def test_a_subscription_that_the_exchange_ends_says_so_and_a_deposit_is_told():
    async with trading() as (exchange, client):
        stream = await client.user_stream()
        account = exchange.core.accounts[0]
        exchange.venue.on_balance(account, account.wallets["BNB"], 150_000_000)
        event = (await stream.next())["event"]
        assert (event["e"], event["a"], event["d"]) == ("balanceUpdate", "BNB", "1.50000000")
        exchange.expire_listen_keys(KEY)
        ended = await stream.next()
        assert (ended["subscriptionId"], ended["event"]["e"]) == (0, "eventStreamTerminated")
        await client.place()
        assert await stream.all() == []
        renewed = await stream.ask(
            id=2, method="userDataStream.subscribe.signature", params=client.ws_params()
        )
        assert renewed["result"] == {"subscriptionId": 1}


async def test_subscriptions_end_by_chaos_after_a_while():
    chaos = ChaosSection(seed=1, inside_snapshot=0.0, listen_key_s=0.001)
    async with trading(spot(chaos)) as (exchange, client):
        stream = await client.user_stream()
        exchange.clock.move_to(at(5000))
        exchange.venue.on_time()
        assert (await stream.next())["event"]["e"] == "eventStreamTerminated"


async def test_a_logon_lets_orders_and_events_go_without_signatures_until_the_key_is_revoked():
    from Crypto.PublicKey import ECC
    from Crypto.Signature import eddsa

    key = ECC.generate(curve="ed25519")
    settings = spot()
    account = replace(settings.accounts[0], public_key=key.public_key().export_key(format="PEM"))
    async with trading(replace(settings, accounts=[account])) as (exchange, client):
        api = await client.ws_api()
        now_ms = exchange.clock.server_ms()
        refused = await api.ask(id=1, method="userDataStream.subscribe")
        assert refused["error"]["code"] == -2014
        payload = f"apiKey={KEY}&timestamp={now_ms}".encode()
        signature = base64.b64encode(eddsa.new(key, "rfc8032").sign(payload)).decode()
        logon: dict[str, Any] = {"apiKey": KEY, "timestamp": now_ms, "signature": signature}
        logged_on = (await api.ask(id=2, method="session.logon", params=logon))["result"]
        assert (logged_on["apiKey"], logged_on["userDataStream"]) == (KEY, False)
        assert (await api.ask(id=3, method="userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
        assert (await api.ask(id=4, method="session.status"))["result"]["userDataStream"] is True
        order = client.order(newClientOrderId="a1", timestamp=now_ms)
        await api.socket.send_json({"id": 5, "method": "order.place", "params": order})
        said = await api.take(3)
        (reply,) = [one for one in said if "id" in one]
        assert reply["result"]["clientOrderId"] == "a1"
        assert [(one["rateLimitType"], one["interval"], one["count"]) for one in reply["rateLimits"]] == [
            ("ORDERS", "SECOND", 1),
            ("ORDERS", "DAY", 1),
            # Connecting, and twice 2 for the session; an order that is done costs nothing.
            ("REQUEST_WEIGHT", "MINUTE", 10),
        ]
        await client.session.post(f"{exchange.control_url}/revoke?api_key={KEY}")
        pushed = await api.next()
        assert (pushed["id"], pushed["status"], pushed["error"]["code"]) == (None, 401, -2015)
        assert (await client.call("GET", "v3/account"))[1]["code"] == -2015
        assert (await api.ask(id=7, method="session.subscriptions"))["result"] == []
        assert (await api.ask(id=8, method="order.place", params=order))["error"]["code"] == -2014


async def test_an_address_that_is_banned_is_told_until_when_by_both_ways():
    async with trading() as (exchange, client):
        api = await client.ws_api()
        exchange.core.limits.ban("127.0.0.1", 30.0)
        status, content = await client.call("GET", "v3/account")
        assert (status, content["code"], client.headers["Retry-After"]) == (418, -1003, "30")
        reply = await api.ask(id=1, method="order.place", params=client.ws_params(**client.order()))
        assert (reply["status"], reply["error"]["code"]) == (418, -1003)
        told = reply["error"]["data"]
        assert told["retryAfter"] - told["serverTime"] == 30_000


async def test_failed_replacements_by_message_say_both_halves():
    async with trading() as (_, client):
        api = await client.ws_api()
        asked = client.order(cancelReplaceMode="STOP_ON_FAILURE", cancelOrigClientOrderId="none")
        reply = await api.ask(id=1, method="order.cancelReplace", params=client.ws_params(**asked))
        assert (reply["status"], reply["error"]["code"]) == (400, -2022)
        assert reply["error"]["data"]["cancelResponse"]["code"] == -2011
        await client.place(newClientOrderId="a")
        asked = {"symbol": "BTCUSDT", "origClientOrderId": "a", "newQty": "0.006", "newClientOrderId": "a"}
        reply = await api.ask(id=2, method="order.amend.keepPriority", params=client.ws_params(**asked))
        assert reply["result"]["amendedOrder"]["clientOrderId"] == "a"
        for method, count in (("openOrders.status", 1), ("openOrders.cancelAll", 1), ("allOrders", 1)):
            reply = await api.ask(id=3, method=method, params=client.ws_params(symbol="BTCUSDT"))
            assert len(reply["result"]) == count
        reply = await api.ask(id=4, method="account.status", params=client.ws_params())
        assert {one["asset"] for one in reply["result"]["balances"]} == {"BTC", "BNB", "USDT"}


async def test_a_stream_connection_takes_five_messages_a_second():
    settings = spot()
    limits = replace(settings.limits, stream_messages_1s=5)
    async with trading(replace(settings, limits=limits)) as (_, client):
        stream = await client.stream("/ws")
        for number in range(12):
            await stream.socket.send_json({"id": number, "method": "LIST_SUBSCRIPTIONS"})
        assert len([one for one in await stream.all(1.0) if one]) < 12
        assert stream.socket.closed


async def test_connections_are_told_before_they_are_closed_as_planned():
    settings = spot()
    settings = replace(settings, limits=replace(settings.limits, notice_s=0.05))
    async with trading(settings) as (exchange, client):
        raw, combined = await client.stream("/ws"), await client.stream("/stream")
        api = await client.ws_api()
        assert exchange.close_connections(planned=True) == 3
        assert (await raw.next())["e"] == "serverShutdown"
        assert (said := await combined.next())["stream"] == "!serverShutdown" and "E" in said["data"]
        assert (await api.next())["event"]["e"] == "serverShutdown"
        assert [await one.next() for one in (raw, combined, api)] == [None, None, None]
