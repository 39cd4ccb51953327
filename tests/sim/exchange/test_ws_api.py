"""The WebSocket API."""

from sim.exchange.rules.chaos import ChaosSection
from tests.sim.exchange.client import config, running


async def test_orders_are_placed_modified_queried_and_cancelled():
    async with running() as (_, client):
        api = await client.ws_api()
        place = client.ws_params(**client.order(newClientOrderId="a1"))
        reply = await api.ask(id="x1", method="order.place", params=place)
        assert (reply["id"], reply["status"], reply["result"]["clientOrderId"]) == ("x1", 200, "a1")
        assert [(one["rateLimitType"], one["interval"], one["count"]) for one in reply["rateLimits"]] == [
            ("ORDERS", "SECOND", 1),
            ("ORDERS", "MINUTE", 1),
            ("REQUEST_WEIGHT", "MINUTE", 5),
        ]
        modify = client.ws_params(**client.modified("a1", "998.0", "0.020"))
        reply = await api.ask(id=2, method="order.modify", params=modify)
        assert (reply["id"], reply["result"]["price"]) == (2, "998.00")
        named = {"symbol": "BTCUSDT", "origClientOrderId": "a1"}
        reply = await api.ask(id=3, method="order.status", params=client.ws_params(**named))
        assert (reply["result"]["origQty"], reply["result"]["cumQuote"]) == ("0.020", "0.00000000")
        reply = await api.ask(id=4, method="order.cancel", params=client.ws_params(**named))
        assert reply["result"]["status"] == "CANCELED"
        reply = await api.ask(id=5, method="order.cancel", params=client.ws_params(**named))
        assert (reply["status"], reply["error"]) == (400, {"code": -2011, "msg": "Unknown order sent."})


async def test_numbers_and_truth_values_may_be_json():
    async with running() as (_, client):
        api = await client.ws_api()
        params = client.order(newClientOrderId="a1", goodTillDate=0)
        signed = client.ws_params(**params, reduceOnly="false")
        reply = await api.ask(id=1, method="order.place", params=signed | {"reduceOnly": False})
        assert reply["status"] == 200, reply


async def test_requests_are_answered_in_their_order_and_by_their_id():
    async with running() as (_, client):
        api = await client.ws_api()
        for number in range(50):
            params = client.ws_params(**client.order(newClientOrderId=f"a{number}"))
            await api.socket.send_json({"id": number, "method": "order.place", "params": params})
        replies = await api.take(50)
        assert [one["id"] for one in replies] == list(range(50))
        assert [one["client_id"] for one in client.truth()["orders"]] == [f"a{n}" for n in range(50)]


async def test_a_listen_key_is_managed_here_too():
    async with running() as (_, client):
        api = await client.ws_api()
        params = {"apiKey": client.key}
        key = (await api.ask(id=1, method="userDataStream.start", params=params))["result"]["listenKey"]
        assert (await client.good("POST", "v1/listenKey"))["listenKey"] == key
        reply = await api.ask(id=2, method="userDataStream.ping", params=params)
        assert reply["result"]["listenKey"] == key
        assert (await api.ask(id=3, method="userDataStream.stop", params=params))["status"] == 200
        assert (await api.ask(id=4, method="userDataStream.ping", params=params))["error"]["code"] == -1125


async def test_a_session_without_an_ed25519_key_can_not_be_logged_on():
    async with running() as (_, client):
        api = await client.ws_api()
        reply = await api.ask(id=1, method="session.logon", params=client.ws_params())
        assert reply["error"]["code"] == -4056
        reply = await api.ask(id=2, method="order.place", params=client.order())
        assert reply["error"]["code"] == -2014


async def test_the_account_is_told():
    async with running() as (_, client):
        api = await client.ws_api()
        for method in ("account.balance", "v2/account.balance"):
            reply = await api.ask(id=1, method=method, params=client.ws_params())
            assert reply["result"][0]["balance"] == "100000.00000000"
        await client.place(type="MARKET", timeInForce=None, price=None)
        reply = await api.ask(id=2, method="v2/account.position", params=client.ws_params())
        assert reply["result"][0]["positionAmt"] == "0.010"
        reply = await api.ask(id=3, method="v2/account.status", params=client.ws_params())
        assert reply["result"]["positions"][0]["positionAmt"] == "0.010"


async def test_the_market_is_told_without_a_key():
    async with running() as (_, client):
        api = await client.ws_api()
        reply = await api.ask(id=1, method="depth", params={"symbol": "BTCUSDT", "limit": 5})
        assert reply["result"]["bids"][0] == ["999.50", "1.000"]
        reply = await api.ask(id=2, method="ticker.book", params={"symbol": "BTCUSDT"})
        assert reply["result"]["askPrice"] == "1000.50"


async def test_rate_limits_are_left_out_on_request():
    async with running() as (_, client):
        api = await client.ws_api()
        reply = await api.ask(
            id=1, method="ticker.book", params={"symbol": "BTCUSDT", "returnRateLimits": False}
        )
        assert "rateLimits" not in reply


async def test_nonsense_is_answered_and_the_connection_goes_on():
    async with running() as (_, client):
        api = await client.ws_api()
        for text in ("{", "[]", '{"id": {}}', '{"id": 1}', '{"id": 1, "method": 2}'):
            await api.socket.send_str(text)
            assert (await api.next())["error"]["code"] == -1135
        assert (await api.ask(id=1, method="order.sing", params={}))["error"]["code"] == -1130
        assert (await api.ask(id=2, method="ticker.price", params={"symbol": "BTCUSDT"}))["status"] == 200


async def test_a_doubled_reply_is_the_same_twice():
    async with running(config(chaos=ChaosSection(reply_doubled=1.0))) as (_, client):
        api = await client.ws_api()
        params = client.ws_params(**client.order(newClientOrderId="a1"))
        await api.socket.send_json({"id": 1, "method": "order.place", "params": params})
        first, second = await api.take(2)
        assert first == second
        assert len(client.truth()["orders"]) == 1
