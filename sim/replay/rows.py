"""Rows of market data on their way from the archives into the market rings."""

# pyright: basic

from hftd.book.book import book_at
from hftd.channel.layout import LINK_MARKET_CURSOR, MARKET_CAPACITY, MARKET_TAIL, MAX_ROWS
from hftd.channel.messages import feed_length, write_feed_header
from hftd.channel.ring import market_claim, market_commit, market_count_rows, market_need, next_stamp
from hftd.compiled.jit import inline
from hftd.compiled.native import call_code, copy_bytes, load_acquire, load_i64, store_i64
from hftd.compiled.row_access import ev_of, local_ts_of, px_of, qty_of, set_local_ts
from hftd.rows import ROW_BYTES, Address, Ns
from hftd.types import (
    ADD_ORDER_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    ERR_DATA,
    EXCH_EVENT,
    FILL_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    MODIFY_ORDER_EVENT,
    TRADE_EVENT,
)
from sim.engine.exchange import BOOK
from sim.engine.run import STREAM_BYTES, engine_at, exchange_address
from sim.feed.prepare import is_time_shifted, stream_at, what_is_wrong
from sim.model.layout import KINDS_OF_LEVELS, NEVER, PREPARE_NO_TIME, PREPARE_OK, PREPARE_UNSORTED
from sim.replay.layout import BOT_BYTES, bot_at, play_at


@inline
def _is_looked_at(ev: int, kinds: int) -> bool:
    """Whether a row's price and quantity must be sound and the exchange's side does not look at them."""
    kind = ev & KIND_MASK
    if kinds != KINDS_OF_LEVELS and kind == TRADE_EVENT:
        # Among single orders the exchange's side has no use for trades.
        return True
    if (ev & EXCH_EVENT) != 0:
        return False
    if kinds == KINDS_OF_LEVELS:
        return kind == DEPTH_EVENT or kind == TRADE_EVENT or kind == DEPTH_SNAPSHOT_EVENT
    return kind == ADD_ORDER_EVENT or kind == MODIFY_ORDER_EVENT or kind == FILL_EVENT


@inline
def _what_is_wrong(row: Address, kinds: int, tick_size: float) -> int:
    """The PREPARE_* code of a row that only the local side sees; the exchange's side looks at the others itself."""
    if _is_looked_at(ev_of(row), kinds):
        return what_is_wrong(px_of(row) / tick_size, qty_of(row))
    return PREPARE_OK


@inline
def _tick_size(engine: Address, asset_no: int) -> float:
    return book_at(exchange_address(engine, asset_no) + BOOK).tick_size


@inline
def next_local_ts(engine: Address, asset_no: int) -> Ns:
    """When the bots see the next row of an asset; NEVER at the end. Opens files, and steps over others' rows."""
    e = engine_at(engine)
    s = stream_at(e.locals + asset_no * STREAM_BYTES)
    if s.next_ts != NEVER or s.ended != 0:
        return s.next_ts
    while True:
        row = s.row
        end = s.rows_end
        while row < end and (ev_of(row) & LOCAL_EVENT) == 0:
            row += ROW_BYTES
        s.row = row
        if row < end:
            s.next_ts = local_ts_of(row) + s.offset_ns
            wrong = _what_is_wrong(row, s.kinds, _tick_size(engine, asset_no))
            if s.next_ts < s.last_ts:
                wrong = PREPARE_UNSORTED
            if not is_time_shifted(local_ts_of(row), s.offset_ns):
                wrong = PREPARE_NO_TIME
            if wrong != PREPARE_OK:
                s.error = wrong
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
def _count_rows(stream: Address, tick_size: float, limit_ns: Ns) -> tuple[int, int]:
    """How many of the next rows (at most a message's) are seen by then: (rows to publish, raw rows they span)."""
    s = stream_at(stream)
    row = s.row
    end = s.rows_end
    kinds = s.kinds
    shift_ns = s.offset_ns
    last_ts = s.last_ts
    count = 0
    while row < end and count < MAX_ROWS:
        ev = ev_of(row)
        if (ev & LOCAL_EVENT) != 0:
            ts = local_ts_of(row) + shift_ns
            # A row that is wrong is left where it is: it stops the run when it is next.
            if (
                ts > limit_ns
                or ts < last_ts
                or not is_time_shifted(ts - shift_ns, shift_ns)
                or (
                    ((ev & EXCH_EVENT) == 0 or kinds != KINDS_OF_LEVELS)
                    and _what_is_wrong(row, kinds, tick_size) != PREPARE_OK
                )
            ):
                break
            last_ts = ts
            count += 1
        row += ROW_BYTES
    return count, (row - s.row) // ROW_BYTES


@inline
def _copy_rows(stream: Address, target: Address, span: int) -> None:
    """Copy the local side's rows of a span, on the bot's clock, and go behind them."""
    s = stream_at(stream)
    row = s.row
    shift_ns = s.offset_ns
    run = row
    for _ in range(span):
        if (ev_of(row) & LOCAL_EVENT) == 0:
            copy_bytes(target, run, row - run)
            target += row - run
            run = row + ROW_BYTES
        else:
            s.last_ts = local_ts_of(row) + shift_ns
        row += ROW_BYTES
    copy_bytes(target, run, row - run)
    s.row = row
    s.next_ts = NEVER


@inline
def _shift_rows(target: Address, count: int, shift_ns: Ns) -> None:
    for i in range(count):
        row = target + i * ROW_BYTES
        set_local_ts(row, local_ts_of(row) + shift_ns)


@inline
def _has_room(play: Address, channel_no: int, need: int) -> bool:
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
def publish_rows(play: Address, asset_no: int, limit_ns: Ns) -> bool:
    """Publish an asset's rows up to then. Returns whether all are; if not, a bot must read first."""
    p = play_at(play)
    engine = p.engine
    stream = engine_at(engine).locals + asset_no * STREAM_BYTES
    tick_size = _tick_size(engine, asset_no)
    channel_no = load_i64(p.asset_channels + 8 * asset_no)
    ring = load_i64(p.rings + 8 * channel_no)
    while True:
        ts = next_local_ts(engine, asset_no)
        if ts > limit_ns or ts == NEVER:
            return True
        count, span = _count_rows(stream, tick_size, limit_ns)
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
