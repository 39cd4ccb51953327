"""What a user may rely on: a book that is valid is the exchange's, and live rows are those of a converted capture."""

import asyncio
import gzip
import json
import zipfile
from contextlib import asynccontextmanager

import aiohttp
import numpy as np
import pytest

from daemon.connector.limiter import Limiter
from daemon.connector.market.books import Books
from daemon.connector.watch.offset import ClockOffset
from daemon.session.manners import Heartbeat
from daemon.session.rest import Rest
from daemon.venues.bybit.config import BybitConfig
from daemon.venues.bybit.facts import HEARTBEAT, LIMITS, REST
from daemon.venues.bybit.session import market_of
from hftd.channel.endpoint import MarketTap
from hftd.channel.layout import MODE_SYSTEM
from hftd.channel.memory import ClockPage, MarketRing
from hftd.channel.publisher import MarketPublisher
from hftd.types import EXCH_EVENT, LOCAL_EVENT, event_dtype
from hftd.wire import BOOK_INVALID, BOOK_VALID
from sim.convert import Options, convert
from tests.daemon.venues.binancefutures.market_client import Client

from .conftest import BTC, ETH, XRP
from .scripted import Venue, served, until

BEGIN_MS = 1_700_000_000_000
FIELDS = [name for name in event_dtype.names or () if name != "local_ts"]


def book(u, kind="delta", bids=(("99.9", "1"),), asks=(("100.1", "2"),), symbol="BTCUSDT", depth=50, **more):
    data = {"s": symbol, "b": list(bids), "a": list(asks), "u": u, "seq": 1000 + u}
    return {
        "topic": f"orderbook.{depth}.{symbol}",
        "type": kind,
        "ts": BEGIN_MS + 1000 + u,
        "data": data,
        "cts": BEGIN_MS + u,
    } | more


def trades(*prices, symbol="BTCUSDT", **more):
    items = [
        {
            "T": BEGIN_MS + 500,
            "s": symbol,
            "S": "Sell",
            "v": "0.5",
            "p": price,
            "i": str(k),
            "BT": False,
            "RPI": False,
        }
        | more
        for k, price in enumerate(prices)
    ]
    return {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": BEGIN_MS + 501, "data": items}


@asynccontextmanager
async def connected(venue, *, heartbeat=HEARTBEAT, **keys):
    """A market session that runs, behind a channel's ring that is tapped."""
    async with served(venue) as hosts, aiohttp.ClientSession() as http:
        config = BybitConfig(**{**hosts, **keys})
        with ClockPage.make(7, MODE_SYSTEM) as clock, MarketRing.make(1 << 24, lossless=False) as ring:
            books = Books(MarketPublisher(ring, clock), False, lambda *_best: None)
            session = market_of(
                config,
                http,
                Rest(http, REST, config.rest_url(), None, Limiter(LIMITS), ClockOffset()),
                on_rows=books.on_rows,
                on_book_state=books.on_book_state,
                heartbeat=heartbeat,
                seed=1,
            )
            task = asyncio.create_task(session.run())
            try:
                yield Client(session, books, MarketTap(ring))
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def begins_with(*messages):
    async def begin(socket, topics):
        if any(topic.startswith("orderbook") for topic in topics):
            for message in messages:
                await socket.send_json(message)

    return begin


async def test_a_stream_that_begins_with_its_book_is_valid_at_once_and_a_later_book_takes_its_place():
    venue = Venue()
    venue.after_subscribe = begins_with(book(10, "snapshot"), book(11))
    async with connected(venue) as client:
        client.follow(BTC)
        await client.until_valid()
        await venue.publics[-1].send_json(book(1, "snapshot", bids=[("98.0", "3")]))
        await venue.publics[-1].send_json(book(2))
        await venue.publics[-1].send_json(trades("100.0", "100.1"))
        await client.until(lambda: len(client.rows) >= 3 + 2 + 3 + 2 + 2)
        assert client.states == [BOOK_VALID]
        assert client.session.feed(0).gaps == 0
        assert [row["ev"] & 0xFF for row in client.rows[5:8]] == [3, 4, 4]
        assert {int(row["exch_ts"]) for row in client.rows[:3]} == {(BEGIN_MS + 10) * 1_000_000}
        assert not [one for one in venue.asked if "orderbook" in one[0]]


@pytest.mark.parametrize("u", [13, 11, 10, 1])
async def test_after_a_gap_the_book_is_not_valid_until_the_stream_has_begun_anew(u):
    venue = Venue()
    begins = [book(10, "snapshot"), book(20, "snapshot", bids=[("95.0", "1")])]

    async def begin(socket, topics):
        if topics[0].startswith("orderbook"):
            await socket.send_json(begins.pop(0))

    venue.after_subscribe = begin
    async with connected(venue) as client:
        client.follow(BTC)
        await client.until_valid()
        await venue.publics[-1].send_json(book(11))
        await venue.publics[-1].send_json(book(u))
        await client.until(lambda: client.states == [BOOK_VALID, BOOK_INVALID, BOOK_VALID])
        ops = [(op, topics) for _, op, topics in venue.subscribed if topics[0].startswith("orderbook")]
        assert [op for op, _ in ops] == ["subscribe", "unsubscribe", "subscribe"]
        assert client.session.feed(0).gaps == 1


async def test_one_bad_topic_is_a_warning_for_its_symbol_and_the_others_live():
    venue = Venue()
    venue.bad_topics = {"orderbook.50.ETHUSDT", "publicTrade.ETHUSDT"}

    async def begin(socket, topics):
        for topic in topics:
            if topic == "orderbook.50.BTCUSDT":
                await socket.send_json(book(10, "snapshot"))

    venue.after_subscribe = begin
    async with connected(venue) as client:
        client.session.subscribe(BTC)
        client.books.follow(BTC)
        client.session.subscribe(ETH)
        await client.until_valid()
        await client.until(lambda: len(client.session._subscriptions.refused) == 2)
        warned = [one for one in client.session.warnings() if one.key == "subscription_refused"]
        assert {"ETHUSDT" in one.text for one in warned} == {True}


async def test_a_connection_is_kept_by_pings_of_the_exchanges_own_and_a_deaf_one_is_made_anew():
    venue = Venue()
    venue.after_subscribe = begins_with(book(10, "snapshot"))
    heartbeat = Heartbeat(lambda number: f'{{"req_id":"{number}","op":"ping"}}', every_s=0.06, pong_s=0.03)
    async with connected(venue, heartbeat=heartbeat) as client:
        client.follow(BTC)
        await client.until_valid()
        await until(lambda: venue.pings.count("public") >= 3, "pings")
        assert client.states == [BOOK_VALID]
        venue.is_mute = True
        await client.until(lambda: BOOK_INVALID in client.states)
        assert "ping was not answered" in client.session.supervision.last_error


async def test_block_trades_are_counted_and_left_out():
    venue = Venue()
    venue.after_subscribe = begins_with(book(10, "snapshot"))
    async with connected(venue) as client:
        client.follow(BTC)
        await client.until_valid()
        for more in ({"BT": True}, {"RPI": True}, {}):
            await venue.publics[-1].send_json(trades("100.0", **more))
        await client.until(lambda: len(client.rows) == 5)
        assert client.session.unreadable.counts == {"trades block": 1}


async def published(venue, instrument, messages, depth):
    """What a tap of the channel sees of recorded bytes, of which the first is a book."""
    venue.after_subscribe = begins_with(json.loads(messages[0]))
    async with connected(venue, depth=depth) as client:
        client.follow(instrument)
        await client.until_valid()
        await until(lambda: any("publicTrade" in str(one) for one in venue.subscribed), "the subscription")
        for message in messages[1:]:
            await venue.publics[-1].send_str(message.decode())
        heard = client.session.feed(instrument.number)
        await client.until(lambda: heard.messages == len(messages))
        assert not client.session.unreadable.counts
        assert client.states == [BOOK_VALID]
        return client.rows


def converted(messages, folder):
    """The archive of these messages, as its local side sees it."""
    capture, archive = folder / "capture.gz", folder / "archive.npz"
    with gzip.open(capture, "wb", 1) as file:
        file.writelines(b"%d %s\n" % (1_800_000_000_000_000_000 + k, one) for k, one in enumerate(messages))
    convert([capture], archive, venue="bybit", options=Options(level=0))
    rows = np.load(archive)["data"]
    rows = rows[(rows["ev"] & LOCAL_EVENT) != 0]
    rows["ev"] |= np.uint64(EXCH_EVENT)
    return rows


@pytest.mark.thorough
async def test_recorded_bytes_through_the_connector_are_the_converted_archive_row_for_row(
    recordings, tmp_path
):
    path = recordings / "bybit_xrpusdt_orderbook500_20241201.zip"
    if not path.is_file():
        pytest.skip(f"there is no capture {path}")
    with zipfile.ZipFile(path) as file:
        # The exchange's own archives have a depth that it serves no more.
        messages = [
            line.strip().replace(b"orderbook.500.", b"orderbook.200.")
            for line in file.read(file.namelist()[0]).splitlines()
        ]
    sold = json.dumps(trades("1.9530", "1.9531", symbol="XRPUSDT"), separators=(",", ":")).encode()
    messages.insert(7, sold.replace(b'"T":%d' % (BEGIN_MS + 500), b'"T":1733011201100'))
    rows = await published(Venue(), XRP, messages, 200)
    expected = converted(messages, tmp_path)
    assert len(rows) == len(expected) > 1000
    for name in FIELDS:
        different = np.flatnonzero(rows[name] != expected[name])
        assert not len(different), (
            f"{name} of row {different[0]}: {rows[different[0]]}, {expected[different[0]]}"
        )


async def test_a_book_that_is_silent_is_asked_about_and_made_anew_if_the_exchanges_moves_on(monkeypatch):
    monkeypatch.setattr("daemon.session.market.liveness.GRACE_S", 0.05)
    venue = Venue()
    venue.after_subscribe = begins_with(book(10, "snapshot"))
    bids = [["99.9", "1"]]
    venue.rest["/v5/market/orderbook"] = lambda _params: {
        "s": "BTCUSDT",
        "b": bids,
        "a": [],
        "seq": 99,
        "ts": BEGIN_MS,
    }
    async with connected(venue, stale_after_s=0.2) as client:
        client.follow(BTC)
        await client.until_valid()

        async def chatter():
            while True:
                await venue.publics[-1].send_json(trades("100.0"))
                await asyncio.sleep(0.05)

        task = asyncio.create_task(chatter())
        try:
            # It stays as it is, whatever its cross sequence is: the market is quiet.
            await client.until(lambda: client.session.statistics()["silent_quiet"] >= 2)
            assert client.states == [BOOK_VALID]
            bids[0] = ["99.8", "1"]
            await client.until(lambda: client.states == [BOOK_VALID, BOOK_INVALID, BOOK_VALID])
            assert client.session.statistics()["silent_dead"] == 1
        finally:
            task.cancel()


async def test_a_book_with_very_many_gaps_waits_before_each_new_one(monkeypatch):
    monkeypatch.setattr("daemon.session.market.streamed.MANY_WAIT_S", 0.3)
    venue = Venue()
    venue.after_subscribe = begins_with(book(10, "snapshot"))
    async with connected(venue) as client:
        client.follow(BTC)
        await client.until_valid()
        for number in range(1, 7):
            await venue.publics[-1].send_json(book(20))
            await client.until(lambda: client.states.count(BOOK_VALID) == number + 1)  # noqa: B023
        await venue.publics[-1].send_json(book(20))
        await asyncio.sleep(0.2)
        assert client.states[-1] == BOOK_INVALID
        await asyncio.sleep(0.2)
        await venue.publics[-1].send_json(book(21))
        await client.until_valid()
