"""Binance USD-M Futures."""

from daemon.venues.binancefutures import facts as usdm
from daemon.venues.binancefutures.session import VENUE
from sim.exchange.binancefutures.venue import BinanceFutures
from sim.exchange.rules.config import ServerSection, SymbolSection
from tests.soak.venues.binance import REFUSALS, BinanceProduct

USDM = BinanceProduct(
    name="binancefutures",
    local=BinanceFutures,
    venue=VENUE,
    server=lambda _seed, offset_ms: ServerSection(speed=0.0, clock_offset_ms=offset_ms),
    product=usdm.USDM,
    rest=usdm.REST,
    orders=usdm.ORDERS,
    symbols=[
        SymbolSection(
            symbol="BTCUSDT",
            tick_size="0.1",
            lot_size="0.001",
            grid_tick="0.01",
            grid_lot="0.0001",
            max_orders=10_000,
        ),
        SymbolSection(
            symbol="ETHUSDT",
            base="ETH",
            tick_size="0.01",
            lot_size="0.001",
            max_orders=10_000,
            min_notional="20",
        ),
        SymbolSection(
            symbol="XRPUSDT",
            base="XRP",
            tick_size="0.001",
            lot_size="0.1",
            min_qty="0.1",
            listed=False,
            min_notional="5",
        ),
    ],
    prices={"BTCUSDT": 20_000.0, "ETHUSDT": 2_000.0, "XRPUSDT": 200.0},
    updates_per_s={"BTCUSDT": 50.0, "ETHUSDT": 20.0, "XRPUSDT": 5.0},
    touch_qty=0.3,
    trade_qty=0.012,
    position_max=3.0,
    narrow=(
        {"min_notional": "500"},
        {"max_qty": "0.03", "market_max_qty": "0.02"},
        {"multiplier_up": "1.0001", "multiplier_down": "0.9999"},
    ),
    refusals=REFUSALS,
)
