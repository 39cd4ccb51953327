"""What was told outlasts `hftd alert`: kill -9, a broken file, a full disk."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.ops.alerts.config import AlertConfig
from daemon.ops.alerts.keeping import Kept, StateFile
from daemon.ops.alerts.rules import Rules
from daemon.ops.alerts.states import Notice, States
from hftd.errors import ConfigError
from tests.daemon.ops.recording import Recorder, recording
from tests.daemon.ops.test_alert_rules import BAD_S, FAULTS, GOOD, LONG_S, Told, config, daemon, seen

S = 10**9
CONFIG = """
[watch]
daemons = ["bf"]
every_s = 0.1
settle_s = 0.3
folders = ["."]
state = "alerts.state"
[rules]
daemon_down_s = 0.2
disk_free_gb = {free}
warning_s = 0.2
[targets.phone]
url = "json://127.0.0.1:{port}/"
"""


class Restarted(Told):
    """The same, by processes that follow each other; each has a monotonic clock of its own."""

    ahead_s = 5

    def restart(self, settings: AlertConfig) -> None:
        states, daemons = self.states.kept(self.ahead_s * S), self.rules.kept()
        self.rules, self.states = Rules(settings), States(settings)
        self.rules.restore(daemons)
        self.ahead_s, self.now_s = self.ahead_s + self.now_s, 0
        self.states.restore(states, self.ahead_s * S, 0)


@pytest.mark.parametrize("name", FAULTS)
@given(st.lists(st.integers(1, 60), max_size=6))
def test_over_any_restarts_each_fault_is_told_once_and_once_that_it_is_over(name, at):
    what, rule, _, _ = FAULTS[name]
    after = what if rule in ("daemon_restarted", "refusals") else GOOD
    told = Restarted(config())
    for look, seconds in ((GOOD, BAD_S), (what, LONG_S + 60), (after, 100)):
        while seconds:
            part = min(seconds, at.pop()) if at else seconds
            told.look(look, part)
            seconds -= part
            # Refusals are counted within a window, which begins anew.
            if seconds or rule != "refusals":
                told.restart(config())
    assert [(one.rule, one.is_over) for _, one in told.notices] == [(rule, False), (rule, True)]


def test_a_daemon_that_ends_while_nobody_watches_is_missed():
    told = Restarted(config())
    told.look(seen(daemon("by")), 5)
    told.restart(config())
    told.look(seen(), 20)
    assert [(one.rule, one.daemon, one.is_over) for _, one in told.notices] == [("daemon_down", "by", False)]


def test_since_when_it_is_the_matter_is_known_after_a_restart():
    told = Restarted(config())
    told.look(FAULTS["halted"][0], 30)
    told.restart(config())
    told.look(GOOD, 30)
    assert [round(one.lasted_s) for _, one in told.notices] == [0, 29]


# Real processes.


def start(folder: Path, port: int, free: float = 1e9, *options: str, is_full=False) -> subprocess.Popen[str]:
    path = folder / "alerts.toml"
    path.touch(0o600)
    path.write_text(CONFIG.format(free=free, port=port))
    (folder / "run").mkdir(exist_ok=True)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    return subprocess.Popen(
        [sys.executable, "-m", "daemon.cli", "alert", "--config", path, "--log", "json", *options],
        env=os.environ | {"HFTD_RUNTIME_DIR": str(folder / "run")},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=fill if is_full else None,
    )


def end(child: subprocess.Popen[str], *, by_kill: bool = True) -> str:
    (child.kill if by_kill else child.terminate)()
    return child.communicate(timeout=20.0)[1]


def until(condition, child: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


def lines(server: Recorder) -> list[str]:
    return [line.partition(" (")[0].split(": ", 2)[1] for _, line in server.lines()]


def has(path: Path, text: str) -> bool:
    return path.exists() and text in path.read_text()


def test_after_a_kill_nothing_is_told_again_and_what_is_over_is_told(tmp_path):
    state = tmp_path / "alerts.state"
    with recording() as server:
        child = start(tmp_path, server.port)
        until(lambda: len(server.lines()) == 2, child)
        until(lambda: has(state, '"waiting":{}') and not has(state, '"told_ns":null'), child)
        end(child)
        assert sorted(lines(server)) == ["daemon_down", "disk_low"]
        child = start(tmp_path, server.port)
        time.sleep(3.0)
        end(child)
        assert len(server.lines()) == 2
        child = start(tmp_path, server.port, free=0.0)
        until(lambda: len(server.lines()) == 3, child)
        end(child, by_kill=False)
        (_, line) = server.lines()[2]
        assert line.startswith("OVER after")
        assert "disk_low" in line
        assert state.stat().st_mode & 0o777 == 0o600
        child = start(tmp_path, server.port, 0.0, "--forget")
        until(lambda: len(server.lines()) == 4, child)
        end(child)
        assert "daemon_down" in server.lines()[3][1]


def test_what_no_target_took_is_told_by_the_next_process(tmp_path):
    with recording() as server:
        server.code = 500
        child = start(tmp_path, server.port)
        until(lambda: has(tmp_path / "alerts.state", '"waiting":{"phone":[{"rule":"'), child)
        until(lambda: has(tmp_path / "alerts.state", '"rule":"daemon_down","severity"'), child)
        end(child)
        server.code = 200
        child = start(tmp_path, server.port)
        until(lambda: len(server.lines()) >= 2, child)
        time.sleep(0.5)
        end(child)
        assert sorted(lines(server)) == ["daemon_down", "disk_low"]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\x00" * 5000, b'{"version": 2}', b'{"states": [{"rule": 1}]}', b"\xff" * 9]
)
def test_of_a_broken_file_nothing_is_taken(tmp_path, text):
    (tmp_path / "state").write_bytes(text)
    file = StateFile(tmp_path / "state")
    assert file.read() == Kept()
    file.write(Kept(waiting={"a": ()}))
    assert (tmp_path / "state.broken").read_bytes() == text


def test_a_broken_file_is_said_and_begun_anew(tmp_path):
    (tmp_path / "alerts.state").write_text('{"states": [{')
    with recording() as server:
        child = start(tmp_path, server.port)
        until(lambda: len(server.lines()) == 2, child)
        until(lambda: has(tmp_path / "alerts.state", "daemon_down"), child)
        assert "alert_state_broken" in end(child, by_kill=False)


def test_with_a_full_disk_it_tells_all_and_that_it_can_not_keep_it(tmp_path):
    with recording() as server:
        child = start(tmp_path, server.port, is_full=True)
        until(lambda: len(server.lines()) >= 3, child)
        said = end(child, by_kill=False)
        assert sorted(lines(server)) == ["daemon_down", "disk_low", "warning"]
        assert said.count("alert_state_not_kept") == 1
        assert not list(tmp_path.glob("*.part"))


def test_two_do_not_keep_one_file(tmp_path):
    with recording() as server:
        child = start(tmp_path, server.port)
        until(lambda: server.lines(), child)
        other = start(tmp_path, server.port)
        said = other.communicate(timeout=20.0)[1]
        assert other.returncode == 2
        assert "another `hftd alert` runs" in said
        assert "Traceback" not in said
        end(child)


NOTICES = st.builds(
    Notice, st.text(), st.text(), st.text(), st.text(), st.text(), st.booleans(), st.floats(0, 9)
)


@given(st.dictionaries(st.text(max_size=9), st.tuples(NOTICES)))
def test_what_is_written_is_read(tmp_path_factory, waiting):
    folder = tmp_path_factory.mktemp("state")
    file = StateFile(folder / "deep" / "state")
    file.write(Kept(waiting=waiting))
    with pytest.raises(ConfigError, match="another"):
        StateFile(folder / "deep" / "state")
    assert file.read() == Kept(waiting=waiting)
