"""A daemon's server and its bots: leases, their ends, other versions, floods, dead daemons."""

import array
import asyncio
import os
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hftd import wire
from hftd.channel.endpoint import MarketTap, QueueReader, QueueWriter, ring_doorbell
from hftd.channel.layout import BOT_WAKE, CLOCK_ID, MAX_BOTS, PROTOCOL_VERSION
from hftd.channel.memory import BotPage
from hftd.channel.publisher import MarketPublisher
from hftd.clock import monotonic_ns
from hftd.control.protocol import attach, new_socket, receive_message, running_channels, send_message
from hftd.control.server import ChannelServer
from hftd.errors import ChannelError, ConfigError, ProtocolError, RefusedError
from tests.forks import Forked
from tests.hftd.channel.daemons import Daemon, hello_of, join, open_fds, until

ROOT = Path(__file__).parents[3]


def test_a_bot_attaches_trades_words_with_the_daemon_and_leaves(serve: Any, run_dir: Path):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        assert (run_dir / "bf.sock").stat().st_mode & 0o777 == 0o600
        assert running_channels() == ["bf"]
        bot = await join(hello_of("maker", "ETHUSDT", "BTCUSDT"), page)
        assert bot.welcome.instruments == (1, 0)
        assert bot.clock.word(CLOCK_ID) == 77
        assert server.bots == ["maker"]

        rung = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(daemon.bell.fd, rung.set)
        daemon.bell.arm(daemon.links["maker"])
        QueueWriter(bot.link.requests).send(wire.Resync(), 1)
        ring_doorbell(bot.doorbell_fd, bot.link.daemon_asleep_address)
        await rung.wait()
        loop.remove_reader(daemon.bell.fd)
        assert daemon.bell.clear()
        requests = QueueReader(daemon.links["maker"].requests, wire.request_decoder)
        assert requests.receive() == (1, wire.Resync())

        publisher = MarketPublisher(daemon.ring, daemon.clock)
        publisher.add_bot(daemon.pages["maker"])
        tap = MarketTap(bot.market)
        publisher.send(wire.Status(1, wire.BOOK_VALID))
        assert tap.read() == (1, wire.Status(1, wire.BOOK_VALID))
        assert page.word(BOT_WAKE) == 1
        publisher.remove_bot(daemon.pages["maker"])

        assert bot.lost() is None
        bot.close("done for today")
        bot.close()
        await until(lambda: bool(daemon.ended))
        assert daemon.ended == [("maker", "done for today")]
        assert server.statistics.attached == server.statistics.detached == 1

    serve(body)


def test_a_bot_whose_socket_closes_without_a_word_is_noticed(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        bot = await join(hello_of(), page)
        bot.socket.close()
        await until(lambda: bool(daemon.ended))
        assert daemon.ended == [("maker", "it is gone")]
        bot.close()

    serve(body)


class FailingLog:
    """A log that can't be written."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_args: object, **_more: object) -> None:
            raise OSError(28, "No space left on device")

        return fail


def test_a_lease_ends_as_agreed_though_the_log_can_not_be_written(
    serve: Any, monkeypatch: pytest.MonkeyPatch
):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        bot = await join(hello_of(), page)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        with monkeypatch.context() as patched:
            patched.setattr("hftd.control.server._log", FailingLog())
            bot.socket.close()
            await until(lambda: bool(daemon.ended))
        assert server.bots == []
        bot.close()

    serve(body)


def test_a_handler_that_fails_at_the_end_of_one_bot_leaves_the_others_ends_alone(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        with BotPage.make() as other_page:
            first = await join(hello_of("first"), page)
            second = await join(hello_of("second"), other_page)
            detach = daemon.detach

            def fail_at_first(bot: str, reason: str) -> None:
                detach(bot, reason)
                if bot == "first":
                    raise RuntimeError("it fails")

            daemon.detach = fail_at_first  # type: ignore[method-assign]
            server.close("the end")
            assert daemon.ended == [("first", "the end"), ("second", "the end")]
            first.close()
            second.close()

    serve(body)


def test_a_bot_learns_why_it_lost_its_lease(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        bot = await join(hello_of(), page)
        server.drop("nobody", "x")
        server.drop("maker", "it does not drain its responses")
        assert daemon.ended == [("maker", "it does not drain its responses")]
        assert bot.lost() == "it does not drain its responses"
        bot.close()
        bot = await join(hello_of(), page)
        server.close()
        assert bot.lost() == "the daemon ends"
        assert bot.lost() == "the daemon is gone"
        bot.close()

    serve(body)


@pytest.mark.parametrize(
    ("hello", "match"),
    [
        (hello_of("maker", "XRPUSDT"), "no 'XRPUSDT'\n  known: BTCUSDT"),
        (hello_of("maker", "BUG"), "failed to attach"),
        (hello_of("ma/ker"), "not a name for"),
        (wire.Hello(version=PROTOCOL_VERSION, bot="maker", pid=1, instruments=()), "0 instruments"),
        (
            wire.Hello(version=PROTOCOL_VERSION, bot="maker", pid=1, instruments=(("BTCUSDT", 0.0, 1.0),)),
            "tick size 0.0",
        ),
        (
            wire.Hello(
                version=PROTOCOL_VERSION, bot="maker", pid=1, instruments=(("BTCUSDT", float("nan"), 1.0),)
            ),
            "tick size nan",
        ),
        (
            wire.Hello(
                version=PROTOCOL_VERSION,
                bot="maker",
                pid=1,
                instruments=(("BTCUSDT", 1.0, 1.0),),
                on_end="hope",
            ),
            "on_end is 'hope'",
        ),
    ],
)
def test_a_bot_that_is_refused_learns_the_reason_and_what_to_do(serve: Any, hello: wire.Hello, match: str):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        with pytest.raises(RefusedError, match=match) as caught:
            await join(hello, page)
        assert caught.value.where == "bf"
        assert caught.value.hint
        assert server.statistics.refused == 1

    serve(body)


def test_a_bot_of_another_version_is_refused_and_told_both_versions(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        with pytest.raises(ProtocolError) as caught:
            await join(hello_of(version=PROTOCOL_VERSION + 1), page)
        assert f"version {PROTOCOL_VERSION + 1}" in str(caught.value)
        assert f"version {PROTOCOL_VERSION}" in str(caught.value)
        assert "same version of hftd" in caught.value.hint

    serve(body)


def test_two_bots_of_one_name_are_refused_unless_the_first_is_gone(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        first = await join(hello_of(), page)
        with pytest.raises(RefusedError, match=f"attached already .pid {os.getpid()}"):
            await join(hello_of(), page)
        other = await join(hello_of("taker"), page)
        # The end of the first and the Hello of its successor reach the daemon in one turn of its loop.
        first.socket.close()
        successor = new_socket()
        successor.connect(str(server._path))
        send_message(successor, hello_of(), [page.fd])
        await until(lambda: server.statistics.attached == 3)
        assert ("maker", "it is gone") in daemon.ended
        assert sorted(server.bots) == ["maker", "taker"]
        for each in (first, other):
            each.close()
        successor.close()

    serve(body)


def test_a_channel_has_a_limited_number_of_bots(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        bots = [await join(hello_of(f"bot{number}"), page) for number in range(MAX_BOTS)]
        with pytest.raises(RefusedError, match=f"{MAX_BOTS} bots already"):
            await join(hello_of("one-more"), page)
        for bot in bots:
            bot.close()
        await until(lambda: len(daemon.ended) == MAX_BOTS)

    serve(body)


def test_nonsense_on_the_socket_ends_that_connection_and_nothing_else(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        bot = await join(hello_of(), page)
        nonsense = [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 60_000, wire.encoder.encode(wire.Bye("x"))]
        nonsense += [wire.encoder.encode(hello_of("other"))]
        for number, data in enumerate(nonsense):
            with new_socket() as connected:
                connected.connect(str(server._path))
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * number * 4))]
                connected.sendmsg([data], rights if number else [])
                await until(lambda number=number: server.statistics.refused == number + 1)
                answer, _ = receive_message(connected)
                assert isinstance(answer, wire.Refused)
                assert answer.code == "ProtocolError"
        assert (server.bots, bot.lost()) == (["maker"], None)
        bot.socket.send(b"now this")
        await until(lambda: bool(daemon.ended))
        assert "nonsense" in daemon.ended[0][1]
        bot.close()

    serve(body)


def test_a_page_that_could_shrink_under_the_daemon_is_refused(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        fd = os.memfd_create("unsealed")
        os.pwrite(fd, os.pread(page.fd, 4096, 0), 0)
        with new_socket() as connected:
            connected.connect(str(server._path))
            send_message(connected, hello_of(), [fd])
            await until(lambda: server.statistics.refused == 1)
            answer, _ = receive_message(connected)
        os.close(fd)
        assert isinstance(answer, wire.Refused)
        assert "seals" in answer.what
        assert daemon.ended == []

    serve(body)


def test_a_second_daemon_of_that_name_is_refused_and_told_the_pid_of_the_first(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        with pytest.raises(ChannelError, match=f"by pid {os.getpid()}") as caught:
            await ChannelServer("bf", daemon).start()
        assert "another name" in caught.value.hint
        assert running_channels() == ["bf"]

    serve(body)


def test_a_file_in_the_place_of_the_socket_is_left_alone(runner: asyncio.Runner, run_dir: Path):
    (run_dir / "bf.sock").write_text("precious")
    daemon = Daemon()
    with pytest.raises(ConfigError, match="left alone"):
        runner.run(ChannelServer("bf", daemon).start())
    assert (run_dir / "bf.sock").read_text() == "precious"
    daemon.close()


def test_a_daemon_that_is_killed_is_noticed_and_its_name_can_be_taken_over(run_dir: Path):
    def start(stack: ExitStack) -> "subprocess.Popen[str]":
        command = ["tests.hftd.channel.daemons", "bf"]
        process = stack.enter_context(Forked(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        stack.callback(process.kill)
        assert process.stdout is not None
        assert any(line == "ready\n" for line in process.stdout)
        return process

    with ExitStack() as stack:
        start(stack)  # what starts processes stays open
    before = open_fds()
    with ExitStack() as stack, BotPage.make() as page:
        first = start(stack)
        bot = attach("bf", hello_of(), page, monotonic_ns() + 10_000_000_000)
        assert bot.lost() is None
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert bot.lost() == "the daemon is gone"
        bot.close()
        assert (run_dir / "bf.sock").exists()
        start(stack)
        with attach("bf", hello_of(), page, monotonic_ns() + 10_000_000_000) as bot:
            assert bot.lost() is None
    assert open_fds() == before
