"""What a user may rely on: a symbol whose streams die is found out while others live, and a quiet one is left alone."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from daemon.session.market import liveness
from hftd.wire import BOOK_INVALID, BOOK_VALID
from tests.daemon.venues.binancefutures.market_client import BTCUSDT, ETHUSDT, connected
from tests.daemon.venues.binancefutures.market_server import MarketServer, best, depth, of, snapshot, trade

BIDS, ASKS = [["100.0", "1"]], [["100.1", "3"]]
QUICK = {"stale_after_s": 0.4, "first_message_s": 5.0}
ALL_OF_ETH = {"ethusdt@depth@0ms", "ethusdt@trade", "ethusdt@bookTicker"}


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch):
    monkeypatch.setattr(liveness, "GRACE_S", 0.05)


@asynccontextmanager
async def two_symbols(server: MarketServer, **keys):
    """Two valid books, of which BTCUSDT's goes on."""
    server.book_of = {
        "BTCUSDT": lambda: snapshot(110, BIDS, ASKS),
        "ETHUSDT": lambda: snapshot(110, BIDS, ASKS),
    }
    async with connected({**server.keys, **QUICK, **keys}) as client:
        client.follow(BTCUSDT)
        client.follow(ETHUSDT)
        await server.until(lambda: len(server.subscribed) == 6)
        for u, pu in ((110, 100), (120, 110)):
            await server.send(depth(u, pu), of("ETHUSDT", depth(u, pu)))
            await client.until(lambda: len(server.requests) >= 2)
        await server.send(best(120, "100.0", "100.1"), of("ETHUSDT", best(120, "100.0", "100.1")), trade(1))
        feeds = client.session.feed(0), client.session.feed(1)
        await client.until(lambda: all(one.is_valid for one in feeds))

        async def live() -> None:
            for u in range(130, 10_000, 10):
                await server.send(depth(u, u - 10), best(u, "100.0", "100.1"))
                await asyncio.sleep(0.05)

        living = asyncio.create_task(live())
        try:
            yield client, feeds[1]
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)


def keys_of(client, symbol: str) -> set[str]:
    return {one.key for one in client.session.warnings() if one.symbol == symbol}


def again(server: MarketServer) -> set[str]:
    """The streams that were subscribed anew."""
    return {name for one in server.controls if one["method"] == "UNSUBSCRIBE" for name in one["params"]}


async def test_a_symbol_whose_streams_died_is_found_by_its_prices_and_said_and_back_once_it_speaks():
    async with MarketServer() as server, two_symbols(server) as (client, eth):
        # The same update as the last one that was heard, as of an exchange that does not count on: prices tell.
        server.book_of["ETHUSDT"] = lambda: snapshot(120, [["90.0", "1"]], [["90.1", "1"]])
        await client.until(lambda: not eth.is_valid)
        assert "silent" in eth.why
        assert "stream_silent" in keys_of(client, "ETHUSDT")
        await server.until(lambda: again(server) == ALL_OF_ETH)
        assert client.session.feed(0).is_valid
        assert keys_of(client, "BTCUSDT") == set()
        assert server.connections == 1
        await server.send(of("ETHUSDT", depth(131, 120)))
        await client.until(lambda: eth.is_valid)
        await client.until(lambda: keys_of(client, "ETHUSDT") == set())


async def test_a_symbol_whose_streams_died_is_found_by_its_updates_where_there_are_no_best_prices():
    async with MarketServer() as server, two_symbols(server) as (client, eth):
        eth.best = None
        server.book_of["ETHUSDT"] = lambda: snapshot(500, BIDS, ASKS)
        await client.until(lambda: not eth.is_valid)


async def test_a_quiet_symbol_is_asked_about_ever_more_seldom_and_stays_valid():
    async with MarketServer() as server, two_symbols(server) as (client, eth):
        server.book_of["ETHUSDT"] = lambda: snapshot(120, BIDS, ASKS)
        await client.until(lambda: client.session.statistics()["silent_quiet"] >= 2)
        asked = client.session.statistics()["silent_asked"]
        assert eth.is_valid
        assert again(server) == set()
        await asyncio.sleep(1.0)
        assert client.session.statistics()["silent_asked"] <= asked + 1


async def test_what_changed_a_moment_ago_and_arrives_is_no_death():
    async with MarketServer() as server, two_symbols(server) as (client, eth):

        def moved() -> bytes:
            asyncio.get_running_loop().create_task(server.send(of("ETHUSDT", depth(131, 120))))
            return snapshot(131, BIDS, ASKS)

        server.book_of["ETHUSDT"] = moved
        await client.until(lambda: client.session.statistics()["silent_asked"] >= 2)
        assert eth.is_valid
        assert client.session.statistics()["silent_dead"] == 0


@pytest.mark.parametrize("answer", [b"<html>maintenance</html>", b"{}", b'{"code":-1000,"msg":"x"}'])
async def test_a_silent_symbol_that_can_not_be_verified_is_not_valid_until_it_speaks_in_sequence(answer):
    async with MarketServer() as server, two_symbols(server) as (client, eth):
        server.book_of["ETHUSDT"] = lambda: answer
        await client.until(lambda: not eth.is_valid)
        assert "verified" in eth.why
        assert client.session.feed(0).is_valid
        # Nothing was missed: no snapshot is needed, and there is none.
        await server.send(of("ETHUSDT", depth(130, 120)))
        await client.until(lambda: eth.is_valid)


async def test_a_best_price_stream_that_dies_alone_is_subscribed_anew_and_the_book_stays():
    async with MarketServer() as server, two_symbols(server) as (client, eth):
        server.book_of["ETHUSDT"] = lambda: snapshot(9_999, [["99.0", "1"]], ASKS)

        async def depth_goes_on() -> None:
            for u in range(130, 10_000, 10):
                await server.send(of("ETHUSDT", depth(u, u - 10)))
                await asyncio.sleep(0.05)

        going = asyncio.create_task(depth_goes_on())
        await server.until(lambda: again(server) == {"ethusdt@bookTicker"})
        assert eth.is_valid
        assert "stream_silent" in keys_of(client, "ETHUSDT")
        going.cancel()


async def test_the_snapshot_of_a_symbol_that_hangs_does_not_hold_up_anothers():
    async with MarketServer() as server:
        server.hanging = {"ETHUSDT"}
        server.book_of = {"BTCUSDT": lambda: snapshot(110, BIDS, ASKS)}
        async with connected(server.keys) as client:
            client.follow(ETHUSDT)
            client.follow(BTCUSDT)
            await server.until(lambda: len(server.subscribed) == 6)
            await server.send(of("ETHUSDT", depth(110, 100)))
            await client.until(lambda: len(server.requests) == 1)
            await server.send(depth(110, 100), depth(120, 110))
            await client.until(lambda: client.session.feed(0).is_valid)
            assert not client.session.feed(1).is_valid


async def test_a_book_with_gap_after_gap_does_not_ask_for_snapshots_without_end():
    async with MarketServer() as server:
        last = [110]
        server.book_of = {"BTCUSDT": lambda: snapshot(last[0], BIDS, ASKS)}
        async with connected(server.keys) as client:
            client.follow(BTCUSDT)
            await server.until(lambda: len(server.subscribed) == 3)
            for u in range(1_000, 3_000, 20):
                last[0] = u
                await server.send(depth(u, u - 10), depth(u + 5, u))
                await asyncio.sleep(0.01)
            assert 1 <= len(server.requests) <= 12


async def test_a_subscription_that_is_refused_takes_no_other_with_it():
    async with MarketServer() as server:
        server.refused = {"ethusdt@trade"}
        async with connected(server.keys) as client:
            client.follow(BTCUSDT)
            client.follow(ETHUSDT)
            # Both are subscribed in one message, once there is a connection.
            wanted = {"btcusdt@depth@0ms", "btcusdt@trade", "btcusdt@bookTicker"} | ALL_OF_ETH
            await server.until(lambda: server.subscribed == wanted - server.refused)
            await client.until(lambda: keys_of(client, "ethusdt@trade") == {"subscription_refused"})


async def test_a_bot_is_told_what_its_book_is_worth():
    async with MarketServer() as server, two_symbols(server) as (client, _eth):
        server.book_of["ETHUSDT"] = lambda: snapshot(120, [["90.0", "1"]], [["90.1", "1"]])
        await client.until(lambda: client.states[-1:] == [BOOK_INVALID])
        assert client.states.count(BOOK_VALID) == 2
