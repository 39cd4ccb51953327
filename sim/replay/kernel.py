"""The replay's loop, in compiled code: the exchange sides on one end, the bots' rings on the other.

Lockstep: when every bot waits, the loop finds the earliest moment at which one of them must wake, lets everything up
to then happen at the exchanges, publishes what the bots may see by then, moves the clock, and answers the waits that
are over. Nothing is published that lies beyond the clock, so a bot can't see the future, and a bot that is slow, or
stopped, only holds the run up.

With a speed the clock follows the wall's instead, and the bots' waits only decide when they are woken.

The loop returns to Python between slices of time, so the daemon's other thread can let bots in and out; everything it
needs to go on stands in the state.
"""

# pyright: basic

from hftd.book.book import book_at
from hftd.channel.layout import CLOCK_NOW_NS
from hftd.channel.wait import doorbell_wait
from hftd.clock import steady_ns
from hftd.compiled.jit import inline, kernel
from hftd.compiled.layout import BY_DAEMON
from hftd.compiled.native import call_code, load_acquire, load_i64, store_release
from hftd.compiled.row_access import ev_of
from hftd.hbt.feed import apply_book_row
from hftd.rows import BOOK_LOST, ROW_BYTES, Address, Ns
from hftd.types import ERR_RING_FULL, KIND_MASK, LOCAL_EVENT
from sim.engine.account import LANE_TO_LOCAL
from sim.engine.bus import UPDATES_MASK, bus_at
from sim.engine.run import STREAM, engine_at, exchange_address, next_exchange_ts, refill
from sim.feed.prepare import stream_at
from sim.model.latency import exchange_at
from sim.model.layout import NEVER
from sim.replay.layout import ATTENTION, BOT_BYTES, bot_at, play_at
from sim.replay.requests import lane_of, publish_updates, read_requests
from sim.replay.rows import next_local_ts, publish_rows
from sim.replay.waits import (
    answer_waits,
    find_limit,
    is_all_over,
    latest_wake_ts,
    note_waits,
    nothing_comes,
    rest,
    ring_all,
)

# What `play` returns.
SLICE_OVER = 0
ALL_OVER = 1  # every bot was told that the data is over
DATA_ERROR = 2
BOT_BROKEN = 3  # `broken` says which
BOT_FLOODED = 4  # `broken` says to which: more answers are on their way to it than have room

_SPEED_NAP_NS = 200_000
"""With a speed, how long the loop naps while nothing happens."""


@inline
def _publish(play: Address):
    """Publish all that may be seen up to the limit. Returns 1 if it is, 0 if a bot must read first, -1 if broken."""
    p = play_at(play)
    # In the order in which one moment's events reach a bot: asset by asset, data before answers.
    for asset_no in range(engine_at(p.engine).num_assets):
        if not publish_rows(play, asset_no, p.limit_ns):
            return 0
        for i in range(p.num_bots):
            bot = bot_at(p.bots + i * BOT_BYTES)
            if bot.active != 0 and load_i64(bot.instruments + 8 * asset_no) != 0:
                sent = publish_updates(play, asset_no, i, p.limit_ns)
                if sent != 1:
                    p.broken = i
                    return sent
    return 1


@inline
def _flooded_bot(play: Address):
    """A bot to which more answers are on their way than have room, -1 if there is none. Its orders are its own
    matter: the others go on.
    """
    p = play_at(play)
    for asset_no in range(engine_at(p.engine).num_assets):
        x = exchange_at(exchange_address(p.engine, asset_no))
        if x.error != ERR_RING_FULL:
            # What else is wrong is wrong for all.
            engine_at(p.engine).error |= x.error
            continue
        for i in range(p.num_bots):
            bus = bus_at(lane_of(play, asset_no, i) + LANE_TO_LOCAL)
            if bus.tail - bus.head > UPDATES_MASK + 1:
                return i
        x.error = 0
    return -1


@kernel("int64(int64, int64)")
def play(state: Address, slice_ns: Ns) -> int:
    """Go on with the run for a slice of real time, or until the other thread wants attention."""
    p = play_at(state)
    e = engine_at(p.engine)
    until_ns = steady_ns() + slice_ns
    looks = 0
    while True:
        if load_acquire(state + ATTENTION) != 0:
            return SLICE_OVER
        looks += 1
        if (looks & 63) == 0 and steady_ns() >= until_ns:
            return SLICE_OVER
        if e.error != 0:
            return DATA_ERROR
        if p.publishing == 0:
            all_wait = note_waits(state)
            if all_wait < 0:
                return BOT_BROKEN
            if p.speed == 0.0:
                if all_wait == 0:
                    rest(state, until_ns, slice_ns)
                    if steady_ns() >= until_ns:
                        return SLICE_OVER
                    continue
                p.held_up_by = 0
                if is_all_over(state):
                    # One that waits again is told again.
                    answer_waits(state)
                    return ALL_OVER
                p.limit_ns = find_limit(state)
            else:
                wall_ns = steady_ns() - p.wall_start_ns
                limit_ns = p.sim_start_ns + int(float(wall_ns) * p.speed)
                p.limit_ns = max(limit_ns, p.now_ns)
                for i in range(p.num_bots):
                    if bot_at(p.bots + i * BOT_BYTES).active != 0 and not read_requests(state, i):
                        p.broken = i
                        return BOT_BROKEN
            for asset_no in range(e.num_assets):
                if next_exchange_ts(p.engine, asset_no) <= p.limit_ns:
                    call_code(e.fn_advance_exchange, (p.engine, asset_no, p.limit_ns))
            p.broken = _flooded_bot(state)
            if p.broken >= 0:
                return BOT_FLOODED
            if e.error != 0:
                return DATA_ERROR
            p.publishing = 1
        published = _publish(state)
        if published < 0:
            return BOT_BROKEN
        if published == 0:
            ring_all(state)
            if steady_ns() >= until_ns:
                return SLICE_OVER
            # The bots read while they wait; those that sleep were rung.
            doorbell_wait(p.doorbell_fd, 0, 20_000)
            continue
        p.publishing = 0
        if p.speed == 0.0 and nothing_comes(state):
            p.now_ns = latest_wake_ts(state)
        elif p.limit_ns != NEVER:
            p.now_ns = p.limit_ns
        store_release(p.clock + CLOCK_NOW_NS, p.now_ns)
        rows_before = p.rows
        answer_waits(state)
        if p.speed != 0.0:
            ring_all(state)
            if is_all_over(state):
                return ALL_OVER
            if p.rows == rows_before:
                doorbell_wait(p.doorbell_fd, 0, _SPEED_NAP_NS)


@kernel("int64(int64)")
def start(state: Address) -> int:
    """Open the first files and set the clock to the earliest event. Returns 0, 1 if there is none, or an error."""
    p = play_at(state)
    e = engine_at(p.engine)
    earliest = NEVER
    for asset_no in range(e.num_assets):
        stream = exchange_address(p.engine, asset_no) + STREAM
        code = refill(p.engine, asset_no, stream)
        if code != 0:
            return code
        earliest = min(earliest, stream_at(stream).next_ts, next_local_ts(p.engine, asset_no))
    if e.error != 0:
        return e.error
    if earliest == NEVER:
        return 1
    p.now_ns = earliest
    p.sim_start_ns = earliest
    store_release(p.clock + CLOCK_NOW_NS, earliest)
    return 0


# --- Books for newcomers ----------------------------------------------------------------------------------------------


@kernel("int64(int64, int64, int64)")
def follow_book(book: Address, row: Address, end: Address) -> int:
    """Apply the local side's rows between two addresses to a book."""
    count = 0
    while row < end:
        ev = ev_of(row)
        if (ev & LOCAL_EVENT) != 0:
            kind = ev & KIND_MASK
            if kind >= BOOK_LOST:
                book_at(book).not_valid = BY_DAEMON if kind == BOOK_LOST else 0
            apply_book_row(book, row)
            count += 1
        row += ROW_BYTES
    return count
