"""Order latencies from a feed and from recorded orders: the reference's rows, and what a backtest can read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError, UsageError
from hftd.runfile import write_run
from hftd.types import BUY, GTC, LIMIT, LOCAL_EVENT, latency_dtype, record_dtype
from sim import BacktestAsset, HashMapMarketDepthBacktest
from sim.archive import read_latencies, write_events
from sim.tools import feed_latencies, recorded_latencies
from tests.sim.checks.market import LOT_SIZE, START_NS, TICK_SIZE, sound_rows

MS = 1_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("latencies")


def latencies(*rows):
    made = np.zeros(len(rows), latency_dtype)
    for number, row in enumerate(rows):
        made[number] = (*row, 0)
    return made


# From a feed.


def by_hand(rows, mul_entry, offset_entry, mul_resp, offset_resp, every_ns):
    both = rows[(rows["ev"] >> np.uint64(30)) & np.uint64(3) == 3]
    last = {}
    for row in both:
        last[int(row["local_ts"]) // every_ns] = int(row["exch_ts"]), int(row["local_ts"])
    made = []
    for exch_ts, local_ts in last.values():
        latency = local_ts - exch_ts
        exch = local_ts + round(mul_entry * latency + offset_entry)
        made.append((local_ts, exch, exch + round(mul_resp * latency + offset_resp)))
    return latencies(*made)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    mul=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    offset=st.tuples(st.integers(-100, 10**7), st.integers(-100, 10**7)),
    every_ns=st.sampled_from([1, 10 * MS, 333 * MS, 1000 * MS]),
)
def test_rows_are_the_last_of_each_stretch_scaled(folder, seed, mul, offset, every_ns):
    rows = sound_rows(seed)
    rows["ev"][::7] &= ~np.uint64(LOCAL_EVENT)
    write_events(folder / "day.npz", rows)
    names = {"mul_entry": mul[0], "offset_entry": offset[0], "mul_resp": mul[1], "offset_resp": offset[1]}
    found, report = feed_latencies([folder / "day.npz"], folder / "out.npz", resampling_ns=every_ns, **names)
    assert found.tobytes() == by_hand(rows, mul[0], offset[0], mul[1], offset[1], every_ns).tobytes()
    assert read_latencies(folder / "out.npz").tobytes() == found.tobytes()
    assert (report.rows, report.rows_read) == (len(found), len(rows))


def test_stretches_go_on_from_one_file_to_the_next(folder):
    rows = sound_rows(3, 400)
    write_events(folder / "whole.npz", rows)
    third = len(rows) // 3
    files = [folder / f"part{number}.npz" for number in range(3)]
    for number, file in enumerate(files):
        write_events(
            file, rows[number * third :] if number == 2 else rows[number * third : (number + 1) * third]
        )
    assert feed_latencies(files)[0].tobytes() == feed_latencies([folder / "whole.npz"])[0].tobytes()


@pytest.mark.parity
@pytest.mark.parametrize(
    "names",
    [
        {},
        {"mul_entry": 4, "offset_entry": 100_000, "mul_resp": 3, "offset_resp": 7},
        {"resampling_ns": 100 * MS, "mul_entry": 2},
    ],
)
def test_with_whole_parameters_the_rows_are_the_references(futures_capture, tmp_path, names):
    reference = pytest.importorskip(
        "hftbacktest.data.utils.feed_order_latency", reason="the reference is not installed"
    )
    pytest.importorskip("polars")
    from sim.convert import convert

    convert([futures_capture], tmp_path / "day.npz")
    theirs = reference.generate_order_latency(str(tmp_path / "day.npz"), **names)
    ours, _ = feed_latencies([tmp_path / "day.npz"], **names)
    assert ours.tobytes() == np.ascontiguousarray(theirs).tobytes()


@pytest.mark.parity
def test_with_fractions_the_references_times_are_rounded_to_256_ns_and_ours_are_not(
    futures_capture, tmp_path
):
    reference = pytest.importorskip(
        "hftbacktest.data.utils.feed_order_latency", reason="the reference is not installed"
    )
    pytest.importorskip("polars")
    from sim.convert import convert

    convert([futures_capture], tmp_path / "day.npz")
    names = {"mul_entry": 1.5, "mul_resp": 0.25}
    theirs = reference.generate_order_latency(str(tmp_path / "day.npz"), **names)
    ours, _ = feed_latencies([tmp_path / "day.npz"], **names)
    assert (theirs["exch_ts"] % 256 == 0).all()
    assert (ours["exch_ts"] % 256 != 0).any()
    assert np.abs(theirs["exch_ts"] - ours["exch_ts"]).max() <= 256
    assert np.abs(theirs["resp_ts"] - ours["resp_ts"]).max() <= 512


@pytest.mark.parametrize(
    "names", [{"mul_entry": float("nan")}, {"offset_resp": float("inf")}, {"resampling_ns": 0}]
)
def test_parameters_that_are_no_numbers_are_refused(folder, names):
    with pytest.raises(UsageError, match=next(iter(names))):
        feed_latencies([folder / "day.npz"], **names)


def test_rows_out_of_order_are_said_with_their_number(folder):
    rows = sound_rows(1)
    rows["local_ts"][100] -= 10**10
    write_events(folder / "bad.npz", rows)
    with pytest.raises(DataError, match="row 100: local_ts is earlier"):
        feed_latencies([folder / "bad.npz"])


def test_negative_latencies_are_said(folder):
    write_events(folder / "day.npz", sound_rows(1))
    _, report = feed_latencies([folder / "day.npz"], offset_entry=-(10**9))
    assert any("are negative" in note for note in report.notes)


# From recorded orders.


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(-(10**4), 10**5), st.integers(-(10**4), 10**5)),
        min_size=1,
    ),
    st.integers(1, 3),
)
def test_merged_rows_are_sorted_possible_and_none_is_lost(folder, orders, parts):
    made = [
        (START_NS + req, START_NS + req + entry, START_NS + req + max(entry + resp, 0))
        for req, entry, resp in orders
    ]
    rows = latencies(*made)
    files = [folder / f"recorded{number}.npz" for number in range(parts)]
    for number, file in enumerate(files):
        write_events(file, rows[number::parts] if len(rows[number::parts]) else rows[:1])
    merged, report = recorded_latencies(files, folder / "merged.npz")
    assert sorted(merged["req_ts"].tolist()) == merged["req_ts"].tolist()
    assert sorted({row[0] for row in made}) == sorted(set(merged["req_ts"].tolist()))
    assert len(merged) == len(set(made))
    assert (merged["req_ts"] <= merged["exch_ts"]).all()
    assert (merged["exch_ts"] <= merged["resp_ts"]).all()
    assert (np.diff(merged["exch_ts"]) >= 0).all()
    assert report.rows == len(merged)
    assert read_latencies(folder / "merged.npz").tobytes() == merged.tobytes()


def test_what_was_put_right_is_counted(folder):
    rows = latencies(
        (START_NS, START_NS - 5, START_NS + 9),
        (START_NS + 10, START_NS + 20, START_NS + 15),
        (START_NS + 10, START_NS + 20, START_NS + 15),
        (START_NS + 30, 0, START_NS + 40),
        (START_NS + 50, START_NS + 60, START_NS + 40),
    )
    write_events(folder / "orders.npz", rows)
    merged, report = recorded_latencies([folder / "orders.npz"])
    assert merged.tolist() == [
        (START_NS, START_NS, START_NS + 9, 0),
        (START_NS + 10, START_NS + 20, START_NS + 20, 0),
        (START_NS + 30, 0, START_NS + 40, 0),
    ]
    assert list(report.changed.values()) == [1, 1, 1, 1]
    assert (report.refused, report.rows_read) == (1, 5)


def run_file(path, rows):
    write_run(path, [np.zeros(3, record_dtype)] * 2, tables={"order_latency": rows})


def test_the_orders_of_a_run_are_taken_by_asset(folder):
    rows = latencies((START_NS, START_NS + 1, START_NS + 2), (START_NS + 5, START_NS + 6, START_NS + 7))
    rows["_padding"] = [0, 1]
    run_file(folder / "run.npz", rows)
    with pytest.raises(DataError, match="of the assets 0, 1"):
        recorded_latencies([folder / "run.npz"])
    merged, _ = recorded_latencies([folder / "run.npz"], asset_no=1)
    assert merged.tolist() == [(START_NS + 5, START_NS + 6, START_NS + 7, 0)]
    with pytest.raises(DataError, match="of asset 4"):
        recorded_latencies([folder / "run.npz"], asset_no=4)


def test_a_run_without_answered_orders_is_refused(folder):
    run_file(folder / "run.npz", latencies())
    with pytest.raises(DataError, match="has no order latencies"):
        recorded_latencies([folder / "run.npz"])


def test_orders_of_which_none_arrived_are_refused(folder):
    write_events(folder / "orders.npz", latencies((START_NS, 0, START_NS + 5)))
    with pytest.raises(DataError, match="none of 1 recorded orders reached"):
        recorded_latencies([folder / "orders.npz"])


def test_market_data_are_not_taken_for_orders(folder):
    write_events(folder / "day.npz", sound_rows(1))
    with pytest.raises(DataError, match="another type"):
        recorded_latencies([folder / "day.npz"])


def test_a_backtest_has_the_latencies_that_were_recorded(folder):
    rows = sound_rows(6)
    write_events(folder / "day.npz", rows)
    first = int(rows["local_ts"][0])
    for number in (1, 0):
        requests = first + np.arange(number, 100, 2) * 10 * MS
        orders = latencies(*((ts, ts + 3 * MS, ts + 8 * MS) for ts in requests.tolist()))
        write_events(folder / f"live{number}.npz", orders)
    recorded_latencies([folder / "live1.npz", folder / "live0.npz"], folder / "merged.npz")
    asset = (
        BacktestAsset()
        .data([str(folder / "day.npz")])
        .linear_asset(1.0)
        .intp_order_latency(str(folder / "merged.npz"))
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(TICK_SIZE)
        .lot_size(LOT_SIZE)
    )
    hbt = HashMapMarketDepthBacktest([asset])
    hbt.elapse(100 * MS)
    hbt.submit_buy_order(0, 1, 9000.0, 1.0, GTC, LIMIT, True)
    assert hbt.orders(0).get(1).side == BUY
    request_ts, exch_ts, response_ts = hbt.order_latency(0)
    assert (exch_ts - request_ts, response_ts - request_ts) == (3 * MS, 8 * MS)
    hbt.close()
