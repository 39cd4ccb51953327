"""The local exchange: its sockets, and the clock that drives it.

config = ExchangeConfig(symbols=[...], accounts=[...])
async with LocalExchange(find_venue(name), config, rows={"BTCUSDT": rows}) as exchange:
    exchange.rest_url, exchange.stream_url, exchange.urls
    exchange.truth(api_key)
"""

import asyncio
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import structlog
from aiohttp import web
from numpy.typing import NDArray

from hftd.clock import monotonic_ns, wall_ns
from hftd.errors import HftdError, UsageError
from sim.exchange.accounts.mishaps import PAGE, PageError
from sim.exchange.accounts.processing import ReplyLostError
from sim.exchange.core import Exchange
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.clock import ExchangeClock
from sim.exchange.rules.config import ExchangeConfig
from sim.exchange.servers.control import ControlServer
from sim.exchange.streams.connection import Connection
from sim.exchange.venue import HttpRequest, LocalVenue

MESSAGE_MAX: Final = 1 << 20
_LOOK_S_MAX: Final = 0.01
_NS: Final = 1_000_000_000
_encode = msgspec.json.Encoder().encode

_log = structlog.get_logger(__name__)


class LocalExchange:
    """An exchange on loopback.

    Args:
        venue: Whose protocol it speaks.
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
        venue: type[LocalVenue],
        config: ExchangeConfig,
        *,
        base: Path | str = ".",
        dates: list[str] | None = None,
        rows: dict[str, NDArray[Any]] | None = None,
        clock: ExchangeClock | None = None,
    ) -> None:
        self.config = config
        self.core = Exchange(venue, config, Path(base), dates or [], rows, clock)
        self.venue = self.core.venue
        self.clock = self.core.clock
        self.chaos = self.core.chaos
        self.error: HftdError | None = None
        self.over = asyncio.Event()
        """Set when the market's data is over; the market then stands still."""
        self.failed = asyncio.Event()
        """Set when the data can't be read on; `error` says why."""
        self.connections: dict[int, Connection] = {}
        self._connections_made = 0
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
        """Where WebSocket connections go; the venue's paths are added."""
        return f"ws://{self.config.exchange.host}:{self._port}"

    @property
    def urls(self) -> dict[str, str]:
        """Where what is, by name."""
        sockets = {name: f"{self.stream_url}{path}" for name, path in self.venue.sockets.items()}
        return {"rest": self.rest_url, "streams": self.stream_url} | sockets

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
        self.core.start()
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
        self.venue.stop()
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
            self.core.pump()
            self.venue.on_time()
            self._keep_alive()
        except HftdError as error:
            _log.error("market_failed", reason=str(error))
            self.error = error
            self.failed.set()
            return
        if self.core.market.is_over:
            self.over.set()
        least_s = self.config.exchange.tick_ms / 1000.0
        delay_s = min(
            max(self.clock.seconds_until(self.core.market.next_ns), least_s), max(_LOOK_S_MAX, least_s)
        )
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def move_to(self, market_ns: int) -> None:
        """Let the market go on to a time, where its clock does not go by itself (`speed = 0`)."""
        self.clock.move_to(market_ns)
        self.core.pump()

    def _keep_alive(self) -> None:
        """Send pings where the venue does, and drop who gives no sign of life."""
        now_ns = monotonic_ns()
        if now_ns < self._next_ping_ns:
            return
        limits = self.config.limits
        self._next_ping_ns = now_ns + int(limits.ping_s * _NS)
        for connection in list(self.connections.values()):
            if now_ns - connection.last_pong_ns > (connection.quiet_s or limits.pong_s) * _NS:
                self.chaos.count("no pong")
                connection.close(1008, "Pong timeout")
            elif self.venue.pings:
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
            return await self._http(request)
        server = self.venue.socket(request.path)
        if server is None:
            return web.Response(status=404)
        if self.chaos.strikes("refused_connection"):
            return web.Response(status=503)
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
        connection.start_mishaps(limits.life_s, limits.notice_s)
        try:
            await server.serve(socket, connection, request)
        finally:
            connection.ended()
        return socket

    async def _http(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = HttpRequest(
            request.method,
            request.path,
            request.rel_url.raw_query_string,
            await _body(request),
            request.headers,
            request.remote or "?",
        )
        try:
            reply = await self.venue.http(asked)
        except PageError as page:
            return web.Response(body=PAGE, status=page.status, content_type="text/html")
        except ReplyLostError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        return web.Response(
            body=_encode(reply.content),
            status=reply.status,
            headers=reply.headers,
            content_type="application/json",
        )

    def _forget(self, connection: Connection) -> None:
        self.connections.pop(connection.number, None)

    # For tests and the control page.

    def restart_feeds(self, symbol: str = "") -> None:
        """Let books begin anew, as a restart of the exchange's service does it."""
        for feed in self.core.feeds:
            if not symbol or feed.instrument.symbol == symbol:
                feed.restart()

    def truth(self, api_key: str) -> dict[str, Any]:
        """All orders, trades, positions and balances of an account, in whole ticks, lots and 1e-8 of money.

        Raises:
            UsageError: There is no such account.
        """
        for account in self.core.accounts:
            if account.api_key == api_key:
                return account.truth()
        raise UsageError("there is no account with that API key")

    def set_chaos(self, settings: ChaosSection) -> None:
        """Misbehave otherwise from now on; connections that are open keep the end that was chosen for them."""
        self.chaos.set(settings)
        self._step_clock()

    def close_connections(self, kind: str = "", *, tear: bool = False, planned: bool = False) -> int:
        """Close connections of a kind (the venue's word), or all, as planned or at once. Returns how many."""
        chosen = [one for one in self.connections.values() if not kind or one.kind == kind]
        for connection in chosen:
            if tear:
                connection.tear()
            elif planned:
                connection.retire()
            else:
                connection.close()
        return len(chosen)

    def expire_listen_keys(self, api_key: str = "") -> None:
        """Let what user events are heard by expire, of an account or of all."""
        for account in self.core.accounts:
            if not api_key or account.api_key == api_key:
                self.venue.expire(account)

    def force_gap(self, symbol: str = "", messages: int = 1) -> None:
        """Leave out the next depth messages."""
        for feed in self.core.feeds:
            if not symbol or feed.instrument.symbol == symbol:
                feed.gaps += messages


async def _body(request: web.BaseRequest) -> str | None:
    if not request.can_read_body:
        return ""
    try:
        # Of a megabyte at most (aiohttp's default).
        return (await request.read()).decode("latin-1")
    except web.HTTPRequestEntityTooLarge:
        return None
