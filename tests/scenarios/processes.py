"""The connector of a scenario: a program that is started, killed at any moment, and started again."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import daemon.connector.bots.bots
import daemon.connector.service as service
import daemon.connector.watch.loop_lag
from daemon.connector.config import Credentials
from daemon.connector.secrets import Secret
from daemon.connector.service import Connector
from daemon.connector.venue import find_venue
from daemon.messages import Submit
from daemon.orders.journal import Journal
from hftd.channel.memory import MarketRing
from sim.exchange.servers.server import LocalExchange
from tests.scenarios.bot import Bot
from tests.scenarios.venues import Case
from tests.scenarios.virtual import Killed, Program, VirtualLoop
from tests.soak.books import PREFIX, Asked

KEY, SECRET = "k" * 64, "s" * 64
RING_BYTES = 1 << 18


class _Server:
    """In the place of `ChannelServer`: bots are called, not written to."""

    asking = ""

    def __init__(self, *_: Any) -> None:
        pass

    async def start(self) -> None:
        pass

    def drop(self, bot: str, reason: str) -> None:
        raise AssertionError(f"{bot}: {reason}")

    def close(self, reason: str) -> None:
        pass


class _Venue:
    """A venue whose sessions can be looked into."""

    def __init__(self, scenario: "Processes", venue: Any) -> None:
        self._scenario = scenario
        self._venue = venue
        self.name = venue.name

    def session(self, *args: Any) -> Any:
        made = self._venue.session(*args)
        made.send = self._scenario.sends(made.send)
        return made


class Processes:
    """Whatever ran in a scenario, the last one maybe still.

    Attributes:
        path: The journal.
        asked: What bots asked for, by bot and number.
        latest: The id of each order, by bot and number.
        commands: What order management sent, in all lives.
        fuse: At which moment the connector is killed: before or after a `send`, an `outcome` or a `report`.
        fuse_type: Of the command or message with which it is; None: any.
        number: By which the instrument that is traded is named.
    """

    exchange: LocalExchange

    def __init__(self, case: Case, loop: VirtualLoop, folder: Path, config: dict[str, Any]) -> None:
        self.case = case
        self.loop = loop
        self.path = folder / "orders.journal"
        self.lot = Decimal(case.lot)
        self.bots: dict[str, Bot] = {}
        self.asked: dict[tuple[str, int], list[Asked]] = {}
        self.latest: dict[tuple[str, int], str] = {}
        self.commands: list[Any] = []
        self.fuse = ""
        self.fuse_type: type | None = None
        self.programs: list[tuple[Program, Connector, asyncio.Task[None]]] = []
        self.number = 0
        self._folder = folder
        self._config = config

    async def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> None:
        """Wait until something holds."""
        wait_s, end_s = 0.0005, self.loop.time() + seconds
        while not condition():
            assert self.loop.time() < end_s, f"it never came to be ({self.failures()})"
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.2, 0.2)

    def failures(self) -> list[Any]:
        """What failed on the loop, but for the kills."""
        return [one for one in self.loop.failures if not isinstance(one.get("exception"), Killed)]

    @property
    def connector(self) -> Connector:
        """The one that runs, or ran last."""
        return self.programs[-1][1]

    @property
    def program(self) -> Program:
        """Its process."""
        return self.programs[-1][0]

    @property
    def orders(self) -> Any:
        """Its order management."""
        return self.connector.orders

    def act(self, act: Callable[[], Any]) -> Any:
        """Do something in the connector's process; it may be killed in it."""
        if self.program.is_dead:
            return None
        with contextlib.suppress(Killed):
            return self.program.run(act)

    async def start(self, *, needs_book: bool = True, **config: Any) -> None:
        """Start the connector, and wait until it can trade, and has a book if that is needed."""
        task = await self.launch(**config)
        await self.until(lambda: task.done() or (self.is_ready if needs_book else self.is_connected), 900.0)
        if task.done():
            task.result()

    async def launch(self, **config: Any) -> "asyncio.Task[None]":
        """Start the connector."""
        program = Program()
        case = self.case
        self._config |= config
        settings = {
            "symbols": (case.symbol,),
            "order_prefix": PREFIX,
            **case.where(self.exchange),
            **self._config,
        }
        has_keys = settings.pop("has_keys", True)
        credentials = settings.pop("credentials", Credentials(api_key=Secret(KEY), secret=Secret(SECRET)))
        journal = self.path if has_keys else None

        def make() -> Connector:
            made = Connector(
                case.name,
                _Venue(self, find_venue(case.name)),
                case.config(**settings),
                credentials if has_keys else Credentials(),
                journal,
                seed=len(self.programs) + 1,
                directory=self._folder,
            )
            made.bots.emit = self._emit  # type: ignore[method-assign]
            made.on_outcome = self._burns("outcome", made.on_outcome)  # type: ignore[method-assign]
            made.on_report = self._burns("report", made.on_report)  # type: ignore[method-assign]
            return made

        connector = program.run(make)
        task = self.loop.create_task(connector.run(), context=program.context)
        self.programs.append((program, connector, task))
        return task

    @property
    def is_connected(self) -> bool:
        """Whether orders can be sent, by whatever way."""
        connector = self.connector
        if not hasattr(connector, "server"):
            return False
        self.number = connector.bots.instrument(self.case.symbol).number
        return not connector.trades or (connector.bots.is_connected and connector.reconciler.done > 0)

    @property
    def is_ready(self) -> bool:
        """Whether the connector can trade, and its book is valid."""
        connector = self.connector
        if not self.is_connected:
            return False
        market = connector.bots.books.get(self.number)
        by_rest = not connector.trades or getattr(connector.config, "order_entry", "") == "rest"
        has_way = by_rest or connector.session.trading._sender.socket is not None
        return has_way and market is not None and market.is_valid

    def _emit(self, name: str, update: Any) -> None:
        if not self.program.is_dead:
            self.bots[name].apply(update)

    def sends(self, send: Callable[[Any], None]) -> Callable[[Any], None]:
        """What order management sends by."""

        def sent(command: Any) -> None:
            if type(command) is Submit:
                order = self.orders.store.orders.get(command.client_id)
                if order is not None:
                    self.latest[order.bot, order.order_id] = command.client_id
            self.commands.append(command)
            self._burn("before a send", command)
            send(command)
            self._burn("after a send", command)

        return sent

    def _burns(self, moment: str, act: Callable[[Any], None]) -> Callable[[Any], None]:
        def burnt(message: Any) -> None:
            self._burn(f"before a {moment}", message)
            act(message)
            self._burn(f"after a {moment}", message)

        return burnt

    def _burn(self, moment: str, message: Any) -> None:
        if self.fuse == moment and (self.fuse_type is None or isinstance(message, self.fuse_type)):
            self.fuse = ""
            self.kill()
            raise Killed

    def kill(self) -> None:
        """As by a kill -9."""
        program, connector, _ = self.programs[-1]
        if program.is_dead:
            return
        program.kill()
        for bot in self.bots.values():
            bot.is_attached = False
        # The kernel closes its files, and with them their locks.
        for one in (connector._journal, connector._presence):
            if one is not None:
                one.close()

    async def stand_still(self, seconds: float) -> None:
        """As by a SIGSTOP, and a SIGCONT after a while."""
        self.program.is_stopped = True
        await asyncio.sleep(seconds)
        self.loop.go_on(self.program)

    async def restart(self, *names: str, **config: Any) -> None:
        """Start it again after a kill; bots that are named, else all, come back."""
        self.kill()
        await self.start(**config)
        for name in names or self.bots:
            self.bots[name].attach()

    async def stop(self) -> None:
        """As by a SIGTERM."""
        program, connector, task = self.programs[-1]
        for bot in self.bots.values():
            if bot.is_attached:
                bot.detach()
        program.run(connector.stop)
        await asyncio.wait([task], timeout=60.0)
        task.result()

    async def end(self) -> None:
        """Let the connector leave in order, and wind up what was killed."""
        for program, connector, task in self.programs:
            if task.done():
                continue
            if program.is_dead:
                connector._leave = _nothing  # type: ignore[method-assign]
                self.loop.resume(program)
                task.cancel()
            else:
                program.run(connector.stop)
            await asyncio.wait([task], timeout=60.0)
            if not program.was_killed and not task.cancelled():
                task.result()
            assert task.done(), "the connector does not end"


async def _nothing(*_: Any) -> None:
    """In the place of what a killed process can't do."""


@contextlib.contextmanager
def machine() -> Iterator[None]:
    """What is not this machine's is set aside: the channel's socket, the memory's collector, chance."""
    numbers = random.Random(7)
    chance = SimpleNamespace(
        randbits=numbers.getrandbits, randbelow=lambda most: numbers.randrange(most), token_hex=None
    )
    with (
        mock.patch.object(service, "ChannelServer", _Server),
        mock.patch.object(service, "gc", SimpleNamespace(collect=_idle, freeze=_idle)),
        mock.patch.object(service, "secrets", chance),
        mock.patch.object(daemon.connector.bots.bots, "LOOK_S", 1.0),
        # Nobody reads it, and a large one takes time to be mapped.
        mock.patch.object(daemon.connector.bots.bots, "MarketRing", SimpleNamespace(make=_small_ring)),
        mock.patch.object(daemon.connector.watch.loop_lag, "EVERY_S", 10.0),
        mock.patch.object(Journal, "sync", _idle),
    ):
        yield


def _small_ring(*, lossless: bool) -> MarketRing:
    return MarketRing.make(RING_BYTES, lossless=lossless)


def _idle(*_: Any) -> None:
    """Nothing is to be done."""
