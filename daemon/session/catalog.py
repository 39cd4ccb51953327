"""The instruments as this process counts in them, and what the exchange says and cannot be taken over.

In steps every price and quantity of this process is counted: by whoever writes requests, reads answers, keeps orders
and books. So there is one `Catalog`, and what it says of a symbol's steps does not change while the process runs.

An order, fill or position in a symbol that is not known, or with a quantity that is on no lot, is set aside item by
item (`SetAside`), so that one does not spoil all others: counted, shown as a warning, and its symbol is not traded
while it is there. Everything else goes on.

Limits: `ITEMS_MAX` are remembered, more are only counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from daemon.messages import DELISTED, NOT_TRADING, SET_ASIDE, STEPS_CHANGED, Instrument
from daemon.session.errors import Odd, OddItemError, WireError
from daemon.session.steps import OffGridError, Step, decimal_of, float_of
from daemon.warnings import Warn

ITEMS_MAX: Final = 1000

_log = structlog.get_logger("hftd.connector")


class Steps(msgspec.Struct, frozen=True):
    """A symbol with its price and quantity steps, ready for use."""

    symbol: str
    tick: Step
    lot: Step


def steps_of(instruments: Iterable[Instrument]) -> dict[str, Steps]:
    """The steps by symbol."""
    return {one.symbol: Steps(one.symbol, Step(one.tick_size), Step(one.lot_size)) for one in instruments}


def known_steps(symbol: str, steps: Mapping[str, Steps]) -> Steps:
    """The steps of a symbol.

    Raises:
        OddItemError: It is not known.
    """
    known = steps.get(symbol)
    if known is None:
        raise OddItemError(symbol, f"the symbol {symbol[:80]!r} is not known")
    return known


def price_of(steps: Steps, text: str) -> tuple[int, float]:
    """A price in ticks, and 0; or, if it is on no tick, the nearest tick and the price itself.

    Orders of before a change of the tick keep their prices and are matched at them.

    Raises:
        NumberError: The text is not a number.
    """
    try:
        return steps.tick.count(text), 0.0
    except OffGridError:
        return steps.tick.nearest(text), float_of(text)


def lots_of(steps: Steps, text: str) -> int:
    """A quantity in lots.

    Raises:
        OddItemError: It is on no lot.
        NumberError: The text is not a number.
    """
    try:
        return steps.lot.count(text)
    except OffGridError as error:
        raise OddItemError(steps.symbol, f"a quantity of {steps.symbol}: {error}") from None


def whole_lots_of(steps: Steps, text: str) -> int:
    """A quantity in lots, what is left over not counted.

    Raises:
        NumberError: The text is not a number.
    """
    try:
        return steps.lot.count(text)
    except OffGridError:
        return int(decimal_of(text) / steps.lot.size)


class ExchangeInfo(msgspec.Struct, frozen=True):
    """What exchangeInfo says.

    Attributes:
        limits: By the limiter's name: how many in how many nanoseconds.
        unread: Symbols whose description makes no sense, with what is wrong; they can't be traded.
        odd: The same by symbol, as far as that can be read.
    """

    instruments: list[Instrument]
    limits: dict[str, tuple[int, int]]
    unread: list[str]
    odd: dict[str, str] = {}


class Catalog:
    """The instruments of the exchange, as this process counts in them: numbers and steps in one place.

    A symbol keeps the number and the steps with which it was seen first. If the exchange changes its tick or lot, or
    delists it, or says something of it that can't be taken over, it is there all the same, is not traded, and says why
    (`Instrument.trouble`). A change of steps holds until the process ends, even if the exchange takes it back: an
    answer that flaps between old and new is not to be traded on.

    Args:
        steps: By symbol; kept filled, and never changed for a symbol that is there.
    """

    def __init__(self, steps: dict[str, Steps]) -> None:
        self.steps = steps
        self.instruments: dict[str, Instrument] = {}
        self._described: dict[str, Instrument] = {}
        self._listed: set[str] = set()
        self._moved: dict[str, str] = {}
        self._odd: dict[str, str] = {}
        self._set_aside: dict[str, str] = {}

    def take(self, info: ExchangeInfo) -> list[Instrument]:
        """Take over an answer of exchangeInfo. Returns all instruments, those that are listed no more included.

        Raises:
            WireError: It lists none, and some are known: a sick answer must not look like the end of all contracts.
        """
        if self._listed and not info.instruments:
            raise WireError("exchangeInfo lists no symbol")
        self._listed = {one.symbol for one in info.instruments}
        self._odd = info.odd
        for one in info.instruments:
            symbol = one.symbol
            first = self._described.get(symbol)
            if first is None:
                self._described[symbol] = msgspec.structs.replace(one, number=len(self._described))
                self.steps.setdefault(symbol, Steps(symbol, Step(one.tick_size), Step(one.lot_size)))
            elif (one.tick_size, one.lot_size) != (first.tick_size, first.lot_size):
                # Its other limits are in lots of today's.
                self._moved[symbol] = _moved_text(first, one)
            else:
                self._described[symbol] = msgspec.structs.replace(one, number=first.number)
        self.instruments = {symbol: self._judged(symbol) for symbol in self._described}
        return list(self.instruments.values())

    def stop(self, symbol: str, why: str) -> Instrument | None:
        """The exchange trades a symbol no more; the instrument, if that is news."""
        known = self._described.get(symbol)
        if known is None or known.trouble:
            return None
        self._described[symbol] = msgspec.structs.replace(
            known, is_trading=False, trouble=NOT_TRADING, why=why
        )
        self.instruments[symbol] = one = self._judged(symbol)
        return one

    def set_aside(self, symbols: Mapping[str, str]) -> list[Instrument]:
        """Symbols of which something is set aside, and why; the instruments of which that is news."""
        news = [
            symbol
            for symbol in self._set_aside.keys() | symbols.keys()
            if self._set_aside.get(symbol) != symbols.get(symbol) and symbol in self._described
        ]
        self._set_aside = dict(symbols)
        for symbol in news:
            self.instruments[symbol] = self._judged(symbol)
        return [self.instruments[symbol] for symbol in news]

    def _judged(self, symbol: str) -> Instrument:
        """An instrument with what is the matter with it, the worst first."""
        known = self._described[symbol]
        if symbol in self._moved:
            trouble, why = STEPS_CHANGED, self._moved[symbol]
        elif symbol in self._odd:
            trouble, why = (
                SET_ASIDE,
                f"its description can't be read, so orders are refused: {self._odd[symbol]}",
            )
        elif symbol not in self._listed:
            trouble, why = DELISTED, "the exchange lists it no more: orders are refused"
        elif symbol in self._set_aside and not known.trouble:
            trouble, why = SET_ASIDE, self._set_aside[symbol]
        else:
            return known
        return msgspec.structs.replace(known, is_trading=False, trouble=trouble, why=why)


def _moved_text(first: Instrument, now: Instrument) -> str:
    said = [
        f"its {name} is {new} at the exchange and {old} here"
        for name, old, new in (
            ("tick_size", first.tick_size, now.tick_size),
            ("lot_size", first.lot_size, now.lot_size),
        )
        if old != new
    ]
    return (
        f"{' and '.join(said)}: new orders and changes are refused, its open orders are cancelled; give its bots the "
        "new steps, then restart the connector"
    )


class SetAside:
    """See the module.

    Args:
        catalog: Told which symbols are not to be traded.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._items: dict[tuple[str, str, str], Odd] = {}
        self._strangers: set[tuple[str, str, str]] = set()  # those whose symbol was not known
        self.counts: Counter[str] = Counter()
        self.on_instruments: Callable[[Sequence[Instrument]], None] = lambda _instruments: None
        """Told of instruments that are traded no more, or again."""
        self.on_wanted: Callable[[], None] = lambda: None
        """Told that exchangeInfo may say something new."""

    def note(self, *found: Odd) -> None:
        """Items that came by themselves."""
        if found:
            self._change({}, found)

    def listed(self, what: str, found: Sequence[Odd]) -> None:
        """The exchange has listed all items of a kind: of those that are set aside, only these are still there."""
        there = {(one.what, one.symbol, one.key) for one in found}
        gone = {key: one for key, one in self._items.items() if key[0] == what and key not in there}
        if gone or found:
            self._change(gone, found)

    def ended(self, what: str, symbol: str, key: str) -> None:
        """An item is there no more."""
        if (what, symbol, key) in self._items:
            self._change({(what, symbol, key): self._items[what, symbol, key]}, ())

    def look_again(self) -> None:
        """The catalog is new: items that were set aside because their symbol was not known may be no more."""
        known = [key for key in self._strangers if key[1] in self._catalog.steps]
        if known:
            self._change({key: self._items[key] for key in known}, ())

    def _change(self, gone: dict[tuple[str, str, str], Odd], found: Sequence[Odd]) -> None:
        for key in gone:
            del self._items[key]
            self._strangers.discard(key)
        is_new = False
        for one in found:
            key = one.what, one.symbol, one.key
            if key in self._items:
                continue
            is_new = True
            self.counts[one.what] += 1
            _log.warning(
                "item_set_aside", what=one.what, symbol=one.symbol[:80], key=one.key[:80], why=one.why[:300]
            )
            if len(self._items) < ITEMS_MAX:
                self._items[key] = one
                if one.symbol not in self._catalog.steps:
                    self._strangers.add(key)
        if is_new:
            self.on_wanted()
        if is_new or gone:
            blocked = {one.symbol: self._text([one]) for one in self._items.values() if one.blocks}
            for symbol in blocked:
                blocked[symbol] = self._text([one for one in self._items.values() if one.symbol == symbol])
            if news := self._catalog.set_aside(blocked):
                self.on_instruments(news)

    def _text(self, items: Sequence[Odd]) -> str:
        kinds = Counter(one.what for one in items)
        said = ", ".join(
            f"{count} {kind if count == 1 else _PLURALS.get(kind, kind)}" for kind, count in kinds.items()
        )
        text = (
            f"{said} of the exchange cannot be taken over and {'is' if len(items) == 1 else 'are'} set aside "
            f"({items[0].why[:160]})"
        )
        if not items[0].symbol:
            return text
        is_known = items[0].symbol in self._catalog.steps
        blocked = "orders in it are refused" if is_known else "it is not traded here"
        return (
            f"{text}; {blocked}. End them at the exchange; if the exchange has changed the symbol, "
            "restart the connector"
        )

    def warnings(self) -> Iterator[Warn]:
        """What is set aside, by symbol; a known symbol's text stands with its instrument, too."""
        by_symbol: dict[str, list[Odd]] = {}
        for one in self._items.values():
            by_symbol.setdefault(one.symbol, []).append(one)
        for symbol, items in by_symbol.items():
            yield Warn("set_aside", f"{symbol[:80] or 'no symbol'}: {self._text(items)}", symbol[:80])


_PLURALS: Final = {
    "open order": "open orders",
    "fill": "fills",
    "position": "positions",
    "balance": "balances",
    "symbol": "symbols",
}
