"""A symbol whose whole books come by its stream, and whose numbers may begin anew at any time.

The stream of one connection has no holes: a book, and changes that follow each other. What two connections bring can
be put together as long as both count from the same beginning. So a connection joins the others once what it begins
with has been written; until then its messages wait, `HOLD_NS` at most. Where a book begins the count anew (Bybit's `u`
is 1), the connection that brings it first goes ahead, and each of the others joins it by that same book. What they
bring from before is there already, as the first one brought all of it.

Where each message is a whole book (Hyperliquid) nothing has to follow: what is new is written. A connection has joined
there once one that had joined before has said a book that is no older than its first.
"""

from typing import Any, Final, NamedTuple

from daemon.collector.merge import HELD_MAX, Link
from daemon.collector.recorder import HOLD_NS, Connection, Recorder
from hftd.venues.reader import Message

BEHIND_NS: Final = 3_000_000_000
"""A connection that has not joined for so long is subscribed anew."""


class _Said(NamedTuple):
    """A book, or a change of it."""

    last: int
    ns: int
    link: Link


class StreamedRecorder(Recorder):
    """See the module, and `Recorder`."""

    def __init__(self, *arguments: Any, **keys: Any) -> None:
        super().__init__(*arguments, **keys)
        self._is_lone = False
        """Whether each message is a whole book."""
        self._begun = (-1, -1)
        """Id and time of the book that the numbers count from."""
        self._change_ns = -1
        """The exchange's time of the newest change that was written, or waits."""
        self._book = b""
        self._numbers: dict[Connection, int] = {}
        """What each connection said last."""
        self._joining: dict[Connection, tuple[int, list[_Said]]] = {}
        """Since when, and what it said since; a book is the first of it."""
        self._behind: dict[Connection, int] = {}

    # ---- messages

    def _on_change(self, source: Connection, read: Message, message: bytes, now_ns: int) -> None:
        said = _Said(read.last_id, read.exch_ns, Link(read.previous_id, read.last_id, message))
        self._numbers[source] = said.last
        if source in self._joined:
            self._change_ns = max(self._change_ns, said.ns)
            self._follow(source, said.link, now_ns)
        elif source in self._joining:
            self._joining[source][1].append(said)
        else:
            # From before the book that the others count from; or it is subscribed anew, see `look`.
            self.depth.again += 1
            self._behind.setdefault(source, now_ns)
        if not self.is_whole and not self.wants_book:
            self.wants_book = self.why
        self._settle(now_ns)

    def _on_book(self, source: Connection, read: Message, message: bytes, now_ns: int) -> None:
        said = _Said(read.last_id, read.exch_ns, Link(read.previous_id, read.last_id, message))
        if read.previous_id < 0:
            self._on_lone_book(source, said, now_ns)
            return
        before = self._numbers.get(source, -1)
        self._numbers[source] = said.last
        self._joining.pop(source, None)
        if said.last == 1 and said.ns < self._begun[1]:
            # What the others have counts from a later one.
            self._joined.discard(source)
        if source not in self._joined or not self.is_whole:
            self._begin(source, said, now_ns)
        elif message == self._book or (said.last, said.ns) == self._begun or said.last == before != 1:
            self.depth.again += 1
        elif said.last == 1 or (said.last == before + 1 and before == self.depth.last):
            # It has brought all that was before.
            self._take(source, said, now_ns, follows=True)
        elif said.last != before + 1:
            self._joined.discard(source)
            self._begin(source, said, now_ns)
        else:
            # Others have brought the change, or it waits for what is before it.
            self.depth.again += 1
        self._settle(now_ns)

    def _on_lone_book(self, source: Connection, said: _Said, now_ns: int) -> None:
        self._is_lone = True
        if said.last > self.depth.last or (said.last == self.depth.last and said.link.message != self._book):
            self.depth.last, self._book = said.last, said.link.message
            self._write(said.link.message, now_ns)
        else:
            self.depth.again += 1
        self._joining.setdefault(source, (now_ns, [said]))
        if not self._joined or not self.is_whole:
            self._joined.add(source)
            self._be_whole()
        if source in self._joined:
            self._changed_ns = now_ns
            for other, (_, first) in list(self._joining.items()):
                if first[0].last <= said.last:
                    self._joined.add(other)

    # ---- which connections count alike

    def _begin(self, source: Connection, said: _Said, now_ns: int) -> None:
        """A connection begins with a book."""
        self._behind.pop(source, None)
        if not self.is_whole:
            if said.link.message == self._book and said.last < self.depth.last:
                self.depth.again += 1
            else:
                self._take(source, said, now_ns, follows=False)
        elif said.ns < self._begun[1]:
            self.depth.again += 1
            self._behind[source] = now_ns
        else:
            self._joining[source] = (now_ns, [said])

    def _newest_there(self, messages: list[_Said]) -> int:
        """Up to which of its messages, with a book as the first, all has been written; -1: nothing of it."""
        first = messages[0]
        if first.last == 1 and self._begun != (first.last, first.ns):
            return -1
        return next((at for at in range(len(messages) - 1, -1, -1) if self._is_there(messages[at])), -1)

    def _is_there(self, said: _Said) -> bool:
        if said.last == 1:
            return self._begun == (said.last, said.ns)
        if said.last == self.depth.last:
            return said.ns == self._change_ns
        return said.last < self.depth.last and self._begun[1] <= said.ns < self._change_ns

    def _settle(self, now_ns: int) -> None:
        """Let those join that can; one that waited too long goes ahead, and what is between is missing."""
        for source, (since_ns, messages) in list(self._joining.items()):
            at = self._newest_there(messages)
            is_over = now_ns - since_ns > HOLD_NS
            if is_over and len(messages) == 1 and messages[0].last == self.depth.last > 1:
                # A book may be made long after its last change: where nothing changes the number tells.
                at = 0
            if at >= 0:
                del self._joining[source]
                self._joined.add(source)
                self.depth.again += at + 1
                self._follow_all(source, messages[at + 1 :], now_ns)
            elif not self.is_whole or not self._joined or is_over or len(messages) >= HELD_MAX:
                del self._joining[source]
                self._take(source, messages[0], now_ns, follows=False)
                self._follow_all(source, messages[1:], now_ns)

    def _follow_all(self, source: Connection, messages: list[_Said], now_ns: int) -> None:
        for one in messages:
            self._change_ns = max(self._change_ns, one.ns)
            self._follow(source, one.link, now_ns)

    def _take(self, source: Connection, said: _Said, now_ns: int, *, follows: bool) -> None:
        """The book goes on from this one."""
        if self.is_whole and (not follows or self.depth.held_ns):
            self.lose("changes of the book are missing, before a whole one", self._changed_ns, now_ns)
        for line in self.depth.give_up():
            self._write(line, now_ns)
        begins_anew = said.last == 1 or (said.last < self.depth.last and said.ns > self._change_ns)
        if begins_anew:
            self._behind.update(dict.fromkeys(self._joined - {source}, now_ns))
            self._joined.clear()
        if begins_anew or not follows:
            self._begun = said.last, said.ns
        if begins_anew:
            self._change_ns = said.ns
        self._joined.add(source)
        self._behind.pop(source, None)
        self.depth.restart(said.last)
        self._book = said.link.message
        self._change_ns = max(self._change_ns, said.ns)
        self._write(said.link.message, now_ns)
        self._changed_ns = self.newest_ns
        self._be_whole()

    def _be_whole(self) -> None:
        super()._be_whole()
        self.wants_book = ""

    def _may_wait(self, source: Connection) -> bool:
        return len(self._joined) > (source in self._joined)

    def look(self, now_ns: int) -> None:
        """See `Recorder`."""
        super().look(now_ns)
        if self._is_paused:
            return
        if self._joined and not self._is_lone:
            self._settle(now_ns)
        if self.is_whole:
            is_behind = any(now_ns - since_ns > BEHIND_NS for since_ns in self._behind.values())
            self.wants_book = "a connection counts otherwise" if is_behind else ""

    def to_subscribe(self) -> Connection | None:
        """See `Recorder`."""
        return next(iter(self._behind), None) if self.is_whole else super().to_subscribe()

    def on_snapshot(self, body: bytes, read: Message, why: str, now_ns: int) -> bool:
        """A book that was asked for is kept beside those of the stream, which has its own numbers."""
        del read
        if not self._is_paused:
            self._take_snapshot(body, why, now_ns)
        return True

    def drop(self, source: Connection, why: str, now_ns: int) -> None:
        """See `Recorder`."""
        for known in (self._numbers, self._joining, self._behind):
            known.pop(source, None)
        was_joined = source in self._joined
        super().drop(source, why, now_ns)
        if was_joined and not self._joined and self._heard and not self._is_over:
            self.lose(f"{why}; what others bring begins behind it", self._changed_ns, now_ns)
            if not self._is_lone:
                self._settle(now_ns)

    def _begin_anew(self, why: str, now_ns: int) -> None:
        super()._begin_anew(why, now_ns)
        for known in (self._numbers, self._joining, self._behind):
            known.clear()
        self._begun = (-1, -1)
        self._change_ns = -1
        self._book = b""
