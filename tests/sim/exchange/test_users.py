"""Listen keys, and who is told what."""

from sim.exchange.rules.config import LimitsSection
from tests.sim.exchange.client import OTHER_KEY, OTHER_SECRET, Client, at, config, market, running


async def test_asking_for_a_listen_key_again_gives_the_live_one():
    async with running() as (_, client):
        first = await client.good("POST", "v1/listenKey")
        assert await client.good("POST", "v1/listenKey") == first
        assert await client.good("PUT", "v1/listenKey") == {}
        await client.good("DELETE", "v1/listenKey")
        assert await client.code("PUT", "v1/listenKey") == -1125
        assert await client.good("POST", "v1/listenKey") != first


async def test_a_listen_key_that_is_not_kept_expires_and_its_connection_goes_quiet():
    async with running(config(limits=LimitsSection(listen_key_s=60.0))) as (exchange, client):
        user = await client.user_stream()
        exchange.move_to(at(50_000))
        await client.good("PUT", "v1/listenKey")
        exchange.move_to(at(100_000))
        await client.place()
        assert (await user.next())["e"] == "ORDER_TRADE_UPDATE"
        exchange.move_to(at(111_000))
        event = await user.next()
        assert event["e"] == "listenKeyExpired"
        assert "listenKey" in event
        await client.place()
        assert await user.all() == []
        assert not user.socket.closed


async def test_a_listen_key_that_is_none_is_not_refused_and_hears_nothing():
    async with running() as (_, client):
        stream = await client.stream("/private/ws/" + "x" * 64)
        await client.place()
        assert await stream.all() == []


async def test_only_the_events_that_are_asked_for_come():
    async with running() as (_, client):
        user = await client.user_stream("&events=ACCOUNT_UPDATE/TRADE_LITE")
        await client.place(type="MARKET", timeInForce=None, price=None)
        assert [one["e"] for one in await user.all()] == ["TRADE_LITE", "ACCOUNT_UPDATE"]


async def test_several_accounts_share_a_combined_connection():
    async with running() as (exchange, client):
        other = Client(exchange, client.session, OTHER_KEY, OTHER_SECRET)
        one = (await client.good("POST", "v1/listenKey"))["listenKey"]
        two = (await other.good("POST", "v1/listenKey"))["listenKey"]
        stream = await client.stream(
            f"/private/stream?listenKey={one}&events=ORDER_TRADE_UPDATE&listenKey={two}"
        )
        await client.place(newClientOrderId="a1")
        await other.place(newClientOrderId="b1")
        events = await stream.take(2)
        assert [(event["stream"], event["data"]["o"]["c"]) for event in events] == [(one, "a1"), (two, "b1")]


async def test_user_data_does_not_come_on_public_paths():
    async with running() as (_, client):
        key = (await client.good("POST", "v1/listenKey"))["listenKey"]
        stream = await client.stream(f"/public/ws/{key}")
        older = await client.stream(f"/ws/{key}")
        await client.place()
        assert await stream.all() == await older.all() == []


async def test_where_the_older_paths_serve_all_they_serve_user_data():
    async with running(config(unrouted="all")) as (_, client):
        key = (await client.good("POST", "v1/listenKey"))["listenKey"]
        stream = await client.stream(f"/ws/{key}")
        await client.place()
        assert (await stream.next())["e"] == "ORDER_TRADE_UPDATE"


async def test_an_account_is_told_of_its_own_orders_only():
    async with running(data=market(("sell", 5, 998.0, 9.0))) as (exchange, client):
        other = Client(exchange, client.session, OTHER_KEY, OTHER_SECRET)
        mine, theirs = await client.user_stream(), await other.user_stream()
        await client.place(newClientOrderId="a1")
        await other.place(newClientOrderId="b1", quantity="0.020")
        exchange.move_to(at(5))
        assert {e["o"]["c"] for e in await mine.all() if "o" in e} == {"a1"}
        assert {e["o"]["c"] for e in await theirs.all() if "o" in e} == {"b1"}
        assert (client.truth()["trades"][0]["lots"], other.truth()["trades"][0]["lots"]) == (10, 20)
