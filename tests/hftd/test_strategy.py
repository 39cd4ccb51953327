"""Strategies are found by name, given their parameters, compiled once, and compiled again when they change."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hftd.bot.strategy import load_strategy
from hftd.compiled.jit import cache_dir
from hftd.errors import StrategyError
from tests.sim.engine.market import backtest, levels, rows

ROOT = Path(__file__).resolve().parent.parent.parent
END = ("mark price", 1_000_000, 0.0, 0.0)

PLAIN = '''
def trade(hbt, ticks=2.0, count=3, fast=True, name="x", weights=None):
    """Nothing."""
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of strategies, in which `import` finds what it would for a user."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "name", ["made_up_strategy:trade", "made_up_package.inner:trade", "nothing.py:trade"]
)
def test_a_strategy_that_is_not_there_is_told(folder, name):
    with pytest.raises(StrategyError, match=r"there is no (module|file)") as raised:
        load_strategy(name, {}, folder)
    assert name in raised.value.where


@pytest.mark.parametrize("name", ["", ":", "module", "module:", ":function"])
def test_a_name_without_a_module_or_a_function_is_told_how_to_be(folder, name):
    with pytest.raises(StrategyError, match="no function") as raised:
        load_strategy(name, {}, folder)
    assert "module:function" in raised.value.hint


def test_a_function_that_is_not_there_suggests_one_that_is(folder):
    write(folder, "quiet_one.py", PLAIN)
    with pytest.raises(StrategyError, match="no function 'trad'") as raised:
        load_strategy("quiet_one.py:trad", {}, folder)
    assert raised.value.hint == "did you mean 'trade'?"
    with pytest.raises(StrategyError, match="no function"):
        load_strategy("quiet_one.py:__doc__", {}, folder)


def test_a_parameter_that_is_not_there_suggests_one_that_is(folder):
    write(folder, "quiet_two.py", PLAIN)
    with pytest.raises(StrategyError, match="no parameter 'tick'") as raised:
        load_strategy("quiet_two.py:trade", {"tick": 1.0}, folder)
    assert raised.value.hint == "did you mean 'ticks'?"
    with pytest.raises(StrategyError, match="no parameter 'zzz'") as raised:
        load_strategy("quiet_two.py:trade", {"zzz": 1.0}, folder)
    assert "ticks, count, fast" in raised.value.hint
    for name in ("hbt", "recorder"):
        with pytest.raises(StrategyError, match="no parameter"):
            load_strategy("quiet_two.py:trade", {name: 1.0}, folder)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("ticks", "2"), ("ticks", True), ("ticks", [1.0]), ("count", 1.5), ("count", True), ("count", "3"),
        ("count", [3]),
        ("fast", 1), ("fast", "yes"), ("weights", ["a"]), ("weights", [[1.0], [1.0, 2.0]]),
    ],
)  # fmt: skip
def test_a_parameter_of_another_type_than_its_default_is_refused(folder, parameter, value):
    write(folder, "quiet_three.py", PLAIN)
    with pytest.raises(StrategyError, match=repr(parameter)):
        load_strategy("quiet_three.py:trade", {parameter: value}, folder)


def test_parameters_take_the_type_of_their_defaults(folder):
    write(folder, "quiet_four.py", PLAIN)
    given = {"ticks": 3, "count": 4.0, "fast": False, "weights": [1, 2]}
    _, ticks, count, fast, name, weights = load_strategy("quiet_four.py:trade", given, folder).arguments(
        None, None
    )
    assert (ticks, count, fast, name) == (3.0, 4, False, "x")
    assert isinstance(ticks, float) and isinstance(count, int)
    assert isinstance(weights, np.ndarray) and weights.tolist() == [1, 2]


def test_a_parameter_without_a_default_must_be_given(folder):
    write(folder, "quiet_five.py", "def trade(hbt, gamma):\n    pass\n")
    with pytest.raises(StrategyError, match="'gamma' has no value") as raised:
        load_strategy("quiet_five.py:trade", {}, folder)
    assert "gamma = ..." in raised.value.hint


def test_a_strategy_without_arguments_is_refused(folder):
    write(folder, "quiet_six.py", "def trade():\n    pass\n")
    with pytest.raises(StrategyError, match="takes no argument"):
        load_strategy("quiet_six.py:trade", {}, folder)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("def trade(hbt:\n", "line 1"),
        ("import nothing_like_this\n", "nothing_like_this"),
        ("raise ValueError('early')\n", "ValueError: early"),
    ],
)
def test_a_module_that_can_not_be_imported_is_told_why(folder, text, what):
    write(folder, "broken_one.py", text)
    with pytest.raises(StrategyError, match=what):
        load_strategy("broken_one.py:trade", {}, folder)


def test_a_strategy_may_use_a_helper_beside_it_and_be_named_like_any_module(folder):
    write(folder / "mine", "steps_beside.py", "STEP = 7\n")
    for name in ("json", "numba", "steps"):
        write(
            folder / "mine", f"{name}.py", "from steps_beside import STEP\ndef trade(hbt):\n    return STEP\n"
        )
        strategy = load_strategy(f"mine/{name}.py:trade", {}, folder)
        assert strategy.python_function(None) == 7
    import json as standard

    import numba

    assert standard is json and hasattr(numba, "njit")


@pytest.mark.parametrize(
    "body",
    [
        "hbt.elapse('soon')",
        "hbt.submit_order(1)",
        "hbt.depth(0).nothing",
        "with open('x') as f: pass",
        "print(f'{hbt:>{3}}'); yield 1",
        "import json",
        "undefined_name + 1",
        "class A: pass",
    ],
)
def test_a_strategy_that_can_not_be_compiled_says_where(folder, body):
    write(folder, "odd_one.py", f"from numba import njit\n@njit\ndef trade(hbt):\n    {body}\n")
    strategy = load_strategy("odd_one.py:trade", {}, folder)
    with pytest.raises(StrategyError, match="can't be compiled") as raised:
        strategy.compile(backtest(rows(*levels(), END)), None)
    assert "odd_one.py:trade" in raised.value.where


COMPILED = """
from numba import njit
from helper_of_it import step

@njit
def trade(hbt, lots=1.0):
    while hbt.elapse(step()) == 0:
        pass
    hbt.submit_buy_order(0, {number}, 98.0, lots, 1, 0, False)
"""
HELPER = """
from numba import njit
from constants_of_it import STEP

@njit
def step():
    return STEP
"""
RUN = """
import json, sys
from pathlib import Path
from hftd.bot.strategy import load_strategy
from hftd.compiled.jit import on_compiled
from tests.sim.engine.market import START, backtest, levels, rows

slow = []
on_compiled.append(lambda name, seconds: slow.append(name))
strategy = load_strategy("compiled_one.py:trade", {}, Path(sys.argv[1]))
hbt = backtest(rows(*levels(), ("mark price", 1000, 0.0, 0.0)))
function = strategy.compile(hbt, None)
function(*strategy.arguments(hbt, None))
orders = [order.order_id for order in hbt.orders(0).values()]
print(json.dumps([strategy.was_cached, orders, hbt.current_timestamp - START, slow]))
"""


@pytest.fixture
def process(tmp_path):
    """Run the strategy in a process of its own, with a cache of its own but for the engine's code."""
    cache = tmp_path / "cache"
    cache.mkdir()
    # The engine's code is here already, since this process uses it.
    backtest(rows(*levels(), END))
    for path in cache_dir().glob("kernels-*"):
        (cache / path.name).symlink_to(path)

    def run():
        environment = os.environ | {"HFTD_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(tmp_path)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        was_cached, orders, time_ns, slow = json.loads(done.stdout)
        assert slow == []
        return was_cached, orders, time_ns

    return run


@pytest.mark.thorough
def test_an_unedited_strategy_is_loaded_and_an_edited_one_is_compiled_again(tmp_path, process):
    write(tmp_path, "compiled_one.py", COMPILED.format(number=1))
    write(tmp_path, "helper_of_it.py", HELPER)
    write(tmp_path, "constants_of_it.py", "STEP = 300\n")
    assert process() == (False, [1], 900)
    assert process() == (True, [1], 900)
    write(tmp_path, "compiled_one.py", COMPILED.format(number=2))
    assert process() == (False, [2], 900)
    # A constant in a file that only the helper imports.
    write(tmp_path, "constants_of_it.py", "STEP = 400\n")
    assert process() == (False, [2], 800)
    assert process() == (True, [2], 800)


@pytest.mark.thorough
def test_a_broken_cache_is_made_again(tmp_path, process):
    write(tmp_path, "compiled_one.py", COMPILED.format(number=1))
    write(tmp_path, "helper_of_it.py", HELPER)
    write(tmp_path, "constants_of_it.py", "STEP = 300\n")
    assert process() == (False, [1], 900)
    for path in (tmp_path / "cache").glob("strategies-*/**/*.nb?"):
        path.write_bytes(b"not what it was")
    assert process() == (False, [1], 900)
    assert process() == (True, [1], 900)


@pytest.mark.thorough
def test_a_kernel_whose_cache_is_torn_is_compiled_again(tmp_path, monkeypatch):
    program = "from hftd.book.book import far_qty; print(far_qty.address > 0)"
    environment = {**os.environ, "HFTD_CACHE_DIR": str(tmp_path)}

    def run():
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
        return done.stdout.strip(), done.stderr

    assert run() == ("True", "")
    (index,) = tmp_path.rglob("*.nbi")
    index.write_bytes(index.read_bytes()[:100])
    assert run() == ("True", "")


def test_a_function_that_is_compiled_into_others_can_be_called_from_python_before_and_after():
    import numba

    from hftd.compiled.jit import inline

    @inline
    def one_more(x):
        return x + 1

    assert one_more(1) == 2
    assert numba.njit(lambda x: one_more(x) * 2)(3) == 8
    assert (one_more(3), one_more(2.5)) == (4, 3.5)


def test_each_call_has_arrays_of_its_own_so_that_no_run_finds_what_another_wrote(tmp_path):
    (tmp_path / "one.py").write_text(
        "import numpy as np\n\ndef quote(hbt, given=None, own=np.zeros(2)):\n    given[0] = own[0] = 9\n"
    )
    strategy = load_strategy("one.py:quote", {"given": [1.0, 2.0]}, tmp_path)
    strategy.python_function(*strategy.arguments(None, None))
    assert [list(value) for value in strategy.arguments(None, None)[1:]] == [[1.0, 2.0], [0.0, 0.0]]
