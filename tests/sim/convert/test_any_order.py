"""The order in which inputs are named or packed has no say in the archive; what is there twice counts once."""

import gzip
import itertools
import random
import zipfile

import numpy as np
import pytest

from hftd.types import KIND_MASK, TRADE_EVENT
from sim.archive import check_events, read_events
from sim.convert import Options, convert
from sim.convert.files import lines as lines_module
from sim.convert.rows import again as again_module

from . import bybitmarket, captures, hyperliquidmarket, mexcmarket
from .books import followed
from .tardis_files import BOOK, TICKER, TRADES, Day

MS = 1_000_000


def converted(tmp_path, paths, venue, **options):
    report = convert(paths, tmp_path / "out.npz", venue=venue, options=Options(**options))
    rows = read_events(tmp_path / "out.npz")
    check_events(rows)
    return report, rows


def history_of_binance(seed, count=40):
    made = random.Random(seed)
    start_ms = 1_735_689_600_000
    trades = [
        f"{k},{93_000 + made.randint(0, 9)}.01,0.00{made.randint(1, 9)},93.5,{start_ms + k // 3},true"
        for k in range(1, count)
    ]
    # Each of three trades.
    agg = [f"{k},93000.01,0.003,{k * 3 + 1},{k * 3 + 3},{start_ms + k},true" for k in range(count // 3 - 1)]
    head = "id,price,qty,quote_qty,time,is_buyer_maker"
    agg_head = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
    return {
        "BTCUSDT-trades-2025-01-01.csv": [head, *trades[:20]],
        "BTCUSDT-trades-2025-01-02.csv": [head, *trades[15:]],
        "BTCUSDT-aggTrades-2025-01-01.csv": [agg_head, *agg],
    }


def texts(files):
    return {name: "".join(f"{line}\n" for line in lines).encode() for name, lines in files.items()}


def cut(lines, *edges):
    edges = [0, *edges, len(lines)]
    return {f"{n}.txt": b"".join(lines[a:b]) for n, (a, b) in enumerate(itertools.pairwise(edges))}


def inputs_of(venue, seed=3):
    """Files of a venue by their names."""
    if venue == "tardis":
        day = Day(seed, 60)
        return texts(
            {"a.csv": [BOOK, *day.book], "b.csv": [TRADES, *day.trades], "c.csv": [TICKER, *day.ticker]}
        )
    if venue == "binancehistory":
        return texts(history_of_binance(seed))
    if venue == "bybithistory":
        books, trades = bybitmarket.history(seed, 60)
        return {"b1.data": b"".join(books[:30]), "b2.data": b"".join(books[25:]), "t.csv": b"".join(trades)}
    market = {
        "binancefutures": captures,
        "bybit": bybitmarket,
        "hyperliquid": hyperliquidmarket,
        "mexc": mexcmarket,
    }
    lines = market[venue].capture(seed, 90)
    # The first two overlap, and the last two have lines that are there twice.
    return cut(lines, 40) | {"2.txt": b"".join(lines[::2]), "3.txt": b"".join(lines[60:75])}


VENUES = ("binancefutures", "binancehistory", "bybit", "bybithistory", "hyperliquid", "mexc", "tardis")


@pytest.mark.parametrize("venue", VENUES)
def test_the_order_in_which_files_and_members_are_named_has_no_say(tmp_path, venue):
    files = inputs_of(venue)
    for name, text in files.items():
        (tmp_path / name).write_bytes(text)
    options = {"latency_ns": 5 * MS} if venue.endswith("history") else {}
    names = list(files)
    orders = [names, names[::-1], names[1:] + names[:1]]
    found = [
        converted(tmp_path, [tmp_path / name for name in order], venue, **options)[1] for order in orders
    ]
    for order in orders:
        path = tmp_path / "all.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in order:
                archive.writestr(name, files[name])
        found.append(converted(tmp_path, [path], venue, **options)[1])
    assert {rows.tobytes() for rows in found} == {found[0].tobytes()}
    # A copy under another name, packed, is no second one.
    name = names[0]
    (tmp_path / f"copy of {name}.gz").write_bytes(gzip.compress(files[name]))
    report, rows = converted(
        tmp_path, [*(tmp_path / n for n in names), tmp_path / f"copy of {name}.gz"], venue, **options
    )
    assert rows.tobytes() == found[0].tobytes()
    assert any("holds the same as" in note for note in report.notes)


@pytest.mark.parametrize("venue", ["bybit", "hyperliquid", "mexc"])
def test_two_recorders_give_the_book_and_each_trade_once(tmp_path, venue):
    market = {"bybit": bybitmarket, "hyperliquid": hyperliquidmarket, "mexc": mexcmarket}[venue]
    lines = market.capture(5, 150)
    (tmp_path / "a").write_bytes(b"".join(lines))
    # The other one gets all a little later, and began later.
    moved = [b"%d %s" % (int(text[:19]) + 300_000, text[20:]) for text in lines[40:]]
    (tmp_path / "b").write_bytes(b"".join(moved))
    alone_report, alone = converted(tmp_path, [tmp_path / "a"], venue)
    report, both = converted(tmp_path, [tmp_path / "b", tmp_path / "a"], venue)
    count = alone_report.rows_by_kind["trade"]
    assert report.rows_by_kind["trade"] == count
    seen = [rows[(rows["ev"] & np.uint64(KIND_MASK)) != TRADE_EVENT] for rows in (alone, both)]
    books = [list(followed(rows[(rows["ev"] & np.uint64(1 << 30)) != 0])) for rows in seen]
    by_time = {local_ns: sides for local_ns, *sides in books[1]}
    assert all(by_time[local_ns] == sides for local_ns, *sides in books[0])
    assert any("each trade counts once" in note for note in report.notes)


@pytest.mark.thorough
def test_lines_that_go_back_in_time_are_played_in_the_order_of_their_times(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "RUN_SIZE", 20_000)
    lines = hyperliquidmarket.capture(2, 200)
    (tmp_path / "sound").write_bytes(b"".join(lines))
    expected = converted(tmp_path, [tmp_path / "sound"], "hyperliquid")[1]
    shuffled = lines[150:] + lines[20:150] + lines[:20]
    shuffled[60], shuffled[61] = shuffled[61], shuffled[60]
    (tmp_path / "mixed").write_bytes(b"".join(shuffled))
    report, rows = converted(tmp_path, [tmp_path / "mixed"], "hyperliquid")
    assert rows.tobytes() == expected.tobytes()
    # A line that can't be read has the place that it has in the file.
    (tmp_path / "mixed").write_bytes(b"".join([*shuffled[:70], b"1737918843893903000 {]\n", *shuffled[70:]]))
    report, _ = converted(tmp_path, [tmp_path / "mixed"], "hyperliquid")
    assert [place.line for place in report.unreadable] == [71]


def test_ids_that_are_sorted_in_shares_tell_the_same(tmp_path, monkeypatch):
    made = np.random.default_rng(7)
    ids = made.integers(1, 900, 3000)
    expected = np.ones(len(ids), bool)
    expected[np.unique(ids, return_index=True)[1]] = False
    rows = np.zeros(len(ids), again_module.np.dtype([("ev", "i8"), ("x", "i8", (6,)), ("id", "i8")]))
    for sorted_max, held_max in ((1 << 22, 1 << 21), (500, 700)):
        monkeypatch.setattr(again_module, "SORTED_MAX", sorted_max)
        monkeypatch.setattr(again_module, "_HELD_MAX", held_max)
        found = again_module.TradeIds(tmp_path / "out.npz")
        for start in range(0, len(ids), 400):
            rows["ev"], rows["id"] = TRADE_EVENT, ids
            found.take(rows[start : start + 400])
        bits, count = found.again()
        found.close()
        assert bits is not None
        dropped = [bool(bits[number >> 3] >> (number & 7) & 1) for number in range(1, len(ids) + 1)]
        assert (dropped, count) == (expected.tolist(), int(expected.sum()))


@pytest.mark.thorough
def test_aggregated_trades_are_left_out_where_the_trades_are(tmp_path):
    for name, text in texts(history_of_binance(1)).items():
        (tmp_path / name).write_bytes(text)
    paths = sorted(tmp_path.glob("*.csv"))
    report, rows = converted(tmp_path, paths, "binancehistory", latency_ns=1)
    assert len(rows) == 39
    assert any("the aggregated ones are left out" in note for note in report.notes)
