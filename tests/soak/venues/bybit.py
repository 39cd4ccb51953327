"""Bybit's linear contracts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from daemon.orders.ids.wire_ids import from_plain
from daemon.session.catalog import ExchangeInfo, Steps
from daemon.session.facts import Signer
from daemon.session.manners import Manners
from daemon.session.trading.login import LoginFacts
from daemon.venues.bybit import facts
from daemon.venues.bybit.instruments import read_instruments, read_page
from daemon.venues.bybit.queries import Queries
from daemon.venues.bybit.requests import rest_question_of_closed
from daemon.venues.bybit.session import VENUE
from daemon.venues.bybit.signing import make_signer
from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.matching import BY_IOC, BY_MARKET, BY_SELF_TRADE
from sim.exchange.bybit import queries
from sim.exchange.bybit.config import BybitServer
from sim.exchange.bybit.errors import envelope
from sim.exchange.bybit.ids import execution_uuid
from sim.exchange.bybit.sockets import Client
from sim.exchange.bybit.trade import Session, TradeServer
from sim.exchange.bybit.venue import Bybit
from sim.exchange.core import Exchange
from sim.exchange.rules.config import ServerSection, SymbolSection
from sim.exchange.streams.connection import Tasks
from tests.soak.books import PREFIX
from tests.soak.venues.product import Refusal, SoakProduct, is_ours

_EXPIRES = (BY_IOC, BY_MARKET, BY_SELF_TRADE)
"""What ends an order by its own terms; all other ends are cancels on this exchange."""


@dataclass(frozen=True, kw_only=True)
class BybitProduct(SoakProduct):
    """Its ways: a login on each socket, receipts instead of answers, questions over REST."""

    clocks: ClassVar[tuple[str, ...]] = ("daemon.venues.bybit.queries",)
    places: ClassVar[tuple[str, str]] = ("order.create", "order.*")
    forced_ids: ClassVar[tuple[str, ...]] = ("x-",)
    """They have no client id; the framework's stands in the truth."""
    manners: ClassVar[Manners] = Manners(
        is_ack_receipt=True, state_wait_s=1.0, asks_by_rest=True, elsewhere=(rest_question_of_closed,)
    )
    settings: ClassVar[dict[str, Any]] = {"dcp_window_s": 0}
    sockets: ClassVar[tuple[str, ...]] = ("private", "trade", "public", "")
    fails: ClassVar[tuple[str, ...]] = ("GET /v5/*", "GET /v5/order/realtime", "order.*")

    def signer(self, key: str, secret: str) -> Signer:
        """HMAC."""
        return make_signer(key, secret)

    def queries(self, rest: Any, steps: dict[str, Steps]) -> Queries:
        """Its own."""
        return Queries(rest, steps, PREFIX)

    def info(self, exchange: Exchange) -> ExchangeInfo:
        """instruments-info, all on one page."""
        told = queries.instruments(exchange, None, {"category": "linear", "limit": "1000"})
        items, _ = read_page(msgspec.json.encode(envelope(told, 0)), "instruments-info")
        return read_instruments(items)

    def login(self) -> LoginFacts:
        """Without the account's dead-man switch."""
        return facts.LoginFacts(False)

    def listen_orders(self, exchange: Exchange, tasks: Tasks) -> Callable[[Any], None]:
        """The trade socket."""
        server = TradeServer(exchange, tasks)

        def listen(wire: Any) -> None:
            wire.kind = "trade"
            session = Session(wire, "local")
            wire.on_request = lambda text: server.on_text(session, text)

        return listen

    def listen_user(self, exchange: Exchange, account: Account) -> Callable[[Any], None]:
        """The private socket."""

        def listen(wire: Any) -> None:
            wire.kind = "private"
            wire.on_request = Client(exchange, wire, True).on_text

        return listen

    def by_hand(
        self, symbol: str, name: str, side: str, qty: str, price: str, *, takes_own: bool
    ) -> dict[str, str]:
        """A limit order."""
        return {
            "category": "linear",
            "symbol": symbol,
            "side": side.capitalize(),
            "orderType": "Limit",
            "timeInForce": "GTC",
            "qty": qty,
            "price": price,
            "orderLinkId": name,
            "smpType": "None" if takes_own else "CancelTaker",
        }

    def by_hand_again(self, symbol: str, name: str) -> dict[str, str]:
        """By its name."""
        return {"category": "linear", "symbol": symbol, "orderLinkId": name}

    def truth(self, account: Account) -> dict[str, Any]:
        """Ids as they were before they were written for it, executions by its ids, sides in capitals, its states."""
        raw = account.truth()
        for one in (*raw["orders"], *raw["trades"], *raw["requests"]):
            plain = from_plain(one["client_id"])
            one["client_id"] = plain if is_ours(plain) else one["client_id"]
        for one in raw["orders"]:
            order = account.orders[one["order_id"]]
            if not order.is_open and order.status != "FILLED" and is_ours(one["client_id"]):
                expires = order.reason in _EXPIRES or order.ended_by == "amendment"
                one["status"] = "EXPIRED" if expires else "CANCELED"
        for one in raw["trades"]:
            one["trade_id"] = execution_uuid(one["trade_id"], one["order_id"])
        for one in raw["requests"]:
            # An amendment names no side.
            one["side"] = one["side"].upper() or ("BUY" if one["what"] == "modify" else "")
        return raw

    def server_of_processes(self, seed: int) -> ServerSection:
        """Each reply says how many orders a second the account may send."""
        return BybitServer(orders_1s=100, queries_1s=0)

    def silences(self, symbol: str) -> tuple[str, ...]:
        """All of a symbol, its book, the account's events."""
        return f"*.{symbol}", f"orderbook.*.{symbol}", "user"

    def lower_limits(self, exchange: Exchange) -> Callable[[], None]:
        """Orders are counted by the second, of each kind; too many requests are a ban of ten minutes."""
        was = exchange.config

        def put_right() -> None:
            exchange.config = was

        fewer = msgspec.structs.replace(was.exchange, orders_1s=5, queries_1s=5)
        exchange.config = msgspec.structs.replace(was, exchange=fewer)
        return put_right


BYBIT = BybitProduct(
    name="bybit",
    local=Bybit,
    venue=VENUE,
    rest=facts.RestFacts(),
    orders=facts.OrderFacts(),
    # Limits by the second belong to processes.
    server=lambda _seed, offset_ms: BybitServer(
        speed=0.0, clock_offset_ms=offset_ms, orders_1s=0, queries_1s=0
    ),
    symbols=[
        SymbolSection(
            symbol="BTCUSDT",
            tick_size="0.1",
            lot_size="0.001",
            grid_tick="0.01",
            grid_lot="0.0001",
            max_orders=10_000,
            min_notional="5",
        ),
        SymbolSection(
            symbol="ETHUSDT",
            base="ETH",
            tick_size="0.01",
            lot_size="0.01",
            min_qty="0.01",
            max_orders=10_000,
            min_notional="5",
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
    trade_qty=0.02,
    position_max=3.0,
    narrow=(
        {"min_notional": "500"},
        {"max_qty": "0.03", "market_max_qty": "0.02"},
        {"multiplier_up": "1.0001", "multiplier_down": "0.9999"},
    ),
    refusals=(
        Refusal(110007, "ab not enough for new order", status=200),
        Refusal(110017, "orderQty will be truncated to zero.", "reduceOnly=true", 200),
        Refusal(30208, "The order price is higher than the maximum buying price.", "orderType=Market", 200),
        Refusal(10429, "System level frequency protection", status=429),
        Refusal(10016, "Server error.", status=200),
        Refusal(110090, "The order may exceed the maximum position at this leverage.", status=200),
        Refusal(10024, "The product or service is not available in your region.", status=200),
        Refusal(170999, "A code that nobody has heard of.", status=200),
    ),
    # What others have asked too often is not said to be over for ten minutes.
    leaves_out=frozenset({"ban"}),
)
