"""Requests on their way from the bots' rings to the exchanges, and the answers on their way back."""

# pyright: basic

from hftd.channel.layout import (
    BOT_WAIT_FLAGS,
    BOT_WAIT_INSTRUMENT,
    BOT_WAIT_ORDER_ID,
    BROKEN,
    MESSAGE,
    WAIT_ONE_ORDER,
)
from hftd.channel.messages import (
    CANCEL,
    FIELDS_MESSAGE_BYTES,
    MODIFY,
    SUBMIT,
    read_cancel,
    read_modify,
    read_submit,
    read_tag,
    write_order_update,
)
from hftd.channel.queue import queue_claim, queue_commit, queue_peek, queue_release
from hftd.channel.ring import next_stamp
from hftd.compiled.jit import inline
from hftd.compiled.layout import offset_of, request_dtype
from hftd.compiled.native import copy_bytes, load_f64, load_i64, record_at, stack_bytes
from hftd.compiled.row_access import is_qty, is_tick
from hftd.hbt.orders import update_at
from hftd.rows import Address, Ns
from hftd.types import CANCELED, NEW, REPLACED
from sim.engine.account import LANE_TO_EXCH, LANE_TO_LOCAL
from sim.engine.bus import REQUESTS_MASK, UPDATES_MASK, bus_at, bus_is_full, bus_pop
from sim.engine.exchange import push_request
from sim.engine.life import note_answer
from sim.engine.run import engine_at, exchange_address
from sim.model.latency import LANE_BYTES, exchange_at
from sim.model.layout import NEVER, UPDATE_BYTES
from sim.replay.layout import BOT_BYTES, bot_at, play_at

request_at = record_at(request_dtype)
_REQUEST_FIELDS = offset_of(request_dtype, "instrument")
_UPDATE_FIELDS = 8


@inline
def lane_of(play: Address, asset_no: int, bot_no: int):
    """The lane of a bot at an asset's exchange."""
    return exchange_at(exchange_address(play_at(play).engine, asset_no)).lanes + bot_no * LANE_BYTES


@inline
def publish_updates(play: Address, asset_no: int, bot_no: int, limit_ns: Ns):
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
        note_answer(exchange_address(p.engine, asset_no), lane, update)
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
def read_requests(play: Address, bot_no: int) -> bool:
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
            asset_no = r.instrument
            if asset_no < 0 or asset_no >= e.num_assets or load_i64(bot.instruments + 8 * asset_no) == 0:
                return False
            # Latencies are looked up by the request's time, which goes on from request to request.
            if r.local_ts < bot.sent_ns or r.local_ts > p.now_ns:
                return False
            if not _is_sane(r):
                return False
            lane = lane_of(play, asset_no, bot_no)
            if bus_is_full(lane + LANE_TO_EXCH, REQUESTS_MASK):
                # It stays in the ring until some have arrived; the bot sees that its ring gets full.
                break
            queue_release(queue)
            bot.orders += 1
            bot.sent_ns = r.local_ts
            exchange = exchange_address(p.engine, asset_no)
            # Where no data comes any more the bots' clocks part, and nothing is left that one could see too early.
            now_ns = bot.now_ns if exchange_at(exchange).stream.next_ts == NEVER else p.now_ns
            push_request(exchange, lane, request, now_ns)
    return True


@inline
def _is_sane(r):
    """What a session's own checks let through; another writer's nonsense does not reach the engine."""
    if r.kind == CANCELED:
        return True
    # A session refuses an order of nothing, and of `LOTS_MAX` and more; lots are not known here.
    if not (r.qty > 0.0 and is_qty(r.qty) and is_tick(r.price_tick)):
        return False
    if r.kind == REPLACED:
        return True
    return (r.side == 1 or r.side == -1) and 0 <= r.order_type <= 1 and 0 <= r.time_in_force <= 3
