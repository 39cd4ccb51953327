"""A book in the digits in which it came, for exchanges that send a checksum over them.

A number that was parsed does not know its digits any more (``0.10`` and ``0.1`` are one), so the texts are kept beside
the rows that are published. Levels are taken in the order in which they stand in a message: one price may come twice.

Limits: `LEVELS_MAX` levels a side; with more the checksum is not right.
"""

import zlib
from bisect import bisect_left
from typing import Final

import msgspec

from daemon.session.errors import DECODE_ERRORS
from daemon.session.facts import Checksum

LEVELS_MAX: Final = 50_000
_decode: Final = msgspec.json.Decoder(list[list[msgspec.Raw]]).decode


class _Side:
    __slots__ = ("keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[float] = []
        self.levels: list[tuple[str, str]] = []

    def change(self, raw: msgspec.Raw) -> None:
        keys, levels = self.keys, self.levels
        for level in _decode(raw):
            price, qty = (bytes(one).decode().strip('"') for one in level[:2])
            key = float(price) * self.sign
            at = bisect_left(keys, key)
            is_there = at < len(keys) and keys[at] == key
            if float(qty) == 0.0:
                if is_there:
                    del keys[at], levels[at]
            elif is_there:
                levels[at] = price, qty
            elif len(keys) < LEVELS_MAX:
                keys.insert(at, key)
                levels.insert(at, (price, qty))

    def clear(self) -> None:
        self.keys.clear()
        self.levels.clear()

    def cut(self, depth: int) -> list[float]:
        gone = [float(price) for price, _qty in self.levels[depth:]]
        del self.keys[depth:], self.levels[depth:]
        return gone


class Digits:
    """One book.

    Args:
        facts: How the exchange reckons.
    """

    def __init__(self, facts: Checksum) -> None:
        self._facts = facts
        self._bids, self._asks = _Side(-1), _Side(1)

    def take(
        self, bids: msgspec.Raw, asks: msgspec.Raw, *, is_whole: bool
    ) -> tuple[list[float], list[float]] | None:
        """Take a whole book or a change of it.

        Returns:
            The prices of the bids and of the asks that have left the exchange's window with it; None if none have.

        Raises:
            ValueError: They are no levels.
        """
        if is_whole:
            self._bids.clear()
            self._asks.clear()
        try:
            self._bids.change(bids)
            self._asks.change(asks)
        except DECODE_ERRORS as error:
            raise ValueError(str(error)) from None
        depth = self._facts.depth
        if not depth or max(len(self._bids.keys), len(self._asks.keys)) <= depth:
            return None
        return self._bids.cut(depth), self._asks.cut(depth)

    def is_right(self, checksum: int) -> bool:
        """Whether the exchange's checksum, with or without a sign, is that of this book."""
        levels = self._facts.levels
        text = self._facts.text(self._bids.levels[:levels], self._asks.levels[:levels])
        return zlib.crc32(text.encode()) == checksum & 0xFFFFFFFF
