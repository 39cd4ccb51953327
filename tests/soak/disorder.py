"""What goes wrong with processes: they are killed, torn and stopped, and the exchange and the machine fail them."""

import asyncio
import contextlib
import resource
import signal
import socket
import struct
from typing import TYPE_CHECKING

from hftd.clock import monotonic_ns
from sim.exchange.accounts.mishaps import Rule
from tests.soak import children
from tests.soak.processes import BotProcess

if TYPE_CHECKING:
    from tests.soak.real import RealSoak

USUAL = ("connector", "connector", "bot", "bot", "both", "tear", "tear", "freeze", "freeze bot", "away")
SOME = (
    "ban",
    "second connector",
    "hang",
    "silence",
    "blocked log",
    "flood",
    "full disk",
    "outage",
    "silent connections",
    "limits",
    "long freeze",
    "forced close",
)
"""Each seed has three of these, in turn; exchanges leave out some."""
SILENT_CONNECTIONS = 100
HUNG_S = 20.0
"""So long a bot that hangs may keep its lease: twice its watchdog's time."""
KINDS_OF_OUTAGE = ("error", "html", "lost", "slow")


class Disorder:
    """Makes it.

    Args:
        soak: Whose processes.
    """

    def __init__(self, soak: "RealSoak") -> None:
        self._soak = soak
        self._rng = soak.rng
        self._silent: list[socket.socket] = []

    def close(self) -> None:
        """Let go of what was kept open."""
        for one in self._silent:
            one.close()

    def planned(self, mishaps: int, only: str) -> list[str]:
        """What happens in this seed, in its order."""
        if only:
            return [only] * mishaps
        soak = self._soak
        ones = [one for one in SOME if one not in soak.product.leaves_out]
        some = [ones[(3 * soak.seed + number) % len(ones)] for number in range(3)]
        return some[:mishaps] + [self._rng.choice(USUAL) for _ in range(mishaps - 3)]

    async def strike(self, what: str) -> None:
        """One thing goes wrong; whoever it has killed begins again, most often."""
        soak, rng = self._soak, self._rng
        soak.chaos[what] += 1
        await soak.look_at_loop()
        bot = rng.choice(soak.bots)
        wait_s = rng.choice((0.0, 0.1, 0.5))
        kind = rng.choice(soak.product.sockets)
        tears = rng.random() < 0.7
        if what in ("connector", "both"):
            await soak.kill(soak.connector)
        if what in ("bot", "both"):
            await soak.kill(bot.process)
        if what == "tear":
            soak.exchange.close_connections(kind, tear=tears)
        elif what == "freeze" and soak.connector is not None:
            soak.connector.signal(signal.SIGSTOP)
            await asyncio.sleep(wait_s)
            soak.connector.signal(signal.SIGCONT)
        elif what == "freeze bot" and bot.process is not None:
            bot.process.signal(signal.SIGSTOP)
            await asyncio.sleep(wait_s)
            bot.process.signal(signal.SIGCONT)
        elif what == "away":
            await soak.exchange.disconnect()
            await asyncio.sleep(wait_s)
            await soak.exchange.connect()
        elif what in SOME:
            await self._special(what, bot)
        await asyncio.sleep(wait_s)
        if soak.connector is None or not soak.connector.is_alive:
            soak.start_connector()
        # One in five stays dead until the end.
        if not bot.is_alive and rng.random() < 0.8:
            soak.start_bot(bot)

    async def _special(self, what: str, bot: BotProcess) -> None:
        """One of `SOME`."""
        soak, rng, core = self._soak, self._rng, self._soak.exchange.core
        for_s = rng.choice((0.5, 1.0, 2.0))
        if what == "ban":
            core.limits.ban("127.0.0.1", 3.0)
            await asyncio.sleep(3.0)
        elif what == "silence":
            core.streams.silence(rng.choice(soak.product.silences(soak.symbol)), for_s + 1.0)
            await asyncio.sleep(for_s)
        elif what == "outage":
            path, kind = rng.choice(soak.product.fails), rng.choice(KINDS_OF_OUTAGE)
            core.outages.add(Rule(path, kind, seconds=for_s, status=502))
            await asyncio.sleep(for_s)
        elif what == "limits":
            put_right = soak.product.lower_limits(core)
            await asyncio.sleep(for_s)
            put_right()
        elif what == "forced close":
            why = rng.choice(("adl", "liquidation"))
            core.matching.force_close(core.accounts[0], core.instrument(soak.symbol), why, 0.5)
        elif what == "second connector":
            folder = soak.folder / "2"
            folder.mkdir(exist_ok=True)
            second = soak.start("connector", *soak.connector_arguments(soak.seed)[:3], folder=folder)
            await asyncio.sleep(3.0)
            await soak.kill(second)
        elif what == "blocked log":
            soak.is_blocked = True
            await soak.kill(soak.connector)
        elif what == "long freeze" and soak.connector is not None:
            soak.connector.signal(signal.SIGSTOP)
            await asyncio.sleep(4.0)
            soak.connector.signal(signal.SIGCONT)
        elif what == "full disk":
            await self._fill_disk(for_s)
        elif what == "silent connections":
            for _ in range(SILENT_CONNECTIONS):
                one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                one.setblocking(False)
                with contextlib.suppress(OSError):
                    one.connect(str(soak.folder / f"{children.CHANNEL}.sock"))
                self._silent.append(one)
            await soak.told(5.0)
        elif what == "flood":
            soak.start_bot(soak.flood, step_ns=50_000)
            await asyncio.sleep(2.0)
            await soak.told(5.0)
            await soak.kill(soak.flood.process)
        elif what == "hang" and bot.process is not None and bot.is_alive:
            await self._hang(bot)

    async def _fill_disk(self, for_s: float) -> None:
        """The journal may not grow for a while."""
        soak, connector = self._soak, self._soak.connector
        if connector is None or not connector.is_alive:
            return
        size = (soak.folder / "orders.journal").stat().st_size
        resource.prlimit(connector.pid, resource.RLIMIT_FSIZE, (size + 500, resource.RLIM_INFINITY))
        await asyncio.sleep(for_s)
        if connector.is_alive:
            free = resource.RLIM_INFINITY, resource.RLIM_INFINITY
            resource.prlimit(connector.pid, resource.RLIMIT_FSIZE, free)
        await soak.resume()

    async def _hang(self, bot: BotProcess) -> None:
        """A strategy waits for nothing any more: after a while its lease ends as agreed."""
        soak = self._soak
        with (soak.folder / "rest").open("r+b") as file:
            file.seek(8)
            file.write(struct.pack("<q", bot.seed))
        end_ns = monotonic_ns() + int(HUNG_S * 1e9)
        while any(one.name == bot.name and one.is_attached for one in (await soak.told(5.0)).bots):
            if monotonic_ns() > end_ns:
                soak.faults.say(f"the bot {bot.name} hangs for {HUNG_S:g} s and keeps its lease")
                break
            await asyncio.sleep(0.1)
        await soak.kill(bot.process)


__all__ = ["SOME", "USUAL", "Disorder"]
