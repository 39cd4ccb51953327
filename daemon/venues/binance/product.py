"""What tells the members of Binance's family apart: everything else of them stands once, in this folder."""

from collections.abc import Mapping

import msgspec

from daemon.connector.limiter import RateLimit


class Product(msgspec.Struct, frozen=True):
    """One member of the family.

    Attributes:
        prefix: Its REST paths begin with it, such as ``/fapi``, and its version follows.
        st: Its number where a stream carries several members: 1 USD-M, 2 COIN-M.
        is_inverse: Its contracts are so much of the quote, settled in the base, and exchangeInfo describes them so.
        positions: Path and weight of the question for positions.
        balances: Path and weight of the question for balances.
        hides_positions: Asked for all positions, it lists every contract that is trading, and leaves out the others.
        ws_pool: The limiter's names of what its WebSocket API counts begin with it: of request weight, in a pool of its
            own; empty: it counts in that of REST.
        income_weight: What a question for payments of funding costs; 0: there is none.
        tells_listen_key: The answer to an extension of the listen key holds the key.
        clock_codes: Errors that say that a request's time was off.
        instrument_codes: Refusals that an instrument's description should have foreseen.
        reasons: REASON_* by the error's number.
        hints: What a person can do, by the error's number.
        limits: The request limits until the exchange has told them, or if it does not.
    """

    prefix: str
    st: int
    is_inverse: bool
    positions: tuple[str, int]
    balances: tuple[str, int]
    hides_positions: bool
    ws_pool: str
    income_weight: int
    tells_listen_key: bool
    clock_codes: frozenset[int]
    instrument_codes: frozenset[int]
    reasons: Mapping[int, int]
    hints: Mapping[int, str]
    limits: tuple[RateLimit, ...]
    version: str = "v1"

    @property
    def rest(self) -> str:
        """What its REST paths begin with, such as ``/fapi/v1``."""
        return f"{self.prefix}/{self.version}"
