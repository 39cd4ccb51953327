"""What a journal holds in other ticks and lots than today's."""

from fractions import Fraction

from daemon.orders.machine import Order
from hftd.errors import DataError


def scaled(lots: int, factor: Fraction, symbol: str) -> int:
    """Lots in other lots.

    Raises:
        DataError: They are no whole number of those.
    """
    scaled = lots * factor
    if scaled.denominator != 1:
        raise DataError(
            f"the journal holds {lots} lots of {symbol} that are no whole number of its lots of today: the exchange "
            "has changed its lot_size. It is left as it is, and orders in the symbol are refused; close the position "
            "at the exchange, end the connector and move the journal away",
            where=symbol,
        )
    return int(scaled)


def rescale(order: Order, tick: Fraction, lot: Fraction) -> None:
    """An order in other steps. What does not fit is rounded, and put right by the exchange's own answer."""
    order.price_tick = round(order.price_tick * tick)
    order.exec_price_tick = round(order.exec_price_tick * tick)
    for name in ("qty_lots", "cum_lots", "executed_lots", "written_off_lots", "base_lots", "exec_lots"):
        setattr(order, name, round(getattr(order, name) * lot))
    for former in order.former:
        former.cum_lots = round(former.cum_lots * lot)
        former.executed_lots = round(former.executed_lots * lot)
    if order.amend is not None:
        order.amend.price_tick = round(order.amend.price_tick * tick)
        order.amend.qty_lots = round(order.amend.qty_lots * lot)
        order.amend.base_lots = round(order.amend.base_lots * lot)
