"""Client ids for exchanges that take fewer signs than :mod:`daemon.orders.ids.client_ids` uses.

An id keeps what it says, and an exchange's id of ours gives it back; ids of others pass as they are. Where there are 36
letters, digits, '_' and '-' (`to_plain`)::

    mm:K3xQ/fK2c00aB3.2kZ      ours
    mmK3xQfK2c00a0B32kZ2w      letters, digits, '_' and '-' alone: the fields without their separators, the number in
                               three digits; then two signs of base 64 that hold the prefix's length (3 bits) and a
                               check of the rest (9 bits, CRC-32), so that few ids of others look like one of ours

Such an id has at most 36 characters, as ours have. Where there is less room an id is a number (`Packed`), which the
exchange takes in one of its forms (`HEX`, `UUID`, `letters_and_digits`), from the highest bit on::

    identity 24   bot 24   run 18   number 18   the bot's order id 30 to 64   check 8 to 16

What makes an id unique, the first and the third and fourth of these, is always whole. An order id of a bot that does
not fit is not told: all its bits are set. The prefix is not in the number: it goes into the check, so that the ids of a
connector with another prefix are others' ids, as they are elsewhere.

An id of somebody else that looks like ours is taken for ours: one of 256, or of 65,536 where there is room. That alone
has no consequence: whose an order is, its identity says (24 bits), and one whose identity is of no connector that is
known on this machine is left alone and shown as a warning.
"""

import re
import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from daemon.orders.ids.client_ids import MAX_ORDER_ID, UNTOLD_ORDER, ClientId, read_any, spelled

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


class Form(msgspec.Struct, frozen=True):
    """How an exchange takes a number as a client id.

    Attributes:
        bits: So many the number may have.
        write: The text of a number.
        read: The number of a text, or None if it is no such text.
    """

    bits: int
    write: Callable[[int], str]
    read: Callable[[str], int | None]


_HEX: Final = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{32})", re.ASCII)
_UUID: Final = re.compile(
    r"([0-9a-f]{8})-?([0-9a-f]{4})-?4([0-9a-f]{3})-?([89ab][0-9a-f]{3})-?([0-9a-f]{12})"
)
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _read_hex(text: str) -> int | None:
    match = _HEX.fullmatch(text)
    return None if match is None else int(match[1], 16)


def _write_uuid(number: int) -> str:
    # RFC 9562: four bits are the version, 4, and two the variant.
    high, middle, low = number >> 74, number >> 62 & 0xFFF, number % (1 << 62)
    text = f"{high:012x}4{middle:03x}{1 << 63 | low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _read_uuid(text: str) -> int | None:
    match = _UUID.fullmatch(text.lower())
    if match is None:
        return None
    first, second, middle, variant, last = match.groups()
    low = int(variant + last, 16) % (1 << 62)
    return int(first + second, 16) << 74 | int(middle, 16) << 62 | low


HEX: Final = Form(128, lambda number: f"0x{number:032x}", _read_hex)
"""0x and 32 hexadecimal digits."""
UUID: Final = Form(122, _write_uuid, _read_uuid)
"""A UUID of version 4; with or without hyphens when it comes back."""


def letters_and_digits(length: int) -> Form:
    """Exactly so many of A-Z, a-z and 0-9."""
    values = {digit: value for value, digit in enumerate(_ALPHABET)}

    def write(number: int) -> str:
        text = ""
        for _ in range(length):
            number, digit = divmod(number, 62)
            text = _ALPHABET[digit] + text
        return text

    def read(text: str) -> int | None:
        if len(text) != length or not (text.isascii() and text.isalnum()):
            return None
        number = 0
        for digit in text:
            number = number * 62 + values[digit]
        return number

    return Form((62**length).bit_length() - 1, write, read)


class Packed:
    """Our ids as numbers in an exchange's form; see the module.

    Args:
        prefix: Of our ids.
        form: The exchange's.

    Attributes:
        order_id_max: The largest id of a bot's order that is told.
    """

    def __init__(self, prefix: str, form: Form) -> None:
        self._prefix = prefix
        self._form = form
        room = form.bits - 84
        self._order_bits = min(64, room - 8)
        self._check_bits = min(16, room - self._order_bits)
        self._untold = (1 << self._order_bits) - 1
        self.order_id_max = MAX_ORDER_ID if self._order_bits == 64 else self._untold - 1

    def to_wire(self, client_id: str) -> str:
        """An id as it goes to the exchange; one that is not of our form unchanged, which the exchange may refuse."""
        found = read_any(client_id)
        if found is None or found[0] != self._prefix or not found[1].identity:
            return client_id
        bot, run, number, order_id, identity = found[1]
        if order_id > self.order_id_max:
            return client_id
        body = ((identity << 24 | bot) << 18 | run) << 18 | number
        body = body << self._order_bits | (self._untold if order_id == UNTOLD_ORDER else order_id)
        return self._form.write(body << self._check_bits | self._check(body))

    def from_wire(self, text: str) -> str:
        """An exchange's id as it is known here; one that is not ours unchanged."""
        found = self._form.read(text)
        if found is None:
            return text
        body, check = found >> self._check_bits, found & (1 << self._check_bits) - 1
        rest = body >> self._order_bits
        number, run, bot = rest & 0x3FFFF, rest >> 18 & 0x3FFFF, rest >> 36 & 0xFFFFFF
        identity = rest >> 60
        if check != self._check(body) or not number or not 0 < identity < 1 << 24:
            return text
        order_id = body & self._untold
        if order_id == self._untold and self._order_bits < 64:
            order_id = UNTOLD_ORDER
        return spelled(self._prefix, ClientId(bot, run, number, order_id, identity))

    def _check(self, body: int) -> int:
        whole = self._prefix.encode() + body.to_bytes(32, "big")
        return zlib.crc32(whole) & (1 << self._check_bits) - 1
