"""The soak with real processes: connector and bots are killed, stopped and started again, on real sockets.

The exchange is the local one, in this process. The choices of a seed repeat: the market, the bots' numbers, what is
killed or torn in which order and after how long, and for each kind of mishap at the exchange which of its occasions it
strikes. Which message is under way at such a moment depends on the machine's speed; of a seed that fails
the journal and the logs are kept.
"""

import asyncio
import contextlib
import itertools
import random
import shutil
import signal
import struct
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from hftd import wire
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import ask
from hftd.errors import HftdError
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.config import (
    AccountSection,
    ExchangeConfig,
    GenerateSection,
    LatencySection,
    LimitsSection,
    MarketSection,
)
from sim.exchange.servers.server import LocalExchange
from tests.soak import children
from tests.soak.accounts import ProcessBooks
from tests.soak.books import Faults
from tests.soak.bots import POLICIES
from tests.soak.disorder import SOME, USUAL, Disorder
from tests.soak.fast import Result
from tests.soak.processes import BotProcess, Forks, Process
from tests.soak.venue import KEY, SECRET
from tests.soak.venues import PRODUCTS, USDM
from tests.soak.weather import weather_of_processes

MISHAPS = 6
LAG_MAX_MS = 250
"""So long the connector's event loop may stand still: what blocks is far beyond, what shares a processor is not."""
MARKET_S = 120.0
SETTLE_S = 60.0
SPEED = 4.0
CALM = ChaosSection(inside_snapshot=0.0)


class RealSoak:
    """One seed.

    Args:
        seed: Of all choices.
        folder: For sockets, journal, logs and results; its path must be short.
        forks: Starts processes.
        mishaps: How often something is killed, torn or stopped.
        venue: The exchange, of `venues.PRODUCTS`.
        only: The only kind of mishap that there is, if there is one.
        is_wrong: Start a connector that counts fills twice.
        settle_s: How long the books may take to agree.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        forks: Forks,
        mishaps: int = MISHAPS,
        *,
        venue: str = USDM.name,
        only: str = "",
        is_wrong: bool = False,
        settle_s: float = SETTLE_S,
    ) -> None:
        self.seed = seed
        self.product = product = PRODUCTS[venue]
        self.symbol = product.symbols[0].symbol
        self.folder = folder
        self.is_blocked = False
        """Whether nobody reads the connector's log."""
        self.faults = Faults()
        self._mishaps, self._only = mishaps, only
        self._is_wrong = is_wrong
        self._settle_s = settle_s
        self.rng = rng = random.Random(f"real {seed}")
        self.chaos: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self._forks = forks
        self._processes: list[Process] = []
        self.bots = [BotProcess(f"bot{number}", rng.choice(POLICIES)) for number in range(2)]
        self.flood = BotProcess("flood", "cancel")
        self.connector: Process | None = None
        self._lives = 0
        latency = rng.choice(((0.0, 0.0), (0.0, 2.0), (1.0, 20.0)))
        self._weather = weather_of_processes(seed, rng)
        self.config = ExchangeConfig(
            market=MarketSection(
                generate=GenerateSection(
                    seed=seed % 4 + 1,
                    duration_s=MARKET_S * SPEED,
                    start_price=product.prices[self.symbol],
                    updates_per_s=120.0,
                    trades_per_s=8.0,
                )
            ),
            symbols=[msgspec.structs.replace(product.symbols[0], grid_tick="", grid_lot="")],
            accounts=[
                product.account(
                    AccountSection(name="one", api_key=KEY, secret=SECRET, balance="100000000", leverage=100),
                    seed,
                )
            ],
            limits=LimitsSection(weight_1m=0, ws_api_weight_1m=0, orders_10s=0, orders_1m=0),
            exchange=msgspec.structs.replace(product.server_of_processes(seed), speed=SPEED),
            latency=LatencySection(entry_ms=latency, reply_ms=latency, event_ms=latency),
            chaos=CALM,
        )

    # Processes.

    def start_connector(self) -> None:
        """Another life of the connector."""
        self._lives += 1
        arguments = self.connector_arguments(self.seed + self._lives)
        self.connector = self.start("connector", *arguments, self._is_wrong, self.is_blocked)

    def connector_arguments(self, seed: int) -> tuple[str, dict[str, str], int]:
        """What a connector's process is told."""
        return self.product.name, self.product.urls(self.exchange), seed

    def start_bot(self, bot: BotProcess, **parameters: Any) -> None:
        """Another life of a bot."""
        bot.lives += 1
        number = self.bots.index(bot) if bot in self.bots else 9
        bot.seed = 1000 * self.seed + 10 * bot.lives + number
        parameters |= {"seed": bot.seed, "position_max": self.product.position_max}
        bot.process = self.start("bot", self.product.name, bot.name, bot.end, parameters)

    def start(self, name: str, *arguments: Any, folder: Path | None = None) -> Process:
        """Start one of `children`'s functions as a process."""
        process = self._forks.start(name, folder or self.folder, *arguments)
        self._processes.append(process)
        return process

    async def kill(self, process: Process | None) -> None:
        """End a process at once."""
        if process is not None:
            process.signal(signal.SIGKILL)
            await self._until(lambda: not process.is_alive, 10.0)

    async def _stop(self, process: Process | None) -> bool:
        """End a process in order; whether it did."""
        if process is None:
            return True
        process.signal(signal.SIGTERM)
        if not await self._until(lambda: not process.is_alive, 30.0):
            await self.kill(process)
        return (self.folder / f"{process.pid}.good").exists()

    @staticmethod
    async def _until(is_so: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something is so; whether it came to be."""
        end_ns = monotonic_ns() + int(timeout_s * 1e9)
        while not is_so():
            if monotonic_ns() > end_ns:
                return False
            await asyncio.sleep(0.005)
        return True

    async def look_at_loop(self) -> None:
        """How long the connector's event loop has stood still; it forgets that when it is killed."""
        if self.connector is None or not self.connector.is_alive:
            return
        with contextlib.suppress(HftdError):
            told = await self.told(0.5)
            self.note_lag(told)

    def note_lag(self, told: status.DaemonStatus) -> None:
        """How long it says that its event loop has stood still."""
        lag_ms = told.counters["loop_lag_max_ms"]
        self.events["loop lag, ms"] = max(self.events["loop lag, ms"], lag_ms)

    # The run.

    async def run(self) -> Result:
        """All of it, and what it came to."""
        result = Result(self.seed)
        rest = self.folder / "rest"
        rest.write_bytes(bytes(16))
        disorder, self._books = Disorder(self), ProcessBooks(self)
        try:
            async with LocalExchange(self.product.local, self.config) as self.exchange:
                self.start_connector()
                for bot in self.bots:
                    self.start_bot(bot)
                assert await self._progress(10, 300.0), "the bots never began to trade"
                self.exchange.set_chaos(self._weather)
                for what in disorder.planned(self._mishaps, self._only):
                    # By what was done, not by time, so that slow machines see as much.
                    await self._progress(self.rng.randrange(10, 60), 3.0)
                    await disorder.strike(what)
                with rest.open("r+b") as file:
                    file.write(struct.pack("<q", 1))
                await self._end(result)
        finally:
            for process in self._processes:
                process.close()
            disorder.close()
        result.faults += self.faults.found
        if self.events["loop lag, ms"] > LAG_MAX_MS:
            result.faults.append(
                f"the connector's event loop stood still for {self.events['loop lag, ms']} ms"
            )
        result.chaos, result.events = self.chaos, self.events
        result.chaos.update(self.exchange.chaos.counters)
        return result

    async def _progress(self, orders: int, timeout_s: float) -> bool:
        """Wait until so many further orders have reached the exchange; whether they have."""
        wanted = len(self.exchange.core.accounts[0].orders) + orders
        return await self._until(lambda: len(self.exchange.core.accounts[0].orders) >= wanted, timeout_s)

    async def _end(self, result: Result) -> None:
        """Fine weather; then the books are compared, at rest, without bots, and without the connector."""
        self.exchange.set_chaos(CALM)
        self.exchange.core.outages.mend()
        self.exchange.core.streams.speak()
        await self.resume()
        faults = await self._agreed(lambda: self._books.compare(is_ended=False))
        result.faults += [f"at rest: {one}" for one in faults]
        for bot in self.bots:
            was_alive, before = bot.is_alive, self._books.truth().total(bot.name, self.symbol).trades
            with contextlib.suppress(FileNotFoundError):
                (self.folder / f"{bot.name}.json").unlink()
            if not await self._stop(bot.process) and was_alive:
                result.faults.append(f"the bot {bot.name} did not end in order")
            elif was_alive:
                result.faults += self._books.result(bot, before)
        faults = await self._agreed(lambda: self._books.compare(is_ended=True))
        result.faults += [f"without bots: {one}" for one in faults]
        if not await self._stop(self.connector):
            result.faults.append("the connector did not end in order")
        result.faults += [f"in the end: {one}" for one in self._books.journal()]

    async def resume(self) -> None:
        """The owner has looked; if nobody answers, there is nothing to resume."""
        until_ns = monotonic_ns() + 2_000_000_000
        with contextlib.suppress(HftdError):
            await asyncio.to_thread(
                ask, children.CHANNEL, wire.ASK_RESUME, status.Halted, until_ns, directory=self.folder
            )

    async def told(self, timeout_s: float) -> status.DaemonStatus:
        """What `hftd status` says."""
        end_ns = monotonic_ns() + int(timeout_s * 1e9)
        while True:
            try:
                told = await asyncio.to_thread(self._ask)
            except HftdError:
                if monotonic_ns() > end_ns:
                    raise
                await asyncio.sleep(0.05)
            else:
                return told[1]

    def _ask(self) -> tuple[bool, status.DaemonStatus]:
        until_ns = monotonic_ns() + 2_000_000_000
        return ask(children.CHANNEL, wire.ASK_STATUS, status.DaemonStatus, until_ns, directory=self.folder)

    async def _agreed(self, compare: Any) -> list[str]:
        """Wait until the books agree, three times in a row; what they do not agree in, if that does not come."""
        end_ns = monotonic_ns() + int(self._settle_s * 1e9)
        good = 0
        while True:
            try:
                faults = await compare()
            except HftdError as error:
                faults = [f"the connector does not answer: {error}"]
            good = 0 if faults else good + 1
            if good == 3 or monotonic_ns() > end_ns:
                return faults
            await asyncio.sleep(0.25)


async def _run_real(seed: int, forks: Forks, mishaps: int, keep: Path | None, **options: Any) -> Result:
    with tempfile.TemporaryDirectory(prefix="hftd") as name:
        folder = Path(name)
        try:
            result = await RealSoak(seed, folder, forks, mishaps, **options).run()
        except Exception as error:
            if keep is None:
                raise
            result = Result(seed, [f"{type(error).__name__}: {error}"])
        if result.faults and keep is not None:
            kept = keep / f"soak-{seed}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("*.sock"))
            result.faults.append(f"journal and logs are in {kept}")
        return result


async def run_real(
    seeds: Iterable[int],
    *,
    jobs: int = 3,
    mishaps: int = MISHAPS,
    keep: Path | None = None,
    **options: Any,
) -> AsyncIterator[Result]:
    """Seeds, some at a time, since they mostly wait; of those that fail journal and logs are kept in `keep`.

    `options` are those of `RealSoak`.
    """
    forks = Forks()
    left = iter(seeds)
    running = {
        asyncio.ensure_future(_run_real(one, forks, mishaps, keep, **options))
        for one in itertools.islice(left, jobs)
    }
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for one in itertools.islice(left, len(done)):
                running.add(asyncio.ensure_future(_run_real(one, forks, mishaps, keep, **options)))
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        forks.close()


__all__ = ["MISHAPS", "SOME", "USUAL", "RealSoak", "run_real"]
