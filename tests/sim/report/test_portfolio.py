"""Several assets of a run as one portfolio: exposure by asset and net, in one currency, and their correlations."""

import numpy as np
import pytest

from hftd.errors import UsageError
from hftd.runfile import AssetMeta, RunMeta, write_run
from hftd.types import record_dtype
from sim.results.report import report

_COUNT = 600
_SECOND_NS = 1_000_000_000


def _records(seed=1):
    """Three assets a second apart: the third's price follows the first's, the second's goes its own way."""
    random = np.random.default_rng(seed)
    steps = random.normal(0.0, 1.0, (3, _COUNT))
    steps[2] = steps[0] + 0.1 * steps[2]
    rows = np.zeros((3, _COUNT), record_dtype)
    for number in range(3):
        rows[number]["timestamp"] = np.arange(_COUNT) * _SECOND_NS
        rows[number]["price"] = 1000.0 + steps[number].cumsum() * 0.1
    rows[0]["position"], rows[1]["position"], rows[2]["position"] = 2.0, 0.0, -1.0
    return rows


def _run(path, rows, symbols=("A", "B", "C"), channels=("x", "x", "x")):
    assets = [
        AssetMeta(symbol=symbol, channel=channel, tick_size=0.1, lot_size=0.1)
        for symbol, channel in zip(symbols, channels, strict=True)
    ]
    meta = RunMeta(name="three", kind="bot", assets=assets, interval_ns=_SECOND_NS)
    write_run(path, list(rows), meta=meta)
    return path


def test_exposure_is_gross_and_net_of_signed_values(tmp_path):
    rows = _records()
    made = report(_run(tmp_path / "run.npz", rows))
    found = made.to_dict()["runs"][0]["portfolio"]
    values = rows["position"] * rows["price"]
    assert found["gross_max"] == pytest.approx(np.abs(values).sum(axis=0).max())
    assert found["net_mean"] == pytest.approx(np.abs(values.sum(axis=0)).mean())
    assert "Exposure by asset" in made.html and "Correlation of returns of prices" in made.html


def test_prices_that_go_together_are_correlated_and_those_that_do_not_are_not(tmp_path):
    found = report(_run(tmp_path / "run.npz", _records()), resample="1s").to_dict()["runs"][0]["portfolio"]
    prices = found["prices"]
    assert prices[0][2] == prices[2][0] > 0.95
    assert abs(prices[0][1]) < 0.2
    # The third is held short, so its gains go against the first's; the second earns nothing, which has no correlation.
    assert found["pnl"][0][2] < -0.95 and found["pnl"][0][1] is None


def test_money_that_is_another_assets_coin_is_added_up_at_its_price(tmp_path):
    rows = _records()
    rows[2]["price"] *= 1e-3
    rows[2]["balance"] = 0.25
    path = _run(tmp_path / "run.npz", rows)
    as_it_is, valued = (report(path, valued_at=at).runs[0] for at in ({}, {"C": "x:A"}))
    worth = (rows[2]["balance"] + rows[2]["position"] * rows[2]["price"]) * rows[0]["price"]
    held = rows[0]["position"] * rows[0]["price"]
    assert valued.whole.frame["equity_wo_fee"] == pytest.approx(held + worth)
    assert as_it_is.whole.frame["equity_wo_fee"] == pytest.approx(held + worth / rows[0]["price"])
    assert any("C's money is counted at the price of A" in note for note in valued.notes)
    change = (held + worth)[-1] - (held + worth)[0]
    assert valued.whole.figures["Return"] == pytest.approx(change, rel=0.2)


@pytest.mark.parametrize(
    ("valued_at", "says"),
    [({"D": "A"}, "no run has an asset 'D'"), ({"C": "D"}, "price of D"), ({"C": "C"}, "price of C")],
)
def test_a_price_that_no_asset_has_is_said(tmp_path, valued_at, says):
    with pytest.raises(UsageError, match=says):
        report(_run(tmp_path / "run.npz", _records()), valued_at=valued_at)


def test_one_symbol_on_several_channels_is_told_apart(tmp_path):
    path = _run(tmp_path / "run.npz", _records(), ("BTCUSDT",) * 3, ("a", "b", "c"))
    names = [asset.name for asset in report(path).runs[0].assets]
    assert names == ["a:BTCUSDT", "b:BTCUSDT", "c:BTCUSDT"]


def test_a_run_of_one_asset_has_no_portfolio(tmp_path):
    rows = _records()[:1]
    made = report(_run(tmp_path / "run.npz", rows, ("A",), ("x",)))
    assert made.to_dict()["runs"][0]["portfolio"] is None and "Exposure" not in made.html
