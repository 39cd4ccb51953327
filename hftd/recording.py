"""What stands beside a recording of raw messages: a quality file, and the windows in which something is missing.

A recorder writes ``BTCUSDT_20240808.zst``, and another part of the day, if two processes record at once, as
``BTCUSDT_20240808.2.zst``. Beside each file is ``<its name>.quality.jsonl``, with a line of JSON for each thing that
happened. From them `gaps_of` says what of a day is missing: a moment counts as recorded if one part has it.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

SUFFIX: Final = ".quality.jsonl"
DAY_NS: Final = 86_400_000_000_000
UNSURE_NS: Final = 1_000_000_000
"""So long a recorder waits for what another connection may bring; one that was killed can't say what it waited for."""


class Begin(msgspec.Struct, tag_field="what", tag="begin", frozen=True):
    """A process begins to write this file; nothing is whole yet."""

    ns: int
    version: str = ""
    pid: int = 0


class Whole(msgspec.Struct, tag_field="what", tag="whole", frozen=True):
    """From here on all is there, and the book can be followed."""

    ns: int


class Broken(msgspec.Struct, tag_field="what", tag="broken", frozen=True):
    """All is there until `ns`; that something is missing was noticed at `noticed_ns`."""

    ns: int
    noticed_ns: int
    why: str


class Missing(msgspec.Struct, tag_field="what", tag="missing", frozen=True):
    """Trades between two moments are missing; the book is not touched by that."""

    ns: int
    until_ns: int
    why: str


class Unheard(msgspec.Struct, tag_field="what", tag="unheard", frozen=True):
    """From `ns` on no connection is known to bring trades, while the book goes on."""

    ns: int


class Heard(msgspec.Struct, tag_field="what", tag="heard", frozen=True):
    """A connection brings trades again; `is_complete`: none was missed, or `Missing` says which."""

    ns: int
    is_complete: bool


class Doubt(msgspec.Struct, tag_field="what", tag="doubt", frozen=True):
    """Lines are about to be written of which something is missing from `ns` on; the next notes say what.

    If none follows, the process was killed in between.
    """

    ns: int


class Minute(msgspec.Struct, tag_field="what", tag="minute", frozen=True):
    """What came in a minute.

    Attributes:
        ns: Its end.
        messages: Written.
        size: Their bytes, unpacked.
        again: Left out, since another connection had brought them.
        connections: That were up at its end.
        offset_ns: What to add to the local clock to get the exchange's; None if that is not known.
        error_ns: How far off that may be.
    """

    ns: int
    messages: int
    size: int
    again: int
    connections: int
    offset_ns: int | None = None
    error_ns: int | None = None


class Reconnect(msgspec.Struct, tag_field="what", tag="reconnect", frozen=True):
    """A connection ended; it is made anew."""

    ns: int
    connection: str
    why: str


class Snapshot(msgspec.Struct, tag_field="what", tag="snapshot", frozen=True):
    """A whole book was asked for and written."""

    ns: int
    why: str


class End(msgspec.Struct, tag_field="what", tag="end", frozen=True):
    """The process writes no more to this file; all is there until then if it was before."""

    ns: int
    why: str


Note = Begin | Whole | Broken | Missing | Unheard | Heard | Doubt | Minute | Reconnect | Snapshot | End
"""A line of a quality file."""

encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Note).decode


class Gap(msgspec.Struct, frozen=True):
    """A window in which something is missing, by the local clock.

    Attributes:
        from_ns: Until then all is there.
        noticed_ns: When whoever listened knew of it; from then on a live book was not valid.
        until_ns: From then on all is there again.
        kind: "book", or "trades" where only trades are missing.
        why: What happened.
    """

    from_ns: int
    noticed_ns: int
    until_ns: int
    kind: str = "book"
    why: str = ""


def quality_path(path: Path) -> Path:
    """The quality file of a recording."""
    return path.with_name(path.name + SUFFIX)


def read_notes(path: Path) -> list[Note]:
    """The lines of a quality file; one that was torn is passed over.

    Raises:
        OSError: It can't be read.
    """
    found: list[Note] = []
    for line in path.read_bytes().split(b"\n"):
        try:
            found.append(_decode(line))
        except msgspec.DecodeError:
            continue
    return found


def is_open(notes: Iterable[Note]) -> bool:
    """Whether a file ends as one that is whole, and that nobody has ended."""
    whole = False
    for note in notes:
        if isinstance(note, Begin | Whole | Broken | End):
            whole = isinstance(note, Whole)
    return whole


def sure_until(notes: Sequence[Note], newest_ns: int) -> int:
    """Until when all is there of a process that was killed, and whose last line or note is of `newest_ns`."""
    until_ns = newest_ns - UNSURE_NS
    return min(until_ns, notes[-1].ns) if notes and isinstance(notes[-1], Doubt) else until_ns


class _Span(msgspec.Struct, frozen=True, order=True):
    """From when until when a part has all; who listened knew at `noticed_ns` that it was over, and why."""

    since_ns: int
    until_ns: int
    noticed_ns: int
    why: str


_GONE: Final = "the recorder was gone"


def _spans(notes: Sequence[Note]) -> Iterator[_Span]:
    since_ns, newest_ns = -1, 0
    for at, note in enumerate(notes):
        if isinstance(note, Whole):
            since_ns = note.ns if since_ns < 0 else since_ns
        elif isinstance(note, Begin | Broken | End) and since_ns >= 0:
            until_ns = sure_until(notes[:at], newest_ns) if isinstance(note, Begin) else note.ns
            until_ns = max(until_ns, since_ns)
            noticed_ns = note.noticed_ns if isinstance(note, Broken) else until_ns
            why = _GONE if isinstance(note, Begin) else note.why
            yield _Span(since_ns, until_ns, max(noticed_ns, until_ns), why)
            since_ns = -1
        newest_ns = max(newest_ns, note.ns)
    if since_ns >= 0:
        until_ns = max(sure_until(notes, newest_ns), since_ns)
        yield _Span(since_ns, until_ns, until_ns, _GONE)


def _unheard(notes: Sequence[Note]) -> Iterator[tuple[int, int]]:
    """From when until when a part may lack trades, and has the book."""
    since_ns, newest_ns = -1, 0
    for at, note in enumerate(notes):
        if isinstance(note, Unheard):
            since_ns = note.ns if since_ns < 0 else since_ns
        elif isinstance(note, Begin | Broken | End | Heard) and since_ns >= 0:
            until_ns = sure_until(notes[:at], newest_ns) if isinstance(note, Begin) else note.ns
            if not (isinstance(note, Heard) and note.is_complete) and until_ns > since_ns:
                yield since_ns, until_ns
            since_ns = -1
        newest_ns = max(newest_ns, note.ns)
    if 0 <= since_ns < newest_ns:
        yield since_ns, newest_ns


def _without(window: tuple[int, int], spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of a window without the spans."""
    left = [window]
    for start, end in spans:
        left = [
            (since, until)
            for one in left
            for since, until in ((one[0], min(one[1], start)), (max(one[0], end), one[1]))
            if since < until
        ]
    return left


def _trade_gaps(parts: Sequence[Sequence[Note]]) -> Iterator[Gap]:
    """Where the book goes on and trades are missing, or may be."""
    covered: list[tuple[int, int]] = []
    for notes in parts:
        windows = list(_unheard(notes))
        covered += [left for one in _spans(notes) for left in _without((one.since_ns, one.until_ns), windows)]
        for note in notes:
            if isinstance(note, Missing):
                yield Gap(note.ns, note.until_ns, note.until_ns, "trades", note.why)
    for window in sorted(window for notes in parts for window in _unheard(notes)):
        for since_ns, until_ns in _without(window, covered):
            yield Gap(since_ns, until_ns, until_ns, "trades", "no connection was known to bring trades")
        covered.append(window)


def gaps_of(parts: Sequence[Sequence[Note]]) -> list[Gap]:
    """The windows in which something is missing, from the notes of all parts of what is put together.

    Of a process that nobody saw ending, the rest of its day is missing.
    """
    gaps = list(_trade_gaps(parts))
    times = [note.ns for notes in parts for note in notes]
    if not times:
        return []
    at_ns = noticed_ns = min(times)
    why = "the recording begins"
    for span in sorted(span for notes in parts for span in _spans(notes)):
        if span.since_ns > at_ns:
            gaps.append(Gap(at_ns, min(noticed_ns, span.since_ns), span.since_ns, "book", why))
        if span.until_ns >= at_ns:
            at_ns, noticed_ns, why = span.until_ns, span.noticed_ns, span.why
    end_ns = max(times)
    if why == _GONE:
        end_ns = max(end_ns, (at_ns // DAY_NS + 1) * DAY_NS - 1)
    if end_ns > at_ns:
        gaps.append(Gap(at_ns, min(noticed_ns, end_ns), end_ns, "book", why))
    return sorted(gaps, key=lambda one: (one.from_ns, one.until_ns))
