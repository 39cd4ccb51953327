"""Something else than a daemon listens in the runtime folder: it is one that does not answer, and the others do."""

import array
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from daemon.cli.asking import report_of
from hftd import wire
from hftd.control import status

GOOD = status.encode(status.DaemonStatus(kind=status.CONNECTOR, name="good", pid=7, version="1", now_ns=1))


def body(data: bytes) -> bytes:
    return wire.encoder.encode(wire.Answer(True, data))


def descriptor(fd: int) -> tuple[bytes, int]:
    return body(b""), fd


def large(size: int) -> int:
    fd = os.memfd_create("large")
    os.ftruncate(fd, size)
    return fd


ODD: dict[str, Callable[[], bytes | tuple[bytes, int] | None]] = {
    "hangs up": lambda: None,
    "garbage": lambda: b"\xc1" * 200,
    "no message": lambda: b"\xc0",
    "no JSON": lambda: body(b"{"),
    "other types": lambda: body(GOOD.replace(b'"pid":7', b'"pid":"x"')),
    "nested without end": lambda: body(b'{"zzz":' + b"[" * 30_000 + b"]" * 30_000 + b"," + GOOD[1:]),
    "no number": lambda: body(GOOD.replace(b'"now_ns":1', b'"now_ns":1e999')),
    "a pipe": lambda: descriptor(os.pipe()[0]),
    "a folder": lambda: descriptor(os.open("/", os.O_RDONLY)),
    "a terabyte": lambda: descriptor(large(1 << 40)),
    "zeros": lambda: descriptor(large(1 << 20)),
    "a file that can't be read": lambda: descriptor(os.open("/dev/null", os.O_WRONLY)),
}


@contextmanager
def listening(path: Path, answer: bytes | tuple[bytes, int] | None) -> Iterator[None]:
    """Answers each question with this."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(str(path))
        server.listen(16)

        def run() -> None:
            with suppress(OSError):
                while True:
                    one, _ = server.accept()
                    with one, suppress(OSError):
                        if not one.recv(65536) or answer is None:
                            continue
                        data, fd = answer if isinstance(answer, tuple) else (answer, -1)
                        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
                        one.sendmsg([data], [rights] if fd >= 0 else [])
                        one.recv(1)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5.0)


def asked(folder: Path, answers: Sequence[tuple[str, bytes | tuple[bytes, int] | None]]) -> dict[str, str]:
    """What each is found to be: "" for a daemon, else why it is none."""
    with ExitStack() as all_of_them:
        for name, answer in answers:
            all_of_them.enter_context(listening(folder / f"{name}.sock", answer))
        report = report_of(None, 1.0)
    return dict.fromkeys((one.name for one in report.daemons), "") | {
        one.channel: one.error for one in report.silent
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("HFTD_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("what", ODD)
def test_what_answers_nonsense_is_silent_and_says_why(folder, what):
    found = asked(folder, [("odd", ODD[what]()), ("good", body(GOOD))])
    assert found.pop("good") == ""
    assert found["odd"]


def test_what_is_full_or_no_socket_holds_nobody_up(folder):
    (folder / "file.sock").touch()
    (folder / "none.sock").symlink_to("/nowhere")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as full, ExitStack() as waiting:
        full.bind(str(folder / "full.sock"))
        full.listen(1)
        for _ in range(4):
            one = waiting.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            one.setblocking(False)
            one.connect_ex(str(folder / "full.sock"))
        began = time.monotonic()
        found = asked(folder, [("good", body(GOOD))])
        assert time.monotonic() - began < 10.0
    assert found.pop("good") == ""
    assert found.keys() == {"full"}
