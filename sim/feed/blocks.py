"""A block of a prepared archive becomes a stream's: as it stands, or with its segments made anew for the run.

Segments are made anew where the run has an offset of the feed's latency, or a block has levels outside the window of
the book or the range of interest; ticks and quantities always stay where they are.
"""

# pyright: basic

from hftd.book.book import book_at, place_window
from hftd.compiled.jit import inline, kernel
from hftd.compiled.native import load_i64
from hftd.types import INVALID_MIN
from sim.feed.prepare import segment_at, stream_at
from sim.model.layout import SEG_ASKS, SEG_BIDS, SEG_FAR_ASKS, SEG_FAR_BIDS, SEG_OTHER, segment_dtype

_SEGMENT = segment_dtype.itemsize


@inline
def _split(stream, segments, count, shift_ns):
    """Make segments anew: their times with the offset, and far levels apart from the others."""
    s = stream_at(stream)
    book = book_at(s.book)
    low = book.base_tick
    high = low + book.window_ticks - 1
    roi_low = book.roi_lb_tick
    roi_high = book.roi_ub_tick
    to = s.buffer_segments
    source = segments
    for _ in range(count):
        seg = segment_at(source)
        source += _SEGMENT
        kind = seg.first_kind & 15
        at = seg.first_kind >> 4
        out = segment_at(to)
        out.ts = seg.ts + shift_ns
        out.first_kind = seg.first_kind
        out.exch_ts = seg.exch_ts
        out.row = seg.row
        if kind == SEG_BIDS or kind == SEG_ASKS:
            stop = segment_at(source).first_kind >> 4
            now_kind = -1
            while at < stop:
                tick = load_i64(s.ticks + 8 * at)
                if tick < roi_low or tick > roi_high:
                    # Nothing to the book, but still a moment at which something arrives.
                    far = SEG_OTHER
                elif tick < low or tick > high:
                    far = SEG_FAR_BIDS if kind == SEG_BIDS else SEG_FAR_ASKS
                else:
                    far = kind
                if far != now_kind:
                    if now_kind >= 0:
                        to += _SEGMENT
                    out = segment_at(to)
                    out.ts = seg.ts + shift_ns
                    out.first_kind = 16 * at + far
                    # That of the last part is what remains, and all parts are of one moment.
                    out.exch_ts = seg.exch_ts
                    out.row = seg.row
                    now_kind = far
                at += 1
        to += _SEGMENT
    # One more, whose first row is the end of the last segment's.
    segment_at(to).first_kind = segment_at(source).first_kind
    return to


@kernel("int64(int64, int64, int64, int64, int64, int64)")
def take_block(stream, segments, count, low_tick, high_tick, window_tick):
    """Let a stream's next segments be a block's, whose ticks and quantities it has already.

    Args:
        stream: The stream's address.
        segments: The address of the block's segments.
        count: How many, at least one.
        low_tick: The lowest tick of the block's depth.
        high_tick: The highest.
        window_tick: The tick of the first row with a price; INVALID_MIN if there is none.
    """
    s = stream_at(stream)
    shift_ns = s.offset_ns if s.is_local != 0 else 0
    book = book_at(s.book)
    if book.window_ticks == 0 and window_tick != INVALID_MIN:
        place_window(s.book, window_tick)
    low = book.base_tick
    high = low + book.window_ticks - 1
    is_far = low_tick < low or high_tick > high
    is_outside = low_tick < book.roi_lb_tick or high_tick > book.roi_ub_tick
    if low_tick > high_tick:
        # No depth at all.
        is_far = is_outside = False
    if shift_ns == 0 and not is_far and not is_outside:
        s.segment = segments
        s.segments_end = segments + count * _SEGMENT
    else:
        s.segment = s.buffer_segments
        s.segments_end = _split(stream, segments, count, shift_ns)
    s.next_ts = segment_at(s.segment).ts
    return 0
