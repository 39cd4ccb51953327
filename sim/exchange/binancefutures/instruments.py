"""The exchange's instruments and their filters."""

from decimal import Decimal
from typing import Any, Final

from sim.exchange.binancefutures.numbers import (
    MONEY_DIGITS,
    RATE,
    PrecisionError,
    divide,
    parse,
    rate_of,
    show,
    units_of,
)
from sim.exchange.config import SymbolSection

DELIVERY_MS: Final = 4133404800000
ONBOARD_MS: Final = 1569398400000


class Instrument:
    """An instrument: its steps, its filters, and its numbers as text.

    The market counts prices and quantities in steps of a grid (`tick`, `lots`) that stays as it is. What orders must be
    multiples of can change meanwhile, as all filters can; an order that rests keeps its price.

    Args:
        number: Its number in the market.
        section: Its configuration.
    """

    def __init__(self, number: int, section: SymbolSection) -> None:
        self.number = number
        self.symbol = section.symbol
        self.base = section.base
        self.quote = section.quote
        self.is_listed = section.listed
        self.price_digits, self.grid_tick_units = units_of(section.grid_tick or section.tick_size)
        self.qty_digits, self.grid_lot_units = units_of(section.grid_lot or section.lot_size)
        self.grid_tick = float(Decimal(section.grid_tick or section.tick_size))
        self.grid_lot = float(Decimal(section.grid_lot or section.lot_size))
        # What a price unit times a quantity unit is worth in units of money.
        self.money_scale = 10 ** (MONEY_DIGITS - self.price_digits - self.qty_digits)
        self.maker_rate = rate_of(section.maker_fee)
        self.taker_rate = rate_of(section.taker_fee)
        self.set(section)

    def set(self, section: SymbolSection) -> None:
        """Other filters, steps and status, from now on.

        Raises:
            ValueError: The steps are no multiples of the grid.
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
        self.section = section
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

    def price(self, tick: int) -> str:
        """A price as text."""
        return show(tick * self.grid_tick_units, self.price_digits)

    def qty(self, lots: int) -> str:
        """A quantity as text."""
        return show(lots * self.grid_lot_units, self.qty_digits)

    def notional(self, tick: int, lots: int) -> int:
        """Price times quantity, in units of money."""
        return tick * self.grid_tick_units * lots * self.grid_lot_units * self.money_scale

    def average(self, money: int, lots: int) -> str:
        """The price at which a quantity is worth that much, as text; "0.00" where there is no quantity."""
        if lots == 0:
            return show(0, self.price_digits)
        return show(divide(money * 10**self.qty_digits, abs(lots) * self.grid_lot_units), MONEY_DIGITS)

    def fee(self, notional: int, rate: int) -> int:
        """The fee of an execution, rounded to a unit of money."""
        return divide(notional * rate, RATE)

    def describe(self) -> dict[str, Any]:
        """As exchangeInfo describes it."""
        s = self.section
        return {
            "symbol": self.symbol,
            "pair": self.symbol,
            "contractType": "PERPETUAL",
            "deliveryDate": DELIVERY_MS,
            "onboardDate": ONBOARD_MS,
            "status": s.status,
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": s.base,
            "quoteAsset": s.quote,
            "marginAsset": s.quote,
            "pricePrecision": self.price_digits,
            "quantityPrecision": self.qty_digits,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": [],
            "triggerProtect": "0.0500",
            "liquidationFee": "0.012500",
            "marketTakeBound": "0.05",
            "maxMoveOrderLimit": 10000,
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": s.min_price,
                    "maxPrice": s.max_price,
                    "tickSize": s.tick_size,
                },
                {"filterType": "LOT_SIZE", "minQty": s.min_qty, "maxQty": s.max_qty, "stepSize": s.lot_size},
                {
                    "filterType": "MARKET_LOT_SIZE",
                    "minQty": s.min_qty,
                    "maxQty": s.market_max_qty,
                    "stepSize": s.lot_size,
                },
                {"filterType": "MAX_NUM_ORDERS", "limit": s.max_orders},
                {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
                {"filterType": "MIN_NOTIONAL", "notional": s.min_notional},
                {
                    "filterType": "PERCENT_PRICE",
                    "multiplierUp": s.multiplier_up,
                    "multiplierDown": s.multiplier_down,
                    "multiplierDecimal": "4",
                },
                {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
            ],
            "orderTypes": ["LIMIT", "MARKET"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
            "permissionSets": ["GRID", "COPY"],
        }
