"""What the account is asked over REST: orders, fills, positions, balances, fees, instruments, and switches."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog

from daemon.connector.limiter import Priority
from daemon.messages import BY_QUERY, Execution, Funding, Holding, Report
from daemon.session.catalog import Catalog, ExchangeInfo, SetAside, Steps
from daemon.session.errors import DECODE_ERRORS, ExchangeError, NotSentError, Odd, WireError
from daemon.session.facts import Balance, Commission
from daemon.session.paging import all_pages
from daemon.session.rest import Rest
from daemon.session.trading.questions import OrderNames, none_is_counted
from daemon.venues.bybit.account import (
    ExecutionText,
    execution_of,
    funding_of,
    is_hedge_mode,
    position_of,
    problem_of_key,
    read_coins,
    read_commission,
)
from daemon.venues.bybit.codes import KEY_CODES, NO_TRADES
from daemon.venues.bybit.instruments import read_instruments, read_page, symbol_of
from daemon.venues.bybit.orders import MS_NS, ms_of, odd_order, read_order
from daemon.venues.bybit.requests import CATEGORY, OPEN_PATH
from daemon.venues.bybit.signing import Verbatim
from daemon.venues.bybit.user import fill_key
from hftd.clock import running_ns
from hftd.constants import NEW, PARTIALLY_FILLED
from hftd.errors import ConfigError

COINS: Final = ("USDT", "USDC")
"""What linear contracts are settled in: lists of the account are asked for one by one."""
WINDOW_MS: Final = 7 * 86_400_000
"""execution/list looks at no more at once."""
HISTORY_MS: Final = 90 * 86_400_000
UNLISTED_MAX: Final = 20
"""Symbols that are not traded just now, and are asked about one by one."""
CANCEL_ROUNDS: Final = 10
"""cancel-all cancels 500 orders at most."""

_log = structlog.get_logger("hftd.connector")


class Queries:
    """The account's questions; see `daemon.session.trading.questions.Questions`.

    Args:
        rest: Where they are asked.
        steps: The symbols that are known; filled by `instruments`.
        prefix: Of our client ids.
        symbols: That are followed from the start: one of them tells the position mode.
    """

    def __init__(
        self, rest: Rest, steps: dict[str, Steps], prefix: str, symbols: tuple[str, ...] = ()
    ) -> None:
        self._rest = rest
        self._steps: Mapping[str, Steps] = steps
        self._symbols = symbols
        self.catalog = Catalog(steps)
        self.set_aside = SetAside(self.catalog)
        self.names = OrderNames()
        self.is_ours: Callable[[str], bool] = lambda client_id: client_id.startswith(f"{prefix}:")
        self.on_funding: Callable[[Funding], None] = lambda _funding: None
        """Told of payments of funding among the fills: those that were not heard of are known then."""
        self.on_unread_order: Callable[[str, str, str], None] = lambda _symbol, _client_id, _exch_id: None

    async def _all(
        self, path: str, params: list[tuple[str, object]], what: str, limit: int, auth: bool = True
    ) -> list[msgspec.Raw]:
        """The items of all pages of a list."""

        async def page(cursor: str) -> tuple[list[msgspec.Raw], str]:
            more = [("cursor", Verbatim(cursor))] if cursor else []
            body = await self._rest.ask(
                path,
                [("category", CATEGORY), *params, ("limit", limit), *more],
                auth="signed" if auth else "none",
                timeout_s=30.0,
            )
            return read_page(body, what)

        return await all_pages(page, what)

    async def instruments(self) -> ExchangeInfo:
        """The instruments, as the catalog has them."""
        items = await self._all("/v5/market/instruments-info", [], "instruments-info", 1000, auth=False)
        info = read_instruments(items + await self._unlisted({symbol_of(one) for one in items}))
        if info.unread:
            _log.warning("symbols_unreadable", count=len(info.unread), first=info.unread[0])
        instruments = self.catalog.take(info)
        self.set_aside.look_again()
        return msgspec.structs.replace(info, instruments=instruments)

    async def _unlisted(self, listed: set[str]) -> list[msgspec.Raw]:
        """Symbols that are wanted or known, and not in the list of what is traded just now."""
        wanted = dict.fromkeys((*(one.upper() for one in self._symbols), *self._steps))
        found: list[msgspec.Raw] = []
        for symbol in [one for one in wanted if one not in listed][:UNLISTED_MAX]:
            params: list[tuple[str, object]] = [("symbol", symbol)]
            try:
                items = await self._all(
                    "/v5/market/instruments-info", params, "instruments-info", 1, auth=False
                )
            except ExchangeError:
                # There is none of that name.
                continue
            found += [one for one in items if symbol_of(one) == symbol]
        return found

    async def prepare(self) -> None:
        """See whether the account can be traded: the key's rights, and one position an instrument.

        Raises:
            ConfigError: It can't be.
        """
        try:
            problem = problem_of_key(await self._rest.ask("/v5/user/query-api"))
        except (ExchangeError, WireError) as error:
            if isinstance(error, ExchangeError) and self.key_is_refused(error):
                raise
            _log.warning("key_rights_unknown", why=str(error))
            problem = ""
        if problem:
            raise ConfigError(problem, hint="give it the rights to orders and positions of contracts")
        symbol = next((one for one in (*self._symbols, *self._steps) if one in self._steps), "")
        if symbol:
            items = await self._all("/v5/position/list", [("symbol", symbol)], "positions", 200)
            if is_hedge_mode(items):
                raise ConfigError(
                    "the account is in hedge mode",
                    hint="switch the position mode to one-way: hftd keeps one position an instrument",
                )

    def key_is_refused(self, error: ExchangeError) -> bool:
        """Whether an error says that the key is wrong, or one of another host."""
        return error.code in KEY_CODES or error.status == 401

    async def open_orders(self) -> list[Report]:
        """All open orders of the account, others' too. Those that can't be taken over are set aside."""
        reports: list[Report] = []
        odd: list[Odd] = []
        for coin in COINS:
            for item in await self._all(OPEN_PATH, [("settleCoin", coin)], "open orders", 50):
                try:
                    report = read_order(item, self._steps, BY_QUERY)
                    if report.status in (NEW, PARTIALLY_FILLED):
                        reports.append(report)
                except WireError as error:
                    odd.append(odd_order(item, error))
        ours = [one for one in odd if self.is_ours(one.client_id)]
        self.set_aside.listed(
            "open order", [msgspec.structs.replace(one, blocks=one.blocks or one in ours) for one in odd]
        )
        for one in ours:
            self.on_unread_order(one.symbol, one.client_id, one.exch_order_id)
        for report in reports:
            self.names.learn(report.symbol, report.exch_order_id, report.client_id)
        return reports

    async def executions(
        self, symbol: str, since_ns: int, is_counted: Callable[[str, str, int], bool] = none_is_counted
    ) -> list[Execution]:
        """The fills of a symbol since a moment of the exchange's clock, oldest first, up to three months back.

        Those that can't be taken over are set aside; funding is no fill, and is told apart.
        """
        del is_counted
        now_ms = self._rest.exchange_ms(running_ns())
        since_ms, until_ms = max(since_ns // MS_NS - 1, now_ms - HISTORY_MS), now_ms + 60_000
        items: dict[str, msgspec.Raw] = {}
        for start in range(since_ms, until_ms + 1, WINDOW_MS):
            params: list[tuple[str, object]] = [
                ("symbol", symbol),
                ("startTime", start),
                ("endTime", min(start + WINDOW_MS - 1, until_ms)),
            ]
            for item in await self._all("/v5/execution/list", params, "executions", 100):
                items[fill_key(item) or bytes(item).decode("utf-8", "replace")] = item
        found: list[tuple[int, str, float, Execution]] = []
        odd: list[Odd] = []
        for key, item in items.items():
            try:
                fill = msgspec.json.decode(item, type=ExecutionText)
                if fill.execType in NO_TRADES:
                    self.on_funding(funding_of(fill))
                    continue
                left = float(fill.leavesQty or 0)
                found.append((ms_of(fill.execTime), fill.execId, -left, execution_of(fill, self._steps)))
            except (*DECODE_ERRORS, ValueError) as error:
                names = odd_order(item, WireError(str(error)))
                why = f"it can't be taken over: {error}"
                odd.append(
                    Odd(
                        "fill", symbol_of(item) or symbol, key[:80], why, names.client_id, names.exch_order_id
                    )
                )
        self.set_aside.note(*odd)
        found.sort(key=lambda one: one[:3])
        return [one for *_, one in found]

    async def holdings(self) -> list[Holding]:
        """The positions; a symbol that is not listed is flat. Those that can't be taken over are set aside."""
        odd: list[Odd] = []
        holdings: list[Holding] = []
        for coin in COINS:
            for item in await self._all("/v5/position/list", [("settleCoin", coin)], "positions", 200):
                try:
                    if (holding := position_of(item, self._steps)) is not None:
                        holdings.append(holding)
                except WireError as error:
                    symbol = symbol_of(item)
                    odd.append(Odd("position", symbol, symbol, str(error)))
        self.set_aside.listed("position", odd)
        return holdings

    async def balances(self) -> list[Balance]:
        """The balances of all assets."""
        body = await self._rest.ask("/v5/account/wallet-balance", [("accountType", "UNIFIED")])
        odd: list[Odd] = []
        balances: list[Balance] = []
        for item in read_page(body, "balances")[0]:
            try:
                balances += read_coins(item)
            except WireError as error:
                odd.append(Odd("balance", "", "", str(error)))
        self.set_aside.listed("balance", odd)
        return balances

    async def commission(self, symbol: str) -> Commission:
        """The account's fee rates in a symbol."""
        return read_commission(
            await self._rest.ask("/v5/account/fee-rate", [("category", CATEGORY), ("symbol", symbol)])
        )

    async def cancel_all(self, symbol: str) -> None:
        """Cancel every open order of the account in a symbol, others' too; safe to repeat."""
        for _ in range(CANCEL_ROUNDS):
            body = await self._rest.ask(
                "/v5/order/cancel-all",
                [("category", CATEGORY), ("symbol", symbol)],
                method="POST",
                priority=Priority.URGENT,
            )
            if not read_page(body, "cancel-all")[0]:
                return
        raise WireError(f"cancel-all: orders were open in {symbol} after {CANCEL_ROUNDS} rounds")

    async def countdown(self, symbol: str, ms: int) -> None:
        """Not offered: the switch is the account's, see `put_switch`."""
        del symbol, ms
        raise NotSentError("the exchange has no dead-man switch by symbol")

    async def put_switch(self, window_s: int) -> None:
        """Have the exchange cancel the account's orders once its private sockets are gone for so long."""
        await self._rest.ask(
            "/v5/order/disconnected-cancel-all",
            [("product", "DERIVATIVES"), ("timeWindow", window_s)],
            method="POST",
            tries=1,
            timeout_s=5.0,
            priority=Priority.URGENT,
        )
