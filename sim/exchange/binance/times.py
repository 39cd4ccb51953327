"""Times in microseconds, where a client asks for them, and the event of the end of a connection's time.

The exchange's clock goes in whole milliseconds.
"""

import re
from typing import Final

from sim.exchange.binance.errors import refusal

_NAMES: Final = b"E|T|O|W|time|updateTime|transactTime|workingTime|serverTime|authorizedSince|connectedSince"
_TIMES: Final = re.compile(rb'("(?:%s)":)([0-9]{13})(?=[,}])' % _NAMES)
_POSITION: Final = re.compile(rb'("e":"outboundAccountPosition",.*?"u":)([0-9]{13})(?=,)')


def unit_of(fine_times: bool, asked: str) -> bool:
    """Whether a client asks for microseconds, by the name of the unit.

    Raises:
        RefusedError: There is no such unit.
    """
    name = asked.upper()
    if not fine_times or name in ("", "MILLISECOND"):
        return False
    if name != "MICROSECOND":
        raise refusal(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    return True


def shutdown_event(now_ms: int) -> bytes:
    """What connections are told before they are closed."""
    return b'{"e":"serverShutdown","E":%d}' % now_ms


def in_microseconds(payload: bytes) -> bytes:
    """A message with its times in microseconds; ids that are as long as times stay as they are."""
    return _POSITION.sub(rb"\g<1>\g<2>000", _TIMES.sub(rb"\g<1>\g<2>000", payload))
