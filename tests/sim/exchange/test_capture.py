"""A captured day that is converted and played is said again as it was said."""

import gzip
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sim.archive import read_events
from sim.convert import Options, convert
from sim.exchange.rules.config import ExchangeConfig
from tests.laws import ROOT
from tests.sim.exchange.client import PUBLIC, coinm, config, running

FOLDER = Path(os.environ.get("HFTD_TEST_DATA", ROOT.parent / "shared" / "data"))
LINES = 8_000
MS = 1_000_000


def said_then(lines: list[bytes]) -> dict[str, list[tuple]]:
    """What the capture has of each kind, by the exchange's time, from the snapshot on."""
    found: dict[str, list[tuple]] = {"trade": [], "bookTicker": [], "depthUpdate": []}
    since_ms = 0
    for line in lines:
        message = json.loads(line.split(b" ", 1)[1])
        if "lastUpdateId" in message:
            since_ms = message["T"]
            continue
        message = message["data"]
        found[message["e"]].append(essence(message))
    return {
        kind: sorted((one for one in all_ if one[0] > since_ms), key=lambda one: one[0])
        for kind, all_ in found.items()
    }


def essence(message: dict[str, Any]) -> tuple:
    """What a message says, without ids and the time of its sending."""
    match message["e"]:
        case "trade":
            return message["T"], float(message["p"]), float(message["q"]), message["m"]
        case "bookTicker":
            return message["T"], *(float(message[name]) for name in "bBaA")
        case _:
            sides = (sorted((float(px), float(qty)) for px, qty in message[side]) for side in "ba")
            return message["T"], *map(tuple, sides)


@pytest.mark.parametrize(
    ("capture", "settings", "name"),
    [
        ("binancefutures_btcusdt_20240808.gz", config(), "btcusdt"),
        ("binancecoinm_btcusd_perp_20240808.gz", coinm(), "btcusd_perp"),
    ],
    ids=["usdm", "coinm"],
)
async def test_a_captured_market_is_said_again(
    tmp_path: Path, capture: str, settings: ExchangeConfig, name: str
):
    if not (FOLDER / capture).exists():
        pytest.skip("the captures are not here: set HFTD_TEST_DATA to their folder")
    venue = capture.partition("_")[0]
    with gzip.open(FOLDER / capture) as file:
        lines = list(itertools.islice(file, LINES))
    part = tmp_path / "part.txt"
    part.write_bytes(b"".join(lines))
    # The messages as they came: levels that a late snapshot set back are not set again behind it.
    convert(
        [part], tmp_path / "day.npz", venue=venue, options=Options(book_ticker=True, hftbacktest_rows=True)
    )
    rows = read_events(tmp_path / "day.npz")
    before = said_then(lines)
    first_ms = min(all_[0][0] for all_ in before.values())
    async with running(settings, rows) as (exchange, client):
        exchange.move_to((first_ms - 1) * MS)
        stream = await client.stream(f"{PUBLIC}{name}@trade/{name}@bookTicker/{name}@depth@0ms")
        exchange.move_to(int(rows["exch_ts"].max()) + MS)
        after: dict[str, list[tuple]] = {kind: [] for kind in before}
        for message in await stream.all(0.5):
            after[message["data"]["e"]].append(essence(message["data"]))
    for kind, messages in before.items():
        # Depth that changed nothing leaves no row.
        expected = [one for one in messages if kind != "depthUpdate" or one[1] or one[2]]
        assert len(expected) > 200
        assert after[kind] == expected, kind
