"""`sim.convert`'s converter of Tardis's files, by HftBacktest's names and arguments."""

from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from sim.data.utils.converting import Name, converted

SnapshotMode = Literal["process", "ignore_sod", "ignore"]


def convert(
    input_files: Sequence[Name],
    output_filename: Name | None = None,
    buffer_size: int = 100_000_000,  # noqa: ARG001 - not needed
    ss_buffer_size: int = 1_000_000,  # noqa: ARG001 - not needed
    base_latency: float = 0,
    snapshot_mode: SnapshotMode = "process",
) -> NDArray[Any]:
    """Convert files of trades, depth and best bids and offers."""
    return converted("tardis", input_files, output_filename, base_latency, snapshots=snapshot_mode)


def convert_fuse(
    trades_filename: Name,
    depth_filename: Name,
    book_ticker_filename: Name,
    tick_size: float,
    lot_size: float,
    output_filename: Name | None = None,
    ss_buffer_size: int = 1_000_000,  # noqa: ARG001 - not needed
    base_latency: float = 0,
    snapshot_mode: SnapshotMode = "process",
) -> NDArray[Any]:
    """Convert the three files of a day, best bids and offers fused with the depth."""
    return converted(
        "tardis",
        [trades_filename, depth_filename, book_ticker_filename],
        output_filename,
        base_latency,
        snapshots=snapshot_mode,
        tick_size=tick_size,
        lot_size=lot_size,
    )
