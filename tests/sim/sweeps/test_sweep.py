"""A sweep as a whole: processes, files, what goes wrong."""

import os
import signal
import subprocess
import sys

import msgspec
import pytest

from hftd.errors import UsageError
from sim.sweeps.figures import Row, row_of
from sim.sweeps.summary import summarize
from sim.sweeps.sweep import read_sweep, sweep
from sim.sweeps.worker import Common, Task
from sim.sweeps.workers import Worker, WorkerStopped, play_part
from tests.sim.sweeps.runs import DAYS, outcomes, setup_of, write_run

VALUES = {"seed": "1:6:1", "mean_ns": [2_000_000, 20_000_000]}
DATES = ",".join(DAYS)


def files_of(folder):
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def run(folder, out, values=VALUES, **options):
    return sweep(
        folder / "replay.toml",
        folder / "bot.toml",
        DATES,
        values,
        folder / out,
        chunk=4,
        **{"workers": 1, **options},
    )


@pytest.mark.slow
def test_a_sweep_is_what_backtests_give_whoever_works_and_how_often_it_is_stopped(tmp_path):
    write_run(tmp_path)
    seen = []
    whole = run(tmp_path, "whole", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (24, 24)
    setup = setup_of(tmp_path)
    points = [{"seed": seed, "mean_ns": mean} for seed in range(1, 7) for mean in VALUES["mean_ns"]]
    for day in DAYS:
        alone = outcomes(setup, points, alone=True, dates=[day])
        rows = [row_of(number, day, points[number], one) for number, one in enumerate(alone)]
        assert [row for row in whole.rows if row.date == day] == rows
    assert whole.points == summarize(whole.rows)
    assert read_sweep(tmp_path / "whole") == whole

    # Killed at moments of chance, until it is through.
    command = [sys.executable, "-m", "daemon.cli", "sweep", "--config", "replay.toml", "--bot", "bot.toml"]
    command += ["--dates", DATES, "--set", "seed=1:6:1", "--set", "mean_ns=2000000,20000000"]
    command += ["--out", "killed", "--workers", "2", "--progress", "none"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ends = []
    for turn in range(6):
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            ends.append(process.wait(0.6 + 0.4 * turn))
        except subprocess.TimeoutExpired:
            process.kill()
            ends.append(process.wait())
    assert -signal.SIGKILL in ends
    assert (
        subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True).returncode
        == 0
    )
    undisturbed = [*command[:-5], "calm", *command[-4:]]
    subprocess.run(undisturbed, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "calm")
    assert read_sweep(tmp_path / "calm").rows == whole.rows


@pytest.mark.slow
def test_workers_that_are_killed_are_replaced_and_one_that_breaks_is_a_row(tmp_path):
    (tmp_path / "own.py").write_text(
        "import os, signal, time\n"
        "def own(hbt, x: int = 0):\n"
        "    if x == 1:\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    if x == 2 and not os.path.exists('killed'):\n"
        "        open('killed', 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    if x == 3:\n"
        "        raise ValueError('three')\n"
        "    print('not an answer', flush=True)\n"
        "    while hbt.elapse(100_000_000) == 0:\n"
        "        pass\n"
    )
    write_run(tmp_path, strategy="own.py:own")
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        found = sweep("replay.toml", "bot.toml", DAYS[0], {"x": [0, 1, 2, 3, 4]}, "out", workers=1)
    finally:
        os.chdir(before)
    assert [row.status for row in found.rows] == ["ok", "failed", "ok", "failed", "ok"]
    assert "SIGSEGV" in found.rows[1].reason
    assert "three" in found.rows[3].reason
    assert [one.failed for one in found.points] == [0, 1, 0, 1, 0]


@pytest.mark.slow
def test_another_sweep_does_not_mix_with_one_that_is_there(tmp_path):
    write_run(tmp_path)
    run(tmp_path, "out", {"seed": [1]})
    before = files_of(tmp_path / "out")
    with pytest.raises(UsageError, match="other points"):
        run(tmp_path, "out", {"seed": [2]})
    write_run(tmp_path, queue='{ model = "log2" }')
    with pytest.raises(UsageError, match="other replay"):
        run(tmp_path, "out", {"seed": [1]})
    assert files_of(tmp_path / "out") == before


@pytest.mark.parametrize("values", [["nothing=1"], ["steps=x"], ["steps=1", "steps=2"], ["seed=1:2"]])
def test_a_bad_set_is_told_before_anything_is_played(tmp_path, values):
    write_run(tmp_path)
    with pytest.raises(UsageError):
        run(tmp_path, "out", values)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    write_run(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        run(tmp_path, "out", ["seed=1"])
    assert files_of(tmp_path / "out") == {"thesis.txt": b"mine"}


def test_the_drawdown_of_days_one_behind_the_other():
    def day(date, equity, highest, lowest, drawdown):
        return Row(
            point=0,
            date=date,
            parameters={},
            equity=equity,
            highest=highest,
            lowest=lowest,
            max_drawdown=drawdown,
        )

    (one,) = summarize(
        [day("1", 5.0, 8.0, -1.0, 3.0), day("2", -4.0, 1.0, -6.0, 7.0), day("3", 1.0, 2.0, -2.0, 2.0)]
    )
    # The path: up to 8, to 5, up to 6, down to -1, to 1, down to -1, to 2.
    assert one.max_drawdown == 9.0
    assert one.equity == 2.0
    assert one.profits == [5.0, -4.0, 1.0]
    assert msgspec.json.decode(msgspec.json.encode(one))["days"] == 3


def test_a_worker_that_is_stopped_is_not_started_again(tmp_path):
    # It would look like one that was killed, whose part is played again.
    write_run(tmp_path)
    setup = setup_of(tmp_path)
    common = Common(
        replay=setup.replay,
        replay_base=str(tmp_path),
        bot=setup.bot,
        bot_base=str(tmp_path),
        parent=os.getpid(),
    )
    worker = Worker(common)
    task = Task(date=DAYS[0], first=0, points=[{"steps": 10}] * 300)

    def stop():
        assert worker.pid is not None
        worker.stop()

    with pytest.raises(WorkerStopped):
        play_part(worker, task, stop)
    with pytest.raises(WorkerStopped):
        play_part(worker, task, stop)
    assert worker.pid is None
