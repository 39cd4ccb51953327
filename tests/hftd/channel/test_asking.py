"""Tools ask a daemon's server from outside: what it does, its market, a halt; and disturb nobody."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from hftd import wire
from hftd.channel import layout
from hftd.channel.layout import PROTOCOL_VERSION
from hftd.channel.memory import BotPage
from hftd.channel.publisher import MarketPublisher
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import ChannelTap, ask
from hftd.control.protocol import new_socket, receive_message, send_message
from hftd.control.server import MAX_TAPS, ChannelServer
from hftd.errors import NoSuchChannelError, ProtocolError, RefusedError
from hftd.types import event_dtype
from tests.hftd.channel.daemons import Daemon, hello_of, join, until


def soon() -> int:
    return monotonic_ns() + 10_000_000_000


async def asked(what: str, kind: type[Any], argument: str = "") -> tuple[bool, Any]:
    return await asyncio.to_thread(ask, "bf", what, kind, soon(), argument=argument)


async def tapped() -> ChannelTap:
    return await asyncio.to_thread(ChannelTap, "bf", soon())


def test_a_tool_gets_the_daemons_status_and_the_bots_notice_nothing(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        bot = await join(hello_of(), page)
        assert await asked(wire.ASK_STATUS, status.DaemonStatus) == (True, daemon.told)
        assert (server.bots, bot.lost(), server.statistics.asked) == (["maker"], None, 1)
        bot.close()
        await until(lambda: bool(daemon.ended))

    serve(body)


def test_what_was_done_in_part_only_is_told_and_what_is_refused_has_its_reason(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        ok, halted = await asked(wire.ASK_HALT, status.Halted, "a test")
        assert (ok, halted.left) == (False, 1)
        with pytest.raises(RefusedError, match="ask something else"):
            await asked(wire.ASK_RESUME, status.Halted)
        with pytest.raises(RefusedError, match="no question 'dance'"):
            await asked("dance", status.Halted)

    serve(body)


def test_an_answer_larger_than_a_packet_arrives_whole(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        many = [status.OpenOrder(symbol="BTCUSDT", order_id=n, side="buy", price=1.0, qty=1.0, leaves_qty=1.0,
                                 status="new") for n in range(5000)]  # fmt: skip
        bots = [status.Bot(name="maker", orders=many)]
        daemon.told = msgspec.structs.replace(daemon.told, bots=bots)
        assert len(status.encode(daemon.told)) > layout.MAX_MESSAGE_BYTES
        assert await asked(wire.ASK_STATUS, status.DaemonStatus) == (True, daemon.told)

    serve(body)


def test_a_tap_sees_the_market_and_can_not_write_it(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        publisher = MarketPublisher(daemon.ring, daemon.clock)
        publisher.send(wire.Status(0, wire.BOOK_INVALID))
        with await tapped() as tap:
            assert [one.symbol for one in tap.about.instruments] == ["BTCUSDT", "ETHUSDT"]
            rows = np.zeros(3, event_dtype)
            rows["px"] = 7.0
            publisher.publish(1, rows)
            assert tap.market.read() == (2, wire.Feed(1, rows.tobytes()))
            assert tap.market.read() is None
            with pytest.raises(TypeError):
                tap._ring.set_word(layout.MARKET_TAIL, 0)
            assert not tap.is_over()
        await until(lambda: not server._taps)

    serve(body)


def test_a_tap_learns_that_the_daemon_is_gone(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        with await tapped() as tap:
            server.close()
            assert tap.is_over()

    serve(body)


def test_taps_are_limited_and_one_that_talks_is_closed(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        taps = [await tapped() for _ in range(MAX_TAPS)]
        with pytest.raises(RefusedError, match=f"{MAX_TAPS} taps"):
            await tapped()
        taps[0]._socket.send(b"hello?")
        await until(lambda: len(server._taps) == MAX_TAPS - 1)
        for tap in taps:
            tap.close()
        await until(lambda: not server._taps)

    serve(body)


def test_a_question_of_another_version_is_refused_and_told_both_versions(serve: Any):
    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        with new_socket() as connected:
            connected.connect(str(server._path))
            send_message(connected, wire.Ask(PROTOCOL_VERSION + 1, wire.ASK_STATUS))
            await until(lambda: server.statistics.refused == 1)
            answer, _ = receive_message(connected)
        assert isinstance(answer, wire.Refused)
        assert answer.code == "version"

    serve(body)


def test_a_handler_that_fails_to_answer_is_reported_and_the_server_goes_on(
    serve: Any,
):
    def fail(ask: wire.Ask) -> Any:
        raise ZeroDivisionError

    async def body(server: ChannelServer, daemon: Daemon, page: BotPage) -> None:
        daemon.answer = fail  # type: ignore[method-assign]
        with pytest.raises(RefusedError, match="its log says why"):
            await asked(wire.ASK_STATUS, status.DaemonStatus)
        del daemon.answer
        assert (await asked(wire.ASK_STATUS, status.DaemonStatus))[0]

    serve(body)


def test_a_channel_that_is_not_there_is_named(run_dir: Path):
    with pytest.raises(NoSuchChannelError, match="'bf'"):
        ask("bf", wire.ASK_STATUS, status.DaemonStatus, soon())


@pytest.mark.parametrize("body", [b"", b"{}", b"nonsense", b'{"is_halted": "perhaps"}'])
def test_a_body_that_is_none_is_a_clear_error(run_dir: Path, body: bytes):
    from hftd.control import asking

    with pytest.raises(ProtocolError, match="can't be read"):
        asking._body_of("bf", wire.Answer(True, body), [], status.Halted)
