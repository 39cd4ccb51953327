"""The replay daemon: recorded days, played into channels.

Two threads: this one, on asyncio, lets bots in and out, handles signals and shows how far the run is; the other runs
the compiled loop, slice after slice. A lock keeps them apart: this one raises the loop's `attention`, and has the
state to itself as soon as the slice is over.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import uvloop
from msgspec.structs import replace

from hftd.clock import monotonic_ns
from hftd.control.notify import READY, STOPPING, how, notify
from hftd.control.server import ChannelServer
from hftd.errors import HftdError
from hftd.progress import Progress
from sim.archive.played import market_of, with_models
from sim.config import ReplayConfig
from sim.engine.lives import MAX_LIFE_ROWS
from sim.model.layout import MAX_ANSWERS
from sim.replay.journal import save_life
from sim.replay.kernel import ALL_OVER, BOT_BROKEN, BOT_FLOODED, DATA_ERROR
from sim.replay.stage import BotRun, Stage
from sim.replay.summary import BotSummary, ReplaySummary
from sim.run import assets_of

SLICE_NS = 50_000_000
"""How long the loop runs before this thread has a look."""

LEAVE_SECONDS = 30.0
"""How long bots that were told that the data is over may take to leave."""

_HELD_UP_NS = 2_000_000_000
"""A bot that holds the run up for longer than this is named."""


class Replay:
    """One run.

    Args:
        stage: What is played, and the bots.
        bots: The names of the bots to wait for; empty for the first that comes.
        progress: Whoever watches.
    """

    def __init__(self, stage: Stage, bots: list[str], progress: Progress) -> None:
        self.stage = stage
        self._wanted = set(bots)
        self._progress = progress
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        stage.on_change = self._changed.set

    def stop(self) -> None:
        """End the run early."""
        notify(STOPPING)
        self._stopping.set()
        self._changed.set()

    async def run(self, servers: list[ChannelServer]) -> str:
        """Serve the channels until the data is over or nobody listens. Returns how it ended."""
        async with contextlib.AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server)
            self._say_for_whom()
            while not self._may_start():
                if self._stopping.is_set():
                    return "stopped"
                self._changed.clear()
                await self._changed.wait()
            words = f"playing for {', '.join(bot.name for bot in self.stage.bots())}"
            self._progress.say(words)
            notify(how(words))
            try:
                return await self._play(servers)
            except HftdError as error:
                for server in servers:
                    server.close(f"the daemon failed: {error.what}")
                raise

    def _say_for_whom(self) -> None:
        channels = ", ".join(self.stage.channels)
        if self._wanted:
            who = f"the bot{'s' if len(self._wanted) > 1 else ''} {', '.join(sorted(self._wanted))}"
        else:
            who = "a bot"
        words = f"channel{'s' if len(self.stage.channels) > 1 else ''} {channels}: waiting for {who}"
        self._progress.say(words)
        notify(READY, how(words))

    def _may_start(self) -> bool:
        there = {bot.name for bot in self.stage.bots()}
        return self._wanted <= there if self._wanted else bool(there)

    async def _play(self, servers: list[ChannelServer]) -> str:
        loop = asyncio.get_running_loop()
        self.stage.started_ns = monotonic_ns()
        told_ns = held_since_ns = 0
        while not self._stopping.is_set():
            code = await loop.run_in_executor(None, self.stage.play, SLICE_NS)
            self.stage.finished_ns = monotonic_ns()
            self._progress.update(self.stage.rows, self.stage.rows_total(), self.stage.now_ns)
            if code == DATA_ERROR:
                self.stage.check()
                raise HftdError("the run stopped for a reason that was not told")
            if code == BOT_BROKEN:
                self._drop(
                    servers, self.stage.broken_bot, "it wrote into its rings what the protocol does not know"
                )
            if code == BOT_FLOODED:
                self._drop(
                    servers,
                    self.stage.broken_bot,
                    f"more than {MAX_ANSWERS} answers to its orders are on their way",
                )
            if not self.stage.bots():
                return "no bots left" if not self.stage.is_over else "end of data"
            if code == ALL_OVER:
                told_ns = told_ns or monotonic_ns()
                if monotonic_ns() - told_ns > LEAVE_SECONDS * 1e9:
                    return "end of data"
                # They print their results and leave; meanwhile one may wait once more.
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.005)
            held_since_ns = self._note_hold_up(held_since_ns)
        return "stopped"

    def _note_hold_up(self, since_ns: int) -> int:
        """Say once which bot the run waits for."""
        if not self.stage.held_up_by:
            return 0
        now_ns = monotonic_ns()
        if since_ns > 0 and now_ns - since_ns > _HELD_UP_NS:
            self._progress.say(f"waiting for the bot {self.stage.held_up_by} to go on")
            return -1
        return since_ns or now_ns

    def _drop(self, servers: list[ChannelServer], name: str, reason: str) -> None:
        self._progress.say(f"the bot {name} is sent away: {reason}")
        for server in servers:
            server.drop(name, reason)


def run(
    config: ReplayConfig,
    base: Path,
    dates: list[str],
    speed: float | None,
    progress: Progress,
    life: Path | None = None,
    life_rows: int = MAX_LIFE_ROWS,
) -> ReplaySummary:
    """Play days into channels, in lockstep with the bots or at a speed.

    Args:
        config: What is played where.
        base: The configuration's folder.
        dates: Days as `YYYYMMDD`.
        speed: How many times as fast as it was; None for lockstep.
        progress: Whoever watches.
        life: A run's file for what happens to each order of the bots, see `hftd.hbt.life`.
        life_rows: How many rows of it are kept for each asset of a bot.

    Raises:
        UsageError: That file can't be written.
        DataError: A file is missing, broken or out of order.
        ChannelError: A channel's name is taken.
    """
    assets = assets_of(config, base, dates)
    progress.say(f"loading {len(assets)} instrument{'s' if len(assets) > 1 else ''} of {', '.join(dates)}")
    channels = [channel.name for channel in config.channels]
    stage = Stage(
        assets,
        channels,
        secrets.randbits(62) + 1,
        os.getpid(),
        speed or 0.0,
        life_rows if life is not None else 0,
    )
    why_not = "the replay followed the wall clock (--speed)" if speed else ""
    market = with_models(market_of(config, base, dates), config, base)
    stage.market = replace(market, why_not=why_not)
    try:
        stage.start()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            ended = runner.run(_serve(stage, config, progress))
        if life is not None:
            save_life(life, stage, dates, ended)
        return _summary(stage, dates, ended)
    finally:
        stage.close()


async def _serve(stage: Stage, config: ReplayConfig, progress: Progress) -> str:
    replay = Replay(stage, config.replay.bots, progress)
    servers = [ChannelServer(name, stage.handler(name)) for name in stage.channels]
    with _signals_to(replay):
        return await replay.run(servers)


@contextlib.contextmanager
def _signals_to(replay: Replay) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, replay.stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _summary(stage: Stage, dates: list[str], ended: str) -> ReplaySummary:
    return ReplaySummary(
        dates=dates,
        channels=stage.channels,
        rows=stage.rows,
        seconds=max(stage.finished_ns - stage.started_ns, 0) / 1e9,
        sim_seconds=stage.sim_seconds,
        ended=ended,
        bots=[_bot_summary(bot) for bot in stage.all_bots],
        warnings=stage.warnings,
    )


def _bot_summary(bot: BotRun) -> BotSummary:
    return BotSummary(name=bot.name, orders=bot.orders, fills=bot.fills, left=bot.left or "still there")
