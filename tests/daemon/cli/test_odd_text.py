"""Names are shown as they are: brackets are no markup, and nothing in them reaches the terminal as a command."""

import io

import numpy as np
import pytest

import daemon.cli
from daemon.cli.failing import run
from daemon.cli.show.terminal import Console
from hftd.hbt.life import LIFE_REQUEST_NEW, life_dtype
from hftd.runfile import AssetMeta, RunMeta, write_run
from sim.archive import write_events
from tests.results import make_result
from tests.sim.checks.market import LOT_SIZE, TICK_SIZE, sound_rows

NAMES = {
    "[/red]x": "[/red]x",
    "[bold]x": "[bold]x",
    "a[link=http://b]c": "a[link=http://b]c",
    ":smile:": ":smile:",
    "a\x1b[2Jb": "a[2Jb",
    "a\x1b]0;title\x07b": "a]0;titleb",
    "a\x9b31mb": "a31mb",
    "a\u202eb": "ab",
}


@pytest.fixture
def call(capfd):
    def call(*arguments):
        code = run(daemon.cli.hftd, [*map(str, arguments)])
        return (code, *capfd.readouterr())

    return call


@pytest.mark.parametrize("name", NAMES)
def test_names_in_a_runs_file_are_shown_as_they_are(call, tmp_path, name):
    made = make_result(num_records=50, symbols=("A",))
    life = np.zeros(1, life_dtype)
    life["kind"], life["order_id"], life["px"], life["qty"] = LIFE_REQUEST_NEW, 3, 100.0, 1.0
    assets = [AssetMeta(symbol=name, channel=name, tick_size=0.1, lot_size=0.001)]
    meta = RunMeta(name=name, strategy=name, kind="backtest", assets=assets, dates=[name], warnings=[name])
    write_run(tmp_path / "run.npz", [made.records[:, 0].copy()], meta=meta, life=life)
    for command in (
        ("inspect", "run.npz"),
        ("explain", "run.npz"),
        ("explain", "run.npz", "--list"),
        ("explain", "run.npz", "3"),
        ("report", "run.npz", "-o", tmp_path / "page.html"),
    ):
        path = tmp_path / command[1]
        code, out, err = call(command[0], path, *command[2:])
        assert (code, "failed" in err) == (0, False)
        assert NAMES[name] in out
        assert not set(out) & set("\x1b\x07\x9b\u202e")


def test_brackets_in_the_names_of_archives_are_shown_as_they_are(call, tmp_path, monkeypatch):
    monkeypatch.setenv("HFTD_PREPARED_DIR", str(tmp_path / "cache"))
    path = tmp_path / "[bold]day[" / "[red]day[.npz"
    path.parent.mkdir()
    write_events(path, sound_rows(1))
    for command in (
        ("validate", path, "--progress", "none"),
        ("inspect", path, "--progress", "none"),
        ("prepare", path, "--tick-size", TICK_SIZE, "--lot-size", LOT_SIZE),
        ("cache",),
    ):
        code, out, _ = call(*command)
        assert code == 0
        assert "[red]day[.npz" in out


def test_a_console_keeps_its_own_styles_and_takes_off_those_of_others():
    file = io.StringIO()
    Console(file=file, force_terminal=True, color_system="standard", width=80).print(
        "a\x1b[31m[red]b", style="bold"
    )
    assert file.getvalue() == "\x1b[1ma[31m[red]b\x1b[0m\n"
