"""One account, whole: the local exchange, the connector, and bots that say what they want; on a virtual machine.

What a scenario does is said in ticks from the middle (600,000 ticks) and in lots, so that it holds on each exchange.
What happens in the market is said by the scenario, and comes when it says so (`Scenario.market`).
"""

import asyncio
import functools
import inspect
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.connector import report
from daemon.orders.ids.client_ids import ClientIds
from daemon.orders.lease_end import FLATTEN_IDS
from daemon.orders.limits import BotLimits
from hftd import wire
from hftd.channel.layout import PROTOCOL_VERSION
from hftd.clock import running_ns
from hftd.constants import NONE
from sim.exchange import venue as exchanges
from sim.exchange.accounts.mishaps import Rule
from sim.exchange.servers.server import LocalExchange
from tests.scenarios.bot import Bot
from tests.scenarios.checks import FORCED_IDS, Checks
from tests.scenarios.market import (
    APART_NS,
    BETWEEN,
    MID,
    SIDES,
    START_NS,
    TICK,
    Row,
    bought,
    level,
    sold,
    tape,
)
from tests.scenarios.processes import KEY, SECRET, Processes, machine
from tests.scenarios.venues import Case
from tests.scenarios.virtual import VirtualLoop, run
from tests.soak.books import PREFIX
from tests.soak.spot import add_positions, as_one


class Scenario(Processes):
    """See the module.

    Args:
        case: The exchange.
        loop: The machine.
        folder: For the journal.
        happens: In the market, one after the other.
        seconds: How long the market lives on after that.
        between: How long it does between two of these.
        config: Of the connector.
        sections: Of the local exchange's configuration, each with its keys.
    """

    def __init__(
        self,
        case: Case,
        loop: VirtualLoop,
        folder: Path,
        *,
        happens: Sequence[Row] = (),
        seconds: int = 300,
        between: int = BETWEEN,
        config: dict[str, Any] | None = None,
        sections: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(case, loop, folder, dict(config or {}))
        self._happened = 0
        self._happens = len(happens)
        self.venue: Any = exchanges.find_venue(case.name)
        rows = tape(happens, float(self.lot), seconds, between)
        self._exchange_of(rows, tape((), float(self.lot), seconds), dict(sections or {}))

    def _exchange_of(self, rows: Any, others: Any, sections: dict[str, Any]) -> None:
        case = self.case
        symbol_keys = {"tick_size": str(TICK), "lot_size": case.lot, "min_qty": case.lot, "min_price": "1"}
        account = {"name": "one", "api_key": KEY, "secret": SECRET, "balance": case.balance}
        content = {
            "symbols": [{"symbol": one, **symbol_keys, "base": one[:3]} for one in case.symbols],
            "accounts": [account | one for one in sections.pop("accounts", [{}])],
            # Between whose looks at the clock nothing is missed: requests and the market have it look.
            "exchange": {"tick_ms": 200.0} | sections.get("exchange", {}),
        } | {name: keys for name, keys in sections.items() if name != "exchange"}
        config = msgspec.convert(content, self.venue.config_type)
        self.exchange = LocalExchange(
            self.venue, config, rows={case.symbols[0]: rows, case.symbols[1]: others}
        )

    # Bots and the market.

    def bot(self, name: str = "mm", on_end: str = "cancel", limits: BotLimits = BotLimits()) -> Bot:  # noqa: B008
        """A bot that is attached."""
        bot = self.bots[name] = Bot(self, name, on_end, limits)
        bot.attach()
        return bot

    async def market(self, seconds: float = 0.1) -> None:
        """What happens next in the market happens now; then some time passes."""
        self._happened += 1
        assert self._happened <= self._happens
        core = self.exchange.core
        core.pump()
        clock, at_ns = self.exchange.clock, START_NS + self._happened * APART_NS
        clock.start(at_ns)
        # Now, not at the last whole second: the exchange's time does not go back.
        clock._market_start_ns = at_ns
        core.pump()
        await self.sleep(seconds)

    async def control(self, what: str, body: dict[str, Any] | None = None, **query: Any) -> Any:
        """Pull a string of the exchange's control page."""
        page = self.exchange._control
        data = b"" if body is None else msgspec.json.encode(body)
        return await page._pull(f"/{what}", {key: str(value) for key, value in query.items()}, data)

    def fails(self, path: str, kind: str = "lost", **more: Any) -> None:
        """A request of the exchange (by its key in `Case.paths`) fails, once if it is not said how often."""
        settings = {"times": 1} | more
        self.exchange.core.outages.add(Rule(self.case.paths.get(path, path), kind, **settings))  # type: ignore[arg-type]

    def refuses(self, why: str, path: str = "place", **more: Any) -> None:
        """The exchange refuses the next request of a kind for a reason (a key of `Case.codes`)."""
        words = self.case.words.get(why, why)
        self.fails(path, "error", code=self.case.codes[why], msg=words, status=400, **more)

    def tear(self, which: str) -> None:
        """A connection breaks: `market`, `user` or `orders`."""
        assert self.exchange.close_connections(self.case.connections[which], tear=True), "there is none"

    def mute(self, which: str) -> None:
        """What the connector writes on a connection is lost on its way, until that is made anew."""
        assert which == "orders"
        found = self.connector.session.trading._sender.socket._socket._conn.transport
        found.is_mute = True

    def halt(self) -> None:
        """As `hftd halt` does it."""
        self.act(lambda: self.connector._answer(wire.Ask(PROTOCOL_VERSION, wire.ASK_HALT)))

    def resume(self) -> None:
        """As `hftd resume` does it."""
        self.act(lambda: self.connector._answer(wire.Ask(PROTOCOL_VERSION, wire.ASK_RESUME)))

    async def by_hand(self, side: str, lots: int, ticks: int | None = None, name: str = "web_1") -> Any:
        """The account's owner places an order; without a price at the market."""
        price = "" if ticks is None else f"{(MID + ticks) * TICK:f}"
        words = self.case.by_hand(side, f"{lots * self.lot:f}", price, name)
        return await self.control("order", symbol=self.case.symbol, api_key=KEY, **words)

    def worth(self, ticks: int) -> float:
        """What a lot is worth at a price, in the quote."""
        contract = self.case.inverse.get(self.case.symbol)
        return float(self.lot * (contract if contract is not None else (MID + ticks) * TICK))

    # Time.

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def settled(self, seconds: float = 120.0) -> None:
        """Wait until nothing is under way, and the account was compared after that."""
        await self.until(lambda: self.is_ready, seconds)
        calm = 0
        end_s = self.loop.time() + seconds
        while calm < 2:
            assert self.loop.time() < end_s, f"it does not settle: {self.orders.commands.in_flight}"
            done = self.connector.reconciler.done
            self.act(lambda: self.orders.want_reconciliation(running_ns()))
            await self.until(functools.partial(self._is_reconciled, done), seconds)
            await self.sleep(1.0)
            told = [one for bot in self.bots.values() if bot.is_attached for one in bot.orders.values()]
            is_calm = not report.unfinished(self.orders) and not self.orders.store.gaps
            is_calm = is_calm and all(one.req == NONE for one in told)
            # One that may be replaced is sure only once no request can be on its way any more.
            is_calm = is_calm and all(one.modify is None for one in self.orders.store.alive.values())
            calm = calm + 1 if is_calm else 0

    def _is_reconciled(self, done: int) -> bool:
        return self.connector.reconciler.done > done

    # What must hold.

    @property
    def truth(self) -> dict[str, Any]:
        """All that the exchange knows of the account."""
        found = self.exchange.truth(KEY)
        own = {one["order_id"] for one in found["orders"] if one["type"] not in ("LIMIT", "MARKET")}
        for kind in ("orders", "trades", "requests"):
            for one in found[kind]:
                one["client_id"] = self.case.read_id(one["client_id"])
                if one["order_id"] in own:
                    # The exchange's; one says that in the order's id, the other in its kind.
                    one["client_id"] = f"{FORCED_IDS[0]}{one['order_id']}"
        for one in found["trades"]:
            one["trade_id"] = self.case.read_trade(one["trade_id"], one["order_id"])
        sides = {one["client_id"]: SIDES[one["side"]] for one in found["orders"]}
        ids = ClientIds(PREFIX, 0)
        for one in found["requests"]:
            one["side"] = one["side"].upper() or sides.get(one["client_id"], "")
            if not self.case.has_positions and (read := ids.read(one["client_id"])) is not None:
                # Nothing can be told to reduce only; the ids of orders that close positions are no bot's.
                one["only_reduces"] = read.order_id >= FLATTEN_IDS
        if not self.case.has_positions:
            as_one(found)
            add_positions(found, self.case.bases, self.lot)
        return found

    @property
    def trades(self) -> list[Any]:
        """Its executions."""
        return self.truth["trades"]

    def true(self, number: int, bot: str = "mm") -> dict[str, Any]:
        """The exchange's order of that number."""
        client_id = self.latest[bot, number]
        return next(one for one in self.truth["orders"] if one["client_id"] == client_id)

    @property
    def open(self) -> list[tuple[int, int, int]]:
        """The account's open orders at the exchange: side, ticks from the middle, and lots that remain."""
        return sorted(
            (one["side"], one["tick"] - MID, one["lots"] - one["executed_lots"])
            for one in self.truth["orders"]
            if one["status"] in ("NEW", "PARTIALLY_FILLED")
        )

    @property
    def position(self) -> int:
        """The account's position at the exchange, in lots; the nearest number of them where fees were taken from it."""
        return sum(one["lots"] for one in self.truth["positions"] if one["symbol"] == self.case.symbol)

    @property
    def is_flat(self) -> bool:
        """Whether there is nothing of it that could be traded: less than a lot."""
        held = [Decimal(one["qty"]) for one in self.truth["positions"] if one["symbol"] == self.case.symbol]
        return abs(sum(held, Decimal(0))) < self.lot

    @property
    def best(self) -> tuple[int, int]:
        """The connector's best bid and ask, in ticks from the middle."""
        ledger = self.orders.store.by_number[self.number]
        return ledger.best_bid_tick - MID, ledger.best_ask_tick - MID

    @property
    def book(self) -> list[tuple[int, int]]:
        """The connector's book: ticks from the middle, and lots."""
        market = self.connector.bots.books.get(self.number)
        rows = market.as_rows(0)[1:] if market is not None else ()
        return sorted(
            (round(row["px"] / float(TICK)) - MID, round(row["qty"] / float(self.lot))) for row in rows
        )

    @property
    def true_book(self) -> list[tuple[int, int]]:
        """The exchange's."""
        market = self.exchange.core.market
        return sorted((tick - MID, lots) for side in (1, -1) for tick, lots in market.levels(0, side, 1000))

    @property
    def warnings(self) -> set[str]:
        """The keys of what the connector warns of."""
        return {one.key for one in self.connector.warnings.look(self.loop.clock.passed_ns)}

    @property
    def requests(self) -> list[tuple[str, int]]:
        """What came to the exchange: what, and how many lots."""
        return [(one["what"], round(Decimal(one["qty"] or 0) / self.lot)) for one in self.truth["requests"]]

    def check(self) -> None:
        """Exchange, order management, journal and bots agree, to the last unit."""
        faults = Checks(self).faults
        assert not faults.found, "\n".join(faults.found)
        assert not self.failures()


def scenario(**given: Any) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Makes a test of what is to happen: `async def test_something(s)`, run against each exchange.

    Args:
        given: For `Scenario`; `config` may be a function of the case. Besides: `is_started`, whether the connector runs
            when it begins; `is_checked`, whether all books are compared once it has settled in the end; `needs`, what
            the exchange must have: `positions`, `balances` or a `switch`.
    """

    def of(act: Callable[..., Any]) -> Callable[..., None]:
        names = list(inspect.signature(act).parameters)[1:]

        def test(case: Case, tmp_path: Path, **arguments: Any) -> None:
            settings = dict(given)
            if (needs := settings.pop("needs", "")) and not getattr(case, f"has_{needs}"):
                pytest.skip(f"this exchange has no {needs}")
            is_started, is_checked = settings.pop("is_started", True), settings.pop("is_checked", True)
            if callable(settings.get("config")):
                settings["config"] = settings["config"](case)

            async def main(loop: VirtualLoop) -> None:
                s = Scenario(case, loop, tmp_path, **settings)
                async with s.exchange:
                    try:
                        if is_started:
                            await s.start()
                        await act(s, **arguments)
                        if is_checked:
                            await s.settled()
                            s.check()
                    finally:
                        await s.end()

            with machine():
                run(main)

        test.__name__, test.__doc__, test.__module__ = act.__name__, act.__doc__, act.__module__
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        test.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, kind) for name in ("case", "tmp_path", *names)]
        )
        return test

    return of


__all__ = ["KEY", "MID", "Bot", "Row", "Scenario", "bought", "level", "scenario", "sold"]
