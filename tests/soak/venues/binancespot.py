"""Binance Spot: balances instead of positions, and fees in the base, in the quote or in BNB."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from daemon.orders.ids.client_ids import ClientIds
from daemon.orders.lease_end import FLATTEN_IDS
from daemon.session.catalog import ExchangeInfo, Steps
from daemon.session.facts import OrderFacts
from daemon.session.manners import Manners
from daemon.session.trading.login import LoginFacts
from daemon.venues.binance.instruments import read_exchange_info
from daemon.venues.binancespot import facts as spot
from daemon.venues.binancespot.queries import SpotQueries
from daemon.venues.binancespot.session import VENUE
from sim.exchange.accounts.accounts import Account
from sim.exchange.binance.product import product_of
from sim.exchange.binance.wsapi import Session, WsApi
from sim.exchange.binancespot.venue import BinanceSpot, SpotServer, SpotSymbol
from sim.exchange.core import Exchange
from sim.exchange.rules.config import AccountSection
from sim.exchange.streams.connection import Tasks
from tests.soak.books import PREFIX
from tests.soak.spot import add_positions, as_one
from tests.soak.venues.binance import REFUSALS, BinanceProduct
from tests.soak.venues.product import Refusal

FEES_OF_BNB = "0.5"
"""Enough for some of a seed's fees; those after it are taken from what is received."""


def _api_of(exchange: Exchange) -> WsApi:
    assert isinstance(exchange.venue, BinanceSpot)
    return exchange.venue.ws_api


@dataclass(frozen=True, kw_only=True)
class SpotProduct(BinanceProduct):
    """Orders and the account's events are on connections of one kind, each entered by a signed subscription."""

    manners: ClassVar[Manners] = Manners(
        cost_amend=spot.OrderFacts.cost_amend, cost_query=spot.OrderFacts.cost_query
    )
    settings: ClassVar[dict[str, Any]] = {}
    sockets: ClassVar[tuple[str, ...]] = ("ws-api", "unrouted", "")

    def order_facts(self, steps: dict[str, Steps]) -> OrderFacts:
        """A replacement that failed half speaks of an order: they know the steps."""
        return spot.OrderFacts(steps)

    def account(self, section: AccountSection, seed: int) -> AccountSection:
        """Every other one pays fees in BNB, of which it has too little for all."""
        return msgspec.structs.replace(
            section, balances={"BNB": FEES_OF_BNB}, fee_asset="BNB" if seed % 2 else ""
        )

    def queries(self, rest: Any, steps: dict[str, Steps]) -> SpotQueries:
        """Its own."""
        return SpotQueries(rest, steps, PREFIX)

    def info(self, exchange: Exchange) -> ExchangeInfo:
        """exchangeInfo."""
        told = product_of(exchange).rest["GET", "/v3/exchangeInfo"].run(exchange, None, {})
        return read_exchange_info(msgspec.json.encode(told), is_spot=True)

    def login(self) -> LoginFacts:
        """A signed subscription."""
        return spot.LoginFacts(has_session=False)

    def _listen(self, exchange: Exchange, tasks: Tasks) -> Callable[[Any], None]:
        api = _api_of(exchange)
        api._tasks = tasks

        def listen(wire: Any) -> None:
            wire.kind = "ws-api"
            session = Session(wire, "local", True, 0)
            wire.on_request = lambda text: api.on_text(session, text)

        return listen

    def listen_orders(self, exchange: Exchange, tasks: Tasks) -> Callable[[Any], None]:
        """The WebSocket API."""
        return self._listen(exchange, tasks)

    def listen_user(self, exchange: Exchange, account: Account) -> Callable[[Any], None]:
        """The same; its requests are driven as those of orders are."""
        return self._listen(exchange, _api_of(exchange)._tasks)

    def truth(self, account: Account) -> dict[str, Any]:
        """An order that took another one's place is one with it; what a base changed by is a position."""
        raw, ids = account.truth(), ClientIds(PREFIX, 0)
        sides = {one["client_id"]: "BUY" if one["side"] > 0 else "SELL" for one in raw["orders"]}
        for one in raw["requests"]:
            one["side"] = one["side"] or sides.get(one["client_id"], "")
            found = ids.read(one["client_id"])
            # Nothing can be told to reduce only; the ids of orders that close positions are no bot's.
            one["only_reduces"] = found is not None and found.order_id >= FLATTEN_IDS
        as_one(raw)
        add_positions(raw, self.bases, Decimal(1))
        return raw


SPOT = SpotProduct(
    name="binancespot",
    local=BinanceSpot,
    venue=VENUE,
    server=lambda _seed, offset_ms: SpotServer(speed=0.0, clock_offset_ms=offset_ms),
    product=spot.SPOT,
    rest=spot.REST,
    orders=spot.OrderFacts({}),
    symbols=[
        SpotSymbol(
            symbol="BTCUSDT",
            tick_size="0.1",
            lot_size="0.001",
            min_qty="0.001",
            min_price="0.1",
            grid_tick="0.01",
            grid_lot="0.0001",
            max_orders=10_000,
            fee_asset_price="600",
        ),
        SpotSymbol(
            symbol="ETHUSDT",
            base="ETH",
            tick_size="0.01",
            lot_size="0.001",
            min_qty="0.001",
            max_orders=10_000,
            fee_asset_price="600",
        ),
        SpotSymbol(
            symbol="XRPUSDT",
            base="XRP",
            tick_size="0.001",
            lot_size="0.1",
            min_qty="0.1",
            listed=False,
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
    refusals=(
        Refusal(-2010, "Account has insufficient balance for requested action."),
        Refusal(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE", "type=MARKET"),
        *(one for one in REFUSALS if one.code in (-1008, -9999)),
    ),
    # There are no positions that could be closed by force.
    leaves_out=frozenset({"forced closes", "forced close"}),
    bases={"BTCUSDT": "BTC", "ETHUSDT": "ETH", "XRPUSDT": "XRP"},
)
