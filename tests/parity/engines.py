"""The same assets, built on the reference engine and on ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.types import GTC, LIMIT, latency_dtype
from sim.backtest import HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from sim.feed.asset import BacktestAsset
from sim.feed.columns import Prepared
from tests.parity.unclamped import unclamped_queue

Rows = NDArray[Any]

END = ("mark price", 10_000_000, 0.0, 0.0)
"""A last row, for time to pass until."""


@dataclass
class Asset:
    """An asset of a run, in words that both engines understand."""

    data: list[Rows]
    tick_size: float = 0.1
    lot_size: float = 0.001
    queue: tuple[str, float] = ("risk_adverse", 0.0)
    latency: tuple[int, int] | Rows = (1_000_000, 1_500_000)
    latency_offset: int = 0
    feed_offset: int = 0
    snapshot: Rows | None = None
    roi: tuple[float, float] | None = None
    trades_capacity: int = 0
    contract_size: float = 1.0
    inverse: bool = False
    fee_model: str = "value"
    fees: tuple[float, float] = (-0.00005, 0.0007)
    partial: bool = False
    unclamped: bool = False
    """Whether ours has the queue models as the reference has them."""
    prepared: bool = False
    """Whether ours is given columns that were made before."""

    def amounts(self, price: Rows, qty: Rows) -> Rows:
        """What executions are worth."""
        return self.contract_size * (qty / price if self.inverse else qty * price)

    def fees_of(self, amounts: Rows, qty: Rows, maker: Rows) -> Rows:
        """What executions cost."""
        per = {"value": amounts, "quantity": qty, "flat": np.ones_like(qty)}[self.fee_model]
        return np.where(maker != 0, *self.fees) * per


_FEES = {"value": "trading_value", "quantity": "trading_qty", "flat": "flat_per_trade"}


def _describe(asset: Asset, made: Any, keep: list[Any]) -> Any:
    keep.extend(asset.data)
    made.data(list(asset.data)).tick_size(asset.tick_size).lot_size(asset.lot_size)
    (made.inverse_asset if asset.inverse else made.linear_asset)(asset.contract_size)
    getattr(made, f"{_FEES[asset.fee_model]}_fee_model")(*asset.fees)
    (made.partial_fill_exchange if asset.partial else made.no_partial_fill_exchange)()
    name, n = asset.queue
    if name == "risk_adverse":
        made.risk_adverse_queue_model()
    elif name.startswith("log"):
        getattr(made, f"log_prob_queue_model{name[3:]}")()
    else:
        getattr(made, f"power_prob_queue_model{name[5:]}")(n)
    if isinstance(asset.latency, tuple):
        made.constant_order_latency(*asset.latency)
    else:
        keep.append(asset.latency.copy())
        made.intp_order_latency(keep[-1], asset.latency_offset)
    if asset.feed_offset:
        made.latency_offset(asset.feed_offset)
    if asset.snapshot is not None:
        keep.append(asset.snapshot)
        made.initial_snapshot(asset.snapshot)
    if asset.roi is not None:
        made.roi_lb(asset.roi[0]).roi_ub(asset.roi[1])
    if isinstance(made, BacktestAsset):
        # The reference's rule, which is not ours unless it is asked for.
        made.modify_model("remainder")
    if asset.trades_capacity:
        made.last_trades_capacity(asset.trades_capacity)
    return made


@contextmanager
def theirs(reference: ModuleType, assets: list[Asset]) -> Iterator[Any]:
    """The reference engine on these assets."""
    keep: list[Any] = []
    # In one array, a copy: it writes into the arrays that it is given, and drops the next of several arrays when
    # one side has gone past it before the other has begun it.
    copies = [replace(asset, data=[np.concatenate(asset.data)]) for asset in assets]
    made = [_describe(asset, reference.BacktestAsset(), keep) for asset in copies]
    roi = assets[0].roi is not None
    hbt = (reference.ROIVectorMarketDepthBacktest if roi else reference.HashMapMarketDepthBacktest)(made)
    try:
        yield hbt
    finally:
        hbt.close()
        del keep


def _prepared(asset: Asset) -> list[Any]:
    return [
        Prepared(rows, asset.tick_size, asset.lot_size, roi=asset.roi, latency_offset=asset.feed_offset)
        for rows in asset.data
    ]


def ours(assets: list[Asset]) -> Any:
    """Our engine on these assets."""
    assets = [replace(asset, data=_prepared(asset)) if asset.prepared else asset for asset in assets]
    made = [_describe(asset, BacktestAsset(), []) for asset in assets]
    roi = assets[0].roi is not None
    for asset, described in zip(assets, made, strict=True):
        if asset.unclamped and asset.queue[0] != "risk_adverse":
            described.custom_queue_model(unclamped_queue(*asset.queue))
    return (ROIVectorMarketDepthBacktest if roi else HashMapMarketDepthBacktest)(made)


def latencies(rng: np.random.Generator, first_ts: int, last_ts: int, *, refusals: bool, step: int) -> Rows:
    """Recorded order latencies around a span of time; the first and the last row are never refusals."""
    req_ts = np.arange(first_ts - 3 * step, last_ts + 3 * step, step)
    rows = np.zeros(len(req_ts), latency_dtype)
    rows["req_ts"] = req_ts
    rows["exch_ts"] = req_ts + rng.integers(step // 400, step // 7, len(rows))
    rows["resp_ts"] = rows["exch_ts"] + rng.integers(step // 600, step // 10, len(rows))
    if refusals:
        refused = rng.random(len(rows)) < 0.05
        refused[0] = refused[-1] = False
        rows["exch_ts"][refused] = 0
    return rows


def buy(hbt, price, qty=1.0, order_id=1, order_type=LIMIT, wait=False, time_in_force=GTC):
    """Send a buy order, with what most tests want for the rest."""
    return hbt.submit_buy_order(0, order_id, price, qty, time_in_force, order_type, wait)


def sell(hbt, price, qty=1.0, order_id=1, order_type=LIMIT, wait=False, time_in_force=GTC):
    """Send a sell order."""
    return hbt.submit_sell_order(0, order_id, price, qty, time_in_force, order_type, wait)
