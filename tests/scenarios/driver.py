"""One account, whole: the local exchange, the connector, and bots that say what they want; on a virtual machine.

What a scenario does is said in ticks from the middle (600,000 ticks) and in lots, so that it holds on each exchange.
The book stands still, 50 lots each 10 ticks; what else happens in the market is said by the scenario, and comes when
it says so (`Scenario.market`).
"""

import asyncio
import contextlib
import functools
import inspect
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec
import numpy as np

import daemon.connector.bots.bots
import daemon.connector.service as service
import daemon.connector.watch.loop_lag
from daemon.connector.config import Credentials
from daemon.connector.secrets import Secret
from daemon.connector.service import Connector
from daemon.connector.venue import find_venue
from daemon.orders.client_ids import bot_hash
from daemon.orders.journal import Journal
from daemon.orders.limits import BotLimits
from daemon.orders.messages import Submit
from hftd.channel import wire
from hftd.channel.layout import PROTOCOL_VERSION
from hftd.clock import running_ns
from hftd.constants import (
    BUY,
    BUY_EVENT,
    CANCELED,
    DEPTH_EVENT,
    EXCH_EVENT,
    EXPIRED,
    FILLED,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    NEW,
    NONE,
    PARTIALLY_FILLED,
    REPLACED,
    SELL_EVENT,
    TRADE_EVENT,
)
from hftd.types import event_dtype
from sim.exchange import venue as exchanges
from sim.exchange.mishaps import Rule
from sim.exchange.servers.server import LocalExchange
from tests.daemon.orders.world import BotModel, LocalOrder
from tests.scenarios.venues import Case
from tests.scenarios.virtual import Killed, Program, VirtualLoop, run
from tests.soak.books import (
    Asked,
    Faults,
    Truth,
    compare_journal,
    compare_manager,
    compare_requests,
    long_finished,
    steps_of,
)

KEY, SECRET = "k" * 64, "s" * 64
PREFIX = "soak"
"""Of the orders' ids, as the soak's books read them."""
FORCED_IDS = ("autoclose-", "adl_autoclose", "settlement_autoclose-", "delivery_autoclose-")
"""How the ids of the exchange's own orders begin."""
MID = 600_000
TICK = Decimal("0.1")
LEVELS, LEVEL_TICKS, LEVEL_LOTS = 5, 10, 50
START_NS = 1_723_075_200_000_000_000
APART_NS = 3_600_000_000_000
"""Between what happens in the market, by its own time; the scenario says when the next one comes."""
PULSE_NS = 500_000_000
"""So often something changes far from the middle."""
_SIDES = {1: "BUY", -1: "SELL"}


class Row:
    """What happens in the market at once: rows of one time."""

    def __init__(self, *rows: tuple[int, int, int]) -> None:
        self.rows = rows


def sold(lots: int, ticks: int = -5) -> Row:
    """Somebody sells at a price between the best ones, or beyond."""
    return Row((TRADE_EVENT | SELL_EVENT, ticks, lots))


def bought(lots: int, ticks: int = 5) -> Row:
    """Somebody buys."""
    return Row((TRADE_EVENT | BUY_EVENT, ticks, lots))


def level(ticks: int, lots: int) -> Row:
    """A level becomes that large; below the middle it is a bid."""
    return Row((DEPTH_EVENT | (BUY_EVENT if ticks < 0 else SELL_EVENT), ticks, lots))


def tape(happens: Sequence[Row], lot: float, pulses: int) -> np.ndarray[Any, Any]:
    """The market's rows: the book, and each time that something happens, a while in which little does."""
    book = [
        (kind, sign * LEVEL_TICKS * k, LEVEL_LOTS)
        for k in range(1, LEVELS + 1)
        for kind, sign in ((DEPTH_EVENT | BUY_EVENT, -1), (DEPTH_EVENT | SELL_EVENT, 1))
    ]
    parts = []
    for k, now in enumerate((book, *(one.rows for one in happens))):
        made = np.zeros(len(now) + pulses, event_dtype)
        kind, ticks, lots = (list(one) for one in zip(*now, strict=True))
        number = np.arange(1, pulses + 1)
        made["ev"] = [*kind, *[DEPTH_EVENT | BUY_EVENT] * pulses]
        made["ev"] |= EXCH_EVENT | LOCAL_EVENT
        made["exch_ts"] = START_NS + k * APART_NS
        made["exch_ts"][len(now) :] += number * PULSE_NS
        made["local_ts"] = made["exch_ts"]
        made["px"] = np.array([*ticks, *[-200] * pulses]) * float(TICK) + float(MID * TICK)
        made["qty"] = np.array([*lots, *(100 + number % 2)]) * lot
        parts.append(made)
    return np.concatenate(parts)


class Bot:
    """A bot: what it asks for, and what it was told."""

    def __init__(self, scenario: "Scenario", name: str, on_end: str, limits: BotLimits) -> None:
        self.name = name
        self.on_end = on_end
        self.limits = limits
        self.model = BotModel(name)
        self.said: list[Any] = []
        self.is_attached = False
        self._scenario = scenario

    @property
    def orders(self) -> dict[int, LocalOrder]:
        """What it believes of its orders, by their numbers."""
        return self.model.orders

    def attach(self) -> None:
        """Take up a lease, and ask about the orders that it holds for open."""
        s = self._scenario
        held = [(number, one) for number, one in self.orders.items() if not one.is_inactive]

        def run() -> None:
            orders = s.connector.orders
            for update in orders.attach(self.name, [s.number], self.limits, self.on_end, running_ns()):
                self.apply(update)
            self.is_attached = True
            for number, one in held:
                orders.request(self.name, wire.Inquire(s.number, number, one.local_ts), running_ns())

        s.act(run)

    def detach(self) -> None:
        """Its lease is over."""
        s = self._scenario
        self.is_attached = False
        s.act(lambda: s.connector.orders.detach(self.name, running_ns()))

    def apply(self, update: Any) -> None:
        """It is told something."""
        self.said.append(update)
        self.model.apply(update)

    def _ask(self, message: Any) -> None:
        s = self._scenario
        s.act(lambda: s.connector.orders.request(self.name, message, running_ns()))

    def _note(self, number: int, what: str, side: int, ticks: int, lots: int) -> None:
        s = self._scenario
        for one in _SIDES.values() if side == 0 else (_SIDES[side],):
            price = (MID + ticks) * TICK if ticks > -MID else Decimal(0)
            asked = Asked(what, s.case.symbol, one, price, lots * s.lot)
            s.asked.setdefault((self.name, number), []).append(asked)

    def place(
        self,
        number: int,
        ticks: int = -5,
        lots: int = 10,
        *,
        side: int = BUY,
        tif: int = GTC,
        kind: int = LIMIT,
    ) -> None:
        """A new order."""
        s = self._scenario
        known = self.orders.get(number)
        assert known is None or known.is_inactive, "the bot's library refuses that"
        is_limit = kind == LIMIT
        tick, qty, now_ns = MID + ticks if is_limit else 0, lots * float(s.lot), running_ns()
        s.latest.pop((self.name, number), None)
        self.orders[number] = LocalOrder(now_ns, req=NEW, price_tick=tick, qty=qty, leaves_qty=qty)
        self._note(number, "place", side, ticks if is_limit else -MID, lots)
        self._ask(wire.Submit(s.number, number, side, kind, tif, tick, qty, now_ns))

    def modify(self, number: int, ticks: int, lots: int) -> None:
        """A new price, and how much is to remain."""
        s, order = self._scenario, self.orders[number]
        order.prior = order.price_tick, order.qty
        order.price_tick, order.qty = MID + ticks, lots * float(s.lot)
        order.req, order.local_ts = REPLACED, running_ns()
        self._note(number, "modify", 0, ticks, lots)
        self._ask(wire.Modify(s.number, number, order.price_tick, order.qty, order.local_ts))

    def cancel(self, number: int) -> None:
        """The end of an order."""
        s, order = self._scenario, self.orders[number]
        order.req, order.local_ts = CANCELED, running_ns()
        self._ask(wire.Cancel(s.number, number, order.local_ts))

    def lots(self, number: int) -> int:
        """What remains of an order, as it believes."""
        return round(self.orders[number].leaves_qty / float(self._scenario.lot))

    @property
    def position(self) -> int:
        """In lots, as it believes."""
        return round(self.model.state.position / float(self._scenario.lot))

    def fills(self, number: int) -> list[int]:
        """The lots of each execution of an order that it was told of."""
        return [
            round(one.exec_qty / float(self._scenario.lot))
            for one in self.said
            if isinstance(one, wire.OrderUpdate) and one.order_id == number and one.executed
        ]


class _Server:
    """In the place of `ChannelServer`: bots are called, not written to."""

    def __init__(self, *_: Any) -> None:
        pass

    async def start(self) -> None:
        pass

    def drop(self, bot: str, reason: str) -> None:
        raise AssertionError(f"{bot}: {reason}")

    def close(self, reason: str) -> None:
        pass


class _Venue:
    """A venue whose sessions can be looked into."""

    def __init__(self, scenario: "Scenario", venue: Any) -> None:
        self._scenario = scenario
        self._venue = venue
        self.name = venue.name
        self.symbols = venue.symbols

    def session(self, *args: Any) -> Any:
        made = self._venue.session(*args)
        made.send = self._scenario.sends(made.send)
        return made


class Scenario:
    """See the module.

    Args:
        case: The exchange.
        loop: The machine.
        folder: For the journal.
        happens: In the market, one after the other.
        pulses: How often something changes in between, each time.
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
        pulses: int = 600,
        config: dict[str, Any] | None = None,
        sections: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.case = case
        self.loop = loop
        self.path = folder / "orders.journal"
        self.lot = Decimal(case.lot)
        self.bots: dict[str, Bot] = {}
        self.asked: dict[tuple[str, int], list[Asked]] = {}
        self.latest: dict[tuple[str, int], str] = {}
        self.commands: list[Any] = []
        self.fuse = ""
        """At which moment the connector is killed: before or after a `send`, after an `outcome` or a `report`."""
        self.fuse_type: type | None = None
        self.programs: list[tuple[Program, Connector, asyncio.Task[None]]] = []
        self.number = 0
        self._folder = folder
        self._config = config or {}
        self._happened = 0
        self._happens = len(happens)
        self.venue: Any = exchanges.find_venue(case.name)
        self._exchange_of(happens, pulses, dict(sections or {}))

    def _exchange_of(self, happens: Sequence[Row], pulses: int, sections: dict[str, dict[str, Any]]) -> None:
        case = self.case
        symbol_keys = {"tick_size": str(TICK), "lot_size": case.lot, "min_qty": case.lot}
        account = {"name": "one", "api_key": KEY, "secret": SECRET, "balance": case.balance}
        content = {
            "symbols": [{"symbol": one, **symbol_keys, "base": one[:3]} for one in case.symbols],
            "accounts": [account | one for one in sections.pop("accounts", [{}])],
            # Between whose looks at the clock nothing is missed: requests and the market have it look.
            "exchange": {"tick_ms": 200.0} | sections.get("exchange", {}),
        } | {name: keys for name, keys in sections.items() if name != "exchange"}
        config = msgspec.convert(content, self.venue.config_type)
        rows = {case.symbols[0]: tape(happens, float(self.lot), pulses)}
        rows[case.symbols[1]] = tape((), float(self.lot), pulses)
        self.exchange = LocalExchange(self.venue, config, rows=rows)

    # Processes.

    @property
    def connector(self) -> Connector:
        """The one that runs, or ran last."""
        return self.programs[-1][1]

    @property
    def program(self) -> Program:
        """Its process."""
        return self.programs[-1][0]

    @property
    def orders(self) -> Any:
        """Its order management."""
        return self.connector.orders

    def act(self, act: Callable[[], Any]) -> Any:
        """Do something in the connector's process; it may be killed in it."""
        if self.program.is_dead:
            return None
        with contextlib.suppress(Killed):
            return self.program.run(act)

    async def start(self, **config: Any) -> None:
        """Start the connector, and wait until it can trade."""
        task = await self.launch(**config)
        await self.until(lambda: task.done() or self.is_ready, 60.0)
        if task.done():
            task.result()

    async def launch(self, **config: Any) -> "asyncio.Task[None]":
        """Start the connector."""
        program = Program()
        case = self.case
        self._config |= config
        settings = {
            "symbols": (case.symbol,),
            "order_prefix": PREFIX,
            **case.where(self.exchange),
            **self._config,
        }
        has_keys = settings.pop("has_keys", True)
        credentials = settings.pop("credentials", Credentials(Secret(KEY), Secret(SECRET)))
        journal = self.path if has_keys else None

        def make() -> Connector:
            made = Connector(
                case.name,
                _Venue(self, find_venue(case.name)),
                case.config(**settings),
                credentials if has_keys else Credentials(),
                journal,
                seed=len(self.programs) + 1,
                directory=self._folder,
            )
            made.bots.emit = self._emit  # type: ignore[method-assign]
            made.on_outcome = self._burns("outcome", made.on_outcome)  # type: ignore[method-assign]
            made.on_report = self._burns("report", made.on_report)  # type: ignore[method-assign]
            return made

        connector = program.run(make)
        task = self.loop.create_task(connector.run(), context=program.context)
        self.programs.append((program, connector, task))
        return task

    @property
    def is_connected(self) -> bool:
        """Whether orders can be sent, by whatever way."""
        connector = self.connector
        return (
            hasattr(connector, "reconciler") and connector.bots.is_connected and connector.reconciler.done > 0
        )

    @property
    def is_ready(self) -> bool:
        """Whether the connector can trade, and its book is valid."""
        connector = self.connector
        if not hasattr(connector, "server"):
            return False
        self.number = connector.bots.instrument(self.case.symbol).number
        market = connector.bots.books.get(self.number)
        if connector.trades and not self.is_connected:
            return False
        if connector.trades and connector.session.trading._sender.socket is None:
            # Orders would go by REST.
            return getattr(connector.config, "order_entry", "") == "rest"
        return market is not None and market.is_valid

    def _emit(self, name: str, update: Any) -> None:
        if not self.program.is_dead:
            self.bots[name].apply(update)

    def sends(self, send: Callable[[Any], None]) -> Callable[[Any], None]:
        """What order management sends by."""

        def sent(command: Any) -> None:
            if type(command) is Submit:
                order = self.orders.store.orders.get(command.client_id)
                if order is not None:
                    self.latest[order.bot, order.order_id] = command.client_id
            self.commands.append(command)
            self._burn("before a send", command)
            send(command)
            self._burn("after a send", command)

        return sent

    def _burns(self, moment: str, act: Callable[[Any], None]) -> Callable[[Any], None]:
        def burnt(message: Any) -> None:
            self._burn(f"before a {moment}", message)
            act(message)
            self._burn(f"after a {moment}", message)

        return burnt

    def _burn(self, moment: str, message: Any) -> None:
        if self.fuse == moment and (self.fuse_type is None or isinstance(message, self.fuse_type)):
            self.fuse = ""
            self.kill()
            raise Killed

    def kill(self) -> None:
        """As by a kill -9."""
        program, connector, _ = self.programs[-1]
        if program.is_dead:
            return
        program.kill()
        for bot in self.bots.values():
            bot.is_attached = False
        # The kernel closes its files, and with them their locks.
        for one in (connector._journal, connector._presence):
            if one is not None:
                one.close()

    async def restart(self, *names: str, **config: Any) -> None:
        """Start it again after a kill; bots that are named, else all, come back."""
        self.kill()
        await self.start(**config)
        for name in names or self.bots:
            self.bots[name].attach()

    async def stop(self) -> None:
        """As by a SIGTERM."""
        program, connector, task = self.programs[-1]
        for bot in self.bots.values():
            if bot.is_attached:
                bot.detach()
        program.run(connector.stop)
        await asyncio.wait([task], timeout=60.0)
        task.result()

    async def end(self) -> None:
        """Let the connector leave in order, and wind up what was killed."""
        for program, connector, task in self.programs:
            if task.done():
                continue
            if program.is_dead:
                connector._leave = _nothing  # type: ignore[method-assign]
                self.loop.resume(program)
                task.cancel()
            else:
                program.run(connector.stop)
            await asyncio.wait([task], timeout=60.0)
            if not program.was_killed and not task.cancelled():
                task.result()
            assert task.done(), "the connector does not end"

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
        self.exchange.clock.start(START_NS + self._happened * APART_NS)
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
        self.fails(path, "error", code=self.case.codes[why], msg=why, status=400, **more)

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

    # Time.

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> None:
        """Wait until something holds."""
        wait_s, end_s = 0.0005, self.loop.time() + seconds
        while not condition():
            assert self.loop.time() < end_s, f"it never came to be ({self._failures()})"
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.2, 0.2)

    async def settled(self, seconds: float = 120.0) -> None:
        """Wait until nothing is under way, and the account was compared after that."""
        await self.until(lambda: self.is_ready, seconds)
        calm = 0
        end_s = self.loop.time() + seconds
        while calm < 2:
            assert self.loop.time() < end_s, f"it does not settle: {self.orders.courier.in_flight}"
            done = self.connector.reconciler.done
            self.act(lambda: self.orders.want_reconciliation(running_ns()))
            await self.until(functools.partial(self._is_reconciled, done), seconds)
            await self.sleep(1.0)
            told = [one for bot in self.bots.values() if bot.is_attached for one in bot.orders.values()]
            is_calm = not service.report.unfinished(self.orders) and not self.orders.store.gaps
            is_calm = is_calm and all(one.req == NONE for one in told)
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
        sides = {one["client_id"]: _SIDES[one["side"]] for one in found["orders"]}
        for one in found["requests"]:
            one["side"] = one["side"].upper() or sides.get(one["client_id"], "")
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
        """The account's position at the exchange, in lots."""
        return sum(one["lots"] for one in self.truth["positions"] if one["symbol"] == self.case.symbol)

    @property
    def best(self) -> tuple[int, int]:
        """The connector's best bid and ask, in ticks from the middle."""
        ledger = self.orders.store.by_number[self.number]
        return ledger.best_bid_tick - MID, ledger.best_ask_tick - MID

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
        faults = Faults()
        whose: dict[str, Any] = {"prefix": PREFIX}
        if "forced_ids" in Truth.__dataclass_fields__:
            whose = {"forced_ids": FORCED_IDS}
        truth = Truth(
            raw=self.truth,
            bots=tuple(self.bots),
            inverse=self.case.inverse,
            tolerance=self.case.tolerance,
            **whose,
        )
        forgotten = long_finished(self.path, running_ns())
        compare_manager(faults, truth, self.orders, "connector", forgotten)
        compare_journal(faults, truth, self.path, steps_of(self.orders))
        compare_requests(faults, truth, self.asked)
        self._check_sent(faults)
        for bot in self.bots.values():
            if bot.is_attached:
                self._check_bot(faults, truth, bot)
        assert not faults.found, "\n".join(faults.found)
        assert not self._failures()

    def _check_sent(self, faults: Faults) -> None:
        """No order came to the exchange twice."""
        placed = [one["client_id"] for one in self.truth["orders"]]
        faults.expect("orders of one id", len(placed), len(set(placed)))

    def _check_bot(self, faults: Faults, truth: Truth, bot: Bot) -> None:
        name, state = f"bot {bot.name}", bot.model.state
        total, symbol = truth.total(bot.name, self.case.symbol), self.case.symbol
        if symbol in truth.forced:
            book = self.orders.store.ledgers[symbol].books.get(bot.name)
            faults.expect(f"{name}: position", bot.position, book.position_lots if book else 0)
        else:
            faults.expect(f"{name}: position", bot.position * self.lot, total.qty)
            faults.expect(f"{name}: trades", state.num_trades, total.trades)
            faults.near(f"{name}: fee", state.fee, total.fee, truth.tolerance.fee)
            faults.near(f"{name}: balance", state.balance, total.balance, truth.tolerance.balance)
            faults.near(f"{name}: value", state.trading_value, total.value, truth.tolerance.balance)
        for number, local in bot.orders.items():
            self._check_order(faults, truth, bot, number, local)
        ids = self.orders.store.ids
        for client_id, order in truth.open.items():
            found = ids.read(client_id)
            if found is not None and found.bot == bot_hash(bot.name):
                known = bot.orders.get(found.order_id)
                if known is None or known.is_inactive:
                    faults.say(f"{name} does not know its open order {order}: {known}")

    def _check_order(self, faults: Faults, truth: Truth, bot: Bot, number: int, local: LocalOrder) -> None:
        what, true = (
            f"bot {bot.name}: order {number}",
            truth.orders.get(self.latest.get((bot.name, number), "")),
        )
        faults.expect(f"{what} request under way", local.req, NONE)
        if true is None:
            faults.expect(f"{what} is over", local.is_inactive, True)
        elif true["status"] in ("NEW", "PARTIALLY_FILLED"):
            faults.expect(f"{what} is open", local.status in (NEW, PARTIALLY_FILLED), True)
            faults.expect(f"{what} leaves", bot.lots(number), true["lots"] - true["executed_lots"])
            faults.expect(f"{what} price", local.price_tick, true["tick"])
        else:
            faults.expect(f"{what} is filled", local.status == FILLED, true["status"] == "FILLED")
            faults.expect(f"{what} is over", local.status in (FILLED, CANCELED, EXPIRED), True)

    def _failures(self) -> list[Any]:
        """What failed on the loop, but for the kills."""
        return [one for one in self.loop.failures if not isinstance(one.get("exception"), Killed)]


async def _nothing(*_: Any) -> None:
    """In the place of what a killed process can't do."""


@contextlib.contextmanager
def machine() -> Any:
    """What is not this machine's is set aside: the channel's socket, the memory's collector, chance."""
    numbers = random.Random(7)
    chance = SimpleNamespace(
        randbits=numbers.getrandbits, randbelow=lambda most: numbers.randrange(most), token_hex=None
    )
    with (
        mock.patch.object(service, "ChannelServer", _Server),
        mock.patch.object(service, "gc", SimpleNamespace(collect=_idle, freeze=_idle)),
        mock.patch.object(service, "secrets", chance),
        mock.patch.object(daemon.connector.bots.bots, "LOOK_S", 1.0),
        mock.patch.object(daemon.connector.watch.loop_lag, "EVERY_S", 10.0),
        mock.patch.object(Journal, "sync", _idle),
    ):
        yield


def _idle(*_: Any) -> None:
    """Nothing is to be done."""


def scenario(**given: Any) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Makes a test of what is to happen: `async def test_something(s)`, run against each exchange.

    Args:
        given: For `Scenario`; `config` may be a function of the case. Besides: `is_started`, whether the connector runs
            when it begins; `is_checked`, whether all books are compared once it has settled in the end.
    """

    def of(act: Callable[..., Any]) -> Callable[..., None]:
        names = list(inspect.signature(act).parameters)[1:]

        def test(case: Case, tmp_path: Path, **arguments: Any) -> None:
            settings = dict(given)
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


__all__ = ["MID", "Bot", "Row", "Scenario", "bought", "level", "scenario", "sold"]
