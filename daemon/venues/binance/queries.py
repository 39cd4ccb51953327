"""What the account is asked over REST: orders, fills, positions, balances, fees, instruments, and switches."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
import structlog

from daemon.connector.limiter import Priority
from daemon.messages import BY_QUERY, DELISTED, UNTOLD, Execution, Funding, Holding, Report
from daemon.session.catalog import Catalog, ExchangeInfo, SetAside, Steps
from daemon.session.errors import ExchangeError, Odd, WireError
from daemon.session.facts import Balance, Commission
from daemon.session.rest import Rest
from daemon.session.trading.questions import OrderNames, none_is_counted
from daemon.venues.binance.account import (
    TradeText,
    execution_of,
    payment_of,
    read_balances,
    read_commission,
    read_holdings,
    read_is_hedge_mode,
    read_payments,
    read_trades,
)
from daemon.venues.binance.codes import KEY_CODES, NO_SUCH_ORDER_CODES, NO_SUCH_SYMBOL_CODE, SIDES
from daemon.venues.binance.instruments import read_exchange_info
from daemon.venues.binance.orders import read_client_id, read_order, read_orders
from daemon.venues.binance.product import Product
from hftd.clock import running_ns
from hftd.errors import ConfigError, HftdError

TRADES_LIMIT: Final = 1000
"""Fills of a page."""
INCOME_LIMIT: Final = 1000
"""Payments of a page."""
WINDOW_MS: Final = 7 * 86_400_000
"""userTrades looks at no more at once."""
HISTORY_MS: Final = 90 * 86_400_000
"""And no further back."""
PAGES_MAX: Final = 500
"""Half a million fills; more in one go is refused, loudly."""
_OVERLAP_MS: Final = 1
YOUNG_MS: Final = 60_000
"""An order of a fill that is older than this, and that the exchange does not find, is never found."""
_MS_NS: Final = 1_000_000
TradesPage = Callable[[list[tuple[str, object]]], Awaitable[list[TradeText]]]

_log = structlog.get_logger("hftd.connector")


async def all_trades(
    page: TradesPage, since_ms: int, until_ms: int, window_ms: int = WINDOW_MS
) -> list[TradeText]:
    """All fills of a time, by trade id, from pages. A trade of the account with itself is two, with one id.

    A window is asked for by its times. A full page is either its first part or its last: both sides of it are asked
    for again, later fills by their ids (which may not stand together with times), earlier ones by a smaller window.

    Args:
        page: Gets one page for given parameters.
        since_ms: From then on, in Unix milliseconds.
        until_ms: Up to then.
        window_ms: The exchange looks at no more at once.

    Raises:
        HftdError: More fills than `PAGES_MAX` pages.
    """
    found: dict[tuple[int, str], TradeText] = {}
    windows = [
        (start, min(start + window_ms - 1, until_ms)) for start in range(since_ms, until_ms + 1, window_ms)
    ]
    pages = 0
    while windows:
        start, end = windows.pop()
        trades = await page([("startTime", start), ("endTime", end), ("limit", TRADES_LIMIT)])
        is_new = any((one.id, one.side) not in found for one in trades)
        found.update(((one.id, one.side), one) for one in trades)
        pages += 1
        if len(trades) >= TRADES_LIMIT and is_new:
            if trades[0].time > start:
                windows.append((start, trades[0].time))
            while len(trades) >= TRADES_LIMIT and trades[-1].time <= end:
                trades = await page([("fromId", trades[-1].id), ("limit", TRADES_LIMIT)])
                found.update(((one.id, one.side), one) for one in trades)
                pages += 1
                if pages > PAGES_MAX:
                    break
        if pages > PAGES_MAX:
            raise HftdError(
                f"more than {PAGES_MAX * TRADES_LIMIT} fills since {since_ms} ms",
                hint="start with a journal that is not so old",
            )
    return [one for _, one in sorted(found.items()) if since_ms <= one.time <= until_ms]


class Queries:
    """The account's questions.

    Args:
        rest: Where they are asked.
        steps: The symbols that are known; filled by `instruments`.
        prefix: Of our client ids.
        product: Whose they are.

    Attributes:
        catalog: The instruments.
        set_aside: What can't be taken over.
        is_ours: Whether a client id is one of this connector's.
        on_unread_order: Told symbol, client id and the exchange's id of an open order of ours that can't be read.
    """

    open_orders_weight = 40
    window_ms = WINDOW_MS

    def __init__(self, rest: Rest, steps: dict[str, Steps], prefix: str, product: Product) -> None:
        self._rest = rest
        self._product = product
        self._v1 = product.rest
        self._steps: Mapping[str, Steps] = steps
        self.catalog = Catalog(steps)
        self.set_aside = SetAside(self.catalog)
        self.names = OrderNames()
        self.is_ours: Callable[[str], bool] = lambda client_id: client_id.startswith(prefix)
        self.on_unread_order: Callable[[str, str, str], None] = lambda _symbol, _client_id, _exch_order_id: (
            None
        )

    async def instruments(self) -> ExchangeInfo:
        """The instruments, as the catalog has them, and the exchange's limits."""
        body = await self._rest.ask(f"{self._v1}/exchangeInfo", auth="none", timeout_s=30.0)
        info = self._read_exchange_info(body)
        if info.unread:
            _log.warning("symbols_unreadable", count=len(info.unread), first=info.unread[0])
        instruments = self.catalog.take(info)
        self.set_aside.look_again()
        return msgspec.structs.replace(info, instruments=instruments)

    def _read_exchange_info(self, body: bytes) -> ExchangeInfo:
        return read_exchange_info(body, is_inverse=self._product.is_inverse)

    async def open_orders(self) -> list[Report]:
        """All open orders of the account, others' too. Those that can't be taken over are set aside."""
        reports, odd = read_orders(
            await self._rest.ask(f"{self._v1}/openOrders", weight=self.open_orders_weight), self._steps
        )
        ours = [one for one in odd if self.is_ours(one.client_id)]
        self.set_aside.listed(
            "open order", [msgspec.structs.replace(one, blocks=one.blocks or one in ours) for one in odd]
        )
        for one in ours:
            self.on_unread_order(one.symbol, one.client_id, one.exch_order_id)
        for report in reports:
            self.names.learn(report.symbol, report.exch_order_id, report.client_id)
        return reports

    async def order(self, symbol: str, *, client_id: str = "", exch_order_id: str = "") -> Report | None:
        """One order, None if the exchange knows none of that name."""
        name = ("origClientOrderId", client_id) if client_id else ("orderId", exch_order_id)
        try:
            body = await self._rest.ask(
                f"{self._v1}/order", [("symbol", symbol), name], priority=Priority.ORDERS
            )
        except ExchangeError as error:
            if error.code in NO_SUCH_ORDER_CODES:
                return None
            raise
        report = read_order(body, self._steps, BY_QUERY)
        self.names.learn(symbol, report.exch_order_id, report.client_id)
        return report

    async def executions(
        self, symbol: str, since_ns: int, is_counted: Callable[[str, str, int], bool] = none_is_counted
    ) -> list[Execution]:
        """The fills of a symbol since a moment of the exchange's clock, oldest first, up to three months back.

        The answer has no client ids: those of orders that were not seen here are asked for, one by one; but not for
        fills that are counted (`is_counted`, by symbol, trade id and side), of which a restart may find thousands.
        Fills that can't be taken over are set aside, and so is a symbol that the exchange knows no more.
        """
        odd: list[Odd] = []

        async def page(params: list[tuple[str, object]]) -> list[TradeText]:
            return await self._trades([("symbol", symbol), *params], odd)

        now_ms = self._rest.exchange_ms(running_ns())
        since_ms = max(since_ns // _MS_NS - _OVERLAP_MS, now_ms - HISTORY_MS)
        try:
            trades = await all_trades(page, since_ms, now_ms + 60_000, self.window_ms)
        except ExchangeError as error:
            if error.code != NO_SUCH_SYMBOL_CODE:
                raise
            self.set_aside.note(
                Odd("symbol", symbol, symbol, "the exchange knows it no more: its fills can't be asked for")
            )
            return []
        executions: list[Execution] = []
        for trade in trades:
            side = SIDES.get(trade.side, 0)
            exch_order_id = str(trade.orderId)
            client_id = self.names.get(symbol, exch_order_id)
            if client_id is None and is_counted(symbol, str(trade.id), side):
                client_id = ""
            elif client_id is None:
                client_id = await self._client_id(symbol, exch_order_id)
                # What the exchange reads may be behind its matching: of a young one it is asked again the next time.
                if client_id or trade.time < now_ms - YOUNG_MS:
                    self.names.learn(symbol, exch_order_id, client_id)
                else:
                    client_id = UNTOLD
            try:
                executions.append(execution_of(trade, client_id, self._steps))
            except WireError as error:
                odd.append(
                    Odd("fill", symbol, f"{trade.id} {trade.side}", str(error), client_id, exch_order_id)
                )
        self.set_aside.note(*odd)
        return executions

    async def _trades(self, params: list[tuple[str, object]], odd: list[Odd]) -> list[TradeText]:
        """One page of fills; what can't be read goes to `odd`."""
        return read_trades(await self._rest.ask(f"{self._v1}/userTrades", params, weight=5), odd)

    async def _client_id(self, symbol: str, exch_order_id: str) -> str:
        """An order's client id, empty if the exchange does not find it. Nothing else of it need be readable."""
        try:
            return read_client_id(
                await self._rest.ask(f"{self._v1}/order", [("symbol", symbol), ("orderId", exch_order_id)])
            )
        except ExchangeError as error:
            if error.code in NO_SUCH_ORDER_CODES:
                return ""
            raise

    async def holdings(self) -> list[Holding]:
        """The positions; a symbol that is not listed is flat. Those that can't be taken over are set aside."""
        odd: list[Odd] = []
        path, weight = self._product.positions
        found = {
            one.symbol: one
            for one in read_holdings(await self._rest.ask(path, weight=weight), self._steps, odd)
        }
        if self._product.hides_positions:
            # All that are trading are listed, flat ones too. Another one may be halted or in delivery, and still held:
            # it must not be taken for flat. What exchangeInfo lists no more has been delivered.
            known = [one for one in self.catalog.instruments.values() if one.trouble != DELISTED]
            assets = {one.base for one in known if one.symbol not in found}
            for asset in sorted(assets):
                body = await self._rest.ask(path, [("marginAsset", asset)], weight=weight)
                found.update((one.symbol, one) for one in read_holdings(body, self._steps, odd))
            # Whether a question by coin tells of all is said nowhere.
            for one in known:
                found.setdefault(one.symbol, Holding(one.symbol, 0, 0.0, 0, is_told=False))
        self.set_aside.listed("position", odd)
        return list(found.values())

    async def balances(self) -> list[Balance]:
        """The balances of all assets."""
        odd: list[Odd] = []
        path, weight = self._product.balances
        balances = read_balances(await self._rest.ask(path, weight=weight), odd)
        self.set_aside.listed("balance", odd)
        return balances

    async def payments(self, since_ns: int) -> list[Funding] | None:
        """Payments of funding since a moment of the exchange's clock, oldest first, up to three months back."""
        weight = self._product.income_weight
        if not weight:
            return None
        now_ms = self._rest.exchange_ms(running_ns())
        since_ms = max(since_ns // _MS_NS, now_ms - HISTORY_MS)
        odd: list[Odd] = []
        found: dict[str, Funding] = {}
        for start_ms in range(since_ms, now_ms + 60_000, WINDOW_MS):
            end_ms = min(start_ms + WINDOW_MS - 1, now_ms + 60_000)
            for number in range(1, PAGES_MAX + 1):
                params: list[tuple[str, object]] = [("incomeType", "FUNDING_FEE"), ("startTime", start_ms)]
                params += [("endTime", end_ms), ("page", number), ("limit", INCOME_LIMIT)]
                body = await self._rest.ask(f"{self._v1}/income", params, weight=weight)
                rows = read_payments(body, odd)
                for row in rows:
                    try:
                        payment = payment_of(row)
                        found[payment.payment_id] = payment
                    except WireError as error:
                        odd.append(Odd("payment of funding", row.symbol, str(row.tranId), str(error)))
                if len(rows) < INCOME_LIMIT:
                    break
        self.set_aside.note(*odd)
        return sorted((one for one in found.values() if one.amount), key=lambda one: one.exch_ns)

    async def commission(self, symbol: str) -> Commission:
        """The account's fee rates in a symbol."""
        return read_commission(
            await self._rest.ask(f"{self._v1}/commissionRate", [("symbol", symbol)], weight=20)
        )

    async def prepare(self) -> None:
        """See whether the account can be traded: hftd keeps one position an instrument."""
        body = await self._rest.ask(f"{self._v1}/positionSide/dual", weight=30)
        if read_is_hedge_mode(body):
            raise ConfigError(
                "the account is in hedge mode",
                hint="switch the position mode to one-way: hftd keeps one position an instrument",
            )

    def key_is_refused(self, error: ExchangeError) -> bool:
        """Whether an error says that the key is wrong."""
        return error.code in KEY_CODES

    async def cancel_all(self, symbol: str) -> None:
        """Cancel every open order of the account in a symbol, others' too; safe to repeat.

        Raises:
            WireError, ExchangeError, NotSentError, FateUnknownError: Not known to be done.
        """
        await self._rest.ask(
            f"{self._v1}/allOpenOrders", [("symbol", symbol)], method="DELETE", priority=Priority.URGENT
        )

    async def countdown(self, symbol: str, ms: int) -> None:
        """Have the exchange cancel all orders in a symbol unless it hears again within so long; 0 switches it off."""
        await self._rest.ask(
            f"{self._v1}/countdownCancelAll",
            [("symbol", symbol), ("countdownTime", ms)],
            weight=10,
            method="POST",
            tries=1,
            timeout_s=5.0,
            priority=Priority.URGENT,
        )
