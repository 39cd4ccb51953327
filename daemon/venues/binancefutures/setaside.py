"""What the exchange says and cannot be taken over, item by item, so that one does not spoil all others.

An order, fill or position in a symbol that is not known, or with a quantity that is on no lot, is set aside: counted,
shown as a warning, and its symbol is not traded while it is there. Everything else goes on.

Limits: `ITEMS_MAX` are remembered, more are only counted.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog

from daemon.orders.messages import Instrument
from daemon.venues.binancefutures.instruments import Catalog, Odd
from daemon.warnings import Warn

ITEMS_MAX: Final = 1000

_log = structlog.get_logger("hftd.connector")


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
                "set aside", what=one.what, symbol=one.symbol[:80], key=one.key[:80], why=one.why[:300]
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
