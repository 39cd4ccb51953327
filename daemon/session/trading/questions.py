"""What an account is asked, and whose its fills are."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from daemon.messages import Execution, Holding, Report
from daemon.session.catalog import Catalog, ExchangeInfo, SetAside
from daemon.session.errors import ExchangeError
from daemon.session.facts import Balance, Commission

ORDER_NAMES_MAX: Final = 20_000
"""Orders whose client id is remembered; of an older one the exchange is asked."""


def none_is_counted(_symbol: str, _trade_id: str, _side: int) -> bool:
    """Whose each fill is, is wanted."""
    return False


class OrderNames:
    """Client ids by (symbol, the exchange's order id), the latest `ORDER_NAMES_MAX`."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[str, str], str] = OrderedDict()

    def learn(self, symbol: str, exch_order_id: str, client_id: str) -> None:
        """Remember an order."""
        self._names[symbol, exch_order_id] = client_id
        if len(self._names) > ORDER_NAMES_MAX:
            self._names.popitem(last=False)

    def get(self, symbol: str, exch_order_id: str) -> str | None:
        """Its client id, None if it is not known."""
        return self._names.get((symbol, exch_order_id))


class Questions(Protocol):
    """What the account is asked over REST. What can't be taken over is set aside.

    Two more members may be there: `funds()`, of an account that has balances instead of positions (`Funds`), and
    `payments(since_ns)`, where funding is listed by itself (`Funding`).

    All may raise ExchangeError, NotSentError, FateUnknownError and WireError.
    """

    catalog: Catalog
    set_aside: SetAside
    names: OrderNames
    is_ours: Callable[[str], bool]
    on_unread_order: Callable[[str, str, str], None]

    async def instruments(self) -> ExchangeInfo:
        """The instruments, as the catalog has them, and the exchange's limits."""
        ...

    async def prepare(self) -> None:
        """See whether the account can be traded.

        Raises:
            ConfigError: It can't be, as the user has set it up, or the key is not taken.
        """
        ...

    def key_is_refused(self, error: ExchangeError) -> bool:
        """Whether an error says that the key is wrong."""
        ...

    async def open_orders(self) -> list[Report]:
        """All open orders of the account, others' too."""
        ...

    async def executions(
        self, symbol: str, since_ns: int, is_counted: Callable[[str, str, int], bool] = none_is_counted
    ) -> list[Execution]:
        """The fills of a symbol since a moment of the exchange's clock, oldest first."""
        ...

    async def holdings(self) -> list[Holding]:
        """The positions; a symbol that is not listed is flat."""
        ...

    async def balances(self) -> list[Balance]:
        """The balances of all assets."""
        ...

    async def commission(self, symbol: str) -> Commission:
        """The account's fee rates in a symbol."""
        ...

    async def cancel_all(self, symbol: str) -> None:
        """Cancel every open order of the account in a symbol, others' too; safe to repeat."""
        ...

    async def countdown(self, symbol: str, ms: int) -> None:
        """Have the exchange cancel all orders in a symbol unless it hears again within so long; 0 switches it off."""
        ...
