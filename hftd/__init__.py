"""The language that daemons, replays and strategies share: constants, rows, errors, and the bot.

Importing it is cheap: what needs Numba is imported when it is asked for.
"""

from typing import TYPE_CHECKING

from hftd import errors, types
from hftd.errors import *  # noqa: F403 (its `__all__`)
from hftd.lazy import lazy_names
from hftd.types import *  # noqa: F403 (its `__all__`)

if TYPE_CHECKING:
    from hftd.bot.bot import (
        Bot,
        HashMapMarketDepthLiveBot,
        Instrument,
        LiveInstrument,
        ROIVectorMarketDepthLiveBot,
    )
    from hftd.recorder import Recorder
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
            "Recorder": "hftd.recorder",
            "__version__": "hftd.version",
        },
    )

__all__ = [
    "Bot",
    "HashMapMarketDepthLiveBot",
    "Instrument",
    "LiveInstrument",
    "ROIVectorMarketDepthLiveBot",
    "Recorder",
]
__all__ += errors.__all__
__all__ += types.__all__
