"""What of a strategy can be set while it runs, and what can't, and why; ranges hold at the start and after it."""

from pathlib import Path

import pytest

from hftd.bot.strategy import Strategy, load_strategy
from hftd.control.status import SetParameters
from hftd.errors import StrategyError, UsageError

STRATEGY = """
from typing import Annotated
from numba import njit
from hftd import Range

@njit
def quote(
    hbt,
    spread: Annotated[float, Range(gt=0)] = 8.0,
    levels: Annotated[int, Range(ge=1, le=20)] = 5,
    low=1,
    high=9,
    is_quiet=False,
    window=100,
    turned=1.0,
    unread=2.0,
    name="x",
):
    if not (spread > 0.0 and low < high):
        return
    size = window * 2
    turned = turned / 2
    while hbt.elapse(1_000_000) == 0:
        for level in range(levels):
            if is_quiet or low > high:
                hbt.alert(0, level, spread * size * turned)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "settable_one.py").write_text(STRATEGY)
    return tmp_path


def loaded(folder: Path, **parameters: object) -> Strategy:
    return load_strategy("settable_one.py:quote", parameters, folder, allow_set=True)


def test_a_parameter_is_settable_if_only_the_loop_reads_it_and_fixed_ones_say_why(folder: Path):
    found = loaded(folder).settable
    assert found is not None
    assert found.names == ("spread", "levels", "low", "high", "is_quiet")
    reads = STRATEGY.splitlines().index("    size = window * 2") + 1
    assert found.fixed == {
        "window": f"line {reads} reads it before the strategy's loop: it takes effect at the start only",
        "turned": f"line {reads + 1} assigns to it",
        "unread": "the strategy's loop does not read it",
    }


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"spread": -1.0}, "'spread' is -1.0, but must be > 0"),
        ({"spread": float("inf")}, "no number to trade by"),
        ({"levels": 21}, "must be >= 1, <= 20"),
        ({"levels": 2.5}, "must be a whole number"),
        ({"levels": 1 << 64}, "must be >= 1, <= 20"),
        ({"low": 1 << 64}, "no number to trade by"),
        ({"is_quiet": 1}, "must be true or false"),
        ({"low": 10}, "own check refuses these values together"),
        ({"sprad": 1.0}, "no parameter 'sprad'"),
        ({"window": 3}, "reads it before the strategy's loop"),
        ({"name": "y"}, "neither a number nor true or false"),
        ({"spread": 3.0, "levels": 0}, "'levels' is 0"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_of_it_is_set(
    folder: Path, values: dict[str, object], what: str
):
    strategy = loaded(folder)
    setting = strategy.setting("mm")
    with pytest.raises(UsageError, match=what):
        setting.set(SetParameters(bot="mm", values=values))  # type: ignore[arg-type]
    assert strategy.shared is not None
    assert strategy.shared.offered == 0
    assert setting.told().changes == 0


def test_values_that_are_refused_alone_are_taken_together(folder: Path):
    setting = loaded(folder).setting("mm")
    setting.set(SetParameters(bot="mm", values={"low": 10, "high": 12}))
    told = {one.name: one for one in setting.told().parameters}
    assert (told["low"].value, told["high"].value, told["spread"].value) == (10, 12, 8.0)
    assert told["spread"].range == "> 0"


def test_without_leave_nothing_is_set(folder: Path):
    setting = load_strategy("settable_one.py:quote", {}, folder).setting("mm")
    with pytest.raises(UsageError, match="does not allow"):
        setting.set(SetParameters(bot="mm", values={"spread": 1.0}))


def test_a_configuration_beyond_a_range_is_refused_at_the_start(folder: Path):
    with pytest.raises(StrategyError, match="'levels' is 0, but must be >= 1"):
        load_strategy("settable_one.py:quote", {"levels": 0}, folder)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("def trade(hbt, x=1.0):\n    go(hbt, x)\n", "no loop that waits"),
        ("trade = lambda hbt, x=1.0: None\n", "not a plain"),
        (
            "def trade(hbt, *, x=1.0):\n    while hbt.elapse(1) == 0:\n        pass\n",
            "arguments of another kind",
        ),
        (
            (
                "def make(y):\n    def trade(hbt, x=1.0):\n        while hbt.elapse(y) == 0:\n            pass\n"
                "    return trade\ntrade = make(1)\n"
            ),
            "inside another function",
        ),
    ],
)
def test_a_strategy_that_could_not_follow_is_refused_at_the_start(tmp_path: Path, body: str, what: str):
    name = f"settable_{abs(hash(what))}.py"
    (tmp_path / name).write_text(body)
    with pytest.raises(StrategyError, match=what):
        load_strategy(f"{name}:trade", {}, tmp_path, allow_set=True)
