"""The whole way with real data and with the demo."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from sim.convert import convert
from tests.sim.replay.harness import MAKER, ROOT, Bench, futures, rows_of

GRID = "strategies.grid_trading:grid_trading"


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real capture as an archive; tests that need it are skipped where it is not."""
    source = Path(os.environ.get("HFTD_TEST_DATA", ROOT / "../shared/data"))
    capture = source / "binancefutures_btcusdt_20240808.gz"
    if not capture.is_file():
        pytest.skip(f"there is no capture {capture}: set HFTD_TEST_DATA")
    folder = tmp_path_factory.mktemp("capture")
    convert([capture], folder / "BTCUSDT_20240808.npz")
    return folder


@pytest.mark.slow
def test_on_a_real_day_two_strategies_over_channels_equal_their_backtests(bench: Bench, day: Path):
    config = bench.replay_config(futures("bf"), data=day, bots=["maker", "grid", "chaos"])
    bots = [
        bench.bot_config("maker", futures("bf"), strategy=MAKER, interval_ns=10_000_000),
        bench.bot_config("grid", futures("bf"), strategy=GRID, order_qty=0.01, max_position=0.1),
        bench.bot_config("chaos", futures("bf"), seed=8),
    ]
    bench.check_equal(config, *bots, date="20240808", fills=False)
    for bot in (bots[0], bots[2]):
        assert len(np.load(bot.with_suffix(".bot.npz"))["fills"]) > 0


@pytest.mark.slow
def test_the_demo_comes_to_the_same_as_a_backtest_of_its_market(bench: Bench):
    demo = bench.start("demo", "--folder", "small")
    assert demo.wait() == 0, demo.stderr
    assert "Traceback" not in demo.stderr
    assert "the page is small/report.html" in demo.stdout
    for name in ("result.png", "result.npz", "result.json", "life.npz", "report.html"):
        assert (bench.folder / "small" / name).stat().st_size > 100
    assert "rebuilt from the archives" in (bench.folder / "small" / "report.html").read_text()
    alone = bench.start(
        "backtest", "--bot", "configs/bot.toml", "--date", "20220831", "--record", "alone.npz", "--json"
    )
    assert alone.wait() == 0, alone.stderr
    results = [json.loads((bench.folder / "small" / "result.json").read_text()), alone.json()]
    for result in results:
        assert result.pop("seconds") > 0
        assert result["num_fills"] > 100
        assert len(result["assets"]) == 2
    assert results[0] == results[1]
    assert rows_of(bench.folder / "small" / "result.npz") == rows_of(bench.folder / "alone.npz")
    assert bench.left_behind() == []
