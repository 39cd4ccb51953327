"""One account at one exchange: market data and trading, joined. What the exchange is, its folder says."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from daemon.connector.limiter import Limiter
from daemon.connector.supervise import Backoff, Supervision, first_to_end
from daemon.connector.venue import Listener
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import (
    REFUSED,
    STEPS_CHANGED,
    Command,
    Execution,
    Funding,
    Funds,
    Holding,
    Instrument,
    Outcome,
    Report,
)
from daemon.orders.ids.client_ids import MAX_ORDER_ID
from daemon.session.catalog import Catalog
from daemon.session.errors import EXPECTED
from daemon.session.facts import Handlers, OrderFacts
from daemon.session.market.stream import MarketSession
from daemon.session.rest import Rest
from daemon.session.trading.account import CLOCK_AGAIN_S, Trading
from daemon.session.trading.questions import Questions
from daemon.warnings import Warn
from hftd.clock import running_ns, wall_ns
from hftd.constants import REASON_DISCONNECTED
from hftd.control.status import Connection, Used

CLOCK_EVERY_S: Final = 60.0
"""How often the exchange's time is asked for without credentials."""


class AccountSession:
    """See `daemon.connector.venue.Session`.

    Args:
        facts: How orders are sent.
        rest: Requests without credentials.
        market: Market data.
        trading: None without credentials.
        questions: What is asked without credentials.
        limiter: Of address and account.
        offset: Of the exchange's clock.
        listener: Whom to tell.
        others: What else runs.
        seed: Of waits.

    Attributes:
        order_id_max: The largest id of a bot's order that fits the exchange's client ids, see
            `daemon.orders.ids.wire_ids.Packed`.
        by_totals: The exchange tells no executions with ids (`daemon.messages.Totals`).
    """

    order_id_max: int = MAX_ORDER_ID
    by_totals: bool = False

    def __init__(
        self,
        facts: OrderFacts,
        rest: Rest,
        market: MarketSession,
        trading: Trading | None,
        questions: Questions,
        limiter: Limiter,
        offset: ClockOffset,
        listener: Listener,
        others: Sequence[Callable[[], Awaitable[None]]] = (),
        seed: int = 0,
    ) -> None:
        self._facts = facts
        self._rest = rest
        self._clock_backoff = Backoff(CLOCK_AGAIN_S, CLOCK_EVERY_S, seed)
        self.market = market
        self.trading = trading
        self._questions = questions
        self._limiter = limiter
        self._offset = offset
        self._listener = listener
        self._others = others

    @property
    def catalog(self) -> Catalog:
        """The instruments."""
        return self._questions.catalog if self.trading is None else self.trading.catalog

    async def instruments(self) -> list[Instrument]:
        """The exchange's instruments, in its order."""
        if self.trading is not None:
            instruments = await self.trading.instruments()
        else:
            info = await self._questions.instruments()
            for name, (limit, interval_ns) in info.limits.items():
                if name.startswith("weight"):
                    for rate in self._facts.limits_of(name, limit, interval_ns):
                        self._limiter.set_limit(rate)
            instruments = info.instruments
        self._hold(instruments)
        return instruments

    def _hold(self, instruments: Sequence[Instrument]) -> None:
        """Books of instruments whose steps have changed are not valid any more."""
        for one in instruments:
            if one.trouble == STEPS_CHANGED:
                self.market.hold(one.number, one.why)

    def on_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Instruments are described anew."""
        self._hold(instruments)
        self._listener.on_instruments(instruments)

    def handlers(self) -> Handlers:
        """Whom the trading side tells: the listener, and this session of what changes about instruments."""
        listener = self._listener
        return Handlers(
            on_outcome=listener.on_outcome,
            on_report=listener.on_report,
            on_holding=listener.on_holding,
            on_funds=listener.on_funds,
            on_connection=listener.on_connection,
            on_instruments=self.on_instruments,
            on_instruments_wanted=listener.on_instruments_wanted,
            on_unread_order=listener.on_unread_order,
            is_ours=listener.is_ours,
        )

    def subscribe(self, instrument: Instrument) -> None:
        """Follow an instrument's market."""
        self.market.subscribe(instrument)

    def send(self, command: Command) -> None:
        """Send a command."""
        if self.trading is None:
            refusal = Outcome(command.request, REFUSED, REASON_DISCONNECTED, "there is no API key")
            self._listener.on_outcome(refusal)
            return
        self.trading.send(command)

    def warm_up(self, command: Command) -> None:
        """Do everything but send it."""
        if self.trading is not None:
            self.trading.warm_up(command)

    async def open_orders(self) -> Sequence[Report]:
        """All open orders of the account."""
        return await self.trading.open_orders() if self.trading else ()

    async def executions(
        self, symbol: str, since_ns: int, is_counted: Callable[[str, str, int], bool]
    ) -> Sequence[Execution]:
        """A symbol's fills."""
        return await self.trading.executions(symbol, since_ns, is_counted) if self.trading else ()

    async def holdings(self) -> Sequence[Holding]:
        """All positions."""
        return await self.trading.holdings() if self.trading else ()

    async def funds(self) -> Sequence[Funds] | None:
        """All balances of a spot account; None where there are positions instead."""
        return await self.trading.funds() if self.trading else None

    async def payments(self, since_ns: int) -> Sequence[Funding] | None:
        """Payments of funding; None where they are among the fills, or there are none."""
        return await self.trading.payments(since_ns) if self.trading else None

    async def run(self) -> None:
        """Keep all connections up until cancelled."""
        runs = [self.market.run(), *(run() for run in self._others)]
        runs.append(self._keep_clock() if self.trading is None else self.trading.run())
        await first_to_end(*runs)

    async def _keep_clock(self) -> None:
        """Without trading nothing depends on the exchange's time, but a clock that is off spoils records."""
        while True:
            try:
                await self._rest.sample_clock()
            except EXPECTED as error:
                wait_s = self._clock_backoff.next_s(error)
            else:
                self._clock_backoff.reset()
                wait_s = CLOCK_EVERY_S
            await asyncio.sleep(wait_s)

    def exchange_ns(self, now_ns: int) -> int:
        """A moment of ours by the exchange's clock."""
        return self._offset.corrected_ns(now_ns)

    def clock(self) -> tuple[int, int]:
        """By how much the exchange's clock is ahead of the system's, and how far off that may be; -1: not known yet."""
        now_ns = running_ns()
        return self._offset.corrected_ns(now_ns) - wall_ns(), self._offset.error_ns(now_ns)

    def switch(self) -> tuple[bool | None, int]:
        """Of dead-man switches: see `Trading.dead_man`."""
        return (None, -1) if self.trading is None else self.trading.dead_man()

    def check_connections(self, why: str) -> None:
        """Make all connections anew."""
        self.market.abort(why)
        if self.trading is not None:
            self.trading.abort(why)

    def progress(self) -> dict[str, int]:
        """When the loops of the feed and of the orders last went round."""
        found = {"feed": self.market.progress_ns}
        if self.trading is not None:
            found["order"] = self.trading.progress_ns
        return {name: at_ns for name, at_ns in found.items() if at_ns}

    def connections(self) -> list[Connection]:
        """How the connections are."""
        market = self.market
        found = [
            _connection(market.supervision, messages=market.messages, errors=market.unreadable.total),
        ]
        if self.trading is not None:
            found += [
                _connection(self.trading.orders_supervision),
                _connection(self.trading.user_supervision),
            ]
        return found

    def limits(self) -> list[Used]:
        """The exchange's limits."""
        return [
            Used(name=name, used=one["used"], limit=one["limit"])
            for name, one in self._limiter.statistics(running_ns()).items()
        ]

    def warnings(self) -> Iterator[Warn]:
        """What needs a person."""
        if left_s := self._limiter.ban_left_s(running_ns()):
            until = datetime.fromtimestamp((wall_ns() / 1e9) + left_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
            yield Warn(
                "banned",
                f"the exchange bans this address until {until} UTC ({left_s:.0f} s more): nothing is asked over REST, "
                "new orders are refused, the dead-man switch is not refreshed; cancels go by WebSocket unless it is "
                "banned as well, else at the end of the ban",
            )
        yield from self.market.warnings()
        if self.trading is not None:
            yield from self.trading.warnings()
        yield from self._offset.warnings(running_ns(), wall_ns())

    def market_counters(self, number: int) -> dict[str, int]:
        """Counters of an instrument's market."""
        feed = self.market.feed(number)
        if feed is None:
            return {}
        return {"messages": feed.messages, "gaps": feed.gaps, "resyncs": feed.resyncs}

    def counters(self) -> dict[str, int]:
        """All other counters."""
        found = self.market.statistics()
        if self.trading is not None:
            found.update(self.trading.statistics())
        return found


def _connection(supervision: Supervision, messages: int = 0, errors: int = 0) -> Connection:
    return Connection(
        name=supervision.name,
        is_up=supervision.is_up,
        since_ns=supervision.since_ns,
        reconnects=max(0, supervision.attempts - 1),
        messages=messages,
        errors=errors,
        last_error=supervision.last_error,
    )
