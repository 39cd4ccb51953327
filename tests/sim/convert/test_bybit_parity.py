"""With the option for them, archives of Bybit are those of the reference's converters, byte for byte."""

import gzip
import json

import numpy as np
import pytest

from hftd.types import DEPTH_SNAPSHOT_EVENT, KIND_MASK, TRADE_EVENT
from sim.archive import read_events
from sim.convert import Options, convert

from .bybitmarket import BybitMarket, history, packed, packed_json, zipped

pytestmark = pytest.mark.parity
reference = pytest.importorskip("hftbacktest.data.utils.bybit", reason="the reference is not installed")
reference_history = pytest.importorskip(
    "hftbacktest.data.utils.bybithistmktdata", reason="the reference is not installed"
)
AS_THERE = Options(hftbacktest_rows=True)


@pytest.fixture(autouse=True)
def within_bounds(monkeypatch):
    """Give the reference's merge an index more than there are rows: it reads one beyond, and may crash."""
    merge = reference.correct_event_order

    def bounded(rows, by_exch, by_local):
        return merge(rows, np.append(by_exch, 0), np.append(by_local, 0))

    monkeypatch.setattr(reference, "correct_event_order", bounded)
    monkeypatch.setattr(reference_history, "correct_event_order", bounded)


def assert_equal(ours, expected):
    assert len(ours) == len(expected)
    assert ours.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("delay_ns", [12_000_000, -40_000_000])
@pytest.mark.parametrize("depth", [1, 50, 500])
def test_a_capture_gives_the_same_archive(tmp_path, depth, delay_ns):
    market = BybitMarket(depth, depth=depth)
    lines = [market.line(market.orderbook(), delay_ns)]
    for number in range(400):
        lines.append(market.line(market.next_message(), delay_ns))
        if number % 7 == 0 and depth > 1:
            lines.append(market.line(market.orderbook(1), delay_ns))
    path = packed(tmp_path / "capture.gz", lines)
    options = Options(hftbacktest_rows=True, depth=depth, base_latency_ns=7)
    report = convert([path], tmp_path / "out.npz", venue="bybit", options=options)
    theirs = reference.convert_depth(str(path), None, 7, 1_000_000, depth)
    assert_equal(read_events(tmp_path / "out.npz"), theirs)
    assert report.rows == len(theirs)


def test_the_recorded_order_books_as_a_stream_give_the_same_archive(tmp_path, bybit_books):
    # The stream's messages are those of the archive: a local time makes lines of a capture of them.
    lines = [b"%d000000 %s\n" % (1_733_011_300_000 + n * 100, line) for n, line in enumerate(bybit_books)]
    path = packed(tmp_path / "capture.gz", lines)
    convert([path], tmp_path / "out.npz", venue="bybit", options=AS_THERE)
    assert_equal(
        read_events(tmp_path / "out.npz"), reference.convert_depth(str(path), None, 0, 1_000_000, 500)
    )


def with_sides(rows):
    """The reference forgets the sides of a snapshot's levels: asks stand before bids, each behind its clear."""
    side = np.uint64(0)
    for row in rows:
        kind = row["ev"] & KIND_MASK
        if kind == 3:
            side = row["ev"] & np.uint64(3 << 28)
        if kind == DEPTH_SNAPSHOT_EVENT:
            row["ev"] |= side
    return rows


def assert_equal_history(ours, theirs, latency_ns):
    """Equal but for the reference's times, which doubles round to 256 ns."""
    theirs = with_sides(theirs.copy())
    assert len(ours) == len(theirs)
    for name in ("ev", "px", "qty", "order_id", "ival", "fval"):
        assert ours[name].tolist() == theirs[name].tolist()
    assert (ours["ev"] & KIND_MASK == TRADE_EVENT).any()
    for name in ("exch_ts", "local_ts"):
        assert np.abs(ours[name] - theirs[name]).max() <= 256
    assert set((ours["local_ts"] - ours["exch_ts"]).tolist()) == {latency_ns}
    # Ours are whole tenths of a millisecond, as the files have them.
    assert not (ours["exch_ts"] % 100_000).any()


@pytest.mark.parametrize("seed", [1, 2])
def test_books_and_trades_of_the_history_give_the_same_archive(tmp_path, seed):
    books, trades = history(seed)
    books_path, trades_path = (
        zipped(tmp_path / "books.zip", books),
        packed(tmp_path / "trades.csv.gz", trades),
    )
    options = Options(hftbacktest_rows=True, latency_ns=3_000_000)
    convert([books_path, trades_path], tmp_path / "out.npz", venue="bybithistory", options=options)
    theirs = reference_history.convert(str(books_path), str(trades_path), None, 1_000_000, 3_000_000)
    assert_equal_history(read_events(tmp_path / "out.npz"), theirs, 3_000_000)


def test_recorded_order_books_give_the_same_archive(tmp_path, bybit_archive):
    _, trades = history(3, count=50)
    first_s = 1_733_011_201
    trades = [trades[0]] + [
        b"%d.%d,XRPUSDT,Buy,%d,1.9531,PlusTick,x,1,1,1\n" % (first_s + n // 10, n % 10, n + 1)
        for n in range(30)
    ]
    trades_path = tmp_path / "trades.csv.gz"
    trades_path.write_bytes(gzip.compress(b"".join(trades)))
    options = Options(hftbacktest_rows=True, latency_ns=3_000_000)
    report = convert(
        [bybit_archive, trades_path], tmp_path / "out.npz", venue="bybithistory", options=options
    )
    theirs = reference_history.convert(str(bybit_archive), str(trades_path), None, 1_000_000, 3_000_000)
    assert_equal_history(read_events(tmp_path / "out.npz"), theirs, 3_000_000)
    assert (report.sequence.gaps, report.crossed.times, report.exit_code) == (0, 0, 0)


def test_a_snapshot_of_one_side_is_read_where_the_reference_fails(tmp_path):
    books, trades = history(4, 10)
    message = json.loads(books[0])
    message["data"]["b"] = []
    books_path = zipped(tmp_path / "books.zip", [packed_json(message) + b"\n", *books[1:]])
    trades_path = packed(tmp_path / "trades.csv.gz", trades)
    with pytest.raises(IndexError):
        reference_history.convert(str(books_path), str(trades_path), None, 1_000_000)
    report = convert([books_path, trades_path], tmp_path / "out.npz", venue="bybithistory", options=AS_THERE)
    assert report.rows_by_kind["depth clear"] == 1
    assert not report.unreadable


def test_the_references_levels_of_a_snapshot_have_no_side(tmp_path):
    books, trades = history(5, 10)
    books_path, trades_path = (
        zipped(tmp_path / "books.zip", books),
        packed(tmp_path / "trades.csv.gz", trades),
    )
    theirs = reference_history.convert(str(books_path), str(trades_path), None, 1_000_000)
    levels = theirs[theirs["ev"] & KIND_MASK == DEPTH_SNAPSHOT_EVENT]
    assert len(levels) and not (levels["ev"] >> np.uint64(28) & np.uint64(3)).any()
    convert([books_path, trades_path], tmp_path / "out.npz", venue="bybithistory", options=AS_THERE)
    ours = read_events(tmp_path / "out.npz")
    levels = ours[ours["ev"] & KIND_MASK == DEPTH_SNAPSHOT_EVENT]
    assert (levels["ev"] >> np.uint64(28) & np.uint64(3)).all()
