"""What the passes write: problems with their first rows, and the series over time."""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.compiled.native import copy_bytes, load_i64, record_at, store_f64, store_i64
from hftd.compiled.row_access import copy_row
from hftd.rows import Address, Ns
from sim.checks.layout import (
    BIN_BITS,
    BINS,
    BUCKETS,
    FIRST_MAX,
    bucket_dtype,
    place_dtype,
    problem_dtype,
    series_dtype,
)

bucket_at = record_at(bucket_dtype)
series_at = record_at(series_dtype)

_PROBLEM_BYTES = problem_dtype.itemsize
_PLACE_BYTES = place_dtype.itemsize
_BUCKET_BYTES = bucket_dtype.itemsize
_FIRST_BITS = 20
"""Buckets begin with a millisecond."""


@inline
def note(problems: Address, problem, file_no, row_no: int, row: Address, extra):
    """Count a problem of a row, and keep the row if it is among the first. Returns the address of its place, or 0."""
    slot = problems + problem * _PROBLEM_BYTES
    count = load_i64(slot)
    place = 0
    if count < FIRST_MAX:
        place = slot + 24 + count * _PLACE_BYTES
        store_i64(place, file_no)
        store_i64(place + 8, row_no)
        store_i64(place + 16, extra)
        copy_row(place + 24, row)
    store_i64(slot, count + 1)
    store_i64(slot + 8, load_i64(slot + 8) + extra)
    store_i64(slot + 16, max(load_i64(slot + 16), extra))
    return place


@inline
def lasted(problems: Address, problem, duration_ns: Ns):
    """A problem that was noted last without knowing for how long is over: add how long it was."""
    slot = problems + problem * _PROBLEM_BYTES
    number = load_i64(slot) - 1
    if 0 <= number < FIRST_MAX:
        store_i64(slot + 24 + number * _PLACE_BYTES + 16, duration_ns)
    store_i64(slot + 8, load_i64(slot + 8) + duration_ns)
    store_i64(slot + 16, max(load_i64(slot + 16), duration_ns))


@inline
def _add(target: Address, source: Address):
    """Add a bucket to the one before it."""
    t, s = bucket_at(target), bucket_at(source)
    if s.latencies > 0:
        t.latency_min = min(t.latency_min, s.latency_min) if t.latencies > 0 else s.latency_min
        t.latency_max = max(t.latency_max, s.latency_max) if t.latencies > 0 else s.latency_max
    t.rows += s.rows
    t.trades += s.trades
    t.latencies += s.latencies
    t.latency_sum += s.latency_sum
    t.spreads += s.spreads
    t.spread_max = max(t.spread_max, s.spread_max)
    t.spread_sum += s.spread_sum
    t.crossed_ns += s.crossed_ns
    t.locked_ns += s.locked_ns
    if s.mid != 0.0:
        t.mid = s.mid


@inline
def _zero(bucket):
    for offset in range(0, _BUCKET_BYTES, 8):
        store_i64(bucket + offset, 0)


@inline
def _halve(series: Address):
    """Put each two buckets into one."""
    s = series_at(series)
    for number in range(BUCKETS):
        source = s.buckets + number * _BUCKET_BYTES
        if number & 1 == 0:
            if number > 0:
                target = s.buckets + (number >> 1) * _BUCKET_BYTES
                _zero(target)
                copy_bytes(target, source, _BUCKET_BYTES)
        else:
            _add(s.buckets + (number >> 1) * _BUCKET_BYTES, source)
    for number in range(BUCKETS >> 1, BUCKETS):
        _zero(s.buckets + number * _BUCKET_BYTES)
    s.bits += 1
    s.used = (s.used + 1) >> 1


@inline
def bucket_of(series: Address, local_ts: Ns):
    """The address of the bucket of a time; times before the first row's belong to the first."""
    s = series_at(series)
    if s.used == 0:
        s.origin_ts = local_ts
        s.bits = _FIRST_BITS
        s.used = 1
    number = max(local_ts - s.origin_ts, 0) >> s.bits
    while number >= BUCKETS:
        _halve(series)
        number >>= 1
    s.used = max(s.used, number + 1)
    return s.buckets + number * _BUCKET_BYTES


@inline
def add_latency(bucket, latency_ns: Ns):
    """Count a latency in a bucket."""
    b = bucket_at(bucket)
    b.latency_min = min(b.latency_min, latency_ns) if b.latencies > 0 else latency_ns
    b.latency_max = max(b.latency_max, latency_ns) if b.latencies > 0 else latency_ns
    b.latency_sum += float(latency_ns)
    b.latencies += 1


@inline
def count_in_bin(bins, latency_ns: Ns, scratch):
    """Count a latency in its bin; negative ones have bins of their own, behind the others."""
    size = latency_ns if latency_ns >= 0 else -latency_ns
    number = 0
    if size > 0:
        # The exponent and the first bits of the fraction of its floating point number.
        store_f64(scratch, float(size))
        number = (load_i64(scratch) >> (52 - BIN_BITS)) - (1023 << BIN_BITS) + 1
    if latency_ns < 0:
        number += BINS
    store_i64(bins + 8 * number, load_i64(bins + 8 * number) + 1)


@inline
def is_close(value, step: int):
    """Whether a value is a multiple of a step, as far as floating point can tell."""
    number = value / step
    away = abs(number - round(number))
    return away <= 1e-4 or away <= abs(number) * 1e-12
