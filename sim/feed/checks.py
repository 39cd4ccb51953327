"""What is looked at before an asset's rows are simulated."""

from typing import Any

from hftd.errors import DataError
from sim.feed.asset import AssetModel
from sim.feed.layout import Facts

_OFF_TICK_MAX = 0.1
"""A part of prices off the tick that is no longer an oddity of the exchange."""


def check_first_rows(model: AssetModel, facts: Facts, where: str, warnings: list[str]) -> None:
    """Say what is odd about a file's first rows.

    Raises:
        DataError: Many prices are off the tick, in a run that must not bear it.
    """
    _check_ticks(model, facts, where, warnings)
    _check_kinds(model, facts, where, warnings)


def _check_ticks(model: AssetModel, facts: Facts, where: str, warnings: list[str]) -> None:
    """A wrong tick size moves every price, silently."""
    found = facts.off_tick
    if found is None:
        if facts.coarser_tick:
            warnings.append(
                f"{where}: all prices looked at are multiples of {facts.coarser_tick:g}, the tick size "
                f"is {model.tick_size:g}: orders may stand between the market's prices"
            )
        return
    what = (
        f"{found.count:,} of {found.looked_at:,} prices are no multiples of the tick size {model.tick_size:g}, "
        f"first {found.px:.12g} in row {found.row:,}"
    )
    if model.must_fit_ticks and found.count > _OFF_TICK_MAX * found.looked_at:
        raise DataError(what, where=where, hint="set the tick_size of the instrument as the exchange has it")
    warnings.append(f"{where}: {what}; they are rounded")


def _check_kinds(model: AssetModel, facts: Facts, where: str, warnings: list[str]) -> None:
    """Levels make no book of single orders, nor single orders one of levels: it would stay empty."""
    has_levels, has_orders = facts.kinds
    if model.by_order and has_levels and not has_orders:
        what = "there are levels (kinds 1 and 4) but no single orders (kinds 10 to 13), which l3_fifo needs"
    elif not model.by_order and has_orders and not has_levels:
        what = (
            "there are single orders (kinds 10 to 13) but no levels, which all queue models but l3_fifo need"
        )
    else:
        return
    warnings.append(f"{where}: {what}: such a book stays empty")


def late_row_error(number: int, row: Any, shift_ns: int, least_ns: int, where: str) -> DataError:
    """The error of a row that would arrive before the exchange has sent it."""
    return DataError(
        f"row {number} (exch_ts={row['exch_ts']}, local_ts={row['local_ts']}) does not arrive after it is "
        f"sent: the latency offset is {shift_ns} ns",
        where=where,
        hint=f"an offset above {-least_ns} ns is one that all rows bear",
    )
