"""What a user may rely on: the book is right or is said not to be, whatever happens to the connection."""

import asyncio

import numpy as np
import pytest

from hftd.types import DEPTH_CLEAR_EVENT, DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT, KIND_MASK, TRADE_EVENT
from hftd.wire import BOOK_INVALID, BOOK_VALID
from tests.daemon.venues.binancefutures.market_client import BTCUSDT, ETHUSDT, connected
from tests.daemon.venues.binancefutures.market_server import (
    MarketServer,
    best,
    depth,
    snapshot,
    trade,
    wrapped,
)

BIDS, ASKS = [["100.0", "1"], ["99.9", "2"]], [["100.1", "3"], ["100.2", "4"]]
FAST = {"first_message_s": 0.4, "stale_after_s": 0.4}


def kinds(rows: np.ndarray) -> list[int]:
    return [int(kind) for kind in rows["ev"] & np.uint64(KIND_MASK)]


async def joined(server: MarketServer, client, **_) -> None:
    """A valid book as of update 120."""
    client.follow()
    await server.until(lambda: "btcusdt@trade" in server.subscribed)
    await server.send(depth(110, 100))
    await client.until(lambda: bool(server.requests))
    await server.send(depth(120, 110, [["100.0", "5"]]))
    await client.until_valid()


async def test_a_book_is_valid_once_a_diff_has_followed_its_snapshot():
    async with MarketServer() as server:
        server.snapshots = [snapshot(110, BIDS, ASKS)]
        async with connected({**server.keys, "best_prices": "none"}) as client:
            client.follow()
            await server.until(lambda: "btcusdt@trade" in server.subscribed)
            assert server.subscribed == {"btcusdt@depth@0ms", "btcusdt@trade"}
            await server.send(depth(110, 100, [["50.0", "1"]]), trade(1))
            await client.until(lambda: len(client.rows) == 7)
            assert client.states == []
            assert kinds(client.rows)[:1] == [TRADE_EVENT]
            await server.send(depth(120, 110, [["100.0", "5"]]))
            await client.until_valid()
            await client.until(lambda: len(client.rows) == 8)
            clear, level = DEPTH_CLEAR_EVENT, DEPTH_SNAPSHOT_EVENT
            assert kinds(client.rows) == [TRADE_EVENT, clear, level, level, clear, level, level, DEPTH_EVENT]
            assert server.requests == ["/fapi/v1/depth?symbol=BTCUSDT&limit=1000"]
            assert client.books.follow(BTCUSDT).best_ticks == (1000, 1001)
            assert client.best[-1] == (0, 1000, 1001, True)


async def test_the_old_addresses_and_gathered_diffs_work_too():
    async with MarketServer(routed=False) as server:
        server.snapshots = [snapshot(110, BIDS, ASKS)]
        async with connected({**server.keys, "depth": "100ms"}) as client:
            client.follow()
            await server.until(lambda: "btcusdt@bookTicker" in server.subscribed)
            assert "btcusdt@depth@100ms" in server.subscribed


async def test_a_gap_is_found_and_said_and_a_new_snapshot_makes_the_book_right():
    async with MarketServer() as server:
        server.snapshots = [snapshot(110, BIDS, ASKS)]
        async with connected(server.keys) as client:
            await joined(server, client)
            server.snapshots = [snapshot(140, [["90.0", "1"]], [["101.0", "1"]])]
            await server.send(depth(140, 130, [["80.0", "1"]]))
            await client.until(lambda: client.states == [BOOK_VALID, BOOK_INVALID])
            assert client.best[-1][3] is False
            await client.until(lambda: len(server.requests) == 2)
            await server.send(
                depth(150, 140, [["100.0", "0"], ["99.9", "0"]], [["100.1", "0"], ["100.2", "0"]])
            )
            await client.until_valid()
            await client.until(lambda: client.books.follow(BTCUSDT).best_ticks == (900, 1010))
            assert client.session.feed(0).gaps == 1
            assert client.session.feed(0).resyncs == 2


async def test_a_snapshot_that_is_too_old_is_asked_for_again():
    async with MarketServer() as server:
        server.snapshots = [snapshot(90, BIDS, ASKS), snapshot(99, BIDS, ASKS), snapshot(112, BIDS, ASKS)]
        async with connected(server.keys) as client:
            client.follow()
            await server.until(lambda: "btcusdt@trade" in server.subscribed)
            await server.send(depth(110, 100), depth(120, 110))
            await client.until_valid()
            assert len(server.requests) == 3
            assert client.session.feed(0).stale_snapshots == 2


async def test_a_refused_snapshot_is_asked_for_again_when_the_exchange_wants_to_hear_it():
    async with MarketServer() as server:
        server.snapshots = [(503, {}), (429, {"Retry-After": "1"}), snapshot(110, BIDS, ASKS)]
        async with connected(server.keys) as client:
            client.follow()
            await server.until(lambda: "btcusdt@trade" in server.subscribed)
            await server.send(depth(110, 100), depth(120, 110))
            await client.until_valid()
            assert len(server.requests) == 3
            assert client.limiter.refused >= 1


async def test_a_lost_connection_is_made_again_with_all_that_was_subscribed():
    async with MarketServer() as server:
        server.snapshots = [snapshot(110, BIDS, ASKS)]
        async with connected(server.keys) as client:
            await joined(server, client)
            client.follow(ETHUSDT)
            await server.until(lambda: "ethusdt@trade" in server.subscribed)
            await server.drop()
            await client.until(lambda: client.states[-1:] == [BOOK_INVALID])
            await server.until(lambda: server.connections == 2 and len(server.subscribed) == 6)
            server.snapshots = [snapshot(210, BIDS, ASKS)]
            await server.send(depth(210, 200))
            await client.until(lambda: len(server.requests) == 2)
            await server.send(depth(220, 210))
            await client.until_valid()
            assert client.session.supervision.failures == 1


async def test_a_connection_is_replaced_before_the_exchange_would_end_it():
    async with MarketServer() as server:
        server.snapshots = [snapshot(110, BIDS, ASKS)]
        async with connected({**server.keys, "connection_life_s": 0.5}) as client:
            await joined(server, client)
            await server.until(lambda: server.connections == 2)
            assert client.session.supervision.planned_ends >= 1
            assert client.session.supervision.failures == 0


async def test_a_feed_that_goes_silent_is_said_to_be_stale_and_connected_again():
    async with MarketServer() as server:
        server.snapshots = [snapshot(110, BIDS, ASKS)]
        async with connected({**server.keys, **FAST}) as client:
            await joined(server, client)
            await client.until(lambda: client.states[-1:] == [BOOK_INVALID])
            await server.until(lambda: server.connections == 2)
            assert "stale" in client.session.supervision.last_error


async def test_subscriptions_that_are_acknowledged_and_silent_are_found_out_with_a_hint_at_the_route():
    async with MarketServer() as server:
        server.is_mute = True
        async with connected({**server.keys, **FAST}) as client:
            client.follow()
            await server.until(lambda: server.connections == 2)
            assert "route" in client.session.supervision.last_error


async def test_one_stream_that_stays_silent_is_subscribed_again_and_the_others_go_on():
    async with MarketServer() as server:
        server.snapshots = [snapshot(110, BIDS, ASKS)]
        async with connected({**server.keys, "first_message_s": 0.3}) as client:
            await joined(server, client)
            await server.until(
                lambda: (
                    sum("btcusdt@bookTicker" in one["params"] for one in server.controls if one["id"] > 1)
                    >= 2
                )
            )
            assert server.connections == 1
            assert client.states == [BOOK_VALID]


async def test_a_depth_stream_that_dies_alone_is_noticed_by_the_best_prices():
    async with MarketServer() as server:
        server.snapshots = [snapshot(110, BIDS, ASKS)]
        async with connected({**server.keys, **FAST}) as client:
            await joined(server, client)

            async def ticks() -> None:
                for k in range(400):
                    await server.send(best(200 + k, "100.0", "100.1"))
                    await asyncio.sleep(0.02)

            ticking = asyncio.create_task(ticks())
            await client.until(lambda: client.states[-1:] == [BOOK_INVALID])
            await server.until(
                lambda: any(
                    one["method"] == "UNSUBSCRIBE" and one["params"] == ["btcusdt@depth@0ms"]
                    for one in server.controls
                )
            )
            ticking.cancel()
            assert server.connections == 1


async def test_pings_are_answered_with_what_they_carry():
    async with MarketServer() as server, connected(server.keys) as client:
        client.follow()
        await server.until(lambda: bool(server.subscribed))
        await server.socket.ping(b"1723161256")
        await server.until(lambda: server.pongs == [b"1723161256"])


async def test_messages_that_can_not_be_read_are_counted_and_the_session_goes_on():
    async with MarketServer() as server:
        server.snapshots = [snapshot(110, BIDS, ASKS)]
        async with connected(server.keys) as client:
            await joined(server, client)
            rows = len(client.rows)
            await server.send(
                b"{",
                b'{"stream":"btcusdt@trade","data":{"e":"trade","T":"x"}}',
                wrapped("btcusdt@trade", {"e": "aggTrade"}),
                wrapped("xrpusdt@trade", {"e": "trade", "T": 1, "p": "1", "q": "1", "m": True}),
                trade(3, price="nan"),
                trade(4, X="INSURANCE_FUND"),
                trade(5),
            )
            await client.until(lambda: len(client.rows) == rows + 1)
            counts = client.session.unreadable.counts
            assert counts["unreadable"] == 2
            assert counts["not subscribed"] == 1
            assert counts["numbers"] == 1
            assert counts["event aggTrade"] == 1
            assert server.connections == 1
            assert client.states[-1:] == [BOOK_VALID]


@pytest.mark.parametrize(
    "message",
    [
        depth(130, 120, [["100.0", "x"]]),
        wrapped("btcusdt@depth@0ms", {"e": "depthUpdate", "E": 1}),
        wrapped("btcusdt@depth@0ms", {"e": "depthUpdate2"}),
        b'{"data":{"e":1},"stream":"btcusdt@depth@0ms"}',
        b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpd',
    ],
    ids=["a number", "a field", "an event", "the stream last", "torn"],
)
async def test_a_diff_that_can_not_be_read_makes_its_book_invalid_and_no_other(message):
    async with MarketServer() as server:
        server.snapshots = [snapshot(110, BIDS, ASKS)]
        async with connected(server.keys) as client:
            await joined(server, client)
            client.follow(ETHUSDT)
            server.snapshots = [snapshot(135, BIDS, ASKS)]
            await server.send(message)
            await client.until(lambda: client.states == [BOOK_VALID, BOOK_INVALID])
            assert client.session.unreadable.counts["depth"] == 1
            assert client.session.feed(0).why == "a change of it can't be read"
            await client.until(lambda: len(server.requests) == 2)
            await server.send(depth(140, 130))
            await client.until_valid()


async def test_what_came_while_the_snapshot_was_on_its_way_is_not_lost():
    async with MarketServer() as server:
        server.snapshots = [snapshot(115, BIDS, ASKS)]
        async with connected(server.keys) as client:
            client.follow()
            await server.until(lambda: "btcusdt@bookTicker" in server.subscribed)
            await server.send(
                depth(110, 100, [["99.0", "7"]]),
                best(112, "99.5", "99.6"),
                depth(120, 110, [["99.8", "1"]]),
                best(121, "100.0", "100.1"),
                depth(130, 120, [["99.7", "1"]]),
            )
            await client.until_valid()
            await client.until(lambda: 99.7 in client.rows["px"])
            prices = list(client.rows["px"])
            assert 99.0 not in prices
            assert 99.5 not in prices
            assert prices.index(99.8) < prices.index(99.7)


async def test_a_connection_has_room_for_so_many_streams_and_says_so():
    from hftd.errors import RefusedError
    from tests.daemon.venues.binancefutures import market_client

    async with MarketServer() as server, connected(server.keys) as client:
        with pytest.raises(RefusedError, match="which is all"):
            for number in range(400):
                client.session.subscribe(
                    market_client.Instrument(number, f"S{number}USDT", BTCUSDT.tick_size, BTCUSDT.lot_size)
                )
        await server.until(lambda: len(server.subscribed) >= 300)
        assert all(len(one["params"]) <= 100 for one in server.controls)
