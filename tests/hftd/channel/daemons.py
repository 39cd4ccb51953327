"""A daemon for the tests of the control plane: memory, a doorbell, and what its handler was told."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from hftd import wire
from hftd.channel.endpoint import Doorbells
from hftd.channel.layout import MARKET_TAIL, MODE_SYSTEM, PROTOCOL_VERSION
from hftd.channel.memory import BotPage, ClockPage, Link, MarketRing
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import Reply
from hftd.control.protocol import Attachment, attach
from hftd.control.server import ChannelServer, Grant
from hftd.errors import RefusedError


@dataclass
class Daemon:
    """A handler that gives each bot its own link, and refuses instruments it does not know."""

    known: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    clock: ClockPage = field(default_factory=lambda: ClockPage.make(77, MODE_SYSTEM))
    ring: MarketRing = field(default_factory=lambda: MarketRing.make(1 << 16, lossless=False))
    bell: Doorbells = field(default_factory=Doorbells)
    doorbell_fds: dict[str, int] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    pages: dict[str, BotPage] = field(default_factory=dict)
    ended: list[tuple[str, str]] = field(default_factory=list)
    told: status.DaemonStatus = field(
        default_factory=lambda: status.DaemonStatus(
            kind=status.CONNECTOR, name="bf", pid=1, version="1", now_ns=5
        )
    )

    def attach(self, hello: wire.Hello, bot_page: BotPage) -> Grant:
        for symbol, _, _ in hello.instruments:
            if symbol == "BUG":
                raise ZeroDivisionError
            if symbol not in self.known:
                raise RefusedError(f"there is no {symbol!r}", hint=f"known: {', '.join(self.known)}")
        link = self.links[hello.bot] = Link.make(4096, 8192)
        doorbell_fd = self.doorbell_fds[hello.bot] = self.bell.make()
        self.pages[hello.bot] = bot_page
        ids = tuple(self.known.index(symbol) for symbol, _, _ in hello.instruments)
        welcome = wire.Welcome(
            version=PROTOCOL_VERSION,
            daemon="test",
            pid=os.getpid(),
            clock_id=77,
            instruments=ids,
            market_bytes=1 << 16,
            request_bytes=4096,
            response_bytes=8192,
        )
        return Grant(welcome, [self.clock.fd, self.ring.fd, link.fd, doorbell_fd])

    def detach(self, bot: str, reason: str) -> None:
        assert not self.pages.pop(bot).closed, "the page is mapped until detach returns"
        self.links.pop(bot).close()
        self.bell.free(self.doorbell_fds.pop(bot))
        self.ended.append((bot, reason))

    def answer(self, ask: wire.Ask) -> Reply:
        if ask.what == wire.ASK_TAP:
            about = [
                status.TappedInstrument(instrument=number, symbol=symbol, tick_size=0.1, lot_size=0.001)
                for number, symbol in enumerate(self.known)
            ]
            tail = self.ring.word(MARKET_TAIL)
            body = status.Tap(daemon="test", pid=os.getpid(), instruments=about, position=tail)
            return Reply(body, fds=[self.clock.fd, self.ring.fd])
        if ask.what == wire.ASK_STATUS:
            return Reply(self.told)
        if ask.what == wire.ASK_HALT:
            return Reply(status.Halted(is_halted=True, left=1), ok=False)
        raise RefusedError("it can't be asked that", hint="ask something else")

    def close(self) -> None:
        self.clock.close()
        self.ring.close()
        self.bell.close()


def hello_of(bot: str = "maker", *symbols: str, version: int = PROTOCOL_VERSION) -> wire.Hello:
    instruments = tuple((symbol, 0.1, 0.001) for symbol in symbols or ("BTCUSDT",))
    return wire.Hello(version=version, bot=bot, pid=os.getpid(), instruments=instruments)


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


async def until(condition: Callable[[], bool]) -> None:
    """Turn the loop until it holds; the test's time limit ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 (it is nothing that could set an event)
        await asyncio.sleep(0.001)


async def join(hello: wire.Hello, page: BotPage, name: str = "bf") -> Attachment:
    return await asyncio.to_thread(attach, name, hello, page, monotonic_ns() + 10_000_000_000)


async def _serve(name: str) -> None:
    async with ChannelServer(name, Daemon()):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
