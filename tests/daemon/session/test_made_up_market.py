"""Checksums over the digits as they were sent: a book is valid while the exchange's own sum of it is ours."""

import asyncio
import gzip
import json
import os
import zlib
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.connector.config import ConnectorConfig
from daemon.connector.market.books import Books
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import Instrument
from daemon.session.facts import APPLY, Checksum, ControlReply, Question
from daemon.session.market.digits import Digits
from daemon.session.market.stream import MarketSession
from daemon.session.rest import Rest
from hftd.channel.endpoint import MarketTap
from hftd.channel.layout import MODE_SYSTEM
from hftd.channel.memory import ClockPage, MarketRing
from hftd.channel.publisher import MarketPublisher
from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    event_dtype,
)
from hftd.venues.reader import BOOK, Message
from hftd.venues.reader import DEPTH as CHANGE
from hftd.wire import BOOK_INVALID, BOOK_VALID
from tests.daemon.session.madeup import REST, limiter, until
from tests.daemon.venues.binancefutures.market_client import Client

ONE = Instrument(0, "ONE", Decimal("0.01"), Decimal("0.00001"))
DEPTH = 4


def points_left_out(bids, asks):
    """Price and quantity without points and leading zeros, asks first."""
    levels = (number.replace(".", "").lstrip("0") for level in (*asks, *bids) for number in level)
    return "".join(levels)


def in_turn(bids, asks):
    """``bid:qty:ask:qty:...``, as long as there are any."""
    rows = []
    for k in range(max(len(bids), len(asks))):
        rows += [":".join(side[k]) for side in (bids, asks) if k < len(side)]
    return ":".join(rows)


class Sides(msgspec.Struct):
    stream: str
    type: str
    u: int
    bids: msgspec.Raw
    asks: msgspec.Raw
    checksum: int | None = None


def sides_of(message):
    """Bids and asks as they were sent, and the sum over them."""
    read = msgspec.json.decode(message, type=Sides)
    return read.bids, read.asks, read.checksum


class Reader:
    """Books and changes to rows."""

    def read(self, message, local_ns):
        if message.startswith(b'{"n"'):
            return None
        read = msgspec.json.decode(message, type=Sides)
        is_book = read.type == "book"
        kind = DEPTH_SNAPSHOT_EVENT if is_book else DEPTH_EVENT
        levels = [(DEPTH_CLEAR_EVENT, 0.0, 0.0)] if is_book else []
        for side, texts in ((BUY_EVENT, read.bids), (SELL_EVENT, read.asks)):
            levels += [(kind | side, px, qty) for px, qty in json.loads(bytes(texts))]
        rows = np.zeros(len(levels), event_dtype)
        for row, (ev, px, qty) in zip(rows, levels, strict=True):
            row["ev"], row["px"], row["qty"] = EXCH_EVENT | LOCAL_EVENT | ev, px, qty
            row["exch_ts"], row["local_ts"] = 1_000_000, local_ns
        return Message(read.stream, BOOK if is_book else CHANGE, rows, 1_000_000, read.u, 0)

    def off_grid(self, count, per_price):
        return 0


class NoSequence:
    """There are no numbers: only the sum tells."""

    last_id = first_held_pu = -1
    is_joined = False

    def lose(self):
        self.is_joined = False

    def diff(self, last_id, previous_id):
        return APPLY if self.is_joined else 2

    def snapshot(self, last_update_id):
        self.is_joined = True
        return True


class MarketFacts:
    streams_max = streams_a_message = 10
    controls_a_second = 1000.0
    best_is_book = False
    sync = NoSequence
    reader = Reader
    checksum = Checksum(3, points_left_out, sides_of, DEPTH)

    def streams(self, symbol):
        return (f"book.{symbol}",)

    def part_of(self, stream):
        return "depth"

    def control(self, method, streams, number):
        return json.dumps({"op": method, "streams": streams, "n": number})

    def read_other(self, message):
        return ControlReply(json.loads(message)["n"])

    def ask_levels(self, symbol):
        return Question("/levels", (), 1)

    ask_snapshot = ask_trades = ask_levels


class Exchange:
    """A book that is told with a sum over its digits, of `DEPTH` levels, beyond which nothing is told."""

    def __init__(self):
        self.bids = {"100.00": "1.50000", "99.99": "0.10000", "99.98": "2.00000"}
        self.asks = {"100.01": "1.00000", "100.02": "0.30000", "100.10": "4.00000"}
        self.sockets, self.asked = [], []
        self.u = 0

    @property
    def best(self):
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))
        return bids, asks

    def message(self, kind, bids, asks, **more):
        self.u += 1
        sides = (one[:3] for one in self.best)
        text = {"type": kind, "stream": "book.ONE", "u": self.u, "bids": "BIDS", "asks": "ASKS"}
        text |= {"checksum": zlib.crc32(points_left_out(*sides).encode())} | more
        said = json.dumps(text)
        # As numbers, with all their digits.
        for name, levels in (("BIDS", bids), ("ASKS", asks)):
            said = said.replace(f'"{name}"', "[" + ",".join(f"[{px},{qty}]" for px, qty in levels) + "]")
        return said

    def book(self, **more):
        return self.message("book", *(one[:DEPTH] for one in self.best), **more)

    def change(self, *, bids=(), asks=(), **more):
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, qty in levels:
                if float(qty):
                    side[price] = qty
                else:
                    side.pop(price, None)
        return self.message("change", bids, asks, **more)

    async def handle(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            asked = json.loads(message.data)
            self.asked.append(asked["op"])
            await socket.send_str(json.dumps({"n": asked["n"]}))
            if asked["op"] == "SUBSCRIBE":
                await socket.send_str(self.book())
        return socket

    async def tell(self, text):
        await self.sockets[-1].send_str(text)


@asynccontextmanager
async def followed(exchange, facts=None):
    """A market session that follows it, behind a channel's ring that is tapped."""
    app = web.Application()
    app.router.add_get("/", exchange.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host = f"127.0.0.1:{runner.addresses[0][1]}"
    with ClockPage.make(7, MODE_SYSTEM) as clock, MarketRing.make(1 << 20, lossless=False) as ring:
        books = Books(MarketPublisher(ring, clock), False, lambda *_best: None)
        async with aiohttp.ClientSession() as http:
            session = MarketSession(
                facts or MarketFacts(),
                f"ws://{host}/",
                ConnectorConfig(),
                http,
                Rest(http, REST, f"http://{host}", None, limiter(), ClockOffset()),
                life_s=1000.0,
                on_rows=books.on_rows,
                on_book_state=books.on_book_state,
                is_streamed=True,
                seed=1,
            )
            task = asyncio.create_task(session.run())
            client = Client(session, books, MarketTap(ring))
            try:
                client.follow(ONE)
                await client.until_valid()
                yield client
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await runner.cleanup()


async def test_a_book_whose_sums_are_right_stays_valid_down_to_the_last_digit_of_its_quantities():
    exchange = Exchange()
    async with followed(exchange) as client:
        await exchange.tell(exchange.change(bids=[("100.00", "1.60000"), ("99.99", "0.00000")]))
        await exchange.tell(
            exchange.change(asks=[("100.01", "0"), ("100.01", "0.70000"), ("100.05", "1.00000")])
        )
        await exchange.tell(exchange.change(asks=[("100.02", "0.25000")], checksum=None))
        await exchange.tell(exchange.change(asks=[("100.02", "0.20000")]))
        await until(lambda: client.session.feed(0).messages == 5)
        assert client.states == [BOOK_VALID]
        assert "checksum_mismatches" not in client.session.statistics()


async def test_a_sum_that_is_another_makes_the_book_not_valid_publishes_nothing_and_gets_another_book():
    exchange = Exchange()
    async with followed(exchange) as client:
        before = len(client.rows)
        exchange.change(bids=[("99.97", "5.00000"), ("100.00", "9.00000")])
        # That message was lost on its way.
        await exchange.tell(exchange.change(asks=[("100.01", "0.50000")]))
        await client.until(lambda: client.states == [BOOK_VALID, BOOK_INVALID, BOOK_VALID])
        assert exchange.asked == ["SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"]
        assert client.session.statistics()["checksum_mismatches"] == 1
        assert [row["ev"] & 0xFF for row in client.rows[before:]] == [3, *([4] * 7)], "the next book alone"
        assert 9.0 in client.rows[before:]["qty"]


async def test_a_number_whose_last_zero_is_lost_is_another_sum():
    exchange = Exchange()
    async with followed(exchange) as client:
        text = exchange.change(asks=[("100.01", "0.70000")])
        await exchange.tell(text.replace("0.70000", "0.7"))
        await client.until(lambda: client.session.statistics().get("checksum_mismatches") == 1)


async def test_levels_that_leave_the_exchanges_window_leave_the_book():
    exchange = Exchange()
    async with followed(exchange) as client:
        await exchange.tell(exchange.change(bids=[("99.90", "1.00000")]))
        await exchange.tell(exchange.change(bids=[("99.99", "0.20000"), ("99.95", "3.00000")]))
        await client.until(lambda: len(client.rows) == 7 + 1 + 2 + 1)
        assert (client.rows[-1]["px"], client.rows[-1]["qty"]) == (99.90, 0.0), (
            "the fifth is not told of any more"
        )
        assert client.states == [BOOK_VALID]


LEVELS = st.lists(
    st.tuples(
        st.integers(1, 30).map(lambda tick: f"{tick / 100:.2f}"),
        st.integers(0, 5).map(lambda lots: f"{lots / 10:.4f}"),
    ),
    max_size=8,
)


@settings(max_examples=60)
@given(st.lists(LEVELS, max_size=12), st.sampled_from([0, 2, 5]))
def test_the_digits_are_those_of_a_book_that_is_made_anew_each_time(messages, depth):
    digits, known = Digits(Checksum(3, in_turn, sides_of, depth)), {}
    for levels in messages:
        digits.take(msgspec.Raw(json.dumps(levels).encode()), msgspec.Raw(b"[]"), is_whole=False)
        for price, qty in levels:
            if float(qty):
                known[price] = qty
            else:
                known.pop(price, None)
        best = sorted(known.items(), key=lambda level: -float(level[0]))
        known = dict(best[:depth] if depth else best)
        wanted = zlib.crc32(in_turn(best[: min(3, depth or 3)], []).encode())
        assert digits.is_right(wanted)
        assert digits.is_right(wanted - (1 << 32)), "with a sign"
        assert not digits.is_right(wanted ^ 1)


def recorded(name):
    root = Path(__file__).resolve().parents[3]
    path = Path(os.environ.get("HFTD_TEST_DATA", root / "../shared/data")) / "frames" / name
    if not path.is_file():
        pytest.skip(f"there is no file {path}: set HFTD_TEST_DATA")
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        stamp, _, text = line.partition(": ")
        if stamp.replace(".", "").isdigit():
            yield json.loads(text)


def raw(levels):
    return msgspec.Raw(json.dumps(levels).encode())


def test_the_sums_of_a_recorded_exchange_with_a_window_of_1000_levels_are_right():
    books, checked = {}, 0
    for said in recorded("kraken/kraken_v1_20210417_book1000.txt.gz"):
        if not isinstance(said, list):
            continue
        digits = books.setdefault(said[-1], Digits(Checksum(10, points_left_out, sides_of, 1000)))
        for part in said[1:-2]:
            is_whole = "as" in part
            bids, asks = (part.get(f"{side}s" if is_whole else side, []) for side in "ba")
            digits.take(raw(bids), raw(asks), is_whole=is_whole)
        if sums := [part["c"] for part in said[1:-2] if "c" in part]:
            checked += 1
            assert digits.is_right(int(sums[-1])), said
    assert checked > 4000


def test_the_sums_of_a_recorded_exchange_that_has_them_with_a_sign_are_right():
    books, checked = {}, 0
    for said in recorded("okx/okx_20220513_ws.txt.gz"):
        if said.get("arg", {}).get("channel") != "books" or "data" not in said:
            continue
        digits = books.setdefault(said["arg"]["instId"], Digits(Checksum(25, in_turn, sides_of)))
        for data in said["data"]:
            digits.take(raw(data["bids"]), raw(data["asks"]), is_whole=said["action"] == "snapshot")
            assert digits.is_right(data["checksum"]), data
            checked += 1
    assert checked == 290
