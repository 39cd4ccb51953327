"""The records of `sim.stats` under the name that scripts written for HftBacktest look for."""

from sim.stats import InverseAssetRecord, LinearAssetRecord, Record, Stats

__all__ = ["InverseAssetRecord", "LinearAssetRecord", "Record", "Stats"]
