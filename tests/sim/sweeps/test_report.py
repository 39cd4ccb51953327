"""`hftd report` of a sweep."""

import asyncio
import json
import os
import subprocess
import sys

import msgspec
import numpy as np
import polars
import pytest

from sim.results.sweeps.judge import judge
from sim.results.sweeps.page import page
from sim.results.sweeps.plots import front_of, maps, parallel
from sim.sweeps.figures import Row
from sim.sweeps.summary import summarize
from tests.sim.report.browser import browser, find_browser
from tests.sim.sweeps.runs import write_run
from tests.sim.sweeps.test_judge import sweep_of
from tests.sim.sweeps.test_sweep import run


def made_sweep(points=12, days=6):
    return sweep_of(np.random.default_rng(5).normal(0.0, 1.0, (points, days, 300)))


def points_of(parameters, sharpes):
    rows = [
        Row(point=number, date="20240801", parameters=one, equity=float(number), max_drawdown=1.0)
        for number, one in enumerate(parameters)
    ]
    return [
        msgspec.structs.replace(one, sharpe=sharpe)
        for one, sharpe in zip(summarize(rows), sharpes, strict=True)
    ]


def test_a_map_is_the_mean_over_the_other_parameters():
    grid = [{"a": a, "b": b, "c": c} for a in (1, 2) for b in ("x", "y") for c in (0.5, 1.0)]
    found = maps(points_of(grid, [float(number) for number in range(8)]))
    assert [one.title for one in found] == [
        "Sharpe ratio by a and b",
        "Sharpe ratio by a and c",
        "Sharpe ratio by b and c",
    ]
    # Rows are b, columns a.
    assert found[0].data[0]["z"] == [[0.5, 4.5], [2.5, 6.5]]
    assert found[0].data[0]["x"] == [1, 2]
    line = maps(points_of([{"a": 3}, {"a": 1}], [5.0, 7.0]))[0].data[0]
    assert (line["x"], line["y"]) == ([1, 3], [7.0, 5.0])


def test_a_line_goes_through_all_parameters():
    grid = [{"a": a, "b": b} for a in (10, 20) for b in (False, True)]
    found = parallel(points_of(grid, [0.0, 1.0, 2.0, 3.0]))
    assert found is not None
    assert [one["y"] for one in found.data] == [
        [0.0, 0.0, 0.0],
        [0.0, 1.0, 1 / 3],
        [1.0, 0.0, 2 / 3],
        [1.0, 1.0, 1.0],
    ]


def test_none_beats_what_is_on_the_front():
    rng = np.random.default_rng(2)
    rows = [
        Row(
            point=number,
            date="1",
            parameters={},
            equity=e,
            highest=max(e, 0.0),
            lowest=min(e, 0.0),
            max_drawdown=d,
        )
        for number, (e, d) in enumerate(zip(rng.integers(-5, 20, 60), rng.integers(6, 20, 60), strict=True))
    ]
    points = summarize(rows)
    front = {one.point for one in front_of(points)}
    places = {one.point: (one.equity or 0.0, -(one.max_drawdown or 0.0)) for one in points}
    for number, (equity, depth) in places.items():
        beaten = any(e >= equity and d >= depth and (e, d) != (equity, depth) for e, d in places.values())
        twin = any(places[other] == (equity, depth) for other in front)
        assert (number in front) == (
            not beaten and twin and number == min(n for n in places if places[n] == (equity, depth))
        )


@pytest.mark.slow
def test_the_command_writes_a_page_a_table_and_json(tmp_path, monkeypatch):
    write_run(tmp_path, rows=30_000)
    run(tmp_path, "out", {"seed": [1, 2, 3, 4], "mean_ns": [20_000_000, 200_000_000], "steps": [100_000]})
    monkeypatch.chdir(tmp_path)

    def report(*words):
        return subprocess.run(
            [sys.executable, "-m", "daemon.cli", "report", *words],
            check=False,
            capture_output=True,
            text=True,
        )

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    done = report("out", "--folds", "2", "--parquet", "out.parquet")
    assert done.returncode == 0, done.stderr
    assert "deflated Sharpe ratio" in done.stdout
    assert "deflated Sharpe ratio" in (tmp_path / "out.html").read_text()
    table = polars.read_parquet("out.parquet")
    assert table.height == 16
    assert {"point", "date", "seed", "mean_ns", "equity", "sharpe", "reason"} <= set(table.columns)
    assert json.loads(report("out", "--json").stdout)["points"] == 8
    for wrong in (["out", "out"], ["out", "--folds", "9"], ["out", "--first", "2"], ["parts"]):
        done = report(*wrong)
        assert done.returncode == 2, wrong
        assert "Traceback" not in done.stderr


@pytest.mark.thorough
@pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")
def test_the_page_draws_all_its_plots_and_asks_no_network(tmp_path):
    sweep = made_sweep()
    path = tmp_path / "sweep.html"
    path.write_text(page(sweep, judge(sweep, num_folds=3)))

    found = find_browser()
    assert found is not None

    async def look():
        async with browser(found) as tab:
            await tab.show(path, width=1280)
            empty = await tab.run(
                "[...document.querySelectorAll('.plot')]"
                ".filter(one => !one.querySelector('.scatterlayer .trace, .heatmaplayer image')).map(one => one.id)"
            )
            plots = await tab.run("document.querySelectorAll('.plot').length")
            return plots, empty, tab.requests, tab.errors

    plots, empty, requests, errors = asyncio.run(look())
    assert (plots, empty, errors) == (4, [], [])
    assert [one for one in requests if not one.startswith(("file:", "data:"))] == []
