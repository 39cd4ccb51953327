"""Rows of market data put right and checked, by the names and arguments of HftBacktest's `data`."""

from sim.data.validation import correct_event_order, correct_local_timestamp, validate_event_order
from sim.fuse import FuseMarketDepth

__all__ = ["FuseMarketDepth", "correct_event_order", "correct_local_timestamp", "validate_event_order"]
