"""What is odd about a source's first rows, looked at once and kept in the header."""

from typing import Any

from sim.archive.check import OffTick, find_coarser_tick, find_kinds, find_off_tick


class Facts:
    """What the checks of a source's first rows found.

    Args:
        off_tick: Prices off the tick.
        coarser_tick: The step of all prices, if that is coarser than the tick; else 0.
        kinds: Whether there are levels, and whether there are single orders.
    """

    def __init__(self, off_tick: OffTick | None, coarser_tick: float, kinds: tuple[bool, bool]) -> None:
        self.off_tick = off_tick
        self.coarser_tick = coarser_tick
        self.kinds = kinds

    @classmethod
    def of_rows(cls, rows: Any, tick_size: float) -> "Facts":
        """Look at the first rows of a source."""
        off = find_off_tick(rows, tick_size)
        return cls(off, 0.0 if off else find_coarser_tick(rows, tick_size), find_kinds(rows))

    @classmethod
    def of_header(cls, header: Any) -> "Facts":
        """What a file's header tells."""
        off = None
        if header["off_count"]:
            row, px, count, looked_at = (
                header[f"off_{name}"] for name in ("row", "px", "count", "looked_at")
            )
            off = OffTick(int(row), float(px), int(count), int(looked_at))
        kinds = (bool(header["has_levels"]), bool(header["has_orders"]))
        return cls(off, float(header["coarser_tick"]), kinds)

    def fill(self, header: Any) -> None:
        """Put it into a header."""
        if self.off_tick is not None:
            for name, value in zip(("row", "px", "count", "looked_at"), self.off_tick, strict=True):
                header[f"off_{name}"] = value
        header["coarser_tick"] = self.coarser_tick
        header["has_levels"], header["has_orders"] = self.kinds
