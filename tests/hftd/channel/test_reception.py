"""Connections that nobody needs keep nobody out, and what they say ends nothing but themselves."""

import array
import asyncio
import contextlib
import os
import socket
import threading
from typing import Any

import pytest

from hftd import wire
from hftd.channel.layout import PROTOCOL_VERSION
from hftd.channel.memory import BotPage
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import ask
from hftd.control.protocol import Peer, new_socket, receive_message, send_message
from hftd.control.reception import MAX_PENDING, Caller
from hftd.control.server import ChannelServer
from tests.hftd.channel.daemons import Daemon, hello_of, join, until
from tests.hftd.channel.hostile import odd_hellos


def test_a_flood_of_connections_gives_way_and_a_bot_still_gets_in_meanwhile(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        flood = []
        for _ in range(MAX_PENDING + 10):
            flood.append(new_socket())
            flood[-1].connect(str(server._path))
        await until(lambda: server.statistics.turned_away == 10)
        for old in flood[:10]:
            assert old.recv(1) == b"", "the oldest give way"
        bot = await join(hello_of(), page)
        bot.close()
        for each in flood:
            each.close()
        await until(lambda: not server.pending)
        await until(lambda: bool(daemon.ended))

    serve(body)


def test_a_connection_of_another_process_outlasts_the_flood_of_one(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        lone = Caller(theirs, Peer(1, os.getuid()))
        lone.timer = asyncio.get_running_loop().call_later(60, int)
        server.pending[theirs.fileno()] = lone
        flood = []
        for _ in range(2 * MAX_PENDING):
            flood.append(new_socket())
            flood[-1].connect(str(server._path))
        await until(lambda: server.statistics.turned_away > MAX_PENDING)
        assert lone in server.pending.values()
        for each in (*flood, ours):
            each.close()
        await until(lambda: len(server.pending) == 1)

    serve(body)


def test_a_halt_is_heard_while_silent_connections_are_held_and_made_again_without_end(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        done = threading.Event()

        def hold() -> None:
            while not done.is_set():
                with new_socket() as held:
                    held.settimeout(0.2)
                    with contextlib.suppress(OSError):
                        held.connect(str(server._path))
                        held.recv(1)

        def halt() -> bool:
            return ask("bf", wire.ASK_HALT, status.Halted, monotonic_ns() + 10_000_000_000)[1].is_halted

        holders = [threading.Thread(target=hold) for _ in range(MAX_PENDING + 32)]
        for one in holders:
            one.start()
        await until(lambda: server.statistics.turned_away > 0)
        for _ in range(5):
            assert await asyncio.to_thread(halt)
        bot = await join(hello_of(), page)
        bot.close()
        done.set()
        await asyncio.to_thread(lambda: [one.join() for one in holders])

    serve(body)


def test_hellos_and_questions_have_their_turns_one_by_one_and_a_halt_goes_before_them(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        order: list[str] = []
        answer = daemon.answer

        def answering(asked: wire.Ask) -> Any:
            order.append(asked.what)
            return answer(asked)

        daemon.answer = answering  # type: ignore[method-assign]
        callers = []
        for what in [wire.ASK_STATUS] * 8 + [wire.ASK_HALT]:
            callers.append(new_socket())
            callers[-1].connect(str(server._path))
            send_message(callers[-1], wire.Ask(PROTOCOL_VERSION, what, "x"))
        most = 0
        while len(order) < 9:
            before = len(order)
            await asyncio.sleep(0)
            most = max(most, order[before:].count(wire.ASK_STATUS))
        assert most == 1
        assert order.index(wire.ASK_HALT) <= 1
        for each in callers:
            each.close()

    serve(body)


def test_odd_hellos_and_the_descriptors_that_come_with_them_are_refused_and_leave_nothing(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        bot = await join(hello_of(), page)
        ends = os.pipe()
        refused = 0
        for data in odd_hellos():
            for fds in ([page.fd], [ends[0]], [], [0, *ends], [0] * 200):
                with new_socket() as connected:
                    connected.connect(str(server._path))
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
                    connected.sendmsg([data], rights)
                    refused += 1
                    await until(lambda refused=refused: server.statistics.refused == refused)
                    answer, _ = receive_message(connected)
                    assert isinstance(answer, wire.Refused)
                    assert len(answer.what) < 1000
        for fd in ends:
            os.close(fd)
        assert (server.bots, bot.lost()) == (["maker"], None)
        bot.close()

    serve(body)


@pytest.mark.parametrize(
    "data", [b"\x92\x23\xa2\xff\xfe", b"\x92\x23" + b"\x91" * 2000, b"\x92\x23\xdd\xff\xff\xff\xff"]
)
def test_a_word_that_can_not_be_decoded_is_the_end_of_the_lease_too(serve: Any, data: bytes):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        bot = await join(hello_of(), page)
        bot.socket.send(data)
        await until(lambda: bool(daemon.ended))
        assert "nonsense" in daemon.ended[0][1]
        bot.close()

    serve(body)


def test_a_handler_that_fails_to_detach_keeps_nobody_from_the_channel(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        bot = await join(hello_of(), page)
        detach = daemon.detach

        def failing(name: str, reason: str) -> None:
            detach(name, reason)
            raise MemoryError

        daemon.detach = failing  # type: ignore[method-assign]
        bot.close()
        await until(lambda: server.statistics.detached == 1)
        assert server.bots == []
        daemon.detach = detach  # type: ignore[method-assign]
        (await join(hello_of(), page)).close()
        await until(lambda: server.statistics.detached == 2)

    serve(body)
