"""systemd is told, or nobody is; never does telling wait or raise."""

import socket

import pytest

from hftd.control.notify import ALIVE, READY, how, more_time, notify


@pytest.mark.parametrize("is_abstract", [False, True])
def test_states_of_one_message_arrive_together_at_a_path_and_at_an_abstract_name(
    tmp_path, monkeypatch, is_abstract
):
    name = f"@{tmp_path.name}-notify" if is_abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name[1:]}" if is_abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert notify(READY, how("two\nlines \x07of  words"), more_time(1.5))
        assert systemd.recv(1000) == b"READY=1\nSTATUS=two lines \x07of words\nEXTEND_TIMEOUT_USEC=1500000"


@pytest.mark.parametrize(
    "name", ["", "relative", "@nobody-listens-there", "/nowhere/at/all", "/" + 200 * "long", "@"]
)
def test_where_nobody_listens_nothing_happens(monkeypatch, name):
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert not notify(READY)


def test_a_listener_that_does_not_read_is_not_waited_for(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "n"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        told = [notify(ALIVE) for _ in range(5000)]
    assert told[0]
    assert not told[-1], "its queue is full"


def test_a_long_line_is_cut():
    assert len(how(1000 * "x")) < 320
