"""Order latency: constant, or interpolated between recorded orders; for each way and kind of request its own.

Entry latency below zero is a refusal on the way: the notice arrives after its absolute value.
"""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.compiled.layout import request_dtype
from hftd.compiled.native import load_i64, record_at, store_i64
from hftd.rows import TS_MAX, Address, Ns
from sim.model.custom import custom_entry_ns, custom_response_ns
from sim.model.custom import exchange_at as exchange_at
from sim.model.layout import (
    LATENCY_CONSTANT,
    LATENCY_CUSTOM,
    LATENCY_FAILED,
    WAY_RESPONSE,
    exchange_dtype,
    lane_dtype,
    latency_model_dtype,
    offset_of,
)

request_at = record_at(request_dtype)
lane_at = record_at(lane_dtype)
LANE_BYTES = lane_dtype.itemsize
latency_model_at = record_at(latency_model_dtype)

LATENCIES = offset_of(exchange_dtype, "latencies")
LANE_ROWS = offset_of(lane_dtype, "latency_rows")
_MODEL_BYTES = latency_model_dtype.itemsize

_LONGEST = float(1 << 61)
"""Nanoseconds; a double holds it exactly."""
_REQ, _EXCH, _RESP = 0, 8, 16
_ROW = 32


@inline
def _between(x, x1, y1, x2, y2):
    # The order of operations is that of HftBacktest, so that the cut to whole nanoseconds is the same.
    return int((float(y2 - y1) / float(x2 - x1)) * float(x - x1)) + y1


@inline
def _alone(row: Address):
    """The entry latency of one row, before the first and after the last."""
    if load_i64(row + _EXCH) <= 0:
        return -max(load_i64(row + _RESP) - load_i64(row + _REQ), 1)
    return load_i64(row + _EXCH) - load_i64(row + _REQ)


@inline
def _model(exchange: Address, way: int):
    return latency_model_at(exchange + LATENCIES + way * _MODEL_BYTES)


@inline
def _cursor(lane: Address, way: int):
    """Requests and answers come in time order, so a search goes on from where the last one ended."""
    return lane + LANE_ROWS + 8 * way


@inline
def after(ts: Ns, latency_ns: Ns):
    """A time and a duration, held at the end of time: a latency may be any number."""
    return ts + min(latency_ns, TS_MAX - ts)


@inline
def _scaled(exchange: Address, latency_ns: Ns):
    """A model's latency as a run that asks for shorter or longer ones has it; a refusal stays one."""
    factor = exchange_at(exchange).latency_factor
    if factor == 1.0 or latency_ns == LATENCY_FAILED:
        return latency_ns
    scaled = int(max(min(float(latency_ns) * factor, _LONGEST), -_LONGEST))
    return min(scaled, -1) if latency_ns < 0 else scaled


@inline
def entry_latency_ns(exchange: Address, lane: Address, way: int, request: Address):
    """From a request to the matching engine; negative if the request is refused on its way."""
    return _scaled(exchange, _entry_latency_ns(exchange, lane, way, request))


@inline
def response_latency_ns(exchange: Address, lane: Address, exch_ts: Ns):
    """From the matching engine to the bot; never negative."""
    return _scaled(exchange, _response_latency_ns(exchange, lane, exch_ts))


@inline
def _entry_latency_ns(exchange: Address, lane: Address, way: int, request: Address):
    m = _model(exchange, way)
    if m.model == LATENCY_CONSTANT:
        return m.constant_ns
    request_ts = request_at(request).local_ts
    if m.model == LATENCY_CUSTOM:
        return custom_entry_ns(exchange, m, request, request_ts)
    rows = m.rows
    last = rows + (m.count - 1) * _ROW
    if request_ts < load_i64(rows + _REQ):
        return _alone(rows)
    if request_ts >= load_i64(last + _REQ):
        return _alone(last)
    row = rows + load_i64(_cursor(lane, way)) * _ROW
    while not (load_i64(row + _REQ) <= request_ts < load_i64(row + _ROW + _REQ)):
        row += _ROW
    store_i64(_cursor(lane, way), (row - rows) // _ROW)
    req1 = load_i64(row + _REQ)
    req2 = load_i64(row + _ROW + _REQ)
    exch1 = load_i64(row + _EXCH)
    exch2 = load_i64(row + _ROW + _EXCH)
    if exch1 <= 0 or exch2 <= 0:
        resp1 = load_i64(row + _RESP)
        resp2 = load_i64(row + _ROW + _RESP)
        return -max(_between(request_ts, req1, resp1 - req1, req2, resp2 - req2), 1)
    return _between(request_ts, req1, exch1 - req1, req2, exch2 - req2)


@inline
def _response_latency_ns(exchange: Address, lane: Address, exch_ts: Ns):
    m = _model(exchange, WAY_RESPONSE)
    if m.model == LATENCY_CONSTANT:
        return m.constant_ns
    if m.model == LATENCY_CUSTOM:
        return custom_response_ns(exchange, m, exch_ts)
    rows = m.rows
    last = m.count - 1
    if exch_ts < load_i64(rows + _EXCH):
        return max(load_i64(rows + _RESP) - load_i64(rows + _EXCH), 0)
    row_no = load_i64(_cursor(lane, WAY_RESPONSE))
    while row_no < last:
        row = rows + row_no * _ROW
        if load_i64(row + _EXCH) <= exch_ts < load_i64(row + _ROW + _EXCH):
            break
        row_no += 1
    store_i64(_cursor(lane, WAY_RESPONSE), row_no)
    row = rows + row_no * _ROW
    if row_no == last:
        # A refused request has no response: the last that had one tells.
        while row > rows and load_i64(row + _EXCH) <= 0:
            row -= _ROW
        return max(load_i64(row + _RESP) - load_i64(row + _EXCH), 0)
    exch1 = load_i64(row + _EXCH)
    exch2 = load_i64(row + _ROW + _EXCH)
    resp1 = load_i64(row + _RESP) - exch1
    resp2 = load_i64(row + _ROW + _RESP) - exch2
    return max(_between(exch_ts, exch1, resp1, exch2, resp2), 0)
