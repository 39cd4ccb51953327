"""The orders' ids with the exchange: made from whose order it is, and read back when the exchange shows one.

::

    mm:K3xQ/fK2c00aB3.2kZ
    │  │    │   │  │  └── the bot's order id, base 64, 1 to 11 digits
    │  │    │   │  └───── number of the order in this run, base 64, 1 to 3 digits
    │  │    │   └──────── the run, base 64, 3 digits: counted in the journal, no two of a connector share one
    │  │    └──────────── the bot, a 24-bit hash of its name, base 64, 4 digits
    │  └───────────────── the connector, a random number of 24 bits that its journal keeps, base 64, 4 digits
    └──────────────────── the connector's order prefix, 1 to 8 characters

At most 36 characters of `[.A-Z:/a-z0-9_-]`, which is what Binance takes. Connector, run and number make an id unique
for ever, not only among open orders: a late answer about an old order must never be taken for a new one's, nor one
connector's order for another's. Bot and order id make an order that was found at the exchange, and that no journal
knows, tell whose it is.

Before connectors had a number, ids were `mm:9fK2c0aB3d7.2kZ`: the bot (30 bits, 5 digits), the run (by the clock, 5
digits), the number in it (1 to 5 digits). They are understood, with 0 for the connector, and made where none is given.

Where an exchange takes fewer signs (`wire_ids.py`) a bot's order id may be too large to be told: then ``~``
stands in its place. The journal knows it; of an order that it does not know, only the connector and the bot are told.
"""

import re
import zlib
from typing import Final, NamedTuple

from hftd.errors import ConfigError

MAX_CHARS: Final = 36
PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,8}")
MAX_RUN: Final = (1 << 30) - 1
MAX_NUMBER: Final = (1 << 30) - 1
"""Orders of one run in the old form; then the ids are used up, and the connector must be started again."""
MAX_IDENTITY: Final = (1 << 24) - 1
MAX_BOT: Final = (1 << 24) - 1
MAX_SHORT_RUN: Final = (1 << 18) - 1
MAX_SHORT_NUMBER: Final = (1 << 18) - 1
"""Orders of one run; then the next run begins."""
MAX_ORDER_ID: Final = (1 << 64) - 1
UNTOLD_ORDER: Final = -1
"""`ClientId.order_id` of an id that does not tell it."""
_UNTOLD: Final = "~"

_RUNS_SINCE_NS: Final = 1_704_067_200_000_000_000
"""2024-01-01: runs are numbered by the second of their start."""

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}
_FIXED: Final = 5
_ANY: Final = re.compile(
    r"([A-Za-z0-9_-]{1,8}):(?:([0-9A-Za-z_-]{4})/)?([0-9A-Za-z_-]+)\.([0-9A-Za-z_-]{1,11}|~)", re.ASCII
)
_PAIRS: Final = tuple(high + low for high in _DIGITS for low in _DIGITS)


class ClientId(NamedTuple):
    """What an id says.

    Attributes:
        bot: The hash of the bot's name (`bot_hash`).
        run: The run that made it.
        number: Of the order in that run.
        order_id: The bot's own id, 0 to 2**64 - 1, or UNTOLD_ORDER.
        identity: The connector's number, 0 in ids of the old form.
    """

    bot: int
    run: int
    number: int
    order_id: int
    identity: int = 0


def bot_hash(name: str) -> int:
    """A bot's name in 24 bits (CRC-32 without its eight highest bits)."""
    return zlib.crc32(name.encode()) & MAX_BOT


def is_placeholder(name: str) -> bool:
    """Whether a bot's name stands in for one that is not known."""
    return name.startswith("?")


def read_any(client_id: str) -> tuple[str, ClientId] | None:
    """What an id of any connector of ours says, and its prefix; None if no connector made it."""
    match = _ANY.fullmatch(client_id) if len(client_id) <= MAX_CHARS else None
    if match is None:
        return None
    prefix, identity, body, order_id = match.groups()
    if identity is None:
        bot, run, number = body[:_FIXED], body[_FIXED : 2 * _FIXED], body[2 * _FIXED :]
        limits = MAX_RUN, MAX_RUN, MAX_NUMBER, 0
    else:
        bot, run, number = body[:4], body[4:7], body[7:]
        limits = MAX_BOT, MAX_SHORT_RUN, MAX_SHORT_NUMBER, MAX_IDENTITY
    found = ClientId(
        _decode(bot, limits[0]),
        _decode(run, limits[1]),
        _decode(number, limits[2]),
        0 if order_id == _UNTOLD else _decode(order_id, MAX_ORDER_ID),
        _decode(identity, limits[3]) if identity else 0,
    )
    if not number or min(found) < 0:
        return None
    order = UNTOLD_ORDER if order_id == _UNTOLD else found.order_id
    return prefix, found._replace(bot=found.bot & MAX_BOT, order_id=order)


def spelled(prefix: str, one: ClientId) -> str:
    """The id that says this, with a connector's number."""
    order_id = _UNTOLD if one.order_id == UNTOLD_ORDER else _encode(one.order_id)
    start = (
        f"{prefix}:{_encode_fixed(one.identity, 4)}/{_encode_fixed(one.bot, 4)}{_encode_fixed(one.run, 3)}"
    )
    return f"{start}{_encode(one.number)}.{order_id}"


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


def _encode_fixed(value: int, digits: int = _FIXED) -> str:
    return _encode(value).rjust(digits, "0")


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
    """Makes the ids of one connector, and reads the ids of all with its prefix.

    Args:
        prefix: The connector's order prefix.
        run: This run's number, above those of all earlier ones of the identity.
        identity: The connector's number; 0: ids of the old form, with a run from `run_number`.
        order_id_max: Larger ids of bots do not fit the exchange's, and are not told.
    """

    def __init__(self, prefix: str, run: int, identity: int = 0, order_id_max: int = MAX_ORDER_ID) -> None:
        self.prefix = check_prefix(prefix)
        self.run = run
        self.identity = identity
        self._order_id_max = order_id_max
        self.made = 0
        self._start = f"{prefix}:" + (f"{_encode_fixed(identity, 4)}/" if identity else "")
        self._bots: dict[str, str] = {}

    def make(self, bot: str, order_id: int) -> str:
        """The id for a bot's next order. It may begin another run (`run`), which is to be written into the journal.

        Raises:
            ConfigError: The ids are used up.
        """
        if self.made >= (MAX_SHORT_NUMBER if self.identity else MAX_NUMBER):
            if not self.identity or self.run >= MAX_SHORT_RUN:
                raise ConfigError("this run has used up its order ids", hint="start the connector again")
            self.run += 1
            self.made = 0
            self._bots.clear()
        self.made += 1
        start = self._bots.get(bot)
        if start is None:
            name, run = bot_hash(bot), self.run
            if self.identity:
                start = self._start + _encode_fixed(name, 4) + _encode_fixed(run, 3)
            else:
                start = self._start + _encode_fixed(name) + _encode_fixed(run)
            self._bots[bot] = start
        if order_id > self._order_id_max:
            return f"{start}{_encode(self.made)}.{_UNTOLD}"
        return f"{start}{_encode(self.made)}.{_encode(order_id & MAX_ORDER_ID)}"

    def read(self, client_id: str) -> ClientId | None:
        """What an id says, or None if no connector with this prefix made it."""
        found = read_any(client_id)
        return None if found is None or found[0] != self.prefix else found[1]
