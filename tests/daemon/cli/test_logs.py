"""Whatever is wrong with stderr or with a line: whoever logs does not hear of it, nor waits, and shows no secret."""

import io
import json
import os
import sys
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from daemon.cli import failing
from daemon.cli.logs import give_stderr_back, log_events, log_to, take_stderr
from daemon.connector.secrets import Secret
from daemon.log_writer import LINE_BYTES, LogWriter
from daemon.redaction import redacted
from hftd.clock import monotonic_ns, sleep
from hftd.control import recent

LINE = "x" * 999 + "\n"


def eventually(condition) -> None:
    end_ns = monotonic_ns() + 10_000_000_000
    while not condition():
        assert monotonic_ns() < end_ns
        sleep(0.005)


def read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def test_a_reader_that_does_not_read_holds_nobody_up_and_learns_what_it_missed():
    reader, fd = os.pipe()
    writer = LogWriter(fd, queue_bytes=100_000)
    start_ns = monotonic_ns()
    for _ in range(2000):
        writer.write(LINE)
    assert monotonic_ns() - start_ns < 2_000_000_000
    assert 1000 < writer.dropped < 2000
    assert "dropped" in writer.trouble()
    assert not writer.close(0.05), "it ends all the same"
    os.set_blocking(reader, True)
    seen = b""
    while b"dropped here" not in seen:
        seen += os.read(reader, 1 << 16)
    eventually(lambda: not writer._thread.is_alive())
    os.close(fd)
    seen += read_all(reader)
    os.close(reader)
    assert seen.count(LINE.encode()) == 2000 - writer.dropped


def test_a_reader_that_is_gone_is_told_of_and_ends_nothing():
    reader, fd = os.pipe()
    os.close(reader)
    writer = LogWriter(fd)
    writer.write(LINE)
    eventually(writer.trouble)
    assert "Broken pipe" in writer.trouble()
    writer.write(LINE)
    assert not writer.close()
    os.close(fd)


def test_a_full_disk_loses_no_line_once_there_is_room_again(tmp_path, monkeypatch):
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    real, is_full = os.write, True

    def write(to: int, data: bytes) -> int:
        if to == fd and is_full:
            raise OSError(28, "No space left on device")
        return real(to, data)

    monkeypatch.setattr(os, "write", write)
    writer = LogWriter(fd)
    writer.write("one\n")
    eventually(writer.trouble)
    assert "No space left" in writer.trouble()
    writer.write("two\n")
    is_full = False
    eventually(lambda: (tmp_path / "log").read_text() == "one\ntwo\n")
    assert writer.trouble() == ""
    assert writer.close()
    os.close(fd)


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for():
    reader, fd = os.pipe()
    os.set_blocking(fd, False)
    writer = LogWriter(fd)
    for _ in range(200):
        writer.write(LINE)
    seen = 0
    while seen < 200 * len(LINE):
        seen += len(os.read(reader, 1 << 16))
    assert writer.close()
    os.close(fd)
    os.close(reader)


def test_a_line_without_end_is_shortened():
    reader, fd = os.pipe()
    writer = LogWriter(fd)
    writer.write("y" * (LINE_BYTES * 2))
    os.set_blocking(reader, True)
    seen = b""
    while b"(shortened)" not in seen:
        seen += os.read(reader, 1 << 16)
    assert writer.close()
    assert len(seen) < LINE_BYTES + 100
    os.close(fd)
    os.close(reader)


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("it has no words")


@pytest.mark.parametrize("log_format", ["json", "people"])
def test_what_can_not_be_shown_is_logged_as_that(log_format, monkeypatch):
    monkeypatch.setattr(sys, "stderr", out := io.StringIO())
    log_events(log_format)
    structlog.get_logger("x").warning("so it is", odd=Unshowable())
    assert "so it is" in out.getvalue()
    assert "RuntimeError" in out.getvalue()


def test_logging_that_one_test_set_up_is_not_the_next_ones(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    log_events("json")
    log = structlog.get_logger("x")
    log.warning("so it is")
    structlog.reset_defaults()  # as tests/conftest.py does after each
    with capture_logs() as logs:
        log.info("and now this")
    assert [one["event"] for one in logs] == ["and now this"]


def test_a_line_for_programs_has_key_sentence_and_fields(monkeypatch):
    monkeypatch.setattr(sys, "stderr", out := io.StringIO())
    log_events("json")
    log = structlog.get_logger("x")
    log.warning("bot_lease_lost", bot="a", reason="it hangs")
    log.warning("no_such_key", bot="a")
    known, unknown = (json.loads(line) for line in out.getvalue().splitlines())
    said = "the connector detached bot a: it hangs"
    assert known.pop("timestamp")
    assert known == {
        "event": "bot_lease_lost",
        "sentence": said,
        "bot": "a",
        "reason": "it hangs",
        "level": "warning",
    }
    assert (unknown["event"], unknown["bot"], "sentence" in unknown) == ("no_such_key", "a", False)


def test_a_line_for_people_has_key_and_sentence_and_the_fields_that_the_sentence_does_not_show(monkeypatch):
    lines: list[str] = []
    log_to(lines.append)
    log = structlog.get_logger("x")
    log.warning("bot_lease_lost", bot="a", reason="it hangs", times=3)
    log.warning("no_such_key", bot="a")
    log.warning("bot_lease_lost", bot="a", reason="r" * 400)
    assert lines[:2] == [
        "warning:  bot_lease_lost: the connector detached bot a: it hangs  times=3",
        "warning:  no_such_key  bot=a",
    ]
    assert lines[2].endswith(f"reason={'r' * 400}")
    monkeypatch.setattr(sys, "stderr", out := io.StringIO())
    log_events("people")
    structlog.get_logger("y").warning("bot_lease_lost", bot="a", reason="it hangs", times=3)
    assert "bot_lease_lost: the connector detached bot a: it hangs" in out.getvalue()
    assert "times=3" in out.getvalue()
    assert "bot=a" not in out.getvalue()


def test_a_logger_whose_stream_fails_does_not_raise():
    def say(_line: str) -> None:
        raise OSError(5, "Input/output error")

    log_to(say)
    structlog.get_logger("x").error("nobody hears it")


@pytest.mark.parametrize("log_format", ["json", "people"])
def test_a_traceback_shows_no_variable_and_no_secret(log_format, monkeypatch):
    monkeypatch.setattr(sys, "stderr", out := io.StringIO())
    log_events(log_format)
    key = Secret("KEY0123456789abcdef")

    def fail() -> None:
        local = "VARIABLE" + "0123456789"
        raise ValueError(f"{key.reveal()} signature={'ab12' * 16} {len(local)}")

    try:
        fail()
    except ValueError:
        structlog.get_logger("x").exception("it failed", url="wss://x/ws?listenKey=LISTENKEY0123456789")
    text = out.getvalue()
    assert "Traceback" in text
    for hidden in (key.reveal(), "VARIABLE0123456789", "ab12ab12", "LISTENKEY0123456789"):
        assert hidden not in text


@pytest.mark.parametrize(
    "text",
    [
        "GET /x?a=1&signature=0123456789abcdef&b=2",
        '{"listenKey":"0123456789abcdef"}',
        "{'X-MBX-APIKEY': '0123456789abcdef'}",
        'apiKey: "0123456789abcdef"',
        '\\"listenKey\\":\\"0123456789abcdef\\"',
        "secret = '0123456789abcdef'",
        "-----BEGIN PRIVATE KEY-----\n0123456789abcdef\n-----END PRIVATE KEY-----",
    ],
)
def test_what_stands_behind_a_secrets_name_is_taken_out(text):
    assert "0123456789abcdef" not in redacted(text)


@pytest.mark.parametrize(
    "text", ["the secret is too short", "signature is wrong", "listen key expired", "a=1&b=2"]
)
def test_ordinary_words_stay(text):
    assert redacted(text) == text


def test_a_secret_in_several_lines_goes_line_by_line():
    Secret("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\nabcdefgh/+==\n-----END PRIVATE KEY-----")
    assert "MC4CAQAw" not in redacted("it holds MC4CAQAwBQYDK2VwBCIEIJ here")
    assert "abcdefgh" not in redacted("percent-encoded: abcdefgh%2F%2B%3D%3D")


def test_a_daemons_whole_stderr_goes_through_the_writer_and_is_given_back(monkeypatch, tmp_path: Path):
    with (tmp_path / "err").open("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert take_stderr() is take_stderr() is not None
        assert sys.stderr is not stream
        sys.stderr.write("a line\n")
        failing.show(failing.HftdError("what", hint="signature=0123456789abcdef"))
        give_stderr_back()
        assert sys.stderr is stream
    said = (tmp_path / "err").read_text()
    assert said.startswith("a line\n")
    assert "what" in said
    assert "0123456789abcdef" not in said


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("it has no words")


def test_what_a_person_may_want_is_kept_for_those_that_ask_whatever_level_is_logged(monkeypatch, capsys):
    monkeypatch.setenv("HFTD_LOG", "error")
    secret = Secret("kept-nowhere-at-all")
    log_to(lambda line: print(line))
    log = structlog.get_logger("test")
    log.info("bot_attached", bot="a\x1b[31mb", pid=7, channel="bf")
    log.info("book_valid", symbol="BTCUSDT")
    log.warning("warning", key="k", symbol="BTCUSDT", text=f"it has {secret.reveal()} in it")
    log.error("book_invalid", symbol="BTCUSDT", why=Odd())
    assert capsys.readouterr().out.count("\n") == 1
    kept = recent.events()[-3:]
    assert [(one.level, one.key) for one in kept] == [
        ("info", "bot_attached"),
        ("warning", "warning"),
        ("error", "book_invalid"),
    ]
    assert kept[0].text == r"bot a\x1b[31mb (process 7) attached to bf"
    assert kept[1].text == "a warning of hftd status began: it has *** in it  key=k  symbol=BTCUSDT"
    assert all(one.ns > 1_600_000_000 * 10**9 for one in kept)


def test_a_long_text_is_not_cut_in_the_middle_of_a_secret(capsys):
    secret = Secret("split-in-two-halves")
    log_to(print)
    structlog.get_logger("test").warning("book_invalid", symbol="BTCUSDT", why="x" * 290 + secret.reveal())
    assert "split-in" not in recent.events()[-1].text + capsys.readouterr().out


def test_so_many_events_are_kept_and_no_text_is_longer_than_that():
    for number in range(recent.KEPT_MAX + 5):
        recent.keep("warning", "k", f"{number} " * 1000)
    kept = recent.events()
    assert len(kept) == recent.KEPT_MAX
    assert kept[0].text.startswith("5 ")
    assert all(len(one.text) <= recent.TEXT_MAX + 3 for one in kept)
