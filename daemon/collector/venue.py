"""One exchange of a collector: its symbols, shared out over connections, its REST and its clock."""

import asyncio
from collections.abc import Iterator
from typing import Final

import aiohttp
import structlog

from daemon.collector.books import Books
from daemon.collector.config import Followed
from daemon.collector.link import Link
from daemon.collector.recorder import Recorder
from daemon.collector.slot import Slot
from daemon.collector.streamed import StreamedRecorder
from daemon.collector.writer import Writer
from daemon.connector.limiter import Limiter
from daemon.connector.supervise import first_to_end
from daemon.connector.watch.offset import ClockOffset
from daemon.session.errors import EXPECTED
from daemon.session.facts import Reader
from daemon.session.rest import Rest
from daemon.warnings import Warn
from hftd.clock import monotonic_ns, running_ns, stamp_ns
from hftd.control import status

CLOCK_EVERY_S: Final = 60.0
CLOCK_AGAIN_S: Final = 10.0
LOOK_S: Final = 0.1
DOWN_S: Final = 5.0
NOT_WHOLE_S: Final = 10.0
SILENT_S: Final = 120.0

_log = structlog.get_logger("hftd.collect")


class VenueRecorder:
    """See the module.

    Args:
        followed: The exchange and its symbols.
        connections: So many sockets bring each stream.
        snapshot_every_s: How often whole books are asked for.
        http: For all connections.
        writer: Where lines go.
        seed: Of all jitter.
    """

    def __init__(
        self,
        followed: Followed,
        connections: int,
        snapshot_every_s: float,
        http: aiohttp.ClientSession,
        writer: Writer,
        seed: int,
    ) -> None:
        self.name = followed.name
        self._source = source = followed.source
        now_ns = stamp_ns()
        self.recorders = [
            (StreamedRecorder if source.is_streamed else Recorder)(
                followed.name,
                symbol,
                source.facts,
                has_counted_trades=source.trades == "counted",
                writer=writer,
                now_ns=now_ns,
            )
            for symbol in followed.symbols
        ]
        self._offset = ClockOffset()
        self._rest: Rest | None = None
        if source.rest is not None:
            limiter = Limiter(source.rest.limits)
            self._rest = Rest(http, source.rest.facts, source.rest.url, None, limiter, self._offset)
        self.slots: list[Slot] = []
        each = source.facts.streams_max // len(self.recorders[0].streams)
        for group, start in enumerate(range(0, len(self.recorders), each)):
            chosen = self.recorders[start : start + each]
            streams = {stream: one for one in chosen for stream in one.streams}
            for number in range(connections):
                letter = chr(ord("a") + number)
                name = f"{followed.name} {group + 1}{letter}"
                self.slots.append(Slot(name, source, streams, http, seed + 1000 * len(self.slots)))
        self._books = Books(
            source.facts,
            self._rest,
            self.recorders,
            source.is_streamed,
            snapshot_every_s,
            self._again,
            self._reader_of,
            seed + 1,
        )
        self.clock_failures = 0
        self._looked_ns = monotonic_ns()

    async def run(self) -> None:
        """Record until cancelled."""
        parts = [slot.run() for slot in self.slots]
        await first_to_end(*parts, self._books.run(), self._look(), self._sample_clock())

    def _again(self, one: Recorder) -> None:
        """Subscribe a symbol's depth anew, on one connection that has it."""
        link = one.to_subscribe()
        if isinstance(link, Link):
            link.again(one.streams[:1])

    def _reader_of(self, one: Recorder) -> Reader | None:
        """The reader of a connection that has it."""
        links = (slot.link for slot in self.slots)
        return next((link.reader for link in links if link is not None and one.is_heard_by(link)), None)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._looked_ns = monotonic_ns()
            now_ns = stamp_ns()
            for one in self.recorders:
                one.look(now_ns)
                one.turn_day(now_ns)
                one.flush()

    async def _sample_clock(self) -> None:
        if self._rest is None:
            await asyncio.get_running_loop().create_future()
            return
        while True:
            wait_s = CLOCK_EVERY_S
            try:
                await self._rest.sample_clock()
            except EXPECTED as error:
                self.clock_failures += 1
                wait_s = CLOCK_AGAIN_S
                _log.warning("collect_clock_failed", venue=self.name, why=str(error))
            await asyncio.sleep(wait_s)

    def progress(self) -> dict[str, int]:
        """By loop, when it last went round (monotonic ns)."""
        found = {slot.supervision.name: slot.link.progress_ns for slot in self.slots if slot.link is not None}
        return found | {self.name: self._looked_ns}

    @property
    def is_whole(self) -> bool:
        """Whether all is recorded of every symbol."""
        return all(one.is_whole for one in self.recorders)

    def minute(self) -> None:
        """Say in all quality files what came in the minute that ends."""
        now_ns = stamp_ns()
        error_ns = self._offset.error_ns(running_ns())
        offset_ns = self._offset.offset_ns if error_ns >= 0 else None
        up = sum(slot.supervision.is_up for slot in self.slots)
        for one in self.recorders:
            one.minute(now_ns, up, offset_ns, error_ns if error_ns >= 0 else None)

    # ---- what is shown

    def connections(self) -> list[status.Connection]:
        """For `hftd status`."""
        return [
            status.Connection(
                name=slot.supervision.name,
                is_up=slot.supervision.is_up,
                since_ns=slot.supervision.since_ns,
                reconnects=max(slot.supervision.attempts - 1, 0),
                messages=slot.messages,
                errors=slot.unreadable.total,
                last_error=slot.supervision.last_error,
            )
            for slot in self.slots
        ]

    def channel(self) -> status.Channel:
        """Its symbols, for `hftd status`."""
        now_ns = stamp_ns()
        markets = [
            status.Market(
                symbol=one.symbol,
                instrument=number,
                book_is_valid=one.is_whole,
                orders_are_connected=False,
                feed_age_ns=now_ns - one.newest_ns,
                rows=one.messages,
                messages=one.messages,
                gaps=one.gaps,
                resyncs=one.snapshots,
            )
            for number, one in enumerate(self.recorders)
        ]
        total = sum(one.messages for one in self.recorders)
        return status.Channel(name=self.name, markets=markets, records=total, rows=total, ring_bytes=0)

    def warnings(self) -> Iterator[Warn]:
        """What needs a person."""
        now_ns = stamp_ns()
        for slot in self.slots:
            if not slot.supervision.is_up:
                name = slot.supervision.name
                why = slot.supervision.last_error or "it has not been up yet"
                yield Warn("connection_down", f"the connection {name} is down: {why}", name, after_s=DOWN_S)
            if slot.link is not None:
                for stream, why in slot.link.refused.items():
                    yield Warn("subscription_refused", f"the exchange refuses {stream}: {why}", stream)
        for one in self.recorders:
            name = f"{self.name} {one.symbol}"
            if not one.is_whole and not one.is_paused:
                failure = self._books.failures.get(one, "")
                yield Warn(
                    "recording_gap",
                    f"{name}: something is missing since {(now_ns - one.broken_ns) / 1e9:.0f} s: {one.why}"
                    f"{f'; no book: {failure}' if failure else ''}",
                    name,
                    after_s=NOT_WHOLE_S,
                )
            silent_s = (now_ns - one.newest_ns) / 1e9
            if silent_s > SILENT_S and not one.is_paused:
                yield Warn(
                    "recording_silent",
                    f"{name}: nothing came for {silent_s:.0f} s: is the symbol right, and does it trade?",
                    name,
                )
