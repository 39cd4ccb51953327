"""Statistics by themselves: what they give, in which forms, and what they refuse."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError, UsageError
from hftd.types import record_dtype
from sim.stats import SR, LinearAssetRecord, Metric
from sim.stats.sampling import window_starts
from tests.sim.stats.records import random_record


def test_the_summary_is_a_table_that_prints_and_converts():
    made = (
        LinearAssetRecord(random_record(1, 200_000)).resample("1m").daily().stats(book_size=10_000).figures()
    )
    assert len(made) == 4
    text = str(made)
    assert "SR" in text
    assert "2022-08-31" in text
    assert made["start"][0] == datetime(2022, 8, 31)  # noqa: DTZ001 - without a zone, as the reference has it
    assert made.to_dict()["Return"][-1] == made.to_dicts()[-1]["Return"]
    assert "<td>" in made._repr_html_()
    polars = pytest.importorskip("polars")
    assert made.to_polars()["SR"].to_list() == made["SR"]
    assert isinstance(made.to_polars(), polars.DataFrame)


def test_pandas_takes_the_summary():
    pytest.importorskip("pandas")
    made = LinearAssetRecord(random_record(1)).stats().figures()
    assert made.to_pandas()["SR"].tolist() == made["SR"]


def test_stats_can_be_taken_again_of_the_same_record():
    record = LinearAssetRecord(random_record(2)).resample("10s")
    first = record.stats().splits
    record.resample("1m").stats()
    assert record.resample("10s").stats().splits == first


def test_a_metric_of_ones_own_is_computed_beside_the_others():
    class Least(Metric):
        def __init__(self, floor=0.0):
            self.floor = floor

        def compute(self, df, context):
            assert "SR" in context
            return {"Least": max(self.floor, float(df["position"].min()))}

    made = LinearAssetRecord(random_record(3)).stats([SR, Least], floor=-1e9).splits[-1]
    assert made["Least"] < 0
    again = LinearAssetRecord(random_record(3)).stats([SR("Sharpe", trading_days_per_year=365)]).splits[-1]
    assert "Sharpe" in again


def test_what_has_no_value_says_why():
    rows = random_record(4, trade_chance=0.0)
    summary = LinearAssetRecord(rows).stats().figures()
    assert "ReturnOverTrade: nothing was traded" in summary.notes
    assert "SR: the equity never changed" in summary.notes
    assert "nothing was traded" in str(summary)
    assert "nan" not in str(summary).lower().replace("nan_", "")


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 40),
    seed=st.integers(0, 50),
    unpriced=st.integers(0, 40),
    every=st.sampled_from(["1s", "10s", "1h"]),
    chance=st.sampled_from([0.0, 0.5]),
)
@pytest.mark.filterwarnings("ignore:The sampling interval")
def test_every_figure_is_a_number_or_has_a_reason(count, seed, unpriced, every, chance):
    rows = random_record(seed, count, trade_chance=chance, unpriced=unpriced)
    made = LinearAssetRecord(rows).resample(every).stats(book_size=1000.0)
    noted = {note.split(":")[0] for note in made.figures().notes}
    for name, value in made.splits[-1].items():
        if name not in ("start", "end") and not np.isfinite(value):
            assert name in noted


def test_records_that_are_none_are_refused():
    with pytest.raises(DataError, match="one-dimensional"):
        LinearAssetRecord(np.zeros((3, 2), record_dtype))
    with pytest.raises(DataError, match="no column balance"):
        LinearAssetRecord({"timestamp": [1], "price": [1.0], "position": [1.0], "fee": [0.0]})
    with pytest.raises(DataError, match="no rows"):
        LinearAssetRecord(np.zeros(0, record_dtype)).stats()
    with pytest.raises(DataError, match="list is not a record"):
        LinearAssetRecord([1, 2])


def test_a_record_that_is_not_sorted_names_the_row():
    rows = random_record(5)
    rows["timestamp"][17] = 0
    with pytest.raises(DataError, match="row 17"):
        LinearAssetRecord(rows).stats()


@pytest.mark.parametrize("every", ["", "10", "s", "10x", "1mo2d", "0s", "-1s", "1.5s", "10s "])
def test_what_is_no_duration_is_refused(every):
    with pytest.raises(UsageError, match="duration"):
        LinearAssetRecord(random_record(6)).resample(every).stats()


def test_mistyped_arguments_are_refused_with_what_there_is():
    with pytest.raises(UsageError, match="'bok_size'") as caught:
        LinearAssetRecord(random_record(7)).stats(bok_size=1)
    assert "book_size" in caught.value.hint
    with pytest.raises(UsageError, match="'min'"):
        LinearAssetRecord(random_record(7)).time_unit("min").stats()
    with pytest.raises(UsageError, match="holoviews"):
        LinearAssetRecord(random_record(7)).stats().plot(backend="holoviews")
    with pytest.raises(UsageError, match="book_size"):
        LinearAssetRecord(random_record(7)).stats().plot(price_as_ret=True)


@pytest.mark.parametrize(("book_size", "as_ret"), [(None, False), (1000.0, False), (1000.0, True)])
def test_the_picture_has_equity_position_and_price(book_size, as_ret):
    kwargs = {} if book_size is None else {"book_size": book_size}
    figure = LinearAssetRecord(random_record(8)).stats(**kwargs).plot(price_as_ret=as_ret)
    labels = {line.get_label() for axes in figure.axes for line in axes.get_lines()}
    assert labels == {"Equity", "Equity w/o fee", "Price", "Position"}
    assert all(len(line.get_ydata()) > 10 for axes in figure.axes for line in axes.get_lines())


@settings(max_examples=50, deadline=None)
@given(
    ns=st.lists(st.integers(0, 2**61), min_size=1, max_size=30),
    every=st.sampled_from(["7s", "1h30m", "1w", "1mo"]),
)
def test_each_time_lies_in_its_window_and_windows_keep_the_order(ns, every):
    times = np.sort(np.array(ns, np.int64))
    starts = window_starts(times, every)
    assert (starts <= times).all()
    assert (np.diff(starts) >= 0).all()
    np.testing.assert_array_equal(window_starts(starts, every), starts)
