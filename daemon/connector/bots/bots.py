"""The channel's bot side: who is attached, what they ask, and what they are told.

Limits: a bot whose response queue is full has stopped reading and loses its lease; of one bot `BURST` requests, or one
for its books, are taken before the next one's turn, and for `ROUND_NS` before the loop's other work. What a bot writes
beyond that waits in its own ring. A bot whose strategy makes no step for the `watchdog_s` that it asked for is taken
for hung. Whatever goes wrong with what a bot wrote ends that bot's lease, and nothing else.
"""

import asyncio
import contextlib
import difflib
import math
import os
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from daemon.connector.bots.queues import BURST, AttachedBot, LinkTable, Orders, Turns, answer
from daemon.connector.bots.warm_up import EVERY_NS
from daemon.connector.market.books import Books
from daemon.messages import Instrument
from daemon.orders.limits import BotLimits, narrowed
from daemon.orders.manager import Update
from daemon.warnings import Warn
from hftd import wire
from hftd.channel.endpoint import Doorbells, QueueReader
from hftd.channel.layout import (
    BOT_COMPILING,
    BOT_OVER,
    BOT_STEPS,
    CLOCK_ALIVE_NS,
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
from hftd.cleanup import run_all
from hftd.clock import boot_ns, monotonic_ns, running_ns, wall_ns
from hftd.control import status
from hftd.control.asking import Reply
from hftd.control.server import Grant
from hftd.errors import ProtocolError, RefusedError, WrongBotError

LOOK_S: Final = 0.01
"""How often the queues are looked at, whether a bot rang or not."""
WATCH_NS: Final = 250_000_000
"""How often the bots' steps are."""
COMPILING_NS: Final = 600_000_000_000
"""For how long a bot may compile without a step, if that is longer than its `watchdog_s`."""
TAKEN_MAX: Final = 64
"""Bots that lost their leases, or left, and did not come back, which `hftd status` shows; the oldest is forgotten."""
ORDERLY: Final = frozenset({"the bot ends", "end of data", "stopped", "strategy returned"})
"""What a bot says when its lease ends in order (`hftd.bot.runner.Run.ended`, and `Bot.detach`)."""
LATE_NS: Final = 5_000_000_000
"""A new order or change that waited so long is refused, as the exchange refuses what is older than its `recvWindow`:
this process stood still, and the market that the strategy saw is gone."""
_SAME_STEP: Final = 1e-9

__all__ = ["BURST", "COMPILING_NS", "LATE_NS", "AttachedBot", "Bots", "Orders"]

_log = structlog.get_logger("hftd.connector")


class Bots:
    """A live channel: its memory, its bots, and the handler of its `ChannelServer`.

    Args:
        venue: The daemon's name in the Welcome.
        clock_id: A number that no other daemon has.
        limits: The limits of a bot, by its name.
        subscribe: Follow an instrument's market; it may raise RefusedError.
        on_answer: Answers a tool's question.

    Attributes:
        looked_ns: When the bots' queues were last looked at (monotonic).
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
        self.bell = Doorbells()
        self.publisher = MarketPublisher(self.ring, self.clock)
        self.books = Books(self.publisher, is_fused, on_best)
        self.is_connected = False
        self.is_halted = False
        self.dropped = 0
        self.is_ending = False
        self._limits = limits
        self._subscribe = subscribe
        self._on_answer = on_answer
        self._instruments: dict[str, Instrument] = {}
        self._bots: dict[str, AttachedBot] = {}
        self._order: list[AttachedBot] = []
        self._table = LinkTable()
        self._turns = Turns(self._table, self._order, self._on_request, self._lose)
        self._answer = answer.direct
        self._encode = wire.encoder.encode
        self._orders: Orders | None = None
        self._drop: Callable[[str, str], None] = lambda _bot, _reason: None
        self._is_spinning = False
        self._warm_up: Callable[[], None] | None = None
        self._warmed_ns = 0
        self._taken: dict[str, Warn] = {}
        self._departed: dict[str, tuple[str, int]] = {}
        self._look_timer: asyncio.TimerHandle | None = None
        self.looked_ns = self._watched_ns = 0

    # Setting up.

    def start(
        self,
        orders: Orders,
        drop: Callable[[str, str], None],
        *,
        spin: bool,
        warm_up: Callable[[], None] | None = None,
    ) -> None:
        """Begin to listen to bots' requests.

        Args:
            orders: Who handles them.
            drop: Takes a bot's lease: `ChannelServer.drop`.
            spin: Look at the queues all the time.
            warm_up: Called now and then while there is nothing to do, if it spins.
        """
        self._orders = orders
        self._drop = drop
        loop = asyncio.get_running_loop()
        self._is_spinning = spin
        self._warm_up = warm_up
        if spin:
            loop.call_soon(self._spin, loop)
        loop.add_reader(self.bell.fd, self._on_bell)
        self.looked_ns = monotonic_ns()
        self._look(loop)

    def stop(self) -> None:
        """Listen no more."""
        self._is_spinning = False
        if self._look_timer is not None:
            self._look_timer.cancel()
        asyncio.get_running_loop().remove_reader(self.bell.fd)

    def close(self) -> None:
        """Free the memory."""
        errors = run_all(
            *(bot.link.close for bot in self._order), self.bell.close, self.ring.close, self.clock.close
        )
        for error in errors:
            _log.error("channel_memory_not_freed", exc_info=error)

    def set_instruments(self, instruments: Sequence[Instrument]) -> None:
        """What the exchange has."""
        self._instruments = {one.symbol: one for one in instruments}

    def instrument(self, symbol: str) -> Instrument:
        """An instrument by its symbol, which may be in lower case.

        Raises:
            WrongBotError: The exchange has none of that name.
        """
        found = self._instruments.get(symbol) or self._instruments.get(symbol.upper())
        if found is not None:
            return found
        near = difflib.get_close_matches(symbol.upper(), self._instruments, n=3, cutoff=0.6)
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        elif not self._instruments:
            hint = "it lists none that is traded just now"
        else:
            hint = f"it has {len(self._instruments)}, such as {', '.join(list(self._instruments)[:3])}"
        raise WrongBotError(f"the exchange has no instrument {symbol!r}", hint=hint)

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
    def has_unread(self) -> bool:
        """Whether requests wait to be taken."""
        return self._table.next_ready() >= 0

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
            raise WrongBotError("the bot asks for an instrument twice", hint="name it once")
        limits = narrowed(self._limits(hello.bot), hello.limits, hello.pull_quotes)
        for one in instruments:
            self.follow(one)
        now_ns = running_ns()
        numbers = tuple(one.number for one in instruments)
        size = 3 * sum(self._book_bytes(number, now_ns) for number in numbers)
        response_bytes = max(RESPONSE_BYTES, 1 << (size - 1).bit_length())
        with contextlib.ExitStack() as undo:
            # First: without memory or descriptors for it there is to be no lease in order management either.
            link = Link.make(REQUEST_BYTES, response_bytes)
            undo.callback(link.close)
            doorbell_fd = self.bell.make()
            undo.callback(self.bell.free, doorbell_fd)
            updates = self._orders.attach(hello.bot, numbers, limits, hello.on_end, now_ns)
            undo.callback(self._orders.detach, hello.bot, now_ns)
            link.set_word(LINK_MARKET_CURSOR, self.ring.word(MARKET_TAIL))
            reader: QueueReader[wire.Request] = QueueReader(link.requests, wire.request_decoder)
            bot = AttachedBot(hello, bot_page, link, doorbell_fd, frozenset(numbers), reader, now_ns)
            self._bots[bot.name] = bot
            self._order.append(bot)
            undo.callback(self._forget, bot)
            self._set_table()
            self._greet(bot, updates, now_ns)
            self.publisher.add_bot(bot_page)
            if not self._is_spinning:
                self._table.arm()
            self._taken.pop(bot.name, None)
            self._departed.pop(bot.name, None)
            undo.pop_all()
        welcome = wire.Welcome(
            version=PROTOCOL_VERSION,
            daemon=self.venue,
            pid=os.getpid(),
            clock_id=self.clock_id,
            instruments=numbers,
            market_bytes=self.ring.capacity,
            request_bytes=REQUEST_BYTES,
            response_bytes=response_bytes,
            contracts=tuple((one.contract_size, one.inverse) for one in instruments),
        )
        return Grant(welcome, [self.clock.fd, self.ring.fd, link.fd, doorbell_fd])

    def detach(self, bot: str, reason: str) -> None:
        """A bot is gone: its requests are taken, then its end policy applied, its memory freed."""
        assert self._orders is not None
        attached = self._bots[bot]
        was_lost, attached.is_lost = attached.is_lost, True
        with contextlib.ExitStack() as steps:
            # The last one first, and each of them whatever becomes of those before it.
            steps.callback(self._note_departed, bot, reason)
            steps.callback(_log.info, "bot_lease_ended", bot=bot, reason=reason, on_end=attached.hello.on_end)
            steps.callback(attached.link.close)
            steps.callback(self.bell.free, attached.doorbell_fd)
            steps.callback(self.publisher.remove_bot, attached.page)
            steps.callback(self._forget, attached)
            steps.callback(self._orders.detach, bot, running_ns())
            if not was_lost:
                # It may have died right after a submit; order management is to know of it. What it goes on writing
                # isn't waited for.
                steps.callback(self._turns.take_last, attached)

    def _note_departed(self, bot: str, reason: str) -> None:
        self._departed.pop(bot, None)
        self._departed[bot] = reason, monotonic_ns()
        if len(self._departed) > TAKEN_MAX:
            del self._departed[next(iter(self._departed))]

    def _forget(self, bot: AttachedBot) -> None:
        """Nothing is read from it or told to it any more."""
        if self._bots.get(bot.name) is bot:
            del self._bots[bot.name]
            self._order.remove(bot)
            self._set_table()

    def warnings(self) -> list[Warn]:
        """Bots that lost their leases and have not come back."""
        return list(self._taken.values())

    def departed(self) -> list[status.Departed]:
        """The bots that were attached and are not any more, of the last ones."""
        now_ns = monotonic_ns()
        return [
            status.Departed(bot=bot, reason=reason, is_orderly=reason in ORDERLY, age_ns=now_ns - at_ns)
            for bot, (reason, at_ns) in self._departed.items()
        ]

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
                raise WrongBotError(
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
            if self._way != wire.CONNECTED:
                messages.append(wire.Status(number, self._way))
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

    def _lose(self, bot: AttachedBot, reason: str, key: str = "bot_lost_lease") -> None:
        """Take a lease, as soon as whoever calls is done."""
        bot.is_lost = True
        self.dropped += 1
        asyncio.get_running_loop().call_soon(self._drop_if_there, bot, reason)
        text = (
            f"the bot {bot.name} lost its lease, and its end policy ({bot.hello.on_end}) was applied: {reason}; "
            "see what is wrong with it, and start it again"
        )
        self._taken.pop(bot.name, None)
        self._taken[bot.name] = Warn(key, text, bot.name)
        if len(self._taken) > TAKEN_MAX:
            del self._taken[next(iter(self._taken))]
        _log.error("bot_lease_lost", bot=bot.name, reason=reason)

    def _drop_if_there(self, bot: AttachedBot, reason: str) -> None:
        if self._bots.get(bot.name) is bot:
            self._drop(bot.name, reason)

    @property
    def _way(self) -> int:
        """What the way of orders is worth."""
        if not self.is_connected:
            return wire.DISCONNECTED
        return wire.HALTED if self.is_halted else wire.CONNECTED

    def set_connected(self, is_connected: bool) -> None:
        """Whether orders can be sent; all bots are told."""
        before, self.is_connected = self._way, is_connected
        self._tell_way(before)

    def set_halted(self, is_halted: bool) -> None:
        """Whether no new orders are taken; all bots are told."""
        before, self.is_halted = self._way, is_halted
        self._tell_way(before)

    def _tell_way(self, before: int) -> None:
        if self._way != before:
            for market in self.books.markets():
                self.publisher.send(wire.Status(market.instrument.number, self._way))

    # What bots ask.

    def _on_bell(self) -> None:
        # A ring that is cleared after the look belongs to a request that the look after the arming finds.
        self._turns.drain()
        self.bell.clear()
        if not self._is_spinning:
            self._table.arm()
            self._turns.drain()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Find what no bot rang for, and bots that hang."""
        self._look_timer = loop.call_later(LOOK_S, self._look, loop)
        self.clock.set_word(CLOCK_ALIVE_NS, boot_ns())
        if self._order and not self._turns.is_due:
            self._turns.drain()
        now_ns = monotonic_ns()
        # A process that stood still has watched nobody meanwhile.
        self._watched_ns += min(now_ns - self.looked_ns, WATCH_NS)
        self.looked_ns = now_ns
        if self._watched_ns >= WATCH_NS:
            self.watch(self._watched_ns)
            self._watched_ns = 0

    def watch(self, passed_ns: int) -> None:
        """Take the leases of bots whose strategies make no steps.

        Args:
            passed_ns: The time since the last look, as far as this process was there to look.
        """
        for bot in self._order:
            limit_ns = int(bot.hello.watchdog_s * 1e9)
            if not limit_ns or bot.is_lost:
                continue
            steps, compiling = progress = bot.page.word(BOT_STEPS), bot.page.word(BOT_COMPILING)
            if progress != bot.progress or not steps:
                bot.progress, bot.quiet_ns = progress, 0
                continue
            bot.quiet_ns += passed_ns
            if bot.quiet_ns > (max(limit_ns, COMPILING_NS) if compiling & 1 else limit_ns):
                bot.page.set_word(BOT_OVER, 1)
                waited = f"{bot.hello.watchdog_s:g} s (watchdog_s of [bot])"
                self._lose(bot, f"it hangs: its strategy made no step for {waited}", "bot_hangs")

    def _spin(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_spinning:
            self._table.arm()
            self._turns.drain()
            return
        try:
            if self._table.next_ready() >= 0:
                self._turns.drain()
            elif self._warm_up is not None:
                now_ns = monotonic_ns()
                if now_ns >= self._warmed_ns and self._order and self.is_connected:
                    self._warmed_ns = now_ns + EVERY_NS
                    self._warm_up()
        finally:
            # Whatever failed: nobody else looks at the queues.
            loop.call_soon(self._spin, loop)

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
