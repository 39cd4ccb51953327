"""The channel's market side: rows from the venue, fused, published and followed, so that newcomers get the book."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import structlog
from numba import types
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

from daemon.histogram import Histogram
from daemon.messages import Instrument
from hftd import wire
from hftd.book.book import book_at
from hftd.book.fuse import FUSE_NO_ROOM, FUSE_OK, fuse_events
from hftd.book.fused_books import FusedBooks
from hftd.book.rows import book_rows
from hftd.channel.publisher import MarketPublisher, publish_rows
from hftd.clock import monotonic_ns, running_ns
from hftd.compiled.arena import Arena
from hftd.compiled.histogram import observe
from hftd.compiled.jit import entry, inline
from hftd.compiled.layout import book_dtype
from hftd.compiled.native import call_code, load_i64
from hftd.compiled.row_access import exch_ts_of, local_ts_of
from hftd.compiled.text import address_of
from hftd.errors import DataError
from hftd.hbt.feed import apply_book_row
from hftd.hbt.local import AssetSpec, fill_book
from hftd.rows import ROW_BYTES
from hftd.types import event_dtype

_I64: Final = types.int64
_ROWS: Final = types.Array(from_dtype(event_dtype), 1, "C", readonly=True)

_log = structlog.get_logger("hftd.connector")

BestPrices = Callable[[int, int, int, bool, int], None]
"""Given an instrument's number, best bid and ask in ticks, whether the book is valid, and the time."""


# What compiled code needs to know of one instrument.
_FUNCTION: Final = 0  # of fusing; 0 to take the rows as they are
_FUSER: Final = 8
_OUT: Final = 16
_CAPACITY: Final = 24
_DONE: Final = 32  # the address of two words: rows taken, rows written
_PUBLISHER: Final = 40
_NUMBER: Final = 48
_BOOK: Final = 56
_LATENCY: Final = 64  # of the feed; 0 while the exchange's clock is not known
_AHEAD: Final = 72
_PLAN_WORDS: Final = 10


@inline
def _observe_feed(plan, source, count):
    """Count how old a message's last row was when it was read."""
    row, histogram = source + (count - 1) * ROW_BYTES, load_i64(plan + _LATENCY)
    exch_ns = exch_ts_of(row)
    if histogram != 0 and exch_ns > 0:
        observe(histogram, local_ts_of(row) + load_i64(plan + _AHEAD) - exch_ns)


@inline
def _publish_and_follow(plan, source, count):
    publish_rows(load_i64(plan + _PUBLISHER), load_i64(plan + _NUMBER), source, ROW_BYTES, count)
    book = load_i64(plan + _BOOK)
    b = book_at(book)
    bid, ask = b.best_bid_tick, b.best_ask_tick
    for k in range(count):
        apply_book_row(book, source + k * ROW_BYTES)
    changed = b.best_bid_tick != bid or b.best_ask_tick != ask
    return 2 * count + (1 if changed else 0)


@entry((_I64, _ROWS))
def _take(plan, rows):
    """Fuse, publish and follow rows: one call of compiled code for a message.

    Returns twice the number of rows published, plus 1 if a best price changed; or a FUSE_* code, negative: then nothing
    was published, and fusing has come as far as the words at `_DONE` say.
    """
    source, count = address_of(rows), len(rows)
    if count == 0:
        return 0
    _observe_feed(plan, source, count)
    function = load_i64(plan + _FUNCTION)
    if function != 0:
        out, done = load_i64(plan + _OUT), load_i64(plan + _DONE)
        fuser, capacity = load_i64(plan + _FUSER), load_i64(plan + _CAPACITY)
        code = call_code(function, (fuser, source, count, out, capacity, done))
        if code != FUSE_OK:
            return -code
        source, count = out, load_i64(done + 8)
    if count == 0:
        return 0
    return _publish_and_follow(plan, source, count)


@entry((_I64, _ROWS))
def _take_fused(plan, rows):
    """The same for rows that are fused already."""
    return _publish_and_follow(plan, address_of(rows), len(rows)) if len(rows) else 0


@entry((_I64, _ROWS))
def _take_others(plan, rows):
    """Publish rows that change no book, such as trades."""
    source, count = address_of(rows), len(rows)
    if count:
        _observe_feed(plan, source, count)
        publish_rows(load_i64(plan + _PUBLISHER), load_i64(plan + _NUMBER), source, ROW_BYTES, count)
    return 0


@entry((_I64, _I64, _ROWS, _I64, _I64, _I64, _I64))
def _fuse(function, fuser, rows, taken, out, capacity, done):
    start = address_of(rows) + taken * ROW_BYTES
    return call_code(function, (fuser, start, len(rows) - taken, out, capacity, done))


class _Fuser:
    """Best prices and depth of one instrument, fused as they come; `_take` does it, as long as there is room."""

    def __init__(self, instrument: Instrument, plan: NDArray[np.int64]) -> None:
        self._books = FusedBooks(1, float(instrument.tick_size), float(instrument.lot_size))
        self._done = np.zeros(2, np.int64)
        self._done_address = int(self._done.ctypes.data)
        self._kernel = fuse_events.address
        self._plan = plan
        self._fuse = _fuse.direct
        self._grow(0)

    def _grow(self, rows_left: int) -> None:
        books = self._books
        books.grow(rows_left)
        self._out = int(books.out.ctypes.data)
        words = (self._kernel, books.addresses[0], self._out, len(books.out), self._done_address)
        self._plan[_FUNCTION // 8 : _DONE // 8 + 1] = words

    def go_on(self, rows: NDArray[Any], code: int) -> NDArray[Any]:
        """The rows that these become, after `_take` came to an end of its room or of what it can read.

        Raises:
            DataError: One can't be fused; what came of those before it is lost, and the books want a snapshot.
        """
        books, done = self._books, self._done
        taken, used = int(done[0]), int(done[1])
        while code == FUSE_NO_ROOM:
            books.used = used
            self._grow(len(rows) - taken)
            out, room = self._out + used * ROW_BYTES, len(books.out) - used
            code = self._fuse(self._kernel, books.addresses[0], rows, taken, out, room, self._done_address)
            taken += int(done[0])
            used += int(done[1])
        if code != FUSE_OK:
            raise books.error(code, rows, taken)
        return books.out[:used]


class FollowedMarket:
    """One instrument of the channel.

    Attributes:
        instrument: It.
        is_valid: Whether its book is; False until the venue says otherwise.
        rows: Published so far.
        last_ns: When, on the monotonic clock; 0 for never.
        latency: From the exchange's time in a message to when it was read here, both by the exchange's clock.
    """

    def __init__(self, instrument: Instrument, is_fused: bool, publisher: MarketPublisher) -> None:
        self.instrument = instrument
        self.is_valid = False
        self.rows = 0
        self.last_ns = 0
        self.unfused = 0
        self._plan = np.zeros(_PLAN_WORDS, np.int64)
        self.plan = int(self._plan.ctypes.data)
        self.fuser = _Fuser(instrument, self._plan) if is_fused else None
        self._arena = Arena()
        self.book = self._arena.records(book_dtype, 1)
        fill_book(
            self.book[0],
            AssetSpec(float(instrument.tick_size), float(instrument.lot_size), name=instrument.symbol),
            self._arena,
        )
        self.address = int(self.book.ctypes.data)
        self.latency = Histogram()
        self._plan[_PUBLISHER // 8 : _LATENCY // 8] = publisher.address, instrument.number, self.address

    @property
    def best_ticks(self) -> tuple[int, int]:
        """Best bid and ask, INVALID_MIN and INVALID_MAX where there are none."""
        record = self.book[0]
        return int(record["best_bid_tick"]), int(record["best_ask_tick"])

    def set_ahead(self, ahead_ns: int) -> None:
        """The exchange's clock is so far ahead of the rows' local times."""
        self._plan[_LATENCY // 8 :] = self.latency.address, ahead_ns

    def as_rows(self, now_ns: int) -> NDArray[Any]:
        """The book as it is now, for a newcomer."""
        return book_rows(self.address, float(self.instrument.tick_size), now_ns)


class Books:
    """All instruments that are followed.

    Args:
        publisher: The channel's.
        is_fused: Whether best prices (rows of kind 5) are fused with the depth; else rows go out as they come.
        on_best: Told when a best price or a book's worth changes.
    """

    def __init__(self, publisher: MarketPublisher, is_fused: bool, on_best: BestPrices) -> None:
        self._publisher = publisher
        self._is_fused = is_fused
        self._on_best = on_best
        self._markets: dict[int, FollowedMarket] = {}
        self._ahead_ns: int | None = None
        self._take = _take.direct
        self._take_others = _take_others.direct
        self._take_fused = _take_fused.direct

    def follow(self, instrument: Instrument) -> FollowedMarket:
        """Begin with an instrument, or find it again."""
        market = self._markets.get(instrument.number)
        if market is None:
            market = self._markets[instrument.number] = FollowedMarket(
                instrument, self._is_fused, self._publisher
            )
            if self._ahead_ns is not None:
                market.set_ahead(self._ahead_ns)
        return market

    def markets(self) -> list[FollowedMarket]:
        """All of them, in the order in which they came."""
        return list(self._markets.values())

    def set_ahead(self, ahead_ns: int) -> None:
        """The exchange's clock is so far ahead of the rows' local times; from the first time on, latencies count."""
        self._ahead_ns = ahead_ns
        for market in self._markets.values():
            market.set_ahead(ahead_ns)

    def get(self, number: int) -> FollowedMarket | None:
        """One of them."""
        return self._markets.get(number)

    def on_rows(self, number: int, rows: NDArray[Any], is_book: bool) -> None:
        """Publish rows of an instrument; `is_book`: they change its book."""
        market = self._markets[number]
        if is_book:
            taken = self._take(market.plan, rows)
            if taken <= 0:
                if taken == 0 or (taken := self._take_more(market, rows, -taken)) == 0:
                    return
            if taken & 1:
                self._tell(market)
            market.rows += taken >> 1
        else:
            self._take_others(market.plan, rows)
            market.rows += len(rows)
        market.last_ns = monotonic_ns()

    def _take_more(self, market: FollowedMarket, rows: NDArray[Any], code: int) -> int:
        """What `_take` could not: it needs more room, or a row can't be fused."""
        assert market.fuser is not None
        try:
            fused = market.fuser.go_on(rows, code)
        except DataError as error:
            self._on_unfused(market, error)
            return 0
        return self._take_fused(market.plan, fused)

    def _on_unfused(self, market: FollowedMarket, error: Exception) -> None:
        market.unfused += 1
        if market.unfused == 1:
            _log.warning("rows_not_fused", symbol=market.instrument.symbol, why=str(error))

    def on_book_state(self, number: int, state: int) -> None:
        """Publish that a book is valid, or is not."""
        market = self._markets[number]
        market.is_valid = state == wire.BOOK_VALID
        self._publisher.send(wire.Status(number, state))
        self._tell(market)

    def _tell(self, market: FollowedMarket) -> None:
        self._on_best(market.instrument.number, *market.best_ticks, market.is_valid, running_ns())
