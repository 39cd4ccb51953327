"""Blocks in memory, and those that a run makes for itself: without the cache, and of fused files."""

from collections.abc import Callable, Iterator
from typing import Any

from numpy.typing import NDArray

from sim.feed.facts import Facts
from sim.feed.make import BlockMaker, Made, Wanted


class Block:
    """A block in memory; it may be let go when nothing points into it any more.

    Attributes:
        number: Its number.
        record: `block_dtype`.
        segments: The address of each side's segments.
        ticks: Likewise, of the ticks.
        qtys: Likewise, of the quantities.
        rows: The address of the rows that were kept.
    """

    def __init__(self, number: int, record: Any, place: Callable[[int], int], owner: Any) -> None:
        self.number = number
        self.record = record
        sides = record["sides"]
        self.segments = [place(int(side["segments_at"])) for side in sides]
        self.ticks = [place(int(side["ticks_at"])) for side in sides]
        self.qtys = [place(int(side["qtys_at"])) for side in sides]
        self.rows = place(int(record["rows_at"]))
        self._owner = owner


class Unpacked:
    """Blocks that each side makes for itself, one after the other, in memory.

    Args:
        pieces: Gives the source's rows in pieces of at most `BLOCK_ROWS`, each time anew.
        wanted: What for.
        count: The source's rows.
    """

    is_lasting = False

    def __init__(self, pieces: Callable[[int], Iterator[NDArray[Any]]], wanted: Wanted, count: int) -> None:
        self.count = count
        self._pieces = pieces
        self._wanted = wanted
        self._sides: list[Iterator[Block] | None] = [None, None]
        self._next = [0, 0]
        self._facts: Facts | None = None

    @property
    def facts(self) -> Facts:
        """Known as soon as a side has taken the first block."""
        assert self._facts is not None
        return self._facts

    def take(self, number: int, side: int) -> Block | None:
        """The next block of a side, whose last one ends with that; None behind the last."""
        blocks = self._sides[side]
        if blocks is None or number < self._next[side]:
            blocks = self._sides[side] = self._blocks(side)
            self._next[side] = 0
        while True:
            block = next(blocks, None)
            self._next[side] += 1
            if block is None or block.number == number:
                return block

    def _blocks(self, side: int) -> Iterator[Block]:
        maker = BlockMaker(self._wanted)
        first_row = 0
        for number, rows in enumerate(self._pieces(side)):
            if self._facts is None:
                self._facts = Facts.of_rows(rows, self._wanted.tick_size)
            made = maker.make(rows, first_row)
            first_row += len(rows)
            yield Block(number, made.record[0], _placing(made), (made, rows))

    def stop(self) -> None:
        """The run is over."""


def _placing(made: Made) -> Callable[[int], int]:
    places = {offset: int(part.ctypes.data) for offset, part in made.parts}
    # A part of nothing stands nowhere.
    return lambda at: places.get(at, 0)
