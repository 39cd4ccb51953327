"""The market data session of Binance USD-M Futures: one connection, all instruments that were asked for.

Limits: `STREAMS_MAX` streams, one snapshot at a time, and those of :mod:`~daemon.venues.binancefutures.subscriptions`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import aiohttp
import structlog
from numpy.typing import NDArray

from daemon.connector.oddities import Oddities
from daemon.connector.rows import RowWriter
from daemon.connector.supervise import (
    Backoff,
    ConnectionBrokenError,
    Supervision,
    first_to_end,
    planned_life_s,
    supervised,
)
from daemon.orders.messages import Instrument
from daemon.venues.binancefutures import book, wire
from daemon.venues.binancefutures.config import BinanceFuturesConfig
from daemon.venues.binancefutures.feeds import BEST, DIFF, Feed
from daemon.venues.binancefutures.instruments import WireError
from daemon.venues.binancefutures.rest import Rest
from daemon.venues.binancefutures.snapshots import Snapshots
from daemon.venues.binancefutures.subscriptions import Subscriptions
from daemon.warnings import Warn
from hftd.channel.wire import BOOK_INVALID, BOOK_VALID
from hftd.clock import monotonic_ns, stamp_ns
from hftd.errors import RefusedError
from hftd.types import BUY_EVENT, SELL_EVENT

STREAMS_MAX: Final = 1024
"""Of one connection."""
MESSAGE_MAX_BYTES: Final = 8 << 20
_log = structlog.get_logger("hftd.binancefutures.market")


class MarketSession:
    """Market data: rows out, whatever happens to the connection.

    Args:
        config: The connector's.
        http: For the connection.
        rest: For snapshots.
        on_rows: Given an instrument's number, rows of `event_dtype` that hold during the call, and whether they are
            of the book (else trades or user events).
        on_book_state: Given an instrument's number and BOOK_VALID or BOOK_INVALID, when that changes.
        on_off_grid: Told that prices on no tick have come: the exchange's description may be another by now.
        seed: Of all jitter.
    """

    def __init__(
        self,
        config: BinanceFuturesConfig,
        http: aiohttp.ClientSession,
        rest: Rest,
        *,
        on_rows: Callable[[int, NDArray[Any], bool], None],
        on_book_state: Callable[[int, int], None],
        on_off_grid: Callable[[], None] = lambda: None,
        seed: int,
    ) -> None:
        self._config = config
        self._http = http
        self._on_rows = on_rows
        self._on_book_state = on_book_state
        self._on_off_grid = on_off_grid
        self._seed = seed
        self._kinds = wire.TO_BE_FUSED if config.best_prices == "fused" else wire.AS_EVENTS
        self._best_is_book = config.best_prices == "fused"
        self._writer = RowWriter()
        self._feeds: dict[int, Feed] = {}
        self._streams: dict[str, Feed] = {}
        self._subscriptions = Subscriptions(config.first_message_s)
        self._last_ns = 0
        self._up_ns = 0
        self._broken_why = ""
        self.messages = 0
        self.bytes = 0
        self.oddities = Oddities(_log)
        self.supervision = Supervision("market")
        self._snapshots = Snapshots(rest, self._on_snapshot, self.oddities, seed)

    # What the connector asks.

    def subscribe(self, instrument: Instrument) -> None:
        """Follow an instrument from now on, over all reconnects; again does nothing.

        Raises:
            RefusedError: The connection is full.
        """
        if instrument.number in self._feeds:
            return
        streams = wire.stream_names(instrument.symbol, self._config.depth, self._config.best_prices != "none")
        if len(self._streams) + len(streams) > STREAMS_MAX:
            raise RefusedError(
                f"the connector follows {len(self._feeds)} instruments, which is all that a connection takes",
                hint="start another connector for more",
            )
        feed = Feed(instrument, streams)
        self._feeds[instrument.number] = feed
        self._streams.update(dict.fromkeys(streams, feed))
        if self.supervision.is_up:
            self._subscriptions.subscribe(streams)

    def abort(self, why: str) -> None:
        """Make the connection anew."""
        self._broken_why = why

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        backoff = Backoff(0.5, 30.0, self._seed)
        await supervised(
            "market", self._connect_once, backoff, supervision=self.supervision, on_down=self._on_down
        )

    def warnings(self) -> Iterator[Warn]:
        """Books that hold prices on no tick; those whose steps have changed are warned of as such."""
        for feed in self._feeds.values():
            if feed.grid.is_off and not feed.grid.has_changed:
                symbol = feed.instrument.symbol
                yield Warn(
                    "off_grid",
                    f"{symbol}: {feed.grid.text} is on no tick of {feed.grid.tick_size}, so its book is not valid; if "
                    "the exchange has changed the tick, give the bots the new one and restart the connector",
                    symbol,
                )

    def statistics(self) -> dict[str, Any]:
        """Counters, for `hftd status`."""
        return {"messages": self.messages, "bytes": self.bytes, "odd": dict(self.oddities.counts)}

    def feed(self, number: int) -> Feed | None:
        """What is known of an instrument."""
        return self._feeds.get(number)

    # The connection.

    async def _connect_once(self) -> None:
        self._up_ns = 0
        async with self._http.ws_connect(
            self._config.market_url(),
            autoping=False,
            autoclose=True,
            max_msg_size=MESSAGE_MAX_BYTES,
            decode_text=False,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),  # pyright: ignore[reportCallIssue]
        ) as socket:
            self._last_ns = self._up_ns = monotonic_ns()
            self._broken_why = ""
            self.supervision.up()
            _log.info("connected", url=self._config.market_url(), instruments=len(self._feeds))
            self._subscriptions.clear()
            self._subscriptions.subscribe(tuple(self._streams))
            parts: list[Coroutine[Any, Any, None]] = [
                self._read(socket),
                self._subscriptions.run(socket),
                self._watch(socket),
                self._snapshots.run(),
            ]
            await first_to_end(*parts)

    def _on_down(self, why: str) -> None:
        for feed in self._feeds.values():
            feed.lose()
            self._set_valid(feed, False, why)
        self._snapshots.clear()

    async def _read(self, socket: "aiohttp.ClientWebSocketResponse[Any]") -> None:
        receive, text = socket.receive, aiohttp.WSMsgType.TEXT
        while True:
            message = await receive()
            if message.type is text:
                self._on_message(message.data, stamp_ns())
            elif message.type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.oddities.note("binary", "a binary frame", message.data)
            elif message.type is not aiohttp.WSMsgType.PONG:
                reason = f"{message.type.name.lower()} {message.data or ''} {message.extra or ''}".strip()
                raise ConnectionBrokenError(f"the exchange ended the connection ({reason})")

    async def _watch(self, socket: "aiohttp.ClientWebSocketResponse[Any]") -> None:
        """Notice what does not happen: messages, first messages, diffs; and end the connection before its time."""
        stale_ns = int(self._config.stale_after_s * 1e9)
        life_ns = int(
            planned_life_s(self._config.connection_life_s, self._seed + self.supervision.attempts) * 1e9
        )
        step_s = min(1.0, self._config.stale_after_s / 4, self._config.first_message_s / 4)
        pinged = False
        while True:
            await asyncio.sleep(step_s)
            now_ns = monotonic_ns()
            if self._broken_why:
                raise ConnectionBrokenError(self._broken_why)
            if now_ns - self._up_ns >= life_ns:
                return
            silent_ns = now_ns - self._last_ns
            if self._feeds and silent_ns >= stale_ns and self._last_ns != self._up_ns:
                raise ConnectionBrokenError(f"the feed is stale: nothing came for {silent_ns / 1e9:.1f} s")
            if silent_ns >= stale_ns // 2 and not pinged:
                await socket.ping()
            pinged = silent_ns >= stale_ns // 2
            self._check_first_messages(now_ns)
            self._check_depth(now_ns, stale_ns)

    def _check_first_messages(self, now_ns: int) -> None:
        late = self._subscriptions.late(now_ns)
        if not late:
            return
        if self._last_ns == self._up_ns:
            raise ConnectionBrokenError(
                f"{len(late)} streams were subscribed, and none says anything: is the route right? "
                f"(routes = {self._config.routes!r}, {self._config.market_url()})"
            )
        # A quiet market is silent too: this alone does not end the connection.
        for stream in late:
            if self.oddities.count(f"silent {stream.partition('@')[2]}"):
                _log.warning("a stream has not said anything yet", stream=stream)
        self._subscriptions.again(late)

    def _check_depth(self, now_ns: int, stale_ns: int) -> None:
        """Best prices that are newer than the book, and no diff for long: the depth stream has died alone."""
        for feed in self._feeds.values():
            if feed.ahead_since_ns and now_ns - feed.ahead_since_ns > stale_ns:
                self.oddities.count("dead depth streams")
                self._subscriptions.again(feed.streams[:1])
                self._resync(feed, "the depth stream has gone silent")
                feed.ahead_since_ns = 0

    # Messages.

    def _on_message(self, message: bytes, local_ns: int) -> None:
        self.messages += 1
        self.bytes += len(message)
        try:
            read = wire.read_stream(message)
        except WireError as error:
            self.oddities.note("unreadable", str(error), message)
            return
        if type(read) is not wire.StreamMessage:
            self._on_other(read, message)
            return
        feed = self._streams.get(read.stream)
        if feed is None:
            self.oddities.note("not subscribed", read.stream, message)
            return
        self._last_ns = monotonic_ns()
        self._subscriptions.heard(read.stream)
        feed.messages += 1
        data = read.data
        kind = type(data)
        if kind is wire.DepthUpdate:
            done = self._on_depth(feed, data, local_ns)  # pyright: ignore[reportArgumentType]
        elif kind is wire.BookTicker:
            done = self._on_best(feed, data, local_ns)  # pyright: ignore[reportArgumentType]
        else:
            done = self._on_trade(feed, data, local_ns)  # pyright: ignore[reportArgumentType]
        if not done:
            self.oddities.note("numbers", "a price or quantity that is no number", message)

    def _on_other(
        self, read: wire.ControlReply | wire.UnknownEvent | wire.StreamMessage, message: bytes
    ) -> None:
        if isinstance(read, wire.UnknownEvent):
            if self.oddities.count(f"event {read.name}"):
                _log.warning(
                    "an event that is not known is ignored", event_name=read.name, message=message[:300]
                )
        elif isinstance(read, wire.ControlReply) and read.problem:
            self.oddities.note("refused", f"the exchange refused a subscription: {read.problem}", message)

    def _on_depth(self, feed: Feed, data: wire.DepthUpdate, local_ns: int) -> bool:
        rows = self._writer.depth(data.b, data.a, data.T * wire.MS_NS, local_ns, feed.grid.per_price)
        if rows is None:
            # What it would have changed is not known: the next diff won't follow.
            return False
        has_off = self._writer.off_grid > 0
        feed.ahead_since_ns = 0
        was_joined = feed.sync.is_joined
        action = feed.sync.diff(data.u, data.pu)
        if action == book.APPLY:
            if has_off:
                rows = self._sort_out(feed, rows, feed.grid.on_levels)
            self._on_rows(feed.number, rows, True)
            if not was_joined:
                self._set_valid(feed, True, "")
        elif action == book.HOLD:
            feed.hold(DIFF, data.u, data.pu, rows)
            self._want_snapshot(feed)
        elif action == book.GAP:
            feed.gaps += 1
            feed.hold(DIFF, data.u, data.pu, rows)
            self._set_valid(feed, False, f"a gap before update {data.u}")
            self._want_snapshot(feed)
        return True

    def _on_best(self, feed: Feed, data: wire.BookTicker, local_ns: int) -> bool:
        rows = self._writer.best(
            (data.b, data.B),
            (data.a, data.A),
            self._kinds,
            data.T * wire.MS_NS,
            local_ns,
            feed.grid.per_price,
        )
        if rows is None:
            return False
        has_off = self._writer.off_grid > 0
        if not feed.ahead_since_ns and feed.sync.is_joined and data.u > feed.sync.last_id:
            feed.ahead_since_ns = self._last_ns
        if self._best_is_book and not feed.is_valid:
            feed.hold(BEST, data.u, -1, rows)
            return True
        if has_off or feed.grid.best_is_off:
            rows = self._sort_out(feed, rows, feed.grid.on_best)
        self._on_rows(feed.number, rows, self._best_is_book)
        return True

    def _on_trade(self, feed: Feed, data: wire.Trade, local_ns: int) -> bool:
        if data.X != "MARKET":
            self.oddities.count(f"trades {data.X[:40]}")
            return True
        side = SELL_EVENT if data.m else BUY_EVENT
        rows = self._writer.trade(data.p, data.q, side, data.T * wire.MS_NS, local_ns)
        if rows is None:
            return False
        self._on_rows(feed.number, rows, False)
        return True

    # Books.

    def _set_valid(self, feed: Feed, is_valid: bool, why: str) -> None:
        if feed.is_valid == is_valid:
            return
        feed.is_valid = is_valid
        if is_valid:
            feed.resyncs += 1
        self._tell_state(feed, why)

    def _tell_state(self, feed: Feed, why: str) -> None:
        """What the book is worth: it must be synchronised, and on the instrument's ticks."""
        is_valid = feed.is_valid and not feed.grid.is_off
        symbol = feed.instrument.symbol
        if is_valid:
            _log.info("book valid", symbol=symbol)
        else:
            _log.warning("book not valid", symbol=symbol, why=why or f"{feed.grid.text} is on no tick")
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
        if not feed.wants_snapshot:
            feed.wants_snapshot = True
            self._snapshots.ask(feed)

    def _resync(self, feed: Feed, why: str) -> None:
        feed.lose()
        self._set_valid(feed, False, why)
        self._want_snapshot(feed)

    def _on_snapshot(self, feed: Feed, snapshot: wire.Snapshot) -> bool:
        """A snapshot came; False if another one is needed."""
        local_ns = stamp_ns()
        rows = self._writer.snapshot(
            snapshot.bids, snapshot.asks, snapshot.T * wire.MS_NS, local_ns, feed.grid.per_price
        )
        has_off = self._writer.off_grid > 0
        if rows is None:
            self.oddities.note("numbers", "levels of a snapshot that are none", bytes(snapshot.bids)[:600])
            return False
        if not feed.sync.snapshot(snapshot.lastUpdateId):
            feed.stale_snapshots += 1
            return False
        feed.wants_snapshot = False
        if has_off or feed.grid.is_off:
            rows = self._sort_out(feed, rows, feed.grid.on_snapshot)
        self._on_rows(feed.number, rows, True)
        held, feed.held = feed.held, deque()
        for kind, last_id, previous_id, kept in held:
            # It is seen now, and local times never go back.
            kept["local_ts"] = local_ns
            self._replay(feed, snapshot.lastUpdateId, kind, last_id, previous_id, kept)
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
        if action == book.APPLY:
            self._on_rows(feed.number, self._sort_out(feed, rows, feed.grid.on_levels), True)
            if not was_joined:
                self._set_valid(feed, True, "")
        elif action in (book.HOLD, book.GAP):
            feed.gaps += action == book.GAP
            feed.hold(DIFF, last_id, previous_id, rows)
            self._set_valid(feed, False, "a gap in what was kept")
            self._want_snapshot(feed)
