"""The channel's bot side: who is attached, what they ask, and what they are told.

Limits: a bot whose response queue is full has stopped reading and loses its lease; of one bot `BURST` requests are
taken before the next one's turn.
"""

import asyncio
import difflib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from daemon.connector.books import Books
from daemon.connector.links import LinkTable, answer
from daemon.connector.rehearsal import EVERY_NS
from daemon.orders.limits import BotLimits, narrowed
from daemon.orders.manager import Update
from daemon.orders.messages import Instrument
from hftd.channel import wire
from hftd.channel.asking import Reply
from hftd.channel.endpoint import Doorbell, QueueReader
from hftd.channel.layout import (
    LINK_MARKET_CURSOR,
    MARKET_TAIL,
    MAX_ROWS,
    MODE_SYSTEM,
    PROTOCOL_VERSION,
    REQUEST_BYTES,
    RESPONSE_BYTES,
)
from hftd.channel.memory import BotPage, ClockPage, Link, MarketRing
from hftd.channel.publisher import MarketPublisher
from hftd.channel.server import Grant
from hftd.cleanup import run_all
from hftd.clock import boot_ns, monotonic_ns, running_ns, wall_ns
from hftd.errors import HftdError, ProtocolError, RefusedError

BURST: Final = 256
REQUESTS_MAX: Final = REQUEST_BYTES // 8
"""More than a queue holds."""
LATE_NS: Final = 5_000_000_000
"""A new order or change that waited so long is refused, as the exchange refuses what is older than its `recvWindow`:
this process stood still, and the market that the strategy saw is gone."""
_SAME_STEP: Final = 1e-9

_log = structlog.get_logger("hftd.connector")

Asked = wire.Submit | wire.Modify | wire.Cancel | wire.Inquire


class Orders(Protocol):
    """What is asked of order management here; `daemon.orders.manager.OrderManager` is it."""

    def attach(
        self, bot: str, instruments: Sequence[int], limits: BotLimits, on_end: str, now_ns: int
    ) -> list[Update]:
        """A bot has a lease; what it is told."""
        ...

    def told(self, bot: str, now_ns: int) -> list[Update]:
        """The same again."""
        ...

    def detach(self, bot: str, now_ns: int) -> None:
        """Its lease is over."""
        ...

    def request(self, bot: str, message: Asked, now_ns: int, *, is_late: bool = False) -> None:
        """What it asks for; late if it is too old to be sent."""
        ...


@dataclass(slots=True)
class AttachedBot:
    """A bot with a lease."""

    hello: wire.Hello
    page: BotPage
    link: Link
    numbers: frozenset[int]
    reader: "QueueReader[wire.Request]"
    since_ns: int
    requests: int = 0
    updates: int = 0
    resyncs: int = 0
    is_lost: bool = False
    name: str = field(init=False)
    queue: int = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.hello.bot
        self.queue = int(self.link.responses.ctypes.data)


class Bots:
    """A live channel: its memory, its bots, and the handler of its `ChannelServer`.

    Args:
        venue: The daemon's name in the Welcome.
        clock_id: A number that no other daemon has.
        limits: The limits of a bot, by its name.
        subscribe: Follow an instrument's market; it may raise RefusedError.
        on_answer: Answers a tool's question.
    """

    def __init__(
        self,
        venue: str,
        clock_id: int,
        *,
        limits: Callable[[str], BotLimits],
        subscribe: Callable[[Instrument], None],
        on_answer: Callable[[wire.Ask], Reply],
        is_fused: bool,
        on_best: Callable[[int, int, int, bool, int], None],
    ) -> None:
        self.venue = venue
        self.clock_id = clock_id
        self.clock = ClockPage.make(clock_id, MODE_SYSTEM)
        self.ring = MarketRing.make(lossless=False)
        self.bell = Doorbell()
        self.publisher = MarketPublisher(self.ring, self.clock)
        self.books = Books(self.publisher, is_fused, on_best)
        self.is_connected = False
        self.dropped = 0
        self.is_ending = False
        self._limits = limits
        self._subscribe = subscribe
        self._on_answer = on_answer
        self._instruments: dict[str, Instrument] = {}
        self._bots: dict[str, AttachedBot] = {}
        self._order: list[AttachedBot] = []
        self._table = LinkTable()
        self._answer = answer.direct
        self._encode = wire.encoder.encode
        self._orders: Orders | None = None
        self._drop: Callable[[str, str], None] = lambda _bot, _reason: None
        self._is_spinning = False
        self._is_drain_due = False
        self._rehearse: Callable[[], None] | None = None
        self._rehearse_ns = 0

    # Setting up.

    def start(
        self,
        orders: Orders,
        drop: Callable[[str, str], None],
        *,
        spin: bool,
        rehearse: Callable[[], None] | None = None,
    ) -> None:
        """Begin to listen to bots' requests.

        Args:
            orders: Who handles them.
            drop: Takes a bot's lease: `ChannelServer.drop`.
            spin: Look at the queues all the time.
            rehearse: Called now and then while there is nothing to do, if it spins.
        """
        self._orders = orders
        self._drop = drop
        loop = asyncio.get_running_loop()
        self._is_spinning = spin
        self._rehearse = rehearse
        if spin:
            loop.call_soon(self._spin, loop)
        loop.add_reader(self.bell.fd, self._on_bell)

    def stop(self) -> None:
        """Listen no more."""
        self._is_spinning = False
        asyncio.get_running_loop().remove_reader(self.bell.fd)

    def close(self) -> None:
        """Free the memory."""
        errors = run_all(
            *(bot.link.close for bot in self._order), self.bell.close, self.ring.close, self.clock.close
        )
        for error in errors:
            _log.error("memory of the channel was not freed", exc_info=error)

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """What the exchange has."""
        self._instruments = {one.symbol: one for one in instruments}

    def instrument(self, symbol: str) -> Instrument:
        """An instrument by its symbol.

        Raises:
            RefusedError: The exchange has none of that name.
        """
        found = self._instruments.get(symbol)
        if found is not None:
            return found
        near = difflib.get_close_matches(symbol.upper(), self._instruments, n=3, cutoff=0.6)
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        else:
            hint = f"it has {len(self._instruments)}, such as {', '.join(list(self._instruments)[:3])}"
        raise RefusedError(f"the exchange has no instrument {symbol!r}", hint=hint)

    def follow(self, instrument: Instrument) -> None:
        """Follow an instrument's market and publish it."""
        # First: the venue may have rows at once.
        self.books.follow(instrument)
        self._subscribe(instrument)

    @property
    def instruments(self) -> dict[str, Instrument]:
        """What the exchange has, by symbol."""
        return dict(self._instruments)

    @property
    def attached(self) -> list[AttachedBot]:
        """The bots with a lease."""
        return list(self._order)

    # The server's handler.

    def attach(self, hello: wire.Hello, bot_page: BotPage) -> Grant:
        """Let a bot in."""
        assert self._orders is not None
        if self.is_ending:
            raise RefusedError("the connector is ending", hint="attach to its successor")
        instruments = [self._checked(*wanted) for wanted in hello.instruments]
        if len({one.number for one in instruments}) < len(instruments):
            raise RefusedError("the bot asks for an instrument twice")
        limits = narrowed(self._limits(hello.bot), hello.limits, hello.pull_quotes)
        for one in instruments:
            self.follow(one)
        now_ns = running_ns()
        numbers = tuple(one.number for one in instruments)
        size = 3 * sum(self._book_bytes(number, now_ns) for number in numbers)
        response_bytes = max(RESPONSE_BYTES, 1 << (size - 1).bit_length())
        # First: without memory or descriptors for it there is to be no lease in order management either.
        link = Link.make(REQUEST_BYTES, response_bytes)
        try:
            updates = self._orders.attach(hello.bot, numbers, limits, hello.on_end, now_ns)
        except BaseException:
            link.close()
            raise
        link.set_word(LINK_MARKET_CURSOR, self.ring.word(MARKET_TAIL))
        reader: QueueReader[wire.Request] = QueueReader(link.requests, wire.request_decoder)
        bot = AttachedBot(hello, bot_page, link, frozenset(numbers), reader, now_ns)
        self._bots[bot.name] = bot
        self._order.append(bot)
        self._set_table()
        self._greet(bot, updates, now_ns)
        self.publisher.add_bot(bot_page)
        if not self._is_spinning:
            self._table.arm()
        welcome = wire.Welcome(
            PROTOCOL_VERSION,
            self.venue,
            os.getpid(),
            self.clock_id,
            numbers,
            self.ring.capacity,
            REQUEST_BYTES,
            response_bytes,
            tuple((one.contract_size, one.inverse) for one in instruments),
        )
        return Grant(welcome, [self.clock.fd, self.ring.fd, link.fd, self.bell.fd])

    def detach(self, bot: str, reason: str) -> None:
        """A bot is gone: its requests are taken, then its end policy applied, its memory freed."""
        assert self._orders is not None
        attached = self._bots[bot]
        orders = self._orders
        # It may have died right after a submit; order management is to know of it. What it goes on writing isn't
        # waited for.
        errors = run_all(lambda: attached.is_lost or self._take(attached, REQUESTS_MAX))
        attached.is_lost = True
        del self._bots[bot]
        self._order.remove(attached)
        errors += run_all(
            lambda: orders.detach(bot, running_ns()),
            self._set_table,
            lambda: self.publisher.remove_bot(attached.page),
            attached.link.close,
        )
        _log.info("lease ended", bot=bot, reason=reason, on_end=attached.hello.on_end)
        if errors:
            raise errors[0]

    def answer(self, ask: wire.Ask) -> Reply:
        """A tool asks."""
        return self._on_answer(ask)

    def _checked(self, symbol: str, tick_size: float, lot_size: float) -> Instrument:
        instrument = self.instrument(symbol)
        for what, given, right in (
            ("tick_size", tick_size, float(instrument.tick_size)),
            ("lot_size", lot_size, float(instrument.lot_size)),
        ):
            if not math.isclose(given, right, rel_tol=_SAME_STEP):
                raise RefusedError(
                    f"{symbol} has the {what} {right}, the bot says {given}",
                    hint=f"set tick_size = {float(instrument.tick_size)} and lot_size = {float(instrument.lot_size)}",
                )
        return instrument

    def _set_table(self) -> None:
        self._table.set(
            [(int(bot.link.requests.ctypes.data), bot.link.daemon_asleep_address) for bot in self._order]
        )

    def _book_bytes(self, number: int, now_ns: int) -> int:
        market = self.books.get(number)
        return market.as_rows(now_ns).nbytes if market else 0

    # What bots are told.

    def _greet(self, bot: AttachedBot, updates: Sequence[Update], now_ns: int) -> None:
        """Books, what is not as it should be, orders and positions; and where the market goes on."""
        messages: list[wire.Response] = []
        for number in sorted(bot.numbers):
            market = self.books.get(number)
            assert market is not None
            rows = market.as_rows(now_ns)
            messages += [
                wire.Feed(number, rows[start : start + MAX_ROWS].tobytes())
                for start in range(0, len(rows), MAX_ROWS)
            ]
            if not market.is_valid:
                messages.append(wire.Status(number, wire.BOOK_INVALID))
            if not self.is_connected:
                messages.append(wire.Status(number, wire.DISCONNECTED))
        messages += [*updates, wire.Splice(self.ring.word(MARKET_TAIL))]
        last = len(messages) - 1
        for k, message in enumerate(messages):
            if not self._tell(bot, message, wake=k == last):
                return

    def emit(self, name: str, update: Update) -> None:
        """Tell a bot something, if it is there."""
        bot = self._bots.get(name)
        if bot is not None:
            bot.updates += 1
            self._tell(bot, update, wake=True)

    def _tell(self, bot: AttachedBot, message: wire.Response, *, wake: bool) -> bool:
        if bot.is_lost:
            return False
        page = bot.page.address if wake else 0
        if self._answer(bot.queue, self.clock.address, page, self._encode(message)) == 1:
            return True
        self._lose(bot, "it does not read what it is told: its response queue is full or broken")
        return False

    def _lose(self, bot: AttachedBot, reason: str) -> None:
        """Take a lease, as soon as whoever calls is done."""
        bot.is_lost = True
        self.dropped += 1
        _log.error("bot loses its lease", bot=bot.name, reason=reason)
        asyncio.get_running_loop().call_soon(self._drop_if_there, bot, reason)

    def _drop_if_there(self, bot: AttachedBot, reason: str) -> None:
        if self._bots.get(bot.name) is bot:
            self._drop(bot.name, reason)

    def set_connected(self, is_connected: bool) -> None:
        """Whether orders can be sent; all bots are told."""
        if is_connected == self.is_connected:
            return
        self.is_connected = is_connected
        state = wire.CONNECTED if is_connected else wire.DISCONNECTED
        for market in self.books.markets():
            self.publisher.send(wire.Status(market.instrument.number, state))

    # What bots ask.

    def _on_bell(self) -> None:
        # A ring that is cleared after the look belongs to a request that the look after the arming finds.
        self.drain()
        self.bell.clear()
        if not self._is_spinning:
            self._table.arm()
            self.drain()

    def _spin(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_spinning:
            self._table.arm()
            self.drain()
            return
        try:
            if self._table.next_ready() >= 0:
                self.drain()
            elif self._rehearse is not None:
                now_ns = monotonic_ns()
                if now_ns >= self._rehearse_ns and self._order and self.is_connected:
                    self._rehearse_ns = now_ns + EVERY_NS
                    self._rehearse()
        finally:
            # Whatever failed: nobody else looks at the queues.
            loop.call_soon(self._spin, loop)

    def drain(self) -> None:
        """Take what bots ask, up to `BURST` of each; what is left is taken in the loop's next round."""
        index = self._table.next_ready()
        while index >= 0:
            bot = self._order[index]
            if not bot.is_lost and not self._take(bot, BURST) and not self._is_drain_due:
                # One at a time, however many bots want it: else bots that write without end would double them each
                # round, and nothing else would have its turn.
                self._is_drain_due = True
                asyncio.get_running_loop().call_soon(self._drain_on)
            index = self._table.next_ready(index + 1)

    def _drain_on(self) -> None:
        self._is_drain_due = False
        self.drain()

    def _take(self, bot: AttachedBot, most: int) -> bool:
        """Take a bot's requests, `most` of them; whether those were all."""
        assert self._orders is not None
        taken = 0
        try:
            while taken < most:
                received = bot.reader.receive()
                if received is None:
                    return True
                taken += 1
                self._on_request(bot, *received)
        except ProtocolError as error:
            self._lose(bot, f"it wrote nonsense into its request queue: {error.what}")
            return True
        except HftdError as error:
            _log.error("a request failed", bot=bot.name, error=str(error))
        return False

    def _on_request(self, bot: AttachedBot, stamp: int, message: wire.Request) -> None:
        assert self._orders is not None
        bot.requests += 1
        if type(message) is wire.Resync:
            bot.resyncs += 1
            now_ns = running_ns()
            self._greet(bot, self._orders.told(bot.name, now_ns), now_ns)
            return
        if message.instrument not in bot.numbers:  # pyright: ignore[reportAttributeAccessIssue]
            raise ProtocolError("a request names an instrument that the bot did not ask for")
        now_ns = boot_ns()
        # When it was written, since boot; a bot that does not say it is taken by the clock that may be set.
        waited_ns = now_ns - stamp if 0 < stamp <= now_ns else wall_ns() - message.local_ts  # pyright: ignore[reportAttributeAccessIssue]
        self._orders.request(bot.name, message, running_ns(), is_late=waited_ns > LATE_NS)  # pyright: ignore[reportArgumentType]
