"""The soak with real processes: connector and bots are killed, stopped and started again, on real sockets.

The exchange is the local one, in this process. The choices of a seed repeat: the market, the bots' numbers, what is
killed or torn in which order and after how long, and for each kind of mishap at the exchange which of its occasions it
strikes. Which message is under way at such a moment depends on the machine's speed; so a seed that fails is run again
some times (`--times`), and the journal and logs of the failure are kept.
"""

import asyncio
import contextlib
import itertools
import json
import random
import shutil
import signal
import struct
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits
from daemon.orders.manager import OrderManager
from daemon.venues.binancefutures.instruments import read_exchange_info
from hftd.channel import status, wire
from hftd.channel.asking import ask
from hftd.clock import monotonic_ns
from hftd.errors import HftdError
from sim.exchange.binancefutures.market_queries import exchange_info
from sim.exchange.chaos_config import ChaosSection
from sim.exchange.config import (
    AccountSection,
    ExchangeConfig,
    GenerateSection,
    LatencySection,
    LimitsSection,
    MarketSection,
    ServerSection,
    SymbolSection,
)
from sim.exchange.local import LocalExchange
from tests.soak import children
from tests.soak.books import LOT, MONEY, Faults, Truth, compare_journal, compare_manager
from tests.soak.bots import POLICIES
from tests.soak.fast import Result
from tests.soak.processes import Forks, Process
from tests.soak.venue import KEY, SECRET, SYMBOL
from tests.soak.weather import weather_of_processes

PREFIX = "soak"
MISHAPS = 8
MARKET_S = 120.0
SETTLE_S = 60.0
SPEED = 4.0
CALM = ChaosSection(inside_snapshot=0.0)


@dataclass
class BotProcess:
    """A bot, its lives and its policy."""

    name: str
    end: str
    process: Process | None = None
    lives: int = 0

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.is_alive


class RealSoak:
    """One seed.

    Args:
        seed: Of all choices.
        folder: For sockets, journal, logs and results; its path must be short.
        forks: Starts processes.
        mishaps: How often something is killed, torn or stopped.
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
        is_wrong: bool = False,
        settle_s: float = SETTLE_S,
    ) -> None:
        self.seed = seed
        self.folder = folder
        self.mishaps = mishaps
        self._is_wrong = is_wrong
        self._settle_s = settle_s
        self.rng = rng = random.Random(f"real {seed}")
        self.chaos: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self._forks = forks
        self._processes: list[Process] = []
        self.bots = [BotProcess(f"bot{number}", rng.choice(POLICIES)) for number in range(2)]
        self._connector: Process | None = None
        self._lives = 0
        latency = rng.choice(((0.0, 0.0), (0.0, 2.0), (1.0, 20.0)))
        self._weather = weather_of_processes(seed, rng)
        self.config = ExchangeConfig(
            market=MarketSection(
                generate=GenerateSection(
                    seed=seed % 4 + 1,
                    duration_s=MARKET_S * SPEED,
                    start_price=20_000.0,
                    updates_per_s=120.0,
                    trades_per_s=8.0,
                )
            ),
            symbols=[SymbolSection(symbol=SYMBOL, tick_size="0.1", lot_size="0.001", max_orders=10_000)],
            accounts=[
                AccountSection(name="one", api_key=KEY, secret=SECRET, balance="100000000", leverage=100)
            ],
            limits=LimitsSection(weight_1m=0, ws_api_weight_1m=0, orders_10s=0, orders_1m=0),
            exchange=ServerSection(speed=SPEED),
            latency=LatencySection(entry_ms=latency, reply_ms=latency, event_ms=latency),
            chaos=CALM,
        )

    # Processes.

    def _start_connector(self) -> None:
        self._lives += 1
        urls = {
            "stream_url": self.exchange.stream_url,
            "api_url": self.exchange.rest_url,
            "ws_api_url": self.exchange.ws_api_url,
        }
        self._connector = self._start("connector", urls, PREFIX, self.seed + self._lives, self._is_wrong)

    def _start_bot(self, bot: BotProcess) -> None:
        bot.lives += 1
        seed = 1000 * self.seed + 10 * bot.lives + self.bots.index(bot)
        bot.process = self._start("bot", bot.name, bot.end, {"seed": seed})

    def _start(self, name: str, *arguments: Any) -> Process:
        process = self._forks.start(name, self.folder, *arguments)
        self._processes.append(process)
        return process

    async def _kill(self, process: Process | None) -> None:
        if process is not None:
            process.signal(signal.SIGKILL)
            await self._until(lambda: not process.is_alive, 10.0)

    async def _stop(self, process: Process | None) -> bool:
        """End a process in order; whether it did."""
        if process is None:
            return True
        process.signal(signal.SIGTERM)
        if not await self._until(lambda: not process.is_alive, 30.0):
            await self._kill(process)
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

    # Mishaps.

    async def _mishap(self) -> None:
        rng = self.rng
        what = rng.choice(
            ("connector", "connector", "bot", "bot", "both", "tear", "tear", "freeze", "freeze bot", "away")
        )
        self.chaos[what] += 1
        bot = rng.choice(self.bots)
        wait_s = rng.choice((0.0, 0.1, 0.5))
        kind = rng.choice(("private", "ws-api", "public", ""))
        tears = rng.random() < 0.7
        if what in ("connector", "both"):
            await self._kill(self._connector)
        if what in ("bot", "both"):
            await self._kill(bot.process)
        if what == "tear":
            self.exchange.close_connections(kind, tear=tears)
        elif what == "freeze" and self._connector is not None:
            self._connector.signal(signal.SIGSTOP)
            await asyncio.sleep(wait_s)
            self._connector.signal(signal.SIGCONT)
        elif what == "freeze bot" and bot.process is not None:
            bot.process.signal(signal.SIGSTOP)
            await asyncio.sleep(wait_s)
            bot.process.signal(signal.SIGCONT)
        elif what == "away":
            await self.exchange.disconnect()
            await asyncio.sleep(wait_s)
            await self.exchange.connect()
        await asyncio.sleep(wait_s)
        if self._connector is None or not self._connector.is_alive:
            self._start_connector()
        # One in five stays dead until the end.
        if not bot.is_alive and rng.random() < 0.8:
            self._start_bot(bot)

    # The run.

    async def run(self) -> Result:
        """All of it, and what it came to."""
        result = Result(self.seed)
        rest = self.folder / "rest"
        rest.write_bytes(bytes(8))
        try:
            async with LocalExchange(self.config) as self.exchange:
                self._start_connector()
                for bot in self.bots:
                    self._start_bot(bot)
                await self._progress(10, 60.0)
                self.exchange.set_chaos(self._weather)
                for _ in range(self.mishaps):
                    # By what was done, not by time, so that slow machines see as much.
                    await self._progress(self.rng.randrange(10, 80), 3.0)
                    await self._mishap()
                with rest.open("r+b") as file:
                    file.write(struct.pack("<q", 1))
                await self._end(result)
        finally:
            for process in self._processes:
                process.close()
        result.chaos, result.events = self.chaos, self.events
        result.chaos.update(self.exchange.chaos.counters)
        return result

    async def _progress(self, orders: int, timeout_s: float) -> None:
        """Wait until so many further orders have reached the exchange."""
        wanted = len(self.exchange.venue.accounts[0].orders) + orders
        await self._until(lambda: len(self.exchange.venue.accounts[0].orders) >= wanted, timeout_s)

    async def _end(self, result: Result) -> None:
        """Fine weather; then the books are compared, at rest, without bots, and without the connector."""
        self.exchange.set_chaos(CALM)
        faults = await self._agreed(lambda: self._compare(is_ended=False))
        result.faults += [f"at rest: {one}" for one in faults]
        for bot in self.bots:
            was_alive, before = bot.is_alive, self._truth().totals[bot.name].trades
            with contextlib.suppress(FileNotFoundError):
                (self.folder / f"{bot.name}.json").unlink()
            if not await self._stop(bot.process) and was_alive:
                result.faults.append(f"the bot {bot.name} did not end in order")
            elif was_alive:
                result.faults += self._compare_result(bot, before)
        faults = await self._agreed(lambda: self._compare(is_ended=True))
        result.faults += [f"without bots: {one}" for one in faults]
        if not await self._stop(self._connector):
            result.faults.append("the connector did not end in order")
        found = Faults()
        compare_journal(found, self._truth(), self.folder / "orders.journal", SYMBOL)
        self._compare_restored(found)
        result.faults += [f"in the end: {one}" for one in found.found]

    async def _told(self, timeout_s: float) -> status.DaemonStatus:
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

    # What must hold.

    def _truth(self) -> Truth:
        return Truth(self.exchange.truth(KEY), PREFIX, tuple(bot.name for bot in self.bots))

    async def _compare(self, *, is_ended: bool) -> list[str]:
        told = await self._told(2.0)
        truth, faults = self._truth(), Faults()
        account = {one.symbol: one.position for one in told.account}
        faults.expect("status: position", round(account.get(SYMBOL, 0.0) / LOT), truth.position)
        known = {one.name: one for one in told.bots}
        open_orders: list[tuple[str, int]] = []
        for bot in self.bots:
            total, shown = truth.totals[bot.name], known.get(bot.name)
            position = (
                shown.positions[0]
                if shown and shown.positions
                else status.Position(symbol=SYMBOL, position=0.0)
            )
            if shown or total.lots:
                faults.expect(f"status: {bot.name} position", round(position.position / LOT), total.lots)
                faults.expect(f"status: {bot.name} trades", position.num_trades, total.trades)
                faults.near(f"status: {bot.name} fee", position.fee, total.fee, 1e-6)
                faults.near(f"status: {bot.name} balance", position.balance, total.balance, 1e-4)
            for order in shown.orders if shown else ():
                open_orders.append((order.client_id, round(order.leaves_qty / LOT)))
                faults.expect(f"status: {order.client_id} under way", order.request, "")
            left = [one for one in truth.open if truth.owner[one] == bot.name]
            if not bot.is_alive and bot.end != "keep" and left:
                faults.say(f"the dead bot {bot.name} ({bot.end}) left {left}")
        faults.expect(
            "status: open orders",
            sorted(open_orders),
            sorted((name, one["lots"] - one["executed_lots"]) for name, one in truth.open.items()),
        )
        faults.expect("status: in flight", told.counters["in_flight"], 0)
        if not is_ended:
            faults.expect(
                "bots attached",
                sorted(n for n, b in known.items() if b.is_attached),
                sorted(b.name for b in self.bots if b.is_alive),
            )
        compare_journal(faults, truth, self.folder / "orders.journal", SYMBOL)
        self.events["orders"], self.events["fills"] = len(truth.orders), len(truth.trades)
        self.events["user events"] = self.exchange.venue.users.events_sent
        self.events["rows"] = told.channels[0].rows
        return faults.found

    def _compare_result(self, bot: BotProcess, before: int) -> list[str]:
        """What the bot itself came to, by its own account of it.

        What is executed after its end (by a cancel that came too late, or to flatten its position) it can't know, but
        all that was executed before it was told to end.
        """
        faults, truth = Faults(), self._truth()
        result = json.loads((self.folder / f"{bot.name}.json").read_text())
        mine = [one for one in truth.trades.values() if truth.owner[one["client_id"]] == bot.name]
        known = mine[: result["num_trades"]]
        if not before <= result["num_trades"] <= len(mine):
            faults.say(f"{bot.name}: {result['num_trades']} trades, the exchange has {before} to {len(mine)}")
        faults.expect(
            f"{bot.name}: position",
            round(result["position"] / LOT),
            sum(one["side"] * one["lots"] for one in known),
        )
        faults.near(
            f"{bot.name}: volume", result["trading_volume"], sum(one["lots"] for one in known) * LOT, 1e-6
        )
        faults.near(f"{bot.name}: fee", result["fee"], sum(one["fee"] for one in known) / MONEY, 1e-6)
        money = sum(one["side"] * one["money"] for one in known) / MONEY
        faults.near(f"{bot.name}: balance", result["balance"], -money, 1e-4)
        return faults.found

    def _compare_restored(self, faults: Faults) -> None:
        """A connector that starts from this journal knows what the exchange knows."""
        journal = Journal.open(self.folder / "orders.journal")
        manager = OrderManager(
            prefix=PREFIX,
            run=journal.last_run + 1,
            limits=AccountLimits(),
            journal=journal,
            emit=lambda _bot, _update: None,
            send=lambda _command: None,
        )
        try:
            info = read_exchange_info(msgspec.json.encode(exchange_info(self.exchange.venue, None, {})))  # type: ignore[arg-type]
            manager.add_instrument(info.instruments[0])
            compare_manager(faults, self._truth(), manager, SYMBOL, "restored")
        finally:
            journal.close()


async def _run_real(seed: int, forks: Forks, mishaps: int, keep: Path | None) -> Result:
    with tempfile.TemporaryDirectory(prefix="hftd") as name:
        folder = Path(name)
        try:
            result = await RealSoak(seed, folder, forks, mishaps).run()
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
    seeds: Iterable[int], *, jobs: int = 3, mishaps: int = MISHAPS, keep: Path | None = None
) -> AsyncIterator[Result]:
    """Seeds, some at a time, since they mostly wait; of those that fail journal and logs are kept in `keep`."""
    forks = Forks()
    left = iter(seeds)
    running = {
        asyncio.ensure_future(_run_real(one, forks, mishaps, keep)) for one in itertools.islice(left, jobs)
    }
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for one in itertools.islice(left, len(done)):
                running.add(asyncio.ensure_future(_run_real(one, forks, mishaps, keep)))
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        forks.close()
