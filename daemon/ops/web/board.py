"""What is known of all daemons, those that are gone as well, and what has changed since the last look."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog

from daemon.ops.web.curves import Curves
from daemon.ops.web.tables import GONE, ROWS_MAX, TABLES, TROUBLE, WARNINGS, Rows, Since, plain, rows_of
from hftd.control import status

KNOWN_MAX: Final = 64
"""So many daemons are remembered; the one that has been gone for longest is forgotten first."""
GONE_WARNING_NS: Final = 3_000_000_000
"""A daemon that does not answer for so long is a warning."""
WAITING: Final = ".waiting"
"""The end of a connector's name while it waits for its exchange."""
_STATE, _GONE_FOR = 1, 2
"""Where these stand in a row of the daemons."""

_log = structlog.get_logger("hftd.web")


class _Known(msgspec.Struct):
    """A daemon, as it was when it answered last; of one that never did there is the name."""

    name: str
    state: status.DaemonStatus | None
    rows: dict[str, Rows]
    gone_ns: int | None = None
    is_silent: bool = False


class Tile(msgspec.Struct, frozen=True):
    """A figure over all daemons that answer.

    Attributes:
        text: The figure as it is shown; empty if there is an amount.
        tone: "good", "bad" or "".
        amount: Of money.
    """

    title: str
    text: str = ""
    tone: str = ""
    amount: float | None = None


class Look(msgspec.Struct, frozen=True):
    """What is to be shown after a round of questions.

    Attributes:
        now_ms: When that was, by the monotonic clock in milliseconds.
        tables: The rows of all tables and of "warnings", by name and key.
        left_out: How many rows of a table are not in it.
        tiles: Figures over all.
        curves: `Curves.all`.
        changed: Rows that are new or differ from those of the last look.
        removed: Keys of rows that are no more.
        points: The last point of each curve: what `Curves.add` returned.
    """

    now_ms: int
    tables: dict[str, Rows]
    left_out: dict[str, int]
    tiles: list[Tile]
    curves: list[Any]
    changed: dict[str, Rows]
    removed: dict[str, list[str]]
    points: list[Any]

    def whole(self) -> bytes:
        """All of it as one line of JSON, for who has just come."""
        return _ENCODE(
            {
                "whole": True,
                "specs": {"warnings": WARNINGS, **TABLES},
                "rows": self.tables,
                "curves": self.curves,
                **self._always(),
            }
        )

    def change(self) -> bytes:
        """What has changed as one line of JSON, for who has what was there before."""
        return _ENCODE(
            {"rows": self.changed, "removed": self.removed, "points": self.points, **self._always()}
        )

    def _always(self) -> dict[str, Any]:
        return {"now": self.now_ms, "more": self.left_out, "tiles": self.tiles}


_ENCODE = msgspec.json.Encoder().encode


class Board:
    """Remembers daemons between looks."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._since = Since()
        self._curves = Curves()
        self._tables: dict[str, Rows] = {}

    def look(self, daemons: Sequence[status.DaemonStatus], silent: Iterable[str], now_ns: int) -> Look:
        """Take over what a round of questions has brought.

        Args:
            daemons: Those that answered.
            silent: The channels whose daemons did not.
            now_ns: By the monotonic clock.
        """
        self._since.begin(now_ns)
        points: list[Any] = []
        told = set(silent)
        answered: set[str] = set()
        for daemon in daemons:
            answered |= {daemon.name, *daemon.served}
            try:
                rows = rows_of(daemon, self._since)
                points += self._curves.add(daemon)
            except Exception as error:
                # The others are shown all the same.
                _log.warning("status_not_shown", daemon=daemon.name, error=repr(error))
                rows = _rows_of_unshown(plain(daemon.name), error)
            self._known[daemon.name] = _Known(daemon.name, daemon, rows)
        names = {one.name for one in daemons}
        for name, known in list(self._known.items()):
            if name in names:
                continue
            served = {name, *(known.state.served if known.state else ())}
            known.is_silent = bool(served & told)
            told -= served
            if known.gone_ns is None:
                known.gone_ns = now_ns
            # It goes on under another of its names: a replay of several channels, a connector that waited.
            is_there = bool(answered & {*served, name.removesuffix(WAITING)})
            if is_there or (known.state is None and not known.is_silent):
                del self._known[name]
        for name in told:
            self._known[name] = _Known(name, None, {}, now_ns, True)
        self._forget()
        return self._joined(now_ns, points)

    def _forget(self) -> None:
        gone = sorted((one.gone_ns, name) for name, one in self._known.items() if one.gone_ns is not None)
        for _, name in gone[: max(0, len(self._known) - KNOWN_MAX)]:
            del self._known[name]

    def _joined(self, now_ns: int, points: list[Any]) -> Look:
        tables: dict[str, Rows] = {"warnings": {}, **{name: {} for name in TABLES}}
        left_out: dict[str, int] = {}
        for known in sorted(self._known.values(), key=lambda one: one.gone_ns is not None):
            rows = known.rows if known.gone_ns is None else _rows_of_gone(known, now_ns, known.gone_ns)
            for name, found in rows.items():
                into = tables[name]
                room = ROWS_MAX - len(into)
                if len(found) > room:
                    left_out[name] = left_out.get(name, 0) + len(found) - room
                    found = dict(list(found.items())[:room])
                into |= found
        before, self._tables = self._tables, tables
        changed: dict[str, Rows] = {}
        removed: dict[str, list[str]] = {}
        for name, rows in tables.items():
            old = before.get(name, {})
            if new := {key: row for key, row in rows.items() if old.get(key) != row}:
                changed[name] = new
            if gone := [key for key in old if key not in rows]:
                removed[name] = gone
        return Look(
            now_ms=now_ns // 1_000_000,
            tables=tables,
            left_out=left_out,
            tiles=self._tiles(),
            curves=self._curves.all(),
            changed=changed,
            removed=removed,
            points=points,
        )

    def _tiles(self) -> list[Tile]:
        states = [one.state for one in self._known.values() if one.state and one.gone_ns is None]
        earned: dict[str, float] = {}
        for state in states:
            for one in state.profits:
                asset = plain(one.asset)
                earned[asset] = earned.get(asset, 0.0) + one.total
        markets = [one for state in states for channel in state.channels for one in channel.markets]
        links = [one for state in states for one in state.connections]
        bots = [one for state in states for one in state.bots]
        ended = [one for one in self._known.values() if one.gone_ns is not None and not _is_replay(one)]
        return [
            *(Tile(f"{asset} today", amount=total) for asset, total in sorted(earned.items())[:8]),
            _part("daemons answer", len(states), len(states) + len(ended)),
            _part("connections up", sum(one.is_up for one in links), len(links)),
            _part("books valid", sum(one.book_is_valid for one in markets), len(markets)),
            _part("bots attached", sum(one.is_attached for one in bots), len(bots)),
            Tile("open orders", f"{sum(len(one.orders) + one.orders_left_out for one in bots):,}"),
            Tile("fills", f"{sum(one.fills for one in bots):,}"),
            Tile("refused", f"{sum(one.refused for one in bots):,}"),
        ]


def _is_replay(known: _Known) -> bool:
    return known.state is not None and known.state.kind == status.REPLAY


def _part(title: str, count: int, of: int) -> Tile:
    return Tile(title, f"{count:,} of {of:,}", "bad" if count < of else "")


def _row_of_daemon(name: str) -> list[Any]:
    return [name, *[None] * (len(TABLES["daemons"].columns) - 1)]


def _rows_of_unshown(name: str, error: Exception) -> dict[str, Rows]:
    """What there is to say of a daemon whose status is odd."""
    cells = _row_of_daemon(name)
    cells[_STATE] = ["not shown", "bad"]
    why = f"the status of {name} can't be shown: {type(error).__name__}: the log says why"
    return {
        "daemons": {name: (TROUBLE, cells)},
        "warnings": {name: (TROUBLE, [why, name, None, "not_shown"])},
    }


def _rows_of_gone(known: _Known, now_ns: int, gone_ns: int) -> dict[str, Rows]:
    """What a daemon said before it was gone, marked so; what needed a person then is no more what does now."""
    at = gone_ns // 1_000_000
    name = plain(known.name)
    rows: dict[str, Rows] = {
        table: {key: (GONE, cells) for key, (_, cells) in found.items()}
        for table, found in known.rows.items()
    }
    what = known.rows.get("daemons") or {name: (TROUBLE, _row_of_daemon(name))}
    rank = GONE if _is_replay(known) else TROUBLE
    state = ["ended", "dim"] if _is_replay(known) else ["no answer" if known.is_silent else "gone", "bad"]
    rows["daemons"] = {
        key: (rank, [*cells[:_STATE], state, at, *cells[_GONE_FOR + 1 :]]) for key, (_, cells) in what.items()
    }
    rows["warnings"] = {}
    if not _is_replay(known) and now_ns - gone_ns >= GONE_WARNING_NS:
        said = "does not answer" if known.is_silent else "is gone: no process serves its channel"
        rows["warnings"] = {f"gone {name}": (TROUBLE, [f"{name} {said}", name, at, "gone"])}
    return rows
