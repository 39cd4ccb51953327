import gzip
import json

import numpy as np
import pytest

from hftd.errors import DataError, UsageError
from sim.archive import check_events, read_events
from sim.convert import Options, convert
from sim.convert import reading as reading_module
from sim.convert.reader.state import NOT_ASKED, REASONS

from .captures import Market, capture, line, packed


def converted(tmp_path, path, **options):
    output = tmp_path / "out.npz"
    report = convert([path], output, options=Options(**options))
    return report, read_events(output)


def rows_of(tmp_path, lines, **options):
    return converted(tmp_path, packed(tmp_path / "expected.gz", lines), **options)[1]


def test_a_truncated_gzip_is_said_and_the_rows_before_it_are_kept(tmp_path):
    lines = capture(1, 2000)
    whole = gzip.compress(b"".join(lines))
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    report, rows = converted(tmp_path, path)
    assert report.exit_code == 1
    assert "ends too early" in report.damage[0]
    assert str(path) in report.damage[0]
    assert report.lines > 1000
    # A line that is cut is left out; all before it are there.
    kept = report.lines - sum(report.ignored.get(why, 0) for why in ("torn at the end of the file",))
    assert rows.tobytes() == rows_of(tmp_path, lines[:kept]).tobytes()


def test_strict_refuses_a_truncated_gzip_and_writes_nothing(tmp_path):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"".join(capture(1)))[:-3000])
    with pytest.raises(DataError, match="ends too early"):
        convert([path], tmp_path / "out.npz", options=Options(strict=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.gz"]


def test_a_wrong_checksum_is_said_and_all_rows_are_kept(tmp_path):
    lines = capture(2)
    broken = bytearray(gzip.compress(b"".join(lines)))
    broken[-6] ^= 0xFF
    path = tmp_path / "crc.gz"
    path.write_bytes(broken)
    report, rows = converted(tmp_path, path)
    assert report.exit_code == 1
    assert "broken" in report.damage[0]
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()


def test_broken_gzip_data_are_said_and_what_stands_before_is_kept(tmp_path):
    lines = capture(3, 3000)
    broken = bytearray(gzip.compress(b"".join(lines)))
    at = len(broken) // 2
    broken[at : at + 64] = b"\xff" * 64
    path = tmp_path / "broken.gz"
    path.write_bytes(broken)
    report, rows = converted(tmp_path, path)
    assert report.exit_code == 1
    assert len(rows) > 100


def test_several_gzip_streams_in_one_file_are_read_as_one(tmp_path):
    lines = capture(4)
    path = tmp_path / "appended.gz"
    path.write_bytes(
        gzip.compress(b"".join(lines[:100])) + gzip.compress(b"".join(lines[100:])) + b"\0" * 512
    )
    report, rows = converted(tmp_path, path)
    assert report.exit_code == 0
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()


def test_bytes_behind_the_gzip_data_are_said(tmp_path):
    path = tmp_path / "tail.gz"
    path.write_bytes(gzip.compress(b"".join(capture(4))) + b"garbage")
    report, _ = converted(tmp_path, path)
    assert "behind the end" in report.damage[0]


def test_a_torn_last_line_is_counted_and_left_out(tmp_path):
    lines = capture(5)
    path = packed(tmp_path / "torn.gz", [*lines[:-1], lines[-1][:60]])
    report, rows = converted(tmp_path, path)
    assert report.ignored["torn at the end of the file"] == 1
    assert report.unreadable[0].line == len(lines)
    assert rows.tobytes() == rows_of(tmp_path, lines[:-1]).tobytes()


def test_a_last_line_without_newline_is_read(tmp_path):
    lines = capture(5)
    path = packed(tmp_path / "no_newline.gz", [*lines[:-1], lines[-1].rstrip()])
    report, rows = converted(tmp_path, path)
    assert not report.unreadable
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()


@pytest.mark.parametrize("cut", [3, 19, 20, 25, 70, 110, 180])
def test_a_line_torn_in_the_middle_is_counted_with_its_place_and_gives_no_rows(tmp_path, cut):
    lines = capture(6)
    # The next line's text follows at once, as after a crash of the recorder.
    depth = next(number for number, text in enumerate(lines) if number > 50 and b"depthUpdate" in text)
    torn = [*lines[:depth], lines[depth][:cut] + lines[depth + 1], *lines[depth + 2 :]]
    report, rows = converted(tmp_path, packed(tmp_path / "torn.gz", torn))
    assert [place.line for place in report.unreadable] == [depth + 1]
    expected = [*lines[:depth], *lines[depth + 2 :]]
    assert rows.tobytes() == rows_of(tmp_path, expected).tobytes()
    with pytest.raises(DataError, match="can't be read") as error:
        converted(tmp_path, packed(tmp_path / "torn.gz", torn), strict=True)
    assert error.value.where.endswith(f"torn.gz:{depth + 1}")


def test_no_cut_of_a_line_gives_a_row_or_stops_the_conversion(tmp_path):
    whole = line(1_661_904_000_000_000_000, Market(1).depth()).rstrip()
    lines = [whole[:cut] + b"\n" for cut in range(len(whole))]
    first = capture(1, 3)
    report, rows = converted(tmp_path, packed(tmp_path / "cuts.gz", [*first, *lines]))
    assert rows.tobytes() == rows_of(tmp_path, first).tobytes()
    assert sum(report.ignored.values()) - report.ignored.get(REASONS[NOT_ASKED], 0) == len(lines)


@pytest.mark.parametrize(
    "message",
    [
        {"e": "depthUpdate", "T": 1, "s": "BTCUSDT", "u": 1, "pu": 1, "b": [["NaN", "1"]], "a": []},
        {"e": "depthUpdate", "T": 1, "s": "BTCUSDT", "u": 1, "pu": 1, "b": [["1", "inf"]], "a": []},
        {"e": "depthUpdate", "T": 1, "s": "BTCUSDT", "u": 1, "pu": 1, "b": [["1"]], "a": []},
        {"e": "depthUpdate", "T": 1, "s": "BTCUSDT", "u": 1, "pu": 1, "b": [["1", "-1"]], "a": []},
        {"e": "trade", "T": 1, "s": "BTCUSDT", "p": "1", "q": "-1", "m": True, "X": "MARKET"},
        {"e": "depthUpdate", "T": 1, "s": "BTCUSDT", "u": 1, "pu": 1, "b": "x", "a": []},
        {"e": "depthUpdate", "T": 1, "s": "BTCUSDT", "u": 1, "pu": 1, "b": []},
        {"e": "depthUpdate", "T": "soon", "s": "BTCUSDT", "u": 1, "pu": 1, "b": [], "a": []},
        {"e": "depthUpdate", "s": "BTCUSDT", "u": 1, "pu": 1, "b": [], "a": []},
        {"e": "trade", "T": 1, "s": "BTCUSDT", "p": "x", "q": "1", "m": True, "X": "MARKET"},
        {"e": "trade", "T": 1, "s": "BTCUSDT", "p": "1", "q": "1", "X": "MARKET"},
        {"e": "trade", "T": 99999999999999999, "s": "BTCUSDT", "p": "1", "q": "1", "m": True, "X": "MARKET"},
    ],
)
def test_a_message_with_a_wrong_field_gives_no_rows_and_is_counted(tmp_path, message):
    lines = capture(7, 20)
    bad = line(1_661_904_000_000_000_000, message)
    report, rows = converted(tmp_path, packed(tmp_path / "bad.gz", [*lines[:10], bad, *lines[10:]]))
    is_time_wrong = message.get("T") != 1
    wrong = (
        "the field T is missing, or is no time" if is_time_wrong else "a field is missing, or is not a number"
    )
    assert report.ignored[wrong] == 1
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()


def test_unknown_events_streams_and_errors_are_counted_by_name(tmp_path):
    now = 1_661_904_000_000_000_000
    others = [
        line(now, {"e": "aggTrade", "E": 1, "s": "BTCUSDT", "p": "1", "q": "2", "T": 3}),
        line(now, {"e": "aggTrade", "E": 1, "s": "BTCUSDT", "p": "1", "q": "2", "T": 3}, combined=False),
        line(now, {"e": "forceOrder", "E": 1, "o": {"s": "BTCUSDT", "e": "trade"}}, combined=False),
        b'%d {"stream":"!markPrice@arr","data":[{"e":"markPriceUpdate"}]}\n' % now,
        line(now, {"code": -1003, "msg": "Too many requests."}),
        line(now, {"result": None, "id": 1}),
        b'%d [{"e":"x"}]\n' % now,
        b"\n",
    ]
    lines = capture(8)
    report, rows = converted(tmp_path, packed(tmp_path / "others.gz", [*others, *lines]))
    assert report.not_converted["aggTrade"] == 2
    assert report.not_converted["forceOrder"] == 1
    assert report.not_converted["!markPrice@arr"] == 1
    assert report.exchange_errors == {"-1003": 1}
    assert report.ignored["an error of the exchange"] == 1
    assert report.ignored["blank"] == 1
    assert report.ignored["an event or stream that is not converted"] == 6
    assert not report.unreadable
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()


@pytest.mark.parametrize("stream", ["btcusdt@depth5@100ms", "btcusdt@depth20", "btcusdt@rpiDepth@500ms"])
def test_the_first_levels_of_a_book_are_not_taken_for_differences(tmp_path, stream):
    lines = capture(9)
    text = json.dumps({"stream": stream, "data": Market(3).depth()}).encode()
    report, rows = converted(
        tmp_path, packed(tmp_path / "partial.gz", [b"1661904000000000000 " + text + b"\n", *lines])
    )
    assert report.ignored["a partial depth stream"] == 1
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()


@pytest.mark.parametrize(
    "time", [b"", b"soon", b"166190400000000000", b"12", b"16619040000000000000", b"-661904000000000000"]
)
def test_a_line_without_a_local_time_of_16_or_19_digits_is_counted(tmp_path, time):
    lines = capture(10)
    bad = time + lines[3][19:]
    report, rows = converted(tmp_path, packed(tmp_path / "time.gz", [*lines[:5], bad, *lines[5:]]))
    assert report.unreadable[0].what == "no local time of 16 or 19 digits"
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()


def test_local_times_in_microseconds_are_scaled_and_said(tmp_path):
    lines = capture(11)
    in_us = [text[:16] + text[19:] for text in lines]
    in_ns = [text[:16] + b"000" + text[19:] for text in lines]
    report, rows = converted(tmp_path, packed(tmp_path / "us.gz", in_us))
    assert report.lines_in_us == len(lines)
    assert "microseconds" in report.notes[0]
    assert rows.tobytes() == rows_of(tmp_path, in_ns).tobytes()


def test_a_capture_of_several_symbols_is_refused_unless_one_is_chosen(tmp_path):
    bitcoin, ether = capture(12, 50), capture(13, 30, symbol="ETHUSDT")
    mixed = packed(tmp_path / "mixed.gz", [*bitcoin[1:30], *ether[1:], *bitcoin[30:]])
    with pytest.raises(DataError, match=r"several symbols: BTCUSDT .* ETHUSDT"):
        converted(tmp_path, mixed, book_ticker=True)
    report, rows = converted(tmp_path, mixed, book_ticker=True, symbol="ethusdt")
    assert report.symbol == "ETHUSDT"
    assert report.ignored["another symbol"] == report.symbols["BTCUSDT"] == 50
    assert report.sequence.gaps == 0
    assert rows.tobytes() == rows_of(tmp_path, ether[1:], book_ticker=True).tobytes()
    with pytest.raises(DataError, match="no lines of XRPUSDT"):
        converted(tmp_path, mixed, symbol="XRPUSDT")


def test_a_snapshot_that_may_be_of_another_symbol_is_left_out_and_said(tmp_path):
    bitcoin, ether = capture(12, 50), capture(13, 30, symbol="ETHUSDT")
    mixed = packed(tmp_path / "mixed.gz", [*bitcoin, *ether])
    report, rows = converted(tmp_path, mixed, symbol="BTCUSDT")
    assert rows.tobytes() == rows_of(tmp_path, bitcoin[1:]).tobytes()
    assert any("do not name a symbol" in note for note in report.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the capture is empty"),
        (gzip.compress(b"", mtime=0), "the capture is empty"),
        (b"\x00\x01\x02" * 1000, "binary data"),
        (b"PK\x03\x04" + b"x" * 100, "in the zip file"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, "the zstd data"),
        (b"time,price\n1,2\n", "none of 2 lines gives a row"),
        (b"\x1f\x8b", "ends too early"),
        (b"\x1f\x8b" + b"\xff" * 50, "broken"),
    ],
)
def test_an_input_without_rows_is_one_clear_error(tmp_path, content, message):
    path = tmp_path / "input.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        convert([path], tmp_path / "out.npz")
    assert str(path) in str(error.value)
    assert not (tmp_path / "out.npz").exists()


def test_missing_inputs_and_outputs_that_cannot_be_are_said_before_the_work(tmp_path):
    path = packed(tmp_path / "capture.gz", capture(1, 5))
    with pytest.raises(DataError, match="No such file"):
        convert([tmp_path / "none.gz"], tmp_path / "out.npz")
    with pytest.raises(DataError, match="not a file"):
        convert([tmp_path], tmp_path / "out.npz")
    with pytest.raises(DataError, match="folder does not exist") as error:
        convert([path], tmp_path / "none" / "out.npz")
    assert error.value.hint == f"make it with `mkdir -p {tmp_path / 'none'}`"
    with pytest.raises(UsageError, match=r"no \.npz"):
        convert([path], tmp_path / "out.gz")
    with pytest.raises(UsageError, match="no input"):
        convert([], tmp_path / "out.npz")
    with pytest.raises(UsageError, match="no converter 'mtgox'"):
        convert([path], tmp_path / "out.npz", venue="mtgox")


def test_a_line_that_does_not_end_is_passed_over_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(reading_module, "LINE_SIZE_MAX", 1 << 20)
    lines = capture(14)
    path = packed(tmp_path / "long.gz", [*lines[:50], b"x" * (9 << 20) + b"\n", *lines[50:]])
    report, rows = converted(tmp_path, path)
    assert report.ignored["longer than a line may be"] == 1
    assert report.unreadable[0].line == 51
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()


def test_random_bytes_in_a_capture_never_stop_the_conversion(tmp_path):
    random = np.random.default_rng(7)
    lines = [bytearray(text) for text in capture(15, 400)]
    for text in lines[5:]:
        if random.random() < 0.5:
            text[random.integers(len(text) - 1)] = random.integers(1, 256)
    path = packed(tmp_path / "noise.gz", [bytes(text) for text in lines])
    report, rows = converted(tmp_path, path, symbol="BTCUSDT")
    assert np.isfinite(rows["px"]).all()
    assert report.lines >= len(lines)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_at_the_beginning_is_passed_over(tmp_path, pack):
    lines = capture(16)
    path = tmp_path / "windows.txt"
    path.write_bytes(pack(b"\xef\xbb\xbf" + b"".join(lines)))
    report, rows = converted(tmp_path, path)
    assert report.exit_code == 0
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()


@pytest.mark.parametrize(
    "time", [b"4611686018427387904", b"4700000000000000000", b"4611686018427388", b"9" * 16]
)
def test_a_local_time_that_no_engine_takes_is_none(tmp_path, time):
    lines = capture(17)
    stray = time + b" " + lines[40].split(b" ", 1)[1]
    report, rows = converted(tmp_path, packed(tmp_path / "late.gz", [*lines[:41], stray, *lines[41:]]))
    assert report.unreadable[0].what == "no local time of 16 or 19 digits"
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()
    check_events(rows)


@pytest.mark.parametrize("px", [b"1e308", b"9007199254740992", b"9" * 300])
def test_a_price_that_is_no_tick_of_any_size_is_a_wrong_field(tmp_path, px):
    lines = capture(18)
    number = next(n for n, text in enumerate(lines) if n > 40 and b'"e":"trade"' in text)
    head, _, rest = lines[number].partition(b'"p":"')
    stray = head + b'"p":"' + px + rest[rest.index(b'"') :]
    report, rows = converted(
        tmp_path, packed(tmp_path / "huge.gz", [*lines[:number], stray, *lines[number:]])
    )
    assert report.unreadable[0].what == "a field is missing, or is not a number"
    assert rows.tobytes() == rows_of(tmp_path, lines).tobytes()
