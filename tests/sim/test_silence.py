"""What scripts that never ask are told of a run that failed: when it is made, or on stderr and by the exit code."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from hftd import failures
from hftd.errors import DataError, OrderError
from hftd.hbt.recorder import Recorder
from hftd.types import ERR_DATA
from sim.backtest import Backtest, HashMapMarketDepthBacktest
from sim.feed.asset import BacktestAsset
from tests.sim.engine.market import START, asset, levels, rows

BAD_ROW = 20_000


def long_data():
    data = np.repeat(rows(*levels()), 3_000)
    data["exch_ts"] = START + np.arange(len(data)) * 1_000
    data["local_ts"] = data["exch_ts"] + 500
    return data


def of_file(path, **how):
    made = BacktestAsset().data(str(path)).tick_size(1.0).lot_size(1.0)
    for name, value in how.items():
        getattr(made, name)(value)
    return made


@pytest.fixture
def bad_file(tmp_path):
    data = long_data()
    data["px"][BAD_ROW] = np.nan
    np.savez(tmp_path / "day.npz", data=data)
    return tmp_path / "day.npz"


def run(tmp_path, text):
    """A script's exit code and what it wrote to stderr."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240, cwd=tmp_path)
    return done.returncode, done.stderr, done.stdout


SCRIPT = """
    import atexit
    from numba import njit
    from sim import BacktestAsset, HashMapMarketDepthBacktest

    @njit
    def strategy(hbt):
        while hbt.elapse(100_000) == 0:
            hbt.clear_inactive_orders(0)

    atexit.register(print, "at the end")
    hbt = HashMapMarketDepthBacktest([BacktestAsset().data("day.npz").tick_size(1.0).lot_size(1.0)])
    strategy(hbt)
"""


def test_a_script_that_never_asks_is_told_on_stderr_and_by_its_exit_code(bad_file, tmp_path):
    code, said, out = run(tmp_path, SCRIPT)
    assert code == 1
    assert said.count(f"row {BAD_ROW} ") == 1
    assert "day.npz" in said and "not a number" in said
    # What else runs at the end does so.
    assert out == "at the end\n"


def test_a_script_that_asks_decides_itself_how_it_ends(bad_file, tmp_path):
    code, said, _ = run(tmp_path, SCRIPT + f"    assert 'row {BAD_ROW} ' in str(hbt.error)\n")
    assert (code, said.count(f"row {BAD_ROW} ")) == (0, 1)


def test_a_failed_worker_and_a_failed_test_do_not_change_how_their_process_ends(bad_file, tmp_path):
    worker = """
    import multiprocessing

    def work():
        from sim import BacktestAsset, HashMapMarketDepthBacktest
        hbt = HashMapMarketDepthBacktest([BacktestAsset().data("day.npz").tick_size(1.0).lot_size(1.0)])
        while hbt.elapse(100_000) == 0:
            pass

    if __name__ == "__main__":
        process = multiprocessing.get_context("spawn").Process(target=work)
        process.start()
        process.join()
        assert process.exitcode == 0
    """
    code, said, _ = run(tmp_path, worker)
    assert (code, said.count(f"row {BAD_ROW} ")) == (0, 1)


@pytest.fixture(autouse=True)
def no_run_before():
    """Errors of other tests' runs that nobody asked for are not these tests'."""
    failures._unseen.clear()


def failed(made, capsys):
    hbt = HashMapMarketDepthBacktest([made])
    recorder = Recorder(1, 1_000)
    while (code := hbt.elapse(1_000_000)) == 0:
        recorder.recorder.record(hbt)
    assert code == ERR_DATA
    assert capsys.readouterr().err.count(f"row {BAD_ROW} ") == 1
    return hbt, recorder


@pytest.mark.parametrize("ask", [lambda hbt: hbt.error, lambda hbt: hbt.check(), lambda hbt: hbt.close()])
@pytest.mark.parametrize("in_memory", [True, False])
def test_the_records_of_a_failed_run_are_read_only_by_who_knows(bad_file, tmp_path, capsys, ask, in_memory):
    # Of a file the first block is bad, so that nothing is recorded; of an array its second chunk.
    made = asset(np.load(bad_file)["data"]) if in_memory else of_file(bad_file)
    hbt, recorder = failed(made, capsys)
    for read in (lambda: recorder.get(0), lambda: recorder.to_npz(tmp_path / "run.npz")):
        with pytest.raises(DataError, match="stopped with an error"):
            read()
    assert not (tmp_path / "run.npz").exists()
    try:
        ask(hbt)
    except DataError as error:
        assert f"row {BAD_ROW} " in str(error)
    assert (len(recorder.get(0)) > 10) == in_memory


def test_a_good_run_has_no_error_and_its_records_are_its_own(tmp_path, capsys):
    hbt = HashMapMarketDepthBacktest([asset(long_data())])
    recorder = Recorder(1, 1_000)
    while hbt.elapse(1_000_000) == 0:
        recorder.recorder.record(hbt)
    assert hbt.error is None
    assert len(recorder.get(0)) > 10
    assert capsys.readouterr().err == ""


def test_who_makes_a_quiet_backtest_is_told_when_asking(bad_file, capsys):
    hbt = Backtest([of_file(bad_file).model], is_quiet=True)
    while hbt.elapse(1_000_000) == 0:
        pass
    assert capsys.readouterr().err == ""
    assert f"row {BAD_ROW} " in str(hbt.error)


def test_rows_that_an_offset_moves_before_they_were_sent_are_told_when_they_come(tmp_path, capsys):
    data = long_data()
    data["local_ts"][BAD_ROW] = data["exch_ts"][BAD_ROW] + 50
    data["local_ts"][BAD_ROW - 1] = data["exch_ts"][BAD_ROW - 1] + 60
    np.savez(tmp_path / "day.npz", data=data)
    hbt = HashMapMarketDepthBacktest([of_file(tmp_path / "day.npz", latency_offset=-55)])
    while hbt.elapse(1_000_000) == 0:
        pass
    said = capsys.readouterr().err
    assert f"row {BAD_ROW} " in said and "latency offset is -55" in said
    hbt.error  # noqa: B018 - asked


def write(path, data):
    np.savez(path, data=data)
    return path


def test_what_can_be_known_is_said_when_the_backtest_is_made(tmp_path):
    data = long_data()
    early, late = write(tmp_path / "1.npz", data), data.copy()
    for clock in ("exch_ts", "local_ts"):
        late[clock] += 10**15
    late = write(tmp_path / "2.npz", late)
    unsorted = data.copy()
    unsorted["exch_ts"][7] = 0
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "none").mkdir()
    day = of_file(early)
    for made, what in (
        (of_file(tmp_path / "missing.npz"), "missing.npz.*no such file"),
        (of_file(tmp_path / "none"), "none.*can't be read"),
        (of_file(tmp_path / "text.npz"), "neither npz nor npy"),
        (of_file(write(tmp_path / "float.npz", np.zeros((5, 6)))), "HftBacktest 1"),
        (of_file(write(tmp_path / "empty.npz", data[:0])), "no rows"),
        (of_file(write(tmp_path / "unsorted.npz", unsorted)), "row 7 .*goes back in time"),
        (
            BacktestAsset().data([str(late), str(early)]).tick_size(1.0).lot_size(1.0),
            "1.npz.*row 0 .*goes back",
        ),
        (of_file(early, latency_offset=-600), "row 0 .*does not arrive after"),
        (of_file(early, initial_snapshot=str(tmp_path / "missing.npz")), "no such file"),
        (of_file(early, intp_order_latency=str(tmp_path / "missing.npz")), "no such file"),
        (of_file(early, intp_order_latency=str(early)), "this is market data"),
    ):
        with pytest.raises(DataError, match=f"(?s){what}"):
            HashMapMarketDepthBacktest([made])
    with pytest.raises(OrderError, match="total or remainder"):
        day.modify_model("rest")
    assert HashMapMarketDepthBacktest([day]).elapse(0) == 0
