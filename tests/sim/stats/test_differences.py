"""Where the reference's statistics are wrong, and what is right; docs/report.md lists the same."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from sim import stats as ours
from tests.sim.stats.records import random_record
from tests.sim.stats.test_parity import figures, theirs

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

PAGE = Path(__file__).resolve().parents[3] / "docs" / "report.md"


def both(rows, inverse=False, **how):
    return figures(ours, rows, inverse, **how)[0][-1], figures(theirs, rows, inverse, **how)[0][-1]


def test_sales_count_towards_the_traded_value_of_a_record_without_counts():
    rows = random_record(1)
    few = {
        name: np.ascontiguousarray(rows[name])
        for name in ("timestamp", "price", "position", "balance", "fee")
    }
    polars = pytest.importorskip("polars")
    own = figures(ours, few, False, names=["TradingValue"])[0][-1]["TradingValue"]
    reference = figures(theirs, polars.DataFrame(few), False, names=["TradingValue"])[0][-1]["TradingValue"]
    right = float((np.abs(np.diff(rows["position"])) * rows["price"][1:]).sum())
    assert own == pytest.approx(right)
    assert abs(reference) < right / 2


@pytest.mark.parametrize("name", ["MaxPositionValue", "MeanPositionValue", "MedianPositionValue"])
def test_a_position_is_worth_its_contracts(name):
    rows = random_record(2, contract_size=10.0)
    own, reference = both(rows, size=10.0, names=[name])
    assert own[name] == pytest.approx(10 * reference[name])


def test_an_inverse_position_is_worth_quantity_by_price():
    rows = random_record(3, inverse=True, contract_size=100.0)
    own, reference = both(rows, True, size=100.0, every=None, names=["MaxPositionValue"])
    assert own["MaxPositionValue"] == pytest.approx(
        float((np.abs(rows["position"]) * 100 / rows["price"]).max())
    )
    assert reference["MaxPositionValue"] > 1e6 * own["MaxPositionValue"]


def test_a_gap_after_the_first_sample_does_not_change_what_a_day_has_of_samples():
    rows = random_record(4)
    rows["timestamp"][0] -= 3_600_000_000_000
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        own, reference = both(rows, every="1s", names=["SR"])
    assert any("not consistent" in str(one.message) for one in caught)
    even = both(random_record(4), every="1s", names=["SR"])[1]
    assert own["SR"] == pytest.approx(even["SR"], rel=0.01)
    assert abs(reference["SR"]) < abs(own["SR"]) / 50


def test_a_price_that_is_missing_for_a_while_loses_no_change_of_equity():
    rows = random_record(5)
    rows["price"][500:1500] = np.nan
    own, reference = both(rows, every="1s", names=["SR", "Ret"])
    equity = (rows["balance"] + rows["position"] * rows["price"] - rows["fee"])[~np.isnan(rows["price"])]
    assert np.diff(equity).mean() == pytest.approx(own["Return"] / (len(equity) - 1))
    pnl = np.diff(equity)
    assert own["SR"] == pytest.approx(pnl.mean() / pnl.std(ddof=1) * np.sqrt(86_400 * 252))
    assert own["SR"] != pytest.approx(reference["SR"], rel=1e-3)


def test_values_of_positions_leave_out_rows_without_a_price():
    rows = random_record(6)
    rows["price"][-5:] = np.nan
    own, reference = both(rows, every="1s", names=["MeanPositionValue"])
    known = rows[:-5]
    assert own["MeanPositionValue"] == pytest.approx(
        float((np.abs(known["position"]) * known["price"]).mean())
    )
    assert np.isnan(reference["MeanPositionValue"])


@pytest.mark.parametrize("count", [1, 5])
def test_a_record_of_one_sample_has_figures_where_the_reference_has_an_error(count):
    rows = random_record(7, count)
    own = figures(ours, rows, False, every="1h")[0][-1]
    assert np.isnan(own["SR"])
    assert own["Return"] == 0.0
    with pytest.raises((IndexError, ZeroDivisionError)):
        figures(theirs, rows, False, every="1h")


def test_the_page_lists_each_of_these():
    listed = PAGE.read_text().split("## Where HftBacktest's figures are wrong", 1)[1].split("\n## ", 1)[0]
    assert listed.count("\n- ") == 7
