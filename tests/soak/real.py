"""The soak with real processes: connector and bots are killed, stopped and started again, on real sockets.

The exchange is the local one, in this process. The choices of a seed repeat: the market, the bots' numbers, what is
killed or torn in which order and after how long, and for each kind of mishap at the exchange which of its occasions it
strikes. Which message is under way at such a moment depends on the machine's speed; of a seed that fails
the journal and the logs are kept.
"""

import asyncio
import contextlib
import itertools
import json
import random
import resource
import shutil
import signal
import socket
import struct
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits
from daemon.orders.manager import OrderManager
from daemon.venues.binance.instruments import read_exchange_info
from hftd.channel import wire
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import ask
from hftd.errors import HftdError
from sim.exchange.binancefutures.api import exchange_info
from sim.exchange.binancefutures.venue import BinanceFutures
from sim.exchange.chaos import ChaosSection
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
from sim.exchange.mishaps import Rule
from sim.exchange.servers.server import LocalExchange
from tests.soak import children
from tests.soak.books import MONEY, Faults, Step, Truth, compare_journal, compare_manager
from tests.soak.bots import POLICIES
from tests.soak.fast import Result
from tests.soak.processes import Forks, Process
from tests.soak.venue import KEY, SECRET, SYMBOL
from tests.soak.weather import weather_of_processes

PREFIX = "soak"
MISHAPS = 6
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
"""Each seed has three of these, in turn."""
SILENT_CONNECTIONS = 100
HUNG_S = 20.0
"""So long a bot that hangs may keep its lease: twice its watchdog's time."""
LAG_MAX_MS = 50
"""So long the connector's event loop may stand still."""
MARKET_S = 120.0
SETTLE_S = 60.0
SPEED = 4.0
CALM = ChaosSection(inside_snapshot=0.0)


LOT = Decimal("0.001")
STEPS = {SYMBOL: Step(Decimal("0.1"), LOT)}
KINDS_OF_OUTAGE = ("error", "html", "lost", "slow")


def _qty(value: float) -> Decimal:
    return round(value / float(LOT)) * LOT


@dataclass
class BotProcess:
    """A bot, its lives and its policy."""

    name: str
    end: str
    process: Process | None = None
    lives: int = 0
    seed: int = 0

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
        only: str = "",
        is_wrong: bool = False,
        settle_s: float = SETTLE_S,
    ) -> None:
        self.seed = seed
        self.folder = folder
        self.mishaps = mishaps
        self.only = only
        self._is_blocked = False
        self._faults = Faults()
        self._silent: list[socket.socket] = []
        self._is_wrong = is_wrong
        self._settle_s = settle_s
        self.rng = rng = random.Random(f"real {seed}")
        self.chaos: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self._forks = forks
        self._processes: list[Process] = []
        self.bots = [BotProcess(f"bot{number}", rng.choice(POLICIES)) for number in range(2)]
        self.flood = BotProcess("flood", "cancel")
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
            "ws_api_url": self.exchange.urls["ws_api"],
        }
        self._urls = urls
        seed = self.seed + self._lives
        self._connector = self._start("connector", urls, PREFIX, seed, self._is_wrong, self._is_blocked)

    def _start_bot(self, bot: BotProcess, **parameters: Any) -> None:
        bot.lives += 1
        number = self.bots.index(bot) if bot in self.bots else 9
        bot.seed = 1000 * self.seed + 10 * bot.lives + number
        bot.process = self._start("bot", bot.name, bot.end, {"seed": bot.seed, **parameters})

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

    def _planned(self) -> list[str]:
        """What happens in this seed, in its order."""
        if self.only:
            return [self.only] * self.mishaps
        some = [SOME[(3 * self.seed + number) % len(SOME)] for number in range(3)]
        return some[: self.mishaps] + [self.rng.choice(USUAL) for _ in range(self.mishaps - 3)]

    async def _mishap(self, what: str) -> None:
        rng = self.rng
        self.chaos[what] += 1
        await self._look_at_loop()
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
        elif what in SOME:
            await self._special(what, bot)
        await asyncio.sleep(wait_s)
        if self._connector is None or not self._connector.is_alive:
            self._start_connector()
        # One in five stays dead until the end.
        if not bot.is_alive and rng.random() < 0.8:
            self._start_bot(bot)

    async def _special(self, what: str, bot: BotProcess) -> None:
        """One of `SOME`."""
        rng, core = self.rng, self.exchange.core
        for_s = rng.choice((0.5, 1.0, 2.0))
        if what == "ban":
            core.limits.ban("127.0.0.1", 3.0)
            await asyncio.sleep(3.0)
        elif what == "silence":
            core.streams.silence(
                rng.choice((f"{SYMBOL.lower()}@*", f"{SYMBOL.lower()}@depth*", "user")), for_s + 1.0
            )
            await asyncio.sleep(for_s)
        elif what == "outage":
            path, kind = (
                rng.choice(("GET /fapi/*", "GET /fapi/v1/openOrders", "order.*")),
                rng.choice(KINDS_OF_OUTAGE),
            )
            core.outages.add(Rule(path, kind, seconds=for_s, status=502))
            await asyncio.sleep(for_s)
        elif what == "limits":
            was = core.limits.settings
            core.limits.settings = msgspec.structs.replace(
                was, weight_1m=2400, orders_10s=20, bans_after=3, ban_s=2.0
            )
            core.limits.use_up(2300)
            await asyncio.sleep(for_s)
            core.limits.settings = was
        elif what == "forced close":
            core.matching.force_close(
                core.accounts[0], core.instrument(SYMBOL), rng.choice(("adl", "liquidation")), 0.5
            )
        elif what == "second connector":
            folder = self.folder / "2"
            folder.mkdir(exist_ok=True)
            second = self._forks.start("connector", folder, self._urls, PREFIX, self.seed)
            self._processes.append(second)
            await asyncio.sleep(3.0)
            await self._kill(second)
        elif what == "blocked log":
            self._is_blocked = True
            await self._kill(self._connector)
        elif what == "long freeze" and self._connector is not None:
            self._connector.signal(signal.SIGSTOP)
            await asyncio.sleep(4.0)
            self._connector.signal(signal.SIGCONT)
        elif what == "full disk" and self._connector is not None and self._connector.is_alive:
            size = (self.folder / "orders.journal").stat().st_size
            resource.prlimit(self._connector.pid, resource.RLIMIT_FSIZE, (size + 500, resource.RLIM_INFINITY))
            await asyncio.sleep(for_s)
            if self._connector.is_alive:
                free = resource.RLIM_INFINITY, resource.RLIM_INFINITY
                resource.prlimit(self._connector.pid, resource.RLIMIT_FSIZE, free)
            await self._resume()
        elif what == "silent connections":
            for _ in range(SILENT_CONNECTIONS):
                one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                one.setblocking(False)
                with contextlib.suppress(OSError):
                    one.connect(str(self.folder / f"{children.CHANNEL}.sock"))
                self._silent.append(one)
            await self._told(5.0)
        elif what == "flood":
            self._start_bot(self.flood, step_ns=50_000)
            await asyncio.sleep(2.0)
            await self._told(5.0)
            await self._kill(self.flood.process)
        elif what == "hang" and bot.process is not None and bot.is_alive:
            await self._hang(bot)

    async def _hang(self, bot: BotProcess) -> None:
        """A strategy waits for nothing any more: after a while its lease ends as agreed."""
        with (self.folder / "rest").open("r+b") as file:
            file.seek(8)
            file.write(struct.pack("<q", bot.seed))
        end_ns = monotonic_ns() + int(HUNG_S * 1e9)
        while any(one.name == bot.name and one.is_attached for one in (await self._told(5.0)).bots):
            if monotonic_ns() > end_ns:
                self._faults.say(f"the bot {bot.name} hangs for {HUNG_S:g} s and keeps its lease")
                break
            await asyncio.sleep(0.1)
        await self._kill(bot.process)

    async def _resume(self) -> None:
        """The owner has looked; if nobody answers, there is nothing to resume."""
        until_ns = monotonic_ns() + 2_000_000_000
        with contextlib.suppress(HftdError):
            await asyncio.to_thread(
                ask, children.CHANNEL, wire.ASK_RESUME, status.Halted, until_ns, directory=self.folder
            )

    async def _look_at_loop(self) -> None:
        """How long the connector's event loop has stood still; it forgets that when it is killed."""
        if self._connector is None or not self._connector.is_alive:
            return
        with contextlib.suppress(HftdError):
            told = await self._told(0.5)
            self._note_lag(told)

    def _note_lag(self, told: status.DaemonStatus) -> None:
        lag_ms = told.counters["loop_lag_max_ms"]
        self.events["loop lag, ms"] = max(self.events["loop lag, ms"], lag_ms)

    # The run.

    async def run(self) -> Result:
        """All of it, and what it came to."""
        result = Result(self.seed)
        rest = self.folder / "rest"
        rest.write_bytes(bytes(16))
        try:
            async with LocalExchange(BinanceFutures, self.config) as self.exchange:
                self._start_connector()
                for bot in self.bots:
                    self._start_bot(bot)
                assert await self._progress(10, 300.0), "the bots never began to trade"
                self.exchange.set_chaos(self._weather)
                for what in self._planned():
                    # By what was done, not by time, so that slow machines see as much.
                    await self._progress(self.rng.randrange(10, 60), 3.0)
                    await self._mishap(what)
                with rest.open("r+b") as file:
                    file.write(struct.pack("<q", 1))
                await self._end(result)
        finally:
            for process in self._processes:
                process.close()
            for one in self._silent:
                one.close()
        result.faults += self._faults.found
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
        await self._resume()
        faults = await self._agreed(lambda: self._compare(is_ended=False))
        result.faults += [f"at rest: {one}" for one in faults]
        for bot in self.bots:
            was_alive, before = bot.is_alive, self._truth().total(bot.name, SYMBOL).trades
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
        compare_journal(found, self._truth(), self.folder / "orders.journal", STEPS)
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
        return Truth(self.exchange.truth(KEY), PREFIX, tuple(bot.name for bot in (*self.bots, self.flood)))

    async def _compare(self, *, is_ended: bool) -> list[str]:
        told = await self._told(2.0)
        self._note_lag(told)
        truth, faults = self._truth(), Faults()
        account = {one.symbol: one.position for one in told.account}
        is_forced = SYMBOL in truth.forced
        position = truth.positions.get(SYMBOL, Decimal(0))
        faults.expect("status: position", _qty(account.get(SYMBOL, 0.0)), position)
        known = {one.name: one for one in told.bots}
        open_orders: list[tuple[str, Decimal]] = []
        for bot in (*self.bots, self.flood):
            total, shown = truth.total(bot.name, SYMBOL), known.get(bot.name)
            position = (
                shown.positions[0]
                if shown and shown.positions
                else status.Position(symbol=SYMBOL, position=0.0)
            )
            if (shown or total.qty) and not is_forced:
                faults.expect(f"status: {bot.name} position", _qty(position.position), total.qty)
                faults.expect(f"status: {bot.name} trades", position.num_trades, total.trades)
                faults.near(f"status: {bot.name} fee", position.fee, total.fee, 1e-6)
                faults.near(f"status: {bot.name} balance", position.balance, total.balance, 1e-4)
            for order in shown.orders if shown else ():
                open_orders.append((order.client_id, _qty(order.leaves_qty)))
                faults.expect(f"status: {order.client_id} under way", order.request, "")
            left = [one for one in truth.open if truth.owner[one] == bot.name]
            if not bot.is_alive and bot.end != "keep" and left:
                faults.say(f"the dead bot {bot.name} ({bot.end}) left {left}")
        faults.expect(
            "status: open orders",
            sorted(open_orders),
            sorted(
                (name, Decimal(one["qty"]) - Decimal(one["executed_qty"])) for name, one in truth.open.items()
            ),
        )
        faults.expect("status: in flight", told.counters["in_flight"], 0)
        if not is_ended:
            faults.expect(
                "bots attached",
                sorted(n for n, b in known.items() if b.is_attached),
                sorted(b.name for b in self.bots if b.is_alive),
            )
        compare_journal(faults, truth, self.folder / "orders.journal", STEPS)
        self.events["orders"], self.events["fills"] = len(truth.orders), len(truth.trades)
        self.events["user events"] = self.exchange.core.users.events_sent
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
        if SYMBOL in truth.forced:
            return []
        if not before <= result["num_trades"] <= len(mine):
            faults.say(f"{bot.name}: {result['num_trades']} trades, the exchange has {before} to {len(mine)}")
        faults.expect(
            f"{bot.name}: position",
            _qty(result["position"]),
            sum((one["side"] * Decimal(one["qty"]) for one in known), Decimal(0)),
        )
        faults.near(
            f"{bot.name}: volume", result["trading_volume"], sum(float(one["qty"]) for one in known), 1e-6
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
            info = read_exchange_info(msgspec.json.encode(exchange_info(self.exchange.core, None, {})))  # type: ignore[arg-type]
            manager.add_instrument(info.instruments[0])
            compare_manager(faults, self._truth(), manager, "restored")
        finally:
            journal.close()


async def _run_real(seed: int, forks: Forks, mishaps: int, keep: Path | None, only: str) -> Result:
    with tempfile.TemporaryDirectory(prefix="hftd") as name:
        folder = Path(name)
        try:
            result = await RealSoak(seed, folder, forks, mishaps, only=only).run()
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
    only: str = "",
) -> AsyncIterator[Result]:
    """Seeds, some at a time, since they mostly wait; of those that fail journal and logs are kept in `keep`."""
    forks = Forks()
    left = iter(seeds)
    running = {
        asyncio.ensure_future(_run_real(one, forks, mishaps, keep, only))
        for one in itertools.islice(left, jobs)
    }
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for one in itertools.islice(left, len(done)):
                running.add(asyncio.ensure_future(_run_real(one, forks, mishaps, keep, only)))
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        forks.close()
