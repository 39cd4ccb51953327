"""What the machines are told of Binance USD-M Futures; the family has the rest."""

from functools import partial
from typing import Final

from daemon.venues.binance import codes, facts
from daemon.venues.binance.facts import limits_of
from daemon.venues.binance.product import Product

USDM: Final = Product(
    prefix="/fapi",
    st=1,
    is_inverse=False,
    positions=("/fapi/v3/positionRisk", 5),
    balances=("/fapi/v3/balance", 5),
    hides_positions=False,
    ws_pool="ws_",
    income_weight=30,
    tells_listen_key=False,
    clock_codes=codes.CLOCK_CODES,
    instrument_codes=codes.INSTRUMENT_CODES,
    reasons=codes.REASONS,
    hints=codes.HINTS,
    limits=tuple(limits_of("weight_1m", 2400, 60_000_000_000)),
)

REST: Final = facts.RestFacts(USDM)
ORDERS: Final = facts.OrderFacts(USDM)
MarketFacts: Final = partial(facts.MarketFacts, USDM)
