"""Reads a journal with all of its parts, also while a connector writes it. Nothing is locked, and nothing is written.

What happened is told once: of each file the rows between its checkpoint and the place from which the next file has
copied (`daemon.orders.files.rows.Checkpoint`). A checkpoint itself is told only where what was before it is missing.

Limits: one file at a time is in memory, unpacked.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from daemon.orders.files.parts import parts_of, unpack
from daemon.orders.files.records import HEADER, MAGIC, find_damage, payload_at
from daemon.orders.files.rows import At, Checkpoint, Steps, Tail
from daemon.orders.journal import Row, begin_of
from hftd.errors import DataError

SKIPPED_NS: Final = 2 * 86_400_000_000_000
"""A part that ended so long before what is asked for has nothing of it: clocks differ, and the exchange may be late."""
TRIES: Final = 5
"""A new file may take the journal's place while its parts are looked for."""

_decode = msgspec.msgpack.Decoder(list[Row]).decode


class Entry(NamedTuple):
    """A row of a journal.

    Attributes:
        row: It.
        at_ns: When it was written, on the connector's clock; 0: not known (old journals, checkpoints).
        is_state: It is of a checkpoint: how something is, and not that it happened.
    """

    row: Row
    at_ns: int
    is_state: bool


class _File(NamedTuple):
    path: Path
    number: int
    data: bytes | None


class History:
    """A journal with its parts.

    Args:
        path: The journal's file, or a part alone.
        from_ns: Parts that ended long before are not read.

    Attributes:
        damage: What could not be read, and where, for people; complete after `entries`.

    Raises:
        DataError: It is not there, or is not a journal.
    """

    def __init__(self, path: Path, from_ns: int = 0) -> None:
        self.damage: list[str] = []
        self._path = path
        self._from_ns = from_ns
        self._files = self._find()

    def _find(self) -> list[_File]:
        path = self._path
        for _ in range(TRIES):
            try:
                data = path.read_bytes()
            except OSError as error:
                raise DataError(f"the journal can't be read: {error.strerror}", where=str(path)) from None
            if path.suffix == ".zst":
                return [_File(path, 0, None)]
            begin_of(data, path)
            head = _first(data)
            number = head.number if head is not None else 1
            found = parts_of(path)
            if not found or found[-1].number < number:
                break
        files = [
            _File(one.path, one.number, None) for one in found if one.ended_ns >= self._from_ns - SKIPPED_NS
        ]
        before = path.with_name(path.name + ".1")
        if before.is_file():
            # Versions before parts kept one file.
            files.insert(0, _File(before, 0, None))
        return [*files, _File(path, number, data)]

    @property
    def paths(self) -> list[Path]:
        """The files that are read, the oldest first."""
        return [one.path for one in self._files]

    def entries(self) -> Iterator[Entry]:
        """All rows, in the order in which they were written."""
        next_data = self._load(self._files[0])
        last = -1
        for index, file in enumerate(self._files):
            data, is_last = next_data, index + 1 == len(self._files)
            next_data = b"" if is_last else self._load(self._files[index + 1])
            head = _first(next_data)
            follows = not is_last and self._files[index + 1].number == file.number + 1
            until = head.copied_from if head is not None and follows and head.copied_from >= 0 else len(data)
            if last > 0 and file.number > last + 1:
                self.damage.append(f"parts {last + 1} to {file.number - 1} are missing before {file.path}")
            if last > 0 and file.number <= last:
                self.damage.append(
                    f"{file.path}: another file of this journal has number {file.number} as well"
                )
            own = _first(data)
            has_lost = own is not None and own.has_lost
            if has_lost:
                self.damage.append(
                    f"{file.path}: records before it are missing: the disk took none for too long"
                )
            is_continued = last > 0 and file.number == last + 1 and not has_lost
            last = file.number
            yield from self._rows(file, data, until, is_continued, is_last)

    def _load(self, file: _File) -> bytes:
        if file.data is not None:
            return file.data
        path = file.path
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            # It was packed meanwhile.
            path = path.with_name(path.name + ".zst")
            try:
                data = path.read_bytes()
            except OSError as error:
                self.damage.append(f"{file.path}: can't be read: {error.strerror}")
                return b""
        except OSError as error:
            self.damage.append(f"{path}: can't be read: {error.strerror}")
            return b""
        if path.suffix != ".zst":
            return data
        pieces: list[bytes] = []
        for at, piece in unpack(data):
            if piece is None:
                self.damage.append(f"{path}: damaged at byte {at:,} of the packed file")
            else:
                pieces.append(piece)
        return b"".join(pieces)

    def _rows(
        self, file: _File, data: bytes, until: int, is_continued: bool, is_last: bool
    ) -> Iterator[Entry]:
        at = len(MAGIC) if data.startswith(MAGIC) else 0
        if data and not at:
            # The first piece is lost.
            at = find_damage(b"\0" + data, 1) - 1
            self.damage.append(f"{file.path}: its beginning is damaged")
            if at < 0:
                return
        is_state = _first(data) is not None
        while at < until:
            payload = payload_at(data, at)
            if payload is None:
                after = find_damage(data, at)
                if not after:
                    # The end of the file that is written just now may be half of a record.
                    if not is_last:
                        self.damage.append(f"{file.path}: damaged from byte {at:,} to its end")
                    return
                self.damage.append(
                    f"{file.path}: damaged at byte {at:,}; what follows from byte {after:,} on is shown"
                )
                at = after
                continue
            end = at + HEADER.size + len(payload)
            try:
                rows = _decode(payload)
            except msgspec.MsgspecError as error:
                self.damage.append(f"{file.path}: the record at byte {at:,} is of another version: {error}")
                rows = []
            at = end
            at_ns = 0
            for row in rows:
                if isinstance(row, At):
                    at_ns = row.at_ns
                elif isinstance(row, Tail):
                    is_state = False
                elif not isinstance(row, Checkpoint) and not (
                    is_state and is_continued and not isinstance(row, Steps)
                ):
                    yield Entry(row, at_ns, is_state)


def _first(data: bytes) -> Checkpoint | None:
    """A file's first row, if it is that of a checkpoint."""
    payload = payload_at(data, len(MAGIC)) if data.startswith(MAGIC) else None
    if payload is None:
        return None
    try:
        rows = _decode(payload)
    except msgspec.MsgspecError:
        return None
    return rows[0] if rows and isinstance(rows[0], Checkpoint) else None
