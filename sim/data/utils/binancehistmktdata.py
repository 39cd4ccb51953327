"""`sim.convert`'s converter of Binance's historical files, by HftBacktest's names and arguments."""

from typing import Any

from numpy.typing import NDArray

from sim.data.utils.converting import Name, converted, day_converter, whole_ns

convert = day_converter("binancehistory")


def convert_snapshot(
    snapshot_filename: Name,
    output_filename: Name | None = None,
    feed_latency: float = 0,
    has_header: bool | None = None,  # noqa: ARG001 - seen from the file
    ss_buffer_size: int = 1_000_000,  # noqa: ARG001 - not needed
) -> NDArray[Any]:
    """Convert a file of snapshots of the depth."""
    latency_ns = whole_ns(feed_latency, "feed_latency")
    return converted("binancehistory", [snapshot_filename], output_filename, latency_ns=latency_ns)
