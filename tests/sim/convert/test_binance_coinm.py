import json

import numpy as np

from hftd.types import DEPTH_SNAPSHOT_EVENT, KIND_MASK
from sim.archive import read_events
from sim.convert import Options, convert

from .captures import packed

MS = 1_723_161_257_440
LOCAL = 1_723_161_257_500_000_000


def line(number, message):
    return f"{LOCAL + number} {json.dumps(message)}\n".encode()


def depth(previous, last, symbol="BTCUSD_PERP"):
    ids = {"U": previous + 1, "u": last, "pu": previous}
    levels = {"b": [["61773.6", "1001"]], "a": []}
    return {"e": "depthUpdate", "E": MS, "T": MS, "s": symbol, "ps": symbol[:6], **ids, **levels}


def snapshot(symbol="BTCUSD_PERP"):
    levels = {"bids": [["61804.7", "35"]], "asks": [["61804.8", "3"]]}
    return {"lastUpdateId": 3, "E": MS, "T": MS, "symbol": symbol, "pair": symbol[:6], **levels}


def mark(symbol="BTCUSD_PERP", rate="0.0001"):
    prices = {"p": "61800.1", "P": "61790.2", "r": rate}
    return {"e": "markPriceUpdate", "E": MS, "s": symbol, **prices, "T": MS + 3_600_000}


def index(pair="BTCUSD"):
    return {"e": "indexPriceUpdate", "E": MS, "i": pair, "p": "61811.5"}


def converted(tmp_path, lines, **options):
    path = packed(tmp_path / "coinm.gz", lines)
    report = convert([path], tmp_path / "out.npz", venue="binancecoinm", options=Options(**options))
    return report, read_events(tmp_path / "out.npz")


def test_snapshots_name_their_symbol_so_each_goes_with_its_own(tmp_path):
    lines = [
        line(0, depth(1, 2)),
        line(1, snapshot()),
        line(2, snapshot("ETHUSD_PERP")),
        line(3, depth(2, 4)),
        line(4, depth(7, 8, "ETHUSD_PERP")),
    ]
    report, rows = converted(tmp_path, lines, symbol="BTCUSD_PERP")
    assert ((rows["ev"] & np.uint64(KIND_MASK)) == DEPTH_SNAPSHOT_EVENT).sum() == 2
    assert report.ignored == {"another symbol": 2}
    assert report.sequence.gaps == 0
    assert not report.notes


def test_index_prices_come_from_their_own_event_of_the_symbol_s_pair(tmp_path):
    lines = [
        line(0, depth(1, 2)),
        line(1, mark()),
        line(2, index()),
        line(3, index("ETHUSD")),
        line(4, index("BTCUSDT")),
    ]
    report, rows = converted(tmp_path, lines, mark_price=True)
    assert report.rows_by_kind == {"depth": 1, "index price": 1, "mark price": 1, "funding rate": 1}
    assert rows["px"][(rows["ev"] & np.uint64(KIND_MASK)) == 100].tolist() == [61811.5]
    assert (rows["exch_ts"] == MS * 1_000_000).all()
    assert report.ignored == {"another symbol": 2}


def test_a_delivery_contract_has_no_funding_rate(tmp_path):
    report, _ = converted(tmp_path, [line(0, depth(1, 2)), line(1, mark(rate=""))], mark_price=True)
    assert report.rows_by_kind == {"depth": 1, "mark price": 1}


def test_index_prices_that_were_not_asked_for_are_counted(tmp_path):
    report, _ = converted(tmp_path, [line(0, depth(1, 2)), line(1, index())])
    assert report.ignored == {
        "an event that was not asked for (`--user-events book_ticker`, `mark_price`)": 1
    }
    assert report.not_converted == {"indexPriceUpdate": 1}
