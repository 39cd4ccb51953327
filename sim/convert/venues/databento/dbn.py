"""Databento Binary Encoding: what stands before the records of a file.

::

    "DBN" version u8   length u32      of all that follows, before the first record
    dataset 16 bytes   schema u16      start u64  end u64  limit u64
    record count u64                   in version 1 only
    input symbols u8   output symbols u8          kinds of names; 1 raw symbols, 0 instrument ids
    with sending times u8              each record is then 8 bytes longer
    symbol length u16                  from version 2 on; 22 before
    reserved                           so that this is 100 bytes from the dataset on
    definitions u32                    bytes of a schema's definition, so far none
    symbols, partial, not found        each a u32 count and so many names
    mappings                           a u32 count, each: name, a u32 count, each: first day u32, day behind u32, name

All numbers are little-endian, days such as 20231224. The format: Databento's documentation, "Databento Binary
Encoding". It is read here instead of by Databento's package, so that a conversion needs none, and so that every
count is held against the bytes that are there.
"""

from pathlib import Path
from typing import Final

import msgspec

from hftd.errors import DataError
from sim.convert.files.others import other_file, what_is

MAGIC: Final = b"DBN"
VERSIONS: Final = (1, 2, 3)
SIZE_MAX: Final = 8 << 20
"""Bytes of metadata: as long as a line may be, and as much as some 35,000 symbols take."""
SCHEMAS: Final = {
    0: "mbo",
    1: "mbp-1",
    2: "mbp-10",
    3: "tbbo",
    4: "trades",
    5: "ohlcv-1s",
    6: "ohlcv-1m",
    7: "ohlcv-1h",
    8: "ohlcv-1d",
    9: "definition",
    10: "statistics",
    11: "status",
    12: "imbalance",
    13: "ohlcv-eod",
    14: "cmbp-1",
    15: "cbbo-1s",
    16: "cbbo-1m",
    17: "tcbbo",
    18: "bbo-1s",
    19: "bbo-1m",
}
_NO_SCHEMA: Final = 0xFFFF
_INSTRUMENT_IDS: Final = 0
_FIXED_SIZE: Final = 100
_SYMBOL_SIZE_V1: Final = 22
_SYMBOL_SIZE: Final = 71
_HEADER_SIZE: Final = 16
_MAPPING, _SYSTEM = 22, 23


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of itself.

    Attributes:
        version: Of the encoding, 1 to 3.
        dataset: Such as `GLBX.MDP3`.
        schema: The kind of its records; empty for a mix of several.
        has_send_ts: Whether each record ends with the time at which Databento sent it.
        symbols: The names that were asked for.
        ids: Instrument ids by symbol, in the order of days.
    """

    version: int
    dataset: str
    schema: str
    has_send_ts: bool
    symbols: list[str]
    ids: dict[str, list[int]]


class _Reader:
    """Takes numbers and names from bytes, and refuses to go beyond their end."""

    def __init__(self, data: bytes, at: int, end: int, path: Path) -> None:
        self.data, self.at, self.end, self.path = data, at, end, path

    def take(self, size: int) -> bytes:
        if size > self.end - self.at:
            raise _broken(self.path, f"ends at byte {self.end} within a field")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def count(self, item_size: int, what: str) -> int:
        count = self.number(4)
        if count * item_size > self.end - self.at:
            raise _broken(self.path, f"tells of {count:,} {what}, more than it has room for")
        return count

    def text(self, size: int) -> str:
        return self.take(size).split(b"\0", 1)[0].decode("utf-8", "replace")


def read_metadata(text: bytes, at_end: bool, path: Path) -> tuple[Metadata, int] | None:
    """Read what stands before the records.

    Args:
        text: The file's first bytes, unpacked.
        at_end: Whether these are all.
        path: The file, for errors.

    Returns:
        The metadata, and the number of bytes that they are; None if more bytes are needed.

    Raises:
        DataError: This is no DBN, of a version that is not known, or its metadata are broken.
    """
    if not MAGIC.startswith(text[:3]) or (at_end and len(text) < 8):
        other = what_is(text[:4096], path)
        if other is not None:
            raise other_file(other, path)
        shown = text[:16].decode("latin-1")
        raise DataError(
            f"the input is no DBN: it begins with {shown!r}",
            where=str(path),
            hint="a file from Databento, encoding dbn, plain or packed with zstd",
        )
    if len(text) < 8:
        return None
    version = text[3]
    if version not in VERSIONS:
        raise DataError(
            f"the file is of version {version} of DBN",
            where=str(path),
            hint=f"versions {', '.join(map(str, VERSIONS))} are read",
        )
    size = 8 + int.from_bytes(text[4:8], "little")
    if size < 8 + _FIXED_SIZE:
        raise _broken(path, f"are said to be {size - 8:,} bytes")
    if size > SIZE_MAX:
        raise DataError(
            f"the metadata of the file are said to be {size - 8:,} bytes, more than {SIZE_MAX:,}",
            where=str(path),
            hint="the file is damaged, or has the symbols of a whole market: ask for fewer",
        )
    if len(text) < size:
        if at_end:
            raise _broken(path, f"end after {len(text):,} of {size:,} bytes")
        return None
    return _parsed(_Reader(text, 8, size, path), version), size


def mapped_ids(records: bytes, version: int) -> dict[str, list[int]]:
    """Instrument ids by symbol, of the records with which a recorded session begins (symbol mappings, kind 22).

    Each has the name that was asked for and the one of the output: of both that which is no id is the symbol.

    Args:
        records: What follows the metadata.
        version: Of the encoding.
    """
    ids: dict[str, list[int]] = {}
    # From version 2 on a byte before each name says of which kind it is, and names are longer.
    at, size = (17, _SYMBOL_SIZE) if version > 1 else (16, _SYMBOL_SIZE_V1)
    while len(records) >= _HEADER_SIZE and records[1] in (_MAPPING, _SYSTEM):
        length = records[0] * 4
        if length < _HEADER_SIZE or length > len(records):
            break
        if records[1] == _MAPPING and length >= at + 2 * size + (version > 1):
            number = int.from_bytes(records[4:8], "little")
            other = at + size + (version > 1)
            for start in (at, other):
                name = records[start : start + size].split(b"\0", 1)[0].decode("utf-8", "replace")
                found = ids.setdefault(name, []) if name and not name.isdigit() else [number]
                if number not in found:
                    found.append(number)
        records = records[length:]
    return ids


def _parsed(reader: _Reader, version: int) -> Metadata:
    start = reader.at
    dataset = reader.text(16)
    schema = reader.number(2)
    reader.take(24 if version > 1 else 32)
    reader.number(1)
    output = reader.number(1)
    has_send_ts = reader.number(1) != 0
    symbol_size = reader.number(2) if version > 1 else _SYMBOL_SIZE_V1
    if symbol_size == 0:
        raise _broken(reader.path, "tell of names of no length")
    reader.take(start + _FIXED_SIZE - reader.at)
    reader.take(reader.number(4))
    symbols, _, _ = (
        [reader.text(symbol_size) for _ in range(reader.count(symbol_size, "names"))] for _ in "123"
    )
    ids: dict[str, list[int]] = {}
    for _ in range(reader.count(symbol_size + 4, "mappings")):
        name = reader.text(symbol_size)
        for _ in range(reader.count(symbol_size + 8, "days of a mapping")):
            reader.take(8)
            mapped = reader.text(symbol_size)
            # Where names were asked for by id, it is the other way round.
            symbol, number = (name, mapped) if output == _INSTRUMENT_IDS else (mapped, name)
            if number.isascii() and number.isdigit():
                found = ids.setdefault(symbol, [])
                if int(number) not in found:
                    found.append(int(number))
    return Metadata(
        version=version,
        dataset=dataset,
        schema="" if schema == _NO_SCHEMA else SCHEMAS.get(schema, f"schema {schema}"),
        has_send_ts=has_send_ts,
        symbols=symbols,
        ids=ids,
    )


def _broken(path: Path, what: str) -> DataError:
    return DataError(f"the metadata of the file {what}", where=str(path), hint="the file is damaged")
