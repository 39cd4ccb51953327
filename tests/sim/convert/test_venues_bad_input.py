"""What every converter of captures does with inputs that are damaged, mixed or of another kind."""

import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hftd.errors import DataError, UsageError
from sim.archive import check_events, read_events
from sim.convert import VENUES, Options, convert

from . import bybitmarket, hyperliquidmarket, mexcmarket
from .bybitmarket import packed

CAPTURES = {
    "bybit": lambda seed, count=120: bybitmarket.capture(seed, count),
    "hyperliquid": lambda seed, count=120: hyperliquidmarket.capture(seed, count),
    "mexc": lambda seed, count=120: mexcmarket.capture(seed, count),
}
_PIECES = [b"[", b"]", b"{", b"}", b'"', b",", b"\n", b"-", b"null", b"1e400"]
SYMBOLS = {"bybit": "BTCUSDT", "hyperliquid": "BTC", "mexc": "BTC_USDT"}


@pytest.fixture(params=list(CAPTURES))
def venue(request):
    return request.param


def converted(tmp_path, venue, inputs, **options):
    report = convert(inputs, tmp_path / "out.npz", venue=venue, options=Options(**options))
    return report, read_events(tmp_path / "out.npz")


def rows_of(tmp_path, venue, lines, **options):
    return converted(tmp_path, venue, [packed(tmp_path / "expected.gz", lines)], **options)[1]


def test_a_truncated_gzip_is_said_and_the_rows_before_it_are_kept(tmp_path, venue):
    lines = CAPTURES[venue](1)
    whole = gzip.compress(b"".join(lines))
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    report, rows = converted(tmp_path, venue, [path])
    assert report.exit_code == 1
    assert "ends too early" in report.damage[0]
    kept = report.lines - report.ignored.get("torn at the end of the file", 0)
    assert 0 < kept < len(lines)
    assert rows.tobytes() == rows_of(tmp_path, venue, lines[:kept]).tobytes()
    with pytest.raises(DataError, match="ends too early"):
        converted(tmp_path, venue, [path], strict=True)


def test_a_torn_line_is_counted_with_its_place_and_gives_no_rows(tmp_path, venue):
    lines = CAPTURES[venue](2)
    torn = [*lines[:50], lines[50][: len(lines[50]) // 2] + lines[51], *lines[52:]]
    report, rows = converted(tmp_path, venue, [packed(tmp_path / "torn.gz", torn)])
    assert [place.line for place in report.unreadable] == [51]
    assert rows.tobytes() == rows_of(tmp_path, venue, [*lines[:50], *lines[52:]]).tobytes()
    report, rows = converted(tmp_path, venue, [packed(tmp_path / "torn.gz", [*lines[:-1], lines[-1][:40]])])
    assert report.ignored["torn at the end of the file"] == 1


def test_a_capture_in_parts_is_read_as_one(tmp_path, venue):
    lines = CAPTURES[venue](3)
    parts = [packed(tmp_path / "a.gz", lines[:40]), tmp_path / "b.txt"]
    parts[1].write_bytes(b"".join(lines[40:]))
    report, rows = converted(tmp_path, venue, parts)
    assert rows.tobytes() == rows_of(tmp_path, venue, lines).tobytes()
    assert report.sequence.gaps == 0


@pytest.mark.parametrize("time", [b"", b"soon", b"1733011200", b"1733011200691", b"17330112006910000000"])
def test_a_line_without_a_local_time_in_nanoseconds_or_microseconds_is_counted(tmp_path, venue, time):
    lines = CAPTURES[venue](4, 20)
    bad = time + lines[3][19:]
    report, rows = converted(tmp_path, venue, [packed(tmp_path / "time.gz", [*lines[:5], bad, *lines[5:]])])
    assert report.unreadable[0].what == "no local time of 16 or 19 digits"
    assert rows.tobytes() == rows_of(tmp_path, venue, lines).tobytes()


def test_local_times_in_microseconds_are_scaled_and_said(tmp_path, venue):
    lines = CAPTURES[venue](5)
    in_us = [text[:16] + text[19:] for text in lines]
    in_ns = [text[:16] + b"000" + text[19:] for text in lines]
    report, rows = converted(tmp_path, venue, [packed(tmp_path / "us.gz", in_us)])
    assert report.lines_in_us == len(lines)
    assert any("microseconds" in note for note in report.notes)
    assert rows.tobytes() == rows_of(tmp_path, venue, in_ns).tobytes()


def test_a_capture_of_another_venue_is_one_clear_error(tmp_path, venue):
    for other, capture in CAPTURES.items():
        if other == venue:
            continue
        path = packed(tmp_path / f"{other}.gz", capture(6, 20))
        with pytest.raises(DataError, match="this is a capture of "):
            converted(tmp_path, venue, [path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the capture is empty"),
        (gzip.compress(b"", mtime=0), "the capture is empty"),
        (b"\x00\x01\x02" * 1000, "binary data"),
        (b"time,price\n1,2\n", "none of 2 lines gives a row"),
        (b"\x1f\x8b", "ends too early"),
        (b"PK\x03\x04" + b"x" * 100, "zip"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, "zstd"),
    ],
)
def test_an_input_without_rows_is_one_clear_error(tmp_path, venue, content, message):
    path = tmp_path / "input.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        converted(tmp_path, venue, [path])
    assert str(path) in str(error.value)
    assert not (tmp_path / "out.npz").exists()


def test_an_option_that_a_venue_does_not_have_is_refused(tmp_path):
    for name, venue in VENUES.items():
        for option, value in (
            ("depth", 50),
            ("latency_ns", 5),
            ("keep_far_levels", True),
            ("hftbacktest_rows", True),
        ):
            if option in venue.takes:
                continue
            with pytest.raises(UsageError, match=f"converter {name} has no option {option}"):
                convert(
                    [tmp_path / "x"], tmp_path / "out.npz", venue=name, options=Options(**{option: value})
                )
    with pytest.raises(UsageError, match="below zero"):
        convert([tmp_path / "x"], tmp_path / "out.npz", venue="bybithistory", options=Options(latency_ns=-1))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_that_were_changed_put_in_or_lost_never_stop_the_conversion(tmp_path, venue, data):
    text = bytearray(b"".join(CAPTURES[venue](data.draw(st.integers(0, 3)), 12)))
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(text) - 1))
        kind = data.draw(st.integers(0, 2))
        if kind == 0:
            text[at] = data.draw(st.integers(0, 255))
        elif kind == 1:
            del text[at : at + data.draw(st.integers(1, 200))]
        else:
            text[at:at] = data.draw(
                st.sampled_from([b"[", b"]", b"{", b"}", b'"', b",", b"\n", b"-", b"null", b"1e400"])
            )
    path = tmp_path / "input.gz"
    path.write_bytes(gzip.compress(bytes(text), 1))
    try:
        report, rows = converted(tmp_path, venue, [path], symbol=SYMBOLS[venue])
    except DataError as error:
        assert str(path) in str(error)
        return
    check_events(rows)
    assert report.lines > 0
    assert report.rows == len(rows)
