"""What the compiled readers of all venues share: lines, the fields of a JSON message, price levels, rows, counts.

A venue's reader goes through a block of text line by line and appends rows to a buffer. It reads a message's fields without
building objects: one pass notes where each value of the outer object, and of the objects directly in it, begins and
ends; the venue then takes the few that it needs. A line that is not whole is refused as a whole: rows of a half line
never get into an archive.

Addresses are int64; text may be read up to one byte behind its end.
"""

# pyright: basic

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hftd.jit import inline
from hftd.native import load_i64, load_u8, record_at, store_f64, store_i64, store_u8
from sim.convert.numbers import decimal, integer

ROW_SIZE: Final = 64
FIELDS_MAX: Final = 256
"""Fields of one message; a message with more counts as unreadable."""
NAMES_MAX: Final = 512
"""Different names that are counted apart; the rest counts as "others"."""
NAME_SIZE: Final = 40
PLACES_MAX: Final = 16
"""Places of trouble that are kept; all are counted."""

# What became of a line: 0, or why it gave no rows. Those below UNREADABLE_MAX are damage.
TIMESTAMP: Final = 1
JSON: Final = 2
FIELD: Final = 3
LENGTH: Final = 4
TORN_END: Final = 5
UNREADABLE_MAX: Final = 6
BLANK: Final = 6
NOT_A_TRADE: Final = 7
ERROR_OBJECT: Final = 8
UNKNOWN: Final = 9
NOT_ASKED: Final = 10
PARTIAL_DEPTH: Final = 11
OTHER_SYMBOL: Final = 12
LOST_SNAPSHOT: Final = 13
REASONS: Final = {
    TIMESTAMP: "no local time of 16 or 19 digits",
    JSON: "torn, or not JSON",
    FIELD: "a field is missing, or is not a number",
    LENGTH: "longer than a line may be",
    TORN_END: "torn at the end of the file",
    BLANK: "blank",
    NOT_A_TRADE: "a trade that is not of the market",
    ERROR_OBJECT: "an error of the exchange",
    UNKNOWN: "an event or stream that is not converted",
    NOT_ASKED: "an event that was not asked for",
    PARTIAL_DEPTH: "a partial depth stream",
    OTHER_SYMBOL: "another symbol",
    LOST_SNAPSHOT: "a snapshot in a capture of several symbols, which does not say whose it is",
}

# What names are counted of.
SYMBOLS: Final = 0
EVENTS: Final = 1
ERRORS: Final = 2

# Why the reader came back.
DONE: Final = 0
ROWS_FULL: Final = 1
SNAPSHOT: Final = 2

name_dtype = np.dtype(
    [("category", "i8"), ("size", "i8"), ("count", "i8"), ("name", f"S{NAME_SIZE}")], align=True
)
place_dtype = np.dtype(
    [("file", "i8"), ("line", "i8"), ("local_ts", "i8"), ("what", "i8"), ("expected", "i8"), ("got", "i8")],
    align=True,
)
state_dtype = np.dtype(
    [
        ("text", "i8"),
        ("size", "i8"),
        ("at_end", "i8"),
        ("consumed", "i8"),
        ("rows", "i8"),
        ("row_count", "i8"),
        ("row_capacity", "i8"),
        ("row_mark", "i8"),
        ("snapshot_row", "i8"),
        ("code", "i8"),
        ("local_ts", "i8"),
        ("is_cut", "i8"),
        ("file", "i8"),
        ("line", "i8"),
        ("fields", "i8"),
        ("field_count", "i8"),
        ("names", "i8"),
        ("name_count", "i8"),
        ("others", "i8"),
        ("chosen", "i8"),
        ("wants_mark", "i8"),
        ("wants_ticker", "i8"),
        ("update_id", "i8"),
        ("gap_count", "i8"),
        ("repeat_count", "i8"),
        ("gap_places", "i8"),
        ("bad_count", "i8"),
        ("bad_places", "i8"),
        ("lines_in_ns", "i8"),
        ("lines_in_us", "i8"),
        ("lines_used", "i8"),
        ("ignored", "i8", (32,)),
        ("used", "i8", (256,)),
    ],
    align=True,
)
"""What a reader is given and what it keeps from block to block; addresses are those of the arrays of `Scan`."""

state_at = record_at(state_dtype)

_FNV_START: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193
_U32_MAX: Final = 0xFFFFFFFF


@intrinsic
def _memchr(typingctx, address, byte, size):
    """The address of the first such byte, or 0."""

    def codegen(context, builder, signature, args):
        pointer = ir.IntType(8).as_pointer()
        i64 = ir.IntType(64)
        function_type = ir.FunctionType(pointer, [pointer, ir.IntType(32), i64])
        function = cgutils.get_or_insert_function(builder.module, function_type, "memchr")
        found = builder.call(
            function, [builder.inttoptr(args[0], pointer), builder.trunc(args[1], ir.IntType(32)), args[2]]
        )
        return builder.ptrtoint(found, i64)

    return types.int64(types.int64, types.int64, types.int64), codegen


def text_key(text: str) -> int:
    """What `hashed` gives for these characters: FNV-1a of 32 bits, below the length."""
    value = _FNV_START
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & _U32_MAX
    return (len(text.encode()) << 32) | value


@inline
def hashed(start, end):
    """A key of the bytes, to be compared with `text_key` of a text."""
    # Not 64 bits: an int64 that overflows is undefined for LLVM, which then drops comparisons.
    value = _FNV_START
    for p in range(start, end):
        value = ((value ^ load_u8(p)) * _FNV_PRIME) & _U32_MAX
    return ((end - start) << 32) | value


@inline
def skip_blanks(p, end):
    """The first address from `p` that holds no blank, or `end`."""
    while p < end and load_u8(p) <= 32:
        p += 1
    return p


@inline
def string_end(p, end):
    """The address of the quote that ends the string whose text begins at `p`; 0 if there is none."""
    while p < end:
        byte = load_u8(p)
        if byte == 34:
            return p
        p += 2 if byte == 92 else 1
    return 0


@inline
def value_end(p, end):
    """The address behind the JSON value at `p`; 0 if it does not end, or is none."""
    byte = load_u8(p)
    if byte == 34:
        quote = string_end(p + 1, end)
        return quote + 1 if quote else 0
    if byte == 91 or byte == 123:
        depth = 0
        while p < end:
            byte = load_u8(p)
            if byte == 34:
                p = string_end(p + 1, end)
                if p == 0:
                    return 0
            elif byte == 91 or byte == 123:
                depth += 1
            elif byte == 93 or byte == 125:
                depth -= 1
                if depth == 0:
                    return p + 1
            p += 1
        return 0
    first = p
    while p < end:
        byte = load_u8(p)
        is_word = 48 <= byte <= 57 or 97 <= (byte | 32) <= 122 or byte == 43 or byte == 45 or byte == 46
        if not is_word:
            break
        p += 1
    return p if p > first else 0


@inline
def _note_field(s, key, start, stop, parent):
    at = s.fields + s.field_count * 32
    store_i64(at, key)
    store_i64(at + 8, start)
    store_i64(at + 16, stop)
    store_i64(at + 24, parent)
    s.field_count += 1


@inline
def read_fields(s, p, end):
    """Note the fields of the object at `p` and of the objects directly in it.

    Returns:
        The address behind the object; 0 where it is not whole.
    """
    s.field_count = 0
    parent = -1
    p += 1
    # A bracket may close, and a key may come, at the start of an object; after a comma only a key.
    may_close, needs_comma = True, False
    while True:
        p = skip_blanks(p, end)
        if p >= end:
            return 0
        byte = load_u8(p)
        if byte == 125:
            if not may_close:
                return 0
            p += 1
            if parent < 0:
                return p
            store_i64(s.fields + parent * 32 + 16, p)
            parent = -1
            needs_comma = True
            continue
        if needs_comma:
            if byte != 44:
                return 0
            p += 1
            may_close, needs_comma = False, False
            continue
        quote = string_end(p + 1, end)
        if byte != 34 or quote == 0 or s.field_count == FIELDS_MAX:
            return 0
        key = hashed(p + 1, quote)
        p = skip_blanks(quote + 1, end)
        if p >= end or load_u8(p) != 58:
            return 0
        p = skip_blanks(p + 1, end)
        if p >= end:
            return 0
        if load_u8(p) == 123 and parent < 0:
            parent = s.field_count
            _note_field(s, key, p, 0, -1)
            p += 1
            may_close, needs_comma = True, False
            continue
        stop = value_end(p, end)
        if stop == 0:
            return 0
        _note_field(s, key, p, stop, parent)
        p = stop
        may_close, needs_comma = True, True


@inline
def field(s, key, parent):
    """The number of the field of that key in the object `parent` (-1: the outer one); -1 if there is none."""
    for number in range(s.field_count - 1, -1, -1):
        at = s.fields + number * 32
        if load_i64(at) == key and load_i64(at + 24) == parent:
            return number
    return -1


@inline
def text_of(s, number):
    """Where the field's value begins and ends, without its quotes if it has some."""
    at = s.fields + number * 32
    start = load_i64(at + 8)
    stop = load_i64(at + 16)
    if load_u8(start) == 34:
        return start + 1, stop - 1
    return start, stop


@inline
def integer_of(s, number):
    """The field as an integer; -1 where it is missing or is none."""
    if number < 0:
        return -1
    start, stop = text_of(s, number)
    return integer(start, stop)


@inline
def number_of(s, number):
    """The field as a double, and whether it is one."""
    if number < 0:
        return 0.0, False
    start, stop = text_of(s, number)
    value, behind = decimal(start, stop)
    return value, behind == stop and behind != 0


@inline
def add_row(s, ev, exch_ts, local_ts, px, qty):
    """Append a row; `next_message` has made sure that there is room for all rows of a line."""
    at = s.rows + s.row_count * ROW_SIZE
    store_i64(at, ev)
    store_i64(at + 8, exch_ts)
    store_i64(at + 16, local_ts)
    store_f64(at + 24, px)
    store_f64(at + 32, qty)
    store_i64(at + 40, 0)
    store_i64(at + 48, 0)
    store_i64(at + 56, 0)
    s.row_count += 1


@inline
def _level_number(p, end):
    """The number at `p`, quoted or not, and the address behind it; 0 where there is none."""
    p = skip_blanks(p, end)
    is_quoted = p < end and load_u8(p) == 34
    value, p = decimal(p + 1 if is_quoted else p, end)
    if p == 0:
        return 0.0, 0
    if is_quoted:
        if p >= end or load_u8(p) != 34:
            return 0.0, 0
        p += 1
    return value, skip_blanks(p, end)


@inline
def add_levels(s, number, ev, exch_ts, local_ts):
    """Append a row for each level of a field such as `[["58710.20","0.014"],["61510.90","0"]]`.

    What stands behind price and quantity in a level is skipped.

    Returns:
        The number of levels; -1 where the field is missing or anything in it is not a level.
    """
    if number < 0:
        return -1
    p, end = text_of(s, number)
    if load_u8(p) != 91:
        return -1
    p = skip_blanks(p + 1, end)
    if p < end and load_u8(p) == 93:
        return 0
    count = 0
    while True:
        if p >= end or load_u8(p) != 91:
            return -1
        px, p = _level_number(p + 1, end)
        if p == 0 or p >= end or load_u8(p) != 44:
            return -1
        qty, p = _level_number(p + 1, end)
        while p != 0 and p < end and load_u8(p) == 44:
            p = value_end(skip_blanks(p + 1, end), end)
            if p != 0:
                p = skip_blanks(p, end)
        if p == 0 or p >= end or load_u8(p) != 93:
            return -1
        add_row(s, ev, exch_ts, local_ts, px, qty)
        count += 1
        p = skip_blanks(p + 1, end)
        if p >= end:
            return -1
        if load_u8(p) == 93:
            return count
        if load_u8(p) != 44:
            return -1
        p = skip_blanks(p + 1, end)


@inline
def name_number(s, category, start, end):
    """The number of a name among those of its category, which gets a place if it is new; -1 if all are taken."""
    size = min(end - start, NAME_SIZE)
    for number in range(s.name_count):
        at = s.names + number * (24 + NAME_SIZE)
        if load_i64(at) != category or load_i64(at + 8) != size:
            continue
        same = True
        for k in range(size):
            if load_u8(at + 24 + k) != load_u8(start + k):
                same = False
                break
        if same:
            return number
    if s.name_count == NAMES_MAX:
        return -1
    at = s.names + s.name_count * (24 + NAME_SIZE)
    store_i64(at, category)
    store_i64(at + 8, size)
    store_i64(at + 16, 0)
    for k in range(size):
        store_u8(at + 24 + k, load_u8(start + k))
    s.name_count += 1
    return s.name_count - 1


@inline
def count_name(s, category, start, end):
    """Count one more of a name; returns its number, -1 if it went to the others."""
    number = name_number(s, category, start, end)
    if number < 0:
        s.others += 1
        return -1
    at = s.names + number * (24 + NAME_SIZE) + 16
    store_i64(at, load_i64(at) + 1)
    return number


@inline
def is_chosen(s, number):
    """Count the line's symbol (a field's number); whether it is the one to convert.

    The first symbol is chosen if the user chose none. A message without a symbol belongs to it.
    """
    if number < 0:
        return True
    start, stop = text_of(s, number)
    symbol = count_name(s, SYMBOLS, start, stop)
    if s.chosen < 0 and symbol >= 0:
        s.chosen = symbol
    return symbol == s.chosen


@inline
def _place(places, count, s, local_ts, what, expected, got):
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
def follow(s, previous_id, update_id, local_ts):
    """Check that an update follows the last one (`previous_id` is the last `update_id`), and count if not."""
    if s.update_id >= 0 and previous_id != s.update_id:
        _place(s.gap_places, s.gap_count + s.repeat_count, s, local_ts, 0, s.update_id, previous_id)
        if previous_id > s.update_id:
            s.gap_count += 1
        else:
            s.repeat_count += 1
    s.update_id = update_id


@inline
def _local_ts(s, start, stop):
    """The line's time in nanoseconds from 19 digits of nanoseconds or 16 of microseconds; -1 if it is neither."""
    size = stop - start
    if size == 19:
        high = integer(start, start + 10)
        low = integer(start + 10, stop)
        if high < 0 or low < 0 or high >= 9_000_000_000:
            return -1
        s.lines_in_ns += 1
        return high * 1_000_000_000 + low
    if size == 16:
        value = integer(start, stop)
        if value < 0:
            return -1
        s.lines_in_us += 1
        return value * 1000
    return -1


@inline
def _open_message(s, start, stop):
    """Note the time and the fields of the line; 0, or why it has none."""
    blank = start
    while blank < stop and load_u8(blank) != 32 and load_u8(blank) != 9:
        blank += 1
    s.local_ts = _local_ts(s, start, blank)
    if s.local_ts < 0:
        return TIMESTAMP
    message = skip_blanks(blank, stop)
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
def start_block(s):
    """Begin with the block that the state describes, or go on with it behind `consumed`."""
    s.row_mark = s.row_count
    s.snapshot_row = -1
    s.code = DONE


@inline
def next_message(s):
    """Go to the next line that is a message, and note its fields and its time.

    Returns:
        False behind the last whole line of the block (`code` is DONE), before a line for which there may not be room
        (ROWS_FULL), and behind a snapshot (SNAPSHOT), whose rows begin at `snapshot_row`.
    """
    end = s.text + s.size
    while s.code == DONE:
        p = s.text + s.consumed
        newline = _memchr(p, 10, end - p) if p < end else 0
        if p >= end or (newline == 0 and not s.at_end):
            return False
        stop = newline if newline else end
        # A level takes six bytes or more (`[1,2],`), and other messages give a few rows.
        if s.row_capacity - s.row_count < (stop - p) // 6 + 16:
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
def end_message(s, reason):
    """Keep the rows that were added for the message if the reason is 0, else drop them and count the line."""
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


class Scan:
    """The state of a reader and the arrays that it points to."""

    def __init__(self) -> None:
        self.state = np.zeros(1, state_dtype)
        self._fields = np.zeros((FIELDS_MAX, 4), np.int64)
        self.names = np.zeros(NAMES_MAX, name_dtype)
        self.gap_places = np.zeros(PLACES_MAX, place_dtype)
        self.bad_places = np.zeros(PLACES_MAX, place_dtype)
        record = self.record
        record["fields"] = self._fields.ctypes.data
        record["names"] = self.names.ctypes.data
        record["gap_places"] = self.gap_places.ctypes.data
        record["bad_places"] = self.bad_places.ctypes.data
        record["chosen"] = -1
        record["update_id"] = -1

    @property
    def record(self) -> Any:
        """The state; its fields can be read and set."""
        return self.state[0]

    @property
    def address(self) -> int:
        """Where the state is, for the compiled reader."""
        return self.state.ctypes.data

    def choose(self, symbol: str) -> None:
        """Convert this symbol only, whichever comes first."""
        name = symbol.upper().encode()[:NAME_SIZE]
        self.names[0] = (SYMBOLS, len(name), 0, name)
        self.record["name_count"] = 1
        self.record["chosen"] = 0

    def counts(self, category: int) -> dict[str, int]:
        """How often each name of a category came, the most frequent first."""
        rows = self.names[: int(self.record["name_count"])]
        rows = rows[(rows["category"] == category) & (rows["count"] > 0)]
        pairs = [(name.decode("utf-8", "replace"), int(count)) for name, count in rows[["name", "count"]]]
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
