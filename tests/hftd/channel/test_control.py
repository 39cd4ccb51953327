"""Names, directories, sockets and messages of the control plane."""

import array
import contextlib
import os
import socket
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hftd import wire
from hftd.channel.layout import PROTOCOL_VERSION
from hftd.channel.memory import BotPage
from hftd.clock import monotonic_ns
from hftd.control import protocol as control
from hftd.errors import ChannelError, ConfigError, NoSuchChannelError, ProtocolError
from tests.hftd.channel.daemons import hello_of

NEXT = PROTOCOL_VERSION + 1


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_runtime_directory_is_looked_for_in_the_documented_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("HFTD_RUNTIME_DIR", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert control.runtime_dir() == Path(f"/tmp/hftd-{os.getuid()}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert control.runtime_dir() == tmp_path / "hftd"
    assert not (tmp_path / "hftd").exists()
    assert control.runtime_dir(create=True).stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}/a:{tmp_path}/b")
    assert control.runtime_dir() == tmp_path / "a"
    monkeypatch.setenv("HFTD_RUNTIME_DIR", f"{tmp_path}/mine")
    assert control.runtime_dir() == tmp_path / "mine"


def test_a_runtime_directory_that_others_may_write_is_refused(run_dir: Path):
    run_dir.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write") as caught:
        control.runtime_dir()
    assert str(run_dir) in str(caught.value)
    run_dir.chmod(0o700)
    assert control.runtime_dir() == run_dir


def test_a_file_is_no_runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HFTD_RUNTIME_DIR", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="directory"):
        control.runtime_dir()
    with pytest.raises(ConfigError, match="directory"):
        control.runtime_dir(create=True)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a b", "x" * 65, "é", "a\n", "../../etc"])
def test_what_is_no_name_is_refused(name: str):
    with pytest.raises(ConfigError, match="is not a name for"):
        control.check_name(name)


def test_a_path_that_no_socket_can_have_is_an_error_that_says_how_to_shorten_it(tmp_path: Path):
    with pytest.raises(ConfigError, match="HFTD_RUNTIME_DIR"):
        control.socket_path("bf", tmp_path / ("d" * 100))


def test_messages_travel_with_their_descriptors():
    one, two = pair()
    before = open_fds()
    reader, writer = os.pipe()
    control.send_message(one, hello_of("maker"), [writer])
    os.close(writer)
    message, fds = control.receive_message(two)
    assert message == hello_of("maker")
    assert not os.get_inheritable(fds[0])
    os.write(fds[0], b"x")
    assert os.read(reader, 1) == b"x"
    control.close_all(fds)
    os.close(reader)
    assert open_fds() == before
    one.close()
    assert control.receive_message(two) == (None, [])
    two.close()


@pytest.mark.parametrize(
    ("data", "fd_count"),
    [
        (b"\xc1nonsense", 3),
        (b"x" * 70_000, 1),
        (wire.encoder.encode(wire.Bye("x")), 40),
        (b"\x93" * 60_000, 2),
    ],
)
def test_nonsense_is_an_error_and_its_descriptors_are_closed(data: bytes, fd_count: int):
    one, two = pair()
    before = open_fds()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one.fileno()] * fd_count))]
    one.sendmsg([data], rights)
    with pytest.raises(ProtocolError):
        control.receive_message(two)
    assert open_fds() == before
    one.close()
    two.close()


@given(st.binary(max_size=100))
def test_any_bytes_are_a_control_message_or_a_protocol_error(data: bytes):
    with contextlib.suppress(ProtocolError):
        assert isinstance(control.decode_message(data), wire.Control)


@pytest.mark.parametrize(
    "greeting",
    [
        [32, NEXT, "bot", 1, [], "cancel"],
        [32, NEXT, {"another": "form"}],
        [33, NEXT],
        [33, 0, "daemon", 5, 6, [0], 1, 2, 3],
    ],
)
def test_a_greeting_of_another_version_is_an_error_that_names_both_whatever_its_form(greeting: list[object]):
    with pytest.raises(control.VersionError) as caught:
        control.decode_message(msgspec.msgpack.encode(greeting))
    assert f"version {greeting[1]}" in caught.value.what
    assert f"version {PROTOCOL_VERSION}" in caught.value.what
    assert "same version of hftd" in caught.value.hint


def test_an_unknown_channel_is_an_error_that_names_the_socket_and_what_runs(run_dir: Path):
    with BotPage.make() as page:
        with pytest.raises(NoSuchChannelError) as caught:
            control.attach("bf", hello_of(), page, monotonic_ns())
        assert str(run_dir / "bf.sock") in str(caught.value)
        assert "no channel runs" in str(caught.value)
        with control.new_socket() as other:
            other.bind(str(run_dir / "other.sock"))
            other.listen()
            (run_dir / "stale.sock").touch()
            with pytest.raises(NoSuchChannelError, match=r"channels that run: other$"):
                control.attach("bf", hello_of(), page, monotonic_ns())
            assert caught.value.exit_code == 2


def test_a_daemon_that_does_not_answer_is_an_error_at_the_deadline_and_leaks_nothing(run_dir: Path):
    before = open_fds()
    with BotPage.make() as page, control.new_socket() as stopped:
        stopped.bind(str(run_dir / "bf.sock"))
        stopped.listen(0)
        for match in ("did not answer", "takes no connections"):
            with pytest.raises(ChannelError, match=match) as caught:
                control.attach("bf", hello_of(), page, monotonic_ns() + 20_000_000)
            assert caught.value.where == "bf"
            if match.startswith("did"):
                waiting = [control.new_socket() for _ in range(3)]
                for each in waiting:
                    each.setblocking(False)
                    try:
                        each.connect(str(run_dir / "bf.sock"))
                    except BlockingIOError:
                        break
        for each in waiting:
            each.close()
    assert open_fds() == before


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (wire.encoder.encode(wire.Bye("x")), "answered a Hello with Bye"),
        (
            wire.encoder.encode(
                wire.Welcome(
                    version=PROTOCOL_VERSION,
                    daemon="d",
                    pid=1,
                    clock_id=1,
                    instruments=(0,),
                    market_bytes=1,
                    request_bytes=1,
                    response_bytes=1,
                )
            ),
            "Hello with Welcome",
        ),
        (b"garbage", "no message"),
        (msgspec.msgpack.encode([33, NEXT]), f"version {NEXT}"),
        (b"", "without an answer"),
    ],
)
def test_a_daemon_that_answers_nonsense_is_an_error_that_says_what(run_dir: Path, answer: bytes, error: str):
    import threading

    before = open_fds()
    with BotPage.make() as page, control.new_socket() as daemon:
        daemon.bind(str(run_dir / "bf.sock"))
        daemon.listen()

        def serve() -> None:
            connected, _ = daemon.accept()
            connected.recv(65536)
            if answer:
                connected.send(answer)
            connected.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ChannelError, match=error):
            control.attach("bf", hello_of(), page, monotonic_ns() + 5_000_000_000)
        thread.join()
    assert open_fds() == before
