"""`hftd top` as a user sees it: driven by textual's own pilot, with statuses as daemons give them."""

import subprocess
import sys

import msgspec
import pytest
from textual.widgets import DataTable, Static

from daemon.cli.top import app as top
from daemon.cli.top.app import SHORT, Top
from daemon.ops.web.tables import TABLES
from hftd.control import status
from tests.daemon.ops.crowds import crowd

HOSTILE = "[bold red]x[/] [@click=app.quit]y[/] \x1b[31m\u202e"


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(top, "EVERY_S", 0.05)


def table_of(app):
    """The rows that are drawn, as plain text."""
    table = app.query_one(DataTable)
    heads = [str(column.label) for column in table.ordered_columns]
    return [dict(zip(heads, map(str, table.get_row_at(n)), strict=True)) for n in range(table.row_count)]


def said(app, name):
    return str(app.query_one(name, Static).content)


async def until(pilot, condition):
    for _ in range(200):
        if condition():
            return
        await pilot.pause(0.05)
    raise AssertionError("it never came to be")


def test_every_table_has_a_name_and_a_place():
    assert set(SHORT) == {*TABLES, "warnings"}


@pytest.mark.thorough
async def test_at_80_by_24_warnings_come_first_and_each_table_has_its_key():
    app = Top(lambda: ([crowd(5, 20)], []))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: table_of(app))
        assert "the book is not valid" in said(app, "#warnings")
        assert "books valid 19 of 20" in said(app, "#tiles")
        bots = {row["bot"]: row for row in table_of(app)}
        assert bots["maker-03"]["state"] == "attached"
        assert bots["taker-1"]["state"].startswith("died")
        assert "symbols" not in bots["maker-03"], "there is no room for it"
        assert "at" not in bots["maker-03"], "there is one daemon"
        for key, head in (
            ("2", "bid"),
            ("3", "price"),
            ("4", "markouts, bp"),
            ("5", "position"),
            ("0", "text"),
        ):
            await pilot.press(key)
            assert head in table_of(app)[0]
        await pilot.press("2")
        assert table_of(app)[0]["book"] == "not valid", "what is wrong stands first"
        assert app.query_one(DataTable).region.height > 8


@pytest.mark.thorough
async def test_arrows_go_through_all_tables_and_q_quits():
    app = Top(lambda: ([crowd(2, 4)], []))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: table_of(app))
        for _ in SHORT:
            await pilot.press("right")
            assert table_of(app), app._name
        assert app._name == "bots"
        await pilot.press("left")
        assert app._name == list(SHORT)[-1]
        await pilot.press("q")
    assert not app.is_running


@pytest.mark.thorough
async def test_what_comes_while_it_is_being_closed_is_not_drawn_and_no_error():
    app = Top(lambda: ([crowd(2, 4)], []))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: table_of(app))
        await app.query("*").remove()
        app._draw(is_new=True)
        await pilot.pause(0.2)
        await pilot.press("q")


@pytest.mark.thorough
async def test_figures_change_as_they_come_and_the_cursor_stays_on_its_row():
    step = 0

    def ask():
        nonlocal step
        step += 1
        return [crowd(5, 20, step)], []

    app = Top(ask)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: table_of(app))
        await pilot.press("down", "down", "down")
        table = app.query_one(DataTable)
        before = table_of(app)
        row = table.cursor_row
        assert row == 3
        await until(pilot, lambda: table_of(app)[row]["bid"] != before[row]["bid"])
        assert table.cursor_row == row
        assert [one["symbol"] for one in table_of(app)] == [one["symbol"] for one in before]


@pytest.mark.thorough
async def test_a_wider_terminal_shows_more_columns_and_a_narrow_one_less():
    app = Top(lambda: ([crowd(2, 4), msgspec.structs.replace(crowd(1, 1, name="bybit"), pid=8)], []))
    async with app.run_test(size=(200, 40)) as pilot:
        await until(pilot, lambda: table_of(app))
        assert {"symbols", "requests", "at"} <= table_of(app)[0].keys()
        await pilot.resize_terminal(40, 24)
        await until(pilot, lambda: "symbols" not in table_of(app)[0])


@pytest.mark.thorough
async def test_hostile_texts_are_text_and_no_markup():
    bot = status.Bot(
        name=HOSTILE, symbols=[HOSTILE], profits=[status.Profit(day_ns=0, asset=HOSTILE, total=1)]
    )
    told = msgspec.structs.replace(
        crowd(1, 1), bots=[bot], alerts=[status.Warning(key=HOSTILE, text=HOSTILE)], profits=bot.profits,
        events=[status.Event(ns=1, level=HOSTILE, key=HOSTILE, text=HOSTILE)],
    )  # fmt: skip
    app = Top(lambda: ([told], [HOSTILE]))
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: table_of(app))
        for _ in SHORT:
            await pilot.press("right")
        drawn = app.export_screenshot()
        assert "\x1b" not in drawn
        assert "\u202e" not in drawn
        assert any(row["bot"].startswith("[bold red]x[/] [@click=app.quit]y[/]") for row in table_of(app))
        assert "[@click=app.quit]y[/]" in said(app, "#warnings")
        await pilot.click("#warnings")
        assert app.is_running


@pytest.mark.thorough
async def test_a_question_that_fails_is_said_and_what_is_shown_stays():
    answers = [([crowd(1, 2)], [])]

    def ask():
        if not answers:
            raise OSError("the folder is gone")
        return answers.pop()

    app = Top(ask)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "the folder is gone" in said(app, "#note"))
        assert table_of(app)


def test_without_a_terminal_it_says_what_to_do_instead():
    done = subprocess.run(
        [sys.executable, "-m", "daemon.cli", "top"],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "hftd status" in done.stderr
    assert "Traceback" not in done.stderr
