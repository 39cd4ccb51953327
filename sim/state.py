"""An asset's account, by the names that scripts written for HftBacktest look for."""

from hftd.types import state_values_dtype
from hftd.views import StateValues

StateValues_ = StateValues

__all__ = ["StateValues", "StateValues_", "state_values_dtype"]
