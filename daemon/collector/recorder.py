"""One symbol: its lines, in order and each once, and what of it is whole.

The book is whole when a message with all of it has been written that the changes go on from, and as long as they follow
each other, some connection brings them, and they are written.
"""

from typing import Any, Final, Protocol

from numpy.typing import NDArray

from daemon.collector.files import begin_note, day_of
from daemon.collector.merge import Chain, Link, Names
from daemon.collector.writer import Key, Writer
from daemon.session.facts import MarketFacts
from hftd.recording import (
    DAY_NS,
    UNSURE_NS,
    Broken,
    End,
    Heard,
    Minute,
    Missing,
    Note,
    Snapshot,
    Unheard,
    Whole,
)
from hftd.venues import reader
from hftd.venues.reader import Message
from hftd.version import __version__

HOLD_NS: Final = UNSURE_NS
"""So long what is missing is waited for, as long as there is another connection that may bring it."""
BUFFER_BYTES: Final = 64 << 10
MIDNIGHT: Final = "the day ends"


class Connection(Protocol):
    """What a recorder must know of a connection: nothing but which one it is."""


class Recorder:
    """See the module.

    Args:
        venue: The exchange's name.
        symbol: As the exchange spells it.
        facts: How market data is spoken.
        has_counted_trades: Trades are counted one by one.
        writer: Where lines go.
        now_ns: The time, at the start.

    Attributes:
        is_whole: Whether all is there, and the book can be followed.
        why: Why it is not.
        wants_book: Why a whole book is to be asked for; empty if none is.
    """

    def __init__(
        self,
        venue: str,
        symbol: str,
        facts: MarketFacts,
        *,
        has_counted_trades: bool,
        writer: Writer,
        now_ns: int,
    ) -> None:
        self.venue = venue
        self.symbol = symbol
        self.streams = facts.streams(symbol)
        self._writer = writer
        self.depth = Chain()
        self.trades = Chain() if has_counted_trades else Names()
        self._best_id = -1
        self._best_again = 0
        self._first_previous = -1
        self.is_whole = False
        self.why = "the recording begins"
        self.broken_ns = now_ns
        self.wants_book = ""
        self.newest_ns = now_ns
        self.depth_ns = 0
        self._changed_ns = now_ns
        self._trade_ns = now_ns
        self._heard: set[Connection] = set()
        self._joined: set[Connection] = set()
        """Of these, whose messages go on from what is written."""
        self._trading: set[Connection] = set()
        """That have brought trades."""
        self._is_unheard = False
        self._whole_ns = now_ns
        self._buffer = bytearray()
        self._key = Key(venue, symbol, day_of(now_ns))
        self._is_paused = self._is_over = False
        self.messages = self.bytes = self.gaps = self.snapshots = self.missed_trades = 0
        self._said = (0, 0, 0)
        self.note(begin_note(now_ns, __version__))

    # ---- messages

    def on_message(self, source: Connection, read: Message, message: bytes, now_ns: int) -> None:
        """A message of one of its streams."""
        kind = read.kind
        if self._is_paused:
            # Whatever is not written must not be followed either: it begins anew once it goes on.
            if kind in (reader.BOOK, reader.DEPTH):
                self._heard.add(source)
        elif kind == reader.BEST:
            if read.last_id > self._best_id:
                self._best_id = read.last_id
                self._write(message, now_ns)
            else:
                self._best_again += 1
        elif kind == reader.TRADES:
            self._trading.add(source)
            was_counted = isinstance(self.trades, Chain) and self.trades.last >= 0
            self._on_trades(source, read, message, now_ns)
            if self._is_unheard:
                self._is_unheard = False
                self.note(Heard(max(now_ns, self.newest_ns), was_counted))
        else:
            self._heard.add(source)
            self.depth_ns = now_ns
            if kind == reader.BOOK:
                self._on_book(source, read, message, now_ns)
            else:
                self._on_change(source, read, message, now_ns)

    def _on_change(self, source: Connection, read: Message, message: bytes, now_ns: int) -> None:
        if self.depth.last < 0 and self._first_previous < 0:
            self._first_previous = read.previous_id
        if not self.is_whole and not self.wants_book:
            self.wants_book = self.why
        self._follow(source, Link(read.previous_id, read.last_id, message), now_ns)

    def _follow(self, source: Connection, link: Link, now_ns: int) -> None:
        """A change goes on from others, or waits for them."""
        again = self.depth.again
        lines, missing = self.depth.offer(link, now_ns, self._may_wait(source))
        if lines or self.depth.again != again:
            self._joined.add(source)
        if missing >= 0:
            self._lose(missing, now_ns)
        for line in lines:
            self._write(line, now_ns)
        if lines:
            self._changed_ns = self.newest_ns

    def _on_book(self, source: Connection, read: Message, message: bytes, now_ns: int) -> None:
        """Whole books are asked for; see `StreamedRecorder`."""
        raise NotImplementedError

    def _on_trades(self, source: Connection, read: Message, message: bytes, now_ns: int) -> None:
        ids = _trade_ids(read.rows)
        if isinstance(self.trades, Names):
            if not ids or self.trades.has_new(ids):
                self._write(message, now_ns)
                self._trade_ns = now_ns
        elif not ids:
            # Not of the market, or not to be read: it can't be told apart.
            self._give_up_trades(now_ns)
            self._write(message, now_ns)
            self.trades.last = -1
        else:
            known = self.trades.last
            link = Link(ids[0] - 1, ids[-1], message)
            lines, missing = self.trades.offer(link, now_ns, self._may_wait(source))
            if missing >= 0:
                self._miss_trades(known, missing, now_ns)
            for line in lines:
                self._write(line, now_ns)
            if lines:
                self._trade_ns = now_ns

    def _may_wait(self, source: Connection) -> bool:
        return len(self._heard) > (source in self._heard)

    def look(self, now_ns: int) -> None:
        """Give up what was waited for too long; to be called some times a second."""
        if self.depth.held_ns and now_ns - self.depth.held_ns > HOLD_NS:
            self._give_up_changes(now_ns)
        if isinstance(self.trades, Chain) and now_ns - self.trades.held_ns > HOLD_NS:
            self._give_up_trades(now_ns)

    def _give_up_changes(self, now_ns: int) -> None:
        if self.depth.held_ns:
            self._lose(self.depth.awaited, now_ns)
            for line in self.depth.give_up():
                self._write(line, now_ns)
            self._changed_ns = self.newest_ns

    def _give_up_trades(self, now_ns: int) -> None:
        trades = self.trades
        if isinstance(trades, Chain) and trades.held_ns:
            self._miss_trades(trades.last, trades.awaited, now_ns)
            for line in trades.give_up():
                self._write(line, now_ns)
            self._trade_ns = now_ns

    def _miss_trades(self, known: int, missing: int, now_ns: int) -> None:
        # Rows have one more than the id, so that none is 0.
        self.missed_trades += missing - known
        self.note(Missing(self._trade_ns, now_ns, f"trades {known} to {missing - 1}"))

    # ---- what is whole

    def on_snapshot(self, body: bytes, read: Message, why: str, now_ns: int) -> bool:
        """A whole book that was asked for. False if it is older than what it is to be joined with: get another one."""
        if self._is_paused:
            return True
        if 0 <= read.last_id < self._first_previous:
            return False
        self._take_snapshot(body, why, now_ns)
        self.wants_book = ""
        if not self.is_whole:
            if self._first_previous < 0:
                # The changes have to go on from it.
                self.depth.last = read.last_id
            if self._heard:
                self._be_whole()
        return True

    def _take_snapshot(self, body: bytes, why: str, now_ns: int) -> None:
        self.snapshots += 1
        self._write(body, now_ns)
        self.note(Snapshot(now_ns, why))

    def _be_whole(self) -> None:
        if not self.is_whole and not self._is_paused:
            self.is_whole = True
            self.why = ""
            self.broken_ns = 0
            self._whole_ns = self.newest_ns
            self.note(Whole(self.newest_ns))
            self._check_trades()

    def _check_trades(self) -> None:
        """A connection may bring the book, and no trades: its subscription is silent, or there are none."""
        if self.is_whole and not self._trading and not self._is_unheard:
            self._is_unheard = True
            self.note(Unheard(max(self._trade_ns, self._whole_ns)))

    def _lose(self, missing: int, now_ns: int) -> None:
        """Changes are missing, up to that id."""
        self.gaps += 1
        why = f"changes of the book are missing, up to {missing}"
        # Other streams may have been written since.
        self.lose(why, self._changed_ns, now_ns)
        self._first_previous = missing

    def lose(self, why: str, from_ns: int, now_ns: int) -> None:
        """Since `from_ns` something is missing of the book."""
        self._break(why, from_ns, now_ns)
        self.wants_book = why

    def _break(self, why: str, from_ns: int, now_ns: int) -> None:
        self.why = why
        self._is_unheard = False
        if self.is_whole:
            self.is_whole = False
            self.broken_ns = now_ns
            self.note(Broken(from_ns, max(now_ns, from_ns), why))

    @property
    def is_heard(self) -> bool:
        """Whether a connection brings it."""
        return bool(self._heard)

    def is_heard_by(self, source: Connection) -> bool:
        """Whether that connection does."""
        return source in self._heard

    def is_joined_by(self, source: Connection) -> bool:
        """Whether all goes on without a hole if it stays alone."""
        return source in self._joined

    @property
    def is_paused(self) -> bool:
        """Whether nothing can be written."""
        return self._is_paused

    def to_subscribe(self) -> Connection | None:
        """The connection whose stream of the book is to be subscribed anew, where that is wanted."""
        return next(iter(self._heard), None)

    def drop(self, source: Connection, why: str, now_ns: int) -> None:
        """A connection is gone."""
        self._heard.discard(source)
        self._joined.discard(source)
        self._trading.discard(source)
        if not self._heard and not self._is_over:
            self._begin_anew(why, now_ns)
        self._check_trades()

    def _begin_anew(self, why: str, now_ns: int) -> None:
        self._give_up_changes(now_ns)
        self._give_up_trades(now_ns)
        self._break(why, self.newest_ns, now_ns)
        self.depth.last = -1
        if isinstance(self.trades, Chain):
            self.trades.last = -1
        self._first_previous = -1
        self._joined.clear()
        self.wants_book = ""

    def pause(self, why: str, now_ns: int) -> None:
        """Nothing more can be written."""
        if not self._is_paused:
            self._begin_anew(why, now_ns)
            self.flush()
            self._is_paused = True

    def resume(self) -> None:
        """It can be written again."""
        self._is_paused = False

    # ---- lines

    def _write(self, message: bytes, now_ns: int) -> None:
        if self._is_paused or self._is_over:
            return
        # The merged lines' times never go back.
        if now_ns > self.newest_ns:
            self.newest_ns = now_ns
            if now_ns >= (self._key.day + 1) * DAY_NS:
                self.turn_day(now_ns)
        if b"\n" in message:
            message = message.replace(b"\n", b" ")
        self._buffer += b"%d %b\n" % (self.newest_ns, message)
        self.messages += 1
        self.bytes += len(message)
        if len(self._buffer) >= BUFFER_BYTES:
            self.flush()

    def turn_day(self, now_ns: int) -> None:
        """A new day begins, in a file of its own, which is whole once it has a book of its own."""
        day = day_of(now_ns)
        if day <= self._key.day:
            return
        midnight_ns = day * DAY_NS
        was_whole = self.is_whole
        # What waits may come in the new day's file only: of the old one it is missing.
        if self.depth.held_ns:
            self._break(
                "changes of the book were awaited as the day ended", self._changed_ns, midnight_ns - 1
            )
        if isinstance(self.trades, Chain) and self.trades.held_ns:
            self.note(Missing(self._trade_ns, midnight_ns - 1, "trades were awaited as the day ended"))
        self.note(End(midnight_ns - 1, MIDNIGHT))
        self._writer.close(self._key)
        self._key = Key(self.venue, self.symbol, day)
        self.newest_ns = max(self.newest_ns, midnight_ns)
        self.note(begin_note(midnight_ns, __version__))
        self._is_unheard = False
        if was_whole:
            self.is_whole = False
            self.broken_ns = now_ns
            self.why = "the day begins"
            self._first_previous = self.depth.last
            self.wants_book = self.why

    def flush(self) -> None:
        """Hand over what was gathered."""
        if self._buffer:
            self._writer.lines(self._key, bytes(self._buffer))
            self._buffer.clear()

    def note(self, note: Note) -> None:
        """Say something in the quality file, behind what was written so far."""
        if not self._is_over:
            self.flush()
            self._writer.note(self._key, note)

    @property
    def again(self) -> int:
        """Messages that were left out, since another connection had brought them."""
        return self.depth.again + self.trades.again + self._best_again

    def minute(self, now_ns: int, connections: int, offset_ns: int | None, error_ns: int | None) -> None:
        """Say what came in the minute that ends."""
        counts = self.messages, self.bytes, self.again
        messages, size, again = (now - then for now, then in zip(counts, self._said, strict=True))
        self._said = counts
        if not self._is_paused:
            self.note(Minute(now_ns, messages, size, again, connections, offset_ns, error_ns))

    def end(self, now_ns: int, why: str) -> None:
        """The process ends in order."""
        self._give_up_changes(now_ns)
        self._give_up_trades(now_ns)
        self.note(End(max(self.newest_ns, now_ns), why))
        self._writer.close(self._key)
        self._is_over = True


def _trade_ids(rows: NDArray[Any] | None) -> list[int]:
    """The ids of rows of trades, see `MarketReader.keep_trade_ids`."""
    return [] if rows is None else rows["fval"].view("i8").tolist()
