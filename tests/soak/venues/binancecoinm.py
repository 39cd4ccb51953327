"""Binance COIN-M Futures."""

from daemon.venues.binancecoinm import facts as coinm
from daemon.venues.binancecoinm.session import VENUE
from sim.exchange.binancecoinm.venue import BinanceCoinm, CoinmServer, CoinmSymbol
from tests.soak.books import Tolerance
from tests.soak.venues.binance import REFUSALS, BinanceProduct, Refusal

_DELIVERED = "BTCUSD_240927"
COINM = BinanceProduct(
    name="binancecoinm",
    local=BinanceCoinm,
    venue=VENUE,
    # Errors that both products have come by either's numbers, and what is said of positions in halted contracts is not
    # documented.
    server=lambda seed, offset_ms: CoinmServer(
        speed=0.0,
        clock_offset_ms=offset_ms,
        numbers="own" if seed % 3 else "sister",
        hides="all" if seed // 2 % 2 == 0 else "unnamed",
    ),
    product=coinm.COINM,
    rest=coinm.REST,
    orders=coinm.ORDERS,
    symbols=[
        CoinmSymbol(symbol="BTCUSD_PERP", grid_tick="0.01", max_orders=10_000),
        CoinmSymbol(
            symbol="ETHUSD_PERP",
            base="ETH",
            tick_size="0.01",
            min_price="100",
            contract_size="10",
            max_orders=10_000,
        ),
        # Settled in the coin of the first one.
        CoinmSymbol(symbol=_DELIVERED, listed=False),
    ],
    prices={"BTCUSD_PERP": 20_000.0, "ETHUSD_PERP": 2_000.0, _DELIVERED: 20_000.0},
    updates_per_s={"BTCUSD_PERP": 50.0, "ETHUSD_PERP": 20.0, _DELIVERED: 5.0},
    touch_qty=300.0,
    trade_qty=12.0,
    position_max=3_000.0,
    narrow=(
        # Its exchangeInfo does not tell this one.
        {"min_notional": "2500"},
        {"max_qty": "30", "market_max_qty": "20"},
        {"multiplier_up": "1.0001", "multiplier_down": "0.9999"},
    ),
    refusals=(
        *REFUSALS,
        Refusal(-4112, "ReduceOnly order failed.", "reduceOnly=true"),
        Refusal(-4113, "The price is beyond the band.", "type=MARKET"),
        Refusal(-4199, "The symbol's status allows no changes."),
    ),
    # The last unit of a coin.
    tolerance=Tolerance(5e-9, 5e-9),
)
