"""The market data session: one connection, all instruments that were asked for.

Limits: as many streams as the exchange takes on a connection, and those of `subscriptions`, `snapshots` and `liveness`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import aiohttp
import structlog
from numpy.typing import NDArray

from daemon.connector.config import ConnectorConfig
from daemon.connector.supervise import (
    Backoff,
    ConnectionBrokenError,
    Supervision,
    first_to_end,
    planned_life_s,
    supervised,
)
from daemon.connector.watch.unreadable import Unreadable
from daemon.messages import Instrument
from daemon.session.errors import WireError
from daemon.session.facts import (
    APPLY,
    GAP,
    HOLD,
    Leaving,
    MarketFacts,
    Pong,
    UnknownEvent,
)
from daemon.session.manners import Heartbeat, beat
from daemon.session.market.feeds import BEST, DIFF, Feed
from daemon.session.market.liveness import Liveness
from daemon.session.market.snapshots import Snapshots
from daemon.session.market.socket import connected, hear
from daemon.session.market.streamed import Streamed
from daemon.session.market.subscriptions import Subscriptions
from daemon.session.rest import Rest
from daemon.warnings import Warn
from hftd.clock import monotonic_ns, stamp_ns
from hftd.errors import RefusedError
from hftd.venues import reader
from hftd.venues.reader import Message
from hftd.wire import BOOK_INVALID, BOOK_VALID

NAME_BYTES: Final = 512
"""So near its ends the name of its stream stands in a message that can't be read."""
UNREAD: Final = "a change of it can't be read"
NOT_A_NUMBER: Final = "a price or quantity that is not a number"
_MS_NS: Final = 1_000_000

_log = structlog.get_logger("hftd.market")


class MarketSession:
    """Market data: rows out, whatever happens to the connection.

    Args:
        facts: How the exchange speaks.
        url: Where market data is.
        config: The connector's.
        http: For the connection.
        rest: For snapshots.
        on_rows: Given an instrument's number, rows of `event_dtype` that hold during the call, and whether they are
            of the book (else trades or user events).
        on_book_state: Given an instrument's number and BOOK_VALID or BOOK_INVALID, when that changes.
        on_off_grid: Told that prices on no tick have come: the exchange's description may be another by now.
        life_s: The exchange closes a connection after so long; ours end a little before.
        heartbeat: How the connection is kept alive; None: by pings of the protocol.
        is_streamed: The first message of a depth stream is a whole book, and no snapshot is asked for; else snapshots
            come by REST.
        seed: Of all jitter.

    Attributes:
        progress_ns: When it last looked after its connection, or began to make one (monotonic); 0 between two.
    """

    def __init__(
        self,
        facts: MarketFacts,
        url: str,
        config: ConnectorConfig,
        http: aiohttp.ClientSession,
        rest: Rest,
        *,
        life_s: float,
        on_rows: Callable[[int, NDArray[Any], bool], None],
        on_book_state: Callable[[int, int], None],
        on_off_grid: Callable[[], None] = lambda: None,
        heartbeat: Heartbeat | None = None,
        is_streamed: bool = False,
        seed: int,
    ) -> None:
        self._facts = facts
        self._heartbeat = heartbeat
        self._reader = facts.reader()
        self._read_message = self._reader.read
        self._off_grid = self._reader.off_grid
        self._url = url
        self._life_s = life_s
        self._config = config
        self._http = http
        self._on_rows = on_rows
        self._on_book_state = on_book_state
        self._on_off_grid = on_off_grid
        self._seed = seed
        self._best_is_book = facts.best_is_book
        self._feeds: dict[int, Feed] = {}
        self._streams: dict[str, Feed] = {}
        self._depths: dict[bytes, Feed] = {}  # by the name of the depth's stream
        self._subscriptions = Subscriptions(facts, config.first_message_s)
        self._last_ns = 0
        self._received_ns = 0  # the last message of any kind
        self._up_ns = 0
        self.progress_ns = 0
        self._broken_why = ""
        self._is_leaving = False
        self.messages = 0
        self.bytes = 0
        self.unreadable = Unreadable(_log)
        self.supervision = Supervision("market")
        self._snapshots = Snapshots(facts, self._reader, rest, self._on_snapshot, self.unreadable, seed)
        self._liveness = Liveness(
            facts,
            self._reader,
            rest,
            self.unreadable,
            config.stale_after_s,
            again=self._subscriptions.again,
            resync=self._resync,
            set_valid=self._set_valid,
            is_streamed=is_streamed,
            seed=seed + 2,
        )
        self._streamed = (
            Streamed(
                self._reader,
                on_rows=on_rows,
                set_valid=self._set_valid,
                sort_out=self._sort_out,
                again=self._subscriptions.again,
                seed=seed + 3,
                checksum=getattr(facts, "checksum", None),
            )
            if is_streamed
            else None
        )
        self._backoff = Backoff(0.5, 30.0, seed)

    # What the connector asks.

    def subscribe(self, instrument: Instrument) -> None:
        """Follow an instrument from now on, over all reconnects; again does nothing.

        Raises:
            RefusedError: The connection is full.
        """
        if instrument.number in self._feeds:
            return
        streams = self._facts.streams(instrument.symbol)
        if len(self._streams) + len(streams) > self._facts.streams_max:
            raise RefusedError(
                f"the connector follows {len(self._feeds)} instruments, which is all that a connection takes",
                hint="start another connector for more",
            )
        feed = Feed(instrument, streams, self._facts.sync())
        self._feeds[instrument.number] = feed
        self._streams.update(dict.fromkeys(streams, feed))
        self._depths[streams[0].encode()] = feed
        if self.supervision.is_up:
            self._subscriptions.subscribe(streams)

    def abort(self, why: str) -> None:
        """Make the connection anew."""
        self._broken_why = why

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        await supervised(
            "market", self._connect_once, self._backoff, supervision=self.supervision, on_down=self._on_down
        )

    def statistics(self) -> dict[str, int]:
        """Counters, for `hftd status`."""
        liveness = self._liveness
        found = {f"odd: {kind}": count for kind, count in self.unreadable.counts.items()}
        if self._streamed is not None and self._streamed.mismatches:
            found["checksum_mismatches"] = self._streamed.mismatches
        return found | {
            "market_bytes": self.bytes,
            "retries: market": self._backoff.count,
            "retries: snapshots": self._snapshots.retries,
            "silent_asked": liveness.asked,
            "silent_quiet": liveness.found_quiet,
            "silent_dead": liveness.found_dead,
            "silent_unverified": liveness.failures,
        }

    def warnings(self) -> Iterator[Warn]:
        """What needs a person; books whose steps have changed are warned of as such."""
        for feed in self._feeds.values():
            if feed.grid.is_off and not feed.grid.has_changed:
                symbol = feed.instrument.symbol
                yield Warn(
                    "off_grid",
                    f"{symbol}: {feed.grid.text} is on no tick of {feed.grid.tick_size}, so its book is not valid; if "
                    "the exchange has changed the tick, give the bots the new one and restart the connector",
                    symbol,
                )
        yield from self._liveness.warnings(self._feeds.values())
        for stream, why in self._subscriptions.refused.items():
            symbol = self._streams[stream].instrument.symbol
            yield Warn(
                "subscription_refused", f"{symbol}: the exchange refuses the stream {stream}: {why}", stream
            )

    def feed(self, number: int) -> Feed | None:
        """What is known of an instrument."""
        return self._feeds.get(number)

    # The connection.

    async def _connect_once(self) -> None:
        self._up_ns = 0
        self.progress_ns = monotonic_ns()
        async with connected(self._http, self._url) as socket:
            self._last_ns = self._up_ns = self.progress_ns = monotonic_ns()
            self._broken_why = ""
            self._is_leaving = False
            self.supervision.up()
            _log.info("market_connected", url=self._url, instruments=len(self._feeds))
            self._subscriptions.clear()
            self._subscriptions.subscribe(tuple(self._streams))
            parts: list[Coroutine[Any, Any, None]] = [
                hear(socket, self._on_message, self.unreadable),
                self._subscriptions.run(socket),
                self._watch(socket),
                self._snapshots.run(),
            ]
            if self._heartbeat is not None:
                parts.append(beat(self._heartbeat, socket, lambda: self._received_ns))
            await first_to_end(*parts)

    def _on_down(self, why: str) -> None:
        self.progress_ns = 0
        for feed in self._feeds.values():
            feed.lose()
            feed.hear_nothing()
            self._set_valid(feed, False, why)
        self._snapshots.clear()
        if self._streamed is not None:
            self._streamed.clear()
        self._liveness.clear()

    async def _watch(self, socket: "aiohttp.ClientWebSocketResponse[Any]") -> None:
        """Notice what does not happen: messages, first messages, diffs; and end the connection before its time."""
        stale_ns = int(self._config.stale_after_s * 1e9)
        life_ns = int(planned_life_s(self._life_s, self._seed + self.supervision.attempts) * 1e9)
        step_s = min(1.0, self._config.stale_after_s / 4, self._config.first_message_s / 4)
        pinged = False
        while True:
            await asyncio.sleep(step_s)
            self.progress_ns = now_ns = monotonic_ns()
            if self._broken_why:
                raise ConnectionBrokenError(self._broken_why)
            if self._is_leaving or now_ns - self._up_ns >= life_ns:
                return
            silent_ns = now_ns - self._last_ns
            if self._feeds and silent_ns >= stale_ns and self._last_ns != self._up_ns:
                raise ConnectionBrokenError(f"the feed is stale: nothing came for {silent_ns / 1e9:.1f} s")
            if silent_ns >= stale_ns // 2 and not pinged and self._heartbeat is None:
                await socket.ping()
            pinged = silent_ns >= stale_ns // 2
            self._check_first_messages(now_ns)
            self._check_depth(now_ns, stale_ns)
            self._liveness.look(self._feeds.values(), now_ns)

    def _check_first_messages(self, now_ns: int) -> None:
        late = self._subscriptions.late(now_ns)
        if not late:
            return
        if self._last_ns == self._up_ns:
            raise ConnectionBrokenError(
                f"{len(late)} streams were subscribed, and none says anything: is the route right? ({self._url})"
            )
        # A quiet market is silent too: this alone does not end the connection.
        for stream in late:
            if self.unreadable.count(f"silent {self._facts.part_of(stream)}"):
                _log.warning("stream_without_data", stream=stream)
        self._subscriptions.again(late)

    def _check_depth(self, now_ns: int, stale_ns: int) -> None:
        """Best prices that are newer than the book, and no diff for long: the depth stream has died alone."""
        for feed in self._feeds.values():
            if feed.ahead_since_ns and now_ns - feed.ahead_since_ns > stale_ns:
                self.unreadable.count("dead depth streams")
                self._subscriptions.again(feed.streams[:1])
                self._resync(feed, "the depth stream has gone silent")
                feed.ahead_since_ns = 0

    # Messages.

    def _on_message(self, message: bytes, local_ns: int) -> None:
        if self._heartbeat is not None:
            self._received_ns = monotonic_ns()
        self.messages += 1
        self.bytes += len(message)
        read = self._read_message(message, local_ns)
        if read is None:
            self._on_other(message)
            return
        feed = self._streams.get(read.stream)
        if feed is None:
            self.unreadable.note("not subscribed", read.stream, message)
            return
        self._last_ns = monotonic_ns()
        self._subscriptions.heard(read.stream)
        feed.messages += 1
        kind, rows = read.kind, read.rows
        done = True
        if kind == reader.BEST:
            done = self._on_best(feed, read, message)
        elif kind == reader.TRADES:
            done = self._on_trades(feed, read)
        elif rows is None:
            self._lose_unread(feed, NOT_A_NUMBER, message)
        elif self._streamed is not None:
            feed.depth_ns = self._last_ns
            self._streamed.on_message(feed, read, rows, message)
        else:
            self._on_depth(feed, read, rows)
        if not done:
            self.unreadable.note("numbers", NOT_A_NUMBER, message)

    def _on_other(self, message: bytes) -> None:
        try:
            read = self._facts.read_other(message)
        except WireError as error:
            if not self._is_lost(message, str(error)):
                self.unreadable.note("unreadable", str(error), message)
            return
        if isinstance(read, Pong):
            return
        if isinstance(read, Leaving):
            self._is_leaving = True
            return
        if isinstance(read, UnknownEvent):
            if self._is_lost(message, f"the event {read.name}"):
                return
            if self.unreadable.count(f"event {read.name}"):
                _log.warning("market_event_unknown", event_name=read.name, message=message[:300])
            return
        self._subscriptions.answered(read.id, read.problem)
        if read.problem:
            self.unreadable.note("refused", f"the exchange refused a subscription: {read.problem}", message)

    def _is_lost(self, message: bytes, why: str) -> bool:
        """Whether a message that can't be read is of a depth stream; then that book is not valid.

        The name of the stream stands near the one end or the other. A message that does not say whose it is may be any
        book's: the next change of that one does not follow.
        """
        for word in (message[:NAME_BYTES] + b'"' + message[-NAME_BYTES:]).split(b'"'):
            feed = self._depths.get(word)
            if feed is not None:
                feed.messages += 1
                self._lose_unread(feed, why, message)
                return True
        return False

    def _lose_unread(self, feed: Feed, why: str, message: bytes) -> None:
        """What a message would have changed of a book is not known."""
        feed.depth_ns = monotonic_ns()
        self.unreadable.note("depth", f"{feed.instrument.symbol}: {why}", message)
        if self._streamed is not None:
            self._streamed.lose(feed, UNREAD)
        else:
            self._resync(feed, UNREAD)

    def _has_off(self, feed: Feed, rows: NDArray[Any]) -> bool:
        """Whether the rows of the message that was read last have prices on no tick."""
        return self._off_grid(len(rows), feed.grid.per_price) > 0

    def _on_depth(self, feed: Feed, read: Message, rows: NDArray[Any]) -> None:
        feed.ahead_since_ns = 0
        feed.depth_ns = self._last_ns
        action = feed.sync.diff(read.last_id, read.previous_id)
        if action == APPLY:
            if self._has_off(feed, rows):
                rows = self._sort_out(feed, rows, feed.grid.on_levels)
            self._on_rows(feed.number, rows, True)
            if not feed.is_valid:
                # The first one after a snapshot; or the book was doubted, and nothing is missing.
                feed.held.clear()
                self._set_valid(feed, True, "")
        elif action == HOLD:
            feed.hold(DIFF, read.last_id, read.previous_id, rows)
            self._want_snapshot(feed)
        elif action == GAP:
            feed.gaps += 1
            feed.hold(DIFF, read.last_id, read.previous_id, rows)
            self._set_valid(feed, False, f"a gap before update {read.last_id}")
            self._want_snapshot(feed)

    def _on_best(self, feed: Feed, read: Message, message: bytes) -> bool:
        rows = read.rows
        if rows is None:
            return False
        if not len(rows):
            # No message had a time yet, and these have none. Others come with the next change.
            return True
        feed.best_ns = self._last_ns
        feed.best_id, feed.best_message = read.last_id, message
        if not feed.ahead_since_ns and feed.sync.is_joined and read.last_id > feed.sync.last_id:
            feed.ahead_since_ns = self._last_ns
        if self._best_is_book and not feed.is_valid:
            feed.hold(BEST, read.last_id, -1, rows)
            return True
        if self._has_off(feed, rows) or feed.grid.best_is_off:
            rows = self._sort_out(feed, rows, feed.grid.on_best)
        self._on_rows(feed.number, rows, self._best_is_book)
        return True

    def _on_trades(self, feed: Feed, read: Message) -> bool:
        feed.trade_ns = self._last_ns
        if read.exch_ns:
            feed.trade_ms = read.exch_ns // _MS_NS
        for _ in range(read.odd_count):
            self.unreadable.count(f"trades {read.odd[:40]}")
        if read.rows is None:
            return False
        if len(read.rows):
            self._on_rows(feed.number, read.rows, False)
        return not read.bad_count

    # Books.

    def _set_valid(self, feed: Feed, is_valid: bool, why: str) -> None:
        if feed.is_valid == is_valid:
            return
        feed.is_valid = is_valid
        feed.why = why
        feed.invalid_ns = 0 if is_valid else monotonic_ns()
        if is_valid:
            feed.resyncs += 1
        self._tell_state(feed, why)

    def _tell_state(self, feed: Feed, why: str) -> None:
        """What the book is worth: it must be synchronised, and on the instrument's ticks."""
        is_valid = feed.is_valid and not feed.grid.is_off
        symbol = feed.instrument.symbol
        if is_valid:
            _log.info("book_valid", symbol=symbol)
        else:
            _log.warning("book_invalid", symbol=symbol, why=why or f"{feed.grid.text} is on no tick")
        self._on_book_state(feed.number, BOOK_VALID if is_valid else BOOK_INVALID)

    def _sort_out(
        self, feed: Feed, rows: NDArray[Any], keep: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> NDArray[Any]:
        """Leave out rows whose price is on no tick."""
        was_off = feed.grid.is_off
        rows = keep(rows)
        if feed.grid.is_off != was_off:
            self._tell_state(feed, "")
            self._on_off_grid()
        return rows

    def hold(self, number: int, why: str) -> None:
        """An instrument's steps are others than those that it is followed with: its book is not valid any more."""
        feed = self._feeds.get(number)
        if feed is not None and not feed.grid.has_changed:
            feed.grid.has_changed = True
            self._tell_state(feed, why)

    def _want_snapshot(self, feed: Feed) -> None:
        if self._streamed is not None:
            self._streamed.want(feed)
        elif not feed.wants_snapshot:
            feed.wants_snapshot = True
            self._snapshots.ask(feed)

    def _resync(self, feed: Feed, why: str) -> None:
        feed.lose()
        self._set_valid(feed, False, why)
        self._want_snapshot(feed)

    def _on_snapshot(self, feed: Feed, snapshot: Message) -> bool:
        """A snapshot came; False if another one is needed."""
        local_ns = stamp_ns()
        rows = snapshot.rows
        if rows is None:
            return False
        if not feed.sync.snapshot(snapshot.last_id):
            feed.stale_snapshots += 1
            return False
        rows["local_ts"] = local_ns
        feed.wants_snapshot = False
        if self._has_off(feed, rows) or feed.grid.is_off:
            rows = self._sort_out(feed, rows, feed.grid.on_snapshot)
        self._on_rows(feed.number, rows, True)
        held, feed.held = feed.held, deque()
        for kind, last_id, previous_id, kept in held:
            # It is seen now, and local times never go back.
            kept["local_ts"] = local_ns
            self._replay(feed, snapshot.last_id, kind, last_id, previous_id, kept)
        return True

    def _replay(
        self, feed: Feed, snapshot_id: int, kind: int, last_id: int, previous_id: int, rows: NDArray[Any]
    ) -> None:
        """Take what was kept while the snapshot was on its way, as if it came now."""
        if kind == BEST:
            if feed.wants_snapshot:
                feed.hold(BEST, last_id, -1, rows)
            elif last_id > snapshot_id:
                self._on_rows(feed.number, self._sort_out(feed, rows, feed.grid.on_best), True)
            return
        was_joined = feed.sync.is_joined
        action = feed.sync.diff(last_id, previous_id)
        if action == APPLY:
            self._on_rows(feed.number, self._sort_out(feed, rows, feed.grid.on_levels), True)
            if not was_joined:
                self._set_valid(feed, True, "")
        elif action in (HOLD, GAP):
            feed.gaps += action == GAP
            feed.hold(DIFF, last_id, previous_id, rows)
            self._set_valid(feed, False, "a gap in what was kept")
            self._want_snapshot(feed)
