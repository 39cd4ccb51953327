"""Orders, a line each."""

import msgspec
import numpy as np

from hftd.hbt.life import LIFE_ACCEPTED, LIFE_FILL, cause_name
from sim.results.explain.orders import ON_ITS_WAY, Orders, deciding, ending_at, uses


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """An order.

    Attributes:
        order_id: Its id.
        use: Which order of that id: 1 for the first.
        asset: The asset's number.
        bot: The bot's.
        ts: When it was requested, in ns; when it first appears, if that was not recorded.
        side: 1 for a buy, -1 for a sell, 0 if its request was not recorded.
        px: The price that was asked for first.
        qty: The quantity.
        filled_qty: What was filled of it.
        causes: Of its fills, each once.
        ending: As in `Ending`.
        front_qty: What was ahead when it first came to a place; None if it never rested.
    """

    order_id: int
    use: int
    asset: int
    bot: int
    ts: int
    side: int
    px: float
    qty: float
    filled_qty: float
    causes: list[str]
    ending: str
    front_qty: float | None


def listed(orders: Orders, *, cause: str | None = None, limit: int = 20) -> tuple[list[OrderLine], int]:
    """The last orders, by the time of their request.

    Args:
        orders: What `group` gave.
        cause: Only those that had a fill of this cause, in words.
        limit: How many at most.

    Returns:
        The lines, and how many orders there are in all.
    """
    rows = orders.rows
    chosen = np.arange(len(orders))
    if cause is not None:
        is_fill = rows["kind"] == LIFE_FILL
        numbers = [number for number in np.unique(rows["cause"][is_fill]) if cause_name(int(number)) == cause]
        chosen = np.unique(orders.number[is_fill & np.isin(rows["cause"], numbers)])
    by_time = chosen[np.argsort(rows["seq"][orders.first[chosen]], kind="stable")]
    used = uses(orders)
    last = by_time[max(len(by_time) - limit, 0) :]
    return [_line(orders, int(number), int(used[number])) for number in last], len(by_time)


def _line(orders: Orders, number: int, use: int) -> OrderLine:
    rows = orders.of(number)
    fills = rows[rows["kind"] == LIFE_FILL]
    places = rows[rows["kind"] == LIFE_ACCEPTED]
    decided = rows[deciding(rows)]
    return OrderLine(
        order_id=int(rows["order_id"][0]),
        use=use,
        asset=int(rows["asset"][0]),
        bot=int(rows["bot"][0]),
        ts=int(rows["ts"][0]),
        side=int(rows["side"][0]),
        px=float(rows["px"][0]),
        qty=float(rows["qty"][0]),
        filled_qty=float(fills["qty"].sum()),
        causes=[cause_name(int(one)) for one in np.unique(fills["cause"])],
        ending=ending_at(decided[-1])[0] if len(decided) else ON_ITS_WAY,
        front_qty=float(places["front_qty"][0]) if len(places) else None,
    )
