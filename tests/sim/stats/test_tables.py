"""Statistics as scripts take them: DataFrames where polars is installed, and what they do with them where it is not."""

import csv
import io
import sys

import numpy as np
import pytest

from hftd.errors import UsageError
from sim.stats import LinearAssetRecord, Metric
from sim.stats.frame import Frame
from sim.stats.summary import Summary
from tests.sim.stats.records import random_record


@pytest.fixture
def stats():
    return LinearAssetRecord(random_record(1, 200_000)).resample("1m").daily().stats(book_size=10_000)


def test_tables_are_polars_frames_where_it_is_installed(stats):
    pl = pytest.importorskip("polars")
    assert isinstance(stats.entire, pl.DataFrame)
    assert isinstance(stats.summary(), pl.DataFrame)
    made = stats.entire.with_columns((pl.col("equity_wo_fee") - pl.col("fee")).alias("equity"))
    expected = stats.columns["equity_wo_fee"] - stats.columns["fee"]
    np.testing.assert_array_equal(made["equity"].to_numpy(), expected)
    assert stats.summary()["SR"].to_list() == stats.figures()["SR"]


def test_a_metric_that_was_written_for_polars_is_given_its_frames():
    pytest.importorskip("polars")

    class Worst(Metric):
        def compute(self, df, context):
            return {"Worst": (df["equity_wo_fee"] - df["fee"]).diff().drop_nans().min()}

    made = LinearAssetRecord(random_record(3)).stats([Worst])
    equity = made.columns["equity_wo_fee"] - made.columns["fee"]
    assert made.splits[-1]["Worst"] == np.nanmin(np.diff(equity))


@pytest.fixture
def no_polars(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)


def test_without_polars_tables_do_what_scripts_do_with_them(stats, no_polars, tmp_path):
    entire, summary = stats.entire, stats.summary()
    assert isinstance(entire, Frame)
    assert isinstance(summary, Summary)
    assert (entire.height, entire.width) == entire.shape == (len(entire["fee"]), len(entire.columns))
    assert (summary.height, summary.width) == summary.shape == (4, len(summary.columns))
    equity = entire["equity_wo_fee"] - entire["fee"]
    assert entire.with_columns(equity=equity).select(["timestamp", "equity"])["equity"][-1] == equity[-1]
    summary.write_csv(tmp_path / "summary.csv", include_header=True)
    read = list(csv.DictReader(io.StringIO((tmp_path / "summary.csv").read_text())))
    assert [float(row["SR"]) for row in read] == summary["SR"]
    assert read[0]["start"] == "2022-08-31T00:00:00.000000"
    assert len(entire.write_csv(include_header=False).splitlines()) == entire.height


def test_without_polars_what_needs_it_says_what_to_install(stats, no_polars):
    for table in (stats.entire, stats.summary()):
        with pytest.raises(AttributeError, match=r"group_by.*hftd\[polars\]"):
            table.group_by("a")
    with pytest.raises(UsageError, match="expressions need polars"):
        stats.entire.with_columns(object())


def test_plots_have_the_references_names(stats):
    assert type(stats.plot_matplotlib(price_as_ret=True)).__name__ == "Figure"
    with pytest.raises(UsageError, match="no backend 'holoviews'"):
        stats.plot_holoviews()
