"""Spot and COIN-M archives are those of the reference's converter, row for row.

It has none of its own for COIN-M: its users take the one for USD-M. On spot that one fails, as the messages lack
fields; given those fields (`T`, `X`, `e`), it says what the rows should be.
"""

import gzip
import json

import numpy as np
import pytest

from sim.archive import check_events, read_events
from sim.convert import Options, convert

from .captures import packed

pytestmark = [pytest.mark.parity, pytest.mark.thorough, pytest.mark.thorough]
reference = pytest.importorskip(
    "hftbacktest.data.utils.binancefutures", reason="the reference is not installed"
)

COINM = ("binancecoinm_btcusd_perp_20240808.gz", "binancecoinm_btcusd_perp_20240809.gz")
SPOT = ("binancespot_btcusdt_20240808.gz", "binancespot_btcusdt_20240809.gz")


@pytest.fixture(autouse=True)
def within_bounds(monkeypatch):
    """Give the reference's merge an index more than there are rows: it reads one beyond, and may crash."""
    merge = reference.correct_event_order

    def bounded(rows, by_exch, by_local):
        return merge(rows, np.append(by_exch, 0), np.append(by_local, 0))

    monkeypatch.setattr(reference, "correct_event_order", bounded)


def theirs(path, opt=""):
    return reference.convert(str(path), opt=opt, buffer_size=2_000_000)


def appended(tmp_path, paths):
    """Both days as one capture, which is what a recorder that appends would have written."""
    path = tmp_path / "both.gz"
    path.write_bytes(b"".join(path.read_bytes() for path in paths))
    return path


@pytest.mark.parametrize("opt", ["", "t"])
@pytest.mark.parametrize("name", COINM)
def test_a_real_coinm_capture_gives_the_same_archive(real_capture, tmp_path, name, opt):
    path = real_capture(name)
    report = convert(
        [path],
        tmp_path / "day.npz",
        venue="binancecoinm",
        options=Options(hftbacktest_rows=True, book_ticker=opt == "t"),
    )
    ours = read_events(tmp_path / "day.npz")
    assert ours.tobytes() == theirs(path, opt).tobytes()
    assert report.symbol == "BTCUSD_PERP"
    assert (report.sequence.gaps, report.sequence.repeats, report.exit_code) == (0, 0, 0)
    assert not report.unreadable


def test_the_second_day_of_coinm_goes_on_where_the_first_ended(real_capture, tmp_path):
    paths = [real_capture(name) for name in COINM]
    report = convert(
        paths, tmp_path / "days.npz", venue="binancecoinm", options=Options(hftbacktest_rows=True)
    )
    assert (report.sequence.gaps, report.sequence.repeats) == (0, 0)
    ours = read_events(tmp_path / "days.npz")
    assert ours.tobytes() == theirs(appended(tmp_path, paths)).tobytes()


def with_futures_fields(path):
    """Spot's lines, with the fields that they lack; the latest time of the exchange for those without one."""
    latest = 0
    for text in gzip.decompress(path.read_bytes()).splitlines():
        local_ts, message = text[:19], json.loads(text[20:])
        data = message.get("data", message)
        if data.get("e") == "depthUpdate":
            data["T"] = data["E"]
        elif data.get("e") == "trade":
            data["X"] = "MARKET"
        elif "B" in data:
            data |= {"e": "bookTicker", "T": latest}
        else:
            data["T"] = latest
        latest = max(latest, data["T"])
        yield local_ts + b" " + json.dumps(message).encode() + b"\n"


@pytest.mark.parametrize("opt", ["", "t"])
def test_real_spot_captures_give_the_rows_that_the_same_messages_give_of_futures(real_capture, tmp_path, opt):
    paths = [real_capture(name) for name in SPOT]
    options = Options(hftbacktest_rows=True, book_ticker=opt == "t")
    report = convert(paths, tmp_path / "days.npz", venue="binancespot", options=options)
    alike = packed(tmp_path / "alike.gz", [text for path in paths for text in with_futures_fields(path)])
    ours = read_events(tmp_path / "days.npz")
    assert ours.tobytes() == theirs(alike, opt).tobytes()
    check_events(ours)
    assert report.symbol == "BTCUSDT"
    assert (report.sequence.gaps, report.sequence.repeats, report.exit_code) == (0, 0, 0)
    assert not report.unreadable
