"""What is in a file: archives, latencies and runs are told apart, and the book of a moment is right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import UsageError
from hftd.runfile import AssetMeta, RunMeta, write_run
from hftd.types import KIND_MASK, fill_dtype, latency_dtype, record_dtype
from sim.archive import write_events
from sim.tools import inspect, snapshot
from sim.tools.times import how_long, parse_time
from tests.sim.checks.market import START_NS, kinds, sound_rows
from tests.sim.l3.market import Market as Orders

S = 1_000_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("contents")


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), part=st.floats(0, 1))
def test_the_book_at_a_time_is_that_of_a_snapshot_made_then(folder, seed, part):
    rows = sound_rows(seed)
    write_events(folder / "day.npz", rows)
    at = int(rows["local_ts"][0] + part * (rows["local_ts"][-1] - rows["local_ts"][0]))
    contents, _ = inspect(folder / "day.npz", at=str(at), depth=7)
    levels, _ = snapshot([folder / "day.npz"], until_ts=at)
    book = contents.book
    assert book is not None
    assert book.at_ts == at
    bids = levels[(levels["ev"] & np.uint64(1 << 29)) != 0]
    asks = levels[(levels["ev"] & np.uint64(1 << 28)) != 0]
    assert book.levels == (len(bids), len(asks))
    assert [(level.px, level.qty) for level in book.bids] == list(
        zip(bids["px"][:7], bids["qty"][:7], strict=True)
    )
    assert [(level.px, level.qty) for level in book.asks] == list(
        zip(asks["px"][:7], asks["qty"][:7], strict=True)
    )


def test_rows_kinds_rates_and_bursts_are_counted(folder):
    rows = sound_rows(2, 300)
    write_events(folder / "day.npz", rows)
    contents, series = inspect(folder / "day.npz", rows=4)
    check = contents.check
    assert check is not None
    assert (contents.kind, contents.rows, check.rows) == ("events", len(rows), len(rows))
    assert check.rows_by_kind["trade"] == (kinds(rows) == 2).sum()
    span_s = (rows["local_ts"][-1] - rows["local_ts"][0]) / S
    assert contents.rows_per_s == pytest.approx(len(rows) / span_s)
    assert contents.trades_per_s == pytest.approx((kinds(rows) == 2).sum() / span_s)
    for burst in contents.bursts:
        stretches, counts = np.unique(rows["local_ts"] // burst.width_ns, return_counts=True)
        assert burst.rows == counts.max()
        assert burst.start_ts == stretches[counts.argmax()] * burst.width_ns
    assert [row.row for row in contents.first] == [0, 1, 2, 3]
    assert [row.row for row in contents.last] == list(range(len(rows) - 4, len(rows)))
    assert contents.last[-1].px == rows["px"][-1]
    assert series is not None
    assert series.buckets["rows"].sum() == len(rows)


def test_a_book_of_single_orders_says_how_many_stand_at_a_price(folder):
    rows = Orders(5).rows(300)
    write_events(folder / "orders.npz", rows)
    contents, _ = inspect(folder / "orders.npz")
    start, _ = snapshot([folder / "orders.npz"])
    book = contents.book
    assert book is not None
    for level in (*book.bids, *book.asks):
        assert level.orders == (start["px"] == level.px).sum() > 0
        assert level.qty == start["qty"][start["px"] == level.px].sum()


def test_a_time_outside_the_archive_is_said(folder):
    rows = sound_rows(2)
    write_events(folder / "day.npz", rows)
    late, _ = inspect(folder / "day.npz", at=str(int(rows["local_ts"][-1]) + 5))
    early, _ = inspect(folder / "day.npz", at=str(int(rows["local_ts"][0]) - 5))
    assert "the data ends 5 ns before that time: the book is that of its end" in late.notes
    assert "the data begins 5 ns after that time: the book is empty then" in early.notes
    assert early.book is not None
    assert early.book.levels == (0, 0)


def test_a_broken_archive_is_still_shown_with_the_book_before_the_bad_row(folder):
    rows = sound_rows(2)
    number = int(np.flatnonzero((rows["ev"] & np.uint64(KIND_MASK)) == 1)[30])
    rows["px"][number] = np.nan
    write_events(folder / "day.npz", rows)
    contents, _ = inspect(folder / "day.npz")
    assert contents.rows == len(rows)
    assert any(f"before row {number:,}" in note for note in contents.notes)
    assert contents.check is not None
    assert not contents.check.is_sound


def test_latencies_are_recognised(folder):
    rows = np.zeros(3, latency_dtype)
    rows["req_ts"] = START_NS + np.arange(3)
    rows["exch_ts"], rows["resp_ts"] = rows["req_ts"] + 5, rows["req_ts"] + 9
    write_events(folder / "latency.npz", rows)
    contents, series = inspect(folder / "latency.npz")
    assert (contents.kind, contents.rows, series) == ("latencies", 3, None)
    assert contents.latencies is not None
    assert contents.latencies.entry is not None
    assert contents.latencies.entry.p50_ns == 5


def test_runs_are_recognised_and_described(folder):
    records = np.zeros(5, record_dtype)
    records["timestamp"] = START_NS + np.arange(5) * S
    records["position"], records["num_trades"] = 0.25, 7
    fills = np.zeros(2, fill_dtype)
    meta = RunMeta(name="mm", strategy="strategies:mm", kind="backtest", assets=[AssetMeta(symbol="BTCUSDT")])
    write_run(folder / "run.npz", [records], meta=meta, tables={"fills": fills})
    contents, _ = inspect(folder / "run.npz")
    run = contents.run
    assert run is not None
    assert (contents.kind, contents.rows, run.name, run.strategy) == ("run", 5, "mm", "strategies:mm")
    (asset,) = run.assets
    assert (asset.symbol, asset.records, asset.fills, asset.position, asset.num_trades) == (
        "BTCUSDT",
        5,
        2,
        0.25,
        7,
    )
    assert run.life is None


# Times.


DAY = 1_723_075_200 * S  # 2024-08-08


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1723161300000000001", 1723161300000000001),
        ("2024-08-08T23:55:00.000000001", DAY + (23 * 3600 + 55 * 60) * S + 1),
        ("2024-08-08 23:55", DAY + (23 * 3600 + 55 * 60) * S),
        ("20240808T12:00:00Z", DAY + 12 * 3600 * S),
        ("2024-08-08T12:00:00+02:00", DAY + 10 * 3600 * S),
        ("2024-08-08T12:00:00.5-0130", DAY + (13 * 3600 + 1800) * S + S // 2),
        ("2024-08-09", DAY + 86400 * S),
        ("23:55:00.5", DAY + (23 * 3600 + 55 * 60) * S + S // 2),
        ("23:54:16", DAY + (23 * 3600 + 54 * 60 + 16) * S),
        # Before the archive's first second: the next day's.
        ("00:00:01", DAY + 86400 * S + S),
    ],
)
def test_times_are_read_to_the_nanosecond(text, expected):
    first = DAY + (23 * 3600 + 54 * 60 + 16) * S + 302_471_518
    assert parse_time(text, first) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:00:01", DAY + 86_401 * S),
        ("23:58", DAY + (23 * 3600 + 58 * 60) * S),
        # In the minute in which the capture begins, but before it.
        ("23:54", DAY + (23 * 3600 + 54 * 60) * S),
        # Not reached on either day.
        ("00:05", DAY + 300 * S),
    ],
)
def test_a_time_of_day_is_the_first_within_a_capture_that_spans_midnight_else_of_its_first_day(
    text, expected
):
    first = DAY + (23 * 3600 + 54 * 60 + 16) * S + 302_471_518
    assert parse_time(text, first, lambda: DAY + 86_401 * S + 5) == expected


def test_a_time_of_day_before_a_capture_over_midnight_is_said_to_be_before_it(folder):
    rows = sound_rows(2, start_ns=DAY + (23 * 3600 + 59 * 60 + 59) * S)
    assert rows["local_ts"][-1] > DAY + 86_400 * S
    write_events(folder / "night.npz", rows)
    before, _ = inspect(folder / "night.npz", at="23:54")
    within, _ = inspect(folder / "night.npz", at="00:00:00")
    (note,) = before.notes
    assert note.startswith(
        ("the data begins 5 min 59 s after that time", "the data begins 6 min after that time")
    )
    assert within.notes == []
    assert within.book is not None
    assert within.book.at_ts == DAY + 86_400 * S


def test_a_time_that_is_that_of_the_last_row_is_within_the_archive(folder):
    rows = sound_rows(2)
    write_events(folder / "day.npz", rows)
    contents, _ = inspect(folder / "day.npz", at=str(int(rows["local_ts"][-1])))
    assert contents.notes == []


def test_a_snapshot_at_a_time_after_the_end_says_by_how_much(folder):
    rows = sound_rows(2)
    write_events(folder / "day.npz", rows)
    _, described = snapshot([folder / "day.npz"], until_ts=int(rows["local_ts"][-1]) + 12 * 3600 * S)
    assert described.notes == ["the data ends 12 h before that time: the book is that of its end"]


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (0, "0 ns"),
        (1_500, "1.5 µs"),
        (2 * S, "2 s"),
        (60 * S, "1 min"),
        (90 * S, "1 min 30 s"),
        (90_000 * S, "1 d 1 h"),
    ],
)
def test_spans_are_said_in_their_two_largest_units(ns, said):
    assert how_long(ns) == said


NO_TIMES = [
    "",
    "noon",
    "25:00",
    "12:60",
    "2024-02-30",
    "2024-08-08T24:00:00",
    "12",
    "1e18",
    "12:00:00.1234567890",
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text, DAY)
