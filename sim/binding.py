"""The classes of what a strategy is given, by the names that scripts written for HftBacktest annotate with.

There each market depth and each backtest has types of its own; here one type serves all of them. Each name is a Python
class, and an annotation of a jitclass's field: `depth: HashMapMarketDepth`, or with its `class_type.instance_type`.
"""

from numba.extending import as_numba_type

from hftd.hbt.types import hbt_type
from hftd.hbt.views import Depth, Orders, Values
from hftd.types import BUY_EVENT, DEPTH_EVENT, SELL_EVENT, event_dtype, state_values_dtype
from sim.backtest import Backtest
from sim.fuse import FuseMarketDepth
from sim.order import Order, Order_, order_dtype
from sim.state import StateValues, StateValues_

as_numba_type.register(Backtest, hbt_type)

HashMapMarketDepth = HashMapMarketDepth_ = Depth
ROIVectorMarketDepth = ROIVectorMarketDepth_ = Depth
OrderDict = OrderDict_ = Orders
Values_ = Values
HashMapMarketDepthBacktest = HashMapMarketDepthBacktest_ = Backtest
"""The class; the function that makes one from assets is `sim.HashMapMarketDepthBacktest`."""
ROIVectorMarketDepthBacktest = ROIVectorMarketDepthBacktest_ = Backtest
FuseMarketDepth_ = FuseMarketDepth

__all__ = [
    "BUY_EVENT",
    "DEPTH_EVENT",
    "SELL_EVENT",
    "FuseMarketDepth",
    "FuseMarketDepth_",
    "HashMapMarketDepth",
    "HashMapMarketDepthBacktest",
    "HashMapMarketDepthBacktest_",
    "HashMapMarketDepth_",
    "Order",
    "OrderDict",
    "OrderDict_",
    "Order_",
    "ROIVectorMarketDepth",
    "ROIVectorMarketDepthBacktest",
    "ROIVectorMarketDepthBacktest_",
    "ROIVectorMarketDepth_",
    "StateValues",
    "StateValues_",
    "Values",
    "Values_",
    "event_dtype",
    "order_dtype",
    "state_values_dtype",
]
