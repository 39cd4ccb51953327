"""The language that daemons, replays and strategies share: constants, rows, errors, and the bot.

Importing it is cheap: what needs NumPy or Numba is imported when it is asked for.
"""

from typing import TYPE_CHECKING

from hftd import constants, errors
from hftd.constants import *  # noqa: F403 (its `__all__`)
from hftd.errors import *  # noqa: F403 (its `__all__`)
from hftd.lazy import lazy_names

if TYPE_CHECKING:
    from hftd.bot.bot import (
        Bot,
        HashMapMarketDepthLiveBot,
        Instrument,
        LiveInstrument,
        ROIVectorMarketDepthLiveBot,
    )
    from hftd.hbt.recorder import Recorder
    from hftd.parameters.declared import Range
    from hftd.types import event_dtype, fill_dtype, latency_dtype, record_dtype, state_values_dtype
    from hftd.version import __version__ as __version__
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "Bot": "hftd.bot.bot",
            "HashMapMarketDepthLiveBot": "hftd.bot.bot",
            "Instrument": "hftd.bot.bot",
            "LiveInstrument": "hftd.bot.bot",
            "ROIVectorMarketDepthLiveBot": "hftd.bot.bot",
            "Range": "hftd.parameters.declared",
            "Recorder": "hftd.hbt.recorder",
            "event_dtype": "hftd.types",
            "fill_dtype": "hftd.types",
            "latency_dtype": "hftd.types",
            "record_dtype": "hftd.types",
            "state_values_dtype": "hftd.types",
            "__version__": "hftd.version",
        },
    )

__all__ = [
    "Bot",
    "HashMapMarketDepthLiveBot",
    "Instrument",
    "LiveInstrument",
    "ROIVectorMarketDepthLiveBot",
    "Range",
    "Recorder",
    "event_dtype",
    "fill_dtype",
    "latency_dtype",
    "record_dtype",
    "state_values_dtype",
]
__all__ += errors.__all__
__all__ += constants.__all__
