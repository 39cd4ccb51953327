"""Looking at a channel's market data from outside."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Protocol, Self

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from daemon.cli.asking import deadline_ns
from hftd import wire
from hftd.clock import sleep
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
    """Saves the rows of one instrument as an archive, when it is left; until then they wait in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._book = np.empty(0, event_dtype)

    def __enter__(self) -> Self:
        self._spool = tempfile.TemporaryFile(dir=self._path.parent)
        return self

    def begin(self, instruments: list[status.TappedInstrument]) -> None:
        """One instrument, whose book comes first.

        Raises:
            UsageError: There are several.
        """
        if len(instruments) != 1:
            raise UsageError(
                f"an archive has one instrument, and the channel has {len(instruments)}",
                hint=f"choose one by --symbol: {', '.join(one.symbol for one in instruments)}",
            )

    def rows(self, symbol: str, rows: NDArray[Any], stamp: int) -> None:  # noqa: ARG002
        """Keep them."""
        if stamp == BOOK_STAMP:
            self._book = rows.copy()
            return
        if len(self._book):
            # It has the time at which the daemon made it; in an archive exchange times do not go back.
            self._book["exch_ts"], self._book["local_ts"] = rows["exch_ts"][0], rows["local_ts"][0]
            self._keep_book()
        self._keep(rows)

    def _keep(self, rows: NDArray[Any]) -> None:
        self._spool.write(rows.tobytes())
        self._count += len(rows)

    def _keep_book(self) -> None:
        self._keep(self._book)
        self._book = self._book[:0]

    def state(self, symbol: str, state: int, stamp: int) -> None:
        """An archive has no room for it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._spool:
            if kind is not None:
                return
            from sim.archive.write import write_blocks

            self._keep_book()
            self._spool.flush()
            write_blocks(self._path, event_dtype, self._count, self._blocks())

    def _blocks(self) -> Iterator[NDArray[Any]]:
        self._spool.seek(0)
        while data := self._spool.read(1 << 21):
            yield np.frombuffer(data, event_dtype)


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
