"""What a replay plays, and for whom: the engine, the rings, the bots and their lanes.

All that Python and the compiled loop share is set up and taken down here, under one lock.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd import wire
from hftd.channel.endpoint import Doorbells, QueueWriter
from hftd.channel.layout import (
    CLOCK_PARTIES,
    CLOCK_STAMP,
    LINK_MARKET_CURSOR,
    MARKET_TAIL,
    MAX_BOTS,
    MAX_ROWS,
    MODE_SIMULATED,
    PROTOCOL_VERSION,
    REQUEST_BYTES,
    RESPONSE_BYTES,
)
from hftd.channel.memory import BotPage, ClockPage, Link, MarketRing
from hftd.compiled.arena import Arena
from hftd.control.asking import Reply
from hftd.control.server import Grant
from hftd.errors import DataError, HftdError, RefusedError, WrongBotError
from hftd.runs.recipe import NO_TEXT, Market, unknown_market
from sim.engine.build import Engine
from sim.engine.lives import Lives
from sim.replay import kernel, layout
from sim.replay.books import FollowedBook
from sim.replay.lanes import drop_bot
from sim.run import RunAsset, check_instrument

_MARKET_MAX_BYTES = 32 << 10
"""Of what is told of the market: a Welcome is one packet of 64 KiB."""
SPIN_NS = 50_000
"""How long the loop spins for a bot before it sleeps, where each party has a processor."""


@dataclass
class BotRun:
    """A bot of the run, there or gone."""

    name: str
    number: int
    inode: int
    instruments: set[int] = field(default_factory=set)
    pages: dict[str, BotPage] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    doorbell_fds: dict[str, int] = field(default_factory=dict)
    orders: int = 0
    fills: int = 0
    left: str = ""


class Stage:
    """The run's state.

    Args:
        assets: What is played, in the order of the instrument numbers.
        channels: The channels' names.
        clock_id: A number that no other daemon has.
        pid: This process.
        speed: How many times as fast as it was; 0 for lockstep.
        life_rows: Keep what happens to each order, so many rows of it for each asset of a bot; 0 to keep nothing.
    """

    def __init__(
        self,
        assets: list[RunAsset],
        channels: list[str],
        clock_id: int,
        pid: int,
        speed: float,
        life_rows: int = 0,
    ) -> None:
        self.assets = assets
        self.channels = channels
        self.on_change: Callable[[], None] = lambda: None
        self.market: Market | None = None
        self.all_bots: list[BotRun] = []
        self.started_ns = self.finished_ns = 0
        self._lock = threading.Lock()
        self._there: dict[int, BotRun] = {}
        self.pid = pid
        self._clock_id = clock_id
        self._arena = Arena()
        models = [asset.model for asset in assets]
        self.engine = Engine(models, MAX_BOTS, publishes_rows=True)
        for asset_no, feed in enumerate(self.engine.feeds):
            feed.on_file_over = partial(self._over, asset_no, is_file=True)
            feed.on_block_over = partial(self._over, asset_no, is_file=False)
        self.lives = Lives(self.engine, life_rows) if life_rows else None
        self.clock = ClockPage.make(clock_id, MODE_SIMULATED)
        self.rings = [MarketRing.make(lossless=True) for _ in channels]
        self.doorbells = Doorbells()
        self._own_doorbell_fd = self.doorbells.make()
        self._books: dict[int, FollowedBook] = {}
        self._bots = self._arena.records(layout.bot_dtype, MAX_BOTS)
        self._play = self._arena.records(layout.play_dtype, 1)
        self._fill(speed)

    def _words(self, count: int) -> Any:
        return self._arena.records(np.dtype("i8"), count)

    def _fill(self, speed: float) -> None:
        rings = self._words(len(self.channels))
        rings[:] = [ring.address for ring in self.rings]
        asset_channels = self._words(len(self.assets))
        asset_channels[:] = [self.channels.index(asset.channel) for asset in self.assets]
        for bot in self._bots:
            for name in ("links", "requests", "responses"):
                bot[name] = self._words(len(self.channels)).ctypes.data
            bot["instruments"] = self._words(len(self.assets)).ctypes.data
        play = self._play[0]
        play["engine"] = self.engine.address
        play["bots"] = self._bots.ctypes.data
        play["num_channels"] = len(self.channels)
        play["rings"] = rings.ctypes.data
        play["slowest"] = self._words(len(self.channels)).ctypes.data
        play["asset_channels"] = asset_channels.ctypes.data
        play["awaited"] = self._words(len(self.assets)).ctypes.data
        play["clock"] = self.clock.address
        play["doorbell_fd"] = self.doorbells.fd
        play["speed"] = speed
        self._set_parties()

    # The run.

    def start(self) -> None:
        """Open the first files, and set the clock to the earliest event.

        Raises:
            DataError: They can't be read, or hold nothing.
        """
        # Compiled before a bot waits for it.
        for needed in (kernel.play, kernel.follow_book, drop_bot):
            _ = needed.address
        code = kernel.start.call(self._play.ctypes.data)
        self.check()
        if code != 0:
            raise DataError(
                "there is no event in the data", hint="are the files those of the days asked for?"
            )

    def play(self, slice_ns: int) -> int:
        """Let the loop run for a slice; called in the other thread."""
        with self._lock:
            if self._play[0]["speed"] > 0.0 and not self._play[0]["wall_start_ns"]:
                from hftd.clock import monotonic_ns

                self._play[0]["wall_start_ns"] = monotonic_ns()
            code = int(kernel.play.call(self._play.ctypes.data, slice_ns))
            for bot in self._there.values():
                bot.orders = int(self._bots[bot.number]["orders"])
                bot.fills = int(self._bots[bot.number]["fills"])
            return code

    def _interrupt(self) -> None:
        """Make the loop return; the lock can be taken then."""
        self._play[0]["attention"] = 1
        os.eventfd_write(self._own_doorbell_fd, 1)

    def check(self) -> None:
        """Raise what is wrong with the data, if something is."""
        self.engine.check()

    @property
    def warnings(self) -> list[str]:
        """What is odd in the data."""
        return [*self.engine.warnings, *(self.lives.warnings() if self.lives else [])]

    @property
    def rows(self) -> int:
        """Rows that were published."""
        return int(self._play[0]["rows"])

    def rows_total(self) -> int:
        """All rows of the run, as far as its files were opened; the rest is guessed to be like them."""
        return self.engine.rows_total()

    @property
    def now_ns(self) -> int:
        """The clock."""
        return int(self._play[0]["now_ns"])

    @property
    def sim_seconds(self) -> float:
        """The time that has passed on the clock."""
        return int(self._play[0]["now_ns"] - self._play[0]["sim_start_ns"]) / 1e9

    @property
    def is_over(self) -> bool:
        """Whether all rows were published."""
        return all(stream["ended"] for stream in self.engine.locals)

    @property
    def broken_bot(self) -> str:
        """The bot that wrote nonsense."""
        bot = self._there.get(int(self._play[0]["broken"]))
        return bot.name if bot else ""

    @property
    def held_up_by(self) -> str:
        """The bot that the run waits for, empty if none."""
        bot = self._there.get(int(self._play[0]["held_up_by"]) - 1)
        return bot.name if bot else ""

    def _book(self, asset_no: int) -> FollowedBook:
        if asset_no not in self._books:
            self._books[asset_no] = FollowedBook(self.engine, asset_no, self.assets[asset_no].model)
        return self._books[asset_no]

    def _over(self, asset_no: int, *, is_file: bool) -> None:
        """Rows that the book was not made from yet are about to be let go."""
        book = self._book(asset_no)
        book.finish_file() if is_file else book.finish_block()

    # Bots.

    def bots(self) -> list[BotRun]:
        """The bots that are there."""
        return list(self._there.values())

    def handler(self, channel: str) -> "Door":
        """What a channel's server asks about bots."""
        return Door(self, channel)

    def attach(self, channel: str, hello: wire.Hello, page: BotPage) -> tuple[BotRun, Grant]:
        """Let a bot into a channel."""
        self._interrupt()
        with self._lock:
            self._play[0]["attention"] = 0
            asset_nos = self._instruments(channel, hello)
            books = {asset_no: self._book(asset_no).rows(self.now_ns) for asset_no in asset_nos}
            # Whatever may fail comes before the bot is in the run: one that is refused leaves nothing in it.
            market = self._told_market()
            response_bytes = RESPONSE_BYTES
            while response_bytes < 3 * sum(rows.nbytes for rows in books.values()):
                response_bytes *= 2
            with contextlib.ExitStack() as undo:
                link = Link.make(REQUEST_BYTES, response_bytes)
                undo.callback(link.close)
                doorbell_fd = self.doorbells.make()
                undo.callback(self.doorbells.free, doorbell_fd)
                self._greet(link, channel, books)
                bot = self._bot_of(hello, page)
                undo.pop_all()
            bot.links[channel], bot.pages[channel] = link, page
            bot.doorbell_fds[channel] = doorbell_fd
            self._open_link(bot, channel, link, asset_nos)
            ring = self.rings[self.channels.index(channel)]
            welcome = wire.Welcome(
                version=PROTOCOL_VERSION,
                daemon="replay",
                pid=self.pid,
                clock_id=self._clock_id,
                instruments=tuple(asset_nos),
                market_bytes=ring.capacity,
                request_bytes=REQUEST_BYTES,
                response_bytes=response_bytes,
                contracts=tuple(self._contract(asset_no) for asset_no in asset_nos),
                by_order=tuple(self.assets[asset_no].model.by_order for asset_no in asset_nos),
                market=market,
            )
        self.on_change()
        return bot, Grant(welcome, [self.clock.fd, ring.fd, link.fd, doorbell_fd])

    def _told_market(self) -> str:
        """What is played, for the notes of a bot that comes now.

        Its run can be made again if it sees all of it, in lockstep.
        """
        if self.market is None:
            return ""
        why_not = self.market.why_not
        if self.rows:
            why_not = why_not or "the bot joined a replay that was under way"
        try:
            text = msgspec.json.encode(msgspec.structs.replace(self.market, why_not=why_not))
        except UnicodeEncodeError:
            text = msgspec.json.encode(unknown_market(NO_TEXT))
        if len(text) > _MARKET_MAX_BYTES:
            # Its file says so rather than nothing.
            text = msgspec.json.encode(unknown_market("the replay's configuration is too long to be noted"))
        return text.decode()

    def _contract(self, asset_no: int) -> tuple[float, bool]:
        contract = self.assets[asset_no].model.contract
        return contract.size, contract.inverse

    def _instruments(self, channel: str, hello: wire.Hello) -> list[int]:
        here = {asset.symbol: number for number, asset in enumerate(self.assets) if asset.channel == channel}
        found: list[int] = []
        for symbol, tick_size, lot_size in hello.instruments:
            if symbol not in here:
                raise WrongBotError(
                    f"the channel {channel} has no instrument {symbol!r}", hint=f"it has {', '.join(here)}"
                )
            try:
                check_instrument(self.assets[here[symbol]], tick_size, lot_size)
            except HftdError as error:
                raise WrongBotError(str(error.what), where=error.where, hint=error.hint) from None
            if here[symbol] in found:
                raise WrongBotError(f"the bot asks for {symbol!r} twice", hint="name it once")
            found.append(here[symbol])
        return found

    def _bot_of(self, hello: wire.Hello, page: BotPage) -> BotRun:
        """The bot that asks: one that is in another channel already, or a new one."""
        inode = os.fstat(page.fd).st_ino
        for bot in self._there.values():
            if bot.name == hello.bot:
                if bot.inode != inode:
                    raise WrongBotError(
                        f"another bot named {hello.bot!r} is in this run", hint="give each bot its own name"
                    )
                return bot
        number = next((n for n in range(MAX_BOTS) if n not in self._there), None)
        if number is None:
            raise RefusedError(f"the run has {MAX_BOTS} bots already")
        bot = BotRun(hello.bot, number, inode)
        for asset_no in range(len(self.assets)):
            lane = self.engine.lanes[asset_no][number]
            if not lane["to_exch"]["entries"]:
                self.engine.fill_lane(lane, asset_no)
            lane["bot"] = number
            lane["pulls_quotes"] = int(hello.pull_quotes)
        self._there[number] = bot
        if self.lives is not None:
            self.lives.open_lanes(number, len(self.all_bots))
        self.all_bots.append(bot)
        row = self._bots[number]
        for name in ("answered", "waiting", "fed", "responded", "matched", "over", "orders", "fills"):
            row[name] = 0
        row["now_ns"], row["sent_ns"] = self.now_ns, 0
        row["page"] = page.address
        row["active"] = 1
        self._set_parties()
        return bot

    def _set_parties(self) -> None:
        count = max(self._there, default=-1) + 1
        self._play[0]["num_bots"] = count
        for exchange in self.engine.exchanges:
            exchange["num_lanes"] = count
        parties = len(self._there) + 1
        self.clock.set_word(CLOCK_PARTIES, parties)
        self._play[0]["spin_ns"] = SPIN_NS if parties <= len(os.sched_getaffinity(0)) else 0

    def _open_link(self, bot: BotRun, channel: str, link: Link, asset_nos: list[int]) -> None:
        row = self._bots[bot.number]
        number = self.channels.index(channel)
        tail = self.rings[number].word(MARKET_TAIL)
        link.set_word(LINK_MARKET_CURSOR, tail)
        for name, value in (
            ("links", link.address),
            ("requests", link.requests.ctypes.data),
            ("responses", link.responses.ctypes.data),
        ):
            self._set(int(row[name]), number, value)
        bot.instruments.update(asset_nos)
        for asset_no in asset_nos:
            self._set(int(row["instruments"]), asset_no, 1)

    def _set(self, address: int, number: int, value: int) -> None:
        from hftd.channel.memory import word_at

        word_at(address + 8 * number)[0] = value

    def _greet(self, link: Link, channel: str, books: dict[int, NDArray[Any]]) -> None:
        """Put the books of the bot's instruments into its response ring, and where they belong in the market's."""
        writer = QueueWriter(link.responses)
        for asset_no, rows in books.items():
            for start in range(0, len(rows), MAX_ROWS):
                self._send(writer, wire.Feed(asset_no, rows[start : start + MAX_ROWS].tobytes()))
            if self._book(asset_no).is_lost:
                self._send(writer, wire.Status(asset_no, wire.BOOK_INVALID))
            self._send(
                writer,
                wire.State(
                    instrument=asset_no,
                    position=0.0,
                    balance=0.0,
                    fee=0.0,
                    num_trades=0,
                    trading_volume=0.0,
                    trading_value=0.0,
                ),
            )
        self._send(writer, wire.Splice(self.rings[self.channels.index(channel)].word(MARKET_TAIL)))

    def _send(self, writer: QueueWriter, message: wire.Response) -> None:
        # The link was made large enough for the books.
        assert writer.send(message, self.clock.word(CLOCK_STAMP))

    def detach(self, bot: BotRun, reason: str) -> None:
        """A bot left one of its channels: it is out of the run, its orders out of the market."""
        if self._there.get(bot.number) is not bot:
            return
        self._interrupt()
        with self._lock:
            self._play[0]["attention"] = 0
            row = self._bots[bot.number]
            bot.orders, bot.fills = int(row["orders"]), int(row["fills"])
            bot.left = "end of data" if row["over"] else reason
            row["active"] = 0
            for channel_no in range(len(self.channels)):
                for words in ("links", "requests", "responses"):
                    self._set(int(row[words]), channel_no, 0)
            for asset_no in range(len(self.assets)):
                self._set(int(row["instruments"]), asset_no, 0)
            drop_bot.call(self.engine.address, bot.number)
            for asset_no in range(len(self.assets)):
                self.engine.lanes[asset_no][bot.number]["state"] = np.zeros(
                    (), self.engine.lanes.dtype["state"]
                )
            del self._there[bot.number]
            self._set_parties()
            for link in bot.links.values():
                link.close()
            for fd in bot.doorbell_fds.values():
                self.doorbells.free(fd)
        self.on_change()

    def close(self) -> None:
        """Free the memory. The loop must not be running."""
        self.engine.stop()
        self.clock.close()
        for ring in self.rings:
            ring.close()
        self.doorbells.close()


class Door:
    """A channel's handler."""

    def __init__(self, stage: Stage, channel: str) -> None:
        self._stage = stage
        self._channel = channel
        self._inside: dict[str, BotRun] = {}

    def attach(self, hello: wire.Hello, bot_page: BotPage) -> Grant:
        """A bot asks to be let in."""
        self._inside[hello.bot], grant = self._stage.attach(self._channel, hello, bot_page)
        return grant

    def detach(self, bot: str, reason: str) -> None:
        """A bot is gone."""
        self._stage.detach(self._inside.pop(bot), reason)

    def answer(self, ask: wire.Ask) -> Reply:
        """A tool asks."""
        from sim.replay import report

        if ask.what == wire.ASK_STATUS:
            return Reply(report.status_of(self._stage, self._channel))
        if ask.what == wire.ASK_TAP:
            ring = self._stage.rings[self._stage.channels.index(self._channel)]
            return Reply(report.tap_of(self._stage, self._channel), fds=[self._stage.clock.fd, ring.fd])
        raise RefusedError(
            f"a replay can't be asked to {ask.what}", hint="end it, or its bots; it trades nowhere"
        )
