"""Binance's public history, from files made in its documented formats."""

import random
import zipfile

import numpy as np
import pytest

from hftd.errors import DataError
from hftd.types import (
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.archive import check_events, read_events
from sim.convert import Options, convert

MS = 1_735_689_600_012
HEADERS = {
    "trades": "id,price,qty,quote_qty,time,is_buyer_maker",
    "agg": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
    "best": "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time",
    "depth": "symbol,timestamp,trans_id,first_update_id,last_update_id,side,update_type,price,qty",
}
LINES = {
    "trades": [f"7,93548.8,0.00009,8.4,{MS},false", f"8,93548.7,0.5,8.4,{MS + 1},true"],
    "agg": [f"7,93548.8,0.00009,1,2,{MS},false", f"8,93548.7,0.5,3,3,{MS + 1},true"],
    "best": [f"1,93548.7,2,93548.8,3,{MS},{MS + 4}"],
}
SPOT = {
    "trades": [f"7,93548.8,0.00009,8.4,{MS}000,False,True", f"8,93548.7,0.5,8.4,{MS + 1}000,True,True"],
    "agg": [f"7,93548.8,0.00009,1,2,{MS}000,False,True", f"8,93548.7,0.5,3,3,{MS + 1}000,True,True"],
}
BOTH = EXCH_EVENT | LOCAL_EVENT


def written(folder, name, lines):
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def converted(folder, *paths, **options):
    report = convert(paths, folder / "out.npz", venue="binancehistory", options=Options(**options))
    rows = read_events(folder / "out.npz")
    check_events(rows)
    return report, rows


@pytest.mark.parametrize(
    "lines",
    [
        [HEADERS["trades"], *LINES["trades"]],
        LINES["trades"],
        SPOT["trades"],
        [HEADERS["agg"], *LINES["agg"]],
        LINES["agg"],
        SPOT["agg"],
    ],
)
def test_trades_are_read_of_all_markets_with_and_without_a_header(tmp_path, lines):
    report, rows = converted(tmp_path, written(tmp_path, "trades.csv", lines), latency_ns=5_000_000)
    assert rows["ev"].tolist() == [TRADE_EVENT | BUY_EVENT | BOTH, TRADE_EVENT | SELL_EVENT | BOTH]
    assert rows["exch_ts"].tolist() == [MS * 1_000_000, (MS + 1) * 1_000_000]
    assert (rows["local_ts"] - rows["exch_ts"] == 5_000_000).all()
    assert rows["px"].tolist() == [93548.8, 93548.7]
    assert rows["qty"].tolist() == [0.00009, 0.5]
    assert "no local times" in report.notes[0]
    assert not any("--latency-ns" in note for note in report.notes)
    assert not any("is each trade there twice" in note for note in report.notes)


def test_without_a_latency_the_report_says_that_rows_come_too_early_and_names_the_option(tmp_path):
    report, rows = converted(tmp_path, written(tmp_path, "trades.csv", LINES["trades"]))
    assert (rows["local_ts"] == rows["exch_ts"]).all()
    assert any("0 ns after" in note and "--latency-ns" in note for note in report.notes)


@pytest.mark.parametrize("has_header", [True, False])
def test_best_prices_are_rows_that_can_be_fused_at_the_time_of_the_match(tmp_path, has_header):
    lines = [HEADERS["best"]] * has_header + LINES["best"]
    _, rows = converted(tmp_path, written(tmp_path, "best.csv", lines))
    assert rows["ev"].tolist() == [DEPTH_BBO_EVENT | side | BOTH for side in (BUY_EVENT, SELL_EVENT)]
    assert rows[["px", "qty"]].tolist() == [(93548.7, 2.0), (93548.8, 3.0)]
    assert (rows["exch_ts"] == MS * 1_000_000).all()


def depth(time, last_id, side, update, px, qty, symbol="BTCUSDT"):
    return f"{symbol},{time},{last_id},{last_id - 3},{last_id},{side},{update},{px},{qty}"


def test_each_snapshot_of_an_order_book_clears_what_was_there(tmp_path):
    lines = [
        depth(MS, 10, "b", "snap", 99, 1),
        depth(MS, 10, "b", "snap", 98, 2),
        depth(MS, 10, "a", "snap", 100, 3),
        depth(MS, 20, "a", "snap", 101, 4),
        depth(MS + 1, 21, "a", "set", 101, 0),
        depth(MS + 2, 20, "a", "snap", 102, 4),
    ]
    report, rows = converted(tmp_path, written(tmp_path, "d.csv", [HEADERS["depth"], *lines]))
    clear, snap, update = DEPTH_CLEAR_EVENT, DEPTH_SNAPSHOT_EVENT, DEPTH_EVENT
    assert (rows["ev"] & np.uint64(KIND_MASK)).tolist() == [
        clear,
        snap,
        snap,
        snap,
        clear,
        snap,
        update,
        clear,
        snap,
    ]
    assert report.symbol == "BTCUSDT"
    assert report.crossed.times == 0
    assert report.lines_by_kind == {"depth": 1, "depth snapshot": 5}


def test_the_symbol_is_taken_from_the_files_name_and_two_are_refused(tmp_path):
    bitcoin = written(tmp_path, "BTCUSDT-trades-2025-01-01.csv", SPOT["trades"])
    ether = written(tmp_path, "ETHUSDT-aggTrades-2025-01.csv", SPOT["agg"])
    assert converted(tmp_path, bitcoin)[0].symbol == "BTCUSDT"
    with pytest.raises(DataError, match="several symbols"):
        converted(tmp_path, bitcoin, ether)
    report, rows = converted(tmp_path, bitcoin, ether, symbol="ETHUSDT")
    assert report.ignored == {"another symbol": 2}
    assert len(rows) == 2


def test_aggregated_trades_without_an_id_beside_trades_are_noted(tmp_path):
    agg = ["transact_time,price,quantity,is_buyer_maker", f"{MS},93548.8,0.5,true"]
    trades, aggregated = written(tmp_path, "t.csv", LINES["trades"]), written(tmp_path, "a.csv", agg)
    report, _ = converted(tmp_path, trades, aggregated)
    assert any("is each trade there twice" in note for note in report.notes)


def test_a_zip_file_is_read_as_it_was_downloaded(tmp_path):
    name = "BTCUSDT-trades-2025-01-01"
    with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.csv", "\n".join([HEADERS["trades"], *LINES["trades"]]))
    report, rows = converted(tmp_path, tmp_path / f"{name}.zip")
    assert report.symbol == "BTCUSDT"
    assert len(rows) == 2
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("bad.csv", "\n".join([HEADERS["trades"], *LINES["trades"], "x"]))
    report, _ = converted(tmp_path, tmp_path / "bad.zip")
    assert report.unreadable[0].file.endswith("bad.zip/bad.csv")
    assert report.unreadable[0].line == 4


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"7,1.0,1,1,{MS // 1000},true", "a time in another unit than the format has"),
        (f"7,1.0,1,1,{MS}000000,true", "a time in another unit than the format has"),
        ("7,1.0,1,1,soon,true", "a field is missing, or is not a number"),
        (f"7,x,1,1,{MS},true", "a field is missing, or is not a number"),
        (f"7,1,nan,1,{MS},true", "a field is missing, or is not a number"),
        (f"7,1,1,1,{MS},maybe", "a field is missing, or is not a number"),
        (f"7,1,1,1,{MS}", "not as many columns as the header has"),
        (f"7,1,1,1,{MS},true,true", "not as many columns as the header has"),
    ],
)
def test_a_wrong_line_is_left_out_and_counted_with_its_place(tmp_path, line, reason):
    path = written(tmp_path, "t.csv", [HEADERS["trades"], LINES["trades"][0], line, LINES["trades"][1]])
    report, rows = converted(tmp_path, path)
    assert [(place.line, place.what) for place in report.unreadable] == [(3, reason)]
    assert len(rows) == 2


@pytest.mark.parametrize("update", ["delta", "SNAP"])
def test_updates_of_the_book_that_are_not_known_are_left_out_and_counted_by_name(tmp_path, update):
    lines = [depth(MS, 1, "b", "set", 99, 1), depth(MS, 2, "b", update, 98, 1)]
    report, rows = converted(tmp_path, written(tmp_path, "d.csv", lines))
    assert report.not_converted == {update: 1}
    assert len(rows) == 1


def test_updates_that_are_missing_are_seen_where_the_table_tells(tmp_path):
    header = "symbol,time,first_update_id,last_update_id,pu,side,update_type,price,qty"
    ids = [(5, 4), (5, 4), (9, 5), (12, 11)]
    lines = [f"BTCUSD_PERP,{MS},1,{last},{previous},b,set,99,1" for last, previous in ids]
    report, _ = converted(tmp_path, written(tmp_path, "d.csv", [header, *lines]))
    assert (report.sequence.gaps, report.sequence.repeats) == (1, 0)
    assert report.sequence.first[0].line == 5


@pytest.mark.parametrize("text", ["open_time,open,high\n1,2,3\n", "a,b\n", '{"e":1}\n', "1,2,3\n"])
def test_a_table_that_is_not_known_is_said(tmp_path, text):
    path = tmp_path / "klines.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"first line is no header|lacks"):
        converted(tmp_path, path)


def market(seed, count):
    """Lines of an order book's updates and of trades."""
    chance = random.Random(seed)
    updates, trades = [], []
    time = MS
    for number in range(count):
        time += chance.choice((0, 0, 1, 30))
        px = round(50_000 + chance.randint(-300, 300) / 10, 1)
        side = chance.choice("ab")
        updates.append(depth(time, number, side, "set", px, chance.randint(0, 9) / 1000))
        if chance.random() < 0.4:
            trades.append(f"{number},{px},0.25,1,{time},{chance.choice(('true', 'false'))}")
    return updates, trades


@pytest.mark.parity
@pytest.mark.parametrize("latency_ns", [0, 3_000_000])
@pytest.mark.parametrize("has_header", [True, False])
def test_rows_of_books_and_trades_are_those_of_the_reference(tmp_path, has_header, latency_ns):
    reference = pytest.importorskip(
        "hftbacktest.data.utils.binancehistmktdata", reason="the reference is not installed"
    )
    updates, trades = market(5, 4000)
    files = [
        written(tmp_path, "depth.csv", [HEADERS["depth"]] * has_header + updates),
        written(tmp_path, "trades.csv", [HEADERS["trades"]] * has_header + trades),
    ]
    _, ours = converted(tmp_path, *files, latency_ns=latency_ns)
    # Its times stay in milliseconds.
    theirs = reference.convert(
        *map(str, files), buffer_size=20_000, feed_latency=latency_ns / 1e6, base_latency=0
    )
    theirs["exch_ts"] *= 1_000_000
    theirs["local_ts"] *= 1_000_000
    # It takes the text "false" for true, so that all trades are sales.
    is_trade = (ours["ev"] & np.uint64(KIND_MASK)) == TRADE_EVENT
    assert 0.3 < (ours["ev"][is_trade] & np.uint64(BUY_EVENT) > 0).mean() < 0.7
    theirs["ev"][is_trade] = ours["ev"][is_trade]
    assert ours.tobytes() == theirs.tobytes()
