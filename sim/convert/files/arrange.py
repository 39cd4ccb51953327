"""In which order inputs are read: that of their own times, whatever they are called and however they are packed.

Of each part (a file, or one in a zip file) the beginning is looked at. Parts that hold the same bytes are one.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from hftd.rows import TS_MAX
from sim.convert.files.others import capture_of, other_file, what_is
from sim.convert.files.text import Part

LOOK_SIZE: Final = 256 << 10
"""So many bytes of each part are looked at, and more where its first line is longer."""
NEVER: Final = TS_MAX
"""The first time of a part without any: it is read last."""
_LOCAL_TIME: Final = re.compile(rb"^(\d{19}|\d{16})[ \t]", re.MULTILINE)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How a part begins.

    Attributes:
        rank: Parts of a lower one are read first.
        first_ts: Its first time, ns.
        is_book: It has a book of its own, whose lines can't be mixed with those of another part.
    """

    rank: int = 0
    first_ts: int = NEVER
    is_book: bool = False


class Placed(msgspec.Struct, frozen=True):
    """A part and how it begins."""

    part: Part
    start: Start


Look = Callable[[bytes, bool, Part], Start]


def line_start(venue: str, text: bytes, at_end: bool, part: Part) -> Start:  # noqa: ARG001 (see `Venue.look`)
    """How lines of a local time and a message begin.

    Raises:
        DataError: It is another kind of file that is known, or a capture of another exchange.
    """
    capture = capture_of(text)
    if capture is not None and capture.venue[:7] != venue[:7]:
        # Binance's three markets are told apart when all was read.
        raise other_file(capture, part.path)
    found = _LOCAL_TIME.search(text)
    if found is None:
        other = what_is(text, part.path)
        if other is not None:
            raise other_file(other, part.path)
        return Start()
    return Start(first_ts=int(found[1]) * (1 if len(found[1]) == 19 else 1000))


def time_ns(field: bytes) -> int:
    """A time of a table as nanoseconds, its unit told by its digits; `NEVER` where it is not one."""
    whole, _, rest = field.strip().strip(b'"').partition(b".")
    unit = {10: 10**9, 13: 10**6, 16: 1000, 19: 1}.get(len(whole))
    if unit is None or not whole.isdigit() or (rest and not rest.isdigit()):
        return NEVER
    return int(whole) * unit + int(rest[:18] or b"0") * unit // 10 ** len(rest[:18])


def arranged(parts: Sequence[Part], look: Look, *, as_given: bool = False) -> tuple[list[Placed], list[str]]:
    """The parts in the order in which they are to be read, each once.

    Args:
        parts: All that there are.
        look: Says how one begins, by its first bytes and whether these are all.
        as_given: Leave parts of one rank in the order given, and those that are there twice.

    Returns:
        The parts, and a sentence for each that was left out because another one has the same contents.

    Raises:
        DataError: A part can't be read, or is not of this kind.
    """
    found: list[tuple[tuple[int, int, bytes, str], Placed]] = []
    for part in parts:
        text, at_end = part.start(LOOK_SIZE)
        start = look(text, at_end, part) if text else Start()
        # By what it holds where times are equal, so that names have no say.
        found.append(
            (
                (start.rank, start.first_ts, hashlib.blake2b(text[:LOOK_SIZE]).digest(), part.name),
                Placed(part, start),
            )
        )
    if as_given:
        return sorted((placed for _, placed in found), key=lambda placed: placed.start.rank), []
    found.sort(key=lambda pair: pair[0])
    kept: list[tuple[bytes, Placed]] = []
    notes: list[str] = []
    digests: dict[int, bytes] = {}
    for key, placed in found:
        alike = [other for other_key, other in kept if other_key == key[2] and placed.start.first_ts != NEVER]
        same = next(
            (other for other in alike if _digest(other.part, digests) == _digest(placed.part, digests)), None
        )
        if same is None:
            kept.append((key[2], placed))
        else:
            placed.part.position = placed.part.size
            notes.append(f"{placed.part.name} holds the same as {same.part.name}, and was left out")
    return [placed for _, placed in kept], notes


def _digest(part: Part, known: dict[int, bytes]) -> bytes:
    """That of all that a part holds; equal beginnings alone make it needed."""
    if id(part) not in known:
        whole = hashlib.blake2b()
        for block in part.blocks():
            whole.update(block)
        part.position = 0
        part.damage = []
        known[id(part)] = whole.digest()
    return known[id(part)]
