"""Replay: archives, the engine and its models, the replay daemon, backtests in one process.

It has the names of HftBacktest that a backtest needs, so `import sim as hftbacktest` ports a script. Importing it is
cheap: what needs Numba is imported when it is asked for.
"""

from typing import TYPE_CHECKING

from hftd import types
from hftd.lazy import lazy_names
from hftd.types import *  # noqa: F403 (its `__all__`)

if TYPE_CHECKING:
    from hftd.hbt.recorder import Recorder
    from sim.backtest import Backtest, HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
    from sim.feed.asset import BacktestAsset
    from sim.feed.columns import Prepared
    from sim.fuse import FuseMarketDepth
    from sim.models import CustomExchange, CustomFee, CustomLatency, CustomQueue
    from sim.sweeps.sweep import Sweep, read_sweep, sweep
else:
    # Behind the promised names those that scripts written for HftBacktest look for in other modules of it.
    __getattr__ = lazy_names(
        __name__,
        {
            "Backtest": "sim.backtest",
            "BacktestAsset": "sim.feed.asset",
            "CustomExchange": "sim.models",
            "CustomFee": "sim.models",
            "CustomLatency": "sim.models",
            "CustomQueue": "sim.models",
            "FuseMarketDepth": "sim.fuse",
            "HashMapMarketDepthBacktest": "sim.backtest",
            "Prepared": "sim.feed.columns",
            "ROIVectorMarketDepthBacktest": "sim.backtest",
            "Recorder": "hftd.hbt.recorder",
            "Sweep": "sim.sweeps.sweep",
            "read_sweep": "sim.sweeps.sweep",
            "sweep": "sim.sweeps.sweep",
            "DiffOrderBookSnapshot": "sim.data.utils.difforderbooksnapshot",
            "HashMapMarketDepth": "sim.binding",
            "ROIVectorMarketDepth": "sim.binding",
            "correct_event_order": "sim.data",
            "correct_local_timestamp": "sim.data",
            "create_last_snapshot": "sim.data.utils.snapshot",
            "generate_order_latency": "sim.data.utils.feed_order_latency",
            "validate_event_order": "sim.data",
        },
    )

__all__ = [
    "Backtest",
    "BacktestAsset",
    "CustomExchange",
    "CustomFee",
    "CustomLatency",
    "CustomQueue",
    "FuseMarketDepth",
    "HashMapMarketDepthBacktest",
    "Prepared",
    "ROIVectorMarketDepthBacktest",
    "Recorder",
    "Sweep",
    "read_sweep",
    "sweep",
]
__all__ += types.__all__
