# pyright: basic
"""Order latencies that go with a feed: slow when the feed is, slower under load, refused now and then."""

import numpy as np
from numba import njit

from hftd.compiled.jit import caching_in, kernels_dir
from hftd.types import KIND_MASK, TRADE_EVENT
from sim.generator.chance import exponential, uniform

_LOAD_WINDOW_NS = 250_000_000
_HEAVY_LOAD = 25
"""Trades within the window above which the exchange refuses some requests."""


def _latencies(feed, out, start_ns, every_ns, s):
    """Fill `out` (latency_dtype) with one request every `every_ns` from `start_ns` on.

    Args:
        feed: event_dtype rows of the channel by rising exch_ts.
        out: latency_dtype, all of it is written.
        start_ns: When the first request is sent.
        every_ns: Time between requests.
        s: u8[4], the generator.
    """
    newest = 0
    oldest = 0
    trades = 0
    feed_ns = 1_000_000.0
    exch_ns = start_ns
    resp_ns = start_ns
    for i in range(len(out)):
        now_ns = start_ns + i * every_ns
        while newest < len(feed) and feed[newest].local_ts <= now_ns:
            feed_ns = float(feed[newest].local_ts - feed[newest].exch_ts)
            trades += int(feed[newest].ev & np.uint64(KIND_MASK)) == TRADE_EVENT
            newest += 1
        while oldest < newest and feed[oldest].local_ts <= now_ns - _LOAD_WINDOW_NS:
            trades -= int(feed[oldest].ev & np.uint64(KIND_MASK)) == TRADE_EVENT
            oldest += 1
        entry_ns = int(200_000 + 0.9 * feed_ns + 60_000.0 * trades + 250_000.0 * exponential(s))
        back_ns = int(100_000 + 0.9 * feed_ns + 10_000.0 * trades + 150_000.0 * exponential(s))
        refused = uniform(s) < (0.03 if trades > _HEAVY_LOAD else 0.001)
        row = out[i]
        row.req_ts = now_ns
        row._padding = 0
        if refused and 0 < i < len(out) - 1:
            row.exch_ts = 0
            row.resp_ts = max(now_ns + entry_ns + back_ns, resp_ns)
        else:
            # Requests do not overtake each other.
            exch_ns = max(now_ns + entry_ns, exch_ns)
            resp_ns = max(exch_ns + back_ns, resp_ns)
            row.exch_ts = exch_ns
            row.resp_ts = resp_ns


with caching_in(kernels_dir(__name__)):
    fill_latencies = njit(cache=True, nogil=True)(_latencies)
