"""Limits on what bots may send: checked before the send, each refusal with a reason of its own.

The structs are sections of a connector's configuration. A limit that is not set does not limit. Quantities are in the
instrument's units, values in its quote currency. Cancels always pass.
"""

import math
from typing import Annotated, Final, Literal

import msgspec

from daemon.messages import Instrument
from daemon.orders.positions import BotBook, Ledger
from hftd import wire
from hftd.config import Section
from hftd.constants import (
    BUY,
    INVALID_MAX,
    INVALID_MIN,
    REASON_BOOK_NOT_VALID,
    REASON_FILTER,
    REASON_LIMIT_NOTIONAL,
    REASON_LIMIT_POSITION,
    REASON_LIMIT_PRICE,
    REASON_LIMIT_QTY,
    REASON_NOT_TRADING,
    REASON_OFF_GRID,
    SELL,
)

_NO_LIMIT: Final = 1 << 62

_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Count = Annotated[int, msgspec.Meta(gt=0)]


class InstrumentLimits(Section, frozen=True):
    """Limits for one instrument.

    Attributes:
        max_order_qty: Of one order.
        max_order_notional: Price times quantity of one order; a market order counts at the opposite best, a sell at no
            less than the best bid, at which it would execute.
        max_position: Long or short, if all open orders of the side filled.
        max_position_notional: The same times the order's price.
        price_band: How far beyond the opposite best a limit order may be, as a fraction of it. While the book has none,
            or is not valid, orders are refused.
        price_band_ticks: The same in ticks.
    """

    max_order_qty: _Positive | None = None
    max_order_notional: _Positive | None = None
    max_position: _Positive | None = None
    max_position_notional: _Positive | None = None
    price_band: _Positive | None = None
    price_band_ticks: _Count | None = None


Amount = _Positive | dict[str, float]
"""Of the asset in which instruments settle: of each by itself, or by its name."""


class MoneyLimits(InstrumentLimits, frozen=True):
    """Limits that halt when they are reached, until a person resumes (`daemon.orders.money.watching`).

    Attributes:
        max_day_loss: What may be lost on a day of UTC, realised and unrealised, with fees and funding.
        max_drawdown: How far the profit may fall below its highest.
        max_refusals_per_min: New orders and changes in a minute that the exchange, or a limit here, refuses.
        max_unknown_per_min: New orders and changes in a minute of which it is not known at first what became of them.
    """

    max_day_loss: Amount | None = None
    max_drawdown: Amount | None = None
    max_refusals_per_min: Annotated[int, msgspec.Meta(gt=0, le=100_000)] | None = None
    max_unknown_per_min: Annotated[int, msgspec.Meta(gt=0, le=100_000)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("max_day_loss", "max_drawdown"):
            amounts: Amount | None = getattr(self, key)
            if not isinstance(amounts, dict):
                continue
            if not amounts:
                raise ValueError(f"`{key}` must name an asset and its limit, such as {{ USDT = 500 }}")
            for asset, amount in amounts.items():
                if not (amount > 0 and math.isfinite(amount)):
                    raise ValueError(f"`{key}` must be a finite number above 0, is {amount:g} for {asset}")


class BotLimits(MoneyLimits, frozen=True):
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


class AccountLimits(MoneyLimits, frozen=True):
    """The account's limits, over all of its bots.

    Attributes:
        max_open_orders: Open orders, those on their way included; this one always limits.
        max_orders_per_s: New orders and modifications a second.
        self_trade: Whether an order that would meet another bot's is refused.
        on_forced_close: What follows when the exchange closes a part of a bot's position by itself. The bot is told in
            any case. "refuse": its new orders in that instrument are refused, but for those that only reduce its
            position; "halt": the whole account is halted; both until `hftd resume`. "tell": nothing else.
        instruments: By symbol, limits that replace the ones for each instrument.
    """

    max_open_orders: Annotated[int, msgspec.Meta(gt=0, le=100_000)] = 1000
    max_orders_per_s: _Positive | None = None
    self_trade: Literal["refuse", "allow"] = "refuse"
    on_forced_close: Literal["tell", "refuse", "halt"] = "refuse"
    instruments: dict[str, InstrumentLimits] = {}  # noqa: RUF012 - msgspec copies it


def narrowed(limits: BotLimits, wanted: wire.Limits, pull_quotes: bool) -> BotLimits:
    """A bot's limits, with what it wants to be held to itself: the narrower of the two."""

    def least(limit: float | None, own: float) -> float | None:
        return limit if own <= 0 else own if limit is None else min(limit, own)

    def least_of(limit: Amount | None, own: float) -> Amount | None:
        if isinstance(limit, dict):
            return {asset: min(amount, own) if own > 0 else amount for asset, amount in limit.items()}
        return least(limit, own)

    def narrow(one: InstrumentLimits) -> dict[str, float | None]:
        return {
            "max_order_qty": least(one.max_order_qty, wanted.order_qty),
            "max_order_notional": least(one.max_order_notional, wanted.order_value),
            "max_position": least(one.max_position, wanted.position),
            "price_band": least(one.price_band, wanted.price_band),
        }

    open_orders = least(limits.max_open_orders, wanted.open_orders)
    return msgspec.structs.replace(
        limits,
        **narrow(limits),
        max_open_orders=None if open_orders is None else int(open_orders),
        max_orders_per_s=least(limits.max_orders_per_s, wanted.orders_a_second),
        max_day_loss=least_of(limits.max_day_loss, wanted.day_loss),
        max_drawdown=least_of(limits.max_drawdown, wanted.drawdown),
        pull_quotes=limits.pull_quotes or pull_quotes,
        instruments={
            symbol: msgspec.structs.replace(one, **narrow(one)) for symbol, one in limits.instruments.items()
        },
    )


class CompiledLimits:
    """An owner's limits for one instrument, in its ticks and lots.

    Args:
        limits: The bot's or the account's.
        ledger: The instrument.
    """

    __slots__ = (
        "_band",
        "_band_ticks",
        "_order_lots",
        "_order_notional",
        "_position_lots",
        "_position_notional",
        "has_band",
        "has_notional",
        "has_sizes",
    )

    def __init__(self, limits: BotLimits | AccountLimits, ledger: Ledger) -> None:
        symbol = ledger.symbol
        own = limits.instruments.get(symbol) or limits.instruments.get(symbol.lower(), limits)
        lot = ledger.qty(1)
        self._order_lots = _lots(own.max_order_qty, lot)
        self._order_notional = own.max_order_notional or math.inf
        self._position_lots = _lots(own.max_position, lot)
        self._position_notional = own.max_position_notional or math.inf
        self._band = own.price_band
        self._band_ticks = own.price_band_ticks
        self.has_band = own.price_band is not None or own.price_band_ticks is not None
        """Whether `check_price` can refuse anything."""
        self.has_notional = self._order_notional != math.inf or self._position_notional != math.inf
        """Whether an order's value matters, so that its price must be known."""
        self.has_sizes = self.has_notional or min(self._order_lots, self._position_lots) < _NO_LIMIT
        """Whether `check` can refuse anything."""

    def check(
        self, ledger: Ledger, position_lots: int, side: int, price_tick: int, lots: int, open_lots: int
    ) -> int:
        """A reason to refuse an order, 0 if there is none.

        Args:
            ledger: The instrument.
            position_lots: The position now.
            side: BUY or SELL.
            price_tick: At which it counts.
            lots: What it may execute.
            open_lots: What other open orders of the side may still execute.
        """
        if lots > self._order_lots:
            return REASON_LIMIT_QTY
        position = (position_lots if side == BUY else -position_lots) + open_lots + lots
        if position > self._position_lots:
            return REASON_LIMIT_POSITION
        if self.has_notional:
            if side == SELL:
                # However low its price: it executes at the best bid, if that is higher.
                if not ledger.is_book_valid and ledger.best_bid_tick in (0, INVALID_MIN):
                    return REASON_BOOK_NOT_VALID
                price_tick = max(price_tick, ledger.best_bid_tick)
            if ledger.notional(price_tick, lots) > self._order_notional:
                return REASON_LIMIT_NOTIONAL
            if ledger.notional(price_tick, position) > self._position_notional:
                return REASON_LIMIT_POSITION
        return 0

    def check_price(self, ledger: Ledger, side: int, price_tick: int) -> int:
        """A reason to refuse a limit price, 0 if there is none."""
        if not self.has_band:
            return 0
        best = ledger.best_ask_tick if side == BUY else ledger.best_bid_tick
        if not ledger.is_book_valid or best in (INVALID_MAX, INVALID_MIN):
            return REASON_BOOK_NOT_VALID
        beyond = (price_tick - best) * side
        if self._band_ticks is not None and beyond > self._band_ticks:
            return REASON_LIMIT_PRICE
        if self._band is not None and beyond > self._band * abs(best):
            return REASON_LIMIT_PRICE
        return 0


def _lots(qty: float | None, lot: float) -> int:
    return _NO_LIMIT if qty is None else math.floor(qty / lot + 1e-6)


def check_filters(ledger: Ledger, is_market: bool, price_tick: int, lots: int, is_modify: bool) -> int:
    """A reason of the exchange's own filters to refuse an order, 0 if there is none; it saves the way there."""
    instrument = ledger.instrument
    if not instrument.is_trading:
        return REASON_NOT_TRADING
    if instrument.price_figures and not is_market and not has_figures(instrument, price_tick):
        return REASON_OFF_GRID
    most = instrument.market_max_qty_lots if is_market else 0
    most = most or instrument.max_qty_lots
    if lots < instrument.min_qty_lots or (most and lots > most):
        return REASON_FILTER
    # A market order's value, and that of an order in part executed, the exchange reckons in its own way.
    if instrument.min_notional and not is_market and not is_modify and not ledger.inverse:
        if ledger.notional(price_tick, lots) < instrument.min_notional * (1 - 1e-9):
            return REASON_FILTER
    return 0


def has_figures(instrument: Instrument, price_tick: int) -> bool:
    """Whether a price has no more significant figures than the exchange takes; whole numbers may have any."""
    decimals = -int(instrument.tick_size.normalize().as_tuple().exponent)
    if decimals <= 0 or price_tick % 10**decimals == 0:
        return True
    return len(str(abs(price_tick)).rstrip("0")) <= instrument.price_figures


class RateGate:
    """At most so many a second, with bursts of a second's worth (the generic cell rate algorithm, ITU-T I.371).

    Args:
        per_s: None for no limit.
    """

    __slots__ = ("_ahead_ns", "_every_ns", "_next_ns")

    def __init__(self, per_s: float | None) -> None:
        self._every_ns = 0 if per_s is None else round(1e9 / per_s)
        self._ahead_ns = max(1_000_000_000, self._every_ns) - self._every_ns
        self._next_ns = 0

    def is_open(self, now_ns: int) -> bool:
        """Whether one more may pass now."""
        ahead_ns = self._next_ns - now_ns
        # Farther ahead than it can get, if the clock was set back.
        return self._every_ns == 0 or ahead_ns <= self._ahead_ns or ahead_ns > self._ahead_ns + self._every_ns

    def take(self, now_ns: int) -> None:
        """One passes."""
        if self._next_ns - now_ns > self._ahead_ns:
            self._next_ns = now_ns
        self._next_ns = max(self._next_ns, now_ns) + self._every_ns

    def used(self, now_ns: int) -> float:
        """How many of the last second's are taken."""
        return max(0, self._next_ns - now_ns) / self._every_ns if self._every_ns else 0.0


def side_lots(book: BotBook | Ledger, side: int) -> int:
    """What the open orders of a side may still execute."""
    return book.buy_lots if side == BUY else book.sell_lots
