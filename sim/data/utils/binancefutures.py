"""`sim.convert`'s converter of Binance USD-M captures, by HftBacktest's name and arguments."""

from typing import Any, Literal

from numpy.typing import NDArray

from sim.data.utils.converting import Name, converted


def convert(
    input_filename: Name,
    output_filename: Name | None = None,
    opt: Literal["", "m", "t", "mt"] = "",
    base_latency: float = 0,
    combined_stream: bool = True,  # noqa: ARG001 - seen from the lines
    buffer_size: int = 100_000_000,  # noqa: ARG001 - not needed
) -> NDArray[Any]:
    """Convert a capture; `opt` with "m" takes mark prices, with "t" best bids and offers, as user events."""
    return converted(
        "binancefutures",
        [input_filename],
        output_filename,
        base_latency,
        mark_price="m" in opt,
        book_ticker="t" in opt,
    )
