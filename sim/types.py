"""`hftd.types` under the name that scripts written for HftBacktest look for, with two names that only they use."""

from typing import Any, Final

from numpy.typing import NDArray

from hftd import types
from hftd.compiled.layout import order_dtype as order_dtype
from hftd.types import *  # noqa: F403 (its `__all__`)

EVENT_ARRAY = NDArray[Any]
"""Rows of `event_dtype`, for annotations."""
WAIT_ORDER_RESPONSE_NONE: Final = -1
WAIT_ORDER_RESPONSE_ANY: Final = -2

__all__ = ["EVENT_ARRAY", "WAIT_ORDER_RESPONSE_ANY", "WAIT_ORDER_RESPONSE_NONE", "order_dtype"]
__all__ += types.__all__
