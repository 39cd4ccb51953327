"""What a replay leaves behind of its bots' orders: a run's file with their lives, and without records."""

from pathlib import Path
from typing import Final

import numpy as np

from hftd.runfile import AssetMeta, RunMeta, write_run
from hftd.types import record_dtype
from sim.model.layout import FEE_CUSTOM, FEE_FLAT, FEE_ON_QTY, FEE_ON_VALUE
from sim.replay.stage import Stage

_FEES: Final = {FEE_ON_VALUE: "value", FEE_ON_QTY: "quantity", FEE_FLAT: "flat", FEE_CUSTOM: "custom"}


def save_life(path: Path, stage: Stage, dates: list[str], ended: str) -> None:
    """Write the life of all orders of a replay's bots.

    An asset's number in it is that of the run's configuration, a bot's is its place among `settings["bots"]`.

    Raises:
        UsageError: It can't be written.
    """
    if stage.lives is None:
        raise ValueError("the stage keeps no lives")
    assets = [
        AssetMeta(
            symbol=asset.symbol,
            channel=asset.channel,
            tick_size=asset.model.tick_size,
            lot_size=asset.model.lot_size,
            contract_size=asset.model.contract.size,
            is_inverse=asset.model.contract.inverse,
            data=[path for path in map(_path, asset.model.data) if path],
            feed_latency_offset_ns=asset.model.feed_offset_ns,
            fee_model=_FEES[asset.model.fee_model],
            maker_fee=None if asset.model.fee_model == FEE_CUSTOM else asset.model.maker_fee,
            taker_fee=None if asset.model.fee_model == FEE_CUSTOM else asset.model.taker_fee,
            initial_snapshot=_path(asset.model.initial_snapshot),
            fuse_bbo=asset.model.fuse_bbo,
            roi=(asset.model.roi_lb, asset.model.roi_ub) if asset.model.spec().has_roi else None,
        )
        for asset in stage.assets
    ]
    meta = RunMeta(
        name="replay",
        kind="replay",
        dates=dates,
        assets=assets,
        settings={"bots": [bot.name for bot in stage.all_bots]},
        sim_seconds=stage.sim_seconds,
        ended=ended,
        warnings=stage.warnings,
        life_dropped=stage.lives.dropped,
    )
    write_run(path, [np.zeros(0, record_dtype) for _ in assets], meta=meta, life=stage.lives.rows())


def _path(source: object) -> str:
    """Where rows were read from, absolute; empty if they were an array, or none."""
    return str(Path(source).resolve()) if isinstance(source, (str, Path)) else ""
