"""Market data of Spot: what was recorded, through the connector and through the converter; and its sequence."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.session.errors import WireError
from daemon.session.facts import APPLY, DROP, GAP, HOLD, ControlReply, Leaving, UnknownEvent
from daemon.session.market.snapshots import read_book
from daemon.venues.binancespot import facts
from daemon.venues.binancespot.config import BinanceSpotConfig
from daemon.venues.binancespot.facts import MarketFacts
from daemon.venues.binancespot.wire import SpotSync
from hftd.rows import BEST_ASK, BEST_BID
from hftd.types import (
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    EXCH_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
    event_dtype,
)
from hftd.venues.reader import BEST, DEPTH, TRADES
from sim.convert import Options, convert
from sim.fuse import FuseMarketDepth
from tests.daemon.venues.binancefutures.market_client import Member, connected
from tests.daemon.venues.binancefutures.market_server import MarketServer
from tests.daemon.venues.conftest import data

from .made import BTC

LINES = 10_000
FIELDS = [name for name in event_dtype.names or () if name != "local_ts"]
SPOT = Member(
    "binancespot",
    BinanceSpotConfig,  # type: ignore[arg-type]
    facts.REST,
    MarketFacts,
    BTC,
)


@pytest.fixture(scope="module")
def messages() -> list[bytes]:
    with gzip.open(data("binancespot_btcusdt_20240808.gz")) as file:
        return [line.split(b" ", 1)[1].strip() for _, line in zip(range(LINES), file, strict=False)]


def kind_of(message: bytes) -> str:
    event = json.loads(message)
    if "lastUpdateId" in event:
        return "snapshot"
    return event["stream"].partition("@")[2].partition("@")[0]


def begun(messages: list[bytes]) -> list[bytes]:
    """A change that the snapshot has already, the snapshot, and what follows it in the recording."""
    at = next(k for k, one in enumerate(messages) if kind_of(one) == "snapshot")
    last_id = json.loads(messages[at])["lastUpdateId"]
    changes = [one for one in messages[:at] if kind_of(one) == "depth"]
    old = [one for one in changes if json.loads(one)["data"]["u"] <= last_id]
    return [old[-1], messages[at], *changes[len(old) :], *messages[at + 1 :]]


def converted(messages: list[bytes], folder: Path, *, book_ticker: bool) -> np.ndarray:
    capture, archive = folder / "capture.gz", folder / "archive.npz"
    with gzip.open(capture, "wb", 1) as file:
        file.writelines(
            b"%d %s\n" % (1_800_000_000_000_000_000 + k, message) for k, message in enumerate(messages)
        )
    convert([capture], archive, venue="binancespot", options=Options(book_ticker=book_ticker, level=0))
    rows = np.load(archive)["data"]
    rows = rows[(rows["ev"] & LOCAL_EVENT) != 0]
    rows["ev"] |= np.uint64(EXCH_EVENT)
    return rows


async def published(messages: list[bytes], best_prices: str) -> np.ndarray:
    """What a tap of the channel sees of these messages, the second of which is the snapshot."""
    async with MarketServer(routed=False, prefix="/api", version="v3") as server:
        server.snapshots = [messages[1]]
        keys = {**server.keys, "best_prices": best_prices, "time_unit": "milliseconds"}
        async with connected(keys, member=SPOT, ring_bytes=1 << 26) as client:
            client.follow(BTC)
            await server.until(lambda: "btcusdt@trade" in server.subscribed)
            await server.send(messages[0])
            await server.until(lambda: len(server.requests) == 1)
            await client.until(lambda: client.session.feed(0).sync.last_id > 0)
            await server.send(*messages[2:])
            await client.until(lambda: client.session.messages == len(messages))
            assert not client.session.unreadable.counts
            assert client.states == [0]
            return client.rows


def assert_equal(rows: np.ndarray, expected: np.ndarray) -> None:
    assert len(rows) == len(expected)
    for name in FIELDS:
        different = np.flatnonzero(rows[name] != expected[name])
        assert not len(different), (
            f"{name} of row {different[0]}: {rows[different[0]]}, {expected[different[0]]}"
        )


def archived(messages: list[bytes], folder: Path, *, book_ticker: bool) -> np.ndarray:
    """The archive of these messages, without the first one, which is older than the book."""
    event = json.loads(messages[0])["data"]
    return converted(messages, folder, book_ticker=book_ticker)[len(event["b"]) + len(event["a"]) :]


@pytest.mark.parametrize("best_prices", ["none", "events"])
@pytest.mark.thorough
async def test_a_capture_through_the_connector_is_the_converted_archive_row_for_row(
    messages, best_prices, tmp_path
):
    wanted = messages if best_prices == "events" else [m for m in messages if kind_of(m) != "bookTicker"]
    wanted = begun(wanted)
    rows = await published(wanted, best_prices)
    assert_equal(rows, archived(wanted, tmp_path, book_ticker=best_prices == "events"))


@pytest.mark.thorough
async def test_best_prices_are_fused_into_the_book_as_in_a_backtest(messages, tmp_path):
    wanted = begun(messages)
    rows = await published(wanted, "fused")
    archive = archived(wanted, tmp_path, book_ticker=True)
    kinds = archive["ev"] & np.uint64(KIND_MASK)
    for kind, side in ((BEST_BID, BUY_EVENT), (BEST_ASK, SELL_EVENT)):
        archive["ev"][kinds == kind] = np.uint64(EXCH_EVENT | LOCAL_EVENT | DEPTH_BBO_EVENT | side)
    fuser = FuseMarketDepth(0.01, 0.00001)
    is_trade = (archive["ev"] & np.uint64(KIND_MASK)) == 2
    parts, start = [], 0
    for stop in [*np.flatnonzero(is_trade), len(archive)]:
        used = len(fuser.fused_events)
        fuser.process_events(archive[start:stop])
        parts += [fuser.fused_events[used:].copy(), archive[stop : stop + 1]]
        start = stop + 1
    assert_equal(rows, np.concatenate(parts))


# ---- frames


def trade_at(time: int) -> bytes:
    event = {"e": "trade", "E": time, "s": "BTCUSDT", "t": 1, "p": "1", "q": "2", "T": time, "m": True}
    return json.dumps({"stream": "btcusdt@trade", "data": event}).encode()


def test_recorded_frames_of_each_stream_are_read():
    facts_ = MarketFacts("100ms", "fused")
    reader = facts_.reader()
    kinds: dict[Any, int] = {}
    for line in data("frames/spot/tardis_spot_streams.jsonl").read_text().splitlines():
        if not line.startswith("{"):
            continue
        found = reader.read(line.encode(), 1)
        other = facts_.read_other(line.encode()) if found is None else None
        name = found.kind if found is not None else getattr(other, "name", "control")
        kinds[name] = kinds.get(name, 0) + 1
    assert {DEPTH, BEST, TRADES, "24hrTicker"} <= kinds.keys()


def test_every_book_of_a_recording_joins_its_snapshot_and_never_breaks():
    reader = MarketFacts("100ms", "fused").reader()
    # A snapshot carries the latest time of a stream.
    assert reader.read(trade_at(1_723_161_255_208), 1)
    snapshots: dict[str, int] = {}
    for line in data("frames/binance_cryptofeed/BINANCE.http.0.0").read_text().splitlines():
        asked, _, body = line.partition(": {")
        if "/depth?" in asked and body:
            symbol = asked.partition("symbol=")[2].partition("&")[0]
            snapshots[symbol] = read_book(reader, b"{" + body.encode()).last_id
    syncs = {symbol: SpotSync() for symbol in snapshots}
    done: dict[str, list[int]] = {symbol: [] for symbol in snapshots}
    for symbol, sync in syncs.items():
        assert sync.snapshot(snapshots[symbol])
    count = 0
    for line in data("frames/binance_cryptofeed/BINANCE.ws.1.0").read_text().splitlines():
        _, _, body = line.partition(": {")
        if not body:
            continue
        found = reader.read(b"{" + body.encode(), 1)
        if found is None:
            continue
        symbol = found.stream.partition("@")[0].upper()
        if found.kind == DEPTH and symbol in syncs:
            count += 1
            done[symbol].append(syncs[symbol].diff(found.last_id, found.previous_id))
    assert len(snapshots) == 4 and count == 177
    for symbol, actions in done.items():
        first = actions.index(APPLY)
        assert set(actions[:first]) <= {DROP} and set(actions[first:]) == {APPLY}, symbol


# ---- the sequence


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=40),
    st.integers(0, 60),
    st.lists(st.integers(0, 39), max_size=3),
    st.booleans(),
)
def test_a_book_is_applied_exactly_if_nothing_is_missing(sizes, snapshot_at, lost, comes_twice):
    """Diffs of so many updates each; some are lost, and the last may come twice."""
    sync, last = SpotSync(), 0
    sync.snapshot(snapshot_at)
    known, is_broken = snapshot_at, False
    for k, size in enumerate(sizes):
        first, last = last + 1, last + size
        if k in lost:
            continue
        action = sync.diff(last, first - 1)
        if is_broken:
            assert action in (HOLD, GAP)
        elif last <= known:
            assert action == DROP
        elif first <= known + 1:
            assert action == APPLY
            known = last
        else:
            assert action == GAP
            is_broken = True
        if comes_twice and not is_broken:
            assert sync.diff(last, first - 1) == DROP


def test_a_diff_that_begins_in_the_book_and_ends_behind_it_is_applied():
    sync = SpotSync()
    sync.snapshot(10)
    assert [sync.diff(12, 10), sync.diff(15, 11), sync.diff(15, 14)] == [APPLY, APPLY, DROP]
    assert sync.diff(20, 16) == GAP


def test_a_snapshot_that_is_older_than_the_first_diff_is_not_taken():
    sync = SpotSync()
    assert sync.diff(12, 10) == HOLD
    assert not sync.snapshot(9)
    assert sync.snapshot(10), "it falls on the end of the diff before"
    assert sync.diff(12, 10) == APPLY


# ---- times


@pytest.mark.parametrize(
    ("time", "exch_ns"),
    [
        (1768635167519, 1768635167519 * 1_000_000),
        (1768635167519123, 1768635167519123 * 1000),
        (1768635167, 1768635167 * 1_000_000),
        (17686351675191, None),
        (1768635167519123456, None),
        (-5, None),
    ],
)
def test_a_times_unit_is_told_by_its_digits_and_others_can_not_be_read(time, exch_ns):
    facts_ = MarketFacts("100ms", "fused")
    read = facts_.reader().read(trade_at(time), 1)
    if exch_ns is not None:
        assert read is not None and read.exch_ns == exch_ns
        return
    assert read is None
    with pytest.raises(WireError, match="trade"):
        facts_.read_other(trade_at(time))


async def test_microseconds_are_kept_and_best_prices_have_the_latest_time():
    micros = 1_768_635_167_519_123
    depth = {"e": "depthUpdate", "E": micros, "s": "BTCUSDT", "U": 11, "u": 12, "b": [["1.00", "2"]], "a": []}
    best = {"u": 13, "s": "BTCUSDT", "b": "1.00", "B": "3", "a": "2.00", "A": "1"}

    def wrapped(stream, event):
        return json.dumps({"stream": f"btcusdt@{stream}", "data": event}).encode()

    async with MarketServer(routed=False, prefix="/api", version="v3") as server:
        server.snapshots = [b'{"lastUpdateId":10,"bids":[["1.00","1"]],"asks":[["2.00","1"]]}']
        keys = {**server.keys, "best_prices": "events"}
        async with connected(keys, member=SPOT) as client:
            client.follow(BTC)
            await server.until(lambda: "btcusdt@trade" in server.subscribed)
            await server.send(wrapped("bookTicker", best))
            await server.send(wrapped("depth@100ms", depth))
            await client.until_valid()
            await server.send(wrapped("bookTicker", best))
            await client.until(lambda: client.session.messages == 3)
            assert set(client.rows["exch_ts"]) == {micros * 1000}, (
                "the first best prices are of no known time"
            )
            await server.send(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')
            await server.until(lambda: server.connections == 2)
            assert not client.session.unreadable.counts


def test_the_end_of_a_connection_is_told_and_other_events_are_counted():
    read = MarketFacts("100ms", "fused").read_other
    assert read(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}') == Leaving()
    assert read(b'{"e":"serverShutdown","E":1770123456789}') == Leaving()
    assert read(b'{"result":null,"id":1}') == ControlReply(1, "")
    assert read(b'{"error":{"code":2,"msg":"Invalid"},"id":5}').problem == "2: Invalid"
    assert isinstance(read(b'{"stream":"x@kline_1m","data":{"e":"kline"}}'), UnknownEvent)


def test_streams_and_their_weights_are_those_of_the_documentation():
    assert MarketFacts("100ms", "fused").streams("BTCUSDT") == (
        "btcusdt@depth@100ms",
        "btcusdt@trade",
        "btcusdt@bookTicker",
    )
    assert MarketFacts("1000ms", "none").streams("BTCUSDT") == ("btcusdt@depth", "btcusdt@trade")
    asked = MarketFacts("100ms", "none").ask_snapshot("BTCUSDT")
    assert (asked.path, asked.weight) == ("/api/v3/depth", 50)
