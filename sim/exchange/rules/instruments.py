"""The exchange's instruments: steps, filters, and numbers as integers and as text.

A price is a number of ticks, a quantity a number of lots, money a number of 1e-8 of the margin asset. Nothing here is
ever a rounded float: what the exchange says is what it holds.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from sim.exchange.rules.config import SymbolSection
from sim.exchange.rules.refusals import RefusedError, Why

MONEY_DIGITS: Final = 8
RATE: Final = 10**8
"""Fee rates are in 1e-8 too."""
_FINE: Final = 10**12
"""Values of inverse contracts are quotients: they are added up in this part of a unit of money."""

ALL_ORDERS: Final = 2
"""Of a status: all orders are taken."""
REDUCING: Final = 1
"""Orders that reduce a position are."""
NO_ORDERS: Final = 0

_NUMBER: Final = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?")


class BadNumberError(ValueError):
    """A text that is no number."""


class PrecisionError(ValueError):
    """A number with more digits than there are."""


def parse(text: str, digits: int) -> int:
    """A decimal number in units of its last digit: `parse("1.5", 3)` is 1500.

    Raises:
        BadNumberError: It is no number, or negative.
        PrecisionError: It has more digits behind the point.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise BadNumberError(text)
    fraction = (found[2] or "").rstrip("0")
    if len(fraction) > digits:
        raise PrecisionError(text)
    return int(found[1]) * 10**digits + int(fraction.ljust(digits, "0") or 0)


def show(value: int, digits: int) -> str:
    """The text of a number in units of its last digit: `show(1500, 3)` is 1.500."""
    if digits == 0:
        return str(value)
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**digits)
    return f"{sign}{whole}.{fraction:0{digits}d}"


def units_of(step: str) -> tuple[int, int]:
    """A step such as "0.10" as its digits behind the point and its size in units of the last: (2, 10)."""
    digits = len(step.partition(".")[2])
    return digits, parse(step, digits)


def rate_of(text: str) -> int:
    """A fee rate such as "-0.00005" in 1e-8."""
    scaled = Decimal(text) * RATE
    if scaled != int(scaled):
        raise PrecisionError(text)
    return int(scaled)


def divide(numerator: int, denominator: int) -> int:
    """The nearest whole number, a half upwards; the denominator is positive."""
    return (2 * numerator + denominator) // (2 * denominator)


class Instrument:
    """An instrument: its steps, its filters, and its numbers as text.

    The market counts prices and quantities in steps of a grid (`tick`, `lots`) that stays as it is. What orders must be
    multiples of can change meanwhile, as all filters can; an order that rests keeps its price.

    A quantity counts contracts of `contract_size`. That of a linear one is in the base, and a contract is worth size
    times price in the quote, which is its margin asset; that of an inverse one is in the quote, and a contract is worth
    size over price in the base, which is its margin asset.

    Args:
        number: Its number in the market.
        section: Its configuration.
        statuses: What each of the venue's statuses takes; the first one is that of a section that has none.

    Raises:
        ValueError: It can't be as it is described.
    """

    def __init__(self, number: int, section: SymbolSection, statuses: Mapping[str, int]) -> None:
        self.number = number
        self.symbol = section.symbol
        self.base = section.base
        self.quote = section.quote
        self.is_inverse = section.inverse
        self.is_spot = section.spot
        self.margin_asset = section.base if section.inverse else section.quote
        self.is_listed = section.listed
        self._statuses = statuses
        self.price_digits, self.grid_tick_units = units_of(section.grid_tick or section.tick_size)
        self.qty_digits, self.grid_lot_units = units_of(section.grid_lot or section.lot_size)
        self.grid_tick = float(Decimal(section.grid_tick or section.tick_size))
        self.grid_lot = float(Decimal(section.grid_lot or section.lot_size))
        size_digits, size_units = units_of(section.contract_size)
        # What a lot is a quantity of: of the base, of the quote for an inverse one.
        self._lot_size_units = self.grid_lot_units * size_units
        self._size_digits = self.qty_digits + size_digits
        self._fine = _FINE if section.inverse else 1
        self._sign = -1 if section.inverse else 1
        # What a lot of an inverse one is worth at a price of one tick, and what a tick times a lot of a linear one is.
        self._scale = (
            self._lot_size_units * 10 ** (MONEY_DIGITS + self.price_digits) * _FINE
            if section.inverse
            else self.grid_tick_units
            * self._lot_size_units
            * 10 ** (MONEY_DIGITS - self.price_digits - self._size_digits)
        )
        self._divisor = 10**self._size_digits * self.grid_tick_units
        self.maker_rate = rate_of(section.maker_fee)
        self.taker_rate = rate_of(section.taker_fee)
        self.fee_asset_price = rate_of(section.fee_asset_price)
        self.fee_asset_share = RATE - rate_of(section.fee_asset_discount)
        self.set(section)

    def set(self, section: SymbolSection) -> None:
        """Other filters, steps and status, from now on.

        Raises:
            ValueError: The steps are not multiples of the grid, or there is no such status.
        """
        try:
            tick_units = parse(section.tick_size, self.price_digits)
            lot_units = parse(section.lot_size, self.qty_digits)
        except PrecisionError:
            tick_units, lot_units = 1, 0
        if tick_units % self.grid_tick_units or not lot_units or lot_units % self.grid_lot_units:
            raise ValueError(
                f"{self.symbol}: `tick_size` and `lot_size` must be multiples of {self.price(1)} and {self.qty(1)},"
                f" the grid of its market, are {section.tick_size} and {section.lot_size}"
            )
        status = section.status or next(iter(self._statuses))
        if status not in self._statuses:
            raise ValueError(
                f"{self.symbol}: `status` must be one of {', '.join(self._statuses)}, is {status!r}"
            )
        self.section = section
        self.status = status
        self.takes = self._statuses[status]
        self.tick_units, self.lot_units = tick_units, lot_units
        self.min_price_units = parse(section.min_price, self.price_digits)
        self.max_price_units = parse(section.max_price, self.price_digits)
        self.min_qty_units = parse(section.min_qty, self.qty_digits)
        self.max_qty_units = parse(section.max_qty, self.qty_digits)
        self.market_max_qty_units = parse(section.market_max_qty, self.qty_digits)
        self.min_notional = parse(section.min_notional, MONEY_DIGITS)
        self.multiplier_up = rate_of(section.multiplier_up)
        self.multiplier_down = rate_of(section.multiplier_down)

    @property
    def step_lots(self) -> int:
        """The quantity's step, in lots of the grid."""
        return self.lot_units // self.grid_lot_units

    @property
    def tick_size(self) -> float:
        """The price's step, now."""
        return float(Decimal(self.section.tick_size))

    @property
    def lot_size(self) -> float:
        """The quantity's step, now."""
        return float(Decimal(self.section.lot_size))

    # Numbers.

    def price(self, tick: int) -> str:
        """A price as text."""
        return show(tick * self.grid_tick_units, self.price_digits)

    def qty(self, lots: int) -> str:
        """A quantity as text."""
        return show(lots * self.grid_lot_units, self.qty_digits)

    def worth(self, tick: int, lots: int) -> int:
        """The value of a quantity at a price, in parts of a unit of money that add up; 0 at a price of 0."""
        if not self.is_inverse:
            return tick * lots * self._scale
        return divide(lots * self._scale, tick * self._divisor) if tick else 0

    def money(self, worth: int) -> int:
        """A sum of such values in whole units of money."""
        return worth if self._fine == 1 else divide(worth, self._fine)

    @property
    def assets(self) -> tuple[str, ...]:
        """What accounts have balances of: the margin asset, or quote and base."""
        return (self.quote, self.base) if self.is_spot else (self.margin_asset,)

    def base_amount(self, lots: int) -> int:
        """A quantity of a spot instrument in units of money of the base."""
        return lots * self.grid_lot_units * 10 ** (MONEY_DIGITS - self.qty_digits)

    def notional(self, tick: int, lots: int) -> int:
        """The value of a quantity at a price, in units of money."""
        return self.money(self.worth(tick, lots))

    def gain(self, cost: int, worth: int, side: int) -> int:
        """What a position of a side has won that was entered at one value and has another now, in units of money.

        An inverse contract is worth less of the base, the higher the price: its gain has the other sign.
        """
        return self.money((worth - cost) * side * self._sign)

    def average(self, worth: int, lots: int) -> str:
        """The price at which a quantity is worth that much, as text; "0.00" where there is no quantity."""
        if not lots or not worth:
            return show(0, self.price_digits)
        size = abs(lots) * self._lot_size_units
        scale = 10**self._size_digits
        if self.is_inverse:
            units = divide(size * 10 ** (2 * MONEY_DIGITS) * _FINE, scale * worth)
        else:
            units = divide(worth * scale, size)
        return show(units, MONEY_DIGITS)

    def fee(self, worth: int, rate: int) -> int:
        """The fee of an execution, in units of money: rounded; of an inverse contract cut off."""
        if self.is_inverse:
            # So it is in the exchange's own example: of 1 contract of 100 at 8,800, 0.04 % are 0.00000454.
            size = abs(worth * rate) // (RATE * self._fine)
            return size if rate >= 0 else -size
        return divide(worth * rate, RATE * self._fine)

    def fee_in_asset(self, money: int, rate: int) -> int | None:
        """The fee of a spot trade in the asset for fees, of its value in the quote; None: it can't be paid in that."""
        if not self.fee_asset_price:
            return None
        return divide(money * rate * self.fee_asset_share, RATE * self.fee_asset_price)

    # What an order must be like.

    def check_takes(self, *, only_reduces: bool) -> None:
        """Whether it takes an order at all."""
        if self.takes == NO_ORDERS:
            raise RefusedError(Why.CLOSED)
        if self.takes == REDUCING and not only_reduces:
            raise RefusedError(Why.ONLY_REDUCING)

    def check_tick(self, units: int) -> int:
        """A price in ticks, of one in units of its last digit."""
        if units < self.min_price_units or units <= 0:
            raise RefusedError(Why.PRICE_LOW, limit=self.section.min_price)
        if units > self.max_price_units:
            raise RefusedError(Why.PRICE_HIGH)
        if units % self.tick_units:
            raise RefusedError(Why.TICK)
        return units // self.grid_tick_units

    def check_lots(self, units: int, *, at_market: bool = False) -> int:
        """A quantity in lots, of one in units of its last digit."""
        if units <= 0:
            raise RefusedError(Why.QTY_ZERO)
        if units % self.lot_units:
            raise RefusedError(Why.LOT)
        if units < self.min_qty_units:
            raise RefusedError(Why.QTY_LOW)
        if units > (self.market_max_qty_units if at_market else self.max_qty_units):
            raise RefusedError(Why.QTY_HIGH)
        return units // self.grid_lot_units

    def check_band(self, side: int, tick: int, double_mark: int) -> None:
        """A price must not be too far beyond a mark, which is given in half ticks."""
        if side > 0 and 2 * tick * RATE > double_mark * self.multiplier_up:
            highest = double_mark * self.multiplier_up // (2 * RATE)
            raise RefusedError(Why.ABOVE_BAND, limit=self.price(highest))
        if side < 0 and 2 * tick * RATE < double_mark * self.multiplier_down:
            lowest = -(-double_mark * self.multiplier_down // (2 * RATE))
            raise RefusedError(Why.BELOW_BAND, limit=self.price(lowest))

    def check_value(self, tick: int, lots: int, why: Why = Why.VALUE_LOW) -> None:
        """An order must be worth something: in the quote, of an inverse contract too."""
        if self.is_inverse:
            value = lots * self._lot_size_units * 10**MONEY_DIGITS // 10**self._size_digits
        else:
            value = self.worth(tick, lots)
        if value < self.min_notional:
            raise RefusedError(why, limit=self.section.min_notional)
