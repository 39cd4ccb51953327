"""`sim.convert`'s converter of MEXC captures, by HftBacktest's name and arguments."""

from typing import Any

from numpy.typing import NDArray

from sim.data.utils.converting import Name, converted


def convert(
    input_filename: Name,
    output_filename: Name | None = None,
    base_latency: float = 0,
    buffer_size: int = 100_000_000,  # noqa: ARG001 - not needed
    exch_ts_multiplier: float = 1e6,  # noqa: ARG001 - the exchange tells milliseconds
) -> NDArray[Any]:
    """Convert a capture."""
    return converted("mexc", [input_filename], output_filename, base_latency)
