"""Archives of Databento's market by order are those of the reference's converter, but where that one is wrong.

The reference reads files with Databento's package `databento`, which nothing here needs; in its place stands what
of it the reference uses, made of Databento's own decoder.
"""

import contextlib
import importlib
import io
import os
import sys
from pathlib import Path
from types import ModuleType

import databento_dbn as dbn
import numpy as np
import pytest
import zstandard

from hftd.types import CANCEL_ORDER_EVENT, DEPTH_CLEAR_EVENT, KIND_MASK, MODIFY_ORDER_EVENT
from sim.archive import read_events
from sim.convert import convert

from .dbn_files import LAST, SNAPSHOT, START_NS, TICK, Orders, metadata, write

pytestmark = pytest.mark.parity
pl = pytest.importorskip("polars", reason="the reference, which brings it, is not installed")
ROOT = Path(__file__).resolve().parents[3]
FLOAT_NS = 1300
"""The reference takes times through Python's datetime (microseconds) and a double (238 ns at this date)."""


class DBNStore:
    """What the reference uses of `databento.DBNStore`."""

    def __init__(self, data):
        decoder = dbn.DBNDecoder()
        decoder.write(data)
        self.metadata, *self.records = decoder.decode()

    @classmethod
    def from_bytes(cls, file):
        data = file.read()
        if not data.startswith(b"DBN"):
            data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
        return cls(data)

    def to_df(self):
        symbols = {
            int(interval["symbol"]): symbol
            for symbol, intervals in self.metadata.mappings.items()
            for interval in intervals
        }
        frame = Frame(
            {
                "ts_event": _times([record.ts_event for record in self.records]),
                "action": [str(record.action) for record in self.records],
                "side": [str(record.side) for record in self.records],
                "price": [
                    float("nan") if record.price == dbn.UNDEF_PRICE else record.price / 1e9
                    for record in self.records
                ],
                "size": [record.size for record in self.records],
                "order_id": [record.order_id for record in self.records],
                "flags": [int(record.flags) for record in self.records],
                "symbol": [symbols[record.instrument_id] for record in self.records],
            }
        )
        frame.index = _times([record.ts_recv for record in self.records])
        return frame


class Frame(pl.DataFrame):
    """Has an index, as the frames of pandas that Databento's package gives."""

    index = None


def _times(times):
    return pl.Series("times", times, dtype=pl.Int64).cast(pl.Datetime("ns", "UTC"))


@pytest.fixture
def reference(monkeypatch):
    pytest.importorskip("hftbacktest", reason="the reference is not installed")
    stand_in = ModuleType("databento")
    stand_in.DBNStore = DBNStore
    monkeypatch.setitem(sys.modules, "databento", stand_in)
    module = importlib.import_module("hftbacktest.data.utils.databento")
    merge = module.correct_event_order

    def bounded(rows, by_exch, by_local):
        return merge(rows, np.append(by_exch, 0), np.append(by_local, 0))

    monkeypatch.setattr(module, "correct_event_order", bounded)

    def run(path, symbol=None):
        with contextlib.redirect_stdout(io.StringIO()):
            return module.convert(str(path), symbol)

    return run


def ours(path, **options):
    report = convert([path], path.with_name("day.npz"), venue="databento", **options)
    return read_events(path.with_name("day.npz")), report


def assert_equal(rows, expected, *, but=()):
    assert len(rows) == len(expected)
    for name in rows.dtype.names:
        if name in ("exch_ts", "local_ts"):
            far = np.abs(rows[name] - expected[name])
            assert (far[[name not in but] * len(rows)] <= FLOAT_NS).all(), name
        else:
            left = expected[name].copy()
            if name == "px":
                # It makes the price of a clear no number, which no engine takes.
                left[(expected["ev"] & KIND_MASK) == DEPTH_CLEAR_EVENT] = 0.0
            assert np.array_equal(rows[name], left), name


def test_a_real_capture_gives_the_same_rows(reference, tmp_path):
    folder = Path(os.environ.get("HFTD_TEST_DATA", ROOT / "../shared/data"))
    capture = folder / "databento_esh4_mbo_20231224.dbn.zst"
    if not capture.exists():
        pytest.skip(f"there is no capture {capture}: set HFTD_TEST_DATA")
    path = tmp_path / capture.name
    path.write_bytes(capture.read_bytes())
    rows, report = ours(path)
    expected = reference(path)
    # Its snapshot begins without a clear, so the reference leaves it the times at which orders came.
    assert_equal(rows, expected, but=("exch_ts",))
    assert (rows["exch_ts"] == rows["local_ts"]).all()
    assert (report.symbol, report.rows, report.exit_code) == ("ESH4", 8725, 0)
    assert any("begins without a clear" in note for note in report.notes)


@pytest.mark.parametrize("suffix", [".dbn", ".dbn.zst"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_generated_day_gives_the_same_rows(reference, tmp_path, seed, suffix):
    market = Orders(seed, unit_ns=1000, has_parts=False)
    market.snapshot()
    for _ in range(600):
        market.step()
    path = write(tmp_path / f"day{suffix}", metadata(dbn.Schema.MBO), market.records)
    rows, report = ours(path)
    assert_equal(rows, reference(path))
    assert report.rows_split > 0
    assert report.unreadable == []


def test_a_part_that_is_cancelled_leaves_the_rest(reference, tmp_path):
    market = Orders(4)
    market.put("A", "B", 400 * TICK, 5, 77)
    market.time_ns += 10_000_000
    market.put("C", "B", 400 * TICK, 2, 77)
    market.time_ns += 10_000_000
    market.put("C", "B", 400 * TICK, 3, 77)
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records)
    rows, _ = ours(path)
    assert (rows["ev"] & KIND_MASK).tolist() == [10, MODIFY_ORDER_EVENT, CANCEL_ORDER_EVENT]
    assert rows["qty"].tolist() == [5, 3, 3]
    assert (reference(path)["ev"] & KIND_MASK).tolist() == [10, CANCEL_ORDER_EVENT, CANCEL_ORDER_EVENT]


def test_a_modification_of_an_unknown_order_adds_it(reference, tmp_path):
    market = Orders(5)
    market.put("M", "A", 400 * TICK, 5, 77)
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records)
    assert (ours(path)[0]["ev"] & KIND_MASK).tolist() == [10]
    assert (reference(path)["ev"] & KIND_MASK).tolist() == [12]


def test_a_clear_within_a_day_keeps_its_time(reference, tmp_path):
    market = Orders(6)
    market.put("A", "B", 400 * TICK, 5, 77)
    market.time_ns += 10_000_000
    market.put("R", "N", dbn.UNDEF_PRICE, 0, 0, LAST, ts_event=START_NS + 1, ts_recv=START_NS + 10**9)
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records)
    assert ours(path)[0]["exch_ts"].tolist() == [START_NS, START_NS + 1]
    assert reference(path)["exch_ts"][1] > START_NS + 9 * 10**8


def test_times_are_exact(reference, tmp_path):
    market = Orders(7)
    market.put(
        "A", "B", 400 * TICK, 5, 77, LAST, ts_event=START_NS + 123_456_789, ts_recv=START_NS + 123_456_999
    )
    market.put("A", "B", 400 * TICK, 5, 78, SNAPSHOT, ts_event=1, ts_recv=START_NS + 323_456_999)
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records)
    rows, _ = ours(path)
    assert rows["exch_ts"][0] == START_NS + 123_456_789
    assert reference(path)["exch_ts"].max() != START_NS + 123_456_789
