"""Weights, order counts and bans."""

from sim.exchange.rules.config import LimitsSection
from tests.sim.exchange.client import at, config, running


async def test_a_reply_says_what_was_used():
    async with running() as (_, client):
        await client.good("GET", "v1/depth", symbol="BTCUSDT", limit=1000)
        assert client.headers["X-MBX-USED-WEIGHT-1M"] == "20"
        assert "X-MBX-ORDER-COUNT-10S" not in client.headers
        await client.place()
        assert client.headers["X-MBX-USED-WEIGHT-1M"] == "20"
        assert (client.headers["X-MBX-ORDER-COUNT-10S"], client.headers["X-MBX-ORDER-COUNT-1M"]) == ("1", "1")
        await client.good("GET", "v1/openOrders")
        assert client.headers["X-MBX-USED-WEIGHT-1M"] == "60"


async def test_too_much_weight_is_429_then_a_ban_and_the_minute_ends_the_first():
    limits = LimitsSection(weight_1m=10, bans_after=2, ban_s=90.0)
    async with running(config(limits=limits)) as (exchange, client):
        for _ in range(10):
            await client.good("GET", "v1/ping")
        for _ in range(2):
            status, content = await client.call("GET", "v1/ping")
            assert (status, content["code"]) == (429, -1003)
            assert 0 < int(client.headers["Retry-After"]) <= 60
        status, content = await client.call("GET", "v1/ping")
        assert (status, content["code"]) == (418, -1003)
        assert client.headers["Retry-After"] == "90"
        exchange.move_to(at(89_000))
        assert (await client.call("GET", "v1/ping"))[0] == 418
        exchange.move_to(at(91_000))
        await client.good("GET", "v1/ping")


async def test_orders_are_counted_in_windows_of_the_clock():
    limits = LimitsSection(orders_10s=3, orders_1m=5)
    async with running(config(limits=limits)) as (exchange, client):
        for _ in range(3):
            await client.place()
        status, content = await client.call("POST", "v1/order", **client.order())
        assert (status, content["code"]) == (429, -1015)
        # The market's clock begins at a full ten seconds less some; the next window begins with the clock's.
        exchange.move_to(at(10_000))
        await client.place()
        await client.place()
        assert await client.refused() == -1015
        counts = await client.good("GET", "v1/rateLimit/order")
        assert [(one["interval"], one["count"]) for one in counts] == [("SECOND", 2), ("MINUTE", 5)]
        # A cancel is no order.
        await client.good("DELETE", "v1/allOpenOrders", symbol="BTCUSDT")


async def test_the_limits_are_those_of_the_exchange_info():
    async with running() as (_, client):
        info = await client.good("GET", "v1/exchangeInfo")
        rates = {(one["rateLimitType"], one["interval"]): one["limit"] for one in info["rateLimits"]}
        assert rates == {
            ("REQUEST_WEIGHT", "MINUTE"): 2400,
            ("ORDERS", "MINUTE"): 1200,
            ("ORDERS", "SECOND"): 300,
        }
        filters = {one["filterType"]: one for one in info["symbols"][0]["filters"]}
        assert filters["PRICE_FILTER"]["tickSize"] == "0.10"
        assert filters["LOT_SIZE"]["stepSize"] == "0.001"
        assert filters["MIN_NOTIONAL"]["notional"] == "5"
