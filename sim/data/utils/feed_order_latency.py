"""Order latencies made from a feed's, by HftBacktest's name and arguments; `hftd latency feed` is the command."""

from typing import Any

from numpy.typing import NDArray

from hftd.types import latency_dtype
from sim.data.utils.converting import Name, npz_path
from sim.tools.latencies import RESAMPLING_NS, feed_latencies

order_latency_dtype = latency_dtype


def generate_order_latency(
    feed_file: Name,
    output_file: Name | None = None,
    mul_entry: float = 1,
    offset_entry: float = 0,
    mul_resp: float = 1,
    offset_resp: float = 0,
    resampling_ns: int = RESAMPLING_NS,
) -> NDArray[Any]:
    """Rows of `latency_dtype`: see :func:`sim.tools.latencies.feed_latencies`, which this calls for one file."""
    rows, _ = feed_latencies(
        [feed_file],
        None if output_file is None else npz_path(output_file),
        mul_entry=mul_entry,
        offset_entry=offset_entry,
        mul_resp=mul_resp,
        offset_resp=offset_resp,
        resampling_ns=resampling_ns,
    )
    return rows
