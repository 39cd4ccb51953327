"""What an exchange brings to the soak: a class says how it is spoken to, and values what is traded there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

from daemon.connector.venue import Venue
from daemon.orders.ids.client_ids import ClientIds
from daemon.session.catalog import ExchangeInfo, Steps
from daemon.session.facts import OrderFacts, RestFacts, Signer
from daemon.session.manners import Manners
from daemon.session.trading.login import LoginFacts
from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.mishaps import STEPS
from sim.exchange.core import Exchange
from sim.exchange.rules.config import AccountSection, ServerSection, SymbolSection
from sim.exchange.servers.server import LocalExchange
from sim.exchange.streams.connection import Tasks
from sim.exchange.venue import LocalVenue
from tests.soak.books import LINEAR, PREFIX, Tolerance

FILTERS = ("max_orders", "min_notional", "max_qty", "market_max_qty", "multiplier_up", "multiplier_down")


class Refusal(NamedTuple):
    """What the exchange says where it takes no orders; `params` are those that an order must have for it."""

    code: int
    msg: str
    params: str = ""
    status: int = 400


@dataclass(frozen=True)
class SoakProduct:
    """One exchange.

    Attributes:
        name: Its folders'.
        local: The local exchange.
        venue: The connector's.
        rest: What the connector's machines know of REST; `orders` is what they know of orders.
        server: The local one's `[exchange]`, by seed and by how many milliseconds its clock is off.
        symbols: The instruments: two in which bots trade, and one that is listed later.
        prices: At which each begins.
        updates_per_s: How lively each is.
        touch_qty: What stands at the best price; `trade_qty` is the same of market orders.
        position_max: Beyond which a bot trades back.
        narrow: Filters by which fewer orders are taken.
        refusals: What it says where it takes no orders.
        tolerance: How near fees and balances must come.
        leaves_out: Mishaps that it can't have.
        bases: By spot instrument, what is traded there.
    """

    name: str
    local: type[LocalVenue]
    venue: Venue
    rest: RestFacts
    orders: OrderFacts
    server: Callable[[int, int], ServerSection]
    symbols: list[SymbolSection]
    prices: Mapping[str, float]
    updates_per_s: Mapping[str, float]
    touch_qty: float
    trade_qty: float
    position_max: float
    narrow: tuple[dict[str, str], ...]
    refusals: tuple[Refusal, ...]
    tolerance: Tolerance = LINEAR
    leaves_out: frozenset[str] = frozenset()
    bases: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, dict[str, str]] = field(init=False)
    """The filters at first."""
    finest: Mapping[str, dict[str, str]] = field(init=False)
    """The finest steps."""
    inverse: Mapping[str, Decimal] = field(init=False)
    """The size of each contract that is settled in its base."""

    clocks: ClassVar[tuple[str, ...]]
    """What of the connector's facts looks at a clock."""
    places: ClassVar[tuple[str, str]]
    """Patterns of requests that are refused: new orders, all of orders."""
    forced_ids: ClassVar[tuple[str, ...]]
    """How client ids of the exchange's own orders begin."""
    manners: ClassVar[Manners] = Manners()
    settings: ClassVar[Mapping[str, Any]] = {}
    """Of the connector's configuration, in processes."""
    sockets: ClassVar[tuple[str, ...]]
    """Kinds of connections that may be torn."""
    fails: ClassVar[tuple[str, ...]]
    """Patterns of requests that may fail for a while."""

    def __post_init__(self) -> None:
        given = {one.symbol: {name: str(getattr(one, name)) for name in FILTERS} for one in self.symbols}
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

    def coarsest(self, symbol: str, *, is_changing: bool) -> Decimal:
        """The largest lot that an instrument has had; `is_changing`: by mishaps, too."""
        section = next(one for one in self.symbols if one.symbol == symbol)
        lot, finest = Decimal(section.lot_size), Decimal(self.finest[symbol]["lot_size"])
        return max(lot, max(STEPS) * finest) if is_changing else lot

    def rounded(self) -> dict[str, Decimal]:
        """How far finished orders may be rounded where steps change."""
        return {one: 2 * max(STEPS) * Decimal(self.finest[one]["lot_size"]) for one in self.traded}

    # How the connector speaks.

    def signer(self, key: str, secret: str) -> Signer:
        """Of the account's key."""
        raise NotImplementedError

    def order_facts(self, steps: dict[str, Steps]) -> OrderFacts:
        """What one connector's machines know of orders; `steps` is filled as it reads its instruments."""
        return self.orders

    def account(self, section: AccountSection, seed: int) -> AccountSection:
        """The account, of a seed."""
        return section

    def queries(self, rest: Any, steps: dict[str, Steps]) -> Any:
        """What the connector asks; see `daemon.session.trading.questions.Questions`."""
        raise NotImplementedError

    def info(self, exchange: Exchange) -> ExchangeInfo:
        """The instruments, as the connector reads what the local one says of them."""
        raise NotImplementedError

    def login(self) -> LoginFacts | None:
        """How one is let into the account's events; None: by the address alone."""
        return None

    # How the local one listens.

    def listen_orders(self, exchange: Exchange, tasks: Tasks) -> Callable[[Any], None]:
        """Takes a `Wire` for a connection that orders come on."""
        raise NotImplementedError

    def listen_user(self, exchange: Exchange, account: Account) -> Callable[[Any], None]:
        """Takes a `Wire` for one of the account's events."""
        raise NotImplementedError

    def by_hand(
        self, symbol: str, name: str, side: str, qty: str, price: str, *, takes_own: bool
    ) -> dict[str, str]:
        """A limit order in the exchange's words; `takes_own`: it trades with the account's own."""
        raise NotImplementedError

    def by_hand_again(self, symbol: str, name: str) -> dict[str, str]:
        """The same order, to be cancelled."""
        raise NotImplementedError

    def truth(self, account: Account) -> dict[str, Any]:
        """The local one's book of an account (`Account.truth`), in words that all exchanges share."""
        return account.truth()

    # Processes.

    def server_of_processes(self, seed: int) -> ServerSection:
        """The local one's `[exchange]` with sockets."""
        return self.server(seed, 0)

    def urls(self, exchange: LocalExchange) -> dict[str, str]:
        """Where the connector finds it, by its configuration's keys."""
        return {"stream_url": exchange.stream_url, "api_url": exchange.rest_url}

    def silences(self, symbol: str) -> tuple[str, ...]:
        """Patterns of streams that may say nothing for a while."""
        raise NotImplementedError

    def lower_limits(self, exchange: Exchange) -> Callable[[], None]:
        """The exchange allows less, and others have used most of it; what puts it right again."""
        raise NotImplementedError


def is_ours(client_id: str) -> bool:
    """Whether a client id is one of the soak's connector."""
    return ClientIds(PREFIX, 0).read(client_id) is not None
