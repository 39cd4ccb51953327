"""Files of runs with values that can't be: one clear error, never a figure that means nothing."""

import numpy as np
import pytest

import daemon.cli
from daemon.cli.failing import run as run_command
from hftd.errors import DataError
from hftd.hbt.life import LIFE_FILL, life_dtype
from hftd.runfile import AssetMeta, RunMeta, read_run, write_run
from hftd.types import record_dtype
from sim.results.report import report
from tests.results import make_result


def written(path, *, inverse=False, life=None, change=None, **more):
    made = make_result(num_records=50, num_fills=20, symbols=("A",))
    rows, fills = made.records[:, 0].copy(), made.fills.copy()
    if change is not None:
        change(rows, fills)
    meta = RunMeta(name="odd", assets=[AssetMeta(symbol="A", tick_size=0.1, is_inverse=inverse, **more)])
    write_run(path, [rows], meta=meta, life=life, tables={"fills": fills})
    return path


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e308, -1e308])
@pytest.mark.parametrize(
    "where",
    ["price", "position", "balance", "fee", "trading_volume", "trading_value", "fill price", "fill qty"],
)
def test_a_value_that_can_not_be_is_named_with_its_row(tmp_path, capfd, where, value):
    def change(rows, fills):
        if where.startswith("fill"):
            fills[where.removeprefix("fill ")][7] = abs(value)
        else:
            rows[where][7] = value

    path = written(tmp_path / "run.npz", change=change)
    with pytest.raises(DataError, match="no figures can be made of that") as error:
        report(path)
    assert where.removeprefix("fill ").replace("qty", "quantity") in str(error.value)
    assert run_command(daemon.cli.hftd, ["report", str(path), "-o", str(tmp_path / "page.html")]) == 2
    said = capfd.readouterr().err
    assert "no figures" in said
    assert "itself failed" not in said
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("inverse", [False, True])
def test_a_price_of_zero_is_refused_where_values_are_divided_by_it(tmp_path, inverse):
    path = written(tmp_path / "run.npz", inverse=inverse, change=lambda rows, _: rows["price"].put(9, 0.0))
    if not inverse:
        assert np.isfinite(report(path).runs[0].assets[0].figures["NetPnl"])
        return
    with pytest.raises(DataError, match="`price` of row 9 is 0"):
        report(path)


@pytest.mark.parametrize("size", [0.0, -1.0, 1e308])
def test_a_contract_size_that_can_not_be_is_refused(tmp_path, size):
    with pytest.raises(DataError, match="contract size"):
        report(written(tmp_path / "run.npz", contract_size=size))


def test_a_life_of_other_columns_is_refused(tmp_path):
    life = np.zeros(5, life_dtype)
    life["kind"] = LIFE_FILL
    for odd in (np.zeros(5, [("a", "i4")]), life[["ts", "kind"]]):
        with pytest.raises(DataError, match="other columns"):
            report(written(tmp_path / "run.npz", life=odd))


def test_records_of_no_asset_are_refused(tmp_path):
    np.savez(tmp_path / "run.npz", records=np.zeros((5, 0), record_dtype))
    with pytest.raises(DataError, match="rows of no asset"):
        read_run(tmp_path / "run.npz")
