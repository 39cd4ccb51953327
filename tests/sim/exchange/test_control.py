"""The control page, and the network going away."""

import aiohttp
import pytest

from hftd.errors import UsageError
from sim.exchange.binancefutures.venue import BinanceFutures
from sim.exchange.rules.clock import MS, SECOND, ExchangeClock
from sim.exchange.servers.server import LocalExchange
from tests.sim.exchange.client import KEY, at, config, market, running


async def pull(exchange, client, path: str, **json) -> dict:
    async with client.session.post(exchange.control_url + path, **json) as reply:
        return await reply.json()


async def test_the_page_shows_accounts_and_connections():
    async with running() as (exchange, client):
        listening = await client.stream("/public/ws/btcusdt@trade")
        await client.place(newClientOrderId="a1")
        async with client.session.get(exchange.control_url) as reply:
            text = await reply.text()
        for word in ("BTCUSDT", "a1", "public", "btcusdt@trade", exchange.rest_url):
            assert word in text
        async with client.session.get(exchange.control_url + "/status") as reply:
            status = await reply.json()
        assert status["accounts"][0]["open"][0]["client_id"] == "a1"
        await listening.socket.close()


async def test_the_truth_of_an_account_can_be_read():
    async with running() as (exchange, client):
        await client.place(type="MARKET", timeInForce=None, price=None)
        async with client.session.get(exchange.control_url + f"/truth?api_key={KEY}") as reply:
            assert await reply.json() == exchange.truth(KEY)
        async with client.session.get(exchange.control_url + "/truth?api_key=nobody") as reply:
            assert reply.status == 400


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/truth?account=nobody", "`api_key=`"),
        ("GET", "/truth?api_key=nobody", "no account with the API key 'nobody'"),
        ("POST", "/revoke", "`api_key=`"),
        ("POST", "/clock", "`offset_ms=`"),
        ("POST", "/chaos", "`seed=`"),
        ("POST", f"/fund?api_key={KEY}&symbol=BTCUSDT&rate=much", "`rate` must be a number"),
        ("POST", f"/fund?api_key={KEY}&symbol=BTCUSDT&rate=nan", "`rate` must be a number"),
        ("POST", f"/balance?api_key={KEY}&balance=much", "`balance` must be a number"),
        ("POST", f"/balance?api_key={KEY}&asset=NONE&balance=1", "no 'NONE'; there are USDT"),
    ],
)
async def test_what_a_request_lacks_is_named(method, path, said):
    async with (
        running() as (exchange, client),
        client.session.request(method, exchange.control_url + path) as reply,
    ):
        assert reply.status == 400
        assert said in (await reply.json())["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:9081"}, 200),
        ({"Host": "[::1]:9081"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:9081"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:9081", "Origin": "http://localhost:9081"}, 200),
        ({"Host": "localhost:9081", "Origin": "http://localhost:8000"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
async def test_pages_of_others_can_not_pull_the_strings(headers, status):
    async with running() as (exchange, client):
        url = exchange.control_url + "/clock?offset_ms=7"
        async with client.session.post(url, headers=headers) as reply:
            assert reply.status == status
        assert exchange.clock.offset_ms == (7 if status == 200 else 0)


async def test_connections_are_closed_by_kind():
    async with running() as (exchange, client):
        public, user = await client.stream("/public/ws"), await client.user_stream()
        assert await pull(exchange, client, "/close?kind=private") == {"closed": 1}
        assert await user.next() is None
        assert await public.ask(method="LIST_SUBSCRIPTIONS", id=1)
        assert await pull(exchange, client, "/close?tear=1") == {"closed": 1}


async def test_strings_can_be_pulled():
    async with running() as (exchange, client):
        await pull(exchange, client, "/clock?offset_ms=-3000")
        assert exchange.clock.offset_ms == -3000
        user = await client.user_stream()
        await pull(exchange, client, "/expire")
        assert (await user.next())["e"] == "listenKeyExpired"
        await pull(exchange, client, "/chaos", json={"seed": 3, "busy_failed": 1.0})
        assert (await client.call("GET", "v3/balance"))[0] == 503
        await pull(exchange, client, "/chaos?seed=off")
        await pull(exchange, client, "/ban?seconds=100")
        assert (await client.call("GET", "v1/ping"))[0] == 418
        await pull(exchange, client, "/unban")
        await client.good("GET", "v1/ping")
        for path in ("/nothing", "/clock", "/clock?offset_ms=x", "/chaos?seed=x"):
            assert "error" in await pull(exchange, client, path)
        assert "error" in await pull(exchange, client, "/chaos", json={"bussy_failed": 1.0})


async def test_the_network_goes_away_and_comes_back_and_orders_fill_meanwhile():
    async with running(data=market(("sell", 5, 998.0, 9.0))) as (exchange, client):
        await client.place()
        url = exchange.rest_url
        await pull(exchange, client, "/network?up=0")
        with pytest.raises(aiohttp.ClientError):
            await client.call("GET", "v1/ping")
        exchange.move_to(at(5))
        await pull(exchange, client, "/network?up=1")
        assert exchange.rest_url == url
        assert (await client.good("GET", "v3/positionRisk"))[0]["positionAmt"] == "0.010"


async def test_the_market_begins_again():
    async with running(data=market(("bid", 5, 999.5, 2.0), ("sell", 6, 998.0, 9.0))) as (exchange, client):
        await client.place()
        exchange.move_to(at(6))
        await client.place(newClientOrderId="a2")
        before = await client.good("GET", "v1/depth", symbol="BTCUSDT", limit=5)
        assert before["bids"][0] == ["999.50", "2.000"]
        await pull(exchange, client, "/rewind")
        after = await client.good("GET", "v1/depth", symbol="BTCUSDT", limit=5)
        assert after["bids"][0] == ["999.50", "1.000"]
        assert after["lastUpdateId"] > before["lastUpdateId"]
        truth = client.truth()
        assert [one["status"] for one in truth["orders"]] == ["FILLED", "EXPIRED"]
        assert truth["positions"][0]["lots"] == 10


def test_markets_that_begin_at_one_moment_are_at_one_time_whenever_they_are_told():
    """The clocks of three exchanges, told one after the other; until then each stands still."""
    wall_ns = [1_000 * SECOND]
    clocks = [ExchangeClock(speed=4.0, wall=lambda: wall_ns[0]) for _ in range(3)]
    for clock in clocks:
        clock.start(500 * SECOND, 1_001 * SECOND)
        assert clock.market_ns() == 500 * SECOND
        wall_ns[0] += SECOND // 4
    assert [clock.market_ns() for clock in clocks] == [500 * SECOND] * 3
    wall_ns[0] = 1_003 * SECOND
    assert [clock.market_ns() for clock in clocks] == [508 * SECOND] * 3


async def test_the_market_begins_again_at_the_time_and_moment_that_it_is_told():
    async with running(data=market(("bid", 5, 999.5, 2.0))) as (exchange, client):
        await pull(exchange, client, f"/rewind?market_ns={at(3)}&at_ns={7 * SECOND}")
        clock = exchange.core.clock
        assert (clock.market_ns(), clock._wall_start_ns) == (at(3) - at(3) % MS, 7 * SECOND)


async def test_the_end_of_the_data_leaves_the_market_standing():
    async with running(data=market(("bid", 5, 999.5, 2.0))) as (exchange, client):
        exchange.move_to(at(5_000))
        assert exchange.core.market.is_over
        await client.place(type="MARKET", timeInForce=None, price=None)
        assert client.truth()["trades"][0]["price"] == "1000.50"


async def test_the_market_can_be_ended_and_stands_still_while_orders_go_on():
    async with running(data=market(("bid", 5, 999.5, 2.0), ("sell", 6, 998.0, 9.0))) as (exchange, client):
        await client.place()
        exchange.move_to(at(5))
        await pull(exchange, client, "/end")
        exchange.move_to(at(5_000))
        assert exchange.core.market.is_over
        await client.cancel((await client.place(newClientOrderId="a2"))["clientOrderId"])
        await client.place(type="MARKET", timeInForce=None, price=None)
        truth = client.truth()
        assert [one["status"] for one in truth["orders"]] == ["NEW", "CANCELED", "FILLED"]
        assert truth["orders"][1]["created_ms"] > truth["orders"][0]["created_ms"] + 4_000


async def test_a_port_that_is_taken_is_said():
    async with running() as (exchange, _):
        port = int(exchange.rest_url.rpartition(":")[2])
        second = LocalExchange(BinanceFutures, config(port=port), rows={"BTCUSDT": market()})
        try:
            with pytest.raises(UsageError, match="can't listen"):
                await second.start()
        finally:
            await second.stop()
