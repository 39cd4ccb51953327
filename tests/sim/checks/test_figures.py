"""Figures of a check: percentiles, drift, the series over time, and that memory does not grow with the archive."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import BUY_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, TRADE_EVENT, event_dtype
from sim.archive import write_events
from sim.archive.write import ArchiveWriter
from sim.checks import Limits, examine, validate
from sim.checks.guess import guess_step

from .market import LOT_SIZE, START_NS, TICK_SIZE, kinds, sound_rows

ROOT = Path(__file__).parents[3]
LIMITS = Limits(tick_size=TICK_SIZE, lot_size=LOT_SIZE, gap_ns=1 << 60, jump_ns=1 << 60)
S = 1_000_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("figures")


def trades_of(latencies_ns, every_ns=1_000_000):
    rows = np.zeros(len(latencies_ns), event_dtype)
    rows["ev"] = EXCH_EVENT | LOCAL_EVENT | BUY_EVENT | TRADE_EVENT
    rows["exch_ts"] = START_NS + np.arange(len(rows)) * every_ns
    rows["local_ts"] = rows["exch_ts"] + np.asarray(latencies_ns, np.int64)
    rows["px"], rows["qty"] = 100.0, 0.001 * (1 + np.arange(len(rows)) % 50)
    return rows


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.one_of(st.integers(-(10**6), 10**6), st.integers(-(10**12), 10**12), st.integers(0, 300)),
        min_size=1,
        max_size=300,
    )
)
def test_percentiles_are_those_of_the_latencies(folder, latencies_ns):
    write_events(folder / "day.npz", trades_of(latencies_ns), level=0)
    found = validate([folder / "day.npz"], limits=LIMITS).latency
    assert set(found) == {"all", "trades"}
    assert (found["all"].min_ns, found["all"].max_ns) == (min(latencies_ns), max(latencies_ns))
    for share, got in ((1, found["all"].p1_ns), (50, found["all"].p50_ns), (99.9, found["all"].p999_ns)):
        exact = np.percentile(latencies_ns, share, method="inverted_cdf")
        assert got == pytest.approx(exact, rel=1 / 256, abs=1)


def test_book_and_trades_have_latencies_of_their_own(folder):
    rows = sound_rows(3, 300)
    rows["local_ts"][kinds(rows) == TRADE_EVENT] += 500_000
    write_events(folder / "day.npz", rows)
    latency = validate([folder / "day.npz"], limits=LIMITS).latency
    of_trades = (rows["local_ts"] - rows["exch_ts"])[kinds(rows) == TRADE_EVENT]
    of_book = (rows["local_ts"] - rows["exch_ts"])[kinds(rows) == 1]
    assert (latency["trades"].rows, latency["book"].rows) == (len(of_trades), len(of_book))
    assert (latency["trades"].min_ns, latency["book"].max_ns) == (of_trades.min(), of_book.max())


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), ppm=st.sampled_from([-40, -15, 15, 40]))
def test_a_clock_that_runs_away_is_found_in_spite_of_bursts(folder, seed, ppm):
    rng = np.random.default_rng(seed)
    count = 4000
    # An hour, with a fifth of the time in bursts.
    at_s = np.arange(count) * 0.9
    noise = rng.exponential(2_000_000, count) + (rng.random(count) < 0.2) * rng.exponential(50_000_000, count)
    write_events(
        folder / "day.npz", trades_of(500_000_000 + at_s * ppm * 1000 + noise, every_ns=900_000_000), level=0
    )
    report = validate([folder / "day.npz"], limits=LIMITS)
    assert report.drift is not None
    assert report.drift.ns_per_s == pytest.approx(ppm * 1000, rel=0.05)
    assert report.count("drift") == 1


def test_clocks_that_keep_together_have_no_drift(folder):
    rng = np.random.default_rng(1)
    write_events(
        folder / "day.npz", trades_of(5_000_000 + rng.exponential(2_000_000, 4000), 900_000_000), level=0
    )
    report = validate([folder / "day.npz"], limits=LIMITS)
    assert report.drift is not None
    assert report.count("drift") == 0


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), stretch=st.sampled_from([1, 50, 3000, 10**6]))
def test_the_series_holds_every_row_however_long_the_archive_is(folder, seed, stretch):
    rng = np.random.default_rng(seed)
    every = rng.integers(1, 10**6 * stretch, 2000)
    rows = trades_of(np.full(2000, 1000))
    rows["exch_ts"] = START_NS + np.cumsum(every)
    rows["local_ts"] = rows["exch_ts"] + 1000
    write_events(folder / "day.npz", rows, level=0)
    _, series = examine([folder / "day.npz"], limits=LIMITS)
    number = (rows["local_ts"] - series.start_ts[0]) // series.width_ns
    expected = np.bincount(number, minlength=len(series.start_ts))
    assert series.buckets["rows"].tolist() == expected.tolist()
    assert series.buckets["trades"].sum() == 2000
    assert 1 <= len(series.start_ts) <= 1024


@pytest.mark.parametrize(
    "step", [1e-8, 0.00005, 0.001, 0.01, 0.1, 0.25, 0.5, 1 / 32, 1.0, 2.5, 5.0, 10.0, 100.0]
)
def test_steps_are_guessed_in_spite_of_single_values_that_are_off(step):
    rng = np.random.default_rng(3)
    values = rng.integers(10_000, 12_000, 2000) * step
    values[7] += step / 3
    assert guess_step(values) == pytest.approx(step, rel=1e-12)


def test_what_has_no_step_is_not_guessed():
    assert guess_step(np.array([])) == 0.0
    assert guess_step(np.array([np.nan, np.inf, 0.0])) == 0.0
    assert guess_step(np.random.default_rng(1).random(500)) == 0.0


def test_few_values_are_not_taken_for_a_coarser_step():
    assert guess_step(np.array([100.0, 110.0, 120.0])) == 1.0


CHILD = """
import sys
from sim.checks import validate
report = validate([sys.argv[1]])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
sys.stdout.write(f"{report.rows} {peak.split()[1]}")
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_archive(tmp_path):
    day = sound_rows(1, 4000)
    span = int(day["local_ts"][-1] - day["local_ts"][0]) + S
    copies = 6_000_000 // len(day) + 1
    with ArchiveWriter(tmp_path / "large.npz", event_dtype) as writer:
        for number in range(copies):
            part = day.copy()
            for name in ("exch_ts", "local_ts"):
                part[name] += number * span
            writer.write(part)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "large.npz")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows, peak_kb = map(int, done.stdout.split())
    assert rows == copies * len(day)
    # The rows alone take 384 MB.
    assert peak_kb < 300_000


def test_sides_of_trades_are_told_apart(folder):
    rows = sound_rows(2, 300)
    write_events(folder / "day.npz", rows)
    report = validate([folder / "day.npz"], limits=LIMITS)
    trades = kinds(rows) == TRADE_EVENT
    assert report.trades.count == trades.sum()
    # Those of the test's market are all at the opposite best.
    assert report.trades.at_best == trades.sum()
    assert ((rows["ev"][trades] & np.uint64(BUY_EVENT | SELL_EVENT)) != 0).all()
