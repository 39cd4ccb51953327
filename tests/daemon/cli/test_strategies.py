"""`hftd strategies`: what it finds in sources, and that the page on strategies says the same."""

import ast
import json
import re

import pytest

import daemon.cli
from daemon.cli.commands.strategies import listed
from daemon.cli.failing import run
from tests.laws import ROOT

SOURCE = '''
from numba import njit

STEP = 5

@njit
def helper(hbt, asset_no):
    """No strategy: an argument has no default."""

@njit
def mine(hbt, recorder, fast=True, step_ns=2 * STEP, price=-1.5):
    """Do it.

    Market: one asset,
        any.

    Args:
        hbt: The bot.
        fast: Whether
            it is quick.
        price (quote (or base) currency): What it pays.

    Returns:
        nothing: At all.
    """

def _hidden(hbt):
    pass

def bare(hbt):
    pass
'''


def call(capfd, *arguments):
    code = run(daemon.cli.hftd, ["strategies", *arguments])
    return (code, *capfd.readouterr())


def test_strategies_are_read_from_a_source_that_is_never_run():
    mine, bare = listed("my.module", SOURCE + "\nraise SystemExit", "here")
    assert (mine.strategy, mine.text, mine.market) == ("my.module:mine", "Do it.", "one asset, any.")
    assert [(one.name, one.default, one.unit, one.text) for one in mine.parameters] == [
        ("fast", True, "", "Whether it is quick."),
        ("step_ns", "2 * STEP", "", ""),
        ("price", -1.5, "quote (or base) currency", "What it pays."),
    ]
    assert (bare.strategy, bare.text, bare.parameters) == ("my.module:bare", "", [])


def test_the_users_own_are_listed_by_module_and_by_file(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_strategies_here.py").write_text(SOURCE)
    code, out, _ = call(capfd, "own_strategies_here", "--json")
    assert code == 0
    assert [one["strategy"] for one in json.loads(out)] == [
        "own_strategies_here:mine",
        "own_strategies_here:bare",
    ]
    code, out, _ = call(capfd, "own_strategies_here.py")
    assert code == 0
    assert "own_strategies_here.py:mine" in out and "market: one asset, any." in out


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("no_such_module_here", "there is no such module"),
        ("no_such_file.py", "it can't be read"),
        ("math", "there is no such module"),
        ("broken.py", "this is no Python"),
        ("empty.py", "there is no strategy in it"),
    ],
)
def test_what_has_no_strategies_is_one_message(where, words, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "empty.py").write_text("X = 1\n")
    code, _, err = call(capfd, where)
    assert code == 2
    assert words in err and "Traceback" not in err


def own():
    return [
        one
        for path in sorted((ROOT / "strategies").glob("*.py"))
        for one in listed(f"strategies.{path.stem}", path.read_text(), str(path))
    ]


@pytest.mark.parametrize("one", own(), ids=lambda one: one.strategy)
def test_each_strategy_says_what_it_does_what_it_needs_and_what_its_parameters_are(one):
    assert one.text.endswith(".") and one.market
    assert all(each.text for each in one.parameters), one
    for suffix, unit in {"_ns": "ns", "_ticks": "ticks", "_bp": "bp"}.items():
        assert {each.unit for each in one.parameters if each.name.endswith(suffix)} <= {unit}


@pytest.mark.parametrize("one", own(), ids=lambda one: one.strategy)
def test_the_page_has_each_strategys_parameters_with_their_defaults(one):
    page = (ROOT / "docs" / "strategies.md").read_text()
    sections = [part for part in page.split("\n## ") if f"(`{one.strategy}`)" in part.splitlines()[0]]
    assert len(sections) == 1, "a section is named: title (`module:function`)"
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", sections[0], re.MULTILINE))
    assert list(rows) == [each.name for each in one.parameters]
    for each in one.parameters:
        default = ast.literal_eval(str(each.default))
        values = [_number(value) for value in rows[each.name].split(";")]
        defaults = default if isinstance(default, tuple) else (default,)
        assert values == pytest.approx([float(value) for value in defaults]), each.name


def _number(text):
    value, _, unit = text.strip().replace(",", "").partition(" ")
    if value in ("true", "false"):
        return float(value == "true")
    return float(value) * {"": 1.0, "ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9, "min": 6e10}[unit]
