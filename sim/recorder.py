"""The recorder, by the names that scripts written for HftBacktest look for."""

from hftd.hbt.recorder import Recorder, RecorderMemory
from hftd.types import record_dtype

Recorder_ = RecorderMemory
"""What a compiled strategy is given; made by `Recorder(...)`, or in Python by itself."""

__all__ = ["Recorder", "Recorder_", "record_dtype"]
