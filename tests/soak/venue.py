"""The local exchange without sockets: its own requests, matching, replies and user events, on a `Schedule`."""

import itertools
import random
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from numpy.typing import NDArray

from daemon.messages import UNKNOWN
from daemon.session.errors import ExchangeError, FateUnknownError
from daemon.session.facts import Auth, Error, Params
from daemon.session.rest import RECV_WINDOW_MS, TOO_MANY_STATUSES, Answer
from sim.exchange import core
from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.mishaps import PAGE, PageError
from sim.exchange.accounts.processing import ReplyLostError
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.clock import ExchangeClock
from sim.exchange.rules.config import AccountSection, ExchangeConfig, LatencySection, LimitsSection
from sim.exchange.streams.connection import Tasks
from sim.exchange.venue import HttpRequest
from tests.soak.schedule import MS, SECOND, Schedule
from tests.soak.venues.product import SoakProduct

KEY, SECRET = "k" * 64, "s" * 64
TRIES = 3
_encode = msgspec.json.Encoder().encode


class Wire:
    """A connection between connector and exchange. Each way keeps its order; a cut loses the end of what is under way.

    It is the exchange's `Connection`, as far as that is asked anything.

    Args:
        latency_ns: Of one way, this time.
        on_request: The exchange's, of what arrives.
        on_message: The connector's.
    """

    _numbers = itertools.count(1)

    def __init__(
        self,
        schedule: Schedule,
        rng: random.Random,
        latency_ns: Callable[[], int],
        on_message: Callable[[bytes], None],
    ) -> None:
        self.kind = ""
        self.number = next(self._numbers)
        self.received = 0
        self.on_end: list[Callable[[], None]] = []
        self.on_request: Callable[[str], None] = lambda _text: None
        self.is_cut = False
        self.passed = 0
        self._schedule = schedule
        self._rng = rng
        self._latency_ns = latency_ns
        self._on_message = on_message
        self._cut_ns = 1 << 62
        self._last_due_ns: dict[str, int] = {}
        self._last_in_ns = 0
        self._last_out_ns = 0

    def send(self, payload: bytes, delay_ns: int = 0, key: str = "") -> None:
        """The exchange sends, so much later."""
        due_ns = self._schedule.now_ns + delay_ns
        if key != "*":
            due_ns = self._last_due_ns[key] = max(due_ns, self._last_due_ns.get(key, 0))
        self._schedule.at(due_ns, lambda: self._come(payload))

    def _come(self, payload: bytes) -> None:
        self._last_in_ns = max(self._last_in_ns, self._schedule.now_ns + self._latency_ns())
        self._schedule.at(self._last_in_ns, lambda: self._deliver(payload))

    def _deliver(self, payload: bytes) -> None:
        if not self.is_cut:
            self.passed += 1
            self._schedule.write("<", payload)
            self._on_message(payload)

    def write(self, data: bytes) -> None:
        """The connector sends."""
        self._last_out_ns = max(self._last_out_ns, self._schedule.now_ns + self._latency_ns())
        self._schedule.at(self._last_out_ns, lambda: self._arrive(data))

    def _arrive(self, data: bytes) -> None:
        if self._schedule.now_ns < self._cut_ns:
            self.passed += 1
            self._schedule.write(">", data)
            self.on_request(data.decode())

    def on_pong(self) -> None:
        """A sign of life; it has no effect here."""

    def close(self, code: int = 0, reason: str = "") -> None:
        """The exchange closes it."""
        self.cut()

    def cut(self) -> None:
        """It breaks."""
        if self.is_cut:
            return
        self.is_cut = True
        self._cut_ns = self._schedule.now_ns + int(self._rng.random() * self._latency_ns())
        self._schedule.at(self._cut_ns, self._end)

    def _end(self) -> None:
        for act in self.on_end:
            act()


class _Tasks(Tasks):
    """Requests of the WebSocket API, each a coroutine of the schedule."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self._schedule = schedule

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._schedule.drive(work)


class OpenOrder(NamedTuple):
    """An open order: a side of 1 buys; `is_ours`: it is a bot's."""

    side: int
    price: str
    is_ours: bool


class Exchange:
    """The exchange and its market.

    Args:
        schedule: The time.
        rows: The market.
        chaos: How it misbehaves.
        latency: Its own.
        product: Which one it is.
        seed: Of what a product leaves open.
        offset_ms: By how much its clock is off.
    """

    def __init__(
        self,
        schedule: Schedule,
        rows: dict[str, NDArray[Any]],
        chaos: ChaosSection,
        latency: LatencySection,
        product: SoakProduct,
        seed: int,
        offset_ms: int = 0,
    ) -> None:
        self.schedule = schedule
        self.product = product
        config = ExchangeConfig(
            symbols=product.symbols,
            accounts=[
                product.account(
                    AccountSection(name="one", api_key=KEY, secret=SECRET, balance="100000000", leverage=100),
                    seed,
                )
            ],
            limits=LimitsSection(weight_1m=0, ws_api_weight_1m=0, orders_10s=0, orders_1m=0),
            exchange=product.server(seed, offset_ms),
            chaos=chaos,
            latency=latency,
        )
        self.clock = ExchangeClock(0.0, offset_ms=offset_ms, wall=lambda: schedule.now_ns)
        self.core = core.Exchange(product.local, config, Path(), [], rows, self.clock)
        self.account: Account = self.core.accounts[0]
        self.listen_orders = product.listen_orders(self.core, _Tasks(schedule))
        self.listen_user = product.listen_user(self.core, self.account)
        self.market_messages = 0
        told = self.core.market._on_message

        def count(asset_no: int, message: Any) -> None:
            self.market_messages += 1
            told(asset_no, message)

        self.core.market._on_message = count
        self.core.start()
        self._tick()

    def _tick(self) -> None:
        self.go()
        self.core.venue.on_time()
        next_ns = self.core.market.next_ns
        self.schedule.at(
            min(max(next_ns, self.schedule.now_ns + MS), self.schedule.now_ns + 50 * MS), self._tick
        )

    def go(self) -> None:
        """The market goes on to now."""
        self.clock.move_to(self.schedule.now_ns)
        self.core.pump()

    def best(self, symbol: str) -> tuple[Decimal, Decimal]:
        """The best prices."""
        instrument = self.core.instrument(symbol)
        touch = self.core.market.touch(instrument.number)
        return Decimal(instrument.price(touch.bid_tick)), Decimal(instrument.price(touch.ask_tick))

    def tick(self, symbol: str) -> Decimal:
        """The price's step, now."""
        return Decimal(self.core.instrument(symbol).section.tick_size)

    def lot(self, symbol: str) -> Decimal:
        """The quantity's step, now."""
        return Decimal(self.core.instrument(symbol).section.lot_size)

    def open_orders(self, symbol: str) -> list[OpenOrder]:
        """The account's open orders in an instrument."""
        return [
            OpenOrder(one.side, one.instrument.price(one.tick), not one.client_id.startswith("web_"))
            for one in self.account.open_orders.values()
            if one.instrument.symbol == symbol
        ]

    async def rest(self, request: HttpRequest) -> tuple[int, bytes]:
        """A request over REST, done and answered: HTTP's status and the body.

        Raises:
            ReplyLostError: There is no answer.
        """
        self.go()
        try:
            reply = await self.core.venue.http(request)
        except PageError as page:
            return page.status, PAGE
        return reply.status, _encode(reply.content)


class Rest:
    """The connector's REST client, as `Queries` and `Incoming` use it.

    Args:
        exchange: Who answers.
        rng: Of the ways.
        latency_ns: Of one way.
        is_lossy: Whether some answers do not come.
        pause: A wait in which the process may be suspended.
    """

    def __init__(
        self,
        exchange: Exchange,
        rng: random.Random,
        latency_ns: Callable[[], int],
        is_lossy: Callable[[], bool],
        pause: Callable[[int], Coroutine[Any, Any, None]],
    ) -> None:
        self.facts = exchange.product.rest
        self._signer = exchange.product.signer(KEY, SECRET)
        self._exchange = exchange
        self._rng = rng
        self._latency_ns = latency_ns
        self._is_lossy = is_lossy
        self._pause = pause
        self.calls = 0

    def exchange_ms(self, now_ns: int) -> int:
        """The exchange's time."""
        return self._exchange.clock.server_ms()

    def quiet(self, wait_s: float, now_ns: int) -> None:
        """Limits are off."""

    async def call(
        self, method: str, path: str, params: Params = (), *, auth: Auth = "signed", timeout_s: float = 10.0
    ) -> Answer:
        """See `daemon.session.rest.Rest.call`."""
        self.calls += 1
        await self._pause(self._latency_ns())
        try:
            if self._is_lossy() and self._rng.random() < 0.03:
                raise ReplyLostError
            now_ms = self._exchange.clock.server_ms()
            signed = self.facts.signed(method, path, params, auth, self._signer, now_ms, RECV_WINDOW_MS)
            body = (signed.body or b"").decode("latin-1")
            status, told = await self._exchange.rest(
                HttpRequest(method, path, signed.query, body, signed.headers, "local")
            )
        except ReplyLostError:
            await self._pause(int(timeout_s * SECOND))
            raise FateUnknownError(path) from None
        await self._pause(self._latency_ns())
        error = self.facts.error_of(status, told)
        if error is None and told[:1] not in (b"{", b"["):
            error = Error(0, "no JSON")
        return Answer(status, told, error)

    async def ask(
        self,
        path: str,
        params: Params = (),
        *,
        method: str = "GET",
        auth: Auth = "signed",
        tries: int = TRIES,
        timeout_s: float = 10.0,
        **_: Any,
    ) -> bytes:
        """See `daemon.session.rest.Rest.ask`."""
        for last in (number == tries - 1 for number in range(tries)):
            try:
                answer = await self.call(method, path, params, auth=auth, timeout_s=timeout_s)
            except FateUnknownError:
                if last:
                    raise
            else:
                if answer.is_success:
                    return answer.body
                error, facts = answer.error or Error(0), self.facts
                may_help = (
                    answer.status in TOO_MANY_STATUSES
                    or error.code in facts.clock_codes
                    or error.code in getattr(facts, "again_codes", ())
                    or facts.verdict(answer.status, error.code, error.msg)[0] == UNKNOWN
                )
                if last or not may_help:
                    raise ExchangeError(path, status=answer.status, code=error.code)
            await self._pause(200 * MS)
        raise AssertionError("unreachable")
