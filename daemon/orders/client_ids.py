"""The orders' ids with the exchange: made from whose order it is, and read back when the exchange shows one.

::

    mm:9fK2c0aB3d7.2kZ
    │  │    │    │ └── the bot's order id, base 64, 1 to 11 digits
    │  │    │    └──── number of the order in this run, base 64, 1 to 5 digits
    │  │    └───────── the run, base 64, 5 digits: no two starts of a connector share one
    │  └────────────── the bot, a 30-bit hash of its name, base 64, 5 digits
    └───────────────── the connector's order prefix, 1 to 8 characters

At most 36 characters of `[.A-Z:/a-z0-9_-]`, which is what Binance takes. Run and number make an id unique for ever,
not only among open orders: a late answer about an old order must never be taken for a new one's. Bot and order id
make an order that was found at the exchange, and that no journal knows, tell whose it is.
"""

import re
import zlib
from typing import Final, NamedTuple

from hftd.errors import ConfigError

MAX_CHARS: Final = 36
PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,8}")
MAX_RUN: Final = (1 << 30) - 1
MAX_NUMBER: Final = (1 << 30) - 1
"""Orders of one run; then the ids are used up, and the connector must be started again."""
MAX_ORDER_ID: Final = (1 << 64) - 1

_RUNS_SINCE_NS: Final = 1_704_067_200_000_000_000
"""2024-01-01: runs are numbered by the second of their start."""

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_FIXED: Final = 5
_PAIRS: Final = tuple(high + low for high in _DIGITS for low in _DIGITS)


class ClientId(NamedTuple):
    """What an id says.

    Attributes:
        bot: The hash of the bot's name (`bot_hash`).
        run: The run that made it.
        number: Of the order in that run.
        order_id: The bot's own id, 0 to 2**64 - 1.
    """

    bot: int
    run: int
    number: int
    order_id: int


def bot_hash(name: str) -> int:
    """A bot's name in 30 bits (CRC-32 without its two highest bits)."""
    return zlib.crc32(name.encode()) & MAX_RUN


def run_number(now_ns: int, last_run: int = 0) -> int:
    """A number for a run that starts now: above the last one that is known, and by the clock if none is."""
    run = max((now_ns - _RUNS_SINCE_NS) // 1_000_000_000, last_run + 1)
    return min(max(run, 0), MAX_RUN)


def check_prefix(prefix: str) -> str:
    """The prefix, if it can be one.

    Raises:
        ConfigError: It can't.
    """
    if not PREFIX.fullmatch(prefix):
        raise ConfigError(
            f"the order prefix {prefix[:40]!r} can't begin the ids of orders",
            where="order_prefix",
            hint="use 1 to 8 of A-Z, a-z, 0-9, '_' and '-'",
        )
    return prefix


def _encode(value: int) -> str:
    """Base 64, the highest digit first, without leading zeros."""
    text = ""
    while True:
        if value < 64:
            return _DIGITS[value] + text
        text = _PAIRS[value & 4095] + text
        value >>= 12
        if value == 0:
            return text.lstrip("0")


def _encode_fixed(value: int) -> str:
    return _encode(value).rjust(_FIXED, "0")


def _decode(text: str, limit: int) -> int:
    """The value, or -1."""
    value = 0
    for digit in text:
        worth = _VALUES.get(digit)
        if worth is None:
            return -1
        value = value * 64 + worth
    return value if value <= limit and len(text) <= 11 else -1


class ClientIds:
    """Makes the ids of one run, and reads the ids of all runs with its prefix.

    Args:
        prefix: The connector's order prefix. Two connectors that trade on one account need two.
        run: This run's number, from `run_number`.
    """

    def __init__(self, prefix: str, run: int) -> None:
        self.prefix = check_prefix(prefix)
        self.run = run
        self.made = 0
        self._start = f"{prefix}:"
        self._run = _encode_fixed(run)
        self._bots: dict[str, str] = {}

    def make(self, bot: str, order_id: int) -> str:
        """The id for a bot's next order.

        Raises:
            ConfigError: The run has made `MAX_NUMBER` of them.
        """
        if self.made >= MAX_NUMBER:
            raise ConfigError("this run has used up its order ids", hint="start the connector again")
        self.made += 1
        start = self._bots.get(bot)
        if start is None:
            start = self._bots[bot] = self._start + _encode_fixed(bot_hash(bot)) + self._run
        return f"{start}{_encode(self.made)}.{_encode(order_id & MAX_ORDER_ID)}"

    def read(self, client_id: str) -> ClientId | None:
        """What an id says, or None if no connector with this prefix made it."""
        if not client_id.startswith(self._start) or len(client_id) > MAX_CHARS:
            return None
        number, dot, order_id = client_id[len(self._start) :].partition(".")
        number, bot, run = number[2 * _FIXED :], number[:_FIXED], number[_FIXED : 2 * _FIXED]
        if not (dot and number and order_id):
            return None
        found = ClientId(
            _decode(bot, MAX_RUN),
            _decode(run, MAX_RUN),
            _decode(number, MAX_NUMBER),
            _decode(order_id, MAX_ORDER_ID),
        )
        return None if min(found) < 0 else found
