"""What a user may rely on: the accounts of the live demo agree, and whatever ends it leaves no process behind."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import psutil
import pytest

from daemon.cli.run.supervisor import short_temporary_folder
from hftd.clock import monotonic_ns, sleep
from tests.live.stack import ROOT

DEMO = [sys.executable, "-m", "daemon.cli", "demo", "--live"]


@pytest.fixture
def temporary():
    """A folder that only the demo uses; its path is short, so that the demo takes it for its sockets."""
    with tempfile.TemporaryDirectory(prefix="t-", dir=short_temporary_folder()) as folder:
        yield Path(folder)


@pytest.fixture
def environment(tmp_path, temporary, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}


def descendants(process):
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def started(environment, count):
    """The demo and its children, once there are so many."""
    demo = subprocess.Popen(
        [*DEMO, "--seconds", "60"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline_ns = monotonic_ns() + 90_000_000_000
    while len(descendants(demo)) < count:
        assert demo.poll() is None, demo.communicate()[1]
        assert monotonic_ns() < deadline_ns
        sleep(0.1)
    return demo, descendants(demo)


def gone(children, seconds=20.0):
    _, alive = psutil.wait_procs(children, timeout=seconds)
    return not alive


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("venue", ["binancefutures", "bybit", "binancespot"])
def test_bot_connector_and_exchange_agree_on_the_account_in_good_and_in_bad_weather(
    environment, temporary, tmp_path, venue
):
    command = [*DEMO, "--venue", venue, "--seconds", "6"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agree to the last unit, in both" in done.stdout
    assert "DIFFER" not in done.stdout
    for weather in ("calm", "chaos"):
        folder = tmp_path / "demo-live" / weather
        account = msgspec.json.decode((folder / "account.json").read_bytes())
        assert account["orders"]
        assert account["open_orders"] == []
        assert (folder / "result.png").stat().st_size > 10_000
        assert (folder / "orders.journal").stat().st_size > 0
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_one_bot_on_three_exchanges_agrees_with_all_of_them_and_its_backtest_has_a_page(
    environment, temporary, tmp_path
):
    command = [*DEMO[:-1], "--cross", "--seconds", "6"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Bot, connectors and exchanges agree to the last unit, in both." in done.stdout
    assert "DIFFER" not in done.stdout
    folder = tmp_path / "demo-cross"
    traded: dict[str, list[str]] = {"calm": [], "chaos": []}
    for weather, venues in traded.items():
        for venue in ("binancefutures", "bybit", "binancespot"):
            account = msgspec.json.decode((folder / weather / f"account-{venue}.json").read_bytes())
            assert account["open_orders"] == []
            venues += [venue] if account["orders"] else []
    assert len(traded["calm"]) == 3, traded
    # Within six seconds of bad weather an exchange may take no order at all.
    assert traded["chaos"], traded
    assert (folder / "backtest" / "report.html").stat().st_size > 10_000
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_signal_that_ends_the_demo_ends_its_processes(environment, temporary, number, code):
    demo, children = started(environment, 3)
    demo.send_signal(number)
    _, err = demo.communicate(timeout=60)
    assert demo.returncode == code, err
    assert "Traceback" not in err
    assert gone(children)
    if number != signal.SIGKILL:
        assert list(temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("which", [0, 1])
def test_a_process_that_dies_ends_the_demo_and_is_named(environment, which):
    demo, children = started(environment, 3)
    children.sort(key=lambda child: child.create_time())
    name = ("exchange", "connector")[which]
    children[which].kill()
    _, err = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert f"hftd {name} was ended by signal 9" in err
    assert "Traceback" not in err
    assert gone(children)
