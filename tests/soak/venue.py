"""The local exchange without sockets: its own requests, matching, replies and user events, on a `Schedule`."""

import random
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from numpy.typing import NDArray

from daemon.session.errors import ExchangeError, FateUnknownError
from sim.exchange import core
from sim.exchange.accounts import Account
from sim.exchange.auth import Stamp
from sim.exchange.binance.errors import error_of, refusal
from sim.exchange.binance.product import product_of
from sim.exchange.binance.wsapi import Session, WsApi
from sim.exchange.chaos import ChaosSection
from sim.exchange.config import (
    AccountSection,
    ExchangeConfig,
    LatencySection,
    LimitsSection,
)
from sim.exchange.mishaps import PAGE, PageError
from sim.exchange.playback.clock import ExchangeClock
from sim.exchange.processing import ReplyLostError, perform
from sim.exchange.refusals import RefusedError, Why
from sim.exchange.servers.connection import Tasks
from sim.exchange.servers.streams import Listener
from tests.soak.products import USDM, SoakProduct
from tests.soak.schedule import MS, SECOND, Schedule

KEY, SECRET = "k" * 64, "s" * 64
SYMBOL = USDM.traded[0]
"""Of the soak with processes."""
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

    def __init__(
        self,
        schedule: Schedule,
        rng: random.Random,
        latency_ns: Callable[[], int],
        on_message: Callable[[bytes], None],
    ) -> None:
        self.kind = ""
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
                AccountSection(name="one", api_key=KEY, secret=SECRET, balance="100000000", leverage=100)
            ],
            limits=LimitsSection(weight_1m=0, ws_api_weight_1m=0, orders_10s=0, orders_1m=0),
            exchange=product.server(seed, offset_ms),
            chaos=chaos,
            latency=latency,
        )
        self.clock = ExchangeClock(0.0, offset_ms=offset_ms, wall=lambda: schedule.now_ns)
        self.core = core.Exchange(product.local, config, Path(), [], rows, self.clock)
        self._api = WsApi(self.core, _Tasks(schedule))
        self.account: Account = self.core.accounts[0]
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

    @property
    def codes(self) -> Mapping[Why, tuple[int, str, int]]:
        """The numbers of its errors."""
        return product_of(self.core).codes

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

    def open_api(self, wire: Wire) -> None:
        """A connection to the WebSocket API."""
        wire.kind = "ws-api"
        session = Session(wire, "local", True, 0)  # type: ignore[arg-type]
        wire.on_request = lambda text: self._api.on_text(session, text)

    def open_user(self, wire: Wire, key: str) -> None:
        """A connection to user data."""
        wire.kind = "private"
        self.core.users.listen(key, Listener(wire))  # type: ignore[arg-type]

    async def rest(self, method: str, path: str, params: dict[str, str]) -> bytes:
        """A request over REST: done, and answered.

        Raises:
            RefusedError: It is refused.
            ReplyLostError: There is no answer.
        """
        now_ms, product = self.clock.server_ms(), self.product.local
        self.go()
        try:
            result = await perform(
                self.core,
                product.rest[method, path.removeprefix(product.prefix)],
                self.account,
                params,
                "local",
                Stamp(now_ms, 5000),
                f"{method} {path}",
            )
        except PageError as page:
            if page.status != 200:
                raise refusal(0, "a page", page.status) from None
            return PAGE
        return _encode(result)


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

    async def ask(
        self,
        path: str,
        params: Any = (),
        *,
        method: str = "GET",
        tries: int = TRIES,
        timeout_s: float = 10.0,
        **_: Any,
    ) -> bytes:
        """See `daemon.session.rest.Rest.ask`."""
        for last in (number == tries - 1 for number in range(tries)):
            self.calls += 1
            await self._pause(self._latency_ns())
            try:
                if self._is_lossy() and self._rng.random() < 0.03:
                    raise ReplyLostError
                body = await self._exchange.rest(method, path, {name: str(value) for name, value in params})
            except ReplyLostError:
                await self._pause(int(timeout_s * SECOND))
                if last:
                    raise FateUnknownError(path) from None
            except RefusedError as refused:
                error = error_of(refused, self._exchange.codes)
                await self._pause(self._latency_ns())
                may_help = error.status in (429, 418, 503) or error.code in (-1000, -1001, -1006, -1007)
                if last or not may_help:
                    raise ExchangeError(path, status=error.status, code=error.code) from None
            else:
                await self._pause(self._latency_ns())
                return body
            await self._pause(200 * MS)
        raise AssertionError("unreachable")
