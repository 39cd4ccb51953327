"""The book at the end of a day is the engine's, and the next day can begin with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError, UsageError
from hftd.types import ADD_ORDER_EVENT, BUY_EVENT, EXCH_EVENT, KIND_MASK
from sim import BacktestAsset, HashMapMarketDepthBacktest
from sim.archive import read_events, write_events
from sim.tools import snapshot
from tests.sim.checks.market import LOT_SIZE, START_NS, TICK_SIZE, sound_rows
from tests.sim.l3.market import LOT_SIZE as L3_LOT
from tests.sim.l3.market import TICK_SIZE as L3_TICK
from tests.sim.l3.market import Market as Orders

STEPS = {"tick_size": TICK_SIZE, "lot_size": LOT_SIZE}
DAY_NS = 86_400_000_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("snapshots")


def engine_book(files, initial=None):
    asset = BacktestAsset().data([str(file) for file in files]).tick_size(TICK_SIZE).lot_size(LOT_SIZE)
    if initial is not None:
        asset = asset.initial_snapshot(str(initial))
    hbt = HashMapMarketDepthBacktest([asset])
    hbt._goto_end()
    rows = hbt.depth(0).snapshot()
    hbt.close()
    return rows


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_a_snapshot_is_the_book_that_the_engine_ends_with(folder, seed):
    write_events(folder / "day.npz", sound_rows(seed))
    rows, report = snapshot([folder / "day.npz"], folder / "eod.npz", **STEPS)
    assert rows.tobytes() == engine_book([folder / "day.npz"]).tobytes()
    assert read_events(folder / "eod.npz").tobytes() == rows.tobytes()
    assert (report.kind, report.bids + report.asks) == ("levels", len(rows))
    assert report.best_bid == rows["px"][0]


def test_days_go_on_from_each_other_and_from_a_snapshot(folder):
    files = []
    for number in range(3):
        rows = sound_rows(number, start_ns=START_NS + number * DAY_NS)
        # Only the first day has a snapshot of its own.
        rows = rows if number == 0 else rows[np.flatnonzero((rows["ev"] & np.uint64(KIND_MASK)) == 1)[0] :]
        files.append(folder / f"day{number}.npz")
        write_events(files[-1], rows)
    whole, _ = snapshot(files, **STEPS)
    assert whole.tobytes() == engine_book(files).tobytes()
    snapshot(files[:2], folder / "two.npz", **STEPS)
    third, _ = snapshot(files[2:], initial=folder / "two.npz", **STEPS)
    assert third.tobytes() == engine_book(files[2:], folder / "two.npz").tobytes()


def test_a_snapshot_of_a_moment_knows_nothing_of_what_came_later(folder):
    rows = sound_rows(4)
    write_events(folder / "day.npz", rows)
    until = int(rows["local_ts"][len(rows) // 2])
    early = rows[rows["local_ts"] <= until]
    write_events(folder / "early.npz", early)
    found, report = snapshot([folder / "day.npz"], until_ts=until, **STEPS)
    assert found.tobytes() == snapshot([folder / "early.npz"], **STEPS)[0].tobytes()
    assert report.last_ts == early["local_ts"][-1]


def test_the_exchange_has_a_book_of_its_own(folder):
    rows = sound_rows(4)
    rows["ev"][rows["local_ts"] > rows["local_ts"][len(rows) // 2]] &= ~np.uint64(1 << 30)
    write_events(folder / "day.npz", rows)
    local, _ = snapshot([folder / "day.npz"], **STEPS)
    exch, _ = snapshot([folder / "day.npz"], clock="exch", **STEPS)
    assert local.tobytes() != exch.tobytes()
    rows["ev"] |= np.uint64(1 << 30)
    write_events(folder / "both.npz", rows)
    assert exch.tobytes() == snapshot([folder / "both.npz"], **STEPS)[0].tobytes()


@pytest.mark.parametrize("seed", range(6))
def test_a_snapshot_of_single_orders_has_them_in_the_order_of_their_queues(folder, seed):
    rows = Orders(seed).rows(400)
    half = len(rows) // 2
    write_events(folder / "a.npz", rows[:half])
    write_events(folder / "b.npz", rows[half:])
    steps = {"tick_size": L3_TICK, "lot_size": L3_LOT}
    start, report = snapshot([folder / "a.npz"], folder / "eod.npz", **steps)
    assert report.kind == "orders"
    assert set((start["ev"] & np.uint64(KIND_MASK)).tolist()) == {ADD_ORDER_EVENT}
    # Bids before asks, each from the best price outwards.
    for flag, sign in ((BUY_EVENT, -1), (1 << 28, 1)):
        px = start["px"][(start["ev"] & np.uint64(flag)) != 0]
        assert (np.diff(sign * px) >= 0).all()
    # Who goes on from the snapshot has the queues of who saw both halves.
    whole, _ = snapshot([folder / "a.npz", folder / "b.npz"], **steps)
    later, _ = snapshot([folder / "b.npz"], initial=folder / "eod.npz", **steps)
    assert later.tobytes() == whole.tobytes()


def test_guessed_steps_are_said(folder):
    write_events(folder / "day.npz", sound_rows(1))
    rows, report = snapshot([folder / "day.npz"])
    assert (report.tick_size, report.tick_guessed) == (TICK_SIZE, True)
    assert (report.lot_size, report.lot_guessed) == (LOT_SIZE, True)
    assert rows.tobytes() == snapshot([folder / "day.npz"], **STEPS)[0].tobytes()


def test_a_row_that_can_not_be_played_is_said_with_its_number(folder):
    rows = sound_rows(1)
    rows["px"][77] = np.nan
    write_events(folder / "day.npz", rows)
    with pytest.raises(DataError, match="row 77: its price or quantity can't be"):
        snapshot([folder / "day.npz"], **STEPS)
    rows = sound_rows(1)
    rows["local_ts"][99] -= 10**10
    write_events(folder / "day.npz", rows)
    with pytest.raises(DataError, match="row 99: its time is earlier"):
        snapshot([folder / "day.npz"], **STEPS)


def test_an_empty_book_is_an_error_and_no_file(tmp_path):
    rows = sound_rows(1)
    rows["ev"] = EXCH_EVENT | 2 | BUY_EVENT
    write_events(tmp_path / "day.npz", rows)
    with pytest.raises(DataError, match="the book is empty"):
        snapshot([tmp_path / "day.npz"], tmp_path / "eod.npz", **STEPS)
    assert [path.name for path in tmp_path.iterdir()] == ["day.npz"]


def test_a_name_that_is_no_npz_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"must end in \.npz"):
        snapshot([tmp_path / "day.npz"], tmp_path / "eod.csv")


@pytest.mark.parity
@pytest.mark.timeout(400)
@pytest.mark.thorough
def test_rows_are_those_of_the_reference_on_a_real_market(futures_capture, tmp_path):
    reference = pytest.importorskip(
        "hftbacktest.data.utils.snapshot", reason="the reference is not installed"
    )
    from sim.convert import convert

    convert([futures_capture], tmp_path / "day.npz")
    rows = read_events(tmp_path / "day.npz")
    middle = len(rows) // 2
    write_events(tmp_path / "a.npz", rows[:middle])
    write_events(tmp_path / "b.npz", rows[middle:])
    names = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    for files in ([str(tmp_path / "day.npz")], names, names[:1]):
        theirs = reference.create_last_snapshot(files, 0.1, 0.001)
        assert snapshot(files)[0].tobytes() == np.ascontiguousarray(theirs).tobytes()
    snapshot(names[:1], tmp_path / "eod.npz")
    theirs = reference.create_last_snapshot(names[1:], 0.1, 0.001, initial_snapshot=str(tmp_path / "eod.npz"))
    ours, _ = snapshot(names[1:], initial=tmp_path / "eod.npz")
    assert ours.tobytes() == np.ascontiguousarray(theirs).tobytes()
