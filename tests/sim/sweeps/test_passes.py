"""What a point comes to in a pass is what its own backtest gives, bit for bit."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hftd.bot.result import BotResult
from sim.sweeps import lanes
from sim.sweeps.play import Failure
from sim.sweeps.stacks import is_known
from sim.sweeps.sweep import sweep
from tests.sim.sweeps.runs import DAYS, outcomes, setup_of, told, write_run

pytestmark = pytest.mark.skipif(not is_known(), reason="stacks are not switched on this machine")

QUEUES = (
    '{ model = "risk_averse" }',
    '{ model = "power", n = 2.0 }',
    '{ model = "power3", n = 3.0 }',
    '{ model = "log2" }',
)
LATENCIES = (
    '{ model = "constant", entry_ns = 700_000, response_ns = 900_000 }',
    '{ model = "constant", entry_ns = 0, response_ns = 0 }',
    '{ model = "constant", entry_ns = 9_000_000, response_ns = 1 }',
    '{ model = "separate", new_ns = 900_000, modify_ns = 5, cancel_ns = 3_000_000, response_ns = 100_000 }',
)
POINT = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1 << 20),
        "steps": st.integers(0, 700),
        "mean_ns": st.sampled_from([1, 100_000, 2_000_000, 60_000_000]),
        "calm": st.booleans(),
    }
)


@given(
    points=st.lists(POINT, min_size=2, max_size=9),
    queue=st.sampled_from(QUEUES),
    order_latency=st.sampled_from(LATENCIES),
    exchange=st.sampled_from(['"partial_fill"', '"no_partial_fill"']),
    share_trades=st.booleans(),
    symbols=st.sampled_from([("X",), ("X", "Y")]),
    pull_quotes=st.booleans(),
    days=st.integers(1, 2),
)
def test_a_pass_gives_what_backtests_give(points, symbols, pull_quotes, days, share_trades, **keys):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_run(
            folder, symbols=symbols, pull_quotes=pull_quotes, share_trades=str(share_trades).lower(), **keys
        )
        setup = setup_of(folder)
        alone = outcomes(setup, points, alone=True, dates=DAYS[:days])
        together = outcomes(setup, points, alone=False, dates=DAYS[:days])
    assert all(isinstance(one, BotResult) for one in alone)
    assert list(map(told, together)) == list(map(told, alone))


def test_they_are_played_in_one_pass(tmp_path, monkeypatch):
    # Or the test above would compare backtests with themselves.
    write_run(tmp_path)
    played = []
    before = lanes.Pass.play
    monkeypatch.setattr(
        lanes.Pass, "play", lambda self, calls: played.append(len(calls)) or before(self, calls)
    )
    found = outcomes(setup_of(tmp_path), [{"seed": seed} for seed in range(70)], alone=False)
    assert played == [64, 6]
    assert sum(len(one.fills) for one in found) > 500


def test_a_strategy_that_raises_is_a_failure_and_the_others_go_on(tmp_path):
    write_run(tmp_path)
    points = [{"seed": 1}, {"seed": 2, "fails_at": 50}, {"seed": 3}]
    setup = setup_of(tmp_path)
    together = outcomes(setup, points, alone=False)
    assert isinstance(together[1], Failure)
    assert "it was told to" in together[1].reason
    assert list(map(told, together)) == list(map(told, outcomes(setup, points, alone=True)))


def test_data_that_are_wrong_in_their_midst_fail_each_point_with_the_reason(tmp_path):
    import numpy as np

    from tests.sim.market import random_market

    rows = random_market(3, 1500)
    rows["px"][900] = np.nan
    np.savez_compressed(tmp_path / f"X_{DAYS[0]}.npz", data=rows)
    write_run(tmp_path)
    found = outcomes(setup_of(tmp_path), [{"steps": 100_000}] * 2, alone=False)
    assert [type(one) for one in found] == [Failure, Failure]
    assert "row 900" in found[0].reason


def test_a_stack_that_overflows_ends_the_process_and_nothing_else(tmp_path):
    # In a process of its own: what ends it is a signal.
    (tmp_path / "deep.py").write_text(
        "from numba import njit\n"
        "@njit('int64(int64)', nogil=True)\n"
        "def down(n):\n"
        "    if n == 0:\n"
        "        return 1\n"
        "    return down(n - 1) * 3 + down(n - 2 if n > 1 else 0)\n"
        "@njit(nogil=True)\n"
        "def deep(hbt, depth: int = 1):\n"
        "    while hbt.elapse(100_000_000) == 0:\n"
        "        down(depth)\n"
    )
    write_run(tmp_path, strategy="deep.py:deep")
    found = sweep(
        tmp_path / "replay.toml",
        tmp_path / "bot.toml",
        DAYS[0],
        {"depth": [1, 100_000_000, 2]},
        tmp_path / "out",
        workers=1,
    )
    assert [row.status for row in found.rows] == ["ok", "failed", "ok"]
    assert "SIGSEGV" in found.rows[1].reason


def test_a_strategy_that_prints_may_be_in_a_pass(tmp_path, capfd):
    # Python runs on the lane's stack then.
    (tmp_path / "told.py").write_text(
        "from numba import njit\n"
        "@njit(nogil=True)\n"
        "def told(hbt, number: int = 1):\n"
        "    while hbt.elapse(100_000_000) == 0:\n"
        "        print('at', hbt.current_timestamp, number)\n"
    )
    write_run(tmp_path, strategy="told.py:told")
    setup = setup_of(tmp_path)
    points = [{"number": 1}, {"number": 2}]
    together = outcomes(setup, points, alone=False)
    lines = capfd.readouterr().out.splitlines()
    assert list(map(told, together)) == list(map(told, outcomes(setup, points, alone=True)))
    assert sorted(lines) == sorted(capfd.readouterr().out.splitlines())
    assert len(lines) > 4


def test_where_stacks_are_not_switched_each_point_has_a_backtest_of_its_own(tmp_path, monkeypatch):
    write_run(tmp_path)
    setup = setup_of(tmp_path)
    points = [{"seed": seed} for seed in range(3)]
    together = outcomes(setup, points, alone=False)
    monkeypatch.setattr("sim.sweeps.stacks.platform.machine", lambda: "riscv64")
    monkeypatch.setattr(lanes.Pass, "play", None)
    assert list(map(told, outcomes(setup, points, alone=False))) == list(map(told, together))
