"""What the exchange's answers mean: refused, and why, or unknown; and its states and reasons.

A request was *refused* if the exchange says so and surely did nothing. Everything of which it says that it does not
know, every number that is not listed here, and every answer that comes from in front of it, is *unknown* and has to be
asked about. Texts are never looked at but for one: an address that is banned.
"""

from types import MappingProxyType
from typing import Final

from daemon.messages import REFUSED, UNKNOWN
from daemon.session.rest import TOO_MANY_STATUSES
from hftd import constants as c

CLOCK_CODES: Final = frozenset({10002})
TOO_MANY_CODE: Final = 10006
AGAIN_CODES: Final = frozenset({TOO_MANY_CODE, 10429})
RESTARTS_CODE: Final = 10019
"""This node takes nothing new, and answers what it owes."""
LOGGED_IN_CODE: Final = 20001
"""The socket is logged in already."""
KEY_CODES: Final = frozenset({10003, 10004, 10005, 10007, 10008, 10009, 10010, 33004, -2015, 10028})
"""The key, its secret, its rights or its account are wrong, or it is one of another environment."""
NO_SUCH_ORDER_CODES: Final = frozenset({110001, 110008, 110010})
INSTRUMENT_CODES: Final = frozenset({110074, 110063, 10029})
"""Refusals that an instrument's description should have foreseen."""
UNKNOWN_CODES: Final = frozenset({10000, 10014, 10016, 40004})

REASONS: Final = MappingProxyType(
    {
        **dict.fromkeys(NO_SUCH_ORDER_CODES, c.REASON_UNKNOWN_ORDER),
        **dict.fromkeys((110017, 110022, 110023, 110033, 110034, 110042, 30228), c.REASON_REDUCE_ONLY),
        **dict.fromkeys(
            (110004, 110006, 110007, 110012, 110014, 110044, 110045, 110051, 110052, 110053), c.REASON_MARGIN
        ),
        **dict.fromkeys((110021, 110040, 110086, 110089, 110090), c.REASON_MARGIN),
        **dict.fromkeys(
            (10001, 30208, 30209, 110003, 110009, 110020, 110064, 110094, 110118, 110119, 110120, 110121),
            c.REASON_FILTER,
        ),
        **dict.fromkeys((10006, 10403, 10429, 20003), c.REASON_RATE_LIMIT),
        # It is taken, and by nobody but itself: order management asks.
        110072: c.REASON_DUPLICATE,
        **dict.fromkeys((110063, 110074, *range(110095, 110104)), c.REASON_NOT_TRADING),
        RESTARTS_CODE: c.REASON_DISCONNECTED,
        # The clocks: nothing is wrong with what was asked, nor with who asked.
        **dict.fromkeys((*CLOCK_CODES, 10017, 10404, 20006, 110024, 110028, 110079), c.REASON_EXCHANGE),
        **dict.fromkeys(
            (*KEY_CODES, 10024, 10027, 10029, 10032, 110066, 110069, 110124, 110132),
            c.REASON_PERMISSION,
        ),
    }
)
"""REASON_* of what is surely refused."""


def verdict(status: int, code: int, message: str) -> tuple[str, int]:
    """What an answer other than a success means for a request that changes something.

    Args:
        status: HTTP's; 200 for the socket's.
        code: The exchange's, 0 if the answer had none.
        message: Its text, which nothing is decided by.

    Returns:
        REFUSED and a REASON_*, or UNKNOWN and 0.
    """
    del message
    if code in UNKNOWN_CODES:
        return UNKNOWN, 0
    if (reason := REASONS.get(code)) is not None:
        return REFUSED, reason
    if status in TOO_MANY_STATUSES:
        return REFUSED, c.REASON_RATE_LIMIT
    if not code and status in (401, 403):
        return REFUSED, c.REASON_PERMISSION
    if not code and status in (400, 404):
        return REFUSED, c.REASON_EXCHANGE
    return UNKNOWN, 0


_KEY_HINT: Final = (
    "check the key, its rights (orders and positions of contracts), the addresses that it is bound to, that it has not "
    "expired (90 days without such addresses), and that it is one of this host: mainnet, testnet, demo and the "
    "regional sites have their own"
)
HINTS: Final = MappingProxyType(
    {
        **dict.fromkeys((10003, 10005, 10007, 10010, 33004, -2015), _KEY_HINT),
        10002: "this machine's clock is off, or the way to the exchange is slow: see to its time service",
        10004: "the signature is wrong: does the secret belong to the key, and is it one of this host?",
        10024: "the exchange's compliance rules are in the way: see its site, with this account",
        10027: "the account may not trade: ask the exchange",
        10028: "the account is no unified one: upgrade it at the exchange",
        10001: "if it is the position mode: switch the account to one-way at the exchange",
        110007: "the balance is too small, or its coin is no collateral: see to both at the exchange",
        110009: "too many conditional orders are open: cancel some",
        110020: "500 orders are open in this symbol: cancel some",
        110124: "the exchange's cooling-off period is on: end it there, or wait",
    }
)
"""What a person can do about a code."""

SIDES: Final = MappingProxyType({"Buy": c.BUY, "Sell": c.SELL})
SIDE_TEXTS: Final = MappingProxyType({c.BUY: "Buy", c.SELL: "Sell"})
TIMES_IN_FORCE: Final = MappingProxyType(
    {"GTC": c.GTC, "PostOnly": c.GTX, "FOK": c.FOK, "IOC": c.IOC, "RPI": c.GTX}
)
TIME_IN_FORCE_TEXTS: Final = MappingProxyType({c.GTC: "GTC", c.GTX: "PostOnly", c.FOK: "FOK", c.IOC: "IOC"})

STATUSES: Final = MappingProxyType(
    {
        "New": c.NEW,
        "Created": c.NEW,
        "Untriggered": c.NEW,
        "Triggered": c.NEW,
        "Active": c.NEW,
        "PartiallyFilled": c.PARTIALLY_FILLED,
        "Filled": c.FILLED,
        "Cancelled": c.CANCELED,
        "PartiallyFilledCanceled": c.CANCELED,
        "Deactivated": c.CANCELED,
        "Rejected": c.REJECTED,
    }
)

_EXPIRES: Final = MappingProxyType(
    {
        "EC_PostOnlyWillTakeLiquidity": c.REASON_POST_ONLY,
        "EC_NoImmediateQtyToFill": c.REASON_EXPIRED,
        "EC_NoEnoughQtyToFill": c.REASON_FOK,
        "EC_CancelForNoFullFill": c.REASON_EXPIRED,
        "EC_StopBySelfMatch": c.REASON_SELF_TRADE,
        "EC_BySelfMatch": c.REASON_SELF_TRADE,
    }
)
"""What the matching ends by an order's own terms: it expires, as in a simulation, however the state is called."""
_REJECTS: Final = MappingProxyType(
    {
        "EC_DuplicatedClOrdID": c.REASON_DUPLICATE,
        "EC_InvalidSymbolStatus": c.REASON_NOT_TRADING,
        "EC_InCallAuctionStatus": c.REASON_NOT_TRADING,
        **dict.fromkeys(
            (
                "EC_LimitOrderInvalidPrice",
                "EC_QtyCannotBeZero",
                "EC_InvalidPriceScale",
                "EC_ReachRiskPriceLimit",
                "EC_ReachMarketPriceLimit",
            ),
            c.REASON_FILTER,
        ),
    }
)
_CANCELS: Final = MappingProxyType(
    {
        "CancelByReduceOnly": c.REASON_REDUCE_ONLY,
        "CancelBySettle": c.REASON_NOT_TRADING,
        **dict.fromkeys(
            ("CancelByPrepareLiq", "CancelAllBeforeLiq", "CancelByPrepareAdl", "CancelAllBeforeAdl"),
            c.REASON_LIQUIDATION,
        ),
        **dict.fromkeys(("CancelByAdmin", "CancelByDCP", "CancelByRebalance"), c.REASON_EXCHANGE),
    }
)
FORCED: Final = frozenset({"AdlTrade", "BustTrade", "Delivery", "Settle"})
"""Kinds of executions of the exchange's own orders."""
NO_TRADES: Final = frozenset({"Funding"})
"""Kinds of executions that change no position."""


def end_of(status: str, cancel_type: str, reject_reason: str) -> tuple[int, int]:
    """The state of an order and why it is in it.

    Raises:
        KeyError: The state is not known.
    """
    state = STATUSES[status]
    if state not in (c.CANCELED, c.REJECTED):
        return state, c.REASON_NONE
    if reject_reason in _EXPIRES:
        return c.EXPIRED, _EXPIRES[reject_reason]
    if cancel_type == "CancelBySmp":
        return c.EXPIRED, c.REASON_SELF_TRADE
    if state == c.REJECTED:
        return state, _REJECTS.get(reject_reason, c.REASON_EXCHANGE)
    return state, _CANCELS.get(cancel_type, c.REASON_NONE)
