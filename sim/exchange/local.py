"""The local exchange: its sockets, and the clock that drives it.

config = ExchangeConfig(symbols=[...], accounts=[...])
async with LocalExchange(config, rows={"BTCUSDT": rows}) as exchange:
    exchange.rest_url, exchange.stream_url, exchange.ws_api_url
    exchange.truth(api_key)
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final, Self

import structlog
from aiohttp import web
from numpy.typing import NDArray

from hftd.clock import monotonic_ns, wall_ns
from hftd.errors import HftdError, UsageError
from sim.exchange.binancefutures.rest import RestServer
from sim.exchange.binancefutures.streams import StreamServer
from sim.exchange.binancefutures.venue import Venue
from sim.exchange.binancefutures.wsapi import HANDSHAKE_WEIGHT, WsApiServer
from sim.exchange.chaos_config import ChaosSection
from sim.exchange.clock import ExchangeClock
from sim.exchange.config import ExchangeConfig
from sim.exchange.connection import Connection
from sim.exchange.control import ControlServer

WS_API_PATH: Final = "/ws-fapi/v1"
MESSAGE_MAX: Final = 1 << 20
_LOOK_S_MAX: Final = 0.01
_NS: Final = 1_000_000_000

_log = structlog.get_logger(__name__)


class LocalExchange:
    """A Binance USD-M Futures exchange on loopback.

    Args:
        config: Its configuration.
        base: The folder that its paths count from.
        dates: The days to play.
        rows: The market, instead of archives: rows of `event_dtype` by symbol.
        clock: Another clock, for tests.

    Raises:
        UsageError: The market can't be played as it is described.
    """

    def __init__(
        self,
        config: ExchangeConfig,
        *,
        base: Path | str = ".",
        dates: list[str] | None = None,
        rows: dict[str, NDArray[Any]] | None = None,
        clock: ExchangeClock | None = None,
    ) -> None:
        self.config = config
        self.venue = Venue(config, Path(base), dates or [], rows, clock)
        self.clock = self.venue.clock
        self.chaos = self.venue.chaos
        self.error: HftdError | None = None
        self.over = asyncio.Event()
        """Set when the market's data is over; the market then stands still."""
        self.failed = asyncio.Event()
        """Set when the data can't be read on; `error` says why."""
        self.connections: dict[int, Connection] = {}
        self._connections_made = 0
        self._rest = RestServer(self.venue)
        self._streams = StreamServer(self.venue)
        self._ws_api = WsApiServer(self.venue)
        self._control = ControlServer(self)
        self._runner: web.ServerRunner | None = None
        self._control_runner: web.ServerRunner | None = None
        self._port = config.exchange.port
        self._control_port = config.exchange.control_port
        self._timers: list[asyncio.TimerHandle] = []
        self._timer: asyncio.TimerHandle | None = None
        self._next_ping_ns = 0

    # Addresses.

    @property
    def rest_url(self) -> str:
        """Where REST is."""
        return f"http://{self.config.exchange.host}:{self._port}"

    @property
    def stream_url(self) -> str:
        """Where the streams are; `/public/ws` and so on are added."""
        return f"ws://{self.config.exchange.host}:{self._port}"

    @property
    def ws_api_url(self) -> str:
        """Where the WebSocket API is."""
        return f"ws://{self.config.exchange.host}:{self._port}{WS_API_PATH}"

    @property
    def control_url(self) -> str:
        """Where the control page is."""
        return f"http://{self.config.exchange.host}:{self._control_port}"

    # Life.

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, and let the market begin.

        Raises:
            UsageError: A port is taken.
        """
        self._control_runner = web.ServerRunner(web.Server(self._control.handle), shutdown_timeout=0.0)  # pyright: ignore[reportArgumentType]
        self._control_port = await self._listen(self._control_runner, self._control_port)
        await self.connect()
        self.venue.start()
        self._tick()
        self._step_clock()

    async def connect(self) -> None:
        """Listen (again, after `disconnect`): at the same port."""
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.0)  # pyright: ignore[reportArgumentType]
        self._port = await self._listen(self._runner, self._port)

    async def disconnect(self) -> None:
        """Drop all connections and listen no more; the exchange itself goes on."""
        for connection in list(self.connections.values()):
            connection.abort()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def stop(self) -> None:
        """Stop everything."""
        for timer in [*self._timers, self._timer]:
            if timer is not None:
                timer.cancel()
        self._ws_api.stop()
        await self.disconnect()
        if self._control_runner is not None:
            await self._control_runner.cleanup()
            self._control_runner = None

    async def _listen(self, runner: web.ServerRunner, port: int) -> int:
        await runner.setup()
        site = web.TCPSite(runner, self.config.exchange.host, port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(
                f"can't listen at {self.config.exchange.host}:{port}: {error.strerror or error}",
                hint="is another exchange running? [exchange] port and control_port choose others, 0 one that is free",
            ) from None
        return int(runner.addresses[0][1])

    # Time.

    def _tick(self) -> None:
        """Let the market go on; then look again when something may have happened."""
        try:
            self.venue.pump()
            self.venue.users.on_time()
            self._keep_alive()
        except HftdError as error:
            _log.error("the market can't go on", reason=str(error))
            self.error = error
            self.failed.set()
            return
        if self.venue.market.is_over:
            self.over.set()
        least_s = self.config.exchange.tick_ms / 1000.0
        delay_s = min(
            max(self.clock.seconds_until(self.venue.market.next_ns), least_s), max(_LOOK_S_MAX, least_s)
        )
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def move_to(self, market_ns: int) -> None:
        """Let the market go on to a time, where its clock does not go by itself (`speed = 0`)."""
        self.clock.move_to(market_ns)
        self.venue.pump()

    def _keep_alive(self) -> None:
        """Send pings, and drop who does not answer them."""
        now_ns = monotonic_ns()
        if now_ns < self._next_ping_ns:
            return
        limits = self.config.limits
        self._next_ping_ns = now_ns + int(limits.ping_s * _NS)
        for connection in list(self.connections.values()):
            if now_ns - connection.last_pong_ns > limits.pong_s * _NS:
                self.chaos.count("no pong")
                connection.close(1008, "Pong timeout")
            else:
                connection.ping(str(wall_ns() // 1_000_000).encode())

    def _step_clock(self) -> None:
        """The exchange's clock is stepped now and then."""
        seconds = self.chaos.next_s("clock_step_s")
        if seconds <= 0.0:
            return

        def step() -> None:
            most = int(self.chaos.settings.clock_step_ms)
            self.clock.offset_ms = self.chaos.of("clock_step_ms").randint(-most, most)
            self.chaos.count("clock steps")
            self._step_clock()

        self._timers = [self._later(seconds, step)]

    @staticmethod
    def _later(seconds: float, act: Any) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, act)

    # Requests.

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return await self._rest.handle(request)
        is_api = request.path == WS_API_PATH
        if not is_api and not self._streams.serves(request.path):
            return web.Response(status=404)
        if self.chaos.strikes("refused_connection"):
            return web.Response(status=503)
        if is_api:
            # Counted, and not refused: requests on the connection are.
            with contextlib.suppress(Exception):
                self.venue.gate.charge(request.remote or "?", HANDSHAKE_WEIGHT, "ws-api")
        socket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=MESSAGE_MAX, writer_limit=1 << 30
        )
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        self._connections_made += 1
        limits = self.config.limits
        connection = Connection(
            socket, transport, self._connections_made, request.path_qs, self.chaos, limits.outbox_bytes
        )
        self.connections[connection.number] = connection
        connection.on_end.append(lambda: self._forget(connection))
        connection.start_mishaps(limits.life_s)
        try:
            server = self._ws_api if is_api else self._streams
            await server.serve(socket, connection, request)
        finally:
            connection.ended()
        return socket

    def _forget(self, connection: Connection) -> None:
        self.connections.pop(connection.number, None)

    # For tests and the control page.

    def truth(self, api_key: str) -> dict[str, Any]:
        """All orders, trades, positions and balances of an account, in whole ticks, lots and 1e-8 of the quote.

        Raises:
            UsageError: There is no such account.
        """
        for account in self.venue.accounts:
            if account.api_key == api_key:
                return account.truth()
        raise UsageError("there is no account with that API key")

    def set_chaos(self, settings: ChaosSection) -> None:
        """Misbehave otherwise from now on; connections that are open keep the end that was chosen for them."""
        self.chaos.set(settings)
        self._step_clock()

    def close_connections(self, kind: str = "", *, tear: bool = False) -> int:
        """Close connections: `public`, `market`, `private`, `unrouted`, `ws-api`, or all. Returns how many."""
        chosen = [one for one in self.connections.values() if not kind or one.kind == kind]
        for connection in chosen:
            if tear:
                connection.tear()
            else:
                connection.close()
        return len(chosen)

    def expire_listen_keys(self, api_key: str = "") -> None:
        """Let listen keys expire, of an account or of all."""
        for account in self.venue.accounts:
            if not api_key or account.api_key == api_key:
                self.venue.users.expire(account)

    def force_gap(self, symbol: str = "", messages: int = 1) -> None:
        """Leave out the next depth messages."""
        for feed in self.venue.feeds:
            if not symbol or feed.instrument.symbol == symbol:
                feed.gaps += messages
