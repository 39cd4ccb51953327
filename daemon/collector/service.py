"""The collector: raw messages of any number of exchanges and symbols, to disk, and what is missing of them.

::

    sockets ── Link ──> Recorder (each line once, what is whole) ──> Writer (a thread: frames, files)
    REST    ── Books ──>

All but the writer runs in one thread on one event loop. One collector takes another's place without a hole: it records
in parts of its own until all symbols are whole, then ends the other one, and has its name from then on.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog
import uvloop

from daemon import log_writer
from daemon.collector.config import CollectConfig, Followed
from daemon.collector.files import day_of, day_text
from daemon.collector.recorder import Recorder
from daemon.collector.venue import VenueRecorder
from daemon.collector.writer import Key, Writer
from daemon.connector.watch.mishaps import Mishaps
from daemon.connector.watch.watchdog import Watchdog
from daemon.warnings import LOOK_EVERY_S, Warn, Warnings
from hftd import wire
from hftd.channel.memory import BotPage
from hftd.clock import monotonic_ns, running_ns, stamp_ns
from hftd.control import recent, status
from hftd.control.asking import Reply, ask
from hftd.control.notify import READY, STOPPING, how, more_time, notify
from hftd.control.server import ChannelServer, Grant
from hftd.errors import ChannelError, HftdError, RefusedError
from hftd.version import __version__

MINUTE_S: Final = 60.0
TAKE_OVER_S: Final = 60.0
"""So long the new one waits for its symbols, and then for the end of the old one."""
FIRST_LINE_S: Final = 30.0
"""Whoever waits for it to be ready waits no longer for the first line: an exchange may be quiet, or away."""
MORE_TIME_S: Final = 60.0
"""What systemd is to wait for beyond each look until it is ready."""
CONVERT_AFTER_S: Final = 30.0
"""So long after a day's end the files of it are closed everywhere."""

Convert = Callable[[str, str, int], Awaitable[str]]
"""Makes the archive of an exchange's symbol and day; returns what went wrong, empty if nothing did."""

_log = structlog.get_logger("hftd.collect")


class Collector:
    """See the module.

    Args:
        config: How.
        followed: The exchanges.
        folder: Where files go.
        replaces: Whether it takes the place of the collector that has its name.
        convert: Makes archives of days that are over; None: nobody does.
        seed: Of all jitter.
        directory: The runtime directory, if it is another than the usual one.
    """

    def __init__(
        self,
        config: CollectConfig,
        followed: list[Followed],
        folder: Path,
        *,
        replaces: bool = False,
        convert: Convert | None = None,
        seed: int,
        directory: Path | None = None,
    ) -> None:
        self.config = config
        self.name = config.name
        self._followed = followed
        self._replaces = replaces
        self._convert = convert
        self._seed = seed
        self._directory = directory
        self._stopping = asyncio.Event()
        self._is_served = asyncio.Event()
        self._started_ns = running_ns()
        self._days: asyncio.Queue[Key] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        floor = int(config.disk_floor_gb * 1e9)
        self.writer = Writer(folder, config.compression, config.level, config.frame_s, floor, self._on_closed)
        self.venues: list[VenueRecorder] = []
        self.mishaps = Mishaps(self.stop)
        self._failed_days: dict[str, str] = {}
        self.warnings = Warnings(self._warnings)
        self.watchdog = Watchdog(self._progress, self._line)
        self._is_ready = False
        self.server: ChannelServer | None = None

    def stop(self) -> None:
        """End in order."""
        self._stopping.set()

    async def run(self) -> None:
        """Record until `stop`.

        Raises:
            HftdError: It can't begin: the folder can't be written, or another one has its name.
        """
        if not self._replaces:
            await self._serve()
        try:
            self.writer.start()
        except OSError as error:
            self._close_server()
            raise HftdError(
                f"the folder can't be written: {error.strerror}",
                where=str(error.filename or self.config.folder),
            ) from None
        try:
            await self._record()
        finally:
            await self._loop.run_in_executor(None, self.writer.end)
            self._close_server()
        if self.mishaps.is_too_much:
            raise HftdError("its callbacks fail again and again", hint="its log says why")

    async def _serve(self) -> None:
        server = ChannelServer(self.name, self, self._directory)
        await server.start()
        self.server = server
        self._is_served.set()

    def _close_server(self) -> None:
        if self.server is not None:
            self.server.close("the collector ends")

    async def _record(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            for number, one in enumerate(self._followed):
                seed = self._seed + 100_000 * number
                every_s, connections = self.config.snapshot_every_s, self.config.connections
                self.venues.append(VenueRecorder(one, connections, every_s, http, self.writer, seed))
            _log.info("collecting", name=self.name, venues=[one.name for one in self.venues])
            parts: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(run)
                for run in (
                    *(venue.run() for venue in self.venues),
                    self._look(),
                    self._minutes(),
                    self._make_archives(),
                )
            ]
            if self._replaces:
                parts.append(asyncio.ensure_future(self._take_over()))
            stopping = asyncio.ensure_future(self._stopping.wait())
            why = "it was stopped"
            try:
                done, _ = await asyncio.wait([*parts, stopping], return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopping}:
                    why = f"it failed: {task.exception()}"
                    task.result()
                    raise HftdError("a part of the collector ended unexpectedly")
            finally:
                # What is missing from here on is said before anything else.
                notify(STOPPING, how(why))
                now_ns = stamp_ns()
                for venue in self.venues:
                    for recorder in venue.recorders:
                        recorder.end(now_ns, why)
                for task in (*parts, stopping):
                    task.cancel()
                await asyncio.gather(*parts, stopping, return_exceptions=True)

    async def _look(self) -> None:
        """Whether lines can be written, and what needs a person."""
        was_paused = False
        while True:
            trouble = self.writer.trouble
            if trouble and not was_paused:
                now_ns = stamp_ns()
                for recorder in self._recorders():
                    recorder.pause(trouble, now_ns)
            elif was_paused and not trouble:
                for recorder in self._recorders():
                    recorder.resume()
            was_paused = bool(trouble)
            self.warnings.look(monotonic_ns())
            self._tell()
            await asyncio.sleep(LOOK_EVERY_S / 4)

    def _tell(self) -> None:
        """Tell systemd: that it is ready once it has its name and writes lines, and from then on that it lives."""
        if self._is_ready:
            self.watchdog.look()
        elif self._is_served.is_set() and (
            self.writer.written or running_ns() - self._started_ns > FIRST_LINE_S * 1e9
        ):
            self._is_ready = True
            notify(READY, how(self._line()))
        else:
            notify(more_time(MORE_TIME_S), how("waits for the first line of an exchange"))

    def _progress(self) -> dict[str, int]:
        found = {"writer": self.writer.progress_ns}
        for venue in self.venues:
            found |= venue.progress()
        return found

    def _line(self) -> str:
        recorders = list(self._recorders())
        parts = [f"{sum(one.is_whole for one in recorders)} of {len(recorders)} symbols whole"]
        if self.writer.trouble:
            parts.append(f"NOTHING IS RECORDED: {self.writer.trouble}")
        if told := self.warnings.told:
            parts.append(told)
        return ", ".join(parts)

    def _recorders(self) -> Iterator[Recorder]:
        return (recorder for venue in self.venues for recorder in venue.recorders)

    async def _minutes(self) -> None:
        while True:
            await asyncio.sleep(min(MINUTE_S, self.config.frame_s))
            for venue in self.venues:
                venue.minute()

    # ---- another one

    async def _take_over(self) -> None:
        """Take the place of the collector that has the name, once all is recorded here."""
        deadline_ns = monotonic_ns() + int(TAKE_OVER_S * 1e9)
        while monotonic_ns() < deadline_ns:
            await asyncio.sleep(LOOK_EVERY_S / 4)
            if self.venues and all(venue.is_whole for venue in self.venues):
                break
        pid = await self._loop.run_in_executor(None, self._other_pid)
        if pid not in (0, os.getpid()):
            _log.info("collect_takes_over", pid=pid)
            os.kill(pid, signal.SIGTERM)
        deadline_ns = monotonic_ns() + int(TAKE_OVER_S * 1e9)
        while True:
            try:
                await self._serve()
                break
            except ChannelError:
                if monotonic_ns() > deadline_ns:
                    raise
                await asyncio.sleep(0.2)
        await asyncio.get_running_loop().create_future()

    def _other_pid(self) -> int:
        """The process of the collector that has the name; 0 without one.

        Raises:
            ChannelError: What has the name is no collector.
        """
        try:
            deadline_ns = monotonic_ns() + 5_000_000_000
            _, found = ask(
                self.name, wire.ASK_STATUS, status.DaemonStatus, deadline_ns, directory=self._directory
            )
        except ChannelError:
            return 0
        if found.kind != status.COLLECTOR:
            raise ChannelError(
                f"{self.name!r} is no collector but a {found.kind}", hint="give this one a name"
            )
        return found.pid

    # ---- days

    def _on_closed(self, key: Key, _path: Path) -> None:
        """In the writer's thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._days.put_nowait, key)

    async def _make_archives(self) -> None:
        """One after the other, once a day is over."""
        while True:
            key = await self._days.get()
            if self._convert is None or key.day >= day_of(stamp_ns()):
                continue
            # The one whose place it takes does that, if it still can.
            await self._is_served.wait()
            await asyncio.sleep(max(0.0, (key.day + 1) * 86_400 + CONVERT_AFTER_S - stamp_ns() / 1e9))
            name, day = f"{key.venue} {key.symbol}", day_text(key.day)
            try:
                problem = await self._convert(key.venue, key.symbol, key.day)
            except Exception as error:
                # Whatever it is: what is recorded goes on.
                problem = f"{type(error).__name__}: {error}"
            if problem:
                self._failed_days[f"{name} {day}"] = problem
                _log.error("collect_not_converted", symbol=name, day=day, why=problem)
            else:
                _log.info("collect_converted", symbol=name, day=day)

    # ---- what is shown

    def _warnings(self) -> Iterator[Warn]:
        for venue in self.venues:
            yield from venue.warnings()
        yield from self.mishaps.warnings()
        yield from self.watchdog.warnings()
        if trouble := log_writer.trouble():
            yield Warn("log_dropped", trouble)
        if trouble := self.writer.trouble:
            yield Warn("recording_paused", f"nothing is recorded: {trouble}; it goes on by itself then")
        floor = self.config.disk_floor_gb * 1e9
        if 0 <= self.writer.free < 2 * floor and not self.writer.trouble:
            yield Warn(
                "disk_low",
                f"{self.writer.free / 1e9:,.1f} GB are left on the disk; at {self.config.disk_floor_gb:g} GB nothing "
                "more is recorded: make room",
            )
        for name, problem in self._failed_days.items():
            yield Warn("day_not_converted", f"{name} was not made an archive: {problem}", name)

    def status(self) -> status.DaemonStatus:
        """All that it knows of itself."""
        alerts = self.warnings.look(monotonic_ns())
        recorders = list(self._recorders())
        return status.DaemonStatus(
            kind=status.COLLECTOR,
            name=self.name,
            pid=os.getpid(),
            version=__version__,
            now_ns=running_ns(),
            started_ns=self._started_ns,
            channels=[venue.channel() for venue in self.venues],
            connections=[one for venue in self.venues for one in venue.connections()],
            counters={
                "written_bytes": self.writer.written,
                "waiting_bytes": self.writer.waiting,
                "frames": self.writer.frames,
                "again": sum(one.again for one in recorders),
                "missed_trades": sum(one.missed_trades for one in recorders),
                "clock_failures": sum(venue.clock_failures for venue in self.venues),
                "callbacks_failed": self.mishaps.count,
                "log_dropped": log_writer.dropped(),
            },
            warnings=[one.text for one in alerts],
            alerts=alerts,
            events=recent.events(),
        )

    def answer(self, ask: wire.Ask) -> Reply:
        """A tool asks."""
        if ask.what != wire.ASK_STATUS:
            raise RefusedError("a collector has no market and no orders", hint="`hftd status` shows it")
        return Reply(self.status())

    def attach(self, hello: wire.Hello, bot_page: BotPage) -> Grant:
        """Bots have nothing to do here."""
        del hello, bot_page
        raise RefusedError(f"{self.name!r} is a collector: no bot can attach", hint="start a connector")

    def detach(self, bot: str, reason: str) -> None:
        """There are none."""


def run(collector_of: Callable[[], Collector]) -> None:
    """Run a collector until SIGTERM or SIGINT.

    Args:
        collector_of: Makes it; it is called in the event loop.

    Raises:
        HftdError: It could not start, or could not go on.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(collector_of))


async def _run(collector_of: Callable[[], Collector]) -> None:
    collector = collector_of()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(collector.mishaps.on_loop_error)
    signals = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        signals = ()
    for number in signals:
        loop.add_signal_handler(number, collector.stop)
    try:
        await collector.run()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
