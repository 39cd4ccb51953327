"""The trading side of one account: its connections, and what order management is told."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final

import aiohttp
import msgspec
import structlog

from daemon.connector.limiter import Limiter
from daemon.connector.supervise import Backoff, Supervision, planned_life_s, supervised
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import Command, Execution, Funding, Funds, Holding, Instrument, Report, Submit
from daemon.session.catalog import Catalog, Steps
from daemon.session.errors import EXPECTED, ExchangeError, WireError
from daemon.session.facts import Balance, Commission, Handlers, OrderFacts, Reply, Signer
from daemon.session.manners import Manners
from daemon.session.rest import RECV_WINDOW_MS, Rest
from daemon.session.trading.countdown import Countdowns
from daemon.session.trading.incoming import Incoming
from daemon.session.trading.order_socket import LogonError, OrderSocket
from daemon.session.trading.questions import Questions, none_is_counted
from daemon.session.trading.sending import Sender, SendLimits
from daemon.session.trading.switch import LOOK_S, AccountSwitch, ConnectionSwitch
from daemon.session.trading.user_stream import Access, UserStream
from daemon.warnings import Warn
from hftd.clock import monotonic_ns, running_ns
from hftd.constants import LIMIT, REASON_DISCONNECTED, REASON_RATE_LIMIT
from hftd.errors import ConfigError

SWEEP_S: Final = 0.1
CLOCK_AGAIN_S: Final = 5.0
"""The first wait after a failure to get the exchange's time."""
RECV_WINDOW_MS_MAX: Final = 60_000
LIFE_S: Final = 86_400.0
"""The exchange closes a connection after this; ours are replaced before."""
EXTEND_S: Final = 1800.0
_MISSED_AFTER_NS: Final = 5_000_000_000
"""A fill that the user data stream has not told after this was missed."""
_SURELY_UP_NS: Final = 1_000_000_000
"""A fill so long after the user data stream came up, by clocks that are compared, was to be told by it."""

_log = structlog.get_logger("hftd.connector")


class TradingConfig(msgspec.Struct, frozen=True):
    """How an account is traded.

    Attributes:
        orders_url: Where orders go by WebSocket.
        order_prefix: Of our client ids.
        order_path: "ws": by WebSocket, and by REST where that is down; "rest": by REST alone.
        is_rest_fallback: Whether REST stands in.
        recv_window_ms: How old a request may be when the exchange handles it.
        countdown_s: The exchange cancels all orders of a symbol unless it hears from a healthy connector for so long;
            0 for never. It counts for the account: other programs' orders in the symbol are cancelled as well.
        countdown_every_s: How often it hears.
        clock_every_s: How often the exchange's time is asked for.
        extend_every_s: How often the access to the user data stream is extended.
        life_s: How long the exchange lets a connection live.
        backoff_s: The first wait before a connection is made again.
        backoff_max_s: The longest one.
        seed: Of waits and lives.
    """

    orders_url: str
    order_prefix: str = "hftd"
    order_path: str = "ws"
    is_rest_fallback: bool = True
    recv_window_ms: int = RECV_WINDOW_MS
    countdown_s: float = 120.0
    countdown_every_s: float = 30.0
    clock_every_s: float = 60.0
    extend_every_s: float = EXTEND_S
    life_s: float = LIFE_S
    backoff_s: float = 0.25
    backoff_max_s: float = 30.0
    seed: int = 0
    send: SendLimits = SendLimits()

    def __post_init__(self) -> None:
        if self.order_path not in ("ws", "rest"):
            raise ConfigError(f'`order_path` must be "ws" or "rest", got {self.order_path!r}')
        if not 0 < self.recv_window_ms <= RECV_WINDOW_MS_MAX:
            raise ConfigError(
                f"a receive window of {self.recv_window_ms} ms", hint=f"1 to {RECV_WINDOW_MS_MAX}"
            )


class Trading:
    """The trading side of one account.

    Args:
        config: How.
        facts: How the exchange speaks of orders.
        signer: Of the API key.
        session: The HTTP client; its owner closes it.
        rest: The account's requests, signed.
        questions: What the account is asked.
        access: How one is let into its user data stream.
        steps: The symbols that are known; the questions' catalog fills it.
        handlers: Whom to tell.
        limiter: Of the address and account, which the market side shares.
        offset: Of the exchange's clock, which the market side shares.
        is_healthy: While it says False, the exchange's countdown is not refreshed, and cancels our orders.
        manners: How the exchange behaves.
        switch: A dead-man switch of the whole account, in place of countdowns.

    Attributes:
        progress_ns: When orders were last looked after (monotonic); 0 while the account is not ready.
    """

    def __init__(
        self,
        config: TradingConfig,
        facts: OrderFacts,
        signer: Signer,
        session: aiohttp.ClientSession,
        rest: Rest,
        questions: Questions,
        access: Access,
        steps: Mapping[str, Steps],
        handlers: Handlers,
        *,
        limiter: Limiter,
        offset: ClockOffset,
        is_healthy: Callable[[], bool] = lambda: True,
        manners: Manners = Manners(),  # noqa: B008 - frozen
        switch: AccountSwitch | None = None,
    ) -> None:
        self._config = config
        self._manners = manners
        self._switch = switch
        self._guard = None if manners.guard is None else ConnectionSwitch()
        self._facts = facts
        self._signer = signer
        self._session = session
        self._limiter = limiter
        self._offset = offset
        self._on_connection = handlers.on_connection
        self._is_healthy = is_healthy
        self._backoffs: dict[str, Backoff] = {}
        self._rest = rest
        self._queries = queries = questions
        queries.is_ours = handlers.is_ours or queries.is_ours
        queries.on_unread_order = handlers.on_unread_order
        queries.set_aside.on_instruments = handlers.on_instruments
        queries.set_aside.on_wanted = handlers.on_instruments_wanted
        self._on_instruments = handlers.on_instruments
        self._clock_wanted = asyncio.Event()
        self._incoming = Incoming(
            facts,
            handlers,
            limiter,
            offset,
            rest,
            steps,
            queries.names,
            secrets=self._secrets,
            on_clock_error=self._clock_wanted.set,
            on_key_expired=lambda: self._user.abort("the access has expired"),
            on_leaving=lambda: self._user.retire(),
            set_aside=queries.set_aside,
            manners=manners,
        )
        # Orders over REST are on no connection that would take them along.
        self._is_fallback = config.is_rest_fallback and self._guard is None
        uses_rest = config.order_path == "rest" or self._is_fallback
        self._sender = Sender(
            facts,
            rest,
            limiter,
            offset,
            steps,
            self._incoming.on_outcome,
            limits=config.send,
            uses_rest=uses_rest,
            manners=manners,
        )
        life_s = planned_life_s(config.life_s, config.seed)
        self._user = UserStream(
            session,
            access,
            rest.facts,
            self._incoming.on_user_message,
            self._see_up,
            life_s=life_s,
            refresh_s=config.extend_every_s,
            heartbeat=manners.heartbeat,
            may_open=lambda: switch is None or switch.may_hold(self._is_healthy()),
            seed=config.seed + 4,
        )
        self._life_s = life_s
        self._is_up = False
        self._is_ready = False
        self.progress_ns = 0
        self._missed_ns = 0  # the newest fill (exchange time) for which the user stream was made anew
        self._tasks: set[asyncio.Task[None]] = set()  # replaced sockets on their way out
        self.orders_supervision = Supervision("orders")
        self.user_supervision = Supervision("user data")
        self.counts = self._incoming.counts
        self._countdowns = Countdowns(
            self._queries.countdown,
            limiter,
            countdown_s=config.countdown_s,
            every_s=config.countdown_every_s,
            may_refresh=lambda: self._is_up and self._is_healthy(),
            counts=self.counts,
            seed=config.seed + 10,
            limit=rest.facts.weight,
            weight=manners.countdown_weight,
        )

    def __repr__(self) -> str:
        return f"Trading({self._rest}, is_up={self._is_up})"

    @property
    def is_up(self) -> bool:
        """Whether orders can be sent, and their fates are heard."""
        return self._is_up

    # ---- running

    async def run(self) -> None:
        """Keep everything connected until cancelled.

        Raises:
            ConfigError: The exchange does not take the key, or the account is in hedge mode.
            ExceptionGroup: A fault of ours.
        """
        config = self._config
        try:
            await self._prepare()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._supervised(self._user.once, self.user_supervision, 1))
                if config.order_path == "ws":
                    group.create_task(self._supervised(self._orders_once, self.orders_supervision, 2))
                group.create_task(self._sweep())
                group.create_task(self._keep_clock())
                if config.countdown_s > 0:
                    group.create_task(self._countdowns.run())
                if self._switch is not None:
                    group.create_task(self._switch.run(lambda: self._user.is_up))
        finally:
            self._is_ready = False
            self.progress_ns = 0
            self._set_up(False)
            await self._close()

    def _backoff(self, name: str, first_s: float, limit_s: float, seed: int) -> Backoff:
        """A back-off whose tries `hftd status` counts."""
        self._backoffs[name] = backoff = Backoff(first_s, limit_s, self._config.seed + seed)
        return backoff

    async def _supervised(
        self, once: Callable[[Supervision], Awaitable[None]], supervision: Supervision, seed: int
    ) -> None:
        config = self._config
        await supervised(
            supervision.name,
            lambda: once(supervision),
            self._backoff(supervision.name, config.backoff_s, config.backoff_max_s, seed),
            supervision=supervision,
            on_down=lambda _why: self._see_up(),
        )

    async def _prepare(self) -> None:
        """What has to be known before the first order: the time, the instruments, the account's mode."""
        backoff = self._backoff("account", self._config.backoff_s, self._config.backoff_max_s, 0)
        while True:
            try:
                await self._rest.sample_clock()
                self._on_instruments(await self.instruments())
                await self._queries.prepare()
            except EXPECTED as error:
                if isinstance(error, ExchangeError) and self._queries.key_is_refused(error):
                    raise ConfigError(
                        f"the exchange does not take the API key: {error}",
                        hint="check key, secret, the address it is bound to, and whether it is one of this host",
                    ) from None
                wait_s = backoff.next_s(error)
                _log.warning("account_not_ready", why=str(error), again_in_s=round(wait_s, 3))
                await asyncio.sleep(wait_s)
            else:
                self._is_ready = True
                return

    async def _orders_once(self, supervision: Supervision) -> None:
        signer, guard = self._signer, self._guard
        while guard is not None and not guard.may_hold(self._is_healthy()):  # noqa: ASYNC110 - asked like a switch
            await asyncio.sleep(LOOK_S)
        try:
            socket = await OrderSocket.connect(
                self._session,
                self._facts,
                self._rest.facts,
                self._config.orders_url,
                signer,
                self,
                self._offset.corrected_ms,
                heartbeat=self._manners.heartbeat,
                guard=self._manners.guard,
            )
        except LogonError as error:
            if error.code in self._rest.facts.clock_codes:
                self._clock_wanted.set()
            raise
        if guard is not None:
            guard.asked(socket.guard_problem)
        old = self._sender.use(socket, self._facts.writer(signer, self._config.recv_window_ms))
        if old is not None:
            task = asyncio.create_task(old.drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        supervision.up()
        self._see_up()
        # Its orders end with a connection that is guarded.
        await socket.wait(None if guard is not None and guard.is_set else self._life_s)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.progress_ns = now_ns = monotonic_ns()
            self._sender.sweep(now_ns)
            if (acknowledged := self._incoming.acknowledged) is not None:
                acknowledged.sweep(now_ns)
            if self._switch is not None and not self._switch.may_hold(self._is_healthy()):
                self._user.abort("the connector is not well: the account's dead-man switch is let fire")
            self._let_go()
            if self._incoming.is_user_stream_silent(now_ns):
                self._user.abort("an order was confirmed, and the user data stream says nothing of it")
            self._see_up()

    def _let_go(self) -> None:
        """End the connection for orders if the connector is not well, so that the exchange cancels them."""
        if self._guard is None or (socket := self._sender.socket) is None:
            return
        if not self._guard.may_hold(self._is_healthy()):
            self._sender.drop(
                socket, "the connector is not well: the connection's dead-man switch is let fire"
            )

    async def _keep_clock(self) -> None:
        backoff = self._backoff("clock", min(CLOCK_AGAIN_S, self._config.clock_every_s), 60.0, 3)
        wait_s = self._config.clock_every_s
        while True:
            await _wait(self._clock_wanted, wait_s)
            self._clock_wanted.clear()
            wait_s = self._config.clock_every_s
            try:
                await self._rest.sample_clock()
            except EXPECTED as error:
                self.counts["clock_failures"] += 1
                wait_s = backoff.next_s(error)
                _log.warning("exchange_time_not_fetched", why=str(error), again_in_s=round(wait_s, 3))
                # Errors of the time window want it all the time; they do not shorten the pause.
                await asyncio.sleep(wait_s)
                wait_s = 0.0
            else:
                backoff.reset()
                # So that errors of the time window, come what may, ask at most twice a second.
                await asyncio.sleep(0.5)

    async def _close(self) -> None:
        await self._sender.close()
        for socket in self._sender.sockets:
            await socket.close("the connector ends")
        for task in self._tasks:
            task.cancel()
        await self._user.close()

    # ---- the state of the connections

    def _see_up(self) -> None:
        # In a ban nothing can be sent by the ways that it is known of; its end is a connection that comes up again,
        # upon which what was kept is sent, cancels first.
        now_ns = running_ns()
        can_rest = self._rest.is_reachable and not self._limiter.is_banned(now_ns)
        if self._config.order_path == "ws":
            can_ws = self._sender.socket is not None and not self._limiter.is_all_banned(now_ns)
            can_send = can_ws or (self._is_fallback and can_rest)
        else:
            can_send = can_rest
        self._set_up(self._is_ready and can_send and self._user.is_up)

    def abort(self, why: str) -> None:
        """Make all connections anew, and ask for the exchange's time."""
        self._clock_wanted.set()
        self._user.abort(why)
        if (socket := self._sender.socket) is not None:
            self._sender.drop(socket, why)

    def _set_up(self, is_up: bool) -> None:
        if is_up != self._is_up:
            self._is_up = is_up
            self._on_connection(is_up)

    # ---- commands

    def send(self, command: Command) -> None:
        """Send a command. Never waits; a command that surely was not sent has its outcome before this returns."""
        if not self._is_ready:
            self._sender.refuse(command, REASON_DISCONNECTED, "not connected yet, or no more")
            return
        if type(command) is Submit:
            symbol = command.symbol
            if symbol not in self._countdowns.watched and not self._begin_to_watch(command):
                return
            self._countdowns.placed.add(symbol)
        if (acknowledged := self._incoming.acknowledged) is not None:
            acknowledged.sent(command, monotonic_ns())
        self._sender.send(command)

    def _begin_to_watch(self, place: Submit) -> bool:
        """A first order in a symbol; False if it was refused, since its countdown could not be kept.

        What only closes a position, or can't rest, needs none.
        """
        has_room = self._countdowns.has_room()
        if not has_room and not place.reduce_only and place.order_type == LIMIT:
            self._sender.refuse(
                place,
                REASON_RATE_LIMIT,
                f"there are orders in {len(self._countdowns.watched)} symbols, and the request limits allow to "
                f"refresh the dead-man switch of {self._countdowns.capacity}: raise countdown_s, or trade this one "
                "from another address",
            )
            return False
        if has_room:
            self.watch([place.symbol])
        return True

    def warm_up(self, command: Command) -> None:
        """Do everything but send it."""
        self._sender.warm_up(command)

    def watch(self, symbols: Iterable[str]) -> None:
        """Symbols that we have, or may have, orders in: the exchange's countdown is kept for them."""
        self._countdowns.watch(symbols)

    # ---- what comes in: the socket's listener

    def on_reply(self, command: Command, reply: Reply) -> None:
        """A command's answer."""
        if reply.status == 401 and self._signer.has_session and (socket := self._sender.socket) is not None:
            self._sender.drop(socket, "the session is over")
        if getattr(reply, "is_last", False) and (socket := self._sender.socket) is not None:
            socket.retire()
        self._incoming.on_reply(command, reply)

    def on_late(self, reply: Reply) -> None:
        """An answer to what is not waited for, or what the exchange says by itself of the connection."""
        socket = self._sender.socket
        if getattr(reply, "is_last", False):
            if socket is not None:
                socket.retire()
            return
        if reply.status == 401 and self._signer.has_session and socket is not None:
            self._sender.drop(socket, "the session is over")
        self._incoming.on_late(reply)

    def on_unreadable(self, command: Command | None, data: bytes, error: WireError) -> None:
        """A message that can't be read."""
        self._incoming.on_unreadable(command, data, error)

    def on_closed(self, socket: OrderSocket, owed: list[Command], why: str) -> None:
        """A socket is gone."""
        self._sender.lost(socket)
        self._sender.owed(owed, why)
        self._see_up()

    def _secrets(self) -> tuple[str, ...]:
        return (self._signer.api_key, *self._user.secrets)

    # ---- questions

    async def instruments(self) -> list[Instrument]:
        """The instruments, see `Catalog`; the exchange's limits are taken over."""
        info = await self._queries.instruments()
        for name, (limit, interval_ns) in info.limits.items():
            for rate in self._facts.limits_of(name, limit, interval_ns):
                self._limiter.set_limit(rate)
            if name.startswith("orders"):
                self._incoming.order_limits[name] = limit
        return info.instruments

    async def open_orders(self) -> list[Report]:
        """All open orders of the account, others' too. From now on the countdown is kept for symbols with ours."""
        placed = self._countdowns.begin_list()
        reports = await self._queries.open_orders()
        ours = {one.symbol for one in reports if self._queries.is_ours(one.client_id)}
        self._countdowns.end_list(placed, ours, {one.symbol for one in reports})
        return reports

    async def executions(
        self, symbol: str, since_ns: int, is_counted: Callable[[str, str, int], bool] = none_is_counted
    ) -> list[Execution]:
        """The fills of a symbol since a moment of the exchange's clock, oldest first, up to three months back.

        One that happened while the user data stream was up, and that nobody has counted, shows that the stream is
        open and does not tell: it is connected anew.
        """
        found = await self._queries.executions(symbol, since_ns, is_counted)
        if is_counted is not none_is_counted and self._user.is_up:
            exchange_ns, now_ns = self._offset.corrected_ns, running_ns()
            first_ns = max(self._missed_ns, exchange_ns(self._user.unbroken_ns) + _SURELY_UP_NS)
            last_ns = exchange_ns(now_ns) - _MISSED_AFTER_NS
            missed = [
                one.exch_ns
                for one in found
                if first_ns < one.exch_ns < last_ns and not is_counted(symbol, one.trade_id, one.side)
            ]
            if missed:
                self._missed_ns = max(missed)
                self.counts["user_stream_silent"] += 1
                self._user.abort("there were fills, and the user data stream said nothing of them")
        return found

    async def holdings(self) -> list[Holding]:
        """The positions; a symbol that is not listed is flat."""
        return await self._queries.holdings()

    async def funds(self) -> list[Funds] | None:
        """All balances of a spot account; None where there are positions instead."""
        ask = getattr(self._queries, "funds", None)
        return None if ask is None else await ask()

    async def payments(self, since_ns: int) -> list[Funding] | None:
        """Payments of funding; None where they are among the fills, or there are none."""
        ask = getattr(self._queries, "payments", None)
        return None if ask is None else await ask(since_ns)

    async def balances(self) -> list[Balance]:
        """The balances of all assets."""
        return await self._queries.balances()

    async def commission(self, symbol: str) -> Commission:
        """The account's fee rates in a symbol."""
        return await self._queries.commission(symbol)

    async def cancel_all(self, symbol: str) -> None:
        """Cancel every open order of the account in a symbol, others' too. Ours alone: a Cancel each."""
        await self._queries.cancel_all(symbol)

    async def countdown(self, symbol: str, ms: int) -> None:
        """Set the exchange's dead-man switch in a symbol, 0 to switch it off; it is not refreshed then."""
        if ms == 0:
            self._countdowns.forget(symbol)
        await self._queries.countdown(symbol, ms)

    @property
    def catalog(self) -> Catalog:
        """The instruments."""
        return self._queries.catalog

    def dead_man(self) -> tuple[bool | None, int]:
        """Whether the dead-man switch is armed: of all symbols with orders, or of account or connection; None where
        there is none, or nothing for it to end. And how many nanoseconds ago it, or the oldest of several, was
        refreshed; -1 if that is not known.
        """
        if self._switch is not None:
            return self._switch.is_armed, self._switch.age_ns()
        if self._guard is not None:
            return self._guard.is_set and self._sender.socket is not None, -1
        ages_s = self._countdowns.ages_s().values()
        if not ages_s:
            return None, -1
        oldest_s = max(ages_s)
        is_armed = min(ages_s) >= 0 and oldest_s < self._config.countdown_s
        return is_armed, int(oldest_s * 1e9) if oldest_s >= 0 else -1

    def warnings(self) -> Iterator[Warn]:
        """What needs a person."""
        yield from self._queries.set_aside.warnings()
        yield from self._countdowns.warnings()
        if self._switch is not None:
            yield from self._switch.warnings()
        if self._guard is not None:
            yield from self._guard.warnings()
        yield from self._incoming.warnings(running_ns())

    def statistics(self) -> dict[str, int]:
        """Counters, for ``hftd status``."""
        sender = self._sender
        acknowledged = self._incoming.acknowledged
        waiting = (
            {}
            if acknowledged is None
            else {
                "told_before_answer": acknowledged.told_first,
                "received_and_untold": acknowledged.untold,
                "received_and_waiting": len(acknowledged),
            }
        )
        return {
            **self.counts,
            **waiting,
            **{
                f"set_aside_{what.replace(' ', '_')}": n for what, n in self._queries.set_aside.counts.items()
            },
            "sent_ws": sender.sent_ws,
            "sent_rest": sender.sent_rest,
            "refused_here": sender.refused_here,
            "timed_out_or_lost": sender.unknown,
            "rest_calls": self._rest.calls,
            "rest_failures": self._rest.failures,
            "rest_retries": self._rest.retries,
            "retries: user data access": self._user.retries,
            "bans": self._limiter.bans,
            "limits_lowered": self._limiter.lowered,
            "countdown_symbols": len(self._countdowns.watched),
            **{f"retries: {name}": one.count for name, one in self._backoffs.items() if one.count},
            "in_flight": len(sender.socket.in_flight) if sender.socket else 0,
        }


async def _wait(event: asyncio.Event, wait_s: float) -> None:
    """Wait for an event, or so long; not by `wait_for`, which may swallow a cancellation before Python 3.12."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await event.wait()
