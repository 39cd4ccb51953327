"""What an archive out of :mod:`sim.generate` promises to whoever replays it."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError, UsageError
from hftd.types import (
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    TRADE_EVENT,
    event_dtype,
    latency_dtype,
)
from sim import generate
from sim.generate import (
    DEMO,
    DEMO_DATE,
    DEMO_SEED,
    MARKETS,
    MarketInstrument,
    generate_day,
    generate_latencies,
    generate_market,
    write_day,
)
from sim.generator.layout import STEP_ROWS_MAX
from tests.sim.touch import ReplayedBook, columns

_FUTURE, _SPOT = DEMO
_MIDNIGHT_NS = 1_661_904_000_000_000_000


@st.composite
def instruments(draw):
    """Liquid and illiquid, busy and slow, fine and coarse instruments."""
    tick_size = draw(st.sampled_from([0.1, 0.01, 0.5, 0.00001]))
    return MarketInstrument(
        "somewhere",
        "ANY",
        tick_size,
        draw(st.sampled_from([0.001, 1.0, 0.5])),
        tick_size * draw(st.integers(10_000, 3_000_000)),
        trades_per_s=draw(st.floats(0.5, 20.0)),
        updates_per_s=draw(st.floats(20.0, 2_000.0)),
        touch_qty=draw(st.floats(0.01, 1_000.0)),
        trade_qty=draw(st.floats(0.001, 50.0)),
        impact_ticks=draw(st.floats(0.0, 5.0)),
        lag_ms=draw(st.integers(0, 127)),
        latency_ns=draw(st.integers(0, 20_000_000)),
    )


@given(instruments(), st.integers(0, 1 << 40))
@settings(max_examples=30, deadline=None)
def test_any_instrument_gives_a_book_that_can_be_replayed_and_is_never_crossed(item, seed):
    rows = generate_day(seed, [item], duration_s=8.0)["ANY"]
    assert rows.dtype == event_dtype
    assert (rows["ev"] & np.uint64(EXCH_EVENT | LOCAL_EVENT) == np.uint64(EXCH_EVENT | LOCAL_EVENT)).all()
    assert (np.diff(rows["exch_ts"]) >= 0).all() and (np.diff(rows["local_ts"]) >= 0).all()
    assert (rows["local_ts"] - rows["exch_ts"] >= item.latency_ns).all()
    assert (rows["local_ts"] - rows["exch_ts"] <= 200_000_000).all()
    kinds, bids, ticks, lots = columns(rows, item.tick_size, item.lot_size)
    assert (rows["px"] == np.array(ticks) * item.tick_size).all()
    assert (rows["qty"] == np.array(lots) * item.lot_size).all()
    assert (rows["px"] > 0.0).all() and (rows["qty"] >= 0.0).all()
    book = ReplayedBook()
    for kind, is_bid, tick, quantity in zip(kinds, bids, ticks, lots, strict=True):
        if kind == TRADE_EVENT:
            assert quantity > 0
        elif kind in (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT):
            # A removal of what is not there would raise; a row that changes nothing is not sent.
            assert (book.bids if is_bid else book.asks).get(tick) != quantity
            book.apply(is_bid, tick, quantity)
            assert not book.is_crossed
    assert book.bids and book.asks


def test_a_day_begins_with_a_snapshot_of_both_sides_and_goes_on_with_differences():
    rows = generate_day(1, [_FUTURE], duration_s=2.0)["BTCUSDT"]
    kinds = (rows["ev"] & np.uint64(0xFF)).astype(int)
    snapshot = int((kinds != DEPTH_CLEAR_EVENT).argmax())
    rest = int(np.isin(kinds, (DEPTH_EVENT, TRADE_EVENT)).argmax())
    assert snapshot == 2
    assert rest > 1000 and (kinds[snapshot:rest] == DEPTH_SNAPSHOT_EVENT).all()
    assert (rows["exch_ts"][:rest] == _MIDNIGHT_NS).all()
    assert np.isin(kinds[rest:], (DEPTH_EVENT, TRADE_EVENT)).all()
    assert rows["exch_ts"][-1] < _MIDNIGHT_NS + 2_000_000_000


def test_depth_comes_every_thirty_to_a_hundred_milliseconds_and_trades_at_once():
    rows = generate_day(1, [_FUTURE], duration_s=30.0)["BTCUSDT"]
    kinds = (rows["ev"] & np.uint64(0xFF)).astype(int)
    gaps_ms = np.diff(np.unique(rows["exch_ts"][kinds == DEPTH_EVENT])) / 1e6
    assert gaps_ms.min() >= 30.0 and gaps_ms.max() <= 100.0
    trade_times = rows["exch_ts"][kinds == TRADE_EVENT]
    assert (trade_times % 1_000 == 0).all() and (trade_times % 1_000_000 != 0).any()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    first, again, other = (generate_day(seed, DEMO, duration_s=3.0) for seed in (9, 9, 10))
    for symbol in first:
        assert first[symbol].tobytes() == again[symbol].tobytes() != other[symbol].tobytes()


def test_a_seed_gives_these_bytes_on_every_machine():
    rows = generate_day(20220831, DEMO, duration_s=5.0)
    digest = hashlib.blake2b(b"".join(part.tobytes() for part in rows.values()), digest_size=8)
    assert digest.hexdigest() == "eef353ea367639b9"


def test_the_demos_whole_day_has_the_bytes_that_it_always_had():
    day = generate_market(MARKETS["demo"], DEMO_SEED, DEMO_DATE, 60.0)
    digest = hashlib.blake2b(digest_size=8)
    for part in (*day.rows.values(), *day.latencies.values()):
        digest.update(part.tobytes())
    assert digest.hexdigest() == "c8c862bbc5a80da5"


def test_a_longer_day_begins_as_the_shorter_one():
    short = generate_day(4, DEMO, duration_s=3.0)["BTCBUSD"]
    long = generate_day(4, DEMO, duration_s=13.0)["BTCBUSD"]
    assert len(long) > len(short) and long[: len(short)].tobytes() == short.tobytes()


def test_the_size_of_the_row_buffer_does_not_show(monkeypatch):
    whole = generate_day(4, DEMO, duration_s=20.0)
    monkeypatch.setattr(generate, "_CHUNK_ROWS", STEP_ROWS_MAX + 5_000)
    pieces = generate_day(4, DEMO, duration_s=20.0)
    assert len(whole["BTCUSDT"]) > 5_000
    for symbol in whole:
        assert whole[symbol].tobytes() == pieces[symbol].tobytes()


def test_progress_rises_to_one():
    told: list[float] = []
    generate_day(1, [_SPOT], duration_s=35.0, progress=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) == 4


def test_order_latencies_go_with_the_feed_and_some_requests_are_refused():
    feeds = list(generate_day(3, DEMO, duration_s=300.0).values())
    rows = generate_latencies(3, "somewhere", feeds)
    assert rows.dtype == latency_dtype and 3_000 <= len(rows) <= 3_002
    accepted = rows[rows["exch_ts"] > 0]
    refused = len(rows) - len(accepted)
    assert 0 < refused < 0.05 * len(rows)
    assert (np.diff(rows["req_ts"]) == 100_000_000).all()
    assert (np.diff(accepted["exch_ts"]) >= 0).all() and (np.diff(rows["resp_ts"]) >= 0).all()
    assert (accepted["exch_ts"] > accepted["req_ts"]).all()
    assert (accepted["resp_ts"] > accepted["exch_ts"]).all()
    assert ((rows["resp_ts"] - rows["req_ts"]) < 500_000_000).all()
    feed = np.concatenate(feeds)
    feed = feed[np.argsort(feed["local_ts"], kind="stable")]
    last = np.searchsorted(feed["local_ts"], accepted["req_ts"], side="right") - 1
    feed_ns = (feed["local_ts"] - feed["exch_ts"])[np.maximum(last, 0)]
    assert np.corrcoef(feed_ns, accepted["exch_ts"] - accepted["req_ts"])[0, 1] > 0.3


def test_a_day_is_written_where_the_patterns_say_and_nothing_else_is_left(tmp_path):
    written = write_day(tmp_path / "data", DEMO, seed=2, duration_s=1.0)
    names = [str(path.relative_to(tmp_path / "data")) for path in written]
    assert names == [
        "demofutures/BTCUSDT_20220831.npz",
        "demospot/BTCBUSD_20220831.npz",
        "demofutures/latency_20220831.npz",
        "demospot/latency_20220831.npz",
    ]
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(written)
    rows = generate_day(2, DEMO, duration_s=1.0)
    for path, item in zip(written, DEMO, strict=False):
        with np.load(path) as file:
            assert file["data"].tobytes() == rows[item.symbol].tobytes()
    before = [path.read_bytes() for path in written]
    write_day(tmp_path / "data", DEMO, seed=2, duration_s=1.0)
    assert [path.read_bytes() for path in written] == before


def test_a_folder_that_can_not_be_written_is_a_data_error(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DataError, match="can't be written"):
        write_day(tmp_path / "data", [_FUTURE], duration_s=0.1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"date": "2022-08-31"}, "is not a date"),
        ({"date": 20220831}, "is not a date"),
        ({"duration_s": 0.0}, "duration"),
        ({"duration_s": float("nan")}, "duration"),
        ({"instruments": []}, "at least one"),
        ({"instruments": [_FUTURE, replace(_SPOT, symbol="BTCUSDT")]}, "same symbol"),
        ({"instruments": [replace(_FUTURE, tick_size=0.0)]}, "tick_size is 0"),
        ({"instruments": [replace(_FUTURE, lot_size=float("nan"))]}, "lot_size is nan"),
        ({"instruments": [replace(_FUTURE, start_price=5.0)]}, "5,000 ticks"),
        ({"instruments": [replace(_FUTURE, lag_ms=5_000)]}, "lag_ms is 5000"),
        ({"instruments": [replace(_FUTURE, latency_ns=-1)]}, "latency_ns"),
    ],
)
def test_what_can_not_be_generated_is_said(changes, says):
    arguments = {"seed": 1, "instruments": DEMO, "date": "20220831", "duration_s": 1.0} | changes
    with pytest.raises(UsageError, match=says):
        generate_day(**arguments)


@pytest.mark.parametrize(
    ("pattern", "says"), [("{date}.npz", "share a file"), ("{venue}.npz", "not one of"), ("{", "not one of")]
)
def test_a_pattern_that_does_not_work_is_said_before_anything_is_written(tmp_path, pattern, says):
    with pytest.raises(UsageError, match=says):
        write_day(tmp_path, DEMO, duration_s=0.1, pattern=pattern)
    assert not list(tmp_path.iterdir())
