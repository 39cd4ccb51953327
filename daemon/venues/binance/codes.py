"""What the exchange's answers mean: refused, and why, or unknown.

A request was *refused* if the exchange says so and surely did nothing. Everything of which the exchange itself says
that it does not know, and every answer that comes from in front of it, is *unknown* and has to be asked about.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from daemon.messages import REFUSED, UNKNOWN
from daemon.session.rest import TOO_MANY_STATUSES
from hftd import constants as c

GENERAL_CODE: Final = -1000
UNKNOWN_CODES: Final = frozenset({GENERAL_CODE, -1001, -1006, -1007})
"""Unknown error, disconnected, unexpected response, timeout: the request may or may not have been done."""

CLOCK_CODES: Final = frozenset({-1021, -5028})
"""Outside of the time window, by the gateway's or the engine's clock: the offset has to be sampled again."""

KEY_CODES: Final = frozenset({-1022, -2014, -2015})
"""The key, its secret or its rights are wrong."""
LISTEN_KEY_CODE: Final = -1125
TOO_MANY_ORDERS_CODE: Final = -1015
NO_SUCH_ORDER_CODES: Final = frozenset({-2011, -2013})

NO_SUCH_SYMBOL_CODE: Final = -1121
INSTRUMENT_CODES: Final = frozenset({-1111, -4013, -4014, -4023, -4108, -4140, NO_SUCH_SYMBOL_CODE})
"""Refusals that an instrument's description should have foreseen: steps, or a status, are others than we know."""

# 503 has three meanings, told apart by its text and code; the text counts more than the general code.
UNKNOWN_TEXT: Final = "unknown error, please check your request"
FAILED_TEXT: Final = "service unavailable"

REASONS: Final = MappingProxyType(
    {
        **dict.fromkeys((-2011, -2013), c.REASON_UNKNOWN_ORDER),
        -5022: c.REASON_POST_ONLY,
        -5021: c.REASON_FOK,
        **dict.fromkeys((-2022, -4118), c.REASON_REDUCE_ONLY),
        **dict.fromkeys((-2018, -2019, -2027, -2028, -4028), c.REASON_MARGIN),
        **dict.fromkeys(
            (
                -1013,
                -1111,
                -2025,
                -4003,
                -4004,
                -4005,
                -4013,
                -4014,
                -4016,
                -4023,
                -4024,
                -4045,
                -4131,
                -4164,
                -5029,
            ),
            c.REASON_FILTER,
        ),
        **dict.fromkeys((-1003, -1008, -1015), c.REASON_RATE_LIMIT),
        -4116: c.REASON_DUPLICATE,
        **dict.fromkeys((-1016, -1121, -4108, -4140, -4192, -4418, -5024), c.REASON_NOT_TRADING),
        **dict.fromkeys(
            (-1002, -1022, -2014, -2015, -4061, -4400, -4401, -4411, -4531),
            c.REASON_PERMISSION,
        ),
        # It came too late, or too early: nothing is wrong with what was asked, nor with who asked.
        **dict.fromkeys(CLOCK_CODES, c.REASON_EXCHANGE),
    }
)
"""REASON_* of the codes that have one; the others are REASON_EXCHANGE."""


def verdict(status: int, code: int, message: str, reasons: Mapping[int, int] = REASONS) -> tuple[str, int]:
    """What an answer other than a success means for a request that changes something.

    Args:
        status: HTTP's, or the `status` of a WebSocket API reply.
        code: The exchange's, 0 if the answer had none.
        message: Its text.
        reasons: REASON_* by code.

    Returns:
        REFUSED and a REASON_*, or UNKNOWN and 0.
    """
    text = message.lower()
    if status == 503 and code in (0, GENERAL_CODE) and FAILED_TEXT in text and UNKNOWN_TEXT not in text:
        return REFUSED, c.REASON_EXCHANGE
    if code in UNKNOWN_CODES:
        return UNKNOWN, 0
    reason = reasons.get(code)
    if reason is not None:
        return REFUSED, reason
    if status in TOO_MANY_STATUSES:
        return REFUSED, c.REASON_RATE_LIMIT
    if status >= 500 or status == 408:
        return UNKNOWN, 0
    if status == 403 or status == 401:
        return REFUSED, c.REASON_PERMISSION
    if status >= 400 or code < 0:
        return REFUSED, c.REASON_EXCHANGE
    return UNKNOWN, 0


HINTS: Final = MappingProxyType(
    {
        -1021: "this machine's clock is off, or the way to the exchange is slow: see to its time service",
        -1022: "the signature is wrong: does the secret belong to the key, and is it one of this host?",
        -2014: "the API key is no key: copy it anew",
        -2015: "check the key, that it may trade futures, the addresses that it is bound to (this machine's must be "
        "among them), and that it is one of this host (testnet and mainnet have their own)",
        -2018: "the balance is too small: move money to the futures wallet, or trade less",
        -2019: "the margin is too small: move money to the futures wallet, or trade less",
        -2023: "the account is being liquidated",
        -2027: "the position is at what the leverage allows: lower the leverage at the exchange, or trade less",
        -4061: "the account is in hedge mode: switch the position mode to one-way at the exchange",
        -4109: "the account is not active: move money to the futures wallet",
        -4131: "the market is beyond the exchange's price band: market orders pass when it is back",
        -4140: "the instrument's status allows no opening of positions",
        -4192: "the exchange's cooling-off period is on: end it there, or wait",
        -4400: "the account may only reduce its positions, by the exchange's rules for it",
        -4401: "the account may only reduce its positions, by the exchange's rules for it",
        -4411: "sign the agreement for TradFi perpetuals at the exchange, with this account",
        -4418: "by regulation this instrument may only be reduced: take it out of the strategy",
        -5028: "this machine's clock is off, or the way to the exchange is slow: see to its time service",
    }
)
"""What a person can do about a code."""

FORCED_IDS: Final = ("autoclose-", "adl_autoclose", "settlement_autoclose-", "delivery_autoclose-")
"""How the client ids of the exchange's own orders begin: liquidation, deleveraging, settlement, delivery."""


def is_forced(client_id: str) -> bool:
    """Whether an order is the exchange's own, which closes what the account holds."""
    return client_id.startswith(FORCED_IDS)


EXPIRY_REASONS: Final = MappingProxyType(
    {
        "1": c.REASON_SELF_TRADE,
        "2": c.REASON_EXPIRED,
        "3": c.REASON_SELF_TRADE,
        "4": c.REASON_REDUCE_ONLY,
        "5": c.REASON_LIQUIDATION,
        "6": c.REASON_EXPIRED,
        "7": c.REASON_NOT_TRADING,
        "8": c.REASON_EXPIRED,
        "9": c.REASON_EXPIRED,
    }
)
"""REASON_* of a user event's `er`."""

STATUSES: Final = MappingProxyType(
    {
        "NEW": c.NEW,
        "PARTIALLY_FILLED": c.PARTIALLY_FILLED,
        "FILLED": c.FILLED,
        "CANCELED": c.CANCELED,
        "EXPIRED": c.EXPIRED,
        "EXPIRED_IN_MATCH": c.EXPIRED,
        "REJECTED": c.REJECTED,
        "PENDING_NEW": c.NEW,
        "NEW_INSURANCE": c.NEW,
        "NEW_ADL": c.NEW,
    }
)

POST_ONLY_TYPE: Final = "LIMIT_MAKER"
"""A type of order where others have a time in force."""
SIDES: Final = MappingProxyType({"BUY": c.BUY, "SELL": c.SELL})
SIDE_TEXTS: Final = MappingProxyType({c.BUY: "BUY", c.SELL: "SELL"})
TIMES_IN_FORCE: Final = MappingProxyType(
    {"GTC": c.GTC, "GTX": c.GTX, "FOK": c.FOK, "IOC": c.IOC, "GTD": c.GTC, "GTE_GTC": c.GTC, "RPI": c.GTX}
)
TIME_IN_FORCE_TEXTS: Final = MappingProxyType({c.GTC: "GTC", c.GTX: "GTX", c.FOK: "FOK", c.IOC: "IOC"})
