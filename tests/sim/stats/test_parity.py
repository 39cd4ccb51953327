"""Figures equal the reference's wherever both have them."""

import warnings

import numpy as np
import pytest

from sim import stats as ours
from tests.sim.report.runs import recorded
from tests.sim.stats.records import random_record

theirs = pytest.importorskip("hftbacktest.stats", reason="the reference is not installed")

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:The sampling interval"),
    pytest.mark.filterwarnings("ignore:invalid value encountered"),
    pytest.mark.filterwarnings("ignore:Sortedness of columns"),
]

KINDS = {False: "LinearAssetRecord", True: "InverseAssetRecord"}
# Not in this list: position values of an inverse asset or of contracts of another size than 1, see test_differences.
METRICS = [
    "Ret", "AnnualRet", "SR", "Sortino", "MaxDrawdown", "ReturnOverMDD", "ReturnOverTrade", "NumberOfTrades",
    "DailyNumberOfTrades", "TradingVolume", "DailyTradingVolume", "TradingValue", "DailyTradingValue",
]  # fmt: skip
OF_LINEAR = ["MaxPositionValue", "MeanPositionValue", "MedianPositionValue", "MaxLeverage"]


def figures(package, rows, inverse, *, every="10s", part=None, size=1.0, names=None, unit=None, **kwargs):
    record = getattr(package, KINDS[inverse])(rows).contract_size(size).resample(every)
    if unit is not None:
        record = record.time_unit(unit)
    if part is not None:
        record = getattr(record, part)()
    chosen = None if names is None else [getattr(package, name) for name in names]
    made = record.stats(chosen, **kwargs)
    return made.splits, made.entire


def check(rows, inverse, **how):
    expected, entire = figures(theirs, rows, inverse, **how)
    found, own = figures(ours, rows, inverse, **how)
    assert len(found) == len(expected)
    for mine, their in zip(found, expected, strict=True):
        assert list(mine) == list(their)
        for name, value in their.items():
            if name in ("start", "end"):
                assert mine[name] == value
            else:
                np.testing.assert_allclose(mine[name], float(value), rtol=1e-9, atol=1e-12, err_msg=name)
    for column in ("equity_wo_fee", "trading_value_", "trading_volume_", "num_trades_", "position"):
        np.testing.assert_allclose(own[column], entire[column].to_numpy(), rtol=1e-12, err_msg=column)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("part", [None, "daily", "monthly"])
def test_all_figures_of_random_records_are_the_references(seed, inverse, part):
    rows = random_record(seed, 3_000, inverse=inverse, interval_ns=60_000_000_000)
    check(rows, inverse, part=part, every="5m", names=METRICS)
    check(rows, inverse, part=part, every="5m", names=METRICS, book_size=50_000.0, trading_days_per_year=365)


@pytest.mark.parametrize("every", ["1s", "10s", "7s", "1m", "1m30s", "1h", "100ms", None])
def test_resampling_has_the_references_windows(every):
    check(random_record(5, 4_000, jitter_ns=900_000_000), False, every=every, names=METRICS[4:])


@pytest.mark.parametrize("every", ["1d", "3d", "1w", "2w", "1mo", "1q", "1y"])
def test_windows_of_the_calendar_are_the_references(every):
    rows = random_record(6, 3_000, interval_ns=3_600_000_000_000)
    check(rows, False, every=every, names=METRICS[4:])


def test_values_of_positions_of_a_linear_asset_are_the_references():
    check(random_record(7), False, names=OF_LINEAR, book_size=1_000_000.0)


def test_the_default_figures_are_the_references():
    rows = random_record(8, 5_000)
    check(rows, False)
    check(rows, False, book_size=10_000.0)


@pytest.mark.parametrize("inverse", [False, True])
def test_contracts_of_another_size_are_worth_what_the_reference_says(inverse):
    rows = random_record(9, inverse=inverse, contract_size=100.0)
    check(rows, inverse, size=100.0, names=METRICS)


def test_rows_before_the_first_price_are_left_out_as_by_the_reference():
    check(random_record(10, unpriced=300), False, names=METRICS, every="10s")


@pytest.mark.parametrize(("unit", "scale"), [("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)])
def test_times_in_other_units_are_understood_as_by_the_reference(unit, scale):
    rows = random_record(11)
    rows["timestamp"] //= scale
    check(rows, False, unit=unit, names=METRICS)


def test_a_record_without_counts_is_understood_as_by_the_reference():
    rows = random_record(12)
    few = rows[["timestamp", "price", "position", "balance", "fee"]]
    frame = {name: np.ascontiguousarray(few[name]) for name in few.dtype.names}
    polars = pytest.importorskip("polars")
    expected, _ = figures(theirs, polars.DataFrame(frame), False, names=METRICS[7:11])
    for data in (frame, polars.DataFrame(frame), few):
        found, _ = figures(ours, data, False, names=METRICS[7:11])
        for name, value in expected[0].items():
            assert found[0][name] == pytest.approx(value) if name not in ("start", "end") else True


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("every", ["100ms", "1s"])
def test_figures_of_recorded_runs_are_the_references(tmp_path, inverse, every):
    rows = np.load(recorded(tmp_path, count=10_000, inverse=inverse))["0"]
    size = 100.0 if inverse else 1.0
    assert rows["num_trades"][-1] > 100
    check(rows, inverse, every=every, size=size, names=METRICS)
    check(rows, inverse, every=every, size=size, names=METRICS, book_size=1_000.0)


def test_a_run_that_never_trades_has_the_references_figures():
    rows = random_record(13, trade_chance=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        check(rows, False)
