"""The exchanges that the soak can be run on: their local one, the connector's facts, and what is traded there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from daemon.venues.binance.facts import OrderFacts, RestFacts
from daemon.venues.binance.product import Product
from daemon.venues.binancecoinm import facts as coinm
from daemon.venues.binancefutures import facts as usdm
from sim.exchange.binance.family import Binance
from sim.exchange.binancecoinm.venue import BinanceCoinm, CoinmServer, CoinmSymbol
from sim.exchange.binancefutures.venue import BinanceFutures
from sim.exchange.config import ServerSection, SymbolSection
from sim.exchange.mishaps import STEPS
from tests.soak.books import LINEAR, Tolerance

_FILTERS = ("max_orders", "min_notional", "max_qty", "market_max_qty", "multiplier_up", "multiplier_down")


@dataclass(frozen=True)
class SoakProduct:
    """One exchange.

    Attributes:
        local: The local exchange.
        server: Its `[exchange]`, by seed and by how many milliseconds its clock is off.
        product: What tells the connector's side apart from others of the family.
        rest: The facts of REST; likewise `orders`.
        symbols: The instruments: two in which bots trade, and one that is listed later.
        prices: At which each begins.
        updates_per_s: How lively each is.
        touch_qty: What stands at the best price; likewise `trade_qty`, of market orders.
        position_max: Beyond which a bot trades back.
        narrow: Filters by which fewer orders are taken.
        refusals: Code, words and parameters of refusals that no other product has.
        tolerance: How near fees and balances must come.
    """

    name: str
    local: type[Binance]
    server: Callable[[int, int], ServerSection]
    product: Product
    rest: RestFacts
    orders: OrderFacts
    symbols: list[SymbolSection]
    prices: Mapping[str, float]
    updates_per_s: Mapping[str, float]
    touch_qty: float
    trade_qty: float
    position_max: float
    narrow: tuple[dict[str, str], ...]
    refusals: tuple[tuple[int, str, str], ...] = ()
    tolerance: Tolerance = LINEAR
    given: Mapping[str, dict[str, str]] = field(init=False)
    """The filters at first."""
    finest: Mapping[str, dict[str, str]] = field(init=False)
    """The finest steps."""
    inverse: Mapping[str, Decimal] = field(init=False)
    """The size of each contract that is settled in its base."""

    def __post_init__(self) -> None:
        given = {one.symbol: {name: str(getattr(one, name)) for name in _FILTERS} for one in self.symbols}
        finest = {}
        for one in self.symbols:
            tick, lot = one.grid_tick or one.tick_size, one.grid_lot or one.lot_size
            finest[one.symbol] = {"tick_size": tick, "lot_size": lot, "min_qty": lot}
        inverse = {one.symbol: Decimal(one.contract_size) for one in self.symbols if one.inverse}
        for name, value in (("given", given), ("finest", finest), ("inverse", inverse)):
            object.__setattr__(self, name, value)

    @property
    def traded(self) -> tuple[str, str]:
        """In which bots trade; in the one that is listed later nobody does but by hand."""
        return self.symbols[0].symbol, self.symbols[1].symbol

    @property
    def later(self) -> str:
        """The one that is listed later."""
        return self.symbols[2].symbol

    def rounded(self) -> dict[str, Decimal]:
        """How far finished orders may be rounded where steps change."""
        return {one: 2 * max(STEPS) * Decimal(self.finest[one]["lot_size"]) for one in self.traded}

    def exchange_info(self, exchange: Any) -> Any:
        """What the local one says of its instruments."""
        return self.local.rest["GET", "/v1/exchangeInfo"].run(exchange, None, {})


USDM = SoakProduct(
    name="binancefutures",
    local=BinanceFutures,
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
)

_DELIVERED = "BTCUSD_240927"
COINM = SoakProduct(
    name="binancecoinm",
    local=BinanceCoinm,
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
        (-4112, "ReduceOnly order failed.", "reduceOnly=true"),
        (-4113, "The price is beyond the band.", "type=MARKET"),
        (-4199, "The symbol's status allows no changes.", ""),
    ),
    # The last unit of a coin.
    tolerance=Tolerance(5e-9, 5e-9),
)

PRODUCTS = {one.name: one for one in (USDM, COINM)}
