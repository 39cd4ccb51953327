"""Databento's DBN files: records to rows.

Records begin with their length (in words of 4 bytes), kind, publisher, instrument and the time of the event; the
prices are integers of 1e-9 and become the nearest double. Times are those of the matching engine (`ts_event`) and of
Databento's capture server (`ts_recv`).

====================  =============================================================================================
market by order       rows of single orders (kinds 10 to 13), trades (2) and clears (3); `ival` holds the flags
MBP-1, MBP-10, TBBO   trades, and depth rows of what changed in the levels: :mod:`sim.convert.venues.databento.mbp`
trades                trades
====================  =============================================================================================

Market by order, as Databento documents its actions:

- A cancellation may take a part of an order. An archive's cancel row takes the whole, so a part becomes a modify row
  with what is left. (HftBacktest 2.4.4 makes a cancel row of it, and the order is gone.)
- A modification of an order that is not known adds it.
- Records of a snapshot have the times at which their orders came, hours or days before. Their rows all have the
  time of the snapshot, `ts_recv`, on both clocks.
- Of venues that only tell the top of their book (flag F_TOB) an added order takes the place of its whole side.

The compiled reader is :mod:`sim.convert.venues.databento.records`; here is what is chosen and said.
"""

from pathlib import Path
from typing import Any, Final

import msgspec

from hftd.errors import DataError
from sim.convert.files.arrange import LOOK_SIZE, NEVER, Start
from sim.convert.files.text import Part
from sim.convert.reader.state import EVENTS, EXCHANGES, SYMBOLS, Scan
from sim.convert.reader.venue import Venue
from sim.convert.venues.databento.dbn import SIZE_MAX, mapped_ids, read_metadata
from sim.convert.venues.databento.own_rows import own_dtype
from sim.convert.venues.databento.records import read_records

KINDS: Final = {10: "add order", 11: "cancel order", 12: "modify order", 13: "fill"}
"""What rows are beside those of all venues."""

_LISTED: Final = 12
_MBO: Final = 160
_RECORD_KINDS: Final = {
    18: "status",
    19: "definition",
    20: "imbalance",
    21: "error",
    22: "symbol mapping",
    23: "system",
    24: "statistics",
    32: "ohlcv-1s",
    33: "ohlcv-1m",
    34: "ohlcv-1h",
    35: "ohlcv-1d",
    36: "ohlcv-eod",
    177: "cmbp-1",
    192: "cbbo-1s",
    193: "cbbo-1m",
    194: "tcbbo",
    195: "bbo-1s",
    196: "bbo-1m",
}
"""Kinds of records that are not converted."""


class _Names:
    """What the user asked for, the id that it is, and the files by their numbers."""

    def __init__(self, asked: str) -> None:
        self.asked = asked
        self.chosen: int | None = None
        self.paths: dict[int, Path] = {}


def set_up(scan: Scan, options: Any) -> None:
    """Take the symbol: a raw symbol or an instrument id, either of them behind `<publisher id>:` or not."""
    own = scan.give_own(own_dtype)
    own["name"] = own["publisher"] = -1
    own["drops_far"] = options.keep_far_levels is False
    asked = options.symbol or ""
    publisher, colon, symbol = asked.partition(":")
    scan.kept = _Names(asked)
    scan.spelling = {(EVENTS, str(kind)): name for kind, name in _RECORD_KINDS.items()}
    scan.forget_names()
    if colon and publisher.isdigit():
        scan.kept.asked = symbol
        own["publisher"] = scan.name_number(EXCHANGES, publisher)


def open_input(scan: Scan, text: bytes, at_end: bool, path: Path) -> int:
    """Read the metadata, and find the id of the symbol that was asked for."""
    found = read_metadata(text, at_end, path)
    if found is None:
        return -1
    metadata, size = found
    if not metadata.ids:
        # A session that was recorded names its instruments in its first records.
        metadata = msgspec.structs.replace(metadata, ids=mapped_ids(text[size:], metadata.version))
    names: _Names = scan.kept
    names.paths[int(scan.record["file"])] = path
    for symbol, ids in metadata.ids.items():
        for number in ids:
            spelt = symbol if len(ids) == 1 else f"{symbol}#{number}"
            scan.spelling.setdefault((SYMBOLS, str(number)), spelt)
    if names.asked:
        _choose(scan, names, metadata.ids, path)
    scan.own["is_start"] = 1
    scan.own["trade_exch_ts"] = 0
    scan.own["is_broken"] = 0
    scan.own["in_snapshot"] = 0
    scan.own["send_size"] = 8 if metadata.has_send_ts else 0
    scan.record["table"] = 0
    return size


def look(text: bytes, at_end: bool, part: Part) -> Start:
    """By the first record's time of receipt; see `Venue.look`."""
    found = read_metadata(text, at_end, part.path)
    if found is None:
        found = read_metadata(part.start(SIZE_MAX + LOOK_SIZE)[0], True, part.path)
    assert found is not None
    text, kind = text[found[1] :], -1
    if len(text) >= 56:
        kind = text[1]
    at = {_MBO: 40}.get(kind, 32 if kind in (0, 1, 10) else 8)
    first_ts = int.from_bytes(text[at : at + 8], "little") if kind >= 0 else NEVER
    return Start(first_ts=min(first_ts, NEVER), is_book=kind in (_MBO, 1, 10))


def _choose(scan: Scan, names: _Names, ids: dict[str, list[int]], path: Path) -> None:
    asked = names.asked
    found = ids.get(asked, [int(asked)] if asked.isascii() and asked.isdigit() else [])
    if not found:
        listed = ", ".join(list(ids)[:_LISTED]) + (" ..." if len(ids) > _LISTED else "")
        raise DataError(
            f"the file has no symbol {asked}",
            where=str(path),
            hint=f"it has {listed}" if ids else "it names none: choose an instrument by its id",
        )
    if len(found) > 1 or (names.chosen is not None and names.chosen != found[0]):
        several = {*found, *(() if names.chosen is None else (names.chosen,))}
        raise DataError(
            f"{asked} is not one instrument: its ids are {', '.join(map(str, sorted(several)))}",
            where=str(path),
            hint="an archive holds one: choose it by its id",
        )
    if names.chosen is None:
        names.chosen = found[0]
        scan.record["chosen"] = scan.name_number(SYMBOLS, str(found[0]))
        scan.asked = scan.spelling.get((SYMBOLS, str(found[0])), str(found[0]))


def check(scan: Scan, options: Any, where: str) -> list[str]:
    """Refuse records of several publishers of which none was chosen; say what flags say.

    Raises:
        DataError: Says the publishers, and how many records there are of each.
    """
    publishers = scan.counts(EXCHANGES)
    listed = ", ".join(f"{name} ({count:,} records)" for name, count in publishers.items())
    asked, colon, _ = (options.symbol or "").partition(":")
    is_chosen = bool(colon) and asked.isdigit()
    if len(publishers) > 1 and not is_chosen:
        raise DataError(
            f"the records are of several publishers: {listed}",
            where=where,
            hint=f"each has a book of its own: choose one, such as {next(iter(publishers))}:{scan.symbol}",
        )
    if is_chosen and asked not in publishers:
        raise DataError(f"there are no records of the publisher {asked}", where=where, hint=listed)
    own = scan.own
    if own["has_orders"] and own["has_levels"]:
        raise DataError(
            "the files have two books: market by order, and market by price",
            where=where,
            hint="an archive holds one: convert one of them (market by order has the trades, too)",
        )
    if count := int(own["broken_count"]):
        others = "" if count == 1 else f"; so it is in {count} files"
        scan.damage.append(
            f"{scan.kept.paths[int(own['broken_file'])]}: record {own['broken_line']:,} has no valid length; "
            f"what stands before it was kept, the rest is lost{others}"
        )
    notes: list[str] = []
    if own["no_clear"]:
        notes.append(
            "the snapshot begins without a clear: in a run of several days, orders of the day before stay"
        )
    if own["bad_times"]:
        notes.append(f"{own['bad_times']:,} records are flagged: their local time is not to be relied on")
    if own["bad_books"]:
        notes.append(f"{own['bad_books']:,} records are flagged: the book may be wrong there")
    return notes


VENUE: Final = Venue(
    "databento",
    read_records,
    KINDS,
    open_input=open_input,
    set_up=set_up,
    check=check,
    keeps_case=True,
    is_binary=True,
    look=look,
    takes=("keep_far_levels",),
)
