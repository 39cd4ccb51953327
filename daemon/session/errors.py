"""What goes wrong between the connector and an exchange."""

from typing import Final

import msgspec

from daemon.connector.venue import AnsweredError
from hftd.errors import HftdError

DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what was expected."""


class WireError(ValueError):
    """Bytes of the exchange that can't be read: not JSON, of other types, or with impossible values."""


class OddItemError(WireError):
    """One item that can be read and can't be taken over: its symbol is not known, or its quantity is on no lot."""

    def __init__(self, symbol: str, why: str) -> None:
        super().__init__(why)
        self.symbol = symbol


class Odd(msgspec.Struct, frozen=True):
    """An item of a list that is set aside, so that it does not spoil the others.

    Attributes:
        what: What it is, such as "open order".
        key: By which it is known among those.
        client_id: The client id of an order.
        exch_order_id: Its id at the exchange.
        blocks: Whether its symbol is not to be traded for it.
    """

    what: str
    symbol: str
    key: str
    why: str
    client_id: str = ""
    exch_order_id: str = ""
    blocks: bool = True


class RequestError(ValueError):
    """A command that can't be written as a request; nothing was sent."""


class NotSentError(HftdError):
    """There was no connection, or no room under the limits: nothing was sent.

    Attributes:
        wait_s: Nothing will be sent before so long.
    """

    wait_s: float = 0.0


class BannedError(NotSentError):
    """The exchange wants to hear nothing."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"the exchange bans this address for {wait_s:.0f} s more")
        self.wait_s = wait_s


class FateUnknownError(HftdError):
    """The request was sent, or may have been, and there is no answer."""


class ExchangeError(AnsweredError):
    """The exchange answered with an error.

    Attributes:
        status: HTTP's.
        code: The exchange's own, 0 if it gave none.
    """

    def __init__(self, what: str, *, status: int, code: int) -> None:
        super().__init__(what)
        self.status = status
        self.code = code


EXPECTED: Final = (ExchangeError, NotSentError, FateUnknownError, WireError)
"""What a question to the exchange may raise without anything being wrong here."""
