"""Limits on what bots may send: checked before the send, each refusal with a reason of its own.

The structs are sections of a connector's configuration. A limit that is not set does not limit. Quantities are in the
instrument's units, values in its quote currency. Cancels always pass.
"""

from typing import Annotated, Literal

import msgspec

from hftd.config import Section

_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Count = Annotated[int, msgspec.Meta(gt=0)]


class InstrumentLimits(Section, frozen=True):
    """Limits for one instrument.

    Attributes:
        max_order_qty: Of one order.
        max_order_notional: Price times quantity of one order; a market order counts at the opposite best.
        max_position: Long or short, if all open orders of the side filled.
        max_position_notional: The same times the order's price.
        price_band: How far beyond the best prices an order may lie, as a fraction of them.
        price_band_ticks: The same in ticks.
    """

    max_order_qty: _Positive | None = None
    max_order_notional: _Positive | None = None
    max_position: _Positive | None = None
    max_position_notional: _Positive | None = None
    price_band: _Positive | None = None
    price_band_ticks: _Count | None = None


class BotLimits(InstrumentLimits, frozen=True):
    """A bot's limits: those for each instrument, those over all of them, and exceptions.

    Attributes:
        max_open_orders: Open orders, those on their way included.
        max_orders_per_s: New orders and modifications a second.
        pull_quotes: Cancel its orders in an instrument when the book is not valid, and refuse new ones until it is.
        instruments: By symbol, limits that replace the ones for each instrument.
    """

    max_open_orders: _Count | None = None
    max_orders_per_s: _Positive | None = None
    pull_quotes: bool = False
    instruments: dict[str, InstrumentLimits] = {}  # noqa: RUF012 - msgspec copies it


class AccountLimits(InstrumentLimits, frozen=True):
    """The account's limits, over all of its bots.

    Attributes:
        max_open_orders: Open orders, those on their way included; this one always limits.
        max_orders_per_s: New orders and modifications a second.
        self_trade: Whether an order that would meet another bot's is refused.
        instruments: By symbol, limits that replace the ones for each instrument.
    """

    max_open_orders: Annotated[int, msgspec.Meta(gt=0, le=100_000)] = 1000
    max_orders_per_s: _Positive | None = None
    self_trade: Literal["refuse", "allow"] = "refuse"
    instruments: dict[str, InstrumentLimits] = {}  # noqa: RUF012 - msgspec copies it
