"""`sim.convert`'s converter of Hyperliquid captures, by HftBacktest's name and arguments."""

from typing import Any

from numpy.typing import NDArray

from sim.data.utils.converting import Name, converted


def convert(
    input_filename: Name,
    tick_size: float,  # noqa: ARG001 - the prices are told as they are
    lot_size: float,  # noqa: ARG001
    num_levels: int = 20,  # noqa: ARG001 - seen from the books
    output_filename: Name | None = None,
    base_latency: float = 0,
    buffer_size: int = 100_000_000,  # noqa: ARG001 - not needed
    exch_ts_multiplier: int = 1_000_000,  # noqa: ARG001 - the exchange tells milliseconds
    delete_out_of_book: bool = True,
) -> NDArray[Any]:
    """Convert a capture; a level that falls behind the last one of a book is deleted, or kept as it was."""
    return converted(
        "hyperliquid",
        [input_filename],
        output_filename,
        base_latency,
        keep_far_levels=not delete_out_of_book,
    )
