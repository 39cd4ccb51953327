"""Recorded runs: a strategy that was really run on a market made from a seed, and files of made-up rows."""

from pathlib import Path
from typing import Any

import numpy as np

from hftd.runfile import AssetMeta, RunMeta, write_run
from hftd.types import GTX, IOC, LIMIT
from sim.backtest import HashMapMarketDepthBacktest
from tests.sim.market import LOT_SIZE, TICK_SIZE, asset_of, random_market
from tests.sim.stats.records import random_record

INTERVAL_NS = 20_000_000
MODELS: dict[str, Any] = {
    "constant_order_latency": (2_000_000, 3_000_000),
    "power_prob_queue_model": 2.0,
    "trading_value_fee_model": (-0.00005, 0.0007),
}


def trade(hbt: Any, seed: int) -> None:
    """Quote both sides around the touch of each asset, take now and then."""
    random = np.random.default_rng(seed)
    order_id = 0
    while hbt.elapse(INTERVAL_NS) == 0:
        for asset_no in range(hbt.num_assets):
            hbt.clear_inactive_orders(asset_no)
            depth = hbt.depth(asset_no)
            if not (np.isfinite(depth.best_bid) and np.isfinite(depth.best_ask)):
                continue
            orders = hbt.orders(asset_no)
            if len(orders) > 6:
                values = orders.values()
                while values.has_next():
                    order = values.get()
                    if order.cancellable:
                        hbt.cancel(asset_no, order.order_id, False)
                continue
            order_id += 1
            taking = random.random() < 0.05
            time_in_force = IOC if taking else GTX
            qty = float(random.integers(1, 20)) * LOT_SIZE
            submit, price = (
                (hbt.submit_buy_order, depth.best_ask if taking else depth.best_bid)
                if random.random() < 0.5
                else (hbt.submit_sell_order, depth.best_bid if taking else depth.best_ask)
            )
            submit(asset_no, order_id, price, qty, time_in_force, LIMIT, False)


def recorded(
    folder: Path,
    *,
    seed: int = 1,
    count: int = 40_000,
    inverse: bool = False,
    assets: int = 1,
    life: bool = False,
) -> Path:
    """A backtest's file, with its archives, as `hftd backtest --record` would leave it."""
    files = []
    models = []
    for number in range(assets):
        files.append(folder / f"market{number}.npz")
        rows = random_market(seed + number, count)
        rows["px"] += 1_000.0
        np.savez(files[-1], data=rows)
        kind = {"inverse_asset": 100.0} if inverse else {"linear_asset": 1.0}
        models.append(asset_of(str(files[-1]), **kind, **MODELS))
    hbt = HashMapMarketDepthBacktest(models)
    hbt.record_every(INTERVAL_NS)
    hbt.record_requests()
    if life:
        hbt.record_life()
    hbt.begin()
    trade(hbt, seed)
    meta = RunMeta(
        name="random",
        strategy="tests.sim.report.runs:trade",
        kind="backtest",
        dates=["20240808"],
        assets=[
            AssetMeta(
                symbol=f"X{number}",
                tick_size=TICK_SIZE,
                lot_size=LOT_SIZE,
                contract_size=100.0 if inverse else 1.0,
                is_inverse=inverse,
                data=[str(file)],
            )
            for number, file in enumerate(files)
        ],
        interval_ns=INTERVAL_NS,
    )
    records = hbt.records()
    path = folder / "run.npz"
    tables = {"fills": hbt.fills(), "order_latency": hbt.order_latencies(), "orders": hbt.requests()}
    write_run(
        path,
        [records[:, number] for number in range(assets)],
        meta=meta,
        tables=tables,
        life=hbt.life() if life else None,
    )
    hbt.close()
    return path


def made_up(path: Path, *seeds: int, count: int = 2_000, **how: Any) -> Path:
    """A recorder's file of random rows: no meta, no executions."""
    np.savez(path, **{str(n): random_record(seed, count, **how) for n, seed in enumerate(seeds)})
    return path
