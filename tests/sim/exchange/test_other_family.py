"""The framework serves an exchange of another family, and is not changed for it."""

import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sim.exchange.rules.config import LimitsSection
from sim.exchange.servers.server import LocalExchange
from tests.sim.exchange.client import KEY, SECRET, Stream, at, config, market
from tests.sim.exchange.other_family import OTHER

SIGNATURE = hmac.new(SECRET.encode(), b"login", hashlib.sha256).hexdigest()


@contextlib.asynccontextmanager
async def connected(*lines: Any, **more: Any) -> AsyncIterator[tuple[LocalExchange, Stream]]:
    exchange = LocalExchange(OTHER, config(**more), rows={"BTCUSDT": market(*lines)})
    async with exchange, aiohttp.ClientSession() as session:
        yield exchange, Stream(await session.ws_connect(exchange.urls["all"], autoping=False))


async def login(stream: Stream, alone_s: int = 0) -> None:
    said = await stream.ask(op="login", key=KEY, sign=SIGNATURE, alone_s=alone_s)
    assert said == {"op": "login"}


def order(**more: str) -> dict[str, str]:
    defaults = {"op": "order", "id": "a1", "symbol": "BTCUSDT", "side": "Buy", "tif": "Gtc"}
    return defaults | {"price": "999.0", "qty": "0.010"} | more


async def test_a_topic_begins_with_a_snapshot_and_a_message_that_is_left_out_is_a_hole_in_its_count():
    lines = [("bid", 5, 999.5, 2.0), ("bid", 6, 999.5, 3.0), ("bid", 7, 999.5, 4.0)]
    async with connected(*lines) as (exchange, stream):
        snapshot = await stream.ask(op="subscribe", topic="book.BTCUSDT")
        assert (snapshot["type"], snapshot["b"][0]) == ("snapshot", ["999.50", "1.000"])
        exchange.move_to(at(5))
        delta = await stream.next()
        assert (delta["type"], delta["u"], delta["b"]) == ("delta", snapshot["u"] + 1, [["999.50", "2.000"]])
        exchange.force_gap()
        exchange.move_to(at(7))
        assert (await stream.next())["u"] == delta["u"] + 2
        exchange.core.streams.silence(exchange.venue.pattern_of("book.BTCUSDT"), 10.0)
        assert exchange.core.streams.is_silent("trades.BTCUSDT")


async def test_an_answer_only_says_that_an_order_has_come():
    async with connected(("sell", 5, 998.0, 9.0)) as (exchange, stream):
        await login(stream)
        assert await stream.ask(**order()) == {"op": "order", "id": "a1", "code": 0}
        assert (await stream.next())["state"] == "Live"
        exchange.move_to(at(5))
        filled, wallet = await stream.take(2)
        assert (filled["state"], filled["filled"], wallet["topic"]) == ("Done", "0.010", "wallet")
        # What is wrong with an order is said by the stream, too.
        assert await stream.ask(**order(id="a2", tif="PostOnly", price="1001.0")) == {
            "op": "order",
            "id": "a2",
            "code": 0,
        }
        assert (await stream.next())["state"] == "would_take"


@pytest.mark.parametrize("sign", [True, False])
async def test_who_pings_is_the_client(sign: bool):
    limits = LimitsSection(ping_s=0.02, pong_s=0.3)
    async with connected(limits=limits, speed=1.0) as (_, stream):
        for _ in range(10):
            if sign:
                assert await stream.ask(op="ping") == {"op": "pong"}
            assert await stream.all(0.05) == []
        assert stream.socket.closed is not sign


async def test_orders_end_when_their_connection_does_and_does_not_come_back():
    async with connected(("bid", 5000, 999.5, 2.0)) as (exchange, stream):
        await login(stream, alone_s=2)
        await stream.ask(**order())
        exchange.close_connections("all")
        exchange.move_to(at(1000))
        assert [one["status"] for one in exchange.truth(KEY)["orders"]] == ["NEW"]
        exchange.move_to(at(2001))
        assert [one["status"] for one in exchange.truth(KEY)["orders"]] == ["CANCELED"]


async def test_chaos_and_the_control_page_work_for_it_too():
    async with connected() as (exchange, stream):
        await login(stream)
        async with aiohttp.ClientSession() as session:
            url = (
                exchange.control_url
                + "/order?api_key="
                + KEY
                + "&symbol=BTCUSDT&side=Buy&tif=Gtc&price=999.0&qty="
            )
            async with session.post(url + "0.010&id=web") as reply:
                assert await reply.json() == {"id": "web", "state": "Live"}
            async with session.post(url + "9999&id=web2") as reply:
                assert "qty_high" in (await reply.json())["error"]
            async with session.get(exchange.control_url + "/status") as reply:
                assert (await reply.json())["all_url"] == exchange.urls["all"]
        assert (await stream.next())["id"] == "web"
