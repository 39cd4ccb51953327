"""Deflate streams, unpacked by ISA-L; where one is broken, all that stands before the break is still given.

ISA-L unpacks twice as fast as zlib, but says only that a piece is broken. zlib, whose state can be copied, then
goes through the stream once more and finds the last byte before the break.
"""

import zlib
from collections.abc import Generator
from typing import Any, BinaryIO, Final

from isal import isal_zlib

_IsalError: Any = isal_zlib.IsalError  # typed as any exception
READ_SIZE: Final = 128 << 10
BLOCK_SIZE_MAX: Final = 4 << 20
"""No block of text is longer, however much a few bytes unpack to."""
GZIP: Final = 31
"""The `wbits` of a gzip stream, with its header and checksum."""
RAW: Final = -15
"""The `wbits` of a deflate stream alone, as in a zip file."""

TOO_EARLY: Final = "ends too early"
"""The problem of a stream whose end is missing; of any other, what zlib says."""

Blocks = Generator[bytes, None, str]
"""Unpacked bytes; returns what is wrong with the stream, an empty text if nothing is."""


def inflated(file: BinaryIO, wbits: int) -> Blocks:
    """Unpack the stream at the file's position, which is behind the stream afterwards."""
    start = file.tell()
    given = 0
    decoder = isal_zlib.decompressobj(wbits)
    chunk = b""
    at_end = False
    while not decoder.eof:
        if not chunk:
            chunk = file.read(READ_SIZE)
            at_end = not chunk
        try:
            block = decoder.decompress(chunk, BLOCK_SIZE_MAX)
        except _IsalError:
            return (yield from _by_zlib(file, start, wbits, given))
        chunk = decoder.unconsumed_tail
        if block:
            given += len(block)
            yield block
        elif at_end and not decoder.eof:
            return (yield from _by_zlib(file, start, wbits, given))
    file.seek(-len(decoder.unused_data), 1)
    return ""


def _by_zlib(file: BinaryIO, start: int, wbits: int, given: int) -> Blocks:
    """As `inflated`, without the first `given` bytes."""
    file.seek(start)
    decoder = zlib.decompressobj(wbits)
    chunk = b""
    while not decoder.eof:
        if not chunk:
            chunk = file.read(READ_SIZE)
            if not chunk:
                return TOO_EARLY
        before = decoder.copy()
        try:
            block = decoder.decompress(chunk, BLOCK_SIZE_MAX)
        except zlib.error as error:
            for block in _salvaged(before, chunk):
                rest, given = block[given:], max(0, given - len(block))
                if rest:
                    yield rest
            return str(error)
        chunk = decoder.unconsumed_tail
        rest, given = block[given:], max(0, given - len(block))
        if rest:
            yield rest
    file.seek(-len(decoder.unused_data), 1)
    return ""


def _salvaged(decoder: "zlib._Decompress", chunk: bytes) -> Generator[bytes, None, None]:
    """What `chunk` unpacks to until the byte that is broken."""
    parts: list[bytes] = []
    size = 0
    try:
        for at in range(len(chunk)):
            part = decoder.decompress(chunk[at : at + 1])
            parts.append(part)
            size += len(part)
            if size > BLOCK_SIZE_MAX:
                yield b"".join(parts)
                parts, size = [], 0
    except zlib.error:
        pass
    yield b"".join(parts)
