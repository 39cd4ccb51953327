"""The books of Binance's captures where a REST snapshot comes late or early; in code that numba compiles.

A capture has a snapshot where its answer arrived. It is the book after the update `lastUpdateId`, and the stream is
elsewhere by then (Binance, "How to manage a local order book correctly"):

- The stream was ahead: what it has changed is set again behind the snapshot, see :mod:`sim.convert.reader.recent`.
- The snapshot was ahead: differences that it has already (`u` up to `lastUpdateId`) come after it. As far as the
  snapshot reaches they are left out; levels behind its last ones are taken, as it does not know them.

It counts too what tells the market that messages are of.
"""

# pyright: basic

from typing import Any, Final

import numpy as np

from hftd.compiled.jit import inline
from hftd.compiled.native import load_i64, record_at, store_i64
from hftd.compiled.row_access import ev_of, move_row, px_of, qty_of
from hftd.errors import DataError
from hftd.rows import ROW_BYTES, Ns
from hftd.types import BUY_EVENT, DEPTH_CLEAR_EVENT, KIND_MASK
from sim.convert.reader.recent import RECENT_MAX, recent_dtype
from sim.convert.reader.state import Scan

_FIRST_LEVELS_MIN: Final = 3
"""So many books of the first levels, and nothing else, are no chance."""

SPOT: Final = 0
USDM: Final = 1
COINM: Final = 2
MARKETS: Final = ("binancespot", "binancefutures", "binancecoinm")
_SIGNS: Final = (
    "depth updates without `T` and `pu`, or trades with `M`",
    "depth updates with `pu`, without `ps` or with one such as BTCUSDT",
    "depth updates with `pu` and a `ps` such as BTCUSD",
)

own_dtype = np.dtype(
    [
        ("is_as_hftbacktest", "i8"),
        ("takes_unnamed", "i8"),
        ("snapshot_id", "i8"),
        ("snapshot_ts", "i8"),
        ("bid_reach", "f8"),
        ("ask_reach", "f8"),
        ("snapshots_forgotten", "i8"),
        ("first_level_books", "i8"),
        ("first_level_updates", "i8"),
        ("other_updates", "i8"),
        ("markets", "i8", (3,)),
        ("recent", recent_dtype),
    ],
    align=True,
)
"""The last snapshot while differences may be older: its id (-1: none), local time, and last prices; books and updates
that look like those of the first levels, and other updates; the messages of each market; the levels that changed
last."""

_own_fields: Any = own_dtype.fields
RECENT: Final[int] = _own_fields["recent"][1]
_MARKETS: Final[int] = _own_fields["markets"][1]

own_at = record_at(own_dtype)


@inline
def count_market(s: Any, market: int):
    """Count one more message that tells its market."""
    at = s.own + _MARKETS + market * 8
    store_i64(at, load_i64(at) + 1)


@inline
def leave_out_known(s: Any, own: Any, row: int, update_id: int, local_ts: Ns):
    """Take away the rows from `row` on that the last snapshot has already; whether all of them are gone."""
    if own.snapshot_id < 0 or local_ts < own.snapshot_ts:
        return False
    if update_id > own.snapshot_id:
        # The stream has passed the snapshot. Should ids begin anew, nothing is left out for it.
        own.snapshot_id = -1
        return False
    kept = row
    for number in range(row, s.row_count):
        at = s.rows + number * ROW_BYTES
        px = px_of(at)
        is_far = px < own.bid_reach if ev_of(at) & BUY_EVENT else px > own.ask_reach
        if is_far:
            target = s.rows + kept * ROW_BYTES
            move_row(target, at)
            kept += 1
    had_rows = s.row_count > row
    s.row_count = kept
    return had_rows and kept == row


@inline
def is_of_first_levels(s: Any, row: int, bids: int, asks: int):
    """Whether the rows from `row` on are a book as the streams of the first levels send it.

    These are 5, 10 or 20 levels of each side, the best first, and none is gone.
    """
    if bids != asks or bids not in (5, 10, 20):
        return False
    is_whole = True
    last_ev, last_px = 0, 0.0
    for number in range(row, s.row_count):
        at = s.rows + number * ROW_BYTES
        ev, px = ev_of(at), px_of(at)
        if ev & KIND_MASK == DEPTH_CLEAR_EVENT:
            continue
        is_worse = px < last_px if ev & BUY_EVENT else px > last_px
        is_whole &= qty_of(at) > 0.0 and (ev != last_ev or is_worse)
        last_ev, last_px = ev, px
    return is_whole


def _check_first_levels(own: Any, where: str) -> None:
    """Refuse a raw stream of the first levels, which looks like updates or like answers to requests."""
    books, updates, others = (
        int(own[name]) for name in ("first_level_books", "first_level_updates", "other_updates")
    )
    found = updates if not others else 0
    if not others and not updates:
        found = books
    if found >= _FIRST_LEVELS_MIN:
        raise DataError(
            f"all {found:,} books have exactly 5, 10 or 20 levels a side: this looks like a raw stream of the first "
            "levels (@depth5, @depth10, @depth20), whose messages do not say so",
            where=where,
            hint="record the updates (@depth), or the combined stream (/stream?streams=), which names its streams",
        )


def set_up(scan: Scan, options: Any) -> None:
    """Prepare the reader's own state."""
    own = scan.give_own(own_dtype)
    own["is_as_hftbacktest"] = options.hftbacktest_rows
    # In a capture of several a snapshot without a symbol may be another's: nothing may be left out for it.
    own["takes_unnamed"] = options.symbol is None
    own["snapshot_id"] = -1
    scan.record["takes_again"] = options.hftbacktest_rows
    scan.record["rows_extra"] = RECENT_MAX


def _check_market(scan: Scan, own: Any, market: int, where: str) -> None:
    counts = own["markets"].tolist()
    total = sum(counts)
    foreign = max((k for k in range(len(counts)) if k != market), key=counts.__getitem__)
    if not counts[foreign]:
        return
    said = f"{counts[foreign]:,} of {total:,} messages that tell their market ({_SIGNS[foreign]})"
    if 2 * counts[foreign] > total:
        raise DataError(
            f"this looks like a capture of {MARKETS[foreign]}, not of {MARKETS[market]}: {said}",
            where=where,
            hint=f"convert it with `hftd convert {MARKETS[foreign]}`",
        )
    scan.damage.append(
        f"the capture has messages of {MARKETS[foreign]} between those of {MARKETS[market]}: {said}"
    )


def check_of(market: int) -> Any:
    """The `Venue.check` of a market: refuses a capture of another one, and notes what could not be set again."""

    def check(scan: Scan, options: Any, where: str) -> list[str]:  # noqa: ARG001 (see `Venue.check`)
        own = scan.own
        _check_market(scan, own, market, where)
        if not own["is_as_hftbacktest"]:
            _check_first_levels(own, where)
        forgotten = int(own["snapshots_forgotten"])
        if not forgotten:
            return []
        said = f"{forgotten:,} snapshots came later than the {RECENT_MAX:,} changes of levels that are remembered"
        return [f"{said}: behind them levels may be wrong until they change"]

    return check
