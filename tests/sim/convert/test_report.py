import json

import numpy as np

from hftd.types import KIND_MASK
from sim.archive import read_events
from sim.convert import Options, convert

from .captures import Market, capture, packed, steady


def test_gaps_and_repeats_of_updates_are_counted_with_their_places(tmp_path):
    market = Market(1)
    updates = [market.arrived(market.depth()) for _ in range(20)]
    lines = [*updates[:5], *updates[6:10], updates[9], *updates[10:]]
    report = convert([packed(tmp_path / "gap.gz", lines)], tmp_path / "out.npz")
    assert (report.sequence.gaps, report.sequence.repeats) == (1, 1)
    gap, repeat = report.sequence.first
    assert gap.line == 6
    assert gap.previous_id > gap.expected_id
    assert repeat.line == 10


def test_rows_and_lines_are_counted_by_kind(tmp_path):
    market = Market(2)
    messages = [market.snapshot(3), market.trade(), market.trade("NA"), market.ticker(), market.mark_price()]
    lines = [market.arrived(message) for message in messages]
    options = Options(book_ticker=True, mark_price=True)
    report = convert([packed(tmp_path / "kinds.gz", lines)], tmp_path / "out.npz", options=options)
    assert report.lines_by_kind == {"trade": 1, "depth snapshot": 1, "mark price": 1, "best bid": 1}
    kinds = {"depth clear": 2, "depth snapshot": 6, "trade": 1, "best bid": 1, "best ask": 1}
    assert report.rows_by_kind == {**kinds, "index price": 1, "mark price": 1, "funding rate": 1}
    assert report.ignored == {"a trade that is not of the market": 1}


def test_a_mark_price_carries_the_time_it_was_sent_not_the_next_funding(tmp_path):
    market = Market(3)
    lines = [market.arrived(market.mark_price()) for _ in range(3)]
    report = convert(
        [packed(tmp_path / "m.gz", lines)], tmp_path / "out.npz", options=Options(mark_price=True)
    )
    rows = read_events(tmp_path / "out.npz")
    assert report.clock_correction_ns == 0
    assert (np.abs(rows["local_ts"] - rows["exch_ts"]) < 60_000_000_000).all()
    assert sorted({int(kind) for kind in rows["ev"] & KIND_MASK}) == [100, 101, 102]


def test_the_clock_correction_makes_the_least_latency_the_base_latency(tmp_path):
    path = packed(tmp_path / "early.gz", capture(4, delay_ns=-500_000_000))
    report = convert([path], tmp_path / "out.npz", options=Options(base_latency_ns=123))
    rows = read_events(tmp_path / "out.npz")
    assert report.latency_min_ns < 0
    assert report.clock_correction_ns == 123 - report.latency_min_ns
    assert (rows["local_ts"] - rows["exch_ts"]).min() == 123
    assert report.local.first_ts == rows["local_ts"].min()
    assert report.local.last_ts == rows["local_ts"].max()
    assert (report.exch.first_ts, report.exch.last_ts) == (rows["exch_ts"].min(), rows["exch_ts"].max())


def test_captures_in_a_row_give_what_one_capture_gives(tmp_path):
    lines = steady(capture(5))
    whole = packed(tmp_path / "whole.gz", lines)
    parts = [packed(tmp_path / f"{k}.gz", lines[k * 60 : k * 60 + 60]) for k in range(len(lines) // 60 + 1)]
    one = convert([whole], tmp_path / "one.npz")
    many = convert(parts, tmp_path / "many.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "many.npz").read_bytes()
    assert (many.lines, many.rows, many.sequence) == (one.lines, one.rows, one.sequence)


def test_plain_text_blanks_and_unquoted_numbers_are_read_like_what_the_exchange_sends(tmp_path):
    lines = capture(6)
    spaced = []
    for text in lines:
        time, message = text.split(b" ", 1)
        spaced.append(time + b"  " + json.dumps(json.loads(message)).encode() + b" \r\n")
    plain = tmp_path / "plain.txt"
    plain.write_bytes(b"".join(spaced).replace(b'"q": "', b'"q": "0'))
    convert([plain], tmp_path / "a.npz")
    convert([packed(tmp_path / "c.gz", lines)], tmp_path / "b.npz")
    assert read_events(tmp_path / "a.npz").tobytes() == read_events(tmp_path / "b.npz").tobytes()


def test_the_report_is_json_with_plain_values(tmp_path):
    report = convert([packed(tmp_path / "c.gz", capture(7))], tmp_path / "out.npz")
    assert json.loads(report.to_json()) == report.to_dict()
    assert report.bytes_written == (tmp_path / "out.npz").stat().st_size
    assert report.symbol == "BTCUSDT"


def test_progress_ends_with_all_bytes_read_and_all_rows_written(tmp_path):
    read, written = [], []
    path = packed(tmp_path / "c.gz", capture(8))
    report = convert(
        [path],
        tmp_path / "out.npz",
        progress=lambda done, total: read.append((done, total)),
        on_write=lambda done, total: written.append((done, total)),
    )
    size = path.stat().st_size
    assert read[-1] == (size, size)
    assert written[-1] == (report.rows, report.rows)
