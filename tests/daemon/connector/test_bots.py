"""What bots and users may rely on at a live channel's bot side: nothing is lost, and one bot's end is its own."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import numpy as np
import pytest

from daemon.connector.bots.bots import BURST, LATE_NS, Bots
from daemon.messages import Cancel, Command, Instrument, Submit
from daemon.orders.limits import AccountLimits, BotLimits
from daemon.orders.manager import OrderManager
from hftd import wire
from hftd.channel.endpoint import MarketTap, QueueReader, QueueWriter, ring_doorbell
from hftd.channel.layout import CLOCK_ALIVE_NS, PROTOCOL_VERSION
from hftd.channel.memory import BotPage, Link
from hftd.clock import boot_ns, monotonic_ns, wall_ns
from hftd.constants import REASON_NEVER_SENT, REJECTED
from hftd.control.asking import Reply
from hftd.control.protocol import Attachment, attach
from hftd.control.server import ChannelServer
from hftd.errors import HftdError
from hftd.types import (
    BUY,
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    GTC,
    KIND_MASK,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    event_dtype,
)

INSTRUMENTS = [
    Instrument(number=0, symbol="BTCUSDT", tick_size=Decimal("0.1"), lot_size=Decimal("0.001")),
    Instrument(number=1, symbol="ETHUSDT", tick_size=Decimal("0.01"), lot_size=Decimal("0.001")),
]


class RawBot:
    """A bot without a runtime: it reads and writes its rings itself."""

    def __init__(self, attachment: Attachment, page: BotPage) -> None:
        self.attachment = attachment
        self.page = page
        self.tap = MarketTap(attachment.market)
        self.writer = QueueWriter(attachment.link.requests)
        self.reader = QueueReader(attachment.link.responses, wire.response_decoder)

    def ask(self, message: wire.Request, *, ring: bool = True) -> bool:
        sent = self.writer.send(message, wall_ns())
        if ring:
            self.ring()
        return sent

    def write(self, data: bytes) -> None:
        assert self.writer._send(self.writer._address, 0, data) == 1

    def ring(self) -> None:
        ring_doorbell(self.attachment.doorbell_fd, self.attachment.link.daemon_asleep_address)

    def submit(self, order_id: int, **more: object) -> bool:
        fields = {
            "instrument": 0,
            "side": BUY,
            "order_type": LIMIT,
            "time_in_force": GTC,
            "price_tick": 1000,
            "qty": 0.1,
        }
        return self.ask(wire.Submit(order_id=order_id, local_ts=wall_ns(), **{**fields, **more}), ring=True)

    def told(self) -> list[wire.Response]:
        found = []
        while (read := self.reader.receive()) is not None:
            found.append(read[1])
        return found

    def close(self) -> None:
        self.attachment.close("the test ends")
        self.page.close()


class Channel:
    """A live channel with order management behind it, and an exchange that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[Command] = []
        self.subscribed: list[str] = []
        self.bots = Bots(
            "test",
            7,
            limits=lambda _bot: BotLimits(),
            subscribe=lambda instrument: self.subscribed.append(instrument.symbol),
            on_answer=lambda ask: Reply(None),  # type: ignore[arg-type]
            is_fused=False,
            on_best=lambda *best: self.orders.on_book(*best),
        )
        self.orders = OrderManager(
            prefix="t",
            run=1,
            limits=AccountLimits(),
            journal=None,
            emit=self.bots.emit,
            send=self.sent.append,
        )
        for one in INSTRUMENTS:
            self.orders.add_instrument(one)
        self.bots.set_instruments(INSTRUMENTS)

    def publish(self, *levels: tuple[int, float, float], kind: int = DEPTH_EVENT, number: int = 0) -> None:
        rows = np.zeros(len(levels), event_dtype)
        for row, (side, px, qty) in zip(rows, levels, strict=True):
            row["ev"] = EXCH_EVENT | LOCAL_EVENT | side | kind
            row["px"], row["qty"] = px, qty
        self.bots.books.on_rows(number, rows, True)


@asynccontextmanager
async def serving(*, spin: bool = False) -> AsyncIterator[tuple[Channel, Callable]]:
    channel = Channel()
    raw_bots: list[RawBot] = []
    async with ChannelServer("ch", channel.bots) as server:
        channel.bots.start(channel.orders, server.drop, spin=spin)
        channel.orders.on_connection(True, wall_ns())
        channel.orders.reconcile([], [], [], wall_ns(), wall_ns())
        channel.bots.set_connected(True)

        async def come(
            name: str = "mm", *symbols: str, on_end: str = "cancel", watchdog_s: float = 0.0
        ) -> RawBot:
            sizes = {one.symbol: (float(one.tick_size), float(one.lot_size)) for one in INSTRUMENTS}
            wanted = tuple((symbol, *sizes[symbol]) for symbol in symbols or ("BTCUSDT",))
            hello = wire.Hello(
                version=PROTOCOL_VERSION,
                bot=name,
                pid=os.getpid(),
                instruments=wanted,
                on_end=on_end,
                watchdog_s=watchdog_s,
            )
            page = BotPage.make()
            bot = RawBot(
                await asyncio.to_thread(attach, "ch", hello, page, monotonic_ns() + 5_000_000_000), page
            )
            raw_bots.append(bot)
            return bot

        try:
            yield channel, come
        finally:
            for bot in raw_bots:
                bot.close()
            channel.bots.stop()
    channel.bots.close()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to be")


def rows_of(messages: list[wire.Response]) -> np.ndarray:
    parts = [
        np.frombuffer(message.rows, event_dtype) for message in messages if isinstance(message, wire.Feed)
    ]
    return np.concatenate(parts)


async def test_a_newcomer_gets_the_book_what_is_amiss_its_orders_and_where_the_market_goes_on():
    async with serving() as (channel, come):
        await come("first")
        channel.publish((BUY_EVENT, 99.9, 1.0), (BUY_EVENT, 99.8, 2.0), (SELL_EVENT, 100.1, 3.0))
        channel.bots.set_connected(False)
        bot = await come("second")
        told = bot.told()
        assert [type(message) for message in told] == [
            wire.Feed,
            wire.Status,
            wire.Status,
            wire.State,
            wire.Splice,
        ]
        rows = rows_of(told)
        kinds = [int(kind) for kind in rows["ev"] & np.uint64(KIND_MASK)]
        assert kinds == [DEPTH_CLEAR_EVENT, *[DEPTH_SNAPSHOT_EVENT] * 3]
        assert list(zip(rows["px"][1:].round(1), rows["qty"][1:], strict=True)) == [
            (99.9, 1),
            (99.8, 2),
            (100.1, 3),
        ]
        assert [message.state for message in told[1:3]] == [wire.BOOK_INVALID, wire.DISCONNECTED]
        channel.publish((BUY_EVENT, 99.9, 5.0))
        channel.bots.books.on_book_state(0, wire.BOOK_VALID)
        feed, state = bot.tap.read()[1], bot.tap.read()[1]
        assert rows_of([feed])["qty"][0] == 5.0
        assert state == wire.Status(0, wire.BOOK_VALID)


async def test_a_halt_is_told_once_while_orders_get_through_and_to_newcomers():
    async with serving() as (channel, come):
        bot, bots = await come("first"), channel.bots
        for say in (
            lambda: bots.set_halted(True),
            lambda: bots.set_halted(True),
            lambda: bots.set_connected(False),
            lambda: bots.set_halted(False),
            lambda: bots.set_halted(True),
            lambda: bots.set_connected(True),
        ):
            say()
        states = [message.state for message in (read[1] for read in iter(bot.tap.read, None))]
        assert states == [wire.HALTED, wire.DISCONNECTED, wire.HALTED]
        second = await come("second")
        assert wire.Status(0, wire.HALTED) in second.told()
        bots.set_halted(False)
        assert bot.tap.read()[1] == wire.Status(0, wire.CONNECTED)


async def test_a_connector_says_that_it_is_at_work():
    async with serving() as (channel, _):
        first_ns = channel.bots.clock.word(CLOCK_ALIVE_NS)
        assert 0 <= boot_ns() - first_ns < 10_000_000_000
        await until(lambda: channel.bots.clock.word(CLOCK_ALIVE_NS) > first_ns)


async def test_a_bot_that_was_lapped_gets_all_of_it_again():
    async with serving() as (channel, come):
        bot = await come()
        channel.publish((BUY_EVENT, 99.9, 1.0))
        bot.submit(4)
        await until(lambda: len(channel.sent) == 1)
        bot.told()
        bot.ask(wire.Resync())
        await until(lambda: bot.reader.statistics()["records"] >= 0 and channel.bots.attached[0].resyncs == 1)
        told = bot.told()
        assert [message.order_id for message in told if isinstance(message, wire.OrderUpdate)] == [4]
        assert len(rows_of(told)) == 2
        assert isinstance(told[-1], wire.Splice)


@pytest.mark.parametrize("spin", [False, True])
async def test_requests_of_several_bots_are_taken_in_each_ones_order_and_none_is_lost(spin):
    async with serving(spin=spin) as (channel, come):
        bots = [await come(f"bot{k}") for k in range(3)]
        for order_id in range(700):
            for bot in bots:
                bot.submit(order_id)
        await until(lambda: len(channel.sent) + channel.orders.counters.refused.get(35, 0) >= 1000)
        await until(lambda: sum(one.requests for one in channel.bots.attached) == 2100)
        prefix_of = {}
        for command in channel.sent:
            assert isinstance(command, Submit)
            prefix_of.setdefault(command.client_id[:8], []).append(command.client_id)
        assert len(prefix_of) == 3


async def test_a_bot_that_dies_right_after_a_submit_has_its_order_known_and_ended():
    async with serving() as (channel, come):
        bot = await come()
        await until(lambda: bool(channel.bots.attached))
        bot.ask(
            wire.Submit(
                instrument=0,
                order_id=1,
                side=BUY,
                order_type=LIMIT,
                time_in_force=GTC,
                price_tick=1000,
                qty=0.1,
                local_ts=wall_ns(),
            ),
            ring=False,
        )
        bot.close()
        await until(lambda: not channel.bots.attached)
        assert [type(command) for command in channel.sent][:1] == [Submit]
        assert channel.orders.store.alive
        assert all(order.cancel_wanted for order in channel.orders.store.alive.values())


async def test_a_bot_that_does_not_read_its_answers_loses_its_lease_and_the_others_go_on():
    async with serving() as (channel, come):
        deaf, other = await come("deaf"), await come("other")
        for _ in range(200):
            if "deaf" not in [bot.name for bot in channel.bots.attached]:
                break
            for _ in range(1000):
                deaf.ask(wire.Cancel(0, 999, wall_ns()))
            await asyncio.sleep(0.005)
        assert [bot.name for bot in channel.bots.attached] == ["other"]
        assert channel.bots.dropped == 1
        assert "does not read" in deaf.attachment.lost()
        other.submit(1)
        await until(lambda: len(channel.sent) == 1)


@pytest.mark.parametrize(
    "message",
    [
        wire.Submit(
            instrument=1,
            order_id=1,
            side=BUY,
            order_type=LIMIT,
            time_in_force=GTC,
            price_tick=1000,
            qty=0.1,
            local_ts=1,
        ),
        wire.Cancel(-5, 1, 1),
        wire.Modify(instrument=10**6, order_id=1, price_tick=1, qty=1.0, local_ts=1),
    ],
)
async def test_a_request_for_what_the_bot_did_not_ask_for_ends_its_lease(message):
    async with serving() as (channel, come):
        bot = await come("mm", "BTCUSDT")
        bot.ask(message)
        await until(lambda: not channel.bots.attached)
        assert "did not ask for" in bot.attachment.lost()
        assert channel.sent == []


async def test_a_bot_that_writes_nonsense_into_its_queue_loses_its_lease_and_nothing_else_happens():
    async with serving() as (channel, come):
        hostile, other = await come("hostile"), await come("other")
        from hftd.channel.layout import LINK_REQUEST_TAIL

        hostile.attachment.link.set_word(LINK_REQUEST_TAIL, 1 << 40)
        hostile.ring()
        await until(lambda: [bot.name for bot in channel.bots.attached] == ["other"])
        other.submit(1)
        await until(lambda: len(channel.sent) == 1)


async def test_numbers_that_no_order_has_are_refused_and_break_nothing():
    async with serving() as (channel, come):
        bot = await come()
        for k, more in enumerate(
            (
                {"qty": float("nan")},
                {"qty": float("inf")},
                {"qty": -1.0},
                {"qty": 1e300},
                {"price_tick": 2**62},
                {"side": 7},
                {"order_type": 99},
                {"time_in_force": -3},
            )
        ):
            bot.submit(100 + k, **more)
        bot.submit(1)
        await until(lambda: len(channel.sent) == 1)
        updates = [message for message in bot.told() if isinstance(message, wire.OrderUpdate)]
        assert {update.order_id for update in updates} >= {100, 101, 102, 103}


async def test_an_instrument_is_subscribed_when_a_bot_asks_for_it_and_its_books_start_empty():
    async with serving() as (channel, come):
        bot = await come("mm", "ETHUSDT", "BTCUSDT")
        assert sorted(channel.subscribed) == ["BTCUSDT", "ETHUSDT"]
        assert bot.attachment.welcome.instruments == (1, 0)
        assert len(rows_of(bot.told())) == 2


async def test_bots_that_write_without_end_leave_each_round_of_the_loop_to_the_others_too():
    async with serving() as (channel, come):
        bots = [await come(f"bot{k}") for k in range(3)]
        for _ in range(2000):
            for bot in bots:
                bot.ask(wire.Cancel(0, 999, wall_ns()), ring=False)
        bots[0].ring()
        taken, most = 0, 0
        while taken < 6000:
            await asyncio.sleep(0)
            now = sum(one.requests for one in channel.bots.attached)
            most, taken = max(most, now - taken), now
        # One look for the bell, one after it was armed, and one for what was left.
        assert most <= 3 * 3 * BURST


async def test_a_bot_for_whose_rings_there_is_no_memory_has_no_lease_anywhere(monkeypatch):
    async with serving() as (channel, come):

        def none_left(*_sizes: int) -> Link:
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as patched:
            patched.setattr(Link, "make", none_left)
            with pytest.raises(HftdError):
                await come()
        known = channel.orders.store.bots.get("mm")
        assert known is None or not known.is_attached
        await come()


async def test_what_waited_while_the_connector_stood_still_is_not_sent_any_more_but_cancels_are():
    async with serving() as (channel, come):
        bot = await come()
        bot.submit(1)
        await until(lambda: len(channel.sent) == 1)
        bot.told()
        then = wall_ns() - LATE_NS - 1
        bot.ask(
            wire.Submit(
                instrument=0,
                order_id=2,
                side=BUY,
                order_type=LIMIT,
                time_in_force=GTC,
                price_tick=1000,
                qty=0.1,
                local_ts=then,
            ),
            ring=False,
        )
        bot.ask(wire.Modify(instrument=0, order_id=1, price_tick=1001, qty=0.1, local_ts=then), ring=False)
        bot.ask(wire.Cancel(0, 1, then))
        await until(lambda: len(channel.sent) == 2)
        assert [type(command) for command in channel.sent] == [Submit, Cancel]
        refused = [message for message in bot.told() if isinstance(message, wire.OrderUpdate)]
        assert [(one.order_id, one.req, one.reason) for one in refused] == [
            (2, REJECTED, REASON_NEVER_SENT),
            (1, REJECTED, REASON_NEVER_SENT),
        ]
