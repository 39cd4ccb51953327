"""What a converter consists of."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from hftd.compiled.jit import Kernel
from hftd.errors import DataError
from hftd.rows import BEST_ASK, BEST_BID, FUNDING_RATE, INDEX_PRICE, MARK_PRICE
from sim.convert.files.arrange import Look
from sim.convert.reader.state import Scan

USER_EVENTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        INDEX_PRICE: "index price",
        MARK_PRICE: "mark price",
        FUNDING_RATE: "funding rate",
        BEST_BID: "best bid",
        BEST_ASK: "best ask",
    }
)
"""The names of the user events that converters write."""

OpenInput = Callable[[Scan, bytes, bool, Path], int]


class Venue(msgspec.Struct, frozen=True):
    """A converter: a compiled reader, and what belongs to it.

    The reader appends rows to the buffer that the state describes. Rows of lines before the present one may have
    been taken away from it. Several inputs are read one after the other, and all their rows are put in the order
    of both clocks: so streams that were recorded side by side may be given as several inputs.

    Attributes:
        name: What it is called.
        read_lines: Its compiled reader of lines.
        kinds: The names of its user events.
        open_input: Looks at what stands before the lines of each file, such as the header of a table: called
            with the scan, the bytes from the file's beginning, whether they are all there are, and the path;
            sets `table` of the state to 0 or more, and returns how many bytes are not for the reader, or -1
            if it must see more. Only for readers that come back with OPENING while `table` is -1.
        is_binary: Its inputs are no text.
        set_up: Called with the scan and the options before anything is read: prepares a state of the reader's own.
        check: Called with the scan, the options and the inputs when all was read; raises what makes an archive
            impossible, and returns notes for the report.
        keeps_case: Symbols are told apart by upper and lower case.
        takes: Which of the options that some venues have it takes.
        back_ns: Lines of a capture may go back in local time by so much, and stay in their order: that of the
            exchange's messages, which follow each other by their ids.
        look: Says how a part begins, by its first bytes, so that parts can be read in the order of their times;
            without it they have lines of a local time and a message, and are merged where they overlap.
    """

    name: str
    read_lines: Kernel
    kinds: Mapping[int, str] = USER_EVENTS
    open_input: OpenInput | None = None
    is_binary: bool = False
    set_up: Callable[[Scan, Any], None] | None = None
    check: Callable[[Scan, Any, str], list[str]] | None = None
    keeps_case: bool = False
    takes: tuple[str, ...] = ()
    look: Look | None = None
    back_ns: int = 0


def refuse_two_markets(what: str, counts: Mapping[str, int], where: str) -> None:
    """Refuse files of two markets, whose symbols have the same names.

    Args:
        what: What was counted.
        counts: How many there are of each market.
        where: The files.

    Raises:
        DataError: There are some of more than one.
    """
    if all(counts.values()):
        (first, first_count), (second, second_count) = counts.items()
        raise DataError(
            f"the files are of two markets: {first_count:,} {what} of {first}, {second_count:,} of {second}",
            where=where,
            hint="an archive holds one: convert the files of each market by themselves",
        )
