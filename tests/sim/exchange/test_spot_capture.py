"""A captured day of Spot that is converted and played is said again as it was said."""

import gzip
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sim.archive import read_events
from sim.convert import Options, convert
from sim.exchange.binancespot.venue import SpotSymbol
from tests.laws import ROOT
from tests.sim.exchange.spot_client import spot, trading

FOLDER = Path(os.environ.get("HFTD_TEST_DATA", ROOT.parent / "shared" / "data"))
CAPTURE = FOLDER / "binancespot_btcusdt_20240808.gz"
LINES = 6_000
MS = 1_000_000
STREAMS = ("btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms")


def kept(stream: str, data: dict[str, Any]) -> tuple:
    """What a message says, without ids and the time of its sending."""
    if stream == "btcusdt@trade":
        return data["T"], data["p"], data["q"], data["m"]
    return tuple(data[name] for name in "bBaA")


def book_of(events: list[dict[str, Any]]) -> dict[str, str]:
    """What events of the book leave of all the levels that they name."""
    book: dict[str, str] = {}
    for event in events:
        for side in "ba":
            book |= {f"{side} {price}": qty for price, qty in event[side]}
    return book


async def test_a_captured_market_is_said_again(tmp_path: Path):
    if not CAPTURE.exists():
        pytest.skip("the captures are not here: set HFTD_TEST_DATA to their folder")
    with gzip.open(CAPTURE) as file:
        lines = list(itertools.islice(file, LINES))
    part = tmp_path / "part.txt"
    part.write_bytes(b"".join(lines))
    options = Options(book_ticker=True, hftbacktest_rows=True)
    convert([part], tmp_path / "day.npz", venue="binancespot", options=options)
    rows = read_events(tmp_path / "day.npz")
    messages = [json.loads(line.split(b" ", 1)[1]) for line in lines]
    before: dict[str, list[dict[str, Any]]] = {name: [] for name in STREAMS}
    for message in messages:
        if "stream" in message:
            before[message["stream"]].append(message["data"])
    settings = spot(symbol=SpotSymbol(), speed=0.0)
    first_ns, last_ns = int(rows["exch_ts"].min()), int(rows["exch_ts"].max())
    async with trading(settings, rows) as (exchange, client):
        exchange.move_to(first_ns - MS)
        stream = await client.stream("/stream?streams=" + "/".join(STREAMS))
        for moment_ns in range(first_ns, last_ns + 300 * MS, 50 * MS):
            exchange.move_to(moment_ns)
        after: dict[str, list[dict[str, Any]]] = {name: [] for name in STREAMS}
        for message in await stream.all(0.5):
            after[message["stream"]].append(message["data"])
    for name in STREAMS:
        # The same fields in the same order.
        assert len(before[name]) > 200 and list(after[name][0]) == list(before[name][0]), name
    for name in STREAMS[:2]:
        assert [kept(name, one) for one in after[name]] == [kept(name, one) for one in before[name]], name
    assert all(a["u"] + 1 == b["U"] for a, b in itertools.pairwise(after[STREAMS[2]]))
    said, true = (book_of(events[STREAMS[2]]) for events in (after, before))
    # Levels that are gone need not have been there; old quantities are finer than the step of today.
    for level, qty in true.items():
        assert abs(float(said.get(level, "0")) - float(qty)) < 0.00001, level
