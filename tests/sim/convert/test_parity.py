"""Archives are those of the reference's converter, row for row and byte for byte."""

import numpy as np
import pytest
from msgspec import structs

from sim.archive import read_events
from sim.convert import Options, convert

from .captures import Market, capture, packed

pytestmark = [pytest.mark.parity, pytest.mark.thorough, pytest.mark.thorough]
reference = pytest.importorskip(
    "hftbacktest.data.utils.binancefutures", reason="the reference is not installed"
)

OPTIONS = {
    "": Options(hftbacktest_rows=True),
    "m": Options(hftbacktest_rows=True, mark_price=True),
    "t": Options(hftbacktest_rows=True, book_ticker=True),
    "mt": Options(hftbacktest_rows=True, mark_price=True, book_ticker=True),
}


@pytest.fixture(autouse=True)
def within_bounds(monkeypatch):
    """Give the reference's merge an index more than there are rows: it reads one beyond, and may crash."""
    merge = reference.correct_event_order

    def bounded(rows, by_exch, by_local):
        return merge(rows, np.append(by_exch, 0), np.append(by_local, 0))

    monkeypatch.setattr(reference, "correct_event_order", bounded)


def theirs(path, opt, base_latency=0, combined=True):
    return reference.convert(
        str(path), opt=opt, base_latency=base_latency, combined_stream=combined, buffer_size=1_000_000
    )


def assert_equal(ours, expected):
    assert len(ours) == len(expected)
    assert ours.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("base_latency_ns", [0, 150_001])
@pytest.mark.parametrize("opt", list(OPTIONS))
def test_a_real_capture_gives_the_same_archive(futures_capture, tmp_path, opt, base_latency_ns):
    options = structs.replace(OPTIONS[opt], base_latency_ns=base_latency_ns)
    report = convert([futures_capture], tmp_path / "day.npz", options=options)
    ours = read_events(tmp_path / "day.npz")
    assert_equal(ours, theirs(futures_capture, opt, base_latency_ns))
    assert report.rows == len(ours)
    assert (report.sequence.gaps, report.crossed.times, report.exit_code) == (0, 0, 0)


@pytest.mark.parametrize("delay_ns", [2_000_000, -70_000_000])
@pytest.mark.parametrize("combined", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_capture_with_late_messages_gives_the_same_archive(tmp_path, seed, combined, delay_ns):
    lines = capture(seed, combined=combined, delay_ns=delay_ns)
    if not combined:
        # The reference takes a raw stream's snapshot for an event and fails.
        lines = lines[1:]
    path = packed(tmp_path / "capture.gz", lines)
    report = convert(
        [path],
        tmp_path / "day.npz",
        options=Options(hftbacktest_rows=True, book_ticker=True, base_latency_ns=7),
    )
    assert report.rows_split > 0
    assert_equal(read_events(tmp_path / "day.npz"), theirs(path, "t", 7, combined))


def test_errors_snapshots_and_other_trades_in_between_give_the_same_archive(tmp_path):
    market = Market(5)
    lines = []
    for number in range(200):
        message = market.message()
        if number % 40 == 7:
            message = market.snapshot(levels=number // 10)
        if number % 40 == 9:
            message = market.trade(kind="INSURANCE_FUND")
        if number % 40 == 11:
            message = {"code": -1003, "msg": "Too many requests."}
        lines.append(market.arrived(message))
    path = packed(tmp_path / "capture.gz", lines)
    convert([path], tmp_path / "day.npz", options=Options(hftbacktest_rows=True))
    assert_equal(read_events(tmp_path / "day.npz"), theirs(path, ""))
