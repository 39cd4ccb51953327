"""Client ids for exchanges that take fewer signs than :mod:`daemon.orders.client_ids` uses.

An id keeps what it says, and an exchange's id of ours gives it back; ids of others pass as they are::

    mm:K3xQ/fK2c00aB3.2kZ      ours
    mmK3xQfK2c00a0B32kZ2w      letters, digits, '_' and '-' alone: the fields without their separators, the number in
                               three digits; then two signs of base 64 that hold the prefix's length (3 bits) and a
                               check of the rest (9 bits, CRC-32), so that few ids of others look like one of ours

Such an id has at most 36 characters, as ours have.
"""

import re
import zlib
from typing import Final

from daemon.orders.client_ids import read_any

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_OURS: Final = re.compile(
    r"([A-Za-z0-9_-]{1,8}):([0-9A-Za-z_-]{4})/([0-9A-Za-z_-]{7})([0-9A-Za-z_-]{1,3})\.([0-9A-Za-z_-]{1,11})",
    re.ASCII,
)
PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_LEAST: Final = 1 + 4 + 7 + 3 + 1 + 2


def _check(text: str, prefix_length: int) -> str:
    bits = (zlib.crc32(text.encode()) & 511) << 3 | (prefix_length - 1)
    return _DIGITS[bits >> 6] + _DIGITS[bits & 63]


def to_plain(client_id: str) -> str:
    """An id as it goes to the exchange; one that is not of our form unchanged, which the exchange may refuse."""
    match = _OURS.fullmatch(client_id)
    if match is None:
        return client_id
    prefix, identity, run, number, order_id = match.groups()
    text = f"{prefix}{identity}{run}{number.rjust(3, '0')}{order_id}"
    return text + _check(text, len(prefix))


def from_plain(text: str) -> str:
    """An exchange's id as it is known here; one that is not ours unchanged."""
    if not _LEAST <= len(text) <= 36 or not PLAIN.fullmatch(text):
        return text
    body, prefix_length = text[:-2], (_VALUES[text[-1]] & 7) + 1
    if _check(body, prefix_length) != text[-2:] or len(body) < prefix_length + 15:
        return text
    prefix, rest = body[:prefix_length], body[prefix_length:]
    number = rest[11:14].lstrip("0")
    client_id = f"{prefix}:{rest[:4]}/{rest[4:11]}{number}.{rest[14:]}"
    return client_id if number and read_any(client_id) is not None else text
