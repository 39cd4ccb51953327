"""`sim.convert`'s converter of Bybit captures, by HftBacktest's names and arguments."""

from enum import IntEnum
from typing import Any

from numpy.typing import NDArray

from sim.data.utils.converting import Name, converted


class BybitDepthLevel(IntEnum):
    """The depths of Bybit's books."""

    LEVEL_1 = 1
    LEVEL_25 = 25
    LEVEL_50 = 50
    LEVEL_100 = 100
    LEVEL_200 = 200
    LEVEL_1000 = 1000


def convert_depth(
    input_filename: Name,
    output_filename: Name | None = None,
    base_latency: float = 0,
    buffer_size: int = 100_000_000,  # noqa: ARG001 - not needed
    single_depth_level: BybitDepthLevel | int = BybitDepthLevel.LEVEL_50,
) -> NDArray[Any]:
    """Convert the trades and the book of one depth of a capture."""
    return converted("bybit", [input_filename], output_filename, base_latency, depth=int(single_depth_level))
