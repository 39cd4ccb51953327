"""Looking at a channel's market data from outside."""

import errno
import io
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, Final, Protocol, Self

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from daemon.cli.asking import deadline_ns
from hftd import wire
from hftd.clock import monotonic_ns, sleep
from hftd.control import status
from hftd.control.asking import ChannelTap
from hftd.errors import UsageError
from hftd.rows import ROW_BYTES
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    FILL_EVENT,
    KIND_MASK,
    SELL_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
    event_dtype,
)

BOOK_STAMP: Final = 0
"""Of the rows of the book that a tap begins with; messages count from 1."""
_NAP_SECONDS: Final = 0.002
"""How long a tap rests that has seen all: nobody wakes it."""
_FLUSH_NS: Final = 1_000_000_000
_PIECE_BYTES: Final = 1 << 20
_NAMES: Final = {
    DEPTH_EVENT: "depth",
    TRADE_EVENT: "trade",
    DEPTH_CLEAR_EVENT: "clear",
    DEPTH_SNAPSHOT_EVENT: "snapshot",
    DEPTH_BBO_EVENT: "bbo",
}
_STATES: Final = {
    wire.BOOK_VALID: "book valid",
    wire.BOOK_INVALID: "book not valid",
    wire.DISCONNECTED: "disconnected",
    wire.CONNECTED: "connected",
    wire.HALTED: "halted",
}


def kind_of(ev: int) -> str:
    """The name of a row's kind."""
    kind = ev & KIND_MASK
    if ADD_ORDER_EVENT <= kind <= FILL_EVENT:
        return "order"
    return "user" if kind >= USER_DEFINED_EVENT else _NAMES.get(kind, str(kind))


class Choice(msgspec.Struct, frozen=True):
    """Which rows are wanted: of these symbols, of these kinds (all where none is named), so many."""

    symbols: tuple[str, ...]
    kinds: frozenset[str]
    count: int | None

    def rows(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Those of the wanted kinds."""
        if not self.kinds:
            return rows
        known, where = np.unique(rows["ev"] & KIND_MASK, return_inverse=True)
        wanted = np.array([kind_of(int(kind)) in self.kinds for kind in known], bool)
        return rows[wanted[where]]


class End(msgspec.Struct, frozen=True):
    """How a tap ended."""

    rows: int
    lapped: int
    why: str


class Out(Protocol):
    """Where rows go."""

    def begin(self, instruments: list[status.TappedInstrument]) -> None:
        """The instruments that will come."""
        ...

    def rows(self, symbol: str, rows: NDArray[Any], stamp: int) -> None:
        """Rows of `event_dtype`."""
        ...

    def state(self, symbol: str, state: int, stamp: int) -> None:
        """What a book is worth from here on."""
        ...

    def rest(self) -> None:
        """Called between messages, some hundred times a second at least."""
        ...


class Shower:
    """Shows rows on stdout, a line each."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def begin(self, instruments: list[status.TappedInstrument]) -> None:
        """Nothing to do."""

    def rows(self, symbol: str, rows: NDArray[Any], stamp: int) -> None:
        """One line a row."""
        lines = [self._line(symbol, row, stamp) for row in rows.tolist()]
        click.echo("\n".join(lines))

    def rest(self) -> None:
        """Nothing to do."""

    def state(self, symbol: str, state: int, stamp: int) -> None:
        """One line."""
        said = _STATES.get(state, str(state))
        if self._as_json:
            document = {"symbol": symbol, "kind": "status", "state": said, "stamp": stamp}
            click.echo(msgspec.json.encode(document))
        else:
            click.echo(f"{'':29} {symbol:<12} status   {said}")

    def _line(self, symbol: str, row: tuple[Any, ...], stamp: int) -> str:
        ev, exch_ts, local_ts, px, qty, order_id, ival, fval = row
        side = "buy" if ev & BUY_EVENT else "sell" if ev & SELL_EVENT else ""
        if self._as_json:
            document = {
                "symbol": symbol,
                "kind": kind_of(ev),
                "side": side,
                "px": px,
                "qty": qty,
                "exch_ts": exch_ts,
                "local_ts": local_ts,
                "order_id": order_id,
                "ival": ival,
                "fval": fval,
                "ev": ev,
                "stamp": stamp,
            }
            return msgspec.json.encode(document).decode()
        at = np.datetime64(local_ts, "ns")
        return f"{at!s:<29} {symbol:<12} {kind_of(ev):<8} {side:<4} {px:>14.10g} {qty:>14.10g}"


class Saver:
    """Saves the rows of one instrument as an archive.

    They are written as they come, into a plain npy file, which numpy and every command of ours read: its header has
    room for any number of rows and is set right after each piece, so that a tap that is killed leaves all but its last
    second. When the tap ends, the packed archive takes the file's place.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._book = np.empty(0, event_dtype)
        self._waiting = bytearray()
        self._next_ns = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def begin(self, instruments: list[status.TappedInstrument]) -> None:
        """One instrument, whose book comes first.

        Raises:
            UsageError: There are several, or the file can't be written.
        """
        if len(instruments) != 1:
            raise UsageError(
                f"an archive has one instrument, and the channel has {len(instruments)}",
                hint=f"choose one by --symbol: {', '.join(one.symbol for one in instruments)}",
            )
        with self._writing():
            self._file = self._path.open("w+b", buffering=0)
            self._put(_header(0), 0)

    def rows(self, symbol: str, rows: NDArray[Any], stamp: int) -> None:  # noqa: ARG002
        """Keep them."""
        if stamp == BOOK_STAMP:
            self._book = rows.copy()
            return
        self._keep_book(rows)
        self._waiting += rows.tobytes()
        if len(self._waiting) >= _PIECE_BYTES:
            self._flush()

    def _keep_book(self, rows: NDArray[Any]) -> None:
        """The book, which has the time at which the daemon made it: in an archive exchange times do not go back."""
        if len(self._book) and len(rows):
            self._book["exch_ts"], self._book["local_ts"] = rows["exch_ts"][0], rows["local_ts"][0]
        self._waiting += self._book.tobytes()
        self._book = self._book[:0]

    def rest(self) -> None:
        """Write what waits, once a second."""
        if monotonic_ns() >= self._next_ns:
            self._flush()

    def _flush(self) -> None:
        self._next_ns = monotonic_ns() + _FLUSH_NS
        if not self._waiting:
            return
        with self._writing():
            self._put(self._waiting, len(_header(0)) + self._count * ROW_BYTES)
            self._count += len(self._waiting) // ROW_BYTES
            self._waiting.clear()
            # Behind the rows: what is announced is there, whenever the process ends.
            self._put(_header(self._count), 0)

    def _put(self, data: bytes | bytearray, at: int) -> None:
        assert self._file is not None
        if os.pwrite(self._file.fileno(), data, at) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"the rows can't be written: {error.strerror}",
                where=str(self._path),
                hint=f"{self._count:,} were written before that" if self._count else "",
            ) from None

    def state(self, symbol: str, state: int, stamp: int) -> None:
        """An archive has no room for it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        with self._file:
            if kind is not None:
                # What is there stays as it is; it is an archive.
                return
            from sim.archive.write import write_blocks

            self._keep_book(self._book)
            self._flush()
            write_blocks(self._path, event_dtype, self._count, self._blocks())

    def _blocks(self) -> Iterator[NDArray[Any]]:
        assert self._file is not None
        self._file.seek(len(_header(0)))
        while data := self._file.read(1 << 21):
            yield np.frombuffer(data, event_dtype)


def _header(count: int) -> bytes:
    """Of an npy file that grows; of the second version, by which its reader knows it, and always as long."""
    layout: Any = np.lib.format
    described = {"descr": layout.dtype_to_descr(event_dtype), "fortran_order": False, "shape": (count,)}
    header = io.BytesIO()
    layout.write_array_header_2_0(header, described)
    made = header.getvalue()
    # numpy leaves room for a number of 21 digits.
    assert len(made) % ROW_BYTES == 0
    return made


def tap(name: str, choice: Choice, out: Out) -> End:
    """Hand on what passes, until there is enough, the daemon ends, or a signal comes.

    Raises:
        UsageError: A symbol is not in the channel.
        ChannelError: The daemon does not answer, or its ring can't be read.
    """
    with _stopping() as stopped, ChannelTap(name, deadline_ns()) as channel:
        chosen = _chosen(channel.about, choice)
        out.begin(list(chosen.values()))
        done = 0
        for instrument in chosen.values():
            # A clear alone is the book of a daemon that has none yet.
            if len(instrument.book) > ROW_BYTES:
                book = wire.Feed(instrument.instrument, instrument.book)
                done += _hand_on(book, BOOK_STAMP, chosen, choice, out, done)
        while True:
            if choice.count is not None and done >= choice.count:
                why = "enough"
                break
            out.rest()
            found = channel.market.read()
            if found is not None:
                stamp, message = found
                done += _hand_on(message, stamp, chosen, choice, out, done)
            elif stopped:
                why = "stopped"
                break
            elif channel.is_over():
                why = "the daemon has ended"
                break
            else:
                sleep(_NAP_SECONDS)
            if stopped:
                why = "stopped"
                break
        return End(done, channel.market.lapped, why)


def _chosen(about: status.Tap, choice: Choice) -> dict[int, status.TappedInstrument]:
    known = {one.symbol: one for one in about.instruments}
    symbols = tuple(symbol if symbol in known else symbol.upper() for symbol in choice.symbols)
    for symbol in symbols:
        if symbol not in known:
            raise UsageError(
                f"the channel has no instrument {symbol!r}", hint=f"it has {', '.join(known) or 'none yet'}"
            )
    wanted = symbols or tuple(known)
    return {known[symbol].instrument: known[symbol] for symbol in wanted}


def _hand_on(
    message: wire.Response,
    stamp: int,
    chosen: dict[int, status.TappedInstrument],
    choice: Choice,
    out: Out,
    done: int,
) -> int:
    """Hand on what is wanted of a message; returns how many rows that were."""
    match message:
        case wire.Feed(instrument=instrument, rows=data) if instrument in chosen:
            rows = choice.rows(np.frombuffer(data, event_dtype))
            if choice.count is not None:
                rows = rows[: choice.count - done]
            if len(rows):
                out.rows(chosen[instrument].symbol, rows, stamp)
            return len(rows)
        case wire.Status(instrument=instrument, state=state) if instrument in chosen:
            if not choice.kinds or "status" in choice.kinds:
                out.state(chosen[instrument].symbol, state, stamp)
    return 0


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """A list that gets the number of a SIGINT or SIGTERM that comes meanwhile."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
