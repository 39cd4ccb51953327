"""The market's streams: shapes, ids, routes, and a book that is kept by the exchange's rules."""

import asyncio
import itertools
import random
from typing import Any

import aiohttp
import pytest

from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.config import LimitsSection
from tests.sim.exchange.client import PUBLIC, at, config, market, running


async def test_a_depth_event_has_the_changed_levels():
    async with running(data=market(("bid", 5, 999.5, 2.0), ("ask", 5, 1000.5, 0.0))) as (exchange, client):
        stream = await client.stream("/public/ws/btcusdt@depth@0ms")
        exchange.move_to(at(5))
        event = await stream.next()
        assert event["e"] == "depthUpdate"
        assert (event["b"], event["a"]) == ([["999.50", "2.000"]], [["1000.50", "0.000"]])
        assert event["T"] == at(5) // 1_000_000
        assert event["pu"] < event["U"] <= event["u"]


async def test_a_trade_says_who_was_the_maker():
    async with running(data=market(("buy", 5, 1000.5, 0.5), ("sell", 6, 999.5, 0.25))) as (exchange, client):
        stream = await client.stream("/public/stream?streams=btcusdt@trade")
        exchange.move_to(at(6))
        bought, sold = await stream.take(2)
        assert bought["stream"] == "btcusdt@trade"
        assert (bought["data"]["p"], bought["data"]["q"], bought["data"]["m"]) == ("1000.50", "0.500", False)
        assert (sold["data"]["p"], sold["data"]["m"]) == ("999.50", True)
        assert sold["data"]["t"] == bought["data"]["t"] + 1


async def test_best_prices_come_ahead_of_the_depth_that_has_them_with_ids_inside_of_it():
    lines = [("bid", ms, 999.5, 1.0 + ms) for ms in range(1, 50)]
    async with running(data=market(*lines)) as (exchange, client):
        stream = await client.stream("/public/ws/btcusdt@depth@0ms/btcusdt@bookTicker")
        exchange.move_to(at(50))
        for number in range(1, 50):
            best, depth = await stream.take(2)
            assert (best["e"], depth["e"]) == ("bookTicker", "depthUpdate")
            assert depth["U"] <= best["u"] <= depth["u"]
            assert best["B"] == f"{1 + number}.000"


async def test_nearly_all_events_have_a_hole_before_their_ids():
    lines = [("bid", ms, 999.0, 1.0 + ms) for ms in range(1, 301)]
    async with running(data=market(*lines)) as (exchange, client):
        stream = await client.stream("/public/ws/btcusdt@depth@0ms")
        exchange.move_to(at(300))
        events = await stream.take(300)
        assert all(after["pu"] == before["u"] for before, after in itertools.pairwise(events))
        assert 0.9 < sum(one["U"] > one["pu"] + 1 for one in events) / 300 < 1.0


class Book:
    """A book kept by the rules: snapshot, then differences."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.last = snapshot["lastUpdateId"]
        self.first = True
        self.sides = {side: dict(snapshot[name]) for side, name in (("b", "bids"), ("a", "asks"))}

    def apply(self, event: dict[str, Any]) -> None:
        if event["u"] < self.last:
            return
        if self.first:
            assert event["pu"] <= self.last <= event["u"]
            self.first = False
        else:
            assert event["pu"] == self.last
        self.last = event["u"]
        for side, levels in self.sides.items():
            for price, qty in event[side]:
                levels.pop(price, None)
                if float(qty):
                    levels[price] = qty

    def top(self, count: int) -> tuple[list[list[str]], list[list[str]]]:
        bids = sorted(self.sides["b"].items(), key=lambda level: -float(level[0]))[:count]
        asks = sorted(self.sides["a"].items(), key=lambda level: float(level[0]))[:count]
        return [list(level) for level in bids], [list(level) for level in asks]


@pytest.mark.parametrize("speed", ["@0ms", "@100ms", "", "@500ms"])
@pytest.mark.parametrize("inside", [0.0, 1.0])
async def test_a_book_that_is_kept_by_the_rules_is_the_exchanges(speed: str, inside: float):
    chance = random.Random(7)
    lines = []
    for ms in range(1, 3000, 7):
        side, sign = chance.choice([("bid", -1), ("ask", 1)])
        lines.append(
            (side, ms, round(1000 + sign * (0.5 + 0.1 * chance.randrange(30)), 1), chance.randrange(4) / 2)
        )
    async with running(config(chaos=ChaosSection(inside_snapshot=inside)), market(*lines)) as (
        exchange,
        client,
    ):
        stream = await client.stream(f"/public/ws/btcusdt@depth{speed}")
        for ms in range(1500):
            exchange.move_to(at(ms))
        book = Book(await client.good("GET", "v1/depth", symbol="BTCUSDT", limit=1000))
        for ms in range(1500, 3501):
            exchange.move_to(at(ms))
        applied = 0
        for event in await stream.all():
            book.apply(event)
            applied += 1
        assert applied > 3
        assert not book.first
        now = await client.good("GET", "v1/depth", symbol="BTCUSDT", limit=20)
        assert book.top(20) == (now["bids"], now["asks"])


async def test_a_snapshot_may_be_of_an_id_inside_the_next_event():
    lines = [("bid", ms, 999.5, 1.0 + ms) for ms in range(1, 20)]
    async with running(config(chaos=ChaosSection(inside_snapshot=1.0)), market(*lines)) as (exchange, client):
        stream = await client.stream("/public/ws/btcusdt@depth@0ms")
        last_id = 0
        for ms in range(1, 20):
            exchange.move_to(at(ms))
            snapshot = await client.good("GET", "v1/depth", symbol="BTCUSDT", limit=5)
            before = await stream.next()
            assert snapshot["lastUpdateId"] > before["u"]
            if ms > 1:
                assert before["U"] <= last_id < before["u"]
            last_id = snapshot["lastUpdateId"]


async def test_streams_of_another_class_are_confirmed_and_silent():
    async with running(data=market(("buy", 5, 1000.5, 0.5))) as (exchange, client):
        wrong = await client.stream("/market/ws")
        assert await wrong.ask(method="SUBSCRIBE", params=["btcusdt@trade"], id=1) == {
            "result": None,
            "id": 1,
        }
        right = await client.stream("/market/ws/btcusdt@aggTrade")
        exchange.move_to(at(5))
        assert (await right.next())["e"] == "aggTrade"
        assert await wrong.all() == []


@pytest.mark.parametrize(("unrouted", "heard"), [("public", ["trade"]), ("all", ["aggTrade", "trade"])])
async def test_the_older_paths_serve_public_streams_or_all(unrouted: str, heard: list[str]):
    settings = config(unrouted=unrouted)
    async with running(settings, market(("buy", 5, 1000.5, 0.5))) as (exchange, client):
        stream = await client.stream("/ws/btcusdt@trade/btcusdt@aggTrade")
        exchange.move_to(at(5))
        assert sorted(one["e"] for one in await stream.all()) == heard


async def test_the_older_paths_may_be_closed():
    async with running(config(unrouted="closed")) as (_, client):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.stream("/ws/btcusdt@trade")


async def test_streams_are_added_listed_and_taken_away():
    data = market(("buy", 5, 1000.5, 0.5), ("buy", 6, 1000.5, 0.5))
    async with running(data=data) as (exchange, client):
        stream = await client.stream("/public/ws")
        names = ["btcusdt@trade", "btcusdt@depth"]
        await stream.ask(method="SUBSCRIBE", params=names, id="one")
        assert await stream.ask(method="LIST_SUBSCRIPTIONS", id=2) == {"result": names, "id": 2}
        await stream.ask(method="SET_PROPERTY", params=["combined", True], id=3)
        assert await stream.ask(method="GET_PROPERTY", params=["combined"], id=4) == {"result": True, "id": 4}
        exchange.move_to(at(5))
        assert (await stream.next())["stream"] == "btcusdt@trade"
        await stream.ask(method="UNSUBSCRIBE", params=names, id=5)
        exchange.move_to(at(6))
        assert await stream.all() == []


async def test_nonsense_on_a_stream_connection_is_answered_with_a_code():
    async with running() as (_, client):
        stream = await client.stream("/public/ws")
        await stream.socket.send_str("{")
        assert (await stream.next())["code"] == 3
        for message in ({}, {"method": "SING", "id": 1}, {"method": "SUBSCRIBE", "params": "x", "id": 1}):
            assert (await stream.ask(**message))["code"] == 2


async def test_who_talks_too_much_is_closed():
    async with running(config(limits=LimitsSection(stream_messages_1s=5))) as (_, client):
        stream = await client.stream("/public/ws")
        for number in range(20):
            await stream.socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        assert len(await stream.all()) <= 10
        assert stream.socket.closed or stream.socket.close_code == 1008


async def test_partial_depth_has_the_whole_top_of_the_book():
    async with running(data=market(("bid", 50, 999.5, 2.0))) as (exchange, client):
        stream = await client.stream(f"{PUBLIC}btcusdt@depth5@100ms")
        for ms in (1, 50, 100):
            exchange.move_to(at(ms))
        event = (await stream.next())["data"]
        assert (len(event["b"]), len(event["a"])) == (5, 5)
        assert event["b"][0] == ["999.50", "2.000"]


async def test_a_client_that_is_silent_is_dropped_and_one_that_answers_pings_is_not():
    limits = LimitsSection(ping_s=0.05, pong_s=0.3)
    async with running(config(limits=limits, speed=1.0)) as (exchange, client):
        deaf = await client.session.ws_connect(exchange.stream_url + "/public/ws", autoping=False)
        alive = await client.session.ws_connect(exchange.stream_url + "/public/ws", autoping=True)
        answering = asyncio.ensure_future(alive.receive())
        kinds = [(await asyncio.wait_for(deaf.receive(), 5.0)).type for _ in range(3)]
        assert kinds == [aiohttp.WSMsgType.PING] * 3
        while not deaf.closed:
            await asyncio.wait_for(deaf.receive(), 5.0)
        assert not answering.done()
        answering.cancel()


async def test_a_connection_lives_only_so_long():
    async with running(config(limits=LimitsSection(life_s=0.1))) as (exchange, client):
        stream = await client.stream("/public/ws")
        assert await stream.next() is None
        assert exchange.connections == {}


async def test_the_mark_price_comes_each_second():
    async with running() as (exchange, client):
        stream = await client.stream("/market/ws/btcusdt@markPrice@1s")
        for ms in range(0, 3001, 100):
            exchange.move_to(at(ms))
        events = await stream.all()
        assert len(events) in (3, 4)
        assert events[0]["p"] == "1000.00"
