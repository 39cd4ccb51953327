"""The page in a real browser: every plot shows its data at both widths and in both themes, and no network is asked.

A plot that shows nothing would pass every other test, so the pixels of its colours are counted in its own box.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hftd.recording import Gap
from sim.archive.write import ArchiveWriter
from sim.results.report import report
from tests.sim.report.browser import Page, browser, find_browser
from tests.sim.report.pages import data_of, embedded, times_of
from tests.sim.report.runs import made_up, recorded

CHROMIUM = find_browser()
SIZES = [(1280, False), (1280, True), (390, False), (390, True)]
PIXELS_MIN = 60
"""Of each colour of a plot: fewer are a few dots. What is drawn has some hundreds."""
TOLERANCE = 48

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium is installed (HFTD_CHROMIUM names one in another place)"
    ),
]

# Without the axes: the rims of grey letters have the colours of grey curves.
_BOXES = """
[...document.querySelectorAll('[data-plot]')].map(one => {
  const box = (one.querySelector('.nsewdrag') ?? one).getBoundingClientRect();
  return [one.id, ...[box.x + scrollX, box.y + scrollY, box.width, box.height].map(Math.round)];
})
"""
_COLORS = """
(() => {
  const plots = JSON.parse(document.getElementById('plots').textContent);
  const style = getComputedStyle(document.documentElement);
  const color = one => [one.label, style.getPropertyValue(one.color).trim()];
  return Object.fromEntries(Object.entries(plots).map(([id, plot]) => [id, plot.empty ? null
    : [...(plot.series ?? []), ...(plot.marks ?? [])].map(color)]));
})()
"""


def counted(picture: np.ndarray, box: list[int], color: str) -> int:
    """Pixels of a colour, or near it, within a box."""
    x, y, width, height = box
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    part = picture[y : y + height, x : x + width].astype(int)
    return int((np.abs(part - wanted).sum(axis=2) <= TOLERANCE).sum())


async def empty_plots(page: Page, path: Path, width: int, dark: bool) -> list[str]:
    """What a plot should show and does not."""
    await page.show(path, width=width, dark=dark)
    boxes = {one[0]: one[1:] for one in await page.run(_BOXES)}
    colors = await page.run(_COLORS)
    assert page.errors == []
    assert await page.run("document.documentElement.scrollWidth") <= width, (
        "the page is wider than the screen"
    )
    picture = await page.picture()
    found = []
    for name, series in colors.items():
        if series is None:
            found.append(f"{name}: says that it is empty")
            continue
        assert boxes[name][2] > 200
        assert boxes[name][3] > 140
        for label, color in series:
            if (count := counted(picture, boxes[name], color)) < PIXELS_MIN:
                found.append(f"{name}, {label}: {count} pixels at {width} {'night' if dark else 'day'}")
    assert len(colors) >= 6
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return recorded(tmp_path_factory.mktemp("run"), count=20_000, assets=2)


async def test_every_plot_shows_its_data_at_both_widths_and_in_both_themes(run, tmp_path):
    page_path = tmp_path / "page.html"
    rows = np.load(run.with_name("market0.npz"))["data"]
    with ArchiveWriter(run.with_name("market0.npz"), rows.dtype) as writer:
        writer.write(rows)
        at = int(rows["local_ts"][len(rows) // 2])
        writer.gaps = [Gap(at, at, at + int(rows["local_ts"][-1] - at) // 2)]
    report(run, page_path, resample="1s", book_size=1000)
    async with browser(CHROMIUM or "") as page:
        seen = {}
        for width, dark in SIZES:
            assert await empty_plots(page, page_path, width, dark) == []
            shades = "[...document.querySelectorAll('.shapelayer path')].filter(one => one.getBBox().width > 20).length"
            assert await page.run(shades) == 3, "the window in which something is missing is not shaded"
            assert page.requests == [page_path.as_uri()], "the page asked for something else"
            seen[width, dark] = await page.run("getComputedStyle(document.body).backgroundColor")
        assert seen[1280, False] != seen[1280, True]
        assert seen[390, False] == seen[1280, False]
        if folder := os.environ.get("HFTD_SCREENSHOTS"):
            from PIL import Image

            Image.fromarray(await page.picture()).save(Path(folder) / "report.png")


@pytest.mark.thorough
async def test_two_runs_side_by_side_show_all_of_their_plots(run, tmp_path):
    report([run, run], tmp_path / "page.html", resample="1s")
    async with browser(CHROMIUM or "") as page:
        assert [
            line
            for line in await empty_plots(page, tmp_path / "page.html", 1280, False)
            if "runs-" not in line
        ] == []
        # Both are the same run, so the second curve covers the first.
        covered = await empty_plots(page, tmp_path / "page.html", 390, True)
        assert len([line for line in covered if "runs-equity" in line]) == 1


def without_marks(plot):
    plot["marks"] = [one | {"x": {"dtype": "f8", "bdata": ""}, "y": []} for one in plot["marks"]]


def without_values(plot):
    plot["series"] = [one | {"y": [None] * len(one["y"])} for one in plot["series"]]


EMPTIED = {
    "run0-equity": without_values,
    "run0-drawdown": without_values,
    "run0-split": without_values,
    "run0-asset0-price": without_values,
    "run0-asset1-price": without_marks,
    "run0-asset0-position": without_values,
    "run0-asset0-markouts": without_values,
    "run0-asset0-latency": without_values,
}


@pytest.mark.parametrize(("width", "dark"), SIZES)
@pytest.mark.thorough
async def test_a_plot_whose_data_was_emptied_is_found(run, tmp_path, width, dark):
    html = report(run, resample="1s").html
    plots = data_of(html)
    for name, emptied in EMPTIED.items():
        emptied(plots[name])
    (tmp_path / "page.html").write_text(html.replace(embedded(html), json.dumps(plots)))
    async with browser(CHROMIUM or "") as page:
        found = await empty_plots(page, tmp_path / "page.html", width, dark)
    assert {line.split(",")[0] for line in found} == set(EMPTIED)
    # Of the one with marks, the curve is still there; of the others nothing is.
    told = [line.split(":")[0] for line in found]
    for name, emptied in EMPTIED.items():
        kind = "marks" if emptied is without_marks else "series"
        assert sorted(line.split(", ", 1)[1] for line in told if line.startswith(f"{name},")) == sorted(
            one["label"].split(":")[0] for one in plots[name][kind]
        )


async def test_the_switch_changes_the_theme_and_draws_the_plots_anew(run, tmp_path):
    report(run, tmp_path / "page.html", resample="1s")
    async with browser(CHROMIUM or "") as page:
        await page.show(tmp_path / "page.html", width=1280)
        before = await page.run("getComputedStyle(document.body).backgroundColor")
        await page.run("document.querySelector('button.theme').click()")
        await page.drawn()
        assert await page.run("document.documentElement.dataset.theme") == "night"
        assert await page.run("getComputedStyle(document.body).backgroundColor") != before
        colors = await page.run(_COLORS)
        boxes = {one[0]: one[1:] for one in await page.run(_BOXES)}
        picture = await page.picture()
        name = next(key for key in colors if key.endswith("equity"))
        assert all(counted(picture, boxes[name], color) >= PIXELS_MIN for _, color in colors[name])


_AREA = """
(name => {
  const box = document.querySelector(`[id="${name}"] .nsewdrag`).getBoundingClientRect();
  return [box.x, box.y, box.width, box.height];
})
"""
_SHOWN = "name => document.getElementById(name).layout.xaxis.range.map(value => +new Date(value))"
_LABELS = "[...document.querySelectorAll('.hoverlayer')].filter(one => one.textContent).length"


async def test_a_zoom_and_a_pointed_time_are_those_of_all_plots_of_the_run(run, tmp_path):
    report(run, tmp_path / "page.html", resample="1s")
    plots = data_of((tmp_path / "page.html").read_text())
    timed = [name for name, plot in plots.items() if plot["kind"] == "time"]
    all_times = times_of(plots["run0-equity"]["x"])[[0, -1]]
    async with browser(CHROMIUM or "") as page:
        await page.show(tmp_path / "page.html", width=1280)
        x, y, width, height = await page.run(f"({_AREA})('run0-equity')")
        assert await page.run(_LABELS) == 0
        await page.point(x + width / 2, y + height / 2)
        await page.until(f"{_LABELS} >= 2")

        await page.drag(x + width / 4, y + height / 2, x + width / 2)
        wanted = all_times[0] + (all_times[1] - all_times[0]) * np.array([0.25, 0.5])
        pixel_ms = (all_times[1] - all_times[0]) / width
        await page.until(f"({_SHOWN})('{timed[-1]}')[0] > {all_times[0] + 10 * pixel_ms}")
        await page.drawn()
        for name in timed:
            assert np.abs(np.array(await page.run(f"({_SHOWN})('{name}')")) - wanted).max() < 4 * pixel_ms
        low, high = await page.run("document.getElementById('run0-equity').layout.yaxis.range")
        within = (times := times_of(plots["run0-equity"]["x"])) >= wanted[0]
        within &= times <= wanted[1]
        seen = np.array([one["y"] for one in plots["run0-equity"]["series"]], float)[:, within]
        assert low < seen.min()
        assert high > seen.max()
        assert high - low < 1.3 * (seen.max() - seen.min())

        # What was zoomed stays so in the other theme.
        await page.run("document.querySelector('button.theme').click()")
        await page.drawn()
        assert np.abs(np.array(await page.run(f"({_SHOWN})('{timed[0]}')")) - wanted).max() < 4 * pixel_ms

        # On a busy machine two clicks may come too far apart to count as a double click.
        for _ in range(10):
            await page.double_click(x + width / 2, y + height / 2)
            await page.drawn()
            if await page.run(f"({_SHOWN})('{timed[-1]}')[0] <= {all_times[0] + pixel_ms}"):
                break
        await page.until(f"({_SHOWN})('{timed[-1]}')[0] <= {all_times[0] + pixel_ms}")
        await page.drawn()
        for name in timed:
            assert np.abs(np.array(await page.run(f"({_SHOWN})('{name}')")) - all_times).max() < pixel_ms
        assert page.errors == []
        assert page.requests == [(tmp_path / "page.html").as_uri()]


async def test_a_request_of_a_page_would_be_seen(tmp_path):
    asking = """<!doctype html><html data-ready="1"><img src="https://example.com/a.png"><script>
        fetch("http://127.0.0.1:9/b").catch(() => {}); new WebSocket("ws://example.com/c");</script>"""
    (tmp_path / "page.html").write_text(asking)
    async with browser(CHROMIUM or "") as page:
        await page.show(tmp_path / "page.html", width=1280)
        wanted = {"https://example.com/a.png", "http://127.0.0.1:9/b", "ws://example.com/c"}
        for _ in range(100):
            if wanted < set(page.requests):
                break
            await page.run("new Promise(done => setTimeout(done, 20))")
        assert wanted < set(page.requests)


async def test_a_finger_on_a_plot_moves_the_page_and_a_tap_shows_the_values(run, tmp_path):
    report(run, tmp_path / "page.html", resample="1s")
    async with browser(CHROMIUM or "") as page:
        await page.call("Emulation.setTouchEmulationEnabled", enabled=True)
        await page.show(tmp_path / "page.html", width=390)
        await page.run("document.getElementById('run0-asset0-price').scrollIntoView({block: 'center'})")
        x, y, width, height = await page.run(f"({_AREA})('run0-asset0-price')")
        assert await page.run(_LABELS) == 0
        await page.touch(x + width / 2, y + height / 2)
        await page.until(f"{_LABELS} >= 1")
        before = await page.run("scrollY")
        await page.touch(x + width / 2, y + height / 2, to=y + height / 2 - 150)
        await page.until(f"scrollY > {before + 80}")
        assert page.errors == []


async def test_explanations_come_by_keyboard_and_stay_on_the_screen(run, tmp_path):
    report(run, tmp_path / "page.html", resample="1s")
    async with browser(CHROMIUM or "") as page:
        await page.show(tmp_path / "page.html", width=390)
        outside = await page.run(
            """[...document.querySelectorAll('[data-tip]')].filter(one => {
                 one.scrollIntoView({block: 'center'}); one.focus();
                 const tip = document.getElementById('tip');
                 const box = tip.getBoundingClientRect();
                 return tip.hidden || tip.textContent !== one.dataset.tip
                   || box.left < 0 || box.right > innerWidth || box.top < 0 || box.bottom > innerHeight;
               }).length"""
        )
        assert outside == 0
        assert await page.run("document.querySelectorAll('[data-tip]').length") > 40


async def test_a_run_without_rows_or_prices_has_a_page_that_says_it(tmp_path):
    made_up(tmp_path / "none.npz", 1, count=0)
    made_up(tmp_path / "one.npz", 1, count=1)
    made_up(tmp_path / "unpriced.npz", 1, count=50, unpriced=50)
    async with browser(CHROMIUM or "") as page:
        for name, said in (("none", "has no rows"), ("one", "one row"), ("unpriced", "No row has a price")):
            report(tmp_path / f"{name}.npz", tmp_path / "page.html")
            await page.show(tmp_path / "page.html", width=390)
            assert page.errors == []
            assert said in await page.run("document.body.innerText")
            assert "NaN" not in await page.run("document.body.innerText")
