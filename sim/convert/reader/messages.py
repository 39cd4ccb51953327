"""The lines of a block of text, one message after the other; names, and the sequence of updates.

A line that is not whole is refused as a whole: rows of half a line never get into an archive.
"""

# pyright: basic

from typing import Any

from hftd.compiled.jit import inline
from hftd.compiled.json_fields import hashed, read_fields, text_of
from hftd.compiled.json_levels import skip_blanks, value_end
from hftd.compiled.json_numbers import integer
from hftd.compiled.native import load_i64, load_u8, store_i64, store_u8
from hftd.compiled.row_access import exch_ts_of, is_price, is_qty, is_time, local_ts_of, px_of, qty_of
from hftd.compiled.text import find_byte
from hftd.rows import ROW_BYTES, TS_MAX, Address, Ns
from hftd.venues.message import CLOCK_JUMP_NS, FIELD, NUMBER
from sim.convert.reader.state import (
    BLANK,
    DONE,
    EVENTS,
    EXCHANGES,
    JSON,
    NAME_BYTES,
    NAME_SIZE,
    NAMES_INDEX,
    NAMES_MAX,
    NAMES_ROOM,
    PLACES_MAX,
    ROWS_FULL,
    SNAPSHOT,
    SYMBOLS,
    TIMESTAMP,
    TORN_END,
    UNKNOWN,
    UNREADABLE_MAX,
    UPDATES_MAX,
)


@inline
def _is_name(at: Address, category: int, key: int, start: Address, size: int):
    if load_i64(at) != category or load_i64(at + 24 + NAME_SIZE) != key:
        return False
    same = True
    for k in range(size):
        same &= load_u8(at + 24 + k) == load_u8(start + k)
    return same


@inline
def name_number(s: Any, category: int, start: Address, end: Address):
    """The number of a name of a category; a new one gets a place; -1 if all are taken."""
    size = min(end - start, NAME_SIZE)
    key = hashed(start, end)
    slot = ((key ^ (key >> 15)) * 31 + category * 7919) & (NAMES_INDEX - 1)
    while True:
        number = load_i64(s.name_index + slot * 8) - 1
        if number < 0:
            break
        if _is_name(s.names + number * NAME_BYTES, category, key, start, size):
            return number
        slot = (slot + 1) & (NAMES_INDEX - 1)
    is_event = category != SYMBOLS and category != EXCHANGES
    if s.name_count == NAMES_ROOM or (is_event and s.event_names == NAMES_MAX):
        return -1
    s.event_names += is_event
    at = s.names + s.name_count * NAME_BYTES
    store_i64(at, category)
    store_i64(at + 8, end - start)
    store_i64(at + 16, 0)
    for k in range(size):
        store_u8(at + 24 + k, load_u8(start + k))
    store_i64(at + 24 + NAME_SIZE, key)
    s.name_count += 1
    store_i64(s.name_index + slot * 8, s.name_count)
    return s.name_count - 1


@inline
def count_name(s: Any, category: int, start: Address, end: Address):
    """Count one more of a name; returns its number, -1 if it went to the others."""
    number = name_number(s, category, start, end)
    if number < 0:
        if category in (SYMBOLS, EXCHANGES):
            s.symbols_beyond += 1
        else:
            s.others += 1
        return -1
    at = s.names + number * NAME_BYTES + 16
    store_i64(at, load_i64(at) + 1)
    return number


@inline
def is_chosen_text(s: Any, start: Address, stop: Address):
    """As `is_chosen`, of a symbol that stands somewhere in a text."""
    symbol = count_name(s, SYMBOLS, start, stop)
    if s.chosen < 0 and symbol >= 0:
        s.chosen = symbol
    return symbol >= 0 and symbol == s.chosen


@inline
def is_chosen_name(s: Any, symbol: int):
    """As `is_chosen`, of the number of a name that stands elsewhere, such as a file's; -1: of none."""
    if symbol < 0:
        return True
    at = s.names + symbol * NAME_BYTES + 16
    store_i64(at, load_i64(at) + 1)
    if s.chosen < 0:
        s.chosen = symbol
    return symbol == s.chosen


@inline
def is_chosen(s: Any, number: int):
    """Count the line's symbol (a field's number); whether it is the one to convert.

    The first symbol is chosen if the user chose none. A message without a symbol belongs to it.
    """
    if number < 0:
        return True
    start, stop = text_of(s, number)
    return is_chosen_text(s, start, stop)


@inline
def _place(places: Address, count: int, s: Any, local_ts: Ns, what: int, expected: int, got: int):
    if count >= PLACES_MAX:
        return
    at = places + count * 48
    store_i64(at, s.file)
    store_i64(at + 8, s.line)
    store_i64(at + 16, local_ts)
    store_i64(at + 24, what)
    store_i64(at + 32, expected)
    store_i64(at + 40, got)


@inline
def follow(s: Any, previous_id: int, update_id: int, local_ts: Ns):
    """Check that an update follows the last one (`previous_id` is the last `update_id`), and count if not."""
    if s.update_id >= 0 and previous_id != s.update_id:
        _place(s.gap_places, s.gap_count + s.repeat_count, s, local_ts, 0, s.update_id, previous_id)
        if previous_id > s.update_id:
            s.gap_count += 1
        else:
            s.repeat_count += 1
    s.update_id = update_id


@inline
def _is_remembered(s: Any, update_id: int):
    found = False
    for number in range(min(s.updates_count, UPDATES_MAX)):
        found |= s.updates[number] == update_id
    return found


@inline
def was_there(s: Any, update_id: int, exch_ts: Ns, local_ts: Ns):
    """Whether the book has an update already, by its id: one that comes once more, and not one that is only late.

    An id that begins anew does so after a while: an update that is much later by the exchange's time is a new one.
    """
    if s.update_id >= 0 and update_id <= s.update_id and exch_ts <= s.update_ts + CLOCK_JUMP_NS:
        if _is_remembered(s, update_id):
            note_late(s, s.update_id, update_id, local_ts)
            return True
    else:
        s.update_ts = exch_ts
    s.updates[s.updates_count % UPDATES_MAX] = update_id
    s.updates_count += 1
    return False


@inline
def note_late(s: Any, expected: int, got: int, local_ts: Ns):
    """Count an update that comes late by a sequence that must not fall."""
    _place(s.gap_places, s.gap_count + s.repeat_count, s, local_ts, 0, expected, got)
    s.repeat_count += 1


@inline
def _local_ts(s: Any, start: Address, stop: Address):
    """The line's time in ns, from 19 digits of nanoseconds or 16 of microseconds; -1 if it is neither."""
    size = stop - start
    if size == 19:
        high = integer(start, start + 10)
        low = integer(start + 10, stop)
        if high < 0 or low < 0 or high >= 9_000_000_000 or high * 1_000_000_000 + low > TS_MAX:
            return -1
        s.lines_in_ns += 1
        return high * 1_000_000_000 + low
    if size == 16:
        value = integer(start, stop)
        if value < 0 or value > TS_MAX // 1000:
            return -1
        s.lines_in_us += 1
        return value * 1000
    return -1


@inline
def _open_message(s: Any, start: Address, stop: Address):
    """Note the time and the fields of the line; 0, or why it has none."""
    message = start
    s.local_ts = 0
    if not s.has_no_time:
        while message < stop and load_u8(message) != 32 and load_u8(message) != 9:
            message += 1
        s.local_ts = _local_ts(s, start, message)
        if s.local_ts < 0:
            return TIMESTAMP
        s.lines_back += s.local_ts < s.local_high - s.back_ns
        s.local_high = max(s.local_high, s.local_ts)
    message = skip_blanks(message, stop)
    if message >= stop:
        return JSON
    if load_u8(message) != 123:
        # A list of events, as some streams of all symbols send.
        if load_u8(message) != 91 or value_end(message, stop) != stop:
            return JSON
        count_name(s, EVENTS, message, message + 1)
        return UNKNOWN
    return 0 if read_fields(s, message, stop) == stop else JSON


@inline
def start_block(s: Any):
    """Begin with the block that the state describes, or go on with it behind `consumed`."""
    s.row_mark = s.row_count
    s.snapshot_row = -1
    s.code = DONE


@inline
def next_message(s: Any):
    """Go to the next line that is a message, and note its fields and its time.

    Returns:
        False behind the last whole line of the block (`code` is DONE), before a line for which there may not
        be room (ROWS_FULL), and behind a snapshot (SNAPSHOT), whose rows begin at `snapshot_row`.
    """
    end = s.text + s.size
    while s.code == DONE:
        p = s.text + s.consumed
        newline = find_byte(p, 10, end - p) if p < end else 0
        if p >= end or (newline == 0 and not s.at_end):
            return False
        stop = newline if newline else end
        # A level takes six bytes or more (`[1,2],`), and other messages give a few rows.
        if s.row_capacity - s.row_count < (stop - p) // 6 + 16 + s.rows_extra:
            s.code = ROWS_FULL
            return False
        s.line += 1
        s.is_cut = newline == 0
        s.consumed = (newline + 1 if newline else end) - s.text
        while stop > p and load_u8(stop - 1) <= 32:
            stop -= 1
        s.row_mark = s.row_count
        reason = _open_message(s, p, stop) if stop > p else BLANK
        if reason == 0:
            return True
        end_message(s, reason)
    return False


@inline
def _is_playable(s: Any):
    """Whether an engine takes the rows of the message: their times, prices and quantities."""
    for at in range(s.rows + s.row_mark * ROW_BYTES, s.rows + s.row_count * ROW_BYTES, ROW_BYTES):
        if not (is_time(exch_ts_of(at)) and is_time(local_ts_of(at))):
            return False
        if not (is_price(px_of(at)) and is_qty(qty_of(at))):
            return False
    return True


@inline
def end_message(s: Any, reason: int):
    """Keep the rows that were added for the message if the reason is 0, else drop them and count the line."""
    if reason == NUMBER or (reason == 0 and not _is_playable(s)):
        reason = FIELD
    if reason == 0:
        s.lines_used += 1
        if s.snapshot_row >= 0:
            s.code = SNAPSHOT
        return
    s.row_count = s.row_mark
    s.snapshot_row = -1
    if reason < UNREADABLE_MAX:
        if s.is_cut:
            reason = TORN_END
        _place(s.bad_places, s.bad_count, s, 0, reason, 0, 0)
        s.bad_count += 1
    s.ignored[reason] += 1
