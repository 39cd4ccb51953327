"""The books that the engine has of converted captures are the exchange's."""

import numpy as np
import pytest

from sim import BacktestAsset, HashMapMarketDepthBacktest
from sim.archive import read_events
from sim.convert import Options, convert

from .bybitmarket import BybitMarket, packed
from .hyperliquidmarket import HyperliquidMarket
from .mexcmarket import MexcMarket


def bybit(seed):
    market = BybitMarket(seed)
    lines = [market.line(market.orderbook())]
    return market, lines + [market.line(market.next_message()) for _ in range(300)]


def hyperliquid(seed):
    market = HyperliquidMarket(seed)
    lines = [market.line(market.l2_book())]
    return market, lines + [market.line(market.next_message()) for _ in range(300)]


def mexc(seed):
    market = MexcMarket(seed)
    lines = [market.line(market.answer())]
    return market, lines + [market.line(market.next_message()) for _ in range(300)]


def depth_at(rows, times):
    """The engine's book at local times: bids and asks as lots by tick, between 180 and 220."""
    asset = (
        BacktestAsset()
        .data([rows])
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.0)
        .tick_size(0.01)
        .lot_size(0.001)
    )
    hbt = HashMapMarketDepthBacktest([asset])
    # The clock starts with the first row.
    assert hbt.elapse(0) == 0
    for local_ts in times:
        hbt.elapse(local_ts - hbt.current_timestamp)
        depth = hbt.depth(0)
        bids = {tick: round(depth.bid_qty_at_tick(tick) * 1000) for tick in range(18_000, 22_000)}
        asks = {tick: round(depth.ask_qty_at_tick(tick) * 1000) for tick in range(18_000, 22_000)}
        best = depth.best_bid_tick, depth.best_ask_tick
        yield best, [{tick: lots for tick, lots in side.items() if lots} for side in (bids, asks)]
    hbt.close()


@pytest.mark.parametrize("make", [bybit, hyperliquid, mexc])
def test_the_engines_book_is_the_exchanges(tmp_path, make):
    market, lines = make(1)
    path = packed(tmp_path / "capture.gz", lines)
    convert([path], tmp_path / "out.npz", venue=make.__name__, options=Options())
    rows = read_events(tmp_path / "out.npz")
    # The last row is the end of the data.
    expected = [found for found in market.expected if found[0] < rows["local_ts"].max()][1::7]
    found = depth_at(rows, [local_ts for local_ts, _, _ in expected])
    for (_, *sides), (best, depth) in zip(expected, found, strict=True):
        assert depth == sides
        assert best == (max(sides[0]), min(sides[1]))
    assert np.isfinite(rows["px"]).all()
