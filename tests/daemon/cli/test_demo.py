import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from daemon.cli.run.supervisor import short_temporary_folder
from hftd.clock import monotonic_ns, sleep
from hftd.errors import ConfigError


@pytest.fixture
def no_leftovers(tmp_path_factory, monkeypatch):
    """Temporary folders of the demo go here; none may remain."""
    folder = tmp_path_factory.mktemp("system-tmp")
    monkeypatch.setenv("TMPDIR", str(folder))
    yield
    assert list(folder.iterdir()) == []


def children_of(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_the_demo_goes_all_the_way_and_says_what_each_stage_does(no_leftovers, hftd, folder):
    done = hftd("demo", TMPDIR=os.environ["TMPDIR"])
    assert done.returncode == 0, done.stderr
    for title in ("1/4  A market", "2/4  A daemon", "3/4  A bot", "4/4  The result"):
        assert title in done.stderr
    assert "replay | waiting for a bot" in done.stderr
    assert "BTCUSDT" in done.stdout
    assert "hftd replay --date 20220831" in done.stdout
    assert "hftd explain demo/life.npz" in done.stdout
    assert "hftd report demo/result.npz --life demo/life.npz" in done.stdout
    for name in ("result.png", "result.npz", "result.json"):
        assert (folder / "demo" / name).is_file()
    assert (folder / "data" / "demofutures" / "BTCUSDT_20220831.npz").read_bytes() == b"1"


@pytest.mark.thorough
def test_a_page_that_can_not_be_made_is_said_and_the_demo_goes_on(no_leftovers, hftd, folder):
    (folder / "demo").mkdir()
    (folder / "demo" / "report.html").write_text("of the last run")
    # The stand-in for the replay writes no life.
    done = hftd("demo", TMPDIR=os.environ["TMPDIR"])
    assert done.returncode == 0, done.stderr
    assert "The picture is demo/result.png, there is no page:" in done.stdout
    assert "there is no such file" in done.stdout
    assert "life.npz" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (folder / "demo" / "report.html").exists()


@pytest.mark.thorough
def test_seed_and_folder_are_the_users_choice(hftd, folder):
    done = hftd("demo", "--seed", "7", "--folder", "elsewhere/there")
    assert done.returncode == 0, done.stderr
    assert (folder / "elsewhere" / "there" / "result.png").is_file()
    assert (folder / "data" / "demofutures" / "BTCUSDT_20220831.npz").read_bytes() == b"7"


def test_an_instrument_that_the_demo_has_no_market_for_is_said(hftd, folder):
    path = folder / "configs" / "replay.toml"
    path.write_text(path.read_text().replace("BTCUSDT", "XRPUSDT"))
    done = hftd("demo")
    assert done.returncode == 2
    assert "no market for XRPUSDT on demofutures" in done.stderr


def test_missing_configurations_are_copied_and_the_users_own_are_kept(folder, monkeypatch):
    import daemon
    from daemon.cli.run.demo import find_configs

    (folder / "original" / "daemon").mkdir(parents=True)
    (folder / "original" / "configs").mkdir()
    for name in ("replay.toml", "bot.toml"):
        (folder / "original" / "configs" / name).write_text("# original\n")
    monkeypatch.setattr(daemon, "__file__", str(folder / "original" / "daemon" / "__init__.py"))
    mine = (folder / "configs" / "bot.toml").read_text()
    (folder / "configs" / "replay.toml").unlink()
    replay, bot = find_configs(Path("configs"), ("replay.toml", "bot.toml"))
    assert replay.read_text() == "# original\n"
    assert bot.read_text() == mine
    (folder / "original" / "configs" / "bot.toml").unlink()
    bot.unlink()
    with pytest.raises(ConfigError, match=r"no configs/bot\.toml"):
        find_configs(Path("configs"), ("replay.toml", "bot.toml"))


@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (
            "no data",
            ["hftd replay failed with exit code 2", "error: no data of 20220831", "there is 20220901"],
        ),
        ("replay dies", ["hftd replay was ended by signal 6"]),
        ("no channel", ["hftd bot failed with exit code 2", "no daemon publishes 'nowhere'"]),
        ("bot raises", ["hftd bot failed with exit code 1", "ZeroDivisionError"]),
    ],
)
@pytest.mark.thorough
def test_a_failure_of_a_process_is_shown_with_its_own_words_and_ends_the_other(
    no_leftovers, hftd, fake, words
):
    done = hftd("demo", fake=fake, TMPDIR=os.environ["TMPDIR"])
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.thorough),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.thorough),
    ],
)
def test_a_signal_ends_both_processes(no_leftovers, environment, folder, number, code):
    demo = subprocess.Popen(
        [sys.executable, "-m", "daemon.cli", "demo"],
        cwd=folder,
        env=environment | {"HFTD_FAKE": "bot hangs", "TMPDIR": os.environ["TMPDIR"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it runs in the background ignore interrupts, and so its children.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    limit_ns = monotonic_ns() + 30_000_000_000
    while len(children_of(demo)) < 2 and monotonic_ns() < limit_ns:
        sleep(0.05)
    children = children_of(demo)
    assert len(children) == 2
    sleep(0.5)
    demo.send_signal(number)
    # Where nothing is compiled yet, an interrupt waits for the compiler.
    _, err = demo.communicate(timeout=100)
    assert demo.returncode == code, err
    assert "Traceback" not in err
    assert not any(child.is_running() for child in children)


@pytest.mark.parametrize(("length", "taken"), [(60, True), (61, False)])
def test_a_temporary_folder_whose_path_leaves_no_room_for_a_socket_is_not_used(monkeypatch, length, taken):
    chosen = "/" + "t" * (length - 1)
    monkeypatch.setattr(tempfile, "tempdir", chosen)
    assert short_temporary_folder() == (chosen if taken else "/tmp")
