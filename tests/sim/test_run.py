"""From a replay's configuration to the engine: every model, and custom models."""

from pathlib import Path

import numpy as np
import pytest

import sim
from hftd.config import load
from hftd.errors import ConfigError, StrategyError
from hftd.types import GTC, GTX, LIMIT
from sim.backtest import Backtest
from sim.config import ReplayConfig
from sim.run import assets_of
from tests.sim.engine.market import levels, rows

END = ("mark price", 1_000_000, 0.0, 0.0)
DATE = "20220831"
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "custom_models.py"
USUAL = {
    "order_latency": '{ model = "constant", entry_ns = 10, response_ns = 20 }',
    "fee": '{ model = "value", maker = 0.01, taker = 0.02 }',
}


@pytest.fixture
def folder(tmp_path):
    np.savez(tmp_path / f"X_{DATE}.npz", data=rows(*levels(), ("sell", 500, 98.0, 12.0), END))
    (tmp_path / "examples.py").write_text(EXAMPLES.read_text())
    return tmp_path


def write(folder, **keys):
    lines = [f"{key} = {value}" for key, value in (USUAL | keys).items()]
    text = "\n".join(
        [
            "[replay]",
            'data = "{symbol}_{date}.npz"',
            "[[channels]]",
            'name = "c"',
            "[[channels.instruments]]",
            'symbol = "X"',
            "tick_size = 1.0",
            "lot_size = 1.0",
            *lines,
        ]
    )
    path = folder / "replay.toml"
    path.write_text(text + "\n")
    return path


def model_of(folder, **keys):
    return assets_of(load(write(folder, **keys), ReplayConfig), folder, [DATE])[0].model


def run(folder, **keys):
    """Buy 6 at 98 as the maker, and 25 at 102 as the taker; the backtest when all is over."""
    hbt = Backtest([model_of(folder, **keys)])
    hbt.record_every(1 << 60)
    hbt.elapse(0)
    hbt.submit_buy_order(0, 1, 98.0, 6.0, GTX, LIMIT, True)
    hbt.submit_buy_order(0, 2, 102.0, 25.0, GTC, LIMIT, True)
    hbt.elapse(600)
    hbt.check()
    return hbt


def test_partial_fills_are_a_key_of_the_configuration(folder):
    whole = run(folder)
    assert [(fill["price"], fill["qty"]) for fill in whole.fills()] == [(101.0, 25.0), (98.0, 6.0)]
    parts = run(folder, exchange='"partial_fill"')
    assert [(fill["price"], fill["qty"]) for fill in parts.fills()] == [
        (101.0, 10.0),
        (102.0, 15.0),
        (98.0, 2.0),
    ]


def test_inverse_contracts_are_a_key_of_the_configuration(folder):
    hbt = run(folder, asset='"inverse"', contract_size=100.0)
    assert hbt.state_values(0).balance == pytest.approx(-100 * (25 / 101 + 6 / 98))
    model = model_of(folder, asset='"inverse"', contract_size=100.0)
    assert (model.contract.size, model.contract.inverse) == (100.0, True)


@pytest.mark.parametrize(
    ("fee", "expected"),
    [
        ('{ model = "value", maker = -0.01, taker = 0.02 }', 0.02 * 2525 - 0.01 * 588),
        ('{ model = "quantity", maker = 0.5, taker = 0.25 }', 0.25 * 25 + 0.5 * 6),
        ('{ model = "flat", maker = 0.5, taker = 0.25 }', 0.75),
        (
            '{ model = "flat", maker = 0.5, taker = 0.25, buyer = 0.1, seller = 9.0 }',
            0.75 + 0.1 * (2525 + 588),
        ),
        ('{ model = "quantity", maker = 1, taker = 1, buyer = 0.1 }', 31 + 0.1 * (2525 + 588)),
        ('{ model = "value", maker = 0, taker = 0, seller = 0.1 }', 0.0),
    ],
)
def test_every_fee_is_a_key_of_the_configuration(folder, fee, expected):
    assert run(folder, fee=fee).state_values(0).fee == pytest.approx(expected)


def test_separate_latencies_are_a_key_of_the_configuration(folder):
    latency = '{ model = "separate", new_ns = 7, modify_ns = 30, cancel_ns = -4, response_ns = 100 }'
    hbt = Backtest([model_of(folder, order_latency=latency)])
    hbt.elapse(0)
    start = hbt.current_timestamp
    hbt.submit_buy_order(0, 1, 98.0, 6.0, GTX, LIMIT, True)
    assert hbt.order_latency(0) == (start, start + 7, start + 107)
    hbt.modify(0, 1, 97.0, 6.0, True)
    assert hbt.order_latency(0) == (start + 107, start + 137, start + 237)
    hbt.cancel(0, 1, True)
    assert hbt.current_timestamp == start + 241
    assert hbt.orders(0).get(1).cancellable


@pytest.mark.parametrize("model", ["risk_averse", "log", "log2", "power", "power2", "power3"])
def test_every_queue_model_is_that_of_the_builder(folder, model):
    text = f'{{ model = "{model}"' + (", n = 2.0 }" if "power" in model else " }")
    made = sim.BacktestAsset()
    if model == "risk_averse":
        made.risk_adverse_queue_model()
    elif "log" in model:
        getattr(made, f"log_prob_queue_model{model[3:]}")()
    else:
        getattr(made, f"power_prob_queue_model{model[5:]}")(2.0)
    found = model_of(folder, queue=text)
    assert (found.queue_model, found.queue_power) == (made.model.queue_model, made.model.queue_power)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("exchange", '"partial"', ["`exchange`", "can't be 'partial'", "partial_fill"]),
        ("exchange", '{ model = "custom" }', ["lacks `name`"]),
        ("asset", '"invers"', ["`asset`", "can't be 'invers'", "'inverse'"]),
        ("contract_size", "0", ["`contract_size`", "> 0.0"]),
        ("contract_size", "inf", ["`contract_size`", "finite"]),
        ("fee", '{ model = "flat", maker = 1 }', ["lacks `taker`"]),
        ("fee", '{ model = "flat", maker = 1, taker = "2" }', ["`taker`", "must be a number"]),
        ("fee", '{ model = "quantity", maker = 1, taker = nan }', ["`taker`", "finite"]),
        ("fee", '{ model = "flat", maker = 1, taker = 1, byer = 1 }', ["unknown key 'byer'", "'buyer'"]),
        ("fee", '{ model = "qty", maker = 1, taker = 1 }', ["can't be 'qty'", "quantity"]),
        ("fee", '{ model = "custom", name = "a.py:b", maker = 1 }', ["unknown key 'maker'"]),
        (
            "order_latency",
            '{ model = "separate", new_ns = 1, modify_ns = 1, cancel_ns = 1 }',
            ["lacks `response_ns`"],
        ),
        (
            "order_latency",
            '{ model = "separate", new_ns = 1, modify_ns = 1, cancel_ns = 1, response_ns = -1 }',
            ["`response_ns` must not be negative"],
        ),
        (
            "order_latency",
            '{ model = "separate", new_ns = 1.5, modify_ns = 1, cancel_ns = 1, response_ns = 1 }',
            ["`new_ns`", "an integer"],
        ),
        (
            "order_latency",
            '{ model = "constant", entry_ns = 9000000000000000000, response_ns = 1 }',
            ["`entry_ns`", "<= "],
        ),
        ("queue", '{ model = "custom" }', ["lacks `name`"]),
        ("queue", '{ model = "custom", name = "here" }', ["`name`", "module:function"]),
    ],
)
def test_a_wrong_model_is_an_error_of_the_configuration_with_its_line(folder, key, value, words):
    path = write(folder, **{key: value})
    with pytest.raises(ConfigError) as raised:
        load(path, ReplayConfig)
    said = f"{raised.value.what} {raised.value.hint}"
    for word in words:
        assert word in said
    line = int(raised.value.where.rsplit(":", 1)[1])
    assert path.read_text().splitlines()[line - 1].startswith(key), raised.value.where


# --- Custom models ----------------------------------------------------------------------------------------------

OWN = """\
import numpy as np
from numba import njit
from sim import CustomExchange, CustomFee

@njit
def dear(state, order, amount):
    state.count += 1
    return 2.0 * state.count

as_object = CustomFee(dear, np.zeros(1, [("count", "i8")]))

def as_function():
    return CustomFee(dear, np.zeros(1, [("count", "i8")]))

def with_argument(first, second=0):
    return CustomFee(dear, np.array([(first + second,)], [("count", "i8")]))

def not_a_model():
    return 7

def fails():
    return {}["missing"]

@njit
def never(state, order, market):
    return False

closed = CustomExchange(admit=never)
"""


@pytest.mark.parametrize(
    ("name", "more", "fee"),
    [
        ("as_object", "", 6.0),
        ("as_function", "", 6.0),
        ("with_argument", ", parameters = { first = 1, second = 2 }", 8.0 + 10.0),
        ("as_object", ", buyer = 0.01", 6.0 + 31.13),
    ],
)
def test_a_model_of_ones_own_is_named_by_its_file(folder, name, more, fee):
    (folder / "own.py").write_text(OWN)
    for _ in range(2):
        # Each run begins with the state as it was written, also that of an object.
        hbt = run(folder, fee=f'{{ model = "custom", name = "own.py:{name}"{more} }}')
        assert hbt.state_values(0).fee == pytest.approx(fee)


def test_two_instruments_with_one_model_have_a_state_each(folder):
    (folder / "own.py").write_text(OWN)
    keys = {"fee": '{ model = "custom", name = "own.py:as_object" }'}
    first, second = model_of(folder, **keys), model_of(folder, **keys)
    assert first.custom_fee.fee is not None
    assert first.custom_fee.state is not second.custom_fee.state


def test_an_exchange_of_ones_own_is_named_in_the_configuration(folder):
    (folder / "own.py").write_text(OWN)
    hbt = run(folder, exchange='{ model = "custom", name = "own.py:closed", partial_fill = true }')
    assert len(hbt.fills()) == 0
    model = model_of(folder, exchange='{ model = "custom", name = "own.py:closed", partial_fill = true }')
    assert model.exchange_model == 1
    assert model_of(folder, exchange='{ model = "custom", name = "own.py:closed" }').exchange_model == 0


def test_the_worked_examples_run_from_a_configuration(folder):
    def named(name, more=""):
        return f'{{ model = "custom", name = "examples.py:{name}"{more} }}'

    hbt = run(
        folder,
        queue=named("pro_rata_queue", ", parameters = { least_lots = 1 }"),
        fee=named("tiered_fees"),
        order_latency=named("loaded_latency", ", parameters = { base_ns = 10.0, ns_per_row = 1.0 }"),
        exchange='"partial_fill"',
    )
    # Ten levels were loaded: each adds a nanosecond; 6 of 16 in the queue get 4 whole lots of 12.
    request, exchange, _ = hbt.order_latency(0)
    assert exchange - request >= 10
    assert hbt.position(0) == 29.0
    assert hbt.state_values(0).fee == pytest.approx(0.0007 * (1010 + 1530) + 0.0002 * 4 * 98)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("fee", '"none.py:x"', ["no file", "none.py"]),
        ("fee", '"own.py:as_functon"', ["has no model 'as_functon'", "did you mean 'as_function'?"]),
        ("fee", '"own.py:not_a_model"', ["it is int", "CustomFee"]),
        ("fee", '"own.py:fails"', ["it failed: KeyError"]),
        ("fee", '"own.py:with_argument"', ["missing", "first", "they are: first, second"]),
        ("fee", '"own.py:as_function", parameters = { first = 1 }', ["they are: none"]),
        ("fee", '"own.py:as_object", parameters = { first = 1 }', ["no function"]),
        ("fee", '"own.py:dear"', ["parameters"]),
        ("queue", '"own.py:as_object"', ["it is CustomFee, but must be a CustomQueue"]),
        ("order_latency", '"own.py:as_object"', ["must be a CustomLatency"]),
        ("exchange", '"own.py:as_object"', ["must be a CustomExchange"]),
    ],
)
def test_a_model_that_can_not_be_loaded_is_told_with_its_place(folder, key, value, words):
    (folder / "own.py").write_text(OWN)
    with pytest.raises(StrategyError) as raised:
        model_of(folder, **{key: f'{{ model = "custom", name = {value} }}'})
    said = str(raised.value)
    for word in [*words, f"`{key}` of c:X"]:
        assert word in said
