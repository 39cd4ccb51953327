"""What a user may rely on: live rows are those that a capture of the same bytes is converted to."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

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
from sim.convert import Options, convert
from sim.fuse import FuseMarketDepth
from tests.daemon.venues.binancefutures.market_client import COINM, USDM, Member, connected
from tests.daemon.venues.binancefutures.market_server import MarketServer
from tests.daemon.venues.conftest import data

LINES = 20_000
CAPTURES = {
    "binancefutures": "binancefutures_btcusdt_20240808.gz",
    "binancecoinm": "binancecoinm_btcusd_perp_20240808.gz",
}
FIELDS = [name for name in event_dtype.names or () if name != "local_ts"]


def messages_of(path: Path) -> list[bytes]:
    with gzip.open(path) as file:
        return [line.split(b" ", 1)[1].strip() for _, line in zip(range(LINES), file, strict=False)]


def as_applied(messages: list[bytes], at: int) -> list[bytes]:
    """The messages in the order in which a connector applies them: what the snapshot has is left out, and the diffs
    that came while it was on its way follow it."""
    last_id = json.loads(messages[at])["lastUpdateId"]
    before = [json.loads(message)["data"] for message in messages[:at]]
    passed = [m for m, event in zip(messages, before, strict=False) if event["e"] == "trade"]
    held = [
        m
        for m, event in zip(messages, before, strict=False)
        if event["e"] != "trade" and event["u"] > last_id
    ]
    return [*passed, messages[at], *held, *messages[at + 1 :]]


def converted(member: Member, messages: list[bytes], folder: Path, *, book_ticker: bool) -> np.ndarray:
    """The archive of these messages, as its local side sees it."""
    capture, archive = folder / "capture.gz", folder / "archive.npz"
    with gzip.open(capture, "wb", 1) as file:
        file.writelines(
            b"%d %s\n" % (1_800_000_000_000_000_000 + k, message) for k, message in enumerate(messages)
        )
    options = Options(book_ticker=book_ticker, level=0)
    convert([capture], archive, venue=member.venue, options=options)
    rows = np.load(archive)["data"]
    rows = rows[(rows["ev"] & LOCAL_EVENT) != 0]
    rows["ev"] |= np.uint64(EXCH_EVENT)
    return rows


async def published(member: Member, messages: list[bytes], at: int, best_prices: str) -> np.ndarray:
    """What a tap of the channel sees of these messages, sent over a WebSocket."""
    is_usdm = member is USDM
    async with MarketServer(routed=is_usdm, prefix="/fapi" if is_usdm else "/dapi") as server:
        server.snapshots = [messages[at]]
        keys = {**server.keys, "best_prices": best_prices}
        async with connected(keys, member=member, ring_bytes=1 << 26) as client:
            client.follow(member.instrument)
            trades = f"{member.instrument.symbol.lower()}@trade"
            await server.until(lambda: trades in server.subscribed)
            await server.send(*messages[:at])
            await client.until_valid()
            await server.send(*messages[at + 1 :])
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
    assert (np.diff(rows["local_ts"]) >= 0).all()


@pytest.fixture(scope="module", params=[USDM, COINM], ids=lambda member: member.venue)
def member(request):
    return request.param


@pytest.fixture(scope="module")
def messages(member):
    return messages_of(data(CAPTURES[member.venue]))


@pytest.fixture(scope="module")
def at(messages):
    return next(k for k, message in enumerate(messages) if b"lastUpdateId" in message)


@pytest.mark.parametrize("best_prices", ["none", "events"])
async def test_a_capture_through_the_connector_is_the_converted_archive_row_for_row(
    member, messages, at, best_prices, tmp_path
):
    wanted = messages if best_prices == "events" else [m for m in messages if b"bookTicker" not in m]
    at = next(k for k, message in enumerate(wanted) if b"lastUpdateId" in message)
    rows = await published(member, wanted, at, best_prices)
    order = as_applied(wanted, at)
    if best_prices == "events":
        # Events of best prices pass at once, whatever the book's state.
        order = [
            *[m for m in wanted[:at] if b"depthUpdate" not in m],
            *[m for m in order if m == wanted[at] or (m in wanted[:at] and b"depthUpdate" in m)],
            *wanted[at + 1 :],
        ]
    assert_equal(rows, converted(member, order, tmp_path, book_ticker=best_prices == "events"))


async def test_best_prices_are_fused_into_the_book_as_in_a_backtest(member, messages, at, tmp_path):
    rows = await published(member, messages, at, "fused")
    archive = converted(member, as_applied(messages, at), tmp_path, book_ticker=True)
    kinds = archive["ev"] & np.uint64(KIND_MASK)
    for kind, side in ((BEST_BID, BUY_EVENT), (BEST_ASK, SELL_EVENT)):
        flags = np.uint64(EXCH_EVENT | LOCAL_EVENT | DEPTH_BBO_EVENT | side)
        archive["ev"][kinds == kind] = flags
    fuser = FuseMarketDepth(0.1, float(member.instrument.lot_size))
    kinds = archive["ev"] & np.uint64(KIND_MASK)
    is_trade = kinds == 2
    # Rows of the book are fused; trades stay where they are between them.
    parts, start = [], 0
    for stop in [*np.flatnonzero(is_trade), len(archive)]:
        used = len(fuser.fused_events)
        fuser.process_events(archive[start:stop])
        parts += [fuser.fused_events[used:].copy(), archive[stop : stop + 1]]
        start = stop + 1
    assert_equal(rows, np.concatenate(parts))
