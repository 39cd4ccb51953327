"""`hftd.stats` under the name that scripts written for HftBacktest look for."""

from hftd.stats import *  # noqa: F403 (its `__all__`)
from hftd.stats import __all__ as __all__
