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

import numpy as np

from hftd.book import ask_above, ask_qty, bid_below, bid_qty, book_at
from hftd.channel.layout import (
    BOT_WAIT_FLAGS,
    BOT_WAIT_INSTRUMENT,
    BOT_WAIT_ORDER_ID,
    BOT_WAIT_UNTIL_NS,
    BROKEN,
    CLOCK_NOW_NS,
    LINK_DAEMON_ASLEEP,
    LINK_MARKET_CURSOR,
    MARKET_CAPACITY,
    MARKET_TAIL,
    MAX_ROWS,
    MESSAGE,
    ROW_BYTES,
    WAIT_ANY_ORDER,
    WAIT_FEED,
    WAIT_ONE_ORDER,
)
from hftd.channel.messages import (
    CANCEL,
    FIELDS_MESSAGE_BYTES,
    MODIFY,
    SUBMIT,
    feed_length,
    read_cancel,
    read_modify,
    read_submit,
    read_tag,
    write_feed_header,
    write_order_update,
)
from hftd.channel.queue import queue_claim, queue_commit, queue_peek, queue_release
from hftd.channel.ring import (
    market_claim,
    market_commit,
    market_count_rows,
    market_need,
    next_stamp,
)
from hftd.channel.wait import (
    TRY_SPIN_EVERY,
    bell_ring,
    doorbell_arm,
    doorbell_disarm,
    doorbell_wait,
    next_spin_ns,
    wait_asked,
    wait_grant,
)
from hftd.clock import steady_ns
from hftd.feed import apply_book_row
from hftd.jit import inline, kernel
from hftd.layout import offset_of, request_dtype
from hftd.native import (
    call_code,
    copy_bytes,
    load_acquire,
    load_f64,
    load_i64,
    pause,
    record_at,
    stack_bytes,
    store_f64,
    store_i64,
    store_release,
)
from hftd.orders import update_at
from hftd.types import CANCELED, ERR_DATA, INVALID_MAX, INVALID_MIN, LOCAL_EVENT, NEW, REPLACED
from sim.engine.account import LANE_TO_EXCH, LANE_TO_LOCAL
from sim.engine.bus import REQUESTS_MASK, UPDATES_MASK, bus_at, bus_is_full, bus_pop
from sim.engine.exchange import LANE_BYTES, push_request
from sim.engine.latency import exchange_at
from sim.engine.layout import NEVER, UPDATE_BYTES
from sim.engine.prepare import stream_at
from sim.engine.run import (
    STREAM,
    STREAM_BYTES,
    engine_at,
    exchange_address,
    next_exchange_ts,
    refill,
    step_exchange_to_response,
)

request_at = record_at(request_dtype)

# What `play` returns.
SLICE_OVER = 0
ALL_OVER = 1  # every bot was told that the data is over
DATA_ERROR = 2
BOT_BROKEN = 3  # `broken` says which

ASLEEP = LINK_DAEMON_ASLEEP
_STEP_NS = 1_000_000_000
"""A long wait is walked through in steps of this, so that the run can be watched and left."""

_SPEED_NAP_NS = 200_000
"""With a speed, how long the loop naps while nothing happens."""

bot_dtype = np.dtype(
    [
        ("active", "i8"),
        ("page", "i8"),
        ("answered", "i8"),  # the number of the last wait that was answered
        ("waiting", "i8"),  # the number of the wait that is under way, 0 if the bot is busy
        ("fed", "i8"),  # whether rows of its instruments were published during it
        ("responded", "i8"),
        ("matched", "i8"),  # whether the answer that it waits for was
        ("over", "i8"),  # whether it was told that the data is over
        ("links", "i8"),  # by channel: the link's address, 0 where the bot is not attached
        ("requests", "i8"),  # by channel: the request queue's descriptor
        ("responses", "i8"),
        ("instruments", "i8"),  # by asset: whether the bot trades it
        ("orders", "i8"),  # requests and executions so far
        ("fills", "i8"),
    ],
    align=True,
)
"""A bot of the run; its number is the number of its lanes."""

play_dtype = np.dtype(
    [
        ("engine", "i8"),
        ("bots", "i8"),
        ("num_bots", "i8"),  # the highest number of a bot so far, and one
        ("num_channels", "i8"),
        ("rings", "i8"),  # by channel
        ("slowest", "i8"),  # by channel: how far the slowest bot had read when last looked at
        ("asset_channels", "i8"),  # by asset
        ("clock", "i8"),
        ("doorbell_fd", "i8"),
        ("attention", "i8"),  # set by the other thread: return at once
        ("now_ns", "i8"),
        ("limit_ns", "i8"),
        ("publishing", "i8"),  # whether what may be seen up to limit_ns is on its way into the rings
        ("rows", "i8"),  # published
        ("spin_ns", "i8"),  # at most
        ("spin_now_ns", "i8"),
        ("rests", "i8"),
        ("broken", "i8"),
        ("speed", "f8"),  # 0 in lockstep
        ("wall_start_ns", "i8"),
        ("sim_start_ns", "i8"),
        ("held_up_by", "i8"),  # 1 + the bot that the run waits for, 0 if none
    ],
    align=True,
)

ATTENTION = offset_of(play_dtype, "attention")

play_at = record_at(play_dtype)
bot_at = record_at(bot_dtype)
BOT_BYTES = bot_dtype.itemsize
_EV, _EXCH_TS, _LOCAL_TS, _PX, _QTY = 0, 8, 16, 24, 32
_REQUEST_FIELDS = offset_of(request_dtype, "instrument")
_UPDATE_FIELDS = 8


# --- Rows of market data ----------------------------------------------------------------------------------------------


@inline
def next_local_ts(engine, asset_no):
    """When the bots see the next row of an asset; NEVER at the end. Opens files, and steps over others' rows."""
    e = engine_at(engine)
    s = stream_at(e.locals + asset_no * STREAM_BYTES)
    if s.next_ts != NEVER or s.ended != 0:
        return s.next_ts
    while True:
        row = s.row
        end = s.rows_end
        while row < end and (load_i64(row + _EV) & LOCAL_EVENT) == 0:
            row += ROW_BYTES
        s.row = row
        if row < end:
            s.next_ts = load_i64(row + _LOCAL_TS) + s.offset_ns
            if s.next_ts < s.last_ts:
                s.error = 1
                s.error_row = row
                s.ended = 1
                s.next_ts = NEVER
                e.error = ERR_DATA
            return s.next_ts
        code = call_code(e.fn_next_file, (engine, asset_no, 1))
        if code != 0:
            s.ended = 1
            if code != 1:
                e.error = ERR_DATA
            return NEVER


@inline
def _count_rows(stream, limit_ns):
    """How many of the next rows (at most a message's) are seen by then: (rows to publish, raw rows they span)."""
    s = stream_at(stream)
    row = s.row
    end = s.rows_end
    shift_ns = s.offset_ns
    last_ts = s.last_ts
    count = 0
    while row < end and count < MAX_ROWS:
        if (load_i64(row + _EV) & LOCAL_EVENT) != 0:
            ts = load_i64(row + _LOCAL_TS) + shift_ns
            # A row that goes back in time is left where it is: it stops the run when it is next.
            if ts > limit_ns or ts < last_ts:
                break
            last_ts = ts
            count += 1
        row += ROW_BYTES
    return count, (row - s.row) // ROW_BYTES


@inline
def _copy_rows(stream, target, span):
    """Copy the local side's rows of a span, on the bot's clock, and go behind them."""
    s = stream_at(stream)
    row = s.row
    shift_ns = s.offset_ns
    run = row
    for _ in range(span):
        if (load_i64(row + _EV) & LOCAL_EVENT) == 0:
            copy_bytes(target, run, row - run)
            target += row - run
            run = row + ROW_BYTES
        else:
            s.last_ts = load_i64(row + _LOCAL_TS) + shift_ns
        row += ROW_BYTES
    copy_bytes(target, run, row - run)
    s.row = row
    s.next_ts = NEVER


@inline
def _shift_rows(target, count, shift_ns):
    for i in range(count):
        address = target + i * ROW_BYTES + _LOCAL_TS
        store_i64(address, load_i64(address) + shift_ns)


@inline
def _has_room(play, channel_no, need):
    """Whether so many bytes can be published without passing the slowest bot."""
    p = play_at(play)
    ring = load_i64(p.rings + 8 * channel_no)
    tail = load_i64(ring + MARKET_TAIL)
    capacity = load_i64(ring + MARKET_CAPACITY)
    # The bots' words are looked at only when those seen last do not do: each look takes a cache line away.
    if tail + need - load_i64(p.slowest + 8 * channel_no) <= capacity:
        return True
    slowest = tail
    holder = 0
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0:
            link = load_i64(bot.links + 8 * channel_no)
            if link != 0:
                # A cursor that can't be is taken for one that has not moved.
                cursor = load_acquire(link + LINK_MARKET_CURSOR)
                if cursor > tail or cursor < tail - capacity:
                    cursor = tail - capacity
                if cursor < slowest:
                    slowest = cursor
                    holder = 1 + i
    store_i64(p.slowest + 8 * channel_no, slowest)
    if tail + need - slowest <= capacity:
        return True
    p.held_up_by = holder
    return False


@inline
def _publish_rows(play, asset_no, limit_ns):
    """Publish an asset's rows up to then. Returns whether all are; if not, a bot must read first."""
    p = play_at(play)
    engine = p.engine
    stream = engine_at(engine).locals + asset_no * STREAM_BYTES
    channel_no = load_i64(p.asset_channels + 8 * asset_no)
    ring = load_i64(p.rings + 8 * channel_no)
    while True:
        ts = next_local_ts(engine, asset_no)
        if ts > limit_ns or ts == NEVER:
            return True
        count, span = _count_rows(stream, limit_ns)
        length = feed_length(asset_no, count)
        if not _has_room(play, channel_no, market_need(ring, length)):
            return False
        target = write_feed_header(market_claim(ring, length), asset_no, count)
        _copy_rows(stream, target, span)
        if stream_at(stream).offset_ns != 0:
            _shift_rows(target, count, stream_at(stream).offset_ns)
        market_commit(ring, next_stamp(p.clock))
        market_count_rows(ring, count)
        p.rows += count
        for i in range(p.num_bots):
            bot = bot_at(p.bots + i * BOT_BYTES)
            if bot.active != 0 and load_i64(bot.instruments + 8 * asset_no) != 0:
                bot.fed = 1


# --- Orders -----------------------------------------------------------------------------------------------------------


@inline
def lane_of(play, asset_no, bot_no):
    """The lane of a bot at an asset's exchange."""
    return exchange_at(exchange_address(play_at(play).engine, asset_no)).lanes + bot_no * LANE_BYTES


@inline
def _publish_updates(play, asset_no, bot_no, limit_ns):
    """Send a bot the answers that reach it by then.

    Returns 1 if all are sent, 0 if it must read first, -1 if it is broken.
    """
    p = play_at(play)
    bot = bot_at(p.bots + bot_no * BOT_BYTES)
    lane = lane_of(play, asset_no, bot_no)
    bus = bus_at(lane + LANE_TO_LOCAL)
    queue = load_i64(bot.responses + 8 * load_i64(p.asset_channels + 8 * asset_no))
    message = stack_bytes(FIELDS_MESSAGE_BYTES)
    while bus.head_ts <= limit_ns and bus.head_ts != NEVER:
        update = bus.entries + (bus.head & UPDATES_MASK) * UPDATE_BYTES
        length = write_order_update(message, update + _UPDATE_FIELDS)
        target = queue_claim(queue, length)
        if target == BROKEN:
            return -1
        if target == 0:
            p.held_up_by = 1 + bot_no
            return 0
        copy_bytes(target, message, length)
        queue_commit(queue, next_stamp(p.clock))
        u = update_at(update)
        bot.responded = 1
        bot.fills += u.executed
        page = bot.page
        if (
            u.order_id == load_i64(page + BOT_WAIT_ORDER_ID)
            and load_i64(page + BOT_WAIT_INSTRUMENT) == asset_no
            and (load_i64(page + BOT_WAIT_FLAGS) & WAIT_ONE_ORDER) != 0
        ):
            bot.matched = 1
        bus_pop(lane + LANE_TO_LOCAL, UPDATE_BYTES, UPDATES_MASK)
    return 1


@inline
def _read_requests(play, bot_no):
    """Hand the requests that a bot wrote to its lanes. Returns whether they all were the protocol's."""
    p = play_at(play)
    bot = bot_at(p.bots + bot_no * BOT_BYTES)
    e = engine_at(p.engine)
    request = stack_bytes(128)
    r = request_at(request)
    fields = request + _REQUEST_FIELDS
    words = stack_bytes(64)
    for channel_no in range(p.num_channels):
        queue = load_i64(bot.requests + 8 * channel_no)
        if queue == 0:
            continue
        while True:
            status, message, length, _stamp = queue_peek(queue)
            if status != MESSAGE:
                if status == BROKEN:
                    return False
                break
            end = message + length
            tag = read_tag(message, end)
            if tag == SUBMIT:
                r.kind = NEW
                if not read_submit(message, end, fields):
                    return False
            elif tag == CANCEL:
                r.kind = CANCELED
                if not read_cancel(message, end, words):
                    return False
                r.instrument = load_i64(words)
                r.order_id = load_i64(words + 8)
                r.local_ts = load_i64(words + 16)
                r.side = 0
                r.order_type = 0
                r.time_in_force = 0
                r.price_tick = 0
                r.qty = 0.0
            elif tag == MODIFY:
                r.kind = REPLACED
                if not read_modify(message, end, words):
                    return False
                r.instrument = load_i64(words)
                r.order_id = load_i64(words + 8)
                r.price_tick = load_i64(words + 16)
                r.qty = load_f64(words + 24)
                r.local_ts = load_i64(words + 32)
                r.side = 0
                r.order_type = 0
                r.time_in_force = 0
            else:
                return False
            queue_release(queue)
            asset_no = r.instrument
            if asset_no < 0 or asset_no >= e.num_assets or load_i64(bot.instruments + 8 * asset_no) == 0:
                return False
            if not _is_sane(r.side, r.order_type, r.time_in_force, r.qty, r.kind):
                return False
            lane = lane_of(play, asset_no, bot_no)
            if bus_is_full(lane + LANE_TO_EXCH, REQUESTS_MASK):
                return False
            bot.orders += 1
            push_request(exchange_address(p.engine, asset_no), lane, request, p.now_ns)
    return True


@inline
def _is_sane(side, order_type, time_in_force, qty, kind):
    """What a session's own checks let through; another writer's nonsense does not reach the engine."""
    if kind == CANCELED:
        return True
    if not (qty > 0.0 and qty < 1e300):
        return False
    if kind == REPLACED:
        return True
    return (side == 1 or side == -1) and 0 <= order_type <= 1 and 0 <= time_in_force <= 3


# --- Waiting ----------------------------------------------------------------------------------------------------------


@inline
def _note_waits(play):
    """See which bots have begun to wait. Returns 1 if all wait, 0 if one does not, -1 if one is broken."""
    p = play_at(play)
    all_wait = 1
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active == 0 or bot.waiting != 0:
            continue
        asked = wait_asked(bot.page)
        if asked == bot.answered:
            # One that was told that the data is over holds nobody up.
            if bot.over != 0:
                continue
            if p.speed == 0.0:
                p.held_up_by = 1 + i
            all_wait = 0
            continue
        bot.waiting = asked
        if not _read_requests(play, i):
            p.broken = i
            return -1
    return all_wait


@inline
def _wake_ts(play, bot_no):
    """The earliest moment at which a waiting bot must wake, as far as it is known without answers to orders."""
    p = play_at(play)
    bot = bot_at(p.bots + bot_no * BOT_BYTES)
    until = load_i64(bot.page + BOT_WAIT_UNTIL_NS)
    if (load_i64(bot.page + BOT_WAIT_FLAGS) & WAIT_FEED) != 0:
        for asset_no in range(engine_at(p.engine).num_assets):
            if load_i64(bot.instruments + 8 * asset_no) != 0:
                until = min(until, next_local_ts(p.engine, asset_no))
    return until


@inline
def _wake_ts_of_answers(play, bot_no, limit_ns):
    """The moment at which an answer wakes a bot, or `limit_ns`; lets the exchanges go on as far as it takes."""
    p = play_at(play)
    bot = bot_at(p.bots + bot_no * BOT_BYTES)
    flags = load_i64(bot.page + BOT_WAIT_FLAGS)
    if (flags & WAIT_ANY_ORDER) != 0:
        for asset_no in range(engine_at(p.engine).num_assets):
            if load_i64(bot.instruments + 8 * asset_no) != 0:
                lane = lane_of(play, asset_no, bot_no)
                limit_ns = step_exchange_to_response(p.engine, asset_no, lane, 0, True, limit_ns)
    elif (flags & WAIT_ONE_ORDER) != 0:
        asset_no = load_i64(bot.page + BOT_WAIT_INSTRUMENT)
        if 0 <= asset_no < engine_at(p.engine).num_assets:
            lane = lane_of(play, asset_no, bot_no)
            order_id = load_i64(bot.page + BOT_WAIT_ORDER_ID)
            limit_ns = step_exchange_to_response(p.engine, asset_no, lane, order_id, False, limit_ns)
    return limit_ns


@inline
def _find_limit(play):
    """How far the run may go now."""
    p = play_at(play)
    limit_ns = NEVER
    if p.now_ns < NEVER - _STEP_NS:
        limit_ns = p.now_ns + _STEP_NS
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0 and bot.waiting != 0:
            limit_ns = min(limit_ns, _wake_ts(play, i))
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0 and bot.waiting != 0:
            limit_ns = _wake_ts_of_answers(play, i, limit_ns)
    # A wait for what was there before it was asked.
    return max(limit_ns, p.now_ns)


@inline
def data_is_over(engine):
    """Whether neither the exchanges nor the bots will see another row."""
    for asset_no in range(engine_at(engine).num_assets):
        if exchange_at(exchange_address(engine, asset_no)).stream.next_ts != NEVER:
            return False
        if next_local_ts(engine, asset_no) != NEVER:
            return False
    return True


@inline
def _nothing_is_on_its_way(play, bot_no):
    p = play_at(play)
    for asset_no in range(engine_at(p.engine).num_assets):
        lane = lane_of(play, asset_no, bot_no)
        if bus_at(lane + LANE_TO_EXCH).head_ts != NEVER or bus_at(lane + LANE_TO_LOCAL).head_ts != NEVER:
            return False
    return True


@inline
def _answer_waits(play):
    """Wake the bots whose waits are over at the clock's time, and those for which nothing comes any more."""
    p = play_at(play)
    is_over = data_is_over(p.engine)
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active == 0 or bot.waiting == 0:
            continue
        flags = load_i64(bot.page + BOT_WAIT_FLAGS)
        answer = 0
        if is_over and _nothing_is_on_its_way(play, i):
            answer = -bot.waiting
            bot.over = 1
        elif (
            load_i64(bot.page + BOT_WAIT_UNTIL_NS) <= p.now_ns
            or ((flags & WAIT_FEED) != 0 and bot.fed != 0)
            or ((flags & WAIT_ANY_ORDER) != 0 and bot.responded != 0)
            or ((flags & WAIT_ONE_ORDER) != 0 and bot.matched != 0)
        ):
            answer = bot.waiting
        if answer != 0:
            bot.answered = bot.waiting
            bot.waiting = 0
            # From here on what is published belongs to the next wait.
            bot.fed = 0
            bot.responded = 0
            bot.matched = 0
            wait_grant(bot.page, answer)
            bell_ring(bot.page)


@inline
def _ring_all(play):
    """Let the bots read: the rings are full, or the run is not in lockstep."""
    p = play_at(play)
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0:
            bell_ring(bot.page)


@inline
def _publish(play):
    """Publish all that may be seen up to the limit. Returns 1 if it is, 0 if a bot must read first, -1 if broken."""
    p = play_at(play)
    # In the order in which one moment's events reach a bot: asset by asset, data before answers.
    for asset_no in range(engine_at(p.engine).num_assets):
        if not _publish_rows(play, asset_no, p.limit_ns):
            return 0
        for i in range(p.num_bots):
            bot = bot_at(p.bots + i * BOT_BYTES)
            if bot.active != 0 and load_i64(bot.instruments + 8 * asset_no) != 0:
                sent = _publish_updates(play, asset_no, i, p.limit_ns)
                if sent != 1:
                    p.broken = i
                    return sent
    return 1


@inline
def _arm(play, arm):
    p = play_at(play)
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0:
            for channel_no in range(p.num_channels):
                link = load_i64(bot.links + 8 * channel_no)
                if link != 0:
                    if arm:
                        doorbell_arm(link + ASLEEP)
                    else:
                        doorbell_disarm(link + ASLEEP)


@inline
def _any_news(play):
    """Whether a bot that was busy waits now."""
    p = play_at(play)
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0 and bot.waiting == 0 and wait_asked(bot.page) != bot.answered:
            return True
    return False


@inline
def _rest(play, until_ns, sleep_ns):
    """Wait for a bot: spin a while, then sleep until a doorbell rings."""
    p = play_at(play)
    p.rests += 1
    spin_ns = min(p.spin_now_ns, p.spin_ns) if p.rests % TRY_SPIN_EVERY != 0 else p.spin_ns
    if spin_ns > 0:
        start_ns = steady_ns()
        while steady_ns() - start_ns < spin_ns:
            for _ in range(16):
                pause()
                if _any_news(play) or load_acquire(play + ATTENTION) != 0:
                    p.spin_now_ns = next_spin_ns(spin_ns, p.spin_ns, True)
                    return
        p.spin_now_ns = next_spin_ns(spin_ns, p.spin_ns, False)
    _arm(play, True)
    if not _any_news(play) and load_acquire(play + ATTENTION) == 0:
        doorbell_wait(p.doorbell_fd, 0, max(min(sleep_ns, until_ns - steady_ns()), 0))
    _arm(play, False)


@inline
def _is_all_over(play):
    p = play_at(play)
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0 and bot.over == 0:
            return False
    return True


@kernel("int64(int64, int64)")
def play(state, slice_ns):
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
            all_wait = _note_waits(state)
            if all_wait < 0:
                return BOT_BROKEN
            if p.speed == 0.0:
                if all_wait == 0:
                    _rest(state, until_ns, slice_ns)
                    if steady_ns() >= until_ns:
                        return SLICE_OVER
                    continue
                p.held_up_by = 0
                if _is_all_over(state):
                    # One that waits again is told again.
                    _answer_waits(state)
                    return ALL_OVER
                p.limit_ns = _find_limit(state)
            else:
                wall_ns = steady_ns() - p.wall_start_ns
                limit_ns = p.sim_start_ns + int(float(wall_ns) * p.speed)
                p.limit_ns = max(limit_ns, p.now_ns)
                for i in range(p.num_bots):
                    if bot_at(p.bots + i * BOT_BYTES).active != 0 and not _read_requests(state, i):
                        p.broken = i
                        return BOT_BROKEN
            for asset_no in range(e.num_assets):
                if next_exchange_ts(p.engine, asset_no) <= p.limit_ns:
                    call_code(e.fn_advance_exchange, (p.engine, asset_no, p.limit_ns))
                if exchange_at(exchange_address(p.engine, asset_no)).error != 0:
                    e.error = exchange_at(exchange_address(p.engine, asset_no)).error
            p.publishing = 1
        published = _publish(state)
        if published < 0:
            return BOT_BROKEN
        if published == 0:
            _ring_all(state)
            if steady_ns() >= until_ns:
                return SLICE_OVER
            # The bots read while they wait; those that sleep were rung.
            doorbell_wait(p.doorbell_fd, 0, 20_000)
            continue
        p.publishing = 0
        # Data that ended leaves the clock where it was.
        if p.limit_ns != NEVER:
            p.now_ns = p.limit_ns
        store_release(p.clock + CLOCK_NOW_NS, p.now_ns)
        rows_before = p.rows
        _answer_waits(state)
        if p.speed != 0.0:
            _ring_all(state)
            if _is_all_over(state):
                return ALL_OVER
            if p.rows == rows_before:
                doorbell_wait(p.doorbell_fd, 0, _SPEED_NAP_NS)


@kernel("int64(int64)")
def start(state):
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
def follow_book(book, row, end):
    """Apply the local side's rows between two addresses to a book."""
    count = 0
    while row < end:
        ev = load_i64(row + _EV)
        if (ev & LOCAL_EVENT) != 0:
            apply_book_row(book, ev, load_f64(row + _PX), load_f64(row + _QTY))
            count += 1
        row += ROW_BYTES
    return count


@kernel("int64(int64, int64, int64, int64)")
def write_levels(book, side, out, capacity):
    """Write a book's levels from the best price outwards as pairs of tick and quantity. Returns how many there are.

    Levels beyond the opposite best, which a crossing left behind, are not the market's and are left out.
    """
    b = book_at(book)
    count = 0
    tick = b.best_bid_tick if side > 0 else b.best_ask_tick
    while tick != INVALID_MIN and tick != INVALID_MAX:
        if count < capacity:
            store_i64(out + 16 * count, tick)
            store_f64(out + 16 * count + 8, bid_qty(book, tick) if side > 0 else ask_qty(book, tick))
        count += 1
        tick = bid_below(book, tick) if side > 0 else ask_above(book, tick)
    return count
