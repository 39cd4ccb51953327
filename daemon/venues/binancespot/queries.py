"""What a spot account is asked over REST; the family has the rest."""

from typing import Final

from daemon.connector.limiter import Priority
from daemon.messages import Funds, Holding
from daemon.session.catalog import ExchangeInfo, Steps
from daemon.session.errors import Odd
from daemon.session.facts import Commission
from daemon.session.rest import Rest
from daemon.venues.binance.account import TradeText
from daemon.venues.binance.instruments import read_exchange_info
from daemon.venues.binance.queries import Queries
from daemon.venues.binancespot.facts import SPOT
from daemon.venues.binancespot.user import read_account, read_commission, read_trades
from hftd.errors import ConfigError

DAY_MS: Final = 86_400_000


class SpotQueries(Queries):
    """See the family's.

    Args:
        rest: Where they are asked.
        steps: The symbols that are known; filled by `instruments`.
        prefix: Of our client ids.
    """

    open_orders_weight = 80
    window_ms = DAY_MS

    def __init__(self, rest: Rest, steps: dict[str, Steps], prefix: str) -> None:
        super().__init__(rest, steps, prefix, SPOT)

    def _read_exchange_info(self, body: bytes) -> ExchangeInfo:
        return read_exchange_info(body, is_spot=True)

    async def _trades(self, params: list[tuple[str, object]], odd: list[Odd]) -> list[TradeText]:
        return read_trades(await self._rest.ask(f"{SPOT.rest}/myTrades", params, weight=20), odd)

    async def _account(self) -> tuple[list[Funds], bool]:
        odd: list[Odd] = []
        path, weight = SPOT.balances
        found = read_account(await self._rest.ask(path, weight=weight), odd)
        self.set_aside.listed("balance", odd)
        return found

    async def funds(self) -> list[Funds]:
        """All balances of the account; an asset that is not among them is not there."""
        return (await self._account())[0]

    async def holdings(self) -> list[Holding]:
        """There are no positions."""
        return []

    async def prepare(self) -> None:
        """See whether the account may trade."""
        _, may_trade = await self._account()
        if not may_trade:
            raise ConfigError(
                "the account may not trade spot", hint="see to its rights at the exchange, then start again"
            )

    async def commission(self, symbol: str) -> Commission:
        """The account's fee rates in a symbol."""
        body = await self._rest.ask(f"{SPOT.rest}/account/commission", [("symbol", symbol)], weight=20)
        return read_commission(body)

    async def cancel_all(self, symbol: str) -> None:
        """Cancel every open order of the account in a symbol, others' too; safe to repeat."""
        await self._rest.ask(
            f"{SPOT.rest}/openOrders", [("symbol", symbol)], method="DELETE", priority=Priority.URGENT
        )
