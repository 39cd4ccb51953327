"""A daemon on the system's clock for the tests of live bots: a market that it makes up, orders that it keeps in a file.

`python -m tests.hftd.bot.fake NAME FOLDER` serves a channel with two instruments. A limit order rests, a market order
fills at once. What it is told by lines on stdin (see `Fake.told`) it does, and says "done". Its orders and account
stand in FOLDER, so its successor, started after a SIGKILL, knows them.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hftd import wire
from hftd.channel.endpoint import Doorbells, QueueReader, QueueWriter, ring_bell
from hftd.channel.layout import BOT_OVER, CLOCK_ALIVE_NS, MARKET_TAIL, MODE_SYSTEM, PROTOCOL_VERSION
from hftd.channel.memory import BotPage, ClockPage, Link, MarketRing
from hftd.channel.publisher import MarketPublisher
from hftd.clock import boot_ns, wall_ns
from hftd.constants import (
    BUY_EVENT,
    CANCELED,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    EXPIRED,
    FILLED,
    GTX,
    LOCAL_EVENT,
    MARKET,
    NEW,
    NONE,
    PARTIALLY_FILLED,
    REASON_NEVER_SENT,
    REASON_POST_ONLY,
    REASON_UNKNOWN_ORDER,
    REJECTED,
    SELL_EVENT,
    TRADE_EVENT,
)
from hftd.control import status
from hftd.control.asking import Reply
from hftd.control.server import ChannelServer, Grant
from hftd.types import event_dtype

SYMBOLS = ("BTCUSDT", "ETHUSDT")
TICK, LOT = 0.1, 0.001
BID, ASK = 1000, 1001
REFUSAL = "400 -5022 Due to the order could not be executed as maker, it will be rejected."
MARKET_BYTES = 1 << 16
_SEEN = EXCH_EVENT | LOCAL_EVENT


class Order(msgspec.Struct):
    instrument: int
    order_id: int
    side: int
    order_type: int
    time_in_force: int
    price_tick: int
    qty: float
    leaves_qty: float
    local_ts: int
    status: int = NEW
    exec_qty: float = 0.0
    exec_price_tick: int = 0
    maker: int = 0
    reason: int = 0


class Account(msgspec.Struct):
    position: float = 0.0
    balance: float = 0.0
    fee: float = 0.0
    num_trades: int = 0
    trading_volume: float = 0.0
    trading_value: float = 0.0


class Kept(msgspec.Struct):
    orders: dict[int, Order] = {}
    accounts: list[Account] = msgspec.field(default_factory=lambda: [Account() for _ in SYMBOLS])


class Fake:
    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.clock = ClockPage.make(os.getpid(), MODE_SYSTEM)
        self.ring = MarketRing.make(MARKET_BYTES, lossless=False)
        self.bell = Doorbells()
        self.doorbell_fds: dict[str, int] = {}
        self.publisher = MarketPublisher(self.ring, self.clock)
        self.links: dict[str, Link] = {}
        self.pages: dict[str, BotPage] = {}
        self.hellos: dict[str, wire.Hello] = {}
        self.states = {number: [wire.BOOK_VALID, wire.CONNECTED] for number in range(len(SYMBOLS))}
        self.is_deaf = False
        self.inquiries: list[int] = []
        path = folder / "kept.json"
        self.kept = msgspec.json.decode(path.read_bytes(), type=Kept) if path.exists() else Kept()
        # Compiled before anybody waits.
        self.publisher.publish(0, np.zeros(0, event_dtype))

    # The server's handler.

    def attach(self, hello: wire.Hello, bot_page: BotPage) -> Grant:
        link = self.links[hello.bot] = Link.make()
        self.pages[hello.bot], self.hellos[hello.bot] = bot_page, hello
        numbers = tuple(SYMBOLS.index(symbol) for symbol, _, _ in hello.instruments)
        self.greet(hello.bot)
        self.publisher.add_bot(bot_page)
        self.bell.arm(link)
        welcome = wire.Welcome(
            version=PROTOCOL_VERSION,
            daemon="fake",
            pid=os.getpid(),
            clock_id=os.getpid(),
            instruments=numbers,
            market_bytes=MARKET_BYTES,
            request_bytes=link.word(16),
            response_bytes=link.word(24),
        )
        doorbell_fd = self.doorbell_fds[hello.bot] = self.bell.make()
        return Grant(welcome, [self.clock.fd, self.ring.fd, link.fd, doorbell_fd])

    def detach(self, bot: str, reason: str) -> None:
        self.publisher.remove_bot(self.pages.pop(bot))
        self.links.pop(bot).close()
        self.bell.free(self.doorbell_fds.pop(bot))
        print(json.dumps({"detached": bot, "reason": reason}), flush=True)

    def answer(self, ask: wire.Ask) -> Reply:
        if ask.what == wire.ASK_TAP:
            known = [
                status.TappedInstrument(
                    instrument=n, symbol=symbol, tick_size=TICK, lot_size=LOT, book=self.book().tobytes()
                )
                for n, symbol in enumerate(SYMBOLS)
            ]
            tail = self.ring.word(MARKET_TAIL)
            body = status.Tap(daemon="fake", pid=os.getpid(), instruments=known, position=tail)
            return Reply(body, fds=[self.clock.fd, self.ring.fd])
        if ask.what == wire.ASK_STATUS:
            return Reply(self.status())
        return Reply(status.Halted(is_halted=ask.what == wire.ASK_HALT, cancelling=2))

    def status(self) -> status.DaemonStatus:
        bots = [
            status.Bot(name=name, pid=1, on_end=hello.on_end, pull_quotes=hello.pull_quotes)
            for name, hello in self.hellos.items()
            if name in self.pages
        ]
        return status.DaemonStatus(
            kind=status.CONNECTOR, name=self.name, pid=os.getpid(), version="1", now_ns=wall_ns(), bots=bots
        )

    # What bots are told.

    def send(self, bot: str, message: wire.Response) -> None:
        assert QueueWriter(self.links[bot].responses).send(message, 1)
        ring_bell(self.pages[bot].address)

    def book(self) -> np.ndarray:
        rows = np.zeros(5, event_dtype)
        rows["exch_ts"] = rows["local_ts"] = wall_ns()
        rows["ev"] = _SEEN | DEPTH_SNAPSHOT_EVENT
        rows["ev"][0] = _SEEN | DEPTH_CLEAR_EVENT
        rows["ev"][1:3] |= BUY_EVENT
        rows["ev"][3:] |= SELL_EVENT
        rows["px"][1:] = np.array([BID, BID - 1, ASK, ASK + 1]) * TICK
        rows["qty"][1:] = 1.0
        return rows

    def greet(self, bot: str) -> None:
        numbers = [SYMBOLS.index(symbol) for symbol, _, _ in self.hellos[bot].instruments]
        writer = QueueWriter(self.links[bot].responses)
        messages: list[wire.Response] = []
        for number in numbers:
            messages.append(wire.Feed(number, self.book().tobytes()))
            book, way = self.states[number]
            messages += [wire.Status(number, book)] if book == wire.BOOK_INVALID else []
            messages += [wire.Status(number, way)] if way != wire.CONNECTED else []
            open_orders = [o for o in self.kept.orders.values() if o.status in (NEW, PARTIALLY_FILLED)]
            messages += [self.update(o, NONE, 0) for o in open_orders if o.instrument == number]
            messages.append(
                wire.State(instrument=number, **msgspec.structs.asdict(self.kept.accounts[number]))
            )
        messages.append(wire.Splice(self.ring.word(MARKET_TAIL)))
        for message in messages:
            assert writer.send(message, 1)

    def update(self, o: Order, req: int, executed: int) -> wire.OrderUpdate:
        now_ns = wall_ns()
        told = msgspec.structs.asdict(o) | msgspec.structs.asdict(self.kept.accounts[o.instrument])
        return wire.OrderUpdate(req=req, exch_ts=now_ns, recv_ts=now_ns, executed=executed, **told)

    def refuse(self, bot: str, instrument: int, order_id: int, local_ts: int, **how: int) -> None:
        made = Order(instrument, order_id, 1, 0, 0, 0, 1.0, 0.0, local_ts, NONE)
        update = self.update(made, REJECTED, 0)
        self.send(bot, msgspec.structs.replace(update, **how))

    # Requests.

    def read(self) -> None:
        self.bell.clear()
        for _ in range(2):
            for bot, link in list(self.links.items()):
                reader = QueueReader(link.requests, wire.request_decoder)
                while (got := reader.receive()) is not None:
                    if not self.is_deaf:
                        self.on_request(bot, got[1])
                self.bell.arm(link)

    def on_request(self, bot: str, r: wire.Request) -> None:
        orders = self.kept.orders
        match r:
            case wire.Resync():
                self.greet(bot)
                ring_bell(self.pages[bot].address)
            case wire.Submit():
                o = Order(r.instrument, r.order_id, r.side, r.order_type, r.time_in_force, r.price_tick, r.qty,
                          r.qty, r.local_ts)  # fmt: skip
                takes = o.price_tick >= ASK if o.side > 0 else o.price_tick <= BID
                if o.time_in_force == GTX and takes:
                    o.status, o.reason = EXPIRED, REASON_POST_ONLY
                    self.send(
                        bot,
                        wire.Notice(
                            instrument=r.instrument,
                            kind=wire.NOTICE_REFUSED,
                            order_id=r.order_id,
                            reason=o.reason,
                            code=-5022,
                            position=0.0,
                            words=REFUSAL,
                        ),
                    )
                orders[o.order_id] = o
                self.keep()
                if o.order_type == MARKET:
                    self.fill(bot, o, o.qty, ASK if o.side > 0 else BID, 0)
                else:
                    self.send(bot, self.update(o, NONE, 0))
            case wire.Cancel() | wire.Modify():
                o = orders.get(r.order_id)
                if o is None or o.status not in (NEW, PARTIALLY_FILLED):
                    self.refuse(bot, r.instrument, r.order_id, r.local_ts, reason=REASON_UNKNOWN_ORDER)
                    return
                o.local_ts = r.local_ts
                if isinstance(r, wire.Cancel):
                    o.status = CANCELED
                else:
                    o.price_tick, o.qty, o.leaves_qty = r.price_tick, r.qty, r.qty
                self.keep()
                self.send(bot, self.update(o, NONE, 0))
            case wire.Inquire():
                self.inquiries.append(r.order_id)
                if o := orders.get(r.order_id):
                    self.send(bot, self.update(o, NONE, 0))
                else:
                    self.refuse(bot, r.instrument, r.order_id, r.local_ts, status=EXPIRED, exch_ts=0,
                                reason=REASON_NEVER_SENT)  # fmt: skip

    def fill(self, bot: str, o: Order, qty: float, price_tick: int, maker: int) -> None:
        account = self.kept.accounts[o.instrument]
        o.leaves_qty -= qty
        o.status = FILLED if o.leaves_qty < LOT / 2 else PARTIALLY_FILLED
        o.exec_qty, o.exec_price_tick, o.maker = qty, price_tick, maker
        account.position += qty * o.side
        account.balance -= qty * o.side * price_tick * TICK
        account.fee += 0.01
        account.num_trades += 1
        account.trading_volume += qty
        account.trading_value += qty * price_tick * TICK
        self.keep()
        if bot in self.links:
            self.send(bot, self.update(o, NONE, 1))

    def keep(self) -> None:
        part = self.folder / "kept.part"
        part.write_bytes(msgspec.json.encode(self.kept))
        part.replace(self.folder / "kept.json")

    # What the test wants.

    def told(self, line: str) -> None:
        """{"do": ..., ...}: trade, rows, state, fill, deaf, hear, drop, inquiries."""
        said: dict[str, Any] = json.loads(line)
        do = said.pop("do")
        answer: dict[str, Any] = {"done": do}
        if do == "rows":
            for _ in range(said.get("times", 1)):
                rows = np.zeros(said.get("count", 1), event_dtype)
                rows["ev"] = _SEEN | BUY_EVENT | (TRADE_EVENT if said.get("trade") else DEPTH_EVENT)
                rows["px"], rows["qty"] = BID * TICK, said.get("qty", 2.0)
                rows["local_ts"] = wall_ns()
                rows["exch_ts"] = rows["local_ts"] - 1_000_000
                self.publisher.publish(said.get("instrument", 0), rows)
        elif do == "state":
            number, state = said["instrument"], said["state"]
            self.states[number][0 if state in (wire.BOOK_VALID, wire.BOOK_INVALID) else 1] = state
            self.publisher.send(wire.Status(number, state))
        elif do == "fill":
            o = self.kept.orders[said["order_id"]]
            self.fill(said.get("bot", "mm"), o, said["qty"], o.price_tick, 1)
        elif do in ("deaf", "hear"):
            self.is_deaf = do == "deaf"
        elif do == "drop":
            if said.get("hangs"):
                self.pages[said["bot"]].set_word(BOT_OVER, 1)
            self.server.drop(said["bot"], "the test says so")
        elif do == "look":
            answer |= {
                "inquiries": self.inquiries,
                "taps": len(self.server._taps),
                "hellos": [msgspec.to_builtins(hello) for hello in self.hellos.values()],
                "orders": {str(i): o.status for i, o in self.kept.orders.items()},
            }
        print(json.dumps(answer), flush=True)

    def live(self, loop: asyncio.AbstractEventLoop) -> None:
        self.clock.set_word(CLOCK_ALIVE_NS, boot_ns())
        loop.call_later(0.05, self.live, loop)

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self.bell.fd, self.read)
        self.live(loop)
        async with ChannelServer(self.name, self) as self.server:
            print(json.dumps({"ready": os.getpid()}), flush=True)
            done = asyncio.Event()
            loop.add_reader(sys.stdin.fileno(), self._line, done)
            await done.wait()

    def _line(self, done: asyncio.Event) -> None:
        line = sys.stdin.readline()
        if line:
            self.told(line)
        else:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            done.set()


if __name__ == "__main__":
    asyncio.run(Fake(sys.argv[1], Path(sys.argv[2])).serve())
