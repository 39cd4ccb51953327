"""The channel's market side: rows from the venue, fused, published and followed, so that newcomers get the book."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import structlog
from numba import types
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

from daemon.orders.messages import Instrument
from hftd.arena import Arena
from hftd.book import book_at
from hftd.book_rows import book_rows
from hftd.channel import wire
from hftd.channel.endpoint import address_of
from hftd.channel.publisher import MarketPublisher
from hftd.clock import monotonic_ns, running_ns
from hftd.errors import DataError
from hftd.feed import ROW_BYTES, apply_book_row
from hftd.fuse import FUSE_NO_ROOM, FUSE_OK, fuse_events
from hftd.fused_books import FusedBooks
from hftd.jit import entry
from hftd.layout import book_dtype
from hftd.local import AssetSpec, fill_book
from hftd.native import call_code
from hftd.types import event_dtype

_I64: Final = types.int64
_ROWS: Final = types.Array(from_dtype(event_dtype), 1, "C", readonly=True)

_log = structlog.get_logger("hftd.connector")

BestPrices = Callable[[int, int, int, bool, int], None]
"""Given an instrument's number, best bid and ask in ticks, whether the book is valid, and the time."""


@entry((_I64, _ROWS))
def _follow(book, rows):
    """Apply rows to a book; whether a best price changed."""
    b = book_at(book)
    bid, ask = b.best_bid_tick, b.best_ask_tick
    row = address_of(rows)
    for _ in range(len(rows)):
        apply_book_row(book, row)
        row += ROW_BYTES
    return b.best_bid_tick != bid or b.best_ask_tick != ask


@entry((_I64, _I64, _ROWS, _I64, _I64, _I64, _I64))
def _fuse(function, fuser, rows, taken, out, capacity, done):
    start = address_of(rows) + taken * ROW_BYTES
    return call_code(function, (fuser, start, len(rows) - taken, out, capacity, done))


class _Fuser:
    """Best prices and depth of one instrument, fused as they come."""

    def __init__(self, instrument: Instrument) -> None:
        self._books = FusedBooks(1, float(instrument.tick_size), float(instrument.lot_size))
        self._done = np.zeros(2, np.int64)
        self._done_address = int(self._done.ctypes.data)
        self._kernel = fuse_events.address
        self._fuse = _fuse.direct
        self._grow(0)

    def _grow(self, rows_left: int) -> None:
        self._books.grow(rows_left)
        self._out = int(self._books.out.ctypes.data)

    def fuse(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The rows that these become; they hold until the next call.

        Raises:
            DataError: One can't be fused; what came of those before it is lost, and the books want a snapshot.
        """
        books, done = self._books, self._done
        taken = used = 0
        while True:
            code = self._fuse(
                self._kernel,
                books.addresses[0],
                rows,
                taken,
                self._out + used * ROW_BYTES,
                len(books.out) - used,
                self._done_address,
            )
            taken += int(done[0])
            used += int(done[1])
            if code == FUSE_OK:
                return books.out[:used]
            if code != FUSE_NO_ROOM:
                raise books.error(code, rows, taken)
            books.used = used
            self._grow(len(rows) - taken)


class FollowedMarket:
    """One instrument of the channel.

    Attributes:
        instrument: It.
        is_valid: Whether its book is; False until the venue says otherwise.
        rows: Published so far.
        last_ns: When, on the monotonic clock; 0 for never.
    """

    def __init__(self, instrument: Instrument, is_fused: bool) -> None:
        self.instrument = instrument
        self.is_valid = False
        self.rows = 0
        self.last_ns = 0
        self.unfused = 0
        self.fuser = _Fuser(instrument) if is_fused else None
        self._arena = Arena()
        self.book = self._arena.records(book_dtype, 1)
        fill_book(
            self.book[0],
            AssetSpec(float(instrument.tick_size), float(instrument.lot_size), name=instrument.symbol),
            self._arena,
        )
        self.address = int(self.book.ctypes.data)

    @property
    def best_ticks(self) -> tuple[int, int]:
        """Best bid and ask, INVALID_MIN and INVALID_MAX where there are none."""
        record = self.book[0]
        return int(record["best_bid_tick"]), int(record["best_ask_tick"])

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
        self._publish = publisher.publish
        self._follow = _follow.direct

    def follow(self, instrument: Instrument) -> FollowedMarket:
        """Begin with an instrument, or find it again."""
        market = self._markets.get(instrument.number)
        if market is None:
            market = self._markets[instrument.number] = FollowedMarket(instrument, self._is_fused)
        return market

    def markets(self) -> list[FollowedMarket]:
        """All of them, in the order in which they came."""
        return list(self._markets.values())

    def get(self, number: int) -> FollowedMarket | None:
        """One of them."""
        return self._markets.get(number)

    def on_rows(self, number: int, rows: NDArray[Any], is_book: bool) -> None:
        """Publish rows of an instrument; `is_book`: they change its book."""
        market = self._markets[number]
        if is_book:
            if market.fuser is not None:
                try:
                    rows = market.fuser.fuse(rows)
                except DataError as error:
                    self._on_unfused(market, error)
                    return
            if not len(rows):
                return
            self._publish(number, rows)
            if self._follow(market.address, rows):
                self._tell(market)
        else:
            self._publish(number, rows)
        market.rows += len(rows)
        market.last_ns = monotonic_ns()

    def _on_unfused(self, market: FollowedMarket, error: Exception) -> None:
        market.unfused += 1
        if market.unfused == 1:
            _log.warning("rows can't be fused", symbol=market.instrument.symbol, why=str(error))

    def on_book_state(self, number: int, state: int) -> None:
        """Publish that a book is valid, or is not."""
        market = self._markets[number]
        market.is_valid = state == wire.BOOK_VALID
        self._publisher.send(wire.Status(number, state))
        self._tell(market)

    def _tell(self, market: FollowedMarket) -> None:
        self._on_best(market.instrument.number, *market.best_ticks, market.is_valid, running_ns())
