"""The bots' waits: when the first of them must wake, and which of them are over."""

# pyright: basic

from hftd.channel.layout import (
    BOT_WAIT_FLAGS,
    BOT_WAIT_INSTRUMENT,
    BOT_WAIT_ORDER_ID,
    BOT_WAIT_UNTIL_NS,
    LINK_DAEMON_ASLEEP,
    WAIT_ANY_ORDER,
    WAIT_FEED,
    WAIT_ONE_ORDER,
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
from hftd.compiled.jit import inline
from hftd.compiled.native import call_code, load_acquire, load_i64, pause, store_i64
from hftd.rows import Address, Ns
from sim.engine.account import LANE_TO_EXCH, LANE_TO_LOCAL
from sim.engine.bus import bus_at
from sim.engine.run import engine_at, exchange_address, matching_response_ts, next_exchange_ts
from sim.model.latency import exchange_at
from sim.model.layout import NEVER
from sim.replay.layout import ATTENTION, BOT_BYTES, bot_at, play_at
from sim.replay.requests import lane_of, read_requests
from sim.replay.rows import next_local_ts

_STEP_NS = 1_000_000_000
"""A long wait is walked through in steps of this, so that the run can be watched and left."""


@inline
def _nothing_is_on_its_way(play: Address, bot_no: int) -> bool:
    p = play_at(play)
    for asset_no in range(engine_at(p.engine).num_assets):
        lane = lane_of(play, asset_no, bot_no)
        if bus_at(lane + LANE_TO_EXCH).head_ts != NEVER or bus_at(lane + LANE_TO_LOCAL).head_ts != NEVER:
            return False
    return True


@inline
def note_waits(play: Address):
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
        if asked != bot.answered + 1 or not read_requests(play, i):
            p.broken = i
            return -1
        bot.waiting = asked
        if bot.over != 0 and not _nothing_is_on_its_way(play, i):
            # It goes on trading after the data: its requests are still answered.
            bot.over = 0
    return all_wait


@inline
def _wake_ts(play: Address, bot_no: int):
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
def _answer_ts(play: Address, bot_no: int):
    """When the first answer on its way that a waiting bot waits for reaches it, NEVER if there is none yet."""
    p = play_at(play)
    bot = bot_at(p.bots + bot_no * BOT_BYTES)
    flags = load_i64(bot.page + BOT_WAIT_FLAGS)
    ts = NEVER
    if (flags & WAIT_ANY_ORDER) != 0:
        for asset_no in range(engine_at(p.engine).num_assets):
            if load_i64(bot.instruments + 8 * asset_no) != 0:
                ts = min(ts, matching_response_ts(lane_of(play, asset_no, bot_no), 0, True))
    elif (flags & WAIT_ONE_ORDER) != 0:
        asset_no = load_i64(bot.page + BOT_WAIT_INSTRUMENT)
        if 0 <= asset_no < engine_at(p.engine).num_assets:
            order_id = load_i64(bot.page + BOT_WAIT_ORDER_ID)
            ts = matching_response_ts(lane_of(play, asset_no, bot_no), order_id, False)
    return ts


@inline
def _note_awaited(play: Address):
    """Mark the assets of which an answer would wake a bot. Returns whether there are any."""
    p = play_at(play)
    num_assets = engine_at(p.engine).num_assets
    for asset_no in range(num_assets):
        store_i64(p.awaited + 8 * asset_no, 0)
    found = False
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active == 0 or bot.waiting == 0:
            continue
        flags = load_i64(bot.page + BOT_WAIT_FLAGS)
        if (flags & WAIT_ANY_ORDER) != 0:
            for asset_no in range(num_assets):
                if load_i64(bot.instruments + 8 * asset_no) != 0:
                    store_i64(p.awaited + 8 * asset_no, 1)
                    found = True
        elif (flags & WAIT_ONE_ORDER) != 0:
            asset_no = load_i64(bot.page + BOT_WAIT_INSTRUMENT)
            if 0 <= asset_no < num_assets:
                store_i64(p.awaited + 8 * asset_no, 1)
                found = True
    return found


@inline
def _first_answer_ts(play: Address, limit_ns: Ns):
    """The moment at which an answer wakes a bot, or `limit_ns`; lets the exchanges go on as far as it takes.

    They go on event by event, the earliest first, and none gets ahead of the answer: what a bot sends when it is
    woken must find each of them as it is at that moment.
    """
    p = play_at(play)
    if not _note_awaited(play):
        return limit_ns
    while True:
        for i in range(p.num_bots):
            bot = bot_at(p.bots + i * BOT_BYTES)
            if bot.active != 0 and bot.waiting != 0:
                limit_ns = min(limit_ns, _answer_ts(play, i))
        first = 0
        ts = NEVER
        for asset_no in range(engine_at(p.engine).num_assets):
            if load_i64(p.awaited + 8 * asset_no) != 0:
                asset_ts = next_exchange_ts(p.engine, asset_no)
                if asset_ts < ts:
                    ts = asset_ts
                    first = asset_no
        if ts > limit_ns or ts == NEVER:
            return limit_ns
        call_code(engine_at(p.engine).fn_advance_exchange, (p.engine, first, ts))


@inline
def find_limit(play: Address):
    """How far the run may go now."""
    p = play_at(play)
    limit_ns = NEVER
    if p.now_ns < NEVER - _STEP_NS:
        limit_ns = p.now_ns + _STEP_NS
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0 and bot.waiting != 0:
            limit_ns = min(limit_ns, _wake_ts(play, i))
    # A wait may be for what was there before it was asked.
    return max(_first_answer_ts(play, limit_ns), p.now_ns)


@inline
def data_is_over(engine: Address) -> bool:
    """Whether neither the exchanges nor the bots will see another row."""
    for asset_no in range(engine_at(engine).num_assets):
        if exchange_at(exchange_address(engine, asset_no)).stream.next_ts != NEVER:
            return False
        if next_local_ts(engine, asset_no) != NEVER:
            return False
    return True


@inline
def answer_waits(play: Address) -> None:
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
            if answer > 0:
                bot.now_ns = p.now_ns
            # From here on what is published belongs to the next wait.
            bot.fed = 0
            bot.responded = 0
            bot.matched = 0
            wait_grant(bot.page, answer)
            bell_ring(bot.page)


@inline
def ring_all(play: Address) -> None:
    """Let the bots read: the rings are full, or the run is not in lockstep."""
    p = play_at(play)
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0:
            bell_ring(bot.page)


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
                        doorbell_arm(link + LINK_DAEMON_ASLEEP)
                    else:
                        doorbell_disarm(link + LINK_DAEMON_ASLEEP)


@inline
def _any_news(play: Address) -> bool:
    """Whether a bot that was busy waits now."""
    p = play_at(play)
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0 and bot.waiting == 0 and wait_asked(bot.page) != bot.answered:
            return True
    return False


@inline
def rest(play: Address, until_ns: Ns, sleep_ns: Ns) -> None:
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
def nothing_comes(play: Address) -> bool:
    """Whether the data is over and no bot has anything on its way."""
    p = play_at(play)
    if not data_is_over(p.engine):
        return False
    for i in range(p.num_bots):
        if bot_at(p.bots + i * BOT_BYTES).active != 0 and not _nothing_is_on_its_way(play, i):
            return False
    return True


@inline
def latest_wake_ts(play: Address):
    """Where data that ended leaves the clock: the wait that it ended in took no time."""
    p = play_at(play)
    ts = p.sim_start_ns
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0:
            ts = max(ts, bot.now_ns)
    return ts


@inline
def is_all_over(play: Address) -> bool:
    """Whether every bot was told that the data is over."""
    p = play_at(play)
    for i in range(p.num_bots):
        bot = bot_at(p.bots + i * BOT_BYTES)
        if bot.active != 0 and bot.over == 0:
            return False
    return True
