"""Where alerts go: addresses that nothing shows, and targets that are slow, refuse or are dead."""

import os
import re
import resource
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from daemon import redaction
from daemon.cli.commands.alert import command
from daemon.connector.secrets import Secret
from daemon.ops.alerts import delivery
from daemon.ops.alerts.config import CRITICAL, RULES, WARNING, load_alerts
from daemon.ops.alerts.delivery import QUEUE_MAX, Heartbeat, Target, hide_address, message_of, sender
from daemon.ops.alerts.keeping import StateFile
from daemon.ops.alerts.states import Notice
from daemon.ops.alerts.watching import Watching
from daemon.redaction import redacted
from hftd.control import status
from hftd.errors import ConfigError
from tests.daemon.ops.recording import Recorder, recording

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-of-the-webhook"


def notice(text: str, severity: str = CRITICAL, *, is_over: bool = False) -> Notice:
    return Notice("halted", severity, "bf", "", text, is_over, 3.0)


def url(server: Recorder, path: str = "") -> Secret:
    return Secret(f"json://127.0.0.1:{server.port}/{path}")


def until(condition) -> None:
    deadline = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(delivery, "RETRY_FIRST_S", 0.02)
    monkeypatch.setattr(delivery, "RETRY_MAX_S", 0.02)


def test_a_target_that_refuses_gets_all_once_it_takes_them_in_their_order(quick):
    with recording() as server:
        server.code = 500
        target = Target("phone", WARNING, sender("phone", url(server)), host="box", seed=1)
        target.put([notice("first")])
        until(lambda: "500" in target.trouble())
        target.put([notice("second"), notice("third", is_over=True)])
        server.code = 200
        until(lambda: target.delivered == 3)
        assert target.trouble() == ""
        said = [re.search("first|second|third", line)[0] for _, line in server.lines()]
        assert said == ["first", "second", "third"]
        target.end()


def test_a_slow_target_holds_nobody_up_and_is_known_to_be_slow(monkeypatch):
    monkeypatch.setattr(delivery, "SLOW_S", 0.05)
    is_answered = threading.Event()
    target = Target("phone", WARNING, lambda *_: str(is_answered.wait(5.0) or ""), host="box", seed=1)
    begin = time.monotonic()
    for k in range(1000):
        target.put([notice(str(k))])
    assert time.monotonic() - begin < 0.5
    until(lambda: "longer than" in target.trouble())
    assert target.dropped >= 1000 - QUEUE_MAX - 20
    target.end()
    target.join(0)
    is_answered.set()


def test_what_was_dropped_is_said_by_number_and_no_more_than_the_limit_waits(quick):
    sent: list[str] = []
    is_dead = True

    def send(title: str, text: str, kind: str) -> str:
        if is_dead:
            return "nobody is there"
        sent.append(text)
        return ""

    target = Target("phone", WARNING, send, host="box", seed=1)
    for k in range(3 * QUEUE_MAX):
        target.put([notice(f"number {k};")])
    until(lambda: "nobody" in target.trouble())
    is_dead = False
    until(lambda: target.delivered + target.dropped == 3 * QUEUE_MAX)
    told = [int(found) for found in re.findall(r"number (\d+);", "\n".join(sent))]
    assert told == list(range(3 * QUEUE_MAX - len(told), 3 * QUEUE_MAX))
    assert len(told) <= QUEUE_MAX
    dropped = sum(int(found) for found in re.findall(r"(\d+) earlier alerts", "\n".join(sent)))
    assert dropped == target.dropped
    target.end()


def test_a_target_for_what_is_critical_gets_nothing_else(quick):
    sent: list[str] = []
    target = Target("phone", CRITICAL, lambda _title, text, _kind: sent.append(text) or "", host="b", seed=1)
    target.put([notice("small", WARNING), notice("large")])
    until(lambda: target.delivered)
    assert len(sent) == 1
    assert "small" not in sent[0]
    target.end()


def test_a_message_has_the_kind_of_the_worst_of_its_alerts():
    kinds = {
        "success": [notice("", is_over=True)],
        "warning": [notice("", WARNING), notice("", is_over=True)],
        "failure": [notice("", WARNING), notice("")],
    }
    for kind, notices in kinds.items():
        assert message_of(notices, "box")[2] == kind


def test_no_part_of_an_address_is_shown_whatever_fails(capfd):
    secret = Secret(f"json://user:{TOKEN}@127.0.0.1:1/{TOKEN}?cto=1&rto=1")
    why = sender("phone", secret)("title", "text", "failure")
    assert why
    with pytest.raises(ConfigError) as refused:
        sender("phone", Secret(f"nothing://{TOKEN}"))
    shown = why + str(refused.value) + "".join(capfd.readouterr())
    assert TOKEN not in shown
    assert "127.0.0.1" not in shown
    assert "user" not in shown


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        (
            "tgram://123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/-1001234567890/",
            ["AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"],
        ),
        (
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#trading-alerts",
            ["TIiajkdnlazkcOXrIdevi7FQ"],
        ),
        ("ntfy://ntfy.example.com/binancefutures", []),
        ("ntfy://ntfy.example.com/a-topic-that-nobody-guesses", ["a-topic-that-nobody-guesses"]),
        (
            "mailtos://production:correcthorse@mail.example.com?name=position&to=me@example.com",
            ["correcthorse"],
        ),
        ("mailtos://me:pa%40ssword@mail.example.com", ["pa%40ssword", "pa@ssword"]),
        (
            "https://hc-ping.com/6f9619ff-8b86-d011-b42d-00cf4fc964ff",
            ["6f9619ff-8b86-d011-b42d-00cf4fc964ff"],
        ),
        ("json://localhost", []),
    ],
)
def test_logs_lose_the_secrets_of_an_address_and_no_words(monkeypatch, address, secrets):
    monkeypatch.setattr(redaction, "_known", deque(maxlen=256))
    hide_address(Secret(address))
    words = "binancefutures at localhost and mail.example.com: position of trading-alerts in production"
    assert redacted(words) == words
    for secret in (address, *secrets):
        assert secret not in redacted(f"could not connect to {secret}: refused")


@contextmanager
def endless(head: bytes) -> Iterator[int]:
    """A server that answers each connection with this, and then goes on without end; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    one, _ = server.accept()
                    with one, suppress(OSError):
                        one.recv(4096)
                        one.sendall(head)
                        while True:
                            one.sendall(b"x" * (1 << 16))

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("code", [b"200 OK", b"500 No", b"302 Found\r\nLocation: /else"])
@pytest.mark.parametrize("length", [b"", b"Content-Length: 10000000000\r\n"])
def test_an_answer_without_end_is_not_read_by_the_heartbeat(code, length):
    with endless(b"HTTP/1.1 %b\r\n%b\r\n" % (code, length)) as port:
        heartbeat = Heartbeat(Secret(f"http://127.0.0.1:{port}/beat"), 0.05, lambda: True)
        is_good = code.startswith(b"200")
        until(lambda: heartbeat.sent > 1 if is_good else code[:3].decode() in heartbeat.trouble())
        heartbeat.close()


@pytest.mark.parametrize(("code", "is_taken"), [(b"200 OK", True), (b"500 No", False), (b"302 Found", False)])
def test_an_answer_without_end_is_read_by_no_target(code, is_taken):
    with endless(b"HTTP/1.1 %b\r\nLocation: /else\r\n\r\n" % code) as port:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        why = sender("phone", Secret(f"json://127.0.0.1:{port}/?redirect=no"))("title", "text", "failure")
        assert bool(why) is not is_taken
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "KiB"


def test_a_heartbeat_whose_answer_does_not_come_to_an_end_is_in_trouble(monkeypatch):
    monkeypatch.setattr(delivery, "HEARTBEAT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        heartbeat = Heartbeat(Secret(f"http://127.0.0.1:{server.getsockname()[1]}/"), 60.0, lambda: True)
        one, _ = server.accept()
        with one, suppress(ConnectionError):
            one.recv(4096)
            for _ in range(100):
                # Never so long nothing that reading would be given up.
                one.sendall(b"H")
                time.sleep(0.05)
                if heartbeat.trouble():
                    break
        assert heartbeat.trouble()
        heartbeat.close()


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "alerts.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_an_address_comes_from_the_environment_a_credential_or_a_file_of_its_owner(tmp_path):
    file = write(tmp_path, '[targets.phone]\nurl = "json://file/"\n')
    (tmp_path / "alert_phone").write_text("json://credential/\n")
    places = [{}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}]
    places.append(places[1] | {"HFTD_ALERT_PHONE": "json://environment/"})
    found = [load_alerts(file, place)[1].targets["phone"].reveal() for place in places]
    assert found == ["json://file/", "json://credential/", "json://environment/"]
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="HFTD_ALERT_PHONE"):
        load_alerts(file, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "targets"),
        ("[targets.phone]", "HFTD_ALERT_PHONE"),
        ("[targets.phone]\n[rules]\ndaemon_down = 1", r"daemon_down_s"),
        ("[targets.phone]\n[rules]\noff = ['daemon']", "daemon_down"),
        ("[targets.phone]\n[rules]\nlimit_share = 2.0", "limit_share"),
        ("[targets.phone]\nseverity = 'loud'", "critical"),
        ("[targets.'the phone']", "a-z"),
        ("[targets.heartbeat]", "heartbeat"),
        ("[targets.phone]\n[watch]\nfolders = ['/nowhere/at/all']", "no such folder"),
        ("[targets.phone]\n[watch]\ndaemons = ['a b']", "daemons"),
        ("[targets.phone]\nurl='json://x/'\n[heartbeat]\nurl = 'ftp://x'", "http"),
    ],
)
def test_a_mistake_in_the_file_is_said_with_what_would_be_right(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        load_alerts(write(tmp_path, text), {})


def test_the_example_is_right_and_has_the_defaults_and_the_page_has_all_rules():
    example, _ = load_alerts(ROOT / "configs/alerts.toml", {"HFTD_ALERT_PHONE": "json://x/"})
    assert example.watch == type(example.watch)()
    assert example.rules == type(example.rules)()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .* \|(.*)\|$", (ROOT / "docs/alerts.md").read_text(), re.M)
    wanted = [(name, severity, f"`{key}`" if key else "") for name, (severity, key, _) in RULES.items()]
    assert [(name, severity, after.strip()) for name, severity, after in rows] == wanted


def test_a_test_sends_one_message_to_each_target_and_a_check_none(tmp_path, monkeypatch):
    with recording() as server:
        text = f'[targets.one]\nurl = "{url(server, "one").reveal()}"\n'
        good = write(tmp_path, text)
        done = CliRunner().invoke(command, ["--config", str(good), "--check"], standalone_mode=False)
        assert (done.return_value, server.messages) == (0, [])
        two = write(tmp_path, text + f'[targets.two]\nurl = "json://127.0.0.1:1/{TOKEN}"\n')
        done = CliRunner().invoke(command, ["--config", str(two), "--test"], standalone_mode=False)
        assert done.return_value == 1
        assert [path for _, path, _ in server.messages] == ["/one"]
        assert "one: sent" in done.output
        assert TOKEN not in done.output


def test_what_is_told_reaches_each_target_as_one_line(tmp_path):
    with recording() as server:
        path = write(tmp_path, f'[targets.one]\nurl = "{url(server, "one").reveal()}"\n')
        said = "hftd-bot@mm.service has failed\n\x1b[31mand <b>more</b>"
        done = CliRunner().invoke(command, ["--config", str(path), "--tell", said], standalone_mode=False)
        assert done.return_value == 0, done.output
        (line,) = [line for _, line in server.lines("/one")]
        assert line.startswith("hftd-bot(at)mm.service has failed"), "nobody is mentioned"
        assert "\x1b" not in line
        server.code = 500
        done = CliRunner().invoke(command, ["--config", str(path), "--tell", said], standalone_mode=False)
        assert done.return_value == 1


def test_it_watches_on_while_a_target_is_dead_and_the_heartbeat_stops_when_no_alert_gets_out(
    tmp_path, monkeypatch, quick
):
    halted = status.DaemonStatus(
        kind=status.CONNECTOR, name="bf", pid=7, version="1", now_ns=1, is_halted=True, halt_reason="news"
    )
    answers = [[halted], OSError("the socket is gone"), [halted]]

    def ask():
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer, []

    with recording() as server:
        monkeypatch.setenv("HFTD_ALERT_PHONE", url(server).reveal())
        monkeypatch.setenv("HFTD_ALERT_HEARTBEAT", f"http://127.0.0.1:{server.port}/beat")
        path = write(
            tmp_path,
            "[watch]\nevery_s = 0.1\n[rules]\ndelivery_s = 0\n[targets.phone]\n[heartbeat]\nevery_s = 1",
        )
        config, addresses = load_alerts(path, os.environ)
        server.code = 503
        sends = {name: sender(name, one) for name, one in addresses.targets.items()}
        watching = Watching(
            config,
            addresses,
            ask,
            sends,
            base=tmp_path,
            host="box",
            seed=1,
            file=StateFile(tmp_path / "state"),
            ahead_ns=0,
        )
        is_stopped = threading.Event()
        thread = threading.Thread(target=watching.run, args=(is_stopped,))
        thread.start()
        try:
            until(lambda: watching.targets[0].trouble())
            assert not watching.is_well()
            server.code = 200
            until(lambda: len(server.lines()) >= 2 and watching.failures)
            assert watching.is_well()
        finally:
            is_stopped.set()
            thread.join()
        assert [line.split(":")[1].strip() for _, line in server.lines()][:2] == ["halted", "delivery"]
        assert watching.failures == 1
