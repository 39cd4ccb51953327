"""`sim.convert`'s converter of Bybit's historical files, by HftBacktest's name and arguments."""

from typing import Any

from numpy.typing import NDArray

from sim.data.utils.converting import Name, converted, whole_ns


def convert(
    depth_filename: Name,
    trades_filename: Name,
    output_filename: Name | None = None,
    buffer_size: int = 100_000_000,  # noqa: ARG001 - not needed
    feed_latency: float = 0,
    base_latency: float = 0,
    depth_has_header: bool | None = None,  # noqa: ARG001 - seen from the file
    trades_has_header: bool | None = None,  # noqa: ARG001 - seen from the file
) -> NDArray[Any]:
    """Convert a day of order books and of trades; rows arrive `feed_latency` ns after they were sent."""
    latency_ns = whole_ns(feed_latency, "feed_latency")
    return converted(
        "bybithistory",
        [depth_filename, trades_filename],
        output_filename,
        base_latency,
        latency_ns=latency_ns,
    )
