"""Small markets, row by row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
    latency_dtype,
)
from sim.backtest import Backtest, HashMapMarketDepthBacktest
from sim.feed.asset import BacktestAsset

START = 1_700_000_000_000_000_000
BOTH = EXCH_EVENT | LOCAL_EVENT
KINDS = {
    "bid": BUY_EVENT | DEPTH_EVENT,
    "ask": SELL_EVENT | DEPTH_EVENT,
    "buy": BUY_EVENT | TRADE_EVENT,
    "sell": SELL_EVENT | TRADE_EVENT,
    "trade": TRADE_EVENT,
    "clear": DEPTH_CLEAR_EVENT,
    "clear bids": BUY_EVENT | DEPTH_CLEAR_EVENT,
    "clear asks": SELL_EVENT | DEPTH_CLEAR_EVENT,
    "mark price": 100,
}


def rows(*lines: tuple[str, int, float, float], seen: int = BOTH, feed_ns: int = 0) -> NDArray[Any]:
    """Rows of (kind, nanoseconds after START, price, quantity), seen locally `feed_ns` later."""
    made = np.zeros(len(lines), event_dtype)
    for row, (kind, ts, px, qty) in zip(made, lines, strict=True):
        row["ev"], row["px"], row["qty"] = seen | KINDS[kind], px, qty
        row["exch_ts"], row["local_ts"] = START + ts, START + ts + feed_ns
    return made


def levels(
    ts: int = 0, mid: int = 100, depth: int = 5, qty: float = 10.0
) -> list[tuple[str, int, float, float]]:
    """A book around a mid price: `depth` levels a side, from one tick away."""
    return [
        (side, ts, float(mid + sign * (away + 1)), qty)
        for away in range(depth)
        for side, sign in (("bid", -1), ("ask", 1))
    ]


def latency_rows(*lines: tuple[int, int, int]) -> NDArray[Any]:
    """Order latencies of (request, exchange, response), in nanoseconds after START; 0 at the exchange refuses."""
    made = np.zeros(len(lines), latency_dtype)
    for row, (req, exch, resp) in zip(made, lines, strict=True):
        row["req_ts"], row["resp_ts"] = START + req, START + resp
        row["exch_ts"] = START + exch if exch else 0
    return made


def asset(*data: NDArray[Any], entry_ns: int = 0, response_ns: int = 0, made: Any = None) -> Any:
    """An asset of tick and lot size 1, with no fees; `made` may be another engine's."""
    described = BacktestAsset() if made is None else made
    described.data(list(data)).tick_size(1.0).lot_size(1.0).linear_asset(1.0)
    described.constant_order_latency(entry_ns, response_ns).risk_adverse_queue_model()
    return described.no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0)


def backtest(*data: NDArray[Any], entry_ns: int = 0, response_ns: int = 0) -> Backtest:
    """A backtest of one such asset."""
    return HashMapMarketDepthBacktest([asset(*data, entry_ns=entry_ns, response_ns=response_ns)])
