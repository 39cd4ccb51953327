"""Whose processes a channel is for: the daemon's user's, root's, and those of a group that it is shared with."""

import asyncio
import grp
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hftd import wire
from hftd.clock import monotonic_ns
from hftd.control import peers
from hftd.control.asking import Reply
from hftd.control.protocol import connect, receive_answer, runtime_dir, send_message
from hftd.control.server import ChannelServer
from hftd.errors import ConfigError, HftdError, RefusedError
from tests.hftd.channel.daemons import Daemon

NOBODY, GROUP = 65_534, 54_321
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be several users")


class Answering(Daemon):
    def answer(self, ask: wire.Ask) -> Reply:
        return Reply({"asked": ask.what})


def as_other(groups: list[int], ask: str) -> int:
    """Ask as another user, in a child: 0 answered, 1 refused in words, 2 turned away, 3 no way to the socket."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 9
    try:
        os.setgroups(groups)
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        deadline_ns = monotonic_ns() + 5_000_000_000
        with connect("bf", deadline_ns) as connected:
            send_message(connected, wire.Ask(wire.PROTOCOL_VERSION, ask, ""))
            receive_answer(connected, "bf", deadline_ns)
        code = 0
    except RefusedError:
        code = 1
    except HftdError as error:
        code = 3 if "connect" in error.what or "there is no channel" in error.what else 2
    except OSError:
        code = 2
    finally:
        os._exit(code)


def mode_of(path: Path) -> tuple[int, int]:
    found = path.stat()
    return stat.S_IMODE(found.st_mode), found.st_gid


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Not pytest's folder, which it keeps shut.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        directory = Path(folder) / "run"
        monkeypatch.setenv("HFTD_RUNTIME_DIR", str(directory))
        monkeypatch.setenv("HFTD_GROUP", str(GROUP))
        yield directory


@needs_root
@pytest.mark.parametrize(
    ("groups", "ask", "code"),
    [
        ([GROUP], "status", 0),
        ([GROUP], "tap", 0),
        ([GROUP], "halt", 1),
        ([GROUP], "resume", 1),
        ([], "status", 3),
    ],
)
def test_members_of_the_group_may_attach_and_look_and_nobody_else_may(shared: Path, groups, ask, code):
    async def whole() -> int:
        async with ChannelServer("bf", Answering()):
            assert mode_of(shared) == (0o750, GROUP)
            assert mode_of(shared / "bf.sock") == (0o660, GROUP)
            return await asyncio.to_thread(as_other, groups, ask)

    assert asyncio.run(whole()) == code


@needs_root
def test_without_a_group_another_user_has_no_way_in(shared: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HFTD_GROUP")

    async def whole() -> int:
        async with ChannelServer("bf", Answering()):
            assert mode_of(shared / "bf.sock")[0] == 0o600
            os.chmod(shared, 0o755)
            os.chmod(shared / "bf.sock", 0o666)
            return await asyncio.to_thread(as_other, [GROUP], "status")

    assert asyncio.run(whole()) != 0


def test_a_group_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HFTD_GROUP", "no-such-group-at-all")
    with pytest.raises(ConfigError, match="no group 'no-such-group-at-all'"):
        peers.shared_group()
    name = grp.getgrgid(os.getgid()).gr_name
    monkeypatch.setenv("HFTD_GROUP", name)
    assert peers.shared_group() == os.getgid()


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o757])
def test_a_runtime_directory_that_others_may_write_is_refused_with_a_group_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode
):
    monkeypatch.setenv("HFTD_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HFTD_GROUP", str(tmp_path.stat().st_gid))
    tmp_path.chmod(mode)
    with pytest.raises(ConfigError, match="others may write"):
        runtime_dir()
