"""An asset's account, by the names that scripts written for HftBacktest look for."""

from hftd.hbt.views import StateValues
from hftd.types import state_values_dtype

StateValues_ = StateValues

__all__ = ["StateValues", "StateValues_", "state_values_dtype"]
