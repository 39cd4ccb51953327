"""`hftd init`: a project in which everything that its README says works."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import daemon.cli
from daemon.cli.failing import run
from hftd.bot.config import BotConfig
from hftd.bot.result import load_records
from hftd.clock import sleep
from hftd.config import load
from sim.config import ReplayConfig
from tests.laws import ROOT

README = ROOT / "configs" / "project" / "README.md"


def commands() -> list[list[str]]:
    """What the README's code blocks say, in its order."""
    blocks = re.findall(r"^```\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    return [line.split() for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("what", ["a file in it", "a file"])
def test_a_folder_that_is_not_empty_is_left_alone(what, tmp_path, capfd):
    target = tmp_path / "mine"
    if what == "a file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "notes").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert run(daemon.cli.hftd, ["init", str(target)]) == 2
    assert "the folder is not empty" in capfd.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_the_projects_configurations_are_in_order():
    configs = ROOT / "configs" / "project" / "configs"
    replay = load(configs / "replay.toml", ReplayConfig)
    traded = {(channel.name, one.symbol) for channel in replay.channels for one in channel.instruments}
    bot = load(configs / "bot.toml", BotConfig)
    assert {(one.channel, one.symbol) for one in bot.instruments} <= traded
    live = load(configs / "bot-live.toml", BotConfig)
    assert live.bot.strategy == bot.bot.strategy
    # Live it looks less often.
    assert live.parameters == bot.parameters | {"interval_ns": live.parameters["interval_ns"]}
    assert live.bot.name == bot.bot.name


def test_the_readme_says_what_is_tried_here():
    assert [line[:2] for line in commands()] == [
        ["hftd", "backtest"],
        ["hftd", "report"],
        ["python", "-m"],
        ["hftd", "replay"],
        ["hftd", "bot"],
        ["hftd", "exchange"],
        ["hftd", "connector"],
        ["hftd", "bot"],
        ["hftd", "status"],
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_everything_that_the_readme_of_a_new_project_says_works(tmp_path):
    project, runtime = tmp_path / "mine", tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": paths, "PYTHONPATH": str(ROOT), "HFTD_RUNTIME_DIR": str(runtime)}

    def words(line: list[str]) -> list[str]:
        program = {"hftd": [sys.executable, "-m", "daemon.cli"], "python": [sys.executable]}
        return [*program[line[0]], *line[1:]]

    def call(line: list[str], **options) -> subprocess.CompletedProcess[str]:
        options = {"cwd": project, "timeout": 300} | options
        done = subprocess.run(words(line), env=environment, capture_output=True, text=True, **options)
        assert done.returncode == 0, f"{' '.join(line)}\n{done.stdout}\n{done.stderr}"
        return done

    def start(line: list[str]) -> subprocess.Popen[bytes]:
        # Into a file: nobody reads while it runs, and a full pipe would stop it.
        with (tmp_path / f"{line[1]}.log").open("ab") as log:
            return subprocess.Popen(
                words(line), cwd=project, env=environment, stdout=subprocess.DEVNULL, stderr=log
            )

    def said() -> str:
        return "\n".join(path.read_text()[-2_000:] for path in sorted(tmp_path.glob("*.log")))

    made = call(["hftd", "init", str(project)], cwd=tmp_path)
    assert "hftd backtest" in made.stdout
    assert stat.S_IMODE((project / "configs" / "local.toml").stat().st_mode) == 0o600
    assert {"/data/", "*.journal", "/configs/local.toml"} <= set(
        (project / ".gitignore").read_text().splitlines()
    )
    backtest, report, test, replay, bot, exchange, connector, live, status = commands()
    call(backtest)
    assert len(load_records(project / "run.npz")["fills"]) > 0
    call(report)
    assert (project / "run.html").stat().st_size > 10_000
    assert "3 passed" in call(test).stdout

    playing = start(replay)
    call([*bot, "--record", "replayed.npz"])
    assert playing.wait(60) == 0, said()
    first, second = (load_records(project / name)["fills"] for name in ("run.npz", "replayed.npz"))
    assert first.tobytes() == second.tobytes()

    with socket.socket() as one, socket.socket() as other:
        # Whatever else runs on this machine has ports of its own.
        for number, free in (("9080", one), ("9081", other)):
            free.bind(("127.0.0.1", 0))
            for path in (project / "configs" / "exchange.toml", project / "configs" / "local.toml"):
                path.write_text(path.read_text().replace(number, str(free.getsockname()[1])))
    running = [start(exchange), start(connector)]
    try:
        trading = start(live)
        running.append(trading)
        for _ in range(600):
            sleep(0.2)
            assert all(one.poll() is None for one in running), said()
            seen = subprocess.run(words([*status, "--json"]), env=environment, capture_output=True, text=True)
            if seen.returncode == 0 and '"maker"' in seen.stdout and '"num_trades":' in seen.stdout:
                if any(int(one) > 0 for one in re.findall(r'"num_trades":(\d+)', seen.stdout)):
                    break
        else:
            pytest.fail(f"the bot has not traded: {seen.stdout} {seen.stderr} {said()}")
        trading.send_signal(signal.SIGINT)
        trading.wait(60)
        assert len(load_records(project / "live.npz")["fills"]) > 0
        # A bot that is away and holds something is a warning.
        seen = subprocess.run(words([*status]), env=environment, capture_output=True, check=False)
        assert seen.returncode == 0 or b"maker is away and holds" in seen.stdout
    finally:
        for one in running[::-1]:
            if one.poll() is None:
                one.send_signal(signal.SIGINT)
                try:
                    one.wait(60)
                except subprocess.TimeoutExpired:
                    one.kill()
                    one.wait()
