"""What the machines are told of Binance COIN-M Futures; the family has the rest.

Since the exchange joined COIN-M with USD-M either's number of an error may come, so COIN-M's stand beside USD-M's.
"""

from functools import partial
from types import MappingProxyType
from typing import Final

from daemon.connector.limiter import RateLimit
from daemon.venues.binance import codes, facts
from daemon.venues.binance.facts import limits_of
from daemon.venues.binance.product import Product
from hftd import constants as c

ENGINE_CLOCK_CODE: Final = -4188
"""Outside of the matching engine's time window; -5028 at USD-M."""
STATUS_CODE: Final = -4199
"""The symbol's status allows no changes; -5024 at USD-M."""

REASONS: Final = MappingProxyType(
    {
        **codes.REASONS,
        -4112: c.REASON_REDUCE_ONLY,
        # Price or quantity at zero or at its limits; a market order beyond the band; too small a value.
        **dict.fromkeys((-4001, -4002, -4113, -4178), c.REASON_FILTER),
        STATUS_CODE: c.REASON_NOT_TRADING,
        # The address, an account that may only reduce or nothing, an agreement.
        **dict.fromkeys((-1011, -4089, -4090, -4194, -4195, -4200, -4201, -4202), c.REASON_PERMISSION),
        ENGINE_CLOCK_CODE: c.REASON_EXCHANGE,
    }
)

_FEW_FUNDS: Final = "is too small: move the contract's coin to the COIN-M futures wallet, or trade less"
HINTS: Final = MappingProxyType(
    {
        **codes.HINTS,
        -1011: "this machine's address is not among those that the key is bound to",
        -2018: f"the balance {_FEW_FUNDS}",
        -2019: f"the margin {_FEW_FUNDS}",
        -4089: "the account may only reduce its positions, by the exchange's rules for it",
        -4090: "the account may send no orders, by the exchange's rules for it: ask the exchange",
        -4109: "the account is not active: move a coin to the COIN-M futures wallet",
        -4113: codes.HINTS[-4131],
        ENGINE_CLOCK_CODE: codes.HINTS[-1021],
        -4194: "the exchange wants to know who you are: complete its verification",
        -4198: "the order was changed too often: cancel it and send a new one",
    }
)

_MINUTE_NS: Final = 60_000_000_000
_SECOND_NS: Final = 1_000_000_000

COINM: Final = Product(
    prefix="/dapi",
    st=2,
    is_inverse=True,
    positions=("/dapi/v1/positionRisk", 1),
    balances=("/dapi/v1/balance", 1),
    hides_positions=True,
    ws_pool="",
    income_weight=20,
    tells_listen_key=True,
    clock_codes=codes.CLOCK_CODES | {ENGINE_CLOCK_CODE},
    instrument_codes=codes.INSTRUMENT_CODES | {STATUS_CODE},
    reasons=REASONS,
    hints=HINTS,
    limits=(
        *limits_of("weight_1m", 2400, _MINUTE_NS, ""),
        RateLimit("orders_1m", 1200, _MINUTE_NS),
        # Its exchangeInfo does not list this one, which it shares with USD-M.
        RateLimit("orders_10s", 300, 10 * _SECOND_NS),
    ),
)

REST: Final = facts.RestFacts(COINM)
ORDERS: Final = facts.OrderFacts(COINM)
MarketFacts: Final = partial(facts.MarketFacts, COINM)
