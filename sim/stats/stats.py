"""The records of `hftd.stats` under the name that scripts written for HftBacktest look for."""

from hftd.stats import InverseAssetRecord, LinearAssetRecord, Record, Stats

__all__ = ["InverseAssetRecord", "LinearAssetRecord", "Record", "Stats"]
